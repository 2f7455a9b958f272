package vnet

import (
	"errors"
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gvisorlog "gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/lapwing-defence/lapwing/internal/clock"
)

// ErrClosed is what the parts of a closed Network give.
var ErrClosed = errors.New("network closed")

// Config is what New takes.
type Config struct {
	Seed     uint64        // every random choice of the network comes from it
	Clock    *VirtualClock // nil: the machine's time. The caller closes it after the Network
	Queue    int           // packets that wait at a port; 0: 4,096
	MaxFlows int           // flows kept; 0: 262,144. Labelled ones are kept beyond it, up to as many again
}

// Network holds segments, hosts and routers. Its methods may be called at any time.
type Network struct {
	cfg   Config
	clk   clock.Clock
	tcpip tcpip.Clock
	rand  rand.Source // shared by the stacks
	tcp   tcpip.Stats // shared by the stacks
	ipt   *stack.IPTables
	zone  *Zone
	flows flowTable
	wire  *wire
	count counters
	born  sync.Mutex // one stack is made at a time

	mu       sync.RWMutex
	segments []*Segment
	routers  []*Router
	hosts    map[string]*Host
	closed   atomic.Bool
	taps     atomic.Pointer[[]*Capture]
	byPrefix atomic.Pointer[map[netip.Prefix]*Segment]
}

// New makes an empty network and starts what carries its packets.
func New(cfg Config) (*Network, error) {
	if cfg.Queue < 0 || cfg.MaxFlows < 0 {
		return nil, fmt.Errorf("new network: a limit is negative (queue %d, flows %d); 0 takes the default", cfg.Queue, cfg.MaxFlows)
	}
	if cfg.Queue == 0 {
		cfg.Queue = 4096
	}
	if cfg.MaxFlows == 0 {
		cfg.MaxFlows = 1 << 18
	}
	gvisorlog.SetTarget(silent{})
	n := &Network{cfg: cfg, hosts: map[string]*Host{}}
	if cfg.Clock != nil {
		n.clk, n.tcpip = cfg.Clock, tcpipClock{cfg.Clock}
	} else {
		n.clk, n.tcpip = clock.System(), tcpip.NewStdClock()
	}
	n.rand = &lockedSource{src: rand.NewSource(int64(cfg.Seed))}
	n.tcp = tcpip.Stats{}.FillIn()
	n.ipt = stack.DefaultTables(n.tcpip, rand.New(n.rand))
	n.zone = newZone()
	n.flows.init(cfg.MaxFlows)
	n.wire = newWire(n, min(max(processors(), 2), 8))
	return n, nil
}

// silent is where the log of the stacks goes: it would tell on the standard error
// of single segments, and who scans the range could flood it. What counts is in
// Stats.
type silent struct{}

func (silent) Emit(int, gvisorlog.Level, time.Time, string, ...any) {}

// Clock is the time of this network.
func (n *Network) Clock() clock.Clock { return n.clk }

// Now is the present instant of this network.
func (n *Network) Now() time.Time { return n.clk.Now() }

// DNS is the zone that answers every name in the network.
func (n *Network) DNS() *Zone { return n.zone }

// Host is the host of that name, nil if there is none.
func (n *Network) Host(name string) *Host {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.hosts[name]
}

// Segments lists the segments in the order in which they were added.
func (n *Network) Segments() []*Segment {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.segments)
}

// Isolate cuts h off (or joins it again): no packet leaves it or reaches it.
func (n *Network) Isolate(h *Host, cut bool) { h.port.cut.Store(cut) }

// Close ends captures, connections and listeners and waits for the network's
// goroutines. It does not close a VirtualClock.
func (n *Network) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	n.mu.RLock()
	segs := slices.Clone(n.segments)
	n.mu.RUnlock()
	n.wire.stop()
	for _, s := range segs {
		s.close()
	}
	return nil
}

// until is how far the deadline t is away. Libraries compute deadlines from
// time.Now, whose times bear a reading of the monotonic clock; our own code from
// the network's clock, whose times bear none.
func (n *Network) until(t time.Time) time.Duration {
	if n.cfg.Clock != nil && t != t.Round(0) {
		return time.Until(t)
	}
	return t.Sub(n.clk.Now())
}

// lockedSource is a source for many stacks.
type lockedSource struct {
	mu  sync.Mutex
	src rand.Source
}

func (l *lockedSource) Int63() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src.Int63()
}

func (l *lockedSource) Seed(seed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.src.Seed(seed)
}
