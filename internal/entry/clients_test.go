package entry_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/entry"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

func TestCurlThroughSOCKS(t *testing.T) {
	curl := sharedtest.Program(t, "curl")
	s := newSite(t)
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}}})
	outside := get(net.Listen("tcp", "127.0.0.1:0"))
	defer outside.Close()
	for _, tt := range []struct {
		name, flag, login, url, want string
		status                       int
	}{
		{"name", "--socks5-hostname", "anna:" + secret, "http://web01/", "from 10.20.1.200 for web01\n", 0},
		{"address", "--socks5", "anna:" + secret, "http://10.20.1.10/", "from 10.20.1.200 for 10.20.1.10\n", 0},
		{"IPv6", "--socks5", "anna:" + secret, "http://[2001:db8:1::10]/", "from [2001:db8:1::200] for [2001:db8:1::10]\n", 0},
		{"wrong secret", "--socks5-hostname", "anna:wrong", "http://web01/", "", 97},
		{"a name outside", "--socks5-hostname", "anna:" + secret, "http://example.com/", "", 97},
		{"the machine itself", "--socks5-hostname", "anna:" + secret, "http://" + outside.Addr().String() + "/", "", 97},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), curl, "-s", "--max-time", "80", "--noproxy", "", tt.flag, door.Addr().String(), "--proxy-user", tt.login, tt.url)
			out, err := cmd.Output()
			if err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if status := cmd.ProcessState.ExitCode(); string(out) != tt.want || status != tt.status {
				t.Errorf("status %d, %q", status, out)
			}
		})
	}
}

// sshd answers one user and each command with its text.
func sshd(ctx context.Context, h *vnet.Host, password string) error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	cfg := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		if string(got) != password {
			return nil, errRefused
		}
		return nil, nil
	}}
	cfg.AddHostKey(get(ssh.NewSignerFromKey(key)))
	l, err := h.Listen(ctx, 22)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go visit(c, cfg)
		}
	}()
	return nil
}

func visit(c net.Conn, cfg *ssh.ServerConfig) {
	defer c.Close()
	sc, chans, reqs, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		s, in, err := ch.Accept()
		if err != nil {
			return
		}
		for r := range in {
			r.Reply(r.Type == "exec", nil)
			if r.Type != "exec" {
				continue
			}
			fmt.Fprintf(s, "%s came as %s: %s\n", sc.RemoteAddr().(*net.TCPAddr).IP, sc.User(), r.Payload[4:])
			io.Copy(s, s) // what is typed comes back
			s.SendRequest("exit-status", false, []byte{0, 0, 0, 7})
			s.Close()
		}
	}
}

// sshArgs makes OpenSSH's client log in with a password and no files of the user.
func sshArgs(t *testing.T, password string, more ...string) (args, env []string) {
	t.Helper()
	dir := t.TempDir()
	ask := filepath.Join(dir, "ask")
	if err := os.WriteFile(ask, []byte("#!/bin/sh\necho '"+password+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	args = []string{
		"-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"), "-o", "LogLevel=ERROR",
		"-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=80",
	}
	return append(args, more...), append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none")
}

func TestSSHThroughSOCKS(t *testing.T) {
	client, ncat := sharedtest.Program(t, "ssh"), sharedtest.Program(t, "ncat")
	s := newSite(t)
	if err := sshd(t.Context(), s.web, "planted"); err != nil {
		t.Fatal(err)
	}
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}}})
	args, env := sshArgs(t, "planted", "-o", fmt.Sprintf("ProxyCommand=%s --proxy-type socks5 --proxy-dns remote --proxy %s --proxy-auth anna:%s %%h %%p", ncat, door.Addr(), secret))
	cmd := exec.CommandContext(t.Context(), client, append(args, "backup@web01", "cat it")...)
	cmd.Env = env
	typed := strings.Repeat("\xff\x00 all bytes\r\n", 20000)
	cmd.Stdin = strings.NewReader(typed)
	out, err := cmd.Output()
	if want := "10.20.1.200 came as backup: cat it\n" + typed; string(out) != want || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("%v, %d bytes, %.200q", err, len(out), out)
	}
}
