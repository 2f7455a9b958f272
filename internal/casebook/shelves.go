package casebook

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"hash/maphash"
	"slices"
)

// shelves are all shelves of a casebook, as one transaction sees them.
type shelves struct {
	alerts, sessions, states shelf
}

// querier is a transaction or a database.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// openShelves reads what runs there are.
func openShelves(ctx context.Context, q querier) (*shelves, error) {
	out := &shelves{
		alerts:   shelf{kind: shelfAlerts, size: zipBytes, pack: true, join: joinAlerts},
		sessions: shelf{kind: shelfSessions, size: zipBytes, pack: true, join: joinSessions},
		states:   shelf{kind: shelfStates, size: flatBytes, seed: maphash.MakeSeed(), cached: map[int64][]byte{}},
	}
	rows, err := q.QueryContext(ctx, "SELECT n, shelf, run, tier, records, length(data), first FROM chunks ORDER BY run, n")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var kind, n, tier, records int64
		var c chunk
		if err := rows.Scan(&c.n, &kind, &n, &tier, &records, &c.size, &c.first); err != nil {
			return nil, err
		}
		for _, s := range out.all() {
			if s.kind == kind {
				s.found(n, tier, records, c)
			}
		}
	}
	return out, rows.Err()
}

func (s *shelves) all() []*shelf { return []*shelf{&s.alerts, &s.sessions, &s.states} }

// found takes a chunk of a run; those of one run come one behind the other.
func (s *shelf) found(n, tier, records int64, c chunk) {
	if len(s.runs) == 0 || s.runs[len(s.runs)-1].n != n {
		s.runs = append(s.runs, &run{n: n, tier: tier})
	}
	r := s.runs[len(s.runs)-1]
	r.chunks = append(r.chunks, c)
	r.records += records
	r.bytes += c.size
}

// writable are the shelves as the last write left them; b.mu is held.
func (b *SQLite) writable(ctx context.Context, q querier) (*shelves, error) {
	if b.shelves == nil {
		var err error
		if b.shelves, err = openShelves(ctx, q); err != nil {
			return nil, err
		}
	}
	return b.shelves, nil
}

// store is where tx has its chunks.
func (a *applier) store(p *packer) *store {
	return &store{p: p, a: a, read: func(ctx context.Context, n int64) (*sql.Rows, error) {
		s, err := a.stmt(ctx, readChunk) //nolint:sqlclosecheck // kept for the transaction
		if err != nil {
			return nil, err
		}
		return s.QueryContext(ctx, n)
	}}
}

// reading is where Recall finds chunks; b.mu is held.
func (b *SQLite) reading() *store {
	return &store{p: &b.packer, read: func(ctx context.Context, n int64) (*sql.Rows, error) { return b.chunks.QueryContext(ctx, n) }}
}

// view is the casebook as it is at one moment, while others go on.
type view struct {
	tx  *sql.Tx
	all *shelves
	t   *store
}

// view calls fn with what there is now.
func (b *SQLite) view(ctx context.Context, what string, fn func(*view) error) error {
	tx, err := b.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return b.wrap(what, err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	all, err := openShelves(ctx, tx)
	if err != nil {
		return b.wrap(what, err)
	}
	st, err := tx.PrepareContext(ctx, readChunk)
	if err != nil {
		return b.wrap(what, err)
	}
	defer st.Close() //nolint:errcheck // so does its transaction
	var p packer
	defer p.close()
	t := &store{p: &p, read: func(ctx context.Context, n int64) (*sql.Rows, error) { return st.QueryContext(ctx, n) }}
	return b.wrap(what, b.damage(fn(&view{tx, all, t})))
}

// scan calls fn with the records of spans of keys.
func (v *view) scan(ctx context.Context, s *shelf, spans []span, fn func(key, value []byte) error) error {
	for _, r := range spans {
		if err := s.each(ctx, v.t, s.runs, r, fn); err != nil {
			return err
		}
	}
	return nil
}

// damage names the file where records are not as they were written.
func (b *SQLite) damage(err error) error {
	if errors.Is(err, errChunk) || errors.Is(err, errRefs) {
		return DamagedError{b.file, err}
	}
	return err
}

const cacheBytes = 16 << 20 // of chunks that single records are looked for in

// get gives what the newest run says of a key; ok is false where there is
// nothing. The value is to be read only.
func (s *shelf) get(ctx context.Context, t *store, key []byte) (value []byte, ok bool, err error) {
	h := maphash.Bytes(s.seed, key)
	for _, r := range slices.Backward(s.runs) {
		if r.filter == nil {
			if err := s.fill(ctx, t, r); err != nil {
				return nil, false, err
			}
		}
		if !r.filter.maybe(h) {
			continue
		}
		for _, c := range r.between(key, key) {
			data, err := s.chunk(ctx, t, c)
			if err != nil {
				return nil, false, err
			}
			if value, ok, err = find(data, key); ok || err != nil {
				return value, ok, err
			}
		}
	}
	return nil, false, nil
}

// find looks for a key among the records of a chunk.
func find(data, want []byte) (value []byte, ok bool, err error) {
	key := make([]byte, 0, 64)
	for len(data) > 0 {
		if data, key, value, err = takeRecord(data, key); err != nil {
			return nil, false, err
		}
		if c := bytes.Compare(key, want); c == 0 {
			return value, true, nil
		} else if c > 0 {
			break
		}
	}
	return nil, false, nil
}

// chunk gives the records of a chunk, and remembers the newest ones.
func (s *shelf) chunk(ctx context.Context, t *store, c chunk) ([]byte, error) {
	if data, ok := s.cached[c.n]; ok {
		return data, nil
	}
	data, err := t.load(ctx, c.n, nil)
	if err != nil {
		return nil, err
	}
	for n, old := range s.cached { // any one
		if s.cachedBytes+len(data) <= cacheBytes {
			break
		}
		s.cachedBytes -= len(old)
		delete(s.cached, n)
	}
	s.cached[c.n] = data
	s.cachedBytes += len(data)
	return data, nil
}

// uncache forgets a chunk that is written anew or gone.
func (s *shelf) uncache(n int64) {
	s.cachedBytes -= len(s.cached[n])
	delete(s.cached, n)
}

// fill makes the filter of a run from what is stored.
func (s *shelf) fill(ctx context.Context, t *store, r *run) error {
	f := newFilter(int(r.records))
	err := s.each(ctx, t, []*run{r}, span{}, func(key, _ []byte) error { f.put(maphash.Bytes(s.seed, key)); return nil })
	if err == nil {
		r.filter = f
	}
	return err
}
