package track

import (
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
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

// Snapshot writes all that is remembered. It is compressed and carries a check
// sum; its size follows what is in use, some 100 bytes for each pair.
func (s *Set) Snapshot(w io.Writer) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	enc := gob.NewEncoder(z)
	for _, v := range s.s.parts(&header{stateVersion, s.s.Began, s.s.Days}) {
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("write state of the trackers: %w", err)
		}
	}
	return z.Close()
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
