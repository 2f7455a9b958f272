// Package vfs is the file system of a fake host: in memory, copy-on-write
// over a shared immutable base, with owners, modes, times, link counts,
// symlinks and devices. It never touches a real file.
package vfs

import (
	"sync/atomic"
	"time"
)

// Kind is the type of a node.
type Kind uint8

// The kinds.
const (
	File Kind = iota
	Dir
	Symlink
	CharDev
	BlockDev
	FIFO
	Socket
)

// Mode bits above the permissions.
const (
	ModeSetUID uint32 = 0o4000
	ModeSetGID uint32 = 0o2000
	ModeSticky uint32 = 0o1000
)

// Attr are the flags of chattr.
type Attr uint8

// The attributes that change behaviour.
const (
	AttrImmutable Attr = 1 << iota // i
	AttrAppend                     // a
)

// Caller is who asks: permission checks and /proc/self need it. UID 0 passes
// the checks that root passes.
type Caller struct {
	UID, GID uint32
	Groups   []uint32
	PID      int
}

// Root is the superuser as process 1.
func Root() Caller { return Caller{PID: 1} }

// Info describes a node, as stat does.
type Info struct {
	Name   string // last element of the path asked for
	Ino    uint64
	Dev    uint64
	Kind   Kind
	Mode   uint32 // permissions with setuid, setgid, sticky
	UID    uint32
	GID    uint32
	Nlink  int
	Size   int64 // bytes; length of the target for a symlink
	Blocks int64 // units of 512 bytes
	Atime  time.Time
	Mtime  time.Time
	Ctime  time.Time
	Birth  time.Time
	Major  uint32 // of a device
	Minor  uint32
	Target string // of a symlink
	Attr   Attr
	Impl   string // implementation of an intact program image, else ""
}

// Content is the bytes of a regular file. Implementations are immutable and
// shared: a copy of a file may keep the same Content.
type Content interface {
	Size() int64
	ReadAt(b []byte, off int64) (int, error) // io.ReaderAt; short reads give io.EOF
}

// Program is a Content that stands for an executable of the fake host; Impl
// names what runs when it is executed. It survives copying, not writing.
type Program interface {
	Content
	Impl() string
}

// Flags of Open, with their own values: no number of a real system.
type Flags uint16

// The flags.
const (
	ReadOnly  Flags = 0
	WriteOnly Flags = 1 << iota
	ReadWrite
	Create
	Excl
	Truncate
	Append
	NoFollow
	Directory
)

// Changed is one path that differs from the base because a visitor changed it.
type Changed struct {
	Path    string
	Info    Info
	Removed bool
	dirty   bool
}

// Options are the limits of a FS. Zero means the default in brackets.
type Options struct {
	Quota    int64 // bytes a visitor may add (64 MiB): over it ENOSPC
	MaxNodes int   // nodes a visitor may add (20,000): over it ENOSPC
	MaxFile  int64 // bytes of one file (32 MiB): over it EFBIG
	Pool     *Pool // memory that many views share (none): over it ENOSPC
	Now      func() time.Time
}

// Pool bounds what all views together add, in bytes.
type Pool struct {
	limit int64
	used  atomic.Int64
}

// NewPool makes a Pool of limit bytes.
func NewPool(limit int64) *Pool { return &Pool{limit: limit} }

// Used is what the views hold of it.
func (p *Pool) Used() int64 { return p.used.Load() }

// take reports whether n more bytes fit, and takes them; n may be negative.
func (p *Pool) take(n int64) bool {
	if p == nil {
		return true
	}
	if p.used.Add(n) > p.limit && n > 0 {
		p.used.Add(-n)
		return false
	}
	return true
}
