package score

import (
	"math"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"time"
)

// party is a step or an activity, as something that evidence may belong to.
type party struct {
	acts      *Acts
	step      int // index in Truth.Steps, -1
	activity  int // index in Truth.Activities, -1
	technique string
	tactic    string
	until     time.Time     // the last moment of a verdict that counts
	lag       time.Duration // how long after an act something exact may still be about it
	addrs     map[netip.Addr]bool
	users     map[string]bool // by host
}

// span is when something was; both ends belong to it.
type span struct{ from, to time.Time }

// instant is how long an act may take and still be one moment: about what the
// stamps of two logs of the same act differ by.
const instant = 10 * time.Millisecond

// series is a set of spans that answers how many of them touch another one, and
// how far a moment lies from the nearest.
type series struct{ starts, ends, instants []time.Time }

func (s *series) add(sp span) {
	s.starts = append(s.starts, sp.from)
	s.ends = append(s.ends, sp.to)
	if sp.to.Sub(sp.from) <= instant {
		s.instants = append(s.instants, sp.from)
	}
}

func (s *series) sort() {
	slices.SortFunc(s.starts, time.Time.Compare)
	slices.SortFunc(s.ends, time.Time.Compare)
	slices.SortFunc(s.instants, time.Time.Compare)
}

// touching counts the spans that overlap sp: those that began before it ended,
// less those that were over before it began.
func (s *series) touching(sp span) int {
	return upTo(s.starts, sp.to) - before(s.ends, sp.from)
}

// moment says whether one of the acts that are moments is at sp.
func (s *series) moment(sp span) bool {
	return upTo(s.instants, sp.to.Add(instant)) > before(s.instants, sp.from.Add(-instant))
}

// distance is how far sp lies from the nearest span.
func (s *series) distance(sp span) time.Duration {
	if s.touching(sp) > 0 {
		return 0
	}
	least := time.Duration(math.MaxInt64)
	if next := upTo(s.starts, sp.to); next < len(s.starts) {
		least = s.starts[next].Sub(sp.to)
	}
	if last := before(s.ends, sp.from); last > 0 {
		least = min(least, sp.from.Sub(s.ends[last-1]))
	}
	return least
}

// upTo counts the sorted times that are not after t, before those before it.
func upTo(times []time.Time, t time.Time) int {
	return sort.Search(len(times), func(i int) bool { return times[i].After(t) })
}

func before(times []time.Time, t time.Time) int {
	return sort.Search(len(times), func(i int) bool { return !times[i].Before(t) })
}

// key is one thing by which evidence is joined. The kinds share one table: a
// key holds what its kind needs and nothing else.
type key struct {
	kind  link
	tuple Tuple
	a, b  netip.Addr
	port  uint16
	text  string
	user  string
}

// index finds the parties that a piece of evidence may belong to.
type index struct {
	parties []party
	series  map[key]map[int]*series // by party
	addrsOf map[string][]netip.Addr
	hostAt  map[netip.Addr]string
	own     map[netip.Addr]int // parties that everything from an address belongs to
}

func newIndex(t *Truth, r Rules) *index {
	x := &index{
		series:  map[key]map[int]*series{},
		addrsOf: map[string][]netip.Addr{},
		hostAt:  map[netip.Addr]string{},
		own:     map[netip.Addr]int{},
	}
	for i := range t.Hosts {
		name := hostName(t.Hosts[i].Name)
		for _, a := range t.Hosts[i].Addrs {
			a = a.Unmap().WithZone("")
			x.addrsOf[name] = append(x.addrsOf[name], a)
			x.hostAt[a] = name
		}
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Outcome == NotRun {
			continue
		}
		x.parties = append(x.parties, party{
			acts: &s.Acts, step: i, activity: -1, technique: s.Technique, tactic: s.Tactic,
			until: end(s.Started.Add(limit(s.Expect, r)), s.Ended), lag: limit(s.Expect, r),
		})
	}
	for i := range t.Activities {
		a := &t.Activities[i]
		for _, addr := range a.Addrs {
			x.own[addr.Unmap().WithZone("")] = len(x.parties)
		}
		x.parties = append(x.parties, party{
			acts: &a.Acts, step: -1, activity: i,
			until: end(a.Started, a.Ended).Add(r.ZeroAt), lag: r.ZeroAt,
		})
	}
	for i := range x.parties {
		x.learn(i)
	}
	for _, by := range x.series {
		for _, s := range by {
			s.sort()
		}
	}
	return x
}

// limit is how long after its beginning a step may be detected. A step that lasts
// longer may be detected until it ends.
func limit(e Expect, r Rules) time.Duration {
	if e.Within > 0 {
		return e.Within
	}
	return r.ZeroAt
}

func end(started, ended time.Time) time.Time {
	if ended.Before(started) {
		return started
	}
	return ended
}

// learn takes the acts of party i in.
func (x *index) learn(i int) {
	p := &x.parties[i]
	p.addrs, p.users = map[netip.Addr]bool{}, map[string]bool{}
	for j := range p.acts.Flows {
		f := &p.acts.Flows[j]
		when := span{f.Start, end(f.Start, f.End)}
		if f.Start.IsZero() {
			when = span{p.acts.Started, end(p.acts.Started, p.acts.Ended)}
		}
		x.learnTuple(i, f.Tuple, when)
		for _, t := range f.As {
			x.learnTuple(i, t, when)
		}
	}
	for j := range p.acts.Traces {
		x.learnTrace(i, &p.acts.Traces[j])
	}
}

func (x *index) learnTuple(i int, t Tuple, when span) {
	t = clean(t)
	src, dst := t.Src.Addr(), t.Dst.Addr()
	x.put(i, key{kind: byFlow, tuple: canonical(t)}, when)
	x.put(i, key{kind: byPort, a: src, b: dst, port: t.Dst.Port()}, when)
	x.put(i, key{kind: byPair, a: src, b: dst}, when)
	x.put(i, key{kind: bySource, a: src}, when)
	x.parties[i].addrs[src] = true
	x.parties[i].addrs[dst] = true
}

func (x *index) learnTrace(i int, t *Trace) {
	p := &x.parties[i]
	when := span{t.At, end(t.At, t.Until)}
	if t.At.IsZero() {
		when = span{p.acts.Started, end(p.acts.Started, p.acts.Ended)}
	}
	host, user := hostName(t.Host), userName(t.User)
	if t.Record != "" {
		x.put(i, key{kind: byRecord, text: t.Record}, when)
	}
	if t.Token != "" {
		x.put(i, key{kind: byToken, text: t.Token}, when)
	}
	if host == "" {
		return
	}
	x.put(i, key{kind: byHost, text: host}, when)
	if user != "" {
		x.put(i, key{kind: byUser, text: host, user: user}, when)
		p.users[host] = true
	}
}

func (x *index) put(i int, k key, when span) {
	by := x.series[k]
	if by == nil {
		by = map[int]*series{}
		x.series[k] = by
	}
	if by[i] == nil {
		by[i] = &series{}
	}
	by[i].add(when)
}

// clean gives addresses their plain form, so that ::ffff:10.0.0.1 is 10.0.0.1.
func clean(t Tuple) Tuple {
	plain := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	return Tuple{Proto: strings.ToLower(t.Proto), Src: plain(t.Src), Dst: plain(t.Dst)}
}

// canonical is the same for both directions of a flow: a sensor that saw the
// answer names the server as the source.
func canonical(t Tuple) Tuple {
	if t.Dst.Compare(t.Src) < 0 {
		t.Src, t.Dst = t.Dst, t.Src
	}
	return t
}

// hostName is a host's first label in lower case: WS01.corp.example and ws01
// are one.
func hostName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if _, err := netip.ParseAddr(s); err == nil {
		return s
	}
	s, _, _ = strings.Cut(s, ".")
	return s
}

// userName drops the domain of CORP\alice and alice@corp.example.
func userName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if i := strings.LastIndexByte(s, '\\'); i >= 0 {
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, "@")
	return s
}
