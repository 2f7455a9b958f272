package shell

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// builtinFunc runs a builtin and gives its status.
type builtinFunc func(ctx context.Context, s *sh, args []string) int

// builtin finds the builtin called name in a dialect.
func builtin(d Dialect, name string) builtinFunc { //nolint:funlen // one case a builtin
	if d == Ash {
		if b := ashBuiltin(name); b != nil || !strings.Contains(ashBuiltins, " "+name+" ") {
			return b
		}
	}
	if d != Bash && strings.Contains(" declare typeset shopt enable disown pushd popd dirs mapfile readarray compgen complete history help logout caller bind suspend fc compopt ", " "+name+" ") ||
		d == Dash && strings.Contains(" source let builtin ", " "+name+" ") {
		return nil
	}
	switch name {
	case ":", "true":
		return func(context.Context, *sh, []string) int { return 0 }
	case "false":
		return func(context.Context, *sh, []string) int { return 1 }
	case "echo":
		return biEcho
	case "printf":
		return biPrintf
	case "cd", "chdir":
		if name == "chdir" && d == Bash {
			return nil
		}
		return biCd
	case "pwd":
		return biPwd
	case "exit", "logout":
		return biExit
	case "return":
		return biReturn
	case "break", "continue":
		return biLoop
	case "export", "readonly", "local", "declare", "typeset":
		return biDeclare
	case "unset":
		return biUnset
	case "set":
		return biSet
	case "shift":
		return biShift
	case "eval":
		return func(ctx context.Context, s *sh, args []string) int {
			s.status = 0
			return s.eval(ctx, strings.Join(args[1:], " "))
		}
	case ".", "source":
		return biSource
	case "exec":
		return biExec
	case "command", "builtin":
		return biCommand
	case "type":
		return biType
	case "hash", "ulimit", "umask", "times", "enable", "help", "bind", "complete", "compgen", "compopt", "suspend", "caller", "fc":
		return biMisc
	case "read":
		return biRead
	case "mapfile", "readarray":
		return biMapfile
	case "test", "[":
		return biTest
	case "trap":
		return biTrap
	case "wait", "jobs", "fg", "bg", "disown", "kill":
		return biJobs
	case "alias", "unalias":
		return biAlias
	case "shopt":
		return biShopt
	case "getopts":
		return biGetopts
	case "let":
		return biLet
	case "history":
		return biHistory
	case "pushd", "popd", "dirs":
		return biDirs
	}
	return nil
}

func (s *sh) out(text string) int {
	if _, err := io.WriteString(s.p.Stdout(), text); err != nil {
		if s.p.FDs[1] == nil {
			s.fail(1, "echo: write error: %s", err)
		}
		return 1
	}
	return 0
}

// usage reports a wrong use of a builtin.
func (s *sh) usage(status int, name, format string, args ...any) int {
	if s.dialect == Ash && !s.opts.interactive {
		fmt.Fprintf(s.p.Stderr(), "%s: %s: line %d: %s\n", s.name, name, s.ashLineNumber(), fmt.Sprintf(format, args...)) //nolint:errcheck // the visitor's own stderr
		s.status = status
		return status
	}
	s.fail(status, "%s: %s", name, fmt.Sprintf(format, args...))
	return status
}

func biEcho(_ context.Context, s *sh, args []string) int {
	args = args[1:]
	newline, escapes := true, s.dialect == Dash
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		if s.dialect == Dash && args[0] != "-n" {
			break
		}
		newline = newline && !strings.Contains(args[0], "n")
		if i := strings.LastIndexAny(args[0], "eE"); i > 0 {
			escapes = args[0][i] == 'e'
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		var stop bool
		if s.dialect == Ash {
			text = leadingZeros(text)
		}
		if text, stop = unescape(text, true); stop {
			newline = false
		}
	}
	if newline {
		text += "\n"
	}
	return s.out(text)
}

func biPrintf(ctx context.Context, s *sh, args []string) int {
	args = args[1:]
	name := ""
	if len(args) > 1 && args[0] == "-v" {
		name, args = args[1], args[2:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprint(s.p.Stderr(), "printf: usage: printf [-v var] format [arguments]\n") //nolint:errcheck // the visitor's own stderr
		return 2
	}
	text, warn := Printf(args[0], args[1:], s.p.Now(), func() bool { return s.p.Step(1) == nil })
	for _, w := range warn {
		s.fail(1, "printf: %s", w)
	}
	status := min(len(warn), 1)
	if name != "" {
		s.set(ctx, name, text)
		return status
	}
	return max(s.out(text), status)
}

func biExit(_ context.Context, s *sh, args []string) int {
	status := s.status
	if args[0] == "logout" && !s.opts.login {
		return s.usage(1, "logout", "not login shell: use `exit'")
	}
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			if s.dialect == Ash {
				s.jump = jump{kind: jumpExit}
				return s.usage(2, args[0], "Illegal number: %s", args[1])
			}
			s.usage(2, args[0], "%s: numeric argument required", args[1])
			n = 2
		}
		status = n & 255
	}
	if s.opts.interactive && !s.sub && s.calls <= 1 && !s.leave(s.p.Stderr()) {
		return 1
	}
	s.jump = jump{kind: jumpExit}
	return status
}

func biReturn(_ context.Context, s *sh, args []string) int {
	status := s.status
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return s.usage(2, "return", "%s: numeric argument required", args[1])
		}
		status = n & 255
	}
	if len(s.scopes) == 0 && s.sourced == 0 && s.dialect == Bash {
		return s.usage(2, "return", "can only `return' from a function or sourced script")
	}
	s.jump = jump{kind: jumpReturn}
	return status
}

func biLoop(_ context.Context, s *sh, args []string) int {
	n := 1
	if len(args) > 1 {
		v, err := strconv.Atoi(args[1])
		if err != nil || v < 1 {
			return s.usage(1, args[0], "%s: loop count out of range", args[1])
		}
		n = v
	}
	if s.loops == 0 {
		if s.dialect == Bash {
			s.usage(0, args[0], "only meaningful in a `for', `while', or `until' loop")
		}
		return 0
	}
	s.jump = jump{kind: jumpBreak, n: n}
	if args[0] == "continue" {
		s.jump.kind = jumpContinue
	}
	return 0
}

func biShift(_ context.Context, s *sh, args []string) int {
	n := 1
	if len(args) > 1 {
		n, _ = strconv.Atoi(args[1])
	}
	if n < 0 || n > len(s.params) {
		if s.dialect == Dash {
			s.jump = jump{kind: jumpExit}
			return s.usage(2, "shift", "can't shift that many")
		}
		return 1
	}
	s.params = s.params[n:]
	return 0
}
