// Package vnet is a whole network inside the process: segments with hosts on
// them, routers between them, documentation addresses as the Internet, DNS,
// capture and a clock that may be virtual. Each host is a TCP/IP stack of its
// own (gVisor netstack) that exists from the moment something touches it.
//
//	n, err := vnet.New(vnet.Config{Seed: 42})
//	office, err := n.AddSegment(vnet.SegmentConfig{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.1.0/24")}})
//	web, err := office.AddHost(vnet.HostConfig{Name: "web01", Addrs: []netip.Addr{netip.MustParseAddr("10.20.1.10")}})
//	l, err := web.Listen(ctx, 80)                       // a net.Listener
//	c, err := red.Dialer().Labelled("s1 T1046").DialContext(ctx, "tcp", "web01:80")
//	n.Close()
//
// Nothing in this package opens a socket of the machine, and nothing can: a
// Dialer comes from a Host and reaches what the Network holds; names are
// answered by the Network's own zone; a packet to an address that nobody has
// ends in an ICMP error or in silence. An architecture test keeps the
// functions of package net that would do otherwise out of here.
//
// # Time
//
// With Config.Clock nil the machine's time counts. With a VirtualClock all
// timers of the stacks, the delays of links, the deadlines of connections and
// the stamps of captures follow it. A deadline with a reading of the monotonic
// clock comes from a library that asked time.Now, and means that much from now.
//
// # Limits
//
// Every queue is bounded and counts what it drops; Stats shows the counters.
// A port queues at most Config.Queue packets, what travels on slow links is at
// most 65,536 packets, flows kept are at most Config.MaxFlows, neighbours
// 4,096 a port, states of a router 65,536. A flood at one host fills that
// host's queue and no other: ports take turns.
package vnet
