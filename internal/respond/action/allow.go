package action

import (
	"context"
	"net/netip"
)

// Allowed is a network that no Block may touch, and why, for a person.
type Allowed struct {
	Prefix netip.Prefix // masked
	Why    string       // "default gateway of eth0"
}

// AllowList is what may never be hit. Who decides looks at it, and a backend
// that is a Guard holds it a second time where it acts.
type AllowList []Allowed

// Guard is a Backend that keeps the allow list itself. Allow replaces the list
// that it holds; what it blocks of it ends at once. A caller gives the list
// before the first Apply and whenever it changed.
type Guard interface {
	Allow(context.Context, AllowList) error
}

// Hit is the first entry that shares an address with p. An IPv4 address written
// as IPv6 is the IPv4 address, in p and in the list: an IPv6 prefix around all
// of them hits every IPv4 entry.
func (l AllowList) Hit(p netip.Prefix) (Allowed, bool) {
	p = Unmap(p)
	around := p.Addr().Is6() && p.Contains(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}))
	for _, a := range l {
		q := Unmap(a.Prefix)
		if q.Overlaps(p) || around && q.Addr().Is4() {
			return a, true
		}
	}
	return Allowed{}, false
}

// Unmap is p masked, with ::ffff:192.0.2.0/120 as 192.0.2.0/24 and without a
// zone; an invalid prefix stays one.
func Unmap(p netip.Prefix) netip.Prefix {
	a := p.Addr()
	if a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96).Masked()
	}
	return netip.PrefixFrom(a.WithZone(""), p.Bits()).Masked()
}

// Never is what may be blocked nowhere: addresses that mean this machine, this
// link, or many at once. The list is a copy.
func Never() AllowList { return append(AllowList(nil), never[:]...) }

var never = [...]Allowed{
	{netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8), "loopback"},
	{netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 8), "this network (RFC 791)"},
	{netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16), "link-local"},
	{netip.PrefixFrom(netip.AddrFrom4([4]byte{224}), 4), "multicast"},
	{netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 32), "broadcast"},
	{netip.PrefixFrom(netip.IPv6Unspecified(), 128), "no address"},
	{netip.PrefixFrom(netip.IPv6Loopback(), 128), "loopback"},
	{netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0x80}), 10), "link-local"},
	{netip.PrefixFrom(netip.AddrFrom16([16]byte{0xff}), 8), "multicast"},
}
