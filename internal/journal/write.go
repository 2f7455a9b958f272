package journal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// writer is the state of the one goroutine that writes.
type writer struct {
	spool *Spool
	file  file // nil: the next append begins a segment
	salt  salt
	last  uint64 // number of the newest segment, also of one that failed
	off   int64
	buf   []byte
	group []*request
	keys  map[[16]byte]keyState
}

type keyState struct {
	seq uint64
	pos Position
}

func (s *Spool) run() {
	defer close(s.done)
	defer s.w.close()
	for {
		select {
		case <-s.quit:
			return
		case r := <-s.reqs:
			s.w.gather(r)
		}
	}
}

// gather takes what waits, writes it and syncs once for all.
func (w *writer) gather(r *request) {
	w.buf, w.group = w.buf[:0], w.group[:0]
	for !r.turn {
		w.take(r)
		if len(w.buf) >= groupBytes {
			break
		}
		select {
		case r = <-w.spool.reqs:
			continue
		default:
		}
		break
	}
	w.commit()
	if r.turn {
		w.turn(r)
	}
	if cap(w.buf) > groupBytes+MaxRecord {
		w.buf = nil
	}
}

// turn begins a segment, so that all before it can be released.
func (w *writer) turn(r *request) {
	defer close(r.done)
	if r.spent != (Position{}) && r.spent != (Position{w.last, w.off}) {
		return
	}
	w.close()
	if err := w.begin(); err != nil {
		r.err = fmt.Errorf("begin journal segment: %w", err) // where nobody waits for it, the next append meets it
		return
	}
	r.pos = Position{w.last, w.off}
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	w.spool.broadcast()
}

// take adds r to the group, or answers it at once. The positions of the
// group are relative until commit knows where it goes.
func (w *writer) take(r *request) {
	if !r.state.CompareAndSwap(0, 1) {
		return
	}
	if r.key != (Key{}) {
		if k, ok := w.keys[r.key.Client]; ok && r.key.Seq <= k.seq {
			w.spool.count(func(st *Stats) { st.Repeats++ })
			r.pos = k.pos
			close(r.done)
			return
		}
		for _, g := range w.group {
			if g.key.Client == r.key.Client && r.key.Seq <= g.key.Seq {
				r.pos, r.data = g.pos, nil // shares the fate of g
				w.group = append(w.group, r)
				return
			}
		}
	}
	if w.full(r.depth, len(r.data)) {
		r.err = ErrFull
		w.spool.count(func(st *Stats) { st.Refused[r.depth.String()]++ })
		close(r.done)
		return
	}
	w.buf = appendRecord(w.buf, r.key, r.data)
	r.pos.Offset = int64(len(w.buf))
	w.group = append(w.group, r)
}

func (w *writer) full(depth event.Depth, n int) bool {
	limit := w.spool.cfg.Limit
	switch depth {
	case event.DepthTouch:
		limit = limit / 100 * touchShare
	case event.DepthTry:
		limit = limit / 100 * tryShare
	}
	w.spool.mu.Lock()
	used := w.spool.stats.Bytes
	w.spool.mu.Unlock()
	return used+int64(len(w.buf)+n+recordSize+headerSize) > limit
}

func (w *writer) commit() {
	if len(w.group) == 0 {
		return
	}
	err := w.write()
	for _, r := range w.group {
		if r.err = err; err == nil {
			r.pos = Position{w.last, w.off + r.pos.Offset}
			w.remember(r.key, r.pos)
		}
	}
	if err == nil {
		w.spool.recent.put(w.last, w.off, w.buf)
		w.off += int64(len(w.buf))
		w.publish()
	} else {
		w.spool.count(func(st *Stats) { st.Failures++ })
	}
	for i, r := range w.group {
		close(r.done)
		w.group[i] = nil
	}
}

// publish moves End, before anyone hears of it.
func (w *writer) publish() {
	s := w.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.segs[len(s.segs)-1]
	s.stats.Bytes += w.off - g.size
	g.size = w.off
	s.stats.Syncs++
	for _, r := range w.group {
		if r.data == nil {
			s.stats.Repeats++
		} else {
			s.stats.Appends++
		}
	}
	s.broadcast()
}

// write puts the group at the end of the segment, in a new one where it does
// not fit, and syncs. After an error the segment ends where it did before.
func (w *writer) write() error {
	if w.file != nil && w.off+int64(len(w.buf)) > w.spool.cfg.SegmentSize && w.off > headerSize {
		w.close()
	}
	if w.file == nil {
		if err := w.begin(); err != nil {
			return fmt.Errorf("begin journal segment: %w", err)
		}
	}
	w.salt.seal(w.buf)
	if _, err := w.file.WriteAt(w.buf, w.off); err != nil {
		w.rollback(true)
		return fmt.Errorf("write journal: %w", err)
	}
	if err := w.file.Sync(); err != nil {
		w.rollback(false)
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// rollback cuts a failed write off. After a failed sync the kernel may have
// dropped the pages and call the file clean: the file is given up, too.
func (w *writer) rollback(trust bool) {
	err := w.spool.files.truncate(segmentName(w.last), w.off)
	if err == nil && trust {
		return
	}
	w.file.Close() //nolint:errcheck // nothing of it counts
	w.file = nil
	if err != nil {
		w.spool.log.Error("the end of a journal segment cannot be cut off", "segment", segmentName(w.last), "error", err)
	}
}

func (w *writer) begin() error {
	fs := w.spool.files
	number := w.last + 1
	name := segmentName(number)
	f, err := fs.create(name, w.spool.cfg.SegmentSize)
	if err != nil {
		return err
	}
	var b [8]byte
	rand.Read(b[:])
	s := salt(binary.LittleEndian.Uint64(b[:]))
	if _, err = f.WriteAt(appendHeader(nil, number, s), 0); err == nil {
		if err = f.Sync(); err == nil {
			err = fs.syncDir()
		}
	}
	if err != nil {
		f.Close() //nolint:errcheck // the other error is told
		if fs.remove(name) != nil {
			w.last = number // the name is taken
		}
		return err
	}
	w.file, w.salt, w.last, w.off = f, s, number, headerSize
	w.spool.mu.Lock()
	defer w.spool.mu.Unlock()
	w.spool.segs = append(w.spool.segs, segment{number, headerSize})
	w.spool.stats.Bytes += headerSize
	return nil
}

// close ends the segment at its last record.
func (w *writer) close() {
	if w.file == nil {
		return
	}
	if err := w.file.Close(); err != nil {
		w.spool.log.Warn("close journal segment", "error", err)
	}
	w.file = nil
	if err := w.spool.files.truncate(segmentName(w.last), w.off); err != nil {
		w.spool.log.Warn("cut journal segment to its length", "error", err)
	}
}

// remember keeps the newest batch of a sender.
func (w *writer) remember(key Key, pos Position) {
	if key == (Key{}) {
		return
	}
	if k, ok := w.keys[key.Client]; ok && k.seq >= key.Seq {
		return
	}
	if len(w.keys) >= maxClients {
		w.forgetOldest()
	}
	w.keys[key.Client] = keyState{key.Seq, pos}
}

func (w *writer) forgetOldest() {
	var oldest [16]byte
	first := true
	for c, k := range w.keys {
		if first || k.pos.Before(w.keys[oldest].pos) {
			oldest, first = c, false
		}
	}
	delete(w.keys, oldest)
}

func (s *Spool) count(fn func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.stats)
}
