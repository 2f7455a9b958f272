package sigma

import (
	"encoding/binary"
	"errors"
)

var errPoint = errors.New("sigma: damaged point")

// AppendBinary appends a form of the point that DecodePoint reads: for sorting
// more points on disk than memory holds. It is good for engines of the same
// rules only.
func (p *Point) AppendBinary(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Time)^(1<<63)) // sorts as bytes
	dst = binary.AppendUvarint(dst, p.Ref)
	dst = binary.AppendUvarint(dst, uint64(p.cor))
	dst = binary.AppendUvarint(dst, uint64(p.at))
	dst = binary.AppendUvarint(dst, p.value)
	dst = binary.AppendUvarint(dst, uint64(len(p.group)))
	return append(dst, p.group...)
}

// DecodePoint reads one point that AppendBinary wrote for this engine.
func (e *Engine) DecodePoint(b []byte) (p Point, err error) {
	if len(b) < 8 {
		return p, errPoint
	}
	p.Time = int64(binary.BigEndian.Uint64(b) ^ (1 << 63))
	b = b[8:]
	var v [5]uint64
	for i := range v {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return p, errPoint
		}
		v[i], b = x, b[n:]
	}
	if v[1] >= uint64(len(e.cors)) || v[2] > 1<<20 || v[4] != uint64(len(b)) {
		return p, errPoint
	}
	p.Ref, p.cor, p.at, p.value, p.group = v[0], int32(v[1]), int32(v[2]), v[3], string(b)
	return p, nil
}

// Correlations is the number of correlations in the engine.
func (e *Engine) Correlations() int { return len(e.cors) }
