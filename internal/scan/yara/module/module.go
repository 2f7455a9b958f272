// Package module holds what YARA modules are made of: the types that rules are
// checked against, the values that a file gives, and the way to the file.
package module

import (
	"math"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Kind is the kind of a value.
type Kind uint8

// The kinds. Undef is the value that a file does not give; every operation on
// it gives it again, and as a truth it is false.
const (
	Undef Kind = iota
	Int
	Float
	Bool
	String
	Regexp
	Struct
	Array
	Dict
	Func
)

// Value is a value of a condition.
type Value struct {
	K Kind
	I int64 // of Int and Bool; the bits of a Float
	S string
	P any // Fields, []Value, *Table, *Map or *Pattern
}

// Table is an Array whose items are made when they are asked for: files tell
// of more rows than are worth keeping.
type Table struct {
	N  int
	At func(i int) Value
}

// Fields are the fields of a Struct.
type Fields map[string]Value

// Map is a Dict; the keys keep their order.
type Map struct {
	Keys []string
	M    map[string]Value
}

// Pattern is a compiled regular expression in a condition.
type Pattern struct{ Prog *rex.Prog }

// Of makes an Int.
func Of[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](v T) Value {
	return Value{K: Int, I: int64(v)}
}

// Str makes a String.
func Str(s string) Value { return Value{K: String, S: s} }

// Flt makes a Float; not a number is undefined.
func Flt(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{K: Float, I: int64(math.Float64bits(f))}
}

// Truth makes a Bool.
func Truth(b bool) Value {
	if b {
		return Value{K: Bool, I: 1}
	}
	return Value{K: Bool}
}

// Yes makes the Int 1 or 0, as modules give truths.
func Yes(b bool) Value {
	v := Truth(b)
	v.K = Int
	return v
}

// List makes an Array.
func List(v []Value) Value { return Value{K: Array, P: v} }

// Rows makes an Array of n items that at makes; at may read the file.
func Rows(n int, at func(i int) Value) Value { return Value{K: Array, P: &Table{N: n, At: at}} }

// Record makes a Struct.
func Record(f Fields) Value { return Value{K: Struct, P: f} }

// Float is the number in v.
func (v Value) Float() float64 {
	if v.K == Float {
		return math.Float64frombits(uint64(v.I))
	}
	return float64(v.I)
}

// later is a value that is made when it is first asked for.
type later struct {
	compute func() Value
	value   Value
}

// Later makes a field of a Struct that compute gives when it is first asked for:
// what costs much, such as a hash of the whole file.
func Later(compute func() Value) Value { return Value{P: &later{compute: compute}} }

// Field is a field of a Struct.
func (v Value) Field(name string) Value {
	f, _ := v.P.(Fields)
	x := f[name]
	if l, ok := x.P.(*later); ok {
		if l.compute != nil {
			l.value, l.compute = l.compute(), nil
		}
		return l.value
	}
	return x
}

// Len is the number of items of an Array.
func (v Value) Len() int {
	switch p := v.P.(type) {
	case []Value:
		return len(p)
	case *Table:
		return p.N
	}
	return 0
}

// Item is an item of an Array; outside of it, it is undefined.
func (v Value) Item(i int64) Value {
	if i < 0 || i >= int64(v.Len()) {
		return Value{}
	}
	switch p := v.P.(type) {
	case []Value:
		return p[i]
	case *Table:
		return p.At(int(i))
	}
	return Value{}
}

// Type is what a rule may do with a value.
type Type struct {
	Kind   Kind
	Fields map[string]*Type
	Elem   *Type // of Array and Dict
	Funcs  []Function
}

// Function is one form of a function: the kinds of its arguments as letters
// (i, f, s, r, b), what it gives, and the call. The receiver is the struct that
// the function is a field of.
type Function struct {
	Args   string
	Result *Type
	Call   func(c *Call, recv Value, args []Value) Value
}

// Call is what functions work with.
type Call struct {
	File *view.View
	// Root is the module's own struct, and State what its Load kept.
	Root  Value
	State any
	// Machine runs regular expressions.
	Machine *rex.Machine
	// Log takes the lines of the console module; it may be nil.
	Log func(string)
	// Work counts what was done, in steps; functions add to it.
	Work *int64
	// Cache keeps results, such as hashes, for the time of one scan.
	Cache map[string]Value
}

// Spend adds the work of reading n bytes.
func (c *Call) Spend(n int64) {
	if c.Work != nil && n > 0 {
		*c.Work += n / 16
	}
}

// maxSearch bounds the steps of one Search.
const maxSearch = 20_000_000

// Search gives the length of the first match of p in a text, -1 for none, and
// counts the work.
func (c *Call) Search(p *Pattern, text string) int {
	c.Machine.Steps, c.Machine.Limit = 0, maxSearch
	n := c.Machine.Search(p.Prog, []byte(text))
	if c.Work != nil {
		*c.Work += c.Machine.Steps
	}
	return n
}

// Module is a module that rules import.
type Module struct {
	Name string
	Type *Type
	// Load reads the file. It gives the struct, and what its functions need.
	// It never fails: what is not there is undefined.
	Load func(f *view.View) (Value, any)
}

// T makes the type of a plain kind.
func T(k Kind) *Type { return &Type{Kind: k} }

// StructOf makes the type of a struct.
func StructOf(f map[string]*Type) *Type { return &Type{Kind: Struct, Fields: f} }

// ArrayOf and DictOf make the types of collections.
func ArrayOf(e *Type) *Type { return &Type{Kind: Array, Elem: e} }

// DictOf makes the type of a dictionary.
func DictOf(e *Type) *Type { return &Type{Kind: Dict, Elem: e} }

// FuncOf makes the type of a function with its forms.
func FuncOf(f ...Function) *Type { return &Type{Kind: Func, Funcs: f} }

// Fill adds fields of one kind.
func Fill(m map[string]*Type, k Kind, names ...string) {
	for _, n := range names {
		m[n] = T(k)
	}
}
