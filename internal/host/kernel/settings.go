package kernel

import (
	"maps"
	"sort"
	"strings"
	"sync"
)

// The most that Settings hold.
const (
	maxSettings    = 500
	maxSettingSize = 16 << 10 // bytes of one
)

// Settings are what a visitor changed in the running machine: kernel
// parameters, rules of the firewall, addresses, mounts, units. It is safe for
// concurrent use.
type Settings struct {
	mu  sync.Mutex
	m   map[string]string
	gen uint64
}

// Get is what was set under key.
func (s *Settings) Get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[key]
	return v, ok
}

// Set sets key; false where there is no room for it.
func (s *Settings) Set(key, value string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.m[key]; !there && len(s.m) >= maxSettings || len(value) > maxSettingSize || len(key) > 300 {
		return false
	}
	if s.m == nil {
		s.m = map[string]string{}
	}
	s.m[strings.Clone(key)] = strings.Clone(value)
	s.gen++
	return true
}

// Unset forgets key.
func (s *Settings) Unset(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.m[key]; there {
		delete(s.m, key)
		s.gen++
	}
}

// Keys are the keys that begin with prefix, sorted.
func (s *Settings) Keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for k := range s.m {
		if strings.HasPrefix(k, prefix) {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

// Changes rises with every change.
func (s *Settings) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gen
}

// All is a copy of what is set.
func (s *Settings) All() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.m)
}

// Restore sets what was kept; what is over the limits is left out.
func (s *Settings) Restore(kept map[string]string) {
	for k, v := range kept {
		s.Set(k, v)
	}
	s.mu.Lock()
	s.gen = 0
	s.mu.Unlock()
}
