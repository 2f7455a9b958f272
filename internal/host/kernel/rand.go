package kernel

import (
	"math/rand/v2"
	"sync"
)

// Rand is a seeded source of randomness that is safe for concurrent use.
type Rand struct {
	mu sync.Mutex
	r  *rand.Rand
}

// NewRand makes a source that gives the same numbers for the same seeds.
func NewRand(a, b uint64) *Rand { return &Rand{r: rand.New(rand.NewPCG(a, b))} }

// IntN is a number in [0, n).
func (r *Rand) IntN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n)
}

// Uint64 is any number.
func (r *Rand) Uint64() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Uint64()
}

// Float64 is a number in [0, 1).
func (r *Rand) Float64() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Float64()
}

// Read fills b; it never fails.
func (r *Rand) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range b {
		b[i] = byte(r.r.Uint32())
	}
	return len(b), nil
}
