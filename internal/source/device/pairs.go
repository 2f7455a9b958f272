package device

import (
	"bytes"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
)

// maxPairs bounds the fields of a message that are read.
const maxPairs = 128

// pairs are the fields of a message made of key=value and key="value".
type pairs struct{ list []pair }

type pair struct {
	key, value []byte
	twice      bool
}

// read splits a message. A value in quotes ends at a quote with a space, or nothing,
// behind it: whether quotes in names are escaped, and how, differs.
func (p *pairs) read(b []byte) {
	p.list = p.list[:0]
	for len(p.list) < maxPairs {
		b = bytes.TrimLeft(b, " ")
		eq := bytes.IndexByte(b, '=')
		if eq <= 0 {
			return
		}
		if sp := bytes.LastIndexByte(b[:eq], ' '); sp >= 0 { // text that is no pair
			b = b[sp+1:]
			continue
		}
		key := b[:eq]
		b = b[eq+1:]
		var value []byte
		if len(b) > 0 && b[0] == '"' {
			end := 1
			for end < len(b) && (b[end] != '"' || end+1 < len(b) && b[end+1] != ' ') {
				end++
			}
			value, b = b[1:min(end, len(b))], b[min(end+1, len(b)):]
		} else {
			end := bytes.IndexByte(b, ' ')
			if end < 0 {
				end = len(b)
			}
			value, b = b[:end], b[end:]
		}
		p.put(key, value)
	}
}

func (p *pairs) put(key, value []byte) {
	for i := range p.list {
		if bytes.Equal(p.list[i].key, key) {
			p.list[i].twice = true
			return
		}
	}
	p.list = append(p.list, pair{key: key, value: value})
}

// get is the value of the first key that has one. One that is there twice has
// none: who wrote the second is not known.
func (p *pairs) get(keys ...string) []byte {
	for _, k := range keys {
		for i := range p.list {
			if x := &p.list[i]; string(x.key) == k {
				if len(x.value) > 0 && !x.twice {
					return x.value
				}
				break
			}
		}
	}
	return nil
}

func (p *pairs) is(key, value string) bool { return string(p.get(key)) == value }

// fortigate reads a message of FortiOS.
func (d *Decoder) fortigate(msg []byte, f *fact) {
	k := &d.kv
	k.read(msg)
	f.product = "FortiGate"
	f.at = fortiTime(k)
	f.host, f.code = k.get("devname", "devid"), k.get("logid")
	f.user = k.get("user", "xauthuser", "dstuser")
	switch string(k.get("type")) {
	case "traffic":
		f.flow(k.is("action", "deny") || k.is("action", "blocked"))
		d.fortiFlow(f)
	case "utm", "attack", "ips", "anomaly":
		f.category, f.action = "intrusion_detection", string(k.get("subtype"))
		f.rule = k.get("attack", "virus", "filename", "catdesc")
		d.fortiFlow(f)
	case "event":
		d.fortiEvent(f)
	}
}

func (d *Decoder) fortiFlow(f *fact) {
	k := &d.kv
	f.src, f.dst, f.sport, f.dport = k.get("srcip", "src"), k.get("dstip", "dst"), k.get("srcport"), k.get("dstport")
	f.proto, f.app = k.get("proto"), k.get("app")
	f.out, f.in, f.packets = k.get("sentbyte"), k.get("rcvdbyte"), k.get("sentpkt")
	f.duration = d.seconds(k.get("duration"))
}

func (d *Decoder) fortiEvent(f *fact) {
	k := &d.kv
	status, action := string(k.get("status")), string(k.get("action"))
	f.src, f.sport, f.dst = k.get("srcip"), k.get("srcport"), k.get("dstip")
	switch string(k.get("subtype")) {
	case "system":
		f.service = string(k.get("method"))
		if _, addr, ok := last(k.get("ui"), "(", ")"); ok && f.src == nil { // ui="https(192.0.2.1)"
			f.src = addr
		} else if ok && !bytes.Equal(addr, f.src) {
			f.src = nil
		}
		switch action {
		case "login":
			f.login(status == "success")
		case "logout":
			f.gone()
		}
	case "user":
		f.service = "fortigate"
		switch action {
		case "authentication", "auth-logon", "FSSO-logon":
			f.login(status == "success" || status == "" || status == "logon")
		case "auth-logout", "FSSO-logoff":
			f.gone()
		}
	case "vpn":
		f.service = string(k.get("tunneltype"))
		f.src, f.sport, f.dst = k.get("remip"), k.get("remport"), k.get("locip") // no other: somebody else may have written it
		switch {
		case action == "tunnel-up" && len(f.user) > 0 && string(f.user) != "N/A":
			f.login(true)
		case action == "ssl-login-fail", action == "negotiate" && status == "negotiate_error":
			f.login(false)
			f.reason = string(k.get("reason"))
		case action == "tunnel-down":
			f.gone()
			f.out, f.in, f.duration = k.get("rcvdbyte"), k.get("sentbyte"), d.seconds(k.get("duration"))
		}
	}
}

// fortiTime reads eventtime, in seconds or nanoseconds, or date, time and zone.
func fortiTime(k *pairs) int64 {
	if n, err := strconv.ParseInt(string(k.get("eventtime")), 10, 64); err == nil && n > 0 {
		for n < 1e17 {
			n *= 1000
		}
		return n
	}
	day, clock, zone := k.get("date"), k.get("time"), k.get("tz")
	if day == nil || clock == nil {
		return 0
	}
	if t, err := time.Parse("2006-01-02 15:04:05 -0700", string(day)+" "+string(clock)+" "+string(zone)); err == nil {
		return t.UnixNano()
	}
	return 0 // the hour would be a guess
}

// sonicwall reads a message of SonicOS.
func (d *Decoder) sonicwall(msg []byte, f *fact) {
	k := &d.kv
	k.read(msg)
	f.product, f.code = "SonicWall", k.get("m")
	if t := k.get("time"); bytes.HasSuffix(t, []byte(" UTC")) {
		f.at, _ = logsource.ParseTime(t[:len(t)-4])
	}
	f.src, f.sport = sonicAddr(k.get("src"))
	f.dst, f.dport = sonicAddr(k.get("dst"))
	f.user = k.get("usr", "user")
	f.proto, _, _ = bytes.Cut(k.get("proto"), []byte("/"))
	f.out, f.in = k.get("sent"), k.get("rcvd")
	f.rule = k.get("ipscat", "sigcat")
	text := bytes.ToLower(k.get("msg"))
	has := func(words ...string) bool {
		for _, w := range words {
			if !bytes.Contains(text, []byte(w)) {
				return false
			}
		}
		return true
	}
	switch {
	case has("login", "allowed"), has("login", "success"):
		f.login(true)
	case has("login", "denied"), has("login", "failed"), has("authentication", "failed"):
		f.login(false)
	case has("logged out"), has("logout"):
		f.gone()
	case has("dropped"), has("denied"), has("blocked"):
		f.flow(true)
	case has("connection opened"), has("connection closed"), k.is("c", "1024") && f.dst != nil:
		f.flow(false)
	}
	if f.category == "authentication" {
		f.service = "sonicwall"
		if has("ssl vpn") || has("sslvpn") || has("vpn") {
			f.service = "vpn"
		}
	}
}

// sonicAddr splits "192.0.2.1:50000:X0:name": address, port, interface and name, of
// which the latter may be missing. IPv6 stands without brackets: its port is what
// stands before the interface.
func sonicAddr(b []byte) (addr, port []byte) {
	at := 0 // of the interface
	for i := range b {
		if b[i] == ':' && i+1 < len(b) && (b[i+1] >= 'G' && b[i+1] <= 'Z' || b[i+1] >= 'g' && b[i+1] <= 'z') {
			at = i
			break
		}
	}
	if at > 0 {
		b = b[:at]
		if i := bytes.LastIndexByte(b, ':'); i > 0 {
			return b[:i], b[i+1:]
		}
	}
	return hostPort(b)
}
