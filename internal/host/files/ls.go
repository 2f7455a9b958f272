package files

import (
	"context"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/strftime"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

type lister struct {
	p      *kernel.Proc
	o      getopt.Opts
	status int
	first  bool
	long   bool
}

const lsLong = "all/a almost-all/A author block-size= classify?/F color? directory/d dereference/L escape/b file-type format= full-time group-directories-first no-group/G human-readable/h si hide= hyperlink? indicator-style= inode/i ignore/I kibibytes/k numeric-uid-gid/n literal/N hide-control-chars/q quote-name/Q quoting-style= reverse/r recursive/R size/s sort= time= time-style= tabsize/T width/w context/Z zero ignore-backups/B"

func ls(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aAbBcCdDfFgGhHiI:klLmnNopqQrRsStT:uUvw:xXZ1", lsLong)
	if o.Bad != "" {
		return getopt.Usage(p, o, 2)
	}
	l := &lister{p: p, o: o, first: true}
	l.long = o.Has("l", "g", "n", "o", "full-time")
	args := o.Args
	if len(args) == 0 {
		args = []string{"."}
	}
	var plain []vfs.Info
	var dirs []vfs.Info
	for _, a := range args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		lin, e := p.M.FS.Lstat(p.Caller, p.Abs(a))
		if e == nil && (err != nil || (l.long || o.Has("d", "F")) && !o.Has("L", "H") && lin.Kind == vfs.Symlink) {
			in, err = lin, nil
		}
		if err != nil {
			errorf(p, "cannot access %s: %s", quote(a), err)
			l.status = 2
			continue
		}
		in.Name = a
		if in.Kind == vfs.Dir && !o.Has("d") {
			dirs = append(dirs, in)
			continue
		}
		plain = append(plain, in)
	}
	l.sort(plain)
	l.show(plain)
	l.first = len(plain) == 0
	l.sort(dirs)
	for _, d := range dirs {
		l.dir(ctx, d.Name, len(args) > 1 || o.Has("R"), 0)
	}
	return l.status
}

func (l *lister) dir(ctx context.Context, name string, title bool, depth int) {
	list, err := l.p.M.FS.ReadDir(l.p.Caller, l.p.Abs(name))
	if err != nil {
		errorf(l.p, "cannot open directory %s: %s", quote(name), err)
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
	shown := l.entries(name, list)
	l.sort(shown)
	if l.long || l.o.Has("s") {
		total := int64(0)
		for _, in := range shown {
			total += in.Blocks / 2
		}
		if l.o.Has("h") {
			put(l.p, "total "+Human(total*1024)+"\n")
		} else {
			put(l.p, fmt.Sprintf("total %d\n", total))
		}
	}
	l.show(shown)
	if !l.o.Has("R") {
		return
	}
	for _, in := range shown {
		if in.Kind == vfs.Dir && in.Name != "." && in.Name != ".." {
			l.dir(ctx, strings.TrimSuffix(name, "/")+"/"+in.Name, true, depth+1)
		}
	}
}

func (l *lister) entries(name string, list []vfs.Info) []vfs.Info {
	var shown []vfs.Info
	if l.o.Last("a", "A", "f") == "a" || l.o.Has("f") {
		for _, n := range []string{".", ".."} {
			if in, err := l.p.M.FS.Stat(l.p.Caller, strings.TrimSuffix(l.p.Abs(name), "/")+"/"+n); err == nil {
				in.Name = n
				shown = append(shown, in)
			}
		}
	}
	for _, in := range list {
		hidden := strings.HasPrefix(in.Name, ".") && !l.o.Has("a", "A", "f")
		for _, pat := range append(l.o.All("I"), l.o.All("hide")...) {
			if ok, err := path.Match(pat, in.Name); ok && err == nil {
				hidden = true
			}
		}
		if !hidden {
			shown = append(shown, in)
		}
	}
	return shown
}

// collate is the order of the locale for names: letters without case and
// punctuation first in a UTF-8 locale of a language, bytes in C.
func (l *lister) collate(s string) string {
	loc := l.p.Getenv("LC_ALL")
	if loc == "" {
		loc = l.p.Getenv("LC_COLLATE")
	}
	if loc == "" {
		loc = l.p.Getenv("LANG")
	}
	if loc == "" || loc == "C" || loc == "POSIX" || strings.HasPrefix(loc, "C.") {
		return s
	}
	return strings.ToLower(strings.TrimLeft(s, "._"))
}

func (l *lister) sort(list []vfs.Info) {
	if l.o.Has("U", "f") {
		return
	}
	by := l.o.Get("sort")
	less := func(a, b vfs.Info) bool {
		switch {
		case (l.o.Has("t") || by == "time") && !a.Mtime.Equal(b.Mtime):
			return a.Mtime.After(b.Mtime)
		case (l.o.Has("S") || by == "size") && a.Size != b.Size:
			return a.Size > b.Size
		case l.o.Has("X") && path.Ext(a.Name) != path.Ext(b.Name):
			return path.Ext(a.Name) < path.Ext(b.Name)
		case l.o.Has("group-directories-first") && (a.Kind == vfs.Dir) != (b.Kind == vfs.Dir):
			return a.Kind == vfs.Dir
		}
		if x, y := l.collate(a.Name), l.collate(b.Name); x != y {
			return x < y
		}
		return a.Name < b.Name
	}
	sort.SliceStable(list, func(i, j int) bool {
		if l.o.Has("r") {
			return less(list[j], list[i])
		}
		return less(list[i], list[j])
	})
}

// name is how an entry is shown, with colour and mark.
func (l *lister) name(in vfs.Info) (text string, width int) {
	n := in.Name
	switch {
	case l.o.Has("Q"):
		n = strconv.Quote(n)
	case l.o.Has("b"):
		n = strings.ReplaceAll(n, " ", `\ `)
	case l.p.IsTTY(1) && !l.o.Has("N") && strings.ContainsAny(n, " '\"$&*;()<>|\\`!?[]#~\t\n"):
		n = quote(n)
	}
	width = len([]rune(n))
	if c := l.o.Get("color"); l.o.Has("color") && (c == "always" || (c == "" || c == "auto") && l.p.IsTTY(1)) {
		n = paint(in, n)
	}
	mark := ""
	switch {
	case l.o.Has("F"):
		mark = classify(in)
	case l.o.Has("p") && in.Kind == vfs.Dir:
		mark = "/"
	case l.o.Has("file-type"):
		mark = strings.TrimSuffix(classify(in), "*")
	}
	if l.long && in.Kind == vfs.Symlink {
		mark = ""
	}
	return n + mark, width + len(mark)
}

func paint(in vfs.Info, n string) string {
	code := ""
	switch {
	case in.Kind == vfs.Dir && in.Mode&vfs.ModeSticky != 0 && in.Mode&2 != 0:
		code = "30;42"
	case in.Kind == vfs.Dir:
		code = "01;34"
	case in.Kind == vfs.Symlink:
		code = "01;36"
	case in.Kind == vfs.CharDev || in.Kind == vfs.BlockDev:
		code = "40;33;01"
	case in.Kind == vfs.FIFO:
		code = "40;33"
	case in.Mode&vfs.ModeSetUID != 0:
		code = "37;41"
	case in.Mode&0o111 != 0:
		code = "01;32"
	case strings.HasSuffix(n, ".gz") || strings.HasSuffix(n, ".tar") || strings.HasSuffix(n, ".tgz") || strings.HasSuffix(n, ".zip"):
		code = "01;31"
	}
	if code == "" {
		return n
	}
	return "\x1b[" + code + "m" + n + "\x1b[0m"
}

func classify(in vfs.Info) string {
	switch {
	case in.Kind == vfs.Dir:
		return "/"
	case in.Kind == vfs.Symlink:
		return "@"
	case in.Kind == vfs.FIFO:
		return "|"
	case in.Mode&0o111 != 0 && in.Kind == vfs.File:
		return "*"
	}
	return ""
}

func (l *lister) show(list []vfs.Info) {
	if l.long {
		l.longList(list)
		return
	}
	names := make([]string, len(list))
	widths := make([]int, len(list))
	wi, ws := 0, 0
	for _, in := range list {
		wi, ws = max(wi, len(strconv.FormatUint(in.Ino, 10))), max(ws, len(strconv.FormatInt(in.Blocks/2, 10)))
	}
	for i, in := range list {
		lead := ""
		if l.o.Has("i") {
			lead = fmt.Sprintf("%*d ", wi, in.Ino)
		}
		if l.o.Has("s") {
			lead += fmt.Sprintf("%*d ", ws, in.Blocks/2)
		}
		names[i], widths[i] = l.name(in)
		names[i], widths[i] = lead+names[i], widths[i]+len(lead)
	}
	form := l.o.Last("1", "C", "m", "x")
	switch {
	case len(names) == 0:
	case form == "m":
		l.commas(names, widths)
	case form == "1" || form == "" && !l.p.IsTTY(1):
		for _, n := range names {
			put(l.p, n+"\n")
		}
	default:
		l.columns(names, widths, form == "x")
	}
}

func (l *lister) width() int {
	if w := l.o.Int("w", -1); w > 0 {
		return w
	}
	if l.p.S.TTY != nil && l.p.IsTTY(1) {
		if _, cols := l.p.S.TTY.Size(); cols > 0 {
			return cols
		}
	}
	return 80
}

func (l *lister) commas(names []string, widths []int) {
	line, at, limit := "", 0, l.width()
	for i, n := range names {
		last := i == len(names)-1
		if at > 0 && at+2+widths[i] >= limit {
			put(l.p, line+",\n")
			line, at = "", 0
		}
		if at > 0 {
			line, at = line+", ", at+2
		}
		line, at = line+n, at+widths[i]
		if last {
			put(l.p, line+"\n")
		}
	}
}

// columns prints in the fewest rows that fit, each column as wide as its
// longest name.
func (l *lister) columns(names []string, widths []int, across bool) {
	limit := l.width()
	n := len(names)
	for rows := 1; rows <= n; rows++ {
		cols := (n + rows - 1) / rows
		at := func(r, c int) int {
			if across {
				return r*cols + c
			}
			return c*rows + r
		}
		w := make([]int, cols)
		total := 0
		for c := range cols {
			for r := range rows {
				if i := at(r, c); i < n {
					w[c] = max(w[c], widths[i]+2)
				}
			}
			total += w[c]
		}
		if total-2 >= limit && rows < n {
			continue
		}
		for r := range rows {
			var line strings.Builder
			for c := range cols {
				i := at(r, c)
				if i >= n {
					break
				}
				line.WriteString(names[i])
				if next := at(r, c+1); c+1 < cols && next < n {
					line.WriteString(strings.Repeat(" ", w[c]-widths[i]))
				}
			}
			put(l.p, line.String()+"\n")
		}
		return
	}
}

func (l *lister) date(in vfs.Info) string {
	t := in.Mtime
	if l.o.Has("u") {
		t = in.Atime
	} else if l.o.Has("c") {
		t = in.Ctime
	}
	style := l.o.Get("time-style")
	if l.o.Has("full-time") {
		style = "full-iso"
	}
	switch {
	case style == "full-iso":
		return strftime.Format("%Y-%m-%d %H:%M:%S.%N %z", t.UTC())
	case style == "long-iso":
		return strftime.Format("%Y-%m-%d %H:%M", t.UTC())
	case style == "iso":
		return strftime.Format("%m-%d %H:%M", t.UTC())
	case strings.HasPrefix(style, "+"):
		return strftime.Format(style[1:], t.UTC())
	}
	return Date(t, l.p.Now())
}

func (l *lister) longList(list []vfs.Info) {
	type row struct{ lead, mode, links, user, group, size, date, name string }
	rows := make([]row, len(list))
	wl, wu, wg, ws, wm := 0, 0, 0, 0, 0
	for i, in := range list {
		r := row{mode: Mode(in), links: strconv.Itoa(max(in.Nlink, 1)), user: l.p.M.UserName(in.UID), group: l.p.M.GroupName(in.GID), date: l.date(in)}
		if l.o.Has("n") {
			r.user, r.group = strconv.Itoa(int(in.UID)), strconv.Itoa(int(in.GID))
		}
		r.size = strconv.FormatInt(in.Size, 10)
		if l.o.Has("h") {
			r.size = Human(in.Size)
		}
		if in.Kind == vfs.CharDev || in.Kind == vfs.BlockDev {
			wm = max(wm, len(strconv.Itoa(int(in.Minor))))
		}
		r.name, _ = l.name(in)
		if in.Kind == vfs.Symlink {
			r.name += " -> " + in.Target
		}
		if l.o.Has("i") {
			r.lead = fmt.Sprintf("%d ", in.Ino)
		}
		if l.o.Has("s") {
			r.lead += fmt.Sprintf("%d ", in.Blocks/2)
		}
		rows[i] = r
	}
	for i, in := range list {
		if in.Kind == vfs.CharDev || in.Kind == vfs.BlockDev {
			rows[i].size = fmt.Sprintf("%d, %*d", in.Major, wm, in.Minor)
		}
		r := rows[i]
		wl, wu, wg, ws = max(wl, len(r.links)), max(wu, len(r.user)), max(wg, len(r.group)), max(ws, len(r.size))
	}
	for _, r := range rows {
		line := fmt.Sprintf("%s%s %*s ", r.lead, r.mode, wl, r.links)
		if !l.o.Has("g") {
			line += fmt.Sprintf("%-*s ", wu, r.user)
		}
		if !l.o.Has("o", "G") {
			line += fmt.Sprintf("%-*s ", wg, r.group)
		}
		put(l.p, line+fmt.Sprintf("%*s %s %s\n", ws, r.size, r.date, r.name))
	}
}
