// Package yara scans files with YARA rules. It is written in Go throughout,
// and means the same as libyara 4.5.8; docs/formats/yara.md lists where not.
//
// Rules are compiled once and then shared by any number of goroutines. A file
// is read through a window: memory does not grow with its size. Whatever a rule
// or a file may do is bounded, and what hit a bound is named in the result.
package yara

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/build"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/index"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

// Problem is a fault or a warning of a rule, with its file and line.
type Problem = build.Problem //nolint:errname // a warning is one too

// Source is the text of a file of rules.
type Source struct {
	Name string // for problems: the path
	Text []byte
	// Namespace keeps apart rules of the same name. A global rule governs its
	// own namespace.
	Namespace string
}

// Options are those of Compile.
type Options struct {
	// Externals are the variables that rules may use beside the modules:
	// a bool, an int64, a float64 or a string.
	Externals map[string]any
	// Include opens what an include statement names; nil forbids them.
	Include func(name, from string) (src []byte, path string, err error)
}

// Rules are compiled rules. They may be used by many goroutines.
type Rules struct {
	prog    *code.Program
	index   *index.Index
	modules []*module.Module
	funcs   []*module.Function
	owner   []int32 // of each function: its module
	// lists tells where the match lists of a pattern begin.
	lists  []int32
	nlists int32
	users  [][]int32 // of each pattern: the rules that use it
	always []int32   // rules that are evaluated for every file
	back   int       // how far before a word a match may begin
	ahead  int       // how far after the beginning of a word it may end
	guards guards
	// unordered tells of a pattern that its links are not found in the order
	// of their offsets.
	unordered []bool
}

// Compile makes rules of sources. Rules with faults are left out; each fault
// and warning is one Problem. Check Failed before use.
func Compile(sources []Source, o Options) (*Rules, []Problem) {
	externals, err := externalsOf(o.Externals)
	if err != nil {
		return nil, []Problem{{Message: err.Error(), Code: "ERROR_INVALID_ARGUMENT"}}
	}
	b := build.New(build.Config{Modules: Modules(), Externals: externals, Include: o.Include})
	for _, s := range sources {
		b.Add(s.Name, s.Namespace, s.Text)
	}
	prog, problems := b.Program()
	index.Sort(prog.Atoms)
	r, err := newRules(prog)
	if err != nil {
		problems = append(problems, Problem{Message: err.Error(), Code: "ERROR_INTERNAL_FATAL_ERROR"})
		return nil, problems
	}
	return r, problems
}

// Failed tells whether there is a fault among problems, beside warnings.
func Failed(problems []Problem) bool {
	for _, p := range problems {
		if !p.Warning {
			return true
		}
	}
	return false
}

func externalsOf(m map[string]any) ([]code.External, error) {
	var out []code.External
	for name, v := range m {
		val, err := valueOf(v)
		if err != nil {
			return nil, fmt.Errorf("external variable %q: %w", name, err)
		}
		out = append(out, code.External{Name: name, Kind: uint8(val.K), Int: val.I, Text: val.S})
	}
	// The same rules compile to the same bytes.
	slices.SortFunc(out, func(a, b code.External) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func valueOf(v any) (module.Value, error) {
	switch v := v.(type) {
	case bool:
		return module.Truth(v), nil
	case int:
		return module.Of(v), nil
	case int64:
		return module.Of(v), nil
	case float64:
		return module.Flt(v), nil
	case string:
		return module.Str(v), nil
	}
	return module.Value{}, fmt.Errorf("a %T is no bool, integer, float or string", v)
}

var errUnknown = errors.New("compiled by another version: an unknown module or function")

// newRules derives what is not saved.
func newRules(p *code.Program) (*Rules, error) {
	r := &Rules{prog: p, lists: make([]int32, len(p.Patterns)), users: make([][]int32, len(p.Patterns))}
	r.index = index.New(p.Atoms, func(a *code.Atom) index.Near { return near(p, a) })
	if err := r.link(); err != nil {
		return nil, err
	}
	for i, pt := range p.Patterns {
		r.lists[i] = r.nlists
		r.nlists += pt.Links
	}
	for i := range p.Rules {
		rule := &p.Rules[i]
		if !rule.NeedsHit || rule.Global {
			r.always = append(r.always, int32(i))
			continue
		}
		for _, s := range rule.Strings {
			if u := r.users[s.Pattern]; len(u) == 0 || u[len(u)-1] != int32(i) {
				r.users[s.Pattern] = append(u, int32(i))
			}
		}
	}
	r.guards = newGuards(p)
	r.unordered = make([]bool, len(p.Patterns))
	for i := range p.Slow {
		r.unordered[p.Units[p.Slow[i].Ref.Unit].Pattern] = true
	}
	r.back, r.ahead = 2*rex.ScanLimit+4, 2*rex.ScanLimit+4
	for i := range p.Units {
		n := len(p.Units[i].Lit) + 4
		r.back, r.ahead = max(r.back, n), max(r.ahead, n)
	}
	return r, nil
}

// link finds the modules and functions that the program names.
func (r *Rules) link() error {
	known := Modules()
	byName := map[string]int32{}
	for i, name := range r.prog.Modules {
		m := known[name]
		if m == nil {
			return fmt.Errorf("%w: %q", errUnknown, name)
		}
		byName[name] = int32(i)
		r.modules = append(r.modules, m)
	}
	for _, key := range r.prog.Funcs {
		part := strings.SplitN(key, "|", 3)
		if len(part) != 3 || known[part[0]] == nil {
			return fmt.Errorf("%w: %q", errUnknown, key)
		}
		f := findFunction(known[part[0]].Type, part[1], part[2])
		owner, ok := byName[part[0]]
		if f == nil || !ok {
			return fmt.Errorf("%w: %q", errUnknown, key)
		}
		r.funcs = append(r.funcs, f)
		r.owner = append(r.owner, owner)
	}
	return nil
}

// findFunction follows a path such as ".signatures[].valid_on".
func findFunction(t *module.Type, path, form string) *module.Function {
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "."), ".") {
		elems := strings.Count(step, "[]")
		t = t.Fields[strings.TrimSuffix(step, strings.Repeat("[]", elems))]
		for ; elems > 0 && t != nil; elems-- {
			t = t.Elem
		}
		if t == nil {
			return nil
		}
	}
	n := 0
	if _, err := fmt.Sscanf(form, "%d", &n); err != nil || n < 0 || n >= len(t.Funcs) {
		return nil
	}
	return &t.Funcs[n]
}

// Rule describes one rule.
type Rule struct {
	Name, Namespace string
	File            string
	Line            int
	Tags            []string
	Meta            []Meta
	Private, Global bool
}

// Meta is one entry of a rule's meta section: a string, an int64 or a bool.
type Meta struct {
	Name  string
	Value any
}

// Len is the number of rules.
func (r *Rules) Len() int { return len(r.prog.Rules) }

// Rule describes rule i.
func (r *Rules) Rule(i int) Rule {
	c := &r.prog.Rules[i]
	out := Rule{
		Name: c.Name, Namespace: r.prog.Namespaces[c.Namespace], File: c.File, Line: int(c.Line),
		Tags: c.Tags, Private: c.Private, Global: c.Global,
	}
	for _, m := range c.Metas {
		var v any
		switch m.Kind {
		case 's':
			v = m.Text
		case 'i':
			v = m.Int
		default:
			v = m.Int != 0
		}
		out.Meta = append(out.Meta, Meta{Name: m.Name, Value: v})
	}
	return out
}
