// Package dotnetmod is the dotnet module: what .NET assemblies say of
// themselves (ECMA-335 II.22 to II.24).
package dotnetmod

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/pemod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Limits on what is read of a file.
const (
	maxStreams = 255
	maxGUIDs   = 16
	maxStrings = 100_000
	maxHeap    = 8 << 20
	maxName    = 1024
	maxBlob    = 64 << 10
)

const (
	cliSize     = 72
	comDir      = 14 // the data directory of the header of .NET
	typeString  = 0x0E
	tagMember   = 3    // of an attribute's constructor: in MemberRef
	tagTypeRef  = 1    // of a member's class: in TypeRef
	tagAssembly = 0x0E // of an attribute's owner: the assembly
)

// heap is a stream: where it begins and how large it says it is.
type heap struct{ off, size int64 }

// file is an assembly.
type file struct {
	v                            *view.View
	pe                           *pemod.Image
	cli                          int64
	root                         int64 // of the metadata
	strings, blobs, guids, users *heap
	tilde                        *heap
	l                            *layout
}

// Module is the dotnet module.
func Module() *module.Module {
	return &module.Module{Name: "dotnet", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{"is_dotnet": module.Of(0)}
		if f := open(v); f != nil {
			m["is_dotnet"] = module.Of(1)
			f.read(m)
		}
		return module.Record(m), nil
	}}
}

func u16(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }
func u32(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }

// open finds the metadata of an assembly, or gives nil.
func open(v *view.View) *file {
	f := &file{v: v, pe: pemod.Open(v)}
	if f.pe == nil {
		return nil
	}
	f.cli = f.pe.Directory(comDir)
	h := v.Full(f.cli, cliSize)
	if f.cli < 0 || h == nil || u32(h) != cliSize {
		return nil
	}
	f.root = f.pe.Offset(u32(h[8:]))
	if f.root < 0 {
		return nil
	}
	if b := v.Full(f.root, 16); b == nil || string(b[:4]) != "BSJB" || !f.versionFits(u32(b[12:])) {
		return nil
	}
	switch {
	case f.pe.Wide():
		if f.pe.Directories() < comDir {
			return nil
		}
	case !f.pe.DLL(): // a program of 32 bits jumps into the run time at its entry
		if b := v.Full(f.pe.Entry(), 2); f.pe.Entry() < 0 || b == nil || b[0] != 0xFF || b[1] != 0x25 {
			return nil
		}
	}
	return f
}

func (f *file) versionFits(n int64) bool {
	return n > 0 && n <= 255 && n%4 == 0 && f.v.Full(f.root+16, n) != nil
}

// read fills the fields from the metadata root on.
func (f *file) read(m module.Fields) {
	length := u32(f.v.Full(f.root, 16)[12:])
	if version, ok := f.v.CString(f.root+16, length); ok {
		m["version"] = module.Str(version)
	}
	h := f.v.Full(f.root+16+length, 4)
	if h == nil {
		return
	}
	f.streams(m, f.root+20+length, min(u16(h[2:]), maxStreams))
	if f.guids != nil {
		f.readGUIDs(m)
	}
	if f.tilde != nil && f.strings != nil && f.blobs != nil {
		if f.l = readLayout(f.v, f.tilde.off); f.l != nil {
			f.readTables(m)
		}
	}
	if f.users != nil {
		f.userStrings(m)
	}
}

func (f *file) streams(m module.Fields, at, n int64) {
	var out []module.Value
	for range n {
		b := f.v.Full(at, 8)
		if b == nil {
			break
		}
		h := &heap{f.root + u32(b), u32(b[4:])}
		name, ok := f.v.CString(at+8, 32)
		if !ok {
			break
		}
		at += 8 + int64(len(name)+4)&^3
		out = append(out, module.Record(module.Fields{"name": module.Str(name), "offset": module.Of(h.off), "size": module.Of(h.size)}))
		f.keep(name, h)
	}
	m["streams"], m["number_of_streams"] = module.List(out), module.Of(len(out))
}

// keep remembers a stream that is read later: the first of its kind, of GUIDs
// the last.
func (f *file) keep(name string, h *heap) {
	first := func(p **heap) {
		if *p == nil {
			*p = h
		}
	}
	switch {
	case strings.HasPrefix(name, "#~"), strings.HasPrefix(name, "#-"):
		first(&f.tilde)
	case strings.HasPrefix(name, "#GUID"):
		f.guids = h
	case strings.HasPrefix(name, "#Strings"):
		first(&f.strings)
	case strings.HasPrefix(name, "#Blob"):
		first(&f.blobs)
	case strings.HasPrefix(name, "#US"):
		first(&f.users)
	}
}

func (f *file) readGUIDs(m module.Fields) {
	var out []module.Value
	for i := range min(f.guids.size/16, maxGUIDs) {
		g := f.v.Full(f.guids.off+16*i, 16)
		if g == nil {
			break
		}
		out = append(out, module.Str(fmt.Sprintf("%08x-%04x-%04x-%x-%x", u32(g), u16(g[4:]), u16(g[6:]), g[8:10], g[10:])))
	}
	m["guids"], m["number_of_guids"] = module.List(out), module.Of(len(out))
}

// userStrings reads blobs: a packed length, UTF-16 and one byte more.
func (f *file) userStrings(m module.Fields) {
	b := f.v.Bytes(f.users.off, min(f.users.size, maxHeap))
	if f.users.size == 0 || int64(len(b)) < min(f.users.size, maxHeap) || b[0] != 0 {
		return
	}
	type place struct{ off, n int }
	var list []place
	for at := 1; at < len(b) && len(list) < maxStrings; {
		n, width := packedLength(b[at:])
		if width == 0 || at+width+n > len(b) {
			break
		}
		if n > 1 {
			list = append(list, place{at + width, n - 1})
		}
		at += width + n
	}
	m["number_of_user_strings"] = module.Of(len(list))
	m["user_strings"] = module.Rows(len(list), func(i int) module.Value {
		return module.Str(string(f.v.Bytes(f.users.off+int64(list[i].off), int64(list[i].n))))
	})
}

// packedLength reads a number of one, two or four bytes (II.23.2); width is 0
// where there is none.
func packedLength(b []byte) (n, width int) {
	switch {
	case len(b) == 0:
	case b[0]&0x80 == 0:
		return int(b[0]), 1
	case b[0]&0xC0 == 0x80 && len(b) >= 2:
		return int(b[0]&0x3F)<<8 | int(b[1]), 2
	case b[0]&0xE0 == 0xC0 && len(b) >= 4:
		return int(b[0]&0x1F)<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3]), 4
	}
	return 0, 0
}

// text gives a name of the strings' heap.
func (f *file) text(i int64) (string, bool) {
	if i >= f.strings.size {
		return "", false
	}
	s, ok := f.v.CString(f.strings.off+i, maxName+1)
	return s, ok
}

// blob gives an entry of the blobs' heap, at most maxBlob bytes of it.
func (f *file) blob(i int64) ([]byte, bool) {
	off := f.blobs.off + i
	n, width := packedLength(f.v.Bytes(off, 4))
	if width == 0 || int64(n) > f.v.Size()-off-int64(width) {
		return nil, false
	}
	b := f.v.Bytes(off+int64(width), min(int64(n), maxBlob))
	return append([]byte(nil), b...), int64(len(b)) == min(int64(n), maxBlob)
}

// set sets a field where its text is known.
func set(m module.Fields, name, s string, ok bool) {
	if ok {
		m[name] = module.Str(s)
	}
}

// readTables fills what stands in the tables.
func (f *file) readTables(m module.Fields) {
	if r, ok := f.l.row(tModule, 1); ok {
		name, ok := f.text(r[1])
		set(m, "module_name", name, ok)
	}
	f.assembly(m)
	f.assemblyRefs(m)
	f.constants(m)
	f.typelib(m)
	f.moduleRefs(m)
	f.fieldOffsets(m)
	f.resources(m)
	f.readClasses(m)
}

// version makes the value of four parts that stand in a row from a column on.
func version(r row, c int) module.Value {
	return module.Record(module.Fields{
		"major": module.Of(r[c]), "minor": module.Of(r[c+1]), "build_number": module.Of(r[c+2]), "revision_number": module.Of(r[c+3]),
	})
}

func (f *file) assembly(m module.Fields) {
	r, ok := f.l.row(tAssembly, 1)
	if !ok {
		return
	}
	a := module.Fields{"version": version(r, 1)}
	name, ok := f.text(r[7])
	set(a, "name", name, ok)
	culture, ok := f.text(r[8])
	set(a, "culture", culture, ok && culture != "")
	m["assembly"] = module.Record(a)
}

func (f *file) assemblyRefs(m module.Fields) {
	n := f.l.tables[tAssemblyRef].rows
	if n == 0 {
		return
	}
	m["number_of_assembly_refs"] = module.Of(n)
	m["assembly_refs"] = module.Rows(int(n), func(i int) module.Value {
		a := module.Fields{}
		if r, ok := f.l.row(tAssemblyRef, int64(i)+1); ok {
			a["version"] = version(r, 0)
			key, ok := f.blob(r[5])
			set(a, "public_key_or_token", string(key), ok && len(key) > 0)
			name, ok := f.text(r[6])
			set(a, "name", name, ok)
		}
		return module.Record(a)
	})
}

// constants are those that are texts, as UTF-16.
func (f *file) constants(m module.Fields) {
	var list []int64
	f.l.each(tConstant, func(_ int64, r row) bool {
		if _, ok := f.blob(r[3]); r[0] == typeString && ok {
			list = append(list, r[3])
		}
		return len(list) < maxStrings
	})
	if f.l.tables[tConstant].rows > 0 {
		m["number_of_constants"] = module.Of(len(list))
	}
	m["constants"] = module.Rows(len(list), func(i int) module.Value {
		b, _ := f.blob(list[i])
		return module.Str(string(b))
	})
}

// typelib is what a GuidAttribute of the assembly says.
func (f *file) typelib(m module.Fields) {
	n := 0
	f.l.each(tCustomAttribute, func(_ int64, r row) bool {
		if r[0]&0x1F != tagAssembly || r[1]&7 != tagMember {
			return true
		}
		if n++; n > maxStrings {
			return false
		}
		member, ok := f.l.row(tMemberRef, r[1]>>3)
		if !ok || member[0]&7 != tagTypeRef {
			return true
		}
		typ, ok := f.l.row(tTypeRef, member[0]>>3)
		if name, named := f.text(typ[1]); !ok || !named || !strings.HasPrefix(name, "GuidAttribute") {
			return true
		}
		b, ok := f.blob(r[2])
		// 1 as 16 bits, a length, the text.
		if !ok || r[2] == 0 || len(b) < 4 || u16(b) != 1 {
			return true
		}
		text := b[3:min(len(b), 3+int(b[2]))]
		if b[3] == 0xFF || b[3] == 0 {
			text = nil
		}
		s, _, _ := strings.Cut(string(text), "\x00")
		m["typelib"] = module.Str(s)
		return true
	})
}

func (f *file) moduleRefs(m module.Fields) {
	var names []int64
	f.l.each(tModuleRef, func(_ int64, r row) bool {
		if _, ok := f.text(r[0]); ok {
			names = append(names, r[0])
		}
		return len(names) < maxStrings
	})
	if f.l.tables[tModuleRef].rows > 0 {
		m["number_of_modulerefs"] = module.Of(len(names))
	}
	m["modulerefs"] = module.Rows(len(names), func(i int) module.Value {
		name, _ := f.text(names[i])
		return module.Str(name)
	})
}

func (f *file) fieldOffsets(m module.Fields) {
	var out []module.Value
	f.l.each(tFieldRVA, func(_ int64, r row) bool {
		if off := f.pe.Offset(r[0]); off >= 0 {
			out = append(out, module.Of(off))
		}
		return len(out) < maxStrings
	})
	if f.l.tables[tFieldRVA].rows > 0 {
		m["field_offsets"], m["number_of_field_offsets"] = module.List(out), module.Of(len(out))
	}
}

// resources are those that lie in this file.
func (f *file) resources(m module.Fields) {
	h := f.v.Full(f.cli, cliSize)
	if h == nil || f.l.tables[tManifestResource].rows == 0 {
		return
	}
	base := f.pe.Offset(u32(h[24:]))
	type place struct{ off, n, name int64 }
	var list []place
	f.l.each(tManifestResource, func(_ int64, r row) bool {
		if r[3] != 0 || base < 0 {
			return true
		}
		n, ok := f.v.U32(base+r[0], binary.LittleEndian)
		if ok && int64(n) <= f.v.Size()-base-r[0] {
			list = append(list, place{base + r[0] + 4, int64(n), r[2]})
		}
		return len(list) < maxStrings
	})
	m["number_of_resources"] = module.Of(len(list))
	m["resources"] = module.Rows(len(list), func(i int) module.Value {
		v := module.Fields{"offset": module.Of(list[i].off), "length": module.Of(list[i].n)}
		name, ok := f.text(list[i].name)
		set(v, "name", name, ok)
		return module.Record(v)
	})
}
