package respond

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Standing gives the actions that should be in force now, in no order.
func (e *Engine) Standing() []action.Action {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tick()
	out := make([]action.Action, 0, e.counts[0])
	for s, d := range e.standing {
		if !s.observed {
			out = append(out, d.action())
		}
	}
	return out
}

// Query says which decisions are asked for.
type Query struct {
	Ended bool      // also those that are over
	Since time.Time // made at or after
}

// Listed is a decision and who would be hit by it.
type Listed struct {
	Decision
	// Hits is a source inside that logged in to something real of late, if any.
	Hits *Login `json:"hits,omitempty"`
}

// List gives decisions, the oldest first.
func (e *Engine) List(q Query) []Listed {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	var out []Listed
	for _, d := range e.byID {
		if (d.live() || q.Ended) && !d.Made.Before(q.Since) {
			out = append(out, Listed{Decision: *d})
		}
	}
	for i := range out {
		d := &out[i]
		d.Approval = ""
		if l, _ := e.legitimate(d.Prefix, d.Made, now); l != nil {
			c := *l
			d.Hits = &c
		}
	}
	slices.SortFunc(out, func(a, b Listed) int { return cmp.Or(a.Made.Compare(b.Made), strings.Compare(a.ID, b.ID)) })
	return out
}

// Status is how an Engine stands.
type Status struct {
	Policy   Policy    `json:"policy"`
	Override *Override `json:"override,omitempty"`
	Standing int       `json:"standing"`
	Observed int       `json:"observed"`
	Waiting  int       `json:"waiting"`
	Logins   int       `json:"logins"`
	Storm    bool      `json:"storm"`
	Kept     bool      `json:"kept"` // what was decided is written down
	Counts   Counts    `json:"counts"`
}

// Stats is how the engine stands.
func (e *Engine) Stats() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tick()
	st := Status{
		Policy: e.policy, Standing: e.counts[0], Observed: e.counts[1], Waiting: len(e.waiting), Logins: len(e.logins.byPrefix),
		Storm: e.storm[0].on || e.storm[1].on, Kept: !e.dirty, Counts: e.Counted,
	}
	if e.override != nil {
		o := *e.override
		st.Override = &o
	}
	return st
}

// Forget removes what is known of the sources in p: decisions, counts, logins. A
// block of them is lifted. The store holds nothing of it once Compact was called.
func (e *Engine) Forget(p netip.Prefix) {
	p = action.Unmap(p)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	for s, d := range e.standing {
		if p.Overlaps(s.prefix) && s.prefix.Bits() >= p.Bits() {
			e.lower(d, Undone, ActorPolicy, "the source is forgotten", now)
		}
	}
	e.drop(p)
	e.write(&Record{Forget: p})
	e.tried = time.Time{}
	e.rewriteNow()
}

// rewriteNow leaves nothing of what was dropped in the store.
func (e *Engine) rewriteNow() {
	e.dirty = true
	e.rewrite()
}

// drop takes everything inside p out of memory.
func (e *Engine) drop(p netip.Prefix) {
	in := func(q netip.Prefix) bool { return q.Bits() >= p.Bits() && p.Overlaps(q) }
	for id, d := range e.byID {
		if !in(d.Prefix) {
			continue
		}
		e.unlink(d)
		delete(e.byID, id)
		for _, ev := range d.Events {
			delete(e.evidence, ev)
		}
		d.State = Expired
	}
	e.ended = slices.DeleteFunc(e.ended, func(d *Decision) bool { return in(d.Prefix) })
	for s := range e.offences {
		if in(s.prefix) {
			e.dropOffence(s)
		}
	}
	for q := range e.pardons {
		if in(q) {
			delete(e.pardons, q)
		}
	}
	for q, at := range e.logins.byPrefix {
		if in(q) {
			e.logins.drop(at)
		}
	}
}
