package quarantine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// original is a file opened by its parent directory, so that nobody can put
// another in its place unnoticed.
type original struct {
	dir  int
	name string
	file *os.File
	item Item
}

func (o *original) close() {
	o.file.Close()    //nolint:errcheck // only read
	unix.Close(o.dir) //nolint:errcheck // only used for its names
}

func (o *original) content() io.Reader { return o.file }

// openDir opens a directory without following a link anywhere in its path.
func openDir(path string) (int, error) {
	fd, err := unix.Open("/", unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		next, err := unix.Openat(fd, part, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(fd) //nolint:errcheck // only used for its names
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return -1, fmt.Errorf("%q in the path is a link or no directory: name the file by its real path", part)
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
		fd = next
	}
	return fd, nil
}

func openOriginal(path string) (*original, error) {
	dir, err := openDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	o := &original{dir: dir, name: filepath.Base(path)}
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, o.name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // another's file: the time of the last access changes
		fd, err = unix.Openat(dir, o.name, flags, 0)
	}
	if err != nil {
		unix.Close(dir) //nolint:errcheck // the other error is told
		if errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("it is a link, which is not followed: %w", ErrNoFile)
		}
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	o.file = os.NewFile(uintptr(fd), path)
	var st, parent unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstat(dir, &parent)); err != nil {
		o.close()
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		o.close()
		return nil, ErrNoFile
	}
	if st.Dev != parent.Dev {
		o.close()
		return nil, errors.New("it is a mount point of its own; unmount it first")
	}
	o.item = Item{
		Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), Inode: st.Ino, Device: st.Dev, Links: uint64(st.Nlink), //nolint:unconvert // 32 bits on arm64
		Accessed: time.Unix(st.Atim.Unix()).UTC(), Modified: time.Unix(st.Mtim.Unix()).UTC(),
	}
	if o.item.Xattrs, err = xattrs(fd); err != nil {
		o.close()
		return nil, fmt.Errorf("read its extended attributes: %w", err)
	}
	return o, nil
}

// hidden is the name under which a file waits for its removal.
func hidden(id string) string { return ".lapwing-quarantine-" + id }

// remove takes the very file that was read out of its directory: it is first
// renamed, then looked at again, so that a file that somebody put in its place
// meanwhile goes back untouched.
func (o *original) remove(id string) error {
	if err := unix.Renameat2(o.dir, o.name, o.dir, hidden(id), unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("take it out of its directory: %w", err)
	}
	var st unix.Stat_t
	err := unix.Fstatat(o.dir, hidden(id), &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (st.Ino != o.item.Inode || st.Dev != o.item.Device) {
		err = ErrChanged
	}
	if err == nil && (st.Mtim.Nano() != o.item.Modified.UnixNano()) { // written to since it was read
		err = ErrChanged
	}
	if err != nil {
		if back := unix.Renameat2(o.dir, hidden(id), o.dir, o.name, unix.RENAME_NOREPLACE); back != nil {
			return errors.Join(err, fmt.Errorf("it is now called %s: %w", hidden(id), back))
		}
		return err
	}
	if err := unix.Unlinkat(o.dir, hidden(id), 0); err != nil {
		return fmt.Errorf("remove it: %w", err)
	}
	return unix.Fsync(o.dir)
}

// removeTaken ends an interrupted Take: it reports whether the original is
// gone, removing it if it had been renamed already.
func removeTaken(it Item) (bool, error) {
	dir, err := openDir(filepath.Dir(it.Path))
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(dir) //nolint:errcheck // only used for its names
	same := func(name string) bool {
		var st unix.Stat_t
		return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Ino == it.Inode && st.Dev == it.Device
	}
	if same(hidden(it.ID)) {
		if err := unix.Unlinkat(dir, hidden(it.ID), 0); err != nil {
			return false, err
		}
		return true, unix.Fsync(dir)
	}
	return !same(filepath.Base(it.Path)), nil
}

// putBack writes the file beside its place and moves it there in one step.
func putBack(it Item, write func(io.Writer) error) ([]string, error) {
	dir, err := openDir(filepath.Dir(it.To))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("its directory is gone: make it again, or give another place with --to: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir) //nolint:errcheck // only used for its names
	name := hidden(it.ID)
	unix.Unlinkat(dir, name, 0) //nolint:errcheck // of an earlier try
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), it.To)
	defer f.Close() //nolint:errcheck // synced before
	warnings, err := fill(f, it, write)
	if err == nil {
		err = unix.Renameat2(dir, name, dir, filepath.Base(it.To), unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			err = fmt.Errorf("%w: give another place with --to", ErrExists)
		}
	}
	if err != nil {
		unix.Unlinkat(dir, name, 0) //nolint:errcheck // the other error is told
		return nil, err
	}
	return warnings, unix.Fsync(dir)
}

// fill writes content and attributes; the mode comes last, since a change of
// owner takes set-id bits away, and the times after all writing.
func fill(f *os.File, it Item, write func(io.Writer) error) (warnings []string, err error) {
	if err := write(f); err != nil {
		return nil, err
	}
	fd := int(f.Fd())
	warn := func(what string, err error) {
		if err != nil {
			warnings = append(warnings, what+": "+err.Error())
		}
	}
	warn(fmt.Sprintf("owner %d:%d", it.UID, it.GID), unix.Fchown(fd, it.UID, it.GID))
	for k, v := range it.Xattrs {
		warn("attribute "+k, unix.Fsetxattr(fd, k, v, 0))
	}
	warn(fmt.Sprintf("mode %04o", it.Mode), unix.Fchmod(fd, it.Mode))
	tv := []unix.Timeval{unix.NsecToTimeval(it.Accessed.UnixNano()), unix.NsecToTimeval(it.Modified.UnixNano())}
	ts := []unix.Timespec{unix.NsecToTimespec(it.Accessed.UnixNano()), unix.NsecToTimespec(it.Modified.UnixNano())}
	if unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), ts, 0) != nil { // without /proc: microseconds
		warn("times", unix.Futimes(fd, tv))
	}
	return warnings, f.Sync()
}

// given reports whether an interrupted Restore had come to its end.
func given(it Item) bool {
	dir, err := openDir(filepath.Dir(it.To))
	if err != nil {
		return false
	}
	defer unix.Close(dir)                //nolint:errcheck // only used for its names
	unix.Unlinkat(dir, hidden(it.ID), 0) //nolint:errcheck // what was written of it
	var st unix.Stat_t
	return unix.Fstatat(dir, filepath.Base(it.To), &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		st.Size == it.Size && st.Mtim.Nano() == it.Modified.UnixNano()
}

// xattrs reads all extended attributes that this process may read.
func xattrs(fd int) (map[string][]byte, error) {
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(fd, names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out, total := map[string][]byte{}, 0
	for name := range bytes.SplitSeq(names[:n], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		v := make([]byte, 64<<10)
		k, err := unix.Fgetxattr(fd, string(name), v)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if total += k; total > maxXattrs {
			return nil, errors.New("they are too large to be kept")
		}
		out[string(name)] = append([]byte(nil), v[:k]...)
	}
	return out, nil
}
