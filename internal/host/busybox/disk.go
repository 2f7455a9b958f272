package busybox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/files"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func df(_ context.Context, p *kernel.Proc) int {
	flags, _, names := options(p, "Bt")
	human1 := strings.Contains(flags, "h")
	unit, mega := "1K-blocks", int64(1)
	if strings.Contains(flags, "m") {
		unit, mega = "1M-blocks", 1024
	}
	show := func(kb int64) string {
		if human1 {
			return human(kb * 1024)
		}
		return strconv.FormatInt((kb+mega/2)/mega, 10)
	}
	if human1 {
		put(p, "Filesystem                Size      Used Available Use%% Mounted on\n")
	} else {
		put(p, "Filesystem           %-15sUsed Available Use%% Mounted on\n", unit)
	}
	row := func(m persona.Mount) {
		name := m.Source
		if len(name) > 20 && !strings.Contains(flags, "P") {
			name += "\n" + strings.Repeat(" ", 20)
		}
		percent := int64(0)
		if m.SizeKB > 0 {
			percent = (m.UsedKB*100 + m.SizeKB - 1) / m.SizeKB
		}
		put(p, "%-20s %9s %9s %9s %3d%% %s\n", name, show(m.SizeKB), show(m.UsedKB), show(m.SizeKB-m.UsedKB), percent, m.Target)
	}
	rc := 0
	if len(names) > 0 {
		for _, n := range names {
			if m, ok := mountOf(p, n); ok {
				row(m)
			} else {
				complain(p, "df: %s: can't find mount point\n", n)
				rc = 1
			}
		}
		return rc
	}
	for _, m := range p.M.Mounts() {
		if m.SizeKB > 0 {
			row(m)
		}
	}
	return 0
}

// mountOf is the file system that holds name.
func mountOf(p *kernel.Proc, name string) (best persona.Mount, ok bool) {
	abs := path.Clean(p.Abs(name))
	if _, err := p.M.FS.Stat(p.Caller, abs); err != nil {
		return best, false
	}
	for _, m := range p.M.Mounts() {
		if (m.Target == "/" || abs == m.Target || strings.HasPrefix(abs, m.Target+"/") || name == m.Source) && len(m.Target) >= len(best.Target) {
			best, ok = m, true
		}
	}
	return best, ok
}

func mount(_ context.Context, p *kernel.Proc) int {
	_, values, rest := options(p, "to")
	if len(rest) == 0 {
		if strings.Contains(strings.Join(p.Args[1:], " "), "-a") {
			return 0
		}
		for _, m := range p.M.Mounts() {
			if t := values['t']; t == "" || t == m.FS {
				put(p, "%s on %s type %s (%s)\n", m.Source, m.Target, m.FS, m.Options)
			}
		}
		return 0
	}
	if strings.Contains(values['o'], "remount") || values['t'] == "tmpfs" && isDir(p, rest[len(rest)-1]) {
		return 0
	}
	if len(rest) < 2 {
		complain(p, "mount: can't find %s in /etc/fstab\n", rest[0])
		return 1
	}
	why := "No such file or directory"
	if _, err := p.M.FS.Stat(p.Caller, p.Abs(rest[0])); err == nil {
		why = "Invalid argument"
	}
	complain(p, "mount: mounting %s on %s failed: %s\n", rest[0], rest[1], why)
	return 255
}

func umount(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "t")
	rc := 0
	for _, n := range rest {
		why := "Invalid argument"
		for _, m := range p.M.Mounts() {
			if m.Target == path.Clean(n) || m.Source == n {
				why = "Device or resource busy"
			}
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(n)); err != nil {
			why = err.Error()
		}
		complain(p, "umount: can't unmount %s: %s\n", n, why)
		rc = 1
	}
	return rc
}

// lister is one run of ls.
type lister struct {
	p     *kernel.Proc
	flags string
	width int
	bad   bool
}

func (l *lister) has(c string) bool { return strings.ContainsAny(l.flags, c) }

func ls(_ context.Context, p *kernel.Proc) int {
	flags, values, names := options(p, "wTI")
	l := &lister{p: p, flags: flags, width: 80}
	if p.IsTTY(1) && p.S.TTY != nil {
		_, l.width = p.S.TTY.Size()
	} else if !l.has("Cxl") {
		l.flags += "1"
	}
	if w, err := strconv.Atoi(values['w']); err == nil && w > 0 {
		l.width = w
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	var plain, dirs []vfs.Info
	for _, n := range names {
		stat := p.M.FS.Lstat
		if !l.has("ld") || l.has("L") {
			stat = p.M.FS.Stat
		}
		in, err := stat(p.Caller, p.Abs(n))
		if err != nil {
			if in, err = p.M.FS.Lstat(p.Caller, p.Abs(n)); err != nil {
				complain(p, "ls: %s: %s\n", n, err)
				l.bad = true
				continue
			}
		}
		in.Name = n
		if in.Kind == vfs.Dir && !l.has("d") {
			dirs = append(dirs, in)
		} else {
			plain = append(plain, in)
		}
	}
	l.sort(plain)
	l.show(plain)
	l.sort(dirs)
	for i, d := range dirs {
		if i > 0 || len(plain) > 0 {
			put(p, "\n")
		}
		l.dir(d.Name, len(names) > 1 || l.has("R"), 0)
	}
	if l.bad {
		return 1
	}
	return 0
}

const maxDeep = 40

func (l *lister) dir(name string, title bool, depth int) {
	if title {
		put(l.p, "%s:\n", name)
	}
	list, err := l.p.M.FS.ReadDir(l.p.Caller, l.p.Abs(name))
	if err != nil {
		complain(l.p, "ls: can't open '%s': %s\n", name, err)
		l.bad = true
		return
	}
	var shown []vfs.Info
	blocks := int64(0)
	if l.has("a") {
		for _, n := range []string{".", ".."} {
			if in, err := l.p.M.FS.Stat(l.p.Caller, l.p.Abs(name)+"/"+n); err == nil {
				in.Name = n
				list = append(list, in)
			}
		}
	}
	for _, in := range list {
		if l.p.Step(1) != nil {
			return
		}
		if in.Name[0] != '.' || l.has("aA") {
			shown = append(shown, in)
			blocks += in.Blocks
		}
	}
	l.sort(shown)
	if l.has("ls") {
		put(l.p, "total %d\n", blocks/2)
	}
	l.show(shown)
	if !l.has("R") || depth > maxDeep {
		return
	}
	for _, in := range shown {
		if in.Kind == vfs.Dir && in.Name != "." && in.Name != ".." {
			put(l.p, "\n")
			l.dir(strings.TrimSuffix(name, "/")+"/"+in.Name, true, depth+1)
		}
	}
}

func (l *lister) sort(list []vfs.Info) {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if l.has("r") {
			a, b = b, a
		}
		switch {
		case l.has("t") && !a.Mtime.Equal(b.Mtime):
			return a.Mtime.After(b.Mtime)
		case l.has("S") && a.Size != b.Size:
			return a.Size > b.Size
		case l.has("X") && path.Ext(a.Name) != path.Ext(b.Name):
			return path.Ext(a.Name) < path.Ext(b.Name)
		}
		return a.Name < b.Name
	})
}

func (l *lister) name(in vfs.Info) string {
	n := in.Name
	if l.has("i") {
		n = fmt.Sprintf("%7d %s", in.Ino, n)
	}
	if l.has("s") && !l.has("l") {
		n = fmt.Sprintf("%6d %s", in.Blocks/2, n)
	}
	if l.has("Fp") {
		switch {
		case in.Kind == vfs.Dir:
			n += "/"
		case l.has("F") && in.Kind == vfs.Symlink:
			n += "@"
		case l.has("F") && in.Mode&0o111 != 0:
			n += "*"
		}
	}
	return n
}

func (l *lister) show(list []vfs.Info) {
	if l.has("l") {
		for _, in := range list {
			l.long(in)
		}
		return
	}
	wide := 0
	for _, in := range list {
		wide = max(wide, len(l.name(in)))
	}
	columns := 1
	if !l.has("1") {
		columns = max(1, l.width/(wide+2))
	}
	rows := (len(list) + columns - 1) / columns
	for r := range rows {
		var b strings.Builder
		for c := range columns {
			i := c*rows + r
			if l.has("x") {
				i = r*columns + c
			}
			if i >= len(list) {
				break
			}
			if pad := c*(wide+2) - b.Len(); c > 0 && pad > 0 {
				b.WriteString(strings.Repeat(" ", pad))
			}
			b.WriteString(l.name(list[i]))
		}
		put(l.p, "%s\n", b.String())
	}
}

func (l *lister) long(in vfs.Info) {
	owner, group := l.p.M.UserName(in.UID), l.p.M.GroupName(in.GID)
	if l.has("n") {
		owner, group = strconv.Itoa(int(in.UID)), strconv.Itoa(int(in.GID))
	}
	size := fmt.Sprintf("%9d", in.Size)
	switch {
	case in.Kind == vfs.CharDev || in.Kind == vfs.BlockDev:
		size = fmt.Sprintf("%4d,%4d", in.Major, in.Minor)
	case l.has("h"):
		size = fmt.Sprintf("%9s", human(in.Size))
	}
	name := l.name(in)
	if in.Kind == vfs.Symlink {
		name += " -> " + in.Target
	}
	put(l.p, "%s %4d %-8.8s %-8.8s %s %s %s\n", files.Mode(in), in.Nlink, owner, group, size, files.Date(in.Mtime, l.p.Now()), name)
}

func wc(_ context.Context, p *kernel.Proc) int {
	flags, _, names := options(p, "")
	if flags == "" {
		flags = "lwc"
	}
	var wanted strings.Builder
	for _, c := range "lwmcL" {
		if strings.ContainsRune(flags, c) {
			wanted.WriteString(string(c))
		}
	}
	single := len(wanted.String()) == 1
	var total [5]int64
	row := func(n [5]int64, name string) {
		var b strings.Builder
		for i, c := range "lwmcL" {
			if !strings.ContainsRune(wanted.String(), c) {
				continue
			}
			if single {
				fmt.Fprintf(&b, "%d", n[i])
			} else if b.Len() == 0 {
				fmt.Fprintf(&b, "%9d", n[i])
			} else {
				fmt.Fprintf(&b, " %9d", n[i])
			}
		}
		if name != "" {
			b.WriteString(" " + name)
		}
		put(p, "%s\n", b.String())
	}
	if len(names) == 0 {
		n, _ := count(p, p.Stdin()) // a broken pipe is its end
		row(n, "")
		return 0
	}
	rc := 0
	for _, name := range names {
		r := p.Stdin()
		if name != "-" {
			h, err := p.M.FS.Open(p.Caller, p.Abs(name), vfs.ReadOnly, 0)
			if err != nil {
				complain(p, "wc: %s: %s\n", name, err)
				rc = 1
				continue
			}
			defer h.Close() //nolint:errcheck // read only
			r = h
		}
		n, err := count(p, r)
		if err != nil {
			complain(p, "wc: %s: %s\n", name, err)
			rc = 1
			continue
		}
		for i := range total {
			total[i] += n[i]
		}
		row(n, name)
	}
	if len(names) > 1 {
		row(total, "total")
	}
	return rc
}

// count gives lines, words, characters, bytes and the longest line.
func count(p *kernel.Proc, r io.Reader) (n [5]int64, err error) {
	buf := make([]byte, 8192)
	word, line := false, int64(0)
	for p.Step(1) == nil {
		k, err := r.Read(buf)
		n[0] += int64(bytes.Count(buf[:k], []byte("\n")))
		n[3] += int64(k)
		for _, c := range buf[:k] {
			if c&0xc0 != 0x80 {
				n[2]++
			}
			if line++; c == '\n' {
				line = 0
			}
			n[4] = max(n[4], line)
			space := c == ' ' || c >= 9 && c <= 13
			if !space && !word {
				n[1]++
			}
			word = !space
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
