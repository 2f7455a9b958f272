// Package sftpfs answers SFTP (draft-ietf-secsh-filexfer-02, version 3) from
// the file system of a fake host, as OpenSSH's sftp-server does.
package sftpfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/pkg/sftp"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Watcher is told what a visitor does by SFTP.
type Watcher interface {
	// Read is a file that was opened for reading.
	Read(path string)
	// Changed is a rename, removal, new directory or the like.
	Changed(verb, path, target string)
}

// Serve speaks SFTP on rw as the session's user until rw ends.
func Serve(p *kernel.Proc, rw io.ReadWriter, w Watcher) error {
	h := &handlers{p: p, w: w}
	srv := sftp.NewRequestServer(open{rw}, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h}, sftp.WithStartDirectory(p.Dir))
	err := srv.Serve()
	srv.Close() //nolint:errcheck // open files of the fake host alone
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// open keeps the library from closing what its owner has yet to end in order.
type open struct{ io.ReadWriter }

func (open) Close() error { return nil }

type handlers struct {
	p *kernel.Proc
	w Watcher
}

// status turns an error of the fake system into one that sftp knows.
func status(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vfs.ENOENT), errors.Is(err, vfs.ENOTDIR):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, vfs.EACCES), errors.Is(err, vfs.EPERM), errors.Is(err, vfs.EROFS):
		return sftp.ErrSSHFxPermissionDenied
	}
	return sftp.ErrSSHFxFailure
}

// reader charges what is read to the session's budget.
type reader struct {
	*vfs.Handle
	p *kernel.Proc
}

func (r reader) ReadAt(b []byte, off int64) (int, error) {
	if err := r.p.S.Budget.Output(int64(len(b))); err != nil {
		return 0, err
	}
	return r.Handle.ReadAt(b, off)
}

type writer struct {
	*vfs.Handle
	p *kernel.Proc
}

func (w writer) WriteAt(b []byte, off int64) (int, error) {
	if err := w.p.S.Budget.Move(int64(len(b))); err != nil {
		return 0, err
	}
	n, err := w.Handle.WriteAt(b, off)
	return n, status(err)
}

// Fileread opens for reading.
func (h *handlers) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	f, err := h.p.M.FS.Open(h.p.Caller, r.Filepath, vfs.ReadOnly, 0)
	if err != nil {
		return nil, status(err)
	}
	h.w.Read(r.Filepath)
	return reader{f, h.p}, nil
}

// Filewrite opens for writing.
func (h *handlers) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	f := r.Pflags()
	fl := vfs.WriteOnly
	if f.Creat {
		fl |= vfs.Create
	}
	if f.Trunc {
		fl |= vfs.Truncate
	}
	if f.Excl {
		fl |= vfs.Excl
	}
	perm := uint32(0o666)
	if r.AttrFlags().Permissions {
		perm = r.Attributes().Mode & 0o777
	}
	hd, err := h.p.M.FS.Open(h.p.Caller, r.Filepath, fl, perm&^h.p.Umask)
	if err != nil {
		return nil, status(err)
	}
	return writer{hd, h.p}, nil
}

// Filecmd changes names and attributes.
func (h *handlers) Filecmd(r *sftp.Request) error {
	m, c := h.p.M.FS, h.p.Caller
	var err error
	switch r.Method {
	case "Setstat":
		return status(h.setstat(r))
	case "Rename", "PosixRename":
		if r.Method == "Rename" {
			if _, e := m.Lstat(c, r.Target); e == nil {
				return sftp.ErrSSHFxFailure
			}
		}
		err = m.Rename(c, r.Filepath, r.Target)
	case "Rmdir":
		err = m.Rmdir(c, r.Filepath)
	case "Remove":
		err = m.Unlink(c, r.Filepath)
	case "Mkdir":
		err = m.Mkdir(c, r.Filepath, 0o777&^h.p.Umask)
	case "Symlink":
		err = m.Symlink(c, r.Filepath, r.Target)
	case "Link":
		err = m.Link(c, r.Filepath, r.Target)
	default:
		return sftp.ErrSSHFxOpUnsupported
	}
	if err == nil {
		h.w.Changed(r.Method, r.Filepath, r.Target)
	}
	return status(err)
}

func (h *handlers) setstat(r *sftp.Request) error {
	m, c := h.p.M.FS, h.p.Caller
	f, a := r.AttrFlags(), r.Attributes()
	if f.Size {
		if err := m.Truncate(c, r.Filepath, int64(a.Size)); err != nil {
			return err
		}
	}
	if f.Permissions {
		if err := m.Chmod(c, r.Filepath, a.Mode&0o7777); err != nil {
			return err
		}
	}
	if f.UidGid {
		if err := m.Chown(c, r.Filepath, a.UID, a.GID, true); err != nil {
			return err
		}
	}
	if f.Acmodtime {
		return m.Chtimes(c, r.Filepath, time.Unix(int64(a.Atime), 0), time.Unix(int64(a.Mtime), 0))
	}
	return nil
}

// Filelist lists, stats and reads links.
func (h *handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	m, c := h.p.M.FS, h.p.Caller
	switch r.Method {
	case "List":
		list, err := m.ReadDir(c, r.Filepath)
		if err != nil {
			return nil, status(err)
		}
		out := lister{}
		for _, n := range []string{".", ".."} {
			if in, err := m.Stat(c, path.Join(r.Filepath, n)); err == nil {
				in.Name = n
				out = append(out, h.info(in))
			}
		}
		for _, in := range list {
			out = append(out, h.info(in))
		}
		return out, nil
	case "Stat":
		in, err := m.Stat(c, r.Filepath)
		if err != nil {
			return nil, status(err)
		}
		return lister{h.info(in)}, nil
	case "Readlink":
		t, err := m.Readlink(c, r.Filepath)
		if err != nil {
			return nil, status(err)
		}
		return lister{fileInfo{in: vfs.Info{Name: t}}}, nil
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

// Lstat describes a symlink itself.
func (h *handlers) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	in, err := h.p.M.FS.Lstat(h.p.Caller, r.Filepath)
	if err != nil {
		return nil, status(err)
	}
	return lister{h.info(in)}, nil
}

var _ sftp.LstatFileLister = (*handlers)(nil)

// LookupUserName and LookupGroupName give the names of the long listing.
func (h *handlers) LookupUserName(uid string) string { return h.name(uid, h.p.M.UserName) }

// LookupGroupName names a group.
func (h *handlers) LookupGroupName(gid string) string { return h.name(gid, h.p.M.GroupName) }

var _ sftp.NameLookupFileLister = (*handlers)(nil)

func (h *handlers) name(id string, look func(uint32) string) string {
	n := uint32(0)
	for _, c := range id {
		n = n*10 + uint32(c-'0')
	}
	return look(n)
}

type lister []fs.FileInfo

// ListAt implements sftp.ListerAt.
func (l lister) ListAt(out []fs.FileInfo, off int64) (int, error) {
	if off >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(out, l[off:])
	if n < len(out) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handlers) info(in vfs.Info) fs.FileInfo { return fileInfo{in} }

type fileInfo struct{ in vfs.Info }

func (f fileInfo) Name() string       { return f.in.Name }
func (f fileInfo) Size() int64        { return f.in.Size }
func (f fileInfo) ModTime() time.Time { return f.in.Mtime }
func (f fileInfo) IsDir() bool        { return f.in.Kind == vfs.Dir }

// Sys gives owner and times to the wire format.
func (f fileInfo) Sys() any {
	return &sftp.FileStat{
		Size: uint64(f.in.Size), Mode: f.in.Mode, Mtime: uint32(f.in.Mtime.Unix()), Atime: uint32(f.in.Atime.Unix()), UID: f.in.UID, GID: f.in.GID,
	}
}

// Uid and Gid are asked for by the wire format.
func (f fileInfo) Uid() uint32 { return f.in.UID }

// Gid is the group.
func (f fileInfo) Gid() uint32 { return f.in.GID }

func (f fileInfo) Mode() fs.FileMode {
	m := fs.FileMode(f.in.Mode & 0o777)
	m |= [...]fs.FileMode{0, fs.ModeDir, fs.ModeSymlink, fs.ModeDevice | fs.ModeCharDevice, fs.ModeDevice, fs.ModeNamedPipe, fs.ModeSocket}[f.in.Kind]
	for bit, mode := range map[uint32]fs.FileMode{vfs.ModeSetUID: fs.ModeSetuid, vfs.ModeSetGID: fs.ModeSetgid, vfs.ModeSticky: fs.ModeSticky} {
		if f.in.Mode&bit != 0 {
			m |= mode
		}
	}
	return m
}
