// Package scan looks at files: every scanner is asked about each, and what
// could not be looked at to the end is told, never taken for clean.
package scan

import (
	"context"
	"io"
	"strings"
)

// Finding is something that a scanner found in a file.
type Finding struct {
	// Detector is what kind of scanner: "yara", "indicator", "capture", "clamd".
	Detector string
	// Inside is where in the file's contents it was found ("a.zip!b.exe"); empty
	// for the file itself.
	Inside string
	Rule   string
	Tags   []string
	Meta   []Meta
	Places []Place
}

// Meta is what a rule says of itself: a string, an int64 or a bool.
type Meta struct {
	Name  string
	Value any
}

// Place is where something was found, in bytes from the file's beginning.
type Place struct {
	String         string
	Offset, Length int64
	Data           []byte // the first bytes of it
}

// Scanner looks at one file. It may be called by many goroutines. What it found
// is valid even with an error; an *Incomplete tells that something of the file
// was not looked at. in may have a method Name() string, which gives the path.
type Scanner interface {
	Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error)
}

// Incomplete is a file that was not looked at to the end.
type Incomplete struct{ Reasons []string } //nolint:errname // a part of a report

func (e *Incomplete) Error() string {
	const most = 5
	if len(e.Reasons) > most {
		return "not fully looked at: " + strings.Join(e.Reasons[:most], "; ") + "; and more"
	}
	return "not fully looked at: " + strings.Join(e.Reasons, "; ")
}
