//go:build unix

package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/detect"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// rulings is what Sigma rules say to the judge. What was said of the events of
// a batch is remembered until the batch is written: judged again after a
// failure, they must not count twice in a correlation.
type rulings struct {
	engine *live.Engine
	file   string // of the correlations' state; empty: it is not kept
	// suppress tells that the operator keeps rules quiet on some events.
	suppress bool
	due      []live.Verdict // of correlations that the time alone made due
	heard    []heard        // entries of the journal, in order
	next     int            // in heard
	saved    time.Time
	moved    bool             // since the state was written
	upTo     journal.Position // what the written state holds
	// respond decides about what is raised, before it is written down; nil: nobody.
	respond *responder
}

// heard is what was said of the lines of one entry of the journal.
type heard struct {
	at    journal.Position
	lines int // of them
	said  []said
	line  int // of this attempt
	next  int // in said
}

type said struct {
	line     int
	verdicts []live.Verdict
}

const (
	correlationsEvery = 10 * time.Second // between two writes of the correlations' state
	ruleLateness      = 2 * time.Second  // how far behind the newest event correlations are judged
	ruleLag           = 10 * time.Second // how far behind the clock, while no event comes
)

// newRulings loads the rules that are shipped and those of the operator.
func newRulings(c config.Rules, file string) (*rulings, error) {
	cfg := rulesOf(c)
	e, err := live.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return &rulings{engine: e, file: file, suppress: len(cfg.Suppress) > 0}, nil
}

// rulesOf words what the configuration says of rules.
func rulesOf(c config.Rules) live.Config {
	cfg := live.Config{
		Rules:    ruleset.Config{Paths: c.Dirs, Shipped: !c.Own, Placeholders: c.Placeholders, Want: ruleset.Want{MinLevel: sigma.Low}},
		Lateness: ruleLateness,
	}
	if l, ok := sigma.ParseLevel(c.MinLevel); ok {
		cfg.Rules.Want.MinLevel = l
	}
	for _, s := range c.Suppress {
		one := live.Suppression{Rule: s.Rule, Source: s.Source.Prefix, Field: s.Field, Value: s.Value, Reason: s.Reason, Until: s.Until}
		cfg.Suppress = append(cfg.Suppress, one)
	}
	return cfg
}

// watch reloads changed rules until ctx ends.
func (r *rulings) watch(ctx context.Context, log *slog.Logger) {
	r.engine.Watch(ctx, clock.System(), log)
}

// again begins an attempt at a batch, the first one or one after a failure.
func (r *rulings) again() {
	r.next = 0
	for i := range r.heard {
		r.heard[i].line, r.heard[i].next = 0, 0
	}
}

// entry goes to an entry of the journal. Entries come in the same order in each
// attempt; one of the former attempt may be missing, if it cannot be read any more.
func (r *rulings) entry(at journal.Position) {
	for r.next < len(r.heard) && r.heard[r.next].at.Before(at) {
		r.next++
	}
	if r.next == len(r.heard) || r.heard[r.next].at != at {
		r.heard = slices.Insert(r.heard, r.next, heard{at: at})
	}
}

// line judges the next line of the entry and gives what fired, but for rules
// that are built in. It is the caller's until the next call.
func (r *rulings) line(line []byte) []live.Verdict {
	h := &r.heard[r.next]
	h.line++
	if h.line <= h.lines {
		if h.next < len(h.said) && h.said[h.next].line == h.line {
			h.next++
			return h.said[h.next-1].verdicts
		}
		return nil
	}
	h.lines = h.line
	v := slices.DeleteFunc(r.engine.Judge(line), func(v live.Verdict) bool { return builtIn(v.Rule) })
	r.moved = true
	if len(v) > 0 {
		v = slices.Clone(v)
		h.said = append(h.said, said{h.line, v})
		h.next = len(h.said)
	}
	return v
}

// written forgets what was remembered against a failure.
func (r *rulings) written() {
	clear(r.heard)
	r.heard, r.due = r.heard[:0], nil
}

// verdict words a rule that fired for the judge.
func verdict(v *live.Verdict, e *event.Event) detect.Verdict {
	rule := live.Rule(v.Rule)
	title := fmt.Sprintf("%s on %s, %s", e.Source.Addr(), e.Host, e.Action)
	if len(v.Group) > 0 {
		title = fmt.Sprintf("%s on %s: %d within %s", e.Source.Addr(), e.Host, v.Count, v.Last.Sub(v.First).Round(time.Second))
	}
	said := detect.Verdict{Rule: &rule, Title: title}
	if id, ok := e.Get(token.IDField); ok && len(v.Group) == 0 {
		said.Of, said.Title = id.Text(), tokenTitle(e, id.Text())
	}
	return said
}

// tokenTitle says which token was used, where it was stolen from and when.
func tokenTitle(e *event.Event, id string) string {
	get := func(name string) string {
		v, _ := e.Get(name)
		return v.Text()
	}
	host, where := get(token.HostField), cmp.Or(e.Host, get("host.name"))
	if host == "" {
		return fmt.Sprintf("%s used the planted credential %q on %s", e.Source.Addr(), id, where)
	}
	state := get(token.StateField)
	if get(token.LateField) != "" {
		state = "late: " + state
	}
	place := strings.TrimSpace(host + " " + get(token.PathField))
	return fmt.Sprintf("stolen from %q between %s and %s, used on %s by %s: %s token %s (%s)", place, get(token.SinceField),
		e.Time.UTC().Format(time.RFC3339), where, e.Source.Addr(), get(token.KindField), id, state)
}

// builtIn tells of a rule whose verdict the judge reaches itself, with a title
// that says more. The rule of the same id in rules/decoy is for hunting.
func builtIn(r *sigma.Rule) bool { return strings.HasPrefix(r.ID, detect.OwnRules) }

// seen is an event as it is judged, and its line; the zero seen is none.
type seen struct {
	event *event.Event
	line  string
}

// raise adds to the batch what Sigma rules say of an event: of itself, and of
// correlations that it made due, whose last event may be another.
func (r *rulings) raise(ctx context.Context, g *detect.Engine, batch *casebook.Batch, s seen, vs []live.Verdict) error {
	e := s.event
	var more []detect.Verdict
	for i := range vs {
		v := &vs[i]
		switch {
		case v.Event != nil || len(v.Group) > 0:
			if err := r.late(ctx, g, batch, v); err != nil {
				return err
			}
		case e != nil:
			more = append(more, verdict(v, e))
		}
	}
	if e == nil {
		return nil
	}
	var quiet func(alert.Rule) bool
	if r.suppress {
		quiet = func(rule alert.Rule) bool { return r.engine.Suppressed(rule.ID, rule.Name, []byte(s.line)) }
	}
	alerts, err := g.Judge(ctx, e, quiet, more...)
	if err != nil {
		return err
	}
	for i, a := range alerts {
		r.respond.answer(&alerts[i], e)
		batch.AlertLine(a, e, s.line)
	}
	return nil
}

// late raises a correlation for its own last event.
func (r *rulings) late(ctx context.Context, g *detect.Engine, batch *casebook.Batch, v *live.Verdict) error {
	e, err := event.Decode(v.Event)
	if err != nil {
		return nil //nolint:nilerr // the event is remembered no more: a flood; the groups of the next ones tell
	}
	alerts, err := g.Raise(ctx, &e, verdict(v, &e))
	if err != nil {
		return err
	}
	for i, a := range alerts {
		r.respond.answer(&alerts[i], &e)
		batch.AlertLine(a, &e, string(v.Event))
	}
	return nil
}

// save writes the correlations' state with the position that it belongs to, at
// most every ten seconds unless now is set.
func (r *rulings) save(at journal.Position, now bool) error {
	if r.file == "" || !r.moved || !now && time.Since(r.saved) < correlationsEvery {
		return nil
	}
	r.saved, r.moved, r.upTo = time.Now(), false, at
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", at)
	if err := r.engine.Snapshot(&b); err != nil {
		return err
	}
	return durable.WriteFile(r.file, b.Bytes())
}

// safe is the position up to which nothing is lost by a kill when everything is
// judged up to at.
func (r *rulings) safe(at journal.Position) journal.Position {
	if r.moved {
		return r.upTo
	}
	return at
}

// load reads the state back and judges again, without saying anything, what
// the journal still has between it and the position that was judged up to.
func (r *rulings) load(ctx context.Context, j journal.Journal, upTo journal.Position, log *slog.Logger) error {
	r.upTo = upTo
	data, err := os.ReadFile(r.file)
	if errors.Is(err, os.ErrNotExist) { // from now on, so that no kill loses the first ones
		r.moved = true
		return r.save(upTo, true)
	}
	if err != nil {
		return fmt.Errorf("read the correlations: %w", err)
	}
	head, body, _ := bytes.Cut(data, []byte("\n"))
	from, err := journal.ParsePosition(string(head))
	if err == nil {
		_, err = r.engine.Restore(bytes.NewReader(body))
	}
	if err != nil { // counting begins anew
		log.Warn("the state of the correlations cannot be used, they count from now on", "file", r.file, "error", err)
		return nil
	}
	if !from.Before(upTo) {
		return nil
	}
	var decoded event.Reader
	_, err = j.Read(ctx, from, func(e journal.Entry) error {
		if upTo.Before(e.Pos) { // Pos is the end of an entry
			return errEnough
		}
		for line := range bytes.Lines(e.Data) {
			line = bytes.TrimRight(line, "\n")
			if e, err := decoded.Decode(string(line)); err == nil && !isTest(e) && !logged(e) {
				r.engine.Judge(line)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	r.upTo, r.moved, r.saved = from, true, time.Now()
	return nil
}

// forget drops all counts: what is in them cannot be taken apart by source.
func (r *rulings) forget() error {
	r.engine.Reset()
	r.written()
	if err := os.Remove(r.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the correlations: %w", err)
	}
	return nil
}
