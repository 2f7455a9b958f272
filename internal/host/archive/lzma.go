package archive

import "encoding/binary"

// lzma unpacks LZMA and LZMA2 (the LZMA SDK's specification, lzma-specification.txt)
// into a slice that is its own dictionary.
type lzma struct {
	in         []byte // what is left of the packed bytes
	rng, code  uint32
	short      bool // in ended too early
	out        []byte
	dict       int // where matches may begin, at the earliest
	lc, lp, pb uint

	state      int
	rep        [4]int
	match      [12 << 4]uint16
	isRep      [12]uint16
	repG       [3][12]uint16
	rep0Long   [12 << 4]uint16
	slot       [4][64]uint16
	special    [115]uint16
	align      [16]uint16
	length     lzmaLength
	repLength  lzmaLength
	literal    []uint16
	needs      bool // new properties before the next chunk
	needsReset bool // a new dictionary, too
}

type lzmaLength struct {
	choice   [2]uint16
	low, mid [16][8]uint16
	high     [256]uint16
}

const lzmaHalf = 1 << 10 // a probability of one half

func even(p []uint16) {
	for i := range p {
		p[i] = lzmaHalf
	}
}

// props sets lc, lp and pb from their byte.
func (z *lzma) props(b byte) bool {
	if b >= 9*5*5 {
		return false
	}
	z.lc, z.lp, z.pb = uint(b%9), uint(b/9%5), uint(b/45)
	z.reset()
	return true
}

// reset forgets everything that was learnt.
func (z *lzma) reset() {
	z.state, z.rep = 0, [4]int{}
	for _, p := range [][]uint16{z.match[:], z.isRep[:], z.repG[0][:], z.repG[1][:], z.repG[2][:], z.rep0Long[:], z.special[:], z.align[:]} {
		even(p)
	}
	for i := range z.slot {
		even(z.slot[i][:])
	}
	for _, l := range []*lzmaLength{&z.length, &z.repLength} {
		even(l.choice[:])
		even(l.high[:])
		for i := range l.low {
			even(l.low[i][:])
			even(l.mid[i][:])
		}
	}
	if n := 0x300 << (z.lc + z.lp); len(z.literal) != n {
		z.literal = make([]uint16, n)
	}
	even(z.literal)
}

// begin reads the five bytes that a range coder starts with.
func (z *lzma) begin(in []byte) bool {
	if len(in) < 5 || in[0] != 0 {
		return false
	}
	z.rng, z.code, z.in, z.short = ^uint32(0), binary.BigEndian.Uint32(in[1:]), in[5:], false
	return z.code != z.rng
}

func (z *lzma) normalize() {
	if z.rng >= 1<<24 {
		return
	}
	z.rng <<= 8
	z.code <<= 8
	if len(z.in) == 0 {
		z.short = true
		return
	}
	z.code |= uint32(z.in[0])
	z.in = z.in[1:]
}

func (z *lzma) bit(p *uint16) int {
	z.normalize()
	bound := z.rng >> 11 * uint32(*p)
	if z.code < bound {
		z.rng = bound
		*p += (1<<11 - *p) >> 5
		return 0
	}
	z.rng -= bound
	z.code -= bound
	*p -= *p >> 5
	return 1
}

func (z *lzma) direct(n int) (v int) {
	for range n {
		z.normalize()
		z.rng >>= 1
		v <<= 1
		if z.code >= z.rng {
			z.code -= z.rng
			v |= 1
		}
	}
	return v
}

// tree reads n bits, the highest first.
func (z *lzma) tree(p []uint16, n int) int {
	m := 1
	for range n {
		m = m<<1 | z.bit(&p[m])
	}
	return m - 1<<n
}

// reverse reads n bits, the lowest first.
func (z *lzma) reverse(p []uint16, n int) (v int) {
	m := 1
	for i := range n {
		b := z.bit(&p[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

func (z *lzma) len(l *lzmaLength, pos int) int {
	switch {
	case z.bit(&l.choice[0]) == 0:
		return 2 + z.tree(l.low[pos][:], 3)
	case z.bit(&l.choice[1]) == 0:
		return 10 + z.tree(l.mid[pos][:], 3)
	}
	return 18 + z.tree(l.high[:], 8)
}

func (z *lzma) distance(length int) int {
	slot := z.tree(z.slot[min(length-2, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	n := slot>>1 - 1
	d := (2 | slot&1) << n
	if slot < 14 {
		return d + z.reverse(z.special[d-slot:], n)
	}
	return d + z.direct(n-4)<<4 + z.reverse(z.align[:], 4)
}

func (z *lzma) byteAt(distance int) byte {
	if at := len(z.out) - distance - 1; at >= z.dict {
		return z.out[at]
	}
	return 0
}

func (z *lzma) putLiteral() {
	at := len(z.out) - z.dict
	ctx := (at&(1<<z.lp-1))<<z.lc + int(z.byteAt(0))>>(8-z.lc)
	p := z.literal[0x300*ctx:][:0x300]
	m := 1
	if z.state >= 7 {
		for old := int(z.byteAt(z.rep[0])); m < 0x100; old <<= 1 {
			want := old >> 7 & 1
			b := z.bit(&p[(1+want)<<8+m])
			if m = m<<1 | b; b != want {
				break
			}
		}
	}
	for m < 0x100 {
		m = m<<1 | z.bit(&p[m])
	}
	z.out = append(z.out, byte(m))
	switch {
	case z.state < 4:
		z.state = 0
	case z.state < 10:
		z.state -= 3
	default:
		z.state -= 6
	}
}

const lzmaEnd = 0xffffffff // the distance that ends a stream

// repeat reads which old distance is meant; length 0 is one byte.
func (z *lzma) repeat(pos, s int) (length int) {
	n := 0
	if z.bit(&z.repG[0][s]) == 1 {
		n = 1
		if z.bit(&z.repG[1][s]) == 1 {
			n = 2 + z.bit(&z.repG[2][s])
		}
	}
	z.state = 8
	one := n == 0 && z.bit(&z.rep0Long[s<<4+pos]) == 0
	if one {
		z.state = 9
	}
	if s >= 7 {
		z.state = 11
	}
	if one {
		return 1
	}
	d := z.rep[n]
	copy(z.rep[1:n+1], z.rep[:n])
	z.rep[0] = d
	return z.len(&z.repLength, pos)
}

// run unpacks until out is end bytes long, or a match longer, or the stream
// says that it ends.
func (z *lzma) run(end int) (ended bool, err error) {
	for len(z.out) < end && !z.short {
		pos := (len(z.out) - z.dict) & (1<<z.pb - 1)
		if z.bit(&z.match[z.state<<4+pos]) == 0 {
			z.putLiteral()
			continue
		}
		var length int
		s := z.state
		if z.bit(&z.isRep[s]) == 1 {
			length = z.repeat(pos, s)
		} else {
			length = z.len(&z.length, pos)
			copy(z.rep[1:], z.rep[:3])
			z.rep[0] = z.distance(length)
			z.state = 7
			if s >= 7 {
				z.state = 10
			}
			if z.rep[0] == lzmaEnd {
				return true, nil
			}
		}
		from := len(z.out) - z.rep[0] - 1
		if from < z.dict {
			return false, ErrCorrupt
		}
		for i := range length {
			z.out = append(z.out, z.out[from+i])
		}
	}
	if z.short {
		return false, ErrShort
	}
	return false, nil
}

// chunks unpacks LZMA2 up to its end, and gives what follows it. grow is asked
// before out becomes n bytes longer.
func (z *lzma) chunks(in []byte, grow func(n int) error) (rest []byte, err error) {
	z.needs, z.needsReset = true, true
	for {
		if len(in) == 0 {
			return nil, ErrShort
		}
		kind := in[0]
		switch {
		case kind == 0:
			return in[1:], nil
		case kind > 2 && kind < 0x80:
			return nil, ErrCorrupt
		case kind == 1 || kind >= 0xe0:
			z.dict, z.needsReset, z.needs = len(z.out), false, true
		case z.needsReset:
			return nil, ErrCorrupt
		}
		if kind < 0x80 {
			in, err = z.stored(in, grow)
		} else {
			in, err = z.packed(in, grow)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (z *lzma) stored(in []byte, grow func(n int) error) ([]byte, error) {
	if len(in) < 3 {
		return nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(in[1:])) + 1
	if in = in[3:]; len(in) < n {
		return nil, ErrShort
	}
	if err := grow(n); err != nil {
		return nil, err
	}
	z.out = append(z.out, in[:n]...)
	return in[n:], nil
}

func (z *lzma) packed(in []byte, grow func(n int) error) ([]byte, error) {
	kind, head := in[0], 5
	if kind >= 0xc0 {
		head = 6
	}
	if len(in) < head {
		return nil, ErrShort
	}
	n := int(kind&0x1f)<<16 + int(binary.BigEndian.Uint16(in[1:])) + 1
	packed := int(binary.BigEndian.Uint16(in[3:])) + 1
	switch {
	case kind >= 0xc0:
		if !z.props(in[5]) || z.lc+z.lp > 4 {
			return nil, ErrCorrupt
		}
		z.needs = false
	case z.needs:
		return nil, ErrCorrupt
	case kind >= 0xa0:
		z.reset()
	}
	if in = in[head:]; len(in) < packed {
		return nil, ErrShort
	}
	if err := grow(n); err != nil {
		return nil, err
	}
	if !z.begin(in[:packed]) {
		return nil, ErrCorrupt
	}
	end := len(z.out) + n
	if ended, err := z.run(end); err != nil || ended || len(z.out) != end {
		return nil, ErrCorrupt
	}
	return in[packed:], nil
}
