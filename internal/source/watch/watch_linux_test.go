package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// wait gives the first event that ok takes.
func wait(t *testing.T, w *Watcher, ok func(Event) bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case es := <-w.C():
			if slices.ContainsFunc(es, ok) {
				return
			}
		case <-late:
			t.Fatal("nothing was told")
		}
	}
}

func TestChangesAreTold(t *testing.T) {
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dir := t.TempDir()
	name := filepath.Join(dir, "a.log")
	d, err := w.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wait(t, w, func(e Event) bool { return e.ID == d && e.Name == "a.log" })
	f, err := w.File(name)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.File(name); err != nil || again != f {
		t.Errorf("the same file: %d %v, want %d", again, err, f)
	}
	old, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	wait(t, w, func(e Event) bool { return e.ID == d && e.Name == "a.log.1" })
	if _, err := old.WriteString("late\n"); err != nil {
		t.Fatal(err)
	}
	wait(t, w, func(e Event) bool { return e.ID == f && !e.Gone })
	w.Remove(f)
	wait(t, w, func(e Event) bool { return e.ID == f && e.Gone })
	if _, err := w.Dir(name + ".1"); err == nil {
		t.Error("a file is watched as a directory")
	}
}

// FuzzParse: names are never longer than what came, and nothing is made up of nothing.
func FuzzParse(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 'a', 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, e := range parse(b) {
			n += 16 + len(e.Name)
		}
		if n > len(b) {
			t.Errorf("%d bytes of events in %d", n, len(b))
		}
	})
}
