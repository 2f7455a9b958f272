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

func (w *Worker) eval(e *expr) bool {
	switch e.kind {
	case exprPred:
		return w.ask(e.id)
	case exprAnd:
		for _, k := range e.kids {
			if !w.eval(k) {
				return false
			}
		}
		return true
	case exprOr:
		for _, k := range e.kids { //nolint:modernize // w.eval as a value would allocate
			if w.eval(k) {
				return true
			}
		}
		return false
	case exprNot:
		return !w.eval(e.kids[0])
	default:
		return e.kind == exprTrue
	}
}

// answer3 is an answer to a condition of which only a part is known.
type answer3 int8

const (
	no answer3 = iota - 1
	open
	yes
)

// partly answers a condition from what the only value of one field says.
func (w *Worker) partly(e *expr, id FieldID) answer3 {
	switch e.kind {
	case exprPred:
		p := &w.eng.preds[e.id]
		if p.id != id || p.keyword || p.kind == predRef {
			return open
		}
		return sure(w.ask(e.id))
	case exprAnd, exprOr:
		decides := no
		if e.kind == exprOr {
			decides = yes
		}
		all := -decides
		for _, k := range e.kids {
			switch w.partly(k, id) {
			case decides:
				return decides
			case open:
				all = open
			}
		}
		return all
	case exprNot:
		return -w.partly(e.kids[0], id)
	default:
		return sure(e.kind == exprTrue)
	}
}

func sure(v bool) answer3 {
	if v {
		return yes
	}
	return no
}

// ask answers a predicate, once per record.
func (w *Worker) ask(id int32) bool {
	if m := w.memo[id]; m>>1 == w.gen {
		return m&1 != 0
	}
	w.stats.Predicates++
	p := &w.eng.preds[id]
	no := w.soleValue(p)
	v, known := w.recall.asked(no, id)
	if !known {
		v = w.answer(p)
		w.recall.note(no, id, v)
	}
	w.memo[id] = w.gen << 1
	if v {
		w.memo[id]++
	}
	return v
}

// soleValue is the number of the value that alone decides a predicate, 0 when
// there is none or it is not remembered.
func (w *Worker) soleValue(p *compiledPred) uint32 {
	i := w.rec.head(p.id)
	if i < 0 || p.ref != NoField {
		return 0
	}
	if w.nos[i] == unlooked {
		w.nos[i] = w.numberOf(i)
	}
	return w.nos[i]
}

// numberOf is the number of the i-th value, of a field that is not searched,
// where it is its field's only one and remembered.
func (w *Worker) numberOf(i int32) uint32 {
	e := &w.rec.entries[i]
	if e.next >= 0 || e.typ == Null || len(e.text) > recallText {
		return 0
	}
	h := view(0).hash(e.text)
	if s := w.recall.find(h, 0, e.text); s != nil {
		return s.no
	}
	if w.recall.again(h) {
		w.recall.keep(h, 0, e.text, nil)
	}
	return 0
}

func (w *Worker) answer(p *compiledPred) bool {
	r := w.rec
	switch {
	case p.kind == predNull:
		for i := r.head(p.id); i >= 0; i = r.entries[i].next {
			if r.entries[i].typ != Null {
				return false
			}
		}
		return true
	case p.kind == predExists:
		return r.head(p.id) >= 0
	case p.kind == predRef:
		return w.answerRef(p)
	case p.keyword:
		for i := range r.entries {
			if e := &r.entries[i]; !e.hidden && !e.dead && e.typ != Null && w.value(p, int32(i)) {
				return true
			}
		}
		return false
	}
	for i := r.head(p.id); i >= 0; i = r.entries[i].next {
		if r.entries[i].typ != Null && w.value(p, i) {
			return true
		}
	}
	return false
}

// value answers a predicate about one value.
func (w *Worker) value(p *compiledPred, i int32) bool {
	text := w.rec.entries[i].text
	if p.kind == predText && p.cased || p.kind != predText && p.kind != predRegex {
		return p.matchValue(text, nil)
	}
	if p.kind == predRegex {
		if len(text) < p.reMin {
			return false
		}
		if len(p.re.required) == 0 {
			return w.regex(p, text)
		}
	}
	low := w.lower(i)
	if p.kind == predRegex {
		return p.re.possible(low) && w.regex(p, text)
	}
	return p.matchValue(text, low)
}

// regex runs a regular expression, by way of an automaton that the worker keeps
// for it.
func (w *Worker) regex(p *compiledPred, text []byte) bool {
	w.stats.Regexes++
	text = text[:min(len(text), MaxRegexText)]
	if p.re.run > 0 {
		return longRun(text, p.re.run)
	}
	d := w.dfas[p.re]
	if d == nil {
		if len(w.dfas) >= maxDFAs {
			clear(w.dfas)
		}
		d = newDFA(p.re.prog)
		w.dfas[p.re] = d
	}
	if found, ok := d.match(text); ok {
		return found
	}
	return p.re.match(text)
}

// lower is the folded form of an entry's text, made once per record.
func (w *Worker) lower(i int32) []byte {
	if l := w.lows[i]; l.gen == w.gen {
		return w.low[l.from:l.to]
	}
	from := len(w.low)
	w.low = lowerInto(w.low, w.rec.entries[i].text)
	w.lows[i] = folded{w.gen, int32(from), int32(len(w.low))}
	return w.low[from:]
}

func (w *Worker) answerRef(p *compiledPred) bool {
	r := w.rec
	for i := r.head(p.id); i >= 0; i = r.entries[i].next {
		for j := r.head(p.ref); j >= 0; j = r.entries[j].next {
			if r.entries[i].typ == Null || r.entries[j].typ == Null {
				continue
			}
			a, b := r.entries[i].text, r.entries[j].text
			if p.predicate.ref == refEqual && len(a) != len(b) && isASCII(a) && isASCII(b) {
				continue
			}
			if !p.cased {
				a, b = w.lower(i), w.lower(j)
			}
			if matchRef(p.predicate.ref, a, b) {
				return true
			}
		}
	}
	return false
}

// possible tells whether a folded text holds what the expression requires.
func (r *regex) possible(low []byte) bool {
	if !isASCII(low) { // letters with relatives outside ASCII
		low = appendFold(nil, low)
	}
	for _, clause := range r.required {
		ok := false
		for _, s := range clause {
			if bytes.Contains(low, bytesOf(s)) {
				ok = true
				break
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// matchValue answers a predicate about one text that is not null; low is its
// lower-case form, which only texts that fold need.
func (p *compiledPred) matchValue(text, low []byte) bool {
	switch p.kind {
	case predText:
		if p.cased {
			return p.text.match(text)
		}
		return p.text.match(low)
	case predRegex:
		return p.re.match(text)
	case predCIDR:
		return matchCIDR(p.nets, text)
	case predNumber:
		n, ok := parseNumber(string(text))
		return ok && n.compare(p.op, p.num)
	case predTime:
		n, ok := datePart(p.part, text)
		return ok && n.compare(p.op, p.num)
	default:
		return p.kind == predExists
	}
}
