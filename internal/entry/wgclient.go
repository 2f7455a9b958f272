package entry

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Client is what a person's own configuration needs beside the door's.
type Client struct {
	Name     string         // of a peer of the door
	Key      PrivateKey     // of that peer
	Networks []netip.Prefix // of the scenario: what goes through the tunnel
	DNS      []netip.Addr   // virtual servers of names; none leaves the machine's own in place
}

// ClientConfig is the text that wg-quick(8) and the WireGuard applications
// read. Only the scenario's networks go through the tunnel: networks that hold
// loopback or every address are refused. It holds the person's key.
func (w *WireGuard) ClientConfig(c Client) (string, error) {
	var p *peer
	for _, q := range w.peers {
		if q.name == c.Name {
			p = q
		}
	}
	if p == nil {
		return "", fmt.Errorf("client configuration: the door has no peer %q", c.Name)
	}
	if public, err := c.Key.Public(); err != nil || public != p.key {
		return "", fmt.Errorf("client configuration of %q: the key is not the one that the door knows him by", c.Name)
	}
	nets, err := tunnelled(c.Networks)
	if err != nil {
		return "", fmt.Errorf("client configuration of %q: %w", c.Name, err)
	}
	addrs := make([]string, 0, len(p.addrs))
	for _, a := range p.addrs {
		addrs = append(addrs, netip.PrefixFrom(a, a.BitLen()).String())
	}
	var b strings.Builder
	if len(c.DNS) > 0 {
		b.WriteString(clientNames)
	}
	fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nAddress = %s\nMTU = %d\n", c.Key.Text(), strings.Join(addrs, ", "), w.tun.mtu)
	if len(c.DNS) > 0 {
		dns := make([]string, 0, len(c.DNS))
		for _, a := range c.DNS {
			dns = append(dns, a.String())
		}
		fmt.Fprintf(&b, "DNS = %s\n", strings.Join(dns, ", "))
	}
	fmt.Fprintf(&b, "\n[Peer]\nPublicKey = %s\nEndpoint = %s\nAllowedIPs = %s\n", w.public, w.at, strings.Join(nets, ", "))
	return b.String(), nil
}

// clientNames is said before a line with servers of names.
const clientNames = "# While this is up, names are looked up in the exercise alone. Take the DNS line out to\n" +
	"# keep your own, or where wg-quick misses resolvconf: addresses do without names.\n"

// tunnelled are the networks as AllowedIPs has them.
func tunnelled(nets []netip.Prefix) ([]string, error) {
	out := make([]string, 0, len(nets))
	for _, n := range nets {
		loop4, loop6 := netip.MustParsePrefix("127.0.0.0/8"), netip.IPv6Loopback()
		if !n.IsValid() || n.Bits() == 0 || n.Overlaps(loop4) || n.Contains(loop6) {
			return nil, fmt.Errorf("network %s: a scenario's network is needed, neither loopback nor everything", n)
		}
		out = append(out, n.Masked().String())
	}
	if len(out) == 0 {
		return nil, errors.New("no network of a scenario is named")
	}
	return out, nil
}
