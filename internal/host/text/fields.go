package text

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func uniq(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "cdDuif:s:w:z", "count/c repeated/d unique/u ignore-case/i skip-fields/f skip-chars/s check-chars/w zero-terminated/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	skipF, skipC, width := o.Int("f", 0), o.Int("s", 0), o.Int("w", 1<<30)
	key := func(l string) string {
		for range skipF {
			l = strings.TrimLeft(l, " \t")
			i := strings.IndexAny(l, " \t")
			if i < 0 {
				i = len(l)
			}
			l = l[i:]
		}
		l = l[min(max(skipC, 0), len(l)):]
		l = l[:min(max(width, 0), len(l))]
		if o.Has("i") {
			l = strings.ToLower(l)
		}
		return l
	}
	var out strings.Builder
	prev, n := "", 0
	flush := func() {
		if n == 0 || o.Has("d", "D") && n < 2 || o.Has("u") && n > 1 {
			return
		}
		times := 1
		if o.Has("D") {
			times = n
		}
		for range times {
			if o.Has("c") {
				fmt.Fprintf(&out, "%7d ", n)
			}
			out.WriteString(prev + "\n")
		}
		if out.Len() > 8192 {
			put(p, out.String())
			out.Reset()
		}
	}
	st := each(p, o.Args[:min(len(o.Args), 1)], func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if n > 0 && key(l) == key(prev) {
				n++
				return true
			}
			flush()
			prev, n = l, 1
			return true
		})
	})
	flush()
	put(p, out.String())
	return st
}

// ranges reads a list such as 1,3-5,7-; what is the word for its unit.
func ranges(s, what string) ([][2]int, string) {
	var out [][2]int
	for part := range strings.SplitSeq(s, ",") {
		a, b, dash := strings.Cut(part, "-")
		if a == "" && b == "" {
			if dash {
				return nil, "invalid range with no endpoint: -"
			}
			return nil, what + "s are numbered from 1"
		}
		lo, hi := 1, 1<<30
		var err error
		if a != "" {
			if lo, err = strconv.Atoi(a); err != nil {
				return nil, fmt.Sprintf("invalid %s value ‘%s’", what, a)
			}
			if lo < 1 {
				return nil, what + "s are numbered from 1"
			}
		}
		switch {
		case !dash:
			hi = lo
		case b != "":
			if hi, err = strconv.Atoi(b); err != nil {
				return nil, fmt.Sprintf("invalid %s value ‘%s’", what, b)
			}
			if hi < lo {
				return nil, "invalid decreasing range"
			}
		}
		out = append(out, [2]int{lo, hi})
	}
	return out, ""
}

func inRanges(r [][2]int, n int) bool {
	for _, x := range r {
		if n >= x[0] && n <= x[1] {
			return true
		}
	}
	return false
}

// cutter is a parsed cut.
type cutter struct {
	o          getopt.Opts
	list       [][2]int
	delim, out string
}

func cut(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "d:f:c:b:snz", "delimiter/d fields/f characters/c bytes/b only-delimited/s output-delimiter= complement zero-terminated/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	fail := func(text string) int {
		errorf(p, "%s", text)
		return getopt.Hint(p, 1)
	}
	kinds := 0
	for _, k := range []string{"f", "c", "b"} {
		kinds += min(o.Count(k), 1)
	}
	switch {
	case kinds == 0:
		return fail("you must specify a list of bytes, characters, or fields")
	case kinds > 1:
		return fail("only one list may be specified")
	case len(o.Get("d")) > 1 && len([]rune(o.Get("d"))) > 1:
		return fail("the delimiter must be a single character")
	case o.Has("d") && !o.Has("f"):
		return fail("an input delimiter may be specified only when operating on fields")
	}
	what := "field"
	if !o.Has("f") {
		what = "byte/character position"
	}
	list, fault := ranges(o.Get("f", "c", "b"), what)
	if fault != "" {
		return fail(fault)
	}
	c := &cutter{o: o, list: list, delim: "\t"}
	if o.Has("d") {
		c.delim = o.Get("d")
	}
	c.out = c.delim
	if o.Has("output-delimiter") {
		c.out = o.Get("output-delimiter")
	}
	return each(p, o.Args, func(_ string, rd io.Reader) error {
		return lines(p, rd, func(l string) bool {
			text, show := c.line(l)
			return !show || put(p, text+"\n")
		})
	})
}

func (c *cutter) line(l string) (text string, show bool) {
	comp := c.o.Has("complement")
	if !c.o.Has("f") {
		var b strings.Builder
		for i := range len(l) {
			if inRanges(c.list, i+1) != comp {
				b.WriteByte(l[i])
			}
		}
		return b.String(), true
	}
	if c.delim == "" || !strings.Contains(l, c.delim) {
		return l, !c.o.Has("s")
	}
	var f []string
	for i, x := range strings.Split(l, c.delim) {
		if inRanges(c.list, i+1) != comp {
			f = append(f, x)
		}
	}
	return strings.Join(f, c.out), true
}

func paste(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "d:sz", "delimiters/d serial/s zero-terminated/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	delims := []string{"\t"}
	if o.Has("d") {
		delims = nil
		for _, r := range strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`, `\0`, "\x00").Replace(o.Get("d")) {
			delims = append(delims, strings.Trim(string(r), "\x00"))
		}
		if len(delims) == 0 {
			delims = []string{""}
		}
	}
	names := o.Args
	if len(names) == 0 {
		names = []string{"-"}
	}
	var cols [][]string
	for _, n := range names {
		if n == "-" && len(names) > 1 && !o.Has("s") {
			cols = append(cols, nil)
			continue
		}
		var col []string
		if st := each(p, []string{n}, func(_ string, r io.Reader) error {
			return lines(p, r, func(l string) bool { col = append(col, l); return len(col) < 1<<20 })
		}); st != 0 {
			return 1
		}
		cols = append(cols, col)
	}
	if o.Has("s") {
		for _, col := range cols {
			put(p, joinWith(col, delims)+"\n")
		}
		return 0
	}
	spreadStdin(p, names, cols)
	rows := 0
	for _, c := range cols {
		rows = max(rows, len(c))
	}
	for i := range rows {
		row := make([]string, len(cols))
		for k, c := range cols {
			if i < len(c) {
				row[k] = c[i]
			}
		}
		if !put(p, joinWith(row, delims)+"\n") || p.Step(1) != nil {
			return 1
		}
	}
	return 0
}

// spreadStdin deals the lines of standard input over the operands "-".
func spreadStdin(p *kernel.Proc, names []string, cols [][]string) {
	var at []int
	for i, n := range names {
		if n == "-" && len(names) > 1 {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return
	}
	k := 0
	lines(p, p.Stdin(), func(l string) bool { //nolint:errcheck // the budget ends it
		i := at[k%len(at)]
		cols[i] = append(cols[i], l)
		k++
		return k < 1<<20
	})
}

func joinWith(cells, delims []string) string {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString(delims[(i-1)%len(delims)])
		}
		b.WriteString(c)
	}
	return b.String()
}

func column(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "ts:o:c:xnN:eLR:", "table/t separator/s output-separator/o output-width/c fillrows/x")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	var all []string
	st := each(p, o.Args, func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if strings.TrimSpace(l) != "" {
				all = append(all, l)
			}
			return len(all) < 1<<18
		})
	})
	if o.Has("t") {
		table(p, o, all)
		return st
	}
	width := 0
	for _, l := range all {
		width = max(width, len([]rune(l)))
	}
	if len(all) == 0 {
		return st
	}
	width = (width + 8) &^ 7
	per := max(o.Int("c", 80)/width, 1)
	rows := (len(all) + per - 1) / per
	for r := range rows {
		line, at := "", 0
		for i := r; i < len(all); i += rows {
			for at > 0 && len([]rune(line)) < at {
				line += strings.Repeat("\t", (at-len([]rune(expandTabs(line)))+7)/8)
				break
			}
			line += all[i]
			at += width
		}
		put(p, line+"\n")
	}
	return st
}

func expandTabs(s string) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		if r == '\t' {
			n := 8 - col%8
			b.WriteString(strings.Repeat(" ", n))
			col += n
			continue
		}
		b.WriteRune(r)
		col++
	}
	return b.String()
}

func table(p *kernel.Proc, o getopt.Opts, all []string) {
	var rows [][]string
	var w []int
	for _, l := range all {
		f := strings.Fields(l)
		if s := o.Get("s"); s != "" {
			f = strings.FieldsFunc(l, func(r rune) bool { return strings.ContainsRune(s, r) })
		}
		rows = append(rows, f)
		for i, x := range f {
			if i >= len(w) {
				w = append(w, 0)
			}
			w[i] = max(w[i], len([]rune(x)))
		}
	}
	sep := "  "
	if o.Has("o") {
		sep = o.Get("o")
	}
	for _, r := range rows {
		line := ""
		for i := range w {
			cell := ""
			if i < len(r) {
				cell = r[i]
			}
			if i == len(w)-1 {
				line += cell
				continue
			}
			line += cell + strings.Repeat(" ", w[i]-len([]rune(cell))) + sep
		}
		if len(r) < len(w) {
			line = strings.TrimRight(line, " ")
		}
		put(p, line+"\n")
	}
}
