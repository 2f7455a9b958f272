package archive

import (
	"encoding/binary"
	"slices"
)

// A filter of a block (The .xz File Format 1.2.1, 5.3): the differences of
// bytes, or the relative jumps of a processor, taken back in place.
type xzFilter struct {
	id   uint64
	dist int    // delta: bytes between the two
	pos  uint32 // others: where the block begins in the program
}

// xzFilters reads the filters of a block; the last is LZMA2 and is not among
// them, the others are in the order in which the packer used them.
func xzFilters(b []byte, n int) (list []xzFilter, err error) {
	for range n {
		id, k := binary.Uvarint(b)
		if k <= 0 || len(b) < k+1 || int(b[k]) > len(b)-k-1 {
			return nil, ErrCorrupt
		}
		props := b[k+1 : k+1+int(b[k])]
		b = b[k+1+len(props):]
		f := xzFilter{id: id}
		switch {
		case len(list) == n-1:
			if id != 0x21 || len(props) != 1 || props[0] > 40 {
				return nil, ErrOptions
			}
			return list, nil
		case id == 3 && len(props) == 1:
			f.dist = int(props[0]) + 1
		case xzJumps(id) != nil && len(props) == 4:
			f.pos = binary.LittleEndian.Uint32(props)
		case xzJumps(id) == nil || len(props) != 0:
			return nil, ErrOptions
		}
		list = append(list, f)
	}
	return nil, ErrOptions
}

// undo takes the filters of a block back, the last first.
func undo(list []xzFilter, data []byte) {
	for _, f := range slices.Backward(list) {
		if f.id != 3 {
			xzJumps(f.id)(data, f.pos)
			continue
		}
		for i := f.dist; i < len(data); i++ {
			data[i] += data[i-f.dist]
		}
	}
}

// xzJumps is what makes absolute jumps relative again, nil for a filter that
// is not known; IA-64's is not.
func xzJumps(id uint64) func(b []byte, pos uint32) {
	switch id {
	case 4:
		return jumpsX86
	case 5:
		return jumpsPowerPC
	case 7:
		return jumpsARM
	case 8:
		return jumpsThumb
	case 9:
		return jumpsSPARC
	case 10:
		return jumpsARM64
	}
	return nil
}

// sign reports whether b can be the highest byte of a jump's distance.
func sign(b byte) bool { return b == 0 || b == 0xff }

// jumpsX86 looks at CALL and JMP with 32-bit distances. seen has a bit for each
// of the three bytes before that looked like one and was none: the packer left
// those alone whose distance would be mistaken.
func jumpsX86(b []byte, pos uint32) {
	last, seen := -5, uint(0)
	for i := 0; i+4 < len(b); i++ {
		if b[i]&0xfe != 0xe8 {
			continue
		}
		gap := i - last
		last = i
		if gap > 3 {
			seen = 0
		} else if seen = seen << (gap - 1) & 7; seen != 0 {
			if seen == 3 || seen > 4 || sign(b[i+4-highest(seen)]) {
				seen = seen<<1 | 1
				continue
			}
		}
		if !sign(b[i+4]) {
			seen = seen<<1 | 1
			continue
		}
		binary.LittleEndian.PutUint32(b[i+1:], distance(binary.LittleEndian.Uint32(b[i+1:]), pos+uint32(i)+5, seen))
		i += 4
	}
}

// highest is the number of the highest bit of 1 to 7, counted from 1.
func highest(seen uint) int {
	switch {
	case seen > 3:
		return 3
	case seen > 1:
		return 2
	}
	return 1
}

// distance is how far to is from here, in the 25 bits that the packer kept.
func distance(to, here uint32, seen uint) uint32 {
	d := to - here
	for seen != 0 {
		bits := 8 * highest(seen)
		if !sign(byte(d >> (24 - bits))) {
			break
		}
		d = d ^ (1<<(32-bits) - 1) - here
	}
	d &= 0x01ffffff
	return d | -(d & 0x01000000)
}

func jumpsPowerPC(b []byte, pos uint32) {
	for i := 0; i+4 <= len(b); i += 4 {
		if v := binary.BigEndian.Uint32(b[i:]); v&0xfc000003 == 0x48000001 {
			binary.BigEndian.PutUint32(b[i:], (v-pos-uint32(i))&0x03fffffc|0x48000001)
		}
	}
}

func jumpsARM(b []byte, pos uint32) {
	for i := 0; i+4 <= len(b); i += 4 {
		if v := binary.LittleEndian.Uint32(b[i:]); v>>24 == 0xeb {
			binary.LittleEndian.PutUint32(b[i:], (v<<2-pos-uint32(i)-8)>>2&0xffffff|0xeb000000)
		}
	}
}

func jumpsThumb(b []byte, pos uint32) {
	for i := 0; i+4 <= len(b); i += 2 {
		if b[i+1]&0xf8 != 0xf0 || b[i+3]&0xf8 != 0xf8 {
			continue
		}
		to := uint32(b[i+1]&7)<<19 | uint32(b[i])<<11 | uint32(b[i+3]&7)<<8 | uint32(b[i+2])
		to = (to<<1 - pos - uint32(i) - 4) >> 1
		b[i], b[i+1], b[i+2], b[i+3] = byte(to>>11), 0xf0|byte(to>>19)&7, byte(to), 0xf8|byte(to>>8)&7
		i += 2
	}
}

func jumpsSPARC(b []byte, pos uint32) {
	for i := 0; i+4 <= len(b); i += 4 {
		v := binary.BigEndian.Uint32(b[i:])
		if v>>22 != 0x100 && v>>22 != 0x1ff {
			continue
		}
		v = (v<<2 - pos - uint32(i)) >> 2
		binary.BigEndian.PutUint32(b[i:], (0x40000000-v&0x400000)|0x40000000|v&0x3fffff)
	}
}

// jumpsARM64 looks at BL, and at ADRP within 512 MiB.
func jumpsARM64(b []byte, pos uint32) {
	for i := 0; i+4 <= len(b); i += 4 {
		v, here := binary.LittleEndian.Uint32(b[i:]), pos+uint32(i)
		switch {
		case v>>26 == 0x25:
			v = 0x94000000 | (v-here>>2)&0x03ffffff
		case v&0x9f000000 == 0x90000000:
			to := v>>29&3 | v>>3&0x001ffffc
			if (to+0x20000)&0x1c0000 != 0 {
				continue
			}
			d := to - here>>12
			v = v&0x9000001f | d&3<<29 | d&0x3fffc<<3 | -(d&0x20000)&0xe00000
		default:
			continue
		}
		binary.LittleEndian.PutUint32(b[i:], v)
	}
}
