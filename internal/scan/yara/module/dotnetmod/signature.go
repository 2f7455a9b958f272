package dotnetmod

import (
	"strconv"
	"strings"
)

// Limits on one type.
const (
	maxDepth    = 10
	maxRank     = 50
	maxGenerics = 255
	maxTypeText = 4096
)

// The codes of types that others follow (II.23.1.16).
const (
	codePtr        = 0x0F
	codeByRef      = 0x10
	codeValueType  = 0x11
	codeClass      = 0x12
	codeVar        = 0x13
	codeArray      = 0x14
	codeGeneric    = 0x15
	codeFunction   = 0x1B
	codeObject     = 0x1C
	codeVector     = 0x1D
	codeMethodVar  = 0x1E
	codeModRequire = 0x1F
	codeModOption  = 0x20
)

// simple names the types that stand alone, as C# does.
func simple(code byte) string {
	switch code {
	case 0x16:
		return "TypedReference"
	case 0x18:
		return "IntPtr"
	case 0x19:
		return "UIntPtr"
	case codeObject:
		return "object"
	}
	names := [...]string{"", "void", "bool", "char", "sbyte", "byte", "short", "ushort", "int", "uint", "long", "ulong", "float", "double", "string"}
	if int(code) < len(names) {
		return names[code]
	}
	return ""
}

// signature reads types from a blob. A type that cannot be read is "".
type signature struct {
	c             *classes
	b             []byte
	class, method []string // generic parameters
}

// number reads a packed number; 0 where there is none.
func (s *signature) number() int {
	n, width := packedLength(s.b)
	s.b = s.b[width:]
	return n
}

// signed reads a packed number that has its sign in its lowest bit.
func (s *signature) signed() int {
	n, width := packedLength(s.b)
	s.b = s.b[width:]
	if n&1 == 0 {
		return n >> 1
	}
	size := map[int]int{1: 6, 2: 13, 4: 28}[width]
	return n>>1 - 1<<size
}

func (s *signature) typ(depth int) string {
	s.c.work++
	if len(s.b) == 0 || depth > maxDepth || s.c.work > maxWork {
		return ""
	}
	code := s.b[0]
	s.b = s.b[1:]
	text := s.compound(code, depth)
	if len(text) > maxTypeText {
		return ""
	}
	return s.c.spend(text)
}

// wrapped is a type that another follows.
func (s *signature) wrapped(before, after string, depth int) string {
	if t := s.typ(depth + 1); t != "" {
		return before + t + after
	}
	return ""
}

func (s *signature) compound(code byte, depth int) string {
	switch code {
	case codePtr:
		return s.wrapped("Ptr<", ">", depth)
	case codeByRef:
		return s.wrapped("ref ", "", depth)
	case codeVector:
		return s.wrapped("", "[]", depth)
	case codeModRequire, codeModOption:
		s.number()
		return s.typ(depth + 1)
	case codeValueType, codeClass:
		return s.c.typeName(int64(s.number()), s.class, depth+1)
	case codeVar:
		return pick(s.class, s.number())
	case codeMethodVar:
		return pick(s.method, s.number())
	case codeArray:
		return s.array(depth)
	case codeGeneric:
		return s.generic(depth)
	case codeFunction:
		return s.function(depth)
	}
	return simple(code)
}

func pick(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

// array reads the type, the number of dimensions, their sizes and lower bounds.
func (s *signature) array(depth int) string {
	elem := s.typ(depth + 1)
	rank := s.number()
	if elem == "" || rank == 0 || rank > maxRank {
		return ""
	}
	sizes, bounds := make([]int, rank), make([]int, rank)
	n := s.number()
	if n > rank {
		return ""
	}
	for i := range n {
		sizes[i] = s.number()
	}
	k := s.number()
	if k > rank {
		return ""
	}
	for i := range k {
		bounds[i] = s.signed()
		if i < n {
			sizes[i] += bounds[i]
		}
	}
	dims := make([]string, rank)
	for i := range dims {
		if bounds[i] != 0 {
			dims[i] = strconv.Itoa(bounds[i]) + "..."
		}
		if sizes[i] != 0 {
			dims[i] += strconv.Itoa(sizes[i])
		}
	}
	return elem + "[" + strings.Join(dims, ",") + "]"
}

// types reads n types; those that cannot be read are left out.
func (s *signature) types(n, depth int) []string {
	var out []string
	for range n {
		if t := s.typ(depth + 1); t != "" {
			out = append(out, t)
		}
		if len(s.b) == 0 {
			break
		}
	}
	return out
}

func (s *signature) generic(depth int) string {
	base := s.typ(depth + 1)
	n := s.number()
	if base == "" || n > maxGenerics {
		return ""
	}
	return base + "<" + strings.Join(s.types(n, depth), ",") + ">"
}

func (s *signature) function(depth int) string {
	if len(s.b) == 0 {
		return ""
	}
	s.b = s.b[1:] // how it is called
	n := s.number()
	result := s.typ(depth + 1)
	if result == "" || n > maxParams {
		return ""
	}
	return "FnPtr<" + result + "(" + strings.Join(s.types(n, depth), ", ") + ")>"
}

// typeName gives the full name of the type that a coded index points to.
func (c *classes) typeName(index int64, generics []string, depth int) string {
	i := index >> 2
	switch index & 3 {
	case 0:
		r, ok := c.f.l.row(tTypeDef, i)
		if !ok {
			return ""
		}
		name, _ := c.f.text(r[1])
		space, _ := c.f.text(r[2])
		if nested(r[0]) {
			space = fullName(space, c.around(i, 1))
		}
		return c.spend(fullName(name, space))
	case 1:
		r, ok := c.f.l.row(tTypeRef, i)
		if !ok {
			return ""
		}
		name, _ := c.f.text(r[1])
		space, _ := c.f.text(r[2])
		return c.spend(fullName(name, space))
	case 2:
		r, ok := c.f.l.row(tTypeSpec, i)
		if !ok {
			return ""
		}
		blob, ok := c.f.blob(r[0])
		if !ok {
			return ""
		}
		s := &signature{c: c, b: blob, class: generics}
		return s.typ(depth)
	}
	return ""
}
