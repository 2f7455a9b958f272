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

func isDir(p *kernel.Proc, name string) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(name))
	return err == nil && in.Kind == vfs.Dir
}

// target is where a copy goes: into dst when it is a directory. It keeps the
// name as the visitor wrote it.
func target(p *kernel.Proc, src, dst string, plain bool) string {
	if !plain && isDir(p, dst) {
		return strings.TrimSuffix(dst, "/") + "/" + path.Base(src)
	}
	return dst
}

// operands splits sources from the destination of cp, mv, install and ln.
func operands(p *kernel.Proc, o getopt.Opts) (srcs []string, dst string, ok bool) {
	args := o.Args
	if o.Has("t") {
		if len(args) == 0 {
			errorf(p, "missing file operand")
			getopt.Hint(p, 1)
			return nil, "", false
		}
		if !isDir(p, o.Get("t")) {
			errorf(p, "target directory %s: No such file or directory", quote(o.Get("t")))
			return nil, "", false
		}
		return args, o.Get("t"), true
	}
	switch len(args) {
	case 0:
		errorf(p, "missing file operand")
	case 1:
		errorf(p, "missing destination file operand after %s", quote(args[0]))
	default:
		dst = args[len(args)-1]
		if len(args) > 2 && !isDir(p, dst) {
			reason := vfs.ENOTDIR
			if _, err := p.M.FS.Stat(p.Caller, p.Abs(dst)); err != nil {
				reason = vfs.ENOENT
			}
			errorf(p, "target %s: %s", quote(dst), reason)
			return nil, "", false
		}
		return args[:len(args)-1], dst, true
	}
	getopt.Hint(p, 1)
	return nil, "", false
}

// copier is a parsed cp.
type copier struct {
	p                                              *kernel.Proc
	ctx                                            context.Context //nolint:containedctx // lives for one run
	deep, keep, verbose, noclobber, update, nolink bool
}

func cp(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abdfHilLnpPrRst:TuvxZS:", "archive/a backup? force/f interactive/i link/l dereference/L no-clobber/n no-dereference/P preserve? no-preserve= parents recursive/R reflink? remove-destination sparse= strip-trailing-slashes symbolic-link/s target-directory/t no-target-directory/T update?/u verbose/v one-file-system/x")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	srcs, dst, ok := operands(p, o)
	if !ok {
		return 1
	}
	c := &copier{p: p, ctx: ctx, deep: o.Has("r", "R", "a"), keep: o.Has("p", "a", "preserve"), verbose: o.Has("v"), noclobber: o.Has("n"), update: o.Has("u"), nolink: o.Has("a", "d", "P")}
	status := 0
	for _, s := range srcs {
		if !c.one(s, target(p, s, dst, o.Has("T"))) {
			status = 1
		}
	}
	return status
}

// one copies an operand.
func (c *copier) one(src, dst string) bool {
	in, err := c.p.M.FS.Stat(c.p.Caller, c.p.Abs(src))
	if lin, e := c.p.M.FS.Lstat(c.p.Caller, c.p.Abs(src)); c.nolink && e == nil {
		in, err = lin, nil
	}
	if err != nil {
		errorf(c.p, "cannot stat %s: %s", quote(src), err)
		return false
	}
	out, e := c.p.M.FS.Stat(c.p.Caller, c.p.Abs(dst))
	there := e == nil
	switch {
	case in.Kind == vfs.Dir && !c.deep:
		errorf(c.p, "-r not specified; omitting directory %s", quote(src))
		return false
	case there && out.Ino == in.Ino && in.Kind != vfs.Dir:
		errorf(c.p, "%s and %s are the same file", quote(src), quote(dst))
		return false
	case there && c.noclobber, there && c.update && !in.Mtime.After(out.Mtime):
		return true
	case in.Kind == vfs.Dir && c.inside(src, dst):
		errorf(c.p, "cannot copy a directory, %s, into itself, %s", quote(src), quote(dst))
		return false
	case in.Kind == vfs.Dir && there && out.Kind != vfs.Dir:
		errorf(c.p, "cannot overwrite non-directory %s with directory %s", quote(dst), quote(src))
		return false
	case there && out.Kind == vfs.Dir && in.Kind != vfs.Dir:
		errorf(c.p, "cannot overwrite directory %s with non-directory", quote(dst))
		return false
	case !there && in.Kind != vfs.Dir && strings.HasSuffix(dst, "/"):
		errorf(c.p, "cannot create regular file %s: %s", quote(dst), vfs.ENOTDIR)
		return false
	}
	return c.copy(src, dst, in, 0)
}

// inside reports whether dst lies in the directory src.
func (c *copier) inside(src, dst string) bool {
	s, err := c.p.M.FS.Resolve(c.p.Caller, c.p.Abs(src))
	if err != nil {
		return false
	}
	d, err := c.p.M.FS.Resolve(c.p.Caller, c.p.Abs(path.Dir(strings.TrimSuffix(dst, "/"))))
	return err == nil && (d == s || strings.HasPrefix(d, s+"/"))
}

func (c *copier) copy(src, dst string, in vfs.Info, depth int) bool {
	if c.ctx.Err() != nil || depth > 60 || c.p.Step(10) != nil {
		return false
	}
	if c.verbose {
		put(c.p, quote(src)+" -> "+quote(dst)+"\n")
	}
	fs, who, abs := c.p.M.FS, c.p.Caller, c.p.Abs(dst)
	switch in.Kind {
	case vfs.Dir:
		return c.folder(src, dst, in, depth)
	case vfs.Symlink:
		fs.Unlink(who, abs) //nolint:errcheck // may not be there
		if err := fs.Symlink(who, in.Target, abs); err != nil {
			errorf(c.p, "cannot create symbolic link %s: %s", quote(dst), err)
			return false
		}
		return true
	}
	content, err := fs.Content(who, c.p.Abs(src))
	if err != nil {
		errorf(c.p, "cannot open %s for reading: %s", quote(src), err)
		return false
	}
	if err := fs.SetContent(who, abs, content, in.Mode&^c.p.Umask&0o777); err != nil {
		errorf(c.p, "cannot create regular file %s: %s", quote(dst), err)
		return false
	}
	if c.keep {
		fs.Chown(who, abs, in.UID, in.GID, true) //nolint:errcheck // best effort, as cp -p
		fs.Chmod(who, abs, in.Mode)              //nolint:errcheck // as above
		fs.Chtimes(who, abs, in.Atime, in.Mtime) //nolint:errcheck // as above
	}
	return true
}

func (c *copier) folder(src, dst string, in vfs.Info, depth int) bool {
	fs, who := c.p.M.FS, c.p.Caller
	if err := fs.Mkdir(who, c.p.Abs(dst), in.Mode&^c.p.Umask&0o777); err != nil && !errors.Is(err, vfs.EEXIST) {
		errorf(c.p, "cannot create directory %s: %s", quote(dst), err)
		return false
	}
	list, err := fs.ReadDir(who, c.p.Abs(src))
	if err != nil {
		errorf(c.p, "cannot access %s: %s", quote(src), err)
		return false
	}
	ok := true
	for _, e := range list {
		child := src + "/" + e.Name
		if e.Kind == vfs.Symlink && !c.nolink && !c.deep {
			if t, err := fs.Stat(who, c.p.Abs(child)); err == nil {
				e = t
			}
		}
		ok = c.copy(child, dst+"/"+path.Base(child), e, depth+1) && ok
	}
	if c.keep {
		fs.Chtimes(who, c.p.Abs(dst), in.Atime, in.Mtime) //nolint:errcheck // best effort, as cp -p
	}
	return ok
}

func install(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bcCdDg:m:o:pst:TvS:", "directory/d mode/m owner/o group/g verbose/v target-directory/t no-target-directory/T strip/s preserve-timestamps/p compare/C")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	mode := uint32(0o755)
	if o.Has("m") {
		m, err := strconv.ParseUint(o.Get("m"), 8, 32)
		if err != nil {
			errorf(p, "invalid mode ‘%s’", o.Get("m"))
			return 1
		}
		mode = uint32(m)
	}
	if o.Has("d") {
		if len(o.Args) == 0 {
			return missing(p, "file ")
		}
		for _, d := range o.Args {
			parents(p, d, false)                   //nolint:errcheck // it says why itself
			p.M.FS.Chmod(p.Caller, p.Abs(d), mode) //nolint:errcheck // just made
		}
		return 0
	}
	srcs, dst, ok := operands(p, o)
	if !ok {
		return 1
	}
	if o.Has("D") {
		parents(p, path.Dir(dst), false) //nolint:errcheck // the copy that follows fails then
	}
	c := &copier{p: p, ctx: ctx, verbose: o.Has("v"), keep: o.Has("p")}
	status := 0
	for _, s := range srcs {
		to := target(p, s, dst, o.Has("T"))
		if isDir(p, s) {
			errorf(p, "omitting directory %s", quote(s))
			status = 1
			continue
		}
		if !c.one(s, to) {
			status = 1
			continue
		}
		p.M.FS.Chmod(p.Caller, p.Abs(to), mode) //nolint:errcheck // just made
	}
	return status
}

func mv(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bfint:TuvZS:", "force/f interactive/i no-clobber/n target-directory/t no-target-directory/T update?/u verbose/v backup? strip-trailing-slashes")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	srcs, dst, ok := operands(p, o)
	if !ok {
		return 1
	}
	status := 0
	for _, s := range srcs {
		to := target(p, s, dst, o.Has("T"))
		if fault := move(p, o, s, to); fault != "" {
			errorf(p, "%s", fault)
			status = 1
		} else if o.Has("v") {
			put(p, "renamed "+quote(s)+" -> "+quote(to)+"\n")
		}
	}
	return status
}

func move(p *kernel.Proc, o getopt.Opts, src, dst string) string {
	in, err := p.M.FS.Lstat(p.Caller, p.Abs(src))
	if err != nil {
		return fmt.Sprintf("cannot stat %s: %s", quote(src), err)
	}
	out, e := p.M.FS.Lstat(p.Caller, p.Abs(dst))
	there := e == nil
	c := &copier{p: p}
	switch {
	case there && out.Ino == in.Ino && in.Kind != vfs.Dir:
		return fmt.Sprintf("%s and %s are the same file", quote(src), quote(dst))
	case in.Kind == vfs.Dir && c.inside(src, dst):
		return fmt.Sprintf("cannot move %s to a subdirectory of itself, %s", quote(src), quote(dst))
	case there && (o.Has("n") || o.Has("u") && !in.Mtime.After(out.Mtime)):
		return ""
	case there && out.Kind == vfs.Dir && in.Kind != vfs.Dir:
		return fmt.Sprintf("cannot overwrite directory %s with non-directory", quote(dst))
	case there && out.Kind != vfs.Dir && in.Kind == vfs.Dir:
		return fmt.Sprintf("cannot overwrite non-directory %s with directory %s", quote(dst), quote(src))
	}
	if err := p.M.FS.Rename(p.Caller, p.Abs(src), p.Abs(dst)); err != nil {
		return fmt.Sprintf("cannot move %s to %s: %s", quote(src), quote(dst), err)
	}
	return ""
}
