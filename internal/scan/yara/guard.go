package yara

import (
	"encoding/binary"
	"slices"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
)

// Most rules are for one kind of file: uint16(0) == 0x5A4D and filesize < 1MB
// and some strings. What of a condition asks for numbers of the file alone can
// be answered before any string is; where the answer is no, the strings that
// only such rules use are not looked at.

const (
	maxGuardNodes = 64 // operations of one question
	maxGuardWays  = 8  // alternatives of one rule
	maxGuardRow   = 32 // questions of one alternative; more are left out
)

// The answers kept during a scan.
const (
	unasked uint8 = iota
	yes
	no
)

// guards are the questions of all rules.
type guards struct {
	nodes []int32     // of each question: its node
	rules [][][]int32 // of each rule: one of these rows must hold; nil asks nothing
	users [][]int32   // of each pattern: all rules with it
}

type guardBuilder struct {
	prog  *code.Program
	ids   map[string]int32
	nodes []int32
	key   []byte
}

func newGuards(p *code.Program) guards {
	b := guardBuilder{prog: p, ids: map[string]int32{}}
	g := guards{rules: make([][][]int32, len(p.Rules)), users: make([][]int32, len(p.Patterns))}
	for i := range p.Rules {
		g.rules[i] = b.need(p.Rules[i].Cond)
		for _, s := range p.Rules[i].Strings {
			if u := g.users[s.Pattern]; len(u) == 0 || u[len(u)-1] != int32(i) {
				g.users[s.Pattern] = append(u, int32(i))
			}
		}
	}
	g.nodes = b.nodes
	return g
}

// need gives rows of questions, one of which holds where node i is true; nil
// where that cannot be told.
func (b *guardBuilder) need(i int32) [][]int32 {
	n := &b.prog.Nodes[i]
	b.key = b.key[:0]
	if b.cheap(i) {
		return [][]int32{{b.question(i)}}
	}
	switch n.Op {
	case code.OpAnd:
		var rows [][]int32
		for _, k := range b.prog.Lists[n.A : n.A+n.B] {
			rows = both(rows, b.need(k))
		}
		return rows
	case code.OpOr:
		var rows [][]int32
		for _, k := range b.prog.Lists[n.A : n.A+n.B] {
			way := b.need(k)
			if way == nil || len(rows)+len(way) > maxGuardWays {
				return nil
			}
			rows = append(rows, way...)
		}
		return rows
	}
	return nil
}

// both joins rows of which one must hold with others; where they would be too
// many the others are left out.
func both(a, c [][]int32) [][]int32 {
	switch {
	case a == nil:
		return c
	case c == nil || len(a)*len(c) > maxGuardWays:
		return a
	}
	out := make([][]int32, 0, len(a)*len(c))
	for _, x := range a {
		for _, y := range c {
			room := max(0, maxGuardRow-len(x))
			out = append(out, append(slices.Clip(x), y[:min(len(y), room)]...))
		}
	}
	return out
}

// cheap tells whether a node asks for numbers of the file alone, and writes
// what it is to key.
func (b *guardBuilder) cheap(i int32) bool {
	if len(b.key) > 25*maxGuardNodes {
		return false
	}
	n := &b.prog.Nodes[i]
	b.key = append(b.key, byte(n.Op))
	switch op := n.Op; {
	case op == code.OpInt:
		b.key = binary.AppendVarint(b.key, n.N)
		return true
	case op == code.OpTrue, op == code.OpFalse, op == code.OpFilesize:
		return true
	case op == code.OpReadInt:
		b.key = binary.AppendVarint(b.key, int64(n.B))
		return b.cheap(n.A)
	case op == code.OpAnd, op == code.OpOr:
		b.key = binary.AppendVarint(b.key, int64(n.B))
		for _, k := range b.prog.Lists[n.A : n.A+n.B] {
			if !b.cheap(k) {
				return false
			}
		}
		return true
	case op == code.OpNot, op == code.OpNeg, op == code.OpBitNot, op == code.OpDefined:
		return b.cheap(n.A)
	case op >= code.OpAdd && op <= code.OpGe:
		return b.cheap(n.A) && b.cheap(n.B)
	}
	return false
}

// question gives the number of the question in key; equal ones are asked once.
func (b *guardBuilder) question(node int32) int32 {
	id, ok := b.ids[string(b.key)]
	if !ok {
		id = int32(len(b.nodes))
		b.ids[string(b.key)] = id
		b.nodes = append(b.nodes, node)
	}
	return id
}

// answers are what a scan found out about the questions.
type answers struct{ questions, rules, patterns []uint8 }

func (g *guards) answers() answers {
	return answers{make([]uint8, len(g.nodes)), make([]uint8, len(g.rules)), make([]uint8, len(g.users))}
}

func (a *answers) reset() {
	clear(a.questions)
	clear(a.rules)
	clear(a.patterns)
}

// wanted tells whether a rule that may still be true uses the pattern.
func (s *Scanner) wanted(p int32) bool {
	a := &s.answers.patterns[p]
	if *a == unasked {
		*a = no
		if slices.ContainsFunc(s.rules.guards.users[p], s.possible) {
			*a = yes
		}
	}
	return *a == yes
}

// possible tells whether the questions of a rule leave it open.
func (s *Scanner) possible(rule int32) bool {
	a := &s.answers.rules[rule]
	if *a == unasked {
		rows := s.rules.guards.rules[rule]
		*a = no
		if rows == nil {
			*a = yes
		}
		for i := 0; i < len(rows) && *a == no; i++ {
			if s.holds(rows[i]) {
				*a = yes
			}
		}
	}
	return *a == yes
}

func (s *Scanner) holds(row []int32) bool {
	for _, q := range row {
		a := &s.answers.questions[q]
		if *a == unasked {
			s.eval.begin()
			*a = no
			if truth(s.eval.node(s.rules.guards.nodes[q])) {
				*a = yes
			}
		}
		if *a == no {
			return false
		}
	}
	return true
}
