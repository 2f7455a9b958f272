package build

import (
	"slices"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

// literal adds a unit that is plain bytes, and its atoms.
func (b *Builder) literal(u code.Unit) {
	ref := code.Ref{Unit: int32(len(b.prog.Units)), Fwd: -1, Bwd: -1}
	b.prog.Units = append(b.prog.Units, u)
	off, n := rex.TextWindow(u.Lit)
	ref.Off = int32(off)
	lo, hi := 0, 0
	if u.Xor {
		lo, hi = int(u.XorMin), int(u.XorMax)
	}
	for k := lo; k <= hi; k++ {
		word := make([]byte, n)
		for i := range word {
			word[i] = u.Lit[off+i] ^ byte(k)
		}
		b.atom(word, u.NoCase, ref)
	}
}

// atom adds a word of 1 to 4 bytes; shorter than two is found the slow way.
func (b *Builder) atom(word []byte, fold bool, ref code.Ref) {
	if len(word) < 2 {
		s := code.Slow{Ref: ref}
		for _, c := range word {
			s.First.Add(c | 0x20)
			s.First.Add(c &^ 0x20)
		}
		b.prog.Slow = append(b.prog.Slow, s)
		return
	}
	a := code.Atom{Len: uint8(len(word)), Fold: fold, Ref: ref}
	for i, c := range word {
		a.Word |= uint32(c) << (8 * i)
	}
	b.prog.Atoms = append(b.prog.Atoms, a)
}

// chain makes the pattern of an expression, cut at its long jumps.
func (b *Builder) chain(p *rex.Pattern, parts []rex.Part, m *modifiers, dotAll bool) (int32, error) {
	out := code.Pattern{Links: int32(len(parts)), Greedy: p.Greedy}
	i := int32(len(b.prog.Patterns))
	b.prog.Patterns = append(b.prog.Patterns, code.Pattern{})
	for n, part := range parts {
		if n > 0 {
			out.Gaps = append(out.Gaps, int32(part.Min), int32(part.Max))
		}
		if err := b.link(part.Pattern, i, int32(n), m, dotAll); err != nil {
			return 0, err
		}
	}
	b.prog.Patterns[i] = out
	return i, nil
}

func (b *Builder) link(p *rex.Pattern, pattern, link int32, m *modifiers, dotAll bool) error {
	u := code.Unit{Pattern: pattern, Link: link, NoCase: m.nocase, FullWord: m.fullword}
	lit, isLit := p.Literal()
	f := rex.Flags{NoCase: m.nocase, DotAll: dotAll}
	for _, wide := range []bool{false, true} {
		if (wide && !m.wide) || (!wide && !m.ascii) {
			continue
		}
		if isLit {
			u.Lit, u.Wide = lit, wide
			if wide {
				u.Lit = widen(lit)
			}
			b.literal(u)
			continue
		}
		if err := b.expression(p, u, f, wide); err != nil {
			return err
		}
	}
	return nil
}

// expression adds a unit that is a regular expression, its programs and atoms.
func (b *Builder) expression(p *rex.Pattern, u code.Unit, f rex.Flags, wide bool) error {
	ref := code.Ref{Unit: int32(len(b.prog.Units)), Fwd: -1, Bwd: -1, Wide: wide}
	b.prog.Units = append(b.prog.Units, u)
	atoms := p.Atoms(f, wide)
	total := 0
	for _, a := range atoms {
		fwd, err := rex.Compile(a.Post, f, false)
		if err != nil {
			return err
		}
		ref.Fwd = b.program(fwd)
		ref.Bwd = -1
		total += len(fwd.Code)
		if len(a.Pre) > 0 {
			bwd, err := rex.Compile(a.Pre, f, true)
			if err != nil {
				return err
			}
			ref.Bwd = b.program(bwd)
			total += len(bwd.Code)
		}
		if total > 4_000_000 {
			return rex.ErrTooLarge
		}
		b.words(a.Bytes, nil, ref)
	}
	if len(atoms) > 0 {
		return nil
	}
	fwd, err := rex.Compile([]*rex.Node{p.Root}, f, false)
	if err != nil {
		return err
	}
	ref.Fwd = b.program(fwd)
	first, empty := fwd.First()
	b.prog.Slow = append(b.prog.Slow, code.Slow{Ref: ref, First: first, Zero: empty})
	return nil
}

func (b *Builder) program(p *rex.Prog) int32 {
	b.prog.Progs = append(b.prog.Progs, *p)
	return int32(len(b.prog.Progs) - 1)
}

// words adds each word that an atom stands for.
func (b *Builder) words(sets []rex.Set, word []byte, ref code.Ref) {
	if len(sets) == len(word) {
		b.atom(word, true, ref)
		return
	}
	for c := range 256 {
		if sets[len(word)].Has(byte(c)) {
			b.words(sets, append(slices.Clip(word), byte(c)), ref)
		}
	}
}
