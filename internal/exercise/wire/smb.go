package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"
)

// Commands and states of SMB 2 (MS-SMB2) that a range knows.
const (
	SMBNegotiate = 0
	SMBSession   = 1
	SMBLogoff    = 2
	SMBTree      = 3
	SMBTreeOff   = 4

	SMBOK          = 0
	SMBMore        = 0xc0000016
	SMBLogonFailed = 0xc000006d
	SMBDenied      = 0xc0000022
	SMBNoShare     = 0xc00000cc
	SMBUnsupported = 0xc00000bb

	smbHead = 64
	maxSMB  = 64 << 10
)

// SMB is one message: a request, or with Reply an answer.
type SMB struct {
	Command uint16
	Status  uint32
	Message uint64
	Tree    uint32
	Session uint64
	Reply   bool
	Signed  bool
	Old     bool   // a negotiation of version 1 that also offers 2
	Body    []byte // what follows the header
}

// ReadSMB reads one message of at most 64 KiB over TCP. Of a compound the first
// is taken.
func ReadSMB(r io.Reader) (SMB, error) {
	h, err := full(r, 4, 4)
	if err != nil {
		return SMB{}, err
	}
	if h[0] != 0 {
		return SMB{}, bad("a session message of SMB")
	}
	b, err := full(r, int(h[1])<<16|int(h[2])<<8|int(h[3]), maxSMB)
	if err != nil {
		return SMB{}, err
	}
	return parseSMB(b)
}

func parseSMB(b []byte) (SMB, error) {
	if len(b) > 5 && string(b[:4]) == "\xffSMB" && b[4] == 0x72 && bytes.Contains(b, []byte("\x02SMB 2.")) {
		return SMB{Old: true}, nil
	}
	if len(b) < smbHead+2 || string(b[:4]) != "\xfeSMB" {
		return SMB{}, bad("a message of SMB")
	}
	return SMB{
		Command: binary.LittleEndian.Uint16(b[12:]), Status: binary.LittleEndian.Uint32(b[8:]), Message: binary.LittleEndian.Uint64(b[24:]),
		Tree: binary.LittleEndian.Uint32(b[36:]), Session: binary.LittleEndian.Uint64(b[40:]), Reply: b[16]&1 != 0, Signed: b[16]&8 != 0, Body: b[smbHead:],
	}, nil
}

// AppendSMB writes one message.
func AppendSMB(m SMB) []byte {
	b := append([]byte("\xfeSMB"), 64, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, m.Status)
	b = binary.LittleEndian.AppendUint16(b, m.Command)
	b = append(b, 1, 0)
	flags := uint32(0)
	if m.Reply {
		flags = 1
	}
	b = append(binary.LittleEndian.AppendUint32(b, flags), 0, 0, 0, 0)
	b = append(binary.LittleEndian.AppendUint64(b, m.Message), 0xff, 0xfe, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, m.Tree)
	b = append(binary.LittleEndian.AppendUint64(b, m.Session), make([]byte, 16)...)
	return prefixed(append(b, m.Body...))
}

// SignSMB puts the signature of version 2 on a message of AppendSMB
// (MS-SMB2 3.1.4.1).
func SignSMB(msg, key []byte) []byte {
	msg[4+16] |= 8
	clear(msg[4+48 : 4+64])
	h := hmac.New(sha256.New, key)
	h.Write(msg[4:])
	copy(msg[4+48:], h.Sum(nil)[:16])
	return msg
}

// le appends numbers of two bytes.
func le(b []byte, n ...int) []byte {
	for _, v := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// SMBOffer is the body of a client's negotiation.
func SMBOffer(guid [16]byte) []byte {
	b := le(nil, 36, 2, 1, 0, 0, 0)
	b = append(append(b, guid[:]...), make([]byte, 8)...)
	return le(b, 0x0202, 0x0210)
}

// SMBDialect is the version to speak with who sent a negotiation.
func SMBDialect(m SMB) int {
	if m.Old {
		return 0x02ff
	}
	if len(m.Body) < 36 {
		return 0x0202
	}
	n, d := int(binary.LittleEndian.Uint16(m.Body[2:])), m.Body[36:]
	for range min(n, len(d)/2) {
		if binary.LittleEndian.Uint16(d) == 0x0210 {
			return 0x0210
		}
		d = d[2:]
	}
	return 0x0202
}

// SMBGreeting is the body of a server's negotiation.
func SMBGreeting(dialect int, guid [16]byte, now time.Time) []byte {
	token := SPNEGOOffer()
	b := append(le(nil, 65, 1, dialect, 0), guid[:]...)
	for _, n := range []uint32{0, 1 << 16, 1 << 16, 1 << 16} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	b = binary.LittleEndian.AppendUint64(b, fileTime(now))
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = le(b, smbHead+64, len(token), 0, 0)
	return append(b, token...)
}

// SMBSetup is the body of a client's session setup with a token.
func SMBSetup(token []byte) []byte {
	b := append([]byte{25, 0, 0, 1}, make([]byte, 8)...)
	b = le(b, smbHead+24, len(token))
	return append(append(b, make([]byte, 8)...), token...)
}

// SMBSetupReply is the body of the answer to it.
func SMBSetupReply(token []byte) []byte {
	return append(le(nil, 9, 0, smbHead+8, len(token)), token...)
}

// smbBuffer is the part of a body whose offset and length are at i.
func smbBuffer(body []byte, i int) []byte {
	if len(body) < i+4 {
		return nil
	}
	at, n := int(binary.LittleEndian.Uint16(body[i:]))-smbHead, int(binary.LittleEndian.Uint16(body[i+2:]))
	if at < 0 || at > len(body) || n > len(body)-at {
		return nil
	}
	return body[at : at+n]
}

// SMBToken is the token of a session setup or of its answer.
func SMBToken(m SMB) []byte {
	if m.Reply {
		return smbBuffer(m.Body, 4)
	}
	return smbBuffer(m.Body, 12)
}

// SMBShare is the body of a request for a share, \\host\share.
func SMBShare(path string) []byte {
	p := utf16le(path)
	return append(le(nil, 9, 0, smbHead+8, len(p)), p...)
}

// SMBPath is the share that a request is for.
func SMBPath(m SMB) string { return fromUTF16(smbBuffer(m.Body, 4)) }

// SMBShareReply is the body of the answer: a pipe or a disk.
func SMBShareReply(pipe bool) []byte {
	kind := byte(1)
	if pipe {
		kind = 2
	}
	return append([]byte{16, 0, kind, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0, 0x12, 0)
}

// SMBRefusal is the body of an answer that only has a status.
func SMBRefusal() []byte { return []byte{9, 0, 0, 0, 0, 0, 0, 0, 0} }

// SMBGone is the body of the answer to a logoff or the end of a share.
func SMBGone() []byte { return []byte{4, 0, 0, 0} }
