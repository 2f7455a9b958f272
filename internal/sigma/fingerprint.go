package sigma

import (
	"crypto/sha256"
	"hash"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// fingerprint is that of a document by itself, or of the block of a correlation.
func (s *Set) fingerprint(doc *yamldoc.Node) (out [16]byte) {
	h, found := sha256.New(), false
	for _, key := range []string{"logsource", "detection", "filter"} {
		if n := lookup(doc, key); n != nil {
			printText(h, key)
			s.printNode(h, n)
			found = true
		}
	}
	if !found {
		s.printNode(h, doc)
	}
	copy(out[:], h.Sum(nil))
	return out
}

func printText(h hash.Hash, t string) {
	h.Write([]byte(t))
	h.Write([]byte{0})
}

// printNode writes a node, and after it the tables of the placeholders in it.
func (s *Set) printNode(h hash.Hash, n *yamldoc.Node) {
	h.Write([]byte{byte(n.Kind)})
	printText(h, n.Value)
	for name := range strings.SplitSeq(n.Value, "%") {
		for _, v := range s.opts.Placeholders[name] {
			printText(h, v)
		}
	}
	for _, c := range n.Content {
		s.printNode(h, c)
	}
	h.Write([]byte{0xff})
}

func joinPrints(a [16]byte, more ...[16]byte) [16]byte {
	h := sha256.New()
	h.Write(a[:])
	for _, m := range more {
		h.Write(m[:])
	}
	return [16]byte(h.Sum(nil))
}

// addPrints joins to each correlation what its rules look for. References lead
// in no circle.
func (c *compiler) addPrints() {
	done := map[int]bool{}
	var visit func(i int)
	visit = func(i int) {
		r := c.eng.rules[i]
		if done[i] || r.Correlation == nil {
			return
		}
		done[i] = true
		for _, ref := range r.Correlation.Rules {
			at := c.refs[ref]
			visit(at)
			r.print = joinPrints(r.print, c.eng.rules[at].print)
		}
	}
	for i := range c.eng.rules {
		visit(i)
	}
}

// Only is a set of the rules that keep takes, of those that correlations among
// them refer to, and of all filters. Compile it as any other.
func (s *Set) Only(keep func(*Rule) bool) *Set {
	byRef := map[string]*Rule{}
	for _, r := range s.rules {
		for _, ref := range []string{r.ID, r.Name} {
			if byRef[ref] == nil && ref != "" {
				byRef[ref] = r
			}
		}
	}
	in := map[*Rule]bool{}
	var take func(r *Rule)
	take = func(r *Rule) {
		if r == nil || in[r] {
			return
		}
		in[r] = true
		if r.Correlation != nil {
			for _, ref := range r.Correlation.Rules {
				take(byRef[ref])
			}
		}
	}
	for _, r := range s.rules {
		if keep(r) {
			take(r)
		}
	}
	out := NewSet(s.opts)
	out.filters = slices.Clone(s.filters)
	for _, r := range s.rules {
		if in[r] {
			out.rules = append(out.rules, r)
		}
	}
	return out
}
