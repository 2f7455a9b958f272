package text

import (
	"context"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// sortKey is one -k: fields are counted from 1, a zero end is the line's end.
type sortKey struct {
	f1, c1, f2, c2 int
	kind           byte // n, g, h, V, M or 0
	reverse, fold  bool
	blanks         bool
	own            bool // has options of its own
}

type sorter struct {
	p      *kernel.Proc
	keys   []sortKey
	sep    string
	unique bool
	stable bool
	global sortKey
}

func sortLines(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "nrufk:t:o:bdighMVsRcCmzS:T:", "numeric-sort/n reverse/r unique/u key/k field-separator/t human-numeric-sort/h general-numeric-sort/g version-sort/V month-sort/M ignore-case/f ignore-leading-blanks/b stable/s check?/c random-sort/R output/o zero-terminated/z merge/m dictionary-order/d parallel= buffer-size/S")
	if o.Bad != "" {
		return getopt.Usage(p, o, 2)
	}
	s := &sorter{p: p, sep: o.Get("t"), unique: o.Has("u"), stable: o.Has("s")}
	if s.sep == `\0` {
		s.sep = "\x00"
	}
	for _, k := range []string{"n", "g", "h", "V", "M", "R"} {
		if o.Has(k) {
			s.global.kind = k[0]
		}
	}
	s.global.reverse, s.global.fold, s.global.blanks = o.Has("r"), o.Has("f"), o.Has("b")
	for _, text := range o.All("k") {
		k, ok := parseKey(text)
		if !ok {
			errorf(p, "invalid number at field start: invalid count at start of ‘%s’", text)
			return 2
		}
		s.keys = append(s.keys, k)
	}
	var all []string
	held := int64(0)
	defer func() { p.S.Budget.Grow(-held) }() //nolint:errcheck // giving back
	status := named(p, o.Args, "cannot read: %s: %s", func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if p.S.Budget.Grow(int64(len(l))+16) != nil {
				errorf(p, "memory exhausted")
				return false
			}
			held += int64(len(l)) + 16
			all = append(all, l)
			return true
		})
	})
	if status != 0 {
		return 2
	}
	if o.Has("c", "C") {
		return s.check(all, o)
	}
	return s.write(all, o)
}

func (s *sorter) check(all []string, o getopt.Opts) int {
	for i := 1; i < len(all); i++ {
		if c := s.compare(all[i-1], all[i]); c > 0 || c == 0 && s.unique {
			name := "-"
			if len(o.Args) > 0 {
				name = o.Args[0]
			}
			if !o.Has("C") {
				errorf(s.p, "%s:%d: disorder: %s", name, i+1, all[i])
			}
			return 1
		}
	}
	return 0
}

func (s *sorter) write(all []string, o getopt.Opts) int {
	if s.global.kind == 'R' {
		for i := len(all) - 1; i > 0; i-- {
			j := s.p.M.Rand.IntN(i + 1)
			all[i], all[j] = all[j], all[i]
		}
	} else {
		sort.SliceStable(all, func(i, j int) bool { return s.compare(all[i], all[j]) < 0 })
	}
	var b strings.Builder
	for i, l := range all {
		if s.unique && i > 0 && s.byKeys(l, all[i-1]) == 0 {
			continue
		}
		b.WriteString(l + "\n")
	}
	if f := o.Get("o"); f != "" {
		if err := s.p.M.FS.WriteFile(s.p.Caller, s.p.Abs(f), []byte(b.String()), 0o666&^s.p.Umask); err != nil {
			errorf(s.p, "open failed: %s: %s", f, strerror(err))
			return 2
		}
		return 0
	}
	put(s.p, b.String())
	return 0
}

// parseKey reads F[.C][OPTS][,F[.C][OPTS]].
func parseKey(text string) (sortKey, bool) {
	var k sortKey
	from, to, both := strings.Cut(text, ",")
	var ok bool
	if k.f1, k.c1, ok = k.position(from); !ok || k.f1 == 0 {
		return k, false
	}
	if both {
		k.f2, k.c2, ok = k.position(to)
	}
	return k, ok
}

func (k *sortKey) position(text string) (field, char int, ok bool) {
	digits := strings.TrimRight(text, "bdfgiMhnRrV")
	for _, c := range text[len(digits):] {
		k.own = true
		switch c {
		case 'r':
			k.reverse = true
		case 'f':
			k.fold = true
		case 'b':
			k.blanks = true
		case 'd', 'i':
		default:
			k.kind = byte(c)
		}
	}
	f, c, _ := strings.Cut(digits, ".")
	field, err := strconv.Atoi(f)
	if c != "" {
		char, _ = strconv.Atoi(c)
	}
	return field, char, err == nil && field >= 0
}

func (s *sorter) compare(a, b string) int {
	if c := s.byKeys(a, b); c != 0 || s.unique || s.stable {
		return c
	}
	c := strings.Compare(a, b)
	if s.global.reverse {
		return -c
	}
	return c
}

func (s *sorter) byKeys(a, b string) int {
	if len(s.keys) == 0 {
		return s.global.order(a, b)
	}
	for _, k := range s.keys {
		if !k.own {
			k.kind, k.reverse, k.fold, k.blanks = s.global.kind, s.global.reverse, s.global.fold, s.global.blanks
		}
		if c := k.order(s.part(a, k), s.part(b, k)); c != 0 {
			return c
		}
	}
	return 0
}

// part is the piece of a line that a key names.
func (s *sorter) part(l string, k sortKey) string {
	starts, ends := s.fields(l)
	from := len(l)
	if k.f1 <= len(starts) {
		from = starts[k.f1-1]
		if k.blanks {
			for from < len(l) && (l[from] == ' ' || l[from] == '\t') {
				from++
			}
		}
		from = min(from+max(k.c1-1, 0), len(l))
	}
	to := len(l)
	if k.f2 > 0 && k.f2 <= len(starts) {
		to = ends[k.f2-1]
		if k.c2 > 0 {
			to = min(starts[k.f2-1]+k.c2, len(l))
		}
	}
	if to < from {
		return ""
	}
	return l[from:to]
}

// fields gives where each field starts and ends; without a separator a field
// holds the blanks before it.
func (s *sorter) fields(l string) (starts, ends []int) {
	if s.sep != "" {
		at := 0
		for {
			i := strings.Index(l[at:], s.sep)
			starts = append(starts, at)
			if i < 0 {
				return starts, append(ends, len(l))
			}
			ends = append(ends, at+i)
			at += i + len(s.sep)
		}
	}
	for i := 0; i < len(l); {
		start := i
		for i < len(l) && (l[i] == ' ' || l[i] == '\t') {
			i++
		}
		for i < len(l) && l[i] != ' ' && l[i] != '\t' {
			i++
		}
		starts, ends = append(starts, start), append(ends, i)
	}
	return starts, ends
}

func (k sortKey) order(a, b string) int {
	c := k.plain(a, b)
	if k.reverse {
		return -c
	}
	return c
}

func (k sortKey) plain(a, b string) int {
	switch k.kind {
	case 'n', 'h', 'g':
		x, y := leading(a, k.kind), leading(b, k.kind)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case 'V':
		return versionOrder(a, b)
	case 'M':
		return month(a) - month(b)
	}
	if k.blanks {
		a, b = strings.TrimLeft(a, " \t"), strings.TrimLeft(b, " \t")
	}
	if k.fold {
		a, b = strings.ToUpper(a), strings.ToUpper(b)
	}
	return strings.Compare(a, b)
}

func month(s string) int {
	s = strings.ToUpper(strings.TrimLeft(s, " \t"))
	if len(s) < 3 {
		return 0
	}
	return strings.Index("   JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", s[:3]) / 3
}

// versionOrder compares runs of digits by value.
func versionOrder(a, b string) int {
	for a != "" && b != "" {
		x, y := digitRun(a), digitRun(b)
		if x > 0 && y > 0 {
			m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if len(m) != len(n) {
				return len(m) - len(n)
			}
			if c := strings.Compare(m, n); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digitRun(s string) int {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// leading is the number that s begins with; human suffixes count for 'h', an
// exponent for 'g'.
func leading(s string, kind byte) float64 {
	s = strings.TrimLeft(s, " \t")
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' || i == 0 && (s[i] == '-' || kind == 'g' && s[i] == '+') ||
		kind == 'g' && i > 0 && strings.IndexByte("eE", s[i]) >= 0) {
		i++
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		if kind == 'g' {
			return math.Inf(-1)
		}
		return 0
	}
	if kind == 'h' && i < len(s) {
		if k := strings.IndexByte("KMGTPE", s[i]); k >= 0 {
			return f * math.Pow(1024, float64(k+1))
		}
	}
	return f
}
