package week_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/access"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/flow"
	"github.com/lapwing-defence/lapwing/internal/source/line"
	"github.com/lapwing-defence/lapwing/internal/track"
	"github.com/lapwing-defence/lapwing/internal/track/week"
)

// verdicts keeps the names of rules that fired at level medium and above.
type verdicts struct{ names []string }

// Emit implements access.Emitter.
func (v *verdicts) Emit(_ context.Context, events []event.Event) error {
	for i := range events {
		level, _ := events[i].Get("rule.level")
		if l := level.Text(); l == "medium" || l == "high" || l == "critical" {
			name, _ := events[i].Get("rule.name")
			v.names = append(v.names, name.Text())
		}
	}
	return nil
}

// TestReader is the way of a running program: datagrams come to the Reader, which
// is stopped in the middle of the tunnel and begun anew with what it kept.
func TestReader(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of a processor")
	}
	site := week.New(5)
	tunnel := site.Tunnels()[0]
	site.Dig(tunnel)
	clk := clock.NewManual(week.Began())
	dir := t.TempDir()
	out := &verdicts{}
	open := func() *access.Reader {
		r, err := access.New(access.Config{
			Out: out, Clock: clk, State: dir, Sources: map[string]access.Source{"router": {Format: flow.Format}},
			Trackers: func(f *sigma.Fields) []access.Tracker {
				s := track.New(track.Config{Inside: inside(), Servers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}})
				s.Bind(f)
				return []access.Tracker{s}
			},
			Decoders: func(f *sigma.Fields) map[string]access.Decoder {
				return map[string]access.Decoder{flow.Format: flow.New(f, flow.Config{})}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	restarted, told := false, week.Began()
	l := newLine(t, track.Config{})
	l.send = func(b []byte, now time.Time) {
		if d := now.Sub(clk.Now()); d > 0 {
			clk.Advance(d)
		}
		if !restarted && now.After(week.Began().Add(time.Duration((tunnel.From+3600)*float64(time.Second)))) {
			restarted = true
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			r = open()
		}
		if now.Sub(told) > 20*time.Minute {
			told = now
			if err := r.Advance(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		err := r.Take(t.Context(), line.Batch{Source: "router", Position: []byte("x"), Lines: []line.Line{{Text: b, Format: flow.Format, Received: now, Peer: "192.0.2.1:2055"}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	site.Each(func(f *week.Flow) { // the server with the tunnel and two others
		if f.Src == tunnel.Src || f.Src == week.Server(10) || f.Src == week.Desktop(20) {
			l.give(f)
		}
	})
	l.flush(week.Days * 86400)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !restarted {
		t.Error("it was not begun anew")
	}
	slices.Sort(out.names)
	if diff := cmp.Diff([]string{"Server Calls a New Address Evenly"}, out.names); diff != "" {
		t.Error(diff)
	}
}
