package rex

import "math"

// Atom is a run of bytes that every match through it must hold, and the parts
// of the pattern before it and from it on.
type Atom struct {
	// Bytes are the values possible at each place: 1 to 4 of them.
	Bytes     []Set
	Pre, Post []*Node
}

const (
	atomLen     = 4
	maxChoices  = 64   // words that one atom may stand for
	maxAtoms    = 5000 // atoms of one pattern
	maxUnrolled = 4

	maxUnrolledItems = 1024
)

// Atoms chooses the runs by which places of the pattern are found. It gives
// none where some match would hold none. wide is for a pattern whose bytes lie
// two apart.
func (p *Pattern) Atoms(f Flags, wide bool) []Atom {
	x := extractor{flags: f, wide: wide}
	c := x.extract([]*Node{p.Root}, nil, nil)
	if c == nil || len(c.atoms) > maxAtoms {
		return nil
	}
	return c.atoms
}

type choice struct {
	atoms []Atom
	score float64
}

type extractor struct {
	flags Flags
	wide  bool
}

// extract chooses among the runs of a sequence; pre and post lie around it.
func (x *extractor) extract(nodes, pre, post []*Node) *choice {
	items := unroll(nodes)
	places := make([]place, len(items))
	for i, n := range items {
		places[i] = x.small(n)
	}
	bestAt, bestLen, best := -1, 0, 0.0
	for i := range items {
		n, score := x.window(places[i:])
		if n > 0 && score > best {
			bestAt, bestLen, best = i, n, score
		}
	}
	var c *choice
	if bestAt >= 0 {
		c = &choice{score: best, atoms: []Atom{{
			Bytes: x.spread(places[bestAt : bestAt+bestLen]),
			Pre:   join(pre, items[:bestAt]),
			Post:  join(items[bestAt:], post),
		}}}
	}
	for i, n := range items {
		if n.Op != OpAlt || (c != nil && c.score > 24) {
			continue
		}
		if a := x.alternatives(n, join(pre, items[:i]), join(items[i+1:], post)); a != nil && (c == nil || a.score > c.score) {
			c = a
		}
	}
	return c
}

func (x *extractor) alternatives(n *Node, pre, post []*Node) *choice {
	all := &choice{score: 1e9}
	for _, k := range n.Kids {
		c := x.extract([]*Node{k}, pre, post)
		if c == nil {
			return nil
		}
		all.atoms = append(all.atoms, c.atoms...)
		all.score = min(all.score, c.score)
		if len(all.atoms) > maxAtoms {
			return nil
		}
	}
	all.score -= 0.5
	return all
}

func join(a, b []*Node) []*Node {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	return append(append(make([]*Node, 0, len(a)+len(b)), a...), b...)
}

// unroll flattens sequences and takes the first copies out of repeats.
func unroll(nodes []*Node) []*Node {
	var out []*Node
	for _, n := range nodes {
		switch {
		case n.Op == OpCat:
			out = append(out, unroll(n.Kids)...)
		case n.Op == OpRepeat && n.Min > 0 && n.Kids[0].Op != OpAny:
			k := min(n.Min, maxUnrolled)
			body := unroll(n.Kids)
			if len(body)*k > maxUnrolledItems {
				out = append(out, n)
				continue
			}
			for range k {
				out = append(out, body...)
			}
			rest := *n
			rest.Min -= k
			if rest.Max != Unbounded {
				rest.Max -= k
			}
			if rest.Max != 0 {
				out = append(out, &rest)
			}
		case n.Op != OpEmpty:
			out = append(out, n)
		}
	}
	return out
}

// place is one byte of a run: its values, how many, and the commonest of them.
type place struct {
	set    Set
	values []byte
	n      int
	least  float64
	at     byte
}

// small is the values of a node of one byte, or none where they are too many
// for an atom. Case does not count: atoms are compared folded.
func (x *extractor) small(n *Node) place {
	var p place
	switch n.Op {
	case OpLit:
		p.at = n.Val | 0x20
		p.set.Add(p.at)
		p.n, p.values, p.least = 1, []byte{p.at}, rarity(p.at)
		return p
	case OpMask, OpClass:
	default:
		return p
	}
	s := n.bytes(x.flags)
	if s.Len() > 32 {
		return p
	}
	p.set, p.least = FoldSet(s), math.Inf(1)
	p.n = p.set.Len()
	for c := range 256 {
		if !p.set.Has(byte(c)) {
			continue
		}
		p.values = append(p.values, byte(c))
		if rarity(byte(c)) < p.least {
			p.least, p.at = rarity(byte(c)), byte(c)
		}
	}
	return p
}

// FoldSet maps each value to the one that stands for it and its other case.
func FoldSet(s Set) Set {
	var out Set
	for c := range 256 {
		if s.Has(byte(c)) {
			out.Add(byte(c) | 0x20)
		}
	}
	return out
}

// window scores the run at the beginning of places.
func (x *extractor) window(places []place) (int, float64) {
	most := atomLen
	if x.wide {
		most = atomLen / 2
	}
	choices, n, score := 1, 0, 0.0
	for n < most && n < len(places) {
		p := &places[n]
		if p.n == 0 || choices*p.n > maxChoices {
			break
		}
		choices *= p.n
		bits := p.least
		switch {
		case x.wide: // zeros lie between
			bits = rarityAfter(0x20, p.at) + rarityAfter(p.at, 0x20)
		case n > 0:
			bits = p.after(&places[n-1])
		}
		for k := p.n; k > 1; k /= 2 {
			bits--
		}
		score += max(bits, 0.2)
		n++
	}
	return n, score
}

// after is the information of the commonest value after those of the place
// before.
func (p *place) after(before *place) float64 {
	if p.n == 1 && before.n == 1 {
		return rarityAfter(before.at, p.at)
	}
	least := math.Inf(1)
	for _, a := range before.values {
		for _, c := range p.values {
			least = min(least, rarityAfter(a, c))
		}
	}
	return least
}

// spread gives the values; those of a wide pattern with zeros between.
func (x *extractor) spread(places []place) []Set {
	zero := Set{}
	zero.Add(0x20) // zero, folded
	out := make([]Set, 0, 2*len(places))
	for _, p := range places {
		if out = append(out, p.set); x.wide {
			out = append(out, zero)
		}
	}
	return out
}

// TextWindow chooses the run of 1 to 4 bytes by which a literal is found.
func TextWindow(lit []byte) (off, n int) {
	best := -1.0
	for i := range lit {
		k := min(atomLen, len(lit)-i)
		score := 0.0
		for j, c := range lit[i : i+k] {
			if j == 0 {
				score += rarity(c | 0x20)
			} else {
				score += rarityAfter(lit[i+j-1]|0x20, c|0x20)
			}
		}
		if score > best {
			off, n, best = i, k, score
		}
	}
	return off, n
}
