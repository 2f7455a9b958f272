package respond

import (
	"container/heap"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// dueHeap orders what is open by its end. An entry that was left behind when a
// decision changed is passed over.
type dueHeap []*Decision

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h dueHeap) Len() int { return len(h) }

// Less is by end.
func (h dueHeap) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }

// Swap swaps.
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push appends.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*Decision)) }

// Pop takes the last.
func (h *dueHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return d
}

func (h *dueHeap) add(d *Decision) { heap.Push(h, d) }

// Tick ends what is over. Somebody calls it at least every second; each decision
// does so, too.
func (e *Engine) Tick() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tick()
}

// tick looks at the clock: what is over ends; a wall clock that was set moves
// every end with it, so that no block lasts longer or shorter than it was made for.
func (e *Engine) tick() time.Time {
	seen := e.cfg.Clock.Now()
	if !e.last.IsZero() {
		e.jumped(seen)
	}
	e.last = seen
	now := seen.Round(0)
	for len(e.due) > 0 && !e.due[0].Until.After(now) {
		d, _ := heap.Pop(&e.due).(*Decision)
		if !d.live() || d.Until.After(now) {
			if d.live() {
				e.due.add(d)
			}
			continue
		}
		e.end(d, Expired, "", "", d.Until)
		e.Counted.Expired++
	}
	if o := e.override; o != nil && !o.Until.IsZero() && !o.Until.After(now) {
		e.back(now, "nobody confirmed it")
	}
	e.calm(now)
	if e.dirty && (now.Sub(e.tried) >= retryWrite || now.Before(e.tried)) {
		e.tried = now
		e.rewrite()
	}
	return now
}

// jumped finds out whether the wall clock was set since it was last looked at:
// the monotonic reading says how much time passed; a clock without one at least
// never goes back.
func (e *Engine) jumped(seen time.Time) {
	passed := seen.Sub(e.last)
	jump := seen.Round(0).Sub(e.last.Round(0)) - passed
	if passed < 0 {
		jump = passed
	}
	if jump.Abs() < jumpFrom {
		return
	}
	e.shift(jump)
	e.write(&Record{Shift: jump})
}

// shift moves every time by d.
func (e *Engine) shift(d time.Duration) {
	move := func(t *time.Time) {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
	for _, x := range e.byID {
		move(&x.Made)
		move(&x.Until)
		move(&x.Ended)
	}
	for s, o := range e.offences {
		move(&o.Last)
		e.offences[s] = o
	}
	for p, t := range e.pardons {
		e.pardons[p] = t.Add(d)
	}
	for c := range e.recent {
		for i := range e.recent[c] {
			move(&e.recent[c][i])
		}
	}
	if e.override != nil {
		move(&e.override.Until)
	}
	clear(e.noted)
	e.logins.shift(d)
}

// settle mends what was read: nothing lasts longer than it was made for, whatever
// the clock did while nobody looked.
func (e *Engine) settle(now time.Time) {
	for _, d := range e.byID {
		if !d.live() {
			continue
		}
		if d.Made.After(now) {
			d.Made = now
		}
		longest := d.TTL
		if d.State == Waiting {
			longest = e.policy.Expiry
		}
		if end := now.Add(longest); d.Until.After(end) {
			d.Until = end
		}
	}
	heap.Init(&e.due)
	for s, o := range e.offences {
		if o.Last.After(now) {
			o.Last = now
			e.offences[s] = o
		}
	}
	slices.SortStableFunc(e.ended, func(a, b *Decision) int { return a.Ended.Compare(b.Ended) })
}

// end ends a decision.
func (e *Engine) end(d *Decision, s State, who, why string, now time.Time) {
	e.unlink(d)
	d.State, d.Ended, d.Ender, d.EndWhy, d.Approval = s, now, who, why, ""
	e.ended = append(e.ended, d)
	c := *d
	e.write(&Record{Decision: &c})
}

// Compact writes the store anew where most of it says nothing any more, and
// forgets what ended long ago. It holds decisions up for as long as it takes to
// copy the state, not to write it.
func (e *Engine) Compact() error {
	e.mu.Lock()
	e.tick()
	e.prune()
	size := len(e.byID) + len(e.offences) + len(e.logins.byPrefix)
	if e.cfg.Store.Len() <= 2*size+10_000 {
		e.mu.Unlock()
		return nil
	}
	write, err := e.cfg.Store.Cut()
	var recs []*Record
	if err == nil {
		recs = e.snapshot()
	}
	e.mu.Unlock()
	if err != nil {
		return fmt.Errorf("compact the decisions: %w", err)
	}
	if err := write(slices.Values(recs)); err != nil {
		return fmt.Errorf("compact the decisions: %w", err)
	}
	return nil
}

// rewrite keeps everything after a write has failed.
func (e *Engine) rewrite() {
	write, err := e.cfg.Store.Cut()
	if err == nil {
		err = errors.Join(write(slices.Values(e.snapshot())), e.cfg.Store.Sync())
	}
	if err == nil {
		e.dirty = false
		e.tell(Notice{Kind: "recovered", Text: "decisions are written down again, those of the meantime too"})
	}
}

// prune forgets what ended too long ago, or is too much.
func (e *Engine) prune() {
	now := e.last.Round(0)
	n := max(0, len(e.ended)-maxEnded)
	for n < len(e.ended) && now.Sub(e.ended[n].Ended) > keepEnded {
		n++
	}
	for _, d := range e.ended[:n] {
		e.erase(d)
	}
	e.ended = slices.Clone(e.ended[n:])
	for s, o := range e.offences {
		if e.steps(o, now) == 0 {
			e.dropOffence(s)
		}
	}
	for p, t := range e.pardons {
		if now.Sub(t) > keepEnded {
			delete(e.pardons, p)
		}
	}
	e.logins.prune(now.Add(-e.policy.Legitimate))
}

// erase takes a decision that is over out of memory.
func (e *Engine) erase(d *Decision) {
	if e.byID[d.ID] != d || d.live() {
		return
	}
	delete(e.byID, d.ID)
	for _, id := range d.Events {
		if e.evidence[id] == d.ID {
			delete(e.evidence, id)
		}
	}
}

// snapshot is the whole state as records of its own.
func (e *Engine) snapshot() []*Record {
	recs := make([]*Record, 0, len(e.byID)+len(e.offences)+len(e.logins.byPrefix)+len(e.pardons)+1)
	keep := func(ds iter.Seq[*Decision]) {
		for d := range ds {
			c := *d
			recs = append(recs, &Record{Decision: &c})
		}
	}
	keep(slices.Values(e.ended))
	keep(func(yield func(*Decision) bool) {
		for _, d := range e.byID {
			if d.live() && !yield(d) {
				return
			}
		}
	})
	for s, o := range e.offences {
		m := Enforce
		if s.observed {
			m = Observe
		}
		recs = append(recs, &Record{Offence: &offenceLine{m, s.prefix, o}})
	}
	for _, l := range e.logins.all() {
		recs = append(recs, &Record{Login: &l})
	}
	for p, t := range e.pardons {
		recs = append(recs, &Record{Pardon: &pardon{p, t}})
	}
	if e.override != nil {
		o := *e.override
		recs = append(recs, &Record{Override: &o})
	}
	return recs
}
