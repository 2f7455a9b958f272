package evtx

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Limits of what one record may ask for.
const (
	maxDepth  = 24      // nested elements and fragments
	maxOps    = 1 << 16 // operations run for a record
	maxArena  = 8 << 20 // bytes of rendered text of a record
	maxLits   = 1 << 20 // bytes of names and literal text of a chunk
	maxSubs   = 1 << 14 // substitutions alive in a record
	maxPieces = 1 << 14 // parts of a template
)

// The tokens of binary XML, without the "more" bit 0x40.
const (
	tokEOF        = 0x00
	tokOpen       = 0x01
	tokCloseStart = 0x02
	tokCloseEmpty = 0x03
	tokEnd        = 0x04
	tokValue      = 0x05
	tokAttr       = 0x06
	tokCData      = 0x07
	tokCharRef    = 0x08
	tokEntityRef  = 0x09
	tokPITarget   = 0x0a
	tokPIData     = 0x0b
	tokTemplate   = 0x0c
	tokSub        = 0x0d
	tokOptSub     = 0x0e
	tokHeader     = 0x0f
	tokMore       = 0x40
)

// context says where in the record's XML something stands, which decides what
// its field is called.
type context uint8

const (
	ctxRoot      context = iota // Event is to come
	ctxEvent                    // in Event
	ctxSystem                   // in System
	ctxEventData                // in EventData
	ctxUserData                 // in UserData: one element of any name
	ctxUserBody                 // in UserData/*
	ctxRendering                // in RenderingInfo
	ctxLeaf                     // in an element that holds a value
)

// role marks fields of System that the decoder itself needs.
type role uint8

const (
	roleNone role = iota
	roleChannel
	roleProvider
	roleEventID
	roleRecordID
	roleTime
	roleUnnamed // a Data element without Name
)

// op gives one field a value, or goes into a nested fragment.
type op struct {
	name       []byte // not valid UTF-8 or empty names do occur
	id         sigma.FieldID
	from, to   int32 // pieces
	nameFrom   int32 // pieces of a name that is not literal; 0 to 0: literal
	nameTo     int32
	role       role
	ctx        context // of fragments in the value
	container  bool    // only fragments matter
	keepAbsent bool    // absent when all pieces are
}

// piece is literal text or a substitution.
type piece struct {
	lit []byte
	sub int32 // -1 for literal text
}

// program is a compiled template, or the compiled elements of a record that
// has no template.
type program struct {
	ops    []op
	pieces []piece
	err    error
}

// sub is one substitution of a template instance.
type sub struct {
	from, to int32 // in the chunk
	typ      byte
}

// cursor reads little-endian values and remembers running over the end.
type cursor struct {
	b   []byte
	p   int
	bad bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b)-c.p {
		c.bad, c.p = true, len(c.b)
		return nil
	}
	c.p += n
	return c.b[c.p-n : c.p]
}

func (c *cursor) u8() byte {
	if c.p < len(c.b) {
		c.p++
		return c.b[c.p-1]
	}
	c.bad = true
	return 0
}

func (c *cursor) peek() (byte, bool) {
	if c.p < len(c.b) {
		return c.b[c.p], true
	}
	return 0, false
}

func (c *cursor) u16() int {
	if b := c.take(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// name reads a name reference; the name may stand right behind it.
func (d *Decoder) name(c *cursor) []byte {
	off := c.u32()
	if int64(off) == int64(c.p) {
		head := c.take(8)
		if head == nil {
			return nil
		}
		c.take(int(binary.LittleEndian.Uint16(head[6:]))*2 + 2)
	}
	n, ok := d.nameAt(off)
	if !ok {
		c.bad = true
	}
	return n
}

func (d *Decoder) nameAt(off uint32) ([]byte, bool) {
	if n, ok := d.names[off]; ok {
		return n, true
	}
	if int64(off)+8 > int64(len(d.chunk)) || off < 128 {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(d.chunk[off+6:]))
	from := int(off) + 8
	if from+2*n > len(d.chunk) || n > 1024 {
		return nil, false
	}
	name := d.literal(d.chunk[from : from+2*n])
	d.names[off] = name
	return name, true
}

// literal keeps UTF-16 text as UTF-8 for as long as the chunk is read.
func (d *Decoder) literal(u16 []byte) []byte {
	from := len(d.lits)
	d.lits = appendUTF16(d.lits, u16)
	return d.lits[from:len(d.lits):len(d.lits)]
}

func (d *Decoder) joined(a, b []byte) []byte {
	from := len(d.lits)
	d.lits = append(append(append(d.lits, a...), '_'), b...)
	return d.lits[from:len(d.lits):len(d.lits)]
}

// bare is a name without its spaces.
func (d *Decoder) bare(name []byte) []byte {
	from := len(d.lits)
	for _, x := range name {
		if x != ' ' {
			d.lits = append(d.lits, x)
		}
	}
	return d.lits[from:len(d.lits):len(d.lits)]
}

// appendUTF16 appends little-endian UTF-16 as UTF-8; half a surrogate becomes
// U+FFFD.
func appendUTF16(dst, src []byte) []byte {
	n := len(src) &^ 1
	i := 0
	dst = slices.Grow(dst, n/2+4)
	w := len(dst)
	ascii := dst[:w+n/2]
	const beyond = 0xff80ff80ff80ff80 // set in what is no ASCII
	for i+16 <= n {
		x, y := binary.LittleEndian.Uint64(src[i:]), binary.LittleEndian.Uint64(src[i+8:])
		if (x|y)&beyond != 0 {
			break
		}
		x, y = (x|x>>8)&0x0000ffff0000ffff, (y|y>>8)&0x0000ffff0000ffff
		binary.LittleEndian.PutUint64(ascii[w:], uint64(uint32(x|x>>16))|uint64(uint32(y|y>>16))<<32)
		w += 8
		i += 16
	}
	for i+8 <= n {
		x := binary.LittleEndian.Uint64(src[i:])
		if x&beyond != 0 {
			break
		}
		x = (x | x>>8) & 0x0000ffff0000ffff
		binary.LittleEndian.PutUint32(ascii[w:], uint32(x|x>>16))
		w += 4
		i += 8
	}
	dst = dst[:w]
	for i < n {
		r := rune(binary.LittleEndian.Uint16(src[i:]))
		i += 2
		switch {
		case r < 0x80:
			dst = append(dst, byte(r))
			continue
		case utf16.IsSurrogate(r) && i < n:
			if full := utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(src[i:]))); full != 0xfffd {
				r = full
				i += 2
			} else {
				r = 0xfffd
			}
		}
		dst = appendRune(dst, r)
	}
	return dst
}
