package sshd

import (
	"io"
	"sync"
)

// maxHeld is how many bytes are held back at most.
const maxHeld = 16 << 10

// outbox sends packets that follow at once upon each other in one segment, as
// sshd does, which fills a buffer and writes it when nothing more is to do.
type outbox struct {
	w io.Writer

	mu   sync.Mutex
	held bool
	buf  []byte
	err  error // of a write whose caller had gone on
}

// hold makes writes wait for release.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

// release sends what waits. The error is that of this write or of one before.
func (o *outbox) release() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
	o.flush()
	return o.err
}

// last is release, but does not wait for a write that goes on: the connection
// is about to be closed, which ends it.
func (o *outbox) last() {
	if o.mu.TryLock() {
		defer o.mu.Unlock()
		o.flush()
	}
}

func (o *outbox) flush() {
	if len(o.buf) > 0 && o.err == nil {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = nil
}

func (o *outbox) write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if !o.held {
		return o.w.Write(b)
	}
	o.buf = append(o.buf, b...)
	if len(o.buf) > maxHeld {
		o.flush()
	}
	return len(b), o.err
}
