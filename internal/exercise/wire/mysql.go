package wire

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the protocol is made of it
	"encoding/binary"
	"io"
)

const maxSQL = 64 << 10

// MySQL is one packet of its protocol.
type MySQL struct {
	Seq  byte
	Body []byte
}

// ReadMySQL reads one packet of at most 64 KiB.
func ReadMySQL(r io.Reader) (MySQL, error) {
	h, err := full(r, 4, 4)
	if err != nil {
		return MySQL{}, err
	}
	b, err := full(r, int(h[0])|int(h[1])<<8|int(h[2])<<16, maxSQL)
	return MySQL{h[3], b}, err
}

// AppendMySQL writes one packet.
func AppendMySQL(m MySQL) []byte {
	n := len(m.Body)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), m.Seq}, m.Body...)
}

const (
	mysqlCaps   = 0x00080000 | 0x8000 | 0x0200 | 0x0001 | 0x0008 // plugin, secure, 4.1, long password, database
	mysqlNative = "mysql_native_password"
	mysqlDB     = 0x0008
)

// MySQLGreeting is the server's first packet with a salt of 20 bytes without
// zeros.
func MySQLGreeting(version string, thread uint32, salt [20]byte) []byte {
	b := append([]byte{10}, version...)
	b = append(binary.LittleEndian.AppendUint32(append(b, 0), thread), salt[:8]...)
	b = append(b, 0, byte(mysqlCaps&0xff), byte(mysqlCaps>>8&0xff), 33, 2, 0, byte(mysqlCaps>>16&0xff), 0, 21)
	b = append(append(b, make([]byte, 10)...), salt[8:]...)
	return append(append(append(b, 0), mysqlNative...), 0)
}

// ParseMySQLGreeting gives version and salt.
func ParseMySQLGreeting(b []byte) (version string, salt [20]byte, err error) {
	if len(b) == 0 || b[0] != 10 {
		return "", salt, bad("a greeting of MySQL")
	}
	version, rest, ok := cutZ(b[1:])
	if !ok || len(rest) < 43 {
		return "", salt, bad("a greeting of MySQL")
	}
	copy(salt[:8], rest[4:12])
	copy(salt[8:], rest[31:43])
	return version, salt, nil
}

// MySQLLogin is a client's answer to the greeting.
type MySQLLogin struct {
	User     string
	Response []byte
	Database string
}

// ParseMySQLLogin reads it.
func ParseMySQLLogin(b []byte) (MySQLLogin, error) {
	if len(b) < 33 {
		return MySQLLogin{}, bad("a login of MySQL")
	}
	caps := binary.LittleEndian.Uint32(b)
	user, rest, ok := cutZ(b[32:])
	if !ok || len(rest) == 0 {
		return MySQLLogin{}, bad("a login of MySQL")
	}
	n := int(rest[0])
	if n > 250 || len(rest) < 1+n {
		return MySQLLogin{}, bad("a login of MySQL")
	}
	l := MySQLLogin{User: user, Response: rest[1 : 1+n]}
	if caps&mysqlDB != 0 {
		l.Database, _, _ = cutZ(rest[1+n:])
	}
	return l, nil
}

// AppendMySQLLogin writes a client's answer with a password.
func AppendMySQLLogin(user, password string, salt [20]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, mysqlCaps&^mysqlDB)
	b = append(binary.LittleEndian.AppendUint32(b, 1<<24), 33)
	b = append(append(append(b, make([]byte, 23)...), user...), 0)
	r := mysqlScramble(password, salt)
	return append(append(append(append(b, byte(len(r))), r...), mysqlNative...), 0)
}

// Knows tells whether who made the login knows password.
func (l MySQLLogin) Knows(password string, salt [20]byte) bool {
	return password != "" && bytes.Equal(l.Response, mysqlScramble(password, salt))
}

func mysqlScramble(password string, salt [20]byte) []byte {
	if password == "" {
		return nil
	}
	one := sha1.Sum([]byte(password))             //nolint:gosec // the protocol is made of it
	two := sha1.Sum(one[:])                       //nolint:gosec // the protocol is made of it
	three := sha1.Sum(append(salt[:], two[:]...)) //nolint:gosec // the protocol is made of it
	for i := range one {
		one[i] ^= three[i]
	}
	return one[:]
}

// MySQLOK is the packet that says yes.
func MySQLOK() []byte { return []byte{0, 0, 0, 2, 0, 0, 0} }

// MySQLError is the packet that says no.
func MySQLError(code int, state, text string) []byte {
	return append(append([]byte{0xff, byte(code), byte(code >> 8), '#'}, state[:min(5, len(state))]...), text...)
}
