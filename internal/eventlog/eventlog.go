// Package eventlog keeps every event, searchable. The store behind it is
// VictoriaLogs: Client speaks its HTTP API, to the embedded one (package
// victoria, a child process behind a Unix socket) and to an external server
// or cluster alike. eventlogtest is the suite for both.
//
// Nothing here is an acknowledgement: the journal is. The store answers
// before it has written, and stores a line twice that it is given twice. So a
// keeper inserts, makes a Checkpoint, and only then lets the journal go; after
// any doubt it asks for what is Missing and inserts that.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that callers branch on.
var (
	// ErrAway is wrapped where the store cannot be reached or is starting.
	ErrAway = errors.New("the event log does not answer")
	// ErrNoRoom is wrapped where the store takes nothing because its disk is full.
	ErrNoRoom = errors.New("the event log has no room on its disk")
	// ErrNotYet is wrapped by Checkpoint where the store cannot tell yet.
	ErrNotYet = errors.New("the event log has not written everything yet")
)

// QueryError says what is wrong with a query.
type QueryError struct {
	Query string
	At    int // byte of Query, -1 where the store found the fault
	Text  string
}

// Error names the place and the remedy.
func (e QueryError) Error() string {
	if e.At < 0 {
		return fmt.Sprintf("query %q: %s", e.Query, e.Text)
	}
	return fmt.Sprintf("query %q: %s, at character %d; see lapwing events --help", e.Query, e.Text, e.At+1)
}

// Writer puts events in.
type Writer interface {
	// Insert stores the rows of b under mark, a name for everything between
	// two checkpoints. nil means that the store took the request: it proves
	// nothing. After an error some rows may be stored.
	Insert(ctx context.Context, mark string, b *Batch) error
	// Missing takes from b the rows that the store has, by event.id. What was
	// inserted before the call is seen.
	Missing(ctx context.Context, b *Batch) error
	// Checkpoint returns nil when every row inserted under the mark is on disk
	// and survives the end of the store's process, ErrNotYet where only time
	// tells that; stored is the number of rows under the mark.
	Checkpoint(ctx context.Context, s Stretch) (stored int64, err error)
}

// Stretch is what was inserted under one mark.
type Stretch struct {
	Mark  string
	Span  Range     // of its rows
	Until time.Time // the last Insert
}

// Reader takes events out.
type Reader interface {
	// Read calls fn with each event that q asks for as a line of JSON, oldest
	// first. The line is fn's for the length of the call only.
	Read(ctx context.Context, q Query, fn func(line []byte) error) error
	// Count is the number of events that q asks for; q.Last does not matter.
	Count(ctx context.Context, q Query) (int64, error)
	// Tail calls fn with events as they become visible, until ctx ends.
	Tail(ctx context.Context, q Query, fn func(line []byte) error) error
}

// Forgetter takes events away for good.
type Forgetter interface {
	// Forget deletes what where matches and returns when it is gone.
	Forget(ctx context.Context, where Expr) error
}

// Range is a span of time; zero ends are open.
type Range struct {
	From, To time.Time // From <= t < To
}

// Query asks for events.
type Query struct {
	Where Expr // zero: everything
	Range Range
	Last  int // only the newest ones, 0 = all
}
