package cli

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/lapwing-defence/lapwing/internal/event"
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

// paragraphs makes a text of several lines fit to print.
func paragraphs(s string) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range all {
		all[i] = safe(all[i], maxLine)
	}
	return strings.Join(all, "\n")
}

const maxLine = 4096 // bytes of a line that is printed

// jsonText makes a line of JSON fit to print.
func jsonText(line []byte) []byte { return event.Printable(line) }
