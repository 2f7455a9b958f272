package sigma

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Limits on one rule, against rules that grow without measure.
const (
	// MaxValues is the number of values of one field of a rule after windash,
	// base64offset and placeholders have multiplied them.
	MaxValues = 50_000
	// MaxDashes is the number of dashes that windash varies in one value by
	// writing all forms, five for each dash; with more, each dash is compared with
	// the five by itself, which takes no part in base64.
	MaxDashes = 4
	// MaxText is the number of bytes of one value.
	MaxText = 64 << 10
)

// valueKind is the type of a value in a rule.
type valueKind uint8

const (
	valText valueKind = iota
	valNumber
	valBool
	valNull
)

// ruleValue is one value of a field in a rule.
type ruleValue struct {
	kind valueKind
	pat  pattern // valText, valNumber, valBool: how it is written
	num  number  // valNumber
	raw  string
	line int
	of   int // which value of the rule it was made from
}

// item is one "field|modifiers: values" while its modifiers are applied.
type item struct {
	field   string
	keyword bool
	line    int
	vals    []ruleValue
	tables  map[string][]string // placeholders

	all, neq, cased     bool
	exists              bool
	before, after       bool // * goes there: contains, endswith, startswith
	op                  compareOp
	hasOp               bool
	part                timePart
	hasPart, cidr, ref  bool
	isRegex             bool
	flags               string // of the regular expression
	expanded            bool
	notes               []*fault // for the linter
	base64, wide, dashy bool
}

// parseValue reads a scalar node.
func parseValue(n *yamldoc.Node) (ruleValue, *fault) {
	v := ruleValue{raw: n.Value, line: n.Line}
	if n.Kind != yamldoc.Scalar {
		return v, faultf(n.Line, "bad-value", "write a text, a number or a list of them", "a value may not be a block of keys or a list in a list")
	}
	if len(n.Value) > MaxText {
		return v, faultf(n.Line, "too-long", "", "a value of %d bytes, the limit is %d", len(n.Value), MaxText)
	}
	switch n.ShortTag() {
	case "!!null":
		v.kind = valNull
	case "!!int", "!!float":
		v.kind = valNumber
		text := strings.ReplaceAll(n.Value, "_", "")
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			text = strconv.FormatInt(i, 10)
		}
		num, ok := parseNumber(text)
		if !ok {
			v.kind = valText
		} else if !num.isInt && num.f == math.Trunc(num.f) && math.Abs(num.f) < 1<<53 {
			text = strconv.FormatInt(int64(num.f), 10)
		}
		v.num, v.pat = num, pattern(nil).lit(text)
	case "!!bool":
		v.kind, v.pat = valBool, pattern(nil).lit(strings.ToLower(n.Value))
	default:
		v.pat = parsePattern(n.Value)
	}
	return v, nil
}

// parseItem makes the condition of one key and its values.
func parseItem(key string, value *yamldoc.Node, keyLine int, tables map[string][]string) (*expr, []*fault, *fault) {
	parts := strings.Split(key, "|")
	it := &item{field: parts[0], keyword: parts[0] == "", line: keyLine, tables: tables}
	nodes := []*yamldoc.Node{value}
	if value.Kind == yamldoc.List {
		nodes = value.Content
	}
	if len(nodes) == 0 {
		return nil, nil, faultf(keyLine, "no-values", "give at least one value", "%q has an empty list", key)
	}
	for _, n := range nodes {
		v, f := parseValue(n)
		if f != nil {
			return nil, nil, f
		}
		if v.kind == valNull && value.Kind == yamldoc.List {
			it.note("null-in-list", "make null a selection of its own", "null in a list of values")
		}
		v.of = len(it.vals)
		it.vals = append(it.vals, v)
	}
	seen := map[string]bool{}
	for _, m := range parts[1:] {
		if seen[m] {
			it.note("repeated-modifier", "remove it", "modifier %q stands twice", m)
		}
		seen[m] = true
		if f := it.apply(m); f != nil {
			return nil, nil, f
		}
	}
	e, f := it.build()
	return e, it.notes, f
}

func (it *item) note(code, remedy, format string, args ...any) {
	it.notes = append(it.notes, faultf(it.line, code, remedy, format, args...))
}

// build makes the condition after all modifiers.
func (it *item) build() (*expr, *fault) {
	if f := it.check(); f != nil {
		return nil, f
	}
	var kids []*expr
	for rest := it.vals; len(rest) > 0; {
		n := len(rest)
		if it.all { // the forms of one value are alternatives whatever links the values
			n = slices.IndexFunc(rest, func(v ruleValue) bool { return v.of != rest[0].of })
			if n < 0 {
				n = len(rest)
			}
		}
		e, f := it.anyOf(rest[:n])
		if f != nil {
			return nil, f
		}
		kids = append(kids, e)
		rest = rest[n:]
	}
	e := combine(exprAnd, kids, it.line)
	if it.exists && !it.wanted() || it.neq && !it.hasOp {
		e = negate(e)
	}
	return e, nil
}

// wanted tells whether exists asks for a field that is there.
func (it *item) wanted() bool {
	yes, _ := yesNo(it.vals[0].raw) // predicate refuses what is neither
	return yes
}

// yesNo reads yes and no as YAML 1.1 has them, which most Sigma tools read.
func yesNo(s string) (yes, ok bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return false, false
}

func isScalar(n *yamldoc.Node) bool { return n != nil && n.Kind == yamldoc.Scalar }

// anyOf is one of vals.
func (it *item) anyOf(vals []ruleValue) (*expr, *fault) {
	var kids []*expr
	var group *predicate // texts linked by OR share a predicate
	for i := range vals {
		p, f := it.predicate(&vals[i])
		if f != nil {
			return nil, f
		}
		if p.kind == predText && group != nil {
			group.pats = append(group.pats, p.pats...)
			continue
		}
		if p.kind == predText {
			group = p
		}
		kids = append(kids, newPred(p, vals[i].line))
	}
	return combine(exprOr, kids, it.line), nil
}

// check finds combinations that mean nothing.
func (it *item) check() *fault {
	if it.all && it.vals[len(it.vals)-1].of == 0 && !it.keyword {
		it.note("single-all", "remove |all", "|all with a single value")
	}
	for i := range it.vals {
		if it.vals[i].pat.hasVar() {
			return faultf(it.vals[i].line, "placeholder", "give a table for it", "no table for the placeholder %%%s%%", firstVar(it.vals[i].pat))
		}
	}
	if it.expanded && it.isRegex {
		return faultf(it.line, "bad-combination", "write the values out", "expand does not go with re")
	}
	kinds := 0
	for _, b := range []bool{it.isRegex, it.cidr, it.ref, it.exists, it.hasOp || it.hasPart} {
		if b {
			kinds++
		}
	}
	if kinds > 1 {
		return faultf(it.line, "bad-combination", "use one of re, cidr, fieldref, exists, lt/lte/gt/gte", "modifiers that exclude each other")
	}
	if it.keyword && (it.exists || it.ref || it.hasPart || it.hasOp) {
		return faultf(it.line, "bad-combination", "name a field before the modifier", "this modifier needs a field")
	}
	if it.exists && len(it.vals) != 1 {
		return faultf(it.line, "bad-value", "write true or false", "exists takes one value")
	}
	return nil
}

func firstVar(p pattern) string {
	i := slices.IndexFunc(p, func(t tok) bool { return t.kind == tokVar })
	return p[i].lit
}

// predicate makes the question of one value.
func (it *item) predicate(v *ruleValue) (*predicate, *fault) {
	p := &predicate{field: it.field, keyword: it.keyword, cased: it.cased}
	switch {
	case v.kind == valNull:
		p.kind = predNull
		if it.keyword || it.before || it.after || it.isRegex || it.cidr || it.ref || it.exists || it.hasOp || it.hasPart {
			return nil, faultf(v.line, "bad-value", "", "null cannot be modified or searched for")
		}
	case it.exists:
		p.kind = predExists
		if _, ok := yesNo(v.raw); !ok {
			return nil, faultf(v.line, "bad-value", "write true or false", "exists takes true or false, not %q", v.raw)
		}
	case it.isRegex:
		return it.regexPredicate(p, v)
	case it.cidr:
		n, err := parsePrefix(v.raw)
		if err != nil {
			return nil, faultf(v.line, "bad-cidr", "write it as 10.0.0.0/8 or fe80::/10", "%q is not a network", v.raw)
		}
		p.kind, p.nets = predCIDR, []netip.Prefix{n}
	case it.ref:
		p.kind, p.other, p.ref = predRef, v.raw, it.refMode()
		if v.raw == "" {
			return nil, faultf(v.line, "bad-value", "name a field", "fieldref without a field")
		}
	case it.hasOp || it.hasPart:
		num, ok := v.num, v.kind == valNumber
		if v.kind == valText {
			num, ok = parseNumber(v.raw)
		}
		if !ok {
			return nil, faultf(v.line, "bad-value", "write a number", "%q is not a number", v.raw)
		}
		p.kind, p.op, p.num, p.part = predNumber, it.op, num, it.part
		if it.hasPart {
			p.kind = predTime
		}
	default:
		p.kind = predText
		p.pats = []pattern{it.textPattern(v)}
		if v.kind == valNumber && v.raw != v.pat.plain() { // a version such as 1.0 may be a text in the record
			written := *v
			written.pat = pattern(nil).lit(v.raw)
			p.pats = append(p.pats, it.textPattern(&written))
		}
	}
	return p, nil
}

func (it *item) textPattern(v *ruleValue) pattern {
	before, after := it.before, it.after
	if it.keyword {
		before, after = true, true
	}
	pat := v.pat.open(before, after)
	if it.cased {
		return pat
	}
	return pat.mapLits(lower)
}

func (it *item) refMode() refMode {
	switch {
	case it.before && it.after:
		return refContains
	case it.before:
		return refSuffix
	case it.after:
		return refPrefix
	}
	return refEqual
}

func (it *item) regexPredicate(p *predicate, v *ruleValue) (*predicate, *fault) {
	src := v.raw
	switch {
	case it.before && !it.after:
		src = "(?:" + src + ")$"
	case it.after && !it.before:
		src = "^(?:" + src + ")"
	}
	re, err := compileRegex(src, it.flags)
	if err != nil {
		return nil, faultf(v.line, "bad-regex", "see docs/formats/sigma.md, regular expressions", "regular expression: %v", err)
	}
	p.kind, p.re, p.cased = predRegex, re, false
	return p, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("parse network: %w", err)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parse network: %w", err)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
