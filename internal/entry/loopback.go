package entry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// This file holds the only calls of the package that make sockets.

// loopback reads "127.0.0.1:1080" or "[::1]:0"; names and other addresses
// are refused, so that nothing is resolved and nobody else can come in.
func loopback(listen string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen on %q: an address and a port are needed, such as 127.0.0.1:1080", listen)
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if !at.Addr().IsLoopback() {
		return netip.AddrPort{}, fmt.Errorf("listen on %q: doors into the range open on loopback only; take 127.0.0.1:%d, and ssh -L from other machines", listen, at.Port())
	}
	return at, nil
}

func listenTCP(ctx context.Context, at netip.AddrPort) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	return l.(*net.TCPListener), nil
}

func listenUDP(ctx context.Context, at netip.AddrPort) (*net.UDPConn, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on udp %s: %w", at, err)
	}
	return c.(*net.UDPConn), nil
}

// shut closes what is not needed any more; its error changes nothing.
func shut(c io.Closer) { _ = c.Close() }

// plain is a with an IPv4 address that is not written as IPv6.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
