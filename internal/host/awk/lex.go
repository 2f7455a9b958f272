// Package awk is the pattern language of a fake host, as far as mawk tells:
// a lexer, a parser and an evaluator of our own over a kernel.Proc.
package awk

import (
	"fmt"
	"strings"
)

type kind uint8

const (
	tEOF kind = iota
	tNewline
	tNumber
	tString
	tRegex
	tName
	tFunc    // a name directly before "("
	tBuiltin // length, substr, ...
	tKeyword
	tOp
)

type token struct {
	kind kind
	text string
	line int
}

const maxTokens = 20_000 // of one program

const keywords = " BEGIN END function func if else while for do break continue next exit return delete in getline print printf nextfile "

const builtins = " length substr index split sub gsub match sprintf sin cos atan2 exp log sqrt int rand srand tolower toupper system close fflush systime strftime "

// syntaxError is a fault at a token.
type syntaxError struct {
	line int
	near string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("line %d: syntax error at or near %s", e.line, e.near)
}

type lexer struct {
	src  string
	i    int
	line int
	out  []token
}

func lex(src string) ([]token, error) {
	l := &lexer{src: src, line: 1}
	for l.i < len(l.src) {
		if err := l.next(); err != nil {
			return nil, err
		}
		if len(l.out) > maxTokens {
			return nil, &syntaxError{l.line, "end of line"}
		}
	}
	l.add(tEOF, "end of line")
	return l.out, nil
}

func (l *lexer) add(k kind, text string) { l.out = append(l.out, token{k, text, l.line}) }

// operand reports whether the last token ends an operand, so that "/" divides.
func (l *lexer) operand() bool {
	if len(l.out) == 0 {
		return false
	}
	switch t := l.out[len(l.out)-1]; t.kind {
	case tNumber, tString, tName, tRegex, tBuiltin:
		return true
	case tOp:
		return t.text == ")" || t.text == "]" || t.text == "$" || t.text == "++" || t.text == "--"
	}
	return false
}

func (l *lexer) next() error {
	c := l.src[l.i]
	switch {
	case c == ' ' || c == '\t' || c == '\r':
		l.i++
	case c == '\\' && l.i+1 < len(l.src) && l.src[l.i+1] == '\n':
		l.i += 2
		l.line++
	case c == '\n':
		l.add(tNewline, "\n")
		l.line++
		l.i++
	case c == '#':
		for l.i < len(l.src) && l.src[l.i] != '\n' {
			l.i++
		}
	case c == '"':
		return l.quoted('"', tString)
	case c == '/' && !l.operand():
		return l.quoted('/', tRegex)
	case c >= '0' && c <= '9' || c == '.' && l.i+1 < len(l.src) && l.src[l.i+1] >= '0' && l.src[l.i+1] <= '9':
		l.number()
	case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z':
		l.word()
	default:
		return l.operator()
	}
	return nil
}

func (l *lexer) quoted(end byte, k kind) error {
	start := l.i
	l.i++
	var b strings.Builder
	class := false
	for l.i < len(l.src) && l.src[l.i] != '\n' {
		c := l.src[l.i]
		switch {
		case c == '\\' && l.i+1 < len(l.src):
			if end == '/' {
				if l.src[l.i+1] != '/' {
					b.WriteByte('\\')
				}
				b.WriteByte(l.src[l.i+1])
				l.i += 2
			} else {
				l.escape(&b)
			}
			continue
		case end == '/' && c == '[':
			class = true
		case end == '/' && c == ']':
			class = false
		case c == end && !class:
			l.i++
			l.add(k, b.String())
			return nil
		}
		b.WriteByte(c)
		l.i++
	}
	if end == '"' {
		return fmt.Errorf("line %d: runaway string constant %s ...", l.line, l.src[start:min(len(l.src), start+10)]) //nolint:revive,staticcheck // the words of the real program
	}
	return fmt.Errorf("line %d: runaway regular expression %s ...", l.line, l.src[start:min(len(l.src), start+10)]) //nolint:revive,staticcheck // the words of the real program
}

func (l *lexer) escape(b *strings.Builder) {
	c := l.src[l.i+1]
	l.i += 2
	switch k := strings.IndexByte("abfnrtv", c); {
	case k >= 0:
		b.WriteByte("\a\b\f\n\r\t\v"[k])
	case c == '"' || c == '\\' || c == '/':
		b.WriteByte(c)
	case c >= '0' && c <= '7':
		n := int(c - '0')
		for k := 0; k < 2 && l.i < len(l.src) && l.src[l.i] >= '0' && l.src[l.i] <= '7'; k++ {
			n = n*8 + int(l.src[l.i]-'0')
			l.i++
		}
		b.WriteByte(byte(n))
	case c == 'x' && l.i < len(l.src) && strings.IndexByte("0123456789abcdefABCDEF", l.src[l.i]) >= 0:
		n := 0
		for k := 0; k < 2 && l.i < len(l.src); k++ {
			d := strings.IndexByte("0123456789abcdef", l.src[l.i]|0x20)
			if d < 0 && l.src[l.i] >= '0' && l.src[l.i] <= '9' {
				d = int(l.src[l.i] - '0')
			}
			if d < 0 {
				break
			}
			n = n*16 + d
			l.i++
		}
		b.WriteByte(byte(n))
	default:
		b.WriteByte('\\')
		b.WriteByte(c)
	}
}

func (l *lexer) number() {
	start := l.i
	for l.i < len(l.src) {
		c := l.src[l.i]
		exp := (c == '+' || c == '-') && l.src[l.i-1]|0x20 == 'e' && l.i > start
		if (c < '0' || c > '9') && c != '.' && c|0x20 != 'e' && !exp {
			break
		}
		l.i++
	}
	l.add(tNumber, l.src[start:l.i])
}

func (l *lexer) word() {
	start := l.i
	for l.i < len(l.src) && (l.src[l.i] == '_' || l.src[l.i]|0x20 >= 'a' && l.src[l.i]|0x20 <= 'z' || l.src[l.i] >= '0' && l.src[l.i] <= '9') {
		l.i++
	}
	w := l.src[start:l.i]
	switch {
	case strings.Contains(keywords, " "+w+" "):
		l.add(tKeyword, w)
	case strings.Contains(builtins, " "+w+" "):
		l.add(tBuiltin, w)
	case l.i < len(l.src) && l.src[l.i] == '(':
		l.add(tFunc, w)
	default:
		l.add(tName, w)
	}
}

var operators = []string{
	"&&", "||", "==", "!=", "<=", ">=", "!~", ">>", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=",
	"{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":", "~", "$", "=", "&",
}

func (l *lexer) operator() error {
	for _, op := range operators {
		if strings.HasPrefix(l.src[l.i:], op) {
			l.i += len(op)
			l.add(tOp, op)
			return nil
		}
	}
	return fmt.Errorf("line %d: unexpected character '%c'", l.line, l.src[l.i])
}
