package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
)

// Limits of one session. Zero takes the default in brackets.
type Limits struct {
	Steps   int64         // units of work: evaluator steps, lines, loop turns (20,000,000)
	Memory  int64         // bytes held by variables and buffers (32 MiB)
	Moved   int64         // bytes through pipes and files (1 GiB)
	Output  int64         // bytes sent to the visitor (256 MiB)
	Procs   int64         // programs running at once (64)
	Started int64         // programs started in all (20,000)
	Depth   int           // nesting of functions, subshells, substitutions (64)
	Wall    time.Duration // longest session (4 h)
	Line    time.Duration // longest run of one line typed at a terminal (1 h)
}

// ErrBudget is in the cause of the end of a session that used up its budget.
var ErrBudget = errors.New("budget used up")

// limit is one of Limits.
type limit uint8

const (
	limitSteps limit = iota
	limitMemory
	limitMoved
	limitOutput
	limitProcs
	limitStarted
	limitDepth
	limitWall
	limitLine
	limitVariable
)

func (l limit) String() string {
	return [...]string{
		limitSteps: "steps", limitMemory: "memory", limitMoved: "bytes moved", limitOutput: "bytes of output", limitProcs: "programs at once",
		limitStarted: "programs started", limitDepth: "depth", limitWall: "wall time of the session", limitLine: "wall time of a command",
		limitVariable: "bytes of a variable",
	}[l]
}

// Budget counts what a session uses and ends it when a limit is passed.
// It is safe for concurrent use.
type Budget struct {
	limits                                     Limits
	cancel                                     context.CancelCauseFunc
	told                                       func(limit string)
	said                                       atomic.Uint32 // a bit for each limit that was told of
	steps, memory, moved, output, procs, start atomic.Int64
}

// NewBudget cancels when a hard limit is passed: as the kernel would kill what
// takes too much, the cause is ErrBudget and Killed at once. told may be nil;
// it hears the name of each limit that is reached, once, and must not block.
func NewBudget(l Limits, cancel context.CancelCauseFunc, told func(limit string)) *Budget {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Steps, 20_000_000)
	def(&l.Memory, 32<<20)
	def(&l.Moved, 1<<30)
	def(&l.Output, 256<<20)
	def(&l.Procs, 64)
	def(&l.Started, 20_000)
	def((*int64)(&l.Wall), int64(4*time.Hour))
	def((*int64)(&l.Line), int64(time.Hour))
	if l.Depth == 0 {
		l.Depth = 64
	}
	return &Budget{limits: l, cancel: cancel, told: told}
}

// reached tells of a limit, the first time.
func (b *Budget) reached(l limit) {
	if bit := uint32(1) << l; b.said.Or(bit)&bit == 0 && b.told != nil {
		b.told(l.String())
	}
}

// end ends the session.
func (b *Budget) end(l limit) {
	b.reached(l)
	b.cancel(fmt.Errorf("%w (%s): %w", ErrBudget, l, Killed{Signal: SIGKILL}))
}

// Depth is the limit of nesting.
func (b *Budget) Depth() int { return b.limits.Depth }

// TooDeep reports whether n is over the limit of nesting.
func (b *Budget) TooDeep(n int) bool {
	if n <= b.limits.Depth {
		return false
	}
	b.reached(limitDepth)
	return true
}

// TooBig reports whether a variable of n bytes is over most.
func (b *Budget) TooBig(n, most int) bool {
	if n <= most {
		return false
	}
	b.reached(limitVariable)
	return true
}

// Watch ends the session when its wall time is over. It stops with ctx, which
// is to end.
func (b *Budget) Watch(ctx context.Context, c clock.Clock) {
	stop := c.AfterFunc(b.limits.Wall, func() { b.end(limitWall) })
	context.AfterFunc(ctx, func() { stop() })
}

// WatchLine calls kill when one line has run too long, unless stopped.
func (b *Budget) WatchLine(c clock.Clock, kill func()) (stop func() bool) {
	return c.AfterFunc(b.limits.Line, func() {
		b.reached(limitLine)
		kill()
	})
}

func (b *Budget) add(v *atomic.Int64, n, most int64, l limit) error {
	if v.Add(n) > most {
		b.end(l)
		return ErrBudget
	}
	return nil
}

// Step charges n units of work.
func (b *Budget) Step(n int64) error { return b.add(&b.steps, n, b.limits.Steps, limitSteps) }

// Move charges n bytes moved.
func (b *Budget) Move(n int64) error { return b.add(&b.moved, n, b.limits.Moved, limitMoved) }

// Output charges n bytes sent to the visitor.
func (b *Budget) Output(n int64) error { return b.add(&b.output, n, b.limits.Output, limitOutput) }

// Grow charges (n > 0) or gives back (n < 0) n bytes of memory. Over the limit
// it fails without ending the session: the program says "out of memory".
func (b *Budget) Grow(n int64) error {
	if b.memory.Add(n) > b.limits.Memory && n > 0 {
		b.memory.Add(-n)
		b.reached(limitMemory)
		return ErrBudget
	}
	return nil
}

// Spawn charges one program; over the number running at once it fails
// without ending the session ("fork: retry: Resource temporarily unavailable").
func (b *Budget) Spawn() error {
	if err := b.add(&b.start, 1, b.limits.Started, limitStarted); err != nil {
		return err
	}
	if b.procs.Add(1) > b.limits.Procs {
		b.procs.Add(-1)
		b.reached(limitProcs)
		return ErrBudget
	}
	return nil
}

// Exited gives back one Spawn.
func (b *Budget) Exited() { b.procs.Add(-1) }
