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
		var b strings.Builder
		for _, j := range s.jobs {
			state := "Running"
			if j.task == nil {
				b.WriteString(s.stoppedLine(j))
				continue
			}
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
		if len(s.jobs) == 0 && len(args) == 1 {
			return s.usage(1, "disown", "current: no such job")
		}
		s.jobs = nil
		return 0
	case "fg", "bg":
		return s.resume(ctx, args)
	}
	return s.wait(ctx, args)
}

// resume is fg and bg.
func (s *sh) resume(ctx context.Context, args []string) int {
	if !s.opts.interactive {
		return s.usage(1, args[0], "no job control")
	}
	var found *job
	for _, j := range s.jobs {
		if len(args) < 2 || args[1] == "%"+strconv.Itoa(j.id) || args[1] == strconv.Itoa(j.id) {
			found = j
		}
	}
	if found == nil {
		name := "current"
		if len(args) > 1 {
			name = args[1]
		}
		return s.usage(1, args[0], "%s: no such job", name)
	}
	if found.task == nil {
		return s.again(ctx, args[0], found)
	}
	if args[0] == "bg" {
		return s.out(fmt.Sprintf("[%d]+ %s &\n", found.id, found.text))
	}
	s.out(found.text + "\n")
	status := found.task.Wait(ctx)
	s.jobs = slices.DeleteFunc(s.jobs, func(j *job) bool { return j == found })
	return status
}

// sigTSTP is what ^Z sends.
const sigTSTP = 20

// leave says what a shell on a terminal says before it ends, and reports
// whether it ends: stopped jobs hold it back once.
func (s *sh) leave(w io.Writer) bool {
	if s.dialect == Bash {
		fmt.Fprintln(w, map[bool]string{true: "logout", false: "exit"}[s.opts.login]) //nolint:errcheck // the visitor's terminal
	}
	if s.warned || !slices.ContainsFunc(s.jobs, func(j *job) bool { return j.task == nil }) {
		return true
	}
	s.warned = true
	fmt.Fprintln(w, map[bool]string{true: "There are stopped jobs.", false: "You have stopped jobs."}[s.dialect == Bash]) //nolint:errcheck // as above
	return false
}

// stopped keeps what ^Z took from the terminal as a job. The fake host has no
// way to hold a program still: it ended, and fg and bg begin it anew.
func (s *sh) stopped(text string) string {
	j := &job{id: 1, pid: -1, text: text}
	if n := len(s.jobs); n > 0 {
		j.id = s.jobs[n-1].id + 1
	}
	if len(s.jobs) < 256 {
		s.jobs = append(s.jobs, j)
	}
	return s.stoppedLine(j)
}

func (s *sh) stoppedLine(j *job) string {
	width := 24
	if s.dialect != Bash {
		width = 27
	}
	return fmt.Sprintf("[%d]+  %-*s%s\n", j.id, width, "Stopped", j.text)
}

// again is fg and bg of a stopped job.
func (s *sh) again(ctx context.Context, how string, j *job) int {
	s.jobs = slices.DeleteFunc(s.jobs, func(k *job) bool { return k == j })
	if how == "fg" {
		s.out(j.text + "\n")
		return s.eval(ctx, j.text)
	}
	s.out(fmt.Sprintf("[%d]+ %s &\n", j.id, j.text))
	s.opts.interactive = false
	defer func() { s.opts.interactive = true }()
	before := len(s.jobs)
	s.eval(ctx, j.text+" &")
	if len(s.jobs) > before {
		s.jobs[len(s.jobs)-1].id = j.id
	}
	return 0
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
		if j.task != nil {
			status = j.task.Wait(ctx)
		}
	}
	if len(args) < 2 {
		s.jobs = nil
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
		pid := 0
		if id, ok := strings.CutPrefix(a, "%"); ok { //nolint:nestif // a job, a process, or neither
			for _, j := range s.jobs {
				if strconv.Itoa(j.id) == id {
					pid = j.pid
				}
			}
			if pid == -1 { // stopped: nothing runs
				s.jobs = slices.DeleteFunc(s.jobs, func(j *job) bool { return j.task == nil && strconv.Itoa(j.id) == id })
				continue
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
				s.p.Killed = sig
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
