package sigma

import (
	"encoding/binary"
	"math/bits"
	"strconv"
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
	words  *scanner // for fields without an index of their own
	groups [][]int32
}

// planRule is a rule with what is known of the Source taken out of it.
type planRule struct {
	rule *Rule
	cond *expr
}

// fieldIndex finds the rules that a value of one field may concern.
type fieldIndex struct {
	present  int32 // group, -1 for none
	foreign  int32 // the same, for values with characters outside ASCII
	names    *hashIndex
	exact    *hashIndex
	tails    *hashIndex
	heads    *hashIndex
	tailLens []uint8
	headLens []uint8
	scan     *scanner
}

// planFor finds or builds the plan of a source.
func (e *Engine) planFor(s *Source) *plan {
	accept, consts, sig := e.signature(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.plans[sig]; p != nil {
		return p
	}
	if len(e.plans) >= maxPlans {
		clear(e.plans)
	}
	p := e.buildPlan(accept, consts)
	e.plans[sig] = p
	return p
}

// Plans is the number of plans held.
func (e *Engine) Plans() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.plans)
}

// signature is which log sources of rules the source is, what rules' questions
// about its constant fields come to, and both as a key.
func (e *Engine) signature(s *Source) (accept []bool, consts map[int32]bool, key string) {
	accept = make([]bool, len(e.sources))
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
	for i, l := range e.sources {
		accept[i] = s.Accepts(l)
		put(i, accept[i])
	}
	buf, acc = append(buf, acc), 0
	consts = map[int32]bool{}
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
			consts[pid] = v
			put(i, v)
		}
		buf, acc = append(buf, acc), 0
	}
	return accept, consts, string(buf)
}

// simplify takes known answers out of a condition.
func simplify(x *expr, known map[int32]bool) *expr {
	switch x.kind {
	case exprPred:
		if v, ok := known[x.id]; ok {
			return truth(v)
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

func simplifyChain(x *expr, known map[int32]bool) *expr {
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

func (e *Engine) buildPlan(accept []bool, known map[int32]bool) *plan {
	p := &plan{}
	b := planBuilder{p: p, keys: map[wkey][]int32{}}
	for i, r := range e.rules {
		if e.source[i] < 0 || !accept[e.source[i]] {
			continue
		}
		cond := simplify(r.fast, known)
		if cond.kind == exprFalse {
			continue
		}
		at := int32(len(p.rules))
		p.rules = append(p.rules, planRule{r, cond})
		w := exprWitness(cond, e.preds)
		if !w.ok || cond.kind == exprTrue {
			p.always = append(p.always, at)
			continue
		}
		for _, k := range w.keys {
			list := b.keys[k]
			if n := len(list); n == 0 || list[n-1] != at {
				b.keys[k] = append(list, at)
			}
		}
	}
	b.build(e.fields.Len())
	return p
}

type planBuilder struct {
	p    *plan
	keys map[wkey][]int32

	wordGroups map[string]int32 // the same in every field
}

type fieldBuilder struct {
	present []int32
	foreign []int32
	lits    []wkey
}

func (b *planBuilder) build(fields int) {
	p := b.p
	p.fields = make([]*fieldIndex, fields)
	byField := map[FieldID]*fieldBuilder{}
	var words []wkey
	for k, rules := range b.keys {
		if k.kind == wWord {
			words = append(words, k)
			continue
		}
		fb := byField[k.field]
		if fb == nil {
			fb = &fieldBuilder{}
			byField[k.field] = fb
		}
		if k.kind == wPresent {
			fb.present = rules
			continue
		}
		if k.kind == wForeign {
			fb.foreign = rules
			continue
		}
		fb.lits = append(fb.lits, k)
	}
	if len(words) > 0 {
		sb := newScanBuilder()
		b.wordGroups = make(map[string]int32, len(words))
		for _, k := range words {
			b.wordGroups[k.text] = b.group(k)
			sb.add(k.text, b.wordGroups[k.text])
		}
		p.words = sb.build()
	}
	for id, fb := range byField {
		p.fields[id] = b.field(fb, words)
	}
}

func (b *planBuilder) group(k wkey) int32 {
	b.p.groups = append(b.p.groups, b.keys[k])
	return int32(len(b.p.groups) - 1)
}

func (b *planBuilder) field(fb *fieldBuilder, words []wkey) *fieldIndex {
	fi := &fieldIndex{present: -1, foreign: -1}
	if fb.present != nil {
		b.p.groups = append(b.p.groups, fb.present)
		fi.present = int32(len(b.p.groups) - 1)
	}
	if fb.foreign != nil {
		b.p.groups = append(b.p.groups, fb.foreign)
		fi.foreign = int32(len(b.p.groups) - 1)
	}
	sb := newScanBuilder()
	var exact, tails, heads, names hashBuilder
	for _, k := range fb.lits {
		g := b.group(k)
		switch k.kind {
		case wExact:
			exact.add(hashFolded(bytesOf(k.text)), g)
		case wName:
			names.add(hashFolded(bytesOf(k.text)), g)
		case wTail:
			tails.add(affixHash(bytesOf(k.text)), g)
			fi.tailLens = addLen(fi.tailLens, len(k.text))
		case wHead:
			heads.add(affixHash(bytesOf(k.text)), g)
			fi.headLens = addLen(fi.headLens, len(k.text))
		default:
			sb.add(k.text, g)
		}
	}
	fi.exact, fi.tails, fi.heads, fi.names = exact.build(), tails.build(), heads.build(), names.build()
	fi.scan = b.p.words
	if len(sb.lits) > 0 {
		for _, k := range words {
			sb.add(k.text, b.wordGroups[k.text])
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

// hashIndex maps hashes to groups; false hits are sorted out by evaluation.
type hashIndex struct {
	slots []hashSlot
	shift uint8
}

type hashSlot struct {
	hash  uint64
	group int32
	used  bool
}

type hashBuilder struct{ slots []hashSlot }

func (b *hashBuilder) add(h uint64, group int32) { b.slots = append(b.slots, hashSlot{h, group, true}) }

func (b *hashBuilder) build() *hashIndex {
	if len(b.slots) == 0 {
		return nil
	}
	logN := bits.Len(uint(len(b.slots)*2 - 1))
	ix := &hashIndex{slots: make([]hashSlot, 1<<logN), shift: uint8(64 - logN)}
	for _, s := range b.slots {
		i := int(s.hash >> ix.shift)
		for ix.slots[i].used {
			i = (i + 1) & (len(ix.slots) - 1)
		}
		ix.slots[i] = s
	}
	return ix
}

// each tells f of the groups with hash h.
func (ix *hashIndex) each(h uint64, f found) {
	mask := len(ix.slots) - 1
	for i := int(h >> ix.shift); ix.slots[i&mask].used; i++ {
		if s := &ix.slots[i&mask]; s.hash == h {
			f.hit(s.group)
		}
	}
}

const hashMul64 = 0x9E3779B97F4A7C15

// hashFolded hashes a text without regard to ASCII case.
func hashFolded(s []byte) uint64 {
	h := uint64(len(s)) * hashMul64
	for len(s) >= 8 {
		h = (h ^ (load64(s) | foldMask8)) * hashMul64
		h ^= h >> 32
		s = s[8:]
	}
	if len(s) > 0 {
		h = (h ^ loadUpTo8(s)) * hashMul64
		h ^= h >> 32
	}
	return h * hashMul64
}

// loadUpTo8 is the at most 8 bytes of s, folded, in a word.
func loadUpTo8(s []byte) uint64 {
	var x uint64
	for i, c := range s {
		x |= uint64(c|0x20) << (8 * (i & 7))
	}
	return x
}

// affixHash hashes a beginning or end of at most maxAffix bytes.
func affixHash(s []byte) uint64 {
	return (loadUpTo8(s) ^ uint64(len(s))<<56*3) * hashMul64
}

func lineText(n int) string { return strconv.Itoa(n) }
