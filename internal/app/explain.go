//go:build unix

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/own"
)

// Advise gives a function that says in words what would be done about a verdict of
// the reader, and why not more. It asks the running instance, which knows what
// stands; where none runs it decides by c, on nothing.
func (d Dir) Advise(ctx context.Context, c *config.Config) (func(event.Event) string, error) {
	unlock, err := d.lock(ctx, "hub.lock", 0)
	if err == nil {
		unlock()
	} else if _, runs := err.(LockedError); runs { //nolint:errorlint // lock gives it as it is
		return func(e event.Event) string {
			a := quickAlert(&e)
			o, err := d.explain(ctx, &a)
			if err != nil {
				return fmt.Sprintf("the running instance does not say: %v", err)
			}
			return outcomeWords(o)
		}, nil
	}
	var r responder
	cfg := r.ownConfig(c.Respond)
	cfg.LoggedIn, cfg.Lookup = nil, nil
	allow, err := own.New(cfg).List(ctx)
	if err != nil {
		return nil, fmt.Errorf("find out what must never be blocked: %w", err)
	}
	engine, err := respond.New(respond.Config{Clock: clock.System(), Store: &respond.Memory{}, Hands: idleHands{}, Policy: policyOf(&c.Respond), Allow: allow})
	if err != nil {
		return nil, err
	}
	return func(e event.Event) string { return outcomeWords(engine.Explain(quickAlert(&e))) }, nil
}

// idleHands carry nothing out.
type idleHands struct{}

var _ respond.Hands = idleHands{}

// Apply does nothing.
func (idleHands) Apply([]action.Action) {}

// Revert does nothing.
func (idleHands) Revert([]action.Action) {}

// Allow does nothing.
func (idleHands) Allow(action.AllowList) {}

// explain asks the running instance what it would do about an alert.
func (d Dir) explain(ctx context.Context, a *alert.Alert) (o respond.Outcome, err error) {
	data, err := a.AppendJSON(nil)
	if err != nil {
		return o, err
	}
	c := call{method: http.MethodGet, path: "/respond/explain", args: url.Values{"alert": {string(data)}}}
	err = d.each(ctx, c, func(l []byte) error { return json.Unmarshal(l, &o) })
	return o, err
}

func (k *desk) getExplain(w *lineWriter, r *http.Request) error {
	a, err := alert.Decode([]byte(r.URL.Query().Get("alert")))
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	return w.json(k.respond.engine.Explain(*a))
}

// outcomeWords is an Outcome for a person.
func outcomeWords(o respond.Outcome) string {
	var b strings.Builder
	switch o.Verdict {
	case respond.Blocks:
		fmt.Fprintf(&b, "%s would be blocked for %s", o.Prefix, o.TTL)
	case respond.Proposes:
		fmt.Fprintf(&b, "a person would be asked whether to block %s for %s", o.Prefix, o.TTL)
	case respond.Observes:
		fmt.Fprintf(&b, "it would be written down that %s could be blocked for %s", o.Prefix, o.TTL)
	default:
		b.WriteString("nothing would be done")
	}
	fmt.Fprintf(&b, " (%s: %s)", o.Policy, o.Mode)
	for _, why := range o.Reasons {
		b.WriteString("; " + why.Text)
	}
	return b.String()
}
