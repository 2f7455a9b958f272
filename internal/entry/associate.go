package entry

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxDatagram is the largest UDP datagram and the header before it.
const maxDatagram = 65507 + 262

// association is one UDP ASSOCIATE: a socket on loopback for the client, one
// in the range, and the connection that both live as long as.
type association struct {
	who    *chair
	idle   time.Duration
	near   *net.UDPConn
	far    net.PacketConn
	client netip.Addr
	port   atomic.Uint32 // the client's, 0 until it is known
	last   atomic.Int64  // Unix nanoseconds of the last datagram
}

// associate carries datagrams until the client closes its connection.
func (s *SOCKS) associate(ctx context.Context, who *chair, c *net.TCPConn, from target) {
	if who.relays.Add(1) > int32(s.lim.Relays) {
		who.relays.Add(-1)
		who.count.refusedOpen.Add(1)
		answer(c, replyNotAllowed, netip.AddrPort{})
		return
	}
	defer who.relays.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &association{who: who, idle: s.lim.Idle, client: plain(c.RemoteAddr().(*net.TCPAddr).AddrPort()).Addr()}
	a.port.Store(uint32(from.port))
	var err error
	if a.near, err = listenUDP(ctx, netip.AddrPortFrom(s.Addr().Addr(), 0)); err == nil {
		defer shut(a.near)
		a.far, err = who.dialer.Host().ListenPacket(ctx, 0)
	}
	if err != nil {
		who.count.failed.Add(1)
		answer(c, replyFailed, netip.AddrPort{})
		return
	}
	defer shut(a.far)
	a.last.Store(time.Now().UnixNano())
	stop := context.AfterFunc(ctx, func() { shut(a.near) })
	defer stop()
	answer(c, replyGranted, plain(a.near.LocalAddr().(*net.UDPAddr).AddrPort()))
	var up sync.WaitGroup
	up.Go(func() { a.inward(ctx); cancel(); shut(c) })
	up.Go(func() { a.outward(); cancel(); shut(c) })
	b := make([]byte, 512)
	for { // RFC 1928, section 7: the association ends with this connection
		if _, err := c.Read(b); err != nil {
			break
		}
	}
	cancel()
	up.Wait()
}

// next waits for a datagram by read, as long as one came in either direction
// lately.
func (a *association) next(set func(time.Time) error, read func() error) bool {
	for {
		last := time.Unix(0, a.last.Load())
		_ = set(last.Add(a.idle))
		err := read()
		if err == nil {
			a.last.Store(time.Now().UnixNano())
			return true
		}
		if t, ok := err.(net.Error); !ok || !t.Timeout() || time.Unix(0, a.last.Load()).Equal(last) { //nolint:errorlint // both sockets give the error itself
			return false
		}
	}
}

// inward carries the client's datagrams into the range.
func (a *association) inward(ctx context.Context) {
	b := make([]byte, maxDatagram)
	for {
		var n int
		var from netip.AddrPort
		if !a.next(a.near.SetReadDeadline, func() (err error) { n, from, err = a.near.ReadFromUDPAddrPort(b); return err }) {
			return
		}
		if !a.send(ctx, b[:n], plain(from)) {
			a.who.count.datagramsDropped.Add(1)
		}
	}
}

func (a *association) send(ctx context.Context, b []byte, from netip.AddrPort) bool {
	if from.Addr() != a.client || !a.port.CompareAndSwap(0, uint32(from.Port())) && a.port.Load() != uint32(from.Port()) {
		return false
	}
	to, data, err := cutDatagram(b)
	if err != nil || to.nowhere() || !a.who.grams.take(time.Now()) {
		return false
	}
	if !to.addr.IsValid() {
		addrs, err := a.who.dialer.LookupHost(ctx, to.name)
		if err != nil {
			return false
		}
		to.addr = addrs[0]
	}
	if _, err := a.far.WriteTo(data, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.addr, to.port))); err != nil {
		return false
	}
	a.who.count.datagrams.Add(1)
	a.who.count.toRange.Add(uint64(len(data)))
	return true
}

// outward carries the range's datagrams to the client.
func (a *association) outward() {
	b, out := make([]byte, maxDatagram), make([]byte, 0, maxDatagram)
	for {
		var n int
		var from net.Addr
		if !a.next(a.far.SetReadDeadline, func() (err error) { n, from, err = a.far.ReadFrom(b); return err }) {
			return
		}
		udp, ok := from.(*net.UDPAddr)
		port := a.port.Load()
		if !ok || port == 0 || !a.who.grams.take(time.Now()) {
			a.who.count.datagramsDropped.Add(1)
			continue
		}
		out = appendDatagram(out[:0], plain(udp.AddrPort()), b[:n])
		if _, err := a.near.WriteToUDPAddrPort(out, netip.AddrPortFrom(a.client, uint16(port))); err != nil {
			a.who.count.datagramsDropped.Add(1)
			continue
		}
		a.who.count.datagrams.Add(1)
		a.who.count.fromRange.Add(uint64(n))
	}
}
