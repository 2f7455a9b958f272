package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// load takes stock of the directory.
func (s *Spool) load() error {
	names, err := s.files.list()
	if err != nil {
		return err
	}
	for i, name := range names {
		number, _ := segmentNumber(name)
		size, err := s.inspect(name, number, i == len(names)-1)
		if errors.Is(err, errHeader) {
			if i == len(names)-1 && size == 0 {
				continue // never got a first record
			}
			s.log.Error("a journal segment cannot be read and is left aside", "segment", name)
			s.stats.Damaged++
			s.w.last = max(s.w.last, number)
			continue
		}
		if err != nil {
			return fmt.Errorf("segment %s: %w", name, err)
		}
		s.segs = append(s.segs, segment{number, size})
		s.stats.Bytes += size
	}
	if n := len(s.segs); n > 0 {
		s.w.last = max(s.w.last, s.segs[n-1].number)
	}
	s.w.last = max(s.w.last, s.cfg.After.Segment)
	return s.loadKeys()
}

// inspect gives the size of the readable part of a segment. In the last one
// it looks for the last whole record and cuts off what comes after.
func (s *Spool) inspect(name string, number uint64, last bool) (size int64, err error) {
	f, err := s.files.open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	full, err := f.size()
	if err != nil {
		return 0, err
	}
	r, n, err := newReader(f, full)
	if errors.Is(err, errHeader) || err == nil && n != number {
		if last && full <= s.cfg.SegmentSize && empty(f, full) {
			return 0, errors.Join(errHeader, s.files.remove(name))
		}
		return full, errHeader
	}
	if err != nil || !last {
		return full, err
	}
	for {
		if _, err = r.next(); err != nil {
			break
		}
	}
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	if r.off < full {
		if err := s.files.truncate(name, r.off); err != nil {
			return 0, fmt.Errorf("cut off the torn tail: %w", err)
		}
	}
	return r.off, nil
}

// empty tells whether a segment holds nothing after where its header belongs.
func empty(f io.ReaderAt, size int64) bool {
	buf := make([]byte, 4096)
	for off := int64(headerSize); off < size; off += int64(len(buf)) {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false
		}
		for _, c := range buf[:n] {
			if c != 0 {
				return false
			}
		}
	}
	return true
}

// loadKeys reads which batches of which senders the newest segments hold.
func (s *Spool) loadKeys() error {
	first, sum := len(s.segs), int64(0)
	for first > 0 && sum < keyBytes {
		first--
		sum += s.segs[first].size
	}
	for _, g := range s.segs[first:] {
		if err := s.eachRecord(g, headerSize, func(rec record) error {
			s.w.remember(rec.key, Position{g.number, rec.end})
			return nil
		}); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Spool) eachRecord(g segment, from int64, fn func(record) error) error {
	f, err := s.files.open(segmentName(g.number))
	if err != nil {
		return fmt.Errorf("open journal segment: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	r, _, err := newReader(f, g.size)
	if err != nil {
		return err
	}
	r.off = max(r.off, int64(padded(int(from))))
	defer func() { s.damage(g.number, r) }()
	defer s.lend(r)()
	for {
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			if rest := g.size - r.off; rest > 0 && !s.isEmptyTail(f, r.off, g.size) {
				r.damaged += rest
				r.regions++
			}
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
}

// lend gives r a window that was used before, if there is one, until the end:
// what follows the journal closely reads a little many times.
func (s *Spool) lend(r *reader) (end func()) {
	if b, ok := s.windows.Get().(*[]byte); ok {
		r.buf = (*b)[:0]
	}
	return func() {
		if b := r.buf; cap(b) <= maxWindow {
			s.windows.Put(&b)
		}
		r.buf = nil
	}
}

func (s *Spool) isEmptyTail(f io.ReaderAt, off, size int64) bool {
	var b [recordSize]byte
	n, _ := f.ReadAt(b[:min(int64(len(b)), size-off)], off)
	for _, c := range b[:n] {
		if c != 0 {
			return false
		}
	}
	return true
}

// damage counts the damaged regions of a segment, each once.
func (s *Spool) damage(number uint64, r *reader) {
	if r.regions == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := [2]int64{int64(number), r.damaged}
	if s.seen[k] || len(s.seen) > 1000 {
		return
	}
	s.seen[k] = true
	s.stats.Damaged += uint64(r.regions)
	s.stats.DamagedLen += uint64(r.damaged)
	s.log.Error("a part of a journal segment is damaged and was skipped",
		"segment", segmentName(number), "regions", r.regions, "bytes", r.damaged)
}

// Read implements Journal.
func (s *Spool) Read(ctx context.Context, from Position, fn func(Entry) error) (Position, error) {
	pos := from
	take := func(e Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
		pos = e.Pos
		return nil
	}
	for _, g := range s.snapshot(from) {
		start := int64(headerSize)
		if g.number == from.Segment {
			start = max(start, from.Offset)
		}
		if start < g.size {
			err := s.readSegment(g, start, take)
			if errors.Is(err, os.ErrNotExist) {
				continue // released meanwhile
			}
			if err != nil {
				return pos, err
			}
		}
		if end := (Position{g.number, g.size}); pos.Before(end) {
			pos = end
		}
	}
	return pos, nil
}

// readSegment calls fn with the records of a segment from a place on: out of
// memory, as far as they are there, else from the disk.
func (s *Spool) readSegment(seg segment, from int64, fn func(Entry) error) error {
	for pos := (Position{seg.number, from}); pos.Offset < seg.size; {
		var next Position
		g, ok := s.recent.after(pos)
		if ok && g.segment == seg.number {
			var err error
			if next, err = g.each(pos, seg.size, fn); err != nil {
				return err
			}
		}
		if next.Offset <= pos.Offset {
			return s.eachRecord(seg, pos.Offset, func(rec record) error {
				return fn(Entry{Pos: Position{seg.number, rec.end}, Data: rec.data})
			})
		}
		pos = next
	}
	return nil
}
