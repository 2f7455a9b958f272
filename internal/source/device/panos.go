package device

import "bytes"

// isPANOS tells a message of PAN-OS: 1,2026/11/25 10:00:00,serial,TYPE,
func isPANOS(b []byte) bool {
	if len(b) < 30 || b[1] != ',' || b[0] < '0' || b[0] > '9' || b[6] != '/' {
		return false
	}
	parts := bytes.SplitN(b[:min(len(b), 100)], []byte(","), 5)
	if len(parts) < 5 {
		return false
	}
	switch string(parts[3]) {
	case "TRAFFIC", "THREAT", "SYSTEM", "GLOBALPROTECT", "CONFIG", "AUTHENTICATION", "USERID", "DECRYPTION":
		return true
	}
	return false
}

// maxColumns bounds the fields of a message that are read.
const maxColumns = 160

// columns splits comma separated values; those in quotes may hold commas, and
// quotes twice.
func (d *Decoder) columns(b []byte) {
	d.csv = d.csv[:0]
	for len(d.csv) < maxColumns {
		if len(b) > 0 && b[0] == '"' {
			end := 1
			for end < len(b) && (b[end] != '"' || end+1 < len(b) && b[end+1] == '"') {
				if b[end] == '"' {
					end++
				}
				end++
			}
			d.csv = append(d.csv, b[1:min(end, len(b))])
			b = b[min(end+1, len(b)):]
			if len(b) == 0 {
				return
			}
			b = bytes.TrimPrefix(b, []byte(","))
			continue
		}
		v, rest, more := bytes.Cut(b, []byte(","))
		d.csv = append(d.csv, v)
		if !more {
			return
		}
		b = rest
	}
}

// column is the n-th field, nil where there is none.
func (d *Decoder) column(n int) []byte {
	if n < len(d.csv) {
		return d.csv[n]
	}
	return nil
}

// panos reads a message of PAN-OS 9.1 and later, by the order of fields in its
// documentation. Its times are without a zone: the head of syslog has a better one.
func (d *Decoder) panos(msg []byte, f *fact) {
	d.columns(msg)
	f.product = "PAN-OS"
	kind := string(d.column(3))
	f.code = d.column(4)
	switch kind {
	case "TRAFFIC", "THREAT":
		f.flow(false)
		f.src, f.dst, f.rule, f.user = d.column(7), d.column(8), d.column(11), d.column(12)
		f.sport, f.dport, f.proto = d.column(24), d.column(25), d.column(29)
		action := d.column(30)
		denied := bytes.HasPrefix(action, []byte("d")) || bytes.HasPrefix(action, []byte("reset")) || bytes.HasPrefix(action, []byte("block"))
		if kind == "THREAT" {
			f.category, f.action, f.rule = "intrusion_detection", string(d.column(4)), d.column(32)
			return
		}
		f.flow(denied)
		f.app = d.column(14)
		f.out, f.in, f.packets = d.column(32), d.column(33), d.column(44)
		f.duration = d.seconds(d.column(36))
		if string(d.column(4)) == "start" {
			f.action, f.out, f.in, f.duration = "connection-started", nil, nil, nil
		}
	case "GLOBALPROTECT":
		d.globalProtect(f)
	case "SYSTEM":
		f.code = d.column(8)
		panSystem(d.column(14), f)
	}
}

// globalProtect reads a message about a VPN client.
func (d *Decoder) globalProtect(f *fact) {
	f.code, f.service = d.column(8), "globalprotect"
	f.user, f.method = d.column(12), string(d.column(10))
	f.src = d.column(15)
	if valid(f.src) == nil {
		f.src = d.column(16)
	}
	good := string(d.column(28)) == "success"
	switch event := string(f.code); event {
	case "gateway-auth", "portal-auth", "gateway-login", "gateway-register", "gateway-connected":
		if event == "gateway-auth" || event == "portal-auth" || !good {
			f.login(good)
			f.reason = string(d.column(25))
			return
		}
		f.category, f.action, f.outcome = "session", "session-opened", "success"
	case "gateway-logout":
		f.gone()
	}
}

// panSystem reads the text of a message about the device itself. The address
// stands at its end, behind the name.
func panSystem(text []byte, f *fact) {
	switch string(f.code) {
	case "auth-success", "auth-fail":
		f.login(string(f.code) == "auth-success")
		_, from, _ := last(text, "From: ", "")
		f.src = bytes.TrimRight(from, ". ")
		if _, rest, ok := bytes.Cut(text, []byte("user '")); ok {
			if j := bytes.LastIndex(rest, []byte("'.  ")); j >= 0 {
				f.user = rest[:j]
			} else if name, _, ok := bytes.Cut(rest, []byte("'")); ok {
				f.user = name
			}
		}
	case "general":
		before, addr, ok := last(text, " from ", " ")
		if !ok || !bytes.HasPrefix(text, []byte("User ")) {
			return
		}
		for _, way := range []string{" logged in via ", " logged out via "} {
			if name, _, ok := last(before, way, ""); ok {
				f.user, f.src = bytes.TrimPrefix(name, []byte("User ")), addr
				if way == " logged in via " {
					f.login(true)
				} else {
					f.gone()
				}
			}
		}
	}
	f.service = "pan-os"
}
