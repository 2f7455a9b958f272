package respond

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Verdict is what is done about an alert.
type Verdict string

// The verdicts.
const (
	Nothing  Verdict = "nothing"
	Observes Verdict = "observe"
	Proposes Verdict = "propose"
	Blocks   Verdict = "block"
)

// Code is why less is done than the policy asks for, or something else.
type Code string

// The codes.
const (
	CodeExercise   Code = "exercise"   // it comes from somewhere else than this engine answers
	CodePast       Code = "past"       // found in the past, or too long ago
	CodeNoSource   Code = "no-source"  // no address
	CodeAllowed    Code = "allowed"    // on the allow list
	CodeSpoofable  Code = "spoofable"  // anybody can have written the address
	CodeCovered    Code = "covered"    // stands already
	CodeKnown      Code = "known"      // these events were decided about before
	CodePardoned   Code = "pardoned"   // a person lifted the block since
	CodeLegitimate Code = "legitimate" // logged in of late
	CodeStorm      Code = "storm"      // too many new blocks in a minute
	CodeFull       Code = "full"       // too many blocks, or open proposals
	CodeWide       Code = "wide"       // wider than /24, /48
	CodePanic      Code = "panic"      // panic was pressed
	CodeNarrow     Code = "narrow"     // a smaller prefix than usual, because of the allow list
)

// Reason is a Code with what it rests on, for a person.
type Reason struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// Outcome is what is, or would be, done about an alert, and why not more.
type Outcome struct {
	Verdict  Verdict       `json:"verdict"`
	Mode     Mode          `json:"mode"`   // that the policy asks for
	Policy   string        `json:"policy"` // which line of it
	Prefix   netip.Prefix  `json:"prefix,omitzero"`
	TTL      time.Duration `json:"ttl,omitempty"`
	Step     int           `json:"step,omitempty"` // the how manieth block of this source, from 1
	Reasons  []Reason      `json:"reasons,omitempty"`
	Decision string        `json:"decision,omitempty"` // id of what was made, or stands already
}

func (o *Outcome) because(c Code, format string, args ...any) {
	o.Reasons = append(o.Reasons, Reason{c, fmt.Sprintf(format, args...)})
}

func (o *Outcome) nothing(c Code, format string, args ...any) Outcome {
	o.Verdict = Nothing
	o.because(c, format, args...)
	return *o
}

// Explain gives what Consider would do about an alert now. It changes nothing.
func (e *Engine) Explain(a alert.Alert) Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	return e.decide(&a, now, now)
}

// Consider decides about an alert whose newest event came in at the time at (zero:
// now), writes the decision down and hands it on. It does not wait for the disk:
// the decision is acknowledged when a Sync after it returned nil. The same events
// are decided about once, so that an alert may be considered again after a crash.
func (e *Engine) Consider(a alert.Alert, at time.Time) Outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	if at.IsZero() || at.After(now) {
		at = now
	}
	e.Counted.Alerts++
	o := e.decide(&a, at.Round(0), now)
	if o.Verdict == Nothing {
		e.withheld(&a, &o, now)
		return o
	}
	d := &Decision{
		ID: e.cfg.NewID(), Prefix: o.Prefix, Rule: a.Rule.ID, RuleName: a.Rule.Name, Level: a.Rule.Level.String(), Actor: ActorPolicy, Why: a.Title,
		Made: now, TTL: o.TTL, Step: o.Step, Until: now.Add(o.TTL), State: Standing,
		Events: slices.Clone(a.Events[max(0, len(a.Events)-maxEvents):]),
	}
	for _, r := range o.Reasons {
		if r.Code == CodeLegitimate || r.Code == CodeWide {
			d.Risk = r.Text
		}
	}
	switch o.Verdict {
	case Observes:
		d.Mode = Observe
		e.Counted.Observed++
	case Proposes:
		d.Mode, d.State, d.Until = Propose, Waiting, now.Add(e.policy.Expiry)
	default:
		d.Mode = Enforce
	}
	o.Decision = d.ID
	if d.State == Waiting {
		e.propose(d)
		return o
	}
	e.begin(d, string(o.Verdict), now)
	if u := Unit(a.Source); u.Bits() > d.Prefix.Bits() { // what made it wider counts itself, too
		one := *d
		one.Prefix = u
		e.setOffence(one.slot(), one.offence())
		e.write(&Record{Offence: &offenceLine{one.Mode, u, one.offence()}})
	}
	return o
}

// decide is the whole policy for one alert; it changes nothing.
func (e *Engine) decide(a *alert.Alert, at, now time.Time) Outcome {
	mode, first, by := e.policy.match(&a.Rule)
	o := Outcome{Mode: mode, Policy: by}
	if e.override != nil && e.override.Panic && mode != Observe {
		mode = Observe
		o.because(CodePanic, "panic was pressed by %s: everything is only observed", e.override.Actor)
	}
	if done := e.admissible(a, &o, at); done {
		return o
	}
	observed := mode == Observe
	if !e.aim(a, &o, observed, now) {
		return o
	}
	step := max(e.steps(e.offences[slot{observed, Unit(a.Source)}], now), e.steps(e.offences[slot{observed, o.Prefix}], now))
	o.Step, o.TTL = step+1, e.policy.ttl(step, first)
	if at.Add(o.TTL).Before(now) {
		return o.nothing(CodePast, "its events came in %s ago; a block would be over by now", now.Sub(at).Round(time.Second))
	}
	switch mode {
	case Observe:
		o.Verdict = Observes
	case Propose:
		o.Verdict = Proposes
	default:
		o.Verdict = Blocks
	}
	e.spare(a, &o, now)
	return e.capped(o, observed, now)
}

// admissible tells alerts that can decide nothing, whatever the policy says; done
// is then true.
func (e *Engine) admissible(a *alert.Alert, o *Outcome, at time.Time) (done bool) {
	switch {
	case a.Exercise != e.cfg.Exercise:
		o.nothing(CodeExercise, "it belongs to the exercise %q, and this is %s", a.Exercise, cmp.Or(e.cfg.Exercise, "real life"))
	case a.Retrospective:
		o.nothing(CodePast, "it was found among events of the past")
	case !a.Source.IsValid():
		o.nothing(CodeNoSource, "it names no source address")
	case a.Spoofable:
		o.Prefix = Unit(a.Source)
		o.nothing(CodeSpoofable, "no TCP exchange stands behind the address: anybody can have written it")
	}
	if o.Verdict != "" {
		return true
	}
	if n := len(a.Events); n > 0 {
		if id, ok := e.evidence[a.Events[n-1]]; ok {
			o.Prefix, o.Decision = Unit(a.Source), id
			o.nothing(CodeKnown, "its newest event was decided about before")
			return true
		}
	}
	if t, ok := e.pardons[Unit(a.Source)]; ok && !at.After(t) {
		o.Prefix = Unit(a.Source)
		o.nothing(CodePardoned, "a person lifted the block of this source after these events")
		return true
	}
	return false
}

// aim finds the prefix: the source's unit, or a wider one where many units of it
// offend. Without one it is false.
func (e *Engine) aim(a *alert.Alert, o *Outcome, observed bool, now time.Time) bool {
	o.Prefix = Unit(a.Source)
	if al, hit := e.forbidden(o.Prefix); hit {
		alone := netip.PrefixFrom(o.Prefix.Addr(), o.Prefix.Addr().BitLen())
		if o.Prefix.Addr().Is6() {
			alone = netip.PrefixFrom(a.Source.Unmap().WithZone(""), 128)
		}
		if _, hit := e.forbidden(alone); hit || alone == o.Prefix {
			o.nothing(CodeAllowed, "%s is on the allow list: %s", al.Prefix, al.Why)
			return false
		}
		o.because(CodeNarrow, "only the address: its %s holds %s (%s)", o.Prefix, al.Prefix, al.Why)
		o.Prefix = alone
	}
	if d := e.covering(observed, o.Prefix); d != nil {
		o.Decision = d.ID
		o.nothing(CodeCovered, "%s is blocked until %s", d.Prefix, d.Until.UTC().Format(time.RFC3339))
		return false
	}
	if d := e.waiting[o.Prefix]; d != nil && !observed {
		o.Decision = d.ID
		o.nothing(CodeCovered, "a block of %s waits for a person's answer", d.Prefix)
		return false
	}
	e.widen(a, o, observed, now)
	return true
}

// widen takes the /56 or /48 around where enough of it offends and nobody else
// is hit.
func (e *Engine) widen(a *alert.Alert, o *Outcome, observed bool, now time.Time) {
	p56, p48, ok := bigger(o.Prefix)
	if !ok {
		return
	}
	one := 0
	if _, old := e.offences[slot{observed, o.Prefix}]; !old {
		one = 1
	}
	for _, c := range []struct {
		p    netip.Prefix
		from int
	}{{p48, e.policy.Widen48}, {p56, e.policy.Widen56}} {
		if e.inside[slot{observed, c.p}]+one < c.from {
			continue
		}
		if _, hit := e.forbidden(c.p); hit {
			continue
		}
		if _, many := e.legitimate(c.p, first(a, now), now); many {
			continue
		}
		o.Prefix = c.p
		return
	}
}

// first is when the offence began.
func first(a *alert.Alert, now time.Time) time.Time {
	if a.First.IsZero() || a.First.After(now) {
		return now
	}
	return a.First
}

// spare asks a person where the block would hit somebody who logs in here.
func (e *Engine) spare(a *alert.Alert, o *Outcome, now time.Time) {
	l, many := e.legitimate(o.Prefix, first(a, now), now)
	if l == nil || !many {
		return
	}
	o.because(CodeLegitimate, "%s logged in as %q on %d days of late, last at %s", l.Prefix, short(l.User), l.Days, l.Last.UTC().Format(time.RFC3339))
	if o.Verdict == Blocks {
		o.Verdict = Proposes
	}
}

// capped holds back what is more than may be.
func (e *Engine) capped(o Outcome, observed bool, now time.Time) Outcome {
	c := class(observed)
	switch {
	case o.Verdict == Proposes && len(e.waiting) >= e.policy.Undecided:
		return o.nothing(CodeFull, "%d proposals wait for an answer", len(e.waiting))
	case o.Verdict == Proposes:
	case e.counts[c] >= e.policy.Total:
		return o.nothing(CodeFull, "%d blocks stand, the limit is %d", e.counts[c], e.policy.Total)
	case e.lastMinute(c, now) >= e.policy.PerMinute:
		return o.nothing(CodeStorm, "%d new blocks in the last minute, which is the limit", e.policy.PerMinute)
	}
	return o
}

// lastMinute counts the blocks that began since.
func (e *Engine) lastMinute(c int, now time.Time) int {
	from := now.Add(-time.Minute)
	for len(e.recent[c]) > 0 && !e.recent[c][0].After(from) {
		e.recent[c] = e.recent[c][1:]
	}
	return len(e.recent[c])
}

// begin brings a block about: kept, handed on, noted.
func (e *Engine) begin(d *Decision, act string, now time.Time) {
	observed := d.Mode == Observe
	narrower := e.within(observed, d.Prefix)
	e.put(d)
	c := *d
	e.write(&Record{Decision: &c})
	e.setOffence(d.slot(), d.offence())
	if !observed {
		e.cfg.Hands.Apply([]action.Action{d.action()})
		e.Counted.Blocked++
	}
	e.note(factOf(act, d))
	if d.Actor == ActorPolicy {
		e.recent[class(observed)] = append(e.recent[class(observed)], now)
	}
	for _, n := range narrower { // after the new one stands
		why := "a block of " + d.Prefix.String() + " took its place"
		if n.Prefix == d.Prefix { // carried out by the same element
			e.end(n, Widened, "", why, now)
			continue
		}
		e.lower(n, Widened, "", why, now)
	}
}

// within are the decisions that stand inside p, p itself included.
func (e *Engine) within(observed bool, p netip.Prefix) []*Decision {
	if d := e.standing[slot{observed, p}]; p.IsSingleIP() {
		if d == nil {
			return nil
		}
		return []*Decision{d}
	}
	narrower := false
	for l := range e.lengths {
		narrower = narrower || l.observed == observed && l.six == p.Addr().Is6() && l.bits >= p.Bits()
	}
	if !narrower || p.Bits() == Unit(p.Addr()).Bits() && e.lengths[length{observed, p.Addr().Is6(), p.Addr().BitLen()}] == 0 {
		if d := e.standing[slot{observed, p}]; d != nil {
			return []*Decision{d}
		}
		return nil
	}
	var out []*Decision
	for s, d := range e.standing {
		if s.observed == observed && p.Bits() <= s.prefix.Bits() && p.Overlaps(s.prefix) {
			out = append(out, d)
		}
	}
	return out
}

// lower ends a block that stands.
func (e *Engine) lower(d *Decision, s State, who, why string, now time.Time) {
	was := d.enforced()
	a := d.action()
	e.end(d, s, who, why, now)
	if was {
		e.cfg.Hands.Revert([]action.Action{a})
	}
}

// propose asks a person.
func (e *Engine) propose(d *Decision) {
	word := ""
	if e.cfg.NewWord != nil {
		word = e.cfg.NewWord()
		d.Approval = hash(word)
	}
	e.put(d)
	c := *d
	e.write(&Record{Decision: &c})
	e.Counted.Proposed++
	e.note(factOf("propose", d))
	text := fmt.Sprintf("block %s for %s?", d.Prefix, d.TTL)
	if d.Why != "" {
		text += " " + d.Why
	}
	if d.Risk != "" {
		text += "; look first: " + d.Risk
	}
	e.tell(Notice{Kind: "proposal", Text: text, Decision: d, Approval: word})
}

func hash(word string) string {
	h := sha256.Sum256([]byte("lapwing approval\x00" + word))
	return hex.EncodeToString(h[:16])
}

// withheld writes down, once an hour, that nothing was done, and tells of a storm.
func (e *Engine) withheld(a *alert.Alert, o *Outcome, now time.Time) {
	code := o.Reasons[len(o.Reasons)-1]
	if code.Code == CodeStorm || code.Code == CodeFull {
		e.overflow(class(o.Mode == Observe || e.override != nil && e.override.Panic), code)
	}
	if code.Code == CodeCovered || code.Code == CodeKnown || code.Code == CodePast || code.Code == CodeNoSource {
		return
	}
	e.Counted.NotBlocked++
	k := notedKey{o.Prefix, code.Code}
	if t, ok := e.noted[k]; ok && now.Sub(t).Abs() < noteAgain {
		return
	}
	if len(e.noted) >= maxNoted {
		if now.Sub(e.noteSwept).Abs() < sweepAgain { // looked through a moment ago: still full
			return
		}
		e.noteSwept = now
		for old, t := range e.noted {
			if now.Sub(t) >= noteAgain {
				delete(e.noted, old)
			}
		}
		if len(e.noted) >= maxNoted { // a flood: it is in the alerts, and counted
			return
		}
	}
	e.noted[k] = now
	e.note(Fact{Act: "not-blocked", Actor: ActorPolicy, Target: o.Prefix.String(), Rule: a.Rule.ID, Events: a.Events[max(0, len(a.Events)-maxEvents):], Why: string(code.Code) + ": " + code.Text})
}

// overflow tells once that more was to be blocked than may be.
func (e *Engine) overflow(c int, why Reason) {
	e.storm[c].held++
	if e.storm[c].on {
		return
	}
	e.storm[c].on = true
	word := "blocks"
	if c == 1 {
		word = "observed blocks"
	}
	e.note(Fact{Act: "storm", Actor: ActorPolicy, Why: why.Text})
	e.tell(Notice{Kind: "storm", Text: fmt.Sprintf("block storm: %s (%s); those that stand stay, nothing new is blocked by itself", why.Text, word)})
}

// calm ends a storm a minute after the last block.
func (e *Engine) calm(now time.Time) {
	for c := range e.storm {
		s := &e.storm[c]
		if !s.on || e.lastMinute(c, now) > e.policy.PerMinute/2 || e.counts[c] >= e.policy.Total || len(e.waiting) >= e.policy.Undecided {
			continue
		}
		e.tell(Notice{Kind: "storm-over", Text: fmt.Sprintf("the block storm is over; %d alerts were not answered with a block", s.held)})
		*s = storm{}
	}
}

// steps is how many blocks of a source still count: one less for each quiet time.
func (e *Engine) steps(o offence, now time.Time) int {
	if o.Step == 0 {
		return 0
	}
	return max(0, o.Step-int(max(0, now.Sub(o.Last))/e.policy.Quiet))
}

func (e *Engine) setOffence(s slot, o offence) {
	if o.Step <= 0 {
		e.dropOffence(s)
		return
	}
	if _, old := e.offences[s]; !old {
		if p56, p48, ok := bigger(s.prefix); ok {
			e.inside[slot{s.observed, p56}]++
			e.inside[slot{s.observed, p48}]++
		}
	}
	e.offences[s] = o
}

func (e *Engine) dropOffence(s slot) {
	if _, ok := e.offences[s]; !ok {
		return
	}
	delete(e.offences, s)
	if p56, p48, ok := bigger(s.prefix); ok {
		for _, p := range []netip.Prefix{p56, p48} {
			in := slot{s.observed, p}
			if e.inside[in]--; e.inside[in] <= 0 {
				delete(e.inside, in)
			}
		}
	}
}

// short is text of strangers for a line that people read.
func short(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
