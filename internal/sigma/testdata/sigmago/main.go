// Sigmago judges the same events with the same rules by our engine and by
// github.com/bradleyjkemp/sigma-go, and prints the processor time of both. It
// is a module of its own so that the peer is no dependency of the product.
//
//	cd internal/sigma/testdata/sigmago && GOMAXPROCS=1 go run . ../../../../../shared
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	peer "github.com/bradleyjkemp/sigma-go"
	"github.com/bradleyjkemp/sigma-go/evaluator"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
)

const (
	every = 50 // events that both judge: one in so many
	runs  = 5
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

type rules struct {
	set  *sigma.Set
	peer map[string]*evaluator.RuleEvaluator
	bad  int
}

func load(dir string) (*rules, error) {
	r := &rules{set: sigma.NewSet(sigma.Options{}), peer: map[string]*evaluator.RuleEvaluator{}}
	for _, d := range []string{"rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance"} {
		err := filepath.WalkDir(filepath.Join(dir, d), func(p string, e fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(p) != ".yml" {
				return err
			}
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			r.set.Add(p, data)
			pr, err := peer.ParseRule(data)
			if err != nil {
				r.bad++
				return nil
			}
			r.peer[pr.ID] = evaluator.ForRule(pr)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

func lines(dir string) ([][]byte, error) {
	zips, err := filepath.Glob(filepath.Join(dir, "*.zip"))
	var out [][]byte
	for _, z := range zips {
		r, err := zip.OpenReader(z)
		if err != nil {
			return nil, err
		}
		for _, f := range r.File {
			rc, err := f.Open()
			if err != nil {
				return nil, err
			}
			data, err := io.ReadAll(rc)
			if err != nil {
				return nil, err
			}
			for _, l := range bytes.Split(data, []byte("\n")) {
				if bytes.Contains(l, []byte(`"EventID"`)) && bytes.Contains(l, []byte(`"Channel"`)) {
					out = append(out, bytes.TrimSpace(l))
				}
			}
		}
		r.Close()
	}
	return out, err
}

// job is one event as the peer takes it, with the rules of its log source, which
// the peer is spared to find.
type job struct {
	event map[string]any
	evals []*evaluator.RuleEvaluator
}

func run(shared string) error {
	r, err := load(filepath.Join(shared, "sigma", "rules"))
	if err != nil {
		return err
	}
	ls, err := lines(filepath.Join(shared, "sigma", "data", "otrf"))
	if err != nil {
		return err
	}
	m, err := logsource.Default()
	if err != nil {
		return err
	}
	f := sigma.NewFields()
	eng := sigma.Compile(r.set, f)
	scan, route, worker, rec := jsonl.NewScanner(f, m), m.Router(f).NewWorker(), eng.NewWorker(), sigma.NewRecord(f)
	var head logsource.Head
	judge := func(l []byte, match bool) int {
		if scan.Scan(l, rec, &head) != nil {
			return 0
		}
		route.Route(rec, &head)
		if !match {
			return 0
		}
		return len(worker.Match(rec))
	}
	var jobs []job
	for i := 0; i < len(ls); i += every {
		judge(ls[i], true)
		j := job{event: map[string]any{}}
		for name, v := range rec.All() {
			j.event[name] = string(v.Text)
		}
		for _, rule := range eng.Rules() {
			if e := r.peer[rule.ID]; e != nil && rec.Source.Accepts(rule.Logsource) {
				j.evals = append(j.evals, e)
			}
		}
		jobs = append(jobs, j)
	}
	ours := median(func() { // decode with judging, less decode alone
		for _, l := range ls {
			judge(l, true)
		}
	}, len(ls)) - median(func() {
		for _, l := range ls {
			judge(l, false)
		}
	}, len(ls))
	hits, faults := 0, 0
	theirs := median(func() {
		for _, j := range jobs {
			for _, e := range j.evals {
				res, err := e.Matches(context.Background(), j.event)
				if err != nil {
					faults++
				} else if res.Match {
					hits++
				}
			}
		}
	}, len(jobs))
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rules": len(eng.Rules()), "peer_rules": len(r.peer), "peer_refused": r.bad, "events": len(ls), "peer_events": len(jobs),
		"ns_event": ours, "peer_ns_event": theirs, "times": theirs / ours, "peer_hits": hits / runs, "peer_errors": faults / runs,
	})
}

// median is nanoseconds of processor time for each of n.
func median(f func(), n int) float64 {
	var out []float64
	for range runs {
		start := cpu()
		f()
		out = append(out, float64((cpu()-start).Nanoseconds())/float64(n))
	}
	slices.Sort(out)
	return out[runs/2]
}
