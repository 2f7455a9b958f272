package vnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func newNet(tb testing.TB, cfg vnet.Config) *vnet.Network {
	tb.Helper()
	n, err := vnet.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := n.Close(); err != nil {
			tb.Error(err)
		}
	})
	return n
}

func get[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func segment(tb testing.TB, n *vnet.Network, name string, prefixes ...string) *vnet.Segment {
	tb.Helper()
	cfg := vnet.SegmentConfig{Name: name}
	for _, p := range prefixes {
		cfg.Prefixes = append(cfg.Prefixes, prefix(p))
	}
	return get(n.AddSegment(cfg))
}

func host(tb testing.TB, s *vnet.Segment, name string, addrs ...string) *vnet.Host {
	tb.Helper()
	cfg := vnet.HostConfig{Name: name}
	for _, a := range addrs {
		cfg.Addrs = append(cfg.Addrs, addr(a))
	}
	return get(s.AddHost(cfg))
}

func roundTrip(tb testing.TB, c net.Conn, text string) {
	tb.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		tb.Fatal(err)
	}
	if string(got) != text {
		tb.Fatalf("got %q, want %q", got, text)
	}
}

func ctxFor(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

func TestTCPBetweenHosts(t *testing.T) {
	for _, tt := range []struct{ name, a, b, network string }{
		{"IPv4", "10.20.1.10", "10.20.1.66", "tcp4"},
		{"IPv6", "2001:db8:1::10", "2001:db8:1::66", "tcp6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := ctxFor(t)
			n := newNet(t, vnet.Config{Seed: 1})
			s := segment(t, n, "office", "10.20.1.0/24", "2001:db8:1::/64")
			web, red := host(t, s, "web01", tt.a), host(t, s, "red01", tt.b)
			l := get(web.Listen(ctx, 80))
			go echo(l)
			c := get(red.Dialer().DialContext(ctx, tt.network, "web01:80"))
			roundTrip(t, c, "hello")
			if got := c.RemoteAddr().String(); got != net.JoinHostPort(tt.a, "80") {
				t.Errorf("remote address %s", got)
			}
			if got := c.LocalAddr().(*net.TCPAddr).IP.String(); got != tt.b {
				t.Errorf("local address %s", got)
			}
			if err := c.(*vnet.Conn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if k, err := c.Read(make([]byte, 1)); k != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("after the peer's FIN: %d, %v", k, err)
			}
			c.Close()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read after close: %v", err)
			}
		})
	}
}

func TestErrorsAreTheMachines(t *testing.T) {
	ctx := ctxFor(t)
	n := newNet(t, vnet.Config{})
	s := segment(t, n, "office", "10.20.1.0/24")
	host(t, s, "web01", "10.20.1.10")
	red := host(t, s, "red01", "10.20.1.66")
	for _, tt := range []struct {
		to   string
		want error
	}{
		{"10.20.1.10:81", syscall.ECONNREFUSED},
		{"10.20.1.99:80", syscall.EHOSTUNREACH},
	} {
		if _, err := red.Dialer().DialContext(ctx, "tcp", tt.to); !errors.Is(err, tt.want) {
			t.Errorf("dial %s: %v, want %v", tt.to, err, tt.want)
		}
	}
	var dns *net.DNSError
	if _, err := red.Dialer().DialContext(ctx, "tcp", "www.example.com:80"); !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("a name from outside: %v", err)
	}
	if _, err := new(vnet.Dialer).DialContext(ctx, "tcp", "127.0.0.1:80"); err == nil {
		t.Error("the zero Dialer dialled")
	}
	l := get(red.Listen(ctx, 80))
	if _, err := red.Listen(ctx, 80); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second listener: %v", err)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	ctx := ctxFor(t)
	n := newNet(t, vnet.Config{})
	s := segment(t, n, "office", "10.20.1.0/24")
	web, red := host(t, s, "web01", "10.20.1.10"), host(t, s, "red01", "10.20.1.66")
	l := get(web.Listen(ctx, 80))
	go echo(l)
	c := get(red.Dialer().DialContext(ctx, "tcp", "web01:80"))
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	var ne net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
		t.Fatalf("read again: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	roundTrip(t, c, "on again")
}

func TestLazyHosts(t *testing.T) {
	ctx := ctxFor(t)
	n := newNet(t, vnet.Config{})
	s := segment(t, n, "office", "10.20.0.0/16")
	for i := range 200 {
		h := host(t, s, fmt.Sprintf("h%d", i), fmt.Sprintf("10.20.1.%d", i+1))
		go echo(get(h.Listen(ctx, 80)))
	}
	if got := n.Stats().Stacks; got != 0 {
		t.Fatalf("%d stacks before anything was touched", got)
	}
	c := get(n.Host("h0").Dialer().DialContext(ctx, "tcp", "h7:80"))
	roundTrip(t, c, "x")
	c.Close()
	if got := n.Stats().Stacks; got != 2 {
		t.Errorf("%d stacks after two hosts talked", got)
	}
}

func TestUDPInFragments(t *testing.T) {
	ctx := ctxFor(t)
	n := newNet(t, vnet.Config{})
	s := segment(t, n, "office", "10.20.1.0/24", "2001:db8:1::/64")
	srv := host(t, s, "srv", "10.20.1.10", "2001:db8:1::10")
	red := host(t, s, "red01", "10.20.1.66", "2001:db8:1::66")
	pc := get(srv.ListenPacket(ctx, 53))
	go func() {
		b := make([]byte, 3000)
		for {
			k, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(b[:k], from)
		}
	}()
	for _, network := range []string{"udp4", "udp6"} {
		c := get(red.Dialer().DialContext(ctx, network, "srv:53"))
		roundTrip(t, c, "question "+network)
		roundTrip(t, c, string(make([]byte, 2900))) // in fragments
		c.Close()
	}
}

// site is an office, a server room and the Internet behind one router.
type site struct {
	n                *vnet.Network
	office, server   *vnet.Segment
	inet             *vnet.Internet
	r                *vnet.Router
	web, red, hidden *vnet.Host
}

func newSite(tb testing.TB, cfg vnet.Config) *site {
	tb.Helper()
	w := &site{n: newNet(tb, cfg)}
	w.office = segment(tb, w.n, "office", "10.20.1.0/24", "2001:db8:1::/64")
	w.server = segment(tb, w.n, "server", "10.20.2.0/24", "2001:db8:2::/64")
	w.inet = get(w.n.Internet(vnet.InternetConfig{}))
	w.r = get(w.n.AddRouter(vnet.RouterConfig{
		Name: "r1",
		Ports: []vnet.RouterPort{
			{Segment: w.office, Addrs: []netip.Addr{addr("10.20.1.1"), addr("2001:db8:1::1")}},
			{Segment: w.server, Addrs: []netip.Addr{addr("10.20.2.1"), addr("2001:db8:2::1")}},
			{Segment: w.inet.Segment, Addrs: []netip.Addr{addr("192.0.2.1"), addr("2001:db8:ffff::1")}},
		},
		Rules: []vnet.Rule{
			{From: w.office.Prefixes(), To: w.server.Prefixes(), Ports: []vnet.PortRange{{Proto: "tcp", Lo: 80, Hi: 80}, {Proto: "icmp"}}, Allow: true},
			{From: w.office.Prefixes(), To: w.server.Prefixes(), Ports: []vnet.PortRange{{Proto: "tcp", Lo: 23, Hi: 23}}, Reject: true},
			{From: w.office.Prefixes(), To: w.inet.Prefixes(), Allow: true},
		},
	}))
	w.red = host(tb, w.office, "red01", "10.20.1.66", "2001:db8:1::66")
	w.web = host(tb, w.server, "web01", "10.20.2.10", "2001:db8:2::10")
	w.hidden = host(tb, w.server, "db01", "10.20.2.20")
	return w
}

func TestRouterRules(t *testing.T) {
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{Seed: 3})
	go echo(get(w.web.Listen(ctx, 80)))
	go echo(get(w.web.Listen(ctx, 22)))
	for _, network := range []string{"tcp4", "tcp6"} {
		c := get(w.red.Dialer().DialContext(ctx, network, "web01:80"))
		roundTrip(t, c, "through the router")
		c.Close()
	}
	d := w.red.Dialer()
	for _, a := range []string{"10.20.2.10", "2001:db8:2::10"} {
		if _, err := d.Ping(ctx, addr(a)); err != nil {
			t.Error(err)
		}
		for _, tt := range []struct {
			port uint16
			want vnet.State
		}{{80, vnet.Open}, {23, vnet.Filtered}} {
			if got, err := d.Probe(ctx, addr(a), tt.port); got != tt.want || err != nil {
				t.Errorf("probe of %s port %d: %v, %v, want %v", a, tt.port, got, err, tt.want)
			}
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if got, err := d.Probe(short, addr(a), 22); got != vnet.Unanswered || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("probe of a dropped port: %v, %v", got, err)
		}
		cancel()
	}
	if got, err := w.web.Dialer().Probe(ctx, addr("10.20.2.20"), 80); got != vnet.Closed || err != nil {
		t.Errorf("closed port: %v, %v", got, err)
	}
	if d := w.n.Stats().Dropped; d.Rule < 4 {
		t.Errorf("drops %+v", d)
	}
	if err := w.r.SetRules(nil); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := d.Probe(short, addr("10.20.2.10"), 80); err == nil {
		t.Error("answered after the rules had gone")
	}
}

func TestInternet(t *testing.T) {
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{})
	l := get(w.inet.Listen(ctx, 80))
	go echo(l)
	if err := w.inet.Forward(vnet.ForwardConfig{Network: "tcp", Accept: func(a netip.AddrPort) bool { return a.Port() == 4444 }, Handle: func(c net.Conn) {
		defer c.Close()
		fmt.Fprintf(c, "%s", c.LocalAddr())
	}}); err != nil {
		t.Fatal(err)
	}
	d := w.red.Dialer()
	for _, a := range []string{"203.0.113.10", "198.51.100.200", "2001:db8:abcd::1"} {
		c := get(d.DialContext(ctx, "tcp", net.JoinHostPort(a, "80")))
		roundTrip(t, c, "beacon")
		c.Close()
		c = get(d.DialContext(ctx, "tcp", net.JoinHostPort(a, "4444")))
		got, err := io.ReadAll(c)
		if want := net.JoinHostPort(a, "4444"); string(got) != want || err != nil {
			t.Errorf("forwarded: %q, %v, want %q", got, err, want)
		}
		c.Close()
		if _, err := d.DialContext(ctx, "tcp", net.JoinHostPort(a, "4445")); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("port that Accept refuses: %v", err)
		}
		if _, err := d.Ping(ctx, addr(a)); err != nil {
			t.Error(err)
		}
	}
	// What is nowhere: the router says so.
	if _, err := d.DialContext(ctx, "tcp", "8.8.8.8:53"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("an address outside the range: %v", err)
	}
}

func TestIsolation(t *testing.T) {
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{})
	go echo(get(w.web.Listen(ctx, 80)))
	w.n.Isolate(w.web, true)
	if !w.web.Isolated() {
		t.Error("not isolated")
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := w.red.Dialer().DialContext(short, "tcp4", "web01:80"); err == nil {
		t.Fatal("an isolated host answered")
	}
	if w.n.Stats().Dropped.Isolated == 0 {
		t.Error("no drop counted")
	}
	w.n.Isolate(w.web, false)
	c := get(w.red.Dialer().DialContext(ctx, "tcp4", "web01:80"))
	roundTrip(t, c, "back")
	c.Close()
}

func TestFlowsCarryLabels(t *testing.T) {
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{})
	go echo(get(w.web.Listen(ctx, 80)))
	c := get(w.red.Dialer().Labelled("s1 T1046").DialContext(ctx, "tcp4", "web01:80"))
	roundTrip(t, c, "red")
	c.Close()
	c = get(w.red.Dialer().DialContext(ctx, "tcp4", "web01:80"))
	roundTrip(t, c, "green")
	c.Close()
	labels := map[string]int{}
	for f := range w.n.Flows() {
		labels[f.Label]++
		if f.Packets < 6 || f.Bytes < 200 || f.State != vnet.Open || f.Dst.Port() != 80 {
			t.Errorf("flow %+v", f)
		}
	}
	if labels["s1 T1046"] != 1 || labels[""] != 1 || len(labels) != 2 {
		t.Errorf("labels %v", labels)
	}
}

func TestBadTopology(t *testing.T) {
	n := newNet(t, vnet.Config{})
	s := segment(t, n, "office", "10.20.1.0/24")
	host(t, s, "a", "10.20.1.5")
	for name, f := range map[string]func() error{
		"no prefix": func() error { _, err := n.AddSegment(vnet.SegmentConfig{Name: "x"}); return err },
		"host bits": func() error {
			_, err := n.AddSegment(vnet.SegmentConfig{Name: "x", Prefixes: []netip.Prefix{prefix("10.9.0.1/24")}})
			return err
		},
		"same prefix": func() error {
			_, err := n.AddSegment(vnet.SegmentConfig{Name: "x", Prefixes: []netip.Prefix{prefix("10.20.1.0/24")}})
			return err
		},
		"loss": func() error {
			_, err := n.AddSegment(vnet.SegmentConfig{Name: "x", Prefixes: []netip.Prefix{prefix("10.9.0.0/24")}, Link: vnet.Link{Loss: 2}})
			return err
		},
		"outside": func() error {
			_, err := s.AddHost(vnet.HostConfig{Name: "b", Addrs: []netip.Addr{addr("10.20.2.5")}})
			return err
		},
		"taken": func() error {
			_, err := s.AddHost(vnet.HostConfig{Name: "b", Addrs: []netip.Addr{addr("10.20.1.5")}})
			return err
		},
		"broadcast": func() error {
			_, err := s.AddHost(vnet.HostConfig{Name: "b", Addrs: []netip.Addr{addr("10.20.1.255")}})
			return err
		},
		"name twice": func() error {
			_, err := s.AddHost(vnet.HostConfig{Name: "a", Addrs: []netip.Addr{addr("10.20.1.6")}})
			return err
		},
		"no address":      func() error { _, err := s.AddHost(vnet.HostConfig{Name: "b"}); return err },
		"field elsewhere": func() error { _, err := s.AddField(vnet.FieldConfig{Prefix: prefix("10.21.0.0/16")}); return err },
		"rule protocol": func() error {
			_, err := n.AddRouter(vnet.RouterConfig{Name: "r", Ports: []vnet.RouterPort{{Segment: s, Addrs: []netip.Addr{addr("10.20.1.1")}}}, Rules: []vnet.Rule{{Ports: []vnet.PortRange{{Proto: "sctp"}}}}})
			return err
		},
		"router elsewhere": func() error {
			_, err := n.AddRouter(vnet.RouterConfig{Name: "r", Ports: []vnet.RouterPort{{Segment: s, Addrs: []netip.Addr{addr("10.9.1.1")}}}})
			return err
		},
	} {
		if err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx := ctxFor(t)
	n := get(vnet.New(vnet.Config{}))
	s := segment(t, n, "office", "10.20.1.0/24")
	web, red := host(t, s, "web01", "10.20.1.10"), host(t, s, "red01", "10.20.1.66")
	go echo(get(web.Listen(ctx, 80)))
	c := get(red.Dialer().DialContext(ctx, "tcp", "web01:80"))
	roundTrip(t, c, "x")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.ECONNRESET) {
		t.Logf("read after the network closed: %v", err)
	}
	c.Close()
	if _, err := red.Dialer().DialContext(ctx, "tcp", "web01:80"); !errors.Is(err, vnet.ErrClosed) {
		t.Errorf("dial after close: %v", err)
	}
	for i := 0; runtime.NumGoroutine() > before+1; i++ {
		if i == 200 {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestLargeTransfers sends more than fits in a segment over every kind of way,
// and wants it back as it was; a capture shows no packet above the MTU.
func TestLargeTransfers(t *testing.T) {
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{Seed: 6})
	near := host(t, w.office, "near", "10.20.1.67", "2001:db8:1::67")
	traits, _ := trait.ByName("linux-6")
	dressed := get(w.office.AddHost(vnet.HostConfig{Name: "dressed", Addrs: []netip.Addr{addr("10.20.1.68"), addr("2001:db8:1::68")}, Traits: traits}))
	for _, h := range []*vnet.Host{near, dressed, w.web} {
		go echo(get(h.Listen(ctx, 80)))
	}
	data := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(data)
	for _, captured := range []bool{false, true} {
		var file bytes.Buffer
		var c *vnet.Capture
		if captured {
			c = get(w.n.Capture(&file, vnet.CaptureConfig{}))
		}
		for _, to := range []string{"near:80", "dressed:80", "web01:80"} {
			for _, network := range []string{"tcp4", "tcp6"} {
				conn := get(w.red.Dialer().DialContext(ctx, network, to))
				go func() { _, _ = conn.Write(data) }()
				got := make([]byte, len(data))
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%s by %s, captured %v: %v", to, network, captured, err)
				}
				conn.Close()
			}
		}
		if captured {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if n, _ := c.Packets(); n < 8000 || file.Len()/int(n) > 1600 {
				t.Errorf("%d packets in %d bytes", n, file.Len())
			}
		}
	}
}
