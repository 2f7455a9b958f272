//go:build unix

package plant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// Local is a directory of this machine. Every path is opened below it, so that
// nothing that happens meanwhile leads out of it.
type Local struct{ root *os.Root }

var _ Dir = (*Local)(nil)

// Open opens a directory; Close ends it.
func Open(dir string) (*Local, error) {
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &Local{r}, nil
}

// Close gives the directory back.
func (l *Local) Close() error { return l.root.Close() }

// Lstat implements Dir.
func (l *Local) Lstat(name string) (fs.FileInfo, error) { return l.root.Lstat(name) }

// open opens the regular file that was seen at name, and no other.
func (l *Local) open(name string, was fs.FileInfo, flag int) (*os.File, error) {
	f, err := l.root.OpenFile(name, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && (!os.SameFile(st, was) || !st.Mode().IsRegular()) {
		err = ErrChanged
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Read implements Dir.
func (l *Local) Read(name string) ([]byte, error) {
	was, err := l.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !was.Mode().IsRegular() {
		return nil, refuse("%s is not a regular file", name)
	}
	f, err := l.open(name, was, os.O_RDONLY|noAccessTime)
	if errors.Is(err, syscall.EPERM) { // the file of somebody else
		f, err = l.open(name, was, os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return readAll(f, 2*maxFile)
}

// Mkdir implements Dir.
func (l *Local) Mkdir(name string, mode fs.FileMode) error {
	if err := l.root.Mkdir(name, mode); err != nil {
		return err
	}
	return l.own(name)
}

// own gives name to whom the directory belongs that it is in: root plants in
// the homes of others.
func (l *Local) own(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := l.root.Lstat(path.Dir(name))
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return l.root.Lchown(name, int(sys.Uid), int(sys.Gid))
}

// Create implements Dir.
func (l *Local) Create(name string, content []byte, mode fs.FileMode) error {
	f, err := l.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask says
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = l.own(name)
	}
	if err != nil {
		err = errors.Join(err, l.root.Remove(name))
	}
	return err
}

// Append implements Dir.
func (l *Local) Append(name string, was fs.FileInfo, content []byte) error {
	f, err := l.open(name, was, os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil || st.Size() != was.Size() {
		return errors.Join(ErrChanged, err, f.Close())
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Replace implements Dir. The new content is written beside the file and takes
// its name at once, with its owner and mode.
func (l *Local) Replace(name string, was fs.FileInfo, content []byte) error {
	tmp := path.Join(path.Dir(name), "."+path.Base(name)+".swp")
	if err := l.Create(tmp, content, was.Mode().Perm()); err != nil {
		return err
	}
	st, err := l.root.Lstat(name)
	if err == nil && (!os.SameFile(st, was) || st.Size() != was.Size() || !st.ModTime().Equal(was.ModTime())) {
		err = ErrChanged
	}
	if sys, ok := was.Sys().(*syscall.Stat_t); ok && err == nil && os.Geteuid() == 0 {
		err = l.root.Lchown(tmp, int(sys.Uid), int(sys.Gid))
	}
	if err == nil {
		err = l.root.Rename(tmp, name)
	}
	if err != nil {
		err = errors.Join(err, l.root.Remove(tmp))
	}
	return err
}

// Remove implements Dir.
func (l *Local) Remove(name string) error { return l.root.Remove(name) }

// Times implements Dir.
func (l *Local) Times(name string, access, change time.Time) error {
	return l.root.Chtimes(name, access, change)
}
