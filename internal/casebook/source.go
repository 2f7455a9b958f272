package casebook

import (
	"fmt"
	"net/netip"
	"strings"
)

// Source is whom an act of the operator is about: an IPv4 address, an IPv6
// /64 (an IPv6 address stands for its /64, because a machine picks addresses
// within one as it likes), or one session.
type Source struct {
	net     netip.Prefix
	session string
}

// ParseSource reads an address, a prefix (/32 of IPv4, /64 of IPv6) or the id of a session.
func ParseSource(text string) (Source, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return SourceOf(a), nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		s := SourceOf(p.Addr())
		if s.net.Bits() == p.Bits() {
			return s, nil
		}
		return Source{}, fmt.Errorf("source %q: a source is one IPv4 address or one IPv6 /64", text)
	}
	if id := strings.ToLower(text); len(id) == 36 && strings.Trim(id, "0123456789abcdef-") == "" && strings.Count(id, "-") == 4 {
		return Source{session: id}, nil
	}
	return Source{}, fmt.Errorf("source %.80q: write an address (198.51.100.7), an IPv6 /64 (2001:db8::/64) or the whole id of a session", text)
}

// SourceOf is the source that an address belongs to.
func SourceOf(a netip.Addr) Source {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return Source{}
	}
	return Source{net: p}
}

// Zero tells whether s is nobody.
func (s Source) Zero() bool { return s == Source{} }

// Session is the id where s is one session, else "".
func (s Source) Session() string { return s.session }

// Net is the addresses of s; not valid for a session.
func (s Source) Net() netip.Prefix { return s.net }

// Has tells whether an address belongs to s.
func (s Source) Has(a netip.Addr) bool {
	return s.net.IsValid() && s.net.Contains(a.Unmap().WithZone(""))
}

// String is the form that ParseSource reads: "198.51.100.7", "2001:db8::/64", or an id.
func (s Source) String() string {
	switch {
	case s.session != "":
		return s.session
	case s.net.Addr().Is4():
		return s.net.Addr().String()
	case s.net.IsValid():
		return s.net.String()
	}
	return ""
}
