package calc

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// Tests is the module that libyara's own test suite imports: constants, empty
// collections, functions of each type.
func Tests() *module.Module {
	i, s, fl := module.T(module.Int), module.T(module.String), module.T(module.Float)
	two := map[string]*module.Type{"i": i, "s": s}
	unused := module.StructOf(map[string]*module.Type{"unused": s})
	f := map[string]*module.Type{
		"constants":         module.StructOf(map[string]*module.Type{"one": i, "two": i, "foo": s, "empty": s}),
		"undefined":         module.StructOf(map[string]*module.Type{"i": i, "f": fl}),
		"module_data":       s,
		"integer_array":     module.ArrayOf(i),
		"string_array":      module.ArrayOf(s),
		"integer_dict":      module.DictOf(i),
		"string_dict":       module.DictOf(s),
		"struct_array":      module.ArrayOf(module.StructOf(two)),
		"struct_dict":       module.DictOf(module.StructOf(two)),
		"empty_struct_dict": module.DictOf(module.StructOf(map[string]*module.Type{"unused": i})),
		"empty_struct_array": module.ArrayOf(module.StructOf(map[string]*module.Type{
			"struct_array": module.ArrayOf(unused), "struct_dict": module.DictOf(unused),
		})),
	}
	testFunctions(f)
	return &module.Module{Name: "tests", Type: module.StructOf(f), Load: loader(testValues)}
}

func testFunctions(f map[string]*module.Type) {
	f["match"] = module.FuncOf(form("rs", module.Int, func(c *module.Call, a []module.Value) module.Value {
		p, _ := a[0].P.(*module.Pattern)
		return module.Of(c.Search(p, a[1].S))
	}))
	isum := func(_ *module.Call, a []module.Value) module.Value {
		var n int64
		for _, v := range a {
			n += v.I
		}
		return module.Of(n)
	}
	fsum := func(_ *module.Call, a []module.Value) module.Value {
		n := 0.0
		for _, v := range a {
			n += v.Float()
		}
		return module.Flt(n)
	}
	f["isum"] = module.FuncOf(form("ii", module.Int, isum), form("iii", module.Int, isum))
	f["fsum"] = module.FuncOf(form("ff", module.Float, fsum), form("fff", module.Float, fsum))
	f["length"] = module.FuncOf(form("s", module.Int, func(_ *module.Call, a []module.Value) module.Value {
		text, _, _ := strings.Cut(a[0].S, "\x00")
		return module.Of(len(text))
	}))
	f["empty"] = module.FuncOf(form("", module.String, func(*module.Call, []module.Value) module.Value { return module.Str("") }))
	f["foobar"] = module.FuncOf(form("i", module.String, func(_ *module.Call, a []module.Value) module.Value {
		switch a[0].I {
		case 1:
			return module.Str("foo")
		case 2:
			return module.Str("bar")
		}
		return module.Str("oops")
	}))
}

func testValues() module.Value {
	numbers := make([]module.Value, 257)
	for _, n := range []int{0, 1, 2, 256} {
		numbers[n] = module.Of(n)
	}
	foo := map[string]module.Value{"foo": module.Record(module.Fields{"s": module.Str("foo"), "i": module.Of(1)})}
	dict := func(keys []string, m map[string]module.Value) module.Value {
		return module.Value{K: module.Dict, P: &module.Map{Keys: keys, M: m}}
	}
	return module.Record(module.Fields{
		"constants":     module.Record(module.Fields{"one": module.Of(1), "two": module.Of(2), "foo": module.Str("foo"), "empty": module.Str("")}),
		"undefined":     module.Record(module.Fields{}),
		"integer_array": module.List(numbers),
		"string_array":  module.List([]module.Value{module.Str("foo"), module.Str("bar"), module.Str("baz"), module.Str("foo\x00bar")}),
		"string_dict":   dict([]string{"foo", "bar"}, map[string]module.Value{"foo": module.Str("foo"), "bar": module.Str("bar")}),
		"struct_array":  module.List([]module.Value{{}, module.Record(module.Fields{"i": module.Of(1)})}),
		"struct_dict":   dict([]string{"foo"}, foo),
	})
}
