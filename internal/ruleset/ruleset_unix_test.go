//go:build unix

package ruleset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

const rule = "title: T\nlogsource: {product: test}\ndetection: {s: {F: 1}, condition: s}\n"

// TestOddFiles: what a directory holds beside rules that can be read is named,
// delays nothing and keeps no rule out.
func TestOddFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(n string) string { return filepath.Join(dir, n) }
	for name, text := range map[string]string{
		"good.yml": rule, "latin.yml": "title: T\n# caf\xe9\n", "big.yml": strings.Repeat("#", yamldoc.MaxSize+1), "x.test.yml": "cases: []", "sub/other.yaml": rule,
	} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"loop": "..", "loop.yml": ".", "self.yml": "self.yml", "gone.yml": "nowhere", "link.yml": "good.yml"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("pipe.yml"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Config{Paths: []string{dir}}, sigma.NewFields())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range l.Set.Problems() {
		if p.Severity == sigma.Refused {
			got = append(got, strings.TrimPrefix(p.Error(), dir+"/"))
		}
	}
	want := []string{
		"big.yml: refused: cannot be read: larger than 4 MiB (split the file)",
		"gone.yml: refused: cannot be read: no such file or directory (make it readable, or take it out of the directory)",
		"latin.yml:2: refused: the byte 0xe9 is not UTF-8 (save the file as UTF-8)",
		"pipe.yml: refused: cannot be read: it is no file (make it readable, or take it out of the directory)",
		"self.yml: refused: cannot be read: too many levels of symbolic links (make it readable, or take it out of the directory)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := len(l.Engine.Rules()); n != 3 || l.Set.Refused() != len(want) {
		t.Errorf("%d rules, %d refused", n, l.Set.Refused())
	}
}

// TestNamed: a path that is named must be readable, and a pipe is.
func TestNamed(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Config{Paths: []string{fifo}}, sigma.NewFields()) // nobody writes
	if err != nil || len(l.Engine.Rules()) != 0 {
		t.Error(err)
	}
	r, w, err := os.Pipe() // as a shell gives it: <(...)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString(rule); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Load(Config{Paths: []string{fmt.Sprintf("/dev/fd/%d", r.Fd())}}, sigma.NewFields())
	if err != nil || len(l.Engine.Rules()) != 1 {
		t.Errorf("through a pipe: %v", err)
	}
	for _, bad := range []string{"absent.yml", "big.yml"} {
		if bad == "big.yml" {
			if err := os.WriteFile(filepath.Join(dir, bad), make([]byte, yamldoc.MaxSize+1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(Config{Paths: []string{filepath.Join(dir, bad)}}, sigma.NewFields()); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
