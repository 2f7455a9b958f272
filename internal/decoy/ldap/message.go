package ldap

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Operations are the tags of LDAP's messages (RFC 4511, 4.2 to 4.12).
const (
	opBind           = 0
	opBindResponse   = 1
	opUnbind         = 2
	opSearch         = 3
	opSearchEntry    = 4
	opSearchDone     = 5
	opModify         = 6
	opModifyResponse = 7
	opAdd            = 8
	opAddResponse    = 9
	opDelete         = 10
	opDeleteResponse = 11
	opRename         = 12
	opRenameResponse = 13
	opCompare        = 14
	opCompareDone    = 15
	opAbandon        = 16
	opExtended       = 23
	opExtendedDone   = 24
)

// Result codes (RFC 4511, appendix A).
const (
	success            = 0
	protocolErrorCode  = 2
	sizeLimitExceeded  = 4
	authMethodUnknown  = 7
	noSuchObject       = 32
	invalidCredentials = 49
	insufficientAccess = 50
	unwilling          = 53
)

// Limits of one message.
const (
	maxMessage  = 64 << 10 // bytes; OpenLDAP takes 256 KiB of who has not bound
	maxDepth    = 32       // of parts within parts
	maxParts    = 2000
	maxLenOctet = 4
)

var errMessage = errors.New("a message that is no LDAP")

// message is one request: its number, its operation, and the parts of that.
type message struct {
	id int64
	op int
	p  *ber.Packet
}

// readMessage reads one message of at most maxMessage bytes.
func readMessage(b *bufio.Reader) (*message, error) {
	raw, err := readElement(b)
	if err != nil {
		return nil, err
	}
	if err := shape(raw, maxDepth, new(int)); err != nil {
		return nil, err
	}
	p, err := ber.DecodePacketErr(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	if len(p.Children) < 2 || p.Tag != ber.TagSequence || p.ClassType != ber.ClassUniversal {
		return nil, errMessage
	}
	id, ok := p.Children[0].Value.(int64)
	op := p.Children[1]
	if !ok || id < 0 || id > 1<<31-1 || op.ClassType != ber.ClassApplication {
		return nil, errMessage
	}
	return &message{id, int(op.Tag), op}, nil
}

// readElement reads one element of BER whole: a tag of one byte, a definite length.
func readElement(b *bufio.Reader) ([]byte, error) {
	tag, err := b.ReadByte()
	if err != nil {
		return nil, err
	}
	if tag != 0x30 {
		return nil, errMessage
	}
	head := []byte{tag}
	first, err := b.ReadByte()
	if err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	head = append(head, first)
	size := int(first)
	if first >= 0x80 {
		n := int(first & 0x7f)
		if n == 0 || n > maxLenOctet {
			return nil, errMessage
		}
		size = 0
		for range n {
			c, err := b.ReadByte()
			if err != nil {
				return nil, io.ErrUnexpectedEOF
			}
			head = append(head, c)
			size = size<<8 | int(c)
		}
	}
	if size > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes", errMessage, size)
	}
	out := make([]byte, len(head)+size)
	copy(out, head)
	if _, err := io.ReadFull(b, out[len(head):]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return out, nil
}

// shape walks over an element before the library does, and refuses what is
// nested too deeply, has too many parts, or lengths that do not fit.
func shape(b []byte, depth int, parts *int) error {
	for len(b) > 0 {
		if *parts++; *parts > maxParts || depth == 0 || len(b) < 2 {
			return errMessage
		}
		tag, size, head := b[0], int(b[1]), 2
		if tag&0x1f == 0x1f {
			return errMessage
		}
		if size >= 0x80 {
			n := size & 0x7f
			if n == 0 || n > maxLenOctet || len(b) < 2+n {
				return errMessage
			}
			size, head = 0, 2+n
			for _, c := range b[2:head] {
				size = size<<8 | int(c)
			}
		}
		if size > len(b)-head {
			return errMessage
		}
		if tag&0x20 != 0 {
			if err := shape(b[head:head+size], depth-1, parts); err != nil {
				return err
			}
		}
		b = b[head+size:]
	}
	return nil
}

// text is the bytes of a part, "" for one that is not there.
func (m *message) text(i int) string {
	if i >= len(m.p.Children) {
		return ""
	}
	return content(m.p.Children[i])
}

func content(p *ber.Packet) string {
	if p.Data == nil {
		return ""
	}
	return p.Data.String()
}

func (m *message) number(i int) int64 {
	if i < len(m.p.Children) {
		if n, ok := m.p.Children[i].Value.(int64); ok {
			return n
		}
	}
	return 0
}

// envelope begins an answer to m.
func envelope(id int64, op int) (whole, body *ber.Packet) {
	whole = ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	whole.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	return whole, ber.Encode(ber.ClassApplication, ber.TypeConstructed, ber.Tag(op), nil, "")
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// result is an LDAPResult with further parts after it.
func result(id int64, op, code int, matched, note string, more ...*ber.Packet) []byte {
	whole, body := envelope(id, op)
	body.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	body.AppendChild(octets(matched))
	body.AppendChild(octets(note))
	for _, p := range more {
		body.AppendChild(p)
	}
	whole.AppendChild(body)
	return whole.Bytes()
}
