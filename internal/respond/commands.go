package respond

import (
	"cmp"
	"container/heap"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Order is a block that a person wants.
type Order struct {
	Prefix netip.Prefix
	For    time.Duration // 0: as long as the policy would; at most MaxFor
	Why    string
	Actor  string
}

// MaxFor is the longest block, of whomever.
const MaxFor = 365 * 24 * time.Hour

// Block blocks a prefix because a person says so. What is on the allow list is
// refused with a *RefusedError. What is wider than /24 or /48, or would hit
// sources that logged in of late, becomes a proposal with the reason in Risk: it
// stands once it is approved.
func (e *Engine) Block(o Order) (Decision, error) {
	p := action.Unmap(o.Prefix)
	if !p.IsValid() || p.Bits() == 0 {
		return Decision{}, &RefusedError{CodeWide, fmt.Sprintf("%s is no network that can be blocked", o.Prefix)}
	}
	if o.For < 0 || o.For > MaxFor {
		return Decision{}, &RefusedError{CodeFull, fmt.Sprintf("a block lasts more than nothing and at most %s", MaxFor)}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	step := e.steps(e.offences[slot{false, p}], now)
	d := &Decision{
		ID: e.cfg.NewID(), Mode: Enforce, State: Standing, Prefix: p, Actor: o.Actor, Why: o.Why, Made: now, Step: step + 1,
		TTL: cmp.Or(o.For, e.policy.ttl(step, 0)),
	}
	d.Until = now.Add(d.TTL)
	if no := e.refusal(d); no != nil {
		e.note(Fact{Act: "not-blocked", Actor: o.Actor, Target: p.String(), Why: string(no.Code) + ": " + no.Text})
		return Decision{}, no
	}
	d.Risk = e.risk(p, now)
	if d.Risk == "" {
		e.begin(d, "block", now)
		return *d, nil
	}
	if old := e.waiting[p]; old != nil {
		return *old, nil
	}
	if len(e.waiting) >= e.policy.Undecided {
		return Decision{}, &RefusedError{CodeFull, fmt.Sprintf("%d proposals wait for an answer: answer some with lapwing approve or lapwing refuse", len(e.waiting))}
	}
	d.Mode, d.State, d.Until = Propose, Waiting, now.Add(e.policy.Expiry)
	e.propose(d)
	return *d, nil
}

// refusal is why d may not stand, whoever wants it.
func (e *Engine) refusal(d *Decision) *RefusedError {
	if al, hit := e.forbidden(d.Prefix); hit {
		return &RefusedError{CodeAllowed, fmt.Sprintf("%s is not blocked: %s is on the allow list (%s)", d.Prefix, al.Prefix, al.Why)}
	}
	if e.counts[0] >= e.policy.Total && e.standing[d.slot()] == nil {
		return &RefusedError{CodeFull, fmt.Sprintf("%d blocks stand, the limit is %d: lift some, or raise respond.total", e.counts[0], e.policy.Total)}
	}
	return nil
}

// risk is why a person should look before p is blocked.
func (e *Engine) risk(p netip.Prefix, now time.Time) string {
	var why []string
	if wide(p) {
		why = append(why, fmt.Sprintf("%s is wide", p))
	}
	if l, many := e.legitimate(p, now.Add(e.policy.Settle+1), now); l != nil && many {
		why = append(why, fmt.Sprintf("%s logged in as %q, last at %s", l.Prefix, short(l.User), l.Last.UTC().Format(time.RFC3339)))
	}
	return strings.Join(why, "; ")
}

const wholeID = 36 // letters of a UUID

// find is the decision that an id, the beginning of one, or the word of a
// proposal names.
func (e *Engine) find(id string) (*Decision, error) {
	if d := e.byID[id]; d != nil {
		return d, nil
	}
	word := hash(id)
	var found *Decision
	for _, d := range e.waiting {
		if d.Approval != "" && subtle.ConstantTimeCompare([]byte(d.Approval), []byte(word)) == 1 {
			return d, nil
		}
	}
	if len(id) < 4 || len(id) >= wholeID {
		return nil, fmt.Errorf("%.40q: %w; give the id, or at least four letters of its beginning or end", id, ErrUnknown)
	}
	for _, d := range e.byID {
		if !strings.HasPrefix(d.ID, id) && !strings.HasSuffix(d.ID, id) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%.40q: %w", id, ErrAmbiguous)
		}
		found = d
	}
	if found == nil {
		return nil, fmt.Errorf("%.40q: %w", id, ErrUnknown)
	}
	return found, nil
}

// Approve makes a proposal stand, by its id or by the word that was sent with it.
// It begins now.
func (e *Engine) Approve(id, actor string) (Decision, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	d, err := e.find(id)
	if err != nil {
		return Decision{}, err
	}
	if d.State != Waiting {
		return *d, fmt.Errorf("%s of %s is %s: %w", d.ID, d.Prefix, d.State, ErrOver)
	}
	if no := e.refusal(d); no != nil {
		e.end(d, Refused, ActorPolicy, no.Text, now)
		e.note(Fact{Act: "not-blocked", Actor: actor, Target: d.Prefix.String(), ID: d.ID, Why: string(no.Code) + ": " + no.Text})
		return *d, no
	}
	n := *d
	delete(e.waiting, d.Prefix)
	n.Mode, n.State, n.Actor, n.Made, n.Until, n.Approval = Enforce, Standing, actor, now, now.Add(d.TTL), ""
	*d = n
	heap.Init(&e.due)
	e.begin(d, "approve", now)
	return *d, nil
}

// Refuse turns a proposal down.
func (e *Engine) Refuse(id, actor, why string) (Decision, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	d, err := e.find(id)
	if err != nil {
		return Decision{}, err
	}
	if d.State != Waiting {
		return *d, fmt.Errorf("%s of %s is %s: %w", d.ID, d.Prefix, d.State, ErrOver)
	}
	e.turnDown(d, actor, why, now)
	return *d, nil
}

func (e *Engine) turnDown(d *Decision, actor, why string, now time.Time) {
	e.end(d, Refused, actor, why, now)
	e.pardon(d.Prefix, now)
	e.note(Fact{Act: "refuse", Actor: actor, Target: d.Prefix.String(), Rule: d.Rule, ID: d.ID, Why: why})
}

// pardon lets events up to now count for nothing any more, nor earlier blocks.
func (e *Engine) pardon(p netip.Prefix, now time.Time) {
	e.pardons[p] = now
	e.write(&Record{Pardon: &pardon{p, now}})
	s := slot{false, p}
	if _, ok := e.offences[s]; ok {
		e.dropOffence(s)
		e.write(&Record{Offence: &offenceLine{Enforce, p, offence{}}})
	}
}

// undo ends what stands or waits because a person says so.
func (e *Engine) undo(d *Decision, act, actor, why string, now time.Time) {
	if d.State == Waiting {
		e.turnDown(d, actor, why, now)
		return
	}
	e.lower(d, Undone, actor, why, now)
	e.Counted.Undone++
	if d.Mode != Observe {
		e.pardon(d.Prefix, now)
	}
	e.note(Fact{Act: act, Actor: actor, Target: d.Prefix.String(), Rule: d.Rule, ID: d.ID, Why: why})
}

// Unblock lifts every block that hits an address of p, and turns down proposals
// for it. Events up to now count for nothing any more. ErrUnknown: there is none.
func (e *Engine) Unblock(p netip.Prefix, actor, why string) ([]Decision, error) {
	p = action.Unmap(p)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	return e.undoAll("unblock", actor, why, now, func(d *Decision) bool {
		return d.Mode != Observe && p.Overlaps(d.Prefix)
	})
}

// Undo ends a decision by its id.
func (e *Engine) Undo(id, actor, why string) (Decision, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	d, err := e.find(id)
	if err != nil {
		return Decision{}, err
	}
	if !d.live() {
		return *d, fmt.Errorf("%s of %s is %s: %w", d.ID, d.Prefix, d.State, ErrOver)
	}
	e.undo(d, "undo", actor, why, now)
	return *d, nil
}

// UndoSince ends what was decided at or after t, but not what was only observed.
func (e *Engine) UndoSince(t time.Time, actor, why string) ([]Decision, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	return e.undoAll("undo", actor, why, now, func(d *Decision) bool { return d.Mode != Observe && !d.Made.Before(t) })
}

// undoAll ends what stands or waits and is meant, in the order it was made.
func (e *Engine) undoAll(act, actor, why string, now time.Time, meant func(*Decision) bool) ([]Decision, error) {
	var ds []*Decision
	for _, d := range e.byID {
		if d.live() && meant(d) {
			ds = append(ds, d)
		}
	}
	if len(ds) == 0 {
		return nil, ErrUnknown
	}
	slices.SortFunc(ds, func(a, b *Decision) int { return cmp.Or(a.Made.Compare(b.Made), strings.Compare(a.ID, b.ID)) })
	out := make([]Decision, 0, len(ds))
	for _, d := range ds {
		e.undo(d, act, actor, why, now)
		out = append(out, *d)
	}
	return out, nil
}

// Panic lifts every block, turns down every proposal and only observes from now
// on, also after a restart, until a policy is set and confirmed.
func (e *Engine) Panic(actor, why string) []Decision {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	e.setOverride(&Override{Panic: true, Actor: actor, At: now, Over: e.fingerprint()})
	e.note(Fact{Act: "panic", Actor: actor, Why: why})
	e.tell(Notice{Kind: "policy", Text: fmt.Sprintf("%q pressed panic: every block is lifted, and everything is only observed until a policy is set again", short(actor))})
	out, err := e.undoAll("panic", actor, why, now, func(d *Decision) bool { return d.Mode != Observe })
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	return out
}

// SetAllow replaces the allow list; what stands against it is lifted.
func (e *Engine) SetAllow(l action.AllowList) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tick()
	e.allow = append(action.Never(), l...)
	e.cfg.Hands.Allow(slices.Clone(e.allow))
	e.lift("is on the allow list now")
}

// lift ends what the allow list forbids.
func (e *Engine) lift(why string) {
	now := e.last.Round(0)
	for _, d := range e.byID {
		if !d.live() || d.Mode == Observe {
			continue
		}
		al, hit := e.forbidden(d.Prefix)
		if !hit {
			continue
		}
		text := fmt.Sprintf("%s (%s) %s", al.Prefix, al.Why, why)
		was := d.enforced()
		e.lower(d, Undone, ActorPolicy, text, now)
		e.note(Fact{Act: "undo", Actor: ActorPolicy, Target: d.Prefix.String(), Rule: d.Rule, ID: d.ID, Why: text})
		if was {
			e.tell(Notice{Kind: "lifted", Text: fmt.Sprintf("the block of %s was lifted: %s", d.Prefix, text), Decision: d})
		}
	}
}

// Allowed is the allow list in force.
func (e *Engine) Allowed() action.AllowList {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.allow)
}

// Turned is what a backend says of an action that it will never carry out: the
// decision ends, since nothing stands behind it.
func (e *Engine) Turned(a action.Action, by, why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	d := e.byID[a.ID]
	if d == nil || !d.enforced() {
		return
	}
	text := by + " refuses it: " + why
	e.lower(d, Undone, by, text, now)
	e.note(Fact{Act: "undo", Actor: by, Target: d.Prefix.String(), Rule: d.Rule, ID: d.ID, Why: text})
	e.tell(Notice{Kind: "lifted", Text: fmt.Sprintf("the block of %s does not stand: %s", d.Prefix, text), Decision: d})
}
