package redis

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

// Limits of what is read. Redis 7 has 1,048,576 arguments of 512 MiB; who has
// not logged in where a password is asked for, 10 of 16 KiB.
const (
	maxInline   = 64 << 10 // bytes of a line, as in Redis (PROTO_INLINE_MAX_SIZE)
	maxArgs     = 1024 * 1024
	maxBulk     = 512 << 20 // what the protocol allows; more is an error of the protocol
	maxRequest  = 8 << 20   // what we hold of one request: over it the visit ends
	newArgs     = 10
	newBulk     = 16 << 10
	maxKeptArgs = 4096 // arguments of one request that are looked at
)

// protocolError is answered, and ends the connection, as Redis does.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

var errTooMuch = errors.New("a request of more than 8 MiB or 4,096 arguments")

// reader reads requests: arrays of bulk strings (RESP, the Redis serialization
// protocol) and inline commands.
type reader struct {
	b   *bufio.Reader
	new func() bool // true while a password is missing
}

func newReader(r io.Reader, fresh func() bool) *reader {
	return &reader{bufio.NewReaderSize(r, maxInline), fresh}
}

// next reads one request; nil without an error is an empty line.
func (r *reader) next() ([][]byte, error) {
	first, err := r.b.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == '*' {
		return r.array()
	}
	line, err := r.line("too big inline request")
	if err != nil {
		return nil, err
	}
	return splitInline(line)
}

// line reads up to \n and takes the \r before it off.
func (r *reader) line(tooBig protocolError) ([]byte, error) {
	line, err := r.b.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, tooBig
	}
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

func number(b []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

func (r *reader) array() ([][]byte, error) {
	line, err := r.line("too big mbulk count string")
	if err != nil {
		return nil, err
	}
	n, ok := number(line[1:])
	switch {
	case !ok || n > maxArgs:
		return nil, protocolError("invalid multibulk length")
	case n > newArgs && r.new():
		return nil, protocolError("unauthenticated multibulk length")
	case n > maxKeptArgs:
		return nil, errTooMuch
	case n <= 0:
		return nil, nil
	}
	args, left := make([][]byte, 0, min(n, 64)), int64(maxRequest)
	for range n {
		arg, err := r.bulk(left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(arg))
		args = append(args, arg)
	}
	return args, nil
}

func (r *reader) bulk(left int64) ([]byte, error) {
	line, err := r.line("too big bulk count string")
	if err != nil {
		return nil, err
	}
	if len(line) == 0 || line[0] != '$' {
		got := byte(0)
		if len(line) > 0 {
			got = line[0]
		}
		return nil, protocolError("expected '$', got '" + string(rune(got)) + "'")
	}
	size, ok := number(line[1:])
	switch {
	case !ok || size < 0 || size > maxBulk:
		return nil, protocolError("invalid bulk length")
	case size > newBulk && r.new():
		return nil, protocolError("unauthenticated bulk length")
	case size > left:
		return nil, errTooMuch
	}
	return r.body(size)
}

// body reads size bytes and the line's end after them. Memory grows with what
// came, not with what was announced.
func (r *reader) body(size int64) ([]byte, error) {
	arg := make([]byte, 0, min(size, 16<<10))
	for int64(len(arg)) < size {
		n := min(size-int64(len(arg)), 16<<10)
		at := len(arg)
		arg = append(arg, make([]byte, n)...)
		if _, err := io.ReadFull(r.b, arg[at:]); err != nil {
			return nil, err
		}
	}
	_, err := r.b.Discard(2)
	return arg, err
}

const errQuotes = protocolError("unbalanced quotes in request")

// splitInline splits a line as redis-cli and Redis do: words, "..." with
// escapes, '...'.
func splitInline(line []byte) ([][]byte, error) {
	var args [][]byte
	for i := 0; ; {
		for i < len(line) && blank(line[i]) {
			i++
		}
		if i == len(line) || line[i] == 0 {
			return args, nil
		}
		if len(args) == maxKeptArgs {
			return nil, errTooMuch
		}
		arg, n, err := inlineWord(line[i:])
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		i += n
	}
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// inlineWord reads one word and tells how long it was.
func inlineWord(b []byte) (word []byte, n int, err error) {
	word = []byte{}
	for n < len(b) {
		c := b[n]
		switch {
		case blank(c) || c == 0:
			return word, n, nil
		case c == '"' || c == '\'':
			var size int
			if word, size, err = quoted(word, b[n:]); err != nil {
				return nil, 0, err
			}
			if n += size; n < len(b) && !blank(b[n]) {
				return nil, 0, errQuotes
			}
			return word, n, nil
		}
		word = append(word, c)
		n++
	}
	return word, n, nil
}

// quoted reads from a quotation mark to its partner.
func quoted(word, b []byte) ([]byte, int, error) {
	mark := b[0]
	for i := 1; i < len(b); {
		c := b[i]
		switch {
		case c == mark:
			return word, i + 1, nil
		case c == '\\' && mark == '"' && i+3 < len(b) && b[i+1] == 'x' && hexDigit(b[i+2]) >= 0 && hexDigit(b[i+3]) >= 0:
			word = append(word, byte(hexDigit(b[i+2])<<4|hexDigit(b[i+3])))
			i += 4
		case c == '\\' && mark == '"' && i+1 < len(b):
			word = append(word, escape(b[i+1]))
			i += 2
		case c == '\\' && mark == '\'' && i+1 < len(b) && b[i+1] == '\'':
			word = append(word, '\'')
			i += 2
		default:
			word = append(word, c)
			i++
		}
	}
	return nil, 0, errQuotes
}

func escape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// writer makes replies in RESP2 or RESP3.
type writer struct {
	b     []byte
	proto int  // 2 or 3
	over  bool // more than maxReply was to be answered at once
}

const maxReply = 16 << 20

func (w *writer) status(s string) { w.b = append(append(append(w.b, '+'), s...), "\r\n"...) }

// fail writes an error; line ends in it become spaces, as in Redis.
func (w *writer) fail(s string) {
	w.b = append(w.b, '-')
	for i := range len(s) {
		if c := s[i]; c == '\r' || c == '\n' {
			w.b = append(w.b, ' ')
		} else {
			w.b = append(w.b, c)
		}
	}
	w.b = append(w.b, "\r\n"...)
}

func (w *writer) head(kind byte, n int64) {
	w.b = append(strconv.AppendInt(append(w.b, kind), n, 10), "\r\n"...)
}

func (w *writer) int(n int64) { w.head(':', n) }
func (w *writer) list(n int)  { w.head('*', int64(n)) }

func (w *writer) bulk(s string) {
	if len(w.b)+len(s) > maxReply {
		w.over = true
		return
	}
	w.head('$', int64(len(s)))
	w.b = append(append(w.b, s...), "\r\n"...)
}

// dict begins a map of n pairs; before RESP3 that is a list of 2n.
func (w *writer) dict(n int) {
	if w.proto == 3 {
		w.head('%', int64(n))
		return
	}
	w.list(2 * n)
}

// text is a bulk string for people, which RESP3 marks as such.
func (w *writer) text(s string) {
	if w.proto == 3 {
		w.head('=', int64(len(s)+4))
		w.b = append(append(append(w.b, "txt:"...), s...), "\r\n"...)
		return
	}
	w.bulk(s)
}

func (w *writer) null() {
	if w.proto == 3 {
		w.b = append(w.b, "_\r\n"...)
		return
	}
	w.b = append(w.b, "$-1\r\n"...)
}

// set begins a set of n members; before RESP3 that is a list.
func (w *writer) set(n int) {
	if w.proto == 3 {
		w.head('~', int64(n))
		return
	}
	w.list(n)
}

func (w *writer) bulks(list []string) {
	w.list(len(list))
	for _, s := range list {
		w.bulk(s)
	}
}
