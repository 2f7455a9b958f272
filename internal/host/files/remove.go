package files

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// remover is a parsed rm.
type remover struct {
	p                                *kernel.Proc
	ctx                              context.Context //nolint:containedctx // lives for one run
	deep, force, dirs, verbose, asks bool
}

func rm(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "dfiIrRv", "force/f interactive? one-file-system no-preserve-root preserve-root? recursive/r dir/d verbose/v")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		if o.Has("f") {
			return 0
		}
		return missing(p, "")
	}
	r := &remover{p: p, ctx: ctx, deep: o.Has("r", "R"), force: o.Last("f", "i") == "f", dirs: o.Has("d"), verbose: o.Has("v"), asks: o.Last("f", "i") == "i"}
	status := 0
	for _, a := range o.Args {
		if b := path.Base(a); r.deep && (b == "." || b == "..") && a != "/" {
			errorf(p, "refusing to remove '.' or '..' directory: skipping %s", quote(a))
			status = 1
			continue
		}
		if path.Clean(p.Abs(a)) == "/" && r.deep && !o.Has("no-preserve-root") {
			errorf(p, "it is dangerous to operate recursively on '/'")
			errorf(p, "use --no-preserve-root to override this failsafe")
			status = 1
			continue
		}
		if !r.remove(a, 0) {
			status = 1
		}
	}
	return status
}

func (r *remover) remove(name string, depth int) bool {
	p := r.p
	in, err := p.M.FS.Lstat(p.Caller, p.Abs(name))
	if err != nil {
		if r.force && (errors.Is(err, vfs.ENOENT) || errors.Is(err, vfs.ENOTDIR)) {
			return true
		}
		errorf(p, "cannot remove %s: %s", quote(name), err)
		return false
	}
	if r.ctx.Err() != nil || depth > 60 || p.Step(5) != nil {
		return false
	}
	if in.Kind == vfs.Dir {
		return r.folder(name, depth)
	}
	if r.asks && !r.yes("remove regular "+map[bool]string{true: "empty "}[in.Size == 0]+"file "+quote(name)) {
		return true
	}
	if err := p.M.FS.Unlink(p.Caller, p.Abs(name)); err != nil {
		errorf(p, "cannot remove %s: %s", quote(name), err)
		return false
	}
	if r.verbose {
		put(p, "removed "+quote(name)+"\n")
	}
	return true
}

func (r *remover) folder(name string, depth int) bool {
	p := r.p
	if !r.deep && !r.dirs {
		errorf(p, "cannot remove %s: %s", quote(name), vfs.EISDIR)
		return false
	}
	list, _ := p.M.FS.ReadDir(p.Caller, p.Abs(name))
	ok := true
	for _, e := range list {
		if !r.deep {
			break
		}
		ok = r.remove(strings.TrimSuffix(name, "/")+"/"+e.Name, depth+1) && ok
	}
	if !ok {
		return false
	}
	if r.asks && !r.yes("remove directory "+quote(name)) {
		return true
	}
	if err := p.M.FS.Rmdir(p.Caller, p.Abs(name)); err != nil {
		errorf(p, "cannot remove %s: %s", quote(name), err)
		return false
	}
	if r.verbose {
		put(p, "removed directory "+quote(name)+"\n")
	}
	return true
}

// yes asks on standard error and reads a line.
func (r *remover) yes(question string) bool {
	r.p.Stderr().Write([]byte("rm: " + question + "? ")) //nolint:errcheck // the visitor's own stderr
	var b [1]byte
	answer := byte(0)
	for range 256 {
		n, err := r.p.Stdin().Read(b[:])
		if n == 0 || err != nil || b[0] == '\n' {
			break
		}
		if answer == 0 {
			answer = b[0] | 0x20
		}
	}
	return answer == 'y'
}

func rmdir(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "pv", "parents/p verbose/v ignore-fail-on-non-empty")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	status := 0
	for _, a := range o.Args {
		for name := strings.TrimSuffix(a, "/"); name != "" && name != "."; name = path.Dir(name) {
			if o.Has("v") {
				put(p, "rmdir: removing directory, "+quote(name)+"\n")
			}
			err := p.M.FS.Rmdir(p.Caller, p.Abs(name))
			if err != nil && (!o.Has("ignore-fail-on-non-empty") || !errors.Is(err, vfs.ENOTEMPTY)) {
				what := ""
				if name != strings.TrimSuffix(a, "/") {
					what = "directory "
				}
				errorf(p, "failed to remove %s%s: %s", what, quote(name), err)
				status = 1
			}
			if err != nil || !o.Has("p") {
				break
			}
		}
	}
	return status
}

func unlink(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "", "")
	switch {
	case o.Bad != "":
		return getopt.Usage(p, o, 1)
	case len(o.Args) == 0:
		return missing(p, "")
	case len(o.Args) > 1:
		errorf(p, "extra operand ‘%s’", o.Args[1])
		return getopt.Hint(p, 1)
	}
	if err := p.M.FS.Unlink(p.Caller, p.Abs(o.Args[0])); err != nil {
		errorf(p, "cannot unlink %s: %s", quote(o.Args[0]), err)
		return 1
	}
	return 0
}

// shred overwrites nothing that matters: the file's bytes are the visitor's.
func shred(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "fn:s:uvxz", "force/f iterations/n size/s remove?/u verbose/v exact/x zero/z random-source=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "file ")
	}
	status := 0
	for _, a := range o.Args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err == nil {
			err = p.M.FS.Access(p.Caller, p.Abs(a), 2)
		}
		if err != nil {
			errorf(p, "%s: failed to open for writing: %s", a, err)
			status = 1
			continue
		}
		passes := max(o.Int("n", 3), 0)
		for i := range min(passes, 100) {
			if o.Has("v") {
				errorf(p, "%s: pass %d/%d (random)...", a, i+1, passes)
			}
		}
		junk := make([]byte, min(in.Size, 1<<20))
		p.M.Rand.Read(junk)                               //nolint:errcheck // it never fails
		p.M.FS.WriteFile(p.Caller, p.Abs(a), junk, 0o600) //nolint:errcheck // the quota decides
		if o.Has("u") {
			p.M.FS.Unlink(p.Caller, p.Abs(a)) //nolint:errcheck // it was writable
		}
	}
	return status
}
