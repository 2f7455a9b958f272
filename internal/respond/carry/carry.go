// Package carry brings decisions to the backends: each has a worker of its own, so
// that one that hangs or is full holds nobody up, and is set right again when it
// answers.
package carry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Config is what New takes.
type Config struct {
	Backends []action.Backend // those that do not handle blocks are left alone
	Clock    clock.Clock
	Log      *slog.Logger
	// Standing gives what should be in force; it is asked when a backend begins, and
	// when it answers again.
	Standing func() []action.Action
	// Turned is told of an action that a backend will never carry out.
	Turned func(a action.Action, by, why string)
	// Tell is told when a backend cannot act, and when it can again.
	Tell    func(respond.Notice)
	Timeout time.Duration // of one call, 0: 10 s
}

const (
	chunk       = 500                    // actions of one call
	firstRetry  = 200 * time.Millisecond // after a failure
	lastRetry   = 10 * time.Second
	healthEvery = 5 * time.Second
	slack       = 5 * time.Second // ends that differ by less are the same
)

// Carrier is respond.Hands for several backends. Its methods return at once.
type Carrier struct {
	cfg     Config
	workers []*worker
}

var _ respond.Hands = (*Carrier)(nil)

// New makes a Carrier; Run sets it to work.
func New(cfg Config) *Carrier {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Carrier{cfg: cfg}
	for _, b := range cfg.Backends {
		if b.Handles(action.Block) {
			w := &worker{cfg: &c.cfg, backend: b, wake: make(chan struct{}, 1), pending: map[netip.Prefix]order{}, settle: true}
			w.poke()
			c.workers = append(c.workers, w)
		}
	}
	return c
}

// Run works until ctx ends.
func (c *Carrier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, w := range c.workers {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
}

// Apply brings actions about.
func (c *Carrier) Apply(as []action.Action) {
	for _, w := range c.workers {
		w.add(as, false)
	}
}

// Revert takes actions back.
func (c *Carrier) Revert(as []action.Action) {
	for _, w := range c.workers {
		w.add(as, true)
	}
}

// Allow hands the allow list to the backends that hold one.
func (c *Carrier) Allow(l action.AllowList) {
	for _, w := range c.workers {
		w.guard(l)
	}
}

// State is how a backend stands.
type State struct {
	Name    string `json:"name"`
	Trouble string `json:"trouble,omitempty"`
	Pending int    `json:"pending"`
	Applied uint64 `json:"applied"`
	Failed  uint64 `json:"failed"`
}

// States is how the backends stand.
func (c *Carrier) States() []State {
	out := make([]State, 0, len(c.workers))
	for _, w := range c.workers {
		w.mu.Lock()
		out = append(out, State{Name: w.backend.Name(), Trouble: w.trouble, Pending: len(w.pending), Applied: w.applied, Failed: w.failed})
		w.mu.Unlock()
	}
	return out
}

// order is the last thing that was said about a prefix; what stands and waits is
// bounded, so this is.
type order struct {
	action action.Action
	revert bool
}

type worker struct {
	cfg     *Config
	backend action.Backend
	wake    chan struct{}

	mu      sync.Mutex
	pending map[netip.Prefix]order
	allow   action.AllowList
	fresh   bool // allow is to be handed over
	settle  bool // everything is to be compared
	trouble string
	applied uint64
	failed  uint64
}

func (w *worker) add(as []action.Action, revert bool) {
	w.mu.Lock()
	for _, a := range as {
		if a.Kind == action.Block {
			w.pending[a.Prefix] = order{a, revert}
		}
	}
	w.mu.Unlock()
	w.poke()
}

func (w *worker) guard(l action.AllowList) {
	w.mu.Lock()
	w.allow, w.fresh = slices.Clone(l), true
	w.mu.Unlock()
	w.poke()
}

func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run carries out what is ordered, at once; after a failure it tries again, first
// soon, then less often, and compares everything.
func (w *worker) run(ctx context.Context) {
	wait := time.Duration(0)
	for ctx.Err() == nil {
		if wait == 0 {
			w.idle(ctx)
		} else {
			w.cfg.Clock.Sleep(ctx, wait) //nolint:errcheck // the loop looks at ctx
		}
		if ctx.Err() != nil {
			return
		}
		if err := w.work(ctx); err != nil && ctx.Err() == nil {
			w.hurt(err)
			wait = min(max(2*wait, firstRetry), lastRetry)
			continue
		}
		w.hurt(nil)
		wait = 0
	}
}

// idle waits for an order, or for the time to ask after the backend's health.
func (w *worker) idle(ctx context.Context) {
	ask := make(chan struct{})
	stop := w.cfg.Clock.AfterFunc(healthEvery, func() { close(ask) })
	defer stop()
	select {
	case <-w.wake:
	case <-ask:
	case <-ctx.Done():
	}
}

// work does everything that is ordered now.
func (w *worker) work(ctx context.Context) error {
	w.mu.Lock()
	settle, fresh, allow, orders := w.settle, w.fresh, w.allow, w.pending
	if len(orders) > 0 {
		w.pending = map[netip.Prefix]order{}
	}
	w.settle, w.fresh = false, false
	w.mu.Unlock()
	if fresh {
		if g, ok := w.backend.(action.Guard); ok {
			if err := w.call(ctx, func(ctx context.Context) error { return g.Allow(ctx, allow) }); err != nil {
				w.again(orders, true)
				return fmt.Errorf("hand over the allow list: %w", err)
			}
		}
	}
	if settle {
		if err := w.reconcile(ctx); err != nil {
			w.again(orders, fresh)
			return err
		}
	}
	if len(orders) == 0 && !settle && !fresh {
		return w.call(ctx, w.backend.Health)
	}
	var apply, revert []action.Action
	for _, o := range orders {
		if o.revert {
			revert = append(revert, o.action)
		} else {
			apply = append(apply, o.action)
		}
	}
	return errors.Join(w.do(ctx, revert, w.backend.Revert), w.do(ctx, apply, w.backend.Apply))
}

// again puts orders back that newer ones did not replace, and compares
// everything next time.
func (w *worker) again(orders map[netip.Prefix]order, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle, w.fresh = true, w.fresh || fresh
	for p, o := range orders {
		if _, newer := w.pending[p]; !newer {
			w.pending[p] = o
		}
	}
}

func (w *worker) call(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	return fn(ctx)
}

// do carries actions out in chunks. What a backend refuses for good is told; after
// any other failure everything is compared before the next try.
func (w *worker) do(ctx context.Context, as []action.Action, fn func(context.Context, []action.Action) error) error {
	var worst error
	for part := range slices.Chunk(as, chunk) {
		err := w.call(ctx, func(ctx context.Context) error { return fn(ctx, part) })
		failed := uint64(0)
		for _, e := range each(err) {
			var one *action.Error
			if errors.As(e, &one) && (errors.Is(e, action.ErrAllowed) || errors.Is(e, action.ErrUnsupported)) {
				failed++
				if w.cfg.Turned != nil {
					w.cfg.Turned(one.Action, w.backend.Name(), one.Err.Error())
				}
				continue
			}
			failed++
			worst = e
		}
		w.mu.Lock()
		w.failed += failed
		w.applied += uint64(len(part)) - min(failed, uint64(len(part)))
		w.settle = w.settle || worst != nil
		w.mu.Unlock()
	}
	return worst
}

// each takes a join of errors apart.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*action.Error); ok { //nolint:errorlint // only the outermost is meant
		return []error{err}
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, each(e)...)
		}
		return out
	}
	return []error{err}
}

// reconcile makes the backend hold what is decided and nothing else.
func (w *worker) reconcile(ctx context.Context) error {
	var have []action.Standing
	err := w.call(ctx, func(ctx context.Context) (err error) {
		have, err = w.backend.List(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("list what stands: %w", err)
	}
	want := w.cfg.Standing()
	missing := make(map[netip.Prefix]action.Action, len(want))
	for _, a := range want {
		missing[a.Prefix] = a
	}
	var revert []action.Action
	for _, s := range have {
		if s.Action.Kind != action.Block {
			continue
		}
		a, ok := missing[s.Action.Prefix]
		switch {
		case !ok:
			revert = append(revert, s.Action)
		case s.Expires.Sub(a.Until).Abs() <= slack:
			delete(missing, s.Action.Prefix)
		}
	}
	apply := make([]action.Action, 0, len(missing))
	for _, a := range missing {
		apply = append(apply, a)
	}
	if len(apply)+len(revert) > 0 {
		w.cfg.Log.Info("what a back end holds is set right", "backend", w.backend.Name(), "holds", len(have), "added", len(apply), "removed", len(revert))
	}
	return errors.Join(w.do(ctx, revert, w.backend.Revert), w.do(ctx, apply, w.backend.Apply))
}

// hurt tells a failure, and its end, once.
func (w *worker) hurt(err error) {
	text := ""
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	w.mu.Lock()
	before := w.trouble
	w.trouble = text
	w.settle = w.settle || text != "" // nobody knows what it holds then
	w.mu.Unlock()
	kind, say := "", ""
	switch {
	case text != "" && before == "":
		kind, say = "degraded", fmt.Sprintf("blocks are not carried out by %s: %s; others go on", w.backend.Name(), text)
		if errors.Is(err, action.ErrFull) {
			kind, say = "full", w.backend.Name()+" holds as many blocks as it may: new ones are decided and not carried out there"
		}
	case text == "" && before != "":
		kind, say = "recovered", "blocks are carried out by "+w.backend.Name()+" again"
	}
	if kind != "" && w.cfg.Tell != nil {
		w.cfg.Tell(respond.Notice{Kind: kind, Text: say, At: w.cfg.Clock.Now()})
	}
}
