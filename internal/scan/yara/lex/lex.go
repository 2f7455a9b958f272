// Package lex cuts YARA rules into tokens.
package lex

import (
	"fmt"
	"math"
	"strconv"
)

// Kind is the kind of a Token. Punctuation and operators have Kind Punct and
// stand in Text.
type Kind uint8

// The kinds.
const (
	EOF Kind = iota
	Ident
	Keyword
	Punct
	Int
	Float
	Text
	Regexp
	Hex
	StringID     // $a
	StringWild   // $a*
	StringCount  // #a
	StringOffset // @a
	StringLength // !a
)

// Token is one token and the line it begins on.
type Token struct {
	Kind  Kind
	Text  string // names without their mark, the content of strings
	Int   int64
	Float float64
	Line  int
	// NoCase and DotAll are the flags after a regular expression.
	NoCase, DotAll bool
}

// MaxString bounds one string of a rule in bytes, as in libyara.
const MaxString = 1 << 20

func isKeyword(s string) bool {
	switch s {
	case "all", "and", "any", "ascii", "at", "base64", "base64wide", "condition", "contains", "defined",
		"endswith", "entrypoint", "false", "filesize", "for", "fullword", "global", "icontains", "iendswith",
		"iequals", "import", "in", "include", "istartswith", "matches", "meta", "nocase", "none", "not", "of",
		"or", "private", "rule", "startswith", "strings", "them", "true", "wide", "xor",
		"int8", "int16", "int32", "uint8", "uint16", "uint32",
		"int8be", "int16be", "int32be", "uint8be", "uint16be", "uint32be":
		return true
	}
	return false
}

// Error is a place where the text is no token.
type Error struct {
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Lexer reads tokens from a text.
type Lexer struct {
	src  []byte
	pos  int
	line int
}

// New makes a Lexer.
func New(src []byte) *Lexer { return &Lexer{src: src, line: 1} }

// Line is the line where the lexer is.
func (l *Lexer) Line() int { return l.line }

func (l *Lexer) fail(format string, a ...any) error {
	return &Error{Line: l.line, Msg: fmt.Sprintf(format, a...)}
}

func (l *Lexer) at(i int) byte {
	if l.pos+i < len(l.src) {
		return l.src[l.pos+i]
	}
	return 0
}

// skip passes white space and comments.
func (l *Lexer) skip() error {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\n':
			l.line++
			l.pos++
		case c == ' ' || c == '\t' || c == '\r':
			l.pos++
		case c == '/' && l.at(1) == '/':
			for l.pos < len(l.src) && l.src[l.pos] != '\n' {
				l.pos++
			}
		case c == '/' && l.at(1) == '*':
			if err := l.comment(); err != nil {
				return err
			}
		case c == 0xEF && l.pos == 0 && l.at(1) == 0xBB && l.at(2) == 0xBF:
			l.pos += 3
		default:
			return nil
		}
	}
	return nil
}

func (l *Lexer) comment() error {
	begin := l.line
	for l.pos += 2; l.pos < len(l.src); l.pos++ {
		if l.src[l.pos] == '\n' {
			l.line++
		}
		if l.src[l.pos] == '*' && l.at(1) == '/' {
			l.pos += 2
			return nil
		}
	}
	return &Error{Line: begin, Msg: "unterminated comment"}
}

// Next gives the next token. afterAssign tells that a string's value is due,
// so that a brace begins a hex string.
func (l *Lexer) Next(afterAssign bool) (Token, error) {
	if err := l.skip(); err != nil {
		return Token{Line: l.line}, err
	}
	t := Token{Line: l.line}
	if l.pos >= len(l.src) {
		return t, nil
	}
	c := l.src[l.pos]
	switch {
	case letter(c):
		t.Text = l.word()
		t.Kind = Ident
		if isKeyword(t.Text) {
			t.Kind = Keyword
		} else if len(t.Text) > 128 {
			return t, l.fail("identifier %.20q... is longer than 128 bytes", t.Text)
		}
		return t, nil
	case c >= '0' && c <= '9':
		return l.number(t)
	case c == '"':
		return l.text(t)
	case c == '/':
		return l.regexp(t)
	case c == '{' && afterAssign:
		return l.hex(t)
	case c == '$' || c == '#' || c == '@' || (c == '!' && l.at(1) != '='):
		return l.stringRef(t)
	}
	return l.punct(t)
}

func letter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func (l *Lexer) word() string {
	begin := l.pos
	for l.pos < len(l.src) && (letter(l.src[l.pos]) || l.src[l.pos] >= '0' && l.src[l.pos] <= '9') {
		l.pos++
	}
	return string(l.src[begin:l.pos])
}

func (l *Lexer) stringRef(t Token) (Token, error) {
	c := l.src[l.pos]
	l.pos++
	t.Text = l.word()
	switch c {
	case '#':
		t.Kind = StringCount
	case '@':
		t.Kind = StringOffset
	case '!':
		t.Kind = StringLength
	default:
		t.Kind = StringID
		if l.at(0) == '*' {
			l.pos++
			t.Kind = StringWild
		}
	}
	return t, nil
}

func (l *Lexer) punct(t Token) (Token, error) {
	t.Kind = Punct
	if l.pos+1 < len(l.src) {
		switch two := string(l.src[l.pos : l.pos+2]); two {
		case "<<", ">>", "<=", ">=", "==", "!=", "..":
			l.pos += 2
			t.Text = two
			return t, nil
		}
	}
	c := l.src[l.pos]
	if c < 0x20 || c >= 0x7F {
		return t, l.fail("non-ascii character 0x%02x", c)
	}
	l.pos++
	t.Text = string(rune(c))
	return t, nil
}

func (l *Lexer) number(t Token) (Token, error) {
	begin := l.pos
	base := 10
	if l.src[l.pos] == '0' && (l.at(1) == 'x' || l.at(1) == 'o') {
		base = 16
		if l.at(1) == 'o' {
			base = 8
		}
		l.pos += 2
		begin = l.pos
	}
	for l.pos < len(l.src) && digit(l.src[l.pos], base) {
		l.pos++
	}
	if base == 10 && l.at(0) == '.' && l.at(1) >= '0' && l.at(1) <= '9' {
		return l.float(t, begin)
	}
	v, err := strconv.ParseUint(string(l.src[begin:l.pos]), base, 64)
	if err != nil || v > math.MaxInt64 {
		return t, l.fail("integer %q is out of range: the largest is %d", l.src[begin:l.pos], int64(math.MaxInt64))
	}
	t.Kind, t.Int = Int, int64(v)
	shift := uint(0)
	if base == 10 && l.at(1) == 'B' && (l.at(0) == 'K' || l.at(0) == 'M') {
		shift = 10
		if l.at(0) == 'M' {
			shift = 20
		}
		l.pos += 2
	}
	if v > math.MaxInt64>>shift {
		return t, l.fail("integer %q is out of range", l.src[begin:l.pos])
	}
	t.Int <<= shift
	if l.pos < len(l.src) && letter(l.src[l.pos]) {
		return t, l.fail("a number is followed by %q", l.word())
	}
	return t, nil
}

func digit(c byte, base int) bool {
	switch base {
	case 8:
		return c >= '0' && c <= '7'
	case 16:
		return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
	}
	return c >= '0' && c <= '9'
}

func (l *Lexer) float(t Token, begin int) (Token, error) {
	l.pos++
	for l.pos < len(l.src) && digit(l.src[l.pos], 10) {
		l.pos++
	}
	v, err := strconv.ParseFloat(string(l.src[begin:l.pos]), 64)
	if err != nil {
		return t, l.fail("number %q is out of range", l.src[begin:l.pos])
	}
	t.Kind, t.Float = Float, v
	return t, nil
}

func (l *Lexer) text(t Token) (Token, error) {
	t.Kind = Text
	var out []byte
	for l.pos++; l.pos < len(l.src); l.pos++ {
		c := l.src[l.pos]
		if len(out) > MaxString {
			return t, l.fail("string is longer than %d bytes", MaxString)
		}
		switch c {
		case '"':
			l.pos++
			t.Text = string(out)
			return t, nil
		case '\n':
			return t, l.fail("unterminated string")
		case '\\':
			b, err := l.textEscape()
			if err != nil {
				return t, err
			}
			out = append(out, b)
		default:
			out = append(out, c)
		}
	}
	return t, l.fail("unterminated string")
}

func (l *Lexer) textEscape() (byte, error) {
	l.pos++
	switch l.at(0) {
	case 'n':
		return '\n', nil
	case 't':
		return '\t', nil
	case 'r':
		return '\r', nil
	case '"', '\\':
		return l.src[l.pos], nil
	case 'x':
		if digit(l.at(1), 16) && digit(l.at(2), 16) {
			v, _ := strconv.ParseUint(string(l.src[l.pos+1:l.pos+3]), 16, 8)
			l.pos += 2
			return byte(v), nil
		}
	}
	return 0, l.fail("illegal escape sequence")
}

func (l *Lexer) regexp(t Token) (Token, error) {
	t.Kind = Regexp
	var out []byte
	for l.pos++; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; {
		case c == '\n':
			return t, l.fail("unterminated regular expression")
		case c == '\\' && l.at(1) == '/':
			out = append(out, '/')
			l.pos++
		case c == '\\' && l.at(1) != '\n' && l.pos+1 < len(l.src):
			out = append(out, c, l.src[l.pos+1])
			l.pos++
		case c == '/':
			l.pos++
			t.Text = string(out)
			if l.at(0) == 'i' {
				t.NoCase = true
				l.pos++
			}
			if l.at(0) == 's' {
				t.DotAll = true
				l.pos++
			}
			if len(out) == 0 {
				return t, l.fail("empty regular expression")
			}
			return t, nil
		default:
			out = append(out, c)
		}
		if len(out) > MaxString {
			return t, l.fail("regular expression is longer than %d bytes", MaxString)
		}
	}
	return t, l.fail("unterminated regular expression")
}

// hex reads a hex string up to its closing brace; comments are kept.
func (l *Lexer) hex(t Token) (Token, error) {
	t.Kind = Hex
	l.pos++
	begin := l.pos
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '}':
			t.Text = string(l.src[begin:l.pos])
			l.pos++
			if len(t.Text) == 0 {
				return t, l.fail("empty hex string")
			}
			return t, nil
		case c == '/' && (l.at(1) == '/' || l.at(1) == '*'):
			if err := l.skip(); err != nil {
				return t, err
			}
		case c == '\n':
			l.line++
			l.pos++
		case digit(c, 16) || c == ' ' || c == '\t' || c == '\r' || c == '-' || c == '|' || c == '~' ||
			c == '?' || c == '[' || c == ']' || c == '(' || c == ')':
			l.pos++
		default:
			return t, l.fail("unexpected character %q in a hex string", c)
		}
	}
	return t, l.fail("unterminated hex string")
}

// Recover passes over text up to the next word that may begin a rule, an
// import or an include, and tells whether there is one.
func (l *Lexer) Recover() bool {
	for l.pos < len(l.src) {
		begin, line := l.pos, l.line
		t, err := l.Next(false)
		if err != nil {
			l.pos = max(l.pos, begin+1)
			continue
		}
		if t.Kind == EOF {
			return false
		}
		if t.Kind == Keyword && (t.Text == "rule" || t.Text == "import" || t.Text == "include") {
			l.pos, l.line = begin, line
			return true
		}
	}
	return false
}
