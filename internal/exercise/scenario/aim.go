package scenario

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// aim is an action with those who do it and what it goes to.
type aim struct {
	node   *yamldoc.Node
	path   string // for people
	action string
	from   Texts // hosts or groups
	to     *Target
}

// line is where the target stands.
func (m *aim) line() int {
	if v := value(m.node, "target"); v != nil {
		return v.Line
	}
	return m.node.Line
}

// aims checks a target against what the action takes and what the network has.
func (c *checker) aims(s *Scenario, m *aim) {
	a, t := FindAction(m.action), m.to
	if a == nil {
		return // told
	}
	set := 0
	for _, yes := range []bool{t.Host != "", len(t.Hosts) > 0, t.Network != "", t.External != ""} {
		if yes {
			set++
		}
	}
	switch {
	case set > 1:
		c.fault(m.line(), "write host, hosts, network or external", "%s: one target, not %d", m.path, set)
	case set == 0 && a.Targets&ToNothing == 0:
		c.fault(m.line(), "write target: {host: NAME}", "%s: %s needs a target", m.path, m.action)
	case (t.Host != "" || len(t.Hosts) > 0) && a.Targets&ToHost == 0, t.Network != "" && a.Targets&ToNetwork == 0, t.External != "" && a.Targets&ToExternal == 0:
		c.fault(m.line(), "see `lapwing range schema`", "%s: %s does not go there", m.path, m.action)
	case t.External != "" && !outside(t.External):
		c.fault(m.line(), "use an address of 192.0.2.0/24, 198.51.100.0/24 or 203.0.113.0/24, or a name below .invalid, .test or .example", "%s: %q is somebody's", m.path, clip(t.External))
	}
	if !a.Host() { // others write records, and go nowhere
		c.arrives(s, m)
	}
}

// arrives checks that there is a way: a router to the internet inside, IPv6
// addresses where they are asked for.
func (c *checker) arrives(s *Scenario, m *aim) {
	t := m.to
	if t.IPv6 && (t.Network != "" || t.External != "") {
		c.fault(m.line(), "name hosts: a network is gone through by IPv4, and an external place says itself what it is", "%s: ipv6 belongs to host and hosts", m.path)
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		acts := slices.Contains(m.from, h.Name) || slices.Contains(m.from, h.Group)
		if n := s.network(h.Network); t.External != "" && acts && n != nil && n.Gateway == "" {
			c.fault(m.line(), "give the network gateway: ROUTER", "%s: no router leads from the network %s of %s to %s", m.path, n.Name, h.Name, clip(t.External))
		}
		names := append(Texts{t.Host}, t.Hosts...)
		aimed := slices.Contains(names, h.Name) || slices.Contains(names, h.Group)
		if t.IPv6 && (acts || aimed) && !h.IP6.IsValid() {
			c.fault(m.line(), "give its network cidr6", "%s: the host %s has no IPv6 address", m.path, h.Name)
		}
	}
}

func (s *Scenario) network(name string) *Network {
	for i := range s.Networks {
		if s.Networks[i].Name == name {
			return &s.Networks[i]
		}
	}
	return nil
}

// outside tells whether a place of the internet inside may be named so.
func outside(word string) bool {
	if a, err := netip.ParseAddr(word); err == nil {
		return slices.ContainsFunc(internet, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if !fits(dnsPattern, word) {
		return false
	}
	w := "." + strings.ToLower(word)
	return strings.HasSuffix(w, ".invalid") || strings.HasSuffix(w, ".test") || strings.HasSuffix(w, ".example") ||
		strings.HasSuffix(w, ".example.com") || strings.HasSuffix(w, ".example.org") || strings.HasSuffix(w, ".example.net")
}
