// Package visitors keeps, sealed, what each source changed on each fake host,
// so that he finds it again after a restart. What one source left, no other
// gets: the file's name and its seal are bound to host and source.
//
// A directory per source, named by a keyed hash, holds a file per host, named
// likewise: "LWS1", a 24-byte nonce, then the state sealed with
// XChaCha20-Poly1305, host and source as associated data. A file "forgotten"
// says since when older states of this source are refused.
package visitors

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	magic     = "LWS1"
	nonceSize = chacha20poly1305.NonceSizeX
	maxState  = 32 << 20 // bytes of one file that are read
	tombstone = "forgotten"
)

// ErrGone says that the source was forgotten after the token was given.
var ErrGone = errors.New("this source was forgotten")

// Config is what Open takes.
type Config struct {
	Dir   string
	Key   []byte        // 32 bytes
	Keep  time.Duration // since the last use (24 h)
	Max   int           // states in all (1,000); the longest unused goes first
	Quota int64         // bytes on disk in all (256 MiB); likewise
	Now   func() time.Time
}

// Store is the directory. It is safe for concurrent use, also with a Forget
// by another process.
type Store struct {
	c    Config
	aead cipher.AEAD
	mu   sync.Mutex
	n    int   // states on disk, never too few
	used int64 // bytes of them, likewise
}

// Open fills in the defaults and removes what is too old.
func Open(c Config) (*Store, error) {
	if c.Keep == 0 {
		c.Keep = 24 * time.Hour
	}
	if c.Max == 0 {
		c.Max = 1000
	}
	if c.Quota == 0 {
		c.Quota = 256 << 20
	}
	aead, err := chacha20poly1305.NewX(c.Key)
	if err != nil {
		return nil, fmt.Errorf("open the visitors' states: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the visitors' states: %w", err)
	}
	s := &Store{c: c, aead: aead}
	_, err = s.Expire()
	return s, err
}

func (s *Store) hash(kind, text string) string {
	m := hmac.New(sha256.New, s.c.Key)
	m.Write([]byte(kind + "\x00" + text))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

func (s *Store) dir(source string) string { return filepath.Join(s.c.Dir, s.hash("source", source)) }

func (s *Store) file(host, source string) string {
	return filepath.Join(s.dir(source), s.hash("host", host)+".state")
}

func seal(host, source string) []byte { return []byte("visitor state\x00" + host + "\x00" + source) }

// Put keeps the newest state of a source on a host; no data removes it. token
// is what Get gave; ErrGone where the source was forgotten since.
func (s *Store) Put(host, source string, token uint64, data []byte) error {
	if len(data) > maxState-1024 {
		return fmt.Errorf("keep a visitor's state: %d bytes, the limit is %d", len(data), maxState-1024)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.forgotten(source); ok && token <= uint64(at.UnixNano()) {
		return ErrGone
	}
	name := s.file(host, source)
	if len(data) == 0 {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a visitor's state: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("keep a visitor's state: %w", err)
	}
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	out := s.aead.Seal(append([]byte(magic), nonce...), nonce, data, seal(host, source))
	if err := write(name, out); err != nil {
		return fmt.Errorf("keep a visitor's state: %w", err)
	}
	s.n++
	s.used += int64(len(out))
	if s.n > s.c.Max || s.used > s.c.Quota {
		return s.bound()
	}
	return nil
}

// write replaces a private file, whole or not at all. It does not wait for
// the disk: what a power cut takes is a visitor's last changes.
func write(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// Get gives the state of a source on a host, none where there is none or it
// cannot be opened, and the token that Put is to be called with.
func (s *Store) Get(host, source string) (token uint64, data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.Now()
	token = uint64(now.UnixNano())
	name := s.file(host, source)
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return token, nil, nil
	}
	if err != nil {
		return token, nil, fmt.Errorf("read a visitor's state: %w", err)
	}
	if now.Sub(st.ModTime()) > s.c.Keep || st.Size() > maxState {
		os.Remove(name) //nolint:errcheck // Expire tries again
		return token, nil, nil
	}
	sealed, err := os.ReadFile(name)
	if err != nil {
		return token, nil, fmt.Errorf("read a visitor's state: %w", err)
	}
	if len(sealed) < len(magic)+nonceSize || string(sealed[:len(magic)]) != magic {
		return token, nil, fmt.Errorf("read a visitor's state: %s is not sealed by this program; remove it", name)
	}
	sealed = sealed[len(magic):]
	data, err = s.aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], seal(host, source))
	if err != nil {
		return token, nil, fmt.Errorf("read a visitor's state: %s was changed, or sealed with another key; remove it", name)
	}
	os.Chtimes(name, now, now) //nolint:errcheck // it is used
	return token, data, nil
}

// Forget removes every state of a source and refuses those that a running
// worker still holds. It returns the number of states removed.
func (s *Store) Forget(source string) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := s.dir(source)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("forget a visitor's state: %w", err)
	}
	if err := write(filepath.Join(dir, tombstone), []byte(s.c.Now().UTC().Format(time.RFC3339Nano)+"\n")); err != nil {
		return 0, fmt.Errorf("forget a visitor's state: %w", err)
	}
	states, err := filepath.Glob(filepath.Join(dir, "*.state"))
	if err != nil {
		return 0, fmt.Errorf("forget a visitor's state: %w", err)
	}
	for _, f := range states {
		if err := os.Remove(f); err != nil {
			return n, fmt.Errorf("forget a visitor's state: %w", err)
		}
		n++
	}
	return n, nil
}

func (s *Store) forgotten(source string) (time.Time, bool) {
	data, err := os.ReadFile(filepath.Join(s.dir(source), tombstone))
	if err != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(data)))
	return at, err == nil
}

// kept is one state on disk.
type kept struct {
	name string
	size int64
	at   time.Time
}

// list finds every state and the oldest first; stale ones and tombstones are removed.
func (s *Store) list() (out []kept, removed int) {
	now := s.c.Now()
	dirs, _ := os.ReadDir(s.c.Dir)
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		dir := filepath.Join(s.c.Dir, d.Name())
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			in, err := f.Info()
			if err != nil {
				continue
			}
			name := filepath.Join(dir, f.Name())
			if now.Sub(in.ModTime()) > s.c.Keep {
				if os.Remove(name) == nil {
					removed++
				}
				continue
			}
			if strings.HasSuffix(name, ".state") {
				out = append(out, kept{name, in.Size(), in.ModTime()})
			}
		}
		os.Remove(dir) //nolint:errcheck // only where it is empty
	}
	sort.Slice(out, func(i, j int) bool { return out[i].at.Before(out[j].at) })
	return out, removed
}

// bound counts anew and removes the longest unused states until the limits hold.
func (s *Store) bound() error {
	all, _ := s.list()
	s.used = 0
	for _, k := range all {
		s.used += k.size
	}
	for len(all) > 0 && (len(all) > s.c.Max || s.used > s.c.Quota) {
		if err := os.Remove(all[0].name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make room for a visitor's state: %w", err)
		}
		s.used -= all[0].size
		all = all[1:]
	}
	s.n = len(all)
	return nil
}

// Expire removes what nobody used for longer than Keep.
func (s *Store) Expire() (removed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, removed = s.list()
	return removed, s.bound()
}
