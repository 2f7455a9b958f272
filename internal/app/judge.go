//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/detect"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// The sizes of what is judged and written together.
const (
	judgeEvents = 30_000
	judgeBytes  = 24 << 20
	judgePause  = 100 * time.Millisecond // between two writes, at least
	judgeRest   = 20                     // times as long as a write took, so that many events share one…
	judgeLong   = time.Second            // …but at most so long
	feedLength  = 1024                   // alerts that one slow reader of the feed may be behind
)

// judge reads the journal once and writes what follows from it into the
// casebook: alerts, indexes, its own memory and how far it is, in one
// transaction. So after any end of the process no event is judged twice, and
// none is skipped.
type judge struct {
	journal journal.Journal
	book    casebook.Book
	engine  *detect.Engine
	rules   *rulings
	hold    *journal.Hold
	log     *slog.Logger

	work   sync.Mutex   // held while engine and casebook change
	hurt   string       // what was last complained about, under work
	reader event.Reader // under work

	mu      sync.Mutex
	at      journal.Position // everything before it is judged
	judged  uint64           // events, since the start
	changed chan struct{}    // closed when at moves
	feeds   map[chan alert.Alert]*feedState
	kick    chan struct{} // somebody waits: no pause now
}

type feedState struct{ missed int64 }

// newJudge goes on where the casebook says.
func newJudge(ctx context.Context, j journal.Journal, holds *journal.Holds, book casebook.Book, rules *rulings, log *slog.Logger) (*judge, error) {
	at, err := bookPosition(ctx, book)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := rules.load(ctx, j, at, log); err != nil {
		return nil, err
	}
	g := &judge{
		rules: rules, journal: j, book: book, log: log, at: at, hold: holds.Hold(rules.safe(at)),
		changed: make(chan struct{}), feeds: map[chan alert.Alert]*feedState{}, kick: make(chan struct{}, 1),
	}
	g.engine = detect.New(detect.Config{Recall: func(ctx context.Context, key string) (detect.State, bool, error) {
		s, ok, err := book.Recall(ctx, key)
		return detect.State(s), ok, err
	}})
	return g, nil
}

func bookPosition(ctx context.Context, book casebook.Book) (journal.Position, error) {
	text, err := book.Position(ctx)
	if err != nil {
		return journal.Position{}, err
	}
	return journal.ParsePosition(text)
}

// run judges until ctx ends.
func (g *judge) run(ctx context.Context) {
	defer g.rest()
	for ctx.Err() == nil {
		if !g.await(ctx) {
			return
		}
		began := time.Now()
		more, err := g.step(ctx)
		g.complain(ctx, err)
		wait := min(max(judgePause, judgeRest*time.Since(began)), judgeLong)
		switch {
		case err != nil:
			wait = time.Second
		case more:
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-g.kick:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// await returns when there is something to judge, or a correlation may be due;
// false when ctx ended.
func (g *judge) await(ctx context.Context) bool {
	soon, cancel := context.WithTimeout(ctx, ruleLateness)
	defer cancel()
	err := g.journal.Wait(soon, g.position())
	return err == nil || ctx.Err() == nil && soon.Err() != nil
}

// rest writes the correlations' state at the end.
func (g *judge) rest() {
	g.work.Lock()
	defer g.work.Unlock()
	if err := g.rules.save(g.position(), true); err != nil {
		g.log.Warn("the state of the correlations was not written", "error", err)
	}
}

// complain tells a failure once.
func (g *judge) complain(ctx context.Context, err error) {
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	if text != "" && text != g.hurt {
		g.log.Error("alerts cannot be written; events wait in the journal", "error", err)
	}
	if text == "" && g.hurt != "" && err == nil {
		g.log.Info("alerts can be written again")
	}
	g.hurt = text
}

// JudgeStats is how far the judge is.
type JudgeStats struct {
	Position journal.Position // everything before it is judged
	Events   uint64           // judged since the start of the process
}

func (g *judge) stats() JudgeStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return JudgeStats{Position: g.at, Events: g.judged}
}

func (g *judge) position() journal.Position {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at
}

// settle returns when everything that is in the journal now is judged; run is running.
func (g *judge) settle(ctx context.Context) error {
	end := g.journal.End()
	for {
		g.mu.Lock()
		at, changed := g.at, g.changed
		g.mu.Unlock()
		if !at.Before(end) {
			return nil
		}
		select {
		case g.kick <- struct{}{}:
		default:
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the judge: %w", ctx.Err())
		}
	}
}

// catchUp judges everything that is in the journal; run is not running.
func (g *judge) catchUp(ctx context.Context) error {
	for g.position().Before(g.journal.End()) {
		if _, err := g.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

var errEnough = errors.New("enough for one batch")

// step judges a batch and writes what follows; more tells whether the journal
// holds more. After an error the engine recalls what the casebook holds, and
// the same events are judged again.
func (g *judge) step(ctx context.Context) (more bool, err error) {
	g.work.Lock()
	defer g.work.Unlock()
	var batch casebook.Batch
	size, seen := 0, 0
	g.rules.again()
	at, err := g.journal.Read(ctx, g.position(), func(e journal.Entry) error {
		if seen >= judgeEvents || size >= judgeBytes {
			return errEnough
		}
		size += len(e.Data)
		n, err := g.entry(ctx, &batch, e)
		seen += n
		return err
	})
	more = errors.Is(err, errEnough)
	if err == nil { // all is read: the time may tell
		err = g.due(ctx, &batch)
	}
	if more {
		err = nil
	}
	if err == nil && at == g.position() && batch.Empty() {
		return false, g.remember(at, true)
	}
	g.rules.respond.answered()
	if err == nil {
		err = g.apply(ctx, &batch, at)
	}
	if err != nil {
		g.engine.Forget()
		return false, err
	}
	g.rules.written()
	g.tell(&batch)
	g.mu.Lock()
	g.at = at
	g.judged += uint64(seen)
	close(g.changed)
	g.changed = make(chan struct{})
	g.mu.Unlock()
	return more, g.remember(at, false)
}

// remember writes the state of the correlations where it is due, and lets go of
// the journal up to what is in it: after a kill the rest is judged again. Where
// it is quiet it is due.
func (g *judge) remember(at journal.Position, quiet bool) error {
	if err := g.rules.save(at, quiet); err != nil {
		g.log.Warn("the state of the correlations was not written", "error", err)
	}
	return g.hold.Move(g.rules.safe(at))
}

// due raises correlations that come due with the time alone.
func (g *judge) due(ctx context.Context, batch *casebook.Batch) error {
	vs := append(g.rules.due, g.rules.engine.Advance(time.Now().Add(-ruleLag))...) // those of a step that failed, too
	if len(vs) == 0 {
		return nil
	}
	g.rules.due = vs
	return g.rules.raise(ctx, g.engine, batch, seen{}, vs)
}

// entry judges the lines of an entry and counts them.
func (g *judge) entry(ctx context.Context, batch *casebook.Batch, entry journal.Entry) (n int, err error) {
	g.rules.entry(entry.Pos)
	text := string(entry.Data) // the one copy: events, evidence and ids are parts of it
	for from := 0; from < len(text); {
		to := from + len(text[from:])
		if i := strings.IndexByte(text[from:], '\n'); i >= 0 {
			to = from + i
		}
		if to > from {
			n++
			if err := g.take(ctx, batch, text[from:to], entry.Data[from:to]); err != nil {
				return n, err
			}
		}
		from = to + 1
	}
	return n, nil
}

// take judges one line, which is there twice. What is no event has no say here;
// the keeper puts it aside.
func (g *judge) take(ctx context.Context, batch *casebook.Batch, text string, line []byte) error {
	e, err := g.reader.Decode(text)
	switch {
	case err != nil:
		return nil //nolint:nilerr // as said
	case isTest(e):
		batch.Index(e)
		return nil
	case logged(e):
		return g.raiseLogged(ctx, batch, seen{e, text})
	}
	said := g.rules.line(line)
	quiet := e.Action == event.ActionConnectionOpened || e.Action == event.ActionConnectionClosed // say nothing to the judge
	if quiet && len(said) == 0 {
		return nil
	}
	if !quiet {
		batch.Index(e)
	}
	return g.rules.raise(ctx, g.engine, batch, seen{e, text}, said)
}

// isTest tells of an event of an announced test of a token: it counts for
// nothing. Only the hub writes this name.
func isTest(e *event.Event) bool {
	v, ok := e.Get(token.TestField)
	return ok && v.Kind() == event.KindBool && v.Int64() == 1
}

func (g *judge) apply(ctx context.Context, batch *casebook.Batch, at journal.Position) error {
	states, moves := g.engine.Changed()
	for _, s := range states {
		batch.State(casebook.State(s))
	}
	for _, m := range moves {
		batch.Move(casebook.Move(m))
	}
	batch.Position = at.String()
	return g.book.Apply(ctx, batch)
}

// tell sends what was written to the feeds: new alerts, and growing ones at
// 2, 4, 8, … events, so that one of them does not flood a screen.
func (g *judge) tell(batch *casebook.Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.feeds) == 0 {
		return
	}
	batch.Told(func(a *alert.Alert, before int64) {
		if bits.Len64(uint64(before)) == bits.Len64(uint64(a.Count)) {
			return
		}
		g.show(a)
	})
}

// show gives an alert to the feeds; g.mu is held.
func (g *judge) show(a *alert.Alert) {
	for ch, st := range g.feeds {
		select {
		case ch <- *a:
		default:
			st.missed++
		}
	}
}

// feed gives alerts as they are written, until stop. missed counts those that
// a slow reader did not get.
func (g *judge) feed() (alerts <-chan alert.Alert, missed func() int64, stop func()) {
	ch, st := make(chan alert.Alert, feedLength), &feedState{}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.feeds[ch] = st
	missed = func() int64 {
		g.mu.Lock()
		defer g.mu.Unlock()
		n := st.missed
		st.missed = 0
		return n
	}
	return ch, missed, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.feeds, ch)
	}
}

// forget removes a source from the casebook and from the engine's memory.
func (g *judge) forget(ctx context.Context, s casebook.Source, alias string) (casebook.Gone, error) {
	g.work.Lock()
	defer g.work.Unlock()
	g.engine.Forget()
	if err := g.rules.forget(); err != nil {
		return casebook.Gone{}, err
	}
	return g.book.Forget(ctx, s, alias)
}
