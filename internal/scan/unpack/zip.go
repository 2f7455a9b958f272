package unpack

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

// zipEntry is one entry: from the list of contents at the end, or from the
// header in front of its data.
type zipEntry struct {
	name         string
	method, flag uint16
	crc          uint32
	size, packed int64 // unpacked and packed; packed is -1 if only the data tells
	at           int64 // of the data
}

// walkZip goes through a zip archive (APPNOTE 6.3) and everything built on it:
// Office, jar, apk, OpenDocument. Programs disagree about which entries there
// are when the list at the end does not name all of them (archives behind one
// another, hidden entries); so both are gone through.
func walkZip(c *container) error {
	zr, err := zip.NewReader(ctxReaderAt{c}, c.it.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		if herr := c.zipHidden(nil, nil); herr != nil {
			return herr
		}
		return err
	}
	seen := make(map[int64]bool, min(len(zr.File), 1<<16))
	listed := make([]span, 0, min(len(zr.File), 1<<16))
	for _, f := range zr.File {
		empty := f.CompressedSize64 == 0 || f.UncompressedSize64 == 0 && f.CompressedSize64 <= 2 && f.CRC32 == 0
		off, err := f.DataOffset()
		if err != nil && !empty {
			c.skip(f.Name, Damaged, err.Error())
		}
		if err != nil {
			continue
		}
		if empty {
			if _, is := seen[off]; !is {
				seen[off] = false // no second look at its header
			}
			continue
		}
		if seen[off] {
			return skipError{Limit, "entries overlap: an archive bomb; nothing behind " + clip(f.Name, 80) + " was looked at"}
		}
		seen[off] = true
		e := zipEntry{f.Name, f.Method, f.Flags, f.CRC32, int64(f.UncompressedSize64), int64(f.CompressedSize64), off}
		if e.packed < 0 || e.packed > c.it.size-off {
			e.packed = c.it.size - off // what is missing is told as cut off
		}
		listed = append(listed, span{off, off + e.packed})
		if err := c.zipGive(e); err != nil {
			return err
		}
	}
	return c.zipHidden(listed, seen)
}

// zipGive unpacks one entry. What it says of its size and sum is compared
// afterwards, so that a lie hides nothing.
func (c *container) zipGive(e zipEntry) error {
	if e.flag&1 != 0 {
		c.skip(e.name, Encrypted, "the entry is encrypted")
		return nil
	}
	n := e.packed
	if n < 0 {
		n = c.it.size - e.at
	}
	r := c.zipMethod(e, io.NewSectionReader(ctxReaderAt{c}, e.at, n))
	if r == nil {
		c.skip(e.name, Unsupported, fmt.Sprintf("compression method %d is not read", e.method))
		return nil
	}
	defer r.Close() //nolint:errcheck // only read
	return c.give(e.name, &zipChecked{r: r, e: e})
}

// zipMethod unpacks by method; nil for one that is not read.
func (c *container) zipMethod(e zipEntry, r io.Reader) io.ReadCloser {
	switch e.method {
	case zip.Store:
		return io.NopCloser(r)
	case zip.Deflate:
		return flate.NewReader(r)
	case 12:
		return io.NopCloser(bzip2.NewReader(r))
	case 14:
		return zipLZMA(e, r)
	case 93:
		return c.zstd(r)
	case 95:
		return c.lazyXz(r)
	}
	return nil
}

// zipLZMA reads method 14 (APPNOTE 5.8.8): a version, the size of the
// properties, the properties, the data.
func zipLZMA(e zipEntry, r io.Reader) io.ReadCloser {
	var h [9]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return errReader{cutOff(err)}
	}
	if binary.LittleEndian.Uint16(h[2:]) != 5 {
		return errReader{errors.New("LZMA needs five bytes of properties")}
	}
	size := uint64(e.size)
	if e.flag&2 != 0 {
		size = 1<<64 - 1 // a mark ends it
	}
	return boundedLZMA(io.MultiReader(bytes.NewReader(binary.LittleEndian.AppendUint64(bytes.Clone(h[4:]), size)), r))
}

// boundedLZMA reads LZMA with its header of 13 bytes and a bounded dictionary.
func boundedLZMA(r io.Reader) io.ReadCloser {
	l, err := lzma.ReaderConfig{DictCap: maxDict7z}.NewReader(r)
	if err != nil {
		if e := (*lzma.ErrDictSize)(nil); errors.As(err, &e) {
			err = skipError{Limit, errMemory7z.Error()}
		}
		return errReader{err}
	}
	return io.NopCloser(l)
}

// walkLZMA reads a file of the lzma program: one stream, no sum.
func walkLZMA(c *container) error {
	return c.give(c.inner(".tlz=.tar", ".lzma"), boundedLZMA(c.input()))
}

// isLZMA takes the usual properties (lc 3, lp 0, pb 2), a dictionary of at least
// 64 KiB, and a size that is unknown or below 2^40.
func isLZMA(h []byte, _ item) bool {
	return len(h) > 13 && bytes.HasPrefix(h, []byte{0x5d, 0, 0}) &&
		(bytes.Equal(h[5:13], bytes.Repeat([]byte{0xff}, 8)) || bytes.Equal(h[10:13], []byte{0, 0, 0}))
}

// zipChecked compares what was unpacked with what the entry says.
type zipChecked struct {
	r   io.Reader
	e   zipEntry
	n   int64
	crc uint32
}

// Read implements io.Reader.
func (z *zipChecked) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	z.n += int64(n)
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p[:n])
	if !errors.Is(err, io.EOF) || z.e.packed < 0 {
		return n, err
	}
	switch {
	case z.n != z.e.size:
		return n, fmt.Errorf("it has %d bytes, not %d as the archive says", z.n, z.e.size)
	case z.crc != z.e.crc:
		return n, errors.New("checksum error")
	}
	return n, err
}

// span is a range of bytes: from, and behind the last.
type span struct{ from, to int64 }

const (
	zipLocal      = "PK\x03\x04"
	zipDescriptor = "PK\x07\x08"
	maxHidden     = 1000    // entries beside the list
	zipScanned    = 1 << 20 // bytes looked at in one step
)

// zipHidden goes through the entries that have a header in front of their data
// and are in none of the listed spans; known has where listed data begin.
func (c *container) zipHidden(listed []span, known map[int64]bool) error {
	slices.SortFunc(listed, func(a, b span) int { return int(max(-1, min(1, a.from-b.from))) })
	var pos int64
	found := 0
	for _, s := range append(listed, span{c.it.size, c.it.size}) {
		for pos < s.from {
			at, err := c.zipFind(zipLocal, pos, s.from)
			if err != nil {
				return err
			}
			if at < 0 {
				break
			}
			pos = at + int64(len(zipLocal))
			e, ok := c.zipLocalAt(at)
			if _, is := known[e.at]; is || !ok {
				continue
			}
			if e.packed < 0 && e.method == zip.Store {
				if e, err = c.zipStored(e); err != nil {
					return err
				}
			}
			if found++; found > maxHidden {
				return skipError{Limit, fmt.Sprintf("more than %d entries that its list does not name", maxHidden)}
			}
			if err := c.zipGive(e); err != nil {
				return err
			}
			pos = e.at + max(e.packed, 0)
		}
		pos = max(pos, s.to)
	}
	return nil
}

// zipStored finds the end of an entry that is not compressed and whose size
// stands behind it.
func (c *container) zipStored(e zipEntry) (zipEntry, error) {
	end, err := c.zipFind(zipDescriptor, e.at, c.it.size)
	if end < 0 {
		end = c.it.size
	}
	e.packed, e.size = end-e.at, end-e.at
	var h [8]byte
	if n, _ := (ctxReaderAt{c}).ReadAt(h[:], end); n == len(h) {
		e.crc = binary.LittleEndian.Uint32(h[4:])
	}
	return e, err
}

// zipFind finds the next signature from pos on that begins before end; -1 if
// there is none.
func (c *container) zipFind(sig string, pos, end int64) (int64, error) {
	buf := make([]byte, min(zipScanned, end-pos+int64(len(sig))-1))
	for pos < end {
		n, err := ctxReaderAt{c}.ReadAt(buf, pos)
		if i := bytes.Index(buf[:n], []byte(sig)); i >= 0 && pos+int64(i) < end {
			return pos + int64(i), nil
		}
		if errors.Is(err, io.EOF) || n < len(sig) {
			return -1, nil
		}
		if err != nil {
			return 0, err
		}
		pos += int64(n - len(sig) + 1)
	}
	return -1, nil
}

// zipLocalAt reads the header at a place, and tells whether it is one that a
// program would unpack: with a name, a method, and data.
func (c *container) zipLocalAt(at int64) (zipEntry, bool) {
	var h [30]byte
	if n, _ := (ctxReaderAt{c}).ReadAt(h[:], at); n < len(h) {
		return zipEntry{}, false
	}
	le := binary.LittleEndian
	name, extra := int64(le.Uint16(h[26:])), int64(le.Uint16(h[28:]))
	e := zipEntry{
		flag: le.Uint16(h[6:]), method: le.Uint16(h[8:]), crc: le.Uint32(h[14:]),
		packed: int64(le.Uint32(h[18:])), size: int64(le.Uint32(h[22:])), at: at + 30 + name + extra,
	}
	if le.Uint16(h[4:])&0xff > 63 || name == 0 || name > 4096 || e.method > 99 || e.at >= c.it.size {
		return e, false
	}
	b := make([]byte, name)
	if n, _ := (ctxReaderAt{c}).ReadAt(b, at+30); n < len(b) || bytes.IndexByte(b, 0) >= 0 {
		return e, false
	}
	e.name = string(b)
	switch {
	case e.flag&8 != 0 && e.packed == 0 || e.packed == 0xffffffff: // behind the data, or in the extra field
		e.packed = -1
	case e.packed == 0:
		return e, false
	case e.packed > c.it.size-e.at:
		e.packed = c.it.size - e.at
	}
	return e, true
}
