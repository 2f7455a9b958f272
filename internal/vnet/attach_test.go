package vnet_test

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

func TestAttachedPort(t *testing.T) {
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{Seed: 2})
	go echo(get(w.web.Listen(ctx, 80)))
	p := get(w.n.AttachPort(w.office, "tap", addr("10.20.1.200"), addr("2001:db8:1::200")))
	if _, err := w.n.AttachPort(w.office, "again", addr("10.20.1.200")); err == nil {
		t.Error("an address was given twice")
	}
	for _, tt := range []struct{ from, to string }{{"10.20.1.200", "10.20.2.10"}, {"2001:db8:1::200", "2001:db8:2::10"}} {
		tuple := packet.Tuple{Proto: packet.TCP, Src: netip.AddrPortFrom(addr(tt.from), 4000), Dst: netip.AddrPortFrom(addr(tt.to), 80)}
		syn := packet.Segment(tuple, 7, 0, packet.SYN, nil)
		if _, err := p.Write(syn); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, p.MTU())
		k := get(p.Read(b))
		in := get(packet.Parse(b[:k], k))
		if in.Tuple != tuple.Reverse() || in.Flags != packet.SYN|packet.ACK || in.TTL != 63 {
			t.Errorf("answer %+v", in)
		}
		if !packet.ChecksumsRight(b[:k], in) {
			t.Error("the answer's checksum is wrong")
		}
	}
	spoofed := packet.Echo(packet.Tuple{Src: netip.AddrPortFrom(addr("10.20.1.66"), 1), Dst: netip.AddrPortFrom(addr("10.20.2.10"), 0)}, 1, nil)
	wrong := packet.Echo(packet.Tuple{Src: netip.AddrPortFrom(addr("10.20.1.200"), 1), Dst: netip.AddrPortFrom(addr("10.20.2.10"), 0)}, 1, []byte("x"))
	wrong[len(wrong)-1] ^= 1
	for name, b := range map[string][]byte{"spoofed": spoofed, "wrong sum": wrong, "nothing": nil, "noise": []byte("GET / HTTP/1.0\r\n\r\nmore of it")} {
		if _, err := p.Write(b); !errors.Is(err, vnet.ErrPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := w.n.Stats().Dropped; d.Spoofed != 1 || d.BadChecksum != 1 || d.Malformed != 2 {
		t.Errorf("drops %+v", d)
	}
	p.Close()
	if _, err := p.Read(make([]byte, 2000)); !errors.Is(err, io.EOF) {
		t.Errorf("read after close: %v", err)
	}
	// Who comes back under the address is found, whatever others remember.
	p = get(w.n.AttachPort(w.office, "back", addr("10.20.1.200")))
	if _, err := p.Write(packet.Echo(packet.Tuple{Src: netip.AddrPortFrom(addr("10.20.1.200"), 1), Dst: netip.AddrPortFrom(addr("10.20.2.10"), 0)}, 1, nil)); err != nil {
		t.Fatal(err)
	}
	if k := get(p.Read(make([]byte, 2000))); k != 28 {
		t.Errorf("%d bytes of an answer", k)
	}
}

// TestTraceroute finds the router by a TTL that ends there.
func TestTraceroute(t *testing.T) {
	w := newSite(t, vnet.Config{Seed: 2})
	p := get(w.n.AttachPort(w.office, "tap", addr("10.20.1.200"), addr("2001:db8:1::200")))
	for _, tt := range []struct{ from, to, router string }{{"10.20.1.200", "203.0.113.5", "10.20.1.1"}, {"2001:db8:1::200", "2001:db8:abcd::5", "2001:db8:1::1"}} {
		b := packet.Echo(packet.Tuple{Src: netip.AddrPortFrom(addr(tt.from), 9), Dst: netip.AddrPortFrom(addr(tt.to), 0)}, 1, []byte("12345678"))
		if addr(tt.from).Is4() {
			b[8] = 1
			packet.FillHeader(b)
		} else {
			b[7] = 1
		}
		if _, err := p.Write(b); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, p.MTU())
		k := get(p.Read(buf))
		in := get(packet.Parse(buf[:k], k))
		q, ok := packet.Quoted(buf[:k], in)
		if in.Src.Addr() != addr(tt.router) || !ok || q.Dst.Addr() != addr(tt.to) || !packet.ChecksumsRight(buf[:k], in) {
			t.Errorf("answer %+v about %+v", in, q)
		}
	}
}
