//go:build unix

package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/enforce/command"
	blocklist "github.com/lapwing-defence/lapwing/internal/enforce/list"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// hands are the back ends that the configuration names.
type hands struct {
	backends []action.Backend
	run      []func(context.Context) error // what they do by themselves
}

// listSettle is how long after a start a block list is not shown: what stands
// is put on it first.
const listSettle = 10 * time.Second

// hands makes them. A server's port in use, or a command that somebody else
// than root could change, is an error.
func (o *HubOrders) hands(log *slog.Logger) (h hands, err error) {
	for i, b := range o.Config.Respond.Backends {
		switch b.Type {
		case "nftables":
			h.backends = append(h.backends, o.Dir.enforcer())
		case "list":
			err = h.list(b, log)
		case "command":
			err = h.command(b, o.Dir.commandState(i))
		}
		if err != nil {
			return h, fmt.Errorf("respond.backends, entry %d: %w", i+1, err)
		}
	}
	return h, nil
}

func (h *hands) list(b config.Backend, log *slog.Logger) error {
	l := blocklist.New(blocklist.Config{Name: "list " + cmp.Or(b.Path, b.Listen), Path: b.Path, Max: b.Max, Settle: listSettle, Now: time.Now})
	h.backends, h.run = append(h.backends, l), append(h.run, l.Run)
	if b.Listen == "" {
		return nil
	}
	c := blocklist.ServerConfig{User: b.User, Log: log}
	var err error
	if b.PasswordFile != "" {
		if c.Password, err = blocklist.Password(b.PasswordFile); err != nil {
			return err
		}
	}
	if b.Certificate != "" {
		if c.TLS, err = blocklist.Certificate(b.Certificate, b.Key); err != nil {
			return err
		}
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", b.Listen) //nolint:forbidigo // binding does not wait
	if err != nil {
		return fmt.Errorf("serve the block list: %w; choose another port, or stop what uses it", err)
	}
	h.run = append(h.run, func(ctx context.Context) error { return l.Serve(ctx, ln, c) })
	return nil
}

func (h *hands) command(b config.Backend, state string) error {
	if err := os.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		return err
	}
	c, err := command.New(command.Config{File: b.Config, State: state, Now: time.Now})
	if err != nil {
		return err
	}
	h.backends, h.run = append(h.backends, c), append(h.run, c.Run)
	return nil
}

// start sets the back ends to work until ctx ends.
func (h *hands) start(ctx context.Context, wg *sync.WaitGroup, log *slog.Logger) {
	for _, run := range h.run {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				log.Error("a back end of blocks stopped", "error", err)
			}
		})
	}
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
