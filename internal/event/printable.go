package event

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable makes a line of JSON fit to print: what could act on a terminal, or
// make text pass for another, stands as \u escapes, which say the same. Such
// characters occur in strings only.
func Printable(line []byte) []byte {
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
