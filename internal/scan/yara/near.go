package yara

import (
	"math/bits"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/index"
)

// side is eight bytes beside a place, the lowest address in the low bits, and
// which of their bits are known.
type side struct{ value, mask uint64 }

func (s *side) set(at int, value, mask byte) {
	s.value |= uint64(value&mask) << (8 * at)
	s.mask |= uint64(mask) << (8 * at)
}

// near tells which eight bytes around an atom rule out most places.
func near(p *code.Program, a *code.Atom) index.Near {
	u := &p.Units[a.Ref.Unit]
	var before, after side
	if u.Lit != nil {
		before, after = besideLiteral(u, a)
	} else {
		before, after = besideExpression(p, &a.Ref)
	}
	best := index.Near{Value: after.value, Mask: after.mask}
	for back := 1; back < 8; back++ {
		mask := after.mask<<(8*back) | before.mask>>(64-8*back)
		if bits.OnesCount64(mask) > bits.OnesCount64(best.Mask) {
			best = index.Near{Value: after.value<<(8*back) | before.value>>(64-8*back), Mask: mask, Back: back}
		}
	}
	return best
}

func besideLiteral(u *code.Unit, a *code.Atom) (before, after side) {
	off, key := int(a.Ref.Off), byte(0)
	if u.Xor {
		key = byte(a.Word) ^ u.Lit[off]
	}
	for i := max(0, off-8); i < min(len(u.Lit), off+8); i++ {
		c, mask := u.Lit[i]^key, byte(0xFF)
		if l := lower(c); u.NoCase && l >= 'a' && l <= 'z' {
			mask = 0xDF
		}
		if i < off {
			before.set(8-off+i, c, mask)
		} else {
			after.set(i-off, c, mask)
		}
	}
	return before, after
}

func besideExpression(p *code.Program, ref *code.Ref) (before, after side) {
	size := 1
	if ref.Wide {
		size = 2
	}
	for i, c := range p.Progs[ref.Fwd].Lead(8 / size) {
		after.set(i*size, c.Value, c.Mask)
		if ref.Wide {
			after.set(i*size+1, 0, 0xFF)
		}
	}
	if ref.Bwd < 0 {
		return before, after
	}
	for i, c := range p.Progs[ref.Bwd].Lead(8 / size) {
		before.set(8-(i+1)*size, c.Value, c.Mask)
		if ref.Wide {
			before.set(8-i*size-1, 0, 0xFF)
		}
	}
	return before, after
}
