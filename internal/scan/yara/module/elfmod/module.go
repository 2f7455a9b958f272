package elfmod

import (
	"crypto/md5" //nolint:gosec // the import hash is defined with it
	"encoding/hex"
	"slices"
	"strings"

	"github.com/glaslos/tlsh"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

type sign struct {
	name  string
	value int64
}

// seq numbers names from 0; "-" leaves a number out.
func seq(names string) []sign {
	var from int64
	var out []sign
	for n := range strings.FieldsSeq(names) {
		if n != "-" {
			out = append(out, sign{n, from})
		}
		from++
	}
	return out
}

func constants() []sign {
	out := seq("ET_NONE ET_REL ET_EXEC ET_DYN ET_CORE")
	out = append(out, seq("EM_NONE EM_M32 EM_SPARC EM_386 EM_68K EM_88K - EM_860 EM_MIPS EM_S370 EM_MIPS_RS3_LE")...)
	out = append(out, sign{"EM_PPC", 20}, sign{"EM_PPC64", 21}, sign{"EM_S390", 22}, sign{"EM_ARM", 40}, sign{"EM_SH", 42}, sign{"EM_IA_64", 50},
		sign{"EM_X86_64", 62}, sign{"EM_AARCH64", 183}, sign{"EM_RISCV", 243}, sign{"EM_SPARCV9", 43})
	out = append(out, seq("SHT_NULL SHT_PROGBITS SHT_SYMTAB SHT_STRTAB SHT_REAL SHT_HASH SHT_DYNAMIC SHT_NOTE SHT_NOBITS SHT_REL SHT_SHLIB SHT_DYNSYM")...)
	out = append(out, sign{"SHF_WRITE", 1}, sign{"SHF_ALLOC", 2}, sign{"SHF_EXECINSTR", 4}, sign{"PF_X", 1}, sign{"PF_W", 2}, sign{"PF_R", 4})
	out = append(out, seq("PT_NULL PT_LOAD PT_DYNAMIC PT_INTERP PT_NOTE PT_SHLIB PT_PHDR PT_TLS")...)
	out = append(out, sign{"PT_GNU_EH_FRAME", 0x6474e550}, sign{"PT_GNU_STACK", 0x6474e551})
	out = append(out, seq("DT_NULL DT_NEEDED DT_PLTRELSZ DT_PLTGOT DT_HASH DT_STRTAB DT_SYMTAB DT_REAL DT_RELASZ DT_RELAENT DT_STRSZ DT_SYMENT DT_INIT DT_FINI DT_SONAME DT_RPATH DT_SYMBOLIC DT_REL DT_RELSZ DT_RELENT DT_PLTREL DT_DEBUG DT_TEXTREL DT_JMPREL DT_BIND_NOW DT_INIT_ARRAY DT_FINI_ARRAY DT_INIT_ARRAYSZ DT_FINI_ARRAYSZ DT_RUNPATH DT_FLAGS")...)
	out = append(out, sign{"DT_ENCODING", 32})
	out = append(out, seq("STT_NOTYPE STT_OBJECT STT_FUNC STT_SECTION STT_FILE STT_COMMON STT_TLS")...)
	return append(out, seq("STB_LOCAL STB_GLOBAL STB_WEAK")...)
}

func ints(names ...string) map[string]*module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, module.Int, names...)
	return m
}

func named(names ...string) *module.Type {
	m := ints(names...)
	m["name"] = module.T(module.String)
	return module.ArrayOf(module.StructOf(m))
}

func typeOf() *module.Type {
	m := ints("type", "machine", "entry_point", "number_of_sections", "sh_offset", "sh_entry_size", "number_of_segments", "ph_offset",
		"ph_entry_size", "dynamic_section_entries", "symtab_entries", "dynsym_entries")
	for _, c := range constants() {
		m[c.name] = module.T(module.Int)
	}
	m["sections"] = named("type", "flags", "address", "size", "offset")
	m["segments"] = module.ArrayOf(module.StructOf(ints("type", "flags", "offset", "virtual_address", "physical_address", "file_size", "memory_size", "alignment")))
	m["dynamic"] = module.ArrayOf(module.StructOf(ints("type", "val")))
	m["symtab"] = named("value", "size", "type", "bind", "shndx")
	m["dynsym"] = named("value", "size", "type", "bind", "shndx")
	text := func(f func(*state) (string, bool)) *module.Type {
		return module.FuncOf(module.Function{Args: "", Result: module.T(module.String), Call: func(c *module.Call, _ module.Value, _ []module.Value) module.Value {
			s, _ := c.State.(*state)
			if s == nil {
				return module.Value{}
			}
			if v, ok := f(s); ok {
				return module.Str(v)
			}
			return module.Value{}
		}})
	}
	m["import_md5"], m["telfhash"] = text(importMD5), text(telfhash)
	return module.StructOf(m)
}

type state struct{ symtab, dynsym []symbol }

// Module is the elf module.
func Module() *module.Module {
	consts := constants()
	return &module.Module{Name: "elf", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{}
		for _, c := range consts {
			m[c.name] = module.Of(c.value)
		}
		f := open(v)
		if f == nil {
			return module.Record(m), (*state)(nil)
		}
		f.headers(m)
		s := &state{}
		var ok bool
		if s.symtab, ok = f.symbols(2); ok {
			m["symtab_entries"], m["symtab"] = module.Of(len(s.symtab)), symbolValues(s.symtab)
		}
		if s.dynsym, ok = f.symbols(11); ok {
			m["dynsym_entries"], m["dynsym"] = module.Of(len(s.dynsym)), symbolValues(s.dynsym)
		}
		if d := f.dynamics(); d != nil {
			var out []module.Value
			for _, x := range d {
				out = append(out, module.Record(module.Fields{"type": module.Of(x.kind), "val": module.Of(x.val)}))
			}
			m["dynamic"], m["dynamic_section_entries"] = module.List(out), module.Of(len(d))
		}
		return module.Record(m), s
	}}
}

func (f *file) headers(m module.Fields) {
	for _, s := range []sign{
		{"type", f.kind},
		{"machine", f.machine},
		{"sh_offset", f.shoff},
		{"sh_entry_size", f.shsize},
		{"number_of_sections", f.shnum},
		{"ph_offset", f.phoff},
		{"ph_entry_size", f.phsize},
		{"number_of_segments", f.phnum},
	} {
		m[s.name] = module.Of(s.value)
	}
	if off := f.offset(f.entry); f.entry != 0 && off >= 0 {
		m["entry_point"] = module.Of(off)
	}
	var out []module.Value
	for _, s := range f.sections {
		v := module.Fields{"type": module.Of(s.kind), "flags": module.Of(s.flags), "address": module.Of(s.addr), "size": module.Of(s.size), "offset": module.Of(s.off)}
		if s.text != "" {
			v["name"] = module.Str(s.text)
		}
		out = append(out, module.Record(v))
	}
	m["sections"] = module.List(out)
	out = nil
	for _, s := range f.segments {
		out = append(out, module.Record(module.Fields{
			"type": module.Of(s.kind), "flags": module.Of(s.flags), "offset": module.Of(s.off), "virtual_address": module.Of(s.vaddr),
			"physical_address": module.Of(s.paddr), "file_size": module.Of(s.fsize), "memory_size": module.Of(s.msize), "alignment": module.Of(s.align),
		}))
	}
	m["segments"] = module.List(out)
}

func symbolValues(list []symbol) module.Value {
	return module.Rows(len(list), func(i int) module.Value {
		s := &list[i]
		v := module.Fields{"value": module.Of(s.value), "size": module.Of(s.size), "type": module.Of(s.kind), "bind": module.Of(s.bind), "shndx": module.Of(s.shndx)}
		if s.name != "" {
			v["name"] = module.Str(s.name)
		}
		return module.Record(v)
	})
}

// importMD5 is the MD5 of the names of undefined symbols, sorted.
func importMD5(s *state) (string, bool) {
	list := s.dynsym
	if len(list) == 0 {
		list = s.symtab
	}
	var names []string
	for _, x := range list {
		if x.shndx == 0 && x.name != "" {
			names = append(names, strings.ToLower(x.name))
		}
	}
	if len(names) == 0 {
		return "", false
	}
	slices.Sort(names)
	sum := md5.Sum([]byte(strings.Join(names, ","))) //nolint:gosec // as above
	return hex.EncodeToString(sum[:]), true
}

// telfhash is the TLSH of the names of global functions, sorted, but for those
// that differ between machines and compilers.
func telfhash(s *state) (string, bool) {
	list := s.dynsym
	if len(list) == 0 {
		list = s.symtab
	}
	var names []string
	for _, x := range list {
		if x.kind == 2 && x.bind == 1 && x.other&3 == 0 && counts(x.name) {
			names = append(names, strings.ToLower(x.name))
		}
	}
	if len(names) == 0 {
		return "", false
	}
	slices.Sort(names)
	return hash([]byte(strings.Join(names, ",")))
}

// hash is the TLSH of text, where it has one: of 50 bytes and more.
func hash(text []byte) (s string, ok bool) {
	defer func() {
		if recover() != nil { // the library indexes into what it is given
			s, ok = "", false
		}
	}()
	if len(text) < 50 {
		return "", false
	}
	h, err := tlsh.HashBytes(text)
	if err != nil {
		return "", false
	}
	return "T1" + strings.ToUpper(h.String()), true
}

func counts(name string) bool {
	switch name {
	case "", "__libc_start_main", "main", "abort", "cachectl", "cacheflush", "puts", "atol", "malloc_trim":
		return false
	}
	return name[0] != '_' && name[0] != '.' && !strings.HasSuffix(name, "64") && !strings.HasPrefix(name, "str") && !strings.HasPrefix(name, "mem")
}
