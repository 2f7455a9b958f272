package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// maxNetHosts bounds the hosts that one network shows, maxNets the networks,
// maxArrows the ways.
const (
	maxNetHosts = 16
	maxNets     = 24
	maxArrows   = 40
)

// netMap is the picture of the networks, in the units of an SVG 1,000 wide.
type netMap struct {
	Height  int
	Nets    []netBox
	Routers []mapText
	Wires   []string
	Hosts   []hostBox
	Arrows  []arrow
}

type netBox struct {
	X, Y, W, H, TextX, TextY, SubY int
	Name, Sub                      string
}

type mapText struct {
	X, Y, TextY int
	Text        string
}

type hostBox struct {
	X, Y, TextX, TextY int
	Class, Text, Title string
}

type arrow struct {
	Path, Text, Title string
	X, Y              int
}

type point struct{ x, y int }

const (
	netColumns = 4
	netWidth   = 232
	netGap     = 20
	hostRow    = 32
	routerY    = 26
)

func newMap(r *Run) netMap {
	var m netMap
	nets := r.Truth.Networks
	if len(nets) == 0 {
		return m
	}
	places := map[string]point{} // centres of hosts and networks
	routers := routersOf(nets)
	top := 20
	if len(routers) > 0 {
		top = 76
		for i, name := range routers {
			p := point{1000 * (i + 1) / (len(routers) + 1), routerY}
			places["router "+name] = p
			m.Routers = append(m.Routers, mapText{p.x, p.y, p.y + 4, clip(name, 6)})
		}
	}
	nets = slices.Clone(nets[:min(len(nets), maxNets)])
	if out := outside(r); len(out.Prefixes) > 0 {
		nets = append(nets, out)
	}
	x, y, tallest := netGap/2, top, 0
	for i := range nets {
		if i > 0 && i%netColumns == 0 {
			x, y, tallest = netGap/2, y+tallest+34, 0
		}
		box := m.net(r, &nets[i], point{x, y}, places)
		tallest = max(tallest, box.H)
		for _, name := range nets[i].Routers {
			p := places["router "+name]
			m.Wires = append(m.Wires, fmt.Sprintf("M%d %dL%d %d", p.x, p.y+17, x+netWidth/2, y))
		}
		x += netWidth + netGap
	}
	m.Height = y + tallest + 16
	m.arrows(r, places)
	return m
}

func routersOf(nets []score.Network) []string {
	var all []string
	for _, n := range nets {
		for _, name := range n.Routers {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all[:min(len(all), 12)]
}

// beyond is the box of what is outside: no network can be called so.
const beyond = "the internet inside"

// outside is the network of those targets that are no host or network of the
// scenario.
func outside(r *Run) score.Network {
	known := map[string]bool{"": true}
	for _, n := range r.Truth.Networks {
		known[n.Name] = true
	}
	for _, h := range r.Truth.Hosts {
		known[h.Name] = true
	}
	out := score.Network{Name: beyond}
	for _, s := range r.Result.Steps {
		for _, to := range score.Targets(s.To) {
			if !known[to] {
				known[to] = true
				out.Prefixes = append(out.Prefixes, to)
			}
		}
	}
	return out
}

// net draws one network with its hosts, those that act or decoy first.
func (m *netMap) net(r *Run, n *score.Network, at point, places map[string]point) netBox {
	var hosts []score.Host
	for _, h := range r.Truth.Hosts {
		if h.Network == n.Name {
			hosts = append(hosts, h)
		}
	}
	sub := strings.Join(n.Prefixes, ", ")
	if n.Name == beyond {
		sub = "places beyond the scenario's networks"
		for _, p := range n.Prefixes {
			hosts = append(hosts, score.Host{Name: p})
		}
	}
	if n.Filled {
		sub += ", a whole block answers"
	}
	involved := map[string]bool{}
	for _, s := range r.Result.Steps {
		involved[s.From] = true
		for _, to := range score.Targets(s.To) {
			involved[to] = true
		}
	}
	slices.SortStableFunc(hosts, func(a, b score.Host) int {
		return cmp.Compare(weight(&b, involved), weight(&a, involved))
	})
	if left := len(hosts) - maxNetHosts; left > 0 {
		hosts = hosts[:maxNetHosts]
		sub += fmt.Sprintf(", %d hosts more", left)
	}
	box := netBox{X: at.x, Y: at.y, W: netWidth, H: 50 + hostRow*((len(hosts)+1)/2), TextX: at.x + 10, TextY: at.y + 18, SubY: at.y + 33, Name: clip(n.Name, 28), Sub: clip(sub, 42)}
	m.Nets = append(m.Nets, box)
	places[n.Name] = point{at.x + netWidth/2, at.y + 8}
	for i := range hosts {
		p := point{at.x + 8 + 112*(i%2), at.y + 42 + hostRow*(i/2)}
		m.Hosts = append(m.Hosts, chip(&hosts[i], p))
		places[hosts[i].Name] = point{p.x + 52, p.y + 12}
	}
	return box
}

func weight(h *score.Host, involved map[string]bool) int {
	w := len(h.Roles)
	if h.Decoy {
		w++
	}
	if involved[h.Name] {
		w += 10
	}
	return w
}

func chip(h *score.Host, p point) hostBox {
	b := hostBox{X: p.x, Y: p.y, TextX: p.x + 52, TextY: p.y + 16, Text: clip(h.Name, 16)}
	for _, role := range []string{"red", "blue", "green"} {
		if slices.Contains(h.Roles, role) {
			b.Class = role
			break
		}
	}
	if h.Decoy {
		b.Class = "decoy"
	}
	words := []string{h.Name}
	for _, a := range h.Addrs {
		words = append(words, a.String())
	}
	words = append(words, h.Persona)
	b.Title = strings.TrimSpace(strings.Join(words, " "))
	return b
}

// arrows draws the ways of the steps, one for each pair of ends.
func (m *netMap) arrows(r *Run, places map[string]point) {
	order, ids := ways(r, places)
	for i, e := range order[:min(len(order), maxArrows)] {
		a, b := places[e.from], places[e.to]
		title := fmt.Sprintf("%s to %s: %s", e.from, e.to, strings.Join(ids[e], ", "))
		text := clip(strings.Join(ids[e], " "), 24)
		if a == b {
			m.Arrows = append(m.Arrows, m.settle(arrow{fmt.Sprintf("M%d %dc30 -26 52 -6 22 2", a.x+26, a.y-10), text, title, a.x + 62, a.y - 16}))
			continue
		}
		bend := 26 + 9*(i%4)
		mid := point{(a.x + b.x) / 2, (a.y+b.y)/2 - bend}
		end := short(a, b)
		m.Arrows = append(m.Arrows, m.settle(arrow{
			fmt.Sprintf("M%d %dQ%d %d %d %d", a.x, a.y-10, mid.x, mid.y, end.x, end.y), text, title,
			(a.x + 2*mid.x + b.x) / 4, (a.y+2*mid.y+b.y)/4 - 3,
		}))
	}
}

// letter and lineHigh are about the size of a label's letters.
const (
	letter   = 7
	lineHigh = 13
)

// settle moves a's label down until it covers none of those before it.
func (m *netMap) settle(a arrow) arrow {
	a.X = min(max(a.X, letter*len(a.Text)/2), 1000-letter*len(a.Text)/2)
	covers := func(o arrow) bool {
		return max(a.X, o.X)-min(a.X, o.X) < letter*(len(a.Text)+len(o.Text))/2 && max(a.Y, o.Y)-min(a.Y, o.Y) < lineHigh
	}
	for range m.Arrows {
		if !slices.ContainsFunc(m.Arrows, covers) {
			break
		}
		a.Y += lineHigh
	}
	return a
}

// ends are the two of an arrow.
type ends struct{ from, to string }

// ways are the pairs of ends that have a place, in the order of the steps, and
// the steps of each.
func ways(r *Run, places map[string]point) (order []ends, ids map[ends][]string) {
	ids = map[ends][]string{}
	for _, s := range r.Result.Steps {
		for _, to := range score.Targets(s.To) {
			e := ends{s.From, to}
			_, a := places[e.from]
			_, b := places[e.to]
			if !a || !b {
				continue
			}
			if ids[e] == nil {
				order = append(order, e)
			}
			ids[e] = append(ids[e], s.ID)
		}
	}
	return order, ids
}

// short stops an arrow at the edge of the host that it points to.
func short(from, to point) point {
	switch {
	case from.x < to.x-60:
		return point{to.x - 52, to.y - 4}
	case from.x > to.x+60:
		return point{to.x + 52, to.y - 4}
	case from.y < to.y:
		return point{to.x, to.y - 12}
	}
	return point{to.x, to.y + 12}
}
