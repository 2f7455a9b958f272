package trait_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

func syn(flags uint8) []byte {
	t := packet.Tuple{Proto: packet.TCP, Src: netip.MustParseAddrPort("10.0.0.1:4000"), Dst: netip.MustParseAddrPort("10.0.0.2:22")}
	// MSS, SACK permitted, time stamps, NOP, scale 7: as Linux and the stack order them.
	return packet.Segment(t, 1, 0, flags, []byte{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7})
}

func TestLooksOfASynAck(t *testing.T) {
	stamp := []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 0}
	for name, want := range map[string][]byte{
		"linux-6":    append(append([]byte{2, 4, 5, 0xb4, 4, 2}, stamp...), 1, 3, 3, 7),
		"windows-11": append([]byte{2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2}, stamp...),
		"switch":     {2, 4, 5, 0xb4},
		"printer":    append([]byte{2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1}, stamp...),
	} {
		tr, ok := trait.ByName(name)
		if !ok {
			t.Fatalf("%s is not known", name)
		}
		var r trait.Rewriter
		b := syn(packet.SYN | packet.ACK)
		in, _ := packet.Parse(b, len(b))
		b = r.Out(&tr, b, in)
		in, err := packet.Parse(b, len(b))
		if err != nil || !packet.ChecksumsRight(b, in) || in.TTL != tr.TTL || in.TotalLen != len(b) {
			t.Fatalf("%s: %+v, %v", name, in, err)
		}
		if got := b[40:]; !bytes.Equal(got, want) {
			t.Errorf("%s: options % x, want % x", name, got, want)
		}
		if got := uint16(b[34])<<8 | uint16(b[35]); got != tr.Window {
			t.Errorf("%s: window %d", name, got)
		}
	}
}

func TestOddSegments(t *testing.T) {
	for name, reply := range map[string]bool{"linux-6": false, "windows-11": true} {
		tr, _ := trait.ByName(name)
		var r trait.Rewriter
		for _, flags := range []uint8{0, packet.SYN | packet.FIN | packet.PSH | packet.URG} {
			b := syn(flags)
			in, _ := packet.Parse(b, len(b))
			pass, got := r.In(&tr, b, in)
			if pass || (got != nil) != reply {
				t.Errorf("%s, flags %#x: %v, % x", name, flags, pass, got)
			}
		}
		b := syn(packet.SYN)
		in, _ := packet.Parse(b, len(b))
		if pass, got := r.In(&tr, b, in); !pass || got != nil {
			t.Errorf("%s: a SYN was kept from the stack", name)
		}
	}
}

// FuzzRewrite holds the rewriter to giving packets that parse, with right
// checksums, from the same source to the same destination.
func FuzzRewrite(f *testing.F) {
	for _, flags := range []uint8{packet.SYN, packet.SYN | packet.ACK, packet.RST, 0} {
		f.Add(syn(flags))
	}
	b := syn(packet.SYN)
	in, _ := packet.Parse(b, len(b))
	f.Add(packet.Error(b, in, in.Dst.Addr(), packet.PortUnreachable, 0))
	f.Add(packet.Echo(in.Tuple, 1, []byte("12345678")))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range trait.Names() {
			tr, _ := trait.ByName(name)
			var r trait.Rewriter
			b := bytes.Clone(data)
			in, err := packet.Parse(b, len(b))
			if err != nil {
				return
			}
			b = b[:in.TotalLen]
			pass, reply := r.In(&tr, b, in)
			if reply != nil {
				rin, err := packet.Parse(reply, len(reply))
				if err != nil || pass || !packet.ChecksumsRight(reply, rin) || rin.Dst.Addr() != in.Src.Addr() {
					t.Fatalf("%s answers %+v, %v", name, rin, err)
				}
			}
			if after, err := packet.Parse(b, len(b)); err != nil || after.Tuple != in.Tuple {
				t.Fatalf("%s: %+v became %+v, %v", name, in, after, err)
			}
			out := r.Out(&tr, b, in)
			oin, err := packet.Parse(out, len(out))
			if err != nil || !packet.ChecksumsRight(out, oin) || oin.Tuple != in.Tuple {
				t.Fatalf("%s: %+v became %+v, %v", name, in, oin, err)
			}
		}
	})
}
