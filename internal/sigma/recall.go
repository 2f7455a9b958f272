package sigma

import (
	"encoding/binary"
	"math/bits"
)

// Limits on what a worker remembers of values, in all less than six MiB.
const (
	recallSlots = 1 << 15 // values
	recallOnce  = 1 << 15 // hashes of values seen once
	recallBytes = 4 << 20 // texts and rules of all values
	recallText  = 8192    // bytes of one text
	recallRules = 64      // rules of one value
	recallPairs = 15      // bits of the number of answers
)

// recall is a worker's memory of the values that it saw lately: which rules each
// may concern, mostly none, and what predicates said of it. Logs say the same
// over and over, and what is remembered needs no search. A value is remembered
// from the second time on, so one that never comes again costs a hash. The
// oldest are forgotten first. It holds no pointers, so that the garbage
// collector has nothing to do with its thousands of values.
type recall struct {
	slots []recalled
	once  []uint32 // by hash: more of the hash of the value seen there last
	bytes []byte   // texts and rules, the newest over the oldest
	end   uint64   // how many bytes were ever written
	pairs []uint64 // answers of predicates about values: value, predicate, answer
	last  uint32   // number of a value
}

// recalled is a value.
type recalled struct {
	hash    uint64
	view    view
	at      uint64 // where its text began when it was written; its rules follow
	size, n uint16 // bytes of the text, rules
	no      uint32 // a number that no other value has or had
}

// view is what a value is searched for: the index of its field, and the scanner
// of words where that looks too, each by its number among those of the engine.
type view uint64

func viewOf(fi *fieldIndex, words *scanner) view {
	if words == nil {
		return view(fi.no) << 32
	}
	return view(fi.no)<<32 | view(words.no)
}

func newRecall() recall {
	return recall{
		slots: make([]recalled, recallSlots), once: make([]uint32, recallOnce),
		bytes: make([]byte, recallBytes), end: 2 * recallBytes, pairs: make([]uint64, 1<<recallPairs),
	}
}

// hash is good enough to tell the values of logs apart, and quick. It sees all
// of a text of up to 32 bytes and a part of a longer one, so those that differ
// elsewhere drive each other out. That costs time, and no more than if nothing
// were remembered.
func (v view) hash(t []byte) uint64 {
	n := len(t)
	h := mix(uint64(v)^uint64(n), hashMul64)
	switch {
	case n >= 8:
		h = mix(h^load64(t), hashMul64^load64(t[n-8:]))
	case n >= 4:
		h = mix(h^(uint64(load32(t))<<32|uint64(load32(t[n-4:]))), hashMul64)
	case n > 0:
		h = mix(h^(uint64(t[0])<<16|uint64(t[n/2])<<8|uint64(t[n-1])), hashMul64)
	}
	if n > 16 {
		h ^= mix(hashMul64^load64(t[8:]), h^load64(t[n-16:]))
	}
	if n > 32 {
		h ^= mix(hashMul64^load64(t[n/2-8:]), h^load64(t[n/2:]))
	}
	if n > 64 {
		h ^= mix(hashMul64^load64(t[n/4:]), h^load64(t[n/4*3:]))
	}
	return h
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// find is what is remembered of a value, if anything. A value lies in the slot
// of its hash or in that one's neighbour.
func (c *recall) find(h uint64, v view, text []byte) *recalled {
	for _, i := range [2]uint64{h % recallSlots, h%recallSlots ^ 1} {
		s := &c.slots[i]
		if s.hash != h || s.view != v || c.end-s.at > recallBytes {
			continue
		}
		if at := s.at % recallBytes; string(c.bytes[at:at+uint64(s.size)]) == string(text) {
			return s
		}
	}
	return nil
}

// rules appends the rules that a value may concern to dst.
func (c *recall) rules(dst []int32, s *recalled) []int32 {
	b := c.bytes[s.at%recallBytes+uint64(s.size):]
	for range s.n {
		dst, b = append(dst, int32(load32(b))), b[4:]
	}
	return dst
}

// again tells whether a value with the hash was seen before, and notes that it
// was now.
func (c *recall) again(h uint64) bool {
	o := &c.once[h%recallOnce]
	seen := *o == uint32(h>>32)
	*o = uint32(h >> 32)
	return seen
}

// keep remembers a value that find did not know.
func (c *recall) keep(h uint64, v view, text []byte, rules []int32) {
	if len(rules) > recallRules {
		return
	}
	if c.last++; c.last == unlooked { // after 4 billion
		clear(c.slots)
		clear(c.pairs)
		c.last = 1
	}
	size := uint64(len(text) + 4*len(rules))
	if room := recallBytes - c.end%recallBytes; room < size {
		c.end += room
	}
	i := h % recallSlots
	c.slots[i^1] = c.slots[i] // the older of the two goes
	c.slots[i] = recalled{h, v, c.end, uint16(len(text)), uint16(len(rules)), c.last}
	at := c.end%recallBytes + uint64(copy(c.bytes[c.end%recallBytes:], text))
	for i, r := range rules {
		binary.LittleEndian.PutUint32(c.bytes[at+4*uint64(i):], uint32(r))
	}
	c.end += size
}

// asked is what a predicate said of a value, if that is still remembered.
func (c *recall) asked(no uint32, pred int32) (said, known bool) {
	a := c.pairs[pairSlot(no, pred)]
	return a&1 != 0, no != 0 && a>>1 == uint64(no)<<31|uint64(pred)
}

// note remembers what a predicate said of a value.
func (c *recall) note(no uint32, pred int32, said bool) {
	if no != 0 {
		c.pairs[pairSlot(no, pred)] = uint64(no)<<32 | uint64(pred)<<1 | uint64(b2i(said))
	}
}

func pairSlot(no uint32, pred int32) uint64 {
	return (uint64(no)<<32 | uint64(pred)) * hashMul64 >> (64 - recallPairs)
}
