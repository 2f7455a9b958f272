package wire

import (
	"crypto/md5" //nolint:gosec // the protocol is made of it
	"encoding/binary"
	"encoding/hex"
	"io"
)

// Postgres is one message of its protocol 3.0; Kind 0 is a start-up message.
type Postgres struct {
	Kind byte
	Body []byte
}

// Codes of start-up messages.
const (
	PostgresVersion = 196608
	PostgresTLS     = 80877103
)

// ReadPostgres reads one message of at most 64 KiB; start is true for the first
// of a client.
func ReadPostgres(r io.Reader, start bool) (Postgres, error) {
	var m Postgres
	if !start {
		k, err := full(r, 1, 1)
		if err != nil {
			return m, err
		}
		m.Kind = k[0]
	}
	h, err := full(r, 4, 4)
	if err != nil {
		return m, err
	}
	m.Body, err = full(r, int(int32(binary.BigEndian.Uint32(h)))-4, maxSQL)
	return m, err
}

// AppendPostgres writes one message.
func AppendPostgres(m Postgres) []byte {
	var b []byte
	if m.Kind != 0 {
		b = []byte{m.Kind}
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(m.Body)+4)), m.Body...)
}

// PostgresStart is what a start-up message says: its code, and of a session user
// and database.
func PostgresStart(m Postgres) (code int, user, database string, err error) {
	if len(m.Body) < 4 {
		return 0, "", "", bad("a start of PostgreSQL")
	}
	code = int(binary.BigEndian.Uint32(m.Body))
	b := m.Body[4:]
	for code == PostgresVersion {
		var name, value string
		var ok bool
		if name, b, ok = cutZ(b); !ok || name == "" {
			break
		}
		if value, b, ok = cutZ(b); !ok {
			return 0, "", "", bad("a start of PostgreSQL")
		}
		switch name {
		case "user":
			user = value
		case "database":
			database = value
		}
	}
	return code, user, database, nil
}

// PostgresHello is a client's start of a session.
func PostgresHello(user, database string) Postgres {
	b := binary.BigEndian.AppendUint32(nil, PostgresVersion)
	for _, s := range []string{"user", user, "database", database, ""} {
		b = append(append(b, s...), 0)
	}
	return Postgres{0, b}
}

// PostgresHash is what a client answers to a salt of four bytes.
func PostgresHash(user, password string, salt [4]byte) string {
	in := md5.Sum([]byte(password + user))                                //nolint:gosec // the protocol is made of it
	out := md5.Sum(append([]byte(hex.EncodeToString(in[:])), salt[:]...)) //nolint:gosec // the protocol is made of it
	return "md5" + hex.EncodeToString(out[:])
}

// PostgresError is an error as the server writes it.
func PostgresError(code, text string) Postgres {
	var b []byte
	for _, f := range []string{"SFATAL", "C" + code, "M" + text} {
		b = append(append(b, f...), 0)
	}
	return Postgres{'E', append(b, 0)}
}
