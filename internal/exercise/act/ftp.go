package act

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// ftp is one control connection that is logged in.
type ftp struct {
	r *run
	c *conn
	t Target
}

// FTPLogin logs in, lists, and reads the files of the Login.
func (a *Actor) FTPLogin(ctx context.Context, t Target, l Login) LoggedIn {
	return a.login(ctx, "ftp.login", t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
		return r.ftp(c, t, ftpWords{cred, l.Site}, func(f *ftp) ([]string, error) {
			var out []string
			for _, p := range l.Paths {
				text, err := f.retrieve(p)
				if err != nil {
					return out, err
				}
				out = append(out, text)
			}
			return out, nil
		})
	})
}

// code reads an answer (RFC 959), of several lines the last.
func (c *conn) code() (int, string, error) {
	for range 100 {
		l, err := c.line()
		if err != nil {
			return 0, "", err
		}
		if len(l) < 4 || l[3] == '-' {
			continue
		}
		if n, err := strconv.Atoi(l[:3]); err == nil {
			return n, l[4:], nil
		}
	}
	return 0, "", fmt.Errorf("an answer without a code: %w", wire.ErrMalformed)
}

// ask sends a command and wants a code of a hundred.
func (c *conn) ask(hundred int, format string, args ...any) (string, error) {
	if err := c.say(format, args...); err != nil {
		return "", err
	}
	code, text, err := c.code()
	if err == nil && code/100 != hundred {
		err = fmt.Errorf("%d %s: %w", code, text, errRefused)
	}
	return text, err
}

// ftpWords are what is said up to the login. Site stands before it: the flaws
// that it reminds of asked for no password.
type ftpWords struct {
	Credential
	site string
}

func (r *run) ftp(c *conn, t Target, cred ftpWords, then func(*ftp) ([]string, error)) (bool, []string, error) {
	if _, _, err := c.code(); err != nil {
		return false, nil, err
	}
	if cred.site != "" {
		if err := c.say("SITE %s", cred.site); err != nil {
			return false, nil, err
		}
		if _, _, err := c.code(); err != nil { // whatever it says
			return false, nil, err
		}
	}
	if _, err := c.ask(3, "USER %s", cred.User); err != nil {
		return false, nil, err
	}
	if _, err := c.ask(2, "PASS %s", cred.Password); err != nil {
		return false, nil, nil //nolint:nilerr // the password does not fit
	}
	f := &ftp{r, c, t}
	if _, err := f.data("LIST", nil); err != nil {
		return true, nil, err
	}
	out, err := then(f)
	if err != nil {
		return true, out, err
	}
	_, err = c.ask(2, "QUIT")
	return true, out, err
}

// data makes one transfer over a passive connection to the same host.
func (f *ftp) data(command string, upload []byte) (string, error) {
	text, err := f.c.ask(2, "PASV")
	if err != nil {
		return "", err
	}
	port, err := passivePort(text)
	if err != nil {
		return "", err
	}
	var got string
	err = f.r.once("tcp", Target{f.t.Host, port}, func(d *conn) error {
		if _, err := f.c.ask(1, "%s", command); err != nil {
			return err
		}
		if upload != nil {
			err := d.send(upload)
			d.Close() //nolint:errcheck // tells the end of the file
			return err
		}
		var err error
		got, err = limited(d, maxOutput)
		return err
	})
	if err != nil {
		return "", err
	}
	code, said, err := f.c.code()
	if err == nil && code/100 != 2 {
		err = fmt.Errorf("%d %s: %w", code, said, errRefused)
	}
	return got, err
}

func passivePort(text string) (uint16, error) {
	_, in, _ := strings.Cut(text, "(")
	in, _, _ = strings.Cut(in, ")")
	p := strings.Split(in, ",")
	if len(p) != 6 {
		return 0, fmt.Errorf("a passive port: %w", wire.ErrMalformed)
	}
	hi, err1 := strconv.ParseUint(p[4], 10, 8)
	lo, err2 := strconv.ParseUint(p[5], 10, 8)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("a passive port: %w", wire.ErrMalformed)
	}
	return uint16(hi<<8 | lo), nil
}

func (f *ftp) retrieve(path string) (string, error) { return f.data("RETR "+path, nil) }

func (f *ftp) store(path string, data []byte) error {
	_, err := f.data("STOR "+path, data)
	return err
}
