package score

import (
	"cmp"
	"slices"
)

// measure fills in the figures of the run.
func (e *evaluation) measure() {
	r, m := &e.result, &e.result.Metrics
	var reached [Categories]int // at least that category
	var times []Millis
	alerts, events := 0, 0
	for i := range r.Steps {
		s := &r.Steps[i]
		r.count(s, e.truth.Steps[i].Expect)
		if s.Outcome == NotRun || s.Silent {
			continue
		}
		m.Steps++
		for c := range reached {
			if Category(c) <= s.Category {
				reached[c]++
			}
		}
		alerts += len(s.Joins)
		events += s.Events
		if s.TimeToDetect == nil {
			m.Undetected++
			continue
		}
		times = append(times, *s.TimeToDetect)
	}
	if m.Steps > 0 {
		share := func(n int) float64 { return round(float64(n)/float64(m.Steps), 4) }
		m.Visibility, m.AnalyticCoverage = share(reached[Telemetry]), share(reached[General])
		m.TacticCoverage, m.TechniqueCoverage = share(reached[Tactic]), share(reached[Technique])
		m.AlertsPerStep, m.EventsPerStep = share(alerts), share(events)
	}
	slices.Sort(times)
	m.TimeToDetectMedian = quantile(times, m.Steps, 50)
	m.TimeToDetectP90 = quantile(times, m.Steps, 90)
	e.precision()
}

// count keeps the expectations.
func (r *Result) count(s *StepResult, want Expect) {
	if s.Status == Prevented {
		r.Prevented++
	}
	if !want.Asked() {
		return
	}
	r.Expected++
	switch s.Status {
	case Missed:
		r.Missed++
	case Untried:
		r.NotRun++
	default:
		r.Met++
	}
}

// precision fills in what is known of alerts as a whole.
func (e *evaluation) precision() {
	r, m := &e.result, &e.result.Metrics
	for i := range r.Alerts {
		switch r.Alerts[i].Verdict {
		case True:
			m.TrueAlerts++
		case Neutral:
			m.NeutralAlerts++
		}
	}
	if n := m.TrueAlerts + r.FalseAlarms; n > 0 {
		p := round(float64(m.TrueAlerts)/float64(n), 4)
		m.Precision = &p
	}
	for i := range e.truth.Activities {
		if a := &e.truth.Activities[i]; !a.Neutral {
			m.BenignActs += len(a.Flows) + len(a.Traces)
		}
	}
	if took := e.truth.Ended.Sub(e.truth.Started); took > 0 {
		perHour := round(float64(r.FalseAlarms)/took.Hours(), 2)
		m.Hours, m.FalseAlarmsPerHour = round(took.Hours(), 4), &perHour
	}
}

// quantile is the nearest-rank percentile of n values, of which the sorted times
// are the lowest and the others are not known but longer.
func quantile(times []Millis, n, percent int) *Millis {
	if n == 0 {
		return nil
	}
	rank := (n*percent + 99) / 100
	if rank > len(times) {
		return nil
	}
	v := times[rank-1]
	return &v
}

// cover fills in the coverage by tactic and technique, and what each rule did.
func (e *evaluation) cover() {
	r := &e.result
	tactics, techniques := map[string]*Coverage{}, map[string]*Coverage{}
	rules := map[string]*RuleUse{}
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Outcome == NotRun || s.Silent {
			continue
		}
		tactic := TacticName(s.Tactic)
		e.add(tactics, tactic, "", s)
		id := TechniqueID(s.Technique)
		e.add(techniques, id, s.TechniqueName, s)
		if c := techniques[id]; tactic != "" && !slices.Contains(c.Tactics, tactic) {
			c.Tactics = append(c.Tactics, tactic)
		}
		for _, d := range s.Detections {
			if d.Met {
				continue
			}
			for _, want := range d.Rules {
				u := ruleUse(rules, want, "")
				u.Wanted = append(u.Wanted, s.ID)
			}
		}
	}
	for i := range r.Alerts {
		a := &r.Alerts[i]
		u := ruleUse(rules, a.RuleID, a.RuleName)
		switch a.Verdict {
		case True:
			u.True++
		case False:
			u.False++
		}
		for _, s := range a.Steps {
			if !slices.Contains(u.Steps, s) {
				u.Steps = append(u.Steps, s)
			}
		}
	}
	r.Tactics, r.Techniques = finish(tactics), finish(techniques)
	for _, u := range rules {
		slices.Sort(u.Steps)
		r.Rules = append(r.Rules, *u)
	}
	slices.SortFunc(r.Rules, func(a, b RuleUse) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
}

func ruleUse(rules map[string]*RuleUse, id, name string) *RuleUse {
	u := rules[id+"\x00"+name]
	if u == nil {
		u = &RuleUse{ID: id, Name: name}
		rules[id+"\x00"+name] = u
	}
	return u
}

func (e *evaluation) add(to map[string]*Coverage, id, name string, s *StepResult) {
	c := to[id]
	if c == nil {
		c = &Coverage{ID: id, Worst: Technique}
		to[id] = c
	}
	c.Name = cmp.Or(c.Name, name)
	c.Steps = append(c.Steps, s.ID)
	c.Best, c.Worst = max(c.Best, s.Category), min(c.Worst, s.Category)
	c.Reached[s.Category]++
	c.Percent += e.rules.Percent[s.Category]
	for _, id := range s.Alerts() {
		if len(c.Alerts) < maxListed && !slices.Contains(c.Alerts, id) {
			c.Alerts = append(c.Alerts, id)
		}
	}
	if s.Status != NotAsked {
		c.Expected++
		if s.Status != Missed {
			c.Met++
		}
	}
}

func finish(all map[string]*Coverage) []Coverage {
	out := make([]Coverage, 0, len(all))
	for _, c := range all {
		c.Percent = round(c.Percent/float64(len(c.Steps)), 1)
		slices.Sort(c.Tactics)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Coverage) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
