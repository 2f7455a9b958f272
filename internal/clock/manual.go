package clock

import (
	"context"
	"sort"
	"sync"
	"time"
)

// Manual is a Clock that stands still until Advance moves it. Its zero value
// is not usable; NewManual makes one.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	seq    int
	timers []*manualTimer
}

type manualTimer struct {
	at  time.Time
	seq int
	f   func()
}

// NewManual starts at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t} }

// Now is the instant that Advance has reached.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Sleep waits until Advance has passed d, or ctx ends.
func (m *Manual) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	done := make(chan struct{})
	stop := m.AfterFunc(d, func() { close(done) })
	select {
	case <-ctx.Done():
		stop()
		return ctx.Err()
	case <-done:
		return nil
	}
}

// AfterFunc calls f in its own goroutine once Advance has passed d.
func (m *Manual) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	t := &manualTimer{at: m.now.Add(d), seq: m.seq, f: f}
	m.timers = append(m.timers, t)
	return func() bool { return m.remove(t) }
}

func (m *Manual) remove(t *manualTimer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, x := range m.timers {
		if x == t {
			m.timers = append(m.timers[:i], m.timers[i+1:]...)
			return true
		}
	}
	return false
}

// Advance moves the clock by d and starts what fell due, in order of time.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	m.now = m.now.Add(d)
	var due, rest []*manualTimer
	for _, t := range m.timers {
		if t.at.After(m.now) {
			rest = append(rest, t)
		} else {
			due = append(due, t)
		}
	}
	m.timers = rest
	m.mu.Unlock()
	sort.Slice(due, func(i, j int) bool {
		if due[i].at.Equal(due[j].at) {
			return due[i].seq < due[j].seq
		}
		return due[i].at.Before(due[j].at)
	})
	for _, t := range due {
		go t.f()
	}
}
