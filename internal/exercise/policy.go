package exercise

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// maxDecisions bounds what a report lists of decisions.
const maxDecisions = 1000

// answers has the product's own decision engine answer the alerts of an exercise.
// It decides as in life, by the same policy; what carries its blocks out are the
// routers of the exercise, and nothing else: it knows no other hands.
type answers struct {
	lab    *lab
	engine *respond.Engine
	id     string

	mu       sync.Mutex
	standing map[netip.Prefix]block
	done     []score.Response
}

// block is one that the routers hold.
type block struct {
	until time.Time
	at    int // in answers.done
}

var _ respond.Hands = (*answers)(nil)

func newAnswers(l *lab, p respond.Policy, id string) (*answers, error) {
	a := &answers{lab: l, id: id, standing: map[netip.Prefix]block{}}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], l.seedOf("decisions"))
	ids := event.NewIDs(rand.NewChaCha8(key), l.clk.Now)
	e, err := respond.New(respond.Config{
		Clock: l.clk, Store: &respond.Memory{}, Hands: a, Policy: p, Exercise: id, Allow: l.livesBy(), NewID: ids.New,
	})
	a.engine = e
	return a, err
}

// livesBy is what a machine of the exercise cannot do without, and trainees' own.
func (l *lab) livesBy() action.AllowList {
	var out action.AllowList
	add := func(a netip.Addr, why string) {
		out = append(out, action.Allowed{Prefix: netip.PrefixFrom(a, a.BitLen()), Why: why})
	}
	for i := range l.sc.Networks {
		for _, g := range l.gateways(&l.sc.Networks[i]) {
			add(g, "gateway of "+l.sc.Networks[i].Name)
		}
	}
	for i := range l.sc.Hosts {
		h := &l.sc.Hosts[i]
		var why string
		switch {
		case len(h.Access) > 0:
			why = "a trainee's machine"
		case slices.ContainsFunc(h.Services, func(s scenario.Service) bool { return s.Type == "dns" }):
			why = "a server of names"
		default:
			continue
		}
		for _, a := range addrs(h) {
			add(a, why)
		}
	}
	return out
}

// consider decides about an alert.
func (a *answers) consider(d *detection, newest *score.Ref) {
	var events []string // a correlation may name none
	if newest.ID != "" {
		events = []string{newest.ID}
	}
	a.engine.Consider(alert.Alert{
		ID: d.ID, Rule: d.Rule, Source: newest.Flow.Src.Addr(), Host: newest.Host, User: newest.User, Title: d.Title, Events: events,
		Count: d.Count, First: d.First, Last: d.Last, Exercise: a.id, Spoofable: newest.Spoofable,
	}, time.Time{})
}

// login tells the engine who logs in to something real.
func (a *answers) login(e *event.Event) {
	m := a.lab.hosts[strings.ToLower(cmp.Or(e.Host, text(e, "host.name")))]
	if e.Category == "authentication" && e.Outcome == "success" && e.Source.Addr().IsValid() && m != nil && !m.spec.Decoy {
		a.engine.Login(e.Source.Addr(), e.User, e.Time)
	}
}

// tick ends what is over.
func (a *answers) tick(now time.Time) {
	a.engine.Tick()
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.standing)
	for p, b := range a.standing {
		if !b.until.After(now) {
			a.done[b.at].Lifted = b.until
			delete(a.standing, p)
		}
	}
	if len(a.standing) != n {
		a.bar()
	}
}

// Apply has the routers carry nothing from and to the prefixes.
func (a *answers) Apply(actions []action.Action) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range actions {
		if b, ok := a.standing[x.Prefix]; ok {
			b.until = x.Until
			a.standing[x.Prefix] = b
			continue
		}
		r := score.Response{Target: score.Target{Kind: score.Block, Addrs: []netip.Addr{x.Prefix.Addr()}}, At: a.lab.clk.Now(), By: respond.ActorPolicy}
		if !x.Prefix.IsSingleIP() {
			r.Addrs = a.lab.knownIn(x.Prefix)
		}
		for _, addr := range r.Addrs {
			if name := a.lab.names[addr]; name != "" {
				r.Host = name
			}
		}
		a.standing[x.Prefix] = block{x.Until, len(a.done)}
		a.done = append(a.done, r)
	}
	a.bar()
}

// Revert takes blocks back.
func (a *answers) Revert(actions []action.Action) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range actions {
		if b, ok := a.standing[x.Prefix]; ok {
			a.done[b.at].Lifted = a.lab.clk.Now()
			delete(a.standing, x.Prefix)
		}
	}
	a.bar()
}

// Allow has nothing to do: the engine holds the list.
func (a *answers) Allow(action.AllowList) {}

// bar tells the routers what stands. a.mu is held.
func (a *answers) bar() {
	all := make([]netip.Prefix, 0, len(a.standing))
	for p := range a.standing {
		all = append(all, p)
	}
	for _, r := range a.lab.routers {
		r.Bar(all)
	}
}

// knownIn are the addresses of a prefix that somebody of the exercise has.
func (l *lab) knownIn(p netip.Prefix) []netip.Addr {
	out := []netip.Addr{p.Addr()}
	for a := range l.names {
		if p.Contains(a) {
			out = append(out, a)
		}
	}
	for _, a := range l.outside {
		if p.Contains(a) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// told is what was decided, and what came of it.
func (a *answers) told() (*score.Policy, []score.Response) {
	n := a.engine.Stats()
	p := &score.Policy{Mode: n.Policy.Default.String(), Blocked: int(n.Counts.Blocked), Proposed: int(n.Counts.Proposed), Observed: int(n.Counts.Observed), NotBlocked: int(n.Counts.NotBlocked)}
	if len(n.Policy.Rules) > 0 { // the first one is what was asked for
		p.Mode, p.From = n.Policy.Rules[0].Mode.String(), n.Policy.Rules[0].Level.String()
	}
	for _, d := range a.engine.List(respond.Query{Ended: true}) {
		if len(p.Decisions) == maxDecisions {
			break
		}
		p.Decisions = append(p.Decisions, score.Decision{
			ID: d.ID, At: d.Made, Mode: d.Mode.String(), Prefix: d.Prefix, Host: a.lab.names[d.Prefix.Addr()],
			Rule: d.RuleName, Level: d.Level, Seconds: int64(d.TTL / time.Second), Risk: d.Risk,
		})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return p, slices.Clone(a.done)
}
