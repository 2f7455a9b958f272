// Package keep moves events from the journal into the event log, each exactly
// once, and reads both as one.
//
// The event log answers before it has written, and stores a row twice that it
// is given twice. So the Keeper inserts under a mark, makes a checkpoint every
// few seconds, compares the number of rows under the mark with what it sent,
// and only then lets the journal go. After any doubt (a start, an error, a
// count that is off) it looks up which events of the unreleased journal the
// log has, and inserts the others.
package keep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/journal"
)

// Log is the event log as this package needs it.
type Log interface {
	eventlog.Writer
	eventlog.Reader
	Raw(ctx context.Context, logsql string, r eventlog.Range, fn func(row []byte) error) error
}

// Config is what New takes.
type Config struct {
	Journal journal.Journal
	Holds   *journal.Holds
	Log     Log
	State   State
	// Retention is how long the log keeps events: what is older goes nowhere.
	Retention time.Duration
	// Every is the time between checkpoints, 0 = 5 s.
	Every time.Duration
	// Refuse takes what the log does not store however often it is asked, and
	// what is no event. nil: it is only counted.
	Refuse func(line []byte) error
	Slog   *slog.Logger
}

// State is where the Keeper writes down how far it is.
type State interface {
	Load() (journal.Position, error)
	Save(p journal.Position) error // durable on return
}

// Stats is what a Keeper counts.
type Stats struct {
	Position    journal.Position // read up to here
	Kept        journal.Position // surely in the log up to here
	Inserted    uint64           // rows
	Replayed    uint64           // of them, inserted after a doubt
	Doubts      uint64           // look-ups, the one at the start included
	Checkpoints uint64
	Expired     uint64 // older than the log keeps anything
	Refused     uint64
	Trouble     string // why nothing moves at present, "" when all is well
}

// Keeper moves events. Run sets it to work.
type Keeper struct {
	cfg  Config
	hold *journal.Hold

	mu      sync.Mutex
	st      Stats
	changed chan struct{} // closed when st.Kept moves

	settle chan struct{} // asks for a checkpoint now

	run   string // begins the marks of this Keeper
	marks uint64

	// Of Run alone:
	at    journal.Position // read up to here
	cur   stretch
	tried journal.Position // nothing after it was ever sent
	began bool             // what a Keeper before this one sent is cleared up
	open  []stretch        // inserted, not sure of yet; only a cluster lets them wait
	batch *eventlog.Batch
	air   flight
}

// stretch is what is inserted between two checkpoints.
type stretch struct {
	eventlog.Stretch
	sent  int64 // rows
	bytes int64
	since time.Time        // of the first row
	at    journal.Position // read up to here
}

// The sizes of what goes to the log at once, and of what may be unsure there.
const (
	batchRows  = 10_000
	batchBytes = 4 << 20
	largeRows  = 50_000 // of a batch that is looked up
	largeBytes = 32 << 20
	unsure     = 256 << 20
)

// New takes up where State says.
func New(cfg Config) (*Keeper, error) {
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Second
	}
	if cfg.Slog == nil {
		cfg.Slog = slog.New(slog.DiscardHandler)
	}
	if cfg.Refuse == nil {
		cfg.Refuse = func([]byte) error { return nil }
	}
	at, err := cfg.State.Load()
	if err != nil {
		return nil, err
	}
	k := &Keeper{cfg: cfg, run: strconv.FormatInt(time.Now().UnixMilli(), 36) + ".", changed: make(chan struct{}), settle: make(chan struct{}, 1)}
	k.st.Kept, k.st.Position = at, at
	k.hold = cfg.Holds.Hold(at)
	k.fresh()
	return k, nil
}

// Stats is a copy of the counters.
func (k *Keeper) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.st
}

func (k *Keeper) count(fn func(*Stats)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn(&k.st)
}

// Settle returns when everything that is in the journal now is surely in the
// log, and the Keeper will not insert it again.
func (k *Keeper) Settle(ctx context.Context) error {
	end := k.cfg.Journal.End()
	for {
		k.mu.Lock()
		kept, changed, trouble := k.st.Kept, k.changed, k.st.Trouble
		k.mu.Unlock()
		if !kept.Before(end) {
			return nil
		}
		k.ask()
		select {
		case <-changed:
		case <-ctx.Done():
			if trouble != "" {
				return fmt.Errorf("empty the journal into the event log: %s", trouble)
			}
			return fmt.Errorf("empty the journal into the event log: %w", ctx.Err())
		}
	}
}

// The wait after a failure.
const (
	waitFirst   = 50 * time.Millisecond
	waitLongest = 5 * time.Second
)

// Run moves events until ctx ends. What goes wrong is told once and tried
// again; nothing is lost meanwhile.
func (k *Keeper) Run(ctx context.Context) error {
	for wait := waitFirst; ; wait = min(2*wait, waitLongest) {
		began := time.Now()
		err := k.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to stop
		}
		if time.Since(began) > waitLongest {
			wait = waitFirst
		}
		k.trouble(err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// trouble tells a failure once.
func (k *Keeper) trouble(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	k.mu.Lock()
	before := k.st.Trouble
	k.st.Trouble = text
	k.mu.Unlock()
	switch {
	case text == "" && before != "":
		k.cfg.Slog.Info("the event log takes events again")
	case text == "" || before != "" && !errors.Is(err, eventlog.ErrNoRoom):
	case errors.Is(err, eventlog.ErrNoRoom):
		if before != text {
			k.cfg.Slog.Error("the disk of the event log is full: events stay in the journal until it is full, too; free some space", "error", err)
		}
	default:
		k.cfg.Slog.Warn("the event log does not take events; they stay in the journal", "error", err)
	}
}

// session clears up what is in doubt, then follows the journal.
func (k *Keeper) session(ctx context.Context) error {
	defer k.air.land() //nolint:errcheck // a failure is told already, or clears up at the next start
	if err := k.recover(ctx); err != nil {
		return err
	}
	for {
		k.trouble(nil)
		if err := k.follow(ctx); err != nil {
			return err
		}
		if err := k.flush(ctx); err != nil {
			return err
		}
		if err := k.wait(ctx); err != nil {
			return err
		}
	}
}

var errFull = errors.New("the batch is full")

// follow inserts what the journal holds after k.at.
func (k *Keeper) follow(ctx context.Context) error {
	for {
		more, err := k.fill(ctx, k.cfg.Journal.End(), batchRows, batchBytes)
		if err == nil {
			err = k.launch(ctx)
		}
		if err == nil && !more {
			err = k.air.land()
		}
		if err == nil && (k.cur.bytes >= unsure || k.due() <= 0) {
			err = k.checkpoint(ctx)
		}
		if err != nil || !more {
			return err
		}
	}
}

// fill reads entries up to end into the batch and moves k.at; more tells
// whether some are left.
func (k *Keeper) fill(ctx context.Context, end journal.Position, rows, size int) (more bool, err error) {
	k.batch.Reset()
	if !k.at.Before(end) {
		return false, nil
	}
	at, err := k.cfg.Journal.Read(ctx, k.at, func(e journal.Entry) error {
		if k.batch.Len() >= rows || k.batch.Size() >= size || end.Before(e.Pos) {
			return errFull
		}
		return k.take(e)
	})
	more = errors.Is(err, errFull) && at.Before(end)
	if err != nil && !errors.Is(err, errFull) {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	k.at = at
	if old := time.Now().Add(time.Hour - k.cfg.Retention); k.cfg.Retention > 0 {
		if n := k.batch.Expire(old); n > 0 {
			k.count(func(st *Stats) { st.Expired += uint64(n) })
		}
	}
	return more, nil
}

func (k *Keeper) take(e journal.Entry) error {
	return eachLine(e.Data, func(n int, line []byte) error {
		if err := k.batch.Add(line, fallbackID(e.Pos, n)); err != nil {
			return k.refuse(line, err)
		}
		return nil
	})
}

// fallbackID names an event that has no id by where it lies.
func fallbackID(p journal.Position, n int) string { return p.String() + ":" + strconv.Itoa(n) }

func (k *Keeper) refuse(line []byte, why error) error {
	k.count(func(st *Stats) { st.Refused++ })
	k.cfg.Slog.Error("an event cannot be kept in the event log and is put aside", "error", why, "bytes", len(line))
	if err := k.cfg.Refuse(line); err != nil {
		return fmt.Errorf("put an event aside: %w", err)
	}
	return nil
}

// begin begins a stretch.
func (k *Keeper) begin() {
	k.marks++
	k.cur = stretch{at: k.at, since: time.Now()}
	k.cur.Mark = k.run + strconv.FormatUint(k.marks, 36)
}

// checkpoint makes sure of everything up to k.at, or of as much as can be.
func (k *Keeper) checkpoint(ctx context.Context) error {
	if err := k.air.land(); err != nil {
		return err
	}
	k.cur.Until = time.Now()
	if k.cur.sent > 0 || k.Stats().Kept.Before(k.cur.at) {
		k.open = append(k.open, k.cur)
	}
	k.begin()
	for len(k.open) > 0 {
		s := &k.open[0]
		if s.sent > 0 {
			stored, err := k.cfg.Log.Checkpoint(ctx, s.Stretch)
			if errors.Is(err, eventlog.ErrNotYet) {
				return nil
			}
			if err != nil {
				return err
			}
			if stored != s.sent {
				return fmt.Errorf("the event log holds %d of %d rows that it took", stored, s.sent)
			}
		}
		if err := k.keep(s.at); err != nil {
			return err
		}
		k.open = k.open[1:]
	}
	return nil
}

// keep moves the position up to which everything is surely in the log.
func (k *Keeper) keep(p journal.Position) error {
	if err := k.cfg.State.Save(p); err != nil {
		return err
	}
	k.mu.Lock()
	k.st.Kept = p
	k.st.Checkpoints++
	close(k.changed)
	k.changed = make(chan struct{})
	k.mu.Unlock()
	if err := k.hold.Move(p); err != nil {
		k.cfg.Slog.Warn("a part of the journal cannot be let go", "error", err)
	}
	return nil
}

// unsettled tells whether something waits for a checkpoint.
func (k *Keeper) unsettled() bool {
	return k.cur.sent > 0 || len(k.open) > 0 || k.Stats().Kept.Before(k.cur.at)
}

// due tells how long the next checkpoint may wait.
func (k *Keeper) due() time.Duration { return k.cfg.Every - time.Since(k.cur.since) }

// flush makes a checkpoint where one is due.
func (k *Keeper) flush(ctx context.Context) error {
	asked := false
	select {
	case <-k.settle:
		asked = true
	default:
	}
	if k.unsettled() && (asked || k.due() <= 0) {
		return k.checkpoint(ctx)
	}
	return nil
}

// wait sleeps until there is something to do. While events come, it lets some
// gather.
func (k *Keeper) wait(ctx context.Context) error {
	if !k.unsettled() {
		k.fresh()
		if err := k.cfg.Journal.Wait(ctx, k.at); err != nil {
			return err
		}
		return k.pause(ctx, gather)
	}
	due, cancel := context.WithTimeout(ctx, max(k.due(), time.Millisecond))
	defer cancel()
	came := make(chan error, 1)
	go func() { came <- k.cfg.Journal.Wait(due, k.at) }()
	select {
	case <-k.settle:
		k.ask()
		cancel()
		<-came //nolint:errcheck // it was told to end
	case err := <-came:
		if err == nil {
			return k.pause(ctx, gather)
		}
		if due.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

// ask asks for a checkpoint.
func (k *Keeper) ask() {
	select {
	case k.settle <- struct{}{}:
	default:
	}
}

// gather is how long events gather before they are sent, unless somebody
// waits: few large inserts cost the log less, and who reads gets what is in
// the journal alone, too.
const gather = 250 * time.Millisecond

func (k *Keeper) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-k.settle:
		k.ask()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func eachLine(data []byte, fn func(n int, line []byte) error) error {
	for n := 0; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		if len(line) > 0 {
			if err := fn(n, line); err != nil {
				return err
			}
		}
		data = rest
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
