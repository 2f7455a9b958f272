// Package wire writes and reads the few messages of network protocols that the
// services and actors of a range exchange: greetings, logins, single reads. Both
// sides use it, and every reader is bounded and fuzzed. It holds no connection.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrMalformed is wrapped by every error about bytes that are not the protocol's.
var ErrMalformed = errors.New("malformed message")

func bad(what string) error { return fmt.Errorf("%s: %w", what, ErrMalformed) }

// full reads n bytes, at most limit.
func full(r io.Reader, n, limit int) ([]byte, error) {
	if n < 0 || n > limit {
		return nil, fmt.Errorf("a message of %d bytes, at most %d: %w", n, limit, ErrMalformed)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read a message: %w", err)
	}
	return b, nil
}

// cutZ takes a text that ends in a zero byte.
func cutZ(b []byte) (string, []byte, bool) {
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), b[i+1:], true
		}
	}
	return "", nil, false
}

// utf16le writes text as Windows does.
func utf16le(s string) []byte {
	out := make([]byte, 0, 2*len(s))
	for _, r := range s {
		if r > 0xffff {
			r = 0xfffd
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(r))
	}
	return out
}

// fromUTF16 reads it; what is odd at the end is left out.
func fromUTF16(b []byte) string {
	out := make([]rune, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		out = append(out, rune(binary.LittleEndian.Uint16(b)))
	}
	return string(out)
}

// prefixed is a message of a four-byte length and its bytes.
func prefixed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}
