package vnet

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// PortRange is a protocol and a range of its ports; Lo and Hi 0 mean all.
// Proto is "tcp", "udp", "icmp" (both families) or "" for everything.
type PortRange struct {
	Proto  string
	Lo, Hi uint16
}

// Rule lets packets through or not. Empty From or To mean every address,
// empty Ports every protocol and port.
type Rule struct {
	From, To []netip.Prefix
	Ports    []PortRange
	Allow    bool
	Reject   bool // of a rule that does not allow: say so with an ICMP error, do not drop in silence
}

// RouterPort joins a router to a segment. The first router that has an
// address of a family there is the segment's gateway for it.
type RouterPort struct {
	Segment *Segment
	Addrs   []netip.Addr
	// NAT gives what others send out by this port its own first address of the
	// family (source NAT). Rules and labels go by the true sources.
	NAT bool
}

// RouterConfig describes a router. Rules are tried in order, on the first
// packet of a flow; answers to a flow that was let through pass.
type RouterConfig struct {
	Name    string
	Ports   []RouterPort
	Rules   []Rule
	Default bool   // what no rule is about: true lets it through
	Traits  Traits // of what it sends itself: its TTL, the maker of its cards
}

// Router carries packets between segments. It decrements TTLs and sends the
// ICMP errors of RFC 1812 and RFC 4443.
type Router struct {
	net   *Network
	cfg   RouterConfig
	ports []*routerPort

	rules  atomic.Pointer[[]Rule]
	barred atomic.Pointer[bars]
	routes atomic.Pointer[[]route]
	mu     sync.Mutex
	states map[packet.Tuple]time.Time // flows let through, and until when
}

const maxStates = 1 << 16

// How long a flow that was let through is remembered without packets.
const (
	stateTCP  = time.Hour
	stateElse = 3 * time.Minute
)

// routerPort is a router's place on one segment.
type routerPort struct {
	*port
	router *Router
	nat    *translation // nil: none
}

// route leads to prefix: out of port, to the router at via (invalid: direct).
type route struct {
	prefix netip.Prefix
	out    *routerPort
	via    netip.Addr
}

// AddRouter makes a router and joins it to its segments.
func (n *Network) AddRouter(cfg RouterConfig) (*Router, error) {
	if err := checkRules(cfg.Rules); err != nil {
		return nil, fmt.Errorf("add router %q: %w", cfg.Name, err)
	}
	if cfg.Name == "" || len(cfg.Ports) == 0 {
		return nil, fmt.Errorf("add router %q: it needs a name and a port", cfg.Name)
	}
	r := &Router{net: n, cfg: cfg, states: map[packet.Tuple]time.Time{}}
	rules := slices.Clone(cfg.Rules)
	r.rules.Store(&rules)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed.Load() {
		return nil, ErrClosed
	}
	for _, o := range n.routers {
		if o.cfg.Name == cfg.Name {
			return nil, fmt.Errorf("add router %q: there is one of that name", cfg.Name)
		}
	}
	for _, rp := range cfg.Ports {
		if rp.Segment == nil || rp.Segment.net != n || len(rp.Addrs) == 0 {
			return nil, fmt.Errorf("add router %q: every port needs a segment of this network and an address in it", cfg.Name)
		}
		q := &routerPort{router: r}
		p, err := rp.Segment.join(cfg.Name, rp.Addrs, cfg.Traits.OUI, q)
		if err != nil {
			return nil, fmt.Errorf("add router %q: %w", cfg.Name, err)
		}
		q.port = p
		if rp.NAT {
			q.nat = newTranslation(q)
		}
		r.ports = append(r.ports, q)
		rp.Segment.offer(rp.Addrs)
		n.zone.Add(cfg.Name, rp.Addrs...)
	}
	n.routers = append(n.routers, r)
	n.rerouteLocked()
	return r, nil
}

// offer makes addrs the segment's gateways where it has none.
func (s *Segment) offer(addrs []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range addrs {
		i := 0
		if a.Is6() {
			i = 1
		}
		if !s.gateways[i].IsValid() {
			s.gateways[i] = a
		}
	}
}

func checkRules(rules []Rule) error {
	for i, r := range rules {
		for _, p := range r.Ports {
			switch {
			case !slices.Contains([]string{"", "tcp", "udp", "icmp"}, p.Proto):
				return fmt.Errorf("rule %d: protocol %q: tcp, udp and icmp are known", i+1, p.Proto)
			case p.Lo > p.Hi:
				return fmt.Errorf("rule %d: ports %d to %d: the first is higher than the last", i+1, p.Lo, p.Hi)
			}
		}
	}
	return nil
}

// Name is the router's name.
func (r *Router) Name() string { return r.cfg.Name }

// SetRules replaces the rules at run time. Flows that were let through are
// judged anew.
func (r *Router) SetRules(rules []Rule) error {
	if err := checkRules(rules); err != nil {
		return fmt.Errorf("rules of router %s: %w", r.cfg.Name, err)
	}
	rules = slices.Clone(rules)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules.Store(&rules)
	clear(r.states)
	return nil
}

// bars are prefixes from and to which nothing goes.
type bars struct {
	addrs map[netip.Addr]struct{}
	wide  []netip.Prefix
}

func (b *bars) holds(a netip.Addr) bool {
	_, ok := b.addrs[a]
	return ok || slices.ContainsFunc(b.wide, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Bar stops everything from and to prefixes at the router, whatever its rules say
// and whatever they let through before; what it was called with last counts.
func (r *Router) Bar(prefixes []netip.Prefix) {
	b := &bars{addrs: map[netip.Addr]struct{}{}}
	for _, p := range prefixes {
		if p.IsSingleIP() {
			b.addrs[p.Addr()] = struct{}{}
		} else {
			b.wide = append(b.wide, p)
		}
	}
	r.barred.Store(b)
}

// bars says whether one of the packet's ends is barred.
func (r *Router) bars(in *packet.Info) bool {
	b := r.barred.Load()
	return b != nil && (b.holds(in.Src.Addr()) || b.holds(in.Dst.Addr()))
}

// rerouteLocked computes all routes anew: the fewest routers to each prefix.
// The caller holds n.mu.
func (n *Network) rerouteLocked() {
	byPrefix := map[netip.Prefix]*Segment{}
	for _, s := range n.segments {
		s.setHoles(n.segments)
		for _, p := range s.cfg.Prefixes {
			byPrefix[p] = s
		}
	}
	n.byPrefix.Store(&byPrefix)
	for _, r := range n.routers {
		routes := r.reach(n.routers)
		r.routes.Store(&routes)
	}
}

// reach walks outward from r, segment by segment.
func (r *Router) reach(all []*Router) []route {
	type step struct {
		seg   *Segment
		first *routerPort // r's own port towards it
		via   *routerPort // the next router, nil: direct
	}
	var routes []route
	seen := map[*Segment]bool{}
	var line []step
	for _, p := range r.ports {
		line = append(line, step{seg: p.seg, first: p})
		seen[p.seg] = true
	}
	for len(line) > 0 {
		st := line[0]
		line = line[1:]
		for _, pre := range st.seg.cfg.Prefixes {
			rt := route{prefix: pre, out: st.first}
			if st.via != nil {
				if rt.via = st.via.addr(pre.Addr()); !rt.via.IsValid() {
					continue
				}
			}
			routes = append(routes, rt)
		}
		for _, o := range all {
			i := slices.IndexFunc(o.ports, func(p *routerPort) bool { return p.seg == st.seg })
			if o == r || i < 0 {
				continue
			}
			via := st.via
			if via == nil {
				via = o.ports[i]
			}
			for _, p := range o.ports {
				if !seen[p.seg] {
					seen[p.seg] = true
					line = append(line, step{seg: p.seg, first: st.first, via: via})
				}
			}
		}
	}
	slices.SortStableFunc(routes, func(a, b route) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	return routes
}

// addr is the port's first address of the family of like.
func (p *port) addr(like netip.Addr) netip.Addr {
	for _, a := range p.addrs {
		if a.Is4() == like.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// maxHops ends a packet that goes round in circles whatever its TTL.
const maxHops = 64

// receive forwards f, answers it, or says why not.
func (p *routerPort) receive(f *frame) {
	r, n := p.router, p.net
	if q := r.owner(f.info.Dst.Addr()); q != nil && (q.nat == nil || !q.nat.come(f, n.clk.Now())) {
		p.answer(f)
		return
	}
	rt, ok := r.route(f.info.Dst.Addr())
	if !ok {
		p.refuse(f, packet.NetUnreachable, dropNoRoute)
		return
	}
	allow, reject := r.judge(f, n.clk.Now())
	if !allow {
		if reject {
			p.refuse(f, packet.Prohibited, dropRule)
		} else {
			n.drop(f, dropRule)
		}
		return
	}
	b := f.bytes()
	if f.hops++; f.hops > maxHops || !packet.Hop(b) {
		p.refuse(f, packet.TimeExceeded, dropTTL)
		return
	}
	f.info.TTL--
	f.asIs = f.asIs || rt.out == p
	if mtu := rt.out.seg.cfg.MTU; len(b) > mtu {
		p.tooBig(f, rt, mtu)
		return
	}
	rt.pass(f)
}

// owner is the port that has the address a, nil if none has.
func (r *Router) owner(a netip.Addr) *routerPort {
	for _, q := range r.ports {
		if slices.Contains(q.addrs, a) {
			return q
		}
	}
	return nil
}

// pass sends f on its way.
func (rt route) pass(f *frame) {
	hop := rt.via
	if !hop.IsValid() {
		hop = f.info.Dst.Addr()
	}
	if rt.out.cut.Load() {
		rt.out.net.drop(f, dropIsolated)
		return
	}
	if t := rt.out.nat; t != nil && !f.asIs && rt.out.router.owner(f.info.Src.Addr()) == nil && !t.leave(f, rt.out.net.clk.Now()) {
		rt.out.net.drop(f, dropStates)
		return
	}
	rt.out.transmit(f, hop)
}

// route finds the way to a.
func (r *Router) route(a netip.Addr) (route, bool) {
	for _, rt := range *r.routes.Load() {
		if rt.prefix.Contains(a) {
			return rt, true
		}
	}
	return route{}, false
}

// answer is what the router itself says to a packet for one of its addresses.
func (p *routerPort) answer(f *frame) {
	b := f.bytes()
	var out []byte
	switch in := f.info; {
	case in.IsEchoRequest():
		out = packet.EchoReply(b, in, 64)
	case in.Proto == packet.TCP && in.Flags&packet.RST == 0 && !in.Fragment:
		out = packet.Refuse(b, in)
	case in.Proto == packet.UDP && !in.Fragment:
		out = packet.Error(b, in, in.Dst.Addr(), packet.PortUnreachable, 0)
	}
	p.reply(f, out)
}

// refuse drops f and tells its sender why.
func (p *routerPort) refuse(f *frame, why packet.Reason, count dropReason) {
	p.net.count.drops[count].Add(1)
	p.reply(f, packet.Error(f.bytes(), f.info, p.addr(f.info.Src.Addr()), why, 0))
}

// tooBig handles a packet that the next link does not take: IPv4 without DF is
// cut in pieces, everything else comes back.
func (p *routerPort) tooBig(f *frame, rt route, mtu int) {
	pieces := packet.Fragment(f.bytes(), f.info, mtu)
	if pieces == nil {
		p.net.count.drops[dropNoRoute].Add(1)
		p.reply(f, packet.Error(f.bytes(), f.info, p.addr(f.info.Src.Addr()), packet.TooBig, mtu))
		return
	}
	for _, b := range pieces {
		if g := rawFrame(b); g != nil {
			g.label, g.nth, g.turn, g.hops, g.asIs = f.label, f.nth, f.turn, f.hops, f.asIs
			rt.pass(g)
		}
	}
	f.release()
}

// reply sends the packet b, which is about f, and ends f.
func (p *routerPort) reply(f *frame, b []byte) {
	label := f.label
	f.release()
	if b == nil {
		return
	}
	if ttl := p.router.cfg.Traits.TTL; ttl != 0 {
		packet.SetHops(b, ttl)
	}
	g := rawFrame(b)
	if g == nil {
		return
	}
	g.label = label
	p.net.tap(g, nil, p.net.clk.Now()) // its life begins here
	if rt, ok := p.router.route(g.info.Dst.Addr()); ok {
		rt.pass(g)
		return
	}
	p.net.drop(g, dropNoRoute)
}

// unreachable tells the sender of f that its destination is not there.
func (p *routerPort) unreachable(f *frame) {
	p.reply(f, packet.Error(f.bytes(), f.info, p.addr(f.info.Src.Addr()), packet.HostUnreachable, 0))
}

// judge says whether f may pass.
func (r *Router) judge(f *frame, now time.Time) (allow, reject bool) {
	in := &f.info
	tuple := in.Tuple
	f.asIs = false
	if r.bars(in) {
		return false, false
	}
	if in.Later { // its first fragment was judged
		return true, false
	}
	if in.IsICMPError() {
		q, ok := packet.Quoted(f.bytes(), *in)
		if !ok {
			return false, false
		}
		tuple = q.Tuple
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, t := range []packet.Tuple{tuple, tuple.Reverse()} {
		if until, ok := r.states[t]; ok && now.Before(until) {
			f.asIs = i == 1 && !in.IsICMPError()
			r.states[t] = now.Add(stateLife(in.Proto))
			return true, false
		}
	}
	if in.IsICMPError() {
		return false, false
	}
	allow = r.cfg.Default
	for _, rule := range *r.rules.Load() {
		if rule.matches(in, r.net.owns) {
			allow, reject = rule.Allow, rule.Reject
			break
		}
	}
	if !allow {
		return false, reject
	}
	if len(r.states) >= maxStates && !r.sweep(now) {
		r.net.count.drops[dropStates].Add(1)
		return false, false
	}
	r.states[tuple] = now.Add(stateLife(in.Proto))
	return true, false
}

// sweep makes room in the full table: what has expired goes, then what is not TCP.
func (r *Router) sweep(now time.Time) bool {
	for t, until := range r.states {
		if now.After(until) || t.Proto != packet.TCP {
			delete(r.states, t)
		}
	}
	return len(r.states) < maxStates
}

func stateLife(proto uint8) time.Duration {
	if proto == packet.TCP {
		return stateTCP
	}
	return stateElse
}

// matches says whether the rule is about in; holds says whether a prefix, as a
// part of the network, holds an address.
func (r *Rule) matches(in *packet.Info, holds func(netip.Prefix, netip.Addr) bool) bool {
	within := func(list []netip.Prefix, a netip.Addr) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(p netip.Prefix) bool { return holds(p, a) })
	}
	if !within(r.From, in.Src.Addr()) || !within(r.To, in.Dst.Addr()) {
		return false
	}
	return len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(p PortRange) bool { return p.matches(in) })
}

// owns says whether p holds a. A prefix that is a segment's own means that
// segment, without the narrower prefixes of others in it: a rule about the
// Internet's 2001:db8::/32 is not about an office that has a part of it.
func (n *Network) owns(p netip.Prefix, a netip.Addr) bool {
	if !p.Contains(a) {
		return false
	}
	s := (*n.byPrefix.Load())[p]
	return s == nil || s.contains(a)
}

func (p PortRange) matches(in *packet.Info) bool {
	switch p.Proto {
	case "tcp":
		if in.Proto != packet.TCP {
			return false
		}
	case "udp":
		if in.Proto != packet.UDP {
			return false
		}
	case "icmp":
		return in.Proto == packet.ICMP || in.Proto == packet.ICMPv6
	}
	if p.Lo == 0 && p.Hi == 0 {
		return true
	}
	port := in.Dst.Port()
	return port >= p.Lo && port <= p.Hi
}
