package sigma

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

// textMatcher answers a predText over one value, from sets by the kind of
// pattern. Its texts are folded unless the predicate is cased.
type textMatcher struct {
	any      bool
	exact    []string
	prefix   []string
	suffix   []string
	contains []needle
	globs    []pattern
	exactSet map[string]struct{} // in place of exact when there are many
	tails    *affixSet           // in place of suffix when there are many
	heads    *affixSet
	scan     *scanner // in place of the longer of contains when there are many
}

// manyTexts is from how many texts on a set is quicker than a list.
const manyTexts = 12

func newTextMatcher(pats []pattern) *textMatcher {
	m := &textMatcher{}
	for _, p := range pats {
		m.add(p)
	}
	if len(m.exact) > manyTexts {
		m.exactSet = make(map[string]struct{}, len(m.exact))
		for _, s := range m.exact {
			m.exactSet[s] = struct{}{}
		}
		m.exact = nil
	}
	if len(m.suffix) > manyTexts {
		m.tails, m.suffix = newAffixSet(m.suffix), nil
	}
	if len(m.prefix) > manyTexts {
		m.heads, m.prefix = newAffixSet(m.prefix), nil
	}
	if len(m.contains) > 16 {
		m.scanContains()
	}
	return m
}

func (m *textMatcher) add(p pattern) {
	switch {
	case len(p) == 0:
		m.exact = append(m.exact, "")
	case len(p) == 1 && p[0].kind == tokLit:
		m.exact = append(m.exact, p[0].lit)
	case len(p) == 1 && p[0].kind == tokMany:
		m.any = true
	case len(p) == 2 && p[0].kind == tokLit && p[1].kind == tokMany:
		m.prefix = append(m.prefix, p[0].lit)
	case len(p) == 2 && p[0].kind == tokMany && p[1].kind == tokLit:
		m.suffix = append(m.suffix, p[1].lit)
	case len(p) == 3 && p[0].kind == tokMany && p[1].kind == tokLit && p[2].kind == tokMany:
		m.contains = append(m.contains, newNeedle(p[1].lit))
	default:
		m.globs = append(m.globs, p)
	}
}

func (m *textMatcher) scanContains() {
	b := newScanBuilder()
	var short []needle
	for _, n := range m.contains {
		if len(n.text) < minScan {
			short = append(short, n)
		} else {
			b.add(n.text, 0)
		}
	}
	m.contains, m.scan = short, b.build()
}

func (m *textMatcher) match(s []byte) bool {
	if m.any {
		return true
	}
	for _, t := range m.exact { //nolint:modernize // slices.Contains would copy s
		if string(s) == t {
			return true
		}
	}
	if m.exactSet != nil {
		if _, ok := m.exactSet[string(s)]; ok {
			return true
		}
	}
	for _, t := range m.suffix {
		if len(s) >= len(t) && string(s[len(s)-len(t):]) == t {
			return true
		}
	}
	for _, t := range m.prefix {
		if len(s) >= len(t) && string(s[:len(t)]) == t {
			return true
		}
	}
	if m.tails != nil && m.tails.tail(s) || m.heads != nil && m.heads.head(s) {
		return true
	}
	for _, n := range m.contains {
		if n.in(s) {
			return true
		}
	}
	if m.scan != nil && m.scan.contains(s) {
		return true
	}
	for _, p := range m.globs {
		if p.match(s) {
			return true
		}
	}
	return false
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// textOf is b as a string, which changes when b does.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// affixSet is a set of beginnings or ends, by length.
type affixSet struct {
	set  map[string]struct{}
	lens []int // rising
}

func newAffixSet(texts []string) *affixSet {
	a := &affixSet{set: make(map[string]struct{}, len(texts))}
	for _, t := range texts {
		a.set[t] = struct{}{}
		if !slices.Contains(a.lens, len(t)) {
			a.lens = append(a.lens, len(t))
		}
	}
	slices.Sort(a.lens)
	return a
}

func (a *affixSet) tail(s []byte) bool {
	for _, n := range a.lens {
		if n > len(s) {
			return false
		}
		if _, ok := a.set[string(s[len(s)-n:])]; ok {
			return true
		}
	}
	return false
}

func (a *affixSet) head(s []byte) bool {
	for _, n := range a.lens {
		if n > len(s) {
			return false
		}
		if _, ok := a.set[string(s[:n])]; ok {
			return true
		}
	}
	return false
}

// matchCIDR tells whether the text is an address in one of the networks.
func matchCIDR(nets []netip.Prefix, text []byte) bool {
	if len(text) < 2 || len(text) > 64 || strings.IndexByte("0123456789abcdefABCDEF:", text[0]) < 0 {
		return false
	}
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, n := range nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// matchRef compares two values of one record, both folded unless case counts.
func matchRef(mode refMode, a, b []byte) bool {
	switch mode {
	case refPrefix:
		return bytes.HasPrefix(a, b)
	case refSuffix:
		return bytes.HasSuffix(a, b)
	case refContains:
		return bytes.Contains(a, b)
	default:
		return bytes.Equal(a, b)
	}
}

// dateForms are the ways of writing a date that the time modifiers read. They
// are taken as they stand: no time zone is converted.
var dateForms = []string{
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006/01/02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	"02/Jan/2006:15:04:05", "2006-01-02",
}

// datePart reads a part of a date in text.
func datePart(part timePart, text []byte) (number, bool) {
	if len(text) < 10 || len(text) > 64 {
		return number{}, false
	}
	var t time.Time
	ok := false
	for _, form := range dateForms {
		if len(text) < len(form) {
			continue
		}
		if v, err := time.Parse(form, string(text[:len(form)])); err == nil {
			t, ok = v, true
			break
		}
	}
	if !ok {
		return number{}, false
	}
	_, week := t.ISOWeek()
	n := [...]int{t.Minute(), t.Hour(), t.Day(), week, int(t.Month()), t.Year()}[part]
	return number{i: int64(n), f: float64(n), isInt: true}, true
}

// canonicalNumber writes whole numbers in one way: 1e3 and 1000.0 as 1000.
func canonicalNumber(text []byte) []byte {
	for i, c := range text {
		if c >= '0' && c <= '9' || c == '-' && i == 0 {
			continue
		}
		if c != '.' && c != 'e' && c != 'E' && c != '+' || len(text) > 64 {
			return text
		}
		n, ok := parseNumber(string(text))
		if !ok || n.isInt || n.f != float64(int64(n.f)) || n.f > 1<<53 || n.f < -1<<53 {
			return text
		}
		return strconv.AppendInt(nil, int64(n.f), 10)
	}
	return text
}

// lowerInto appends the lower-case form of s to dst: appendLower, quick for
// ASCII.
func lowerInto(dst, s []byte) []byte {
	if !isASCII(s) {
		return appendLower(dst, s)
	}
	n := len(dst)
	dst = append(dst, s...)
	out := dst[n:]
	for len(out) >= 8 {
		x := load64(out)
		const ones = 0x0101010101010101
		up := (x + (0x80-'A')*ones) ^ (x + (0x7f-'Z')*ones)
		x |= (up & 0x8080808080808080) >> 2
		store64(out, x)
		out = out[8:]
	}
	for i, c := range out {
		out[i] = lowTable[c]
	}
	return dst
}

func store64(b []byte, x uint64) {
	_ = b[7]
	b[0], b[1], b[2], b[3] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
	b[4], b[5], b[6], b[7] = byte(x>>32), byte(x>>40), byte(x>>48), byte(x>>56)
}

// validText tells whether folding a text is the same as folding the places
// where it occurs.
func validText(s string) bool { return utf8.ValidString(s) }
