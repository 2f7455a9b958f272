package sigma

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Limits on the state that one correlation keeps for one group.
const (
	maxRing    = 32_768 // event_count: times kept
	maxValues  = 10_000 // value_count: values kept
	maxSamples = 2_000  // value_sum, value_avg, value_percentile: samples kept
	maxTerms   = 64     // alternatives of a temporal condition
)

// correlation is a compiled correlation rule.
type correlation struct {
	*Correlation
	rule    *Rule
	id      int32
	span    int64 // nanoseconds
	closing bool  // judged when its window ends, not at each match
	need    int   // count to reach, where not closing
	keep    int   // closing value_count: values kept
	terms   []term
	words   int // of the state of a temporal correlation
	feeds   []chainFeed
	family  int32 // correlations that are chained share one; -1 for those that are not
	print   [16]byte
}

// term is one way for a temporal condition to hold: the rules in yes, in that
// order where the type asks for order, and none of those in no.
type term struct {
	yes []int32
	no  uint64
	at  int // its first word in the state
}

// chainFeed is a correlation that this one feeds when it fires. group and
// values are places in this one's group-by.
type chainFeed struct {
	cor, at       int32
	group, values []int
}

func (c *compiler) addCorrelations() {
	e := c.eng
	byRule := map[int]int32{}
	for i, r := range e.rules {
		if r.Correlation == nil {
			continue
		}
		k := &correlation{Correlation: r.Correlation, rule: r, id: int32(len(e.cors)), span: int64(r.Correlation.Timespan), family: -1}
		byRule[i] = k.id
		e.cors = append(e.cors, k)
	}
	e.feeds = make([][]feed, len(e.rules))
	loud := map[int]bool{}
	for _, k := range e.cors {
		for at, ref := range k.Rules {
			target := c.refs[ref]
			if k.Generate {
				loud[target] = true
			}
			e.rules[target].quiet = true
			c.connect(k, int32(at), target, byRule)
		}
	}
	for i := range loud {
		e.rules[i].quiet = false
	}
	for _, k := range e.cors {
		k.prepare()
	}
}

// connect lets rule target feed k as its at-th rule.
func (c *compiler) connect(k *correlation, at int32, target int, byRule map[int]int32) {
	e := c.eng
	resolve := func(name string) string {
		for ref, f := range k.Aliases[name] {
			if c.refs[ref] == target { // checkRefs saw that it leads somewhere
				return f
			}
		}
		return name
	}
	if child, ok := byRule[target]; ok {
		c.chain(k, at, e.cors[child], resolve)
		return
	}
	f := feed{cor: k.id, at: at, like: -1}
	for _, g := range k.GroupBy {
		f.group = append(f.group, e.fields.ID(resolve(g)))
	}
	for _, v := range k.Fields {
		f.values = append(f.values, e.fields.ID(resolve(v)))
	}
	for i, other := range e.feeds[target] {
		if f.like < 0 && slices.Equal(other.group, f.group) {
			f.like = i
		}
	}
	e.feeds[target] = append(e.feeds[target], f)
}

// chain lets correlation child feed k: fields are taken from child's group.
func (c *compiler) chain(k *correlation, at int32, child *correlation, resolve func(string) string) {
	place := func(name string) int {
		for i, g := range child.GroupBy {
			if g == resolve(name) {
				return i
			}
		}
		c.set.note(k.rule, faultf(k.line, "no-group-field", "add it to the other's group-by, or give an alias",
			"field %q is not in the group-by of correlation %q: its matches cannot be grouped", name, child.rule.Key()))
		return -1
	}
	f := chainFeed{cor: k.id, at: at}
	for _, g := range k.GroupBy {
		f.group = append(f.group, place(g))
	}
	for _, v := range k.Fields {
		f.values = append(f.values, place(v))
	}
	child.feeds = append(child.feeds, f)
	family := min(k.id, child.id)
	for _, x := range []*correlation{k, child} {
		if x.family >= 0 {
			family = min(family, x.family)
		}
	}
	for _, x := range c.eng.cors {
		if x == k || x == child || x.family >= 0 && (x.family == k.family || x.family == child.family) {
			x.family = family
		}
	}
}

// prepare works out how the condition is judged.
func (k *correlation) prepare() {
	k.need = 1
	for _, b := range k.Bounds {
		switch b.op {
		case opGte:
			k.need = max(k.need, int(math.Ceil(math.Min(b.Value, MaxThreshold))))
		case opGt:
			k.need = max(k.need, int(math.Floor(math.Min(b.Value, MaxThreshold)))+1)
		default:
			k.closing = true
		}
		k.keep = max(k.keep, int(math.Min(math.Abs(b.Value), MaxThreshold))+2)
	}
	if k.expr != nil && hasNot(k.expr) {
		k.closing = true
	}
	k.prepareTemporal()
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %q %q %d %q %v %v %q %v", k.Type, k.Rules, k.GroupBy, k.span, k.Fields, k.Bounds, k.Percentile, k.Expression, k.Aliases)
	copy(k.print[:], h.Sum(nil))
}

func (k *correlation) prepareTemporal() {
	n := len(k.Rules)
	switch {
	case k.Type != Temporal && k.Type != TemporalOrdered:
		return
	case k.expr != nil:
		k.terms = dnf(k.expr, false)
	case k.Type == TemporalOrdered:
		k.terms = choose(n, k.need)
	}
	for i := range k.terms {
		t := &k.terms[i]
		slices.Sort(t.yes)
		t.at = k.words
		if k.Type == TemporalOrdered && !k.closing {
			k.words += len(t.yes)
		} else if k.Type == TemporalOrdered {
			k.words++
		}
	}
	if k.closing {
		k.words++ // the bits of the rules seen
	} else if k.Type == Temporal {
		k.words = n
	}
}

// choose is every way to take need of n rules, as terms.
func choose(n, need int) []term {
	var out []term
	var pick func(from int, have []int32)
	pick = func(from int, have []int32) {
		if len(have) == need {
			out = append(out, term{yes: append([]int32(nil), have...)})
			return
		}
		for i := from; i < n && len(out) <= maxTerms; i++ {
			pick(i+1, append(have, int32(i)))
		}
	}
	pick(0, nil)
	return out
}

// dnf turns a condition over rules into alternatives: nil when there are more
// than maxTerms.
func dnf(e *expr, negated bool) []term {
	switch {
	case e.kind == exprNot:
		return dnf(e.kids[0], !negated)
	case e.kind == exprPred && negated:
		return []term{{no: 1 << e.id}}
	case e.kind == exprPred:
		return []term{{yes: []int32{e.id}}}
	}
	if (e.kind == exprOr) != negated {
		var out []term
		for _, k := range e.kids {
			t := dnf(k, negated)
			if t == nil || len(out)+len(t) > maxTerms {
				return nil
			}
			out = append(out, t...)
		}
		return out
	}
	out := []term{{}}
	for _, k := range e.kids {
		t := dnf(k, negated)
		if t == nil || len(out)*len(t) > maxTerms {
			return nil
		}
		out = product2(out, t)
	}
	return out
}

// product2 joins each of a with each of b.
func product2(a, b []term) []term {
	var out []term
	for _, x := range a {
		for _, y := range b {
			t := term{yes: append([]int32(nil), x.yes...), no: x.no | y.no}
			have := uint64(0)
			for _, r := range t.yes {
				have |= 1 << r
			}
			for _, r := range y.yes {
				if have>>r&1 == 0 {
					t.yes = append(t.yes, r)
				}
			}
			out = append(out, t)
		}
	}
	return out
}

// checkState refuses correlations whose state would have no bound.
func (k *Correlation) checkState(line int) *fault {
	probe := &correlation{Correlation: k}
	probe.prepare()
	temporal := k.Type == Temporal || k.Type == TemporalOrdered
	switch {
	case k.Type == EventCount && !probe.closing && probe.need > maxRing:
		return faultf(line, "too-many", "count something rarer", "event_count of %d, the limit is %d", probe.need, maxRing)
	case k.Type == ValueCount && max(probe.need, probe.keep) > maxValues+2:
		return faultf(line, "too-many", "count something rarer", "value_count of %d, the limit is %d", max(probe.need, probe.keep-2), maxValues)
	case k.Type == TemporalOrdered && k.expr == nil && probe.closing:
		return faultf(line, "bad-condition", "use gt or gte, or temporal", "temporal_ordered cannot be judged by lt, lte, eq or neq")
	case temporal && (k.expr != nil || k.Type == TemporalOrdered) && (len(probe.terms) == 0 || len(probe.terms) > maxTerms):
		return faultf(line, "too-many", "write a simpler condition", "the condition has none or more than %d ways to hold", maxTerms)
	case temporal && k.expr == nil && !probe.closing && probe.need > len(k.Rules):
		return faultf(line, "never-matches", "lower the number", "%d rules are asked for, there are %d", probe.need, len(k.Rules))
	}
	return nil
}

// Point is a match as correlations see it: when, of which rule, in which group.
// It holds no part of the record.
type Point struct {
	Time int64 // nanoseconds since 1970
	// Ref is the caller's own, such as the number of the event; the alert has
	// that of its last match.
	Ref   uint64
	cor   int32
	at    int32
	group string // values of group-by, each with its length before it
	value uint64 // hash of the counted values, or the bits of the number
	hash  uint64 // of cor and group, set by the correlator
	shard uint8
}

// maxGroupValue is the number of bytes of one group-by value that are kept; of
// longer ones the rest is replaced by a hash.
const maxGroupValue = 256

// Points appends to dst what the correlations need of the record that Match
// Points appends what the rules that matched the record last judged are to
// correlations.
func (w *Worker) Points(dst []Point) []Point { return w.points(dst, false) }

// PointsNow is Points for a correlator that is Immediate: they are good until the
// next call.
func (w *Worker) PointsNow(dst []Point) []Point {
	w.passing = w.passing[:0]
	return w.points(dst, true)
}

func (w *Worker) points(dst []Point, passing bool) []Point {
	for _, r := range w.hits {
		feeds := w.eng.feeds[r.index]
		if len(feeds) > len(w.grouped) {
			w.grouped = make([]grouped, len(feeds)+8)
		}
		for i := range feeds {
			f, g := &feeds[i], &w.grouped[i]
			if f.like >= 0 {
				*g = w.grouped[f.like]
			} else {
				g.text, g.ok = w.groupOf(f.group, passing)
			}
			if !g.ok {
				w.stats.NoGroup++
				continue
			}
			k := w.eng.cors[f.cor]
			p := Point{Time: w.rec.Time, cor: f.cor, at: f.at, group: g.text}
			var ok bool
			if p.value, ok = w.valueOf(k, f.values); !ok {
				w.stats.NoValue++
				continue
			}
			dst = append(dst, p)
			for range k.repeats(w.rec) {
				dst = append(dst, p)
			}
		}
	}
	return dst
}

// grouped is the group of a feed's match.
type grouped struct {
	text string
	ok   bool
}

// repeats is how many times more than once a record counts.
func (k *correlation) repeats(rec *Record) int {
	if k.Type != EventCount || rec.Repeat < 2 {
		return 0
	}
	return min(rec.Repeat, maxRepeat) - 1
}

// maxRepeat bounds what one record counts for.
const maxRepeat = 100

// groupOf is the values of group-by as one text, which passes with the next call
// of PointsNow.
func (w *Worker) groupOf(ids []FieldID, passing bool) (string, bool) {
	buf, from := w.group[:0], 0
	if passing {
		buf, from = w.passing, len(w.passing)
	}
	for _, id := range ids {
		v, ok := w.first(id)
		if !ok {
			return "", false
		}
		buf = appendGroup(buf, v)
	}
	if passing {
		w.passing = buf
		return textOf(buf[from:]), true
	}
	w.group = buf
	return string(buf), true
}

// first is the first value of a field that is not null.
func (w *Worker) first(id FieldID) ([]byte, bool) {
	for i := w.rec.head(id); i >= 0; i = w.rec.entries[i].next {
		if w.rec.entries[i].typ != Null {
			return w.rec.entries[i].text, true
		}
	}
	return nil, false
}

func appendGroup(buf, v []byte) []byte {
	if len(v) <= maxGroupValue {
		buf = binary.AppendUvarint(buf, uint64(len(v)))
		return append(buf, v...)
	}
	sum := sha256.Sum256(v)
	text := fmt.Sprintf("%s...%x", v[:maxGroupValue-40], sum[:8])
	return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
}

// splitGroup is the values in a group.
func splitGroup(g string) []string {
	var out []string
	b := bytesOf(g)
	for len(b) > 0 {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return out
		}
		out = append(out, string(b[used:used+int(n)]))
		b = b[used+int(n):]
	}
	return out
}

func (w *Worker) valueOf(k *correlation, ids []FieldID) (uint64, bool) {
	if len(ids) == 0 {
		return 0, true
	}
	buf := w.group[:0]
	for _, id := range ids {
		v, ok := w.first(id)
		if !ok {
			return 0, false
		}
		buf = appendValue(buf, v)
		if k.Type != ValueCount {
			return numberBits(v)
		}
	}
	w.group = buf
	return w.hashed(buf), true
}

// hashed is hashValue, remembered: logs say the same over and over.
func (w *Worker) hashed(b []byte) uint64 {
	if len(b) > maxHashed {
		return hashValue(b)
	}
	if w.hashes == nil {
		w.hashes = make([]hashedValue, 1024)
	}
	v := &w.hashes[hashFolded(b)%uint64(len(w.hashes))]
	if v.text == nil || !bytes.Equal(v.text, b) {
		v.text, v.hash = append(v.text[:0], b...), hashValue(b)
	}
	return v.hash
}

// maxHashed is the size in bytes of a value whose hash is remembered.
const maxHashed = 96

// hashedValue is a value with its hash.
type hashedValue struct {
	text []byte
	hash uint64
}

func appendValue(buf, v []byte) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(v))), v...)
}

func numberBits(v []byte) (uint64, bool) {
	n, ok := parseNumber(string(v))
	if !ok || math.IsNaN(n.f) || math.IsInf(n.f, 0) {
		return 0, false
	}
	return math.Float64bits(n.f), true
}

// hashValue is the same in every process, so that kept state can be read again.
func hashValue(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

func popcount(x uint64) int { return bits.OnesCount64(x) }
