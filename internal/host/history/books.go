package history

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/utmp"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// book is one of the books of logins.
func (o Of) book(name string, since time.Time) (vfs.Content, time.Time) {
	if name == "lastlog" {
		if !since.IsZero() {
			return nil, since
		}
		return o.lastlog()
	}
	var list []utmp.Record
	switch name {
	case "wtmp":
		list = o.wtmp()
	case "btmp":
		list = o.btmp()
	case "utmp":
		list = o.utmp()
	}
	var out []byte
	last := o.h.p.Boot
	for _, r := range list {
		if r.At.After(since) && !r.At.After(o.now()) {
			out = r.Append(out)
		}
		if r.At.After(last) && !r.At.After(o.now()) {
			last = r.At
		}
	}
	return vfs.Bytes(out), last
}

// started are the records of a start of the host.
func (o Of) started(at time.Time) []utmp.Record {
	k := o.h.p.Kernel.Release
	return []utmp.Record{
		{Kind: utmp.BootTime, Line: "~", ID: "~~", User: "reboot", Host: k, At: at},
		{Kind: utmp.RunLevel, PID: 53, Line: "~", ID: "~~", User: "runlevel", Host: k, At: at.Add(6 * time.Second)},
		{Kind: utmp.Getty, PID: resident(o.h.p, "agetty"), Line: "tty1", ID: "tty1", User: "LOGIN", At: at.Add(6 * time.Second)},
	}
}

func (o Of) wtmp() []utmp.Record {
	h := o.h
	out := o.started(h.installed)
	down := h.p.Boot.Add(-41 * time.Second)
	for _, l := range h.logins {
		if l.out.After(down) && l.in.Before(h.p.Boot) {
			continue
		}
		pid := h.pid(l.in) + 20
		out = append(out,
			utmp.Record{Kind: utmp.User, PID: pid, Line: l.line, ID: "ts/0", User: l.user.Name, Host: l.from, Addr: utmp.Addr(l.from), At: l.in.Add(200 * time.Millisecond)},
			utmp.Record{Kind: utmp.Dead, PID: pid, Line: l.line, At: l.out})
	}
	out = append(out, utmp.Record{Kind: utmp.RunLevel, Line: "~", ID: "~~", User: "shutdown", Host: h.p.Kernel.Release, At: down})
	out = append(out, o.started(h.p.Boot)...)
	for _, r := range o.l.Logins() {
		if r.Line == "" || r.Failed {
			continue
		}
		out = append(out, utmp.Record{Kind: utmp.User, PID: r.PID, Line: r.Line, ID: "ts/" + strings.TrimPrefix(r.Line, "pts/"), User: r.User, Host: r.Host, Addr: utmp.Addr(r.Host), At: r.Started})
		if !r.Ended.IsZero() {
			out = append(out, utmp.Record{Kind: utmp.Dead, PID: r.PID, Line: r.Line, At: r.Ended})
		}
	}
	slices.SortStableFunc(out, func(a, b utmp.Record) int { return a.At.Compare(b.At) })
	return out
}

// btmp are the refused passwords since the first of the month.
func (o Of) btmp() []utmp.Record {
	now := o.now()
	month := now.AddDate(0, 0, 1-now.Day()).Truncate(24 * time.Hour)
	var out []utmp.Record
	add := func(r kernel.LoginRecord) {
		name := r.User
		if r.Invalid {
			name = r.User[:min(len(r.User), 32)]
		}
		if r.Started.After(month) {
			out = append(out, utmp.Record{Kind: utmp.Getty, PID: r.PID, Line: "ssh:notty", User: name, Host: r.Host, Addr: utmp.Addr(r.Host), At: r.Started})
		}
	}
	for _, l := range o.h.logins {
		if l.mistyped {
			add(kernel.LoginRecord{User: l.user.Name, PID: o.h.pid(l.in), Host: l.from, Started: l.in.Add(-6 * time.Second)})
		}
	}
	for _, r := range o.l.Logins() {
		if r.Failed && r.Service == "ssh" {
			add(r)
		}
	}
	return out
}

// utmp is who is here now.
func (o Of) utmp() []utmp.Record {
	out := o.started(o.h.p.Boot)
	for _, r := range o.l.Logins() {
		if r.Line != "" && !r.Failed && r.Ended.IsZero() {
			out = append(out, utmp.Record{Kind: utmp.User, PID: r.PID, Line: r.Line, ID: "ts/" + strings.TrimPrefix(r.Line, "pts/"), User: r.User, Host: r.Host, Addr: utmp.Addr(r.Host), At: r.Started})
		}
	}
	return out
}

// lastlog is the last login of each user, at his number; between them are holes.
func (o Of) lastlog() (vfs.Content, time.Time) {
	last := sparse{}
	newest := o.h.p.Boot
	enter := func(uid uint32, line, host string, at time.Time) {
		last[int64(uid)] = utmp.Lastlog{At: at, Line: line, Host: host}.Append(nil)
		if at.After(newest) {
			newest = at
		}
	}
	for _, l := range o.h.logins {
		enter(l.user.UID, l.line, l.from, l.in)
	}
	for _, r := range o.l.Logins() {
		if r.Line != "" && !r.Failed {
			enter(r.UID, r.Line, r.Host, r.Started)
		}
	}
	return last, newest
}

// sparse is a content with records at some numbers, and zeros between.
type sparse map[int64][]byte

func (s sparse) Size() int64 {
	top := int64(-1)
	for n := range s {
		top = max(top, n)
	}
	return (top + 1) * utmp.LastlogSize
}

func (s sparse) ReadAt(b []byte, off int64) (int, error) {
	size := s.Size()
	if off >= size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), size-off))
	clear(b[:n])
	for k, rec := range s {
		at := k*utmp.LastlogSize - off
		switch {
		case at >= int64(n) || at+utmp.LastlogSize <= 0:
		case at < 0:
			copy(b[:n], rec[-at:])
		default:
			copy(b[at:n], rec)
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
