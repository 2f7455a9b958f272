package journald

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// The layout of a journal's file (systemd.io/JOURNAL_FILE_FORMAT): a header, then
// objects at multiples of 8 bytes, each with a type, flags and its size. An entry
// names the data objects that are its fields; arrays, each of which names the
// next, list the entries. Numbers are little-endian.
const (
	signature  = "LPKSHHRH"
	headerSize = 208 // bytes of the header that every version has

	atIncompatible = 12
	atFileID       = 24
	atSeqnumID     = 72
	atHeaderSize   = 88
	atEntries      = 152
	atFirstArray   = 176

	typeData  = 1
	typeEntry = 3
	typeArray = 6

	flagXZ   = 1
	flagLZ4  = 2
	flagZSTD = 4

	compactFiles = 1 << 4 // offsets of 4 bytes
	known        = 1 | 2 | 4 | 8 | 16

	objectHeader = 16
	entryItems   = 64 // where an entry's items begin
	arrayItems   = 24
	dataPayload  = 64
	compactExtra = 8 // bytes more before the payload in compact files

	maxItems = 1024         // fields of an entry
	maxArray = 64 << 20     // bytes of one array
	maxField = line.MaxText // bytes of a field
	maxCache = 4096         // small fields of a file that are remembered
	small    = 256          // bytes
	unpacked = 8 << 20      // bytes that a decompressor may use
)

var (
	errFormat = errors.New("not a journal file of a known format")
	errBroken = errors.New("a broken journal file")

	errPosition = errors.New("it is none")
)

// file is one journal file that is read entry by entry.
type file struct {
	in      io.ReaderAt
	close   func() error
	path    string
	info    os.FileInfo
	id      [16]byte // stays when the file is renamed
	dead    bool     // the rest of it cannot be read
	compact bool

	read  uint64 // entries
	seq   uint64 // number of the last one
	array uint64 // where the array of the next entry is; 0: not known yet
	index uint64 // in it
	size  uint64 // of it, items

	cache map[uint64][]byte
	buf   []byte
	zstd  *zstd.Decoder
}

// open reads the header of a file.
func open(in io.ReaderAt) (*file, error) {
	f := &file{in: in, cache: map[uint64][]byte{}, close: func() error { return nil }}
	var h [headerSize]byte
	if _, err := in.ReadAt(h[:], 0); err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, err)
	}
	flags := binary.LittleEndian.Uint32(h[atIncompatible:])
	if string(h[:8]) != signature || flags&^known != 0 || binary.LittleEndian.Uint64(h[atHeaderSize:]) < headerSize {
		return nil, errFormat
	}
	copy(f.id[:], h[atFileID:])
	f.compact = flags&compactFiles != 0
	return f, nil
}

// entries is how many entries the file has now.
func (f *file) entries() (uint64, error) {
	var b [8]byte
	if _, err := f.in.ReadAt(b[:], atEntries); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// width is the size of an offset.
func (f *file) width() uint64 {
	if f.compact {
		return 4
	}
	return 8
}

// object reads the header of the object at an offset, which must be of a type.
func (f *file) object(at uint64, kind byte) (flags byte, size uint64, err error) {
	if at == 0 || at%8 != 0 || at > 1<<62 {
		return 0, 0, errBroken
	}
	var h [objectHeader]byte
	if _, err := f.in.ReadAt(h[:], int64(at)); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	size = binary.LittleEndian.Uint64(h[8:])
	if h[0] != kind || size < objectHeader || size > 1<<40 {
		return 0, 0, errBroken
	}
	return h[1], size, nil
}

// bytes reads n bytes at an offset into the file's buffer.
func (f *file) bytes(at, n uint64) ([]byte, error) {
	if uint64(cap(f.buf)) < n {
		f.buf = make([]byte, n)
	}
	f.buf = f.buf[:n]
	if _, err := f.in.ReadAt(f.buf, int64(at)); err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return f.buf, nil
}

// offset reads one item of an array.
func (f *file) offset(at uint64) (uint64, error) {
	var b [8]byte
	if _, err := f.in.ReadAt(b[:f.width()], int64(at)); err != nil {
		return 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// enter goes to the array at an offset, behind those before it.
func (f *file) enter(at uint64) error {
	if at <= f.array { // arrays are appended: so there is no circle
		return errBroken
	}
	_, size, err := f.object(at, typeArray)
	if err != nil {
		return err
	}
	if size < arrayItems || size > maxArray {
		return errBroken
	}
	f.array, f.index, f.size = at, 0, (size-arrayItems)/f.width()
	return nil
}

// next gives where the next entry is; 0: there is none yet.
func (f *file) next() (uint64, error) {
	if f.array == 0 {
		first, err := f.offset8(atFirstArray)
		if err != nil || first == 0 {
			return 0, err
		}
		if err := f.enter(first); err != nil {
			return 0, err
		}
	}
	for f.index == f.size {
		to, err := f.offset8(f.array + objectHeader)
		if err != nil || to == 0 {
			return 0, err
		}
		if err := f.enter(to); err != nil {
			return 0, err
		}
	}
	return f.offset(f.array + arrayItems + f.index*f.width())
}

func (f *file) offset8(at uint64) (uint64, error) {
	var b [8]byte
	if _, err := f.in.ReadAt(b[:], int64(at)); err != nil {
		return 0, fmt.Errorf("%w: %w", errBroken, err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// skip passes entries without reading them, n at most: fewer where there are no
// more, or the file is broken, which who reads it meets again.
func (f *file) skip(n uint64) {
	for n > 0 {
		at, err := f.next()
		if err != nil || at == 0 {
			return
		}
		step := min(n, f.size-f.index)
		f.index += step
		f.read += step
		n -= step
	}
}

// entry is one that was read.
type entry struct {
	seq      uint64
	realtime uint64 // µs since 1970
	items    []uint64
}

// take reads the next entry; ok is false where there is none yet.
func (f *file) take() (e entry, ok bool, err error) {
	at, err := f.next()
	if err != nil || at == 0 {
		return e, false, err
	}
	_, size, err := f.object(at, typeEntry)
	if err != nil {
		return e, false, err
	}
	step := f.width()
	if !f.compact {
		step = 16 // the offset and a hash
	}
	if size < entryItems || (size-entryItems)/step > maxItems {
		return e, false, errBroken
	}
	b, err := f.bytes(at, size)
	if err != nil {
		return e, false, err
	}
	e.seq, e.realtime = binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
	for i := uint64(entryItems); i+step <= size; i += step {
		if f.compact {
			e.items = append(e.items, uint64(binary.LittleEndian.Uint32(b[i:])))
		} else {
			e.items = append(e.items, binary.LittleEndian.Uint64(b[i:]))
		}
	}
	f.index++
	f.read++
	f.seq = e.seq
	return e, true, nil
}

// field reads a field, NAME=value, at most maxField bytes of it. It is valid
// until the next call.
func (f *file) field(at uint64) (data []byte, cut bool, err error) {
	if data, ok := f.cache[at]; ok {
		return data, false, nil
	}
	flags, size, err := f.object(at, typeData)
	if err != nil {
		return nil, false, err
	}
	begin := uint64(dataPayload)
	if f.compact {
		begin += compactExtra
	}
	if size < begin {
		return nil, false, errBroken
	}
	n := size - begin
	if flags&(flagXZ|flagLZ4|flagZSTD) == 0 {
		cut = n > maxField
		data, err = f.bytes(at+begin, min(n, maxField))
	} else {
		data, cut, err = f.unpack(flags, at+begin, n)
	}
	if err == nil && len(data) <= small {
		if len(f.cache) >= maxCache {
			clear(f.cache)
		}
		data = bytes.Clone(data)
		f.cache[at] = data
	}
	return data, cut, err
}

// unpack reads a compressed field.
func (f *file) unpack(flags byte, at, n uint64) (data []byte, cut bool, err error) {
	in := io.NewSectionReader(f.in, int64(at), int64(min(n, unpacked)))
	var out bytes.Buffer
	switch {
	case flags&flagZSTD != 0:
		if f.zstd == nil {
			if f.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(unpacked), zstd.WithDecoderLowmem(true)); err != nil {
				return nil, false, err
			}
		}
		if err = f.zstd.Reset(in); err == nil {
			_, err = out.ReadFrom(io.LimitReader(f.zstd, maxField+1))
		}
	case flags&flagXZ != 0:
		var r *xz.Reader
		if r, err = xz.NewReader(in, unpacked); err == nil {
			_, err = out.ReadFrom(io.LimitReader(r, maxField+1))
		}
	default:
		b, rerr := f.bytes(at, min(n, unpacked))
		if rerr != nil || len(b) < 8 {
			return nil, false, errBroken
		}
		data, err = unpackLZ4(b[8:], min(binary.LittleEndian.Uint64(b), maxField+1))
		out.Write(data)
	}
	if err != nil && out.Len() <= maxField {
		return nil, false, fmt.Errorf("%w: %w", errBroken, err)
	}
	data = out.Bytes()
	if cut = len(data) > maxField; cut {
		data = data[:maxField]
	}
	return data, cut, nil
}

// unpackLZ4 decompresses a block of LZ4 up to a size.
func unpackLZ4(in []byte, size uint64) ([]byte, error) {
	out := make([]byte, 0, size)
	length := func(n int) (int, bool) {
		for n >= 15 {
			if len(in) == 0 {
				return 0, false
			}
			b := in[0]
			in = in[1:]
			if n += int(b); b != 255 || n > maxField+unpacked {
				break
			}
		}
		return n, true
	}
	for uint64(len(out)) < size && len(in) > 0 {
		token := in[0]
		in = in[1:]
		n, ok := length(int(token >> 4))
		if !ok || n > len(in) {
			return nil, errBroken
		}
		out = append(out, in[:min(uint64(n), size-uint64(len(out)))]...)
		in = in[n:]
		if len(in) == 0 || uint64(len(out)) == size {
			break
		}
		if len(in) < 2 {
			return nil, errBroken
		}
		back := int(binary.LittleEndian.Uint16(in))
		in = in[2:]
		n, ok = length(int(token & 15))
		if n += 4; !ok || back == 0 || back > len(out) {
			return nil, errBroken
		}
		for ; n > 0 && uint64(len(out)) < size; n-- {
			out = append(out, out[len(out)-back])
		}
	}
	if uint64(len(out)) != size {
		return nil, errBroken
	}
	return out, nil
}
