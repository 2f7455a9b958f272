package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines runs a command and reads its output as JSON lines.
func lines(t *testing.T, status int, args ...string) []map[string]any {
	t.Helper()
	var out, errs bytes.Buffer
	if got := Run(t.Context(), args, IO{In: strings.NewReader(""), Out: &out, Err: &errs}, "test"); got != status {
		t.Fatalf("%v: status %d, want %d\n%s%s", args, got, status, &out, &errs)
	}
	var list []map[string]any
	for line := range strings.Lines(out.String() + errs.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %q: %v", args, line, err)
		}
		list = append(list, m)
	}
	return list
}

// TestYara runs the yara commands and a scan with what they made.
func TestYara(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yar", `rule marked : tag { meta: author = "us" level = 3 strings: $a = "marker" condition: $a and n == 7 and filename == "hit.txt" }`)
	bad := write("bad.yar", "rule a {\n condition: nothing }\n")
	slow := write("slow.yar", `rule a { strings: $a = { 00 00 } condition: $a }`)
	hit := write("hit.txt", "a marker here")
	write("clean.txt", "nothing")
	compiled := filepath.Join(dir, "rules.yarc")

	summary := lines(t, 0, "yara", "check", "--json", "-d", "n=7", good)
	if d := cmp.Diff([]map[string]any{{"summary": true, "rules": 1.0, "errors": 0.0, "warnings": 0.0}}, summary); d != "" {
		t.Error(d)
	}
	fault := lines(t, 2, "yara", "check", "--json", bad)[0]
	if fault["code"] != "ERROR_UNDEFINED_IDENTIFIER" || fault["line"] != 2.0 || fault["file"] != bad {
		t.Errorf("fault %v", fault)
	}
	if w := lines(t, 0, "yara", "check", "--json", slow)[0]; w["level"] != "warning" {
		t.Errorf("warning %v", w)
	}
	lines(t, 0, "yara", "compile", "-d", "n=7", "-o", compiled, good)
	lines(t, 2, "yara", "compile", "--json", "-o", filepath.Join(dir, "none"), bad)
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("rules with a fault were compiled")
	}
	if r := lines(t, 0, "yara", "list", "--json", compiled)[0]; r["rule"] != "marked" {
		t.Errorf("listed %v", r)
	}
	for _, rules := range [][]string{{"--rules", compiled}, {"--rules", good, "-d", "n=7"}} {
		got := lines(t, 1, append([]string{"scan", "--json", "--data", t.TempDir(), hit}, rules...)...)
		first := got[0]
		if first["file"] != hit || first["rule"] != "marked" || cmp.Diff(map[string]any{"author": "us", "level": 3.0}, first["rule.meta"]) != "" {
			t.Errorf("found %v", first)
		}
		place, _ := first["matches"].([]any)[0].(map[string]any)
		if place["string"] != "$a" || place["offset"] != 2.0 || place["length"] != 6.0 {
			t.Errorf("place %v", place)
		}
		if got[len(got)-1]["summary"] != true {
			t.Errorf("no summary: %v", got)
		}
	}
	lines(t, 0, "scan", "--json", "--data", t.TempDir(), "--rules", compiled, filepath.Join(dir, "clean.txt"))
	lines(t, 2, "scan", "--json", "--data", t.TempDir(), "--rules", bad, hit)
	if b := lines(t, 0, "yara", "bench", "--json", "--rules", compiled, dir); b[len(b)-1]["summary"] != true {
		t.Errorf("bench %v", b)
	}
	if err := os.WriteFile(compiled, append([]byte("lapwing yara\x00\x01"), make([]byte, 40)...), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if got := Run(t.Context(), []string{"yara", "list", compiled}, IO{In: strings.NewReader(""), Out: &out, Err: &out}, "test"); got != 2 || !strings.Contains(out.String(), "damaged") {
		t.Errorf("damaged rules: status %d, %s", got, &out)
	}
}
