package entry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// Seat is one person's place in a range.
type Seat struct {
	User   string       // 1 to 255 bytes; what he types as the user of the proxy
	Secret string       // 12 to 255 bytes; NewSecret makes one
	Dialer *vnet.Dialer // from the host that he sits at; a label of it is his traffic's
}

// minSecret is long enough that guesses on a loopback port come to nothing.
const minSecret = 12

func (s Seat) check() error {
	switch {
	case s.User == "" || len(s.User) > 255:
		return fmt.Errorf("seat %q: a user's name has 1 to 255 bytes", s.User)
	case len(s.Secret) < minSecret || len(s.Secret) > 255:
		return fmt.Errorf("seat %q: a secret has %d to 255 bytes; entry.NewSecret makes one", s.User, minSecret)
	case s.Dialer == nil || s.Dialer.Host() == nil:
		return fmt.Errorf("seat %q: it has no host of a virtual network to dial from", s.User)
	}
	return nil
}

// NewSecret makes a secret of 130 random bits that is easy to type: 26
// lower-case letters and digits.
func NewSecret() string { return strings.ToLower(rand.Text()) }

// chair is a Seat in use.
type chair struct {
	user   string
	secret [sha256.Size]byte
	dialer *vnet.Dialer
	rate   *bucket // connections
	grams  *bucket // datagrams
	relays atomic.Int32
	count  *seatCounters

	mu    sync.Mutex
	gone  bool
	next  uint64
	leave map[uint64]context.CancelFunc // one a connection
}

// seatCounters outlive a reset.
type seatCounters struct {
	connections, refusedOpen, refusedRate, failed atomic.Uint64
	datagrams, datagramsDropped                   atomic.Uint64
	toRange, fromRange                            atomic.Uint64
}

func newChair(s Seat, lim SOCKSLimits, count *seatCounters, now time.Time) *chair {
	return &chair{
		user: s.User, secret: sha256.Sum256([]byte(s.Secret)), dialer: s.Dialer, count: count, leave: map[uint64]context.CancelFunc{},
		rate: newBucket(lim.Rate, 2*lim.Rate, now), grams: newBucket(lim.Datagrams, lim.Datagrams, now),
	}
}

// opens says whether secret is the seat's, in a time that does not tell how
// much of it was right.
func (c *chair) opens(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], c.secret[:]) == 1
}

// enter takes one of the seat's limit connections. The context ends with ctx,
// and when the seat is taken away.
func (c *chair) enter(ctx context.Context, limit int) (_ context.Context, done func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || len(c.leave) >= limit {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	id := c.next
	c.next++
	c.leave[id] = cancel
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.leave, id)
	}, true
}

// clear ends the seat's connections and lets nobody in any more.
func (c *chair) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	for _, cancel := range c.leave {
		cancel()
	}
}

func (c *chair) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.leave)
}
