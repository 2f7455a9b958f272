package vnet

import "sync/atomic"

// Stats are the counters of a network since it was made.
type Stats struct {
	Segments, Routers, Hosts int
	Stacks                   int // hosts and fields that something touched

	Packets, Bytes uint64 // sent by hosts, fields and attached ports
	Delivered      uint64 // packets that reached the end of their way, or a router's queue
	Retransmits    uint64 // TCP segments that a stack sent again

	Flows        int
	FlowsDropped uint64 // not kept: the table was full

	Dropped Drops
}

// Drops says why packets ended before their destination.
type Drops struct {
	Queue       uint64 // the port's queue was full
	Link        uint64 // the link's queue was full
	Loss        uint64 // lost on purpose, as the link says
	Isolated    uint64 // to or from an isolated host
	Rule        uint64 // a router's rule
	TTL         uint64 // lived too long
	NoRoute     uint64 // no way to the address
	Unresolved  uint64 // nobody has the address, or too many are being looked for
	BadChecksum uint64 // came in from an attached port with a wrong sum
	Malformed   uint64 // no IP packet
	Spoofed     uint64 // came in from an attached port under somebody else's address
	Group       uint64 // broadcast and multicast, which this network does not carry
	States      uint64 // a router's table of states or translated flows was full
}

// Total is the sum of all drops.
func (d Drops) Total() uint64 {
	return d.Queue + d.Link + d.Loss + d.Isolated + d.Rule + d.TTL + d.NoRoute + d.Unresolved + d.BadChecksum + d.Malformed + d.Spoofed + d.Group + d.States
}

type counters struct {
	stacks                    atomic.Int64
	packets, bytes, delivered atomic.Uint64
	drops                     [reasons]atomic.Uint64
}

// dropReason indexes counters.drops.
type dropReason int

const (
	dropQueue dropReason = iota
	dropLink
	dropLoss
	dropIsolated
	dropRule
	dropTTL
	dropNoRoute
	dropUnresolved
	dropBadChecksum
	dropMalformed
	dropSpoofed
	dropGroup
	dropStates
	reasons
)

// drop ends f and counts why.
func (n *Network) drop(f *frame, why dropReason) {
	n.count.drops[why].Add(1)
	f.release()
}

// Stats reads the counters.
func (n *Network) Stats() Stats {
	n.mu.RLock()
	s := Stats{Segments: len(n.segments), Routers: len(n.routers), Hosts: len(n.hosts)}
	n.mu.RUnlock()
	c := &n.count
	s.Stacks = int(c.stacks.Load())
	s.Packets, s.Bytes, s.Delivered = c.packets.Load(), c.bytes.Load(), c.delivered.Load()
	s.Retransmits = n.tcp.TCP.Retransmits.Value()
	s.Flows, s.FlowsDropped = n.flows.size()
	d := func(r dropReason) uint64 { return c.drops[r].Load() }
	s.Dropped = Drops{
		Queue: d(dropQueue), Link: d(dropLink), Loss: d(dropLoss), Isolated: d(dropIsolated), Rule: d(dropRule), TTL: d(dropTTL),
		NoRoute: d(dropNoRoute), Unresolved: d(dropUnresolved), BadChecksum: d(dropBadChecksum), Malformed: d(dropMalformed),
		Spoofed: d(dropSpoofed), Group: d(dropGroup), States: d(dropStates),
	}
	return s
}
