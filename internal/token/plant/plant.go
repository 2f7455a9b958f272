// Package plant puts tokens into directories and takes them away again. It
// never overwrites, never follows a symbolic link, adds to a file only where
// that changes nothing for its owner, and removes only what is as it was put.
package plant

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/token"
)

// Dir is the directory of a machine that a token is planted in: of this one
// (Open) or of another. Paths are local to it, with slashes.
type Dir interface {
	// Lstat tells of what is at a path and follows no link; fs.ErrNotExist.
	Lstat(path string) (fs.FileInfo, error)
	// Read gives the content of a regular file and leaves its access time as it was,
	// where the system lets it.
	Read(path string) ([]byte, error)
	// Mkdir makes a directory with the owner of the one that it is in.
	Mkdir(path string, mode fs.FileMode) error
	// Create makes a new file; fs.ErrExist.
	Create(path string, content []byte, mode fs.FileMode) error
	// Append adds to a regular file, which must be what it was at Lstat.
	Append(path string, was fs.FileInfo, content []byte) error
	// Replace changes the content of a regular file in place.
	Replace(path string, was fs.FileInfo, content []byte) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// Times sets the times of last access and change.
	Times(path string, access, change time.Time) error
}

// maxFile bounds the files that are read: those that people keep by hand.
const maxFile = 8 << 20 // bytes

// Errors that callers branch on.
var (
	ErrChanged = errors.New("it was changed since")
	ErrRefused = errors.New("refused")
)

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Step is one thing to be done, as a person may look at it before.
type Step struct {
	Path    string // below the directory
	Content []byte
	Append  bool // to a file that is there
	Mode    fs.FileMode
	Dirs    []string // to be made before
	time    time.Time
	was     fs.FileInfo // of a file that is there
}

// Plan looks where each file goes, and refuses what could change anything for
// whoever uses the directory. It changes nothing.
func Plan(d Dir, files []token.File) ([]Step, error) {
	steps := make([]Step, 0, len(files))
	made := map[string]bool{}
	for _, f := range files {
		s, err := planOne(d, f, made)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func planOne(d Dir, f token.File, made map[string]bool) (Step, error) {
	for _, p := range append([]string{f.Path}, f.Else...) {
		if !fs.ValidPath(p) {
			return Step{}, refuse("%q is not below the directory", p)
		}
		dirs, err := parents(d, p, made)
		if err != nil {
			return Step{}, err
		}
		st, err := d.Lstat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			for _, dir := range dirs {
				made[dir] = true
			}
			return Step{Path: p, Content: f.Content, Mode: f.Mode, Dirs: dirs, time: f.Time}, nil
		case err != nil:
			return Step{}, fmt.Errorf("look at %s: %w", p, err)
		case f.Append:
			return planAppend(d, f, p, st)
		}
	}
	return Step{}, refuse("%s is there already, and so are the other names that it could have", f.Path)
}

// parents are the directories of p that do not exist yet; what is there must be
// a directory and no link.
func parents(d Dir, p string, made map[string]bool) (missing []string, err error) {
	at := ""
	for part := range strings.SplitSeq(path.Dir(p), "/") {
		if part == "." {
			continue
		}
		at = path.Join(at, part)
		st, err := d.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if !made[at] {
				missing = append(missing, at)
			}
		case err != nil:
			return nil, fmt.Errorf("look at %s: %w", at, err)
		case st.Mode().Type() == fs.ModeSymlink:
			return nil, refuse("%s is a symbolic link, and none is followed", at)
		case !st.IsDir():
			return nil, refuse("%s is not a directory", at)
		}
	}
	return missing, nil
}

func planAppend(d Dir, f token.File, p string, st fs.FileInfo) (Step, error) {
	if !st.Mode().IsRegular() {
		return Step{}, refuse("%s is not a regular file (%s), and no link is followed", p, st.Mode().Type())
	}
	if st.Size() > maxFile {
		return Step{}, refuse("%s has %d bytes, more than a file of its kind", p, st.Size())
	}
	data, err := d.Read(p)
	if err != nil {
		return Step{}, fmt.Errorf("read %s: %w", p, err)
	}
	for _, word := range f.Guard {
		if hasWord(data, word) {
			return Step{}, refuse("%s speaks of %q already: the token could be used by its owner", p, word)
		}
	}
	content := f.Content
	if len(data) > 0 && data[len(data)-1] != '\n' {
		content = append([]byte("\n"), content...)
	} else if len(data) > 0 && bytes.Contains(content[:len(content)-1], []byte("\n")) && !bytes.HasSuffix(data, []byte("\n\n")) {
		content = append([]byte("\n"), content...) // people leave a line between blocks
	}
	return Step{Path: p, Content: content, Append: true, Mode: st.Mode().Perm(), was: st}, nil
}

// hasWord tells whether word stands in data and is not a part of a longer one.
func hasWord(data []byte, word string) bool {
	inside := func(b byte) bool {
		return b == '-' || b == '_' || b == '.' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
	}
	for from := 0; ; {
		i := bytes.Index(data[from:], []byte(word))
		if i < 0 || word == "" {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !inside(data[i-1])) && (end == len(data) || !inside(data[end])) {
			return true
		}
		from = i + 1
	}
}

// Apply does what was planned. After an error what was done is undone, as far
// as that can be, and the error says what stays.
func Apply(d Dir, steps []Step) (parts []token.Part, err error) {
	for i := range steps {
		done, err := steps[i].apply(d)
		parts = append(parts, done...)
		if err != nil {
			err = fmt.Errorf("plant %s: %w", steps[i].Path, err)
			if undo := Remove(d, parts); undo != nil {
				err = fmt.Errorf("%w; of what was planted before, this stays: %w", err, undo)
			}
			return nil, err
		}
	}
	return parts, nil
}

// apply gives what it has done, also with an error.
func (s *Step) apply(d Dir) (done []token.Part, err error) {
	sum := sha256.Sum256(s.Content)
	part := token.Part{Path: s.Path, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(s.Content))}
	if s.Append {
		part.Offset, part.Time = s.was.Size(), s.was.ModTime()
		if err := d.Append(s.Path, s.was, s.Content); err != nil {
			return nil, err
		}
		return []token.Part{part}, d.Times(s.Path, part.Time, part.Time)
	}
	part.Whole, part.Time = true, s.time
	// A directory shows when something was put into it.
	parent := path.Dir(s.Path)
	before := s.time
	if st, err := d.Lstat(parent); err == nil {
		before = st.ModTime()
	}
	for _, dir := range s.Dirs {
		if err := d.Mkdir(dir, 0o700); err != nil {
			return done, err
		}
		done = append(done, token.Part{Path: dir, Dir: true})
	}
	if err := d.Create(s.Path, s.Content, s.Mode); err != nil {
		return done, err
	}
	done = append(done, part)
	if err := d.Times(s.Path, s.time, s.time); err != nil || parent == "." {
		return done, err
	}
	return done, d.Times(parent, before, before)
}

// Check tells of each part whether it is there as it was put.
func Check(d Dir, parts []token.Part) error {
	for _, p := range parts {
		if p.Dir {
			continue
		}
		if _, _, err := find(d, p); err != nil {
			return err
		}
	}
	return nil
}

// find gives the file that a part lies in and where.
func find(d Dir, p token.Part) (data []byte, at int, err error) {
	st, err := d.Lstat(p.Path)
	if err != nil {
		return nil, 0, fmt.Errorf("look at %s: %w", p.Path, err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile+p.Size {
		return nil, 0, fmt.Errorf("%s: %w: it is no file of that kind any more", p.Path, ErrChanged)
	}
	if data, err = d.Read(p.Path); err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", p.Path, err)
	}
	if at = where(p, data); at < 0 || p.Whole && int64(len(data)) != p.Size {
		return nil, 0, fmt.Errorf("%s: %w: it stays, look at it yourself", p.Path, ErrChanged)
	}
	return data, at, nil
}

// where is the offset of a part in data: where it was put, else at the
// beginning of another line; -1 where it is not as it was.
func where(p token.Part, data []byte) int {
	if p.Size < 0 || p.Size > int64(len(data)) {
		return -1
	}
	is := func(at int) bool {
		if at < 0 || at > len(data)-int(p.Size) {
			return false
		}
		sum := sha256.Sum256(data[at:][:p.Size])
		return hex.EncodeToString(sum[:]) == p.SHA256
	}
	if is(int(min(p.Offset, int64(len(data))))) {
		return int(p.Offset)
	}
	for at, n := 0, 0; at < len(data) && n < maxLines; n++ {
		if is(at) {
			return at
		}
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			break
		}
		if is(at + i) { // it began with the end of a line that lacked one
			return at + i
		}
		at += i + 1
	}
	return -1
}

// maxLines bounds how long a part is looked for.
const maxLines = 20_000

// Remove takes away what is as it was put: files that were made, and the parts
// of others. What was changed stays, and the error names it.
func Remove(d Dir, parts []token.Part) error {
	var errs []error
	for _, part := range slices.Backward(parts) {
		if err := removeOne(d, part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func removeOne(d Dir, p token.Part) error {
	if p.Dir {
		d.Remove(p.Path) //nolint:errcheck // what else is in it keeps it
		return nil
	}
	data, at, err := find(d, p)
	if err != nil {
		return err
	}
	if p.Whole {
		if err := d.Remove(p.Path); err != nil {
			return fmt.Errorf("remove %s: %w", p.Path, err)
		}
		return nil
	}
	st, err := d.Lstat(p.Path)
	if err != nil {
		return err
	}
	rest := append(bytes.Clone(data[:at]), data[at+int(p.Size):]...)
	if err := d.Replace(p.Path, st, rest); err != nil {
		return fmt.Errorf("remove a part of %s: %w", p.Path, err)
	}
	return d.Times(p.Path, st.ModTime(), st.ModTime())
}

// readAll reads a file of at most so many bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return b.Bytes(), nil
}
