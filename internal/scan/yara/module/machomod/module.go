package machomod

import (
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// The names of the header's fields after the magic number, in their order.
const headFields = 7

func headName(i int) string {
	return [headFields]string{"cputype", "cpusubtype", "filetype", "ncmds", "sizeofcmds", "flags", "reserved"}[i]
}

// fileType is the type of the fields that a file has, and each in an archive.
func fileType() map[string]*module.Type {
	m := map[string]*module.Type{}
	module.Fill(m, module.Int, "magic", "number_of_segments", "entry_point", "stack_size")
	for i := range headFields {
		m[headName(i)] = module.T(module.Int)
	}
	sec := map[string]*module.Type{}
	module.Fill(sec, module.String, "sectname", "segname")
	module.Fill(sec, module.Int, "addr", "size", "offset", "align", "reloff", "nreloc", "flags", "reserved1", "reserved2", "reserved3")
	seg := map[string]*module.Type{}
	module.Fill(seg, module.String, "segname")
	module.Fill(seg, module.Int, "vmaddr", "vmsize", "fileoff", "fsize", "maxprot", "initprot", "nsects", "flags")
	seg["sections"] = module.ArrayOf(module.StructOf(sec))
	m["segments"] = module.ArrayOf(module.StructOf(seg))
	return m
}

func typeOf() *module.Type {
	m := fileType()
	for _, c := range constants() {
		m[c.name] = module.T(module.Int)
	}
	module.Fill(m, module.Int, "fat_magic", "nfat_arch")
	row := map[string]*module.Type{}
	module.Fill(row, module.Int, "cputype", "cpusubtype", "offset", "size", "align")
	m["fat_arch"] = module.ArrayOf(module.StructOf(row))
	m["file"] = module.ArrayOf(module.StructOf(fileType()))
	m["file_index_for_arch"] = module.FuncOf(byArch("i", fileIndex), byArch("ii", fileIndex))
	m["entry_point_for_arch"] = module.FuncOf(byArch("i", archEntry), byArch("ii", archEntry))
	return module.StructOf(m)
}

// byArch makes a function that asks for a processor, and maybe its kind.
func byArch(args string, f func(a *archive, is func(cpu, subtype int64) bool) module.Value) module.Function {
	return module.Function{Args: args, Result: module.T(module.Int), Call: func(c *module.Call, _ module.Value, want []module.Value) module.Value {
		a, _ := c.State.(*archive)
		if a == nil {
			return module.Value{}
		}
		return f(a, func(cpu, subtype int64) bool { return cpu == want[0].I && (len(want) == 1 || subtype == want[1].I) })
	}}
}

// fileIndex finds the part by what its own header says.
func fileIndex(a *archive, is func(cpu, subtype int64) bool) module.Value {
	for i, f := range a.files {
		if f != nil && is(f.head[0], f.head[1]) {
			return module.Of(i)
		}
	}
	return module.Value{}
}

// archEntry finds the part by the table, and gives its entry point in the archive.
func archEntry(a *archive, is func(cpu, subtype int64) bool) module.Value {
	for i, r := range a.archs {
		if !is(r.cpu, r.subtype) {
			continue
		}
		if f := a.files[i]; f != nil && f.entry != unknown {
			return module.Of(r.offset + f.entry)
		}
		break
	}
	return module.Value{}
}

// Module is the macho module.
func Module() *module.Module {
	consts := constants()
	return &module.Module{Name: "macho", Type: typeOf(), Load: func(v *view.View) (module.Value, any) {
		m := module.Fields{}
		for _, c := range consts {
			m[c.name] = module.Of(c.value)
		}
		if f := open(v, 0, v.Size()); f != nil {
			f.fill(m)
			return module.Record(m), (*archive)(nil)
		}
		a := openArchive(v)
		if a == nil {
			return module.Record(m), (*archive)(nil)
		}
		a.fill(m)
		return module.Record(m), a
	}}
}

func (f *file) fill(m module.Fields) {
	m["magic"] = module.Of(f.magic)
	for i := range headFields {
		if i < headFields-1 || f.wide {
			m[headName(i)] = module.Of(f.head[i])
		}
	}
	if f.entry != unknown {
		m["entry_point"] = module.Of(f.entry)
	}
	if f.stack != unknown {
		m["stack_size"] = module.Of(f.stack)
	}
	m["number_of_segments"] = module.Of(len(f.segs))
	m["segments"] = module.Rows(len(f.segs), func(i int) module.Value { return f.segs[i].value() })
}

func (s *segment) value() module.Value {
	if !s.whole {
		return module.Record(module.Fields{})
	}
	return module.Record(module.Fields{
		"segname": module.Str(s.name), "vmaddr": module.Of(s.vmaddr), "vmsize": module.Of(s.vmsize), "fileoff": module.Of(s.fileoff), "fsize": module.Of(s.fsize),
		"maxprot": module.Of(s.maxprot), "initprot": module.Of(s.initprot), "nsects": module.Of(s.nsects), "flags": module.Of(s.flags),
		"sections": module.Rows(len(s.sections), func(i int) module.Value { return s.sections[i].value() }),
	})
}

func (s *section) value() module.Value {
	m := module.Fields{
		"sectname": module.Str(s.name), "segname": module.Str(s.segment), "addr": module.Of(s.addr), "size": module.Of(s.size), "offset": module.Of(s.offset),
		"align": module.Of(s.align), "reloff": module.Of(s.reloff), "nreloc": module.Of(s.nreloc), "flags": module.Of(s.flags),
		"reserved1": module.Of(s.r1), "reserved2": module.Of(s.r2),
	}
	if s.wide {
		m["reserved3"] = module.Of(s.r3)
	}
	return module.Record(m)
}

func (a *archive) fill(m module.Fields) {
	m["fat_magic"], m["nfat_arch"] = module.Of(a.magic), module.Of(a.count)
	m["fat_arch"] = module.Rows(len(a.archs), func(i int) module.Value {
		r := a.archs[i]
		return module.Record(module.Fields{
			"cputype": module.Of(r.cpu), "cpusubtype": module.Of(r.subtype), "offset": module.Of(r.offset), "size": module.Of(r.size), "align": module.Of(r.align),
		})
	})
	m["file"] = module.Rows(len(a.files), func(i int) module.Value {
		part := module.Fields{}
		if f := a.files[i]; f != nil {
			f.fill(part)
		}
		return module.Record(part)
	})
}
