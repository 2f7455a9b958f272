// Package watch tells when directories and files change, without polling, where
// the operating system can (inotify on Linux).
package watch

import "errors"

// ErrNot says that this system tells nobody of changes: look now and then.
var ErrNot = errors.New("this system does not tell of changes to files")

// Event is one change. Many changes between two looks may be one Event.
type Event struct {
	ID   int    // as Dir or File gave it
	Name string // of what changed in a directory; empty for the watched thing itself
	// Gone says that ID watches nothing any more.
	Gone bool
	// Overflow says that changes were lost: everything may have changed. ID is -1.
	Overflow bool
}
