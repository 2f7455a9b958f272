package hunt

import (
	"context"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// against prints a measure beside what it is held against: how many times better it
// is, and whether that is enough.
func against(tb testing.TB, name string, got, want float64, unit string, more bool) {
	tb.Helper()
	times, sign := got/want, "at least"
	if !more {
		times, sign = want/got, "at most"
	}
	verdict := "met"
	if times < 1 {
		verdict = "NOT MET"
	}
	tb.Logf("%-44s %12.4g %-16s bar: %s %.4g, %.2f times: %s", name, got, unit, sign, want, times, verdict)
}

func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}

// threeSets are the sets of events of the evaluation as lines of JSON: the
// archives (Sysmon above all), the recordings of attacks, and of the archives
// process creations and script blocks alone, which most rules look at.
func threeSets(b *testing.B, h *Hunt, data string) map[string][][]byte {
	b.Helper()
	sets := map[string][][]byte{}
	j := h.newJudge()
	h.look = func(rec *sigma.Record, _ uint64) {
		sets["attacks"] = append(sets["attacks"], appendRecord(nil, rec))
	}
	for _, x := range blocksOf(b, h, filepath.Join(data, "evtx-to-mitre"), filepath.Join(data, "sigmahq-regression")) {
		j.block(x)
	}
	h.look = nil
	for _, x := range blocksOf(b, h, filepath.Join(data, "otrf")) {
		eachLine(x.data, 1, func(l []byte, _ int64) {
			var ev struct{ EventID, Channel any }
			if json.Unmarshal(l, &ev) != nil || ev.EventID == nil || ev.Channel == nil {
				return
			}
			sets["archives"] = append(sets["archives"], l)
			id, _ := ev.EventID.(float64)
			channel, _ := ev.Channel.(string)
			if id == 4688 || id == 4104 || id == 1 && strings.Contains(channel, "Sysmon") {
				sets["processes and scripts"] = append(sets["processes and scripts"], l)
			}
		})
	}
	return sets
}

// BenchmarkThreeSets: events decoded and judged by all rules must take no longer
// than encoding/json takes to decode them.
func BenchmarkThreeSets(b *testing.B) {
	l, data := sigmaHQ(b)
	h := benchHunt(b, l)
	sets := threeSets(b, h, data)
	for _, name := range []string{"archives", "attacks", "processes and scripts"} {
		lines := sets[name]
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			j := h.newJudge()
			j.in, j.out = &input{name: name, format: formatLines}, &result{}
			var ours, theirs, ratio []float64
			for b.Loop() {
				start := cpuTime()
				for i, line := range lines {
					j.object(line, int64(i))
				}
				j.out.matches, j.out.points = j.out.matches[:0], j.out.points[:0]
				mid := cpuTime()
				for _, line := range lines {
					var v map[string]any
					if err := json.Unmarshal(line, &v); err != nil {
						b.Fatal(err)
					}
				}
				o, t := float64(mid-start)/float64(len(lines)), float64(cpuTime()-mid)/float64(len(lines))
				ours, theirs, ratio = append(ours, o), append(theirs, t), append(ratio, t/o)
			}
			b.ReportMetric(median(ours), "ns/event")
			b.ReportMetric(median(theirs), "encoding-json-ns/event")
			against(b, name+": encoding/json to decoding and judging", median(ratio), 1, "times", true)
		})
	}
}

func benchHunt(tb testing.TB, l *ruleset.Loaded) *Hunt {
	tb.Helper()
	m, err := logsource.Default()
	if err != nil {
		tb.Fatal(err)
	}
	h, err := New(Config{Rules: l, Mapping: m, Paths: []string{"-"}})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// BenchmarkCores hunts through the archives, files and unpacking included, with
// one and with two workers by turns.
func BenchmarkCores(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("one processor")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	l, data := sigmaHQ(b)
	m, err := logsource.Default()
	if err != nil {
		b.Fatal(err)
	}
	wall, cpu := map[int][]float64{}, map[int][]float64{}
	for b.Loop() {
		for _, n := range []int{1, 2} {
			runtime.GOMAXPROCS(n)
			h, err := New(Config{Rules: l, Mapping: m, Workers: n, Paths: []string{filepath.Join(data, "otrf"), filepath.Join(data, "evtx-to-mitre")}})
			if err != nil {
				b.Fatal(err)
			}
			start, spent := time.Now(), cpuTime()
			if err := h.Run(context.Background(), &collector{}); err != nil {
				b.Fatal(err)
			}
			wall[n] = append(wall[n], time.Since(start).Seconds())
			cpu[n] = append(cpu[n], (cpuTime() - spent).Seconds())
		}
	}
	for _, n := range []int{1, 2} {
		b.Logf("%d processors: best %.2f s, median %.2f s by the clock; %.2f s of processor time", n, slices.Min(wall[n]), median(wall[n]), median(cpu[n]))
	}
	b.ReportMetric(slices.Min(wall[1])/slices.Min(wall[2]), "times-faster-on-2")
	b.ReportMetric(median(cpu[2])/median(cpu[1]), "times-the-cpu")
}

// BenchmarkHeap is the memory of all rules once every recording was judged,
// without that of the recordings.
func BenchmarkHeap(b *testing.B) {
	_, data := sigmaHQ(b)
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	dir := filepath.Join(filepath.Dir(data), "rules")
	probe := everyNth(b, dir, 0)
	blocks := blocksOf(b, benchHunt(b, probe), filepath.Join(data, "otrf"), filepath.Join(data, "evtx-to-mitre"), filepath.Join(data, "sigmahq-regression"))
	loaded, judged := 0.0, 0.0
	for b.Loop() {
		before := heap()
		h := benchHunt(b, everyNth(b, dir, 3780))
		loaded = max(loaded, heap()-before)
		j := h.newJudge()
		for range 2 {
			for _, x := range blocks {
				j.block(x)
			}
		}
		judged = max(judged, heap()-before)
		runtime.KeepAlive(j)
	}
	b.ReportMetric(loaded, "MiB-loaded")
	b.ReportMetric(judged, "MiB-judged")
	against(b, "heap after load", loaded, 64, "MiB", false)
	against(b, "heap after every recording", judged, 64, "MiB", false)
}

// TestNoise: how often rules of high level fire on everyday traffic: a web
// server's log and the event logs of ordinary hosts. Ours may once in 100,000
// records.
func TestNoise(t *testing.T) {
	all, data := sigmaHQ(t)
	ours, err := ruleset.Load(ruleset.Config{}, sigma.NewFields())
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []struct {
		name, dir string
		atLeast   int64 // records, so that silence means something
	}{{"web", "web", 9000}, {"everyday event logs", "evtx-robust", 3000}} {
		for _, rules := range []struct {
			name string
			l    *ruleset.Loaded
			most float64
		}{{"all of SigmaHQ", all, -1}, {"ours", ours, 1}} {
			t.Run(set.name+"/"+rules.name, func(t *testing.T) {
				h, matches := hunting(t, rules.l, Config{Paths: filesIn(t, filepath.Join(data, set.dir))})
				high := 0
				for _, m := range matches {
					if m.Rule.Level >= sigma.High {
						high++
						t.Logf("%s record %d: %s: %s", m.Rule.Level, m.Record, m.Rule.Title, m.Details)
					}
				}
				n := h.Stats.Records.Load()
				per := float64(high) * 1e5 / float64(n)
				t.Logf("%d rules, %d matches, %d high or critical, in %d records: %.1f high or critical per 100,000", len(rules.l.Engine.Rules()), len(matches), high, n, per)
				if n < set.atLeast {
					t.Errorf("%d records, want at least %d", n, set.atLeast)
				}
				if rules.most >= 0 && per > rules.most {
					t.Errorf("%.1f high or critical alerts per 100,000, want at most %v", per, rules.most)
				}
			})
		}
	}
}

func filesIn(tb testing.TB, dir string) []string {
	tb.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}
