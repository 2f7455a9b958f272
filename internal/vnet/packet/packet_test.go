package packet_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

func tuple(proto uint8, src, dst string) packet.Tuple {
	return packet.Tuple{Proto: proto, Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
}

func samples() map[string][]byte {
	return map[string][]byte{
		"syn4":  packet.Segment(tuple(packet.TCP, "10.0.0.1:1000", "10.0.0.2:80"), 1, 0, packet.SYN, []byte{2, 4, 5, 0xb4}),
		"syn6":  packet.Segment(tuple(packet.TCP, "[2001:db8::1]:1000", "[2001:db8::2]:80"), 1, 0, packet.SYN, nil),
		"echo4": packet.Echo(tuple(packet.ICMP, "10.0.0.1:7", "10.0.0.2:0"), 1, []byte("payload!")),
		"echo6": packet.Echo(tuple(packet.ICMPv6, "[2001:db8::1]:7", "[2001:db8::2]:0"), 1, []byte("payload!")),
	}
}

func TestMadePacketsAreRight(t *testing.T) {
	for name, b := range samples() {
		in, err := packet.Parse(b, len(b))
		if err != nil || in.TotalLen != len(b) || !packet.ChecksumsRight(b, in) {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
		c := bytes.Clone(b)
		c[len(c)-1] ^= 0x55
		if packet.ChecksumsRight(c, in) {
			t.Errorf("%s: a changed byte was not noticed", name)
		}
		for why := packet.TimeExceeded; why <= packet.TooBig; why++ {
			e := packet.Error(b, in, in.Dst.Addr(), why, 1400)
			ein, err := packet.Parse(e, len(e))
			if err != nil || !packet.ChecksumsRight(e, ein) {
				t.Fatalf("%s: error %d: %v", name, why, err)
			}
			if q, ok := packet.Quoted(e, ein); !ok || q.Tuple != in.Tuple {
				t.Errorf("%s: error %d quotes %+v", name, why, q)
			}
			if packet.Error(e, ein, in.Dst.Addr(), why, 0) != nil {
				t.Errorf("%s: an error about an error", name)
			}
		}
	}
}

func TestFragmentsJoinToTheWhole(t *testing.T) {
	b := packet.Echo(tuple(packet.ICMP, "10.0.0.1:7", "10.0.0.2:0"), 1, bytes.Repeat([]byte("0123456789"), 400))
	in, _ := packet.Parse(b, len(b))
	var body []byte
	pieces := packet.Fragment(b, in, 1500)
	for i, p := range pieces {
		pin, err := packet.Parse(p, len(p))
		if err != nil || len(p) > 1500 || !pin.Fragment || pin.Later != (i > 0) || !packet.ChecksumsRight(p, pin) {
			t.Fatalf("piece %d: %+v, %v", i, pin, err)
		}
		body = append(body, p[20:]...)
	}
	if !bytes.Equal(body, b[20:]) || len(pieces) != 3 {
		t.Errorf("%d pieces do not make the whole", len(pieces))
	}
	b[6] |= 0x40
	if packet.Fragment(b, in, 1500) != nil {
		t.Error("a packet that may not be cut was cut")
	}
}

// FuzzParse holds the parser to what the network relies on: lengths lie within
// the bytes, and what is made in answer is itself a right packet.
func FuzzParse(f *testing.F) {
	n := 0
	for _, b := range samples() {
		f.Add(b)
		in, _ := packet.Parse(b, len(b))
		f.Add(packet.Error(b, in, in.Dst.Addr(), packet.TimeExceeded, 0))
		n += 2
	}
	if n != 8 {
		f.Fatalf("%d seeds", n)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := packet.Parse(b, len(b))
		if err != nil {
			return
		}
		if in.TotalLen > len(b) || in.HeaderLen > in.TotalLen || in.HeaderLen < 20 {
			t.Fatalf("lengths %+v of %d bytes", in, len(b))
		}
		for _, out := range [][]byte{
			packet.Error(b, in, in.Dst.Addr(), packet.HostUnreachable, 0),
			packet.EchoReply(b, in, 64),
		} {
			if out == nil {
				continue
			}
			oin, err := packet.Parse(out, len(out))
			if err != nil || !packet.ChecksumsRight(out, oin) || oin.Dst.Addr() != in.Src.Addr() {
				t.Fatalf("answer %+v, %v", oin, err)
			}
		}
		if in.Proto == packet.TCP && !in.Later {
			packet.Refuse(b, in)
		}
		packet.Quoted(b, in)
		packet.ChecksumsRight(b, in)
		c := bytes.Clone(b)
		packet.FillChecksums(c, in)
		if !packet.ChecksumsRight(c, in) {
			t.Fatalf("filled in checksums are wrong: %+v", in)
		}
		for _, p := range packet.Fragment(b, in, 600) {
			if len(p) > 600 {
				t.Fatalf("a piece of %d bytes", len(p))
			}
		}
		readdress(t, c, in)
		packet.Hop(c)
	})
}

// readdress gives the packet b other addresses and ports: its sums stay right, and
// the way back gives the packet that it was.
func readdress(t *testing.T, b []byte, in packet.Info) {
	t.Helper()
	other := netip.MustParseAddr("203.0.113.9")
	if in.V6 {
		other = netip.MustParseAddr("2001:db8:ffff::9")
	}
	c := bytes.Clone(b)
	src := netip.AddrPortFrom(other, in.Src.Port())
	if in.Proto == packet.TCP || in.Proto == packet.UDP || in.IsEchoRequest() {
		src = netip.AddrPortFrom(other, 61001)
	}
	packet.Readdress(c, in, src, in.Dst)
	out, err := packet.Parse(c, len(c))
	if err != nil || !packet.ChecksumsRight(c, out) || !in.Later && (out.Src != src || out.Dst != in.Dst) {
		t.Fatalf("%+v became %+v, %v", in, out, err)
	}
	packet.Readdress(c, out, in.Src, in.Dst)
	if !bytes.Equal(b, c) && in.Proto != packet.UDP && !in.Fragment { // 0 and 0xffff are one sum
		t.Fatalf("%+v came back as\n%x, not\n%x", in, c, b)
	}
	if packet.ReaddressError(c, in, other, in.Dst.Addr(), src, in.Dst) {
		if out, err := packet.Parse(c, len(c)); err != nil || !packet.ChecksumsRight(c, out) {
			t.Fatalf("an error became %+v, %v", out, err)
		}
	}
}
