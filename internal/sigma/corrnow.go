package sigma

import "unsafe"

// A correlation that only counts up is true as soon as enough is counted: it
// need not wait for what may come late, which can only add. CorrelatorOptions
// with Immediate judge those at once; what is earlier than others of its group
// is put in its place. In order of time this finds what Replay finds. Out of
// order by less than Lateness it may differ where matches lie as far apart as
// the timespan, by less than Lateness, and in which match is named the last.

// ups tells whether a correlation only counts up.
func (k *correlation) ups() bool {
	return !k.closing && (k.Type == EventCount || k.Type == ValueCount)
}

// addNow is Add where options are Immediate. It keeps nothing of the points: they
// may be those of PointsNow.
func (c *Correlator) addNow(points []Point) []Alert {
	newest, now := c.newest.Load(), c.now.Load()
	var out []Alert
	var locked *shard
	for i := range points {
		p := &points[i]
		if now != never && p.Time > now+int64(c.opts.MaxAhead) {
			p.Time = now
			c.ahead.Add(1)
		}
		newest = max(newest, p.Time)
		if i > 0 && sameText(p.group, points[i-1].group) {
			p.hash = c.rehash(points[i-1].hash, points[i-1].cor, p.cor)
		} else {
			p.hash = c.hash(p.cor, p.group)
		}
		k := c.shardOf(p.cor, p.hash)
		s := &c.shards[k]
		if s != locked {
			if locked != nil {
				locked.mu.Unlock()
			}
			s.mu.Lock()
			locked = s
		}
		s.take(p)
		if len(s.alerts) > 0 {
			out = append(out, s.alerts...)
			s.alerts = s.alerts[:0]
		}
	}
	if locked != nil {
		locked.mu.Unlock()
	}
	c.points.Add(uint64(len(points)))
	raise(&c.newest, newest)
	if newest-int64(c.opts.Lateness) < c.next() {
		return out
	}
	out = append(out, c.release()...)
	sortAlerts(out)
	return out
}

// Waits tells whether some correlation will be judged later over one of the
// points, or over what they make fire.
func (c *Correlator) Waits(points []Point) bool {
	for i := range points {
		k := c.eng.cors[points[i].cor]
		if !c.opts.Immediate || !k.ups() || len(k.feeds) > 0 {
			return true
		}
	}
	return false
}

// sameText tells whether two texts are one in memory.
func sameText(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}

// next is the earliest time at which some shard has something to do.
func (c *Correlator) next() int64 {
	next := c.shards[0].next.Load()
	for i := range c.shards {
		next = min(next, c.shards[i].next.Load())
	}
	return next
}

// take judges a match now where that may be done, and lets it wait otherwise.
func (s *shard) take(p *Point) {
	k := s.cor.eng.cors[p.cor]
	if k.ups() {
		s.judge(p)
		return
	}
	if p.Time >= max(s.done, s.cor.done.Load()) || k.closing {
		q := *p
		q.group = string(bytesOf(p.group)) // the caller's
		s.push(&q)
		return
	}
	s.judge(p) // too late to be put in order: better judged so than not at all
}

// slideLate takes a match that is earlier than the latest of its group into the
// state of a correlation that counts up.
func (k *correlation) slideLate(s *store, st *groupState, p *Point) verdict {
	if k.Type == EventCount {
		return k.lateCount(s, st, p.Time)
	}
	return k.lateValue(s, st, p)
}

// lateCount puts a time among those kept. The windows that it may fill are those
// that begin with the earliest kept, before and after.
func (k *correlation) lateCount(s *store, st *groupState, t int64) verdict {
	need := k.need
	n := int(st.n)
	at := func(w []uint64, i int) *uint64 { return &w[(int(st.head)+i)%need] }
	if n < need {
		w := s.grow(st, n+1, need)
		i := n
		for ; i > 0 && int64(w[i-1]) > t; i-- { // head is 0 until the ring is full
			w[i] = w[i-1]
		}
		w[i] = uint64(t)
		st.n++
		first, last := int64(w[0]), int64(w[n])
		return verdict{holds: n+1 == need && last-first < k.span, count: need, first: first, last: last}
	}
	w := s.words(st)
	if first := int64(*at(w, 0)); t <= first {
		if need == 1 {
			return verdict{holds: true, count: 1, first: t, last: t}
		}
		last := int64(*at(w, need-2))
		return verdict{holds: last-t < k.span, count: need, first: t, last: last}
	}
	before := int64(*at(w, 0))
	i := 0
	for ; i+1 < need && int64(*at(w, i+1)) <= t; i++ {
		*at(w, i) = *at(w, i+1)
	}
	*at(w, i) = uint64(t)
	first, last := int64(*at(w, 0)), int64(*at(w, need-1))
	if last-first < k.span {
		return verdict{holds: true, count: need, first: first, last: last}
	}
	last = t // the window that ends with the last but one
	if need > 1 {
		last = int64(*at(w, need-2))
	}
	return verdict{holds: last-before < k.span, count: need, first: before, last: last}
}

// lateValue puts a value among those kept, unless it was seen later too.
func (k *correlation) lateValue(s *store, st *groupState, p *Point) verdict {
	w := s.words(st)
	n := int(st.n)
	for i := n - 1; i >= 0; i-- {
		if w[2*i] == p.value {
			if int64(w[2*i+1]) >= p.Time {
				return verdict{}
			}
			copy(w[2*i:], w[2*i+2:2*n])
			n--
			break
		}
	}
	if n == k.need { // as many as asked for, and all of them later or else
		st.n = uint32(n)
		return verdict{}
	}
	w = s.grow(st, 2*(n+1), 2*k.need)
	i := n
	for ; i > 0 && int64(w[2*i-1]) > p.Time; i-- {
		w[2*i], w[2*i+1] = w[2*i-2], w[2*i-1]
	}
	w[2*i], w[2*i+1] = p.value, uint64(p.Time)
	n++
	st.n = uint32(n)
	first, last := int64(w[1]), int64(w[2*n-1])
	return verdict{holds: n >= k.need && last-first < k.span, count: n, first: first, last: last}
}
