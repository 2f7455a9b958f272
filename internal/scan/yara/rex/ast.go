// Package rex holds the patterns of YARA strings: regular expressions and hex
// strings as trees over bytes, the programs that match them in linear time,
// and the short literals (atoms) by which their places are found.
//
// The dialect and the meaning of a match follow libyara 4.5.
package rex

import (
	"math/bits"
	"slices"
)

// Op is the kind of a Node.
type Op uint8

// The kinds. Mask matches byte&Mask == Val; NotMask its opposite.
const (
	OpEmpty Op = iota
	OpLit
	OpMask
	OpNotMask
	OpAny
	OpClass
	OpCat
	OpAlt
	OpRepeat
	OpStart
	OpEnd
	OpWordB
	OpNotWordB
)

// Unbounded is a Repeat's Max where there is no upper limit.
const Unbounded = -1

// Node is a part of a pattern.
type Node struct {
	Op       Op
	Val      byte
	Mask     byte
	Set      *Set
	Negated  bool // of a class: applied after case folding
	Kids     []*Node
	Min, Max int
	Greedy   bool
	Interval bool // of a Repeat: written {n,m}, or a jump of a hex string
}

// Set is a set of byte values.
type Set [4]uint64

// Add puts b into the set.
func (s *Set) Add(b byte) { s[b>>6] |= 1 << (b & 63) }

// AddRange puts lo to hi into the set.
func (s *Set) AddRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.Add(byte(c))
	}
}

// Has tells whether b is in the set.
func (s *Set) Has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

// Len is the number of values in the set.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Union adds what is in t.
func (s *Set) Union(t *Set) {
	for i := range s {
		s[i] |= t[i]
	}
}

// Invert makes the set its complement.
func (s *Set) Invert() {
	for i := range s {
		s[i] = ^s[i]
	}
}

// Fold adds the other case of every letter in the set.
func (s *Set) Fold() {
	for c := byte('a'); c <= 'z'; c++ {
		if s.Has(c) || s.Has(c-32) {
			s.Add(c)
			s.Add(c - 32)
		}
	}
}

// Pattern is a parsed regular expression or hex string.
type Pattern struct {
	Root *Node
	// Greedy and Ungreedy tell which quantifiers occur.
	Greedy, Ungreedy bool
	// UnknownEscape tells that the text has an escape without a meaning.
	UnknownEscape bool
}

// Literal gives the bytes of a pattern that is a plain sequence of bytes.
func (p *Pattern) Literal() ([]byte, bool) {
	items := flatten(p.Root, nil)
	if len(items) == 0 {
		return nil, false
	}
	out := make([]byte, 0, len(items))
	for _, n := range items {
		if n.Op != OpLit {
			return nil, false
		}
		out = append(out, n.Val)
	}
	return out, true
}

// HasDotStar tells whether the pattern holds .*, .+ or .{n,} outside groups.
func (p *Pattern) HasDotStar() bool { return dotStar(p.Root) }

func dotStar(n *Node) bool {
	if n.Op == OpRepeat && n.Kids[0].Op == OpAny && n.Max == Unbounded {
		return true
	}
	if n.Op == OpCat {
		return slices.ContainsFunc(n.Kids, dotStar)
	}
	return false
}

func flatten(n *Node, out []*Node) []*Node {
	switch n.Op {
	case OpCat:
		for _, k := range n.Kids {
			out = flatten(k, out)
		}
		return out
	case OpEmpty:
		return out
	default:
		return append(out, n)
	}
}

// chainThreshold is the longest jump that is matched inside one part; a pattern
// with a longer one is cut into a chain there.
const chainThreshold = 200

// Part is one link of a chain: its pattern, and the bytes that may lie between
// it and the part before.
type Part struct {
	Pattern  *Pattern
	Min, Max int // Max may be Unbounded
}

// Split cuts a pattern at its long jumps. A pattern without any is one part.
func (p *Pattern) Split() []Part {
	if p.Root.Op != OpCat {
		return []Part{{Pattern: p}}
	}
	var parts []Part
	var cur []*Node
	lo, hi := 0, 0
	cut := func() {
		q := *p
		q.Root = &Node{Op: OpCat, Kids: cur}
		parts = append(parts, Part{Pattern: &q, Min: lo, Max: hi})
	}
	kids := p.Root.Kids
	for i, n := range kids {
		if len(parts) > 0 && len(cur) == 0 && isJump(n) && i < len(kids)-1 {
			// A jump beside a jump is one jump.
			lo += n.Min
			if hi += n.Max; n.Max == Unbounded || hi < n.Max {
				hi = Unbounded
			}
			continue
		}
		if i == 0 || i == len(kids)-1 || !longJump(n) {
			cur = append(cur, n)
			continue
		}
		cut()
		cur, lo, hi = nil, n.Min, n.Max
	}
	cut()
	return parts
}

func isJump(n *Node) bool {
	return n.Op == OpRepeat && n.Interval && !n.Greedy && n.Kids[0].Op == OpAny
}

func longJump(n *Node) bool {
	if !isJump(n) {
		return false
	}
	return n.Min > chainThreshold || n.Max == Unbounded || n.Max > chainThreshold
}
