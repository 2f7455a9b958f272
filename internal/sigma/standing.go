package sigma

import "time"

// Standing is where a correlation stands in one group.
type Standing struct {
	Rule  *Rule
	Group map[string]string
	// Have is what was counted in the window that ends with the match, Need from
	// which number on it fires; for temporal ones the rules seen, and all of them.
	Have, Need int
	Span       time.Duration
	Fired      bool // and has not been quiet since
	// Waits says that it is not judged at once, so that Have does not count the
	// match.
	Waits bool
}

// Hits are the rules that matched the record last judged, also those that only
// feed correlations. The slice is good until the next call of Match.
func (w *Worker) Hits() []*Rule { return w.hits }

// Standing tells for each of points, which were added last, where its
// correlation stands.
func (c *Correlator) Standing(points []Point) []Standing {
	var out []Standing
	for i := range points {
		p := &points[i]
		if i > 0 && p.cor == points[i-1].cor && p.group == points[i-1].group {
			continue // one record that counts as several
		}
		k := c.eng.cors[p.cor]
		st := Standing{Rule: k.rule, Group: map[string]string{}, Need: k.need, Span: time.Duration(k.span), Waits: !c.opts.Immediate || !k.ups()}
		if k.Type == Temporal || k.Type == TemporalOrdered {
			st.Need = len(k.Rules)
		}
		for i, v := range splitGroup(p.group) {
			st.Group[k.GroupBy[i]] = v
		}
		s := &c.shards[p.shard]
		if c.opts.Immediate {
			s = &c.shards[c.shardOf(p.cor, p.hash)]
		}
		s.mu.Lock()
		if n := s.store.find(p.hash, p.cor, p.group); n >= 0 {
			g := s.store.state(n)
			st.Have, st.Fired = k.counted(s.store, g, p.Time), g.fired != never
		}
		s.mu.Unlock()
		out = append(out, st)
	}
	return out
}

// counted is what a group holds of the window that ends at a time.
func (k *correlation) counted(s *store, g *groupState, at int64) int {
	w, have := s.words(g), 0
	switch {
	case k.closing:
		return int(g.n)
	case k.Type == EventCount:
		for _, t := range w[:g.n] {
			have += b2i(at-int64(t) < k.span)
		}
	case k.Type == ValueCount:
		for i := range int(g.n) {
			have += b2i(at-int64(w[2*i+1]) < k.span)
		}
	case k.Type == Temporal:
		for _, t := range w[:k.words] {
			have += b2i(t != 0 && at-wordTime(t) < k.span)
		}
	case k.Type == TemporalOrdered:
		for _, term := range k.terms {
			for i := range term.yes {
				if t := w[term.at+i]; t != 0 && at-wordTime(t) < k.span {
					have = max(have, i+1)
				}
			}
		}
	default:
		return int(g.n)
	}
	return have
}

// Missed is by how many answers an explanation does not hold, and the first of
// the questions whose answer would have to be another.
func (x *Explanation) Missed() (n int, first *Explanation) {
	switch {
	case x.Holds:
		return 0, nil
	case len(x.Parts) == 0:
		return 1, x
	case x.kind == exprOr:
		for i := range x.Parts {
			if m, f := x.Parts[i].Missed(); n == 0 || m < n {
				n, first = m, f
			}
		}
		return n, first
	case x.kind == exprNot:
		return 1, &x.Parts[0]
	}
	for i := range x.Parts {
		m, f := x.Parts[i].Missed()
		n += m
		if first == nil {
			first = f
		}
	}
	return n, first
}
