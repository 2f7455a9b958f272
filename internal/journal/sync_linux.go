package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes the data of f durable.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}

// reserve asks for size bytes, so that a write changes no metadata. A file
// system that cannot, or has no room, is met by the write itself.
func reserve(f *os.File, size int64) {
	_ = unix.Fallocate(int(f.Fd()), 0, 0, size)
}

func syncDirectory(d *os.File) error { return d.Sync() }
