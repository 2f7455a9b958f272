package track

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// flow is one connection of a test.
type link struct {
	src, dst    string
	sport, port int
	proto       string
	out, in     int
	more        []string
}

func (b *bench) flow(at time.Time, l link) map[string]string {
	b.t.Helper()
	if l.proto == "" {
		l.proto = "tcp"
	}
	return b.add(at, append([]string{
		"event.category", "network", "source.ip", l.src, "source.port", strconv.Itoa(l.sport), "destination.ip", l.dst, "destination.port", strconv.Itoa(l.port),
		"network.transport", l.proto, "source.bytes", strconv.Itoa(l.out), "destination.bytes", strconv.Itoa(l.in),
	}, l.more...)...)
}

// learn lets a host have a usual life for the days of learning.
func (b *bench) learn(hosts ...string) time.Time {
	for h := range 24 * 5 {
		for _, src := range hosts {
			at := began.Add(time.Duration(h) * time.Hour)
			b.flow(at, link{src: src, dst: "192.0.2.10", sport: 30000 + h, port: 443, out: 800, in: 9000})
			b.flow(at, link{src: src, dst: "192.0.2.20", sport: 123, port: 123, proto: "udp", out: 90, in: 90})
		}
	}
	return began.AddDate(0, 0, 5)
}

// call lets a host call an address again and again; it gives the first facts of a
// rhythm.
func (b *bench) call(at time.Time, l link, n int, pause func(i int) float64) map[string]string {
	for i := range n {
		l.sport = 20000 + i%20000
		if f := b.flow(at, l); f["beacon.score"] != "" {
			return f
		}
		at = at.Add(time.Duration(pause(i) * float64(time.Second)))
	}
	return nil
}

func TestBeacon(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	even := func(mid, jitter float64) func(int) float64 {
		return func(int) float64 { return mid * (1 + jitter*(2*rng.Float64()-1)) }
	}
	for _, tt := range []struct {
		name  string
		n     int
		pause func(int) float64
		score [2]int // 0: none
	}{
		{"clockwork", 360, even(60, 0), [2]int{90, 100}},
		{"a minute, up to a minute either way", 360, even(60, 1), [2]int{65, 90}},
		{"five minutes, half", 144, even(300, 0.5), [2]int{70, 100}},
		{"half an hour, a third", 120, even(1800, 0.3), [2]int{70, 100}},
		{"three at once", 900, func(i int) float64 { return [3]float64{0, 1, 59}[i%3] }, [2]int{80, 100}},
		{"a pause of an hour in it", 360, func(i int) float64 {
			if i == 100 {
				return 3600
			}
			return 60
		}, [2]int{65, 100}},
		{"somebody reads", 3000, func(i int) float64 { // bursts, and long pauses between
			if i%12 == 0 {
				return 300 + 3000*rng.Float64()
			}
			return 3 + 8*rng.Float64()
		}, [2]int{}},
		{"too short a time", 100, even(60, 0), [2]int{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			at := b.learn("10.0.0.5")
			got := b.call(at, link{src: "10.0.0.5", dst: "203.0.113.77", port: 8443, out: 400, in: 300}, tt.n, tt.pause)
			score, _ := strconv.Atoi(got["beacon.score"])
			if score < tt.score[0] || score > tt.score[1] {
				t.Errorf("score %d, want %d: %v", score, tt.score, got)
			}
			if score > 0 && (got["fresh"] != "true" || got["hosts"] != "1" || got["known_kind"] != "") {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestBeaconUsual: what began while learning is no news, and what a host, or three
// hosts, had before is known by its kind wherever it goes.
func TestBeaconUsual(t *testing.T) {
	minute := func(int) float64 { return 60 }
	agent := link{src: "10.0.0.5", dst: "203.0.113.1", port: 8443, out: 400, in: 300}
	b := newBench(t, Config{})
	b.learn("10.0.0.5")
	if got := b.call(began, agent, 7*1440, minute); got != nil {
		t.Errorf("began while learning: %v", got)
	}
	at := began.AddDate(0, 0, 7)
	agent.dst = "198.51.100.1"
	if got := b.call(at, agent, 360, minute); got["known_kind"] != "true" || got["fresh"] != "true" {
		t.Errorf("the same program at another address: %v", got)
	}
	agent.dst, agent.out = "198.51.200.1", 4000
	if got := b.call(at, agent, 360, minute); got["known_kind"] != "" || got["beacon.score"] == "" {
		t.Errorf("one that says more: %v", got)
	}
	for i := range 4 { // a program that is new everywhere
		l := link{src: fmt.Sprint("10.0.0.1", i), dst: fmt.Sprintf("198.18.%d.1", i), port: 4433, out: 100, in: 100}
		got := b.call(at, l, 360, minute)
		if want := map[bool]string{true: "true", false: ""}[i == 3]; got["known_kind"] != want {
			t.Errorf("host %d: %v", i, got)
		}
	}
}

func TestSession(t *testing.T) {
	tunnel := link{src: "10.0.0.5", dst: "203.0.113.77", sport: 50123, port: 443, out: 4000, in: 6000}
	t.Run("one record", func(t *testing.T) {
		b := newBench(t, Config{})
		at := b.learn("10.0.0.5").Add(6 * time.Hour)
		l := tunnel
		l.more = []string{"event.duration", strconv.Itoa(6 * 3600e9)}
		want := map[string]string{"session.hours": "6", "session.rate": "0", "session.two_way": "true", "fresh": "true", "hosts": "1"}
		if diff := cmp.Diff(want, b.flow(at, l)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("in parts of a minute, a beacon it is not", func(t *testing.T) {
		b := newBench(t, Config{})
		at := b.learn("10.0.0.5")
		var seen []string
		for i := range 60 * 30 {
			l := tunnel
			l.more = []string{"event.duration", strconv.Itoa(60e9)}
			if f := b.flow(at.Add(time.Duration(i+1)*time.Minute), l); len(f) > 0 {
				seen = append(seen, f["session.hours"]+" "+f["session.rate"]+f["beacon.score"])
			}
		}
		if diff := cmp.Diff([]string{"4 166", "24 166"}, seen); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("both ways apart, as routers tell", func(t *testing.T) {
		b := newBench(t, Config{})
		at := b.learn("10.0.0.5")
		var seen []map[string]string
		for i := range 60 * 5 {
			end := at.Add(time.Duration(i+1) * time.Minute)
			for _, pairs := range [][]string{
				{"source.ip", "10.0.0.5", "source.port", "50123", "destination.ip", "203.0.113.77", "destination.port", "443", "source.bytes", "4000"},
				{"source.ip", "203.0.113.77", "source.port", "443", "destination.ip", "10.0.0.5", "destination.port", "50123", "source.bytes", "6000"},
			} {
				if f := b.add(end, append(pairs, "event.category", "network", "event.dataset", "netflow", "network.transport", "tcp", "event.duration", strconv.Itoa(60e9))...); len(f) > 0 {
					seen = append(seen, f)
				}
			}
		}
		want := []map[string]string{{"session.hours": "4", "session.rate": "166", "session.two_way": "true", "fresh": "true", "hosts": "1"}}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Error(diff)
		}
	})
}

func TestServer(t *testing.T) {
	b := newBench(t, Config{Servers: []netip.Prefix{netip.MustParsePrefix("10.0.0.80/32")}})
	b.flow(began, link{src: "10.0.0.1", dst: "10.0.0.80", sport: 40000, port: 443, out: 10, in: 10})
	b.flow(began, link{src: "10.0.0.80", dst: "10.0.0.1", sport: 40000, port: 53, out: 10, in: 10})
	at := b.learn("10.0.0.5")
	want := map[string]string{"first_destination": "true", "outward_first": "true", "usual_per_week": "0", "fresh": "true", "hosts": "1", "server": "true"}
	if diff := cmp.Diff(want, b.flow(at, link{src: "10.0.0.80", dst: "203.0.113.7", sport: 50000, port: 443, out: 10, in: 10})); diff != "" {
		t.Errorf("a server talks outward: %s", diff)
	}
	if got := b.flow(at, link{src: "10.0.0.80", dst: "203.0.113.99", sport: 50001, port: 443, out: 10, in: 10}); len(got) > 0 {
		t.Errorf("and again to the same network: %v", got)
	}
	got := b.flow(at.AddDate(0, 0, 3), link{src: "10.0.0.80", dst: "192.0.2.10", sport: 50001, port: 443, out: 10, in: 10})
	if got["first_destination"] != "true" || got["outward_first"] != "" || got["fresh"] != "" || got["hosts"] != "2" {
		t.Errorf("a network that others know: %v", got)
	}
	// A host whom many ask is one without being named.
	for i := range 30 {
		b.flow(at, link{src: fmt.Sprint("10.0.1.", i), dst: "10.0.0.5", sport: 40000, port: 445, out: 10, in: 10})
	}
	if got := b.flow(at, link{src: "10.0.0.5", dst: "203.0.113.7", sport: 50000, port: 443, out: 10, in: 10}); got["first_destination"] != "true" || got["server"] != "true" {
		t.Errorf("whom many ask: %v", got)
	}
}

func TestFanout(t *testing.T) {
	sweep := func(b *bench, at time.Time, src, net string, port int) []string {
		var out []string
		for i := range 200 {
			if f := b.flow(at.Add(time.Duration(i)*time.Second), link{src: src, dst: fmt.Sprint(net, i), sport: 40000, port: port, out: 60}); f["fanout"] != "" {
				out = append(out, f["fanout_side"])
			}
		}
		return out
	}
	b := newBench(t, Config{})
	at := b.learn("10.0.0.5", "10.0.0.250")
	for d := range 5 { // an inventory runs each day, while learning too
		sweep(b, began.AddDate(0, 0, d).Add(time.Hour), "10.0.0.250", "10.0.3.", 161)
	}
	for _, tt := range []struct {
		name, src, net string
		port           int
		want           []string
	}{
		{"a camera looks around", "10.0.0.5", "10.0.3.", 445, []string{"inside"}},
		{"the inventory", "10.0.0.250", "10.0.3.", 161, nil},
		{"a camera joins a botnet", "10.0.0.5", "203.0.113.", 23, []string{"outside"}},
		{"somebody surfs", "10.0.0.5", "198.51.100.", 443, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, sweep(b, at.Add(6*time.Hour), tt.src, tt.net, tt.port)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTunnel(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		link       link
		n          int
		pause      time.Duration
	}{
		{"time", "", link{dst: "192.0.2.20", sport: 123, port: 123, proto: "udp", out: 90, in: 90, more: []string{"source.packets", "1"}}, 500, time.Minute},
		{"much in time", "ntp", link{dst: "203.0.113.9", sport: 40000, port: 123, proto: "udp", out: 40_000, in: 90_000, more: []string{"source.packets", "90"}}, 3, time.Minute},
		{"pings", "", link{dst: "203.0.113.9", proto: "icmp", out: 84 * 60, in: 84 * 60}, 500, time.Minute},
		{"much in pings", "icmp", link{dst: "203.0.113.9", proto: "icmp", out: 300_000, in: 300_000}, 9, time.Minute},
		{"GRE", "protocol", link{dst: "203.0.113.9", proto: "gre", out: 3000}, 9, time.Minute},
		{"TLS on its port", "", link{dst: "203.0.113.9", port: 8443, out: 300, in: 900, more: []string{"network.protocol", "ssl"}}, 9, time.Minute},
		{"TLS on another", "tls on an odd port", link{dst: "203.0.113.9", port: 4711, out: 300, in: 900, more: []string{"_path", "conn", "service", "ssl"}}, 9, time.Minute},
		{"something else there", "", link{dst: "203.0.113.9", port: 4711, out: 300, in: 900, more: []string{"service", "ssh"}}, 9, time.Minute},
		{"TLS on another to a network that is known", "", link{dst: "192.0.2.77", port: 4711, out: 300, in: 900, more: []string{"service", "ssl"}}, 9, time.Minute},
		{"the web", "", link{dst: "203.0.113.9", port: 443, sport: 40000, out: 300_000, in: 9_300_000}, 9, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{})
			at := b.learn("10.0.0.5")
			got := ""
			for i := range tt.n {
				l := tt.link
				l.src = "10.0.0.5"
				got += b.flow(at.Add(time.Duration(i)*tt.pause), l)["tunnel"]
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	b := newBench(t, Config{})
	at := b.learn("10.0.0.5")
	var got []string
	for i, port := range []int{443, 992, 1194, 5555, 443} {
		got = append(got, b.flow(at.Add(time.Duration(i)*time.Second), link{src: "10.0.0.5", dst: "203.0.113.9", sport: 40000 + i, port: port, out: 60})["tunnel"])
	}
	if diff := cmp.Diff([]string{"", "", "softether ports", "", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	ask := func(b *bench, at time.Time, n int, name func() string) (told int) {
		for i := range n {
			if b.add(at.Add(time.Duration(i)*5*time.Second), "source.ip", "10.0.0.5", "dns.question.name", name())["tunnel"] == "dns" {
				told++
			}
		}
		return told
	}
	carry := func() string { return fmt.Sprintf("%016x%016x.t.example.net.", rng.Uint64(), rng.Uint64()) }
	b := newBench(t, Config{})
	at := b.learn("10.0.0.5")
	if n := ask(b, at, 400, carry); n != 1 {
		t.Errorf("a tunnel was told %d times", n)
	}
	if n := ask(b, at, 400, func() string { return fmt.Sprintf("www%d.example.org", rng.IntN(300)) }); n != 0 {
		t.Error("short names were told")
	}
	if n := ask(b, at, 400, func() string { return "a-rather-long-name-of-a-content-network.cdn.example.com" }); n != 0 {
		t.Error("the same name was told")
	}
	scanner := newBench(t, Config{}) // a virus scanner asks so for years
	for d := range 5 {
		ask(scanner, began.AddDate(0, 0, d), 400, carry)
	}
	if n := ask(scanner, began.AddDate(0, 0, 5), 400, carry); n != 0 {
		t.Error("what was so while learning was told")
	}
}

func TestRegistered(t *testing.T) {
	for name, want := range map[string][2]string{
		"a.b.example.org":  {"a.b", "example.org"},
		"example.org":      {"", "example.org"},
		"x.example.co.uk":  {"x", "example.co.uk"},
		"example.co.uk":    {"", "example.co.uk"},
		"x.example.edu.tw": {"x", "example.edu.tw"},
		"x.abcde.de":       {"x", "abcde.de"},
		"localhost":        {"", "localhost"},
		"":                 {"", ""},
	} {
		sub, domain := registered(name)
		if diff := cmp.Diff(want, [2]string{sub, domain}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
