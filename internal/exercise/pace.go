package exercise

import (
	"context"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
)

// pace is the time of an exercise for people. Now is the wall's, so that records
// bear the time at which they were written; waiting can be stopped, and speed
// times as much time goes by as on the wall.
type pace struct {
	wall  clock.Clock
	speed float64

	mu      sync.Mutex
	gone    time.Duration // of the exercise until since
	since   time.Time     // zero while it stands still
	changed chan struct{} // closed when it stops or goes on
}

var _ clock.Clock = (*pace)(nil)

// newPace is a pace that stands still at gone.
func newPace(wall clock.Clock, speed float64, gone time.Duration) *pace {
	if speed <= 0 {
		speed = 1
	}
	return &pace{wall: wall, speed: speed, gone: gone, changed: make(chan struct{})}
}

// elapsed is how much of the exercise has gone by.
func (p *pace) elapsed() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now()
}

func (p *pace) now() time.Duration {
	if p.since.IsZero() {
		return p.gone
	}
	return p.gone + time.Duration(float64(p.wall.Now().Sub(p.since))*p.speed)
}

// run lets time go by, or stops it.
func (p *pace) run(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on == !p.since.IsZero() {
		return
	}
	p.gone = p.now()
	p.since = time.Time{}
	if on {
		p.since = p.wall.Now()
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pace) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.since.IsZero()
}

// Now implements clock.Clock.
func (p *pace) Now() time.Time { return p.wall.Now() }

// Sleep implements clock.Clock.
func (p *pace) Sleep(ctx context.Context, d time.Duration) error {
	p.mu.Lock()
	until := p.now() + d
	p.mu.Unlock()
	for {
		p.mu.Lock()
		left, still, changed := until-p.now(), p.since.IsZero(), p.changed
		p.mu.Unlock()
		if ctx.Err() != nil || left <= 0 && !still {
			return ctx.Err()
		}
		if err := p.wait(ctx, left, still, changed); err != nil {
			return err
		}
	}
}

// wait returns when left has gone by, when the pace changes, or with ctx.
func (p *pace) wait(ctx context.Context, left time.Duration, still bool, changed <-chan struct{}) error {
	if still {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			return nil
		}
	}
	t := time.NewTimer(time.Duration(float64(left) / p.speed))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-changed:
	}
	return nil
}

// AfterFunc implements clock.Clock; it goes by the wall, as time limits of
// connections do.
func (p *pace) AfterFunc(d time.Duration, f func()) (stop func() bool) { return p.wall.AfterFunc(d, f) }
