package respond

import (
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Unit is the prefix that a source is counted and blocked by: an IPv4 address, an
// IPv6 /64. In networks where one /64 holds the whole world it is the address:
// NAT64 (RFC 6052, RFC 8215), Teredo (RFC 4380).
func Unit(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	} else if translated(a) {
		bits = 128
	}
	return netip.PrefixFrom(a, bits).Masked()
}

func translated(a netip.Addr) bool {
	for _, p := range worlds {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

var worlds = [...]netip.Prefix{
	netip.PrefixFrom(netip.AddrFrom16([16]byte{0x00, 0x64, 0xff, 0x9b}), 96),
	netip.PrefixFrom(netip.AddrFrom16([16]byte{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}), 48),
	netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01}), 32),
}

// forbidden finds what p may not be blocked for: an entry of the allow list that
// it touches, itself or as the IPv4 address that stands behind it.
func (e *Engine) forbidden(p netip.Prefix) (action.Allowed, bool) {
	if a, hit := e.allow.Hit(p); hit {
		return a, true
	}
	if p.Addr().Is4() {
		return action.Allowed{}, false
	}
	b := p.Addr().As16()
	sixToFour := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x02}), 16)
	var inner netip.Prefix
	switch {
	case worlds[0].Overlaps(p): // NAT64: the last 32 bits
		inner = netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), max(0, p.Bits()-96))
	case sixToFour.Overlaps(p): // the 32 bits after 2002
		inner = netip.PrefixFrom(netip.AddrFrom4([4]byte(b[2:])), min(32, max(0, p.Bits()-16)))
	default:
		return action.Allowed{}, false
	}
	return e.allow.Hit(inner.Masked())
}

// wide tells that p needs a person's consent for its size alone.
func wide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 24
	}
	return p.Bits() < 48
}

// bigger are the prefixes around a /64 that offenders inside escalate to.
func bigger(p netip.Prefix) (p56, p48 netip.Prefix, ok bool) {
	if p.Addr().Is4() || p.Bits() != 64 {
		return p56, p48, false
	}
	return netip.PrefixFrom(p.Addr(), 56).Masked(), netip.PrefixFrom(p.Addr(), 48).Masked(), true
}
