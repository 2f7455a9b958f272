package sigma

import (
	"math"
	"math/bits"
)

// groupState is what a correlation knows of one group. It holds no pointers, so
// a million of them cost the garbage collector nothing. Its block holds the
// text of the group, then the data.
type groupState struct {
	hash    uint64
	fired   int64 // when it fired last, never while it is armed
	touched int64 // time of its last match; of a closing window: its end
	cor     int32
	block   uint32 // first word
	n       uint32
	head    uint16
	textLen uint16
	class   uint8 // of the size of the block
	used    bool
}

const (
	never = math.MinInt64

	chunkWords  = 1 << 15
	chunkStates = 1 << 10
	maxClass    = 128
)

// store holds groups by correlation and group-by values: an open table of
// numbers, states and words in chunks. It serves one goroutine.
type store struct {
	table  []int32 // number of a state
	tags   []uint8 // by place in the table: of the state's hash, 0 when empty
	count  int
	states [][]groupState
	freed  []int32
	top    int32
	hand   int32 // where to look next for a state to forget

	chunks [][]uint64
	next   uint32 // first unused word
	free   [maxClass][]uint32
}

func newStore() *store {
	return &store{table: make([]int32, 64), tags: make([]uint8, 64)}
}

func (s *store) state(i int32) *groupState { return &s.states[i/chunkStates][i%chunkStates] }

// Blocks come in sizes of 1 to 16 words, then eight sizes for each doubling.

// classOf is the smallest class of at least n words.
func classOf(n int) uint8 {
	if n <= 16 {
		return uint8(max(n, 1) - 1)
	}
	shift := bits.Len(uint(n-1)) - 4
	return uint8(16 + (shift-1)*8 + (n-1)>>shift - 7)
}

func sizeOf(class uint8) int {
	if class < 16 {
		return int(class) + 1
	}
	return (int(class-16)%8 + 8) << (int(class-16)/8 + 1)
}

// at is the block at ref.
func (s *store) at(ref uint32, class uint8) []uint64 {
	off, n := int(ref%chunkWords), sizeOf(class)
	return s.chunks[ref/chunkWords][off : off+n : off+n]
}

// alloc gives a zeroed block, at most a chunk.
func (s *store) alloc(class uint8) uint32 {
	if list := s.free[class]; len(list) > 0 {
		ref := list[len(list)-1]
		s.free[class] = list[:len(list)-1]
		clear(s.at(ref, class))
		return ref
	}
	size := uint32(sizeOf(class))
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
	for left := (chunkWords - int(s.next%chunkWords)) % chunkWords; left > 0; {
		class := classOf(left)
		if sizeOf(class) > left {
			class--
		}
		s.free[class] = append(s.free[class], s.next)
		s.next += uint32(sizeOf(class))
		left -= sizeOf(class)
	}
}

func textWords(n uint16) int { return (int(n) + 7) / 8 }

// words is the state's data.
func (s *store) words(st *groupState) []uint64 {
	return s.at(st.block, st.class)[textWords(st.textLen):]
}

// grow gives the state room for n words of data, keeping what it has. It takes
// more than asked for, in large steps, but not more than most.
func (s *store) grow(st *groupState, n, most int) []uint64 {
	tw := textWords(st.textLen)
	if have := sizeOf(st.class) - tw; n <= have {
		return s.words(st)
	} else if have > 0 {
		n = max(n, min(8*have, most))
	}
	class := classOf(tw + n)
	ref := s.alloc(class)
	copy(s.at(ref, class), s.at(st.block, st.class))
	s.free[st.class] = append(s.free[st.class], st.block)
	st.block, st.class = ref, class
	return s.words(st)
}

// text is the group's text, in buf.
func (s *store) text(st *groupState, buf []byte) []byte {
	w := s.at(st.block, st.class)
	buf = buf[:0]
	for i := range int(st.textLen) {
		buf = append(buf, byte(w[i/8]>>(8*(i%8))))
	}
	return buf
}

func (s *store) sameText(st *groupState, group string) bool {
	if int(st.textLen) != len(group) {
		return false
	}
	w := s.at(st.block, st.class)
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

// putText gives a new state its block, with the text and room for n words.
func (s *store) putText(st *groupState, group string, n int) {
	st.textLen = uint16(len(group))
	st.class = classOf(textWords(st.textLen) + n)
	st.block = s.alloc(st.class)
	w := s.at(st.block, st.class)
	for i := range len(group) {
		w[i/8] |= uint64(group[i]) << (8 * (i % 8))
	}
}

// find is the state of a group, -1 when there is none.
func (s *store) find(h uint64, cor int32, group string) int32 {
	mask, tag := uint64(len(s.table)-1), tagOf(h)
	for i := h & mask; s.tags[i] != 0; i = (i + 1) & mask {
		if s.tags[i] != tag {
			continue
		}
		n := s.table[i]
		if st := s.state(n); st.hash == h && st.cor == cor && s.sameText(st, group) {
			return n
		}
	}
	return -1
}

// tagOf is seven bits of a hash that choose neither shard nor place, never 0.
func tagOf(h uint64) uint8 { return uint8(h>>48) | 0x80 }

// likely is the state that find would look at first, -1 when there is none.
func (s *store) likely(h uint64) int32 {
	mask, tag := uint64(len(s.table)-1), tagOf(h)
	for i := h & mask; s.tags[i] != 0; i = (i + 1) & mask {
		if s.tags[i] == tag {
			return s.table[i]
		}
	}
	return -1
}

// insert makes a state with room for words for a group that has none.
func (s *store) insert(h uint64, cor int32, group string, words int) int32 {
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
	*st = groupState{hash: h, fired: never, cor: cor, used: true}
	s.putText(st, group, words)
	s.place(n)
	s.count++
	return n
}

func (s *store) place(n int32) {
	mask, h := uint64(len(s.table)-1), s.state(n).hash
	i := h & mask
	for s.tags[i] != 0 {
		i = (i + 1) & mask
	}
	s.table[i], s.tags[i] = n, tagOf(h)
}

func (s *store) rehash() {
	old, used := s.table, s.tags
	s.table, s.tags = make([]int32, 2*len(old)), make([]uint8, 2*len(old))
	for i, n := range old {
		if used[i] != 0 {
			s.place(n)
		}
	}
}

// remove forgets a state.
func (s *store) remove(n int32) {
	st := s.state(n)
	mask := uint64(len(s.table) - 1)
	i := st.hash & mask
	for s.tags[i] == 0 || s.table[i] != n {
		i = (i + 1) & mask
	}
	s.unplace(i, mask)
	s.free[st.class] = append(s.free[st.class], st.block)
	*st = groupState{}
	s.freed = append(s.freed, n)
	s.count--
}

// unplace empties slot i and moves up what had to make way for it.
func (s *store) unplace(i, mask uint64) {
	s.tags[i] = 0
	for j := (i + 1) & mask; s.tags[j] != 0; j = (j + 1) & mask {
		home := s.state(s.table[j]).hash & mask
		if (j-home)&mask >= (j-i)&mask {
			s.table[i], s.tags[i], s.tags[j] = s.table[j], s.tags[j], 0
			i = j
		}
	}
}

// Ahead of judging, the groups of the next few points are fetched together:
// each of them is somewhere else in memory, and waiting for several at once
// takes as long as waiting for one.
const (
	warmPoints = 32
	warmGroups = 4096 // fewer stay in the processor's cache
)

// warm reads what find and slide will read. What it returns has no meaning and
// is there so that the reading is not left out.
func (s *store) warm(points []pendingPoint) (sum uint64) {
	var at [warmPoints]int32
	var refs [warmPoints]uint32
	for i := range points {
		at[i] = s.likely(points[i].hash)
	}
	for i := range points {
		if at[i] >= 0 {
			g := s.state(at[i])
			refs[i] = g.block
		}
	}
	for i := range points {
		if at[i] < 0 {
			continue
		}
		chunk := s.chunks[refs[i]/chunkWords]
		off := refs[i] % chunkWords
		sum += chunk[off] + chunk[min(off+8, chunkWords-1)] // text, then data
	}
	return sum
}

// stalest looks at the next few states in turn and gives that which was quiet
// longest, -1 when all of them are unused or excepted.
func (s *store) stalest(look int, except func(*groupState) bool) int32 {
	best := int32(-1)
	for range min(look, int(s.top)) {
		if s.hand >= s.top {
			s.hand = 0
		}
		g := s.state(s.hand)
		if g.used && !except(g) && (best < 0 || g.touched < s.state(best).touched) {
			best = s.hand
		}
		s.hand++
	}
	return best
}

// poorest looks at the next few states in turn and gives the one that weighs
// least, of several that which was quiet longest.
func (s *store) poorest(look int, weight func(*groupState) uint32) int32 {
	best, least := int32(-1), uint32(math.MaxUint32)
	for range min(look, int(s.top)) {
		if s.hand >= s.top {
			s.hand = 0
		}
		if g := s.state(s.hand); g.used {
			w := weight(g)
			if w < least || w == least && g.touched < s.state(best).touched {
				best, least = s.hand, w
			}
		}
		s.hand++
	}
	return best
}

// all visits every state in use.
func (s *store) all(f func(*groupState)) {
	for n := range s.top {
		if g := s.state(n); g.used {
			f(g)
		}
	}
}
