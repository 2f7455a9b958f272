package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// alive checks that the decoy still serves.
func (r *rig) alive(t *testing.T) {
	t.Helper()
	if out, _, err := r.exec(t, "echo alive", ""); out != "alive\n" || err != nil {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

func TestJunk(t *testing.T) {
	r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.Grace = 500 * time.Millisecond })
	rnd := rand.New(rand.NewPCG(1, 1))
	junk := make([]byte, 4000)
	for i := range junk {
		junk[i] = byte(rnd.Uint32())
	}
	for name, send := range map[string]string{
		"random bytes":         string(junk),
		"a line without end":   strings.Repeat("A", 1<<20),
		"a half handshake":     "SSH-2.0-x\r\n",
		"a KEXINIT cut off":    "SSH-2.0-x\r\n\x00\x00\x01\x00\x04\x14aaaa",
		"a packet of no bytes": "SSH-2.0-x\r\n\x00\x00\x00\x00",
		"a packet of 4 GB":     "SSH-2.0-x\r\n\xff\xff\xff\xff",
		"random packets":       "SSH-2.0-x\r\n" + string(junk),
		"padding only":         "SSH-2.0-x\r\n\x00\x00\x00\x0c\xff" + strings.Repeat("\x00", 40),
		"terminal escapes":     "SSH-2.0-\x1b[2J\x1b]0;x\x07\r\nx",
	} {
		before := len(r.rec.all(event.ActionConnectionClosed))
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, send)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.Copy(io.Discard, c) // until the decoy ends it
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Errorf("%s: the connection stays", name)
		}
		c.Close()
		r.rec.wait(t, event.ActionConnectionClosed, before+1)
	}
	if n := len(r.rec.all(event.ActionProtocolError)) + len(r.rec.all(event.ActionLimitReached)); n < 9 {
		t.Errorf("%d events say what happened", n)
	}
	r.alive(t)
}

func TestSlowLoris(t *testing.T) {
	r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.Grace = 300 * time.Millisecond })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := 0; ; i++ { // one byte at a time, for ever
		if _, err := c.Write([]byte("S")); err != nil {
			break
		}
		if i > 1000 {
			t.Fatal("it is served for ever")
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.rec.wait(t, event.ActionLimitReached, 1)
}

func TestFloods(t *testing.T) {
	r := newRig(t, nil)
	c := r.client(t)
	t.Run("thousands of channels", func(t *testing.T) {
		refused := 0
		var open []ssh.Channel
		for range 3000 {
			ch, reqs, err := c.OpenChannel("session", nil)
			if err != nil {
				refused++
				continue
			}
			go ssh.DiscardRequests(reqs)
			open = append(open, ch)
		}
		if len(open) != maxChannels {
			t.Errorf("%d sessions are open, %d refused", len(open), refused)
		}
		for _, ch := range open {
			ch.Close()
		}
	})
	t.Run("tunnels", func(t *testing.T) {
		payload := ssh.Marshal(struct {
			Host string
			Port uint32
			From string
			P    uint32
		}{strings.Repeat("\x1b[2J", 500), 25, "x", 1})
		for range 2500 {
			if _, _, err := c.OpenChannel("direct-tcpip", payload); err == nil {
				t.Fatal("a tunnel is open")
			}
		}
		if n := len(r.rec.all(event.ActionTunnelRequested)); n > maxEvents {
			t.Errorf("%d events", n)
		}
		r.rec.wait(t, event.ActionLimitReached, 2)
	})
	t.Run("environment and requests", func(t *testing.T) {
		c := r.client(t)
		ch, reqs, err := c.OpenChannel("session", nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		type pair struct{ Name, Value string }
		for i := range 5000 {
			ch.SendRequest("env", false, ssh.Marshal(pair{fmt.Sprint("LC_", i), strings.Repeat("x", 200)}))
		}
		ch.SendRequest("env", false, ssh.Marshal(pair{"LC_LONG", strings.Repeat("x", 200_000)}))
		ch.SendRequest("pty-req", false, []byte("\xff\xff\xff\xff"))
		ch.SendRequest("exec", false, []byte("\x00"))
		ok, err := ch.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"env | grep -c LC_"}))
		if !ok || err != nil {
			t.Fatalf("exec: %v, %v", ok, err)
		}
		out, _ := io.ReadAll(ch)
		if string(out) != fmt.Sprint(maxEnv, "\n") {
			t.Errorf("%q variables came through", out)
		}
	})
	r.alive(t)
}

// TestWindowGames: a client that opens no window, or takes nothing, holds up
// nobody but itself.
func TestWindowGames(t *testing.T) {
	r := newRig(t, nil)
	c := r.client(t)
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdoutPipe(); err != nil { // never read
		t.Fatal(err)
	}
	if err := s.Start("yes"); err != nil {
		t.Fatal(err)
	}
	other, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := other.Output("echo free"); string(out) != "free\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	c.Close()
	r.rec.wait(t, event.ActionSessionEnded, 2)
	r.alive(t)
}

func TestBudgets(t *testing.T) {
	if testing.Short() && os.Getenv("CI") == "" {
		t.Log("short: with smaller floods")
	}
	r := newRig(t, func(_ *Config, _ *decoy.Limits, h *host.Config) {
		h.Limits.Output = 1 << 20
		h.Limits.Steps = 200_000
		h.Limits.Moved = 64 << 20
	})
	for _, line := range []string{
		"yes | head -c 10G",
		":(){ :|:& };:",
		"while :; do :; done",
		"x=a; while :; do x=$x$x; done",
		"cat /dev/zero > /tmp/big; ls -l /tmp/big | wc -l",
		"i=0; while [ $i -lt 1000000 ]; do echo > /tmp/f$i; i=$((i+1)); done",
		strings.Repeat("(", 100_000),
		"echo " + strings.Repeat("A", 1<<20) + " | wc -c",
		"cat ../../../../../../etc/../../../etc/passwd/../../proc/self/../../../x",
		"mkdir -p " + strings.Repeat("/d", 3000),
		"ln -s /tmp/l2 /tmp/l1; ln -s /tmp/l1 /tmp/l2; cat /tmp/l1",
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := r.dial(t)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			s, err := c.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			s.Stdout, s.Stderr = io.Discard, io.Discard
			s.Run(line)
		}()
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			t.Fatalf("%.60q hangs", line)
		}
	}
	r.alive(t)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 400<<20 {
		t.Errorf("%d MiB are in use afterwards", m.HeapAlloc>>20)
	}
}

// limitsOf are the reasons of the limits that were reached.
func (r *rig) limitsOf() []string {
	var out []string
	for _, e := range r.rec.all(event.ActionLimitReached) {
		out = append(out, e.Reason)
	}
	return out
}

// TestLimitsAreTold: what uses up a budget is told once, by the limit's name,
// and the session goes on or ends as one on a real host.
func TestLimitsAreTold(t *testing.T) {
	for _, tt := range []struct {
		name, line, reason string
		signal             string // the program ends by, "" = it exits
	}{
		{"fork bomb", ":(){ :|:; };:", "session budget: programs at once", ""},
		{"endless pipe", "yes | head -c 10G > /dev/null", "session budget: bytes moved", "KILL"},
		{"endless output", "yes", "session budget: bytes of output", "KILL"},
		{"doubling", "x=a; while :; do x=$x$x; done", "session budget: bytes of a variable", ""},
		{"endless loop", "while :; do :; done", "session budget: steps", "KILL"},
		{"recursion", "f() { f; }; f", "session budget: depth", ""},
		{"full disk", "head -c 100M /dev/zero > /tmp/big", "bytes of a file", ""},
		{"many files", "i=0; while [ $i -lt 300 ]; do echo > /tmp/f$i; i=$((i+1)); done 2>/dev/null", "number of a visitor's files", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(_ *Config, _ *decoy.Limits, h *host.Config) {
				h.Limits = kernel.Limits{Output: 1 << 20, Steps: 200_000, Moved: 8 << 20, Procs: 8}
				h.FS = vfs.Options{Quota: 4 << 20, MaxNodes: 200, MaxFile: 1 << 20}
			})
			c := r.client(t)
			s, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			s.Stdout, s.Stderr = io.Discard, io.Discard
			var exit *ssh.ExitError
			if err := s.Run(tt.line); errors.As(err, &exit) && exit.Signal() != tt.signal || tt.signal != "" && exit == nil {
				t.Errorf("ends with %v", err)
			}
			r.rec.wait(t, event.ActionSessionEnded, 1)
			n := 0
			for _, l := range r.limitsOf() {
				if l == tt.reason {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d times %q among %q", n, tt.reason, r.limitsOf())
			}
			again, err := c.NewSession() // the connection goes on
			if err != nil {
				t.Fatal(err)
			}
			if out, err := again.Output("echo there"); string(out) != "there\n" || err != nil {
				t.Errorf("afterwards: %q, %v", out, err)
			}
		})
	}
}

// TestWallTime: a session that lasts too long is killed, also one that waits
// for the visitor.
func TestWallTime(t *testing.T) {
	r := newRig(t, func(_ *Config, _ *decoy.Limits, h *host.Config) { h.Limits.Wall = 100 * time.Millisecond })
	for _, line := range []string{"cat", "tail -f /etc/passwd", ""} {
		s, err := r.client(t).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		s.StdinPipe() // stays open
		if line == "" {
			s.RequestPty("xterm", 24, 80, nil) // the shell's end tells
			err = s.Shell()
		} else {
			err = s.Start(line)
		}
		var exit *ssh.ExitError
		if err == nil {
			err = s.Wait()
		}
		if !errors.As(err, &exit) || exit.Signal() != "KILL" {
			t.Errorf("%q ends with %v", line, err)
		}
	}
	r.rec.wait(t, event.ActionSessionEnded, 3)
	if l := r.limitsOf(); len(l) != 3 || l[0] != "session budget: wall time of the session" {
		t.Errorf("limits %q", l)
	}
}

// TestStdinMemoryIsBounded: what all sessions keep of standard input is.
func TestStdinMemoryIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.StdinMemory = 100_000 })
	out, _, err := r.exec(t, "wc -c", strings.Repeat("x", 300_000))
	if out != "300000\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	e := r.rec.wait(t, event.ActionFileCaptured, 1)[0]
	if l := r.limitsOf(); !slices.Equal(l, []string{"bytes kept of standard input"}) {
		t.Errorf("limits %q", l)
	}
	if e.Size > 100_000 || extra(e, "lapwing.capture.how") != "stdin, cut off" {
		t.Errorf("%d bytes, %s", e.Size, extra(e, "lapwing.capture.how"))
	}
	out, _, _ = r.exec(t, "cat", "again") // the memory came back
	if e := r.rec.wait(t, event.ActionFileCaptured, 2)[1]; out != "again" || e.Size != 5 {
		t.Errorf("%q, %+v", out, e)
	}
}

// pipeConn is a connection that gives fixed bytes and takes any.
type pipeConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (p *pipeConn) Read(b []byte) (int, error) {
	if len(b) > 7 {
		b = b[:7] // in small pieces
	}
	return p.in.Read(b)
}
func (p *pipeConn) Write(b []byte) (int, error) { return p.out.Write(b) }

// FuzzIdent: whatever a client sends first, it is taken as OpenSSH takes it:
// the line goes on to the transport, or one of two answers ends it.
func FuzzIdent(f *testing.F) {
	for _, p := range identProbes {
		f.Add([]byte(p.send))
	}
	if len(identProbes) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &pipeConn{in: bytes.NewReader(data)}
		ic, err := newIdentConn(c, "SSH-2.0-x")
		out := strings.TrimPrefix(c.out.String(), "SSH-2.0-x\r\n")
		switch {
		case errors.Is(err, errIdent):
			if text := strings.TrimSuffix(out, "\r\n"); text != badIdent && text != "Protocol major versions differ." {
				t.Fatalf("answered %q", out)
			}
		case err != nil:
			if out != "" || bytes.IndexByte(data, '\n') >= 0 && !bytes.Contains(data, []byte{0}) && len(data) < maxIdent && !bytes.Contains(data, []byte{'\r'}) {
				t.Fatalf("%v, answered %q", err, out)
			}
		default:
			rest, _ := io.ReadAll(ic)
			line, after, _ := strings.Cut(string(rest), "\r\n")
			if !strings.HasPrefix(line, "SSH-") || len(line) > 200 || !bytes.HasSuffix(data, []byte(after)) {
				t.Fatalf("the transport reads %q", rest)
			}
		}
	})
}

// FuzzKex: a KEXINIT of any shape is read within its bounds.
func FuzzKex(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x2c\x04\x14aaaaaaaaaaaaaaaa\x00\x00\x00\x01a\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, ok := ParseKex(data)
		if n := len(k.KeyExchange) + len(k.HostKeys) + len(k.Ciphers) + len(k.MACs) + len(k.Compression); n > len(data) || !ok && n > 0 {
			t.Fatalf("%d bytes out of %d, %v", n, len(data), ok)
		}
	})
}
