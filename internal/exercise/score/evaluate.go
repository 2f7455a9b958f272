package score

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// maxListed bounds the ids that a result carries for one step and one rule; the
// counts are of all.
const maxListed = 20

// Evaluate joins seen to truth and values it by rules, which Rules.Check finds
// no fault with. Alerts and events may come in any order.
func Evaluate(truth Truth, seen Seen, rules Rules) Result {
	e := &evaluation{
		judge: &judge{index: newIndex(&truth, rules), rules: rules, truth: &truth},
		steps: make([]gathered, len(truth.Steps)),
	}
	e.alerts(seen.Alerts)
	e.events(seen.Events)
	for i := range truth.Steps {
		e.result.Steps = append(e.result.Steps, e.step(i))
	}
	e.measure()
	e.value()
	e.cover()
	return e.result
}

// evaluation is one call of Evaluate.
type evaluation struct {
	*judge
	steps  []gathered
	result Result
}

// gathered is what was joined to one step.
type gathered struct {
	joins  []Join
	events []Ref
	n      int
}

// sorted is a copy in an order that does not depend on arrival; ids, which may
// be drawn at random, come last.
func sortedAlerts(in []Alert) []Alert {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b Alert) int {
		return cmp.Or(
			a.from().Compare(b.from()), a.Raised.Compare(b.Raised), a.Last.Compare(b.Last),
			cmp.Compare(a.Rule.ID, b.Rule.ID), cmp.Compare(a.Rule.Name, b.Rule.Name),
			a.Source.Compare(b.Source), a.Destination.Compare(b.Destination),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.User, b.User), cmp.Compare(a.Token, b.Token),
			cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID),
		)
	})
	return out
}

func sortedRefs(in []Ref) []Ref {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b Ref) int {
		return cmp.Or(
			a.At.Compare(b.At), a.Judged.Compare(b.Judged),
			a.Flow.Src.Compare(b.Flow.Src), a.Flow.Dst.Compare(b.Flow.Dst), cmp.Compare(a.Flow.Proto, b.Flow.Proto),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.User, b.User), cmp.Compare(a.Token, b.Token), cmp.Compare(a.ID, b.ID),
		)
	})
	return out
}

// from is the first time that a says anything of.
func (a *Alert) from() time.Time {
	for _, t := range []time.Time{a.First, a.Last} {
		if !t.IsZero() {
			return t
		}
	}
	return a.Raised
}

// raised is when a was shown.
func (a *Alert) raised() time.Time {
	for _, t := range []time.Time{a.Raised, a.Last} {
		if !t.IsZero() {
			return t
		}
	}
	return a.First
}

// pieces are what of a can be joined.
func (a *Alert) pieces() []evidence {
	if len(a.Events) == 0 {
		e := evidence{
			when: span{a.from(), end(a.from(), a.Last)}, seen: a.raised(), last: end(a.raised(), a.Last), whole: true,
			vague: a.First.IsZero() && a.Last.IsZero(),
			tuple: Tuple{Proto: a.Proto, Src: a.Source, Dst: a.Destination},
			host:  a.Host, user: a.User, token: a.Token,
		}
		return []evidence{e}
	}
	out := make([]evidence, 0, len(a.Events))
	for _, r := range sortedRefs(a.Events) {
		e := r.piece()
		if e.seen.Before(a.Raised) {
			e.seen = a.Raised // nobody could see it sooner
		}
		out = append(out, e)
	}
	return out
}

func (r *Ref) piece() evidence {
	e := evidence{id: r.ID, when: span{r.At, r.At}, seen: r.seen(), tuple: r.Flow, host: r.Host, user: r.User, token: r.Token}
	if r.At.IsZero() {
		e.when, e.vague = span{r.Judged, r.Judged}, true
	}
	return e
}

// alerts joins all alerts.
func (e *evaluation) alerts(all []Alert) {
	for _, a := range sortedAlerts(all) {
		e.alert(&a)
	}
}

// alert joins one alert and says what it turned out to be.
func (e *evaluation) alert(a *Alert) {
	res := AlertResult{
		ID: a.ID, RuleID: a.Rule.ID, RuleName: a.Rule.Name, Severity: a.Rule.Level.String(), Title: a.Title, By: a.By,
		First: a.from(), Host: a.Host, User: a.User, Count: max(a.Count, int64(len(a.Events)), 1),
	}
	if a.Source.Addr().IsValid() {
		res.Source = a.Source.Addr().String()
	}
	telemetry := a.By == "" && a.Rule.Level < e.rules.Floor
	joins := map[int]*Join{}
	acts := map[int]link{}
	for _, piece := range a.pieces() {
		got := e.pick(&piece, &a.Rule)
		if len(got) == 0 {
			res.Unjoined++
		}
		for _, m := range got {
			p := &e.parties[m.party]
			if p.step < 0 {
				acts[p.activity] |= m.links
				continue
			}
			e.join(joins, a, &piece, m)
		}
	}
	e.verdict(&res, joins, acts, telemetry)
	for _, i := range sortedKeys(joins) {
		j := joins[i]
		if telemetry {
			e.steps[i].n += j.Count
			if !e.truth.Steps[i].Expect.names(&a.Rule) {
				continue
			}
			j.Category = Telemetry // the scenario asks for this very rule
		}
		e.steps[i].joins = append(e.steps[i].joins, *j)
	}
	e.result.Alerts = append(e.result.Alerts, res)
}

// join notes that a piece of a belongs to a step. The earliest sight counts.
func (e *evaluation) join(joins map[int]*Join, a *Alert, piece *evidence, m match) {
	p := &e.parties[m.party]
	step := &e.truth.Steps[p.step]
	seen := piece.seen
	if piece.whole && seen.Before(step.Started) {
		seen = end(step.Started, piece.last) // it stood already, and grew
	}
	j := joins[p.step]
	if j == nil {
		j = &Join{
			Alert: a.ID, RuleID: a.Rule.ID, RuleName: a.Rule.Name, Level: a.Rule.Level, Severity: a.Rule.Level.String(), By: a.By,
			Category: affine(a.Rule.Techniques, a.Rule.Tactics, step.Technique, step.Tactic),
			Seen:     seen, Key: m.links.String(),
		}
		joins[p.step] = j
	}
	if seen.Before(j.Seen) {
		j.Seen, j.Key = seen, m.links.String()
	}
	j.Count++
	if piece.id != "" && len(j.Events) < maxListed {
		j.Events = append(j.Events, piece.id)
	}
	j.After = Millis(max(0, j.Seen.Sub(step.Started).Milliseconds()))
	j.Late = j.Seen.After(p.until)
}

// verdict says what an alert was and why.
func (e *evaluation) verdict(res *AlertResult, joins map[int]*Join, acts map[int]link, telemetry bool) {
	var why []string
	for _, i := range sortedKeys(joins) {
		id := e.truth.Steps[i].ID
		res.Steps = append(res.Steps, id)
		text := fmt.Sprintf("step %s by %s", id, joins[i].Key)
		if joins[i].Late {
			text += ", too late"
		}
		why = append(why, text)
	}
	neutral, own := len(acts) > 0, false
	for _, i := range sortedKeys(acts) {
		act := &e.truth.Activities[i]
		res.Activities = append(res.Activities, act.ID)
		neutral = neutral && act.Neutral
		own = own || len(act.Addrs) > 0
		kind := "background"
		if act.Neutral {
			kind = "trainee's activity"
		}
		why = append(why, fmt.Sprintf("%s %s by %s", kind, act.ID, acts[i]))
	}
	if len(why) == 0 {
		why = append(why, "nothing that the exercise did has this flow, this host and user, this source or this token at that time")
	}
	res.Why = strings.Join(why, "; ")
	switch {
	case telemetry:
		res.Verdict = Informational
	case len(joins) > 0:
		res.Verdict = True
	case own, neutral && res.Unjoined == 0: // what a person does with his own hands is no alert too many
		res.Verdict = Neutral
	default:
		res.Verdict = False
		e.result.FalseAlarms++
	}
}

// events joins what was only recorded.
func (e *evaluation) events(all []Ref) {
	for _, r := range sortedRefs(all) {
		piece := r.piece()
		for _, m := range e.pick(&piece, nil) {
			p := &e.parties[m.party]
			if p.step < 0 || piece.seen.After(p.until) {
				continue
			}
			g := &e.steps[p.step]
			g.n++
			if len(g.events) < maxListed {
				g.events = append(g.events, r)
			}
		}
	}
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// round keeps figures free of what floating-point sums differ by.
func round(v float64, digits int) float64 {
	f := math.Pow10(digits)
	return math.Round(v*f) / f
}
