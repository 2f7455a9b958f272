package casebook

import (
	"bytes"
	"context"
	"database/sql"
	"hash/maphash"
	"slices"
	"sort"
)

// A shelf keeps records by their keys in sorted runs. Each batch adds a run;
// runs of about the same age are merged, so that a record is written a few
// times in all and never in the middle of what is there already. A run lies in
// chunks, rows of one table. What a key has in several runs is joined when it is
// read or merged, the oldest first.
type shelf struct {
	kind int64
	size int  // bytes of records in a chunk, before it is compressed
	pack bool // compress chunks
	join func(key, old, fresh []byte, lost func(reference)) ([]byte, error)
	runs []*run // the oldest first

	seed        maphash.Seed     // of the hashes in the filters of its runs
	cached      map[int64][]byte // chunks that were looked into, by number
	cachedBytes int
}

// The shelves, by their number in the table.
const (
	shelfSessions = 1
	shelfStates   = 2
	shelfAlerts   = 3
)

const (
	fanout     = 8        // runs of a tier that are merged
	mergeBytes = 32 << 20 // of chunks, that one merge writes at most: what is larger stays as it is
	// A row of a multiple of an overflow page and the least that lies outside
	// of one fills its pages.
	flatBytes = 3*4092 + 489 - 64
	zipBytes  = 64 << 10 // as flatBytes, for what is compressed
)

// run is what one batch or one merge wrote.
type run struct {
	n, tier int64 // a higher n is newer
	chunks  []chunk
	records int64
	bytes   int64
	filter  *filter // nil: not made
}

// chunk is one row of the table.
type chunk struct {
	n     int64
	first []byte // key
	size  int64  // bytes
}

// record is one before it is written.
type record struct {
	key, value []byte
	n          int // the higher, the newer
}

// store is where the chunks of shelves lie: a transaction, or what readers have.
type store struct {
	p    *packer
	read func(ctx context.Context, n int64) (*sql.Rows, error)
	a    *applier // nil: only to read
	// lost is told of the references to packs that a merge lets go of; nil:
	// nothing is merged.
	lost func(reference)
}

// load gives the records of a chunk. They may be in buf.
func (t *store) load(ctx context.Context, n int64, buf []byte) ([]byte, error) {
	rows, err := t.read(ctx, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, err
		}
		return nil, errChunk
	}
	var data sql.RawBytes
	if err := rows.Scan(&data); err != nil {
		return nil, err
	}
	return t.p.expand(data, buf[:0])
}

const readChunk = "SELECT data FROM chunks WHERE n = ?"

// writer writes the chunks of one run.
type writer struct {
	t       *store
	s       *shelf
	to      *run
	buf     []byte
	first   []byte
	last    []byte
	records int64
	keys    []uint64 // hashes, for the filter; only where the shelf has one
}

func (w *writer) add(ctx context.Context, key, value []byte) error {
	if w.records == 0 {
		w.first, w.last, w.buf = append(w.first[:0], key...), w.last[:0], w.buf[:0]
	}
	w.buf = appendRecord(w.buf, w.last, key, value)
	w.last = append(w.last[:0], key...)
	w.records++
	if w.s.filters() {
		w.keys = append(w.keys, maphash.Bytes(w.s.seed, key))
	}
	if len(w.buf) < w.s.size {
		return nil
	}
	return w.flush(ctx)
}

func (w *writer) flush(ctx context.Context) error {
	if w.records == 0 {
		return nil
	}
	data := w.buf
	if w.s.pack {
		var err error
		if data, err = w.t.p.fold(data); err != nil {
			return err
		}
	}
	r, err := w.t.a.run(ctx, "INSERT INTO chunks (shelf, run, tier, records, first, data) VALUES (?,?,?,?,?,?)", w.s.kind, w.to.n, w.to.tier, w.records, w.first, data)
	if err != nil {
		return err
	}
	n, err := r.LastInsertId()
	if err != nil {
		return err
	}
	w.to.chunks = append(w.to.chunks, chunk{n, bytes.Clone(w.first), int64(len(data))})
	w.to.records += w.records
	w.to.bytes += int64(len(data))
	w.records = 0
	return nil
}

// end writes what is left, and makes the filter.
func (w *writer) end(ctx context.Context) error {
	if err := w.flush(ctx); err != nil || !w.s.filters() {
		return err
	}
	w.to.filter = newFilter(len(w.keys))
	for _, k := range w.keys {
		w.to.filter.put(k)
	}
	return nil
}

// filters tells whether records of the shelf are asked for one by one.
func (s *shelf) filters() bool { return s.kind == shelfStates }

// put adds records, which are in order of their keys and have each once.
func (s *shelf) put(ctx context.Context, t *store, records []record) error {
	if len(records) == 0 {
		return nil
	}
	to := &run{n: 1}
	if len(s.runs) > 0 {
		to.n = s.runs[len(s.runs)-1].n + 1
	}
	w := writer{t: t, s: s, to: to}
	for _, r := range records {
		if err := w.add(ctx, r.key, r.value); err != nil {
			return err
		}
	}
	if err := w.end(ctx); err != nil {
		return err
	}
	s.runs = append(s.runs, to)
	if from, tier := s.due(); from < len(s.runs) {
		return s.mergeTail(ctx, t, from, tier)
	}
	return nil
}

// due says which of the newest runs are to be merged, and into which tier; from
// is the number of runs where there is nothing to do.
func (s *shelf) due() (from int, tier int64) {
	from = len(s.runs)
	var size int64
	for {
		i, n := from, 0
		if from < len(s.runs) {
			n = 1 // what was merged so far
		}
		for i > 0 && s.runs[i-1].tier == tier && size+s.runs[i-1].bytes <= mergeBytes {
			i--
			n++
			size += s.runs[i].bytes
		}
		if n < fanout {
			return from, tier
		}
		from = i
		tier++
	}
}

// mergeTail makes one run of the newest ones.
func (s *shelf) mergeTail(ctx context.Context, t *store, from int, tier int64) error {
	return s.rewrite(ctx, t, from, tier, func(_, value []byte) ([]byte, error) { return value, nil })
}

// rewrite makes one run of the newest ones, with what fn makes of their values;
// nil: the record goes.
func (s *shelf) rewrite(ctx context.Context, t *store, from int, tier int64, fn func(key, value []byte) ([]byte, error)) error {
	if from == len(s.runs) {
		return nil
	}
	old := s.runs[from:]
	to := &run{n: old[len(old)-1].n, tier: tier}
	w := writer{t: t, s: s, to: to}
	err := s.each(ctx, t, old, span{}, func(key, value []byte) error {
		value, err := fn(key, value)
		if value == nil || err != nil {
			return err
		}
		return w.add(ctx, key, value)
	})
	if err != nil {
		return err
	}
	if err := w.end(ctx); err != nil {
		return err
	}
	for _, r := range old {
		for _, c := range r.chunks {
			if err := t.a.exec(ctx, "DELETE FROM chunks WHERE n = ?", c.n); err != nil {
				return err
			}
			s.uncache(c.n)
		}
	}
	if s.runs = s.runs[:from:from]; len(to.chunks) > 0 {
		s.runs = append(s.runs, to)
	}
	return nil
}

// rewriteAll is rewrite for all runs.
func (s *shelf) rewriteAll(ctx context.Context, t *store, fn func(key, value []byte) ([]byte, error)) error {
	if len(s.runs) == 0 {
		return nil
	}
	return s.rewrite(ctx, t, 0, s.runs[0].tier, fn)
}

// cursor goes through a run.
type cursor struct {
	t          *store
	age        int
	chunks     []chunk
	buf, data  []byte
	key, value []byte
}

// next goes to the next record; false at the end.
func (c *cursor) next(ctx context.Context) (bool, error) {
	for len(c.data) == 0 {
		if len(c.chunks) == 0 {
			return false, nil
		}
		var err error
		if c.buf, err = c.t.load(ctx, c.chunks[0].n, c.buf); err != nil {
			return false, err
		}
		c.data, c.key, c.chunks = c.buf, c.key[:0], c.chunks[1:]
	}
	var err error
	c.data, c.key, c.value, err = takeRecord(c.data, c.key)
	return err == nil, err
}

// between are the chunks that can hold keys from low to high, both included;
// nil is no limit.
func (r *run) between(low, high []byte) []chunk {
	from, to := 0, len(r.chunks)
	if low != nil {
		from = max(0, sort.Search(len(r.chunks), func(i int) bool { return bytes.Compare(r.chunks[i].first, low) > 0 })-1)
	}
	if high != nil {
		to = sort.Search(len(r.chunks), func(i int) bool { return bytes.Compare(r.chunks[i].first, high) > 0 })
	}
	return r.chunks[min(from, to):to]
}

// tail is the first key of the last chunks of all runs, nil where there are no more.
func (s *shelf) tail(chunks int) []byte {
	var keys [][]byte
	for _, r := range s.runs {
		for _, c := range r.chunks {
			keys = append(keys, c.first)
		}
	}
	if chunks >= len(keys) {
		return nil
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys[len(keys)-chunks]
}

// span is a part of the keys; the zero span is all.
type span struct {
	low, high []byte // both included, nil: no limit
	// skip tells of a key and the oldest that a run has of it that it is not
	// asked for; nil: all are.
	skip func(key, value []byte) bool
}

// has tells whether a key is in the span.
func (p *span) has(key []byte) bool {
	return (p.low == nil || bytes.Compare(key, p.low) >= 0) && (p.high == nil || bytes.Compare(key, p.high) <= 0)
}

// each calls fn with each key that runs have in a span once, in order, and what
// it has in all of them. Both are fn's for the length of the call.
func (s *shelf) each(ctx context.Context, t *store, runs []*run, in span, fn func(key, value []byte) error) error {
	var h cursors
	for age, r := range runs {
		c := &cursor{t: t, age: age, chunks: r.between(in.low, in.high)}
		if ok, err := c.next(ctx); err != nil {
			return err
		} else if ok {
			h = append(h, c)
		}
	}
	h.order()
	var key, value []byte
	for len(h) > 0 {
		key, value = append(key[:0], h[0].key...), append(value[:0], h[0].value...)
		if in.high != nil && bytes.Compare(key, in.high) > 0 {
			return nil
		}
		skip := !in.has(key) || in.skip != nil && in.skip(key, value)
		if err := h.step(ctx); err != nil {
			return err
		}
		for len(h) > 0 && bytes.Equal(h[0].key, key) {
			if !skip {
				v, err := s.joined(t, key, value, h[0].value)
				if err != nil {
					return err
				}
				value = append(value[:0], v...)
			}
			if err := h.step(ctx); err != nil {
				return err
			}
		}
		if skip {
			continue
		}
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) joined(t *store, key, old, fresh []byte) ([]byte, error) {
	if s.join == nil {
		return fresh, nil
	}
	return s.join(key, old, fresh, t.lost)
}

// cursors is a heap: the least key first, of equal ones the oldest.
type cursors []*cursor

func (h cursors) less(i, j int) bool {
	if c := bytes.Compare(h[i].key, h[j].key); c != 0 {
		return c < 0
	}
	return h[i].age < h[j].age
}

func (h cursors) down(i int) {
	for {
		least := i
		for _, k := range [2]int{2*i + 1, 2*i + 2} {
			if k < len(h) && h.less(k, least) {
				least = k
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

func (h cursors) order() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// step goes on with the first cursor.
func (h *cursors) step(ctx context.Context) error {
	ok, err := (*h)[0].next(ctx)
	if err != nil {
		return err
	}
	if !ok {
		last := len(*h) - 1
		(*h)[0] = (*h)[last]
		*h = (*h)[:last]
	}
	h.down(0)
	return nil
}

// drop takes records out of each run, so that no byte of them is left.
func (s *shelf) drop(ctx context.Context, t *store, gone func(key, value []byte) (bool, error)) error {
	for _, r := range s.runs {
		left := r.chunks[:0]
		for _, c := range r.chunks {
			stays, err := s.thin(ctx, t, &c, gone)
			if err != nil {
				return err
			}
			if stays {
				left = append(left, c)
			}
		}
		r.chunks = left
	}
	s.runs = slices.DeleteFunc(s.runs, func(r *run) bool { return len(r.chunks) == 0 })
	return nil
}

// thin writes a chunk anew without what is gone; false where nothing is left.
func (s *shelf) thin(ctx context.Context, t *store, c *chunk, gone func(key, value []byte) (bool, error)) (bool, error) {
	data, err := t.load(ctx, c.n, nil)
	if err != nil {
		return false, err
	}
	var key, value, last, out, first []byte
	kept, all := int64(0), int64(0)
	for len(data) > 0 {
		if data, key, value, err = takeRecord(data, key); err != nil {
			return false, err
		}
		all++
		if goes, err := gone(key, value); err != nil {
			return false, err
		} else if goes {
			continue
		}
		if kept++; kept == 1 {
			first = bytes.Clone(key)
		}
		out = appendRecord(out, last, key, value)
		last = append(last[:0], key...)
	}
	if kept == all {
		return true, nil
	}
	s.uncache(c.n)
	if kept == 0 {
		return false, t.a.exec(ctx, "DELETE FROM chunks WHERE n = ?", c.n)
	}
	if s.pack {
		if out, err = t.p.fold(out); err != nil {
			return false, err
		}
	}
	c.first, c.size = first, int64(len(out))
	return true, t.a.exec(ctx, "UPDATE chunks SET records = ?, first = ?, data = ? WHERE n = ?", kept, first, out, c.n)
}
