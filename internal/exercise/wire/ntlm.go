package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // NTLM is made of it
	"crypto/rc4" //nolint:gosec // NTLM is made of it
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/crypto/md4" //nolint:staticcheck,gosec // NTLM is made of it
)

// NTLM messages (MS-NLMP). They are found inside SPNEGO by their signature.
const (
	ntlmSign    = "NTLMSSP\x00"
	ntlmFlags   = 0x62898215
	ntlmHead    = 56
	maxNTLMName = 256
)

// NTLMKind tells which of the three messages a token holds, 0 for none, and
// gives the message.
func NTLMKind(token []byte) (kind int, msg []byte) {
	i := bytes.Index(token, []byte(ntlmSign))
	if i < 0 || len(token) < i+12 {
		return 0, nil
	}
	return int(binary.LittleEndian.Uint32(token[i+8:])), token[i:]
}

// NTLMNegotiate is a client's first message.
func NTLMNegotiate() []byte {
	b := append([]byte(ntlmSign), 1, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, ntlmFlags)
	return append(b, make([]byte, 16)...)
}

// NTLMChallenge is the server's message with a challenge of eight bytes.
func NTLMChallenge(challenge [8]byte, domain, computer string) []byte {
	name := utf16le(domain)
	var info []byte
	for _, p := range []struct {
		id   uint16
		text string
	}{{2, domain}, {1, computer}, {0, ""}} {
		t := utf16le(p.text)
		info = binary.LittleEndian.AppendUint16(info, p.id)
		info = binary.LittleEndian.AppendUint16(info, uint16(len(t)))
		info = append(info, t...)
	}
	b := append([]byte(ntlmSign), 2, 0, 0, 0)
	b = ntlmField(b, len(name), ntlmHead)
	b = binary.LittleEndian.AppendUint32(b, ntlmFlags)
	b = append(append(b, challenge[:]...), make([]byte, 8)...)
	b = ntlmField(b, len(info), ntlmHead+len(name))
	b = append(b, 10, 0, 0x63, 0x45, 0, 0, 0, 15)
	return append(append(b, name...), info...)
}

func ntlmField(b []byte, n, at int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	b = binary.LittleEndian.AppendUint16(b, uint16(n))
	return binary.LittleEndian.AppendUint32(b, uint32(at))
}

// ntlmText is the contents of the field whose description is at i.
func ntlmText(msg []byte, i int) []byte {
	if len(msg) < i+8 {
		return nil
	}
	n, at := int(binary.LittleEndian.Uint16(msg[i:])), int(binary.LittleEndian.Uint32(msg[i+4:]))
	if at < 0 || at > len(msg) || n > len(msg)-at {
		return nil
	}
	return msg[at : at+n]
}

// NTLMAuth is a client's last message.
type NTLMAuth struct {
	User, Domain, Station string
	Response              []byte // NTLMv2: proof and what it is about
	exchange              []byte // session key, encrypted; none without key exchange
}

// ParseNTLMAuth reads it.
func ParseNTLMAuth(msg []byte) (NTLMAuth, error) {
	kind, msg := NTLMKind(msg)
	if kind != 3 || len(msg) < 64 {
		return NTLMAuth{}, bad("an NTLM authentication")
	}
	name := func(i int) string { b := ntlmText(msg, i); return fromUTF16(b[:min(len(b), 2*maxNTLMName)]) }
	return NTLMAuth{User: name(36), Domain: name(28), Station: name(44), Response: ntlmText(msg, 20), exchange: ntlmText(msg, 52)}, nil
}

// Key is the key of the session (MS-NLMP 3.4.5.1) with password, for signatures.
func (a NTLMAuth) Key(password string) []byte {
	if len(a.Response) < 16 {
		return nil
	}
	k := hmac.New(md5.New, ntlmHash(a.User, a.Domain, password))
	k.Write(a.Response[:16])
	key := k.Sum(nil)
	if len(a.exchange) != 16 {
		return key
	}
	c, err := rc4.NewCipher(key) //nolint:gosec // NTLM is made of it
	if err != nil {
		return nil
	}
	out := make([]byte, 16)
	c.XORKeyStream(out, a.exchange)
	return out
}

// Knows tells whether who made the message knows password.
func (a NTLMAuth) Knows(challenge [8]byte, password string) bool {
	if len(a.Response) < 44 {
		return false
	}
	return hmac.Equal(a.Response[:16], ntlmProof(challenge, a.User, a.Domain, password, a.Response[16:]))
}

// ntlmHash stands for a user and his password in version 2.
func ntlmHash(user, domain, password string) []byte {
	h := md4.New() //nolint:gosec // NTLM is made of it
	h.Write(utf16le(password))
	k := hmac.New(md5.New, h.Sum(nil))
	k.Write(utf16le(strings.ToUpper(user) + domain))
	return k.Sum(nil)
}

func ntlmProof(challenge [8]byte, user, domain, password string, blob []byte) []byte {
	p := hmac.New(md5.New, ntlmHash(user, domain, password))
	p.Write(challenge[:])
	p.Write(blob)
	return p.Sum(nil)
}

// NTLMLogin is a client's last message to a challenge.
type NTLMLogin struct {
	User, Domain, Station, Password string
	Now                             time.Time
	Nonce                           [8]byte
}

// Answer makes the message to a server's challenge message.
func (l NTLMLogin) Answer(challengeMsg []byte) ([]byte, error) {
	kind, m := NTLMKind(challengeMsg)
	if kind != 2 || len(m) < 48 {
		return nil, bad("an NTLM challenge")
	}
	var challenge [8]byte
	copy(challenge[:], m[24:32])
	blob := []byte{1, 1, 0, 0, 0, 0, 0, 0}
	blob = binary.LittleEndian.AppendUint64(blob, fileTime(l.Now))
	blob = append(append(blob, l.Nonce[:]...), 0, 0, 0, 0)
	blob = append(append(blob, ntlmText(m, 40)...), 0, 0, 0, 0)
	nt := append(ntlmProof(challenge, l.User, l.Domain, l.Password, blob), blob...)
	b := append([]byte(ntlmSign), 3, 0, 0, 0)
	at := 64
	var data []byte
	for _, f := range [][]byte{make([]byte, 24), nt, utf16le(l.Domain), utf16le(l.User), utf16le(l.Station), nil} {
		b = ntlmField(b, len(f), at+len(data))
		data = append(data, f...)
	}
	return append(binary.LittleEndian.AppendUint32(b, ntlmFlags), data...), nil
}

// fileTime counts 100 ns since 1601.
func fileTime(t time.Time) uint64 { return uint64(t.UnixNano()/100) + 116444736000000000 }

// Object identifiers of SPNEGO and NTLM, in BER.
const (
	oidSPNEGO = "\x2b\x06\x01\x05\x05\x02"
	oidNTLM   = "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a"
)

// SPNEGOOffer says that NTLM is spoken here (RFC 4178).
func SPNEGOOffer() []byte {
	return tlv(0x60, tlv(tagOID, []byte(oidSPNEGO)), tlv(0xa0, tlv(tagSeq, tlv(0xa0, tlv(tagSeq, tlv(tagOID, []byte(oidNTLM)))))))
}

// SPNEGOReply wraps a token: state 1 asks for more, 0 is done, 2 refused.
func SPNEGOReply(state byte, token []byte) []byte {
	parts := [][]byte{tlv(0xa0, tlv(tagEnum, []byte{state}))}
	if len(token) > 0 {
		parts = append(parts, tlv(0xa1, tlv(tagOID, []byte(oidNTLM))), tlv(0xa2, tlv(tagOctets, token)))
	}
	return tlv(0xa1, tlv(tagSeq, parts...))
}
