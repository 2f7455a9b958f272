package unpack

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

const (
	minBase64  = 64      // characters; shorter runs are words and keys
	minLine    = 16      // characters of a line that a run goes on behind
	maxBase64s = 5000    // runs of one text
	maxWide    = 8 << 20 // bytes of UTF-16 that are given as UTF-8
	tellBy     = 64 << 10
)

// base64Run is a run of base64 characters, over line breaks.
type base64Run struct {
	end    int64
	chars  int64
	line   int // characters of its last line
	gap    bool
	kinds  byte     // what it has: see kindsOf
	starts [4]int64 // where lines begin, by the number of characters before them modulo 4; -1: none
}

// The kinds of characters that tell base64 from a long word or a hash in hex.
const (
	kindUpper = 1 << iota
	kindLower
	kindOther
	kindNoHex
	kindsAll = 1<<iota - 1
)

func kindsOf(b byte) byte {
	switch {
	case b >= 'A' && b <= 'F':
		return kindUpper
	case b >= 'A' && b <= 'Z':
		return kindUpper | kindNoHex
	case b >= 'a' && b <= 'f':
		return kindLower
	case b >= 'a' && b <= 'z':
		return kindLower | kindNoHex
	}
	return kindOther
}

// next takes one more byte of the text; false: the run ended before it.
func (r *base64Run) next(b byte, at int64) bool {
	switch {
	case isBase64(b):
		if r.gap {
			r.gap, r.line = false, 0
			if s := &r.starts[r.chars%4]; *s < 0 {
				*s = at
			}
		}
		r.kinds |= kindsOf(b)
		r.chars++
		r.line++
		r.end = at + 1
		return true
	case b == '\r' || b == '\n':
		r.gap = true
		return r.line >= minLine
	}
	return r.gap && (b == ' ' || b == '\t')
}

// walkBase64 gives what long runs of base64 in a text say: scripts carry their
// next stage like this, in one line or in many. UTF-16 (what PowerShell's
// -EncodedCommand holds) is given as UTF-8 too.
func walkBase64(c *container) error {
	in, found := c.input(), 0
	var run *base64Run
	p := make([]byte, block)
	for pos := int64(0); ; {
		n, err := in.ReadAt(p, pos)
		for i, b := range p[:n] {
			at := pos + int64(i)
			if run != nil && run.next(b, at) {
				continue
			}
			if err := c.base64Run(run, &found); err != nil {
				return err
			}
			run = nil
			if isBase64(b) {
				run = &base64Run{starts: [4]int64{at, -1, -1, -1}}
				run.next(b, at)
			}
		}
		pos += int64(n)
		if errors.Is(err, io.EOF) {
			return c.base64Run(run, &found)
		}
		if err != nil {
			return err
		}
	}
}

// base64Run gives what a run says, if it is something that is run or opened.
// Words that stand alone in the lines before do not hide it.
func (c *container) base64Run(r *base64Run, found *int) error {
	if r == nil || r.chars < minBase64 || r.kinds != kindsAll {
		return nil
	}
	for _, at := range r.starts {
		if at < 0 {
			continue
		}
		head := make([]byte, min(tellBy, r.end-at))
		n, _ := io.ReadFull(c.base64(at, r.end), head)
		wide := wideText(head[:n]) != ""
		if n == 0 || !wide && !telling(head[:n]) { // a key, a digest, a font: nothing that anybody runs
			continue
		}
		if *found++; *found > maxBase64s {
			return skipError{Limit, fmt.Sprintf("the text has more than %d runs of base64", maxBase64s)}
		}
		name := fmt.Sprintf("base64@%d", at)
		if err := c.give(name, c.base64(at, r.end)); err != nil {
			return err
		}
		if !wide {
			continue
		}
		if err := c.wide(name+".txt", c.base64(at, r.end)); err != nil {
			return err
		}
	}
	return nil
}

// base64 decodes a range of the text.
func (c *container) base64(from, to int64) io.Reader {
	return base64Tail{base64.NewDecoder(base64.RawStdEncoding, &onlyBase64{r: io.NewSectionReader(ctxReaderAt{c}, from, to-from)})}
}

// base64Tail takes a last character that says nothing for the end.
type base64Tail struct{ r io.Reader }

// Read implements io.Reader.
func (t base64Tail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// wide gives UTF-16, little-endian, as UTF-8.
func (c *container) wide(name string, r io.Reader) error {
	b, err := readAll(r, maxWide)
	if err != nil {
		c.skip(name, Limit, "a text in UTF-16 is too large to be looked at as UTF-8")
		return nil //nolint:nilerr // told
	}
	return c.give(name, strings.NewReader(utf16Text(b)))
}

// walkUTF16 gives a text in UTF-16 as UTF-8: scripts are run in both.
func walkUTF16(c *container) error {
	b, err := readAll(c.input(), maxWide)
	if err != nil {
		return err
	}
	if b[0] == 0xfe {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	return c.give("utf-8", strings.NewReader(utf16Text(b[2:])))
}

func isUTF16(h []byte, it item) bool {
	return it.size >= minBase64 && it.size <= maxWide && (bytes.HasPrefix(h, []byte("\xff\xfe")) || bytes.HasPrefix(h, []byte("\xfe\xff"))) &&
		!bytes.Contains(h[:len(h)&^1], []byte{0, 0, 0})
}

func utf16Text(b []byte) string {
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		u = append(u, uint16(b[i])|uint16(b[i+1])<<8)
	}
	return string(utf16.Decode(u))
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

// wideText is b as text if it is UTF-16 of Latin letters.
func wideText(b []byte) string {
	if len(b) < 16 {
		return ""
	}
	zero := 0
	for i := 1; i < len(b); i += 2 {
		if b[i] == 0 {
			zero++
		}
	}
	if zero*10 < len(b)/2*9 {
		return ""
	}
	return utf16Text(b)
}
