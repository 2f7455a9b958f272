package wire

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Types and codes of DNS (RFC 1035, 3596).
const (
	DNSA     = 1
	DNSPTR   = 12
	DNSMX    = 15
	DNSTXT   = 16
	DNSAAAA  = 28
	dnsOK    = 0
	dnsForm  = 1
	DNSNone  = 3 // no such name
	maxDNS   = 512
	maxNames = 16
)

// Question is what a client asks.
type Question struct {
	ID   uint16
	Name string // without the last dot
	Type uint16
	RD   bool
}

// Answer is what a server says.
type Answer struct {
	Question
	Code   int
	Values []string // addresses or texts
}

// ParseQuestion reads a query.
func ParseQuestion(b []byte) (Question, error) {
	if len(b) < 12 || b[2]&0x80 != 0 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return Question{}, bad("a DNS query")
	}
	name, rest, err := dnsName(b[12:])
	if err != nil || len(rest) < 4 {
		return Question{}, bad("a DNS query")
	}
	return Question{ID: binary.BigEndian.Uint16(b), Name: name, Type: binary.BigEndian.Uint16(rest), RD: b[2]&1 != 0}, nil
}

// dnsName reads a name without pointers.
func dnsName(b []byte) (string, []byte, error) {
	var parts []string
	for total := 0; ; {
		if len(b) == 0 {
			return "", nil, bad("a DNS name")
		}
		n := int(b[0])
		total += n + 1
		switch {
		case n == 0:
			return strings.Join(parts, "."), b[1:], nil
		case n > 63 || len(b) < n+1 || total > 255:
			return "", nil, bad("a DNS name")
		}
		parts, b = append(parts, string(b[1:n+1])), b[n+1:]
	}
}

func appendName(out []byte, name string) ([]byte, error) {
	for p := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if p == "" || len(p) > 63 {
			return nil, bad("a DNS name")
		}
		out = append(append(out, byte(len(p))), p...)
	}
	if len(name) > 253 {
		return nil, bad("a DNS name")
	}
	return append(out, 0), nil
}

// AppendQuestion writes a query.
func AppendQuestion(q Question) ([]byte, error) {
	out := binary.BigEndian.AppendUint16(nil, q.ID)
	flags := byte(0)
	if q.RD {
		flags = 1
	}
	out = append(out, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	out, err := appendName(out, q.Name)
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint16(out, q.Type), 0, 1), nil
}

// AppendAnswer writes an answer; values that do not fit into 512 bytes are left
// out.
func AppendAnswer(a Answer) ([]byte, error) {
	q, err := AppendQuestion(a.Question)
	if err != nil {
		return nil, err
	}
	q[2], q[3] = 0x84|q[2]&1, byte(a.Code&15)
	n := 0
	for _, v := range a.Values {
		data, typ := dnsData(v, a.Type)
		if data == nil || n == maxNames || len(q)+12+len(data) > maxDNS {
			continue
		}
		q = append(q, 0xc0, 12, byte(typ>>8), byte(typ), 0, 1, 0, 0, 0, 60, byte(len(data)>>8), byte(len(data)))
		q = append(q, data...)
		n++
	}
	q[7] = byte(n)
	return q, nil
}

// dnsData is a value as the data of a record of the type that is asked for.
func dnsData(v string, want uint16) ([]byte, uint16) {
	if want == DNSTXT {
		return append([]byte{byte(min(len(v), 255))}, v[:min(len(v), 255)]...), DNSTXT
	}
	a, err := netip.ParseAddr(v)
	switch {
	case err != nil:
		return nil, 0
	case a.Is4() && want == DNSA:
		return a.AsSlice(), DNSA
	case a.Is6() && want == DNSAAAA:
		return a.AsSlice(), DNSAAAA
	}
	return nil, 0
}

// ParseAnswer reads an answer to a query with one question.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) < 12 || b[2]&0x80 == 0 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return Answer{}, bad("a DNS answer")
	}
	a := Answer{Question: Question{ID: binary.BigEndian.Uint16(b), RD: b[2]&1 != 0}, Code: int(b[3] & 15)}
	var err error
	rest := b[12:]
	if a.Name, rest, err = dnsName(rest); err != nil || len(rest) < 4 {
		return Answer{}, bad("a DNS answer")
	}
	a.Type, rest = binary.BigEndian.Uint16(rest), rest[4:]
	for range min(int(binary.BigEndian.Uint16(b[6:])), maxNames) {
		if len(rest) < 12 || rest[0]&0xc0 != 0xc0 {
			return Answer{}, bad("a record of a DNS answer")
		}
		typ, n := binary.BigEndian.Uint16(rest[2:]), int(binary.BigEndian.Uint16(rest[10:]))
		if len(rest) < 12+n {
			return Answer{}, bad("a record of a DNS answer")
		}
		data := rest[12 : 12+n]
		if addr, ok := netip.AddrFromSlice(data); ok && (typ == DNSA || typ == DNSAAAA) {
			a.Values = append(a.Values, addr.String())
		} else if typ == DNSTXT && n > 0 && int(data[0]) < n {
			a.Values = append(a.Values, string(data[1:1+int(data[0])]))
		}
		rest = rest[12+n:]
	}
	return a, nil
}

// DNSTypeName is the name of a record's type, or TYPEn.
func DNSTypeName(t uint16) string {
	switch t {
	case DNSA:
		return "A"
	case DNSAAAA:
		return "AAAA"
	case DNSTXT:
		return "TXT"
	case DNSMX:
		return "MX"
	case DNSPTR:
		return "PTR"
	}
	return "TYPE" + itoa(int(t))
}

// DNSTypeOf is the type of a name; false for one that a range does not ask for.
func DNSTypeOf(name string) (uint16, bool) {
	for _, t := range []uint16{DNSA, DNSAAAA, DNSTXT, DNSMX, DNSPTR} {
		if strings.EqualFold(name, DNSTypeName(t)) {
			return t, true
		}
	}
	return 0, false
}
