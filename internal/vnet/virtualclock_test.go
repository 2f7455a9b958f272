package vnet_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/vnet"
)

var day0 = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func virtualClock(tb testing.TB) *vnet.VirtualClock {
	tb.Helper()
	c := vnet.NewVirtualClock(day0)
	tb.Cleanup(c.Close)
	return c
}

func TestDeadlinesFollowTheVirtualClock(t *testing.T) {
	ctx := ctxFor(t)
	clk := virtualClock(t)
	w := newSite(t, vnet.Config{Clock: clk})
	go echo(get(w.web.Listen(ctx, 80)))
	c := get(w.red.Dialer().DialContext(ctx, "tcp", "web01:80"))
	defer c.Close()
	for name, from := range map[string]func() time.Time{"virtual": clk.Now, "machine": time.Now} {
		at := clk.Now()
		c.SetReadDeadline(from().Add(time.Hour))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: %v", name, err)
		}
		if d := clk.Now().Sub(at); d < time.Hour-time.Second || d > time.Hour+time.Second {
			t.Errorf("%s: the deadline of an hour came after %v", name, d)
		}
		c.SetReadDeadline(time.Time{})
	}
}

func TestHoldStopsTheClock(t *testing.T) {
	ctx := ctxFor(t)
	clk := virtualClock(t)
	clk.Hold()
	fired := make(chan time.Time, 1)
	clk.AfterFunc(time.Second, func() { fired <- clk.Now() })
	select {
	case <-fired:
		t.Fatal("the clock moved while it was held")
	case <-time.After(20 * time.Millisecond):
	}
	clk.Release()
	if got := <-fired; !got.Equal(day0.Add(time.Second)) {
		t.Errorf("fired at %v", got)
	}
	if err := clk.Sleep(ctx, 0); err != nil {
		t.Error(err)
	}
}

func TestTimersFireInOrder(t *testing.T) {
	clk := virtualClock(t)
	clk.Hold()
	var got []int
	done := make(chan struct{})
	for _, i := range []int{5, 2, 9, 1, 7, 3, 8, 4, 6} {
		clk.AfterFunc(time.Duration(i)*time.Second, func() {
			got = append(got, i) // no lock: each runs alone
			if i == 9 {
				close(done)
			}
		})
	}
	stop := clk.AfterFunc(2500*time.Millisecond, func() { t.Error("a stopped timer fired") })
	if !stop() || stop() {
		t.Error("stop says the wrong thing")
	}
	clk.Release()
	<-done
	for i, v := range got {
		if v != i+1 {
			t.Fatalf("order %v", got)
		}
	}
}

// TestTheLoadOfTheMachineChangesNothing runs one script on a quiet process and
// on one whose processors are kept busy: flows and their times are the same.
func TestTheLoadOfTheMachineChangesNothing(t *testing.T) {
	script := func(busy int) []string {
		ctx, cancel := context.WithCancel(ctxFor(t))
		defer cancel()
		for range busy {
			go func() {
				for x := uint64(1); ctx.Err() == nil; {
					for range 2000 {
						x = x*6364136223846793005 + 1
					}
					time.Sleep(20 * time.Microsecond)
				}
			}()
		}
		clk := vnet.NewVirtualClock(day0)
		defer clk.Close()
		n := get(vnet.New(vnet.Config{Seed: 9, Clock: clk}))
		defer n.Close()
		s := get(n.AddSegment(vnet.SegmentConfig{
			Name: "slow", Prefixes: []netip.Prefix{prefix("10.0.0.0/24")},
			Link: vnet.Link{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.02, Bandwidth: 2_000_000},
		}))
		one, two := host(t, s, "one", "10.0.0.1"), host(t, s, "two", "10.0.0.2")
		go echo(get(two.Listen(ctx, 80)))
		for i := range 40 {
			c, err := one.Dialer().DialContext(ctx, "tcp", "two:80")
			if err != nil {
				t.Fatalf("connection %d at %v: %v, %+v", i, clk.Now().Sub(day0), err, n.Stats())
			}
			roundTrip(t, c, string(make([]byte, 4000)))
			c.Close()
			if err := clk.Sleep(ctx, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		var out []string
		for f := range n.Flows() {
			out = append(out, fmt.Sprint(f.Start.Sub(day0).Round(time.Second), f.State, f.Dst))
		}
		if d := n.Stats().Dropped; d.Loss == 0 {
			t.Errorf("nothing was lost: %+v", d)
		}
		return out
	}
	want := script(0)
	if len(want) != 40 {
		t.Fatalf("%d flows", len(want))
	}
	if diff := cmp.Diff(want, script(4)); diff != "" {
		t.Errorf("under load (-quiet +busy):\n%s", diff)
	}
}
