// Package files holds the programs of a fake host that handle files.
package files

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"ls": ls, "cp": cp, "mv": mv, "rm": rm, "mkdir": mkdir, "rmdir": rmdir, "touch": touch, "chmod": chmod, "chown": chown, "chgrp": chown,
		"ln": ln, "stat": stat, "dd": dd, "find": find, "mktemp": mktemp, "readlink": readlink, "realpath": readlink, "chattr": chattr, "lsattr": lsattr,
		"sync": func(context.Context, *kernel.Proc) int { return 0 }, "du": du, "df": df, "which": which, "locate": func(context.Context, *kernel.Proc) int { return 1 },
		"basename": basename, "dirname": basename, "truncate": truncate,
	}
}

func errorf(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), path.Base(p.Args[0])+": "+format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

func put(p *kernel.Proc, s string) { p.Stdout().Write([]byte(s)) } //nolint:errcheck // the visitor's own output

// split separates single-letter options from operands; letters in val take a value.
func split(args []string, val string) (flags map[byte]string, rest []string) {
	flags = map[byte]string{}
	long := map[string]byte{"all": 'a', "recursive": 'R', "force": 'f', "parents": 'p', "human-readable": 'h', "reverse": 'r', "verbose": 'v', "directory": 'd', "format": 'c', "reference": 'e', "almost-all": 'A'}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return flags, append(rest, args[i+1:]...)
		}
		if strings.HasPrefix(a, "--") {
			name, v, _ := strings.Cut(a[2:], "=")
			if c := long[name]; c != 0 {
				flags[c] = v
			}
			continue
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		for j := 1; j < len(a); j++ {
			if strings.IndexByte(val, a[j]) < 0 {
				flags[a[j]] = ""
				continue
			}
			v := a[j+1:]
			if v == "" && i+1 < len(args) {
				i++
				v = args[i]
			}
			flags[a[j]] = v
			break
		}
	}
	return flags, rest
}

func has(f map[byte]string, letters string) bool {
	for i := range len(letters) {
		if _, ok := f[letters[i]]; ok {
			return true
		}
	}
	return false
}

func missing(p *kernel.Proc) int {
	name := path.Base(p.Args[0])
	errorf(p, "missing operand")
	fmt.Fprintf(p.Stderr(), "Try '%s --help' for more information.\n", name) //nolint:errcheck // the visitor's own stderr
	return 1
}

// Mode is the ten characters of ls -l.
func Mode(in vfs.Info) string {
	b := []byte("-rwxrwxrwx")
	b[0] = "-dlcbps"[in.Kind]
	for i := range 9 {
		if in.Mode>>(8-i)&1 == 0 {
			b[i+1] = '-'
		}
	}
	for _, s := range []struct {
		bit uint32
		at  int
		c   byte
	}{{vfs.ModeSetUID, 3, 's'}, {vfs.ModeSetGID, 6, 's'}, {vfs.ModeSticky, 9, 't'}} {
		if in.Mode&s.bit != 0 {
			if b[s.at] == 'x' {
				b[s.at] = s.c
			} else {
				b[s.at] = s.c - 32
			}
		}
	}
	return string(b)
}

// Human is a size as -h prints it.
func Human(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < 4 {
		f /= 1024
		unit++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f%c", float64(int64(f*10+0.999))/10, "KMGTP"[unit])
	}
	return fmt.Sprintf("%d%c", int64(f+0.999), "KMGTP"[unit])
}

// Date is the date of ls -l: with the time if it lies within six months.
func Date(t, now time.Time) string {
	if d := now.Sub(t); d > 182*24*time.Hour || d < -time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

type lister struct {
	p      *kernel.Proc
	f      map[byte]string
	status int
	first  bool
}

func ls(ctx context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "IwT")
	l := &lister{p: p, f: f, first: true}
	if len(args) == 0 {
		args = []string{"."}
	}
	var plain []vfs.Info
	var dirs []string
	for _, a := range args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if lin, e := p.M.FS.Lstat(p.Caller, p.Abs(a)); e == nil && (err != nil || has(f, "ld") && lin.Kind == vfs.Symlink) {
			in, err = lin, nil
		}
		if err != nil {
			errorf(p, "cannot access '%s': %s", a, err)
			l.status = 2
			continue
		}
		if in.Kind == vfs.Dir && !has(f, "d") {
			dirs = append(dirs, a)
			continue
		}
		in.Name = a
		plain = append(plain, in)
	}
	l.sort(plain)
	l.show(plain, path.Dir(p.Abs(args[0])))
	l.first = len(plain) == 0
	for _, d := range dirs {
		l.dir(ctx, d, len(args) > 1 || has(f, "R"), 0)
	}
	return l.status
}

func (l *lister) dir(ctx context.Context, name string, title bool, depth int) {
	list, err := l.p.M.FS.ReadDir(l.p.Caller, l.p.Abs(name))
	if err != nil {
		errorf(l.p, "cannot open directory '%s': %s", name, err)
		l.status = 2
		return
	}
	if ctx.Err() != nil || depth > 40 || l.p.Step(int64(len(list))+1) != nil {
		return
	}
	if !l.first {
		put(l.p, "\n")
	}
	l.first = false
	if title {
		put(l.p, name+":\n")
	}
	var shown []vfs.Info
	if has(l.f, "a") && !has(l.f, "A") {
		for _, n := range []string{".", ".."} {
			if in, err := l.p.M.FS.Stat(l.p.Caller, strings.TrimSuffix(l.p.Abs(name), "/")+"/"+n); err == nil {
				in.Name = n
				shown = append(shown, in)
			}
		}
	}
	for _, in := range list {
		if !strings.HasPrefix(in.Name, ".") || has(l.f, "aA") {
			shown = append(shown, in)
		}
	}
	l.sort(shown)
	if has(l.f, "lgns") {
		total := int64(0)
		for _, in := range shown {
			total += in.Blocks / 2
		}
		if has(l.f, "h") {
			put(l.p, "total "+Human(total*1024)+"\n")
		} else {
			put(l.p, fmt.Sprintf("total %d\n", total))
		}
	}
	l.show(shown, l.p.Abs(name))
	if has(l.f, "R") {
		for _, in := range shown {
			if in.Kind == vfs.Dir && in.Name != "." && in.Name != ".." {
				l.dir(ctx, strings.TrimSuffix(name, "/")+"/"+in.Name, true, depth+1)
			}
		}
	}
}

// locale is the order of en_US.UTF-8 for names: letters without case, dots left out.
func locale(s string) string { return strings.ToLower(strings.TrimLeft(s, "._")) }

func (l *lister) sort(list []vfs.Info) {
	less := func(a, b vfs.Info) bool {
		switch {
		case has(l.f, "t") && !a.Mtime.Equal(b.Mtime):
			return a.Mtime.After(b.Mtime)
		case has(l.f, "S") && a.Size != b.Size:
			return a.Size > b.Size
		}
		if x, y := locale(a.Name), locale(b.Name); x != y {
			return x < y
		}
		return a.Name < b.Name
	}
	sort.SliceStable(list, func(i, j int) bool {
		if has(l.f, "r") {
			return less(list[j], list[i])
		}
		return less(list[i], list[j])
	})
}

func (l *lister) show(list []vfs.Info, dir string) {
	if has(l.f, "lgn") {
		l.long(list, dir)
		return
	}
	tty := l.p.IsTTY(1) && !has(l.f, "1")
	names := make([]string, len(list))
	width := 0
	for i, in := range list {
		names[i] = in.Name
		if has(l.f, "i") {
			names[i] = fmt.Sprintf("%d %s", in.Ino, in.Name)
		}
		if has(l.f, "F") || has(l.f, "p") && in.Kind == vfs.Dir {
			names[i] += mark(in)
		}
		width = max(width, len(names[i]))
	}
	if !tty || len(names) == 0 {
		for _, n := range names {
			put(l.p, n+"\n")
		}
		return
	}
	_, cols := l.p.S.TTY.Size()
	per := max(1, max(cols, 40)/(width+2))
	rows := (len(names) + per - 1) / per
	for r := range rows {
		line := ""
		for i := r; i < len(names); i += rows {
			if i+rows < len(names) {
				line += fmt.Sprintf("%-*s", width+2, names[i])
			} else {
				line += names[i]
			}
		}
		put(l.p, line+"\n")
	}
}

func mark(in vfs.Info) string {
	switch {
	case in.Kind == vfs.Dir:
		return "/"
	case in.Kind == vfs.Symlink:
		return "@"
	case in.Mode&0o111 != 0 && in.Kind == vfs.File:
		return "*"
	}
	return ""
}

func (l *lister) long(list []vfs.Info, dir string) {
	type row struct{ mode, links, user, group, size, date, name string }
	rows := make([]row, len(list))
	var w row
	wl, wu, wg, ws := 0, 0, 0, 0
	now := l.p.Now()
	for i, in := range list {
		r := row{mode: Mode(in), links: strconv.Itoa(max(in.Nlink, 1)), user: l.p.M.UserName(in.UID), group: l.p.M.GroupName(in.GID), date: Date(in.Mtime, now), name: in.Name}
		if has(l.f, "n") {
			r.user, r.group = strconv.Itoa(int(in.UID)), strconv.Itoa(int(in.GID))
		}
		r.size = strconv.FormatInt(in.Size, 10)
		if has(l.f, "h") {
			r.size = Human(in.Size)
		}
		if in.Kind == vfs.CharDev || in.Kind == vfs.BlockDev {
			r.size = fmt.Sprintf("%d, %3d", in.Major, in.Minor)
		}
		if in.Kind == vfs.Symlink {
			r.name += " -> " + in.Target
		}
		if has(l.f, "F") {
			r.name += mark(in)
		}
		if has(l.f, "i") {
			r.mode = fmt.Sprintf("%d %s", in.Ino, r.mode)
		}
		rows[i] = r
		wl, wu, wg, ws = max(wl, len(r.links)), max(wu, len(r.user)), max(wg, len(r.group)), max(ws, len(r.size))
	}
	_, _ = w, dir
	for _, r := range rows {
		put(l.p, fmt.Sprintf("%s %*s %-*s %-*s %*s %s %s\n", r.mode, wl, r.links, wu, r.user, wg, r.group, ws, r.size, r.date, r.name))
	}
}

// target is where a copy goes: into dst when it is a directory.
func target(p *kernel.Proc, src, dst string) string {
	if in, err := p.M.FS.Stat(p.Caller, p.Abs(dst)); err == nil && in.Kind == vfs.Dir {
		return strings.TrimSuffix(p.Abs(dst), "/") + "/" + path.Base(p.Abs(src))
	}
	return p.Abs(dst)
}

func operands(p *kernel.Proc, args []string, f map[byte]string) (srcs []string, dst string, ok bool) {
	if v, t := f['t']; t && v != "" {
		return args, v, len(args) > 0
	}
	switch len(args) {
	case 0:
		errorf(p, "missing file operand")
	case 1:
		errorf(p, "missing destination file operand after '%s'", args[0])
	default:
		dst = args[len(args)-1]
		if in, err := p.M.FS.Stat(p.Caller, p.Abs(dst)); len(args) > 2 && (err != nil || in.Kind != vfs.Dir) {
			errorf(p, "target '%s' is not a directory", dst)
			return nil, "", false
		}
		return args[:len(args)-1], dst, true
	}
	fmt.Fprintf(p.Stderr(), "Try '%s --help' for more information.\n", path.Base(p.Args[0])) //nolint:errcheck // the visitor's own stderr
	return nil, "", false
}

func cp(ctx context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "t")
	srcs, dst, ok := operands(p, args, f)
	if !ok {
		return 1
	}
	status := 0
	for _, s := range srcs {
		if !copyTree(ctx, p, s, target(p, s, dst), dst, has(f, "rRa"), has(f, "pa"), 0) {
			status = 1
		}
	}
	return status
}

func copyTree(ctx context.Context, p *kernel.Proc, src, dst, shown string, deep, keep bool, depth int) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(src))
	if err != nil {
		errorf(p, "cannot stat '%s': %s", src, err)
		return false
	}
	if ctx.Err() != nil || depth > 40 || p.Step(10) != nil {
		return false
	}
	if in.Kind == vfs.Dir {
		if !deep {
			errorf(p, "-r not specified; omitting directory '%s'", src)
			return false
		}
		if err := p.M.FS.Mkdir(p.Caller, dst, in.Mode); err != nil && !errors.Is(err, vfs.EEXIST) {
			errorf(p, "cannot create directory '%s': %s", shown, err)
			return false
		}
		list, _ := p.M.FS.ReadDir(p.Caller, p.Abs(src)) //nolint:errcheck // an unreadable folder has no entries
		ok := true
		for _, e := range list {
			ok = copyTree(ctx, p, src+"/"+e.Name, dst+"/"+e.Name, shown+"/"+e.Name, deep, keep, depth+1) && ok
		}
		return ok
	}
	content, err := p.M.FS.Content(p.Caller, p.Abs(src))
	if err != nil {
		errorf(p, "cannot open '%s' for reading: %s", src, err)
		return false
	}
	if err := p.M.FS.SetContent(p.Caller, dst, content, in.Mode&^p.Umask&0o777); err != nil {
		errorf(p, "cannot create regular file '%s': %s", shown, err)
		return false
	}
	if keep {
		p.M.FS.Chtimes(p.Caller, dst, in.Atime, in.Mtime) //nolint:errcheck // best effort, as cp -p
		p.M.FS.Chmod(p.Caller, dst, in.Mode)              //nolint:errcheck // as above
	}
	return true
}

func mv(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "t")
	srcs, dst, ok := operands(p, args, f)
	if !ok {
		return 1
	}
	status := 0
	for _, s := range srcs {
		if err := p.M.FS.Rename(p.Caller, p.Abs(s), target(p, s, dst)); err != nil {
			if _, e := p.M.FS.Lstat(p.Caller, p.Abs(s)); e != nil {
				errorf(p, "cannot stat '%s': %s", s, e)
			} else {
				errorf(p, "cannot move '%s' to '%s': %s", s, dst, err)
			}
			status = 1
		}
	}
	return status
}

func rm(ctx context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "")
	if len(args) == 0 && !has(f, "f") {
		return missing(p)
	}
	status := 0
	for _, a := range args {
		if b := path.Base(a); b == "." || b == ".." {
			errorf(p, "refusing to remove '.' or '..' directory: skipping '%s'", a)
			status = 1
			continue
		}
		if p.Abs(a) == "/" && has(f, "rR") {
			errorf(p, "it is dangerous to operate recursively on '/'\n%s: use --no-preserve-root to override this failsafe", path.Base(p.Args[0]))
			status = 1
			continue
		}
		if !remove(ctx, p, a, has(f, "rR"), has(f, "f"), 0) {
			status = 1
		}
	}
	return status
}

func remove(ctx context.Context, p *kernel.Proc, name string, deep, force bool, depth int) bool {
	in, err := p.M.FS.Lstat(p.Caller, p.Abs(name))
	if err != nil {
		if force && (errors.Is(err, vfs.ENOENT) || errors.Is(err, vfs.ENOTDIR)) {
			return true
		}
		errorf(p, "cannot remove '%s': %s", name, err)
		return false
	}
	if ctx.Err() != nil || depth > 60 || p.Step(5) != nil {
		return false
	}
	if in.Kind == vfs.Dir {
		if !deep {
			errorf(p, "cannot remove '%s': %s", name, vfs.EISDIR)
			return false
		}
		list, _ := p.M.FS.ReadDir(p.Caller, p.Abs(name)) //nolint:errcheck // the removal tells
		ok := true
		for _, e := range list {
			ok = remove(ctx, p, strings.TrimSuffix(name, "/")+"/"+e.Name, deep, force, depth+1) && ok
		}
		if !ok {
			return false
		}
		err = p.M.FS.Rmdir(p.Caller, p.Abs(name))
	} else {
		err = p.M.FS.Unlink(p.Caller, p.Abs(name))
	}
	if err != nil {
		errorf(p, "cannot remove '%s': %s", name, err)
	}
	return err == nil
}

func mkdir(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "m")
	if len(args) == 0 {
		return missing(p)
	}
	status := 0
	for _, a := range args {
		if has(f, "p") {
			full := path.Clean(p.Abs(a))
			for i := 1; i <= len(full); i++ {
				if i == len(full) || full[i] == '/' {
					p.M.FS.Mkdir(p.Caller, full[:i], 0o777&^p.Umask) //nolint:errcheck // may exist
				}
			}
			if in, err := p.M.FS.Stat(p.Caller, full); err == nil && in.Kind == vfs.Dir {
				continue
			}
		}
		if err := p.M.FS.Mkdir(p.Caller, p.Abs(a), 0o777&^p.Umask); err != nil {
			errorf(p, "cannot create directory '%s': %s", a, err)
			status = 1
			continue
		}
		if m, err := strconv.ParseUint(f['m'], 8, 32); err == nil {
			p.M.FS.Chmod(p.Caller, p.Abs(a), uint32(m)) //nolint:errcheck // just made
		}
	}
	return status
}

func rmdir(_ context.Context, p *kernel.Proc) int {
	_, args := split(p.Args[1:], "")
	status := 0
	for _, a := range args {
		if err := p.M.FS.Rmdir(p.Caller, p.Abs(a)); err != nil {
			errorf(p, "failed to remove '%s': %s", a, err)
			status = 1
		}
	}
	return status
}

func touch(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "rtd")
	if len(args) == 0 {
		return missing(p)
	}
	at := p.Now()
	if ref, ok := f['r']; ok {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(ref))
		if err != nil {
			errorf(p, "failed to get attributes of '%s': %s", ref, err)
			return 1
		}
		at = in.Mtime
	}
	if v, ok := f['t']; ok {
		for _, layout := range []string{"200601021504.05", "200601021504", "0601021504", "01021504"} {
			if t, err := time.Parse(layout, v); err == nil {
				if t.Year() == 0 {
					t = t.AddDate(at.Year(), 0, 0)
				}
				at = t
				break
			}
		}
	}
	status := 0
	for _, a := range args {
		_, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil {
			if has(f, "c") {
				continue
			}
			err = p.M.FS.WriteFile(p.Caller, p.Abs(a), nil, 0o666&^p.Umask)
		}
		if err == nil {
			err = p.M.FS.Chtimes(p.Caller, p.Abs(a), at, at)
		}
		if err != nil {
			errorf(p, "cannot touch '%s': %s", a, err)
			status = 1
		}
	}
	return status
}

// ChangeMode applies a mode of chmod, octal or symbolic.
func ChangeMode(spec string, in vfs.Info, umask uint32) (uint32, bool) {
	if n, err := strconv.ParseUint(spec, 8, 32); err == nil {
		return uint32(n) & 0o7777, true
	}
	mode := in.Mode
	for clause := range strings.SplitSeq(spec, ",") {
		i := strings.IndexAny(clause, "+-=")
		if i < 0 {
			return 0, false
		}
		who := clause[:i]
		implied := who == ""
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		op := clause[i]
		var bits, special uint32
		for _, c := range clause[i+1:] {
			switch c {
			case 'r':
				bits |= 4
			case 'w':
				bits |= 2
			case 'x':
				bits |= 1
			case 'X':
				if in.Kind == vfs.Dir || in.Mode&0o111 != 0 {
					bits |= 1
				}
			case 's':
				special |= vfs.ModeSetUID | vfs.ModeSetGID
			case 't':
				special |= vfs.ModeSticky
			default:
				return 0, false
			}
		}
		for _, w := range who {
			shift := map[rune]uint32{'u': 6, 'g': 3, 'o': 0}[w]
			v := bits << shift
			if implied {
				v &^= umask
			}
			switch op {
			case '+':
				mode |= v
			case '-':
				mode &^= v
			case '=':
				mode = mode&^(7<<shift) | v
			}
		}
		if special != 0 {
			if !strings.Contains(who, "u") {
				special &^= vfs.ModeSetUID
			}
			if op == '-' {
				mode &^= special
			} else {
				mode |= special
			}
		}
	}
	return mode, true
}

// tree calls fn for name and, if deep, for everything below it.
func tree(ctx context.Context, p *kernel.Proc, name string, deep bool, depth int, fn func(string, vfs.Info) bool) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(name))
	if err != nil {
		errorf(p, "cannot access '%s': %s", name, err)
		return false
	}
	if ctx.Err() != nil || depth > 60 || p.Step(3) != nil {
		return false
	}
	ok := fn(name, in)
	if deep && in.Kind == vfs.Dir {
		list, _ := p.M.FS.ReadDir(p.Caller, p.Abs(name)) //nolint:errcheck // an unreadable folder has no entries
		for _, e := range list {
			if e.Kind != vfs.Symlink {
				ok = tree(ctx, p, strings.TrimSuffix(name, "/")+"/"+e.Name, deep, depth+1, fn) && ok
			}
		}
	}
	return ok
}

func chmod(ctx context.Context, p *kernel.Proc) int {
	var flags, rest []string
	for _, a := range p.Args[1:] {
		if len(a) > 1 && a[0] == '-' && strings.Trim(a[1:], "Rcfv") == "" {
			flags = append(flags, a)
		} else {
			rest = append(rest, a)
		}
	}
	deep := strings.Contains(strings.Join(flags, ""), "R")
	if len(rest) < 2 {
		if len(rest) == 1 {
			errorf(p, "missing operand after '%s'", rest[0])
			fmt.Fprint(p.Stderr(), "Try 'chmod --help' for more information.\n") //nolint:errcheck // the visitor's own stderr
			return 1
		}
		return missing(p)
	}
	if _, ok := ChangeMode(rest[0], vfs.Info{}, 0); !ok {
		errorf(p, "invalid mode: '%s'", rest[0])
		fmt.Fprint(p.Stderr(), "Try 'chmod --help' for more information.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	status := 0
	for _, a := range rest[1:] {
		ok := tree(ctx, p, a, deep, 0, func(n string, in vfs.Info) bool {
			m, _ := ChangeMode(rest[0], in, p.Umask)
			if err := p.M.FS.Chmod(p.Caller, p.Abs(n), m); err != nil {
				errorf(p, "changing permissions of '%s': %s", n, err)
				return false
			}
			return true
		})
		if !ok {
			status = 1
		}
	}
	return status
}

func chown(ctx context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "")
	if len(args) < 2 {
		return missing(p)
	}
	const keep = ^uint32(0)
	uid, gid := keep, keep
	user, group, both := strings.Cut(strings.Replace(args[0], ".", ":", 1), ":")
	if path.Base(p.Args[0]) == "chgrp" {
		user, group, both = "", args[0], true
	}
	if user != "" {
		if acc, ok := p.M.Account(user); ok {
			uid = acc.UID
		} else if n, err := strconv.ParseUint(user, 10, 32); err == nil {
			uid = uint32(n)
		} else {
			errorf(p, "invalid user: '%s'", args[0])
			return 1
		}
	}
	if both && group != "" {
		found := false
		for _, g := range p.M.Persona.Groups {
			if g.Name == group || strconv.Itoa(int(g.GID)) == group {
				gid, found = g.GID, true
			}
		}
		if !found {
			errorf(p, "invalid group: '%s'", args[0])
			return 1
		}
	}
	status := 0
	for _, a := range args[1:] {
		ok := tree(ctx, p, a, has(f, "R"), 0, func(n string, _ vfs.Info) bool {
			if err := p.M.FS.Chown(p.Caller, p.Abs(n), uid, gid, true); err != nil {
				errorf(p, "changing ownership of '%s': %s", n, err)
				return false
			}
			return true
		})
		if !ok {
			status = 1
		}
	}
	return status
}

func ln(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "")
	if len(args) == 1 {
		args = append(args, path.Base(args[0]))
	}
	if len(args) < 2 {
		return missing(p)
	}
	dst := target(p, args[0], args[len(args)-1])
	if has(f, "f") {
		p.M.FS.Unlink(p.Caller, dst) //nolint:errcheck // may not exist
	}
	var err error
	if has(f, "s") {
		err = p.M.FS.Symlink(p.Caller, args[0], dst)
	} else {
		err = p.M.FS.Link(p.Caller, p.Abs(args[0]), dst)
	}
	if err != nil {
		errorf(p, "failed to create %s link '%s': %s", map[bool]string{true: "symbolic", false: "hard"}[has(f, "s")], args[len(args)-1], err)
		return 1
	}
	return 0
}
