package sigma

import (
	"slices"
	"strconv"
	"unsafe"
)

// Type is the type that a value had in the source.
type Type uint8

// The types of values. Null is "the field is there and holds null", which for
// rules is the same as a field that is absent.
const (
	Null Type = iota
	Text
	Number // Text holds it as the source wrote it: 4688, 0x3e7, 1.5e3; 1e3 and 1000.0 become 1000
	Bool   // Text is "true" or "false"
)

// Value is one value of a field. The bytes are not copied: they must stay as
// they are until the record is reset. Escapes of the source (of JSON, of XML)
// are already resolved.
type Value struct {
	Text []byte
	Type Type
}

// Bytes makes a text value of b, without copying.
func Bytes(b []byte) Value { return Value{Text: b, Type: Text} }

// String makes a text value of s, without copying.
func String(s string) Value {
	return Value{Text: unsafe.Slice(unsafe.StringData(s), len(s)), Type: Text}
}

// Int makes a number. It allocates for numbers over 99; decoders that have the
// digits use Value{digits, Number}.
func Int(n int64) Value { return Value{Text: strconv.AppendInt(nil, n, 10), Type: Number} }

// MaxFields is the number of values that a record holds; more are left out and
// counted in Record.Left.
const MaxFields = 1 << 16

// MaxValue is the number of bytes of one value that rules look at. Longer
// values are cut there and counted in Record.Cut.
const MaxValue = 16 << 20

// Record is one log record as rules see it: field names as the source and the
// SigmaHQ rules write them (Image, TargetObject, cs-uri-query,
// userIdentity.type: nested objects are flattened with dots; EventData names
// lose their spaces), each with one or more values. A decoder has one Record
// for each of its goroutines and fills it again and again:
//
//	rec := sigma.NewRecord(fields)
//	for ... {
//		rec.Reset()
//		rec.Source = mapping.Source(channel, provider, eventID)
//		rec.Time = t.UnixNano()
//		rec.SetID(imageID, nil, sigma.Bytes(image))  // id looked up before
//		rec.Set(name, sigma.Bytes(value))            // name looked up now
//		for _, m := range worker.Match(rec) { ... }
//	}
//
// Values of arrays are given with Add under the same name (objects in arrays
// likewise: resources.accountId); a rule then matches when one of them does.
//
// Keyword searches look at each value of each field on its own, but not at
// fields given with Hide. A Record serves one goroutine at a time.
type Record struct {
	// Source says what kind of record it is. It must be set before Match.
	Source *Source
	// Time is when the event happened, in nanoseconds since 1970 UTC. Only
	// correlations read it.
	Time int64
	// Repeat is how often the same happened, where the record stands for several;
	// correlations count it as often. 0 is 1.
	Repeat int
	// Left is the number of values left out because of MaxFields, Cut the number
	// of values cut at MaxValue.
	Left, Cut int

	fields  *Fields
	gen     uint32
	slots   []slot
	entries []entry
}

// slot is where the values of a field with an id begin and end in entries.
type slot struct {
	gen        uint32
	head, tail int32
}

type entry struct {
	text   []byte
	name   []byte // of a field without id
	id     FieldID
	next   int32 // of the same field, -1 at the end
	typ    Type
	hidden bool
	dead   bool // replaced by a later Set
}

// NewRecord makes an empty record over the table that the engine uses too.
func NewRecord(f *Fields) *Record {
	return &Record{fields: f, gen: 1, slots: make([]slot, f.Len()+64)}
}

// Reset empties the record and forgets every value's bytes.
func (r *Record) Reset() {
	r.Source, r.Time, r.Repeat, r.Left, r.Cut = nil, 0, 0, 0, 0
	r.entries = r.entries[:0]
	r.gen++
	if r.gen == 0 { // wrapped after 4 billion records
		clear(r.slots)
		r.gen = 1
	}
}

// Fields is the table that the record resolves names in.
func (r *Record) Fields() *Fields { return r.fields }

// Set gives a field one value, in place of any that it had. The name's bytes
// are kept, not copied.
func (r *Record) Set(name []byte, v Value) { r.SetID(r.fields.IDBytes(name), name, v) }

// SetString is Set for a name that is a string.
func (r *Record) SetString(name string, v Value) {
	r.SetID(r.fields.ID(name), unsafe.Slice(unsafe.StringData(name), len(name)), v)
}

// SetID is Set for a name whose id is known. With NoField the name is needed:
// the value takes part in keyword searches only.
func (r *Record) SetID(id FieldID, name []byte, v Value) {
	if id != NoField {
		for i := r.head(id); i >= 0; i = r.entries[i].next {
			r.entries[i].dead = true
		}
		r.slot(id).gen = 0
	}
	r.put(id, name, v)
}

// Add gives a field one more value.
func (r *Record) Add(name []byte, v Value) { r.put(r.fields.IDBytes(name), name, v) }

// AddID is Add for a name whose id is known.
func (r *Record) AddID(id FieldID, name []byte, v Value) { r.put(id, name, v) }

// Hide is Set for a field that keyword searches must not look into: what the
// decoder or the mapping made up (aliases, file names, our own fields).
func (r *Record) Hide(id FieldID, v Value) {
	if id == NoField {
		return
	}
	if r.head(id) >= 0 {
		r.SetID(id, nil, v)
	} else {
		r.put(id, nil, v)
	}
	if n := len(r.entries); n > 0 && r.entries[n-1].id == id {
		r.entries[n-1].hidden = true
	}
}

// Alias lets the field dst, where it is absent, have the values of src, such as
// Image those of NewProcessName. Keyword searches do not see them twice. A
// mapping makes sure that src has an id, also when no rule reads it, by
// Fields.Add when it is loaded.
func (r *Record) Alias(dst, src FieldID) {
	if dst == NoField || src == NoField || dst == src || r.head(dst) >= 0 {
		return
	}
	for i := r.head(src); i >= 0; i = r.entries[i].next {
		e := r.entries[i]
		r.put(dst, nil, Value{e.text, e.typ})
		r.entries[len(r.entries)-1].hidden = true
	}
}

func (r *Record) put(id FieldID, name []byte, v Value) {
	if len(r.entries) >= MaxFields {
		r.Left++
		return
	}
	if v.Type == Number {
		v.Text = canonicalNumber(v.Text)
	}
	if len(v.Text) > MaxValue {
		v.Text = v.Text[:MaxValue]
		r.Cut++
	}
	i := int32(len(r.entries))
	if id != NoField {
		name = nil
		if s := r.slot(id); s.gen != r.gen {
			*s = slot{gen: r.gen, head: i, tail: i}
		} else {
			r.entries[s.tail].next = i
			s.tail = i
		}
	}
	if int(i) == cap(r.entries) {
		r.entries = slices.Grow(r.entries, max(64, len(r.entries)))
	}
	r.entries = r.entries[:i+1]
	e := &r.entries[i] // filled in place: a copy of it costs more
	e.text, e.name, e.id, e.next, e.typ, e.hidden, e.dead = v.Text, name, id, -1, v.Type, false, false
}

func (r *Record) slot(id FieldID) *slot {
	if int(id) >= len(r.slots) {
		more := make([]slot, int(id)+64)
		copy(more, r.slots)
		r.slots = more
	}
	return &r.slots[id]
}

// head is the index of the first value of a field, -1 when it is absent.
func (r *Record) head(id FieldID) int32 {
	if id < 0 || int(id) >= len(r.slots) || r.slots[id].gen != r.gen {
		return -1
	}
	return r.slots[id].head
}

// single tells whether the i-th value is the only one of field id.
func (r *Record) single(id FieldID, i int32) bool {
	return r.entries[i].next < 0 && r.slots[id].head == i
}

// Get is the first value of a field, for messages, output and tests: a name
// that no rule reads costs a look at every field.
func (r *Record) Get(name string) (Value, bool) {
	for n, v := range r.All() {
		if n == name {
			return v, true
		}
	}
	return Value{}, false
}

// All yields each field's name and value, in the order given; a field with
// several values comes several times.
func (r *Record) All() func(yield func(string, Value) bool) {
	return func(yield func(string, Value) bool) {
		for i := range r.entries {
			e := &r.entries[i]
			if e.dead {
				continue
			}
			if !yield(r.nameOf(e), Value{e.text, e.typ}) {
				return
			}
		}
	}
}

func (r *Record) nameOf(e *entry) string {
	if e.id != NoField {
		return r.fields.Name(e.id)
	}
	return string(e.name)
}
