package hunt

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
)

// blocksOf cuts inputs into blocks as a hunt does, and keeps them.
func blocksOf(b *testing.B, h *Hunt, paths ...string) []*block {
	b.Helper()
	l := &line{todo: make(chan *block, 1<<16), free: make(chan []byte, 1<<16)}
	for range 1 << 16 {
		l.free <- nil
	}
	r := reader{h: h, ctx: context.Background(), line: l}
	r.all(paths)
	close(l.todo)
	var out []*block
	for x := range l.todo {
		out = append(out, x)
	}
	return out
}

// measure judges the blocks several times on one goroutine and reports the
// median of records for each second of processor time.
func measure(b *testing.B, name string, want float64, paths func(data string) []string) {
	b.Helper()
	l, data := sigmaHQ(b)
	m, err := logsource.Default()
	if err != nil {
		b.Fatal(err)
	}
	h, err := New(Config{Rules: l, Mapping: m, Paths: []string{"-"}})
	if err != nil {
		b.Fatal(err)
	}
	blocks := blocksOf(b, h, paths(data)...)
	j := h.newJudge()
	var rates []float64
	b.ReportAllocs()
	for b.Loop() {
		before, start := h.Stats.Records.Load(), cpuTime()
		for _, x := range blocks {
			j.block(x)
		}
		if spent := cpuTime() - start; spent > 0 {
			rates = append(rates, float64(h.Stats.Records.Load()-before)/spent.Seconds())
		}
	}
	slices.Sort(rates)
	if len(rates) > 0 {
		b.ReportMetric(rates[len(rates)/2], "records/cpu-s") // the median
		b.ReportMetric(rates[0], "worst/cpu-s")
		b.ReportMetric(rates[len(rates)-1], "best/cpu-s")
		against(b, name, rates[len(rates)/2], want, "records/cpu-s", true)
	}
}

func BenchmarkOTRF(b *testing.B) {
	measure(b, "JSON: OTRF archives", 120_000, func(d string) []string { return []string{filepath.Join(d, "otrf")} })
}

func BenchmarkEVTX(b *testing.B) {
	measure(b, "EVTX: all recordings", 150_000, func(d string) []string {
		return []string{filepath.Join(d, "evtx-to-mitre"), filepath.Join(d, "sigmahq-regression"), filepath.Join(d, "evtx-robust")}
	})
}

func BenchmarkEVTXToMitre(b *testing.B) {
	measure(b, "EVTX: evtx-to-mitre alone", 150_000, func(d string) []string { return []string{filepath.Join(d, "evtx-to-mitre")} })
}

// BenchmarkEncodingJSON decodes the same events with the standard library, and
// does nothing else.
func BenchmarkEncodingJSON(b *testing.B) {
	l, data := sigmaHQ(b)
	m, err := logsource.Default()
	if err != nil {
		b.Fatal(err)
	}
	h, err := New(Config{Rules: l, Mapping: m, Paths: []string{"-"}})
	if err != nil {
		b.Fatal(err)
	}
	blocks := blocksOf(b, h, filepath.Join(data, "otrf"))
	var spent time.Duration
	n := 0
	for b.Loop() {
		start := cpuTime()
		for _, x := range blocks {
			eachLine(x.data, 1, func(line []byte, _ int64) {
				var v map[string]any
				if json.Unmarshal(line, &v) == nil {
					n++
				}
			})
		}
		spent += cpuTime() - start
	}
	b.ReportMetric(float64(n)/spent.Seconds(), "records/cpu-s")
}
