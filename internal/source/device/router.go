package device

import "bytes"

// filterlog reads a row of pf's log as OPNsense and pfSense write it: rule, sub
// rule, anchor, label, interface, reason, action, direction, IP version, and then
// what the version and protocol have.
func (d *Decoder) filterlog(msg []byte, f *fact) {
	f.product = "filterlog"
	d.columns(msg)
	f.rule = d.column(3)
	f.flow(string(d.column(6)) != "pass" && string(d.column(6)) != "rdr" && string(d.column(6)) != "nat" && string(d.column(6)) != "binat")
	if f.outcome == "" {
		f.action = "connection-started" // a row is a packet: the first of a connection
	}
	var at int
	switch string(d.column(8)) {
	case "4": // tos, ecn, ttl, id, offset, flags, number, name, length, source, destination
		at, f.proto = 18, d.column(16)
	case "6": // class, label, hop limit, name, number, length, source, destination
		at, f.proto = 15, d.column(12)
	default:
		f.category, f.action, f.outcome = "", "", ""
		return
	}
	f.src, f.dst = d.column(at), d.column(at+1)
	if p := string(protocol(f.proto)); p == "tcp" || p == "udp" {
		f.sport, f.dport = d.column(at+2), d.column(at+3)
	}
}

// topics is the list of topics at the start of a message of RouterOS:
// "system,error,critical", nil for others.
func topics(b []byte) []byte {
	word, _, ok := bytes.Cut(b[:min(len(b), 64)], []byte(" "))
	if !ok {
		return nil
	}
	first, _, more := bytes.Cut(word, []byte(","))
	if !more {
		return nil
	}
	for _, c := range word {
		if (c < 'a' || c > 'z') && c != ',' && c != '-' && (c < '0' || c > '9') {
			return nil
		}
	}
	switch string(first) {
	case "system", "firewall", "l2tp", "pptp", "sstp", "ovpn", "ppp", "pppoe", "ipsec", "wireguard", "hotspot", "dhcp", "interface", "script", "wireless", "account":
		return word
	}
	return nil
}

// routeros reads a message of RouterOS behind its topics.
func (d *Decoder) routeros(topic, msg []byte, f *fact) {
	f.product, f.service, f.code = "RouterOS", "routeros", topic
	switch {
	case bytes.HasPrefix(msg, []byte("login failure for user ")):
		f.login(false)
		d.via(msg[len("login failure for user "):], f)
	case bytes.HasPrefix(msg, []byte("user ")) && bytes.Contains(msg, []byte(" logged in from ")):
		f.login(true)
		d.via(bytes.Replace(msg[len("user "):], []byte(" logged in from "), []byte(" from "), 1), f)
	case bytes.HasPrefix(msg, []byte("user ")) && bytes.Contains(msg, []byte(" logged out from ")):
		f.gone()
		d.via(bytes.Replace(msg[len("user "):], []byte(" logged out from "), []byte(" from "), 1), f)
	case bytes.Contains(topic, []byte("ppp")) || bytes.Contains(topic, []byte("l2tp")) || bytes.Contains(topic, []byte("ovpn")):
		if name, rest, ok := bytes.Cut(msg, []byte(" logged in, ")); ok { // ann logged in, 10.0.0.5 from 192.0.2.1
			f.login(true)
			f.service, f.user = "vpn", name
			_, f.src, _ = last(rest, " from ", "")
		} else if name, _, ok := bytes.Cut(msg, []byte(" logged out, ")); ok {
			f.gone()
			f.service, f.user = "vpn", name
		}
	case bytes.HasPrefix(topic, []byte("firewall")):
		d.routerFlow(msg, f)
	}
}

// via reads "NAME from ADDRESS via SERVICE": what comes last is the router's.
func (d *Decoder) via(b []byte, f *fact) {
	before, service, ok := last(b, " via ", "")
	if !ok {
		return
	}
	name, addr, ok := last(before, " from ", "")
	if !ok {
		return
	}
	f.user, f.src = name, addr
	if len(service) < 20 {
		f.service = string(bytes.TrimSpace(service))
	}
}

// routerFlow reads "forward: in:lan out:wan, ..., proto TCP (SYN), A:p->B:p, len 60".
func (d *Decoder) routerFlow(msg []byte, f *fact) {
	left, right, ok := bytes.Cut(msg, []byte("->"))
	if !ok {
		return
	}
	i := bytes.LastIndexByte(left, ' ')
	target, _, _ := bytes.Cut(right, []byte(","))
	f.flow(bytes.Contains(msg[:min(len(msg), 40)], []byte("drop")) || bytes.Contains(msg[:min(len(msg), 40)], []byte("deny")) || bytes.Contains(msg[:min(len(msg), 40)], []byte("reject")))
	if f.outcome == "" {
		f.action = "connection-started"
	}
	f.src, f.sport = hostPort(left[i+1:])
	f.dst, f.dport = hostPort(bytes.TrimSpace(target))
	_, proto, _ := last(left[:i+1], "proto ", ",")
	f.proto, _, _ = bytes.Cut(proto, []byte(" "))
}

// openvpn reads a message of an OpenVPN server. Addresses stand at the start,
// before anything of the visitor's, or at the very end.
func (d *Decoder) openvpn(msg []byte, f *fact) bool {
	f.service = "openvpn"
	peer, rest, _ := bytes.Cut(msg, []byte(" "))
	addr, port := withPort(peer)
	switch {
	case bytes.Contains(msg, []byte("] Peer Connection Initiated with [AF_INET")):
		before, tail, _ := last(msg, "] Peer Connection Initiated with [AF_INET", "")
		_, end, ok := bytes.Cut(tail, []byte("]"))
		if !ok {
			return false
		}
		f.login(true)
		end, _, _ = bytes.Cut(end, []byte(" (via"))
		f.src, f.sport = withPort(end)
		_, name, _ := bytes.Cut(before, []byte(" ["))
		f.user = name
		return true
	case addr == nil:
		return false
	case bytes.HasPrefix(rest, []byte("TLS Auth Error: ")), bytes.HasPrefix(rest, []byte("VERIFY ERROR: ")), bytes.HasPrefix(rest, []byte("TLS Error: TLS handshake failed")):
		f.login(false)
		f.reason = "certificate"
		if bytes.HasPrefix(rest, []byte("TLS Auth Error: ")) {
			f.reason = "user name or password"
		}
	default:
		return false
	}
	f.src, f.sport = addr, port
	return true
}

// withPort splits an address that surely has a port, IPv6 without brackets too.
func withPort(b []byte) (addr, port []byte) {
	i := bytes.LastIndexByte(b, ':')
	if i <= 0 || !digits(b[i+1:]) || valid(b[:i]) == nil {
		return nil, nil
	}
	return b[:i], b[i+1:]
}

// wireguard reads what the kernel says when its debugging is on: only handshakes
// that were valid, and such that were not.
func (d *Decoder) wireguard(msg []byte, f *fact) bool {
	_, msg, _ = bytes.Cut(msg, []byte("wireguard: "))
	device, msg, ok := bytes.Cut(msg, []byte(": "))
	if !ok {
		return false
	}
	f.service = "wireguard"
	switch {
	case bytes.HasPrefix(msg, []byte("Receiving handshake initiation from peer ")):
		f.category, f.action, f.outcome = "session", "vpn-handshake", "success"
		peer, addr, _ := bytes.Cut(msg[len("Receiving handshake initiation from "):], []byte(" ("))
		f.src, f.sport = hostPort(bytes.TrimSuffix(bytes.TrimSpace(addr), []byte(")")))
		from := len(d.arena)
		d.arena = append(append(append(d.arena, device...), ' '), peer...)
		f.user = d.arena[from:len(d.arena):len(d.arena)]
	case bytes.HasPrefix(msg, []byte("Invalid handshake initiation from ")), bytes.HasPrefix(msg, []byte("Invalid MAC of handshake, dropping packet from ")):
		f.category, f.action, f.outcome = "session", "vpn-handshake", "failure"
		_, addr, _ := last(msg, " from ", "")
		f.src, f.sport = hostPort(bytes.TrimSpace(addr))
	default:
		return false
	}
	return true
}
