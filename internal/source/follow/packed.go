package follow

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// compression is the ending of a compressed file's name, else empty.
func compression(name string) string {
	switch ext := filepath.Ext(name); ext {
	case ".gz", ".zst", ".xz", ".bz2":
		return ext
	}
	return ""
}

// packedMemory bounds what a decompressor may use, in bytes.
const packedMemory = 64 << 20

// unpack opens a compressed file.
func unpack(name string) (*packed, error) {
	src, _, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	p := &packed{file: src}
	switch compression(name) {
	case ".gz":
		p.r, err = gzip.NewReader(src)
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(packedMemory)); err == nil {
			p.r, p.free = d, d.Close
		}
	case ".xz":
		p.r, err = xz.NewReader(src, packedMemory)
	case ".bz2":
		p.r = bzip2.NewReader(src)
	}
	if err != nil {
		src.Close() //nolint:errcheck // the other error is told
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return p, nil
}

// packed is the text of a compressed file. ReadAt goes forward only: each offset
// lies within what the call before gave, or behind it.
type packed struct {
	file *os.File
	r    io.Reader
	free func()
	last []byte // what was given last, from at on
	at   int64
}

// ReadAt implements io.ReaderAt, as said of packed.
func (p *packed) ReadAt(b []byte, off int64) (int, error) {
	if off < p.at {
		return 0, fmt.Errorf("a compressed file is not read backwards (from %d to %d)", p.at, off)
	}
	if skip := off - p.at; skip <= int64(len(p.last)) {
		p.last = p.last[skip:]
	} else {
		skip -= int64(len(p.last))
		p.last = nil
		n, err := io.CopyN(io.Discard, p.r, skip)
		if err != nil {
			p.at = off - skip + n
			return 0, err
		}
	}
	p.at = off
	n := copy(b, p.last)
	if n == len(b) {
		return n, nil
	}
	m, err := io.ReadFull(p.r, b[n:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	n += m
	p.last = bytes.Clone(b[:n])
	return n, err
}

// Close implements io.Closer.
func (p *packed) Close() error {
	if p.free != nil {
		p.free()
	}
	return p.file.Close()
}
