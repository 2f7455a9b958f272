package dotnetmod

import (
	"maps"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// Limits on what is read of the types, against files that name each other's
// parts again and again.
const (
	maxClasses   = 1 << 16
	maxMethods   = 1 << 17 // of all classes together
	maxParams    = 500
	maxEnclosing = 10
	maxWork      = 1 << 21  // parts of signatures, of the whole file
	maxMade      = 16 << 20 // bytes of names made, of the whole file
)

// The flags of a type and of a method (II.23.1.15, II.23.1.10).
const (
	visibilityMask = 7
	nestedFrom     = 2
	interfaceFlag  = 0x20
	typeAbstract   = 0x80
	typeSealed     = 0x100
	methodStatic   = 0x10
	methodFinal    = 0x20
	methodVirtual  = 0x40
	methodAbstract = 0x400
	genericMethod  = 0x10 // of a signature
)

// classes reads the types of an assembly.
type classes struct {
	f          *file
	rows       []int64            // of TypeDef, of the types that count
	generics   map[int64][]string // by the coded number of their owner
	enclosing  map[int64]int64    // the type around a nested one
	interfaces map[int64][]int64  // by type
	done       map[int]*class
	methods    int
	work, made int
}

// class is a type; its value is made of it when a rule asks.
type class struct {
	fields          module.Fields
	generics, bases []string
	methods         []method
	hasMethods      bool
}

type method struct {
	name, result string
	flags        int64
	generics     []string
	params       []param
	hasParams    bool
}

type param struct {
	name, typ string
	named     bool
}

// spend counts the bytes of a name; past the limit there is none.
func (c *classes) spend(s string) string {
	if c.made += len(s); c.made > maxMade {
		return ""
	}
	return s
}

func nested(flags int64) bool { return flags&visibilityMask >= nestedFrom }

// fullName joins a namespace and a name; the number of generic parameters,
// behind a grave accent, is left out.
func fullName(name, space string) string {
	switch {
	case name == "":
		return space
	case space != "":
		name = space + "." + name
	}
	name, _, _ = strings.Cut(name, "`")
	return name
}

// readClasses fills classes and number_of_classes.
func (f *file) readClasses(m module.Fields) {
	c := &classes{f: f, generics: map[int64][]string{}, enclosing: map[int64]int64{}, interfaces: map[int64][]int64{}, done: map[int]*class{}}
	n := 0
	within := func() bool { n++; return n < maxMethods }
	f.l.each(tGenericParam, func(_ int64, r row) bool {
		if name, ok := f.text(r[3]); ok && name != "" {
			if name = c.spend(name); name != "" {
				c.generics[r[2]] = append(c.generics[r[2]], name)
			}
		}
		return within()
	})
	f.l.each(tNestedClass, func(_ int64, r row) bool {
		if _, has := c.enclosing[r[0]]; !has {
			c.enclosing[r[0]] = r[1]
		}
		return within()
	})
	f.l.each(tInterfaceImpl, func(_ int64, r row) bool {
		c.interfaces[r[0]] = append(c.interfaces[r[0]], r[1])
		return within()
	})
	f.l.each(tTypeDef, func(i int64, r row) bool {
		if name, ok := f.text(r[1]); ok && name != "" && name[0] != '`' && name != "<Module>" {
			c.rows = append(c.rows, i)
		}
		return len(c.rows) < maxClasses
	})
	m["number_of_classes"] = module.Of(len(c.rows))
	m["classes"] = module.Rows(len(c.rows), func(i int) module.Value {
		x, has := c.done[i]
		if !has {
			x = c.class(c.rows[i])
			c.done[i] = x
		}
		return x.value()
	})
}

func (x *class) value() module.Value {
	m := maps.Clone(x.fields)
	m["generic_parameters"], m["number_of_generic_parameters"] = list(x.generics), module.Of(len(x.generics))
	m["base_types"], m["number_of_base_types"] = list(x.bases), module.Of(len(x.bases))
	if x.hasMethods {
		m["number_of_methods"] = module.Of(len(x.methods))
		m["methods"] = module.Rows(len(x.methods), func(i int) module.Value { return x.methods[i].value() })
	}
	return module.Record(m)
}

func (x *method) value() module.Value {
	m := module.Fields{
		"name": module.Str(x.name), "visibility": module.Str(methodVisibility(x.flags)), "static": module.Yes(x.flags&methodStatic != 0),
		"final": module.Yes(x.flags&methodFinal != 0), "virtual": module.Yes(x.flags&methodVirtual != 0), "abstract": module.Yes(x.flags&methodAbstract != 0),
		"generic_parameters": list(x.generics), "number_of_generic_parameters": module.Of(len(x.generics)),
	}
	if x.name != ".ctor" && x.name != ".cctor" {
		m["return_type"] = module.Str(x.result)
	}
	if x.hasParams {
		m["number_of_parameters"] = module.Of(len(x.params))
		m["parameters"] = module.Rows(len(x.params), func(i int) module.Value {
			p := x.params[i]
			v := module.Fields{"type": module.Str(p.typ)}
			set(v, "name", p.name, p.named)
			return module.Record(v)
		})
	}
	return module.Record(m)
}

func typeVisibility(flags int64) string {
	return [...]string{"internal", "public", "public", "private", "protected", "internal", "private protected", "protected internal"}[flags&visibilityMask]
}

func methodVisibility(flags int64) string {
	return [...]string{"private", "private", "private protected", "internal", "protected", "protected internal", "public", "private"}[flags&7]
}

func list(names []string) module.Value {
	return module.Rows(len(names), func(i int) module.Value { return module.Str(names[i]) })
}

// class reads the type in a row of TypeDef.
func (c *classes) class(i int64) *class {
	r, ok := c.f.l.row(tTypeDef, i)
	if !ok {
		return &class{fields: module.Fields{}}
	}
	name, _ := c.f.text(r[1])
	short, _, _ := strings.Cut(name, "`")
	kind := "class"
	if r[0]&interfaceFlag != 0 {
		kind = "interface"
	}
	m := module.Fields{
		"name": module.Str(c.spend(short)), "type": module.Str(kind), "visibility": module.Str(typeVisibility(r[0])),
		"abstract": module.Yes(r[0]&typeAbstract != 0), "sealed": module.Yes(r[0]&typeSealed != 0),
	}
	space, known := c.f.text(r[2])
	if nested(r[0]) {
		space = fullName(space, c.around(i, 1))
		known = space != ""
	}
	set(m, "namespace", c.spend(space), known)
	m["fullname"] = module.Str(c.spend(fullName(name, space)))
	x := &class{fields: m, generics: c.generics[i<<1]}
	x.bases = c.bases(i, r[3], x.generics)
	if x.hasMethods = r[5] != 0; x.hasMethods {
		x.methods = c.ofType(i, r[5], x.generics)
	}
	return x
}

// around gives the full name of the type that a nested one lies in.
func (c *classes) around(i int64, depth int) string {
	out, has := c.enclosing[i]
	if !has || depth > maxEnclosing {
		return ""
	}
	r, ok := c.f.l.row(tTypeDef, out)
	if !ok {
		return ""
	}
	name, _ := c.f.text(r[1])
	space, _ := c.f.text(r[2])
	if name == "<Module>" {
		return ""
	}
	if nested(r[0]) && out != i {
		space = fullName(space, c.around(out, depth+1))
	}
	return fullName(name, space)
}

// bases are the type that one extends, and the interfaces it has.
func (c *classes) bases(i, extends int64, generics []string) []string {
	var out []string
	for _, index := range append([]int64{extends}, c.interfaces[i]...) {
		if name := c.typeName(index, generics, 0); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// ofType reads the methods of a type: those from its first to the first of the
// next type.
func (c *classes) ofType(i, first int64, generics []string) []method {
	end := c.f.l.tables[tMethodDef].rows + 1
	if next, ok := c.f.l.row(tTypeDef, i+1); ok {
		end = min(end, next[5])
	}
	var out []method
	for k := first; k < end && c.methods < maxMethods; k++ {
		c.methods++
		if x, ok := c.method(k, generics); ok {
			out = append(out, x)
		}
	}
	return out
}

func (c *classes) method(i int64, generics []string) (x method, ok bool) {
	r, ok := c.f.l.row(tMethodDef, i)
	if !ok {
		return x, false
	}
	name, ok := c.f.text(r[3])
	blob, is := c.f.blob(r[4])
	if !ok || !is || len(blob) < 3 || c.spend(name) == "" {
		return x, false
	}
	x = method{name: name, flags: r[2], generics: c.generics[i<<1|1]}
	s := &signature{c: c, b: blob[1:], class: generics, method: x.generics}
	if blob[0]&genericMethod != 0 {
		s.number()
	}
	n := s.number()
	if x.result = s.typ(0); x.result == "" || n > maxParams {
		return x, false
	}
	if r[5] == 0 {
		return x, true
	}
	x.hasParams = true
	x.params, ok = c.parameters(s, r[5], n)
	return x, ok
}

// parameters reads n types from a signature, and their names from the table.
func (c *classes) parameters(s *signature, first int64, n int) ([]param, bool) {
	var out []param
	for i := range n {
		p := param{typ: s.typ(0)}
		if p.typ == "" {
			return nil, false
		}
		if r, ok := c.f.l.row(tParam, first+int64(i)); ok {
			p.name, p.named = c.f.text(r[2])
			c.spend(p.name)
		} else {
			p.name, p.named = "P_"+strconv.Itoa(i), true
		}
		out = append(out, p)
	}
	return out, true
}
