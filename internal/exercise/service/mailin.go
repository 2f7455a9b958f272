package service

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	maxMail = 256 << 10 // bytes of one mail
	maxRcpt = 100
)

// hashed reads to the end and gives hash and size.
func (v *visit) hashed(r io.Reader) (string, int64, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(r, ftpUpload))
	return hex.EncodeToString(sum.Sum(nil)), n, err
}

// envelope is one mail on its way in.
type envelope struct {
	from string
	to   []string
}

// serveSMTP takes mail (RFC 5321) into the host's mailboxes; nothing is
// forwarded.
func serveSMTP(v *visit) error {
	v.syslog("postfix/smtpd", "connect from unknown[%s]", v.src.Addr())
	if err := v.say("220 %s ESMTP %s", v.c.Host.fqdn(), first(v.c.Banner, "Postfix")); err != nil {
		return err
	}
	var env envelope
	for {
		l, err := v.line()
		if errors.Is(err, io.EOF) {
			v.syslog("postfix/smtpd", "disconnect from unknown[%s]", v.src.Addr())
			return nil
		}
		if err != nil {
			return err
		}
		verb, arg, _ := strings.Cut(l, " ")
		if done, err := v.mail(&env, strings.ToUpper(verb), arg); done || err != nil {
			return err
		}
	}
}

// mail answers one command; done ends the connection.
func (v *visit) mail(env *envelope, verb, arg string) (done bool, err error) {
	switch verb {
	case "HELO":
		return false, v.say("250 %s", v.c.Host.fqdn())
	case "EHLO":
		return false, v.say("250-%s\r\n250-PIPELINING\r\n250-SIZE %d\r\n250-8BITMIME\r\n250 SMTPUTF8", v.c.Host.fqdn(), maxMail)
	case "MAIL":
		*env = envelope{from: mailbox(arg, "FROM:")}
		return false, v.say("250 2.1.0 Ok")
	case "RCPT":
		return false, v.recipient(env, mailbox(arg, "TO:"))
	case "DATA":
		return false, v.data(env)
	case "RSET":
		*env = envelope{}
		return false, v.say("250 2.0.0 Ok")
	case "NOOP":
		return false, v.say("250 2.0.0 Ok")
	case "VRFY":
		return false, v.say("252 2.0.0 %s", clip(arg, 200))
	case "QUIT":
		return true, v.say("221 2.0.0 Bye")
	}
	return false, v.say("502 5.5.2 Error: command not recognized")
}

// mailbox is the address of MAIL FROM:<a@b> SIZE=1.
func mailbox(arg, prefix string) string {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return ""
	}
	a, _, _ := strings.Cut(strings.TrimSpace(arg[len(prefix):]), " ")
	return clip(strings.Trim(a, "<>"), 256)
}

func (v *visit) recipient(env *envelope, to string) error {
	user, domain, _ := strings.Cut(to, "@")
	switch {
	case user == "" || len(env.to) >= maxRcpt:
		return v.say("501 5.1.3 Bad recipient address syntax")
	case domain != "" && !strings.EqualFold(domain, v.c.Host.c.Domain) && !strings.EqualFold(domain, v.c.Host.fqdn()):
		v.syslog("postfix/smtpd", "NOQUEUE: reject: RCPT from unknown[%s]: 454 4.7.1 <%s>: Relay access denied; from=<%s> to=<%s> proto=ESMTP", v.src.Addr(), to, env.from, to)
		return v.say("454 4.7.1 <%s>: Relay access denied", to)
	}
	env.to = append(env.to, to)
	return v.say("250 2.1.5 Ok")
}

// data takes the mail's text.
func (v *visit) data(env *envelope) error {
	if len(env.to) == 0 {
		return v.say("503 5.5.1 Error: need RCPT command")
	}
	if err := v.say("354 End data with <CR><LF>.<CR><LF>"); err != nil {
		return err
	}
	var b strings.Builder
	for {
		l, err := v.line()
		if err != nil {
			return err
		}
		if l == "." {
			break
		}
		if b.Len()+len(l) > maxMail {
			return fmt.Errorf("a mail of more than %d bytes: %w", maxMail, errMalformed)
		}
		b.WriteString(strings.TrimPrefix(l, ".") + "\r\n")
	}
	queue := strings.ToUpper(v.c.Host.ids.New()[26:])
	for _, to := range env.to {
		user, _, _ := strings.Cut(to, "@")
		v.c.Host.mail.deliver(user, parseMessage(b.String(), env.from, v.c.Host.c.Clock.Now()))
		v.syslog("postfix/local", "%s: to=<%s>, relay=local, dsn=2.0.0, status=sent (delivered to mailbox)", queue, to)
	}
	v.syslog("postfix/qmgr", "%s: from=<%s>, size=%d, nrcpt=%d (queue active)", queue, env.from, b.Len(), len(env.to))
	*env = envelope{}
	return v.say("250 2.0.0 Ok: queued as %s", queue)
}
