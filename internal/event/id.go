package event

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/google/uuid"
)

// IDs makes UUIDv7 (RFC 9562) identifiers from a clock's time and a source of
// randomness, so that a run with one seed makes the same ids.
type IDs struct {
	rand io.Reader
	now  func() time.Time
}

// NewIDs uses r and now; nil r means crypto/rand.
func NewIDs(r io.Reader, now func() time.Time) *IDs {
	if r == nil {
		r = rand.Reader
	}
	return &IDs{rand: r, now: now}
}

// New makes one id. It is safe for concurrent use if the source is.
func (g *IDs) New() string {
	var u uuid.UUID
	ms := uint64(g.now().UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	if _, err := io.ReadFull(g.rand, u[6:]); err != nil {
		panic("event: the source of randomness failed: " + err.Error())
	}
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}
