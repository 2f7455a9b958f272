package kernel

import (
	"context"
	"sync"
	"sync/atomic"
)

// The signals of job control.
const (
	SIGTSTP = 20
	SIGTTIN = 21
	SIGTTOU = 22
)

// Job is a process group that a shell on a terminal began. While it is
// stopped, its programs wait where they next read, write or do a step; what
// they wait for goes on meanwhile, as time does.
type Job struct {
	kill    context.CancelCauseFunc
	halted  atomic.Bool
	changed chan struct{}

	mu     sync.Mutex
	signal int           // that stopped it, 0 = it runs
	resume chan struct{} // closed when it goes on
	gone   atomic.Bool   // it has ended, or is to end: nothing stops it any more
	modes  modes         // of its terminal while others have it
}

// NewJob is a job that runs; kill ends the context of its programs.
func NewJob(kill context.CancelCauseFunc) *Job {
	return &Job{kill: kill, changed: make(chan struct{}, 1)}
}

// Stop makes the job wait, because of signal.
func (j *Job) Stop(signal int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.gone.Load() || j.signal != 0 {
		return
	}
	j.signal, j.resume = signal, make(chan struct{})
	j.halted.Store(true)
	select {
	case j.changed <- struct{}{}:
	default:
	}
}

// Continue lets a stopped job go on.
func (j *Job) Continue() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.release()
}

func (j *Job) release() {
	if j.signal != 0 {
		j.signal = 0
		j.halted.Store(false)
		close(j.resume)
	}
}

// End lets what waits go on for the last time, also what waits for t: the
// context of the job has ended.
func (j *Job) End(t *TTY) {
	j.mu.Lock()
	j.gone.Store(true)
	j.release()
	j.mu.Unlock()
	t.mu.Lock() // who has looked before waits by now
	defer t.mu.Unlock()
	t.cond.Broadcast()
}

// Stopped is the signal that stopped the job, 0 where it runs.
func (j *Job) Stopped() int {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.signal
}

// Changed hears of a stop.
func (j *Job) Changed() <-chan struct{} { return j.changed }

// Send gives the job a signal.
func (j *Job) Send(signal int) {
	switch {
	case stops(signal):
		j.Stop(signal)
	case signal == SIGCONT:
		j.Continue()
	case ends(signal):
		j.kill(Killed{signal})
	}
}

// pass waits while the job is stopped. A nil Job never is.
func (j *Job) pass() {
	if j != nil && j.halted.Load() {
		j.wait()
	}
}

func (j *Job) wait() {
	j.mu.Lock()
	c := j.resume
	stopped := j.signal != 0
	j.mu.Unlock()
	if stopped {
		<-c
	}
}

// background stops a job that reads from a terminal that others have, and
// waits; false: the job is to end.
func (j *Job) background() bool {
	if !j.halted.Load() {
		j.Stop(SIGTTIN)
	}
	j.wait()
	return !j.gone.Load()
}

// Join makes p and its descriptors part of a job.
func (p *Proc) Join(j *Job) {
	p.Job = j
	for _, f := range p.FDs {
		f.job = j
	}
}

// Suspend stops the job of p, as programs do that take ^Z for themselves, and
// returns when it goes on. It reports whether there was anything to stop.
func (p *Proc) Suspend() bool {
	if p.Job == nil {
		return false
	}
	p.Job.Stop(SIGTSTP)
	p.Job.pass()
	return true
}

// Terminal is a descriptor of the session's terminal for p.
func (p *Proc) Terminal() *FD {
	f := p.S.TTY.FD()
	f.job = p.Job
	return f
}

// SetRaw is TTY.SetRaw for p; in the background it counts once p has the
// terminal again.
func (p *Proc) SetRaw(raw bool) (old bool) { return p.S.TTY.setRaw(p.Job, raw) }

// SetEcho is SetRaw for echo.
func (p *Proc) SetEcho(echo bool) (old bool) { return p.S.TTY.setEcho(p.Job, echo) }

// Go runs f beside the shell p as a Task of job j: what is no program of its
// own, but is stopped and killed as one. of is its process.
func (p *Proc) Go(ctx context.Context, j *Job, f func() int) (t *Task, of *Proc) {
	c := *p
	c.Job, c.PID = j, p.M.Table.Reserve()
	t = &Task{PID: c.PID, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.status = c.call(ctx, func(context.Context, *Proc) int { return f() })
	}()
	return t, &c
}
