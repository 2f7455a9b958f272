package score

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// step says what was seen of step i.
func (e *evaluation) step(i int) StepResult {
	s, g := &e.truth.Steps[i], &e.steps[i]
	slices.SortStableFunc(g.joins, func(a, b Join) int { return a.Seen.Compare(b.Seen) })
	res := StepResult{
		ID: s.ID, Name: s.Name, Technique: s.Technique, TechniqueName: s.TechniqueName, Tactic: s.Tactic,
		Action: s.Action, From: s.From, To: s.To, Outcome: s.Outcome, Silent: s.Silent && !s.Expect.asks(), Note: s.Note,
		Started: s.Started, Ended: end(s.Started, s.Ended), Flows: len(s.Flows),
		Expected: s.Expect.Level, Within: Millis(limit(s.Expect, e.rules).Milliseconds()),
		Joins: g.joins, Events: g.n,
	}
	for _, r := range g.events {
		res.EventIDs = append(res.EventIDs, r.ID)
	}
	if len(g.events) > 0 {
		res.FirstEvent = millis(max(0, g.events[0].seen().Sub(s.Started)))
	}
	res.TimeToBlock = e.blocked(s)
	if s.Outcome == NotRun {
		e.notRun(&res, s)
		return res
	}
	e.categorise(&res)
	e.expect(&res, s)
	if r := e.inTheWay(s); r != nil && res.Status != Met && r.stops(s) {
		res.prevented(r)
	}
	return res
}

// stops says whether s, which r stood against, came to nothing. An account that
// was changed before lets nobody in, whatever else the step did.
func (r *Response) stops(s *Step) bool {
	account := r.kind() == Disable || r.kind() == Change
	return s.Outcome == Failed || len(s.Flows)+len(s.Traces) == 0 || account && !r.At.After(s.Started)
}

// inTheWay is the response that stood against s when it began, or came while it
// was under way.
func (e *evaluation) inTheWay(s *Step) *Response {
	for i := range e.truth.Responses {
		r := &e.truth.Responses[i]
		began := !s.Started.IsZero()
		lifted := began && !r.Lifted.IsZero() && !r.Lifted.After(s.Started)
		if e.against(&r.Target, s) && !lifted && (!began || !r.At.After(end(s.Started, s.Ended))) {
			return r
		}
	}
	return nil
}

// blocked is how long after its beginning something was done that stands against
// s; nil: nothing was.
func (e *evaluation) blocked(s *Step) (first *Millis) {
	for i := range e.truth.Responses {
		r := &e.truth.Responses[i]
		if s.Started.IsZero() || !e.against(&r.Target, s) || !r.Lifted.IsZero() && !r.Lifted.After(s.Started) {
			continue
		}
		if after := max(0, r.At.Sub(s.Started)); first == nil || Millis(after.Milliseconds()) < *first {
			first = millis(after)
		}
	}
	return first
}

// prevented is a step that could not act, or not to its end, because of what the
// defence had done: a success of the defence.
func (res *StepResult) prevented(r *Response) {
	res.Status, res.Share = Prevented, 1
	why := Reason{Text: fmt.Sprintf("prevented: %s was %s at %s", r.What(), r.Done(), clockTime(r.At))}
	res.Reasons = slices.Insert(res.Reasons, 0, why)
}

// notRun is a step that did not act.
func (e *evaluation) notRun(res *StepResult, s *Step) {
	res.Status = NotAsked
	if r := e.inTheWay(s); r != nil {
		res.prevented(r)
		return
	}
	if i := slices.IndexFunc(e.result.Steps, func(p StepResult) bool { return p.ID == s.Cause }); i >= 0 && e.result.Steps[i].Status == Prevented {
		res.Status, res.Share = Prevented, 1
		res.Reasons = append(res.Reasons, Reason{Text: "prevented with the step " + s.Cause})
		return
	}
	text := "did not run"
	if s.Note != "" {
		text += ": " + s.Note
	}
	for _, d := range s.Expect.Detections {
		res.Detections = append(res.Detections, DetectionResult{ID: d.ID, Rules: d.Rules})
	}
	if s.Expect.Asked() {
		res.Status = Untried
		text += "; whether it would have been detected is not known"
	}
	res.Reasons = append(res.Reasons, Reason{Text: text})
}

// categorise finds the category and the share that the best alert in time earns.
func (e *evaluation) categorise(res *StepResult) {
	if res.Events > 0 {
		res.Category = Telemetry
		res.Share = e.rules.Percent[Telemetry] / 100
	}
	var best *Join
	for k := range res.Joins {
		j := &res.Joins[k]
		if j.Late {
			continue
		}
		if res.TimeToDetect == nil && j.Category >= General {
			after := j.After
			res.TimeToDetect = &after
		}
		res.Category = max(res.Category, j.Category)
		share := e.share(j)
		if best == nil || share > e.share(best) || share == e.share(best) && j.Category > best.Category {
			best = j
		}
	}
	if best != nil {
		res.Share = max(res.Share, e.share(best))
	}
	res.Reasons = append(res.Reasons, e.reason(res, best))
	for _, j := range res.Joins {
		if j.Late {
			res.Reasons = append(res.Reasons, Reason{
				Text:     fmt.Sprintf("too late: %q after %s; the limit is %s after the step began", j.RuleName, short(j.After), short(res.Within)),
				Evidence: append([]string{j.Alert}, j.Events...),
			})
		}
	}
}

func (e *evaluation) share(j *Join) float64 {
	return e.rules.Percent[j.Category] / 100 * e.rules.factor(j.After.Duration())
}

// reason is the line that says why a step got its category and its share.
func (e *evaluation) reason(res *StepResult, best *Join) Reason {
	switch {
	case best != nil:
		says := map[Category]string{
			Technique: "names the technique " + res.Technique, Tactic: "names the tactic " + res.Tactic,
			General: "names neither technique nor tactic of the step", Telemetry: "is below the level of an alert, but expected",
		}[best.Category]
		text := fmt.Sprintf("%s: %q %s; joined by %s, after %s", best.Category, best.RuleName, says, best.Key, short(best.After))
		if f := e.rules.factor(best.After.Duration()); f < 1 {
			text += fmt.Sprintf(", which leaves %.0f %%", 100*f)
		}
		if best.Category < res.Category {
			text += fmt.Sprintf("; an alert of category %s came later and is worth less", res.Category)
		}
		return Reason{Text: text, Evidence: append([]string{best.Alert}, best.Events...)}
	case res.Category == Telemetry:
		text := fmt.Sprintf("telemetry: recorded (%d), but no alert in time", res.Events)
		return Reason{Text: text, Evidence: res.EventIDs}
	}
	if res.Silent {
		return Reason{Text: "it waited: there was nothing to be seen"}
	}
	return Reason{Text: fmt.Sprintf("none: no alert and no record has its flows (%d), hosts and users, or tokens", res.Flows)}
}

// expect compares with what the scenario asks.
func (e *evaluation) expect(res *StepResult, s *Step) {
	res.Status = NotAsked
	if !s.Expect.asks() {
		return
	}
	fired := 0
	for _, d := range s.Expect.Detections {
		got := DetectionResult{ID: d.ID, Rules: d.Rules}
		for _, j := range res.Joins {
			if !d.is(j.RuleID, j.RuleName) {
				continue
			}
			got.Alert, got.Met, got.Late = j.Alert, !j.Late, j.Late
			break
		}
		if got.Met {
			fired++
		}
		res.Detections = append(res.Detections, got)
	}
	var lacks []string
	if res.Category < s.Expect.Level {
		lacks = append(lacks, fmt.Sprintf("expected %s, reached %s", s.Expect.Level, res.Category))
	}
	all := fired == len(res.Detections)
	if s.Expect.Any {
		all = fired > 0 || len(res.Detections) == 0
	}
	if !all {
		var names []string
		for _, d := range res.Detections {
			if !d.Met {
				names = append(names, d.ID)
			}
		}
		lacks = append(lacks, "did not fire in time: "+strings.Join(names, ", "))
	}
	switch {
	case len(lacks) == 0 && s.Expect.Optional:
	case len(lacks) == 0:
		res.Status = Met
	case s.Expect.Optional:
		res.Reasons = append(res.Reasons, Reason{Text: "missed, but optional: " + strings.Join(lacks, "; ")})
	default:
		res.Status = Missed
		res.Reasons = append(res.Reasons, Reason{Text: "missed: " + strings.Join(lacks, "; ")})
	}
}

// names says whether e asks for rule.
func (e Expect) names(rule *alert.Rule) bool {
	return slices.ContainsFunc(e.Detections, func(d Detection) bool { return d.is(rule.ID, rule.Name) })
}

// is compares with a rule's id and name; a rule may be written with the engine
// before it: sigma:ssh_bruteforce.
func (d Detection) is(id, name string) bool {
	for _, r := range d.Rules {
		for _, engine := range []string{"", "sigma:", "builtin:"} {
			bare := strings.TrimPrefix(r, engine)
			if bare != "" && (strings.EqualFold(bare, id) || strings.EqualFold(bare, name)) {
				return true
			}
		}
	}
	return false
}

// short is a span for people: 900ms, 12.3s, 4m10s.
func short(m Millis) string {
	d := m.Duration()
	switch {
	case d < time.Second:
		return d.String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func clockTime(t time.Time) string { return t.UTC().Format("15:04:05") }
