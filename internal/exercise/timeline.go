package exercise

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// doer does one action from one host and says what it touched. What it cannot do
// is an error: the step has failed.
type doer interface {
	do(ctx context.Context, a *activity) error
}

// activity is one action under way. The doer writes down what it touched.
type activity struct {
	id     string // of the step, or of the background activity
	label  string // ground truth for packets; "" for what is not the adversary's
	from   string // host
	action string
	target scenario.Target
	args   scenario.Args
	rand   *rand.Rand

	mu     sync.Mutex
	flows  []score.Flow
	traces []score.Trace
}

func (a *activity) flow(f score.Flow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.flows) < maxFlows {
		a.flows = append(a.flows, f)
	}
}

func (a *activity) trace(t score.Trace) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.traces) < maxTraces {
		a.traces = append(a.traces, t)
	}
}

const (
	maxFlows  = 20_000 // of one act
	maxTraces = 5_000
)

// timeline plays the steps and the background of a scenario by a clock.
type timeline struct {
	sc    *scenario.Scenario
	clk   clock.Clock
	start time.Time
	since func() time.Duration // the exercise's own time
	doer  doer
	tell  func(Progress)
	over  map[string]score.Step // steps that were played before a restart

	mu      sync.Mutex
	stopped string // why no further step begins
	cause   string // id of the step that stopped the others
	steps   []score.Step
	acts    map[string]*score.Activity
}

// Progress is what a person who watches is told.
type Progress struct {
	At    time.Time
	Step  string
	Name  string
	Began bool
	Note  string // of an end that failed
}

func newTimeline(sc *scenario.Scenario, clk clock.Clock, d doer, tell func(Progress)) *timeline {
	if tell == nil {
		tell = func(Progress) {}
	}
	t := &timeline{sc: sc, clk: clk, start: clk.Now(), doer: d, tell: tell, steps: make([]score.Step, len(sc.Adversary.Steps)), acts: map[string]*score.Activity{}}
	t.since = func() time.Duration { return clk.Now().Sub(t.start) }
	for i := range t.steps {
		t.steps[i] = t.describe(&sc.Adversary.Steps[i])
		t.steps[i].Outcome, t.steps[i].Note = score.NotRun, errOver.Error()
	}
	return t
}

// play runs until the scenario's duration is over or ctx ends.
func (t *timeline) play(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var actors sync.WaitGroup
	for i := range t.sc.Background {
		b := &t.sc.Background[i]
		for _, from := range t.hosts(b.From) {
			actors.Go(func() { t.background(ctx, b, from) })
		}
	}
	ended := make(map[string]chan struct{}, len(t.steps))
	for i := range t.sc.Adversary.Steps {
		ended[t.sc.Adversary.Steps[i].ID] = make(chan struct{})
	}
	for i := range t.sc.Adversary.Steps {
		actors.Go(func() {
			defer close(ended[t.sc.Adversary.Steps[i].ID])
			s := t.step(ctx, i, ended)
			t.mu.Lock()
			t.steps[i] = s
			t.mu.Unlock()
		})
	}
	t.clk.Sleep(ctx, t.sc.Duration-t.since()) //nolint:errcheck // an end is an end
	cancel()
	actors.Wait()
}

// hosts are those that names of hosts and groups stand for.
func (t *timeline) hosts(names scenario.Texts) []string {
	var out []string
	for i := range t.sc.Hosts {
		h := &t.sc.Hosts[i]
		if slices.Contains(names, h.Name) || slices.Contains(names, h.Group) {
			out = append(out, h.Name)
		}
	}
	return out
}

// rng is a random source that no other actor draws from: what one draws does not
// depend on when another is served.
func (t *timeline) rng(parts ...string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(append(parts, t.sc.Trainee), "\x00")))
	return rand.New(rand.NewPCG(t.sc.Seed, h.Sum64()))
}

func (t *timeline) background(ctx context.Context, b *scenario.Background, from string) {
	r := t.rng("background", b.ID, from)
	if t.clk.Sleep(ctx, max(0, b.At-t.since())+time.Duration(r.Float64()*float64(b.Every))) != nil {
		return
	}
	for b.Until == 0 || t.since() < b.Until {
		a := &activity{id: b.ID, from: from, action: b.Action, target: b.Target, args: b.Args, rand: r}
		began := t.clk.Now()
		err := t.doer.do(ctx, a)
		t.noted(b, from, a, began)
		if err != nil && ctx.Err() != nil {
			return
		}
		wait := float64(b.Every) * (1 + float64(b.Jitter)*(2*r.Float64()-1))
		if t.clk.Sleep(ctx, time.Duration(wait)) != nil {
			return
		}
	}
}

// noted keeps what a background activity touched.
func (t *timeline) noted(b *scenario.Background, from string, a *activity, began time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := b.ID + "\x00" + from
	n := t.acts[key]
	if n == nil {
		n = &score.Activity{ID: b.ID, Action: b.Action, From: from, Acts: score.Acts{Started: began}}
		t.acts[key] = n
	}
	n.Ended = t.clk.Now()
	n.Flows = append(n.Flows, a.flows...)
	n.Traces = append(n.Traces, a.traces...)
}

// activities are the background's, in a fixed order.
func (t *timeline) activities() []score.Activity {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]score.Activity, 0, len(t.acts))
	for _, a := range t.acts {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b score.Activity) int {
		return strings.Compare(a.ID+"\x00"+a.From, b.ID+"\x00"+b.From)
	})
	return out
}

// played are the steps as they stand.
func (t *timeline) played() []score.Step {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.steps)
}

// ended is how many steps are over.
func (t *timeline) ended() (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.steps {
		if !t.steps[i].Ended.IsZero() {
			n++
		}
	}
	return n
}

var errOver = errors.New("the exercise was over")

func (t *timeline) step(ctx context.Context, i int, ended map[string]chan struct{}) score.Step {
	s := &t.sc.Adversary.Steps[i]
	if done, ok := t.over[s.ID]; ok {
		return done
	}
	out := t.describe(s)
	if err := t.due(ctx, i, ended); err != nil {
		out.Outcome, out.Note = score.NotRun, err.Error()
		if !errors.Is(err, errOver) {
			t.mu.Lock()
			out.Cause = t.cause
			t.mu.Unlock()
		}
		return out
	}
	a := &activity{id: s.ID, label: label(s.ID, s.Technique.ID), from: s.From, action: s.Action, target: s.Target, args: s.Args, rand: t.rng("step", s.ID)}
	out.Started = t.clk.Now()
	t.tell(Progress{At: out.Started, Step: s.ID, Name: s.Name, Began: true})
	err := t.doer.do(ctx, a)
	out.Ended, out.Outcome = t.clk.Now(), score.Done
	a.mu.Lock()
	out.Flows, out.Traces = a.flows, a.traces
	a.mu.Unlock()
	if err != nil {
		out.Outcome, out.Note = score.Failed, err.Error()
		if ctx.Err() != nil {
			out.Note = errOver.Error()
		} else if s.OnFailure == scenario.FailStop {
			t.mu.Lock()
			t.stopped, t.cause = fmt.Sprintf("step %s failed: %s", s.ID, err), s.ID
			t.mu.Unlock()
		}
	}
	t.tell(Progress{At: out.Ended, Step: s.ID, Name: s.Name, Note: out.Note})
	return out
}

// label is the ground truth that packets of a step carry.
func label(step, technique string) string { return step + " " + technique }

// due waits until the step begins.
func (t *timeline) due(ctx context.Context, i int, ended map[string]chan struct{}) error {
	s := &t.sc.Adversary.Steps[i]
	after := []string(s.After)
	if len(after) == 0 && s.At == 0 && i > 0 {
		after = []string{t.sc.Adversary.Steps[i-1].ID}
	}
	for _, id := range after {
		select {
		case <-ended[id]:
		case <-ctx.Done():
			return errOver
		}
	}
	wait := max(0, s.At-t.since())
	if d := s.Delay; d.Max > 0 {
		wait += d.Min + time.Duration(t.rng("delay", s.ID).Float64()*float64(d.Max-d.Min))
	}
	if t.clk.Sleep(ctx, wait) != nil {
		return errOver
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped != "" {
		return errors.New(t.stopped)
	}
	return nil
}

// describe is what the scenario says of a step.
func (t *timeline) describe(s *scenario.Step) score.Step {
	out := score.Step{
		ID: s.ID, Name: s.Name, Technique: s.Technique.ID, TechniqueName: s.Technique.Name, Tactic: s.Tactic,
		Action: s.Action, From: s.From, To: towards(&s.Target), User: s.Args.Text("user"), Port: portTo(s), Silent: s.Action == scenario.Wait,
	}
	if a := scenario.FindAction(s.Action); s.Args.Has("wordlist") || a != nil && a.Host() && a.Name != "host.logon" {
		out.User = "" // it guesses, or names whose programs run
	}
	for i := range t.sc.Credentials {
		if c := &t.sc.Credentials[i]; c.Name == s.Args.Text("credential") {
			out.User = c.User
		}
	}
	if x := s.Expect; x != nil {
		out.Expect = score.Expect{Within: x.Within, Any: !x.All, Optional: x.Optional}
		out.Expect.Level, _ = score.ParseCategory(x.Level) // checked by the loader
		for _, name := range x.Detections {
			for k := range t.sc.Detections {
				if d := &t.sc.Detections[k]; d.Name == name && (!d.Optional || len(d.Rules) > 0) {
					out.Expect.Detections = append(out.Expect.Detections, score.Detection{ID: name, Rules: d.Rules})
				}
			}
		}
	}
	return out
}

// portTo is the one port that a step goes to.
func portTo(s *scenario.Step) uint16 {
	if s.Target.Port != 0 {
		return uint16(s.Target.Port)
	}
	if a := scenario.FindAction(s.Action); a != nil {
		return uint16(a.Port)
	}
	return 0
}

func towards(t *scenario.Target) string {
	switch {
	case t.Host != "":
		return t.Host
	case len(t.Hosts) > 0:
		return strings.Join(t.Hosts, ", ")
	case t.Network != "":
		return t.Network
	}
	return t.External
}
