package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"hash/crc64"
)

// ErrFormat is the error of input that is not what it was taken for.
var ErrFormat = errors.New("file format not recognized")

// What else input can be: more than is given when unpacked, cut off, damaged,
// or packed in a way that is not known here.
var (
	ErrMemory  = errors.New("cannot allocate memory")
	ErrShort   = errors.New("unexpected end of input")
	ErrCorrupt = errors.New("compressed data is corrupt")
	ErrOptions = errors.New("unsupported options")
)

var xzMagic = []byte("\xfd7zXZ\x00")

// xzVar is a multibyte integer of the format.
func xzVar(n uint64) []byte {
	var out []byte
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}

func withCRC(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }

func pad4(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// Xz writes an xz file (format 1.0.4) whose LZMA2 chunks are stored, not
// packed: valid for every reader.
func Xz(data []byte) []byte {
	flags := []byte{0, 1} // check: CRC32
	out := append([]byte{}, xzMagic...)
	out = append(out, withCRC(flags)[:2]...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(flags))
	var records []byte
	blocks := uint64(0)
	if len(data) > 0 {
		start := len(out)
		header := []byte{2, 0, 0x21, 1, 22, 0, 0, 0} // 12 bytes with the CRC: one filter, LZMA2, 8 MiB
		out = append(out, withCRC(header)...)
		for i, rest := 0, data; len(rest) > 0; i++ {
			n := min(len(rest), 1<<16)
			kind := byte(2)
			if i == 0 {
				kind = 1
			}
			out = append(out, kind, byte((n-1)>>8), byte(n-1))
			out, rest = append(out, rest[:n]...), rest[n:]
		}
		out = append(out, 0)
		unpadded := len(out) - start + 4
		for (len(out)-start)%4 != 0 {
			out = append(out, 0)
		}
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
		records = append(xzVar(uint64(unpadded)), xzVar(uint64(len(data)))...)
		blocks = 1
	}
	index := withCRC(pad4(append(append([]byte{0}, xzVar(blocks)...), records...)))
	out = append(out, index...)
	footer := append(binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), "YZ"...)
}

// UnXz unpacks xz (The .xz File Format 1.2.1) with all filters but that of
// IA-64, and the older .lzma. grow is asked before n more bytes are unpacked.
func UnXz(data []byte, grow func(n int) error) ([]byte, error) {
	if !bytes.HasPrefix(data, xzMagic) {
		return unLzma(data, grow)
	}
	z := &lzma{}
	for {
		rest, err := xzStream(z, data, grow)
		if err != nil {
			return nil, err
		}
		for len(rest) >= 4 && binary.LittleEndian.Uint32(rest) == 0 {
			rest = rest[4:]
		}
		if len(rest) == 0 {
			return z.out, nil
		}
		data = rest
	}
}

// xzStream unpacks one stream and gives what follows it.
func xzStream(z *lzma, data []byte, grow func(n int) error) ([]byte, error) {
	if !bytes.HasPrefix(data, xzMagic) {
		return nil, ErrFormat
	}
	if len(data) < 12 {
		return nil, ErrShort
	}
	flags := data[6:8]
	if crc32.ChecksumIEEE(flags) != binary.LittleEndian.Uint32(data[8:]) {
		return nil, ErrCorrupt
	}
	size := map[byte]int{0: 0, 1: 4, 4: 8, 10: 32}
	check, ok := size[flags[1]]
	if flags[0] != 0 || !ok {
		return nil, ErrOptions
	}
	rest := data[12:]
	for len(rest) > 0 && rest[0] != 0 {
		begin := len(z.out)
		head := (int(rest[0]) + 1) * 4
		filters, err := xzHeader(rest, head)
		if err != nil {
			return nil, err
		}
		after, err := z.chunks(rest[head:], grow)
		if err != nil {
			return nil, err
		}
		after = after[min(len(after), -(len(rest)-head-len(after))&3):]
		if len(after) < check {
			return nil, ErrShort
		}
		undo(filters, z.out[begin:])
		if !xzSame(flags[1], z.out[begin:], after[:check]) {
			return nil, ErrCorrupt
		}
		rest = after[check:]
	}
	return xzIndex(rest)
}

// xzHeader checks the header of a block, and reads its filters.
func xzHeader(b []byte, n int) ([]xzFilter, error) {
	if len(b) < n {
		return nil, ErrShort
	}
	if crc32.ChecksumIEEE(b[:n-4]) != binary.LittleEndian.Uint32(b[n-4:]) {
		return nil, ErrCorrupt
	}
	at := 2
	for _, has := range []byte{0x40, 0x80} { // sizes, which the stream tells, too
		if b[1]&has != 0 {
			_, k := binary.Uvarint(b[at : n-4])
			if k <= 0 {
				return nil, ErrCorrupt
			}
			at += k
		}
	}
	if b[1]&0x3c != 0 {
		return nil, ErrOptions
	}
	return xzFilters(b[at:n-4], int(b[1]&3)+1)
}

func xzSame(kind byte, data, sum []byte) bool {
	switch kind {
	case 1:
		return crc32.ChecksumIEEE(data) == binary.LittleEndian.Uint32(sum)
	case 4:
		return crc64.Checksum(data, crc64.MakeTable(crc64.ECMA)) == binary.LittleEndian.Uint64(sum)
	case 10:
		s := sha256.Sum256(data)
		return bytes.Equal(s[:], sum)
	}
	return true
}

// xzIndex skips the index and the footer.
func xzIndex(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, ErrShort
	}
	at := 1
	n, k := binary.Uvarint(b[at:])
	if k <= 0 || n > uint64(len(b)) {
		return nil, ErrCorrupt
	}
	at += k
	for range 2 * n {
		if _, k = binary.Uvarint(b[at:]); k <= 0 {
			return nil, ErrShort
		}
		at += k
	}
	at += -at & 3
	if at+16 > len(b) {
		return nil, ErrShort
	}
	if crc32.ChecksumIEEE(b[:at]) != binary.LittleEndian.Uint32(b[at:]) || string(b[at+14:at+16]) != "YZ" {
		return nil, ErrCorrupt
	}
	return b[at+16:], nil
}

// unLzma unpacks the format of lzma_alone.
func unLzma(data []byte, grow func(n int) error) ([]byte, error) {
	z := &lzma{}
	if len(data) < 18 || data[0] >= 9*5*5 || data[13] != 0 || binary.LittleEndian.Uint32(data[1:]) < 1<<12 {
		return nil, ErrFormat
	}
	size, known := binary.LittleEndian.Uint64(data[5:]), true
	if size == ^uint64(0) {
		known = false
	} else if size > 1<<38 {
		return nil, ErrFormat
	}
	z.props(data[0])
	if !z.begin(data[13:]) {
		return nil, ErrCorrupt
	}
	const piece = 64 << 10
	for !known || uint64(len(z.out)) < size {
		n := piece
		if known {
			n = int(min(piece, size-uint64(len(z.out))))
		}
		if err := grow(n + 273); err != nil { // the longest match
			return nil, err
		}
		ended, err := z.run(len(z.out) + n)
		if err != nil {
			return nil, err
		}
		if ended {
			break
		}
	}
	if known && uint64(len(z.out)) != size {
		return nil, ErrCorrupt
	}
	return z.out, nil
}
