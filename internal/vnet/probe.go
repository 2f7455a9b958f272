package vnet

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand"
	"net/netip"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// errProbes is the answer to too many probes at a time.
var errProbes = errors.New("too many probes of this host are under way")

// maxProbes bounds the probes of one host that wait for an answer.
const maxProbes = 4096

// probeTable holds a host's raw probes. They pass its stack by, in both
// directions, and need none.
type probeTable struct {
	mu   sync.Mutex
	open map[packet.Tuple]chan State // by the tuple that was sent
}

// run sends one probe to t, whose source port is chosen here.
func (p *probeTable) run(ctx context.Context, d *Dialer, t packet.Tuple) (State, error) {
	answer := make(chan State, 1)
	t, err := p.reserve(d.host, t, answer)
	if err != nil {
		return Unanswered, err
	}
	defer p.forget(t)
	n := d.host.net
	n.flows.register(t, d.label, n.clk.Now())
	var b []byte
	r := rand.New(n.rand)
	if t.Proto == packet.TCP {
		b = packet.Segment(t, r.Uint32(), 0, packet.SYN, []byte{2, 4, 5, 0xb4})
	} else {
		payload := make([]byte, 56)
		binary.BigEndian.PutUint64(payload, uint64(n.clk.Now().UnixNano()))
		b = packet.Echo(t, 1, payload)
	}
	d.host.port.originate(rawFrame(b))
	select {
	case st := <-answer:
		return st, nil
	case <-ctx.Done():
		return Unanswered, ctx.Err()
	}
}

// reserve finds a free source port; stacks use those from 16000 on, probes
// those below.
func (p *probeTable) reserve(h *Host, t packet.Tuple, answer chan State) (packet.Tuple, error) {
	r := rand.New(h.net.rand)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[packet.Tuple]chan State{}
	}
	if len(p.open) >= maxProbes {
		return t, errProbes
	}
	for {
		t.Src = netip.AddrPortFrom(t.Src.Addr(), uint16(1024+r.Intn(14000)))
		if p.open[t] == nil {
			p.open[t] = answer
			return t, nil
		}
	}
}

func (p *probeTable) forget(t packet.Tuple) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, t)
}

// take looks whether f answers a probe and, if so, tells it.
func (p *probeTable) take(h *Host, f *frame) bool {
	p.mu.Lock()
	none := len(p.open) == 0
	p.mu.Unlock()
	if none {
		return false
	}
	key, st := f.info.Reverse(), Open
	switch {
	case f.info.IsICMPError():
		q, ok := packet.Quoted(f.bytes(), f.info)
		if !ok {
			return false
		}
		key, st = q.Tuple, Filtered
	case f.info.Proto == packet.TCP && f.info.Flags&packet.RST != 0:
		st = Closed
	}
	p.mu.Lock()
	answer := p.open[key]
	p.mu.Unlock()
	if answer == nil {
		return false
	}
	select {
	case answer <- st:
	default:
	}
	if st == Open && f.info.Proto == packet.TCP {
		ack := binary.BigEndian.Uint32(f.bytes()[f.info.HeaderLen+8:])
		h.port.originate(rawFrame(packet.Segment(key, ack, 0, packet.RST, nil)))
	}
	return true
}
