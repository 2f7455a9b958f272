package event

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestAppendTime holds the quick form of a time against the package time's.
func TestAppendTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	times := []time.Time{{}, time.Unix(0, 0), time.Unix(253402300799, 999999999), time.Unix(253402300800, 0), time.Unix(-62167219200, 0), time.Unix(-62167219201, 0), time.Unix(951782399, 1)}
	for range 10_000 {
		times = append(times, time.Unix(r.Int64N(1<<39)-1<<37, r.Int64N(1e9)))
	}
	for _, at := range times {
		at = at.UTC()
		if got, want := string(appendTime(nil, at)), at.Format(timeLayout); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
