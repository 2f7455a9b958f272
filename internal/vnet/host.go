package vnet

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

// Traits is how a host's TCP/IP looks; trait.ByName finds them.
type Traits = trait.Traits

// HostConfig describes a host.
type HostConfig struct {
	Name   string       // unique in the network; it is also the host's DNS name
	Addrs  []netip.Addr // at least one, in the segment's prefixes
	Traits Traits
	Hidden bool // its name is not in the network's DNS
}

// Host is a machine on a segment. It has no stack until it is touched: by a
// packet, by Dial, or by a listener's first use.
type Host struct {
	net  *Network
	cfg  HostConfig
	port *port

	mu     sync.Mutex
	stack  *stack.Stack
	nic    *nic
	socks  map[sockKey]sock // listeners and the like, to be bound when the stack comes
	closed bool
	probes probeTable
	looks  trait.Rewriter
}

// AddHost joins a host to the segment.
func (s *Segment) AddHost(cfg HostConfig) (*Host, error) {
	h := &Host{net: s.net, cfg: cfg, socks: map[sockKey]sock{}}
	h.cfg.Addrs = slices.Clone(cfg.Addrs)
	if cfg.Name == "" {
		return nil, fmt.Errorf("add host to %s: it needs a name", s.cfg.Name)
	}
	if len(cfg.Addrs) == 0 {
		return nil, fmt.Errorf("add host %s: it needs an address in %v", cfg.Name, s.cfg.Prefixes)
	}
	n := s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed.Load() {
		return nil, ErrClosed
	}
	if n.hosts[cfg.Name] != nil {
		return nil, fmt.Errorf("add host %s: there is one of that name", cfg.Name)
	}
	p, err := s.join(cfg.Name, cfg.Addrs, cfg.Traits.OUI, h)
	if err != nil {
		return nil, fmt.Errorf("add host %s: %w", cfg.Name, err)
	}
	h.port = p
	if !cfg.Traits.Plain() {
		p.dress = func(f *frame) { f.dress(&h.looks, &h.cfg.Traits) }
	}
	n.hosts[cfg.Name] = h
	if !cfg.Hidden {
		n.zone.Add(cfg.Name, cfg.Addrs...)
	}
	return h, nil
}

// Name is the host's name.
func (h *Host) Name() string { return h.cfg.Name }

// Addrs are the host's addresses.
func (h *Host) Addrs() []netip.Addr { return slices.Clone(h.cfg.Addrs) }

// Segment is where the host is joined.
func (h *Host) Segment() *Segment { return h.port.seg }

// Network is what the host is part of.
func (h *Host) Network() *Network { return h.net }

// Isolated says whether the host is cut off.
func (h *Host) Isolated() bool { return h.port.cut.Load() }

// addr is the host's first address of the family of like; invalid if it has none.
func (h *Host) addr(like netip.Addr) netip.Addr {
	for _, a := range h.cfg.Addrs {
		if a.Is4() == like.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// touch makes the host's stack if there is none yet.
func (h *Host) touch() (*stack.Stack, *nic, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.net.closed.Load() {
		return nil, nil, ErrClosed
	}
	if h.stack != nil {
		return h.stack, h.nic, nil
	}
	c := &nic{port: h.port, mtu: uint32(h.port.seg.cfg.MTU), caps: stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload}
	var s *stack.Stack
	var err error
	alone(func() { s, err = h.net.newStack(c, h.cfg.Traits) })
	if err != nil {
		return nil, nil, fmt.Errorf("start host %s: %w", h.cfg.Name, err)
	}
	for _, a := range h.cfg.Addrs {
		if err := s.AddProtocolAddress(nicID, protocolAddress(a, a.BitLen()), stack.AddressProperties{}); err != nil {
			s.Destroy()
			return nil, nil, fmt.Errorf("start host %s: address %s: %w", h.cfg.Name, a, stackError(err))
		}
	}
	h.stack, h.nic = s, c
	for key, k := range h.socks {
		_ = k.bind(s, key) // Accept tells
	}
	return s, c, nil
}

func protocolAddress(a netip.Addr, bits int) tcpip.ProtocolAddress {
	return tcpip.ProtocolAddress{Protocol: family(a), AddressWithPrefix: tcpip.AddressWithPrefix{Address: toStack(a), PrefixLen: bits}}
}

// receive takes a packet from the wire.
func (h *Host) receive(f *frame) {
	if h.probes.take(h, f) {
		f.release()
		return
	}
	if !f.meet(&h.looks, &h.cfg.Traits, h.port) {
		f.release()
		return
	}
	_, c, err := h.touch()
	if err != nil {
		f.release()
		return
	}
	c.deliver(f)
}

// unreachable tells the host's own stack that nobody answers.
func (h *Host) unreachable(f *frame) {
	e := f.local(packet.HostUnreachable)
	f.release()
	if e != nil {
		h.port.enqueue(e)
	}
}

func (h *Host) close() {
	h.mu.Lock()
	h.closed = true
	s := h.stack
	socks := slices.Collect(maps.Values(h.socks))
	h.mu.Unlock()
	for _, k := range socks {
		k.shut()
	}
	if s != nil {
		s.Destroy()
	}
}
