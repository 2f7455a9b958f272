package cli

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// safe makes a visitor's text fit to print: every control, format and
// bidirectional character is written as an escape.
func safe(s string, limit int) string {
	var b strings.Builder
	for i, r := range s {
		if i >= limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r) && r != '\u00ad':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// jsonText makes a line of JSON fit to print: what could act on a terminal, or
// make text pass for another, stands as \u escapes, which say the same. Such
// characters occur in strings only.
func jsonText(line []byte) []byte {
	at := bytes.IndexFunc(line, func(r rune) bool { return r >= 0x7f })
	if at < 0 {
		return line
	}
	out := append(make([]byte, 0, len(line)+64), line[:at]...)
	for at < len(line) {
		r, n := utf8.DecodeRune(line[at:])
		switch {
		case r == utf8.RuneError && n == 1:
			out = append(out, `\ufffd`...)
		case r < 0x7f || unicode.IsPrint(r) && r != '\u00ad':
			out = append(out, line[at:at+n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		at += n
	}
	return out
}

// paragraphs makes a text of several lines fit to print.
func paragraphs(s string) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range all {
		all[i] = safe(all[i], maxLine)
	}
	return strings.Join(all, "\n")
}

const maxLine = 4096 // bytes of a line that is printed
