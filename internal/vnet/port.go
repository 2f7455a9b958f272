package vnet

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// sink is what sits at a port: a host, a field, a router, an attached device.
// receive takes the frame over; it runs in one goroutine at a time for a port.
type sink interface {
	receive(f *frame)
	// unreachable tells the sink that nobody answered for the next hop of f.
	unreachable(f *frame)
}

// port is where something is joined to a segment.
type port struct {
	net   *Network
	seg   *Segment
	mac   mac
	addrs []netip.Addr // the sink's own, nil for a field
	sink  sink
	dress func(*frame) // gives packets that begin here the looks of a system; nil: none
	cut   atomic.Bool  // isolated
	gone  atomic.Bool  // has left the segment
	queue queue
	next  *port // in wire's line

	mu      sync.Mutex
	known   map[netip.Addr]neighbour
	seeking map[netip.Addr]*seek
	free    time.Time // when the link has sent what it was given
	last    time.Time // the latest arrival that this port was given
}

// neighbour is an answer to "who has this address".
type neighbour struct {
	mac   mac
	port  *port
	until time.Time
}

const (
	neighbourLife = time.Minute
	maxNeighbours = 4096
	maxSeeking    = 4096
	seekTries     = 3
	seekEvery     = time.Second
	maxWaiting    = 3 // packets kept for one address that is looked for
)

// seek is an address that nobody has answered for yet.
type seek struct {
	waiting []*frame
	tries   int
}

// macFor makes the stable link address of something: locally administered,
// from the seed, unless oui names a maker.
func (n *Network) macFor(what string, oui [3]byte) mac {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n.cfg.Seed)
	_, _ = h.Write(b[:])
	_, _ = h.Write([]byte(what))
	binary.BigEndian.PutUint64(b[:], mix(h.Sum64()))
	m := mac{oui[0], oui[1], oui[2], b[0], b[1], b[2]}
	if oui == [3]byte{} {
		m[0], m[1], m[2] = 0x02, b[3], b[4]
	}
	return m
}

// mix spreads the bits of a hash (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// originate sends a packet that begins its life here: it is counted and gets
// its label.
func (p *port) originate(f *frame) {
	n := p.net
	if p.dress != nil {
		p.dress(f)
	}
	n.count.packets.Add(1)
	n.count.bytes.Add(uint64(f.info.TotalLen))
	if f.info.Dst.Addr().IsMulticast() || f.info.Dst.Addr() == broadcast4 {
		n.drop(f, dropGroup)
		return
	}
	now := n.clk.Now()
	n.flows.account(f, now)
	n.tap(f, nil, now)
	p.forward(f)
}

var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255}) //nolint:gochecknoglobals // a constant

// forward sends f from this port towards its destination.
func (p *port) forward(f *frame) {
	if p.cut.Load() {
		p.net.drop(f, dropIsolated)
		return
	}
	hop, ok := p.seg.hop(f.info.Dst.Addr())
	if !ok {
		p.net.count.drops[dropNoRoute].Add(1)
		p.sink.unreachable(f)
		return
	}
	p.transmit(f, hop)
}

// transmit sends f to the neighbour that has the address hop.
func (p *port) transmit(f *frame, hop netip.Addr) {
	now := p.net.clk.Now()
	p.mu.Lock()
	nb, ok := p.known[hop]
	if ok && now.Before(nb.until) && !nb.port.gone.Load() {
		p.mu.Unlock()
		p.emit(f, nb, now)
		return
	}
	p.mu.Unlock()
	nb, ok = p.resolve(hop, now)
	if !ok {
		p.await(f, hop)
		return
	}
	p.emit(f, nb, now)
}

// resolve asks the segment who has addr. The switch answers for everybody:
// no host ever sees a request that is not for it.
func (p *port) resolve(addr netip.Addr, now time.Time) (neighbour, bool) {
	to, m, ok := p.seg.whoHas(addr)
	if !ok {
		return neighbour{}, false
	}
	nb := neighbour{mac: m, port: to, until: now.Add(neighbourLife)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[netip.Addr]neighbour{}
	}
	if len(p.known) >= maxNeighbours {
		clear(p.known) // they are asked for again
	}
	p.known[addr] = nb
	return nb, true
}

// await keeps f until addr is found or was asked for three times, as hosts do.
func (p *port) await(f *frame, addr netip.Addr) {
	p.mu.Lock()
	s := p.seeking[addr]
	if s == nil && len(p.seeking) < maxSeeking {
		if p.seeking == nil {
			p.seeking = map[netip.Addr]*seek{}
		}
		s = &seek{tries: 1}
		p.seeking[addr] = s
		p.net.clk.AfterFunc(seekEvery, func() { p.again(addr) })
	}
	if s == nil || len(s.waiting) >= maxWaiting {
		p.mu.Unlock()
		p.net.drop(f, dropUnresolved)
		return
	}
	s.waiting = append(s.waiting, f)
	p.mu.Unlock()
}

// again asks once more for addr, or gives up and says so to the senders.
func (p *port) again(addr netip.Addr) {
	if p.net.closed.Load() {
		return
	}
	p.mu.Lock()
	s := p.seeking[addr]
	if s == nil {
		p.mu.Unlock()
		return
	}
	s.tries++
	last := s.tries > seekTries
	p.mu.Unlock()

	now := p.net.clk.Now()
	var nb neighbour
	found := false
	if !last {
		if nb, found = p.resolve(addr, now); !found {
			p.net.clk.AfterFunc(seekEvery, func() { p.again(addr) })
			return
		}
	}
	p.mu.Lock()
	delete(p.seeking, addr)
	waiting := s.waiting
	p.mu.Unlock()
	for _, f := range waiting {
		if found {
			p.emit(f, nb, now)
			continue
		}
		p.net.count.drops[dropUnresolved].Add(1)
		p.sink.unreachable(f)
	}
}

// emit puts f on the wire to nb.
func (p *port) emit(f *frame, nb neighbour, now time.Time) {
	n := p.net
	f.src, f.dst, f.to = p.mac, nb.mac, nb.port
	if m, ok := p.seg.fieldMAC(p, f.info.Src.Addr()); ok {
		f.src = m
	}
	n.tap(f, p.seg, now)
	link := &p.seg.cfg.Link
	if link.Loss > 0 && n.lost(p.seg, f) {
		n.drop(f, dropLoss)
		return
	}
	if link.Latency == 0 && link.Jitter == 0 && link.Bandwidth == 0 {
		nb.port.enqueue(f)
		return
	}
	at, ok := p.arrival(f, link, now)
	if !ok || !n.wire.slow.add(f, at) {
		n.drop(f, dropLink)
	}
}

// maxBacklog is how much a link may have to send before it drops.
const maxBacklog = 500 * time.Millisecond

// arrival is when f reaches the other end. Packets of one port stay in order.
func (p *port) arrival(f *frame, link *Link, now time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := now
	if link.Bandwidth > 0 {
		if p.free.Before(now) {
			p.free = now
		}
		if p.free.Sub(now) > maxBacklog {
			return time.Time{}, false
		}
		bits := int64(f.info.TotalLen+14) * 8
		p.free = p.free.Add(time.Duration(bits * int64(time.Second) / link.Bandwidth))
		sent = p.free
	}
	at := sent.Add(link.Latency)
	if link.Jitter > 0 {
		part := float64(p.net.dice(p.seg, f, 1)>>11) / (1 << 53)
		at = at.Add(time.Duration((2*part - 1) * float64(link.Jitter)))
	}
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	return at, true
}

// dice is a number that depends on the seed, the segment, who speaks to whom,
// the turn of the flow and the packet's place in it, and on no port that a
// stack chose at random: runs with one seed lose the same.
func (n *Network) dice(s *Segment, f *frame, salt uint64) uint64 {
	h := mix(n.cfg.Seed ^ s.hash ^ salt)
	for _, a := range []netip.Addr{f.info.Src.Addr(), f.info.Dst.Addr()} {
		b := a.As16()
		h = mix(h ^ binary.BigEndian.Uint64(b[:]) ^ mix(binary.BigEndian.Uint64(b[8:])))
	}
	return mix(h ^ f.nth<<40 ^ uint64(f.turn)<<8 ^ uint64(f.info.Proto))
}

func (n *Network) lost(s *Segment, f *frame) bool {
	return float64(n.dice(s, f, 0)>>11)/(1<<53) < s.cfg.Link.Loss
}

// enqueue gives f to this port's queue.
func (p *port) enqueue(f *frame) {
	p.net.wire.carried(1)
	ok, wake := p.queue.put(f, p.net.cfg.Queue)
	if !ok {
		p.net.wire.carried(-1)
		p.net.drop(f, dropQueue)
		return
	}
	if wake {
		p.net.wire.ready(p)
	}
}

// deliver hands f to what sits here.
func (p *port) deliver(f *frame) {
	if p.cut.Load() {
		p.net.drop(f, dropIsolated)
		return
	}
	p.net.count.delivered.Add(1)
	p.sink.receive(f)
}

// local is the answer of a machine to itself when nobody has the next hop:
// an ICMP error, which ends the connection attempt. It names the destination
// as its sender, for a stack drops what comes from its own address; nobody
// else sees it.
func (f *frame) local(why packet.Reason) *frame {
	b := packet.Error(f.bytes(), f.info, f.info.Dst.Addr(), why, 0)
	if b == nil {
		return nil
	}
	e := rawFrame(b)
	if e != nil {
		e.label = f.label
	}
	return e
}
