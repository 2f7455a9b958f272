package login

import "bytes"

// sshd reads what OpenSSH's server says. It writes the user's name raw, in front
// of the address; what follows the address is its own, but for the name in a
// certificate.
func (m *Message) sshd(msg []byte) bool {
	if len(msg) < 12 {
		return false
	}
	msg = bytes.TrimSuffix(msg, []byte(" [preauth]"))
	switch msg[0] {
	case 'F':
		if rest, ok := bytes.CutPrefix(msg, []byte("Failed ")); ok {
			return m.attempt(LogonFailed, rest)
		}
	case 'A':
		if rest, ok := bytes.CutPrefix(msg, []byte("Accepted ")); ok {
			return m.attempt(Logon, rest)
		}
	case 'I':
		for _, p := range [...]string{"Invalid user ", "Illegal user "} {
			if rest, ok := bytes.CutPrefix(msg, []byte(p)); ok {
				m.Action, m.Reason, m.Unknown = LogonRejected, NoSuchUser, true
				m.named(rest)
				return true
			}
		}
	case 'U':
		return m.notAllowed(msg)
	case 'C', 'D':
		return m.ended(msg)
	case 'R':
		if rest, ok := bytes.CutPrefix(msg, []byte("ROOT LOGIN REFUSED FROM ")); ok {
			m.Action, m.User, m.Reason = LogonRejected, []byte("root"), NotAllowed
			m.start(rest)
			return true
		}
		if rest, ok := bytes.CutPrefix(msg, []byte("Received disconnect from ")); ok {
			m.Action = Gone
			m.start(rest)
			return true
		}
	case 'e':
		if rest, ok := bytes.CutPrefix(msg, []byte("error: ")); ok {
			return m.sshdError(rest)
		}
	case 'f':
		if rest, ok := bytes.CutPrefix(msg, []byte("fatal: Access denied for user ")); ok {
			m.Action, m.Reason = LogonRejected, Disabled
			m.User = bytes.TrimSuffix(rest, []byte(" by PAM account configuration"))
			return true
		}
	case 'm':
		return m.sshdError(msg)
	}
	return false
}

func (m *Message) sshdError(msg []byte) bool {
	if rest, ok := bytes.CutPrefix(msg, []byte("maximum authentication attempts exceeded for ")); ok {
		m.Action, m.Reason = LogonAbandoned, TooMany
		m.credentials(rest)
		return true
	}
	if rest, ok := bytes.CutPrefix(msg, []byte("Received disconnect from ")); ok {
		m.Action = Gone
		m.start(rest)
		return true
	}
	if rest, ok := bytes.CutPrefix(msg, []byte("PAM: ")); ok {
		if _, after, ok := bytes.Cut(rest, []byte(" for ")); ok { // before it are PAM's own words
			m.Action = AuthFailed
			m.named(m.valid(after))
			return true
		}
	}
	return false
}

// attempt reads "METHOD for [invalid user ]NAME from ADDR port N ssh2[: KEY]".
func (m *Message) attempt(a Action, b []byte) bool {
	method, rest := word(b)
	rest, ok := bytes.CutPrefix(rest, []byte("for "))
	if !ok {
		return false
	}
	m.Action, m.Method = a, method
	m.credentials(rest)
	if a == LogonFailed && m.Unknown {
		m.Reason = NoSuchUser
	}
	return true
}

// valid takes off what sshd says before the name of a user that there is not.
func (m *Message) valid(b []byte) []byte {
	for _, p := range [...]string{"invalid user ", "illegal user "} {
		if rest, ok := bytes.CutPrefix(b, []byte(p)); ok {
			m.Unknown = true
			return rest
		}
	}
	return b
}

// credentials reads "[invalid user ]NAME from ADDR port N ssh2[: KEY]".
func (m *Message) credentials(b []byte) {
	b = m.valid(b)
	if head, ok := cutSSH2(b); ok && m.place(head) {
		return
	}
	if head, ok := cutKey(b); ok && m.place(head) {
		return
	}
	// A certificate, whose name its owner chose, or what a Kerberos realm says:
	// only where there is one way to read it.
	var found []byte
	seen := 0
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(" ssh2: "))
		if i < 0 {
			break
		}
		head := b[:at+i]
		if rest, _, _, ok := addrPort(head); ok && bytes.HasSuffix(rest, []byte(" from")) {
			found = head
			seen++
		}
		at += i + 1
	}
	if seen == 1 {
		m.place(found)
	}
}

// cutSSH2 takes " ssh2" off the end.
func cutSSH2(b []byte) ([]byte, bool) {
	if head, ok := bytes.CutSuffix(b, []byte(" ssh2")); ok {
		return head, true
	}
	return bytes.CutSuffix(b, []byte(" ssh1"))
}

// cutKey takes " ssh2: TYPE SHA256:..." off the end. A certificate ends in
// "CA TYPE SHA256:...", so it is none of these.
func cutKey(b []byte) ([]byte, bool) {
	rest, sum := last(b)
	if !bytes.HasPrefix(sum, []byte("SHA256:")) && !bytes.HasPrefix(sum, []byte("MD5:")) {
		return nil, false
	}
	rest, _ = last(rest)
	return bytes.CutSuffix(rest, []byte(" ssh2:"))
}

// place reads "NAME from ADDR port N".
func (m *Message) place(b []byte) bool {
	rest, addr, port, ok := addrPort(b)
	if !ok {
		return false
	}
	name, ok := bytes.CutSuffix(rest, []byte(" from"))
	if !ok {
		return false
	}
	m.User, m.Port = name, port
	m.from(addr)
	return true
}

// named reads "NAME from ADDR[ port N]".
func (m *Message) named(b []byte) {
	if m.place(b) {
		return
	}
	rest, addr := last(b)
	if name, ok := bytes.CutSuffix(rest, []byte(" from")); ok {
		m.User = name
		m.from(addr)
		return
	}
	m.User = b
}

// start reads an address at the beginning: "ADDR port N:11: text", "ADDR: 11: text".
func (m *Message) start(b []byte) {
	addr, rest := word(b)
	m.from(bytes.TrimSuffix(addr, []byte(":")))
	if rest, ok := bytes.CutPrefix(rest, []byte("port ")); ok {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		m.Port = rest[:end]
	}
}

// notAllowed reads "User NAME from HOST not allowed because ...". There is such a
// user: the name is not the visitor's invention.
func (m *Message) notAllowed(msg []byte) bool {
	rest, ok := bytes.CutPrefix(msg, []byte("User "))
	if !ok {
		return false
	}
	i := bytes.Index(rest, []byte(" not allowed because "))
	if i < 0 {
		return false
	}
	m.Action, m.Reason = LogonRejected, NotAllowed
	if bytes.Contains(rest[i:], []byte("account is locked")) || bytes.Contains(rest[i:], []byte("shell ")) {
		m.Reason = Disabled
	}
	m.named(rest[:i])
	return true
}

// ended reads how connections ended: by whom, and whether somebody was about to
// log in.
func (m *Message) ended(msg []byte) bool {
	var rest []byte
	for _, p := range [...]string{"Connection closed by ", "Connection reset by ", "Disconnected from ", "Disconnecting "} {
		if r, ok := bytes.CutPrefix(msg, []byte(p)); ok {
			rest = r
			break
		}
	}
	if rest == nil {
		return false
	}
	m.Action = Gone
	switch {
	case bytes.HasPrefix(rest, []byte("authenticating user ")):
		m.Action, rest = LogonAbandoned, rest[len("authenticating user "):]
	case bytes.HasPrefix(rest, []byte("invalid user ")):
		m.Action, m.Unknown, rest = LogonAbandoned, true, rest[len("invalid user "):]
	case bytes.HasPrefix(rest, []byte("user ")):
		m.Action, rest = Logoff, rest[len("user "):]
	default:
		m.start(rest)
		return true
	}
	if msg[len("Disconnect")] == 'i' { // "Disconnecting": a reason follows the port
		var ok bool
		if rest, ok = m.untilReason(rest); !ok {
			return true
		}
	}
	if name, addr, port, ok := addrPort(rest); ok {
		m.User, m.Port = name, port
		m.from(addr)
	}
	return true
}

// untilReason takes ": reason" off "NAME ADDR port N: reason". Some reasons hold
// names that the visitor chose.
func (m *Message) untilReason(b []byte) ([]byte, bool) {
	if head, ok := bytes.CutSuffix(b, []byte(": Too many authentication failures")); ok {
		m.Reason = TooMany
		return head, true
	}
	var found []byte
	seen := 0
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(": "))
		if i < 0 {
			break
		}
		if _, _, _, ok := addrPort(b[:at+i]); ok {
			found = b[:at+i]
			seen++
		}
		at += i + 1
	}
	return found, seen == 1
}

// dropbear reads what Dropbear says: the name stands in quotes in front of the
// address, which ends the line.
func (m *Message) dropbear(msg []byte) bool {
	rest, from := []byte(nil), []byte(nil)
	if i := bytes.LastIndex(msg, []byte(" from ")); i >= 0 {
		rest, from = msg[:i], msg[i+6:]
	}
	switch {
	case bytes.HasPrefix(rest, []byte("Bad password attempt for '")), bytes.HasPrefix(rest, []byte("Bad PAM password attempt for '")):
		m.Action = LogonFailed
	case bytes.HasPrefix(rest, []byte("Password auth succeeded for '")), bytes.HasPrefix(rest, []byte("PAM password auth succeeded for '")):
		m.Action = Logon
	case bytes.HasPrefix(rest, []byte("Login attempt for nonexistent user")):
		m.Action, m.Reason, m.Unknown = LogonFailed, NoSuchUser, true
	default:
		return m.dropbearKey(msg)
	}
	if i := bytes.IndexByte(rest, '\''); i >= 0 {
		m.User = bytes.TrimSuffix(rest[i+1:], []byte("'"))
	}
	m.hostPort(from)
	return true
}

// dropbearKey reads "Pubkey auth succeeded for 'NAME' with KEY from ADDR:PORT".
func (m *Message) dropbearKey(msg []byte) bool {
	rest, ok := bytes.CutPrefix(msg, []byte("Pubkey auth succeeded for '"))
	if !ok {
		return false
	}
	m.Action, m.Method = Logon, []byte("publickey")
	if name, _, ok := bytes.Cut(rest, []byte("' with ")); ok {
		m.User = name
	}
	if i := bytes.LastIndex(rest, []byte(" from ")); i >= 0 {
		m.hostPort(rest[i+6:])
	}
	return true
}

// hostPort reads "ADDR:PORT".
func (m *Message) hostPort(b []byte) {
	if i := bytes.LastIndexByte(b, ':'); i > 0 && number(b[i+1:]) >= 0 {
		m.Port, b = b[i+1:], b[:i]
	}
	m.from(b)
}
