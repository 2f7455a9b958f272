package build

import (
	"math"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/lex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// operand is a part of a condition that was read.
type operand struct {
	node int32
	kind module.Kind
	typ  *module.Type // of something that a module or a loop gives
	// recv is the node of the struct that a function was taken from.
	recv int32
	// known: the value stands in num at compile time.
	known bool
	num   int64
	// primary: may be an operand of arithmetic and comparison.
	primary bool
	literal bool // a text that stands in the rule
	name    string
	needs   bool // true only where a string is found
}

func (b *Builder) emit(n code.Node) int32 {
	b.prog.Nodes = append(b.prog.Nodes, n)
	return int32(len(b.prog.Nodes) - 1)
}

func (b *Builder) list(items ...int32) int32 {
	i := int32(len(b.prog.Lists))
	b.prog.Lists = append(b.prog.Lists, items...)
	return i
}

func (b *Builder) deeper() error {
	if b.depth++; b.depth > maxNesting {
		return b.fail(codeSyntax, "the condition is nested more than %d deep", maxNesting)
	}
	return nil
}

// expr reads an expression of any kind.
func (b *Builder) expr() (operand, error) {
	if err := b.deeper(); err != nil {
		return operand{}, err
	}
	o, err := b.chained("or", b.conjunction, code.OpOr)
	b.depth--
	return o, err
}

func (b *Builder) conjunction() (operand, error) {
	return b.chained("and", b.negation, code.OpAnd)
}

// chained reads terms between the same word; a long row is one node.
func (b *Builder) chained(word string, term func() (operand, error), op code.Op) (operand, error) {
	o, err := term()
	if err != nil || !b.keyword(word) {
		return o, err
	}
	o = b.boolean(o)
	nodes, needs := []int32{o.node}, o.needs
	for b.keyword(word) {
		if err := b.advance(); err != nil {
			return o, err
		}
		if o, err = term(); err != nil {
			return o, err
		}
		o = b.boolean(o)
		nodes = append(nodes, o.node)
		if op == code.OpAnd {
			needs = needs || o.needs
		} else {
			needs = needs && o.needs
		}
	}
	n := b.emit(code.Node{Op: op, A: b.list(nodes...), B: int32(len(nodes))})
	return operand{node: n, kind: module.Bool, needs: needs}, nil
}

// boolean makes a truth of an operand.
func (b *Builder) boolean(o operand) operand {
	if o.kind == module.String {
		if o.literal {
			b.warn(b.tok.Line, "using literal string %q in a boolean operation", o.name)
		}
		o.node = b.emit(code.Node{Op: code.OpStrBool, A: o.node})
	}
	return operand{node: o.node, kind: module.Bool, needs: o.needs && o.kind == module.Bool}
}

func (b *Builder) negation() (operand, error) {
	op := code.OpNot
	switch {
	case b.keyword("defined"):
		op = code.OpDefined
	case !b.keyword("not"):
		return b.comparison()
	}
	if err := b.deeper(); err != nil {
		return operand{}, err
	}
	if err := b.advance(); err != nil {
		return operand{}, err
	}
	o, err := b.negation()
	b.depth--
	if err != nil {
		return o, err
	}
	o = b.boolean(o)
	return operand{node: b.emit(code.Node{Op: op, A: o.node}), kind: module.Bool}, nil
}

func (b *Builder) comparison() (operand, error) {
	switch {
	case b.keyword("for"):
		return b.forLoop()
	case b.keyword("all"), b.keyword("any"), b.keyword("none"):
		q, err := b.quantifier()
		if err != nil {
			return operand{}, err
		}
		return b.of(q)
	case b.keyword("true"), b.keyword("false"):
		op := code.OpTrue
		if b.keyword("false") {
			op = code.OpFalse
		}
		return operand{node: b.emit(code.Node{Op: op}), kind: module.Bool}, b.advance()
	case b.tok.Kind == lex.StringID:
		return b.found()
	}
	left, err := b.arithmetic(0)
	if err != nil || !left.primary {
		return left, err
	}
	switch {
	case b.keyword("of"):
		q, err := b.checkQuantifier(left)
		if err != nil {
			return operand{}, err
		}
		return b.of(q)
	case b.punct("%"):
		return b.percentOf(left)
	case b.tok.Kind == lex.Punct:
		if op, ok := comparisons(b.tok.Text); ok {
			return b.compare(left, op)
		}
	case b.tok.Kind == lex.Keyword:
		if op, ok := textOperators(b.tok.Text); ok {
			return b.textOperation(left, op)
		}
	}
	return left, nil
}

func comparisons(s string) (code.Op, bool) {
	switch s {
	case "==":
		return code.OpEq, true
	case "!=":
		return code.OpNe, true
	case "<":
		return code.OpLt, true
	case ">":
		return code.OpGt, true
	case "<=":
		return code.OpLe, true
	case ">=":
		return code.OpGe, true
	}
	return 0, false
}

func textOperators(s string) (code.Op, bool) {
	switch s {
	case "contains":
		return code.OpContains, true
	case "icontains":
		return code.OpIContains, true
	case "startswith":
		return code.OpStartsWith, true
	case "istartswith":
		return code.OpIStartsWith, true
	case "endswith":
		return code.OpEndsWith, true
	case "iendswith":
		return code.OpIEndsWith, true
	case "iequals":
		return code.OpIEquals, true
	case "matches":
		return code.OpMatches, true
	}
	return 0, false
}

// typed reads the right side of an operator of truths, of whose operands fits
// says whether they are of the kinds it takes, and emits it.
func (b *Builder) typed(left operand, op code.Op, fits func(sign string, right operand) error) (operand, error) {
	sign := b.tok.Text
	right, err := b.rightSide()
	if err == nil {
		err = fits(sign, right)
	}
	if err != nil {
		return right, err
	}
	return operand{node: b.emit(code.Node{Op: op, A: left.node, B: right.node}), kind: module.Bool}, nil
}

func (b *Builder) compare(left operand, op code.Op) (operand, error) {
	return b.typed(left, op, func(sign string, right operand) error { return b.sameType(sign, left, right, true) })
}

func (b *Builder) rightSide() (operand, error) {
	if err := b.advance(); err != nil {
		return operand{}, err
	}
	right, err := b.arithmetic(0)
	if err == nil && !right.primary {
		err = b.fail(codeSyntax, "syntax error, unexpected truth on the right of an operator")
	}
	return right, err
}

func number(k module.Kind) bool { return k == module.Int || k == module.Float }

func (b *Builder) sameType(sign string, l, r operand, texts bool) error {
	switch {
	case number(l.kind) && number(r.kind):
		return nil
	case l.kind == module.String && r.kind == module.String:
		if texts {
			return nil
		}
		return b.fail(codeWrongType, "strings don't support %q operation", sign)
	}
	return b.fail(codeWrongType, "type mismatch at %q", sign)
}

func (b *Builder) textOperation(left operand, op code.Op) (operand, error) {
	return b.typed(left, op, func(word string, right operand) error {
		want := module.String
		if op == code.OpMatches {
			want = module.Regexp
		}
		if left.kind != module.String || right.kind != want {
			return b.fail(codeWrongType, "wrong type for operator %q", word)
		}
		return nil
	})
}

// binary gives an arithmetic operator and how strongly it binds.
func binary(s string) (code.Op, int) {
	switch s {
	case "|":
		return code.OpBitOr, 1
	case "^":
		return code.OpBitXor, 2
	case "&":
		return code.OpBitAnd, 3
	case "<<":
		return code.OpShl, 4
	case ">>":
		return code.OpShr, 4
	case "+":
		return code.OpAdd, 5
	case "-":
		return code.OpSub, 5
	case "*":
		return code.OpMul, 6
	case "\\":
		return code.OpDiv, 6
	case "%":
		return code.OpMod, 6
	}
	return 0, 0
}

// arithmetic reads a primary expression whose operators bind more strongly
// than floor.
func (b *Builder) arithmetic(floor int) (operand, error) {
	left, err := b.unary()
	for length := 0; err == nil && left.primary && b.tok.Kind == lex.Punct; length++ {
		op, bind := binary(b.tok.Text)
		if bind <= floor || (op == code.OpMod && b.peek().Kind == lex.Keyword && b.peek().Text == "of") {
			return left, nil
		}
		if length > 100*maxNesting {
			return left, b.fail(codeSyntax, "the expression is too long")
		}
		sign := b.tok.Text
		if err := b.advance(); err != nil {
			return left, err
		}
		right, err := b.arithmetic(bind)
		if err != nil {
			return right, err
		}
		if left, err = b.operation(op, sign, left, right); err != nil {
			return left, err
		}
	}
	return left, err
}

func (b *Builder) unary() (operand, error) {
	if err := b.deeper(); err != nil {
		return operand{}, err
	}
	defer func() { b.depth-- }()
	if !b.punct("-") && !b.punct("~") {
		return b.atomic()
	}
	sign := b.tok.Text
	if err := b.advance(); err != nil {
		return operand{}, err
	}
	o, err := b.unary()
	if err != nil {
		return o, err
	}
	if !o.primary {
		return o, b.fail(codeSyntax, "syntax error, unexpected truth after %q", sign)
	}
	op := code.OpNeg
	if sign == "~" {
		op = code.OpBitNot
	}
	if !number(o.kind) || (op == code.OpBitNot && o.kind != module.Int) {
		return o, b.fail(codeWrongType, "wrong type for operator %q", sign)
	}
	out := operand{node: b.emit(code.Node{Op: op, A: o.node}), kind: o.kind, primary: true, known: o.known, num: -o.num}
	if op == code.OpBitNot {
		out.num = ^o.num
	}
	return out, nil
}

// operation checks and emits an arithmetic operation.
func (b *Builder) operation(op code.Op, sign string, l, r operand) (operand, error) {
	if !r.primary {
		return r, b.fail(codeSyntax, "syntax error, unexpected truth on the right of %q", sign)
	}
	out := operand{kind: module.Int, primary: true, known: l.known && r.known}
	switch op {
	case code.OpAdd, code.OpSub, code.OpMul, code.OpDiv:
		if err := b.sameType(sign, l, r, false); err != nil {
			return out, err
		}
		if l.kind == module.Float || r.kind == module.Float {
			out.kind, out.known = module.Float, false
		}
	default:
		if l.kind != module.Int || r.kind != module.Int {
			return out, b.fail(codeWrongType, "wrong type for operator %q", sign)
		}
	}
	if err := b.fold(op, sign, l, r, &out); err != nil {
		return out, err
	}
	out.node = b.emit(code.Node{Op: op, A: l.node, B: r.node})
	return out, nil
}

// fold computes what is known at compile time, and finds what cannot be.
func (b *Builder) fold(op code.Op, sign string, l, r operand, out *operand) error {
	if out.kind != module.Int {
		return nil
	}
	switch {
	case (op == code.OpDiv || op == code.OpMod) && r.known && r.num == 0:
		return b.fail(codeDivision, "division by zero")
	case (op == code.OpShl || op == code.OpShr) && r.known && r.num < 0:
		return b.fail(codeOperand, "shift by a negative number")
	case (op == code.OpShl || op == code.OpShr) && r.known && r.num >= 64:
		out.known, out.num = true, 0 // whatever is shifted
		return nil
	case !out.known:
		return nil
	}
	v, ok := compute(op, l.num, r.num)
	if !ok {
		return b.fail(codeOverflow, "integer overflow in \"%d %s %d\"", l.num, sign, r.num)
	}
	out.num = v
	return nil
}

func compute(op code.Op, x, y int64) (v int64, ok bool) {
	switch op {
	case code.OpAdd:
		return x + y, (y <= 0 || x <= math.MaxInt64-y) && (y >= 0 || x >= math.MinInt64-y)
	case code.OpSub:
		return x - y, (y >= 0 || x <= math.MaxInt64+y) && (y <= 0 || x >= math.MinInt64+y)
	case code.OpMul:
		ax, ay := abs(x), abs(y)
		return x * y, ay == 0 || ax >= 0 && ay > 0 && ax <= math.MaxInt64/ay
	case code.OpDiv:
		return x / y, x != math.MinInt64 || y != -1
	case code.OpMod:
		if y == -1 {
			return 0, true
		}
		return x % y, true
	case code.OpBitAnd:
		return x & y, true
	case code.OpBitOr:
		return x | y, true
	case code.OpBitXor:
		return x ^ y, true
	case code.OpShl:
		return x << min(uint64(y), 64), true
	default:
		if y >= 64 {
			return 0, true
		}
		return x >> uint64(y), true
	}
}

func abs(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}
