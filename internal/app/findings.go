//go:build unix

package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// The limits of what one look back finds.
const (
	maxFindings = 1000 // each is one rule and one source
	maxProof    = 10   // events kept of each: the first ones and the last
)

// findings collects what is found among events of the past.
type findings struct {
	ctx    context.Context //nolint:containedctx // of the one job that it is for
	book   casebook.Book
	groups map[string]*finding
	order  []*finding
	events int64
	known  int64 // that live judging had told
	over   int64 // beyond maxFindings
}

// finding is what one rule found of one source.
type finding struct {
	alert alert.Alert
	proof []*event.Event
	told  []*alert.Alert // of the same rule and source, as it came
}

// take adds what rules say of one event.
func (f *findings) take(line []byte, vs []live.Verdict) error {
	for i := range vs {
		v := &vs[i]
		if builtIn(v.Rule) {
			continue
		}
		text := line
		if v.Event != nil {
			text = v.Event
		}
		e, err := event.Decode(text)
		if err != nil || !e.Source.Addr().IsValid() || e.Exercise != "" {
			continue
		}
		if err := f.add(v, &e); err != nil {
			return err
		}
	}
	return nil
}

func (f *findings) add(v *live.Verdict, e *event.Event) error {
	mark := v.Rule.Fingerprint()
	source := casebook.SourceOf(e.Source.Addr()).String()
	key := "past " + v.Rule.Key() + " " + hex.EncodeToString(mark[:4]) + " " + source
	g := f.groups[key]
	if g == nil {
		if len(f.groups) >= maxFindings {
			f.over++
			return nil
		}
		var err error
		if g, err = f.group(key, v, e); err != nil {
			return err
		}
		f.groups[key] = g
		f.order = append(f.order, g)
	}
	if slices.ContainsFunc(g.told, func(a *alert.Alert) bool { return !e.Time.Before(a.First) && !e.Time.After(a.Last) }) {
		f.known++
		return nil
	}
	a := &g.alert
	a.Count++
	if a.First.IsZero() || e.Time.Before(a.First) {
		a.First = e.Time
	}
	if e.Time.After(a.Last) {
		a.Last = e.Time
		a.Title = verdict(v, e).Title
	}
	if e.Session != "" {
		a.Session = e.Session
	}
	if len(g.proof) < maxProof {
		g.proof = append(g.proof, e)
	} else {
		g.proof[maxProof-1] = e
	}
	return nil
}

// group begins a finding: what the same rule said of the source before, as
// events came, is not said again.
func (f *findings) group(key string, v *live.Verdict, e *event.Event) (*finding, error) {
	g := &finding{alert: alert.Alert{
		ID: pastID(key), Key: key, Rule: live.Rule(v.Rule), Source: e.Source.Addr().Unmap(), Host: e.Host, User: e.User, Retrospective: true,
	}}
	err := f.book.Alerts(f.ctx, casebook.Query{Source: casebook.SourceOf(e.Source.Addr())}, func(a *alert.Alert) error {
		if a.Rule.ID == v.Rule.ID && !a.Retrospective {
			g.told = append(g.told, a)
		}
		return nil
	})
	return g, err
}

// pastID is the same for the same finding. It has the form of a UUIDv8 (RFC 9562).
func pastID(key string) string {
	h := sha256.Sum256([]byte(key))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// findings writes what was found, each once, and shows it in the live feed. It
// never goes through the engine that counts alerts of the present.
func (g *judge) findings(ctx context.Context, f *findings) (int, error) {
	g.work.Lock()
	defer g.work.Unlock()
	batch := casebook.Batch{Position: g.position().String()}
	var out []*alert.Alert
	for _, x := range f.order {
		if x.alert.Count == 0 {
			continue
		}
		known := false
		err := g.book.Alerts(ctx, casebook.Query{ID: x.alert.ID}, func(*alert.Alert) error { known = true; return nil })
		if err != nil {
			return 0, err
		}
		if known { // of a job that was cut off
			continue
		}
		all := x.alert.Count
		for i, e := range x.proof {
			a := x.alert
			if a.Count = int64(i) + 1; i == len(x.proof)-1 {
				a.Count = all
			}
			batch.Alert(a, e)
		}
		out = append(out, &x.alert)
	}
	if len(out) == 0 {
		return 0, nil
	}
	if err := g.book.Apply(ctx, &batch); err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range out {
		g.show(a)
	}
	return len(out), nil
}
