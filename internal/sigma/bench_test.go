package sigma

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// bar prints a measure beside the most that it may be.
func bar(tb testing.TB, name string, got, most float64, unit string) {
	tb.Helper()
	verdict := "met"
	if got > most {
		verdict = "NOT MET"
	}
	tb.Logf("%-32s %10.4g %-8s bar: at most %g, %.2f times: %s", name, got, unit, most, most/got, verdict)
}

// corpusRecords decodes every twentieth event of the OTRF archives once: judging
// alone is measured, of records that the processor has at hand, as it has just
// after decoding.
func corpusRecords(tb testing.TB, e *Engine) []*Record {
	tb.Helper()
	m := loadMapping(tb, e.Fields())
	var recs []*Record
	for i, ev := range otrfEvents(tb) {
		if i%20 != 0 {
			continue
		}
		rec := NewRecord(e.Fields())
		if fillOTRF(rec, m, ev.raw) {
			recs = append(recs, rec)
		}
	}
	return recs
}

// BenchmarkMatch is the cost of judging one OTRF event with all rules.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100, 1000, 3780} {
		b.Run(lineText(n), func(b *testing.B) {
			s := NewSet(Options{})
			for _, f := range everyNth(ruleFiles(b), n) {
				s.Add(f.name, f.data)
			}
			e := Compile(s, NewFields())
			recs := corpusRecords(b, e)
			w := e.NewWorker()
			for _, r := range recs {
				w.Match(r)
			}
			i, n, start := 0, 0, cpuTime()
			for b.Loop() {
				w.Match(recs[i])
				n++
				if i++; i == len(recs) {
					i = 0
				}
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(n), "cpu-ns/op")
			st := w.Stats()
			b.ReportMetric(float64(st.Candidates)/float64(st.Records), "candidates/op")
			b.ReportMetric(float64(st.Predicates)/float64(st.Records), "predicates/op")
		})
	}
}

func everyNth(files []ruleFile, n int) []ruleFile {
	if n >= len(files) {
		return files
	}
	var out []ruleFile
	for i := range n {
		out = append(out, files[i*len(files)/n])
	}
	return out
}

// BenchmarkPlan is making what a kind of record is judged with: for all Windows
// rules at once, and for process creations alone.
func BenchmarkPlan(b *testing.B) {
	e := Compile(loadCorpus(b, Options{}), NewFields())
	src := &Source{Logsources: []Logsource{{"process_creation", "windows", "sysmon"}}, Const: []Const{{"EventID", "1"}}}
	for _, broad := range []bool{true, false} {
		b.Run(map[bool]string{true: "product", false: "kind"}[broad], func(b *testing.B) {
			n, start := 0, cpuTime()
			for b.Loop() {
				n++
				clear(e.broad)
				clear(e.plans)
				if broad {
					e.broadFor(src, e.accepted(src))
				} else {
					e.planFor(src)
				}
			}
			b.ReportMetric(float64((cpuTime()-start).Microseconds())/float64(n), "cpu-us/op")
		})
	}
}

// BenchmarkLoad is reading and compiling all rules.
func BenchmarkLoad(b *testing.B) {
	files := ruleFiles(b)
	n, start := 0, cpuTime()
	for b.Loop() {
		n++
		s := NewSet(Options{})
		for _, f := range files {
			s.Add(f.name, f.data)
		}
		Compile(s, NewFields())
	}
	ms := (cpuTime() - start).Seconds() * 1000 / float64(n)
	b.ReportMetric(ms, "cpu-ms/op")
	bar(b, "load of all rules", ms, 500, "ms")
}

// BenchmarkCorrelate is the cost of one match of event_count gte 10 with a
// million groups, each with its ring full, and the memory of a group.
func BenchmarkCorrelate(b *testing.B) {
	for _, keys := range []int{1000, 100_000, 1_000_000} {
		b.Run(lineText(keys), func(b *testing.B) {
			e := correlate(b, "type: event_count\nrules: [r0]\ngroup-by: [ip]\ntimespan: 1h\ncondition: {gte: 10}")
			groups := make([]string, keys)
			for i := range groups {
				groups[i] = string(appendGroup(nil, fmt.Appendf(nil, "10.%d.%d.%d", i>>16, i>>8&255, i&255)))
			}
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c := NewCorrelator(e, CorrelatorOptions{MaxKeys: 2 * keys})
			batch := make([]Point, 256)
			rnd := rand.New(rand.NewPCG(1, 2))
			now := int64(0)
			add := func(pick func() int) {
				for i := range batch {
					now += 1000
					batch[i] = Point{Time: now, group: groups[pick()]}
				}
				c.Add(batch)
			}
			next := 0
			for range (10*keys + 255) / 256 {
				add(func() int { next++; return next % keys })
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			start, n := cpuTime(), 0
			for b.Loop() {
				if n%256 == 0 {
					add(func() int { return rnd.IntN(keys) })
				}
				n++
			}
			ns := float64(cpuTime()-start) / float64(n)
			size := float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / float64(c.Stats().Keys)
			b.ReportMetric(ns, "cpu-ns/op")
			b.ReportMetric(size, "B/key")
			bar(b, "a match at "+lineText(keys)+" keys", ns, 1000, "ns")
			if keys == 1_000_000 { // with few keys the tables of the shards weigh more
				bar(b, "memory at "+lineText(keys)+" keys", size, 200, "B a key")
			}
		})
	}
}
