package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
)

// RDP is the negotiation at the start of a connection (MS-RDPBCGR 2.2.1.1).
type RDP struct {
	User      string // of the cookie, may be empty
	Protocols uint32 // 0 standard, 1 TLS, 2 CredSSP
	Asked     bool   // there was a request, or an answer, for protocols
}

const rdpCookie = "Cookie: mstshash="

// ReadRDP reads a connection request of a client, or the confirmation of a
// server.
func ReadRDP(r io.Reader) (RDP, error) {
	h, err := full(r, 4, 4)
	if err != nil {
		return RDP{}, err
	}
	if h[0] != 3 {
		return RDP{}, bad("a TPKT header")
	}
	b, err := full(r, int(binary.BigEndian.Uint16(h[2:]))-4, 1024)
	if err != nil {
		return RDP{}, err
	}
	return parseRDP(b)
}

func parseRDP(b []byte) (RDP, error) {
	if len(b) < 7 || b[1] != 0xe0 && b[1] != 0xd0 {
		return RDP{}, bad("a connection request of RDP")
	}
	b = b[7:]
	var m RDP
	if rest, ok := bytes.CutPrefix(b, []byte(rdpCookie)); ok {
		name, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok {
			return RDP{}, bad("a cookie of RDP")
		}
		m.User, b = string(name[:min(len(name), 64)]), after
	}
	if len(b) >= 8 && (b[0] == 1 || b[0] == 2) {
		m.Asked, m.Protocols = true, binary.LittleEndian.Uint32(b[4:])
	}
	return m, nil
}

// AppendRDP writes a request, or with confirm the answer.
func AppendRDP(m RDP, confirm bool) []byte {
	kind, neg := byte(0xe0), byte(1)
	if confirm {
		kind, neg = 0xd0, 2
	}
	b := []byte{0, kind, 0, 0, 0, 0, 0}
	if m.User != "" && !confirm {
		b = append(b, rdpCookie+strings.ReplaceAll(m.User[:min(len(m.User), 64)], "\r\n", "")+"\r\n"...)
	}
	if m.Asked {
		b = binary.LittleEndian.AppendUint32(append(b, neg, 0, 8, 0), m.Protocols)
	}
	if confirm { // what Windows calls its end (MS-RDPBCGR 4.1.2)
		b[4], b[5] = 0x12, 0x34
	}
	b[0] = byte(len(b) - 1)
	return append(binary.BigEndian.AppendUint16([]byte{3, 0}, uint16(len(b)+4)), b...)
}
