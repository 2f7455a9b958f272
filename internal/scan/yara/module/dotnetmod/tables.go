package dotnetmod

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// The numbers of the tables that are read (ECMA-335 II.22).
const (
	tModule           = 0x00
	tTypeRef          = 0x01
	tTypeDef          = 0x02
	tMethodDef        = 0x06
	tParam            = 0x08
	tInterfaceImpl    = 0x09
	tMemberRef        = 0x0A
	tConstant         = 0x0B
	tCustomAttribute  = 0x0C
	tModuleRef        = 0x1A
	tTypeSpec         = 0x1B
	tFieldRVA         = 0x1D
	tAssembly         = 0x20
	tAssemblyRef      = 0x23
	tManifestResource = 0x28
	tNestedClass      = 0x29
	tGenericParam     = 0x2A
	tables            = 0x2D
)

// maxRows is the most rows of a table that count.
const maxRows = 1 << 20

// schema gives the columns of each table: 1, 2 or 4 bytes; s, g, b for an index
// into the heap of strings, GUIDs, blobs; a table's number in hexadecimal with
// x before it; a kind of coded index in capitals. Tables of one index (3, 5, 7,
// 13h, 16h) are not in the standard: files that were not optimized have them.
func schema(n int) string {
	return [tables]string{
		"2 s g g g", "SCOPE s s", "4 s s TYPE x4 x6", "x4", "2 s b", "x6", "4 2 2 s b x8", "x8", "2 2 s", "x2 TYPE", "MEMBER s b", "1 1 CONST b",
		"PARENT ATTR b", "MARSHAL b", "2 SECURITY b", "2 4 x2", "4 x4", "b", "x2 x14", "x14", "2 s TYPE", "x2 x17", "x17", "2 s b", "2 x6 SEMANTICS",
		"x2 METHOD METHOD", "s", "b", "2 FORWARD s x1a", "4 x4", "4 4", "4", "4 2 2 2 2 4 b s s", "4", "4 4 4", "2 2 2 2 4 b s s b", "4 x23",
		"4 4 4 x23", "4 s b", "4 4 s s IMPL", "4 4 s IMPL", "x2 x2", "2 2 OWNER s", "METHOD b", "x2a TYPE",
	}[n]
}

// coded gives how many bits of a coded index name the table, and the tables
// (II.24.2.6).
func coded(kind string) (tag int, of string) {
	switch kind {
	case "TYPE":
		return 2, "2 1 1b"
	case "CONST":
		return 2, "4 8 17"
	case "PARENT":
		return 5, "6 4 1 2 8 9 a 0 e 17 14 11 1a 1b 20 23 26 27 28 2a 2c 2b"
	case "MARSHAL":
		return 1, "4 8"
	case "SECURITY":
		return 2, "2 6 20"
	case "MEMBER":
		return 3, "2 1 1a 6 1b"
	case "SEMANTICS":
		return 1, "14 17"
	case "METHOD":
		return 1, "6 a"
	case "FORWARD":
		return 1, "4 6"
	case "IMPL":
		return 2, "26 23 27"
	case "ATTR":
		return 3, "6 a"
	case "SCOPE":
		return 2, "0 1a 23 1"
	default: // OWNER
		return 1, "2 6"
	}
}

// table is where the rows of a table lie.
type table struct {
	off, size int64
	rows      int64
	at, width []int64 // of the columns
}

// layout holds all tables of a file.
type layout struct {
	v      *view.View
	tables [tables]table
}

// readLayout finds the tables in the stream at off.
func readLayout(v *view.View, off int64) *layout {
	h := v.Full(off, 24)
	if h == nil {
		return nil
	}
	heaps, valid := h[6], binary.LittleEndian.Uint64(h[8:])
	l := &layout{v: v}
	at := off + 24
	for n := range tables {
		if valid&(1<<n) == 0 {
			continue
		}
		if rows, ok := v.U32(at, binary.LittleEndian); ok {
			l.tables[n].rows = int64(rows)
		}
		at += 4
	}
	at += 4 * int64(bits.OnesCount64(valid>>tables))
	if heaps&0x40 != 0 {
		at += 4 // a number that some compilers put in
	}
	for n := range tables {
		if valid&(1<<n) == 0 {
			continue
		}
		l.place(n, at, heaps)
		at += l.tables[n].size * l.tables[n].rows
		l.tables[n].rows = min(l.tables[n].rows, maxRows, max(v.Size()-l.tables[n].off, 0)/l.tables[n].size)
	}
	return l
}

// place computes the columns of a table that begins at off. Rows of all tables
// must be as the file has them.
func (l *layout) place(n int, off int64, heaps byte) {
	t := &l.tables[n]
	t.off = off
	for c := range strings.FieldsSeq(schema(n)) {
		w := l.width(c, heaps)
		t.at, t.width = append(t.at, t.size), append(t.width, w)
		t.size += w
	}
}

func (l *layout) width(column string, heaps byte) int64 {
	wide := false
	switch c := column[0]; {
	case c >= '1' && c <= '4':
		return int64(c - '0')
	case c == 's':
		wide = heaps&1 != 0
	case c == 'g':
		wide = heaps&2 != 0
	case c == 'b':
		wide = heaps&4 != 0
	case c == 'x':
		wide = l.rows(column[1:]) > 0xFFFF
	default:
		tag, of := coded(column)
		for t := range strings.FieldsSeq(of) {
			wide = wide || l.rows(t) > 0xFFFF>>tag
		}
	}
	if wide {
		return 4
	}
	return 2
}

func (l *layout) rows(hex string) int64 {
	n, err := strconv.ParseUint(hex, 16, 8)
	if err != nil || n >= tables {
		return 0
	}
	return l.tables[n].rows
}

// row is one row, its columns as numbers.
type row [9]int64

// row gives a row by its number, from 1 on.
func (l *layout) row(n int, i int64) (r row, ok bool) {
	t := &l.tables[n]
	if i < 1 || i > t.rows {
		return r, false
	}
	b := l.v.Full(t.off+t.size*(i-1), t.size)
	if b == nil {
		return r, false
	}
	for c, at := range t.at {
		switch t.width[c] {
		case 1:
			r[c] = int64(b[at])
		case 2:
			r[c] = int64(binary.LittleEndian.Uint16(b[at:]))
		default:
			r[c] = int64(binary.LittleEndian.Uint32(b[at:]))
		}
	}
	return r, true
}

// each calls do for each row of a table, until it says no.
func (l *layout) each(n int, do func(i int64, r row) bool) {
	for i := int64(1); i <= l.tables[n].rows; i++ {
		r, ok := l.row(n, i)
		if !ok || !do(i, r) {
			return
		}
	}
}
