package dexmod

import "github.com/lapwing-defence/lapwing/internal/scan/yara/module"

// pairs are the classes and names of all methods, read once.
func (f *file) pairs(c *module.Call) []pair {
	if f.names == nil {
		f.names = make([]pair, len(f.methods))
		for i := range f.methods {
			class, _, name, _ := f.methodName(&f.methods[i])
			f.names[i] = pair{class: class, name: name}
		}
		c.Spend(256 * int64(len(f.methods)))
	}
	c.Spend(16 * int64(len(f.methods)))
	return f.names
}

// fits tells whether a text is what is asked for: the same text, or one with a
// match of an expression. A text that the file does not give is empty here.
func fits(c *module.Call, want module.Value, s string) bool {
	p, ok := want.P.(*module.Pattern)
	if !ok {
		return s == want.S
	}
	return s != "" && c.Search(p, s) >= 0
}

// has makes a function that asks whether a method is there.
func has(args string, is func(c *module.Call, p *pair, want []module.Value) bool) module.Function {
	return module.Function{Args: args, Result: module.T(module.Int), Call: func(c *module.Call, _ module.Value, want []module.Value) module.Value {
		f, _ := c.State.(*file)
		if f == nil || f.read < haveClasses {
			return module.Value{}
		}
		list := f.pairs(c)
		for i := range list {
			if is(c, &list[i], want) {
				return module.Of(1)
			}
		}
		return module.Of(0)
	}}
}

// functions adds the functions of the module.
func functions(m map[string]*module.Type) {
	name := func(c *module.Call, p *pair, want []module.Value) bool { return fits(c, want[0], p.name) }
	class := func(c *module.Call, p *pair, want []module.Value) bool { return fits(c, want[0], p.class) }
	both := func(c *module.Call, p *pair, want []module.Value) bool {
		return fits(c, want[0], p.class) && fits(c, want[1], p.name)
	}
	m["has_method"] = module.FuncOf(has("s", name), has("ss", both), has("r", name), has("rr", both))
	m["has_class"] = module.FuncOf(has("s", class), has("r", class))
}
