package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testRules = `title: A shell
id: 11111111-1111-4111-8111-111111111111
status: test
author: The Author
license: MIT
level: high
tags: [attack.execution, attack.t1059.003]
logsource: {product: windows, category: process_creation}
detection:
  s: {Image|endswith: '\cmd.exe'}
  condition: s
`

const testCorrelation = `title: A failed login
id: 22222222-2222-4222-8222-222222222222
name: failed_login
status: test
level: low
logsource: {product: linux, service: sshd}
detection:
  s: {outcome: failure}
  condition: s
---
title: Many failed logins
id: 33333333-3333-4333-8333-333333333333
status: test
level: medium
correlation:
  type: event_count
  rules: [failed_login]
  group-by: [src_ip]
  timespan: 1m
  condition: {gte: 3}
`

// files lays out a rules directory and logs; the result is their directory.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lapwing runs the program.
func lapwing(t *testing.T, in string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Run(context.Background(), args, IO{In: strings.NewReader(in), Out: &o, Err: &e}, "test")
	return status, o.String(), e.String()
}

const sysmon = `{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Computer":"pc\u001b[31m1","Image":"C:\\Windows\\cmd.exe","CommandLine":"cmd <script>","EventRecordID":7,"@timestamp":"2024-05-01T10:00:00Z"}`

func huntFiles(t *testing.T) string {
	t.Helper()
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	z.Write([]byte("\n" + sysmon + "\n{broken\n" + sysmon + "\n"))
	z.Close()
	return files(t, map[string]string{
		"rules/shell.yml": testRules, "rules/ssh.yml": testCorrelation, "logs/a.json.gz": gz.String(),
		"logs/auth.log": "2024-05-01T10:00:00Z h sshd[1]: Failed password for a from 192.0.2.1 port 5 ssh2\n2024-05-01T10:00:30Z h sshd[1]: Failed password for a from 192.0.2.2 port 5 ssh2\n2024-05-01T10:00:20Z h sshd[1]: Failed password for a from 192.0.2.1 port 5 ssh2\n",
		"late/auth.log": "2024-05-01T10:00:10Z h sshd[1]: Failed password for b from 192.0.2.1 port 5 ssh2\n",
		"none/x.json":   `{"a":1}`,
	})
}

func TestHuntStatus(t *testing.T) {
	dir := huntFiles(t) // one line of it is no JSON
	rules := filepath.Join(dir, "rules")
	for _, tt := range []struct {
		name string
		want int
		args []string
	}{
		{"found", 1, []string{"--rules", rules, filepath.Join(dir, "logs")}},
		{"nothing", 0, []string{"--rules", rules, filepath.Join(dir, "none")}},
		{"below the level", 3, []string{"--rules", rules, "--min-level", "critical", filepath.Join(dir, "logs")}},
		{"other tags", 3, []string{"--rules", rules, "--tag", "T1003", filepath.Join(dir, "logs")}},
		{"this tag", 1, []string{"--rules", rules, "--tag", "T1059", filepath.Join(dir, "logs")}},
		{"excluded", 3, []string{"--rules", rules, "--min-level", "high", "--exclude", "A shell", filepath.Join(dir, "logs")}},
		{"before", 3, []string{"--rules", rules, "--until", "2024-04-30", filepath.Join(dir, "logs")}},
		{"no such path", 2, []string{"--rules", rules, filepath.Join(dir, "absent"), filepath.Join(dir, "logs")}},
		{"no such rules", 2, []string{"--rules", filepath.Join(dir, "absent"), dir}},
		{"kept with a path", 64, []string{"--kept", dir}},
		{"nothing kept", 2, []string{"--kept", "--data", filepath.Join(dir, "absent")}},
		{"no path", 64, []string{"--rules", rules}},
		{"bad level", 64, []string{"--rules", rules, "--min-level", "awful", dir}},
		{"bad format", 64, []string{"--rules", rules, "--format", "awful", dir}},
		{"bad time", 64, []string{"--rules", rules, "--since", "awful", dir}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, out, errs := lapwing(t, "", append([]string{"hunt"}, tt.args...)...); got != tt.want {
				t.Errorf("status %d, want %d\n%s%s", got, tt.want, out, errs)
			}
		})
	}
	if got, _, _ := lapwing(t, sysmon, "hunt", "--rules", rules, "-"); got != 1 {
		t.Errorf("standard input: status %d", got)
	}
}

func TestHuntJSON(t *testing.T) {
	dir := huntFiles(t)
	_, out, errs := lapwing(t, "", "hunt", "--json", "--rules", filepath.Join(dir, "rules"), filepath.Join(dir, "logs"), filepath.Join(dir, "late"))
	var rows []map[string]any
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		rows = append(rows, m)
	}
	if len(rows) != 4 {
		t.Fatalf("%d rows:\n%s%s", len(rows), out, errs)
	}
	first := rows[0]
	for k, want := range map[string]any{
		"rule.id": "11111111-1111-4111-8111-111111111111", "rule.name": "A shell", "rule.level": "high", "rule.author": "The Author", "rule.license": "MIT",
		"file": filepath.Join(dir, "logs/a.json.gz"), "record": 2.0, "@timestamp": "2024-05-01T10:00:00.000000Z",
	} {
		if first[k] != want {
			t.Errorf("%s is %v, want %v", k, first[k], want)
		}
	}
	if e, ok := first["event"].(map[string]any); !ok || e["CommandLine"] != "cmd <script>" {
		t.Errorf("event %v", first["event"])
	}
	if rows[1]["record"] != 4.0 {
		t.Errorf("the record after a broken one: %v", rows[1]["record"])
	}
	// Two lines out of order in one file and one in another are three in a minute.
	c := rows[2]
	group, _ := c["group"].(map[string]any)
	if c["rule.name"] != "Many failed logins" || group["src_ip"] != "192.0.2.1" || c["count"] != 3.0 || c["first"] != "2024-05-01T10:00:00.000000Z" || c["last"] != "2024-05-01T10:00:20.000000Z" {
		t.Errorf("correlation %v", c)
	}
	if _, ok := c["record"]; ok {
		t.Error("a correlation has a record")
	}
	if s := rows[3]; s["summary"] != true || s["matches"] != 3.0 || s["damaged"] != 1.0 || s["records"] != 6.0 {
		t.Errorf("summary %v", s)
	}
	if !strings.Contains(errs, "line 3") {
		t.Errorf("the broken line is not told: %s", errs)
	}
}

// Text from an attacker must not act on terminals, spreadsheets or browsers.
func TestHuntEscapes(t *testing.T) {
	dir := huntFiles(t)
	args := []string{"hunt", "--rules", filepath.Join(dir, "rules"), filepath.Join(dir, "logs"), "--format"}
	for _, format := range []string{"table", "csv", "html"} {
		_, out, _ := lapwing(t, "", append(args, format)...)
		if !strings.Contains(out, "A shell") || !strings.Contains(out, "The Author") || !strings.Contains(out, "MIT") {
			t.Errorf("%s lacks the rule, its author or licence:\n%s", format, out)
		}
		if strings.Contains(out, "\x1b") || (format == "html" && strings.Contains(out, "<script>")) {
			t.Errorf("%s lets text act:\n%s", format, out)
		}
	}
	_, out, _ := lapwing(t, "", append(args, "csv")...)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][0] != "Timestamp" || rows[1][0] > rows[2][0] {
		t.Errorf("%v %v", rows, err)
	}
	_, out, _ = lapwing(t, "", append(args, "navigator")...)
	var layer struct {
		Techniques []struct {
			ID    string `json:"techniqueID"`
			Score int
		}
	}
	if err := json.Unmarshal([]byte(out), &layer); err != nil || len(layer.Techniques) != 1 || layer.Techniques[0].ID != "T1059.003" || layer.Techniques[0].Score != 2 {
		t.Errorf("%v %+v", err, layer)
	}
}

func TestHuntNamesRefused(t *testing.T) {
	bad := map[string]string{"good.yml": testRules, "log.jsonl": "{}\n"}
	for i := range maxRefused + 2 {
		bad[fmt.Sprintf("bad%02d.yml", i)] = strings.Replace(testRules, "condition: s", "condition: absent", 1)
	}
	dir := files(t, bad)
	_, _, errs := lapwing(t, "", "hunt", "--rules", dir, filepath.Join(dir, "log.jsonl"))
	for _, want := range []string{filepath.Join(dir, "bad00.yml") + ":", `"absent"`, "2 more rules could not be loaded"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in %s", want, errs)
		}
	}
}

func TestRules(t *testing.T) {
	dir := files(t, map[string]string{
		"good/shell.yml": testRules, "bad/one.yml": strings.Replace(testRules, "condition: s", "condition: absent", 1), "bad/two.yml": testRules,
		"never/x.yml": strings.Replace(testRules, "product: windows, category: process_creation", "product: toaster", 1),
		"good/shell.test.yml": `cases:
  - name: a shell
    records: [{Channel: Microsoft-Windows-Sysmon/Operational, EventID: 1, Image: 'C:\cmd.exe'}]
    match: [A shell]
  - name: another program
    records: [{Channel: Microsoft-Windows-Sysmon/Operational, EventID: 1, Image: 'C:\notepad.exe'}]
`,
		"fail/shell.yml": testRules,
		"fail/shell.test.yml": `cases:
  - name: wrong
    records: [{Channel: Microsoft-Windows-Sysmon/Operational, EventID: 1, Image: 'C:\cmd.exe'}]
`,
	})
	at := func(p string) string { return filepath.Join(dir, p) }
	for _, tt := range []struct {
		name string
		want int
		text string
		args []string
	}{
		{"check good", 0, "1 rules loaded, 0 refused", []string{"check", at("good")}},
		{"check bad", 1, "one.yml:", []string{"check", at("bad")}},
		{"check never", 0, "can never fire: no configured log source is of product toaster", []string{"check", at("never")}},
		{"test good", 0, "2 passed, 0 failed", []string{"test", at("good")}},
		{"test fail", 1, "fired on record 1", []string{"test", at("fail")}},
		{"explain", 0, "Image", []string{"explain", at("good/shell.yml"), sysmon}},
		{"explain not", 1, "Image", []string{"explain", at("good/shell.yml"), strings.Replace(sysmon, "cmd.exe", "x.exe", 1)}},
		{"explain no rule", 2, "", []string{"explain", "nothing", sysmon}},
		{"list", 0, "A shell", []string{"list", "--rules", at("good")}},
		{"coverage", 0, "T1059.003", []string{"coverage", "--rules", at("good")}},
		{"nothing said", 64, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, out, errs := lapwing(t, "", append([]string{"rules"}, tt.args...)...)
			if got != tt.want || !strings.Contains(out, tt.text) {
				t.Errorf("status %d, want %d, with %q\n%s%s", got, tt.want, tt.text, out, errs)
			}
		})
	}
}
