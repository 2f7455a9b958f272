package hunt

import (
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// BenchmarkCold is the first look at many small event logs with rules that were
// just loaded: nothing is prepared for any kind of event yet.
func BenchmarkCold(b *testing.B) {
	l, data := sigmaHQ(b)
	m, err := logsource.Default()
	if err != nil {
		b.Fatal(err)
	}
	var rates []float64
	for b.Loop() {
		fresh := *l
		fresh.Fields = sigma.NewFields()
		fresh.Engine = sigma.Compile(l.Set, fresh.Fields)
		h, err := New(Config{Rules: &fresh, Mapping: m, Paths: []string{"-"}})
		if err != nil {
			b.Fatal(err)
		}
		blocks := blocksOf(b, h, filepath.Join(data, "evtx-to-mitre"))
		j := h.newJudge()
		runtime.GC() // what loading left is not counted
		start := cpuTime()
		for _, x := range blocks {
			j.block(x)
		}
		rates = append(rates, float64(h.Stats.Records.Load())/(cpuTime()-start).Seconds())
	}
	slices.Sort(rates)
	b.ReportMetric(rates[len(rates)/2], "records/cpu-s")
	against(b, "EVTX: evtx-to-mitre at first sight", rates[len(rates)/2], 150_000, "records/cpu-s", true)
}
