package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxMembers = 20_000

// tarRun is a parsed tar.
type tarRun struct {
	p      *kernel.Proc
	ctx    context.Context //nolint:containedctx // lives for one run
	o      getopt.Opts
	dir    string
	verb   string
	file   string
	strip  int
	status int
	lead   bool // told about the leading "/"
	found  map[string]bool
}

const tarLong = "create/c extract/x get/x list/t append/r update/u concatenate/A file/f gzip/z gunzip/z bzip2/j xz/J auto-compress/a directory/C verbose/v keep-old-files/k to-stdout/O absolute-names/P strip-components= exclude= preserve-permissions/p same-owner no-same-owner overwrite numeric-owner owner= group= mode= no-recursion one-file-system touch/m wildcards files-from/T exclude-from/X remove-files sparse/S same-permissions/p unlink-first/U"

func tarCmd(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		var fault string
		if args, fault = oldTar(args); fault != "" {
			complain(p, "tar: Old option '%s' requires an argument.\nTry 'tar --help' or 'tar --usage' for more information.", fault)
			return 2
		}
	}
	t := &tarRun{p: p, ctx: ctx, dir: p.Dir, found: map[string]bool{}}
	t.o = getopt.Parse(args, "Acdf:jJkmOpPrstuvwxzaC:X:T:SUWhlb:", tarLong)
	switch t.o.Bad {
	case "":
	case "--help", "--version":
		return getopt.Usage(p, t.o, 64)
	default:
		complain(p, "tar: %s\nTry 'tar --help' or 'tar --usage' for more information.", t.o.Bad)
		return 64
	}
	t.verb, t.file, t.strip = t.o.Last("c", "x", "t", "r", "u"), t.o.Get("f"), t.o.Int("strip-components", 0)
	if t.verb == "" {
		complain(p, "tar: You must specify one of the '-Acdtrux', '--delete' or '--test-label' options\nTry 'tar --help' or 'tar --usage' for more information.")
		return 2
	}
	if t.o.Has("C") {
		t.dir = p.Abs(t.o.Get("C"))
		if in, err := p.M.FS.Stat(p.Caller, t.dir); err != nil || in.Kind != vfs.Dir {
			if err == nil {
				err = vfs.ENOTDIR
			}
			complain(p, "tar: %s: Cannot open: %s\ntar: Error is not recoverable: exiting now", t.o.Get("C"), err)
			return 2
		}
	}
	switch t.verb {
	case "c":
		return t.create()
	case "r", "u":
		return t.add()
	}
	return t.read()
}

// oldTar turns "xzf a b" into "-x -z -f a b".
func oldTar(args []string) (out []string, fault string) {
	rest := args[1:]
	for _, c := range args[0] {
		out = append(out, "-"+string(c))
		if strings.ContainsRune("fCXTb", c) {
			if len(rest) == 0 {
				return nil, string(c)
			}
			out, rest = append(out, rest[0]), rest[1:]
		}
	}
	return append(out, rest...), ""
}

func (t *tarRun) say(format string, args ...any) { complain(t.p, "tar: "+format, args...) }

func (t *tarRun) fail(format string, args ...any) int {
	t.say(format, args...)
	t.say("Error is not recoverable: exiting now")
	return 2
}

func (t *tarRun) end() int {
	if t.status != 0 {
		t.say("Exiting with failure status due to previous errors")
	}
	return t.status
}

func (t *tarRun) abs(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(t.dir, "/") + "/" + name
}

func (t *tarRun) excluded(name string) bool {
	for _, pat := range t.o.All("exclude") {
		pat = strings.TrimSuffix(pat, "/")
		if ok, err := path.Match(pat, name); err == nil && ok {
			return true
		}
		if ok, err := path.Match(pat, path.Base(name)); err == nil && ok {
			return true
		}
	}
	return false
}

// create packs the operands.
func (t *tarRun) create() int {
	if len(t.o.Args) == 0 && !t.o.Has("T") {
		t.say("Cowardly refusing to create an empty archive")
		complain(t.p, "Try 'tar --help' or 'tar --usage' for more information.")
		return 2
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	n := 0
	for _, a := range t.o.Args {
		t.pack(w, &b, a, 0, &n)
	}
	w.Close() //nolint:errcheck // to memory
	return t.save(b.Bytes())
}

func (t *tarRun) save(data []byte) int {
	for len(data)%10240 != 0 {
		data = append(data, make([]byte, 10240-len(data)%10240)...)
	}
	kind := ""
	switch {
	case t.o.Has("z") || t.o.Has("a") && strings.HasSuffix(t.file, "gz"):
		kind = "gzip"
	case t.o.Has("j") || t.o.Has("a") && strings.Contains(path.Ext(t.file), "bz"):
		kind = "bzip2"
	case t.o.Has("J") || t.o.Has("a") && strings.HasSuffix(t.file, "xz"):
		kind = "xz"
	}
	if kind != "" {
		data = formatOf(kind).pack(t.p, data)
	}
	if t.file == "-" || t.file == "" {
		if t.file == "" && t.p.IsTTY(1) {
			return t.fail("Refusing to write archive contents to terminal (missing -f option?)")
		}
		t.p.Stdout().Write(data) //nolint:errcheck // the visitor's own output
		return t.end()
	}
	h, err := t.p.M.FS.Open(t.p.Caller, t.p.Abs(t.file), vfs.WriteOnly|vfs.Create|vfs.Truncate, 0o666&^t.p.Umask)
	if err != nil {
		return t.fail("%s: Cannot open: %s", t.file, err)
	}
	defer h.Close() //nolint:errcheck // nothing is buffered
	if _, err := h.Write(data); err != nil {
		return t.fail("%s: Wrote only %d of %d bytes", t.file, 0, len(data))
	}
	return t.end()
}

func (t *tarRun) pack(w *tar.Writer, b *bytes.Buffer, name string, depth int, n *int) {
	if t.excluded(strings.TrimSuffix(name, "/")) {
		return
	}
	in, err := t.p.M.FS.Lstat(t.p.Caller, t.abs(name))
	if err != nil {
		t.say("%s: Cannot stat: %s", name, err)
		t.status = 2
		return
	}
	if *n++; *n > maxMembers || depth > 60 || t.ctx.Err() != nil || t.p.Step(20) != nil || b.Len() > maxUnpacked {
		t.status = 2
		return
	}
	h := &tar.Header{
		Name: name, Mode: int64(in.Mode), Uid: int(in.UID), Gid: int(in.GID), Uname: t.p.M.UserName(in.UID), Gname: t.p.M.GroupName(in.GID), ModTime: in.Mtime.Truncate(time.Second), Format: tar.FormatGNU,
	}
	if strings.HasPrefix(name, "/") && !t.o.Has("P") {
		if !t.lead {
			t.say("Removing leading `/' from member names")
			t.lead = true
		}
		h.Name = strings.TrimLeft(name, "/")
	}
	var data []byte
	switch in.Kind {
	case vfs.Dir:
		h.Typeflag, h.Name = tar.TypeDir, strings.TrimSuffix(h.Name, "/")+"/"
	case vfs.Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, in.Target
	case vfs.File:
		if data, err = t.p.M.FS.ReadFile(t.p.Caller, t.abs(name), maxUnpacked); err != nil {
			t.say("%s: Cannot open: %s", name, err)
			t.status = 2
			return
		}
		h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
	default:
		return
	}
	if err := w.WriteHeader(h); err != nil {
		return
	}
	w.Write(data) //nolint:errcheck // to memory
	t.tell(h)
	if in.Kind != vfs.Dir || t.o.Has("no-recursion") {
		return
	}
	list, err := t.p.M.FS.ReadDir(t.p.Caller, t.abs(name))
	if err != nil {
		t.say("%s: Cannot open: %s", name, err)
		t.status = 2
	}
	for _, e := range list {
		t.pack(w, b, strings.TrimSuffix(name, "/")+"/"+e.Name, depth+1, n)
	}
}

// tell names a member with -v; where the archive goes to standard output, on
// standard error.
func (t *tarRun) tell(h *tar.Header) {
	if !t.o.Has("v") {
		return
	}
	line := h.Name
	if t.o.Count("v") > 1 || t.verb == "t" {
		line = longMember(h)
	}
	if (t.file == "-" || t.file == "") && t.verb == "c" {
		complain(t.p, "%s", line)
		return
	}
	put(t.p, line+"\n")
}

func longMember(h *tar.Header) string {
	kind := byte('-')
	switch h.Typeflag {
	case tar.TypeDir:
		kind = 'd'
	case tar.TypeSymlink:
		kind = 'l'
	case tar.TypeLink:
		kind = 'h'
	}
	mode := []byte("rwxrwxrwx")
	for i := range mode {
		if h.Mode>>(8-i)&1 == 0 {
			mode[i] = '-'
		}
	}
	owner, group := h.Uname, h.Gname
	if owner == "" {
		owner = strconv.Itoa(h.Uid)
	}
	if group == "" {
		group = strconv.Itoa(h.Gid)
	}
	size := strconv.FormatInt(h.Size, 10)
	width := max(18-len(owner)-len(group), len(size))
	line := fmt.Sprintf("%c%s %s/%s %*s %s %s", kind, mode, owner, group, width, size, h.ModTime.UTC().Format("2006-01-02 15:04"), h.Name)
	switch h.Typeflag {
	case tar.TypeSymlink:
		line += " -> " + h.Linkname
	case tar.TypeLink:
		line += " link to " + h.Linkname
	}
	return line
}

func (t *tarRun) add() int {
	data, status := t.load()
	if status != 0 {
		return status
	}
	for len(data) >= 512 && bytes.Count(data[len(data)-512:], []byte{0}) == 512 {
		data = data[:len(data)-512]
	}
	b := bytes.NewBuffer(data)
	w := tar.NewWriter(b)
	n := 0
	for _, a := range t.o.Args {
		t.pack(w, b, a, 0, &n)
	}
	w.Close() //nolint:errcheck // to memory
	return t.save(b.Bytes())
}
