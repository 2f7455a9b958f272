package allow

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAllows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allow.jsonl")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	sum := strings.Repeat("ab", 32)
	for _, e := range []Entry{
		{SHA256: strings.ToUpper(sum), Reason: "our installer"},
		{Path: "/opt/tool/**", Rule: "Noisy", Reason: "known"},
		{Path: "/srv/*.bin", Reason: "until the fix", Until: now},
	} {
		if err := Append(file, e); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Load(file)
	if err != nil || !l.NeedsSums() {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, sum, rule string
		at              time.Time
		want            bool
	}{
		{"/x", sum, "Any", now, true},
		{"/x", strings.Repeat("cd", 32), "Any", now, false},
		{"/opt/tool/a/b", "", "Noisy", now, true},
		{"/opt/tool/a/b", "", "Other", now, false},
		{"/opt/toolbox", "", "Noisy", now, false},
		{"/srv/a.bin", "", "Any", now.Add(-time.Hour), true},
		{"/srv/a.bin", "", "Any", now, false},
		{"/srv/sub/a.bin", "", "Any", now.Add(-time.Hour), false},
	} {
		if _, got := l.Allows(c.file, c.sum, c.rule, c.at); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if l, err := Load(file + ".none"); err != nil || l.NeedsSums() {
		t.Errorf("no file: %v", err)
	}
}

func TestFaultsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"\n{\"path\": \"/x\"}":                      "reason",
		"\n{\"reason\": \"x\"}":                     "either",
		"\n{\"sha256\": \"zz\", \"reason\": \"x\"}": "SHA-256",
		"\n{\"path\": \"/[\", \"reason\": \"x\"}":   "path",
		"\n{\"pfad\": \"/x\", \"reason\": \"x\"}":   "pfad",
		"\n{\"path\": \"/x\", \"reason\"":           "EOF",
	} {
		file := filepath.Join(t.TempDir(), "allow.jsonl")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), ":2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
