package vfs

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// library is a base with a directory that is filled when somebody looks.
func library(fills *int) *Base {
	b := NewBuilder(time.Unix(1_700_000_000, 0))
	b.Add(Node{Path: "/lib", Kind: Dir, Mode: 0o755})
	b.Text("/lib/b", 0o644, 0, 0, time.Time{}, "added")
	b.Lazy("/lib", 3, func(add func(Node)) {
		*fills++
		for _, n := range []string{"a", "b", "c"} {
			add(Node{Path: n, Kind: File, Mode: 0o644, Content: Bytes([]byte("made " + n))})
		}
	})
	b.Lazy("/lib", 1, func(add func(Node)) { add(Node{Path: "d", Kind: Symlink, Target: "a"}) })
	return b.Build()
}

func TestADirectoryIsFilledOnce(t *testing.T) {
	fills := 0
	base := library(&fills)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			f := New(base, Options{})
			list, err := f.ReadDir(Root(), "/lib")
			var names []string
			inodes := map[uint64]bool{}
			for _, in := range list {
				names = append(names, in.Name)
				inodes[in.Ino] = true
			}
			if err != nil || !slices.Equal(names, []string{"a", "b", "c", "d"}) || len(inodes) != 4 {
				t.Errorf("lists %v with inodes %v, %v", names, inodes, err)
			}
			for path, want := range map[string]string{"/lib/a": "made a", "/lib/b": "added", "/lib/d": "made a"} {
				if data, err := f.ReadFile(Root(), path, 100); err != nil || string(data) != want {
					t.Errorf("%s holds %q, %v; want %q", path, data, err, want)
				}
			}
		})
	}
	wg.Wait()
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
}

func TestChangesInAFilledDirectoryAreKept(t *testing.T) {
	fills := 0
	base := library(&fills)
	f := New(base, Options{Now: time.Now})
	for _, err := range []error{
		f.Unlink(Root(), "/lib/a"), f.Rename(Root(), "/lib/c", "/lib/e"), f.Chmod(Root(), "/lib/b", 0o600), f.WriteFile(Root(), "/lib/n", []byte("new"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	snap, _, err := f.Snapshot(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Restore(base, Options{Now: time.Now}, snap)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range []*FS{f, g} {
		list, err := v.ReadDir(Root(), "/lib")
		got := ""
		for _, in := range list {
			got += in.Name + strconv.FormatUint(uint64(in.Mode), 8) + " "
		}
		if data, _ := v.ReadFile(Root(), "/lib/e", 100); err != nil || got != "b600 d0 e644 n644 " && got != "b600 d777 e644 n644 " || string(data) != "made c" {
			t.Errorf("view %d lists %q (%v), e holds %q", i, got, err, data)
		}
	}
}

// TestALiveFileGrows looks at a log that the host goes on writing: what the
// visitor does to it stays, and what comes later comes after it.
func TestALiveFileGrows(t *testing.T) {
	b := NewBuilder(time.Unix(1_700_000_000, 0))
	b.Add(Node{Path: "/log", Kind: File, Mode: 0o640, Live: "log"})
	base := b.Build()
	now := time.Unix(1_700_000_100, 0)
	lines := map[time.Time]string{}
	write := func(text string) { now = now.Add(time.Second); lines[now] = text }
	grown := func(_ string, since time.Time) (Content, time.Time) {
		text, last := "", time.Time{}
		for _, at := range slices.SortedFunc(func(yield func(time.Time) bool) {
			for at := range lines {
				if !yield(at) {
					return
				}
			}
		}, time.Time.Compare) {
			if at.After(since) {
				text, last = text+lines[at], at
			}
		}
		return Bytes([]byte(text)), last
	}
	open := func(f *FS) { f.OnLive(grown) }
	f := New(base, Options{Now: func() time.Time { return now }})
	open(f)
	read := func(f *FS, want string) {
		t.Helper()
		in, err1 := f.Stat(Root(), "/log")
		data, err2 := f.ReadFile(Root(), "/log", 1000)
		if err1 != nil || err2 != nil || string(data) != want || in.Size != int64(len(want)) {
			t.Fatalf("the log holds %q, %d bytes (%v, %v); want %q", data, in.Size, err1, err2, want)
		}
	}
	write("one\n")
	read(f, "one\n")
	h, err := f.Open(Root(), "/log", ReadOnly, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.Read(make([]byte, 100))
	write("two\n")
	read(f, "one\ntwo\n")
	buf := make([]byte, 100)
	if n, _ := h.Read(buf); string(buf[:n]) != "two\n" {
		t.Errorf("an open file goes on with %q", buf[:n])
	}
	if err := f.Chmod(Root(), "/log", 0o600); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	read(f, "one\ntwo\nthree\n")
	a, err := f.Open(Root(), "/log", WriteOnly|Append, 0)
	if err != nil {
		t.Fatal(err)
	}
	a.Write([]byte("mine\n"))
	a.Close()
	write("four\n")
	read(f, "one\ntwo\nthree\nmine\nfour\n")
	snap, _, err := f.Snapshot(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Restore(base, Options{Now: func() time.Time { return now }}, snap)
	if err != nil {
		t.Fatal(err)
	}
	open(g)
	write("five\n")
	read(g, "one\ntwo\nthree\nmine\nfour\nfive\n")
	if err := f.WriteFile(Root(), "/log", nil, 0); err != nil {
		t.Fatal(err)
	}
	read(f, "")
	write("six\n")
	read(f, "six\n")
	if err := f.Unlink(Root(), "/log"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat(Root(), "/log"); err == nil {
		t.Error("a removed log came back")
	}
}
