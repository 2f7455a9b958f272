package shell

import (
	"context"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
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
	for _, w := range strings.Fields(ashBuiltins) {
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
// understands: arrays, process substitution, here-strings, select.
func foreign(st *syntax.Stmt) (token string) {
	syntax.Walk(st, func(n syntax.Node) bool {
		if token != "" {
			return false
		}
		switch x := n.(type) {
		case *syntax.ArrayExpr, *syntax.ProcSubst:
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
