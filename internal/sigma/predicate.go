package sigma

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// predKind is what a predicate asks of a field.
type predKind uint8

const (
	predText   predKind = iota // one of the patterns matches
	predRegex                  // the regular expression is found
	predCIDR                   // an address in one of the networks
	predNumber                 // compared by op with num
	predNull                   // absent or null
	predExists                 // there, whatever it holds
	predRef                    // compared with another field
	predTime                   // part of a date compared by op with num
)

// compareOp is a comparison of numbers.
type compareOp uint8

const (
	opEq compareOp = iota
	opNeq
	opLt
	opLte
	opGt
	opGte
)

var opNames = [...]string{"eq", "neq", "lt", "lte", "gt", "gte"}

func (o compareOp) holds(a, b float64) bool {
	switch o {
	case opEq:
		return a == b
	case opNeq:
		return a != b
	case opLt:
		return a < b
	case opLte:
		return a <= b
	case opGt:
		return a > b
	default:
		return a >= b
	}
}

// refMode is how a field must relate to the field it refers to.
type refMode uint8

const (
	refEqual refMode = iota
	refPrefix
	refSuffix
	refContains
)

// timePart is a part of a date, by its place in partNames.
type timePart uint8

var partNames = [...]string{"minute", "hour", "day", "week", "month", "year"}

// predicate is one question about one field (or, for a keyword, about every
// value of the record). It is immutable.
type predicate struct {
	kind    predKind
	keyword bool
	cased   bool
	field   string
	pats    []pattern // predText; folded unless cased
	re      *regex
	nets    []netip.Prefix
	op      compareOp
	num     number
	other   string // predRef
	ref     refMode
	part    timePart
}

// number is a value of a rule or record as a number: exact for int64.
type number struct {
	i     int64
	f     float64
	isInt bool
}

func parseNumber(s string) (number, bool) {
	if s == "" || len(s) > 64 || s[0] > '9' && s[0] != 'I' && s[0] != 'N' && s[0] != 'i' && s[0] != 'n' {
		return number{}, false
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return number{i: i, f: float64(i), isInt: true}, true
	}
	if c := s[len(s)-1]; c > '9' || strings.ContainsAny(s, "xX_pPnN") {
		return number{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return number{f: f}, err == nil
}

func (a number) compare(op compareOp, b number) bool {
	if a.isInt && b.isInt {
		switch {
		case a.i < b.i:
			return op == opLt || op == opLte || op == opNeq
		case a.i > b.i:
			return op == opGt || op == opGte || op == opNeq
		}
		return op == opEq || op == opLte || op == opGte
	}
	return op.holds(a.f, b.f)
}

func (a number) String() string {
	if a.isInt {
		return strconv.FormatInt(a.i, 10)
	}
	return strconv.FormatFloat(a.f, 'g', -1, 64)
}

// key is the same for predicates that ask the same.
func (p *predicate) key() string {
	b := make([]byte, 0, 128)
	b = append(b, byte(p.kind), byte(b2i(p.keyword)), byte(b2i(p.cased)))
	b = append(append(b, p.field...), 0)
	switch p.kind {
	case predText:
		for _, t := range p.pats {
			for _, k := range t {
				b = append(append(append(b, '0'+byte(k.kind)), k.lit...), 1)
			}
			b = append(b, 0)
		}
	case predRegex:
		b = append(b, p.re.source...)
	case predCIDR:
		for _, n := range p.nets {
			b = append(n.AppendTo(b), ' ')
		}
	case predNumber, predTime:
		b = append(append(b, byte(p.op), byte(p.part)), p.num.String()...)
	case predRef:
		b = append(append(b, byte(p.ref)), p.other...)
	case predNull, predExists:
	}
	return string(b)
}

// String says in words what the predicate asks.
func (p *predicate) String() string {
	field := p.field
	if p.keyword {
		field = "any field"
	}
	cased := ""
	if p.cased {
		cased = " (case counts)"
	}
	switch p.kind {
	case predText:
		return field + " is " + listPatterns(p.pats) + cased
	case predRegex:
		return field + " matches /" + p.re.source + "/"
	case predCIDR:
		return fmt.Sprintf("%s is in %v", field, p.nets)
	case predNumber:
		return fmt.Sprintf("%s %s %s", field, opNames[p.op], p.num)
	case predNull:
		return field + " is absent or null"
	case predExists:
		return field + " exists"
	case predRef:
		return field + [...]string{" equals", " starts with", " ends with", " contains"}[p.ref] + " field " + p.other + cased
	default:
		return fmt.Sprintf("%s of %s %s %s", partNames[p.part], field, opNames[p.op], p.num)
	}
}

func listPatterns(ps []pattern) string {
	const show = 8
	var parts []string
	for i, p := range ps {
		if i == show {
			parts = append(parts, fmt.Sprintf("%d more", len(ps)-show))
			break
		}
		parts = append(parts, strconv.Quote(p.String()))
	}
	return strings.Join(parts, " or ")
}

// exprKind is the kind of a condition's node.
type exprKind uint8

const (
	exprPred exprKind = iota
	exprAnd
	exprOr
	exprNot
	exprTrue
	exprFalse
)

// expr is a condition over predicates. It is immutable once the rule is
// parsed, but for the id of a predicate, which Compile sets.
type expr struct {
	kind exprKind
	kids []*expr
	pred *predicate
	id   int32  // of pred among an engine's predicates
	name string // of the selection that begins here
	line int
}

func newPred(p *predicate, line int) *expr { return &expr{kind: exprPred, pred: p, line: line} }

// combine joins kids, without a node for a single one.
func combine(kind exprKind, kids []*expr, line int) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{kind: kind, kids: kids, line: line}
}

func negate(e *expr) *expr { return &expr{kind: exprNot, kids: []*expr{e}, line: e.line} }

// named marks where a selection begins.
func (e *expr) named(name string) *expr {
	if e.name == "" {
		e.name = name
		return e
	}
	return &expr{kind: exprAnd, kids: []*expr{e}, name: name, line: e.line}
}

// walk visits every predicate.
func (e *expr) walk(f func(*expr)) {
	if e.kind == exprPred {
		f(e)
	}
	for _, k := range e.kids {
		k.walk(f)
	}
}
