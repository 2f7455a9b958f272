package act

import (
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// Messages of SFTP version 3 (draft-ietf-secsh-filexfer-02).
const (
	sftpInit    = 1
	sftpVersion = 2
	sftpOpen    = 3
	sftpClose   = 4
	sftpRead    = 5
	sftpWrite   = 6
	sftpStatus  = 101
	sftpHandle  = 102
	sftpData    = 103

	sftpChunk = 32 << 10
	sftpMax   = 256 << 10
)

// sftp is one subsystem.
type sftp struct {
	in  io.Writer
	out io.Reader
	id  uint32
}

// openSFTP starts the subsystem; done ends it.
func openSFTP(client *ssh.Client) (f *sftp, done func(), err error) {
	s, err := client.NewSession()
	if err != nil {
		return nil, nil, fmt.Errorf("open a session: %w", err)
	}
	done = func() { s.Close() } //nolint:errcheck // ends with the connection
	if f, err = startSFTP(s); err != nil {
		done()
		return nil, nil, fmt.Errorf("open sftp: %w", err)
	}
	return f, done, nil
}

func startSFTP(s *ssh.Session) (*sftp, error) {
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		return nil, err
	}
	f := &sftp{in: in, out: out}
	kind, _, err := f.exchange(sftpInit, []byte{0, 0, 0, 3})
	if err == nil && kind != sftpVersion {
		err = errRefused
	}
	return f, err
}

// exchange sends one message and reads the answer.
func (f *sftp) exchange(kind byte, body []byte) (byte, []byte, error) {
	m := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	if _, err := f.in.Write(append(append(m, kind), body...)); err != nil {
		return 0, nil, fmt.Errorf("write to sftp: %w", err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(f.out, head); err != nil {
		return 0, nil, fmt.Errorf("read from sftp: %w", err)
	}
	n := int(binary.BigEndian.Uint32(head)) - 1
	if n < 0 || n > sftpMax {
		return 0, nil, fmt.Errorf("a message of sftp of %d bytes: %w", n, wire.ErrMalformed)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f.out, b); err != nil {
		return 0, nil, fmt.Errorf("read from sftp: %w", err)
	}
	return head[4], b, nil
}

// ask numbers a request.
func (f *sftp) ask(kind byte, body ...[]byte) (byte, []byte, error) {
	f.id++
	b := binary.BigEndian.AppendUint32(nil, f.id)
	for _, p := range body {
		b = append(b, p...)
	}
	k, a, err := f.exchange(kind, b)
	if err == nil && len(a) < 4 {
		err = fmt.Errorf("an answer of sftp: %w", wire.ErrMalformed)
	}
	if err != nil {
		return 0, nil, err
	}
	return k, a[4:], nil
}

func sftpText(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// file opens path with flags.
func (f *sftp) file(path string, flags uint32) (handle []byte, err error) {
	kind, b, err := f.ask(sftpOpen, sftpText(path), number(flags), number(0))
	if err != nil {
		return nil, err
	}
	if kind != sftpHandle {
		return nil, fmt.Errorf("open %s by sftp: %w", path, errRefused)
	}
	return b, nil
}

// upload writes a file.
func (f *sftp) upload(path string, data []byte) error {
	h, err := f.file(path, 2|8|16) // write, create, truncate
	if err != nil {
		return err
	}
	for at := 0; at < len(data); at += sftpChunk {
		part := data[at:min(at+sftpChunk, len(data))]
		_, b, err := f.ask(sftpWrite, h, number(0), number(uint32(at)), sftpText(string(part)))
		if err != nil {
			return err
		}
		if len(b) < 4 || binary.BigEndian.Uint32(b) != 0 {
			return fmt.Errorf("write %s by sftp: %w", path, errRefused)
		}
	}
	_, _, err = f.ask(sftpClose, h)
	return err
}

// download reads a file, at most 64 KiB of it.
func (f *sftp) download(path string) (string, error) {
	h, err := f.file(path, 1)
	if err != nil {
		return "", err
	}
	var out []byte
	for len(out) < maxOutput {
		kind, b, err := f.ask(sftpRead, h, number(0), number(uint32(len(out))), number(sftpChunk))
		if err != nil {
			return "", err
		}
		if kind != sftpData || len(b) < 4 || len(b) == 4 {
			break
		}
		out = append(out, b[4:]...)
	}
	_, _, err = f.ask(sftpClose, h)
	return string(out), err
}
