package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/wneessen/go-mail"
)

// Mail sends by SMTP, over TLS unless Plain is set.
type Mail struct {
	Host           string
	Port           int // 0: 587 with STARTTLS, 465 with Implicit, 25 with Plain
	Implicit       bool
	Plain          bool // no TLS: for a server on the same machine
	TLS            *tls.Config
	User, Password string
	From           string
	To             []string
	Hello          string // our name to the server
}

// Send delivers m to the server.
func (s *Mail) Send(ctx context.Context, m *Message) error {
	msg := mail.NewMsg()
	if err := msg.From(s.From); err != nil {
		return fmt.Errorf("the sender: %w", err)
	}
	if err := msg.To(s.To...); err != nil {
		return fmt.Errorf("the recipients: %w", err)
	}
	msg.Subject("[" + m.Level + "] " + m.Title)
	msg.SetDateWithValue(m.Time)
	msg.SetMessageIDWithValue(m.ID + "@lapwing")
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, m.plain()+"\n")
	opts := []mail.Option{mail.WithTimeout(sendTime)}
	switch {
	case s.Plain:
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	case s.Implicit:
		opts = append(opts, mail.WithSSL())
	default:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.TLS != nil {
		opts = append(opts, mail.WithTLSConfig(s.TLS))
	}
	if s.Port != 0 {
		opts = append(opts, mail.WithPort(s.Port))
	} else if s.Implicit {
		opts = append(opts, mail.WithPort(465))
	} else if !s.Plain {
		opts = append(opts, mail.WithPort(587))
	}
	if s.Hello != "" {
		opts = append(opts, mail.WithHELO(s.Hello))
	}
	if s.User != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(s.Password))
	}
	c, err := mail.NewClient(s.Host, opts...)
	if err != nil {
		return fmt.Errorf("mail by %s: %w", s.Host, err)
	}
	if err := c.DialAndSendWithContext(ctx, msg); err != nil {
		if se, ok := errors.AsType[*mail.SendError](err); ok && !se.IsTemp() && se.ErrorCode() >= 550 && se.ErrorCode() != 554 {
			return fmt.Errorf("mail by %s: %w; %w", s.Host, err, ErrNever)
		}
		return fmt.Errorf("mail by %s: %w", s.Host, err)
	}
	return nil
}
