package respond

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Config is what New takes.
type Config struct {
	Clock  clock.Clock
	Store  Store
	Hands  Hands
	Policy Policy
	// Exercise is the provenance of the alerts that count: empty in life, the id of
	// the exercise in a range. Alerts of any other decide nothing.
	Exercise string
	Allow    action.AllowList // beside action.Never
	NewID    func() string    // UUIDs of decisions
	// NewWord makes the word that approves a proposal once: at least 128 random
	// bits. nil: proposals are approved by id only.
	NewWord func() string
	// Note writes into the audit log, in order; Tell tells people. Both are called
	// with the Engine held: they return at once and do not call it. nil: nobody.
	Note func(Fact)
	Tell func(Notice)
}

// Errors that commands give, and callers tell apart.
var (
	// ErrNotKept says that decisions stand, but could not be written down.
	ErrNotKept = errors.New("decisions cannot be written down")
	// ErrUnknown says that there is no such decision or block.
	ErrUnknown = errors.New("there is no such decision")
	// ErrAmbiguous says that the beginning of an id fits several.
	ErrAmbiguous = errors.New("several decisions begin so: give more of the id")
	// ErrOver says that the decision is not open any more.
	ErrOver = errors.New("the decision is not open any more")
)

// RefusedError is a no, for a reason that a person can act on.
type RefusedError struct {
	Code Code
	Text string
}

// Error is the text.
func (e *RefusedError) Error() string { return e.Text }

const (
	keepEnded  = 30 * 24 * time.Hour // decisions that ended, for reports…
	maxEnded   = 50_000              // …and how many
	maxLogins  = 100_000             // sources that logged in
	jumpFrom   = 2 * time.Second     // the wall clock was set, not slewed
	noteAgain  = time.Hour           // the same refusal is written down again
	sweepAgain = time.Minute         // a full memory of refusals is looked through again
	maxNoted   = 10_000              // refusals that are remembered for it
	retryWrite = time.Second         // after a failed write
)

// slot is where a decision stands: what is only observed stands beside what is enforced.
type slot struct {
	observed bool
	prefix   netip.Prefix
}

// length is a length of prefixes that some standing decision has.
type length struct {
	observed, six bool
	bits          int
}

// Engine decides. Its methods may be called at once.
type Engine struct {
	mu  sync.Mutex
	cfg Config

	configured Policy // of the configuration
	policy     Policy // in force
	override   *Override
	allow      action.AllowList

	byID     map[string]*Decision
	standing map[slot]*Decision
	waiting  map[netip.Prefix]*Decision
	lengths  map[length]int
	counts   [2]int // standing: enforced, observed
	due      dueHeap
	ended    []*Decision // oldest first
	evidence map[string]string

	offences map[slot]offence
	inside   map[slot]int // offending /64s of a /56 or /48
	pardons  map[netip.Prefix]time.Time
	logins   logins

	recent    [2][]time.Time // when new blocks began: enforced, observed
	storm     [2]storm
	noted     map[notedKey]time.Time
	noteSwept time.Time // when noted was last looked through for what is old

	last    time.Time // the clock when it was last looked at
	dirty   bool      // the store does not hold everything
	tried   time.Time // when it was last written anew
	Counted Counts    // for metrics; read with Stats
}

// storm is a time in which more was to be blocked than may be.
type storm struct {
	on   bool
	held int // what was not blocked
}

type notedKey struct {
	prefix netip.Prefix
	code   Code
}

// Counts counts since the start.
type Counts struct {
	Alerts, Blocked, Proposed, Observed, NotBlocked, Expired, Undone uint64
}

// New reads back what the store holds.
func New(cfg Config) (*Engine, error) {
	e := &Engine{
		cfg: cfg, configured: cfg.Policy.filled(), policy: cfg.Policy.filled(),
		byID: map[string]*Decision{}, standing: map[slot]*Decision{}, waiting: map[netip.Prefix]*Decision{}, lengths: map[length]int{}, evidence: map[string]string{},
		offences: map[slot]offence{}, inside: map[slot]int{}, pardons: map[netip.Prefix]time.Time{}, logins: newLogins(), noted: map[notedKey]time.Time{},
	}
	e.allow = append(action.Never(), cfg.Allow...)
	if err := e.cfg.Store.Read(e.replay); err != nil {
		return nil, fmt.Errorf("read the decisions: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	e.settle(now)
	e.chooseOverride(now)
	e.cfg.Hands.Allow(e.allow)
	e.lift("is on the allow list since the last start")
	return e, nil
}

// replay takes one record over. Times that make no sense are mended by settle.
func (e *Engine) replay(r *Record) error {
	switch {
	case r.Decision != nil:
		e.put(r.Decision)
		if r.Decision.State == Standing {
			e.setOffence(r.Decision.slot(), r.Decision.offence())
		}
	case r.Offence != nil:
		e.setOffence(slot{r.Offence.Mode == Observe, r.Offence.Prefix}, r.Offence.offence)
	case r.Login != nil:
		e.logins.put(*r.Login)
	case r.Override != nil:
		e.override = r.Override
	case r.Shift != 0:
		e.shift(r.Shift)
	case r.Forget.IsValid():
		e.drop(r.Forget)
	case r.Pardon != nil:
		e.pardons[r.Pardon.Prefix] = r.Pardon.At
	}
	return nil
}

// put takes d over in its new state.
func (e *Engine) put(d *Decision) {
	if old := e.byID[d.ID]; old != nil {
		e.unlink(old)
		*old = *d
		d = old
	} else {
		e.byID[d.ID] = d
	}
	for _, id := range d.Events {
		e.evidence[id] = d.ID
	}
	switch d.State {
	case Standing:
		e.stand(d)
	case Waiting:
		e.waiting[d.Prefix] = d
		e.due.add(d)
	default:
		e.ended = append(e.ended, d)
	}
}

func (d *Decision) slot() slot { return slot{d.Mode == Observe, d.Prefix} }

func class(observed bool) int {
	if observed {
		return 1
	}
	return 0
}

// stand puts d among what stands, in the place of what stood there.
func (e *Engine) stand(d *Decision) {
	s := d.slot()
	if old := e.standing[s]; old != nil && old != d {
		e.unlink(old)
	}
	e.standing[s] = d
	e.counts[class(s.observed)]++
	e.lengths[length{s.observed, d.Prefix.Addr().Is6(), d.Prefix.Bits()}]++
	e.due.add(d)
}

// unlink takes d out of what is open.
func (e *Engine) unlink(d *Decision) {
	if e.waiting[d.Prefix] == d {
		delete(e.waiting, d.Prefix)
	}
	s := d.slot()
	if e.standing[s] != d {
		return
	}
	delete(e.standing, s)
	e.counts[class(s.observed)]--
	l := length{s.observed, d.Prefix.Addr().Is6(), d.Prefix.Bits()}
	if e.lengths[l]--; e.lengths[l] == 0 {
		delete(e.lengths, l)
	}
}

// covering is what stands and covers all of p.
func (e *Engine) covering(observed bool, p netip.Prefix) *Decision {
	for l := range e.lengths {
		if l.observed != observed || l.six != p.Addr().Is6() || l.bits > p.Bits() {
			continue
		}
		if d := e.standing[slot{observed, netip.PrefixFrom(p.Addr(), l.bits).Masked()}]; d != nil {
			return d
		}
	}
	return nil
}

// write keeps records; what cannot be kept stands all the same.
func (e *Engine) write(recs ...*Record) {
	if e.dirty {
		return // all is written anew
	}
	if err := e.cfg.Store.Append(recs...); err != nil {
		e.dirty, e.tried = true, e.last
		e.tell(Notice{Kind: "degraded", Text: fmt.Sprintf("decisions cannot be written down; they stand, and are lost if the program ends: %v", err)})
	}
}

// Sync returns nil when every decision so far survives a loss of power: it is
// acknowledged. It may be called without holding up decisions.
func (e *Engine) Sync() error {
	if err := e.cfg.Store.Sync(); err != nil {
		return errors.Join(ErrNotKept, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dirty {
		return ErrNotKept
	}
	return nil
}

func (e *Engine) note(f Fact) {
	if e.cfg.Note != nil {
		f.At = e.last
		e.cfg.Note(f)
	}
}

func (e *Engine) tell(n Notice) {
	if e.cfg.Tell != nil {
		n.At = e.last
		if n.Decision != nil {
			d := *n.Decision
			n.Decision = &d
		}
		e.cfg.Tell(n)
	}
}

// factOf is what the audit log says of a decision.
func factOf(act string, d *Decision) Fact {
	return Fact{Act: act, Actor: d.Actor, Target: d.Prefix.String(), Rule: d.Rule, Events: d.Events, ID: d.ID, Why: d.Why}
}
