package entry

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/conn"
)

// bind is the one UDP socket of a WireGuard door. The library's own binds
// listen on every address of the machine; this one has a socket on loopback
// from the beginning, takes nothing from elsewhere and sends nothing there.
type bind struct {
	sock *net.UDPConn

	mu     sync.Mutex
	opened bool

	all        *bucket // datagrams of everybody together
	handshakes *bucket
	rate       int

	sources map[netip.AddrPort]*source // only the receiver uses it

	received, sent, tooFast, handshakesDropped, strangers atomic.Uint64
}

var _ conn.Bind = (*bind)(nil)

// source is somebody who sends to the door.
type source struct {
	bucket *bucket
	last   time.Time
}

// maxSources is how many senders are told apart; who has been silent longest
// is forgotten.
const maxSources = 64

func newBind(sock *net.UDPConn, lim WireGuardLimits, peers int) *bind {
	now := time.Now()
	all := lim.Packets * (peers + 1)
	return &bind{
		sock: sock, rate: lim.Packets, all: newBucket(all, all, now), handshakes: newBucket(lim.Handshakes, 2*lim.Handshakes, now),
		sources: map[netip.AddrPort]*source{},
	}
}

// errBindOnce is what a second Open gets: the socket is closed then.
var errBindOnce = errors.New("the door's socket opens once")

// Open hands out the socket that is there already.
func (b *bind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened {
		return nil, 0, errBindOnce
	}
	b.opened = true
	return []conn.ReceiveFunc{b.receive}, uint16(b.sock.LocalAddr().(*net.UDPAddr).Port), nil
}

// Close closes the socket. The library also calls it before it opens.
func (b *bind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.opened {
		return nil
	}
	if err := b.sock.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// receive gives the next datagram that is within the limits.
func (b *bind) receive(packets [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
	for {
		n, from, err := b.sock.ReadFromUDPAddrPort(packets[0])
		if err != nil {
			return 0, err
		}
		b.received.Add(1)
		if from = plain(from); !from.Addr().IsLoopback() {
			b.strangers.Add(1)
			continue
		}
		if !b.admit(packets[0][:n], from, time.Now()) {
			continue
		}
		sizes[0], eps[0] = n, endpoint(from)
		return 1, nil
	}
}

// transportData is the type of a WireGuard message that carries a packet; the
// others are handshakes, which cost a hundred times as much.
const transportData = 4

func (b *bind) admit(msg []byte, from netip.AddrPort, now time.Time) bool {
	if !b.source(from, now).bucket.take(now) || !b.all.take(now) {
		b.tooFast.Add(1)
		return false
	}
	if len(msg) > 0 && msg[0] != transportData && !b.handshakes.take(now) {
		b.handshakesDropped.Add(1)
		return false
	}
	return true
}

func (b *bind) source(from netip.AddrPort, now time.Time) *source {
	s := b.sources[from]
	if s == nil {
		if len(b.sources) >= maxSources {
			b.forget()
		}
		s = &source{bucket: newBucket(b.rate, b.rate, now)}
		b.sources[from] = s
	}
	s.last = now
	return s
}

// forget drops who has been silent longest.
func (b *bind) forget() {
	var oldest netip.AddrPort
	var last time.Time
	for from, s := range b.sources {
		if !oldest.IsValid() || s.last.Before(last) {
			oldest, last = from, s.last
		}
	}
	delete(b.sources, oldest)
}

// SetMark is asked of binds; a loopback socket needs none.
func (b *bind) SetMark(uint32) error { return nil }

// Send answers somebody who came by loopback.
func (b *bind) Send(bufs [][]byte, to conn.Endpoint) error {
	at, ok := to.(endpoint)
	if !ok {
		return conn.ErrWrongEndpointType
	}
	for _, m := range bufs {
		if _, err := b.sock.WriteToUDPAddrPort(m, netip.AddrPort(at)); err != nil {
			return err
		}
		b.sent.Add(1)
	}
	return nil
}

// ParseEndpoint knows no endpoints but those that packets came from.
func (b *bind) ParseEndpoint(s string) (conn.Endpoint, error) {
	return nil, fmt.Errorf("endpoint %q: a door answers only who came to it", s)
}

// BatchSize is one datagram a call.
func (b *bind) BatchSize() int { return 1 }

// endpoint is where a peer sends from: a port of loopback.
type endpoint netip.AddrPort

var _ conn.Endpoint = endpoint{}

func (endpoint) ClearSrc()             {}
func (endpoint) SrcToString() string   { return "" }
func (endpoint) SrcIP() netip.Addr     { return netip.Addr{} }
func (e endpoint) DstToString() string { return netip.AddrPort(e).String() }
func (e endpoint) DstIP() netip.Addr   { return netip.AddrPort(e).Addr() }

// DstToBytes is what cookies of WireGuard are made over.
func (e endpoint) DstToBytes() []byte {
	b, err := netip.AddrPort(e).MarshalBinary()
	if err != nil {
		return nil
	}
	return b
}
