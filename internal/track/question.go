package track

import (
	"bytes"
	"math/bits"
	"strings"
)

type nameKey struct {
	Src    addr
	Domain string
}

// name is what is remembered of one host that asks for names of one domain.
type name struct {
	First  int64
	Hour   int64
	Bits   [4]uint64 // different names of this hour
	Asked  uint32
	Length uint32  // of what stands before the domain
	Usual  float32 // the most different names of an hour, fading
	Told   int32   // day
}

// What a tunnel through a resolver looks like: so many different names of a
// domain within an hour, so long on average, so many times what is usual.
const (
	namesMin    = 60
	namesLength = 24
	namesTimes  = 3
	namesFade   = 0.95 // of what is usual, an hour with other numbers
	maxName     = 255
)

// question reads a question to a resolver.
func (s *Set) question(r *reading) {
	src, ok := r.addr(r.srcIP, r.oldSrc)
	q := bytes.TrimSuffix(r.text(r.question, r.oldQuery), []byte("."))
	if !ok || len(q) == 0 || len(q) > maxName {
		return
	}
	sub, domain := registered(strings.ToLower(string(q)))
	if sub == "" || strings.HasSuffix(domain, ".arpa") {
		return
	}
	n, isNew := s.s.names.obtain(nameKey{src.As16(), domain})
	sec := r.at.Unix()
	if isNew {
		n.First = sec
	}
	if hour := sec / 3600; hour != n.Hour {
		if hour < n.Hour {
			return
		}
		n.Usual = max(n.Usual*namesFade, targets(n.set()))
		n.Hour, n.Bits, n.Asked, n.Length = hour, [4]uint64{}, 0, 0
	}
	h := hashText(sub)
	n.Bits[h>>6&3] |= 1 << (h & 63)
	n.Asked++
	n.Length += uint32(len(sub))
	different := targets(n.set())
	day := int32(sec / 86400)
	if different < namesMin || n.Length/n.Asked < namesLength || different < namesTimes*n.Usual || n.Told == day || s.learning(r.at) {
		return
	}
	n.Told = day
	r.say(r.tunnel, "dns")
	r.count(r.tunnelNames, int64(different))
	r.say(r.tunnelParent, domain)
}

func (n *name) set() uint16 {
	c := 0
	for _, b := range n.Bits {
		c += bits.OnesCount64(b)
	}
	return uint16(c)
}

func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>29
}

// registered splits a name before the part that is registered: two labels, three
// under a country's co, com, ac and the like.
func registered(q string) (sub, domain string) {
	cut := len(q)
	for i := range 3 {
		dot := strings.LastIndexByte(q[:cut], '.')
		if dot < 0 {
			return "", q
		}
		if i == 1 && (len(q)-cut != 3 || cut-dot > 4) || i == 2 {
			return q[:dot], q[dot+1:]
		}
		cut = dot
	}
	return "", q
}
