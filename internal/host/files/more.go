package files

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func kindName(in vfs.Info) string {
	if in.Kind == vfs.File && in.Size == 0 {
		return "regular empty file"
	}
	return [...]string{"regular file", "directory", "symbolic link", "character special file", "block special file", "fifo", "socket"}[in.Kind]
}

func stat(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "c")
	if len(args) == 0 {
		return missing(p)
	}
	status := 0
	for _, a := range args {
		get := p.M.FS.Lstat
		if has(f, "L") {
			get = p.M.FS.Stat
		}
		in, err := get(p.Caller, p.Abs(a))
		if err != nil {
			errorf(p, "cannot statx '%s': %s", a, err)
			status = 1
			continue
		}
		user, group := p.M.UserName(in.UID), p.M.GroupName(in.GID)
		const layout = "2006-01-02 15:04:05.000000000 -0700"
		if form, ok := f['c']; ok {
			put(p, strings.NewReplacer("%a", strconv.FormatUint(uint64(in.Mode), 8), "%A", Mode(in), "%s", strconv.FormatInt(in.Size, 10), "%n", a, "%U", user, "%u", strconv.Itoa(int(in.UID)),
				"%G", group, "%g", strconv.Itoa(int(in.GID)), "%F", kindName(in), "%Y", strconv.FormatInt(in.Mtime.Unix(), 10), "%X", strconv.FormatInt(in.Atime.Unix(), 10), "%y", in.Mtime.Format(layout),
				"%i", strconv.FormatUint(in.Ino, 10), "%h", strconv.Itoa(in.Nlink), "%b", strconv.FormatInt(in.Blocks, 10), "%%", "%").Replace(form)+"\n")
			continue
		}
		name := a
		if in.Kind == vfs.Symlink {
			name += " -> " + in.Target
		}
		put(p, fmt.Sprintf("  File: %s\n  Size: %-10d\tBlocks: %-10d IO Block: 4096   %s\nDevice: 8,1\tInode: %-11d Links: %d\nAccess: (%04o/%s)  Uid: (%5d/%8s)   Gid: (%5d/%8s)\nAccess: %s\nModify: %s\nChange: %s\n Birth: %s\n",
			name, in.Size, in.Blocks, kindName(in), in.Ino, in.Nlink, in.Mode, Mode(in), in.UID, user, in.GID, group,
			in.Atime.Format(layout), in.Mtime.Format(layout), in.Ctime.Format(layout), in.Birth.Format(layout)))
	}
	return status
}

func size(s string) (int64, bool) {
	mul := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"kB", 1000}, {"MB", 1000000}, {"K", 1 << 10}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"c", 1}, {"b", 512}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, mul = rest, u.n
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * mul, err == nil && n >= 0 && n < 1<<40
}

func dd(ctx context.Context, p *kernel.Proc) int {
	o := map[string]string{"bs": "512", "count": "-1", "skip": "0", "seek": "0"}
	for _, a := range p.Args[1:] {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			errorf(p, "unrecognized operand '%s'", a)
			return 1
		}
		o[k] = v
	}
	bs, ok := size(o["bs"])
	if !ok || bs == 0 {
		errorf(p, "invalid number: '%s'", o["bs"])
		return 1
	}
	limit := int64(-1)
	if o["count"] != "-1" {
		limit, _ = size(o["count"])
	}
	in := p.Stdin()
	if f := o["if"]; f != "" {
		h, err := p.M.FS.Open(p.Caller, p.Abs(f), vfs.ReadOnly, 0)
		if err != nil {
			errorf(p, "failed to open '%s': %s", f, err)
			return 1
		}
		defer h.Close() //nolint:errcheck // only read
		if n, _ := size(o["skip"]); n > 0 {
			h.Seek(n*bs, 0) //nolint:errcheck // beyond the end reads nothing
		}
		in = h
	}
	out := p.Stdout()
	if f := o["of"]; f != "" {
		fl := vfs.WriteOnly | vfs.Create
		if !strings.Contains(o["conv"], "notrunc") {
			fl |= vfs.Truncate
		}
		h, err := p.M.FS.Open(p.Caller, p.Abs(f), fl, 0o666&^p.Umask)
		if err != nil {
			errorf(p, "failed to open '%s': %s", f, err)
			return 1
		}
		defer h.Close() //nolint:errcheck // nothing is buffered
		if n, _ := size(o["seek"]); n > 0 {
			h.Seek(n*bs, 0) //nolint:errcheck // as asked
		}
		out = h
	}
	var full, part, total int64
	status := 0
	buf := make([]byte, min(bs, 1<<20))
	for n := int64(0); (limit < 0 || n < limit) && ctx.Err() == nil; n++ {
		got := int64(0)
		var err error
		for got < bs && err == nil {
			k := 0
			k, err = in.Read(buf[:min(int64(len(buf)), bs-got)])
			if k == 0 && err == nil {
				break
			}
			if _, e := out.Write(buf[:k]); e != nil {
				errorf(p, "error writing '%s': %s", o["of"], e)
				status, limit = 1, 0
				break
			}
			got += int64(k)
			if p.Step(1+int64(k)/4096) != nil || p.S.Budget.Move(int64(k)) != nil {
				return 137
			}
		}
		total += got
		if got == bs {
			full++
		} else if got > 0 {
			part++
		}
		if got < bs {
			break
		}
	}
	if o["status"] != "none" {
		human := ""
		if total >= 1000 {
			human = fmt.Sprintf(" (%.1f kB, %.1f KiB)", float64(total)/1000, float64(total)/1024)
			if total >= 1000_000 {
				human = fmt.Sprintf(" (%.1f MB, %.1f MiB)", float64(total)/1e6, float64(total)/(1<<20))
			}
		}
		sec := 0.000_05 + float64(total)/400e6
		fmt.Fprintf(p.Stderr(), "%d+%d records in\n%d+%d records out\n%d bytes%s copied, %.6g s, %.1f MB/s\n", full, part, full, part, total, human, sec, float64(total)/sec/1e6) //nolint:errcheck // the visitor's own stderr
	}
	return status
}

// findRun is one run of find.
type findRun struct {
	p     *kernel.Proc
	ctx   context.Context //nolint:containedctx // lives for one run
	expr  []string
	max   int
	min   int
	acted bool
}

func find(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	var roots []string
	for len(args) > 0 && args[0] != "" && args[0][0] != '-' && args[0] != "!" && args[0] != "(" {
		roots = append(roots, args[0])
		args = args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	f := &findRun{p: p, ctx: ctx, expr: args, max: 1000}
	for i, a := range args {
		if i+1 < len(args) {
			n, _ := strconv.Atoi(args[i+1]) //nolint:errcheck // 0 for nonsense
			switch a {
			case "-maxdepth":
				f.max = n
			case "-mindepth":
				f.min = n
			}
		}
	}
	status := 0
	for _, r := range roots {
		if !f.walk(r, 0) {
			status = 1
		}
	}
	return status
}

func (f *findRun) walk(name string, depth int) bool {
	in, err := f.p.M.FS.Lstat(f.p.Caller, f.p.Abs(name))
	if err != nil {
		errorf(f.p, "‘%s’: %s", name, err)
		return false
	}
	if f.ctx.Err() != nil || depth > 60 || f.p.Step(10) != nil {
		return false
	}
	if depth >= f.min {
		f.eval(name, in)
	}
	if in.Kind != vfs.Dir || depth >= f.max {
		return true
	}
	list, err := f.p.M.FS.ReadDir(f.p.Caller, f.p.Abs(name))
	if err != nil {
		errorf(f.p, "‘%s’: %s", name, err)
		return false
	}
	ok := true
	for _, e := range list {
		ok = f.walk(strings.TrimSuffix(name, "/")+"/"+e.Name, depth+1) && ok
	}
	return ok
}

// eval runs the expression: tests joined by and, -o, !.
func (f *findRun) eval(name string, in vfs.Info) {
	ok, neg, acted := true, false, false
	e := f.expr
	for i := 0; i < len(e); i++ {
		arg := func() string {
			if i+1 < len(e) {
				i++
				return e[i]
			}
			return ""
		}
		v := true
		switch e[i] {
		case "!", "-not":
			neg = !neg
			continue
		case "-o", "-or":
			if ok {
				if !acted {
					put(f.p, name+"\n")
				}
				return
			}
			ok, acted = true, false
			continue
		case "-a", "-and", "(", ")", "-depth", "-xdev", "-mount":
			continue
		case "-maxdepth", "-mindepth":
			arg()
		case "-name", "-iname":
			fold := e[i] == "-iname"
			v = glob(arg(), path.Base(name), fold)
		case "-path", "-wholename":
			v = glob(arg(), name, false)
		case "-type":
			v = strings.IndexByte(arg(), "fdlcbps"[in.Kind]) >= 0
		case "-perm":
			v = perm(arg(), in.Mode)
		case "-size":
			v = compare(arg(), in.Size)
		case "-user":
			v = f.p.M.UserName(in.UID) == arg()
		case "-empty":
			v = in.Size == 0 && in.Kind == vfs.File
		case "-mtime":
			v = number(arg(), int64(f.p.Now().Sub(in.Mtime)/(24*time.Hour)))
		case "-mmin":
			v = number(arg(), int64(f.p.Now().Sub(in.Mtime)/time.Minute))
		case "-writable":
			v = f.p.M.FS.Access(f.p.Caller, f.p.Abs(name), 2) == nil
		case "-executable":
			v = f.p.M.FS.Access(f.p.Caller, f.p.Abs(name), 1) == nil
		case "-print", "-print0", "-delete", "-exec", "-ls":
			verb := e[i]
			var cmd []string
			for verb == "-exec" && i+1 < len(e) {
				i++
				if e[i] == ";" || e[i] == "+" {
					break
				}
				cmd = append(cmd, strings.ReplaceAll(e[i], "{}", name))
			}
			acted = true
			if ok {
				v = f.act(verb, name, cmd)
			}
		}
		if v == neg {
			ok = false
		}
		neg = false
	}
	if ok && !acted {
		put(f.p, name+"\n")
	}
}

func (f *findRun) act(verb, name string, cmd []string) bool {
	switch verb {
	case "-print", "-ls":
		put(f.p, name+"\n")
	case "-print0":
		put(f.p, name+"\x00")
	case "-delete":
		return f.p.M.FS.Unlink(f.p.Caller, f.p.Abs(name)) == nil || f.p.M.FS.Rmdir(f.p.Caller, f.p.Abs(name)) == nil
	case "-exec":
		if len(cmd) > 0 {
			st, err := f.p.Run(f.ctx, f.p.Child(cmd...))
			return err == nil && st == 0
		}
	}
	return true
}

func glob(pat, s string, fold bool) bool {
	if fold {
		pat, s = strings.ToLower(pat), strings.ToLower(s)
	}
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(pat) && i < 1000; i++ {
		switch c := pat[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[', ']':
			b.WriteByte(c)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re, err := regexp.Compile("(?s)" + b.String() + "$")
	return err == nil && re.MatchString(s)
}

func perm(spec string, mode uint32) bool {
	n, err := strconv.ParseUint(strings.TrimLeft(spec, "-/"), 8, 32)
	if err != nil {
		return strings.Contains(spec, "u=s") && mode&vfs.ModeSetUID != 0
	}
	m := uint32(n)
	switch spec[0] {
	case '-':
		return mode&m == m
	case '/':
		return mode&m != 0
	}
	return mode == m
}

func number(spec string, v int64) bool {
	n, err := strconv.ParseInt(strings.TrimLeft(spec, "+-"), 10, 64)
	if err != nil {
		return false
	}
	switch spec[0] {
	case '+':
		return v > n
	case '-':
		return v < n
	}
	return v == n
}

func compare(spec string, bytes int64) bool {
	unit := int64(512)
	switch spec[len(spec)-1:] {
	case "c":
		unit = 1
	case "k":
		unit = 1 << 10
	case "M":
		unit = 1 << 20
	case "G":
		unit = 1 << 30
	}
	return number(strings.TrimRight(spec, "ckMGb"), (bytes+unit-1)/unit)
}

func mktemp(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "p")
	tmpl := "/tmp/tmp.XXXXXXXXXX"
	if len(args) > 0 {
		tmpl = p.Abs(args[0])
	}
	const set = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := []byte(tmpl)
	for i := len(b) - 1; i >= 0 && b[i] == 'X'; i-- {
		b[i] = set[p.M.Rand.IntN(len(set))]
	}
	var err error
	if has(f, "d") {
		err = p.M.FS.Mkdir(p.Caller, string(b), 0o700)
	} else {
		err = p.M.FS.WriteFile(p.Caller, string(b), nil, 0o600)
	}
	if err != nil {
		errorf(p, "failed to create file via template '%s': %s", tmpl, err)
		return 1
	}
	put(p, string(b)+"\n")
	return 0
}

func readlink(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "")
	status := 0
	for _, a := range args {
		var out string
		var err error
		if has(f, "fem") || path.Base(p.Args[0]) == "realpath" {
			out, err = p.M.FS.Resolve(p.Caller, p.Abs(a))
		} else {
			out, err = p.M.FS.Readlink(p.Caller, p.Abs(a))
		}
		if err != nil {
			status = 1
			if path.Base(p.Args[0]) == "realpath" {
				errorf(p, "%s: %s", a, err)
			}
			continue
		}
		put(p, out+"\n")
	}
	return status
}

func chattr(_ context.Context, p *kernel.Proc) int {
	status := 0
	var add, del vfs.Attr
	for _, a := range p.Args[1:] {
		if len(a) > 1 && (a[0] == '+' || a[0] == '-') && a != "-R" && a != "-V" {
			for _, c := range a[1:] {
				bit := map[rune]vfs.Attr{'i': vfs.AttrImmutable, 'a': vfs.AttrAppend}[c]
				if a[0] == '+' {
					add |= bit
				} else {
					del |= bit
				}
			}
			continue
		}
		if a == "-R" || a == "-V" {
			continue
		}
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil {
			errorf(p, "%s while trying to stat %s", err, a)
			status = 1
			continue
		}
		if err := p.M.FS.SetAttr(p.Caller, p.Abs(a), in.Attr&^del|add); err != nil {
			errorf(p, "%s while setting flags on %s", err, a)
			status = 1
		}
	}
	return status
}

func lsattr(_ context.Context, p *kernel.Proc) int {
	_, args := split(p.Args[1:], "")
	status := 0
	for _, a := range args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil {
			errorf(p, "%s while trying to stat %s", err, a)
			status = 1
			continue
		}
		flags := []byte("--------------e-------")
		if in.Attr&vfs.AttrImmutable != 0 {
			flags[4] = 'i'
		}
		if in.Attr&vfs.AttrAppend != 0 {
			flags[5] = 'a'
		}
		put(p, string(flags)+" "+a+"\n")
	}
	return status
}

func du(ctx context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "d")
	if len(args) == 0 {
		args = []string{"."}
	}
	status := 0
	show := func(n int64, name string) {
		if has(f, "h") {
			put(p, Human(n*1024)+"\t"+name+"\n")
		} else {
			put(p, strconv.FormatInt(n, 10)+"\t"+name+"\n")
		}
	}
	var walk func(name string, depth int) int64
	walk = func(name string, depth int) int64 {
		in, err := p.M.FS.Lstat(p.Caller, p.Abs(name))
		if err != nil {
			errorf(p, "cannot access '%s': %s", name, err)
			status = 1
			return 0
		}
		total := in.Blocks / 2
		if in.Kind == vfs.Dir && depth < 60 && ctx.Err() == nil && p.Step(10) == nil {
			list, _ := p.M.FS.ReadDir(p.Caller, p.Abs(name)) //nolint:errcheck // an unreadable folder has no entries
			for _, e := range list {
				total += walk(strings.TrimSuffix(name, "/")+"/"+e.Name, depth+1)
			}
			if !has(f, "s") && depth > 0 {
				show(total, name)
			}
		}
		return total
	}
	for _, a := range args {
		show(walk(a, 0), a)
	}
	return status
}

func df(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "tx")
	human, types := has(f, "h"), has(f, "T")
	type row struct{ cells []string }
	head := []string{"Filesystem", "1K-blocks", "Used", "Available", "Use%", "Mounted on"}
	if human {
		head = []string{"Filesystem", "Size", "Used", "Avail", "Use%", "Mounted on"}
	}
	if has(f, "i") {
		head = []string{"Filesystem", "Inodes", "IUsed", "IFree", "IUse%", "Mounted on"}
	}
	rows := []row{{head}}
	for _, m := range p.M.Persona.Mounts {
		if m.SizeKB == 0 || len(args) > 0 && m.Target != "/" {
			continue
		}
		avail := m.SizeKB - m.UsedKB
		if m.FS == "ext4" {
			avail -= m.SizeKB / 20
		}
		pct := fmt.Sprintf("%d%%", (m.UsedKB*100+m.UsedKB+avail-1)/max(m.UsedKB+avail, 1))
		if m.UsedKB == 0 {
			pct = "0%"
		}
		c := []string{m.Source, strconv.FormatInt(m.SizeKB, 10), strconv.FormatInt(m.UsedKB, 10), strconv.FormatInt(avail, 10), pct, m.Target}
		if human {
			c = []string{m.Source, Human(m.SizeKB * 1024), Human(m.UsedKB * 1024), Human(avail * 1024), pct, m.Target}
		}
		if has(f, "i") {
			c = []string{m.Source, strconv.FormatInt(m.Inodes, 10), strconv.FormatInt(m.IUsed, 10), strconv.FormatInt(m.Inodes-m.IUsed, 10), fmt.Sprintf("%d%%", m.IUsed*100/max(m.Inodes, 1)), m.Target}
		}
		if types {
			c[0] = fmt.Sprintf("%-14s %s", c[0], m.FS)
		}
		rows = append(rows, row{c})
	}
	var w [6]int
	for _, r := range rows {
		for i, c := range r.cells {
			w[i] = max(w[i], len(c))
		}
	}
	w[0] = max(w[0], 14)
	for _, r := range rows {
		c := r.cells
		put(p, fmt.Sprintf("%-*s %*s %*s %*s %*s %s\n", w[0], c[0], max(w[1], 5), c[1], max(w[2], 5), c[2], max(w[3], 5), c[3], w[4], c[4], c[5]))
	}
	return 0
}

func which(_ context.Context, p *kernel.Proc) int {
	_, args := split(p.Args[1:], "")
	status := 0
	for _, a := range args {
		full, err := p.LookPath(a)
		if err != nil {
			status = 1
			continue
		}
		put(p, full+"\n")
	}
	return status
}

func basename(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if len(args) == 0 {
		return missing(p)
	}
	if path.Base(p.Args[0]) == "dirname" {
		for _, a := range args {
			put(p, path.Dir(a)+"\n")
		}
		return 0
	}
	out := path.Base(args[0])
	if len(args) > 1 && out != args[1] {
		out = strings.TrimSuffix(out, args[1])
	}
	put(p, out+"\n")
	return 0
}

func truncate(_ context.Context, p *kernel.Proc) int {
	f, args := split(p.Args[1:], "s")
	n, _ := size(strings.TrimLeft(f['s'], "+-"))
	status := 0
	for _, a := range args {
		h, err := p.M.FS.Open(p.Caller, p.Abs(a), vfs.WriteOnly|vfs.Create, 0o666&^p.Umask)
		if err == nil {
			err = h.Truncate(n)
			h.Close() //nolint:errcheck // nothing is buffered
		}
		if err != nil {
			errorf(p, "cannot open '%s' for writing: %s", a, err)
			status = 1
		}
	}
	return status
}
