package unpack

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"unicode/utf16"
)

const (
	maxMail      = 256 << 20 // bytes of one message
	maxMailParts = 10_000
)

// walkMail goes through the parts of a message (RFC 5322, RFC 2045).
func walkMail(c *container) error {
	if c.it.size > maxMail {
		return skipError{Limit, "the message is too large"}
	}
	r := io.Reader(c.input())
	head := make([]byte, 5)
	if n, _ := c.it.r.ReadAt(head, 0); n == 5 && string(head) == "From " {
		data, err := readAll(r, maxMail)
		if err != nil {
			return err
		}
		_, rest, _ := bytes.Cut(data, []byte("\n"))
		r = bytes.NewReader(rest)
	}
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	parts := 0
	return c.part(m.Header.Get, m.Body, 0, &parts)
}

// part gives one part, or the parts in it.
func (c *container) part(header func(string) string, body io.Reader, depth int, parts *int) error {
	if *parts++; *parts > maxMailParts || depth > 32 {
		return skipError{Limit, "the message has too many parts"}
	}
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil && kind == "" {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		mr := multipart.NewReader(body, params["boundary"])
		for {
			p, err := mr.NextRawPart()
			if err == io.EOF { // wrapped, it says that the closing delimiter is missing
				return nil
			}
			if err != nil {
				return skipError{Damaged, clip(err.Error(), 200)}
			}
			if err := c.part(p.Header.Get, p, depth+1, parts); err != nil {
				return err
			}
		}
	}
	name := partName(header, params)
	if name == "" {
		ext := map[string]string{"text/plain": ".txt", "text/html": ".html", "message/rfc822": ".eml"}[kind]
		name = fmt.Sprintf("part-%d%s", *parts, ext)
	}
	switch strings.ToLower(strings.TrimSpace(header("Content-Transfer-Encoding"))) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, &onlyBase64{r: body})
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	return c.give(name, body)
}

func partName(header func(string) string, params map[string]string) string {
	name := params["name"]
	if _, p, err := mime.ParseMediaType(header("Content-Disposition")); err == nil && p["filename"] != "" {
		name = p["filename"]
	}
	var dec mime.WordDecoder
	if s, err := dec.DecodeHeader(name); err == nil {
		name = s
	}
	return name
}

// onlyBase64 leaves out what is no base64, as mail programs do.
type onlyBase64 struct{ r io.Reader }

// Read implements io.Reader.
func (o *onlyBase64) Read(p []byte) (int, error) {
	for {
		n, err := o.r.Read(p)
		k := 0
		for _, b := range p[:n] {
			if isBase64(b) || b == '=' {
				p[k] = b
				k++
			}
		}
		if k > 0 || err != nil {
			return k, err
		}
	}
}

func isBase64(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '+' || b == '/'
}

const (
	minBase64  = 64   // characters; shorter runs are words and keys
	maxBase64s = 5000 // runs of one text
)

// walkBase64 gives what long runs of base64 in a text say: scripts carry their
// next stage like this. UTF-16 (what PowerShell's -EncodedCommand holds) is
// given as UTF-8 too.
func walkBase64(c *container) error {
	data, err := readAll(c.input(), maxText)
	if err != nil {
		return err
	}
	found := 0
	for i := 0; i < len(data); i++ {
		if !isBase64(data[i]) {
			continue
		}
		j := i
		for j < len(data) && isBase64(data[j]) {
			j++
		}
		run := data[i:j]
		at := i
		i = j
		if len(run) < minBase64 || !mixed(run) {
			continue
		}
		out := make([]byte, base64.RawStdEncoding.DecodedLen(len(run)))
		n, err := base64.RawStdEncoding.Decode(out, run[:len(run)-btoi(len(run)%4 == 1)])
		if err != nil && n == 0 {
			continue
		}
		wide := wideText(out[:n])
		if wide == "" && !telling(out[:n]) { // a key, a digest, a font: nothing that anybody runs
			continue
		}
		if found++; found > maxBase64s {
			return skipError{Limit, fmt.Sprintf("the text has more than %d runs of base64", maxBase64s)}
		}
		name := fmt.Sprintf("base64@%d", at)
		if err := c.give(name, bytes.NewReader(out[:n])); err != nil {
			return err
		}
		if wide != "" {
			if err := c.give(name+".txt", strings.NewReader(wide)); err != nil {
				return err
			}
		}
	}
	return nil
}

// telling tells whether b is something that is run or opened: a known format, or
// text.
func telling(b []byte) bool {
	if isExecutable(b, item{}) || sniff(item{r: bytes.NewReader(b), size: int64(len(b))}) != nil && bytes.IndexByte(b, 0) >= 0 {
		return true
	}
	odd := 0
	for _, x := range b {
		if x < 0x20 && x != '\t' && x != '\n' && x != '\r' || x == 0x7f {
			odd++
		}
	}
	return odd*50 <= len(b)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mixed tells base64 from a long word or a hash in hex.
func mixed(b []byte) bool {
	var upper, lower, digit, wide bool
	for _, x := range b {
		switch {
		case x >= 'A' && x <= 'Z':
			upper = true
			wide = wide || x > 'F'
		case x >= 'a' && x <= 'z':
			lower = true
			wide = wide || x > 'f'
		default:
			digit = true
		}
	}
	return upper && lower && digit && wide
}

// wideText is b as text if it is UTF-16 of Latin letters.
func wideText(b []byte) string {
	if len(b) < 16 {
		return ""
	}
	zero := 0
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		if b[i+1] == 0 {
			zero++
		}
		u = append(u, uint16(b[i])|uint16(b[i+1])<<8)
	}
	if zero*10 < len(u)*9 {
		return ""
	}
	return string(utf16.Decode(u))
}
