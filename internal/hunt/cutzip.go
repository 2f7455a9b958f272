package hunt

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

const (
	localHeader = 30   // bytes before the name of a member (APPNOTE 4.3.7)
	descriptor  = 4096 // how far behind a member the next one is looked for
	maxName     = 4096
)

// cutZip reads the members of a zip archive whose directory, which stands at
// the end, is missing or damaged (why), by the headers before them.
func (r *reader) cutZip(s source, at io.ReaderAt, size int64, why error) {
	found := 0
	for off := int64(0); r.ctx.Err() == nil; found++ {
		m, ok := readLocal(at, off)
		if !ok {
			break
		}
		next := r.local(s, at, m, size)
		if next <= off {
			found++
			break
		}
		off = next
	}
	if found == 0 {
		r.h.problem(s.name, unread, "%v: unpack what can be saved of it first (zip -FF)", plainError(why))
		return
	}
	r.h.problem(s.name, partly, "%v: cut off or damaged; %d members were read by their own headers", plainError(why), found)
}

// member of a zip archive as the header before it says.
type local struct {
	name          string
	flags, method uint16
	packed        int64 // bytes, where the header knows
	data          int64 // where its data begin
}

func readLocal(at io.ReaderAt, off int64) (local, bool) {
	var h [localHeader]byte
	if _, err := at.ReadAt(h[:], off); err != nil || !isZip(h[:]) {
		return local{}, false
	}
	le := binary.LittleEndian
	names, extra := int(le.Uint16(h[26:])), int64(le.Uint16(h[28:]))
	m := local{flags: le.Uint16(h[6:]), method: le.Uint16(h[8:]), packed: int64(le.Uint32(h[18:])), data: off + localHeader + int64(names) + extra}
	name := make([]byte, min(names, maxName))
	if _, err := at.ReadAt(name, off+localHeader); err != nil {
		return local{}, false
	}
	m.name = string(name)
	return m, true
}

// local judges one member and gives where the next one begins, 0 when that
// cannot be told.
func (r *reader) local(s source, at io.ReaderAt, m local, size int64) (next int64) {
	end := int64(0)
	if m.flags&8 == 0 && m.packed != math.MaxUint32 { // else its size stands behind it
		end = m.data + m.packed
	}
	in := &passed{r: bufio.NewReader(io.NewSectionReader(at, m.data, max(size-m.data, 0)))}
	var body io.Reader
	switch {
	case m.flags&1 != 0:
		r.h.problem(s.inside(m.name).name, unread, "encrypted: unpack it first")
	case m.method == zip.Store && end > 0:
		body = io.LimitReader(in, m.packed)
	case m.method == zip.Deflate:
		body = flate.NewReader(in)
	default:
		r.h.problem(s.inside(m.name).name, unread, "cannot be read without the archive's directory")
	}
	if body != nil {
		all := grown(s, body)
		if m.name != "" && m.name[len(m.name)-1] != '/' && wantMember(m.name) {
			r.member(s.inside(m.name), all)
		}
		if end == 0 && r.drain(all) == nil {
			end = nextLocal(at, m.data+in.n)
		}
	}
	if end >= size {
		return 0
	}
	return end
}

// nextLocal looks for a header close behind a member: between lie its sizes.
func nextLocal(at io.ReaderAt, off int64) int64 {
	b := make([]byte, descriptor)
	n, err := at.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	if i := bytes.Index(b[:n], []byte("PK\x03\x04")); i >= 0 {
		return off + int64(i)
	}
	return 0
}

// passed counts the bytes that were taken; being a ByteReader, flate takes no
// more than it needs.
type passed struct {
	r *bufio.Reader
	n int64
}

func (p *passed) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	return n, err
}

func (p *passed) ReadByte() (byte, error) {
	b, err := p.r.ReadByte()
	if err == nil {
		p.n++
	}
	return b, err
}

// drain reads what nobody wanted, so that the end of a member is found.
func (r *reader) drain(in io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		_, err := in.Read(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
