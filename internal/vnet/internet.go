package vnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// InternetConfig describes the Internet of a network.
type InternetConfig struct {
	Name string // 0: "internet"
	Link Link
	MTU  int
}

// Internet is a segment with the addresses that are set aside for
// documentation: 192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24 (RFC 5737),
// 2001:db8::/32 (RFC 3849) where no other segment has a narrower prefix. Every
// address answers echo requests, and what Listen and Forward serve. Routers
// join it by its Segment; hosts may be added to it.
type Internet struct {
	*Segment
	fields []*Field
}

// Internet makes the network's Internet.
func (n *Network) Internet(cfg InternetConfig) (*Internet, error) {
	if cfg.Name == "" {
		cfg.Name = "internet"
	}
	blocks := []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), 24),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8}), 32),
	}
	s, err := n.AddSegment(SegmentConfig{Name: cfg.Name, Prefixes: blocks, Link: cfg.Link, MTU: cfg.MTU})
	if err != nil {
		return nil, err
	}
	in := &Internet{Segment: s}
	for _, b := range blocks {
		f, err := s.AddField(FieldConfig{Name: cfg.Name, Prefix: b})
		if err != nil {
			return nil, err
		}
		in.fields = append(in.fields, f)
	}
	return in, nil
}

// Listen serves TCP on port of every address of the Internet that no host has.
func (in *Internet) Listen(ctx context.Context, port uint16) (net.Listener, error) {
	all := &manyListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	for _, f := range in.fields {
		l, err := f.Listen(ctx, port)
		if err != nil {
			_ = all.Close()
			return nil, fmt.Errorf("listen on the Internet: %w", err)
		}
		all.list = append(all.list, l)
		all.wg.Go(func() { all.serve(l) })
	}
	return all, nil
}

// Forward answers every other port of every address; see Field.Forward.
func (in *Internet) Forward(cfg ForwardConfig) error {
	for _, f := range in.fields {
		if err := f.Forward(cfg); err != nil {
			return err
		}
	}
	return nil
}
