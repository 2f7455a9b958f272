package sigma

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const sec = int64(time.Second)

// correlate compiles a correlation over base rules r0 to r3, which match field
// R=0 to R=3.
func correlate(tb testing.TB, block string) *Engine {
	tb.Helper()
	var rules []string
	for i := range 4 {
		rules = append(rules, fmt.Sprintf("name: r%d\n", i)+rule(fmt.Sprintf("condition: s\ns: {R: %d}", i)))
	}
	return compileRules(tb, append(rules, "title: C\nid: c\ncorrelation:\n"+indent(block))...)
}

// feedEvents runs events "time R=.. ..." through a worker.
func feedEvents(tb testing.TB, e *Engine, events ...string) []Point {
	tb.Helper()
	return chainPoints(e, events)
}

func summary(alerts []Alert) []string {
	var out []string
	for _, a := range alerts {
		out = append(out, fmt.Sprintf("%d %s %v n=%d v=%g", a.Time/sec, a.Rule.Title, a.Group, a.Count, a.Value))
	}
	return out
}

func TestCorrelations(t *testing.T) {
	for _, tt := range []struct {
		name, block string
		events      []string
		want        []string
	}{
		{
			"event_count", "type: event_count\nrules: r0\ngroup-by: [U]\ntimespan: 10s\ncondition: {gte: 3}",
			[]string{"0 R=0 U=a", "5 R=0 U=a", "5 R=0 U=b", "9 R=0 U=a", "10 R=0 U=a", "30 R=0 U=a", "31 R=0", "39 R=0 U=a", "39 R=1 U=a", "39 R=0 U=a"},
			[]string{"9 C map[U:a] n=3 v=0", "39 C map[U:a] n=3 v=0"},
		},
		{
			"window is half open", "type: event_count\nrules: r0\ntimespan: 10s\ncondition: {gt: 1}",
			[]string{"0 R=0", "10 R=0", "19 R=0"},
			[]string{"19 C map[] n=2 v=0"},
		},
		{
			"again after the timespan", "type: event_count\nrules: r0\ntimespan: 10s\ncondition: {gte: 2}",
			[]string{"0 R=0", "1 R=0", "5 R=0", "9 R=0", "11 R=0", "12 R=0"},
			[]string{"1 C map[] n=2 v=0", "11 C map[] n=2 v=0"},
		},
		{
			"value_count", "type: value_count\nrules: r0\ngroup-by: [H]\ntimespan: 10s\ncondition: {field: U, gte: 3}",
			[]string{"0 R=0 H=h U=a", "1 R=0 H=h U=a", "2 R=0 H=h U=b", "3 R=0 H=h", "4 R=0 H=h U=c"},
			[]string{"4 C map[H:h] n=3 v=0"},
		},
		{
			"value_count of two", "type: value_count\nrules: r0\ntimespan: 10s\ncondition: {field: [U, V], gt: 1}",
			[]string{"0 R=0 U=ab V=c", "1 R=0 U=ab V=c", "2 R=0 U=a V=bc"},
			[]string{"2 C map[] n=2 v=0"},
		},
		{
			"temporal", "type: temporal\nrules: [r0, r1, r2]\ngroup-by: [U]\ntimespan: 10s",
			[]string{"0 R=2 U=a", "5 R=0 U=a", "6 R=1 U=b", "9 R=1 U=a", "20 R=0 U=a"},
			[]string{"9 C map[U:a] n=3 v=0"},
		},
		{
			"temporal of two", "type: temporal\nrules: [r0, r1, r2]\ntimespan: 10s\ncondition: {gte: 2}",
			[]string{"0 R=2", "5 R=1"},
			[]string{"5 C map[] n=2 v=0"},
		},
		{
			"temporal_ordered", "type: temporal_ordered\nrules: [r0, r1, r2]\ntimespan: 10s",
			[]string{"0 R=1", "1 R=0", "2 R=2", "3 R=1", "4 R=2", "20 R=0", "25 R=1", "30 R=2"},
			[]string{"4 C map[] n=3 v=0"},
		},
		{
			"expression", "type: temporal\nrules: [r0, r1, r2]\ntimespan: 10s\ncondition: r0 and (r1 or r2)",
			[]string{"0 R=1", "1 R=2", "2 R=0"},
			[]string{"2 C map[] n=3 v=0"},
		},
		{
			"expression with not", "type: temporal\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 10s\ncondition: r0 and r1 and not r2",
			[]string{"0 R=0 U=a", "1 R=1 U=a", "2 R=0 U=b", "3 R=1 U=b", "11 R=2 U=b"},
			[]string{"10 C map[U:a] n=2 v=0"},
		},
		{
			"ordered expression", "type: temporal_ordered\nrules: [r0, r1, r2]\ntimespan: 10s\ncondition: r0 and r1 and not r2",
			[]string{"0 R=1", "1 R=0", "20 R=0", "21 R=1"},
			[]string{"30 C map[] n=2 v=0"},
		},
		{
			"lt", "type: event_count\nrules: r0\ngroup-by: U\ntimespan: 10s\ncondition: {lt: 3}",
			[]string{"0 R=0 U=a", "1 R=0 U=a", "2 R=0 U=b", "3 R=0 U=b", "4 R=0 U=b"},
			[]string{"10 C map[U:a] n=2 v=0"},
		},
		{
			"range", "type: event_count\nrules: r0\ngroup-by: U\ntimespan: 10s\ncondition: {gt: 1, lte: 2}",
			[]string{"0 R=0 U=a", "1 R=0 U=a", "2 R=0 U=b", "3 R=0 U=b", "4 R=0 U=b", "5 R=0 U=c"},
			[]string{"10 C map[U:a] n=2 v=0"},
		},
		{
			"value_count eq", "type: value_count\nrules: r0\ntimespan: 10s\ncondition: {field: U, eq: 2}",
			[]string{"0 R=0 U=a", "1 R=0 U=b", "20 R=0 U=a", "21 R=0 U=b", "22 R=0 U=c"},
			[]string{"10 C map[] n=2 v=0"},
		},
		{
			"value_sum", "type: value_sum\nrules: r0\ntimespan: 10s\ncondition: {field: B, gt: 100}",
			[]string{"0 R=0 B=60", "5 R=0 B=40", "6 R=0 B=x", "12 R=0 B=61", "13 R=0 B=0.5"},
			[]string{"12 C map[] n=2 v=101"},
		},
		{
			"value_avg", "type: value_avg\nrules: r0\ntimespan: 10s\ncondition: {field: B, gte: 50}",
			[]string{"0 R=0 B=40", "1 R=0 B=60"},
			[]string{"1 C map[] n=2 v=50"},
		},
		{
			"value_avg lt", "type: value_avg\nrules: r0\ntimespan: 10s\ncondition: {field: B, lt: 50}",
			[]string{"0 R=0 B=40", "1 R=0 B=50"},
			[]string{"10 C map[] n=2 v=45"},
		},
		{
			"value_percentile", "type: value_percentile\nrules: r0\ntimespan: 100s\ncondition: {field: B, percentile: 90, gte: 9}",
			[]string{"0 R=0 B=1", "1 R=0 B=1", "2 R=0 B=9"},
			[]string{"2 C map[] n=3 v=9"},
		},
		{
			"value_median", "type: value_median\nrules: r0\ntimespan: 100s\ncondition: {field: B, gte: 5}",
			[]string{"0 R=0 B=1", "1 R=0 B=5", "2 R=0 B=7"},
			[]string{"2 C map[] n=3 v=5"},
		},
		{
			"aliases", "type: temporal\nrules: [r0, r1]\ntimespan: 10s\ngroup-by: [ip]\naliases:\n  ip:\n    r0: Src\n    r1: Dst",
			[]string{"0 R=0 Src=1.1.1.1 Dst=2.2.2.2", "1 R=1 Src=1.1.1.1 Dst=3.3.3.3", "2 R=1 Dst=1.1.1.1"},
			[]string{"2 C map[ip:1.1.1.1] n=2 v=0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := correlate(t, tt.block)
			points := feedEvents(t, e, tt.events...)
			slices.Reverse(points) // replay sorts; no two here have the same time but for two of "event_count"
			alerts, _ := Replay(e, points, CorrelatorOptions{})
			if diff := gocmp(tt.want, summary(alerts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func gocmp(want, got any) string { return cmp.Diff(want, got) }

// The example of the specification: many failed logins, then a successful one.
const chained = `title: Chain
correlation: {type: temporal_ordered, rules: [many_failed, success], group-by: [User], timespan: 10m}
---
title: Many failed
name: many_failed
correlation: {type: event_count, rules: [failed], group-by: [User, Host], timespan: 10m, condition: {gte: 3}, generate: GEN}
---
title: Failed
name: failed
logsource: {product: test}
detection: {s: {EventID: 4625}, condition: s}
---
title: Success
name: success
logsource: {product: test}
detection: {s: {EventID: 4624}, condition: s}
`

func TestChain(t *testing.T) {
	events := []string{
		"0 EventID=4625 User=a Host=h", "1 EventID=4625 User=a Host=h", "2 EventID=4624 User=a Host=h", "3 EventID=4625 User=a Host=h",
		"4 EventID=4624 User=b Host=h", "5 EventID=4624 User=a Host=h",
	}
	for gen, loud := range map[string]int{"false": 0, "true": 1} {
		e := compileRules(t, strings.Replace(chained, "GEN", gen, 1))
		if got := e.NewWorker().Match(event(e, "EventID=4625", "User=a", "Host=h")); len(got) != loud {
			t.Errorf("generate %s: %d rules reported, want %d", gen, len(got), loud)
		}
		alerts, _ := Replay(e, chainPoints(e, events), CorrelatorOptions{})
		if diff := cmp.Diff([]string{"5 Chain map[User:a] n=2 v=0"}, summary(alerts)); diff != "" {
			t.Errorf("generate %s: %s", gen, diff)
		}
	}
}

// TestReferences: rules named by the condition alone, aliases that name a rule
// otherwise than the list of rules does, generate where the schema has it.
func TestReferences(t *testing.T) {
	const rules = "title: A\nid: 1a\nname: a\nlogsource: {product: test}\ndetection: {s: {R: a}, condition: s}\n---\n" +
		"title: B\nid: 1b\nname: b\nlogsource: {product: test}\ndetection: {s: {R: b}, condition: s}\n---\n"
	for _, tt := range []struct {
		name, correlation string
		loud              int // rules reported for the first event
		want              []string
	}{
		{"condition names the rules", "correlation: {type: temporal, group-by: [U], timespan: 9s, condition: a and b}", 0, []string{"1 K map[U:x] n=2 v=0"}},
		{"ordered by the condition", "correlation: {type: temporal_ordered, group-by: [U], timespan: 9s, condition: b and a}", 0, nil},
		{"alias by name, rule by id", "correlation: {type: temporal, rules: [1a, b], group-by: [g], timespan: 9s, aliases: {g: {a: U, 1b: V}}}", 0, []string{"1 K map[g:x] n=2 v=0"}},
		{"generate at the top", "generate: true\ncorrelation: {type: temporal, rules: [1a, b], group-by: [U], timespan: 9s}", 1, []string{"1 K map[U:x] n=2 v=0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := compileRules(t, rules+"title: K\n"+tt.correlation)
			if got := e.NewWorker().Match(event(e, "R=a", "U=x")); len(got) != tt.loud {
				t.Errorf("%d rules reported, want %d", len(got), tt.loud)
			}
			alerts, _ := Replay(e, chainPoints(e, []string{"0 R=a U=x V=y", "1 R=b U=x V=x"}), CorrelatorOptions{})
			if diff := cmp.Diff(tt.want, summary(alerts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func chainPoints(e *Engine, events []string) []Point {
	w := e.NewWorker()
	var points []Point
	for _, ev := range events {
		w.Match(eventAt(e, ev))
		points = w.Points(points)
	}
	return points
}

// eventAt is the record of "time R=.. ...".
func eventAt(e *Engine, ev string) *Record {
	f := strings.Fields(ev)
	rec := event(e, f[1:]...)
	fmt.Sscan(f[0], &rec.Time)
	rec.Time *= sec
	return rec
}

func TestCorrelationRefused(t *testing.T) {
	for _, tt := range []struct{ name, block, code string }{
		{"type", "type: nope\nrules: r0\ntimespan: 1s\ncondition: {gte: 1}", "bad-type"},
		{"no rules", "type: event_count\ntimespan: 1s\ncondition: {gte: 1}", "no-rules"},
		{"timespan", "type: event_count\nrules: r0\ntimespan: 1x\ncondition: {gte: 1}", "bad-timespan"},
		{"long timespan", "type: event_count\nrules: r0\ntimespan: 99999d\ncondition: {gte: 1}", "bad-timespan"},
		{"no condition", "type: event_count\nrules: r0\ntimespan: 1s", "no-condition"},
		{"no field", "type: value_count\nrules: r0\ntimespan: 1s\ncondition: {gte: 1}", "bad-condition"},
		{"unknown op", "type: event_count\nrules: r0\ntimespan: 1s\ncondition: {ge: 1}", "bad-condition"},
		{"unknown rule", "type: event_count\nrules: zz\ntimespan: 1s\ncondition: {gte: 1}", "unknown-rule"},
		{"itself", "type: event_count\nrules: [c]\ntimespan: 1s\ncondition: {gte: 1}", "circle"},
		{"no rules, but a condition", "type: event_count\ntimespan: 1s\ncondition: r0", "no-rules"},
		{"condition names what is not loaded", "type: temporal\ntimespan: 1s\ncondition: r0 and r9", "unknown-rule"},
		{"generate", "type: event_count\nrules: r0\ntimespan: 1s\ncondition: {gte: 1}\ngenerate: perhaps", "bad-generate"},
		{"alias", "type: event_count\nrules: r0\ntimespan: 1s\ncondition: {gte: 1}\naliases: {a: {r9: b}}", "bad-aliases"},
		{"expression", "type: temporal\nrules: [r0]\ntimespan: 1s\ncondition: r0 and r9", "bad-condition"},
		{"huge", "type: event_count\nrules: r0\ntimespan: 1s\ncondition: {gte: 1000000}", "too-many"},
		{"not a number", "type: event_count\nrules: r0\ntimespan: 1s\ncondition: {gte: x}", "bad-condition"},
		{"too many rules", "type: temporal\nrules: [r0]\ntimespan: 1s\ncondition: {gte: 2}", "never-matches"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSet(Options{})
			s.Add("r.yml", []byte("name: r0\n"+rule("condition: s\ns: {R: 0}")))
			s.Add("c.yml", []byte("title: C\nid: c\ncorrelation:\n"+indent(tt.block)))
			e := Compile(s, NewFields())
			ps := s.Problems()
			i := slices.IndexFunc(ps, func(p Problem) bool { return p.Severity == Refused })
			if i < 0 || ps[i].Code != tt.code || ps[i].Line == 0 {
				t.Errorf("%v", ps)
			}
			if len(e.cors) != 0 || len(e.Rules()) != 1 {
				t.Error("loaded all the same")
			}
		})
	}
}

// modelFire judges points of one group, in order, by the definition: every
// window looked at whole.
func modelFire(k *correlation, pts []Point) []int64 {
	var out []int64
	if k.closing {
		for i := 0; i < len(pts); {
			j := i
			for j < len(pts) && pts[j].Time < pts[i].Time+k.span {
				j++
			}
			if modelHolds(k, pts[i:j]) {
				out = append(out, pts[i].Time+k.span)
			}
			i = j
		}
		return out
	}
	fired := int64(math.MinInt64)
	for i, p := range pts {
		from := 0
		for p.Time-pts[from].Time >= k.span {
			from++
		}
		switch {
		case !modelHolds(k, pts[from:i+1]):
			fired = math.MinInt64
		case fired == math.MinInt64 || p.Time-fired >= k.span:
			fired = p.Time
			out = append(out, p.Time)
		}
	}
	return out
}

func modelHolds(k *correlation, win []Point) bool {
	values, rules := map[uint64]bool{}, map[int32]bool{}
	var nums []float64
	sum := 0.0
	for _, p := range win {
		values[p.value], rules[p.at] = true, true
		nums = append(nums, math.Float64frombits(p.value))
		sum += math.Float64frombits(p.value)
	}
	x := 0.0
	switch k.Type {
	case EventCount:
		x = float64(len(win))
	case ValueCount:
		x = float64(len(values))
	case ValueSum:
		x = sum
	case ValueAvg:
		x = sum / float64(len(nums))
	case ValuePercentile:
		slices.Sort(nums)
		x = nums[max(int(math.Ceil(k.Percentile/100*float64(len(nums))))-1, 0)]
	case Temporal:
		if k.expr != nil {
			return modelExpr(k.expr, rules)
		}
		x = float64(len(rules))
	case TemporalOrdered:
		return modelOrdered(k, win, rules)
	}
	return k.bounds(x)
}

func modelExpr(e *expr, seen map[int32]bool) bool {
	switch e.kind {
	case exprPred:
		return seen[e.id]
	case exprNot:
		return !modelExpr(e.kids[0], seen)
	case exprAnd:
		return !slices.ContainsFunc(e.kids, func(k *expr) bool { return !modelExpr(k, seen) })
	default:
		return slices.ContainsFunc(e.kids, func(k *expr) bool { return modelExpr(k, seen) })
	}
}

// modelOrdered tries every set of rules that occur in order.
func modelOrdered(k *correlation, win []Point, all map[int32]bool) bool {
	for set := range 1 << len(k.Rules) {
		want, seen := []int32{}, map[int32]bool{}
		for r := range int32(len(k.Rules)) {
			if set>>r&1 != 0 {
				want, seen[r] = append(want, r), true
			}
		}
		at := 0
		for _, p := range win {
			if at < len(want) && p.at == want[at] {
				at++
			}
		}
		switch {
		case at < len(want):
		case k.expr == nil && len(want) >= k.need:
			return true
		case k.expr != nil && positive(k.expr, seen, all):
			return true
		}
	}
	return false
}

// positive evaluates a condition where a rule counts as seen when it is in the
// ordered set, and as absent when it is in no match at all.
func positive(e *expr, seen, all map[int32]bool) bool {
	switch e.kind {
	case exprPred:
		return seen[e.id]
	case exprNot:
		return !all[e.kids[0].id]
	case exprAnd:
		return !slices.ContainsFunc(e.kids, func(k *expr) bool { return !positive(k, seen, all) })
	default:
		return slices.ContainsFunc(e.kids, func(k *expr) bool { return positive(k, seen, all) })
	}
}

var modelBlocks = []string{
	"type: event_count\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {gte: 3}",
	"type: event_count\nrules: [r0, r1]\ngroup-by: U\ntimespan: 7s\ncondition: {gt: 5}",
	"type: event_count\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {gt: 1, lte: 3}",
	"type: event_count\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {neq: 2}",
	"type: value_count\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {field: V, gte: 3}",
	"type: value_count\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {field: V, lt: 3}",
	"type: temporal\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 5s",
	"type: temporal\nrules: [r0, r1, r2, r3]\ngroup-by: U\ntimespan: 5s\ncondition: {gte: 2}",
	"type: temporal\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 5s\ncondition: (r0 or r1) and r2",
	"type: temporal\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 5s\ncondition: r0 and not (r1 or r2)",
	"type: temporal_ordered\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 8s",
	"type: temporal_ordered\nrules: [r0, r1, r2, r3]\ngroup-by: U\ntimespan: 8s\ncondition: {gte: 3}",
	"type: temporal_ordered\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 8s\ncondition: (r0 or r1) and r2",
	"type: temporal_ordered\nrules: [r0, r1, r2]\ngroup-by: U\ntimespan: 8s\ncondition: r0 and r1 and not r2",
	"type: value_sum\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {field: V, gt: 6}",
	"type: value_avg\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {field: V, gte: 2}",
	"type: value_percentile\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {field: V, percentile: 75, gte: 3}",
	"type: value_percentile\nrules: [r0]\ngroup-by: U\ntimespan: 10s\ncondition: {field: V, lt: 2}",
}

// TestAgainstModel holds the correlator, live with late matches, restarts and
// any order within the lateness, against the definition.
func TestAgainstModel(t *testing.T) {
	for i, b := range modelBlocks {
		t.Run(strconv.Itoa(i), func(t *testing.T) { againstModel(t, correlate(t, b)) })
	}
}

func againstModel(t *testing.T, e *Engine) {
	t.Helper()
	k := e.cors[0]
	rapid.Check(t, func(rt *rapid.T) {
		late := rapid.Int64Range(0, 6).Draw(rt, "lateness")
		opts := CorrelatorOptions{Lateness: time.Duration(late * sec)}
		c := NewCorrelator(e, opts)
		taken := map[string][]Point{}
		var got []Alert
		clock, done, wantLate := int64(100), int64(math.MinInt64), uint64(0)
		newest := int64(math.MinInt64)
		for range rapid.IntRange(1, 30).Draw(rt, "batches") {
			var batch []Point
			for range rapid.IntRange(1, 4).Draw(rt, "points") {
				clock += rapid.Int64Range(0, 4).Draw(rt, "step")
				p := Point{at: int32(rapid.IntRange(0, len(k.Rules)-1).Draw(rt, "rule")), Time: (clock - rapid.Int64Range(0, late+2).Draw(rt, "late")) * sec}
				p.group = string(appendGroup(nil, []byte(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "group"))))
				v := rapid.IntRange(0, 4).Draw(rt, "value")
				p.value = uint64(v)
				if k.Type != ValueCount {
					p.value = math.Float64bits(float64(v))
				}
				newest = max(newest, p.Time)
				if p.Time < done {
					wantLate++
				} else {
					taken[p.group] = append(taken[p.group], p)
				}
				batch = append(batch, p)
			}
			got = append(got, c.Add(batch)...)
			done = newest - late*sec
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				c = restart(rt, c, e, opts, &wantLate)
			}
		}
		if n := c.Stats().Late; n != wantLate {
			rt.Fatalf("%d late, want %d", n, wantLate)
		}
		got = append(got, c.Close()...)
		var want, have []string
		for g, pts := range taken {
			slices.SortStableFunc(pts, func(a, b Point) int { return int(a.Time/sec - b.Time/sec) })
			for _, at := range modelFire(k, pts) {
				want = append(want, fmt.Sprint(splitGroup(g)[0], at/sec))
			}
		}
		for _, a := range got {
			have = append(have, fmt.Sprint(a.Group["U"], a.Time/sec))
		}
		slices.Sort(want)
		slices.Sort(have)
		if diff := cmp.Diff(want, have); diff != "" {
			rt.Fatalf("%s: %s", k.Type, diff)
		}
	})
}

func restart(t *rapid.T, c *Correlator, e *Engine, opts CorrelatorOptions, late *uint64) *Correlator {
	var buf bytes.Buffer
	if err := c.Snapshot(&buf); err != nil {
		t.Fatal(err)
	}
	next := NewCorrelator(e, opts)
	if dropped, err := next.Restore(&buf); err != nil || dropped != 0 {
		t.Fatal(dropped, err)
	}
	if a, b := c.Stats(), next.Stats(); a.Keys != b.Keys || a.Pending != b.Pending {
		t.Fatalf("%+v became %+v", a, b)
	}
	*late = 0
	return next
}

func TestRestoreDropsChanged(t *testing.T) {
	e := correlate(t, modelBlocks[0])
	c := NewCorrelator(e, CorrelatorOptions{})
	c.Add(feedEvents(t, e, "1 R=0 U=a", "2 R=0 U=b"))
	var buf bytes.Buffer
	if err := c.Snapshot(&buf); err != nil {
		t.Fatal(err)
	}
	other := NewCorrelator(correlate(t, modelBlocks[1]), CorrelatorOptions{})
	if dropped, err := other.Restore(bytes.NewReader(buf.Bytes())); dropped != 2 || err != nil {
		t.Errorf("dropped %d, %v", dropped, err)
	}
	for i := range buf.Len() {
		bad := slices.Clone(buf.Bytes())
		bad[i] ^= 0x10
		if _, err := NewCorrelator(e, CorrelatorOptions{}).Restore(bytes.NewReader(bad)); err == nil {
			t.Errorf("byte %d changed, and nobody saw it", i)
		} else if !errors.Is(err, ErrSnapshot) {
			t.Error(err)
		}
		if _, err := NewCorrelator(e, CorrelatorOptions{}).Restore(bytes.NewReader(buf.Bytes()[:i])); !errors.Is(err, ErrSnapshot) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func TestCorrelatorBounds(t *testing.T) {
	e := correlate(t, "type: event_count\nrules: r0\ngroup-by: U\ntimespan: 1h\ncondition: {gte: 2}")
	c := NewCorrelator(e, CorrelatorOptions{MaxKeys: 1000, MaxPending: 160, Lateness: time.Minute})
	for i := range 20_000 {
		c.Add([]Point{{Time: int64(i) * 1000, group: string(appendGroup(nil, fmt.Append(nil, i)))}})
	}
	s := c.Stats()
	if s.Keys > 1000+shardCount || s.Evicted == 0 || s.Pending > 160+2*shardCount || s.Forced == 0 {
		t.Errorf("%+v", s)
	}
	// A false clock must not make all others late.
	c = NewCorrelator(e, CorrelatorOptions{Lateness: time.Second})
	c.Advance(1000 * sec)
	g := string(appendGroup(nil, []byte("x")))
	c.Add([]Point{{Time: 9_000_000 * sec, group: g}})
	alerts := c.Add([]Point{{Time: 1000 * sec, group: g}})
	alerts = append(alerts, c.Advance(1005*sec)...)
	if s := c.Stats(); s.Ahead != 1 || s.Late != 0 || len(alerts) != 1 {
		t.Errorf("%+v, %d alerts", s, len(alerts))
	}
}

func FuzzRestore(f *testing.F) {
	e := correlate(f, modelBlocks[12])
	c := NewCorrelator(e, CorrelatorOptions{Lateness: time.Hour})
	c.Add(feedEvents(f, e, "1 R=0 U=a", "2 R=2 U=b"))
	var buf bytes.Buffer
	c.Snapshot(&buf)
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		c := NewCorrelator(e, CorrelatorOptions{})
		if _, err := c.Restore(bytes.NewReader(data)); err != nil && !errors.Is(err, ErrSnapshot) {
			t.Error(err)
		}
	})
}
