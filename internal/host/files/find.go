package files

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/strftime"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// findRun is one run of find.
type findRun struct {
	p        *kernel.Proc
	ctx      context.Context //nolint:containedctx // lives for one run
	expr     *findNode
	max, min int
	depth    bool
	follow   bool
	acts     bool
	quit     bool
	prune    bool
	status   int
	batches  []*findNode
}

func find(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	f := &findRun{p: p, ctx: ctx, max: 1 << 20}
	for len(args) > 0 && (args[0] == "-H" || args[0] == "-L" || args[0] == "-P" || strings.HasPrefix(args[0], "-O") || args[0] == "-D") {
		f.follow = args[0] == "-L" || f.follow && args[0] != "-P"
		if args[0] == "-D" && len(args) > 1 {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "--version" {
		put(p, "find (GNU findutils) 4.9.0\n")
		return 0
	}
	var roots []string
	for len(args) > 0 && (args[0] == "" || args[0][0] != '-' && args[0] != "!" && args[0] != "(" && args[0] != ")" && args[0] != ",") {
		roots = append(roots, args[0])
		args = args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	pr := &findParser{f: f, t: args}
	if len(args) > 0 {
		f.expr = pr.list()
		if pr.fault == "" && pr.i < len(args) {
			pr.fault = "paths must precede expression: `" + args[pr.i] + "'"
		}
	}
	if pr.fault != "" {
		errorf(p, "%s", pr.fault)
		return 1
	}
	for _, r := range roots {
		f.walk(r, 0)
	}
	for _, n := range f.batches {
		f.flush(n)
	}
	return f.status
}

func (f *findRun) walk(name string, depth int) {
	get := f.p.M.FS.Lstat
	if f.follow {
		get = f.p.M.FS.Stat
	}
	in, err := get(f.p.Caller, f.p.Abs(name))
	if name == "" {
		err = vfs.ENOENT
	}
	if err != nil {
		errorf(f.p, "‘%s’: %s", name, err)
		f.status = 1
		return
	}
	if f.quit || f.ctx.Err() != nil || depth > 200 || f.p.Step(10) != nil {
		return
	}
	f.prune = false
	if !f.depth && depth >= f.min {
		f.visit(name, in)
	}
	if in.Kind == vfs.Dir && depth < f.max && !f.prune && !f.quit {
		list, err := f.p.M.FS.ReadDir(f.p.Caller, f.p.Abs(name))
		if err != nil {
			errorf(f.p, "‘%s’: %s", name, err)
			f.status = 1
		}
		for _, e := range list {
			f.walk(strings.TrimSuffix(name, "/")+"/"+e.Name, depth+1)
		}
	}
	if f.depth && depth >= f.min && !f.quit {
		f.visit(name, in)
	}
}

func (f *findRun) visit(name string, in vfs.Info) {
	ok := f.expr == nil || f.eval(f.expr, name, in)
	if ok && !f.acts {
		put(f.p, name+"\n")
	}
}

func (f *findRun) eval(n *findNode, name string, in vfs.Info) bool {
	if f.quit || f.p.Step(1) != nil {
		return false
	}
	switch n.op {
	case "and":
		return f.eval(n.a, name, in) && f.eval(n.b, name, in)
	case "or":
		return f.eval(n.a, name, in) || f.eval(n.b, name, in)
	case ",":
		f.eval(n.a, name, in)
		return f.eval(n.b, name, in)
	case "not":
		return !f.eval(n.a, name, in)
	case "-exec", "-execdir", "-ok", "-print", "-print0", "-delete", "-ls", "-printf", "-quit", "-prune", "-fprint":
		return f.act(n, name, in)
	}
	return f.test(n, name, in)
}

func (n *findNode) compares(v int64) bool {
	switch n.sign {
	case '+':
		return v > n.num
	case '-':
		return v < n.num
	}
	return v == n.num
}

func (f *findRun) test(n *findNode, name string, in vfs.Info) bool { //nolint:funlen // one case a test
	now, access := f.p.Now(), func(bits uint32) bool { return f.p.M.FS.Access(f.p.Caller, f.p.Abs(name), bits) == nil }
	age := func(t time.Time, unit time.Duration) bool { return n.compares(int64(now.Sub(t) / unit)) }
	switch n.op {
	case "-name", "-iname":
		return n.re.MatchString(path.Base(name))
	case "-path", "-wholename", "-ipath", "-regex", "-iregex":
		return n.re.MatchString(name)
	case "-lname":
		return in.Kind == vfs.Symlink && n.re.MatchString(in.Target)
	case "-type":
		return strings.IndexByte(n.arg, "fdlcbps"[in.Kind]) >= 0
	case "-perm":
		return perm(n.arg, in.Mode)
	case "-size":
		unit := int64(max(n.uid, 1))
		return n.compares((in.Size + unit - 1) / unit)
	case "-uid":
		return in.UID == n.uid
	case "-gid":
		return in.GID == n.uid
	case "-nouser":
		return f.p.M.UserName(in.UID) == strconv.Itoa(int(in.UID))
	case "-nogroup":
		return f.p.M.GroupName(in.GID) == strconv.Itoa(int(in.GID))
	case "-empty":
		if in.Kind == vfs.Dir {
			list, err := f.p.M.FS.ReadDir(f.p.Caller, f.p.Abs(name))
			return err == nil && len(list) == 0
		}
		return in.Size == 0 && in.Kind == vfs.File
	case "-mtime":
		return age(in.Mtime, 24*time.Hour)
	case "-mmin":
		return age(in.Mtime, time.Minute)
	case "-ctime":
		return age(in.Ctime, 24*time.Hour)
	case "-cmin":
		return age(in.Ctime, time.Minute)
	case "-atime":
		return age(in.Atime, 24*time.Hour)
	case "-amin":
		return age(in.Atime, time.Minute)
	case "-newer":
		return in.Mtime.After(n.info.Mtime)
	case "-samefile":
		return in.Ino == n.info.Ino
	case "-links":
		return n.compares(int64(in.Nlink))
	case "-inum":
		return n.compares(int64(in.Ino))
	case "-writable":
		return access(2)
	case "-readable":
		return access(4)
	case "-executable":
		return access(1)
	case "-fstype":
		return n.arg == "ext4"
	case "-false":
		return false
	}
	return true
}

func perm(spec string, mode uint32) bool {
	text := strings.TrimLeft(spec, "-/")
	m, ok := ChangeMode(text, vfs.Info{}, 0)
	if !ok {
		return false
	}
	switch spec[0] {
	case '-':
		return mode&m == m
	case '/':
		return mode&m != 0 || m == 0
	}
	return mode == m
}

func (f *findRun) act(n *findNode, name string, in vfs.Info) bool {
	switch n.op {
	case "-print", "-fprint":
		put(f.p, name+"\n")
	case "-print0":
		put(f.p, name+"\x00")
	case "-printf":
		put(f.p, findFormat(f.p, n.arg, name, in))
	case "-ls":
		put(f.p, fmt.Sprintf("%9d %6d %s %3d %-8s %-8s %8d %s %s\n", in.Ino, in.Blocks/2, Mode(in), in.Nlink, f.p.M.UserName(in.UID), f.p.M.GroupName(in.GID), in.Size, Date(in.Mtime, f.p.Now()), name))
	case "-delete":
		err := f.p.M.FS.Unlink(f.p.Caller, f.p.Abs(name))
		if in.Kind == vfs.Dir {
			err = f.p.M.FS.Rmdir(f.p.Caller, f.p.Abs(name))
		}
		if err != nil {
			errorf(f.p, "cannot delete ‘%s’: %s", name, err)
			f.status = 1
		}
		return err == nil
	case "-quit":
		f.quit = true
	case "-prune":
		f.prune = true
	default:
		if n.plus {
			if n.names = append(n.names, name); len(n.names) >= 2000 {
				f.flush(n)
			}
			return true
		}
		cmd := make([]string, len(n.cmd))
		for i, w := range n.cmd {
			cmd[i] = strings.ReplaceAll(w, "{}", name)
		}
		return f.run(cmd) == 0
	}
	return true
}

func (f *findRun) flush(n *findNode) {
	if len(n.names) == 0 {
		return
	}
	if f.run(append(append([]string{}, n.cmd...), n.names...)) != 0 {
		f.status = 1
	}
	n.names = nil
}

func (f *findRun) run(cmd []string) int {
	st, err := f.p.Run(f.ctx, f.p.Child(cmd...))
	if err != nil {
		errorf(f.p, "‘%s’: %s", cmd[0], err)
		return 1
	}
	return st
}

func findFormat(p *kernel.Proc, form, name string, in vfs.Info) string {
	var b strings.Builder
	form = unbackslash(form)
	for i := 0; i < len(form); i++ {
		if form[i] != '%' || i+1 >= len(form) {
			b.WriteByte(form[i])
			continue
		}
		i++
		switch c := form[i]; c {
		case 'p':
			b.WriteString(name)
		case 'f':
			b.WriteString(path.Base(name))
		case 'h':
			b.WriteString(path.Dir(name))
		case 'P':
			_, rest, _ := strings.Cut(name, "/")
			b.WriteString(rest)
		case 'm':
			b.WriteString(strconv.FormatUint(uint64(in.Mode), 8))
		case 'M':
			b.WriteString(Mode(in))
		case 'y':
			b.WriteByte("fdlcbps"[in.Kind])
		case 'l':
			b.WriteString(in.Target)
		case 'u':
			b.WriteString(p.M.UserName(in.UID))
		case 'g':
			b.WriteString(p.M.GroupName(in.GID))
		case 'n':
			b.WriteString(strconv.Itoa(in.Nlink))
		case 'k':
			b.WriteString(strconv.FormatInt(in.Blocks/2, 10))
		case 't':
			b.WriteString(strftime.Format("%a %b %e %H:%M:%S.%N0 %Y", in.Mtime.UTC()))
		case 'T', 'A', 'C':
			if i+1 < len(form) {
				i++
				b.WriteString(findTime(form[i], map[byte]time.Time{'T': in.Mtime, 'A': in.Atime, 'C': in.Ctime}[c]))
			}
		case '%':
			b.WriteByte('%')
		default:
			b.WriteString(statField(p, c, name, in))
		}
	}
	return b.String()
}

func findTime(c byte, t time.Time) string {
	switch c {
	case '@':
		return fmt.Sprintf("%d.%09d0", t.Unix(), t.Nanosecond())
	case '+':
		return strftime.Format("%F+%T.%N0", t.UTC())
	}
	return strftime.Format("%"+string(c), t.UTC())
}
