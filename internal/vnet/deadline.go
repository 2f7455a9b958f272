package vnet

import (
	"sync"
	"time"
)

// deadline is one deadline of a connection, on the network's clock.
type deadline struct {
	mu   sync.Mutex
	stop func() bool
	over chan struct{} // closed when it has passed
}

func newDeadline() deadline { return deadline{over: make(chan struct{})} }

// passed is closed once the deadline that is set now has passed.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// set moves the deadline; who waits now waits for the new one.
func (d *deadline) set(n *Network, t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil && !d.stop() {
		<-d.over // the timer runs: it closes the channel at once
	}
	d.stop = nil
	select {
	case <-d.over:
		d.over = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	over := d.over
	left := n.until(t)
	if left <= 0 {
		close(over)
		return
	}
	d.stop = n.clk.AfterFunc(left, func() { close(over) })
}
