package vfs

import "time"

// lost is one content to tell about after the lock is released.
type lost struct {
	path    string
	content Content
}

func (f *FS) tell(l *lost) {
	if l == nil {
		return
	}
	f.mu.RLock()
	fn := f.onLoss
	f.mu.RUnlock()
	if fn != nil {
		fn(l.path, l.content)
	}
}

// vanish says what is lost when n goes.
func vanish(path string, n *node) *lost {
	if n.kind != File || !n.dirty || n.size() == 0 {
		return nil
	}
	return &lost{path, n.freeze()}
}

// place finds where a new name goes, and checks that c may put it there.
func (f *FS) place(c Caller, path string) (*missing, error) {
	fr, miss, err := f.walkTo(c, path, false)
	switch {
	case err != nil:
		return nil, err
	case miss == nil && fr.up == nil:
		return nil, EEXIST
	case miss == nil:
		return nil, EEXIST
	case miss.dir.prov != nil:
		return nil, miss.dir.prov.Create()
	case !permitted(c, miss.dir.info(), 3):
		return nil, EACCES
	case miss.dir.n.attr&AttrImmutable != 0:
		return nil, EPERM
	case f.nodes >= f.opt.MaxNodes:
		return nil, f.full("number of a visitor's files", ENOSPC)
	}
	return miss, nil
}

// insert makes a node at a place.
func (f *FS) insert(c Caller, m *missing, n *node) *node {
	dir := f.takeChain(m.dir)
	now := f.touch()
	f.next++
	f.nodes++
	n.ino, n.own, n.uid, n.gid = f.next, true, c.UID, c.GID
	if dir.mode&ModeSetGID != 0 {
		n.gid = dir.gid
	}
	n.atime, n.mtime, n.ctime, n.birth = now, now, now, now
	n.nlink = 1
	if n.kind == Dir {
		n.nlink, n.children = 2, map[string]*node{}
		dir.nlink++
	}
	dir.children[m.name] = n
	dir.mtime, dir.ctime = now, now
	return n
}

// Mkdir makes a directory.
func (f *FS) Mkdir(c Caller, path string, perm uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.place(c, path)
	if err != nil {
		return err
	}
	f.insert(c, m, &node{kind: Dir, mode: perm & 0o7777})
	return nil
}

// Symlink makes a symlink at path that points to target.
func (f *FS) Symlink(c Caller, target, path string) error {
	if target == "" {
		return ENOENT
	}
	if len(target) >= maxPath {
		return ENAMETOOLONG
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.place(c, path)
	if err != nil {
		return err
	}
	f.insert(c, m, &node{kind: Symlink, mode: 0o777, target: target})
	return nil
}

// Mknod makes a device, FIFO, socket or empty file.
func (f *FS) Mknod(c Caller, path string, k Kind, perm, major, minor uint32) error {
	if c.UID != 0 && (k == CharDev || k == BlockDev) {
		return EPERM
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.place(c, path)
	if err != nil {
		return err
	}
	f.insert(c, m, &node{kind: k, mode: perm & 0o7777, major: major, minor: minor})
	return nil
}

// removable finds what c may remove.
func (f *FS) removable(c Caller, path string) (*frame, error) {
	fr, err := f.walk(c, path, false)
	if err != nil {
		return nil, err
	}
	switch {
	case fr.up == nil || fr.n != nil && f.mounts[fr.n.ino] != nil:
		return nil, EBUSY
	case fr.prov != nil:
		return nil, EPERM
	}
	dir := fr.up.info()
	if !permitted(c, dir, 3) {
		return nil, EACCES
	}
	if dir.Mode&ModeSticky != 0 && c.UID != 0 && c.UID != fr.n.uid && c.UID != dir.UID {
		return nil, EPERM
	}
	if (fr.n.attr|dir.Attr)&(AttrImmutable|AttrAppend) != 0 {
		return nil, EPERM
	}
	return fr, nil
}

// unlink takes the name fr away.
func (f *FS) unlink(fr *frame) *lost {
	path := fr.path()
	dir := f.takeChain(fr.up)
	n := f.take(fr.n)
	now := f.touch()
	if dir.lower != nil && dir.lower.kids()[fr.name] != nil {
		dir.children[fr.name] = nil
	} else {
		delete(dir.children, fr.name)
	}
	dir.mtime, dir.ctime, n.ctime = now, now, now
	n.nlink--
	if n.kind == Dir {
		dir.nlink--
		n.nlink = 0
	}
	if n.nlink > 0 {
		return nil
	}
	l := vanish(path, n)
	f.charge(n, 0) //nolint:errcheck // shrinking always works
	if n.ino > f.base.next {
		f.nodes--
	}
	return l
}

// Unlink removes a name that is not a directory.
func (f *FS) Unlink(c Caller, path string) error {
	f.mu.Lock()
	fr, err := f.removable(c, path)
	if err == nil && fr.n.kind == Dir {
		err = EISDIR
	}
	if err != nil {
		f.mu.Unlock()
		return err
	}
	l := f.unlink(fr)
	f.mu.Unlock()
	f.tell(l)
	return nil
}

// Rmdir removes an empty directory.
func (f *FS) Rmdir(c Caller, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr, err := f.removable(c, path)
	switch {
	case err != nil:
		return err
	case fr.n.kind != Dir:
		return ENOTDIR
	case f.holds(fr.n):
		return ENOTEMPTY
	}
	f.unlink(fr)
	return nil
}

func (f *FS) holds(dir *node) bool { return len(f.names(dir)) > 0 }

// Rename moves a name; an existing file or empty directory is replaced.
func (f *FS) Rename(c Caller, from, to string) error {
	f.mu.Lock()
	l, err := f.rename(c, from, to)
	f.mu.Unlock()
	f.tell(l)
	return err
}

func (f *FS) rename(c Caller, from, to string) (*lost, error) {
	src, err := f.removable(c, from)
	if err != nil {
		return nil, err
	}
	dst, miss, err := f.walkTo(c, to, false)
	if err != nil {
		return nil, err
	}
	var l *lost
	if miss == nil { //nolint:nestif // the order of the kernel's checks
		if dst.prov != nil {
			return nil, EXDEV
		}
		if dst.n.ino == src.n.ino {
			return nil, nil
		}
		if dst, err = f.removable(c, to); err != nil {
			return nil, err
		}
		switch {
		case dst.n.kind == Dir && src.n.kind != Dir:
			return nil, EISDIR
		case dst.n.kind != Dir && src.n.kind == Dir:
			return nil, ENOTDIR
		case dst.n.kind == Dir && f.holds(dst.n):
			return nil, ENOTEMPTY
		}
		for d := dst.up; d != nil; d = d.up {
			if d.n == src.n {
				return nil, EINVAL
			}
		}
		miss = &missing{dst.up, dst.name}
		l = f.unlink(dst)
	} else {
		if miss.dir.prov != nil {
			return nil, EXDEV
		}
		if !permitted(c, miss.dir.info(), 3) {
			return nil, EACCES
		}
	}
	for d := miss.dir; d != nil; d = d.up {
		if d.n != nil && d.n.ino == src.n.ino {
			return l, EINVAL
		}
	}
	f.move(src, miss)
	return l, nil
}

func (f *FS) move(src *frame, m *missing) {
	from := f.takeChain(src.up)
	n := f.take(src.n)
	m.dir.n = f.get(m.dir.n)
	to := f.takeChain(m.dir)
	now := f.touch()
	if from.lower != nil && from.lower.kids()[src.name] != nil {
		from.children[src.name] = nil
	} else {
		delete(from.children, src.name)
	}
	to.children[m.name] = n
	if n.kind == Dir {
		from.nlink--
		to.nlink++
	}
	n.ctime = now
	from.mtime, from.ctime, to.mtime, to.ctime = now, now, now, now
}

// Link makes another name for a file.
func (f *FS) Link(c Caller, from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	src, err := f.walk(c, from, false)
	if err != nil {
		return err
	}
	if src.kind() == Dir {
		return EPERM
	}
	m, err := f.place(c, to)
	if err != nil {
		return err
	}
	if src.prov != nil {
		return EXDEV
	}
	if src.n.attr != 0 {
		return EPERM
	}
	n := f.takeChain(src)
	m.dir.n = f.get(m.dir.n)
	dir := f.takeChain(m.dir)
	n.nlink++
	n.ctime = f.touch()
	dir.children[m.name] = n
	dir.mtime, dir.ctime = n.ctime, n.ctime
	return nil
}

// change is what chmod and the like share.
func (f *FS) change(c Caller, path string, follow bool, ok func(Info) bool, do func(*node)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr, err := f.walk(c, path, follow)
	switch {
	case err != nil:
		return err
	case !ok(fr.info()), fr.prov != nil:
		return EPERM
	case fr.n.attr&(AttrImmutable|AttrAppend) != 0:
		return EPERM
	}
	n := f.takeChain(fr)
	do(n)
	n.ctime = f.touch()
	return nil
}

// Chmod sets the permission bits.
func (f *FS) Chmod(c Caller, path string, mode uint32) error {
	return f.change(c, path, true, owns(c), func(n *node) { n.mode = mode & 0o7777 })
}

func owns(c Caller) func(Info) bool {
	return func(in Info) bool { return c.UID == 0 || c.UID == in.UID }
}

// Chown sets owner and group; ^uint32(0) keeps one.
func (f *FS) Chown(c Caller, path string, uid, gid uint32, follow bool) error {
	const keep = ^uint32(0)
	ok := func(in Info) bool {
		if c.UID == 0 {
			return true
		}
		own := c.UID == in.UID && (uid == keep || uid == in.UID)
		return own && (gid == keep || gid == c.GID || inGroup(c, gid))
	}
	return f.change(c, path, follow, ok, func(n *node) {
		if uid != keep {
			n.uid = uid
		}
		if gid != keep {
			n.gid = gid
		}
		if n.kind == File {
			n.mode &^= ModeSetUID | ModeSetGID
		}
	})
}

// Chtimes sets access and modification time; a zero one is kept.
func (f *FS) Chtimes(c Caller, path string, atime, mtime time.Time) error {
	return f.chtimes(c, path, true, atime, mtime)
}

// Lchtimes is Chtimes of a symlink itself.
func (f *FS) Lchtimes(c Caller, path string, atime, mtime time.Time) error {
	return f.chtimes(c, path, false, atime, mtime)
}

func (f *FS) chtimes(c Caller, path string, follow bool, atime, mtime time.Time) error {
	ok := func(in Info) bool { return owns(c)(in) || permitted(c, in, 2) }
	return f.change(c, path, follow, ok, func(n *node) {
		if !atime.IsZero() {
			n.atime = atime
		}
		if !mtime.IsZero() {
			n.mtime = mtime
		}
	})
}

// SetAttr sets the flags of chattr; only root may.
func (f *FS) SetAttr(c Caller, path string, a Attr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fr, err := f.walk(c, path, true)
	switch {
	case err != nil:
		return err
	case fr.prov != nil:
		return EOPNOTSUPP
	case c.UID != 0:
		return EPERM
	}
	n := f.takeChain(fr)
	n.attr, n.ctime = a, f.touch()
	return nil
}

// SetContent makes path a regular file that holds content; an existing file
// keeps owner and mode.
func (f *FS) SetContent(c Caller, path string, content Content, perm uint32) error {
	h, err := f.Open(c, path, WriteOnly|Create|Truncate, perm)
	if err != nil {
		return err
	}
	defer h.Close() //nolint:errcheck // nothing is buffered
	if h.n == nil || h.n.kind != File {
		return copyContent(h, content)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	size := content.Size()
	if _, shared := content.(Program); shared {
		size = min(size, 4096) // a program image takes no memory
	}
	if err := f.charge(h.n, size); err != nil {
		return err
	}
	h.n.content, h.n.data, h.n.mutable, h.n.dirty, h.n.written = content, nil, false, true, true
	h.n.mtime = f.touch()
	return nil
}

func copyContent(h *Handle, content Content) error {
	buf := make([]byte, 32<<10)
	for off := int64(0); off < content.Size(); {
		n, _ := content.ReadAt(buf, off)
		if n == 0 {
			return nil
		}
		if _, err := h.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// WriteFile makes path hold data.
func (f *FS) WriteFile(c Caller, path string, data []byte, perm uint32) error {
	h, err := f.Open(c, path, WriteOnly|Create|Truncate, perm)
	if err != nil {
		return err
	}
	if _, err := h.Write(data); err != nil {
		h.Close() //nolint:errcheck // the other error is told
		return err
	}
	return h.Close()
}

// Truncate sets a file's size.
func (f *FS) Truncate(c Caller, path string, size int64) error {
	h, err := f.Open(c, path, WriteOnly, 0)
	if err != nil {
		return err
	}
	defer h.Close() //nolint:errcheck // nothing is buffered
	return h.Truncate(size)
}
