package kernel

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Statuses of a program that a signal ended are 128 + signal.
const (
	SIGHUP  = 1
	SIGINT  = 2
	SIGQUIT = 3
	SIGKILL = 9
	SIGPIPE = 13
	SIGTERM = 15
	SIGCONT = 18
	SIGSTOP = 19
)

// signals are the names of signals 0 to 31.
var signals = [...]string{
	"EXIT", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

// SignalNumber reads a signal's name (HUP, SIGHUP) or number.
func SignalNumber(s string) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, n >= 0 && n < 65
	}
	s = strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for i, n := range signals {
		if n == s {
			return i, true
		}
	}
	return 0, false
}

// SignalName is the name of a signal without SIG, "" for a number without one.
func SignalName(n int) string {
	switch {
	case n >= 0 && n < len(signals):
		return signals[n]
	case n == 34:
		return "RTMIN"
	case n > 34 && n < 50:
		return "RTMIN+" + strconv.Itoa(n-34)
	case n >= 50 && n < 64:
		return "RTMAX-" + strconv.Itoa(64-n)
	case n == 64:
		return "RTMAX"
	}
	return ""
}

// Killed is the cause of a context that a signal ended.
type Killed struct{ Signal int } //nolint:errname // reads as what happened

// Error names the signal's number.
func (k Killed) Error() string { return "killed by signal" }

// OnKill calls f with the signal when ctx ends by one, unless stopped: what
// waits for the visitor is to be woken.
func OnKill(ctx context.Context, f func(signal int)) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if k, ok := errors.AsType[Killed](context.Cause(ctx)); ok {
			f(k.Signal)
		}
	})
}

// Task is a started program.
type Task struct {
	PID    int
	done   chan struct{}
	status int
}

// Done is closed when the program has ended.
func (t *Task) Done() <-chan struct{} { return t.done }

// Status is the exit status; it is known once Done is closed.
func (t *Task) Status() int { return t.status }

// Wait returns the exit status, or 128+SIGKILL when ctx ends first.
func (t *Task) Wait(ctx context.Context) int {
	select {
	case <-t.done:
		return t.status
	case <-ctx.Done():
		return 128 + SIGKILL
	}
}

// Run starts c with the executable at name (looked up along PATH) and waits.
// The error is an Errno when nothing could be started: ENOENT, EACCES,
// ENOEXEC (a file that is neither program nor script with #!; the shell then
// reads it as a script), EISDIR. c's descriptors are closed in every case.
func (p *Proc) Run(ctx context.Context, c *Proc) (status int, err error) {
	prog, err := p.load(c)
	if err != nil {
		c.CloseFDs()
		return 127, err
	}
	return c.RunProgram(ctx, prog)
}

// Start is Run without the wait.
func (p *Proc) Start(ctx context.Context, c *Proc) (*Task, error) {
	prog, err := p.load(c)
	if err != nil {
		c.CloseFDs()
		return nil, err
	}
	return c.Launch(ctx, prog)
}

// Launch runs prog as the process c: a new pid, an entry in the process
// table, a context that a signal to that pid ends.
func (p *Proc) Launch(ctx context.Context, prog Program) (*Task, error) {
	ctx, end, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	t := &Task{PID: p.PID, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer end()
		t.status = p.call(ctx, prog)
	}()
	return t, nil
}

// RunProgram is Launch and the wait, on the caller's goroutine.
func (p *Proc) RunProgram(ctx context.Context, prog Program) (status int, err error) {
	ctx, end, err := p.begin(ctx)
	if err != nil {
		return 127, err
	}
	defer end()
	return p.call(ctx, prog), nil
}

// begin makes p a process; end takes it off the table and closes its descriptors.
func (p *Proc) begin(ctx context.Context) (_ context.Context, end func(), _ error) {
	if err := p.S.Budget.Spawn(); err != nil {
		p.CloseFDs()
		return nil, nil, vfs.EAGAIN
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p.PID = p.M.Table.add(p, cancel)
	if p.PGID == 0 {
		p.PGID = p.PID
	}
	p.Caller.PID = p.PID
	return ctx, func() {
		p.CloseFDs()
		p.M.Table.remove(p.PID)
		cancel(nil)
		p.S.Budget.Exited()
	}, nil
}

// call runs prog; a panic of ours ends this program only, as a crash would.
func (p *Proc) call(ctx context.Context, prog Program) (status int) {
	defer func() {
		if r := recover(); r != nil {
			p.S.Recorder.Note(ctx, "program-crashed", strings.Join(p.Args, " "))
			status = 139
		}
	}()
	status = prog(ctx, p)
	p.Job.pass() // it does not end while it is stopped
	if k, ok := errors.AsType[Killed](context.Cause(ctx)); ok {
		p.Killed = k.Signal
		return 128 + k.Signal
	}
	return status
}

const maxInterp = 4

// load finds what c runs; it follows #! lines and rewrites c's arguments.
func (p *Proc) load(c *Proc) (Program, error) {
	name := c.Args[0]
	if c.Path != "" {
		name = c.Path
	}
	file, err := c.LookPath(name)
	if err != nil {
		return nil, err
	}
	for range maxInterp {
		c.Path = c.Abs(file)
		content, err := c.M.FS.Content(c.Caller, c.Path)
		if err != nil {
			return nil, err
		}
		if im, ok := content.(vfs.Program); ok {
			if prog := c.M.Programs[im.Impl()]; prog != nil {
				return prog, nil
			}
			if prog := c.M.Programs["stub"]; prog != nil {
				return prog, nil
			}
			return silent, nil
		}
		interp, arg, ok := shebang(content)
		if !ok {
			return nil, vfs.ENOEXEC
		}
		args := []string{interp}
		if arg != "" {
			args = append(args, arg)
		}
		c.Args = append(append(args, file), c.Args[1:]...)
		file = interp
		if err := c.executable(c.Abs(file)); err != nil {
			return nil, err
		}
	}
	return nil, vfs.ELOOP
}

// silent stands for programs that are installed but have no implementation.
func silent(context.Context, *Proc) int { return 0 }

func shebang(content vfs.Content) (interp, arg string, ok bool) {
	var buf [256]byte
	n, _ := content.ReadAt(buf[:], 0)
	line, _, _ := bytes.Cut(buf[:n], []byte("\n"))
	rest, ok := strings.CutPrefix(string(line), "#!")
	if !ok {
		return "", "", false
	}
	interp, arg, _ = strings.Cut(strings.Trim(rest, " \t\r"), " ")
	return interp, strings.TrimSpace(arg), interp != ""
}
