package vfs

import (
	"encoding/json"
	"fmt"
	"time"
)

// The limits of a snapshot.
const (
	maxSnapshot = 256 << 20 // bytes
	version     = 1
)

type snapshot struct {
	Version int            `json:"version"`
	Nodes   []snapshotNode `json:"nodes"`
}

type snapshotNode struct {
	Path    string    `json:"p"`
	Removed bool      `json:"x,omitempty"`
	Kind    Kind      `json:"k,omitempty"`
	Mode    uint32    `json:"m,omitempty"`
	UID     uint32    `json:"u,omitempty"`
	GID     uint32    `json:"g,omitempty"`
	Mtime   time.Time `json:"t"`
	Target  string    `json:"l,omitempty"`
	Major   uint32    `json:"a,omitempty"`
	Minor   uint32    `json:"b,omitempty"`
	Attr    Attr      `json:"f,omitempty"`
	Same    bool      `json:"s,omitempty"` // content is the base's
	From    string    `json:"i,omitempty"` // content is that of a program of the base at this path
	Data    []byte    `json:"d,omitempty"`
}

// Snapshot is what the visitor changed, for Restore.
func (f *FS) Snapshot() ([]byte, error) {
	s := snapshot{Version: version}
	for _, c := range f.Changes() {
		n := snapshotNode{Path: c.Path, Removed: c.Removed}
		if !c.Removed {
			in := c.Info
			n.Kind, n.Mode, n.UID, n.GID, n.Mtime = in.Kind, in.Mode, in.UID, in.GID, in.Mtime
			n.Target, n.Major, n.Minor, n.Attr = in.Target, in.Major, in.Minor, in.Attr
			if in.Kind == File {
				f.snapContent(c.Path, &n)
			}
		}
		s.Nodes = append(s.Nodes, n)
	}
	return json.Marshal(s)
}

func (f *FS) snapContent(path string, n *snapshotNode) {
	content, err := f.Content(Root(), path)
	if err != nil {
		return
	}
	base := f.baseNode(path)
	switch c := content.(type) {
	case Program:
		n.From = f.programPath(c)
	default:
		if base != nil && !base.own && f.unchanged(base, path) {
			n.Same = true
			return
		}
		n.Data = make([]byte, content.Size())
		content.ReadAt(n.Data, 0) //nolint:errcheck // whole by construction
	}
}

// unchanged reports whether the file at path still has the base's bytes.
func (f *FS) unchanged(base *node, path string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	fr, err := f.walk(Root(), path, false)
	return err == nil && fr.n != nil && fr.n.ino == base.ino && !fr.n.dirty && !fr.n.written
}

// baseNode is the node of the base at a plain path.
func (f *FS) baseNode(path string) *node {
	clean := New(f.base, Options{})
	fr, err := clean.walk(Root(), path, false)
	if err != nil {
		return nil
	}
	return fr.n
}

// programPath finds a path of the base that holds p.
func (f *FS) programPath(p Program) string {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"} {
		d := f.baseNode(dir)
		if d == nil {
			continue
		}
		for name, n := range d.children {
			if q, ok := n.content.(Program); ok && q == p {
				return dir + "/" + name
			}
		}
	}
	return ""
}

// Restore is a view of base with the changes of a snapshot, within the limits
// of o. A snapshot that does not decode is an error; a change that no longer
// fits the base is left out.
func Restore(base *Base, o Options, data []byte) (*FS, error) {
	if len(data) > maxSnapshot {
		return nil, fmt.Errorf("restore a view: %d bytes, the limit is %d", len(data), maxSnapshot)
	}
	var s snapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("restore a view: %w", err)
	}
	if s.Version != version {
		return nil, fmt.Errorf("restore a view: version %d is not known", s.Version)
	}
	f := New(base, o)
	if len(s.Nodes) > 4*f.opt.MaxNodes {
		return nil, fmt.Errorf("restore a view: %d changes", len(s.Nodes))
	}
	for _, n := range s.Nodes {
		f.restore(n)
	}
	for _, n := range s.Nodes {
		f.Chtimes(Root(), n.Path, n.Mtime, n.Mtime) //nolint:errcheck // may be gone
		f.ClearDirty(n.Path)
		if n.Attr != 0 && n.Kind <= Dir {
			f.SetAttr(Root(), n.Path, n.Attr) //nolint:errcheck // may be gone
		}
	}
	return f, nil
}

func (f *FS) restore(n snapshotNode) {
	c := Root()
	if n.Removed {
		if f.Unlink(c, n.Path) != nil {
			f.removeAll(n.Path, 0)
		}
		return
	}
	switch n.Kind {
	case Dir:
		f.Mkdir(c, n.Path, n.Mode) //nolint:errcheck // may exist
	case Symlink:
		f.Unlink(c, n.Path)            //nolint:errcheck // may not exist
		f.Symlink(c, n.Target, n.Path) //nolint:errcheck // the quota decides
	case File:
		f.restoreFile(n)
	default:
		f.Mknod(c, n.Path, n.Kind, n.Mode, n.Major, n.Minor) //nolint:errcheck // the quota decides
	}
	if n.Kind != Symlink {
		f.Chmod(c, n.Path, n.Mode) //nolint:errcheck // may be gone
	}
	f.Chown(c, n.Path, n.UID, n.GID, false) //nolint:errcheck // may be gone
	if n.Kind == File && n.Mode&(ModeSetUID|ModeSetGID) != 0 {
		f.Chmod(c, n.Path, n.Mode) //nolint:errcheck // may be gone
	}
}

func (f *FS) restoreFile(n snapshotNode) {
	c := Root()
	switch {
	case n.Same:
	case n.From != "":
		if content, err := f.Content(c, n.From); err == nil {
			f.SetContent(c, n.Path, content, n.Mode) //nolint:errcheck // the quota decides
		}
	default:
		f.WriteFile(c, n.Path, n.Data, n.Mode) //nolint:errcheck // the quota decides
	}
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
