package vfs

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
)

type bytesContent []byte

// Bytes is a Content of b, which is kept and must not change.
func Bytes(b []byte) Content { return bytesContent(b) }

func (c bytesContent) Size() int64 { return int64(len(c)) }

func (c bytesContent) ReadAt(b []byte, off int64) (int, error) {
	if off >= int64(len(c)) {
		return 0, io.EOF
	}
	n := copy(b, c[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Elf is what the header of a program of the fake host says.
type Elf struct {
	Class   int    // 1 = 32 bit, 2 = 64 bit
	Data    int    // 1 = little endian, 2 = big endian
	Machine uint16 // 62 x86-64, 183 AArch64, 40 ARM, 8 MIPS
	Interp  string // "/lib64/ld-linux-x86-64.so.2"
	Seed    uint64
}

type image struct {
	impl string
	size int64
	seed uint64
	head []byte
}

// Image is a program of size bytes: a valid ELF header (gABI), an interpreter
// and a body that is made when it is read. It takes a few hundred bytes of memory.
func Image(impl string, size int64, e Elf) Program {
	return &image{impl: impl, size: size, seed: e.Seed ^ hash(impl), head: elfHeader(e, size)}
}

func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func (m *image) Impl() string { return m.impl }
func (m *image) Size() int64  { return m.size }

const block = 256 // bytes of the body made at once

func (m *image) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) && off < m.size {
		var part []byte
		if off < int64(len(m.head)) {
			part = m.head[off:]
		} else {
			part = m.block(off / block)[off%block:]
		}
		k := copy(b[n:], part[:min(int64(len(part)), m.size-off)])
		n += k
		off += int64(k)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// block makes one block of the body: code-like bytes, some runs of zeros.
func (m *image) block(i int64) []byte {
	out := make([]byte, block)
	r := rand.New(rand.NewPCG(m.seed, uint64(i)))
	if r.IntN(6) == 0 {
		return out
	}
	common := [16]byte{0x48, 0x89, 0x8b, 0x00, 0x0f, 0xe8, 0xff, 0x83, 0xc0, 0x24, 0x85, 0x74, 0x01, 0xc7, 0x45, 0x5d}
	for j := 0; j < block; j += 8 {
		v := r.Uint64()
		for k := range 8 {
			x := byte(v >> (8 * k))
			if x&0xc0 != 0 {
				x = common[x&15]
			}
			out[j+k] = x
		}
	}
	return out
}

func elfHeader(e Elf, size int64) []byte {
	var o binary.AppendByteOrder = binary.LittleEndian
	if e.Data == 2 {
		o = binary.BigEndian
	}
	h := []byte{0x7f, 'E', 'L', 'F', byte(e.Class), byte(e.Data), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	typ := uint16(3) // ET_DYN: a position-independent program
	if e.Class == 1 {
		typ = 2
	}
	h = o.AppendUint16(h, typ)
	h = o.AppendUint16(h, e.Machine)
	h = o.AppendUint32(h, 1)
	interp := append([]byte(e.Interp), 0)
	if e.Class == 2 {
		h = o.AppendUint64(h, 0x1040+e.Seed%0x800&^15) // entry
		h = o.AppendUint64(h, 64)                      // program headers
		h = o.AppendUint64(h, uint64(max(size-31*64, 64))&^7)
		h = o.AppendUint32(h, 0)
		for _, v := range []uint16{64, 56, 2, 64, 31, 30} {
			h = o.AppendUint16(h, v)
		}
		at := uint64(64 + 2*56)
		h = ph64(o, h, 3, 4, at, uint64(len(interp)))
		h = ph64(o, h, 1, 5, 0, uint64(size))
		return append(h, interp...)
	}
	flags := uint32(0x05000400) // ARM EABI5, hard float
	if e.Machine == 8 {
		flags = 0x50001007 // MIPS32, o32, pic
	}
	h = o.AppendUint32(h, 0x8000+uint32(e.Seed%0x8000)&^15)
	h = o.AppendUint32(h, 52)
	h = o.AppendUint32(h, uint32(max(size-25*40, 52))&^3)
	h = o.AppendUint32(h, flags)
	for _, v := range []uint16{52, 32, 2, 40, 25, 24} {
		h = o.AppendUint16(h, v)
	}
	at := uint32(52 + 2*32)
	for _, p := range [][8]uint32{
		{3, at, 0x8000 + at, 0x8000 + at, uint32(len(interp)), uint32(len(interp)), 4, 1},
		{1, 0, 0x8000, 0x8000, uint32(size), uint32(size), 5, 0x10000},
	} {
		for _, v := range p {
			h = o.AppendUint32(h, v)
		}
	}
	return append(h, interp...)
}

func ph64(o binary.AppendByteOrder, h []byte, typ, flags uint32, off, size uint64) []byte {
	h = o.AppendUint32(h, typ)
	h = o.AppendUint32(h, flags)
	for _, v := range []uint64{off, off, off, size, size, 1} {
		h = o.AppendUint64(h, v)
	}
	return h
}

// readDevice answers for the memory devices of Linux (major 1) and terminals.
func readDevice(major, minor uint32, b []byte) (int, error) {
	switch {
	case major == 1 && minor == 3: // null
		return 0, io.EOF
	case major == 1 && (minor == 5 || minor == 7): // zero, full
		clear(b)
		return len(b), nil
	case major == 1 && (minor == 8 || minor == 9): // random, urandom
		for i := 0; i < len(b); i += 8 {
			var w [8]byte
			binary.LittleEndian.PutUint64(w[:], rand.Uint64())
			copy(b[i:], w[:])
		}
		return len(b), nil
	case major == 5 || major == 4 || major == 136:
		return 0, EIO
	}
	return 0, io.EOF
}

func writeDevice(major, minor uint32, b []byte) (int, error) {
	switch {
	case major == 1 && minor == 7:
		return 0, ENOSPC
	case major == 5 || major == 4 || major == 136:
		return 0, EIO
	}
	return len(b), nil
}
