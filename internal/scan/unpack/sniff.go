package unpack

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
)

// format is one kind of container.
type format struct {
	name  string
	is    func(head []byte, it item) bool
	walk  func(*container) error
	maybe bool // recognised by a guess: finding nothing is no fault
}

const headSize = 4096

// formats are tried in this order.
func formats() []format {
	magic := func(m string) func([]byte, item) bool {
		return func(h []byte, _ item) bool { return bytes.HasPrefix(h, []byte(m)) }
	}
	return []format{
		{name: "zip", is: isZip, walk: walkZip},
		{name: "gzip", is: magic("\x1f\x8b\x08"), walk: walkGzip},
		{name: "bzip2", is: isBzip2, walk: walkBzip2},
		{name: "xz", is: magic("\xfd7zXZ\x00"), walk: walkXz},
		{name: "zstd", is: magic("\x28\xb5\x2f\xfd"), walk: walkZstd},
		{name: "7z", is: magic("7z\xbc\xaf\x27\x1c"), walk: walk7z},
		{name: "rar", is: magic("Rar!\x1a\x07"), walk: walkRar},
		{name: "cab", is: isCab, walk: walkCab},
		{name: "ar", is: magic("!<arch>\n"), walk: walkAr},
		{name: "rpm", is: magic("\xed\xab\xee\xdb"), walk: walkRpm},
		{name: "cpio", is: isCpio, walk: walkCpio},
		{name: "ole", is: magic("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), walk: walkOle},
		{name: "pdf", is: isPDF, walk: walkPDF},
		{name: "iso", is: isISO, walk: walkISO},
		{name: "tar", is: isTar, walk: walkTar},
		{name: "executable", is: isExecutable, walk: walkExecutable, maybe: true},
		{name: "lzma", is: isLZMA, walk: walkLZMA, maybe: true},
		{name: "mail", is: isMail, walk: walkMail, maybe: true},
		{name: "utf-16", is: isUTF16, walk: walkUTF16, maybe: true},
		{name: "base64", is: isText, walk: walkBase64, maybe: true},
	}
}

func sniff(it item) *format {
	if it.size < 4 {
		return nil
	}
	head := make([]byte, min(headSize, it.size))
	n, err := it.r.ReadAt(head, 0)
	if n < len(head) && err != nil {
		head = head[:n]
	}
	for _, f := range formats() {
		if f.is(head, it) {
			return &f
		}
	}
	return nil
}

// isZip looks at the front, and at the end for archives with a program in
// front of them (self-extracting, polyglots).
func isZip(h []byte, it item) bool {
	if bytes.HasPrefix(h, []byte("PK\x03\x04")) || bytes.HasPrefix(h, []byte("PK\x05\x06")) || bytes.HasPrefix(h, []byte("PK\x07\x08")) {
		return true
	}
	tail := make([]byte, min(1024, it.size))
	n, _ := it.r.ReadAt(tail, it.size-int64(len(tail)))
	i := bytes.LastIndex(tail[:n], []byte("PK\x05\x06"))
	return i >= 0 && n-i >= 22 && n-i-22 == int(binary.LittleEndian.Uint16(tail[i+20:]))
}

func isBzip2(h []byte, _ item) bool {
	return len(h) >= 10 && string(h[:3]) == "BZh" && h[3] >= '1' && h[3] <= '9' && (string(h[4:10]) == "1AY&SY" || string(h[4:10]) == "\x17rE8P\x90")
}

func isCpio(h []byte, _ item) bool {
	return len(h) >= 110 && (string(h[:6]) == "070701" || string(h[:6]) == "070702" || string(h[:6]) == "070707")
}

func isPDF(h []byte, _ item) bool { return bytes.Contains(h[:min(1024, len(h))], []byte("%PDF-")) }

func isISO(_ []byte, it item) bool {
	var id [5]byte
	_, err := it.r.ReadAt(id[:], 16*2048+1)
	return it.size >= 17*2048 && err == nil && string(id[:]) == "CD001"
}

// isTar takes an archive whose first header is damaged, too: tar goes on behind it.
func isTar(h []byte, _ item) bool {
	if isTarHeader(h) || len(h) >= tarBlock && string(h[257:262]) == "ustar" {
		return true
	}
	for i := tarBlock; i+tarBlock <= len(h); i += tarBlock {
		if string(h[i+257:i+262]) == "ustar" && isTarHeader(h[i:]) {
			return true
		}
	}
	return false
}

// isTarHeader checks the sum of a header, so that old archives without
// "ustar" are found and text is not taken for one.
func isTarHeader(h []byte) bool {
	if len(h) < tarBlock || h[0] == 0 || h[148] > '7' {
		return false
	}
	var sum int64
	for i, b := range h[:tarBlock] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	field := strings.Trim(string(h[148:156]), " \x00")
	var want int64
	for _, d := range field {
		if d < '0' || d > '7' {
			return false
		}
		want = want*8 + int64(d-'0')
	}
	return field != "" && sum == want
}

func isExecutable(h []byte, _ item) bool {
	return bytes.HasPrefix(h, []byte("MZ")) || bytes.HasPrefix(h, []byte("\x7fELF"))
}

// isCab takes the signature with a reserved field of zero or the version every
// cabinet has, 1.3: readers do not look at the reserved fields.
func isCab(h []byte, _ item) bool {
	return len(h) >= 36 && bytes.HasPrefix(h, []byte("MSCF")) && (bytes.HasPrefix(h[4:], make([]byte, 4)) || h[24] == 3 && h[25] == 1)
}

// isMail takes a first line that only mail has, or two header lines of mail.
func isMail(h []byte, _ item) bool {
	if bytes.HasPrefix(h, []byte("From ")) || bytes.HasPrefix(h, []byte("Return-Path:")) || bytes.HasPrefix(h, []byte("Received:")) {
		return true
	}
	n := 0
	for line := range bytes.Lines(h) {
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok && len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			break
		}
		switch strings.ToLower(string(name)) {
		case "from", "to", "subject", "date", "message-id", "mime-version", "content-type", "delivered-to", "dkim-signature", "x-mailer":
			n++
		}
	}
	return n >= 2
}

// isText lets a few NULs pass: shells and PHP do.
func isText(h []byte, it item) bool {
	return it.size >= minBase64 && bytes.Count(h, []byte{0})*32 <= len(h)
}

// walkExecutable only notes the packer; other engines look at the program.
func walkExecutable(c *container) error {
	head := make([]byte, min(headSize, c.it.size))
	n, err := c.it.r.ReadAt(head, 0)
	if n == 0 {
		return err
	}
	if bytes.Contains(head[:n], []byte("UPX!")) || bytes.Contains(head[:n], []byte("UPX0")) {
		c.w.note(c.it, "packed with UPX: what it unpacks to was not looked at")
	}
	return nil
}

// note adds a remark on a thing.
func (w *walker) note(it item, text string) {
	if it.path != "" {
		text = it.path + ": " + text
	}
	if len(w.report.Notes) < 100 {
		w.report.Notes = append(w.report.Notes, text)
	}
}

// readAll reads at most limit bytes and fails on more.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, skipError{Limit, "a part is too large to be looked at"}
	}
	return b.Bytes(), nil
}
