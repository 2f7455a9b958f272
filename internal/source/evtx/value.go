package evtx

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// The types of values, [MS-EVEN6] 2.2.12.
const (
	typNull       = 0x00
	typString     = 0x01
	typAnsi       = 0x02
	typInt8       = 0x03
	typUint8      = 0x04
	typInt16      = 0x05
	typUint16     = 0x06
	typInt32      = 0x07
	typUint32     = 0x08
	typInt64      = 0x09
	typUint64     = 0x0a
	typReal32     = 0x0b
	typReal64     = 0x0c
	typBool       = 0x0d
	typBinary     = 0x0e
	typGUID       = 0x0f
	typSize       = 0x10
	typFileTime   = 0x11
	typSystemTime = 0x12
	typSID        = 0x13
	typHex32      = 0x14
	typHex64      = 0x15
	typBinXML     = 0x21
	typArray      = 0x80
)

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func valueType(typ byte) sigma.Type {
	switch typ {
	case typInt8, typUint8, typInt16, typUint16, typInt32, typUint32, typInt64, typUint64, typReal32, typReal64, typHex32, typHex64, typSize:
		return sigma.Number
	case typBool:
		return sigma.Bool
	}
	return sigma.Text
}

// appendValue renders a value as text.
func (d *Decoder) appendValue(dst []byte, s sub) []byte {
	b := d.chunk[s.from:s.to]
	if s.typ&typArray != 0 {
		return appendArray(dst, s.typ&^typArray, b)
	}
	return appendScalar(dst, s.typ, b)
}

// width is the size of an element of an array; 0 for text.
func width(typ byte) int {
	switch typ {
	case typInt8, typUint8:
		return 1
	case typInt16, typUint16:
		return 2
	case typInt32, typUint32, typReal32, typBool, typHex32:
		return 4
	case typInt64, typUint64, typReal64, typFileTime, typHex64, typSize:
		return 8
	case typGUID, typSystemTime:
		return 16
	}
	return 0
}

// appendArray joins the elements with newlines.
func appendArray(dst []byte, typ byte, b []byte) []byte {
	switch typ {
	case typString:
		b = trim16(b)
		for i := 0; ; {
			j := i
			for j+1 < len(b) && (b[j] != 0 || b[j+1] != 0) {
				j += 2
			}
			dst = appendUTF16(dst, b[i:min(j, len(b))])
			if i = j + 2; i >= len(b) {
				return dst
			}
			dst = append(dst, '\n')
		}
	case typAnsi:
		for _, x := range trim8(b) {
			if x == 0 {
				x = '\n'
			}
			dst = appendRune(dst, rune(x))
		}
		return dst
	}
	w := width(typ)
	if w == 0 {
		return appendHex(dst, b)
	}
	for i := 0; i+w <= len(b); i += w {
		if i > 0 {
			dst = append(dst, '\n')
		}
		dst = appendScalar(dst, typ, b[i:i+w])
	}
	return dst
}

func trim16(b []byte) []byte {
	b = b[:len(b)&^1]
	for len(b) >= 2 && b[len(b)-1] == 0 && b[len(b)-2] == 0 {
		b = b[:len(b)-2]
	}
	return b
}

func trim8(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func appendScalar(dst []byte, typ byte, b []byte) []byte {
	switch typ {
	case typString:
		return appendUTF16(dst, trim16(b))
	case typAnsi:
		for _, x := range trim8(b) {
			dst = appendRune(dst, rune(x))
		}
		return dst
	case typSID:
		return appendSID(dst, b)
	}
	if w := width(typ); typ == typSize && len(b) == 4 {
		typ = typHex32
	} else if w == 0 || len(b) < w {
		return appendHex(dst, b)
	}
	switch typ {
	case typInt8:
		return strconv.AppendInt(dst, int64(int8(b[0])), 10)
	case typUint8:
		return strconv.AppendUint(dst, uint64(b[0]), 10)
	case typInt16:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(b))), 10)
	case typUint16:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(b)), 10)
	case typInt32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(b))), 10)
	case typUint32:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(b)), 10)
	case typInt64:
		return strconv.AppendInt(dst, int64(le64(b)), 10)
	case typUint64:
		return strconv.AppendUint(dst, le64(b), 10)
	case typReal32:
		return strconv.AppendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 'g', -1, 32)
	case typReal64:
		return strconv.AppendFloat(dst, math.Float64frombits(le64(b)), 'g', -1, 64)
	case typBool:
		return strconv.AppendBool(dst, binary.LittleEndian.Uint32(b) != 0)
	case typHex32:
		return append0x(dst, uint64(binary.LittleEndian.Uint32(b)))
	case typHex64, typSize:
		return append0x(dst, le64(b))
	case typGUID:
		return appendGUID(dst, b)
	case typFileTime:
		return appendTime(dst, time.Unix(0, fileTime(le64(b))))
	case typSystemTime:
		return appendTime(dst, systemTime(b))
	}
	return appendHex(dst, b)
}

// append0x renders a number as 0x with lower-case digits.
func append0x(dst []byte, x uint64) []byte {
	const digits = "0123456789abcdef"
	var text [18]byte
	w := len(text)
	for {
		w--
		text[w] = digits[x&15]
		if x >>= 4; x == 0 {
			break
		}
	}
	text[w-2], text[w-1] = '0', 'x'
	return append(dst, text[w-2:]...)
}

// appendHex is how binary values come out, as Windows writes them.
func appendHex(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, x := range b {
		dst = append(dst, digits[x>>4], digits[x&15])
	}
	return dst
}

// appendGUID renders {UPPER-CASE} with braces.
func appendGUID(dst, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	var text [38]byte
	text[0], text[37] = '{', '}'
	w := 1
	for i, at := range [...]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[w] = '-'
			w++
		}
		text[w], text[w+1] = digits[b[at]>>4], digits[b[at]&15]
		w += 2
	}
	return append(dst, text[:]...)
}

// appendSID renders S-1-...; a SID that is cut off gives what is there.
func appendSID(dst, b []byte) []byte {
	if len(b) < 8 {
		return appendHex(dst, b)
	}
	auth := uint64(b[2])<<40 | uint64(b[3])<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	dst = strconv.AppendUint(append(dst, "S-"...), uint64(b[0]), 10)
	dst = strconv.AppendUint(append(dst, '-'), auth, 10)
	for i, n := 8, int(b[1]); n > 0 && i+4 <= len(b); i, n = i+4, n-1 {
		dst = strconv.AppendUint(append(dst, '-'), uint64(binary.LittleEndian.Uint32(b[i:])), 10)
	}
	return dst
}

// fileTime is a FILETIME (100 ns since 1601 UTC) as nanoseconds since 1970;
// times that do not fit become 0.
func fileTime(ft uint64) int64 {
	const epoch = 116444736000000000
	if ft < epoch || ft-epoch > math.MaxInt64/100 {
		return 0
	}
	return int64(ft-epoch) * 100
}

func systemTime(b []byte) time.Time {
	u := func(i int) int { return int(binary.LittleEndian.Uint16(b[2*i:])) }
	return time.Date(u(0), time.Month(u(1)), u(3), u(4), u(5), u(6), u(7)*1e6, time.UTC)
}

// appendTime renders a time as Windows does, with 100 ns: 2006-01-02T15:04:05.0000000Z.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	var text [28]byte
	digits(text[0:4], year)
	digits(text[5:7], int(month))
	digits(text[8:10], day)
	digits(text[11:13], hour)
	digits(text[14:16], minute)
	digits(text[17:19], second)
	digits(text[20:27], t.Nanosecond()/100)
	text[4], text[7], text[10], text[13], text[16], text[19], text[27] = '-', '-', 'T', ':', ':', '.', 'Z'
	return append(dst, text[:]...)
}

func digits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// parseTime reads the times that forwarded records hold as text.
func parseTime(b []byte) (int64, bool) {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return 0, false
	}
	return t.UnixNano(), true
}
