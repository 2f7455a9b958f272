// Package durable writes files so that they survive a loss of power: whole, as
// they were before or as they are to be.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteFile puts data under the name file, with mode 0600, in one step: whoever
// reads it meanwhile, or after a crash, has the old content or the new one. It
// is on the disk on return. An error leaves what was there.
func WriteFile(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), unfinished+"*")
	if err != nil {
		return room(err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return room(err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(file))
}

// room adds what to do about a full disk.
func room(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w; free some space there", err)
	}
	return err
}

// unfinished begins the names of files that are being written.
const unfinished = ".new-"

// Clean removes what a crash left of files that were being written in a
// directory. Nobody may be writing there.
func Clean(dir string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if strings.HasPrefix(e.Name(), unfinished) && e.Type().IsRegular() {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// SyncDir makes durable which names a directory has.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
