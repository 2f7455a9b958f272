package rex

// SlowBelow is the quality under which libyara warns that a string may slow
// down scanning.
const SlowBelow = maxQuality - 22*atomLen + 38

const maxQuality = 255

type maskedByte struct{ val, mask byte }

// quality rates an atom as libyara does, so that warnings agree.
func quality(a []maskedByte) int {
	q, unique := 0, 0
	var seen Set
	for _, b := range a {
		switch b.mask {
		case 0x00:
			q -= 10
		case 0x0F, 0xF0:
			q += 4
		default:
			q += byteQuality(b.val)
			if !seen.Has(b.val) {
				seen.Add(b.val)
				unique++
			}
		}
	}
	common := seen.Has(0) || seen.Has(0x20) || seen.Has(0x90) || seen.Has(0xCC) || seen.Has(0xFF)
	if unique == 1 && common {
		q -= 10 * len(a)
	} else {
		q += 2 * unique
	}
	return maxQuality - 22*atomLen + q
}

func byteQuality(b byte) int {
	switch {
	case b == 0 || b == 0x20 || b == 0xCC || b == 0xFF:
		return 12
	case b|0x20 >= 'a' && b|0x20 <= 'z':
		return 18
	}
	return 20
}

func trim(a []maskedByte) []maskedByte {
	for len(a) > 0 && a[0].mask == 0 {
		a = a[1:]
	}
	for len(a) > 0 && a[len(a)-1].mask == 0 {
		a = a[:len(a)-1]
	}
	known, unknown := 0, 0
	for _, b := range a {
		switch b.mask {
		case 0xFF:
			known++
		case 0:
			unknown++
		}
	}
	if len(a) > 0 && unknown >= known {
		a = a[:1]
	}
	return a
}

// TextQuality is the quality of a literal's best atom; with keys it is that of
// the worst of the atoms xored with each key.
func TextQuality(lit []byte, xorMin, xorMax int) int {
	var best []maskedByte
	bestQ := -1
	for i := 0; i == 0 || i+atomLen <= len(lit); i++ {
		var a []maskedByte
		for _, b := range lit[i:min(i+atomLen, len(lit))] {
			a = append(a, maskedByte{b, 0xFF})
		}
		if q := quality(a); q > bestQ {
			best, bestQ = a, q
		}
	}
	worst := bestQ
	for k := xorMin; k <= xorMax; k++ {
		x := make([]maskedByte, len(best))
		for i, b := range best {
			x[i] = maskedByte{b.val ^ byte(k), 0xFF}
		}
		worst = min(worst, quality(x))
	}
	return worst
}

// Quality is that of the pattern's best atoms.
func (p *Pattern) Quality() int { return seqQuality([]*Node{p.Root}) }

func seqQuality(nodes []*Node) int {
	best := 0
	var runs []maskedByte
	flush := func() {
		for i := 0; len(runs) > 0 && (i == 0 || i+atomLen <= len(runs)); i++ {
			if a := trim(runs[i:min(i+atomLen, len(runs))]); len(a) > 0 {
				best = max(best, quality(a))
			}
		}
		runs = runs[:0]
	}
	for _, n := range qualityItems(nodes, nil) {
		switch n.Op {
		case OpLit:
			runs = append(runs, maskedByte{n.Val, 0xFF})
		case OpMask:
			runs = append(runs, maskedByte{n.Val, n.Mask})
		case OpAny:
			runs = append(runs, maskedByte{})
		case OpAlt:
			flush()
			worst := maxQuality
			for _, k := range n.Kids {
				worst = min(worst, seqQuality([]*Node{k}))
			}
			best = max(best, worst)
		default:
			flush()
		}
	}
	flush()
	return best
}

// qualityItems flattens sequences; a repeat ends a run after its first copies.
func qualityItems(nodes, out []*Node) []*Node {
	for _, n := range nodes {
		switch {
		case n.Op == OpCat:
			out = qualityItems(n.Kids, out)
		case n.Op == OpRepeat && n.Min > 0 && n.Kids[0].Op != OpAny:
			body := qualityItems(n.Kids, nil)
			body = body[:min(len(body), maxUnrolledItems)]
			for range min(n.Min, atomLen) {
				out = append(out, body...)
			}
			out = append(out, &Node{Op: OpEmpty})
		default:
			out = append(out, n)
		}
	}
	return out
}
