package vnet

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Link is the quality of every cable of a segment.
type Link struct {
	Latency   time.Duration // one way
	Jitter    time.Duration // more or less than Latency, at most; at most Latency
	Loss      float64       // part of the packets that get lost, 0 to 1
	Bandwidth int64         // bits a second from each port; 0: as fast as it goes
}

// SegmentConfig describes a segment.
type SegmentConfig struct {
	Name     string
	Prefixes []netip.Prefix // IPv4, IPv6 or both; they overlap no other segment's
	MTU      int            // bytes of an IP packet; 0: 1,500. 1,280 to 65,535
	Link     Link
}

// Segment is a switched network: who is on it reaches each other directly,
// everybody else through a router. The switch answers ARP and neighbour
// solicitations for those who are there.
type Segment struct {
	net   *Network
	cfg   SegmentConfig
	hash  uint64
	holes atomic.Pointer[[]netip.Prefix]

	mu       sync.RWMutex
	at       map[netip.Addr]*port
	fields   []*Field
	gateways [2]netip.Addr // IPv4, IPv6
	ports    []*port
}

// AddSegment makes a segment. Errors say which word of cfg is wrong.
func (n *Network) AddSegment(cfg SegmentConfig) (*Segment, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("add segment %q: %w", cfg.Name, err)
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	cfg.Prefixes = slices.Clone(cfg.Prefixes)
	h := fnv.New64a()
	_, _ = h.Write([]byte(cfg.Name))
	s := &Segment{net: n, cfg: cfg, hash: h.Sum64(), at: map[netip.Addr]*port{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed.Load() {
		return nil, ErrClosed
	}
	for _, o := range n.segments {
		if o.cfg.Name == cfg.Name {
			return nil, fmt.Errorf("add segment %q: there is one of that name", cfg.Name)
		}
		for _, p := range o.cfg.Prefixes {
			for _, q := range cfg.Prefixes {
				if p.Overlaps(q) && p.Bits() == q.Bits() {
					return nil, fmt.Errorf("add segment %q: %s is %s's", cfg.Name, q, o.cfg.Name)
				}
			}
		}
	}
	n.segments = append(n.segments, s)
	n.rerouteLocked()
	return s, nil
}

func (c SegmentConfig) check() error {
	switch l := c.Link; {
	case c.Name == "":
		return errors.New("it needs a name")
	case len(c.Prefixes) == 0:
		return errors.New("it needs a prefix, such as 10.20.1.0/24")
	case c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535):
		return fmt.Errorf("MTU %d is not between 1280 and 65535", c.MTU)
	case l.Latency < 0 || l.Jitter < 0 || l.Jitter > l.Latency || l.Bandwidth < 0:
		return fmt.Errorf("link %+v: nothing may be negative, and jitter is at most latency", l)
	case l.Loss < 0 || l.Loss > 1:
		return fmt.Errorf("loss %v is not between 0 and 1", l.Loss)
	}
	for _, p := range c.Prefixes {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Errorf("prefix %s: bits beyond the prefix length are to be 0", p)
		}
		if p.Addr().IsMulticast() || p.Addr().IsLoopback() {
			return fmt.Errorf("prefix %s is not for hosts", p)
		}
	}
	return nil
}

// Name is the segment's name.
func (s *Segment) Name() string { return s.cfg.Name }

// Prefixes are the segment's prefixes.
func (s *Segment) Prefixes() []netip.Prefix { return slices.Clone(s.cfg.Prefixes) }

// contains says whether a lies in one of the prefixes, and in no narrower one
// of another segment.
func (s *Segment) contains(a netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	holes := s.holes.Load()
	return slices.ContainsFunc(s.cfg.Prefixes, in) && (holes == nil || !slices.ContainsFunc(*holes, in))
}

// setHoles notes the parts of the segment's prefixes that are other segments'.
func (s *Segment) setHoles(all []*Segment) {
	var holes []netip.Prefix
	for _, o := range all {
		for _, q := range o.cfg.Prefixes {
			if o != s && slices.ContainsFunc(s.cfg.Prefixes, func(p netip.Prefix) bool { return p.Overlaps(q) && p.Bits() < q.Bits() }) {
				holes = append(holes, q)
			}
		}
	}
	s.holes.Store(&holes)
}

// hop is whom a packet to dst is given to: dst itself or the gateway.
func (s *Segment) hop(dst netip.Addr) (netip.Addr, bool) {
	if s.contains(dst) {
		return dst, true
	}
	i := 0
	if dst.Is6() {
		i = 1
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.gateways[i], s.gateways[i].IsValid()
}

// whoHas is the switch's answer to ARP and neighbour solicitation.
func (s *Segment) whoHas(a netip.Addr) (*port, mac, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.at[a]; p != nil {
		return p, p.mac, true
	}
	for _, f := range s.fields {
		if f.Alive(a) {
			return f.port, s.net.macFor(a.String(), f.oui(a)), true
		}
	}
	return nil, mac{}, false
}

// fieldMAC is the link address under which the field at p sends for a.
func (s *Segment) fieldMAC(p *port, a netip.Addr) (mac, bool) {
	f, ok := p.sink.(*Field)
	if !ok {
		return mac{}, false
	}
	return s.net.macFor(a.String(), f.oui(a)), true
}

// join makes a port for addrs and enters it in the switch's table.
func (s *Segment) join(name string, addrs []netip.Addr, oui [3]byte, to sink) (*port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range addrs {
		switch {
		case !a.IsValid() || a.Is4In6() || a.Zone() != "":
			return nil, fmt.Errorf("address %s: plain IPv4 or IPv6 addresses only", a)
		case !s.contains(a):
			return nil, fmt.Errorf("address %s is not in segment %s (%v)", a, s.cfg.Name, s.cfg.Prefixes)
		case s.at[a] != nil || slices.Contains(addrs[:i], a):
			return nil, fmt.Errorf("address %s is taken on segment %s", a, s.cfg.Name)
		case s.reserved(a):
			return nil, fmt.Errorf("address %s is the network's or its broadcast address on segment %s", a, s.cfg.Name)
		}
	}
	p := &port{net: s.net, seg: s, mac: s.net.macFor(s.cfg.Name+"/"+name, oui), addrs: slices.Clone(addrs), sink: to}
	for _, a := range addrs {
		s.at[a] = p
	}
	s.ports = append(s.ports, p)
	return p, nil
}

// leave undoes join. Neighbours that knew the port ask again.
func (s *Segment) leave(p *port) {
	p.gone.Store(true)
	p.cut.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range p.addrs {
		delete(s.at, a)
	}
	s.ports = slices.DeleteFunc(s.ports, func(q *port) bool { return q == p })
}

// reserved says whether a is the first or last address of an IPv4 prefix
// shorter than 31 bits.
func (s *Segment) reserved(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for _, p := range s.cfg.Prefixes {
		if p.Contains(a) && p.Bits() < 31 {
			return a == p.Addr() || !p.Contains(a.Next())
		}
	}
	return false
}

func (s *Segment) close() {
	s.mu.RLock()
	ports := slices.Clone(s.ports)
	s.mu.RUnlock()
	for _, p := range ports {
		if c, ok := p.sink.(interface{ close() }); ok {
			c.close()
		}
	}
}
