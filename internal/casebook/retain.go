package casebook

import (
	"context"
	"database/sql"
	"errors"
)

// taker deletes and counts in one transaction.
type taker struct {
	tx   *sql.Tx
	gone Gone
	err  error
	dead map[int64]int64 // rows of evidence that went, by pack
}

// settle takes the lines of deleted evidence out of the packs, and those that
// alerts let go before.
func (t *taker) settle(ctx context.Context, p *packer) error {
	if t.err == nil {
		t.err = settleDead(ctx, t.tx, t.dead)
	}
	if t.err == nil {
		t.err = p.compact(ctx, t.tx)
	}
	return t.err
}

// del runs a deletion and gives the number of rows.
func (t *taker) del(ctx context.Context, query string, args ...any) int64 {
	if t.err != nil {
		return 0
	}
	r, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		t.err = err
		return 0
	}
	n, err := r.RowsAffected()
	t.err = err
	return n
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

// sessions deletes rows that cond holds for.
func (t *taker) sessions(ctx context.Context, cond string, args ...any) {
	t.gone.Sessions = append(t.gone.Sessions, t.texts(ctx, "DELETE FROM sessions WHERE "+cond+" RETURNING "+idOut, args...)...)
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
	err := b.write(ctx, "forget in the casebook", func(tx *sql.Tx) error {
		*t = taker{tx: tx, dead: map[int64]int64{}}
		t.rename(ctx, s, alias)
		if id := s.Session(); id != "" {
			t.session(ctx, &b.packer, id)
			return t.settle(ctx, &b.packer)
		}
		n := s.String()
		t.alerts(ctx, "source = ?", n)
		t.sessions(ctx, "source = ?", n)
		t.captures(ctx, "source = ?", n)
		t.gone.States += t.del(ctx, "DELETE FROM states WHERE source = ?", sourceBytes(s))
		return t.settle(ctx, &b.packer)
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

func (t *taker) session(ctx context.Context, p *packer, id string) {
	for _, n := range t.ofSession(ctx, p, id) {
		t.alerts(ctx, "n = ? AND length(refs) = 0", n)
	}
	t.del(ctx, "UPDATE alerts SET session = '', user = '', title = (SELECT rule_name FROM rules WHERE rules.rule = alerts.rule) WHERE session = ?", eventBytes(id))
	t.sessions(ctx, "id = ?", eventBytes(id))
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
	err := b.write(ctx, "expire in the casebook", func(tx *sql.Tx) error {
		*t = taker{tx: tx, dead: map[int64]int64{}}
		if !c.Cases.IsZero() {
			t.alerts(ctx, "last < ? AND session NOT IN (SELECT "+idIn("source")+" FROM holds)"+free, nano(c.Cases))
		}
		if !c.Sessions.IsZero() {
			t.sessions(ctx, "last < ? AND id NOT IN (SELECT "+idIn("source")+" FROM holds)"+free, nano(c.Sessions))
		}
		if !c.Captures.IsZero() {
			t.captures(ctx, "last < ? AND session NOT IN (SELECT source FROM holds)"+free, nano(c.Captures))
		}
		if !c.States.IsZero() {
			t.gone.States += t.del(ctx, "DELETE FROM states WHERE seen < ?", nano(c.States))
		}
		if t.gone.Evidence == 0 {
			return t.err
		}
		return t.settle(ctx, &b.packer)
	})
	return t.gone, err
}
