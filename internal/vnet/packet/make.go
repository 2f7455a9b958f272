package packet

import (
	"encoding/binary"
	"net/netip"
)

// header makes an IP header with room for a payload of n octets behind it.
// Both addresses are of one family.
func header(proto, ttl uint8, src, dst netip.Addr, n int) []byte {
	if src.Is4() {
		b := make([]byte, 20+n)
		b[0] = 0x45
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		b[8], b[9] = ttl, proto
		s, d := src.As4(), dst.As4()
		copy(b[12:], s[:])
		copy(b[16:], d[:])
		return b
	}
	b := make([]byte, 40+n)
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	b[6], b[7] = proto, ttl
	s, d := src.As16(), dst.As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
	return b
}

func finish(b []byte) []byte {
	if in, err := Parse(b, len(b)); err == nil {
		FillChecksums(b, in)
	}
	return b
}

// Segment makes a TCP segment without payload. opts is padded to four octets.
func Segment(t Tuple, seq, ack uint32, flags uint8, opts []byte) []byte {
	ol := (len(opts) + 3) &^ 3
	b := header(TCP, 64, t.Src.Addr(), t.Dst.Addr(), 20+ol)
	h := b[len(b)-20-ol:]
	binary.BigEndian.PutUint16(h, t.Src.Port())
	binary.BigEndian.PutUint16(h[2:], t.Dst.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], ack)
	h[12] = byte(5+ol/4) << 4
	h[13] = flags
	if flags&RST == 0 {
		binary.BigEndian.PutUint16(h[14:], 64240)
	}
	copy(h[20:], opts)
	return finish(b)
}

// Echo makes an ICMP echo request from t.Src, whose port is the identifier.
func Echo(t Tuple, seq uint16, payload []byte) []byte {
	proto, typ := uint8(ICMP), byte(8)
	if t.Src.Addr().Is6() {
		proto, typ = ICMPv6, 128
	}
	b := header(proto, 64, t.Src.Addr(), t.Dst.Addr(), 8+len(payload))
	h := b[len(b)-8-len(payload):]
	h[0] = typ
	binary.BigEndian.PutUint16(h[4:], t.Src.Port())
	binary.BigEndian.PutUint16(h[6:], seq)
	copy(h[8:], payload)
	return finish(b)
}

// EchoReply answers the echo request b; nil if b is none.
func EchoReply(b []byte, in Info, ttl uint8) []byte {
	if !in.IsEchoRequest() || in.TotalLen > len(b) || in.Fragment {
		return nil
	}
	body := b[in.HeaderLen:in.TotalLen]
	r := header(in.Proto, ttl, in.Dst.Addr(), in.Src.Addr(), len(body))
	h := r[len(r)-len(body):]
	copy(h, body)
	h[0] = 0
	if in.V6 {
		h[0] = 129
	}
	return finish(r)
}

// Reason is why an ICMP error is sent.
type Reason int

// Reasons.
const (
	TimeExceeded Reason = iota
	NetUnreachable
	HostUnreachable
	PortUnreachable
	Prohibited
	TooBig
)

// types4 and types6 hold the type and code of each Reason.
var (
	types4 = [...][2]byte{TimeExceeded: {11, 0}, NetUnreachable: {3, 0}, HostUnreachable: {3, 1}, PortUnreachable: {3, 3}, Prohibited: {3, 13}, TooBig: {3, 4}}
	types6 = [...][2]byte{TimeExceeded: {3, 0}, NetUnreachable: {1, 0}, HostUnreachable: {1, 3}, PortUnreachable: {1, 4}, Prohibited: {1, 1}, TooBig: {2, 0}}
)

// Error makes the ICMP error that from sends about the packet b: nil where
// none may be sent (RFC 1122 3.2.2, RFC 4443 2.4e: about an ICMP error, a
// later fragment, or a packet to or from a group). mtu is for TooBig alone.
func Error(b []byte, in Info, from netip.Addr, why Reason, mtu int) []byte {
	src, dst := in.Src.Addr(), in.Dst.Addr()
	if in.IsICMPError() || in.Later || src.IsMulticast() || src.IsUnspecified() || dst.IsMulticast() || from.Is4() != src.Is4() {
		return nil
	}
	proto, kind, limit := uint8(ICMP), types4[why], 548 // RFC 1812 4.3.2.3: at most 576 octets
	if in.V6 {
		proto, kind, limit = ICMPv6, types6[why], 1232 // RFC 4443 2.4c: at most the minimum MTU
	}
	quote := b[:min(len(b), in.TotalLen, limit)]
	r := header(proto, 64, from, src, 8+len(quote))
	h := r[len(r)-8-len(quote):]
	h[0], h[1] = kind[0], kind[1]
	if why == TooBig {
		binary.BigEndian.PutUint32(h[4:], uint32(mtu))
	}
	copy(h[8:], quote)
	return finish(r)
}

// Refuse makes the RST that answers the TCP segment b to a closed port (RFC 9293 3.10.7.1).
func Refuse(b []byte, in Info) []byte {
	t := b[in.HeaderLen:in.TotalLen]
	seq, ack := binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:])
	if in.Flags&ACK != 0 {
		return Segment(in.Reverse(), ack, 0, RST, nil)
	}
	n := uint32(len(t) - int(t[12]>>4)*4)
	if in.Flags&SYN != 0 {
		n++
	}
	if in.Flags&FIN != 0 {
		n++
	}
	return Segment(in.Reverse(), 0, seq+n, RST|ACK, nil)
}

// Fragment cuts the IPv4 packet b into pieces of at most mtu octets (RFC 791
// 3.2); nil if it may not be cut. Options are kept in all pieces.
func Fragment(b []byte, in Info, mtu int) [][]byte {
	step := (mtu - in.HeaderLen) &^ 7
	if in.V6 || b[6]&0x40 != 0 || step < 8 {
		return nil
	}
	flags := binary.BigEndian.Uint16(b[6:])
	body := b[in.HeaderLen:in.TotalLen]
	var out [][]byte
	for at := 0; at < len(body); at += step {
		part := body[at:min(at+step, len(body))]
		p := make([]byte, in.HeaderLen+len(part))
		copy(p, b[:in.HeaderLen])
		copy(p[in.HeaderLen:], part)
		fo := flags + uint16(at/8)
		if at+len(part) < len(body) {
			fo |= 0x2000
		}
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[6:], fo)
		FillHeader(p)
		out = append(out, p)
	}
	return out
}
