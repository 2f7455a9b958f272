package sigma_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/evtx"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
)

// line up: decoder, mapping, engine, as hunt has them.
type bench struct {
	eng    *sigma.Engine
	worker *sigma.Worker
	route  *logsource.Worker
	scan   *jsonl.Scanner
	rec    *sigma.Record
	hits   int
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	set := sigma.NewSet(sigma.Options{})
	root := filepath.Join(sharedtest.Dir(tb), "sigma", "rules")
	for _, d := range []string{"rules", "rules-emerging-threats", "rules-threat-hunting", "rules-placeholder", "rules-compliance"} {
		err := filepath.WalkDir(filepath.Join(root, d), func(p string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(p) != ".yml" {
				return err
			}
			data, err := os.ReadFile(p)
			set.Add(p, data)
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	m, err := logsource.Default()
	if err != nil {
		tb.Fatal(err)
	}
	f := sigma.NewFields()
	b := &bench{eng: sigma.Compile(set, f)}
	b.worker, b.route, b.scan, b.rec = b.eng.NewWorker(), m.Router(f).NewWorker(), jsonl.NewScanner(f, m), sigma.NewRecord(f)
	return b
}

func (b *bench) json(tb testing.TB, lines [][]byte) {
	tb.Helper()
	var h logsource.Head
	for _, l := range lines {
		if err := b.scan.Scan(l, b.rec, &h); err != nil {
			tb.Fatal(err)
		}
		b.route.Route(b.rec, &h)
		b.hits += len(b.worker.Match(b.rec))
	}
}

// otrfLines are the events of the archives that have EventID and Channel.
func otrfLines(tb testing.TB) [][]byte {
	tb.Helper()
	zips, _ := filepath.Glob(filepath.Join(sharedtest.Dir(tb), "sigma", "data", "otrf", "*.zip"))
	var out [][]byte
	for _, z := range zips {
		r, err := zip.OpenReader(z)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range r.File {
			rc, err := f.Open()
			if err != nil {
				tb.Fatal(err)
			}
			data, err := io.ReadAll(rc)
			if err != nil {
				tb.Fatal(err)
			}
			for l := range bytes.SplitSeq(data, []byte("\n")) {
				if l = bytes.TrimSpace(l); bytes.Contains(l, []byte(`"EventID"`)) && bytes.Contains(l, []byte(`"Channel"`)) {
					out = append(out, l)
				}
			}
		}
		r.Close()
	}
	return out
}

// BenchmarkHuntJSON is one OTRF event from its bytes to its matches; the parts
// are measured apart, and encoding/json beside them.
func BenchmarkHuntJSON(b *testing.B) {
	lines := otrfLines(b)
	x := newBench(b)
	x.json(b, lines)
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	each := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			n, start := 0, sigma.CPUTime()
			for b.Loop() {
				f()
				n += len(lines)
			}
			d := sigma.CPUTime() - start
			b.ReportMetric(float64(d.Nanoseconds())/float64(n), "cpu-ns/event")
			b.ReportMetric(float64(n)/d.Seconds(), "events/cpu-s")
			b.ReportMetric(float64(size/len(lines)), "B/event")
		})
	}
	each("all", func() { x.json(b, lines) })
	each("decode", func() {
		var h logsource.Head
		for _, l := range lines {
			x.scan.Scan(l, x.rec, &h)
			x.route.Route(x.rec, &h)
		}
	})
	each("encoding-json", func() {
		for _, l := range lines {
			var v map[string]any
			json.Unmarshal(l, &v)
		}
	})
	b.Logf("%d plans, %+v", x.eng.Plans(), x.worker.Stats())
}

// BenchmarkHuntEVTX is one record of the recordings from its chunk to its
// matches.
func BenchmarkHuntEVTX(b *testing.B) {
	var files [][]byte
	root := filepath.Join(sharedtest.Dir(b), "sigma", "data")
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, ".evtx") || strings.Contains(p, "evtx-robust") {
			return err
		}
		data, err := os.ReadFile(p)
		files = append(files, data)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	x := newBench(b)
	for _, judge := range []bool{true, false} {
		b.Run(fmt.Sprintf("judge=%v", judge), func(b *testing.B) {
			n := 0
			dec := evtx.NewDecoder(x.eng.Fields())
			run := func() {
				for _, f := range files {
					for at := 4096; at+65536 <= len(f); at += 65536 {
						dec.Chunk(f[at:at+65536], x.rec, func(h *evtx.Head) error {
							n++
							x.route.Route(x.rec, &logsource.Head{Format: "evtx", Channel: h.Channel, Provider: h.Provider, EventID: h.EventID})
							if judge {
								x.hits += len(x.worker.Match(x.rec))
							}
							return nil
						})
					}
				}
			}
			run()
			n = 0
			start := sigma.CPUTime()
			for b.Loop() {
				run()
			}
			d := sigma.CPUTime() - start
			b.ReportMetric(float64(d.Nanoseconds())/float64(n), "cpu-ns/record")
			b.ReportMetric(float64(n)/d.Seconds(), "records/cpu-s")
		})
	}
}
