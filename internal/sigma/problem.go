package sigma

import (
	"fmt"
	"strings"
)

// Severity says what a Problem means for the rule.
type Severity uint8

// The severities.
const (
	// Note is a matter of style that changes no result.
	Note Severity = iota
	// Warning is something that is probably not meant: the rule is loaded.
	Warning
	// Refused means that the rule (or the whole file) is not loaded.
	Refused
)

// String is "note", "warning" or "refused".
func (s Severity) String() string { return [...]string{"note", "warning", "refused"}[s] }

// Problem is one thing wrong with a rule file.
//
//nolint:errname // it is also what was found though nothing failed
type Problem struct {
	File     string
	Line     int    // 1-based, 0 when it concerns the whole file
	Rule     string // id, or title where there is none; may be empty
	Severity Severity
	Code     string // stable short word: unknown-modifier, unused-selection ...
	Text     string
	Remedy   string // what to try, may be empty
}

// Error is "file:line: refused: text (remedy)".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	fmt.Fprintf(&b, ": %s: %s", p.Severity, p.Text)
	if p.Remedy != "" {
		b.WriteString(" (" + p.Remedy + ")")
	}
	return b.String()
}

// fault is a reason to refuse a rule, found deep in it.
type fault struct {
	line         int
	code         string
	text, remedy string
}

func (f *fault) Error() string { return f.text }

func faultf(line int, code, remedy, format string, args ...any) *fault {
	return &fault{line: line, code: code, remedy: remedy, text: fmt.Sprintf(format, args...)}
}
