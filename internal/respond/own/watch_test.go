//go:build linux

package own_test

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/own"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// TestWatch changes addresses and routes of a namespace of its own.
func TestWatch(t *testing.T) {
	ip := sharedtest.Program(t, "ip")
	if !sharedtest.Namespace(t, 0) {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- own.Watch(ctx, func() { changed <- struct{}{} }) }()
	o := own.New(own.Config{Root: fstest.MapFS{}, Now: time.Now})
	run := func(line string) {
		if out, err := exec.CommandContext(ctx, ip, strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	await := func(addr, why string) {
		t.Helper()
		for limit := time.After(60 * time.Second); ; {
			select {
			case <-changed:
			case <-limit:
				t.Fatalf("%s never came", addr)
			}
			l, err := o.List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			p := netip.MustParseAddr(addr)
			if a, hit := l.Hit(netip.PrefixFrom(p, p.BitLen())); hit && a.Why == why {
				return
			}
		}
	}
	run("link add near type veth peer name far")
	for seen := false; !seen; { // until it listens
		run("link set far down")
		run("link set far up")
		select {
		case <-changed:
			seen = true
		case <-time.After(time.Second):
		}
	}
	run("link set near up")
	run("addr add 192.0.2.10/24 dev near")
	await("192.0.2.10", "own address on near")
	run("route add default via 192.0.2.1 dev near onlink")
	run("-6 addr add 2001:db8::10/64 dev near nodad")
	await("192.0.2.1", "default gateway")
	run("-6 route add default via 2001:db8::1 dev near table 77 onlink")
	await("2001:db8::1", "default gateway")
	run("route replace default nexthop via 192.0.2.2 dev near onlink nexthop via 192.0.2.3 dev near onlink")
	await("192.0.2.3", "default gateway")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
