package kernel

import (
	"context"
	"errors"
	"sync/atomic"
)

// Limits of one session. Zero takes the default in brackets.
type Limits struct {
	Steps   int64 // units of work: evaluator steps, lines, loop turns (20,000,000)
	Memory  int64 // bytes held by variables and buffers (32 MiB)
	Moved   int64 // bytes through pipes and files (1 GiB)
	Output  int64 // bytes sent to the visitor (256 MiB)
	Procs   int64 // programs running at once (64)
	Started int64 // programs started in all (20,000)
	Depth   int   // nesting of functions, subshells, substitutions (64)
}

// ErrBudget is the cause of the end of a session that used up its budget.
var ErrBudget = errors.New("budget used up")

// Budget counts what a session uses and ends it when a limit is passed.
// It is safe for concurrent use.
type Budget struct {
	limits                                     Limits
	cancel                                     context.CancelCauseFunc
	steps, memory, moved, output, procs, start atomic.Int64
}

// NewBudget cancels with ErrBudget when a hard limit is passed.
func NewBudget(l Limits, cancel context.CancelCauseFunc) *Budget {
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
	if l.Depth == 0 {
		l.Depth = 64
	}
	return &Budget{limits: l, cancel: cancel}
}

// Depth is the limit of nesting.
func (b *Budget) Depth() int { return b.limits.Depth }

func (b *Budget) add(v *atomic.Int64, n, limit int64) error {
	if v.Add(n) > limit {
		b.cancel(ErrBudget)
		return ErrBudget
	}
	return nil
}

// Step charges n units of work.
func (b *Budget) Step(n int64) error { return b.add(&b.steps, n, b.limits.Steps) }

// Move charges n bytes moved.
func (b *Budget) Move(n int64) error { return b.add(&b.moved, n, b.limits.Moved) }

// Output charges n bytes sent to the visitor.
func (b *Budget) Output(n int64) error { return b.add(&b.output, n, b.limits.Output) }

// Grow charges (n > 0) or gives back (n < 0) n bytes of memory. Over the limit
// it fails without ending the session: the program says "out of memory".
func (b *Budget) Grow(n int64) error {
	if b.memory.Add(n) > b.limits.Memory && n > 0 {
		b.memory.Add(-n)
		return ErrBudget
	}
	return nil
}

// Spawn charges one program; over the number running at once it fails
// without ending the session ("fork: retry: Resource temporarily unavailable").
func (b *Budget) Spawn() error {
	if err := b.add(&b.start, 1, b.limits.Started); err != nil {
		return err
	}
	if b.procs.Add(1) > b.limits.Procs {
		b.procs.Add(-1)
		return ErrBudget
	}
	return nil
}

// Exited gives back one Spawn.
func (b *Budget) Exited() { b.procs.Add(-1) }
