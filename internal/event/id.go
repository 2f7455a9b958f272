package event

import (
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
)

// IDs makes UUIDv7 (RFC 9562) identifiers from a clock's time and a source of
// randomness, so that a run with one seed makes the same ids.
//
// The 62 random bits at the end are drawn once and kept, and the 12 before
// them count within a millisecond (section 6.2, method 1): ids of one maker are
// in order and have most bytes in common, which an event log and a casebook
// keep in a quarter of the room. Where the count is at its end or the clock went
// back, the bits are drawn anew. So an id is unique, but no secret: whoever
// knows one can tell others of the same maker.
type IDs struct {
	rand io.Reader
	now  func() time.Time

	mu   sync.Mutex
	last uuid.UUID
	ms   int64
	n    int // ids of ms so far, 0: none was made at all
}

// perMillisecond is how many ids the 12 bits tell apart.
const perMillisecond = 1 << 12

// NewIDs uses r and now; nil r means crypto/rand.
func NewIDs(r io.Reader, now func() time.Time) *IDs {
	if r == nil {
		r = rand.Reader
	}
	return &IDs{rand: r, now: now}
}

// New makes one id. It is safe for concurrent use.
func (g *IDs) New() string { return g.next().String() }

func (g *IDs) next() uuid.UUID {
	g.mu.Lock()
	defer g.mu.Unlock()
	ms := g.now().UnixMilli()
	if g.n == 0 || ms < g.ms || ms == g.ms && g.n == perMillisecond {
		if _, err := io.ReadFull(g.rand, g.last[8:]); err != nil {
			panic("event: the source of randomness failed: " + err.Error())
		}
		g.last[8] = g.last[8]&0x3f | 0x80
		g.n = 0
	} else if ms > g.ms {
		g.n = 0
	}
	g.ms = ms
	for i := range 6 {
		g.last[i] = byte(ms >> (40 - 8*i))
	}
	g.last[6], g.last[7] = 0x70|byte(g.n>>8), byte(g.n)
	g.n++
	return g.last
}
