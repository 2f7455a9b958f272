package casebook

import "math/bits"

// filter tells which keys a run does not have for sure: a Bloom filter of sixteen
// bits a key. A flood of new sources asks for thousands of keys a second, and
// none of them is there. It takes hashes of keys, so that a key is hashed once for
// all runs.
type filter struct{ bits []uint64 }

const (
	bitsPerKey = 16 // one in a thousand is looked for in vain
	probes     = 5
)

func newFilter(keys int) *filter { return &filter{make([]uint64, keys*bitsPerKey/64+1)} }

func (f *filter) put(h uint64) {
	for i := range uint64(probes) {
		word, bit := f.place(h, i)
		f.bits[word] |= bit
	}
}

func (f *filter) maybe(h uint64) bool {
	for i := range uint64(probes) {
		if word, bit := f.place(h, i); f.bits[word]&bit == 0 {
			return false
		}
	}
	return true
}

// place is where the i-th bit of a hash lies.
func (f *filter) place(h, i uint64) (word, bit uint64) {
	at, _ := bits.Mul64(h+i*(bits.RotateLeft64(h, 32)|1), uint64(len(f.bits)*64)) // a hash as a part of 1
	return at / 64, 1 << (at % 64)
}
