package vfs

import (
	"io"
	"sync"
)

// Handle is an open file. Methods are safe for concurrent use.
type Handle struct {
	f     *FS
	c     Caller
	path  string
	flags Flags
	n     *node   // of a file or device of ours
	fixed Content // what a file below a Provider held when it was opened
	entry Entry
	name  string

	mu     sync.Mutex
	off    int64
	closed bool
	buf    []byte // written to an Entry
}

// Open opens path. perm is the mode of a file that is made.
func (f *FS) Open(c Caller, path string, fl Flags, perm uint32) (*Handle, error) {
	f.mu.Lock()
	h, l, err := f.open(c, path, fl, perm)
	told := f.onMark
	f.mu.Unlock()
	f.tell(l)
	if told != nil && err == nil && h.n != nil && h.n.mark != "" && fl&WriteOnly == 0 {
		told(h.path, h.n.mark)
	}
	return h, err
}

func writes(fl Flags) bool { return fl&(WriteOnly|ReadWrite) != 0 }

func (f *FS) open(c Caller, path string, fl Flags, perm uint32) (*Handle, *lost, error) {
	fr, miss, err := f.walkTo(c, path, fl&NoFollow == 0)
	if err != nil {
		return nil, nil, err
	}
	if miss != nil {
		h, err := f.create(c, path, miss, fl, perm)
		return h, nil, err
	}
	if fl&Create != 0 && fl&Excl != 0 {
		return nil, nil, EEXIST
	}
	if err := f.mayOpen(c, fr, fl); err != nil {
		return nil, nil, err
	}
	h := &Handle{f: f, c: c, path: fr.path(), flags: fl, name: fr.name}
	if fr.prov != nil {
		h.entry = fr.entry
		if fr.entry.Read != nil && fl&WriteOnly == 0 {
			h.fixed = Bytes(fr.entry.Read())
		}
		return h, nil, nil
	}
	h.n = fr.n
	if !writes(fl) || fr.n.kind != File {
		return h, nil, nil
	}
	h.n = f.takeChain(fr)
	f.settle(h.n)
	var l *lost
	if fl&Truncate != 0 {
		l = vanish(h.path, h.n)
		f.charge(h.n, 0) //nolint:errcheck // shrinking always works
		h.n.content, h.n.data, h.n.mutable, h.n.written = nil, nil, true, true
		h.n.mtime = f.touch()
		h.n.ctime = h.n.mtime
	}
	return h, l, nil
}

func (f *FS) create(c Caller, path string, miss *missing, fl Flags, perm uint32) (*Handle, error) {
	if fl&Create == 0 {
		return nil, ENOENT
	}
	if path[len(path)-1] == '/' {
		return nil, EISDIR
	}
	switch {
	case miss.dir.prov != nil:
		return nil, miss.dir.prov.Create()
	case !permitted(c, miss.dir.info(), 3):
		return nil, EACCES
	case miss.dir.n.attr&AttrImmutable != 0:
		return nil, EPERM
	case f.nodes >= f.opt.MaxNodes:
		return nil, f.full("number of a visitor's files", ENOSPC)
	}
	n := f.insert(c, miss, &node{kind: File, mode: perm & 0o7777, mutable: true})
	n.dirty, n.written = true, true
	fr := &frame{n: n, name: miss.name, up: miss.dir}
	return &Handle{f: f, c: c, path: fr.path(), flags: fl, n: n, name: miss.name}, nil
}

func (f *FS) mayOpen(c Caller, fr *frame, fl Flags) error {
	in := fr.info()
	bits := uint32(0)
	if fl&WriteOnly == 0 {
		bits |= 4
	}
	if writes(fl) {
		bits |= 2
	}
	switch {
	case in.Kind == Symlink:
		return ELOOP
	case in.Kind == Dir && (writes(fl) || fl&Create != 0):
		return EISDIR
	case in.Kind != Dir && fl&Directory != 0:
		return ENOTDIR
	case !permitted(c, in, bits):
		return EACCES
	case fr.prov != nil && writes(fl) && fr.entry.Write == nil:
		return EACCES
	case in.Kind == FIFO || in.Kind == Socket:
		return ENXIO
	case writes(fl) && in.Attr&AttrImmutable != 0:
		return EPERM
	case writes(fl) && in.Attr&AttrAppend != 0 && (fl&Append == 0 || fl&Truncate != 0):
		return EPERM
	}
	return nil
}

// Path is where the file was when it was opened.
func (h *Handle) Path() string { return h.path }

// Stat describes the open file.
func (h *Handle) Stat() Info {
	h.f.mu.RLock()
	defer h.f.mu.RUnlock()
	if h.n == nil {
		in := h.entry.Info
		in.Name = h.name
		return in
	}
	return h.f.fresh(h.f.get(h.n)).info(h.name)
}

// Read reads from the offset; io.EOF at the end.
func (h *Handle) Read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := h.readAt(b, h.off)
	h.off += int64(n)
	if n > 0 && err == io.EOF { //nolint:errorlint // our own, unwrapped
		err = nil
	}
	return n, err
}

// ReadAt reads at off without moving the offset.
func (h *Handle) ReadAt(b []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readAt(b, off)
}

func (h *Handle) readAt(b []byte, off int64) (int, error) {
	switch {
	case h.closed || h.flags&WriteOnly != 0:
		return 0, EBADF
	case off < 0:
		return 0, EINVAL
	case len(b) == 0:
		return 0, nil
	case h.n == nil && h.fixed == nil:
		if h.entry.Info.Kind == Dir {
			return 0, EISDIR
		}
		return 0, EINVAL
	case h.n == nil:
		return h.fixed.ReadAt(b, off)
	case h.n.kind == Dir:
		return 0, EISDIR
	case h.n.kind != File:
		return readDevice(h.n.major, h.n.minor, b)
	}
	h.f.mu.RLock()
	defer h.f.mu.RUnlock()
	n := h.f.fresh(h.f.get(h.n))
	if n.mutable {
		return Bytes(n.data).ReadAt(b, off)
	}
	if n.content == nil {
		return 0, io.EOF
	}
	return n.content.ReadAt(b, off)
}

// Write writes at the offset, or at the end of a file opened with Append.
func (h *Handle) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.flags&Append != 0 && h.n != nil && h.n.kind == File {
		h.off = h.Stat().Size
	}
	n, err := h.writeAt(b, h.off)
	h.off += int64(n)
	return n, err
}

// WriteAt writes at off without moving the offset.
func (h *Handle) WriteAt(b []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.writeAt(b, off)
}

const maxEntryWrite = 64 << 10 // bytes that a Provider's file takes at once

func (h *Handle) writeAt(b []byte, off int64) (int, error) {
	switch {
	case h.closed || !writes(h.flags):
		return 0, EBADF
	case off < 0:
		return 0, EINVAL
	case h.n == nil:
		if len(h.buf)+len(b) > maxEntryWrite {
			return 0, EINVAL
		}
		h.buf = append(h.buf, b...)
		return len(b), nil
	case h.n.kind != File:
		return writeDevice(h.n.major, h.n.minor, b)
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	end := off + int64(len(b))
	if end < off {
		return 0, EFBIG
	}
	n := h.n
	if err := h.f.resize(n, max(end, n.size())); err != nil {
		return 0, err
	}
	copy(n.data[off:], b)
	n.dirty, n.written = true, true
	n.mtime = h.f.touch()
	n.ctime = n.mtime
	n.mode &^= ModeSetUID | ModeSetGID
	return len(b), nil
}

// resize makes n's data writable and size bytes long.
func (f *FS) resize(n *node, size int64) error {
	old := n.content
	if n.mutable {
		old = nil
	}
	if n.nlink > 0 {
		if err := f.charge(n, size); err != nil {
			return err
		}
	} else if size > f.opt.MaxFile {
		return EFBIG
	}
	if !n.mutable {
		n.data, n.content, n.mutable = make([]byte, size), nil, true
		if old != nil {
			old.ReadAt(n.data, 0) //nolint:errcheck // shorter or longer: the rest is zero
		}
		return nil
	}
	have := int64(len(n.data))
	switch {
	case size <= have:
		clear(n.data[size:])
		n.data = n.data[:size]
	case size <= int64(cap(n.data)):
		n.data = n.data[:size]
		clear(n.data[have:])
	default:
		grown := make([]byte, size, size+min(size/2, 1<<20))
		copy(grown, n.data)
		n.data = grown
	}
	return nil
}

// Truncate sets the size.
func (h *Handle) Truncate(size int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed || !writes(h.flags):
		return EBADF
	case size < 0:
		return EINVAL
	case h.n == nil || h.n.kind != File:
		return EINVAL
	}
	h.f.mu.Lock()
	var l *lost
	if size == 0 {
		l = vanish(h.path, h.n)
	}
	err := h.f.resize(h.n, size)
	if err == nil {
		h.n.dirty, h.n.written = true, true
		h.n.mtime = h.f.touch()
		h.n.ctime = h.n.mtime
	}
	h.f.mu.Unlock()
	h.f.tell(l)
	return err
}

// Seek moves the offset; whence as in io.Seeker.
func (h *Handle) Seek(off int64, whence int) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		off += h.off
	case io.SeekEnd:
		if h.n == nil && h.fixed != nil {
			off += h.fixed.Size()
		} else {
			off += h.Stat().Size
		}
	}
	if off < 0 || h.closed {
		return 0, EINVAL
	}
	h.off = off
	return off, nil
}

// Close ends the use; what was written to a Provider's file takes effect.
func (h *Handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return EBADF
	}
	h.closed = true
	if h.entry.Write != nil && h.buf != nil {
		return h.entry.Write(h.c, h.buf)
	}
	return nil
}
