package event

import (
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends e as one flat JSON object without a newline. Bytes that
// are not UTF-8 are written as \ufffd; control characters are escaped.
func (e *Event) AppendJSON(dst []byte) []byte {
	w := writer{dst: append(dst, '{')}
	w.time("@timestamp", e.Time)
	w.str("event.id", e.ID)
	w.time("event.ingested", e.Ingested)
	w.str("event.kind", e.Kind)
	w.str("event.category", e.Category)
	w.str("event.type", e.Type)
	w.str("event.action", e.Action)
	w.str("event.outcome", e.Outcome)
	w.str("event.dataset", e.Dataset)
	w.str("event.reason", e.Reason)
	w.addr("source.ip", "source.port", e.Source)
	w.addr("destination.ip", "destination.port", e.Destination)
	w.str("network.transport", e.Transport)
	w.str("network.protocol", e.Protocol)
	w.str("user.name", e.User)
	w.str("observer.name", e.Observer)
	w.str("lapwing.host", e.Host)
	w.str("lapwing.decoy", e.Decoy)
	w.str("lapwing.persona", e.Persona)
	w.str("lapwing.connection.id", e.Connection)
	w.str("lapwing.session.id", e.Session)
	w.str("lapwing.depth", e.Depth.String())
	if e.LogType != 0 {
		w.int("logtype", int64(e.LogType))
	}
	w.str("process.command_line", e.CommandLine)
	if e.HasExit {
		w.int("process.exit_code", int64(e.ExitCode))
	}
	w.str("file.path", e.Path)
	if e.Path != "" || e.SHA256 != "" {
		w.int("file.size", e.Size)
	}
	w.str("file.hash.sha256", e.SHA256)
	w.str("url.original", e.URL)
	w.str("lapwing.exercise.id", e.Exercise)
	for i := range e.Extra {
		w.value(e.Extra[i].Name, e.Extra[i].Value)
	}
	return append(w.dst, '}')
}

// MarshalJSON is AppendJSON.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

type writer struct {
	dst  []byte
	more bool
}

// key writes one of our own names, which need no escape.
func (w *writer) key(name string) {
	if w.more {
		w.dst = append(w.dst, ',')
	}
	w.more = true
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, '"', ':')
}

// foreign writes any name.
func (w *writer) foreign(name string) {
	if w.more {
		w.dst = append(w.dst, ',')
	}
	w.more = true
	w.dst = AppendString(w.dst, name)
	w.dst = append(w.dst, ':')
}

func (w *writer) str(name, v string) {
	if v != "" {
		w.key(name)
		w.dst = AppendString(w.dst, v)
	}
}

func (w *writer) int(name string, v int64) {
	w.key(name)
	w.dst = strconv.AppendInt(w.dst, v, 10)
}

func (w *writer) time(name string, t time.Time) {
	if !t.IsZero() {
		w.key(name)
		w.dst = append(w.dst, '"')
		w.dst = appendTime(w.dst, t.UTC())
		w.dst = append(w.dst, '"')
	}
}

// timeLayout has nine digits, so that times sort as text.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// appendTime is AppendFormat with timeLayout, which has no quick way there.
func appendTime(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, timeLayout)
	}
	hour, minute, sec := t.Clock()
	dst = digits(dst, year, 4, '-')
	dst = digits(dst, int(month), 2, '-')
	dst = digits(dst, day, 2, 'T')
	dst = digits(dst, hour, 2, ':')
	dst = digits(dst, minute, 2, ':')
	dst = digits(dst, sec, 2, '.')
	return digits(dst, t.Nanosecond(), 9, 'Z')
}

// digits appends n with leading zeros to width, at most 9, and what follows it.
func digits(dst []byte, n, width int, then byte) []byte {
	var b [9]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(dst, b[:width]...), then)
}

func (w *writer) addr(ip, port string, a netip.AddrPort) {
	if !a.Addr().IsValid() {
		return
	}
	w.key(ip)
	w.dst = append(w.dst, '"')
	w.dst = a.Addr().Unmap().WithZone("").AppendTo(w.dst)
	w.dst = append(w.dst, '"')
	w.int(port, int64(a.Port()))
}

func (w *writer) value(name string, v Value) {
	if v.kind == KindNone {
		return
	}
	w.foreign(name)
	switch v.kind {
	case KindInt:
		w.dst = strconv.AppendInt(w.dst, v.num, 10)
	case KindFloat:
		if math.IsNaN(v.flt) || math.IsInf(v.flt, 0) {
			w.dst = AppendString(w.dst, v.Text())
			return
		}
		w.dst = strconv.AppendFloat(w.dst, v.flt, 'g', -1, 64)
	case KindBool:
		w.dst = strconv.AppendBool(w.dst, v.num != 0)
	case KindList:
		w.dst = append(w.dst, '[')
		for i, s := range v.list {
			if i > 0 {
				w.dst = append(w.dst, ',')
			}
			w.dst = AppendString(w.dst, s)
		}
		w.dst = append(w.dst, ']')
	default:
		w.dst = AppendString(w.dst, v.str)
	}
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Every control character, DEL, the
// C1 range and the line separators are escaped, so that the line is safe to
// print; invalid UTF-8 becomes \ufffd.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := plain(s); i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && n == 1
		if bad || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			i += n
			start = i
			continue
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// plain is how many bytes at the beginning of s are sure to need no escape,
// found out eight at a time.
func plain[T string | []byte](s T) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		quote, back, del := w^'"'*ones, w^'\\'*ones, w^0x7f*ones
		// A top bit stands where a byte is below 0x20, above 0x7f, or one of the three.
		if (w|(w-0x20*ones)|(quote-ones)&^quote|(back-ones)&^back|(del-ones)&^del)&tops != 0 {
			break
		}
	}
	return i
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
