package vnet

import (
	"errors"
	"net"
	"sync"
)

// manyListener is one listener in front of several.
type manyListener struct {
	list   []net.Listener
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

func (m *manyListener) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		select {
		case m.conns <- c:
		case <-m.closed:
			_ = c.Close()
			return
		}
	}
}

// Accept waits for the next connection on any of them.
func (m *manyListener) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: m.Addr(), Err: net.ErrClosed}
	}
}

// Close ends all of them.
func (m *manyListener) Close() error {
	m.once.Do(func() {
		close(m.closed)
		for _, l := range m.list {
			_ = l.Close()
		}
		m.wg.Wait()
	})
	return nil
}

// Addr is the first one's.
func (m *manyListener) Addr() net.Addr { return m.list[0].Addr() }
