package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

const (
	maxSource  = 256 << 10 // bytes of one script
	maxNesting = 200       // of parentheses, braces and keywords: the parser recurses
)

func (s *sh) parser() *syntax.Parser {
	if s.dialect == Bash || s.dialect == Ash {
		return syntax.NewParser(syntax.Variant(syntax.LangBash))
	}
	return syntax.NewParser(syntax.Variant(syntax.LangPOSIX))
}

// eval runs text in this shell.
func (s *sh) eval(ctx context.Context, text string) int {
	if len(text) > maxSource {
		s.fail(126, "%s", "file too large")
		return s.status
	}
	if nesting(text) > maxNesting {
		s.fail(2, "syntax error: nesting too deep")
		return s.status
	}
	if s.calls > s.p.S.Budget.Depth() {
		s.fail(1, "eval: maximum eval nesting level exceeded (%d)", s.p.S.Budget.Depth())
		s.jump = jump{kind: jumpExit}
		return s.status
	}
	s.calls++
	defer func() { s.calls-- }()
	text = strings.ReplaceAll(text, "\x00", "")
	// Each complete line runs before the next is parsed, so that a later
	// syntax error does not undo what came before it.
	err := s.parser().Stmts(strings.NewReader(s.alias(text)), func(st *syntax.Stmt) bool {
		s.stmt(ctx, st)
		return s.step(ctx)
	})
	if err != nil && !s.stop(ctx) {
		s.syntaxError(text, err)
	}
	return s.status
}

// source runs a script to its end in this shell, exit trap included.
func (s *sh) source(ctx context.Context, text string) int {
	s.eval(ctx, text)
	s.runExitTrap(ctx)
	return s.status
}

// nesting estimates how deep the parser would recurse.
func nesting(text string) int {
	depth, deepest := 0, 0
	word := 0
	for i := 0; i <= len(text); i++ {
		c := byte(' ')
		if i < len(text) {
			c = text[i]
		}
		if c >= 'a' && c <= 'z' {
			continue
		}
		switch text[min(word, len(text)):i] {
		case "if", "for", "while", "until", "case", "select":
			depth++
		case "fi", "done", "esac":
			depth--
		}
		word = i + 1
		switch c {
		case '(', '{', '[':
			depth++
		case ')', '}', ']':
			depth--
		case '`', '!':
			deepest++
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

// alias replaces aliases at the beginning of lines, as far as interactive
// shells need it.
func (s *sh) alias(text string) string {
	if len(s.aliases) == 0 || !s.opts.interactive {
		return text
	}
	word, rest, _ := strings.Cut(strings.TrimLeft(text, " \t"), " ")
	word = strings.TrimRight(word, "\n")
	if v, ok := s.aliases[word]; ok {
		return v + " " + rest
	}
	return text
}

// syntaxError words a parser's error as the shell does, and sets the status.
func (s *sh) syntaxError(text string, err error) {
	line, token, eof := 1, "", false
	var pe syntax.ParseError
	var le syntax.LangError
	switch {
	case errors.As(err, &pe):
		line = int(pe.Pos.Line())
		eof = pe.Incomplete
		token = tokenAt(text, int(pe.Pos.Offset()))
	case errors.As(err, &le):
		line = int(le.Pos.Line())
		token = tokenAt(text, int(le.Pos.Offset()))
	}
	s.line = line
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	where := ""
	if s.opts.command && s.dialect == Bash {
		where = "-c: "
	}
	prefix := fmt.Sprintf("%s: %sline %d: ", s.name, where, line)
	if s.opts.interactive {
		prefix = s.name + ": "
	}
	if s.dialect != Bash {
		prefix = s.prefix()
	}
	w := s.p.Stderr()
	s.status = 2
	switch {
	case eof && strings.Contains(pe.Text, "quote") && s.dialect == Bash:
		q := pe.Text[len(pe.Text)-1:]
		if i := strings.IndexAny(pe.Text, "'\"`"); i >= 0 {
			q = pe.Text[i : i+1]
		}
		fmt.Fprintf(w, "%sunexpected EOF while looking for matching `%s'\n", prefix, q) //nolint:errcheck // the visitor's own stderr
	case s.dialect != Bash && eof:
		fmt.Fprintf(w, "%sSyntax error: %s\n", prefix, map[bool]string{true: "Unterminated quoted string", false: "end of file unexpected"}[strings.Contains(pe.Text, "quote")]) //nolint:errcheck // as above
	case s.dialect != Bash:
		fmt.Fprintf(w, "%s%s error: \"%s\" unexpected\n", prefix, map[bool]string{true: "syntax", false: "Syntax"}[s.dialect == Ash], token) //nolint:errcheck // as above
	case eof:
		s.line = len(lines) + 1
		fmt.Fprintf(w, "%s: %sline %d: syntax error: unexpected end of file\n", s.name, where, len(lines)+1) //nolint:errcheck // as above
	default:
		shown := lines[min(max(line-1, 0), len(lines)-1)]
		fmt.Fprintf(w, "%ssyntax error near unexpected token `%s'\n%s`%s'\n", prefix, token, prefix, shown) //nolint:errcheck // as above
	}
}

// tokenAt is the shell token at an offset.
func tokenAt(text string, off int) string {
	if off >= len(text) {
		return "newline"
	}
	rest := text[off:]
	for _, op := range []string{"\n", "&&", "||", ";;", "|&", "(", ")", "|", "&", ";", "<", ">"} {
		if strings.HasPrefix(rest, op) {
			if op == "\n" {
				return "newline"
			}
			return op
		}
	}
	if i := strings.IndexAny(rest, " \t\n;&|()<>"); i > 0 {
		rest = rest[:i]
	}
	return rest[:min(len(rest), 64)]
}
