package act

import (
	"context"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// TelnetLogin logs in at the prompts and types the commands.
func (a *Actor) TelnetLogin(ctx context.Context, t Target, l Login) LoggedIn {
	return a.login(ctx, "telnet.login", t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
		if _, err := c.until("login:", "sername:"); err != nil {
			return false, nil, err
		}
		if err := c.say("%s", cred.User); err != nil {
			return false, nil, err
		}
		if _, err := c.until("assword:"); err != nil {
			return false, nil, err
		}
		if err := c.say("%s", cred.Password); err != nil {
			return false, nil, err
		}
		said, err := c.until("ncorrect", "login:", "# ", "$ ", "> ")
		if err != nil || strings.Contains(said, "ncorrect") || strings.HasSuffix(said, "login:") {
			return false, nil, err
		}
		output, err := r.typeAll(c, l)
		return true, output, err
	})
}

func (r *run) typeAll(c *conn, l Login) ([]string, error) {
	var output []string
	for i, line := range l.Commands {
		if i > 0 {
			if err := r.pause(l.Delay, l.Jitter); err != nil {
				return output, err
			}
		}
		if err := c.say("%s", line); err != nil {
			return output, err
		}
		said, err := c.until("# ", "$ ", "> ")
		if err != nil {
			return output, err
		}
		_, said, _ = strings.Cut(said, "\n") // the echo
		if i := strings.LastIndexByte(said, '\n'); i >= 0 {
			said = said[:i+1]
		} else {
			said = ""
		}
		output = append(output, said)
	}
	if err := c.say("exit"); err != nil {
		return output, err
	}
	// Who hangs up at once may overtake his last line: the server is let go first.
	limited(c, maxOutput) //nolint:errcheck // however it ends, it ends
	return output, nil
}

// Bytes of Telnet's negotiation (RFC 854).
const (
	iac  = 255
	dont = 254
	do   = 253
	wont = 252
	will = 251
	sb   = 250
	se   = 240
)

// until reads up to one of the texts, refuses every option, and gives what was
// read, at most 64 KiB.
func (c *conn) until(ends ...string) (string, error) {
	var b strings.Builder
	for b.Len() < maxOutput {
		ch, err := c.buf.ReadByte()
		if err != nil {
			return b.String(), fmt.Errorf("wait for %q: %w", ends, err)
		}
		if ch == iac {
			if err := c.option(); err != nil {
				return b.String(), err
			}
			continue
		}
		b.WriteByte(ch)
		s := b.String()
		for _, e := range ends {
			if strings.HasSuffix(s, e) && (len(e) > 2 || c.buf.Buffered() == 0) {
				return s, nil
			}
		}
	}
	return b.String(), fmt.Errorf("wait for %q: %w", ends, wire.ErrMalformed)
}

// option answers one command of the negotiation.
func (c *conn) option() error {
	k, err := c.buf.ReadByte()
	if err != nil {
		return fmt.Errorf("read an option of telnet: %w", err)
	}
	switch k {
	case do, dont, will, wont:
		o, err := c.buf.ReadByte()
		if err != nil {
			return fmt.Errorf("read an option of telnet: %w", err)
		}
		if k == do {
			return c.send([]byte{iac, wont, o})
		}
		if k == will && o != 1 && o != 3 { // echo and go-ahead as the server likes
			return c.send([]byte{iac, dont, o})
		}
	case sb:
		for n, last := 0, byte(0); n < 1024; n++ {
			ch, err := c.buf.ReadByte()
			if err != nil || last == iac && ch == se {
				return err
			}
			last = ch
		}
		return fmt.Errorf("an option of telnet: %w", wire.ErrMalformed)
	}
	return nil
}
