package vfs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func testFS(tb testing.TB) *FS {
	tb.Helper()
	b := NewBuilder(t0)
	b.Text("/etc/passwd", 0o644, 0, 0, t0, "root:x:0:0\n")
	b.Add(Node{Path: "/bin", Kind: Symlink, Mode: 0o777, Target: "usr/bin"})
	b.Add(Node{Path: "/usr/bin/ls", Kind: File, Mode: 0o755, Content: Image("ls", 151344, Elf{Class: 2, Data: 1, Machine: 62, Interp: "/lib64/ld-linux-x86-64.so.2", Seed: 7})})
	b.Add(Node{Path: "/tmp", Kind: Dir, Mode: 0o1777})
	b.Add(Node{Path: "/dev/null", Kind: CharDev, Mode: 0o666, Major: 1, Minor: 3})
	b.Add(Node{Path: "/home/a", Kind: Dir, Mode: 0o700, UID: 1000, GID: 1000})
	return New(b.Build(), Options{Quota: 1 << 20, MaxNodes: 50, MaxFile: 1 << 19, Now: func() time.Time { return t0.Add(time.Hour) }})
}

func TestErrors(t *testing.T) {
	user := Caller{UID: 1001, GID: 1001}
	for _, tt := range []struct {
		name string
		do   func(f *FS) error
		want Errno
	}{
		{"read a missing file", func(f *FS) error { _, err := f.Stat(Root(), "/x"); return err }, ENOENT},
		{"a file as a directory", func(f *FS) error { _, err := f.Stat(Root(), "/etc/passwd/x"); return err }, ENOTDIR},
		{"a file with a slash", func(f *FS) error { _, err := f.Stat(Root(), "/etc/passwd/"); return err }, ENOTDIR},
		{"write without permission", func(f *FS) error { return f.WriteFile(user, "/etc/passwd", nil, 0o644) }, EACCES},
		{"create without permission", func(f *FS) error { return f.WriteFile(user, "/etc/x", nil, 0o644) }, EACCES},
		{"another's home", func(f *FS) error { _, err := f.ReadDir(user, "/home/a"); return err }, EACCES},
		{"a full directory", func(f *FS) error { return f.Rmdir(Root(), "/etc") }, ENOTEMPTY},
		{"a directory as a file", func(f *FS) error { return f.Unlink(Root(), "/etc") }, EISDIR},
		{"a loop", func(f *FS) error {
			f.Symlink(Root(), "/tmp/b", "/tmp/a")
			f.Symlink(Root(), "/tmp/a", "/tmp/b")
			_, err := f.Stat(Root(), "/tmp/a")
			return err
		}, ELOOP},
		{"a long name", func(f *FS) error { return f.Mkdir(Root(), "/tmp/"+strings.Repeat("x", 300), 0o755) }, ENAMETOOLONG},
		{"a file over its limit", func(f *FS) error { return f.WriteFile(Root(), "/tmp/x", make([]byte, 1<<20), 0o644) }, EFBIG},
		{"the quota", func(f *FS) error {
			for _, n := range []string{"a", "b", "c"} {
				if err := f.WriteFile(Root(), "/tmp/"+n, make([]byte, 1<<19), 0o644); err != nil {
					return err
				}
			}
			return nil
		}, ENOSPC},
		{"too many nodes", func(f *FS) error {
			for i := range 60 {
				if err := f.Mkdir(Root(), "/tmp/"+strings.Repeat("d", i+1), 0o755); err != nil {
					return err
				}
			}
			return nil
		}, ENOSPC},
		{"sticky", func(f *FS) error { f.WriteFile(Root(), "/tmp/x", nil, 0o644); return f.Unlink(user, "/tmp/x") }, EPERM},
		{"immutable", func(f *FS) error {
			f.SetAttr(Root(), "/etc/passwd", AttrImmutable)
			return f.WriteFile(Root(), "/etc/passwd", nil, 0)
		}, EPERM},
		{"into itself", func(f *FS) error { f.Mkdir(Root(), "/tmp/d", 0o755); return f.Rename(Root(), "/tmp/d", "/tmp/d/e") }, EINVAL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(testFS(t)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestViewsAreApart(t *testing.T) {
	a := testFS(t)
	b := New(a.base, a.opt)
	if err := a.WriteFile(Root(), "/etc/passwd", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.Unlink(Root(), "/bin/ls"); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.ReadFile(Root(), "/etc/passwd", 100); string(got) != "root:x:0:0\n" {
		t.Errorf("the other view reads %q", got)
	}
	if _, err := b.Stat(Root(), "/usr/bin/ls"); err != nil {
		t.Error(err)
	}
	if _, err := a.Stat(Root(), "/usr/bin/ls"); !errors.Is(err, ENOENT) {
		t.Errorf("got %v", err)
	}
	var paths []string
	for _, c := range a.Changes() {
		paths = append(paths, c.Path)
	}
	if got := strings.Join(paths, " "); got != "/etc /etc/passwd /usr /usr/bin /usr/bin/ls" {
		t.Errorf("changes: %s", got)
	}
}

func TestCopyOfAProgramStaysOne(t *testing.T) {
	f := testFS(t)
	c, err := f.Content(Root(), "/bin/ls")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetContent(Root(), "/tmp/x", c, 0o755); err != nil {
		t.Fatal(err)
	}
	in, _ := f.Stat(Root(), "/tmp/x")
	if in.Impl != "ls" || in.Size != 151344 {
		t.Errorf("got %+v", in)
	}
	h, _ := f.Open(Root(), "/tmp/x", WriteOnly|Append, 0)
	io.WriteString(h, "x")
	h.Close()
	if in, _ = f.Stat(Root(), "/tmp/x"); in.Impl != "" || in.Size != 151345 {
		t.Errorf("after a write: %+v", in)
	}
	head := make([]byte, 20)
	c.ReadAt(head, 0)
	if string(head[:4]) != "\x7fELF" || head[18] != 62 {
		t.Errorf("header % x", head)
	}
}

func TestLossIsTold(t *testing.T) {
	f := testFS(t)
	var got []string
	f.OnLoss(func(p string, c Content) {
		b := make([]byte, c.Size())
		c.ReadAt(b, 0)
		got = append(got, p+"="+string(b))
	})
	f.WriteFile(Root(), "/tmp/a", []byte("one"), 0o644)
	f.WriteFile(Root(), "/tmp/a", []byte("two"), 0o644)
	f.Unlink(Root(), "/tmp/a")
	f.Unlink(Root(), "/etc/passwd")
	if s := strings.Join(got, " "); s != "/tmp/a=one /tmp/a=two" {
		t.Errorf("got %s", s)
	}
}

func TestSnapshotRestores(t *testing.T) {
	f := testFS(t)
	f.WriteFile(Root(), "/tmp/a", []byte("one"), 0o640)
	f.Mkdir(Root(), "/root", 0o700)
	f.Mkdir(Root(), "/root/.ssh", 0o700)
	f.Mkdir(Root(), "/root/.ssh", 0o700)
	f.Unlink(Root(), "/etc/passwd")
	c, _ := f.Content(Root(), "/bin/ls")
	f.SetContent(Root(), "/tmp/ls", c, 0o777)
	snap, _, err := f.Snapshot(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Restore(f.base, f.opt, snap)
	if err != nil {
		t.Fatal(err)
	}
	again, _, _ := g.Snapshot(1 << 20)
	if string(again) != string(snap) {
		t.Errorf("differs:\n%s\n%s", snap, again)
	}
	if in, _ := g.Stat(Root(), "/tmp/ls"); in.Impl != "ls" {
		t.Errorf("the program is gone: %+v", in)
	}
	if g.Generation() != 0 || f.Generation() == 0 {
		t.Errorf("generations %d and %d", g.Generation(), f.Generation())
	}
}

func TestSnapshotLeavesOutTheLargest(t *testing.T) {
	f := testFS(t)
	f.WriteFile(Root(), "/tmp/small", []byte("one"), 0o640)
	f.WriteFile(Root(), "/tmp/large", make([]byte, 5000), 0o640)
	f.Link(Root(), "/tmp/large", "/tmp/too")
	snap, omitted, err := f.Snapshot(4096)
	if err != nil || omitted != 2 {
		t.Fatalf("omitted %d, %v", omitted, err)
	}
	g, err := Restore(f.base, f.opt, snap)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/tmp/small": true, "/tmp/large": false, "/tmp/too": false} {
		if _, err := g.Lstat(Root(), path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestPoolBoundsAllViews(t *testing.T) {
	f := testFS(t)
	o := f.opt
	o.Pool = NewPool(1000)
	a, b := New(f.base, o), New(f.base, o)
	if err := a.WriteFile(Root(), "/tmp/a", make([]byte, 700), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteFile(Root(), "/tmp/b", make([]byte, 700), 0o644); !errors.Is(err, ENOSPC) {
		t.Errorf("over the pool: %v", err)
	}
	a.Unlink(Root(), "/tmp/a")
	if err := b.WriteFile(Root(), "/tmp/b", make([]byte, 700), 0o644); err != nil {
		t.Errorf("after a removal: %v", err)
	}
	b.Release()
	b.Unlink(Root(), "/tmp/b")
	b.Release()
	if n := o.Pool.Used(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
}

// view lists everything that a visitor can see of f.
func view(f *FS) map[string]string {
	out := map[string]string{}
	var walk func(string)
	walk = func(dir string) {
		list, _ := f.ReadDir(Root(), dir)
		for _, in := range list {
			p := strings.TrimSuffix(dir, "/") + "/" + in.Name
			text := ""
			if in.Kind == File {
				b, _ := f.ReadFile(Root(), p, 1<<20)
				text = fmt.Sprintf("%x", sha256.Sum256(b))
			}
			nlink := in.Nlink
			if in.Kind == Dir {
				nlink = 0
			}
			out[p] = fmt.Sprint(in.Kind, in.Mode, in.UID, in.GID, nlink, in.Mtime.UnixNano(), in.Target, in.Major, in.Minor, in.Attr, in.Impl, text)
			if in.Kind == Dir {
				walk(p)
			}
		}
	}
	walk("/")
	return out
}

// TestSnapshotOfAnything: whatever a visitor does, he finds it again.
func TestSnapshotOfAnything(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		f := testFS(t)
		now := time.Unix(1_700_000_000, 0)
		f.opt.Now = func() time.Time { now = now.Add(time.Second); return now }
		paths := []string{"/bin/ls", "/etc/passwd", "/tmp", "/etc", "/tmp/a", "/tmp/b", "/tmp/d", "/tmp/d/x", "/etc/n", "/home", "/tmp/d/e", "/tmp/ls"}
		pick := func() string { return paths[r.IntN(len(paths))] }
		var log []string
		for range 1 + r.IntN(25) {
			p, q := pick(), pick()
			op := r.IntN(11)
			log = append(log, fmt.Sprint(op, " ", p, " ", q))
			switch op {
			case 0, 1:
				f.WriteFile(Root(), p, []byte(fmt.Sprint("text", r.IntN(1000))), 0o644)
			case 2:
				f.Mkdir(Root(), p, 0o755)
			case 3:
				f.Unlink(Root(), p)
			case 4:
				f.Rmdir(Root(), p)
			case 5, 6:
				f.Rename(Root(), p, q)
			case 7:
				f.Symlink(Root(), q, p)
			case 8:
				f.Link(Root(), p, q)
			case 9:
				f.Chmod(Root(), p, uint32(r.IntN(0o7777)))
				f.Chown(Root(), p, uint32(r.IntN(3)), 5, false)
			case 10:
				if c, err := f.Content(Root(), p); err == nil {
					f.SetContent(Root(), q, c, 0o755)
				}
			}
		}
		snap, _, err := f.Snapshot(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		g, err := Restore(f.base, Options{Quota: f.opt.Quota, MaxNodes: f.opt.MaxNodes, MaxFile: f.opt.MaxFile}, snap)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(view(f), view(g)); diff != "" {
			t.Fatalf("seed %d, %v:\n%s", seed, log, diff)
		}
	}
}

func FuzzRestore(f *testing.F) {
	fs := testFS(f)
	fs.WriteFile(Root(), "/tmp/a", []byte("one"), 0o640)
	fs.Link(Root(), "/tmp/a", "/tmp/b")
	fs.Rename(Root(), "/etc", "/tmp/etc")
	snap, _, _ := fs.Snapshot(1 << 20)
	f.Add(snap)
	f.Add([]byte("\x10\x00\x00\x00{\"version\":2}   "))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := Restore(fs.base, fs.opt, data)
		if err != nil {
			return
		}
		if used, nodes := g.Used(); used > fs.opt.Quota || nodes > fs.opt.MaxNodes {
			t.Fatalf("over the limits: %d bytes, %d nodes", used, nodes)
		}
		if _, _, err := g.Snapshot(1 << 20); err != nil {
			t.Fatalf("what was restored cannot be kept again: %v", err)
		}
	})
}

func BenchmarkNew(b *testing.B) {
	f := testFS(b)
	for b.Loop() {
		New(f.base, f.opt)
	}
}

func TestMarkedFilesAreTold(t *testing.T) {
	b := NewBuilder(time.Unix(0, 0))
	b.Add(Node{Path: "/srv/key", Kind: File, Mode: 0o644, Content: Bytes([]byte("x")), Mark: "t1"})
	b.Add(Node{Path: "/srv/plain", Kind: File, Mode: 0o644, Content: Bytes([]byte("x"))})
	b.Add(Node{Path: "/srv/link", Kind: Symlink, Mode: 0o777, Target: "key"})
	f := New(b.Build(), Options{Now: time.Now})
	var told []string
	f.OnMark(func(path, mark string) { told = append(told, path+" "+mark) })
	for _, o := range []struct {
		path string
		fl   Flags
	}{{"/srv/plain", 0}, {"/srv/key", 0}, {"/srv/link", 0}, {"/srv/key", WriteOnly}, {"/srv/none", 0}, {"/srv/key", ReadWrite}} {
		if h, err := f.Open(Root(), o.path, o.fl, 0); err == nil {
			h.Close()
		}
	}
	if want := []string{"/srv/key t1", "/srv/key t1", "/srv/key t1"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}
