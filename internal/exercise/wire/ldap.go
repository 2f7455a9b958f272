package wire

import (
	"io"
	"strings"
)

// LDAP operations (RFC 4511) that a range knows.
const (
	LDAPBind     = 0x60
	ldapBound    = 0x61
	LDAPUnbind   = 0x42
	LDAPSearch   = 0x63
	ldapDone     = 0x65
	ldapExtended = 0x78
	ldapEntry    = 0x64
	ldapEqual    = 0xa3 // a filter: attribute is value

	LDAPSuccess     = 0
	LDAPInvalid     = 49 // credentials
	LDAPDenied      = 50
	ldapUnsupported = 2
)

// LDAPMessage is one request.
type LDAPMessage struct {
	ID       int
	Op       byte
	DN       string // of a bind, or the base of a search
	Password string // of a simple bind
	Simple   bool
	Class    string // object class that a search is for; "": every one, or another filter
}

// ReadLDAP reads one request, at most 64 KiB.
func ReadLDAP(r io.Reader) (LDAPMessage, error) {
	b, err := readBER(r)
	if err != nil {
		return LDAPMessage{}, err
	}
	return parseLDAP(b)
}

func parseLDAP(b []byte) (LDAPMessage, error) {
	e, _, err := ber(b)
	if err != nil || e.tag != tagSeq {
		return LDAPMessage{}, bad("an LDAP message")
	}
	f, err := fields(e.body, 2)
	if err != nil || f[0].tag != tagInt {
		return LDAPMessage{}, bad("an LDAP message")
	}
	m := LDAPMessage{ID: f[0].number(), Op: f[1].tag}
	switch m.Op {
	case LDAPBind:
		p, err := fields(f[1].body, 3)
		if err != nil {
			return m, err
		}
		m.DN, m.Simple = string(p[1].body), p[2].tag == 0x80
		if m.Simple {
			m.Password = string(p[2].body)
		}
	case LDAPSearch:
		p, err := fields(f[1].body, 7)
		if err != nil {
			return m, err
		}
		m.DN = string(p[0].body)
		if c, err := fields(p[6].body, 2); err == nil && p[6].tag == ldapEqual && strings.EqualFold(string(c[0].body), "objectClass") {
			m.Class = string(c[1].body)
		}
	}
	return m, nil
}

// AppendLDAP writes a request of a client: bind, unbind or a search of everything
// below DN.
func AppendLDAP(m LDAPMessage) []byte {
	var op []byte
	switch m.Op {
	case LDAPBind:
		op = tlv(LDAPBind, berInt(tagInt, 3), tlv(tagOctets, []byte(m.DN)), tlv(0x80, []byte(m.Password)))
	case LDAPSearch:
		filter := tlv(0x87, []byte("objectClass"))
		if m.Class != "" {
			filter = tlv(ldapEqual, tlv(tagOctets, []byte("objectClass")), tlv(tagOctets, []byte(m.Class)))
		}
		op = tlv(LDAPSearch, tlv(tagOctets, []byte(m.DN)), berInt(tagEnum, 2), berInt(tagEnum, 0), berInt(tagInt, 0), berInt(tagInt, 0),
			tlv(0x01, []byte{0}), filter, tlv(tagSeq))
	default:
		op = tlv(m.Op)
	}
	return tlv(tagSeq, berInt(tagInt, m.ID), op)
}

// LDAPReply is the answer to a request with a result code.
func LDAPReply(m LDAPMessage, code int, text string) []byte {
	tag := byte(ldapDone)
	switch m.Op {
	case LDAPBind:
		tag = ldapBound
	case 0x77:
		tag, code = ldapExtended, ldapUnsupported
	}
	return tlv(tagSeq, berInt(tagInt, m.ID), tlv(tag, berInt(tagEnum, code), tlv(tagOctets), tlv(tagOctets, []byte(text))))
}

// ReadLDAPResult reads the result code of an answer.
func ReadLDAPResult(r io.Reader) (int, error) {
	b, err := readBER(r)
	if err != nil {
		return 0, err
	}
	e, _, err := ber(b)
	if err != nil {
		return 0, err
	}
	f, err := fields(e.body, 2)
	if err != nil {
		return 0, err
	}
	p, err := fields(f[1].body, 1)
	if err != nil || p[0].tag != tagEnum {
		return 0, bad("an LDAP result")
	}
	return p[0].number(), nil
}

// LDAPFound is an entry that a search of m found, with its attributes.
func LDAPFound(m LDAPMessage, dn string, attributes ...[2]string) []byte {
	var all [][]byte
	for _, a := range attributes {
		all = append(all, tlv(tagSeq, tlv(tagOctets, []byte(a[0])), tlv(tagSet, tlv(tagOctets, []byte(a[1])))))
	}
	return tlv(tagSeq, berInt(tagInt, m.ID), tlv(ldapEntry, tlv(tagOctets, []byte(dn)), tlv(tagSeq, all...)))
}

// ReadLDAPFound reads what a server says to a search: the name of an entry, or
// with done the code of its end.
func ReadLDAPFound(r io.Reader) (dn string, done bool, code int, err error) {
	b, err := readBER(r)
	if err != nil {
		return "", false, 0, err
	}
	e, _, err := ber(b)
	if err != nil {
		return "", false, 0, err
	}
	f, err := fields(e.body, 2)
	if err != nil {
		return "", false, 0, err
	}
	p, err := fields(f[1].body, 1)
	switch {
	case err != nil:
		return "", false, 0, err
	case f[1].tag == ldapEntry && p[0].tag == tagOctets:
		return string(p[0].body), false, 0, nil
	case f[1].tag == ldapDone && p[0].tag == tagEnum:
		return "", true, p[0].number(), nil
	}
	return "", false, 0, bad("an answer to an LDAP search")
}
