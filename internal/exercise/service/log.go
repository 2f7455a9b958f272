package service

import (
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
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
	if h.c.Decoy {
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
	if v.c.Host.c.Decoy {
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

// syslog writes a line of the system's log.
func (v *visit) syslog(program, format string, args ...any) {
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
	if !v.c.Host.c.Decoy {
		return
	}
	e := v.event(event.ActionLogin)
	e.User, e.Outcome, e.Depth, e.LogType = clip(user, 256), "failure", event.DepthTry, v.kind.decoy.login
	if j.ok {
		e.Outcome, e.Depth = "success", event.DepthEnter
	}
	e.Add(record.PasswordField, clip(password, 256))
	e.Add(record.TokenField, j.token)
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
	if f.Token == "" && !v.c.Host.c.Decoy {
		return
	}
	e := v.event(event.ActionFileRead)
	e.Path, e.Size, e.User, e.Depth = f.Path, int64(len(f.Content)), user, event.DepthAct
	e.Add(record.TokenField, f.Token)
	v.emit(e)
}
