package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHuntOutput: a report never takes the place of the evidence before it was
// read, and is no input itself.
func TestHuntOutput(t *testing.T) {
	dir := huntFiles(t)
	rules, log := filepath.Join(dir, "rules"), filepath.Join(dir, "late", "auth.log")
	before, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.log")
	if err := os.Symlink(log, link); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{log, link} {
		status, _, errs := lapwing(t, "", "hunt", "--rules", rules, "-o", name, log)
		after, err := os.ReadFile(log)
		if status != 64 || err != nil || string(after) != string(before) || !strings.Contains(errs, "emptied") {
			t.Errorf("%s: status %d, %s; %d bytes are left", name, status, errs, len(after))
		}
	}
	report := filepath.Join(dir, "logs", "report.jsonl")
	if err := os.WriteFile(report, []byte(sysmon+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the first report lies there
		status, _, errs := lapwing(t, "", "hunt", "--json", "--rules", rules, "-o", report, filepath.Join(dir, "logs"))
		text, err := os.ReadFile(report)
		if status != 1 || err != nil || strings.Count(string(text), "\n") != 3 || strings.Contains(string(text), "report.jsonl") {
			t.Errorf("status %d, %s\n%s", status, errs, text)
		}
	}
}

// TestHuntChoice: a choice that leaves nothing to look with is told.
func TestHuntChoice(t *testing.T) {
	dir := huntFiles(t)
	rules, logs := filepath.Join(dir, "rules"), filepath.Join(dir, "none")
	for _, tt := range []struct {
		name, tell string
		want       int
		args       []string
	}{
		{"no such tag", "no rule is left", 0, []string{"--tag", "T9999"}},
		{"a tag", "", 0, []string{"--tag", "T1059"}},
		{"excluded, other case", "", 0, []string{"--exclude", "a SHELL"}},
		{"excludes nothing", "no rule has this id", 0, []string{"--exclude", "A shel"}},
		{"no such rule", "no rule has the id", 2, []string{"--include", "A shel"}},
		{"a window without time", "no record lies between", 64, []string{"--since", "2024-05-02", "--until", "2024-05-01T10:00:00+02:00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, errs := lapwing(t, "", append([]string{"hunt", "--rules", rules, logs}, tt.args...)...)
			if status != tt.want || (tt.tell == "") != (errs == "") || !strings.Contains(errs, tt.tell) {
				t.Errorf("status %d, %s", status, errs)
			}
		})
	}
}

// TestExplainCorrelation: the rules under a correlation are explained with it.
func TestExplainCorrelation(t *testing.T) {
	dir := huntFiles(t)
	line := "2024-05-01T10:00:00Z h sshd[1]: Failed password for a from 192.0.2.1 port 5 ssh2"
	status, out, errs := lapwing(t, "", "rules", "explain", "--rules", filepath.Join(dir, "rules"), "MANY failed logins", line)
	for _, want := range []string{"no  correlation event_count", `yes   group by src_ip: "192.0.2.1"`, "A failed login (2222", "yes rule A failed login", `outcome is "failure"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if status != 1 || errs != "" || strings.Contains(out, "A shell") {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
}
