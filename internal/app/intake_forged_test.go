//go:build unix

package app

import (
	"slices"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// TestAForgedExerciseIsLouder sends a login on a decoy as it is, and one that
// says it is practice: the second raises what the first does, and one alert more.
func TestAForgedExerciseIsLouder(t *testing.T) {
	judge, err := live.New(live.Config{Rules: ruleset.Config{Shipped: true, Want: ruleset.Want{MinLevel: sigma.Low}}})
	if err != nil {
		t.Fatal(err)
	}
	raised := func(exercise string) []string {
		in := &intake{observer: "sensor", passwords: "hmac", key: []byte("k")}
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		e := event.Event{ID: "x", Time: now, User: "root", Outcome: "success", Dataset: "decoy.ssh", Exercise: exercise}
		e.Describe(event.ActionLogin)
		line := e.AppendJSON(nil)
		if quick, ok := in.quick(nil, line, now); ok {
			line = quick
		} else {
			in.stamp(&e, now)
			line = e.AppendJSON(nil)
		}
		if e.Exercise != "" {
			t.Error("the event belongs to an exercise still")
		}
		var out []string
		for _, v := range judge.Judge(line) {
			r := live.Rule(v.Rule)
			out = append(out, r.Level.String()+" "+r.Name)
		}
		slices.Sort(out)
		return out
	}
	plain, forged := raised(""), raised("276b2eb4-9397-8ea3-8627-6b65d6a5c49c")
	if len(plain) == 0 {
		t.Fatal("a login on a decoy is no alert")
	}
	if want := append([]string{"critical Exercise Marker Forged"}, plain...); !slices.Equal(forged, want) {
		t.Errorf("it raises %q, not %q", forged, want)
	}
}
