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

// resolver takes the question out of query logs of BIND, dnsmasq and Unbound.
func (d *Decoder) resolver(msg []byte) bool {
	switch {
	case bytes.Contains(msg, []byte("query[")): // query[A] example.org from 192.0.2.1
		rest := between(msg, "query[", "\n")
		typ := between(rest, "", "]")
		name, rest := word(bytes.TrimLeft(rest[min(len(typ)+1, len(rest)):], " "))
		d.question(name, typ, between(rest, "from ", " "))
	case bytes.Contains(msg, []byte(" query: ")): // client @0x7f 192.0.2.1#53 (example.org): query: example.org IN A +
		rest := between(msg, " query: ", "\n")
		name, rest := word(rest)
		_, rest = word(rest)
		typ, _ := word(rest)
		d.question(name, typ, client(msg))
	case bytes.Contains(msg, []byte("query")) && bytes.Contains(msg, []byte("'")): // query (cache) 'example.org/ANY/IN' denied
		parts := bytes.Split(between(msg, "'", "'"), []byte("/"))
		if len(parts) < 3 {
			return false
		}
		d.question(parts[0], parts[1], client(msg))
	case bytes.HasSuffix(msg, []byte(" IN")) && bytes.Contains(msg, []byte("info: ")): // info: 192.0.2.1 example.org. A IN
		f := bytes.Fields(between(msg, "info: ", "\n"))
		if len(f) != 4 {
			return false
		}
		d.question(f[1], f[2], f[0])
	default:
		return false
	}
	return true
}

func client(msg []byte) []byte {
	i := bytes.IndexByte(msg, '#')
	if i < 0 {
		return nil
	}
	return msg[bytes.LastIndexByte(msg[:i], ' ')+1 : i]
}

func (d *Decoder) question(name, typ, from []byte) {
	d.derive(d.id.dnsQuery, bytes.TrimSuffix(name, []byte(".")))
	d.derive(d.id.dnsType, typ)
	d.derive(d.id.srcIP, from)
}
