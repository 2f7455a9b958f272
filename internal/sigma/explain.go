package sigma

import (
	"fmt"
	"strconv"
	"strings"
)

// Explanation says why a rule matches a record or not: a tree of what the rule
// asks, with the answers.
type Explanation struct {
	Text  string // what is asked, in words
	Line  int    // of the rule's file, 0 where it has none
	Holds bool
	// Values are what the record holds in the field asked about, as Go strings in
	// quotes, at most a few and cut to a readable length; "absent" or "null".
	Values []string
	Parts  []Explanation

	kind exprKind
}

// String is the tree, one question a line.
func (x Explanation) String() string {
	var b strings.Builder
	x.write(&b, 0)
	return b.String()
}

func (x *Explanation) write(b *strings.Builder, depth int) {
	answer := "no "
	if x.Holds {
		answer = "yes"
	}
	fmt.Fprintf(b, "%s %s%s", answer, strings.Repeat("  ", depth), x.Text)
	if x.Line > 0 {
		fmt.Fprintf(b, " (line %d)", x.Line)
	}
	if len(x.Values) > 0 {
		b.WriteString(": " + strings.Join(x.Values, ", "))
	}
	b.WriteByte('\n')
	for i := range x.Parts {
		x.Parts[i].write(b, depth+1)
	}
}

// Explain tells what rule, which must be one of the engine's, finds in the
// record. A correlation is judged over many records; of it only what it says
// is told.
func (e *Engine) Explain(rule *Rule, rec *Record) Explanation {
	if k := rule.Correlation; k != nil {
		out := Explanation{Text: fmt.Sprintf("correlation %s of %s over %s counts many records: of this one", k.Type, strings.Join(k.Rules, ", "), k.Timespan), Line: rule.Line}
		for _, name := range k.GroupBy {
			if len(k.Aliases[name]) > 0 { // another field of each rule
				continue
			}
			id := e.fields.ID(name)
			part := Explanation{Text: "group by " + name, Holds: id != NoField && rec.Has(id), Values: []string{"absent"}}
			if v, _, ok := rec.First(id); ok {
				part.Values = []string{shown(v)}
			}
			out.Parts = append(out.Parts, part)
		}
		return out
	}
	src := rec.Source
	if src == nil {
		src = &Source{}
	}
	source := Explanation{Text: "log source is " + rule.Logsource.String(), Line: rule.Line, Holds: src.Accepts(rule.Logsource)}
	for _, l := range src.Logsources {
		source.Values = append(source.Values, l.String())
	}
	cond := explainExpr(rule.cond, rec)
	return Explanation{
		Text: "rule " + rule.Title, Line: rule.Line, Holds: source.Holds && cond.Holds, Parts: []Explanation{source, cond}, kind: exprAnd,
	}
}

// String is category/product/service, with * for what is not named.
func (l Logsource) String() string {
	parts := []string{l.Category, l.Product, l.Service}
	for i, p := range parts {
		if p == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

func explainExpr(x *expr, rec *Record) Explanation {
	out := Explanation{Line: x.line, Holds: bruteEval(x, rec), kind: x.kind}
	switch x.kind {
	case exprPred:
		out.Text = x.pred.String()
		out.Values = explainValues(x.pred, rec)
	case exprAnd:
		out.Text = "all of"
	case exprOr:
		out.Text = "one of"
	case exprNot:
		out.Text = "not"
	case exprTrue, exprFalse:
		out.Text = "always"
	}
	if x.name != "" {
		out.Text = x.name + ": " + out.Text
	}
	for _, k := range x.kids {
		out.Parts = append(out.Parts, explainExpr(k, rec))
	}
	return out
}

// explainValues shows what a predicate looked at.
func explainValues(p *predicate, rec *Record) []string {
	const most = 4
	if p.keyword {
		return nil
	}
	vals, present := bruteValues(p, p.field, rec)
	if len(vals) == 0 {
		if present {
			return []string{"null"}
		}
		return []string{"absent"}
	}
	var out []string
	for i, v := range vals {
		if i == most {
			return append(out, fmt.Sprintf("%d more", len(vals)-most))
		}
		out = append(out, shown(v))
	}
	return out
}

// shown is a value in quotes, cut to a readable length.
func shown(v Value) string {
	const longest = 160
	text := string(v.Text[:min(len(v.Text), longest)])
	if len(v.Text) > longest {
		text += "..."
	}
	return strconv.Quote(text)
}
