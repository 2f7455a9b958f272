package shell

import (
	"context"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

const maxArith = 64 // nesting of names that hold expressions

// arith evaluates with 64-bit wrap-around, as bash does.
func (s *sh) arith(ctx context.Context, x syntax.ArithmExpr) int64 {
	if x == nil || s.p.Step(1) != nil {
		return 0
	}
	switch x := x.(type) {
	case *syntax.Word:
		return s.arithWord(ctx, x)
	case *syntax.ParenArithm:
		return s.arith(ctx, x.X)
	case *syntax.UnaryArithm:
		return s.unary(ctx, x)
	case *syntax.BinaryArithm:
		return s.binary(ctx, x)
	}
	return 0
}

func (s *sh) arithWord(ctx context.Context, w *syntax.Word) int64 {
	if len(w.Parts) == 1 {
		if p, ok := w.Parts[0].(*syntax.ParamExp); ok && p.Short && p.Index != nil {
			v, _ := s.valueOf(ctx, p.Param.Value, p.Index)
			n, _ := s.arithText(ctx, v)
			return n
		}
	}
	n, _ := s.arithText(ctx, s.text(ctx, w))
	return n
}

// arithText reads a number, or a name that holds one.
func (s *sh) arithText(ctx context.Context, t string) (int64, bool) {
	t = strings.TrimSpace(t)
	if t == "" {
		return 0, true
	}
	if n, ok := number(t); ok {
		return n, true
	}
	if s.depth > maxArith {
		return 0, false
	}
	s.depth++
	defer func() { s.depth-- }()
	if validName(t) {
		return s.arithText(ctx, s.get(t))
	}
	if t[0] >= '0' && t[0] <= '9' && strings.Trim(t, "0123456789") == "" {
		s.fail(1, "%s: value too great for base (error token is \"%s\")", t, t)
		s.abort()
		return 0, false
	}
	p := syntax.NewParser(syntax.Variant(syntax.LangBash))
	x, err := p.Arithmetic(strings.NewReader(t))
	if err != nil || len(t) > 4096 {
		s.fail(1, "%s: syntax error: invalid arithmetic operator (error token is \"%s\")", t, t)
		return 0, false
	}
	if w, ok := x.(*syntax.Word); ok && w.Lit() == t {
		s.fail(1, "%s: syntax error in expression (error token is \"%s\")", t, t)
		return 0, false
	}
	return s.arith(ctx, x), true
}

func number(t string) (int64, bool) {
	neg := strings.HasPrefix(t, "-")
	t = strings.TrimLeft(t, "+-")
	base := 10
	switch {
	case strings.HasPrefix(t, "0x"), strings.HasPrefix(t, "0X"):
		base, t = 16, t[2:]
	case strings.Contains(t, "#"):
		b, rest, _ := strings.Cut(t, "#")
		n, err := strconv.Atoi(b)
		if err != nil || n < 2 || n > 36 {
			return 0, false
		}
		base, t = n, rest
	case len(t) > 1 && t[0] == '0':
		base, t = 8, t[1:]
	}
	n, err := strconv.ParseInt(t, base, 64)
	if err != nil {
		return 0, false
	}
	if neg {
		n = -n
	}
	return n, true
}

func (s *sh) lvalue(ctx context.Context, x syntax.ArithmExpr) (name string, index syntax.ArithmExpr) {
	w, ok := x.(*syntax.Word)
	if !ok {
		return "", nil
	}
	if len(w.Parts) == 1 {
		if p, ok := w.Parts[0].(*syntax.ParamExp); ok && p.Param != nil {
			return p.Param.Value, p.Index
		}
	}
	return s.text(ctx, w), nil
}

func (s *sh) store(ctx context.Context, x syntax.ArithmExpr, n int64) int64 {
	name, index := s.lvalue(ctx, x)
	if !validName(name) {
		s.fail(1, "%s: attempted assignment to non-variable", name)
		return 0
	}
	if index != nil {
		s.setIndex(ctx, name, index, strconv.FormatInt(n, 10), false)
		return n
	}
	s.set(ctx, name, strconv.FormatInt(n, 10))
	return n
}

func (s *sh) unary(ctx context.Context, x *syntax.UnaryArithm) int64 {
	v := s.arith(ctx, x.X)
	switch x.Op {
	case syntax.Not:
		return truth(v == 0)
	case syntax.BitNegation:
		return ^v
	case syntax.Minus:
		return -v
	case syntax.Inc, syntax.Dec:
		d := int64(1)
		if x.Op == syntax.Dec {
			d = -1
		}
		s.store(ctx, x.X, v+d)
		if x.Post {
			return v
		}
		return v + d
	}
	return v
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s *sh) binary(ctx context.Context, x *syntax.BinaryArithm) int64 {
	switch x.Op {
	case syntax.AndArit:
		return truth(s.arith(ctx, x.X) != 0 && s.arith(ctx, x.Y) != 0)
	case syntax.OrArit:
		return truth(s.arith(ctx, x.X) != 0 || s.arith(ctx, x.Y) != 0)
	case syntax.TernQuest:
		alt, _ := x.Y.(*syntax.BinaryArithm)
		if alt == nil {
			return 0
		}
		if s.arith(ctx, x.X) != 0 {
			return s.arith(ctx, alt.X)
		}
		return s.arith(ctx, alt.Y)
	case syntax.Assgn:
		return s.store(ctx, x.X, s.arith(ctx, x.Y))
	case syntax.Comma:
		s.arith(ctx, x.X)
		return s.arith(ctx, x.Y)
	}
	s.expr = x
	a, b := s.arith(ctx, x.X), s.arith(ctx, x.Y)
	if op, ok := assigning[x.Op]; ok {
		return s.store(ctx, x.X, s.operate(op, a, b))
	}
	return s.operate(x.Op, a, b)
}

var assigning = map[syntax.BinAritOperator]syntax.BinAritOperator{
	syntax.AddAssgn: syntax.Add, syntax.SubAssgn: syntax.Sub, syntax.MulAssgn: syntax.Mul, syntax.QuoAssgn: syntax.Quo,
	syntax.RemAssgn: syntax.Rem, syntax.AndAssgn: syntax.And, syntax.OrAssgn: syntax.Or, syntax.XorAssgn: syntax.Xor,
	syntax.ShlAssgn: syntax.Shl, syntax.ShrAssgn: syntax.Shr,
}

// exprText is the expression being worked on, as bash quotes it.
func (s *sh) exprText() string {
	if s.dialect != Bash || s.expr == nil {
		return ""
	}
	text := source(&syntax.Word{Parts: []syntax.WordPart{&syntax.ArithmExp{X: s.expr}}})
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(text, "$(("), "))"), " ", "") + ": "
}

func (s *sh) operate(op syntax.BinAritOperator, a, b int64) int64 {
	switch op {
	case syntax.Add:
		return a + b
	case syntax.Sub:
		return a - b
	case syntax.Mul:
		return a * b
	case syntax.Quo, syntax.Rem:
		if b == 0 {
			s.fail(1, "%sdivision by 0 (error token is \"0\")", s.exprText())
			s.abort()
			return 0
		}
		if b == -1 {
			return map[bool]int64{true: -a, false: 0}[op == syntax.Quo]
		}
		if op == syntax.Quo {
			return a / b
		}
		return a % b
	case syntax.Pow:
		r := int64(1)
		for ; b > 0; b >>= 1 {
			if b&1 == 1 {
				r *= a
			}
			a *= a
		}
		return r
	case syntax.And:
		return a & b
	case syntax.Or:
		return a | b
	case syntax.Xor:
		return a ^ b
	case syntax.Shl:
		return a << (uint64(b) & 63)
	case syntax.Shr:
		return a >> (uint64(b) & 63)
	case syntax.Eql:
		return truth(a == b)
	case syntax.Neq:
		return truth(a != b)
	case syntax.Lss:
		return truth(a < b)
	case syntax.Leq:
		return truth(a <= b)
	case syntax.Gtr:
		return truth(a > b)
	case syntax.Geq:
		return truth(a >= b)
	}
	return 0
}
