package yara

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// eval runs conditions.
type eval struct {
	s         *Scanner
	nodes     []code.Node
	lists     []int32
	externals []module.Value
	base      []module.Value // the externals' values from compile time
	index     map[string]int
	vars      []module.Value
	current   int32 // the pattern of the present string of a loop
	steps     int64
	check     int64 // at so many steps, limits are looked at
	calls     module.Call
	loaded    []bool
	roots     []module.Value
	states    []any
	entry     module.Value
	hasEntry  bool
}

func (e *eval) init(s *Scanner) {
	p := s.rules.prog
	e.s, e.nodes, e.lists = s, p.Nodes, p.Lists
	e.index = map[string]int{}
	for i, x := range p.Externals {
		e.base = append(e.base, module.Value{K: module.Kind(x.Kind), I: x.Int, S: x.Text})
		e.index[x.Name] = i
	}
	e.externals = make([]module.Value, len(e.base))
	e.loaded = make([]bool, len(p.Modules))
	e.roots = make([]module.Value, len(p.Modules))
	e.states = make([]any, len(p.Modules))
	e.vars = make([]module.Value, 64)
}

// start makes ready for a file.
func (e *eval) start(o ScanOptions) error {
	copy(e.externals, e.base)
	for name, v := range o.Externals {
		i, ok := e.index[name]
		if !ok {
			continue
		}
		val, err := valueOf(v)
		if err != nil {
			return fmt.Errorf("external variable %q: %w", name, err)
		}
		e.externals[i] = val
	}
	clear(e.loaded)
	clear(e.roots)
	clear(e.states)
	e.hasEntry = false
	e.calls = module.Call{File: &e.s.file, Machine: &e.s.machine, Log: o.Log, Work: &e.steps, Cache: map[string]module.Value{}}
	return nil
}

// rule tells whether a rule's condition is true.
func (e *eval) rule(r *code.Rule) bool {
	e.begin()
	e.current = code.CurrentStr
	ok := truth(e.node(r.Cond))
	if e.steps > e.s.limits.Steps {
		why := fmt.Sprintf("its condition took more than %d steps", e.s.limits.Steps)
		if e.s.err != nil {
			why = "its condition was not answered to the end"
		}
		e.s.result.Limits = append(e.s.result.Limits, Limit{Rule: r.Name, Reason: why})
		return false
	}
	return ok
}

// truth is a value as a truth; what is undefined is false.
func truth(v module.Value) bool {
	switch v.K {
	case module.Undef:
		return false
	case module.Int, module.Bool, module.Float:
		return v.I != 0
	}
	return true
}

// begin counts the steps of a condition anew.
func (e *eval) begin() { e.steps, e.check = 0, checkSteps }

const checkSteps = 1 << 16

// ended looks at the limits. Once one is met, each node has no value, so that
// all loops come to their end.
func (e *eval) ended() bool {
	if e.steps > e.s.limits.Steps || !e.s.alive() {
		e.steps, e.check = max(e.steps, e.s.limits.Steps+1), 0
		return true
	}
	e.check = e.steps + checkSteps
	return false
}

func (e *eval) node(i int32) module.Value {
	n := &e.nodes[i]
	if e.steps++; e.steps >= e.check && e.ended() {
		return module.Value{}
	}
	switch n.Op {
	case code.OpInt:
		return module.Value{K: module.Int, I: n.N}
	case code.OpFloat:
		return module.Value{K: module.Float, I: n.N}
	case code.OpText:
		return module.Str(e.s.rules.prog.Texts[n.A])
	case code.OpRegexp:
		return module.Value{K: module.Regexp, P: &module.Pattern{Prog: &e.s.rules.prog.Progs[n.A]}}
	case code.OpTrue:
		return module.Truth(true)
	case code.OpFalse:
		return module.Truth(false)
	case code.OpAnd:
		for _, k := range e.lists[n.A : n.A+n.B] {
			if !truth(e.node(k)) {
				return module.Truth(false)
			}
		}
		return module.Truth(true)
	case code.OpOr:
		for _, k := range e.lists[n.A : n.A+n.B] {
			if truth(e.node(k)) {
				return module.Truth(true)
			}
		}
		return module.Truth(false)
	case code.OpNot:
		v := e.node(n.A)
		if v.K == module.Undef {
			return v
		}
		return module.Truth(!truth(v))
	case code.OpDefined:
		return module.Truth(e.node(n.A).K != module.Undef)
	case code.OpFilesize:
		return module.Of(e.s.file.Size())
	case code.OpEntrypoint:
		return e.entrypoint()
	case code.OpReadInt:
		return e.read(e.node(n.A), n.B)
	case code.OpNeg, code.OpBitNot:
		return negate(n.Op, e.node(n.A))
	case code.OpStrBool:
		v := e.node(n.A)
		if v.K == module.Undef {
			return v
		}
		return module.Truth(v.S != "")
	}
	if n.Op <= code.OpGe {
		return arithmetic(n.Op, e.node(n.A), e.node(n.B))
	}
	if n.Op <= code.OpMatches {
		return e.textual(n.Op, e.node(n.A), e.node(n.B))
	}
	return e.object(n)
}

// object evaluates what has to do with strings, rules and modules.
func (e *eval) object(n *code.Node) module.Value {
	switch n.Op {
	case code.OpFound:
		return module.Truth(len(e.matches(n.A)) > 0)
	case code.OpFoundAt:
		return e.foundAt(e.matches(n.A), e.node(n.B))
	case code.OpFoundIn:
		return e.foundIn(n)
	case code.OpCount:
		return module.Of(len(e.matches(n.A)))
	case code.OpCountIn:
		return e.countIn(n)
	case code.OpOffset, code.OpLength:
		return e.nth(n)
	case code.OpRule:
		return module.Truth(e.s.truth[n.A>>6]>>(n.A&63)&1 != 0)
	case code.OpExternal:
		return e.externals[n.A]
	case code.OpModule:
		return e.root(n.A)
	case code.OpField:
		return e.node(n.A).Field(e.s.rules.prog.Texts[n.B])
	case code.OpIndex:
		return element(e.node(n.A), e.node(n.B))
	case code.OpCall:
		return e.callFunc(e.lists[n.A : n.A+n.B])
	case code.OpVar:
		return e.vars[n.A]
	case code.OpOf:
		return e.of(n)
	case code.OpOfIn:
		return e.ofIn(n)
	case code.OpOfAt:
		return e.ofAt(n)
	case code.OpFor:
		return e.loop(n)
	}
	return module.Value{}
}

func negate(op code.Op, v module.Value) module.Value {
	switch {
	case v.K == module.Undef:
		return v
	case op == code.OpBitNot:
		return module.Of(^v.I)
	case v.K == module.Float:
		return module.Flt(-v.Float())
	}
	return module.Of(-v.I)
}

func arithmetic(op code.Op, a, b module.Value) module.Value {
	switch {
	case a.K == module.Undef || b.K == module.Undef:
		return module.Value{}
	case a.K == module.String:
		return compareOrder(op, strings.Compare(a.S, b.S))
	case a.K == module.Float || b.K == module.Float:
		return floats(op, a.Float(), b.Float())
	}
	x, y := a.I, b.I
	switch op {
	case code.OpAdd:
		return module.Of(x + y)
	case code.OpSub:
		return module.Of(x - y)
	case code.OpMul:
		return module.Of(x * y)
	case code.OpDiv, code.OpMod:
		if y == 0 || (x == math.MinInt64 && y == -1) {
			return module.Value{}
		}
		if op == code.OpDiv {
			return module.Of(x / y)
		}
		return module.Of(x % y)
	case code.OpShl, code.OpShr:
		return shift(op, x, y)
	case code.OpBitAnd:
		return module.Of(x & y)
	case code.OpBitOr:
		return module.Of(x | y)
	case code.OpBitXor:
		return module.Of(x ^ y)
	}
	order := 0
	if x < y {
		order = -1
	} else if x > y {
		order = 1
	}
	return compareOrder(op, order)
}

func shift(op code.Op, x, y int64) module.Value {
	switch {
	case y < 0:
		return module.Value{}
	case y >= 64:
		return module.Of(0)
	case op == code.OpShl:
		return module.Of(x << uint64(y))
	}
	return module.Of(x >> uint64(y))
}

func compareOrder(op code.Op, c int) module.Value {
	switch op {
	case code.OpEq:
		return module.Truth(c == 0)
	case code.OpNe:
		return module.Truth(c != 0)
	case code.OpLt:
		return module.Truth(c < 0)
	case code.OpGt:
		return module.Truth(c > 0)
	case code.OpLe:
		return module.Truth(c <= 0)
	default:
		return module.Truth(c >= 0)
	}
}

func floats(op code.Op, x, y float64) module.Value {
	switch op {
	case code.OpAdd:
		return module.Flt(x + y)
	case code.OpSub:
		return module.Flt(x - y)
	case code.OpMul:
		return module.Flt(x * y)
	case code.OpDiv:
		return module.Flt(x / y)
	case code.OpEq:
		return module.Truth(math.Abs(x-y) < floatEpsilon)
	case code.OpNe:
		return module.Truth(math.Abs(x-y) >= floatEpsilon)
	}
	order := 0
	if x < y {
		order = -1
	} else if x > y {
		order = 1
	}
	return compareOrder(op, order)
}

// floatEpsilon is how far apart floats are that count as equal.
const floatEpsilon = 2.220446049250313e-16

func (e *eval) textual(op code.Op, a, b module.Value) module.Value {
	if a.K == module.Undef || b.K == module.Undef {
		return module.Value{}
	}
	if op == code.OpMatches {
		p, ok := b.P.(*module.Pattern)
		if !ok {
			return module.Value{}
		}
		e.s.machine.Steps, e.s.machine.Limit = 0, max(1, e.s.limits.Steps-e.steps)
		ok = e.s.machine.Search(p.Prog, []byte(a.S)) >= 0
		e.steps += e.s.machine.Steps
		return module.Truth(ok)
	}
	x, y := a.S, b.S
	switch op {
	case code.OpIContains, code.OpIStartsWith, code.OpIEndsWith, code.OpIEquals:
		x, y = asciiLower(x), asciiLower(y)
	}
	switch op {
	case code.OpContains, code.OpIContains:
		return module.Truth(strings.Contains(x, y))
	case code.OpStartsWith, code.OpIStartsWith:
		return module.Truth(strings.HasPrefix(x, y))
	case code.OpEndsWith, code.OpIEndsWith:
		return module.Truth(strings.HasSuffix(x, y))
	}
	return module.Truth(x == y)
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

// read gives an integer of the file. form is made by build.readForm.
func (e *eval) read(at module.Value, form int32) module.Value {
	if at.K == module.Undef {
		return at
	}
	width := int64(form & 7)
	b := e.s.file.Full(at.I, width)
	if b == nil {
		return module.Value{}
	}
	var o binary.ByteOrder = binary.LittleEndian
	if form&16 != 0 {
		o = binary.BigEndian
	}
	signed := form&8 != 0
	switch {
	case width == 1 && signed:
		return module.Of(int8(b[0]))
	case width == 1:
		return module.Of(b[0])
	case width == 2 && signed:
		return module.Of(int16(o.Uint16(b)))
	case width == 2:
		return module.Of(o.Uint16(b))
	case signed:
		return module.Of(int32(o.Uint32(b)))
	}
	return module.Of(o.Uint32(b))
}
