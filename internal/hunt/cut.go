package hunt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/lapwing-defence/lapwing/internal/source/evtx"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// cutter cuts one input into blocks.
type cutter struct {
	r      *reader
	s      source
	in     io.Reader
	to     *input
	line   int64
	header *textlog.Header
}

func (c *cutter) cut(_ []byte) error {
	c.line = 1
	switch c.to.format {
	case formatEVTX:
		if _, err := io.CopyN(io.Discard, c.in, evtx.HeaderSize); err != nil {
			return fmt.Errorf("cut off in its header: %w", err)
		}
		return c.chunks()
	case formatChunks:
		c.to.format = formatEVTX
		return c.chunks()
	case formatStream:
		return c.documents()
	}
	return c.lines()
}

// chunks cuts an event log file.
func (c *cutter) chunks() error {
	for {
		b, err := c.r.memory()
		if err != nil {
			return err
		}
		if cap(b) < evtx.ChunkSize {
			b = make([]byte, evtx.ChunkSize)
		}
		n, err := io.ReadFull(c.in, b[:evtx.ChunkSize])
		if n == 0 {
			c.r.line.free <- b[:0]
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if allZero(b[:n]) {
			c.r.line.free <- b[:0]
		} else if err := c.r.emit(&block{in: c.to, data: b[:n]}); err != nil {
			return err
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
}

func allZero(b []byte) bool {
	for i := 0; i < len(b); i += 4096 {
		for _, x := range b[i:min(i+4096, len(b))] {
			if x != 0 {
				return false
			}
		}
	}
	return true
}

// lines cuts a log of lines where the format allows it.
func (c *cutter) lines() error {
	var rest []byte
	for {
		b, err := c.r.memory()
		if err != nil {
			return err
		}
		b = append(b, rest...)
		rest = rest[:0]
		b, end, err := c.fill(b)
		if end < 0 { // the input ends here
			if !errors.Is(err, io.EOF) {
				c.r.broken(c.s, err)
			}
			return c.send(b)
		}
		rest = append(rest, b[end:]...)
		if err := c.send(b[:end]); err != nil {
			return err
		}
	}
}

// fill reads until b is a block and finds where it can be cut; -1 at the end
// of the input.
func (c *cutter) fill(b []byte) (full []byte, end int, err error) {
	for {
		want := blockSize
		if len(b) >= want { // doubled, so that a long line is looked through twice at most
			want = min(2*len(b), max(maxLine, len(b))+blockSize)
		}
		if cap(b) < want {
			more := make([]byte, len(b), want+want/4)
			copy(more, b)
			b = more
		}
		for len(b) < want {
			n, err := c.in.Read(b[len(b):want])
			b = b[:len(b)+n]
			if err != nil {
				return b, -1, err
			}
		}
		if end := c.boundary(b); end > 0 {
			return b, end, nil
		}
		if len(b) > maxLine {
			c.r.h.Stats.Damaged.Add(1)
			c.r.h.problem(c.s.name, partly, "line %d is longer than %d MiB: its rest was left out", c.line, maxLine>>20)
			if err := c.skipLine(); err != nil {
				return append(b, '\n'), -1, err
			}
			b = append(b, '\n')
			return b, len(b), nil
		}
	}
}

// skipLine reads past the end of a line.
func (c *cutter) skipLine() error {
	in := bufio.NewReaderSize(c.in, blockSize/4)
	c.in = in
	for {
		_, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = c.r.ctx.Err()
			if err == nil {
				continue
			}
		}
		return err
	}
}

// boundary is where b can be cut, 0 when nowhere.
func (c *cutter) boundary(b []byte) int {
	end := bytes.LastIndexByte(b, '\n') + 1
	switch c.to.format {
	case textlog.Journal:
		return journalBoundary(b)
	case textlog.XML:
		if i := bytes.LastIndex(b, []byte("</Event>")); i >= 0 {
			return i + len("</Event>")
		}
		return 0
	case textlog.Auditd:
		return auditBoundary(b[:end])
	}
	return end
}

// journalBoundary is where the last whole entry ends. Entries are walked: what
// looks like the end of one may stand in a field that a stranger wrote.
func journalBoundary(b []byte) int {
	at := 0
	for {
		n := textlog.EntryEnd(b[at:])
		if n <= 0 {
			return at
		}
		at += n
	}
}

// send hands on lines; in tables it watches for new headers.
func (c *cutter) send(b []byte) error {
	if c.to.format == textlog.W3C || c.to.format == textlog.Zeek {
		return c.sendTable(b)
	}
	if len(b) == 0 {
		c.r.line.free <- b
		return nil
	}
	lines := int64(bytes.Count(b, []byte("\n")))
	err := c.r.emit(&block{in: c.to, data: b, line: c.line})
	c.line += lines
	return err
}

// sendTable cuts before each run of header lines and reads them.
func (c *cutter) sendTable(b []byte) error {
	whole := b
	for len(b) > 0 {
		for len(b) > 0 && b[0] == '#' {
			end := bytes.IndexByte(b, '\n') + 1
			if end == 0 {
				end = len(b)
			}
			c.header = textlog.HeaderLine(b[:end], c.header)
			b = b[end:]
			c.line++
		}
		end := len(b)
		if i := bytes.Index(b, []byte("\n#")); i >= 0 {
			end = i + 1
		}
		if end == 0 {
			break
		}
		m, err := c.r.memory()
		if err != nil {
			return err
		}
		if err := c.r.emit(&block{in: c.to, data: append(m, b[:end]...), line: c.line, header: c.header}); err != nil {
			return err
		}
		c.line += int64(bytes.Count(b[:end], []byte("\n")))
		b = b[end:]
	}
	c.r.line.free <- whole[:0]
	return nil
}
