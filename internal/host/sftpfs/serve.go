package sftpfs

import (
	"encoding/binary"
	"errors"
	"path"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// serve answers one request: with a status, or by filling in the reply.
func (s *server) serve(kind byte, r *reader) (c code, known bool) {
	switch kind {
	case fxOpen:
		return s.open(r), true
	case fxClose:
		return s.close(r), true
	case fxRead:
		return s.read(r), true
	case fxWrite:
		return s.write(r), true
	case fxLstat, fxStat:
		return s.stat(r, kind == fxStat), true
	case fxFstat:
		return s.fstat(r), true
	case fxSetstat:
		name := s.path(r)
		return s.setstat(name, r.attrs(), true), true
	case fxFsetstat:
		f := s.handle(r)
		a := r.attrs()
		if f == nil || f.h == nil {
			return noSuchFile, true
		}
		return s.setstat(f.path, a, true), true
	case fxOpendir:
		return s.opendir(r), true
	case fxReaddir:
		return s.readdir(r), true
	case fxRealpath:
		return s.realpath(r.str()), true
	case fxReadlink:
		return s.readlink(r), true
	case fxExtended:
		return s.extended(r), true
	}
	return s.change(kind, r)
}

// change serves what changes names.
func (s *server) change(kind byte, r *reader) (c code, known bool) {
	fs, who := s.p.M.FS, s.p.Caller
	switch kind {
	case fxRemove:
		name := s.path(r)
		return s.did("Remove", name, "", fs.Unlink(who, name)), true
	case fxMkdir:
		name := s.path(r)
		perm := uint32(0o777)
		if a := r.attrs(); a.flags&hasMode != 0 {
			perm = a.mode & 0o7777
		}
		return s.did("Mkdir", name, "", fs.Mkdir(who, name, perm&^s.p.Umask)), true
	case fxRmdir:
		name := s.path(r)
		return s.did("Rmdir", name, "", fs.Rmdir(who, name)), true
	case fxRename:
		from, to := s.path(r), s.path(r)
		return s.did("Rename", from, to, s.rename(from, to)), true
	case fxSymlink: // OpenSSH takes target and link in this order, against the draft
		target, link := r.str(), s.path(r)
		return s.did("Symlink", link, target, fs.Symlink(who, target, link)), true
	}
	return 0, false
}

// path reads a name and makes it absolute.
func (s *server) path(r *reader) string {
	name := r.str()
	if name == "" {
		return ""
	}
	return s.p.Abs(name)
}

// did tells the watcher of a change that worked.
func (s *server) did(verb, name, target string, err error) code {
	if err == nil {
		s.w.Changed(verb, name, target)
	}
	return status(err)
}

// rename moves a name that must not replace another (sftp-server links and
// unlinks a regular file for that).
func (s *server) rename(from, to string) error {
	fs, who := s.p.M.FS, s.p.Caller
	if _, err := fs.Lstat(who, from); err != nil {
		return err
	}
	if _, err := fs.Lstat(who, to); err == nil {
		return vfs.EEXIST
	}
	return fs.Rename(who, from, to)
}

// Flags of OPEN.
const (
	wantRead   = 0x01
	wantWrite  = 0x02
	wantAppend = 0x04
	wantCreate = 0x08
	wantTrunc  = 0x10
	wantExcl   = 0x20
)

func openFlags(f uint32) vfs.Flags {
	var fl vfs.Flags
	switch {
	case f&wantRead != 0 && f&wantWrite != 0:
		fl = vfs.ReadWrite
	case f&wantWrite != 0:
		fl = vfs.WriteOnly
	}
	for bit, flag := range map[uint32]vfs.Flags{wantCreate: vfs.Create, wantTrunc: vfs.Truncate, wantExcl: vfs.Excl, wantAppend: vfs.Append} {
		if f&bit != 0 {
			fl |= flag
		}
	}
	return fl
}

func (s *server) open(r *reader) code {
	name, flags, a := s.path(r), r.u32(), r.attrs()
	if r.bad {
		return badMessage
	}
	perm := uint32(0o666)
	if a.flags&hasMode != 0 {
		perm = a.mode & 0o7777
	}
	h, err := s.p.M.FS.Open(s.p.Caller, name, openFlags(flags), perm&^s.p.Umask)
	if err != nil {
		return status(err)
	}
	if flags&wantWrite == 0 && h.Stat().Kind == vfs.File {
		s.w.Read(name)
	}
	return s.hold(&file{h: h, path: h.Path(), app: flags&wantAppend != 0})
}

// hold gives out a handle.
func (s *server) hold(f *file) code {
	for n := range uint32(maxHandles) {
		if s.handles[n] == nil {
			s.handles[n] = f
			s.reply[4] = fxHandle
			s.reply = binary.BigEndian.AppendUint32(append(s.reply, 0, 0, 0, 4), n)
			return ok
		}
	}
	f.close()
	return failure
}

func (s *server) handle(r *reader) *file {
	b := r.bytes()
	if len(b) != 4 {
		return nil
	}
	return s.handles[binary.BigEndian.Uint32(b)]
}

func (s *server) close(r *reader) code {
	b := r.bytes()
	if len(b) != 4 || s.handles[binary.BigEndian.Uint32(b)] == nil {
		return noSuchFile
	}
	n := binary.BigEndian.Uint32(b)
	s.handles[n].close()
	delete(s.handles, n)
	return ok
}

func (s *server) read(r *reader) code {
	f, off, n := s.handle(r), r.u64(), r.u32()
	if f == nil || f.h == nil {
		return failure
	}
	if n == 0 {
		s.reply[4] = fxData
		s.reply = append(s.reply, 0, 0, 0, 0)
		return ok
	}
	n = min(n, maxData)
	at := len(s.reply) + 4
	s.reply = append(s.reply, make([]byte, 4+n)...)
	k, err := f.h.ReadAt(s.reply[at:], int64(off&(1<<63-1)))
	if k == 0 {
		s.reply = s.reply[:at-4]
		if err == nil {
			return eof
		}
		return status(err)
	}
	binary.BigEndian.PutUint32(s.reply[at-4:], uint32(k))
	s.reply = s.reply[:at+k]
	s.reply[4] = fxData
	return ok
}

func (s *server) write(r *reader) code {
	f, off, data := s.handle(r), r.u64(), r.bytes()
	if r.bad || f == nil || f.h == nil {
		return failure
	}
	if err := s.p.S.Budget.Move(int64(len(data))); err != nil {
		return failure
	}
	var err error
	if f.app {
		_, err = f.h.Write(data)
	} else {
		_, err = f.h.WriteAt(data, int64(off&(1<<63-1)))
	}
	return status(err)
}

func (s *server) stat(r *reader, follow bool) code {
	name := s.path(r)
	in, err := s.p.M.FS.Lstat(s.p.Caller, name)
	if follow && err == nil && in.Kind == vfs.Symlink {
		in, err = s.p.M.FS.Stat(s.p.Caller, name)
	}
	if err != nil {
		return status(err)
	}
	s.reply[4] = fxAttrs
	s.reply = appendAttrs(s.reply, in)
	return ok
}

func (s *server) fstat(r *reader) code {
	f := s.handle(r)
	if f == nil || f.h == nil {
		return failure
	}
	s.reply[4] = fxAttrs
	s.reply = appendAttrs(s.reply, f.h.Stat())
	return ok
}

// setstat sets what is asked for; the last failure is told, as sftp-server does.
func (s *server) setstat(name string, a attrs, follow bool) (c code) {
	fs, who := s.p.M.FS, s.p.Caller
	note := func(err error) {
		if err != nil {
			c = status(err)
		}
	}
	if a.flags&hasSize != 0 {
		note(fs.Truncate(who, name, int64(a.size&(1<<63-1))))
	}
	if a.flags&hasMode != 0 && follow {
		note(fs.Chmod(who, name, a.mode&0o7777))
	}
	if a.flags&hasTimes != 0 {
		set := fs.Chtimes
		if !follow {
			set = fs.Lchtimes
		}
		note(set(who, name, time.Unix(int64(a.atime), 0), time.Unix(int64(a.mtime), 0)))
	}
	if a.flags&hasOwner != 0 {
		note(fs.Chown(who, name, a.uid, a.gid, follow))
	}
	if c == ok {
		s.w.Changed("Setstat", name, "")
	}
	return c
}

func (s *server) opendir(r *reader) code {
	name := s.path(r)
	fs, who := s.p.M.FS, s.p.Caller
	list, err := fs.ReadDir(who, name)
	if err != nil {
		return status(err)
	}
	var dots []vfs.Info
	for _, n := range []string{".", ".."} {
		if in, err := fs.Stat(who, path.Join(name, n)); err == nil {
			in.Name = n
			dots = append(dots, in)
		}
	}
	return s.hold(&file{path: name, list: append(dots, list...)})
}

const perName = 100 // entries of one answer

func (s *server) readdir(r *reader) code {
	f := s.handle(r)
	if f == nil || f.h != nil {
		return failure
	}
	n := min(len(f.list), perName)
	if n == 0 {
		return eof
	}
	s.reply[4] = fxName
	s.reply = binary.BigEndian.AppendUint32(s.reply, uint32(n))
	for _, in := range f.list[:n] {
		s.str(in.Name)
		s.str(s.longName(in.Name, in))
		s.reply = appendAttrs(s.reply, in)
	}
	f.list = f.list[n:]
	return ok
}

// name answers with one name without attributes.
func (s *server) name(text string) code {
	s.reply[4] = fxName
	s.reply = append(s.reply, 0, 0, 0, 1)
	s.str(text)
	s.str(text)
	s.reply = append(s.reply, 0, 0, 0, 0)
	return ok
}

// realpath is the path without symlinks; its last element need not exist.
func (s *server) realpath(name string) code {
	if name == "" {
		name = "."
	}
	plain, err := s.resolve(s.p.Abs(name), 0)
	if err != nil {
		return status(err)
	}
	return s.name(plain)
}

const maxLinks = 40

func (s *server) resolve(abs string, links int) (string, error) {
	fs, who := s.p.M.FS, s.p.Caller
	plain, err := fs.Resolve(who, abs)
	if err == nil || !errors.Is(err, vfs.ENOENT) || links > maxLinks {
		return plain, err
	}
	dir, last := path.Split(abs)
	if last == "" || last == "." || last == ".." {
		return "", vfs.ENOENT
	}
	if plain, err = fs.Resolve(who, dir); err != nil {
		return "", err
	}
	if in, err := fs.Stat(who, plain); err != nil || in.Kind != vfs.Dir {
		return "", vfs.ENOTDIR
	}
	if target, err := fs.Readlink(who, abs); err == nil { // a symlink to what does not exist
		if !path.IsAbs(target) {
			target = path.Join(plain, target)
		}
		return s.resolve(target, links+1)
	}
	return path.Join(plain, last), nil
}

func (s *server) readlink(r *reader) code {
	target, err := s.p.M.FS.Readlink(s.p.Caller, s.path(r))
	if err != nil {
		return status(err)
	}
	return s.name(target)
}
