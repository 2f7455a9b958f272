package vnet_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is two segments with a router between, the Internet beyond it, and two
// hosts.
type world struct {
	net      *vnet.Network
	a, b     *vnet.Segment
	router   *vnet.Router
	one, two *vnet.Host
	out      *vnet.Internet
}

func newWorld(tb testing.TB, clk *vnet.VirtualClock, rules ...vnet.Rule) world {
	tb.Helper()
	n, err := vnet.New(vnet.Config{Seed: 1, Clock: clk})
	must(tb, err)
	tb.Cleanup(func() { must(tb, n.Close()) })
	w := world{net: n}
	w.a, err = n.AddSegment(vnet.SegmentConfig{Name: "a", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("fd00:1::/64")}})
	must(tb, err)
	w.b, err = n.AddSegment(vnet.SegmentConfig{Name: "b", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("fd00:2::/64")}})
	must(tb, err)
	w.out, err = n.Internet(vnet.InternetConfig{})
	must(tb, err)
	w.router, err = n.AddRouter(vnet.RouterConfig{Name: "r", Default: len(rules) == 0, Rules: rules, Ports: []vnet.RouterPort{
		{Segment: w.a, Addrs: addrs("10.0.1.1", "fd00:1::1")}, {Segment: w.b, Addrs: addrs("10.0.2.1", "fd00:2::1")}, {Segment: w.out.Segment, Addrs: addrs("192.0.2.250")},
	}})
	must(tb, err)
	w.one, err = w.a.AddHost(vnet.HostConfig{Name: "one", Addrs: addrs("10.0.1.10", "fd00:1::10")})
	must(tb, err)
	w.two, err = w.b.AddHost(vnet.HostConfig{Name: "two", Addrs: addrs("10.0.2.10", "fd00:2::10")})
	must(tb, err)
	n.DNS().Add("two", addrs("10.0.2.10")...)
	return w
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func addrs(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// echo answers on ln until it closes.
func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// talk sends a word and wants it back.
func talk(ctx context.Context, d *vnet.Dialer, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprint(c, "hello"); err != nil {
		return err
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf) != "hello" {
		return fmt.Errorf("got %q", buf)
	}
	return nil
}

func TestTalk(t *testing.T) {
	for name, clk := range map[string]*vnet.VirtualClock{"machine's time": nil, "virtual time": vnet.NewVirtualClock(start)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, clk)
			if clk != nil {
				t.Cleanup(clk.Close)
			}
			ln, err := w.two.Listen(t.Context(), 80)
			must(t, err)
			go echo(ln)
			for _, to := range []string{"two:80", "10.0.2.10:80", "[fd00:2::10]:80"} {
				if err := talk(t.Context(), w.one.Dialer().Labelled("s1 T1046"), to); err != nil {
					t.Fatalf("%s: %v", to, err)
				}
			}
			if st, err := w.one.Dialer().Probe(t.Context(), addrs("10.0.2.10")[0], 81); err != nil || st.String() != "closed" {
				t.Errorf("a closed port is %v, %v", st, err)
			}
			if st, err := w.one.Dialer().Probe(t.Context(), addrs("10.0.2.10")[0], 80); err != nil || st.String() != "open" {
				t.Errorf("an open port is %v, %v", st, err)
			}
			if _, err := w.one.Dialer().Ping(t.Context(), addrs("10.0.2.10")[0]); err != nil {
				t.Error("ping:", err)
			}
			if _, err := w.one.Dialer().DialContext(t.Context(), "tcp", "example.com:80"); err == nil {
				t.Error("a name that nobody has was found")
			}
			if n := w.net.Stats().Retransmits; n != 0 && clk != nil { // on a busy machine time goes by before an answer is made
				t.Errorf("%d retransmissions, %+v", n, w.net.Stats())
			}
			labelled := 0
			for f := range w.net.Flows() {
				if f.Label == "s1 T1046" {
					labelled++
				}
			}
			if labelled != 3 {
				t.Errorf("%d flows have the label, want 3", labelled)
			}
		})
	}
}

func TestRulesAndIsolation(t *testing.T) {
	clk := vnet.NewVirtualClock(start)
	defer clk.Close()
	w := newWorld(t, clk, vnet.Rule{Ports: []vnet.PortRange{{Proto: "tcp", Lo: 80, Hi: 80}}, Allow: true}, vnet.Rule{Ports: []vnet.PortRange{{Proto: "icmp"}}, Allow: true})
	for _, port := range []uint16{80, 81} {
		ln, err := w.two.Listen(t.Context(), port)
		must(t, err)
		go echo(ln)
	}
	must(t, talk(t.Context(), w.one.Dialer(), "two:80"))
	if err := talk(t.Context(), w.one.Dialer(), "two:81"); err == nil {
		t.Error("a rule that allows port 80 let port 81 through")
	}
	if w.net.Stats().Dropped.Rule == 0 {
		t.Error("what a rule stopped was not counted")
	}
	w.net.Isolate(w.two, true)
	if err := talk(t.Context(), w.one.Dialer(), "two:80"); err == nil {
		t.Error("an isolated host answered")
	}
	w.net.Isolate(w.two, false)
	must(t, talk(t.Context(), w.one.Dialer(), "two:80"))
}

func TestUDP(t *testing.T) {
	clk := vnet.NewVirtualClock(start)
	defer clk.Close()
	w := newWorld(t, clk)
	pc, err := w.two.ListenPacket(t.Context(), 53)
	must(t, err)
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(bytes.ToUpper(buf[:n]), from)
		}
	}()
	c, err := w.one.Dialer().DialContext(t.Context(), "udp", "two:53")
	must(t, err)
	defer c.Close()
	_, err = c.Write([]byte("word"))
	must(t, err)
	buf := make([]byte, 10)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "WORD" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
}

func TestFieldAndInternet(t *testing.T) {
	clk := vnet.NewVirtualClock(start)
	defer clk.Close()
	w := newWorld(t, clk)
	seg, err := w.net.AddSegment(vnet.SegmentConfig{Name: "decoys", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}})
	must(t, err)
	_, err = w.net.AddRouter(vnet.RouterConfig{Name: "r2", Default: true, Ports: []vnet.RouterPort{{Segment: w.b, Addrs: addrs("10.0.2.2")}, {Segment: seg, Addrs: addrs("10.20.0.1")}}})
	must(t, err)
	f, err := seg.AddField(vnet.FieldConfig{Name: "decoys", Prefix: netip.MustParsePrefix("10.20.0.0/16")})
	must(t, err)
	ln, err := f.Listen(t.Context(), 22)
	must(t, err)
	go echo(ln)
	web, err := w.out.Listen(t.Context(), 80)
	must(t, err)
	go echo(web)
	for _, to := range []string{"10.20.0.9:22", "10.20.255.77:22", "203.0.113.10:80", "198.51.100.200:80"} {
		if err := talk(t.Context(), w.one.Dialer(), to); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	if err := talk(t.Context(), w.one.Dialer(), "8.8.8.8:53"); err == nil {
		t.Error("an address outside the network answered")
	}
}

// TestADayOfBeacons holds the virtual clock to its word: it goes on only when
// nothing can run, so nothing is ever sent again, even while the machine is busy.
func TestADayOfBeacons(t *testing.T) {
	clk := vnet.NewVirtualClock(start)
	defer clk.Close()
	w := newWorld(t, clk)
	ln, err := w.two.Listen(t.Context(), 80)
	must(t, err)
	go echo(ln)
	busy, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // somebody else's work, which the clock must not wait for to the end
		for busy.Err() == nil {
			time.Sleep(time.Millisecond)
			for range 1000 {
				runtime.Gosched()
			}
		}
	}()
	began := time.Now()
	for i := range 24 * 60 {
		if err := talk(t.Context(), w.one.Dialer(), "two:80"); err != nil {
			t.Fatalf("beacon %d: %v", i, err)
		}
		must(t, w.net.Clock().Sleep(t.Context(), time.Minute))
	}
	if n := w.net.Stats().Retransmits; n != 0 {
		t.Errorf("%d retransmissions, %+v", n, w.net.Stats())
	}
	if got := w.net.Now().Sub(start); got < 24*time.Hour || got > 25*time.Hour {
		t.Errorf("the day took %s", got)
	}
	t.Logf("24 virtual hours in %s", time.Since(began))
}

func TestCapture(t *testing.T) {
	clk := vnet.NewVirtualClock(start)
	defer clk.Close()
	w := newWorld(t, clk)
	var file bytes.Buffer
	c, err := w.net.Capture(&file, vnet.CaptureConfig{})
	must(t, err)
	if _, err := w.net.Capture(io.Discard, vnet.CaptureConfig{Segment: "nowhere"}); err == nil {
		t.Error("a segment that is not there was captured")
	}
	ln, err := w.two.Listen(t.Context(), 80)
	must(t, err)
	go echo(ln)
	for i := range 20 {
		d := w.one.Dialer()
		if i%2 == 0 {
			d = d.Labelled("s1 T1046")
		}
		must(t, talk(t.Context(), d, "two:80"))
	}
	must(t, w.net.Clock().Sleep(t.Context(), time.Minute))
	must(t, c.Close())
	written, _ := c.Packets()
	tshark := sharedtest.Program(t, "tshark") // reads the capture back
	name := filepath.Join(t.TempDir(), "c.pcapng")
	must(t, os.WriteFile(name, file.Bytes(), 0o600))
	out, err := exec.Command(tshark, "-r", name, "-T", "fields", "-E", "separator=;", "-e", "tcp.stream", "-e", "frame.comment", "-e", "tcp.checksum.status", "-o", "tcp.check_checksum:TRUE").Output()
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if uint64(len(lines)) != written {
		t.Errorf("tshark reads %d packets of %d", len(lines), written)
	}
	for _, l := range lines {
		f := strings.Split(l, ";")
		var stream int
		fmt.Sscan(f[0], &stream)
		if want := map[bool]string{true: "s1 T1046"}[stream%2 == 0]; f[1] != want {
			t.Errorf("a packet of flow %d has the label %q, want %q", stream, f[1], want)
		}
		if f[2] != "1" {
			t.Errorf("a packet's checksum is wrong: %q", l)
		}
	}
}

func TestZeroDialer(t *testing.T) {
	if _, err := new(vnet.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:80"); err == nil {
		t.Error("a dialer of no host dialled")
	}
}

// TestNothingIsSentTwiceInNoTime moves bytes where a round trip takes no time at
// all: what recovers losses by the time of round trips would take every segment
// for lost.
func TestNothingIsSentTwiceInNoTime(t *testing.T) {
	clk := vnet.NewVirtualClock(start)
	defer clk.Close()
	w := newWorld(t, clk)
	ln, err := w.two.Listen(t.Context(), 80)
	must(t, err)
	got := make(chan int64, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			got <- -1
			return
		}
		n, _ := io.Copy(io.Discard, c)
		c.Close()
		got <- n
	}()
	c, err := w.one.Dialer().DialContext(t.Context(), "tcp", "two:80")
	must(t, err)
	const size = 8 << 20
	chunk := make([]byte, 32<<10)
	for range size / len(chunk) {
		if _, err := c.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	if n := <-got; n != size {
		t.Fatalf("%d bytes came", n)
	}
	if s := w.net.Stats(); s.Retransmits != 0 || s.Dropped.Queue != 0 {
		t.Errorf("%d retransmissions of %d packets: %+v", s.Retransmits, s.Packets, s.Dropped)
	}
}
