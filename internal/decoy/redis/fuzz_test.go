package redis

import (
	"bufio"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// fake is one fake host for all rounds of a fuzz test: making it takes longer than a round.
var fake = sync.OnceValues(func() (*host.Host, error) {
	clk := clock.System()
	p, err := persona.Generate("debian-server", 11, clk.Now())
	if err != nil {
		return nil, err
	}
	return host.New(host.Config{Name: "fake", Persona: p, Clock: clk}), nil
})

// fuzzVisit is a visit without a connection.
func fuzzVisit(t *testing.T) *visit {
	t.Helper()
	h, err := fake()
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.System()
	s := &decoy.Session{
		ID: "c", Source: netip.MustParseAddrPort("192.0.2.9:4444"), Local: netip.MustParseAddrPort("192.0.2.1:6379"), Start: clk.Now(), Name: "redis", Proto: "redis",
		Host: h, Clock: clk, IDs: event.NewIDs(nil, clk.Now), Rec: &decoytest.Recorder{},
	}
	d := New(Config{Door: access.New(access.Policy{}, kernel.NewRand(1, 2), clk.Now), Seed: 11})
	v := &visit{Server: d, s: s, last: t.Context(), out: writer{proto: 2}, user: "default", in: true, told: map[string]bool{}}
	v.host = h.Visit(t.Context(), s.Source.Addr())
	t.Cleanup(v.host.Close)
	v.view, v.id = d.view(s), d.client(s)
	return v
}

// reply reads one reply in RESP and gives the number of bytes after it.
func reply(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	oneReply(t, r)
	rest, _ := io.ReadAll(r)
	return len(rest)
}

func oneReply(t *testing.T, r *bufio.Reader) {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil || len(line) < 3 || !strings.HasSuffix(line, "\r\n") {
		t.Fatalf("no reply: %q, %v", line, err)
	}
	n := 0
	if strings.IndexByte("$*%~=", line[0]) >= 0 {
		if n, err = strconv.Atoi(line[1 : len(line)-2]); err != nil {
			t.Fatalf("a length %q", line)
		}
	}
	switch line[0] {
	case '+', '-', ':', '_':
	case '$', '=':
		if n >= 0 {
			if _, err := r.Discard(n + 2); err != nil {
				t.Fatalf("a text of %d bytes: %v", n, err)
			}
		}
	case '*', '~':
		for range n {
			oneReply(t, r)
		}
	case '%':
		for range 2 * n {
			oneReply(t, r)
		}
	default:
		t.Fatalf("a reply %q", line)
	}
}
