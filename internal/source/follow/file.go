package follow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// ident tells files apart, whatever their names are.
type ident struct {
	dev, ino uint64
	born     int64 // ns since 1970, 0 where the file system does not say
}

// headSize is by how many first bytes a file is known again.
const headSize = 1024

// file is one file that is followed.
type file struct {
	id   ident
	path string // where it was found first
	src  io.ReaderAt
	file *os.File // nil: src is a copy that cannot grow
	info os.FileInfo
	head []byte // its first bytes

	off   int64 // everything before it is taken
	size  int64 // when it was last looked at
	epoch int   // how often it was truncated
	skip  bool  // off is inside of a line whose beginning was taken
	mark  uint64

	prev    *file     // what was at its path before; read first
	rotated time.Time // since when it is at no path; zero: it is
	wrote   time.Time // when it was last found to have grown, since rotated
	queued  bool
	closed  bool
	settled bool // what has no end was taken, too
	watch   int  // id, -1 = none
	record  []byte
}

// begin sets what follows from id and epoch.
func (one *file) begin() {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], one.id.dev)
	binary.LittleEndian.PutUint64(b[8:], one.id.ino)
	binary.LittleEndian.PutUint64(b[16:], uint64(one.id.born))
	binary.LittleEndian.PutUint64(b[24:], uint64(one.epoch))
	sum := sha256.Sum256(b[:])
	one.mark = binary.LittleEndian.Uint64(sum[:])
	one.record = nil
}

func (one *file) close() {
	if one.file != nil {
		one.file.Close() //nolint:errcheck // it was only read
	}
	if c, ok := one.src.(io.Closer); ok && one.file == nil {
		c.Close() //nolint:errcheck // it was only read
	}
}

// learn reads the first bytes while there are fewer than headSize of them.
func (one *file) learn() error {
	if len(one.head) == headSize || int64(len(one.head)) >= one.size {
		return nil
	}
	var buf [headSize]byte
	n, err := one.src.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	one.head = append(one.head[:0:0], buf[:n]...)
	return nil
}

// grown notes how large a file is, and that somebody writes to it.
func (f *Follower) grown(one *file, size int64) {
	if size != one.size && !one.rotated.IsZero() {
		one.wrote, one.settled = f.cfg.Feed.Now(), false
	}
	one.size = size
}

// truncated tells whether the file is not the one any more that was read: it is
// shorter, or begins otherwise.
func (f *Follower) truncated(one *file) (bool, error) {
	st, err := one.file.Stat()
	if err != nil {
		return false, err
	}
	f.grown(one, st.Size())
	if one.size < one.off || one.size < int64(len(one.head)) {
		return true, nil
	}
	var buf [headSize]byte
	n, err := one.file.ReadAt(buf[:len(one.head)], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return !bytes.Equal(buf[:n], one.head), nil
}

// pump hands over what a file has; more tells that it has still more. A file
// whose path belonged to another one before waits for that.
func (f *Follower) pump(ctx context.Context, one *file, limit int64) (more bool, err error) {
	if one.closed {
		return false, nil
	}
	for one.prev != nil {
		prev := one.prev
		if more, err := f.pump(ctx, prev, limit); err != nil || more {
			f.mark(prev)
			return true, err
		}
		one.prev = nil
	}
	if one.file != nil {
		cut, err := f.truncated(one)
		if err != nil {
			return false, f.trouble(one.path, fmt.Errorf("look at %s: %w", one.path, err))
		}
		if cut {
			if err := f.restart(ctx, one); err != nil {
				return false, err
			}
		}
	}
	return f.take(ctx, one, limit, false)
}

// take hands over lines from where the file is; final: also what has no end.
func (f *Follower) take(ctx context.Context, one *file, limit int64, final bool) (more bool, err error) {
	for limit > 0 {
		n, err := one.src.ReadAt(f.buf, one.off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, f.trouble(one.path, fmt.Errorf("read %s: %w", one.path, err))
		}
		if n == 0 {
			return false, nil
		}
		f.grown(one, max(one.size, one.off+int64(n)))
		if err := one.learn(); err != nil {
			return false, f.trouble(one.path, fmt.Errorf("read %s: %w", one.path, err))
		}
		if n == len(f.buf) && f.buf[0] == 0 && len(bytes.TrimLeft(f.buf, "\x00")) == 0 {
			if one.off, err = f.behindHole(one); err != nil {
				return false, f.trouble(one.path, fmt.Errorf("read %s: %w", one.path, err))
			}
			continue
		}
		used, err := f.hand(ctx, one, f.buf[:n], final && n < len(f.buf))
		if err != nil {
			return false, err
		}
		if n < len(f.buf) { // its end, when it was read
			return false, nil
		}
		limit -= used
	}
	return true, nil
}

// behindHole is where something else than zeros begins behind one.off; the file
// has at most a buffer of zeros there when nothing does.
func (f *Follower) behindHole(one *file) (int64, error) {
	for at := one.off; ; at += int64(len(f.buf)) {
		n, err := one.src.ReadAt(f.buf, at)
		if rest := bytes.TrimLeft(f.buf[:n], "\x00"); len(rest) > 0 {
			return at + int64(n-len(rest)), nil
		}
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return one.off, err
		}
	}
}

// hand gives the lines of data, which is at one.off, in batches.
func (f *Follower) hand(ctx context.Context, one *file, data []byte, final bool) (used int64, err error) {
	now := f.cfg.Feed.Now()
	var s splitter
	for {
		s = splitter{data: data[used:], off: one.off, mark: one.mark, skip: one.skip, final: final, format: f.cfg.Format, received: now}
		f.lines = s.lines(f.lines[:0])
		if s.used == 0 {
			return used, nil
		}
		one.off += int64(s.used)
		one.skip = s.skip
		used += int64(s.used)
		one.record = nil
		if err := f.cfg.Feed.Give(ctx, f.lines, f.position()); err != nil {
			return used, err
		}
	}
}

// splitter takes lines from the beginning of data.
type splitter struct {
	data     []byte
	off      int64 // of data in the file
	mark     uint64
	skip     bool // data begins inside of a line that was taken
	final    bool // what has no end is a line, too
	format   string
	received time.Time
	used     int
}

// lines appends at most maxBatch lines to dst.
func (s *splitter) lines(dst []line.Line) []line.Line {
	for len(dst) < maxBatch && s.used < len(s.data) {
		rest := s.data[s.used:]
		if rest[0] == 0 && !s.skip { // a hole that a writer left who does not append
			text := bytes.TrimLeft(rest, "\x00")
			if len(text) == 0 && !s.final { // or room made beforehand, to be written to
				return dst
			}
			s.used += len(rest) - len(text)
			continue
		}
		end := bytes.IndexByte(rest, '\n')
		size := end + 1
		switch {
		case end >= 0:
		case s.skip:
			s.used = len(s.data)
			return dst
		case s.final:
			end, size = len(rest), len(rest)
		case len(rest) > line.MaxText:
			end, size = len(rest), len(rest)
			s.skip = true
			dst = s.add(dst, rest[:end])
			s.used += size
			return dst
		default:
			return dst
		}
		if s.skip {
			s.skip = false
		} else {
			dst = s.add(dst, rest[:end])
		}
		s.used += size
	}
	return dst
}

func (s *splitter) add(dst []line.Line, text []byte) []line.Line {
	text = bytes.TrimSuffix(text, []byte{'\r'})
	if len(text) == 0 {
		return dst
	}
	l := line.Line{Text: text, Format: s.format, Received: s.received}
	if len(text) > line.MaxText {
		l.Text, l.Cut = text[:line.MaxText:line.MaxText], true
	}
	binary.BigEndian.PutUint64(l.Mark[:], s.mark)
	binary.BigEndian.PutUint64(l.Mark[8:], uint64(s.off)+uint64(s.used))
	return append(dst, l)
}
