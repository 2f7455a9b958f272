package event

import (
	"math"
	"math/bits"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends e as one flat JSON object without a newline. Bytes that
// are not UTF-8 are written as \ufffd; control characters are escaped.
func (e *Event) AppendJSON(dst []byte) []byte {
	w, start := writer(dst), len(dst)
	w.time(`,"@timestamp":`, e.Time)
	w.str(`,"event.id":`, e.ID)
	w.time(`,"event.ingested":`, e.Ingested)
	w.str(`,"event.kind":`, e.Kind)
	w.str(`,"event.category":`, e.Category)
	w.str(`,"event.type":`, e.Type)
	w.str(`,"event.action":`, e.Action)
	w.str(`,"event.outcome":`, e.Outcome)
	w.str(`,"event.dataset":`, e.Dataset)
	w.str(`,"event.reason":`, e.Reason)
	w.addr(`,"source.ip":"`, `,"source.port":`, e.Source)
	w.addr(`,"destination.ip":"`, `,"destination.port":`, e.Destination)
	w.str(`,"network.transport":`, e.Transport)
	w.str(`,"network.protocol":`, e.Protocol)
	w.str(`,"user.name":`, e.User)
	w.str(`,"observer.name":`, e.Observer)
	w.str(`,"lapwing.host":`, e.Host)
	w.str(`,"lapwing.decoy":`, e.Decoy)
	w.str(`,"lapwing.persona":`, e.Persona)
	w.str(`,"lapwing.connection.id":`, e.Connection)
	w.str(`,"lapwing.session.id":`, e.Session)
	w.str(`,"lapwing.depth":`, e.Depth.String())
	if e.LogType != 0 {
		w.int(`,"logtype":`, int64(e.LogType))
	}
	w.str(`,"process.command_line":`, e.CommandLine)
	if e.HasExit {
		w.int(`,"process.exit_code":`, int64(e.ExitCode))
	}
	w.str(`,"file.path":`, e.Path)
	if e.Path != "" || e.SHA256 != "" {
		w.int(`,"file.size":`, e.Size)
	}
	w.str(`,"file.hash.sha256":`, e.SHA256)
	w.str(`,"url.original":`, e.URL)
	w.str(`,"lapwing.exercise.id":`, e.Exercise)
	for i := range e.Extra {
		w.value(e.Extra[i].Name, &e.Extra[i].Value)
	}
	return w.end(start)
}

// MarshalJSON is AppendJSON.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// writer is an object that is being written: each member begins with a comma,
// the first of which becomes the brace.
type writer []byte

// end ends the object that begins at start.
func (w writer) end(start int) []byte {
	if len(w) == start {
		return append(w, "{}"...)
	}
	w[start] = '{'
	return append(w, '}')
}

// str writes text. key is the comma, the name in quotes and the colon, here and
// below.
func (w *writer) str(key, v string) {
	if v != "" {
		*w = AppendString(append(*w, key...), v)
	}
}

func (w *writer) int(key string, v int64) {
	*w = strconv.AppendInt(append(*w, key...), v, 10)
}

func (w *writer) time(key string, t time.Time) {
	if !t.IsZero() {
		*w = append(appendTime(append(append(*w, key...), '"'), t.UTC()), '"')
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

// addr writes an address, whose key ends with the quote, and a port.
func (w *writer) addr(ip, port string, a netip.AddrPort) {
	if !a.Addr().IsValid() {
		return
	}
	*w = append(a.Addr().Unmap().WithZone("").AppendTo(append(*w, ip...)), '"')
	w.int(port, int64(a.Port()))
}

func (w *writer) value(name string, v *Value) {
	if v.kind == KindNone {
		return
	}
	dst := append(AppendString(append(*w, ','), name), ':')
	switch v.kind {
	case KindInt:
		dst = strconv.AppendInt(dst, v.num, 10)
	case KindFloat:
		if math.IsNaN(v.flt) || math.IsInf(v.flt, 0) {
			dst = AppendString(dst, v.Text())
			break
		}
		dst = strconv.AppendFloat(dst, v.flt, 'g', -1, 64)
	case KindBool:
		dst = strconv.AppendBool(dst, v.num != 0)
	case KindList:
		dst = append(dst, '[')
		for i, s := range v.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, s)
		}
		dst = append(dst, ']')
	default:
		dst = AppendString(dst, v.str)
	}
	*w = dst
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

// plain is how many bytes at the beginning of s need no escape and are ASCII;
// they are looked at eight at a time.
func plain[T string | []byte](s T) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if odd := oddBytes(word(s[i:])); odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	switch {
	case i == len(s):
	case len(s) >= 8: // the last eight bytes, some of which are known
		i = len(s) - 8
		if odd := oddBytes(word(s[i:])); odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	default:
		for i < len(s) && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' && s[i] < 0x7f {
			i++
		}
		return i
	}
	return len(s)
}

// word is the first eight bytes of s.
func word[T string | []byte](s T) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// oddBytes has a top bit where a byte of w is below 0x20, above 0x7e, a quote or
// a backslash. That of the first such byte is right, those after it may not be.
func oddBytes(w uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, back, del := w^'"'*ones, w^'\\'*ones, w^0x7f*ones
	return (w | (w - 0x20*ones) | (quote-ones)&^quote | (back-ones)&^back | (del-ones)&^del) & tops
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
