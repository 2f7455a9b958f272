// Package quarantine takes files away so that nothing runs or triggers them,
// and gives them back as they were: content, owner, mode, times, extended
// attributes.
//
// The content goes into the vault (sealed, by its SHA-256), a record beside it
// says where it came from. A file is removed only after content and record are
// on disk, and comes back under its name in one step or not at all. Links are
// never followed, in no part of the path.
package quarantine

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/vault"
)

// State is where an item is on its way.
type State string

// The states. Taking and giving are passing: Open ends them after a crash.
const (
	Taking State = "taking"
	Held   State = "held"
	Giving State = "giving"
)

// Item is one file in quarantine.
type Item struct {
	ID       string            `json:"id"` // 16 hex digits
	State    State             `json:"state"`
	Path     string            `json:"path"` // absolute
	SHA256   string            `json:"sha256"`
	Size     int64             `json:"size"`
	Mode     uint32            `json:"mode"` // permission and set-id bits
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	Accessed time.Time         `json:"accessed"`
	Modified time.Time         `json:"modified"`
	Xattrs   map[string][]byte `json:"xattrs,omitempty"` // ACLs and file capabilities among them
	Inode    uint64            `json:"inode"`
	Device   uint64            `json:"device"`
	Links    uint64            `json:"links"` // names that the file had; beyond one, the others are still there
	Rules    []string          `json:"rules,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Taken    time.Time         `json:"taken"`
	To       string            `json:"to,omitempty"` // while giving: where to
	// The same where they are not UTF-8, which JSON cannot hold.
	PathBytes []byte `json:"path_bytes,omitempty"`
	ToBytes   []byte `json:"to_bytes,omitempty"`
}

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("there is no such item in quarantine")
	ErrChanged  = errors.New("the file changed since it was scanned")
	ErrExists   = errors.New("something lies there already")
	ErrNoFile   = errors.New("it is no ordinary file")
)

// Config is what Open takes.
type Config struct {
	Dir   string       // of the records
	Vault *vault.Vault // of the contents
	Now   func() time.Time
	NewID func() string // 16 hex digits
}

// Store is the quarantine. It is safe for concurrent use in one process; the
// data directory's lock keeps other processes out.
type Store struct {
	c  Config
	mu sync.Mutex
}

const (
	maxItems  = 100_000
	maxRecord = 8 << 20 // bytes
	maxXattrs = 1 << 20 // bytes of all extended attributes of a file
)

// Open makes the directory where needed and ends what a crash interrupted: a
// file that was not yet removed stays where it is, one that was is held.
func Open(c Config) (*Store, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the quarantine: %w", err)
	}
	if err := errors.Join(durable.Clean(c.Dir), c.Vault.Clean()); err != nil {
		return nil, fmt.Errorf("open the quarantine: %w", err)
	}
	s := &Store{c: c}
	items, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if it.State == Held {
			continue
		}
		if err := s.recover(it); err != nil {
			return nil, fmt.Errorf("end the interrupted work on %s: %w", it.Path, err)
		}
	}
	return s, nil
}

// recover ends what was interrupted.
func (s *Store) recover(it Item) error {
	switch it.State {
	case Taking:
		gone, err := removeTaken(it)
		if err != nil {
			return err
		}
		if !gone { // it is still in its place: as if nothing had been
			return s.drop(it)
		}
	case Giving:
		if given(it) {
			return s.drop(it)
		}
	case Held:
		return nil
	}
	it.State, it.To = Held, ""
	return s.save(it)
}

// Take moves the file at path into quarantine. want is the SHA-256 that was
// judged, empty to take whatever is there; a file with another content is left
// alone (ErrChanged).
func (s *Store) Take(path, want string, rules []string, reason string) (Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return Item{}, fmt.Errorf("quarantine %s: an absolute path without . and .. is needed", path)
	}
	f, err := openOriginal(path)
	if err != nil {
		return Item{}, fmt.Errorf("quarantine %s: %w", path, err)
	}
	defer f.close()
	it := f.item
	it.ID, it.State, it.Path, it.Rules, it.Reason, it.Taken = s.c.NewID(), Taking, path, rules, reason, s.c.Now()
	if it.SHA256, it.Size, err = s.c.Vault.Put(f.content()); err != nil {
		return Item{}, fmt.Errorf("quarantine %s: %w", path, err)
	}
	if want != "" && !strings.EqualFold(want, it.SHA256) {
		return Item{}, errors.Join(fmt.Errorf("quarantine %s: %w (SHA-256 is %s, %s was judged)", path, ErrChanged, it.SHA256, want), s.sweep(it.SHA256))
	}
	if err := s.save(it); err != nil {
		return Item{}, err
	}
	if err := f.remove(it.ID); err != nil {
		return Item{}, errors.Join(fmt.Errorf("quarantine %s: %w", path, err), s.drop(it))
	}
	it.State = Held
	return it, s.save(it)
}

// Restore gives an item back, to its old place or to another path, and forgets
// it. The warnings name what could not be put back as it was (an owner without
// root, an attribute that the file system does not take).
func (s *Store) Restore(id, to string) (path string, warnings []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, err := s.get(id)
	if err != nil {
		return "", nil, err
	}
	if to == "" {
		to = it.Path
	}
	if !filepath.IsAbs(to) || filepath.Clean(to) != to {
		return "", nil, fmt.Errorf("restore to %s: an absolute path without . and .. is needed", to)
	}
	it.State, it.To = Giving, to
	if err := s.save(it); err != nil {
		return "", nil, err
	}
	warnings, err = putBack(it, func(w io.Writer) error { return s.c.Vault.Get(w, it.SHA256) })
	if err != nil {
		it.State, it.To = Held, ""
		return "", nil, errors.Join(fmt.Errorf("restore %s: %w", to, err), s.save(it))
	}
	return to, warnings, s.drop(it)
}

// Content writes an item's plain content to w.
func (s *Store) Content(w io.Writer, id string) error {
	it, err := s.Get(id)
	if err != nil {
		return err
	}
	return s.c.Vault.Get(w, it.SHA256)
}

// Delete removes an item for good.
func (s *Store) Delete(id string) (Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, err := s.get(id)
	if err != nil {
		return Item{}, err
	}
	return it, s.drop(it)
}

// Get gives an item; the first letters of the id are enough if no other begins
// with them.
func (s *Store) Get(id string) (Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(id)
}

func (s *Store) get(id string) (Item, error) {
	items, err := s.List()
	if err != nil {
		return Item{}, err
	}
	var found []Item
	for _, it := range items {
		if it.ID == id {
			return it, nil
		}
		if id != "" && strings.HasPrefix(it.ID, id) {
			found = append(found, it)
		}
	}
	switch len(found) {
	case 0:
		return Item{}, fmt.Errorf("%q: %w", id, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Item{}, fmt.Errorf("%q is the beginning of %d items: write more of it", id, len(found))
}

// List gives all items, the newest first. A record that cannot be read is an
// error that names it: its content is still in the vault.
func (s *Store) List() ([]Item, error) {
	list, err := os.ReadDir(s.c.Dir)
	if err != nil {
		return nil, fmt.Errorf("list the quarantine: %w", err)
	}
	var items []Item
	for _, e := range list {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || len(items) >= maxItems {
			continue
		}
		it, err := s.load(id)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	sort.Slice(items, func(i, j int) bool { return items[i].Taken.After(items[j].Taken) })
	return items, nil
}

func (s *Store) record(id string) string { return filepath.Join(s.c.Dir, id+".json") }

func (s *Store) load(id string) (Item, error) {
	f, err := os.Open(s.record(id))
	if err != nil {
		return Item{}, fmt.Errorf("read a quarantine record: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var it Item
	if err := json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(&it); err != nil {
		return Item{}, fmt.Errorf("read the quarantine record %s: %w; move it away to go on, the content stays in the vault", f.Name(), err)
	}
	if _, err := hex.DecodeString(it.ID); err != nil || it.ID != id {
		return Item{}, fmt.Errorf("the quarantine record %s belongs to another id", f.Name())
	}
	if len(it.PathBytes) > 0 {
		it.Path = string(it.PathBytes)
	}
	if len(it.ToBytes) > 0 {
		it.To = string(it.ToBytes)
	}
	return it, nil
}

// save writes a record in one step, synced.
func (s *Store) save(it Item) error {
	it.PathBytes, it.ToBytes = notUTF8(it.Path), notUTF8(it.To)
	data, err := json.MarshalIndent(it, "", " ")
	if err != nil {
		return fmt.Errorf("write a quarantine record: %w", err)
	}
	if err := durable.WriteFile(s.record(it.ID), append(data, '\n')); err != nil {
		return fmt.Errorf("write a quarantine record: %w", err)
	}
	return nil
}

// notUTF8 is a name that a text of JSON cannot hold, nil for any other.
func notUTF8(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

// drop removes the record, and the content if no other item has it.
func (s *Store) drop(it Item) error {
	if err := os.Remove(s.record(it.ID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a quarantine record: %w", err)
	}
	return errors.Join(durable.SyncDir(s.c.Dir), s.sweep(it.SHA256))
}

// sweep removes a content that no item refers to.
func (s *Store) sweep(sum string) error {
	items, err := s.List()
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.SHA256 == sum {
			return nil
		}
	}
	if err := s.c.Vault.Delete(sum); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
