package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTick is how far behind the time a file system's stamps may be.
const clockTick = 20 * time.Millisecond

// rescan looks which files are at the paths now.
func (f *Follower) rescan(ctx context.Context) error {
	began := f.cfg.Feed.Now()
	p := expand(f.cfg.Paths)
	f.heed(p)
	if f.watch != nil { // what appeared before the watch was set
		p = expand(f.cfg.Paths)
	}
	here := map[*file]bool{}
	for _, path := range p.paths {
		one, err := f.look(path)
		if err != nil {
			return err
		}
		if one != nil {
			here[one] = true
		}
	}
	f.scanned = began.Add(-clockTick)
	now := f.cfg.Feed.Now()
	for _, one := range f.files {
		switch {
		case here[one]:
			one.rotated = time.Time{}
		case one.rotated.IsZero():
			one.rotated, one.wrote = now, now
			one.record = nil
			f.mark(one)
		}
	}
	if f.fresh {
		f.fresh = false
		if err := f.cfg.Feed.Give(ctx, nil, f.position()); err != nil { // what appears from now on is new
			return err
		}
	}
	f.cfg.Feed.Begin()
	return ctx.Err()
}

// look finds out which file is at path, nil: none, and reads before it what was
// there between the one that was known and this one.
func (f *Follower) look(path string) (*file, error) {
	if f.fresh {
		f.before(path)
	}
	before := f.paths[path]
	if before != nil && before.file != nil {
		if st, err := os.Stat(path); err == nil && os.SameFile(st, before.info) {
			return before, nil
		}
	}
	one, known, err := f.open(path)
	if err != nil && !errors.Is(err, errNone) {
		return nil, f.trouble(path, err)
	}
	f.fine(path)
	if known {
		f.paths[path] = one
		return one, nil
	}
	if one != nil {
		if len(f.files) >= maxFiles {
			one.forget(f)
			return nil, f.trouble(path, fmt.Errorf("%s is not followed: %d files are, which is the limit; make the pattern narrower or name several sources", path, maxFiles))
		}
		if f.fresh && !f.cfg.FromStart {
			if err := one.toEnd(); err != nil {
				return nil, f.trouble(path, fmt.Errorf("read %s: %w", path, err))
			}
		}
		f.add(one)
	}
	files := f.between(path, before, one)
	if len(files) > 0 {
		chain(before, files...)
		f.paths[path] = files[len(files)-1]
	}
	delete(f.gone, path)
	return one, nil
}

// between opens what was at path after before, nil: after we last looked. at is
// what was there a moment ago, nil for nothing; it is among them.
func (f *Follower) between(path string, before, at *file) []*file {
	since, was := f.gone[path]
	switch {
	case before != nil:
		since = before.after()
	case was:
	case f.scanned.IsZero() && at == nil:
		return nil
	case f.scanned.IsZero():
		return []*file{at}
	default: // it was not there then
		since = moment{f.scanned.UnixNano(), f.scanned.UnixNano()}
	}
	return f.missed(path, since, at)
}

// chain makes files be read one after the other; before may be nil.
func chain(before *file, files ...*file) {
	for _, one := range files {
		one.prev = before
		before = one
	}
}

// moment is when a file was new and when it was last written to.
type moment struct{ born, wrote int64 }

// after is since when what takes the place of one may have been there.
func (one *file) after() moment {
	m := moment{born: one.id.born}
	if one.file != nil {
		if st, err := one.file.Stat(); err == nil {
			m.wrote = st.ModTime().UnixNano()
		}
	}
	return m
}

// candidate is a file beside a path that may once have been at it.
type candidate struct {
	name string
	st   os.FileInfo
}

// beside lists the files that may once have been at path, newest first.
func beside(path string) (list []candidate) {
	names := []string{path}
	if to, err := filepath.EvalSymlinks(path); err == nil && to != path {
		names = append(names, to)
	}
	for _, p := range names {
		dir, base := filepath.Dir(p), filepath.Base(p)
		all, err := readNames(dir)
		if err != nil {
			continue
		}
		for _, name := range all {
			if !rotatedName(base, name) {
				continue
			}
			full := filepath.Join(dir, name)
			if st, err := os.Lstat(full); err == nil && st.Mode().IsRegular() {
				list = append(list, candidate{full, st})
			}
		}
	}
	slices.SortFunc(list, func(a, b candidate) int { return b.st.ModTime().Compare(a.st.ModTime()) })
	return list
}

// rotatedName tells whether a file that was base may be called name now:
// base.1, base-20261125.gz, base.old, and with the date before the ending.
func rotatedName(base, name string) bool {
	name = strings.TrimSuffix(name, compression(name))
	rest, ok := strings.CutPrefix(name, base)
	if ext := filepath.Ext(base); !ok && ext != "" && ext != base {
		rest, ok = strings.CutPrefix(name, strings.TrimSuffix(base, ext))
		if ok {
			rest, ok = strings.CutSuffix(rest, ext)
		}
	}
	switch {
	case !ok || rest == "":
		return false
	case rest == ".old" || rest == ".bak" || rest == "-old" || rest == "~":
		return true
	}
	return strings.Trim(rest, "0123456789.-_+:TZ") == "" && strings.ContainsAny(rest, "0123456789")
}

// maxListings is how often a directory is listed until nothing moved in it meanwhile.
const maxListings = 20

// missed opens the files that were at path, and are not any more, between a
// moment and now: rotations that went faster than we looked, with at among them,
// oldest first. A rotation that goes on meanwhile moves files from name to name, so that one of
// them can stand under none of the names that were listed: the directory is listed
// until nothing moves.
func (f *Follower) missed(path string, since moment, at *file) (out []*file) {
	if at != nil {
		out = append(out, at)
	}
	list := beside(path)
	for range maxListings {
		out = append(out, f.collect(path, list, since)...)
		again := beside(path)
		calm := slices.EqualFunc(list, again, func(a, b candidate) bool { return a.name == b.name && os.SameFile(a.st, b.st) })
		if list = again; calm {
			break
		}
	}
	inOrder(out, at, list)
	return out
}

// inOrder sorts files that were at one path by when they were there. Those that
// were born in one tick of the clock are told apart by their names in a list; at is
// the newest unless the list knows better.
func inOrder(files []*file, at *file, list []candidate) {
	rank := map[*file]int64{}
	for _, one := range files {
		if one == at {
			rank[one] = math.MaxInt64
		}
		for _, c := range list {
			if one.info != nil && os.SameFile(one.info, c.st) {
				rank[one] = order(c.name)
			}
		}
	}
	slices.SortStableFunc(files, func(a, b *file) int {
		return cmp.Or(cmp.Compare(a.id.born, b.id.born), cmp.Compare(rank[a], rank[b]))
	})
}

// collect opens and follows those of a list that were at path, were born and written
// to since a moment, and are not known.
func (f *Follower) collect(path string, list []candidate, since moment) (out []*file) {
	for _, c := range slices.Backward(list) {
		if c.st.Size() == 0 || c.st.ModTime().UnixNano() < since.wrote {
			continue
		}
		one, known, err := f.openCandidate(c)
		if err != nil || known {
			continue
		}
		if one.file != nil && since.born != 0 && one.id.born != 0 && one.id.born < since.born || f.remembers(one) {
			one.forget(f)
			continue
		}
		one.path = path // beside which it is found again, whatever it is called then
		one.rotated = f.cfg.Feed.Now()
		one.wrote = one.rotated
		f.add(one)
		out = append(out, one)
	}
	return out
}

// order is lower for what was rotated away earlier, as far as its name tells:
// x.2 before x.1, x-20261124 before x-20261125.
func order(name string) int64 {
	name = strings.TrimSuffix(name, compression(name))
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(digits) >= len("20261125") {
		return n
	}
	return -n
}

// openCandidate opens a file that is at no path of ours, packed or not.
func (f *Follower) openCandidate(c candidate) (one *file, known bool, err error) {
	if compression(c.name) == "" {
		one, known, err = f.open(c.name)
		if err == nil && !known {
			err = one.learn()
		}
		return one, known, err
	}
	p, err := unpack(c.name)
	if err != nil {
		return nil, false, err
	}
	id, err := identify(p.file)
	head := make([]byte, headSize)
	var n int
	if err == nil {
		n, err = p.ReadAt(head, 0)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		p.Close() //nolint:errcheck // the other error is told
		return nil, false, err
	}
	one = &file{id: id, path: c.name, src: p, head: head[:n], size: int64(n), watch: -1}
	one.begin()
	if f.files[id] != nil {
		one.close()
		return f.files[id], true, nil
	}
	return one, false, nil
}

// restart begins a truncated file anew, after what was in it before and was
// copied away (copytruncate) is read from there.
func (f *Follower) restart(ctx context.Context, one *file) error {
	if err := f.fromCopy(ctx, one); err != nil {
		return err
	}
	f.remember(one, true)
	one.epoch++
	one.off, one.skip, one.head = 0, false, nil
	one.begin()
	return nil
}

// fromCopy reads the rest of what one was from a copy of it beside its path.
func (f *Follower) fromCopy(ctx context.Context, one *file) error {
	if len(one.head) == 0 {
		return nil
	}
	was := printOf(one.head)
	for _, c := range beside(one.path) {
		copied, known, err := f.openCandidate(c)
		if err != nil || known {
			continue
		}
		if !was.is(copied.head) {
			copied.forget(f)
			continue
		}
		src, file, size := one.src, one.file, one.size
		one.src, one.file, one.size = copied.src, nil, 0
		more := true
		for more && err == nil {
			more, err = f.take(ctx, one, turn, true)
		}
		one.src, one.file, one.size = src, file, size
		copied.forget(f)
		return err
	}
	return nil
}

// forget closes a file that was only looked at.
func (one *file) forget(f *Follower) {
	if one.watch >= 0 && f.watch != nil && f.byID[one.watch] == nil {
		f.watch.Remove(one.watch)
	}
	one.close()
}

// leave lets go of files that were rotated away and that nobody writes to any
// more, and takes what they have without a line's end.
func (f *Follower) leave(ctx context.Context) error {
	now := f.cfg.Feed.Now()
	var old []*file
	for _, one := range f.files {
		if one.rotated.IsZero() {
			continue
		}
		old = append(old, one)
	}
	slices.SortFunc(old, func(a, b *file) int { return a.wrote.Compare(b.wrote) })
	for i, one := range old {
		quietFor := now.Sub(one.wrote)
		crowd := len(old)-i > maxOld
		if one.prev != nil || quietFor < settle && !crowd && one.file != nil {
			continue
		}
		if !one.settled {
			if _, err := f.take(ctx, one, turn, true); err != nil {
				return err
			}
			one.settled = true
		}
		if quietFor >= linger || crowd || one.file == nil {
			f.drop(one)
		}
	}
	return nil
}

// next is how long from now leave has something to do; 0: nothing.
func (f *Follower) next() (due time.Duration) {
	now := f.cfg.Feed.Now()
	for _, one := range f.files {
		if one.rotated.IsZero() {
			continue
		}
		d := linger - now.Sub(one.wrote)
		if !one.settled {
			d = settle - now.Sub(one.wrote)
		}
		d = max(d, time.Millisecond)
		if due == 0 || d < due {
			due = d
		}
	}
	return due
}
