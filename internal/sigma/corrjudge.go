package sigma

import (
	"math"
	"slices"
)

// verdict is what a group's state comes to at a time.
type verdict struct {
	holds       bool
	count       int     // matches, values, or rules; for event_count that slides: at least
	value       float64 // of value_sum, value_avg, value_percentile
	first, last int64
	cut         bool // samples were merged or dropped to keep the state small
}

// slide takes a match into the state of a correlation that is judged at each
// match, over the time (t-span, t].
func (k *correlation) slide(s *store, st *groupState, p *Point) verdict {
	switch k.Type {
	case EventCount:
		return k.slideCount(s, st, p.Time)
	case ValueCount:
		return k.slideValues(s, st, p)
	case Temporal:
		return k.slideTemporal(s, st, p)
	case TemporalOrdered:
		return k.slideOrdered(s, st, p)
	default:
		return k.slideSamples(s, st, p)
	}
}

// slideCount keeps the last need times: the condition holds when the oldest of
// them is in the window.
func (k *correlation) slideCount(s *store, st *groupState, t int64) verdict {
	if st.n > 0 && t-st.touched >= k.span {
		st.n, st.head = 0, 0
	}
	need := uint32(k.need)
	if st.n < need {
		w := s.grow(st, int(st.n)+1, k.need)
		w[st.n] = uint64(t)
		st.n++
	} else {
		w := s.words(st)
		w[st.head] = uint64(t)
		st.head = uint16((uint32(st.head) + 1) % need)
	}
	w := s.words(st)
	first := int64(w[st.head])
	if st.n == need && t-first < k.span {
		return verdict{holds: true, count: k.need, first: first, last: t}
	}
	return verdict{}
}

// slideValues keeps the need values seen last, each with the time when: pairs
// of words, the newest at the end.
func (k *correlation) slideValues(s *store, st *groupState, p *Point) verdict {
	w := s.words(st)
	n := int(st.n)
	at := -1
	for i := n - 1; i >= 0; i-- {
		if w[2*i] == p.value {
			at = i
			break
		}
	}
	switch {
	case at >= 0:
		copy(w[2*at:], w[2*at+2:2*n])
		n--
	case n == k.need:
		copy(w, w[2:2*n])
		n--
	default:
		w = s.grow(st, 2*(n+1), 2*k.need)
	}
	w[2*n], w[2*n+1] = p.value, uint64(p.Time)
	n++
	for n > 0 && p.Time-int64(w[1]) >= k.span { // left the window
		copy(w, w[2:2*n])
		n--
	}
	st.n = uint32(n)
	return verdict{holds: n >= k.need, count: n, first: int64(w[1]), last: p.Time}
}

// slideTemporal keeps when each rule matched last; 0 stands for never.
func (k *correlation) slideTemporal(s *store, st *groupState, p *Point) verdict {
	w := s.grow(st, k.words, k.words)
	w[p.at] = timeWord(p.Time)
	v := verdict{first: p.Time, last: p.Time}
	var seen uint64
	for i, x := range w[:k.words] {
		if t := wordTime(x); x != 0 && p.Time-t < k.span {
			seen |= 1 << i
			v.count++
			v.first = min(v.first, t)
		}
	}
	if k.expr == nil {
		v.holds = v.count >= k.need
		return v
	}
	for i := range k.terms {
		v.holds = v.holds || k.terms[i].met(seen)
	}
	return v
}

// timeWord is a time as a word that is not 0, which stands for never.
func timeWord(t int64) uint64 {
	if t == 0 {
		t = 1
	}
	return uint64(t)
}

func wordTime(w uint64) int64 { return int64(w) }

func (t *term) met(seen uint64) bool {
	if seen&t.no != 0 {
		return false
	}
	for _, r := range t.yes {
		if seen>>r&1 == 0 {
			return false
		}
	}
	return true
}

// slideOrdered keeps for each beginning of each term the latest time at which
// it can have begun.
func (k *correlation) slideOrdered(s *store, st *groupState, p *Point) verdict {
	w := s.grow(st, k.words, k.words)
	v := verdict{last: p.Time}
	for i := range k.terms {
		t := &k.terms[i]
		for j, v := range slices.Backward(t.yes) {
			if v != p.at {
				continue
			}
			if j == 0 {
				w[t.at] = timeWord(p.Time)
			} else if w[t.at+j-1] != 0 {
				w[t.at+j] = w[t.at+j-1]
			}
		}
		last := w[t.at+len(t.yes)-1]
		if start := wordTime(last); last != 0 && p.Time-start < k.span && (!v.holds || start > v.first) {
			v.holds, v.first, v.count = true, start, len(t.yes)
		}
	}
	return v
}

// slideSamples keeps the samples in the window: time, value and of how many it
// is the sum.
func (k *correlation) slideSamples(s *store, st *groupState, p *Point) verdict {
	n := int(st.n)
	w := s.words(st)
	old := 0
	for old < n && p.Time-int64(w[3*old]) >= k.span {
		old++
	}
	copy(w, w[3*old:3*n])
	n -= old
	v := verdict{last: p.Time}
	if n == maxSamples {
		v.cut = true
		if k.Type != ValuePercentile {
			w[4] = math.Float64bits(math.Float64frombits(w[1]) + math.Float64frombits(w[4]))
			w[5] += w[2]
		}
		copy(w, w[3:3*n])
		n--
	}
	w = s.grow(st, 3*(n+1), 3*maxSamples)
	w[3*n], w[3*n+1], w[3*n+2] = uint64(p.Time), p.value, 1
	n++
	st.n = uint32(n)
	v.first = int64(w[0])
	v.value, v.count = k.aggregate(w[:3*n])
	v.holds = k.bounds(v.value)
	return v
}

// aggregate is the sum, mean or percentile of samples, oldest first.
func (k *correlation) aggregate(w []uint64) (float64, int) {
	sum, count := 0.0, 0
	var values []float64
	for i := 0; i < len(w); i += 3 {
		x := math.Float64frombits(w[i+1])
		sum += x
		count += int(w[i+2])
		if k.Type == ValuePercentile {
			values = append(values, x)
		}
	}
	switch k.Type {
	case ValueSum:
		return sum, count
	case ValueAvg:
		return sum / float64(count), count
	}
	return percentile(values, k.Percentile), count
}

// percentile is the value at the nearest rank: the median of an even number of
// values is the lower of the two in the middle.
func percentile(values []float64, p float64) float64 {
	slices.Sort(values)
	rank := int(math.Ceil(p / 100 * float64(len(values))))
	return values[max(rank-1, 0)]
}

func (k *correlation) bounds(x float64) bool {
	for _, b := range k.Bounds {
		if !b.op.holds(x, b.Value) {
			return false
		}
	}
	return true
}

// collect takes a match into a window that is judged when it ends. The first
// word is the time of the latest match.
func (k *correlation) collect(s *store, st *groupState, p *Point) (cut bool) {
	const last = 0
	switch k.Type {
	case EventCount:
		w := s.grow(st, 1, 1)
		w[last] = uint64(p.Time)
		st.n++
	case ValueCount:
		return k.collectValue(s, st, p)
	case Temporal, TemporalOrdered:
		w := s.grow(st, 1+k.words, 1+k.words)
		w[last] = uint64(p.Time)
		st.n++
		w[k.words] |= 1 << p.at // the last of the words
		for i := range k.terms {
			t := &k.terms[i]
			if next := w[1+t.at]; k.Type == TemporalOrdered && next < uint64(len(t.yes)) && t.yes[next] == p.at {
				w[1+t.at]++
			}
		}
	default:
		n := int(st.n)
		if n == maxSamples {
			cut = true
			w := s.words(st)[1:]
			if k.Type != ValuePercentile {
				w[4] = math.Float64bits(math.Float64frombits(w[1]) + math.Float64frombits(w[4]))
				w[5] += w[2]
			}
			copy(w, w[3:3*n])
			n--
		}
		w := s.grow(st, 1+3*(n+1), 1+3*maxSamples)
		w[last] = uint64(p.Time)
		w[3*n+1], w[3*n+2], w[3*n+3] = uint64(p.Time), p.value, 1
		st.n = uint32(n + 1)
	}
	return cut
}

func (k *correlation) collectValue(s *store, st *groupState, p *Point) bool {
	w := s.grow(st, 1+int(st.n), 1+k.keep)
	w[0] = uint64(p.Time)
	if slices.Contains(w[1:1+st.n], p.value) {
		return false
	}
	if int(st.n) >= k.keep { // enough to know that every bound is passed
		return false
	}
	w = s.grow(st, 2+int(st.n), 1+k.keep)
	w[1+st.n] = p.value
	st.n++
	return false
}

// close judges a window that has ended; st.touched is its end.
func (k *correlation) close(s *store, st *groupState) verdict {
	w := s.words(st)
	v := verdict{first: st.touched - k.span, last: int64(w[0]), count: int(st.n)}
	switch k.Type {
	case EventCount, ValueCount:
		v.holds = k.bounds(float64(st.n))
	case Temporal, TemporalOrdered:
		seen := w[k.words]
		v.count = popcount(seen)
		if k.expr == nil {
			v.holds = k.bounds(float64(v.count))
			return v
		}
		for i := range k.terms {
			t := &k.terms[i]
			ok := t.met(seen)
			if k.Type == TemporalOrdered {
				ok = ok && int(w[1+t.at]) == len(t.yes)
			}
			v.holds = v.holds || ok
		}
	default:
		v.value, v.count = k.aggregate(w[1 : 1+3*st.n])
		v.holds = k.bounds(v.value)
	}
	return v
}

// start is the number of words that a group's state begins with.
func (k *correlation) start() int {
	switch k.Type {
	case Temporal, TemporalOrdered:
		return k.words + b2i(k.closing)
	case EventCount:
		return 1 + b2i(!k.closing && k.need > 1)
	case ValueCount:
		return 2
	default:
		return 4
	}
}
