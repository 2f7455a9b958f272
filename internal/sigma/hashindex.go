package sigma

import "math/bits"

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
