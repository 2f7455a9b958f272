package login

import "bytes"

// sudo reads "NAME : [why not ; ]TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh".
// The directory and the command are the user's.
func (m *Message) sudo(msg []byte) bool {
	name, rest, ok := bytes.Cut(bytes.TrimLeft(msg, " "), []byte(" : "))
	if !ok || len(name) == 0 || bytes.IndexByte(name, ' ') >= 0 {
		return false
	}
	m.User, m.Action = name, PrivilegeUsed
	if !bytes.HasPrefix(rest, []byte("TTY=")) && !bytes.HasPrefix(rest, []byte("PWD=")) && !bytes.HasPrefix(rest, []byte("HOST=")) {
		why, more, _ := bytes.Cut(rest, []byte(" ; "))
		rest, m.Action = more, PrivilegeFailed
		if num, what := word(why); number(num) > 0 && bytes.HasPrefix(what, []byte("incorrect password attempt")) {
			m.Count = number(num)
		} else if bytes.Contains(why, []byte("NOT")) || bytes.Contains(why, []byte("not allowed")) {
			m.Reason = NotAllowed
		} else if !bytes.Contains(why, []byte("password")) && !bytes.Contains(why, []byte("auth")) {
			return false // unable to resolve host, and the like
		}
	}
	command := bytes.Index(rest, []byte(" ; COMMAND="))
	if command < 0 {
		return m.Action == PrivilegeFailed
	}
	if at := sole(rest, " ; USER="); at >= 0 && at < command {
		m.Target, _, _ = bytes.Cut(rest[at+len(" ; USER="):], []byte(" ; "))
	}
	return true
}

// su reads the words of util-linux, of the shadow suite and of BSD.
func (m *Message) su(msg []byte) bool {
	m.Action = PrivilegeUsed
	rest := msg
	if r, ok := bytes.CutPrefix(rest, []byte("FAILED SU ")); ok {
		m.Action, rest = PrivilegeFailed, r
	}
	if r, ok := bytes.CutPrefix(rest, []byte("(to ")); ok { // (to root) alice on pts/0
		target, who, ok := bytes.Cut(r, []byte(") "))
		m.Target = target
		m.User, _ = word(who)
		return ok
	}
	for _, p := range [...]struct {
		text   string
		action Action
	}{{"Successful su for ", PrivilegeUsed}, {"FAILED su for ", PrivilegeFailed}} {
		if r, ok := bytes.CutPrefix(msg, []byte(p.text)); ok {
			m.Action = p.action
			target, who, ok := bytes.Cut(r, []byte(" by "))
			m.Target, m.User = target, who
			return ok
		}
	}
	if r, ok := bytes.CutPrefix(msg, []byte("BAD SU ")); ok {
		m.Action, rest = PrivilegeFailed, r
	}
	who, r := word(rest) // alice to root on /dev/ttyp0
	if r, ok := bytes.CutPrefix(r, []byte("to ")); ok {
		m.User = who
		m.Target, r = word(r)
		return bytes.HasPrefix(r, []byte("on "))
	}
	return false
}

// login reads the words of util-linux and of the shadow suite. A name that
// failed follows the place, or stands in quotes before the terminal.
func (m *Message) login(msg []byte) bool {
	switch {
	case bytes.HasPrefix(msg, []byte("FAILED LOGIN ")), bytes.HasPrefix(msg, []byte("TOO MANY LOGIN TRIES ")):
		m.Action = LogonFailed
		i := bytes.Index(msg, []byte(" FOR "))
		if i < 0 {
			return true
		}
		if at := bytes.Index(msg[:i], []byte(" FROM ")); at >= 0 {
			addr, _ := word(bytes.TrimLeft(msg[at+6:i], " "))
			m.from(bytes.Trim(addr, "'"))
		}
		name := msg[i+5:]
		if at := bytes.LastIndex(name, []byte(", ")); at >= 0 {
			name = name[:at]
		}
		m.User = bytes.Trim(name, "'")
		return true
	case bytes.HasPrefix(msg, []byte("invalid password for '")):
		m.Action = LogonFailed
		rest := msg[len("invalid password for '"):]
		i := bytes.LastIndex(rest, []byte("' on '"))
		if i < 0 {
			return true
		}
		m.User = rest[:i]
		if at := bytes.LastIndex(rest, []byte("' from '")); at > i {
			m.from(bytes.TrimSuffix(rest[at+len("' from '"):], []byte("'")))
		}
		return true
	case bytes.HasPrefix(msg, []byte("LOGIN ON ")), bytes.HasPrefix(msg, []byte("ROOT LOGIN ")), bytes.HasPrefix(msg, []byte("DIALUP AT ")):
		m.Action = Logon
		if msg[0] == 'R' {
			m.User = []byte("root")
		}
		rest := msg
		if i := bytes.LastIndex(rest, []byte(" FROM ")); i >= 0 { // the user exists
			m.from(bytes.Trim(rest[i+6:], "'"))
			rest = rest[:i]
		}
		if i := bytes.Index(rest, []byte(" BY ")); i >= 0 {
			m.User = rest[i+4:]
		}
		return true
	}
	return false
}

// logind reads "New session 18 of user dave."
func (m *Message) logind(msg []byte) bool {
	rest, ok := bytes.CutPrefix(msg, []byte("New session "))
	if !ok {
		return false
	}
	_, rest = word(rest)
	name, ok := bytes.CutPrefix(rest, []byte("of user "))
	m.Action = SessionOpened
	name = bytes.TrimSuffix(name, []byte("."))
	if i := bytes.LastIndex(name, []byte(" with class ")); i >= 0 { // systemd 256: "of user 'dave' with class 'user' and type 'tty'."
		name = name[:i]
	}
	m.User = bytes.Trim(name, "'")
	return ok
}
