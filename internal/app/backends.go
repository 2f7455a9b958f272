//go:build unix

package app

import (
	"context"
	"log/slog"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// backends are those that the configuration names. Of one that is not built in,
// the operator is told: what is decided is then not carried out.
func backends(c *config.Respond, log *slog.Logger) []action.Backend { //nolint:unparam // none is built in yet
	for _, b := range c.Backends {
		log.Error("this program has no back end of that type: blocks are decided and not carried out by it", "type", b.Type)
	}
	return nil
}

// decide opens the deciding part and has the judge ask it.
func (a *archive) decide(ctx context.Context, d Dir, s storage, backs []action.Backend, log *slog.Logger) error {
	c := config.Default().Respond
	if s.Respond != nil {
		c = *s.Respond
	}
	r, err := d.openResponder(ctx, c, backs, log)
	if err != nil {
		return err
	}
	if rules := a.judge.rules; rules.suppress {
		r.quiet = func(rule alert.Rule, line []byte) bool { return rules.engine.Suppressed(rule.ID, rule.Name, line) }
	}
	a.respond, a.judge.rules.respond = r, r
	return nil
}

// emit puts the hub's own events into the journal.
func (a *archive) emit(observer string) ownEvents {
	in := &intake{observer: observer, passwords: "none"}
	return func(ctx context.Context, e *event.Event) error {
		in.stamp(e, e.Time)
		_, err := a.spool.Append(ctx, event.DepthAct, append(e.AppendJSON(nil), '\n'))
		return err
	}
}
