package yara

import (
	"sort"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// matches are those of a pattern, or of the loop's present string.
func (e *eval) matches(p int32) []match {
	if p == code.CurrentStr {
		p = e.current
	}
	if p < 0 {
		return nil
	}
	return e.s.matches(p)
}

func (e *eval) foundAt(m []match, at module.Value) module.Value {
	if at.K == module.Undef {
		return at
	}
	i := sort.Search(len(m), func(i int) bool { return m[i].off >= at.I })
	return module.Truth(i < len(m) && m[i].off == at.I)
}

// within counts the matches from lo to hi.
func within(m []match, lo, hi int64) int {
	from := sort.Search(len(m), func(i int) bool { return m[i].off >= lo })
	to := sort.Search(len(m), func(i int) bool { return m[i].off > hi })
	return max(to-from, 0)
}

func (e *eval) foundIn(n *code.Node) module.Value {
	v := e.countIn(n)
	if v.K == module.Undef {
		return v
	}
	return module.Truth(v.I > 0)
}

func (e *eval) countIn(n *code.Node) module.Value {
	lo, hi := e.node(n.B), e.node(n.C)
	if lo.K == module.Undef || hi.K == module.Undef {
		return module.Value{}
	}
	return module.Of(within(e.matches(n.A), lo.I, hi.I))
}

func (e *eval) nth(n *code.Node) module.Value {
	at := e.node(n.B)
	m := e.matches(n.A)
	if at.K == module.Undef || at.I < 1 || at.I > int64(len(m)) {
		return module.Value{}
	}
	if n.Op == code.OpOffset {
		return module.Of(m[at.I-1].off)
	}
	return module.Of(m[at.I-1].n)
}

// asked is a quantifier's value: all where it is undefined.
type asked struct {
	all bool
	n   int64
}

func (e *eval) quantifier(node int32) asked {
	switch node {
	case code.QuantAll:
		return asked{all: true}
	case code.QuantAny:
		return asked{n: 1}
	case code.QuantNone:
		return asked{}
	}
	v := e.node(node)
	return asked{all: v.K == module.Undef, n: v.I}
}

// met tells whether found of count are as many as were asked for; zero means
// none.
func (q asked) met(found, count int) module.Value {
	switch {
	case q.all:
		return module.Truth(found >= count)
	case q.n == 0:
		return module.Truth(found == 0)
	}
	return module.Truth(int64(found) >= q.n)
}

func (e *eval) of(n *code.Node) module.Value {
	list := e.lists[n.A : n.A+n.B]
	found := 0
	for _, k := range list[1:] {
		if n.C&1 == code.OfRules {
			if e.s.truth[k>>6]>>(k&63)&1 != 0 {
				found++
			}
		} else if len(e.s.matches(k)) > 0 {
			found++
		}
	}
	count := len(list) - 1
	if n.C&code.OfPercent == 0 {
		return e.quantifier(list[0]).met(found, count)
	}
	v := e.node(list[0])
	if v.K == module.Undef || count == 0 {
		return module.Value{}
	}
	return module.Truth(float64(found)/float64(count)*100 >= float64(v.I))
}

func (e *eval) ofIn(n *code.Node) module.Value {
	list := e.lists[n.A : n.A+n.B]
	lo, hi := e.node(list[1]), e.node(list[2])
	if lo.K == module.Undef || hi.K == module.Undef {
		return module.Value{}
	}
	found := 0
	for _, p := range list[3:] {
		if within(e.s.matches(p), lo.I, hi.I) > 0 {
			found++
		}
	}
	return e.quantifier(list[0]).met(found, len(list)-3)
}

func (e *eval) ofAt(n *code.Node) module.Value {
	list := e.lists[n.A : n.A+n.B]
	at := e.node(list[1])
	if at.K == module.Undef {
		return at
	}
	found := 0
	for _, p := range list[2:] {
		if within(e.s.matches(p), at.I, at.I) > 0 {
			found++
		}
	}
	return e.quantifier(list[0]).met(found, len(list)-2)
}

// loop runs "for". It ends as soon as the outcome is known.
func (e *eval) loop(n *code.Node) module.Value {
	list := e.lists[n.A : n.A+n.B]
	body, slot, source := list[1], int(list[2]), list[4:]
	q := e.quantifier(list[0])
	for int(list[2]+2) > len(e.vars) {
		e.vars = append(e.vars, module.Value{})
	}
	rounds, held := 0, 0
	step := func() bool {
		v := e.node(body)
		rounds++
		ok := truth(v)
		if ok {
			held++
		}
		switch {
		case e.steps > e.s.limits.Steps:
			return false
		case q.all:
			return ok || v.K == module.Undef
		case q.n == 0:
			return !ok
		}
		return int64(held) < q.n
	}
	switch n.C {
	case code.IterArray:
		e.overArray(source[0], slot, step)
	case code.IterDict:
		e.overDict(source[0], slot, step)
	case code.IterRange:
		e.overRange(source, slot, step)
	case code.IterList:
		for _, k := range source {
			if e.vars[slot] = e.node(k); !step() {
				break
			}
		}
	case code.IterStrings:
		save := e.current
		for _, p := range source {
			if e.current = p; !step() {
				break
			}
		}
		e.current = save
	}
	if rounds == 0 {
		return module.Truth(false)
	}
	return q.met(held, rounds)
}

func (e *eval) overArray(node int32, slot int, step func() bool) {
	list := e.node(node)
	for i := range list.Len() {
		if e.vars[slot] = list.Item(int64(i)); !step() {
			return
		}
	}
}

func (e *eval) overDict(node int32, slot int, step func() bool) {
	m, _ := e.node(node).P.(*module.Map)
	if m == nil {
		return
	}
	for _, k := range m.Keys {
		if e.vars[slot], e.vars[slot+1] = module.Str(k), m.M[k]; !step() {
			return
		}
	}
}

func (e *eval) overRange(source []int32, slot int, step func() bool) {
	lo, hi := e.node(source[0]), e.node(source[1])
	if lo.K == module.Undef || hi.K == module.Undef {
		return
	}
	for i := lo.I; i <= hi.I; i++ {
		if e.vars[slot] = module.Of(i); !step() {
			return
		}
		if i == hi.I {
			return
		}
	}
}

// root loads a module's view of the file when a condition first asks for it.
func (e *eval) root(i int32) module.Value {
	if !e.loaded[i] {
		e.loaded[i] = true
		e.roots[i], e.states[i] = e.s.rules.modules[i].Load(&e.s.file)
	}
	return e.roots[i]
}

func element(v, at module.Value) module.Value {
	if at.K == module.Undef {
		return at
	}
	if m, ok := v.P.(*module.Map); ok {
		return m.M[at.S]
	}
	return v.Item(at.I)
}

// callFunc calls a function of a module; with an undefined argument it is
// undefined.
func (e *eval) callFunc(list []int32) module.Value {
	recv := e.node(list[0])
	args := make([]module.Value, 0, 4)
	for _, k := range list[2:] {
		v := e.node(k)
		if v.K == module.Undef {
			return v
		}
		args = append(args, v)
	}
	if recv.K == module.Undef {
		return recv
	}
	f, owner := e.s.rules.funcs[list[1]], e.s.rules.owner[list[1]]
	e.calls.Root, e.calls.State = e.root(owner), e.states[owner]
	e.steps += 100
	return f.Call(&e.calls, recv, args)
}

// entrypoint is where the code of a PE or ELF file begins, as an offset.
func (e *eval) entrypoint() module.Value {
	if !e.hasEntry {
		e.hasEntry, e.entry = true, entryOf(&e.s.file)
	}
	return e.entry
}
