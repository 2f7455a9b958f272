package vnet

import (
	"math/rand"
	"net/netip"
	"slices"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// sock is what waits for a host's stack to be bound to its port.
type sock interface {
	bind(s *stack.Stack, key sockKey) error
	shut()
}

// sockKey is a port of one transport protocol on a host.
type sockKey struct {
	proto tcpip.TransportProtocolNumber
	port  uint16
}

// freeTries is how many ports are tried for port 0.
const freeTries = 64

// add enters k, and binds it if the host has a stack already. Port 0 takes a
// free one between 20000 and 29999.
func (h *Host) add(k sock, key sockKey) (sockKey, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.net.closed.Load() {
		return key, ErrClosed
	}
	if key.port == 0 {
		r := rand.New(h.net.rand)
		for range freeTries {
			key.port = uint16(20000 + r.Intn(10000))
			if h.socks[key] == nil {
				break
			}
		}
	}
	if h.socks[key] != nil {
		return key, syscall.EADDRINUSE
	}
	if h.stack != nil {
		if err := k.bind(h.stack, key); err != nil {
			return key, err
		}
	}
	h.socks[key] = k
	return key, nil
}

// remove forgets k.
func (h *Host) remove(k sock) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, o := range h.socks {
		if o == k {
			delete(h.socks, key)
		}
	}
}

// proto is the family to make endpoints of that listen on all the host's
// addresses: IPv6 endpoints take both.
func (h *Host) proto() tcpip.NetworkProtocolNumber {
	if slices.ContainsFunc(h.cfg.Addrs, netip.Addr.Is6) {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}
