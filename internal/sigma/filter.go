package sigma

import (
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// filter is a Sigma filter: its condition is joined by AND to that of the rules
// it names, so what is to be left out is written as "not selection".
type filter struct {
	rule  *Rule // what is known about the filter itself
	any   bool  // applies to every rule of the log source
	refs  []string
	lines []int
	cond  *expr
}

func (s *Set) addFilter(r *Rule, doc *yamldoc.Node) *fault {
	n := lookup(doc, "filter")
	d, e, f := parseDetection(n, s.opts.Placeholders, "rules")
	r.notes = append(r.notes, d.notes...)
	if f != nil {
		return f
	}
	fl := &filter{rule: r, cond: e.named("filter " + r.Title)}
	refs := lookup(n, "rules")
	switch {
	case refs == nil:
		return faultf(n.Line, "no-rules", "name rules by id or name, or write any", "a filter without rules")
	case refs.Kind == yamldoc.Scalar && (strings.EqualFold(refs.Value, "any") || strings.EqualFold(refs.Value, "all")):
		fl.any = true
	case refs.Kind == yamldoc.Scalar:
		fl.refs, fl.lines = []string{refs.Value}, []int{refs.Line}
	case refs.Kind == yamldoc.List:
		fl.any = len(refs.Content) == 0
		for _, c := range refs.Content {
			fl.refs, fl.lines = append(fl.refs, c.Value), append(fl.lines, c.Line)
		}
	default:
		return faultf(refs.Line, "bad-rules", "name rules by id or name, or write any", "rules of a filter must be a list")
	}
	if !hasNot(e) {
		r.notes = append(r.notes, faultf(n.Line, "filter-keeps", "write condition: not selection to leave matches out",
			"the filter has no not: its rules only fire where its condition holds"))
	}
	r.print = s.fingerprint(doc)
	s.filters = append(s.filters, fl)
	return nil
}

func hasNot(e *expr) bool {
	if e.kind == exprNot {
		return true
	}
	return slices.ContainsFunc(e.kids, hasNot)
}

// covers tells whether the filter's log source includes the rule's.
func (f *filter) covers(r *Rule) bool {
	in := func(mine, theirs string) bool { return mine == "" || mine == theirs }
	a, b := f.rule.Logsource, r.Logsource
	return in(a.Category, b.Category) && in(a.Product, b.Product) && in(a.Service, b.Service)
}
