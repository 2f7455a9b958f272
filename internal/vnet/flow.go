package vnet

import (
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// Flow is what travelled between two ends, both directions together.
type Flow struct {
	Start, End time.Time // of its first and last packet
	Proto      uint8     // packet.TCP, UDP, ICMP, ICMPv6
	Src, Dst   netip.AddrPort
	Bytes      uint64 // of IP packets, both ways
	Packets    uint64
	Label      string         // ground truth: "" is benign
	State      State          // of TCP: how the attempt ended so far
	As         []packet.Tuple // how it looks behind routers that translate addresses

	turn uint32 // how many flows from Src to the same service came before it
	seq  uint32 // of the SYN that began it: one that is sent again begins nothing
}

// State is what became of an attempt to reach a port.
type State int

// States.
const (
	Unanswered State = iota
	Open
	Closed
	Filtered // an ICMP error came back
)

func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Closed:
		return "closed"
	case Filtered:
		return "filtered"
	case Unanswered:
	}
	return "unanswered"
}

// flowTable keeps flows. A flow ends when its ports are used anew.
type flowTable struct {
	mu      sync.Mutex
	max     int
	live    map[packet.Tuple]*Flow
	all     []*Flow
	dropped uint64
	turns   map[service]uint32 // flows so far, by who asked whom for what
	frags   map[fragKey]string // labels of datagrams in fragments
}

// service is where flows go, without the ports that stacks choose at random.
type service struct {
	proto uint8
	src   netip.Addr
	dst   netip.AddrPort
}

type fragKey struct {
	src, dst netip.Addr
	id       uint32
}

const maxFrags = 4096

func (t *flowTable) init(limit int) {
	t.max, t.live, t.turns, t.frags = limit, map[packet.Tuple]*Flow{}, map[service]uint32{}, map[fragKey]string{}
}

// register makes label the truth about the flow that begins with tuple. It
// is called before the first packet.
func (t *flowTable) register(tuple packet.Tuple, label string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if label == "" {
		// The ports may be those of an earlier flow: its label must not pass on.
		if fl := t.live[tuple]; fl != nil && fl.Label != "" {
			delete(t.live, tuple)
		}
		return
	}
	if len(t.all) >= 2*t.max {
		t.dropped++
		// The packets are labelled all the same.
		t.live[tuple] = &Flow{Start: now, End: now, Proto: tuple.Proto, Src: tuple.Src, Dst: tuple.Dst, Label: label}
		return
	}
	t.add(tuple, now).Label = label
}

func (t *flowTable) add(tuple packet.Tuple, now time.Time) *Flow {
	delete(t.live, tuple.Reverse())
	fl := &Flow{Start: now, End: now, Proto: tuple.Proto, Src: tuple.Src, Dst: tuple.Dst}
	to := service{tuple.Proto, tuple.Src.Addr(), tuple.Dst}
	fl.turn = t.turns[to]
	t.turns[to]++
	t.live[tuple] = fl
	t.all = append(t.all, fl)
	return fl
}

// maxAlias is how many routers that translate addresses one flow is followed through.
const maxAlias = 8

// alias makes known that the flow of one tuple bears another beyond a router.
func (t *flowTable) alias(from, to packet.Tuple) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fl := t.live[from]
	if fl == nil || t.live[to] == fl || len(fl.As) >= maxAlias {
		return
	}
	delete(t.live, to.Reverse())
	t.live[to] = fl
	fl.As = append(fl.As, to)
}

// idle is after what silence a UDP or ICMP flow with the same ports is a new one.
const idle = 3 * time.Minute

// account counts f and gives it its flow's label.
func (t *flowTable) account(f *frame, now time.Time) {
	in := &f.info
	t.mu.Lock()
	defer t.mu.Unlock()
	if in.Later {
		f.label = t.frags[fragKey{in.Src.Addr(), in.Dst.Addr(), in.FragID}]
		return
	}
	if in.IsICMPError() {
		t.errorAbout(f)
		return
	}
	fl, forth := t.live[in.Tuple], true
	if fl == nil {
		fl, forth = t.live[in.Reverse()], false
	}
	anew := fl != nil && forth && fl.Packets > 0 &&
		(in.Proto == packet.TCP && in.Flags&(packet.SYN|packet.ACK) == packet.SYN && fl.State != Unanswered && fl.seq != in.Seq || in.Proto != packet.TCP && now.Sub(fl.End) > idle)
	if fl == nil || anew {
		if len(t.all) >= t.max {
			t.dropped++
			return
		}
		fl, forth = t.add(in.Tuple, now), true
	}
	if fl.Packets == 0 {
		fl.Start, fl.seq = now, in.Seq
	}
	fl.End = now
	fl.Packets += uint64(max(f.pieces, 1))
	fl.Bytes += uint64(in.TotalLen)
	f.label, f.nth, f.turn = fl.Label, fl.Packets, fl.turn
	if !forth {
		fl.answered(f)
	}
	if in.Fragment && fl.Label != "" {
		if len(t.frags) >= maxFrags {
			clear(t.frags)
		}
		t.frags[fragKey{in.Src.Addr(), in.Dst.Addr(), in.FragID}] = fl.Label
	}
}

// answered notes what the answer f says about the flow.
func (fl *Flow) answered(f *frame) {
	switch {
	case fl.State != Unanswered:
	case f.info.Proto == packet.TCP && f.info.Flags&packet.RST != 0:
		fl.State = Closed
	default:
		fl.State = Open
	}
}

// errorAbout gives an ICMP error the label of what it is about.
func (t *flowTable) errorAbout(f *frame) {
	q, ok := packet.Quoted(f.bytes(), f.info)
	if !ok {
		return
	}
	fl := t.live[q.Tuple]
	if fl == nil {
		fl = t.live[q.Reverse()]
	}
	if fl == nil {
		return
	}
	f.label = fl.Label
	if fl.State == Unanswered {
		fl.State = Filtered
		if q.Proto == packet.UDP && (f.info.V6 && f.info.Type == 1 && f.info.Code == 4 || !f.info.V6 && f.info.Type == 3 && f.info.Code == 3) {
			fl.State = Closed
		}
	}
}

func (t *flowTable) size() (kept int, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all), t.dropped
}

// Flows walks over the flows that have had a packet, in the order in which
// they began, as they are now.
func (n *Network) Flows() iter.Seq[Flow] {
	return func(yield func(Flow) bool) {
		n.flows.mu.Lock()
		out := make([]Flow, 0, len(n.flows.all))
		for _, fl := range n.flows.all {
			if fl.Packets > 0 {
				out = append(out, *fl)
			}
		}
		n.flows.mu.Unlock()
		slices.SortStableFunc(out, func(a, b Flow) int { return a.Start.Compare(b.Start) })
		for _, fl := range out {
			if !yield(fl) {
				return
			}
		}
	}
}
