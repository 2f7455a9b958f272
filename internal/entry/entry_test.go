package entry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/entry"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func get[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const patience = 90 * time.Second // for machines under load; nothing waits for it that works

// site is a small network: somebody's place, a server, and nothing else.
type site struct {
	net      *vnet.Network
	office   *vnet.Segment
	tap, web *vnet.Host
}

func newSite(tb testing.TB) site {
	tb.Helper()
	n := get(vnet.New(vnet.Config{Seed: 4}))
	tb.Cleanup(func() { n.Close() })
	s := site{net: n, office: get(n.AddSegment(vnet.SegmentConfig{Name: "office", Prefixes: []netip.Prefix{prefix("10.20.1.0/24"), prefix("2001:db8:1::/64")}}))}
	s.tap = get(s.office.AddHost(vnet.HostConfig{Name: "tap01", Addrs: []netip.Addr{addr("10.20.1.200"), addr("2001:db8:1::200")}}))
	s.web = get(s.office.AddHost(vnet.HostConfig{Name: "web01", Addrs: []netip.Addr{addr("10.20.1.10"), addr("2001:db8:1::10")}}))
	go http.Serve(get(s.web.Listen(tb.Context(), 80)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "from %s for %s\n", r.RemoteAddr[:strings.LastIndexByte(r.RemoteAddr, ':')], r.Host)
	}))
	echo := get(s.web.ListenPacket(tb.Context(), 7))
	go func() {
		b := make([]byte, 70000)
		for {
			k, from, err := echo.ReadFrom(b)
			if err != nil {
				return
			}
			echo.WriteTo(b[:k], from)
		}
	}()
	return s
}

// open serves a door until the test ends.
func open(tb testing.TB, cfg entry.SOCKSConfig) *entry.SOCKS {
	tb.Helper()
	cfg.Listen = "127.0.0.1:0"
	door, err := entry.NewSOCKS(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	serve(tb, door.Serve)
	return door
}

// serve runs Serve and expects nil of it at the end.
func serve(tb testing.TB, run func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				tb.Error(err)
			}
		case <-time.After(patience):
			tb.Error("Serve did not end with its context")
		}
	})
}

// eventually waits for a condition.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("it never came that %s", what)
		}
	}
}

func TestDoorsOpenOnLoopbackOnly(t *testing.T) {
	for _, tt := range []struct{ listen, says string }{
		{"0.0.0.0:1080", "loopback only"},
		{"[::]:1080", "loopback only"},
		{"192.0.2.1:1080", "loopback only"},
		{"[::ffff:192.0.2.1]:1080", "loopback only"},
		{":1080", "an address and a port"},
		{"localhost:1080", "an address and a port"},
		{"127.0.0.1", "an address and a port"},
		{"", "an address and a port"},
	} {
		t.Run(tt.listen, func(t *testing.T) {
			door, err := entry.NewSOCKS(t.Context(), entry.SOCKSConfig{Listen: tt.listen})
			if err == nil {
				door.Close()
				t.Fatalf("it listens on %s", door.Addr())
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not say %q", err, tt.says)
			}
		})
	}
	taken := get(net.Listen("tcp", "127.0.0.1:0"))
	defer taken.Close()
	if _, err := entry.NewSOCKS(t.Context(), entry.SOCKSConfig{Listen: taken.Addr().String()}); err == nil {
		t.Error("a port was taken twice")
	}
}

// login speaks the client's part up to the request.
func login(tb testing.TB, door *entry.SOCKS, user, secret string) (net.Conn, error) {
	tb.Helper()
	c, err := net.Dial("tcp", door.Addr().String())
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	c.Write([]byte{5, 2, 0, 2})
	var b [2]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return nil, err
	}
	if b != [2]byte{5, 2} {
		return nil, fmt.Errorf("method % x", b)
	}
	c.Write(append(append([]byte{1, byte(len(user))}, user...), append([]byte{byte(len(secret))}, secret...)...))
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return nil, err
	}
	if b != [2]byte{1, 0} {
		return nil, errRefused
	}
	return c, nil
}

var errRefused = errors.New("refused")

// request sends one command and reads the reply: its code and address.
func request(tb testing.TB, c net.Conn, cmd byte, name string, port uint16) (byte, netip.AddrPort) {
	tb.Helper()
	b := []byte{5, cmd, 0}
	if a, err := netip.ParseAddr(name); err == nil {
		b = append(append(b, map[bool]byte{true: 1, false: 4}[a.Is4()]), a.AsSlice()...)
	} else {
		b = append(append(b, 3, byte(len(name))), name...)
	}
	c.Write(append(b, byte(port>>8), byte(port)))
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		tb.Fatalf("reply: %v", err)
	}
	rest := make([]byte, map[byte]int{1: 6, 4: 18}[head[3]])
	if _, err := io.ReadFull(c, rest); err != nil {
		tb.Fatalf("reply: %v", err)
	}
	a, _ := netip.AddrFromSlice(rest[:len(rest)-2])
	return head[1], netip.AddrPortFrom(a, uint16(rest[len(rest)-2])<<8|uint16(rest[len(rest)-1]))
}
