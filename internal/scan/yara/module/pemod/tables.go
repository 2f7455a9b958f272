package pemod

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

type sign struct {
	name  string
	value int64
}

// seq names numbers that follow each other.
func seq(from int64, names string) []sign {
	var out []sign
	for n := range strings.FieldsSeq(names) {
		if n != "-" {
			out = append(out, sign{n, from})
		}
		from++
	}
	return out
}

// constants are the named numbers of the module.
func constants() []sign { //nolint:funlen // a table
	out := []sign{
		{"MACHINE_UNKNOWN", 0},
		{"MACHINE_AM33", 0x1d3},
		{"MACHINE_AMD64", 0x8664},
		{"MACHINE_ARM", 0x1c0},
		{"MACHINE_ARMNT", 0x1c4},
		{"MACHINE_ARM64", 0xaa64},
		{"MACHINE_EBC", 0xebc},
		{"MACHINE_I386", 0x14c},
		{"MACHINE_IA64", 0x200},
		{"MACHINE_M32R", 0x9041},
		{"MACHINE_MIPS16", 0x266},
		{"MACHINE_MIPSFPU", 0x366},
		{"MACHINE_MIPSFPU16", 0x466},
		{"MACHINE_POWERPC", 0x1f0},
		{"MACHINE_POWERPCFP", 0x1f1},
		{"MACHINE_R4000", 0x166},
		{"MACHINE_SH3", 0x1a2},
		{"MACHINE_SH3DSP", 0x1a3},
		{"MACHINE_SH4", 0x1a6},
		{"MACHINE_SH5", 0x1a8},
		{"MACHINE_THUMB", 0x1c2},
		{"MACHINE_WCEMIPSV2", 0x169},
		{"MACHINE_TARGET_HOST", 1},
		{"MACHINE_R3000", 0x162},
		{"MACHINE_R10000", 0x168},
		{"MACHINE_ALPHA", 0x184},
		{"MACHINE_SH3E", 0x1a4},
		{"MACHINE_ALPHA64", 0x284},
		{"MACHINE_AXP64", 0x284},
		{"MACHINE_TRICORE", 0x520},
		{"MACHINE_CEF", 0xcef},
		{"MACHINE_CEE", 0xc0ee},
		{"SUBSYSTEM_UNKNOWN", 0},
		{"SUBSYSTEM_NATIVE", 1},
		{"SUBSYSTEM_WINDOWS_GUI", 2},
		{"SUBSYSTEM_WINDOWS_CUI", 3},
		{"SUBSYSTEM_OS2_CUI", 5},
		{"SUBSYSTEM_POSIX_CUI", 7},
		{"SUBSYSTEM_NATIVE_WINDOWS", 8},
		{"SUBSYSTEM_WINDOWS_CE_GUI", 9},
		{"SUBSYSTEM_EFI_APPLICATION", 10},
		{"SUBSYSTEM_EFI_BOOT_SERVICE_DRIVER", 11},
		{"SUBSYSTEM_EFI_RUNTIME_DRIVER", 12},
		{"SUBSYSTEM_EFI_ROM_IMAGE", 13},
		{"SUBSYSTEM_XBOX", 14},
		{"SUBSYSTEM_WINDOWS_BOOT_APPLICATION", 16},
		{"HIGH_ENTROPY_VA", 0x20},
		{"DYNAMIC_BASE", 0x40},
		{"FORCE_INTEGRITY", 0x80},
		{"NX_COMPAT", 0x100},
		{"NO_ISOLATION", 0x200},
		{"NO_SEH", 0x400},
		{"NO_BIND", 0x800},
		{"APPCONTAINER", 0x1000},
		{"WDM_DRIVER", 0x2000},
		{"GUARD_CF", 0x4000},
		{"TERMINAL_SERVER_AWARE", 0x8000},
		{"RELOCS_STRIPPED", 1},
		{"EXECUTABLE_IMAGE", 2},
		{"LINE_NUMS_STRIPPED", 4},
		{"LOCAL_SYMS_STRIPPED", 8},
		{"AGGRESSIVE_WS_TRIM", 0x10},
		{"LARGE_ADDRESS_AWARE", 0x20},
		{"BYTES_REVERSED_LO", 0x80},
		{"MACHINE_32BIT", 0x100},
		{"DEBUG_STRIPPED", 0x200},
		{"REMOVABLE_RUN_FROM_SWAP", 0x400},
		{"NET_RUN_FROM_SWAP", 0x800},
		{"SYSTEM", 0x1000},
		{"DLL", 0x2000},
		{"UP_SYSTEM_ONLY", 0x4000},
		{"BYTES_REVERSED_HI", 0x8000},
		{"IMAGE_NT_OPTIONAL_HDR32_MAGIC", 0x10b},
		{"IMAGE_NT_OPTIONAL_HDR64_MAGIC", 0x20b},
		{"IMAGE_ROM_OPTIONAL_HDR_MAGIC", 0x107},
		{"SECTION_NO_PAD", 8},
		{"SECTION_CNT_CODE", 0x20},
		{"SECTION_CNT_INITIALIZED_DATA", 0x40},
		{"SECTION_CNT_UNINITIALIZED_DATA", 0x80},
		{"SECTION_LNK_OTHER", 0x100},
		{"SECTION_LNK_INFO", 0x200},
		{"SECTION_LNK_REMOVE", 0x800},
		{"SECTION_LNK_COMDAT", 0x1000},
		{"SECTION_NO_DEFER_SPEC_EXC", 0x4000},
		{"SECTION_GPREL", 0x8000},
		{"SECTION_MEM_FARDATA", 0x8000},
		{"SECTION_MEM_PURGEABLE", 0x20000},
		{"SECTION_MEM_16BIT", 0x20000},
		{"SECTION_MEM_LOCKED", 0x40000},
		{"SECTION_MEM_PRELOAD", 0x80000},
		{"SECTION_ALIGN_MASK", 0xf00000},
		{"SECTION_LNK_NRELOC_OVFL", 0x1000000},
		{"SECTION_MEM_DISCARDABLE", 0x2000000},
		{"SECTION_MEM_NOT_CACHED", 0x4000000},
		{"SECTION_MEM_NOT_PAGED", 0x8000000},
		{"SECTION_MEM_SHARED", 0x10000000},
		{"SECTION_MEM_EXECUTE", 0x20000000},
		{"SECTION_MEM_READ", 0x40000000},
		{"SECTION_MEM_WRITE", 0x80000000},
		{"SECTION_SCALE_INDEX", 1},
		{"IMPORT_DELAYED", importDelayed},
		{"IMPORT_STANDARD", importStandard},
		{"IMPORT_ANY", importStandard | importDelayed},
	}
	for i, n := range strings.Fields("1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192") {
		out = append(out, sign{"SECTION_ALIGN_" + n + "BYTES", int64(i+1) << 20})
	}
	out = append(out, seq(0, "IMAGE_DIRECTORY_ENTRY_EXPORT IMAGE_DIRECTORY_ENTRY_IMPORT IMAGE_DIRECTORY_ENTRY_RESOURCE IMAGE_DIRECTORY_ENTRY_EXCEPTION IMAGE_DIRECTORY_ENTRY_SECURITY IMAGE_DIRECTORY_ENTRY_BASERELOC IMAGE_DIRECTORY_ENTRY_DEBUG IMAGE_DIRECTORY_ENTRY_ARCHITECTURE IMAGE_DIRECTORY_ENTRY_GLOBALPTR IMAGE_DIRECTORY_ENTRY_TLS IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG IMAGE_DIRECTORY_ENTRY_BOUND_IMPORT IMAGE_DIRECTORY_ENTRY_IAT IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR")...)
	out = append(out, sign{"IMAGE_DIRECTORY_ENTRY_COPYRIGHT", 7})
	out = append(out, seq(1, "RESOURCE_TYPE_CURSOR RESOURCE_TYPE_BITMAP RESOURCE_TYPE_ICON RESOURCE_TYPE_MENU RESOURCE_TYPE_DIALOG RESOURCE_TYPE_STRING RESOURCE_TYPE_FONTDIR RESOURCE_TYPE_FONT RESOURCE_TYPE_ACCELERATOR RESOURCE_TYPE_RCDATA RESOURCE_TYPE_MESSAGETABLE RESOURCE_TYPE_GROUP_CURSOR - RESOURCE_TYPE_GROUP_ICON - RESOURCE_TYPE_VERSION RESOURCE_TYPE_DLGINCLUDE - RESOURCE_TYPE_PLUGPLAY RESOURCE_TYPE_VXD RESOURCE_TYPE_ANICURSOR RESOURCE_TYPE_ANIICON RESOURCE_TYPE_HTML RESOURCE_TYPE_MANIFEST")...)
	out = append(out, seq(0, "IMAGE_DEBUG_TYPE_UNKNOWN IMAGE_DEBUG_TYPE_COFF IMAGE_DEBUG_TYPE_CODEVIEW IMAGE_DEBUG_TYPE_FPO IMAGE_DEBUG_TYPE_MISC IMAGE_DEBUG_TYPE_EXCEPTION IMAGE_DEBUG_TYPE_FIXUP IMAGE_DEBUG_TYPE_OMAP_TO_SRC IMAGE_DEBUG_TYPE_OMAP_FROM_SRC IMAGE_DEBUG_TYPE_BORLAND IMAGE_DEBUG_TYPE_RESERVED10 IMAGE_DEBUG_TYPE_CLSID IMAGE_DEBUG_TYPE_VC_FEATURE IMAGE_DEBUG_TYPE_POGO IMAGE_DEBUG_TYPE_ILTCG IMAGE_DEBUG_TYPE_MPX IMAGE_DEBUG_TYPE_REPRO")...)
	return out
}

const (
	importStandard = 1
	importDelayed  = 2
)

func ints(names ...string) map[string]*module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, module.Int, names...)
	return m
}

func version() *module.Type { return module.StructOf(ints("major", "minor")) }

// typeOf is what rules may ask of the module.
func typeOf() *module.Type {
	m := ints("is_pe", "machine", "number_of_sections", "timestamp", "pointer_to_symbol_table", "number_of_symbols",
		"size_of_optional_header", "characteristics", "opthdr_magic", "size_of_code", "size_of_initialized_data",
		"size_of_uninitialized_data", "entry_point", "entry_point_raw", "base_of_code", "base_of_data", "image_base",
		"section_alignment", "file_alignment", "win32_version_value", "size_of_image", "size_of_headers", "checksum",
		"subsystem", "dll_characteristics", "size_of_stack_reserve", "size_of_stack_commit", "size_of_heap_reserve",
		"size_of_heap_commit", "loader_flags", "number_of_rva_and_sizes", "number_of_version_infos", "resource_timestamp",
		"number_of_resources", "number_of_imports", "number_of_imported_functions", "number_of_delayed_imports",
		"number_of_delayed_imported_functions", "export_timestamp", "number_of_exports", "number_of_signatures", "is_signed")
	for _, c := range constants() {
		m[c.name] = module.T(module.Int)
	}
	module.Fill(m, module.String, "pdb_path", "dll_name")
	for _, n := range []string{"linker_version", "os_version", "image_version", "subsystem_version", "resource_version"} {
		m[n] = version()
	}
	m["data_directories"] = module.ArrayOf(module.StructOf(ints("virtual_address", "size")))
	m["overlay"] = module.StructOf(ints("offset", "size"))
	s := ints("characteristics", "virtual_address", "virtual_size", "raw_data_offset", "raw_data_size", "pointer_to_relocations",
		"pointer_to_line_numbers", "number_of_relocations", "number_of_line_numbers")
	module.Fill(s, module.String, "name", "full_name")
	m["sections"] = module.ArrayOf(module.StructOf(s))
	rich := ints("offset", "length", "key")
	module.Fill(rich, module.String, "raw_data", "clear_data", "version_data")
	rich["version"], rich["toolid"] = richFunction(0), richFunction(1)
	m["rich_signature"] = module.StructOf(rich)
	m["version_info"] = module.DictOf(module.T(module.String))
	kv := map[string]*module.Type{}
	module.Fill(kv, module.String, "key", "value")
	m["version_info_list"] = module.ArrayOf(module.StructOf(kv))
	res := ints("rva", "offset", "length", "type", "id", "language")
	module.Fill(res, module.String, "type_string", "name_string", "language_string")
	m["resources"] = module.ArrayOf(module.StructOf(res))
	m["import_details"], m["delayed_import_details"] = importType(), importType()
	e := ints("offset", "ordinal", "rva")
	module.Fill(e, module.String, "name", "forward_name")
	m["export_details"] = module.ArrayOf(module.StructOf(e))
	m["signatures"] = signatureType()
	functions(m)
	return module.StructOf(m)
}

func importType() *module.Type {
	fn := ints("ordinal", "rva")
	fn["name"] = module.T(module.String)
	lib := ints("number_of_functions")
	lib["library_name"] = module.T(module.String)
	lib["functions"] = module.ArrayOf(module.StructOf(fn))
	return module.ArrayOf(module.StructOf(lib))
}
