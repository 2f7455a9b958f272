package vnet_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// hidden is a network behind a router that translates: home, and what lies outside.
type hidden struct {
	n         *vnet.Network
	out       *vnet.Segment
	one, two  *vnet.Host // inside
	far       *vnet.Host // outside
	own, own6 netip.Addr // of the router, outside
}

func newHidden(tb testing.TB) *hidden {
	tb.Helper()
	w := &hidden{n: newNet(tb, vnet.Config{Seed: 9}), own: addr("10.9.0.1"), own6: addr("2001:db8:9::1")}
	in := segment(tb, w.n, "home", "10.1.0.0/24", "2001:db8:1::/64")
	w.out = segment(tb, w.n, "town", "10.9.0.0/24", "2001:db8:9::/64")
	get(w.n.AddRouter(vnet.RouterConfig{Name: "nat", Default: true, Ports: []vnet.RouterPort{
		{Segment: in, Addrs: []netip.Addr{addr("10.1.0.1"), addr("2001:db8:1::1")}},
		{Segment: w.out, Addrs: []netip.Addr{w.own, w.own6}, NAT: true},
	}}))
	w.one, w.two = host(tb, in, "one", "10.1.0.10", "2001:db8:1::10"), host(tb, in, "two", "10.1.0.11", "2001:db8:1::11")
	w.far = host(tb, w.out, "far", "10.9.0.20", "2001:db8:9::20")
	return w
}

func TestSourceNAT(t *testing.T) {
	ctx := ctxFor(t)
	w := newHidden(t)
	ln := get(w.far.Listen(ctx, 80))
	seen := make(chan netip.AddrPort, 200)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			seen <- netip.MustParseAddrPort(c.RemoteAddr().String())
			go func() {
				b := make([]byte, 100)
				k, _ := c.Read(b)
				_, _ = c.Write(b[:k])
				c.Close()
			}()
		}
	}()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			d := []*vnet.Host{w.one, w.two}[i%2].Dialer()
			c, err := d.DialContext(ctx, []string{"tcp4", "tcp6"}[i/2%2], "far:80")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			roundTrip(t, c, fmt.Sprint("number ", i))
		})
	}
	all.Wait()
	ports := map[netip.AddrPort]bool{}
	for range 100 {
		a := <-seen
		if ports[a] || a.Addr() != w.own && a.Addr() != w.own6 {
			t.Errorf("the server sees %s", a)
		}
		ports[a] = true
	}
	for f := range w.n.Flows() {
		if len(f.As) != 1 || f.As[0].Dst != f.Dst || !ports[f.As[0].Src] || f.State != vnet.Open {
			t.Errorf("the flow %s > %s, %s, is known as %v", f.Src, f.Dst, f.State, f.As)
		}
	}
	for _, a := range []string{"10.9.0.20", "2001:db8:9::20"} {
		if _, err := w.two.Dialer().Ping(ctx, addr(a)); err != nil {
			t.Error(err)
		}
		if st := get(w.two.Dialer().Probe(ctx, addr(a), 81)); st != vnet.Closed {
			t.Errorf("a closed port of %s is %s", a, st)
		}
	}
}

// TestNATOfDatagrams sends what does not fit into one packet both ways, and a
// datagram that nobody takes: the error must find back.
func TestNATOfDatagrams(t *testing.T) {
	for _, network := range []string{"udp4", "udp6"} {
		t.Run(network, func(t *testing.T) {
			ctx := ctxFor(t)
			w := newHidden(t)
			pc := get(w.far.ListenPacket(ctx, 53))
			go func() {
				b := make([]byte, 8000)
				for {
					k, from, err := pc.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = pc.WriteTo(b[:k], from)
				}
			}()
			c := get(w.one.Dialer().DialContext(ctx, network, "far:53"))
			defer c.Close()
			big := bytes.Repeat([]byte("datagram "), 500)
			got := make([]byte, 8000)
			if _, err := c.Write(big); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if k, err := c.Read(got); err != nil || !bytes.Equal(got[:k], big) {
				t.Fatalf("%d of %d bytes came back: %v", k, len(big), err)
			}
			none := get(w.one.Dialer().DialContext(ctx, network, "far:54"))
			defer none.Close()
			if _, err := none.Write([]byte("anybody?")); err != nil {
				t.Fatal(err)
			}
			_ = none.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := none.Read(got); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("a closed port: %v", err)
			}
		})
	}
}

// TestNATHides lets somebody outside try to get in. What the rules let in
// directly keeps its addresses, answers included.
func TestNATHides(t *testing.T) {
	ctx := ctxFor(t)
	w := newHidden(t)
	go echo(get(w.one.Listen(ctx, 80)))
	d := w.far.Dialer()
	for _, a := range []netip.Addr{w.own, w.own6} {
		if st := get(d.Probe(ctx, a, 80)); st != vnet.Closed {
			t.Errorf("port 80 of the router at %s is %s", a, st)
		}
		if _, err := d.Ping(ctx, a); err != nil {
			t.Error(err)
		}
	}
	for _, a := range []string{"10.1.0.10:80", "[2001:db8:1::10]:80"} {
		c := get(d.DialContext(ctx, "tcp", a))
		roundTrip(t, c, "straight in")
		if c.RemoteAddr().String() != a {
			t.Errorf("%s answers as %s", a, c.RemoteAddr())
		}
		c.Close()
	}
}

// TestLabelsBehindNAT reads every packet of both sides back: the router changes
// addresses, not the truth.
func TestLabelsBehindNAT(t *testing.T) {
	tshark := sharedtest.Program(t, "tshark")
	ctx := ctxFor(t)
	w := newHidden(t)
	go echo(get(w.far.Listen(ctx, 80)))
	name := filepath.Join(t.TempDir(), "town.pcapng")
	f := get(os.Create(name))
	defer f.Close()
	tap := get(w.n.Capture(f, vnet.CaptureConfig{Segment: "town"}))
	for i := range 40 {
		d := w.one.Dialer()
		if i%2 == 0 {
			d = d.Labelled("s1 T1046")
		}
		c := get(d.DialContext(ctx, "tcp", "far:80"))
		text := "red"
		if i%2 == 1 {
			text = "benign"
		}
		roundTrip(t, c, text)
		c.Close()
	}
	if _, err := w.one.Dialer().Labelled("s2 T1018").Ping(ctx, addr("10.9.0.20")); err != nil {
		t.Fatal(err)
	}
	var red, benign []packet.Tuple
	settle(ctx, t, func() bool { // connections are closed a moment later
		red, benign = nil, nil
		for f := range w.n.Flows() {
			if f.Label == "" {
				benign = append(benign, f.As...)
			} else {
				red = append(red, f.As...)
			}
		}
		return len(red) == 21 && len(benign) == 20
	})
	if err := tap.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, tshark, "-n", "-r", name, "-T", "fields", "-E", "separator=;", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-e", "ip.src", "-e", "tcp.srcport", "-e", "ip.dst", "-e", "tcp.dstport", "-e", "frame.comment", "-e", "tcp.checksum.status", "-e", "icmp.checksum.status").Output()
	if err != nil {
		t.Fatal(err)
	}
	label := map[string]string{}
	for _, tu := range red {
		label[tu.Src.String()] = "s1 T1046"
	}
	packets := map[string]int{}
	for l := range strings.Lines(strings.TrimSpace(string(out))) {
		f := strings.Split(strings.TrimSpace(l), ";")
		want := label[f[0]+":"+f[1]] + label[f[2]+":"+f[3]]
		if f[1] == "" {
			want = "s2 T1018"
		}
		if f[4] != want || f[5]+f[6] != "1" {
			t.Errorf("%q: want the label %q and a right checksum", l, want)
		}
		packets[f[4]]++
	}
	if packets["s1 T1046"] < 120 || packets[""] < 120 || packets["s2 T1018"] != 2 {
		t.Errorf("%v packets by label", packets)
	}
}

// settle waits until done says so.
func settle(ctx context.Context, t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come to rest")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
