package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// rawByte is the first of 256 code points of private use that stand for bytes
// while the parser, which takes nothing but UTF-8, looks at a text.
const rawByte = 0x10FF00

// escapeBytes replaces bytes that are not UTF-8, which a shell takes as they
// are. It reports whether there are any.
func escapeBytes(text string) (string, bool) {
	if utf8.ValidString(text) {
		return text, false
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 {
			r = rawByte + rune(text[0])
		}
		b.WriteRune(r)
		text = text[n:]
	}
	return b.String(), true
}

// unescapeBytes gives the bytes back to a node of what was parsed.
func unescapeBytes(n syntax.Node) bool {
	switch x := n.(type) {
	case *syntax.Lit:
		x.Value = plainBytes(x.Value)
	case *syntax.SglQuoted:
		x.Value = plainBytes(x.Value)
	}
	return true
}

func plainBytes(s string) string {
	var b []byte
	for _, r := range s {
		if r >= rawByte+0x80 && r <= rawByte+0xff {
			b = append(b, byte(r-rawByte))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// printable is a name as bash shows it in an error: in $'...' where it cannot
// be printed.
func printable(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl) {
		return name
	}
	letters := map[byte]string{7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 27: "E", '\\': `\`, '\'': "'"}
	var b strings.Builder
	b.WriteString("$'")
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		switch l := letters[name[0]]; {
		case l != "":
			b.WriteString(`\` + l)
		case r == utf8.RuneError && n == 1, unicode.IsControl(r):
			for _, c := range []byte(name[:n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String() + "'"
}
