package exercise

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// maxChecks bounds the looks at one service that are kept.
const maxChecks = 100_000

// referee asks the services that must stay reachable whether they are, from the
// host of somebody who needs them.
type referee struct {
	lab *lab

	mu       sync.Mutex
	services []score.Service
	acts     []score.Activity
}

func newReferee(l *lab) *referee {
	r := &referee{lab: l}
	for _, ref := range l.sc.Scoring.Availability.Services {
		id := fmt.Sprintf("%s/%s/%d", ref.Host, ref.Port.Proto, ref.Port.Number)
		r.services = append(r.services, score.Service{ID: id})
		// Neither the adversary's nor anybody's work: an alert about it counts for nothing.
		r.acts = append(r.acts, score.Activity{ID: "availability of " + id, Action: "tcp.probe", From: l.asker(ref.Host), Neutral: true, Acts: score.Acts{Started: l.clk.Now()}})
	}
	return r
}

// asker is who asks for a service: somebody at work there, else any host that is
// not the adversary's; "" where nobody is left.
func (l *lab) asker(of string) string {
	for _, fits := range []func(*scenario.Host) bool{
		func(h *scenario.Host) bool { return h.Has("green") },
		func(h *scenario.Host) bool { return !h.Has("red") && !h.Decoy },
	} {
		for i := range l.sc.Hosts {
			if h := &l.sc.Hosts[i]; h.Name != of && fits(h) {
				return h.Name
			}
		}
	}
	return ""
}

// begin starts to look at all of them, until ctx ends.
func (r *referee) begin(ctx context.Context, wg *sync.WaitGroup) {
	for i := range r.services {
		wg.Go(func() { r.run(ctx, i) })
	}
}

// run looks at service i until ctx ends.
func (r *referee) run(ctx context.Context, i int) {
	v := &r.lab.sc.Scoring.Availability
	to, from := r.lab.hosts[v.Services[i].Host], r.lab.hosts[r.acts[i].From]
	if to == nil || from == nil {
		return
	}
	for r.lab.pace.Sleep(ctx, v.Interval) == nil {
		within, done := r.lab.patience(ctx)
		began := r.lab.clk.Now()
		state, err := from.net.Dialer().Probe(within, to.spec.IP, v.Services[i].Port.Number)
		done()
		if ctx.Err() != nil {
			return
		}
		c := score.Check{At: began, Up: err == nil && state == vnet.Open}
		if !c.Up {
			c.Why = state.String()
		}
		flow := score.Flow{Start: began, End: r.lab.clk.Now(), Tuple: score.Tuple{
			Proto: "tcp", Src: netip.AddrPortFrom(from.spec.IP, 0), Dst: netip.AddrPortFrom(to.spec.IP, v.Services[i].Port.Number),
		}}
		r.mu.Lock()
		if s := &r.services[i]; len(s.Checks) < maxChecks {
			s.Checks = append(s.Checks, c)
			r.acts[i].Flows = append(r.acts[i].Flows, flow)
		}
		r.mu.Unlock()
	}
}

// looks is how often services were looked at.
func (r *referee) looks() (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.services {
		n += int64(len(r.services[i].Checks))
	}
	return n
}

// told gives what was seen, and what the referee did for it.
func (r *referee) told() ([]score.Service, []score.Activity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.acts {
		r.acts[i].Ended = r.lab.clk.Now()
	}
	services, acts := slices.Clone(r.services), slices.Clone(r.acts)
	for i := range services { // they grow while this is read
		services[i].Checks = slices.Clip(services[i].Checks)
		acts[i].Flows = slices.Clip(acts[i].Flows)
	}
	return services, acts
}

// recall takes what was seen before a restart.
func (r *referee) recall(before []score.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range before {
		for i := range r.services {
			if s := &r.services[i]; s.ID == b.ID {
				s.Checks = append(b.Checks, s.Checks...)
			}
		}
	}
}
