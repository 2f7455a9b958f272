package unpack

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// container is one container being gone through.
type container struct {
	w       *walker
	it      item
	format  string
	entries int
}

// guarded turns a panic of a decoder into damage of this container.
func (c *container) guarded(walk func(*container) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the decoder failed: %v", r)
		}
	}()
	return walk(c)
}

// input reads the container from its beginning; it ends with the context.
func (c *container) input() *io.SectionReader {
	return io.NewSectionReader(ctxReaderAt{c}, 0, c.it.size)
}

// ctxReaderAt fails once the time is over, so that no decoder goes on reading.
type ctxReaderAt struct{ c *container }

// ReadAt implements io.ReaderAt.
func (r ctxReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if err := r.c.w.ctx.Err(); err != nil {
		return 0, err
	}
	return r.c.it.r.ReadAt(p, off)
}

// path names a thing inside this container.
func (c *container) path(name string) string {
	name = strings.ToValidUTF8(strings.TrimRight(name, "\x00"), "�")
	if len(name) > c.w.l.Name {
		name = clip(name, c.w.l.Name)
	}
	if name == "" {
		name = fmt.Sprintf("#%d", c.entries)
	}
	if c.it.path == "" {
		return name
	}
	p := c.it.path + "!" + name
	if len(p) > 16*c.w.l.Name {
		p = "…" + strings.ToValidUTF8(p[len(p)-8*c.w.l.Name:], "")
	}
	return p
}

// skip notes one thing inside that is not looked at.
func (c *container) skip(name string, why Reason, text string) {
	c.w.skip(item{path: c.path(name)}, why, c.format+": "+text)
}

// give unpacks r, shows it, and goes on inside it. An error of r damages this
// entry alone.
func (c *container) give(name string, r io.Reader) error {
	w := c.w
	if w.report.Entries >= w.l.Entries {
		w.skip(c.it, Limit, fmt.Sprintf("%s: more than %d things inside", c.format, w.l.Entries))
		return errTotal
	}
	w.report.Entries++
	c.entries++
	it := item{path: c.path(name), name: name, depth: c.it.depth + 1}
	buf := &spool{}
	defer buf.close()
	err := c.copy(buf, r)
	if errors.Is(err, errTotal) || w.ctx.Err() != nil {
		if c.show(it, buf) != nil || w.ctx.Err() != nil {
			return errors.Join(err, w.ctx.Err())
		}
		return err
	}
	if s, ok := errors.AsType[skipError](err); ok {
		w.skip(it, s.reason, c.format+": "+s.text)
	} else if err != nil {
		w.skip(it, Damaged, c.format+": "+clip(err.Error(), 200))
	}
	return c.show(it, buf)
}

// show visits what was unpacked, also when it is not the whole.
func (c *container) show(it item, buf *spool) error {
	if buf.size == 0 {
		return nil
	}
	it.r, it.size = buf, buf.size
	if err := c.w.visit(Entry{Path: it.path, Format: c.format, Content: buf, Size: buf.size}); err != nil {
		return visitError{err}
	}
	return c.w.open(it)
}

const block = 64 << 10

// copy moves r to buf within the limits.
func (c *container) copy(buf *spool, r io.Reader) error {
	w := c.w
	p := make([]byte, block)
	for {
		n, err := r.Read(p)
		if n > 0 {
			if buf.size+int64(n) > w.l.Entry {
				return skipError{Limit, fmt.Sprintf("it is larger than %d bytes unpacked; only its beginning was looked at", w.l.Entry)}
			}
			w.bytes += int64(n)
			if w.bytes > w.l.Total {
				w.skip(c.it, Limit, fmt.Sprintf("%s: more than %d bytes unpacked in all", c.format, w.l.Total))
				return errTotal
			}
			if w.bytes > freeBytes && w.bytes/w.l.Ratio > max(w.outer, 1) {
				w.skip(c.it, Limit, fmt.Sprintf("%s: more than %d bytes out of each byte: an archive bomb", c.format, w.l.Ratio))
				return errTotal
			}
			if werr := buf.write(p[:n]); werr != nil {
				return skipError{Limit, "no room to unpack it: " + werr.Error()}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if cerr := w.ctx.Err(); cerr != nil {
			return cerr
		}
	}
}
