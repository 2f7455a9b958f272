package wire

import (
	"io"
)

// maxBER bounds one message in BER.
const maxBER = 64 << 10

// Tags of BER (X.690) that LDAP and SNMP use.
const (
	tagInt    = 0x02
	tagOctets = 0x04
	tagNull   = 0x05
	tagOID    = 0x06
	tagEnum   = 0x0a
	tagSeq    = 0x30
	tagSet    = 0x31
)

// tlv appends a tag with its contents.
func tlv(tag byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := []byte{tag}
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	default:
		out = append(out, 0x82, byte(n>>8), byte(n))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func berInt(tag byte, n int) []byte {
	out := []byte{byte(n)}
	for n = n >> 8; n != 0 && n != -1 || n == 0 && out[0]&0x80 != 0 || n == -1 && out[0]&0x80 == 0; n >>= 8 {
		out = append([]byte{byte(n)}, out...)
	}
	return tlv(tag, out)
}

// element is one tag with its contents.
type element struct {
	tag  byte
	body []byte
}

// ber takes one element off b.
func ber(b []byte) (element, []byte, error) {
	if len(b) < 2 {
		return element{}, nil, bad("an element of BER")
	}
	n, head := int(b[1]), 2
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 3 || len(b) < 2+k {
			return element{}, nil, bad("a length of BER")
		}
		n, head = 0, 2+k
		for _, c := range b[2:head] {
			n = n<<8 | int(c)
		}
	}
	if n > maxBER || len(b)-head < n {
		return element{}, nil, bad("a length of BER")
	}
	return element{b[0], b[head : head+n]}, b[head+n:], nil
}

func (e element) number() int {
	n := 0
	for i, c := range e.body {
		if i == 0 && c&0x80 != 0 {
			n = -1
		}
		if i == 8 {
			break
		}
		n = n<<8 | int(c)
	}
	return n
}

// readBER reads one whole message.
func readBER(r io.Reader) ([]byte, error) {
	head, err := full(r, 2, 2)
	if err != nil {
		return nil, err
	}
	n := int(head[1])
	if n >= 0x80 {
		k := n & 0x7f
		if k == 0 || k > 3 {
			return nil, bad("a length of BER")
		}
		more, err := full(r, k, 3)
		if err != nil {
			return nil, err
		}
		head, n = append(head, more...), 0
		for _, c := range more {
			n = n<<8 | int(c)
		}
	}
	body, err := full(r, n, maxBER)
	if err != nil {
		return nil, err
	}
	return append(head, body...), nil
}

// fields takes n elements off b.
func fields(b []byte, n int) ([]element, error) {
	out := make([]element, n)
	var err error
	for i := range out {
		if out[i], b, err = ber(b); err != nil {
			return nil, err
		}
	}
	return out, nil
}
