package packet

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// Readdress gives the whole packet b, which in describes, another source and
// destination in place, and sets its checksums right without summing the data
// anew (RFC 1624). Families stay as they are. Of an echo, the port beside the
// address is its identifier; of a later fragment, only addresses change.
func Readdress(b []byte, in Info, src, dst netip.AddrPort) {
	sum := readdressIP(b, in.V6, src.Addr(), dst.Addr())
	at := sumAt(in.Proto)
	if in.Later || at < 0 || in.HeaderLen+at+2 > len(b) {
		return
	}
	t := b[in.HeaderLen:]
	if in.Proto == ICMP { // its sum does not cover addresses
		sum = 0
	}
	switch {
	case in.IsEchoRequest():
		sum = checksum.Combine(sum, swap(t[4:6], src.Port()))
	case in.IsEchoReply():
		sum = checksum.Combine(sum, swap(t[4:6], dst.Port()))
	case in.Proto == TCP || in.Proto == UDP:
		sum = checksum.Combine(sum, checksum.Combine(swap(t[0:2], src.Port()), swap(t[2:4], dst.Port())))
	}
	old := binary.BigEndian.Uint16(t[at:])
	if in.Proto == UDP && !in.V6 && old == 0 { // it has none
		return
	}
	now := ^checksum.Combine(^old, sum)
	if now == 0 && in.Proto == UDP {
		now = 0xffff
	}
	binary.BigEndian.PutUint16(t[at:], now)
}

// readdressIP writes addresses into the IP header of b and gives what they
// change of a sum over them.
func readdressIP(b []byte, v6 bool, src, dst netip.Addr) uint16 {
	at, size := 12, 4
	if v6 {
		at, size = 8, 16
	}
	addrs := b[at : at+2*size]
	before := checksum.Checksum(addrs, 0)
	copy(addrs, src.AsSlice())
	copy(addrs[size:], dst.AsSlice())
	if !v6 {
		FillHeader(b)
	}
	return checksum.Combine(^before, checksum.Checksum(addrs, 0))
}

// swap writes v and gives what that changes of a sum over it.
func swap(at []byte, v uint16) uint16 {
	before := binary.BigEndian.Uint16(at)
	binary.BigEndian.PutUint16(at, v)
	return checksum.Combine(^before, v)
}

// ReaddressError is Readdress for the ICMP error b and the packet that it
// quotes: qsrc and qdst are that packet's new ends.
func ReaddressError(b []byte, in Info, src, dst netip.Addr, qsrc, qdst netip.AddrPort) bool {
	q, ok := Quoted(b, in)
	if !ok {
		return false
	}
	readdressIP(b, in.V6, src, dst)
	quote := b[in.HeaderLen+8 : min(in.TotalLen, len(b))]
	if q.HeaderLen+8 > len(quote) {
		return false
	}
	readdressIP(quote, q.V6, qsrc.Addr(), qdst.Addr())
	switch t := quote[q.HeaderLen:]; {
	case q.Proto == TCP || q.Proto == UDP:
		binary.BigEndian.PutUint16(t, qsrc.Port())
		binary.BigEndian.PutUint16(t[2:], qdst.Port())
	case q.IsEchoRequest():
		binary.BigEndian.PutUint16(t[4:], qsrc.Port())
	case q.IsEchoReply():
		binary.BigEndian.PutUint16(t[4:], qdst.Port())
	}
	FillChecksums(b, in)
	return true
}
