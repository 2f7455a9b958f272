package trait

import (
	"encoding/binary"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// Rewriter dresses the packets of one stack. Both of its methods may run at
// the same time.
type Rewriter struct {
	mu  sync.Mutex
	ids uint16
	ecn map[packet.Tuple]bool // SYNs that offered ECN, by their tuple
}

// maxECN bounds the offers that are remembered.
const maxECN = 1024

// TCP options (RFC 9293 3.1, RFC 7323, RFC 2018).
const (
	optEnd   = 0
	optNop   = 1
	optMSS   = 2
	optScale = 3
	optSack  = 4
	optStamp = 8
)

const (
	ece = 0x40
	cwr = 0x80
)

// In looks at a packet that arrives, before the stack does. It takes out of b
// what the system would not understand. pass false: the stack does not get
// the packet; reply, if any, is what the system says to it.
func (r *Rewriter) In(t *Traits, b []byte, in packet.Info) (pass bool, reply []byte) {
	switch {
	case in.Later || in.TotalLen > len(b):
		return true, nil
	case in.IsEchoRequest() && !in.Fragment:
		reply = packet.EchoReply(b, in, t.ttl())
		if reply == nil {
			return true, nil
		}
		h := reply[len(reply)-(in.TotalLen-in.HeaderLen):]
		if t.EchoZero {
			h[1] = 0
		}
		if !in.V6 {
			reply[1] = b[1]
			r.number(t, reply, t.EchoDF && b[6]&0x40 != 0)
		}
		return false, seal(reply)
	case in.Proto != packet.TCP || in.Fragment:
		return true, nil
	}
	odd := StackOdd
	switch f := in.Flags & (packet.SYN | packet.FIN | packet.RST | packet.ACK); {
	case f == 0 && in.Flags&(packet.PSH|packet.URG) == 0:
		odd = t.Null
	case f == packet.SYN|packet.FIN:
		odd = t.SynFin
	}
	switch odd {
	case Silent:
		return false, nil
	case Reset:
		return false, r.reset(t, b, in)
	case StackOdd:
	}
	if in.Flags&packet.SYN != 0 {
		r.syn(t, b, in)
	}
	return true, nil
}

// reset answers an odd segment as Windows does: RST and ACK, from sequence 0.
func (r *Rewriter) reset(t *Traits, b []byte, in packet.Info) []byte {
	seq := binary.BigEndian.Uint32(b[in.HeaderLen+4:])
	if in.Flags&packet.SYN != 0 {
		seq = binary.BigEndian.Uint32(b[in.HeaderLen+8:]) + 1
	}
	out := packet.Segment(in.Reverse(), 0, seq, packet.RST|packet.ACK, nil)
	oin, err := packet.Parse(out, len(out))
	if err != nil {
		return nil
	}
	return r.Out(t, out, oin)
}

// syn blanks the options that the system does not know, and notes an offer of ECN.
func (r *Rewriter) syn(t *Traits, b []byte, in packet.Info) {
	changed := false
	each(tcpOptions(b, in), func(kind byte, opt []byte) {
		if kind == optScale && t.Scale < 0 || kind == optSack && t.NoSack || kind == optStamp && t.NoStamp {
			for i := range opt {
				opt[i] = optNop
			}
			changed = true
		}
	})
	if changed {
		packet.FillChecksums(b, in)
	}
	if t.ECN && in.Flags&(packet.ACK|ece|cwr) == ece|cwr {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.ecn == nil || len(r.ecn) >= maxECN {
			r.ecn = map[packet.Tuple]bool{}
		}
		r.ecn[in.Tuple] = true
	}
}

// Out dresses a packet that the system sends. The result may be b itself.
func (r *Rewriter) Out(t *Traits, b []byte, in packet.Info) []byte {
	if in.TotalLen > len(b) {
		return b
	}
	if in.V6 {
		b[7] = t.ttl()
	} else {
		b[8] = t.ttl()
	}
	switch {
	case in.Later || in.Fragment:
		if !in.V6 {
			packet.FillHeader(b)
		}
		return b
	case in.Proto == packet.TCP:
		b = r.segment(t, b, in)
	case in.IsICMPError() && !in.V6:
		b = t.cut(b, in)
		b[1] = t.ErrorTOS
		r.number(t, b, false)
	case !in.V6:
		r.number(t, b, b[6]&0x40 != 0)
	}
	return seal(b)
}

// segment dresses a TCP segment.
func (r *Rewriter) segment(t *Traits, b []byte, in packet.Info) []byte {
	df := t.DF
	switch {
	case in.Flags&packet.RST != 0:
		df = t.ResetDF
		binary.BigEndian.PutUint16(b[in.HeaderLen+14:], 0)
	case in.Flags&packet.SYN != 0:
		b = t.options(b, in)
		binary.BigEndian.PutUint16(b[in.HeaderLen+14:], t.Window)
		if in.Flags&packet.ACK != 0 && r.offered(in.Reverse()) {
			b[in.HeaderLen+13] |= ece
		}
	}
	if !in.V6 {
		r.number(t, b, df)
	}
	return b
}

// offered says whether the SYN of t offered ECN, once.
func (r *Rewriter) offered(t packet.Tuple) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := r.ecn[t]
	delete(r.ecn, t)
	return ok
}

// number sets DF and the identification of the IPv4 packet b.
func (r *Rewriter) number(t *Traits, b []byte, df bool) {
	b[6] &^= 0x40
	if df {
		b[6] |= 0x40
	}
	if t.IDs == Stack {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids++
	id := r.ids
	switch t.IDs {
	case ZeroIfDF:
		if df {
			id = 0
		}
	case Scrambled:
		id = uint16((uint32(id)*40503 + 1) * 2654435761 >> 13)
	case OneByOneLE:
		id = id<<8 | id>>8
	case Stack, OneByOne:
	}
	binary.BigEndian.PutUint16(b[4:], id)
}

// options gives the SYN b the system's order of options.
func (t *Traits) options(b []byte, in packet.Info) []byte {
	got := map[byte][]byte{}
	each(tcpOptions(b, in), func(kind byte, opt []byte) { got[kind] = opt })
	var o []byte
	o = append(o, got[optMSS]...)
	scale := func() {
		if s := got[optScale]; s != nil && t.Scale >= 0 {
			o = append(append(o, optNop), s...)
		}
	}
	if t.Order != SackFirst {
		scale()
	}
	sack, stamp := got[optSack], got[optStamp]
	if t.NoSack {
		sack = nil
	}
	if t.NoStamp {
		stamp = nil
	}
	if (sack == nil) != (stamp == nil) && !t.EndPad {
		o = append(o, optNop, optNop)
	}
	o = append(append(o, sack...), stamp...)
	if t.Order == SackFirst {
		scale()
	}
	for len(o)%4 != 0 {
		o = append(o, optEnd)
	}
	return setOptions(b, in, o)
}

// setOptions makes o the options of the segment b.
func setOptions(b []byte, in packet.Info, o []byte) []byte {
	old := int(b[in.HeaderLen+12]>>4) * 4
	out := make([]byte, 0, len(b)+len(o))
	out = append(out, b[:in.HeaderLen+20]...)
	out = append(out, o...)
	out = append(out, b[min(in.HeaderLen+old, in.TotalLen):in.TotalLen]...)
	out[in.HeaderLen+12] = out[in.HeaderLen+12]&15 | byte((20+len(o))/4)<<4
	return setLength(out, in)
}

// setLength writes the length of the packet b into its IP header.
func setLength(b []byte, in packet.Info) []byte {
	if in.V6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	} else {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	return b
}

// cut shortens the quotation in an ICMP error.
func (t *Traits) cut(b []byte, in packet.Info) []byte {
	at := in.HeaderLen + 8
	if t.Quote == 0 || at+20 > in.TotalLen {
		return b
	}
	end := min(at+int(b[at]&15)*4+t.Quote, in.TotalLen)
	return setLength(b[:end], in)
}

// tcpOptions is the part of b that holds TCP options.
func tcpOptions(b []byte, in packet.Info) []byte {
	from := in.HeaderLen + 20
	to := min(in.HeaderLen+int(b[in.HeaderLen+12]>>4)*4, in.TotalLen)
	if to < from {
		return nil
	}
	return b[from:to]
}

// each walks over TCP options, padding left out; it stops at what is not well formed.
func each(o []byte, f func(kind byte, opt []byte)) {
	for i := 0; i < len(o) && o[i] != optEnd; {
		if o[i] == optNop {
			i++
			continue
		}
		if i+1 >= len(o) || o[i+1] < 2 || i+int(o[i+1]) > len(o) {
			return
		}
		n := int(o[i+1])
		f(o[i], o[i:i+n])
		i += n
	}
}

func (t *Traits) ttl() uint8 {
	if t.TTL == 0 {
		return 64
	}
	return t.TTL
}

// seal writes the checksums of b.
func seal(b []byte) []byte {
	if in, err := packet.Parse(b, len(b)); err == nil {
		packet.FillChecksums(b, in)
	}
	return b
}
