package shell

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// fault is a parser's error with what the shells name in theirs.
type fault struct {
	line    int
	text    string // the parser's words
	token   string // where it stood
	eof     bool   // the text ended too early
	missing string // the character or word that was looked for
}

// syntaxError words a parser's error as the shell does, and sets the status.
func (s *sh) syntaxError(text string, err error) {
	f := fault{line: 1}
	offset := 0
	var pe syntax.ParseError
	var le syntax.LangError
	switch {
	case errors.As(err, &pe):
		f.line, f.text, f.eof, offset = int(pe.Pos.Line()), pe.Text, pe.Incomplete, int(pe.Pos.Offset())
	case errors.As(err, &le):
		f.line, f.text, offset = int(le.Pos.Line()), le.Error(), int(le.Pos.Offset())
	}
	if s.arithFault(text, offset, f) {
		return
	}
	f.token = tokenAt(text, offset)
	if strings.Contains(f.text, "must be followed by") && f.token != "newline" && !f.eof {
		f.token = tokenAt(text, skipToken(text, offset))
	}
	f.missing = missing(f.text)
	s.line = f.line
	s.status = 2
	if s.dialect == Bash {
		s.bashFault(text, f)
	} else {
		s.posixFault(text, f)
	}
}

// missing is the last thing that a parser's error quotes.
func missing(text string) string {
	parts := strings.Split(text, "`")
	if len(parts) < 3 {
		return ""
	}
	if strings.HasSuffix(text, "```") {
		return "`"
	}
	return strings.TrimPrefix(parts[len(parts)-2], "\\")
}

func (s *sh) bashFault(text string, f fault) {
	w := s.p.Stderr()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	where := ""
	if s.opts.command {
		where = "-c: "
	}
	at := func(line int) string {
		if s.opts.interactive {
			return s.name + ": "
		}
		return fmt.Sprintf("%s: %sline %d: ", s.name, where, line)
	}
	looking := strings.Contains(f.text, "quote") || strings.Contains(f.text, "without matching")
	switch {
	case f.eof && looking:
		line := f.line
		if f.missing == ")" && strings.Contains(f.text, "$(") {
			line = len(lines) + 1
		}
		if f.missing == "))" {
			f.missing = ")"
		}
		fmt.Fprintf(w, "%sunexpected EOF while looking for matching `%s'\n", at(line), f.missing) //nolint:errcheck // the visitor's own stderr
	case f.eof:
		s.line = len(lines) + 1
		fmt.Fprintf(w, "%ssyntax error: unexpected end of file\n", at(len(lines)+1)) //nolint:errcheck // as above
	default:
		shown := lines[min(max(f.line-1, 0), len(lines)-1)]
		fmt.Fprintf(w, "%ssyntax error near unexpected token `%s'\n%s`%s'\n", at(f.line), f.token, at(f.line), shown) //nolint:errcheck // as above
	}
}

// posixFault is the error of dash and of BusyBox ash.
func (s *sh) posixFault(text string, f fault) {
	word := "Syntax error"
	if s.dialect == Ash {
		word = "syntax error"
	}
	tail := ""
	if strings.Contains(f.text, "must be followed by a statement") {
		f.missing = map[string]string{"if": "then", "elif": "then", "while": "do", "until": "do", "then": "fi", "else": "fi", "do": "done", "{": "}"}[f.missing]
	}
	if strings.Contains(" then fi done do esac } ", " "+f.missing+" ") && f.missing != f.token {
		tail = " (expecting \"" + f.missing + "\")"
	}
	w := s.p.Stderr()
	switch {
	case f.eof && strings.Contains(f.text, "quote"):
		if s.dialect == Ash {
			fmt.Fprintf(w, "%s%s: unterminated quoted string\n", s.prefix(), word) //nolint:errcheck // the visitor's own stderr
			return
		}
		fmt.Fprintf(w, "%s%s: Unterminated quoted string\n", s.prefix(), word) //nolint:errcheck // as above
	case f.eof:
		s.line = strings.Count(text, "\n") + 1
		if s.dialect == Ash {
			fmt.Fprintf(w, "%s%s: unexpected end of file%s\n", s.prefix(), word, tail) //nolint:errcheck // as above
			return
		}
		fmt.Fprintf(w, "%s%s: end of file unexpected%s\n", s.prefix(), word, tail) //nolint:errcheck // as above
	case s.dialect == Ash:
		fmt.Fprintf(w, "%s%s: unexpected \"%s\"%s\n", s.prefix(), word, f.token, tail) //nolint:errcheck // as above
	default:
		fmt.Fprintf(w, "%s%s: \"%s\" unexpected%s\n", s.prefix(), word, f.token, tail) //nolint:errcheck // as above
	}
}

// arithFault reports an error inside $((...)), which bash finds only when it
// evaluates.
func (s *sh) arithFault(text string, offset int, f fault) bool {
	if s.dialect != Bash || f.eof || offset > len(text) {
		return false
	}
	open := strings.LastIndex(text[:offset], "((")
	if open < 0 || strings.Contains(text[open:offset], "))") {
		return false
	}
	end := strings.Index(text[open:], "))")
	if end < 0 {
		return false
	}
	expr := text[open+2 : open+end]
	trimmed := strings.TrimSpace(expr)
	if trimmed == "" || strings.Contains(expr, "\n") {
		return false
	}
	token := trimmed[strings.LastIndexAny(trimmed, "+-*/%&|^<>=!~?:,"+"(")+1:]
	if token == "" {
		token = trimmed[len(trimmed)-1:]
	}
	s.line = f.line
	s.fail(1, "%s: syntax error: operand expected (error token is \"%s\")", strings.TrimLeft(expr, " "), token)
	s.abort()
	return true
}

// skipToken is the offset of the token after the one at off.
func skipToken(text string, off int) int {
	for off < len(text) && strings.IndexByte(" \t\n;&|()<>", text[off]) < 0 {
		off++
	}
	for off < len(text) && (text[off] == ' ' || text[off] == '\t') {
		off++
	}
	return off
}
