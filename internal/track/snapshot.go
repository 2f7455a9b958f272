package track

import (
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"time"
)

// stateVersion is raised when what the tables hold changes its form or meaning.
const stateVersion = 1

// maxState is the size in bytes, unpacked, up to which a snapshot is read.
const maxState = 1 << 30

// ErrState says that a snapshot cannot be used.
var ErrState = errors.New("state of the trackers cannot be used")

type header struct {
	Version int
	Began   int64
	Days    []int32
}

// saveEvery is for how long a snapshot is good: to make one of a full state takes
// a good part of a second.
const saveEvery = 5 * time.Minute

// Snapshot writes what is remembered, compressed and with a check sum. A caller
// who tells the time (Advance) and asks again within five minutes is given the same
// bytes. Pairs that met hardly more than once are left out.
func (s *Set) Snapshot(w io.Writer) error {
	if s.now.IsZero() || s.saved.Len() == 0 || s.now.Sub(s.savedAt) >= saveEvery || s.now.Before(s.savedAt) {
		s.saved.Reset()
		if err := s.encode(&s.saved); err != nil {
			s.saved.Reset()
			return fmt.Errorf("write state of the trackers: %w", err)
		}
		s.savedAt = s.now
	}
	_, err := w.Write(s.saved.Bytes())
	return err
}

func (s *Set) encode(w io.Writer) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	st := s.s
	st.pairs = &table[pairKey, pair]{items: lasting(s.s.pairs.items)}
	enc := gob.NewEncoder(z)
	for _, v := range st.parts(&header{stateVersion, st.Began, st.Days}) {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return z.Close()
}

// lasting leaves out pairs of which there is nothing to be remembered yet.
func lasting(items []item[pairKey, pair]) []item[pairKey, pair] {
	var out []item[pairKey, pair]
	for i := range items {
		p := &items[i].Val
		if p.N >= 4 || p.Sess[0].End-p.Sess[0].Start > 3600 || p.Sess[1].End-p.Sess[1].Start > 3600 {
			out = append(out, items[i])
		}
	}
	return out
}

// parts are the pieces of a snapshot in their order.
func (st *state) parts(h *header) []any {
	return []any{h, &st.users.items, &st.countries.items, &st.hosts.items, &st.pairs.items, &st.nets.items, &st.dests.items, &st.kinds.items, &st.names.items}
}

// Restore reads what Snapshot wrote, in place of what is remembered now. After an
// error, which wraps ErrState where the bytes are at fault, nothing has changed;
// what is left is to begin with learning anew.
func (s *Set) Restore(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	defer z.Close() //nolint:errcheck // the check sum was looked at
	limited := &io.LimitedReader{R: z, N: maxState}
	dec := gob.NewDecoder(limited)
	next, h := s.empty(), header{}
	for i, v := range next.parts(&h) {
		if err := dec.Decode(v); err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		if i == 0 && h.Version != stateVersion {
			return fmt.Errorf("%w: it is of form %d, this program writes %d", ErrState, h.Version, stateVersion)
		}
	}
	if _, err := io.Copy(io.Discard, limited); err != nil { // to the check sum
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	next.Began, next.Days = h.Began, h.Days
	next.index()
	s.s = next
	s.saved.Reset()
	return nil
}

func (st *state) index() {
	st.users.load(st.users.items)
	st.countries.load(st.countries.items)
	st.hosts.load(st.hosts.items)
	st.pairs.load(st.pairs.items)
	st.nets.load(st.nets.items)
	st.dests.load(st.dests.items)
	st.kinds.load(st.kinds.items)
	st.names.load(st.names.items)
}
