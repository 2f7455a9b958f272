package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// ErrFormat is the error of input that is not what it was taken for.
var ErrFormat = errors.New("file format not recognized")

// ErrMemory is the error of input that would need more than is given: real
// LZMA data, which is not unpacked here.
var ErrMemory = errors.New("cannot allocate memory")

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

// UnXz reads back what Xz wrote. Files with packed chunks give ErrMemory.
func UnXz(data []byte) ([]byte, error) {
	if len(data) < 24 || !bytes.HasPrefix(data, xzMagic) {
		return nil, ErrFormat
	}
	at := 12
	if data[at] == 0 { // the index: no block
		return nil, nil
	}
	at += (int(data[at]) + 1) * 4
	var out []byte
	for at+3 <= len(data) {
		switch kind := data[at]; {
		case kind == 0:
			return out, nil
		case kind > 2:
			return nil, ErrMemory
		}
		n := int(binary.BigEndian.Uint16(data[at+1:])) + 1
		at += 3
		if at+n > len(data) {
			break
		}
		out = append(out, data[at:at+n]...)
		at += n
	}
	return nil, ErrFormat
}
