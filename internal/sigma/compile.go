package sigma

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// compiledPred is a predicate of an engine, shared by every rule that asks the
// same.
type compiledPred struct {
	*predicate
	id    FieldID // of field, NoField for a keyword
	ref   FieldID // of other
	text  *textMatcher
	wit   seenBy
	reMin int // length of the shortest text that matches the regular expression
}

// seenBy is a predicate's witness, its keys by their place in Engine.keys.
type seenBy struct {
	keys []int32
	cost float64
	ok   bool
}

// Engine is a compiled set of rules. It is immutable but for the plans that it
// keeps for each kind of record, so any number of workers share it.
type Engine struct {
	fields  *Fields
	rules   []*Rule
	preds   []compiledPred
	byField map[FieldID][]int32 // predicates of each field
	sources []Logsource         // the different log sources of rules
	source  []int32             // of each rule, -1 for correlations
	feeds   [][]feed            // of each rule: the correlations that it feeds
	cors    []*correlation

	keys    []planKey // the witnesses of predicates, each once
	mu      sync.Mutex
	plans   map[string]*plan
	broad   map[string]*broadPlan // by product
	known   answers
	parts   uint32 // number of the latest part of a plan
	scratch planScratch
}

// feed says that a rule is the at-th of a correlation's rules.
type feed struct {
	cor, at int32
	group   []FieldID // group-by, aliases resolved
	values  []FieldID
	like    int // an earlier feed of the rule with the same group, -1 where there is none
}

// Compile makes an engine of the rules in set. Filters are applied, references
// of correlations resolved, and what cannot be resolved is refused: see
// set.Problems afterwards. The rules' field names are added to fields. The set
// may be added to and compiled again.
func Compile(set *Set, fields *Fields) *Engine {
	c := compiler{
		set: set, ids: map[string]int32{}, keys: map[wkey]int32{},
		eng: &Engine{fields: fields, byField: map[FieldID][]int32{}, plans: map[string]*plan{}, broad: map[string]*broadPlan{}},
	}
	rules := c.applyFilters()
	rules = c.resolve(rules)
	c.internFields(rules)
	c.addRules(rules)
	c.eng.known, c.eng.scratch.slots = make(answers, len(c.eng.preds)), make([]keySlot, len(c.eng.keys))
	c.addCorrelations()
	c.addPrints()
	c.findDead()
	c.eng.prepare()
	return c.eng
}

// Rules are all rules of the engine, correlations too.
func (e *Engine) Rules() []*Rule { return e.rules }

// Fields is the table of field names that records for this engine use.
func (e *Engine) Fields() *Fields { return e.fields }

// Predicates is the number of different questions that the rules ask.
func (e *Engine) Predicates() int { return len(e.preds) }

// compiler holds what is needed only while compiling.
type compiler struct {
	set  *Set
	eng  *Engine
	ids  map[string]int32 // predicates by key
	keys map[wkey]int32   // witnesses
	refs map[string]int   // rules by id and by name
}

// applyFilters copies the set's rules and joins filters to them.
func (c *compiler) applyFilters() []*Rule {
	rules := make([]*Rule, len(c.set.rules))
	byRef := map[string][]*Rule{}
	for i, r := range c.set.rules {
		cp := *r
		rules[i] = &cp
		for _, ref := range []string{r.ID, r.Name, r.Title} {
			if ref != "" {
				byRef[ref] = append(byRef[ref], &cp)
			}
		}
	}
	for _, f := range c.set.filters {
		targets := rules
		if !f.any {
			targets = nil
			for i, ref := range f.refs {
				if len(byRef[ref]) == 0 {
					c.set.note(f.rule, faultf(f.lines[i], "unknown-rule", "use the id or name of a loaded rule", "the filter names rule %q, which is not loaded", ref))
				}
				targets = append(targets, byRef[ref]...)
			}
		}
		if n := f.apply(targets); n == 0 && len(targets) > 0 {
			c.set.note(f.rule, faultf(f.rule.Line, "filter-unused", "widen its log source", "the filter's log source covers none of its rules"))
		}
	}
	return rules
}

func (f *filter) apply(rules []*Rule) int {
	n := 0
	for _, r := range rules {
		if r.Correlation != nil || !f.covers(r) || contains(r.Filters, f.rule.Title) {
			continue
		}
		r.Filters = append(slices.Clip(r.Filters), f.rule.Title)
		r.cond = &expr{kind: exprAnd, kids: []*expr{r.cond, f.cond}, line: r.cond.line}
		r.print = joinPrints(r.print, f.rule.print)
		n++
	}
	return n
}

// resolve drops correlations whose references lead nowhere or in a circle.
func (c *compiler) resolve(rules []*Rule) []*Rule {
	for {
		c.refs = map[string]int{}
		for i, r := range rules {
			for _, ref := range []string{r.ID, r.Name} {
				if _, ok := c.refs[ref]; !ok && ref != "" {
					c.refs[ref] = i
				}
			}
		}
		kept := rules[:0:0]
		for i, r := range rules {
			if f := c.checkRefs(rules, i); f != nil {
				c.set.refuse(r, f)
				continue
			}
			kept = append(kept, r)
		}
		if len(kept) == len(rules) {
			return rules
		}
		rules = kept
	}
}

func (c *compiler) checkRefs(rules []*Rule, i int) *fault {
	r := rules[i]
	if r.Correlation == nil {
		return nil
	}
	for k, ref := range r.Correlation.Rules {
		if _, ok := c.refs[ref]; !ok {
			return faultf(r.Correlation.lines[k], "unknown-rule", "load the rule too, or correct its id or name", "the correlation refers to rule %q, which is not loaded", ref)
		}
	}
	for alias, m := range r.Correlation.Aliases {
		for ref := range m {
			if !c.refersTo(r.Correlation, ref) {
				return faultf(r.Correlation.line, "bad-aliases", "name a rule that stands under rules", "alias %q names rule %q, which is not among rules", alias, ref)
			}
		}
	}
	if c.reaches(rules, i, i, map[int]bool{}) {
		return faultf(r.Correlation.line, "circle", "take one reference out", "the correlation refers to itself")
	}
	return nil
}

// refersTo tells whether ref, an id or a name, is one of k's rules.
func (c *compiler) refersTo(k *Correlation, ref string) bool {
	at, ok := c.refs[ref]
	return ok && slices.ContainsFunc(k.Rules, func(r string) bool { return c.refs[r] == at })
}

// reaches tells whether the references of from lead to rule to.
func (c *compiler) reaches(rules []*Rule, from, to int, seen map[int]bool) bool {
	if rules[from].Correlation == nil || seen[from] {
		return false
	}
	seen[from] = true
	for _, ref := range rules[from].Correlation.Rules {
		at, ok := c.refs[ref]
		if ok && (at == to || c.reaches(rules, at, to, seen)) {
			return true
		}
	}
	return false
}

// internFields gives ids to every field that rules read.
func (c *compiler) internFields(rules []*Rule) {
	var names []string
	for _, r := range rules {
		if r.Correlation != nil {
			names = append(names, r.Correlation.GroupBy...)
			names = append(names, r.Correlation.Fields...)
			for _, m := range r.Correlation.Aliases {
				for _, f := range m {
					names = append(names, f)
				}
			}
			continue
		}
		r.cond.walk(func(e *expr) {
			if !e.pred.keyword {
				names = append(names, e.pred.field)
			}
			if e.pred.kind == predRef {
				names = append(names, e.pred.other)
			}
		})
	}
	c.eng.fields.Add(names...)
}

func (c *compiler) addRules(rules []*Rule) {
	e := c.eng
	seen := map[Logsource]int32{}
	for i, r := range rules {
		r.index = i
		e.rules = append(e.rules, r)
		if r.Correlation != nil {
			e.source = append(e.source, -1)
			continue
		}
		r.cond = c.intern(r.cond)
		r.fast, _ = reorder(r.cond)
		r.cond.walk(func(x *expr) {
			if p := &e.preds[x.id]; p.id != NoField {
				r.reads |= 1 << (p.id & 63)
			}
		})
		at, ok := seen[r.Logsource]
		if !ok {
			at = int32(len(e.sources))
			seen[r.Logsource] = at
			e.sources = append(e.sources, r.Logsource)
		}
		e.source = append(e.source, at)
	}
	for i := range e.preds {
		if p := &e.preds[i]; p.id != NoField {
			e.byField[p.id] = append(e.byField[p.id], int32(i))
		}
	}
}

// intern copies a condition with the ids of its predicates.
func (c *compiler) intern(x *expr) *expr {
	cp := *x
	if x.kind == exprPred {
		cp.id = c.pred(x.pred)
		cp.pred = c.eng.preds[cp.id].predicate
		return &cp
	}
	cp.kids = make([]*expr, len(x.kids))
	for i, k := range x.kids {
		cp.kids[i] = c.intern(k)
	}
	return &cp
}

func (c *compiler) pred(p *predicate) int32 {
	key := p.key()
	if id, ok := c.ids[key]; ok {
		return id
	}
	e := c.eng
	id := int32(len(e.preds))
	c.ids[key] = id
	cp := compiledPred{predicate: p, id: NoField, ref: NoField}
	if !p.keyword {
		cp.id = e.fields.ID(p.field)
	}
	switch p.kind {
	case predText:
		cp.text = newTextMatcher(p.pats)
	case predRef:
		cp.ref = e.fields.ID(p.other)
	case predRegex:
		cp.reMin = p.re.shortest
	case predCIDR, predNumber, predNull, predExists, predTime:
	}
	cp.wit = c.seenBy(predWitness(p, cp.id, cp.ref))
	e.preds = append(e.preds, cp)
	return id
}

// seenBy gives the keys of a witness their places.
func (c *compiler) seenBy(w witness) seenBy {
	s := seenBy{cost: w.cost, ok: w.ok, keys: make([]int32, len(w.keys))}
	for i, k := range w.keys {
		at, ok := c.keys[k]
		if !ok {
			at = int32(len(c.eng.keys))
			c.keys[k] = at
			c.eng.keys = append(c.eng.keys, newPlanKey(k))
		}
		s.keys[i] = at
	}
	return s
}

// reorder puts the parts of ANDs and ORs that are quick to answer before those
// that take longer, and gives a guess at how long the whole takes.
func reorder(x *expr) (*expr, float64) {
	if x.kind == exprPred {
		return x, x.pred.effort()
	}
	if len(x.kids) == 0 {
		return x, 0
	}
	type part struct {
		e    *expr
		cost float64
	}
	parts, sum := make([]part, len(x.kids)), 0.0
	for i, k := range x.kids {
		e, cost := reorder(k)
		parts[i] = part{e, cost}
		sum += cost
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.cost, b.cost) })
	out := &expr{kind: x.kind, line: x.line, kids: make([]*expr, len(parts))}
	for i, p := range parts {
		out.kids[i] = p.e
	}
	if x.kind == exprAnd { // most often the first part decides
		sum = parts[0].cost + sum/8
	}
	return out, sum
}

// effort is a guess at how long a predicate takes, in units of a comparison.
func (p *predicate) effort() float64 {
	cost := 1.0
	switch p.kind {
	case predText:
		for _, pat := range p.pats {
			if n := len(pat); n > 2 || n == 2 && pat[0].kind == pat[1].kind {
				cost += 4
			} else {
				cost += 0.2
			}
		}
	case predRegex:
		cost = 60
	case predCIDR, predTime, predRef:
		cost = 5
	case predNumber, predNull, predExists:
	}
	if p.keyword {
		cost *= 20
	}
	return cost
}

// findDead notes rules that can never match: their condition is false whatever
// the record holds.
func (c *compiler) findDead() {
	for _, r := range c.eng.rules {
		if r.Correlation != nil {
			continue
		}
		if why := contradiction(r.cond); why != "" {
			c.set.note(r, faultf(r.Line, "never-matches", "", "the rule can never match: %s", why))
		}
	}
}

// contradiction finds a part of an AND that excludes another: a selection and
// its own negation, or two different plain texts for one field with one value.
func contradiction(e *expr) string {
	if e.kind == exprOr {
		for _, k := range e.kids {
			if contradiction(k) == "" {
				return ""
			}
		}
		return contradiction(e.kids[0])
	}
	if e.kind != exprAnd {
		return ""
	}
	var yes, no []*expr
	flatten(e, &yes, &no)
	exact := map[string]*expr{}
	for _, y := range yes {
		for _, n := range no {
			if sameExpr(y, n) {
				return "it asks for a condition and for its contrary (line " + lineText(y.line) + ")"
			}
		}
		if y.kind != exprPred || y.pred.kind != predText || y.pred.keyword || !onlyPlain(y.pred.pats) {
			continue
		}
		if first := exact[y.pred.field]; first != nil && disjoint(first.pred, y.pred) {
			return "field " + y.pred.field + " cannot be both " + listPatterns(first.pred.pats) + " and " + listPatterns(y.pred.pats)
		}
		exact[y.pred.field] = y
	}
	for _, k := range e.kids {
		if why := contradiction(k); why != "" {
			return why
		}
	}
	return ""
}

// flatten gathers the parts of nested ANDs and what is under their NOTs.
func flatten(e *expr, yes, no *[]*expr) {
	switch e.kind {
	case exprAnd:
		for _, k := range e.kids {
			flatten(k, yes, no)
		}
	case exprNot:
		*no = append(*no, e.kids[0])
	default:
		*yes = append(*yes, e)
	}
}

func sameExpr(a, b *expr) bool {
	if a.kind != b.kind || len(a.kids) != len(b.kids) || a.id != b.id {
		return false
	}
	for i := range a.kids {
		if !sameExpr(a.kids[i], b.kids[i]) {
			return false
		}
	}
	return true
}

func onlyPlain(ps []pattern) bool {
	for _, p := range ps {
		if p.hasWild() {
			return false
		}
	}
	return len(ps) <= manyTexts
}

func disjoint(a, b *predicate) bool {
	for _, x := range a.pats {
		for _, y := range b.pats {
			if strings.EqualFold(x.plain(), y.plain()) {
				return false
			}
		}
	}
	return true
}
