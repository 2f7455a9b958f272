package shell

import (
	"context"
	"fmt"
	"io"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// builtinFunc runs a builtin and gives its status.
type builtinFunc func(ctx context.Context, s *sh, args []string) int

// builtin finds the builtin called name in a dialect.
func builtin(d Dialect, name string) builtinFunc {
	if d != Bash && strings.Contains(" declare typeset shopt enable disown pushd popd dirs mapfile readarray compgen complete history help logout caller bind suspend ", " "+name+" ") {
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
	case "hash", "ulimit", "umask", "times", "enable", "help", "bind", "complete", "compgen", "suspend", "caller":
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
		fmt.Fprint(s.p.Stderr(), s.prefix()+"printf: usage: printf [-v var] format [arguments]\n") //nolint:errcheck // the visitor's own stderr
		return 2
	}
	text, warn := Printf(args[0], args[1:], func() bool { return s.p.Step(1) == nil })
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

func biCd(ctx context.Context, s *sh, args []string) int {
	args = args[1:]
	for len(args) > 0 && (args[0] == "-P" || args[0] == "-L" || args[0] == "--" || args[0] == "-e") {
		args = args[1:]
	}
	if len(args) > 1 && s.dialect == Bash {
		return s.usage(1, "cd", "too many arguments")
	}
	dir := s.get("HOME")
	show := false
	if len(args) > 0 {
		dir = args[0]
	} else if dir == "" {
		return s.usage(1, "cd", "HOME not set")
	}
	if dir == "-" {
		if dir, show = s.get("OLDPWD"), true; dir == "" {
			return s.usage(1, "cd", "OLDPWD not set")
		}
	}
	if dir == "" {
		return 0
	}
	abs := path.Clean(s.p.Abs(dir))
	in, err := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(dir))
	if err == nil && in.Kind != vfs.Dir {
		err = vfs.ENOTDIR
	}
	if err == nil {
		err = s.p.M.FS.Access(s.p.Caller, abs, 1)
	}
	if err != nil {
		switch s.dialect {
		case Dash:
			return s.usage(2, "cd", "can't cd to %s", dir)
		case Ash:
			return s.usage(1, "cd", "can't cd to %s: %s", dir, err)
		}
		return s.usage(1, "cd", "%s: %s", dir, err)
	}
	s.set(ctx, "OLDPWD", s.p.Dir)
	s.p.Dir = abs
	s.set(ctx, "PWD", abs)
	s.export("PWD")
	if show {
		return s.out(abs + "\n")
	}
	return 0
}

func biPwd(_ context.Context, s *sh, args []string) int {
	dir := s.p.Dir
	if len(args) > 1 && args[1] == "-P" {
		if r, err := s.p.M.FS.Resolve(s.p.Caller, dir); err == nil {
			dir = r
		}
	}
	return s.out(dir + "\n")
}

func biExit(_ context.Context, s *sh, args []string) int {
	status := s.status
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			s.usage(2, args[0], "%s: numeric argument required", args[1])
			n = 2
		}
		status = n & 255
	}
	if s.opts.interactive && s.opts.login && !s.sub && s.calls <= 1 {
		fmt.Fprint(s.p.Stderr(), "logout\n") //nolint:errcheck // the visitor's own stderr
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
	if len(s.scopes) == 0 && s.calls == 0 {
		return s.usage(1, "return", "can only `return' from a function or sourced script")
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

// declare runs export, readonly, local, declare with assignments as grammar.
func (s *sh) declare(ctx context.Context, c *syntax.DeclClause) {
	args := []string{c.Variant.Value}
	s.status = 0
	var after []func()
	for _, a := range c.Args {
		switch {
		case a.Name == nil:
			args = append(args, s.args(ctx, []*syntax.Word{a.Value})...)
		case a.Naked && a.Array == nil:
			args = append(args, a.Name.Value)
		default:
			args = append(args, a.Name.Value)
			after = append(after, func() {
				if !s.assign(ctx, a) {
					s.status = 1
				}
			})
		}
	}
	late := c.Variant.Value == "readonly" || len(args) > 1 && strings.HasPrefix(args[1], "-") && strings.Contains(args[1], "r")
	if late {
		for _, f := range after {
			f()
		}
		after = nil
	}
	if st := biDeclare(ctx, s, args); st != 0 {
		s.status = st
		return
	}
	for _, f := range after {
		f()
	}
}

func biDeclare(ctx context.Context, s *sh, args []string) int {
	verb, flags := args[0], ""
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		flags += args[0]
		args = args[1:]
	}
	has := func(c string) bool { return strings.Contains(flags, c) && !strings.HasPrefix(flags, "+") }
	if verb == "local" && len(s.scopes) == 0 {
		if s.dialect == Dash {
			return 0
		}
		return s.usage(1, "local", "can only be used in a function")
	}
	if len(args) == 0 {
		return s.listVars(verb, flags)
	}
	status := 0
	for _, a := range args {
		name, value, assigned := strings.Cut(a, "=")
		if !validName(name) {
			status = s.usage(1, verb, "`%s': not a valid identifier", a)
			continue
		}
		if verb == "local" || (verb == "declare" || verb == "typeset") && len(s.scopes) > 0 && !has("g") {
			s.local(name)
		}
		v := s.vars[name]
		if v == nil && (verb != "export" || assigned || !has("n")) {
			v = &variable{}
			s.vars[name] = v
		}
		if v == nil {
			continue
		}
		if has("A") && v.dict == nil {
			v.dict = map[string]string{}
		}
		v.isArray = v.isArray || has("a")
		v.integer = v.integer || has("i")
		if assigned && !s.set(ctx, name, value) {
			status = 1
		}
		if verb == "readonly" || has("r") {
			v.readonly = true
		}
		switch {
		case verb == "export" && has("n"), strings.HasPrefix(flags, "+x"):
			v.exported = false
		case verb == "export", has("x"):
			v.exported = true
		}
	}
	return status
}

func (s *sh) local(name string) {
	top := s.scopes[len(s.scopes)-1]
	if top == nil {
		top = map[string]*variable{}
		s.scopes[len(s.scopes)-1] = top
	}
	if _, done := top[name]; done {
		return
	}
	top[name] = s.vars[name]
	s.vars[name] = &variable{}
}

func (s *sh) listVars(verb, flags string) int {
	var names []string
	for k, v := range s.vars {
		if verb == "export" && !v.exported || verb == "readonly" && !v.readonly || strings.Contains(flags, "x") && !v.exported {
			continue
		}
		names = append(names, k)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, k := range names {
		v := s.vars[k]
		switch {
		case s.dialect != Bash:
			fmt.Fprintf(&b, "%s %s='%s'\n", verb, k, v.value)
		case v.isArray:
			fmt.Fprintf(&b, "declare -a %s=(", k)
			for i, e := range v.list {
				fmt.Fprintf(&b, "%s[%d]=%q", map[bool]string{true: "", false: " "}[i == 0], i, e)
			}
			b.WriteString(")\n")
		default:
			f := "-"
			if v.exported {
				f = "x"
			}
			fmt.Fprintf(&b, "declare -%s %s=\"%s\"\n", f, k, strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(v.value))
		}
	}
	return s.out(b.String())
}

func biUnset(_ context.Context, s *sh, args []string) int {
	fn := false
	for _, a := range args[1:] {
		switch {
		case a == "-f":
			fn = true
		case a == "-v", a == "-n":
		case fn:
			delete(s.funcs, a)
		case s.vars[a] != nil && s.vars[a].readonly:
			return s.usage(1, "unset", "%s: cannot unset: readonly variable", a)
		default:
			if name, idx, ok := strings.Cut(strings.TrimSuffix(a, "]"), "["); ok && s.vars[name] != nil {
				delete(s.vars[name].dict, idx)
				if i, err := strconv.Atoi(idx); err == nil && i >= 0 && i < len(s.vars[name].list) {
					s.vars[name].list = append(s.vars[name].list[:i:i], s.vars[name].list[i+1:]...)
				}
				continue
			}
			if s.vars[a] == nil {
				delete(s.funcs, a)
			}
			s.unset(a)
		}
	}
	return 0
}

func biSet(_ context.Context, s *sh, args []string) int {
	args = args[1:]
	if len(args) == 0 {
		var names []string
		for k := range s.vars {
			names = append(names, k)
		}
		sort.Strings(names)
		var b strings.Builder
		for _, k := range names {
			fmt.Fprintf(&b, "%s=%s\n", k, s.vars[k].value)
		}
		return s.out(b.String())
	}
	for len(args) > 0 {
		a := args[0]
		if a == "--" {
			s.params = args[1:]
			return 0
		}
		if len(a) < 2 || a[0] != '-' && a[0] != '+' {
			s.params = args
			return 0
		}
		args = args[1:]
		if !s.setFlags(a, &args) {
			return s.usage(2, "set", "%s: invalid option", a)
		}
	}
	return 0
}

func (s *sh) setFlags(a string, rest *[]string) bool {
	on := a[0] == '-'
	for _, c := range a[1:] {
		switch c {
		case 'e':
			s.opts.errexit = on
		case 'u':
			s.opts.nounset = on
		case 'x':
			s.opts.xtrace = on
		case 'f':
			s.opts.noglob = on
		case 'a':
			s.opts.allexport = on
		case 'C':
			s.opts.noclobber = on
		case 'n', 'v', 'h', 'm', 'b', 'B', 'H', 'P', 'E', 'T', 'k', 'p', 't', 'i', 'l', 's', 'r', 'c':
		case 'o':
			if len(*rest) == 0 {
				return true
			}
			switch (*rest)[0] {
			case "errexit":
				s.opts.errexit = on
			case "nounset":
				s.opts.nounset = on
			case "xtrace":
				s.opts.xtrace = on
			case "noglob":
				s.opts.noglob = on
			case "pipefail":
				s.opts.pipefail = on
			}
			*rest = (*rest)[1:]
		default:
			return false
		}
	}
	return true
}

func biShift(_ context.Context, s *sh, args []string) int {
	n := 1
	if len(args) > 1 {
		n, _ = strconv.Atoi(args[1]) //nolint:errcheck // 0 for nonsense
	}
	if n < 0 || n > len(s.params) {
		if s.dialect != Bash {
			return s.usage(2, "shift", "can't shift that many")
		}
		return 1
	}
	s.params = s.params[n:]
	return 0
}

func biSource(ctx context.Context, s *sh, args []string) int {
	if len(args) < 2 {
		return s.usage(2, args[0], "filename argument required")
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
			s.fail(2, "%s: cannot open %s: No such file", args[0], name)
		case Ash:
			s.fail(2, "%s: can't open '%s': %s", args[0], name, err)
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
	s.eval(ctx, string(data))
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
	s.external(ctx, args)
	if s.status != 127 && s.status != 126 || !s.opts.interactive {
		s.jump = jump{kind: jumpExit}
	}
	return s.status
}

func biCommand(ctx context.Context, s *sh, args []string) int {
	verb := args[0]
	args = args[1:]
	mode := ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		mode += args[0]
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	if strings.ContainsAny(mode, "vV") {
		status := 0
		for _, a := range args {
			status = max(status, s.describe(a, strings.Contains(mode, "V"), "command"))
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
	short, pathOnly := false, false
	status := 0
	for _, a := range args[1:] {
		switch a {
		case "-t":
			short = true
		case "-p", "-P":
			pathOnly = true
		case "-a", "-f":
		default:
			switch {
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
		return say(name, "a function")
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

func biAlias(_ context.Context, s *sh, args []string) int {
	if s.aliases == nil {
		s.aliases = map[string]string{}
	}
	if args[0] == "unalias" {
		for _, a := range args[1:] {
			if a == "-a" {
				clear(s.aliases)
			}
			delete(s.aliases, a)
		}
		return 0
	}
	status := 0
	show := args[1:]
	if len(show) == 0 {
		for k := range s.aliases {
			show = append(show, k)
		}
		sort.Strings(show)
	}
	for _, a := range show {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case ok && len(s.aliases) < 1000:
			s.aliases[name] = value
		case s.aliases[name] != "":
			s.out("alias " + name + "='" + s.aliases[name] + "'\n")
		default:
			status = s.usage(1, "alias", "%s: not found", name)
		}
	}
	return status
}

func biJobs(ctx context.Context, s *sh, args []string) int {
	switch args[0] {
	case "jobs":
		var b strings.Builder
		for _, j := range s.jobs {
			state := "Running"
			select {
			case <-j.task.Done():
				state = "Done"
			default:
			}
			fmt.Fprintf(&b, "[%d]+  %-24s%s &\n", j.id, state, j.text)
		}
		return s.out(b.String())
	case "kill":
		return s.kill(args)
	case "disown":
		s.jobs = nil
		return 0
	case "bg":
		if len(s.jobs) == 0 {
			return s.usage(1, "bg", "no job control")
		}
		return 0
	}
	status := 0
	for _, j := range s.jobs {
		if len(args) > 1 && args[1] != strconv.Itoa(j.pid) && args[1] != "%"+strconv.Itoa(j.id) && args[1] != "-n" {
			continue
		}
		status = j.task.Wait(ctx)
	}
	if args[0] == "fg" && len(s.jobs) == 0 {
		return s.usage(1, "fg", "no job control")
	}
	if len(args) < 2 {
		s.jobs = nil
		if args[0] == "wait" {
			return 0
		}
	}
	return status
}

func (s *sh) kill(args []string) int {
	sig := kernel.SIGTERM
	status := 0
	for i := 1; i < len(args); i++ {
		a := args[i]
		if a == "-l" || a == "-L" {
			return s.out(" 1) SIGHUP\t 2) SIGINT\t 3) SIGQUIT\t 4) SIGILL\t 5) SIGTRAP\n 6) SIGABRT\t 7) SIGBUS\t 8) SIGFPE\t 9) SIGKILL\t10) SIGUSR1\n11) SIGSEGV\t12) SIGUSR2\t13) SIGPIPE\t14) SIGALRM\t15) SIGTERM\n")
		}
		if strings.HasPrefix(a, "-") && i == 1 {
			if a == "-s" && len(args) > 2 {
				i++
				a = "-" + args[i]
			}
			n, ok := kernel.SignalNumber(a[1:])
			if !ok {
				return s.usage(1, "kill", "%s: invalid signal specification", a[1:])
			}
			sig = n
			continue
		}
		pid := 0
		if id, ok := strings.CutPrefix(a, "%"); ok {
			for _, j := range s.jobs {
				if strconv.Itoa(j.id) == id {
					pid = j.pid
				}
			}
			if pid == 0 {
				status = s.usage(1, "kill", "%s: no such job", a)
				continue
			}
		} else if n, err := strconv.Atoi(a); err == nil {
			pid = n
		} else {
			status = s.usage(1, "kill", "%s: arguments must be process or job IDs", a)
			continue
		}
		if pid == s.p.PID || pid == s.p.M.ShellPID(s.p) {
			if sig == kernel.SIGKILL || sig == kernel.SIGHUP {
				s.jump = jump{kind: jumpExit}
				return 128 + sig
			}
			continue
		}
		if !s.p.M.Table.Kill(pid, sig) {
			status = s.usage(1, "kill", "(%d) - No such process", pid)
		}
	}
	if len(args) < 2 {
		fmt.Fprint(s.p.Stderr(), "kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]\n") //nolint:errcheck // the visitor's own stderr
		return 2
	}
	return status
}

func biTrap(_ context.Context, s *sh, args []string) int {
	if len(args) < 3 {
		return 0
	}
	if s.traps == nil {
		s.traps = map[string]string{}
	}
	for _, sig := range args[2:] {
		sig = strings.TrimPrefix(strings.ToUpper(sig), "SIG")
		if sig == "0" {
			sig = "EXIT"
		}
		if args[1] == "-" {
			delete(s.traps, sig)
		} else {
			s.traps[sig] = args[1]
		}
	}
	return 0
}

func biLet(ctx context.Context, s *sh, args []string) int {
	n := int64(0)
	for _, a := range args[1:] {
		n, _ = s.arithText(ctx, a)
	}
	return int(truth(n == 0))
}

func biHistory(_ context.Context, s *sh, args []string) int {
	if len(args) > 1 && args[1] == "-c" {
		s.hist = nil
		return 0
	}
	var b strings.Builder
	for i, l := range s.hist {
		fmt.Fprintf(&b, "%5d  %s\n", i+1, l)
	}
	return s.out(b.String())
}

// readLine reads up to delim, one byte at a time so that nothing is taken
// from what a later command reads.
func (s *sh) readLine(ctx context.Context, r io.Reader, delim byte, limit int) (string, bool) {
	var line []byte
	var b [1]byte
	for len(line) < maxValue && ctx.Err() == nil && s.p.Step(1) == nil {
		n, err := r.Read(b[:])
		if n == 0 || err != nil {
			return string(line), len(line) > 0 && limit > 0
		}
		if b[0] == delim {
			return string(line), true
		}
		line = append(line, b[0])
		if limit > 0 && len(line) >= limit {
			return string(line), true
		}
	}
	return string(line), false
}

func biDirs(ctx context.Context, s *sh, args []string) int {
	switch args[0] {
	case "pushd":
		if len(args) < 2 {
			return s.usage(1, "pushd", "no other directory")
		}
		old := s.p.Dir
		if st := biCd(ctx, s, []string{"cd", args[1]}); st != 0 {
			return st
		}
		s.dirs = append([]string{old}, s.dirs...)
	case "popd":
		if len(s.dirs) == 0 {
			return s.usage(1, "popd", "directory stack empty")
		}
		if st := biCd(ctx, s, []string{"cd", s.dirs[0]}); st != 0 {
			return st
		}
		s.dirs = s.dirs[1:]
	}
	home := s.get("HOME")
	list := append([]string{s.p.Dir}, s.dirs...)
	for i, d := range list {
		if home != "" && (d == home || strings.HasPrefix(d, home+"/")) {
			list[i] = "~" + d[len(home):]
		}
	}
	return s.out(strings.Join(list, " ") + "\n")
}

func biGetopts(ctx context.Context, s *sh, args []string) int {
	if len(args) < 3 {
		return s.usage(2, "getopts", "usage: getopts optstring name [arg ...]")
	}
	list := s.params
	if len(args) > 3 {
		list = args[3:]
	}
	ind, _ := strconv.Atoi(s.get("OPTIND")) //nolint:errcheck // 0 restarts
	if ind < 1 {
		ind, s.optPos = 1, 0
	}
	if ind > len(list) || len(list[ind-1]) < 2 || list[ind-1][0] != '-' || list[ind-1] == "--" {
		s.set(ctx, args[2], "?")
		return 1
	}
	cur := list[ind-1]
	if s.optPos == 0 {
		s.optPos = 1
	}
	c := cur[s.optPos]
	s.optPos++
	next := func() { ind, s.optPos = ind+1, 0 }
	i := strings.IndexByte(args[1], c)
	s.unset("OPTARG")
	switch {
	case i < 0 || c == ':':
		s.set(ctx, args[2], "?")
		if strings.HasPrefix(args[1], ":") {
			s.set(ctx, "OPTARG", string(c))
		} else {
			s.fail(0, "illegal option -- %c", c)
		}
	case i+1 < len(args[1]) && args[1][i+1] == ':':
		s.set(ctx, args[2], string(c))
		if s.optPos < len(cur) {
			s.set(ctx, "OPTARG", cur[s.optPos:])
		} else if ind < len(list) {
			s.set(ctx, "OPTARG", list[ind])
			ind++
		}
		s.optPos = len(cur)
	default:
		s.set(ctx, args[2], string(c))
	}
	if s.optPos >= len(cur) {
		next()
	}
	s.set(ctx, "OPTIND", strconv.Itoa(ind))
	return 0
}

func biShopt(_ context.Context, s *sh, args []string) int {
	on, quiet := -1, false
	status := 0
	for _, a := range args[1:] {
		switch a {
		case "-s":
			on = 1
		case "-u":
			on = 0
		case "-q":
			quiet = true
		default:
			var p *bool
			switch a {
			case "nullglob":
				p = &s.opts.nullglob
			case "dotglob":
				p = &s.opts.dotglob
			case "nocasematch", "nocaseglob":
				p = &s.opts.nocase
			case "extglob":
				p = &s.opts.extglob
			case "failglob":
				p = &s.opts.failglob
			default:
				p = new(bool)
			}
			switch {
			case on >= 0:
				*p = on == 1
			case !quiet:
				s.out(fmt.Sprintf("%-15s\t%s\n", a, map[bool]string{true: "on", false: "off"}[*p]))
				fallthrough
			default:
				if !*p {
					status = 1
				}
			}
		}
	}
	return status
}

func biMisc(_ context.Context, s *sh, args []string) int {
	switch args[0] {
	case "umask":
		if len(args) > 1 {
			n, err := strconv.ParseUint(args[len(args)-1], 8, 16)
			if err == nil {
				s.p.Umask = uint32(n) & 0o777
			}
			return 0
		}
		return s.out(fmt.Sprintf("%04o\n", s.p.Umask))
	case "ulimit":
		if len(args) == 1 || len(args) == 2 && args[1] == "-f" {
			return s.out("unlimited\n")
		}
		if len(args) == 2 {
			v := map[string]string{"-n": "1024", "-u": "15465", "-c": "0", "-s": "8192", "-v": "unlimited", "-Hn": "1048576"}[args[1]]
			if args[1] == "-a" {
				return s.out("core file size              (blocks, -c) 0\nfile size                   (blocks, -f) unlimited\nopen files                          (-n) 1024\nstack size                  (kbytes, -s) 8192\nmax user processes                  (-u) 15465\n")
			}
			return s.out(v + "\n")
		}
	case "times":
		return s.out("0m0.004s 0m0.003s\n0m0.012s 0m0.009s\n")
	case "enable":
		return s.out("enable " + strings.Join(strings.Fields(bashBuiltins), "\nenable ") + "\n")
	case "help":
		return s.out("GNU bash, version " + bashVersion + " (" + s.p.M.Persona.Kernel.Machine + "-pc-linux-gnu)\nThese shell commands are defined internally.  Type `help' to see this list.\n")
	}
	return 0
}

const bashBuiltins = `. : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo
enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd
read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset wait`

func biMapfile(ctx context.Context, s *sh, args []string) int {
	trim := false
	name := "MAPFILE"
	for _, a := range args[1:] {
		if a == "-t" {
			trim = true
		} else if !strings.HasPrefix(a, "-") {
			name = a
		}
	}
	v := &variable{isArray: true}
	for len(v.list) < maxFields {
		line, ok := s.readLine(ctx, s.p.Stdin(), '\n', 0)
		if !ok && line == "" {
			break
		}
		if !trim && ok {
			line += "\n"
		}
		if s.p.S.Budget.Grow(int64(len(line)+16)) != nil {
			return 1
		}
		v.list = append(v.list, line)
		if !ok {
			break
		}
	}
	s.vars[name] = v
	return 0
}

func biRead(ctx context.Context, s *sh, args []string) int {
	args = args[1:]
	raw, delim, limit, prompt, array := false, byte('\n'), 0, "", ""
	var timeout time.Duration
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		a := args[0]
		args = args[1:]
		for i := 1; i < len(a); i++ {
			if strings.IndexByte("dnNptua", a[i]) < 0 {
				raw = raw || a[i] == 'r'
				if a[i] == 's' && s.p.S.TTY != nil {
					defer s.p.S.TTY.SetEcho(s.p.S.TTY.SetEcho(false))
				}
				continue
			}
			v := a[i+1:]
			if v == "" && len(args) > 0 {
				v, args = args[0], args[1:]
			}
			switch a[i] {
			case 'd':
				delim = 0
				if v != "" {
					delim = v[0]
				}
			case 'n', 'N':
				limit, _ = strconv.Atoi(v) //nolint:errcheck // 0 for nonsense
			case 'p':
				prompt = v
			case 't':
				f, _ := strconv.ParseFloat(v, 64) //nolint:errcheck // 0 for nonsense
				timeout = time.Duration(f * float64(time.Second))
			case 'a':
				array = v
			}
			break
		}
	}
	if prompt != "" && s.p.IsTTY(0) {
		fmt.Fprint(s.p.Stderr(), prompt) //nolint:errcheck // the visitor's own stderr
	}
	_ = timeout // a pipe that stays silent ends with the session
	line, ok := s.readLine(ctx, s.p.Stdin(), delim, limit)
	for !raw && ok && strings.HasSuffix(line, `\`) && !strings.HasSuffix(line, `\\`) {
		var more string
		more, ok = s.readLine(ctx, s.p.Stdin(), delim, 0)
		line = line[:len(line)-1] + more
	}
	if !raw {
		line = unquoteMeta(line)
	}
	s.distribute(ctx, args, array, line)
	if !ok {
		return 1
	}
	return 0
}

// distribute splits a line by IFS over names; the last one gets the rest.
func (s *sh) distribute(ctx context.Context, names []string, array, line string) {
	ifs, set := s.lookup("IFS")
	if !set {
		ifs = " \t\n"
	}
	if array != "" {
		s.vars[array] = &variable{isArray: true, list: strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(ifs, r) })}
		return
	}
	if len(names) == 0 {
		s.set(ctx, "REPLY", line)
		return
	}
	white := ""
	for _, c := range " \t\n" {
		if strings.ContainsRune(ifs, c) {
			white += string(c)
		}
	}
	line = strings.Trim(line, white)
	for i, n := range names {
		if i == len(names)-1 {
			s.set(ctx, n, line)
			return
		}
		k := strings.IndexAny(line, ifs)
		if ifs == "" || k < 0 {
			s.set(ctx, n, line)
			line = ""
			continue
		}
		s.set(ctx, n, line[:k])
		sep := line[k : k+1]
		line = strings.TrimLeft(line[k+1:], white)
		if strings.Contains(white, sep) && line != "" && strings.ContainsRune(ifs, rune(line[0])) {
			line = strings.TrimLeft(line[1:], white)
		}
	}
}
