// Package action holds the words between who decides on an answer and who
// carries it out: an Action, and the Backend that plans, applies and reverts it.
package action

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Kind is what an Action does.
type Kind string

// The closed list of kinds.
const (
	Block          Kind = "block"           // packets from Prefix are dropped
	Quarantine     Kind = "quarantine"      // File is taken away, and can be given back
	DisableAccount Kind = "disable-account" // Account cannot log in; never by itself
)

// Action is one answer. Which of Prefix, File and Account is set follows from
// its Kind.
type Action struct {
	ID      string // UUID of the decision it carries out
	Kind    Kind
	Prefix  netip.Prefix // masked; a single address has 32 or 128 bits
	File    string       // absolute path
	Account string       // local user name
	Until   time.Time    // when it ends by itself; never zero for Block
}

// Errors that backends wrap, and callers tell apart.
var (
	// ErrAllowed says that the action would hit what may never be hit.
	ErrAllowed = errors.New("the address is on the allow list")
	// ErrFull says that a backend holds as much as it may.
	ErrFull = errors.New("the limit of blocks is reached")
	// ErrDegraded says that a backend cannot act now and will catch up.
	ErrDegraded = errors.New("the back end does not answer")
	// ErrUnsupported says that a backend has no way to do it here.
	ErrUnsupported = errors.New("not possible here")
)

// Standing is an action that a backend holds now.
type Standing struct {
	Action  Action    // ID is empty where the backend keeps none
	Expires time.Time // as the backend counts; zero: never
	Packets uint64    // that it stopped, where it counts
}

// Plan is what Apply would do, for people to read before it is done.
type Plan struct {
	Text  []string // one line a step, in words or as the command that would say the same
	Undo  []string // likewise for Revert
	Noop  bool     // nothing would change
	Risky string   // why a person should look first; empty: no reason
}

// Backend carries actions out. Its methods may be called at once; Apply and
// Revert of what is so already are no errors. Each call ends with its context.
type Backend interface {
	Name() string
	// Handles tells whether actions of this kind are its business.
	Handles(Kind) bool
	Plan(context.Context, Action) (Plan, error)
	// Apply brings actions about; an error is a join of one for each that failed,
	// each an *Error. The others stand.
	Apply(context.Context, []Action) error
	Revert(context.Context, []Action) error
	// List gives what stands, in no order.
	List(context.Context) ([]Standing, error)
	// Health is nil while the backend can act, else why not, for a person.
	Health(context.Context) error
}

// Error is why one action failed.
type Error struct {
	Action Action
	Err    error
}

// Error is the text.
func (e *Error) Error() string {
	what := e.Action.File + e.Action.Account
	if e.Action.Prefix.IsValid() {
		what = e.Action.Prefix.String()
	}
	return string(e.Action.Kind) + " " + what + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }
