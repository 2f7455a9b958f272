// Package index finds the places of many short words in one pass.
//
// Words are compared folded: each byte with bit 0x20 set, which makes letters
// of both cases equal. That is a filter; who uses the index verifies.
package index

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
)

const (
	fold       = 0x20202020
	bitmapBits = 20
	mul        = 0x9E3779B1
	again      = 0x85EBCA6B // of the second test
)

// Index is a set of words. It is not changed after New.
type Index struct {
	words   [1 << (bitmapBits - 6)]uint64 // by hash: of words of 4 and 3 bytes
	second  [1 << (bitmapBits - 6)]uint64 // by another hash: of words of 4 bytes
	twos    [1 << (16 - 6)]uint64         // of words of 2 bytes
	pairs   [1 << (16 - 6)]uint64         // the first two bytes of those of 2 and 3
	shift   uint                          // of a hash, for its bucket
	buckets []uint32                      // by hash: where the groups begin
	groups  []group
	byPair  []uint32
	short   []group
	entries []Entry
	zeros   bool // a word of zeros is among them
}

// Entry is what to do where a word was found, after a look at its Near.
type Entry struct {
	Near
	Ref code.Ref
}

// Near is eight bytes around a word: from Back bytes before its first on, the
// first in the low bits. Those of Mask are known.
type Near struct {
	Value, Mask uint64
	Back        int
}

// Fits tells whether the bytes around pos are those of n. Where fewer than
// eight are there it cannot tell, and says yes.
func (n *Near) Fits(data []byte, pos int) bool {
	at := pos - n.Back
	return at < 0 || at+8 > len(data) || binary.LittleEndian.Uint64(data[at:])&n.Mask == n.Value
}

// group is the entries of one word. The bits of raw in care are those that all
// of its words have before folding.
type group struct {
	word, mask uint32
	raw, care  uint32
	from, to   uint32
}

// Sort puts atoms into the order that New wants; New takes others too.
func Sort(atoms []code.Atom) { slices.SortFunc(atoms, order) }

func order(a, b code.Atom) int {
	return cmp.Or(cmp.Compare(b.Len/4, a.Len/4), cmp.Compare(key(&a), key(&b)), cmp.Compare(a.Len, b.Len),
		cmp.Compare(folded(&a), folded(&b)), cmp.Compare(a.Ref.Unit, b.Ref.Unit))
}

// New makes the index of atoms of 2 to 4 bytes; near tells what lies around
// each.
func New(atoms []code.Atom, near func(*code.Atom) Near) *Index {
	width := min(bits.Len(uint(len(atoms)))+1, 18)
	ix := &Index{shift: uint(32 - width), buckets: make([]uint32, 1<<width+1), entries: make([]Entry, 0, len(atoms))}
	sorted := atoms
	if !slices.IsSortedFunc(atoms, order) {
		sorted = slices.Clone(atoms)
		Sort(sorted)
	}
	for i := range sorted {
		a := &sorted[i]
		ix.zeros = ix.zeros || a.Word == 0 || (a.Fold && a.Word&^fold == 0)
	}
	var last *code.Atom
	for i := range sorted {
		a := &sorted[i]
		if last == nil || folded(last) != folded(a) || last.Len != a.Len {
			ix.open(a)
		}
		last = a
		ix.entries = append(ix.entries, Entry{Near: near(a), Ref: a.Ref})
		list := ix.short
		if a.Len == 4 {
			list = ix.groups
		}
		list[len(list)-1].join(a, uint32(len(ix.entries)))
	}
	for i := 1; i < len(ix.buckets); i++ {
		ix.buckets[i] += ix.buckets[i-1]
	}
	for i := 1; i < len(ix.byPair); i++ {
		ix.byPair[i] += ix.byPair[i-1]
	}
	return ix
}

// folded is the word as it is compared.
func folded(a *code.Atom) uint32 { return (a.Word | fold) & (^uint32(0) >> (32 - 8*a.Len)) }

func (g *group) join(a *code.Atom, to uint32) {
	g.to = to
	g.care &^= g.raw ^ a.Word
	if a.Fold {
		g.care &^= fold
	}
}

// key is what a word's group is sorted by.
func key(a *code.Atom) uint32 {
	if a.Len == 4 {
		return folded(a) * mul
	}
	return folded(a) & 0xFFFF
}

func (ix *Index) open(a *code.Atom) {
	at := uint32(len(ix.entries))
	if a.Len == 4 {
		ix.mark(folded(a))
		h := folded(a) * again >> (32 - bitmapBits)
		ix.second[h>>6] |= 1 << (h & 63)
		ix.buckets[key(a)>>ix.shift+1]++
		ix.groups = append(ix.groups, group{word: folded(a), mask: ^uint32(0), raw: a.Word, care: ^uint32(0), from: at})
		return
	}
	if ix.byPair == nil {
		ix.byPair = make([]uint32, 1<<16+1)
	}
	p := folded(a) & 0xFFFF
	ix.pairs[p>>6] |= 1 << (p & 63)
	if a.Len == 2 {
		ix.twos[p>>6] |= 1 << (p & 63)
	} else {
		for c := range uint32(256) {
			ix.mark(folded(a) | (c|0x20)<<24)
		}
	}
	ix.byPair[p+1]++
	ix.short = append(ix.short, group{word: folded(a), mask: uint32(1)<<(8*a.Len) - 1, raw: a.Word, care: uint32(1)<<(8*a.Len) - 1, from: at})
}

func (ix *Index) mark(word uint32) {
	h := word * mul >> (32 - bitmapBits)
	ix.words[h>>6] |= 1 << (h & 63)
}

// Find calls hit for each word that begins in data[from:to], in order. Data
// may reach beyond to. hit returns false to stop.
func (ix *Index) Find(data []byte, from, to int, hit func(pos int, found []Entry) bool) bool {
	i := from
	for ; i+12 <= len(data) && i+8 <= to; i += 8 {
		lo := binary.LittleEndian.Uint64(data[i:])
		hi := uint64(binary.LittleEndian.Uint32(data[i+8:]))
		if lo|hi == 0 && !ix.zeros {
			continue
		}
		lo |= fold<<32 | fold
		hi |= fold
		m := ix.test(uint32(lo)) | ix.test(uint32(lo>>8))<<1 | ix.test(uint32(lo>>16))<<2 | ix.test(uint32(lo>>24))<<3 |
			ix.test(uint32(lo>>32))<<4 | ix.test(uint32(lo>>40|hi<<24))<<5 | ix.test(uint32(lo>>48|hi<<16))<<6 | ix.test(uint32(lo>>56|hi<<8))<<7
		for ; m != 0; m &= m - 1 {
			if !ix.at(data, i+bits.TrailingZeros64(m), hit) {
				return false
			}
		}
	}
	for ; i < to && i < len(data); i++ {
		if !ix.at(data, i, hit) {
			return false
		}
	}
	return true
}

func (ix *Index) test(w uint32) uint64 {
	h := w * mul >> (32 - bitmapBits)
	p := w & 0xFFFF
	return ix.words[h>>6]>>(h&63)&1 | ix.twos[p>>6]>>(p&63)&1
}

// words4 looks up the words of four bytes. A test with another hash spares most
// of the ways to memory.
func (ix *Index) words4(pos int, raw uint32, hit func(int, []Entry) bool) bool {
	h := (raw | fold) * again >> (32 - bitmapBits)
	if ix.second[h>>6]>>(h&63)&1 == 0 {
		return true
	}
	k := (raw | fold) * mul >> ix.shift
	for i := ix.buckets[k]; i < ix.buckets[k+1]; i++ {
		g := &ix.groups[i]
		if g.word == raw|fold && (g.raw^raw)&g.care == 0 && !hit(pos, ix.entries[g.from:g.to]) {
			return false
		}
	}
	return true
}

// at looks up the word at a place whose first test passed.
func (ix *Index) at(data []byte, pos int, hit func(int, []Entry) bool) bool {
	left := len(data) - pos
	var raw uint32
	if left >= 4 {
		if raw = binary.LittleEndian.Uint32(data[pos:]); raw == 0 && !ix.zeros {
			return true // the commonest of all
		}
		if !ix.words4(pos, raw, hit) {
			return false
		}
	} else {
		for i, c := range data[pos:] {
			raw |= uint32(c) << (8 * i)
		}
	}
	if ix.byPair == nil {
		return true
	}
	w := raw | fold
	p := w & 0xFFFF
	if ix.pairs[p>>6]>>(p&63)&1 == 0 {
		return true
	}
	for _, g := range ix.short[ix.byPair[p]:ix.byPair[p+1]] {
		if g.word != w&g.mask || (g.raw^raw)&g.care != 0 || (left < 3 && g.mask>>16 != 0) || left < 2 {
			continue
		}
		if !hit(pos, ix.entries[g.from:g.to]) {
			return false
		}
	}
	return true
}
