package score

import "testing"

// A step that did not run is neither met nor missed, and the score says between
// what it would lie with it: nobody looks better or worse for it.
func TestStepsThatDidNotRun(t *testing.T) {
	full := Evaluate(small(), smallSeen(), DefaultRules())
	for _, tt := range []struct {
		name string
		left []int
	}{{"none", nil}, {"the last", []int{2}}, {"two", []int{1, 2}}, {"all", []int{0, 1, 2}}} {
		t.Run(tt.name, func(t *testing.T) {
			truth := small()
			truth.Services = []Service{{ID: "web01/tcp/80", Checks: []Check{{At: at(30), Up: true}}}}
			whole := Evaluate(truth, smallSeen(), DefaultRules())
			for _, i := range tt.left {
				s := &truth.Steps[i]
				s.Outcome, s.Acts = NotRun, Acts{}
			}
			res := Evaluate(truth, smallSeen(), DefaultRules())
			if res.NotRun != len(tt.left) || res.Expected != full.Expected || res.Met+res.Missed+res.NotRun != res.Expected {
				t.Errorf("%d expected: %d met, %d missed, %d not run; want %d not run of %d", res.Expected, res.Met, res.Missed, res.NotRun, len(tt.left), full.Expected)
			}
			for _, i := range tt.left {
				if s := &res.Steps[i]; s.Status != Untried || s.Max != 0 || s.Points != 0 {
					t.Errorf("%s: %s, %v of %v points", s.ID, s.Status, s.Points, s.Max)
				}
			}
			if tt.left == nil {
				if res.Bounds != nil {
					t.Errorf("bounds %+v though all ran", *res.Bounds)
				}
				return
			}
			if b := res.Bounds; b == nil || whole.Score < b.Least || whole.Score > b.Most || b.Least >= b.Most {
				t.Errorf("the whole run has %v, the bounds without %v are %+v", whole.Score, tt.left, b)
			}
		})
	}
}

// A step that waits has nothing to be seen, and costs nothing.
func TestSilentStep(t *testing.T) {
	truth := small()
	want := Evaluate(truth, smallSeen(), DefaultRules())
	truth.Steps = append(truth.Steps, Step{ID: "w", Technique: "T1078", Tactic: "execution", Outcome: Done, Silent: true, Acts: Acts{Started: at(700), Ended: at(800)}})
	got := Evaluate(truth, smallSeen(), DefaultRules())
	if got.Score != want.Score || got.Metrics.Steps != want.Metrics.Steps || got.Metrics.Visibility != want.Metrics.Visibility {
		t.Errorf("with a pause: score %v, %d steps, visibility %v; without: %v, %d, %v",
			got.Score, got.Metrics.Steps, got.Metrics.Visibility, want.Score, want.Metrics.Steps, want.Metrics.Visibility)
	}
	truth.Steps[3].Expect = Expect{Level: General} // who expects something of it gets what he asks for
	if s := Evaluate(truth, smallSeen(), DefaultRules()).Steps[3]; s.Status != Missed || s.Max == 0 {
		t.Errorf("%s of %v", s.Status, s.Max)
	}
}
