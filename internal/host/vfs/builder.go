package vfs

import (
	"path"
	"strings"
	"time"
)

// Builder fills a Base. Missing parents are made as root:root 0755.
type Builder struct {
	base *Base
	lazy []*node
	now  time.Time
}

// NewBuilder begins a tree; now is the time of directories made on the way.
func NewBuilder(now time.Time) *Builder {
	b := &Builder{base: &Base{next: 2}, now: now}
	b.base.root = &node{ino: 2, kind: Dir, mode: 0o755, nlink: 2, children: map[string]*node{}}
	stamp(b.base.root, now)
	return b
}

func stamp(n *node, t time.Time) { n.atime, n.mtime, n.ctime, n.birth = t, t, t, t }

// dir finds or makes a directory.
func (b *Builder) dir(p string) *node {
	if p == "/" || p == "." {
		return b.base.root
	}
	parent := b.dir(path.Dir(p))
	name := path.Base(p)
	n := parent.children[name]
	if n != nil && n.kind == Symlink { // /bin -> usr/bin
		t := n.target
		if !path.IsAbs(t) {
			t = path.Join(path.Dir(p), t)
		}
		return b.dir(t)
	}
	if n == nil || n.kind != Dir {
		n = b.put(parent, name, &node{kind: Dir, mode: 0o755}, b.now)
	}
	return n
}

func (b *Builder) put(parent *node, name string, n *node, t time.Time) *node {
	old := parent.children[name]
	if old != nil && old.kind == Dir && n.kind == Dir {
		old.mode, old.uid, old.gid, old.attr = n.mode, n.uid, n.gid, n.attr
		stamp(old, t)
		return old
	}
	if old != nil && old.kind == Dir {
		parent.nlink--
	}
	b.base.next++
	n.ino, n.nlink = b.base.next, 1
	stamp(n, t)
	if n.kind == Dir {
		n.nlink, n.children = 2, map[string]*node{}
		parent.nlink++
	}
	parent.children[name] = n
	return n
}

// Add adds a node; what was at its path is replaced, a directory keeps its entries.
func (b *Builder) Add(n Node) {
	if n.Mtime.IsZero() {
		n.Mtime = b.now
	}
	p := path.Clean("/" + n.Path)
	if p == "/" {
		return
	}
	b.put(b.dir(path.Dir(p)), path.Base(p), n.node(), n.Mtime)
}

// Text adds a file that holds text.
func (b *Builder) Text(p string, mode, uid, gid uint32, mtime time.Time, text string) {
	b.Add(Node{Path: p, Kind: File, Mode: mode, UID: uid, GID: gid, Mtime: mtime, Content: Bytes([]byte(text))})
}

// Build ends the work; the Builder must not be used again.
func (b *Builder) Build() *Base {
	b.reserve()
	base := b.base
	b.base = nil
	return base
}

// There reports whether something was added at p.
func (b *Builder) There(p string) bool {
	dir := b.base.root
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+p), "/"), "/") {
		n := dir.children[part]
		if n == nil {
			return false
		}
		if n.kind == Symlink {
			return false
		}
		dir = n
	}
	return true
}
