package sigma

import (
	"bytes"
	"math"
	"slices"
)

// Limits on what a worker keeps between records.
const (
	maxSources = 8192    // plans by source
	maxScratch = 4 << 20 // bytes of folded texts
	maxDFAs    = 256     // automata of regular expressions
)

// broadRecords is how many records of a kind are judged with the broad plan of
// its product before the kind is worth a plan of its own: building one takes
// about as long as they save.
const broadRecords = 1000

// Worker judges records with an engine. It serves one goroutine at a time.
type Worker struct {
	eng     *Engine
	bySrc   map[*Source]*kindPlan
	lastSrc *Source
	last    *kindPlan
	none    Source // of records without one
	broad   int32  // records of a kind that are judged with a broad plan first

	rec    *Record
	plan   *plan
	words  *scanner // of what any field may hold
	apart  bool     // the scanners of fields do not look for words
	gen    uint32
	seen   []uint32 // by rule of the plan: generation in which it became a candidate
	turn   uint64   // number of the value that is searched
	turns  []uint64 // by rule of the plan: value that it was found for last
	found  []int32  // rules that the value may concern
	joined []byte   // short values of fields without an index
	cand   []int32
	memo   []uint32 // by predicate: generation<<1 | answer
	lows   []folded // by entry
	nos    []uint32 // by entry: number of its value, 0 where it is not remembered
	low    []byte   // folded texts
	fold   []byte
	group  []byte

	passing []byte // groups of PointsNow
	grouped []grouped
	hashes  []hashedValue

	hits   []*Rule // every match, quiet ones too
	out    []*Rule
	dfas   map[*regex]*dfa
	recall recall
	stats  Stats
}

// kindPlan is how a worker judges the records of a Source.
type kindPlan struct {
	plan   *plan
	words  *scanner
	accept []bool // of a broad plan: which log sources of rules the Source is of
	left   int32  // records until the Source gets a plan of its own
}

// folded is where the lower-case form of an entry's text is in Worker.low.
type folded struct {
	gen      uint32
	from, to int32
}

// Stats counts a worker's work.
type Stats struct {
	Records, Candidates, Predicates, Regexes, Matches uint64
	// NoGroup and NoValue count matches that a correlation could not use because
	// a group-by field, or the field that it counts, was absent or no number.
	NoGroup, NoValue uint64
}

// NewWorker makes a worker.
func (e *Engine) NewWorker() *Worker {
	return &Worker{eng: e, bySrc: map[*Source]*kindPlan{}, dfas: map[*regex]*dfa{}, memo: make([]uint32, len(e.preds)), broad: broadRecords, recall: newRecall()}
}

// Stats is what the worker has done so far.
func (w *Worker) Stats() Stats { return w.stats }

// Match gives the rules that match the record, in the order they were loaded,
// without those that only feed correlations. The slice is good until the next
// call. The record must use the engine's Fields and have a Source.
func (w *Worker) Match(rec *Record) []*Rule {
	w.begin(rec)
	kind := w.kindOf(rec.Source)
	w.plan, w.words, w.apart = kind.plan, kind.words, kind.accept != nil
	if len(w.plan.rules) > 0 {
		if len(w.seen) < len(w.plan.rules) {
			w.seen = make([]uint32, len(w.plan.rules)+64)
			w.turns = make([]uint64, len(w.seen))
		}
		w.gather()
		slices.Sort(w.cand)
		for _, c := range w.cand {
			r := &w.plan.rules[c]
			if (kind.accept == nil || kind.accept[r.source]) && w.eval(r.cond) {
				w.hits = append(w.hits, r.rule)
			}
		}
		w.stats.Candidates += uint64(len(w.cand))
	}
	return w.loud()
}

// loud is the hits without quiet rules.
func (w *Worker) loud() []*Rule {
	w.out = w.out[:0]
	for _, r := range w.hits {
		if !r.quiet {
			w.out = append(w.out, r)
		}
	}
	w.stats.Matches += uint64(len(w.out))
	return w.out
}

func (w *Worker) begin(rec *Record) {
	if rec.fields != w.eng.fields {
		panic("sigma: record and engine use different Fields")
	}
	w.rec, w.hits, w.cand = rec, w.hits[:0], w.cand[:0]
	w.low = w.low[:0]
	if cap(w.low) > maxScratch {
		w.low = nil
	}
	if cap(w.fold) > maxScratch {
		w.fold = nil
	}
	w.stats.Records++
	if w.gen++; w.gen >= 1<<31 {
		clear(w.seen)
		clear(w.memo)
		clear(w.lows)
		w.gen = 1
	}
	if n := len(rec.entries); len(w.lows) < n {
		w.lows = make([]folded, n+n/2)
	}
}

func (w *Worker) kindOf(s *Source) *kindPlan {
	k := w.last
	if s == nil {
		s = &w.none
	}
	if s != w.lastSrc {
		if k = w.bySrc[s]; k == nil {
			k = w.newKind(s)
		}
		w.lastSrc, w.last = s, k
	}
	if k.accept != nil {
		if k.left--; k.left < 0 {
			k.plan, k.accept = w.eng.planFor(s), nil
			k.words = k.plan.words
		}
	}
	return k
}

func (w *Worker) newKind(s *Source) *kindPlan {
	if len(w.bySrc) >= maxSources {
		clear(w.bySrc)
	}
	k := &kindPlan{left: w.broad, accept: w.eng.accepted(s)}
	if w.broad > 0 {
		k.plan, k.words = w.eng.broadFor(s, k.accept)
	}
	w.bySrc[s] = k
	return k
}

// unlooked stands for the number of a value that nobody looked up yet.
const unlooked = math.MaxUint32

// gather finds the candidates of the record.
func (w *Worker) gather() {
	entries, fields := w.rec.entries, w.plan.fields
	if n := len(entries); n > len(w.nos) {
		w.nos = make([]uint32, n+n/2)
	}
	shortest := MaxValue + 1
	if w.words != nil {
		shortest = w.words.shortest()
	}
	for i := range entries {
		e := &entries[i]
		var fi *fieldIndex
		if uint(e.id) < uint(len(fields)) {
			fi = fields[e.id]
		}
		w.nos[i] = unlooked
		switch {
		case e.dead:
		case fi != nil:
			w.nos[i] = 0
			w.look(i, fi)
		case len(e.text) < shortest || e.hidden:
		case len(e.text) <= joinable:
			w.joined = append(append(w.joined, e.text...), '\n')
		default:
			w.read(e.text)
		}
	}
	if len(w.joined) > 0 {
		w.read(w.joined)
		w.joined = w.joined[:0]
	}
	for _, r := range w.plan.always {
		w.candidate(r)
	}
}

// joinable is the number of bytes of a short value: many of them are read as one
// text, which is quicker. A word that is there only where two meet makes a
// candidate in vain.
const joinable = 256

// read finds the candidates for what words are in a text.
func (w *Worker) read(text []byte) {
	w.found, w.turn = w.found[:0], w.turn+1
	w.words.each(w.foldable(text, w.words.wide), w)
	for _, r := range w.found {
		w.candidate(r)
	}
}

// look finds the candidates that the i-th value concerns, by the index of its
// field.
func (w *Worker) look(i int, fi *fieldIndex) {
	e, words := &w.rec.entries[i], w.words
	if !w.apart || e.hidden {
		words = nil
	}
	v, h, again := viewOf(fi, words), uint64(0), false
	if len(e.text) <= recallText && e.typ != Null && w.rec.single(e.id, int32(i)) {
		h = v.hash(e.text)
		if s := w.recall.find(h, v, e.text); s != nil {
			w.nos[i] = s.no
			w.found = w.recall.rules(w.found[:0], s)
			for _, r := range w.found {
				w.candidate(r)
			}
			return
		}
		again = w.recall.again(h)
	}
	w.found, w.turn = w.found[:0], w.turn+1
	w.search(e, fi, words)
	if again {
		w.refute(e.id)
		w.recall.keep(h, v, e.text, w.found)
	}
	for _, r := range w.found {
		w.candidate(r)
	}
}

// search finds the rules that a value may concern.
func (w *Worker) search(e *entry, fi *fieldIndex, words *scanner) {
	if fi.present >= 0 {
		w.hit(fi.present)
	}
	if e.typ == Null {
		return
	}
	text := w.foldable(e.text, fi.scan != nil && fi.scan.wide || words != nil && words.wide)
	if fi.exact != nil && len(text) <= fi.exactMax {
		fi.exact.each(hashFolded(text), w)
	}
	if fi.names != nil {
		if at := bytes.LastIndexByte(text, '\\'); at >= 0 {
			fi.names.each(hashFolded(text[at:]), w)
		}
	}
	if fi.foreign >= 0 && !isASCII(e.text) {
		w.hit(fi.foreign)
	}
	for _, n := range fi.tailLens {
		if len(text) >= int(n) {
			fi.tails.each(affixHash(text[len(text)-int(n):]), w)
		}
	}
	for _, n := range fi.headLens {
		if len(text) >= int(n) {
			fi.heads.each(affixHash(text[:n]), w)
		}
	}
	if fi.scan != nil && len(text) >= fi.scan.least {
		fi.scan.each(text, w)
	}
	if words != nil {
		words.each(text, w)
	}
}

// foldable is text in which case is a matter of one bit of ASCII letters only:
// the letters outside ASCII are folded, or where wide is false those only that
// stand for ASCII letters.
func (w *Worker) foldable(text []byte, wide bool) []byte {
	if isASCII(text) || !wide && !mayFoldToASCII(text) {
		return text
	}
	w.fold = appendFoldable(w.fold[:0], text)
	return w.fold
}

// hit adds a group's rules to those found for the value.
func (w *Worker) hit(group int32) {
	for _, r := range w.plan.group(group) {
		if w.turns[r] != w.turn {
			w.turns[r] = w.turn
			w.found = append(w.found, r)
		}
	}
}

// refute takes out of the rules found for the only value of a field those that
// do not hold with it, whatever is in the other fields.
func (w *Worker) refute(id FieldID) {
	w.found = slices.DeleteFunc(w.found, func(r int32) bool { return w.partly(w.plan.rules[r].cond, id) == no })
}

func (w *Worker) candidate(r int32) {
	if w.seen[r] != w.gen {
		w.seen[r] = w.gen
		w.cand = append(w.cand, r)
	}
}
