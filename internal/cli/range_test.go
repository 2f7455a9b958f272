package cli

import (
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Runs that begin in one instant have directories of their own.
func TestRunsOfOneInstant(t *testing.T) {
	g := &globals{data: t.TempDir()}
	began := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			dir, err := g.ownRunDir("office", began)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[dir] || filepath.Dir(dir) != filepath.Join(g.data, exercisesDir) {
				t.Errorf("%s: %v", dir, err)
			}
			seen[dir] = true
		})
	}
	all.Wait()
	if len(seen) != 20 {
		t.Errorf("%d directories", len(seen))
	}
}
