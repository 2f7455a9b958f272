package relations

import (
	"math"
	"strconv"
	"strings"
)

// Value is one value of a table or a result.
type Value struct {
	S       string
	Null    bool
	Numeric bool
}

// Text makes a value of a text.
func Text(s string) Value { return Value{S: s} }

// Int makes a value of a number.
func Int(n int64) Value    { return Value{S: strconv.FormatInt(n, 10), Numeric: true} }
func boolean(b bool) Value { return Value{S: map[bool]string{true: "t", false: "f"}[b]} }

// Null is no value.
var Null = Value{Null: true}

func (v Value) number() float64 {
	f, err := strconv.ParseFloat(v.S, 64)
	if err != nil || math.IsNaN(f) {
		return 0
	}
	return f
}

func (v Value) truth() bool {
	return !v.Null && (v.S == "t" || v.S == "true" || v.Numeric && v.number() != 0)
}

func compare(a, b Value) int {
	if a.Numeric || b.Numeric {
		switch x, y := a.number(), b.number(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return strings.Compare(a.S, b.S)
}

// scope is where an expression is worked out: a row, and who asks.
type scope struct {
	db    *DB
	table *Table
	alias string
	row   []Value
	group []int // rows of an aggregate
	steps *int
}

// expr is a part of an expression.
type expr func(s *scope) (Value, *Error)

func constant(v Value) expr { return func(*scope) (Value, *Error) { return v, nil } }

func (s *scope) column(name, of string, at int) (Value, *Error) {
	if s.table != nil && (of == "" || strings.EqualFold(of, s.alias) || strings.EqualFold(of, s.table.Name)) {
		if i := s.table.index(name); i >= 0 {
			if s.row == nil {
				return Null, nil
			}
			return s.row[i], nil
		}
	}
	return Null, &Error{Kind: NoColumn, Name: name, Of: of, At: at}
}

const (
	maxNested = 60
	maxSteps  = 400_000 // parts of expressions that one statement works out
	maxText   = 1 << 20 // bytes of a text that an expression makes
)

// operators by their strength, the weakest first.
func (p *parser) expression() expr {
	if p.depth++; p.depth > maxNested {
		p.fail()
		return constant(Null)
	}
	defer func() { p.depth-- }()
	left := p.conjunction()
	for p.err == nil && (p.take("or") || p.tok.is("||") && !p.l.ansi && p.take("||")) {
		a, b := left, p.conjunction()
		left = func(s *scope) (Value, *Error) {
			x, err := a(s)
			if err != nil || x.truth() {
				return boolean(true), err
			}
			y, err := b(s)
			return boolean(y.truth()), err
		}
	}
	return left
}

func (p *parser) conjunction() expr {
	left := p.negation()
	for p.err == nil && (p.take("and") || p.take("&&")) {
		a, b := left, p.negation()
		left = func(s *scope) (Value, *Error) {
			x, err := a(s)
			if err != nil || !x.truth() {
				return boolean(false), err
			}
			y, err := b(s)
			return boolean(y.truth()), err
		}
	}
	return left
}

func (p *parser) negation() expr {
	if p.tok.is("not") || p.tok.is("!") {
		if p.depth++; p.depth > maxNested {
			p.fail()
			return constant(Null)
		}
		defer func() { p.depth-- }()
		p.advance()
		a := p.negation()
		return func(s *scope) (Value, *Error) {
			x, err := a(s)
			return boolean(!x.truth()), err
		}
	}
	return p.comparison()
}

func (p *parser) comparison() expr {
	left := p.sum()
	for p.err == nil {
		not := p.tok.is("not")
		if not {
			p.advance()
		}
		switch {
		case p.take("is"):
			no := p.take("not")
			a := left
			if !p.take("null") {
				p.advance() // true, false, unknown
			}
			left = func(s *scope) (Value, *Error) {
				x, err := a(s)
				return boolean(x.Null != no), err
			}
		case p.take("like"), p.take("ilike"):
			left = negate(not, both(left, p.sum(), func(x, y Value) Value { return boolean(like(strings.ToLower(y.S), strings.ToLower(x.S))) }))
		case p.take("in"):
			left = negate(not, p.in(left))
		case p.take("between"):
			low := p.sum()
			p.need("and")
			high := p.sum()
			a := left
			ge := both(a, low, func(x, y Value) Value { return boolean(compare(x, y) >= 0) })
			le := both(a, high, func(x, y Value) Value { return boolean(compare(x, y) <= 0) })
			left = negate(not, both(ge, le, func(x, y Value) Value { return boolean(x.truth() && y.truth()) }))
		default:
			op := p.tok.s
			test := comparisons[op]
			if p.tok.kind != mark || test == nil {
				return left
			}
			p.advance()
			left = both(left, p.sum(), func(x, y Value) Value { return boolean(test(compare(x, y))) })
		}
	}
	return left
}

var comparisons = map[string]func(int) bool{
	"=": func(c int) bool { return c == 0 }, "<>": func(c int) bool { return c != 0 }, "!=": func(c int) bool { return c != 0 },
	"<": func(c int) bool { return c < 0 }, ">": func(c int) bool { return c > 0 }, "<=": func(c int) bool { return c <= 0 }, ">=": func(c int) bool { return c >= 0 },
}

func negate(not bool, a expr) expr {
	if !not {
		return a
	}
	return func(s *scope) (Value, *Error) {
		x, err := a(s)
		return boolean(!x.truth()), err
	}
}

// both works two parts out; with a NULL among them nothing is true.
func both(a, b expr, f func(x, y Value) Value) expr {
	return func(s *scope) (Value, *Error) {
		if *s.steps++; *s.steps > maxSteps {
			return Null, &Error{Kind: TooMuch}
		}
		x, err := a(s)
		if err != nil {
			return Null, err
		}
		y, err := b(s)
		if err != nil || x.Null || y.Null {
			return Null, err
		}
		return f(x, y), nil
	}
}

func (p *parser) in(a expr) expr {
	p.need("(")
	var list []expr
	for p.err == nil && len(list) < maxList {
		list = append(list, p.expression())
		if !p.take(",") {
			break
		}
	}
	p.need(")")
	return func(s *scope) (Value, *Error) {
		x, err := a(s)
		if err != nil || x.Null {
			return Null, err
		}
		for _, e := range list {
			if *s.steps++; *s.steps > maxSteps {
				return Null, &Error{Kind: TooMuch}
			}
			y, err := e(s)
			if err != nil {
				return Null, err
			}
			if !y.Null && compare(x, y) == 0 {
				return boolean(true), nil
			}
		}
		return boolean(false), nil
	}
}

func like(pattern, s string) bool {
	pi, si, star, from := 0, 0, -1, 0
	for si < len(s) {
		switch {
		case pi < len(pattern) && pattern[pi] == '%':
			star, from = pi, si
			pi++
		case pi < len(pattern) && (pattern[pi] == '_' || pattern[pi] == s[si]):
			pi, si = pi+1, si+1
		case star >= 0:
			from++
			pi, si = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[pi:], "%") == ""
}

func (p *parser) sum() expr {
	left := p.product()
	for p.err == nil && p.tok.kind == mark {
		switch op := p.tok.s; {
		case op == "+" || op == "-":
			p.advance()
			left = both(left, p.product(), func(x, y Value) Value { return arithmetic(op, x, y) })
		case op == "||" && p.l.ansi:
			p.advance()
			left = both(left, p.product(), func(x, y Value) Value { return Text(x.S[:min(len(x.S), maxText/2)] + y.S[:min(len(y.S), maxText/2)]) })
		default:
			return left
		}
	}
	return left
}

func (p *parser) product() expr {
	left := p.unary()
	for p.err == nil && p.tok.kind == mark && strings.Contains("*/%", p.tok.s) {
		op := p.tok.s
		p.advance()
		left = both(left, p.unary(), func(x, y Value) Value { return arithmetic(op, x, y) })
	}
	return left
}

func arithmetic(op string, x, y Value) Value {
	a, b := x.number(), y.number()
	switch op {
	case "+":
		a += b
	case "-":
		a -= b
	case "*":
		a *= b
	default:
		if b == 0 {
			return Null
		}
		if op == "/" {
			if a /= b; !strings.Contains(x.S+y.S, ".") {
				a = math.Trunc(a)
			}
		} else {
			a = math.Mod(a, b)
		}
	}
	return Value{S: strconv.FormatFloat(a, 'f', -1, 64), Numeric: true}
}

func (p *parser) unary() expr {
	minus := 0
	for p.tok.is("-") || p.tok.is("+") {
		if p.tok.s == "-" {
			minus++
		}
		p.advance()
	}
	a := p.primary()
	for p.take("::") { // a cast: what is shown stays
		p.typeName()
	}
	if minus%2 == 1 {
		return both(a, constant(Int(-1)), func(x, y Value) Value { return arithmetic("*", x, y) })
	}
	return a
}

func (p *parser) primary() expr {
	t := p.tok
	switch {
	case t.kind == number:
		p.advance()
		return constant(numberOf(t.s))
	case t.kind == text:
		p.advance()
		return constant(Text(t.s))
	case t.is("("):
		p.advance()
		e := p.expression()
		p.need(")")
		return e
	case t.is("@@"):
		p.advance()
		name := p.tok.s
		p.advance()
		if p.take(".") {
			name = p.tok.s
			p.advance()
		}
		return func(s *scope) (Value, *Error) { return s.db.variable(name, t.at) }
	case t.is("null"):
		p.advance()
		return constant(Null)
	case t.is("true"), t.is("false"):
		p.advance()
		return constant(boolean(t.is("true")))
	case t.is("case"):
		return p.choice()
	case t.is("cast"):
		p.advance()
		p.need("(")
		e := p.expression()
		p.need("as")
		p.typeName()
		p.need(")")
		return e
	case t.kind == word && (t.quoted || !reserved[strings.ToLower(t.s)]):
		return p.named()
	}
	p.fail()
	return constant(Null)
}

func numberOf(s string) Value {
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		if n, err := strconv.ParseUint(s[2:], 16, 63); err == nil {
			return Int(int64(n))
		}
	}
	return Value{S: s, Numeric: true}
}

// named is a column, or a call of a function.
func (p *parser) named() expr {
	t := p.tok
	p.advance()
	name, of := t.s, ""
	for p.tok.is(".") {
		p.advance()
		if p.tok.is("*") {
			break
		}
		of, name = name, p.tok.s
		p.advance()
	}
	if p.tok.is("(") {
		return p.call(strings.ToLower(name), t.at)
	}
	if v, ok := p.bare(name); ok && of == "" && !t.quoted {
		return v
	}
	return func(s *scope) (Value, *Error) {
		if *s.steps++; *s.steps > maxSteps {
			return Null, &Error{Kind: TooMuch}
		}
		return s.column(name, of, t.at)
	}
}

// bare are functions that are called without brackets.
func (p *parser) bare(name string) (expr, bool) {
	switch n := strings.ToLower(name); n {
	case "current_user", "session_user", "current_date", "current_timestamp", "current_database", "current_catalog":
		return func(s *scope) (Value, *Error) { return s.db.call(n, nil, 0) }, true
	}
	return nil, false
}

func (p *parser) choice() expr {
	p.advance()
	type arm struct{ when, then expr }
	var arms []arm
	var of, other expr
	if !p.tok.is("when") {
		of = p.expression()
	}
	for p.err == nil && p.take("when") && len(arms) < maxList {
		w := p.expression()
		if of != nil {
			w = both(of, w, func(x, y Value) Value { return boolean(compare(x, y) == 0) })
		}
		p.need("then")
		arms = append(arms, arm{w, p.expression()})
	}
	if p.take("else") {
		other = p.expression()
	}
	p.need("end")
	return func(s *scope) (Value, *Error) {
		for _, a := range arms {
			x, err := a.when(s)
			if err != nil {
				return Null, err
			}
			if x.truth() {
				return a.then(s)
			}
		}
		if other == nil {
			return Null, nil
		}
		return other(s)
	}
}

// call is a function, or an aggregate over the rows of the scope.
func (p *parser) call(name string, at int) expr {
	p.need("(")
	var args []expr
	star := p.take("*")
	p.take("distinct")
	for p.err == nil && !star && !p.tok.is(")") && len(args) < maxList {
		args = append(args, p.expression())
		if !p.take(",") && !p.take("from") && !p.take("for") {
			break
		}
	}
	p.need(")")
	if fold := aggregates[name]; fold != nil && (star || len(args) == 1) {
		p.aggregate = true
		return func(s *scope) (Value, *Error) { return s.fold(fold, star, args) }
	}
	return func(s *scope) (Value, *Error) {
		if *s.steps++; *s.steps > maxSteps {
			return Null, &Error{Kind: TooMuch}
		}
		in := make([]Value, len(args))
		for i, a := range args {
			v, err := a(s)
			if err != nil {
				return Null, err
			}
			in[i] = v
		}
		return s.db.call(name, in, at)
	}
}

// aggregates fold a value into what came before.
var aggregates = map[string]func(acc, v Value, n int) Value{
	"count": func(_, _ Value, n int) Value { return Int(int64(n)) },
	"sum":   func(acc, v Value, _ int) Value { return arithmetic("+", acc, v) },
	"min": func(acc, v Value, n int) Value {
		if n == 1 || compare(v, acc) < 0 {
			return v
		}
		return acc
	},
	"max": func(acc, v Value, n int) Value {
		if n == 1 || compare(v, acc) > 0 {
			return v
		}
		return acc
	},
}

func (s *scope) fold(f func(acc, v Value, n int) Value, star bool, args []expr) (Value, *Error) {
	acc, n := Null, 0
	rows := s.group
	if s.table == nil {
		return f(acc, Int(1), 1), nil
	}
	for _, i := range rows {
		v := Int(1)
		if !star {
			one := *s
			one.row = s.table.Rows[i]
			var err *Error
			if v, err = args[0](&one); err != nil {
				return Null, err
			}
		}
		if !v.Null {
			n++
			acc = f(acc, v, n)
		}
	}
	if n == 0 {
		return f(Null, Null, 0).orNull(), nil
	}
	return acc, nil
}

// orNull keeps the 0 of count over nothing; the others are NULL there.
func (v Value) orNull() Value {
	if v.Numeric && v.S == "0" {
		return v
	}
	return Null
}
