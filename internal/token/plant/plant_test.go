//go:build unix

package plant

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/token"
)

var (
	old     = time.Date(2025, 3, 4, 10, 11, 12, 0, time.UTC)
	ordered = []token.File{
		{Path: ".ssh/id_x", Content: []byte("KEY\n"), Mode: 0o600, Time: old},
		{Path: ".ssh/config", Content: []byte("Host nas1\n  User x\n"), Mode: 0o600, Time: old, Append: true, Guard: []string{"nas1"}},
		{Path: ".env", Content: []byte("A=1\n"), Mode: 0o640, Time: old, Else: []string{".env.bak"}},
	}
)

// home makes a directory with these files in it.
func home(t *testing.T, files map[string]string) (string, *Local) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return dir, d
}

// contents are the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		switch {
		case err != nil || rel == ".":
			return err
		case e.IsDir():
			out[rel] = "dir"
			return nil
		}
		data, err := os.ReadFile(p)
		out[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func put(t *testing.T, d Dir, files []token.File) []token.Part {
	t.Helper()
	steps, err := Plan(d, files)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := Apply(d, steps)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// TestPlantAndRemove: what was there before is there after, byte for byte.
func TestPlantAndRemove(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before map[string]string
		during map[string]string
	}{
		{"into nothing", nil, map[string]string{".ssh": "dir", ".ssh/id_x": "KEY\n", ".ssh/config": "Host nas1\n  User x\n", ".env": "A=1\n"}},
		{
			"beside others",
			map[string]string{".ssh/config": "Host a\n  User b\n", ".env": "REAL=1"},
			map[string]string{".ssh": "dir", ".ssh/id_x": "KEY\n", ".ssh/config": "Host a\n  User b\n\nHost nas1\n  User x\n", ".env": "REAL=1", ".env.bak": "A=1\n"},
		},
		{
			"after a line without an end",
			map[string]string{".ssh/config": "Host a\n  User nas11"},
			map[string]string{".ssh": "dir", ".ssh/id_x": "KEY\n", ".ssh/config": "Host a\n  User nas11\nHost nas1\n  User x\n", ".env": "A=1\n"},
		},
		{
			"to an empty file",
			map[string]string{".ssh/config": ""},
			map[string]string{".ssh": "dir", ".ssh/id_x": "KEY\n", ".ssh/config": "Host nas1\n  User x\n", ".env": "A=1\n"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, d := home(t, tt.before)
			start := contents(t, dir)
			parts := put(t, d, ordered)
			if d := cmp.Diff(tt.during, contents(t, dir)); d != "" {
				t.Errorf("planted (-want +got):\n%s", d)
			}
			for name := range tt.during {
				st, err := os.Stat(filepath.Join(dir, name))
				if err != nil || !st.ModTime().Equal(old) && !st.IsDir() {
					t.Errorf("%s was changed %v: %v", name, st.ModTime(), err)
				}
			}
			if err := Check(d, parts); err != nil {
				t.Error(err)
			}
			if err := Remove(d, parts); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(start, contents(t, dir)); d != "" {
				t.Errorf("removed (-before +after):\n%s", d)
			}
			if err := Remove(d, parts); err != nil && !errors.Is(err, ErrChanged) {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

// TestRefused: nothing is done where anything could change for the owner.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before map[string]string
		link   [2]string // name, target
		want   string
	}{
		{"the file is there", map[string]string{".ssh/id_x": "real"}, [2]string{}, "is there already"},
		{"all names are taken", map[string]string{".env": "", ".env.bak": ""}, [2]string{}, ".env is there already, and so are the other names"},
		{"the host is known", map[string]string{".ssh/config": "Host x nas1\n"}, [2]string{}, `speaks of "nas1" already`},
		{"a linked file", nil, [2]string{".env", "/etc/passwd"}, ""}, // the other name is taken
		{"a linked file to add to", map[string]string{".ssh/x": ""}, [2]string{".ssh/config", "x"}, "no link is followed"},
		{"a linked directory", map[string]string{"y/z": ""}, [2]string{".ssh", "y"}, "symbolic link"},
		{"a linked directory outside", nil, [2]string{".ssh", "/tmp"}, "symbolic link"},
		{"no directory", map[string]string{".ssh": ""}, [2]string{}, "not a directory"},
		{"a big file", map[string]string{".ssh/config": strings.Repeat("x", maxFile+1)}, [2]string{}, "more than a file of its kind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, d := home(t, tt.before)
			if tt.link[0] != "" {
				if err := os.Symlink(tt.link[1], filepath.Join(dir, tt.link[0])); err != nil {
					t.Fatal(err)
				}
			}
			steps, err := Plan(d, ordered)
			if tt.want == "" {
				if err != nil || steps[2].Path != ".env.bak" {
					t.Errorf("%v, %v", steps, err)
				}
				return
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, path := range []string{"../x", "/x", "a/../../x", ""} {
		_, d := home(t, nil)
		if _, err := Plan(d, []token.File{{Path: path}}); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestChangedMeanwhile: what changed between plan and act is not touched, and
// what was done before is undone.
func TestChangedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(dir string) error
	}{
		{"a file grew", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ".ssh/config"), []byte("Host b\n#"), 0o600)
		}},
		{"a file became a link", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, ".ssh/config")), os.Symlink("/etc/passwd", filepath.Join(dir, ".ssh/config")))
		}},
		{"a link within", func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, ".ssh/config"), filepath.Join(dir, "moved")), os.WriteFile(filepath.Join(dir, "other"), nil, 0o600), os.Symlink("../other", filepath.Join(dir, ".ssh/config")))
		}},
		{"a name was taken", func(dir string) error { return os.WriteFile(filepath.Join(dir, ".env"), []byte("REAL"), 0o600) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, d := home(t, map[string]string{".ssh/config": "Host a\n"})
			steps, err := Plan(d, ordered)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.do(dir); err != nil {
				t.Fatal(err)
			}
			before := contents(t, dir)
			if parts, err := Apply(d, steps); err == nil {
				t.Errorf("it was planted: %v", parts)
			}
			if d := cmp.Diff(before, contents(t, dir)); d != "" {
				t.Errorf("(-before +after):\n%s", d)
			}
		})
	}
}

// TestRemoveChanged: a part is found where lines before it changed, and stays
// where it changed itself.
func TestRemoveChanged(t *testing.T) {
	dir, d := home(t, map[string]string{".ssh/config": "Host a\n  User b\n"})
	parts := put(t, d, ordered)
	conf := filepath.Join(dir, ".ssh/config")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(conf, "Host new\n  User c\nHost a\n  User b\n\nHost nas1\n  User x\nHost later\n")
	write(filepath.Join(dir, ".env"), "A=2\n")
	err := Remove(d, parts)
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), ".env") {
		t.Errorf("%v", err)
	}
	want := map[string]string{".ssh": "dir", ".ssh/config": "Host new\n  User c\nHost a\n  User b\nHost later\n", ".env": "A=2\n"}
	if d := cmp.Diff(want, contents(t, dir)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := Check(d, parts); err == nil {
		t.Error("what is gone is there")
	}
}

// TestValid: what would open something is not planted.
func TestValid(t *testing.T) {
	files := []token.File{{Path: ".ssh/k.pub", Content: []byte("ssh-ed25519 AAAAkey comment\n")}}
	lists, _ := home(t, map[string]string{"passwd": "root:x:0:0::/:/bin/sh\nSVC-used:x:7:7::/:/bin/sh\n", "export.csv": "\"anna\";x\nsvc-free2;y\n"})
	for _, tt := range []struct{ name, user, keys, want string }{
		{"nobody's", "svc-free", "ssh-ed25519 AAAAother x\n", ""},
		{"of this machine", "root", "", "exists on this machine"},
		{"of a list", "svc-used", "", "passwd:2"},
		{"of an export", "anna", "", "export.csv:1"},
		{"an authorised key", "svc-free", "ssh-ed25519 AAAAkey\n", "authorized_keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, d := home(t, map[string]string{".ssh/authorized_keys": tt.keys})
			row := &token.Token{Names: map[string]string{"user": tt.user}}
			err := Valid(t.Context(), d, []string{filepath.Join(lists, "passwd"), filepath.Join(lists, "export.csv")}, row, files)
			if (tt.want == "") != (err == nil) || err != nil && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v", err)
			}
		})
	}
	_, d := home(t, nil)
	if err := Valid(t.Context(), d, []string{"/nowhere"}, &token.Token{Names: map[string]string{"user": "x-y-z"}}, nil); err == nil {
		t.Error("a list that is not there is passed over")
	}
}

// TestAccessTime: looking at a file leaves no trace in its times.
func TestAccessTime(t *testing.T) {
	dir, d := home(t, nil)
	parts := put(t, d, ordered)
	unread, known := d.Unread(".env", old)
	if !known {
		t.Skip("this file system keeps no times of access")
	}
	if !unread {
		t.Error("it was read")
	}
	if err := Check(d, parts); err != nil {
		t.Fatal(err)
	}
	if unread, _ := d.Unread(".env", old); !unread {
		t.Error("looking at it counts as reading")
	}
	if _, err := os.ReadFile(filepath.Join(dir, ".env")); err != nil {
		t.Fatal(err)
	}
	if unread, _ := d.Unread(".env", old); unread {
		t.Error("it was read, and that is not seen")
	}
}

// TestBundle: the manifest, the note and the files of a bundle go together.
func TestBundle(t *testing.T) {
	row := &token.Token{ID: token.ID{1}, Kind: "ssh", Host: "web01", Created: old, Names: map[string]string{"user": "svc-1"}}
	files, parts, err := Bundle(row, ordered)
	if err != nil {
		t.Fatal(err)
	}
	dir, d := home(t, nil)
	put(t, d, files)
	got := contents(t, dir)
	for _, f := range ordered {
		name := "files/" + f.Path
		if got[name] != string(f.Content) || !strings.Contains(got["INSTALL.txt"], name) || !strings.Contains(got["manifest.json"], name) {
			t.Errorf("%s is %q; the note:\n%s\nthe manifest:\n%s", name, got[name], got["INSTALL.txt"], got["manifest.json"])
		}
		if !slices.ContainsFunc(parts, func(p token.Part) bool { return p.Path == f.Path && p.Whole != f.Append }) {
			t.Errorf("no part for %s", f.Path)
		}
	}
}
