// Package casebook keeps what was concluded and done: alerts with the events
// they rest on, an index of sessions and of captured files, holds, and what
// operators did. Events themselves are in the event log.
//
// SQLite is the casebook in one file. Book is what its callers see, so that a
// shared database can take its place; casebooktest is the suite for both.
package casebook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Errors that callers branch on.
var (
	ErrNotFound  = errors.New("not in the casebook")
	ErrAmbiguous = errors.New("more than one in the casebook begins so")
	ErrNewer     = errors.New("the casebook is of a newer version")
	ErrDamaged   = errors.New("the casebook is damaged")
	ErrNoRoom    = errors.New("the casebook has no room on its disk")
)

// Judged is what the judge writes.
type Judged interface {
	// Position is what the last applied Batch said, "" for none.
	Position(ctx context.Context) (string, error)
	// Apply writes a Batch whole or not at all, and returns when it is durable.
	Apply(ctx context.Context, b *Batch) error
	// Recall gives a State back; ok is false where there is none.
	Recall(ctx context.Context, key string) (s State, ok bool, err error)
}

// Reader takes things out, oldest first.
type Reader interface {
	// Alerts calls fn with each alert that q asks for, without evidence.
	Alerts(ctx context.Context, q Query, fn func(*alert.Alert) error) error
	// Alert gives one with its evidence by the beginning of its id.
	Alert(ctx context.Context, id string) (*alert.Alert, error)
	// Sessions calls fn with each session that q asks for.
	Sessions(ctx context.Context, q Query, fn func(*Session) error) error
	// Captures calls fn with each captured file that q asks for.
	Captures(ctx context.Context, q Query, fn func(*Capture) error) error
}

// Desk is what operators do.
type Desk interface {
	// Hold keeps a source from being forgotten or expired.
	Hold(ctx context.Context, h Hold) error
	// Unhold ends that; ErrNotFound where there is no hold.
	Unhold(ctx context.Context, s Source) error
	// Holds are all, oldest first.
	Holds(ctx context.Context) ([]Hold, error)
	// Note writes down an act, durable on return.
	Note(ctx context.Context, a Act) error
	// Acts calls fn with what was noted, oldest first.
	Acts(ctx context.Context, fn func(Act) error) error
}

// Retainer takes things away for good.
type Retainer interface {
	// Forget removes everything of a source and says what that was. No byte of
	// it is left in the files on return. In the acts alias takes its place.
	// Holds are the caller's to look at.
	Forget(ctx context.Context, s Source, alias string) (Gone, error)
	// Expire removes what is older than the cuts and not on hold.
	Expire(ctx context.Context, c Cuts) (Gone, error)
}

// Book is the whole casebook. It is safe for concurrent use.
type Book interface {
	Judged
	Reader
	Desk
	Retainer
	// Copy writes a consistent copy to a new file while others go on.
	Copy(ctx context.Context, file string) error
	Close() error
}

// Query chooses what a Reader gives. The zero Query asks for everything.
type Query struct {
	ID     string    // the beginning of an id, or of a SHA-256
	Since  time.Time // of the last event of it
	Level  alert.Level
	Source Source // zero: any
	Last   int    // only the newest ones, 0 = all
}

// State is what the judge remembers, in its own form.
type State struct {
	Key    string
	Source netip.Addr // whose it is: it goes when the source is forgotten
	Seen   time.Time  // of the newest event in it, kept to about a minute
	Data   []byte
}

// Session is one visit that got in.
type Session struct {
	ID       string
	Source   netip.Addr
	Host     string // fake host
	Decoy    string
	User     string
	Kind     string // shell, exec, subsystem
	Start    time.Time
	End      time.Time // zero while it lasts
	Last     time.Time // of its newest event
	Commands int64
	Files    int64
	Depth    int
}

// Capture is one file as one source left it under one name.
type Capture struct {
	SHA256  string
	Size    int64 // bytes
	Source  netip.Addr
	Path    string
	Host    string
	Session string
	Count   int64
	First   time.Time
	Last    time.Time

	Findings []Finding // of the scans of its content, by the names of the rules
}

// Finding is what a scan found in a captured file.
type Finding struct {
	Rule        string // "" where the scan did not come to its end; Description says why
	Level       string
	Category    string // what kind of rule: yara, hash…
	Description string
}

// Hold keeps a source.
type Hold struct {
	Source Source
	Why    string
	Who    string
	At     time.Time
	Copied time.Time // its events before this are kept apart from the event log
}

// Act is something an operator did.
type Act struct {
	At     time.Time
	Who    string
	Act    string // forget, export, hold, release, backup, restore
	Target string // a source, or a keyed hash of one that was forgotten
	Why    string
	Result string
}

// Cuts are the ages at which things expire; a zero time keeps everything.
type Cuts struct {
	Cases    time.Time // alerts
	Sessions time.Time // sessions, and so their recordings
	Captures time.Time
	States   time.Time
}

// Gone is what was removed.
type Gone struct {
	Alerts   int64
	Evidence int64    // lines
	Sessions []string // ids: their recordings are to go, too
	Captures []string // SHA-256 that nobody else left: the files are to go, too
	States   int64
}

// DamagedError says that the file is no sound casebook.
type DamagedError struct {
	File string
	Err  error
}

// Error names the remedy.
func (e DamagedError) Error() string {
	return fmt.Sprintf("%v: %s: %v; put back a backup (lapwing restore), or move the file away: alerts then begin anew", ErrDamaged, e.File, e.Err)
}

// Unwrap lets callers ask for ErrDamaged.
func (e DamagedError) Unwrap() []error { return []error{ErrDamaged, e.Err} }

// NewerError says that a newer program wrote the file.
type NewerError struct {
	File       string
	Has, Known int
}

// Error names the remedy.
func (e NewerError) Error() string {
	return fmt.Sprintf("%v: %s has schema %d, this program knows up to %d; use the newer lapwing, or a backup from before", ErrNewer, e.File, e.Has, e.Known)
}

// Unwrap is ErrNewer.
func (e NewerError) Unwrap() error { return ErrNewer }
