package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// job is a pipeline that runs beside the shell, or that was stopped.
type job struct {
	id    int
	pid   int
	text  string
	task  *kernel.Task
	proc  *kernel.Proc            // its leader, nil = none of its own; Killed is known when task is done
	group *kernel.Job             // nil: not under a terminal's control
	end   context.CancelCauseFunc // of its context
	turn  int                     // when it was begun or stopped: the last one is the current job
	sent  int                     // the last signal that kill sent it
	async bool                    // it does not hold the shell
	held  bool                    // it was stopped and has not gone on since, though it may have ended
	told  bool                    // the visitor has seen that it is stopped
}

// maxJobs is how many jobs a shell keeps.
const maxJobs = 256

func (j *job) done() bool {
	select {
	case <-j.task.Done():
		return true
	default:
		return false
	}
}

// killed is the signal that ended a job, 0 = none.
func (j *job) killed() int {
	switch {
	case j.proc != nil && j.proc.Killed != 0:
		return j.proc.Killed
	case j.sent != 0 && j.task.Status() == 128+j.sent:
		return j.sent
	}
	return 0
}

// controls reports whether what s runs are jobs of its terminal.
func (s *sh) controls() bool {
	return s.opts.interactive && !s.sub && s.life != nil && s.p.S.TTY != nil
}

// newJob makes a job and the context of its programs.
func (s *sh) newJob() (context.Context, *job) {
	ctx, cancel := context.WithCancelCause(s.life)
	j := &job{group: kernel.NewJob(cancel), end: cancel, text: jobText(s.stmtNow)}
	tty := s.p.S.TTY
	context.AfterFunc(ctx, func() { j.group.End(tty) })
	return ctx, j
}

// jobText is a statement as bash writes it down.
func jobText(st *syntax.Stmt) string {
	if st == nil {
		return ""
	}
	if sub, ok := st.Cmd.(*syntax.Subshell); ok && len(st.Redirs) == 0 {
		var parts []string
		for _, st := range sub.Stmts {
			parts = append(parts, source(st))
		}
		return "( " + strings.Join(parts, "; ") + " )"
	}
	fg := *st
	fg.Background = false
	return source(&fg)
}

// add numbers a job and keeps it.
func (s *sh) add(j *job) {
	s.turns++
	j.turn = s.turns
	if slices.Contains(s.jobs, j) || len(s.jobs) >= maxJobs {
		return
	}
	j.id = 1
	if n := len(s.jobs); n > 0 {
		j.id = s.jobs[n-1].id + 1
	}
	s.jobs = append(s.jobs, j)
}

// drop forgets a job that has ended.
func (s *sh) drop(j *job) {
	j.end(nil)
	s.jobs = slices.DeleteFunc(s.jobs, func(k *job) bool { return k == j })
}

// inForeground begins a job and waits until it ends or is stopped.
func (s *sh) inForeground(ctx context.Context, begin func(ctx context.Context, j *job) (*kernel.Task, error)) (status int, err error) {
	jctx, j := s.newJob()
	s.p.S.TTY.GiveTo(j.group, false) // before it can read
	if j.task, err = begin(jctx, j); err != nil {
		s.p.S.TTY.GiveTo(s.p.Job, true)
		j.end(nil)
		return 0, err
	}
	j.pid = j.task.PID
	return s.attend(ctx, j), nil
}

// await waits for a job in the background, or until it is stopped.
func (s *sh) await(ctx context.Context, j *job) int {
	var changed <-chan struct{}
	if j.group != nil {
		changed = j.group.Changed()
	}
	for {
		if sig := j.group.Stopped(); sig != 0 {
			return 128 + sig
		}
		select {
		case <-j.task.Done():
			return j.task.Status()
		case <-ctx.Done():
			return 128 + kernel.SIGKILL
		case <-changed:
		}
	}
}

// signal is kill with the name of a job.
func (j *job) signal(p *kernel.Proc, sig int) {
	j.sent = sig
	j.held = j.held && sig != kernel.SIGCONT
	if j.group == nil {
		p.M.Table.Kill(j.pid, sig)
		return
	}
	j.group.Send(sig)
}

// killJob is kill with the process id of a job whose leader is no process of
// its own: of a pipeline, of a subshell.
func (s *sh) killJob(pid, sig int) bool {
	for _, j := range s.jobs {
		if j.pid == pid && !j.done() {
			j.signal(s.p, sig)
			return true
		}
	}
	return false
}

// attend gives a job the terminal and waits for it. What ends ctx, ends the job.
func (s *sh) attend(ctx context.Context, j *job) int {
	tty := s.p.S.TTY
	tty.GiveTo(j.group, false)
	stop := context.AfterFunc(ctx, func() { j.end(context.Cause(ctx)) })
	defer stop()
	for {
		select {
		case <-j.task.Done():
			tty.GiveTo(s.p.Job, j.killed() == 0)
			s.drop(j)
			return j.task.Status()
		case <-j.group.Changed():
			if sig := j.group.Stopped(); sig != 0 {
				tty.GiveTo(s.p.Job, false)
				return s.halted(j, sig)
			}
		}
	}
}

// halted keeps a job that was stopped in the foreground. A loop around it ends.
func (s *sh) halted(j *job, signal int) int {
	j.async, j.told, j.held = false, true, true
	s.add(j)
	fmt.Fprintf(s.p.Stderr(), "\n%s", s.jobLine(j, false)) //nolint:errcheck // the visitor's own terminal
	if s.loops > 0 {
		s.jump = jump{kind: jumpBreak, n: s.loops}
	}
	return 128 + signal
}

// current are the current job and the one before it: what is stopped goes
// before what runs, then the later one.
func (s *sh) current() (plus, minus *job) {
	order := slices.Clone(s.jobs)
	slices.SortStableFunc(order, func(a, b *job) int {
		if x, y := a.held || a.group.Stopped() != 0, b.held || b.group.Stopped() != 0; x != y {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return b.turn - a.turn
	})
	if len(order) > 0 {
		plus = order[0]
	}
	if len(order) > 1 {
		minus = order[1]
	}
	return plus, minus
}

// jobLine is a job as jobs shows it; long: with its process id.
func (s *sh) jobLine(j *job, long bool) string {
	plus, minus := s.current()
	mark := map[*job]string{minus: "-", plus: "+"}[j]
	if mark == "" {
		mark = " "
	}
	width, tail := 24, ""
	if s.dialect != Bash {
		width = 27
	}
	state := s.jobState(j, long)
	if state == "Running" && s.dialect == Bash {
		tail = " &"
	}
	pid := ""
	if long {
		pid = strconv.Itoa(j.pid) + " "
	}
	return fmt.Sprintf("[%d]%s  %s%-*s%s%s\n", j.id, mark, pid, width, state, j.text, tail)
}

func (s *sh) jobState(j *job, long bool) string {
	stopped := j.group.Stopped()
	switch {
	case !j.done() && stopped == 0:
		return "Running"
	case !j.done():
		if reason := map[int]string{kernel.SIGSTOP: " (signal)", kernel.SIGTTIN: " (tty input)", kernel.SIGTTOU: " (tty output)"}[stopped]; long || s.dialect != Bash {
			return "Stopped" + reason
		}
		return "Stopped"
	case j.killed() != 0:
		return signalText(j.killed())
	case j.task.Status() == 0:
		return "Done"
	case s.dialect == Bash:
		return "Exit " + strconv.Itoa(j.task.Status())
	}
	return fmt.Sprintf("Done(%d)", j.task.Status())
}

// signalText is what a shell says of a process that a signal ended.
func signalText(n int) string {
	switch n {
	case kernel.SIGHUP:
		return "Hangup"
	case kernel.SIGINT:
		return "Interrupt"
	case kernel.SIGQUIT:
		return "Quit"
	case kernel.SIGKILL:
		return "Killed"
	case kernel.SIGTERM:
		return "Terminated"
	case 10:
		return "User defined signal 1"
	case 12:
		return "User defined signal 2"
	case kernel.SIGPIPE:
		return "Broken pipe"
	case 14:
		return "Alarm clock"
	}
	return "Signal " + strconv.Itoa(n)
}

// tellJobs says before a prompt what has become of jobs in the background.
func (s *sh) tellJobs() {
	if len(s.jobs) == 0 {
		return
	}
	var b strings.Builder
	var over []*job
	for _, j := range s.jobs {
		switch stopped := j.group.Stopped(); {
		case j.done():
			b.WriteString(s.jobLine(j, false))
			over = append(over, j)
		case stopped != 0 && !j.told:
			j.told, j.async, j.held = true, false, true
			b.WriteString("\n" + s.jobLine(j, false))
		}
	}
	for _, j := range over {
		s.drop(j)
	}
	fmt.Fprint(s.p.Stderr(), b.String()) //nolint:errcheck // the visitor's own terminal
}

// findJob reads a job's name: %n, %+, %%, %-, %text, %?text. what is why there
// is none.
func (s *sh) findJob(name string) (j *job, what string) {
	plus, minus := s.current()
	spec, percent := strings.CutPrefix(name, "%")
	if n, err := strconv.Atoi(spec); err == nil {
		for _, j := range s.jobs {
			if j.id == n {
				return j, ""
			}
		}
		return nil, name + ": no such job"
	}
	switch spec {
	case "", "+", "%":
		if plus == nil {
			return nil, map[bool]string{true: name, false: "current"}[name != ""] + ": no such job"
		}
		return plus, ""
	case "-":
		if minus == nil {
			minus = plus
		}
		if minus == nil {
			return nil, name + ": no such job"
		}
		return minus, ""
	}
	if !percent {
		return nil, name + ": no such job"
	}
	in, within := strings.CutPrefix(spec, "?")
	for _, k := range s.jobs {
		if within && strings.Contains(k.text, in) || !within && strings.HasPrefix(k.text, spec) {
			if j != nil {
				return nil, spec + ": ambiguous job spec"
			}
			j = k
		}
	}
	if j == nil {
		what = name + ": no such job"
	}
	return j, what
}

// resume is fg and bg.
func (s *sh) resume(ctx context.Context, args []string) int {
	if !s.opts.interactive || s.sub {
		return s.usage(1, args[0], "no job control")
	}
	names := args[1:]
	if len(names) > 0 && names[0] == "--" {
		names = names[1:]
	}
	if len(names) == 0 {
		names = []string{""}
	}
	if args[0] == "fg" {
		names = names[:1]
	}
	status := 0
	for _, name := range names {
		j, what := s.findJob(name)
		switch {
		case j == nil:
			status = s.usage(1, args[0], "%s", what)
		case j.done():
			status = s.usage(1, args[0], "job has terminated")
			s.drop(j)
		case args[0] == "fg":
			status = s.toFront(ctx, j)
		default:
			status = s.toBack(j)
		}
	}
	return status
}

func (s *sh) toFront(ctx context.Context, j *job) int {
	s.out(j.text + "\n")
	j.async, j.told, j.held = false, false, false
	s.p.S.TTY.GiveTo(j.group, false)
	j.group.Continue()
	return s.attend(ctx, j)
}

func (s *sh) toBack(j *job) int {
	if j.group.Stopped() == 0 {
		return s.usage(0, "bg", "job %d already in background", j.id)
	}
	plus, minus := s.current()
	line := fmt.Sprintf("[%d]%s %s &\n", j.id, map[*job]string{minus: "-", plus: "+"}[j], j.text)
	if s.dialect != Bash {
		line = fmt.Sprintf("[%d] %s\n", j.id, j.text)
	}
	s.out(line)
	j.async, j.told, j.held = true, false, false
	j.group.Continue()
	return 0
}

// hold reports whether jobs keep a shell that is to end.
func (s *sh) hold() bool {
	return slices.ContainsFunc(s.jobs, func(j *job) bool { return j.group.Stopped() != 0 })
}
