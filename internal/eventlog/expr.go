package eventlog

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Expr is a condition on events, a part of LogsQL that both the store and
// Match understand. Make one with Parse, or with Is, All and Any. The zero
// Expr holds for every event.
type Expr struct{ n *node }

type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opWord   // the text holds the words
	opPrefix // the text holds a word that begins so
	opExact
	opExactPrefix
	opPart // the text holds the characters
	opRegexp
	opSet // the field is there
	opLess
	opLessEqual
	opMore
	opMoreEqual
	opNet // the address is in the network
)

// anyField stands for the name where any field may match.
const anyField = "*"

type node struct {
	op    op
	kids  []*node
	field string
	text  string
	fold  bool // opWord, opPrefix: letters of either case
	num   float64
	net   netip.Prefix
	re    *regexp.Regexp
}

// Is holds where a field has exactly this value. The name is
// one of the columns in schema.go or, slower, any other field.
func Is(field, value string) Expr {
	return Expr{&node{op: opExact, field: field, text: value}}
}

// All holds where each of l holds.
func All(l ...Expr) Expr { return join(opAnd, l) }

func join(o op, l []Expr) Expr {
	n := &node{op: o}
	for _, e := range l {
		if e.n != nil {
			n.kids = append(n.kids, e.n)
		} else if o == opOr {
			return Expr{}
		}
	}
	switch len(n.kids) {
	case 0:
		return Expr{}
	case 1:
		return Expr{n.kids[0]}
	}
	return Expr{n}
}

// Zero tells whether e holds for every event.
func (e Expr) Zero() bool { return e.n == nil }

// String is e in LogsQL, every name and value quoted.
func (e Expr) String() string {
	if e.n == nil {
		return "*"
	}
	var b strings.Builder
	e.n.write(&b)
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	switch n.op {
	case opAnd, opOr:
		word := " and "
		if n.op == opOr {
			word = " or "
		}
		b.WriteByte('(')
		for i, k := range n.kids {
			if i > 0 {
				b.WriteString(word)
			}
			k.write(b)
		}
		b.WriteByte(')')
		return
	case opNot:
		b.WriteString("!(")
		n.kids[0].write(b)
		b.WriteByte(')')
		return
	}
	name := n.field
	if name != anyField {
		name = strconv.Quote(name)
	}
	b.WriteString(name)
	b.WriteByte(':')
	n.writeValue(b)
}

func (n *node) writeValue(b *strings.Builder) {
	q := strconv.Quote(n.text)
	switch n.op {
	case opWord, opPrefix:
		if n.op == opPrefix {
			q += "*"
		}
		if n.fold {
			q = "i(" + q + ")"
		}
	case opExact:
		q = "=" + q
	case opExactPrefix:
		q = "=" + q + "*"
	case opPart:
		q = "*" + q + "*"
	case opRegexp:
		q = "~" + q
	case opSet:
		q = "*"
	case opLess:
		q = "<" + q
	case opLessEqual:
		q = "<=" + q
	case opMore:
		q = ">" + q
	case opMoreEqual:
		q = ">=" + q
	case opNet:
		q = "ipv6_range(" + q + ")"
		if n.net.Addr().Is4() {
			q = "ipv4_range(" + strconv.Quote(n.text) + ")"
		}
	}
	b.WriteString(q)
}
