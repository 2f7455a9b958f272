package follow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// errNone says that there is nothing to follow at a path.
var errNone = errors.New("no file")

// open opens what is at path and watches it. A file that is followed already is
// given as it is, not opened anew.
func (f *Follower) open(path string) (one *file, known bool, err error) {
	for range 10 { // as long as it is exchanged under our hands
		one, known, err = f.openOnce(path)
		if !errors.Is(err, errExchanged) {
			break
		}
	}
	return one, known, err
}

var errExchanged = errors.New("it was exchanged while it was opened")

func (f *Follower) openOnce(path string) (*file, bool, error) {
	src, st, err := openRegular(path)
	if err != nil {
		return nil, false, err
	}
	id, err := identify(src)
	if err == nil {
		if one := f.files[id]; one != nil {
			return one, true, src.Close()
		}
	}
	one := &file{id: id, path: path, src: src, file: src, info: st, size: st.Size(), watch: -1}
	if err == nil && f.watch != nil {
		one.watch, err = f.watch.File(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.polled(err)
			err = nil
		}
	}
	if err == nil && f.watch != nil {
		again, serr := os.Stat(path)
		if serr != nil || !os.SameFile(st, again) {
			f.watch.Remove(one.watch)
			err = errExchanged
		}
	}
	if err != nil {
		src.Close() //nolint:errcheck // the other error is told
		return nil, false, err
	}
	one.begin()
	return one, false, nil
}

// openRegular opens a regular file without waiting for anybody.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errNone
	}
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("open %s: it is no regular file; name a log file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errNone
	}
	if err != nil {
		return nil, nil, err
	}
	if st, err = f.Stat(); err == nil && !st.Mode().IsRegular() {
		err = errExchanged
	}
	if err != nil {
		f.Close() //nolint:errcheck // the other error is told
		return nil, nil, err
	}
	return f, st, nil
}

// add follows a file from now on.
func (f *Follower) add(one *file) {
	f.files[one.id] = one
	if one.watch >= 0 {
		f.byID[one.watch] = one
	}
	f.mark(one)
}

// drop lets go of a file that was read.
func (f *Follower) drop(one *file) {
	f.remember(one, false)
	delete(f.files, one.id)
	if one.watch >= 0 {
		delete(f.byID, one.watch)
		if f.watch != nil {
			f.watch.Remove(one.watch)
		}
	}
	defer one.close()
	one.closed = true
	for path, p := range f.paths {
		if p == one {
			f.gone[path] = one.after()
			delete(f.paths, path)
		}
	}
}

// toEnd begins at the end of a file: where the line begins that its writer is at.
func (one *file) toEnd() error {
	const back = 64 << 10
	from := max(0, one.size-back)
	buf := make([]byte, one.size-from)
	n, err := one.src.ReadAt(buf, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	end := bytes.LastIndexByte(buf[:n], '\n')
	one.off = from + int64(end) + 1
	if end < 0 && from > 0 { // inside of a long line
		one.off, one.skip = from+int64(n), true
	}
	return one.learn()
}
