//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
	"github.com/lapwing-defence/lapwing/internal/vault"
	"github.com/lapwing-defence/lapwing/internal/visitors"
)

// HubOrders is what the supervisor tells the hub.
type HubOrders struct {
	Dir      Dir            `json:"dir"`
	Observer string         `json:"observer"`
	Config   *config.Config `json:"config"`
}

// keeper is the hub's Handler: it keeps what comes up from the worker.
type keeper struct {
	dir      Dir
	journal  *journal.Spool
	vault    *vault.Vault
	visitors *visitors.Store
	book     casebook.Reader
	respond  *responder
}

var _ uplink.Handler = (*keeper)(nil)

// Events appends a batch to the journal.
func (k *keeper) Events(ctx context.Context, b uplink.Batch) error {
	_, err := k.journal.AppendOnce(ctx, b.Depth, journal.Key{Client: b.Client, Seq: b.Seq}, b.Lines)
	if errors.Is(err, journal.ErrFull) {
		return errors.Join(uplink.ErrFull, err)
	}
	return err
}

// logKeeper keeps what comes up from the process that reads logs, which may have
// found something that is to be answered at once.
type logKeeper struct{ *keeper }

// Events appends a batch to the journal, then offers it to who decides.
func (k logKeeper) Events(ctx context.Context, b uplink.Batch) error {
	if err := k.keeper.Events(ctx, b); err != nil {
		return err
	}
	k.respond.offer(b.Lines)
	return nil
}

// Capture seals a file.
func (k *keeper) Capture(_ context.Context, r io.Reader) (string, int64, error) {
	return k.vault.Put(r)
}

// sessionFile is where a recording lies; an id that is no UUID has none.
func (d Dir) sessionFile(id string) (string, error) {
	if len(id) != 36 || strings.Trim(id, "0123456789abcdef-") != "" {
		return "", fmt.Errorf("%q is not the id of a session", id)
	}
	return filepath.Join(d.recordings(), id+".cast"), nil
}

// Cast writes a part of a recording.
func (k *keeper) Cast(_ context.Context, session string, offset int64, data []byte) error {
	name, err := k.dir.sessionFile(session)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the write tells
	_, err = f.WriteAt(data, offset)
	return err
}

// hubGarbage is GOGC in the hub: what it holds is little, what it passes on is much.
// hubMemory is from where on it collects more often: in a flood garbage is made
// faster than it is worth waiting with.
const (
	hubGarbage = 400
	hubMemory  = 320 << 20
)

// RunHub is the hub process.
func RunHub(ctx context.Context, log *slog.Logger) error { //nolint:funlen // its parts, opened in order
	var o HubOrders
	ctl, err := openControl(&o)
	if err != nil {
		return err
	}
	debug.SetGCPercent(hubGarbage)
	limitMemory(hubMemory)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go tend(ctx, true)
	go func() { lines(ctl.conn, func(string) {}); cancel() }()
	unlock, err := o.Dir.lock(ctx, "hub.lock", 15*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	kept, stopKeeping, err := o.keep(ctx, log)
	if err != nil {
		return fatal(ctl, err)
	}
	defer stopKeeping()
	key, err := o.Dir.key("vault")
	if err != nil {
		return fatal(ctl, err)
	}
	v, err := vault.Open(o.Dir.captures(), key, int64(o.Config.Captures.Quota))
	if err != nil {
		return fatal(ctl, err)
	}
	if err := v.Clean(); err != nil {
		log.Warn("what a crash left of captured files stays", "error", err)
	}
	states, err := o.Dir.openVisitors(o.Config.Visitors)
	if err != nil {
		return fatal(ctl, err)
	}
	site, err := o.Dir.key("site")
	if err != nil {
		return fatal(ctl, err)
	}
	tokens, err := o.Dir.openTokens()
	if err != nil {
		return fatal(ctl, err)
	}
	defer tokens.keep(ctx, log)()
	in := &intake{observer: o.Observer, passwords: o.Config.Record.Passwords, key: site, now: time.Now, tokens: tokens.watch}
	keep := &keeper{o.Dir, kept.spool, v, states, kept.book, kept.respond}
	defer keep.background(ctx, &o, log)()
	up := uplink.NewServer(uplink.ServerConfig{
		Handler: keep, Clock: clock.System(), Log: log, MaxCapture: int64(o.Config.Captures.MaxFile),
		Stamp: func(_ string, e *event.Event) { in.stamp(e, in.now()) },
		Quick: func(_ string, dst, line []byte) ([]byte, bool) { return in.quick(dst, line, in.now()) },
	})
	jl, err := listenUnix(o.Dir.journalSocket())
	if err != nil {
		return fatal(ctl, err)
	}
	al, err := listenUnix(o.Dir.apiSocket())
	if err != nil {
		return fatal(ctl, err)
	}
	desk, err := kept.openDesk(deskParts{dir: o.Dir, vault: v, visitors: states, tokens: tokens, running: true}, log)
	if err != nil {
		return fatal(ctl, err)
	}
	defer desk.retain(ctx, o.Config.Retention)()
	if desk.notify, err = o.Dir.openNotify(o.Config, o.Observer); err != nil {
		return fatal(ctl, err)
	}
	if desk.respond != nil {
		desk.respond.people.Store(desk.notify)
	}
	defer tellPeople(ctx, desk.notify, desk.judge, log)()
	stopReading, err := o.serveReader(ctx, logKeeper{keep}, in, log)
	if err != nil {
		return fatal(ctl, err)
	}
	defer stopReading()
	srv := &http.Server{Handler: apiHandler(desk), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	errs := make(chan error, 2)
	go func() { errs <- up.ServeListener(ctx, jl) }()
	go func() { errs <- srv.Serve(al) }()
	if err := ctl.tell("ready"); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-errs:
	}
	cancel()
	srv.Close() //nolint:errcheck // the listeners end
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// ToldError is an error of a process of ours that its supervisor was told of
// and will show.
type ToldError struct{ Err error }

// Error is the text of the error told.
func (e ToldError) Error() string { return e.Err.Error() }

// Unwrap gives the error told.
func (e ToldError) Unwrap() error { return e.Err }

// fatal tells the supervisor that starting this process again is no use.
func fatal(ctl *control, err error) error {
	if ctl.tell("fatal "+strings.ReplaceAll(err.Error(), "\n", " ")) != nil {
		return err
	}
	return ToldError{err}
}

// listenUnix listens on a socket that only the owner may use.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	ln, err := net.Listen("unix", path) //nolint:noctx // nothing to wait for
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return ln, os.Chmod(path, 0o600)
}
