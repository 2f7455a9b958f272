package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/durable"
)

// spool keeps messages in files, one each, named so that they sort by time.
type spool struct {
	dir   string
	limit int

	mu      sync.Mutex
	names   []string // sorted
	dropped int64
}

const suffix = ".json"

func openSpool(root, name string, limit int) (*spool, error) {
	s := &spool{dir: filepath.Join(root, name), limit: limit}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err //nolint:wrapcheck // New says what was done
	}
	if err := durable.Clean(s.dir); err != nil {
		return nil, err //nolint:wrapcheck // as above
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err //nolint:wrapcheck // as above
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), suffix) && !strings.HasPrefix(f.Name(), ".") {
			s.names = append(s.names, f.Name())
		}
	}
	slices.Sort(s.names)
	return s, nil
}

// put writes m; where the spool is full the oldest goes, and is counted.
func (s *spool) put(m *Message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	name := m.ID + suffix
	if err := durable.WriteFile(filepath.Join(s.dir, name), data); err != nil {
		return err //nolint:wrapcheck // Tell says what was done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, there := slices.BinarySearch(s.names, name)
	if !there {
		s.names = slices.Insert(s.names, i, name)
	}
	for len(s.names) > s.limit {
		os.Remove(filepath.Join(s.dir, s.names[0])) //nolint:errcheck // it is told as dropped
		s.names = s.names[1:]
		s.dropped++
	}
	return nil
}

// all reads at most n messages, the oldest first. One that cannot be read is
// taken away.
func (s *spool) all(n int) []*Message {
	s.mu.Lock()
	names := slices.Clone(s.names[:min(n, len(s.names))])
	s.mu.Unlock()
	var out []*Message
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		m := &Message{}
		if err == nil {
			err = json.Unmarshal(data, m)
		}
		if err != nil || m.ID+suffix != name {
			s.drop(name)
			continue
		}
		out = append(out, m)
	}
	return out
}

func (s *spool) drop(name string) {
	s.mu.Lock()
	s.dropped++
	s.mu.Unlock()
	s.done(strings.TrimSuffix(name, suffix)) //nolint:errcheck // it is read again, and again dropped
}

// done takes messages away that were sent.
func (s *spool) done(ids ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, id := range ids {
		name := id + suffix
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		if i, there := slices.BinarySearch(s.names, name); there {
			s.names = slices.Delete(s.names, i, i+1)
		}
	}
	return errors.Join(errs...)
}

func (s *spool) count() (waiting int, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names), s.dropped
}
