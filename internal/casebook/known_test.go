package casebook

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestKnown stores more keys than the first filter is made for: each is
// recalled, now and after the next start, and few others are asked for.
func TestKnown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "casebook")
	open := func() *SQLite {
		b, err := Open(t.Context(), Config{File: file})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	defer func() { b.Close() }()
	if _, ok, err := b.Recall(t.Context(), "s 0"); ok || err != nil {
		t.Fatalf("an empty casebook recalls %v, %v", ok, err)
	}
	const n = leastBits/bitsPerKey + 20_000
	for at := 0; at < n; at += 20_000 {
		var batch Batch
		for i := at; i < min(at+20_000, n); i++ {
			batch.State(State{Key: fmt.Sprint("s ", i), Seen: time.Unix(1, 0), Data: []byte("x")})
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"as written", "after a start"} {
		for i := 0; i < n; i += 997 {
			if _, ok, err := b.Recall(t.Context(), fmt.Sprint("s ", i)); !ok || err != nil {
				t.Fatalf("%s: %d is not recalled: %v, %v", when, i, ok, err)
			}
		}
		vain := 0
		for i := range 10_000 {
			if maybe, err := b.maybe(t.Context(), fmt.Sprint("p ", i)); maybe || err != nil {
				vain++
			}
		}
		if vain > 1000 {
			t.Errorf("%s: of 10,000 unknown keys %d are asked for", when, vain)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = open()
	}
}
