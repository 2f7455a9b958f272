package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A segment is a header of 24 bytes (magic, number, salt) and records, each
// on a multiple of 8:
//
//	0  mark    uint32  from the salt, which visitors do not know
//	4  length  uint32  of the data
//	8  sum     uint32  CRC-32C of salt, bytes 12..40 and data
//	12 -       uint32  zero
//	16 client  [16]byte, 32 seq uint64: the Key
//	40 data, then zeros to the next multiple of 8
//
// What visitors typed is in the data. A salted mark and sum keep them from
// writing bytes that pass for a record when a damaged one is skipped.
const (
	segmentMagic = "lapwing\x01"
	headerSize   = 24
	recordSize   = 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type salt uint64

func appendHeader(dst []byte, number uint64, s salt) []byte {
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, number)
	return binary.LittleEndian.AppendUint64(dst, uint64(s))
}

var errHeader = errors.New("not a journal segment")

func parseHeader(b []byte) (number uint64, s salt, err error) {
	if len(b) < headerSize || string(b[:8]) != segmentMagic {
		return 0, 0, errHeader
	}
	return binary.LittleEndian.Uint64(b[8:]), salt(binary.LittleEndian.Uint64(b[16:])), nil
}

func (s salt) mark() uint32 { return uint32(s>>32) ^ 0x6c617077 | 1 }

func (s salt) sum(head, data []byte) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s))
	c := crc32.Update(0, castagnoli, b[:])
	c = crc32.Update(c, castagnoli, head[4:8])
	c = crc32.Update(c, castagnoli, head[12:recordSize])
	return crc32.Update(c, castagnoli, data)
}

func padded(n int) int { return (n + 7) &^ 7 }

// appendRecord appends one record without mark and sum, which seal adds; dst
// must begin on a multiple of 8 of the file.
func appendRecord(dst []byte, key Key, data []byte) []byte {
	var h [recordSize]byte
	binary.LittleEndian.PutUint32(h[4:], uint32(len(data)))
	copy(h[16:], key.Client[:])
	binary.LittleEndian.PutUint64(h[32:], key.Seq)
	dst = append(dst, h[:]...)
	dst = append(dst, data...)
	return append(dst, make([]byte, padded(len(data))-len(data))...)
}

// seal writes mark and sum into records made by appendRecord.
func (s salt) seal(b []byte) {
	for len(b) > 0 {
		n := int(binary.LittleEndian.Uint32(b[4:]))
		binary.LittleEndian.PutUint32(b, s.mark())
		binary.LittleEndian.PutUint32(b[8:], s.sum(b[:recordSize], b[recordSize:recordSize+n]))
		b = b[recordSize+padded(n):]
	}
}

// record is one parsed record of a segment.
type record struct {
	key  Key
	data []byte
	end  int64 // offset after it
}

// reader walks the records of one segment. It never fails on what the bytes
// say: damaged regions are skipped and counted.
type reader struct {
	src  io.ReaderAt
	size int64 // readable bytes
	salt salt
	off  int64

	buf     []byte // window of the file
	bufOff  int64
	limit   int // size of the window
	damaged int64
	regions int
}

func newReader(src io.ReaderAt, size int64) (*reader, uint64, error) {
	var h [headerSize]byte
	if size < headerSize {
		return nil, 0, errHeader
	}
	if _, err := src.ReadAt(h[:], 0); err != nil {
		return nil, 0, fmt.Errorf("read segment header: %w", err)
	}
	number, s, err := parseHeader(h[:])
	if err != nil {
		return nil, 0, err
	}
	return &reader{src: src, size: size, salt: s, off: headerSize, limit: 256 << 10}, number, nil
}

// window gives n bytes at off, or fewer at the end.
func (r *reader) window(off int64, n int) ([]byte, error) {
	if rest := r.size - off; int64(n) > rest {
		n = int(max(rest, 0))
	}
	if off < r.bufOff || off+int64(n) > r.bufOff+int64(len(r.buf)) {
		want := int(min(int64(max(n, r.limit)), r.size-off))
		if cap(r.buf) < want {
			r.buf = make([]byte, want)
		}
		r.buf = r.buf[:want]
		m, err := r.src.ReadAt(r.buf, off)
		if err != nil && !errors.Is(err, io.EOF) {
			r.buf = r.buf[:0]
			return nil, fmt.Errorf("read segment: %w", err)
		}
		r.buf, r.bufOff = r.buf[:m], off
		n = min(n, m)
	}
	i := off - r.bufOff
	return r.buf[i : i+int64(n)], nil
}

// at parses the record at off; ok is false where there is none.
func (r *reader) at(off int64) (rec record, ok bool, err error) {
	h, err := r.window(off, recordSize)
	if err != nil || len(h) < recordSize || binary.LittleEndian.Uint32(h) != r.salt.mark() {
		return rec, false, err
	}
	n := int64(binary.LittleEndian.Uint32(h[4:]))
	if n == 0 || n > MaxRecord || off+recordSize+n > r.size {
		return rec, false, nil
	}
	b, err := r.window(off, recordSize+int(n))
	if err != nil || int64(len(b)) < recordSize+n {
		return rec, false, err
	}
	data := b[recordSize:]
	if binary.LittleEndian.Uint32(b[8:]) != r.salt.sum(b[:recordSize], data) {
		return rec, false, nil
	}
	copy(rec.key.Client[:], b[16:32])
	rec.key.Seq = binary.LittleEndian.Uint64(b[32:])
	rec.data = data
	rec.end = min(off+recordSize+int64(padded(int(n))), r.size)
	return rec, true, nil
}

// next is the next whole record, io.EOF after the last. Data is valid until
// the next call.
func (r *reader) next() (record, error) {
	rec, ok, err := r.at(r.off)
	if err != nil {
		return rec, err
	}
	if ok {
		r.off = rec.end
		return rec, nil
	}
	off, err := r.resync(r.off + 8)
	if err != nil {
		return rec, err
	}
	if off < 0 {
		return rec, io.EOF
	}
	r.damaged += off - r.off
	r.regions++
	if rec, _, err = r.at(off); err != nil {
		return rec, err
	}
	r.off = rec.end
	return rec, nil
}

// resync looks for the next whole record at or after off, -1 where there is none.
func (r *reader) resync(off int64) (int64, error) {
	var mark [4]byte
	binary.LittleEndian.PutUint32(mark[:], r.salt.mark())
	for off+recordSize <= r.size {
		w, err := r.window(off, r.limit)
		if err != nil {
			return -1, err
		}
		if len(w) < 8 {
			return -1, nil
		}
		i := bytes.Index(w, mark[:])
		if i < 0 {
			off += int64(len(w)-4) &^ 7
			if len(w) < r.limit {
				return -1, nil
			}
			continue
		}
		at := (off + int64(i)) &^ 7
		if (off+int64(i))%8 == 0 {
			if _, ok, err := r.at(at); err != nil || ok {
				return at, err
			}
		}
		off = at + 8
	}
	return -1, nil
}
