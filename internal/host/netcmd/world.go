package netcmd

import (
	"context"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// World answers for everything outside a fake host, by one word of the
// configuration: serve, timeout, refuse, not-found. It reaches nothing.
type World struct{ Downloads string }

var _ kernel.Net = World{}

// Resolve gives one stable address for a name; none for a name that no
// resolver of the internet can know.
func (World) Resolve(name string) ([]netip.Addr, bool) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !possible(name) {
		return nil, false
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	v := h.Sum32()
	return []netip.Addr{netip.AddrFrom4([4]byte{byte(45 + v%150), byte(v >> 8), byte(v >> 16), byte(1 + v>>24%250)})}, true
}

// possible reports whether a name in lower case can be one of the public DNS:
// labels as RFC 1035 has them, a top-level domain that is neither a number nor
// set aside (RFC 2606, 6761, 6762, 7686, 8375, and ICANN's "internal").
func possible(name string) bool {
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return false
		}
	}
	switch top := labels[len(labels)-1]; top {
	case "invalid", "test", "example", "local", "localhost", "onion", "internal", "alt":
		return false
	default:
		return strings.ContainsFunc(top, func(r rune) bool { return r < '0' || r > '9' }) && !strings.HasSuffix("."+name, ".home.arpa")
	}
}

// Fetch answers a download with a harmless placeholder, or fails as configured.
func (w World) Fetch(_ context.Context, f kernel.Fetch) kernel.Reply {
	host, _, _ := strings.Cut(hostPort(f.URL, "80"), ":")
	addrs, found := w.Resolve(host)
	if !found {
		return kernel.Reply{Failure: "resolve", Delay: 20 * time.Millisecond}
	}
	if addrs[0].IsLoopback() { // nothing but sshd listens on the host
		return kernel.Reply{Failure: "refused", Addr: addrs[0]}
	}
	r := kernel.Reply{Addr: addrs[0], Status: 200, Type: "application/octet-stream", Delay: 120 * time.Millisecond}
	switch w.Downloads {
	case "timeout":
		return kernel.Reply{Failure: "timeout", Addr: addrs[0], Delay: 20 * time.Second}
	case "refuse":
		return kernel.Reply{Failure: "refused", Addr: addrs[0]}
	case "not-found":
		r.Status, r.Type, r.Body = 404, "text/html", []byte("<html><head><title>404 Not Found</title></head></html>\n")
		return r
	}
	if strings.HasSuffix(f.URL, "/") || strings.Contains(f.URL, ".htm") {
		r.Type, r.Body = "text/html", []byte("<html><body></body></html>\n")
		return r
	}
	r.Body = []byte("#!/bin/sh\n")
	return r
}
