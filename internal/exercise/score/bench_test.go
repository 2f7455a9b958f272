package score

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// BenchmarkEvaluate values a long night: 50 steps of 2,000 flows, 50,000 flows of
// background, 2,000 alerts of 10 events, 100,000 events.
func BenchmarkEvaluate(b *testing.B) {
	truth, seen := night()
	for b.Loop() {
		Evaluate(truth, seen, DefaultRules())
	}
}

func night() (Truth, Seen) {
	tuple := func(i int) Tuple {
		src := netip.AddrFrom4([4]byte{10, 1, byte(i / 60000), byte(i % 7)})
		dst := netip.AddrFrom4([4]byte{10, 2, byte(i % 5), byte(i % 250)})
		return Tuple{Proto: "tcp", Src: netip.AddrPortFrom(src, uint16(1024+i%60000)), Dst: netip.AddrPortFrom(dst, 22)}
	}
	truth := Truth{Started: t0, Ended: t0.Add(8 * time.Hour)}
	n := 0
	acts := func(flows int) Acts {
		a := Acts{Started: at(float64(n) / 10)}
		for range flows {
			when := at(float64(n) / 10)
			a.Flows = append(a.Flows, Flow{Tuple: tuple(n), Start: when, End: when.Add(time.Second)})
			a.Ended = when
			n++
		}
		return a
	}
	for i := range 50 {
		truth.Steps = append(truth.Steps, Step{ID: fmt.Sprint("s", i), Technique: fmt.Sprintf("T11%02d", i), Outcome: Done, Expect: Expect{Level: General}, Acts: acts(2000)})
		truth.Activities = append(truth.Activities, Activity{ID: fmt.Sprint("b", i), Acts: acts(1000)})
	}
	var seen Seen
	for i := range 100_000 {
		k := i * 3 / 2
		seen.Events = append(seen.Events, Ref{ID: fmt.Sprint("e", i), At: at(float64(k) / 10), Flow: tuple(k)})
	}
	for i := range 2000 {
		a := Alert{ID: fmt.Sprint("a", i), Rule: alert.Rule{ID: "r", Level: alert.Medium}}
		a.Events = seen.Events[i*50 : i*50+10]
		a.First, a.Last = a.Events[0].At, a.Events[9].At
		seen.Alerts = append(seen.Alerts, a)
	}
	return truth, seen
}
