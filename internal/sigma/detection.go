package sigma

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// detection is a rule's or a filter's selections while its conditions are read.
type detection struct {
	line   int
	names  []string // in order
	sels   map[string]*expr
	lines  map[string]int
	used   map[string]bool
	notes  []*fault
	tables map[string][]string
	spread int // selections that patterns of the condition stood for
}

// parseDetection reads the block at n; the keys in skip are not selections.
func parseDetection(n *yamldoc.Node, tables map[string][]string, skip ...string) (*detection, *expr, *fault) {
	d := &detection{line: n.Line, sels: map[string]*expr{}, lines: map[string]int{}, used: map[string]bool{}, tables: tables}
	if n.Kind != yamldoc.Map {
		return d, nil, faultf(n.Line, "bad-detection", "", "detection must be a block of selections and a condition")
	}
	if f := checkKeys(n); f != nil {
		return d, nil, f
	}
	var cond *yamldoc.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		switch {
		case key.Value == "condition":
			cond = val
		case key.Value == "timeframe":
			d.notes = append(d.notes, faultf(key.Line, "timeframe", "write a correlation rule", "timeframe does nothing without the aggregation of old Sigma"))
		case contains(skip, key.Value):
		default:
			if f := d.addSelection(key, val); f != nil {
				return d, nil, f
			}
		}
	}
	if cond == nil {
		return d, nil, faultf(n.Line, "no-condition", "add condition: NAME", "no condition")
	}
	e, f := d.conditions(cond)
	if f != nil {
		return d, nil, f
	}
	for _, name := range d.names {
		if !d.used[name] && !strings.HasPrefix(name, "_") {
			d.notes = append(d.notes, faultf(d.lines[name], "unused-selection", "use it or remove it", "selection %q is not used by the condition", name))
		}
	}
	return d, e, nil
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}

// checkKeys refuses a key that stands twice: which would count is anyone's
// guess.
func checkKeys(n *yamldoc.Node) *fault {
	var seen map[string]*yamldoc.Node
	if len(n.Content) > 32 {
		seen = make(map[string]*yamldoc.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yamldoc.Scalar {
			return faultf(k.Line, "bad-key", "", "a key must be a text")
		}
		if k.Value == "<<" {
			return faultf(k.Line, "bad-key", "write the keys out", "merge keys (<<) are not part of Sigma")
		}
		first := seen[k.Value]
		for j := 0; seen == nil && j < i; j += 2 {
			if n.Content[j].Value == k.Value {
				first = n.Content[j]
			}
		}
		if first != nil {
			return duplicateKey(first, k)
		}
		if seen != nil {
			seen[k.Value] = k
		}
	}
	return nil
}

func duplicateKey(first, second *yamldoc.Node) *fault {
	return faultf(second.Line, "duplicate-key", "keep one of them, or make it a list", "key %q stands twice, first in line %d", second.Value, first.Line)
}

func (d *detection) addSelection(key, val *yamldoc.Node) *fault {
	e, f := d.selection(val)
	if f != nil {
		return f
	}
	name := key.Value
	d.names = append(d.names, name)
	d.sels[name], d.lines[name] = e.named(name), key.Line
	return nil
}

// selection reads a map (AND), a list of maps and keywords (OR) or one keyword.
func (d *detection) selection(n *yamldoc.Node) (*expr, *fault) {
	switch n.Kind {
	case yamldoc.Map:
		return d.block(n)
	case yamldoc.List:
		return d.list(n)
	default:
		return d.item("", n, n.Line)
	}
}

func (d *detection) block(n *yamldoc.Node) (*expr, *fault) {
	if len(n.Content) == 0 {
		return nil, faultf(n.Line, "empty-selection", "name a field in it", "an empty selection")
	}
	if f := checkKeys(n); f != nil {
		return nil, f
	}
	kids := make([]*expr, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		e, f := d.item(n.Content[i].Value, n.Content[i+1], n.Content[i].Line)
		if f != nil {
			return nil, f
		}
		kids = append(kids, e)
	}
	return combine(exprAnd, kids, n.Line), nil
}

func (d *detection) item(key string, val *yamldoc.Node, line int) (*expr, *fault) {
	e, notes, f := parseItem(key, val, line, d.tables)
	d.notes = append(d.notes, notes...)
	return e, f
}

func (d *detection) list(n *yamldoc.Node) (*expr, *fault) {
	if len(n.Content) == 0 {
		return nil, faultf(n.Line, "empty-selection", "put a value into it", "an empty list")
	}
	var words []*yamldoc.Node
	var kids []*expr
	for _, c := range n.Content {
		switch c.Kind {
		case yamldoc.Scalar:
			words = append(words, c)
		case yamldoc.Map:
			e, f := d.block(c)
			if f != nil {
				return nil, f
			}
			kids = append(kids, e)
		default:
			return nil, faultf(c.Line, "bad-value", "", "a list in a list")
		}
	}
	if len(words) > 0 {
		e, f := d.item("", &yamldoc.Node{Kind: yamldoc.List, Content: words, Line: n.Line}, n.Line)
		if f != nil {
			return nil, f
		}
		kids = append(kids, e)
	}
	return combine(exprOr, kids, n.Line), nil
}

// conditions reads the condition, or a list of them of which one must hold.
func (d *detection) conditions(n *yamldoc.Node) (*expr, *fault) {
	nodes := []*yamldoc.Node{n}
	if n.Kind == yamldoc.List {
		nodes = n.Content
	}
	if len(nodes) == 0 || len(nodes) > 100 {
		return nil, faultf(n.Line, "bad-condition", "", "a list of %d conditions", len(nodes))
	}
	kids := make([]*expr, 0, len(nodes))
	size := 0
	for _, c := range nodes {
		if c.Kind != yamldoc.Scalar {
			return nil, faultf(c.Line, "bad-condition", "write a text such as: selection and not filter", "a condition must be a text")
		}
		p := &condParser{line: c.Line, name: d.byName, pattern: d.byPattern}
		e, err := p.parse(c.Value)
		if err != nil {
			return nil, faultf(c.Line, "bad-condition", d.namesHint(), "condition: %v", err)
		}
		if size += e.size(0); size > MaxValues {
			return nil, faultf(c.Line, "too-many", "split the rule", "a condition of more than %d parts", MaxValues)
		}
		kids = append(kids, e)
	}
	return combine(exprOr, kids, n.Line), nil
}

// size counts nodes, each as often as it is reached, up to a little over
// MaxValues.
func (e *expr) size(n int) int {
	n++
	for _, k := range e.kids {
		if n > MaxValues {
			return n
		}
		n = k.size(n)
	}
	return n
}

func (d *detection) namesHint() string {
	if len(d.names) == 0 || len(d.names) > 12 {
		return ""
	}
	return "selections: " + strings.Join(d.names, ", ")
}

func (d *detection) byName(name string) (*expr, error) {
	e := d.sels[name]
	if e == nil {
		return nil, &unknownNameError{name}
	}
	d.used[name] = true
	return e, nil
}

type unknownNameError struct{ name string }

func (u *unknownNameError) Error() string { return "no selection is named \"" + u.name + "\"" }

func (d *detection) byPattern(kind exprKind, pattern string) (*expr, error) {
	var kids []*expr
	for _, name := range d.names {
		ok := matchName(pattern, name)
		if pattern == "them" {
			ok = !strings.HasPrefix(name, "_")
		}
		if ok {
			d.used[name] = true
			kids = append(kids, d.sels[name])
		}
	}
	if len(kids) == 0 {
		return nil, &unknownNameError{pattern}
	}
	if d.spread += len(kids); d.spread > MaxValues {
		return nil, fmt.Errorf("its patterns stand for more than %d selections", MaxValues)
	}
	return combine(kind, kids, d.line), nil
}
