package vfs

import (
	"maps"
	"sort"
	"sync"
)

// lazyDir is what a directory of a Base holds beside its children: it is made
// when somebody first looks, and shared by every view from then on.
type lazyDir struct {
	path  string
	first uint64 // inode number of the first entry
	count int
	fill  func(add func(Node))

	once  sync.Once
	names []string // by inode number
	all   map[string]*node
}

// Lazy says that the directory path, which exists, holds at most count more
// entries than were added; fill makes them when the directory is first looked
// at. They are no directories, their Path is their name in the directory, and
// one that was added already is left as it is.
func (b *Builder) Lazy(path string, count int, fill func(add func(Node))) {
	if count == 0 {
		return
	}
	d := b.dir(path)
	if l := d.lazy; l != nil {
		first := l.fill
		l.count += count
		l.fill = func(add func(Node)) { first(add); fill(add) }
		return
	}
	d.lazy = &lazyDir{path: path, count: count, fill: fill}
	b.lazy = append(b.lazy, d)
}

// reserve gives the entries of lazy directories their inode numbers.
func (b *Builder) reserve() {
	for _, d := range b.lazy {
		l := d.lazy
		l.first = b.base.next + 1
		b.base.next += uint64(l.count)
		b.base.lazy = append(b.base.lazy, l)
	}
}

// kids are the entries of a directory of a Base.
func (n *node) kids() map[string]*node {
	l := n.lazy
	if l == nil {
		return n.children
	}
	l.once.Do(func() {
		l.all = make(map[string]*node, len(n.children)+l.count)
		maps.Copy(l.all, n.children)
		l.fill(func(e Node) {
			if _, taken := l.all[e.Path]; taken || len(l.names) == l.count || e.Kind == Dir {
				return
			}
			c := e.node()
			c.ino, c.nlink = l.first+uint64(len(l.names)), 1
			if e.Mtime.IsZero() {
				e.Mtime = n.mtime
			}
			stamp(c, e.Mtime)
			l.names = append(l.names, e.Path)
			l.all[e.Path] = c
		})
		l.fill = nil
	})
	return l.all
}

// lazyPath is the path of an entry that was made when somebody looked.
func (b *Base) lazyPath(ino uint64) string {
	i := sort.Search(len(b.lazy), func(i int) bool { return b.lazy[i].first > ino }) - 1
	if i < 0 {
		return ""
	}
	l := b.lazy[i]
	if k := ino - l.first; k < uint64(len(l.names)) {
		return l.path + "/" + l.names[k]
	}
	return ""
}

func (n Node) node() *node {
	return &node{
		kind: n.Kind, mode: n.Mode, uid: n.UID, gid: n.GID, content: n.Content, target: n.Target,
		major: n.Major, minor: n.Minor, attr: n.Attr, mark: n.Mark, live: n.Live,
	}
}
