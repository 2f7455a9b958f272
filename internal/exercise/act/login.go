package act

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Login is how to log in.
type Login struct {
	Credentials []Credential  // tried in this order
	Delay       time.Duration // between tries, and between commands
	Jitter      float64
	All         bool     // go on after one fitted, as spraying does
	Commands    []string // typed where there is a shell
	Share       string   // of SMB: opened after it
	Paths       []string // of FTP: files read after it
	Site        string   // of FTP: words after SITE, said before it
}

// Limits of a Login.
const (
	maxCredentials = 10_000
	maxCommands    = 200
	maxCommand     = 1024 // bytes
	maxOutput      = 64 << 10
	maxUnreachable = 3 // in a row
)

// LoggedIn is the outcome of a Login.
type LoggedIn struct {
	Outcome
	In     bool
	As     Credential // the last that fitted
	Fitted int
	Tries  int
	Output []string // what commands said, or files held; each at most 64 KiB
}

func (l Login) check() error {
	if len(l.Credentials) == 0 || len(l.Credentials) > maxCredentials {
		return fmt.Errorf("%d credentials, 1 to %d: %w", len(l.Credentials), maxCredentials, errWrong)
	}
	if len(l.Commands) > maxCommands || len(l.Paths) > maxCommands {
		return fmt.Errorf("%d commands and %d paths, at most %d: %w", len(l.Commands), len(l.Paths), maxCommands, errWrong)
	}
	for _, c := range l.Credentials {
		if err := errors.Join(plain("a user", c.User, 256), plain("a password", c.Password, 256)); err != nil {
			return err
		}
	}
	for _, list := range [][]string{l.Commands, l.Paths} {
		for _, c := range list {
			if err := plain("a command or path", c, maxCommand); err != nil {
				return err
			}
		}
	}
	return errors.Join(plain("a share", l.Share, 80), plain("words after SITE", l.Site, maxCommand))
}

// session is one login that is tried: it gives whether it fitted, and what was
// done with it.
type session func(r *run, c *conn, cred Credential) (in bool, output []string, err error)

// login tries the credentials, each over a connection of its own.
func (a *Actor) login(ctx context.Context, action string, t Target, l Login, try session) LoggedIn {
	var out LoggedIn
	r := a.begin(ctx, action, &out.Outcome)
	if err := l.check(); err != nil {
		r.end(err)
		return out
	}
	away := 0
	var last error
	for i, cred := range l.Credentials {
		if i > 0 && r.pause(l.Delay, l.Jitter) != nil {
			break
		}
		out.Tries++
		in, output, err := r.attempt(t, cred, try)
		last = err
		if errors.Is(err, errUnreachable) {
			if away++; away == maxUnreachable {
				break
			}
			continue
		}
		away = 0
		if in {
			out.In, out.As, out.Output = true, cred, append(out.Output, output...)
			if out.Fitted++; !l.All {
				break
			}
		}
	}
	switch {
	case out.In && last == nil:
		r.end(nil)
	case out.In || last != nil:
		r.end(last)
	default:
		r.end(fmt.Errorf("%d of %d credentials tried at %s: %w", out.Tries, len(l.Credentials), t.address(), errRefused))
	}
	return out
}

func (r *run) attempt(t Target, cred Credential, try session) (bool, []string, error) {
	c, err := r.dial("tcp", t)
	if err != nil {
		return false, nil, err
	}
	defer c.Close() //nolint:errcheck // may be closed already
	return try(r, c, cred)
}
