package vnet

import (
	"container/heap"
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/lapwing-defence/lapwing/internal/clock"
)

// VirtualClock is a clock.Clock that moves only when nothing in the process
// can run: then it jumps to the next timer and lets that one run alone. A day
// of waiting costs the work done in it and no more, and the load of the
// machine cannot change what happens in which order of time.
//
// It asks the scheduler of Go how many goroutines run or could run. What waits
// for something outside the process (a file, another program, a person) looks
// idle: whoever does such work on this clock's time calls Hold before and
// Release after. Close ends it.
type VirtualClock struct {
	mu     sync.Mutex
	wake   *sync.Cond // something to do for drive: a timer, a release, the end
	now    time.Time
	start  time.Time
	seq    uint64
	timers timerHeap
	holds  int
	closed bool
	done   chan struct{}
	busy   atomic.Int64 // packets in queues and timers of stacks that run: work that the scheduler might not show
}

var (
	_ clock.Clock = (*VirtualClock)(nil)
	_ tcpip.Clock = tcpipClock{}
)

// NewVirtualClock makes a clock that reads start until something sleeps on it.
func NewVirtualClock(start time.Time) *VirtualClock {
	start = start.Round(0) // without a reading of the monotonic clock: see Network.until
	c := &VirtualClock{now: start, start: start, done: make(chan struct{})}
	c.wake = sync.NewCond(&c.mu)
	go c.drive()
	return c
}

// Now is the virtual instant.
func (c *VirtualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep waits for d of virtual time, or until ctx or the clock ends.
func (c *VirtualClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	fired := make(chan struct{})
	stop := c.AfterFunc(d, func() { close(fired) })
	select {
	case <-fired:
		return nil
	case <-ctx.Done():
		stop()
		return ctx.Err()
	case <-c.done:
		return ErrClosed
	}
}

// AfterFunc calls f in its own goroutine after d of virtual time.
func (c *VirtualClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	t := &virtualTimer{clock: c, f: f, index: -1}
	t.Reset(d)
	return t.Stop
}

// Hold keeps the clock where it is until Release is called as often.
func (c *VirtualClock) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds++
}

// Release undoes one Hold.
func (c *VirtualClock) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds == 0 {
		panic("vnet: Release without Hold")
	}
	c.holds--
	c.wake.Signal()
}

// Close stops the clock where it is: no timer fires after it.
func (c *VirtualClock) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.wake.Signal()
	c.mu.Unlock()
	<-c.done
}

// drive fires the timers, one by one, each when the one before has had its effect.
func (c *VirtualClock) drive() {
	defer close(c.done)
	q := newQuiet()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for !c.closed && (len(c.timers) == 0 || c.holds > 0) {
			c.wake.Wait()
		}
		if c.closed {
			return
		}
		seq, holds := c.seq, c.holds
		c.mu.Unlock()
		q.wait(&c.busy, func() bool { return c.moved(seq, holds) })
		c.mu.Lock()
		if c.closed || c.seq != seq || c.holds > 0 || len(c.timers) == 0 {
			continue
		}
		t := heap.Pop(&c.timers).(*virtualTimer)
		if t.at.After(c.now) {
			c.now = t.at
		}
		if t.counted {
			c.busy.Add(1)
			go func() {
				defer c.busy.Add(-1)
				t.f()
			}()
			continue
		}
		go t.f()
	}
}

// moved says whether waiting for quiet is in vain by now.
func (c *VirtualClock) moved(seq uint64, holds int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.seq != seq || c.holds != holds
}

type virtualTimer struct {
	clock *VirtualClock
	at    time.Time
	seq   uint64
	f     func()
	index int // in the heap, -1 outside

	counted bool // f never waits for virtual time, so its end may be waited for
}

// Stop prevents the timer from firing and reports whether it did.
func (t *virtualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

// Reset makes the timer fire d from now.
func (t *virtualTimer) Reset(d time.Duration) {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&c.timers, t.index)
	}
	c.seq++
	t.at, t.seq = c.now.Add(max(d, 0)), c.seq
	heap.Push(&c.timers, t)
	c.wake.Signal()
}

type timerHeap []*virtualTimer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*virtualTimer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// tcpipClock shows a VirtualClock to the stacks.
type tcpipClock struct{ *VirtualClock }

// NowMonotonic is the virtual time since the clock's start.
func (c tcpipClock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(c.Now().Sub(c.start))
}

// AfterFunc is clock.Clock's, with the timer that the stacks want.
func (c tcpipClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	t := &virtualTimer{clock: c.VirtualClock, f: f, index: -1, counted: true}
	t.Reset(d)
	return t
}

// quiet tells when no goroutine but its own can run.
type quiet struct {
	samples [3]metrics.Sample
	outside uint64 // goroutines that sit in system calls for good (signals, terminals)
}

const (
	runnable = iota
	running
	outside
)

// Quiet means that this many looks in a row found nobody.
const quietLooks = 3

// grace is how long a system call may take before it counts as one that waits
// for the world. What takes longer is held by Hold.
const grace = 50 * time.Millisecond

func newQuiet() *quiet {
	q := &quiet{}
	q.samples[runnable].Name = "/sched/goroutines/runnable:goroutines"
	q.samples[running].Name = "/sched/goroutines/running:goroutines"
	q.samples[outside].Name = "/sched/goroutines/not-in-go:goroutines"
	return q
}

// look says whether nobody but the caller runs now, and how many are in system calls.
func (q *quiet) look() (alone bool, syscalls uint64) {
	metrics.Read(q.samples[:])
	v := func(i int) uint64 { return q.samples[i].Value.Uint64() }
	return v(runnable) == 0 && v(running) <= 1, v(outside)
}

// wait returns when the process is quiet or stop says so. It yields first and
// sleeps later, so that it takes no processor from those it waits for.
func (q *quiet) wait(busy *atomic.Int64, stop func() bool) {
	found, tries := 0, 0
	var since time.Time
	for found < quietLooks {
		alone, calls := q.look()
		switch {
		case !alone || busy.Load() > 0:
			found, since = 0, time.Time{}
		case calls > q.outside:
			found = 0
			if since.IsZero() {
				since = time.Now()
			} else if time.Since(since) > grace {
				q.outside = calls
			}
		default:
			q.outside, since = calls, time.Time{}
			found++
			runtime.Gosched()
			continue
		}
		if stop() {
			return
		}
		if tries++; tries < 8 {
			runtime.Gosched()
			continue
		}
		time.Sleep(min(time.Duration(tries)*5*time.Microsecond, time.Millisecond)) //nolint:forbidigo // the machine's time: this is what virtual time waits for
	}
}
