package sigma

import (
	"bytes"
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokKind is the kind of a part of a pattern.
type tokKind uint8

const (
	tokLit  tokKind = iota
	tokOne          // ?: one character
	tokMany         // *: any number of characters
	tokVar          // %name%, until it is replaced
	tokDash         // any of dashes
)

// tok is one part of a pattern; lit is the literal's text or the name of the
// placeholder.
type tok struct {
	kind tokKind
	lit  string
}

// pattern is a rule's text value: literals and wildcards. No literal is empty,
// none follows another, no tokMany follows another.
type pattern []tok

// parsePattern reads a value as rules write it: * and ? are wildcards, \*, \?
// and \\ stand for the character, any other backslash for itself.
func parsePattern(s string) pattern {
	if !strings.ContainsAny(s, `*?\`) {
		return pattern(nil).lit(s)
	}
	var p pattern
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) && strings.IndexByte(`*?\`, s[i+1]) >= 0 {
			i++
			b.WriteByte(s[i])
			continue
		}
		if c != '*' && c != '?' {
			b.WriteByte(c)
			continue
		}
		p = p.lit(b.String())
		b.Reset()
		p = p.wild(c)
	}
	return p.lit(b.String())
}

func (p pattern) lit(s string) pattern {
	if s == "" {
		return p
	}
	if n := len(p); n > 0 && p[n-1].kind == tokLit {
		p[n-1].lit += s
		return p
	}
	return append(p, tok{tokLit, s})
}

func (p pattern) wild(c byte) pattern {
	if c == '?' {
		return append(p, tok{kind: tokOne})
	}
	if n := len(p); n > 0 && p[n-1].kind == tokMany {
		return p
	}
	return append(p, tok{kind: tokMany})
}

// join appends q.
func (p pattern) join(q pattern) pattern {
	for _, t := range q {
		switch t.kind {
		case tokLit:
			p = p.lit(t.lit)
		case tokMany:
			p = p.wild('*')
		default:
			p = append(p, t)
		}
	}
	return p
}

// open adds * before or after.
func (p pattern) open(before, after bool) pattern {
	var q pattern
	if before {
		q = q.wild('*')
	}
	q = q.join(p)
	if after {
		q = q.wild('*')
	}
	return q
}

// mapLits applies f to each literal.
func (p pattern) mapLits(f func(string) string) pattern {
	q := make(pattern, 0, len(p))
	for _, t := range p {
		if t.kind == tokLit {
			q = q.lit(f(t.lit))
		} else {
			q = append(q, t)
		}
	}
	return q
}

func (p pattern) hasWild() bool {
	for _, t := range p {
		if t.kind != tokLit && t.kind != tokVar {
			return true
		}
	}
	return false
}

func (p pattern) hasVar() bool {
	for _, t := range p {
		if t.kind == tokVar {
			return true
		}
	}
	return false
}

// plain is the text of a pattern without wildcards.
func (p pattern) plain() string {
	if len(p) == 0 {
		return ""
	}
	return p[0].lit
}

// String writes the pattern as rules do.
func (p pattern) String() string {
	var b strings.Builder
	for _, t := range p {
		switch t.kind {
		case tokOne:
			b.WriteByte('?')
		case tokMany:
			b.WriteByte('*')
		case tokVar:
			b.WriteString("%" + t.lit + "%")
		case tokDash:
			b.WriteString("[" + strings.Join(dashes, "") + "]")
		default:
			b.WriteString(escapeLit(t.lit))
		}
	}
	return b.String()
}

func escapeLit(s string) string {
	if !strings.ContainsAny(s, `*?\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '*' || s[i] == '?' || s[i] == '\\' && (i+1 == len(s) || strings.IndexByte(`*?\`, s[i+1]) >= 0) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// match tells whether the whole of s is what the pattern says. Time is at most
// len(s) times the number of parts.
func (p pattern) match(s []byte) bool {
	star, back := -1, 0 // where to go on after the last *
	i, j := 0, 0
	for {
		if n, ok := p.step(j, s[i:]); ok {
			if j == len(p) {
				return true
			}
			if p[j].kind == tokMany {
				j++
				star = j
				i, j = p.skip(j, s, i)
				if i < 0 {
					return false
				}
				back = i
				continue
			}
			i, j = i+n, j+1
			continue
		}
		if star < 0 || back >= len(s) {
			return false
		}
		_, n := utf8.DecodeRune(s[back:])
		i, j = p.skip(star, s, back+n)
		if i < 0 {
			return false
		}
		back = i
	}
}

// step tries part j at the beginning of s and tells how many bytes it took.
func (p pattern) step(j int, s []byte) (int, bool) {
	if j == len(p) {
		return 0, len(s) == 0
	}
	switch t := p[j]; t.kind {
	case tokOne:
		_, n := utf8.DecodeRune(s)
		return n, n > 0
	case tokDash:
		r, n := utf8.DecodeRune(s)
		return n, isDash(r)
	case tokLit:
		return len(t.lit), len(s) >= len(t.lit) && string(s[:len(t.lit)]) == t.lit
	default:
		return 0, true
	}
}

// skip finds the first place at or after i where part j, which follows a *, can
// begin: -1 when there is none.
func (p pattern) skip(j int, s []byte, i int) (int, int) {
	if j == len(p) {
		return len(s), j
	}
	if p[j].kind != tokLit {
		return i, j
	}
	if j == len(p)-1 { // the tail: only the end will do
		if at := len(s) - len(p[j].lit); at >= i && string(s[at:]) == p[j].lit {
			return at, j
		}
		return -1, j
	}
	k := bytes.Index(s[i:], []byte(p[j].lit))
	if k < 0 {
		return -1, j
	}
	return i + k, j
}

// lower folds a text the way that all case-insensitive matching does: each
// rune to Unicode lower case, invalid bytes left alone.
func lower(s string) string {
	if isLower(s) {
		return s
	}
	return string(appendLower(nil, []byte(s)))
}

// isLower tells whether a text is ASCII without capitals.
func isLower(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || lowTable[c] != c {
			return false
		}
	}
	return true
}

// appendLower appends the lower-case form of s to dst.
func appendLower(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = append(dst, lowTable[c])
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if l := unicode.ToLower(r); l != r {
			dst = utf8.AppendRune(dst, l)
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}

// lowTable is ASCII lower case.
var lowTable = func() (t [utf8.RuneSelf]byte) { //nolint:gochecknoglobals // a table that nobody writes
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// isASCII tells whether no byte has its top bit set.
func isASCII(s []byte) bool {
	const highs = 0x8080808080808080
	if len(s) < 8 {
		var all byte
		for _, c := range s {
			all |= c
		}
		return all < utf8.RuneSelf
	}
	all := load64(s[len(s)-8:])
	for len(s) >= 32 {
		if (load64(s)|load64(s[8:])|load64(s[16:])|load64(s[24:]))&highs != 0 {
			return false
		}
		s = s[32:]
	}
	for len(s) >= 8 {
		all |= load64(s)
		s = s[8:]
	}
	return all&highs == 0
}

// asciiLen is how many bytes at the beginning of s are ASCII.
func asciiLen(s []byte) int {
	const highs = 0x8080808080808080
	n := 0
	for ; n+8 <= len(s); n += 8 {
		if x := load64(s[n:]) & highs; x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < len(s) && s[n] < utf8.RuneSelf {
		n++
	}
	return n
}

func load64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func load32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
