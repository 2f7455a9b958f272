package eventlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// believed is how far a sensor's clock may be from the time of arrival. What
// is further away is filed under its arrival: the store drops, without a
// word, what lies outside its retention or more than two days ahead.
const believed = 24 * time.Hour

// The layouts of times: the store packs the short one into eight bytes.
const (
	layoutNano  = "2006-01-02T15:04:05.000000000Z"
	layoutMilli = "2006-01-02T15:04:05.000Z"
)

// id is an event.id: the bytes of a UUID, or a hash of another text.
type id [16]byte

func parseID(text []byte) id {
	var out id
	if len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' {
		var digits [32]byte
		n := 0
		for i, c := range text {
			if i == 8 || i == 13 || i == 18 || i == 23 {
				continue
			}
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				n = -1
				break
			}
			digits[n] = c
			n++
		}
		if n == len(digits) {
			hex.Decode(out[:], digits[:]) //nolint:errcheck // checked above
			return out
		}
	}
	sum := sha256.Sum256(text)
	copy(out[:], sum[:])
	return out
}

func formatID(k id) string {
	x := hex.EncodeToString(k[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// Batch is rows on their way to the store.
type Batch struct {
	rows  []byte
	at    []rowRef
	have  map[id]bool
	other []byte

	// The arrival that was parsed last: many have the same.
	arrivalText []byte
	arrival     time.Time
}

// rowRef is one row of a Batch.
type rowRef struct {
	id    id
	time  int64 // Unix nanoseconds, of _time
	start int
	text  string // the id, where it is no UUID
}

// Len is the number of rows.
func (b *Batch) Len() int { return len(b.at) }

// Size is the number of bytes that Insert sends.
func (b *Batch) Size() int { return len(b.rows) }

// Range is the time that the rows span.
func (b *Batch) Range() Range {
	var r Range
	for i := range b.at {
		r = r.with(b.at[i].time)
	}
	return r
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
	b.rows, b.at = b.rows[:0], b.at[:0]
	clear(b.have)
}

// field is one member of a flat object, as it stands in the text.
type field struct {
	name  []byte // without quotes, escapes as they stand
	value []byte
}

// Add makes a row of an event's line of JSON. An event that is there already
// is left out; one without an id is filed under fallback. The error means that
// the line is no event.
func (b *Batch) Add(line []byte, fallback string) error {
	start := len(b.rows)
	ref, err := b.add(line, fallback)
	if err != nil || b.have[ref.id] {
		b.rows = b.rows[:start]
		return err
	}
	if b.have == nil {
		b.have = map[id]bool{}
	}
	b.have[ref.id] = true
	ref.start = start
	b.at = append(b.at, ref)
	return nil
}

// rowTime is when a row is filed.
func rowTime(stamp, ingested time.Time) (t time.Time, own bool) {
	if ingested.IsZero() {
		return stamp, true
	}
	if d := stamp.Sub(ingested); stamp.IsZero() || d > believed || d < -believed {
		return ingested, false
	}
	return stamp, true
}

func (b *Batch) add(line []byte, fallback string) (rowRef, error) {
	var ref rowRef
	var stamp, ingested time.Time
	var stampText, idText []byte
	var seen [(MaxColumns + 63) / 64]uint64
	b.other = b.other[:0]
	s := scanner{data: line}
	b.rows = append(b.rows, `{"_time":"`...)
	at := len(b.rows)
	b.rows = append(b.rows, layoutNano...)
	b.rows = append(b.rows, '"')
	err := s.each(func(f field) {
		c, ok := columns[string(f.name)]
		if !ok || !c.kind.fits(f.value) || seen[c.n/64]&(1<<(c.n%64)) != 0 {
			b.fold(f)
			return
		}
		seen[c.n/64] |= 1 << (c.n % 64)
		switch string(f.name) {
		case "@timestamp":
			stampText = f.value
			stamp, _ = time.Parse(time.RFC3339Nano, string(unquoted(f.value))) // zero is not believed
			return
		case columnOther:
			b.fold(f)
			return
		case "event.ingested":
			ingested = b.arrived(f.value)
			f.value = milli(f.value)
		case "event.id":
			idText = unescape(f.value)
		}
		b.rows = appendField(b.rows, f)
	})
	if err != nil {
		return ref, err
	}
	if len(idText) == 0 {
		idText = []byte(fallback)
		b.rows = append(b.rows, `,"event.id":`...)
		b.rows = event.AppendString(b.rows, fallback)
	}
	if len(b.other) > 0 {
		b.rows = append(b.rows, `,"lapwing.other":`...)
		b.rows = event.AppendString(b.rows, string(append(b.other, '}')))
	}
	t, own := rowTime(stamp, ingested)
	if t.IsZero() {
		return ref, fmt.Errorf("%w: no time", event.ErrSyntax)
	}
	if !own && stampText != nil {
		b.rows = appendField(b.rows, field{[]byte("@timestamp"), stampText})
	}
	b.rows = append(b.rows, '}', '\n')
	if own && len(stampText) == len(layoutNano)+2 && stampText[len(stampText)-2] == 'Z' && !stamp.IsZero() {
		copy(b.rows[at:], unquoted(stampText))
	} else {
		t.UTC().AppendFormat(b.rows[at:at], layoutNano)
	}
	ref.id, ref.time = parseID(idText), t.UnixNano()
	if text := string(idText); text != formatID(ref.id) {
		ref.text = text
	}
	return ref, nil
}

// arrived is the time in a value, zero where it is none.
func (b *Batch) arrived(v []byte) time.Time {
	if !bytes.Equal(v, b.arrivalText) {
		b.arrivalText = append(b.arrivalText[:0], v...)
		b.arrival, _ = time.Parse(time.RFC3339Nano, string(unquoted(v))) // zero when it is none
	}
	return b.arrival
}

// fold puts a field into columnOther.
func (b *Batch) fold(f field) {
	c := byte(',')
	if len(b.other) == 0 {
		c = '{'
	}
	b.other = append(b.other, c, '"')
	b.other = append(b.other, f.name...)
	b.other = append(b.other, '"', ':')
	b.other = append(b.other, f.value...)
}

func appendField(dst []byte, f field) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, f.name...)
	dst = append(dst, '"', ':')
	return append(dst, f.value...)
}

func unquoted(v []byte) []byte { return v[1 : len(v)-1] }

// milli shortens a time whose nanoseconds are whole milliseconds.
func milli(v []byte) []byte {
	if short, ok := bytes.CutSuffix(v, []byte(`000000Z"`)); ok && len(v) == len(layoutNano)+2 {
		return append(slices.Clip(short), 'Z', '"')
	}
	return v
}

// fits tells whether a value comes back from a column of this kind as it was.
func (k kind) fits(v []byte) bool {
	switch c := v[0]; k {
	case kindText:
		return c == '"' && len(v) > 2 // the store does not keep an empty text
	case kindInt:
		return (c == '-' || c >= '0' && c <= '9') && len(v) < 20 && !bytes.ContainsAny(v, ".eE")
	case kindFloat:
		return c == '-' || c >= '0' && c <= '9'
	case kindBool:
		return c == 't' || c == 'f'
	case kindList:
		return c == '['
	}
	return false
}

// Restore turns a row of the store's answer into an event's line, which it
// appends to dst, or appends nothing where the row is none.
func Restore(dst, row []byte) ([]byte, error) {
	start := len(dst)
	var filed []byte
	own := true
	dst = append(dst, '{')
	more := func() {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
	}
	put := func(name, value []byte) {
		more()
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
		dst = append(dst, value...)
	}
	s := scanner{data: row}
	err := s.each(func(f field) {
		if len(f.value) < 3 || f.value[0] != '"' {
			return
		}
		name := string(f.name)
		if name == columnTime {
			filed = f.value
			return
		}
		if name == columnOther {
			var e scanner
			if e.data = unescape(f.value); e.each(func(o field) { put(o.name, o.value) }) == nil {
				return
			}
		}
		if name == "@timestamp" {
			own = false
		}
		switch columns[name].kind {
		case kindText:
			put(f.name, f.value)
		case kindList:
			put(f.name, unescape(f.value))
		case kindInt, kindFloat, kindBool:
			put(f.name, unquoted(f.value))
		}
	})
	if err != nil {
		return dst[:start], fmt.Errorf("read a row of the event log: %w", err)
	}
	if own && filed != nil {
		put([]byte("@timestamp"), filed)
	}
	return append(dst, '}'), nil
}

// unescape is the text of a JSON string.
func unescape(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return unquoted(v)
	}
	e, err := event.Decode(append(append([]byte(`{"x":`), v...), '}'))
	if err != nil || len(e.Extra) != 1 {
		return nil
	}
	return []byte(e.Extra[0].Value.Text())
}

// scanner walks a flat JSON object. It is lenient: what passes here and is no
// JSON is refused by the store or by event.Decode.
type scanner struct {
	data []byte
	i    int
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", event.ErrSyntax, what, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.data) && s.data[s.i] <= ' ' {
		s.i++
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.data) && s.data[s.i] == c {
		s.i++
		return true
	}
	return false
}

// each calls fn with every member.
func (s *scanner) each(fn func(field)) error {
	if !s.take('{') {
		return s.fail("expected '{'")
	}
	for n := 0; !s.take('}'); n++ {
		if n > 0 && !s.take(',') {
			return s.fail("expected ',' or '}'")
		}
		if n >= event.MaxFields {
			return s.fail("too many fields")
		}
		s.space()
		name, err := s.str()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.fail("expected ':'")
		}
		s.space()
		value, err := s.value()
		if err != nil {
			return err
		}
		fn(field{unquoted(name), value})
	}
	if s.space(); s.i != len(s.data) {
		return s.fail("data after the object")
	}
	return nil
}

// str is a string with its quotes.
func (s *scanner) str() ([]byte, error) {
	start := s.i
	if s.i >= len(s.data) || s.data[s.i] != '"' {
		return nil, s.fail("expected a string")
	}
	for s.i++; ; s.i++ {
		n := bytes.IndexByte(s.data[s.i:], '"')
		if n < 0 {
			break
		}
		part := s.data[s.i : s.i+n]
		s.i += n
		back := 0
		for back < len(part) && part[len(part)-1-back] == '\\' {
			back++
		}
		if back%2 == 0 { // the quote is not escaped
			s.i++
			return s.data[start:s.i], nil
		}
	}
	return nil, s.fail("string not closed")
}

// value is a string, a list of scalars, or a bare word.
func (s *scanner) value() ([]byte, error) {
	start := s.i
	if s.i >= len(s.data) {
		return nil, s.fail("value missing")
	}
	switch s.data[s.i] {
	case '"':
		return s.str()
	case '[':
		for s.i++; s.i < len(s.data); {
			switch s.data[s.i] {
			case ']':
				s.i++
				return s.data[start:s.i], nil
			case '"':
				if _, err := s.str(); err != nil {
					return nil, err
				}
			case '[', '{':
				return nil, s.fail("a list in a list")
			default:
				s.i++
			}
		}
		return nil, s.fail("list not closed")
	case '{':
		return nil, s.fail("an object in an object")
	}
	for s.i < len(s.data) && s.data[s.i] != ',' && s.data[s.i] != '}' && s.data[s.i] > ' ' {
		s.i++
	}
	if s.i == start {
		return nil, s.fail("value missing")
	}
	return s.data[start:s.i], nil
}
