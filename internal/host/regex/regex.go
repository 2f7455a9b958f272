// Package regex translates the regular expressions of POSIX tools to Go's
// engine, which is linear in time.
package regex

import (
	"errors"
	"regexp"
	"strings"
)

const maxPattern = 4096 // bytes of a regular expression

// ErrTooBig is the error of an expression over the limit.
var ErrTooBig = errors.New("regular expression too big")

// Options of Compile.
type Options struct {
	Extended, Fold, Fixed, Word bool
}

// Compile translates and compiles an expression of at most 4 KiB.
func Compile(pat string, o Options) (*regexp.Regexp, error) {
	if len(pat) > maxPattern {
		return nil, ErrTooBig
	}
	switch {
	case o.Fixed:
		pat = regexp.QuoteMeta(pat)
	case !o.Extended:
		pat = Basic(pat)
	default:
		pat = brackets(pat)
	}
	if o.Word {
		pat = `\b(?:` + pat + `)\b`
	}
	flags := "(?s"
	if o.Fold {
		flags += "i"
	}
	re, err := regexp.Compile(flags + ")" + pat)
	if err != nil {
		return nil, err
	}
	re.Longest()
	return re, nil
}

// Basic turns a basic expression into an extended one.
func Basic(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '[':
			end := bracketEnd(s, i)
			b.WriteString(brackets(s[i:end]))
			i = end - 1
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case '(', ')', '{', '}', '|', '+', '?':
				b.WriteByte(s[i])
			default:
				b.WriteString(escaped(s[i]))
			}
		case strings.IndexByte("(){}|+?", c) >= 0:
			b.WriteString(`\` + string(c))
		case c == '*' && (b.Len() == 0 || strings.HasSuffix(b.String(), "(") || b.String() == "^"):
			b.WriteString(`\*`)
		case c == '^' && i > 0 && s[i-1] != '(' && s[i-1] != '|' && s[i-1] != '\n':
			b.WriteString(`\^`)
		case c == '$' && i+1 < len(s) && !strings.HasPrefix(s[i+1:], `\)`) && !strings.HasPrefix(s[i+1:], `\|`):
			b.WriteString(`\$`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// escaped is \c with GNU's meaning of c in Go's words.
func escaped(c byte) string {
	switch c {
	case '<', '>':
		return `\b`
	case '`':
		return `\A`
	case '\'':
		return `\z`
	case 'w', 'W', 's', 'S', 'b', 'B', 'n', 't', 'f', 'r', 'v', 'a', 'd', 'D':
		return `\` + string(c)
	}
	if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80 {
		return string(rune(c))
	}
	return `\` + string(c)
}

func bracketEnd(s string, i int) int {
	j := i + 1
	if j < len(s) && s[j] == '^' {
		j++
	}
	if j < len(s) && s[j] == ']' {
		j++
	}
	for j < len(s) && s[j] != ']' {
		if strings.HasPrefix(s[j:], "[:") {
			if k := strings.Index(s[j:], ":]"); k > 0 {
				j += k + 1
			}
		}
		j++
	}
	return min(j+1, len(s))
}

// brackets escapes what Go reads differently in an extended expression.
func brackets(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			b.WriteString(escaped(s[i+1]))
			i++
			continue
		}
		if strings.HasPrefix(s[i:], "{,") && repeat("{0"+s[i+1:]) {
			b.WriteString("{0")
			continue
		}
		if s[i] == '{' && !repeat(s[i:]) {
			b.WriteString(`\{`)
			continue
		}
		if s[i] != '[' {
			b.WriteByte(s[i])
			continue
		}
		end := bracketEnd(s, i)
		part := s[i:end]
		part = strings.ReplaceAll(part, `\`, `\\`)
		if len(part) > 2 && part[1] == ']' {
			part = `[\]` + part[2:]
		} else if strings.HasPrefix(part, "[^]") {
			part = `[^\]` + part[3:]
		}
		if inner := part[1:]; strings.Contains(inner, "[") {
			inner = strings.ReplaceAll(strings.ReplaceAll(inner, "[", `\[`), `\[:`, "[:")
			part = "[" + inner
		}
		b.WriteString(part)
		i = end - 1
	}
	return b.String()
}

// repeat reports whether s begins with {n}, {n,} or {n,m}.
func repeat(s string) bool {
	end := strings.IndexByte(s, '}')
	return end > 1 && strings.Trim(s[1:end], "0123456789,") == "" && s[1] != ','
}
