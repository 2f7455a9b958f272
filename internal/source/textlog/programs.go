package textlog

import (
	"bytes"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/nets"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/login"
)

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

// loginIDs are the fields of what a line says about access.
type loginIDs struct {
	category, action, outcome, reason, user, target, ip, port, service, host, pid, method, net, wide, wider sigma.FieldID
}

// login sets what the message of a program says about access. It is false where
// it says nothing.
func (d *Decoder) login(program, msg []byte) bool {
	m, id := &d.said, &d.id.login
	if !login.Parse(program, msg, m) {
		return false
	}
	if m.Service == "sudo" {
		d.sudo(msg)
	}
	d.derive(d.id.userName, m.User)
	d.word(d.id.outcome, m.Action.Outcome())
	d.derive(d.id.srcIP, m.IP)
	if m.IP == nil {
		d.derive(d.id.srcIP, m.Host)
	}
	d.derive(d.id.srcPort, m.Port)

	d.word(id.category, m.Action.Category())
	d.word(id.action, m.Action.String())
	d.word(id.outcome, m.Action.Outcome())
	d.word(id.reason, m.Reason)
	d.word(id.service, m.Service)
	d.derive(id.user, m.User)
	d.derive(id.target, m.Target)
	d.derive(id.ip, m.IP)
	d.derive(id.port, m.Port)
	d.derive(id.method, m.Method)
	d.rec.Repeat = m.Count
	if m.Addr.IsValid() {
		d.nets(m)
	}
	return true
}

// nets sets the prefixes under which the source is counted.
func (d *Decoder) nets(m *login.Message) {
	id := &d.id.login
	net, wide, wider := nets.Of(m.Addr)
	from := len(d.arena)
	d.arena = nets.Append(d.arena, net)
	d.derive(id.net, d.arena[from:len(d.arena):len(d.arena)])
	if !wide.IsValid() {
		return
	}
	from = len(d.arena)
	d.arena = nets.Append(d.arena, wide)
	d.derive(id.wide, d.arena[from:len(d.arena):len(d.arena)])
	from = len(d.arena)
	d.arena = nets.Append(d.arena, wider)
	d.derive(id.wider, d.arena[from:len(d.arena):len(d.arena)])
}

// word derives a field that is one of few words.
func (d *Decoder) word(id sigma.FieldID, s string) {
	if s != "" {
		d.rec.Hide(id, sigma.String(s))
	}
}

// sudo splits "who : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh" into the
// names that rules for sudo use.
func (d *Decoder) sudo(msg []byte) {
	_, rest, _ := bytes.Cut(msg, []byte(" : "))
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

// own decodes a line of a program's own log file, which the caller knows to be
// its: such lines do not say whose they are.
func (d *Decoder) own(program string, b []byte, head *logsource.Head) bool {
	head.Format = Syslog
	d.rec.Time = ownTime(b)
	d.set(d.id.message, b)
	d.word(d.id.program, program)
	msg := b
	switch program {
	case VSFTPD:
		if i := bytes.Index(b[:min(len(b), 40)], []byte("[pid ")); i >= 0 {
			msg = b[i:]
		}
	case Dovecot:
		if i := bytes.Index(b[:min(len(b), 48)], []byte("-login: ")); i >= 0 {
			msg = b[bytes.LastIndexByte(b[:i], ' ')+1:]
		}
	}
	d.login([]byte(program), msg)
	return true
}

// ownTime reads the times with which programs begin the lines of their own logs;
// 0 for others.
func ownTime(b []byte) int64 {
	for _, n := range [...]int{27, 26, 23, 19} { // with and without parts of a second
		if len(b) < n {
			continue
		}
		if t, ok := logsource.ParseTime(b[:n]); ok {
			return t
		}
	}
	if len(b) >= 24 {
		if t, err := time.Parse(time.ANSIC, string(b[:24])); err == nil {
			return t.UnixNano()
		}
	}
	return 0
}
