package hunt

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Limits on inputs.
const (
	sampleSize = 64 << 10 // bytes that the format is recognised by
	maxNesting = 4        // archives in archives
	maxLine    = 64 << 20 // bytes of a line or of one JSON document
	// An archive may grow to maxGrowth times its size, or to minGrown if that is
	// more; the rest is not read.
	maxGrowth = 2000
	minGrown  = 1 << 30
)

var errStop = errors.New("stop")

// reader walks the inputs and cuts them into blocks.
type reader struct {
	h    *Hunt
	ctx  context.Context //nolint:containedctx // lives for one Run
	line *line
	// report is what the findings are written to, nil where that is no file.
	report os.FileInfo
}

// all reads each path; directories are walked in the order of names.
func (r *reader) all(paths []string) {
	total := int64(0)
	for _, p := range paths {
		total += size(followed(p))
	}
	r.h.Stats.Total.Store(total)
	if f := r.h.cfg.Report; f != nil {
		r.report, _ = f.Stat() // without it the report is judged as any file
	}
	for _, p := range paths {
		if r.ctx.Err() != nil {
			return
		}
		if p == "-" {
			r.stdin()
			continue
		}
		root := followed(p)
		err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			switch {
			case r.ctx.Err() != nil:
				return filepath.SkipAll
			case err != nil:
				r.h.problem(file, unread, "%v", plainError(err))
				return nil
			case d.IsDir() && file != root && strings.HasPrefix(d.Name(), "."):
				return filepath.SkipDir
			case d.IsDir(), file != root && !d.Type().IsRegular(), r.report != nil && r.reports(d):
				return nil
			}
			r.file(file)
			return nil
		})
		if err != nil {
			r.h.problem(p, unread, "%v", plainError(err))
		}
	}
}

// reports tells whether a walk has met the file that findings are written to.
func (r *reader) reports(d fs.DirEntry) bool {
	info, err := d.Info()
	return err == nil && os.SameFile(info, r.report)
}

// followed is a path through which a walk enters a directory that p is a link
// to; links inside are not followed.
func followed(p string) string {
	l, err := os.Lstat(p)
	if err != nil || l.Mode()&os.ModeSymlink == 0 {
		return p
	}
	if to, err := os.Stat(p); err == nil && to.IsDir() {
		return p + string(os.PathSeparator)
	}
	return p
}

// plainError is an error without the path, which is said already.
func plainError(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func size(p string) int64 {
	total := int64(0)
	filepath.WalkDir(p, func(_ string, d fs.DirEntry, err error) error { //nolint:errcheck // an estimate for the progress bar
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				total += i.Size()
			}
		}
		return nil
	})
	return total
}

func (r *reader) stdin() {
	in := r.h.cfg.Stdin
	if in == nil {
		in = strings.NewReader("")
	}
	c := &counted{r: in, h: r.h}
	r.stream(source{name: cmp.Or(r.h.cfg.StdinName, "-"), mod: r.h.cfg.Now, room: &room{in: c}}, c)
}

func (r *reader) file(file string) {
	f, err := open(r.ctx, file)
	if err != nil {
		r.h.problem(file, unread, "%v", plainError(err))
		return
	}
	defer f.Close()                                        //nolint:errcheck // read only
	defer context.AfterFunc(r.ctx, func() { f.Close() })() //nolint:errcheck // ends a read that waits
	info, err := f.Stat()
	if err != nil {
		r.h.problem(file, unread, "%v", plainError(err))
		return
	}
	c := &counted{r: f, h: r.h}
	s := source{name: file, mod: info.ModTime(), room: &room{in: c, size: info.Size()}}
	if info.IsDir() {
		r.h.problem(file, unread, "a directory where a file was expected")
		return
	}
	var magic [4]byte
	if n, err := f.ReadAt(magic[:], 0); err == nil || n == 4 {
		if isZip(magic[:]) {
			r.zip(s, f, info.Size())
			r.h.Stats.Bytes.Add(info.Size())
			return
		}
	}
	r.stream(s, c)
}

// source is where a stream comes from.
type source struct {
	name  string
	mod   time.Time
	room  *room // of the outermost file
	depth int   // archives around it
}

func (s source) inside(member string) source {
	s.name += "!" + member
	s.depth++
	return s
}

// counted counts what was read of the outermost file.
type counted struct {
	r io.Reader
	h *Hunt
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.h.Stats.Bytes.Add(int64(n))
	return n, err
}

// room is how far everything that is packed into one file may grow, all its
// members and what is packed into them together.
type room struct {
	in   *counted
	size int64 // of the file, 0 when unknown
	out  int64 // unpacked so far
}

func (m *room) left() int64 {
	return max(minGrown, max(m.size, m.in.n)*maxGrowth) - m.out
}

// bounded ends a stream when the room is used up.
type bounded struct {
	r    io.Reader
	room *room
}

var errGrows = fmt.Errorf("grows to more than %d times its size: the rest was not read", maxGrowth)

func (b *bounded) Read(p []byte) (int, error) {
	left := b.room.left()
	if left <= 0 {
		return 0, errGrows
	}
	n, err := b.r.Read(p[:min(int64(len(p)), left)])
	b.room.out += int64(n)
	return n, err
}

func grown(s source, r io.Reader) io.Reader { return &bounded{r: r, room: s.room} }

// stream reads one input of any kind.
func (r *reader) stream(s source, in io.Reader) {
	br := bufio.NewReaderSize(in, sampleSize)
	sample, err := br.Peek(sampleSize)
	if len(sample) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			r.broken(s, err)
		}
		return
	}
	if r.container(s, sample, br) {
		return
	}
	r.h.Stats.Files.Add(1)
	in2, sample := utf8Reader(br, sample)
	kind := sniff(sample, s.name)
	if kind == "" {
		r.h.Stats.Skipped.Add(1)
		named := slices.Contains(r.h.cfg.Paths, s.name) // it was asked for
		switch {
		case named:
			r.h.problem(s.name, partly, "skipped: neither a known log format nor text")
		case s.depth == 0:
			r.h.problem(s.name, aside, "skipped: neither a known log format nor text")
		}
		return
	}
	c := cutter{r: r, s: s, in: in2, to: &input{name: s.name, format: kind, path: zeekPath(s.name)}}
	if !s.mod.IsZero() {
		c.to.year = s.mod.Unix()
	}
	if err := c.cut(sample); err != nil && !errors.Is(err, errStop) {
		r.broken(s, err)
	}
}

// broken notes an input that ended before its end.
func (r *reader) broken(s source, err error) {
	if r.ctx.Err() == nil {
		r.h.problem(s.name, partly, "read up to a fault: %v", plainError(err))
	}
}

// emit hands a block to the judges; data becomes theirs. It gives other memory
// to fill in its place, nil when the hunt is over.
func (r *reader) emit(b *block) error {
	b.seq = r.line.seq
	if cap(b.data) > heavy {
		select {
		case r.line.heavy <- struct{}{}:
		case <-r.ctx.Done():
			return errStop
		}
	}
	select {
	case r.line.todo <- b:
		r.line.seq++
		return nil
	case <-r.ctx.Done():
		return errStop
	}
}

// memory waits for a free block.
func (r *reader) memory() ([]byte, error) {
	select {
	case b := <-r.line.free:
		if b == nil {
			b = make([]byte, 0, blockSize)
		}
		return b[:0], nil
	case <-r.ctx.Done():
		return nil, errStop
	}
}

// open opens a file. A named pipe that nobody writes to would wait for ever: it
// waits until ctx ends.
func open(ctx context.Context, file string) (*os.File, error) {
	if info, err := os.Stat(file); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return os.Open(file)
	}
	type opened struct {
		f   *os.File
		err error
	}
	ch := make(chan opened)
	go func() {
		f, err := os.Open(file)
		select {
		case ch <- opened{f, err}:
		case <-ctx.Done():
			if err == nil {
				f.Close() //nolint:errcheck // nobody waits for it any more
			}
		}
	}()
	select {
	case o := <-ch:
		return o.f, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
