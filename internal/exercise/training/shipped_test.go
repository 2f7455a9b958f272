package training_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/exercise/training"
	"github.com/lapwing-defence/lapwing/scenarios"
)

// played is a shipped scenario that was played to its end, and what its hosts wrote.
func played(t *testing.T, name string) (*scenario.Scenario, *exercise.Played, string) {
	t.Helper()
	f, err := scenarios.FS.Open(name + ".range.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc, err := scenario.Load(name, f)
	if err == nil {
		sc, err = sc.For("anna")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := exercise.Run(t.Context(), sc, exercise.Config{Start: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return sc, p, strings.ToLower(string(text))
}

// afterwards is the lab of an exercise that is over, in which all was done that
// levels ask for.
type afterwards struct{ p *exercise.Played }

func (a afterwards) Holds(*scenario.State) bool { return true }
func (a afterwards) Elapsed() time.Duration     { return time.Minute }
func (a afterwards) Explained() map[string][]string {
	out := map[string][]string{}
	for _, r := range a.p.Result.Alerts {
		out[r.ID] = r.Steps
	}
	return out
}

// Whoever looks at alerts and records finds every answer of a shipped training,
// and giving them brings every point.
func TestShippedTrainingsCanBeDone(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]int{"flax-typhoon": 8, "flax-typhoon-short": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc, p, records := played(t, name)
			levels := sc.Training.Levels
			if len(levels) < least {
				t.Errorf("%d levels, want %d", len(levels), least)
			}
			c := training.NewCourse(sc, training.State{}, afterwards{p}, time.Now)
			kinds := map[string]bool{}
			for i := range levels {
				l := &levels[i]
				kinds[l.Type] = true
				if l.Type != "info" && l.Solution == nil && len(l.Hints) == 0 && len(l.Questions) == 0 {
					t.Errorf("level %s has neither hint nor solution", l.ID)
				}
				if l.Answer != nil && len(l.Answer.Equals) > 0 && !slices.ContainsFunc(l.Answer.Equals, func(a string) bool { return strings.Contains(records, strings.ToLower(a)) }) {
					t.Errorf("level %s: no record has one of %q", l.ID, l.Answer.Equals)
				}
				finish(t, c, l, p)
			}
			if have, most := c.Points(); have != most || most == 0 {
				t.Errorf("all was right, and that is %d of %d points", have, most)
			}
			for _, k := range []string{"info", "question", "response", "assessment"} {
				if !kinds[k] {
					t.Errorf("no level of type %s", k)
				}
			}
		})
	}
}

// finish gives the right answer to a level.
func finish(t *testing.T, c *training.Course, l *scenario.Level, p *exercise.Played) {
	t.Helper()
	switch {
	case l.Type == "info":
		if err := c.Next(false); err != nil {
			t.Fatal(err)
		}
	case l.Answer != nil && l.Answer.State != nil:
		if _, ok := c.Look(); !ok {
			t.Fatalf("level %s is not solved by its state", l.ID)
		}
	case l.Answer != nil:
		if v := must(c.Answer(0, l.Answer.Equals[0]))(t); !v.Right {
			t.Errorf("level %s: %q is not right", l.ID, l.Answer.Equals[0])
		}
	}
	for k := range l.Questions {
		q := &l.Questions[k]
		answer := strings.Join(q.Correct, ", ")
		if q.Type == scenario.AskText || q.Type == scenario.AskChoice && len(q.Correct) == 1 {
			answer = q.Correct[0]
		}
		if q.Type == scenario.AskAlerts {
			answer = ""
			for _, want := range q.Correct {
				i := slices.IndexFunc(p.Result.Alerts, func(a score.AlertResult) bool { return slices.Contains(a.Steps, want) })
				if i < 0 {
					t.Fatalf("level %s: no alert is about %s", l.ID, want)
				}
				answer += p.Result.Alerts[i].ID + " "
			}
		}
		if v := must(c.Answer(k+1, answer))(t); !v.Right {
			t.Errorf("level %s, question %d: %q is %+v", l.ID, k+1, answer, v)
		}
	}
}
