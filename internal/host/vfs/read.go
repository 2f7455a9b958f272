package vfs

import (
	"sort"
)

// Stat describes what path leads to.
func (f *FS) Stat(c Caller, path string) (Info, error) { return f.stat(c, path, true) }

// Lstat is Stat of a symlink itself.
func (f *FS) Lstat(c Caller, path string) (Info, error) { return f.stat(c, path, false) }

func (f *FS) stat(c Caller, path string, follow bool) (Info, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	fr, err := f.walk(c, path, follow)
	if err != nil {
		return Info{}, err
	}
	return fr.info(), nil
}

// Readlink is the target of a symlink.
func (f *FS) Readlink(c Caller, path string) (string, error) {
	in, err := f.Lstat(c, path)
	if err != nil {
		return "", err
	}
	if in.Kind != Symlink {
		return "", EINVAL
	}
	return in.Target, nil
}

// Resolve is path without symlinks, "." and "..".
func (f *FS) Resolve(c Caller, path string) (string, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	fr, err := f.walk(c, path, true)
	if err != nil {
		return "", err
	}
	return fr.path(), nil
}

// Access checks bits (4 read, 2 write, 1 execute) as access(2) does.
func (f *FS) Access(c Caller, path string, bits uint32) error {
	in, err := f.Stat(c, path)
	if err != nil {
		return err
	}
	if !permitted(c, in, bits) {
		return EACCES
	}
	return nil
}

// ReadDir lists a directory without "." and "..", sorted by name.
func (f *FS) ReadDir(c Caller, path string) ([]Info, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	fr, err := f.walk(c, path, true)
	if err != nil {
		return nil, err
	}
	if fr.kind() != Dir {
		return nil, ENOTDIR
	}
	if !permitted(c, fr.info(), 4) {
		return nil, EACCES
	}
	var names []string
	if fr.prov != nil {
		names = fr.prov.List(c, fr.rel)
	} else {
		names = f.names(fr.n)
		sort.Strings(names)
	}
	out := make([]Info, 0, len(names))
	for _, name := range names {
		if e := f.step(c, fr, name); e != nil {
			out = append(out, e.info())
		}
	}
	return out, nil
}

// ReadFile reads a whole file of at most limit bytes; a larger one gives EFBIG.
func (f *FS) ReadFile(c Caller, path string, limit int64) ([]byte, error) {
	h, err := f.Open(c, path, ReadOnly, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close() //nolint:errcheck // only read
	in := h.Stat()
	if in.Kind == Dir {
		return nil, EISDIR
	}
	if in.Kind != File {
		return nil, EINVAL
	}
	var out []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := h.Read(buf)
		out = append(out, buf[:n]...)
		if int64(len(out)) > limit {
			return nil, EFBIG
		}
		if err != nil || n == 0 {
			return out, nil
		}
	}
}

// Content is what a regular file holds now; it stays as it is when the file
// is written later. Copying a file by Content and SetContent keeps a program
// a program.
func (f *FS) Content(c Caller, path string) (Content, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr, err := f.walk(c, path, true)
	switch {
	case err != nil:
		return nil, err
	case fr.kind() == Dir:
		return nil, EISDIR
	case fr.kind() != File:
		return nil, EINVAL
	case !permitted(c, fr.info(), 4) && !permitted(c, fr.info(), 1):
		return nil, EACCES
	}
	if fr.prov != nil {
		if fr.entry.Read == nil {
			return nil, EINVAL
		}
		return Bytes(fr.entry.Read()), nil
	}
	return fr.n.freeze(), nil
}

// freeze turns written data into a shared Content.
func (n *node) freeze() Content {
	if n.mutable {
		n.content, n.data, n.mutable = Bytes(n.data), nil, false
	}
	if n.content == nil {
		return Bytes(nil)
	}
	return n.content
}

// Changes is what differs from the base, sorted by path.
func (f *FS) Changes() []Changed {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var out []Changed
	f.collect("", f.get(f.base.root), &out)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// Dirty is the regular files written since ClearDirty.
func (f *FS) Dirty() []Changed {
	var out []Changed
	for _, c := range f.Changes() {
		if c.dirty && !c.Removed && c.Info.Kind == File {
			out = append(out, c)
		}
	}
	return out
}

// ClearDirty forgets that path was written.
func (f *FS) ClearDirty(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fr, err := f.walk(Root(), path, false); err == nil && fr.n != nil && fr.n.own {
		fr.n.dirty = false
	}
}

func (f *FS) collect(path string, dir *node, out *[]Changed) {
	if !dir.own {
		return
	}
	visit := func(name string, c *node) {
		p := path + "/" + name
		if c == nil {
			*out = append(*out, Changed{Path: p, Removed: true})
			return
		}
		if c = f.get(c); !c.own {
			return
		}
		var base *node
		if dir.lower != nil {
			base = dir.lower.kids()[name]
		}
		if base != nil && base.ino != c.ino { // another took its place
			*out = append(*out, Changed{Path: p, Removed: true})
		}
		*out = append(*out, Changed{Path: p, Info: c.info(name), dirty: c.dirty})
		if c.kind != Dir {
			return
		}
		if c.lower != nil && (base == nil || base.ino != c.ino) {
			f.collectAll(p, c, out) // a directory of the base that was moved here
			return
		}
		f.collect(p, c, out)
	}
	for name, c := range dir.children {
		if c != nil || dir.lower != nil && dir.lower.kids()[name] != nil {
			visit(name, c)
		}
	}
	if dir.lower == nil {
		return
	}
	for name, c := range dir.lower.kids() {
		if _, ok := dir.children[name]; !ok && f.over[c.ino] != nil {
			visit(name, c)
		}
	}
}

// collectAll lists everything below a directory.
func (f *FS) collectAll(path string, dir *node, out *[]Changed) {
	for _, name := range f.names(dir) {
		c := f.child(dir, name)
		if c == nil {
			continue
		}
		p := path + "/" + name
		*out = append(*out, Changed{Path: p, Info: c.info(name), dirty: c.dirty})
		if c.kind == Dir {
			f.collectAll(p, c, out)
		}
	}
}
