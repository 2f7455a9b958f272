package fire

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// unpacked gives the files of an office document, or content alone.
func unpacked(content []byte) [][]byte {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return [][]byte{content}
	}
	var out [][]byte
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, io.LimitReader(r, maxAnswer)); err == nil {
			out = append(out, b.Bytes())
		}
		r.Close() //nolint:errcheck // only read
	}
	return out
}

// send arms, sends what gives the token away, and waits for the answer's first byte.
func (s *Shot) send(what []byte) error {
	if err := s.Armed(); err != nil {
		return err
	}
	if _, err := s.Conn.Write(what); err != nil {
		return fmt.Errorf("talk to the decoy: %w", err)
	}
	if _, err := bufio.NewReader(s.Conn).ReadByte(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the decoy's answer: %w", err)
	}
	return nil
}

// env uses the URL of the first store.
func (s *Shot) env() error {
	scheme := map[string]string{"postgres": "postgres://", "mysql": "mysql://", "redis": "redis://"}[s.Token.Door.Type]
	u, err := url.Parse(scheme + cut(s.text("env"), "="+scheme, "\n"))
	if err != nil || u.User == nil {
		return fmt.Errorf("it has no URL with a user: %w", err)
	}
	password, _ := u.User.Password()
	switch s.Token.Door.Type {
	case "redis":
		return s.redis(u.User.Username(), password)
	case "postgres":
		return s.postgres(u.User.Username(), password, strings.TrimPrefix(u.Path, "/"))
	}
	return fmt.Errorf("%w: %s", ErrNoWay, s.Token.Door.Type)
}

// redis sends AUTH in the form of RESP.
func (s *Shot) redis(user, password string) error {
	return s.send(fmt.Appendf(nil, "*3\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(user), user, len(password), password))
}

// ldap binds with the name and password of nslcd.conf (RFC 4511, 4.2).
func (s *Shot) ldap() error {
	text := s.text("nslcd.conf")
	bind := append([]byte{0x02, 1, 3}, tlv(0x04, []byte(cut(text, "binddn ", "\n")))...)
	bind = append(bind, tlv(0x80, []byte(cut(text, "bindpw ", "\n")))...)
	return s.send(tlv(0x30, append([]byte{0x02, 1, 1}, tlv(0x60, bind)...)))
}

// tlv is an element in the basic encoding rules; lengths up to 65,535.
func tlv(tag byte, content []byte) []byte {
	n := len(content)
	if n < 0x80 {
		return append([]byte{tag, byte(n)}, content...)
	}
	return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
}

// pgpass uses the line of a file of passwords.
func (s *Shot) pgpass() error {
	line := []rune(strings.TrimSuffix(s.text(".pgpass"), "\n"))
	fields := []string{""}
	for i := 0; i < len(line); i++ {
		switch last := len(fields) - 1; {
		case line[i] == '\\' && i+1 < len(line):
			i++
			fields[last] += string(line[i])
		case line[i] == ':':
			fields = append(fields, "")
		default:
			fields[last] += string(line[i])
		}
	}
	if len(fields) != 5 {
		return errors.New("the line has not five fields")
	}
	return s.postgres(fields[3], fields[4], fields[2])
}

// postgres sends a StartupMessage of protocol 3.0 and, where it is asked for,
// the password in clear.
func (s *Shot) postgres(user, password, database string) error {
	body := append([]byte{0, 3, 0, 0}, "user\x00"+user+"\x00database\x00"+database+"\x00\x00"...)
	if err := s.Armed(); err != nil {
		return err
	}
	if _, err := s.Conn.Write(append(length(len(body)+4), body...)); err != nil {
		return fmt.Errorf("talk to the decoy: %w", err)
	}
	head := make([]byte, 9) // R, length, method
	if _, err := io.ReadFull(s.Conn, head); err != nil || head[0] != 'R' || head[8] != 3 {
		return fmt.Errorf("the decoy asked for no password in clear (%x): %w", head, err)
	}
	message := append([]byte{'p'}, length(len(password)+5)...)
	if _, err := s.Conn.Write(append(append(message, password...), 0)); err != nil {
		return fmt.Errorf("talk to the decoy: %w", err)
	}
	if _, err := s.Conn.Read(head); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the decoy's answer: %w", err)
	}
	return nil
}

func length(n int) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }
