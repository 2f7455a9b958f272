// Package nets holds the prefixes under which addresses are counted.
package nets

import (
	"net/netip"
	"strconv"
	"unsafe"
)

// Parse reads an address as programs write it: IPv4, IPv6 with or without
// brackets and zone. IPv4 in IPv6 is given as IPv4, a zone is left out.
func Parse(b []byte) (netip.Addr, bool) {
	if a, ok := parse4(b); ok {
		return a, true
	}
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		b = b[1 : len(b)-1]
	}
	if len(b) < 2 || len(b) > 64 {
		return netip.Addr{}, false
	}
	for i, c := range b {
		if c == ':' {
			break
		}
		if i >= 4 || i == len(b)-1 {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b)))
	if err != nil {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

func parse4(b []byte) (netip.Addr, bool) {
	var out [4]byte
	if len(b) < 7 || len(b) > 15 {
		return netip.Addr{}, false
	}
	part, n, digits := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			if digits > 0 && n == 0 {
				return netip.Addr{}, false // 010 means something else to others
			}
			if n = n*10 + int(c-'0'); n > 255 {
				return netip.Addr{}, false
			}
			digits++
		case c == '.' && digits > 0 && part < 3:
			out[part] = byte(n)
			part, n, digits = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	if part != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	out[3] = byte(n)
	return netip.AddrFrom4(out), true
}

// Of gives the prefixes under which an address is counted: net is what one party
// can take a new address from at will, IPv4 /32 and IPv6 /64; wide and wider are
// its /56 and /48, and invalid where net is not a /64.
//
// Addresses that stand for machines one by one are counted whole: those of the
// link, and those that carry an IPv4 address in their last bits (NAT64, Teredo).
func Of(a netip.Addr) (net, wide, wider netip.Prefix) {
	bits := 64
	if a.Is4() || a.IsLinkLocalUnicast() || a.IsLoopback() || embeds4(a) {
		bits = a.BitLen()
	}
	net, _ = a.Prefix(bits)
	if bits == 64 {
		wide, _ = a.Prefix(56)
		wider, _ = a.Prefix(48)
	}
	return net, wide, wider
}

// embeds4 tells whether many parties share the /64 of an address.
func embeds4(a netip.Addr) bool {
	b := a.As16()
	nat64 := b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b
	teredo := b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0
	return nat64 || teredo
}

// Append writes a prefix, quicker than its AppendTo for IPv4.
func Append(dst []byte, p netip.Prefix) []byte {
	a := p.Addr()
	if !a.Is4() || p.Bits() != 32 {
		return p.AppendTo(dst)
	}
	for i, c := range a.As4() {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(c), 10)
	}
	return append(dst, "/32"...)
}
