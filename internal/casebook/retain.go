package casebook

import (
	"context"
	"database/sql"
	"errors"
)

// taker deletes and counts in one transaction.
type taker struct {
	tx   *sql.Tx
	a    *applier
	all  *shelves
	p    *packer
	gone Gone
	err  error
	dead map[int64]int64 // rows of evidence that went, by pack
}

// settle takes the lines of deleted evidence out of the packs, and those that
// alerts let go before.
func (t *taker) settle(ctx context.Context) error {
	if t.err == nil {
		t.err = settleDead(ctx, t.tx, t.dead)
	}
	if t.err == nil {
		t.err = t.p.compact(ctx, t.tx, func(fn func(reference)) error {
			return eachAlert(ctx, &t.all.alerts, t.a.store(t.p), func(_ []byte, _ string, r *alertRow) error {
				for _, ref := range r.refs {
					fn(ref)
				}
				return nil
			})
		})
	}
	return t.err
}

// del runs a deletion.
func (t *taker) del(ctx context.Context, query string, args ...any) {
	if t.err == nil {
		_, t.err = t.tx.ExecContext(ctx, query, args...)
	}
}

// texts gives the first column.
func (t *taker) texts(ctx context.Context, query string, args ...any) (out []string) {
	if t.err != nil {
		return nil
	}
	rows, err := t.tx.QueryContext(ctx, query, args...)
	if err != nil {
		t.err = err
		return nil
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var s string
		if t.err = rows.Scan(&s); t.err != nil {
			return nil
		}
		out = append(out, s)
	}
	t.err = rows.Err()
	return out
}

// captures deletes rows that cond holds for; the files of those that are
// left by nobody any more are Gone.
func (t *taker) captures(ctx context.Context, cond string, args ...any) {
	sums := t.texts(ctx, "SELECT DISTINCT sha256 FROM captures WHERE "+cond, args...)
	t.del(ctx, "DELETE FROM captures WHERE "+cond, args...)
	for _, s := range sums {
		if left := t.texts(ctx, "SELECT sha256 FROM captures WHERE sha256 = ? LIMIT 1", s); len(left) == 0 {
			t.gone.Captures = append(t.gone.Captures, s)
			t.del(ctx, "DELETE FROM findings WHERE sha256 = ?", s)
		}
	}
}

// sessions deletes those that fn says are gone.
func (t *taker) sessions(ctx context.Context, fn func(*Session) bool) {
	if t.err != nil {
		return
	}
	s, chunks, keys := &t.all.sessions, t.a.store(t.p), map[string]bool{}
	t.err = s.each(ctx, chunks, s.runs, span{}, func(key, value []byte) error {
		x, err := readSession(key, value)
		if err == nil && fn(x) {
			keys[string(key)] = true
			t.gone.Sessions = append(t.gone.Sessions, x.ID)
		}
		return err
	})
	if t.err == nil && len(keys) > 0 {
		t.err = s.drop(ctx, chunks, func(key, _ []byte) (bool, error) { return keys[string(key)], nil })
	}
}

// states deletes those that fn says are gone. It says the same of what they
// were before.
func (t *taker) states(ctx context.Context, fn func(*State) bool) {
	if t.err != nil {
		return
	}
	s, chunks, before := &t.all.states, t.a.store(t.p), t.gone.States
	gone := func(key, value []byte) (bool, error) {
		x, err := parseState(key, value)
		return err == nil && fn(&x), err
	}
	t.err = s.each(ctx, chunks, s.runs, span{}, func(key, value []byte) error {
		goes, err := gone(key, value)
		if goes {
			t.gone.States++
		}
		return err
	})
	if t.err == nil && t.gone.States > before {
		t.err = s.drop(ctx, chunks, gone)
	}
}

// alerts writes all alerts anew, as one run, without those that fn takes away
// and with what it changes of the others. What they let go of is counted.
func (t *taker) alerts(ctx context.Context, fn func(id string, r *alertRow) (stays bool, err error)) {
	if t.err != nil {
		return
	}
	chunks := t.a.store(t.p)
	chunks.lost = func(r reference) { t.dead[r.pack]++ }
	t.err = t.all.alerts.rewriteAll(ctx, chunks, func(key, value []byte) ([]byte, error) {
		first, id, r, err := readAlert(key, value)
		if err != nil || r == nil { // nil: of an alert that is gone
			return nil, err
		}
		stays, err := fn(id, r)
		if err != nil {
			return nil, err
		}
		if stays {
			return r.encode(first), nil
		}
		t.gone.Alerts++
		t.letGo(r.refs)
		return nil, nil
	})
}

// letGo counts references that are gone.
func (t *taker) letGo(refs []reference) {
	for _, r := range refs {
		t.dead[r.pack]++
	}
	t.gone.Evidence += int64(len(refs))
}

// any tells whether fn is true of an alert.
func (t *taker) any(ctx context.Context, fn func(id string, r *alertRow) bool) (found bool) {
	if t.err == nil {
		t.err = eachAlert(ctx, &t.all.alerts, t.a.store(t.p), func(_ []byte, id string, r *alertRow) error {
			found = found || fn(id, r)
			return nil
		})
	}
	return found
}

// Forget implements Retainer. Of a session it removes the evidence that the
// session gave, and alerts that rest on nothing else.
func (b *SQLite) Forget(ctx context.Context, s Source, alias string) (Gone, error) {
	if s.Zero() {
		return Gone{}, errors.New("forget: nobody is named")
	}
	t := &taker{}
	err := b.take(ctx, "forget in the casebook", t, func() error {
		t.rename(ctx, s, alias)
		if id := s.Session(); id != "" {
			t.session(ctx, id)
			return t.settle(ctx)
		}
		n := s.String()
		t.alerts(ctx, func(_ string, r *alertRow) (bool, error) { return !s.Has(r.source), nil })
		t.sessions(ctx, func(x *Session) bool { return s.Has(x.Source) })
		t.captures(ctx, "source = ?", n)
		t.states(ctx, func(x *State) bool { return s.Has(x.Source) })
		return t.settle(ctx)
	})
	if err == nil {
		err = b.scrub(ctx)
	}
	return t.gone, err
}

// rename takes a source's name out of what operators did.
func (t *taker) rename(ctx context.Context, s Source, alias string) {
	names := []string{s.String()}
	if a := s.Net().Addr(); a.IsValid() {
		names = append(names, a.String())
	}
	for _, n := range names {
		t.del(ctx, "UPDATE acts SET target = replace(target, ?, ?), why = replace(why, ?, ?) WHERE instr(target, ?) OR instr(why, ?)", n, alias, n, alias, n, n)
	}
}

// session takes away the evidence that a session gave, alerts that rest on
// nothing else, and what others say of it.
func (t *taker) session(ctx context.Context, id string) {
	if t.err != nil {
		return
	}
	where, err := t.p.find(ctx, t.tx, []byte(`"lapwing.session.id":"`+id+`"`))
	if err != nil {
		t.err = err
		return
	}
	rules, err := readRules(ctx, t.tx)
	if err != nil {
		t.err = err
		return
	}
	t.alerts(ctx, func(_ string, r *alertRow) (bool, error) {
		var left, gone []reference
		for _, ref := range r.refs {
			if where[ref.pack][ref.at] {
				gone = append(gone, ref)
			} else {
				left = append(left, ref)
			}
		}
		if r.refs = left; len(gone) > 0 {
			t.letGo(gone)
		}
		if r.session == idOf(id) {
			r.session, r.user, r.title = storedID{}, "", rules[r.rule].Name
		}
		return len(gone) == 0 || len(left) > 0, nil
	})
	t.sessions(ctx, func(x *Session) bool { return x.ID == id })
	t.captures(ctx, "session = ?", id)
}

// scrub empties the write-ahead log, which holds older pages. Deleted bytes in
// the file itself were overwritten already.
func (b *SQLite) scrub(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 100 { // a reader in another goroutine can keep it for a moment
		var busy, log, done int
		if err := b.w.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil {
			return b.wrap("empty the casebook's log", err)
		}
		if busy == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return errors.New("empty the casebook's log: readers keep it; try again")
}

// Expire implements Retainer.
func (b *SQLite) Expire(ctx context.Context, c Cuts) (Gone, error) {
	const free = " AND source NOT IN (SELECT source FROM holds)"
	t := &taker{}
	err := b.take(ctx, "expire in the casebook", t, func() error {
		held := map[string]bool{}
		for _, s := range t.texts(ctx, "SELECT source FROM holds") {
			held[s] = true
		}
		if !c.Cases.IsZero() {
			old := func(_ string, r *alertRow) bool {
				return r.last < nano(c.Cases) && !held[r.session.String()] && !held[SourceOf(r.source).String()]
			}
			if t.any(ctx, old) {
				t.alerts(ctx, func(id string, r *alertRow) (bool, error) { return !old(id, r), nil })
			}
		}
		if !c.Sessions.IsZero() {
			t.sessions(ctx, func(s *Session) bool {
				return s.Last.Before(c.Sessions) && !held[s.ID] && !held[SourceOf(s.Source).String()]
			})
		}
		if !c.Captures.IsZero() {
			t.captures(ctx, "last < ? AND session NOT IN (SELECT source FROM holds)"+free, nano(c.Captures))
		}
		if !c.States.IsZero() {
			t.states(ctx, func(s *State) bool { return s.Seen.Before(c.States) })
		}
		if t.gone.Alerts == 0 {
			return t.err
		}
		return t.settle(ctx)
	})
	return t.gone, err
}

// take runs fn in one transaction, in which t takes away.
func (b *SQLite) take(ctx context.Context, what string, t *taker, fn func() error) error {
	return b.write(ctx, what, func(tx *sql.Tx) error {
		a := applier{tx: tx, st: map[string]*sql.Stmt{}}
		defer a.close()
		all, err := b.writable(ctx, tx)
		if err != nil {
			return err
		}
		*t = taker{tx: tx, a: &a, all: all, p: &b.packer, dead: map[int64]int64{}}
		return fn()
	})
}
