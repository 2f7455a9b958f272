package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// ashBuiltins are the builtins of BusyBox ash, as its help lists them.
const ashBuiltins = " . : [ [[ alias bg break cd chdir command continue echo eval exec exit export false fg getopts hash help history jobs kill let local printf pwd read readonly return set shift source test times trap true type ulimit umask unalias unset wait "

// ashBuiltin finds the builtins that ash words in its own way.
func ashBuiltin(name string) builtinFunc {
	switch name {
	case "help":
		return ashHelp
	case "history":
		return ashHistory
	case "kill":
		return ashKill
	case "unalias":
		return ashUnalias
	}
	return nil
}

// welcome is what ash shows whenever it begins on a terminal.
func (s *sh) welcome() {
	s.out("\n\n" + s.p.M.Persona.BusyBoxVersion() + " built-in shell (ash)\nEnter 'help' for a list of built-in commands.\n\n")
}

func ashHelp(_ context.Context, s *sh, _ []string) int {
	var b strings.Builder
	b.WriteString("Built-in commands:\n------------------\n")
	col := 0
	for w := range strings.FieldsSeq(ashBuiltins) {
		if col == 0 {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(w)
		if col += len(w) + 1; col > 60 {
			b.WriteByte('\n')
			col = 0
		}
	}
	b.WriteString("\n\n")
	return s.out(b.String())
}

func ashHistory(_ context.Context, s *sh, _ []string) int {
	for i, l := range s.hist {
		s.out(fmt.Sprintf("%4d %s\n", i, l))
	}
	return 0
}

const ashLine = 1024 // FEATURE_EDITING_MAX_LEN

// lineLimit is how many characters of a line the editor takes.
func (s *sh) lineLimit() int {
	if s.dialect == Ash {
		return ashLine - 2
	}
	return maxLine
}

// bell is the sound of a key that does nothing; ash makes none.
func (e *editor) bell() {
	if e.s.dialect != Ash {
		e.put("\a")
	}
}

// foreign is the token at which ash stops reading a statement that only bash
// understands: arrays, here-strings, select.
func foreign(st *syntax.Stmt) (token string) {
	syntax.Walk(st, func(n syntax.Node) bool {
		if token != "" {
			return false
		}
		switch x := n.(type) {
		case *syntax.ArrayExpr:
			token = `"("`
		case *syntax.Redirect:
			if x.Op == syntax.WordHdoc {
				token = "redirection"
			}
		case *syntax.ForClause:
			if x.Select {
				token = `"do"`
			}
		}
		return token == ""
	})
	return token
}

// ashLineNumber is the line that ash names in the errors of its builtins.
func (s *sh) ashLineNumber() int {
	if s.file == "" {
		return 0
	}
	return max(s.line, 1)
}

func ashUnalias(ctx context.Context, s *sh, args []string) int {
	for _, a := range args[1:] {
		if _, ok := s.aliases[a]; !ok && a != "-a" {
			fmt.Fprintf(s.p.Stderr(), "unalias: %s not found\n", a) //nolint:errcheck // the visitor's own stderr
			return 1
		}
	}
	return biAlias(ctx, s, args)
}

// ashKill is kill in the words of BusyBox's applet, which ash shares.
func ashKill(ctx context.Context, s *sh, args []string) int {
	sig := kernel.SIGTERM
	rest := args[1:]
	if len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		name := rest[0][1:]
		rest = rest[1:]
		if name == "l" {
			return biJobs(ctx, s, args)
		}
		if name == "s" && len(rest) > 0 {
			name, rest = rest[0], rest[1:]
		}
		n, ok := kernel.SignalNumber(name)
		if !ok {
			s.fail(1, "bad signal name '%s'", name)
			return 1
		}
		sig = n
	}
	if len(rest) == 0 {
		s.fail(1, "you need to specify whom to kill")
		return 1
	}
	failed := 0
	for _, a := range rest {
		if a[:min(len(a), 1)] == "%" {
			return biJobs(ctx, s, args)
		}
		pid, err := strconv.Atoi(a)
		switch {
		case err != nil:
			s.fail(1, "invalid number '%s'", a)
			failed++
		case !s.p.M.Table.Kill(pid, sig):
			s.fail(1, "can't kill pid %d: No such process", pid)
			failed++
		}
	}
	return failed
}

// leadingZeros makes \NNN of echo -e the \0NNN that others ask for.
func leadingZeros(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		b.WriteByte(text[i])
		if text[i] != '\\' || i+1 >= len(text) {
			continue
		}
		i++
		if text[i] >= '1' && text[i] <= '7' {
			b.WriteByte('0')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
