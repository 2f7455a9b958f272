package score

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

func part(t *testing.T, r Result, name string) Part {
	t.Helper()
	for _, p := range r.Parts {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no part %s", name)
	return Part{}
}

func TestResponse(t *testing.T) {
	goal := Goal{ID: "g", Target: Target{Host: "red01"}, Deadline: at(500)}
	tests := []struct {
		name       string
		goals      []Goal
		isolations []Response
		points     float64 // of 100, since detection and response alone are played: 40 to 25
		says       string
	}{
		{"in time", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200)}}, 38.46, "1m40s after it began"},
		{"too late", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(501)}}, 0, "after the deadline"},
		{"let back", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200), Lifted: at(210)}}, 0, "let back"},
		{"let back, then again", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(300)}, {Target: Target{Host: "red01"}, At: at(200), Lifted: at(210)}}, 38.46, "3m20s"},
		{"never", []Goal{goal}, nil, 0, "was not cut off"},
		{"right and wrong", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200)}, {Target: Target{Host: "mail01"}, At: at(201)}}, 19.23, "without a reason"},
		{"wrong twice counts once", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200)}, {Target: Target{Host: "mail01"}, At: at(201)}, {Target: Target{Host: "MAIL01"}, At: at(301)}}, 19.23, "without a reason"},
		{"one that a step had reached is not wrong", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200)}, {Target: Target{Host: "ws01"}, At: at(320)}}, 38.46, "red01"},
		{"the same before it was reached", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200)}, {Target: Target{Host: "ws01"}, At: at(250)}}, 19.23, "ws01 was cut off"},
		{"one of several that a step had reached", []Goal{goal}, []Response{{Target: Target{Host: "red01"}, At: at(200)}, {Target: Target{Host: "db02"}, At: at(700)}}, 38.46, "red01"},
		{"wrong alone", nil, []Response{{Target: Target{Host: "mail01"}, At: at(201)}}, 0, "not worth less than nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			truth := small()
			truth.Goals, truth.Responses = tt.goals, tt.isolations
			truth.Steps[2].To = "web01, db02"
			p := part(t, Evaluate(truth, Seen{}, DefaultRules()), "response")
			var all []string
			for _, r := range p.Reasons {
				all = append(all, r.Text)
			}
			if p.Points != tt.points || !strings.Contains(strings.Join(all, "\n"), tt.says) {
				t.Errorf("%v points, want %v; reasons %q, want one with %q", p.Points, tt.points, all, tt.says)
			}
		})
	}
}

func TestPreventedStepIsMet(t *testing.T) {
	truth := small()
	truth.Steps[2].Outcome, truth.Steps[2].Note = NotRun, "no route"
	res := Evaluate(truth, smallSeen(), DefaultRules())
	if got := res.Steps[2].Status; got != Untried {
		t.Errorf("a step that did not run for no known reason is %s, want not_run", got)
	}
	truth.Responses = []Response{{Target: Target{Host: "red01"}, At: at(500)}}
	res = Evaluate(truth, smallSeen(), DefaultRules())
	if s := res.Steps[2]; s.Status != Prevented || s.Points != s.Max {
		t.Errorf("step of a host that was cut off: %s, %v of %v; want prevented, all", s.Status, s.Points, s.Max)
	}
	truth.Steps[2].Outcome = Failed // it tried, and nothing came through
	if s := Evaluate(truth, Seen{}, DefaultRules()).Steps[2]; s.Status != Prevented || s.Share != 1 || !strings.HasPrefix(s.Reasons[0].Text, "prevented") {
		t.Errorf("failed step of a host that was cut off: %s, %v", s.Status, s.Reasons)
	}
	truth.Responses[0].Lifted = at(599)
	if s := Evaluate(truth, Seen{}, DefaultRules()).Steps[2]; s.Status != Missed {
		t.Errorf("failed step of a host that was let back: %s, want missed", s.Status)
	}
}

func TestExpectations(t *testing.T) {
	two := []Detection{{ID: "d1", Rules: []string{"guess"}}, {ID: "d2", Rules: []string{"other"}}}
	tests := []struct {
		name   string
		expect Expect
		want   Status
	}{
		{"level", Expect{Level: Technique}, Met},
		{"every detection", Expect{Detections: two}, Missed},
		{"any detection", Expect{Detections: two, Any: true}, Met},
		{"none of any", Expect{Detections: two[1:], Any: true}, Missed},
		{"optional", Expect{Detections: two, Optional: true}, NotAsked},
		{"the limit counts from the beginning", Expect{Level: General, Within: 5 * time.Second}, Met}, // the step lasts 30 s, the alert came after 10
		{"nothing", Expect{}, NotAsked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			truth := small()
			truth.Steps = truth.Steps[:1]
			truth.Steps[0].Expect = tt.expect
			res := Evaluate(truth, smallSeen(), DefaultRules())
			if got := res.Steps[0].Status; got != tt.want {
				t.Errorf("status %s, want %s; %v", got, tt.want, res.Steps[0].Reasons)
			}
			if tt.want == NotAsked && res.Expected != 0 {
				t.Errorf("%d expected, want 0", res.Expected)
			}
		})
	}
	truth := small()
	truth.Steps[0].Ended, truth.Steps[0].Expect.Within = at(105), 5*time.Second
	if s := Evaluate(truth, smallSeen(), DefaultRules()).Steps[0]; s.Status != Missed || len(s.Joins) != 1 || !s.Joins[0].Late {
		t.Errorf("an alert after the end and the limit: %s, %+v; want missed, late", s.Status, s.Joins)
	}
}

func TestTasks(t *testing.T) {
	hints := []Hint{{ID: "h1", Cost: 10}, {ID: "h2", Cost: 20}}
	tests := []struct {
		name   string
		task   Task
		always bool
		want   float64
	}{
		{"solved", Task{Points: 100, Solved: true}, false, 100},
		{"hints are charged when it is solved", Task{Points: 100, Solved: true, Hints: hints}, false, 70},
		{"and not when it is not", Task{Points: 100, Hints: hints}, false, 0},
		{"unless always", Task{Points: 100, Hints: hints}, true, -30},
		{"never less than nothing", Task{Points: 20, Solved: true, Hints: hints}, false, 0},
		{"solution shown", Task{Points: 100, Solved: true, SolutionShown: true, SolutionPenalized: true}, false, 0},
		{"solution shown for free", Task{Points: 100, Solved: true, SolutionShown: true}, false, 100},
		{"wrong answers", Task{Points: 100, Solved: true, Wrong: 3, WrongCost: 5}, false, 85},
		{"a part of an assessment", Task{Points: 50, Solved: true, Share: 0.5}, false, 25},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, text := tt.task.earned(tt.always); got != tt.want {
				t.Errorf("earned %v (%s), want %v", got, text, tt.want)
			}
		})
	}
}

func TestAvailability(t *testing.T) {
	truth := small()
	truth.Services = []Service{
		{ID: "web01/tcp/80", Checks: []Check{{Up: true}, {Up: false, At: at(30), Why: "refused"}, {Up: true}, {Up: true}}},
		{ID: "web01/tcp/22", Checks: []Check{{Up: true}}},
		{ID: "unwatched"},
	}
	res := Evaluate(truth, Seen{}, DefaultRules())
	if got := res.Metrics.Availability; got == nil || *got != 0.875 {
		t.Errorf("availability %v, want 0.875", got)
	}
	if text := part(t, res, "availability").Reasons[0].Text; !strings.Contains(text, "3 of 4") || !strings.Contains(text, "10:00:30 (refused)") {
		t.Errorf("reason %q", text)
	}
}

func TestFalseAlarmsAreCapped(t *testing.T) {
	var seen Seen
	for i := range 10 {
		seen.Alerts = append(seen.Alerts, Alert{ID: string(rune('a' + i)), Rule: rule("x", alert.High), First: at(1), Host: "nowhere", User: "u"})
	}
	seen.Alerts = append(seen.Alerts, Alert{ID: "low", Rule: rule("x", alert.Informational), First: at(1), Host: "nowhere", User: "u"})
	res := Evaluate(small(), seen, DefaultRules())
	if p := part(t, res, "false_alarms"); p.Points != -30 || res.FalseAlarms != 10 || *res.Metrics.FalseAlarmsPerHour != 10 || *res.Metrics.Precision != 0 {
		t.Errorf("%v points for %d false alarms, want -30 for 10; %v an hour", p.Points, res.FalseAlarms, *res.Metrics.FalseAlarmsPerHour)
	}
}

func TestTimeFactor(t *testing.T) {
	r := DefaultRules()
	for after, want := range map[time.Duration]float64{0: 1, time.Minute: 1, 8 * time.Minute: 0.5, 15 * time.Minute: 0, time.Hour: 0} {
		if got := r.factor(after); got != want {
			t.Errorf("factor(%v) = %v, want %v", after, got, want)
		}
	}
}

func TestQuantileCensors(t *testing.T) {
	tests := []struct {
		times      []Millis
		n, percent int
		want       *Millis
	}{
		{nil, 0, 50, nil},
		{[]Millis{5}, 1, 50, millis(5 * time.Millisecond)},
		{[]Millis{1, 2}, 4, 50, millis(2 * time.Millisecond)},
		{[]Millis{1, 2}, 5, 50, nil}, // the median is one of those that were not detected
		{[]Millis{1, 2, 3, 4, 5, 6, 7, 8, 9}, 10, 90, millis(9 * time.Millisecond)},
		{[]Millis{1, 2, 3, 4, 5, 6, 7, 8}, 10, 90, nil},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, quantile(tt.times, tt.n, tt.percent)); d != "" {
			t.Errorf("quantile(%v of %d, %d): %s", tt.times, tt.n, tt.percent, d)
		}
	}
}

func TestAffine(t *testing.T) {
	tests := []struct {
		techniques, tactics []string
		want                Category
	}{
		{nil, nil, General},
		{[]string{"T1110.001"}, nil, Technique},
		{[]string{"attack.t1110"}, nil, Technique},
		{[]string{"T1110.003"}, nil, General},
		{[]string{"T1110.003"}, []string{"Credential Access"}, Tactic},
		{[]string{"T111"}, []string{"TA0006"}, Tactic},
		{[]string{""}, []string{""}, General},
	}
	for _, tt := range tests {
		if got := affine(tt.techniques, tt.tactics, "T1110.001", "credential-access"); got != tt.want {
			t.Errorf("affine(%v, %v) = %v, want %v", tt.techniques, tt.tactics, got, tt.want)
		}
	}
}

func TestRulesCheck(t *testing.T) {
	if err := DefaultRules().Check(); err != nil {
		t.Errorf("default rules: %v", err)
	}
	r := DefaultRules()
	r.Weights.Tasks, r.Percent[Tactic], r.ZeroAt, r.Skew, r.WrongIsolation = -1, 10, time.Second, -1, 2
	err := r.Check()
	for _, want := range []string{"weights.tasks", "detection.tactic", "zero_at", "skew", "wrong_isolation"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// An alert more never makes a step worth less.
func TestMoreAlertsNeverLessForAStep(t *testing.T) {
	seen := smallSeen()
	before := Evaluate(small(), seen, DefaultRules()).Steps[0].Share
	seen.Alerts = append(seen.Alerts, Alert{ID: "z", Rule: rule("general", alert.Low), First: at(100), Last: at(100), Events: []Ref{
		{ID: "e9", At: at(100), Flow: tcp("10.0.0.66:40001", "10.0.1.10:22")},
	}})
	if after := Evaluate(small(), seen, DefaultRules()).Steps[0].Share; after < before {
		t.Errorf("share fell from %v to %v", before, after)
	}
}
