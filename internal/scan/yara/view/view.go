// Package view reads a file for conditions and modules: any place, any number
// of times, with a bounded cache and a bound on what one call may ask for.
package view

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	pageSize = 64 << 10
	pages    = 8
	// MaxBytes is the most that Bytes gives at once.
	MaxBytes = 16 << 20
)

// View is a file. It belongs to one goroutine.
type View struct {
	r     io.ReaderAt
	size  int64
	whole []byte
	cache [pages]page
	next  int
	err   error
}

type page struct {
	off  int64
	data []byte
}

// Reset makes v read r. whole is the content where it is in memory, else nil.
func (v *View) Reset(r io.ReaderAt, size int64, whole []byte) {
	v.r, v.size, v.whole, v.err, v.next = r, size, whole, nil, 0
	for i := range v.cache {
		v.cache[i].data = v.cache[i].data[:0]
	}
}

// Of is a View of bytes in memory.
func Of(b []byte) *View { return &View{whole: b, size: int64(len(b))} }

// Size is the size of the file in bytes.
func (v *View) Size() int64 { return v.size }

// Err is the first fault of reading; a place that could not be read is taken
// for one past the end.
func (v *View) Err() error { return v.err }

// Bytes gives up to n bytes at off: fewer at the end of the file, none outside
// of it. They are valid until the next call.
func (v *View) Bytes(off, n int64) []byte {
	if off < 0 || off >= v.size || n <= 0 {
		return nil
	}
	n = min(n, v.size-off, MaxBytes)
	if v.whole != nil {
		have := int64(len(v.whole)) // less than size where the file has shrunk
		return v.whole[min(off, have):min(off+n, have)]
	}
	if p := v.page(off); p != nil && off+n <= p.off+int64(len(p.data)) {
		return p.data[off-p.off : off-p.off+n]
	}
	b := make([]byte, n)
	return b[:v.read(b, off)]
}

// Full is Bytes where all n are there, else nil.
func (v *View) Full(off, n int64) []byte {
	if b := v.Bytes(off, n); int64(len(b)) == n {
		return b
	}
	return nil
}

func (v *View) read(b []byte, off int64) int {
	n, err := v.r.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) && v.err == nil {
		v.err = err
	}
	return n
}

func (v *View) page(off int64) *page {
	base := off &^ (pageSize - 1)
	for i := range v.cache {
		if p := &v.cache[i]; p.off == base && len(p.data) > 0 {
			return p
		}
	}
	p := &v.cache[v.next]
	v.next = (v.next + 1) % pages
	if cap(p.data) < pageSize {
		p.data = make([]byte, pageSize)
	}
	p.off = base
	p.data = p.data[:pageSize]
	p.data = p.data[:v.read(p.data, base)]
	return p
}

// U8 is the byte at off.
func (v *View) U8(off int64) (byte, bool) {
	b := v.Full(off, 1)
	if b == nil {
		return 0, false
	}
	return b[0], true
}

// U16 is the number at off in the order o.
func (v *View) U16(off int64, o binary.ByteOrder) (uint16, bool) {
	b := v.Full(off, 2)
	if b == nil {
		return 0, false
	}
	return o.Uint16(b), true
}

// U32 is the number at off in the order o.
func (v *View) U32(off int64, o binary.ByteOrder) (uint32, bool) {
	b := v.Full(off, 4)
	if b == nil {
		return 0, false
	}
	return o.Uint32(b), true
}

// U64 is the number at off in the order o.
func (v *View) U64(off int64, o binary.ByteOrder) (uint64, bool) {
	b := v.Full(off, 8)
	if b == nil {
		return 0, false
	}
	return o.Uint64(b), true
}

// CString is the text at off up to a zero byte, at most n bytes.
func (v *View) CString(off, n int64) (string, bool) {
	b := v.Bytes(off, n)
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), true
		}
	}
	return string(b), false
}

// Range calls f with the pieces of n bytes at off, in order, and tells whether
// all of them were there.
func (v *View) Range(off, n int64, f func([]byte)) bool {
	if off < 0 || n < 0 || off > v.size {
		return false
	}
	n = min(n, v.size-off)
	for n > 0 {
		b := v.Bytes(off, min(n, 1<<20))
		if len(b) == 0 {
			return false
		}
		f(b)
		off += int64(len(b))
		n -= int64(len(b))
	}
	return true
}
