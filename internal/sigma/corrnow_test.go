package sigma

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// steps are the correlations that count up, alone and under others.
var steps = []string{
	"type: event_count\nrules: r0\ngroup-by: [U]\ntimespan: 10s\ncondition: {gte: 3}",
	"type: event_count\nrules: [r0, r1]\ngroup-by: [U]\ntimespan: 5s\ncondition: {gt: 1}",
	"type: event_count\nrules: r0\ntimespan: 20s\ncondition: {gte: 1}",
	"type: value_count\nrules: r0\ngroup-by: [U]\ntimespan: 10s\ncondition: {field: V, gte: 3}",
	"type: value_count\nrules: r0\ngroup-by: [U]\ntimespan: 6s\ncondition: {field: V, gte: 1}",
}

// chainOfAll feeds others when they fire: one that counts up, one that needs order,
// one that is judged when its window ends.
const chainOfAll = `title: C
id: c
correlation:
  type: event_count
  rules: r0
  group-by: [U]
  timespan: 10s
  condition: {gte: 3}
---
title: D
id: d
correlation:
  type: value_count
  rules: c
  timespan: 30s
  condition: {field: U, gte: 2}
---
title: E
id: e
correlation:
  type: temporal_ordered
  rules: [c, r1]
  group-by: [U]
  timespan: 20s
---
title: F
id: f
correlation:
  type: event_count
  rules: c
  group-by: [U]
  timespan: 40s
  condition: {lt: 2}
`

func chainedRules(tb testing.TB) *Engine {
	tb.Helper()
	var rules []string
	for i := range 4 {
		rules = append(rules, fmt.Sprintf("name: r%d\n", i)+rule(fmt.Sprintf("condition: s\ns: {R: %d}", i)))
	}
	return compileRules(tb, append(rules, chainOfAll)...)
}

// drawn are events in order of time, of which each may come late.
func drawn(rt *rapid.T, late int64) []string {
	var out []string
	clock := int64(100)
	for range rapid.IntRange(1, 60).Draw(rt, "events") {
		clock += rapid.Int64Range(0, 4).Draw(rt, "step")
		at := clock - rapid.Int64Range(0, late).Draw(rt, "late")
		out = append(out, fmt.Sprintf("%d R=%d U=%s V=%d", at, rapid.IntRange(0, 1).Draw(rt, "rule"),
			rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "user"), rapid.IntRange(0, 4).Draw(rt, "value")))
	}
	return out
}

// immediately runs events one by one as a reader of logs does.
func immediately(e *Engine, events []string, opts CorrelatorOptions) (alerts []Alert, during int) {
	opts.Immediate = true
	c := NewCorrelator(e, opts)
	w := e.NewWorker()
	var points []Point
	for _, ev := range events {
		rec := eventAt(e, ev)
		w.Match(rec)
		points = w.PointsNow(points[:0])
		alerts = append(alerts, c.Add(points)...)
	}
	during = len(alerts)
	alerts = append(alerts, c.Close()...)
	sortAlerts(alerts)
	return alerts, during
}

func fired(alerts []Alert) []string {
	var out []string
	for _, a := range alerts {
		out = append(out, fmt.Sprintf("%d %s %v n=%d %d-%d", a.Time/sec, a.Rule.Title, a.Group, a.Count, a.First/sec, a.Last/sec))
	}
	slices.Sort(out)
	return out
}

// TestImmediateInOrder: what is in order fires as when everything is known
// before, and what counts up fires at once.
func TestImmediateInOrder(t *testing.T) {
	engines := map[string]*Engine{"chained": chainedRules(t)}
	for i, s := range steps {
		engines[fmt.Sprint("step ", i)] = correlate(t, s)
	}
	for name, e := range engines {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				events := drawn(rt, 0)
				want, _ := Replay(e, feedEvents(t, e, events...), CorrelatorOptions{})
				got, during := immediately(e, events, CorrelatorOptions{Lateness: 3 * time.Second})
				if diff := cmp.Diff(fired(want), fired(got)); diff != "" {
					rt.Fatalf("%v\n%s", events, diff)
				}
				if name != "chained" && during != len(want) {
					rt.Fatalf("%d of %d fired before the end", during, len(want))
				}
			})
		})
	}
}

// TestImmediateLate: out of order the same groups fire, with windows far longer
// than what is late.
func TestImmediateLate(t *testing.T) {
	for i, s := range []string{
		"type: event_count\nrules: r0\ngroup-by: [U]\ntimespan: 1000s\ncondition: {gte: 7}",
		"type: value_count\nrules: r0\ngroup-by: [U]\ntimespan: 1000s\ncondition: {field: V, gte: 4}",
		"type: event_count\nrules: r0\ngroup-by: [U]\ntimespan: 1000s\ncondition: {gte: 1}",
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			e := correlate(t, s)
			rapid.Check(t, func(rt *rapid.T) {
				events := drawn(rt, 8)
				want, _ := Replay(e, feedEvents(t, e, events...), CorrelatorOptions{})
				got, _ := immediately(e, events, CorrelatorOptions{Lateness: 3 * time.Second})
				if diff := cmp.Diff(groupsOf(want), groupsOf(got)); diff != "" {
					rt.Fatalf("%v\n%s", events, diff)
				}
			})
		})
	}
}

func groupsOf(alerts []Alert) []string {
	var out []string
	for _, a := range alerts {
		out = append(out, fmt.Sprint(a.Rule.Title, a.Group))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestImmediateOrder holds an ordered correlation against lines out of order: a
// success before the failures is none after them.
func TestImmediateOrder(t *testing.T) {
	e := chainedRules(t)
	for _, tt := range []struct {
		name   string
		events []string
		want   bool
	}{
		{"after", []string{"1 R=0 U=a", "2 R=0 U=a", "3 R=0 U=a", "4 R=1 U=a", "90 R=3 U=z"}, true},
		{"before", []string{"1 R=1 U=a", "2 R=0 U=a", "3 R=0 U=a", "4 R=0 U=a", "90 R=3 U=z"}, false},
		{"before, and late", []string{"2 R=0 U=a", "3 R=0 U=a", "4 R=0 U=a", "1 R=1 U=a", "90 R=3 U=z"}, false},
		{"a day later than a neighbour's", []string{"90000 R=0 U=z", "1 R=0 U=a", "2 R=0 U=a", "3 R=0 U=a", "4 R=1 U=a"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alerts, _ := immediately(e, tt.events, CorrelatorOptions{Lateness: 5 * time.Second})
			got := slices.ContainsFunc(alerts, func(a Alert) bool { return a.Rule.Title == "E" })
			if got != tt.want {
				t.Errorf("%v", fired(alerts))
			}
		})
	}
}

// TestImmediateKept: state that was kept goes on as it would have.
func TestImmediateKept(t *testing.T) {
	e := chainedRules(t)
	rapid.Check(t, func(rt *rapid.T) {
		events := drawn(rt, 2)
		opts := CorrelatorOptions{Lateness: 3 * time.Second, Immediate: true}
		want, _ := immediately(e, events, opts)
		cut := rapid.IntRange(0, len(events)).Draw(rt, "cut")
		w, c := e.NewWorker(), NewCorrelator(e, opts)
		var got []Alert
		var late uint64
		for i, ev := range events {
			if i == cut {
				c = restart(rt, c, e, opts, &late)
			}
			w.Match(eventAt(e, ev))
			got = append(got, c.Add(w.PointsNow(nil))...)
		}
		got = append(got, c.Close()...)
		if diff := cmp.Diff(fired(want), fired(got)); diff != "" {
			rt.Fatalf("%v\n%s", events, diff)
		}
	})
}
