package awk

import (
	"fmt"
	"strings"
)

// node is one piece of a program. op names it; kids are its parts.
type node struct {
	op   string
	text string
	num  float64
	kids []*node
}

type rule struct {
	begin, end bool
	from, to   *node // pattern; to for a range
	body       *node // nil prints the record
	active     bool
}

type function struct {
	params []string
	body   *node
}

type program struct {
	rules []*rule
	funcs map[string]*function
}

const maxDepth = 200 // of nested expressions and blocks

type parser struct {
	t     []token
	i     int
	depth int
	noGT  bool
	err   error
}

// parse reads a program.
func parse(src string) (*program, error) {
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{t: toks}
	prog := &program{funcs: map[string]*function{}}
	for p.skip(); p.peek().kind != tEOF && p.err == nil; p.skip() {
		p.item(prog)
	}
	return prog, p.err
}

func (p *parser) peek() token { return p.t[min(p.i, len(p.t)-1)] }

func (p *parser) fail() *node {
	if p.err == nil {
		t := p.peek()
		near := t.text
		switch t.kind {
		case tNewline:
			near = "end of line"
		case tString:
			near = `"` + t.text + `"`
		case tRegex:
			near = "/" + t.text + "/"
		}
		p.err = &syntaxError{t.line, near}
	}
	return &node{op: "num"}
}

func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == tOp || t.kind == tKeyword) && t.text == text && p.err == nil
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.i++
		return true
	}
	return false
}

func (p *parser) expect(text string) {
	if !p.accept(text) {
		p.fail()
	}
}

func (p *parser) newlines() {
	for p.peek().kind == tNewline {
		p.i++
	}
}

func (p *parser) skip() {
	for p.peek().kind == tNewline || p.is(";") {
		p.i++
	}
}

func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.fail()
		return false
	}
	return true
}

func (p *parser) item(prog *program) {
	if p.is("}") {
		p.err = fmt.Errorf("line %d: extra '}'\nawk: line %[1]d: syntax error at or near end of line", p.peek().line)
		return
	}
	if p.accept("function") || p.accept("func") {
		p.define(prog)
		return
	}
	r := &rule{}
	switch {
	case p.accept("BEGIN"):
		r.begin = true
	case p.accept("END"):
		r.end = true
	case !p.is("{"):
		r.from = p.expr()
		if p.accept(",") {
			p.newlines()
			r.to = p.expr()
		}
	}
	if p.is("{") {
		r.body = p.block()
	} else if r.begin || r.end {
		p.fail()
	}
	if k := p.peek().kind; r.body == nil && k != tEOF && k != tNewline && !p.is(";") {
		p.fail()
	}
	prog.rules = append(prog.rules, r)
}

func (p *parser) define(prog *program) {
	t := p.peek()
	if t.kind != tFunc && t.kind != tName {
		p.fail()
		return
	}
	p.i++
	f := &function{}
	p.expect("(")
	for p.peek().kind == tName {
		f.params = append(f.params, p.peek().text)
		p.i++
		if !p.accept(",") {
			break
		}
		p.newlines()
	}
	p.expect(")")
	p.newlines()
	f.body = p.block()
	prog.funcs[t.text] = f
}

func (p *parser) block() *node {
	if !p.enter() {
		return &node{op: "block"}
	}
	defer func() { p.depth-- }()
	p.expect("{")
	b := &node{op: "block"}
	for p.skip(); !p.is("}") && p.peek().kind != tEOF && p.err == nil; p.skip() {
		b.kids = append(b.kids, p.stmt())
	}
	if p.peek().kind == tEOF && p.err == nil {
		p.err = fmt.Errorf("line %d: missing } near end of file", p.peek().line+1)
	}
	p.expect("}")
	return b
}

// body is a block or one statement after if, while, for.
func (p *parser) body() *node {
	p.newlines()
	if p.accept(";") {
		return &node{op: "block"}
	}
	return p.stmt()
}

func (p *parser) stmt() *node {
	if !p.enter() {
		return &node{op: "block"}
	}
	defer func() { p.depth-- }()
	switch {
	case p.is("{"):
		return p.block()
	case p.accept("if"):
		p.expect("(")
		c := p.expr()
		p.expect(")")
		n := &node{op: "if", kids: []*node{c, p.body()}}
		save := p.i
		p.skip()
		if p.accept("else") {
			n.kids = append(n.kids, p.body())
		} else {
			p.i = save
		}
		return n
	case p.accept("while"):
		p.expect("(")
		c := p.expr()
		p.expect(")")
		return &node{op: "while", kids: []*node{c, p.body()}}
	case p.accept("do"):
		b := p.body()
		p.skip()
		p.expect("while")
		p.expect("(")
		c := p.expr()
		p.expect(")")
		return &node{op: "do", kids: []*node{c, b}}
	case p.accept("for"):
		return p.forStmt()
	}
	n := p.simple()
	if k := p.peek().kind; k != tNewline && k != tEOF && !p.is(";") && !p.is("}") {
		p.fail()
	}
	return n
}

func (p *parser) forStmt() *node {
	p.expect("(")
	if p.peek().kind == tName && p.i+3 < len(p.t) && p.t[p.i+1].text == "in" && p.t[p.i+2].kind == tName && p.t[p.i+3].text == ")" {
		n := &node{op: "forin", text: p.peek().text, kids: []*node{{op: "var", text: p.t[p.i+2].text}}}
		p.i += 4
		n.kids = append(n.kids, p.body())
		return n
	}
	part := func(end string, f func() *node) *node {
		p.newlines()
		n := &node{op: "block"}
		if !p.is(end) {
			n = f()
		}
		p.expect(end)
		return n
	}
	init := part(";", p.simple)
	cond := part(";", p.expr)
	if cond.op == "block" {
		cond = &node{op: "num", num: 1}
	}
	post := part(")", p.simple)
	return &node{op: "for", kids: []*node{init, cond, post, p.body()}}
}

func (p *parser) ended() bool {
	k := p.peek().kind
	return k == tNewline || k == tEOF || p.is(";") || p.is("}")
}

func (p *parser) simple() *node {
	t := p.peek()
	if t.kind == tKeyword {
		switch t.text {
		case "break", "continue", "next", "nextfile":
			p.i++
			return &node{op: t.text}
		case "exit", "return":
			p.i++
			n := &node{op: t.text}
			if !p.ended() {
				n.kids = []*node{p.expr()}
			}
			return n
		case "delete":
			p.i++
			name := p.peek()
			p.i++
			n := &node{op: "delete", text: name.text}
			if p.accept("[") {
				n.kids = []*node{p.subscript()}
			}
			return n
		case "print", "printf":
			p.i++
			return p.print(t.text)
		}
	}
	return &node{op: "expr", kids: []*node{p.expr()}}
}

func (p *parser) print(verb string) *node {
	n := &node{op: verb}
	p.noGT = true
	if p.is("(") && p.wholeGroup() {
		p.i++
		p.noGT = false
		n.kids = p.list(")")
		p.expect(")")
	} else if !p.ended() && !p.is(">") && !p.is("|") && !p.is(">>") {
		n.kids = p.list("")
	}
	p.noGT = false
	for _, op := range []string{">>", ">", "|"} {
		if p.accept(op) {
			p.noGT = true
			n.text = op
			n.kids = append(n.kids, p.concat())
			p.noGT = false
			break
		}
	}
	return n
}

// wholeGroup reports whether the parenthesis here closes right before the end
// of the print statement.
func (p *parser) wholeGroup() bool {
	depth := 0
	for k := p.i; k < len(p.t); k++ {
		switch t := p.t[k]; {
		case t.kind != tOp:
		case t.text == "(":
			depth++
		case t.text == ")":
			if depth--; depth == 0 {
				n := p.t[k+1]
				return n.kind == tNewline || n.kind == tEOF || n.kind == tOp && strings.Contains(" ; } > >> | ", " "+n.text+" ")
			}
		}
	}
	return false
}

func (p *parser) list(end string) []*node {
	var out []*node
	for p.err == nil {
		if end != "" && p.is(end) {
			break
		}
		out = append(out, p.expr())
		if !p.accept(",") {
			break
		}
		p.newlines()
	}
	return out
}

// subscript reads i,j] as one key.
func (p *parser) subscript() *node {
	noGT := p.noGT
	p.noGT = false
	n := &node{op: "key", kids: p.list("]")}
	p.noGT = noGT
	p.expect("]")
	return n
}
