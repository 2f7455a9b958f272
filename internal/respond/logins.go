package respond

import (
	"container/list"
	"net/netip"
	"time"
)

// logins are the sources that logged in to something real, the longest unseen at
// the front, at most maxLogins.
type logins struct {
	byPrefix map[netip.Prefix]*list.Element // of *Login
	order    *list.List
}

func newLogins() logins { return logins{map[netip.Prefix]*list.Element{}, list.New()} }

func (l *logins) get(p netip.Prefix) *Login {
	if at := l.byPrefix[p]; at != nil {
		return at.Value.(*Login)
	}
	return nil
}

// put takes one over as it is.
func (l *logins) put(one Login) {
	if at := l.byPrefix[one.Prefix]; at != nil {
		l.order.Remove(at)
	} else if len(l.byPrefix) >= maxLogins {
		l.drop(l.order.Front())
	}
	l.byPrefix[one.Prefix] = l.order.PushBack(&one)
}

func (l *logins) drop(at *list.Element) {
	delete(l.byPrefix, l.order.Remove(at).(*Login).Prefix)
}

func (l *logins) all() []Login {
	out := make([]Login, 0, len(l.byPrefix))
	for at := l.order.Front(); at != nil; at = at.Next() {
		out = append(out, *at.Value.(*Login))
	}
	return out
}

func (l *logins) shift(d time.Duration) {
	for at := l.order.Front(); at != nil; at = at.Next() {
		one := at.Value.(*Login)
		one.First, one.Last = one.First.Add(d), one.Last.Add(d)
	}
}

// prune drops those last seen before t.
func (l *logins) prune(t time.Time) {
	for at := l.order.Front(); at != nil; {
		next := at.Next()
		if at.Value.(*Login).Last.Before(t) {
			l.drop(at)
		}
		at = next
	}
}

// Login notes that a source logged in to something real (never to a decoy), as
// its log says. Only the first of a source and day is written down.
func (e *Engine) Login(from netip.Addr, user string, at time.Time) {
	if !from.IsValid() {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	if at.IsZero() || at.After(now) { // a clock of somebody else
		at = now
	}
	p := Unit(from)
	l, fresh := Login{Prefix: p, User: user, First: at, Last: at, Days: 1}, true
	if old := e.logins.get(p); old != nil && now.Sub(old.Last) <= e.policy.Legitimate {
		fresh = at.Truncate(day).After(old.Last.Truncate(day))
		l.First, l.Days = old.First, old.Days
		if l.First.After(at) {
			l.First = at
		}
		if old.Last.After(at) {
			l.Last = old.Last
		}
		if fresh {
			l.Days++
		}
	}
	e.logins.put(l)
	if fresh {
		c := l
		e.write(&Record{Login: &c})
	}
}

const day = 24 * time.Hour

// legitimate finds a source inside p that logged in within the last days, and did
// so long enough before the offence began that its own success is not the reason.
// many tells that more than the share that may be hit is inside.
func (e *Engine) legitimate(p netip.Prefix, offence, now time.Time) (one *Login, many bool) {
	from, before := now.Add(-e.policy.Legitimate), offence.Add(-e.policy.Settle)
	counts := func(l *Login) bool { return !l.Last.Before(from) && l.First.Before(before) }
	if p.Bits() == Unit(p.Addr()).Bits() {
		if l := e.logins.get(p); l != nil && counts(l) {
			return l, e.policy.Share == 0 || 1 > e.policy.Share*float64(len(e.logins.byPrefix))
		}
		return nil, false
	}
	inside, all := 0, 0
	for _, at := range e.logins.byPrefix {
		l := at.Value.(*Login)
		if !counts(l) {
			continue
		}
		all++
		if p.Overlaps(l.Prefix) {
			inside++
			one = l
		}
	}
	return one, inside > 0 && float64(inside) > e.policy.Share*float64(all)
}

// LoggedIn tells whether an address, or its /64, logged in to something real
// within the last d.
func (e *Engine) LoggedIn(a netip.Addr, d time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.logins.get(Unit(a))
	return l != nil && e.last.Sub(l.Last) <= d
}
