package act

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// Mail is one mail.
type Mail struct {
	From    string
	To      []string
	Subject string
	Body    string // at most 16 KiB
	Repeat
}

func (m Mail) check() error {
	if len(m.To) == 0 || len(m.To) > 100 || len(m.Body) > 16<<10 {
		return fmt.Errorf("a mail to %d with %d bytes: 1 to 100 and at most 16 KiB: %w", len(m.To), len(m.Body), errWrong)
	}
	err := errors.Join(plain("a sender", m.From, 256), plain("a subject", m.Subject, 500))
	for _, to := range m.To {
		err = errors.Join(err, plain("a recipient", to, 256))
	}
	return err
}

// Read is the outcome of reading something.
type Read struct {
	Outcome
	Texts  []string
	Values []uint16
}

// SMTPMail hands a mail to a server.
func (a *Actor) SMTPMail(ctx context.Context, t Target, m Mail) Outcome {
	var out Outcome
	r := a.begin(ctx, "smtp.mail", &out)
	if err := m.check(); err != nil {
		r.end(err)
		return out
	}
	r.end(r.repeat(m.Repeat, func(int) error { return r.once("tcp", t, func(c *conn) error { return r.smtp(c, m) }) }))
	return out
}

func (r *run) smtp(c *conn, m Mail) error {
	if _, _, err := c.code(); err != nil {
		return err
	}
	name := r.c.Host
	if name == "" {
		name = "client"
	}
	if _, err := c.ask(2, "EHLO %s", name); err != nil {
		return err
	}
	if _, err := c.ask(2, "MAIL FROM:<%s>", m.From); err != nil {
		return err
	}
	for _, to := range m.To {
		if _, err := c.ask(2, "RCPT TO:<%s>", to); err != nil {
			return err
		}
	}
	if _, err := c.ask(3, "DATA"); err != nil {
		return err
	}
	head := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\n\r\n", m.From, strings.Join(m.To, ">, <"), m.Subject, r.c.Clock.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	body := strings.ReplaceAll(strings.ReplaceAll(m.Body, "\r\n", "\n"), "\n", "\r\n")
	text := strings.ReplaceAll("\r\n"+head+body, "\r\n.", "\r\n..")[2:]
	if _, err := c.ask(2, "%s\r\n.", text); err != nil {
		return err
	}
	_, err := c.ask(2, "QUIT")
	return err
}

// IMAPLogin opens a mailbox; with count it reads so many messages.
func (a *Actor) IMAPLogin(ctx context.Context, t Target, l Login, count int) LoggedIn {
	action := "imap.login"
	if count > 0 {
		action = "mail.read"
	}
	return a.login(ctx, action, t, l, func(_ *run, c *conn, cred Credential) (bool, []string, error) {
		if _, err := c.line(); err != nil {
			return false, nil, err
		}
		ok, _, err := c.imap("a1", "LOGIN "+quoted(cred.User)+" "+quoted(cred.Password))
		if err != nil || !ok {
			return false, nil, err
		}
		var out []string
		if count > 0 {
			if out, err = c.mails(count); err != nil {
				return true, out, err
			}
		}
		_, _, err = c.imap("a9", "LOGOUT")
		return true, out, err
	})
}

func quoted(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// mails reads the newest.
func (c *conn) mails(count int) ([]string, error) {
	ok, said, err := c.imap("a2", "SELECT INBOX")
	if err != nil || !ok {
		return nil, err
	}
	n := 0
	for _, l := range said {
		if rest, ok := strings.CutSuffix(l, " EXISTS"); ok {
			n, _ = strconv.Atoi(strings.TrimPrefix(rest, "* "))
		}
	}
	var out []string
	for i := max(1, n-count+1); i <= n; i++ {
		_, said, err := c.imap("b"+strconv.Itoa(i), fmt.Sprintf("FETCH %d RFC822", i))
		if err != nil {
			return out, err
		}
		out = append(out, strings.Join(said, "\r\n"))
	}
	return out, nil
}

// imap sends a command and reads up to its result.
func (c *conn) imap(tag, command string) (ok bool, said []string, err error) {
	if err := c.say("%s %s", tag, command); err != nil {
		return false, nil, err
	}
	for size := 0; size < maxOutput; {
		l, err := c.line()
		if err != nil {
			return false, said, err
		}
		if rest, done := strings.CutPrefix(l, tag+" "); done {
			return strings.HasPrefix(rest, "OK"), said, nil
		}
		size += len(l) + 1
		said = append(said, l)
	}
	return false, said, fmt.Errorf("an answer of IMAP: %w", wire.ErrMalformed)
}

// POPLogin opens a mailbox by POP3 (RFC 1939); with count it reads so many of the
// newest messages.
func (a *Actor) POPLogin(ctx context.Context, t Target, l Login, count int) LoggedIn {
	action := "pop3.login"
	if count > 0 {
		action = "mail.read"
	}
	return a.login(ctx, action, t, l, func(_ *run, c *conn, cred Credential) (bool, []string, error) {
		if _, err := c.line(); err != nil {
			return false, nil, err
		}
		for _, word := range []string{"USER " + cred.User, "PASS " + cred.Password} {
			if ok, _, err := c.pop(word); err != nil || !ok {
				return false, nil, err
			}
		}
		var out []string
		_, said, err := c.pop("STAT")
		if err != nil {
			return true, nil, err
		}
		word, _, _ := strings.Cut(said, " ")
		n, _ := strconv.Atoi(word) // none is nothing to read
		for i := max(1, n-count+1); i <= n && count > 0; i++ {
			text, err := c.popText("RETR " + strconv.Itoa(i))
			if err != nil {
				return true, out, err
			}
			out = append(out, text)
		}
		_, _, err = c.pop("QUIT")
		return true, out, err
	})
}

// pop sends a command and reads its line of status.
func (c *conn) pop(command string) (ok bool, said string, err error) {
	if err := c.say("%s", command); err != nil {
		return false, "", err
	}
	l, err := c.line()
	if err != nil {
		return false, "", err
	}
	said, ok = strings.CutPrefix(l, "+OK")
	return ok, strings.TrimSpace(said), nil
}

// popText sends a command that has a text as its answer.
func (c *conn) popText(command string) (string, error) {
	ok, said, err := c.pop(command)
	if err == nil && !ok {
		err = fmt.Errorf("%s: %q: %w", command, said, errRefused)
	}
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for b.Len() < maxOutput {
		l, err := c.line()
		if err != nil || l == "." {
			return b.String(), err
		}
		b.WriteString(strings.TrimPrefix(l, ".") + "\r\n")
	}
	return b.String(), fmt.Errorf("an answer of POP3: %w", wire.ErrMalformed)
}
