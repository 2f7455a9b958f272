package respond

import (
	"iter"
	"sync"
)

// Memory is a Store that lasts as long as the program: for a range, and for tests.
// Its zero value is empty.
type Memory struct {
	mu   sync.Mutex
	recs []*Record
	old  int // records before the last Cut
}

var _ Store = (*Memory)(nil)

// Read gives the records.
func (m *Memory) Read(fn func(*Record) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.recs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// Append adds records.
func (m *Memory) Append(recs ...*Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recs = append(m.recs, recs...)
	return nil
}

// Sync has nothing to do.
func (m *Memory) Sync() error { return nil }

// Cut begins to replace what there is.
func (m *Memory) Cut() (func(iter.Seq[*Record]) error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.old = len(m.recs)
	return func(recs iter.Seq[*Record]) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		var all []*Record
		for r := range recs {
			all = append(all, r)
		}
		m.recs, m.old = append(all, m.recs[m.old:]...), 0
		return nil
	}, nil
}

// Len is how many records there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.recs)
}
