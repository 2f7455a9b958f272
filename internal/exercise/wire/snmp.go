package wire

import (
	"strconv"
	"strings"
)

// SNMP is a request or response of version 1 or 2c (RFC 1157, 3416) about one
// object.
type SNMP struct {
	Version   int // 0 = 1, 1 = 2c
	Community string
	PDU       byte // SNMPGet, SNMPNext or SNMPResponse
	ID        int
	Status    int
	OID       string // "1.3.6.1.2.1.1.1.0"
	Text      string // value of a response; "" is null
}

// Kinds of SNMP messages.
const (
	SNMPGet      = 0xa0
	SNMPNext     = 0xa1
	SNMPResponse = 0xa2
	SNMPSet      = 0xa3
)

// ParseSNMP reads one datagram.
func ParseSNMP(b []byte) (SNMP, error) {
	e, _, err := ber(b)
	if err != nil || e.tag != tagSeq {
		return SNMP{}, bad("an SNMP message")
	}
	f, err := fields(e.body, 3)
	if err != nil {
		return SNMP{}, err
	}
	m := SNMP{Version: f[0].number(), Community: string(f[1].body), PDU: f[2].tag}
	if f[0].tag != tagInt || f[1].tag != tagOctets || m.Version > 1 || m.Version < 0 || m.PDU < SNMPGet || m.PDU > SNMPSet {
		return SNMP{}, bad("an SNMP message")
	}
	p, err := fields(f[2].body, 4)
	if err != nil {
		return SNMP{}, err
	}
	m.ID, m.Status = p[0].number(), p[1].number()
	bind, _, err := ber(p[3].body)
	if err != nil {
		return SNMP{}, err
	}
	v, err := fields(bind.body, 2)
	if err != nil || v[0].tag != tagOID {
		return SNMP{}, bad("an object of SNMP")
	}
	m.OID = oidText(v[0].body)
	if v[1].tag == tagOctets {
		m.Text = string(v[1].body)
	}
	return m, nil
}

// AppendSNMP writes one message.
func AppendSNMP(m SNMP) ([]byte, error) {
	oid, err := oidBytes(m.OID)
	if err != nil {
		return nil, err
	}
	value := tlv(tagNull)
	if m.Text != "" {
		value = tlv(tagOctets, []byte(m.Text))
	}
	return tlv(tagSeq, berInt(tagInt, m.Version), tlv(tagOctets, []byte(m.Community)),
		tlv(m.PDU, berInt(tagInt, m.ID), berInt(tagInt, m.Status), berInt(tagInt, 0), tlv(tagSeq, tlv(tagSeq, tlv(tagOID, oid), value)))), nil
}

func oidText(b []byte) string {
	var s strings.Builder
	n, first := 0, true
	for _, c := range b {
		n = n<<7&0x7fffffff | int(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if first {
			k := min(n/40, 2)
			s.WriteString(strconv.Itoa(k) + "." + strconv.Itoa(n-40*k))
			first = false
		} else {
			s.WriteString("." + strconv.Itoa(n))
		}
		n = 0
	}
	return s.String()
}

func oidBytes(s string) ([]byte, error) {
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 64 {
		return nil, bad("an object identifier")
	}
	var out []byte
	n := 0
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 0 || v > 1<<28 || i == 0 && v > 2 || i == 1 && v > 39 {
			return nil, bad("an object identifier")
		}
		if i == 0 {
			n = 40 * v
			continue
		}
		n += v
		b := []byte{byte(n & 0x7f)}
		for n >>= 7; n > 0; n >>= 7 {
			b = append([]byte{byte(n&0x7f) | 0x80}, b...)
		}
		out, n = append(out, b...), 0
	}
	return out, nil
}
