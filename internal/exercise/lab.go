package exercise

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// lab is the network of a scenario with everything on it.
type lab struct {
	sc    *scenario.Scenario
	net   *vnet.Network
	clk   clock.Clock
	pace  clock.Clock // of actors: clk, or one that can be stopped
	seed  uint64
	log   *slog.Logger
	sink  event.Sink // of what the defence watches
	progs map[string]kernel.Program

	hosts    map[string]*machine
	routers  map[string]*vnet.Router
	segments map[string]*vnet.Segment
	gates    map[string][]netip.Addr // of networks: the router's addresses
	names    map[netip.Addr]string
	services map[string]*running // by serviceKey
	accounts accounts
	internet *vnet.Internet
	outside  map[string]netip.Addr // of names that stand for places outside

	served sync.WaitGroup
	stop   context.CancelFunc
}

// machine is one host.
type machine struct {
	spec    *scenario.Host
	net     *vnet.Host
	host    *service.Host
	records *record.Host // nil where its family writes none
	watched bool         // the defence sees its logs
}

// nobody takes what the defence cannot see: the logs of the intruder's own
// machine and of servers outside.
type nobody struct{}

func (nobody) Emit(context.Context, event.Event) error { return nil }

var _ event.Sink = nobody{}

// errIncomplete says that a lab could not be made whole.
var errIncomplete = errors.New("the lab cannot be built")

// newLab builds the network, on the clock of the wall where vclk is nil. What it starts ends with close.
func newLab(ctx context.Context, sc *scenario.Scenario, vclk *vnet.VirtualClock, out event.Sink, log *slog.Logger) (*lab, error) {
	n, err := vnet.New(vnet.Config{Seed: sc.Seed, Clock: vclk})
	if err != nil {
		return nil, fmt.Errorf("make the network: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &lab{
		sc: sc, net: n, clk: n.Clock(), seed: sc.Seed, log: log, sink: out, progs: programs.All(), stop: cancel,
		hosts: map[string]*machine{}, routers: map[string]*vnet.Router{}, segments: map[string]*vnet.Segment{},
		services: map[string]*running{}, names: map[netip.Addr]string{}, gates: map[string][]netip.Addr{}, outside: map[string]netip.Addr{},
	}
	l.pace = l.clk
	for _, build := range []func(context.Context) error{l.buildSegments, l.buildRouters, l.buildHosts, l.buildFields, l.buildOutside, l.serveAll} {
		if err := build(ctx); err != nil {
			l.close()
			return nil, fmt.Errorf("%w: %w", errIncomplete, err)
		}
	}
	return l, nil
}

// close ends every service and the network.
func (l *lab) close() {
	l.stop()
	l.net.Close() //nolint:errcheck // nothing is kept
	l.served.Wait()
}

func (l *lab) buildSegments(context.Context) error {
	for i := range l.sc.Networks {
		n := &l.sc.Networks[i]
		for _, p := range prefixes(n) {
			l.gates[n.Name] = append(l.gates[n.Name], scenario.Gateway(l.sc, p))
		}
		s, err := l.net.AddSegment(vnet.SegmentConfig{
			Name: n.Name, Prefixes: prefixes(n), MTU: n.MTU,
			Link: vnet.Link{Latency: n.Latency, Jitter: n.Jitter, Loss: float64(n.Loss), Bandwidth: int64(n.Bandwidth)},
		})
		if err != nil {
			return err
		}
		l.segments[n.Name] = s
	}
	var err error
	l.internet, err = l.net.Internet(vnet.InternetConfig{})
	return err
}

func prefixes(n *scenario.Network) []netip.Prefix {
	out := []netip.Prefix{n.CIDR}
	if n.CIDR6.IsValid() {
		out = append(out, n.CIDR6)
	}
	return out
}

func (l *lab) buildRouters(context.Context) error {
	for i := range l.sc.Routers {
		r := &l.sc.Routers[i]
		persona, err := service.FindPersona(r.Persona)
		if err != nil {
			return fmt.Errorf("router %s: %w", r.Name, err)
		}
		cfg := vnet.RouterConfig{Name: r.Name, Default: r.Default == "allow", Traits: traitsOf(persona), Rules: l.closedToPeople()}
		for k := range l.sc.Networks {
			if n := &l.sc.Networks[k]; n.Gateway == r.Name {
				cfg.Ports = append(cfg.Ports, vnet.RouterPort{Segment: l.segments[n.Name], Addrs: l.gateways(n), NAT: slices.Contains(r.NAT, n.Name)})
			}
		}
		cfg.Ports = append(cfg.Ports, vnet.RouterPort{Segment: l.internet.Segment, NAT: slices.Contains(r.NAT, "internet"), Addrs: []netip.Addr{
			netip.AddrFrom4([4]byte{192, 0, 2, byte(250 - i)}), netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0xff, 0xff, 15: byte(250 - i)}),
		}})
		for _, rule := range r.Rules {
			out, err := l.rule(rule)
			if err != nil {
				return fmt.Errorf("router %s: %w", r.Name, err)
			}
			cfg.Rules = append(cfg.Rules, out)
		}
		if !namesInternet(r) { // what a scenario does not speak of answers
			cfg.Rules = append(cfg.Rules, vnet.Rule{To: l.internet.Prefixes(), Allow: true})
		}
		made, err := l.net.AddRouter(cfg)
		if err != nil {
			return err
		}
		l.routers[r.Name] = made
	}
	return nil
}

// closedToPeople keeps trainees, at the hosts that let them in and at machines of
// their own beside these (see Place), out of the networks that they may not enter.
func (l *lab) closedToPeople() []vnet.Rule {
	var from, to []netip.Prefix
	for i := range l.sc.Networks {
		n := &l.sc.Networks[i]
		if !n.AccessibleByUser {
			to = append(to, prefixes(n)...)
		}
		var theirs []netip.Addr
		for k := range l.sc.Hosts {
			if h := &l.sc.Hosts[k]; len(h.Access) > 0 && h.Network == n.Name {
				theirs = append(theirs, addrs(h)...)
			}
		}
		for _, q := range prefixes(n) {
			if len(theirs) > 0 {
				theirs = append(theirs, l.free(n, q, 1)...)
			}
		}
		for _, a := range theirs {
			from = append(from, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	if len(from) == 0 || len(to) == 0 {
		return nil
	}
	return []vnet.Rule{{From: from, To: to}}
}

// namesInternet tells whether a router's rules say something of the internet.
func namesInternet(r *scenario.Router) bool {
	return slices.ContainsFunc(r.Rules, func(rule scenario.RouterRule) bool {
		return slices.Contains(rule.From, "internet") || slices.Contains(rule.To, "internet")
	})
}

// gateways are the router's addresses in a network.
func (l *lab) gateways(n *scenario.Network) []netip.Addr { return l.gates[n.Name] }

func (l *lab) rule(r scenario.RouterRule) (vnet.Rule, error) {
	out := vnet.Rule{Allow: r.Action == "allow"}
	var err error
	if out.From, err = l.places(r.From); err != nil {
		return out, err
	}
	if out.To, err = l.places(r.To); err != nil {
		return out, err
	}
	for _, p := range r.Ports {
		out.Ports = append(out.Ports, vnet.PortRange{Proto: p.Proto, Lo: p.Lo, Hi: p.Hi})
	}
	return out, nil
}

// places are the prefixes that the words of a rule stand for; "any" is none.
func (l *lab) places(words []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, w := range words {
		switch w {
		case "any":
			return nil, nil
		case "internet":
			out = append(out, l.internet.Prefixes()...)
			continue
		}
		if p, err := netip.ParsePrefix(w); err == nil {
			out = append(out, p)
			continue
		}
		found := false
		for i := range l.sc.Networks {
			if n := &l.sc.Networks[i]; n.Name == w {
				out, found = append(out, prefixes(n)...), true
			}
		}
		for i := range l.sc.Hosts {
			h := &l.sc.Hosts[i]
			if h.Name != w && h.Group != w {
				continue
			}
			found = true
			for _, a := range addrs(h) {
				out = append(out, netip.PrefixFrom(a, a.BitLen()))
			}
		}
		if !found {
			return nil, fmt.Errorf("%q is no network, host or prefix", w)
		}
	}
	return out, nil
}

func addrs(h *scenario.Host) []netip.Addr {
	out := []netip.Addr{h.IP}
	if h.IP6.IsValid() {
		out = append(out, h.IP6)
	}
	return out
}

// seedOf is the seed of one part: it does not depend on the other parts.
func (l *lab) seedOf(parts ...string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s", l.seed, l.sc.Trainee, strings.Join(parts, "\x00")) //nolint:errcheck // a hash takes all
	return h.Sum64()
}

func (l *lab) buildHosts(context.Context) error {
	for i := range l.sc.Hosts {
		spec := &l.sc.Hosts[i]
		seg := l.segments[spec.Network]
		if seg == nil {
			return fmt.Errorf("host %s: there is no network %q", spec.Name, spec.Network)
		}
		p, err := service.FindPersona(spec.Persona)
		if err != nil {
			return fmt.Errorf("host %s: %w", spec.Name, err)
		}
		n, err := seg.AddHost(vnet.HostConfig{Name: spec.Name, Addrs: addrs(spec), Traits: traitsOf(p), Hidden: spec.Hidden})
		if err != nil {
			return err
		}
		m := &machine{spec: spec, net: n, watched: !spec.Has("red")}
		for _, a := range addrs(spec) {
			l.names[a] = spec.Name
		}
		if spec.Domain != "" && !spec.Hidden {
			l.net.DNS().Add(spec.Name+"."+spec.Domain, addrs(spec)...)
		}
		if m.host, err = service.NewHost(l.hostConfig(spec, m)); err != nil {
			return err
		}
		if p.Family != "device" {
			cfg := record.Config{Name: spec.Name, Domain: spec.Domain, Family: p.Family, Addr: spec.IP, Clock: l.clk, Seed: l.seedOf("records", spec.Name)}
			if spec.User != "" {
				cfg.Users = []string{spec.User}
			}
			if m.records, err = record.New(cfg); err != nil {
				return err
			}
		}
		l.hosts[spec.Name] = m
	}
	return nil
}

func (l *lab) hostConfig(spec *scenario.Host, m *machine) service.HostConfig {
	c := service.HostConfig{
		Name: spec.Name, Domain: spec.Domain, Persona: spec.Persona, Addr: netip.PrefixFrom(spec.IP, l.bits(spec)), Gateway: l.gateway(spec),
		Decoy: spec.Decoy, Seed: l.seedOf("host", spec.Name), Clock: l.clk, Sink: l.sink, Programs: l.progs, Override: l.accounts.override, Log: l.log,
	}
	if !m.watched {
		c.Sink = nobody{}
	}
	for _, cred := range l.sc.Credentials {
		if cred.Decoy {
			c.Tokens = append(c.Tokens, service.Token{Credential: service.Credential{User: cred.User, Password: cred.Password}, ID: cred.Token, Admit: l.admits(spec, cred.Name)})
		}
	}
	if slices.ContainsFunc(spec.Services, func(s scenario.Service) bool { return s.Type == "ldap" }) {
		c.People, c.Machines = l.directory()
	}
	for _, f := range spec.Files {
		c.Files = append(c.Files, service.File{Path: f.Path, Content: f.Content, Token: f.Honeytoken})
	}
	for _, mail := range spec.Mail {
		if c.Mail == nil {
			c.Mail = map[string][]service.Message{}
		}
		c.Mail[mail.User] = append(c.Mail[mail.User], service.Message{From: mail.From, Subject: mail.Subject, Body: mail.Body})
	}
	return c
}

// directory is who works in the scenario, and on which machines: the intruder's
// are not in it.
func (l *lab) directory() (people, machines []string) {
	for i := range l.sc.Hosts {
		h := &l.sc.Hosts[i]
		if h.Has("red") {
			continue
		}
		machines = append(machines, h.Name)
		if h.User != "" {
			people = append(people, h.User)
		}
	}
	for _, c := range l.sc.Credentials {
		people = append(people, c.User)
	}
	slices.Sort(people)
	return slices.Compact(people), machines
}

// admits tells whether a service of the host names the credential.
func (l *lab) admits(h *scenario.Host, cred string) bool {
	return slices.ContainsFunc(h.Services, func(s scenario.Service) bool { return slices.Contains(s.Accept, cred) })
}

func (l *lab) bits(h *scenario.Host) int {
	for i := range l.sc.Networks {
		if l.sc.Networks[i].Name == h.Network {
			return l.sc.Networks[i].CIDR.Bits()
		}
	}
	return h.IP.BitLen()
}

func (l *lab) gateway(h *scenario.Host) netip.Addr {
	for i := range l.sc.Networks {
		if n := &l.sc.Networks[i]; n.Name == h.Network && n.Gateway != "" {
			return l.gateways(n)[0]
		}
	}
	return netip.Addr{}
}
