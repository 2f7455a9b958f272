package login

import "bytes"

// dovecot reads the line that a login process writes at its end:
// "imap-login: Disconnected (auth failed, 1 attempts): user=<NAME>, method=PLAIN, rip=ADDR, lip=...".
// All behind the name is its own.
func (m *Message) dovecot(msg []byte) bool {
	msg = bytes.TrimPrefix(msg, []byte("Info: "))
	i := bytes.Index(msg, []byte("-login: "))
	if i < 0 || i > 24 {
		if bytes.HasPrefix(msg, []byte("Login: ")) || bytes.Contains(msg[:min(len(msg), 40)], []byte("ogin")) || bytes.HasPrefix(msg, []byte("Disconnected")) {
			i = -len("-login: ")
		} else {
			return false
		}
	}
	rest := bytes.TrimPrefix(msg[i+len("-login: "):], []byte("Info: "))
	what, tail, ok := bytes.Cut(rest, []byte(": user=<"))
	if !ok {
		return false
	}
	switch {
	case bytes.HasPrefix(what, []byte("Login")):
		m.Action = Logon
	case bytes.Contains(what, []byte("auth failed")):
		m.Action = LogonFailed
		if _, n, ok := bytes.Cut(what, []byte("auth failed, ")); ok {
			num, _ := word(n)
			m.Count = max(1, number(num))
		}
	case bytes.Contains(what, []byte("no auth attempts")), bytes.Contains(what, []byte("tried to use disallowed")), bytes.HasPrefix(what, []byte("Aborted login")):
		m.Action = LogonAbandoned
	default:
		return false
	}
	at := bytes.LastIndex(tail, []byte(", rip="))
	if at < 0 {
		m.Action = None
		return false
	}
	addr, _, _ := bytes.Cut(tail[at+len(", rip="):], []byte(","))
	name := bytes.TrimSuffix(tail[:at], []byte(">"))
	if j := bytes.LastIndex(name, []byte(">, method=")); j >= 0 {
		m.Method = name[j+len(">, method="):]
		name = name[:j]
	}
	m.User = name
	m.from(addr)
	return true
}

// postfix reads what smtpd says of SASL. Its own words come first: a host name
// that it has checked, then the address in brackets.
func (m *Message) postfix(msg []byte) bool {
	if rest, ok := bytes.CutPrefix(msg, []byte("warning: ")); ok {
		after, ok := m.client(rest)
		if !ok {
			return false
		}
		after, ok = bytes.CutPrefix(after, []byte(": SASL "))
		if !ok {
			return false
		}
		m.Method, after = word(after)
		if !bytes.HasPrefix(after, []byte("authentication failed")) {
			return false
		}
		if i := sole(after, ", sasl_username="); i >= 0 {
			m.User = after[i+len(", sasl_username="):]
		}
		m.Action = LogonFailed
		return true
	}
	for _, p := range [...]string{"lost connection after AUTH from ", "too many errors after AUTH from ", "timeout after AUTH from "} {
		if rest, ok := bytes.CutPrefix(msg, []byte(p)); ok {
			m.Action = LogonAbandoned
			_, ok := m.client(rest)
			return ok
		}
	}
	id, rest, ok := bytes.Cut(msg, []byte(": client="))
	if !ok || bytes.IndexByte(id, ' ') >= 0 {
		return false
	}
	after, ok := m.client(rest)
	if !ok {
		return false
	}
	method, ok := bytes.CutPrefix(after, []byte(", sasl_method="))
	if !ok {
		return false
	}
	m.Action = Logon
	var user []byte
	m.Method, user, _ = bytes.Cut(method, []byte(", "))
	if user, ok = bytes.CutPrefix(user, []byte("sasl_username=")); ok {
		m.User, _, _ = bytes.Cut(user, []byte(", sasl_sender="))
	}
	return true
}

// client reads "host[ADDR]" or "host[ADDR]:PORT" and gives what follows.
func (m *Message) client(b []byte) (after []byte, ok bool) {
	open := bytes.IndexByte(b, '[')
	if open < 0 || bytes.IndexByte(b[:open], ' ') >= 0 {
		return nil, false
	}
	shut := bytes.IndexByte(b[open:], ']')
	if shut < 0 {
		return nil, false
	}
	m.from(b[open+1 : open+shut])
	after = b[open+shut+1:]
	if len(after) > 1 && after[0] == ':' && after[1] >= '0' && after[1] <= '9' {
		end := 1
		for end < len(after) && after[end] >= '0' && after[end] <= '9' {
			end++
		}
		m.Port, after = after[1:end], after[end:]
	}
	return after, true
}

// exim reads "plain_login authenticator failed for host (helo) [ADDR]:PORT: 535
// Incorrect authentication data (set_id=NAME)". A greeting holds no spaces.
func (m *Message) exim(msg []byte) bool {
	_, rest, ok := bytes.Cut(msg, []byte(" authenticator failed for "))
	if !ok {
		return false
	}
	m.Action = LogonFailed
	for len(rest) > 0 {
		var w []byte
		w, rest = word(rest)
		if len(w) == 0 || w[0] != '[' {
			continue
		}
		shut := bytes.IndexByte(w, ']')
		if shut < 0 {
			return true
		}
		m.from(w[1:shut])
		if port, ok := bytes.CutPrefix(bytes.TrimSuffix(w[shut+1:], []byte(":")), []byte(":")); ok && number(port) >= 0 {
			m.Port = port
		}
		break
	}
	if i := bytes.Index(rest, []byte("(set_id=")); i >= 0 {
		m.User = bytes.TrimSuffix(rest[i+len("(set_id="):], []byte(")"))
	}
	return true
}
