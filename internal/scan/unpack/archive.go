package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/nwaples/rardecode/v2"
)

// walkTar goes through a tar archive. Links, devices and directories hold
// nothing to look at; a sparse file is read with its holes and its limits.
// An archive behind the end of another, as tar -i reads it, is gone through,
// too, and so is what stands behind a damaged header, as tar does.
func walkTar(c *container) error {
	in := c.input()
	head := make([]byte, tarBlock)
	if n, _ := in.ReadAt(head, 0); !isTarHeader(head[:n]) {
		c.w.skip(c.it, Damaged, "tar: the first header is damaged")
		if more, err := nextTar(in); err != nil || !more {
			return err
		}
	}
	for {
		if err := c.tar(in); passes(err) || c.w.ctx.Err() != nil {
			return err
		} else if err != nil {
			c.w.skip(c.it, Damaged, "tar: "+clip(err.Error(), 200))
		}
		if more, err := nextTar(in); err != nil || !more {
			return err
		}
	}
}

const tarBlock = 512

// nextTar goes on to the next header, if there is one.
func nextTar(in *io.SectionReader) (bool, error) {
	pos, err := in.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, err
	}
	pos = (pos + tarBlock - 1) / tarBlock * tarBlock
	buf := make([]byte, block)
	for {
		n, err := in.ReadAt(buf, pos)
		for i := 0; i+tarBlock <= n; i += tarBlock {
			if isTarHeader(buf[i : i+tarBlock]) {
				_, err := in.Seek(pos+int64(i), io.SeekStart)
				return true, err
			}
		}
		pos += int64(n)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

func (c *container) tar(in io.Reader) error {
	tr := tar.NewReader(in)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return err
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse {
			continue
		}
		if err := c.give(h.Name, tr); err != nil {
			return err
		}
	}
}

// walk7z goes through a 7-Zip archive.
func walk7z(c *container) error {
	zr, err := c.open7z()
	if err != nil {
		return err
	}
	for _, f := range zr.File {
		if f.FileInfo().IsDir() || f.UncompressedSize == 0 {
			continue
		}
		r, err := f.Open()
		if err != nil {
			c.skip(f.Name, reason7z(err), clip(err.Error(), 200))
			continue
		}
		err = c.give(f.Name, mapped{r, error7z})
		r.Close() //nolint:errcheck // only read
		if err != nil {
			return err
		}
	}
	return nil
}

// walkRar goes through a RAR archive, versions 1.5 to 5.
func walkRar(c *container) error {
	rr, err := rardecode.NewReader(c.input(), rardecode.MaxDictionarySize(c.w.l.Memory))
	if err != nil {
		return rarError(err)
	}
	for {
		h, err := rr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return rarError(err)
		}
		if h.IsDir {
			continue
		}
		if h.Encrypted {
			c.skip(h.Name, Encrypted, "the entry is encrypted")
			continue
		}
		if err := c.give(h.Name, rr); err != nil {
			return err
		}
	}
}

func rarError(err error) error {
	switch {
	case errors.Is(err, rardecode.ErrArchiveEncrypted), errors.Is(err, rardecode.ErrArchivedFileEncrypted):
		return skipError{Encrypted, "a password is needed"}
	case errors.Is(err, rardecode.ErrDictionaryTooLarge):
		return skipError{Limit, "its dictionary is larger than the memory that one decoder may use"}
	case errors.Is(err, rardecode.ErrMultiVolume):
		return skipError{Unsupported, "it goes on in another volume"}
	}
	return err
}

// walkAr goes through a Unix archive: .a, .deb.
func walkAr(c *container) error {
	r := c.input()
	if _, err := r.Seek(8, io.SeekStart); err != nil {
		return err
	}
	for {
		var h [60]byte
		if _, err := io.ReadFull(r, h[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if string(h[58:60]) != "`\n" {
			return errors.New("an entry has no header")
		}
		size, err := number(h[48:58], 10)
		if err != nil {
			return err
		}
		at, err := r.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if size > c.it.size-at {
			return errors.New("an entry is longer than the file")
		}
		name := string(bytes.TrimRight(h[:16], " /"))
		if err := c.give(name, io.LimitReader(r, size)); err != nil {
			return err
		}
		if _, err := r.Seek(at+size+size&1, io.SeekStart); err != nil {
			return err
		}
	}
}

// number reads digits padded with spaces or NULs.
func number(b []byte, base int64) (int64, error) {
	var n int64
	for _, d := range bytes.Trim(b, " \x00") {
		v := int64(d - '0')
		if d >= 'a' && d <= 'f' {
			v = int64(d-'a') + 10
		} else if d >= 'A' && d <= 'F' {
			v = int64(d-'A') + 10
		}
		if v < 0 || v >= base || n > 1<<50 {
			return 0, fmt.Errorf("%q is no number", clip(string(b), 20))
		}
		n = n*base + v
	}
	return n, nil
}

func (c *container) zstd(r io.Reader) io.ReadCloser {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(c.w.l.Memory)), zstd.WithDecoderMaxWindow(uint64(c.w.l.Memory)), zstd.WithDecoderLowmem(true))
	if err != nil {
		return errReader{err}
	}
	return d.IOReadCloser()
}

// errReader fails at the first read.
type errReader struct{ err error }

// Read gives the error.
func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Close does nothing.
func (errReader) Close() error { return nil }
