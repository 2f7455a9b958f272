// Package dexmod is the dex module: what the programs of Android apps
// (classes.dex) say of themselves. The format is Android's "Dalvik executable
// format", versions 035 to 039.
package dexmod

import (
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file.
const (
	maxIndex   = 0x80000 // of any table, as in libyara
	maxMembers = 1 << 17 // fields, and methods, of all classes together
	maxText    = 64 << 10
	maxCode    = 1 << 20
	headerSize = 112
	noOffset   = 0
)

// table is a place in the file with rows of equal size.
type table struct{ n, off, step int64 }

// file is a DEX file whose header is there.
type file struct {
	v       *view.View
	h       [headerSize]byte
	strings table
	types   table
	protos  table
	fieldID table
	methID  table
	classes table
	data    [][4]uint32 // the sizes in class_data_item
	fields  []member
	methods []member
	names   []pair // of methods, made when a function first asks
	// read tells how far the tables lie in the file: as in libyara, what comes
	// after one that does not is undefined.
	read int
}

// The tables in the order in which they are read.
const (
	haveStrings = iota + 1
	haveTypes
	haveProtos
	haveFields
	haveMethods
	haveMap
	haveClasses
)

// member is a field or a method of a class.
type member struct {
	index, diff, access, code uint32
	direct                    bool
}

type pair struct{ class, name string }

func (f *file) u32(at int) int64 { return int64(binary.LittleEndian.Uint32(f.h[at:])) }

// open reads the header and what the classes have, or gives nil.
func open(v *view.View) *file {
	b := v.Full(0, headerSize)
	if b == nil || string(b[:6]) != "dex\n03" || b[6] < '5' || b[6] > '9' || b[7] != 0 {
		return nil
	}
	f := &file{v: v}
	copy(f.h[:], b)
	have := func(t *table, at int, step int64, have int) {
		*t = table{n: f.u32(at), off: f.u32(at + 4), step: step}
		if f.read == have-1 && v.Size()-t.off >= t.n*step {
			f.read = have
			return
		}
		t.n = 0
	}
	have(&f.strings, 56, 4, haveStrings)
	have(&f.types, 64, 4, haveTypes)
	have(&f.protos, 72, 12, haveProtos)
	have(&f.fieldID, 80, 8, haveFields)
	have(&f.methID, 88, 8, haveMethods)
	if f.read == haveMethods && f.mapFits() {
		f.read = haveMap
	}
	have(&f.classes, 96, 32, haveClasses)
	f.members()
	return f
}

func (f *file) mapAt() int64 { return f.u32(52) }

// mapFits tells whether the map, if there is one, lies in the file.
func (f *file) mapFits() bool {
	if f.mapAt() == noOffset {
		return true
	}
	n, ok := f.v.U32(f.mapAt(), binary.LittleEndian)
	return !ok || f.v.Size()-f.mapAt()-4 >= 12*int64(n)
}

// row gives a row of a table, or nil. It is valid until the next read.
func (f *file) row(t *table, i int64) []byte {
	if i < 0 || i >= t.n || i > maxIndex {
		return nil
	}
	return f.v.Full(t.off+t.step*i, t.step)
}

// index reads the number at a place in a row, or gives -1.
func (f *file) index(t *table, i int64, at, width int) int64 {
	b := f.row(t, i)
	switch {
	case b == nil:
		return -1
	case width == 2:
		return int64(binary.LittleEndian.Uint16(b[at:]))
	}
	return int64(binary.LittleEndian.Uint32(b[at:]))
}

// text gives a string by its number: its place, its length in UTF-16 units as
// the file has it, and its bytes up to the zero.
func (f *file) text(i int64) (off, units int64, s string, ok bool) {
	off = f.index(&f.strings, i, 0, 4)
	if off < 0 {
		return 0, 0, "", false
	}
	n, width := f.uleb(off)
	if width == 0 {
		return 0, 0, "", false
	}
	// A unit takes at most three bytes in MUTF-8.
	s, _ = f.v.CString(off+width, min(3*int64(n), maxText)+1)
	return off, int64(n), s, true
}

// typeName gives the text of a type by its number.
func (f *file) typeName(i int64) (string, bool) {
	_, _, s, ok := f.text(f.index(&f.types, i, 0, 4))
	return s, ok
}

// uleb reads an unsigned LEB128 of at most 32 bits; width is 0 at the end of
// the file.
func (f *file) uleb(off int64) (n uint32, width int64) {
	b := f.v.Bytes(off, 5)
	for i, c := range b {
		n |= uint32(c&0x7F) << (7 * i)
		if c&0x80 == 0 || i == 4 {
			return n, int64(i) + 1
		}
	}
	return 0, 0
}

// members reads what the classes have.
func (f *file) members() {
	for i := range f.classes.n {
		at := f.index(&f.classes, i, 24, 4)
		if at < 0 {
			return
		}
		if at == noOffset {
			continue
		}
		var sizes [4]uint32
		for k := range sizes {
			n, width := f.uleb(at)
			if width == 0 {
				return
			}
			sizes[k] = n
			at += width
		}
		f.data = append(f.data, sizes)
		f.fields, at = f.list(f.fields, &f.fieldID, at, sizes[0], true)
		f.fields, at = f.list(f.fields, &f.fieldID, at, sizes[1], false)
		f.methods, at = f.list(f.methods, &f.methID, at, sizes[2], true)
		f.methods, _ = f.list(f.methods, &f.methID, at, sizes[3], false)
		if len(f.data) > maxIndex || len(f.fields) >= maxMembers || len(f.methods) >= maxMembers {
			return
		}
	}
}

// list reads n members at a place; ids is the table that their numbers, each
// told as the difference from the one before, point to.
func (f *file) list(out []member, ids *table, at int64, n uint32, direct bool) (list []member, end int64) {
	var last uint32
	numbers := 2
	if ids == &f.methID {
		numbers = 3
	}
	for range n {
		var part [3]uint32
		for k := range numbers {
			v, width := f.uleb(at)
			if width == 0 {
				return out, at
			}
			part[k] = v
			at += width
		}
		last += part[0]
		if len(out) >= maxMembers || f.row(ids, int64(last)) == nil {
			return out, at
		}
		out = append(out, member{index: last, diff: part[0], access: part[1], code: part[2], direct: direct})
	}
	return out, at
}
