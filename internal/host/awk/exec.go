package awk

import (
	"math"
	"slices"
	"strings"
)

// exec runs a statement.
func (r *run) exec(n *node) flow {
	if r.p.Step(1) != nil || r.ctx.Err() != nil || r.fault != "" {
		return doExit
	}
	switch n.op {
	case "block":
		for _, k := range n.kids {
			if f := r.exec(k); f != goOn {
				return f
			}
		}
	case "expr":
		r.eval(n.kids[0])
	case "print", "printf":
		r.print(n)
	case "if":
		if r.eval(n.kids[0]).truth() {
			return r.exec(n.kids[1])
		}
		if len(n.kids) > 2 {
			return r.exec(n.kids[2])
		}
	case "while", "do", "for":
		return r.loop(n)
	case "forin":
		return r.forIn(n)
	case "break":
		return doBreak
	case "continue":
		return doContinue
	case "next":
		return doNext
	case "nextfile":
		r.in = nil
		return doNext
	case "exit":
		if len(n.kids) > 0 {
			r.status = int(r.eval(n.kids[0]).number()) & 255
		}
		return doExit
	case "return":
		r.ret = value{}
		if len(n.kids) > 0 {
			r.ret = r.eval(n.kids[0])
		}
		return doReturn
	case "delete":
		a := r.array(n.text)
		if len(n.kids) == 0 {
			clear(a)
		} else {
			delete(a, r.key(n.kids[0]))
		}
	}
	return goOn
}

func (r *run) loop(n *node) flow {
	cond, body := n.kids[0], n.kids[1]
	if n.op == "for" {
		r.exec(n.kids[0])
		cond, body = n.kids[1], n.kids[3]
	}
	for first := true; r.p.Step(1) == nil && r.ctx.Err() == nil && r.fault == ""; first = false {
		if (n.op != "do" || !first) && !r.eval(cond).truth() {
			return goOn
		}
		switch f := r.exec(body); f {
		case doBreak:
			return goOn
		case doNext, doExit, doReturn:
			return f
		}
		if n.op == "for" {
			r.exec(n.kids[2])
		}
	}
	return doExit
}

func (r *run) forIn(n *node) flow {
	a := r.array(n.kids[0].text)
	keys := make([]string, 0, len(a))
	for k := range a {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y string) int { return compare(input(x), input(y)) })
	for _, k := range keys {
		r.setVar(n.text, input(k))
		switch f := r.exec(n.kids[1]); f {
		case doBreak:
			return goOn
		case doNext, doExit, doReturn:
			return f
		}
	}
	return goOn
}

func (r *run) print(n *node) {
	kids, target := n.kids, ""
	if n.text != "" {
		target = r.text(kids[len(kids)-1])
		kids = kids[:len(kids)-1]
	}
	var args []value
	for _, k := range kids {
		args = append(args, r.eval(k))
	}
	if n.op == "printf" {
		if len(args) > 0 {
			text, short := format0(args[0].text("%.6g"), args[1:])
			if short {
				r.write(n.text, target, text)
				r.fail("not enough arguments passed to printf(\"%s\")", args[0].text("%.6g"))
				return
			}
			r.write(n.text, target, text)
		}
		return
	}
	ofmt := r.get("OFMT").s
	out := r.line()
	if len(args) > 0 {
		var parts []string
		for _, a := range args {
			parts = append(parts, a.text(ofmt))
		}
		out = strings.Join(parts, r.get("OFS").text(ofmt))
	}
	r.write(n.text, target, out+r.get("ORS").text(ofmt))
}

// frame is the variables of the function that runs, nil outside.
func (r *run) frame() *frame {
	if len(r.frames) == 0 {
		return nil
	}
	return r.frames[len(r.frames)-1]
}

func (r *run) get(name string) value {
	if f := r.frame(); f != nil {
		if v, ok := f.vars[name]; ok {
			return v
		}
	}
	if name == "NF" {
		r.fieldsNow()
		return num(float64(r.nf))
	}
	return r.vars[name]
}

func (r *run) setVar(name string, v value) {
	if len(v.s) > maxValue {
		r.fail("out of memory")
		return
	}
	if f := r.frame(); f != nil {
		if _, ok := f.vars[name]; ok {
			f.vars[name] = v
			return
		}
	}
	if name == "NF" {
		n := int(v.number())
		if n < 0 || n > 32_767 {
			r.fail("NF set to negative value")
			return
		}
		r.fieldsNow()
		for len(r.fields) < n {
			r.fields = append(r.fields, "")
		}
		r.fields, r.nf, r.stale = r.fields[:n], n, true
		return
	}
	r.vars[name] = v
}

func (r *run) array(name string) array {
	if f := r.frame(); f != nil {
		if a, ok := f.arrays[name]; ok {
			return a
		}
		if _, local := f.vars[name]; local {
			a := array{}
			f.arrays[name] = a
			return a
		}
	}
	a := r.arrays[name]
	if a == nil {
		a = array{}
		r.arrays[name] = a
	}
	return a
}

func (r *run) key(n *node) string {
	if n.op != "key" {
		return r.text(n)
	}
	parts := make([]string, len(n.kids))
	for i, k := range n.kids {
		parts[i] = r.text(k)
	}
	return strings.Join(parts, r.get("SUBSEP").s)
}

func (r *run) text(n *node) string { return r.eval(n).text(r.get("CONVFMT").s) }

// charge counts the memory of a new cell.
func (r *run) charge(n int) {
	if r.cells++; r.cells > maxCells || r.p.S.Budget.Grow(int64(n)+64) != nil {
		r.fail("out of memory")
		return
	}
	r.held += int64(n) + 64
}

func (r *run) assign(target *node, v value) value {
	switch target.op {
	case "var":
		r.setVar(target.text, v)
	case "index":
		a, k := r.array(target.text), r.key(target.kids[0])
		if _, ok := a[k]; !ok {
			r.charge(len(k) + len(v.s))
		}
		if r.fault == "" {
			a[k] = v
		}
	case "field":
		r.setField(int(r.eval(target.kids[0]).number()), v.text(r.get("CONVFMT").s))
	}
	return v
}

func arith(op string, x, y float64) (float64, bool) {
	switch op {
	case "+":
		return x + y, true
	case "-":
		return x - y, true
	case "*":
		return x * y, true
	case "/":
		return x / y, y != 0
	case "%":
		return math.Mod(x, y), y != 0
	}
	return math.Pow(x, y), true
}

func (r *run) arith(op string, x, y float64) value {
	v, ok := arith(op, x, y)
	if !ok && op == "/" {
		return num(math.Inf(int(math.Copysign(1, x))))
	}
	if !ok {
		return num(math.NaN())
	}
	return num(v)
}

func (r *run) eval(n *node) value {
	if r.p.Step(1) != nil || r.fault != "" {
		return value{}
	}
	switch n.op {
	case "num":
		return num(n.num)
	case "str":
		return str(n.text)
	case "re":
		re := r.compile(n.text)
		return boolean(re != nil && re.MatchString(r.line()))
	case "group":
		return r.eval(n.kids[0])
	case "var":
		return r.get(n.text)
	case "field":
		return r.field(int(r.eval(n.kids[0]).number()))
	case "index":
		return r.element(n)
	case "in":
		_, ok := r.array(n.text)[r.key(n.kids[0])]
		return boolean(ok)
	case "cat":
		a := r.text(n.kids[0])
		s := a + r.text(n.kids[1])
		if len(s) > maxValue {
			r.fail("out of memory")
		}
		return str(s)
	case "cond":
		if r.eval(n.kids[0]).truth() {
			return r.eval(n.kids[1])
		}
		return r.eval(n.kids[2])
	case "un":
		return r.unary(n)
	case "bin":
		return r.binary(n)
	case "assign":
		v := r.eval(n.kids[1])
		if n.text != "" {
			v = r.arith(n.text, r.eval(n.kids[0]).number(), v.number())
		}
		return r.assign(n.kids[0], v)
	case "pre", "post":
		old := r.eval(n.kids[0]).number()
		d := 1.0
		if n.text == "--" {
			d = -1
		}
		r.assign(n.kids[0], num(old+d))
		if n.op == "pre" {
			return num(old + d)
		}
		return num(old)
	case "getline":
		return r.getline(n)
	case "call":
		return r.call(n)
	case "builtin":
		return r.builtin(n)
	}
	return value{}
}

func (r *run) element(n *node) value {
	a, k := r.array(n.text), r.key(n.kids[0])
	v, ok := a[k]
	if !ok {
		r.charge(len(k))
		if r.fault == "" {
			a[k] = value{}
		}
	}
	return v
}

func (r *run) unary(n *node) value {
	v := r.eval(n.kids[0])
	switch n.text {
	case "!":
		return boolean(!v.truth())
	case "-":
		return num(-v.number())
	}
	return num(v.number())
}

func (r *run) binary(n *node) value {
	switch n.text {
	case "&&":
		return boolean(r.eval(n.kids[0]).truth() && r.eval(n.kids[1]).truth())
	case "||":
		return boolean(r.eval(n.kids[0]).truth() || r.eval(n.kids[1]).truth())
	case "~", "!~":
		re := r.dynamic(n.kids[1])
		return boolean(re != nil && re.MatchString(r.text(n.kids[0])) == (n.text == "~"))
	}
	a, b := r.eval(n.kids[0]), r.eval(n.kids[1])
	c := 0
	if strings.ContainsAny(n.text, "<>=") {
		c = compare(a, b)
	}
	switch n.text {
	case "<":
		return boolean(c < 0)
	case "<=":
		return boolean(c <= 0)
	case "==":
		return boolean(c == 0)
	case "!=":
		return boolean(c != 0)
	case ">":
		return boolean(c > 0)
	case ">=":
		return boolean(c >= 0)
	}
	return r.arith(n.text, a.number(), b.number())
}

// call runs a function of the program; arrays are handed over by name.
func (r *run) call(n *node) value {
	f := r.prog.funcs[n.text]
	if f == nil {
		r.fail("function %s never defined", n.text)
		return value{}
	}
	if len(r.frames) >= maxCalls || len(n.kids) > len(f.params) {
		r.fail("function call nesting too deep")
		return value{}
	}
	fr := &frame{vars: map[string]value{}, arrays: map[string]array{}}
	for i, name := range f.params {
		switch {
		case i >= len(n.kids):
			fr.vars[name] = value{}
		case n.kids[i].op == "var" && r.isArray(n.kids[i].text):
			fr.arrays[name] = r.array(n.kids[i].text)
		default:
			fr.vars[name] = r.eval(n.kids[i])
			if v := n.kids[i]; v.op == "var" && fr.vars[name] == (value{}) && len(r.frames) == 0 {
				fr.arrays[name] = r.array(v.text) // may be filled by the function
			}
		}
	}
	r.frames = append(r.frames, fr)
	r.ret = value{}
	r.exec(f.body)
	r.frames = r.frames[:len(r.frames)-1]
	ret := r.ret
	r.ret = value{}
	return ret
}

func (r *run) isArray(name string) bool {
	if f := r.frame(); f != nil {
		if _, ok := f.arrays[name]; ok {
			return true
		}
		if _, ok := f.vars[name]; ok {
			return false
		}
	}
	return len(r.arrays[name]) > 0
}
