package exercise

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Errors of a response, for people.
var (
	ErrNoHost    = errors.New("there is no such host")
	ErrNoAddress = errors.New("there is nothing of that name or address")
	ErrNoService = errors.New("there is no such service")
	ErrNoAccount = errors.New("there is no such account")
	ErrNoRouter  = errors.New("no router stands between the networks: isolate the host instead")
	ErrOwn       = errors.New("that is your own machine")
	ErrKind      = errors.New("there is no such response: isolate, block, stop, disable and password are known")
	ErrLift      = errors.New("a password that was changed stays changed")

	errDisabled = errors.New("the account is disabled")
)

// Order is what a person wants to be done, or with Lift undone.
type Order struct {
	Kind score.Kind
	// What is a host or its address (isolate), an address, host or name outside
	// (block), a service such as www01/tcp/80 (stop), a user (disable, password).
	What string
	Lift bool
}

// running is a service that can be stopped and started.
type running struct {
	begin func() (func(), error)
	end   func() // nil: it is stopped
}

func (r *running) start() (err error) {
	if r.end == nil {
		r.end, err = r.begin()
	}
	return err
}

func (r *running) stop() {
	if r.end != nil {
		r.end()
		r.end = nil
	}
}

// accounts are those that were changed since the exercise began.
type accounts struct {
	mu  sync.Mutex
	now map[string]account
}

type account struct {
	disabled bool
	password string
}

// override gives the one password that lets a user in, "" for none, where the
// account was changed.
func (a *accounts) override(user string) (password string, changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.now[strings.ToLower(user)]
	if c.disabled {
		return "", true
	}
	return c.password, ok && c.password != ""
}

func (a *accounts) set(user string, f func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		a.now = map[string]account{}
	}
	c := a.now[strings.ToLower(user)]
	f(&c)
	a.now[strings.ToLower(user)] = c
}

func (a *accounts) get(user string) account {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now[strings.ToLower(user)]
}

// Respond does what a person orders, and gives what was done: what stood already
// is not done again. The note is what he must know to go on, such as a new password.
func (l *Live) Respond(o Order) (done score.Response, note string, err error) {
	if done.Target, err = l.understand(o); err != nil {
		return done, "", err
	}
	l.doing.Lock()
	defer l.doing.Unlock()
	if o.Lift && o.Kind == score.Change {
		return done, "", ErrLift
	}
	if l.stands(&done.Target) == !o.Lift && o.Kind != score.Change {
		return done, "", nil
	}
	now := time.Now()
	if o.Lift {
		for i := range l.responses {
			if r := &l.responses[i]; r.Lifted.IsZero() && r.Kind == done.Kind && r.What() == done.What() {
				r.Lifted = now
			}
		}
	} else {
		done.At, done.By = now, l.x.sc.Trainee
		l.responses = append(l.responses, done)
	}
	if o.Kind == score.Change {
		note = strings.ToLower(rand.Text()[:12])
		l.lab.accounts.set(done.User, func(c *account) { c.password = note })
		l.passwords[strings.ToLower(done.User)] = note
		return done, note, nil
	}
	return done, "", l.apply(&done.Target, !o.Lift)
}

// understand finds what an order is about.
func (l *Live) understand(o Order) (score.Target, error) {
	r := score.Target{Kind: o.Kind}
	switch o.Kind {
	case score.Isolate:
		m, err := l.machine(o.What)
		if err != nil {
			return r, err
		}
		r.Host = m.spec.Name
	case score.Block:
		return l.blockOf(o.What)
	case score.Stop:
		var ref scenario.ServiceRef
		if err := ref.UnmarshalText([]byte(o.What)); err != nil {
			return r, fmt.Errorf("%w: %q: name it as HOST/tcp/PORT, such as www01/tcp/80", ErrNoService, o.What)
		}
		m, err := l.machine(ref.Host)
		if err != nil {
			return r, err
		}
		if l.lab.services[serviceKey(m.spec.Name, ref.Port)] == nil {
			return r, fmt.Errorf("%w: nothing of the exercise answers at %s/%d of %s", ErrNoService, ref.Port.Proto, ref.Port.Number, m.spec.Name)
		}
		r.Host, r.Port, r.Proto = m.spec.Name, ref.Port.Number, ref.Port.Proto
	case score.Disable, score.Change:
		user, ok := l.user(o.What)
		if !ok {
			return r, fmt.Errorf("%w: %q: name a user", ErrNoAccount, o.What)
		}
		r.User = user
	default:
		return r, fmt.Errorf("%w, not %q", ErrKind, o.Kind)
	}
	return r, nil
}

// machine finds a host, by its name or address, that is not a trainee's.
func (l *Live) machine(what string) (*machine, error) {
	m := l.lab.hosts[strings.ToLower(what)]
	if m == nil {
		m = l.lab.hosts[l.lab.nameOf(what)]
	}
	switch {
	case m == nil:
		return nil, fmt.Errorf("%w: %q: name a host or its address", ErrNoHost, what)
	case len(m.spec.Access) > 0:
		return nil, fmt.Errorf("%s: %w", m.spec.Name, ErrOwn)
	}
	return m, nil
}

// blockOf is what blocks an address, a host or a name outside.
func (l *Live) blockOf(what string) (score.Target, error) {
	r := score.Target{Kind: score.Block}
	if len(l.lab.routers) == 0 {
		return r, ErrNoRouter
	}
	if a, err := netip.ParseAddr(what); err == nil {
		a = a.Unmap()
		r.Addrs = []netip.Addr{a}
		if r.Host = l.lab.names[a]; r.Host == "" && !l.inside(a) {
			return r, fmt.Errorf("%w: %s is in no network of the exercise", ErrNoAddress, a)
		}
	} else if at, ok := l.lab.outside[strings.ToLower(what)]; ok {
		r.Host, r.Addrs = strings.ToLower(what), []netip.Addr{at}
	}
	if m := l.lab.hosts[cmp.Or(r.Host, strings.ToLower(what))]; m != nil {
		r.Host, r.Addrs = m.spec.Name, addrs(m.spec)
	}
	switch {
	case len(r.Addrs) == 0:
		return r, fmt.Errorf("%w: %q: name an address, a host or a name outside", ErrNoAddress, what)
	case slices.ContainsFunc(r.Addrs, func(a netip.Addr) bool { return slices.Contains(l.own, a) }):
		return r, fmt.Errorf("%s: %w", what, ErrOwn)
	}
	return r, nil
}

func (l *Live) inside(a netip.Addr) bool {
	return slices.ContainsFunc(l.place.Networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// user is an account of the scenario, as it writes it.
func (l *Live) user(name string) (string, bool) {
	for _, c := range l.x.sc.Credentials {
		if strings.EqualFold(c.User, name) {
			return c.User, true
		}
	}
	for i := range l.x.sc.Hosts {
		if u := l.x.sc.Hosts[i].User; u != "" && strings.EqualFold(u, name) {
			return u, true
		}
	}
	return "", false
}

// stands tells whether a response is in force. l.doing is held.
func (l *Live) stands(r *score.Target) bool {
	switch r.Kind {
	case score.Block:
		return !slices.ContainsFunc(r.Addrs, func(a netip.Addr) bool { return !slices.Contains(l.barred, a) })
	case score.Stop:
		s := l.lab.services[serviceKey(r.Host, scenario.Port{Proto: r.Proto, Number: r.Port})]
		return s != nil && s.end == nil
	case score.Disable:
		return l.lab.accounts.get(r.User).disabled
	case score.Change:
		return l.lab.accounts.get(r.User).password != ""
	}
	m := l.lab.hosts[r.Host]
	return m != nil && m.net.Isolated()
}

// apply brings a response about, or takes it back. l.doing is held.
func (l *Live) apply(r *score.Target, on bool) error {
	switch r.Kind {
	case score.Block:
		l.barred = slices.DeleteFunc(l.barred, func(a netip.Addr) bool { return slices.Contains(r.Addrs, a) })
		if on {
			l.barred = append(l.barred, r.Addrs...)
		}
		all := make([]netip.Prefix, 0, len(l.barred))
		for _, a := range l.barred {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		}
		for _, router := range l.lab.routers {
			router.Bar(all)
		}
	case score.Stop:
		s := l.lab.services[serviceKey(r.Host, scenario.Port{Proto: r.Proto, Number: r.Port})]
		if s == nil {
			return ErrNoService
		}
		if !on {
			return s.start()
		}
		s.stop()
	case score.Disable:
		l.lab.accounts.set(r.User, func(c *account) { c.disabled = on })
	case score.Change:
		l.lab.accounts.set(r.User, func(c *account) { c.password = l.passwords[strings.ToLower(r.User)] })
	default:
		m := l.lab.hosts[r.Host]
		if m == nil {
			return ErrNoHost
		}
		l.lab.net.Isolate(m.net, on)
	}
	return nil
}

// redo brings back what stood before a restart.
func (l *Live) redo(from Snapshot) error {
	l.doing.Lock()
	defer l.doing.Unlock()
	l.responses, l.passwords = slices.Clone(from.Responses), map[string]string{}
	maps.Copy(l.passwords, from.Passwords)
	for i := range l.responses {
		if r := &l.responses[i]; r.Lifted.IsZero() {
			if err := l.apply(&r.Target, true); err != nil && !errors.Is(err, ErrNoService) && !errors.Is(err, ErrNoHost) {
				return err // what a changed scenario no longer has needs no answer
			}
		}
	}
	return nil
}

// Holds tells whether a state of the scenario has come to be.
func (l *Live) Holds(s *scenario.State) bool {
	if s.Read != "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.read[l.fileToken(s.Host, s.Read)]
	}
	l.doing.Lock()
	defer l.doing.Unlock()
	if s.Isolated != nil {
		m := l.lab.hosts[s.Host]
		return m != nil && m.net.Isolated() == *s.Isolated
	}
	want, ok := l.wanted(s)
	return ok && l.stands(&want)
}

// wanted is what brings a state about.
func (l *Live) wanted(s *scenario.State) (score.Target, bool) {
	var r score.Target
	var err error
	switch {
	case s.Isolated != nil && *s.Isolated:
		r = score.Target{Kind: score.Isolate, Host: s.Host}
	case s.Blocked != "":
		r, err = l.blockOf(s.Blocked)
	case s.Stopped != nil:
		r = score.Target{Kind: score.Stop, Host: s.Stopped.Host, Port: s.Stopped.Port.Number, Proto: s.Stopped.Port.Proto}
	case s.Disabled != "":
		r = score.Target{Kind: score.Disable, User: s.Disabled}
	case s.Changed != "":
		r = score.Target{Kind: score.Change, User: s.Changed}
	default:
		return r, false
	}
	return r, err == nil
}

// fileToken is the honeytoken that a file of a host is.
func (l *Live) fileToken(host, path string) string {
	if m := l.lab.hosts[host]; m != nil {
		for _, f := range m.spec.Files {
			if f.Path == path {
				return f.Honeytoken
			}
		}
	}
	return ""
}

// Responses are what was done, oldest first, and the passwords that stand for
// those that were changed, by user.
func (l *Live) Responses() ([]score.Response, map[string]string) {
	l.doing.Lock()
	defer l.doing.Unlock()
	return slices.Clone(l.responses), maps.Clone(l.passwords)
}

// goals are what the levels want to be done.
func (l *Live) goals() []score.Goal {
	var out []score.Goal
	for i := range l.x.sc.Training.Levels {
		v := &l.x.sc.Training.Levels[i]
		if v.Answer == nil || v.Answer.State == nil {
			continue
		}
		if r, ok := l.wanted(v.Answer.State); ok {
			out = append(out, score.Goal{ID: v.ID, Target: r, Points: float64(v.Points)})
		}
	}
	return out
}

// Explained are the steps that each alert so far is about, by the alert's number.
func (l *Live) Explained() map[string][]string {
	p := l.x.told(l.lab, l.t, time.Now())
	l.add(p)
	p.Seen.Alerts = l.Alerts()
	out := map[string][]string{}
	for _, a := range score.Evaluate(p.Truth, p.Seen, p.Rules).Alerts {
		out[a.ID] = a.Steps
	}
	return out
}
