package shell

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func biJobs(ctx context.Context, s *sh, args []string) int {
	switch args[0] {
	case "jobs":
		return s.listJobs(args[1:])
	case "kill":
		return s.kill(args)
	case "disown":
		return s.disown(args[1:])
	case "fg", "bg":
		return s.resume(ctx, args)
	}
	return s.wait(ctx, args)
}

// listJobs is jobs: -l with process ids, -p those alone, -r what runs, -s what is stopped.
func (s *sh) listJobs(args []string) int {
	flags := ""
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if i := strings.IndexFunc(args[0][1:], func(r rune) bool { return !strings.ContainsRune("lnprs", r) }); i >= 0 {
			return s.usage(2, "jobs", "-%c: invalid option\njobs: usage: jobs [-lnprs] [jobspec ...] or jobs -x command [args]", args[0][1+i])
		}
		flags, args = flags+args[0][1:], args[1:]
	}
	list, status := s.jobs, 0
	if len(args) > 0 {
		list = nil
		for _, a := range args {
			j, what := s.findJob(a)
			if j == nil {
				status = s.usage(1, "jobs", "%s", what)
				continue
			}
			list = append(list, j)
		}
	}
	var b strings.Builder
	var over []*job
	for _, j := range list {
		state := s.jobState(j, true)
		switch {
		case strings.Contains(flags, "r") && state != "Running", strings.Contains(flags, "s") && !strings.HasPrefix(state, "Stopped"):
			continue
		case strings.Contains(flags, "p"):
			fmt.Fprintln(&b, j.pid)
		default:
			b.WriteString(s.jobLine(j, strings.Contains(flags, "l")))
		}
		if j.told = j.group.Stopped() != 0; j.done() {
			over = append(over, j)
		}
	}
	for _, j := range over {
		s.drop(j)
	}
	s.out(b.String())
	return status
}

func (s *sh) disown(args []string) int {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if strings.Contains(args[0], "a") {
			s.jobs = nil
			return 0
		}
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{""}
	}
	status := 0
	for _, a := range args {
		j, what := s.findJob(a)
		if j == nil {
			status = s.usage(1, "disown", "%s", what)
			continue
		}
		s.jobs = slices.DeleteFunc(s.jobs, func(k *job) bool { return k == j })
	}
	return status
}

// leave says what a shell on a terminal says before it ends, and reports
// whether it ends: stopped jobs hold it back once.
func (s *sh) leave(w io.Writer) bool {
	if s.dialect == Bash {
		fmt.Fprintln(w, map[bool]string{true: "logout", false: "exit"}[s.opts.login]) //nolint:errcheck // the visitor's terminal
	}
	if s.warned || !s.hold() {
		return true
	}
	s.warned = true
	fmt.Fprintln(w, map[bool]string{true: "There are stopped jobs.", false: "You have stopped jobs."}[s.dialect == Bash]) //nolint:errcheck // as above
	return false
}

func (s *sh) wait(ctx context.Context, args []string) int {
	if len(args) > 1 && args[1] != "-n" {
		known := false
		for _, j := range s.jobs {
			known = known || args[1] == strconv.Itoa(j.pid) || args[1] == "%"+strconv.Itoa(j.id)
		}
		if _, err := strconv.Atoi(args[1]); !known && err == nil {
			if s.dialect != Bash {
				return 127
			}
			return s.usage(127, "wait", "pid %s is not a child of this shell", args[1])
		}
		if !known {
			return s.usage(127, "wait", "%s: no such job", args[1])
		}
	}
	status := 0
	for _, j := range s.jobs {
		if len(args) > 1 && args[1] != strconv.Itoa(j.pid) && args[1] != "%"+strconv.Itoa(j.id) && args[1] != "-n" {
			continue
		}
		status = s.await(ctx, j)
	}
	if len(args) < 2 {
		s.jobs = slices.DeleteFunc(s.jobs, (*job).done)
		return 0
	}
	return status
}

func (s *sh) kill(args []string) int {
	sig := kernel.SIGTERM
	status := 0
	for i := 1; i < len(args); i++ {
		a := args[i]
		if a == "-l" || a == "-L" {
			return s.killList(args[i+1:])
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
		if strings.HasPrefix(a, "%") {
			if j, what := s.findJob(a); j != nil {
				j.signal(s.p, sig)
			} else {
				status = s.usage(1, "kill", "%s", what)
			}
			continue
		}
		pid, err := strconv.Atoi(a)
		if err != nil {
			status = s.usage(1, "kill", "%s: arguments must be process or job IDs", a)
			continue
		}
		if pid == s.p.PID || pid == s.p.M.ShellPID(s.p) {
			if sig == kernel.SIGKILL || sig == kernel.SIGHUP {
				s.jump = jump{kind: jumpExit}
				s.p.Killed = sig
				return 128 + sig
			}
			continue
		}
		if !s.p.M.Table.Kill(pid, sig) && !s.killJob(pid, sig) {
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
	switch {
	case len(args) > 1 && args[1] == "-l":
		return s.out(signalTable())
	case len(args) == 1, len(args) == 2 && args[1] == "-p":
		return s.listTraps()
	case len(args) == 2:
		delete(s.traps, strings.TrimPrefix(strings.ToUpper(args[1]), "SIG"))
		return 0
	}
	if s.traps == nil {
		s.traps = map[string]string{}
	}
	for _, sig := range args[2:] {
		sig = strings.TrimPrefix(strings.ToUpper(sig), "SIG")
		if n, ok := kernel.SignalNumber(sig); ok && !strings.Contains(" ERR DEBUG RETURN ", " "+sig+" ") {
			sig = kernel.SignalName(n)
		} else if !ok && !strings.Contains(" ERR DEBUG RETURN ", " "+sig+" ") {
			return s.usage(1, "trap", "%s: invalid signal specification", sig)
		}
		if args[1] == "-" {
			delete(s.traps, sig)
		} else {
			s.traps[sig] = args[1]
		}
	}
	return 0
}

// signalTable is what kill -l and trap -l print.
func signalTable() string {
	var b strings.Builder
	col := 0
	for n := 1; n < 65; n++ {
		name := kernel.SignalName(n)
		if name == "" {
			continue
		}
		fmt.Fprintf(&b, "%2d) SIG%s", n, name)
		if col++; col%5 == 0 {
			b.WriteByte('\n')
		} else {
			b.WriteByte('\t')
		}
	}
	return b.String() + "\n"
}

func (s *sh) listTraps() int {
	var b strings.Builder
	for n := range 65 {
		name := kernel.SignalName(n)
		if t, ok := s.traps[name]; ok && name != "" {
			if name != "EXIT" && s.dialect == Bash {
				name = "SIG" + name
			}
			fmt.Fprintf(&b, "trap -- %s %s\n", singleQuote(t), name)
		}
	}
	return s.out(b.String())
}

func singleQuote(t string) string { return "'" + strings.ReplaceAll(t, "'", `'\''`) + "'" }

// killList is kill -l with arguments: names for numbers and the reverse.
func (s *sh) killList(args []string) int {
	if len(args) == 0 {
		return s.out(signalTable())
	}
	status := 0
	for _, a := range args {
		n, ok := kernel.SignalNumber(a)
		switch {
		case !ok:
			status = s.usage(1, "kill", "%s: invalid signal specification", a)
		case a[0] >= '0' && a[0] <= '9':
			s.out(kernel.SignalName(n&127) + "\n")
		default:
			s.out(strconv.Itoa(n) + "\n")
		}
	}
	return status
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
