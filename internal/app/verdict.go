//go:build unix

package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/detect"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// The words of a verdict that the process that reads logs has reached.
const (
	kindVerdict   = "alert"
	actionVerdict = "rule-matched"
	sourceField   = "lapwing.source"
)

// stampSource is stamp for what the process that reads logs sends: it may bring
// verdicts, and speaks for no decoy.
func (in *intake) stampSource(e *event.Event, now time.Time) {
	e.Observer, e.Ingested, e.Exercise = in.observer, now.Truncate(time.Millisecond), ""
	e.Decoy, e.Persona, e.Connection, e.Session, e.LogType, e.Depth = "", "", "", "", 0, event.DepthNone
	e.Extra = slices.DeleteFunc(e.Extra, func(f event.Field) bool { return strings.HasPrefix(f.Name, token.Fields) })
	if _, ok := e.Get(sourceField); !ok {
		e.Add(sourceField, "unknown")
	}
	if in.tokens != nil {
		in.tokens.Mark(e)
	}
}

// logged tells that an event comes of the process that reads logs, which has
// judged it, but for the tokens that only the hub knows. Who else says so is
// refused before (intake.refuse).
func logged(e *event.Event) bool {
	_, read := e.Get(sourceField)
	_, known := e.Get(token.IDField)
	return read && !known
}

// raiseLogged raises what the process that reads logs said of an event.
func (g *judge) raiseLogged(ctx context.Context, batch *casebook.Batch, s seen) error {
	if s.event.Kind != kindVerdict || s.event.Action != actionVerdict {
		return nil
	}
	v := loggedVerdict(s.event)
	if v.Rule.ID == "" || g.rules.suppress && g.rules.engine.Suppressed(v.Rule.ID, v.Rule.Name, []byte(s.line)) {
		return nil
	}
	alerts, err := g.engine.Raise(ctx, s.event, v)
	if err != nil {
		return err
	}
	for i, a := range alerts {
		g.rules.respond.answer(&alerts[i], s.event)
		batch.AlertLine(a, s.event, s.line)
	}
	return nil
}

// loggedVerdict reads a verdict from its event.
func loggedVerdict(e *event.Event) detect.Verdict {
	get := func(name string) string { v, _ := e.Get(name); return v.Text() }
	list := func(name string) []string {
		if v, ok := e.Get(name); ok {
			return v.Strings()
		}
		return nil
	}
	rule := alert.Rule{
		ID: get("rule.id"), Name: get("rule.name"), Description: get("rule.description"),
		Techniques: list("threat.technique.id"), Tactics: list("threat.tactic.name"),
	}
	rule.Level, _ = alert.ParseLevel(get("rule.level"))
	return detect.Verdict{
		Rule: &rule, Host: get("host.name"), Log: get(sourceField), Group: list("lapwing.group"), Title: verdictTitle(e, rule.Name, get),
	}
}

// verdictTitle is one line for a person: who, what, how often, where it was read.
func verdictTitle(e *event.Event, rule string, get func(string) string) string {
	who := strings.Join(splitGroup(e), ", ")
	if e.Source.Addr().IsValid() {
		who = e.Source.Addr().String()
	}
	b := fmt.Appendf(nil, "%s: %s", who, rule)
	if e.User != "" {
		b = fmt.Appendf(b, " as %q", shortText(e.User))
	}
	if host := get("host.name"); host != "" {
		b = fmt.Appendf(b, " on %q", shortText(host))
	}
	first, err1 := time.Parse(time.RFC3339Nano, get("lapwing.first"))
	last, err2 := time.Parse(time.RFC3339Nano, get("lapwing.last"))
	if n := get("lapwing.count"); n != "" && n != "1" && err1 == nil && err2 == nil {
		b = fmt.Appendf(b, ", %s within %s", n, last.Sub(first).Round(time.Second))
	}
	return string(fmt.Appendf(b, " (log %s)", get(sourceField)))
}

// splitGroup are the quoted values that a verdict's events share.
func splitGroup(e *event.Event) []string {
	v, ok := e.Get("lapwing.group")
	if !ok {
		return []string{"a log"}
	}
	var out []string
	for _, text := range v.Strings() {
		out = append(out, fmt.Sprintf("%q", shortText(text)))
	}
	return out
}

// shortText is a text of a log as a title shows it.
func shortText(s string) string {
	const most = 60 // bytes
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
