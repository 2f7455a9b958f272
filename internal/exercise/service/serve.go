package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// Longest line of a protocol that speaks in lines, in bytes.
const maxLine = 4096

// errMalformed ends a connection whose bytes are not the protocol's.
var errMalformed = errors.New("malformed input")

// visit is one connection, or one datagram.
type visit struct {
	*Server
	ctx      context.Context //nolint:containedctx // of the connection
	conn     *meter          // nil of a datagram
	r        *bufio.Reader
	w        io.Writer
	src, dst netip.AddrPort
	id       string
	start    time.Time
}

// meter is a connection with a limit of bytes and deadlines by the clock.
type meter struct {
	net.Conn
	s     *Server
	until time.Time
	left  int64
	out   int64
}

// Read fails with io.EOF when the visitor has sent as much as one may.
func (m *meter) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, io.EOF
	}
	d := m.s.c.Host.c.Clock.Now().Add(m.s.c.Limits.Idle)
	if d.After(m.until) {
		d = m.until
	}
	if err := m.SetReadDeadline(d); err != nil {
		return 0, err
	}
	n, err := m.Conn.Read(b[:min(int64(len(b)), m.left)])
	m.left -= int64(n)
	return n, err
}

// Write waits at most a minute for a visitor who does not read.
func (m *meter) Write(b []byte) (int, error) {
	if err := m.SetWriteDeadline(m.s.c.Host.c.Clock.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	n, err := m.Conn.Write(b)
	m.out += int64(n)
	return n, err
}

// lingerTime is how long what still comes is read and forgotten.
const lingerTime = 5 * time.Second

// linger lets a visitor who still sends read the last words: closing at once
// would reset the connection.
func (m *meter) linger() {
	half, ok := m.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if until := m.s.c.Host.c.Clock.Now().Add(lingerTime); until.Before(m.until) {
		m.until = until
	}
	io.Copy(io.Discard, m) //nolint:errcheck // nobody asks
}

// line reads one line without its end.
func (v *visit) line() (string, error) {
	l, err := v.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("a line longer than %d bytes: %w", maxLine, errMalformed)
	}
	if err != nil {
		return "", err
	}
	n := len(l) - 1
	if n > 0 && l[n-1] == '\r' {
		n--
	}
	return string(l[:n]), nil
}

// say writes a line.
func (v *visit) say(format string, args ...any) error {
	_, err := fmt.Fprintf(v.w, format+"\r\n", args...)
	return err
}

// send writes bytes.
func (v *visit) send(b []byte) error {
	_, err := v.w.Write(b)
	return err
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch t := a.(type) {
	case *net.TCPAddr:
		ap = t.AddrPort()
	case *net.UDPAddr:
		ap = t.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// places counts connections.
type places struct {
	mu     sync.Mutex
	total  int
	source map[netip.Addr]int
}

func (p *places) enter(l Limits, a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= l.Total || p.source[a] >= l.PerSource {
		return false
	}
	p.total++
	p.source[a]++
	return true
}

func (p *places) leave(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.source[a]--; p.source[a] <= 0 {
		delete(p.source, a)
	}
}

// accept serves an ordinary protocol.
func (s *Server) accept(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // ends Accept
	defer stop()
	at := &places{source: map[netip.Addr]int{}}
	wait := 5 * time.Millisecond
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close() //nolint:errcheck // too late
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept %s on %s: %w", s.kind.Name, ln.Addr(), err)
		}
		if err != nil { // out of buffers and the like: it passes
			if s.c.Host.c.Clock.Sleep(ctx, wait) != nil {
				return nil
			}
			wait = min(2*wait, time.Second)
			continue
		}
		wait = 5 * time.Millisecond
		src := addrPort(conn.RemoteAddr()).Addr()
		if !at.enter(s.c.Limits, src) {
			s.stats.refused.Add(1)
			conn.Close() //nolint:errcheck // refused
			continue
		}
		wg.Go(func() {
			defer at.leave(src)
			s.visit(ctx, conn)
		})
	}
}

// visit serves one connection.
func (s *Server) visit(ctx context.Context, conn net.Conn) {
	defer conn.Close()                                      //nolint:errcheck // may be closed already
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // ends the visit
	defer stop()
	s.stats.connections.Add(1)
	now := s.c.Host.c.Clock.Now()
	m := &meter{Conn: conn, s: s, until: now.Add(s.c.Limits.Session), left: s.c.Limits.Bytes}
	v := &visit{
		Server: s, ctx: context.WithoutCancel(ctx), conn: m, r: bufio.NewReaderSize(m, maxLine), w: m, start: now,
		src: addrPort(conn.RemoteAddr()), dst: addrPort(conn.LocalAddr()), id: s.c.Host.ids.New(),
	}
	if s.decoy {
		e := v.event(event.ActionConnectionOpened)
		e.Depth, e.LogType = event.DepthTouch, s.kind.decoy.opened
		v.emit(e)
	}
	err := v.guarded()
	if errors.Is(err, wire.ErrMalformed) {
		err = fmt.Errorf("%w: %w", err, errMalformed)
	}
	if errors.Is(err, errMalformed) {
		s.stats.failed.Add(1)
		m.linger()
	}
	if s.decoy {
		v.left(err)
	}
}

// left tells of the end of a connection to a decoy.
func (v *visit) left(err error) {
	if errors.Is(err, errMalformed) {
		e := v.event(event.ActionProtocolError)
		e.Reason, e.Depth = clip(err.Error(), 300), event.DepthTry
		v.emit(e)
	}
	e := v.event(event.ActionConnectionClosed)
	e.Depth = event.DepthTouch
	e.AddInt("event.duration", int64(v.c.Host.c.Clock.Now().Sub(v.start)))
	e.AddInt("source.bytes", v.c.Limits.Bytes-v.conn.left)
	e.AddInt("destination.bytes", v.conn.out)
	v.emit(e)
}

// guarded turns a panic into an error of this connection alone.
func (v *visit) guarded() (err error) {
	defer func() {
		if r := recover(); r != nil {
			v.stats.failed.Add(1)
			v.c.Host.c.Log.Error("a service of the range failed on a connection", "service", v.kind.Name, "host", v.c.Host.Name(), "panic", fmt.Sprint(r))
			err = errors.New("internal error")
		}
	}()
	return v.kind.stream(v)
}

// ServePacket answers datagrams on pc until ctx ends. It closes pc.
func (s *Server) ServePacket(ctx context.Context, pc net.PacketConn) error {
	if s.kind.packet == nil {
		return fmt.Errorf("serve %s on UDP: %w", s.kind.Name, ErrTransport)
	}
	stop := context.AfterFunc(ctx, func() { pc.Close() }) //nolint:errcheck // ends ReadFrom
	defer stop()
	buf := make([]byte, 2048)
	for {
		n, from, err := pc.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("read %s on %s: %w", s.kind.Name, pc.LocalAddr(), err)
		}
		if err != nil {
			if s.c.Host.c.Clock.Sleep(ctx, time.Second) != nil {
				return nil
			}
			continue
		}
		s.stats.connections.Add(1)
		v := &visit{
			Server: s, ctx: context.WithoutCancel(ctx), start: s.c.Host.c.Clock.Now(),
			src: addrPort(from), dst: addrPort(pc.LocalAddr()), id: s.c.Host.ids.New(),
		}
		if s.c.Host.c.Addr.IsValid() && !v.dst.Addr().IsValid() {
			v.dst = netip.AddrPortFrom(s.c.Host.c.Addr.Addr(), s.c.Port)
		}
		if out := v.answer(buf[:n]); len(out) > 0 {
			pc.WriteTo(out, from) //nolint:errcheck // datagrams may be lost
		}
	}
}

// answer is the reply to one datagram.
func (v *visit) answer(in []byte) (out []byte) {
	defer func() {
		if r := recover(); r != nil {
			v.stats.failed.Add(1)
			v.c.Host.c.Log.Error("a service of the range failed on a datagram", "service", v.kind.Name, "host", v.c.Host.Name(), "panic", fmt.Sprint(r))
			out = nil
		}
	}()
	return v.kind.packet(v, in)
}
