package history

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Types of a record of utmp(5).
const (
	runLevel = 1
	bootTime = 2
	getty    = 6
	user     = 7
	dead     = 8
)

// record is one record of utmp(5) on a 64-bit machine, which keeps the layout
// of 32 bits: 384 bytes.
type record struct {
	kind       int16
	pid        int
	line, id   string
	user, host string
	at         time.Time
	session    int
	addr       string
	exit       int16
}

func (r record) append(b []byte) []byte {
	text := func(s string, n int) {
		b = append(b, s[:min(len(s), n)]...)
		b = append(b, make([]byte, n-min(len(s), n))...)
	}
	le := binary.LittleEndian
	b = le.AppendUint16(b, uint16(r.kind))
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(r.pid))
	text(r.line, 32)
	text(r.id, 4)
	text(r.user, 32)
	text(r.host, 256)
	b = le.AppendUint32(b, uint32(r.exit))
	b = le.AppendUint32(b, uint32(r.session))
	b = le.AppendUint32(b, uint32(r.at.Unix()))
	b = le.AppendUint32(b, uint32(r.at.Nanosecond()/1000))
	var addr [16]byte
	if a, err := netip.ParseAddr(r.addr); err == nil {
		if a.Is4() {
			v := a.As4()
			copy(addr[:], v[:])
		} else {
			addr = a.As16()
		}
	}
	b = append(b, addr[:]...)
	return append(b, make([]byte, 20)...)
}

// book is one of the books of logins.
func (o Of) book(name string, since time.Time) (vfs.Content, time.Time) {
	if name == "lastlog" {
		if !since.IsZero() {
			return nil, since
		}
		return o.lastlog()
	}
	var list []record
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
		if r.at.After(since) && !r.at.After(o.now()) {
			out = r.append(out)
		}
		if r.at.After(last) && !r.at.After(o.now()) {
			last = r.at
		}
	}
	return vfs.Bytes(out), last
}

// started are the records of a start of the host.
func (o Of) started(at time.Time) []record {
	k := o.h.p.Kernel.Release
	return []record{
		{kind: bootTime, line: "~", id: "~~", user: "reboot", host: k, at: at},
		{kind: runLevel, pid: 53, line: "~", id: "~~", user: "runlevel", host: k, at: at.Add(6 * time.Second)},
		{kind: getty, pid: o.h.unit("agetty"), line: "tty1", id: "tty1", user: "LOGIN", at: at.Add(6 * time.Second)},
	}
}

func (o Of) wtmp() []record {
	h := o.h
	out := o.started(h.installed)
	down := h.p.Boot.Add(-41 * time.Second)
	for _, l := range h.logins {
		if l.out.After(down) && l.in.Before(h.p.Boot) {
			continue
		}
		pid := h.pid(l.in) + 20
		out = append(out,
			record{kind: user, pid: pid, line: l.line, id: "ts/0", user: l.user.Name, host: l.from, addr: l.from, at: l.in.Add(200 * time.Millisecond)},
			record{kind: dead, pid: pid, line: l.line, at: l.out})
	}
	out = append(out, record{kind: runLevel, line: "~", id: "~~", user: "shutdown", host: h.p.Kernel.Release, at: down})
	out = append(out, o.started(h.p.Boot)...)
	for _, r := range o.l.Logins() {
		if r.Line == "" || r.Failed {
			continue
		}
		out = append(out, record{kind: user, pid: r.PID, line: r.Line, id: "ts/" + strings.TrimPrefix(r.Line, "pts/"), user: r.User, host: r.Host, addr: r.Host, at: r.Started})
		if !r.Ended.IsZero() {
			out = append(out, record{kind: dead, pid: r.PID, line: r.Line, at: r.Ended})
		}
	}
	slices.SortStableFunc(out, func(a, b record) int { return a.at.Compare(b.at) })
	return out
}

// btmp are the refused passwords since the first of the month.
func (o Of) btmp() []record {
	now := o.now()
	month := now.AddDate(0, 0, 1-now.Day()).Truncate(24 * time.Hour)
	var out []record
	add := func(r kernel.LoginRecord) {
		name := r.User
		if r.Invalid {
			name = r.User[:min(len(r.User), 32)]
		}
		if r.Started.After(month) {
			out = append(out, record{kind: getty, pid: r.PID, line: "ssh:notty", user: name, host: r.Host, addr: r.Host, at: r.Started})
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
func (o Of) utmp() []record {
	out := o.started(o.h.p.Boot)
	for _, r := range o.l.Logins() {
		if r.Line != "" && !r.Failed && r.Ended.IsZero() {
			out = append(out, record{kind: user, pid: r.PID, line: r.Line, id: "ts/" + strings.TrimPrefix(r.Line, "pts/"), user: r.User, host: r.Host, addr: r.Host, at: r.Started})
		}
	}
	return out
}

const lastlogSize = 292 // bytes of a record of lastlog: time, line, host

// lastlog is the last login of each user, at his number; between them are holes.
func (o Of) lastlog() (vfs.Content, time.Time) {
	last := sparse{}
	newest := o.h.p.Boot
	enter := func(uid uint32, line, host string, at time.Time) {
		b := binary.LittleEndian.AppendUint32(nil, uint32(at.Unix()))
		b = append(b, line[:min(len(line), 32)]...)
		b = append(b, make([]byte, 4+32-len(b))...)
		b = append(b, host[:min(len(host), 256)]...)
		last[int64(uid)] = append(b, make([]byte, lastlogSize-len(b))...)
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
	return (top + 1) * lastlogSize
}

func (s sparse) ReadAt(b []byte, off int64) (int, error) {
	size := s.Size()
	if off >= size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), size-off))
	clear(b[:n])
	for k, rec := range s {
		at := k*lastlogSize - off
		switch {
		case at >= int64(n) || at+lastlogSize <= 0:
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
