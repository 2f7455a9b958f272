package unpack

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const maxPDF = 256 << 20 // larger documents are searched to here

// walkPDF gives each stream of a document (ISO 32000) that is packed, but for
// pictures, and what is embedded plainly. It does not follow the cross-reference
// table, which hostile documents falsify; it looks for "stream" itself.
func walkPDF(c *container) error {
	if c.it.size > maxPDF {
		c.skip("", Limit, "the document is larger than is searched")
	}
	data, err := readAll(io.LimitReader(c.input(), maxPDF), maxPDF)
	if err != nil {
		return err
	}
	if bytes.Contains(data, []byte("/Encrypt ")) || bytes.Contains(data, []byte("/Encrypt<")) {
		return skipError{Encrypted, "the document is encrypted; its streams were not looked at"}
	}
	for at, n := 0, 0; ; n++ {
		i := bytes.Index(data[at:], []byte("stream"))
		if i < 0 {
			return nil
		}
		i += at
		at = i + len("stream")
		if i >= 3 && string(data[i-3:i]) == "end" {
			continue
		}
		dict := data[max(0, i-2048):i]
		if j := bytes.LastIndex(dict, []byte(" obj")); j >= 0 {
			dict = dict[j:]
		}
		body := bytes.TrimPrefix(bytes.TrimPrefix(data[at:], []byte("\r")), []byte("\n"))
		if err := c.pdfStream(fmt.Sprintf("stream-%d", n), dict, body); err != nil {
			return err
		}
	}
}

// maxFilters is how many filters of one stream are followed. Each may give as
// many bytes as an entry may have.
const maxFilters = 8

var (
	errFiltered = errors.New("a filter gives more than is looked at")
	errLZW      = errors.New("the LZW data is damaged")
)

func (c *container) pdfStream(name string, dict, body []byte) error {
	end := bytes.Index(body, []byte("endstream"))
	embedded := bytes.Contains(dict, []byte("/EmbeddedFile"))
	filters := pdfFilters(dict)
	if len(filters) == 0 && (!embedded || end < 0) {
		return nil
	}
	if end >= 0 {
		body = body[:end]
	}
	if len(filters) > maxFilters {
		c.skip(name, Limit, fmt.Sprintf("it is packed %d times", len(filters)))
		return nil
	}
	var r io.Reader = bytes.NewReader(body)
	for _, f := range filters {
		next, err := pdfFilter(f, r)
		switch {
		case errors.Is(err, errPicture) && !embedded:
			return nil
		case errors.Is(err, errPicture), errors.Is(err, errNoFilter):
			c.skip(name, Unsupported, "it is packed with the filter "+clip(f, 40)+", which is not read")
			return nil
		case err != nil:
			c.skip(name, Damaged, err.Error())
			return nil
		}
		r = &bounded{next, c.w.l.Entry}
	}
	return c.give(name, r)
}

// pdfFilters gives the names of the filters in a dictionary, the outermost
// first. Names may have characters as #xx.
func pdfFilters(dict []byte) []string {
	text := pdfNames(dict)
	_, after, ok := strings.Cut(text, "/Filter")
	if !ok {
		return nil
	}
	after = strings.TrimLeft(after, " \t\r\n\f\x00")
	if list, is := strings.CutPrefix(after, "["); is {
		after, _, _ = strings.Cut(list, "]")
	} else if strings.HasPrefix(after, "/") {
		end := strings.IndexAny(after[1:], " \t\r\n\f\x00/<>[]()%")
		if end >= 0 {
			after = after[:end+1]
		}
	} else { // it stands elsewhere in the document
		return []string{"FlateDecode"}
	}
	var out []string
	for f := range strings.FieldsFuncSeq(after, func(r rune) bool { return strings.ContainsRune("/ \t\r\n\f\x00", r) }) {
		out = append(out, f)
	}
	return out
}

// pdfNames writes the characters that are given as #xx.
func pdfNames(dict []byte) string {
	if !bytes.Contains(dict, []byte("#")) {
		return string(dict)
	}
	var b strings.Builder
	for i := 0; i < len(dict); i++ {
		if dict[i] == '#' && i+2 < len(dict) {
			if v, err := strconv.ParseUint(string(dict[i+1:i+3]), 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(dict[i])
	}
	return b.String()
}

var (
	errPicture  = errors.New("a picture")
	errNoFilter = errors.New("no filter that is read")
)

// pdfFilter undoes one filter.
func pdfFilter(name string, r io.Reader) (io.Reader, error) {
	switch name {
	case "FlateDecode", "Fl":
		z, err := zlib.NewReader(r)
		return tolerant{z}, err
	case "ASCIIHexDecode", "AHx":
		return &pdfHex{r: bufio.NewReader(r)}, nil
	case "ASCII85Decode", "A85":
		return ascii85.NewDecoder(&untilTilde{r: bufio.NewReader(r)}), nil
	case "RunLengthDecode", "RL":
		return &pdfRuns{r: bufio.NewReader(r)}, nil
	case "LZWDecode", "LZW":
		return &pdfLZW{r: bufio.NewReader(r), width: 9}, nil
	case "DCTDecode", "DCT", "JPXDecode", "CCITTFaxDecode", "CCF", "JBIG2Decode":
		return nil, errPicture
	}
	return nil, errNoFilter
}

// bounded fails where more than n bytes are read.
type bounded struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.n <= 0 {
		return 0, errFiltered
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.n)])
	b.n -= int64(n)
	return n, err
}

// pdfHex reads pairs of hexadecimal digits up to ">".
type pdfHex struct{ r *bufio.Reader }

// Read implements io.Reader.
func (h *pdfHex) Read(p []byte) (int, error) {
	for n := range p {
		hi, err := h.digit()
		if err != nil {
			return n, err
		}
		lo, err := h.digit()
		p[n] = hi<<4 | lo
		if err != nil {
			return n + 1, err
		}
	}
	return len(p), nil
}

func (h *pdfHex) digit() (byte, error) {
	for {
		c, err := h.r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c >= '0' && c <= '9':
			return c - '0', nil
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			return c | 0x20 - 'a' + 10, nil
		case c == '>':
			return 0, io.EOF
		}
	}
}

// untilTilde ends at "~", with which ASCII85 ends.
type untilTilde struct {
	r    *bufio.Reader
	over bool
}

// Read implements io.Reader.
func (u *untilTilde) Read(p []byte) (int, error) {
	for n := range p {
		c, err := u.r.ReadByte()
		if u.over = u.over || c == '~' && err == nil; u.over {
			return n, io.EOF
		}
		if err != nil {
			return n, err
		}
		p[n] = c
	}
	return len(p), nil
}

// pdfRuns reads runs: a length up to 127 and that many bytes and one, or a
// length from 129 on and a byte to repeat.
type pdfRuns struct {
	r     *bufio.Reader
	left  int
	same  bool
	value byte
}

// Read implements io.Reader.
func (d *pdfRuns) Read(p []byte) (int, error) {
	for n := range p {
		for d.left == 0 {
			c, err := d.r.ReadByte()
			if err != nil {
				return n, err
			}
			switch {
			case c == 128:
				return n, io.EOF
			case c < 128:
				d.left, d.same = int(c)+1, false
			default:
				d.left, d.same = 257-int(c), true
				if d.value, err = d.r.ReadByte(); err != nil {
					return n, err
				}
			}
		}
		if !d.same {
			c, err := d.r.ReadByte()
			if err != nil {
				return n, err
			}
			d.value = c
		}
		p[n] = d.value
		d.left--
	}
	return len(p), nil
}

// pdfLZW reads LZW as TIFF and PDF have it: codes of 9 to 12 bits, the highest
// bit first, that grow one code early.
type pdfLZW struct {
	r      *bufio.Reader
	bits   uint32
	n      int
	width  int
	next   int // the next code; 0: nothing came yet
	last   int // -1: none since the table was cleared
	prefix [4096]uint16
	suffix [4096]byte
	buf    []byte
}

const (
	lzwClear = 256
	lzwEnd   = 257
)

// Read implements io.Reader.
func (d *pdfLZW) Read(p []byte) (int, error) {
	for len(d.buf) == 0 {
		if err := d.code(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.buf)
	d.buf = d.buf[n:]
	return n, nil
}

func (d *pdfLZW) code() error {
	for d.n < d.width {
		c, err := d.r.ReadByte()
		if err != nil {
			return err
		}
		d.bits = d.bits<<8 | uint32(c)
		d.n += 8
	}
	c := int(d.bits>>(d.n-d.width)) & (1<<d.width - 1)
	d.n -= d.width
	if c == lzwClear || d.next == 0 {
		d.width, d.next, d.last = 9, lzwEnd+1, -1
		if c == lzwClear {
			return nil
		}
	}
	switch {
	case c == lzwEnd:
		return io.EOF
	case c > d.next || c == d.next && d.last < 0 || d.last < 0 && c > 255:
		return errLZW
	}
	first := c
	if c == d.next {
		first = d.last
	}
	text := d.text(first)
	if c == d.next {
		text = append(text, text[0])
	}
	if d.last >= 0 && d.next < len(d.prefix) {
		d.prefix[d.next], d.suffix[d.next] = uint16(d.last), text[0]
		d.next++
	}
	d.last = c
	for d.width < 12 && d.next+1 >= 1<<d.width {
		d.width++
	}
	d.buf = text
	return nil
}

// text is what a code stands for.
func (d *pdfLZW) text(c int) []byte {
	var b []byte
	for c > lzwEnd {
		b = append(b, d.suffix[c])
		c = int(d.prefix[c])
	}
	b = append(b, byte(c))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// tolerant ends at a checksum or an end that is not right: readers of PDF do.
type tolerant struct{ r io.Reader }

// Read implements io.Reader.
func (t tolerant) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if errors.Is(err, zlib.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}
