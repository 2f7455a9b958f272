package casebook

import (
	"context"
	"hash/maphash"
	"sync"
)

// known tells which keys have no state for sure, without asking the database:
// a Bloom filter of ten bits a key. A flood of new sources asks for
// thousands of keys a second, and none of them is there.
type known struct {
	mu   sync.Mutex
	seed maphash.Seed
	bits []uint64 // nil: not filled yet
	n    int      // keys in it
}

const (
	leastBits  = 1 << 20 // 128 KB
	bitsPerKey = 10      // one in a hundred is asked for in vain
	probes     = 4
)

// maybe tells whether key may have a state.
func (b *SQLite) maybe(ctx context.Context, key string) (bool, error) {
	k := &b.known
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bits == nil || k.n > len(k.bits)*64/bitsPerKey {
		if err := b.fill(ctx); err != nil {
			return false, err
		}
	}
	return k.each(key, func(word *uint64, bit uint64) bool { return *word&bit != 0 }), nil
}

// fill makes the filter anew from what is stored, twice as large as needed.
func (b *SQLite) fill(ctx context.Context) error {
	k := &b.known
	var n int
	if err := b.r.QueryRowContext(ctx, "SELECT count(*) FROM states").Scan(&n); err != nil {
		return err
	}
	size := leastBits
	for size < 2*n*bitsPerKey {
		size *= 2
	}
	k.seed, k.bits, k.n = maphash.MakeSeed(), make([]uint64, size/64), 0
	rows, err := b.r.QueryContext(ctx, "SELECT key FROM states")
	if err != nil {
		k.bits = nil
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var key any
		if err = rows.Scan(&key); err != nil {
			break
		}
		k.put(keyText(key))
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		k.bits = nil
	}
	return err
}

// add takes keys that are about to be stored.
func (k *known) add(states []State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range states {
		if k.bits != nil {
			k.put(states[i].Key)
		}
	}
}

func (k *known) put(key string) {
	fresh := false
	k.each(key, func(word *uint64, bit uint64) bool {
		fresh = fresh || *word&bit == 0
		*word |= bit
		return true
	})
	if fresh {
		k.n++
	}
}

// each calls fn with the bits of a key until it says no.
func (k *known) each(key string, fn func(word *uint64, bit uint64) bool) bool {
	h := maphash.String(k.seed, key)
	step := h>>32 | 1
	for range probes {
		i := h % uint64(len(k.bits)*64)
		if !fn(&k.bits[i/64], 1<<(i%64)) {
			return false
		}
		h += step
	}
	return true
}
