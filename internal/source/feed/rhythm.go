package feed

import "time"

// rhythm knows how long a source was ever silent.
type rhythm struct {
	Since   time.Time     `json:"since"`   // when its first line came
	Last    time.Time     `json:"last"`    // when its last one did
	Lines   uint64        `json:"lines"`   // in all
	Longest time.Duration `json:"longest"` // between two of them, while somebody listened

	heard time.Time // since when it is listened to without a line
	told  bool
}

// What must be known of a source before its silence says anything.
const (
	knownFor   = time.Hour
	knownLines = 20
	leastQuiet = 10 * time.Minute
)

// start begins to listen: what was before says nothing of the source.
func (r *rhythm) start(now time.Time) { r.heard = now }

// beat counts n lines that came now.
func (r *rhythm) beat(now time.Time, n uint64) {
	if r.Since.IsZero() {
		r.Since = now
	} else {
		r.Longest = max(r.Longest, now.Sub(r.heard))
	}
	r.Last, r.heard, r.told = now, now, false
	r.Lines += n
}

// silent tells for how long nothing came, and whether that never was so before.
func (r *rhythm) silent(now time.Time) (time.Duration, bool) {
	d := now.Sub(r.heard)
	known := r.Lines >= knownLines && r.heard.Sub(r.Since) >= knownFor
	return d, known && d > r.Longest && d > leastQuiet
}
