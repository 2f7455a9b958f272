package login

import (
	"bytes"

	"github.com/lapwing-defence/lapwing/internal/nets"
)

// vsftpd reads `[NAME] FAIL LOGIN: Client "ADDR"`.
func (m *Message) vsftpd(msg []byte) bool {
	if rest, ok := bytes.CutPrefix(msg, []byte("[pid ")); ok {
		_, msg, _ = bytes.Cut(rest, []byte("] "))
	}
	rest, ok := bytes.CutPrefix(msg, []byte("["))
	if !ok {
		return false
	}
	if i := bytes.Index(rest, []byte(`, anon password "`)); i >= 0 { // chosen by the visitor
		name, _, _ := bytes.Cut(rest, []byte("]"))
		if string(name) == "ftp" || string(name) == "anonymous" {
			rest = rest[:i]
		}
	}
	for _, p := range [...]struct {
		text   string
		action Action
	}{{`] FAIL LOGIN: Client "`, LogonFailed}, {`] OK LOGIN: Client "`, Logon}} {
		i := bytes.LastIndex(rest, []byte(p.text))
		if i < 0 || !bytes.HasSuffix(rest, []byte(`"`)) {
			continue
		}
		m.Action, m.User = p.action, rest[:i]
		m.from(rest[i+len(p.text) : len(rest)-1])
		return true
	}
	return false
}

// proftpd reads "server (host[ADDR]) - USER name (Login failed): Incorrect password".
func (m *Message) proftpd(msg []byte) bool {
	_, after0, ok0 := bytes.Cut(msg, []byte(" ("))
	if !ok0 {
		return false
	}
	after, ok := m.client(after0)
	if !ok {
		return false
	}
	after, ok = bytes.CutPrefix(after, []byte("): "))
	if !ok {
		if after, ok = bytes.CutPrefix(after, []byte(") - ")); !ok {
			return false
		}
	}
	after = bytes.TrimPrefix(after, []byte("- "))
	if bytes.HasPrefix(after, []byte("Maximum login attempts")) {
		m.Action, m.Reason = LogonAbandoned, TooMany
		return true
	}
	name, ok := bytes.CutPrefix(after, []byte("USER "))
	if !ok {
		return false
	}
	if i := bytes.LastIndex(name, []byte(": no such user")); i >= 0 {
		m.Action, m.User, m.Reason, m.Unknown = LogonFailed, name[:i], NoSuchUser, true
		return true
	}
	if i := bytes.LastIndex(name, []byte(" (Login failed)")); i >= 0 {
		m.Action, m.User = LogonFailed, name[:i]
		return true
	}
	if name, ok = bytes.CutSuffix(bytes.TrimSuffix(name, []byte(".")), []byte(": Login successful")); ok {
		m.Action, m.User = Logon, name
	}
	return ok
}

// mysql reads "Access denied for user 'NAME'@'HOST' (using password: YES)", whose
// end is the server's own.
func (m *Message) mysql(msg []byte) bool {
	_, after, ok := bytes.Cut(msg, []byte("Access denied for user '"))
	if !ok {
		return false
	}
	rest := after
	m.Action = LogonFailed
	for _, end := range [...]string{"' (using password: YES)", "' (using password: NO)"} {
		if head, ok := bytes.CutSuffix(rest, []byte(end)); ok {
			if at := bytes.LastIndex(head, []byte("'@'")); at >= 0 {
				m.User = head[:at]
				m.from(head[at+3:])
			}
			return true
		}
	}
	return true
}

// postgres reads refusals. Only a log_line_prefix tells the address, and that may
// hold the user's name too.
func (m *Message) postgres(msg []byte) bool {
	const entry = `no pg_hba.conf entry for host "`
	if i := sole(msg, entry); i >= 0 {
		m.Action, m.Reason = LogonRejected, NotAllowed
		addr, rest, _ := bytes.Cut(msg[i+len(entry):], []byte(`"`))
		m.from(addr)
		if name, ok := bytes.CutPrefix(rest, []byte(`, user "`)); ok {
			m.User, _, _ = bytes.Cut(name, []byte(`"`))
		}
		return true
	}
	prefix, name, ok := []byte(nil), []byte(nil), false
	for _, p := range [...]string{`password authentication failed for user "`, `authentication failed for user "`} {
		if i := sole(msg, p); i >= 0 {
			prefix, name, ok = msg[:i], msg[i+len(p):], true
			break
		}
	}
	if !ok {
		if before, after, ok0 := bytes.Cut(msg, []byte(`FATAL:  role "`)); ok0 && bytes.HasSuffix(msg, []byte(`" does not exist`)) {
			prefix, name, ok = before, bytes.TrimSuffix(after, []byte(`" does not exist`)), true
			m.Reason, m.Unknown = NoSuchUser, true
		}
	}
	if !ok {
		if !bytes.Contains(msg, []byte(`password authentication failed for user "`)) {
			return false
		}
		m.Action = LogonFailed // said more than once: whatever it is, it is not believed
		return true
	}
	m.Action, m.User = LogonFailed, bytes.TrimSuffix(name, []byte(`"`))
	m.prefixed(prefix)
	return true
}

// prefixed looks for one address in a log_line_prefix: client=ADDR, host=ADDR,
// ADDR(PORT), or a word by itself.
func (m *Message) prefixed(b []byte) {
	var found []byte
	seen := 0
	for len(b) > 0 {
		i := bytes.IndexAny(b, " ,()[]")
		w := b
		if i >= 0 {
			w, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if eq := bytes.LastIndexByte(w, '='); eq >= 0 {
			w = w[eq+1:]
		}
		if i := bytes.LastIndexByte(w, '@'); i >= 0 {
			w = w[i+1:]
		}
		if a, ok := nets.Parse(w); ok && a.IsValid() {
			found = w
			seen++
		}
	}
	if seen == 1 {
		m.from(found)
	}
}

// nginx reads its error log's words on basic authentication. A name cannot hold a
// colon, so the first ", client: " is nginx's; the request behind it is not.
func (m *Message) nginx(msg []byte) bool {
	before, after, ok := bytes.Cut(msg, []byte(", client: "))
	if !ok {
		return false
	}
	what := before
	switch {
	case bytes.HasSuffix(what, []byte(`": password mismatch`)):
		m.Action = LogonFailed
	case bytes.Contains(what, []byte(`" was not found in "`)):
		m.Action, m.Reason, m.Unknown = LogonFailed, NoSuchUser, true
	case bytes.HasSuffix(what, []byte("no user/password was provided for basic authentication")), bytes.HasSuffix(what, []byte("access forbidden by rule")):
		m.Action = Denied
	default:
		return false
	}
	if m.Action == LogonFailed {
		_, name, _ := bytes.Cut(what, []byte(`user "`))
		if j := bytes.LastIndex(name, []byte(`" was not found in "`)); j >= 0 {
			name = name[:j]
		}
		m.User = bytes.TrimSuffix(name, []byte(`": password mismatch`))
	}
	addr, _, _ := bytes.Cut(after, []byte(","))
	m.from(addr)
	return true
}

// apache reads its error log: the client stands in brackets before all that a
// visitor says.
func (m *Message) apache(msg []byte) bool {
	_, rest, ok := bytes.Cut(msg, []byte("[client "))
	if !ok {
		return false
	}
	addr, rest, ok := bytes.Cut(rest, []byte("] "))
	if !ok {
		return false
	}
	ported := len(rest) > 9 && bytes.HasPrefix(rest, []byte("AH")) && rest[7] == ':' // Apache 2.4
	if ported {
		rest = rest[9:]
	}
	name, isUser := bytes.CutPrefix(rest, []byte("user "))
	switch {
	case isUser && bytes.Contains(name, []byte(`: authentication failure for "`)):
		m.Action = LogonFailed
		m.User = name[:bytes.LastIndex(name, []byte(`: authentication failure for "`))]
	case isUser && bytes.Contains(name, []byte(" not found")):
		m.Action, m.Reason, m.Unknown = LogonFailed, NoSuchUser, true
		m.User = name[:bytes.LastIndex(name, []byte(" not found"))]
	case bytes.HasPrefix(rest, []byte("client denied by server configuration")), bytes.HasPrefix(rest, []byte("access to ")):
		m.Action = Denied
	default:
		return false
	}
	if ported { // ADDR:PORT, without brackets for IPv6 too
		m.hostPort(addr)
	} else {
		m.from(addr)
	}
	return true
}
