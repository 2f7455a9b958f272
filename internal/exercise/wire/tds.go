package wire

import (
	"encoding/binary"
	"io"
	"slices"
)

// Kinds of TDS packets (MS-TDS).
const (
	TDSPrelogin = 0x12
	TDSLogin    = 0x10
	TDSQuery    = 0x01
	TDSReply    = 0x04
)

// ReadTDS reads one message, which may be several packets, of at most 64 KiB.
func ReadTDS(r io.Reader) (kind byte, body []byte, err error) {
	for {
		h, err := full(r, 8, 8)
		if err != nil {
			return 0, nil, err
		}
		n := int(binary.BigEndian.Uint16(h[2:])) - 8
		b, err := full(r, n, maxSQL-len(body))
		if err != nil {
			return 0, nil, err
		}
		body = append(body, b...)
		if h[1]&1 != 0 {
			return h[0], body, nil
		}
		if n == 0 {
			return 0, nil, bad("a TDS packet")
		}
	}
}

// AppendTDS writes a message of one packet.
func AppendTDS(kind byte, body []byte) []byte {
	b := []byte{kind, 1}
	return append(append(binary.BigEndian.AppendUint16(b, uint16(len(body)+8)), 0, 0, 1, 0), body...)
}

// TDSOptions is the body of a prelogin message: a version, and no encryption.
func TDSOptions(version [6]byte) []byte {
	b := []byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff}
	return append(append(b, version[:]...), 2)
}

// TDSVersion is the version that a prelogin message names, "15.0.2000".
func TDSVersion(b []byte) (string, error) {
	if len(b) < 6 || b[0] != 0 {
		return "", bad("a prelogin of TDS")
	}
	at := int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < at+6 {
		return "", bad("a prelogin of TDS")
	}
	return itoa(int(b[at])) + "." + itoa(int(b[at+1])) + "." + itoa(int(binary.BigEndian.Uint16(b[at+2:]))), nil
}

// TDSCredentials are what a login says.
type TDSCredentials struct {
	Host, User, Password, App, Database string
}

const tdsFixed = 94 // bytes before the texts

// ParseTDSLogin reads a login of version 7.
func ParseTDSLogin(b []byte) (TDSCredentials, error) {
	if len(b) < tdsFixed-8 {
		return TDSCredentials{}, bad("a login of TDS")
	}
	raw := func(i int) []byte {
		at, n := int(binary.LittleEndian.Uint16(b[i:])), 2*int(binary.LittleEndian.Uint16(b[i+2:]))
		if at > len(b) || n > len(b)-at || n > 512 {
			return nil
		}
		return b[at : at+n]
	}
	password := append([]byte(nil), raw(44)...)
	for i, c := range password {
		c ^= 0xa5
		password[i] = c<<4 | c>>4
	}
	return TDSCredentials{Host: fromUTF16(raw(36)), User: fromUTF16(raw(40)), Password: fromUTF16(password), App: fromUTF16(raw(48)), Database: fromUTF16(raw(68))}, nil
}

// AppendTDSLogin writes the body of a login of version 7.
func AppendTDSLogin(c TDSCredentials) []byte {
	password := utf16le(c.Password)
	for i, x := range password {
		password[i] = (x<<4 | x>>4) ^ 0xa5
	}
	head := append([]byte(nil), make([]byte, 36)...)
	binary.LittleEndian.PutUint32(head[4:], 0x74000004)
	binary.LittleEndian.PutUint32(head[8:], 4096)
	var data []byte
	text := func(t []byte) {
		head = le(head, tdsFixed+len(data), len(t)/2)
		data = append(data, t...)
	}
	for _, t := range [][]byte{utf16le(c.Host), utf16le(c.User), password, utf16le(c.App), nil, nil, nil, nil, utf16le(c.Database)} {
		text(t)
	}
	head = append(head, make([]byte, 6)...) // the client's address
	for range 3 {
		text(nil)
	}
	head = append(head, make([]byte, tdsFixed-len(head))...)
	out := slices.Concat(head, data)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out
}

// varchar is a text of at most 255 characters with its length.
func varchar(s string) []byte {
	t := utf16le(s[:min(len(s), 200)])
	return append([]byte{byte(len(t) / 2)}, t...)
}

func tdsDone(status int) []byte { return append(le([]byte{0xfd}, status, 0), make([]byte, 8)...) }

// TDSRefusal is the body of an answer with an error.
func TDSRefusal(number int, text, server string) []byte {
	t := utf16le(text)
	b := append(binary.LittleEndian.AppendUint32(nil, uint32(number)), 1, 14)
	b = append(le(b, len(t)/2), t...)
	b = append(append(append(b, varchar(server)...), 0), 1, 0, 0, 0)
	return append(append(le([]byte{0xaa}, len(b)), b...), tdsDone(2)...)
}

// TDSWelcome is the body of the answer to a login.
func TDSWelcome(program string, version [4]byte) []byte {
	b := append([]byte{1, 0x74, 0, 0, 4}, varchar(program)...)
	b = append(b, version[:]...)
	return append(append(le([]byte{0xad}, len(b)), b...), tdsDone(0)...)
}

// TDSOutcome tells whether an answer lets in, and the number of its error.
func TDSOutcome(b []byte) (ok bool, number int, err error) {
	switch {
	case len(b) > 3 && b[0] == 0xad:
		return true, 0, nil
	case len(b) >= 7 && b[0] == 0xaa:
		return false, int(binary.LittleEndian.Uint32(b[3:])), nil
	}
	return false, 0, bad("an answer of TDS")
}
