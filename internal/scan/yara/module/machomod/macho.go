// Package machomod is the macho module: what executables of macOS and iOS, and
// the archives of them for several processors, say of themselves.
package machomod

import (
	"bytes"
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file.
const (
	maxFiles    = 64
	maxCommands = 4096
	maxSections = 16384 // of all segments together
)

// The first numbers of a file, read little-endian; files of the other order
// have them the other way round. Archives are big-endian.
const (
	magic32 = 0xfeedface
	magic64 = 0xfeedfacf
	fat32   = 0xcafebabe
	fat64   = 0xcafebabf
)

const (
	cpu68k   = 6
	cpuX86   = 7
	cpuARM   = 12
	cpu88k   = 13
	cpuSPARC = 14
	cpuPPC   = 18
	abi64    = 0x01000000
	cpuX64   = cpuX86 | abi64
	cpuARM64 = cpuARM | abi64
	cpuPPC64 = cpuPPC | abi64
)

const (
	cmdSegment    = 0x1
	cmdUnixThread = 0x5
	cmdSegment64  = 0x19
	cmdMain       = 0x80000028
)

type section struct {
	name, segment                                                string
	addr, size, offset, align, reloff, nreloc, flags, r1, r2, r3 int64
	wide                                                         bool
}

type segment struct {
	name                                                             string
	vmaddr, vmsize, fileoff, fsize, maxprot, initprot, nsects, flags int64
	sections                                                         []section
	whole                                                            bool // its header is in the file
}

// file is one Mach-O file: the whole, or a part of an archive.
type file struct {
	v     *view.View
	base  int64 // where it begins
	size  int64
	o     binary.ByteOrder
	wide  bool // 64 bits
	magic int64
	head  [7]int64 // cputype and what follows
	segs  []segment
	count int // sections read
	entry int64
	stack int64
}

// unknown is an offset that the file does not give.
const unknown = -1

// open reads the headers of the file of size bytes at base, or gives nil.
func open(v *view.View, base, size int64) *file {
	b := v.Full(base, 32)
	if b == nil || size < 32 {
		return nil
	}
	f := &file{v: v, base: base, size: size, o: binary.LittleEndian, magic: int64(binary.LittleEndian.Uint32(b)), entry: unknown, stack: unknown}
	switch binary.LittleEndian.Uint32(b) {
	case magic32, magic64:
	default:
		f.o = binary.BigEndian
	}
	switch f.o.Uint32(b) {
	case magic32:
	case magic64:
		f.wide = true
	default:
		return nil
	}
	for i := range f.head {
		f.head[i] = f.word(b, 4+4*i)
	}
	f.commands(func(kind int64, at, size int64) {
		if kind == cmdSegment || kind == cmdSegment64 {
			f.segment(at, size, kind == cmdSegment64)
		}
	})
	// Where a program begins may be told as an address, so segments come first.
	f.commands(func(kind int64, at, size int64) {
		switch kind {
		case cmdMain:
			f.main(at)
		case cmdUnixThread:
			f.thread(at, size)
		}
	})
	return f
}

func (f *file) word(b []byte, at int) int64  { return int64(f.o.Uint32(b[at:])) }
func (f *file) xword(b []byte, at int) int64 { return int64(f.o.Uint64(b[at:])) }

// bytes gives n bytes of the file at off, or nil.
func (f *file) bytes(off, n int64) []byte {
	if off < 0 || n > f.size-off {
		return nil
	}
	return f.v.Full(f.base+off, n)
}

// commands calls do for each load command that lies in the file.
func (f *file) commands(do func(kind, at, size int64)) {
	at := int64(28)
	if f.wide {
		at = 32
	}
	for range min(f.head[3], maxCommands) {
		b := f.bytes(at, 8)
		if b == nil {
			return
		}
		kind, size := f.word(b, 0), f.word(b, 4)
		if size < 8 || size > f.size-at {
			return
		}
		do(kind, at, size)
		at += size
	}
}

func name(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// segment reads a segment and its sections.
func (f *file) segment(at, size int64, wide bool) {
	n, step := int64(56), int64(68)
	if wide {
		n, step = 72, 80
	}
	b := f.bytes(at, n)
	if b == nil {
		f.segs = append(f.segs, segment{})
		return
	}
	s := segment{name: name(b[8:24]), whole: true}
	var rest int
	if wide {
		s.vmaddr, s.vmsize, s.fileoff, s.fsize = f.xword(b, 24), f.xword(b, 32), f.xword(b, 40), f.xword(b, 48)
		rest = 56
	} else {
		s.vmaddr, s.vmsize, s.fileoff, s.fsize = f.word(b, 24), f.word(b, 28), f.word(b, 32), f.word(b, 36)
		rest = 40
	}
	s.maxprot, s.initprot, s.nsects, s.flags = f.word(b, rest), f.word(b, rest+4), f.word(b, rest+8), f.word(b, rest+12)
	for i := int64(0); i < s.nsects && n+step*(i+1) <= size && f.count < maxSections; i++ {
		b := f.bytes(at+n+step*i, step)
		if b == nil {
			break
		}
		s.sections = append(s.sections, f.section(b, wide))
		f.count++
	}
	f.segs = append(f.segs, s)
}

func (f *file) section(b []byte, wide bool) section {
	s := section{name: name(b[:16]), segment: name(b[16:32]), wide: wide}
	at := 40
	if wide {
		s.addr, s.size = f.xword(b, 32), f.xword(b, 40)
		s.r3 = f.word(b, 76)
		at = 48
	} else {
		s.addr, s.size = f.word(b, 32), f.word(b, 36)
	}
	for i, p := range []*int64{&s.offset, &s.align, &s.reloff, &s.nreloc, &s.flags, &s.r1, &s.r2} {
		*p = f.word(b, at+4*i)
	}
	return s
}

// main reads the command that gives the entry point as an offset.
func (f *file) main(at int64) {
	if b := f.bytes(at, 24); b != nil {
		f.entry, f.stack = f.xword(b, 8), f.xword(b, 16)
	}
}

// counters tells where in the state of a thread its next instruction stands, how
// wide that is, and how much state there must be.
func counters(cpu int64) (at, width, need int64) {
	switch cpu {
	case cpu68k:
		return 68, 4, 72
	case cpu88k:
		return 124, 4, 136
	case cpuSPARC:
		return 4, 4, 76
	case cpuPPC:
		return 0, 4, 160
	case cpuX86:
		return 40, 4, 64
	case cpuARM:
		return 60, 4, 68
	case cpuX64:
		return 128, 8, 168
	case cpuARM64:
		return 256, 8, 272
	case cpuPPC64:
		return 0, 8, 304
	}
	return 0, 0, 0
}

// thread reads the command that gives the registers a program starts with.
func (f *file) thread(at, size int64) {
	pc, width, need := counters(f.head[0])
	if width == 0 || size < 16+need {
		return
	}
	b := f.bytes(at+16+pc, width)
	if b == nil {
		return
	}
	var addr int64
	if width == 8 {
		addr = f.xword(b, 0)
	} else {
		addr = f.word(b, 0)
	}
	for _, s := range f.segs {
		if d := uint64(addr) - uint64(s.vmaddr); uint64(addr) >= uint64(s.vmaddr) && d < uint64(s.vmsize) {
			f.entry = s.fileoff + int64(d)
			return
		}
	}
}

// arch is a row of the table of an archive.
type arch struct{ cpu, subtype, offset, size, align int64 }

// archive is a file for several processors.
type archive struct {
	magic, count int64
	archs        []arch
	files        []*file // nil where the part is not in the file, or is none
}

func openArchive(v *view.View) *archive {
	b := v.Full(0, 8)
	if b == nil {
		return nil
	}
	a := &archive{magic: int64(binary.BigEndian.Uint32(b)), count: int64(binary.BigEndian.Uint32(b[4:]))}
	step := int64(32)
	switch a.magic {
	case fat32:
		step = 20
	case fat64, 0xbebafeca, 0xbfbafeca: // the last two are the first read the wrong way
	default:
		return nil
	}
	if a.count > (v.Size()-8)/step {
		return a // a class file of Java has the same first bytes
	}
	for i := range min(a.count, maxFiles) {
		b := v.Full(8+step*i, step)
		if b == nil {
			break
		}
		be := binary.BigEndian
		r := arch{cpu: int64(be.Uint32(b)), subtype: int64(be.Uint32(b[4:]))}
		if step == 20 {
			r.offset, r.size, r.align = int64(be.Uint32(b[8:])), int64(be.Uint32(b[12:])), int64(be.Uint32(b[16:]))
		} else {
			r.offset, r.size, r.align = int64(be.Uint64(b[8:])), int64(be.Uint64(b[16:])), int64(be.Uint32(b[24:]))
		}
		a.archs = append(a.archs, r)
		var f *file
		if r.offset >= 0 && r.size >= 0 && r.offset <= v.Size() && r.size <= v.Size()-r.offset {
			f = open(v, r.offset, r.size)
		}
		a.files = append(a.files, f)
	}
	return a
}
