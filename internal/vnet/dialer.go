package vnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// Dialer opens connections from one host of a network, and from nowhere else:
// Host.Dialer makes it, its zero value reaches nothing, and there is none for
// the machine's own network.
type Dialer struct {
	host  *Host
	label string
}

// errNoHost is the zero Dialer's answer.
var errNoHost = errors.New("this dialer belongs to no virtual host")

// Dialer opens connections from h.
func (h *Host) Dialer() *Dialer { return &Dialer{host: h} }

// Labelled is a dialer whose traffic carries label as the ground truth: it is
// known before the first packet leaves, so that every packet of it, and of
// the answers, is labelled in captures and flows.
func (d *Dialer) Labelled(label string) *Dialer { return &Dialer{host: d.host, label: label} }

// Label is what Labelled was given.
func (d *Dialer) Label() string { return d.label }

// Host is where the dialer dials from, nil for the zero Dialer.
func (d *Dialer) Host() *Host { return d.host }

// DialContext connects to address ("name:port", "10.0.0.1:80", "[2001:db8::1]:80").
// network is tcp, tcp4, tcp6, udp, udp4 or udp6. Names are looked up in the
// network's own DNS, and all their addresses are tried in turn. A TCP
// connection is a *Conn; so is a UDP one.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	return c, nil
}

// textAddr is an address as it was asked for.
type textAddr struct{ network, text string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.text }

func (d *Dialer) dial(ctx context.Context, network, address string) (*Conn, error) {
	if d.host == nil {
		return nil, errNoHost
	}
	base, fam, err := splitNetwork(network)
	if err != nil {
		return nil, err
	}
	name, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("port %q is not a number between 1 and 65535", portText)
	}
	addrs, err := d.lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s has no address that %s reaches by %s", name, d.host.cfg.Name, network)
	for _, a := range addrs {
		if fam == 4 && !a.Is4() || fam == 6 && !a.Is6() || !d.host.addr(a).IsValid() {
			continue
		}
		var c *Conn
		if c, err = d.connect(ctx, base, netip.AddrPortFrom(a, uint16(port))); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, err
}

func splitNetwork(network string) (base string, family int, err error) {
	switch network {
	case "tcp", "udp":
		return network, 0, nil
	case "tcp4", "udp4":
		return network[:3], 4, nil
	case "tcp6", "udp6":
		return network[:3], 6, nil
	}
	return "", 0, fmt.Errorf("network %q: tcp, tcp4, tcp6, udp, udp4 and udp6 are known", network)
}

// connect opens one socket: bound first, so that the label is registered
// under its five-tuple before anything is sent.
func (d *Dialer) connect(ctx context.Context, base string, to netip.AddrPort) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, _, err := d.host.touch()
	if err != nil {
		return nil, err
	}
	proto, ipProto := tcp.ProtocolNumber, uint8(packet.TCP)
	if base == "udp" {
		proto, ipProto = udp.ProtocolNumber, packet.UDP
	}
	wq := new(waiter.Queue)
	ep, terr := s.NewEndpoint(proto, family(to.Addr()), wq)
	if terr != nil {
		return nil, stackError(terr)
	}
	if terr := ep.Bind(full(netip.AddrPortFrom(d.host.addr(to.Addr()), 0))); terr != nil {
		ep.Close()
		return nil, stackError(terr)
	}
	local, terr := ep.GetLocalAddress()
	if terr != nil {
		ep.Close()
		return nil, stackError(terr)
	}
	n := d.host.net
	n.flows.register(packet.Tuple{Proto: ipProto, Src: fromStack(local), Dst: to}, d.label, n.clk.Now())
	if err := await(ctx, ep, wq, full(to)); err != nil {
		ep.Close()
		return nil, err
	}
	c := newConn(n, base, ep, wq)
	c.label = d.label
	return c, nil
}

// await connects ep and waits for the handshake.
func await(ctx context.Context, ep tcpip.Endpoint, wq *waiter.Queue, to tcpip.FullAddress) error {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	terr := ep.Connect(to)
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ready:
		}
		terr = ep.LastError()
	}
	return stackError(terr)
}

// LookupHost finds the addresses of name in the network's DNS.
func (h *Host) LookupHost(ctx context.Context, name string) ([]netip.Addr, error) {
	return h.Dialer().lookup(ctx, name)
}

// LookupHost finds the addresses of name in the network's DNS.
func (d *Dialer) LookupHost(ctx context.Context, name string) ([]netip.Addr, error) {
	if d.host == nil {
		return nil, errNoHost
	}
	return d.lookup(ctx, name)
}

func (d *Dialer) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		if a.Zone() != "" {
			return nil, fmt.Errorf("address %s: zones are not known here", name)
		}
		return []netip.Addr{a.Unmap()}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	addrs := d.host.net.zone.Lookup(name)
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return addrs, nil
}

// Ping sends one ICMP echo request and waits for the answer or ctx: it
// returns how long that took. There is no answer from isolated or absent hosts.
func (d *Dialer) Ping(ctx context.Context, addr netip.Addr) (time.Duration, error) {
	if d.host == nil {
		return 0, errNoHost
	}
	src := d.host.addr(addr)
	if !src.IsValid() {
		return 0, fmt.Errorf("ping %s: %s has no address of that family", addr, d.host.cfg.Name)
	}
	proto := uint8(packet.ICMP)
	if addr.Is6() {
		proto = packet.ICMPv6
	}
	begun := d.host.net.clk.Now()
	got, err := d.host.probes.run(ctx, d, packet.Tuple{Proto: proto, Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(addr, 0)})
	if err != nil {
		return 0, fmt.Errorf("ping %s: %w", addr, err)
	}
	if got != Open {
		return 0, fmt.Errorf("ping %s: %w", addr, stackError(&tcpip.ErrHostUnreachable{}))
	}
	return d.host.net.clk.Now().Sub(begun), nil
}

// Probe sends one SYN to addr and port and says what came back: Open for
// SYN-ACK (answered with RST), Closed for RST, Filtered for an ICMP error. ctx
// ends the waiting with its error.
func (d *Dialer) Probe(ctx context.Context, addr netip.Addr, port uint16) (State, error) {
	if d.host == nil {
		return Unanswered, errNoHost
	}
	src := d.host.addr(addr)
	if !src.IsValid() {
		return Unanswered, fmt.Errorf("probe %s: %s has no address of that family", addr, d.host.cfg.Name)
	}
	st, err := d.host.probes.run(ctx, d, packet.Tuple{Proto: packet.TCP, Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(addr, port)})
	if err != nil {
		return st, fmt.Errorf("probe %s: %w", netip.AddrPortFrom(addr, port), err)
	}
	return st, nil
}
