package calc

import (
	"math"
	"strconv"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// counts is how often each byte value stands somewhere.
type counts struct {
	n     [256]int64
	total int64
}

func (h *counts) add(b []byte) {
	for _, x := range b {
		h.n[x]++
	}
	h.total += int64(len(b))
}

// histogram counts the bytes of a part of the file.
func histogram(c *module.Call, a []module.Value) (*counts, bool) {
	off, n, ok := span(c, a)
	h := &counts{}
	return h, ok && c.File.Range(off, n, h.add)
}

func whole(c *module.Call) []module.Value {
	return []module.Value{module.Of(0), module.Of(c.File.Size())}
}

func form(args string, k module.Kind, f func(c *module.Call, a []module.Value) module.Value) module.Function {
	return module.Function{Args: args, Result: module.T(k), Call: func(c *module.Call, _ module.Value, a []module.Value) module.Value { return f(c, a) }}
}

// both makes a function of a part of the file and of a text.
func both(f func(*counts) float64) *module.Type {
	return module.FuncOf(
		form("ii", module.Float, func(c *module.Call, a []module.Value) module.Value {
			h, ok := histogram(c, a)
			if !ok {
				return module.Value{}
			}
			return module.Flt(f(h))
		}),
		form("s", module.Float, func(_ *module.Call, a []module.Value) module.Value {
			h := &counts{}
			h.add([]byte(a[0].S))
			return module.Flt(f(h))
		}),
	)
}

func entropy(h *counts) float64 {
	e := 0.0
	for _, n := range h.n {
		if n != 0 {
			p := float64(n) / float64(h.total)
			e -= p * math.Log2(p)
		}
	}
	return e
}

func mean(h *counts) float64 {
	s := 0.0
	for v, n := range h.n {
		s += float64(v) * float64(n)
	}
	return s / float64(h.total)
}

func deviation() *module.Type {
	of := func(h *counts, mean float64) module.Value {
		s := 0.0
		for v, n := range h.n {
			s += math.Abs(float64(v)-mean) * float64(n)
		}
		return module.Flt(s / float64(h.total))
	}
	return module.FuncOf(
		form("iif", module.Float, func(c *module.Call, a []module.Value) module.Value {
			h, ok := histogram(c, a)
			if !ok {
				return module.Value{}
			}
			return of(h, a[2].Float())
		}),
		form("sf", module.Float, func(_ *module.Call, a []module.Value) module.Value {
			h := &counts{}
			h.add([]byte(a[0].S))
			return of(h, a[1].Float())
		}),
	)
}

// onBytes makes a function of a part of the file and of a text whose result
// depends on the order of the bytes.
func onBytes(start func() (add func([]byte), end func() module.Value)) *module.Type {
	return module.FuncOf(
		form("ii", module.Float, func(c *module.Call, a []module.Value) module.Value {
			off, n, ok := span(c, a)
			add, end := start()
			if !ok || !c.File.Range(off, n, add) {
				return module.Value{}
			}
			return end()
		}),
		form("s", module.Float, func(_ *module.Call, a []module.Value) module.Value {
			add, end := start()
			add([]byte(a[0].S))
			return end()
		}),
	)
}

func serialCorrelation() (func([]byte), func() module.Value) {
	var n, prev, first, t1, t2, t3 float64
	add := func(b []byte) {
		for _, x := range b {
			v := float64(x)
			if n == 0 {
				first = v
			} else {
				t1 += prev * v
			}
			t2 += v
			t3 += v * v
			prev = v
			n++
		}
	}
	end := func() module.Value {
		t1 += prev * first
		d := n*t3 - t2*t2
		if d == 0 {
			return module.Flt(-100000)
		}
		return module.Flt((n*t1 - t2*t2) / d)
	}
	return add, end
}

func monteCarloPi() (func([]byte), func() module.Value) {
	radius := math.Pow(float64(256*256*256)-1, 2)
	var group [6]byte
	var have, in, all int
	add := func(b []byte) {
		for _, x := range b {
			group[have] = x
			if have++; have < 6 {
				continue
			}
			have = 0
			all++
			mx := float64(int(group[0])<<16 | int(group[1])<<8 | int(group[2]))
			my := float64(int(group[3])<<16 | int(group[4])<<8 | int(group[5]))
			if mx*mx+my*my <= radius {
				in++
			}
		}
	}
	end := func() module.Value {
		if all == 0 {
			return module.Value{}
		}
		pi := 4 * float64(in) / float64(all)
		return module.Flt(math.Abs((pi - math.Pi) / math.Pi))
	}
	return add, end
}

func counting() map[string]*module.Type {
	count := func(c *module.Call, b int64, a []module.Value) (*counts, bool) {
		if b < 0 || b > 255 {
			return nil, false
		}
		return histogram(c, a)
	}
	countOf := func(c *module.Call, b int64, a []module.Value) module.Value {
		h, ok := count(c, b, a)
		if !ok {
			return module.Value{}
		}
		return module.Of(h.n[b])
	}
	percent := func(c *module.Call, b int64, a []module.Value) module.Value {
		h, ok := count(c, b, a)
		if !ok {
			return module.Value{}
		}
		return module.Flt(float64(h.n[b]) / float64(h.total))
	}
	mode := func(c *module.Call, a []module.Value) module.Value {
		h, ok := histogram(c, a)
		if !ok {
			return module.Value{}
		}
		best := 0
		for v, n := range h.n {
			if n > h.n[best] {
				best = v
			}
		}
		return module.Of(best)
	}
	pair := func(k module.Kind, f func(*module.Call, int64, []module.Value) module.Value) *module.Type {
		return module.FuncOf(
			form("iii", k, func(c *module.Call, a []module.Value) module.Value { return f(c, a[0].I, a[1:]) }),
			form("i", k, func(c *module.Call, a []module.Value) module.Value { return f(c, a[0].I, whole(c)) }),
		)
	}
	return map[string]*module.Type{
		"count":      pair(module.Int, countOf),
		"percentage": pair(module.Float, percent),
		"mode": module.FuncOf(
			form("ii", module.Int, mode),
			form("", module.Int, func(c *module.Call, _ []module.Value) module.Value { return mode(c, whole(c)) }),
		),
	}
}

// Math is the math module.
func Math() *module.Module {
	f := counting()
	f["MEAN_BYTES"] = module.T(module.Float)
	f["entropy"] = both(entropy)
	f["mean"] = both(mean)
	f["deviation"] = deviation()
	f["serial_correlation"] = onBytes(serialCorrelation)
	f["monte_carlo_pi"] = onBytes(monteCarloPi)
	f["in_range"] = module.FuncOf(form("fff", module.Int, func(_ *module.Call, a []module.Value) module.Value {
		return module.Yes(a[0].Float() >= a[1].Float() && a[0].Float() <= a[2].Float())
	}))
	f["min"] = module.FuncOf(form("ii", module.Int, func(_ *module.Call, a []module.Value) module.Value {
		return module.Of(int64(min(uint64(a[0].I), uint64(a[1].I))))
	}))
	f["max"] = module.FuncOf(form("ii", module.Int, func(_ *module.Call, a []module.Value) module.Value {
		return module.Of(int64(max(uint64(a[0].I), uint64(a[1].I))))
	}))
	f["abs"] = module.FuncOf(form("i", module.Int, func(_ *module.Call, a []module.Value) module.Value {
		return module.Of(max(a[0].I, -a[0].I))
	}))
	f["to_number"] = module.FuncOf(form("b", module.Int, func(_ *module.Call, a []module.Value) module.Value {
		return module.Yes(a[0].I != 0)
	}))
	f["to_string"] = module.FuncOf(
		form("i", module.String, func(_ *module.Call, a []module.Value) module.Value {
			return module.Str(strconv.FormatInt(a[0].I, 10))
		}),
		form("ii", module.String, func(_ *module.Call, a []module.Value) module.Value {
			switch a[1].I {
			case 10:
				return module.Str(strconv.FormatInt(a[0].I, 10))
			case 8, 16:
				return module.Str(strconv.FormatUint(uint64(a[0].I), int(a[1].I)))
			}
			return module.Value{}
		}),
	)
	load := func() module.Value { return module.Record(module.Fields{"MEAN_BYTES": module.Flt(127.5)}) }
	m := &module.Module{Name: "math", Type: module.StructOf(f), Load: none}
	m.Load = loader(load)
	return m
}
