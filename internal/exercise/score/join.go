package score

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// link is a set of things that evidence and an act have in common. A higher bit
// is worth more than all lower ones together.
type link uint8

const (
	byHost   link = 1 << iota // host alone: only where the rule names the step's technique or tactic
	bySource                  // opener's address alone
	byPair                    // both addresses
	byPort                    // and the port of the service
	byUser                    // host and user
	byToken                   // honeytoken
	byFlow                    // all five values
	byRecord                  // the very record that the act wrote
)

// String is what a person reads in a reason.
func (l link) String() string {
	words := []struct {
		bit  link
		word string
	}{
		{byRecord, "record"},
		{byFlow, "flow"},
		{byToken, "token"},
		{byUser, "host and user"},
		{byPort, "source, destination and port"},
		{byPair, "source and destination"},
		{bySource, "source"},
		{byHost, "host and technique"},
	}
	var out []string
	covered := map[link]link{byFlow: byPort | byPair | bySource, byPort: byPair | bySource, byPair: bySource, byUser: byHost, byRecord: 0xff}
	for _, w := range words {
		if l&w.bit != 0 {
			out = append(out, w.word)
			l &^= covered[w.bit]
		}
	}
	return strings.Join(out, ", ")
}

// exact links leave no room for another act at the same time.
const exact = byRecord | byFlow | byToken

// evidence is one thing that was seen, prepared for joining.
type evidence struct {
	id    string
	when  span      // when it happened
	seen  time.Time // when it was judged
	last  time.Time // of a whole alert: when it was last added to
	vague bool      // only the time of the verdict is known
	whole bool      // stands for many events
	tuple Tuple
	host  string
	user  string
	token string
}

// match is one party that evidence may belong to.
type match struct {
	party int
	links link
	rank  int // nearness in time and likeness of meaning
	away  time.Duration
	n     int // acts that it may be about
}

// judge joins evidence to parties.
type judge struct {
	*index
	rules Rules
	truth *Truth
}

// prepare fills in what follows from the topology: the host that has an
// address, the addresses that a host has.
func (j *judge) prepare(e *evidence) []netip.Addr {
	e.tuple = clean(e.tuple)
	e.host, e.user = hostName(e.host), userName(e.user)
	if a, err := netip.ParseAddr(e.host); err == nil {
		if name := j.hostAt[a.Unmap()]; name != "" {
			e.host = name
		}
	}
	dst := e.tuple.Dst.Addr()
	if e.host == "" && dst.IsValid() {
		e.host = j.hostAt[dst]
	}
	if dst.IsValid() {
		return []netip.Addr{dst}
	}
	if j.hostAt[e.tuple.Src.Addr()] == e.host {
		return nil // it speaks of its own host
	}
	return j.addrsOf[e.host]
}

// matches are all parties that e may belong to, unordered.
func (j *judge) matches(e *evidence, rule *alert.Rule) []match {
	to := j.prepare(e)
	found := map[int]*match{}
	if e.id != "" {
		j.look(e, key{kind: byRecord, text: e.id}, found)
	}
	if e.token != "" {
		j.look(e, key{kind: byToken, text: e.token}, found)
	}
	full := e.tuple.full()
	if full {
		j.look(e, key{kind: byFlow, tuple: canonical(e.tuple)}, found)
	}
	known := linked(found, byFlow)
	if !known {
		j.network(e, to, found)
	}
	if e.host != "" {
		j.look(e, key{kind: byHost, text: e.host}, found)
		if e.user != "" {
			j.look(e, key{kind: byUser, text: e.host, user: e.user}, found)
		}
	}
	out := make([]match, 0, len(found))
	for i, m := range found {
		m.party = i
		if j.admit(e, m, rule, full && !known) {
			out = append(out, *m)
		}
	}
	return out
}

// network looks by less than all five values.
func (j *judge) network(e *evidence, to []netip.Addr, found map[int]*match) {
	src := e.tuple.Src.Addr()
	if !src.IsValid() {
		return
	}
	for _, dst := range to {
		if port := e.tuple.Dst.Port(); port != 0 {
			j.look(e, key{kind: byPort, a: src, b: dst, port: port}, found)
		}
		j.look(e, key{kind: byPair, a: src, b: dst}, found)
	}
	if len(to) == 0 {
		j.look(e, key{kind: bySource, a: src}, found)
	}
}

func linked(found map[int]*match, l link) bool {
	for _, m := range found {
		if m.links&l != 0 {
			return true
		}
	}
	return false
}

// full says whether all five values are known. ICMP has no ports.
func (t Tuple) full() bool {
	ports := t.Src.Port() != 0 && t.Dst.Port() != 0 || strings.HasPrefix(t.Proto, "icmp")
	return t.Proto != "" && ports && t.Src.Addr().IsValid() && t.Dst.Addr().IsValid()
}

// look adds the parties that have k at the time of e.
func (j *judge) look(e *evidence, k key, found map[int]*match) {
	for i, s := range j.series[k] {
		n := s.touching(j.window(e, k.kind, i))
		if k.kind == byRecord {
			n = 1
		}
		if n == 0 {
			continue
		}
		m := found[i]
		if m == nil {
			m = &match{away: time.Duration(1<<63 - 1)}
			found[i] = m
		}
		m.links |= k.kind
		m.n = max(m.n, n)
		m.away = min(m.away, s.distance(e.when))
		if e.whole || e.vague {
			continue
		}
		if s.moment(e.when) {
			m.rank = max(m.rank, 3)
		} else if s.touching(e.when) > 0 {
			m.rank = max(m.rank, 1)
		}
	}
}

// window is when an act must have been for e to be about it. Exact links may lag
// behind by the time limit; others only by what clocks are off.
func (j *judge) window(e *evidence, kind link, party int) span {
	p := &j.parties[party]
	lag := j.rules.Skew
	if e.vague || kind&exact != 0 {
		lag = max(lag, p.lag)
	}
	return span{e.when.from.Add(-lag), e.when.to.Add(j.rules.Skew)}
}

// admit drops what contradicts e or is too little, and adds the likeness of
// meaning to the rank.
func (j *judge) admit(e *evidence, m *match, rule *alert.Rule, stray bool) bool {
	p := &j.parties[m.party]
	like := General
	if rule != nil && p.step >= 0 {
		like = affine(rule.Techniques, rule.Tactics, p.technique, p.tactic)
	}
	src := e.tuple.Src.Addr()
	if src.IsValid() && len(p.addrs) > 0 && !p.addrs[src] {
		m.links &^= byUser | byHost // the same account, used from elsewhere
	}
	if stray && like < Tactic {
		m.links &^= byPort | byPair // a connection of somebody who is not known
	}
	if m.links&byUser == 0 && e.user != "" && p.users[e.host] {
		m.links &^= byHost // another account
	}
	if m.links == byHost && like < Tactic {
		m.links = 0
	}
	m.rank += int(like - General) // 0, 1 or 2
	return m.links != 0
}

// order puts the best match first. Where nothing tells two apart, the background
// comes before a step, so that no step is credited by chance.
func (j *judge) order(a, b match) int {
	return cmp.Or(
		cmp.Compare(b.links, a.links),
		cmp.Compare(nearer(b), nearer(a)),
		cmp.Compare(b.rank, a.rank),
		cmp.Compare(a.away, b.away),
		cmp.Compare(min(j.parties[a.party].step, 0), min(j.parties[b.party].step, 0)),
		j.parties[b.party].acts.Started.Compare(j.parties[a.party].acts.Started),
		cmp.Compare(a.party, b.party),
	)
}

// nearer lets time decide alone between exact links: a port that is used again
// is another flow.
func nearer(m match) int {
	if m.links&exact != 0 && m.away == 0 {
		return 1
	}
	return 0
}

// pick is who e belongs to: for one event one party or none; for a whole alert
// all steps that fit it as well as the best does.
func (j *judge) pick(e *evidence, rule *alert.Rule) []match {
	if i, ok := j.own[clean(e.tuple).Src.Addr()]; ok {
		return []match{{party: i, links: bySource, n: 1}}
	}
	all := j.matches(e, rule)
	if len(all) == 0 {
		if i, ok := j.own[e.tuple.Dst.Addr()]; ok { // an answer
			return []match{{party: i, links: bySource, n: 1}}
		}
		return nil
	}
	slices.SortFunc(all, j.order)
	if !e.whole {
		return all[:1]
	}
	best := slices.DeleteFunc(all, func(m match) bool { return m.links != all[0].links || m.rank != all[0].rank })
	steps := slices.DeleteFunc(slices.Clone(best), func(m match) bool { return j.parties[m.party].step < 0 })
	others := slices.DeleteFunc(slices.Clone(best), func(m match) bool { return j.parties[m.party].step >= 0 })
	most := func(ms []match) (n int) {
		for _, m := range ms {
			n = max(n, m.n)
		}
		return n
	}
	if most(steps) > most(others) {
		slices.SortFunc(steps, func(a, b match) int { return cmp.Compare(a.party, b.party) })
		return steps
	}
	slices.SortFunc(others, func(a, b match) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.party, b.party)) })
	return others[:1]
}
