// Package pemod is the pe module: what Windows executables say of themselves.
// Every offset and count in them is taken for a lie until it was checked.
package pemod

import (
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file, as in libyara where it has one.
const (
	maxSections  = 96
	maxImports   = 16384 // functions
	maxLibraries = 2048
	maxExports   = 16384
	maxResources = 65536
	maxName      = 512
)

// le is the order of every number in a PE file.
func u16(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint16(b[at:])) }
func u32(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
func u64(b []byte, at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }

type section struct {
	name                           string
	vsize, va, rawSize, raw        int64
	relocs, lines, nRelocs, nLines int64
	characteristics                int64
	fullName                       string
}

// file is a PE file whose headers are there.
type file struct {
	v        *view.View
	header   int64  // of "PE\0\0"
	coff     []byte // 20 bytes
	opt      []byte // the optional header
	plus     bool   // PE32+
	sections []section
	dirs     [16][2]int64
	ndirs    int
}

// open reads the headers.
func open(v *view.View) *file {
	mz := v.Full(0, 64)
	if mz == nil || mz[0] != 'M' || mz[1] != 'Z' {
		return nil
	}
	f := &file{v: v, header: u32(mz, 60)}
	head := v.Full(f.header, 24)
	if head == nil || string(head[:4]) != "PE\x00\x00" {
		return nil
	}
	f.coff = append([]byte(nil), head[4:24]...)
	optSize := u16(f.coff, 16)
	f.opt = append([]byte(nil), v.Bytes(f.header+24, 240)...)
	if len(f.opt) < 2 {
		return nil
	}
	f.plus = u16(f.opt, 0) == 0x20B
	base := 96
	if f.plus {
		base = 112
	}
	if len(f.opt) < base {
		return nil
	}
	f.ndirs = int(min(u32(f.opt, base-4), 16))
	// Directories count whatever number of them the header gives.
	for i := range f.dirs {
		if len(f.opt) >= base+8*i+8 {
			f.dirs[i] = [2]int64{u32(f.opt, base+8*i), u32(f.opt, base+8*i+4)}
		}
	}
	f.readSections(f.header + 24 + optSize)
	return f
}

func (f *file) readSections(at int64) {
	n := min(u16(f.coff, 2), maxSections)
	for i := range n {
		b := f.v.Full(at+40*i, 40)
		if b == nil {
			return
		}
		s := section{
			name: cut(b[:8]), vsize: u32(b, 8), va: u32(b, 12), rawSize: u32(b, 16), raw: u32(b, 20),
			relocs: u32(b, 24), lines: u32(b, 28), nRelocs: u16(b, 32), nLines: u16(b, 34), characteristics: u32(b, 36),
		}
		s.fullName = s.name
		f.sections = append(f.sections, s)
	}
	for i := range f.sections {
		f.longName(&f.sections[i])
	}
}

// longName looks up a name "/123" in the string table after the symbols.
func (f *file) longName(s *section) {
	if len(s.name) < 2 || s.name[0] != '/' {
		return
	}
	var off int64
	for _, c := range s.name[1:] {
		if c < '0' || c > '9' {
			return
		}
		off = off*10 + int64(c-'0')
	}
	table := u32(f.coff, 8) + 18*u32(f.coff, 12)
	if name, ok := f.v.CString(table+off, maxName); ok && name != "" {
		s.fullName = name
	}
}

func cut(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// offset gives where in the file an address lies, or -1.
func (f *file) offset(rva int64) int64 {
	var va, raw, size int64
	lowest := int64(1) << 40
	for i := range f.sections {
		s := &f.sections[i]
		lowest = min(lowest, s.va)
		if rva >= s.va && va <= s.va {
			va, raw, size = s.va, s.raw, s.rawSize
			if align := min(u32(f.opt, 36), 0x200); align > 0 {
				raw -= raw % align
			}
		}
	}
	if rva < lowest {
		va, raw, size = 0, 0, f.v.Size()
	}
	if rva < 0 || rva-va >= size || raw+rva-va >= f.v.Size() {
		return -1
	}
	return raw + rva - va
}

// at gives n bytes at an address, or nil.
func (f *file) at(rva, n int64) []byte {
	off := f.offset(rva)
	if off < 0 {
		return nil
	}
	return f.v.Full(off, n)
}

// name gives a text at an address.
func (f *file) name(rva int64) (string, bool) {
	off := f.offset(rva)
	if off < 0 {
		return "", false
	}
	return f.v.CString(off, maxName)
}

// Entry is the offset of a PE file's first instruction, or -1.
func Entry(v *view.View) int64 {
	f := open(v)
	if f == nil {
		return -1
	}
	rva := u32(f.opt, 16)
	var va, raw int64
	for i := range f.sections {
		if s := &f.sections[i]; rva >= s.va && va <= s.va {
			va, raw = s.va, s.raw
		}
	}
	return raw + rva - va
}

// Image is a PE file that another module reads on.
type Image struct{ f *file }

// Open reads the headers of a PE file, or gives nil.
func Open(v *view.View) *Image {
	f := open(v)
	if f == nil {
		return nil
	}
	return &Image{f: f}
}

// Directory is the offset of a data directory, or -1.
func (i *Image) Directory(n int) int64 {
	if i.f.dirs[n][0] == 0 {
		return -1
	}
	return i.f.offset(i.f.dirs[n][0])
}

// Directories is how many data directories the header says there are, at most 16.
func (i *Image) Directories() int { return i.f.ndirs }

// Offset is where in the file an address lies, or -1.
func (i *Image) Offset(rva int64) int64 { return i.f.offset(rva) }

// Wide tells whether the image is of 64 bits.
func (i *Image) Wide() bool { return i.f.plus }

// DLL tells whether the image is a library.
func (i *Image) DLL() bool { return u16(i.f.coff, 18)&0x2000 != 0 }

// Entry is the offset of the first instruction, or -1.
func (i *Image) Entry() int64 { return i.f.offset(u32(i.f.opt, 16)) }
