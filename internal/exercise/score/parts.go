package score

import (
	"fmt"
	"slices"
	"time"
)

// value fills in the parts and the score.
func (e *evaluation) value() {
	r := &e.result
	w := e.rules.Weights
	parts := []Part{
		e.detection(w.Detection), e.response(w.Response), e.availability(w.Availability), e.tasks(w.Tasks),
	}
	bounds := e.bounds(parts)
	total := 0.0
	for _, p := range parts {
		if p.Played {
			total += p.Weight
		}
	}
	sum := 0.0
	for i := range parts {
		p := &parts[i]
		if p.Played && total > 0 {
			p.Max = 100 * p.Weight / total
		}
		p.scale()
		sum += p.Points
	}
	for i := range r.Steps {
		r.Steps[i].scale(parts[0].Max, e.counted())
	}
	alarms := e.falseAlarms()
	r.Parts = append(parts, alarms)
	r.Score = round(min(100, max(0, sum+alarms.Points)), 1)
	if bounds != nil {
		r.Bounds = &Bounds{round(min(100, max(0, bounds.Least+alarms.Points)), 1), round(min(100, max(0, bounds.Most+alarms.Points)), 1)}
	}
	for i := range r.Parts {
		r.Parts[i].tidy()
	}
}

// bounds are those of the parts' sum, before they are scaled; nil where every
// step ran.
func (e *evaluation) bounds(parts []Part) *Bounds {
	shares, ran, left := 0.0, 0, 0
	for i := range e.result.Steps {
		switch s := &e.result.Steps[i]; {
		case s.counts():
			shares, ran = shares+s.Share, ran+1
		case s.Outcome == NotRun && !s.Silent:
			left++
		}
	}
	if left == 0 {
		return nil
	}
	all := float64(ran + left)
	weight := parts[0].Weight
	least, most := weight*shares/all, weight*(shares+float64(left))/all
	for _, p := range parts[1:] {
		if p.Played {
			weight, least, most = weight+p.Weight, least+p.Weight*p.Points, most+p.Weight*p.Points
		}
	}
	if weight == 0 {
		return nil
	}
	return &Bounds{100 * least / weight, 100 * most / weight}
}

// scale turns shares into points of the score. Until then the points of a part
// and of its reasons are shares of it, 0 to 1.
func (p *Part) scale() {
	p.Points *= p.Max
	for i := range p.Reasons {
		p.Reasons[i].Points *= p.Max
	}
}

func (p *Part) tidy() {
	p.Max, p.Points = round(p.Max, 2), round(p.Points, 2)
	for i := range p.Reasons {
		p.Reasons[i].Points = round(p.Reasons[i].Points, 2)
	}
}

func (s *StepResult) scale(highest float64, steps int) {
	if steps > 0 && s.counts() {
		s.Max = round(highest/float64(steps), 2)
		s.Points = round(highest/float64(steps)*s.Share, 2)
	}
	s.Share = round(s.Share, 4)
	if len(s.Reasons) > 0 {
		s.Reasons[0].Points = s.Points
	}
}

// counts says whether s has a share in the detection's points: it ran and left
// something to be seen, or was prevented.
func (s *StepResult) counts() bool {
	return s.Status == Prevented || s.Outcome != NotRun && !s.Silent
}

func (e *evaluation) counted() (n int) {
	for i := range e.result.Steps {
		if e.result.Steps[i].counts() {
			n++
		}
	}
	return n
}

// detection is the mean of the steps.
func (e *evaluation) detection(weight float64) Part {
	p := Part{Name: "detection", Weight: weight}
	n := e.counted()
	if n == 0 {
		p.Reasons = []Reason{{Text: "not played: no step ran"}}
		return p
	}
	p.Played = true
	for i := range e.result.Steps {
		s := &e.result.Steps[i]
		if !s.counts() {
			continue
		}
		share := s.Share / float64(n)
		p.Points += share
		first := s.Reasons[0]
		p.Reasons = append(p.Reasons, Reason{Text: s.ID + ": " + first.Text, Points: share, Evidence: first.Evidence})
	}
	return p
}

// response is the share of the goals that were reached in time, less what
// responses without a reason cost.
func (e *evaluation) response(weight float64) Part {
	p := Part{Name: "response", Weight: weight}
	m := &e.result.Metrics
	m.ContainGoals = len(e.truth.Goals)
	total := 0.0
	for _, g := range e.truth.Goals {
		total += goalPoints(g)
	}
	for _, g := range e.truth.Goals {
		res := e.goal(g)
		e.result.Goals = append(e.result.Goals, res)
		share := 0.0
		if res.Met {
			m.Contained++
			share = goalPoints(g) / total
			if m.TimeToAct == nil || *res.After > *m.TimeToAct {
				m.TimeToAct = res.After
			}
		}
		p.Points += share
		p.Reasons = append(p.Reasons, Reason{Text: res.Reason, Points: share})
	}
	wrong := e.wrongResponses()
	if n := len(e.truth.Responses); total == 0 && e.truth.Policy != nil && n > len(wrong) {
		p.Points = 1 // nothing is asked for in particular: what was done is to be right
		p.Reasons = append(p.Reasons, Reason{Text: fmt.Sprintf("%d of %d answers of the policy hit somebody that a step had to do with", n-len(wrong), n), Points: 1})
	}
	for _, r := range wrong {
		p.Points -= e.rules.WrongIsolation
		p.Reasons = append(p.Reasons, Reason{
			Text:   fmt.Sprintf("%s was %s at %s without a reason: no step had to do with it before", r.What(), r.Done(), clockTime(r.At)),
			Points: -e.rules.WrongIsolation,
		})
		m.WrongHosts = append(m.WrongHosts, r.What())
	}
	p.Played = len(p.Reasons) > 0
	if !p.Played {
		why := e.absent("not played: nothing is to be done, and nothing was")
		if e.truth.Policy != nil {
			why = "not played: the policy blocked nothing"
		}
		p.Reasons = []Reason{{Text: why}}
	}
	p.floor()
	return p
}

// floor keeps a part from going below zero, with a line that says so.
func (p *Part) floor() {
	if p.Points < 0 {
		p.Reasons = append(p.Reasons, Reason{Text: "a part is not worth less than nothing", Points: -p.Points})
		p.Points = 0
	}
}

func goalPoints(g Goal) float64 {
	if g.Points <= 0 {
		return 1
	}
	return g.Points
}

// goal looks for the first response that reaches g.
func (e *evaluation) goal(g Goal) GoalResult {
	res := GoalResult{ID: g.ID, Kind: g.kind(), What: g.What()}
	since := g.Since
	if since.IsZero() {
		since = e.firstOf(&g.Target)
	}
	responses := slices.Clone(e.truth.Responses)
	slices.SortStableFunc(responses, func(a, b Response) int { return a.At.Compare(b.At) })
	for i := range responses {
		r := &responses[i]
		if !r.reaches(&g.Target) {
			continue
		}
		after := max(0, r.At.Sub(since))
		if !g.Deadline.IsZero() && r.At.After(g.Deadline) {
			res.Reason = fmt.Sprintf("%s: %s at %s, after the deadline %s", res.What, r.Done(), clockTime(r.At), clockTime(g.Deadline))
			return res
		}
		if !r.Lifted.IsZero() && (g.Deadline.IsZero() || r.Lifted.Before(g.Deadline)) {
			res.Reason = fmt.Sprintf("%s: %s at %s, but let back at %s", res.What, r.Done(), clockTime(r.At), clockTime(r.Lifted))
			continue
		}
		res.Met, res.After = true, millis(after)
		res.Reason = fmt.Sprintf("%s: %s at %s, %s after it began to act", res.What, r.Done(), clockTime(r.At), short(*res.After))
		return res
	}
	if res.Reason == "" {
		res.Reason = fmt.Sprintf("%s: was not %s", res.What, g.Done())
	}
	return res
}

// firstOf is when there was first reason for r, else the start.
func (e *evaluation) firstOf(r *Target) time.Time {
	var first time.Time
	for i := range e.truth.Steps {
		s := &e.truth.Steps[i]
		acts := s.Outcome != NotRun && e.against(r, s)
		if r.kind() == Isolate {
			acts = s.Outcome != NotRun && hostName(s.From) == hostName(r.Host)
		}
		if acts && (first.IsZero() || s.Started.Before(first)) {
			first = s.Started
		}
	}
	if first.IsZero() {
		return e.truth.Started
	}
	return first
}

// wrongResponses are those that are no goal and that no step gave a reason for
// before. Each thing counts once. Another password hurts nobody.
func (e *evaluation) wrongResponses() []Response {
	var wrong []Response
	done := map[string]bool{}
	for i := range e.truth.Responses {
		r := &e.truth.Responses[i]
		goal := slices.ContainsFunc(e.truth.Goals, func(g Goal) bool { return r.reaches(&g.Target) })
		touched := slices.ContainsFunc(e.truth.Steps, func(s Step) bool {
			ran := s.Outcome != NotRun && !s.Started.After(r.At)
			if r.kind() != Isolate {
				return ran && e.against(&r.Target, &s)
			}
			host := hostName(r.Host)
			return ran && (hostName(s.From) == host || s.Outcome == Done && s.reaches(host))
		})
		key := string(r.kind()) + hostName(r.What())
		if r.kind() != Change && !goal && !touched && !done[key] {
			done[key] = true
			wrong = append(wrong, *r)
		}
	}
	slices.SortStableFunc(wrong, func(a, b Response) int { return a.At.Compare(b.At) })
	return wrong
}

// availability is the mean share of checks that found a service up.
func (e *evaluation) availability(weight float64) Part {
	p := Part{Name: "availability", Weight: weight}
	watched := slices.DeleteFunc(slices.Clone(e.truth.Services), func(s Service) bool { return len(s.Checks) == 0 })
	if len(watched) == 0 {
		p.Reasons = []Reason{{Text: "not played: no service is watched"}}
		return p
	}
	p.Played = true
	for _, s := range watched {
		up := 0
		for _, c := range s.Checks {
			if c.Up {
				up++
			}
		}
		share := float64(up) / float64(len(s.Checks)) / float64(len(watched))
		p.Points += share
		text := fmt.Sprintf("%s: up in %d of %d checks", s.ID, up, len(s.Checks))
		if i := slices.IndexFunc(s.Checks, func(c Check) bool { return !c.Up }); i >= 0 {
			text += ", first down at " + clockTime(s.Checks[i].At)
			if s.Checks[i].Why != "" {
				text += " (" + s.Checks[i].Why + ")"
			}
		}
		p.Reasons = append(p.Reasons, Reason{Text: text, Points: share})
	}
	share := round(p.Points, 4)
	e.result.Metrics.Availability = &share
	return p
}

// tasks is the share of the tasks' points that was earned.
func (e *evaluation) tasks(weight float64) Part {
	p := Part{Name: "tasks", Weight: weight}
	total := 0.0
	for _, t := range e.truth.Tasks {
		total += max(0, t.Points)
	}
	for _, t := range e.truth.Tasks {
		earned, text := t.earned(e.rules.HintsAlways)
		share := 0.0
		if total > 0 {
			share = earned / total
		}
		p.Points += share
		p.Reasons = append(p.Reasons, Reason{Text: text, Points: share})
	}
	p.Played = total > 0
	if !p.Played {
		p.Points, p.Reasons = 0, []Reason{{Text: e.absent("not played: no task has points")}}
	}
	p.floor()
	return p
}

// earned is what a task brought, and why. A hint is charged when the task is
// solved (always: also when not); a solved task never brings less than nothing.
func (t *Task) earned(always bool) (points float64, text string) {
	hints := 0.0
	for _, h := range t.Hints {
		hints += max(0, h.Cost)
	}
	if !t.Solved {
		text = t.ID + ": not solved"
		if always && hints > 0 {
			return -hints, fmt.Sprintf("%s; %d hints: -%g", text, len(t.Hints), hints)
		}
		return 0, text
	}
	if t.SolutionShown && t.SolutionPenalized {
		return 0, t.ID + ": solved after the solution was shown: nothing"
	}
	share := t.Share
	if share <= 0 || share > 1 {
		share = 1
	}
	points = max(0, t.Points) * share
	text = fmt.Sprintf("%s: solved, %g of %g", t.ID, round(points, 2), t.Points)
	if hints > 0 {
		points -= hints
		text += fmt.Sprintf("; %d hints: -%g", len(t.Hints), hints)
	}
	if t.Wrong > 0 && t.WrongCost > 0 {
		points -= float64(t.Wrong) * t.WrongCost
		text += fmt.Sprintf("; %d wrong answers: -%g", t.Wrong, float64(t.Wrong)*t.WrongCost)
	}
	return max(0, points), text
}

// absent is why a part of people's was not played.
func (e *evaluation) absent(why string) string {
	if e.truth.Unattended {
		return "not played: nobody takes part in an unattended run (lapwing range serve lets people in)"
	}
	return why
}

// falseAlarms is what they cost, in points of the score.
func (e *evaluation) falseAlarms() Part {
	p := Part{Name: "false_alarms", Played: true, Max: 0}
	f := e.rules.FalseAlarm
	for i := range e.result.Alerts {
		a := &e.result.Alerts[i]
		if a.Verdict != False {
			continue
		}
		cost := min(f.Penalty, f.Max+p.Points)
		p.Points -= cost
		p.Reasons = append(p.Reasons, Reason{
			Text: fmt.Sprintf("false alarm %q: %s", a.RuleName, a.Why), Points: -cost, Evidence: []string{a.ID},
		})
	}
	if len(p.Reasons) == 0 {
		p.Reasons = []Reason{{Text: "no false alarm"}}
	}
	return p
}
