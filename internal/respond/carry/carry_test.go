package carry_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/carry"
)

// fake is a backend with faults to order.
type fake struct {
	mu    sync.Mutex
	name  string
	held  map[netip.Prefix]action.Action
	allow action.AllowList
	max   int
	dead  error
	hang  bool
	calls int
}

func newFake(name string) *fake {
	return &fake{name: name, held: map[netip.Prefix]action.Action{}, max: 1 << 20}
}

var (
	_ action.Backend = (*fake)(nil)
	_ action.Guard   = (*fake)(nil)
)

func (f *fake) Name() string               { return f.name }
func (f *fake) Handles(k action.Kind) bool { return k == action.Block }

func (f *fake) Plan(context.Context, action.Action) (action.Plan, error) { return action.Plan{}, nil }

func (f *fake) enter(ctx context.Context) error {
	f.mu.Lock()
	hang, dead := f.hang, f.dead
	f.calls++
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return dead
}

func (f *fake) Apply(ctx context.Context, as []action.Action) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, a := range as {
		_, hit := f.allow.Hit(a.Prefix)
		switch {
		case hit:
			errs = append(errs, &action.Error{Action: a, Err: action.ErrAllowed})
		case len(f.held) >= f.max:
			errs = append(errs, &action.Error{Action: a, Err: action.ErrFull})
		default:
			f.held[a.Prefix] = a
		}
	}
	return errors.Join(errs...)
}

func (f *fake) Revert(ctx context.Context, as []action.Action) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range as {
		delete(f.held, a.Prefix)
	}
	return nil
}

func (f *fake) List(ctx context.Context) ([]action.Standing, error) {
	if err := f.enter(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []action.Standing
	for p, a := range f.held {
		out = append(out, action.Standing{Action: action.Action{Kind: action.Block, Prefix: p}, Expires: a.Until})
	}
	return out, nil
}

func (f *fake) Health(ctx context.Context) error { return f.enter(ctx) }

func (f *fake) Allow(ctx context.Context, l action.AllowList) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.allow = l
	return nil
}

func (f *fake) set(fn func()) { f.mu.Lock(); defer f.mu.Unlock(); fn() }

func (f *fake) holds() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for p := range f.held {
		out = append(out, p.Addr().String())
	}
	slices.Sort(out)
	return out
}

var until = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func block(s string) action.Action {
	return action.Action{ID: s, Kind: action.Block, Prefix: netip.PrefixFrom(netip.MustParseAddr(s), 32), Until: until}
}

type bench struct {
	*carry.Carrier
	t      *testing.T
	mu     sync.Mutex
	stands []action.Action
	said   []string
	turned []string
}

func newBench(t *testing.T, fs ...*fake) *bench {
	t.Helper()
	b := &bench{t: t}
	cfg := carry.Config{
		Clock: clock.System(), Timeout: 100 * time.Millisecond,
		Standing: func() []action.Action { b.mu.Lock(); defer b.mu.Unlock(); return slices.Clone(b.stands) },
		Turned: func(a action.Action, by, why string) {
			b.set(func() { b.turned = append(b.turned, a.ID+" "+by+" "+why) })
		},
		Tell: func(n respond.Notice) { b.set(func() { b.said = append(b.said, n.Kind) }) },
	}
	for _, f := range fs {
		cfg.Backends = append(cfg.Backends, f)
	}
	b.Carrier = carry.New(cfg)
	return b
}

func (b *bench) set(fn func()) { b.mu.Lock(); defer b.mu.Unlock(); fn() }

func (b *bench) start() {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); <-done })
}

// decide makes blocks stand and hands them on.
func (b *bench) decide(ss ...string) {
	var as []action.Action
	for _, s := range ss {
		as = append(as, block(s))
	}
	b.set(func() { b.stands = append(b.stands, as...) })
	b.Apply(as)
}

func (b *bench) await(what string, fn func() bool) {
	b.t.Helper()
	for end := time.Now().Add(60 * time.Second); !fn(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; %+v", what, b.States())
		}
	}
}

func (b *bench) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

func TestStartIsSetRightBothWays(t *testing.T) {
	f := newFake("a")
	for _, s := range []string{"203.0.113.1", "203.0.113.2"} {
		f.held[block(s).Prefix] = block(s)
	}
	old := block("203.0.113.3")
	old.Until = until.Add(-time.Hour)
	f.held[old.Prefix] = old
	b := newBench(t, f)
	b.stands = []action.Action{block("203.0.113.2"), block("203.0.113.3"), block("203.0.113.4")}
	b.start()
	b.await("the three", func() bool {
		return slices.Equal(f.holds(), []string{"203.0.113.2", "203.0.113.3", "203.0.113.4"})
	})
	f.set(func() {
		if got := f.held[old.Prefix].Until; !got.Equal(until) {
			t.Errorf("a block that ends too early was not renewed: %s", got)
		}
	})
}

func TestDeadBackendHoldsNobodyUp(t *testing.T) {
	dead, hanging, well := newFake("dead"), newFake("hanging"), newFake("well")
	dead.dead, hanging.hang = action.ErrDegraded, true
	b := newBench(t, dead, hanging, well)
	b.start()
	b.decide("203.0.113.1")
	b.await("the one that is well", func() bool { return len(well.holds()) == 1 })
	b.await("two complaints", func() bool { return len(b.heard()) == 2 })
	b.decide("203.0.113.2")
	b.set(func() { b.stands = b.stands[1:] })
	b.Revert([]action.Action{block("203.0.113.1")})
	b.await("the one that is well goes on", func() bool { return slices.Equal(well.holds(), []string{"203.0.113.2"}) })
	dead.set(func() { dead.dead = nil })
	hanging.set(func() { hanging.hang = false })
	for _, f := range []*fake{dead, hanging} {
		b.await(f.name+" catches up", func() bool { return slices.Equal(f.holds(), []string{"203.0.113.2"}) })
	}
	b.await("both are told to be well", func() bool {
		h := b.heard()
		return len(h) == 4 && h[2] == "recovered" && h[3] == "recovered"
	})
}

func TestFullSet(t *testing.T) {
	f := newFake("a")
	f.max = 2
	b := newBench(t, f)
	b.start()
	b.decide("203.0.113.1", "203.0.113.2", "203.0.113.3")
	b.await("it is full", func() bool { return slices.Equal(b.heard(), []string{"full"}) })
	if n := len(f.holds()); n != 2 {
		t.Errorf("%d are held", n)
	}
	f.set(func() { f.max = 10 })
	b.await("the third", func() bool { return len(f.holds()) == 3 })
}

func TestAllowListOfTheBackend(t *testing.T) {
	f := newFake("a")
	b := newBench(t, f)
	b.Allow(action.AllowList{{Prefix: netip.MustParsePrefix("203.0.113.1/32"), Why: "x"}})
	b.start()
	b.decide("203.0.113.1", "203.0.113.2")
	b.await("the other", func() bool { return slices.Equal(f.holds(), []string{"203.0.113.2"}) })
	b.await("who decides is told", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.turned) > 0 && b.turned[0] == "203.0.113.1 a the address is on the allow list"
	})
	if h := b.heard(); len(h) > 0 {
		t.Errorf("that is no trouble of the backend: %v", h)
	}
}

func TestManyAtOnceAreFewCalls(t *testing.T) {
	f := newFake("a")
	b := newBench(t, f)
	var all []string
	for i := range 3000 {
		all = append(all, fmt.Sprintf("11.0.%d.%d", i>>8, i&255))
	}
	b.decide(all...)
	b.start()
	b.await("all", func() bool { return len(f.holds()) == 3000 })
	b.await("nothing is left to do", func() bool { return b.States()[0].Pending == 0 })
	f.set(func() {
		if f.calls > 60 {
			t.Errorf("%d calls", f.calls)
		}
	})
}
