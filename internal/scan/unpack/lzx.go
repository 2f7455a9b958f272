package unpack

import (
	"encoding/binary"
	"errors"
)

// LZX as cabinets have it ([MS-PATCH] LZX DELTA without the delta; Microsoft's
// "LZX data compression format"): a window of 32 KiB to 2 MiB, blocks of
// Huffman-coded literals and matches, and calls of x86 code made relative again.

const (
	lzxChars       = 256
	lzxLengths     = 249
	lzxFrame       = 32 << 10 // bytes, of which each ends on 16 bits
	lzxMinWindow   = 15
	lzxMaxWindow   = 21
	lzxVerbatim    = 1
	lzxAligned     = 2
	lzxStored      = 3
	lzxMaxCodeBits = 16
)

var (
	errLZX       = errors.New("the LZX data is damaged")
	errLZXWindow = errors.New("the LZX window is not of 32 KiB to 2 MiB")
)

// lzx unpacks one folder, frame by frame.
type lzx struct {
	window  []byte // a ring; its size is a power of two
	pos     int    // in the window
	done    int64  // bytes unpacked before this frame
	repeat  [3]uint32
	slots   int
	main    lzxTree
	length  lzxTree
	aligned lzxTree
	mains   [lzxChars + 8*50]byte // the lengths of codes, which blocks change
	lens    [lzxLengths]byte
	begun   bool
	call    uint32 // the size of the file whose x86 calls were made absolute; 0: none
	block   int    // kind
	left    int    // bytes to come of the block
	odd     bool   // a stored block of odd length: a byte follows it
	bits    lzxBits
}

// newLZX makes an unpacker for a window of 2^bits bytes.
func newLZX(bits int) (*lzx, error) {
	if bits < lzxMinWindow || bits > lzxMaxWindow {
		return nil, errLZXWindow
	}
	z := &lzx{window: make([]byte, 1<<bits), repeat: [3]uint32{1, 1, 1}, slots: 2 * bits}
	switch bits {
	case 20:
		z.slots = 42
	case 21:
		z.slots = 50
	}
	return z, nil
}

// lzxBits reads bits from 16-bit words, the highest first. Past the end it gives
// zeros and counts them.
type lzxBits struct {
	in   []byte
	at   int
	buf  uint64
	n    int
	over int
}

func (b *lzxBits) fill(n int) {
	for b.n < n {
		var w uint16
		if b.at+2 <= len(b.in) {
			w = binary.LittleEndian.Uint16(b.in[b.at:])
		} else {
			b.over++
		}
		b.at += 2
		b.buf = b.buf<<16 | uint64(w)
		b.n += 16
	}
}

func (b *lzxBits) peek(n int) uint32 {
	b.fill(n)
	return uint32(b.buf>>(b.n-n)) & (1<<n - 1)
}

func (b *lzxBits) take(n int) uint32 {
	if n == 0 {
		return 0
	}
	v := b.peek(n)
	b.n -= n
	return v
}

// align drops what is left of the current word.
func (b *lzxBits) align() { b.n -= b.n % 16 }

// lzxTree is a canonical Huffman code of at most 16 bits.
type lzxTree struct {
	limit [lzxMaxCodeBits + 1]uint32 // the first code, as 16 bits, that is longer
	first [lzxMaxCodeBits + 1]int32  // what to add to a code of a length to have its place in syms
	syms  []uint16
}

// build makes the code of the lengths; it must use up all codes, or be empty.
func (t *lzxTree) build(lengths []byte) bool {
	var count [lzxMaxCodeBits + 1]int
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	var next [lzxMaxCodeBits + 1]int
	code, place := uint32(0), 0
	for n := 1; n <= lzxMaxCodeBits; n++ {
		next[n] = place
		t.first[n] = int32(place) - int32(code)
		code += uint32(count[n])
		place += count[n]
		t.limit[n] = code << (lzxMaxCodeBits - n)
		code <<= 1
	}
	t.syms = append(t.syms[:0], make([]uint16, place)...)
	for s, n := range lengths {
		if n > 0 {
			t.syms[next[n]] = uint16(s)
			next[n]++
		}
	}
	return place == 0 || t.limit[lzxMaxCodeBits] == 1<<lzxMaxCodeBits
}

// symbol reads a symbol.
func (t *lzxTree) symbol(b *lzxBits) (int, bool) {
	code := b.peek(lzxMaxCodeBits)
	for n := 1; n <= lzxMaxCodeBits; n++ {
		if code < t.limit[n] {
			b.n -= n
			return int(t.syms[int32(code>>(lzxMaxCodeBits-n))+t.first[n]]), true
		}
	}
	return 0, false
}

// readLengths reads how the lengths of codes differ from those before.
func (z *lzx) readLengths(lengths []byte) bool {
	var pre [20]byte
	for i := range pre {
		pre[i] = byte(z.bits.take(4))
	}
	var t lzxTree
	if !t.build(pre[:]) {
		return false
	}
	for i := 0; i < len(lengths); {
		s, ok := t.symbol(&z.bits)
		if !ok || z.bits.over > 2 {
			return false
		}
		run, value := 1, byte(0)
		switch s {
		case 17:
			run = 4 + int(z.bits.take(4))
		case 18:
			run = 20 + int(z.bits.take(5))
		case 19:
			run = 4 + int(z.bits.take(1))
			if s, ok = t.symbol(&z.bits); !ok || s > 16 {
				return false
			}
			value = byte((17 + int(lengths[i]) - s) % 17)
		default:
			value = byte((17 + int(lengths[i]) - s) % 17)
		}
		if run > len(lengths)-i {
			return false
		}
		for range run {
			lengths[i] = value
			i++
		}
	}
	return true
}

// header reads the beginning of a block.
func (z *lzx) header() bool {
	z.block = int(z.bits.take(3))
	z.left = int(z.bits.take(16))<<8 | int(z.bits.take(8))
	switch z.block {
	case lzxAligned, lzxVerbatim:
		if z.block == lzxAligned {
			var lengths [8]byte
			for i := range lengths {
				lengths[i] = byte(z.bits.take(3))
			}
			if !z.aligned.build(lengths[:]) {
				return false
			}
		}
		mains := z.mains[:lzxChars+8*z.slots]
		return z.readLengths(mains[:lzxChars]) && z.readLengths(mains[lzxChars:]) && z.main.build(mains) &&
			z.readLengths(z.lens[:]) && z.length.build(z.lens[:])
	case lzxStored:
		// One to sixteen bits, so that what follows begins on a byte of its own.
		if z.bits.n%16 == 0 {
			z.bits.take(16)
		}
		z.bits.align()
		z.odd = z.left%2 == 1
		for i := range z.repeat {
			lo := z.raw(2)
			hi := z.raw(2)
			if hi == nil {
				return false
			}
			z.repeat[i] = uint32(binary.LittleEndian.Uint16(lo)) | uint32(binary.LittleEndian.Uint16(hi))<<16
		}
		return true
	}
	return false
}

// raw gives n bytes behind the bits that were read; those must be whole words.
func (z *lzx) raw(n int) []byte {
	at := z.bits.at - z.bits.n/8
	if at < 0 || n > len(z.bits.in)-at {
		return nil
	}
	z.bits.at, z.bits.buf, z.bits.n = at+n, 0, 0
	return z.bits.in[at : at+n]
}

// frame unpacks the next frame of n bytes.
func (z *lzx) frame(in []byte, n int) ([]byte, error) {
	if n > lzxFrame {
		return nil, errLZX
	}
	z.bits = lzxBits{in: in}
	if !z.begun {
		z.begun = true
		if z.bits.take(1) == 1 {
			z.call = z.bits.take(16)<<16 | z.bits.take(16)
		}
	}
	out := make([]byte, 0, n)
	for len(out) < n {
		if z.left == 0 {
			if z.odd {
				z.odd = false
				z.raw(1)
			}
			if !z.header() || z.bits.over > 2 {
				return out, errLZX
			}
			continue
		}
		var ok bool
		if out, ok = z.some(out, min(n-len(out), z.left)); !ok {
			return out, errLZX
		}
	}
	if z.left == 0 && z.odd && z.raw(1) != nil {
		z.odd = false
	}
	z.calls(out)
	z.done += int64(len(out))
	return out, nil
}

// some unpacks up to n bytes of the current block, or a match more.
func (z *lzx) some(out []byte, n int) ([]byte, bool) {
	if z.block == lzxStored {
		b := z.raw(n)
		if b == nil {
			return out, false
		}
		for _, c := range b {
			z.put(c)
		}
		z.left -= n
		return append(out, b...), true
	}
	for end := len(out) + n; len(out) < end; {
		s, ok := z.main.symbol(&z.bits)
		if !ok || z.bits.over > 2 {
			return out, false
		}
		if s < lzxChars {
			z.put(byte(s))
			out = append(out, byte(s))
			z.left--
			continue
		}
		length, offset, ok := z.match(s - lzxChars)
		// A match ends with its block and its frame.
		if !ok || length > end-len(out) || offset == 0 || int64(offset) > z.done+int64(len(out)) || int(offset) > len(z.window) {
			return out, false
		}
		for range length {
			c := z.window[(z.pos-int(offset))&(len(z.window)-1)]
			z.put(c)
			out = append(out, c)
		}
		z.left -= length
	}
	return out, true
}

func (z *lzx) put(c byte) {
	z.window[z.pos] = c
	z.pos = (z.pos + 1) & (len(z.window) - 1)
}

// match reads the rest of a match: its length and how far back it is.
func (z *lzx) match(s int) (length int, offset uint32, ok bool) {
	length = s&7 + 2
	if s&7 == 7 {
		n, ok := z.length.symbol(&z.bits)
		if !ok {
			return 0, 0, false
		}
		length += n
	}
	r := &z.repeat
	switch slot := s >> 3; slot {
	case 0:
	case 1, 2:
		r[0], r[slot] = r[slot], r[0]
	default:
		v, ok := z.distance(slot)
		if !ok || v < 2 {
			return 0, 0, false
		}
		r[0], r[1], r[2] = v-2, r[0], r[1]
	}
	return length, r[0], true
}

// distance reads the number in a slot of positions.
func (z *lzx) distance(slot int) (uint32, bool) {
	extra := min(max(slot/2-1, 0), 17)
	base := uint32(slot)
	switch {
	case slot >= 38: // from here on each slot has 2^17 positions
		base = uint32(slot-34) << 17
	case slot >= 4:
		base = uint32(2+slot&1) << extra
	}
	if z.block == lzxAligned && extra >= 3 {
		v := z.bits.take(extra-3) << 3
		low, ok := z.aligned.symbol(&z.bits)
		return base + v + uint32(low), ok
	}
	return base + z.bits.take(extra), true
}

// calls makes the targets of x86 calls in a frame relative again.
func (z *lzx) calls(b []byte) {
	if z.call == 0 || z.done >= lzxFrame<<15 || len(b) <= 10 {
		return
	}
	for i := 0; i < len(b)-10; i++ {
		if b[i] != 0xE8 {
			continue
		}
		at := int32(z.done) + int32(i)
		target := int32(binary.LittleEndian.Uint32(b[i+1:]))
		if target >= -at && target < int32(z.call) {
			if target >= 0 {
				target -= at
			} else {
				target += int32(z.call)
			}
			binary.LittleEndian.PutUint32(b[i+1:], uint32(target))
		}
		i += 4
	}
}
