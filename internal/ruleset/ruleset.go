// Package ruleset reads rules from files, directories or the program itself,
// compiles them, and knows which of them the operator wants to hear about.
package ruleset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/rules"
)

// Config says which rules to load and which of them to report.
type Config struct {
	// Paths are rule files and directories; none: the rules in the program.
	Paths []string
	// Shipped adds the rules in the program to those of Paths.
	Shipped bool
	// Placeholders is a YAML file with the tables behind %name%: a name and its
	// list of values. Empty: rules that need one are refused.
	Placeholders string
	Want         Want
}

// Want chooses rules. Rules that are not wanted still feed correlations.
type Want struct {
	MinLevel         sigma.Level
	Statuses         []string // any of them; none: all
	Tags             []string // any of them, as written or as a prefix ("attack.t1059" means its parts too)
	Include, Exclude []string // ids or titles

	keys map[string]bool // nil: any
}

// Loaded is a compiled set of rules.
type Loaded struct {
	Set    *sigma.Set
	Engine *sigma.Engine
	Fields *sigma.Fields
	Want   Want
	Files  int

	licenses []licensed
}

// licensed is the licence of the rules below a path.
type licensed struct{ prefix, name string }

// Load reads and compiles. What is wrong with single rules is in
// Set.Problems(); the error is about paths and the placeholder file.
func Load(cfg Config, fields *sigma.Fields) (*Loaded, error) {
	opts := sigma.Options{}
	if cfg.Placeholders != "" {
		tables, err := Placeholders(cfg.Placeholders)
		if err != nil {
			return nil, err
		}
		opts.Placeholders = tables
	}
	l := &Loaded{Set: sigma.NewSet(opts), Fields: fields, Want: cfg.Want}
	if len(cfg.Paths) == 0 || cfg.Shipped {
		if err := l.addFS(rules.FS, ".", "rules"); err != nil {
			return nil, err
		}
	}
	for _, p := range cfg.Paths {
		if err := l.addPath(p); err != nil {
			return nil, err
		}
	}
	for _, want := range cfg.Want.Include {
		if !slices.ContainsFunc(l.Set.Rules(), func(r *sigma.Rule) bool { return named([]string{want}, r) }) {
			return nil, fmt.Errorf("no rule has the id or title %q: nothing would be looked for; lapwing rules list shows them", want)
		}
	}
	l.Engine = sigma.Compile(l.Set, fields)
	return l, nil
}

// Unknown are the names that are to be excluded and that no rule has.
func (l *Loaded) Unknown() []string {
	var out []string
	for _, name := range l.Want.Exclude {
		if !slices.ContainsFunc(l.Set.Rules(), func(r *sigma.Rule) bool { return named([]string{name}, r) }) {
			out = append(out, name)
		}
	}
	return out
}

// Only are the rules whose Key is in keys, compiled by themselves: with what
// their correlations refer to, which is not reported.
func (l *Loaded) Only(keys map[string]bool) *Loaded {
	out := *l
	out.Fields = sigma.NewFields()
	out.Set = l.Set.Only(func(r *sigma.Rule) bool { return keys[r.Key()] })
	out.Engine = sigma.Compile(out.Set, out.Fields)
	out.Want.keys = keys
	return &out
}

// Placeholders reads a table of placeholders.
func Placeholders(file string) (map[string][]string, error) {
	data, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("read placeholders %s: %w", file, err)
	}
	tables := map[string][]string{}
	if _, err := yamldoc.Decode(file, data, &tables); err != nil {
		return nil, err
	}
	return tables, nil
}

func (l *Loaded) addPath(p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	if name := licenseNear(p); name != "" {
		l.licenses = append(l.licenses, licensed{filepath.ToSlash(p), name})
	}
	if info.IsDir() {
		return l.addFS(os.DirFS(p), ".", p)
	}
	f, err := os.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer is empty
	if err != nil {
		return fmt.Errorf("read %w", err)
	}
	if err := l.addFile(f, p); err != nil {
		return fmt.Errorf("read %s: %w", p, err)
	}
	return nil
}

// addFS adds every rule file below root; prefix is what its name begins with
// for people. A file or directory that cannot be read is among the problems.
// Links to files are read, links to directories are not followed.
func (l *Loaded) addFS(fsys fs.FS, root, prefix string) error {
	before := l.Files
	err := fs.WalkDir(fsys, root, func(p string, d fs.DirEntry, err error) error {
		name := path.Join(filepath.ToSlash(prefix), p)
		switch {
		case err != nil && p == root:
			return err
		case err != nil:
			l.unreadable(name, err)
			return nil
		case d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")):
			return fs.SkipDir
		case d.IsDir() || !IsRule(d.Name()):
			return nil
		}
		l.addEntry(fsys, p, name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("rules %s: %w", prefix, err)
	}
	if l.Files == before && prefix != "rules" {
		return fmt.Errorf("rules %s: no .yml file in it", prefix)
	}
	return nil
}

func (l *Loaded) addEntry(fsys fs.FS, p, name string) {
	info, err := fs.Stat(fsys, p)
	switch {
	case err != nil:
		l.unreadable(name, err)
		return
	case info.IsDir(): // a link to one
		return
	case !info.Mode().IsRegular():
		l.unreadable(name, errKind)
		return
	}
	f, err := fsys.Open(p)
	if err == nil {
		err = l.addFile(f, name)
	}
	if err != nil {
		l.unreadable(name, err)
	}
}

// unreadable notes what is wrong with a file, without the name that errors of
// the file system bear.
func (l *Loaded) unreadable(name string, err error) {
	l.Files++
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	remedy := "make it readable, or take it out of the directory"
	if errors.Is(err, errSize) {
		remedy = "split the file"
	}
	l.Set.Unreadable(name, "cannot be read: "+err.Error(), remedy)
}

// IsRule tells by its name whether a file holds rules: not test cases, not the
// mapping of log sources.
func IsRule(name string) bool {
	ext := path.Ext(name)
	base := strings.TrimSuffix(name, ext)
	return (ext == ".yml" || ext == ".yaml") && !strings.HasPrefix(name, ".") && !strings.HasSuffix(base, ".test") && base != "logsources" && base != "info"
}

// addFile reads and closes a file of rules.
func (l *Loaded) addFile(f fs.File, name string) error {
	defer f.Close() //nolint:errcheck // read only
	data, err := readAll(f)
	if err != nil {
		return err
	}
	l.Files++
	l.Set.Add(name, data)
	return nil
}

// readSmall reads a file whole; a pipe without a writer is empty.
func readSmall(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	return readAll(f)
}

var (
	errSize = errors.New("larger than 4 MiB")
	errKind = errors.New("it is no file")
)

func readAll(f io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, yamldoc.MaxSize+1))
	if err == nil && n > yamldoc.MaxSize {
		err = errSize
	}
	return b.Bytes(), err
}

// Takes tells whether matches of a rule are to be reported.
func (w *Want) Takes(r *sigma.Rule) bool {
	if w.keys != nil && !w.keys[r.Key()] {
		return false
	}
	if r.Level < w.MinLevel || named(w.Exclude, r) || (len(w.Include) > 0 && !named(w.Include, r)) {
		return false
	}
	if len(w.Statuses) > 0 && !slices.Contains(w.Statuses, r.Status) {
		return false
	}
	if len(w.Tags) == 0 {
		return true
	}
	for _, have := range r.Tags {
		for _, want := range w.Tags {
			if covers(strings.ToLower(want), strings.ToLower(have)) {
				return true
			}
		}
	}
	return false
}

func covers(want, have string) bool {
	if rest, ok := strings.CutPrefix(have, want); ok && (rest == "" || rest[0] == '.') {
		return true
	}
	return !strings.HasPrefix(want, "attack.") && strings.HasPrefix(have, "attack.") && covers("attack."+want, have)
}

func named(list []string, r *sigma.Rule) bool {
	for _, n := range list {
		if strings.EqualFold(n, r.ID) || strings.EqualFold(n, r.Title) || (n == r.Name && n != "") {
			return true
		}
	}
	return false
}

// License is the licence that a rule states, or that of the collection it
// lies in. The Detection Rule License asks that it and the author be named
// wherever a match is shown.
func (l *Loaded) License(r *sigma.Rule) string {
	if r.License != "" {
		return r.License
	}
	for _, x := range l.licenses {
		if strings.HasPrefix(r.File, x.prefix) {
			return x.name
		}
	}
	return ""
}

// licenseNear looks for the licence text of a collection of rules, beside p or
// up to three directories above.
func licenseNear(p string) string {
	dir, err := filepath.Abs(p)
	if err != nil {
		return ""
	}
	for range 4 {
		data, err := readSmall(filepath.Join(dir, "LICENSE"))
		if err == nil && strings.Contains(string(data), "Detection Rule License") {
			return "DRL-1.1"
		}
		if err == nil && !errors.Is(err, errSize) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
	return ""
}
