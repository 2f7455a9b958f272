// Package fire uses a token as a thief would, so that its owner sees that it
// works. It talks only over a connection that it is given: whoever dials has
// made sure that one of our own decoys is at the other end.
package fire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/token"
)

// Shot is one use of a token.
type Shot struct {
	Token *token.Token
	token.Made
	Conn  net.Conn     // to the decoy; closed on return
	Armed func() error // called right before what gives the token away is sent
}

// deadline is how long a decoy may take for one use.
const deadline = 30 * time.Second

// ErrNoWay is what Fire says of a kind that nothing here can use.
var ErrNoWay = errors.New("a token of this kind cannot be tried from here")

// Fire uses the token. The decoy's refusal is what is expected: nil.
func Fire(ctx context.Context, s Shot) error {
	defer s.Conn.Close() //nolint:errcheck // the decoy has seen what it is to see
	at, ok := ctx.Deadline()
	if !ok || time.Until(at) > deadline {
		at = time.Now().Add(deadline)
	}
	if err := s.Conn.SetDeadline(at); err != nil {
		return err
	}
	switch s.Token.Kind {
	case "ssh":
		return s.ssh()
	case "env":
		return s.env()
	case "ldap":
		return s.ldap()
	case "pgpass":
		return s.pgpass()
	}
	if s.Token.Door.Type == "http" || s.Token.Door.Type == "https" {
		return s.web()
	}
	return fmt.Errorf("%w: %s", ErrNoWay, s.Token.Kind)
}

// file is the content of the first file whose path ends so.
func (s *Shot) file(is func(*token.File) bool) ([]byte, bool) {
	for i := range s.Files {
		if is(&s.Files[i]) {
			return s.Files[i].Content, true
		}
	}
	return nil, false
}

// ssh offers the key as the user that the entry in ~/.ssh/config names, to a
// host that has the key of known_hosts.
func (s *Shot) ssh() error {
	private, ok := s.file(func(f *token.File) bool { return strings.Contains(string(f.Content), "PRIVATE KEY") })
	if !ok {
		return errors.New("it has no private key")
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return fmt.Errorf("read the private key: %w", err)
	}
	known, ok := s.file(func(f *token.File) bool { return strings.HasSuffix(f.Path, "known_hosts") })
	if !ok {
		return errors.New("it has no known_hosts")
	}
	_, _, host, _, _, err := ssh.ParseKnownHosts(known)
	if err != nil {
		return fmt.Errorf("read known_hosts: %w", err)
	}
	var armed error
	c := &ssh.ClientConfig{
		User: s.Token.Names["user"], HostKeyCallback: ssh.FixedHostKey(host), HostKeyAlgorithms: []string{host.Type()},
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			if armed = s.Armed(); armed != nil {
				return nil, armed
			}
			return []ssh.Signer{signer}, nil
		})},
	}
	conn, _, _, err := ssh.NewClientConn(s.Conn, s.Token.Door.Address, c)
	switch {
	case armed != nil:
		return armed
	case err == nil:
		return conn.Close()
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil
	}
	return fmt.Errorf("talk to the decoy: %w", err)
}
