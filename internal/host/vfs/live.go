package vfs

import (
	"io"
	"time"
)

// Grown is what the fake host itself has written to a file: all of it when
// since is zero, else what came after since. at is the time of the last write.
type Grown func(name string, since time.Time) (content Content, at time.Time)

// OnLive sets what makes the content of files with a Live name: logs and the
// like, which the host goes on writing while the visitor looks. fn runs with
// the view's lock held: it must not use the view.
func (f *FS) OnLive(fn Grown) {
	f.mu.Lock()
	f.grown = fn
	f.mu.Unlock()
}

// fresh is the state of a live file now: a copy that knows the node it is of.
func (f *FS) fresh(n *node) *node {
	if n == nil || n.live == "" || f.grown == nil || n.of != nil {
		return n
	}
	more, at := f.grown(n.live, n.seen)
	c := *n
	c.of = n
	switch {
	case more == nil || more.Size() == 0:
		return n
	case n.size() == 0:
		c.content = more
	case n.mutable:
		c.content = Concat(Bytes(n.data), more)
	default:
		c.content = Concat(n.content, more)
	}
	c.data, c.mutable = nil, false
	if at.After(c.mtime) {
		c.mtime, c.ctime = at, at
	}
	return &c
}

// settle makes what the host wrote so far the content of a file that is about
// to be written; what it writes from now on comes after that.
func (f *FS) settle(n *node) {
	if n.live == "" || f.grown == nil || f.opt.Now == nil {
		return
	}
	if c := f.fresh(n); c != n {
		n.content, n.data, n.mutable = c.content, nil, false
	}
	n.seen = f.opt.Now()
}

type concat []Content

// Concat is the contents one after another.
func Concat(parts ...Content) Content { return concat(parts) }

func (c concat) Size() int64 {
	total := int64(0)
	for _, p := range c {
		total += p.Size()
	}
	return total
}

func (c concat) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for _, p := range c {
		size := p.Size()
		if off < size && n < len(b) {
			k, err := p.ReadAt(b[n:min(int64(len(b)), int64(n)+size-off)], off)
			n += k
			off += int64(k)
			if err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt's own
				return n, err
			}
		}
		off -= size
		if n == len(b) {
			return n, nil
		}
	}
	return n, io.EOF
}
