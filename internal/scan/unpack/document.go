package unpack

import (
	"bytes"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/richardlehane/mscfb"
)

// walkOle goes through the streams of a compound file ([MS-CFB]): Office
// documents before 2007, MSI, Outlook messages. Macros are given as text too.
func walkOle(c *container) error {
	d, err := mscfb.New(ctxReaderAt{c})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		f, err := d.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > c.w.l.Entries {
			return skipError{Limit, "it has too many streams"}
		}
		if f.Size <= 0 {
			continue
		}
		name := path.Join(append(append([]string(nil), f.Path...), f.Name)...)
		if f.Name == "EncryptedPackage" || f.Name == "EncryptionInfo" {
			c.skip(name, Encrypted, "the document is encrypted")
		}
		if err := c.give(name, io.LimitReader(f, f.Size)); err != nil {
			return err
		}
		if err := c.macro(name, f); err != nil {
			return err
		}
	}
}

const maxMacro = 4 << 20 // bytes of one compressed module

// macro gives the source of a VBA module: the compressed container
// ([MS-OVBA] 2.4.1) that begins somewhere in the module's stream.
func (c *container) macro(name string, f *mscfb.File) error {
	if f.Size > maxMacro || !strings.Contains(strings.ToLower(name), "vba") {
		return nil
	}
	b := make([]byte, f.Size)
	n, _ := f.ReadAt(b, 0)
	b = b[:n]
	i := bytes.Index(b, []byte("\x00Attribut"))
	if i < 3 {
		return nil
	}
	if src := decompressVBA(b[i-3:]); len(src) > 0 {
		return c.give(name+".vba", bytes.NewReader(src))
	}
	return nil
}

// decompressVBA follows [MS-OVBA] 2.4.1.3; what is damaged ends it.
func decompressVBA(b []byte) []byte {
	if len(b) < 3 || b[0] != 1 {
		return nil
	}
	var out []byte
	for b = b[1:]; len(b) >= 2 && len(out) < 16*maxMacro; {
		h := int(b[0]) | int(b[1])<<8
		size := min(h&0xfff+3, len(b))
		chunk := b[2:size]
		b = b[size:]
		if h&0x8000 == 0 {
			out = append(out, chunk...)
			continue
		}
		out = vbaChunk(out, chunk)
	}
	return out
}

func vbaChunk(out, chunk []byte) []byte {
	start := len(out)
	for len(chunk) > 0 {
		flags := chunk[0]
		chunk = chunk[1:]
		for bit := 0; bit < 8 && len(chunk) > 0; bit++ {
			if flags>>bit&1 == 0 {
				out = append(out, chunk[0])
				chunk = chunk[1:]
				continue
			}
			if len(chunk) < 2 {
				return out
			}
			tok := int(chunk[0]) | int(chunk[1])<<8
			chunk = chunk[2:]
			bits := 4
			for 1<<bits < len(out)-start {
				bits++
			}
			bits = min(bits, 12)
			length := tok&(0xffff>>bits) + 3
			off := tok>>(16-bits) + 1
			if off > len(out)-start || len(out)-start+length > 1<<16 {
				return out
			}
			for range length {
				out = append(out, out[len(out)-off])
			}
		}
	}
	return out
}
