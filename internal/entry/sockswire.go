package entry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// The bytes of SOCKS5: RFC 1928, and RFC 1929 for the user's name and secret.
const (
	socksVersion = 5
	authVersion  = 1

	methodPassword = 2
	methodNone     = 0xff // no acceptable methods

	cmdConnect   = 1
	cmdAssociate = 3

	addrIPv4 = 1
	addrName = 3
	addrIPv6 = 4
)

// reply is the field REP of RFC 1928, section 6.
type reply byte

const (
	replyGranted     reply = 0
	replyFailed      reply = 1
	replyNotAllowed  reply = 2
	replyNetwork     reply = 3
	replyHost        reply = 4
	replyRefused     reply = 5
	replyCommand     reply = 7
	replyAddressType reply = 8
)

// errWire is what bytes that are no SOCKS5 get.
var errWire = errors.New("not SOCKS5 as RFC 1928 has it")

// errAddressType is an address of a type that RFC 1928 does not know.
var errAddressType = fmt.Errorf("%w: unknown type of address", errWire)

// target is where a request or a datagram goes: an address or a name.
type target struct {
	addr netip.Addr // invalid: name counts
	name string
	port uint16
}

// String is "host:port" as a vnet.Dialer takes it.
func (t target) String() string {
	host := t.name
	if t.addr.IsValid() {
		host = t.addr.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(t.port)))
}

// readMethods reads the client's greeting and says whether it offers a name
// and a secret.
func readMethods(r io.Reader) (bool, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	if head[0] != socksVersion {
		return false, fmt.Errorf("%w: version %d", errWire, head[0])
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return false, err
	}
	return slices.Contains(methods, methodPassword), nil
}

// readLogin reads the name and the secret.
func readLogin(r io.Reader) (user, secret string, err error) {
	var version [1]byte
	if _, err = io.ReadFull(r, version[:]); err != nil {
		return "", "", err
	}
	if version[0] != authVersion {
		return "", "", fmt.Errorf("%w: version %d of the login", errWire, version[0])
	}
	if user, err = readShort(r); err != nil {
		return "", "", err
	}
	secret, err = readShort(r)
	return user, secret, err
}

// readShort reads a byte that is a length and as many bytes.
func readShort(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	b := make([]byte, n[0])
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// readRequest reads the command and where to.
func readRequest(r io.Reader) (cmd byte, to target, err error) {
	var head [3]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, target{}, err
	}
	if head[0] != socksVersion || head[2] != 0 {
		return 0, target{}, fmt.Errorf("%w: a request begins with % x", errWire, head)
	}
	to, err = readTarget(r)
	return head[1], to, err
}

func readTarget(r io.Reader) (target, error) {
	var kind [1]byte
	if _, err := io.ReadFull(r, kind[:]); err != nil {
		return target{}, err
	}
	var to target
	switch kind[0] {
	case addrIPv4:
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return target{}, err
		}
		to.addr = netip.AddrFrom4(b)
	case addrIPv6:
		var b [16]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return target{}, err
		}
		to.addr = netip.AddrFrom16(b).Unmap()
	case addrName:
		var err error
		if to.name, err = readShort(r); err != nil {
			return target{}, err
		}
		if to.name == "" {
			return target{}, fmt.Errorf("%w: a name of no bytes", errWire)
		}
		if a, err := netip.ParseAddr(to.name); err == nil && a.Zone() == "" {
			to.addr, to.name = a.Unmap(), ""
		}
	default:
		return target{}, errAddressType
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return target{}, err
	}
	to.port = binary.BigEndian.Uint16(port[:])
	return to, nil
}

// nowhere says that no host of a network can have the address.
func (t target) nowhere() bool {
	return t.addr.IsValid() && (t.addr.IsLoopback() || t.addr.IsUnspecified() || t.addr.IsMulticast())
}

// appendTarget writes an address as requests, replies and datagrams have it.
func appendTarget(b []byte, at netip.AddrPort) []byte {
	switch a := at.Addr(); {
	case a.Is4():
		b = append(append(b, addrIPv4), a.AsSlice()...)
	case a.Is6():
		b = append(append(b, addrIPv6), a.AsSlice()...)
	default:
		b = append(b, addrIPv4, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint16(b, at.Port())
}

// appendReply writes the answer to a request.
func appendReply(b []byte, code reply, bound netip.AddrPort) []byte {
	return appendTarget(append(b, socksVersion, byte(code), 0), bound)
}

// cutDatagram takes the header off a datagram of UDP ASSOCIATE. Fragments are
// not put together: RFC 1928 leaves that to the implementation.
func cutDatagram(b []byte) (to target, data []byte, err error) {
	if len(b) < 4 || b[0] != 0 || b[1] != 0 || b[2] != 0 {
		return target{}, nil, fmt.Errorf("%w: a datagram without its header, or a fragment", errWire)
	}
	r := &sliceReader{b[3:]}
	if to, err = readTarget(r); err != nil {
		return target{}, nil, err
	}
	return to, r.rest, nil
}

// sliceReader reads from a slice and keeps what is left.
type sliceReader struct{ rest []byte }

func (r *sliceReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// appendDatagram puts the header before a datagram from the range.
func appendDatagram(b []byte, from netip.AddrPort, data []byte) []byte {
	return append(appendTarget(append(b, 0, 0, 0), from), data...)
}
