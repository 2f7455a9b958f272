package pemod

import (
	"bytes"
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Module is the pe module.
func Module() *module.Module {
	consts := constants()
	return &module.Module{Name: "pe", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{"is_pe": module.Of(0)}
		for _, c := range consts {
			m[c.name] = module.Of(c.value)
		}
		f := open(v)
		if f == nil {
			return module.Record(m), (*state)(nil)
		}
		st := &state{file: f}
		f.headers(m)
		f.rich(m)
		st.imports = f.imports(f.dirs[1][0], false)
		st.delayed = f.delayedImports()
		describe(m, "", st.imports)
		describe(m, "delayed_", st.delayed)
		st.exports = f.exports(m)
		f.resources(m)
		f.debug(m)
		f.signatures(m)
		return module.Record(m), st
	}}
}

// state is what functions need.
type state struct {
	file             *file
	imports, delayed []library
	exports          []export
}

func (f *file) headers(m module.Fields) {
	m["is_pe"] = module.Of(1)
	c, o := f.coff, f.opt
	set := func(b []byte, width int, at int, names ...string) {
		for _, n := range names {
			if at+width <= len(b) {
				switch width {
				case 1:
					m[n] = module.Of(b[at])
				case 2:
					m[n] = module.Of(u16(b, at))
				case 4:
					m[n] = module.Of(u32(b, at))
				default:
					m[n] = module.Of(u64(b, at))
				}
			}
			at += width
		}
	}
	set(c, 2, 0, "machine", "number_of_sections")
	set(c, 4, 4, "timestamp", "pointer_to_symbol_table", "number_of_symbols")
	set(c, 2, 16, "size_of_optional_header", "characteristics")
	set(o, 2, 0, "opthdr_magic")
	set(o, 4, 4, "size_of_code", "size_of_initialized_data", "size_of_uninitialized_data", "entry_point_raw", "base_of_code")
	m["entry_point"] = module.Of(f.offset(u32(o, 16)))
	m["linker_version"] = module.Record(module.Fields{"major": module.Of(o[2]), "minor": module.Of(o[3])})
	pair := func(at int) module.Value {
		return module.Record(module.Fields{"major": module.Of(u16(o, at)), "minor": module.Of(u16(o, at+2))})
	}
	m["os_version"], m["image_version"], m["subsystem_version"] = pair(40), pair(44), pair(48)
	set(o, 4, 32, "section_alignment", "file_alignment")
	set(o, 4, 52, "win32_version_value", "size_of_image", "size_of_headers", "checksum")
	set(o, 2, 68, "subsystem", "dll_characteristics")
	sizes := []string{"size_of_stack_reserve", "size_of_stack_commit", "size_of_heap_reserve", "size_of_heap_commit"}
	if f.plus {
		set(o, 8, 24, "image_base")
		set(o, 8, 72, sizes...)
		set(o, 4, 104, "loader_flags", "number_of_rva_and_sizes")
	} else {
		set(o, 4, 24, "base_of_data", "image_base")
		set(o, 4, 72, sizes...)
		set(o, 4, 88, "loader_flags", "number_of_rva_and_sizes")
	}
	var dirs []module.Value
	for _, d := range f.dirs[:f.ndirs] {
		dirs = append(dirs, module.Record(module.Fields{"virtual_address": module.Of(d[0]), "size": module.Of(d[1])}))
	}
	m["data_directories"] = module.List(dirs)
	f.sectionValues(m)
}

func (f *file) sectionValues(m module.Fields) {
	var out []module.Value
	var end int64
	for _, s := range f.sections {
		out = append(out, module.Record(module.Fields{
			"name": module.Str(s.name), "full_name": module.Str(s.fullName), "characteristics": module.Of(s.characteristics),
			"virtual_address": module.Of(s.va), "virtual_size": module.Of(s.vsize), "raw_data_offset": module.Of(s.raw),
			"raw_data_size": module.Of(s.rawSize), "pointer_to_relocations": module.Of(s.relocs), "pointer_to_line_numbers": module.Of(s.lines),
			"number_of_relocations": module.Of(s.nRelocs), "number_of_line_numbers": module.Of(s.nLines),
		}))
		end = max(end, s.raw+s.rawSize)
	}
	m["sections"] = module.List(out)
	overlay := module.Fields{"offset": module.Of(0), "size": module.Of(0)}
	if end > 0 && end < f.v.Size() {
		overlay["offset"], overlay["size"] = module.Of(end), module.Of(f.v.Size()-end)
	}
	m["overlay"] = module.Record(overlay)
}

// rich reads the Rich header, which Microsoft's linker leaves before "PE".
func (f *file) rich(m module.Fields) {
	b := f.v.Bytes(0, min(f.header, 4096))
	at := bytes.LastIndex(b, []byte("Rich"))
	if at < 0 || at+8 > len(b) || at%4 != 0 {
		return
	}
	key := binary.LittleEndian.Uint32(b[at+4:])
	begin := -1
	for i := at - 4; i >= 0x40; i -= 4 {
		if binary.LittleEndian.Uint32(b[i:])^key == 0x536E6144 { // DanS
			begin = i
			break
		}
	}
	if begin < 0 {
		return
	}
	raw := b[begin:at]
	plain := make([]byte, len(raw))
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.LittleEndian.PutUint32(plain[i:], binary.LittleEndian.Uint32(raw[i:])^key)
	}
	versions := make([]byte, 0, len(plain)/4)
	for i := 16; i+8 <= len(plain); i += 8 {
		versions = append(versions, plain[i], plain[i+1])
	}
	m["rich_signature"] = module.Record(module.Fields{
		"offset": module.Of(begin), "length": module.Of(len(raw)), "key": module.Of(key),
		"raw_data": module.Str(string(raw)), "clear_data": module.Str(string(plain)), "version_data": module.Str(string(versions)),
	})
}

// richFunction counts entries by version (0) or tool (1), or by both.
func richFunction(field int) *module.Type {
	count := func(recv module.Value, want [2]int64) module.Value {
		plain := recv.Field("clear_data")
		if plain.K == module.Undef {
			return plain
		}
		var n int64
		b := []byte(plain.S)
		for i := 16; i+8 <= len(b); i += 8 {
			version, tool := u16(b, i), u16(b, i+2)
			if (want[0] < 0 || want[0] == version) && (want[1] < 0 || want[1] == tool) {
				n += u32(b, i+4)
			}
		}
		return module.Of(n)
	}
	return module.FuncOf(
		module.Function{Args: "i", Result: module.T(module.Int), Call: func(_ *module.Call, recv module.Value, a []module.Value) module.Value {
			want := [2]int64{-1, -1}
			want[field] = a[0].I
			return count(recv, want)
		}},
		module.Function{Args: "ii", Result: module.T(module.Int), Call: func(_ *module.Call, recv module.Value, a []module.Value) module.Value {
			return count(recv, [2]int64{a[field].I, a[1-field].I})
		}},
	)
}

// debug reads the path of the debug information.
func (f *file) debug(m module.Fields) {
	at, size := f.dirs[6][0], f.dirs[6][1]
	if at == 0 {
		return
	}
	for i := range min(size/28, 64) {
		d := f.at(at+28*i, 28)
		if d == nil {
			return
		}
		if u32(d, 12) != 2 {
			continue
		}
		raw, rva := u32(d, 24), u32(d, 20)
		off := raw
		if rva > 0 {
			off = f.offset(rva)
		}
		b := f.v.Bytes(off, 4)
		var head int64
		switch string(b) {
		case "RSDS":
			head = 24
		case "NB10":
			head = 16
		case "MTOC":
			head = 20
		default:
			continue
		}
		if path, _ := f.v.CString(off+head, 4096); path != "" {
			m["pdb_path"] = module.Str(path)
			return
		}
	}
}
