package vfs

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A snapshot is a length (uint32, little-endian) and that many bytes of JSON
// which describe the changed nodes, then the contents of the files that a
// visitor wrote, in the order of their nodes.

// The limits of a snapshot.
const (
	maxSnapshot = 64 << 20 // bytes that Restore reads
	version     = 2
)

type snapshot struct {
	Version int            `json:"version"`
	Nodes   []snapshotNode `json:"nodes"`
}

type snapshotNode struct {
	Path    string `json:"p"`
	Removed bool   `json:"x,omitempty"`
	Kind    Kind   `json:"k,omitempty"`
	Mode    uint32 `json:"m,omitempty"`
	UID     uint32 `json:"u,omitempty"`
	GID     uint32 `json:"g,omitempty"`
	Atime   int64  `json:"ta,omitempty"` // nanoseconds since 1970
	Mtime   int64  `json:"tm,omitempty"`
	Ctime   int64  `json:"tc,omitempty"`
	Birth   int64  `json:"tb,omitempty"`
	Target  string `json:"l,omitempty"`
	Major   uint32 `json:"a,omitempty"`
	Minor   uint32 `json:"b,omitempty"`
	Attr    Attr   `json:"f,omitempty"`
	From    string `json:"i,omitempty"` // content is that of the base's file at this path
	Link    string `json:"h,omitempty"` // another name of the file at this path
	Size    int64  `json:"s,omitempty"` // bytes of content that follow
	Seen    int64  `json:"y,omitempty"` // of a live file: what the host wrote until then is content
}

// Snapshot is what the visitor changed, for Restore, with at most limit bytes
// of contents: the largest files that do not fit are left out and counted.
func (f *FS) Snapshot(limit int64) (data []byte, omitted int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changes []Changed
	f.collect("", f.get(f.base.root), &changes)
	slices.SortStableFunc(changes, func(a, b Changed) int { return cmpPath(a.Path, b.Path) })
	s := snapshot{Version: version, Nodes: make([]snapshotNode, 0, len(changes))}
	contents := make([]Content, 0, len(changes))
	links := map[uint64]string{}
	for _, c := range changes {
		n := snapshotNode{Path: c.Path, Removed: c.Removed}
		var content Content
		if !c.Removed {
			content = f.describe(&n, c.Info, links)
		}
		s.Nodes, contents = append(s.Nodes, n), append(contents, content)
	}
	s.Nodes, contents, omitted = fit(s.Nodes, contents, limit)
	head, err := json.Marshal(s)
	if err != nil {
		return nil, 0, fmt.Errorf("snapshot a view: %w", err)
	}
	var out bytes.Buffer
	out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(head))))
	out.Write(head)
	for i, c := range contents {
		if s.Nodes[i].Size > 0 {
			at := out.Len()
			out.Write(make([]byte, s.Nodes[i].Size))
			c.ReadAt(out.Bytes()[at:], 0) //nolint:errcheck // whole by construction
		}
	}
	return out.Bytes(), omitted, nil
}

// cmpPath orders a directory before what is in it, and siblings by name.
func cmpPath(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// describe fills in a node; the content is nil where it need not be kept.
func (f *FS) describe(n *snapshotNode, in Info, links map[uint64]string) Content {
	n.Kind, n.Mode, n.UID, n.GID = in.Kind, in.Mode, in.UID, in.GID
	n.Atime, n.Mtime, n.Ctime, n.Birth = nano(in.Atime), nano(in.Mtime), nano(in.Ctime), nano(in.Birth)
	n.Target, n.Major, n.Minor, n.Attr = in.Target, in.Major, in.Minor, in.Attr
	if in.Kind == Dir {
		return nil
	}
	if in.Nlink > 1 {
		if first := links[in.Ino]; first != "" {
			n.Link = first
			return nil
		}
		links[in.Ino] = n.Path
	}
	if in.Kind != File {
		return nil
	}
	fr, err := f.walk(Root(), n.Path, false)
	if err != nil || fr.n == nil {
		return nil
	}
	if fr.n.of != nil {
		fr.n = fr.n.of
	}
	n.Seen = nano(fr.n.seen)
	progs := f.base.programs()
	if p := f.base.pathOf(in.Ino); p != "" && !fr.n.written {
		n.From = p
		return nil
	}
	content := fr.n.freeze()
	if p, ok := content.(Program); ok && progs[p] != "" {
		n.From = progs[p]
		return nil
	}
	n.Size = content.Size()
	return content
}

func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// fit leaves out the largest contents, with every name of those files, until
// the rest is within limit.
func fit(nodes []snapshotNode, contents []Content, limit int64) (_ []snapshotNode, _ []Content, omitted int) {
	total := int64(0)
	order := make([]int, len(nodes))
	for i := range nodes {
		total += nodes[i].Size
		order[i] = i
	}
	if total <= limit {
		return nodes, contents, 0
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(min(max(nodes[b].Size-nodes[a].Size, -1), 1)) })
	drop := map[string]bool{}
	for _, i := range order {
		if total <= limit {
			break
		}
		total -= nodes[i].Size
		drop[nodes[i].Path] = true
	}
	keptNodes, keptContents := nodes[:0], contents[:0]
	for i, n := range nodes {
		if drop[n.Path] || drop[n.Link] {
			omitted++
			continue
		}
		keptNodes, keptContents = append(keptNodes, n), append(keptContents, contents[i])
	}
	return keptNodes, keptContents, omitted
}

// Restore is a view of base with the changes of a snapshot, within the limits
// of o. A snapshot that does not decode is an error; a change that no longer
// fits the base is left out.
func Restore(base *Base, o Options, data []byte) (*FS, error) {
	if len(data) > maxSnapshot || len(data) < 4 {
		return nil, fmt.Errorf("restore a view: %d bytes, the limits are 4 and %d", len(data), maxSnapshot)
	}
	n := int64(binary.LittleEndian.Uint32(data))
	data = data[4:]
	if n > int64(len(data)) {
		return nil, fmt.Errorf("restore a view: cut off: %d bytes of %d", len(data), n)
	}
	var s snapshot
	if err := json.Unmarshal(data[:n], &s); err != nil {
		return nil, fmt.Errorf("restore a view: %w", err)
	}
	if s.Version != version {
		return nil, fmt.Errorf("restore a view: version %d is not known", s.Version)
	}
	f := New(base, o)
	if len(s.Nodes) > 4*f.opt.MaxNodes {
		return nil, fmt.Errorf("restore a view: %d changes", len(s.Nodes))
	}
	if err := f.apply(s.Nodes, data[n:]); err != nil {
		f.Release()
		return nil, err
	}
	for _, n := range s.Nodes {
		f.finish(n)
	}
	f.gen = 0
	return f, nil
}

// apply makes the changes: removals first, so that what was moved finds its place.
func (f *FS) apply(nodes []snapshotNode, contents []byte) error {
	for _, n := range nodes {
		if n.Removed && f.Unlink(Root(), n.Path) != nil {
			f.removeAll(n.Path, 0)
		}
	}
	for _, n := range nodes {
		if n.Size < 0 || n.Size > int64(len(contents)) {
			return fmt.Errorf("restore a view: the content of %.100q is cut off", n.Path)
		}
		data := contents[:n.Size]
		contents = contents[n.Size:]
		if !n.Removed {
			f.restore(n, data)
		}
	}
	return nil
}

func (f *FS) restore(n snapshotNode, data []byte) {
	c := Root()
	switch {
	case n.Link != "":
		f.Unlink(c, n.Path)       //nolint:errcheck // may not exist
		f.Link(c, n.Link, n.Path) //nolint:errcheck // the quota decides
		return
	case n.Kind == Dir:
		if f.Mkdir(c, n.Path, n.Mode) != nil && f.kindAt(n.Path) != Dir {
			f.Unlink(c, n.Path)        //nolint:errcheck // a file stood there
			f.Mkdir(c, n.Path, n.Mode) //nolint:errcheck // the quota decides
		}
	case n.Kind == Symlink:
		f.clear(n.Path)
		f.Symlink(c, n.Target, n.Path) //nolint:errcheck // the quota decides
	case n.Kind == File:
		f.restoreFile(n, data)
	default:
		f.clear(n.Path)
		f.Mknod(c, n.Path, n.Kind, n.Mode, n.Major, n.Minor) //nolint:errcheck // the quota decides
	}
	f.Chown(c, n.Path, n.UID, n.GID, false) //nolint:errcheck // may be gone
	if n.Kind != Symlink {
		f.Chmod(c, n.Path, n.Mode) //nolint:errcheck // may be gone
	}
}

func (f *FS) kindAt(path string) Kind {
	in, err := f.Lstat(Root(), path)
	if err != nil {
		return Socket
	}
	return in.Kind
}

// clear makes room for a node of another kind.
func (f *FS) clear(path string) {
	if f.Unlink(Root(), path) != nil {
		f.removeAll(path, 0)
	}
}

func (f *FS) restoreFile(n snapshotNode, data []byte) {
	c := Root()
	if in, err := f.Lstat(c, n.Path); err == nil && in.Kind != File {
		f.clear(n.Path)
	}
	if n.From == "" {
		f.WriteFile(c, n.Path, data, n.Mode) //nolint:errcheck // the quota decides
		return
	}
	if n.From == n.Path && f.base.pathOf(f.inodeAt(n.Path)) == n.From {
		return // only its attributes changed
	}
	if content, err := New(f.base, Options{}).Content(c, n.From); err == nil {
		f.SetContent(c, n.Path, content, n.Mode) //nolint:errcheck // the quota decides
	}
}

func (f *FS) inodeAt(path string) uint64 {
	in, err := f.Lstat(Root(), path)
	if err != nil {
		return 0
	}
	return in.Ino
}

// finish sets what making other nodes would change again.
func (f *FS) finish(n snapshotNode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.Removed {
		return
	}
	fr, err := f.walk(Root(), n.Path, false)
	if err != nil || fr.n == nil || fr.prov != nil || fr.n.kind != n.Kind {
		return
	}
	node := f.takeChain(fr)
	for at, t := range map[*time.Time]int64{&node.atime: n.Atime, &node.mtime: n.Mtime, &node.ctime: n.Ctime, &node.birth: n.Birth} {
		if t != 0 {
			*at = time.Unix(0, t)
		}
	}
	if n.Seen != 0 && node.live != "" {
		node.seen = time.Unix(0, n.Seen)
	}
	node.dirty = false
	node.attr = n.Attr & (AttrImmutable | AttrAppend)
}

// removeAll empties and removes a directory of the base.
func (f *FS) removeAll(path string, depth int) {
	if depth > 40 {
		return
	}
	list, err := f.ReadDir(Root(), path)
	if err != nil {
		return
	}
	for _, in := range list {
		p := path + "/" + in.Name
		if in.Kind == Dir {
			f.removeAll(p, depth+1)
		} else {
			f.Unlink(Root(), p) //nolint:errcheck // best effort
		}
	}
	f.Rmdir(Root(), path) //nolint:errcheck // best effort
}
