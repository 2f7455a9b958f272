package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the shells as programs of the fake host.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"bash": program(Bash), "dash": program(Dash), "ash": program(Ash),
	}
}

func program(d Dialect) kernel.Program {
	return func(ctx context.Context, p *kernel.Proc) int { return run(ctx, p, d) }
}

// run is the main function of a shell program.
func run(ctx context.Context, p *kernel.Proc, d Dialect) int {
	s := newShell(p, d)
	args := p.Args[1:]
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		a := args[0]
		args = args[1:]
		if a == "--" {
			break
		}
		switch a {
		case "--version":
			if d == Bash {
				s.out("GNU bash, version " + s.p.M.Persona.BashVersion + " (" + p.M.Persona.Kernel.Machine + "-pc-linux-gnu)\nCopyright (C) 2022 Free Software Foundation, Inc.\nLicense GPLv3+: GNU GPL version 3 or later <http://gnu.org/licenses/gpl.html>\n\nThis is free software; you are free to change and redistribute it.\nThere is NO WARRANTY, to the extent permitted by law.\n")
				return 0
			}
		case "--login", "--noprofile", "--norc", "--posix", "--noediting":
			continue
		}
		if !s.setFlags(a, &args) {
			if d != Bash {
				fmt.Fprintf(p.Stderr(), "%s: 0: Illegal option %s\n", s.name, a) //nolint:errcheck // the visitor's own stderr
				return 2
			}
			fmt.Fprintf(p.Stderr(), "%s: %s: invalid option\n", s.name, a) //nolint:errcheck // as above
			return 2
		}
		s.opts.command = s.opts.command || a[0] == '-' && a[1] != '-' && strings.Contains(a, "c")
		s.opts.stdin = s.opts.stdin || a[0] == '-' && strings.Contains(a, "s")
		s.opts.login = s.opts.login || strings.Contains(a, "l")
	}
	switch {
	case s.opts.command:
		return s.runCommand(ctx, args)
	case len(args) > 0 && !s.opts.stdin:
		return s.runFile(ctx, args)
	}
	s.params = args
	if p.IsTTY(0) && p.S.TTY != nil {
		return s.interact(ctx)
	}
	return s.runStdin(ctx)
}

func (s *sh) runCommand(ctx context.Context, args []string) int {
	if len(args) == 0 {
		if s.dialect != Bash {
			fmt.Fprintf(s.p.Stderr(), "%s: 0: -c requires an argument\n", s.name) //nolint:errcheck // the visitor's own stderr
			return 2
		}
		fmt.Fprintf(s.p.Stderr(), "%s: -c: option requires an argument\n", s.name) //nolint:errcheck // as above
		return 2
	}
	if len(args) > 1 {
		s.name, s.params = args[1], args[2:]
	}
	return s.source(ctx, args[0])
}

func (s *sh) runFile(ctx context.Context, args []string) int {
	data, err := s.p.M.FS.ReadFile(s.p.Caller, s.p.Abs(args[0]), maxSource)
	if errors.Is(err, vfs.EISDIR) && s.dialect == Bash {
		fmt.Fprintf(s.p.Stderr(), "%[1]s: %[1]s: Is a directory\n", args[0]) //nolint:errcheck // the visitor's own stderr
		return 126
	}
	if errors.Is(err, vfs.EISDIR) && s.dialect == Dash {
		return 0
	}
	if err != nil {
		w := s.p.Stderr()
		switch s.dialect {
		case Dash:
			fmt.Fprintf(w, "%s: 0: cannot open %s: %s\n", s.name, args[0], strings.TrimSuffix(err.Error(), " or directory")) //nolint:errcheck // the visitor's own stderr
			return 2
		case Ash:
			fmt.Fprintf(w, "%s: can't open '%s': %s\n", s.name, args[0], err) //nolint:errcheck // as above
			return 2
		}
		fmt.Fprintf(w, "%s: %s: %s\n", s.name, args[0], err) //nolint:errcheck // as above
		return 127
	}
	if binary(data) {
		fmt.Fprintf(s.p.Stderr(), "%s: %s: cannot execute binary file\n", args[0], args[0]) //nolint:errcheck // as above
		return 126
	}
	s.name, s.file, s.params = args[0], args[0], args[1:]
	return s.source(ctx, string(data))
}

// runStdin reads a script from standard input.
func (s *sh) runStdin(ctx context.Context) int {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, s.p.Stdin(), maxSource+1); err == nil {
		s.fail(126, "standard input: file too large")
		return s.status
	}
	text := b.String()
	if text != "" {
		s.p.S.Recorder.Line(ctx, kernel.Line{Text: text, Dir: s.p.Dir, User: s.p.S.User.Name, PID: s.p.PID})
	}
	if binary(b.Bytes()) {
		s.fail(126, "cannot execute binary file")
		return s.status
	}
	return s.source(ctx, text)
}

// DialectOf is the language of the shell at path.
func DialectOf(path string, busybox bool) Dialect {
	switch {
	case busybox:
		return Ash
	case strings.HasSuffix(path, "bash"):
		return Bash
	}
	return Dash
}

// Exec runs one line as sshd does for an exec request: the user's login shell
// with -c. It returns the exit status.
func Exec(ctx context.Context, p *kernel.Proc, line string) int {
	shell := p.S.User.Shell
	d := DialectOf(shell, p.M.Persona.Family == "busybox")
	name := shell[strings.LastIndexByte(shell, '/')+1:]
	p.Args = []string{name, "-c", line}
	p.Path = shell
	return start(ctx, p, program(d))
}

// Login runs the user's login shell: interactively on a terminal, else with
// the commands on standard input.
func Login(ctx context.Context, p *kernel.Proc) int {
	return start(ctx, p, login(p))
}

func login(p *kernel.Proc) kernel.Program {
	shell := p.S.User.Shell
	d := DialectOf(shell, p.M.Persona.Family == "busybox")
	p.Args = []string{"-" + shell[strings.LastIndexByte(shell, '/')+1:]}
	p.Path = shell
	return func(ctx context.Context, p *kernel.Proc) int {
		s := newShell(p, d)
		s.opts.login = true
		if p.IsTTY(0) && p.S.TTY != nil {
			return s.interact(ctx)
		}
		s.name = strings.TrimPrefix(s.name, "-")
		return s.runStdin(ctx)
	}
}

func start(ctx context.Context, p *kernel.Proc, prog kernel.Program) int {
	status, err := p.RunProgram(ctx, prog)
	if err != nil {
		return 254
	}
	return status
}
