package eventlog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// id is an event.id: the bytes of a UUID, or a hash of another text.
type id [16]byte

func parseID(text []byte) id {
	if out, ok := event.ParseUUID(text); ok {
		return out
	}
	var out id
	sum := sha256.Sum256(text)
	copy(out[:], sum[:])
	return out
}

// Batch is events on their way to the store.
type Batch struct {
	lines []byte // as the journal has them, a newline after each
	at    []rowRef
	have  map[id]bool
	row   Row
	rows  []byte // for a store that takes JSON lines
}

// rowRef is one event of a Batch.
type rowRef struct {
	id    id
	time  int64 // Unix nanoseconds, of _time
	start int
	text  string // the id, where it is no UUID
}

// Len is the number of events.
func (b *Batch) Len() int { return len(b.at) }

// Size is the number of bytes of the events.
func (b *Batch) Size() int { return len(b.lines) }

// Range is the time that the rows span.
func (b *Batch) Range() Range {
	var r Range
	if len(b.at) == 0 {
		return r
	}
	first, last := b.at[0].time, b.at[0].time
	for i := range b.at {
		first, last = min(first, b.at[i].time), max(last, b.at[i].time)
	}
	return r.with(first).with(last)
}

func (r Range) with(ns int64) Range {
	t := time.Unix(0, ns)
	if r.From.IsZero() || t.Before(r.From) {
		r.From = t
	}
	if !t.Before(r.To) {
		r.To = t.Add(1)
	}
	return r
}

// Union is the span of both.
func (r Range) Union(o Range) Range {
	if r.From.IsZero() || !o.From.IsZero() && o.From.Before(r.From) {
		r.From = o.From
	}
	if r.To.Before(o.To) {
		r.To = o.To
	}
	return r
}

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	b.lines, b.at = b.lines[:0], b.at[:0]
	clear(b.have)
}

// Add takes an event's line of JSON. An event that is there already is left
// out; one without an id is filed under fallback. The error means that the
// line is no event. A line that begins as event.AppendJSON writes it is
// believed to go on like that: what is no event after all the store leaves
// out, and a checkpoint tells.
func (b *Batch) Add(line []byte, fallback string) error {
	start := len(b.lines)
	ref, ok := b.head(line)
	if ok {
		b.lines = append(append(b.lines, line...), '\n')
	} else {
		var err error
		if ref, err = b.whole(line, fallback); err != nil {
			return err
		}
	}
	if b.have[ref.id] {
		b.lines = b.lines[:start]
		return nil
	}
	if b.have == nil {
		b.have = map[id]bool{}
	}
	b.have[ref.id] = true
	ref.start = start
	b.at = append(b.at, ref)
	return nil
}

// The places of what a line of event.AppendJSON begins with.
const (
	headTime     = `{"@timestamp":"`
	headID       = `","event.id":"`
	headIngested = `","event.ingested":"`
	timeAt       = len(headTime)
	idAt         = timeAt + len(layoutNano) + len(headID)
	ingestedAt   = idAt + 36 + len(headIngested)
	headEnd      = ingestedAt + len(layoutNano)
)

// head reads time and id off the beginning of a line as the hub stamps it.
func (b *Batch) head(line []byte) (ref rowRef, ok bool) {
	if len(line) <= headEnd+1 || line[len(line)-1] != '}' || line[headEnd] != '"' || string(line[:timeAt]) != headTime ||
		string(line[idAt-len(headID):idAt]) != headID || string(line[ingestedAt-len(headIngested):ingestedAt]) != headIngested {
		return ref, false
	}
	if ref.id, ok = event.ParseUUID(line[idAt : idAt+36]); !ok {
		return ref, false
	}
	stamp, ok := b.row.stamp(line[timeAt:][:len(layoutNano)])
	if !ok {
		return ref, false
	}
	ingested := b.row.arrived(line[ingestedAt-1 : headEnd+1])
	if ingested.IsZero() {
		return ref, false
	}
	t, _ := rowTime(stamp, ingested)
	ref.time = t.UnixNano()
	return ref, true
}

// whole takes any line apart.
func (b *Batch) whole(line []byte, fallback string) (ref rowRef, err error) {
	if err = b.row.Parse(line, fallback); err != nil {
		return ref, err
	}
	text := b.row.id
	ref.id, ref.time = parseID(text), b.row.Time
	if s := string(text); s != event.FormatUUID(ref.id) {
		ref.text = s
	}
	if b.row.named { // the id is in it
		b.lines = append(append(b.lines, line...), '\n')
		return ref, nil
	}
	b.lines = append(b.lines, `{"event.id":`...)
	b.lines = event.AppendString(b.lines, fallback)
	line = bytes.TrimLeft(line, " \t\r\n")
	rest := bytes.TrimLeft(line[1:], " \t\r\n")
	if rest[0] != '}' {
		b.lines = append(b.lines, ',')
	}
	b.lines = append(append(b.lines, rest...), '\n')
	return ref, nil
}

func (b *Batch) end(i int) int {
	if i+1 < len(b.at) {
		return b.at[i+1].start
	}
	return len(b.lines)
}

// line is the event number i.
func (b *Batch) line(i int) []byte { return b.lines[b.at[i].start : b.end(i)-1] }

// Each calls fn with every event's line. It is fn's for the length of the call.
func (b *Batch) Each(fn func(line []byte) error) error {
	for i := range b.at {
		if err := fn(b.line(i)); err != nil {
			return err
		}
	}
	return nil
}

// jsonRows are the rows as lines of JSON for a store that takes these. What is
// no event is left out.
func (b *Batch) jsonRows() []byte {
	b.rows = b.rows[:0]
	for i := range b.at {
		if b.row.Parse(b.line(i), "") == nil {
			b.rows = append(b.row.appendJSON(b.rows), '\n')
		}
	}
	return b.rows
}

// remove takes rows out.
func (b *Batch) remove(ids map[id]bool) {
	if len(ids) > 0 {
		b.filter(func(ref rowRef) bool { return !ids[ref.id] })
	}
}

// Filter takes out the events whose event.id keep does not want.
func (b *Batch) Filter(keep func(id string) bool) {
	b.filter(func(ref rowRef) bool { return keep(b.idText(&ref)) })
}

// Expire takes out the events that are filed before t and tells how many.
func (b *Batch) Expire(t time.Time) int {
	n, limit := b.Len(), t.UnixNano()
	for i := range b.at {
		if b.at[i].time < limit {
			b.filter(func(ref rowRef) bool { return ref.time >= limit })
			break
		}
	}
	return n - b.Len()
}

func (b *Batch) filter(keep func(rowRef) bool) {
	lines, at := b.lines[:0], b.at[:0]
	for i, ref := range b.at {
		line := b.lines[ref.start:b.end(i)]
		if !keep(ref) {
			delete(b.have, ref.id)
			continue
		}
		ref.start = len(lines)
		lines, at = append(lines, line...), append(at, ref)
	}
	b.lines, b.at = lines, at
}

func (b *Batch) idText(ref *rowRef) string {
	if ref.text != "" {
		return ref.text
	}
	return event.FormatUUID(ref.id)
}

var errNoTime = fmt.Errorf("%w: no time", event.ErrSyntax)
