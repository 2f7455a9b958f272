package entry

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// tunnel is WireGuard's network interface: no device of the machine, but a
// port of a virtual network.
type tunnel struct {
	peers  map[netip.Addr]*peer
	mtu    int
	events chan tun.Event
	done   chan struct{}
	once   sync.Once

	mu      sync.Mutex
	port    *vnet.AttachedPort
	changed chan struct{}

	nobody atomic.Uint64 // packets from the range for no peer, or too long
}

var _ tun.Device = (*tunnel)(nil)

// peer is what the tunnel knows of one person.
type peer struct {
	name  string
	addrs []netip.Addr
	key   PublicKey
	rate  *bucket

	toRange, fromRange, bytesTo, bytesFrom, tooFast, refused atomic.Uint64
}

func newTunnel(port *vnet.AttachedPort, peers []*peer) *tunnel {
	t := &tunnel{peers: map[netip.Addr]*peer{}, mtu: port.MTU(), events: make(chan tun.Event), done: make(chan struct{}), port: port, changed: make(chan struct{})}
	for _, p := range peers {
		for _, a := range p.addrs {
			t.peers[a] = p
		}
	}
	return t
}

// current is the port, and what is closed when it is another.
func (t *tunnel) current() (*vnet.AttachedPort, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.port, t.changed
}

// attach changes the port and closes the old one.
func (t *tunnel) attach(port *vnet.AttachedPort) {
	t.mu.Lock()
	old := t.port
	t.port = port
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
	if old != port {
		shut(old)
	}
	select {
	case <-t.done: // it was closed meanwhile
		shut(port)
	default:
	}
}

// Read gives the next packet from the range for one of the peers.
func (t *tunnel) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	for {
		port, changed := t.current()
		n, err := port.Read(bufs[0][offset:])
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			t.nobody.Add(1)
			continue
		case err != nil: // the port is closed: the network was, or there is another
			select {
			case <-t.done:
				return 0, os.ErrClosed
			case <-changed:
			}
			continue
		}
		p := t.peers[destination(bufs[0][offset:offset+n])]
		if p == nil {
			t.nobody.Add(1)
			continue
		}
		p.fromRange.Add(1)
		p.bytesFrom.Add(uint64(n))
		sizes[0] = n
		return 1, nil
	}
}

// Write takes packets whose source address the library has found to be the
// peer's that sent them. What is too much is dropped and counted; it is never
// waited for, so that one peer cannot hold up others.
func (t *tunnel) Write(bufs [][]byte, offset int) (int, error) {
	port, _ := t.current()
	for _, b := range bufs {
		b = b[offset:]
		p := t.peers[origin(b)]
		switch {
		case p == nil:
			t.nobody.Add(1)
			continue
		case !p.rate.take(time.Now()):
			p.tooFast.Add(1)
			continue
		}
		if _, err := port.Write(b); err != nil {
			p.refused.Add(1)
			continue
		}
		p.toRange.Add(1)
		p.bytesTo.Add(uint64(len(b)))
	}
	return len(bufs), nil
}

// origin and destination are the addresses in an IP header, the zero Addr
// without one.
func origin(b []byte) netip.Addr      { return headerAddr(b, 12, 8) }
func destination(b []byte) netip.Addr { return headerAddr(b, 16, 24) }

func headerAddr(b []byte, at4, at6 int) netip.Addr {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[at4:]))
	case len(b) >= 40 && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[at6:]))
	}
	return netip.Addr{}
}

// File is nil: there is no file behind the tunnel.
func (t *tunnel) File() *os.File { return nil }

// MTU is the segment's.
func (t *tunnel) MTU() (int, error) { return t.mtu, nil }

// Name is for the library's log.
func (t *tunnel) Name() (string, error) { return "range", nil }

// Events never has any.
func (t *tunnel) Events() <-chan tun.Event { return t.events }

// BatchSize is one packet a call.
func (t *tunnel) BatchSize() int { return 1 }

// Close takes the port off its segment.
func (t *tunnel) Close() error {
	t.once.Do(func() {
		close(t.done)
		close(t.events)
		port, _ := t.current()
		shut(port)
	})
	return nil
}
