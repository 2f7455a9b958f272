package scan

import (
	"io/fs"
	"syscall"
	"time"
)

// changed is when content or attributes of a file last changed: a copy that
// keeps its old date counts from when it was put there.
func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(st.Ctim.Unix()); c.After(info.ModTime()) {
			return c
		}
	}
	return info.ModTime()
}

// inode is what a file is known by beside size and modification time.
func inode(info fs.FileInfo) (dev, ino uint64, ctime time.Time, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, time.Time{}, false
	}
	return uint64(st.Dev), st.Ino, time.Unix(st.Ctim.Unix()), true //nolint:unconvert // narrower on other processors
}

// noAccess makes that the time of the last access of a file of one's own, or of
// any as root, stays as it is.
const noAccess = syscall.O_NOATIME
