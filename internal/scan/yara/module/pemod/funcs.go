package pemod

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

// fn makes a form of a function that needs a PE file; it is undefined without.
func fn(args string, k module.Kind, f func(c *module.Call, s *state, a []module.Value) module.Value) module.Function {
	return module.Function{Args: args, Result: module.T(k), Call: func(c *module.Call, _ module.Value, a []module.Value) module.Value {
		s, _ := c.State.(*state)
		if s == nil {
			return module.Value{}
		}
		return f(c, s, a)
	}}
}

// functions adds the functions of the module.
func functions(m map[string]*module.Type) {
	m["imphash"] = module.FuncOf(fn("", module.String, func(c *module.Call, s *state, _ []module.Value) module.Value {
		if v, ok := c.Cache["imphash"]; ok {
			return v
		}
		v := module.Str(imphash(s.imports))
		c.Cache["imphash"] = v
		return v
	}))
	flag := func(f func(s *state) bool) *module.Type {
		return module.FuncOf(fn("", module.Int, func(_ *module.Call, s *state, _ []module.Value) module.Value { return module.Yes(f(s)) }))
	}
	m["is_dll"] = flag(func(s *state) bool { return u16(s.file.coff, 18)&0x2000 != 0 })
	m["is_32bit"] = flag(func(s *state) bool { return !s.file.plus })
	m["is_64bit"] = flag(func(s *state) bool { return s.file.plus })
	m["rva_to_offset"] = module.FuncOf(fn("i", module.Int, func(_ *module.Call, s *state, a []module.Value) module.Value {
		if off := s.file.offset(a[0].I); off >= 0 {
			return module.Of(off)
		}
		return module.Value{}
	}))
	m["calculate_checksum"] = module.FuncOf(fn("", module.Int, func(c *module.Call, s *state, _ []module.Value) module.Value {
		return s.file.checksum(c)
	}))
	m["section_index"] = sectionIndex()
	languages(m)
	exportFunctions(m)
	importFunctions(m)
}

func sectionIndex() *module.Type {
	return module.FuncOf(
		fn("s", module.Int, func(_ *module.Call, s *state, a []module.Value) module.Value {
			for i, x := range s.file.sections {
				if x.name == a[0].S {
					return module.Of(i)
				}
			}
			return module.Value{}
		}),
		fn("i", module.Int, func(_ *module.Call, s *state, a []module.Value) module.Value {
			for i, x := range s.file.sections {
				if a[0].I >= x.raw && a[0].I < x.raw+x.rawSize {
					return module.Of(i)
				}
			}
			return module.Value{}
		}),
	)
}

func languages(m map[string]*module.Type) {
	by := func(mask int64) *module.Type {
		return module.FuncOf(fn("i", module.Int, func(c *module.Call, _ *state, a []module.Value) module.Value {
			list := c.Root.Field("resources")
			if list.K == module.Undef {
				return list
			}
			for i := range list.Len() {
				if l := list.Item(int64(i)).Field("language"); l.K == module.Int && l.I&mask == a[0].I {
					return module.Of(1)
				}
			}
			return module.Of(0)
		}))
	}
	m["locale"], m["language"] = by(0xFFFF), by(0xFF)
}

// checksum is the sum that the header should hold.
func (f *file) checksum(c *module.Call) module.Value {
	field := f.header + 24 + 64
	c.Spend(f.v.Size())
	var sum, pos int64
	odd, have := byte(0), false
	add := func(b []byte) {
		for _, x := range b {
			if pos >= field && pos < field+4 {
				x = 0
			}
			pos++
			if !have {
				odd, have = x, true
				continue
			}
			have = false
			sum += int64(odd) | int64(x)<<8
			sum = sum>>16 + sum&0xFFFF
		}
	}
	if !f.v.Range(0, f.v.Size(), add) {
		return module.Value{}
	}
	if have {
		sum += int64(odd)
	}
	sum = sum>>16 + sum&0xFFFF
	sum = sum>>16 + sum&0xFFFF
	return module.Of(sum + f.v.Size())
}

func match(c *module.Call, v module.Value, text string) bool {
	p, ok := v.P.(*module.Pattern)
	if !ok {
		return false
	}
	c.Spend(int64(len(text)) * 16)
	return searchText(c.Machine, p, text)
}

func searchText(m *rex.Machine, p *module.Pattern, text string) bool {
	return m.Search(p.Prog, []byte(text)) >= 0
}

func exportFunctions(m map[string]*module.Type) {
	test := func(kind string) func(c *module.Call, e *export, v module.Value) bool {
		switch kind {
		case "s":
			return func(_ *module.Call, e *export, v module.Value) bool {
				return strings.EqualFold(e.name, v.S) && e.name != ""
			}
		case "i":
			return func(_ *module.Call, e *export, v module.Value) bool { return e.ordinal == v.I }
		}
		return func(c *module.Call, e *export, v module.Value) bool { return e.name != "" && match(c, v, e.name) }
	}
	var is, index []module.Function
	for _, k := range []string{"s", "r", "i"} {
		find := func(c *module.Call, s *state, a []module.Value) int {
			hit := test(k)
			for i := range s.exports {
				if hit(c, &s.exports[i], a[0]) {
					return i
				}
			}
			return -1
		}
		is = append(is, fn(k, module.Int, func(c *module.Call, s *state, a []module.Value) module.Value { return module.Yes(find(c, s, a) >= 0) }))
		index = append(index, fn(k, module.Int, func(c *module.Call, s *state, a []module.Value) module.Value {
			if i := find(c, s, a); i >= 0 {
				return module.Of(i)
			}
			return module.Value{}
		}))
	}
	m["exports"], m["exports_index"] = module.FuncOf(is...), module.FuncOf(index...)
}

// wanted tells whether a library's function is the one that is asked for.
type wanted func(c *module.Call, l *library, f *function, a []module.Value) bool

func importFunctions(m map[string]*module.Type) {
	lib := func(l *library, v module.Value) bool { return strings.EqualFold(l.name, v.S) }
	tests := map[string]wanted{
		"ss": func(_ *module.Call, l *library, f *function, a []module.Value) bool {
			return lib(l, a[0]) && strings.EqualFold(importName(l.name, *f), a[1].S)
		},
		"si": func(_ *module.Call, l *library, f *function, a []module.Value) bool {
			return lib(l, a[0]) && f.ordinal == a[1].I
		},
		"s": func(_ *module.Call, l *library, _ *function, a []module.Value) bool { return lib(l, a[0]) },
		"rr": func(c *module.Call, l *library, f *function, a []module.Value) bool {
			return match(c, a[0], l.name) && match(c, a[1], importName(l.name, *f))
		},
	}
	var forms []module.Function
	for _, k := range []string{"ss", "si", "s", "rr"} {
		t := tests[k]
		forms = append(forms,
			fn(k, module.Int, func(c *module.Call, s *state, a []module.Value) module.Value {
				return countImports(c, s.imports, t, a, k == "ss" || k == "si")
			}),
			fn("i"+k, module.Int, func(c *module.Call, s *state, a []module.Value) module.Value {
				n := module.Of(0)
				if a[0].I&importStandard != 0 {
					n.I += countImports(c, s.imports, t, a[1:], k == "ss" || k == "si").I
				}
				if a[0].I&importDelayed != 0 {
					n.I += countImports(c, s.delayed, t, a[1:], k == "ss" || k == "si").I
				}
				return n
			}))
	}
	m["imports"] = module.FuncOf(forms...)
	rva := func(of func(s *state) []library) *module.Type {
		var out []module.Function
		for _, k := range []string{"ss", "si"} {
			t := tests[k]
			out = append(out, fn(k, module.Int, func(c *module.Call, s *state, a []module.Value) module.Value { return importRVA(c, of(s), t, a) }))
		}
		return module.FuncOf(out...)
	}
	m["import_rva"] = rva(func(s *state) []library { return s.imports })
	m["delayed_import_rva"] = rva(func(s *state) []library { return s.delayed })
}

// countImports counts; a question for one function has the answer 1 or 0.
func countImports(c *module.Call, libs []library, want wanted, a []module.Value, one bool) module.Value {
	n := 0
	for i := range libs {
		for k := range libs[i].funcs {
			if !want(c, &libs[i], &libs[i].funcs[k], a) {
				continue
			}
			if n++; one {
				return module.Of(1)
			}
		}
	}
	return module.Of(n)
}

func importRVA(c *module.Call, libs []library, want wanted, a []module.Value) module.Value {
	for i := range libs {
		for k := range libs[i].funcs {
			if want(c, &libs[i], &libs[i].funcs[k], a) {
				return module.Of(libs[i].funcs[k].rva)
			}
		}
	}
	return module.Value{}
}
