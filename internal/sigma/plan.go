package sigma

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// maxPlans is the number of plans that an engine keeps. A plan depends on the
// answers to what rules ask of a Source's constant fields, not on the fields
// themselves, so records with invented event ids share one.
const maxPlans = 2048

// plan is the rules that can match records of a kind, with what to look for in
// the record to find which of them may. It is immutable.
type plan struct {
	rules  []planRule
	always []int32 // rules with no witness
	fields []*fieldIndex
	words  *scanner // for fields without an index of their own; a broad plan has none
	starts []int32  // where each group's rules begin in lists, and an end
	lists  []int32  // rules of all groups
}

// broadPlan is a plan for all kinds of record of a product. What its rules look
// for in any field is apart: most kinds need little of it.
type broadPlan struct {
	*plan
	words    []planWord
	scanners map[string]*scanner // by which words are in it
}

// planWord is a witness that any field may hold, with its group.
type planWord struct{ key, group int32 }

// group is the rules of a group.
func (p *plan) group(g int32) []int32 { return p.lists[p.starts[g]:p.starts[g+1]] }

// planRule is a rule with what is known of the Source taken out of it.
type planRule struct {
	rule   *Rule
	cond   *expr
	source int32 // among the engine's log sources
}

// fieldIndex finds the rules that a value of one field may concern.
type fieldIndex struct {
	no       uint32 // among the engine's indexes and scanners
	present  int32  // group, -1 for none
	foreign  int32  // the same, for values with characters outside ASCII
	names    *hashIndex
	exact    *hashIndex
	tails    *hashIndex
	heads    *hashIndex
	tailLens []uint8
	headLens []uint8
	exactMax int // length in bytes of the longest text of exact
	scan     *scanner
}

// planFor finds or builds the plan of a source.
func (e *Engine) planFor(s *Source) *plan {
	e.mu.Lock()
	defer e.mu.Unlock()
	accept := e.accepted(s)
	known, sig := e.signature(s, accept)
	if p := e.plans[sig]; p != nil {
		return p
	}
	if len(e.plans) >= maxPlans {
		clear(e.plans)
	}
	p := e.buildPlan(accept, known, e.readsOf(s))
	e.plans[sig] = p
	return p
}

// broadFor finds or builds the plan of all rules for the source's products, and
// finds which of their words the source's rules look for. Nothing is taken out
// of its conditions and it has rules of other categories and services too, so
// that what it finds is to be held against accept; but all kinds of record of a
// product share it.
func (e *Engine) broadFor(s *Source, accept []bool) (*plan, *scanner) {
	var products []string
	for _, l := range s.Logsources {
		if !slices.Contains(products, l.Product) {
			products = append(products, l.Product)
		}
	}
	slices.Sort(products)
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.broadOf(products)
	return p.plan, e.wordsOf(p, accept)
}

// broadOf finds or builds the plan of all rules for products.
func (e *Engine) broadOf(products []string) *broadPlan {
	key := strings.Join(products, "\x00")
	p := e.broad[key]
	if p == nil {
		if len(e.broad) >= maxPlans {
			clear(e.broad)
		}
		all := make([]bool, len(e.sources))
		for i, l := range e.sources {
			all[i] = l.Product == "" || slices.Contains(products, l.Product)
		}
		p = e.buildBroad(all)
		e.broad[key] = p
	}
	return p
}

// manyRules is from how many rules on a product's plan is built when the rules
// are loaded: it takes a few milliseconds, in which small logs are judged.
const manyRules = 500

// prepare builds the plans of products that have many rules.
func (e *Engine) prepare() {
	n := map[string]int{}
	for _, s := range e.source {
		if s >= 0 {
			n[e.sources[s].Product]++
		}
	}
	for product, rules := range n {
		if product != "" && rules >= manyRules {
			e.broadOf([]string{product})
		}
	}
}

// wordsOf is a scanner for the words of a broad plan's rules that are accepted,
// nil when there are none.
func (e *Engine) wordsOf(p *broadPlan, accept []bool) *scanner {
	have, n := make([]byte, (len(p.words)+7)/8), 0
	for i, w := range p.words {
		for _, r := range p.group(w.group) {
			if accept[p.rules[r].source] {
				have[i>>3] |= 1 << (i & 7)
				n++
				break
			}
		}
	}
	if n == 0 {
		return nil
	}
	s := p.scanners[string(have)]
	if s == nil {
		sb := e.scratch.literals()
		for i, w := range p.words {
			if have[i>>3]>>(i&7)&1 != 0 {
				sb.addKey(&e.keys[w.key], w.group)
			}
		}
		s = e.numbered(sb.build())
		if len(p.scanners) >= maxPlans {
			clear(p.scanners)
		}
		p.scanners[string(have)] = s
	}
	return s
}

// Plans is the number of plans held for kinds of record.
func (e *Engine) Plans() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.plans)
}

// accepted tells of each log source of rules whether the source is of it.
func (e *Engine) accepted(s *Source) []bool {
	accept := make([]bool, len(e.sources))
	for i, l := range e.sources {
		accept[i] = s.Accepts(l)
	}
	return accept
}

// answers is what is known of predicates, by id: 0 nothing, 1 false, 2 true.
type answers []uint8

// signature is what rules' questions about the constant fields of a source come
// to, and that together with the log sources as a key. The answers are good
// until the next call.
func (e *Engine) signature(s *Source, accept []bool) (known answers, key string) {
	buf := make([]byte, 0, len(e.sources)/8+64)
	var acc byte
	put := func(i int, b bool) {
		if b {
			acc |= 1 << (i & 7)
		}
		if i&7 == 7 {
			buf, acc = append(buf, acc), 0
		}
	}
	for i, a := range accept {
		put(i, a)
	}
	buf, acc = append(buf, acc), 0
	clear(e.known)
	for _, c := range s.Const {
		id := e.fields.ID(c.Field)
		if id == NoField {
			continue
		}
		buf = binary.AppendUvarint(buf, uint64(id))
		text := []byte(c.Value)
		low := lowerInto(nil, text)
		for i, pid := range e.byField[id] {
			p := &e.preds[pid]
			if p.kind == predRef {
				continue
			}
			v := p.kind != predNull && p.matchValue(text, low)
			e.known[pid] = 1
			if v {
				e.known[pid] = 2
			}
			put(i, v)
		}
		buf, acc = append(buf, acc), 0
	}
	return e.known, string(buf)
}

// readsOf is the constant fields of a source as a mask like Rule.reads.
func (e *Engine) readsOf(s *Source) uint64 {
	mask := uint64(0)
	for _, c := range s.Const {
		if id := e.fields.ID(c.Field); id != NoField {
			mask |= 1 << (id & 63)
		}
	}
	return mask
}

// simplify takes known answers out of a condition.
func simplify(x *expr, known answers) *expr {
	switch x.kind {
	case exprPred:
		if v := known[x.id]; v != 0 {
			return truth(v == 2)
		}
		return x
	case exprNot:
		k := simplify(x.kids[0], known)
		switch {
		case k.kind == exprTrue || k.kind == exprFalse:
			return truth(k.kind == exprFalse)
		case k == x.kids[0]:
			return x
		}
		return negate(k)
	case exprAnd, exprOr:
		return simplifyChain(x, known)
	default:
		return x
	}
}

func truth(v bool) *expr {
	if v {
		return &expr{kind: exprTrue}
	}
	return &expr{kind: exprFalse}
}

func simplifyChain(x *expr, known answers) *expr {
	decides, neutral := exprFalse, exprTrue
	if x.kind == exprOr {
		decides, neutral = exprTrue, exprFalse
	}
	var kids []*expr
	changed := false
	for _, k := range x.kids {
		s := simplify(k, known)
		changed = changed || s != k
		switch s.kind {
		case decides:
			return s
		case neutral:
		default:
			kids = append(kids, s)
		}
	}
	switch {
	case len(kids) == 0:
		return &expr{kind: neutral}
	case len(kids) == 1:
		return kids[0]
	case !changed:
		return x
	}
	return &expr{kind: x.kind, kids: kids, line: x.line}
}

func lineText(n int) string { return strconv.Itoa(n) }
