package login

import "bytes"

// word cuts the first word off a text; rest is nil behind the last one.
func word(b []byte) (first, rest []byte) {
	if before, after, ok := bytes.Cut(b, []byte{' '}); ok {
		return before, after
	}
	return b, nil
}

// last cuts the last word off a text, from the right.
func last(b []byte) (rest, w []byte) {
	if i := bytes.LastIndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return nil, b
}

// number is the value of digits, -1 for anything else and for more than nine.
func number(b []byte) int {
	if len(b) == 0 || len(b) > 9 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// addrPort cuts "ADDR port N" off the end of a text. rest ends where the address
// begins, without the space.
func addrPort(b []byte) (rest, addr, port []byte, ok bool) {
	rest, port = last(b)
	if number(port) < 0 || number(port) > 65535 || !bytes.HasSuffix(rest, []byte(" port")) {
		return nil, nil, nil, false
	}
	rest = rest[:len(rest)-len(" port")]
	rest, addr = last(rest)
	return rest, addr, port, len(addr) > 0
}

// sole is where sep stands in b if it does so once, else -1.
func sole(b []byte, sep string) int {
	i := bytes.Index(b, []byte(sep))
	if i >= 0 && bytes.Contains(b[i+1:], []byte(sep)) {
		return -1
	}
	return i
}
