package victoria

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/bytesutil"
	"github.com/VictoriaMetrics/metrics"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
)

// inserter takes events as the journal has them. VictoriaLogs writes rows in
// blocks; one of at least blockSize is full and is never taken apart again,
// smaller ones are merged, which costs as much as making them. So the inserter
// hands over as many rows as make one full block, and keeps the others for
// the next request, at most for linger, and never over a flush.
type inserter struct {
	store   func(*logstorage.LogRows)
	full    func() error // why nothing can be stored, nil: it can
	working atomic.Int64 // requests
	bodies  sync.Pool

	mu    sync.Mutex
	open  []*block // that no request works on
	spare []*block // empty
	timer *time.Timer
}

const spares = 4 // empty blocks that are kept

const (
	blockSize = 2 << 20 // bytes of rows, VictoriaLogs' maxUncompressedBlockSize
	linger    = time.Second
	maxBody   = 64 << 20 // bytes of a request
	bodyTime  = 2 * time.Minute
)

// block is rows that will be a block.
type block struct {
	rows  *logstorage.LogRows
	mark  string
	size  int       // as VictoriaLogs counts it
	since time.Time // of the first row
	// Of the newest row, which will be the last: without it the block must not be full.
	last     int64
	lastSize int
}

func newInserter() *inserter {
	in := &inserter{store: (&vlstorage.Storage{}).MustAddRows, full: (&vlstorage.Storage{}).CanWriteData}
	metrics.GetOrCreateGauge(eventlog.InsertingMetric, func() float64 { return float64(in.working.Load()) })
	return in
}

// ServeHTTP takes the lines of a request. It answers when they are in memory.
func (in *inserter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in.working.Add(1)
	defer in.working.Add(-1)
	if err := in.full(); err != nil {
		http.Error(w, err.Error(), http.StatusTooManyRequests)
		return
	}
	in.accept(w, r)
}

func (in *inserter) accept(w http.ResponseWriter, r *http.Request) {
	mark := r.URL.Query().Get("mark")
	if mark == "" {
		http.Error(w, "a mark is missing", http.StatusBadRequest)
		return
	}
	body, _ := in.bodies.Get().(*[]byte)
	if body == nil {
		body = new([]byte)
	}
	defer in.bodies.Put(body)
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) //nolint:errcheck // the limit of bytes remains
	if err := read(r, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.add(mark, *body)
}

// read reads a body of a known length.
func read(r *http.Request, body *[]byte) error {
	n := r.ContentLength
	if n < 0 || n > maxBody {
		return fmt.Errorf("a body of %d bytes; it needs a length of at most %d", n, maxBody)
	}
	if int64(cap(*body)) < n {
		*body = make([]byte, n)
	}
	*body = (*body)[:n]
	if _, err := io.ReadFull(r.Body, *body); err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	return nil
}

// add makes rows of lines and hands over full blocks.
func (in *inserter) add(mark string, lines []byte) {
	var row eventlog.Row
	var fields []logstorage.Field
	name := []byte(mark)
	now := in.take(mark)
	var next *block
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte{'\n'})
		lines = rest
		if row.Parse(line, "") != nil {
			continue // the count at the checkpoint tells
		}
		fields = fields[:0]
		row.Columns(name, func(name string, text []byte) {
			fields = append(fields, logstorage.Field{Name: name, Value: bytesutil.ToUnsafeString(text)}) // copied by add
		})
		size := logstorage.EstimatedJSONRowLen(fields)
		full := now.size+size >= blockSize
		if full && !now.fills(row.Time, size) && (next == nil || next.size+size < blockSize) {
			if next == nil {
				next = in.take(mark)
			}
			next.add(row.Time, size, fields)
			continue
		}
		if now.add(row.Time, size, fields); full {
			in.handOver(now)
			if now, next = next, nil; now == nil {
				now = in.take(mark)
			}
		}
	}
	in.put(now)
	if next != nil {
		in.put(next)
	}
}

// fills tells whether a row makes the block full, and not more than that.
func (b *block) fills(at int64, size int) bool {
	last := b.lastSize
	if at >= b.last {
		last = size
	}
	return b.size+size-last < blockSize
}

func (b *block) add(at int64, size int, fields []logstorage.Field) {
	if b.size == 0 {
		b.since, b.last = time.Now(), at
	}
	b.rows.MustAdd(logstorage.TenantID{}, at, fields, -1)
	b.size += size
	if at >= b.last {
		b.last, b.lastSize = at, size
	}
}

// handOver gives the rows of a block to the storage.
func (in *inserter) handOver(b *block) {
	if b.size > 0 {
		in.store(b.rows)
	}
	b.rows.ResetKeepSettings()
	*b = block{rows: b.rows}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.spare) < spares {
		in.spare = append(in.spare, b)
	}
}

// take gives a block that nobody works on.
func (in *inserter) take(mark string) *block {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, b := range in.open {
		if b.mark == mark {
			in.open = slices.Delete(in.open, i, i+1)
			return b
		}
	}
	var b *block
	if n := len(in.spare); n > 0 {
		b, in.spare = in.spare[n-1], in.spare[:n-1]
	} else {
		b = &block{rows: logstorage.GetLogRows([]string{eventlog.StreamField}, nil, nil, nil, "")}
	}
	b.mark = mark
	return b
}

// put gives a block back, for the next request or the timer.
func (in *inserter) put(b *block) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open = append(in.open, b)
	if in.timer == nil {
		in.timer = time.AfterFunc(linger, in.tick)
	}
}

// tick hands over what has waited for long.
func (in *inserter) tick() {
	in.mu.Lock()
	in.timer = nil
	if len(in.open) == 0 { // nothing comes: the memory goes
		in.spare = nil
	}
	in.mu.Unlock()
	in.flush(linger)
}

// flush hands over what has waited for so long at least, and is nobody's.
func (in *inserter) flush(age time.Duration) {
	var old []*block
	in.mu.Lock()
	in.open = slices.DeleteFunc(in.open, func(b *block) bool {
		if b.size > 0 && time.Since(b.since) < age {
			return false
		}
		old = append(old, b)
		return true
	})
	if len(in.open)+len(old) > 0 && in.timer == nil {
		in.timer = time.AfterFunc(linger, in.tick)
	}
	in.mu.Unlock()
	for _, b := range old {
		in.handOver(b)
	}
}
