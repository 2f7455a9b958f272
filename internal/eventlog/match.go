package eventlog

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Matcher holds an Expr against events that are not in the store yet. It is
// not safe for concurrent use.
type Matcher struct {
	expr   Expr
	span   Range
	row    Row
	fields []pair
}

type pair struct {
	name, text string
}

// NewMatcher makes a Matcher for what q asks for; q.Last does not matter.
func NewMatcher(q Query) *Matcher { return &Matcher{expr: q.Where, span: q.Range} }

// Match tells whether an event's line is asked for; what is no event is not.
// The key is the same for two copies of one event.
func (m *Matcher) Match(line []byte, fallback string) (key [16]byte, ok bool) {
	if m.expr.n == nil && m.span == (Range{}) {
		return keyOf(line, fallback)
	}
	if m.row.Parse(line, fallback) != nil {
		return key, false
	}
	key = parseID(m.row.id)
	if !m.span.holds(m.row.Time) {
		return key, false
	}
	if m.expr.n == nil {
		return key, true
	}
	m.fields = m.fields[:0]
	m.row.Columns(nil, func(name string, text []byte) {
		if name != columnMark {
			m.fields = append(m.fields, pair{name, string(text)})
		}
	})
	return key, m.expr.n.match(m.fields)
}

// keyOf is the key of an event that is asked for in any case.
func keyOf(line []byte, fallback string) (key id, ok bool) {
	s := scanner{data: line}
	text := []byte(fallback)
	err := s.each(func(f field) {
		if string(f.name) == "event.id" && kindText.fits(f.value) {
			text = unescape(f.value)
		}
	})
	return parseID(text), err == nil
}

func (r Range) holds(ns int64) bool {
	return (r.From.IsZero() || ns >= r.From.UnixNano()) && (r.To.IsZero() || ns < r.To.UnixNano())
}

func (n *node) match(fields []pair) bool {
	switch n.op {
	case opAnd:
		for _, k := range n.kids {
			if !k.match(fields) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range n.kids {
			if k.match(fields) {
				return true
			}
		}
		return false
	case opNot:
		return !n.kids[0].match(fields)
	}
	for _, f := range fields {
		if (n.field == anyField || n.field == f.name) && n.holds(f.text) {
			return true
		}
	}
	return false
}

// holds tells whether the text of one field fits.
func (n *node) holds(s string) bool {
	switch n.op {
	case opWord, opPrefix:
		if n.fold {
			s = strings.ToLower(s)
		}
		return hasWords(s, n.text, n.op == opPrefix)
	case opExact:
		return s == n.text
	case opExactPrefix:
		return strings.HasPrefix(s, n.text)
	case opPart:
		return strings.Contains(s, n.text)
	case opRegexp:
		return n.re.MatchString(s)
	case opSet:
		return s != ""
	case opNet:
		a, err := netip.ParseAddr(s)
		return err == nil && (n.net.Contains(a) || a.Is4() && n.net.Contains(mapped(a)))
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return false
	}
	switch n.op {
	case opLess:
		return v < n.num
	case opLessEqual:
		return v <= n.num
	case opMore:
		return v > n.num
	default:
		return v >= n.num
	}
}

// hasWords tells whether phrase stands in s with no letter, digit or
// underscore touching it; with prefix, its end may be inside a word.
func hasWords(s, phrase string, prefix bool) bool {
	if phrase == "" {
		return s != "" // only with prefix
	}
	first, _ := utf8.DecodeRuneInString(phrase)
	last, _ := utf8.DecodeLastRuneInString(phrase)
	for at := 0; ; {
		i := strings.Index(s[at:], phrase)
		if i < 0 {
			return false
		}
		i += at
		end := i + len(phrase)
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if (i == 0 || !isWord(first) || !isWord(before)) && (prefix || end == len(s) || !isWord(last) || !isWord(after)) {
			return true
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		at = i + n
	}
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
