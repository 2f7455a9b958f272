// Package feed stands between a source of log lines and who takes them: it
// offers each batch until it is taken, keeps the position only then, and counts.
package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// Config is what New takes.
type Config struct {
	Name string // of the source: lower-case letters, digits, '-'
	Type string // file, journald, syslog, webhook, netflow
	Sink line.Sink
	// Dir holds the position, in files that begin with Name; empty: it is not kept.
	Dir string
	// Position is where the source goes on, instead of where Dir says; nil: as Dir says.
	Position []byte
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// The waits between two offers of a batch that was not taken.
const (
	firstWait = 50 * time.Millisecond
	lastWait  = 5 * time.Second
)

// Feed is one source's way to the sink. Give and Position are for one goroutine
// at a time; the others may be called from any.
type Feed struct {
	cfg   Config
	store *store
	turn  sync.Mutex // Give

	lines, bytes, cut, dropped, refused, again atomic.Uint64
	behind, took                               atomic.Int64

	begun sync.Once
	found chan struct{}

	mu      sync.Mutex
	trouble string
	note    string
	rhythm  rhythm
}

// New makes a Feed and reads back the position.
func New(cfg Config) (*Feed, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Feed{cfg: cfg, found: make(chan struct{})}
	if cfg.Dir != "" {
		var err error
		if f.store, err = openStore(cfg.Dir, cfg.Name); err != nil {
			return nil, fmt.Errorf("source %s: %w", cfg.Name, err)
		}
		f.rhythm = f.store.rhythm()
	}
	f.rhythm.start(cfg.Now())
	return f, nil
}

// Begin says that the source has found where it begins: what comes from now on
// is read, whatever happens.
func (f *Feed) Begin() { f.begun.Do(func() { close(f.found) }) }

// Begun is closed by Begin.
func (f *Feed) Begun() <-chan struct{} { return f.found }

// Name is the source's name.
func (f *Feed) Name() string { return f.cfg.Name }

// Now is the time by which lines are received.
func (f *Feed) Now() time.Time { return f.cfg.Now() }

// Position is where the source goes on after a start; nil: it is new.
func (f *Feed) Position() []byte {
	if f.cfg.Position != nil {
		return f.cfg.Position
	}
	if f.store == nil {
		return nil
	}
	return f.store.position()
}

// Give hands lines over and returns when they are taken and the position is
// kept. It waits as long as the sink does not take them, and gives only ctx's error.
func (f *Feed) Give(ctx context.Context, lines []line.Line, position []byte) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	began := f.cfg.Now()
	if len(lines) > 0 {
		if err := f.offer(ctx, line.Batch{Source: f.cfg.Name, Lines: lines, Position: position}); err != nil {
			return err
		}
	}
	if f.store != nil && position != nil {
		if err := f.store.save(position); err != nil {
			f.Trouble(fmt.Errorf("keep the position: %w; after a restart lines come twice", err))
		}
	}
	f.count(lines, began)
	return nil
}

func (f *Feed) offer(ctx context.Context, b line.Batch) error {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := f.cfg.Sink.Take(ctx, b)
		if err == nil {
			if wait > firstWait {
				f.Trouble(nil)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.again.Add(1)
		f.Trouble(fmt.Errorf("lines wait: %w", err))
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

func (f *Feed) count(lines []line.Line, began time.Time) {
	if len(lines) == 0 {
		return
	}
	var bytes, cut uint64
	for i := range lines {
		bytes += uint64(len(lines[i].Text))
		if lines[i].Cut {
			cut++
		}
	}
	now := f.cfg.Now()
	f.lines.Add(uint64(len(lines)))
	f.bytes.Add(bytes)
	f.cut.Add(cut)
	f.took.Store(int64(now.Sub(began)))
	f.mu.Lock()
	f.rhythm.beat(now, uint64(len(lines)))
	f.mu.Unlock()
}

// Trouble says what keeps the source from its lines; nil: nothing does. It is
// logged when it changes.
func (f *Feed) Trouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	f.mu.Lock()
	changed := text != f.trouble
	f.trouble = text
	f.mu.Unlock()
	switch {
	case changed && text != "":
		f.cfg.Log.Warn("a source of logs has trouble", "source", f.cfg.Name, "error", text)
	case changed:
		f.cfg.Log.Info("a source of logs works again", "source", f.cfg.Name)
	}
}

// Note says how the source works where that is not the usual way.
func (f *Feed) Note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note = text
}

// Behind says how many bytes of what is there were not handed over yet.
func (f *Feed) Behind(n int64) { f.behind.Store(n) }

// Dropped counts lines that came and could not be kept: datagrams only.
func (f *Feed) Dropped(n uint64) { f.dropped.Add(n) }

// Refused counts what was sent and is no line: too long, broken, not allowed.
func (f *Feed) Refused(n uint64) { f.refused.Add(n) }

// Stats is how a source goes.
type Stats struct {
	Name    string    `json:"source"`
	Type    string    `json:"type"`
	Lines   uint64    `json:"lines"`             // taken, since the process began
	Bytes   uint64    `json:"bytes"`             // of them
	Cut     uint64    `json:"cut,omitempty"`     // of them that were longer than line.MaxText
	Dropped uint64    `json:"dropped,omitempty"` // datagrams that came faster than they were taken
	Refused uint64    `json:"refused,omitempty"` // messages that were no lines
	Again   uint64    `json:"again,omitempty"`   // offers beyond the first of a batch
	Last    time.Time `json:"last,omitzero"`     // when the last line was taken, also before a restart
	Behind  int64     `json:"behind"`            // bytes that are there and not taken yet
	Took    string    `json:"took,omitempty"`    // from fetching the last batch to its being taken
	Longest string    `json:"longest,omitempty"` // silence that was seen so far
	Silent  bool      `json:"silent,omitempty"`  // for longer than ever
	Trouble string    `json:"trouble,omitempty"` // with a remedy
	Note    string    `json:"note,omitempty"`
}

// Stats is a copy of the counters.
func (f *Feed) Stats() Stats {
	s := Stats{
		Name: f.cfg.Name, Type: f.cfg.Type, Lines: f.lines.Load(), Bytes: f.bytes.Load(), Cut: f.cut.Load(),
		Dropped: f.dropped.Load(), Refused: f.refused.Load(), Again: f.again.Load(), Behind: f.behind.Load(),
	}
	if t := time.Duration(f.took.Load()); t > 0 {
		s.Took = t.Round(time.Microsecond).String()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Last, s.Trouble, s.Note = f.rhythm.Last, f.trouble, f.note
	if f.rhythm.Longest > 0 {
		s.Longest = f.rhythm.Longest.Round(time.Second).String()
	}
	_, s.Silent = f.rhythm.silent(f.cfg.Now())
	return s
}

// Silence tells once that the source is silent for longer than limit, or where
// that is 0 for longer than it ever was: for how long, and how long it was before.
func (f *Feed) Silence(limit time.Duration) (now, before time.Duration, last time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, silent := f.rhythm.silent(f.cfg.Now())
	if limit > 0 {
		silent = d > limit
	}
	if !silent || f.rhythm.told {
		return 0, 0, time.Time{}, false
	}
	f.rhythm.told = true
	return d, f.rhythm.Longest, f.rhythm.Last, true
}

// Unsaid takes back that Silence was told.
func (f *Feed) Unsaid() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rhythm.told = false
}

// Sync makes durable what is kept. It is to be called now and then: what a crash
// of the machine takes with it is what was kept since.
func (f *Feed) Sync() error {
	if f.store == nil {
		return nil
	}
	f.mu.Lock()
	r := f.rhythm
	f.mu.Unlock()
	return f.store.sync(r)
}

// Close lets go of the position's files.
func (f *Feed) Close() error {
	if f.store == nil {
		return nil
	}
	err := f.Sync()
	f.store.close()
	return err
}
