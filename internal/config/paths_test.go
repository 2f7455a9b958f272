package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPaths: what a configuration names counts from where it lies, and must be
// there.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"rules/a.yml", "yara/a.yar", "bad.csv", "tables.yml"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "c.yml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules: {dirs: [rules, " + filepath.Join(dir, "rules") + "], placeholders: tables.yml}\nscan: {rules: [yara], indicators: [bad.csv]}\n")
	c, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Join(dir, "rules"), filepath.Join(dir, "rules"), filepath.Join(dir, "tables.yml"), filepath.Join(dir, "yara"), filepath.Join(dir, "bad.csv")}
	got := append(append(append([]string{}, c.Rules.Dirs...), c.Rules.Placeholders), append(c.Scan.Rules, c.Scan.Indicators...)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	write("rules:\n  dirs:\n    - rules\n    - rulez\nscan:\n  indicators: [worse.csv]\n")
	_, err = Load(file, nil)
	if err == nil || !strings.Contains(err.Error(), "c.yml:4") || !strings.Contains(err.Error(), "rulez") || !strings.Contains(err.Error(), "worse.csv") {
		t.Error(err)
	}
}
