// Package entry is the only door from real sockets into the virtual network
// (internal/vnet): SOCKS5 for tools that speak through a proxy, and userspace
// WireGuard for those that want a network interface (nmap, ping).
//
//	door, err := entry.NewSOCKS(ctx, entry.SOCKSConfig{
//		Listen: "127.0.0.1:1080",
//		Seats:  []entry.Seat{{User: "anna", Secret: secret, Dialer: tap.Dialer()}},
//	})
//	go door.Serve(ctx)                        // nil when ctx ends
//	door.Addr()                               // 127.0.0.1:1080
//	door.SetSeat(entry.Seat{...})             // after a reset: the new network's dialer; old connections end
//	door.RemoveSeat("anna")
//	door.Stats()                              // what was let in, refused and dropped, for each seat
//
// SOCKS doors serve any number of people, each with a name, a secret and a
// dialer of his own network.
//
// A WireGuard door is for one port of a network and the people who have its
// addresses; where each trainee has a network of his own, each has a door.
//
//	port, err := network.AttachPort(office, "anna", netip.MustParseAddr("10.20.1.201"))
//	key, his := entry.NewPrivateKey(), entry.NewPrivateKey()
//	public, err := his.Public()
//	door, err := entry.NewWireGuard(ctx, entry.WireGuardConfig{
//		Listen: "127.0.0.1:51820", Key: key, Port: port,
//		Peers: []entry.Peer{{Name: "anna", Key: public, Addrs: port.Addrs()}},
//	})
//	text, err := door.ClientConfig(entry.Client{Name: "anna", Key: his, Networks: networks})   // for wg-quick
//	go door.Serve(ctx)                        // nil when ctx ends
//	door.Attach(port2)                        // after a reset: the new network's port; the client notices nothing
//	door.Stats()
//
// # What it reaches
//
// Doors listen on loopback addresses only; any other is an error of New.
// Whoever sits elsewhere comes by ssh -L. Behind a door there is the virtual
// network: connections are opened by a *vnet.Dialer and names are looked up in
// its zone. No function of this package dials, or resolves a name, on the
// machine's network; internal/archtest holds that.
//
// # Limits
//
// Everything that a person's flood could fill is bounded and counted: see
// SOCKSLimits and WireGuardLimits, and vnet's own (a port keeps 1,024 packets
// for its reader). Beyond a limit connections are refused and packets dropped;
// nobody else waits for them. The network behind the door has to run on real time (no
// vnet.VirtualClock).
package entry
