package service

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// What a client that moves bytes without meaning says first, and how many it may
// name.
const (
	bytesUp   = "LAPWING-RANGE up "
	bytesDown = "LAPWING-RANGE down "
	maxMoved  = 64 << 20
)

const movedText = "LAPWING-RANGE-MARKER: harmless, left by an exercise.\n"

// serveOutside is a server of the internet inside: by the first byte of a
// connection it is a web site over TLS, a web site, or a place that takes and
// gives bytes without meaning.
func serveOutside(v *visit) error {
	first, err := v.r.Peek(1)
	if err != nil {
		return over(err)
	}
	switch first[0] {
	case 0x16: // a handshake record (RFC 8446, 5.1)
		return serveHTTPS(v)
	case bytesUp[0]: // no method of HTTP begins with it but LOCK and the like
		if head, _ := v.r.Peek(len(bytesUp)); string(head) == bytesUp || strings.HasPrefix(bytesDown, string(head)) {
			return v.move()
		}
	}
	return serveHTTP(v)
}

// move takes or gives the bytes that the first line names.
func (v *visit) move() error {
	line, err := v.line()
	if err != nil {
		return over(err)
	}
	if n, ok := amount(line, bytesUp); ok {
		if _, err := io.CopyN(io.Discard, v.r, n); err != nil {
			return over(err)
		}
		return v.say("OK %d", n)
	}
	n, ok := amount(line, bytesDown)
	if !ok {
		return fmt.Errorf("read how many bytes to move: %w", errMalformed)
	}
	return v.give(n)
}

// amount is the number after prefix, 1 to maxMoved.
func amount(line, prefix string) (int64, bool) {
	text, ok := strings.CutPrefix(line, prefix)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, ok && err == nil && n > 0 && n <= maxMoved
}

// give sends n bytes without meaning.
func (v *visit) give(n int64) error {
	chunk := bytes.Repeat([]byte(movedText), 600)
	for n > 0 {
		part := chunk[:min(int64(len(chunk)), n)]
		if err := v.send(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// moved is the body of an answer that gives as many bytes as its query asks for,
// at most 16 MiB: it is made in memory.
func moved(query string) []byte {
	n, err := strconv.Atoi(query)
	if err != nil || n < 1 {
		return nil
	}
	n = min(n, 16<<20)
	return bytes.Repeat([]byte(movedText), n/len(movedText)+1)[:n]
}

// rewound is a connection some of whose bytes have been read ahead.
type rewound struct {
	net.Conn
	r *bufio.Reader
}

// Read gives what was read ahead first.
func (c *rewound) Read(b []byte) (int, error) { return c.r.Read(b) }
