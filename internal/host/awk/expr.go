package awk

import (
	"strconv"
	"strings"
)

func (p *parser) expr() *node {
	if !p.enter() {
		return &node{op: "num"}
	}
	defer func() { p.depth-- }()
	n := p.ternary()
	t := p.peek()
	if t.kind == tOp && len(t.text) <= 2 && strings.HasSuffix(t.text, "=") && strings.Contains(" = += -= *= /= %= ^= ", " "+t.text+" ") {
		if n.op != "var" && n.op != "index" && n.op != "field" {
			return p.fail()
		}
		p.i++
		p.newlines()
		return &node{op: "assign", text: strings.TrimSuffix(t.text, "="), kids: []*node{n, p.expr()}}
	}
	return n
}

func (p *parser) ternary() *node {
	c := p.binary(0)
	if !p.accept("?") {
		return c
	}
	p.newlines()
	a := p.expr()
	p.newlines()
	p.expect(":")
	p.newlines()
	return &node{op: "cond", kids: []*node{c, a, p.expr()}}
}

// levels are the binary operators below concatenation, loosest first.
var levels = []string{" || ", " && ", " in ", " ~ !~ ", " < <= != == > >= "}

func (p *parser) binary(level int) *node {
	if level == len(levels) {
		return p.concat()
	}
	n := p.binary(level + 1)
	for p.err == nil {
		t := p.peek()
		op := t.kind == tOp || t.kind == tKeyword && t.text == "in"
		if !op || !strings.Contains(levels[level], " "+t.text+" ") {
			if n = p.pipeGetline(n, level); p.err != nil || p.peek() == t {
				return n
			}
			continue
		}
		if t.text == ">" && p.noGT {
			return n
		}
		p.i++
		p.newlines()
		if t.text == "in" {
			name := p.peek().text
			p.i++
			n = &node{op: "in", text: name, kids: []*node{n}}
			continue
		}
		n = &node{op: "bin", text: t.text, kids: []*node{n, p.binary(level + 1)}}
	}
	return n
}

// pipeGetline reads "cmd" | getline [var].
func (p *parser) pipeGetline(n *node, level int) *node {
	if level != len(levels)-1 || !p.is("|") || p.i+1 >= len(p.t) || p.t[p.i+1].text != "getline" {
		return n
	}
	p.i += 2
	g := &node{op: "getline", text: "|", kids: []*node{n}}
	if v := p.lvalue(); v != nil {
		g.kids = append(g.kids, v)
	}
	return g
}

// startsOperand reports whether a concatenation goes on here.
func (p *parser) startsOperand() bool {
	t := p.peek()
	switch t.kind {
	case tNumber, tString, tRegex, tName, tFunc, tBuiltin:
		return true
	case tOp:
		return strings.Contains(" $ ! ( - + ++ -- ", " "+t.text+" ")
	}
	return false
}

func (p *parser) concat() *node {
	n := p.additive()
	for p.err == nil && p.startsOperand() && !p.is("!") && !p.is("+") && !p.is("-") {
		n = &node{op: "cat", kids: []*node{n, p.additive()}}
	}
	return n
}

func (p *parser) additive() *node {
	n := p.product()
	for p.is("+") || p.is("-") {
		op := p.peek().text
		p.i++
		n = &node{op: "bin", text: op, kids: []*node{n, p.product()}}
	}
	return n
}

func (p *parser) product() *node {
	n := p.unary()
	for p.is("*") || p.is("/") || p.is("%") {
		op := p.peek().text
		p.i++
		n = &node{op: "bin", text: op, kids: []*node{n, p.unary()}}
	}
	return n
}

func (p *parser) unary() *node {
	if !p.enter() {
		return &node{op: "num"}
	}
	defer func() { p.depth-- }()
	for _, op := range []string{"!", "-", "+"} {
		if p.accept(op) {
			return &node{op: "un", text: op, kids: []*node{p.unary()}}
		}
	}
	n := p.postfix()
	if p.accept("^") {
		return &node{op: "bin", text: "^", kids: []*node{n, p.unary()}}
	}
	return n
}

func (p *parser) postfix() *node {
	for _, op := range []string{"++", "--"} {
		if p.accept(op) {
			v := p.lvalue()
			if v == nil {
				return p.fail()
			}
			return &node{op: "pre", text: op, kids: []*node{v}}
		}
	}
	n := p.primary()
	if n.op == "var" || n.op == "index" || n.op == "field" {
		for _, op := range []string{"++", "--"} {
			if p.accept(op) {
				return &node{op: "post", text: op, kids: []*node{n}}
			}
		}
	}
	return n
}

// lvalue reads a variable, an element or a field, if one is here.
func (p *parser) lvalue() *node {
	t := p.peek()
	switch {
	case t.kind == tName:
		p.i++
		if p.accept("[") {
			return &node{op: "index", text: t.text, kids: []*node{p.subscript()}}
		}
		return &node{op: "var", text: t.text}
	case p.accept("$"):
		if p.is("++") || p.is("--") {
			return &node{op: "field", kids: []*node{p.postfix()}}
		}
		if p.is("-") || p.is("+") || p.is("!") {
			return &node{op: "field", kids: []*node{p.unary()}}
		}
		return &node{op: "field", kids: []*node{p.primary()}}
	}
	return nil
}

func (p *parser) primary() *node {
	t := p.peek()
	switch t.kind {
	case tNumber:
		p.i++
		f, _ := strconv.ParseFloat(t.text, 64)
		return &node{op: "num", num: f}
	case tString:
		p.i++
		return &node{op: "str", text: t.text}
	case tRegex:
		p.i++
		return &node{op: "re", text: t.text}
	case tBuiltin:
		return p.builtin(t)
	case tFunc:
		p.i++
		p.expect("(")
		n := &node{op: "call", text: t.text, kids: p.args()}
		return n
	case tKeyword:
		if p.accept("getline") {
			return p.getline()
		}
	}
	if v := p.lvalue(); v != nil {
		return v
	}
	if p.accept("(") {
		return p.group()
	}
	return p.fail()
}

// args reads the rest of a call's list.
func (p *parser) args() []*node {
	noGT := p.noGT
	p.noGT = false
	p.newlines()
	list := p.list(")")
	p.noGT = noGT
	p.expect(")")
	return list
}

func (p *parser) group() *node {
	list := p.args()
	if len(list) == 1 {
		return &node{op: "group", kids: list}
	}
	if p.accept("in") && len(list) > 1 {
		name := p.peek().text
		p.i++
		return &node{op: "in", text: name, kids: []*node{{op: "key", kids: list}}}
	}
	return p.fail()
}

func (p *parser) builtin(t token) *node {
	p.i++
	n := &node{op: "builtin", text: t.text}
	if p.accept("(") {
		n.kids = p.args()
	} else if t.text != "length" {
		return p.fail()
	}
	return n
}

func (p *parser) getline() *node {
	g := &node{op: "getline"}
	if v := p.lvalue(); v != nil {
		g.kids = []*node{v}
	}
	if p.accept("<") {
		g.text = "<"
		g.kids = append([]*node{p.primary()}, g.kids...)
	}
	return g
}
