// Package journal holds what was observed until it is kept for good: append a
// batch, read from a position, release. What Append acknowledged is never
// lost; where there is no room it refuses, the shallowest encounters first.
//
// Spool is the journal on disk. Journal is what its callers see, so that a
// message bus can take its place; journaltest is the suite for both.
package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// MaxRecord is the most bytes that one Append takes.
const MaxRecord = 4 << 20

// Errors that callers branch on.
var (
	ErrFull   = errors.New("the journal is full")
	ErrClosed = errors.New("the journal is closed")
	ErrRecord = errors.New("a record must be whole lines of 1 byte to 4 MiB")
)

// Journal is what the rest of the product uses.
type Journal interface {
	// Append stores data, lines of JSON, and returns when it is durable; the
	// position is the end of the new entry. Depth is that of the shallowest
	// event in data.
	Append(ctx context.Context, depth event.Depth, data []byte) (Position, error)
	// AppendOnce is Append for a sender that may repeat itself: a key not
	// newer than the newest accepted one of that sender is acknowledged
	// without being stored again.
	AppendOnce(ctx context.Context, depth event.Depth, key Key, data []byte) (Position, error)
	// Read calls fn for each entry after from, up to the present end. It
	// returns the position up to which everything was taken: where to go on.
	// The data is fn's for the length of the call only.
	Read(ctx context.Context, from Position, fn func(Entry) error) (Position, error)
	// Wait blocks until there may be something after the position.
	Wait(ctx context.Context, after Position) error
	// Release gives up entries before the position; some may stay.
	Release(upTo Position) error
	// End is the position after the newest entry.
	End() Position
}

// Position is a place between two entries. The zero Position is before all.
type Position struct {
	Segment uint64
	Offset  int64
}

// Compare is negative where p is before q.
func (p Position) Compare(q Position) int {
	switch {
	case p.Segment < q.Segment, p.Segment == q.Segment && p.Offset < q.Offset:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// Before tells whether p is before q.
func (p Position) Before(q Position) bool { return p.Compare(q) < 0 }

// String is "segment:offset".
func (p Position) String() string {
	return strconv.FormatUint(p.Segment, 10) + ":" + strconv.FormatInt(p.Offset, 10)
}

// MarshalText is String.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePosition.
func (p *Position) UnmarshalText(text []byte) error {
	q, err := ParsePosition(string(text))
	if err == nil {
		*p = q
	}
	return err
}

// ParsePosition is the inverse of String; "" is the zero Position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	seg, off, ok := strings.Cut(s, ":")
	n, err1 := strconv.ParseUint(seg, 10, 64)
	o, err2 := strconv.ParseInt(off, 10, 64)
	if !ok || err1 != nil || err2 != nil || o < 0 {
		return Position{}, fmt.Errorf("parse journal position %q: want segment:offset", s)
	}
	return Position{Segment: n, Offset: o}, nil
}

// Entry is one acknowledged Append.
type Entry struct {
	Pos  Position // of its end
	Data []byte
}

// Key tells the batches of one sender apart. Seq rises with each batch. The
// zero Key is none.
type Key struct {
	Client [16]byte
	Seq    uint64
}

// String is for messages.
func (k Key) String() string {
	return hex.EncodeToString(k.Client[:4]) + "/" + strconv.FormatUint(k.Seq, 10)
}
