//go:build !linux

package scan

import (
	"io/fs"
	"time"
)

// changed is when a file's content last changed.
func changed(info fs.FileInfo) time.Time { return info.ModTime() }

// inode is not told here: there is no cache.
func inode(fs.FileInfo) (dev, ino uint64, ctime time.Time, ok bool) {
	return 0, 0, time.Time{}, false
}

// noAccess has no such flag here.
const noAccess = 0
