package shell

import (
	"context"
	"fmt"
	"path"
	"strings"
)

func biSource(ctx context.Context, s *sh, args []string) int {
	if len(args) < 2 {
		s.usage(2, args[0], "filename argument required")
		if s.dialect == Bash {
			fmt.Fprintf(s.p.Stderr(), "%s: usage: %[1]s filename [arguments]\n", args[0]) //nolint:errcheck // the visitor's own stderr
		}
		return 2
	}
	name := args[1]
	file := name
	if !strings.Contains(name, "/") {
		for _, d := range append(strings.Split(s.get("PATH"), ":"), ".") {
			if _, err := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(path.Join(d, name))); err == nil {
				file = path.Join(d, name)
				break
			}
		}
	}
	data, err := s.p.M.FS.ReadFile(s.p.Caller, s.p.Abs(file), maxSource)
	if err != nil {
		switch s.dialect {
		case Dash:
			if !strings.Contains(name, "/") {
				s.fail(2, "%s: %s: not found", args[0], name)
				break
			}
			s.fail(2, "%s: cannot open %s: No such file", args[0], name)
		case Ash:
			if !strings.Contains(name, "/") {
				return s.usage(2, args[0], "%s: not found", name)
			}
			return s.usage(2, args[0], "can't open '%s': %s", name, err)
		default:
			s.fail(1, "%s: %s", name, err)
		}
		return s.status
	}
	params := s.params
	if len(args) > 2 {
		s.params = args[2:]
	}
	s.status = 0
	s.sourced++
	s.eval(ctx, string(data))
	s.sourced--
	s.params = params
	if s.jump.kind == jumpReturn {
		s.jump = jump{}
	}
	return s.status
}

func biExec(ctx context.Context, s *sh, args []string) int {
	args = args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-a" && len(args) > 1 {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	if _, err := s.p.LookPath(args[0]); err != nil && s.dialect != Dash && !strings.Contains(args[0], "/") {
		s.usage(127, "exec", "%s: not found", args[0])
	} else {
		s.external(ctx, args)
	}
	if s.status != 127 && s.status != 126 || !s.opts.interactive {
		s.jump = jump{kind: jumpExit}
	}
	return s.status
}

func biCommand(ctx context.Context, s *sh, args []string) int {
	verb := args[0]
	args = args[1:]
	var mode strings.Builder
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		mode.WriteString(args[0])
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	if strings.ContainsAny(mode.String(), "vV") {
		status := 0
		for _, a := range args {
			status = max(status, s.describe(a, strings.Contains(mode.String(), "V"), "command"))
		}
		return status
	}
	if b := builtin(s.dialect, args[0]); b != nil {
		return b(ctx, s, args)
	}
	if verb == "builtin" {
		return s.usage(1, "builtin", "%s: not a shell builtin", args[0])
	}
	s.external(ctx, args)
	return s.status
}

func biType(_ context.Context, s *sh, args []string) int {
	short, pathOnly, all := false, false, false
	status := 0
	for _, a := range args[1:] {
		switch a {
		case "-t":
			short = true
		case "-p", "-P":
			pathOnly = true
		case "-a":
			all = true
		case "-f":
		default:
			switch {
			case all:
				status = max(status, s.describeAll(a))
			case short:
				status = max(status, s.kindOf(a))
			case pathOnly:
				if p, err := s.p.LookPath(a); err == nil {
					s.out(p + "\n")
				} else {
					status = 1
				}
			default:
				status = max(status, s.describe(a, true, "type"))
			}
		}
	}
	return status
}

const keywords = " if then else elif fi case esac for select while until do done in function time { } ! [[ ]] coproc "

func (s *sh) kindOf(name string) int {
	switch {
	case s.aliases[name] != "":
		return s.out("alias\n")
	case strings.Contains(keywords, " "+name+" "):
		return s.out("keyword\n")
	case s.funcs[name] != nil:
		return s.out("function\n")
	case builtin(s.dialect, name) != nil:
		return s.out("builtin\n")
	}
	if _, err := s.p.LookPath(name); err == nil {
		return s.out("file\n")
	}
	return 1
}

// describeAll is type -a: every meaning of a name.
func (s *sh) describeAll(name string) int {
	status := 1
	if s.aliases[name] != "" || s.funcs[name] != nil || builtin(s.dialect, name) != nil || strings.Contains(keywords, " "+name+" ") {
		status = s.describe(name, true, "type")
	}
	for d := range strings.SplitSeq(s.get("PATH"), ":") {
		full := path.Join(d, name)
		if p, err := s.p.LookPath(full); d != "" && err == nil {
			status = s.out(name + " is " + p + "\n")
		}
	}
	if status != 0 {
		return s.usage(1, "type", "%s: not found", name)
	}
	return status
}

func (s *sh) describe(name string, long bool, verb string) int {
	say := func(short, text string) int {
		if !long {
			return s.out(short + "\n")
		}
		return s.out(name + " is " + text + "\n")
	}
	if v, ok := s.aliases[name]; ok {
		return say("alias "+name+"='"+v+"'", "aliased to `"+v+"'")
	}
	switch {
	case strings.Contains(keywords, " "+name+" "):
		return say(name, "a shell keyword")
	case s.funcs[name] != nil:
		if !long {
			return say(name, "")
		}
		s.out(name + " is a function\n")
		return s.out(funcText(s.funcs[name]))
	case builtin(s.dialect, name) != nil:
		return say(name, "a shell builtin")
	}
	if p, err := s.p.LookPath(name); err == nil {
		return say(p, p)
	}
	if long {
		text := "not found"
		if s.dialect != Bash {
			s.out(name + ": not found\n")
			return 127
		}
		return s.usage(1, verb, "%s: %s", name, text)
	}
	return map[bool]int{true: 1, false: 127}[s.dialect == Bash]
}
