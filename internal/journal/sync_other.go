//go:build !linux

package journal

import (
	"os"
	"runtime"
)

func datasync(f *os.File) error { return f.Sync() }

func reserve(*os.File, int64) {}

// syncDirectory does nothing on Windows, where a directory cannot be synced.
func syncDirectory(d *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return d.Sync()
}
