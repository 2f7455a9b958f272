package sigma

import "strings"

// wKind is how a witness is looked for.
type wKind uint8

const (
	wPresent wKind = iota // the field is there
	wExact                // the field is the text
	wTail                 // the field ends with the text, of at most 8 bytes
	wHead                 // the field begins with the text, of at most 8 bytes
	wLit                  // the field holds the text
	wWord                 // some value holds the text
	wName                 // the field is or ends with the text, a backslash and what follows the last one
	wForeign              // the field holds a character outside ASCII
)

// wkey is one witness: something cheap to see in a record. text is folded.
type wkey struct {
	kind  wKind
	field FieldID
	text  string
}

// witness is a set of which at least one must be seen when a condition is true.
type witness struct {
	keys []wkey
	cost float64 // how often it is seen in vain, by a rough guess; the less the better
	ok   bool    // false: the condition can be true with nothing to see
}

// Costs are guesses at how many of 1,000 records show a witness.
const (
	costPresent = 700.0
	costCommon  = 200.0 // a text that many records hold
	costForeign = 4.0
	costKind    = 20.0  // a text in a field that says of what kind a record is
	costAffix   = 120.0 // the same at the beginning or end of a field
	maxAffix    = 8
	maxKeys     = 60_000
)

// textWitness is what one pattern needs.
func textWitness(p pattern, field FieldID, keyword bool) (wkey, float64, bool) {
	lit, first, last := longestLit(p)
	lit = foldText(lit) // which may be shorter
	if keyword {
		return wkey{wWord, 0, lit}, literalCost(lit), len(lit) >= minScan && validText(lit)
	}
	present := wkey{kind: wPresent, field: field}
	for _, t := range p {
		if t.kind == tokLit && !validText(t.lit) {
			return present, costPresent, true
		}
	}
	switch {
	case !isASCII(bytesOf(lit)) || !isASCII(bytesOf(foldText(first))) || !isASCII(bytesOf(foldText(last))):
		return wkey{kind: wForeign, field: field}, costForeign, true
	case len(p) == 0:
		return wkey{wExact, field, ""}, 20, true
	case len(p) == 1 && p[0].kind == tokLit:
		return wkey{wExact, field, lit}, exactCost(lit), true
	case len(p) == 1:
		return present, costPresent, true
	}
	best, cost := present, costPresent
	if len(lit) >= minScan {
		best, cost = wkey{wLit, field, lit}, literalCost(lit)
	}
	if at := strings.LastIndexByte(last, '\\'); at >= 0 && len(last)-at > 2 {
		name := foldText(last[at:])
		if c := affixCost(name) * 0.9; c < cost {
			best, cost = wkey{wName, field, name}, c
		}
	}
	if tail := foldTail(last); len(tail) >= 2 {
		if c := affixCost(tail); c < cost {
			best, cost = wkey{wTail, field, tail}, c
		}
	}
	if head := foldHead(first); len(head) >= 2 {
		if c := affixCost(head); c < cost {
			best, cost = wkey{wHead, field, head}, c
		}
	}
	return best, cost, true
}

// longestLit is the best literal of a pattern and those that stand at its ends.
func longestLit(p pattern) (lit, first, last string) {
	best := 1e9
	for i, t := range p {
		if t.kind != tokLit {
			continue
		}
		if c := literalCost(t.lit); c < best {
			best, lit = c, t.lit
		}
		if i == 0 {
			first = t.lit
		}
		if i == len(p)-1 {
			last = t.lit
		}
	}
	return lit, first, last
}

// foldTail is the end of a text that is compared: up to maxAffix bytes, whole
// characters.
func foldTail(s string) string {
	s = foldText(s)
	for n := min(len(s), maxAffix); n > 0; n-- {
		if t := s[len(s)-n:]; validText(t) {
			return t
		}
	}
	return ""
}

func foldHead(s string) string {
	s = foldText(s)
	for n := min(len(s), maxAffix); n > 0; n-- {
		if t := s[:n]; validText(t) {
			return t
		}
	}
	return ""
}

func literalCost(s string) float64 {
	switch n := len(s); {
	case n == 0:
		return 1e6
	case isCommon(s):
		return costCommon + 100/float64(n)
	case n < 4:
		return 150
	case n < 12:
		return [...]float64{30, 12, 6, 3, 1.5, 1.2, 1, 0.9}[n-4]
	}
	return 0.8
}

func affixCost(s string) float64 {
	switch {
	case isCommon(s):
		return costAffix
	case len(s) < 4:
		return 10
	}
	return 1
}

func exactCost(s string) float64 {
	if isCommon(s) || len(s) < 3 {
		return costAffix
	}
	return 0.5
}

// predWitness is what a predicate needs.
func predWitness(p *predicate, field, other FieldID) witness {
	present := witness{keys: []wkey{{kind: wPresent, field: field}}, cost: costPresent, ok: true}
	switch p.kind {
	case predNull:
		return witness{}
	case predText:
		return patternsWitness(p, field, present)
	case predRegex:
		return regexWitness(p, field, present)
	case predRef:
		if other != field {
			present.cost /= 2
		}
	case predCIDR, predNumber, predExists, predTime:
	}
	if p.keyword {
		return witness{}
	}
	return present
}

func patternsWitness(p *predicate, field FieldID, present witness) witness {
	w, foreign := witness{ok: true}, false
	if isKindField(p.field) && !p.keyword {
		w.cost = costKind
	}
	for _, pat := range p.pats {
		k, cost, ok := textWitness(pat, field, p.keyword)
		if !ok {
			return witness{}
		}
		if k.kind == wForeign && foreign {
			continue
		}
		foreign = foreign || k.kind == wForeign
		w.keys = append(w.keys, k)
		w.cost += cost
	}
	if !p.keyword && (w.cost > present.cost || len(w.keys) > maxKeys) {
		return present
	}
	return w
}

// isKindField tells whether a field is the same in many records that follow
// each other. Where a Source gives its value, nothing of it is left to look for.
func isKindField(name string) bool {
	return name == "EventID" || name == "Channel" || name == "Provider_Name"
}

func regexWitness(p *predicate, field FieldID, present witness) witness {
	best := present
	if p.keyword {
		best = witness{cost: 1e9}
	}
	kind := wLit
	if p.keyword {
		kind, field = wWord, 0
	}
	for _, clause := range p.re.required {
		w := witness{ok: true}
		for _, s := range clause {
			if len(s) < minScan || !validText(s) {
				w.ok = false
				break
			}
			w.keys = append(w.keys, wkey{kind, field, s})
			w.cost += literalCost(s)
		}
		if w.ok && w.cost < best.cost {
			best = w
		}
	}
	return best
}

// need is what a condition's witness would come to.
type need struct {
	cost float64
	keys int
	ok   bool
}

// need weighs a condition's witness: of an AND the cheapest part's, of an OR
// everything that each part needs.
func (e *Engine) need(x *expr) need {
	switch x.kind {
	case exprPred:
		w := &e.preds[x.id].wit
		return need{w.cost, len(w.keys), w.ok}
	case exprAnd:
		_, best := e.cheapest(x.kids)
		return best
	case exprOr:
		out := need{ok: true}
		for _, k := range x.kids {
			n := e.need(k)
			if !n.ok || out.keys+n.keys > maxKeys {
				return need{}
			}
			out.cost += n.cost
			out.keys += n.keys
		}
		return out
	case exprFalse:
		return need{ok: true}
	default:
		return need{}
	}
}

func (e *Engine) cheapest(kids []*expr) (*expr, need) {
	var at *expr
	var best need
	for _, k := range kids {
		if n := e.need(k); n.ok && (!best.ok || n.cost < best.cost) {
			at, best = k, n
		}
	}
	return at, best
}

// collect appends the keys of the witness of a condition that has one.
func (e *Engine) collect(x *expr, to []int32) []int32 {
	switch x.kind {
	case exprPred:
		return append(to, e.preds[x.id].wit.keys...)
	case exprAnd:
		k, _ := e.cheapest(x.kids)
		return e.collect(k, to)
	case exprOr:
		for _, k := range x.kids {
			to = e.collect(k, to)
		}
	case exprNot, exprTrue, exprFalse:
	}
	return to
}
