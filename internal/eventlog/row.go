package eventlog

import (
	"bytes"
	"math/bits"
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
	layoutNano   = "2006-01-02T15:04:05.000000000Z"
	layoutMilli  = "2006-01-02T15:04:05.000Z"
	layoutSecond = "2006-01-02T15:04:05"
)

// Row is an event taken apart into the columns of the store. It may be used
// again and again, and is for one goroutine.
type Row struct {
	Time int64 // Unix nanoseconds, under which it is filed

	set   [(places + 63) / 64]uint64 // columns that have a value
	value [places][]byte             // of them, as JSON
	next  [places]uint16             // the column that came last after each, 0 being none
	id    []byte                     // the text of event.id
	named bool                       // id is in the line
	other []byte                     // what has no column, a JSON object without its end
	texts []byte

	// What was parsed last: many have the same.
	arrivalText []byte
	arrival     time.Time
	second      [len(layoutSecond)]byte
	unix        int64 // of second, 0: none
}

// Parse takes an event's line of JSON apart, which r refers to until the next
// call. An event without an id is filed under fallback. The error means that
// the line is no event.
func (r *Row) Parse(line []byte, fallback string) error {
	clear(r.set[:])
	r.other, r.texts, r.id, r.named = r.other[:0], r.texts[:0], nil, false
	var stamp, ingested time.Time
	var stampText []byte
	var f field
	s := scanner{data: line}
	for after := uint16(0); ; {
		c, more, err := r.member(&s, &f, after)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if c != nil {
			after = c.n
		}
		if c == nil || !c.kind.fits(f.value) || r.has(c.n) || c.role == roleOther {
			if c != nil {
				fold(r, c.name, f.value)
			} else {
				fold(r, f.name, f.value)
			}
			continue
		}
		switch c.role {
		case roleTime:
			stampText = f.value
			stamp, _ = r.stamp(unquoted(f.value)) // zero is not believed
		case roleIngested:
			ingested = r.arrived(f.value)
			f.value = milli(f.value)
		case roleID:
			r.id, r.named = r.text(f.value), true
		}
		r.put(c.n, f.value)
	}
	if len(r.id) == 0 {
		r.id, r.named = []byte(fallback), false
		r.put(columns["event.id"].n, event.AppendString(nil, fallback))
	}
	if len(r.other) > 0 {
		r.other = append(r.other, '}')
		r.put(columns[columnOther].n, r.other)
	}
	t, own := rowTime(stamp, ingested)
	if t.IsZero() {
		return errNoTime
	}
	if r.Time = t.UnixNano(); !time.Unix(0, r.Time).Equal(t) { // centuries away, and no arrival
		r.Time, own = 0, false
	}
	if own && stampText != nil {
		n := columns["@timestamp"].n
		r.set[n/64] &^= 1 << (n % 64)
	}
	return nil
}

// member takes the next member of s, and its column if it has one: it is looked
// for first where it was after the same column the last time. f.name is set
// where there is none.
func (r *Row) member(s *scanner, f *field, after uint16) (c *column, more bool, err error) {
	if c = &table[r.next[after]]; c.n != 0 && s.expect(c.key) {
		f.value, err = s.value()
		return c, true, err
	}
	if more, err = s.member(f); !more {
		return nil, false, err
	}
	if c = columns[string(f.name)]; c != nil {
		r.next[after] = c.n
	}
	return c, true, nil
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

func (r *Row) has(n uint16) bool { return r.set[n/64]&(1<<(n%64)) != 0 }

func (r *Row) put(n uint16, value []byte) {
	r.set[n/64] |= 1 << (n % 64)
	r.value[n] = value
}

// each calls fn with the columns that have a value, in the order of names.
func (r *Row) each(fn func(n uint16)) {
	for i, word := range r.set {
		for ; word != 0; word &= word - 1 {
			fn(uint16(i*64 + bits.TrailingZeros64(word)))
		}
	}
}

// Columns calls fn with each column's name and text, in the order of names, as
// the store keeps them; lapwing.mark, which no event can have, is among them.
// The texts are parts of the line or of r, until the next Parse.
func (r *Row) Columns(mark []byte, fn func(name string, text []byte)) {
	r.put(markColumn, mark)
	r.each(func(n uint16) {
		text := r.value[n]
		if c := &table[n]; c.kind == kindText && c.role != roleOther && c.role != roleMark {
			text = r.text(text)
		}
		fn(table[n].name, text)
	})
}

// appendJSON appends the row as the store takes it in JSON lines.
func (r *Row) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"_time":"`...)
	dst = time.Unix(0, r.Time).UTC().AppendFormat(dst, layoutNano)
	dst = append(dst, '"')
	r.each(func(n uint16) {
		dst = append(dst, ',', '"')
		dst = append(dst, table[n].name...)
		dst = append(dst, '"', ':')
		if table[n].role == roleOther {
			dst = event.AppendString(dst, string(r.value[n]))
		} else {
			dst = append(dst, r.value[n]...)
		}
	})
	return append(dst, '}')
}

// text is the text of a JSON string, a part of it or of r.texts.
func (r *Row) text(v []byte) []byte {
	i := bytes.IndexByte(v, '\\')
	if i < 0 {
		return unquoted(v)
	}
	from := len(r.texts)
	var ok bool
	if r.texts, ok = appendUnescaped(r.texts, v[1:len(v)-1], i-1); !ok {
		return unescape(v)
	}
	return r.texts[from:]
}

// short are the escapes of one letter, by it.
var short = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// appendUnescaped appends the text of what stands between the quotes of a JSON
// string, whose first backslash is at i; false where it has escapes by number.
func appendUnescaped(dst, v []byte, i int) ([]byte, bool) {
	start := len(dst)
	for i >= 0 {
		if i+1 >= len(v) || short[v[i+1]] == 0 {
			return dst[:start], false
		}
		dst = append(append(dst, v[:i]...), short[v[i+1]])
		v = v[i+2:]
		i = bytes.IndexByte(v, '\\')
	}
	return append(dst, v...), true
}

// stamp is the time in a text, false and zero where it is none.
func (r *Row) stamp(v []byte) (time.Time, bool) {
	const dot = len(layoutSecond)
	if len(v) == len(layoutNano) && v[dot] == '.' && v[len(v)-1] == 'Z' && r.unix != 0 && string(v[:dot]) == string(r.second[:]) {
		n := int64(0)
		for _, c := range v[dot+1 : len(v)-1] {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			n = n*10 + int64(c-'0')
		}
		return time.Unix(r.unix, n), true
	}
	t, err := time.Parse(time.RFC3339Nano, string(v))
	if err != nil {
		return time.Time{}, false
	}
	if len(v) == len(layoutNano) && v[len(v)-1] == 'Z' {
		r.unix = t.Unix()
		copy(r.second[:], v)
	}
	return t, true
}

// arrived is the time in a value, zero where it is none.
func (r *Row) arrived(v []byte) time.Time {
	if !bytes.Equal(v, r.arrivalText) {
		r.arrivalText = append(r.arrivalText[:0], v...)
		r.arrival, _ = r.stamp(unquoted(v)) // zero when it is none
	}
	return r.arrival
}

// fold puts a field into columnOther.
func fold[T string | []byte](r *Row, name T, value []byte) {
	c := byte(',')
	if len(r.other) == 0 {
		c = '{'
	}
	r.other = append(r.other, c, '"')
	r.other = append(r.other, name...)
	r.other = append(r.other, '"', ':')
	r.other = append(r.other, value...)
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
