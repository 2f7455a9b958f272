package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dir is a watched directory: the names in it that mean something.
type dir struct {
	path  string
	names []string // patterns
}

// concerns tells whether a change to name is a change for us.
func (d *dir) concerns(name string) bool {
	return name == "" || slices.ContainsFunc(d.names, func(p string) bool {
		ok, err := filepath.Match(p, name)
		return ok || err != nil
	})
}

// places are where the patterns lead to.
type places struct {
	paths []string            // of files that are there, or that were named whole
	dirs  map[string][]string // where something may appear: patterns of names
	last  map[string]bool     // directories that files are in
}

const (
	maxHops = 8      // symbolic links of one name
	maxList = 20_000 // names of one directory that are looked at
)

func (p *places) note(d, name string) {
	if !slices.Contains(p.dirs[d], name) {
		p.dirs[d] = append(p.dirs[d], name)
	}
}

// hops notes the symbolic links at name, so that one that is pointed elsewhere is noticed.
func (p *places) hops(name string) {
	for range maxHops {
		to, err := os.Readlink(name)
		if err != nil {
			return
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(name), to)
		}
		name = to
		p.note(filepath.Dir(name), filepath.Base(name))
	}
}

// expand finds what the patterns stand for.
func expand(patterns []string) *places {
	p := &places{dirs: map[string][]string{}, last: map[string]bool{}}
	for _, pattern := range patterns {
		root := filepath.VolumeName(pattern) + string(filepath.Separator)
		parts := strings.Split(strings.Trim(pattern[len(root)-1:], string(filepath.Separator)), string(filepath.Separator))
		level := []string{root}
		for _, part := range parts[:len(parts)-1] {
			level = p.down(level, part)
		}
		base := parts[len(parts)-1]
		for _, d := range level {
			p.note(d, base)
			p.last[d] = true
			for _, name := range p.match(d, base) {
				p.hops(name)
				p.paths = append(p.paths, name)
			}
		}
	}
	slices.Sort(p.paths)
	p.paths = slices.Compact(p.paths)
	return p
}

// down gives the directories called part in those of level.
func (p *places) down(level []string, part string) (next []string) {
	for _, d := range level {
		p.note(d, part)
		for _, name := range p.match(d, part) {
			p.hops(name)
			if st, err := os.Stat(name); err == nil && st.IsDir() && len(next) < maxFiles {
				next = append(next, name)
			}
		}
	}
	return next
}

// match gives the names in d that part stands for; one without a pattern is
// given whether it is there or not.
func (p *places) match(d, part string) (names []string) {
	if !strings.ContainsAny(part, `*?[\`) {
		return []string{filepath.Join(d, part)}
	}
	list, err := readNames(d)
	if err != nil {
		return nil
	}
	for _, name := range list {
		if ok, err := filepath.Match(part, name); ok && err == nil && compression(name) == "" {
			names = append(names, filepath.Join(d, name))
		}
	}
	return names
}

// readNames lists a directory, at most maxList names.
func readNames(d string) ([]string, error) {
	f, err := os.Open(d)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	list, err := f.Readdirnames(maxList)
	if len(list) > 0 {
		err = nil
	}
	slices.Sort(list)
	return list, err
}

// heed watches the directories of p, and no others.
func (f *Follower) heed(p *places) {
	if f.watch == nil {
		return
	}
	dirs := map[int]*dir{}
	for path, names := range p.dirs {
		if kind, is := remote(path); is && p.last[path] {
			f.polled(fmt.Errorf("%s lies on %s, which does not tell of every write", path, kind))
			return
		}
		id, err := f.watch.Dir(path)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !p.last[path]:
			continue
		default:
			f.polled(err)
			return
		}
		if have := dirs[id]; have != nil { // by two names
			have.names = append(have.names, names...)
			continue
		}
		dirs[id] = &dir{path, names}
	}
	for id := range f.dirs {
		if dirs[id] == nil {
			f.watch.Remove(id)
		}
	}
	f.dirs = dirs
}

// trouble notes what is wrong with a path; the follower goes on.
func (f *Follower) trouble(path string, err error) error { //nolint:unparam // nil says at the place of the call that it goes on
	f.hurt[path] = explain(path, err).Error()
	f.complain()
	return nil
}

// fine takes back a trouble.
func (f *Follower) fine(path string) {
	if _, ok := f.hurt[path]; ok {
		delete(f.hurt, path)
		f.complain()
	}
}

func (f *Follower) complain() {
	if len(f.hurt) == 0 {
		f.cfg.Feed.Trouble(nil)
		return
	}
	paths := make([]string, 0, len(f.hurt))
	for p := range f.hurt {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	more := ""
	if n := len(paths) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more files)", n)
	}
	f.cfg.Feed.Trouble(errors.New(f.hurt[paths[0]] + more))
}
