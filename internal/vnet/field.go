package vnet

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

// FieldConfig describes a field.
type FieldConfig struct {
	Name    string
	Prefix  netip.Prefix // within the segment's prefixes
	Density float64      // part of the addresses that live, chosen by the seed; 0: all
	Traits  func(netip.Addr) Traits
	// Open says whether an address serves a port of a protocol (packet.TCP,
	// packet.UDP) that the field listens on; nil: every one does.
	Open func(a netip.Addr, proto uint8, port uint16) bool
}

// Field is a block of addresses that one stack answers for: echo requests,
// listeners on every address at once, and every other port by Forward. Hosts
// and routers within the block keep their addresses.
type Field struct {
	net  *Network
	cfg  FieldConfig
	port *port

	mu     sync.Mutex
	stack  *stack.Stack
	nic    *nic
	socks  map[sockKey]sock
	have   map[netip.Addr]bool // IPv6 addresses that the stack was given
	closed bool
	looks  trait.Rewriter
}

// maxFieldAddrs bounds the IPv6 addresses of a field that are in use.
const maxFieldAddrs = 1 << 16

// AddField joins a field to the segment.
func (s *Segment) AddField(cfg FieldConfig) (*Field, error) {
	inside := slices.ContainsFunc(s.cfg.Prefixes, func(p netip.Prefix) bool { return p.Bits() <= cfg.Prefix.Bits() && p.Contains(cfg.Prefix.Addr()) })
	switch {
	case !cfg.Prefix.IsValid() || cfg.Prefix != cfg.Prefix.Masked():
		return nil, fmt.Errorf("add field %q: prefix %s: bits beyond the prefix length are to be 0", cfg.Name, cfg.Prefix)
	case !inside:
		return nil, fmt.Errorf("add field %q: prefix %s is not in segment %s (%v)", cfg.Name, cfg.Prefix, s.cfg.Name, s.cfg.Prefixes)
	case cfg.Density < 0 || cfg.Density > 1:
		return nil, fmt.Errorf("add field %q: density %v is not between 0 and 1", cfg.Name, cfg.Density)
	}
	if s.net.closed.Load() {
		return nil, ErrClosed
	}
	f := &Field{net: s.net, cfg: cfg, socks: map[sockKey]sock{}, have: map[netip.Addr]bool{}}
	p, err := s.join("field/"+cfg.Name+"/"+cfg.Prefix.String(), nil, [3]byte{}, f)
	if err != nil {
		return nil, fmt.Errorf("add field %q: %w", cfg.Name, err)
	}
	f.port = p
	if cfg.Traits != nil {
		p.dress = f.dress
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.fields {
		if o.cfg.Prefix.Overlaps(cfg.Prefix) {
			return nil, fmt.Errorf("add field %q: prefix %s overlaps %s of field %s", cfg.Name, cfg.Prefix, o.cfg.Prefix, o.cfg.Name)
		}
	}
	s.fields = append(s.fields, f)
	return f, nil
}

// Name is the field's name.
func (f *Field) Name() string { return f.cfg.Name }

// Prefix is the field's block.
func (f *Field) Prefix() netip.Prefix { return f.cfg.Prefix }

// Alive says whether the field answers for a.
func (f *Field) Alive(a netip.Addr) bool {
	if !f.cfg.Prefix.Contains(a) || f.port.seg.reserved(a) {
		return false
	}
	if f.cfg.Density == 0 || f.cfg.Density == 1 {
		return true
	}
	b := a.As16()
	h := mix(mix(f.net.cfg.Seed^binary.BigEndian.Uint64(b[:])) ^ binary.BigEndian.Uint64(b[8:]))
	return float64(h>>11)/(1<<53) < f.cfg.Density
}

func (f *Field) traits(a netip.Addr) Traits {
	if f.cfg.Traits == nil {
		return Traits{}
	}
	return f.cfg.Traits(a)
}

// dress gives a packet the looks of the address that it comes from.
func (f *Field) dress(fr *frame) {
	if t := f.traits(fr.info.Src.Addr()); !t.Plain() {
		fr.dress(&f.looks, &t)
	}
}

func (f *Field) oui(a netip.Addr) [3]byte { return f.traits(a).OUI }

// touch makes the field's stack if there is none yet. Its one IPv4 address
// stands for the whole block, as on a loopback interface: matching is by
// prefix, at the same cost for every size.
func (f *Field) touch() (*stack.Stack, *nic, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.net.closed.Load() {
		return nil, nil, ErrClosed
	}
	if f.stack != nil {
		return f.stack, f.nic, nil
	}
	c := &nic{
		port: f.port, mtu: uint32(f.port.seg.cfg.MTU),
		caps: stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload | stack.CapabilityLoopback,
	}
	s, err := f.net.newStack(c, Traits{})
	if err != nil {
		return nil, nil, fmt.Errorf("start field %s: %w", f.cfg.Name, err)
	}
	if p := f.cfg.Prefix; p.Addr().Is4() {
		if err := s.AddProtocolAddress(nicID, protocolAddress(p.Addr(), p.Bits()), stack.AddressProperties{}); err != nil {
			s.Destroy()
			return nil, nil, fmt.Errorf("start field %s: %w", f.cfg.Name, stackError(err))
		}
	}
	f.stack, f.nic = s, c
	for key, k := range f.socks {
		_ = k.bind(s, key)
	}
	return s, c, nil
}

// receive takes a packet for one of the field's addresses.
func (f *Field) receive(fr *frame) {
	if t := f.traits(fr.info.Dst.Addr()); !fr.meet(&f.looks, &t, f.port) {
		fr.release()
		return
	}
	if f.shut(fr) {
		return
	}
	s, c, err := f.touch()
	if err != nil {
		fr.release()
		return
	}
	if fr.info.V6 && !f.give(s, fr.info.Dst.Addr()) {
		f.net.drop(fr, dropUnresolved)
		return
	}
	c.deliver(fr)
}

// shut answers a packet for a port that its address does not serve.
func (f *Field) shut(fr *frame) bool {
	in := &fr.info
	if f.cfg.Open == nil || in.Later || in.Proto != packet.TCP && in.Proto != packet.UDP || f.cfg.Open(in.Dst.Addr(), in.Proto, in.Dst.Port()) {
		return false
	}
	var out []byte
	switch {
	case in.Proto == packet.UDP:
		out = packet.Error(fr.bytes(), *in, in.Dst.Addr(), packet.PortUnreachable, 0)
	case in.Flags&packet.RST == 0:
		out = packet.Refuse(fr.bytes(), *in)
	}
	fr.release()
	if out != nil {
		if g := rawFrame(out); g != nil {
			f.port.originate(g)
		}
	}
	return true
}

// give makes an IPv6 address the stack's own: there is no matching by prefix for them.
func (f *Field) give(s *stack.Stack, a netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.have[a] {
		return true
	}
	if len(f.have) >= maxFieldAddrs {
		return false
	}
	if err := s.AddProtocolAddress(nicID, protocolAddress(a, a.BitLen()), stack.AddressProperties{}); err != nil {
		return false
	}
	f.have[a] = true
	return true
}

func (f *Field) unreachable(fr *frame) {
	e := fr.local(packet.HostUnreachable)
	fr.release()
	if e != nil {
		f.port.enqueue(e)
	}
}

func (f *Field) close() {
	f.mu.Lock()
	f.closed = true
	s := f.stack
	var socks []sock
	for _, k := range f.socks {
		socks = append(socks, k)
	}
	f.mu.Unlock()
	for _, k := range socks {
		k.shut()
	}
	if s != nil {
		s.Destroy()
	}
}

// Listen serves TCP on port of all the field's addresses; LocalAddr of a
// connection says which one was called. It ends with ctx or Close.
func (f *Field) Listen(ctx context.Context, port uint16) (net.Listener, error) {
	if port == 0 {
		return nil, fmt.Errorf("listen on field %s: a field has no free port to choose", f.cfg.Name)
	}
	l := &listener{net: f.net, owner: f, proto: family(f.cfg.Prefix.Addr()), ready: make(chan struct{}), closed: make(chan struct{})}
	l.addr = netip.AddrPortFrom(f.cfg.Prefix.Addr(), port)
	if err := f.add(l, sockKey{tcp.ProtocolNumber, port}); err != nil {
		return nil, fmt.Errorf("listen on field %s port %d: %w", f.cfg.Name, port, err)
	}
	l.stop = context.AfterFunc(ctx, l.shut)
	return l, nil
}

func (f *Field) add(k sock, key sockKey) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed || f.net.closed.Load():
		return ErrClosed
	case f.socks[key] != nil:
		return syscall.EADDRINUSE
	case f.stack != nil:
		if err := k.bind(f.stack, key); err != nil {
			return err
		}
	}
	f.socks[key] = k
	return nil
}

func (f *Field) remove(k sock) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, o := range f.socks {
		if o == k {
			delete(f.socks, key)
		}
	}
}

// ForwardConfig says what a field does with ports that nobody listens on.
type ForwardConfig struct {
	Network  string                    // "tcp" or "udp"
	InFlight int                       // TCP handshakes under way at one time, more are dropped; 0: 1,024
	Accept   func(netip.AddrPort) bool // is this port of this address open; nil: all are
	Handle   func(net.Conn)            // has the connection in a goroutine of its own and closes it
}

// Forward answers every port of the field that no listener has. There is one
// Forward for each network; it lasts until the network closes.
func (f *Field) Forward(cfg ForwardConfig) error {
	if cfg.Handle == nil || cfg.Network != "tcp" && cfg.Network != "udp" {
		return fmt.Errorf("forward on field %s: it needs a handler and network tcp or udp, not %q", f.cfg.Name, cfg.Network)
	}
	if cfg.InFlight <= 0 {
		cfg.InFlight = 1024
	}
	key := sockKey{tcp.ProtocolNumber, 0}
	if cfg.Network == "udp" {
		key.proto = udp.ProtocolNumber
	}
	if err := f.add(&forward{field: f, cfg: cfg}, key); err != nil {
		return fmt.Errorf("forward on field %s: %w", f.cfg.Name, err)
	}
	return nil
}

// forward is a sock for all the ports that are left.
type forward struct {
	field *Field
	cfg   ForwardConfig
}

func (w *forward) shut() {}

func (w *forward) bind(s *stack.Stack, key sockKey) error {
	if key.proto == udp.ProtocolNumber {
		s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s, w.udp).HandlePacket)
		return nil
	}
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, 0, w.cfg.InFlight, w.tcp).HandlePacket)
	return nil
}

// tcp has a SYN for a port that nobody listens on, in a goroutine of its own.
func (w *forward) tcp(r *tcp.ForwarderRequest) {
	id := r.ID() // not to be asked after Complete
	local := fromStack(tcpip.FullAddress{Addr: id.LocalAddress, Port: id.LocalPort})
	if w.cfg.Accept != nil && !w.cfg.Accept(local) {
		r.Complete(true)
		return
	}
	wq := new(waiter.Queue)
	ep, err := r.CreateEndpoint(wq)
	r.Complete(false)
	if err != nil {
		return
	}
	w.cfg.Handle(newConn(w.field.net, "tcp", ep, wq))
}

// udp has the first datagram of a flow; its answers come from where it was sent to.
func (w *forward) udp(r *udp.ForwarderRequest) bool {
	id := r.ID()
	if w.cfg.Accept != nil && !w.cfg.Accept(fromStack(tcpip.FullAddress{Addr: id.LocalAddress, Port: id.LocalPort})) {
		return false // the stack says "port unreachable"
	}
	wq := new(waiter.Queue)
	ep, err := r.CreateEndpoint(wq)
	if err != nil {
		return true
	}
	go w.cfg.Handle(newConn(w.field.net, "udp", ep, wq))
	return true
}
