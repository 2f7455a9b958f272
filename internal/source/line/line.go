// Package line holds the words between who fetches logs and who reads them: a
// Line, where it came from, and the Sink that takes lines.
package line

import (
	"context"
	"time"
)

// MaxText is the longest text of a line in bytes; more is cut off and Cut is set.
const MaxText = 64 << 10

// Line is one record of a log as it was fetched: a line of text, a datagram, an
// entry of the journal, an object of JSON.
type Line struct {
	Text []byte // without its line end; the reader of the line must copy what it keeps
	// Format names the decoder (textlog's words, json, evtx, netflow ...); empty: to be found out.
	Format   string
	Received time.Time
	// Peer is the address that delivered it over a network, else empty. It is no
	// proof of anything: who writes syslog over UDP can write any.
	Peer string
	Cut  bool // Text is the beginning of a longer line
	// Mark names this line within its source. It is the same whenever the line is
	// offered again, also after a restart, so that ids made of it tell doubles.
	Mark [16]byte
}

// Batch is what a source hands over at a time, in order.
type Batch struct {
	Source string // the name it has in the configuration
	Lines  []Line
	// Position is where the source goes on after these lines; the source's own
	// format. It is kept only after the sink has taken the batch.
	Position []byte
}

// Sink takes batches. After nil the lines are judged and what is kept of them is
// durable: the source may move on. After an error it has to offer the same batch
// again. Lines are valid only during the call.
type Sink interface {
	Take(ctx context.Context, b Batch) error
}
