package text

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func cmp(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bi:ln:s", "print-bytes/b verbose/l bytes/n quiet/s silent/s ignore-initial/i")
	if o.Bad != "" {
		return getopt.Usage(p, o, 2)
	}
	if len(o.Args) == 0 {
		errorf(p, "missing operand after 'cmp'")
		errorf(p, "Try 'cmp --help' for more information.")
		return 2
	}
	if len(o.Args) == 1 {
		o.Args = append(o.Args, "-")
	}
	var in [2]*bufio.Reader
	for i, n := range o.Args[:2] {
		r, err := open(p, n)
		if err != nil {
			errorf(p, "%s: %s", n, strerror(err))
			return 2
		}
		defer r.Close() //nolint:errcheck // only read
		in[i] = bufio.NewReader(r)
	}
	status, line := 0, 1
	for at := 1; p.Step(1) == nil; at++ {
		a, e1 := in[0].ReadByte()
		b, e2 := in[1].ReadByte()
		if e1 != nil && e2 != nil {
			return status
		}
		if e1 != nil || e2 != nil {
			return cmpEOF(p, o, e1 != nil, at-1, line)
		}
		if a != b {
			status = 1
			if !o.Has("l") {
				if !o.Has("s") {
					put(p, fmt.Sprintf("%s %s differ: byte %d, line %d\n", o.Args[0], o.Args[1], at, line))
				}
				return 1
			}
			put(p, fmt.Sprintf("%d %3o %3o\n", at, a, b))
		}
		if a == '\n' {
			line++
		}
	}
	return 2
}

func cmpEOF(p *kernel.Proc, o getopt.Opts, first bool, at, line int) int {
	if o.Has("s") {
		return 1
	}
	name := o.Args[1]
	if first {
		name = o.Args[0]
	}
	switch {
	case at == 0:
		errorf(p, "EOF on %s which is empty", name)
	case o.Has("l"):
		errorf(p, "EOF on %s after byte %d", name, at)
	default:
		errorf(p, "EOF on %s after byte %d, line %d", name, at, line-1)
	}
	return 1
}

// pairFiles reads the lines of two operands.
func pairFiles(p *kernel.Proc, o getopt.Opts) (a, b []string, ok bool) {
	if len(o.Args) < 2 {
		if len(o.Args) == 0 {
			errorf(p, "missing operand")
		} else {
			errorf(p, "missing operand after ‘%s’", o.Args[0])
		}
		getopt.Hint(p, 1)
		return nil, nil, false
	}
	if len(o.Args) > 2 {
		errorf(p, "extra operand ‘%s’", o.Args[2])
		getopt.Hint(p, 1)
		return nil, nil, false
	}
	var out [2][]string
	for i, n := range o.Args {
		r, err := open(p, n)
		if err != nil {
			errorf(p, "%s: %s", n, strerror(err))
			return nil, nil, false
		}
		lines(p, r, func(l string) bool { out[i] = append(out[i], l); return len(out[i]) < 1<<18 }) //nolint:errcheck // the budget ends it
		r.Close()                                                                                   //nolint:errcheck // only read
	}
	return out[0], out[1], true
}

func comm(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "123iz", "check-order nocheck-order output-delimiter= total zero-terminated/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	a, b, ok := pairFiles(p, o)
	if !ok {
		return 1
	}
	sep := "\t"
	if o.Has("output-delimiter") {
		sep = o.Get("output-delimiter")
	}
	show := func(col int, l string) {
		if o.Has(strconv.Itoa(col)) {
			return
		}
		var lead strings.Builder
		for c := 1; c < col; c++ {
			if !o.Has(strconv.Itoa(c)) {
				lead.WriteString(sep)
			}
		}
		put(p, lead.String()+l+"\n")
	}
	status := 0
	for i, l := range [2][]string{a, b} {
		for k := 1; k < len(l); k++ {
			if l[k] < l[k-1] && !o.Has("nocheck-order") {
				errorf(p, "file %d is not in sorted order", i+1)
				status = 1
				break
			}
		}
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			show(1, a[0])
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			show(2, b[0])
			b = b[1:]
		default:
			show(3, a[0])
			a, b = a[1:], b[1:]
		}
	}
	if status != 0 {
		errorf(p, "input is not in sorted order")
	}
	return status
}

// joiner is a parsed join.
type joiner struct {
	o        getopt.Opts
	k1, k2   int
	sep, out string
}

func joinCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "1:2:j:t:a:v:e:o:i", "ignore-case/i header check-order nocheck-order")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	a, b, ok := pairFiles(p, o)
	if !ok {
		return 1
	}
	j := joiner{o: o, k1: o.Int("1", o.Int("j", 1)), k2: o.Int("2", o.Int("j", 1)), sep: o.Get("t"), out: " "}
	if j.sep != "" {
		j.out = j.sep
	}
	for len(a) > 0 || len(b) > 0 {
		var x, y []string
		var c int
		switch {
		case len(a) == 0:
			y, c = j.split(b[0]), 1
		case len(b) == 0:
			x, c = j.split(a[0]), -1
		default:
			x, y = j.split(a[0]), j.split(b[0])
			c = strings.Compare(field(x, j.k1), field(y, j.k2))
		}
		switch {
		case c < 0:
			if o.Get("a") == "1" || o.Get("v") == "1" {
				put(p, strings.Join(keyFirst(x, j.k1), j.out)+"\n")
			}
			a = a[1:]
		case c > 0:
			if o.Get("a") == "2" || o.Get("v") == "2" {
				put(p, strings.Join(keyFirst(y, j.k2), j.out)+"\n")
			}
			b = b[1:]
		default:
			a, b = j.block(p, a, b)
		}
		if p.Step(1) != nil {
			return 1
		}
	}
	return 0
}

// block joins the runs of equal keys at the head of a and b.
func (j joiner) block(p *kernel.Proc, a, b []string) (restA, restB []string) {
	key := field(j.split(a[0]), j.k1)
	n, m := 0, 0
	for n < len(a) && field(j.split(a[n]), j.k1) == key {
		n++
	}
	for m < len(b) && field(j.split(b[m]), j.k2) == key {
		m++
	}
	for _, l := range a[:n] {
		for _, r := range b[:m] {
			if j.o.Has("v") || p.Step(1) != nil {
				break
			}
			put(p, strings.Join(append(keyFirst(j.split(l), j.k1), keyFirst(j.split(r), j.k2)[1:]...), j.out)+"\n")
		}
	}
	return a[n:], b[m:]
}

func (j joiner) split(l string) []string {
	if j.sep != "" {
		return strings.Split(l, j.sep)
	}
	return strings.Fields(l)
}

func field(f []string, n int) string {
	if n < 1 || n > len(f) {
		return ""
	}
	return f[n-1]
}

func keyFirst(f []string, k int) []string {
	out := []string{field(f, k)}
	for i, x := range f {
		if i != k-1 {
			out = append(out, x)
		}
	}
	return out
}

func expr(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) < 2 {
		errorf(p, "missing operand")
		return getopt.Hint(p, 2)
	}
	if len(p.Args) == 2 && strings.HasPrefix(p.Args[1], "--") {
		if o := getopt.Parse(p.Args[1:], "", ""); o.Bad == "--help" || o.Bad == "--version" {
			return getopt.Usage(p, o, 2)
		}
	}
	e := &exprRun{p: p, args: p.Args[1:]}
	v := e.or()
	if e.fault == "" && e.i < len(e.args) {
		e.fail("syntax error: unexpected argument ‘%s’", e.args[e.i])
	}
	if e.fault != "" {
		errorf(p, "%s", e.fault)
		return 2
	}
	put(p, v+"\n")
	if v == "" || v == "0" {
		return 1
	}
	return 0
}

// tsort prints one order of the nodes that keeps every pair.
func tsort(_ context.Context, p *kernel.Proc) int {
	var words []string
	each(p, p.Args[1:], func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool { words = append(words, strings.Fields(l)...); return len(words) < 1<<16 })
	})
	if len(words)%2 == 1 {
		errorf(p, "%s: input contains an odd number of tokens", map[bool]string{true: "-", false: strings.Join(p.Args[1:], "")}[len(p.Args) == 1])
		return 1
	}
	before := map[string]int{}
	next := map[string][]string{}
	var order []string
	seen := map[string]bool{}
	for i, w := range words {
		if !seen[w] {
			seen[w] = true
			order = append(order, w)
		}
		if i%2 == 1 && words[i-1] != w {
			next[words[i-1]] = append(next[words[i-1]], w)
			before[w]++
		}
	}
	var ready []string
	for _, w := range order {
		if before[w] == 0 {
			ready = append(ready, w)
		}
	}
	for len(ready) > 0 && p.Step(1) == nil {
		w := ready[0]
		ready = ready[1:]
		put(p, w+"\n")
		for _, n := range next[w] {
			if before[n]--; before[n] == 0 {
				ready = append(ready, n)
			}
		}
	}
	return 0
}
