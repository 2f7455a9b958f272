package telnetd

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// The limits of BusyBox login.
const (
	loginTime  = 60 * time.Second // for all tries together
	failDelay  = 3 * time.Second
	maxTries   = 3
	maxEmpty   = 10 // empty lines for a name
	maxName    = 60 // bytes of a name
	incorrect  = "Login incorrect\n"
	passPrompt = "Password: "
)

// login is the conversation of BusyBox login. One thing is not as there: what
// was typed before a prompt is kept, so that programs that do not wait get in.
// A failure ends it where the visitor is not there any more.
func (v *visit) login(there context.Context) (user string, ok bool) {
	fd := v.tty.FD()
	defer fd.Close()                                      //nolint:errcheck // closes nothing
	say := func(text string) { io.WriteString(fd, text) } //nolint:errcheck // a gone client is seen by the next read
	timeout := v.s.Clock.AfterFunc(loginTime, func() {
		say("\r\nLogin timed out after 60 seconds\r\n")
		v.tty.HangUp()
	})
	defer timeout()
	v.mu.Lock()
	v.early = v.dec.seen.newline != ""
	v.mu.Unlock()
	say("\r\n" + v.c.Issue)
	prompt := v.s.Host.Persona().Hostname + " login: "
	for range maxTries {
		name, ok := v.name(fd, prompt)
		if !ok {
			return "", false
		}
		say(passPrompt)
		v.tty.SetEcho(false)
		pw, ok := readLine(fd, 1024)
		v.tty.SetEcho(true)
		if !ok {
			return "", false
		}
		say("\n")
		a := v.c.Door.Check(v.s.Source.Addr(), v.host, name, pw)
		v.tried(name, pw, a)
		if a.OK {
			return name, true
		}
		if v.s.Clock.Sleep(there, failDelay) != nil {
			return "", false
		}
		say(incorrect)
	}
	return "", false
}

// name asks until a line is not empty.
func (v *visit) name(fd io.ReadWriter, prompt string) (string, bool) {
	for range maxEmpty {
		io.WriteString(fd, prompt) //nolint:errcheck // a gone client is seen by the read
		line, ok := readLine(fd, 4096)
		if !ok || len(line) > maxName {
			return "", false
		}
		line = strings.TrimLeft(line, " \t\v\f")
		if i := strings.IndexFunc(line, func(r rune) bool { return r <= ' ' }); i >= 0 {
			line = line[:i]
		}
		if line != "" {
			return line, true
		}
	}
	return "", false
}

// readLine reads one line; ok is false when the visitor left or sent ^D.
func readLine(r io.Reader, limit int) (string, bool) {
	var line []byte
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		if n == 0 || err != nil {
			return "", false
		}
		if b[0] == '\n' {
			return string(line), true
		}
		if len(line) < limit {
			line = append(line, b[0])
		}
	}
}

func (v *visit) tried(name, pw string, a access.Answer) {
	v.identified()
	e := v.s.Event(event.ActionLogin)
	e.User, e.Depth, e.LogType, e.Outcome = name, event.DepthTry, logLogin, "failure"
	if a.OK {
		e.Outcome, e.Depth = "success", event.DepthEnter
	}
	e.Add("lapwing.login.method", "password")
	e.Add(record.PasswordField, pw)
	if a.Token != "" {
		e.Add(record.TokenField, a.Token)
	}
	v.post(e)
}
