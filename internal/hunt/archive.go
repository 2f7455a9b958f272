package hunt

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"math"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func isZip(b []byte) bool { return bytes.HasPrefix(b, []byte("PK\x03\x04")) }

// container reads what holds other inputs; false when it is none.
func (r *reader) container(s source, sample []byte, br *bufio.Reader) bool {
	var inner io.Reader
	var err error
	switch {
	case isZip(sample):
		r.spooledZip(s, br)
		return true
	case len(sample) > 262 && string(sample[257:262]) == "ustar":
		r.tar(s, br)
		return true
	case bytes.HasPrefix(sample, []byte{0x1f, 0x8b}):
		inner, err = gzip.NewReader(br)
	case bytes.HasPrefix(sample, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var d *zstd.Decoder
		d, err = zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err == nil {
			defer d.Close()
			inner = d
		}
	case bytes.HasPrefix(sample, []byte("BZh")) && len(sample) > 4 && sample[3] >= '1' && sample[3] <= '9':
		inner = bzip2.NewReader(br)
	case bytes.HasPrefix(sample, []byte("\xfd7zXZ\x00")), bytes.HasPrefix(sample, []byte("7z\xbc\xaf\x27\x1c")), bytes.HasPrefix(sample, []byte("Rar!")):
		r.h.problem(s.name, unread, "xz, 7z and rar are not read: unpack it first")
		return true
	default:
		return false
	}
	if err != nil {
		r.broken(s, err)
		return true
	}
	if s.depth >= maxNesting {
		r.h.problem(s.name, partly, "skipped: archives nested more than %d deep", maxNesting)
		return true
	}
	s.depth++
	r.stream(s, grown(s, inner))
	return true
}

func (r *reader) tar(s source, in io.Reader) {
	t := tar.NewReader(in)
	for r.ctx.Err() == nil {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			r.broken(s, err)
			return
		}
		if h.Typeflag == tar.TypeReg && wantMember(h.Name) {
			m := s.inside(h.Name)
			m.mod = h.ModTime
			r.member(m, t)
		}
	}
}

func (r *reader) member(m source, in io.Reader) {
	if m.depth > maxNesting {
		r.h.problem(m.name, partly, "skipped: archives nested more than %d deep", maxNesting)
		return
	}
	r.stream(m, in)
}

// wantMember leaves out what archivers add.
func wantMember(name string) bool {
	return !strings.HasPrefix(name, "__MACOSX/") && !strings.HasPrefix(path.Base(name), "._")
}

func (r *reader) zip(s source, at io.ReaderAt, size int64) {
	z, err := zip.NewReader(at, size)
	if err != nil {
		r.cutZip(s, at, size, err)
		return
	}
	for _, f := range z.File {
		if r.ctx.Err() != nil {
			return
		}
		if !f.Mode().IsRegular() || !wantMember(f.Name) {
			continue
		}
		m := s.inside(f.Name)
		m.mod = f.Modified
		if f.Flags&1 != 0 {
			r.h.problem(m.name, unread, "encrypted: unpack it first")
			continue
		}
		rc, err := f.Open()
		if err != nil {
			r.broken(m, err)
			continue
		}
		r.member(m, grown(s, rc))
		rc.Close() //nolint:errcheck // read only
	}
}

// spooledZip reads a zip archive from a stream: its directory stands at the
// end, so it goes to a file first.
func (r *reader) spooledZip(s source, in io.Reader) {
	f, err := os.CreateTemp(r.h.cfg.TempDir, "lapwing-hunt-*")
	if err != nil {
		r.h.problem(s.name, unread, "%v", err)
		return
	}
	defer os.Remove(f.Name()) //nolint:errcheck // temporary
	defer f.Close()           //nolint:errcheck // temporary
	most := int64(math.MaxInt64) - 1
	if s.depth > 0 { // packed again, which makes an archive no smaller
		most = max(minGrown, 4*max(s.room.size, s.room.in.n))
	}
	n, err := io.Copy(f, io.LimitReader(in, most+1))
	if err == nil && n > most {
		err = errGrows
	}
	if err != nil {
		r.broken(s, err)
		if n == 0 || n > most {
			return
		}
	}
	r.zip(s, f, n)
}
