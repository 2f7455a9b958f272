package exercise

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// Place is where a trainee is in his network. It follows from the scenario alone:
// a network that is made anew has the same.
type Place struct {
	Host     *vnet.Host // that he sits at
	Spec     *scenario.Host
	Addrs    []netip.Addr   // on the host's segment, for a machine of his own: see Live.Attach
	Names    []netip.Addr   // of a server of names on that segment
	Networks []netip.Prefix // that there are, the internet inside among them
}

// Errors of a Place.
var (
	ErrNoEntry = errors.New("no host lets trainees in: give one access: [socks5, wireguard]")
	ErrNoRoom  = errors.New("no address is free for a trainee's own machine and a server of names: make the network larger")
)

// namesHost is the server of names that trainees ask; no host of a scenario can
// be called so.
const namesHost = "names.range"

// seat finds the trainee's place and starts its server of names.
func (l *Live) seat(ctx context.Context) error {
	p := &l.place
	for i := range l.x.sc.Hosts {
		if h := &l.x.sc.Hosts[i]; len(h.Access) > 0 {
			p.Spec, p.Host = h, l.lab.hosts[h.Name].net
			break
		}
	}
	if p.Spec == nil {
		return fmt.Errorf("%s: %w", l.x.sc.ID, ErrNoEntry)
	}
	for i := range l.x.sc.Networks {
		n := &l.x.sc.Networks[i]
		p.Networks = append(p.Networks, prefixes(n)...)
		if n.Name != p.Spec.Network {
			continue
		}
		for _, q := range prefixes(n) {
			free := l.lab.free(n, q, 2)
			if len(free) < 2 {
				return fmt.Errorf("network %s: %w", n.Name, ErrNoRoom)
			}
			p.Addrs, p.Names = append(p.Addrs, free[0]), append(p.Names, free[1])
		}
	}
	p.Networks = append(p.Networks, l.lab.internet.Prefixes()...)
	l.mu.Lock()
	for i := range l.x.sc.Hosts {
		if len(l.x.sc.Hosts[i].Access) > 0 {
			l.own = append(l.own, addrs(&l.x.sc.Hosts[i])...)
		}
	}
	l.own = append(l.own, p.Addrs...)
	l.mu.Unlock()
	return l.lab.serveNames(ctx, l.lab.segments[p.Spec.Network], p.Names)
}

// free are up to k addresses that no host and no gateway of a network has, from
// the end of q.
func (l *lab) free(n *scenario.Network, q netip.Prefix, k int) []netip.Addr {
	taken := map[netip.Addr]bool{q.Masked().Addr(): true}
	for _, a := range l.gateways(n) {
		taken[a] = true
	}
	for i := range l.sc.Hosts {
		taken[l.sc.Hosts[i].IP], taken[l.sc.Hosts[i].IP6] = true, true
	}
	last := service.Last(q)
	if last.Is4() && q.Bits() < 31 {
		taken[last] = true // broadcast
	}
	var out []netip.Addr
	for a := last; len(out) < k && q.Contains(a); a = a.Prev() {
		if !taken[a] {
			out = append(out, a)
		}
	}
	return out
}

// serveNames answers DNS on a host of the range's own, whose log nobody watches.
func (l *lab) serveNames(ctx context.Context, seg *vnet.Segment, at []netip.Addr) error {
	n, err := seg.AddHost(vnet.HostConfig{Name: namesHost, Addrs: at})
	if err != nil {
		return err
	}
	host, err := service.NewHost(service.HostConfig{
		Name: "names", Domain: "range", Persona: "linux-6", Addr: netip.PrefixFrom(at[0], at[0].BitLen()), Seed: l.seedOf("names"), Clock: l.clk, Sink: nobody{}, Programs: l.progs, Log: l.log,
	})
	if err != nil {
		return err
	}
	srv, err := service.New("dns", service.Config{Host: host, Zone: l.zone})
	if err != nil {
		return err
	}
	pc, err := n.ListenPacket(ctx, 53)
	if err != nil {
		return err
	}
	l.served.Go(func() { l.ended(srv.ServePacket(ctx, pc)) })
	ln, err := n.Listen(ctx, 53)
	if err != nil {
		return err
	}
	l.served.Go(func() { l.ended(srv.Serve(ctx, ln)) })
	return nil
}

// Place is where the trainee is.
func (l *Live) Place() Place { return l.place }

// Attach joins a machine of the trainee's own to his network, under the addresses
// of his Place. Who had them before is to be closed first, or to be of another
// network.
func (l *Live) Attach(name string) (*vnet.AttachedPort, error) {
	return l.lab.net.AttachPort(l.lab.segments[l.place.Spec.Network], name, l.place.Addrs...)
}
