package vnet

import (
	"container/heap"
	"sync"
	"time"
)

// wire carries frames to ports: each port has a bounded queue, and workers
// serve the ports that have something in turns, so that one flooded port
// delays no other by more than a burst.
type wire struct {
	net  *Network
	wg   sync.WaitGroup
	mu   sync.Mutex
	cond *sync.Cond
	head *port // the ports that wait for a worker
	tail *port
	end  bool

	pmu     sync.Mutex
	pending int // packets in queues, counted with a virtual clock
	stopped bool

	slow slowLine
}

// burst is how many frames a worker takes from a port before the next one's turn.
const burst = 64

func newWire(n *Network, workers int) *wire {
	w := &wire{net: n}
	w.cond = sync.NewCond(&w.mu)
	w.slow.wire = w
	for range workers {
		w.wg.Go(w.work)
	}
	return w
}

func (w *wire) stop() {
	w.mu.Lock()
	w.end = true
	w.cond.Broadcast()
	w.mu.Unlock()
	w.wg.Wait()
	w.slow.close()
	w.uncarry()
}

// ready puts p at the end of those that wait for a worker.
func (w *wire) ready(p *port) {
	w.mu.Lock()
	p.next = nil
	if w.tail == nil {
		w.head = p
	} else {
		w.tail.next = p
	}
	w.tail = p
	w.cond.Signal()
	w.mu.Unlock()
}

func (w *wire) work() {
	var batch [burst]*frame
	for {
		w.mu.Lock()
		for w.head == nil && !w.end {
			w.cond.Wait()
		}
		if w.end {
			w.mu.Unlock()
			return
		}
		p := w.head
		w.head = p.next
		if w.head == nil {
			w.tail = nil
		}
		w.mu.Unlock()

		k := p.queue.take(batch[:])
		for i, f := range batch[:k] {
			batch[i] = nil
			p.deliver(f)
		}
		w.carried(-k)
		if p.queue.more() {
			w.ready(p)
		}
	}
}

// carried tells a virtual clock how many packets are in queues or with a
// worker: it waits for them.
func (w *wire) carried(n int) {
	c := w.net.cfg.Clock
	if c == nil {
		return
	}
	w.pmu.Lock()
	defer w.pmu.Unlock()
	if !w.stopped {
		w.pending += n
		c.busy.Add(int64(n))
	}
}

// uncarry gives up the packets that nobody will take from the queues any more.
func (w *wire) uncarry() {
	w.pmu.Lock()
	defer w.pmu.Unlock()
	w.stopped = true
	if c := w.net.cfg.Clock; c != nil {
		c.busy.Add(-int64(w.pending))
	}
}

// queue is a port's bounded line of frames.
type queue struct {
	mu     sync.Mutex
	ring   []*frame
	first  int
	n      int
	active bool // waits for a worker or is with one
}

// put appends f and says whether there was room, and whether the port now
// needs a worker.
func (q *queue) put(f *frame, limit int) (ok, wake bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n >= limit {
		return false, false
	}
	if q.n == len(q.ring) {
		grown := make([]*frame, max(8, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = q.ring[(q.first+i)%len(q.ring)]
		}
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.n)%len(q.ring)] = f
	q.n++
	wake = !q.active
	q.active = true
	return true, wake
}

func (q *queue) take(into []*frame) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := min(q.n, len(into))
	for i := range k {
		into[i] = q.ring[q.first]
		q.ring[q.first] = nil
		q.first = (q.first + 1) % len(q.ring)
	}
	q.n -= k
	return k
}

// more says whether frames wait; if none does, the port leaves its worker.
func (q *queue) more() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n > 0 {
		return true
	}
	q.active = false
	if len(q.ring) > 64 {
		q.ring, q.first = nil, 0
	}
	return false
}

// maxSlow bounds what is on slow links at one time.
const maxSlow = 1 << 16

// slowLine holds the frames that are on their way over links with a delay.
type slowLine struct {
	wire *wire
	mu   sync.Mutex
	seq  uint64
	heap slowHeap
	stop func() bool
	at   time.Time // when the timer is set for
	end  bool
}

type slowFrame struct {
	f   *frame
	at  time.Time
	seq uint64
}

// add lets f arrive at the instant at; false: too many are under way.
func (s *slowLine) add(f *frame, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end || len(s.heap) >= maxSlow {
		return false
	}
	s.seq++
	heap.Push(&s.heap, slowFrame{f: f, at: at, seq: s.seq})
	s.arm()
	return true
}

// arm sets the timer for the first arrival. The caller holds mu.
func (s *slowLine) arm() {
	if len(s.heap) == 0 || s.end {
		return
	}
	first := s.heap[0].at
	if s.stop != nil && !first.Before(s.at) {
		return
	}
	if s.stop != nil {
		s.stop()
	}
	s.at = first
	s.stop = s.wire.net.clk.AfterFunc(first.Sub(s.wire.net.clk.Now()), s.arrive)
}

func (s *slowLine) arrive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = nil
	now := s.wire.net.clk.Now()
	for len(s.heap) > 0 && !s.heap[0].at.After(now) {
		x := heap.Pop(&s.heap).(slowFrame)
		x.f.to.enqueue(x.f)
	}
	s.arm()
}

func (s *slowLine) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = true
	if s.stop != nil {
		s.stop()
	}
	for _, x := range s.heap {
		x.f.release()
	}
	s.heap = nil
}

type slowHeap []slowFrame

func (h slowHeap) Len() int { return len(h) }

func (h slowHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}

func (h slowHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *slowHeap) Push(x any) { *h = append(*h, x.(slowFrame)) }

func (h *slowHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = slowFrame{}
	*h = old[:len(old)-1]
	return x
}
