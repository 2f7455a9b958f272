package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SSHBanner connects and reads the version.
func (a *Actor) SSHBanner(ctx context.Context, t Target) Read {
	var out Read
	r := a.begin(ctx, "ssh.banner", &out.Outcome)
	out.Texts = make([]string, 1)
	r.end(r.once("tcp", t, func(c *conn) (err error) {
		out.Texts[0], err = c.line()
		return err
	}))
	return out
}

// once connects for one exchange.
func (r *run) once(network string, t Target, f func(*conn) error) error {
	c, err := r.dial(network, t)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // may be closed already
	return f(c)
}

// SSHLogin logs in by password and runs the commands, one after the other.
func (a *Actor) SSHLogin(ctx context.Context, t Target, l Login) LoggedIn {
	return a.login(ctx, "ssh.login", t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
		client, err := r.ssh(c, t, cred)
		if errors.Is(err, errRefused) {
			return false, nil, nil
		}
		if err != nil {
			return false, nil, err
		}
		defer client.Close() //nolint:errcheck // the connection ends with it
		var output []string
		for i, line := range l.Commands {
			if i > 0 {
				if err := r.pause(l.Delay, l.Jitter); err != nil {
					return true, output, err
				}
			}
			said, err := typed(client, line)
			if err != nil {
				return true, output, err
			}
			output = append(output, said)
		}
		return true, output, nil
	})
}

// ssh shakes hands and logs in. Hosts of a range have no keys to be known by.
func (r *run) ssh(c *conn, t Target, cred Credential) (*ssh.Client, error) {
	k, chans, reqs, err := ssh.NewClientConn(c, t.address(), &ssh.ClientConfig{
		User: cred.User, Auth: []ssh.AuthMethod{ssh.Password(cred.Password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // a virtual host
		ClientVersion: "SSH-2.0-OpenSSH_9.6p1",
	})
	switch {
	case err == nil:
		return ssh.NewClient(k, chans, reqs), nil
	case strings.Contains(err.Error(), "unable to authenticate"):
		return nil, errRefused
	}
	return nil, fmt.Errorf("shake hands with %s: %w", t.address(), err)
}

// typed runs one line in the shell of the fake host and gives what it said.
func typed(client *ssh.Client, line string) (string, error) {
	s, err := client.NewSession()
	if err != nil {
		return "", fmt.Errorf("open a session: %w", err)
	}
	defer s.Close() //nolint:errcheck // ends with its command
	out := &clipped{left: maxOutput}
	s.Stdout, s.Stderr = out, out
	if err := s.Run(line); err != nil {
		var status *ssh.ExitError
		var missing *ssh.ExitMissingError
		if !errors.As(err, &status) && !errors.As(err, &missing) {
			return out.b.String(), fmt.Errorf("type %q: %w", line, err)
		}
	}
	return out.b.String(), nil
}

// clipped keeps the first bytes of what is written.
type clipped struct {
	b    strings.Builder
	left int
}

// Write never fails.
func (c *clipped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	c.b.Write(p[:n])
	return len(p), nil
}

// scp leaves or fetches one file by the old protocol of scp.
func (r *run) scp(client *ssh.Client, path string, upload []byte) (string, error) {
	s, err := client.NewSession()
	if err != nil {
		return "", fmt.Errorf("open a session: %w", err)
	}
	defer s.Close() //nolint:errcheck // ends with its command
	in, err := s.StdinPipe()
	if err != nil {
		return "", fmt.Errorf("open a session: %w", err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("open a session: %w", err)
	}
	flag := "-f"
	if upload != nil {
		flag = "-t"
	}
	if err := s.Start("scp " + flag + " '" + strings.ReplaceAll(path, "'", "") + "'"); err != nil {
		return "", fmt.Errorf("start scp: %w", err)
	}
	if upload != nil {
		return "", scpSend(in, out, path, upload)
	}
	return scpFetch(in, out)
}

// scpAck reads the other side's yes.
func scpAck(r io.Reader) error {
	b := make([]byte, 1)
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("read scp's answer: %w", err)
	}
	if b[0] != 0 {
		return errRefused
	}
	return nil
}

func scpSend(in io.Writer, out io.Reader, path string, data []byte) error {
	if err := scpAck(out); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(in, "C0644 %d %s\n", len(data), path[strings.LastIndexByte(path, '/')+1:]); err != nil {
		return fmt.Errorf("write to scp: %w", err)
	}
	if err := scpAck(out); err != nil {
		return err
	}
	if _, err := in.Write(append(data, 0)); err != nil {
		return fmt.Errorf("write to scp: %w", err)
	}
	return scpAck(out)
}

func scpFetch(in io.Writer, out io.Reader) (string, error) {
	if _, err := in.Write([]byte{0}); err != nil {
		return "", fmt.Errorf("write to scp: %w", err)
	}
	var mode, size int
	var name string
	head := make([]byte, 0, 256)
	for b := make([]byte, 1); len(head) < cap(head); {
		if _, err := io.ReadFull(out, b); err != nil {
			return "", fmt.Errorf("read scp's answer: %w", err)
		}
		if b[0] == '\n' {
			break
		}
		head = append(head, b[0])
	}
	if _, err := fmt.Sscanf(string(head), "C%o %d %s", &mode, &size, &name); err != nil || size < 0 {
		return "", errRefused
	}
	if _, err := in.Write([]byte{0}); err != nil {
		return "", fmt.Errorf("write to scp: %w", err)
	}
	return limited(out, int64(min(size, maxOutput)))
}
