package casebook

import (
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// The limits of what a casebook holds of visitors' text.
const (
	maxText    = 1024     // bytes of a name or a path
	maxRule    = 256      // bytes of the name of a rule
	maxLine    = 16 << 10 // bytes of a line of evidence
	cutText    = 2 << 10  // bytes of a field in a line that was too long
	halfEvents = alert.MaxEvents / 2
)

// Batch is what is written together. The zero Batch is empty. It is for one
// goroutine.
type Batch struct {
	Position string // of the journal, up to which everything is in
	Events   int    // taken by Index

	alerts   map[string]*change
	order    []*change
	sessions map[string]*Session
	captures map[captureKey]*Capture
	findings map[findingKey]Finding
	states   []State
	moves    []Move
}

// Move renames a campaign.
type Move struct {
	From, To string
	Source   netip.Addr // who alone is in From; not valid: look for others
	// Alerts are all that are in From, with the times of their first events; nil:
	// look for them.
	Alerts map[string]time.Time
}

type change struct {
	alert    alert.Alert
	fresh    int64      // events since the Batch began
	evidence []evidence // of them, at most the first and the last half
}

type evidence struct {
	seq  int64
	id   string
	line string       // where it was given
	full *event.Event // else the event
}

// text is the line that is kept of it.
func (v *evidence) text() string {
	if v.full == nil {
		return v.line
	}
	return string(line(v.full))
}

type captureKey struct{ sum, source, path string }

type findingKey struct{ sum, rule string }

// Empty tells whether there is nothing to write but the position.
func (b *Batch) Empty() bool {
	return len(b.order)+len(b.sessions)+len(b.captures)+len(b.findings)+len(b.states)+len(b.moves) == 0
}

// Alert takes an alert as e raised or grew it: a.Count includes e. b keeps e.
func (b *Batch) Alert(a alert.Alert, e *event.Event) {
	b.add(a, evidence{id: e.ID, full: e})
}

// AlertLine is Alert for an event that was read from a line as AppendJSON
// writes it. b keeps the line, and a copy of e only where the line is too long.
func (b *Batch) AlertLine(a alert.Alert, e *event.Event, line string) {
	if len(line) > maxLine {
		b.Alert(a, e.Clone())
		return
	}
	b.add(a, evidence{id: e.ID, line: line})
}

func (b *Batch) add(a alert.Alert, v evidence) {
	c := b.alerts[a.ID]
	if c == nil {
		if b.alerts == nil {
			b.alerts = map[string]*change{}
		}
		c = &change{}
		b.alerts[a.ID] = c
		b.order = append(b.order, c)
	}
	c.alert = a
	c.fresh++
	v.seq = a.Count
	if n := len(c.evidence); n > halfEvents && c.evidence[n-halfEvents].seq > halfEvents {
		copy(c.evidence[n-halfEvents:], c.evidence[n-halfEvents+1:])
		c.evidence[n-1] = v
		return
	}
	c.evidence = append(c.evidence, v)
}

// line is e as evidence: a long one loses the ends of its long fields.
func line(e *event.Event) []byte {
	l := e.AppendJSON(nil)
	if len(l) <= maxLine {
		return l
	}
	c := *e
	for _, s := range []*string{&c.CommandLine, &c.URL, &c.Path, &c.User, &c.Reason, &c.Protocol} {
		*s = cut(*s, cutText)
	}
	c.Extra = nil
	for _, f := range e.Extra {
		if len(c.Extra) < 32 && len(f.Value.Text()) <= 128 && len(f.Name) <= 128 {
			c.Extra = append(c.Extra, f)
		}
	}
	c.Add("lapwing.evidence", "shortened")
	if l = c.AppendJSON(nil); len(l) > 2*maxLine {
		c = event.Event{ID: e.ID, Time: e.Time, Source: e.Source, Session: cut(e.Session, maxText)}
		c.Add("lapwing.evidence", "shortened")
		l = c.AppendJSON(nil)
	}
	return l
}

// cut shortens s to at most n bytes, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// Alerts gives the alerts that were taken, as they are now.
func (b *Batch) Alerts() []alert.Alert {
	out := make([]alert.Alert, 0, len(b.order))
	for _, c := range b.order {
		out = append(out, c.alert)
	}
	return out
}

// State takes what the judge remembers.
func (b *Batch) State(s ...State) { b.states = append(b.states, s...) }

// Move takes campaigns that turned out to be others.
func (b *Batch) Move(m ...Move) { b.moves = append(b.moves, m...) }

// Told are the alerts of b as they are now, and how many events each had
// before b, in the order in which they changed first.
func (b *Batch) Told(fn func(a *alert.Alert, before int64)) {
	for _, c := range b.order {
		fn(&c.alert, c.alert.Count-c.fresh)
	}
}

// Index takes what e says about a session or a captured file.
func (b *Batch) Index(e *event.Event) {
	b.Events++
	if e.Session != "" && len(e.Session) <= 64 && e.Source.Addr().IsValid() {
		b.session(e)
	}
	if len(e.SHA256) != 64 {
		return
	}
	switch e.Action {
	case event.ActionFileCaptured:
		b.capture(e)
	case event.ActionMalwareFound, event.ActionScanIncomplete:
		b.finding(e)
	}
}

// finding takes what a scan found in a captured file. It is about the content
// alone: whoever else leaves the same has the same in it.
func (b *Batch) finding(e *event.Event) {
	text := func(name string, limit int) string {
		v, _ := e.Get(name)
		return cut(v.Text(), limit)
	}
	f := Finding{Rule: text("rule.name", maxRule), Level: text("rule.level", 64), Category: text("rule.category", 64), Description: text("rule.description", maxText)}
	if e.Action == event.ActionScanIncomplete {
		f = Finding{Description: cut(e.Reason, maxText)}
	}
	if b.findings == nil {
		b.findings = map[findingKey]Finding{}
	}
	b.findings[findingKey{e.SHA256, f.Rule}] = f
}

func (b *Batch) session(e *event.Event) {
	s := b.sessions[e.Session]
	if s == nil {
		if b.sessions == nil {
			b.sessions = map[string]*Session{}
		}
		s = &Session{
			ID: e.Session, Source: e.Source.Addr().Unmap(), Host: cut(e.Host, maxText), Decoy: cut(e.Decoy, maxText),
			User: cut(e.User, maxText), Start: e.Time,
		}
		b.sessions[e.Session] = s
	}
	if s.User == "" {
		s.User = cut(e.User, maxText)
	}
	if e.Time.Before(s.Start) {
		s.Start = e.Time
	}
	if s.Last.Before(e.Time) {
		s.Last = e.Time
	}
	s.Depth = max(s.Depth, int(e.Depth))
	switch e.Action {
	case event.ActionSessionStarted:
		v, _ := e.Get("lapwing.session.kind")
		s.Kind = cut(v.Text(), 64)
	case event.ActionSessionEnded:
		s.End = e.Time
	case event.ActionCommandExecuted, event.ActionQueryExecuted:
		s.Commands++
	case event.ActionFileCaptured:
		s.Files++
	}
}

func (b *Batch) capture(e *event.Event) {
	k := captureKey{e.SHA256, SourceOf(e.Source.Addr()).String(), cut(e.Path, maxText)}
	c := b.captures[k]
	if c == nil {
		if b.captures == nil {
			b.captures = map[captureKey]*Capture{}
		}
		c = &Capture{SHA256: e.SHA256, Size: e.Size, Source: e.Source.Addr().Unmap(), Path: k.path, Host: cut(e.Host, maxText), First: e.Time}
		b.captures[k] = c
	}
	c.Count++
	c.Session = e.Session
	if c.Last.Before(e.Time) {
		c.Last = e.Time
	}
}
