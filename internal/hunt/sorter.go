package hunt

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// sortMemory is how many bytes a sorter holds before it writes a run to disk.
const sortMemory = 64 << 20

// sorter sorts more records than memory holds, by their bytes; equal ones keep
// their order. Records are at most 64 MiB.
type sorter struct {
	dir  string
	buf  []byte
	at   []extent
	runs []*os.File
	mem  int
}

type extent struct{ from, to int }

func newSorter(dir string, mem int) *sorter { return &sorter{dir: dir, mem: mem} }

// add takes a copy of a record.
func (s *sorter) add(rec []byte) error {
	from := len(s.buf)
	s.buf = append(s.buf, rec...)
	s.at = append(s.at, extent{from, len(s.buf)})
	if len(s.buf)+16*len(s.at) > s.mem {
		return s.spill()
	}
	return nil
}

func (s *sorter) sort() {
	slices.SortStableFunc(s.at, func(a, b extent) int { return bytes.Compare(s.buf[a.from:a.to], s.buf[b.from:b.to]) })
}

func (s *sorter) spill() error {
	s.sort()
	f, err := os.CreateTemp(s.dir, "lapwing-sort-*")
	if err != nil {
		return fmt.Errorf("sort on disk: %w", err)
	}
	s.runs = append(s.runs, f)
	w := bufio.NewWriterSize(f, 256<<10)
	var n [4]byte
	for _, e := range s.at {
		binary.BigEndian.PutUint32(n[:], uint32(e.to-e.from))
		w.Write(n[:])               //nolint:errcheck // Flush tells
		w.Write(s.buf[e.from:e.to]) //nolint:errcheck // Flush tells
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sort on disk: %w", err)
	}
	s.buf, s.at = s.buf[:0], s.at[:0]
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// close removes what is on disk.
func (s *sorter) close() {
	for _, f := range s.runs {
		f.Close()           //nolint:errcheck // temporary
		os.Remove(f.Name()) //nolint:errcheck // temporary
	}
	s.runs = nil
}

// each calls fn for each record in order; the bytes are good until fn returns.
func (s *sorter) each(fn func(rec []byte) error) error {
	s.sort()
	if len(s.runs) == 0 {
		for _, e := range s.at {
			if err := fn(s.buf[e.from:e.to]); err != nil {
				return err
			}
		}
		return nil
	}
	var h mergeHeap
	for i, f := range s.runs {
		r := &run{no: i, r: bufio.NewReaderSize(f, 256<<10)}
		if ok, err := r.next(); err != nil {
			return err
		} else if ok {
			h = append(h, r)
		}
	}
	if m := (&run{no: len(s.runs), mem: s}); len(s.at) > 0 {
		m.next() //nolint:errcheck // memory gives none
		h = append(h, m)
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := fn(h[0].rec); err != nil {
			return err
		}
		ok, err := h[0].next()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// run is a sorted part, on disk or in memory.
type run struct {
	no  int
	r   *bufio.Reader
	mem *sorter
	at  int
	rec []byte
}

func (r *run) next() (bool, error) {
	if r.mem != nil {
		if r.at >= len(r.mem.at) {
			return false, nil
		}
		e := r.mem.at[r.at]
		r.rec = r.mem.buf[e.from:e.to]
		r.at++
		return true, nil
	}
	var n [4]byte
	if _, err := io.ReadFull(r.r, n[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, fmt.Errorf("read sorted run: %w", err)
	}
	size := int(binary.BigEndian.Uint32(n[:]))
	if cap(r.rec) < size {
		r.rec = make([]byte, size)
	}
	r.rec = r.rec[:size]
	_, err := io.ReadFull(r.r, r.rec)
	if err != nil {
		err = fmt.Errorf("read sorted run: %w", err)
	}
	return err == nil, err
}

type mergeHeap []*run

func (h mergeHeap) Len() int { return len(h) }
func (h mergeHeap) Less(i, j int) bool {
	c := bytes.Compare(h[i].rec, h[j].rec)
	return c < 0 || c == 0 && h[i].no < h[j].no
}
func (h mergeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *mergeHeap) Push(x any)   { *h = append(*h, x.(*run)) } //nolint:forcetypeassert // ours
func (h *mergeHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
