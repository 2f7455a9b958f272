package sigma

import (
	"bytes"
	"regexp"
	"strings"
)

// Brute gives every rule that matches the record, quiet ones too, by asking
// each rule of the log source each of its questions in the plainest way:
// without plans, index, sets or memory. It is what Match is held against.
func (e *Engine) Brute(rec *Record) []*Rule {
	src := rec.Source
	if src == nil {
		src = &Source{}
	}
	var out []*Rule
	for _, r := range e.rules {
		if r.Correlation == nil && src.Accepts(r.Logsource) && bruteEval(r.cond, rec) {
			out = append(out, r)
		}
	}
	return out
}

func bruteEval(x *expr, rec *Record) bool {
	switch x.kind {
	case exprPred:
		return brutePred(x.pred, rec)
	case exprAnd:
		for _, k := range x.kids {
			if !bruteEval(k, rec) {
				return false
			}
		}
		return true
	case exprOr:
		for _, k := range x.kids {
			if bruteEval(k, rec) {
				return true
			}
		}
		return false
	case exprNot:
		return !bruteEval(x.kids[0], rec)
	default:
		return x.kind == exprTrue
	}
}

// bruteValues are the values that a predicate looks at.
func bruteValues(p *predicate, name string, rec *Record) (vals []Value, present bool) {
	for i := range rec.entries {
		e := &rec.entries[i]
		switch {
		case e.dead:
		case p.keyword && !e.hidden, !p.keyword && e.id != NoField && rec.fields.Name(e.id) == name:
			present = true
			if e.typ != Null {
				vals = append(vals, Value{e.text, e.typ})
			}
		}
	}
	return vals, present
}

func brutePred(p *predicate, rec *Record) bool {
	vals, present := bruteValues(p, p.field, rec)
	switch p.kind {
	case predNull:
		return len(vals) == 0
	case predExists:
		return present
	case predRef:
		others, _ := bruteValues(p, p.other, rec)
		return bruteRef(p, vals, others)
	case predText, predRegex, predCIDR, predNumber, predTime:
	}
	for _, v := range vals {
		if bruteValue(p, v.Text) {
			return true
		}
	}
	return false
}

func bruteRef(p *predicate, vals, others []Value) bool {
	for _, v := range vals {
		for _, o := range others {
			a, b := v.Text, o.Text
			if !p.cased {
				a, b = []byte(lower(string(a))), []byte(lower(string(b)))
			}
			if matchRef(p.ref, a, b) {
				return true
			}
		}
	}
	return false
}

func bruteValue(p *predicate, text []byte) bool {
	switch p.kind {
	case predText:
		s := string(text)
		if !p.cased {
			s = lower(s)
		}
		for _, pat := range p.pats {
			if bruteMatch(pat, s) {
				return true
			}
		}
		return false
	case predRegex:
		return p.re.match(bytes.Clone(text))
	default:
		cp := compiledPred{predicate: p}
		return cp.matchValue(text, text)
	}
}

// bruteMatch matches by way of a regular expression where there are wildcards.
func bruteMatch(p pattern, s string) bool {
	if !p.hasWild() {
		return p.plain() == s
	}
	switch {
	case len(p) == 3 && p[1].kind == tokLit && p[0].kind == tokMany && p[2].kind == tokMany:
		return strings.Contains(s, p[1].lit)
	case len(p) == 2 && p[0].kind == tokMany && p[1].kind == tokLit:
		return strings.HasSuffix(s, p[1].lit)
	case len(p) == 2 && p[0].kind == tokLit && p[1].kind == tokMany:
		return strings.HasPrefix(s, p[0].lit)
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, t := range p {
		switch t.kind {
		case tokOne:
			b.WriteByte('.')
		case tokMany:
			b.WriteString(".*")
		case tokDash:
			b.WriteString("[-/–—―]")
		default:
			if !validText(t.lit) {
				return p.match([]byte(s))
			}
			b.WriteString(regexp.QuoteMeta(t.lit))
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	return err == nil && re.MatchString(s)
}
