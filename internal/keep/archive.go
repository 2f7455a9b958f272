package keep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/journal"
)

// Archive reads every event once: those in the log, then those that are in
// the journal alone, in the order of arrival.
type Archive struct {
	journal journal.Journal
	log     Log
	keeper  *Keeper

	patience time.Duration // how long a log that starts just now is waited for
}

// NewArchive reads what keeper moves.
func NewArchive(k *Keeper) *Archive {
	return &Archive{journal: k.cfg.Journal, log: k.cfg.Log, keeper: k, patience: 10 * time.Second}
}

// Query asks an Archive for events.
type Query struct {
	eventlog.Query
	Pipes   string // LogsQL after the condition; then the answer is rows of the log, not events
	Follow  bool   // go on as they come
	FromEnd bool   // only what comes from now on; needs Follow
	// Idle, if there is one, is called when Follow has nothing more for now.
	Idle func() error
}

// PartialError says that the log could not be read: what came is what the
// journal holds.
type PartialError struct{ Err error }

// Error says what is missing, and why.
func (e PartialError) Error() string {
	return fmt.Sprintf("the event log cannot be read now, only events that are not in it yet were given; try again in a moment: %v", e.Err)
}

// Unwrap is the reason.
func (e PartialError) Unwrap() error { return e.Err }

// pin keeps what is not surely in the log from being released.
func (k *Keeper) pin() (journal.Position, *journal.Hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.st.Kept, k.cfg.Holds.Hold(k.st.Kept)
}

// Read calls fn with each event that q asks for as a line of JSON. The line
// is fn's for the length of the call only.
func (a *Archive) Read(ctx context.Context, q Query, fn func(line []byte) error) error {
	if q.Pipes != "" {
		return a.pipes(ctx, q, fn)
	}
	from, hold := a.keeper.pin()
	defer hold.Drop() //nolint:errcheck // the keeper tells
	end := a.journal.End()
	if q.FromEnd {
		from = end
	}
	rest := &rest{archive: a, match: eventlog.NewMatcher(q.Query), last: q.Last, from: from, end: end}
	if err := rest.scan(ctx); err != nil {
		return err
	}
	if rest.held || q.FromEnd { // a slow reader must not keep the journal from being emptied
		hold.Drop() //nolint:errcheck // the keeper tells
	}
	var away error
	if !q.FromEnd && (q.Last == 0 || rest.n < q.Last) {
		if err := a.old(ctx, q, rest, fn); err != nil {
			if !errors.Is(err, eventlog.ErrAway) {
				return err
			}
			away = PartialError{err}
		}
	}
	if err := rest.print(ctx, fn); err != nil || away != nil || !q.Follow {
		return errors.Join(err, away)
	}
	return a.follow(ctx, end, rest.match, q, fn)
}

// old reads the log, but not what the rest of the journal holds, too.
func (a *Archive) old(ctx context.Context, q Query, rest *rest, fn func(line []byte) error) error {
	var held [][]byte // of the last ones
	begun := false
	id := eventlog.NewMatcher(eventlog.Query{})
	take := func(line []byte) error {
		begun = true
		if len(rest.ids) > 0 {
			if key, _ := id.Match(line, ""); rest.ids[key] {
				return nil
			}
		}
		if q.Last > 0 {
			held = append(held, append([]byte(nil), line...))
			return nil
		}
		return fn(line)
	}
	for deadline := time.Now().Add(a.patience); ; {
		err := a.log.Read(ctx, q.Query, take)
		if err == nil {
			break
		}
		if begun || !errors.Is(err, eventlog.ErrAway) || time.Now().After(deadline) {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if n := q.Last - rest.n; n > 0 && len(held) > n {
		held = held[len(held)-n:]
	}
	for _, line := range held {
		if err := fn(line); err != nil {
			return err
		}
	}
	return nil
}

// pipes hands a query to the log as it is, once everything is in it.
func (a *Archive) pipes(ctx context.Context, q Query, fn func(line []byte) error) error {
	wait, cancel := context.WithTimeout(ctx, 2*a.patience)
	defer cancel()
	if err := a.keeper.Settle(wait); err != nil {
		return err
	}
	return a.log.Raw(ctx, q.Where.String()+" | "+q.Pipes, q.Range, fn)
}

// follow gives events as they come. It holds nothing back: who reads more
// slowly than the journal is emptied misses events.
func (a *Archive) follow(ctx context.Context, at journal.Position, m *eventlog.Matcher, q Query, fn func(line []byte) error) error {
	for {
		if q.Idle != nil && !at.Before(a.journal.End()) {
			if err := q.Idle(); err != nil {
				return err
			}
		}
		if err := a.journal.Wait(ctx, at); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was asked to stop
			}
			return err
		}
		next, err := a.journal.Read(ctx, at, func(e journal.Entry) error {
			return eachLine(e.Data, func(n int, line []byte) error {
				if _, ok := m.Match(line, fallbackID(e.Pos, n)); ok {
					return fn(line)
				}
				return nil
			})
		})
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was asked to stop
			}
			return err
		}
		at = next
	}
}

// rest is what lies in the journal and is not surely in the log.
type rest struct {
	archive   *Archive
	match     *eventlog.Matcher
	last      int
	from, end journal.Position
	ids       map[[16]byte]bool // of those asked for
	n         int               // how many
	lines     [][]byte          // they, where held is true
	size      int
	held      bool
}

// maxHeld is how many bytes of the rest are held in memory.
const maxHeld = 64 << 20

var errEnd = errors.New("the end of the rest")

// each calls fn with the events of the rest that are asked for, each once.
func (r *rest) each(ctx context.Context, fn func(line []byte) error) error {
	r.ids = make(map[[16]byte]bool, len(r.ids))
	if !r.from.Before(r.end) {
		return nil
	}
	_, err := r.archive.journal.Read(ctx, r.from, func(e journal.Entry) error {
		if r.end.Before(e.Pos) {
			return errEnd
		}
		return eachLine(e.Data, func(n int, line []byte) error {
			key, ok := r.match.Match(line, fallbackID(e.Pos, n))
			if !ok || r.ids[key] {
				return nil
			}
			r.ids[key] = true
			return fn(line)
		})
	})
	if errors.Is(err, errEnd) {
		err = nil
	}
	return err
}

// scan finds out what there is.
func (r *rest) scan(ctx context.Context) error {
	r.held = true
	err := r.each(ctx, func(line []byte) error {
		r.n++
		if r.held {
			r.hold(line)
		}
		return nil
	})
	return err
}

func (r *rest) hold(line []byte) {
	if r.size += len(line); r.size > maxHeld {
		r.held, r.lines = false, nil
		return
	}
	r.lines = append(r.lines, append([]byte(nil), line...))
	if r.last > 0 && len(r.lines) > 2*r.last { // only the newest are wanted
		drop := r.lines[:len(r.lines)-r.last]
		for _, l := range drop {
			r.size -= len(l)
		}
		r.lines = append([][]byte(nil), r.lines[len(drop):]...)
	}
}

// print gives them out, the last ones where only those are asked for.
func (r *rest) print(ctx context.Context, fn func(line []byte) error) error {
	if r.held {
		if r.last > 0 && len(r.lines) > r.last {
			r.lines = r.lines[len(r.lines)-r.last:]
		}
		for _, line := range r.lines {
			if err := fn(line); err != nil {
				return err
			}
		}
		return nil
	}
	skip := 0
	if r.last > 0 {
		skip = max(r.n-r.last, 0)
	}
	return r.each(ctx, func(line []byte) error {
		if skip > 0 {
			skip--
			return nil
		}
		return fn(line)
	})
}
