package scan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
)

// Report is what came of one file.
type Report struct {
	File string
	// Real is where the file lies: an absolute path whose beginning, what the
	// caller named, had its links resolved before anything was looked at. Below
	// that no link is followed. "" where that is not known.
	Real     string
	Size     int64
	SHA256   string // in hex; only with Tree.Sum
	Findings []Finding
	// Skipped is a file that Tree.Since leaves out.
	Skipped bool
	// Known is a file that Tree.Cache knows: only Tree.Always looked at it.
	Known bool
	// Err tells why the file was not looked at, or not to the end.
	Err error
}

// Tree scans files and all below directories, several at a time.
type Tree struct {
	Scanners []Scanner
	// Workers is how many files are looked at together; at least one.
	Workers int
	// MaxSize is the largest file that is looked at; zero is no limit. A
	// larger one is reported as not looked at.
	MaxSize int64
	// Sum has the SHA-256 of files with findings told.
	Sum bool
	// Since leaves out files that were not changed (content or attributes) since
	// then; zero looks at all.
	Since time.Time
	// Cache leaves out what was clean before; nil for none.
	Cache *Cache
	// Always are scanners that look at files which the cache knows, too.
	Always []Scanner
	// Pace holds the scan to a share of the processor; nil for none.
	Pace *Pace
}

var (
	errSpecial = errors.New("not a regular file: it has no content to look at")
	errSize    = errors.New("its size is not known: a file of the kernel")
	errChanged = errors.New("it changed while it was read")
)

// Run scans paths and calls report for each file, one at a time, in no
// particular order. A symbolic link is followed only where it is named itself.
// Sockets, pipes and devices below a directory are left out.
func (t *Tree) Run(ctx context.Context, paths []string, report func(Report)) error {
	todo := make(chan place, 256)
	var mu sync.Mutex
	tell := func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		report(r)
	}
	var wg sync.WaitGroup
	for range max(t.Workers, 1) {
		wg.Go(func() {
			for p := range todo {
				if ctx.Err() == nil {
					tell(t.file(ctx, p))
				}
			}
		})
	}
	for _, p := range paths {
		t.walk(ctx, p, todo, tell)
	}
	close(todo)
	wg.Wait()
	return ctx.Err()
}

// Stream scans what r gives, at most maxStream bytes of it, under the given name.
func (t *Tree) Stream(ctx context.Context, r io.Reader, name string, report func(Report)) {
	rep := Report{File: name}
	defer func() { report(rep) }()
	f, err := os.CreateTemp("", "lapwing-scan-")
	if err != nil {
		rep.Err = err
		return
	}
	defer f.Close()           //nolint:errcheck // it was only read
	defer os.Remove(f.Name()) //nolint:errcheck // nothing can be done
	n, err := io.Copy(f, io.LimitReader(r, maxStream+1))
	rep.Size = n
	info, serr := f.Stat()
	if err = errors.Join(err, serr); err != nil {
		rep.Err = err
		return
	}
	t.ask(ctx, t.everything(), f, info, &rep)
	if t.Sum && len(rep.Findings) > 0 {
		rep.sum(ctx, f)
	}
	if n > maxStream && rep.Err == nil {
		rep.Err = fmt.Errorf("only the first %d bytes were looked at", maxStream)
	}
}

const maxStream = 4 << 30 // bytes

func (t *Tree) walk(ctx context.Context, root string, todo chan<- place, tell func(Report)) {
	named := root
	if target, err := filepath.EvalSymlinks(root); err == nil {
		if info, err := os.Stat(target); err == nil && info.IsDir() && target != filepath.Clean(root) {
			root = target
		}
	}
	at := resolved(named)
	// The walk's own error is ctx's, which Run returns.
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			tell(Report{File: path, Err: err})
			return nil //nolint:nilerr // told
		case d.IsDir():
			return nil
		case path != root && !d.Type().IsRegular():
			return nil
		}
		select {
		case todo <- place{path, below(at, root, path)}:
		case <-ctx.Done():
		}
		return nil
	})
}

// place is a file as it is told, and where it lies.
type place struct{ path, real string }

// resolved is the absolute path without links, "" where there is none.
func resolved(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	return path
}

// below is the file at path, which was found below root, from where root lies.
func below(at, root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil || at == "" {
		return ""
	}
	return filepath.Join(at, rel)
}

func (t *Tree) file(ctx context.Context, p place) Report {
	r := Report{File: p.path, Real: p.real}
	// Not blocking, for a pipe that took the file's place; not through a link
	// that did.
	name, flags := p.path, os.O_RDONLY|syscall.O_NONBLOCK
	if p.real != "" {
		name, flags = p.real, flags|noFollow
	}
	f, err := open(name, flags)
	if err != nil {
		r.Err = err
		return r
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		r.Err = err
	case !info.Mode().IsRegular():
		r.Err = errSpecial
	case t.MaxSize > 0 && info.Size() > t.MaxSize:
		r.Err = fmt.Errorf("it is larger than %d bytes", t.MaxSize)
	case info.Size() == 0 && noEnd(f) != nil:
		r.Err = noEnd(f)
	case !t.Since.IsZero() && changed(info).Before(t.Since):
		r.Skipped = true
	default:
		r.Size = info.Size()
		t.look(ctx, f, info, &r)
	}
	return r
}

// look asks about a file, or the cache.
func (t *Tree) look(ctx context.Context, f *os.File, info fs.FileInfo, r *Report) {
	scanners := t.everything()
	id, keep := [cacheRecord]byte{}, false
	if t.Cache != nil {
		if id, keep = Identity(info, time.Now()); keep && t.Cache.Has(id) {
			scanners, r.Known, keep = t.Always, true, false
		}
	}
	t.ask(ctx, scanners, f, info, r)
	if t.Sum && len(r.Findings) > 0 {
		r.sum(ctx, f)
	}
	if keep && r.Err == nil && len(r.Findings) == 0 && ctx.Err() == nil {
		t.Cache.Add(id)
	}
}

func (t *Tree) everything() []Scanner {
	return append(slices.Clip(t.Scanners), t.Always...)
}

// pacedFile reads a file no faster than a pace allows.
type pacedFile struct {
	*os.File
	wait func()
}

// ReadAt implements io.ReaderAt.
func (p pacedFile) ReadAt(b []byte, off int64) (int, error) {
	p.wait()
	return p.File.ReadAt(b, off)
}

// noEnd tells why a file of no size is not an empty one, nil if it is.
func noEnd(f *os.File) error {
	var one [1]byte
	n, err := f.ReadAt(one[:], 0)
	if n > 0 || errors.Is(err, syscall.EAGAIN) {
		return errSize
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// open leaves the time of the last access as it is, where that may be.
func open(name string, flags int) (*os.File, error) {
	if f, err := os.OpenFile(name, flags|noAccess, 0); err == nil || noAccess == 0 || !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	return os.OpenFile(name, flags, 0)
}

// ask asks scanners about a file.
func (t *Tree) ask(ctx context.Context, scanners []Scanner, f *os.File, before fs.FileInfo, r *Report) {
	var in io.ReaderAt = f
	if t.Pace != nil {
		wait := func() { t.Pace.wait(ctx) }
		wait()
		in = pacedFile{f, wait}
	}
	for _, s := range scanners {
		found, err := s.Scan(ctx, in, before.Size())
		r.Findings = append(r.Findings, found...)
		if err != nil && r.Err == nil {
			r.Err = err
		}
	}
	if after, err := f.Stat(); r.Err == nil && err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		r.Err = errChanged
	}
}

// sum hashes the file that was looked at.
func (r *Report) sum(ctx context.Context, f *os.File) {
	h := sha256.New()
	if err := feed(ctx, map[indicator.Kind]hash.Hash{indicator.SHA256: h}, f, r.Size); err != nil {
		if r.Err == nil {
			r.Err = err
		}
		return
	}
	r.SHA256 = hex.EncodeToString(h.Sum(nil))
}
