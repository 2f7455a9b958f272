package vnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Conn is a TCP connection, or a UDP socket that is joined to one peer. It
// has CloseWrite and CloseRead as *net.TCPConn has them.
type Conn struct {
	net           *Network
	network       string // "tcp" or "udp"
	ep            tcpip.Endpoint
	wq            *waiter.Queue
	local, remote netip.AddrPort
	label         string

	read, write deadline
	readMu      sync.Mutex
	closeOnce   sync.Once
	closed      chan struct{}
}

var _ net.Conn = (*Conn)(nil)

func newConn(n *Network, network string, ep tcpip.Endpoint, wq *waiter.Queue) *Conn {
	c := &Conn{net: n, network: network, ep: ep, wq: wq, closed: make(chan struct{}), read: newDeadline(), write: newDeadline()}
	if a, err := ep.GetLocalAddress(); err == nil {
		c.local = fromStack(a)
	}
	if a, err := ep.GetRemoteAddress(); err == nil {
		c.remote = fromStack(a)
	}
	return c
}

// Label is the ground truth that the connection was dialled with, "" without.
func (c *Conn) Label() string { return c.label }

// wait blocks until ready gets something, d passes or the connection closes.
func (c *Conn) wait(ready <-chan struct{}, d *deadline) error {
	select {
	case <-ready:
		return nil
	case <-d.passed():
		return os.ErrDeadlineExceeded
	case <-c.closed:
		return net.ErrClosed
	}
}

// check says whether the connection may be used at all.
func (c *Conn) check(d *deadline) error {
	select {
	case <-c.closed:
		return net.ErrClosed
	default:
	}
	select {
	case <-d.passed():
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

// Read reads what the peer sent; io.EOF after its FIN.
func (c *Conn) Read(b []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if err := c.check(&c.read); err != nil {
		return 0, c.fail("read", err)
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.readOnce(b)
	if err == nil {
		if c.network == "tcp" {
			c.ep.ModerateRecvBuf(n)
		}
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, c.fail("read", err)
}

func (c *Conn) readOnce(b []byte) (int, error) {
	var entry waiter.Entry
	var ready chan struct{}
	for {
		w := tcpip.SliceWriter(b)
		res, err := c.ep.Read(&w, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			return res.Count, nil
		case *tcpip.ErrClosedForReceive:
			return 0, io.EOF
		case *tcpip.ErrWouldBlock:
		default:
			return 0, stackError(err)
		}
		if ready == nil { // look once more after registering
			entry, ready = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
			c.wq.EventRegister(&entry)
			defer c.wq.EventUnregister(&entry)
			continue
		}
		if err := c.wait(ready, &c.read); err != nil {
			return 0, err
		}
	}
}

// Write sends b, waiting for room as long as the write deadline allows.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.check(&c.write); err != nil {
		return 0, c.fail("write", err)
	}
	n, err := c.writeAll(b)
	if err != nil {
		return n, c.fail("write", err)
	}
	return n, nil
}

func (c *Conn) writeAll(b []byte) (int, error) {
	var entry waiter.Entry
	var ready chan struct{}
	var r bytes.Reader
	done := 0
	for {
		r.Reset(b[done:])
		k, err := c.ep.Write(&r, tcpip.WriteOptions{})
		done += int(k)
		switch err.(type) {
		case nil:
			if done >= len(b) || c.network == "udp" {
				return done, nil
			}
			continue
		case *tcpip.ErrWouldBlock:
		default:
			return done, stackError(err)
		}
		if ready == nil {
			entry, ready = waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
			c.wq.EventRegister(&entry)
			defer c.wq.EventUnregister(&entry)
			continue
		}
		if err := c.wait(ready, &c.write); err != nil {
			return done, err
		}
	}
}

// Close ends the connection. What was written is still sent; what the peer
// sends from now on is answered with RST.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		err = nil
		close(c.closed)
		c.ep.Close()
		c.read.set(c.net, time.Time{})
		c.write.set(c.net, time.Time{})
	})
	if err != nil {
		return c.fail("close", err)
	}
	return nil
}

// CloseWrite sends FIN; reading goes on.
func (c *Conn) CloseWrite() error { return c.shutdown(tcpip.ShutdownWrite) }

// CloseRead ends reading.
func (c *Conn) CloseRead() error { return c.shutdown(tcpip.ShutdownRead) }

func (c *Conn) shutdown(how tcpip.ShutdownFlags) error {
	if err := c.ep.Shutdown(how); err != nil {
		return c.fail("shutdown", stackError(err))
	}
	return nil
}

// SetLinger with 0 makes Close send RST, as (*net.TCPConn).SetLinger does.
func (c *Conn) SetLinger(sec int) error {
	c.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: sec >= 0, Timeout: time.Duration(max(sec, 0)) * time.Second})
	return nil
}

// LocalAddr is this end: *net.TCPAddr or *net.UDPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.addr(c.local) }

// RemoteAddr is the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.addr(c.remote) }

func (c *Conn) addr(a netip.AddrPort) net.Addr {
	if c.network == "udp" {
		return udpAddr(a)
	}
	return tcpAddr(a)
}

// SetDeadline sets both deadlines; see the package's notes on time.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.read.set(c.net, t)
	return nil
}

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.write.set(c.net, t)
	return nil
}

func (c *Conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
