package vnet

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// packetConn is a net.PacketConn for UDP on a host.
type packetConn struct {
	net   *Network
	host  *Host
	proto tcpip.NetworkProtocolNumber
	addr  netip.AddrPort

	mu          sync.Mutex
	ep          tcpip.Endpoint
	wq          waiter.Queue
	err         error
	ready       chan struct{}
	closed      chan struct{}
	once        sync.Once
	stop        func() bool
	read, write deadline
}

// ListenPacket serves UDP on port, on all the host's addresses; port 0 takes a
// free one. It ends with ctx or Close.
func (h *Host) ListenPacket(ctx context.Context, port uint16) (net.PacketConn, error) {
	c := &packetConn{net: h.net, host: h, proto: h.proto(), ready: make(chan struct{}), closed: make(chan struct{}), read: newDeadline(), write: newDeadline()}
	key, err := h.add(c, sockKey{udp.ProtocolNumber, port})
	if err != nil {
		return nil, fmt.Errorf("listen on %s udp port %d: %w", h.cfg.Name, port, err)
	}
	c.addr = netip.AddrPortFrom(h.cfg.Addrs[0], key.port)
	c.stop = context.AfterFunc(ctx, c.shut)
	return c, nil
}

func (c *packetConn) bind(s *stack.Stack, key sockKey) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ep, err := s.NewEndpoint(udp.ProtocolNumber, c.proto, &c.wq)
	if err == nil {
		if err = ep.Bind(tcpip.FullAddress{Port: key.port}); err != nil {
			ep.Close()
		}
	}
	c.err = stackError(err)
	close(c.ready)
	if err != nil {
		return c.err
	}
	select {
	case <-c.closed:
		ep.Close()
	default:
		c.ep = ep
	}
	return nil
}

// endpoint waits for the socket to be bound.
func (c *packetConn) endpoint(d *deadline) (tcpip.Endpoint, error) {
	select {
	case <-c.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case <-d.passed():
		return nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case <-c.ready:
	case <-c.closed:
		return nil, net.ErrClosed
	case <-d.passed():
		return nil, os.ErrDeadlineExceeded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if c.ep == nil {
		return nil, net.ErrClosed
	}
	return c.ep, nil
}

// ReadFrom reads one datagram; what does not fit into b is lost.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.readFrom(b)
	if err != nil {
		return 0, nil, &net.OpError{Op: "read", Net: "udp", Source: c.LocalAddr(), Err: err}
	}
	return n, udpAddr(from), nil
}

func (c *packetConn) readFrom(b []byte) (int, netip.AddrPort, error) {
	ep, err := c.endpoint(&c.read)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	var entry waiter.Entry
	var ready chan struct{}
	for {
		w := tcpip.SliceWriter(b)
		res, terr := ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		if terr == nil {
			return res.Count, fromStack(res.RemoteAddr), nil
		}
		if _, ok := terr.(*tcpip.ErrWouldBlock); !ok {
			return 0, netip.AddrPort{}, stackError(terr)
		}
		if ready == nil {
			entry, ready = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
			c.wq.EventRegister(&entry)
			defer c.wq.EventUnregister(&entry)
			continue
		}
		select {
		case <-ready:
		case <-c.closed:
			return 0, netip.AddrPort{}, net.ErrClosed
		case <-c.read.passed():
			return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
		}
	}
}

// WriteTo sends one datagram to to, a *net.UDPAddr.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := c.writeTo(b, to)
	if err != nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Source: c.LocalAddr(), Addr: to, Err: err}
	}
	return n, nil
}

func (c *packetConn) writeTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("address %v is no UDP address", to)
	}
	if _, _, err := c.host.touch(); err != nil {
		return 0, err
	}
	ep, err := c.endpoint(&c.write)
	if err != nil {
		return 0, err
	}
	ap := a.AddrPort()
	dst := full(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
	n, terr := ep.Write(bytes.NewReader(b), tcpip.WriteOptions{To: &dst})
	if terr != nil {
		return 0, stackError(terr)
	}
	return int(n), nil
}

// Close ends the socket.
func (c *packetConn) Close() error {
	if c.stop != nil {
		c.stop()
	}
	c.shut()
	return nil
}

func (c *packetConn) shut() {
	c.once.Do(func() {
		c.mu.Lock()
		close(c.closed)
		ep := c.ep
		c.mu.Unlock()
		if ep != nil {
			ep.Close()
		}
		c.host.remove(c)
	})
}

// LocalAddr is the host's first address with the socket's port.
func (c *packetConn) LocalAddr() net.Addr { return udpAddr(c.addr) }

// SetDeadline sets both deadlines; see the package's notes on time.
func (c *packetConn) SetDeadline(t time.Time) error {
	c.read.set(c.net, t)
	c.write.set(c.net, t)
	return nil
}

// SetReadDeadline sets the deadline of ReadFrom.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.read.set(c.net, t)
	return nil
}

// SetWriteDeadline sets the deadline of WriteTo.
func (c *packetConn) SetWriteDeadline(t time.Time) error {
	c.write.set(c.net, t)
	return nil
}
