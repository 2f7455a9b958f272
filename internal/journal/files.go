package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// files is the little of a file system that the spool needs; tests put
// failures behind it.
type files interface {
	create(name string, size int64) (file, error) // new, reserved size bytes where possible
	open(name string) (readFile, error)
	truncate(name string, size int64) error // durable on return
	remove(name string) error
	list() ([]string, error)
	syncDir() error
}

type file interface {
	io.WriterAt
	Sync() error
	Close() error
}

type readFile interface {
	io.ReaderAt
	io.Closer
	size() (int64, error)
}

const suffix = ".seg"

func segmentName(n uint64) string { return fmt.Sprintf("%016x%s", n, suffix) }

func segmentNumber(name string) (uint64, bool) {
	hexa, ok := strings.CutSuffix(name, suffix)
	if !ok || len(hexa) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hexa, 16, 64)
	return n, err == nil
}

type osFiles struct{ dir string }

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (d osFiles) create(name string, size int64) (file, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	reserve(f, size)
	return osFile{f}, nil
}

func (d osFiles) open(name string) (readFile, error) {
	f, err := os.Open(filepath.Join(d.dir, name))
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osFiles) truncate(name string, size int64) (err error) {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

func (d osFiles) remove(name string) error { return os.Remove(filepath.Join(d.dir, name)) }

func (d osFiles) list() ([]string, error) {
	all, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range all {
		if _, ok := segmentNumber(e.Name()); ok && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d osFiles) syncDir() (err error) {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return syncDirectory(f)
}
