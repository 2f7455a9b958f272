package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// load reads the archive, unpacked; ok is false after an error text.
func (t *tarRun) load() (data []byte, status int) {
	src := t.p.Stdin()
	if t.file != "" && t.file != "-" {
		h, err := t.p.M.FS.Open(t.p.Caller, t.p.Abs(t.file), vfs.ReadOnly, 0)
		if err != nil {
			return nil, t.fail("%s: Cannot open: %s", t.file, err)
		}
		defer h.Close() //nolint:errcheck // only read
		if h.Stat().Kind == vfs.Dir {
			return nil, t.fail("%s: Cannot read: %s\ntar: At beginning of tape, quitting now", t.file, vfs.EISDIR)
		}
		src = h
	} else if t.file == "" && t.p.IsTTY(0) {
		return nil, t.fail("Refusing to read archive contents from terminal (missing -f option?)")
	}
	data, err := slurp(t.p, src)
	if err != nil {
		return nil, t.fail("%s: Cannot read: %s", t.file, vfs.EFBIG)
	}
	tool := t.guess(data)
	if tool == "" {
		return data, 0
	}
	f := formatOf(tool)
	out, err := f.unpack(t.p, data)
	if err != nil {
		r := &packRun{p: t.p, f: f, name: f.tool}
		r.badInput("", err)
		t.say("Child returned status 1")
		return nil, t.fail2()
	}
	return out, 0
}

func (t *tarRun) fail2() int {
	t.say("Error is not recoverable: exiting now")
	return 2
}

// guess is how the archive is packed: what was asked for, else by its head.
func (t *tarRun) guess(data []byte) string {
	switch {
	case t.o.Has("z"):
		return "gzip"
	case t.o.Has("j"):
		return "bzip2"
	case t.o.Has("J"):
		return "xz"
	case t.file == "" || t.file == "-":
		return ""
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(data, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(data, xzMagic):
		return "xz"
	}
	return ""
}

// wanted reports whether a member is one of the operands, or below one.
func (t *tarRun) wanted(name string) bool {
	if len(t.o.Args) == 0 {
		return true
	}
	for _, a := range t.o.Args {
		a = strings.TrimSuffix(a, "/")
		if name == a || strings.TrimSuffix(name, "/") == a || strings.HasPrefix(name, a+"/") {
			t.found[a] = true
			return true
		}
	}
	return false
}

func (t *tarRun) read() int {
	data, status := t.load()
	if status != 0 {
		return status
	}
	r := tar.NewReader(bytes.NewReader(data))
	for n := 0; n < maxMembers && t.ctx.Err() == nil && t.p.Step(20) == nil; n++ {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if n == 0 {
				t.say("This does not look like a tar archive")
			} else {
				return t.fail("Unexpected EOF in archive")
			}
			t.status = 2
			return t.end()
		}
		if !t.wanted(h.Name) || t.excluded(strings.TrimSuffix(h.Name, "/")) {
			continue
		}
		if t.verb == "t" {
			if !t.o.Has("v") {
				put(t.p, h.Name+"\n")
			}
			t.tell(h)
			continue
		}
		t.extract(h, r)
	}
	for _, a := range t.o.Args {
		if !t.found[strings.TrimSuffix(a, "/")] {
			t.say("%s: Not found in archive", a)
			t.status = 2
		}
	}
	return t.end()
}

// target is where a member goes: leading "/" and ".." are cut as GNU tar does.
func (t *tarRun) target(h *tar.Header) string {
	name := h.Name
	for range t.strip {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return ""
		}
		name = rest
	}
	if strings.HasPrefix(name, "/") && !t.o.Has("P") {
		if !t.lead {
			t.say("Removing leading `/' from member names")
			t.lead = true
		}
		name = strings.TrimLeft(name, "/")
	}
	if strings.Contains("/"+name+"/", "/../") && !t.o.Has("P") {
		t.say("%s: Member name contains '..'", name)
		t.status = 2
		return ""
	}
	return name
}

func (t *tarRun) extract(h *tar.Header, r io.Reader) {
	if t.o.Has("O") {
		data, err := slurp(t.p, r)
		if err == nil {
			t.p.Stdout().Write(data) //nolint:errcheck // the visitor's own output
		}
		return
	}
	name := t.target(h)
	if name == "" {
		return
	}
	t.tell(h)
	fs, who, abs := t.p.M.FS, t.p.Caller, t.abs(name)
	for i := 1; i < len(name); i++ {
		if name[i] == '/' {
			fs.Mkdir(who, t.abs(name[:i]), 0o777&^t.p.Umask) //nolint:errcheck // may exist
		}
	}
	mode := uint32(h.Mode) & 0o7777
	if t.p.Caller.UID != 0 {
		mode &^= t.p.Umask
	}
	var err error
	verb := "open"
	switch h.Typeflag {
	case tar.TypeDir:
		verb = "mkdir"
		if err = fs.Mkdir(who, strings.TrimSuffix(abs, "/"), mode); errors.Is(err, vfs.EEXIST) {
			err = nil
		}
	case tar.TypeSymlink:
		verb = "create symlink to ‘" + h.Linkname + "’"
		fs.Unlink(who, abs) //nolint:errcheck // may not be there
		err = fs.Symlink(who, h.Linkname, abs)
	case tar.TypeLink:
		verb = "hard link to ‘" + h.Linkname + "’"
		err = fs.Link(who, t.abs(h.Linkname), abs)
	case tar.TypeReg:
		var data []byte
		if data, err = slurp(t.p, r); err != nil {
			err = vfs.ENOSPC
			break
		}
		fs.Unlink(who, abs) //nolint:errcheck // tar replaces
		if err = fs.WriteFile(who, abs, data, mode); err == nil {
			fs.Chmod(who, abs, mode) //nolint:errcheck // just made
		}
	default:
		return
	}
	if err != nil {
		t.say("%s: Cannot %s: %s", name, verb, err)
		t.status = 2
		return
	}
	if who.UID == 0 {
		fs.Chown(who, abs, uint32(h.Uid), uint32(h.Gid), false) //nolint:errcheck // best effort
	}
	if h.Typeflag == tar.TypeReg {
		fs.Chtimes(who, abs, t.p.Now(), h.ModTime) //nolint:errcheck // as above
	}
}
