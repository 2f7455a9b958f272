package sigma

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// groupState is what a correlation knows of one group. It holds no pointers, so
// a million of them cost the garbage collector nothing.
type groupState struct {
	hash       uint64
	fired      int64 // when it fired last, never while it is armed
	touched    int64 // time of its last match; of a closing window: its end
	cor        int32
	prev, next int32  // by last use, -1 at the ends
	data       uint32 // words
	group      uint32 // words that hold the text of the group
	n, head    uint32
	groupLen   uint16
	class      uint8 // log2 of the number of words of data, noData without
	used       bool
}

const (
	never  = math.MinInt64
	noData = 0xff

	chunkWords  = 1 << 15
	chunkStates = 1 << 10
)

// store holds groups by correlation and group-by values: an open table of
// numbers, states and words in chunks. It serves one goroutine.
type store struct {
	seed   maphash.Seed
	table  []int32 // number of a state + 1, 0 when empty
	count  int
	states [][]groupState
	freed  []int32
	top    int32
	newest int32
	oldest int32

	chunks [][]uint64
	next   uint32 // first unused word
	free   [16][]uint32
}

func newStore(seed maphash.Seed) *store {
	return &store{seed: seed, table: make([]int32, 64), newest: -1, oldest: -1}
}

func (s *store) state(i int32) *groupState { return &s.states[i/chunkStates][i%chunkStates] }

// words is the block at ref.
func (s *store) words(ref uint32, class uint8) []uint64 {
	if class == noData {
		return nil
	}
	off := ref % chunkWords
	return s.chunks[ref/chunkWords][off : off+1<<class : off+1<<class]
}

func classOf(n int) uint8 {
	if n <= 1 {
		return 0
	}
	return uint8(bits.Len(uint(n - 1)))
}

// alloc gives a zeroed block of 1<<class words, at most a chunk.
func (s *store) alloc(class uint8) uint32 {
	if list := s.free[class]; len(list) > 0 {
		ref := list[len(list)-1]
		s.free[class] = list[:len(list)-1]
		clear(s.words(ref, class))
		return ref
	}
	size := uint32(1) << class
	if s.next%chunkWords+size > chunkWords || int(s.next/chunkWords) == len(s.chunks) {
		s.giveRest()
		s.next = uint32(len(s.chunks)) * chunkWords
		s.chunks = append(s.chunks, make([]uint64, chunkWords))
	}
	ref := s.next
	s.next += size
	return ref
}

// giveRest puts what is left of the last chunk on the free lists.
func (s *store) giveRest() {
	for s.next%chunkWords != 0 {
		class := uint8(bits.TrailingZeros32(s.next))
		s.free[class] = append(s.free[class], s.next)
		s.next += 1 << class
	}
}

func (s *store) release(ref uint32, class uint8) {
	if class != noData {
		s.free[class] = append(s.free[class], ref)
	}
}

// grow gives the state room for n words, keeping what it has.
func (s *store) grow(st *groupState, n int) []uint64 {
	class := classOf(n)
	if st.class != noData && st.class >= class {
		return s.words(st.data, st.class)
	}
	ref := s.alloc(class)
	w := s.words(ref, class)
	copy(w, s.words(st.data, st.class))
	s.release(st.data, st.class)
	st.data, st.class = ref, class
	return w
}

func (s *store) hash(cor int32, group string) uint64 {
	return maphash.String(s.seed, group) ^ uint64(cor)*hashMul64
}

// text is the group's text, in the store's own memory.
func (s *store) text(st *groupState, buf []byte) []byte {
	buf = buf[:0]
	if st.groupLen == 0 {
		return buf
	}
	w := s.words(st.group, classOf((int(st.groupLen)+7)/8))
	for i := range int(st.groupLen) {
		buf = append(buf, byte(w[i/8]>>(8*(i%8))))
	}
	return buf
}

func (s *store) sameText(st *groupState, group string) bool {
	if int(st.groupLen) != len(group) {
		return false
	}
	if len(group) == 0 {
		return true
	}
	w := s.words(st.group, classOf((len(group)+7)/8))
	b := bytesOf(group)
	for len(b) >= 8 {
		if load64(b) != w[0] {
			return false
		}
		b, w = b[8:], w[1:]
	}
	for i, c := range b {
		if byte(w[0]>>(8*i)) != c {
			return false
		}
	}
	return true
}

func (s *store) putText(st *groupState, group string) {
	st.groupLen = uint16(len(group))
	if len(group) == 0 {
		return
	}
	st.group = s.alloc(classOf((len(group) + 7) / 8))
	w := s.words(st.group, classOf((len(group)+7)/8))
	for i := range len(group) {
		w[i/8] |= uint64(group[i]) << (8 * (i % 8))
	}
}

// find is the state of a group, -1 when there is none.
func (s *store) find(h uint64, cor int32, group string) int32 {
	mask := uint64(len(s.table) - 1)
	for i := h & mask; s.table[i] != 0; i = (i + 1) & mask {
		n := s.table[i] - 1
		if st := s.state(n); st.hash == h && st.cor == cor && s.sameText(st, group) {
			return n
		}
	}
	return -1
}

// insert makes a state for a group that has none.
func (s *store) insert(h uint64, cor int32, group string) int32 {
	if (s.count+1)*4 > len(s.table)*3 {
		s.rehash()
	}
	var n int32
	if k := len(s.freed); k > 0 {
		n = s.freed[k-1]
		s.freed = s.freed[:k-1]
	} else {
		n = s.top
		s.top++
		if int(n/chunkStates) == len(s.states) {
			s.states = append(s.states, make([]groupState, chunkStates))
		}
	}
	st := s.state(n)
	*st = groupState{hash: h, fired: never, cor: cor, prev: -1, next: -1, class: noData, used: true}
	s.putText(st, group)
	s.place(n)
	s.count++
	s.link(n)
	return n
}

func (s *store) place(n int32) {
	mask := uint64(len(s.table) - 1)
	i := s.state(n).hash & mask
	for s.table[i] != 0 {
		i = (i + 1) & mask
	}
	s.table[i] = n + 1
}

func (s *store) rehash() {
	old := s.table
	s.table = make([]int32, 2*len(old))
	for _, n := range old {
		if n != 0 {
			s.place(n - 1)
		}
	}
}

// remove forgets a state.
func (s *store) remove(n int32) {
	st := s.state(n)
	mask := uint64(len(s.table) - 1)
	i := st.hash & mask
	for s.table[i] != n+1 {
		i = (i + 1) & mask
	}
	s.unplace(i, mask)
	s.unlink(n)
	s.release(st.data, st.class)
	if st.groupLen > 0 {
		s.release(st.group, classOf((int(st.groupLen)+7)/8))
	}
	*st = groupState{}
	s.freed = append(s.freed, n)
	s.count--
}

// unplace empties slot i and moves up what had to make way for it.
func (s *store) unplace(i, mask uint64) {
	s.table[i] = 0
	for j := (i + 1) & mask; s.table[j] != 0; j = (j + 1) & mask {
		home := s.state(s.table[j]-1).hash & mask
		if (j-home)&mask >= (j-i)&mask {
			s.table[i], s.table[j] = s.table[j], 0
			i = j
		}
	}
}

// link makes n the one used last.
func (s *store) link(n int32) {
	st := s.state(n)
	st.prev, st.next = s.newest, -1
	if s.newest >= 0 {
		s.state(s.newest).next = n
	}
	s.newest = n
	if s.oldest < 0 {
		s.oldest = n
	}
}

func (s *store) unlink(n int32) {
	st := s.state(n)
	if st.prev >= 0 {
		s.state(st.prev).next = st.next
	} else {
		s.oldest = st.next
	}
	if st.next >= 0 {
		s.state(st.next).prev = st.prev
	} else {
		s.newest = st.prev
	}
}

func (s *store) touch(n int32) {
	if s.newest != n {
		s.unlink(n)
		s.link(n)
	}
}
