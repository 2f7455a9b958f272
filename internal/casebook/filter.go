package casebook

import "hash/maphash"

// filter tells which keys a run does not have for sure: a Bloom filter of ten
// bits a key. A flood of new sources asks for thousands of keys a second, and
// none of them is there.
type filter struct {
	seed maphash.Seed
	bits []uint64
}

const (
	bitsPerKey = 10 // one in a hundred is looked for in vain
	probes     = 4
)

func newFilter(keys int) *filter {
	return &filter{maphash.MakeSeed(), make([]uint64, keys*bitsPerKey/64+1)}
}

func (f *filter) put(key []byte) {
	f.each(key, func(word *uint64, bit uint64) bool { *word |= bit; return true })
}

func (f *filter) maybe(key []byte) bool {
	return f.each(key, func(word *uint64, bit uint64) bool { return *word&bit != 0 })
}

// each calls fn with the bits of a key until it says no.
func (f *filter) each(key []byte, fn func(word *uint64, bit uint64) bool) bool {
	h := maphash.Bytes(f.seed, key)
	step := h>>32 | 1
	for range probes {
		i := h % uint64(len(f.bits)*64)
		if !fn(&f.bits[i/64], 1<<(i%64)) {
			return false
		}
		h += step
	}
	return true
}
