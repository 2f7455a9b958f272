// Package clock hands time to everything that also runs in the range, where
// time is virtual. Code that takes a Clock never calls time.Now, time.Sleep,
// time.After or time.NewTimer itself.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and waits.
type Clock interface {
	// Now is the current instant of this clock.
	Now() time.Time
	// Sleep waits for d or until ctx ends; it returns ctx.Err() in the second case.
	Sleep(ctx context.Context, d time.Duration) error
	// AfterFunc calls f in its own goroutine after d. stop prevents the call
	// if it has not begun and reports whether it did.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// System is the clock of the machine.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (system) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}
