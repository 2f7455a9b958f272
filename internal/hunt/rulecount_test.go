package hunt

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// everyNth are n of SigmaHQ's rules, spread over all of them.
func everyNth(tb testing.TB, dir string, n int) *ruleset.Loaded {
	tb.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(p))[0] != '_' && ruleset.IsRule(d.Name()) {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	l := &ruleset.Loaded{Set: sigma.NewSet(sigma.Options{}), Fields: sigma.NewFields()}
	for i := range min(n, len(files)) {
		f := files[i*len(files)/min(n, len(files))]
		data, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		l.Set.Add(f, data)
	}
	l.Engine = sigma.Compile(l.Set, l.Fields)
	return l
}

// BenchmarkRuleCount is the cost of an event, decoded and judged, against the
// number of rules: processor time, the median of rounds in which the numbers
// of rules take turns, so that the load of the machine meets all of them.
func BenchmarkRuleCount(b *testing.B) {
	dir := sharedtest.Dir(b)
	m, err := logsource.Default()
	if err != nil {
		b.Fatal(err)
	}
	counts := []int{0, 100, 1000, 3780}
	for _, set := range []string{"otrf", "evtx-to-mitre"} {
		b.Run(set, func(b *testing.B) {
			var judges []*judge
			var blocks [][]*block
			var per [][]float64
			for _, n := range counts {
				h, err := New(Config{Rules: everyNth(b, filepath.Join(dir, "sigma/rules"), n), Mapping: m, Paths: []string{"-"}})
				if err != nil {
					b.Fatal(err)
				}
				judges, blocks, per = append(judges, h.newJudge()), append(blocks, blocksOf(b, h, filepath.Join(dir, "sigma/data", set))), append(per, nil)
			}
			for b.Loop() {
				for i, j := range judges {
					before, start := j.h.Stats.Records.Load(), cpuTime()
					for _, x := range blocks[i] {
						j.block(x)
					}
					per[i] = append(per[i], float64((cpuTime()-start)/time.Nanosecond)/float64(j.h.Stats.Records.Load()-before))
				}
			}
			base, medians := 0.0, map[int]float64{}
			for i, n := range counts {
				slices.Sort(per[i])
				median := per[i][len(per[i])/2]
				medians[n] = median
				if n == 0 {
					base = median
				}
				b.ReportMetric(median, strconv.Itoa(n)+"-rules-ns/event")
				times := ""
				if first := medians[100]; first > 0 {
					times = fmt.Sprintf(", %.2f times the cost with 100", median/first)
				}
				b.Logf("%-14s %4d rules: %5.2f µs an event decoded and judged, %5.2f of it for the rules%s", set, n, median/1000, (median-base)/1000, times)
			}
			against(b, set+": 3,780 rules against 100", medians[3780]/medians[100], 1.3, "times the cost", false)
		})
	}
}
