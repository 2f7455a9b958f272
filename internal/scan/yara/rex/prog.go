package rex

import "errors"

// The instructions of a Prog.
const (
	iByte  uint8 = iota // A: the byte
	iFold               // A: the lower-case byte
	iMask               // A: value, B: mask
	iNMask              // the opposite of iMask
	iAny                // any byte
	iDot                // any byte but a line feed
	iSet                // X: index of the set
	iSplit              // X, then Y
	iJump               // X
	iStart
	iEnd
	iWordB
	iNotWordB
	iMatch
)

// Inst is one instruction.
type Inst struct {
	Op, A, B uint8
	X, Y     int32
}

// Prog is a compiled pattern, or the part of one before or after an atom.
type Prog struct {
	Code []Inst
	Sets []Set
}

// Flags alter what a pattern means.
type Flags struct {
	NoCase bool
	DotAll bool
}

// maxProg bounds a program; it bounds the work for one byte of input too.
const maxProg = 1 << 16

// ErrTooLarge is a pattern whose program would pass the limit.
var ErrTooLarge = errors.New("regular expression is too large: its repeats expand to more than 65536 instructions")

// Masked is a byte of which the bits of Mask are known.
type Masked struct{ Value, Mask byte }

// Lead gives the first bytes that every match has, at most n of them; of a
// reversed program they are the last, from the end on.
func (p *Prog) Lead(n int) []Masked {
	out := make([]Masked, 0, 8)
	for i := range p.Code {
		c := &p.Code[i]
		if c.Op > iSet || len(out) == n {
			break
		}
		m := Masked{}
		switch c.Op {
		case iByte:
			m = Masked{c.A, 0xFF}
		case iFold:
			m = Masked{c.A &^ 0x20, 0xDF}
		case iMask:
			m = Masked{c.A, c.B}
		}
		out = append(out, m)
	}
	return out
}

type compiler struct {
	prog    *Prog
	flags   Flags
	reverse bool
	sets    map[Set]int32
}

// Compile makes the program of a sequence of nodes; reverse makes it match
// from its end to its beginning.
func Compile(nodes []*Node, f Flags, reverse bool) (*Prog, error) {
	c := &compiler{prog: &Prog{}, flags: f, reverse: reverse}
	if err := c.seq(nodes); err != nil {
		return nil, err
	}
	c.emit(Inst{Op: iMatch})
	return c.prog, nil
}

func (c *compiler) emit(i Inst) int {
	c.prog.Code = append(c.prog.Code, i)
	return len(c.prog.Code) - 1
}

func (c *compiler) here() int32 { return int32(len(c.prog.Code)) }

func (c *compiler) seq(nodes []*Node) error {
	for i := range nodes {
		n := nodes[i]
		if c.reverse {
			n = nodes[len(nodes)-1-i]
		}
		if err := c.node(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) node(n *Node) error {
	if len(c.prog.Code) > maxProg {
		return ErrTooLarge
	}
	switch n.Op {
	case OpEmpty:
	case OpLit:
		if l := n.Val | 0x20; c.flags.NoCase && l >= 'a' && l <= 'z' {
			c.emit(Inst{Op: iFold, A: l})
		} else {
			c.emit(Inst{Op: iByte, A: n.Val})
		}
	case OpMask:
		c.emit(Inst{Op: iMask, A: n.Val, B: n.Mask})
	case OpNotMask:
		c.emit(Inst{Op: iNMask, A: n.Val, B: n.Mask})
	case OpAny:
		if c.flags.DotAll {
			c.emit(Inst{Op: iAny})
		} else {
			c.emit(Inst{Op: iDot})
		}
	case OpClass:
		c.emit(Inst{Op: iSet, X: c.set(n.bytes(c.flags))})
	case OpCat:
		return c.seq(n.Kids)
	case OpAlt:
		return c.alt(n)
	case OpRepeat:
		return c.repeat(n)
	case OpStart:
		c.emit(Inst{Op: iStart})
	case OpEnd:
		c.emit(Inst{Op: iEnd})
	case OpWordB:
		c.emit(Inst{Op: iWordB})
	case OpNotWordB:
		c.emit(Inst{Op: iNotWordB})
	}
	return nil
}

func (c *compiler) set(s Set) int32 {
	if i, ok := c.sets[s]; ok {
		return i
	}
	if c.sets == nil {
		c.sets = map[Set]int32{}
	}
	i := int32(len(c.prog.Sets))
	c.prog.Sets = append(c.prog.Sets, s)
	c.sets[s] = i
	return i
}

func (c *compiler) alt(n *Node) error {
	var ends []int
	for i, k := range n.Kids {
		split := -1
		if i < len(n.Kids)-1 {
			split = c.emit(Inst{Op: iSplit})
			c.prog.Code[split].X = c.here()
		}
		if err := c.node(k); err != nil {
			return err
		}
		if split >= 0 {
			ends = append(ends, c.emit(Inst{Op: iJump}))
			c.prog.Code[split].Y = c.here()
		}
	}
	for _, e := range ends {
		c.prog.Code[e].X = c.here()
	}
	return nil
}

// repeat unrolls. More copies than bytes can be looked at change nothing, so
// an upper limit beyond that is as good as none.
func (c *compiler) repeat(n *Node) error {
	body, lo, hi := n.Kids[0], n.Min, n.Max
	if w := minLen(body); w > 0 {
		most := 2*ScanLimit/w + 1
		if lo > most {
			lo = most
		}
		if hi > most {
			hi = Unbounded
		}
	}
	for range lo {
		before := len(c.prog.Code)
		if err := c.node(body); err != nil {
			return err
		}
		if len(c.prog.Code) == before {
			return nil // nothing, however often
		}
	}
	if hi == Unbounded {
		return c.star(body, n.Greedy)
	}
	var splits []int
	for range hi - lo {
		splits = append(splits, c.emit(Inst{Op: iSplit}))
		if err := c.node(body); err != nil {
			return err
		}
	}
	for _, s := range splits {
		c.branch(s, int32(s+1), c.here(), n.Greedy)
	}
	return nil
}

func (c *compiler) star(body *Node, greedy bool) error {
	s := c.emit(Inst{Op: iSplit})
	if err := c.node(body); err != nil {
		return err
	}
	c.emit(Inst{Op: iJump, X: int32(s)})
	c.branch(s, int32(s+1), c.here(), greedy)
	return nil
}

func (c *compiler) branch(at int, in, out int32, greedy bool) {
	if !greedy {
		in, out = out, in
	}
	c.prog.Code[at].X, c.prog.Code[at].Y = in, out
}

// bytes gives the values that a node of one byte matches.
func (n *Node) bytes(f Flags) Set {
	var s Set
	switch n.Op {
	case OpLit:
		s.Add(n.Val)
	case OpMask, OpNotMask:
		for c := range 256 {
			if (byte(c)&n.Mask == n.Val) == (n.Op == OpMask) {
				s.Add(byte(c))
			}
		}
		return s
	case OpAny:
		s.Invert()
		return s
	case OpClass:
		s = *n.Set
	}
	if f.NoCase {
		s.Fold()
	}
	if n.Negated {
		s.Invert()
	}
	return s
}

func minLen(n *Node) int {
	switch n.Op {
	case OpLit, OpMask, OpNotMask, OpAny, OpClass:
		return 1
	case OpCat:
		sum := 0
		for _, k := range n.Kids {
			sum = min(sum+minLen(k), ScanLimit)
		}
		return sum
	case OpAlt:
		least := ScanLimit
		for _, k := range n.Kids {
			least = min(least, minLen(k))
		}
		return least
	case OpRepeat:
		return min(n.Min*minLen(n.Kids[0]), ScanLimit)
	}
	return 0
}

// First gives the bytes with which a match of p may begin. empty tells that p
// is the pattern that matches nothing at all.
func (p *Prog) First() (s Set, empty bool) {
	m := Machine{}
	m.cur.reset(len(p.Code))
	r := run{p: p, in: Input{AtStart: true}, size: 1}
	// Without data every assertion but a not-boundary holds.
	m.follow(&r, &m.cur, 0)
	for _, pc := range m.cur.dense {
		switch i := &p.Code[pc]; i.Op {
		case iMatch, iNotWordB:
			empty = empty || i.Op == iMatch && pc == 0
			s.Invert()
			s.Union(&Set{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})
			return s, empty
		default:
			for c := range 256 {
				if i.matches(p, byte(c)) {
					s.Add(byte(c))
				}
			}
		}
	}
	return s, empty
}

// Consistent tells whether no instruction leads outside.
func (p *Prog) Consistent() bool {
	if len(p.Code) == 0 || p.Code[len(p.Code)-1].Op != iMatch {
		return false
	}
	in := func(x int32, n int) bool { return x >= 0 && int(x) < n }
	for i := range p.Code {
		c := &p.Code[i]
		ok := c.Op <= iMatch
		switch c.Op {
		case iSet:
			ok = in(c.X, len(p.Sets))
		case iSplit:
			ok = in(c.X, len(p.Code)) && in(c.Y, len(p.Code))
		case iJump:
			ok = in(c.X, len(p.Code))
		}
		if !ok {
			return false
		}
	}
	return true
}
