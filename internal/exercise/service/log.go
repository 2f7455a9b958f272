package service

import (
	"fmt"
	"strings"

	decoyrecord "github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/record"
)

func clip(s string, n int) string { return s[:min(len(s), n)] }

// event begins an event of this connection.
func (v *visit) event(action string) event.Event {
	h := v.c.Host
	e := event.Event{
		ID: h.ids.New(), Time: h.c.Clock.Now(), Source: v.src, Destination: v.dst, Transport: "tcp", Protocol: v.kind.Name,
		Host: h.Name(), Persona: h.c.Persona, Connection: v.id,
	}
	if v.conn == nil {
		e.Transport = "udp"
	}
	e.Describe(action)
	if v.decoy {
		e.Dataset, e.Decoy = "decoy."+v.kind.Name, v.kind.Name
	}
	return e
}

// emit hands e over; what the sink refuses is counted.
func (v *visit) emit(e event.Event) {
	if err := v.c.Host.c.Sink.Emit(v.ctx, e); err != nil {
		v.stats.unsent.Add(1)
	}
}

// Datasets of servers' own logs, named as Filebeat names them.
const (
	datasetAuth   = "system.auth"
	datasetSyslog = "system.syslog"
)

// logged writes a line of a server's own log, on hosts that are no decoys.
func (v *visit) logged(dataset, program, text string, fill func(*event.Event)) {
	if v.decoy {
		return
	}
	e := v.event("logged")
	e.Dataset = dataset
	e.Add("process.name", program)
	e.Add("host.name", v.c.Host.Name())
	if fill != nil {
		fill(&e)
	}
	e.Add("message", text)
	v.emit(e)
}

// syslog writes a line of the system's log; Windows has none.
func (v *visit) syslog(program, format string, args ...any) {
	if v.c.Host.records != nil {
		return
	}
	v.logged(datasetSyslog, program, fmt.Sprintf(format, args...), nil)
}

// admit judges a user and password. A decoy reports the try at once; what an
// ordinary server writes is the caller's to log.
func (v *visit) admit(user, password string) judgement {
	j := v.c.Host.check(v.c.Accept, user, password)
	v.tried(j, user, password)
	return j
}

// tried reports a login to a decoy.
func (v *visit) tried(j judgement, user, password string) {
	if !v.decoy {
		return
	}
	e := v.event(event.ActionLogin)
	e.User, e.Outcome, e.Depth, e.LogType = clip(user, 256), "failure", event.DepthTry, v.kind.decoy.login
	if j.ok {
		e.Outcome, e.Depth = "success", event.DepthEnter
	}
	e.Add(decoyrecord.PasswordField, clip(password, 256))
	e.Add(decoyrecord.TokenField, j.token)
	v.emit(e)
}

// prove judges who proves to know a password without sending it.
func (v *visit) prove(user string, knows func(password string) bool) judgement {
	list := v.c.Host.passwords(v.c.Accept, user)
	for _, p := range list {
		if knows(p) {
			return v.admit(canonical(v, user), p)
		}
	}
	j := judgement{known: len(list) > 0}
	v.tried(j, user, "")
	return j
}

// canonical is the user's name as the scenario writes it.
func canonical(v *visit, user string) string {
	for _, list := range [][]Credential{v.c.Host.c.Accept, v.c.Accept} {
		for _, c := range list {
			if strings.EqualFold(c.User, user) {
				return c.User
			}
		}
	}
	for _, t := range v.c.Host.c.Tokens {
		if strings.EqualFold(t.User, user) {
			return t.User
		}
	}
	return user
}

// logon writes what a login leaves: on Windows in the security log, elsewhere a
// line of the program.
func (v *visit) logon(j judgement, user, station string, kind int, program, line string) {
	h := v.c.Host
	switch {
	case v.decoy:
	case h.records != nil:
		l := record.Logon{User: clip(user, 128), Type: kind, From: v.src, Station: clip(station, 64), Failed: !j.ok, Unknown: !j.known, NTLM: kind == 3}
		v.records(h.records.Logon(l))
	default:
		v.logged(datasetAuth, program, line, authenticated(j, user))
	}
}

// records hands over records of the host as of this connection.
func (v *visit) records(list []event.Event) {
	for _, e := range list {
		e.Source, e.Destination, e.Connection, e.Persona = v.src, v.dst, v.id, v.c.Host.c.Persona
		v.emit(e)
	}
}

// query reports on a decoy what a client asked for in a protocol of its own.
func (v *visit) query(what, text string) {
	if !v.decoy {
		return
	}
	e := v.event("request")
	e.Category, e.Type, e.Depth, e.Reason = "network", "info", event.DepthTry, clip(what+" "+text, 1000)
	v.emit(e)
}

// authenticated fills in what a login is in an ordinary server's log.
func authenticated(j judgement, user string) func(*event.Event) {
	return func(e *event.Event) {
		e.Category, e.Type, e.User, e.Outcome = "authentication", "start", clip(user, 256), "failure"
		if j.ok {
			e.Outcome = "success"
		}
	}
}

// read tells that a visitor got a file; planted ones on every host.
func (v *visit) read(f File, user string) {
	if f.Token == "" && !v.decoy {
		return
	}
	e := v.event(event.ActionFileRead)
	e.Path, e.Size, e.User, e.Depth = f.Path, int64(len(f.Content)), user, event.DepthAct
	e.Add(decoyrecord.TokenField, f.Token)
	v.emit(e)
}
