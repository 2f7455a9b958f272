package hunt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"path"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/source/evtx"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// The formats that textlog does not know.
const (
	formatEVTX   = "evtx"
	formatChunks = "evtx chunks" // without the file's header
	formatLines  = "json"        // one object a line
	formatStream = "json stream" // objects over several lines, arrays
)

// sniff recognises a format by the beginning of an input; "" for what is no log.
func sniff(sample []byte, name string) string {
	switch {
	case bytes.HasPrefix(sample, []byte(evtx.FileMagic)):
		return formatEVTX
	case bytes.HasPrefix(sample, []byte(evtx.ChunkMagic)):
		return formatChunks
	}
	body := bytes.TrimLeft(sample, " \t\r\n\x00\x1e")
	if len(body) == 0 {
		return ""
	}
	if body[0] == '{' || (body[0] == '[' && jsonAfter(body[1:])) {
		return jsonKind(body)
	}
	if bytes.HasPrefix(body, []byte("__CURSOR=")) {
		return textlog.Journal // its fields may hold anything
	}
	if binaryLooking(sample) {
		return ""
	}
	if strings.HasSuffix(name, ".xml") {
		return textlog.XML
	}
	return textlog.Sniff(sample)
}

func jsonAfter(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && (b[0] == '{' || b[0] == ']')
}

// jsonKind tells JSON lines from documents that go over lines, and from those
// that stand behind each other without lines.
func jsonKind(b []byte) string {
	if b[0] == '[' || wrapper(b) || another(b) {
		return formatStream
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		end = len(b)
	}
	first := bytes.TrimRight(b[:end], " \t\r")
	if len(first) > 1 && first[len(first)-1] == '}' || (end == len(b) && len(b) >= sampleSize/2) {
		return formatLines
	}
	next := bytes.TrimLeft(b[end:], " \t\r\n")
	if len(next) > 1 && next[0] == '{' { // a damaged first line
		return formatLines
	}
	return formatStream
}

// another tells whether a second object stands in the line in which the first ends.
func another(b []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				rest := bytes.TrimLeft(b[i+1:], " \t")
				return len(rest) > 0 && rest[0] == '{'
			}
		}
	}
	return false
}

// wrapper tells whether an object is only there to hold an array of records,
// as CloudTrail, Azure and others write them; Microsoft Graph says first what
// the array is.
func wrapper(b []byte) bool {
	b = bytes.TrimLeft(b[1:], " \t\r\n")
	for range maxNotes {
		if !bytes.HasPrefix(b, []byte(`"@odata.`)) {
			break
		}
		_, rest, ok := bytes.Cut(b, []byte(","))
		if !ok {
			return false
		}
		b = bytes.TrimLeft(rest, " \t\r\n")
	}
	for _, k := range [...]string{`"Records"`, `"records"`, `"value"`, `"Events"`, `"events"`} {
		if rest, ok := bytes.CutPrefix(b, []byte(k)); ok {
			rest = bytes.TrimLeft(rest, " \t\r\n:")
			return len(rest) > 0 && rest[0] == '['
		}
	}
	return false
}

// maxNotes is how many members may stand before the array of records.
const maxNotes = 4

// binaryLooking tells whether a sample holds what no text holds.
func binaryLooking(b []byte) bool {
	odd := 0
	for _, c := range b {
		if c == 0 || (c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != 0x1b && c != 0x1d) {
			odd++
		}
	}
	return odd > len(b)/100
}

// zeekPath is the log's name that Zeek puts into the file's name.
func zeekPath(name string) string {
	base := path.Base(strings.ReplaceAll(name, "\\", "/"))
	if i := strings.LastIndexByte(base, '!'); i >= 0 {
		base = base[i+1:]
	}
	base, _, _ = strings.Cut(base, ".")
	base, _, _ = strings.Cut(base, "_20")
	switch base {
	case "conn", "dns", "http", "ssl", "x509", "files", "smb_files", "smb_mapping", "dce_rpc", "kerberos", "rdp", "ssh", "smtp", "ftp", "ntlm", "notice", "weird":
		return base
	}
	return ""
}

// utf8Reader takes a byte order mark away and turns UTF-16 into UTF-8. It also
// gives the sample in UTF-8.
func utf8Reader(br *bufio.Reader, sample []byte) (io.Reader, []byte) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(sample, []byte("\xef\xbb\xbf")):
		br.Discard(3) //nolint:errcheck // they were peeked at
		return br, sample[3:]
	case bytes.HasPrefix(sample, []byte("\xff\xfe")), len(sample) > 8 && sample[1] == 0 && sample[3] == 0 && sample[5] == 0 && sample[0] != 0:
		order = binary.LittleEndian
	case bytes.HasPrefix(sample, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return br, sample
	}
	text := decode16(nil, sample[:len(sample)&^1], order)
	u := &utf16Reader{r: br, order: order}
	return u, bytes.TrimPrefix(text, []byte("\ufeff"))
}

func decode16(dst, b []byte, order binary.ByteOrder) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(order.Uint16(b[i:]))
		if utf16.IsSurrogate(r) && i+3 < len(b) {
			if full := utf16.DecodeRune(r, rune(order.Uint16(b[i+2:]))); full != utf8.RuneError {
				r = full
				i += 2
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// utf16Reader gives UTF-16 as UTF-8.
type utf16Reader struct {
	r     io.Reader
	order binary.ByteOrder
	raw   []byte // an odd byte, or half a surrogate pair
	out   []byte
	begun bool
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		buf := make([]byte, 32<<10)
		n, err := u.r.Read(buf)
		u.raw = append(u.raw, buf[:n]...)
		whole := len(u.raw) &^ 1
		if whole >= 2 && err == nil && utf16.IsSurrogate(rune(u.order.Uint16(u.raw[whole-2:]))) {
			whole -= 2
		}
		u.out = decode16(u.out[:0], u.raw[:whole], u.order)
		u.raw = append(u.raw[:0], u.raw[whole:]...)
		if !u.begun && len(u.out) > 0 {
			u.out, u.begun = bytes.TrimPrefix(u.out, []byte("\ufeff")), true
		}
		if err != nil && len(u.out) == 0 {
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}
