package sigma

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// dfa tells whether a regular expression occurs in a text, one step a byte: the
// sets of places in the program that can be reached together are made as they
// are met and kept. It serves one goroutine and gives the same answers as
// package regexp.
type dfa struct {
	prog   *syntax.Prog
	states []*dfaState
	index  map[string]int32
	start  int32
	queue  []uint32
	on     []bool // by instruction: in queue
	stack  []uint32
	key    []byte
	work   int // left before regexp takes over
	failed int // texts for which it had to
}

// dfaState is a set of instructions before assertions are looked at, with what
// the character before was.
type dfaState struct {
	insts []uint32
	prev  rune
	next  [utf8.RuneSelf]int32 // state + 1, 0 while unknown
	end   int8                 // of the text here: 0 unknown, 1 match, -1 none
}

const (
	dfaStates  = 256    // kept for one expression
	dfaWork    = 20_000 // steps of making states for one text, before regexp takes over
	dfaFails   = 8      // texts after which it is not tried any more
	dfaMatched = -2

	prevBegin = rune(-1)
)

func newDFA(prog *syntax.Prog) *dfa {
	d := &dfa{prog: prog, on: make([]bool, len(prog.Inst))}
	d.clear()
	return d
}

func (d *dfa) clear() {
	d.states, d.index = d.states[:0], map[string]int32{}
	d.start = d.state([]uint32{uint32(d.prog.Start)}, prevBegin)
}

// prevClass is a character that stands for all that assertions take for the
// same.
func prevClass(r rune) rune {
	switch {
	case r == '\n':
		return '\n'
	case syntax.IsWordChar(r):
		return 'a'
	default:
		return ' '
	}
}

func (d *dfa) state(insts []uint32, prev rune) int32 {
	d.key = binary.LittleEndian.AppendUint32(d.key[:0], uint32(prev))
	for _, i := range insts {
		d.key = binary.LittleEndian.AppendUint32(d.key, i)
	}
	if s, ok := d.index[string(d.key)]; ok {
		return s
	}
	s := int32(len(d.states))
	d.states = append(d.states, &dfaState{insts: slices.Clone(insts), prev: prev})
	d.index[string(d.key)] = s
	return s
}

// match tells whether the expression occurs; ok is false when the text needs
// too many states.
func (d *dfa) match(text []byte) (found, ok bool) {
	if d.failed >= dfaFails {
		return false, false
	}
	d.work = dfaWork + len(text)/4
	s := d.start
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			next := d.states[s].next[c]
			if next == 0 {
				if next, ok = d.learn(s, c); !ok {
					return false, false
				}
			}
			if next == dfaMatched {
				return true, true
			}
			s = next - 1
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		i += n
		if s, ok = d.step(d.states[s], r); !ok {
			return false, false
		}
		if s == dfaMatched {
			return true, true
		}
	}
	st := d.states[s]
	if st.end == 0 {
		st.end = -1
		if d.close(st, -1) {
			st.end = 1
		}
	}
	return st.end > 0, true
}

// learn works out and keeps where state s goes with an ASCII character.
func (d *dfa) learn(s int32, c byte) (int32, bool) {
	st := d.states[s]
	next, ok := d.step(st, rune(c))
	if !ok {
		return 0, false
	}
	if next != dfaMatched {
		next++
	}
	st.next[c] = next
	return next, true
}

// step is the state after st and r.
func (d *dfa) step(st *dfaState, r rune) (int32, bool) {
	if d.close(st, r) {
		return dfaMatched, true
	}
	var next []uint32
	for _, pc := range d.queue {
		if in := &d.prog.Inst[pc]; runeInst(in.Op) && in.MatchRune(r) {
			next = append(next, in.Out)
		}
	}
	next = append(next, uint32(d.prog.Start))
	slices.Sort(next)
	next = slices.Compact(next)
	if d.work -= len(d.queue) + len(next); d.work < 0 {
		d.failed++
		return 0, false
	}
	if len(d.states) >= dfaStates {
		d.clear()
	}
	return d.state(next, prevClass(r)), true
}

func runeInst(op syntax.InstOp) bool {
	return op == syntax.InstRune || op == syntax.InstRune1 || op == syntax.InstRuneAny || op == syntax.InstRuneAnyNotNL
}

// close puts into queue the instructions that consume a character and are
// reached from st with r to come (-1 at the end); true when a match is.
func (d *dfa) close(st *dfaState, r rune) bool {
	for _, pc := range d.queue {
		d.on[pc] = false
	}
	d.queue = d.queue[:0]
	flags := syntax.EmptyOpContext(st.prev, r)
	matched := false
	d.stack = append(d.stack[:0], st.insts...)
	for len(d.stack) > 0 {
		pc := d.stack[len(d.stack)-1]
		d.stack = d.stack[:len(d.stack)-1]
		if d.on[pc] {
			continue
		}
		d.on[pc] = true
		d.queue = append(d.queue, pc)
		switch in := &d.prog.Inst[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			d.stack = append(d.stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			d.stack = append(d.stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^flags == 0 {
				d.stack = append(d.stack, in.Out)
			}
		case syntax.InstMatch:
			matched = true
		default:
		}
	}
	return matched
}
