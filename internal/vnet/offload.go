package vnet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// Stacks hand over TCP data in pieces of up to 64 KiB, as they do to network
// cards. Where two stacks are next to each other and nobody looks at the
// packets between them, a piece travels whole, as after a card that joins what
// it receives; everywhere else it is cut into segments first.

var _ stack.GSOEndpoint = (*nic)(nil)

// GSOMaxSize is the size of the largest packet before it is cut.
func (c *nic) GSOMaxSize() uint32 { return 65535 }

// SupportedGSO says that the port cuts.
func (c *nic) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// originateLarge sends a TCP packet that is larger than the MTU.
func (p *port) originateLarge(f *frame, mss int) {
	if p.whole(f) {
		f.pieces = (f.info.TotalLen - f.info.HeaderLen + mss - 1) / mss
		p.net.count.packets.Add(uint64(f.pieces - 1))
		p.originate(f)
		return
	}
	for _, g := range f.cut(mss) {
		p.originate(g)
	}
	f.release()
}

// whole says whether f may travel as it is: straight to another stack, over a
// link without qualities, unseen.
func (p *port) whole(f *frame) bool {
	if t := p.net.taps.Load(); t != nil && len(*t) > 0 || p.dress != nil || p.seg.cfg.Link != (Link{}) || !p.seg.contains(f.info.Dst.Addr()) {
		return false
	}
	to, _, ok := p.seg.whoHas(f.info.Dst.Addr())
	if !ok {
		return false
	}
	switch to.sink.(type) {
	case *Host, *Field:
		return true
	}
	return false
}

// cut makes segments of at most mss octets of data.
func (f *frame) cut(mss int) []*frame {
	f.unsummed = false // the sums of the whole are of no use
	b := f.bytes()
	if f.info.Proto != packet.TCP || f.info.HeaderLen+20 > len(b) || mss <= 0 {
		return nil
	}
	hl := f.info.HeaderLen + int(b[f.info.HeaderLen+12]>>4)*4
	var out []*frame
	for at := hl; at < len(b); at += mss {
		data := b[at:min(at+mss, len(b))]
		q := make([]byte, hl+len(data))
		copy(q, b[:hl])
		copy(q[hl:], data)
		t := q[f.info.HeaderLen:]
		binary.BigEndian.PutUint32(t[4:], binary.BigEndian.Uint32(t[4:])+uint32(at-hl))
		if at+len(data) < len(b) {
			t[13] &^= packet.FIN | packet.PSH
		}
		if f.info.V6 {
			binary.BigEndian.PutUint16(q[4:], uint16(len(q)-40))
		} else {
			binary.BigEndian.PutUint16(q[2:], uint16(len(q)))
			binary.BigEndian.PutUint16(q[4:], binary.BigEndian.Uint16(q[4:])+uint16(len(out)))
			packet.FillHeader(q)
		}
		if g := rawFrame(q); g != nil {
			g.unsummed = true
			out = append(out, g)
		}
	}
	return out
}
