package telnetd

import (
	"io"
	"net"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

const maxHeld = 64 << 10 // bytes of output that wait for the visitor

// outbox sends what the terminal shows. Its own goroutine writes, so that
// what is echoed byte by byte leaves in whole pieces; a full outbox makes the
// programs wait.
type outbox struct {
	conn io.Writer
	mu   sync.Mutex
	cond sync.Cond
	buf  []byte
	err  error
	done bool
	busy bool // run is sending what it took
	over chan struct{}

	record func([]byte)
	budget *kernel.Budget
}

func newOutbox(conn io.Writer) *outbox {
	o := &outbox{conn: conn, over: make(chan struct{})}
	o.cond.L = &o.mu
	return o
}

// follow records and charges what is shown from now on.
func (o *outbox) follow(record func([]byte), b *kernel.Budget) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.record, o.budget = record, b
}

// Write waits while the outbox is full.
func (o *outbox) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) >= maxHeld && o.err == nil && !o.done {
		o.cond.Wait()
	}
	if o.err != nil {
		return 0, o.err
	}
	if o.done {
		return 0, net.ErrClosed
	}
	if o.budget != nil {
		if err := o.budget.Output(int64(len(b))); err != nil {
			return 0, err
		}
	}
	o.buf = append(o.buf, b...)
	o.cond.Broadcast()
	return len(b), nil
}

// run sends until finish, then what is left.
func (o *outbox) run() {
	defer close(o.over)
	for {
		o.mu.Lock()
		for len(o.buf) == 0 && !o.done {
			o.cond.Wait()
		}
		b, record := o.buf, o.record
		o.buf, o.busy = nil, true
		o.mu.Unlock()
		if len(b) == 0 {
			return
		}
		if record != nil {
			record(b)
		}
		_, err := o.conn.Write(escape(b))
		o.mu.Lock()
		o.busy = false
		if err != nil {
			o.err, o.buf, o.done = err, nil, true
		}
		o.mu.Unlock()
		o.cond.Broadcast()
	}
}

// finish lets run send what is left and end.
func (o *outbox) finish() {
	o.mu.Lock()
	o.done = true
	o.mu.Unlock()
	o.cond.Broadcast()
}

// flush waits until everything shown was sent or cannot be.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for (len(o.buf) > 0 || o.busy) && o.err == nil {
		o.cond.Wait()
	}
}

// drained waits for the end of run.
func (o *outbox) drained() { <-o.over }
