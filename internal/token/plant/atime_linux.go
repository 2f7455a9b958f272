package plant

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// noAccessTime opens a file so that reading leaves no trace in its times.
const noAccessTime = syscall.O_NOATIME

// Unread tells of files that were made for a token whether nobody was seen to
// read one since: its time of last access is what it was given. known is false
// where that cannot be told, as on a file system that keeps no such times.
func (l *Local) Unread(name string, given time.Time) (unread, known bool) {
	st, err := l.root.Lstat(name)
	if err != nil {
		return false, false
	}
	if still, ok := l.still(name, st); !ok || still {
		return false, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return false, false
	}
	return !time.Unix(sys.Atim.Unix()).After(given), true
}

// still tells whether the file system that name is on keeps no access times.
func (l *Local) still(name string, st fs.FileInfo) (still, ok bool) {
	const noatime, readonly = 0x400, 0x1 // ST_NOATIME, ST_RDONLY of statvfs(3)
	f, err := l.open(name, st, os.O_RDONLY|noAccessTime)
	if err != nil {
		return false, false
	}
	defer f.Close() //nolint:errcheck // only asked
	var fs syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &fs); err != nil {
		return false, false
	}
	return fs.Flags&(noatime|readonly) != 0, true
}
