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
		t.err = t.p.compact(ctx, t.tx)
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

// drop takes the records out of a shelf that fn says are gone, and counts them.
func (t *taker) drop(ctx context.Context, s *shelf, fn func(key, value []byte) (bool, error)) (n int64) {
	if t.err != nil {
		return 0
	}
	chunks, keys := t.a.store(t.p), map[string]bool{}
	t.err = s.each(ctx, chunks, s.runs, nil, nil, func(key, value []byte) error {
		gone, err := fn(key, value)
		if gone {
			keys[string(key)] = true
		}
		return err
	})
	if t.err == nil && len(keys) > 0 {
		t.err = s.drop(ctx, chunks, func(key []byte) bool { return keys[string(key)] })
	}
	return int64(len(keys))
}

// sessions deletes those that fn says are gone.
func (t *taker) sessions(ctx context.Context, fn func(*Session) bool) {
	t.drop(ctx, &t.all.sessions, func(key, value []byte) (bool, error) {
		s, err := readSession(key, value)
		if err != nil || !fn(s) {
			return false, err
		}
		t.gone.Sessions = append(t.gone.Sessions, s.ID)
		return true, nil
	})
}

// states deletes those that fn says are gone.
func (t *taker) states(ctx context.Context, fn func(*State) bool) {
	t.gone.States += t.drop(ctx, &t.all.states, func(key, value []byte) (bool, error) {
		s, err := parseState(key, value)
		return err == nil && fn(&s), err
	})
}

// alerts deletes rows that cond holds for, with their evidence.
func (t *taker) alerts(ctx context.Context, cond string, args ...any) {
	if t.err != nil {
		return
	}
	rows, err := t.tx.QueryContext(ctx, "DELETE FROM alerts WHERE "+cond+" RETURNING refs", args...) //nolint:gosec // cond is ours
	if err != nil {
		t.err = err
		return
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for t.err == nil && rows.Next() {
		var data []byte
		if t.err = rows.Scan(&data); t.err != nil {
			return
		}
		var refs []reference
		refs, t.err = parseRefs(data)
		for _, r := range refs {
			t.dead[r.pack]++
		}
		t.gone.Alerts++
		t.gone.Evidence += int64(len(refs))
	}
	if t.err == nil {
		t.err = rows.Err()
	}
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
		t.alerts(ctx, "source = ?", n)
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

func (t *taker) session(ctx context.Context, id string) {
	for _, n := range t.ofSession(ctx, t.p, id) {
		t.alerts(ctx, "n = ? AND length(refs) = 0", n)
	}
	t.del(ctx, "UPDATE alerts SET session = '', user = '', title = (SELECT rule_name FROM rules WHERE rules.rule = alerts.rule) WHERE session = ?", eventBytes(id))
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
			t.alerts(ctx, "last < ? AND session NOT IN (SELECT "+idIn("source")+" FROM holds)"+free, nano(c.Cases))
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
		if t.gone.Evidence == 0 {
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
