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
	if s.p.S.Budget.TooDeep(s.calls) {
		s.fail(1, "eval: maximum eval nesting level exceeded (%d)", s.p.S.Budget.Depth())
		s.jump = jump{kind: jumpExit}
		return s.status
	}
	s.calls++
	defer func() { s.calls-- }()
	text = strings.ReplaceAll(text, "\x00", "")
	// A line is run only when the whole of it was read: a syntax error undoes
	// nothing of the lines before it, and everything of its own.
	list, err := s.parse(s.alias(text))
	if s.dialect == Ash {
		for _, st := range list {
			if token := foreign(st); token != "" {
				s.fail(2, "syntax error: unexpected %s", token)
				return s.status
			}
		}
	}
	bad := ^uint(0)
	if pe, ok := errors.AsType[syntax.ParseError](err); ok {
		bad = pe.Pos.Line()
	}
	if le, ok := errors.AsType[syntax.LangError](err); ok {
		bad = le.Pos.Line()
	}
	for _, st := range list {
		if st.End().Line() >= bad || s.stop(ctx) || !s.step(ctx) {
			break
		}
		s.stmt(ctx, st)
	}
	if err != nil && !s.stop(ctx) {
		s.syntaxError(text, err)
	}
	return s.status
}

// errParser is the error of text that the parser cannot take at all.
var errParser = errors.New("syntax error")

// parse gives the statements up to the first error. The parser panics on some
// broken encodings (mvdan.cc/sh v3.14.1: "00&0\xde"); that is an error too.
func (s *sh) parse(text string) (list []*syntax.Stmt, err error) {
	defer func() {
		if recover() != nil {
			err = errParser
		}
	}()
	list, err = s.statements(text)
	for range 16 { // here-documents that the end of the text ends, as shells have it
		var pe syntax.ParseError
		if s.opts.interactive || !errors.As(err, &pe) || !strings.HasPrefix(pe.Text, "unclosed here-document") {
			break
		}
		word := missing(pe.Text)
		if s.dialect == Bash {
			fmt.Fprintf(s.p.Stderr(), "%s: line %d: warning: here-document at line %[2]d delimited by end-of-file (wanted `%s')\n", s.name, pe.Pos.Line(), word) //nolint:errcheck // the visitor's own stderr
		}
		text = strings.TrimSuffix(text, "\n") + "\n" + word + "\n"
		list, err = s.statements(text)
	}
	return list, err
}

func (s *sh) statements(text string) (list []*syntax.Stmt, err error) {
	text, raw := escapeBytes(text)
	for st, err := range s.parser().StmtsSeq(strings.NewReader(text)) {
		if err != nil {
			return list, err
		}
		if raw {
			syntax.Walk(st, unescapeBytes)
		}
		if list = append(list, st); s.p.Step(1) != nil {
			break
		}
	}
	return list, nil
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
