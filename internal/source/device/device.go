// Package device reads what firewalls, routers and VPN servers say about logins,
// tunnels and connections: FortiGate, PAN-OS, SonicWall, Cisco ASA and FTD,
// OPNsense and pfSense (filterlog), RouterOS, OpenVPN and WireGuard.
//
// Names are written into these messages as strangers gave them. Each parser takes
// addresses from where the device itself writes them; a field that is there twice,
// or an address that is none, is not believed.
package device

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// The formats, words of the mapping of log sources. Messages of OpenVPN and
// WireGuard stay syslog.
const (
	FortiGate = "fortigate"
	PANOS     = "panos"
	SonicWall = "sonicwall"
	ASA       = "asa"
	Filterlog = "filterlog"
	RouterOS  = "routeros"
)

// Decoder decodes messages. It serves one goroutine.
type Decoder struct {
	of    *sigma.Fields
	id    ids
	kv    pairs
	csv   [][]byte
	arena []byte
}

// New makes a Decoder over a table of fields, to which it adds the names that it
// writes.
func New(f *sigma.Fields) *Decoder {
	d := &Decoder{of: f}
	d.id.bind(f)
	return d
}

// Bare tells whether a message is of a device that sends it without the head of
// syslog.
func Bare(b []byte) bool {
	b = bytes.TrimLeft(b, " :")
	return bytes.HasPrefix(b, []byte("date=2")) || bytes.HasPrefix(b, []byte("id=")) && bytes.Contains(b[:min(len(b), 120)], []byte(" sn=")) ||
		bytes.HasPrefix(b, []byte("%ASA-")) || bytes.HasPrefix(b, []byte("%FTD-")) || isPANOS(b) || topics(b) != nil
}

// Message reads the message of a program as syslog splits them and sets further
// fields of rec, which does not lose any. It gives the format, "" where that stays
// syslog; ok is false where the message is of no device. at is when it happened,
// in nanoseconds since 1970, where the message says so better than syslog's head.
func (d *Decoder) Message(program, msg []byte, rec *sigma.Record) (format string, at int64, ok bool) {
	d.arena = d.arena[:0]
	f := fact{}
	switch {
	case bytes.HasPrefix(msg, []byte("date=2")) && bytes.Contains(msg, []byte(" devid=")) || bytes.HasPrefix(msg, []byte("logver=")) && bytes.Contains(msg, []byte(" devid=")):
		format, ok = FortiGate, true
		d.fortigate(msg, &f)
		for _, p := range d.kv.list { // rules for FortiGate know its own names
			rec.Hide(d.of.IDBytes(p.key), sigma.Bytes(p.value))
		}
	case bytes.HasPrefix(msg, []byte("id=")) && bytes.Contains(msg[:min(len(msg), 120)], []byte(" sn=")):
		format, ok = SonicWall, true
		d.sonicwall(msg, &f)
	case isPANOS(msg):
		format, ok = PANOS, true
		d.panos(msg, &f)
	case len(program) > 5 && (bytes.HasPrefix(program, []byte("%ASA-")) || bytes.HasPrefix(program, []byte("%FTD-"))):
		format, ok = ASA, true
		d.asa(program, msg, &f)
	case bytes.HasPrefix(bytes.TrimLeft(msg, " :"), []byte("%ASA-")), bytes.HasPrefix(bytes.TrimLeft(msg, " :"), []byte("%FTD-")):
		format, ok = ASA, true
		tag, rest, _ := bytes.Cut(bytes.TrimLeft(msg, " :"), []byte(": "))
		d.asa(tag, rest, &f)
	case string(program) == "filterlog":
		format, ok = Filterlog, true
		d.filterlog(msg, &f)
	case bytes.HasPrefix(program, []byte("openvpn")), bytes.HasPrefix(program, []byte("ovpn-")):
		ok = d.openvpn(msg, &f)
	case string(program) == "kernel" && bytes.Contains(msg[:min(len(msg), 60)], []byte("wireguard: ")):
		ok = d.wireguard(msg, &f)
	default:
		if t := topics(msg); t != nil {
			format, ok = RouterOS, true
			d.routeros(t, msg[len(t)+1:], &f)
		}
	}
	if ok {
		d.set(rec, &f)
	}
	return format, f.at, ok
}

// fact is what a message says. Empty parts are not said.
type fact struct {
	product                    string
	category, action, outcome  string
	reason, service            string
	method, factors            string
	user, src, dst             []byte
	sport, dport, proto        []byte
	out, in, packets, duration []byte // duration in nanoseconds
	code, rule, host, app      []byte
	at                         int64
}

// login says that somebody logged in, or tried.
func (f *fact) login(good bool) {
	f.category = "authentication"
	if good {
		f.action, f.outcome = "logon", "success"
	} else {
		f.action, f.outcome = "logon-failed", "failure"
	}
}

// gone says that somebody's session ended.
func (f *fact) gone() { f.category, f.action, f.outcome = "session", "logoff", "unknown" }

// flow says that there was a connection, or that one was refused.
func (f *fact) flow(denied bool) {
	f.category, f.action = "network", "flow"
	if denied {
		f.action, f.outcome = "denied", "failure"
	}
}

// set writes a fact into the record. What stands in the message already is hidden
// from keyword searches, which find it there.
func (d *Decoder) set(rec *sigma.Record, f *fact) {
	text := func(id sigma.FieldID, b []byte) {
		if len(b) > 0 {
			rec.Hide(id, sigma.Bytes(b))
		}
	}
	word := func(id sigma.FieldID, s string) {
		if s != "" {
			rec.Hide(id, sigma.String(s))
		}
	}
	number := func(id sigma.FieldID, b []byte) {
		if digits(b) {
			rec.Hide(id, sigma.Value{Text: b, Type: sigma.Number})
		}
	}
	word(d.id.product, f.product)
	word(d.id.category, f.category)
	word(d.id.action, f.action)
	word(d.id.outcome, f.outcome)
	word(d.id.reason, f.reason)
	word(d.id.service, f.service)
	word(d.id.method, f.method)
	word(d.id.factors, f.factors)
	if s := string(f.user); s != "N/A" && s != "n/a" && s != "unknown" && s != "*****" {
		text(d.id.user, f.user)
	}
	text(d.id.src, valid(f.src))
	text(d.id.dst, valid(f.dst))
	number(d.id.sport, f.sport)
	number(d.id.dport, f.dport)
	text(d.id.proto, protocol(f.proto))
	number(d.id.out, f.out)
	number(d.id.in, f.in)
	number(d.id.packets, f.packets)
	number(d.id.duration, f.duration)
	text(d.id.code, f.code)
	text(d.id.rule, f.rule)
	text(d.id.host, f.host)
	text(d.id.app, f.app)
}

// valid is an address that is one, without brackets.
func valid(b []byte) []byte {
	b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("[")), []byte("]"))
	if len(b) < 2 || len(b) > 64 {
		return nil
	}
	if a, err := netip.ParseAddr(string(b)); err != nil || a.IsUnspecified() {
		return nil
	}
	return b
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0 && len(b) < 20
}

// protocol is the name of a transport protocol in small letters.
func protocol(b []byte) []byte {
	switch string(b) {
	case "6":
		return []byte("tcp")
	case "17":
		return []byte("udp")
	case "1":
		return []byte("icmp")
	case "47":
		return []byte("gre")
	case "50":
		return []byte("esp")
	case "58", "icmp6", "ICMPv6":
		return []byte("ipv6-icmp")
	}
	return bytes.ToLower(b)
}

// seconds turns a number of seconds into nanoseconds.
func (d *Decoder) seconds(b []byte) []byte {
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return nil
	}
	return d.digits(n * 1e9)
}

func (d *Decoder) digits(n uint64) []byte {
	from := len(d.arena)
	d.arena = strconv.AppendUint(d.arena, n, 10)
	return d.arena[from:len(d.arena):len(d.arena)]
}

// hostPort splits "192.0.2.1:22" and "[2001:db8::1]:22"; an address alone has no
// port.
func hostPort(b []byte) (host, port []byte) {
	if valid(b) != nil {
		return b, nil
	}
	if i := bytes.LastIndexByte(b, ':'); i > 0 && digits(b[i+1:]) {
		return b[:i], b[i+1:]
	}
	return nil, nil
}

// last is the text between the last a and the first b behind it, and what stands
// before; an empty b is the end. ok only where both are there.
func last(msg []byte, a, b string) (before, text []byte, ok bool) {
	i := bytes.LastIndex(msg, []byte(a))
	if i < 0 {
		return nil, nil, false
	}
	text, _, ok = bytes.Cut(msg[i+len(a):], []byte(b))
	if b == "" {
		return msg[:i], msg[i+len(a):], true
	}
	return msg[:i], text, ok
}

type ids struct {
	product, category, action, outcome, reason, service, method, factors, user, src, dst, sport, dport, proto sigma.FieldID
	out, in, packets, duration, code, rule, host, app                                                         sigma.FieldID
}

func (x *ids) bind(f *sigma.Fields) {
	for _, n := range []struct {
		id   *sigma.FieldID
		name string
	}{
		{&x.product, "observer.product"},
		{&x.category, "event.category"},
		{&x.action, "event.action"},
		{&x.outcome, "event.outcome"},
		{&x.reason, "event.reason"},
		{&x.service, "service.name"},
		{&x.method, "lapwing.auth.method"},
		{&x.factors, "lapwing.auth.factors"},
		{&x.user, "user.name"},
		{&x.src, "source.ip"},
		{&x.dst, "destination.ip"},
		{&x.sport, "source.port"},
		{&x.dport, "destination.port"},
		{&x.proto, "network.transport"},
		{&x.out, "source.bytes"},
		{&x.in, "destination.bytes"},
		{&x.packets, "source.packets"},
		{&x.duration, "event.duration"},
		{&x.code, "event.code"},
		{&x.rule, "rule.name"},
		{&x.host, "host.name"},
		{&x.app, "network.protocol"},
	} {
		*n.id = f.Add(n.name)[0]
	}
}
