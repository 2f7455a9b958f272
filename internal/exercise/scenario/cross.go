package scenario

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// cross checks what one place of the file says against others.
func (c *checker) cross(root *yamldoc.Node, s *Scenario) {
	c.networks(root, s)
	c.hosts(root, s)
	c.rules(root, s)
	c.steps(root, s)
	c.activities(root, s)
	if !c.partial() {
		c.levels(root, s)
	}
	for i, r := range s.Scoring.Availability.Services {
		if !c.names[namesHost].has(r.Host) {
			c.fault(c.at(root, "scoring", "availability", "services"), suggest(r.Host, c.names[namesHost].list), "scoring.availability.services[%d]: there is no host %q", i, clip(r.Host))
		} else if r.Port.Proto != "tcp" {
			c.fault(c.at(root, "scoring", "availability", "services"), "name a service of TCP", "scoring.availability.services[%d]: whether %s/%d of %s answers cannot be asked", i, r.Port.Proto, r.Port.Number, r.Host)
		}
	}
}

// partial says whether hosts, or what acts on them, were left out.
func (c *checker) partial() bool {
	return c.without["hosts"] || c.without["adversary"] || c.without["background"] || c.without["networks"] || c.without["routers"] || c.without["credentials"]
}

// inside are the blocks that a scenario may use: nothing there is anybody's on
// the Internet.
var inside = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("2001:db8::/32"),
}

// internet are the blocks that the internet inside answers for.
var internet = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
}

func within(p netip.Prefix) bool {
	return slices.ContainsFunc(inside, func(b netip.Prefix) bool { return b.Bits() <= p.Bits() && b.Contains(p.Addr()) })
}

func (c *checker) networks(root *yamldoc.Node, s *Scenario) {
	for i := range s.Networks {
		n := &s.Networks[i]
		if n.Jitter > n.Latency {
			c.fault(c.at(root, "networks", n.Name, "jitter"), "write at most the latency", "networks.%s: the jitter %s is more than the latency %s", n.Name, n.Jitter, n.Latency)
		}
		if f := n.Fill; f != nil && f.Density == 0 {
			c.fault(c.at(root, "networks", n.Name, "fill", "density"), "write a share above 0, or leave fill out", "networks.%s.fill: it fills nothing", n.Name)
		}
		if n.Gateway != "" {
			c.room(root, s, n)
		}
		for _, p := range []struct {
			key string
			p   netip.Prefix
			v4  bool
		}{{"cidr", n.CIDR, true}, {"cidr6", n.CIDR6, false}} {
			if !p.p.IsValid() {
				continue
			}
			at := c.at(root, "networks", n.Name, p.key)
			switch {
			case p.p.Addr().Is4() != p.v4:
				c.fault(at, "write IPv4 under cidr and IPv6 under cidr6", "networks.%s.%s: %s is of the other family", n.Name, p.key, p.p)
			case !within(p.p):
				c.fault(at, "use private or documentation addresses, such as 10.20.1.0/24", "networks.%s.%s: %s belongs to somebody", n.Name, p.key, p.p)
			case slices.Contains(internet, p.p):
				c.fault(at, "take a part of it, such as /25: the rest answers as the internet inside", "networks.%s.%s: %s is the internet inside", n.Name, p.key, p.p)
			case p.v4 && (p.p.Bits() < 8 || p.p.Bits() > 30):
				c.fault(at, "write a network of /8 to /30", "networks.%s.%s: %s is too large or too small", n.Name, p.key, p.p)
			}
			for k := range s.Networks[:i] {
				o := &s.Networks[k]
				if p.v4 && o.CIDR.IsValid() && o.CIDR.Overlaps(p.p) || !p.v4 && o.CIDR6.IsValid() && o.CIDR6.Overlaps(p.p) {
					c.fault(at, "give each network addresses of its own", "networks.%s.%s: %s overlaps the network %s", n.Name, p.key, p.p, o.Name)
				}
			}
		}
	}
}

// room checks that the router of a network has a place in it.
func (c *checker) room(root *yamldoc.Node, s *Scenario, n *Network) {
	for _, p := range []netip.Prefix{n.CIDR, n.CIDR6} {
		if p.IsValid() && !Gateway(s, p).IsValid() {
			c.fault(c.at(root, "networks", n.Name, "gateway"), "make the network larger, or take a host out", "networks.%s: hosts have every address of %s, none is left for the router %s", n.Name, p, n.Gateway)
		}
	}
}

// Gateway is the address of a network's router: the first that no host has;
// invalid where all are taken.
func Gateway(s *Scenario, p netip.Prefix) netip.Addr {
	taken := map[netip.Addr]bool{}
	for i := range s.Hosts {
		taken[s.Hosts[i].IP], taken[s.Hosts[i].IP6] = true, true
	}
	for a := p.Masked().Addr().Next(); p.Contains(a); a = a.Next() {
		if !taken[a] && !edge(p, a) {
			return a
		}
	}
	return netip.Addr{}
}

// edge says whether a names an IPv4 network or all of it.
func edge(p netip.Prefix, a netip.Addr) bool {
	return a.Is4() && p.Contains(a) && (a == p.Masked().Addr() || !p.Contains(a.Next()))
}

func (c *checker) hosts(root *yamldoc.Node, s *Scenario) {
	seen, names := map[netip.Addr]string{}, map[string]int{}
	networks := map[string]*Network{}
	for i := range s.Networks {
		networks[s.Networks[i].Name] = &s.Networks[i]
	}
	tokens := map[string]bool{}
	for _, t := range s.Tokens {
		tokens[t.ID] = true
	}
	nodes := maps.Collect(entries(value(root, "hosts")))
	for i := range s.Hosts {
		h := &s.Hosts[i]
		n, node := networks[h.Network], nodes[h.Group]
		at := max(node.Line, c.at(node, "ip"))
		if n != nil && !n.CIDR.Contains(h.IP) {
			c.fault(at, "write an address of "+n.CIDR.String(), "hosts.%s: %s is outside its network %s", h.Name, h.IP, h.Network)
		}
		if n != nil && edge(n.CIDR, h.IP) {
			c.fault(at, "write another address of "+n.CIDR.String(), "hosts.%s: %s is the network's own or its broadcast address", h.Name, h.IP)
		}
		if o := names[h.Name]; o > 0 {
			c.fault(at, "give one of them another name", "hosts.%s: there is another host of this name, in line %d", h.Name, o)
			continue
		}
		names[h.Name] = max(at, 1)
		if n != nil && h.IP6.IsValid() && !n.CIDR6.Contains(h.IP6) {
			c.fault(max(node.Line, c.at(node, "ip6")), "write an address of the network's cidr6", "hosts.%s: %s is outside its network %s", h.Name, h.IP6, h.Network)
		}
		for key, a := range map[string]netip.Addr{"ip": h.IP, "ip6": h.IP6} {
			if o, taken := seen[a]; taken && a.IsValid() {
				c.fault(max(node.Line, c.at(node, key)), "give it another address", "hosts.%s: %s is the address of %s", h.Name, a, o)
			}
			seen[a] = h.Name
		}
		c.services(node, h)
	}
}

func (c *checker) services(node *yamldoc.Node, h *Host) {
	ports := map[Port]bool{}
	list := value(node, "services")
	for i, sv := range h.Services {
		at := list.Content[i].Line
		if ports[sv.Port] {
			c.fault(at, "give it another port", "hosts.%s: two services at %s", h.Group, sv.Port)
		}
		ports[sv.Port] = true
		k, err := service.FindKind(sv.Type)
		if err != nil {
			continue // told
		}
		if err := k.Fits(h.Persona); err != nil {
			c.fault(at, "", "hosts.%s: %s", h.Group, err)
		}
		if p, err := service.FindPersona(h.Persona); err == nil && p.Shut && k.Shell() && len(sv.Accept) > 0 {
			c.fault(at, "leave accept out, or use a persona that has a shell", "hosts.%s: a %s has no shell of its own system: nobody logs in to its %s service", h.Group, h.Persona, sv.Type)
		}
		if !slices.Contains(k.Transports, sv.Port.Proto) {
			c.fault(at, "write "+k.Transports[0]+"/"+strings.TrimPrefix(sv.Port.String(), sv.Port.Proto+"/"), "hosts.%s: %s does not answer on %s", h.Group, sv.Type, sv.Port.Proto)
		}
	}
}

// rules checks what routers name.
func (c *checker) rules(root *yamldoc.Node, s *Scenario) {
	for i := range s.Routers {
		r := &s.Routers[i]
		c.translates(root, s, r)
		list := value(value(value(root, "routers"), r.Name), "rules")
		for k, rule := range r.Rules {
			for _, w := range append(slices.Clone(rule.From), rule.To...) {
				if w == "any" || w == "internet" || c.names[namesPlace].has(w) {
					continue
				}
				if p, err := netip.ParsePrefix(w); err == nil && within(p) {
					continue
				}
				c.fault(list.Content[k].Line, suggest(w, append(slices.Clone(c.names[namesPlace].list), "any", "internet")), "routers.%s.rules[%d]: %q is no network, host or prefix of the scenario", r.Name, k, clip(w))
			}
		}
	}
}

// translates checks where a router gives packets its own address.
func (c *checker) translates(root *yamldoc.Node, s *Scenario, r *Router) {
	at := c.at(root, "routers", r.Name, "nat")
	for _, w := range r.NAT {
		own := func(n Network) bool { return n.Name == w && n.Gateway == r.Name }
		if w != "internet" && !c.without["networks"] && !slices.ContainsFunc(s.Networks, own) {
			c.fault(at, "name a network whose gateway it is, or internet", "routers.%s.nat: %q is no network of this router", r.Name, clip(w))
		}
	}
}

func (c *checker) steps(root *yamldoc.Node, s *Scenario) {
	steps := value(value(root, "adversary"), "steps")
	first := map[string]int{}
	for i := range s.Adversary.Steps {
		t := &s.Adversary.Steps[i]
		n := steps.Content[i]
		if o, twice := first[t.ID]; twice {
			c.fault(n.Line, "give it another id", "adversary.steps: the id %s is that of the step in line %d", clip(t.ID), o)
		}
		first[t.ID] = n.Line
		c.aims(s, &aim{n, "adversary.steps[" + t.ID + "]", t.Action, Texts{t.From}, &t.Target})
		c.speaks(n, s, "adversary.steps["+t.ID+"]")
		c.length(n, s, t)
		if t.At > s.Duration {
			c.fault(c.at(n, "at"), "begin earlier, or make the exercise longer", "step %s begins after the exercise has ended", t.ID)
		}
		if a := FindAction(t.Action); a != nil && a.Windows {
			if p, err := service.FindPersona(persona(s, t.From)); err == nil && p.Family != "windows" {
				c.fault(n.Line, "act from a Windows host", "step %s: %s writes Windows records, and %s is none", t.ID, t.Action, t.From)
			}
		}
	}
	c.cycles(steps, s)
	c.schedule(steps, s)
}

// schedule refuses steps that could begin after the end, each at its latest.
func (c *checker) schedule(list *yamldoc.Node, s *Scenario) {
	if len(c.faults) > 0 {
		return // steps may wait for each other
	}
	ends := map[string]time.Duration{}
	var end func(i int) time.Duration
	end = func(i int) time.Duration {
		t := &s.Adversary.Steps[i]
		if e, ok := ends[t.ID]; ok {
			return e
		}
		begin := t.At
		for _, k := range s.Adversary.before(i) {
			begin = max(begin, end(k))
		}
		begin += t.Delay.Max
		if begin > s.Duration {
			c.fault(list.Content[i].Line, "wait less, or make the exercise longer", "step %s may begin %s after the start, the exercise ends at %s", t.ID, begin.Round(time.Second), s.Duration)
		}
		ends[t.ID] = min(begin+t.span(c.addresses(s, &t.Target)), s.Duration)
		return ends[t.ID]
	}
	for i := range s.Adversary.Steps {
		end(i)
	}
}

// before are the steps that must have ended before step i begins.
func (a *Adversary) before(i int) []int {
	t := &a.Steps[i]
	if len(t.After) == 0 && t.At == 0 && i > 0 {
		return []int{i - 1}
	}
	var out []int
	for k := range a.Steps {
		if slices.Contains(t.After, a.Steps[k].ID) {
			out = append(out, k)
		}
	}
	return out
}

func persona(s *Scenario, host string) string {
	for i := range s.Hosts {
		if s.Hosts[i].Name == host || s.Hosts[i].Group == host {
			return s.Hosts[i].Persona
		}
	}
	return ""
}

// length refuses steps that would not end.
func (c *checker) length(n *yamldoc.Node, s *Scenario, t *Step) {
	if d := t.span(c.addresses(s, &t.Target)); d > s.Duration {
		c.fault(n.Line, "repeat less often or faster, or make the exercise longer", "step %s takes %s, the exercise %s", t.ID, d.Round(time.Second), s.Duration)
	}
}

// addresses is how many addresses a target has.
func (c *checker) addresses(s *Scenario, t *Target) int {
	if t.Network == "" {
		n := 0
		for i := range s.Hosts {
			if h := &s.Hosts[i]; slices.Contains(append([]string{t.Host}, t.Hosts...), h.Name) || h.Group == t.Host || slices.Contains(t.Hosts, h.Group) {
				n++
			}
		}
		return max(n, 1)
	}
	for i := range s.Networks {
		if s.Networks[i].Name == t.Network {
			return 1 << min(32-s.Networks[i].CIDR.Bits(), 16)
		}
	}
	return 1
}

// cycles finds steps that wait for each other.
func (c *checker) cycles(list *yamldoc.Node, s *Scenario) {
	state := make([]int, len(s.Adversary.Steps)) // 1: on the way, 2: done
	var visit func(i int) bool
	visit = func(i int) bool {
		if state[i] != 0 {
			return state[i] == 2
		}
		state[i] = 1
		for _, k := range s.Adversary.before(i) {
			if !visit(k) {
				return false
			}
		}
		state[i] = 2
		return true
	}
	for i := range s.Adversary.Steps {
		if state[i] == 0 && !visit(i) {
			c.fault(list.Content[i].Line, "let one of them begin without waiting", "step %s waits for itself through after", s.Adversary.Steps[i].ID)
			return
		}
	}
}

func (c *checker) activities(root *yamldoc.Node, s *Scenario) {
	list := value(root, "background")
	for i := range s.Background {
		b := &s.Background[i]
		c.aims(s, &aim{list.Content[i], "background[" + b.ID + "]", b.Action, b.From, &b.Target})
		c.speaks(list.Content[i], s, "background["+b.ID+"]")
	}
	c.amount(root, s)
}

// maxActs bounds the connections, requests and probes of one exercise: each leaves
// records, and of these so many can be scored.
const maxActs = 1_000_000

// amount checks that what people and the intruder do can be scored.
func (c *checker) amount(root *yamldoc.Node, s *Scenario) {
	total := 0.0
	add := func(n *yamldoc.Node, path string, acts float64) {
		if total += acts; total > maxActs {
			c.fault(n.Line, "let it happen less often, or shorten the exercise", "%s: with it the exercise has some %.0f connections and probes, the limit is %d", path, total, maxActs)
			total = 0 // told
		}
	}
	steps := value(value(root, "adversary"), "steps")
	for i := range s.Adversary.Steps {
		t := &s.Adversary.Steps[i]
		add(steps.Content[i], "adversary.steps["+t.ID+"]", float64(acts(t.Args, c.addresses(s, &t.Target))))
	}
	list := value(root, "background")
	for i := range s.Background {
		b := &s.Background[i]
		people := 0
		for k := range s.Hosts {
			if slices.Contains(b.From, s.Hosts[k].Name) || slices.Contains(b.From, s.Hosts[k].Group) {
				people++
			}
		}
		n := c.addresses(s, &b.Target)
		round := max(b.Every, time.Second)
		if a := FindAction(b.Action); a != nil && a.length != nil {
			round += a.length(b.Args, n)
		}
		add(list.Content[i], "background["+b.ID+"]", float64(acts(b.Args, n))*float64(people)*float64(s.Duration)/float64(round))
	}
}

// acts is how often one doing of an action with n targets connects, asks or probes.
func acts(a Args, n int) int {
	for _, list := range []string{"paths", "names", "commands"} {
		n *= max(len(a.Texts(list)), 1)
	}
	n *= max(len(a.Ints("ports")), 1)
	for _, count := range []string{"repeat", "queries"} {
		n *= max(a.Int(count), 1)
	}
	return n
}
