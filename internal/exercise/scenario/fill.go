package scenario

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// filler puts values in the places of ${...}: variables that are drawn for the
// trainee, and the addresses of hosts.
type filler struct {
	c       *checker
	seed    uint64
	trainee string
	vars    map[string]string
	addrs   map[string]netip.Addr // of hosts
	run     string
	grown   int // bytes that filling in added
}

// Limits of what filling in may grow.
const (
	maxGrown = 1 << 20 // bytes in one file
	maxValue = 1 << 16 // bytes of one value
)

func newFiller(c *checker, root *yamldoc.Node, trainee string, seed *uint64) *filler {
	f := &filler{c: c, trainee: trainee, vars: map[string]string{}, addrs: map[string]netip.Addr{}, seed: 1}
	if seed != nil {
		f.seed = *seed
	} else if n := value(root, "seed"); n != nil {
		f.seed, _ = strconv.ParseUint(n.Value, 10, 64) // the check tells what is wrong with it
	}
	if n := value(root, "id"); n != nil {
		f.run = fmt.Sprintf("%s-%08x", n.Value, f.draw("run").Uint32())
	}
	f.hosts(root)
	for name, v := range entries(value(root, "variables")) {
		if text, ok := f.variable(root, name, v); ok {
			f.vars[name] = text
		}
	}
	return f
}

// draw is the random source of one thing: what it gives depends on nothing else.
func (f *filler) draw(parts ...string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(append(parts, f.trainee), "\x00")))
	return rand.New(rand.NewPCG(f.seed, h.Sum64()))
}

// hosts gives every host an address: the file's, or one that is free.
func (f *filler) hosts(root *yamldoc.Node) {
	taken := map[netip.Addr]bool{}
	type open struct {
		name string
		in   netip.Prefix
	}
	var without []open
	for name, h := range entries(value(root, "hosts")) {
		given, _ := netip.ParseAddr(text1(value(h, "ip")))
		network := value(value(root, "networks"), text1(value(h, "network")))
		in, _ := netip.ParsePrefix(text1(value(network, "cidr")))
		n := counted(h)
		for i := range n {
			host := name
			if n > 1 {
				host = member(name, i)
			}
			if !given.IsValid() {
				without = append(without, open{host, in})
				continue
			}
			f.addrs[host], taken[given] = given, true
			given = given.Next()
		}
	}
	for _, o := range without {
		if a, ok := f.free(o.name, o.in, taken); ok {
			f.addrs[o.name], taken[a] = a, true
		}
	}
}

func text1(n *yamldoc.Node) string {
	if n == nil || n.Kind != yamldoc.Scalar {
		return ""
	}
	return n.Value
}

// free draws an address of a network that nobody has, the first ten left out.
func (f *filler) free(what string, in netip.Prefix, taken map[netip.Addr]bool) (netip.Addr, bool) {
	if !in.IsValid() || !in.Addr().Is4() || in.Bits() > 30 {
		return netip.Addr{}, false
	}
	size := uint32(1) << (32 - in.Bits())
	first := uint32(1)
	if size > 32 {
		first = 10
	}
	base := in.Masked().Addr().As4()
	at := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	start := f.draw("address", what).Uint32N(size - first - 1)
	for i := range size - first - 1 {
		x := at + first + (start+i)%(size-first-1)
		a := netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
		if !taken[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// userNames are what a variable of that type draws from.
var userNames = strings.Fields("a.adler m.berger k.dietz s.engel t.falk j.graf l.hahn p.iven r.jung n.keller c.lenz u.moser f.nagel o.otto b.pohl e.rau d.seidel g.thal w.ulrich h.voigt") //nolint:gochecknoglobals // a table that nobody writes

// variable draws one value.
func (f *filler) variable(root *yamldoc.Node, name string, v *yamldoc.Node) (string, bool) {
	r := f.draw("variable", name)
	number := func(key string, def int) int {
		if n, err := strconv.Atoi(text1(value(v, key))); err == nil && n >= 1 && n <= 65535 {
			return n
		}
		return def
	}
	switch text1(value(v, "type")) {
	case "username":
		return userNames[r.IntN(len(userNames))] + strconv.Itoa(r.IntN(90)+10), true
	case "password":
		return letters(r, min(number("length", 12), 64), "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"), true
	case "token":
		return letters(r, min(number("length", 16), 64), "0123456789abcdef"), true
	case "port":
		lo, hi := number("min", 20000), number("max", 60000)
		if lo > hi {
			f.c.fault(v.Line, "write min below max", "variables.%s: min is above max", clip(name))
			return "", false
		}
		return strconv.Itoa(lo + r.IntN(hi-lo+1)), true
	case "ip":
		network := value(value(root, "networks"), text1(value(v, "network")))
		in, _ := netip.ParsePrefix(text1(value(network, "cidr")))
		taken := map[netip.Addr]bool{}
		for _, a := range f.addrs {
			taken[a] = true
		}
		a, ok := f.free("variable "+name, in, taken)
		if !ok {
			f.c.fault(v.Line, "name a network with room", "variables.%s: no free address", clip(name))
		}
		return a.String(), ok
	case "choice":
		if l := value(v, "choices"); l != nil && l.Kind == yamldoc.List && len(l.Content) > 0 {
			return text1(l.Content[r.IntN(len(l.Content))]), true
		}
		f.c.fault(v.Line, "write choices: [A, B]", "variables.%s: nothing to choose from", clip(name))
	}
	return "", false
}

func letters(r *rand.Rand, n int, of string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = of[r.IntN(len(of))]
	}
	return string(b)
}

// fill replaces ${...} in every text below n.
func (f *filler) fill(n *yamldoc.Node) {
	if n.Kind != yamldoc.Scalar {
		for i, c := range n.Content {
			if n.Kind == yamldoc.Map && i%2 == 0 {
				continue // keys stand as they are
			}
			f.fill(c)
		}
		return
	}
	if !strings.Contains(n.Value, "${") {
		return
	}
	var b strings.Builder
	rest := n.Value
	for {
		before, after, found := strings.Cut(rest, "${")
		b.WriteString(before)
		if !found {
			break
		}
		word, tail, closed := strings.Cut(after, "}")
		if !closed {
			f.c.fault(n.Line, "close it with }", "${%s has no end", clip(word))
			return
		}
		text, ok := f.lookup(word)
		if !ok {
			f.c.fault(n.Line, "write ${vars.NAME}, ${hosts.NAME.ip} or ${run.id}", "there is no value %s", strconv.Quote(clip(word)))
			return
		}
		b.WriteString(text)
		rest = tail
		if b.Len() > maxValue {
			f.c.fault(n.Line, "write less", "a value grows beyond %d bytes", maxValue)
			return
		}
	}
	f.grown += b.Len()
	if f.grown > maxGrown {
		f.c.fault(n.Line, "write fewer", "${...} grow the scenario beyond %d bytes", maxGrown)
		return
	}
	n.Value = b.String()
}

func (f *filler) lookup(word string) (string, bool) {
	if word == "run.id" {
		return f.run, true
	}
	if name, ok := strings.CutPrefix(word, "vars."); ok {
		v, ok := f.vars[name]
		return v, ok
	}
	if name, ok := strings.CutPrefix(word, "hosts."); ok {
		name, ok = strings.CutSuffix(name, ".ip")
		a, known := f.addrs[name]
		return a.String(), ok && known
	}
	return "", false
}
