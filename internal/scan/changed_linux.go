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
