package build

import (
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/lex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// quant is how many of a set are asked for.
type quant struct {
	node  int32 // or one of code.Quant*
	known bool
	num   int64
}

func (q quant) needs() bool {
	return q.node == code.QuantAll || q.node == code.QuantAny || (q.known && q.num > 0)
}

// quantifier reads all, any, none or a number.
func (b *Builder) quantifier() (quant, error) {
	q := quant{}
	switch {
	case b.keyword("all"):
		q.node = code.QuantAll
	case b.keyword("any"):
		q.node = code.QuantAny
	case b.keyword("none"):
		q.node = code.QuantNone
	default:
		o, err := b.arithmetic(0)
		if err != nil {
			return q, err
		}
		if !o.primary {
			return q, b.fail(codeSyntax, "syntax error, unexpected truth for a number")
		}
		return b.checkQuantifier(o)
	}
	return q, b.advance()
}

func (b *Builder) checkQuantifier(o operand) (quant, error) {
	switch {
	case o.kind == module.Float || o.kind == module.String || o.kind == module.Regexp:
		return quant{}, b.fail(codeValue, "invalid value in condition: the number of a set must be an integer")
	case o.known && o.num < 0:
		return quant{}, b.fail(codeValue, "invalid value in condition: \"%d\"", o.num)
	case o.known && o.num == 0:
		b.warn(b.tok.Line, "consider using \"none\" keyword, it is less ambiguous")
	}
	return quant{node: o.node, known: o.known, num: o.num}, nil
}

// of reads what follows a quantifier: "of", a set, and perhaps where.
func (b *Builder) of(q quant) (operand, error) {
	items, rules, err := b.set()
	if err != nil {
		return operand{}, err
	}
	if q.known && q.num > int64(len(items)) {
		b.warn(b.tok.Line, "expression always false - requesting %d of %d", q.num, len(items))
	}
	o := operand{kind: module.Bool, needs: !rules && q.needs()}
	switch {
	case !rules && b.keyword("in"):
		if err := b.advance(); err != nil {
			return o, err
		}
		lo, hi, err := b.bounds()
		if err != nil {
			return o, err
		}
		o.node = b.emit(code.Node{Op: code.OpOfIn, A: b.list(append([]int32{q.node, lo, hi}, items...)...), B: int32(len(items) + 3)})
	case !rules && b.keyword("at"):
		return b.ofAt(q, items, o)
	default:
		kind := int32(code.OfStrings)
		if rules {
			kind = code.OfRules
		}
		o.node = b.emit(code.Node{Op: code.OpOf, A: b.list(append([]int32{q.node}, items...)...), B: int32(len(items) + 1), C: kind})
	}
	return o, nil
}

func (b *Builder) ofAt(q quant, items []int32, o operand) (operand, error) {
	if err := b.advance(); err != nil {
		return o, err
	}
	at, err := b.arithmetic(0)
	if err != nil {
		return o, err
	}
	if at.kind != module.Int || !at.primary {
		return o, b.fail(codeValue, "at expression must be an integer")
	}
	if (q.known && q.num > 1) || (q.node == code.QuantAll && len(items) > 1) {
		b.warn(b.tok.Line, "multiple strings at an offset is usually false")
	}
	o.node = b.emit(code.Node{Op: code.OpOfAt, A: b.list(append([]int32{q.node, at.node}, items...)...), B: int32(len(items) + 2)})
	return o, nil
}

func (b *Builder) percentOf(p operand) (operand, error) {
	if err := b.advance(); err != nil {
		return p, err
	}
	if p.kind != module.Int {
		return p, b.fail(codeWrongType, "wrong type for operator \"%%\"")
	}
	items, rules, err := b.set()
	if err != nil {
		return p, err
	}
	if p.known && (p.num < 1 || p.num > 100) {
		return p, b.fail(codePercentage, "percentage must be between 1 and 100 (inclusive)")
	}
	kind := code.OfPercent
	if rules {
		kind += code.OfRules
	}
	n := b.emit(code.Node{Op: code.OpOf, A: b.list(append([]int32{p.node}, items...)...), B: int32(len(items) + 1), C: kind})
	return operand{node: n, kind: module.Bool, needs: p.known && !rules}, nil
}

// set reads "of" and a set of strings or rules.
func (b *Builder) set() (items []int32, rules bool, err error) {
	if err := b.expect("of"); err != nil {
		return nil, false, err
	}
	if b.keyword("them") {
		if items, err = b.matching("", true); err != nil {
			return nil, false, err
		}
		return items, false, b.advance()
	}
	if err := b.expect("("); err != nil {
		return nil, false, err
	}
	rules = b.tok.Kind == lex.Ident
	for {
		var more []int32
		if rules {
			more, err = b.ruleItem()
		} else {
			more, err = b.stringItem()
		}
		if err != nil {
			return nil, false, err
		}
		items = append(items, more...)
		if !b.punct(",") {
			return items, rules, b.expect(")")
		}
		if err := b.advance(); err != nil {
			return nil, false, err
		}
	}
}

func (b *Builder) stringItem() ([]int32, error) {
	if b.tok.Kind != lex.StringID && b.tok.Kind != lex.StringWild {
		return nil, b.unexpected("string identifier")
	}
	items, err := b.matching(b.tok.Text, b.tok.Kind == lex.StringWild)
	if err != nil {
		return nil, err
	}
	return items, b.advance()
}

func (b *Builder) matching(name string, wild bool) ([]int32, error) {
	var items []int32
	for _, d := range b.rule.strings {
		if d.name == name || (wild && strings.HasPrefix(d.name, name)) {
			d.referenced = true
			items = append(items, d.pattern)
		}
	}
	if len(items) == 0 {
		star := ""
		if wild {
			star = "*"
		}
		return nil, b.fail(codeUndefString, "undefined string \"$%s%s\"", name, star)
	}
	return items, nil
}

func (b *Builder) ruleItem() ([]int32, error) {
	if b.tok.Kind != lex.Ident {
		return nil, b.unexpected("identifier")
	}
	name := b.tok.Text
	if err := b.advance(); err != nil {
		return nil, err
	}
	if !b.punct("*") {
		if i, ok := b.ns.rules[name]; ok {
			return []int32{i}, nil
		}
		return nil, b.fail(codeUndefIdent, "undefined identifier %q", name)
	}
	var items []int32
	for _, r := range b.ns.order {
		if strings.HasPrefix(r, name) {
			items = append(items, b.ns.rules[r])
		}
	}
	b.ns.wildcards = append(b.ns.wildcards, name)
	if len(items) == 0 {
		return nil, b.fail(codeUndefIdent, "undefined identifier \"%s*\"", name)
	}
	return items, b.advance()
}

// forLoop reads "for N x in ..." and "for N of ...".
func (b *Builder) forLoop() (operand, error) {
	if err := b.advance(); err != nil {
		return operand{}, err
	}
	q, err := b.quantifier()
	if err != nil {
		return operand{}, err
	}
	if len(b.rule.loops) >= maxLoops {
		return operand{}, b.fail(codeLoopNesting, "loop nesting limit exceeded")
	}
	var l loop
	var source []int32
	var kind int32
	slot := b.rule.slots
	ofStrings := b.keyword("of")
	if ofStrings {
		kind = code.IterStrings
		source, err = b.loopSet()
		b.rule.slots++
	} else {
		l, source, kind, err = b.loopOver()
	}
	if err != nil {
		return operand{}, err
	}
	if ofStrings {
		b.rule.inOf = true
	}
	b.rule.loops = append(b.rule.loops, l)
	body, err := b.loopBody()
	if err != nil {
		return operand{}, err
	}
	b.rule.loops = b.rule.loops[:len(b.rule.loops)-1]
	if ofStrings {
		b.rule.inOf = false
	}
	items := append([]int32{q.node, body, slot, int32(len(l.vars))}, source...)
	n := b.emit(code.Node{Op: code.OpFor, A: b.list(items...), B: int32(len(items)), C: kind})
	return operand{node: n, kind: module.Bool}, nil
}

func (b *Builder) loopBody() (int32, error) {
	if err := b.expect(":"); err != nil {
		return 0, err
	}
	if err := b.expect("("); err != nil {
		return 0, err
	}
	o, err := b.expr()
	if err != nil {
		return 0, err
	}
	o = b.boolean(o)
	return o.node, b.expect(")")
}

func (b *Builder) loopSet() ([]int32, error) {
	items, rules, err := b.set()
	if err != nil {
		return nil, err
	}
	if rules {
		return nil, b.fail(codeSyntax, "syntax error, unexpected identifier, expecting string identifier")
	}
	if b.rule.inOf {
		return nil, b.fail(codeNestedOf, "'for <quantifier> of <string set>' loops can't be nested")
	}
	return items, nil
}

// loopOver reads the variables of a loop and what it goes over.
func (b *Builder) loopOver() (l loop, source []int32, kind int32, err error) {
	for {
		if b.tok.Kind != lex.Ident {
			return l, nil, 0, b.unexpected("identifier")
		}
		if len(l.vars) >= 2 {
			return l, nil, 0, b.fail(codeSyntax, "too many loop variables")
		}
		if b.isLoopVar(b.tok.Text, l) {
			return l, nil, 0, b.fail(codeDupLoop, "duplicated loop identifier %q", b.tok.Text)
		}
		l.vars = append(l.vars, variable{name: b.tok.Text, slot: b.rule.slots, typ: module.T(module.Undef)})
		b.rule.slots++
		if err := b.advance(); err != nil {
			return l, nil, 0, err
		}
		if !b.punct(",") {
			break
		}
		if err := b.advance(); err != nil {
			return l, nil, 0, err
		}
	}
	if err := b.expect("in"); err != nil {
		return l, nil, 0, err
	}
	if b.punct("(") {
		source, kind, err = b.loopItems(&l)
	} else {
		source, kind, err = b.loopObject(&l)
	}
	return l, source, kind, err
}

func (b *Builder) isLoopVar(name string, l loop) bool {
	for _, outer := range append(slices.Clip(b.rule.loops), l) {
		for _, v := range outer.vars {
			if v.name == name {
				return true
			}
		}
	}
	return false
}

func (b *Builder) loopObject(l *loop) (source []int32, kind int32, err error) {
	if b.tok.Kind != lex.Ident {
		return nil, 0, b.unexpected("identifier or set")
	}
	o, err := b.identifier()
	if err != nil {
		return nil, 0, err
	}
	switch {
	case o.typ != nil && o.typ.Kind == module.Array:
		if len(l.vars) != 1 {
			return nil, 0, b.fail(codeSyntax, "iterator for %q yields a single item on each iteration, but the loop expects %d", o.name, len(l.vars))
		}
		l.vars[0].typ = o.typ.Elem
		return []int32{o.node}, code.IterArray, nil
	case o.typ != nil && o.typ.Kind == module.Dict:
		if len(l.vars) != 2 {
			return nil, 0, b.fail(codeSyntax, "iterator for %q yields a key,value pair item on each iteration", o.name)
		}
		l.vars[0].typ, l.vars[1].typ = module.T(module.String), o.typ.Elem
		return []int32{o.node}, code.IterDict, nil
	}
	return nil, 0, b.fail(codeWrongType, "identifier %q is not iterable", o.name)
}

// loopItems reads "(1, 2, 3)", "("a", "b")" or "(1..3)".
func (b *Builder) loopItems(l *loop) (source []int32, kind int32, err error) {
	if err := b.advance(); err != nil {
		return nil, 0, err
	}
	first, err := b.arithmetic(0)
	if err != nil {
		return nil, 0, err
	}
	kind = code.IterList
	if b.punct("..") { //nolint:nestif // a range or a list
		lo, hi, err := b.upTo(first)
		if err != nil {
			return nil, 0, err
		}
		source, kind = []int32{lo, hi}, code.IterRange
	} else {
		if first.kind != module.Int && first.kind != module.String {
			return nil, 0, b.fail(codeWrongType, "wrong type for enumeration item")
		}
		source = []int32{first.node}
		for b.punct(",") {
			if err := b.advance(); err != nil {
				return nil, 0, err
			}
			o, err := b.arithmetic(0)
			if err != nil {
				return nil, 0, err
			}
			if o.kind != first.kind {
				return nil, 0, b.fail(codeWrongType, "enumerations must be all the same type")
			}
			source = append(source, o.node)
		}
		if err := b.expect(")"); err != nil {
			return nil, 0, err
		}
	}
	if len(l.vars) != 1 {
		return nil, 0, b.fail(codeSyntax, "iterator yields one value on each iteration, but the loop expects %d", len(l.vars))
	}
	l.vars[0].typ = module.T(first.kind)
	return source, kind, nil
}
