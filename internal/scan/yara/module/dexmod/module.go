package dexmod

import (
	"encoding/binary"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

type sign struct {
	name  string
	value int64
}

func constants() []sign {
	out := []sign{
		{"ENDIAN_CONSTANT", 0x12345678},
		{"REVERSE_ENDIAN_CONSTANT", 0x78563412},
		{"NO_INDEX", 0xffffffff},
		{"ACC_BRIDGE", 0x40},
		{"ACC_VARARGS", 0x80},
		{"ACC_CONSTRUCTOR", 0x10000},
		{"ACC_DECLARED_SYNCHRONIZED", 0x20000},
	}
	for i, n := range strings.Fields("PUBLIC PRIVATE PROTECTED STATIC FINAL SYNCHRONIZED VOLATILE TRANSIENT NATIVE INTERFACE ABSTRACT STRICT SYNTHETIC ANNOTATION ENUM") {
		out = append(out, sign{"ACC_" + n, 1 << i})
	}
	kinds := func(first int64, names string) {
		for n := range strings.FieldsSeq(names) {
			out = append(out, sign{"TYPE_" + n, first})
			first++
		}
	}
	kinds(0, "HEADER_ITEM STRING_ID_ITEM TYPE_ID_ITEM PROTO_ID_ITEM FIELD_ID_ITEM METHOD_ID_ITEM CLASS_DEF_ITEM CALL_SITE_ID_ITEM METHOD_HANDLE_ITEM")
	kinds(0x1000, "MAP_LIST TYPE_LIST ANNOTATION_SET_REF_LIST ANNOTATION_SET_ITEM")
	kinds(0x2000, "CLASS_DATA_ITEM CODE_ITEM STRING_DATA_ITEM DEBUG_INFO_ITEM ANNOTATION_ITEM ENCODED_ARRAY_ITEM ANNOTATIONS_DIRECTORY_ITEM")
	return out
}

func ints(names string) map[string]*module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, module.Int, strings.Fields(names)...)
	return m
}

func rows(numbers, texts string) *module.Type {
	m := ints(numbers)
	module.Fill(m, module.String, strings.Fields(texts)...)
	return module.ArrayOf(module.StructOf(m))
}

const (
	headerNumbers = `file_size header_size endian_tag link_size link_offset map_offset string_ids_size string_ids_offset type_ids_size type_ids_offset
		proto_ids_size proto_ids_offset field_ids_size field_ids_offset method_ids_size method_ids_offset class_defs_size class_defs_offset
		data_size data_offset` // from byte 32 on
	classNumbers = "class_idx access_flags super_class_idx interfaces_offset source_file_idx annotations_offset class_data_offset static_values_offset"
	codeNumbers  = "registers_size ins_size outs_size tries_size debug_info_off insns_size padding"
)

func typeOf() *module.Type {
	m := ints("number_of_fields number_of_methods")
	for _, c := range constants() {
		m[c.name] = module.T(module.Int)
	}
	for c := '5'; c <= '9'; c++ {
		m["DEX_FILE_MAGIC_03"+string(c)] = module.T(module.String)
	}
	header := ints("checksum " + headerNumbers)
	module.Fill(header, module.String, "magic", "signature")
	m["header"] = module.StructOf(header)
	m["string_ids"] = rows("offset size", "value")
	m["type_ids"] = rows("descriptor_idx", "")
	m["proto_ids"] = rows("shorty_idx return_type_idx parameters_offset", "")
	m["field_ids"] = rows("class_idx type_idx name_idx", "")
	m["method_ids"] = rows("class_idx proto_idx name_idx", "")
	m["class_defs"] = rows(classNumbers, "")
	m["class_data_item"] = rows("static_fields_size instance_fields_size direct_methods_size virtual_methods_size", "")
	list := ints("size")
	list["map_item"] = rows("type unused size offset", "")
	m["map_list"] = module.StructOf(list)
	m["field"] = rows("field_idx_diff access_flags", "class_name name proto")
	method := rows("direct virtual method_idx_diff access_flags code_off", "class_name name proto")
	code := ints(codeNumbers)
	code["insns"] = module.T(module.String)
	code["tries"] = module.StructOf(map[string]*module.Type{})
	code["handlers"] = module.ArrayOf(module.StructOf(map[string]*module.Type{}))
	method.Elem.Fields["code_item"] = module.StructOf(code)
	m["method"] = method
	functions(m)
	return module.StructOf(m)
}

// Module is the dex module.
func Module() *module.Module {
	consts := constants()
	return &module.Module{Name: "dex", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{}
		for _, c := range consts {
			m[c.name] = module.Of(c.value)
		}
		for c := '5'; c <= '9'; c++ {
			m["DEX_FILE_MAGIC_03"+string(c)] = module.Str("dex\n03" + string(c))
		}
		f := open(v)
		if f == nil {
			return module.Record(m), (*file)(nil)
		}
		f.header(m)
		f.tables(m)
		return module.Record(m), f
	}}
}

func upToZero(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func (f *file) header(m module.Fields) {
	h := module.Fields{"magic": module.Str(upToZero(f.h[:8])), "checksum": module.Of(f.u32(8)), "signature": module.Str(upToZero(f.h[12:32]))}
	for i, n := range strings.Fields(headerNumbers) {
		h[n] = module.Of(f.u32(32 + 4*i))
	}
	m["header"] = module.Record(h)
}

// numbers makes the rows of a table of numbers; widths has a digit, 2 or 4, for
// each name.
func (f *file) numbers(t *table, names, widths string) module.Value {
	words := strings.Fields(names)
	return module.Rows(int(min(t.n, maxIndex)), func(i int) module.Value {
		b := f.row(t, int64(i))
		if b == nil {
			return module.Value{}
		}
		out, at := module.Fields{}, 0
		for k, n := range words {
			if widths[k] == '2' {
				out[n] = module.Of(binary.LittleEndian.Uint16(b[at:]))
				at += 2
			} else {
				out[n] = module.Of(binary.LittleEndian.Uint32(b[at:]))
				at += 4
			}
		}
		return module.Record(out)
	})
}

func (f *file) tables(m module.Fields) {
	m["string_ids"] = module.Rows(int(min(f.strings.n, maxIndex)), func(i int) module.Value {
		off, units, s, ok := f.text(int64(i))
		if !ok {
			return module.Record(module.Fields{})
		}
		return module.Record(module.Fields{"offset": module.Of(off), "size": module.Of(units), "value": module.Str(s)})
	})
	m["type_ids"] = f.numbers(&f.types, "descriptor_idx", "4")
	m["proto_ids"] = f.numbers(&f.protos, "shorty_idx return_type_idx parameters_offset", "444")
	m["field_ids"] = f.numbers(&f.fieldID, "class_idx type_idx name_idx", "224")
	m["method_ids"] = f.numbers(&f.methID, "class_idx proto_idx name_idx", "224")
	m["class_defs"] = f.numbers(&f.classes, classNumbers, "44444444")
	m["class_data_item"] = module.Rows(len(f.data), func(i int) module.Value {
		d := f.data[i]
		return module.Record(module.Fields{
			"static_fields_size": module.Of(d[0]), "instance_fields_size": module.Of(d[1]),
			"direct_methods_size": module.Of(d[2]), "virtual_methods_size": module.Of(d[3]),
		})
	})
	f.mapList(m)
	if f.read < haveClasses {
		return
	}
	m["number_of_fields"], m["number_of_methods"] = module.Of(len(f.fields)), module.Of(len(f.methods))
	m["field"] = module.Rows(len(f.fields), func(i int) module.Value { return f.fieldValue(&f.fields[i]) })
	m["method"] = module.Rows(len(f.methods), func(i int) module.Value { return f.methodValue(&f.methods[i]) })
}

func (f *file) mapList(m module.Fields) {
	if f.read < haveMethods || f.mapAt() == noOffset {
		return
	}
	n, ok := f.v.U32(f.mapAt(), binary.LittleEndian)
	if !ok {
		return
	}
	list := module.Fields{"size": module.Of(n)}
	if f.read >= haveMap {
		list["map_item"] = f.numbers(&table{n: int64(n), off: f.mapAt() + 4, step: 12}, "type unused size offset", "2244")
	}
	m["map_list"] = module.Record(list)
}

// named sets a field where its text is known.
func named(m module.Fields, name, s string, ok bool) {
	if ok {
		m[name] = module.Str(s)
	}
}

func (f *file) fieldValue(x *member) module.Value {
	m := module.Fields{"field_idx_diff": module.Of(x.diff), "access_flags": module.Of(x.access)}
	i := int64(x.index)
	class, ok := f.typeName(f.index(&f.fieldID, i, 0, 2))
	named(m, "class_name", class, ok)
	proto, ok := f.typeName(f.index(&f.fieldID, i, 2, 2))
	named(m, "proto", proto, ok)
	_, _, name, ok := f.text(f.index(&f.fieldID, i, 4, 4))
	named(m, "name", name, ok)
	return module.Record(m)
}

// methodName gives the class and the name of a method.
func (f *file) methodName(x *member) (class string, hasClass bool, name string, hasName bool) {
	class, hasClass = f.typeName(f.index(&f.methID, int64(x.index), 0, 2))
	_, _, name, hasName = f.text(f.index(&f.methID, int64(x.index), 4, 4))
	return class, hasClass, name, hasName
}

func (f *file) methodValue(x *member) module.Value {
	m := module.Fields{
		"method_idx_diff": module.Of(x.diff), "access_flags": module.Of(x.access), "code_off": module.Of(x.code),
		"direct": module.Yes(x.direct), "virtual": module.Yes(!x.direct),
	}
	class, hasClass, name, hasName := f.methodName(x)
	named(m, "class_name", class, hasClass)
	named(m, "name", name, hasName)
	shorty := f.index(&f.protos, f.index(&f.methID, int64(x.index), 2, 2), 0, 4)
	_, _, proto, ok := f.text(shorty)
	named(m, "proto", proto, ok)
	if x.code != noOffset {
		m["code_item"] = f.code(int64(x.code))
	}
	return module.Record(m)
}

// code reads the header of a method's code, and its instructions.
func (f *file) code(off int64) module.Value {
	b := f.v.Full(off, 16)
	if b == nil {
		return module.Record(module.Fields{})
	}
	m := module.Fields{}
	for i, n := range strings.Fields(codeNumbers)[:4] {
		m[n] = module.Of(binary.LittleEndian.Uint16(b[2*i:]))
	}
	m["debug_info_off"] = module.Of(binary.LittleEndian.Uint32(b[8:]))
	n := int64(binary.LittleEndian.Uint32(b[12:]))
	m["insns_size"] = module.Of(n)
	if 2*n <= maxCode {
		if text := f.v.Full(off+16, 2*n); text != nil {
			m["insns"] = module.Str(string(text))
		}
	}
	return module.Record(m)
}
