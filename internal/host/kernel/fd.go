package kernel

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// FD is a reference to an open file, pipe or terminal. Dup makes another
// reference; the file closes when the last one is closed.
type FD struct {
	Path        string      // for /proc/PID/fd: "/tmp/x", "pipe:[123]", "/dev/pts/0"
	Handle      *vfs.Handle // of a file, else nil
	TTY         *TTY        // of a terminal, else nil
	CloseOnExec bool

	job *Job // of the process that has it

	rw   io.ReadWriter
	refs *atomic.Int32
	once sync.Once
	free func() error
}

// NewFD wraps rw; closeFn (may be nil) runs when the last reference closes.
func NewFD(path string, rw io.ReadWriter, closeFn func() error) *FD {
	f := &FD{Path: path, rw: rw, refs: new(atomic.Int32), free: closeFn}
	f.refs.Store(1)
	return f
}

// FileFD wraps an open file of the fake file system.
func FileFD(h *vfs.Handle) *FD {
	f := NewFD(h.Path(), h, h.Close)
	f.Handle = h
	return f
}

// Dup is another reference to the same open file.
func (f *FD) Dup() *FD {
	f.refs.Add(1)
	return &FD{Path: f.Path, Handle: f.Handle, TTY: f.TTY, job: f.job, rw: f.rw, refs: f.refs, free: f.free}
}

// Read reads; a closed descriptor gives EBADF.
func (f *FD) Read(b []byte) (int, error) {
	if f.TTY != nil {
		return f.TTY.read(f.job, b)
	}
	return f.read(b)
}

func (f *FD) read(b []byte) (int, error) {
	if f.rw == nil {
		return 0, vfs.EBADF
	}
	n, err := f.rw.Read(b)
	f.job.pass()
	return n, err
}

// Write writes; a pipe without a reader gives EPIPE.
func (f *FD) Write(b []byte) (int, error) {
	if f.rw == nil {
		return 0, vfs.EBADF
	}
	f.job.pass()
	return f.rw.Write(b)
}

// Close drops this reference. A second Close does nothing.
func (f *FD) Close() error {
	var err error
	f.once.Do(func() {
		if f.refs != nil && f.refs.Add(-1) == 0 && f.free != nil {
			err = f.free()
		}
	})
	return err
}

var closedFD = &FD{}

// PipeSize is what a pipe holds before a writer waits, as on Linux.
const PipeSize = 64 << 10

type pipe struct {
	mu       sync.Mutex
	cond     sync.Cond
	buf      []byte
	noReader bool
	noWriter bool
	broken   bool
	budget   *Budget
}

// Pipe makes a bounded pipe. It breaks when ctx ends, so nobody hangs on it.
// Bytes moved are charged to b.
func Pipe(ctx context.Context, b *Budget) (r, w *FD) {
	p := &pipe{budget: b}
	p.cond.L = &p.mu
	stop := context.AfterFunc(ctx, func() { p.set(&p.broken) })
	r = NewFD("pipe:[0]", pipeEnd{p}, func() error { stop(); p.set(&p.noReader); return nil })
	w = NewFD("pipe:[0]", pipeEnd{p}, func() error { p.set(&p.noWriter); return nil })
	return r, w
}

type pipeEnd struct{ *pipe }

func (p *pipe) set(flag *bool) {
	p.mu.Lock()
	*flag = true
	p.mu.Unlock()
	p.cond.Broadcast()
}

// Read waits for bytes; io.EOF when every writer is gone.
func (p *pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) == 0 {
		if p.broken || p.noWriter {
			return 0, io.EOF
		}
		p.cond.Wait()
	}
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	if len(p.buf) == 0 {
		p.buf = nil
	}
	p.cond.Broadcast()
	return n, nil
}

// Write waits for room; EPIPE when every reader is gone.
func (p *pipe) Write(b []byte) (int, error) {
	if err := p.budget.Move(int64(len(b))); err != nil {
		return 0, vfs.EPIPE
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(b) {
		if p.broken || p.noReader {
			return n, vfs.EPIPE
		}
		room := PipeSize - len(p.buf)
		if room == 0 {
			p.cond.Wait()
			continue
		}
		k := min(room, len(b)-n)
		p.buf = append(p.buf, b[n:n+k]...)
		n += k
		p.cond.Broadcast()
	}
	return n, nil
}
