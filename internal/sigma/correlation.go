package sigma

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// CorrelationType is what a correlation counts.
type CorrelationType uint8

// The types. Median is value_percentile at 50.
const (
	EventCount CorrelationType = iota
	ValueCount
	Temporal
	TemporalOrdered
	ValueSum
	ValueAvg
	ValuePercentile
)

var correlationNames = []string{"event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_percentile"}

// String is the word that rules use.
func (t CorrelationType) String() string { return correlationNames[t] }

// Limits on one correlation.
const (
	MaxRefs      = 64      // rules that it names
	MaxGroupBy   = 16      // fields of group-by
	MaxThreshold = 1 << 20 // of event_count and value_count
	MaxTimespan  = 366 * 24 * time.Hour
)

// Bound is one comparison of a correlation's condition.
type Bound struct {
	Op    string // gt, gte, lt, lte, eq, neq
	Value float64
	op    compareOp
}

// Correlation is what a correlation rule says.
type Correlation struct {
	Type       CorrelationType
	Rules      []string // ids or names, as written
	GroupBy    []string
	Timespan   time.Duration
	Generate   bool
	Aliases    map[string]map[string]string // alias, rule, field
	Fields     []string                     // of the condition
	Bounds     []Bound                      // all must hold
	Percentile float64                      // 0 to 100
	Expression string                       // boolean condition of a temporal rule
	lines      []int                        // of Rules
	line       int
	expr       *expr // of Expression; predicates hold the rule's position
}

func (s *Set) addCorrelation(r *Rule, doc *yamldoc.Node) *fault {
	n := lookup(doc, "correlation")
	if n.Kind != yamldoc.Map {
		return faultf(n.Line, "bad-correlation", "", "correlation must be a block of keys")
	}
	if f := checkKeys(n); f != nil {
		return f
	}
	c := &Correlation{line: n.Line, Percentile: 50}
	r.Correlation = c
	steps := []func(*Rule, *yamldoc.Node) *fault{c.parseType, c.parseRules, c.parseGroup, c.parseTimespan, c.parseCondition, c.parseAliases}
	for _, step := range steps {
		if f := step(r, n); f != nil {
			return f
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		known := []string{"type", "rules", "group-by", "timespan", "aliases", "condition", "generate", "timeframe"}
		if !contains(known, k.Value) {
			r.notes = append(r.notes, faultf(k.Line, "unknown-key", nearest(k.Value, known), "unknown key %q", k.Value))
		}
	}
	if lookup(n, "generate") == nil { // the schema of the specification has it at the top
		if f := c.parseGenerate(doc); f != nil {
			return f
		}
	}
	if f := c.checkState(n.Line); f != nil {
		return f
	}
	return s.addRule(r, n)
}

func (c *Correlation) parseType(_ *Rule, n *yamldoc.Node) *fault {
	t := scalarOf(n, "type")
	if t == "value_median" {
		c.Type = ValuePercentile
		return c.parseGenerate(n)
	}
	for i, name := range correlationNames {
		if name == t {
			c.Type = CorrelationType(i)
			return c.parseGenerate(n)
		}
	}
	if t == "temporal_extended" || t == "temporal_ordered_extended" {
		c.Type = Temporal
		if t == "temporal_ordered_extended" {
			c.Type = TemporalOrdered
		}
		return c.parseGenerate(n)
	}
	return faultf(n.Line, "bad-type", nearest(t, correlationNames), "correlation type %q", t)
}

func (c *Correlation) parseGenerate(n *yamldoc.Node) *fault {
	g := lookup(n, "generate")
	if g == nil {
		return nil
	}
	yes, ok := yesNo(g.Value)
	if !ok || !isScalar(g) {
		return faultf(g.Line, "bad-generate", "write true or false", "generate %q", g.Value)
	}
	c.Generate = yes
	return nil
}

func (c *Correlation) parseRules(_ *Rule, n *yamldoc.Node) *fault {
	v := lookup(n, "rules")
	if v == nil && isScalar(lookup(n, "condition")) && (c.Type == Temporal || c.Type == TemporalOrdered) {
		return nil // the condition names them
	}
	if v == nil {
		return faultf(n.Line, "no-rules", "add rules: with ids or names", "a correlation without rules")
	}
	list, f := textList(v)
	if f != nil {
		return f
	}
	if len(list) == 0 || len(list) > MaxRefs {
		return faultf(v.Line, "bad-rules", "", "%d rules, it must be 1 to %d", len(list), MaxRefs)
	}
	for i, ref := range list {
		if contains(list[:i], ref) {
			return faultf(v.Line, "bad-rules", "name it once", "rule %q stands twice", ref)
		}
		line := v.Line
		if v.Kind == yamldoc.List {
			line = v.Content[i].Line
		}
		c.lines = append(c.lines, line)
	}
	c.Rules = list
	return nil
}

func textList(v *yamldoc.Node) ([]string, *fault) {
	nodes := v.Content
	if v.Kind == yamldoc.Scalar {
		nodes = []*yamldoc.Node{v}
	}
	out := make([]string, 0, len(nodes))
	for _, c := range nodes {
		if c.Kind != yamldoc.Scalar || v.Kind == yamldoc.Map {
			return nil, faultf(c.Line, "bad-value", "write a list of texts", "a text was expected")
		}
		out = append(out, c.Value)
	}
	return out, nil
}

func (c *Correlation) parseGroup(_ *Rule, n *yamldoc.Node) *fault {
	v := lookup(n, "group-by")
	if v == nil {
		return nil // one group for all
	}
	list, f := textList(v)
	if f != nil {
		return f
	}
	if len(list) > MaxGroupBy {
		return faultf(v.Line, "bad-group-by", "", "%d fields, the limit is %d", len(list), MaxGroupBy)
	}
	c.GroupBy = list
	return nil
}

func (c *Correlation) parseTimespan(_ *Rule, n *yamldoc.Node) *fault {
	v := lookup(n, "timespan")
	if v == nil {
		v = lookup(n, "timeframe")
	}
	if v == nil {
		return faultf(n.Line, "no-timespan", "add timespan: 5m", "a correlation without timespan")
	}
	d, err := parseTimespan(v.Value)
	if err != nil {
		return faultf(v.Line, "bad-timespan", "write a number and s, m, h, d, w, M or y", "timespan: %v", err)
	}
	c.Timespan = d
	return nil
}

// parseTimespan reads 30s, 15m, 1h, 2d; also w, M (30 days) and y (365 days)
// as pySigma does.
func parseTimespan(s string) (time.Duration, error) {
	if len(s) < 2 || len(s) > 10 {
		return 0, fmt.Errorf("%q", s)
	}
	unit := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
		'M': 30 * 24 * time.Hour, 'y': 365 * 24 * time.Hour,
	}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if unit == 0 || err != nil || n == 0 {
		return 0, fmt.Errorf("%q", s)
	}
	if n > uint64(MaxTimespan/unit) {
		return 0, fmt.Errorf("%q is longer than %d days", s, MaxTimespan/(24*time.Hour))
	}
	return time.Duration(n) * unit, nil
}

func (c *Correlation) parseAliases(_ *Rule, n *yamldoc.Node) *fault {
	v := lookup(n, "aliases")
	if v == nil {
		return nil
	}
	if v.Kind != yamldoc.Map {
		return faultf(v.Line, "bad-aliases", "write alias, then rule: field", "aliases must be a block of keys")
	}
	c.Aliases = map[string]map[string]string{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		k, m := v.Content[i], v.Content[i+1]
		if m.Kind != yamldoc.Map {
			return faultf(m.Line, "bad-aliases", "write alias, then rule: field", "alias %q must be a block of keys", k.Value)
		}
		fields := map[string]string{}
		for j := 0; j+1 < len(m.Content); j += 2 {
			fields[m.Content[j].Value] = m.Content[j+1].Value
		}
		c.Aliases[k.Value] = fields
	}
	return nil
}

func (c *Correlation) parseCondition(_ *Rule, n *yamldoc.Node) *fault {
	v := lookup(n, "condition")
	temporal := c.Type == Temporal || c.Type == TemporalOrdered
	switch {
	case v == nil && temporal:
		c.Bounds = []Bound{{Op: "gte", Value: float64(len(c.Rules)), op: opGte}}
		return nil
	case v == nil:
		return faultf(n.Line, "no-condition", "add condition: with gte: NUMBER", "a correlation without condition")
	case v.Kind == yamldoc.Scalar && temporal:
		return c.parseExpression(v)
	case v.Kind != yamldoc.Map:
		return faultf(v.Line, "bad-condition", "write gte: NUMBER", "condition must be a block of keys")
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		if f := c.parseBound(v.Content[i], v.Content[i+1]); f != nil {
			return f
		}
	}
	return c.checkCondition(v, temporal)
}

func (c *Correlation) parseBound(k, v *yamldoc.Node) *fault {
	switch k.Value {
	case "field":
		list, f := textList(v)
		c.Fields = list
		return f
	case "percentile":
		num, ok := parseNumber(v.Value)
		if !ok || num.f < 0 || num.f > 100 {
			return faultf(v.Line, "bad-condition", "write a number from 0 to 100", "percentile %q", v.Value)
		}
		c.Percentile = num.f
		return nil
	}
	for i, name := range opNames {
		if name != k.Value {
			continue
		}
		num, ok := parseNumber(v.Value)
		if !ok || math.IsNaN(num.f) || math.IsInf(num.f, 0) {
			return faultf(v.Line, "bad-condition", "write a number", "%s: %q is not a number", k.Value, v.Value)
		}
		c.Bounds = append(c.Bounds, Bound{Op: name, Value: num.f, op: compareOp(i)})
		return nil
	}
	return faultf(k.Line, "bad-condition", "use gt, gte, lt, lte, eq, neq, field or percentile", "unknown key %q in the condition", k.Value)
}

func (c *Correlation) checkCondition(v *yamldoc.Node, temporal bool) *fault {
	needField := c.Type != EventCount && !temporal
	switch {
	case len(c.Bounds) == 0:
		return faultf(v.Line, "bad-condition", "add gte: NUMBER", "the condition compares with nothing")
	case needField && (len(c.Fields) == 0 || len(c.Fields) > MaxGroupBy):
		return faultf(v.Line, "bad-condition", "add field: NAME to the condition", "%s needs a field", c.Type)
	case !needField && len(c.Fields) > 0:
		return faultf(v.Line, "bad-condition", "use value_count", "%s takes no field", c.Type)
	case needField && c.Type != ValueCount && len(c.Fields) != 1:
		return faultf(v.Line, "bad-condition", "name one field", "%s takes one field", c.Type)
	}
	for _, b := range c.Bounds {
		counts := c.Type == EventCount || c.Type == ValueCount || temporal
		if counts && (b.Value < 0 || b.Value > MaxThreshold) {
			return faultf(v.Line, "bad-condition", "", "%s: %g is outside 0 to %d", b.Op, b.Value, MaxThreshold)
		}
	}
	return nil
}

// parseExpression reads a boolean condition over the names of rules. Without
// a list of rules those that it names are the rules, in its order.
func (c *Correlation) parseExpression(v *yamldoc.Node) *fault {
	p := &condParser{line: v.Line}
	named := len(c.Rules) == 0
	leaf := func(i int) *expr { return &expr{kind: exprPred, id: int32(i), line: v.Line} }
	p.name = func(name string) (*expr, error) {
		for i, ref := range c.Rules {
			if ref == name {
				return leaf(i), nil
			}
		}
		if named && len(c.Rules) < MaxRefs {
			c.Rules, c.lines = append(c.Rules, name), append(c.lines, v.Line)
			return leaf(len(c.Rules) - 1), nil
		}
		return nil, fmt.Errorf("%q is not among the correlation's rules", name)
	}
	p.pattern = func(kind exprKind, pattern string) (*expr, error) {
		var kids []*expr
		for i, ref := range c.Rules {
			if pattern == "them" || matchName(pattern, ref) {
				kids = append(kids, leaf(i))
			}
		}
		if len(kids) == 0 {
			return nil, fmt.Errorf("no rule of the correlation is like %q", pattern)
		}
		return combine(kind, kids, v.Line), nil
	}
	e, err := p.parse(v.Value)
	if err != nil {
		return faultf(v.Line, "bad-condition", "use the names under rules", "condition: %v", err)
	}
	c.Expression, c.expr = v.Value, e
	return nil
}
