package exercise

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
)

// target is one address that an act goes to.
type target struct {
	name string // of the host, or the address in words
	addr netip.Addr
}

// maxTargets bounds what one act goes to.
const maxTargets = 1 << 16

// targets are the addresses that an act goes to, inside the scenario and nowhere
// else: what it names is a host, a network or a place of the internet inside.
func (l *lab) targets(a *activity) ([]target, error) {
	t := &a.target
	switch {
	case t.Host != "" || len(t.Hosts) > 0:
		var out []target
		for _, name := range append([]string{t.Host}, t.Hosts...) {
			for i := range l.sc.Hosts {
				h := &l.sc.Hosts[i]
				if name == "" || h.Name != name && h.Group != name {
					continue
				}
				if t.IPv6 {
					out = append(out, target{h.Name, h.IP6})
				} else {
					out = append(out, target{h.Name, h.IP})
				}
			}
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("there is no host %s%v", t.Host, t.Hosts)
		}
		return out, nil
	case t.Network != "":
		return l.within(t.Network)
	case t.External != "":
		return []target{{t.External, l.outside[t.External]}}, nil
	}
	if m := l.hosts[a.from]; m != nil && m.host != nil {
		if g := l.gateway(m.spec); g.IsValid() {
			return []target{{"gateway", g}}, nil
		}
	}
	return nil, fmt.Errorf("%s has no target", a.id)
}

// within is every address of a network.
func (l *lab) within(network string) ([]target, error) {
	for i := range l.sc.Networks {
		n := &l.sc.Networks[i]
		if n.Name != network {
			continue
		}
		var out []target
		for a := n.CIDR.Masked().Addr().Next(); n.CIDR.Contains(a) && len(out) < maxTargets; a = a.Next() {
			if n.CIDR.Contains(a.Next()) { // the last one is the broadcast's
				out = append(out, target{cmp.Or(l.names[a], a.String()), a})
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("there is no network %q", network)
}

// portOf is the port of an act's target: the one named, or the action's usual.
func portOf(a *activity) uint16 {
	if a.target.Port != 0 {
		return uint16(a.target.Port)
	}
	if act := scenario.FindAction(a.action); act != nil {
		return uint16(act.Port)
	}
	return 0
}
