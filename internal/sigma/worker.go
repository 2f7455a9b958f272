package sigma

import (
	"bytes"
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

	rec   *Record
	plan  *plan
	words *scanner // of what any field may hold
	apart bool     // the scanners of fields do not look for words
	gen   uint32
	seen  []uint32 // by rule of the plan: generation in which it became a candidate
	cand  []int32
	memo  []uint32 // by predicate: generation<<1 | answer
	lows  []folded // by entry
	low   []byte   // folded texts
	fold  []byte
	group []byte
	hits  []*Rule // every match, quiet ones too
	out   []*Rule
	dfas  map[*regex]*dfa
	stats Stats
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
	return &Worker{eng: e, bySrc: map[*Source]*kindPlan{}, dfas: map[*regex]*dfa{}, memo: make([]uint32, len(e.preds)), broad: broadRecords}
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
		}
		for i := range rec.entries {
			if e := &rec.entries[i]; !e.dead {
				w.look(e)
			}
		}
		for _, r := range w.plan.always {
			w.candidate(r)
		}
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

// look finds the candidates that one value concerns.
func (w *Worker) look(e *entry) {
	var fi *fieldIndex
	if e.id >= 0 && int(e.id) < len(w.plan.fields) {
		fi = w.plan.fields[e.id]
	}
	if fi == nil {
		if w.words != nil && !e.hidden && w.words.mayHold(len(e.text)) {
			w.words.each(w.foldable(e.text), w)
		}
		return
	}
	if fi.present >= 0 {
		w.hit(fi.present)
	}
	if e.typ == Null {
		return
	}
	text := w.foldable(e.text)
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
	if w.apart && w.words != nil && !e.hidden {
		w.words.each(text, w)
	}
}

// foldable is text in which case is a matter of one bit of ASCII letters only.
func (w *Worker) foldable(text []byte) []byte {
	if isASCII(text) {
		return text
	}
	w.fold = appendFold(w.fold[:0], text)
	return w.fold
}

// hit makes candidates of a group's rules.
func (w *Worker) hit(group int32) {
	for _, r := range w.plan.group(group) {
		w.candidate(r)
	}
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

// ask answers a predicate, once per record.
func (w *Worker) ask(id int32) bool {
	if m := w.memo[id]; m>>1 == w.gen {
		return m&1 != 0
	}
	w.stats.Predicates++
	v := w.answer(&w.eng.preds[id])
	w.memo[id] = w.gen << 1
	if v {
		w.memo[id]++
	}
	return v
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
