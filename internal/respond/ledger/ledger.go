// Package ledger keeps the records of who decides in files of their own: lines of
// JSON with a checksum, appended, replaced by a snapshot when most of them say
// nothing any more.
//
//	decisions-00000007.snap   the state when segment 7 began; its last line counts its lines
//	decisions-00000007.log    what was appended since
//
// A line is eight hex digits (CRC-32C of the rest), a space, the JSON, a line feed.
package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/respond"
)

const (
	maxLine = 1 << 20 // bytes
	prefix  = "decisions-"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Ledger is a respond.Store in a directory, for one process at a time.
type Ledger struct {
	dir string

	mu      sync.Mutex
	file    *os.File
	segment int
	written uint64 // appends so far
	size    int64  // of file up to the last whole line
	lines   int    // records in all files
	broken  error  // why nothing can be appended to file any more
	damaged int
	buf     []byte

	syncing sync.Mutex
	synced  uint64 // appends that are on the disk, under syncing
}

var _ respond.Store = (*Ledger)(nil)

// Open opens the ledger in dir, which is made when it is not there. What a crash
// left half written goes.
func Open(dir string) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the decisions: %w", err)
	}
	if err := durable.Clean(dir); err != nil {
		return nil, fmt.Errorf("open the decisions: %w", err)
	}
	return &Ledger{dir: dir}, nil
}

// Damaged counts lines that Read passed over because their checksum is wrong; the
// torn last line of a crash is none of them.
func (l *Ledger) Damaged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damaged
}

func (l *Ledger) name(n int, kind string) string {
	return filepath.Join(l.dir, fmt.Sprintf("%s%08d.%s", prefix, n, kind))
}

// numbers lists the segments or snapshots that there are, in order.
func (l *Ledger) numbers(kind string) ([]int, error) {
	list, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range list {
		text, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		if text, ok = strings.CutSuffix(text, "."+kind); !ok {
			continue
		}
		if n, err := strconv.Atoi(text); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Read calls fn with every record and makes the ledger ready for Append.
func (l *Ledger) Read(fn func(*respond.Record) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		return errors.New("the decisions were read before")
	}
	from, err := l.readSnapshot(fn)
	if err != nil {
		return fmt.Errorf("read the decisions: %w", err)
	}
	logs, err := l.numbers("log")
	if err != nil {
		return fmt.Errorf("read the decisions: %w", err)
	}
	l.segment = max(from, 1)
	for _, n := range logs {
		if n < from {
			continue
		}
		l.segment = n
		good, _, err := l.readLines(l.name(n, "log"), fn)
		if err != nil {
			return fmt.Errorf("read the decisions: %w", err)
		}
		l.size = good
	}
	return l.openSegment()
}

// openSegment opens the last segment behind its last whole line.
func (l *Ledger) openSegment() error {
	f, err := os.OpenFile(l.name(l.segment, "log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Truncate(l.size)
		if err == nil {
			_, err = f.Seek(l.size, io.SeekStart)
		}
		if err = errors.Join(err, durable.SyncDir(l.dir)); err != nil {
			f.Close() //nolint:errcheck // the other error is told
		}
	}
	if err != nil {
		return fmt.Errorf("open the decisions: %w", err)
	}
	l.file = f
	return nil
}

// readSnapshot reads the newest whole snapshot and gives its number, 0 for none.
func (l *Ledger) readSnapshot(fn func(*respond.Record) error) (int, error) {
	snaps, err := l.numbers("snap")
	if err != nil || len(snaps) == 0 {
		return 0, err
	}
	n := snaps[len(snaps)-1] // it has its name since it was whole
	_, end, err := l.readLines(l.name(n, "snap"), fn)
	if err == nil && !end {
		err = fmt.Errorf("%s is cut short; restore it from a backup, or remove it and lose the decisions in it", l.name(n, "snap"))
	}
	return n, err
}

// tail ends a snapshot.
type tail struct {
	End *int `json:"end"`
}

// readLines calls fn with the record of each line; good is where the last whole
// line ends, end tells that a snapshot's last line was seen. A line with a wrong
// checksum in between is counted and passed over.
func (l *Ledger) readLines(file string, fn func(*respond.Record) error) (good int64, end bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, false, err
	}
	defer f.Close() //nolint:errcheck // only read
	r := bufio.NewReaderSize(f, maxLine)
	var at int64
	torn := 0
	for {
		line, err := r.ReadSlice('\n')
		at += int64(len(line))
		if errors.Is(err, io.EOF) {
			return good, end, nil // what is not ended was never acknowledged
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return good, end, err
		}
		body, ok := check(line)
		if !ok {
			torn++
			continue
		}
		l.damaged += torn
		good, torn = at, 0
		if bytes.HasPrefix(body, []byte(`{"end":`)) {
			var t tail
			end = json.Unmarshal(body, &t) == nil && t.End != nil
			continue
		}
		rec := new(respond.Record)
		if err := json.Unmarshal(body, rec); err != nil {
			l.damaged++
			continue
		}
		l.lines++
		if err := fn(rec); err != nil {
			return good, end, err
		}
	}
}

// check is the JSON of a line whose checksum is right.
func check(line []byte) ([]byte, bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) < 10 || line[8] != ' ' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	body := line[9:]
	return body, err == nil && crc32.Checksum(body, castagnoli) == uint32(sum)
}

// appendLine adds v as a line to dst.
func appendLine(dst []byte, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return dst, err
	}
	if len(body)+10 > maxLine {
		return dst, fmt.Errorf("a record of %d bytes", len(body))
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(body, castagnoli))
	return append(append(dst, body...), '\n'), nil
}

// Append writes records. After nil they survive the end of the process. After an
// error nothing of them is kept, and nothing can be appended until Cut.
func (l *Ledger) Append(recs ...*respond.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if l.file == nil {
		return errors.New("write the decisions: they were not read")
	}
	l.buf = l.buf[:0]
	for _, r := range recs {
		var err error
		if l.buf, err = appendLine(l.buf, r); err != nil {
			return fmt.Errorf("write the decisions: %w", err)
		}
	}
	if _, err := l.file.Write(l.buf); err != nil {
		l.broken = fmt.Errorf("write the decisions: %w; make room on the disk", err)
		l.file.Truncate(l.size) //nolint:errcheck // a torn line is seen when it is read
		return l.broken
	}
	l.size += int64(len(l.buf))
	l.written++
	l.lines += len(recs)
	return nil
}

// Sync returns nil when all that was appended before the call survives a loss of
// power. Calls at once share one write to the disk.
func (l *Ledger) Sync() error {
	l.mu.Lock()
	want := l.written
	l.mu.Unlock()
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	f, got, broken := l.file, l.written, l.broken
	l.mu.Unlock()
	if broken != nil {
		return broken
	}
	if l.synced >= want || f == nil {
		return nil
	}
	if err := f.Sync(); err != nil {
		err = fmt.Errorf("write the decisions: %w", err)
		l.mu.Lock()
		if l.file == f && l.broken == nil { // what the disk did not take is lost to the cache, too
			l.broken = err
		}
		l.mu.Unlock()
		return err
	}
	l.synced = got
	return nil
}

// Cut begins a new segment. The function that it gives writes a snapshot in the
// place of all before it.
func (l *Ledger) Cut() (func(iter.Seq[*respond.Record]) error, error) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.file
	if old != nil && l.broken == nil {
		if err := old.Sync(); err != nil {
			return nil, fmt.Errorf("write the decisions: %w", err)
		}
	}
	f, err := os.OpenFile(l.name(l.segment+1, "log"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		err = durable.SyncDir(l.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("begin a new segment of decisions: %w", err)
	}
	if old != nil {
		old.Close() //nolint:errcheck // it was synced, or is replaced
	}
	l.file, l.size, l.broken = f, 0, nil
	l.segment++
	l.synced = l.written
	n, before := l.segment, l.lines
	return func(recs iter.Seq[*respond.Record]) error { return l.replace(n, before, recs) }, nil
}

// replace writes the snapshot that segment n follows and removes what it replaces.
func (l *Ledger) replace(n, before int, recs iter.Seq[*respond.Record]) error {
	count, err := l.writeSnapshot(l.name(n, "snap"), recs)
	if err != nil {
		return fmt.Errorf("write the decisions anew: %w", err)
	}
	l.mu.Lock()
	l.lines += count - before
	l.mu.Unlock()
	for _, kind := range []string{"log", "snap"} {
		list, err := l.numbers(kind)
		if err != nil {
			return fmt.Errorf("remove old decisions: %w", err)
		}
		for _, old := range list {
			if old >= n {
				continue
			}
			if err := os.Remove(l.name(old, kind)); err != nil {
				return fmt.Errorf("remove old decisions: %w", err)
			}
		}
	}
	return nil
}

func (l *Ledger) writeSnapshot(name string, recs iter.Seq[*respond.Record]) (count int, err error) {
	tmp, err := os.CreateTemp(l.dir, ".new-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	w := bufio.NewWriterSize(tmp, 256<<10)
	var buf []byte
	put := func(v any) {
		if err != nil {
			return
		}
		if buf, err = appendLine(buf[:0], v); err == nil {
			_, err = w.Write(buf)
		}
	}
	for r := range recs {
		put(r)
		count++
	}
	put(tail{&count})
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return 0, err
	}
	return count, durable.SyncDir(l.dir)
}

// Len is how many records there are.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines
}

// Close closes the file; everything was written.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file, l.broken = nil, errors.New("write the decisions: they are closed")
	return err
}
