package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
)

func TestTries(t *testing.T) {
	r := newRig(t, nil)
	n := 0
	_, err := r.dial(t, ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) { n++; return fmt.Sprint("wrong", n), nil }), 20))
	if err == nil || !strings.Contains(err.Error(), "oo many authentication failures") {
		t.Errorf("after %d tries: %v", n, err)
	}
	got := r.rec.wait(t, event.ActionLogin, 6)
	if len(got) != 6 {
		t.Errorf("%d tries are recorded", len(got))
	}
	for i, e := range got {
		if e.Outcome != "failure" || e.User != "root" || extra(e, "lapwing.password.text") != fmt.Sprint("wrong", i+1) || extra(e, "lapwing.login.method") != "password" {
			t.Errorf("try %d: %+v", i, e)
		}
	}
}

func TestAPlantedCredentialIsRecognised(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.dial(t, ssh.Password("planted")); err == nil {
		t.Error("it lets in")
	}
	if e := r.rec.wait(t, event.ActionLogin, 1)[0]; e.Outcome != "failure" || extra(e, "lapwing.token.id") != "share" {
		t.Errorf("%+v", e)
	}
	r.client(t)
	if e := r.rec.wait(t, event.ActionLogin, 2)[1]; e.Outcome != "success" || extra(e, "lapwing.token.id") != "" {
		t.Errorf("%+v", e)
	}
}

func TestRefusalTakesAsLongAsPAM(t *testing.T) {
	r := newRig(t, nil)
	r.dial(t, ssh.RetryableAuthMethod(ssh.Password("wrong"), 5))
	naps := r.clock.naps()
	if len(naps) != 5 {
		t.Fatalf("%d delays", len(naps))
	}
	same := 0
	for _, d := range naps {
		if d < 1600*time.Millisecond || d > 3200*time.Millisecond {
			t.Errorf("a refusal takes %s", d)
		}
		if d == naps[0] {
			same++
		}
	}
	if same == len(naps) {
		t.Errorf("every refusal takes %s", naps[0])
	}
	before := len(naps)
	r.client(t)
	if len(r.clock.naps()) != before {
		t.Error("the right password is delayed")
	}
}

func TestAnotherPasswordIsRefused(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.dial(t, ssh.Password("other")); err == nil {
		t.Fatal("a password that is not accepted is let in")
	}
	r.client(t)
	if _, err := r.dial(t, ssh.Password("other")); err == nil {
		t.Error("another password is let in after the first")
	}
	if _, _, err := r.exec(t, "echo root:mine | chpasswd", ""); err != nil {
		t.Fatal(err)
	}
	for pw, want := range map[string]bool{"mine": true, "admin": true, "345gs5662d34": false} {
		c, err := r.dial(t, ssh.Password(pw))
		if (err == nil) != want {
			t.Errorf("%s: %v", pw, err)
		}
		if c != nil {
			c.Close()
		}
	}
	if got := r.rec.wait(t, event.ActionPasswordChanged, 1); extra(got[0], "lapwing.password.text") != "mine" {
		t.Errorf("the change is recorded as %+v", got[0])
	}
}

func TestKeysAndQuestionsAreRecorded(t *testing.T) {
	r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.KeyboardInteractive = true })
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	signer, _ := ssh.NewSignerFromKey(key)
	asked := ""
	c, err := r.dial(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(func(_, _ string, q []string, echo []bool) ([]string, error) {
		asked = fmt.Sprint(q, echo)
		return []string{"admin"}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if asked != "[Password: ] [false]" {
		t.Errorf("asked %s", asked)
	}
	got := r.rec.wait(t, event.ActionLogin, 2)
	if extra(got[0], "lapwing.ssh.public_key") != ssh.FingerprintSHA256(signer.PublicKey()) || extra(got[0], "lapwing.ssh.public_key_type") != "ssh-ed25519" || got[0].Outcome != "failure" {
		t.Errorf("the key: %+v", got[0])
	}
	if extra(got[1], "lapwing.login.method") != "keyboard-interactive" || got[1].Outcome != "success" {
		t.Errorf("the answer: %+v", got[1])
	}
	id := r.rec.wait(t, event.ActionClientIdentified, 1)[0]
	for _, f := range []string{"user_agent.original", "lapwing.ssh.hassh", "lapwing.ssh.kex", "lapwing.ssh.host_key_algorithms", "lapwing.ssh.ciphers", "lapwing.ssh.macs"} {
		if extra(id, f) == "" {
			t.Errorf("%s is not recorded", f)
		}
	}
	if len(r.rec.all(event.ActionClientIdentified)) != 1 {
		t.Error("the client is identified more than once")
	}
}

func TestHostKeysAreOfferedAndProven(t *testing.T) {
	r := newRig(t, nil)
	for _, algo := range []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"} {
		var got ssh.PublicKey
		c, err := ssh.Dial("tcp", r.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password("admin")}, HostKeyAlgorithms: []string{algo}, HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error { got = k; return nil }})
		if err != nil {
			t.Errorf("%s: %v", algo, err)
			continue
		}
		c.Close()
		want := algo
		if strings.HasPrefix(algo, "rsa-") {
			want = "ssh-rsa"
		}
		if got.Type() != want {
			t.Errorf("%s: a key of type %s", algo, got.Type())
		}
	}
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sc, chans, reqs, err := ssh.NewClientConn(conn, r.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password("admin")}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range chans {
		}
	}()
	first := <-reqs
	if first.Type != "hostkeys-00@openssh.com" {
		t.Fatalf("the first request is %s", first.Type)
	}
	go ssh.DiscardRequests(reqs)
	var keys []ssh.PublicKey
	for p := first.Payload; len(p) > 0; {
		n := binary.BigEndian.Uint32(p)
		k, err := ssh.ParsePublicKey(p[4 : 4+n])
		if err != nil {
			t.Fatal(err)
		}
		keys, p = append(keys, k), p[4+n:]
	}
	if len(keys) != 3 || keys[0].Type() != "ssh-ed25519" {
		t.Fatalf("%d keys", len(keys))
	}
	ok, proof, err := sc.SendRequest("hostkeys-prove-00@openssh.com", true, first.Payload)
	if !ok || err != nil {
		t.Fatalf("no proof: %v", err)
	}
	for _, k := range keys {
		n := binary.BigEndian.Uint32(proof)
		var sig ssh.Signature
		if err := ssh.Unmarshal(proof[4:4+n], &sig); err != nil {
			t.Fatal(err)
		}
		proof = proof[4+n:]
		data := ssh.Marshal(struct {
			What         string
			Session, Key []byte
		}{"hostkeys-prove-00@openssh.com", sc.SessionID(), k.Marshal()})
		if err := k.Verify(data, &sig); err != nil {
			t.Errorf("the proof of %s: %v", k.Type(), err)
		}
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	s, _ := ssh.NewSignerFromKey(other)
	k := s.PublicKey().Marshal()
	if ok, _, _ := sc.SendRequest("hostkeys-prove-00@openssh.com", true, append(binary.BigEndian.AppendUint32(nil, uint32(len(k))), k...)); ok {
		t.Error("it signs for a key that is not its own")
	}
}

func TestGraceTime(t *testing.T) {
	r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.Grace = 100 * time.Millisecond })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 256)
	for err == nil {
		_, err = c.Read(buf)
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.Error("who does not log in stays connected")
	}
	if got := r.rec.wait(t, event.ActionLimitReached, 1); got[0].Reason != "login grace time" {
		t.Errorf("recorded as %q", got[0].Reason)
	}
}

func TestTunnels(t *testing.T) {
	for _, policy := range []string{"refuse", "accept"} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.Tunnels = policy })
			c := r.client(t)
			sink, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			arrived := make(chan struct{}, 1)
			go func() {
				if c, err := sink.Accept(); err == nil {
					c.Close()
					arrived <- struct{}{}
				}
			}()
			conn, err := c.Dial("tcp", sink.Addr().String())
			if (err == nil) != (policy == "accept") {
				t.Errorf("direct-tcpip: %v", err)
			}
			if conn != nil {
				conn.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
				conn.Close()
			}
			var port struct{ Port uint32 }
			ok, payload, err := c.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
				Host string
				Port uint32
			}{"127.0.0.1", 0}))
			if ok != (policy == "accept") || err != nil {
				t.Errorf("tcpip-forward: %v, %v", ok, err)
			}
			if ok && (ssh.Unmarshal(payload, &port) != nil || port.Port < 1024) {
				t.Errorf("the port is %x", payload)
			}
			c.Close()
			want := map[string]int{"refuse": 2, "accept": 3}[policy]
			got := r.rec.wait(t, event.ActionTunnelRequested, want)
			host, p, _ := net.SplitHostPort(sink.Addr().String())
			if extra(got[0], "lapwing.tunnel.host") != host || extra(got[0], "lapwing.tunnel.port") != p {
				t.Errorf("recorded as %+v", got[0])
			}
			if policy == "accept" && !strings.Contains(fmt.Sprint(extra(got[1], "lapwing.tunnel.payload"), extra(got[2], "lapwing.tunnel.payload")), "GET / HTTP") {
				t.Errorf("what was sent is not recorded: %+v", got)
			}
			select {
			case <-arrived:
				t.Error("something was forwarded")
			default:
			}
		})
	}
}

func TestManyChannels(t *testing.T) {
	r := newRig(t, nil)
	c := r.client(t)
	var open []*ssh.Session
	var err error
	for range maxChannels {
		var s *ssh.Session
		if s, err = c.NewSession(); err != nil {
			t.Fatal(err)
		}
		s.StdinPipe()
		if err := s.Start("cat"); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	if _, err := c.NewSession(); err == nil || !strings.Contains(err.Error(), "open failed") {
		t.Errorf("one more session: %v", err)
	}
	for _, s := range open {
		s.Close()
	}
	for range 200 { // a closed one makes room
		s, err := c.NewSession()
		if err == nil {
			defer s.Close()
			if out, err := s.Output("echo again"); string(out) != "again\n" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("closed sessions make no room")
}
