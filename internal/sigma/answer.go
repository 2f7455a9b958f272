package sigma

import "bytes"

// eval answers a condition.
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
