// Package packet reads and makes the IP packets that travel on the virtual
// network: IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293), UDP (RFC 768),
// ICMP (RFC 792, RFC 4443). It works on plain bytes, allocates only for what
// it makes, and never trusts a length it did not check.
package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Protocol numbers (IANA).
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
)

// TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// ErrMalformed is what Parse gives for bytes that are no IP packet.
var ErrMalformed = errors.New("malformed IP packet")

// Tuple is what tells flows apart: protocol, source, destination. Ports of an
// ICMP echo are its identifier at the source and 0 at the destination (the
// reply has them the other way round); of everything else without ports, 0.
type Tuple struct {
	Proto    uint8
	Src, Dst netip.AddrPort
}

// Reverse is the tuple of the answers.
func (t Tuple) Reverse() Tuple { return Tuple{Proto: t.Proto, Src: t.Dst, Dst: t.Src} }

// Info is what the network needs to know of a packet.
type Info struct {
	Tuple
	V6        bool
	TTL       uint8  // or hop limit
	HeaderLen int    // where the transport header begins
	TotalLen  int    // of the whole packet
	Flags     uint8  // of TCP
	Seq       uint32 // of TCP
	Type      uint8  // of ICMP
	Code      uint8  // of ICMP
	Fragment  bool   // any part of a fragmented datagram
	Later     bool   // a fragment that is not the first: it has no transport header
	FragID    uint32
}

// Parse reads the headers of an IP packet. b may end after the transport
// header, and total is the length of the whole packet.
func Parse(b []byte, total int) (Info, error) {
	if len(b) < 20 || total < len(b) {
		return Info{}, ErrMalformed
	}
	switch b[0] >> 4 {
	case 4:
		return parse4(b, total)
	case 6:
		return parse6(b, total)
	}
	return Info{}, ErrMalformed
}

func parse4(b []byte, total int) (Info, error) {
	hl, tl := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hl < 20 || hl > len(b) || tl < hl || tl > total {
		return Info{}, ErrMalformed
	}
	frag := binary.BigEndian.Uint16(b[6:])
	in := Info{
		TTL: b[8], HeaderLen: hl, TotalLen: tl,
		Fragment: frag&0x3fff != 0, Later: frag&0x1fff != 0, FragID: uint32(binary.BigEndian.Uint16(b[4:])),
	}
	in.Proto = b[9]
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	if len(b) > tl {
		b = b[:tl]
	}
	return in.ports(b[hl:], src, dst)
}

// maxExtensions bounds the chain of IPv6 extension headers that is walked.
const maxExtensions = 8

func parse6(b []byte, total int) (Info, error) {
	if len(b) < 40 {
		return Info{}, ErrMalformed
	}
	tl := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if tl > total {
		return Info{}, ErrMalformed
	}
	if len(b) > tl {
		b = b[:tl]
	}
	in := Info{V6: true, TTL: b[7], TotalLen: tl}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, at := b[6], 40
	for range maxExtensions {
		if next != 0 && next != 43 && next != 44 && next != 60 {
			break
		}
		if at+8 > len(b) {
			return Info{}, ErrMalformed
		}
		size := (int(b[at+1]) + 1) * 8
		if next == 44 {
			size = 8
			off := binary.BigEndian.Uint16(b[at+2:])
			in.Fragment, in.Later = true, off&0xfff8 != 0
			in.FragID = binary.BigEndian.Uint32(b[at+4:])
		}
		next, at = b[at], at+size
		if at > len(b) {
			return Info{}, ErrMalformed
		}
		if in.Later {
			break
		}
	}
	in.Proto, in.HeaderLen = next, at
	return in.ports(b[at:], src, dst)
}

// ports fills in what the transport header t says.
func (in Info) ports(t []byte, src, dst netip.Addr) (Info, error) {
	in.Src, in.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	if in.Later {
		return in, nil
	}
	switch in.Proto {
	case TCP:
		if len(t) < 20 {
			return in, ErrMalformed
		}
		in.Flags, in.Seq = t[13], binary.BigEndian.Uint32(t[4:])
	case UDP:
		if len(t) < 8 {
			return in, ErrMalformed
		}
	case ICMP, ICMPv6:
		if len(t) < 8 {
			return in, ErrMalformed
		}
		in.Type, in.Code = t[0], t[1]
		id := binary.BigEndian.Uint16(t[4:])
		switch {
		case in.IsEchoRequest():
			in.Src = netip.AddrPortFrom(src, id)
		case in.IsEchoReply():
			in.Dst = netip.AddrPortFrom(dst, id)
		}
		return in, nil
	default:
		return in, nil
	}
	in.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(t))
	in.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(t[2:]))
	return in, nil
}

// IsEchoRequest says whether the packet asks for an echo.
func (in Info) IsEchoRequest() bool {
	return in.Proto == ICMP && !in.V6 && in.Type == 8 || in.Proto == ICMPv6 && in.V6 && in.Type == 128
}

// IsEchoReply says whether the packet is an answer to an echo request.
func (in Info) IsEchoReply() bool {
	return in.Proto == ICMP && !in.V6 && in.Type == 0 || in.Proto == ICMPv6 && in.V6 && in.Type == 129
}

// IsICMPError says whether the packet is an error about another packet, which
// it quotes (RFC 792: 3, 4, 5, 11, 12; RFC 4443: types below 128).
func (in Info) IsICMPError() bool {
	switch {
	case in.Later:
		return false
	case in.Proto == ICMPv6 && in.V6:
		return in.Type < 128
	case in.Proto == ICMP && !in.V6:
		return in.Type == 3 || in.Type == 4 || in.Type == 5 || in.Type == 11 || in.Type == 12
	}
	return false
}

// Quoted reads the headers of the packet that the ICMP error b is about.
// At least eight octets of its transport header are quoted (RFC 792).
func Quoted(b []byte, in Info) (Info, bool) {
	at := in.HeaderLen + 8
	if !in.IsICMPError() || at+20 > len(b) {
		return Info{}, false
	}
	q := b[at:]
	// The quoted packet may be cut anywhere after eight octets: lengthen a
	// short TCP header with zeros so that Parse sees its ports.
	var buf [128]byte
	n := copy(buf[:], q)
	in, err := Parse(buf[:max(n, 60)], 1<<16)
	return in, err == nil
}
