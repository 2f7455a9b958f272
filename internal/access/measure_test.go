package access

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// authlog makes the log of a day of a million lines, of which is known who is
// who, and gives the files of both.
func authlog(tb testing.TB, lines int) (log, truth string) {
	tb.Helper()
	source := filepath.Join(sharedtest.Dir(tb), "response", "authlog")
	dir := tb.TempDir()
	program := filepath.Join(dir, "authlog")
	build := exec.CommandContext(tb.Context(), "go", "build", "-o", program, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("build the generator: %v\n%s", err, out)
	}
	log, truth = filepath.Join(dir, "auth.log"), filepath.Join(dir, "truth")
	run := exec.CommandContext(tb.Context(), program, "-lines", strconv.Itoa(lines), "-span", "24h", "-end", "2026-11-23T00:00:00Z", "-o", log, "-truth", truth)
	if out, err := run.CombinedOutput(); err != nil {
		tb.Fatalf("run the generator: %v\n%s", err, out)
	}
	return log, truth
}

// accused is an Emitter that notes who is accused, by which rules.
type accused struct {
	nets   map[netip.Prefix]map[string]bool
	wide   map[string]bool
	events int
	bytes  int
	buf    []byte
	weigh  bool // how large the events are
}

func (a *accused) Emit(_ context.Context, events []event.Event) error {
	for i := range events {
		e := &events[i]
		a.events++
		if a.weigh {
			a.buf = e.AppendJSON(a.buf[:0])
			a.bytes += len(a.buf)
		}
		if e.Action != ActionMatched {
			continue
		}
		if w, ok := e.Get("lapwing.wide"); ok {
			a.wide[w.Text()] = true
		}
		if !e.Source.IsValid() {
			continue
		}
		text, _ := e.Get("lapwing.net")
		net, err := netip.ParsePrefix(text.Text())
		if err != nil {
			return fmt.Errorf("a verdict about %s: %w", e.Source, err)
		}
		if a.nets[net] == nil {
			a.nets[net] = map[string]bool{}
		}
		name, _ := e.Get("rule.name")
		a.nets[net][name.Text()] = true
	}
	return nil
}

// dayEnd is when the generated log was read.
func dayEnd() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

// shipped is a Reader with every rule that is shipped, as lapwing up has it.
func shipped(tb testing.TB, out Emitter) *Reader {
	tb.Helper()
	r, err := New(Config{Rules: live.Config{Rules: ruleset.Config{Shipped: true}}, Out: out, Clock: clock.NewManual(dayEnd()), Location: time.UTC})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// feed gives a file to a Reader as a source does, 256 lines at a time.
func feed(tb testing.TB, r *Reader, file string) (lines int) {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 64<<10), line.MaxText)
	const many = 256
	b := line.Batch{Source: "auth", Lines: make([]line.Line, 0, many)}
	texts := make([][]byte, many)
	give := func() {
		if err := r.Take(tb.Context(), b); err != nil {
			tb.Fatal(err)
		}
		lines += len(b.Lines)
		b.Lines = b.Lines[:0]
	}
	for in.Scan() {
		i := len(b.Lines)
		texts[i] = append(texts[i][:0], in.Bytes()...)
		b.Lines = append(b.Lines, line.Line{Text: texts[i], Received: dayEnd()})
		if len(b.Lines) == many {
			give()
		}
	}
	if in.Err() != nil {
		tb.Fatal(in.Err())
	}
	give()
	return lines
}

// TestAuthlog: everybody who guesses is found, and nobody else.
func TestAuthlog(t *testing.T) {
	log, truthFile := authlog(t, 1_000_000)
	out := &accused{nets: map[netip.Prefix]map[string]bool{}, wide: map[string]bool{}, weigh: true}
	r := shipped(t, out)
	if n := feed(t, r, log); n != 1_000_000 {
		t.Fatalf("%d lines", n)
	}
	if err := r.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, all := map[string]int{}, map[string]int{}
	for ip, kind := range truthOf(t, truthFile) {
		a := netip.MustParseAddr(ip)
		all[kind]++
		rules := out.nets[netip.PrefixFrom(a, a.BitLen())]
		if len(rules) > 0 {
			found[kind]++
		}
		switch guesses := kind == "fast" || kind == "slow"; {
		case guesses && len(rules) == 0:
			t.Errorf("%s, %s, was not found", ip, kind)
		case !guesses && len(rules) > 0:
			t.Errorf("%s, %s, is accused: %v", ip, kind, rules)
		}
	}
	for net, rules := range out.nets {
		if netip.MustParsePrefix("203.0.113.0/24").Contains(net.Addr()) || netip.MustParsePrefix("192.0.2.0/24").Contains(net.Addr()) {
			t.Errorf("%s is accused: %v", net, rules)
		}
		if net.Addr().Is6() {
			found["/64"]++
		}
	}
	for k := range 20 {
		if net := netip.MustParsePrefix(fmt.Sprintf("2001:db8:a:%x::/64", k)); len(out.nets[net]) == 0 {
			t.Errorf("%s, which changes its address at every try, was not found", net)
		}
	}
	if !out.wide["2001:db8:a::/56"] || !out.wide["2001:db8:a::/48"] {
		t.Errorf("wider prefixes: %v", out.wide)
	}
	t.Logf("found %v of %v and 20 /64s; %d events of %d bytes are kept of %d lines", found, all, out.events, out.bytes, r.Stats().Lines)
	if out.events > 200_000 {
		t.Errorf("%d events of a million lines would be kept", out.events)
	}
}

func truthOf(tb testing.TB, file string) map[string]string {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]string{}
	for l := range bytes.Lines(data) {
		var x struct{ IP, Kind string }
		if err := json.Unmarshal(l, &x); err != nil {
			tb.Fatal(err)
		}
		out[x.IP] = x.Kind
	}
	if len(out) < 900 {
		tb.Fatalf("the truth knows %d addresses", len(out))
	}
	return out
}

// peak is the most memory that the process had, in MB; 0 where nobody knows.
func peak() float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kb, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseFloat(kb, 64)
	return n / 1024
}
