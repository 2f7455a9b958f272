package event

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// The limits of Decode.
const (
	MaxLine   = 1 << 20 // bytes of one event on the wire
	MaxFields = 512     // fields of one event
)

// usualExtra is how many fields of an event of a decoy have no place of their own.
const usualExtra = 4

// ErrSyntax is wrapped by every error of Decode.
var ErrSyntax = errors.New("malformed event")

// Decode reads one flat JSON object as written by AppendJSON. Unknown names
// go to Extra in their order; a name that stands twice keeps the last value
// of a typed field. Nested objects are refused. data is not kept.
func Decode(data []byte) (Event, error) {
	if len(data) > MaxLine {
		return Event{}, errLong(len(data))
	}
	return DecodeText(string(data)) // one copy; every value is a part of it
}

func errLong(n int) error {
	return fmt.Errorf("%w: %d bytes, the limit is %d", ErrSyntax, n, MaxLine)
}

// DecodeText is Decode for a string: every value is a part of it, and keeps it.
func DecodeText(text string) (Event, error) {
	var r Reader
	err := r.decode(text)
	return r.e, err
}

// Reader decodes events one after the other in the same memory. The zero Reader
// is ready; it is for one goroutine.
type Reader struct {
	e    Event
	next [len(written)]uint8 // which name followed one the last time
}

// Decode is DecodeText. The event is good until the next call; who keeps it takes
// a Clone.
func (r *Reader) Decode(text string) (*Event, error) {
	clear(r.e.Extra) // lists and texts of it are let go
	r.e = Event{Extra: r.e.Extra[:0]}
	err := r.decode(text)
	return &r.e, err
}

// Clone is e with a list of fields of its own; the texts are shared.
func (e *Event) Clone() *Event {
	c := *e
	c.Extra = slices.Clone(e.Extra)
	return &c
}

func (r *Reader) decode(text string) error {
	if len(text) > MaxLine {
		return errLong(len(text))
	}
	d := decoder{s: text}
	if !utf8.ValidString(d.s) {
		d.s = strings.ToValidUTF8(d.s, "\ufffd")
	}
	d.space()
	if !d.take('{') {
		return d.fail("expected '{'")
	}
	d.space()
	var src, dst addr
	for n, last := 0, 0; !d.take('}'); n++ {
		if n > 0 && !d.take(',') {
			return d.fail("expected ',' or '}'")
		}
		if n >= MaxFields {
			return d.fail("too many fields")
		}
		d.space()
		name, k, err := r.name(&d, last)
		if err != nil {
			return err
		}
		last = max(k, last)
		d.space()
		v, err := d.value()
		if err != nil {
			return err
		}
		r.e.set(k, name, v, &src, &dst)
		d.space()
	}
	d.space()
	if d.i != len(d.s) {
		return d.fail("data after the object")
	}
	r.e.Source, r.e.Destination = src.join(), dst.join()
	return nil
}

// name takes a name and the colon, and says which of written it is, -1 for none.
// The one that followed last the last time is tried first.
func (r *Reader) name(d *decoder, last int) (name string, k int, err error) {
	k = int(r.next[last])
	name, rest := written[k].name, d.s[d.i:]
	if n := len(name); len(rest) > n+2 && rest[n+1] == '"' && rest[n+2] == ':' && rest[0] == '"' && rest[1:n+1] == name {
		d.i += n + 3
		return name, k, nil
	}
	if name, err = d.str(); err != nil {
		return "", -1, err
	}
	d.space()
	if !d.take(':') {
		return "", -1, d.fail("expected ':'")
	}
	for k = last + 1; k < len(written); k++ {
		if name == written[k].name {
			r.next[last] = uint8(k)
			return name, k, nil
		}
	}
	return name, nameIndex(name), nil
}

// UnmarshalJSON is Decode.
func (e *Event) UnmarshalJSON(data []byte) error {
	v, err := Decode(data)
	if err == nil {
		*e = v
	}
	return err
}

type addr struct {
	ip   netip.Addr
	port uint16
}

func (a addr) join() netip.AddrPort {
	if !a.ip.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.ip, a.port)
}

func (a *addr) set(name string, v Value) bool {
	if name == "ip" {
		ip, err := netip.ParseAddr(v.str)
		if err != nil {
			return false
		}
		a.ip = ip.Unmap().WithZone("")
		return true
	}
	if v.num < 0 || v.num > 65535 {
		return false
	}
	a.port = uint16(v.num)
	return true
}

func parseTime(v Value) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, v.str)
	return t.UTC(), err == nil
}

// textAt is the place of a name of written that is text alone, else nil.
func (e *Event) textAt(k int) *string {
	switch k {
	case idAt:
		return &e.ID
	case kindAt:
		return &e.Kind
	case categoryAt:
		return &e.Category
	case typeAt:
		return &e.Type
	case actionAt:
		return &e.Action
	case outcomeAt:
		return &e.Outcome
	case datasetAt:
		return &e.Dataset
	case reasonAt:
		return &e.Reason
	case transportAt:
		return &e.Transport
	case protocolAt:
		return &e.Protocol
	case userAt:
		return &e.User
	case observerAt:
		return &e.Observer
	case hostAt:
		return &e.Host
	case decoyAt:
		return &e.Decoy
	case personaAt:
		return &e.Persona
	case connectionAt:
		return &e.Connection
	case sessionAt:
		return &e.Session
	case commandAt:
		return &e.CommandLine
	case pathAt:
		return &e.Path
	case sumAt:
		return &e.SHA256
	case urlAt:
		return &e.URL
	case exerciseAt:
		return &e.Exercise
	}
	return nil
}

// set gives the name number k of written, -1 for another, a value.
func (e *Event) set(k int, name string, v Value, src, dst *addr) {
	if v.kind == KindNone {
		return
	}
	if v.kind == KindString {
		if p := e.textAt(k); p != nil {
			*p = v.str
			return
		}
	}
	ok := false
	switch k {
	case timeAt:
		e.Time, ok = parseTime(v)
	case ingestedAt:
		e.Ingested, ok = parseTime(v)
	case sourceAt:
		ok = src.set("ip", v)
	case sourceAt + 1:
		ok = v.kind == KindInt && src.set("port", v)
	case destinationAt:
		ok = dst.set("ip", v)
	case destinationAt + 1:
		ok = v.kind == KindInt && dst.set("port", v)
	case depthAt:
		e.Depth = ParseDepth(v.str)
		ok = e.Depth != DepthNone
	case logTypeAt:
		e.LogType, ok = int(v.num), v.kind == KindInt && int64(int32(v.num)) == v.num
	case exitAt:
		e.ExitCode, ok = int(v.num), v.kind == KindInt && int64(int32(v.num)) == v.num
		e.HasExit = ok
	case sizeAt:
		e.Size, ok = v.num, v.kind == KindInt
	}
	if !ok {
		if e.Extra == nil {
			e.Extra = make([]Field, 0, usualExtra) // growing costs twice that
		}
		e.Extra = append(e.Extra, Field{name, v})
	}
}

type decoder struct {
	s string
	i int
}

func (d *decoder) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, d.i)
}

func (d *decoder) space() {
	for d.i < len(d.s) && (d.s[d.i] == ' ' || d.s[d.i] == '\t' || d.s[d.i] == '\n' || d.s[d.i] == '\r') {
		d.i++
	}
}

func (d *decoder) take(c byte) bool {
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return true
	}
	return false
}

func (d *decoder) value() (Value, error) {
	if d.i >= len(d.s) {
		return Value{}, d.fail("value missing")
	}
	switch c := d.s[d.i]; {
	case c == '"':
		s, err := d.str()
		return String(s), err
	case c == '[':
		return d.list()
	case c == '-' || (c >= '0' && c <= '9'):
		return d.number()
	}
	switch rest := d.s[d.i:]; {
	case strings.HasPrefix(rest, "true"):
		d.i += 4
		return Bool(true), nil
	case strings.HasPrefix(rest, "false"):
		d.i += 5
		return Bool(false), nil
	case strings.HasPrefix(rest, "null"):
		d.i += 4
		return Value{}, nil
	}
	return Value{}, d.fail("unexpected value")
}

func (d *decoder) list() (Value, error) {
	d.i++
	var l []string
	d.space()
	for !d.take(']') {
		if len(l) > 0 && !d.take(',') {
			return Value{}, d.fail("expected ',' or ']'")
		}
		d.space()
		if d.i < len(d.s) && d.s[d.i] == '[' {
			return Value{}, d.fail("list in a list")
		}
		v, err := d.value()
		if err != nil {
			return Value{}, err
		}
		l = append(l, v.Text())
		d.space()
	}
	return List(l...), nil
}

func (d *decoder) number() (Value, error) {
	start := d.i
	for d.i < len(d.s) && (d.s[d.i] == '-' || d.s[d.i] == '+' || d.s[d.i] == '.' || d.s[d.i]|0x20 == 'e' || (d.s[d.i] >= '0' && d.s[d.i] <= '9')) {
		d.i++
	}
	raw := d.s[start:d.i]
	if !numberForm(raw) {
		return Value{}, d.fail("bad number")
	}
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return Int(n), nil
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil {
		return String(raw), nil //nolint:nilerr // out of range: kept as text
	}
	return Float(f), nil
}

func (d *decoder) str() (string, error) {
	if !d.take('"') {
		return "", d.fail("expected a string")
	}
	start := d.i
	d.i += plain(d.s[start:])
	for d.i < len(d.s) {
		switch c := d.s[d.i]; {
		case c == '"':
			d.i++
			return d.s[start : d.i-1], nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", d.fail("control character in a string")
		}
		d.i++
	}
	return "", d.fail("string not closed")
}

// numberForm checks the grammar of RFC 8259, section 6.
func numberForm(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	zero := strings.HasPrefix(s, "0")
	whole := len(s)
	if !digits() || zero && whole-len(s) > 1 {
		return false
	}
	if rest, ok := strings.CutPrefix(s, "."); ok {
		if s = rest; !digits() {
			return false
		}
	}
	if s != "" && s[0]|0x20 == 'e' {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

func (d *decoder) escaped(start int) (string, error) {
	buf := []byte(d.s[start:d.i])
	for d.i < len(d.s) {
		c := d.s[d.i]
		d.i++
		switch {
		case c == '"':
			return string(buf), nil
		case c < 0x20:
			return "", d.fail("control character in a string")
		case c != '\\':
			buf = append(buf, c)
			continue
		}
		if d.i >= len(d.s) {
			break
		}
		c = d.s[d.i]
		d.i++
		if c == 'u' {
			r, err := d.hex()
			if err != nil {
				return "", err
			}
			buf = utf8.AppendRune(buf, r)
			continue
		}
		k := strings.IndexByte(`"\/bfnrt`, c)
		if k < 0 {
			return "", d.fail("bad escape")
		}
		buf = append(buf, "\"\\/\b\f\n\r\t"[k])
	}
	return "", d.fail("string not closed")
}

func (d *decoder) hex() (rune, error) {
	r, err := d.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if strings.HasPrefix(d.s[d.i:], `\u`) {
		d.i += 2
		low, err := d.hex4()
		if err != nil {
			return 0, err
		}
		return utf16.DecodeRune(r, low), nil
	}
	return utf8.RuneError, nil
}

func (d *decoder) hex4() (rune, error) {
	if d.i+4 > len(d.s) {
		return 0, d.fail("short \\u escape")
	}
	n, err := strconv.ParseUint(d.s[d.i:d.i+4], 16, 16)
	if err != nil {
		return 0, d.fail("bad \\u escape")
	}
	d.i += 4
	return rune(n), nil
}
