// Package textlog reads logs made of lines: syslog (RFC 3164 and 5424), web
// access logs (common and combined, as Apache and nginx write them), proxies'
// access logs (Squid's native and combined), W3C
// extended logs (IIS), auditd, the journal's export format, Zeek's tables,
// resolvers' query logs, and Windows events as XML (also those of Sysmon for
// Linux inside syslog). docs/formats/logsources.md lists the fields of each.
//
// A line that is not understood is still a record with its text as message.
package textlog

import (
	"bytes"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/device"
	"github.com/lapwing-defence/lapwing/internal/source/login"
)

// The formats that Sniff knows. They are the words that the mapping of log
// sources uses.
const (
	Syslog   = "syslog"
	Access   = "access"
	Proxy    = "proxy"
	WebError = "weberror"
	W3C      = "w3c"
	W3CProxy = "w3c-proxy" // rows of W3C whose columns are a proxy's
	Zeek     = "zeek"
	Auditd   = "auditd"
	Journal  = "journal"
	DNS      = "dns"
	XML      = "xml"
	Text     = "text"
)

// Logs that programs write themselves. Nothing in their lines says so: they are
// never recognised and have to be named.
const (
	MySQL      = "mysql"
	PostgreSQL = "postgresql"
	VSFTPD     = "vsftpd"
	Dovecot    = "dovecot"
	ProFTPD    = "proftpd"
	Exim       = "exim"
)

// Decoder decodes lines. It serves one goroutine.
type Decoder struct {
	// Now is taken for times without a year: they lie in the year before it.
	// Zero: the year 1970 is never guessed, such times are left out.
	Now time.Time
	// Location is where times without a zone are meant; nil: UTC.
	Location *time.Location

	fields *sigma.Fields
	id     ids
	arena  []byte
	table  *Header
	cols   []column
	rec    *sigma.Record
	calls  map[string]map[string]string
	said   login.Message
	device *device.Decoder
	stamp  stamp
}

// ids are the fields that the decoder writes itself.
type ids struct {
	message, program, hostname, pid, severity, facility, msgid    sigma.FieldID
	ip, user, method, stem, query, version, status, size, referer sigma.FieldID
	agent, host, srcIP, srcPort, userName, outcome, dnsQuery      sigma.FieldID
	dnsType, path, commandLine, image, syscall                    sigma.FieldID
	uri, fullURI, uriQuery, extension, proxyAgent, dns            sigma.FieldID
	dstIP, peer, action, clientAgent, peerIP, peerHost            sigma.FieldID
	uriPath, uriScheme, uriPort                                   sigma.FieldID

	journalHost, journalPID sigma.FieldID

	login loginIDs
}

// New makes a Decoder over a table of fields, to which it adds the names that
// it writes.
func New(f *sigma.Fields) *Decoder {
	d := &Decoder{fields: f, device: device.New(f)}
	for _, x := range []struct {
		id   *sigma.FieldID
		name string
	}{
		{&d.id.message, "message"},
		{&d.id.program, "program"},
		{&d.id.hostname, "hostname"},
		{&d.id.pid, "pid"},
		{&d.id.severity, "severity"},
		{&d.id.facility, "facility"},
		{&d.id.msgid, "msgid"},
		{&d.id.ip, "c-ip"},
		{&d.id.user, "cs-username"},
		{&d.id.method, "cs-method"},
		{&d.id.stem, "cs-uri-stem"},
		{&d.id.query, "cs-uri-query"},
		{&d.id.version, "cs-version"},
		{&d.id.status, "sc-status"},
		{&d.id.size, "sc-bytes"},
		{&d.id.referer, "cs-referer"},
		{&d.id.agent, "cs-user-agent"},
		{&d.id.host, "cs-host"},
		{&d.id.srcIP, "src_ip"},
		{&d.id.srcPort, "src_port"},
		{&d.id.userName, "user"},
		{&d.id.outcome, "outcome"},
		{&d.id.dnsQuery, "query"},
		{&d.id.dnsType, "record_type"},
		{&d.id.path, "_path"},
		{&d.id.commandLine, "CommandLine"},
		{&d.id.image, "Image"},
		{&d.id.syscall, "SYSCALL"},
		{&d.id.uri, "c-uri"},
		{&d.id.fullURI, "cs-uri"},
		{&d.id.uriQuery, "c-uri-query"},
		{&d.id.extension, "c-uri-extension"},
		{&d.id.proxyAgent, "c-useragent"},
		{&d.id.dns, "r-dns"},
		{&d.id.dstIP, "dst_ip"},
		{&d.id.peer, "s-hierarchy"},
		{&d.id.action, "s-action"},
		{&d.id.clientAgent, "c-agent"},
		{&d.id.peerIP, "r-ip"},
		{&d.id.peerHost, "r-host"},
		{&d.id.uriPath, "cs-uri-path"},
		{&d.id.uriScheme, "cs-uri-scheme"},
		{&d.id.uriPort, "cs-uri-port"},
		{&d.id.journalHost, "_HOSTNAME"},
		{&d.id.journalPID, "_PID"},
		{&d.id.login.category, "event.category"},
		{&d.id.login.action, "event.action"},
		{&d.id.login.outcome, "event.outcome"},
		{&d.id.login.reason, "event.reason"},
		{&d.id.login.user, "user.name"},
		{&d.id.login.target, "user.target.name"},
		{&d.id.login.ip, "source.ip"},
		{&d.id.login.port, "source.port"},
		{&d.id.login.service, "service.name"},
		{&d.id.login.host, "host.name"},
		{&d.id.login.pid, "process.pid"},
		{&d.id.login.method, "lapwing.auth.method"},
		{&d.id.login.net, "lapwing.net"},
		{&d.id.login.wide, "lapwing.net56"},
		{&d.id.login.wider, "lapwing.net48"},
	} {
		*x.id = f.Add(x.name)[0]
	}
	return d
}

// Line decodes one line of a format into rec, which it resets, and fills head.
// A line that the format does not fit is tried as the others. rec.Source is not
// set; rec.Time is, where the line says it.
func (d *Decoder) Line(format string, line []byte, rec *sigma.Record, head *logsource.Head) {
	*head = logsource.Head{Format: format}
	rec.Reset()
	d.rec, d.arena = rec, d.arena[:0]
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	if d.try(format, line, head) {
		return
	}
	for _, f := range [...]string{XML, Auditd, Proxy, Access, Syslog, WebError, DNS} {
		if f == format || !fits(f, line) {
			continue
		}
		rec.Reset()
		head.Format = f
		if d.try(f, line, head) {
			return
		}
	}
	rec.Reset()
	head.Format = Text
	rec.SetID(d.id.message, nil, sigma.Bytes(line))
}

func (d *Decoder) try(format string, line []byte, head *logsource.Head) bool {
	switch format {
	case Syslog:
		return d.syslog(line, head)
	case Access:
		return d.access(line)
	case Proxy:
		return d.proxy(line)
	case WebError:
		return d.webError(line)
	case W3C, Zeek:
		ok := d.row(line)
		if ok && d.table.w3c && d.table.proxy {
			head.Format = W3CProxy
		}
		return ok
	case Auditd:
		return d.Audit([][]byte{line}, d.rec)
	case XML:
		return d.xml(line, head)
	case DNS:
		return d.dnsLine(line)
	case MySQL, PostgreSQL, VSFTPD, Dovecot, ProFTPD, Exim:
		return d.own(format, line, head)
	}
	return false
}

// fits tells cheaply whether a line may be of a format.
func fits(format string, line []byte) bool {
	switch format {
	case XML:
		return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("<Event"))
	case Auditd:
		return bytes.Contains(line[:min(len(line), 200)], []byte("msg=audit("))
	case Proxy:
		return proxyLine(line)
	case Access:
		return bytes.IndexByte(line, '[') > 0 && bytes.IndexByte(line, '"') > 0
	case Syslog:
		return syslogStart(line)
	case WebError:
		return len(line) > 20 && (line[0] == '[' || (line[4] == '/' && line[7] == '/'))
	case DNS:
		return dnsStart(line)
	}
	return false
}

// Sniff recognises the format of a text by its first lines; Text when it
// knows none.
func Sniff(sample []byte) string {
	votes := map[string]int{}
	best, lines := Text, 0
	for len(sample) > 0 && lines < 32 {
		line := sample
		if i := bytes.IndexByte(sample, '\n'); i >= 0 {
			line, sample = sample[:i], sample[i+1:]
		} else {
			sample = nil
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if f := header(line); f != "" && lines == 0 {
			return f
		}
		lines++
		for _, f := range [...]string{XML, Auditd, Proxy, Access, Syslog, WebError, DNS} {
			if fits(f, line) {
				if votes[f]++; votes[f] > votes[best] {
					best = f
				}
				break
			}
		}
	}
	return best
}

// header recognises formats that say what they are.
func header(line []byte) string {
	switch {
	case bytes.HasPrefix(line, []byte("#separator")), bytes.HasPrefix(line, []byte("#fields\t")), bytes.HasPrefix(line, []byte("#path\t")):
		return Zeek
	case bytes.HasPrefix(line, []byte("#Software:")), bytes.HasPrefix(line, []byte("#Version:")), bytes.HasPrefix(line, []byte("#Fields:")), bytes.HasPrefix(line, []byte("#Date:")):
		return W3C
	case bytes.HasPrefix(line, []byte("__CURSOR=")), bytes.HasPrefix(line, []byte("__REALTIME_TIMESTAMP=")):
		return Journal
	case bytes.HasPrefix(line, []byte("<?xml")), bytes.HasPrefix(line, []byte("<Events")):
		return XML
	}
	return ""
}

func (d *Decoder) set(id sigma.FieldID, b []byte) {
	if len(b) > 0 {
		d.rec.SetID(id, nil, sigma.Bytes(b))
	}
}

// derive sets a field that the line holds only in other words: keyword
// searches find the words in the message already.
func (d *Decoder) derive(id sigma.FieldID, b []byte) {
	if len(b) > 0 {
		d.rec.Hide(id, sigma.Bytes(b))
	}
}

// complete derives a field that the line does not hold itself.
func (d *Decoder) complete(id sigma.FieldID, b []byte) {
	if !d.rec.Has(id) {
		d.derive(id, b)
	}
}
