//go:build unix

package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/access"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/confine"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/flow"
	"github.com/lapwing-defence/lapwing/internal/source/follow"
	"github.com/lapwing-defence/lapwing/internal/source/journald"
	"github.com/lapwing-defence/lapwing/internal/source/receive"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// uplinkTimeout is how long one offer of a batch waits for a hub that is away,
// before it is offered again.
const uplinkTimeout = 10 * time.Second

// beginWithin is how long sources may look for where they begin before the rest
// is said to be ready.
const beginWithin = 20 * time.Second

// runner is a source at work.
type runner interface {
	// Run fetches until ctx ends; it returns nil then.
	Run(ctx context.Context) error
}

// RunReader is the process that reads logs.
func RunReader(ctx context.Context, log *slog.Logger) error {
	var o ReaderOrders
	ctl, err := openControl(&o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go tend(ctx, false)
	_ = time.Now().Local().String() // the machine's zone is a file, read while it can be
	inlets, err := o.open()
	if err != nil {
		return fatal(ctl, err)
	}
	up, err := uplink.NewClient(uplink.ClientConfig{
		Name: o.Observer, Log: log, Timeout: uplinkTimeout, Dial: func(context.Context) (net.Conn, error) { return ctl.dial() },
	})
	if err != nil {
		return fatal(ctl, err)
	}
	logs, err := o.access(up, log) // before the door closes: rules and maps are files
	if err != nil {
		return fatal(ctl, err)
	}
	report, err := confine.EnterReader(o.ParentNS, o.ParentUID, confine.Paths{Read: o.Read, Write: []string{o.Dir}})
	if err != nil {
		return fatal(ctl, err)
	}
	if data, err := json.Marshal(report); err == nil {
		ctl.tell("report " + string(data)) //nolint:errcheck // a gone supervisor is seen below
	}
	upCtx, upCancel := context.WithCancel(context.WithoutCancel(ctx))
	upDone := make(chan struct{})
	go func() { up.Run(upCtx); close(upDone) }() //nolint:errcheck // ends with upCtx
	defer func() { upCancel(); <-upDone }()
	defer logs.Close() //nolint:errcheck // what was taken is noted
	r := &reading{orders: &o, up: up, logs: logs, log: log}
	if err := r.begin(ctx, inlets); err != nil {
		return fatal(ctl, err)
	}
	r.begun(ctx)
	if err := ctl.tell("ready"); err != nil {
		cancel()
	}
	r.wait(ctx)
	return nil
}

// reading is what the process does.
type reading struct {
	orders *ReaderOrders
	up     *uplink.Client
	logs   *access.Reader
	log    *slog.Logger
	feeds  []*feed.Feed
	wg     sync.WaitGroup
}

// begin starts every source.
func (r *reading) begin(ctx context.Context, inlets map[string]*inlet) error {
	for i := range r.orders.Sources {
		s := &r.orders.Sources[i].Config
		f, err := feed.New(feed.Config{Name: s.Name, Type: s.Type, Sink: r.logs, Dir: r.orders.Dir, Log: r.log, Position: r.position(s.Name)})
		if err != nil {
			return err
		}
		r.feeds = append(r.feeds, f)
		run, err := r.source(s, f, inlets[s.Name])
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		r.wg.Go(func() { r.keepRunning(ctx, run, f) })
	}
	return nil
}

// begun returns when every source has found where it begins, or has trouble to.
func (r *reading) begun(ctx context.Context) {
	late := time.NewTimer(beginWithin)
	defer late.Stop()
	for _, f := range r.feeds {
		select {
		case <-f.Begun():
		case <-ctx.Done():
		case <-late.C:
			return
		}
	}
}

// position is where a source goes on by what its judge remembers; nil: that is not known.
func (r *reading) position(name string) []byte {
	p, ok := r.logs.Position(name)
	if !ok {
		return nil
	}
	return p
}

// source makes the runner of a source.
func (r *reading) source(s *config.Source, f *feed.Feed, d *inlet) (runner, error) {
	net := receive.Config{
		Feed: f, Format: s.Format, TCP: d.tcp, UDP: d.udp, TLS: d.tls, Log: r.log, Token: d.token,
		PerSource: s.Connections.PerSource, Total: s.Connections.Total, Rate: s.Rate,
	}
	switch s.Type {
	case "file":
		return follow.New(follow.Config{Paths: s.Files(), Format: s.Format, FromStart: s.From == "start", Feed: f, Log: r.log})
	case "journald":
		c := journald.Config{Units: s.Units, Identifiers: s.Identifiers, FromStart: s.From == "start", Feed: f, Log: r.log}
		if s.Dir != "" {
			c.Dirs = []string{s.Dir}
		}
		return journald.New(c)
	case "syslog":
		net.Format = cmp.Or(s.Format, textlog.Syslog)
		return receive.NewSyslog(net)
	case "webhook":
		net.Format = cmp.Or(s.Format, "json")
		return receive.NewWebhook(net)
	case "netflow":
		net.Format = flow.Format
		return receive.NewNetflow(net)
	}
	return nil, fmt.Errorf("type %q is not known", s.Type)
}

// keepRunning runs a source, and again where it fails.
func (r *reading) keepRunning(ctx context.Context, run runner, f *feed.Feed) {
	for wait := backoffFirst; ctx.Err() == nil; wait = min(2*wait, backoffLast) {
		err := run.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		f.Trouble(err)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// complain tells a failure once.
func (r *reading) complain(ctx context.Context, err error, told string) string {
	switch {
	case err == nil:
		return ""
	case err.Error() != told && ctx.Err() == nil:
		r.log.Warn("what logs say waits", "error", err)
	}
	return err.Error()
}

// wait keeps positions durable and counts shown until ctx ends.
func (r *reading) wait(ctx context.Context) {
	r.wg.Go(func() { r.logs.Engine().Watch(ctx, clock.System(), r.log) })
	t := time.NewTicker(time.Second)
	defer t.Stop()
	looked, hurt := time.Time{}, ""
	for running := true; running; {
		select {
		case <-ctx.Done():
			r.wg.Wait()
			running = false
		case <-t.C:
			hurt = r.complain(ctx, r.logs.Advance(ctx), hurt)
		}
		if now := time.Now(); !running || now.Sub(looked) >= healthEvery {
			looked = now
			r.look(ctx)
		}
	}
	for _, f := range r.feeds {
		f.Close() //nolint:errcheck // it was told
	}
}
