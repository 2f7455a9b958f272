package vfs

import (
	"slices"
	"strings"
)

// The limits of a path, as on Linux.
const (
	maxPath  = 4096
	maxName  = 255
	maxLinks = 40
)

// frame is one place that a walk has reached: a node of ours, or an entry
// below a mounted Provider.
type frame struct {
	n     *node
	prov  Provider
	rel   string
	entry Entry
	name  string
	up    *frame // the directory it is in; nil for the root
}

func (fr *frame) kind() Kind {
	if fr.prov != nil {
		return fr.entry.Info.Kind
	}
	return fr.n.kind
}

func (fr *frame) target() string {
	if fr.prov != nil {
		return fr.entry.Info.Target
	}
	return fr.n.target
}

func (fr *frame) info() Info {
	if fr.prov != nil {
		in := fr.entry.Info
		in.Name = fr.name
		if in.Kind == Symlink {
			in.Size = 0
		}
		return in
	}
	return fr.n.info(fr.name)
}

// path is the absolute path of a frame, without symlinks.
func (fr *frame) path() string {
	if fr.up == nil {
		return "/"
	}
	var parts []string
	for f := fr; f.up != nil; f = f.up {
		parts = append(parts, f.name)
	}
	var b strings.Builder
	for _, part := range slices.Backward(parts) {
		b.WriteByte('/')
		b.WriteString(part)
	}
	return b.String()
}

// missing is the result of a walk that ended at a name that does not exist.
type missing struct {
	dir  *frame
	name string
}

// walk resolves path; follow says whether a symlink at its end is followed.
// The lock is held.
func (f *FS) walk(c Caller, path string, follow bool) (*frame, error) {
	fr, miss, err := f.walkTo(c, path, follow)
	if err == nil && miss != nil {
		return nil, ENOENT
	}
	return fr, err
}

// walkTo is walk, but a last name that does not exist is no error.
func (f *FS) walkTo(c Caller, path string, follow bool) (*frame, *missing, error) {
	if path == "" {
		return nil, nil, ENOENT
	}
	if len(path) >= maxPath {
		return nil, nil, ENAMETOOLONG
	}
	root := f.mounted(c, &frame{n: f.get(f.base.root), name: "/"})
	cur, rest, links := root, path, 0
	if strings.HasSuffix(path, "/") {
		rest += "."
	}
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch {
		case name == "":
			continue
		case cur.kind() != Dir:
			return nil, nil, ENOTDIR
		case len(name) > maxName:
			return nil, nil, ENAMETOOLONG
		case name == ".":
			continue
		}
		if !permitted(c, cur.info(), 1) {
			return nil, nil, EACCES
		}
		if name == ".." {
			if cur.up != nil {
				cur = cur.up
			}
			continue
		}
		next := f.step(c, cur, name)
		if next == nil {
			if strings.Trim(rest, "/.") != "" || strings.Contains(rest, "..") {
				return nil, nil, ENOENT
			}
			return nil, &missing{cur, name}, nil
		}
		if next.kind() == Symlink && (rest != "" || follow) { //nolint:nestif // one step of the walk
			if links++; links > maxLinks {
				return nil, nil, ELOOP
			}
			t := next.target()
			if t == "" {
				return nil, nil, ENOENT
			}
			if strings.HasPrefix(t, "/") {
				cur = root
			}
			if rest != "" {
				t += "/" + rest
			}
			if rest = t; len(rest) >= 2*maxPath {
				return nil, nil, ENAMETOOLONG
			}
			continue
		}
		cur = next
	}
	return cur, nil, nil
}

// step enters one name of a directory.
func (f *FS) step(c Caller, dir *frame, name string) *frame {
	if dir.prov != nil {
		rel := name
		if dir.rel != "" {
			rel = dir.rel + "/" + name
		}
		e, ok := dir.prov.Lookup(c, rel)
		if !ok {
			return nil
		}
		return &frame{prov: dir.prov, rel: rel, entry: e, name: name, up: dir}
	}
	n := f.child(dir.n, name)
	if n == nil {
		return nil
	}
	return f.mounted(c, &frame{n: n, name: name, up: dir})
}

// mounted turns a frame at a mount point into the root of what is mounted.
func (f *FS) mounted(c Caller, fr *frame) *frame {
	if fr.n.kind != Dir {
		return fr
	}
	p := f.mounts[fr.n.ino]
	if p == nil {
		return fr
	}
	if e, ok := p.Lookup(c, ""); ok {
		fr.prov, fr.entry = p, e
	}
	return fr
}

// permitted is the permission check of Linux without ACLs. bits: 4 read, 2
// write, 1 execute (search).
func permitted(c Caller, in Info, bits uint32) bool {
	if c.UID == 0 {
		return bits&1 == 0 || in.Kind == Dir || in.Mode&0o111 != 0
	}
	m := in.Mode
	switch {
	case c.UID == in.UID:
		m >>= 6
	case c.GID == in.GID || inGroup(c, in.GID):
		m >>= 3
	}
	return m&bits == bits
}

func inGroup(c Caller, gid uint32) bool {
	return slices.Contains(c.Groups, gid)
}

// takeChain makes every directory down to fr writable, so that Changes finds
// fr, and returns fr's own node.
func (f *FS) takeChain(fr *frame) *node {
	for d := fr.up; d != nil; d = d.up {
		if d.n != nil && d.prov == nil {
			d.n = f.take(d.n)
		}
	}
	fr.n = f.take(fr.n)
	return fr.n
}
