package rex

import (
	"errors"
	"fmt"
)

// Limits of the dialect, as in libyara.
const (
	maxRange   = 32767
	maxDepth   = 200
	maxPattern = 1 << 20 // nodes
)

// Faults of a regular expression.
var (
	errSyntax   = errors.New("syntax error")
	errInterval = errors.New("bad repeat interval")
	errTooLarge = errors.New("repeat interval too large")
	errEscape   = errors.New("illegal escape sequence")
	errBackref  = errors.New("backreferences are not allowed")
	errClass    = errors.New("missing terminating ] for character class")
	errRange    = errors.New("bad character range")
	errDeep     = errors.New("regular expression is nested too deeply")
	errBig      = errors.New("regular expression is too large")
)

type parser struct {
	src   []byte
	pos   int
	depth int
	nodes int
	out   *Pattern
}

// ParseRegexp reads the text between the slashes of a regular expression.
func ParseRegexp(src []byte) (*Pattern, error) {
	p := &parser{src: src, out: &Pattern{}}
	n, err := p.alternative()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, errSyntax
	}
	p.out.Root = n
	return p.out, nil
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) alternative() (*Node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errDeep
	}
	defer func() { p.depth-- }()
	n, err := p.concat(false)
	if err != nil {
		return nil, err
	}
	kids := []*Node{n}
	for p.more() && p.src[p.pos] == '|' {
		p.pos++
		if n, err = p.concat(true); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &Node{Op: OpAlt, Kids: kids}, nil
}

// concat reads a sequence; only the right side of a bar may be empty.
func (p *parser) concat(mayBeEmpty bool) (*Node, error) {
	var kids []*Node
	for p.more() && p.src[p.pos] != '|' && p.src[p.pos] != ')' {
		n, err := p.repeat()
		if err != nil {
			return nil, err
		}
		if p.nodes++; p.nodes > maxPattern {
			return nil, errBig
		}
		kids = append(kids, n)
	}
	switch {
	case len(kids) == 0 && mayBeEmpty:
		return &Node{Op: OpEmpty}, nil
	case len(kids) == 0:
		return nil, errSyntax
	case len(kids) == 1:
		return kids[0], nil
	}
	return &Node{Op: OpCat, Kids: kids}, nil
}

func (p *parser) repeat() (*Node, error) {
	n, quantifiable, err := p.single()
	if err != nil || !quantifiable || !p.more() {
		return n, err
	}
	lo, hi, interval := 0, Unbounded, false
	switch c := p.src[p.pos]; c {
	case '*', '+', '?':
		p.pos++
		if c == '+' {
			lo = 1
		}
		if c == '?' {
			hi = 1
		}
	case '{':
		var ok bool
		interval = true
		if lo, hi, ok, err = p.interval(); err != nil || !ok {
			return n, err
		}
	default:
		return n, nil
	}
	greedy := true
	if p.more() && p.src[p.pos] == '?' {
		p.pos++
		greedy = false
	}
	if greedy {
		p.out.Greedy = true
	} else {
		p.out.Ungreedy = true
	}
	q := quantify(n, lo, hi, greedy)
	q.Interval = q.Interval || (interval && q != n)
	return q, nil
}

func quantify(n *Node, lo, hi int, greedy bool) *Node {
	switch {
	case hi == 0:
		return &Node{Op: OpEmpty}
	case lo == 1 && hi == 1:
		return n
	}
	return &Node{Op: OpRepeat, Kids: []*Node{n}, Min: lo, Max: hi, Greedy: greedy}
}

// interval reads {n}, {n,}, {,m} or {n,m}; ok is false where the brace is no
// interval and stands for itself.
func (p *parser) interval() (lo, hi int, ok bool, err error) {
	i := p.pos + 1
	skip := func() {
		for i < len(p.src) && p.src[i] == ' ' {
			i++
		}
	}
	number := func() (int, bool, bool) {
		v, digits := 0, 0
		for i < len(p.src) && p.src[i] >= '0' && p.src[i] <= '9' {
			if v <= maxRange {
				v = v*10 + int(p.src[i]-'0')
			}
			digits++
			i++
		}
		return v, digits > 0, v > maxRange
	}
	lo, hasLo, bigLo := number()
	comma := false
	hi, hasHi, bigHi := lo, hasLo, bigLo
	skip()
	if i < len(p.src) && p.src[i] == ',' {
		comma = true
		i++
		skip()
		hi, hasHi, bigHi = number()
		skip()
	}
	if i >= len(p.src) || p.src[i] != '}' || (!comma && !hasLo) {
		return 0, 0, false, nil
	}
	p.pos = i + 1
	if bigLo || (hasHi && bigHi) {
		return 0, 0, false, errTooLarge
	}
	if !hasHi {
		return lo, Unbounded, true, nil
	}
	if hi < lo {
		return 0, 0, false, errInterval
	}
	return lo, hi, true, nil
}

// single reads one element; a word boundary takes no quantifier.
func (p *parser) single() (*Node, bool, error) {
	c := p.src[p.pos]
	p.pos++
	switch c {
	case '.':
		return &Node{Op: OpAny}, true, nil
	case '^':
		return &Node{Op: OpStart}, true, nil
	case '$':
		return &Node{Op: OpEnd}, true, nil
	case '(':
		n, err := p.alternative()
		if err != nil {
			return nil, false, err
		}
		if !p.more() || p.src[p.pos] != ')' {
			return nil, false, errSyntax
		}
		p.pos++
		return n, true, nil
	case '[':
		n, err := p.class()
		return n, true, err
	case '\\':
		return p.escaped()
	case '*', '+', '?':
		return nil, false, errSyntax
	case '{':
		p.pos--
		if _, _, ok, err := p.interval(); ok || err != nil {
			return nil, false, fmt.Errorf("%w: nothing to repeat", errSyntax)
		}
		p.pos++
	}
	return &Node{Op: OpLit, Val: c}, true, nil
}

func (p *parser) escaped() (*Node, bool, error) {
	if !p.more() {
		return nil, false, errSyntax
	}
	c := p.src[p.pos]
	if c == 'b' || c == 'B' {
		p.pos++
		op := OpWordB
		if c == 'B' {
			op = OpNotWordB
		}
		return &Node{Op: op}, false, nil
	}
	if s := shorthand(c); s != nil {
		p.pos++
		return &Node{Op: OpClass, Set: s}, true, nil
	}
	if c >= '1' && c <= '9' || c == '0' {
		return nil, false, errBackref
	}
	b, err := p.escape()
	if err != nil {
		return nil, false, err
	}
	return &Node{Op: OpLit, Val: b}, true, nil
}

// escape reads what follows a backslash and stands for one byte.
func (p *parser) escape() (byte, error) {
	c := p.src[p.pos]
	p.pos++
	switch c {
	case 'x':
		if p.pos+1 >= len(p.src) {
			return 0, errEscape
		}
		hi, lo := hexDigit(p.src[p.pos]), hexDigit(p.src[p.pos+1])
		if hi < 0 || lo < 0 {
			return 0, errEscape
		}
		p.pos += 2
		return byte(hi<<4 | lo), nil
	case 'n':
		return '\n', nil
	case 't':
		return '\t', nil
	case 'r':
		return '\r', nil
	case 'f':
		return '\f', nil
	case 'a':
		return '\a', nil
	case '\\', '/', '^', '$', '|', '(', ')', '[', ']', '*', '+', '?', '{', '}', ',', '.', '-':
		return c, nil
	}
	p.out.UnknownEscape = true
	return c, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// shorthand is the set of \w, \d, \s and their opposites.
func shorthand(c byte) *Set {
	s := &Set{}
	switch c | 0x20 {
	case 'w':
		s.AddRange('a', 'z')
		s.AddRange('A', 'Z')
		s.AddRange('0', '9')
		s.Add('_')
	case 'd':
		s.AddRange('0', '9')
	case 's':
		s.AddRange('\t', '\r')
		s.Add(' ')
	default:
		return nil
	}
	if c&0x20 == 0 {
		s.Invert()
	}
	return s
}

func (p *parser) class() (*Node, error) {
	n := &Node{Op: OpClass, Set: &Set{}}
	if p.more() && p.src[p.pos] == '^' {
		n.Negated = true
		p.pos++
	}
	for first := true; ; first = false {
		if !p.more() {
			return nil, errClass
		}
		if p.src[p.pos] == ']' && !first {
			p.pos++
			return n, nil
		}
		lo, short, err := p.classByte()
		if err != nil {
			return nil, err
		}
		if short != nil {
			n.Set.Union(short)
			continue
		}
		if p.pos+1 >= len(p.src) || p.src[p.pos] != '-' || p.src[p.pos+1] == ']' {
			n.Set.Add(lo)
			continue
		}
		p.pos++
		hi, short, err := p.classByte()
		if err != nil {
			return nil, err
		}
		if short != nil || hi < lo {
			return nil, errRange
		}
		n.Set.AddRange(lo, hi)
	}
}

func (p *parser) classByte() (byte, *Set, error) {
	c := p.src[p.pos]
	p.pos++
	if c != '\\' {
		return c, nil, nil
	}
	if !p.more() {
		return 0, nil, errClass
	}
	if s := shorthand(p.src[p.pos]); s != nil {
		p.pos++
		return 0, s, nil
	}
	b, err := p.escape()
	return b, nil, err
}
