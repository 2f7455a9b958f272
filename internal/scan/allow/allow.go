// Package allow is the list of files that are known to be good though a rule
// says otherwise: by content or by path, each with a reason and an end.
package allow

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Entry allows one content, or one path for one rule or all.
type Entry struct {
	SHA256 string    `json:"sha256,omitempty"` // lower-case hex
	Path   string    `json:"path,omitempty"`   // pattern of path.Match; "dir/**" is everything below dir
	Rule   string    `json:"rule,omitempty"`   // only this rule; empty: all
	Reason string    `json:"reason"`
	Until  time.Time `json:"until,omitzero"` // zero: no end
	Added  time.Time `json:"added,omitzero"`
}

// List is a file of entries, one JSON object a line.
type List struct{ entries []Entry }

const (
	maxEntries = 100_000
	maxLine    = 64 << 10
)

// Load reads a list. A file that is not there is an empty list. Every fault is
// an error with its line.
func Load(file string) (*List, error) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open the allow list: %s is no ordinary file", file)
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return &List{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the allow list: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	return read(f, file)
}

func read(r io.Reader, name string) (*List, error) {
	l := &List{}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), maxLine)
	for n := 1; sc.Scan(); n++ {
		text := strings.TrimSpace(sc.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		var e Entry
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		err := dec.Decode(&e)
		if err == nil {
			err = e.check()
		}
		if err == nil && len(l.entries) >= maxEntries {
			err = fmt.Errorf("more than %d entries", maxEntries)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		l.entries = append(l.entries, e)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read the allow list %s: %w", name, err)
	}
	return l, nil
}

func (e *Entry) check() error {
	e.SHA256 = strings.ToLower(e.SHA256)
	b, err := hex.DecodeString(e.SHA256)
	switch {
	case e.Reason == "":
		return errors.New("an entry needs a reason")
	case (e.SHA256 == "") == (e.Path == ""):
		return errors.New("an entry needs either sha256 or path")
	case e.SHA256 != "" && (err != nil || len(b) != 32):
		return fmt.Errorf("%q is no SHA-256", e.SHA256)
	}
	if _, err := path.Match(e.Path, "x"); err != nil {
		return fmt.Errorf("path %q: %w", e.Path, err)
	}
	return nil
}

// Append adds one entry to the file, synced.
func Append(file string, e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the allow list: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write the allow list: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the allow list: %w", err)
	}
	return nil
}

// Allows gives the entry that covers a finding of rule in the file, if one is
// in force.
func (l *List) Allows(file, sha256, rule string, now time.Time) (Entry, bool) {
	for _, e := range l.entries {
		if !e.Until.IsZero() && !now.Before(e.Until) || e.Rule != "" && e.Rule != rule {
			continue
		}
		if e.SHA256 != "" && e.SHA256 == sha256 || e.Path != "" && under(e.Path, filepath.ToSlash(file)) {
			return e, true
		}
	}
	return Entry{}, false
}

// NeedsSums reports whether any entry is by content.
func (l *List) NeedsSums() bool {
	for _, e := range l.entries {
		if e.SHA256 != "" {
			return true
		}
	}
	return false
}

func under(pattern, file string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/**"); ok {
		return strings.HasPrefix(file, dir+"/")
	}
	ok, err := path.Match(pattern, file)
	return ok && err == nil
}
