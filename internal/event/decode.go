package event

import (
	"errors"
	"fmt"
	"net/netip"
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
	var e Event
	if len(text) > MaxLine {
		return e, errLong(len(text))
	}
	d := decoder{s: text}
	if !utf8.ValidString(d.s) {
		d.s = strings.ToValidUTF8(d.s, "\ufffd")
	}
	d.space()
	if !d.take('{') {
		return e, d.fail("expected '{'")
	}
	d.space()
	var src, dst addr
	for n := 0; !d.take('}'); n++ {
		if n > 0 && !d.take(',') {
			return e, d.fail("expected ',' or '}'")
		}
		if n >= MaxFields {
			return e, d.fail("too many fields")
		}
		d.space()
		name, err := d.str()
		if err != nil {
			return e, err
		}
		d.space()
		if !d.take(':') {
			return e, d.fail("expected ':'")
		}
		d.space()
		v, err := d.value()
		if err != nil {
			return e, err
		}
		e.set(name, v, &src, &dst)
		d.space()
	}
	d.space()
	if d.i != len(d.s) {
		return e, d.fail("data after the object")
	}
	e.Source, e.Destination = src.join(), dst.join()
	return e, nil
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

func (e *Event) text(name string) *string {
	switch name {
	case "event.id":
		return &e.ID
	case "event.kind":
		return &e.Kind
	case "event.category":
		return &e.Category
	case "event.type":
		return &e.Type
	case "event.action":
		return &e.Action
	case "event.outcome":
		return &e.Outcome
	case "event.dataset":
		return &e.Dataset
	case "event.reason":
		return &e.Reason
	case "network.transport":
		return &e.Transport
	case "network.protocol":
		return &e.Protocol
	case "user.name":
		return &e.User
	case "observer.name":
		return &e.Observer
	case "lapwing.host":
		return &e.Host
	case "lapwing.decoy":
		return &e.Decoy
	case "lapwing.persona":
		return &e.Persona
	case "lapwing.connection.id":
		return &e.Connection
	case "lapwing.session.id":
		return &e.Session
	case "process.command_line":
		return &e.CommandLine
	case "file.path":
		return &e.Path
	case "file.hash.sha256":
		return &e.SHA256
	case "url.original":
		return &e.URL
	case "lapwing.exercise.id":
		return &e.Exercise
	}
	return nil
}

func (e *Event) set(name string, v Value, src, dst *addr) {
	if v.kind == KindNone {
		return
	}
	if v.kind == KindString {
		if p := e.text(name); p != nil {
			*p = v.str
			return
		}
	}
	ok := false
	switch name {
	case "@timestamp":
		e.Time, ok = parseTime(v)
	case "event.ingested":
		e.Ingested, ok = parseTime(v)
	case "source.ip":
		ok = src.set("ip", v)
	case "source.port":
		ok = v.kind == KindInt && src.set("port", v)
	case "destination.ip":
		ok = dst.set("ip", v)
	case "destination.port":
		ok = v.kind == KindInt && dst.set("port", v)
	case "lapwing.depth":
		e.Depth = ParseDepth(v.str)
		ok = e.Depth != DepthNone
	case "logtype":
		e.LogType, ok = int(v.num), v.kind == KindInt && int64(int32(v.num)) == v.num
	case "process.exit_code":
		e.ExitCode, ok = int(v.num), v.kind == KindInt && int64(int32(v.num)) == v.num
		e.HasExit = ok
	case "file.size":
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
