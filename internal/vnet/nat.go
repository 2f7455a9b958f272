package vnet

import (
	"net/netip"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// translation is the source NAT of a router's port (RFC 3022): what leaves by it
// bears the port's own address, and answers find back. A flow keeps its source
// port where that is free. Nobody outside reaches in unasked.
type translation struct {
	port *routerPort

	mu    sync.Mutex
	out   map[packet.Tuple]*mapping // by the flow as it begins inside
	in    map[packet.Tuple]*mapping // by the answers as they come from outside
	frags map[fragKey]*mapping      // of datagrams in fragments, either way
}

// mapping is one flow, as it is inside and outside.
type mapping struct {
	inside, outside packet.Tuple
	until           time.Time
}

// maxMappings bounds the flows of one port.
const maxMappings = 1 << 15

func newTranslation(p *routerPort) *translation {
	return &translation{port: p, out: map[packet.Tuple]*mapping{}, in: map[packet.Tuple]*mapping{}, frags: map[fragKey]*mapping{}}
}

// leave gives f, which goes out by the port, the port's address; false: it
// cannot, and f is to be dropped.
func (t *translation) leave(f *frame, now time.Time) bool {
	in := f.info
	b := f.bytes()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case in.Later:
		m := t.frags[fragOf(in)]
		if m != nil {
			f.become(b, in, netip.AddrPortFrom(m.outside.Src.Addr(), 0), in.Dst)
		}
		return true
	case in.IsICMPError():
		q, ok := packet.Quoted(b, in)
		if !ok {
			return false
		}
		m := t.out[q.Reverse()] // an answer that came in is what it is about
		return m == nil || f.becomeError(b, m.outside.Src.Addr(), in.Dst.Addr(), m.outside.Dst, m.outside.Src)
	}
	m := t.find(in.Tuple, now)
	if m == nil {
		return false
	}
	if in.Fragment {
		t.fragment(in, m)
	}
	f.become(b, in, m.outside.Src, m.outside.Dst)
	t.port.net.flows.alias(m.inside, m.outside)
	return true
}

// come turns f, which is for the port's address, into what it is inside; false:
// it is no answer to anybody there.
func (t *translation) come(f *frame, now time.Time) bool {
	in := f.info
	t.mu.Lock()
	defer t.mu.Unlock()
	if in.Later {
		m := t.frags[fragOf(in)]
		if m != nil {
			f.become(f.bytes(), in, in.Src, netip.AddrPortFrom(m.inside.Src.Addr(), 0))
		}
		return m != nil
	}
	if in.IsICMPError() {
		q, ok := packet.Quoted(f.bytes(), in)
		if !ok {
			return false
		}
		m := t.in[q.Reverse()]
		return m != nil && f.becomeError(f.bytes(), in.Src.Addr(), m.inside.Src.Addr(), m.inside.Src, m.inside.Dst)
	}
	m := t.in[in.Tuple]
	if m == nil || now.After(m.until) {
		return false
	}
	m.until = now.Add(stateLife(in.Proto))
	if in.Fragment {
		t.fragment(in, m)
	}
	f.become(f.bytes(), in, m.inside.Dst, m.inside.Src)
	return true
}

// become readdresses f.
func (f *frame) become(b []byte, in packet.Info, src, dst netip.AddrPort) {
	packet.Readdress(b, in, src, dst)
	f.info.Src, f.info.Dst = src, dst
}

func (f *frame) becomeError(b []byte, src, dst netip.Addr, qsrc, qdst netip.AddrPort) bool {
	if !packet.ReaddressError(b, f.info, src, dst, qsrc, qdst) {
		return false
	}
	f.info.Src, f.info.Dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
	return true
}

func fragOf(in packet.Info) fragKey { return fragKey{in.Src.Addr(), in.Dst.Addr(), in.FragID} }

// fragment remembers whose the later fragments are. The caller holds mu.
func (t *translation) fragment(in packet.Info, m *mapping) {
	if len(t.frags) >= maxFrags {
		clear(t.frags)
	}
	t.frags[fragOf(in)] = m
}

// find gives the mapping of a flow that begins inside; nil where every port or
// the table is taken. The caller holds mu.
func (t *translation) find(inside packet.Tuple, now time.Time) *mapping {
	life := now.Add(stateLife(inside.Proto))
	if m := t.out[inside]; m != nil {
		m.until = life
		return m
	}
	if len(t.out) >= maxMappings && !t.sweep(now) {
		return nil
	}
	own := t.port.addr(inside.Src.Addr())
	if !own.IsValid() {
		return nil
	}
	at := inside.Src.Port()
	for range 1 << 12 {
		outside := packet.Tuple{Proto: inside.Proto, Src: netip.AddrPortFrom(own, at), Dst: inside.Dst}
		if inside.Src.Port() == 0 || t.in[outside.Reverse()] == nil {
			m := &mapping{inside: inside, outside: outside, until: life}
			t.out[inside], t.in[outside.Reverse()] = m, m
			return m
		}
		if at++; at < 1024 {
			at = 1024
		}
	}
	return nil
}

// sweep forgets flows that are over, and says whether there is room.
func (t *translation) sweep(now time.Time) bool {
	for k, m := range t.out {
		if now.After(m.until) || k.Proto != packet.TCP {
			delete(t.out, k)
			delete(t.in, m.outside.Reverse())
		}
	}
	return len(t.out) < maxMappings
}
