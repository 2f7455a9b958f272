package quarantine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lapwing-defence/lapwing/internal/vault"
)

const marker = "harmless marker: lapwing quarantine test"

func open(t *testing.T, base string) *Store {
	t.Helper()
	dir := filepath.Join(base, "vault")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(dir, bytes.Repeat([]byte{7}, 32), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	s, err := Open(Config{Dir: filepath.Join(base, "quarantine"), Vault: v, Now: time.Now, NewID: func() string {
		n++
		return fmt.Sprintf("%016x", uint64(n)<<56|uint64(time.Now().UnixNano())&0xffffff)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// real is a directory without links in its path.
func realDir(t *testing.T) string {
	t.Helper()
	d, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// find reports whether any file under dir holds text.
func find(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		found = found || bytes.Contains(b, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestThereAndBack(t *testing.T) {
	base, dir := realDir(t), realDir(t)
	s := open(t, base)
	p := filepath.Join(dir, "evil.sh")
	write(t, p, marker+strings.Repeat("x", 200_000))
	if err := unix.Chmod(p, 0o4751); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2024, 2, 29, 1, 2, 3, 456789012, time.UTC)
	if err := os.Chtimes(p, when.Add(time.Hour), when); err != nil {
		t.Fatal(err)
	}
	hasXattr := unix.Setxattr(p, "user.origin", []byte("a\x00b"), 0) == nil
	before, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, when.Add(time.Hour), when); err != nil {
		t.Fatal(err)
	}
	it, err := s.Take(p, "", []string{"Marker"}, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the file is still there: %v", err)
	}
	if find(t, base, marker) {
		t.Error("the store holds the plain content")
	}
	s = open(t, base) // a new process
	if got, err := s.Get(it.ID[:6]); err != nil || got.Path != p || got.Rules[0] != "Marker" {
		t.Fatalf("%+v, %v", got, err)
	}
	to, warnings, err := s.Restore(it.ID, "")
	if err != nil || to != p || len(warnings) > 0 {
		t.Fatalf("%s %v %v", to, warnings, err)
	}
	var first unix.Stat_t
	if err := unix.Lstat(p, &first); err != nil {
		t.Fatal(err)
	}
	accessed := time.Unix(first.Atim.Unix()) // reading may change it
	after, err := os.ReadFile(p)
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the content differs: %v", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode&0o7777 != 0o4751 || st.Mtim.Nano() != when.UnixNano() || !accessed.Equal(when.Add(time.Hour)) {
		t.Errorf("mode %o, modified %v, accessed %v", st.Mode&0o7777, time.Unix(st.Mtim.Unix()).UTC(), accessed)
	}
	if hasXattr {
		b := make([]byte, 10)
		if n, err := unix.Getxattr(p, "user.origin", b); err != nil || string(b[:n]) != "a\x00b" {
			t.Errorf("attribute %q %v", b[:max(n, 0)], err)
		}
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("still listed: %v %v", list, err)
	}
	if left, _ := os.ReadDir(filepath.Join(base, "vault")); len(left) != 0 {
		t.Errorf("content left in the vault: %v", left)
	}
}

func TestRefusals(t *testing.T) {
	base, dir := realDir(t), realDir(t)
	s := open(t, base)
	p := filepath.Join(dir, "f")
	write(t, p, marker)
	mustMake := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mustMake(os.Symlink(p, filepath.Join(dir, "link")))
	mustMake(os.Symlink(dir, filepath.Join(dir, "dirlink")))
	mustMake(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for path, want := range map[string]error{
		filepath.Join(dir, "link"): ErrNoFile, filepath.Join(dir, "fifo"): ErrNoFile, dir: ErrNoFile, filepath.Join(dir, "none"): os.ErrNotExist,
		filepath.Join(dir, "dirlink", "f"): nil, "relative": nil, dir + "/../" + filepath.Base(dir) + "/f": nil,
	} {
		if _, err := s.Take(path, "", nil, ""); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := s.Take(p, strings.Repeat("0", 64), nil, ""); !errors.Is(err, ErrChanged) {
		t.Errorf("another content: %v", err)
	}
	if b, err := os.ReadFile(p); err != nil || string(b) != marker {
		t.Errorf("the file was touched: %q %v", b, err)
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("listed: %v %v", list, err)
	}
	it, err := s.Take(p, "", nil, "")
	mustMake(err)
	write(t, p, "another file")
	if _, _, err := s.Restore(it.ID, ""); !errors.Is(err, ErrExists) {
		t.Errorf("restore over a file: %v", err)
	}
	if _, _, err := s.Restore(it.ID, filepath.Join(dir, "gone", "f")); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--to") {
		t.Errorf("restore into no directory: %v", err)
	}
	if _, _, err := s.Restore(it.ID, filepath.Join(dir, "dirlink", "g")); err == nil {
		t.Error("restored through a link")
	}
	if to, _, err := s.Restore(it.ID, filepath.Join(dir, "other")); err != nil || to == p {
		t.Errorf("restore elsewhere: %v", err)
	}
	if _, err := s.Get("abc"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such item: %v", err)
	}
}

func TestSameContentTwice(t *testing.T) {
	base, dir := realDir(t), realDir(t)
	s := open(t, base)
	var items []Item
	for _, n := range []string{"a", "b"} {
		p := filepath.Join(dir, n)
		write(t, p, marker)
		it, err := s.Take(p, "", nil, "")
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	if _, err := s.Delete(items[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Restore(items[1].ID, ""); err != nil {
		t.Fatalf("the second lost its content with the first: %v", err)
	}
}

// TestCrash leaves each half-done state behind and opens again: the file is
// either in its place or in quarantine, whole, never both and never neither.
func TestCrash(t *testing.T) {
	for name, stop := range map[string]func(t *testing.T, s *Store, p string, it Item){
		"before the removal": func(t *testing.T, s *Store, p string, it Item) {
			t.Helper()
			b := &bytes.Buffer{}
			if err := s.c.Vault.Get(b, it.SHA256); err != nil {
				t.Fatal(err)
			}
			write(t, p, b.String())
			var st unix.Stat_t
			if err := unix.Lstat(p, &st); err != nil {
				t.Fatal(err)
			}
			it.State, it.Inode, it.Device = Taking, st.Ino, st.Dev
			if err := s.save(it); err != nil {
				t.Fatal(err)
			}
		},
		"renamed, not removed": func(t *testing.T, s *Store, p string, it Item) {
			t.Helper()
			h := filepath.Join(filepath.Dir(p), hidden(it.ID))
			write(t, h, marker)
			var st unix.Stat_t
			if err := unix.Lstat(h, &st); err != nil {
				t.Fatal(err)
			}
			it.State, it.Inode, it.Device = Taking, st.Ino, st.Dev
			if err := s.save(it); err != nil {
				t.Fatal(err)
			}
		},
		"removed, not noted": func(t *testing.T, s *Store, _ string, it Item) {
			t.Helper()
			it.State = Taking
			if err := s.save(it); err != nil {
				t.Fatal(err)
			}
		},
		"giving begun": func(t *testing.T, s *Store, p string, it Item) {
			t.Helper()
			it.State, it.To = Giving, p
			if err := s.save(it); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(filepath.Dir(p), hidden(it.ID)), marker[:5])
		},
	} {
		t.Run(name, func(t *testing.T) {
			base, dir := realDir(t), realDir(t)
			s := open(t, base)
			p := filepath.Join(dir, "f")
			write(t, p, marker)
			it, err := s.Take(p, "", nil, "")
			if err != nil {
				t.Fatal(err)
			}
			stop(t, s, p, it)
			s = open(t, base)
			list, err := s.List()
			if err != nil {
				t.Fatal(err)
			}
			got, rerr := os.ReadFile(p)
			inPlace := rerr == nil && string(got) == marker
			if inPlace == (len(list) == 1) {
				t.Fatalf("in its place: %v, in quarantine: %d", inPlace, len(list))
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != "f" {
				t.Errorf("left behind: %v %v", left, err)
			}
			if !inPlace {
				if _, _, err := s.Restore(list[0].ID, ""); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestDamagedRecord(t *testing.T) {
	base := realDir(t)
	open(t, base)
	write(t, filepath.Join(base, "quarantine", "00ff.json"), `{"id": "00`)
	v, err := vault.Open(filepath.Join(base, "vault"), bytes.Repeat([]byte{7}, 32), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: filepath.Join(base, "quarantine"), Vault: v, Now: time.Now}); err == nil || !strings.Contains(err.Error(), "00ff.json") {
		t.Errorf("a damaged record: %v", err)
	}
}

// TestNames takes files whose names JSON cannot hold, and gives them back under
// the same names, also after a kill on the way.
func TestNames(t *testing.T) {
	for name, state := range map[string]State{"a\xff\xfe\x80.exe": Held, "line\nbreak \x1b[31m": Held, "killed \xc3": Taking} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			base, dir := realDir(t), realDir(t)
			s, p := open(t, base), filepath.Join(dir, name)
			write(t, p, marker)
			it, err := s.Take(p, "", nil, "test")
			if err != nil {
				t.Fatal(err)
			}
			if state == Taking { // the record was written, the file not yet taken out
				if _, _, err := s.Restore(it.ID, ""); err != nil {
					t.Fatal(err)
				}
				if it, err = s.Take(p, "", nil, "test"); err != nil {
					t.Fatal(err)
				}
				it.State = Taking
				write(t, p, marker)
				var st unix.Stat_t
				if err := unix.Lstat(p, &st); err != nil {
					t.Fatal(err)
				}
				it.Inode = st.Ino
				if err := s.save(it); err != nil {
					t.Fatal(err)
				}
				s = open(t, base)
				if list, err := s.List(); err != nil || len(list) != 0 {
					t.Errorf("a file that lies in its place counts as taken: %v %v", list, err)
				}
				return
			}
			s = open(t, base)
			if to, _, err := s.Restore(it.ID, ""); err != nil || to != p {
				t.Fatalf("%q %v", to, err)
			}
			if b, err := os.ReadFile(p); err != nil || string(b) != marker {
				t.Errorf("%q %v", b, err)
			}
		})
	}
}
