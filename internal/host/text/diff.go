package text

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/strftime"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxDiffCells = 4 << 20 // of the table of common lines

// hunk is lines [a1,a2) of the one replaced by [b1,b2) of the other.
type hunk struct{ a1, a2, b1, b2 int }

func diff(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abBcC:deiqrNsu?U:wyEZtT", "unified?/u brief/q recursive/r new-file/N ignore-case/i ignore-all-space/w ignore-space-change/b ignore-blank-lines/B text/a report-identical-files/s color?")
	if o.Bad != "" {
		return getopt.Usage(p, o, 2)
	}
	if len(o.Args) < 2 {
		after := "diff"
		if len(o.Args) == 1 {
			after = o.Args[0]
		}
		errorf(p, "missing operand after '%s'", after)
		errorf(p, "Try 'diff --help' for more information.")
		return 2
	}
	if len(o.Args) > 2 {
		errorf(p, "extra operand '%s'", o.Args[2])
		errorf(p, "Try 'diff --help' for more information.")
		return 2
	}
	d := &differ{p: p, o: o}
	return d.pair(ctx, o.Args[0], o.Args[1], 0)
}

type differ struct {
	p *kernel.Proc
	o getopt.Opts
}

func (d *differ) isDir(name string) bool {
	in, err := d.p.M.FS.Stat(d.p.Caller, d.p.Abs(name))
	return name != "-" && err == nil && in.Kind == vfs.Dir
}

func (d *differ) pair(ctx context.Context, a, b string, depth int) int {
	dirA, dirB := d.isDir(a), d.isDir(b)
	switch {
	case dirA && dirB:
		return d.dirs(ctx, a, b, depth)
	case dirA:
		a = strings.TrimSuffix(a, "/") + "/" + getopt.Base(b)
	case dirB:
		b = strings.TrimSuffix(b, "/") + "/" + getopt.Base(a)
	}
	x, ok1 := d.read(a)
	y, ok2 := d.read(b)
	if !ok1 || !ok2 {
		return 2
	}
	if x == y {
		if d.o.Has("s") {
			put(d.p, "Files "+a+" and "+b+" are identical\n")
		}
		return 0
	}
	if strings.ContainsRune(x+y, 0) && !d.o.Has("a") {
		put(d.p, "Binary files "+a+" and "+b+" differ\n")
		return 2
	}
	la, lb := rawSplit(x), rawSplit(y)
	hunks := d.compare(la, lb)
	if len(hunks) == 0 {
		return 0
	}
	switch {
	case d.o.Has("q"):
		put(d.p, "Files "+a+" and "+b+" differ\n")
	case d.o.Has("u", "U", "c", "C"):
		d.unified(a, b, la, lb, hunks)
	default:
		for _, h := range hunks {
			d.normal(la, lb, h)
		}
	}
	return 1
}

func (d *differ) sameFile(a, b string) bool {
	x, err1 := d.p.M.FS.Stat(d.p.Caller, d.p.Abs(a))
	y, err2 := d.p.M.FS.Stat(d.p.Caller, d.p.Abs(b))
	return err1 == nil && err2 == nil && x.Ino == y.Ino
}

func (d *differ) read(name string) (string, bool) {
	r, err := open(d.p, name)
	if err != nil {
		if d.o.Has("N") {
			return "", true
		}
		errorf(d.p, "%s: %s", name, strerror(err))
		return "", false
	}
	defer r.Close() //nolint:errcheck // only read
	data, err := slurp(d.p, r)
	return string(data), err == nil
}

func rawSplit(s string) []string {
	l := strings.SplitAfter(s, "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

func (d *differ) dirs(ctx context.Context, a, b string, depth int) int {
	names := map[string]int{}
	var order []string
	for i, dir := range []string{a, b} {
		list, err := d.p.M.FS.ReadDir(d.p.Caller, d.p.Abs(dir))
		if err != nil {
			errorf(d.p, "%s: %s", dir, strerror(err))
			return 2
		}
		for _, in := range list {
			if names[in.Name] == 0 {
				order = append(order, in.Name)
			}
			names[in.Name] |= 1 << i
		}
	}
	sortStrings(order)
	status := 0
	for _, n := range order {
		x, y := strings.TrimSuffix(a, "/")+"/"+n, strings.TrimSuffix(b, "/")+"/"+n
		switch {
		case ctx.Err() != nil || d.p.Step(5) != nil || depth > 30:
			return 2
		case names[n] != 3 && !d.o.Has("N"):
			put(d.p, "Only in "+map[int]string{1: a, 2: b}[names[n]]+": "+n+"\n")
			status = max(status, 1)
		case d.isDir(x) && d.isDir(y) && !d.o.Has("r") && !d.sameFile(x, y):
			put(d.p, "Common subdirectories: "+x+" and "+y+"\n")
		default:
			status = max(status, d.pair(ctx, x, y, depth+1))
		}
	}
	return status
}

func (d *differ) key(l string) string {
	l = strings.TrimSuffix(l, "\n")
	switch {
	case d.o.Has("w"):
		l = strings.Join(strings.Fields(l), "")
	case d.o.Has("b"):
		l = strings.TrimRight(strings.Join(strings.Fields(" "+l), " "), " ")
	default:
		return l
	}
	if d.o.Has("i") {
		l = strings.ToLower(l)
	}
	return l
}

// compare finds the longest common subsequence between the common ends.
func (d *differ) compare(a, b []string) []hunk {
	same := func(x, y string) bool {
		if d.o.Has("w", "b") {
			return d.key(x) == d.key(y)
		}
		return x == y || d.o.Has("i") && strings.EqualFold(x, y)
	}
	lo := 0
	for lo < len(a) && lo < len(b) && same(a[lo], b[lo]) {
		lo++
	}
	hi := 0
	for hi < len(a)-lo && hi < len(b)-lo && same(a[len(a)-1-hi], b[len(b)-1-hi]) {
		hi++
	}
	n, m := len(a)-lo-hi, len(b)-lo-hi
	if n == 0 && m == 0 {
		return nil
	}
	if n == 0 || m == 0 || n > maxDiffCells/(m+1) || d.p.Step(int64(n)*int64(m)/16+1) != nil {
		return []hunk{{lo, lo + n, lo, lo + m}}
	}
	tab := make([]int32, (n+1)*(m+1))
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if same(a[lo+i], b[lo+j]) {
				tab[i*(m+1)+j] = tab[(i+1)*(m+1)+j+1] + 1
			} else {
				tab[i*(m+1)+j] = max(tab[(i+1)*(m+1)+j], tab[i*(m+1)+j+1])
			}
		}
	}
	var out []hunk
	i, j := 0, 0
	for i < n || j < m {
		h := hunk{lo + i, 0, lo + j, 0}
		for i < n || j < m {
			if i < n && j < m && same(a[lo+i], b[lo+j]) {
				break
			}
			if j >= m || i < n && tab[(i+1)*(m+1)+j] >= tab[i*(m+1)+j+1] {
				i++
			} else {
				j++
			}
		}
		h.a2, h.b2 = lo+i, lo+j
		if h.a2 > h.a1 || h.b2 > h.b1 {
			out = append(out, h)
		}
		for i < n && j < m && same(a[lo+i], b[lo+j]) {
			i, j = i+1, j+1
		}
	}
	return out
}

func span(from, to int) string {
	switch {
	case to-from <= 0:
		return strconv.Itoa(from)
	case to-from == 1:
		return strconv.Itoa(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to)
}

func (d *differ) lines(mark string, l []string) {
	for _, x := range l {
		if !strings.HasSuffix(x, "\n") {
			x += "\n\\ No newline at end of file\n"
		}
		put(d.p, mark+x)
	}
}

func (d *differ) normal(a, b []string, h hunk) {
	verb := "c"
	if h.a1 == h.a2 {
		verb = "a"
	} else if h.b1 == h.b2 {
		verb = "d"
	}
	put(d.p, span(h.a1, h.a2)+verb+span(h.b1, h.b2)+"\n")
	d.lines("< ", a[h.a1:h.a2])
	if verb == "c" {
		put(d.p, "---\n")
	}
	d.lines("> ", b[h.b1:h.b2])
}

func (d *differ) stamp(name string) string {
	t := d.p.Now()
	if in, err := d.p.M.FS.Stat(d.p.Caller, d.p.Abs(name)); err == nil && name != "-" {
		t = in.Mtime
	}
	return name + "\t" + strftime.Format("%Y-%m-%d %H:%M:%S.%N %z", t.UTC())
}

// unified prints hunks with context; neighbours closer than twice the context
// are one.
func (d *differ) unified(nameA, nameB string, a, b []string, hunks []hunk) {
	n := d.o.Int("U", 3)
	put(d.p, "--- "+d.stamp(nameA)+"\n+++ "+d.stamp(nameB)+"\n")
	at := func(from, to int) string {
		if to-from == 1 {
			return strconv.Itoa(from + 1)
		}
		if to == from {
			return fmt.Sprintf("%d,0", from)
		}
		return fmt.Sprintf("%d,%d", from+1, to-from)
	}
	for i := 0; i < len(hunks); {
		k := i + 1
		for k < len(hunks) && hunks[k].a1-hunks[k-1].a2 <= 2*n {
			k++
		}
		first, last := hunks[i], hunks[k-1]
		a1, a2 := max(first.a1-n, 0), min(last.a2+n, len(a))
		b1, b2 := max(first.b1-n, 0), min(last.b2+n, len(b))
		put(d.p, "@@ -"+at(a1, a2)+" +"+at(b1, b2)+" @@\n")
		pos := a1
		for _, h := range hunks[i:k] {
			d.lines(" ", a[pos:h.a1])
			d.lines("-", a[h.a1:h.a2])
			d.lines("+", b[h.b1:h.b2])
			pos = h.a2
		}
		d.lines(" ", a[pos:a2])
		i = k
	}
}
