package event

import "github.com/google/uuid"

// digitOf is the value of a lower-case hexadecimal digit, 0xff of another byte.
var digitOf = digitValues() //nolint:gochecknoglobals // a table that nobody writes

func digitValues() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range hexDigits {
		t[c] = byte(i)
	}
	return t
}

// byteAt are the places of the digits of each byte in the text of a UUID.
var byteAt = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// ParseUUID reads the text that FormatUUID writes, and no other: what keeps an
// id as its 16 bytes must give back the text that it got.
func ParseUUID[T string | []byte](text T) (u [16]byte, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return u, false
	}
	bad := byte(0)
	for i, at := range byteAt {
		high, low := digitOf[text[at]], digitOf[text[at+1]]
		bad |= high | low
		u[i] = high<<4 | low&0xf
	}
	return u, bad <= 0xf
}

// FormatUUID is the text of a UUID (RFC 9562, section 4), in lower case.
func FormatUUID(u [16]byte) string { return uuid.UUID(u).String() }
