package event

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestIDsAreUniqueInOrderAndOfTheirTime(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	g := NewIDs(nil, func() time.Time { return now })
	seen, last := map[string]bool{}, ""
	take := func() string {
		t.Helper()
		id := g.New()
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Fatalf("%s: %v, version %d, %v", id, err, u.Version(), u.Variant())
		}
		var ms int64
		for _, b := range u[:6] {
			ms = ms<<8 | int64(b)
		}
		if ms != now.UnixMilli() {
			t.Fatalf("%s is of %d, not %d", id, ms, now.UnixMilli())
		}
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
		return id
	}
	for range 5 {
		for range perMillisecond {
			id := take()
			if id <= last {
				t.Fatalf("%s after %s", id, last)
			}
			if last != "" && id[19:] != last[19:] {
				t.Fatalf("%s has other random bits than %s", id, last)
			}
			last = id
		}
		now = now.Add(time.Millisecond)
	}
	for range 3 * perMillisecond { // more than the count can tell apart
		take()
	}
	now = now.Add(-2 * time.Millisecond) // a clock that goes back comes to times that were used
	for range 2 * perMillisecond {
		take()
	}
}

func TestTwoMakersOfIDsShareNone(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	clock := func() time.Time { return now }
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		g := NewIDs(nil, clock)
		for range 2 { // two goroutines with one maker
			wg.Go(func() {
				for range 1000 {
					id := g.New()
					mu.Lock()
					if seen[id] {
						t.Errorf("%s came twice", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
}

func TestOneSeedMakesTheSameIDs(t *testing.T) {
	list := func(seed byte) (out []string) {
		now := time.UnixMilli(1_700_000_000_000)
		g := NewIDs(rand.NewChaCha8([32]byte(bytes.Repeat([]byte{seed}, 32))), func() time.Time { return now })
		for range 100 {
			out = append(out, g.New())
			now = now.Add(300 * time.Microsecond)
		}
		return out
	}
	if !slices.Equal(list(1), list(1)) {
		t.Error("one seed made different ids")
	}
	if slices.Equal(list(1), list(2)) {
		t.Error("two seeds made the same ids")
	}
}
