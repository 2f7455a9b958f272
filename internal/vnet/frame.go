package vnet

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

// mac is a link address.
type mac [6]byte

// frame is an IP packet on its way, with the link header that it travels
// under. One owner at a time: who gets it passes it on or releases it.
type frame struct {
	info     packet.Info
	buf      buffer.Buffer // the packet as a stack made it, or
	raw      []byte        // the packet as plain bytes, which belong to the frame
	unsummed bool          // transport checksum still to be filled in
	src, dst mac
	to       *port
	label    string
	nth      uint64 // of its flow, from 1
	turn     uint32 // of its flow, among those to the same service
	hops     int    // routers passed
	pieces   int    // segments that it stands for; 0: itself
	asIs     bool   // an answer: the router that has it does not translate its source
}

// release ends the frame: its memory may be used again by the stacks.
func (f *frame) release() { f.buf.Release() }

// rawFrame takes the packet b, which must be whole; nil if it is none.
func rawFrame(b []byte) *frame {
	in, err := packet.Parse(b, len(b))
	if err != nil {
		return nil
	}
	return &frame{info: in, raw: b[:in.TotalLen]}
}

// stackFrame copies what a stack wants to send; nil if it is no IP packet.
func stackFrame(pkt *stack.PacketBuffer) *frame {
	var hdr [128]byte
	n := copy(hdr[:], pkt.NetworkHeader().Slice())
	th := pkt.TransportHeader().Slice()
	k := copy(hdr[n:], th)
	if k < 20 { // a fragment, or a short header: look into the data
		if v := pkt.Data().AsRange().Capped(len(hdr) - n - k).ToSlice(); len(v) > 0 {
			k += copy(hdr[n+k:], v)
		}
	}
	in, err := packet.Parse(hdr[:n+k], pkt.Size())
	if err != nil {
		return nil
	}
	return &frame{info: in, buf: pkt.ToBuffer(), unsummed: true}
}

// bytes is the whole packet with right checksums, as bytes of the frame's own.
func (f *frame) bytes() []byte {
	if f.raw == nil {
		f.raw = f.buf.Flatten()
		f.buf.Release()
		f.buf = buffer.Buffer{}
	}
	if f.unsummed {
		packet.FillChecksums(f.raw, f.info)
		f.unsummed = false
	}
	return f.raw
}

// inbound hands the packet over as what a stack takes, and ends the frame.
func (f *frame) inbound() (tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {
	proto := header.IPv4ProtocolNumber
	if f.info.V6 {
		proto = header.IPv6ProtocolNumber
	}
	buf := f.buf
	f.buf = buffer.Buffer{}
	if f.raw != nil {
		buf = buffer.MakeWithData(f.raw)
	}
	return proto, stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buf})
}

// dress gives f the looks of t.
func (f *frame) dress(r *trait.Rewriter, t *Traits) {
	b := r.Out(t, f.bytes(), f.info)
	if in, err := packet.Parse(b, len(b)); err == nil {
		f.raw, f.info = b, in
	}
}

// meet lets the looks of t see f before the stack at p does, and says whether
// the stack is to have it.
func (f *frame) meet(r *trait.Rewriter, t *Traits, p *port) bool {
	if t.Plain() {
		return true
	}
	pass, reply := r.In(t, f.bytes(), f.info)
	if reply != nil {
		if g := rawFrame(reply); g != nil {
			p.originate(g)
		}
	}
	return pass
}
