package vfs

import (
	"sync"
	"time"
)

// node is one inode. A node of a Base is never written; a FS copies it first
// (own) and finds the copy by its inode number.
type node struct {
	ino          uint64
	kind         Kind
	mode         uint32
	uid, gid     uint32
	nlink        int
	atime        time.Time
	mtime        time.Time
	ctime        time.Time
	birth        time.Time
	major, minor uint32
	target       string
	attr         Attr
	mark         string
	live         string    // name of what the host goes on writing here
	seen         time.Time // what it wrote until then is in content or data
	of           *node     // of a copy that shows a live file as it is now
	content      Content   // of a file; nil while data holds it
	data         []byte    // of a file that a visitor wrote
	mutable      bool      // data is the content
	charged      int64     // bytes counted against the quota
	dirty        bool      // written since the last ClearDirty
	written      bool      // ever written: not the base's bytes

	own      bool             // belongs to a FS
	children map[string]*node // of a directory; in an owned copy only what differs, nil = removed
	lower    *node            // of an owned copy: the directory of the Base
	lazy     *lazyDir         // of a Base's directory: what is made when somebody looks
}

// Base is an immutable tree that many FS share. A Builder makes one.
type Base struct {
	root *node
	next uint64
	lazy []*lazyDir // in order of their inode numbers

	once  sync.Once
	paths map[uint64]string  // of files by inode number
	progs map[Program]string // a path that holds the program
}

// index finds files of the base; it is made when first asked for.
func (b *Base) index() {
	b.once.Do(func() {
		b.paths, b.progs = map[uint64]string{}, map[Program]string{}
		b.enter("", b.root)
	})
}

// pathOf is the path of a file of the base, "" if there is none with ino.
func (b *Base) pathOf(ino uint64) string {
	b.index()
	if p := b.paths[ino]; p != "" {
		return p
	}
	return b.lazyPath(ino)
}

// programs tell where the base holds a program.
func (b *Base) programs() map[Program]string {
	b.index()
	return b.progs
}

func (b *Base) enter(path string, dir *node) {
	for name, n := range dir.children {
		p := path + "/" + name
		switch n.kind {
		case Dir:
			b.enter(p, n)
		case File:
			b.paths[n.ino] = p
			if c, ok := n.content.(Program); ok && (b.progs[c] == "" || p < b.progs[c]) {
				b.progs[c] = p
			}
		}
	}
}

// FS is one visitor's view: a Base and what the visitor changed. All methods
// are safe for concurrent use. Paths are absolute; every error is an Errno.
type FS struct {
	base *Base
	opt  Options

	mu       sync.RWMutex
	over     map[uint64]*node
	next     uint64
	used     int64
	nodes    int
	released bool // from the Pool
	gen      uint64
	mounts   map[uint64]Provider
	onLoss   func(path string, content Content)
	onMark   func(path, mark string)
	onFull   func(limit string)
	grown    Grown
}

// Node is what a Builder adds.
type Node struct {
	Path         string
	Kind         Kind
	Mode         uint32
	UID, GID     uint32
	Mtime        time.Time
	Content      Content // File
	Target       string  // Symlink
	Major, Minor uint32  // devices
	Attr         Attr
	Mark         string // of a file that is watched, see FS.OnMark
	Live         string // of a file that the host goes on writing, see FS.OnLive
}

// Provider makes the entries of a mounted directory when they are asked for:
// /proc, /sys. It must not call the FS that it is mounted in.
type Provider interface {
	// Lookup finds the entry at rel ("" is the mount's root, "1/status" below).
	Lookup(c Caller, rel string) (Entry, bool)
	// List names the entries of the directory rel, in the order to list them.
	List(c Caller, rel string) []string
	// Create is the error of making an entry that Lookup does not find.
	Create() error
}

// Entry is one node below a Provider. Read makes the content of a file at the
// time it is opened; Write, if set, takes what is written at close.
type Entry struct {
	Info  Info
	Read  func() []byte
	Write func(c Caller, data []byte) error // nil: EACCES on open for writing
}

// New is a fresh view of base. It costs the same for any base.
func New(base *Base, o Options) *FS {
	if o.Quota == 0 {
		o.Quota = 64 << 20
	}
	if o.MaxNodes == 0 {
		o.MaxNodes = 20_000
	}
	if o.MaxFile == 0 {
		o.MaxFile = 32 << 20
	}
	return &FS{base: base, opt: o, over: map[uint64]*node{}, next: base.next, mounts: map[uint64]Provider{}}
}

// Mount puts p at the directory path of this view.
func (f *FS) Mount(path string, p Provider) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr, err := f.walk(Root(), path, true)
	if err != nil {
		return err
	}
	if fr.n == nil || fr.n.kind != Dir {
		return ENOTDIR
	}
	f.mounts[fr.n.ino] = p
	return nil
}

// OnLoss sets what is told when the content of a file that a visitor wrote is
// about to vanish: unlinked, truncated, renamed over. fn runs without locks held.
func (f *FS) OnLoss(fn func(path string, content Content)) {
	f.mu.Lock()
	f.onLoss = fn
	f.mu.Unlock()
}

// OnMark sets what is told path and mark of a marked file each time it is opened
// for reading. fn runs without locks held.
func (f *FS) OnMark(fn func(path, mark string)) {
	f.mu.Lock()
	f.onMark = fn
	f.mu.Unlock()
}

// OnFull sets what is told the name of a limit of Options each time one is
// reached. fn runs with the view's lock held: it must neither use it nor wait.
func (f *FS) OnFull(fn func(limit string)) {
	f.mu.Lock()
	f.onFull = fn
	f.mu.Unlock()
}

// full tells of a limit and gives the error that the visitor sees.
func (f *FS) full(limit string, err Errno) error {
	if f.onFull != nil {
		f.onFull(limit)
	}
	return err
}

// Used is what the visitor added: bytes of content, and nodes.
func (f *FS) Used() (bytes int64, nodes int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.used, f.nodes
}

// Generation rises with every change of this view. It begins at 0.
func (f *FS) Generation() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.gen
}

// touch counts a change and tells its time. The lock is held for writing.
func (f *FS) touch() time.Time {
	f.gen++
	if f.opt.Now == nil {
		return time.Time{}
	}
	return f.opt.Now()
}

// get is this view's state of a node.
func (f *FS) get(n *node) *node {
	if n != nil && n.of != nil {
		n = n.of
	}
	if n == nil || n.own || len(f.over) == 0 {
		return n
	}
	if o := f.over[n.ino]; o != nil {
		return o
	}
	return n
}

// take makes n writable for this view.
func (f *FS) take(n *node) *node {
	n = f.get(n)
	if n.own {
		return n
	}
	c := *n
	c.own = true
	if n.kind == Dir {
		c.lower, c.children, c.lazy = n, map[string]*node{}, nil
	}
	f.over[n.ino] = &c
	return &c
}

// child looks up one name in a directory.
func (f *FS) child(dir *node, name string) *node { return f.fresh(f.entry(dir, name)) }

func (f *FS) entry(dir *node, name string) *node {
	if !dir.own {
		return f.get(dir.kids()[name])
	}
	if c, ok := dir.children[name]; ok {
		return f.get(c)
	}
	if dir.lower != nil {
		return f.get(dir.lower.kids()[name])
	}
	return nil
}

// names are the entries of a directory, unsorted.
func (f *FS) names(dir *node) []string {
	children := dir.children
	if !dir.own {
		children = dir.kids()
	}
	out := make([]string, 0, len(children))
	for name, c := range children {
		if c != nil {
			out = append(out, name)
		}
	}
	if dir.lower != nil {
		for name := range dir.lower.kids() {
			if _, ok := dir.children[name]; !ok {
				out = append(out, name)
			}
		}
	}
	return out
}

// charge changes what n counts against the quota.
func (f *FS) charge(n *node, size int64) error {
	if size > f.opt.MaxFile {
		return f.full("bytes of a file", EFBIG)
	}
	if size > n.charged && f.used+size-n.charged > f.opt.Quota {
		return f.full("bytes of a visitor's files", ENOSPC)
	}
	if !f.released && !f.opt.Pool.take(size-n.charged) {
		return f.full("memory of all visitors' files", ENOSPC)
	}
	f.used += size - n.charged
	n.charged = size
	return nil
}

// Release gives what the view holds back to the Pool. It is called when the
// view goes; what is still done with it is no longer counted there.
func (f *FS) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.released {
		f.released = true
		f.opt.Pool.take(-f.used)
	}
}

func (n *node) size() int64 {
	switch {
	case n.kind == Symlink:
		return int64(len(n.target))
	case n.kind == Dir:
		entries := len(n.children)
		if n.lower != nil {
			entries += len(n.lower.children)
			if n.lower.lazy != nil {
				entries += n.lower.lazy.count
			}
		}
		if n.lazy != nil {
			entries += n.lazy.count
		}
		return 4096 * int64(1+entries*32/4096)
	case n.mutable:
		return int64(len(n.data))
	case n.content != nil:
		return n.content.Size()
	}
	return 0
}

func (n *node) info(name string) Info {
	in := Info{
		Name: name, Ino: n.ino, Dev: 0x801, Kind: n.kind, Mode: n.mode, UID: n.uid, GID: n.gid, Nlink: n.nlink,
		Size: n.size(), Atime: n.atime, Mtime: n.mtime, Ctime: n.ctime, Birth: n.birth,
		Major: n.major, Minor: n.minor, Target: n.target, Attr: n.attr,
	}
	switch {
	case n.kind == Dir:
		in.Blocks = in.Size / 512
	case n.kind == File && in.Size > 0:
		in.Blocks = (in.Size + 4095) / 4096 * 8
	}
	if p, ok := n.content.(Program); ok && !n.mutable {
		in.Impl = p.Impl()
	}
	return in
}
