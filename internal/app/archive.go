//go:build unix

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/keep"
)

// storage is what the configuration says about the event log. It lies in the
// data directory, so that a command on a stopped one keeps to it.
type storage struct {
	URL       string        `json:"url,omitempty"`
	Retention time.Duration `json:"retention"`
	Rules     config.Rules  `json:"rules"`
	// Respond is what is decided by; nil in a directory from before.
	Respond *config.Respond `json:"respond,omitempty"`
}

func storageOf(c *config.Config) storage {
	return storage{URL: c.EventLog.URL, Retention: c.Retention.Raw, Rules: c.Rules, Respond: &c.Respond}
}

// client is the event log that s names.
func (s storage) client(dir Dir) (*eventlog.Client, error) {
	if s.URL != "" {
		return eventlog.NewClient(eventlog.ClientConfig{URL: s.URL})
	}
	return eventlog.NewClient(eventlog.ClientConfig{Socket: dir.storeSocket()})
}

func (d Dir) saveStorage(s storage) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(d.storage(), append(data, '\n')); err != nil {
		return fmt.Errorf("write down where events are kept: %w", err)
	}
	return nil
}

// loadStorage reads it back; a directory from before has the defaults.
func (d Dir) loadStorage() (storage, error) {
	s := storageOf(config.Default())
	data, err := os.ReadFile(d.storage())
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read where events are kept: %w", err)
	}
	return s, nil
}

// keptFile is the Keeper's State in a file.
type keptFile string

// Load implements keep.State.
func (f keptFile) Load() (journal.Position, error) {
	data, err := os.ReadFile(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return journal.Position{}, nil
	}
	if err != nil {
		return journal.Position{}, fmt.Errorf("read how far the journal is kept: %w", err)
	}
	p, err := journal.ParsePosition(strings.TrimSpace(string(data)))
	if err != nil {
		return p, fmt.Errorf("read how far the journal is kept: %s: %w; remove the file: events are then looked up again", string(f), err)
	}
	return p, nil
}

// Save implements keep.State.
func (f keptFile) Save(p journal.Position) error {
	if err := durable.WriteFile(string(f), []byte(p.String()+"\n")); err != nil {
		return fmt.Errorf("write down how far the journal is kept: %w", err)
	}
	return nil
}

// putAside appends what the event log does not take to a file.
func (d Dir) putAside(line []byte) error {
	f, err := os.OpenFile(d.aside(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the sync tells
	if _, err := f.Write(append(bytes.Clone(line), '\n')); err != nil {
		return err
	}
	return f.Sync()
}

// archive is the journal and the event log of a data directory as one.
type archive struct {
	spool  *journal.Spool
	holds  *journal.Holds
	log    *eventlog.Client
	keeper *keep.Keeper
	book   *casebook.SQLite
	judge  *judge
	// respond decides about alerts; nil where nothing is judged.
	respond *responder
	*keep.Archive
}

// openArchive opens the journal and the casebook and joins them with the event
// log. The data directory's lock is the caller's.
func (d Dir) openArchive(ctx context.Context, s storage, limit int64, log *slog.Logger) (*archive, error) {
	state := keptFile(d.kept())
	kept, err := state.Load()
	if err != nil {
		return nil, err
	}
	a := &archive{}
	// A backup that was cut off leaves a whole copy of the casebook behind.
	if err := os.Remove(d.bookCopy()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove what a backup left: %w", err)
	}
	if a.log, err = s.client(d); err != nil {
		return nil, err
	}
	if a.book, err = casebook.Open(ctx, casebook.Config{File: d.casebook(), Check: limit > 0}); err != nil {
		return nil, err
	}
	after, err := bookPosition(ctx, a.book)
	if err == nil {
		if after.Before(kept) {
			after = kept
		}
		a.spool, err = journal.Open(journal.Config{Dir: d.journal(), Limit: limit, After: after, Log: log})
	}
	if err != nil {
		a.book.Close() //nolint:errcheck // the other error is told
		return nil, err
	}
	a.holds = journal.NewHolds(a.spool.Release)
	a.keeper, err = keep.New(keep.Config{
		Journal: a.spool, Holds: a.holds, Log: a.log, State: state, Retention: s.Retention, Refuse: d.putAside, Slog: log,
	})
	if err == nil {
		var rules *rulings
		rules, err = newRulings(s.Rules, d.correlations())
		if err != nil && limit == 0 { // only looking: broken rules are no reason to show nothing
			rules, err = newRulings(config.Rules{}, "")
		}
		if err == nil {
			a.judge, err = newJudge(ctx, a.spool, a.holds, a.book, rules, log)
		}
	}
	if err != nil {
		a.spool.Close() //nolint:errcheck // the other error is told
		a.book.Close()  //nolint:errcheck // as above
		return nil, err
	}
	a.Archive = keep.NewArchive(a.keeper)
	return a, nil
}

// Close ends the journal and the casebook.
func (a *archive) Close() {
	a.respond.Close() //nolint:errcheck // what was acknowledged is synced
	a.book.Close()    //nolint:errcheck // everything applied is synced
	a.spool.Close()   //nolint:errcheck // everything acknowledged is synced
	a.log.Close()
}

// tail keeps the last of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 4096

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - maxTail; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) lastLine() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.buf))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// withStore runs fn while the embedded store of a stopped data directory runs.
func (d Dir) withStore(ctx context.Context, s storage, fn func() error) error {
	if s.URL != "" {
		return fn()
	}
	said := &tail{}
	c := storeChild(d, s.Retention)
	c.stderr, c.log = said, slog.New(slog.DiscardHandler)
	storeCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- c.run(storeCtx) }()
	var err error
	select {
	case <-c.ready:
		err = fn()
		cancel()
		<-done //nolint:errcheck // it was asked to stop
		return err
	case err = <-done:
		cancel()
		return err
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(20 * time.Second):
		err = fmt.Errorf("the event log does not start: %s", said.lastLine())
	}
	cancel()
	<-done //nolint:errcheck // the other error is told
	return err
}
