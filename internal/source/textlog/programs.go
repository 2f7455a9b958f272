package textlog

import "bytes"

// between is the text after a and before b; nil when a is missing.
func between(msg []byte, a, b string) []byte {
	i := bytes.Index(msg, []byte(a))
	if i < 0 {
		return nil
	}
	rest := msg[i+len(a):]
	if before, _, ok := bytes.Cut(rest, []byte(b)); ok {
		return before
	}
	return rest
}

// ssh takes user, address and outcome out of what sshd says about logins.
func (d *Decoder) ssh(msg []byte) {
	var user []byte
	outcome := "failure"
	switch {
	case bytes.HasPrefix(msg, []byte("Accepted ")):
		outcome, user = "success", lastBetween(msg, " for ", " from ")
	case bytes.HasPrefix(msg, []byte("Failed ")):
		user = bytes.TrimPrefix(lastBetween(msg, " for ", " from "), []byte("invalid user "))
	case bytes.HasPrefix(msg, []byte("Invalid user ")):
		user = lastBetween(msg, "Invalid user ", " from ")
	case bytes.HasPrefix(msg, []byte("Connection ")), bytes.HasPrefix(msg, []byte("Disconnect")), bytes.HasPrefix(msg, []byte("Received disconnect")):
		outcome = "unknown"
	default:
		return
	}
	d.derive(d.id.userName, user)
	d.derive(d.id.outcome, []byte(outcome))
	var tail []byte
	if i := bytes.LastIndex(msg, []byte(" from ")); i >= 0 {
		tail = msg[i+6:]
	} else if i := bytes.LastIndex(msg, []byte(" by ")); i >= 0 {
		tail = msg[i+4:]
	} else {
		return
	}
	if i := bytes.LastIndex(tail, []byte("user ")); i >= 0 { // "by authenticating user NAME ADDRESS port N"
		_, tail = word(tail[i+5:])
	}
	ip, rest := word(tail)
	d.derive(d.id.srcIP, ip)
	if bytes.HasPrefix(rest, []byte("port ")) {
		port, _ := word(rest[5:])
		d.derive(d.id.srcPort, bytes.TrimRight(port, ":"))
	}
}

// lastBetween is the text after the first a and before the last b: names that
// visitors choose may hold b.
func lastBetween(msg []byte, a, b string) []byte {
	i := bytes.Index(msg, []byte(a))
	j := bytes.LastIndex(msg, []byte(b))
	if i < 0 || j < i+len(a) {
		return nil
	}
	return msg[i+len(a) : j]
}

// sudo splits "who : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh".
func (d *Decoder) sudo(msg []byte) {
	before, after, ok := bytes.Cut(msg, []byte(" : "))
	if !ok {
		return
	}
	d.derive(d.id.userName, bytes.TrimSpace(before))
	rest := after
	for len(rest) > 0 {
		part := rest
		if j := bytes.Index(rest, []byte(" ; ")); j >= 0 && !bytes.HasPrefix(rest, []byte("COMMAND=")) {
			part, rest = rest[:j], rest[j+3:]
		} else {
			rest = nil
		}
		if j := bytes.IndexByte(part, '='); j > 0 {
			d.derive(d.fields.IDBytes(part[:j]), part[j+1:])
		}
	}
}
