package relations

import "strings"

// kind of a token.
type tokenKind uint8

const (
	end    tokenKind = iota
	word             // a name or a keyword; quoted names have quoted set
	text             // a string
	number           // digits, as they stand
	mark             // an operator or a bracket
)

type token struct {
	kind   tokenKind
	s      string
	at     int // byte of the statement at which it begins
	quoted bool
}

// is tells of a keyword or a mark, in any case.
func (t token) is(s string) bool {
	return !t.quoted && (t.kind == word || t.kind == mark) && strings.EqualFold(t.s, s)
}

// Split cuts a script at its semicolons, outside of strings and comments.
// Empty statements are left out; at most limit are given.
func Split(script string, limit int) []string {
	var out []string
	from, depth := 0, 0
	l := lexer{src: script, ansi: true}
	for len(out) < limit {
		t := l.next()
		if t.kind == end {
			break
		}
		if t.kind == mark && t.s == ";" && depth == 0 {
			if s := strings.TrimSpace(script[from:t.at]); s != "" {
				out = append(out, s)
			}
			from = t.at + 1
		}
	}
	if s := strings.TrimSpace(script[min(from, len(script)):]); s != "" && len(out) < limit {
		out = append(out, s)
	}
	return out
}

// lexer cuts a statement into tokens. ansi: "..." is a name, as in PostgreSQL;
// otherwise it is a string, as in MySQL.
type lexer struct {
	src  string
	i    int
	ansi bool
}

func (l *lexer) peek(n int) byte {
	if l.i+n < len(l.src) {
		return l.src[l.i+n]
	}
	return 0
}

// blanks skips white space and comments.
func (l *lexer) blanks() {
	for l.i < len(l.src) {
		switch c := l.src[l.i]; {
		case c == ' ' || c >= '\t' && c <= '\r':
			l.i++
		case c == '-' && l.peek(1) == '-', c == '#' && !l.ansi:
			for l.i < len(l.src) && l.src[l.i] != '\n' {
				l.i++
			}
		case c == '/' && l.peek(1) == '*':
			if l.peek(2) == '!' && !l.ansi { // MySQL runs what stands in /*! ... */
				l.i += 3
				for l.peek(0) >= '0' && l.peek(0) <= '9' {
					l.i++
				}
				continue
			}
			j := strings.Index(l.src[l.i+2:], "*/")
			if j < 0 {
				l.i = len(l.src)
				return
			}
			l.i += j + 4
		case c == '*' && l.peek(1) == '/' && !l.ansi:
			l.i += 2
		default:
			return
		}
	}
}

func letter(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) next() token {
	l.blanks()
	at := l.i
	if l.i >= len(l.src) {
		return token{kind: end, at: at}
	}
	c := l.src[l.i]
	switch {
	case (c == 'E' || c == 'e' || c == 'B' || c == 'b' || c == 'X' || c == 'x' || c == 'N') && l.peek(1) == '\'':
		l.i++
		return token{kind: text, s: l.quoted('\'', c|0x20 == 'e' || !l.ansi), at: at}
	case letter(c):
		for l.i < len(l.src) && (letter(l.src[l.i]) || digit(l.src[l.i]) || l.src[l.i] == '$') {
			l.i++
		}
		return token{kind: word, s: l.src[at:l.i], at: at}
	case digit(c), c == '.' && digit(l.peek(1)):
		for l.i < len(l.src) && (digit(l.src[l.i]) || l.src[l.i] == '.' || letter(l.src[l.i]) && l.src[l.i] < 0x80) {
			l.i++
		}
		return token{kind: number, s: l.src[at:l.i], at: at}
	case c == '\'':
		return token{kind: text, s: l.quoted(c, !l.ansi), at: at}
	case c == '"' && l.ansi, c == '`':
		return token{kind: word, s: l.quoted(c, false), at: at, quoted: true}
	case c == '"':
		return token{kind: text, s: l.quoted(c, true), at: at}
	case c == '$' && l.ansi:
		if s, ok := l.dollar(); ok {
			return token{kind: text, s: s, at: at}
		}
	}
	for _, m := range []string{"!~~", "::", "<>", "!=", "<=", ">=", "||", "&&", "!~", ":=", "@@", "->>", "->"} {
		if strings.HasPrefix(l.src[l.i:], m) {
			l.i += len(m)
			return token{kind: mark, s: m, at: at}
		}
	}
	l.i++
	return token{kind: mark, s: string(c), at: at}
}

// quoted reads from a quotation mark to its partner; two of them are one.
func (l *lexer) quoted(mark byte, escapes bool) string {
	var b strings.Builder
	for l.i++; l.i < len(l.src); l.i++ {
		switch c := l.src[l.i]; {
		case c == mark && l.peek(1) == mark:
			b.WriteByte(c)
			l.i++
		case c == mark:
			l.i++
			return b.String()
		case c == '\\' && escapes && l.i+1 < len(l.src):
			l.i++
			b.WriteByte(unescape(l.src[l.i]))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	case '0':
		return 0
	}
	return c
}

// dollar reads $tag$ ... $tag$.
func (l *lexer) dollar() (string, bool) {
	j := strings.IndexByte(l.src[l.i+1:], '$')
	if j < 0 || j > 64 {
		return "", false
	}
	tag := l.src[l.i : l.i+j+2]
	for _, c := range []byte(tag[1 : len(tag)-1]) {
		if !letter(c) && !digit(c) {
			return "", false
		}
	}
	rest := l.src[l.i+len(tag):]
	k := strings.Index(rest, tag)
	if k < 0 {
		return "", false
	}
	l.i += 2*len(tag) + k
	return rest[:k], true
}
