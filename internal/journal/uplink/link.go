package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// link is one live connection to the hub.
type link struct {
	conn    net.Conn
	timeout time.Duration
	dead    chan struct{} // closed when the connection is gone

	wmu  sync.Mutex
	wbuf []byte

	mu      sync.Mutex
	next    uint64
	pending map[uint64]chan reply
	closed  bool
}

type reply struct {
	data []byte
	err  error
}

func newLink(conn net.Conn, timeout time.Duration) *link {
	return &link{conn: conn, timeout: timeout, dead: make(chan struct{}), pending: map[uint64]chan reply{}}
}

// close ends the link and everything that waits on it with ErrAway.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.dead)
	l.conn.Close() //nolint:errcheck // it is given up
	for _, ch := range l.pending {
		ch <- reply{err: ErrAway}
	}
	l.pending = nil
}

// read hands answers to those who wait, until the connection ends.
func (l *link) read() error {
	defer l.close()
	in := frameReader{r: l.conn}
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		r := reply{}
		switch {
		case f.kind == kindAck:
			r.data = bytes.Clone(f.payload)
		case f.kind == kindNak && len(f.payload) > 0:
			r.err = &RefusedError{Code: Code(f.payload[0]), Text: string(f.payload[1:])}
		default:
			return fmt.Errorf("%w: unexpected kind %d from the hub", ErrProtocol, f.kind)
		}
		l.mu.Lock()
		ch := l.pending[f.id]
		delete(l.pending, f.id)
		l.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
}

// id is a fresh request id.
func (l *link) id() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

// call sends one frame and waits for its answer. An error that is ErrAway
// says that the answer is unknown.
func (l *link) call(k kind, id uint64, parts ...[]byte) ([]byte, error) {
	ch := make(chan reply, 1)
	l.mu.Lock()
	if l.closed || l.pending[id] != nil {
		l.mu.Unlock()
		return nil, ErrAway
	}
	l.pending[id] = ch
	l.mu.Unlock()
	if err := l.write(k, id, parts); err != nil {
		l.close()
	}
	t := time.NewTimer(l.timeout)
	defer t.Stop()
	select {
	case r := <-ch:
		return r.data, r.err
	case <-t.C:
		l.close()
		r := <-ch
		return r.data, r.err
	}
}

func (l *link) write(k kind, id uint64, parts [][]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > MaxPayload {
		return ErrTooLarge
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.wbuf = appendFrame(l.wbuf[:0], k, id, n)
	for _, p := range parts {
		l.wbuf = append(l.wbuf, p...)
	}
	l.conn.SetWriteDeadline(time.Now().Add(l.timeout)) //nolint:errcheck // seen by the write
	_, err := l.conn.Write(l.wbuf)
	if cap(l.wbuf) > 256<<10 {
		l.wbuf = nil
	}
	return err
}

func (l *link) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

func away(err error) bool { return errors.Is(err, ErrAway) }
