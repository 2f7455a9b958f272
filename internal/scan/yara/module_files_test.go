package yara_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// holds checks that each condition, one a line, is true of the file. Where
// libyara's program is here and knows the module, it must say the same.
func holds(t *testing.T, module, conditions string, file []byte, libyara bool) {
	t.Helper()
	var src strings.Builder
	fmt.Fprintf(&src, "import %q\n", module)
	want := map[string]string{}
	for line := range strings.Lines(conditions) {
		if line = strings.TrimSpace(line); line != "" {
			name := fmt.Sprintf("r%d", len(want))
			want[name] = line
			fmt.Fprintf(&src, "rule %s { condition: %s }\n", name, line)
		}
	}
	rules, problems := yara.Compile([]yara.Source{{Name: "t", Text: []byte(src.String())}}, yara.Options{})
	if yara.Failed(problems) {
		t.Fatal(problems)
	}
	res, err := rules.Scan(t.Context(), bytes.NewReader(file), int64(len(file)), yara.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, m := range res.Matches {
		got[m.Name] = true
	}
	for name, line := range want {
		if !got[name] {
			t.Errorf("not true of the file: %s", line)
		}
	}
	if libyara {
		asLibyara(t, src.String(), file, want)
	}
}

// asLibyara runs Debian's yara over the same rules and file.
func asLibyara(t *testing.T, src string, file []byte, want map[string]string) {
	t.Helper()
	prog, err := exec.LookPath("yara")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("yara is not installed; .ci/setup has it")
		}
		t.Log("yara is not installed: not compared with it")
		return
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"rules": []byte(src), "file": file} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), prog, "-w", filepath.Join(dir, "rules"), filepath.Join(dir, "file")).CombinedOutput()
	if err != nil {
		t.Fatalf("yara: %v: %s", err, out)
	}
	for name, line := range want {
		if !strings.Contains(string(out), name+" ") {
			t.Errorf("libyara says it is not true of the file: %s", line)
		}
	}
}

// packed writes numbers in an order, and texts as they are.
func packed(o binary.ByteOrder, parts ...any) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case []byte:
			b.Write(p)
		default:
			if err := binary.Write(&b, o, p); err != nil {
				panic(err)
			}
		}
	}
	return b.Bytes()
}

func name16(s string) []byte { return append([]byte(s), make([]byte, 16-len(s))...) }

// machoFile makes a program of two segments, one with a section.
func machoFile(o binary.ByteOrder, wide bool) []byte {
	magic, cpu := uint32(0xfeedface), uint32(7)
	var seg0, seg1, entry []byte
	if wide {
		magic, cpu = 0xfeedfacf, 0x01000007
		seg0 = packed(o, uint32(0x19), uint32(72), name16("__PAGEZERO"), uint64(0), uint64(0x1000), uint64(0), uint64(0), uint32(0), uint32(0), uint32(0), uint32(0))
		seg1 = packed(o, uint32(0x19), uint32(152), name16("__TEXT"), uint64(0x1000), uint64(0x2000), uint64(0), uint64(0x2000), uint32(7), uint32(5), uint32(1), uint32(4),
			name16("__text"), name16("__TEXT"), uint64(0x1f10), uint64(32), uint32(0xf10), uint32(4), uint32(9), uint32(8), uint32(0x80000400), uint32(1), uint32(2), uint32(3))
		entry = packed(o, uint32(0x80000028), uint32(24), uint64(0xf10), uint64(0x4000))
	} else {
		seg0 = packed(o, uint32(1), uint32(56), name16("__PAGEZERO"), uint32(0), uint32(0x1000), uint32(0), uint32(0), uint32(0), uint32(0), uint32(0), uint32(0))
		seg1 = packed(o, uint32(1), uint32(124), name16("__TEXT"), uint32(0x1000), uint32(0x2000), uint32(0), uint32(0x2000), uint32(7), uint32(5), uint32(1), uint32(4),
			name16("__text"), name16("__TEXT"), uint32(0x1f10), uint32(32), uint32(0xf10), uint32(4), uint32(9), uint32(8), uint32(0x80000400), uint32(1), uint32(2))
		state := make([]uint32, 16)
		state[10] = 0x1f10
		entry = packed(o, uint32(5), uint32(80), uint32(1), uint32(16), state)
	}
	cmds := bytes.Join([][]byte{seg0, seg1, entry}, nil)
	head := packed(o, magic, cpu, uint32(3), uint32(2), uint32(3), uint32(len(cmds)), uint32(0x00200085))
	if wide {
		head = packed(o, head, uint32(0))
	}
	return append(append(head, cmds...), make([]byte, 0x200)...)
}

const machoConditions = `
	macho.cpusubtype == macho.CPU_SUBTYPE_386 and macho.filetype == macho.MH_EXECUTE and macho.ncmds == 3
	macho.flags & macho.MH_PIE and macho.flags & macho.MH_DYLDLINK and not macho.flags & macho.MH_ROOT_SAFE
	macho.number_of_segments == 2 and macho.segments[0].segname == "__PAGEZERO" and macho.segments[0].nsects == 0
	macho.segments[1].vmaddr == 0x1000 and macho.segments[1].vmsize == 0x2000 and macho.segments[1].fsize == 0x2000 and macho.segments[1].fileoff == 0
	macho.segments[1].maxprot == 7 and macho.segments[1].initprot == 5 and macho.segments[1].flags == macho.SG_NORELOC
	for any s in macho.segments : (for any x in s.sections : (x.sectname == "__text" and x.segname == "__TEXT" and x.addr == 0x1f10 and x.size == 32))
	macho.segments[1].sections[0].offset == 0xf10 and macho.segments[1].sections[0].align == 4 and macho.segments[1].sections[0].reloff == 9
	macho.segments[1].sections[0].flags & macho.SECTION_ATTRIBUTES == macho.S_ATTR_PURE_INSTRUCTIONS | macho.S_ATTR_SOME_INSTRUCTIONS
	macho.segments[1].sections[0].flags & macho.SECTION_TYPE == macho.S_REGULAR and macho.segments[1].sections[0].nreloc == 8
	macho.segments[1].sections[0].reserved1 == 1 and macho.segments[1].sections[0].reserved2 == 2
	not defined macho.segments[2].segname and not defined macho.fat_magic and not defined macho.segments[1].sections[1].size
	not defined macho.file_index_for_arch(7)
`

func TestMacho(t *testing.T) {
	for _, c := range []struct {
		name, more string
		file       []byte
		libyara    bool
	}{
		{"64 bits", `
			macho.magic == macho.MH_MAGIC_64 and macho.cputype == macho.CPU_TYPE_X86_64 and macho.reserved == 0 and macho.sizeofcmds == 248
			macho.entry_point == 0xf10 and macho.stack_size == 0x4000 and macho.segments[1].sections[0].reserved3 == 3`, machoFile(binary.LittleEndian, true), true},
		{"64 bits, the other order", `
			macho.magic == macho.MH_CIGAM_64 and macho.cputype == macho.CPU_TYPE_X86_64
			macho.entry_point == 0xf10 and macho.stack_size == 0x4000`, machoFile(binary.BigEndian, true), true},
		{"32 bits", `
			macho.magic == macho.MH_MAGIC and macho.cputype == macho.CPU_TYPE_X86 and not defined macho.reserved
			macho.entry_point == 0xf10 and not defined macho.stack_size`, machoFile(binary.LittleEndian, false), true},
		// libyara reads the size of this command in the wrong order.
		{"32 bits, the other order", `
			macho.magic == macho.MH_CIGAM and macho.entry_point == 0xf10`, machoFile(binary.BigEndian, false), false},
	} {
		t.Run(c.name, func(t *testing.T) { holds(t, "macho", machoConditions+c.more, c.file, c.libyara) })
	}
}

func TestMachoFat(t *testing.T) {
	narrow, wide := machoFile(binary.LittleEndian, false), machoFile(binary.LittleEndian, true)
	end := uint32(48 + len(narrow))
	be := binary.BigEndian
	fat := packed(be, uint32(0xcafebabe), uint32(2), uint32(7), uint32(3), uint32(48), uint32(len(narrow)), uint32(12),
		uint32(0x01000007), uint32(3), end, uint32(len(wide)), uint32(14), narrow, wide)
	holds(t, "macho", `
		macho.fat_magic == macho.FAT_MAGIC and macho.nfat_arch == 2 and not defined macho.magic
		macho.fat_arch[0].cputype == 7 and macho.fat_arch[1].align == 14 and macho.fat_arch[1].cpusubtype == 3 and macho.fat_arch[0].offset == 48
		macho.file[0].magic == macho.MH_MAGIC and macho.file[1].magic == macho.MH_MAGIC_64 and macho.file[1].segments[1].segname == "__TEXT"
		macho.file[1].stack_size == 0x4000 and macho.file[0].number_of_segments == 2
		macho.file_index_for_arch(macho.CPU_TYPE_X86_64) == 1 and macho.file_index_for_arch(7, 3) == 0
		macho.entry_point_for_arch(macho.CPU_TYPE_X86) == 48 + 0xf10 and not defined macho.file_index_for_arch(7, 4)
		macho.entry_point_for_arch(macho.CPU_TYPE_X86_64, 3) == `+strconv.FormatUint(uint64(end+0xf10), 10)+`
		not defined macho.entry_point_for_arch(99)`, fat, true)
	// A class file of Java has the same first bytes.
	java := packed(be, uint32(0xcafebabe), uint32(52), "some class")
	holds(t, "macho", "macho.nfat_arch == 52 and not defined macho.file[0].magic and not defined macho.fat_arch[0].size", java, true)
}

// dexFile makes a program of one class with a field and two methods.
func dexFile() []byte {
	texts := []string{"<init>", "I", "LMain;", "V", "count", "run", strings.Repeat("long", 50)}
	le := binary.LittleEndian
	at := uint32(112)
	ids := at
	types, protos := ids+4*uint32(len(texts)), ids+4*uint32(len(texts))+12
	fields, methods, classes := protos+12, protos+20, protos+36
	data := classes + 32
	var strs, table []byte
	for _, s := range texts {
		table = le.AppendUint32(table, data+uint32(len(strs)))
		strs = append(binary.AppendUvarint(strs, uint64(len(s))), s+"\x00"...)
	}
	code := data + uint32(len(strs))
	insns := packed(le, uint16(2), uint16(1), uint16(0), uint16(0), uint32(77), uint32(2), uint16(0x000e), uint16(0x1234))
	classData := code + uint32(len(insns))
	var cd []byte
	for _, v := range []uint64{1, 0, 1, 1, 0, 0x9, 0, 0x10001, uint64(code), 1, 0x1, 0} {
		cd = binary.AppendUvarint(cd, v)
	}
	mapAt := classData + uint32(len(cd))
	head := packed(le, "dex\n037\x00", uint32(0xCAFE), "0123456789abcdefghij", uint32(0), uint32(112), uint32(0x12345678), uint32(0), uint32(0), mapAt,
		uint32(len(texts)), ids, uint32(3), types, uint32(1), protos, uint32(1), fields, uint32(2), methods, uint32(1), classes, uint32(8), data)
	file := packed(le, head, table,
		uint32(1), uint32(2), uint32(3), // types: I, LMain;, V
		uint32(3), uint32(2), uint32(0), // proto: V
		uint16(1), uint16(0), uint32(4), // field LMain;.count : I
		uint16(1), uint16(0), uint32(0), // method LMain;.<init>
		uint16(1), uint16(0), uint32(5), // method LMain;.run
		uint32(1), uint32(1), uint32(0xffffffff), uint32(0), uint32(0xffffffff), uint32(0), classData, uint32(0),
		strs, insns, cd, uint32(1), uint16(0x2001), uint16(0), uint32(1), code)
	file = append(file, make([]byte, 32)...)
	le.PutUint32(file[32:], uint32(len(file)))
	return file
}

func TestDex(t *testing.T) {
	file := dexFile()
	holds(t, "dex", `
		dex.header.magic == dex.DEX_FILE_MAGIC_037 and dex.header.checksum == 0xCAFE and dex.header.signature == "0123456789abcdefghij"
		dex.header.file_size == filesize and dex.header.header_size == 112 and dex.header.endian_tag == dex.ENDIAN_CONSTANT
		dex.header.string_ids_size == 7 and dex.header.method_ids_size == 2 and dex.header.class_defs_size == 1 and dex.header.data_size == 8
		dex.string_ids[4].value == "count" and dex.string_ids[4].size == 5 and dex.type_ids[1].descriptor_idx == 2
		dex.proto_ids[0].shorty_idx == 3 and dex.proto_ids[0].return_type_idx == 2 and dex.field_ids[0].name_idx == 4 and dex.method_ids[1].name_idx == 5
		dex.class_defs[0].access_flags & dex.ACC_PUBLIC and dex.class_defs[0].super_class_idx == dex.NO_INDEX
		dex.class_data_item[0].static_fields_size == 1 and dex.class_data_item[0].virtual_methods_size == 1
		dex.map_list.size == 1 and dex.map_list.map_item[0].type == dex.TYPE_CODE_ITEM and dex.map_list.map_item[0].size == 1
		dex.number_of_fields == 1 and dex.field[0].name == "count" and dex.field[0].class_name == "LMain;" and dex.field[0].proto == "I"
		dex.field[0].access_flags == dex.ACC_PUBLIC | dex.ACC_STATIC
		dex.number_of_methods == 2 and dex.method[0].name == "<init>" and dex.method[0].direct == 1 and dex.method[0].virtual == 0
		dex.method[0].access_flags & dex.ACC_CONSTRUCTOR and dex.method[1].virtual == 1 and dex.method[1].proto == "V" and dex.method[1].method_idx_diff == 1
		dex.method[0].code_item.registers_size == 2 and dex.method[0].code_item.ins_size == 1 and dex.method[0].code_item.debug_info_off == 77
		dex.method[0].code_item.insns == "\x0e\x00\x34\x12" and dex.method[0].code_item.insns_size == 2 and not defined dex.method[1].code_item.ins_size
		for any m in dex.method : (m.name == "run" and m.class_name == "LMain;")
		dex.has_method("run") and dex.has_method("LMain;", "run") and dex.has_method(/^ru/) and dex.has_method(/Main/, /init/)
		dex.has_class("LMain;") and dex.has_class(/^LM/)
		not dex.has_method("stop") and not dex.has_method("LOther;", "run") and not dex.has_class(/Other/)
	`, file, true)
	// libyara begins a text of more than 127 characters one byte too early.
	holds(t, "dex", `dex.string_ids[6].size == 200 and dex.string_ids[6].value endswith "long" and dex.string_ids[6].value startswith "long"`, file, false)
	holds(t, "dex", `not defined dex.header.magic and not defined dex.has_method("run") and dex.ACC_NATIVE == 0x100`, []byte("dex\n040\x00"+string(make([]byte, 200))), true)
	holds(t, "dex", `dex.header.header_size == 112 and not defined dex.number_of_methods and not defined dex.string_ids[0].size`, file[:112], true)
}

func utf16le(s string) []byte { return packed(binary.LittleEndian, utf16.Encode([]rune(s))) }

// lnkFile makes a shortcut with all parts.
func lnkFile() []byte {
	le := binary.LittleEndian
	guidBytes := []byte("\xe0\x4f\xd0\x20\xea\x3a\x69\x10\xa2\xd8\x08\x00\x2b\x30\x30\x9d")
	item := func(b []byte) []byte { return packed(le, uint16(len(b)+2), b) }
	long := packed(le, uint16(0), uint16(3), uint32(0xbeef0004), make([]byte, 12), utf16le("a long name.txt"), uint16(0))
	short := packed(le, uint8(0x32), uint8(0), uint32(5), uint32(0), uint16(0x20), "ALONGN~1.TXT\x00\x00")
	list := bytes.Join([][]byte{
		item(append([]byte{0x1f, 0x50}, guidBytes...)),
		item([]byte("\x2fC:\\\x00")),
		item(append([]byte{0x2e, 0x00}, guidBytes...)),
		item(packed(le, short, long, uint16(len(short)+2))),
		item([]byte("\x41\x00\x00\\\\server\\share\x00")),
		item(packed(le, uint8(0), make([]byte, 21), utf16le("C:\\x.cpl"), uint16(0))),
		item([]byte("\x61abc")),
		{0, 0},
	}, nil)
	vol := packed(le, uint32(23), uint32(3), uint32(0xABCD), uint32(16), "System\x00")
	base := uint32(28 + len(vol))
	info := packed(le, uint32(28+len(vol)+16), uint32(28), uint32(3), uint32(28), base, uint32(0), base+10, vol, "C:\\a.txt\x00\x00", "tail\x00\x00")
	text := func(s string) []byte { return packed(le, uint16(len(s)), utf16le(s)) }
	tracker := packed(le, uint32(96), uint32(0xA0000003), uint32(88), uint32(0), name16("workstation"), guidBytes, guidBytes, guidBytes, guidBytes)
	filetime := uint64(1221251237+11644473600)*10_000_000 + 7
	return packed(le, uint32(0x4c), "\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46", uint32(0xff), uint32(0x21), filetime, filetime+10_000_000, uint64(1), uint32(1234), uint32(2), uint32(7),
		uint16(0), uint16(0), uint32(0), uint32(0), uint16(len(list)), list, info, text("Report"), text(".\\a.txt"), text("C:\\"), text("-enc AAAA"), text("shell32.dll"),
		packed(le, uint32(12), uint32(0xA0000001), uint32(0)), tracker, uint32(0), "OVERLAY")
}

func TestLnk(t *testing.T) {
	file := lnkFile()
	holds(t, "lnk", `
		lnk.is_lnk and lnk.file_size == 1234 and lnk.icon_index == 2 and lnk.show_command == lnk.ShowCommand.MIN_NO_ACTIVE
		lnk.file_attributes == lnk.FILE_ATTRIBUTE_READONLY | lnk.FILE_ATTRIBUTE_ARCHIVE
		lnk.creation_time == 1221251237 and lnk.access_time == 1221251238 and not defined lnk.write_time
		lnk.name == "Report" and lnk.relative_path == ".\\a.txt" and lnk.working_dir == "C:\\" and lnk.cmd_line_args icontains "-ENC" and lnk.icon_location == "shell32.dll"
		lnk.drive_type == lnk.DriveType.FIXED and lnk.drive_serial_number == 0xABCD and lnk.volume_label == "System"
		lnk.local_base_path == "C:\\a.txt" and lnk.common_path_suffix == "tail"
		lnk.tracker_data.machine_id == "workstation" and lnk.tracker_data.droid_file_id == "20d04fe0-3aea-1069-a2d8-08002b30309d" and lnk.tracker_data.version == 0
		lnk.overlay_size == 7 and lnk.overlay_offset == filesize - 7
		lnk.target_id_list[0].item_type == lnk.ShellItemType.ROOT_FOLDER and lnk.target_id_list[0].root_folder_id == "20d04fe0-3aea-1069-a2d8-08002b30309d"
		lnk.target_id_list[1].item_type == lnk.ShellItemType.VOLUME and lnk.target_id_list[1].volume_name == "C:\\" and not defined lnk.target_id_list[1].volume_id
		lnk.target_id_list[2].volume_id == "20d04fe0-3aea-1069-a2d8-08002b30309d"
		lnk.target_id_list[3].item_type == lnk.ShellItemType.FILE_ENTRY and lnk.target_id_list[3].file_entry_name == "a long name.txt"
		lnk.target_id_list[4].network_location == "\\\\server\\share"
		lnk.target_id_list[5].item_type == lnk.ShellItemType.CONTROL_PANEL_CPL and lnk.target_id_list[5].cpl_file_path == "C:\\x.cpl"
		lnk.target_id_list[6].item_type == lnk.ShellItemType.URI and lnk.target_id_list[6].data == "abc" and not defined lnk.target_id_list[7].item_type
	`, file, false)
	// A header that tells of more than there is: what is there is told.
	holds(t, "lnk", `lnk.is_lnk and lnk.file_size == 1234 and not defined lnk.name and not defined lnk.overlay_size`, file[:90], false)
	holds(t, "lnk", `not lnk.is_lnk and not defined lnk.file_size`, append([]byte("L"), file...), false)
}
