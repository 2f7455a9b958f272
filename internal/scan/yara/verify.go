package yara

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

func trailing(w uint64) int { return bits.TrailingZeros64(w) }

// verify looks whether a unit is there where its word was found.
func (s *Scanner) verify(ref *code.Ref, in rex.Input, base int64, pos int) {
	u := &s.rules.prog.Units[ref.Unit]
	if s.err != nil || !s.wanted(u.Pattern) {
		return
	}
	if u.Lit == nil {
		s.expression(ref, u, in, base, pos)
		return
	}
	begin := pos - int(ref.Off)
	if begin < 0 || begin+len(u.Lit) > len(in.Data) {
		return
	}
	d := in.Data[begin : begin+len(u.Lit)]
	switch {
	case u.Xor:
		if !xorEqual(d, u) {
			return
		}
	case u.NoCase:
		if !foldEqual(d, u.Lit) {
			return
		}
	case !bytes.Equal(d, u.Lit):
		return
	}
	s.found(u, in, base, begin, len(u.Lit), u.Wide)
}

func xorEqual(d []byte, u *code.Unit) bool {
	k := d[0] ^ u.Lit[0]
	if k < u.XorMin || k > u.XorMax {
		return false
	}
	for i, c := range u.Lit {
		if d[i] != c^k {
			return false
		}
	}
	return true
}

func foldEqual(d, lit []byte) bool {
	for i, c := range lit {
		if x := d[i]; x != c && (lower(x) != lower(c)) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 32
	}
	return c
}

func alnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// expression runs a regular expression from the word on, then back from it.
func (s *Scanner) expression(ref *code.Ref, u *code.Unit, in rex.Input, base int64, pos int) {
	if s.stopped[u.Pattern] {
		return
	}
	s.machine.Steps, s.machine.Limit = 0, max(1, s.limits.Steps-s.steps[u.Pattern])
	n := s.machine.Forward(&s.rules.prog.Progs[ref.Fwd], in, pos, ref.Wide)
	switch {
	case n < 0 || (n == 0 && ref.Bwd < 0):
	case ref.Bwd < 0:
		s.found(u, in, base, pos, n, ref.Wide)
	default:
		s.machine.Backward(&s.rules.prog.Progs[ref.Bwd], in, pos, ref.Wide, func(back int) {
			s.found(u, in, base, pos-back, back+n, ref.Wide)
		})
	}
	s.spend(u.Pattern, s.machine.Steps)
}

// checkEvery is how many steps are taken between two looks at the clock.
const checkEvery = 1 << 21

// spend counts the work on a pattern and stops it where it is too much.
func (s *Scanner) spend(p int32, steps int64) {
	if s.steps[p] == 0 {
		s.spent = append(s.spent, p)
	}
	if s.work += steps; s.work > checkEvery {
		s.work = 0
		s.alive()
	}
	if s.steps[p] += steps + 1; s.steps[p] > s.limits.Steps {
		s.stop(p, fmt.Sprintf("its expression took more than %d steps", s.limits.Steps))
	}
}

// stop ends the search for a pattern, and names the rules that use it.
func (s *Scanner) stop(p int32, reason string) {
	if s.stopped[p] {
		return
	}
	s.stopped[p] = true
	s.halted = append(s.halted, p)
	for i := range s.rules.prog.Rules {
		for _, str := range s.rules.prog.Rules[i].Strings {
			if str.Pattern == p && len(s.result.Limits) < 1000 {
				s.result.Limits = append(s.result.Limits, Limit{Rule: s.rules.prog.Rules[i].Name, String: str.Name, Reason: reason})
			}
		}
	}
}

// found takes a match that was verified but for its surroundings.
func (s *Scanner) found(u *code.Unit, in rex.Input, base int64, begin, n int, wide bool) {
	if u.FullWord && !fullWord(in.Data, begin, n, wide) {
		return
	}
	s.add(u, base+int64(begin), n)
}

func fullWord(d []byte, begin, n int, wide bool) bool {
	end := begin + n
	if wide {
		if begin >= 2 && d[begin-1] == 0 && alnum(d[begin-2]) {
			return false
		}
		return end+1 >= len(d) || d[end+1] != 0 || !alnum(d[end])
	}
	return (begin < 1 || !alnum(d[begin-1])) && (end >= len(d) || !alnum(d[end]))
}

// add keeps a match.
func (s *Scanner) add(u *code.Unit, off int64, n int) {
	p := &s.rules.prog.Patterns[u.Pattern]
	l := s.rules.lists[u.Pattern] + u.Link
	if s.stopped[u.Pattern] || (u.Link > 0 && len(s.lists[l-1]) == 0 && !s.rules.unordered[u.Pattern]) {
		return // enough, or nothing that it could follow
	}
	list := s.lists[l]
	if len(list) == 0 {
		s.touched = append(s.touched, l)
		if u.Link == p.Links-1 {
			for _, i := range s.rules.users[u.Pattern] {
				s.due[i>>6] |= 1 << (i & 63)
			}
		}
	} else if last := &list[len(list)-1]; off <= last.off {
		if off == last.off {
			last.n = p.Keep(last.n, int32(n))
			return
		}
		s.flags[l] |= listUnsorted
	}
	if len(list) >= s.limits.Matches {
		s.stop(u.Pattern, fmt.Sprintf("more than %d matches", s.limits.Matches))
		return
	}
	if s.total >= s.limits.Total {
		s.stop(u.Pattern, fmt.Sprintf("the file had %d matches before, of all strings", s.limits.Total))
		return
	}
	s.total++
	s.lists[l] = append(list, match{off, int32(n)})
}

// matches gives the matches of a pattern in the order of their offsets.
func (s *Scanner) matches(p int32) []match {
	pt := &s.rules.prog.Patterns[p]
	l := s.rules.lists[p]
	if len(s.lists[l]) == 0 {
		return nil
	}
	if pt.Links > 1 && s.flags[l]&listLinked == 0 {
		s.flags[l] |= listLinked
		s.chain(pt, l)
	}
	s.order(pt, l)
	return s.lists[l]
}

// order sorts a list and leaves one match at each offset.
func (s *Scanner) order(p *code.Pattern, l int32) {
	if s.flags[l]&listUnsorted == 0 {
		return
	}
	s.flags[l] &^= listUnsorted
	list := s.lists[l]
	slices.SortStableFunc(list, func(a, b match) int {
		switch {
		case a.off < b.off:
			return -1
		case a.off > b.off:
			return 1
		}
		return 0
	})
	out := list[:1]
	for _, m := range list[1:] {
		if last := &out[len(out)-1]; last.off == m.off {
			last.n = p.Keep(last.n, m.n)
			continue
		}
		out = append(out, m)
	}
	s.lists[l] = out
}

// chain joins the links: a match of the first counts where a row of the others
// follows at the right distances. Its length reaches to the nearest end.
func (s *Scanner) chain(p *code.Pattern, l int32) {
	last := l + p.Links - 1
	for i := l; i <= last; i++ {
		s.order(p, i)
	}
	next := make([]int64, 0, len(s.lists[last])) // the end that each match leads to, -1 for none
	for _, m := range s.lists[last] {
		next = append(next, m.off+int64(m.n))
	}
	for i := last - 1; i >= l; i-- {
		gap := p.Gaps[2*(i-l):]
		next = s.follow(i, int64(gap[0]), int64(gap[1]), next)
	}
	out := s.lists[l][:0]
	for i, m := range s.lists[l] {
		if next[i] >= 0 {
			out = append(out, match{m.off, int32(next[i] - m.off)})
		}
	}
	s.lists[l] = out
}

// follow tells for each match of list l which end it leads to, given those of
// the list after it.
func (s *Scanner) follow(l int32, lo, hi int64, ends []int64) []int64 {
	after := s.lists[l+1]
	// usable[i] is the first match from i on that leads to an end.
	usable := make([]int, len(after)+1)
	usable[len(after)] = len(after)
	for i := len(after) - 1; i >= 0; i-- {
		usable[i] = usable[i+1]
		if ends[i] >= 0 {
			usable[i] = i
		}
	}
	out := make([]int64, len(s.lists[l]))
	for i, m := range s.lists[l] {
		out[i] = -1
		from := m.off + int64(m.n) + lo
		k := usable[sort.Search(len(after), func(k int) bool { return after[k].off >= from })]
		if k < len(after) && (hi < 0 || after[k].off <= m.off+int64(m.n)+hi) {
			out[i] = ends[k]
		}
	}
	return out
}
