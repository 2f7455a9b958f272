package login

import "bytes"

// pam reads "pam_unix(sshd:auth): text".
func (m *Message) pam(msg []byte) bool {
	open := bytes.IndexByte(msg[:min(len(msg), 64)], '(')
	if open < 0 {
		return false
	}
	shut := bytes.IndexByte(msg[open:min(len(msg), open+96)], ')')
	if shut < 0 {
		return false
	}
	module, inside := msg[:open], msg[open+1:open+shut]
	rest, ok := bytes.CutPrefix(msg[open+shut+1:], []byte(": "))
	if !ok {
		return false
	}
	service, kind, _ := bytes.Cut(inside, []byte(":"))
	m.Service = serviceName(service)
	switch string(kind) {
	case "session":
		return m.pamSession(rest)
	case "auth":
		return m.pamAuth(module, rest)
	case "account":
		if !bytes.HasSuffix(rest, []byte("expired)")) && !bytes.Contains(rest, []byte("has expired")) {
			return false
		}
		m.Action, m.Reason = LogonRejected, Disabled
		if name, ok := bytes.CutPrefix(rest, []byte("account ")); ok {
			m.User, _ = word(name)
		}
		return true
	case "chauthtok":
		name, ok := bytes.CutPrefix(rest, []byte("password changed for "))
		m.Action, m.User = Password, name
		return ok
	}
	return false
}

// serviceName is the name of a PAM service; text that is not known is not kept.
func serviceName(b []byte) string {
	for _, s := range [...]string{
		"sshd", "cron", "sudo", "su", "su-l", "sudo-i", "login", "systemd-user", "vsftpd", "ftp", "dovecot", "gdm-password", "lightdm", "sddm", "cockpit",
		"xrdp-sesman", "proftpd", "samba", "smtp", "imap", "pop3", "polkit-1", "passwd", "chpasswd", "crond", "runuser", "remote", "openvpn", "pure-ftpd",
	} {
		if string(b) == s {
			switch s {
			case "su-l", "runuser":
				return "su"
			case "sudo-i":
				return "sudo"
			case "crond":
				return "cron"
			}
			return s
		}
	}
	return "pam"
}

// pamSession reads "session opened for user NAME(uid=0) by WHO(uid=1000)".
func (m *Message) pamSession(b []byte) bool {
	if name, ok := bytes.CutPrefix(b, []byte("session closed for user ")); ok {
		m.Action, m.User = SessionClosed, name
		return true
	}
	rest, ok := bytes.CutPrefix(b, []byte("session opened for user "))
	if !ok {
		return false
	}
	m.Action = SessionOpened
	name := rest
	if i := bytes.LastIndex(rest, []byte(" by ")); i >= 0 {
		name = rest[:i]
		by := uidless(rest[i+4:])
		if m.Service == "su" || m.Service == "sudo" {
			m.Target, m.User = uidless(name), by
			return true
		}
	}
	m.User = uidless(name)
	return true
}

// uidless takes "(uid=0)" off.
func uidless(b []byte) []byte {
	if i := bytes.LastIndex(b, []byte("(uid=")); i >= 0 && bytes.HasSuffix(b, []byte(")")) {
		return b[:i]
	}
	return b
}

// told tells whether the program itself says when PAM refuses, so that the
// module's line would count twice.
func told(service string) bool {
	switch service {
	case "sshd", "sudo", "su", "dovecot", "proftpd", "pam":
		return true
	}
	return false
}

func (m *Message) pamAuth(module, b []byte) bool {
	switch {
	case bytes.HasPrefix(b, []byte("authentication failure; ")):
		m.Action = LogonFailed
		m.failure(b[len("authentication failure; "):])
	case bytes.HasPrefix(b, []byte("authentication success; ")):
		m.Action = AuthFailed
		m.failure(b[len("authentication success; "):])
		m.Action = None // the program tells it
		return false
	case string(module) == "pam_faillock", string(module) == "pam_tally2":
		return m.tally(b)
	case string(module) == "pam_google_authenticator" || bytes.HasPrefix(b, []byte("Invalid verification code")):
		if !bytes.HasPrefix(b, []byte("Invalid verification code")) {
			return false
		}
		m.Action, m.Reason = AuthFailed, WrongSecond
		if name, ok := bytes.CutPrefix(b, []byte("Invalid verification code for ")); ok {
			m.User = name
		}
	default:
		return false
	}
	if told(m.Service) {
		m.Action = AuthFailed
	}
	return true
}

// tally reads how accounts are locked after too many failures.
func (m *Message) tally(b []byte) bool {
	if rest, ok := bytes.CutPrefix(b, []byte("Consecutive login failures for user ")); ok {
		m.Action, m.Reason = Locked, TooMany
		m.User, _ = word(rest)
		return true
	}
	rest, ok := bytes.CutPrefix(b, []byte("user "))
	if !ok || !bytes.Contains(rest, []byte("tally")) {
		return false
	}
	m.Action, m.Reason = Locked, TooMany
	m.User, _ = word(rest)
	return true
}

// pamMore reads "PAM 2 more authentication failures; ...": a module's summary of
// what a program told one by one.
func (m *Message) pamMore(program, msg []byte) bool {
	num, rest := word(msg[4:])
	n := number(num)
	if n < 1 {
		return false
	}
	_, rest, ok := bytes.Cut(rest, []byte("; "))
	if !ok {
		return false
	}
	m.Service = serviceName(program)
	m.Action, m.Count = LogonFailed, n
	if told(m.Service) {
		m.Action = AuthFailed
	}
	m.failure(rest)
	return true
}

// failure reads "logname= uid=0 euid=0 tty=ssh ruser= rhost=ADDR  user=NAME". The
// name of the user ends the line; that of the remote user, where there is one,
// was chosen by the visitor too and stands before the address.
func (m *Message) failure(b []byte) {
	_, rest, ok := bytes.Cut(b, []byte("ruser="))
	if !ok {
		return
	}
	i := bytes.Index(rest, []byte(" rhost="))
	if i < 0 && !bytes.HasPrefix(rest, []byte("rhost=")) {
		return
	}
	remote, after := rest[:max(i, 0)], rest[max(i, 0):]
	after = bytes.TrimLeft(after, " ")[len("rhost="):]
	if bytes.Contains(after, []byte(" rhost=")) && (len(remote) > 0 || m.Service != "sshd") { // sshd names no remote user
		return // either may have been written by the visitor
	}
	addr, tail := word(after)
	if name, ok := bytes.CutPrefix(bytes.TrimLeft(tail, " "), []byte("user=")); ok {
		m.User = name
	}
	m.from(addr)
}
