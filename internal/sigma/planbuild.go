package sigma

import "slices"

// planKey is a witness of some predicate, with what indexes need of it worked
// out once for all plans. The offsets are filled in under Engine.mu.
type planKey struct {
	wkey
	hash uint64             // of kinds that are looked up by hash
	offs [maxStep + 1]uint8 // rareGram by step, plus one; 0 while unknown
}

func newPlanKey(k wkey) planKey {
	p := planKey{wkey: k}
	switch k.kind {
	case wExact, wName:
		p.hash = hashFolded(bytesOf(k.text))
	case wTail, wHead:
		p.hash = affixHash(bytesOf(k.text))
	case wPresent, wForeign, wLit, wWord:
	}
	return p
}

// rare is rareGram of the literal, worked out at most once.
func (k *planKey) rare(step int) int {
	o := &k.offs[step]
	if *o == 0 {
		*o = uint8(rareGram(k.text, step)) + 1 // below maxRare
	}
	return int(*o) - 1
}

// planScratch is what building plans needs and the next one uses again.
type planScratch struct {
	gen     uint32
	slots   []keySlot
	keys    []int32 // of the plan; the place of a key is its group
	pairs   []keyRule
	need    []int32
	byField [][]int32 // groups
	touched []FieldID
	words   []planWord
	lits    scanBuilder
}

// literals is an empty builder of scanners.
func (s *planScratch) literals() *scanBuilder {
	s.lits.lits = s.lits.lits[:0]
	return &s.lits
}

// keySlot is where a key stands in the plan that is being built.
type keySlot struct {
	gen         uint32
	group, last int32 // last is the rule that asked for it last
}

type keyRule struct{ group, rule int32 }

// planBuilder builds one plan.
type planBuilder struct {
	*planScratch
	eng *Engine
	p   *plan
}

// buildPlan makes the plan of the rules of the accepted log sources. reads is a
// mask of the fields that known is about.
func (e *Engine) buildPlan(accept []bool, known answers, reads uint64) *plan {
	b := e.fill(accept, known, reads)
	if len(b.words) > 0 {
		sb := b.literals()
		b.addWords(sb)
		b.p.words = b.eng.numbered(sb.build())
	}
	b.index(true)
	return b.p
}

// buildBroad makes a plan of the rules of the accepted log sources with their
// words apart.
func (e *Engine) buildBroad(accept []bool) *broadPlan {
	b := e.fill(accept, nil, 0)
	b.index(false)
	return &broadPlan{plan: b.p, words: slices.Clone(b.words), scanners: map[string]*scanner{}}
}

// numbered gives a scanner of words its number.
func (e *Engine) numbered(s *scanner) *scanner {
	e.parts++
	s.no = e.parts
	return s
}

// fill begins a plan with its rules and groups.
func (e *Engine) fill(accept []bool, known answers, reads uint64) *planBuilder {
	b := &planBuilder{planScratch: &e.scratch, eng: e, p: &plan{}}
	b.reset()
	for i, r := range e.rules {
		if e.source[i] < 0 || !accept[e.source[i]] {
			continue
		}
		cond := r.fast
		if r.reads&reads != 0 {
			cond = simplify(cond, known)
		}
		if cond.kind != exprFalse {
			b.rule(r, cond, e.source[i])
		}
	}
	b.groups()
	return b
}

func (s *planScratch) reset() {
	s.gen++
	s.keys, s.pairs, s.words = s.keys[:0], s.pairs[:0], s.words[:0]
	for _, id := range s.touched {
		s.byField[id] = s.byField[id][:0]
	}
	s.touched = s.touched[:0]
}

// rule adds a rule under its witnesses.
func (b *planBuilder) rule(r *Rule, cond *expr, source int32) {
	at := int32(len(b.p.rules))
	b.p.rules = append(b.p.rules, planRule{r, cond, source})
	if cond.kind == exprTrue || !b.eng.need(cond).ok {
		b.p.always = append(b.p.always, at)
		return
	}
	b.need = b.eng.collect(cond, b.need[:0])
	for _, k := range b.need {
		slot := &b.slots[k]
		switch {
		case slot.gen != b.gen:
			*slot = keySlot{b.gen, int32(len(b.keys)), at}
			b.keys = append(b.keys, k)
			b.place(k, slot.group)
		case slot.last == at:
			continue
		}
		slot.last = at
		b.pairs = append(b.pairs, keyRule{slot.group, at})
	}
}

// place puts a new group under its field.
func (b *planBuilder) place(k, group int32) {
	key := &b.eng.keys[k]
	if key.kind == wWord {
		b.words = append(b.words, planWord{k, group})
		return
	}
	for int(key.field) >= len(b.byField) {
		b.byField = append(b.byField, nil)
	}
	if len(b.byField[key.field]) == 0 {
		b.touched = append(b.touched, key.field)
	}
	b.byField[key.field] = append(b.byField[key.field], group)
}

// groups sorts the rules by group.
func (b *planBuilder) groups() {
	starts := make([]int32, len(b.keys)+2)
	for _, kr := range b.pairs {
		starts[kr.group+2]++
	}
	for i := 2; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	lists := make([]int32, len(b.pairs))
	for _, kr := range b.pairs { // starts[g+1] runs from the start of g to its end
		lists[starts[kr.group+1]] = kr.rule
		starts[kr.group+1]++
	}
	b.p.starts, b.p.lists = starts[:len(b.keys)+1], lists
}

// index makes the indexes of fields; withWords, those that scan look for the
// plan's words too.
func (b *planBuilder) index(withWords bool) {
	p := b.p
	p.fields = make([]*fieldIndex, b.eng.fields.Len())
	for _, id := range b.touched {
		p.fields[id] = b.field(b.byField[id], withWords)
	}
}

func (b *planBuilder) addWords(sb *scanBuilder) {
	for _, w := range b.words {
		sb.addKey(&b.eng.keys[w.key], w.group)
	}
}

// field makes the index of the groups of one field.
func (b *planBuilder) field(groups []int32, withWords bool) *fieldIndex {
	b.eng.parts++
	fi := &fieldIndex{no: b.eng.parts, present: -1, foreign: -1}
	sb := b.literals()
	var exact, tails, heads, names hashBuilder
	for _, g := range groups {
		k := &b.eng.keys[b.keys[g]]
		switch k.kind {
		case wPresent:
			fi.present = g
		case wForeign:
			fi.foreign = g
		case wExact:
			exact.add(k.hash, g)
			fi.exactMax = max(fi.exactMax, len(k.text))
		case wName:
			names.add(k.hash, g)
		case wTail:
			tails.add(k.hash, g)
			fi.tailLens = addLen(fi.tailLens, len(k.text))
		case wHead:
			heads.add(k.hash, g)
			fi.headLens = addLen(fi.headLens, len(k.text))
		case wLit, wWord:
			sb.addKey(k, g)
		}
	}
	fi.exact, fi.tails, fi.heads, fi.names = exact.build(), tails.build(), heads.build(), names.build()
	fi.scan = b.p.words
	if len(sb.lits) > 0 {
		if withWords {
			b.addWords(sb)
		}
		fi.scan = sb.build()
	}
	return fi
}

func addLen(lens []uint8, n int) []uint8 {
	for _, l := range lens {
		if int(l) == n {
			return lens
		}
	}
	return append(lens, uint8(n))
}
