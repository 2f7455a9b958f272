// Package exercise plays a scenario: it builds the network of the range, lets the
// adversary and the people of the background act on it, has the product's own
// detection judge what hosts and network report, and joins what was done with
// what was seen.
//
// Nothing of an exercise leaves the process: actors hold dialers of the virtual
// network and nothing else, the actions are a closed list, and the records of
// hosts are text. What an exercise reports is judged by engines of its own; it
// never meets alerts, correlations, responses or exports of real life.
package exercise

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// Config is what Run takes.
type Config struct {
	Rules []string // directories of further rules; the shipped ones always judge
	// Dir takes events.jsonl and capture.pcapng, as far as the scenario's export
	// names them; it must exist and be empty. "": nothing is written.
	Dir   string
	Start time.Time // of the virtual clock
	Real  bool      // play by the clock of the wall, as fast as the scenario's clock says
	// Respond has the decision engine of part 6 answer alerts by this policy, at the
	// routers of the exercise; nil: nobody answers.
	Respond *respond.Policy
	Version string // of the program, for the report
	Tell    func(Progress)
	Log     *slog.Logger // nil: silent
}

// Played is an exercise that is over.
type Played struct {
	Truth  score.Truth
	Seen   score.Seen
	Rules  score.Rules
	Result score.Result
	Judged int64 // records
}

// maxSeen bounds the records that the score may join; of more, the rest counts
// as not recorded and Run says so.
const maxSeen = 2_000_000

// ErrTooMuch says that an exercise wrote more than can be scored.
var ErrTooMuch = errors.New("the exercise wrote more records than can be scored: shorten it or thin its background out")

// ID is the exercise's own, derived from its seed.
func ID(sc *scenario.Scenario) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", sc.ID, sc.Seed, sc.Trainee))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // a version 8 UUID (RFC 9562)
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// Run plays a scenario on a virtual clock, or with Config.Real on that of the
// wall, from its start to its end.
func Run(ctx context.Context, sc *scenario.Scenario, cfg Config) (*Played, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	x := &run{sc: sc, cfg: cfg}
	now := time.Now
	if !cfg.Real {
		x.vclk = vnet.NewVirtualClock(cfg.Start)
		defer x.vclk.Close()
		now = x.vclk.Now
	}
	j, err := newJudge(cfg.Rules, now)
	if err != nil {
		return nil, err
	}
	if err := x.open(); err != nil {
		return nil, err
	}
	defer x.shut() //nolint:errcheck // told below where it counts
	x.judge = j
	x.sink = &sink{id: ID(sc), judge: j, record: x.keep}
	x.hold()
	l, err := newLab(ctx, sc, x.vclk, x.sink, cfg.Log)
	if err != nil {
		x.release()
		return nil, err
	}
	p, err := x.play(ctx, l)
	l.close()
	if err = errors.Join(err, x.shut()); err != nil {
		return nil, err
	}
	p.Result = score.Evaluate(p.Truth, p.Seen, p.Rules)
	return p, nil
}

// run is one exercise under way.
type run struct {
	sc    *scenario.Scenario
	cfg   Config
	vclk  *vnet.VirtualClock // nil: the clock of the wall
	judge *judge
	sink  *sink

	mu      sync.Mutex
	seen    []score.Ref
	events  *bufio.Writer
	files   []*os.File
	capture io.Writer
	fault   error
	closed  bool
	answers *answers // nil: nobody
}

// hold stops a virtual clock until release.
func (x *run) hold() {
	if x.vclk != nil {
		x.vclk.Hold()
	}
}

func (x *run) release() {
	if x.vclk != nil {
		x.vclk.Release()
	}
}

func (x *run) open() error {
	if x.cfg.Dir == "" {
		return nil
	}
	create := func(name string) (*os.File, error) {
		f, err := os.OpenFile(filepath.Join(x.cfg.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("keep the exercise: %w: name an empty directory", err)
		}
		x.files = append(x.files, f)
		return f, nil
	}
	if x.sc.Leaves("events.jsonl") || x.sc.Leaves("events.ocsf.jsonl") {
		f, err := create("events.jsonl")
		if err != nil {
			return err
		}
		x.events = bufio.NewWriterSize(f, 1<<20)
	}
	if x.sc.Leaves("pcapng") {
		f, err := create("capture.pcapng")
		if err != nil {
			return err
		}
		x.capture = f
	}
	return nil
}

// shut ends writing; it may be called twice.
func (x *run) shut() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	err := x.fault
	if x.events != nil {
		err = errors.Join(err, x.events.Flush())
	}
	for _, f := range x.files {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("keep the exercise: %w", err)
	}
	return nil
}

// keep writes one record down.
func (x *run) keep(line []byte, s *score.Ref) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	if len(x.seen) == maxSeen {
		x.fault = ErrTooMuch
		return x.fault
	}
	x.seen = append(x.seen, *s)
	if x.events == nil {
		return nil
	}
	if _, err := x.events.Write(append(line, '\n')); err != nil && x.fault == nil {
		x.fault = err
	}
	return x.fault
}

func (x *run) play(ctx context.Context, l *lab) (*Played, error) {
	var tap *vnet.Capture
	if x.capture != nil {
		var err error
		if tap, err = l.net.Capture(x.capture, vnet.CaptureConfig{}); err != nil {
			x.release()
			return nil, fmt.Errorf("capture packets: %w", err)
		}
	}
	sensor, err := newSensor(l)
	if err != nil {
		x.release()
		return nil, err
	}
	if err := x.respond(l); err != nil {
		x.release()
		return nil, err
	}
	t := newTimeline(x.sc, l.clk, &doers{l}, x.cfg.Tell)
	if x.vclk == nil {
		p := newPace(l.clk, x.sc.Clock.Speed, 0)
		l.pace, t.clk, t.since = p, p, p.elapsed
		p.run(true)
	}
	side, stop := context.WithCancel(ctx)
	var sides sync.WaitGroup
	asked := newReferee(l)
	asked.begin(side, &sides)
	x.beside(side, &sides, l, t, sensor)
	x.release()
	t.play(ctx)
	stop()
	sides.Wait()
	end := l.clk.Now()
	if tap != nil {
		if err := tap.Close(); err != nil {
			return nil, fmt.Errorf("capture packets: %w", err)
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("play %s: %w", x.sc.ID, ctx.Err())
	}
	p := x.told(l, t, end)
	services, acts := asked.told()
	p.Truth.Services, p.Truth.Activities = services, append(p.Truth.Activities, acts...)
	return p, nil
}

// beside starts what goes on beside the timeline until ctx ends.
func (x *run) beside(ctx context.Context, wg *sync.WaitGroup, l *lab, t *timeline, s *sensor) {
	wg.Go(func() { s.run(ctx) })
	for i := range x.sc.Hosts {
		if m := l.hosts[x.sc.Hosts[i].Name]; m.spec.Has("green") && m.records != nil {
			wg.Go(func() { l.everyday(ctx, t, m) })
		}
	}
	wg.Go(func() { x.ticks(ctx, l) })
}

// ticks gives correlations the time.
func (x *run) ticks(ctx context.Context, l *lab) {
	for l.clk.Sleep(ctx, lateness) == nil {
		x.judge.advance(l.clk.Now())
		if x.answers != nil {
			x.answers.tick(l.clk.Now())
		}
	}
}

// respond lets a policy answer, where one is given.
func (x *run) respond(l *lab) error {
	if x.cfg.Respond == nil {
		return nil
	}
	var err error
	if x.answers, err = newAnswers(l, *x.cfg.Respond, x.sink.id); err != nil {
		return err
	}
	x.judge.mu.Lock()
	x.judge.answer = x.answers.consider
	x.judge.mu.Unlock()
	x.sink.mu.Lock()
	x.sink.login = x.answers.login
	x.sink.mu.Unlock()
	return nil
}

// told is what was done and what was seen.
func (x *run) told(l *lab, t *timeline, end time.Time) *Played {
	stats := l.net.Stats()
	p := &Played{Rules: rulesOf(&x.sc.Scoring), Judged: x.judge.judged}
	p.Truth = score.Truth{
		Exercise: x.sink.id, Scenario: x.sc.ID, Name: x.sc.Name, Description: x.sc.Description, Version: x.cfg.Version,
		Seed: x.sc.Seed, Domain: x.sc.Attack.Domain, Attack: x.sc.Attack.Version, Trainee: x.sc.Trainee,
		Started: t.start, Ended: end, Packets: int64(stats.Packets), Dropped: dropped(&stats), Unattended: true,
		Steps: t.played(), Activities: t.activities(),
	}
	labelled(l, p.Truth.Steps, t.over)
	l.translated(p.Truth.Activities)
	for i := range x.sc.Networks {
		n := &x.sc.Networks[i]
		out := score.Network{Name: n.Name, Filled: n.Fill != nil}
		for _, q := range prefixes(n) {
			out.Prefixes = append(out.Prefixes, q.String())
		}
		if n.Gateway != "" {
			out.Routers = []string{n.Gateway}
		}
		p.Truth.Networks = append(p.Truth.Networks, out)
	}
	for i := range x.sc.Hosts {
		h := &x.sc.Hosts[i]
		p.Truth.Hosts = append(p.Truth.Hosts, score.Host{Name: h.Name, Network: h.Network, Addrs: addrs(h), Persona: h.Persona, Roles: h.Roles, Decoy: h.Decoy})
	}
	p.Truth.HostsAll = l.count()
	if x.answers != nil {
		p.Truth.Policy, p.Truth.Responses = x.answers.told()
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], x.sc.Seed^0x616c657274)
	ids := event.NewIDs(rand.NewChaCha8(key), func() time.Time { return end })
	p.Seen.Alerts = x.judge.alerts(end, ids.New)
	x.mu.Lock()
	p.Seen.Events = x.seen
	x.mu.Unlock()
	return p
}

// labelled gives every step the flows that carry its label. Those of before a
// restart have theirs.
func labelled(l *lab, steps []score.Step, before map[string]score.Step) {
	byLabel := map[string]*score.Step{}
	for i := range steps {
		if _, ok := before[steps[i].ID]; ok {
			continue
		}
		steps[i].Flows = nil
		byLabel[label(steps[i].ID, steps[i].Technique)] = &steps[i]
	}
	for f := range l.net.Flows() {
		s := byLabel[f.Label]
		if s == nil || f.Label == "" {
			continue
		}
		s.Flows = append(s.Flows, score.Flow{
			Tuple: score.Tuple{Proto: protocolOf(f.Proto), Src: f.Src, Dst: f.Dst}, As: aliases(&f), Start: f.Start, End: f.End, Bytes: int64(f.Bytes), Packets: int64(f.Packets),
		})
	}
}

// dropped are the packets that a full queue, link or table refused.
func dropped(s *vnet.Stats) int64 {
	return int64(s.Dropped.Queue + s.Dropped.Link + s.Dropped.States + s.FlowsDropped)
}

// aliases are what a flow is called behind routers that translate addresses.
func aliases(f *vnet.Flow) []score.Tuple {
	var out []score.Tuple
	for _, t := range f.As {
		out = append(out, score.Tuple{Proto: protocolOf(t.Proto), Src: t.Src, Dst: t.Dst})
	}
	return out
}

// translated adds to what people did what it is called behind such routers.
func (l *lab) translated(acts []score.Activity) {
	as := map[score.Tuple][]score.Tuple{}
	for f := range l.net.Flows() {
		if len(f.As) > 0 {
			key := score.Tuple{Proto: protocolOf(f.Proto), Src: f.Src, Dst: f.Dst}
			as[key] = append(as[key], aliases(&f)...)
		}
	}
	for i := range acts {
		for k := range acts[i].Flows {
			if f := &acts[i].Flows[k]; len(as) > 0 {
				f.As = as[f.Tuple]
			}
		}
	}
}

// rulesOf is how the scenario is scored.
func rulesOf(s *scenario.Scoring) score.Rules {
	r := score.DefaultRules()
	r.Weights = score.Weights{Detection: s.Weights.Detection, Response: s.Weights.Response, Availability: s.Weights.Availability, Tasks: s.Weights.Tasks}
	d := s.Detection
	r.Percent = [score.Categories]float64{d.None, d.Telemetry, d.General, d.Tactic, d.Technique}
	r.FullUntil, r.ZeroAt = s.TimeToDetect.FullUntil, s.TimeToDetect.ZeroAt
	r.FalseAlarm = score.FalseAlarm{Penalty: s.FalseAlarm.Penalty, Max: s.FalseAlarm.Max}
	r.HintsAlways = s.Hints.Charge == "on_take"
	return r
}

// count is how many hosts there are, those of filled networks included.
func (l *lab) count() int {
	n := len(l.sc.Hosts)
	for i := range l.sc.Networks {
		if f := l.sc.Networks[i].Fill; f != nil {
			n += int(float64(uint64(1)<<(32-l.sc.Networks[i].CIDR.Bits())) * float64(f.Density))
		}
	}
	return n
}

// doers does what actions ask for.
type doers struct{ *lab }

func (d *doers) do(ctx context.Context, a *activity) error {
	switch act := scenario.FindAction(a.action); {
	case act == nil:
		return fmt.Errorf("there is no action %q", a.action)
	case act.Name == scenario.Wait:
		return d.pace.Sleep(ctx, a.args.Duration("for"))
	case act.Host():
		return d.hostAct(ctx, a)
	}
	return d.netAct(ctx, a)
}
