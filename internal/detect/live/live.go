// Package live judges events as they come with Sigma rules and correlations:
// the same engine that hunts in recorded logs. Rules are read from directories,
// watched, and replaced whole or not at all.
package live

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/jsonl"
)

// Config is what New takes.
type Config struct {
	Rules    ruleset.Config     // no paths: the rules that are shipped
	Mapping  *logsource.Mapping // nil: the one that is shipped
	Suppress []Suppression
	// Lateness is how long correlations wait for events that come out of order
	// (10 s).
	Lateness time.Duration
	MaxKeys  int // groups of all correlations (1,000,000)
	// Immediate judges correlations that only count up at each match, not Lateness
	// later: sigma.CorrelatorOptions.
	Immediate bool
}

// Verdict is one rule that fired.
type Verdict struct {
	Rule *sigma.Rule
	// Group holds the group-by values of a correlation by field; nil for a rule
	// about single events.
	Group       map[string]string
	Count       int
	First, Last time.Time
	// Event is the last event of a correlation, as it was judged; nil where it is
	// remembered no more. For a rule about single events it is nil.
	Event []byte
	// Ref is what Record was given with the last event of a correlation.
	Ref uint64
}

// Engine judges. Judge and Advance are for one goroutine, the others may be
// called at any time.
type Engine struct {
	cfg Config

	fields *sigma.Fields // of this rule set and those that follow it

	mu     sync.Mutex // guards what Reload replaces
	loaded *judge

	failed int64
	seq    uint64
	recent []recent // events that correlations wait for; Ref n is at n modulo maxRecent
	said   []Verdict

	listed *indicator.Set // looked up in each event; nil: none
	past   bool           // it judges events of the past

	seen uint64 // fingerprint of the rule files before they were read; Watch's own later
}

// judge is one set of rules, ready.
type judge struct {
	rules *ruleset.Loaded
	rec   *sigma.Record
	match *sigma.Worker
	route *logsource.Worker
	json  *jsonl.Scanner
	corr  *sigma.Correlator
	head  logsource.Head
	buf   []sigma.Point
}

// recent is an event that is remembered for correlations, by its Ref.
type recent struct {
	ref  uint64
	line []byte
}

// maxRecent and maxLine bound the events that are remembered for correlations; a
// place that was made for a longer line than usualLine is made anew for a shorter
// one.
const (
	maxRecent = 20_000
	maxLine   = 64 << 10
	usualLine = 2 << 10
)

// ErrRules says that rules were refused; the text names each with its place.
var ErrRules = errors.New("rules were refused")

// New loads the rules. A rule that cannot be used is an error here as in Reload:
// an operator who believes that a rule watches must not be wrong.
func New(cfg Config) (*Engine, error) {
	if cfg.Lateness == 0 {
		cfg.Lateness = 10 * time.Second
	}
	if cfg.Mapping == nil {
		m, err := logsource.Default()
		if err != nil {
			return nil, err
		}
		cfg.Mapping = m
	}
	for i := range cfg.Suppress {
		if err := cfg.Suppress[i].check(); err != nil {
			return nil, err
		}
	}
	e := &Engine{cfg: cfg, fields: sigma.NewFields(), seen: fingerprint(cfg.Rules)}
	j, err := e.load()
	if err != nil {
		return nil, err
	}
	e.loaded = j
	return e, nil
}

// load reads and compiles the rules as they are now.
func (e *Engine) load() (*judge, error) {
	router := e.cfg.Mapping.Router(e.fields)
	loaded, err := ruleset.Load(e.cfg.Rules, e.fields)
	if err != nil {
		return nil, err
	}
	if err := refused(loaded.Set); err != nil {
		return nil, err
	}
	return e.judge(loaded, router), nil
}

func (e *Engine) judge(loaded *ruleset.Loaded, router *logsource.Router) *judge {
	return &judge{
		rules: loaded, rec: sigma.NewRecord(loaded.Fields), match: loaded.Engine.NewWorker(), route: router.NewWorker(),
		json: jsonl.NewScanner(loaded.Fields, e.cfg.Mapping),
		corr: e.correlator(loaded.Engine),
	}
}

// correlator makes an empty one for the correlations of a set of rules.
func (e *Engine) correlator(rules *sigma.Engine) *sigma.Correlator {
	return sigma.NewCorrelator(rules, sigma.CorrelatorOptions{Lateness: e.cfg.Lateness, MaxKeys: e.cfg.MaxKeys, Immediate: e.cfg.Immediate})
}

// refused joins what is wrong with rules that could not be loaded.
func refused(set *sigma.Set) error {
	if set.Refused() == 0 {
		return nil
	}
	err := fmt.Errorf("%d %w", set.Refused(), ErrRules)
	for _, p := range set.Problems() {
		if p.Severity == sigma.Refused {
			err = fmt.Errorf("%w\n%w", err, p)
		}
	}
	return err
}

// Reload reads the rules again. After an error the old ones go on. Groups of
// correlations that say the same as before are kept; dropped counts the others.
func (e *Engine) Reload() (rules, dropped int, err error) {
	next, err := e.load()
	if err != nil {
		return 0, 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	dropped, err = handOver(e.loaded.corr, next.corr)
	if err != nil {
		return 0, 0, err
	}
	e.loaded = next
	return len(next.rules.Engine.Rules()), dropped, nil
}

// handOver moves the state of correlations.
func handOver(from, to *sigma.Correlator) (int, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(from.Snapshot(w)) }()
	dropped, err := to.Restore(r)
	r.Close() //nolint:errcheck // ends the writer
	return dropped, err
}

// Judge gives the rules that one event, a JSON object, fires. What is no JSON
// object fires none and is counted. The slice is the caller's until the next
// call.
func (e *Engine) Judge(line []byte) []Verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.loaded
	j.head = logsource.Head{Format: "json"}
	if err := j.json.Scan(line, j.rec, &j.head); err != nil {
		e.failed++
		return nil
	}
	j.route.Route(j.rec, &j.head)
	if t, ok := j.route.Time(j.rec); ok {
		j.rec.Time = t
	}
	out := e.matched(e.said[:0], j.rec)
	j.buf = j.match.Points(j.buf[:0])
	if len(j.buf) > 0 {
		e.remember(line)
		out = e.correlated(out, j.corr.Add(j.buf))
	}
	e.said = out
	return out
}

// matched adds the rules about single records, and the indicators.
func (e *Engine) matched(out []Verdict, rec *sigma.Record) []Verdict {
	j, now := e.loaded, time.Unix(0, rec.Time)
	for _, r := range j.match.Match(rec) {
		if j.rules.Want.Takes(r) && !e.suppressed(r, rec, now) {
			out = append(out, Verdict{Rule: r, Count: 1, First: now, Last: now})
		}
	}
	return e.indicated(out, rec, now)
}

// remember keeps an event for the alert of a correlation that it may be the
// last of.
func (e *Engine) remember(line []byte) {
	e.seq++
	for i := range e.loaded.buf {
		e.loaded.buf[i].Ref = e.seq
	}
	at := int(e.seq % maxRecent)
	for at >= len(e.recent) {
		e.recent = append(e.recent, recent{})
	}
	r := &e.recent[at]
	if cap(r.line) > usualLine && len(line) <= usualLine {
		r.line = nil
	}
	if r.ref = e.seq; len(line) > maxLine {
		r.ref = 0
		return
	}
	r.line = append(r.line[:0], line...)
}

// remembered is the event of a Ref, nil where it is remembered no more.
func (e *Engine) remembered(ref uint64) []byte {
	if at := int(ref % maxRecent); at < len(e.recent) && e.recent[at].ref == ref && ref > 0 {
		return bytes.Clone(e.recent[at].line)
	}
	return nil
}

// Suppressed tells whether a rule of the caller's own is to be kept quiet on an
// event.
func (e *Engine) Suppressed(id, title string, event []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.cfg.Suppress) == 0 {
		return false
	}
	j := e.loaded
	j.head = logsource.Head{Format: "json"}
	if j.json.Scan(event, j.rec, &j.head) != nil {
		return false
	}
	t, ok := j.route.Time(j.rec)
	return ok && e.suppressed(&sigma.Rule{ID: id, Title: title}, j.rec, time.Unix(0, t))
}

// Reset forgets all that correlations hold.
func (e *Engine) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loaded.corr = e.correlator(e.loaded.rules.Engine)
	e.recent = nil
}

// Advance gives correlations the time, so that those are judged whose events
// stopped coming.
func (e *Engine) Advance(now time.Time) []Verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.correlated(nil, e.loaded.corr.Advance(now.Add(-e.cfg.Lateness).UnixNano()))
}

func (e *Engine) correlated(out []Verdict, alerts []sigma.Alert) []Verdict {
	for _, a := range alerts {
		if !e.loaded.rules.Want.Takes(a.Rule) || e.suppressedGroup(a) {
			continue
		}
		out = append(out, Verdict{Rule: a.Rule, Group: a.Group, Count: a.Count, First: time.Unix(0, a.First), Last: time.Unix(0, a.Last), Event: e.remembered(a.Ref), Ref: a.Ref})
	}
	return out
}

// Stats is what the engine has done.
type Stats struct {
	Rules   int
	Failed  int64 // events that were no JSON object
	Corr    sigma.CorrelatorStats
	Matcher sigma.Stats
}

// Stats gives counters for the health page.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Stats{Rules: len(e.loaded.rules.Engine.Rules()), Failed: e.failed, Corr: e.loaded.corr.Stats(), Matcher: e.loaded.match.Stats()}
}

// Snapshot writes the state of the correlations.
func (e *Engine) Snapshot(w io.Writer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loaded.corr.Snapshot(w)
}

// Restore reads what Snapshot wrote. After an error the engine goes on without.
func (e *Engine) Restore(r io.Reader) (dropped int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fresh := e.correlator(e.loaded.rules.Engine)
	if dropped, err = fresh.Restore(r); err != nil {
		return 0, fmt.Errorf("restore the correlations: %w", err)
	}
	e.loaded.corr = fresh
	return dropped, nil
}
