package decoy

import (
	"sync"
	"time"
)

// Views keeps what a decoy holds for each source, such as a database as that
// source left it. It holds at most Max; the one longest unused goes.
type Views[T any] struct {
	Max int

	mu   sync.Mutex
	held map[string]*held[T]
}

type held[T any] struct {
	view T
	used time.Time
}

// Get gives the view of a source by its key (host.Key), made by fresh where there
// is none.
func (v *Views[T]) Get(key string, now time.Time, fresh func() T) T {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.held[key]
	if h == nil {
		v.evict()
		h = &held[T]{view: fresh()}
		if v.held == nil {
			v.held = map[string]*held[T]{}
		}
		v.held[key] = h
	}
	h.used = now
	return h.view
}

// evict makes room for one more.
func (v *Views[T]) evict() {
	if len(v.held) < v.Max {
		return
	}
	oldest := ""
	for k, h := range v.held {
		if oldest == "" || h.used.Before(v.held[oldest].used) {
			oldest = k
		}
	}
	delete(v.held, oldest)
}
