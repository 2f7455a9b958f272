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
type IDs struct {
	rand io.Reader
	now  func() time.Time
}

// NewIDs uses r and now; nil r means crypto/rand.
func NewIDs(r io.Reader, now func() time.Time) *IDs {
	if r == nil {
		r = &ahead{}
	}
	return &IDs{rand: r, now: now}
}

// ahead reads from crypto/rand in pieces that last for many ids.
type ahead struct {
	mu   sync.Mutex
	buf  [1000]byte
	left int
}

// Read fills b, of at most 1,000 bytes.
func (a *ahead) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left < len(b) {
		rand.Read(a.buf[:])
		a.left = len(a.buf)
	}
	n := copy(b, a.buf[len(a.buf)-a.left:])
	clear(a.buf[len(a.buf)-a.left:][:n])
	a.left -= n
	return n, nil
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
