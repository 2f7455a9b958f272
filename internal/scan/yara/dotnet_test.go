package yara_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/dotnetmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/moduletest"
)

// assembly builds the parts of a .NET library.
type assembly struct {
	strings, blobs []byte
}

// s adds a name, and gives its index.
func (a *assembly) s(name string) uint16 {
	i := len(a.strings)
	a.strings = append(a.strings, name+"\x00"...)
	return uint16(i)
}

// b adds a blob, and gives its index.
func (a *assembly) b(blob string) uint16 {
	i := len(a.blobs)
	a.blobs = append(append(a.blobs, byte(len(blob))), blob...)
	return uint16(i)
}

// metadata makes the tables and heaps of an assembly with a bit of everything.
func (a *assembly) metadata() []byte {
	le := binary.LittleEndian
	a.strings, a.blobs = []byte{0}, []byte{0}
	z := uint16(0)
	tables := map[int][][]any{
		0x00: {{z, a.s("tool.dll"), uint16(1), z, z}},
		0x01: { // TypeRef: scope, name, namespace
			{uint16(1<<2 | 2), a.s("Object"), a.s("System")},
			{uint16(1<<2 | 2), a.s("GuidAttribute"), a.s("System.Runtime.InteropServices")},
			{uint16(1<<2 | 2), a.s("List`1"), a.s("System.Collections.Generic")},
			{uint16(1<<2 | 2), a.s("IDisposable"), a.s("System")},
		},
		0x02: { // TypeDef: flags, name, namespace, extends, field, method
			{uint32(0), a.s("<Module>"), z, z, uint16(1), uint16(1)},
			{uint32(0x101), a.s("Worker`1"), a.s("Acme.Tools"), uint16(1<<2 | 1), uint16(1), uint16(1)},
			{uint32(0xA3), a.s("Inner"), z, z, uint16(1), uint16(4)},
		},
		0x06: { // MethodDef: rva, impl flags, flags, name, signature, params
			{uint32(0), z, uint16(0x1806), a.s(".ctor"), a.b("\x20\x00\x01"), uint16(1)},
			// string Run<U>(int, U, ref T, byte[], List<T>)
			{uint32(0), z, uint16(0x0056), a.s("Run"), a.b("\x10\x01\x05\x0e\x08\x1e\x00\x10\x13\x00\x1d\x05\x15\x12\x0d\x01\x13\x00"), uint16(1)},
			{uint32(0), z, uint16(0x0024), a.s("Shape"), a.b("\x00\x02\x14\x0c\x02\x02\x03\x04\x01\x02\x0f\x18\x1b\x00\x01\x01\x02"), uint16(5)},
			{uint32(0), z, uint16(0x05C6), a.s("Call"), a.b("\x20\x00\x12\x08"), uint16(5)},
			{uint32(0), z, uint16(0x0001), a.s("Broken"), a.b("\x20\x00\x3f"), uint16(5)},
		},
		0x08: { // Param
			{z, uint16(1), a.s("count")}, {z, uint16(2), a.s("item")}, {z, uint16(3), a.s("out")}, {z, uint16(4), a.s("data")},
		},
		0x09: {{uint16(2), uint16(4<<2 | 1)}},
		0x0A: {{uint16(2<<3 | 1), a.s(".ctor"), a.b("\x20\x01\x01\x0e")}},
		0x0B: {{uint16(0x0E), uint16(1<<2 | 1), a.b("a\x00b\x00")}, {uint16(0x08), uint16(2<<2 | 1), a.b("\x01\x00\x00\x00")}},
		0x0C: {{uint16(1<<5 | 14), uint16(1<<3 | 3), a.b("\x01\x00\x2499c08ffd-f378-a891-10ab-c02fe11be6ef\x00\x00")}},
		0x1A: {{a.s("kernel32.dll")}},
		0x1D: {{uint32(0x2010), uint16(1)}},
		0x20: {{uint32(0x8004), uint16(1), uint16(2), uint16(3), uint16(4), uint32(0), z, a.s("tool"), a.s("de")}},
		0x23: {{uint16(4), uint16(0), uint16(0), uint16(0), uint32(0), a.b("\xb7\x7a\x5c\x56\x19\x34\xe0\x89"), a.s("mscorlib"), z, z}},
		0x28: {{uint32(0), uint32(1), a.s("data.bin"), z}},
		0x29: {{uint16(3), uint16(2)}},
		0x2A: {{z, z, uint16(2 << 1), a.s("T")}, {z, z, uint16(2<<1 | 1), a.s("U")}},
	}
	var valid uint64
	var rows, body []byte
	for n := range 64 {
		if len(tables[n]) == 0 {
			continue
		}
		valid |= 1 << n
		rows = le.AppendUint32(rows, uint32(len(tables[n])))
		for _, r := range tables[n] {
			body = append(body, packed(le, r...)...)
		}
	}
	tilde := packed(le, uint32(0), uint8(2), uint8(0), uint8(0), uint8(1), valid, uint64(0), rows, body)
	users := "\x00\x05h\x00i\x00\x00\x00\x00"
	guids := "\xfd\x8f\xc0\x99\x78\xf3\x91\xa8\x10\xab\xc0\x2f\xe1\x1b\xe6\xef"
	root := packed(le, "BSJB", uint16(1), uint16(1), uint32(0), uint32(12), "v4.0.30319\x00\x00", uint16(0), uint16(5))
	off := uint32(len(root) + 12 + 20 + 12 + 16 + 16)
	var heads, heaps []byte
	for _, h := range []struct {
		name string
		data []byte
	}{{"#~\x00\x00", tilde}, {"#Strings\x00\x00\x00\x00", a.strings}, {"#US\x00", []byte(users)}, {"#GUID\x00\x00\x00", []byte(guids)}, {"#Blob\x00\x00\x00", a.blobs}} {
		heads = append(heads, packed(le, off+uint32(len(heaps)), uint32(len(h.data)), h.name)...)
		heaps = append(heaps, h.data...)
	}
	return append(append(root, heads...), heaps...)
}

// dotnetFile puts an assembly into a library of 32 bits with one section.
func dotnetFile() []byte {
	le := binary.LittleEndian
	meta := (&assembly{}).metadata()
	cli := packed(le, uint32(72), uint16(2), uint16(5), uint32(0x2100), uint32(len(meta)), uint32(1), uint32(0), uint32(0x2060), uint32(12), make([]byte, 40))
	section := make([]byte, 0x100+len(meta)+64)
	copy(section, cli)
	copy(section[0x60:], "\x04\x00\x00\x00DATA")
	copy(section[0x100:], meta)
	dirs := make([]uint32, 32)
	dirs[28], dirs[29] = 0x2000, 72
	opt := packed(le, uint16(0x10b), make([]byte, 30), uint32(0x1000), uint32(0x200), make([]byte, 52), uint32(16), dirs)
	head := packed(le, "MZ", make([]byte, 58), uint32(64), "PE\x00\x00", uint16(0x14c), uint16(1), uint32(0), uint32(0), uint32(0), uint16(len(opt)), uint16(0x2102), opt,
		".text\x00\x00\x00", uint32(len(section)), uint32(0x2000), uint32(len(section)), uint32(0x200), make([]byte, 12), uint32(0x60000020))
	return append(append(head, make([]byte, 0x200-len(head))...), section...)
}

const dotnetConditions = `
	dotnet.is_dotnet == 1 and dotnet.version == "v4.0.30319" and dotnet.module_name == "tool.dll"
	dotnet.number_of_streams == 5 and dotnet.streams[1].name == "#Strings" and uint32be(dotnet.streams[4].offset) & 0xFF000000 == 0
	dotnet.number_of_guids == 1 and dotnet.guids[0] == "99c08ffd-f378-a891-10ab-c02fe11be6ef"
	dotnet.number_of_user_strings == 1 and dotnet.user_strings[0] == "h\x00i\x00"
	dotnet.assembly.name == "tool" and dotnet.assembly.culture == "de"
	dotnet.assembly.version.major == 1 and dotnet.assembly.version.minor == 2 and dotnet.assembly.version.build_number == 3 and dotnet.assembly.version.revision_number == 4
	dotnet.number_of_assembly_refs == 1 and dotnet.assembly_refs[0].name == "mscorlib" and dotnet.assembly_refs[0].version.major == 4
	dotnet.number_of_modulerefs == 1 and dotnet.modulerefs[0] == "kernel32.dll"
	dotnet.typelib == "99c08ffd-f378-a891-10ab-c02fe11be6ef"
	dotnet.number_of_field_offsets == 1 and dotnet.field_offsets[0] == 0x210
	dotnet.number_of_resources == 1 and dotnet.resources[0].name == "data.bin" and dotnet.resources[0].length == 4 and uint32be(dotnet.resources[0].offset) == 0x44415441
`

// What libyara has since 4.3; before, it left out the last byte of blobs.
const classConditions = `
	dotnet.assembly_refs[0].public_key_or_token == "\xb7\x7a\x5c\x56\x19\x34\xe0\x89"
	dotnet.number_of_constants == 1 and dotnet.constants[0] == "a\x00b\x00"
	dotnet.number_of_classes == 2
	dotnet.classes[0].name == "Worker" and dotnet.classes[0].namespace == "Acme.Tools" and dotnet.classes[0].fullname == "Acme.Tools.Worker"
	dotnet.classes[0].visibility == "public" and dotnet.classes[0].type == "class" and dotnet.classes[0].sealed == 1 and dotnet.classes[0].abstract == 0
	dotnet.classes[0].number_of_generic_parameters == 1 and dotnet.classes[0].generic_parameters[0] == "T"
	dotnet.classes[0].number_of_base_types == 2 and dotnet.classes[0].base_types[0] == "System.Object" and dotnet.classes[0].base_types[1] == "System.IDisposable"
	dotnet.classes[1].fullname == "Acme.Tools.Worker.Inner" and dotnet.classes[1].namespace == "Acme.Tools.Worker" and dotnet.classes[1].type == "interface"
	dotnet.classes[1].visibility == "private" and dotnet.classes[1].abstract == 1 and dotnet.classes[1].number_of_base_types == 0
	dotnet.classes[0].number_of_methods == 3 and dotnet.classes[0].methods[0].name == ".ctor" and not defined dotnet.classes[0].methods[0].return_type
	dotnet.classes[0].methods[0].number_of_parameters == 0 and dotnet.classes[0].methods[0].static == 0
	dotnet.classes[0].methods[1].name == "Run" and dotnet.classes[0].methods[1].return_type == "string" and dotnet.classes[0].methods[1].number_of_parameters == 5
	dotnet.classes[0].methods[1].visibility == "public" and dotnet.classes[0].methods[1].static == 1 and dotnet.classes[0].methods[1].virtual == 1
	dotnet.classes[0].methods[1].number_of_generic_parameters == 1 and dotnet.classes[0].methods[1].generic_parameters[0] == "U"
	dotnet.classes[0].methods[1].parameters[0].name == "count" and dotnet.classes[0].methods[1].parameters[0].type == "int"
	dotnet.classes[0].methods[1].parameters[1].name == "item" and dotnet.classes[0].methods[1].parameters[1].type == "U"
	dotnet.classes[0].methods[1].parameters[2].type == "ref T" and dotnet.classes[0].methods[1].parameters[3].type == "byte[]"
	dotnet.classes[0].methods[1].parameters[4].type == "System.Collections.Generic.List<T>" and dotnet.classes[0].methods[1].parameters[4].name == "P_4"
	dotnet.classes[0].methods[2].return_type == "float[1...4,4]" and dotnet.classes[0].methods[2].final == 1 and dotnet.classes[0].methods[2].visibility == "protected"
	dotnet.classes[0].methods[2].parameters[0].type == "Ptr<IntPtr>" and dotnet.classes[0].methods[2].parameters[1].type == "FnPtr<void(bool)>"
	dotnet.classes[1].number_of_methods == 1 and dotnet.classes[1].methods[0].return_type == "Acme.Tools.Worker" and dotnet.classes[1].methods[0].abstract == 1
	for any c in dotnet.classes : (for any m in c.methods : (m.name == "Run" and for any p in m.parameters : (p.type == "U")))
	not defined dotnet.classes[2].name
`

func TestDotnet(t *testing.T) {
	file := dotnetFile()
	holds(t, "dotnet", dotnetConditions, file, true)
	holds(t, "dotnet", classConditions, file, false)
	// A program of 32 bits that does not jump into the run time is none.
	exe := append([]byte(nil), file...)
	exe[64+22] &^= 0x20
	exe[64+23] = 0x01
	holds(t, "dotnet", "dotnet.is_dotnet == 0 and not defined dotnet.version", exe, false)
}

func FuzzDotnet(f *testing.F) {
	file := dotnetFile()
	if strings.Count(string(file), "BSJB") != 1 {
		f.Fatal("the seed has no metadata")
	}
	moduletest.Fuzz(f, dotnetmod.Module(), file)
}
