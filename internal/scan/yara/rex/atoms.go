package rex

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
	sets := make([]Set, len(items))
	for i, n := range items {
		sets[i] = x.small(n)
	}
	bestAt, bestLen, best := -1, 0, 0.0
	for i := range items {
		n, score := x.window(sets[i:])
		if n > 0 && score > best {
			bestAt, bestLen, best = i, n, score
		}
	}
	var c *choice
	if bestAt >= 0 {
		c = &choice{score: best, atoms: []Atom{{
			Bytes: x.spread(sets[bestAt : bestAt+bestLen]),
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

// small is the values of a node of one byte, or the empty set where they are
// too many for an atom. Case does not count: atoms are compared folded.
func (x *extractor) small(n *Node) Set {
	switch n.Op {
	case OpLit, OpMask, OpClass:
	default:
		return Set{}
	}
	s := n.bytes(x.flags)
	if s.Len() > 32 {
		return Set{}
	}
	return FoldSet(s)
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

// window scores the run at the beginning of sets.
func (x *extractor) window(sets []Set) (int, float64) {
	most := atomLen
	if x.wide {
		most = atomLen / 2
	}
	choices, n, score := 1, 0, 0.0
	var last byte
	for n < most && n < len(sets) {
		k := sets[n].Len()
		if k == 0 || choices*k > maxChoices {
			break
		}
		choices *= k
		worst := 8.0
		var at byte
		for c := range 256 {
			if sets[n].Has(byte(c)) {
				worst, at = min(worst, rarity(byte(c))), byte(c)
			}
		}
		if n > 0 && at == last && k == 1 {
			worst = min(worst, 1.5)
		}
		for ; k > 1; k /= 2 {
			worst--
		}
		last = at
		score += max(worst, 0.2)
		n++
		if x.wide {
			score += 0.6
		}
	}
	return n, score
}

func (x *extractor) spread(sets []Set) []Set {
	if !x.wide {
		return sets
	}
	zero := Set{}
	zero.Add(0x20) // zero, folded
	out := make([]Set, 0, 2*len(sets))
	for _, s := range sets {
		out = append(out, s, zero)
	}
	return out
}

// rarity is about the information, in bits, of a folded byte in the files that
// people scan.
func rarity(c byte) float64 {
	switch {
	case c == 0x20: // stands for zero too
		return 1.2
	case c == 0x21: // stands for 1 too
		return 4.5
	case c == 0xFF:
		return 3.5
	case c == 0xE8 || c == 0x6B || c == 0x68 || c == 0xAB || c == 0xA9 || c == 0x2F || c == 0x24:
		// 48 8B 89 0F 24 E8: the commonest of machine code
		return 5
	case c == 'e' || c == 't' || c == 'a' || c == 'i' || c == 'n' || c == 'o' || c == 's' || c == 'r' || c == '_':
		return 4.8
	case c == 'l' || c == 'c' || c == 'd' || c == 'u' || c == 'p' || c == 'm' || c == 'f' || c == 'g':
		return 5.3
	case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == 0x2D:
		return 6
	}
	return 7
}

// TextWindow chooses the run of 1 to 4 bytes by which a literal is found.
func TextWindow(lit []byte) (off, n int) {
	best := -1.0
	sets := make([]Set, len(lit))
	for i, b := range lit {
		sets[i].Add(b | 0x20)
	}
	x := extractor{}
	for i := range lit {
		k, score := x.window(sets[i:])
		if score > best {
			off, n, best = i, k, score
		}
	}
	return off, n
}
