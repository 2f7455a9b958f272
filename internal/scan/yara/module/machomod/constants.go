package machomod

import "strings"

type sign struct {
	name  string
	value int64
}

// from numbers names one after the other.
func from(first int64, names string) []sign {
	var out []sign
	for n := range strings.FieldsSeq(names) {
		out = append(out, sign{n, first})
		first++
	}
	return out
}

// bits gives each name the bit after the one before.
func bits(first int64, names string) []sign {
	var out []sign
	for n := range strings.FieldsSeq(names) {
		out = append(out, sign{n, first})
		first <<= 1
	}
	return out
}

// constants are the names that rules compare fields with.
func constants() []sign {
	out := []sign{
		{"MH_MAGIC", magic32},
		{"MH_CIGAM", 0xcefaedfe},
		{"MH_MAGIC_64", magic64},
		{"MH_CIGAM_64", 0xcffaedfe},
		{"FAT_MAGIC", fat32},
		{"FAT_CIGAM", 0xbebafeca},
		{"FAT_MAGIC_64", fat64},
		{"FAT_CIGAM_64", 0xbfbafeca},
		{"CPU_ARCH_ABI64", 0x01000000},
		{"CPU_SUBTYPE_LIB64", 0x80000000},
		{"CPU_TYPE_MC680X0", cpu68k},
		{"CPU_TYPE_X86", cpuX86},
		{"CPU_TYPE_I386", cpuX86},
		{"CPU_TYPE_X86_64", cpuX64},
		{"CPU_TYPE_MIPS", 8},
		{"CPU_TYPE_MC98000", 10},
		{"CPU_TYPE_ARM", cpuARM},
		{"CPU_TYPE_ARM64", cpuARM64},
		{"CPU_TYPE_MC88000", cpu88k},
		{"CPU_TYPE_SPARC", cpuSPARC},
		{"CPU_TYPE_POWERPC", cpuPPC},
		{"CPU_TYPE_POWERPC64", cpuPPC64},
	}
	out = append(out, subtypes()...)
	out = append(out, from(1, "MH_OBJECT MH_EXECUTE MH_FVMLIB MH_CORE MH_PRELOAD MH_DYLIB MH_DYLINKER MH_BUNDLE MH_DYLIB_STUB MH_DSYM MH_KEXT_BUNDLE")...)
	out = append(out, bits(1, `MH_NOUNDEFS MH_INCRLINK MH_DYLDLINK MH_BINDATLOAD MH_PREBOUND MH_SPLIT_SEGS MH_LAZY_INIT MH_TWOLEVEL MH_FORCE_FLAT
		MH_NOMULTIDEFS MH_NOFIXPREBINDING MH_PREBINDABLE MH_ALLMODSBOUND MH_SUBSECTIONS_VIA_SYMBOLS MH_CANONICAL MH_WEAK_DEFINES
		MH_BINDS_TO_WEAK MH_ALLOW_STACK_EXECUTION MH_ROOT_SAFE MH_SETUID_SAFE MH_NO_REEXPORTED_DYLIBS MH_PIE MH_DEAD_STRIPPABLE_DYLIB
		MH_HAS_TLV_DESCRIPTORS MH_NO_HEAP_EXECUTION MH_APP_EXTENSION_SAFE`)...)
	out = append(out, bits(1, "SG_HIGHVM SG_FVMLIB SG_NORELOC SG_PROTECTED_VERSION_1")...)
	out = append(out, sign{"SECTION_TYPE", 0xff}, sign{"SECTION_ATTRIBUTES", 0xffffff00})
	out = append(out, from(0, `S_REGULAR S_ZEROFILL S_CSTRING_LITERALS S_4BYTE_LITERALS S_8BYTE_LITERALS S_LITERAL_POINTERS S_NON_LAZY_SYMBOL_POINTERS
		S_LAZY_SYMBOL_POINTERS S_SYMBOL_STUBS S_MOD_INIT_FUNC_POINTERS S_MOD_TERM_FUNC_POINTERS S_COALESCED S_GB_ZEROFILL S_INTERPOSING
		S_16BYTE_LITERALS S_DTRACE_DOF S_LAZY_DYLIB_SYMBOL_POINTERS S_THREAD_LOCAL_REGULAR S_THREAD_LOCAL_ZEROFILL S_THREAD_LOCAL_VARIABLES
		S_THREAD_LOCAL_VARIABLE_POINTERS S_THREAD_LOCAL_INIT_FUNCTION_POINTERS`)...)
	out = append(out, bits(0x100, "S_ATTR_LOC_RELOC S_ATTR_EXT_RELOC S_ATTR_SOME_INSTRUCTIONS")...)
	return append(out, bits(0x02000000, `S_ATTR_DEBUG S_ATTR_SELF_MODIFYING_CODE S_ATTR_LIVE_SUPPORT S_ATTR_NO_DEAD_STRIP S_ATTR_STRIP_STATIC_SYMS
		S_ATTR_NO_TOC S_ATTR_PURE_INSTRUCTIONS`)...)
}

// subtypes are the processors within a family.
func subtypes() []sign {
	out := []sign{
		{"INTEL_MODEL_ALL", 0},
		{"386", 3},
		{"I386_ALL", 3},
		{"X86_64_ALL", 3},
		{"486", 4},
		{"486SX", 0x84},
		{"586", 5},
		{"PENT", 5},
		{"PENTPRO", 0x16},
		{"PENTII_M3", 0x36},
		{"PENTII_M5", 0x56},
		{"CELERON", 0x67},
		{"CELERON_MOBILE", 0x77},
		{"PENTIUM_3", 8},
		{"PENTIUM_3_M", 0x18},
		{"PENTIUM_3_XEON", 0x28},
		{"PENTIUM_M", 9},
		{"PENTIUM_4", 10},
		{"PENTIUM_4_M", 0x1a},
		{"ITANIUM", 11},
		{"ITANIUM_2", 0x1b},
		{"XEON", 12},
		{"XEON_MP", 0x1c},
		{"ARM_ALL", 0},
		{"ARM_V4T", 5},
		{"ARM_V6", 6},
		{"ARM_V5", 7},
		{"ARM_V5TEJ", 7},
		{"ARM_XSCALE", 8},
		{"ARM_V6M", 14},
		{"ARM_V7M", 15},
		{"ARM_V7EM", 16},
		{"ARM64_ALL", 0},
		{"SPARC_ALL", 0},
		{"POWERPC_ALL", 0},
		{"MC980000_ALL", 0},
		{"MC98601", 1},
		{"POWERPC_970", 100},
	}
	out = append(out, from(9, "ARM_V7 ARM_V7F ARM_V7S ARM_V7K")...)
	out = append(out, from(1, `POWERPC_601 POWERPC_602 POWERPC_603 POWERPC_603e POWERPC_603ev POWERPC_604 POWERPC_604e POWERPC_620 POWERPC_750
		POWERPC_7400 POWERPC_7450`)...)
	for i := range out {
		out[i].name = "CPU_SUBTYPE_" + out[i].name
	}
	return out
}
