package vnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog is how many connections may wait for Accept, as Linux has it.
const backlog = 4096

// listener is a net.Listener on a host or field. It binds when the stack
// comes, and costs almost nothing before.
type listener struct {
	net   *Network
	owner interface{ remove(k sock) }
	proto tcpip.NetworkProtocolNumber
	addr  netip.AddrPort // shown by Addr

	mu     sync.Mutex
	ep     tcpip.Endpoint
	wq     waiter.Queue
	err    error
	ready  chan struct{} // closed when ep or err is there
	closed chan struct{}
	once   sync.Once
	stop   func() bool // of the context
}

// Listen serves TCP on port, on all the host's addresses. The listener ends
// with ctx or Close.
func (h *Host) Listen(ctx context.Context, port uint16) (net.Listener, error) {
	l := &listener{net: h.net, owner: h, proto: h.proto(), ready: make(chan struct{}), closed: make(chan struct{})}
	key, err := h.add(l, sockKey{tcp.ProtocolNumber, port})
	if err != nil {
		return nil, fmt.Errorf("listen on %s port %d: %w", h.cfg.Name, port, err)
	}
	l.addr = netip.AddrPortFrom(h.cfg.Addrs[0], key.port)
	l.stop = context.AfterFunc(ctx, l.shut)
	return l, nil
}

// bind makes the endpoint on the stack that came to be.
func (l *listener) bind(s *stack.Stack, key sockKey) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep, err := s.NewEndpoint(tcp.ProtocolNumber, l.proto, &l.wq)
	if err != nil {
		return l.bound(stackError(err))
	}
	ep.SocketOptions().SetReuseAddress(true) // as servers do, to start again while old connections fade
	if err = ep.Bind(tcpip.FullAddress{Port: key.port}); err == nil {
		err = ep.Listen(backlog)
	}
	if err != nil {
		ep.Close()
		return l.bound(stackError(err))
	}
	select {
	case <-l.closed:
		ep.Close()
	default:
		l.ep = ep
	}
	return l.bound(nil)
}

// bound tells those who wait in Accept how bind went.
func (l *listener) bound(err error) error {
	l.err = err
	close(l.ready)
	return err
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: err}
	}
	return c, nil
}

func (l *listener) accept() (net.Conn, error) {
	select {
	case <-l.ready:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	l.mu.Lock()
	ep, err := l.ep, l.err
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if ep == nil {
		return nil, net.ErrClosed
	}
	var entry waiter.Entry
	var ready chan struct{}
	for {
		conn, wq, terr := ep.Accept(nil)
		if terr == nil {
			return newConn(l.net, "tcp", conn, wq), nil
		}
		if _, ok := terr.(*tcpip.ErrWouldBlock); !ok {
			return nil, stackError(terr)
		}
		if ready == nil {
			entry, ready = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
			l.wq.EventRegister(&entry)
			defer l.wq.EventUnregister(&entry)
			continue
		}
		select {
		case <-ready:
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// Addr is where the listener listens: the first of the host's addresses.
func (l *listener) Addr() net.Addr { return tcpAddr(l.addr) }

// Close ends the listener; connections go on.
func (l *listener) Close() error {
	if l.stop != nil {
		l.stop()
	}
	l.shut()
	return nil
}

func (l *listener) shut() {
	l.once.Do(func() {
		l.mu.Lock()
		close(l.closed)
		ep := l.ep
		l.mu.Unlock()
		if ep != nil {
			ep.Close()
		}
		l.owner.remove(l)
	})
}
