package entry

import (
	"sync"
	"time"
)

// bucket gives out rate tokens a second, and up to burst at once.
type bucket struct {
	rate, burst float64

	mu    sync.Mutex
	full  float64
	stamp time.Time
}

func newBucket(rate, burst int, now time.Time) *bucket {
	return &bucket{rate: float64(rate), burst: float64(burst), full: float64(burst), stamp: now}
}

// take says whether there was a token at now.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if gone := now.Sub(b.stamp); gone > 0 {
		b.full = min(b.burst, b.full+gone.Seconds()*b.rate)
		b.stamp = now
	}
	if b.full < 1 {
		return false
	}
	b.full--
	return true
}
