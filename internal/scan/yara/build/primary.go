package build

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/lex"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

// atomic reads the smallest parts of an expression.
func (b *Builder) atomic() (operand, error) {
	t := b.tok
	switch t.Kind {
	case lex.Int:
		return operand{node: b.emit(code.Node{Op: code.OpInt, N: t.Int}), kind: module.Int, known: true, num: t.Int, primary: true}, b.advance()
	case lex.Float:
		return operand{node: b.emit(code.Node{Op: code.OpFloat, N: int64(math.Float64bits(t.Float))}), kind: module.Float, primary: true}, b.advance()
	case lex.Text:
		return operand{node: b.emit(code.Node{Op: code.OpText, A: b.text(t.Text)}), kind: module.String, primary: true, literal: true, name: t.Text}, b.advance()
	case lex.Regexp:
		return b.regexp()
	case lex.StringCount:
		return b.count()
	case lex.StringOffset:
		return b.nth(code.OpOffset)
	case lex.StringLength:
		return b.nth(code.OpLength)
	case lex.Ident:
		o, err := b.identifier()
		if err != nil {
			return o, err
		}
		return b.value(o)
	case lex.Punct:
		if t.Text == "(" {
			return b.parenthesis()
		}
	case lex.Keyword:
		return b.keywordOperand()
	}
	return operand{}, b.unexpected("an expression")
}

func (b *Builder) parenthesis() (operand, error) {
	if err := b.advance(); err != nil {
		return operand{}, err
	}
	o, err := b.expr()
	if err != nil {
		return o, err
	}
	return o, b.expect(")")
}

func (b *Builder) keywordOperand() (operand, error) {
	o := operand{kind: module.Int, primary: true}
	switch word := b.tok.Text; word {
	case "filesize":
		o.node = b.emit(code.Node{Op: code.OpFilesize})
		return o, b.advance()
	case "entrypoint":
		b.warn(b.tok.Line, "using deprecated \"entrypoint\" keyword: use the \"entry_point\" field of the pe module instead")
		o.node = b.emit(code.Node{Op: code.OpEntrypoint})
		return o, b.advance()
	case "int8", "int16", "int32", "uint8", "uint16", "uint32", "int8be", "int16be", "int32be", "uint8be", "uint16be", "uint32be":
		if err := b.advance(); err != nil {
			return o, err
		}
		if err := b.expect("("); err != nil {
			return o, err
		}
		at, err := b.integer(word)
		if err != nil {
			return o, err
		}
		o.node = b.emit(code.Node{Op: code.OpReadInt, A: at, B: readForm(word)})
		return o, b.expect(")")
	}
	return o, b.unexpected("an expression")
}

// readForm packs width in bytes, sign and order of a reading function.
func readForm(word string) int32 {
	var f int32
	if strings.HasSuffix(word, "be") {
		f |= 16
		word = strings.TrimSuffix(word, "be")
	}
	if !strings.HasPrefix(word, "u") {
		f |= 8
	}
	switch {
	case strings.HasSuffix(word, "16"):
		return f | 2
	case strings.HasSuffix(word, "32"):
		return f | 4
	}
	return f | 1
}

// integer reads a primary expression that must be an integer.
func (b *Builder) integer(what string) (int32, error) {
	o, err := b.arithmetic(0)
	if err != nil {
		return 0, err
	}
	if !o.primary {
		return 0, b.fail(codeSyntax, "syntax error, unexpected truth for %q", what)
	}
	if o.kind != module.Int {
		return 0, b.fail(codeWrongType, "wrong type for operator %q", what)
	}
	return o.node, nil
}

func (b *Builder) regexp() (operand, error) {
	t := b.tok
	p, err := rex.ParseRegexp([]byte(t.Text))
	if err != nil {
		return operand{}, b.fail(codeRegexp, "invalid regular expression: %v", err)
	}
	if p.UnknownEscape {
		b.warn(t.Line, "unknown escape sequence")
	}
	prog, err := rex.Compile([]*rex.Node{p.Root}, rex.Flags{NoCase: t.NoCase, DotAll: t.DotAll}, false)
	if err != nil {
		return operand{}, b.fail(codeTooLarge, "%v", err)
	}
	n := b.emit(code.Node{Op: code.OpRegexp, A: b.program(prog)})
	return operand{node: n, kind: module.Regexp, primary: true}, b.advance()
}

// str finds a string by its name and marks it as used.
func (b *Builder) str(name string) (int32, error) {
	if name == "" {
		if !b.rule.inOf {
			return 0, b.fail(codeMisplacedAnon, "wrong use of anonymous string")
		}
		return code.CurrentStr, nil
	}
	d := b.rule.byName[name]
	if d == nil {
		return 0, b.fail(codeUndefString, "undefined string \"$%s\"", name)
	}
	d.referenced = true
	return d.pattern, nil
}

func (b *Builder) found() (operand, error) {
	p, err := b.str(b.tok.Text)
	if err != nil {
		return operand{}, err
	}
	if err := b.advance(); err != nil {
		return operand{}, err
	}
	o := operand{kind: module.Bool, needs: true}
	switch {
	case b.keyword("at"):
		if err := b.advance(); err != nil {
			return o, err
		}
		at, err := b.integer("at")
		if err != nil {
			return o, err
		}
		o.node = b.emit(code.Node{Op: code.OpFoundAt, A: p, B: at})
	case b.keyword("in"):
		if err := b.advance(); err != nil {
			return o, err
		}
		lo, hi, err := b.bounds()
		if err != nil {
			return o, err
		}
		o.node = b.emit(code.Node{Op: code.OpFoundIn, A: p, B: lo, C: hi})
	default:
		o.node = b.emit(code.Node{Op: code.OpFound, A: p})
	}
	return o, nil
}

// bounds reads "(from .. to)".
func (b *Builder) bounds() (lo, hi int32, err error) {
	if err := b.expect("("); err != nil {
		return 0, 0, err
	}
	l, err := b.arithmetic(0)
	if err != nil {
		return 0, 0, err
	}
	return b.upTo(l)
}

// upTo reads the rest of a range after its lower bound.
func (b *Builder) upTo(l operand) (lo, hi int32, err error) {
	if err := b.expect(".."); err != nil {
		return 0, 0, err
	}
	h, err := b.arithmetic(0)
	if err != nil {
		return 0, 0, err
	}
	switch {
	case l.kind != module.Int || !l.primary:
		err = b.fail(codeWrongType, "wrong type for range's lower bound")
	case h.kind != module.Int || !h.primary:
		err = b.fail(codeWrongType, "wrong type for range's upper bound")
	case l.known && h.known && l.num > h.num:
		err = b.fail(codeValue, "range lower bound must be less than upper bound")
	case l.known && h.known && l.num < 0:
		err = b.fail(codeValue, "range lower bound can not be negative")
	}
	if err != nil {
		return 0, 0, err
	}
	return l.node, h.node, b.expect(")")
}

func (b *Builder) count() (operand, error) {
	o := operand{kind: module.Int, primary: true}
	p, err := b.str(b.tok.Text)
	if err != nil {
		return o, err
	}
	if err := b.advance(); err != nil {
		return o, err
	}
	if !b.keyword("in") {
		o.node = b.emit(code.Node{Op: code.OpCount, A: p})
		return o, nil
	}
	if err := b.advance(); err != nil {
		return o, err
	}
	lo, hi, err := b.bounds()
	o.node = b.emit(code.Node{Op: code.OpCountIn, A: p, B: lo, C: hi})
	return o, err
}

// nth reads @a, @a[i], !a and !a[i].
func (b *Builder) nth(op code.Op) (operand, error) {
	o := operand{kind: module.Int, primary: true}
	p, err := b.str(b.tok.Text)
	if err != nil {
		return o, err
	}
	if err := b.advance(); err != nil {
		return o, err
	}
	var at int32
	if b.punct("[") {
		if err := b.advance(); err != nil {
			return o, err
		}
		if at, err = b.integer("["); err != nil {
			return o, err
		}
		err = b.expect("]")
	} else {
		at = b.emit(code.Node{Op: code.OpInt, N: 1})
	}
	o.node = b.emit(code.Node{Op: op, A: p, B: at})
	return o, err
}

// identifier reads a name and what follows it: fields, indexes, calls.
func (b *Builder) identifier() (operand, error) {
	o, err := b.resolve(b.tok.Text)
	if err != nil {
		return o, err
	}
	if err := b.advance(); err != nil {
		return o, err
	}
	for {
		switch {
		case b.punct("."):
			o, err = b.field(o)
		case b.punct("["):
			o, err = b.index(o)
		case b.punct("("):
			o, err = b.call(o)
		default:
			return o, nil
		}
		if err != nil {
			return o, err
		}
	}
}

func (b *Builder) resolve(name string) (operand, error) {
	for _, l := range slices.Backward(b.rule.loops) {
		for _, v := range l.vars {
			if v.name == name {
				return operand{node: b.emit(code.Node{Op: code.OpVar, A: v.slot}), typ: v.typ, kind: v.typ.Kind, name: name}, nil
			}
		}
	}
	if i, ok := b.externals[name]; ok {
		k := module.Kind(b.prog.Externals[i].Kind)
		if k == module.Bool {
			k = module.Int
		}
		return operand{node: b.emit(code.Node{Op: code.OpExternal, A: i}), typ: module.T(k), kind: k, name: name}, nil
	}
	if b.ns.imports[name] {
		m := b.cfg.Modules[name]
		return operand{node: b.emit(code.Node{Op: code.OpModule, A: b.modules[name]}), typ: m.Type, kind: module.Struct, name: name}, nil
	}
	if i, ok := b.ns.rules[name]; ok {
		return operand{node: b.emit(code.Node{Op: code.OpRule, A: i}), kind: module.Bool, name: name}, nil
	}
	return operand{}, b.fail(codeUndefIdent, "undefined identifier %q", name)
}

func (b *Builder) field(o operand) (operand, error) {
	if err := b.advance(); err != nil {
		return o, err
	}
	if b.tok.Kind != lex.Ident {
		return o, b.unexpected("identifier")
	}
	if o.typ == nil || o.typ.Kind != module.Struct {
		return o, b.fail(codeNotStruct, "%q is not a structure", o.name)
	}
	t := o.typ.Fields[b.tok.Text]
	if t == nil {
		return o, b.fail(codeField, "invalid field name %q", b.tok.Text)
	}
	out := operand{typ: t, kind: t.Kind, name: o.name + "." + b.tok.Text, recv: o.node}
	if t.Kind != module.Func {
		out.node = b.emit(code.Node{Op: code.OpField, A: o.node, B: b.text(b.tok.Text)})
	}
	return out, b.advance()
}

func (b *Builder) index(o operand) (operand, error) {
	if err := b.advance(); err != nil {
		return o, err
	}
	i, err := b.arithmetic(0)
	if err != nil {
		return o, err
	}
	switch {
	case o.typ != nil && o.typ.Kind == module.Array:
		if i.kind != module.Int {
			return o, b.fail(codeWrongType, "array indexes must be of integer type")
		}
	case o.typ != nil && o.typ.Kind == module.Dict:
		if i.kind != module.String {
			return o, b.fail(codeWrongType, "dictionary keys must be of string type")
		}
	default:
		return o, b.fail(codeNotIndexable, "%q is not an array or dictionary", o.name)
	}
	e := o.typ.Elem
	return operand{node: b.emit(code.Node{Op: code.OpIndex, A: o.node, B: i.node}), typ: e, kind: e.Kind, name: o.name}, b.expect("]")
}

func (b *Builder) call(o operand) (operand, error) {
	if o.typ == nil || o.typ.Kind != module.Func {
		return o, b.fail(codeNotFunction, "%q is not a function", o.name)
	}
	if err := b.advance(); err != nil {
		return o, err
	}
	items := []int32{o.recv, 0}
	args := ""
	for !b.punct(")") {
		if len(args) > 0 {
			if err := b.expect(","); err != nil {
				return o, err
			}
		}
		a, err := b.expr()
		if err != nil {
			return o, err
		}
		letter := letterOf(a.kind)
		if letter == "" {
			return o, b.fail(codeWrongType, "unknown type for argument %d in function call", len(args)+1)
		}
		args += letter
		items = append(items, a.node)
	}
	for i, f := range o.typ.Funcs {
		if f.Args != args {
			continue
		}
		root := b.moduleOf(o)
		items[1] = b.function(fmt.Sprintf("%s|%s|%d", root, b.pathOf(o), i))
		n := b.emit(code.Node{Op: code.OpCall, A: b.list(items...), B: int32(len(items))})
		return operand{node: n, typ: f.Result, kind: f.Result.Kind, name: o.name}, b.advance()
	}
	return o, b.fail(codeArguments, "wrong arguments for function %q", o.name)
}

func letterOf(k module.Kind) string {
	switch k {
	case module.Int:
		return "i"
	case module.Float:
		return "f"
	case module.Bool:
		return "b"
	case module.String:
		return "s"
	case module.Regexp:
		return "r"
	}
	return ""
}

func (b *Builder) function(name string) int32 {
	if i, ok := b.funcs[name]; ok {
		return i
	}
	i := int32(len(b.prog.Funcs))
	b.prog.Funcs = append(b.prog.Funcs, name)
	b.funcs[name] = i
	return i
}

// moduleOf and pathOf find the type of a function among the modules, because a
// loop's variable does not tell where it came from.
func (b *Builder) moduleOf(o operand) string {
	for name := range b.ns.imports {
		if findType(b.cfg.Modules[name].Type, o.typ, name) != "" {
			return name
		}
	}
	return ""
}

func (b *Builder) pathOf(o operand) string {
	name := b.moduleOf(o)
	return findType(b.cfg.Modules[name].Type, o.typ, "")
}

// findType gives the path of a type within another.
func findType(in, want *module.Type, path string) string {
	if in == want {
		return path
	}
	if in.Elem != nil {
		return findType(in.Elem, want, path+"[]")
	}
	for name, t := range in.Fields {
		if p := findType(t, want, path+"."+name); p != "" {
			return p
		}
	}
	return ""
}

// value makes a value of what an identifier names.
func (b *Builder) value(o operand) (operand, error) {
	o.primary = true
	switch o.kind {
	case module.Int, module.Float, module.String, module.Bool:
		return o, nil
	}
	return o, b.fail(codeWrongType, "wrong usage of identifier %q", o.name)
}
