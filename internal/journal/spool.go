package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Config is what Open takes.
type Config struct {
	Dir         string
	Limit       int64    // bytes on disk, 0 = 1 GiB
	SegmentSize int64    // bytes, 0 = 16 MiB; at most an eighth of Limit
	After       Position // positions begin beyond it, also in an emptied directory
	Log         *slog.Logger
}

// The shares of Limit, in percent, from which on a depth is refused.
const (
	touchShare = 80
	tryShare   = 90
)

const (
	queueLength = 1024    // appends that wait; more of them block
	groupBytes  = 4 << 20 // bytes under one sync
	keyBytes    = 64 << 20
	maxWindow   = 4 << 20 // bytes of a window that is used again
	maxClients  = 4096
	// The newest segment goes, too, where it is that long and nobody needs it,
	// but not soon after the start: a sender that comes back repeats what it has
	// no answer to, and should a second kill come, the segment tells of it.
	spent      = 1 << 20
	untilSpent = 30 * time.Second
)

// Stats is what a Spool counts.
type Stats struct {
	Segments   int
	Bytes      int64            // on disk
	Limit      int64            // of Bytes
	Appends    uint64           // accepted
	Syncs      uint64           // each for one or more appends
	Repeats    uint64           // acknowledged again, not stored again
	Failures   uint64           // failed writes and syncs
	Damaged    uint64           // regions skipped while reading
	DamagedLen uint64           // bytes of them
	Refused    map[string]int64 // appends by depth, "" for none
}

// Spool is the Journal on disk. It is safe for concurrent use. One process
// may have a directory open; holding that lock is the caller's part.
type Spool struct {
	cfg   Config
	files files
	log   *slog.Logger
	reqs  chan *request
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once

	mu    sync.Mutex
	segs  []segment
	wake  chan struct{} // closed when End moves, nil when nobody waits
	stats Stats
	seen  map[[2]int64]bool // damaged regions that were counted
	open  time.Time

	windows sync.Pool // of *[]byte, for readers
	recent  recent

	w writer // of run alone
}

type segment struct {
	number uint64
	size   int64
}

type request struct {
	turn  bool     // begin a new segment; nothing else counts
	spent Position // with turn: only where the journal still ends there
	depth event.Depth
	key   Key
	data  []byte
	state atomic.Int32 // 0 waiting, 1 taken, 2 abandoned
	pos   Position
	err   error
	done  chan struct{}
}

var _ Journal = (*Spool)(nil)

// Open reads what is in cfg.Dir, which it makes if there is none, cuts off a
// torn tail and starts the writer. Close ends it.
func Open(cfg Config) (*Spool, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return openFiles(cfg, osFiles{cfg.Dir})
}

func openFiles(cfg Config, fs files) (*Spool, error) {
	if cfg.Limit <= 0 {
		cfg.Limit = 1 << 30
	}
	if cfg.SegmentSize <= 0 {
		cfg.SegmentSize = 16 << 20
	}
	cfg.SegmentSize = max(min(cfg.SegmentSize, cfg.Limit/8), 4096)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		cfg: cfg, files: fs, log: cfg.Log, open: time.Now(),
		reqs: make(chan *request, queueLength), quit: make(chan struct{}), done: make(chan struct{}),
		seen: map[[2]int64]bool{},
	}
	s.stats.Refused = map[string]int64{}
	s.w = writer{spool: s, keys: map[[16]byte]keyState{}}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	go s.run()
	return s, nil
}

// Close stops the writer after what it has in hand. Waiting appends end with ErrClosed.
func (s *Spool) Close() error {
	s.once.Do(func() {
		close(s.quit)
		<-s.done
		s.mu.Lock()
		s.broadcast()
		s.mu.Unlock()
	})
	return nil
}

// Append implements Journal.
func (s *Spool) Append(ctx context.Context, depth event.Depth, data []byte) (Position, error) {
	return s.AppendOnce(ctx, depth, Key{}, data)
}

// AppendOnce implements Journal.
func (s *Spool) AppendOnce(ctx context.Context, depth event.Depth, key Key, data []byte) (Position, error) {
	if len(data) == 0 || len(data) > MaxRecord || data[len(data)-1] != '\n' {
		return Position{}, ErrRecord
	}
	r := &request{depth: depth, key: key, data: data, done: make(chan struct{})}
	select {
	case s.reqs <- r:
	case <-ctx.Done():
		return Position{}, ctx.Err()
	case <-s.done:
		return Position{}, ErrClosed
	}
	select {
	case <-r.done:
		return r.pos, r.err
	case <-ctx.Done():
		if r.state.CompareAndSwap(0, 2) {
			return Position{}, ctx.Err()
		}
	case <-s.done:
	}
	// The writer has it, and reads data until it is done.
	select {
	case <-r.done:
		return r.pos, r.err
	case <-s.done:
	}
	select {
	case <-r.done:
		return r.pos, r.err
	default:
		return Position{}, ErrClosed
	}
}

// Turn begins a new segment and returns its beginning: after a Release up to
// it, no byte of what was appended before the call is left on disk.
func (s *Spool) Turn(ctx context.Context) (Position, error) {
	r := &request{turn: true, done: make(chan struct{})}
	select {
	case s.reqs <- r:
	case <-ctx.Done():
		return Position{}, ctx.Err()
	case <-s.done:
		return Position{}, ErrClosed
	}
	select {
	case <-r.done:
		return r.pos, r.err
	case <-s.done:
		return Position{}, ErrClosed
	}
}

// End implements Journal.
func (s *Spool) End() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end()
}

func (s *Spool) end() Position {
	p := s.cfg.After
	if n := len(s.segs); n > 0 {
		if q := (Position{s.segs[n-1].number, s.segs[n-1].size}); p.Before(q) {
			p = q
		}
	}
	return p
}

// Start is the position before the oldest entry that is still here.
func (s *Spool) Start() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segs) == 0 {
		return s.end()
	}
	return Position{s.segs[0].number, headerSize}
}

// Wait implements Journal.
func (s *Spool) Wait(ctx context.Context, after Position) error {
	for {
		s.mu.Lock()
		if after.Before(s.end()) {
			s.mu.Unlock()
			return nil
		}
		if s.wake == nil {
			s.wake = make(chan struct{})
		}
		wake := s.wake
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return ErrClosed
		}
	}
}

func (s *Spool) broadcast() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// Release implements Journal: whole segments before upTo are deleted, the
// newest one never, so that positions keep rising over restarts. Where that is
// all released, a new one is begun in its place.
func (s *Spool) Release(upTo Position) error {
	s.recent.release(upTo)
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	last := len(s.segs) - 1
	keep := s.segs[:0:0]
	for i, g := range s.segs {
		if i == last || g.number >= upTo.Segment {
			keep = append(keep, g)
			continue
		}
		if err := s.files.remove(segmentName(g.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("release journal segment: %w", err))
			keep = append(keep, g)
			continue
		}
		s.stats.Bytes -= g.size
	}
	s.segs = keep
	if last >= 0 && s.segs[len(s.segs)-1].size >= spent && !upTo.Before(s.end()) && time.Since(s.open) >= untilSpent {
		select {
		case s.reqs <- &request{turn: true, spent: s.end(), done: make(chan struct{})}:
		default: // appends wait
		}
	}
	return errors.Join(errs...)
}

// Stats is a copy of the counters.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Segments, st.Limit = len(s.segs), s.cfg.Limit
	st.Refused = make(map[string]int64, len(s.stats.Refused))
	maps.Copy(st.Refused, s.stats.Refused)
	return st
}

func (s *Spool) snapshot(from Position) []segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.segs, func(g segment) bool { return g.number >= from.Segment })
	if i < 0 {
		return nil
	}
	return slices.Clone(s.segs[i:])
}
