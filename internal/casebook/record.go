package casebook

import (
	"encoding/binary"
	"errors"
)

var errChunk = errors.New("records are not written as they should be")

// appendRecord appends a record to a chunk: how many bytes of its key are those
// of the key before, how many follow, and how many its value has; where the two
// first are less than 15 they are one byte.
func appendRecord(dst, before, key, value []byte) []byte {
	same := 0
	for same < min(len(before), len(key)) && before[same] == key[same] {
		same++
	}
	if more := len(key) - same; same < 15 && more < 16 {
		dst = append(dst, byte(same<<4|more))
	} else {
		dst = binary.AppendUvarint(binary.AppendUvarint(append(dst, 0xf0), uint64(same)), uint64(more))
	}
	dst = append(dst, key[same:]...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// takeRecord reads the record that b begins with; key is the key before.
func takeRecord(b, key []byte) (rest, newKey, value []byte, err error) {
	d := reader{b: b}
	head := d.byte()
	same, more := uint64(head>>4), uint64(head&15)
	if head == 0xf0 {
		same, more = d.uint(), d.uint()
	}
	if same > uint64(len(key)) {
		return nil, nil, nil, errChunk
	}
	newKey = append(key[:same], d.take(more)...)
	value = d.take(d.uint())
	if d.bad {
		return nil, nil, nil, errChunk
	}
	return d.b, newKey, value, nil
}

// reader takes fields off the front; what is not there is zero, and bad.
type reader struct {
	b   []byte
	bad bool
}

func (d *reader) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	t := d.b[:n]
	d.b = d.b[n:]
	return t
}

func (d *reader) byte() byte {
	if t := d.take(1); t != nil {
		return t[0]
	}
	return 0
}

func (d *reader) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) int() int64 {
	v := d.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *reader) text() string { return string(d.take(d.uint())) }

func appendInt(b []byte, v int64) []byte   { return binary.AppendVarint(b, v) }
func appendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
