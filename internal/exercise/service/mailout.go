package service

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const mailTries = 3

// reader is a client that reads mail.
type reader struct {
	*visit
	user  string
	in    bool
	tries int
	box   []Message
}

// open judges a login and takes the mailbox as it is now.
func (m *reader) open(user, password string) bool {
	j := m.admit(user, password)
	program := m.kind.Name + "-login"
	line := fmt.Sprintf("%s: Disconnected (auth failed, 1 attempts): user=<%s>, method=PLAIN, rip=%s, lip=%s", program, user, m.src.Addr(), m.dst.Addr())
	if j.ok {
		line = fmt.Sprintf("%s: Login: user=<%s>, method=PLAIN, rip=%s, lip=%s", program, user, m.src.Addr(), m.dst.Addr())
		m.user, m.in, m.box = user, true, m.c.Host.mail.open(user)
	} else {
		m.tries++
	}
	m.logon(j, user, "", 8, "dovecot", line)
	return j.ok
}

// fetched tells that a message was read.
func (m *reader) fetched(n int) {
	m.query("mail read", m.user+" "+strconv.Itoa(n))
	m.syslog("dovecot", "%s(%s): retrieved message %d", m.kind.Name, m.user, n)
}

// servePOP speaks POP3 (RFC 1939).
func servePOP(v *visit) error {
	m := &reader{visit: v}
	if err := v.say("+OK %s", first(v.c.Banner, "Dovecot ready.")); err != nil {
		return err
	}
	for {
		l, err := v.line()
		if err != nil {
			return over(err)
		}
		verb, arg, _ := strings.Cut(l, " ")
		if done, err := m.pop(strings.ToUpper(verb), arg); done || err != nil {
			return err
		}
	}
}

// over makes the end of a connection no error.
func over(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (m *reader) pop(verb, arg string) (done bool, err error) {
	switch verb {
	case "CAPA":
		return false, m.say("+OK\r\nUSER\r\nTOP\r\nUIDL\r\n.")
	case "USER":
		m.user, m.in = clip(arg, 256), false
		return false, m.say("+OK")
	case "PASS":
		if m.open(m.user, arg) {
			return false, m.say("+OK Logged in.")
		}
		return m.tries >= mailTries, m.say("-ERR [AUTH] Authentication failed.")
	case "QUIT":
		return true, m.say("+OK Logging out.")
	}
	if !m.in {
		return false, m.say("-ERR Unknown command.")
	}
	return false, m.popRead(verb, arg)
}

func (m *reader) popRead(verb, arg string) error {
	total := 0
	for _, x := range m.box {
		total += len(x.String())
	}
	word, _, _ := strings.Cut(arg, " ")
	n, _ := strconv.Atoi(word) // 0 is no message
	switch verb {
	case "STAT":
		return m.say("+OK %d %d", len(m.box), total)
	case "LIST", "UIDL":
		var b strings.Builder
		for i, x := range m.box {
			fmt.Fprintf(&b, "%d %d\r\n", i+1, len(x.String()))
		}
		return m.say("+OK %d messages:\r\n%s.", len(m.box), b.String())
	case "RETR", "TOP":
		if n < 1 || n > len(m.box) {
			return m.say("-ERR There is no such message.")
		}
		m.fetched(n)
		return m.say("+OK\r\n%s\r\n.", dotted(m.box[n-1].String()))
	case "NOOP", "RSET":
		return m.say("+OK")
	case "DELE":
		return m.say("-ERR Permission denied.")
	}
	return m.say("-ERR Unknown command.")
}

// dotted doubles dots at the start of lines.
func dotted(text string) string {
	text = strings.ReplaceAll("\r\n"+strings.TrimSuffix(text, "\r\n"), "\r\n.", "\r\n..")
	return text[2:]
}

// serveIMAP speaks IMAP4rev1 (RFC 3501) as far as reading needs it.
func serveIMAP(v *visit) error {
	m := &reader{visit: v}
	if err := v.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] %s", first(v.c.Banner, "Dovecot ready.")); err != nil {
		return err
	}
	for {
		l, err := v.line()
		if err != nil {
			return over(err)
		}
		tag, rest, _ := strings.Cut(l, " ")
		verb, arg, _ := strings.Cut(rest, " ")
		if tag == "" || verb == "" {
			if err := v.say("* BAD Error in IMAP command received by server."); err != nil {
				return err
			}
			continue
		}
		if done, err := m.imap(clip(tag, 64), strings.ToUpper(verb), arg); done || err != nil {
			return err
		}
	}
}

func (m *reader) imap(tag, verb, arg string) (done bool, err error) {
	switch verb {
	case "CAPABILITY":
		return false, m.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n%s OK Completed.", tag)
	case "NOOP":
		return false, m.say("%s OK Completed.", tag)
	case "LOGOUT":
		return true, m.say("* BYE Logging out\r\n%s OK Logout completed.", tag)
	case "LOGIN":
		w := words(arg)
		if len(w) == 2 && m.open(w[0], w[1]) {
			return false, m.say("%s OK Logged in", tag)
		}
		return m.tries >= mailTries, m.say("%s NO [AUTHENTICATIONFAILED] Authentication failed.", tag)
	case "AUTHENTICATE":
		return m.plain(tag, arg)
	}
	if !m.in {
		return false, m.say("%s BAD Unknown command.", tag)
	}
	return false, m.imapRead(tag, verb, arg)
}

// plain is the login of SASL's PLAIN (RFC 4616).
func (m *reader) plain(tag, arg string) (done bool, err error) {
	if !strings.EqualFold(arg, "PLAIN") {
		return false, m.say("%s NO Unsupported authentication mechanism.", tag)
	}
	if err := m.say("+ "); err != nil {
		return true, err
	}
	l, err := m.line()
	if err != nil {
		return true, err
	}
	raw, err := base64.StdEncoding.DecodeString(l)
	w := strings.Split(string(raw), "\x00")
	if err == nil && len(w) == 3 && m.open(w[1], w[2]) {
		return false, m.say("%s OK Logged in", tag)
	}
	return m.tries >= mailTries, m.say("%s NO [AUTHENTICATIONFAILED] Authentication failed.", tag)
}

func (m *reader) imapRead(tag, verb, arg string) error {
	switch verb {
	case "LIST":
		return m.say("* LIST (\\HasNoChildren) \".\" \"INBOX\"\r\n%s OK List completed.", tag)
	case "SELECT", "EXAMINE":
		return m.say("* %d EXISTS\r\n* 0 RECENT\r\n%s OK [READ-ONLY] Select completed.", len(m.box), tag)
	case "SEARCH":
		var b strings.Builder
		for i := range m.box {
			fmt.Fprintf(&b, " %d", i+1)
		}
		return m.say("* SEARCH%s\r\n%s OK Search completed.", b.String(), tag)
	case "FETCH":
		return m.fetch(tag, arg)
	case "CLOSE", "UNSELECT":
		return m.say("%s OK Completed.", tag)
	}
	return m.say("%s NO Permission denied.", tag)
}

// fetch sends messages whole, whatever part of them is asked for.
func (m *reader) fetch(tag, arg string) error {
	set, _, _ := strings.Cut(arg, " ")
	lo, hi, two := strings.Cut(set, ":")
	from, _ := strconv.Atoi(lo) // 0 is no message
	to := from
	if two {
		to, _ = strconv.Atoi(hi) // 0 is no message
		if hi == "*" {
			to = len(m.box)
		}
	}
	for n := max(from, 1); n <= min(to, len(m.box)); n++ {
		text := m.box[n-1].String()
		m.fetched(n)
		if err := m.say("* %d FETCH (RFC822 {%d}\r\n%s)", n, len(text), text); err != nil {
			return err
		}
	}
	return m.say("%s OK Fetch completed.", tag)
}

// words splits the arguments of IMAP: atoms and quoted texts.
func words(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] != '"' {
			w, rest, _ := strings.Cut(s, " ")
			out, s = append(out, w), rest
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			b.WriteByte(s[i])
		}
		out, s = append(out, b.String()), s[min(i+1, len(s)):]
	}
	return out
}
