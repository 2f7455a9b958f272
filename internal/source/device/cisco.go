package device

import (
	"bytes"
	"strconv"
)

// asa reads a message of ASA or FTD: tag is %ASA-6-302014.
func (d *Decoder) asa(tag, msg []byte, f *fact) {
	f.product = "ASA"
	i := bytes.LastIndexByte(tag, '-')
	f.code = bytes.TrimSuffix(tag[i+1:], []byte(":"))
	switch string(f.code) {
	case "302013", "302015": // Built outbound TCP connection 1 for outside:A/p (..) to inside:B/p (..)
		d.built(msg, f)
	case "302014", "302016": // Teardown TCP connection 1 for outside:A/p to inside:B/p duration 0:00:30 bytes 123
		d.teardown(msg, f)
	case "106023": // Deny tcp src outside:A/p dst inside:B/p by access-group "x"
		_, rest, _ := bytes.Cut(msg, []byte("Deny "))
		f.flow(true)
		f.proto, rest, _ = bytes.Cut(rest, []byte(" "))
		f.src, f.sport = ciscoAddr(rest, "src ")
		f.dst, f.dport = ciscoAddr(rest, " dst ")
	case "106001", "106006", "106015": // Inbound TCP connection denied from A/p to B/p flags SYN on interface outside
		f.flow(true)
		for _, p := range []string{"TCP", "UDP"} {
			if bytes.Contains(msg[:min(len(msg), 20)], []byte(p)) {
				f.proto = []byte(p)
			}
		}
		f.src, f.sport = ciscoAddr(msg, " from ")
		f.dst, f.dport = ciscoAddr(msg, " to ")
	case "106100": // access-list x denied tcp outside/A(p) -> inside/B(p) hit-cnt 1
		d.accessList(msg, f)
	default:
		d.asaLogin(msg, f)
	}
}

// ciscoAddr reads "outside:192.0.2.1/443" after a word.
func ciscoAddr(msg []byte, after string) (addr, port []byte) {
	_, rest, ok := bytes.Cut(msg, []byte(after))
	if !ok {
		return nil, nil
	}
	word, _, _ := bytes.Cut(rest, []byte(" "))
	if i := bytes.LastIndexByte(word, '/'); i >= 0 {
		word, port = word[:i], word[i+1:]
	}
	port, _, _ = bytes.Cut(port, []byte("("))
	if valid(word) == nil { // the name of the interface stands before
		if _, a, ok := bytes.Cut(word, []byte(":")); ok {
			word = a
		}
	}
	return word, port
}

func (d *Decoder) built(msg []byte, f *fact) {
	f.category, f.action = "network", "connection-started"
	way, rest, _ := bytes.Cut(bytes.TrimPrefix(msg, []byte("Built ")), []byte(" "))
	f.proto, _, _ = bytes.Cut(rest, []byte(" "))
	a, ap := ciscoAddr(msg, " for ")
	b, bp := ciscoAddr(msg, " to ")
	if string(way) == "outbound" { // who asked stands second
		a, ap, b, bp = b, bp, a, ap
	}
	f.src, f.sport, f.dst, f.dport = a, ap, b, bp
}

// teardown does not say who asked: it is the one with the higher port.
func (d *Decoder) teardown(msg []byte, f *fact) {
	f.flow(false)
	f.proto, _, _ = bytes.Cut(bytes.TrimPrefix(msg, []byte("Teardown ")), []byte(" "))
	a, ap := ciscoAddr(msg, " for ")
	b, bp := ciscoAddr(msg, " to ")
	x, _ := strconv.Atoi(string(ap)) // 0 where there is none
	y, _ := strconv.Atoi(string(bp)) // likewise
	if x < y {
		a, ap, b, bp = b, bp, a, ap
	}
	f.src, f.sport, f.dst, f.dport = a, ap, b, bp
	_, rest, _ := bytes.Cut(msg, []byte(" duration "))
	clock, rest, _ := bytes.Cut(rest, []byte(" "))
	f.duration = d.clock(clock)
	if n, ok := bytes.CutPrefix(rest, []byte("bytes ")); ok { // of both directions
		n, _, _ = bytes.Cut(n, []byte(" "))
		f.out = n
	}
}

// clock turns h:mm:ss into nanoseconds.
func (d *Decoder) clock(b []byte) []byte {
	parts := bytes.Split(b, []byte(":"))
	if len(parts) != 3 {
		return nil
	}
	n := uint64(0)
	for _, p := range parts {
		x, err := strconv.ParseUint(string(p), 10, 20)
		if err != nil {
			return nil
		}
		n = n*60 + x
	}
	return d.digits(n * 1e9)
}

func (d *Decoder) accessList(msg []byte, f *fact) {
	left, right, ok := bytes.Cut(msg, []byte(" -> "))
	w := bytes.Fields(left)
	if !ok || len(w) < 5 {
		return
	}
	f.flow(string(w[2]) != "permitted")
	f.proto, f.rule = w[3], w[1]
	target, _, _ := bytes.Cut(right, []byte(" "))
	f.src, f.sport = parenthesised(w[4])
	f.dst, f.dport = parenthesised(target)
}

// parenthesised reads outside/192.0.2.1(443).
func parenthesised(b []byte) (addr, port []byte) {
	_, b, _ = bytes.Cut(b, []byte("/"))
	addr, port, _ = bytes.Cut(b, []byte("("))
	port, _, _ = bytes.Cut(port, []byte(")"))
	return addr, port
}

// asaLogin reads messages about users. Names come before the address in some, so
// the last place at which the address can stand counts.
func (d *Decoder) asaLogin(msg []byte, f *fact) {
	f.service = "asa"
	switch string(f.code) {
	case "113004", "113012": // AAA user authentication Successful : server = A : user = ann
		f.login(true)
		_, f.user, _ = bytes.Cut(msg, []byte(" : user = "))
	case "113005", "113015": // AAA user authentication Rejected : reason = r : server = A : user = ann : user IP = B
		f.login(false)
		before, addr, ok := last(msg, " : user IP = ", "")
		if ok {
			f.src = bytes.TrimSpace(addr)
		} else {
			before = msg
		}
		_, f.user, _ = bytes.Cut(before, []byte(" : user = "))
	case "113039", "716001", "722022", "722051": // Group <g> User <ann> IP <A> ...
		if string(f.code) == "113039" || string(f.code) == "716001" {
			f.login(true)
		} else {
			f.category, f.action, f.outcome = "session", "session-opened", "success"
		}
		f.service = "vpn"
		angled(msg, f)
	case "716039": // ... Authentication: rejected
		f.login(false)
		f.service = "vpn"
		angled(msg, f)
	case "113019": // Group = g, Username = ann, IP = A, Session disconnected. ... Duration: 0h:10m:05s, Bytes xmt: 1, Bytes rcv: 2
		f.gone()
		f.service = "vpn"
		before, rest, ok := last(msg, ", IP = ", ", Session disconnected")
		if ok {
			f.src = rest
			_, f.user, _ = last(before, "Username = ", "")
		}
	case "605005", "605004", "611101", "611102":
		d.asaAdmin(msg, f)
	}
}

// asaAdmin reads logins to the device itself.
func (d *Decoder) asaAdmin(msg []byte, f *fact) {
	code := string(f.code)
	f.login(code == "605005" || code == "611101")
	if code[:3] == "605" { // Login denied from A/p to inside:B/ssh for user "admin"
		f.src, f.sport = ciscoAddr(msg, " from ")
		_, service, _ := bytes.Cut(msg, []byte(" to "))
		service, _, _ = bytes.Cut(service, []byte(" for user "))
		if i := bytes.LastIndexByte(service, '/'); i >= 0 {
			f.service = string(service[i+1:])
		}
		_, name, _ := bytes.Cut(msg, []byte(` for user "`))
		f.user = bytes.TrimSuffix(bytes.TrimSpace(name), []byte(`"`))
		return
	}
	_, rest, _ := bytes.Cut(msg, []byte("IP address: ")) // ..., Uname: admin
	addr, name, ok := bytes.Cut(rest, []byte(", Uname: "))
	if ok {
		f.src, f.user = addr, bytes.TrimSpace(name)
	}
}

// angled reads Group <g> User <ann> IP <A>; the last IP < is the device's, as
// nothing behind it is a visitor's.
func angled(msg []byte, f *fact) {
	before, addr, ok := last(msg, "> IP <", ">")
	if !ok {
		return
	}
	f.src = addr
	if _, name, ok := bytes.Cut(before, []byte(" User <")); ok {
		f.user = name
	}
}
