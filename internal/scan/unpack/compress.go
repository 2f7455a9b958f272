package unpack

import (
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/bodgit/sevenzip"
	"github.com/therootcompany/xz"
	"github.com/ulikunitz/xz/lzma"
)

// inner is the name of what a compressed file holds.
func (c *container) inner(suffixes ...string) string {
	name := path.Base(strings.ReplaceAll(c.it.name, "\\", "/"))
	for _, s := range suffixes {
		if long, short, ok := strings.Cut(s, "="); ok && strings.HasSuffix(name, long) {
			return strings.TrimSuffix(name, long) + short
		} else if rest, ok := strings.CutSuffix(name, long); ok && rest != "" {
			return rest
		}
	}
	return "content"
}

// walkGzip reads all members (RFC 1952) as one.
func walkGzip(c *container) error {
	r, err := gzip.NewReader(c.input())
	if err != nil {
		return err
	}
	name := r.Name
	if name == "" {
		name = c.inner(".tgz=.tar", ".svgz=.svg", ".gz", ".z")
	}
	return c.give(name, r)
}

func walkBzip2(c *container) error {
	return c.give(c.inner(".tbz2=.tar", ".tbz=.tar", ".bz2"), bzip2.NewReader(c.input()))
}

func walkXz(c *container) error {
	r := c.lazyXz(c.input())
	return c.give(c.inner(".txz=.tar", ".xz"), r)
}

func walkZstd(c *container) error {
	r := c.zstd(c.input())
	defer r.Close() //nolint:errcheck // only read
	return c.give(c.inner(".tzst=.tar", ".zst"), r)
}

// lazyXz reads xz with the memory limit of one decoder.
func (c *container) lazyXz(r io.Reader) io.ReadCloser {
	x, err := xz.NewReader(r, uint32(min(c.w.l.Memory, 1<<31)))
	if err != nil {
		return errReader{xzError(err)}
	}
	return io.NopCloser(mapped{x, xzError})
}

// xzError names the one error that is a limit.
func xzError(err error) error {
	if errors.Is(err, xz.ErrMemlimit) {
		return skipError{Limit, "its dictionary is larger than the memory that one decoder may use"}
	}
	return err
}

// mapped is r with its errors in our words.
type mapped struct {
	r    io.Reader
	word func(error) error
}

// Read implements io.Reader.
func (m mapped) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = m.word(err)
	}
	return n, err
}

// errMemory7z is told by our decoders inside the library.
var errMemory7z = errors.New("its dictionary is larger than the memory that one decoder may use")

// errEncrypted7z takes the place of the library's decryption, which without a
// password would now and then give noise instead of an error.
var errEncrypted7z = errors.New("a password is needed")

const maxDict7z = 128 << 20 // bytes; the library's decoders take no limit of their own

// bounded7z puts decoders that check the dictionary's size before those of the
// library. It is the same each time.
func bounded7z() {
	sevenzip.RegisterDecompressor([]byte{6, 0xf1, 7, 1}, func([]byte, uint64, []io.ReadCloser) (io.ReadCloser, error) { return nil, errEncrypted7z })
	sevenzip.RegisterDecompressor([]byte{3, 1, 1}, func(p []byte, size uint64, rs []io.ReadCloser) (io.ReadCloser, error) {
		if len(p) < 5 || len(rs) != 1 {
			return nil, errors.New("LZMA needs five bytes of properties")
		}
		dict := binary.LittleEndian.Uint32(p[1:5])
		if dict > maxDict7z {
			return nil, errMemory7z
		}
		head := binary.LittleEndian.AppendUint64(append(make([]byte, 0, 13), p[:5]...), size)
		lr, err := lzma.ReaderConfig{DictCap: int(max(dict, lzma.MinDictCap))}.NewReader(io.MultiReader(strings.NewReader(string(head)), rs[0]))
		if err != nil {
			return nil, err
		}
		return decoder7z{lr, rs[0]}, nil
	})
	sevenzip.RegisterDecompressor([]byte{0x21}, func(p []byte, _ uint64, rs []io.ReadCloser) (io.ReadCloser, error) {
		if len(p) != 1 || len(rs) != 1 || p[0] > 40 {
			return nil, errors.New("LZMA2 needs one byte of properties")
		}
		dict := int64(2|p[0]&1) << (p[0]/2 + 11)
		if dict > maxDict7z {
			return nil, errMemory7z
		}
		lr, err := lzma.Reader2Config{DictCap: int(max(dict, lzma.MinDictCap))}.NewReader2(rs[0])
		if err != nil {
			return nil, err
		}
		return decoder7z{lr, rs[0]}, nil
	})
}

type decoder7z struct {
	io.Reader
	io.Closer
}

func (c *container) open7z() (*sevenzip.Reader, error) {
	bounded7z()
	zr, err := sevenzip.NewReader(ctxReaderAt{c}, c.it.size)
	if err == nil {
		return zr, nil
	}
	return nil, error7z(err)
}

func error7z(err error) error {
	if r := reason7z(err); r != Damaged {
		return skipError{r, clip(err.Error(), 200)}
	}
	return err
}

// reason7z tells why the library gave up.
func reason7z(err error) Reason {
	var re *sevenzip.ReadError
	switch {
	case errors.Is(err, errMemory7z):
		return Limit
	case errors.Is(err, errEncrypted7z), errors.As(err, &re) && re.Encrypted:
		return Encrypted
	case strings.Contains(err.Error(), "unsupported"), strings.Contains(err.Error(), "algorithm"):
		return Unsupported
	}
	return Damaged
}

// walkCpio goes through a cpio archive in the "new ASCII" or the old portable
// form.
func walkCpio(c *container) error { return c.cpio(c.input()) }

func (c *container) cpio(r io.Reader) error {
	read := int64(0)
	align := func() error {
		n := (4 - read%4) % 4
		read += n
		_, err := io.CopyN(io.Discard, r, n)
		return err
	}
	for {
		var magic [6]byte
		if _, err := io.ReadFull(r, magic[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		h, newc, err := cpioHeader(r, string(magic[:]))
		if err != nil {
			return err
		}
		read += h.header
		if h.name < 1 || h.name > 4096 || h.size < 0 {
			return errors.New("a cpio entry has an impossible name or size")
		}
		name := make([]byte, h.name)
		if _, err := io.ReadFull(r, name); err != nil {
			return err
		}
		read += h.name
		if newc {
			if err := align(); err != nil {
				return err
			}
		}
		clean := strings.TrimRight(string(name), "\x00")
		if clean == "TRAILER!!!" {
			return nil
		}
		body := &io.LimitedReader{R: r, N: h.size}
		if h.mode&0o170000 != 0o040000 && h.size > 0 { // a link's text does no harm
			if err := c.give(clean, body); err != nil {
				return err
			}
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		read += h.size
		if newc {
			if err := align(); err != nil {
				return err
			}
		}
	}
}

type cpioEntry struct{ header, mode, name, size int64 }

func cpioHeader(r io.Reader, magic string) (h cpioEntry, newc bool, err error) {
	var b []byte
	var fields [3][2]int // mode, name size, file size: offset behind the magic, length
	base := int64(16)
	switch magic {
	case "070701", "070702":
		b, fields, newc = make([]byte, 104), [3][2]int{{8, 8}, {88, 8}, {48, 8}}, true
	case "070707":
		b, fields, base = make([]byte, 70), [3][2]int{{12, 6}, {53, 6}, {59, 11}}, 8
	default:
		return h, false, fmt.Errorf("%q is no cpio entry", magic)
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return h, newc, err
	}
	h.header = int64(6 + len(b))
	for i, p := range []*int64{&h.mode, &h.name, &h.size} {
		if *p, err = number(b[fields[i][0]:fields[i][0]+fields[i][1]], base); err != nil {
			return h, newc, err
		}
	}
	return h, newc, nil
}

// walkRpm goes through a package: lead, signature, header, then a compressed
// cpio archive that is opened like any other content.
func walkRpm(c *container) error {
	r := c.input()
	at := int64(96)
	for i := range 2 {
		var h [16]byte
		if _, err := r.ReadAt(h[:], at); err != nil {
			return err
		}
		if string(h[:3]) != "\x8e\xad\xe8" {
			return errors.New("a header of the package is missing")
		}
		n, size := int64(binary.BigEndian.Uint32(h[8:])), int64(binary.BigEndian.Uint32(h[12:]))
		at += 16 + n*16 + size
		if at > c.it.size {
			return errors.New("a header of the package is longer than the file")
		}
		if i == 0 {
			at = (at + 7) &^ 7
		}
	}
	return c.give("payload", io.NewSectionReader(r, at, c.it.size-at))
}
