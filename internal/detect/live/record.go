package live

import (
	"slices"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Fields is the table of names over which records for Record are made, and their
// decoders. It stays the same when rules are read again.
func (e *Engine) Fields() *sigma.Fields { return e.fields }

// Mapping is the mapping of log sources that the engine judges by.
func (e *Engine) Mapping() *logsource.Mapping { return e.cfg.Mapping }

// Record judges a record that the caller decoded, over Fields. What the mapping
// adds to it, it has from then on; after that prepare may add more. ref comes back
// in verdicts of correlations of which the record is the last event; it is not 0.
// Where the engine is Immediate, waits tells whether that may be later: the caller
// then remembers the event. The slice is the caller's until the next call.
func (e *Engine) Record(rec *sigma.Record, head *logsource.Head, ref uint64, prepare func()) (vs []Verdict, waits bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.loaded
	j.route.Route(rec, head)
	prepare()
	out := e.matched(e.said[:0], rec)
	if e.cfg.Immediate {
		j.buf = j.match.PointsNow(j.buf[:0])
	} else {
		j.buf = j.match.Points(j.buf[:0])
	}
	if len(j.buf) > 0 {
		for i := range j.buf {
			j.buf[i].Ref = ref
		}
		waits = j.corr.Waits(j.buf)
		out = e.correlated(out, j.corr.Add(j.buf))
	}
	e.said = out
	return out, waits
}

// Time is when a record says that it happened, in nanoseconds since 1970.
func (e *Engine) Time(rec *sigma.Record) (int64, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loaded.route.Time(rec)
}

// Route gives a record what the mapping adds to it, without judging it.
func (e *Engine) Route(rec *sigma.Record, head *logsource.Head) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loaded.route.Route(rec, head)
}

// Explained is what the rules had to do with a record.
type Explained struct {
	Hits     []*sigma.Rule // matched, also those that only feed correlations
	Missed   []Missed
	Standing []sigma.Standing
	Source   *sigma.Source
}

// Missed is a rule that would have matched if one answer had been another.
type Missed struct {
	Rule *sigma.Rule
	By   sigma.Explanation
}

// Explain tells of the record that Record was given last.
func (e *Engine) Explain(rec *sigma.Record) Explained {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.loaded
	out := Explained{Hits: slices.Clone(j.match.Hits()), Source: rec.Source}
	if len(j.buf) > 0 {
		out.Standing = j.corr.Standing(j.buf)
	}
	for _, r := range j.rules.Engine.Rules() {
		if r.Correlation != nil || !j.rules.Want.Takes(r) || rec.Source == nil || !rec.Source.Accepts(r.Logsource) || slices.Contains(out.Hits, r) {
			continue
		}
		x := j.rules.Engine.Explain(r, rec)
		if n, by := x.Missed(); n == 1 && by != nil && held(&x) > 1 {
			out.Missed = append(out.Missed, Missed{r, *by})
		}
	}
	return out
}

// held is how many questions of an explanation were answered with yes.
func held(x *sigma.Explanation) int {
	if len(x.Parts) == 0 {
		if x.Holds {
			return 1
		}
		return 0
	}
	n := 0
	for i := range x.Parts {
		n += held(&x.Parts[i])
	}
	return n
}
