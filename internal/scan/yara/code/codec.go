package code

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

// magic begins a file of compiled rules; its last byte is the version.
const magic = "lapwing yara\x00\x01"

var (
	// ErrFormat is a file that is no compiled rules of this version.
	ErrFormat = errors.New("no compiled rules of this version: compile them again")
	// ErrDamaged is a file that was cut or changed.
	ErrDamaged = errors.New("the compiled rules are damaged: compile them again")
)

// Is tells whether b begins as compiled rules do, of whatever version.
func Is(b []byte) bool {
	return len(b) >= len(magic) && string(b[:len(magic)-1]) == magic[:len(magic)-1]
}

// codec writes or reads: each method does both, so that the two agree.
type codec struct {
	b    []byte
	text string // all that is read, so that its strings are parts of one
	read bool
	bad  bool
}

// Encode gives the saved form: magic, checksum (CRC-32C), content.
func Encode(p *Program) []byte {
	c := &codec{b: make([]byte, len(magic)+4, 1<<20)}
	copy(c.b, magic)
	c.program(p)
	binary.LittleEndian.PutUint32(c.b[len(magic):], crc32.Checksum(c.b[len(magic)+4:], crc32.MakeTable(crc32.Castagnoli)))
	return c.b
}

// Decode reads what Encode gave. What it returns is consistent: no index in it
// points outside.
func Decode(b []byte) (*Program, error) {
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic {
		return nil, ErrFormat
	}
	body := b[len(magic)+4:]
	if binary.LittleEndian.Uint32(b[len(magic):]) != crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) {
		return nil, ErrDamaged
	}
	c := &codec{b: body, text: string(body), read: true}
	p := &Program{}
	c.program(p)
	if c.bad || len(c.b) != 0 || !p.consistent() {
		return nil, ErrDamaged
	}
	return p, nil
}

func (c *codec) uint(v *uint64) {
	if !c.read {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad, c.b = true, nil
		return
	}
	*v, c.b = x, c.b[n:]
}

func (c *codec) int64(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.uint(&u)
	*v = int64(u>>1) ^ -int64(u&1)
}

func (c *codec) int32(v ...*int32) {
	for _, p := range v {
		x := int64(*p)
		c.int64(&x)
		c.bad = c.bad || x < math.MinInt32 || x > math.MaxInt32
		*p = int32(x)
	}
}

func (c *codec) byte(v ...*uint8) {
	for _, p := range v {
		if !c.read {
			c.b = append(c.b, *p)
			continue
		}
		if len(c.b) == 0 {
			c.bad = true
			return
		}
		*p, c.b = c.b[0], c.b[1:]
	}
}

// bools packs up to eight of them.
func (c *codec) bools(v ...*bool) {
	var x uint8
	for i, p := range v {
		if *p {
			x |= 1 << i
		}
	}
	c.byte(&x)
	for i, p := range v {
		*p = x>>i&1 != 0
	}
}

func (c *codec) bytes(v *[]byte) {
	n := uint64(len(*v))
	c.uint(&n)
	if !c.read {
		c.b = append(c.b, *v...)
		return
	}
	if n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return
	}
	if n > 0 {
		*v, c.b = c.b[:n:n], c.b[n:]
	}
}

func (c *codec) str(v ...*string) {
	for _, p := range v {
		if !c.read {
			b := []byte(*p)
			c.bytes(&b)
			continue
		}
		n := uint64(0)
		if c.uint(&n); n > uint64(len(c.b)) {
			c.bad, c.b = true, nil
			return
		}
		at := len(c.text) - len(c.b)
		*p, c.b = c.text[at:at+int(n)], c.b[n:]
	}
}

// slice does the length of a slice and then each item. An item takes at least
// one byte, which bounds what a damaged length makes.
func slice[T any](c *codec, s *[]T, item func(*T)) {
	n := uint64(len(*s))
	c.uint(&n)
	if c.read {
		if n > uint64(len(c.b)) {
			c.bad, c.b = true, nil
			return
		}
		if n > 0 {
			*s = make([]T, n)
		}
	}
	for i := range *s {
		if c.bad {
			return
		}
		item(&(*s)[i])
	}
}

func (c *codec) program(p *Program) {
	texts := func(s *string) { c.str(s) }
	slice(c, &p.Namespaces, texts)
	slice(c, &p.Modules, texts)
	slice(c, &p.Funcs, texts)
	slice(c, &p.Texts, texts)
	slice(c, &p.Externals, func(x *External) {
		c.str(&x.Name, &x.Text)
		c.byte(&x.Kind)
		c.int64(&x.Int)
	})
	slice(c, &p.Rules, c.rule)
	slice(c, &p.Patterns, func(x *Pattern) {
		c.int32(&x.Links)
		c.bools(&x.Greedy)
		slice(c, &x.Gaps, func(v *int32) { c.int32(v) })
	})
	slice(c, &p.Units, func(x *Unit) {
		c.int32(&x.Pattern, &x.Link)
		c.bytes(&x.Lit)
		c.bools(&x.NoCase, &x.FullWord, &x.Wide, &x.Xor)
		c.byte(&x.XorMin, &x.XorMax)
	})
	slice(c, &p.Nodes, func(x *Node) {
		c.byte((*uint8)(&x.Op))
		c.int32(&x.A, &x.B, &x.C)
		c.int64(&x.N)
	})
	slice(c, &p.Lists, func(v *int32) { c.int32(v) })
	slice(c, &p.Progs, c.prog)
	slice(c, &p.Atoms, func(x *Atom) {
		w := uint64(x.Word)
		c.uint(&w)
		x.Word = uint32(w)
		c.byte(&x.Len)
		c.bools(&x.Fold)
		c.ref(&x.Ref)
	})
	slice(c, &p.Slow, func(x *Slow) {
		c.ref(&x.Ref)
		c.set(&x.First)
		c.bools(&x.Zero)
	})
}

func (c *codec) rule(r *Rule) {
	c.str(&r.Name, &r.File)
	c.int32(&r.Namespace, &r.Cond, &r.Line)
	c.bools(&r.Private, &r.Global, &r.NeedsHit)
	slice(c, &r.Tags, func(s *string) { c.str(s) })
	slice(c, &r.Metas, func(m *Meta) {
		c.str(&m.Name, &m.Text)
		c.byte(&m.Kind)
		c.int64(&m.Int)
	})
	slice(c, &r.Strings, func(s *String) {
		c.str(&s.Name)
		c.int32(&s.Pattern)
		c.bools(&s.Private)
	})
}

func (c *codec) ref(r *Ref) {
	c.int32(&r.Unit, &r.Off, &r.Fwd, &r.Bwd)
	c.bools(&r.Wide)
}

func (c *codec) set(s *rex.Set) {
	for i := range s {
		c.uint(&s[i])
	}
}

func (c *codec) prog(p *rex.Prog) {
	slice(c, &p.Code, func(i *rex.Inst) {
		c.byte(&i.Op, &i.A, &i.B)
		c.int32(&i.X, &i.Y)
	})
	slice(c, &p.Sets, c.set)
}

// consistent tells whether every index is inside.
func (p *Program) consistent() bool {
	ok := true
	in := func(i int32, n int) { ok = ok && i >= 0 && int(i) < n }
	for i := range p.Rules {
		r := &p.Rules[i]
		in(r.Namespace, len(p.Namespaces))
		in(r.Cond, len(p.Nodes))
		for _, s := range r.Strings {
			in(s.Pattern, len(p.Patterns))
		}
	}
	for i := range p.Patterns {
		x := &p.Patterns[i]
		ok = ok && x.Links > 0 && len(x.Gaps) == 2*int(x.Links-1)
	}
	for i := range p.Units {
		in(p.Units[i].Pattern, len(p.Patterns))
		ok = ok && p.Units[i].Link >= 0 && p.Units[i].Link < p.Patterns[p.Units[i].Pattern].Links
		if !ok {
			return false
		}
	}
	ref := func(r *Ref) {
		in(r.Unit, len(p.Units))
		if ok && p.Units[r.Unit].Lit == nil {
			in(r.Fwd, len(p.Progs))
			ok = ok && r.Bwd < int32(len(p.Progs))
		}
	}
	for i := range p.Atoms {
		ref(&p.Atoms[i].Ref)
		ok = ok && p.Atoms[i].Len >= 2 && p.Atoms[i].Len <= 4
	}
	for i := range p.Slow {
		ref(&p.Slow[i].Ref)
	}
	for i := range p.Progs {
		ok = ok && p.Progs[i].Consistent()
	}
	return ok && p.nodesConsistent()
}

// nodesConsistent checks that operands come before their operation, so that
// evaluation ends, and that lists and tables hold what is named.
func (p *Program) nodesConsistent() bool {
	for i := range p.Nodes {
		if !p.nodeConsistent(int32(i)) {
			return false
		}
	}
	return true
}

func (p *Program) nodeConsistent(i int32) bool {
	n := &p.Nodes[i]
	before := func(v ...int32) bool {
		for _, x := range v {
			if x < 0 || x >= i {
				return false
			}
		}
		return true
	}
	within := func(x int32, n int) bool { return x >= 0 && int(x) < n }
	pattern := func(x int32) bool { return x == CurrentStr || within(x, len(p.Patterns)) }
	list := []int32(nil)
	switch n.Op {
	case OpAnd, OpOr, OpCall, OpOf, OpOfIn, OpOfAt, OpFor:
		if n.A < 0 || n.B < 0 || int64(n.A)+int64(n.B) > int64(len(p.Lists)) {
			return false
		}
		list = p.Lists[n.A : n.A+n.B]
	}
	switch n.Op {
	case OpInt, OpFloat, OpTrue, OpFalse, OpFilesize, OpEntrypoint:
		return true
	case OpText:
		return within(n.A, len(p.Texts))
	case OpRegexp:
		return within(n.A, len(p.Progs))
	case OpAnd, OpOr:
		return before(list...)
	case OpReadInt, OpNot, OpDefined, OpNeg, OpBitNot, OpStrBool:
		return before(n.A)
	case OpFound, OpCount:
		return pattern(n.A)
	case OpFoundAt, OpOffset, OpLength:
		return pattern(n.A) && before(n.B)
	case OpFoundIn, OpCountIn:
		return pattern(n.A) && before(n.B, n.C)
	case OpRule:
		return within(n.A, len(p.Rules))
	case OpExternal:
		return within(n.A, len(p.Externals))
	case OpModule:
		return within(n.A, len(p.Modules))
	case OpField:
		return before(n.A) && within(n.B, len(p.Texts))
	case OpCall:
		return len(list) >= 2 && before(list[0]) && within(list[1], len(p.Funcs)) && before(list[2:]...)
	case OpVar:
		return within(n.A, 1<<16)
	case OpOf, OpOfIn, OpOfAt, OpFor:
		return p.setConsistent(n, i, list)
	}
	return n.Op < opCount && before(n.A, n.B)
}

func (p *Program) setConsistent(n *Node, i int32, list []int32) bool {
	head := map[Op]int{OpOf: 1, OpOfIn: 3, OpOfAt: 2, OpFor: 4}[n.Op]
	if len(list) < head || list[0] >= i || (list[0] < 0 && list[0] < QuantNone) {
		return false
	}
	all := func(items []int32, top int) bool {
		for _, x := range items {
			if x < 0 || int(x) >= top {
				return false
			}
		}
		return true
	}
	switch {
	case n.Op == OpFor:
		if !all(list[1:2], int(i)) || !all(list[2:4], 1<<16) {
			return false
		}
		if n.C == IterStrings {
			return all(list[4:], len(p.Patterns))
		}
		want := map[int32]int{IterArray: 1, IterDict: 1, IterRange: 2}[n.C]
		return len(list) >= head+max(want, 1) && n.C <= IterStrings && all(list[4:], int(i))
	case !all(list[1:head], int(i)):
		return false
	case n.Op == OpOf && n.C&1 == OfRules:
		return all(list[1:], len(p.Rules))
	}
	return all(list[head:], len(p.Patterns))
}
