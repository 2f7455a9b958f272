// Package receive takes log records that come over the network: syslog (RFC 5424
// and 3164) as datagrams, over TCP with both framings of RFC 6587 and over TLS
// (RFC 5425), JSON by HTTP, and exports of flows. Everything is bounded and
// counted; nothing is ever answered to a datagram.
package receive

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// Config is what NewSyslog, NewNetflow and NewWebhook take. Zero limits mean the
// defaults.
type Config struct {
	Feed   *feed.Feed
	Format string // of the lines
	TCP    net.Listener
	UDP    net.PacketConn
	TLS    *tls.Config // of TCP; nil: without
	Log    *slog.Logger

	PerSource, Total int // connections at once: 16, 256; a source is an IPv4 address or an IPv6 /64
	Queue            int // messages that wait for the sink, 4096; their bytes are bounded, too
	Rate             int // requests of one source in a second, 50; twice as many at once

	Token []byte // of NewWebhook

	// For tests.
	idle, message, handshake time.Duration
}

const (
	queueBytes  = 16 << 20 // of messages that wait
	maxBatch    = 1024     // lines of one batch
	maxMessage  = 1 << 20  // bytes of a message that is read to its end, though cut
	maxSkip     = 16 << 20 // bytes without a line's end before a connection is closed
	maxSources  = 4096     // whose requests are counted apart
	acceptPause = 100 * time.Millisecond
)

func (c *Config) defaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for p, to := range map[*int]int{&c.PerSource: 16, &c.Total: 256, &c.Queue: 4096, &c.Rate: 50} {
		if *p <= 0 {
			*p = to
		}
	}
	for p, to := range map[*time.Duration]time.Duration{&c.idle: time.Hour, &c.message: 30 * time.Second, &c.handshake: 10 * time.Second} {
		if *p <= 0 {
			*p = to
		}
	}
}

// message is one that was received.
type message struct {
	text     []byte
	peer     string
	received time.Time
	cut      bool
}

// queue holds messages until the sink takes them.
type queue struct {
	ch    chan message
	bytes atomic.Int64
	room  chan struct{} // somebody may look whether there is room again
}

func newQueue(n int) *queue {
	return &queue{ch: make(chan message, n), room: make(chan struct{}, 1)}
}

// offer puts a message into the queue unless that is full.
func (q *queue) offer(m message) bool {
	if q.bytes.Add(int64(len(m.text))) > queueBytes {
		q.bytes.Add(-int64(len(m.text)))
		return false
	}
	select {
	case q.ch <- m:
		return true
	default:
		q.bytes.Add(-int64(len(m.text)))
		return false
	}
}

// put waits for room.
func (q *queue) put(ctx context.Context, m message) error {
	for q.bytes.Add(int64(len(m.text))) > queueBytes {
		q.bytes.Add(-int64(len(m.text)))
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case q.ch <- m:
		q.freed() // whoever else waits may look, too
		return nil
	case <-ctx.Done():
		q.bytes.Add(-int64(len(m.text)))
		return ctx.Err()
	}
}

func (q *queue) freed() {
	select {
	case q.room <- struct{}{}:
	default:
	}
}

// drain hands over what is in the queue, as much at a time as is there, until ctx ends.
func (q *queue) drain(ctx context.Context, f *feed.Feed, format string) {
	var mark [16]byte
	rand.Read(mark[:8])
	lines := make([]line.Line, 0, maxBatch)
	for n := uint64(0); ; {
		lines = lines[:0]
		size := 0
		select {
		case <-ctx.Done():
			return
		case m := <-q.ch:
			for more := true; more; {
				binary.BigEndian.PutUint64(mark[8:], n)
				n++
				lines = append(lines, line.Line{Text: m.text, Format: format, Received: m.received, Peer: m.peer, Cut: m.cut, Mark: mark})
				size += len(m.text)
				if len(lines) == maxBatch {
					break
				}
				select {
				case m = <-q.ch:
				default:
					more = false
				}
			}
		}
		err := f.Give(ctx, lines, nil)
		q.bytes.Add(-int64(size))
		q.freed()
		if err != nil {
			return
		}
	}
}

// source is what connections and requests are counted by.
func source(a net.Addr) netip.Addr {
	var ip netip.Addr
	switch a := a.(type) {
	case *net.TCPAddr:
		ip = a.AddrPort().Addr()
	case *net.UDPAddr:
		ip = a.AddrPort().Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

// gate counts connections.
type gate struct {
	mu    sync.Mutex
	of    map[netip.Addr]int
	total int
	cfg   *Config
}

func (g *gate) enter(who netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.cfg.Total || g.of[who] >= g.cfg.PerSource {
		return false
	}
	g.of[who]++
	g.total++
	return true
}

func (g *gate) leave(who netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.of[who]--; g.of[who] <= 0 {
		delete(g.of, who)
	}
}

// limited is a listener whose connections are counted; what is too much is closed.
type limited struct {
	net.Listener
	gate *gate
	feed *feed.Feed
}

func limit(cfg *Config) *limited {
	return &limited{cfg.TCP, &gate{of: map[netip.Addr]int{}, cfg: cfg}, cfg.Feed}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := source(c.RemoteAddr())
		if l.gate.enter(who) {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { l.gate.leave(who) })}, nil
		}
		l.feed.Refused(1)
		c.Close() //nolint:errcheck // unwanted
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// errNothing says that a source has nothing to listen on.
var errNothing = errors.New("nothing to listen on")
