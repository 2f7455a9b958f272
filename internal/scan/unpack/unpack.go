// Package unpack opens what files are packed in: archives, compressed files,
// mail, Office and PDF containers, scripts in base64. It calls a function for
// each thing found inside, to any depth, and says what it could not open.
//
// Its input is hostile. Everything is bounded (Limits); going over a limit is
// told as Skipped, never passed over in silence. Nothing is written under a
// name that the input gives, links are not followed, nothing is executed.
package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Limits bound one call of Walk. Zero takes the default in brackets.
type Limits struct {
	Depth   int           // containers inside containers (16)
	Entries int           // things found in all (100,000)
	Entry   int64         // bytes of one thing after unpacking (256 MiB)
	Total   int64         // bytes of all things after unpacking (2 GiB)
	Ratio   int64         // bytes out for each byte of the outermost file, after the first 64 MiB (1,000)
	Memory  int64         // dictionary or window of one decoder, bytes (128 MiB)
	Time    time.Duration // of one call (2 minutes)
	Name    int           // bytes of one name; longer ones are cut (1,024)
}

func (l Limits) withDefaults() Limits {
	set := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	if l.Depth == 0 {
		l.Depth = 16
	}
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Time == 0 {
		l.Time = 2 * time.Minute
	}
	if l.Name == 0 {
		l.Name = 1024
	}
	set(&l.Entry, 256<<20)
	set(&l.Total, 2<<30)
	set(&l.Ratio, 1000)
	set(&l.Memory, 128<<20)
	return l
}

// freeBytes are unpacked before Limits.Ratio counts.
const freeBytes = 64 << 20

// Entry is one thing found inside. Content is valid during the call only.
type Entry struct {
	Path    string // "mail.eml!report.zip!a/b.exe": the names from the outermost file's content inwards, joined by "!"
	Format  string // of the container it came out of: zip, gzip, tar, ...
	Content io.ReaderAt
	Size    int64
}

// Reason is why something was not looked at.
type Reason string

// The reasons.
const (
	Limit       Reason = "limit"       // a bound of Limits; the text names it
	Encrypted   Reason = "encrypted"   // a password is needed
	Damaged     Reason = "damaged"     // cut off, or it contradicts itself
	Unsupported Reason = "unsupported" // a method that is not read here
)

// Skipped is something inside the file that was not, or not fully, looked at.
type Skipped struct {
	Path   string
	Format string
	Reason Reason
	Text   string // what exactly, for a person
}

// Report is what Walk says besides the entries.
type Report struct {
	Format  string    // of the outermost file, "" if it holds nothing
	Skipped []Skipped // at most maxSkipped
	More    int       // skipped things beyond those
	Notes   []string  // "packed with UPX"
	Entries int
	Bytes   int64 // unpacked in all
}

const maxSkipped = 1000

// Complete reports whether all that was inside has been looked at.
func (r *Report) Complete() bool { return len(r.Skipped) == 0 }

// ErrStop returned by a visit ends Walk without an error.
var ErrStop = errors.New("stop")

// Walk calls visit for everything inside the file, containers included, the
// outer ones first. It does not call visit for the file itself. An error is
// visit's own, or of ctx; what is wrong with the file is in the Report.
func Walk(ctx context.Context, in io.ReaderAt, size int64, l Limits, visit func(Entry) error) (Report, error) {
	l = l.withDefaults()
	inner, cancel := context.WithTimeout(ctx, l.Time)
	defer cancel()
	w := &walker{ctx: inner, l: l, outer: size, visit: visit}
	err := w.open(item{r: in, size: size})
	w.report.Bytes = w.bytes
	switch {
	case errors.Is(err, ErrStop):
		err = nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case inner.Err() != nil:
		w.skip(item{}, Limit, fmt.Sprintf("more than %s were needed", l.Time))
		err = nil
	case errors.Is(err, errTotal):
		err = nil
	}
	return w.report, err
}

// item is one thing to open.
type item struct {
	path  string
	r     io.ReaderAt
	size  int64
	depth int
	name  string // the last part of the path
}

type walker struct {
	ctx    context.Context //nolint:containedctx // the walker lives for one call
	l      Limits
	outer  int64
	visit  func(Entry) error
	bytes  int64
	report Report
}

// errTotal ends the whole walk: a bound over all entries is reached.
var errTotal = errors.New("a limit of the whole file is reached")

func (w *walker) skip(it item, why Reason, text string) {
	if len(w.report.Skipped) >= maxSkipped {
		w.report.More++
		return
	}
	w.report.Skipped = append(w.report.Skipped, Skipped{Path: it.path, Format: w.report.Format, Reason: why, Text: text})
}

// open looks what it is and goes through it.
func (w *walker) open(it item) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	f := sniff(it)
	if f == nil {
		return nil
	}
	if it.depth == 0 {
		w.report.Format = f.name
	}
	if it.depth >= w.l.Depth {
		w.skip(it, Limit, fmt.Sprintf("%s inside more than %d containers is not opened", f.name, w.l.Depth))
		return nil
	}
	c := &container{w: w, it: it, format: f.name}
	err := c.guarded(f.walk)
	if err == nil || passes(err) || w.ctx.Err() != nil {
		return err
	}
	if s, ok := errors.AsType[skipError](err); ok {
		w.skip(it, s.reason, f.name+": "+s.text)
		return nil
	}
	if !f.maybe || c.entries > 0 { // a guess that found nothing was none
		w.skip(it, Damaged, f.name+": "+clip(err.Error(), 200))
	}
	return nil
}

// passes tells the errors that end the whole walk.
func passes(err error) bool {
	var v visitError
	return errors.Is(err, errTotal) || errors.Is(err, ErrStop) || errors.As(err, &v)
}

// visitError is an error of visit.
type visitError struct{ error }

// Unwrap gives visit's own error.
func (e visitError) Unwrap() error { return e.error }

// skipError says that the rest of a container is not looked at.
type skipError struct {
	reason Reason
	text   string
}

// Error is the text for a person.
func (e skipError) Error() string { return e.text }

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
