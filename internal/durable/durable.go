// Package durable writes files so that they survive a loss of power: whole, as
// they were before or as they are to be.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// WriteFile puts data under the name file, with mode 0600, in one step: whoever
// reads it meanwhile, or after a crash, has the old content or the new one. It
// is on the disk on return. An error leaves what was there.
func WriteFile(file string, data []byte) error { return write(file, data, 0o600) }

// Publish is WriteFile for what everybody may read, with mode 0644.
func Publish(file string, data []byte) error { return write(file, data, 0o644) }

func write(file string, data []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), unfinished+"*")
	if err != nil {
		return room(err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Chmod(mode)
	}
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

// ReadFile reads a file of at most most bytes; a larger one is an error.
func ReadFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("read %s: it has more than %d bytes", name, most)
	}
	return b.Bytes(), err
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
