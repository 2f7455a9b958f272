package decoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// Limits bound what strangers use up. Zero takes the default in brackets.
type Limits struct {
	PerSource int           // connections at once of one IPv4 address or IPv6 /64 (32)
	Total     int           // connections at once in all (2,000)
	Session   time.Duration // longest connection (4 h)
	Idle      time.Duration // longest silence in one (15 min)
	Bytes     int64         // read from one connection (1 GiB)
}

// Gate counts open connections over all Servers of a process.
type Gate struct {
	l      Limits
	mu     sync.Mutex
	total  int
	source map[string]int
}

// NewGate fills in the defaults.
func NewGate(l Limits) *Gate {
	if l.PerSource == 0 {
		l.PerSource = 32
	}
	if l.Total == 0 {
		l.Total = 2000
	}
	if l.Session == 0 {
		l.Session = 4 * time.Hour
	}
	if l.Idle == 0 {
		l.Idle = 15 * time.Minute
	}
	if l.Bytes == 0 {
		l.Bytes = 1 << 30
	}
	return &Gate{l: l, source: map[string]int{}}
}

// enter takes a place; why names the limit that is reached.
func (g *Gate) enter(key string) (why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.total >= g.l.Total:
		return "total connections"
	case g.source[key] >= g.l.PerSource:
		return "connections per source"
	}
	g.total++
	g.source[key]++
	return ""
}

func (g *Gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.source[key]--; g.source[key] <= 0 {
		delete(g.source, key)
	}
}

// ServerConfig is what Serve takes.
type ServerConfig struct {
	Name    string // type of the decoy
	Proto   string
	LogType int // OpenCanary's number of a connection, 0 = none
	Host    *host.Host
	Decoy   Decoy
	Gate    *Gate
	Clock   clock.Clock
	IDs     *event.IDs
	Rec     Recorder
	Log     *slog.Logger
}

// Serve accepts on ln until ctx ends and waits for the visitors to leave, at
// most grace; then it closes their connections.
func Serve(ctx context.Context, ln net.Listener, c ServerConfig, grace time.Duration) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // ends Accept
	defer stop()
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
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		if err != nil { // out of descriptors and the like: it passes
			c.Log.Warn("a connection could not be accepted", "decoy", c.Name, "error", err)
			if c.Clock.Sleep(ctx, wait) != nil {
				return nil
			}
			wait = min(2*wait, time.Second)
			continue
		}
		wait = 5 * time.Millisecond
		wg.Go(func() { c.visit(ctx, conn, grace) })
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// visit serves one connection. Its goroutine waits as long as the visitor
// stays, many of them at once: what it needs only at the beginning is in
// functions of its own, whose frames do not wait with it.
func (c *ServerConfig) visit(ctx context.Context, conn net.Conn, grace time.Duration) {
	s := c.session(conn)
	defer s.Wait()
	defer conn.Close() //nolint:errcheck // may be closed already
	// Events must leave even when the process is about to stop.
	last := context.WithoutCancel(ctx)
	key := host.Key(s.Source.Addr())
	if why := c.Gate.enter(key); why != "" {
		c.refused(last, s, why)
		return
	}
	defer c.Gate.leave(key)
	lc := c.limited(s, conn)
	c.opened(last, s)
	ctx, end := c.bound(ctx, conn, grace)
	defer end()
	err := c.guarded(ctx, s)
	c.closed(last, s, lc, err)
}

func (c *ServerConfig) session(conn net.Conn) *Session {
	return &Session{
		ID: c.IDs.New(), Source: addrPort(conn.RemoteAddr()), Local: addrPort(conn.LocalAddr()), Start: c.Clock.Now(),
		Name: c.Name, Proto: c.Proto, Host: c.Host, Clock: c.Clock, IDs: c.IDs, Rec: c.Rec,
	}
}

// limited gives s its connection, with limits.
func (c *ServerConfig) limited(s *Session, conn net.Conn) *limitedConn {
	lc := &limitedConn{Conn: conn, clock: c.Clock, idle: c.Gate.l.Idle, left: c.Gate.l.Bytes, until: s.Start.Add(c.Gate.l.Session)}
	s.Conn = lc
	return lc
}

// bound ends the context of a visit when its time is over, and closes its
// connection grace after that.
func (c *ServerConfig) bound(ctx context.Context, conn net.Conn, grace time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := c.Clock.AfterFunc(c.Gate.l.Session, cancel)
	closed := context.AfterFunc(ctx, func() {
		c.Clock.AfterFunc(grace, func() { conn.Close() }) //nolint:errcheck // ends the visit
	})
	return ctx, func() {
		closed()
		over()
		cancel()
	}
}

func (c *ServerConfig) refused(ctx context.Context, s *Session, why string) {
	e := s.Event(event.ActionConnectionRefused)
	e.Reason, e.Depth = why, event.DepthTouch
	s.Post(ctx, e)
}

// limits tells which limits ended the connection.
func (c *ServerConfig) limits(ctx context.Context, s *Session, lc *limitedConn) {
	for what, reached := range map[string]bool{"bytes of one connection": lc.spent.Load(), "length of one connection": !c.Clock.Now().Before(lc.until)} {
		if reached {
			e := s.Event(event.ActionLimitReached)
			e.Reason, e.Depth = what, event.DepthTouch
			s.Post(ctx, e)
		}
	}
}

func (c *ServerConfig) opened(ctx context.Context, s *Session) {
	e := s.Event(event.ActionConnectionOpened)
	e.Depth, e.LogType = event.DepthTouch, c.LogType
	s.Post(ctx, e)
}

func (c *ServerConfig) closed(ctx context.Context, s *Session, lc *limitedConn, err error) {
	c.limits(ctx, s, lc)
	e := s.Event(event.ActionConnectionClosed)
	e.Depth = event.DepthTouch
	e.AddInt("event.duration", int64(c.Clock.Now().Sub(s.Start)))
	e.AddInt("source.bytes", lc.in.Load())
	e.AddInt("destination.bytes", lc.out.Load())
	if err != nil {
		e.Reason = clip(err.Error(), 300)
	}
	s.Post(ctx, e)
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

// guarded turns a panic of a decoy into an error of this connection alone.
func (c *ServerConfig) guarded(ctx context.Context, s *Session) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.Log.Error("a decoy failed on a connection", "decoy", c.Name, "panic", fmt.Sprint(r))
			err = errors.New("internal error")
		}
	}()
	return c.Decoy.Serve(ctx, s)
}

// limitedConn reads with a limit of bytes and deadlines.
type limitedConn struct {
	net.Conn
	clock   clock.Clock
	idle    time.Duration
	until   time.Time
	left    int64
	spent   atomic.Bool // left is used up and more was asked for
	in, out atomic.Int64

	reads, writes time.Time // the deadlines that are set; each belongs to who reads, who writes
}

// again sets a deadline, unless the last one is as good within slack.
func again(last *time.Time, t time.Time, slack time.Duration, set func(time.Time) error) error {
	if d := t.Sub(*last); d >= 0 && d < slack {
		return nil
	}
	*last = t
	return set(t)
}

func (c *limitedConn) deadline() time.Time {
	d := c.clock.Now().Add(c.idle)
	if d.After(c.until) {
		return c.until
	}
	return d
}

// Read fails with io.EOF when the visitor has sent as much as one may.
func (c *limitedConn) Read(b []byte) (int, error) {
	if err := c.mayRead(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

func (c *limitedConn) mayRead() error {
	if c.in.Load() >= c.left {
		c.spent.Store(true)
		return io.EOF
	}
	return again(&c.reads, c.deadline(), c.idle/64, c.SetReadDeadline)
}

// Reset makes the close a reset, as a close with unread data is.
func (c *limitedConn) Reset() {
	if t, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		t.SetLinger(0) //nolint:errcheck // then it is an ordinary close
	}
}

// CloseWrite tells the visitor that nothing more comes, while he may still send.
func (c *limitedConn) CloseWrite() error {
	if t, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return nil
}

// Write waits at most a minute for a visitor who does not read.
func (c *limitedConn) Write(b []byte) (int, error) {
	if err := again(&c.writes, c.clock.Now().Add(time.Minute), time.Second, c.SetWriteDeadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}
