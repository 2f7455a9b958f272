package exercise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// detection is an alert that may still grow.
type detection struct {
	score.Alert
	place string // breaks ties
}

const (
	maxSightings = 5_000            // records under one alert
	maxAlerts    = 100_000          // of one exercise
	maxRecall    = 50_000           // records that a late correlation may still ask for
	apart        = 10 * time.Minute // silence after which the same is a new alert
	lateness     = 2 * time.Second
)

// judge is the product's own detection, with state of its own: what happens in
// an exercise never meets what happens in real life.
type judge struct {
	mu     sync.Mutex
	engine *live.Engine
	seed   maphash.Seed
	recall map[uint64]score.Ref
	order  []uint64
	open   map[string]*detection
	done   []*detection
	now    func() time.Time
	judged int64

	answer  func(*detection, *score.Ref) // what is done about an alert; nil: nothing
	raised  int64                        // alerts
	spilled int64                        // verdicts beyond maxAlerts
}

// newJudge loads the shipped rules and those in dirs.
func newJudge(dirs []string, now func() time.Time) (*judge, error) {
	e, err := live.New(live.Config{
		Rules:    ruleset.Config{Paths: dirs, Shipped: true, Want: ruleset.Want{MinLevel: sigma.Low}},
		Lateness: lateness,
	})
	if err != nil {
		return nil, fmt.Errorf("load the rules of the exercise: %w", err)
	}
	return &judge{engine: e, seed: maphash.MakeSeed(), recall: map[uint64]score.Ref{}, open: map[string]*detection{}, now: now}, nil
}

// take judges one record.
func (j *judge) take(line []byte, s *score.Ref) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.judged++
	h := maphash.Bytes(j.seed, line)
	if _, known := j.recall[h]; !known {
		j.order = append(j.order, h)
	}
	j.recall[h] = *s
	if len(j.order) > maxRecall {
		delete(j.recall, j.order[0])
		j.order = j.order[1:]
	}
	j.raise(j.engine.Judge(line), s)
}

// advance judges the correlations that are due by the clock.
func (j *judge) advance(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.raise(j.engine.Advance(now), nil)
}

func (j *judge) raise(vs []live.Verdict, s *score.Ref) {
	for i := range vs {
		v := &vs[i]
		at := s
		if len(v.Group) > 0 || v.Event != nil {
			at = j.lastOf(v)
		}
		if at != nil {
			j.add(v, at)
		}
	}
}

// lastOf is the record that completed a correlation, or what its groups say.
func (j *judge) lastOf(v *live.Verdict) *score.Ref {
	if v.Event != nil {
		if s, ok := j.recall[maphash.Bytes(j.seed, v.Event)]; ok {
			return &s
		}
	}
	s := score.Ref{At: v.Last}
	for field, value := range v.Group {
		switch {
		case strings.EqualFold(field, "source.ip"), strings.EqualFold(field, "id.orig_h"):
			if a, err := netip.ParseAddr(value); err == nil {
				s.Flow.Src = netip.AddrPortFrom(a, 0)
			}
		case strings.EqualFold(field, "Computer"), field == "host.name":
			s.Host = value
		case field == "user.name", strings.HasSuffix(field, "UserName"):
			s.User = value
		}
	}
	return &s
}

func (j *judge) add(v *live.Verdict, s *score.Ref) {
	rule := live.Rule(v.Rule)
	key := j.key(&rule, v, s)
	d := j.open[key]
	if d != nil && s.At.Sub(d.Last) > apart {
		j.done = append(j.done, d)
		d = nil
	}
	s.Judged = j.now()
	if d == nil && j.raised == maxAlerts {
		j.spilled++
		return
	}
	if d == nil {
		j.raised++
		d = &detection{Alert: score.Alert{
			ID: strconv.FormatInt(j.raised, 10), Rule: rule, Title: rule.Name, First: v.First, Raised: s.Judged, Proto: s.Flow.Proto,
			Source: s.Flow.Src, Destination: s.Flow.Dst, Host: s.Host, User: s.User, Token: s.Token,
		}, place: key}
		j.open[key] = d
	}
	d.Count += int64(max(v.Count, 1))
	if d.Last.Before(v.Last) {
		d.Last = v.Last
	}
	if len(d.Events) < maxSightings {
		d.Events = append(d.Events, *s)
	}
	if j.answer != nil {
		j.answer(d, s)
	}
}

// key groups what a person reads as one alert.
func (j *judge) key(r *alert.Rule, v *live.Verdict, s *score.Ref) string {
	id := r.ID
	if id == "" {
		id = r.Name
	}
	if len(v.Group) > 0 {
		parts := make([]string, 0, len(v.Group))
		for _, k := range slices.Sorted(maps.Keys(v.Group)) {
			parts = append(parts, k+"="+v.Group[k])
		}
		return id + "\x00" + strings.Join(parts, "\x00")
	}
	return strings.Join([]string{id, s.Flow.Src.Addr().String(), s.Host, s.User, s.Token}, "\x00")
}

// alerts ends judging and gives every alert, oldest first; ties are broken by what
// they say, so that the order follows from the run alone. ids gives each its id.
func (j *judge) alerts(end time.Time, ids func() string) []score.Alert {
	j.advance(end.Add(lateness))
	all := j.sofar()
	for i := range all {
		all[i].ID = ids()
	}
	return all
}

// sofar are the alerts until now, in the order of alerts, each under the number it
// was raised by.
func (j *judge) sofar() []score.Alert {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Concat(j.done, slices.Collect(maps.Values(j.open)))
	slices.SortFunc(all, func(a, b *detection) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.place, b.place))
	})
	out := make([]score.Alert, 0, len(all))
	for _, d := range all {
		a := d.Alert
		a.Events = slices.Clip(a.Events) // it grows while this is read
		out = append(out, a)
	}
	return out
}

// errPassedOver says that a record is counted, and not looked at.
var errPassedOver = errors.New("passed over")

// sink takes what the hosts of an exercise report. It is the only way in, so
// that everything that comes by it belongs to the exercise, whatever it says.
type sink struct {
	id     string
	judge  *judge
	record func(line []byte, s *score.Ref) error
	login  func(*event.Event) // who logged in; nil: nobody asks

	mu  sync.Mutex
	buf []byte
	n   int64
}

var _ event.Sink = (*sink)(nil)

// Emit takes an event of a decoy or of a server.
func (k *sink) Emit(_ context.Context, e event.Event) error {
	e.Exercise, e.Observer = k.id, "range"
	// What trainees type is nobody's business, and what actors try stands in the
	// scenario: no password is kept.
	e.Extra = slices.DeleteFunc(slices.Clone(e.Extra), func(f event.Field) bool { return f.Name == record.PasswordField })
	s := score.Ref{
		ID: e.ID, At: e.Time, Host: e.Host, User: e.User, Token: text(&e, "lapwing.token.id"),
		Flow: score.Tuple{Proto: e.Transport, Src: e.Source, Dst: e.Destination}, Spoofable: e.Transport == "udp" || text(&e, "lapwing.spoofable") == "true",
	}
	if s.Host == "" {
		s.Host = text(&e, "host.name")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.login != nil {
		k.login(&e)
	}
	k.buf = e.AppendJSON(k.buf[:0])
	return k.keep(k.buf, &s)
}

// Record takes a record that an emulated behaviour would have left on a host.
func (k *sink) Record(line []byte, s score.Ref) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.ID == "" {
		k.n++
		s.ID = fmt.Sprintf("%s/%d", s.Host, k.n)
	}
	return k.keep(line, &s)
}

func (k *sink) keep(line []byte, s *score.Ref) error {
	if err := k.record(line, s); errors.Is(err, errPassedOver) {
		return nil
	} else if err != nil {
		return err
	}
	k.judge.take(line, s)
	return nil
}

func text(e *event.Event, field string) string {
	v, _ := e.Get(field)
	return v.Text()
}
