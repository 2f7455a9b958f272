package rex

import (
	"errors"
	"math"
)

// Faults of a hex string.
var (
	errHexSyntax   = errors.New("syntax error")
	errHexDigits   = errors.New("uneven number of digits")
	errJumpZero    = errors.New("invalid jump length")
	errJumpRange   = errors.New("invalid jump range")
	errJumpBig     = errors.New("jump is too large")
	errJumpAlt     = errors.New("unbounded jumps not allowed inside alternation (|)")
	errJumpAltLong = errors.New("jumps over 200 not allowed inside alternation (|)")
	errNotAny      = errors.New("wildcard ?? can not be negated")
)

// ParseHex reads the text between the braces of a hex string.
func ParseHex(src []byte) (*Pattern, error) {
	p := &hexParser{src: src}
	p.skip()
	n, err := p.tokens(false)
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, errHexSyntax
	}
	return &Pattern{Root: n}, nil
}

type hexParser struct {
	src   []byte
	pos   int
	depth int
	nodes int
}

func (p *hexParser) skip() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.pos++
		case c == '/' && p.pos+1 < len(p.src) && p.src[p.pos+1] == '/':
			for p.pos < len(p.src) && p.src[p.pos] != '\n' {
				p.pos++
			}
		case c == '/' && p.pos+1 < len(p.src) && p.src[p.pos+1] == '*':
			p.pos += 2
			for p.pos+1 < len(p.src) && (p.src[p.pos] != '*' || p.src[p.pos+1] != '/') {
				p.pos++
			}
			p.pos = min(p.pos+2, len(p.src))
		default:
			return
		}
	}
}

// tokens reads a sequence up to its end, a bar or a closing parenthesis. It
// begins and ends with something that is no jump.
func (p *hexParser) tokens(inAlt bool) (*Node, error) {
	var kids []*Node
	jump := false
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		if c == '|' || c == ')' {
			break
		}
		if p.nodes++; p.nodes > maxPattern {
			return nil, errBig
		}
		var n *Node
		var err error
		jump = false
		switch c {
		case '[':
			if len(kids) == 0 {
				return nil, errHexSyntax
			}
			jump = true
			n, err = p.jump(inAlt)
		case '(':
			n, err = p.group()
		default:
			n, err = p.hexByte()
		}
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		p.skip()
	}
	if len(kids) == 0 || jump {
		return nil, errHexSyntax
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &Node{Op: OpCat, Kids: kids}, nil
}

func (p *hexParser) group() (*Node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errDeep
	}
	defer func() { p.depth-- }()
	p.pos++
	var kids []*Node
	for {
		p.skip()
		n, err := p.tokens(true)
		if err != nil {
			return nil, err
		}
		kids = append(kids, n)
		if p.pos >= len(p.src) {
			return nil, errHexSyntax
		}
		c := p.src[p.pos]
		p.pos++
		if c == ')' {
			break
		}
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &Node{Op: OpAlt, Kids: kids}, nil
}

func (p *hexParser) number() (int, bool, error) {
	p.skip()
	v, ok := 0, false
	for p.pos < len(p.src) && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		v = v*10 + int(p.src[p.pos]-'0')
		if v > math.MaxInt32 {
			return 0, false, errJumpBig
		}
		ok = true
		p.pos++
	}
	p.skip()
	return v, ok, nil
}

func (p *hexParser) jump(inAlt bool) (*Node, error) {
	p.pos++
	lo, hasLo, err := p.number()
	if err != nil {
		return nil, err
	}
	hi, dash := lo, false
	if p.pos < len(p.src) && p.src[p.pos] == '-' {
		p.pos++
		dash = true
		var hasHi bool
		if hi, hasHi, err = p.number(); err != nil {
			return nil, err
		}
		if !hasHi {
			hi = Unbounded
		}
		if hasHi && !hasLo {
			return nil, errHexSyntax
		}
	}
	if p.pos >= len(p.src) || p.src[p.pos] != ']' || (!dash && !hasLo) {
		return nil, errHexSyntax
	}
	p.pos++
	switch {
	case !dash && lo == 0:
		return nil, errJumpZero
	case hi != Unbounded && lo > hi:
		return nil, errJumpRange
	case inAlt && hi == Unbounded:
		return nil, errJumpAlt
	case inAlt && hi > chainThreshold:
		return nil, errJumpAltLong
	}
	if lo == 1 && hi == 1 {
		return &Node{Op: OpAny}, nil
	}
	return &Node{Op: OpRepeat, Kids: []*Node{{Op: OpAny}}, Min: lo, Max: hi, Interval: true}, nil
}

func (p *hexParser) hexByte() (*Node, error) {
	op := OpMask
	if p.src[p.pos] == '~' {
		op = OpNotMask
		p.pos++
	}
	if p.pos+1 >= len(p.src) {
		return nil, errHexDigits
	}
	hi, lo := p.src[p.pos], p.src[p.pos+1]
	if (hi != '?' && hexDigit(hi) < 0) || (lo != '?' && hexDigit(lo) < 0) {
		if hexDigit(hi) >= 0 {
			return nil, errHexDigits
		}
		return nil, errHexSyntax
	}
	p.pos += 2
	n := &Node{Op: op}
	if hi != '?' {
		n.Mask |= 0xF0
		n.Val |= byte(hexDigit(hi)) << 4
	}
	if lo != '?' {
		n.Mask |= 0x0F
		n.Val |= byte(hexDigit(lo))
	}
	switch {
	case n.Mask == 0 && op == OpNotMask:
		return nil, errNotAny
	case n.Mask == 0:
		n.Op = OpAny
	case n.Mask == 0xFF && op == OpMask:
		n.Op = OpLit
	}
	return n, nil
}
