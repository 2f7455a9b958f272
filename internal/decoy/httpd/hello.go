package httpd

import (
	"crypto/md5" //nolint:gosec // JA3 is defined with it
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// hello is a client's first message of TLS (RFC 8446, 4.1.2), as far as it
// tells who speaks.
type hello struct {
	legacy     uint16
	versions   []uint16
	ciphers    []uint16
	extensions []uint16 // in the client's order
	groups     []uint16
	points     []uint8
	signatures []uint16
	alpn       []string
	name       string // server name, "" for none
	hasName    bool
}

// grease tells of values that say nothing (RFC 8701).
func grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// cursor reads big-endian numbers and fields with their length before them.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad = true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// field is what follows a length of one or two bytes.
func (c *cursor) field8() *cursor  { return &cursor{b: c.take(int(c.u8())), bad: c.bad} }
func (c *cursor) field16() *cursor { return &cursor{b: c.take(int(c.u16())), bad: c.bad} }

func (c *cursor) list16() []uint16 {
	var out []uint16
	for !c.bad && len(c.b) >= 2 {
		if v := c.u16(); !grease(v) {
			out = append(out, v)
		}
	}
	return out
}

// parseHello reads a handshake message; ok is false when it is no ClientHello.
func parseHello(msg []byte) (h *hello, ok bool) {
	c := &cursor{b: msg}
	if c.u8() != 1 {
		return nil, false
	}
	c.take(3)
	h = &hello{legacy: c.u16()}
	c.take(32)
	c.field8()
	h.ciphers = c.field16().list16()
	c.field8()
	if c.bad {
		return nil, false
	}
	ext := c.field16()
	for !ext.bad && len(ext.b) > 0 {
		kind := ext.u16()
		body := ext.field16()
		if ext.bad {
			return nil, false
		}
		if !grease(kind) {
			h.extensions = append(h.extensions, kind)
			h.extension(kind, body)
		}
	}
	return h, true
}

func (h *hello) extension(kind uint16, body *cursor) {
	switch kind {
	case 0:
		h.hasName = true
		names := body.field16()
		names.u8()
		h.name = string(names.field16().b)
	case 10:
		h.groups = body.field16().list16()
	case 11:
		h.points = body.field8().b
	case 13:
		h.signatures = body.field16().list16()
	case 16:
		for list := body.field16(); !list.bad && len(list.b) > 0; {
			h.alpn = append(h.alpn, string(list.field8().b))
		}
	case 43:
		h.versions = body.field8().list16()
	}
}

func join[T uint8 | uint16](list []T, sep string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = strconv.Itoa(int(v))
	}
	return strings.Join(out, sep)
}

// ja3 is the fingerprint of that name (Salesforce, 2017): an MD5 in hex.
func (h *hello) ja3() string {
	text := fmt.Sprintf("%d,%s,%s,%s,%s", h.legacy, join(h.ciphers, "-"), join(h.extensions, "-"), join(h.groups, "-"), join(h.points, "-"))
	sum := md5.Sum([]byte(text)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// ja4 is the fingerprint JA4 of a client over TCP (FoxIO, 2023).
func (h *hello) ja4() string {
	version := h.legacy
	if len(h.versions) > 0 {
		version = slices.Max(h.versions)
	}
	words := map[uint16]string{0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
	v := words[version]
	if v == "" {
		v = "00"
	}
	sni := "i"
	if h.hasName {
		sni = "d"
	}
	alpn := "00"
	if len(h.alpn) > 0 && h.alpn[0] != "" {
		alpn = ends(h.alpn[0])
	}
	exts := slices.DeleteFunc(slices.Clone(h.extensions), func(e uint16) bool { return e == 0 || e == 16 })
	c := hexList(h.ciphers, true)
	e := hexList(exts, true)
	if s := hexList(h.signatures, false); s != "" && e != "" {
		e += "_" + s
	}
	return fmt.Sprintf("t%s%s%02d%02d%s_%s_%s", v, sni, min(len(h.ciphers), 99), min(len(h.extensions), 99), alpn, short(c), short(e))
}

// ends are the first and the last character of a protocol's name, in hex where one is no letter or digit.
func ends(s string) string {
	a, z := s[0], s[len(s)-1]
	if !alnum(a) || !alnum(z) {
		x := hex.EncodeToString([]byte{a, z})
		return x[:1] + x[3:]
	}
	return string([]byte{a, z})
}

func alnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func hexList(list []uint16, sort bool) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprintf("%04x", v)
	}
	if sort {
		slices.Sort(out)
	}
	return strings.Join(out, ",")
}

// short is the beginning of a SHA-256 as JA4 takes it; zeros for nothing.
func short(s string) string {
	if s == "" {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

// maxHello is how much of a first message is looked at; longer ones pass unseen.
const maxHello = 16 << 10

// heard is a connection of which the first message of TLS was read before, and
// is read again.
type heard struct {
	net.Conn
	before []byte
}

func (c *heard) Read(b []byte) (int, error) {
	if len(c.before) > 0 {
		n := copy(b, c.before)
		c.before = c.before[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// listen reads a client's first message without taking it. plain is true when
// it speaks no TLS.
func listen(conn net.Conn) (c *heard, h *hello, plain bool, err error) {
	c = &heard{Conn: conn}
	var msg []byte
	for {
		head := make([]byte, 5)
		n, err := io.ReadFull(conn, head)
		c.before = append(c.before, head[:n]...)
		if err != nil {
			return c, nil, len(c.before) > 0 && c.before[0] != 22, err
		}
		size := int(binary.BigEndian.Uint16(head[3:]))
		if head[0] != 22 || head[1] != 3 || size > maxHello {
			return c, nil, head[0] != 22 && head[0] != 21 && head[0]&0x80 == 0, nil
		}
		body := make([]byte, size)
		n, err = io.ReadFull(conn, body)
		c.before = append(c.before, body[:n]...)
		if err != nil {
			return c, nil, false, err
		}
		if msg = append(msg, body...); len(msg) >= 4 {
			want := 4 + (int(msg[1])<<16 | int(msg[2])<<8 | int(msg[3]))
			if want > maxHello || len(c.before) > 2*maxHello {
				return c, nil, false, nil
			}
			if len(msg) >= want {
				h, _ = parseHello(msg[:want])
				return c, h, false, nil
			}
		}
	}
}
