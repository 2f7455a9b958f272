package visitors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { c.at = c.at.Add(time.Millisecond); return c.at }

func open(t *testing.T, dir string, tweak func(*Config)) (*Store, *clock) {
	t.Helper()
	c := &clock{at: time.Now()}
	cfg := Config{Dir: dir, Key: bytes.Repeat([]byte{7}, 32), Now: c.now}
	if tweak != nil {
		tweak(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func put(t *testing.T, s *Store, host, source, text string) {
	t.Helper()
	token, _, err := s.Get(host, source)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(host, source, token, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *Store, host, source string) string {
	t.Helper()
	_, data, err := s.Get(host, source)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOnlyTheSourceGetsIt(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, nil)
	put(t, s, "files", "198.51.100.7", "what he left")
	again, _ := open(t, dir, nil)
	for _, tt := range []struct{ host, source, want string }{
		{"files", "198.51.100.7", "what he left"}, {"files", "198.51.100.8", ""}, {"mail", "198.51.100.7", ""},
	} {
		if got := get(t, again, tt.host, tt.source); got != tt.want {
			t.Errorf("%s on %s: %q", tt.source, tt.host, got)
		}
	}
	// A file moved to another source's place does not open.
	os.MkdirAll(s.dir("198.51.100.8"), 0o700)
	if err := os.Rename(s.file("files", "198.51.100.7"), s.file("files", "198.51.100.8")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := s.Get("files", "198.51.100.8"); err == nil || data != nil {
		t.Errorf("another source reads %q, %v", data, err)
	}
	filepath.Walk(dir, func(p string, _ os.FileInfo, _ error) error {
		data, _ := os.ReadFile(p)
		if strings.Contains(p, "198.51") || bytes.Contains(data, []byte("what he left")) {
			t.Errorf("%s tells whose it is or what it holds", p)
		}
		return nil
	})
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, nil)
	token, _, _ := s.Get("files", "198.51.100.7")
	put(t, s, "files", "198.51.100.7", "a")
	put(t, s, "mail", "198.51.100.7", "b")
	put(t, s, "files", "198.51.100.8", "c")
	other, c := open(t, dir, nil) // the command, beside the running hub
	c.at = c.at.Add(time.Second)
	if n, err := other.Forget("198.51.100.7"); n != 2 || err != nil {
		t.Fatalf("forgot %d, %v", n, err)
	}
	if got := get(t, s, "files", "198.51.100.7") + get(t, s, "mail", "198.51.100.7"); got != "" {
		t.Errorf("still there: %q", got)
	}
	if got := get(t, s, "files", "198.51.100.8"); got != "c" {
		t.Errorf("another source's is %q", got)
	}
	if err := s.Put("files", "198.51.100.7", token, []byte("from the worker's memory")); !errors.Is(err, ErrGone) {
		t.Errorf("an old view is kept again: %v", err)
	}
	s.c.Now = func() time.Time { return c.at.Add(time.Minute) }
	put(t, s, "files", "198.51.100.7", "new")
	if got := get(t, s, "files", "198.51.100.7"); got != "new" {
		t.Errorf("after the forgetting: %q", got)
	}
}

func TestBounds(t *testing.T) {
	t.Run("age", func(t *testing.T) {
		s, c := open(t, t.TempDir(), func(c *Config) { c.Keep = time.Hour })
		put(t, s, "h", "1.1.1.1", "x")
		c.at = c.at.Add(30 * time.Minute)
		if get(t, s, "h", "1.1.1.1") != "x" {
			t.Error("gone too early")
		}
		c.at = c.at.Add(59 * time.Minute) // since the last use
		if get(t, s, "h", "1.1.1.1") != "x" {
			t.Error("use does not count")
		}
		c.at = c.at.Add(61 * time.Minute)
		if n, err := s.Expire(); n != 1 || err != nil {
			t.Errorf("expired %d, %v", n, err)
		}
		if list, _ := os.ReadDir(s.c.Dir); len(list) != 0 {
			t.Errorf("%d folders are left", len(list))
		}
	})
	t.Run("count", func(t *testing.T) {
		s, _ := open(t, t.TempDir(), func(c *Config) { c.Max = 3 })
		for i, src := range []string{"a", "b", "c", "d", "e"} {
			put(t, s, "h", src, "x")
			at := time.Now().Add(time.Duration(i-10) * time.Minute)
			os.Chtimes(s.file("h", src), at, at)
		}
		if all, _ := s.list(); len(all) != 3 {
			t.Errorf("%d are kept", len(all))
		}
		if get(t, s, "h", "e") != "x" || get(t, s, "h", "a") != "" {
			t.Error("not the longest unused went")
		}
	})
	t.Run("bytes", func(t *testing.T) {
		s, _ := open(t, t.TempDir(), func(c *Config) { c.Quota = 2000 })
		for _, src := range []string{"a", "b", "c"} {
			put(t, s, "h", src, strings.Repeat("x", 900))
		}
		all, _ := s.list()
		if len(all) != 2 {
			t.Errorf("%d are kept", len(all))
		}
	})
}

// FuzzGet: whatever lies in the file, it opens as what was sealed or not at all.
func FuzzGet(f *testing.F) {
	dir := f.TempDir()
	s, err := Open(Config{Dir: dir, Key: bytes.Repeat([]byte{7}, 32), Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Put("h", "s", 1, []byte("plain")); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(s.file("h", "s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		os.WriteFile(s.file("h", "s"), data, 0o600)
		if _, got, err := s.Get("h", "s"); err == nil && string(got) != "plain" {
			t.Fatalf("opened as %q", got)
		}
	})
}
