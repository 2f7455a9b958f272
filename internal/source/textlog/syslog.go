package textlog

import (
	"bytes"
	"cmp"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/source/device"
)

// syslogStart tells whether a line begins as syslog does, or as a device's message
// that goes without its head.
func syslogStart(b []byte) bool {
	if device.Bare(b) {
		return true
	}
	if len(b) > 2 && b[0] == '<' && b[1] >= '0' && b[1] <= '9' {
		return true
	}
	if _, _, ok := clock3164(b); ok {
		return true
	}
	_, _, ok := clockISO(b)
	return ok
}

// syslog decodes RFC 5424, RFC 3164, and RFC 3164 with an ISO time.
func (d *Decoder) syslog(b []byte, head *logsource.Head) bool {
	pri := -1
	if len(b) > 0 && b[0] == '<' {
		i := bytes.IndexByte(b[:min(len(b), 6)], '>')
		if i < 2 {
			return false
		}
		n, err := strconv.Atoi(string(b[1:i]))
		if err != nil || n > 191 {
			return false
		}
		pri, b = n, b[i+1:]
	}
	if pri >= 0 {
		d.derive(d.id.facility, []byte(facilities[pri>>3]))
		d.derive(d.id.severity, []byte(severities[pri&7]))
	}
	if bytes.HasPrefix(b, []byte("1 ")) && pri >= 0 {
		return d.rfc5424(b[2:], head)
	}
	if device.Bare(b) {
		d.message(nil, b, head)
		return true
	}
	if d.cisco(b, head) {
		return true
	}
	rest, ok := d.clock(b)
	if !ok && pri < 0 {
		return false
	}
	host, rest := word(rest)
	if len(host) > 0 && host[len(host)-1] == ':' || bytes.IndexByte(host, '[') > 0 { // the host was left out
		host, rest = nil, append(append(d.arena[len(d.arena):], host...), append([]byte(" "), rest...)...)
	}
	d.set(d.id.hostname, host)
	program, pid, msg := tag(rest)
	d.set(d.id.program, program)
	d.set(d.id.pid, pid)
	if d.message(program, msg, head) {
		d.derive(d.id.login.host, host)
		d.derive(d.id.login.pid, pid)
	}
	return true
}

// cisco decodes a line of ASA or FTD that tells the year, which syslog does not:
// "Nov 25 2026 10:00:00 asa1 : %ASA-6-302013: Built ...".
func (d *Decoder) cisco(b []byte, head *logsource.Head) bool {
	const clock = "Jan _2 2006 15:04:05"
	if len(b) < len(clock) || b[11] != ' ' || b[3] != ' ' {
		return false
	}
	i := bytes.IndexByte(b[:min(len(b), 120)], '%')
	if i < len(clock) || !device.Bare(b[i:]) {
		return false
	}
	loc := d.Location
	if loc == nil {
		loc = time.UTC
	}
	t, err := time.ParseInLocation(clock, string(b[:len(clock)]), loc)
	if err != nil {
		return false
	}
	d.rec.Time = t.UnixNano()
	host, _, _ := bytes.Cut(bytes.TrimLeft(b[len(clock):i], ": "), []byte(" "))
	d.set(d.id.hostname, host)
	if d.message(nil, b[i:], head) {
		d.derive(d.id.login.host, host)
	}
	return true
}

var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

var severities = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

func (d *Decoder) rfc5424(b []byte, head *logsource.Head) bool {
	var parts [5][]byte // time, host, app, procid, msgid
	for i := range parts {
		parts[i], b = word(b)
		if len(parts[i]) == 0 {
			return false
		}
		if string(parts[i]) == "-" {
			parts[i] = nil
		}
	}
	if t, ok := logsource.ParseTime(parts[0]); ok {
		d.rec.Time = t
	}
	d.set(d.id.hostname, parts[1])
	d.set(d.id.program, parts[2])
	d.set(d.id.pid, parts[3])
	d.set(d.id.msgid, parts[4])
	b = structured(b)
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if d.message(parts[2], b, head) {
		d.derive(d.id.login.host, parts[1])
		d.derive(d.id.login.pid, parts[3])
	}
	return true
}

// structured skips structured data.
func structured(b []byte) []byte {
	if len(b) > 0 && b[0] == '-' {
		return bytes.TrimPrefix(b[1:], []byte(" "))
	}
	for len(b) > 0 && b[0] == '[' {
		i, quoted := 1, false
		for ; i < len(b) && (quoted || b[i] != ']'); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				quoted = !quoted
			}
		}
		b = b[min(i+1, len(b)):]
	}
	return bytes.TrimPrefix(b, []byte(" "))
}

// word is the text up to a space and what follows it.
func word(b []byte) (first, rest []byte) {
	if before, after, ok := bytes.Cut(b, []byte{' '}); ok {
		return before, after
	}
	return b, nil
}

// tag splits "sshd[123]: text".
func tag(b []byte) (program, pid, msg []byte) {
	end := 0
	for end < len(b) && end < 128 && b[end] != ':' && b[end] != '[' && b[end] != ' ' {
		end++
	}
	if end == 0 || end == min(len(b), 128) {
		return nil, nil, b
	}
	program, rest := b[:end], b[end:]
	if rest[0] == '[' {
		i := bytes.IndexByte(rest, ']')
		if i < 0 {
			return nil, nil, b
		}
		pid, rest = rest[1:i], rest[i+1:]
	}
	if len(rest) > 0 && rest[0] == ':' {
		return program, pid, bytes.TrimPrefix(rest[1:], []byte(" "))
	}
	if len(rest) > 1 && rest[0] == ' ' && rest[1] == '-' || pid != nil {
		return program, pid, bytes.TrimLeft(rest, " ")
	}
	return nil, nil, b
}

// message sets the text and what the best-known programs say in theirs. It tells
// whether that is about access.
func (d *Decoder) message(program, msg []byte, head *logsource.Head) bool {
	if len(msg) > 6 && msg[0] == '<' && bytes.HasPrefix(msg, []byte("<Event")) && d.xml(msg, head) {
		return false
	}
	if i := bytes.Index(msg[:min(len(msg), 100)], []byte("msg=audit(")); i >= 0 {
		if d.Audit([][]byte{msg}, d.rec) {
			head.Format = Auditd
			return false
		}
	}
	d.set(d.id.message, msg)
	if d.login(program, msg) {
		return true
	}
	if format, at, ok := d.device.Message(program, msg, d.rec); ok {
		head.Format = cmp.Or(format, head.Format)
		d.rec.Time = cmp.Or(at, d.rec.Time)
		return true
	}
	switch {
	case bytes.HasPrefix(program, []byte("named")), bytes.HasPrefix(program, []byte("dnsmasq")), bytes.HasPrefix(program, []byte("unbound")),
		string(program) == "queries": // BIND's own file with ISO times: its category stands where a program does
		d.resolver(msg)
	case bytes.HasPrefix(program, []byte("nginx")), bytes.HasPrefix(program, []byte("apache")), string(program) == "httpd", string(program) == "haproxy":
		if fits(Access, msg) && d.access(msg) {
			head.Format = Access
		}
	}
	return false
}

// stamp is the time that a line began with last: many lines share a second.
type stamp struct {
	text [15]byte
	now  int64
	at   int64
	set  bool
}

// clock reads the time that a line begins with, which it sets. rest is what
// follows it, or the whole where there is none.
func (d *Decoder) clock(b []byte) (rest []byte, ok bool) {
	s := &d.stamp
	if s.set && len(b) > 15 && b[15] == ' ' && string(b[:15]) == string(s.text[:]) && s.now == d.Now.Unix() {
		d.rec.Time = s.at
		return b[16:], true
	}
	if rest, at, ok := clock3164(b); ok {
		d.rec.Time = d.guessYear(at)
		copy(s.text[:], b)
		s.now, s.at, s.set = d.Now.Unix(), d.rec.Time, true
		return rest, true
	}
	if rest, at, ok := clockISO(b); ok {
		d.rec.Time = at.UnixNano()
		return rest, true
	}
	return b, false
}

// clock3164 reads "Feb  3 04:05:06 ".
func clock3164(b []byte) (rest []byte, t time.Time, ok bool) {
	if len(b) < 16 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' || b[15] != ' ' {
		return nil, t, false
	}
	month := month3(b[:3])
	day := digit2(b[4:])
	h, m, s := digit2(b[7:]), digit2(b[10:]), digit2(b[13:])
	if month == 0 || day < 1 || h < 0 || m < 0 || s < 0 {
		return nil, t, false
	}
	return b[16:], time.Date(0, month, day, h, m, s, 0, time.UTC), true
}

// clockISO reads "2024-01-02T03:04:05.6+01:00 ".
func clockISO(b []byte) (rest []byte, t time.Time, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[10] != 'T' {
		return nil, t, false
	}
	w, rest := word(b)
	n, ok := logsource.ParseTime(w)
	return rest, time.Unix(0, n).UTC(), ok
}

func month3(b []byte) time.Month {
	i := bytes.Index([]byte("JanFebMarAprMayJunJulAugSepOctNovDec"), b[:3])
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}

// digit2 reads two digits, the first of which may be a space; -1 for others.
func digit2(b []byte) int {
	a := b[0]
	if a == ' ' {
		a = '0'
	}
	if a < '0' || a > '9' || b[1] < '0' || b[1] > '9' {
		return -1
	}
	return int(a-'0')*10 + int(b[1]-'0')
}

// guessYear puts a time without a year into the year that ends a day after Now.
func (d *Decoder) guessYear(t time.Time) int64 {
	if d.Now.IsZero() {
		return 0
	}
	loc := d.Location
	if loc == nil {
		loc = time.UTC
	}
	year := d.Now.In(loc).Year()
	in := func(year int) time.Time {
		return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, loc)
	}
	at := in(year)
	if next := in(year + 1); !next.After(d.Now.Add(24 * time.Hour)) { // New Year, elsewhere already
		at = next
	} else if at.After(d.Now.Add(24 * time.Hour)) {
		at = in(year - 1)
	}
	for range 8 { // the 29th of February
		if at.Day() == t.Day() {
			break
		}
		year--
		at = in(year)
	}
	return at.UnixNano()
}
