// Package elfmod is the elf module: what executables of Unix say of themselves.
package elfmod

import (
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file.
const (
	maxHeaders = 4096
	maxSymbols = 65536
	maxDynamic = 4096
	maxName    = 512
)

type section struct {
	name, kind, flags, addr, off, size, link int64
	text                                     string
}

type segment struct{ kind, flags, off, vaddr, paddr, fsize, msize, align int64 }

type symbol struct {
	name                           string
	value, size, kind, bind, shndx int64
	other                          byte
}

type dynamic struct{ kind, val int64 }

// file is an ELF file whose header is there.
type file struct {
	v        *view.View
	o        binary.ByteOrder
	wide     bool // 64 bits
	kind     int64
	machine  int64
	entry    int64
	phoff    int64
	shoff    int64
	phsize   int64
	phnum    int64
	shsize   int64
	shnum    int64
	names    int64
	sections []section
	segments []segment
}

func open(v *view.View) *file {
	h := v.Full(0, 52)
	if h == nil || string(h[:4]) != "\x7fELF" {
		return nil
	}
	f := &file{v: v, wide: h[4] == 2, o: binary.LittleEndian}
	if h[5] == 2 {
		f.o = binary.BigEndian
	}
	if h[4] != 1 && h[4] != 2 || h[5] != 1 && h[5] != 2 {
		return nil
	}
	if f.wide {
		if h = v.Full(0, 64); h == nil {
			return nil
		}
	}
	h = append([]byte(nil), h...)
	f.kind, f.machine = f.half(h, 16), f.half(h, 18)
	at := 40
	if f.wide {
		f.entry, f.phoff, f.shoff = f.xword(h, 24), f.xword(h, 32), f.xword(h, 40)
		at = 52
	} else {
		f.entry, f.phoff, f.shoff = f.word(h, 24), f.word(h, 28), f.word(h, 32)
	}
	f.phsize, f.phnum = f.half(h, at+2), f.half(h, at+4)
	f.shsize, f.shnum, f.names = f.half(h, at+6), f.half(h, at+8), f.half(h, at+10)
	f.readSections()
	f.readSegments()
	return f
}

func (f *file) half(b []byte, at int) int64  { return int64(f.o.Uint16(b[at:])) }
func (f *file) word(b []byte, at int) int64  { return int64(f.o.Uint32(b[at:])) }
func (f *file) xword(b []byte, at int) int64 { return int64(f.o.Uint64(b[at:])) }

// words reads numbers of the file's width at the places given.
func (f *file) words(b []byte, at ...int) []int64 {
	out := make([]int64, len(at))
	for i, a := range at {
		if f.wide {
			out[i] = f.xword(b, a)
		} else {
			out[i] = f.word(b, a)
		}
	}
	return out
}

func (f *file) readSections() {
	size := int64(40)
	if f.wide {
		size = 64
	}
	for i := range min(f.shnum, maxHeaders) {
		b := f.v.Full(f.shoff+size*i, size)
		if b == nil {
			break
		}
		s := section{name: f.word(b, 0), kind: f.word(b, 4)}
		var w []int64
		if f.wide {
			w = f.words(b, 8, 16, 24, 32)
			s.link = f.word(b, 40)
		} else {
			w = f.words(b, 8, 12, 16, 20)
			s.link = f.word(b, 24)
		}
		s.flags, s.addr, s.off, s.size = w[0], w[1], w[2], w[3]
		f.sections = append(f.sections, s)
	}
	if f.names >= int64(len(f.sections)) {
		return
	}
	table := f.sections[f.names]
	for i := range f.sections {
		if s := &f.sections[i]; s.name < table.size {
			s.text, _ = f.v.CString(table.off+s.name, maxName)
		}
	}
}

func (f *file) readSegments() {
	size := int64(32)
	if f.wide {
		size = 56
	}
	for i := range min(f.phnum, maxHeaders) {
		b := f.v.Full(f.phoff+size*i, size)
		if b == nil {
			return
		}
		s := segment{kind: f.word(b, 0)}
		var w []int64
		if f.wide {
			s.flags = f.word(b, 4)
			w = f.words(b, 8, 16, 24, 32, 40, 48)
		} else {
			s.flags = f.word(b, 24)
			w = f.words(b, 4, 8, 12, 16, 20, 28)
		}
		s.off, s.vaddr, s.paddr, s.fsize, s.msize, s.align = w[0], w[1], w[2], w[3], w[4], w[5]
		f.segments = append(f.segments, s)
	}
}

// offset gives where in the file an address lies, or -1.
func (f *file) offset(addr int64) int64 {
	if f.kind == 2 { // an executable: by its segments
		for _, s := range f.segments {
			if addr >= s.vaddr && addr-s.vaddr < s.msize {
				return s.off + addr - s.vaddr
			}
		}
		return -1
	}
	for _, s := range f.sections {
		if s.kind != 0 && s.kind != 8 && addr >= s.addr && addr-s.addr < s.size {
			return s.off + addr - s.addr
		}
	}
	return -1
}

// symbols reads the first table of a kind.
func (f *file) symbols(kind int64) ([]symbol, bool) {
	for _, s := range f.sections {
		if s.kind != kind || s.link >= int64(len(f.sections)) || f.sections[s.link].kind != 3 {
			continue
		}
		return f.table(s, f.sections[s.link]), true
	}
	return nil, false
}

func (f *file) table(s, names section) []symbol {
	size := int64(16)
	if f.wide {
		size = 24
	}
	var out []symbol
	for i := range min(s.size/size, maxSymbols) {
		b := f.v.Full(s.off+size*i, size)
		if b == nil {
			return out
		}
		x := symbol{}
		name := f.word(b, 0)
		var info byte
		if f.wide {
			info, x.other, x.shndx, x.value, x.size = b[4], b[5], f.half(b, 6), f.xword(b, 8), f.xword(b, 16)
		} else {
			x.value, x.size, info, x.other, x.shndx = f.word(b, 4), f.word(b, 8), b[12], b[13], f.half(b, 14)
		}
		x.kind, x.bind = int64(info&15), int64(info>>4)
		if name < names.size {
			x.name, _ = f.v.CString(names.off+name, maxName)
		}
		out = append(out, x)
	}
	return out
}

func (f *file) dynamics() []dynamic {
	size := int64(8)
	if f.wide {
		size = 16
	}
	for _, s := range f.segments {
		if s.kind != 2 {
			continue
		}
		var out []dynamic
		for i := range min(s.fsize/size, maxDynamic) {
			b := f.v.Full(s.off+size*i, size)
			if b == nil {
				return out
			}
			w := f.words(b, 0, int(size/2))
			out = append(out, dynamic{w[0], w[1]})
			if w[0] == 0 {
				return out
			}
		}
		return out
	}
	return nil
}

// Entry is the offset of an ELF file's first instruction, or -1.
func Entry(v *view.View) int64 {
	f := open(v)
	if f == nil {
		return -1
	}
	return f.offset(f.entry)
}
