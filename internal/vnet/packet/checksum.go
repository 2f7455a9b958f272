package packet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// sumAt is where the checksum lies in the transport header of proto; -1: it has none.
func sumAt(proto uint8) int {
	switch proto {
	case TCP:
		return 16
	case UDP:
		return 6
	case ICMP, ICMPv6:
		return 2
	}
	return -1
}

// pseudo is the sum of the pseudo header of RFC 9293 3.1 and RFC 8200 8.1.
func pseudo(b []byte, in Info, length int) uint16 {
	if in.Proto == ICMP {
		return 0
	}
	var addrs []byte
	if in.V6 {
		addrs = b[8:40]
	} else {
		addrs = b[12:20]
	}
	var tail [4]byte
	binary.BigEndian.PutUint16(tail[:], uint16(length))
	tail[3] = in.Proto
	return checksum.Combine(checksum.Checksum(addrs, 0), checksum.Checksum(tail[:], 0))
}

// transport is the part of b that its transport checksum covers, nil if it has none.
func transport(b []byte, in Info) []byte {
	at := sumAt(in.Proto)
	if at < 0 || in.Fragment || in.TotalLen > len(b) || in.HeaderLen+at+2 > in.TotalLen {
		return nil
	}
	return b[in.HeaderLen:in.TotalLen]
}

// FillChecksums writes the checksums of the IPv4 and the transport header of
// the whole packet b. Fragments keep the transport checksum they have.
func FillChecksums(b []byte, in Info) {
	if !in.V6 {
		FillHeader(b)
	}
	t := transport(b, in)
	if t == nil {
		return
	}
	at := sumAt(in.Proto)
	t[at], t[at+1] = 0, 0
	sum := ^checksum.Checksum(t, pseudo(b, in, len(t)))
	if sum == 0 && in.Proto == UDP {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(t[at:], sum)
}

// FillHeader writes the checksum of the IPv4 header at b.
func FillHeader(b []byte) {
	hl := int(b[0]&15) * 4
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^checksum.Checksum(b[:hl], 0))
}

// ChecksumsRight says whether a receiver would take the whole packet b: its
// IPv4 header sum and its transport sum are right. A UDP sum of 0 over IPv4
// means that there is none (RFC 768).
func ChecksumsRight(b []byte, in Info) bool {
	if !in.V6 && checksum.Checksum(b[:int(b[0]&15)*4], 0) != 0xffff {
		return false
	}
	t := transport(b, in)
	if t == nil {
		return true
	}
	if in.Proto == UDP && !in.V6 && t[6] == 0 && t[7] == 0 {
		return true
	}
	return checksum.Checksum(t, pseudo(b, in, len(t))) == 0xffff
}

// Hop takes one from the TTL or hop limit of b in place and says whether the
// packet may travel on (RFC 1812 5.3.1).
func Hop(b []byte) bool {
	if b[0]>>4 == 6 {
		if b[7] <= 1 {
			return false
		}
		b[7]--
		return true
	}
	if b[8] <= 1 {
		return false
	}
	b[8]--
	FillHeader(b)
	return true
}

// SetHops gives the whole packet b another TTL or hop limit.
func SetHops(b []byte, n uint8) {
	if b[0]>>4 == 6 {
		b[7] = n
		return
	}
	b[8] = n
	FillHeader(b)
}
