package exercise

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// Limits of an exercise for people.
const (
	recentRecords = 12_000   // that a trainee may look at: an hour of a busy town
	recentBytes   = 12 << 20 // that these may hold together
	liveSeen      = 200_000  // records that the score joins; of more, alerts alone count
	ownRate       = 100      // records a second that a trainee's own machine may cause
	ownBurst      = 3_000    // and at once
	keptEvents    = 40       // of one alert, in a Snapshot
	keptAlerts    = 1_000    // in a Snapshot
	keptFlows     = 200      // of one step, in a Snapshot
	keptChecks    = 2_000    // of one service, in a Snapshot
)

// LiveConfig is what Start takes.
type LiveConfig struct {
	Rules   []string // directories of further rules; the shipped ones always judge
	Version string   // of the program, for the report
	From    Snapshot // to go on from; the zero one is the beginning
	Tell    func(Progress)
	Log     *slog.Logger // nil: silent
}

// Snapshot is what an exercise needs to go on after a restart: how far it is and
// what was done and seen. The network itself follows from the seed.
type Snapshot struct {
	Started   time.Time         `json:"started"`
	Elapsed   time.Duration     `json:"elapsed"`
	Steps     []score.Step      `json:"steps,omitempty"` // those that are over
	Alerts    []score.Alert     `json:"alerts,omitempty"`
	Responses []score.Response  `json:"responses,omitempty"`
	Passwords map[string]string `json:"passwords,omitempty"` // of accounts whose password was changed, by user
	Read      []string          `json:"read,omitempty"`      // honeytokens that the trainee has looked at
	Services  []score.Service   `json:"services,omitempty"`  // that must stay reachable
}

// Live is an exercise for people: it runs by the clock of the wall and can be
// stopped, and whoever holds it may act in it. Its methods may be called at any
// time by anybody.
type Live struct {
	x     *run
	lab   *lab
	pace  *pace
	t     *timeline
	stop  context.CancelFunc
	over  chan struct{} // closed when the timeline has ended
	wg    sync.WaitGroup
	place Place
	asked *referee

	mu         sync.Mutex
	own        []netip.Addr // of trainees' machines
	recent     [][]byte
	recentSize int
	tokens     float64
	filled     time.Time
	left       int64           // records passed over
	read       map[string]bool // honeytokens that a trainee has looked at

	doing     sync.Mutex // of what people do against the adversary
	responses []score.Response
	barred    []netip.Addr
	passwords map[string]string // by user
}

// Start builds the network of a scenario. Time stands still until Run(true).
// What it starts ends with Close.
func Start(ctx context.Context, sc *scenario.Scenario, cfg LiveConfig) (*Live, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Live{
		x:    &run{sc: sc, cfg: Config{Rules: cfg.Rules, Version: cfg.Version, Tell: cfg.Tell, Log: cfg.Log, Real: true}},
		over: make(chan struct{}), tokens: ownBurst, filled: time.Now(), read: map[string]bool{},
	}
	j, err := newJudge(cfg.Rules, time.Now)
	if err != nil {
		return nil, err
	}
	for i := range cfg.From.Alerts {
		j.done = append(j.done, &detection{Alert: cfg.From.Alerts[i]})
	}
	j.raised = int64(len(j.done))
	l.x.judge, l.x.sink = j, &sink{id: ID(sc), judge: j, record: l.keep}
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx)) // it outlives the request that began it
	if l.lab, err = newLab(ctx, sc, nil, l.x.sink, cfg.Log); err != nil {
		l.stop()
		return nil, err
	}
	if err := l.begin(ctx, cfg.From); err != nil {
		l.stop()
		l.lab.close()
		return nil, err
	}
	return l, nil
}

// begin starts the timeline, which waits for Run.
func (l *Live) begin(ctx context.Context, from Snapshot) error {
	if err := l.seat(ctx); err != nil {
		return err
	}
	if err := l.redo(from); err != nil {
		return err
	}
	for _, token := range from.Read {
		l.read[token] = true
	}
	l.pace = newPace(l.lab.clk, l.x.sc.Clock.Speed, from.Elapsed)
	l.lab.pace = l.pace
	s, err := newSensor(l.lab)
	if err != nil {
		return err
	}
	l.t = newTimeline(l.x.sc, l.pace, &doers{l.lab}, l.x.cfg.Tell)
	l.t.since, l.t.over = l.pace.elapsed, map[string]score.Step{}
	if !from.Started.IsZero() {
		l.t.start = from.Started
	}
	for _, s := range from.Steps {
		l.t.over[s.ID] = s
	}
	l.asked = newReferee(l.lab)
	l.asked.recall(from.Services)
	l.asked.begin(ctx, &l.wg)
	l.x.beside(ctx, &l.wg, l.lab, l.t, s)
	l.wg.Go(func() {
		defer close(l.over)
		l.t.play(ctx)
	})
	return nil
}

// Close ends the exercise.
func (l *Live) Close() {
	l.stop()
	l.lab.close()
	l.wg.Wait()
}

// Run lets the exercise's time go by, or stops it: actors wait; servers answer.
func (l *Live) Run(on bool) { l.pace.run(on) }

// Running tells whether time goes by.
func (l *Live) Running() bool { return l.pace.running() }

// Elapsed is how much of the exercise's time has gone by.
func (l *Live) Elapsed() time.Duration { return l.pace.elapsed() }

// Over is closed when the scenario's duration is over. The network stays.
func (l *Live) Over() <-chan struct{} { return l.over }

// Network is the exercise's own: there is no way from it to any other.
func (l *Live) Network() *vnet.Network { return l.lab.net }

// keep takes a record of the exercise. What a trainee's own machine causes is
// bounded, so that a flood of his cannot hide what the adversary does: beyond it
// records are counted and passed over.
func (l *Live) keep(line []byte, s *score.Ref) error {
	l.mu.Lock()
	if slices.Contains(l.own, s.Flow.Src.Addr()) {
		if s.Token != "" {
			l.read[s.Token] = true
		}
		if !l.spend() {
			l.left++
			l.mu.Unlock()
			return errPassedOver
		}
	}
	l.recent = append(l.recent, slices.Clone(line))
	l.recentSize += len(line)
	for len(l.recent) > recentRecords || l.recentSize > recentBytes {
		l.recentSize -= len(l.recent[0])
		l.recent = l.recent[1:]
	}
	l.mu.Unlock()
	l.x.mu.Lock()
	defer l.x.mu.Unlock()
	if len(l.x.seen) < liveSeen {
		l.x.seen = append(l.x.seen, *s)
	}
	return nil
}

// spend takes one of a trainee's records off what he may cause.
func (l *Live) spend() bool {
	now := time.Now()
	l.tokens = min(ownBurst, l.tokens+now.Sub(l.filled).Seconds()*ownRate)
	l.filled = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// Records are the newest records of the hosts and of the network's flow log that
// hold the text, or whose field is the value where it reads field=value; oldest
// first, at most n.
func (l *Live) Records(text string, n int) [][]byte {
	l.mu.Lock()
	all := slices.Clone(l.recent)
	l.mu.Unlock()
	want := []string{strings.ToLower(text)}
	if field, value, ok := strings.Cut(want[0], "="); ok {
		want = []string{`"` + field + `":"` + value + `"`, `"` + field + `":` + value + ",", `"` + field + `":` + value + "}"}
	}
	var out [][]byte
	for i := len(all) - 1; i >= 0 && len(out) < n; i-- {
		line := strings.ToLower(string(all[i]))
		if slices.ContainsFunc(want, func(w string) bool { return strings.Contains(line, w) }) {
			out = append(out, all[i])
		}
	}
	slices.Reverse(out)
	return out
}

// Alerts are those raised so far, oldest first.
func (l *Live) Alerts() []score.Alert { return l.x.judge.sofar() }

// LiveStats are the counters of an exercise.
type LiveStats struct {
	Records    int64  `json:"records"`     // judged
	PassedOver int64  `json:"passed_over"` // records of a trainee's own doings beyond his share
	Alerts     int64  `json:"alerts"`
	Unalerted  int64  `json:"unalerted"` // verdicts beyond the limit of alerts
	Packets    uint64 `json:"packets"`
	Dropped    uint64 `json:"dropped"` // packets that a full queue, link or table refused
}

// Stats are the counters since the network was built.
func (l *Live) Stats() LiveStats {
	n := l.lab.net.Stats()
	j := l.x.judge
	j.mu.Lock()
	s := LiveStats{Records: j.judged, Alerts: j.raised, Unalerted: j.spilled, Packets: n.Packets, Dropped: n.Dropped.Queue + n.Dropped.Link + n.Dropped.States + n.FlowsDropped}
	j.mu.Unlock()
	l.mu.Lock()
	s.PassedOver = l.left
	l.mu.Unlock()
	return s
}

// Changes counts what a Snapshot has that none before had: alerts, steps that
// ended, honeytokens that were read, services that were looked at.
func (l *Live) Changes() int64 {
	l.x.judge.mu.Lock()
	n := l.x.judge.raised
	l.x.judge.mu.Unlock()
	l.mu.Lock()
	n += int64(len(l.read))
	l.mu.Unlock()
	return n + l.t.ended() + l.asked.looks()
}

// Snapshot is the exercise as it stands.
func (l *Live) Snapshot() Snapshot {
	s := Snapshot{Started: l.t.start, Elapsed: l.pace.elapsed()}
	for _, step := range l.t.played() {
		if !step.Ended.IsZero() {
			step.Flows = step.Flows[:min(len(step.Flows), keptFlows)]
			step.Traces = step.Traces[:min(len(step.Traces), keptFlows)]
			s.Steps = append(s.Steps, step)
		}
	}
	s.Alerts = l.Alerts()
	s.Alerts = s.Alerts[max(0, len(s.Alerts)-keptAlerts):]
	for i := range s.Alerts {
		a := &s.Alerts[i]
		a.Events = a.Events[max(0, len(a.Events)-keptEvents):]
	}
	s.Services, _ = l.asked.told()
	for i := range s.Services {
		c := &s.Services[i].Checks
		*c = (*c)[max(0, len(*c)-keptChecks):]
	}
	s.Responses, s.Passwords = l.Responses()
	l.mu.Lock()
	s.Read = slices.Sorted(maps.Keys(l.read))
	l.mu.Unlock()
	return s
}

// Played is the exercise as it stands, scored. tasks are what the trainee made of
// the levels.
func (l *Live) Played(tasks []score.Task) *Played {
	p := l.x.told(l.lab, l.t, time.Now())
	l.add(p)
	p.Truth.Tasks, p.Truth.Goals = tasks, l.goals()
	p.Truth.Unattended, p.Truth.PassedOver = false, l.Stats().PassedOver
	p.Result = score.Evaluate(p.Truth, p.Seen, p.Rules)
	return p
}

// add completes the truth by what only an exercise for people has.
func (l *Live) add(p *Played) {
	services, acts := l.asked.told()
	p.Truth.Services, p.Truth.Activities = services, append(p.Truth.Activities, acts...)
	p.Truth.Responses, _ = l.Responses()
	p.Truth.Activities = append(p.Truth.Activities, score.Activity{
		ID: "trainee", From: l.place.Spec.Name, Neutral: true, Addrs: l.own, Acts: score.Acts{Started: p.Truth.Started, Ended: p.Truth.Ended},
	})
}

// Own tells whether an address is the trainee's own machine's.
func (l *Live) Own(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.own, a)
}

// Services are those that must stay reachable, and how often they were.
func (l *Live) Services() []score.Service {
	services, _ := l.asked.told()
	return services
}
