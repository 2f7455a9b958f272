package sigma

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// CorrelatorOptions bounds a Correlator. The zero value is good for replaying
// what is sorted; a live one sets Lateness.
type CorrelatorOptions struct {
	// Lateness is how long a match is waited for: correlations are judged in the
	// order of event time, that much behind the newest. What comes later still is
	// counted and left out.
	Lateness time.Duration
	// MaxKeys is the number of groups of all correlations (default 1,000,000).
	// Beyond it those in which least was counted are forgotten, and of these those
	// that were quiet longest; that is counted. A flood of groups of one match
	// each thus takes no other's place.
	MaxKeys int
	// MaxPending is the number of matches that wait (default 1,000,000). Beyond it
	// the earliest are judged before their time and counted.
	MaxPending int
	// MaxAhead is how far beyond the time given to Advance a match may be dated
	// (default 10 minutes). One dated later is taken for a false clock: it is
	// dated back, so that it cannot make all others late. Without Advance it has
	// no effect.
	MaxAhead time.Duration
	// Immediate judges correlations that only count up (event_count and value_count
	// with gt or gte alone) at each match instead of Lateness later; the others
	// still wait. A match that is too late for these is then judged all the same.
	Immediate bool
}

// CorrelatorStats counts what bounds have done.
type CorrelatorStats struct {
	Points, Late, Ahead, Forced, Evicted, Expired, Cut, Fired uint64
	Keys, Pending                                             int
}

// Alert is a correlation that fired.
type Alert struct {
	Rule  *Rule
	Group map[string]string // values of group-by, by field or alias
	// Count is the number of matches, values or rules in the window; of an
	// event_count with gt or gte alone it is the number asked for, and there may
	// be more.
	Count int
	Value float64 // of value_sum, value_avg and value_percentile
	// Time is when it fired: the time of the last match, or the end of the window
	// where the condition can only be judged then (lt, lte, eq, neq, not).
	Time        int64
	First, Last int64 // of the matches, as far as they are kept
	Ref         uint64
}

const shardCount = 16

// Correlator judges correlations over matches. Its methods may be called at
// once. State is kept in shards by group; correlations that feed each other
// share a shard, so that they are judged in order.
type Correlator struct {
	eng    *Engine
	opts   CorrelatorOptions
	seed   maphash.Seed
	shards [shardCount]shard
	newest atomic.Int64 // event time
	now    atomic.Int64
	done   atomic.Int64 // everything before this time has been judged
	keys   atomic.Int64
	points atomic.Uint64
	ahead  atomic.Uint64
}

// shard holds part of the groups.
type shard struct {
	mu      sync.Mutex
	cor     *Correlator
	store   *store
	pending []pendingPoint // heap by time, then by order of arrival
	timers  []timer        // heap by end
	seq     uint64
	done    int64        // judged before its time up to here
	next    atomic.Int64 // earliest time at which there is something to do
	alerts  []Alert
	text    []byte
	warmed  uint64
	stats   CorrelatorStats
}

type pendingPoint struct {
	Point
	seq uint64
}

// timer ends a window that is judged at its end.
type timer struct {
	end  int64
	hash uint64
	cor  int32
	n    int32 // state
}

// NewCorrelator makes a correlator for the engine's correlations.
func NewCorrelator(e *Engine, opts CorrelatorOptions) *Correlator {
	if opts.MaxKeys <= 0 {
		opts.MaxKeys = 1_000_000
	}
	if opts.MaxPending <= 0 {
		opts.MaxPending = 1_000_000
	}
	if opts.MaxAhead <= 0 {
		opts.MaxAhead = 10 * time.Minute
	}
	c := &Correlator{eng: e, opts: opts, seed: maphash.MakeSeed()}
	c.newest.Store(never)
	c.now.Store(never)
	c.done.Store(never)
	for i := range c.shards {
		s := &c.shards[i]
		s.cor, s.store, s.done = c, newStore(), never
		s.next.Store(math.MaxInt64)
	}
	return c
}

// Replay judges all correlations over points, which it sorts by time: exact,
// whatever the order in which files were read. Alerts come in order of time.
func Replay(e *Engine, points []Point, opts CorrelatorOptions) ([]Alert, CorrelatorStats) {
	slices.SortStableFunc(points, func(a, b Point) int { return cmp.Compare(a.Time, b.Time) })
	opts.Lateness = 0
	c := NewCorrelator(e, opts)
	var out []Alert
	for len(points) > 0 {
		n := min(len(points), 4096)
		out = append(out, c.Add(points[:n])...)
		points = points[n:]
	}
	out = append(out, c.Close()...)
	sortAlerts(out)
	return out, c.Stats()
}

func sortAlerts(a []Alert) {
	slices.SortStableFunc(a, func(x, y Alert) int { return cmp.Compare(x.Time, y.Time) })
}

// Add takes matches in and gives the alerts that are due.
func (c *Correlator) Add(points []Point) []Alert {
	if c.opts.Immediate {
		return c.addNow(points)
	}
	newest, now := c.newest.Load(), c.now.Load()
	var byShard [shardCount]int
	for i := range points {
		p := &points[i]
		if now != never && p.Time > now+int64(c.opts.MaxAhead) {
			p.Time = now
			c.ahead.Add(1)
		}
		newest = max(newest, p.Time)
		p.hash = c.hash(p.cor, p.group)
		p.shard = c.shardOf(p.cor, p.hash)
		byShard[p.shard]++
	}
	c.points.Add(uint64(len(points)))
	for k, n := range byShard {
		if n == 0 {
			continue
		}
		s := &c.shards[k]
		s.mu.Lock()
		for i := range points {
			if p := &points[i]; int(p.shard) == k {
				s.push(p)
			}
		}
		s.mu.Unlock()
	}
	raise(&c.newest, newest)
	return c.release()
}

// Advance tells the time, in nanoseconds since 1970, so that windows end and
// alerts are given while no match comes in. What is dated more than Lateness
// before now is late from then on: a caller whose sources lag gives the time of
// day less that lag.
func (c *Correlator) Advance(now int64) []Alert {
	c.now.Store(now)
	raise(&c.newest, now)
	return c.release()
}

func raise(a *atomic.Int64, t int64) {
	for {
		old := a.Load()
		if t <= old || a.CompareAndSwap(old, t) {
			return
		}
	}
}

// release judges what is due in every shard.
func (c *Correlator) release() []Alert {
	newest := c.newest.Load()
	if newest == never {
		return nil
	}
	return c.releaseTo(newest - int64(c.opts.Lateness))
}

func (c *Correlator) releaseTo(mark int64) []Alert {
	raise(&c.done, mark)
	var out []Alert
	for i := range c.shards {
		s := &c.shards[i]
		if s.next.Load() > mark {
			continue
		}
		s.mu.Lock()
		s.run(mark)
		out = append(out, s.alerts...)
		s.alerts = s.alerts[:0]
		s.mu.Unlock()
	}
	sortAlerts(out)
	return out
}

// Close judges everything that waits and ends every window.
func (c *Correlator) Close() []Alert { return c.releaseTo(math.MaxInt64 - 1) }

// Stats is what has happened so far.
func (c *Correlator) Stats() CorrelatorStats {
	out := CorrelatorStats{Points: c.points.Load(), Ahead: c.ahead.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		out.Late += s.stats.Late
		out.Forced += s.stats.Forced
		out.Evicted += s.stats.Evicted
		out.Expired += s.stats.Expired
		out.Cut += s.stats.Cut
		out.Fired += s.stats.Fired
		out.Keys += s.store.count
		out.Pending += len(s.pending)
		s.mu.Unlock()
	}
	return out
}

func (c *Correlator) hash(cor int32, group string) uint64 {
	return maphash.String(c.seed, group) ^ uint64(cor+1)*hashMul64
}

// rehash is the hash of a group for another correlation.
func (c *Correlator) rehash(hash uint64, from, to int32) uint64 {
	return hash ^ uint64(from+1)*hashMul64 ^ uint64(to+1)*hashMul64
}

func (c *Correlator) shardOf(cor int32, hash uint64) uint8 {
	if f := c.eng.cors[cor].family; f >= 0 {
		return uint8(uint64(f) * hashMul64 >> 60)
	}
	return uint8(hash >> 60)
}

func (s *shard) push(p *Point) {
	if p.Time < max(s.done, s.cor.done.Load()) {
		s.stats.Late++
		return
	}
	s.seq++
	s.pending = heapPush(s.pending, pendingPoint{*p, s.seq}, beforePoint)
	if len(s.pending) > s.cor.opts.MaxPending/shardCount+1 {
		s.stats.Forced++
		s.done = max(s.done, s.pending[0].Time)
		s.run(s.pending[0].Time)
	}
	s.setNext()
}

func beforePoint(a, b *pendingPoint) bool {
	return a.Time < b.Time || a.Time == b.Time && a.seq < b.seq
}

func beforeTimer(a, b *timer) bool { return a.end < b.end }

func (s *shard) setNext() {
	next := int64(math.MaxInt64)
	if len(s.pending) > 0 {
		next = s.pending[0].Time
	}
	if len(s.timers) > 0 {
		next = min(next, s.timers[0].end)
	}
	s.next.Store(next)
}

// run judges everything up to and including mark, in order of time; a window
// that ends comes before a match at the same time.
func (s *shard) run(mark int64) {
	for i := 0; ; i++ {
		if i%warmPoints == 0 && s.store.count > warmGroups {
			s.warmed += s.store.warm(s.pending[:min(len(s.pending), warmPoints)])
		}
		switch {
		case len(s.timers) > 0 && s.timers[0].end <= mark && (len(s.pending) == 0 || s.timers[0].end <= s.pending[0].Time):
			var t timer
			t, s.timers = heapPop(s.timers, beforeTimer)
			s.end(t)
			continue
		case len(s.pending) > 0 && s.pending[0].Time <= mark:
			var p pendingPoint
			p, s.pending = heapPop(s.pending, beforePoint)
			s.judge(&p.Point)
			continue
		}
		break
	}
	s.setNext()
}

// judge takes one match into its group.
func (s *shard) judge(p *Point) {
	k := s.cor.eng.cors[p.cor]
	st := s.store
	h := p.hash
	n := st.find(h, p.cor, p.group)
	if n >= 0 && k.closing && p.Time >= st.state(n).touched {
		s.end(timer{st.state(n).touched, h, p.cor, n})
		n = -1
	}
	if n < 0 {
		s.makeRoom(p.Time)
		n = st.insert(h, p.cor, p.group, k.start())
		s.cor.keys.Add(1)
		if k.closing {
			g := st.state(n)
			g.touched = p.Time + k.span
			s.timers = heapPush(s.timers, timer{g.touched, h, p.cor, n}, beforeTimer)
		}
	}
	g := st.state(n)
	if k.closing {
		if k.collect(st, g, p) {
			s.stats.Cut++
		}
		return
	}
	if p.Time < g.touched && s.cor.opts.Immediate {
		s.judgeLate(k, g, p)
		return
	}
	v := k.slide(st, g, p)
	g.touched = p.Time
	if v.cut {
		s.stats.Cut++
	}
	switch {
	case !v.holds:
		g.fired = never
	case g.fired == never || p.Time-g.fired >= k.span:
		g.fired = p.Time
		s.fire(k, p.group, v, p.Time, p.Ref)
	}
}

// judgeLate takes a match that is earlier than the latest of its group.
func (s *shard) judgeLate(k *correlation, g *groupState, p *Point) {
	if g.touched-p.Time >= k.span {
		s.stats.Late++
		return
	}
	if !k.ups() {
		late := *p
		late.Time = g.touched // in the order in which they came
		if v := k.slide(s.store, g, &late); v.holds && g.fired == never {
			g.fired = g.touched
			s.fire(k, p.group, v, g.touched, p.Ref)
		}
		return
	}
	if v := k.slideLate(s.store, g, p); v.holds && g.fired == never {
		g.fired = g.touched
		s.fire(k, p.group, v, g.touched, p.Ref)
	}
}

// end judges a window that is over and forgets it.
func (s *shard) end(t timer) {
	g := s.store.state(t.n)
	if !g.used || g.hash != t.hash || g.cor != t.cor || g.touched != t.end {
		return // evicted
	}
	k := s.cor.eng.cors[t.cor]
	v := k.close(s.store, g)
	s.text = s.store.text(g, s.text)
	group := string(s.text)
	s.drop(t.n)
	if v.holds {
		s.fire(k, group, v, t.end, 0)
	}
}

func (s *shard) drop(n int32) {
	s.store.remove(n)
	s.cor.keys.Add(-1)
}

// makeRoom forgets a group whose window is over, if there is one among the next
// few, and where there are too many groups the one among more that counts least.
func (s *shard) makeRoom(now int64) {
	live := func(g *groupState) bool {
		k := s.cor.eng.cors[g.cor]
		return k.closing || now-g.touched < k.span
	}
	if n := s.store.stalest(3, live); n >= 0 {
		s.drop(n)
		s.stats.Expired++
	}
	if s.cor.keys.Load() < int64(s.cor.opts.MaxKeys) {
		return
	}
	if n := s.store.poorest(16, s.weight); n >= 0 {
		s.drop(n)
		s.stats.Evicted++
	}
}

// weight is how much would be lost with a group: what was counted, as far as it is
// kept. Groups in which the order of different things counts are few and rest on
// others.
func (s *shard) weight(g *groupState) uint32 {
	if k := s.cor.eng.cors[g.cor]; k.Type == Temporal || k.Type == TemporalOrdered {
		return 16
	}
	return min(g.n, 16)
}

// fire gives an alert and feeds the correlations above.
func (s *shard) fire(k *correlation, group string, v verdict, t int64, ref uint64) {
	s.stats.Fired++
	if !k.rule.quiet {
		a := Alert{Rule: k.rule, Group: map[string]string{}, Count: v.count, Value: v.value, Time: t, First: v.first, Last: v.last, Ref: ref}
		for i, val := range splitGroup(group) {
			a.Group[k.GroupBy[i]] = val
		}
		s.alerts = append(s.alerts, a)
	}
	if len(k.feeds) == 0 {
		return
	}
	vals := splitGroup(group)
	for i := range k.feeds {
		if p, ok := k.feeds[i].point(s.cor.eng.cors[k.feeds[i].cor], vals); ok {
			p.Time, p.Ref = t, ref
			p.hash = s.cor.hash(p.cor, p.group)
			if s.cor.opts.Immediate {
				s.take(&p)
				s.setNext()
				continue
			}
			s.judge(&p)
		}
	}
}

// point is what a correlation that fired is to the one above it.
func (f *chainFeed) point(above *correlation, vals []string) (Point, bool) {
	p := Point{cor: f.cor, at: f.at}
	var buf []byte
	for _, i := range f.group {
		if i < 0 || i >= len(vals) {
			return p, false
		}
		buf = appendGroup(buf, []byte(vals[i]))
	}
	p.group = string(buf)
	buf = buf[:0]
	for _, i := range f.values {
		if i < 0 || i >= len(vals) {
			return p, false
		}
		if above.Type != ValueCount {
			var ok bool
			p.value, ok = numberBits([]byte(vals[i]))
			return p, ok
		}
		buf = appendValue(buf, []byte(vals[i]))
	}
	if len(f.values) > 0 {
		p.value = hashValue(buf)
	}
	return p, true
}

// heapPush and heapPop are a heap without interfaces.
func heapPush[T any](h []T, x T, before func(a, b *T) bool) []T {
	h = append(h, x)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !before(&h[i], &h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	return h
}

func heapPop[T any](h []T, before func(a, b *T) bool) (T, []T) {
	top, last := h[0], len(h)-1
	h[0] = h[last]
	var zero T
	h[last] = zero
	h = h[:last]
	for i := 0; ; {
		small := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if before(&h[c], &h[small]) {
				small = c
			}
		}
		if small == i {
			return top, h
		}
		h[i], h[small] = h[small], h[i]
		i = small
	}
}
