package files

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func kindName(in vfs.Info) string {
	switch in.Kind {
	case vfs.Dir:
		return "directory"
	case vfs.Symlink:
		return "symbolic link"
	case vfs.CharDev:
		return "character special file"
	case vfs.BlockDev:
		return "block special file"
	case vfs.FIFO:
		return "fifo"
	case vfs.Socket:
		return "socket"
	}
	if in.Size == 0 {
		return "regular empty file"
	}
	return "regular file"
}

// typeBits are the upper bits of st_mode.
func typeBits(k vfs.Kind) uint32 {
	return [...]uint32{vfs.File: 0o100000, vfs.Dir: 0o40000, vfs.Symlink: 0o120000, vfs.CharDev: 0o20000, vfs.BlockDev: 0o60000, vfs.FIFO: 0o10000, vfs.Socket: 0o140000}[k]
}

func stat(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "Lfc:t", "dereference/L file-system/f format/c printf= terse/t cached=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	status := 0
	for _, a := range o.Args {
		get := p.M.FS.Lstat
		if o.Has("L") {
			get = p.M.FS.Stat
		}
		in, err := get(p.Caller, p.Abs(a))
		if err != nil {
			verb := "cannot statx"
			if o.Has("f") {
				verb = "cannot read file system information for"
			}
			errorf(p, "%s %s: %s", verb, quote(a), err)
			status = 1
			continue
		}
		switch {
		case o.Has("f"):
			statFS(p, o, a)
		case o.Has("printf"):
			put(p, statFormat(p, unbackslash(o.Get("printf")), a, in))
		case o.Has("c"):
			put(p, statFormat(p, o.Get("c"), a, in)+"\n")
		default:
			statLong(p, a, in)
		}
	}
	return status
}

func unbackslash(s string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`, `\0`, "\x00", `\"`, `"`).Replace(s)
}

func statTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000000 -0700") }

func statLong(p *kernel.Proc, name string, in vfs.Info) {
	shown := name
	if in.Kind == vfs.Symlink {
		shown += " -> " + in.Target
	}
	device := ""
	if in.Kind == vfs.CharDev || in.Kind == vfs.BlockDev {
		device = fmt.Sprintf("     Device type: %d,%d", in.Major, in.Minor)
	}
	put(p, fmt.Sprintf("  File: %s\n  Size: %-10d\tBlocks: %-10d IO Block: %-6d %s\nDevice: 8,1\tInode: %-11d Links: %d%s\nAccess: (%04o/%s)  Uid: (%5d/%8s)   Gid: (%5d/%8s)\nAccess: %s\nModify: %s\nChange: %s\n Birth: %s\n",
		shown, in.Size, in.Blocks, 4096, kindName(in), in.Ino, in.Nlink, device, in.Mode, Mode(in), in.UID, p.M.UserName(in.UID), in.GID, p.M.GroupName(in.GID),
		statTime(in.Atime), statTime(in.Mtime), statTime(in.Ctime), statTime(in.Birth)))
}

func statFormat(p *kernel.Proc, form, name string, in vfs.Info) string {
	var b strings.Builder
	for i := 0; i < len(form); i++ {
		if form[i] != '%' || i+1 >= len(form) {
			b.WriteByte(form[i])
			continue
		}
		i++
		start := i
		for i < len(form) && strings.IndexByte("-+ #0123456789.", form[i]) >= 0 {
			i++
		}
		if i >= len(form) {
			break
		}
		if c := form[i]; (c == 'H' || c == 'L') && i+1 < len(form) {
			i++
		}
		text := statField(p, form[i], name, in)
		if spec := form[start:i]; spec != "" && len(spec) < 5 && strings.Trim(spec, "-0123456789") == "" {
			text = fmt.Sprintf("%"+spec+"s", text)
		}
		b.WriteString(text)
	}
	return b.String()
}

func statField(p *kernel.Proc, c byte, name string, in vfs.Info) string { //nolint:funlen // one case a directive
	unix := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	switch c {
	case 'n':
		return name
	case 'N':
		if in.Kind == vfs.Symlink {
			return quote(name) + " -> " + quote(in.Target)
		}
		return quote(name)
	case 's':
		return strconv.FormatInt(in.Size, 10)
	case 'a':
		return strconv.FormatUint(uint64(in.Mode), 8)
	case 'A':
		return Mode(in)
	case 'f':
		return strconv.FormatUint(uint64(typeBits(in.Kind)|in.Mode), 16)
	case 'F':
		return kindName(in)
	case 'u':
		return strconv.Itoa(int(in.UID))
	case 'U':
		return p.M.UserName(in.UID)
	case 'g':
		return strconv.Itoa(int(in.GID))
	case 'G':
		return p.M.GroupName(in.GID)
	case 'i':
		return strconv.FormatUint(in.Ino, 10)
	case 'h':
		return strconv.Itoa(in.Nlink)
	case 'b':
		return strconv.FormatInt(in.Blocks, 10)
	case 'B':
		return "512"
	case 'o':
		return "4096"
	case 'd':
		return "2049"
	case 'D':
		return "801"
	case 't':
		return strconv.FormatUint(uint64(in.Major), 16)
	case 'T':
		return strconv.FormatUint(uint64(in.Minor), 16)
	case 'x':
		return statTime(in.Atime)
	case 'X':
		return unix(in.Atime)
	case 'y':
		return statTime(in.Mtime)
	case 'Y':
		return unix(in.Mtime)
	case 'z':
		return statTime(in.Ctime)
	case 'Z':
		return unix(in.Ctime)
	case 'w':
		return statTime(in.Birth)
	case 'W':
		return unix(in.Birth)
	case 'm':
		return "/"
	case 'C':
		return "?"
	}
	return "%" + string(c)
}

func statFS(p *kernel.Proc, o getopt.Opts, name string) {
	m := p.M.Mounts()[0]
	for _, k := range p.M.Mounts() {
		if k.Target == "/" {
			m = k
		}
	}
	free, kind := (m.SizeKB-m.UsedKB)/4, "ext2/ext3"
	if o.Has("c") {
		put(p, strings.NewReplacer("%T", kind, "%n", name, "%b", strconv.FormatInt(m.SizeKB/4, 10), "%f", strconv.FormatInt(free, 10), "%s", "4096", "%S", "4096", "%a", strconv.FormatInt(free-m.SizeKB/80, 10), "%l", "255").Replace(o.Get("c"))+"\n")
		return
	}
	put(p, fmt.Sprintf("  File: \"%s\"\n    ID: 8f2e5d1c9a7b3e40 Namelen: 255     Type: %s\nBlock size: 4096       Fundamental block size: 4096\nBlocks: Total: %-10d Free: %-10d Available: %d\nInodes: Total: %-10d Free: %d\n", name, kind, m.SizeKB/4, free, free-m.SizeKB/80, m.Inodes, m.Inodes-m.IUsed))
}

// readlink is readlink and realpath.
func readlink(_ context.Context, p *kernel.Proc) int {
	whole := getopt.Base(p.Args[0]) == "realpath"
	o := getopt.Parse(p.Args[1:], "femnqsvzLP", "canonicalize/f canonicalize-existing/e canonicalize-missing/m no-newline/n quiet/q silent/q verbose/v zero/z strip/s logical/L physical/P relative-to= relative-base=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	status := 0
	for _, a := range o.Args {
		var out string
		var err error
		if o.Has("f", "e", "m") || whole {
			out, err = canonical(p, a, o)
		} else {
			out, err = p.M.FS.Readlink(p.Caller, p.Abs(a))
		}
		if err != nil {
			status = 1
			if whole && !o.Has("q") || o.Has("v") {
				errorf(p, "%s: %s", a, err)
			}
			continue
		}
		if !o.Has("n") {
			out += "\n"
		}
		put(p, out)
	}
	return status
}

// canonical resolves a path; only -e wants its last part to exist.
func canonical(p *kernel.Proc, name string, o getopt.Opts) (string, error) {
	out, err := p.M.FS.Resolve(p.Caller, p.Abs(name))
	if err == nil || o.Has("e") {
		return out, err
	}
	abs := path.Clean(p.Abs(name))
	dir, e := p.M.FS.Resolve(p.Caller, path.Dir(abs))
	switch {
	case e == nil && errors.Is(err, vfs.ENOENT):
		return strings.TrimSuffix(dir, "/") + "/" + path.Base(abs), nil
	case o.Has("m"):
		return abs, nil
	}
	return "", err
}

func basename(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+as:z", "multiple/a suffix/s zero/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	args, suffix := o.Args, o.Get("s")
	if len(args) == 0 {
		return missing(p, "")
	}
	if !o.Has("a", "s") {
		if len(args) > 2 {
			errorf(p, "extra operand ‘%s’", args[2])
			return getopt.Hint(p, 1)
		}
		if len(args) == 2 {
			suffix = args[1]
		}
		args = args[:1]
	}
	end := "\n"
	if o.Has("z") {
		end = "\x00"
	}
	for _, a := range args {
		out := path.Base(a)
		if a == "" {
			out = ""
		}
		if out != suffix {
			out = strings.TrimSuffix(out, suffix)
		}
		put(p, out+end)
	}
	return 0
}

func dirname(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+z", "zero/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	end := "\n"
	if o.Has("z") {
		end = "\x00"
	}
	for _, a := range o.Args {
		a = strings.TrimRight(a, "/")
		i := strings.LastIndexByte(a, '/')
		switch {
		case i < 0 && a == "":
			a = "/"
		case i < 0:
			a = "."
		default:
			if a = strings.TrimRight(a[:i], "/"); a == "" {
				a = "/"
			}
		}
		put(p, a+end)
	}
	return 0
}

func which(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "as", "")
	if o.Bad != "" {
		fmt.Fprintf(p.Stderr(), "Illegal option -%s\nUsage: %s [-as] args\n", o.Bad[max(len(o.Bad)-2, 0):len(o.Bad)-1], p.Path) //nolint:errcheck // the visitor's own stderr
		return 2
	}
	if len(o.Args) == 0 {
		return 1
	}
	status := 0
	for _, a := range o.Args {
		found := false
		dirs := strings.Split(p.Getenv("PATH"), ":")
		if strings.Contains(a, "/") {
			dirs = []string{""}
		}
		for _, d := range dirs {
			full := a
			if d != "" {
				full = strings.TrimSuffix(d, "/") + "/" + a
			}
			if f, err := p.LookPath(full); err != nil || !strings.Contains(f, "/") {
				continue
			}
			found = true
			if !o.Has("s") {
				put(p, full+"\n")
			}
			if !o.Has("a") {
				break
			}
		}
		if !found {
			status = 1
		}
	}
	return status
}

func whereis(_ context.Context, p *kernel.Proc) int {
	for _, a := range p.Args[1:] {
		if strings.HasPrefix(a, "-") {
			continue
		}
		line := a + ":"
		for _, d := range []string{"/usr/bin", "/usr/sbin", "/usr/lib", "/etc", "/usr/games", "/usr/local/bin"} {
			if _, err := p.M.FS.Stat(p.Caller, d+"/"+a); err == nil {
				line += " " + d + "/" + a
			}
		}
		if strings.Contains(line, "/bin/") {
			line += " /usr/share/man/man1/" + a + ".1.gz"
		}
		put(p, line+"\n")
	}
	return 0
}

func syncCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "df", "data/d file-system/f")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	status := 0
	for _, a := range o.Args {
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(a)); err != nil {
			errorf(p, "error opening %s: %s", quote(a), err)
			status = 1
		}
	}
	return status
}

func mountpoint(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "qdx", "quiet/q fs-devno/d devno/x nofollow")
	if o.Bad != "" || len(o.Args) == 0 {
		errorf(p, "bad usage")
		return getopt.Hint(p, 1)
	}
	a := o.Args[0]
	if _, err := p.M.FS.Stat(p.Caller, p.Abs(a)); err != nil {
		if !o.Has("q") {
			errorf(p, "%s: %s", a, err)
		}
		return 1
	}
	for _, m := range p.M.Mounts() {
		if m.Target == path.Clean(p.Abs(a)) {
			if !o.Has("q") {
				put(p, a+" is a mountpoint\n")
			}
			return 0
		}
	}
	if !o.Has("q") {
		put(p, a+" is not a mountpoint\n")
	}
	return 32
}

func runParts(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "va:u:", "test list verbose/v report arg/a umask/u regex= exit-on-error reverse")
	if o.Bad != "" || len(o.Args) == 0 {
		errorf(p, "missing operand")
		return getopt.Hint(p, 1)
	}
	list, err := p.M.FS.ReadDir(p.Caller, p.Abs(o.Args[0]))
	if err != nil {
		errorf(p, "failed to open directory %s: %s", o.Args[0], err)
		return 1
	}
	status := 0
	for _, in := range list {
		full := strings.TrimSuffix(o.Args[0], "/") + "/" + in.Name
		if in.Kind != vfs.File || in.Mode&0o111 == 0 && !o.Has("list") || strings.Contains(in.Name, ".") {
			continue
		}
		if o.Has("test", "list") {
			put(p, full+"\n")
			continue
		}
		if st, err := p.Run(ctx, p.Child(append([]string{full}, o.All("a")...)...)); err != nil || st != 0 {
			errorf(p, "%s exited with return code %d", full, st)
			status = 1
		}
	}
	return status
}
