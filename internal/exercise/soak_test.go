package exercise_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/exercise"
)

// TestTenRunsOneStory plays the long scenario ten times with one seed, every
// second time beside work that takes all processors away, and compares what a
// person would: steps, categories, expected, met, missed and score, in order.
// make soak runs it.
func TestTenRunsOneStory(t *testing.T) {
	if os.Getenv("LAPWING_SOAK") == "" {
		t.Skip("long: set LAPWING_SOAK=1, or use make soak")
	}
	sc := shipped(t, "flax-typhoon")
	var want []string
	for i := range 10 {
		loaded := i%2 == 1
		t.Run(fmt.Sprintf("run %d, loaded %t", i+1, loaded), func(t *testing.T) {
			if loaded {
				for range 2 * runtime.GOMAXPROCS(0) {
					spin(t)
				}
			}
			began := time.Now()
			dir := t.TempDir()
			p, err := exercise.Run(t.Context(), sc, exercise.Config{Start: monday, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, %d records, %d packets, score %.1f", time.Since(began).Round(10*time.Millisecond), p.Judged, p.Truth.Packets, p.Result.Score)
			got := append(told(p), kinds(t, filepath.Join(dir, "events.jsonl"))...)
			if want == nil {
				want = got
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if len(want) < 40 {
		t.Errorf("only %d lines were compared:\n%s", len(want), strings.Join(want, ""))
	}
}

// kinds counts the records of each kind and host.
func kinds(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r map[string]any
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		key := ""
		for _, name := range []string{"Computer", "EventID", "host.name", "lapwing.host", "event.dataset", "event.action", "destination.ip", "destination.port", "url.path"} {
			if v := r[name]; v != nil {
				key += fmt.Sprint(name, "=", v, " ")
			}
		}
		count[key]++
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintln(key, count[key]))
	}
	return out
}

// told is all that a report says of a run, without its ids: more than story,
// with alerts, flows and the reasons of every point.
func told(p *exercise.Played) []string {
	out := story(p)
	r := &p.Result
	for _, a := range r.Alerts {
		out = append(out, fmt.Sprintln("alert", a.RuleName, a.Verdict, a.Why))
	}
	for _, part := range r.Parts {
		out = append(out, fmt.Sprintln("part", part.Name, part.Max, part.Points))
		for _, why := range part.Reasons {
			out = append(out, fmt.Sprintln("reason", why.Text, why.Points))
		}
	}
	for i := range p.Truth.Steps {
		s := &p.Truth.Steps[i]
		out = append(out, fmt.Sprintln("step", s.ID, len(s.Flows), len(s.Traces)))
	}
	return append(out, fmt.Sprintln(p.Judged, len(p.Truth.Activities)))
}
