package files

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// parents makes a directory and those above it.
func parents(p *kernel.Proc, name string, verbose bool) error {
	name = strings.TrimSuffix(name, "/")
	for i := 1; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		err := p.M.FS.Mkdir(p.Caller, p.Abs(name[:i]), 0o777&^p.Umask)
		if err == nil && verbose {
			put(p, "mkdir: created directory "+quote(name[:i])+"\n")
		}
		in, e := p.M.FS.Stat(p.Caller, p.Abs(name[:i]))
		switch {
		case e == nil && in.Kind == vfs.Dir:
		case e == nil && i < len(name):
			return fmt.Errorf("%s: %w", name[:i], vfs.ENOTDIR)
		case e == nil:
			return fmt.Errorf("%s: %w", name[:i], vfs.EEXIST)
		default:
			return fmt.Errorf("%s: %w", name[:i], err)
		}
	}
	return nil
}

// reason splits what parents says into the place and the system's text.
func reason(err error) (place string, text error) {
	var e vfs.Errno
	errors.As(err, &e)
	return strings.TrimSuffix(err.Error(), ": "+e.Error()), e
}

func mkdir(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "m:pvZ", "mode/m parents/p verbose/v context?")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	status := 0
	for _, a := range o.Args {
		if o.Has("p") {
			if err := parents(p, a, o.Has("v")); err != nil {
				place, text := reason(err)
				errorf(p, "cannot create directory ‘%s’: %s", place, text)
				status = 1
			}
			continue
		}
		if err := p.M.FS.Mkdir(p.Caller, p.Abs(a), 0o777&^p.Umask); err != nil {
			errorf(p, "cannot create directory ‘%s’: %s", a, err)
			status = 1
			continue
		}
		if o.Has("v") {
			put(p, "mkdir: created directory "+quote(a)+"\n")
		}
		if m, ok := ChangeMode(o.Get("m"), vfs.Info{Mode: 0o777, Kind: vfs.Dir}, 0); o.Has("m") && ok {
			p.M.FS.Chmod(p.Caller, p.Abs(a), m) //nolint:errcheck // just made
		}
	}
	return status
}

func ln(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bdfFiLnPrst:TvS:", "backup? directory/d force/f interactive/i logical/L no-dereference/n physical/P relative/r symbolic/s target-directory/t no-target-directory/T verbose/v")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	args := o.Args
	if len(args) == 1 && !o.Has("t", "T") {
		args = append(args, ".")
		o.Args = args
	}
	if len(args) == 0 {
		return missing(p, "file ")
	}
	srcs, dst, ok := operands(p, o)
	if !ok {
		return 1
	}
	plain := o.Has("T")
	if lin, err := p.M.FS.Lstat(p.Caller, p.Abs(dst)); o.Has("n") && err == nil && lin.Kind == vfs.Symlink {
		plain = true
	}
	status := 0
	for _, s := range srcs {
		if !linkOne(p, o, s, target(p, s, dst, plain)) {
			status = 1
		}
	}
	return status
}

func linkOne(p *kernel.Proc, o getopt.Opts, src, dst string) bool {
	fs, who := p.M.FS, p.Caller
	if !o.Has("s") {
		in, err := fs.Stat(who, p.Abs(src))
		if err != nil {
			errorf(p, "failed to access %s: %s", quote(src), err)
			return false
		}
		if in.Kind == vfs.Dir {
			errorf(p, "%s: hard link not allowed for directory", src)
			return false
		}
	}
	if o.Has("f") {
		fs.Unlink(who, p.Abs(dst)) //nolint:errcheck // may not be there
	}
	kind, arrow := "symbolic link", " -> "
	var err error
	if o.Has("s") {
		err = fs.Symlink(who, src, p.Abs(dst))
	} else {
		kind, arrow = "hard link", " => "
		err = fs.Link(who, p.Abs(src), p.Abs(dst))
	}
	if err != nil {
		tail := ""
		if !o.Has("s") && !errors.Is(err, vfs.EEXIST) {
			tail = " => " + quote(src)
		}
		errorf(p, "failed to create %s %s%s: %s", kind, quote(dst), tail, err)
		return false
	}
	if o.Has("v") {
		put(p, quote(dst)+arrow+quote(src)+"\n")
	}
	return true
}

func link(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "", "")
	switch {
	case o.Bad != "":
		return getopt.Usage(p, o, 1)
	case len(o.Args) == 0:
		return missing(p, "")
	case len(o.Args) == 1:
		errorf(p, "missing operand after ‘%s’", o.Args[0])
		return getopt.Hint(p, 1)
	}
	if err := p.M.FS.Link(p.Caller, p.Abs(o.Args[0]), p.Abs(o.Args[1])); err != nil {
		errorf(p, "cannot create link %s to %s: %s", quote(o.Args[1]), quote(o.Args[0]), err)
		return 1
	}
	return 0
}

func mkfifo(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "m:Z", "mode/m context?")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	status := 0
	for _, a := range o.Args {
		if err := p.M.FS.Mknod(p.Caller, p.Abs(a), vfs.FIFO, 0o666&^p.Umask, 0, 0); err != nil {
			errorf(p, "cannot create fifo %s: %s", quote(a), err)
			status = 1
		}
	}
	return status
}

func mknod(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "m:Z", "mode/m context?")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	a := o.Args
	if len(a) == 0 {
		return missing(p, "")
	}
	if len(a) == 1 || len(a) < 4 && a[1] != "p" {
		errorf(p, "missing operand after ‘%s’", a[len(a)-1])
		if len(a) > 1 {
			fmt.Fprint(p.Stderr(), "Special files require major and minor device numbers.\n") //nolint:errcheck // the visitor's own stderr
		}
		return getopt.Hint(p, 1)
	}
	kind := map[string]vfs.Kind{"p": vfs.FIFO, "c": vfs.CharDev, "u": vfs.CharDev, "b": vfs.BlockDev}[a[1]]
	if kind == 0 {
		errorf(p, "invalid device type ‘%s’", a[1])
		return getopt.Hint(p, 1)
	}
	var major, minor uint64
	if kind != vfs.FIFO {
		major, _ = strconv.ParseUint(a[2], 0, 32)
		minor, _ = strconv.ParseUint(a[3], 0, 32)
	}
	if err := p.M.FS.Mknod(p.Caller, p.Abs(a[0]), kind, 0o666&^p.Umask, uint32(major), uint32(minor)); err != nil {
		errorf(p, "%s: %s", a[0], err)
		return 1
	}
	return 0
}

func mktemp(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "dqup?t", "directory/d quiet/q dry-run/u tmpdir?/p suffix=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	dir, tmpl := "", "tmp.XXXXXXXXXX"
	if o.Has("p") && o.Get("p") == "" && len(o.Args) > 0 {
		o.Set("p", o.Args[0])
		o.Args = o.Args[1:]
	}
	if len(o.Args) > 0 {
		tmpl = o.Args[0]
	}
	switch {
	case o.Get("p") != "":
		dir = strings.TrimSuffix(o.Get("p"), "/") + "/"
	case len(o.Args) == 0 || o.Has("t", "p"):
		dir = "/tmp/"
		if t := p.Getenv("TMPDIR"); t != "" {
			dir = strings.TrimSuffix(t, "/") + "/"
		}
	}
	if getopt.Base(p.Args[0]) == "tempfile" {
		dir, tmpl = "/tmp/", "fileXXXXXX"
	}
	b := []byte(dir + tmpl)
	end := len(b)
	for end > 0 && b[end-1] != 'X' && getopt.Base(string(b))[0] != 0 && strings.Contains(string(b), "XXX") {
		end--
	}
	from := end
	for from > 0 && b[from-1] == 'X' {
		from--
	}
	if end-from < 3 {
		errorf(p, "too few X's in template ‘%s’", tmpl)
		return 1
	}
	const set = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for i := from; i < end; i++ {
		b[i] = set[p.M.Rand.IntN(len(set))]
	}
	name := string(b) + o.Get("suffix")
	var err error
	what := "file"
	switch {
	case o.Has("u"):
	case o.Has("d"):
		what = "directory"
		err = p.M.FS.Mkdir(p.Caller, p.Abs(name), 0o700)
	default:
		err = p.M.FS.WriteFile(p.Caller, p.Abs(name), nil, 0o600)
	}
	if err != nil {
		errorf(p, "failed to create %s via template ‘%s’: %s", what, dir+tmpl, err)
		return 1
	}
	put(p, name+"\n")
	return 0
}

func truncate(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "cor:s:", "no-create/c io-blocks/o reference/r size/s")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if !o.Has("s", "r") {
		errorf(p, "you must specify either ‘--size’ or ‘--reference’")
		return getopt.Hint(p, 1)
	}
	spec := o.Get("s")
	n, ok := size(strings.TrimLeft(spec, "+-<>/%"))
	if in, err := p.M.FS.Stat(p.Caller, p.Abs(o.Get("r"))); o.Has("r") && err == nil {
		spec, n, ok = "", in.Size, true
	}
	if !ok {
		errorf(p, "Invalid number: ‘%s’", spec)
		return 1
	}
	if len(o.Args) == 0 {
		return missing(p, "file ")
	}
	status := 0
	for _, a := range o.Args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil && o.Has("c") {
			continue
		}
		want := n
		switch spec[:min(1, len(spec))] {
		case "+":
			want = in.Size + n
		case "-":
			want = max(in.Size-n, 0)
		case "<":
			want = min(in.Size, n)
		case ">":
			want = max(in.Size, n)
		}
		h, err := p.M.FS.Open(p.Caller, p.Abs(a), vfs.WriteOnly|vfs.Create, 0o666&^p.Umask)
		if err == nil {
			if err = h.Truncate(want); err != nil {
				errorf(p, "failed to truncate %s at %d bytes: %s", quote(a), want, err)
				status = 1
			}
			h.Close() //nolint:errcheck // nothing is buffered
			continue
		}
		errorf(p, "cannot open %s for writing: %s", quote(a), err)
		status = 1
	}
	return status
}

func fallocate(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "cdil:no:pvxz", "length/l offset/o keep-size/n punch-hole/p zero-range/z verbose/v")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if !o.Has("l") {
		errorf(p, "no length argument specified")
		return 1
	}
	n, ok := size(o.Get("l"))
	if !ok || n == 0 {
		errorf(p, "invalid length value specified")
		return 1
	}
	if len(o.Args) == 0 {
		errorf(p, "no filename specified")
		return 1
	}
	h, err := p.M.FS.Open(p.Caller, p.Abs(o.Args[0]), vfs.WriteOnly|vfs.Create, 0o666&^p.Umask)
	if err != nil {
		errorf(p, "cannot open %s: %s", o.Args[0], err)
		return 1
	}
	defer h.Close() //nolint:errcheck // nothing is buffered
	if err := h.Truncate(max(n, h.Stat().Size)); err != nil {
		errorf(p, "fallocate failed: %s", err)
		return 1
	}
	return 0
}

func pathchk(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "pP", "portability")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	status := 0
	for _, a := range o.Args {
		switch {
		case a == "":
			errorf(p, "'': No such file or directory")
			status = 1
		case len(path.Base(a)) > 255:
			errorf(p, "limit 255 exceeded by length %d of file name component ‘%s’", len(path.Base(a)), path.Base(a))
			status = 1
		}
	}
	return status
}
