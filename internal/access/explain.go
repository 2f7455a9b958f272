package access

import (
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// Policy says what would be done about a verdict, in words for a person, and why.
type Policy interface {
	Would(verdict event.Event) string
}

// Explanation is what became of a line, and why.
type Explanation struct {
	Line    string   `json:"line"`
	Read    bool     `json:"read"` // as a record
	Format  string   `json:"format,omitempty"`
	Kind    string   `json:"kind,omitempty"` // of record, as the mapping of log sources names it
	Sources []string `json:"logsources,omitempty"`
	Time    string   `json:"@timestamp,omitempty"`

	Fields    []Field      `json:"fields,omitempty"`
	Matched   []Answer     `json:"matched,omitempty"`
	Missed    []Answer     `json:"missed,omitempty"`
	Standing  []Standing   `json:"correlations,omitempty"`
	Verdicts  []VerdictSay `json:"verdicts,omitempty"`
	Kept      bool         `json:"kept"`
	KeptWhy   string       `json:"kept.why"`
	Spoofable bool         `json:"lapwing.spoofable,omitempty"`
}

// Field is a field of the record. Said is false for what the decoder or the
// mapping made of others.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Said  bool   `json:"said"`
}

// Answer is a rule about single lines, and why it does not fire.
type Answer struct {
	ID    string `json:"rule.id"`
	Name  string `json:"rule.name"`
	Level string `json:"rule.level"`
	Why   string `json:"why,omitempty"`
}

// Standing is a correlation that counts the line.
type Standing struct {
	ID    string            `json:"rule.id"`
	Name  string            `json:"rule.name"`
	Level string            `json:"rule.level"`
	Group map[string]string `json:"group,omitempty"`
	Have  int               `json:"have"`
	Need  int               `json:"need"`
	Span  string            `json:"timespan"`
	Fired bool              `json:"fired"`
	Waits bool              `json:"waits,omitempty"` // it is judged a little later, in order of time
}

// VerdictSay is a verdict, and what policy would do about it.
type VerdictSay struct {
	Event    event.Event `json:"event"`
	Decision string      `json:"decision"`
}

// NoPolicy is the decision where nobody decides.
const NoPolicy = "no policy is asked: the verdict is told, nothing is done"

// Explain takes one line as Take does, emits nothing, and tells what became of it.
// What rules count, they count.
func (r *Reader) Explain(name string, l line.Line, policy Policy) Explanation {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Explanation{Line: original(l.Text)}
	r.out, r.why = r.out[:0], ""
	judged := r.judged
	r.line(r.source(name), &l)
	if r.judged == judged {
		out.KeptWhy = "it could not be read as a record"
		return out
	}
	r.describe(&out)
	for _, e := range r.out {
		if e.Action != ActionMatched {
			continue
		}
		v := VerdictSay{Event: e, Decision: NoPolicy}
		if policy != nil {
			v.Decision = policy.Would(e)
		}
		out.Verdicts = append(out.Verdicts, v)
	}
	out.Kept = slices.ContainsFunc(r.out, func(e event.Event) bool { return e.Action != ActionMatched })
	out.KeptWhy = r.why
	return out
}

func (r *Reader) describe(out *Explanation) {
	rec := r.rec
	out.Read, out.Format, out.Spoofable = true, r.head.Format, r.spoofable(rec)
	out.Time = stamp(time.Unix(0, rec.Time))
	if rec.Source != nil {
		out.Kind = rec.Source.Name
		for _, l := range rec.Source.Logsources {
			out.Sources = append(out.Sources, l.String())
		}
	}
	said := map[string]bool{}
	for name := range rec.Shown() {
		said[name] = true
	}
	for name, v := range rec.All() {
		out.Fields = append(out.Fields, Field{name, original(v.Text), said[name]})
	}
	x := r.engine.Explain(rec)
	for _, rule := range x.Hits {
		a := answer(rule)
		if rule.Level <= sigma.Informational {
			a.Why = "it is no verdict by itself"
		}
		out.Matched = append(out.Matched, a)
	}
	for _, m := range x.Missed {
		a := answer(m.Rule)
		a.Why = m.By.Text
		if len(m.By.Values) > 0 {
			a.Why += ", and it is " + strings.Join(m.By.Values, ", ")
		}
		out.Missed = append(out.Missed, a)
	}
	for _, st := range x.Standing {
		a := answer(st.Rule)
		out.Standing = append(out.Standing, Standing{a.ID, a.Name, a.Level, st.Group, st.Have, st.Need, st.Span.String(), st.Fired, st.Waits})
	}
}

func answer(rule *sigma.Rule) Answer {
	return Answer{ID: rule.ID, Name: rule.Title, Level: rule.Level.String()}
}
