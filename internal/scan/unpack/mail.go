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
	if err != nil { // programs that are less strict may still show what is in it
		return walkBase64(c)
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
