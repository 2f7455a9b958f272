// Package history is what a fake host has written about itself: its log, its
// journal, the books of logins. Everything follows from the persona and the
// time; what the visitor did himself comes from his Ledger.
package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// History is the past of one host, for all of its visitors.
type History struct {
	p         *persona.Persona
	pid       func(time.Time) int // the process id that is given out at a time
	installed time.Time
	logins    []login // of the people of the house, in order

	mu   sync.Mutex
	text map[string]week // what was written, by the name of the file
}

// login is a login of somebody of the house.
type login struct {
	user     persona.User
	from     string
	port     int
	line     string
	in, out  time.Time
	id       int
	mistyped bool // a wrong password came first
}

// New is the history of the host that p is; pid says which process id is given
// out at a time, installed when its first line was written.
func New(p *persona.Persona, installed time.Time, pid func(time.Time) int) *History {
	h := &History{p: p, pid: pid, installed: installed, text: map[string]week{}}
	h.people()
	return h
}

// Logins is how many logins of the house there were.
func (h *History) Logins() int { return len(h.logins) }

// draw is a number below n that belongs to this host, a word and a number.
func (h *History) draw(word string, k int64, n int) int {
	x := h.p.Seed ^ uint64(k)*0x9e3779b97f4a7c15
	for i := range len(word) {
		x = (x ^ uint64(word[i])) * 1099511628211
	}
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 32
	return int(x % uint64(n))
}

// people makes the logins: every few days one, the last as the persona says.
func (h *History) people() {
	l := h.p.LastLogin
	var staff []persona.User
	for _, u := range h.p.Users {
		if u.Human || u.UID == 0 {
			staff = append(staff, u)
		}
	}
	net := l.From[:strings.LastIndexByte(l.From, '.')+1]
	for at, i := h.installed.Add(40*time.Minute), int64(0); at.Before(l.At.Add(-26 * time.Hour)); i++ {
		u := staff[h.draw("who", i, len(staff))]
		long := time.Duration(3+h.draw("long", i, 90))*time.Minute + time.Duration(h.draw("s", i, 60))*time.Second
		h.logins = append(h.logins, login{
			user: u, from: net + strconv.Itoa(20+h.draw("from"+u.Name, 0, 60)), port: 49152 + h.draw("port", i, 16000), line: "pts/0", in: at, out: at.Add(long), id: int(i) + 1, mistyped: h.draw("typo", i, 4) == 0,
		})
		at = at.Add(time.Duration(20+h.draw("gap", i, 200)) * time.Hour).Truncate(24 * time.Hour).Add(time.Duration(6*3600+h.draw("day", i, 11*3600)) * time.Second)
	}
	u, _ := h.p.User(l.User)
	h.logins = append(h.logins, login{user: u, from: l.From, port: 50122, line: l.TTY, in: l.At, out: l.At.Add(17*time.Minute + 12*time.Second), id: len(h.logins) + 1})
}

// Began is the time of the first line there is: older ones were removed.
func (h *History) Began(now time.Time) time.Time {
	began := now.AddDate(0, 0, -35).Truncate(24 * time.Hour)
	if began.Before(h.installed) {
		return h.installed
	}
	return began
}

// Entries are the host's own lines from from up to and without to, in order.
func (h *History) Entries(from, to time.Time) []kernel.LogEntry {
	var out []kernel.LogEntry
	for day := from.Truncate(24 * time.Hour); day.Before(to); day = day.Add(24 * time.Hour) {
		d := &dayBook{h: h, day: day}
		d.write()
		slices.SortStableFunc(d.out, func(a, b kernel.LogEntry) int { return a.At.Compare(b.At) })
		for _, e := range d.out {
			if !e.At.Before(from) && e.At.Before(to) {
				out = append(out, e)
			}
		}
	}
	return out
}

// resident is the process id of a process that is always there.
func resident(p *persona.Persona, name string) int {
	for _, q := range p.Procs {
		if q.Name == name {
			return q.PID
		}
	}
	return 1
}

// dayBook writes the lines of one day.
type dayBook struct {
	h   *History
	day time.Time
	out []kernel.LogEntry
}

func (d *dayBook) log(at time.Time, f kernel.Facility, tag string, pid int, text string) {
	at = at.Truncate(time.Second).Add(time.Duration(d.h.draw(text, at.Unix(), 900_000)) * time.Microsecond)
	d.out = append(d.out, kernel.LogEntry{At: at, Facility: f, Tag: tag, PID: pid, Text: text})
}

// n is the number of the day.
func (d *dayBook) n() int64 { return d.day.Unix() / 86400 }

func (d *dayBook) write() {
	if d.day.Add(24 * time.Hour).Before(d.h.installed) {
		return
	}
	for hour := range 24 {
		d.cron(d.day.Add(time.Duration(hour)*time.Hour+17*time.Minute+time.Second), "cd / && run-parts --report /etc/cron.hourly")
	}
	d.cron(d.day.Add(3*time.Hour+10*time.Minute+time.Second), "test -e /run/systemd/system || SERVICE_MODE=1 /sbin/e2scrub_all -A -r")
	d.cron(d.day.Add(6*time.Hour+25*time.Minute+time.Second), "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }")
	if d.day.Weekday() == time.Sunday {
		d.cron(d.day.Add(3*time.Hour+30*time.Minute+time.Second), "test -e /run/systemd/system || SERVICE_MODE=1 /usr/lib/x86_64-linux-gnu/e2fsprogs/e2scrub_all_cron")
		d.cron(d.day.Add(6*time.Hour+47*time.Minute+time.Second), "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }")
	}
	if d.day.Day() == 1 {
		d.cron(d.day.Add(6*time.Hour+52*time.Minute+time.Second), "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }")
	}
	d.timers()
	d.booted()
	for _, l := range d.h.logins {
		if l.in.Before(d.day.Add(24*time.Hour)) && l.out.After(d.day) {
			d.person(l)
		}
	}
}

// cron is one job of cron, as PAM and cron tell it.
func (d *dayBook) cron(at time.Time, command string) {
	pid := d.h.pid(at)
	if d.h.p.Family == "ubuntu" && d.h.p.OS.VersionID == "22.04" {
		command = "   " + command
	}
	s := at.Truncate(time.Second).Add(time.Duration(d.h.draw("cron", at.Unix(), 600_000)) * time.Microsecond)
	for i, e := range []kernel.LogEntry{
		{Facility: kernel.Auth, PID: pid, Text: "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"},
		{Facility: kernel.Cron, PID: pid + 1, Text: "(root) CMD (" + command + ")"},
		{Facility: kernel.Auth, PID: pid, Text: "pam_unix(cron:session): session closed for user root"},
	} {
		e.Tag, e.At = "CRON", s.Add(time.Duration(i*(900+d.h.draw("us", at.Unix()+int64(i), 4000)))*time.Microsecond)
		d.out = append(d.out, e)
	}
}

// job is a service that a timer of systemd starts.
func (d *dayBook) job(at time.Time, unit, desc string, seconds int) {
	d.log(at, kernel.Daemon, "systemd", 1, "Starting "+unit+" - "+desc+"...")
	end := at.Add(time.Duration(seconds) * time.Second)
	d.log(end, kernel.Daemon, "systemd", 1, unit+": Deactivated successfully.")
	last := d.out[len(d.out)-1].At
	d.out = append(d.out, kernel.LogEntry{At: last.Add(311 * time.Microsecond), Facility: kernel.Daemon, Tag: "systemd", PID: 1, Text: "Finished " + unit + " - " + desc + "."})
}

func (d *dayBook) timers() {
	n := d.n()
	at := func(word string, span int) time.Time {
		return d.day.Add(time.Duration(d.h.draw(word, n, span)) * time.Second)
	}
	d.job(d.day.Add(time.Second), "dpkg-db-backup.service", "Daily dpkg database backup service", 1)
	d.job(d.day.Add(2*time.Second), "logrotate.service", "Rotate log files", 1)
	d.job(at("man-db", 40_000), "man-db.service", "Daily man-db regeneration", 2)
	d.job(at("apt-daily", 43_000), "apt-daily.service", "Daily apt download activities", 1)
	d.job(d.day.Add(12*time.Hour).Add(time.Duration(d.h.draw("apt2", n, 43_000))*time.Second), "apt-daily.service", "Daily apt download activities", 1)
	d.job(d.day.Add(6*time.Hour).Add(time.Duration(d.h.draw("upgrade", n, 3600))*time.Second), "apt-daily-upgrade.service", "Daily apt upgrade and clean activities", 1)
	boot := d.h.p.Boot
	d.job(d.day.Add(boot.Sub(boot.Truncate(24*time.Hour))+15*time.Minute), "systemd-tmpfiles-clean.service", "Cleanup of Temporary Directories", 1)
	switch d.day.Weekday() {
	case time.Monday:
		d.job(at("fstrim", 6000), "fstrim.service", "Discard unused blocks on filesystems from /etc/fstab", 3)
	case time.Sunday:
		d.job(d.day.Add(3*time.Hour+10*time.Minute+22*time.Second), "e2scrub_all.service", "Online ext4 Metadata Check for All Filesystems", 1)
	}
}

// booted are the first words of a day on which the host was started.
func (d *dayBook) booted() {
	p := d.h.p
	if p.Boot.Before(d.day) || !p.Boot.Before(d.day.Add(24*time.Hour)) {
		return
	}
	for i, text := range []string{p.Kernel.Proc, "Command line: " + p.Kernel.Cmdline, "Hypervisor detected: KVM"} {
		d.log(p.Boot.Add(time.Duration(i)*time.Millisecond), kernel.Kern, "kernel", 0, "["+fmt.Sprintf("%12.6f", float64(i)*0.000_012)+"] "+text)
	}
	for _, u := range p.Units {
		d.log(p.Boot.Add(4*time.Second), kernel.Daemon, "systemd", 1, "Started "+u.Name+" - "+u.Description+".")
	}
	d.log(p.Boot.Add(5*time.Second), kernel.Daemon, "systemd", 1, "Reached target multi-user.target - Multi-User System.")
	d.log(p.Boot.Add(6*time.Second), kernel.Daemon, "systemd", 1, "Startup finished in 2.611s (kernel) + 5.302s (userspace) = 7.914s.")
}

// person is a login of the house from its first to its last line.
func (d *dayBook) person(l login) {
	r := kernel.LoginRecord{User: l.user.Name, UID: l.user.UID, Host: l.from, Line: l.line, PID: d.h.pid(l.in), ID: strconv.Itoa(l.id), Started: l.in, Ended: l.out, Service: "ssh"}
	if l.mistyped {
		w := r
		w.Failed, w.Started = true, l.in.Add(-6*time.Second)
		d.out = append(d.out, Told(d.h.p, w, l.port)...)
	}
	d.out = append(d.out, Told(d.h.p, r, l.port)...)
}

// Told is what the log says of a login.
func Told(p *persona.Persona, r kernel.LoginRecord, port int) []kernel.LogEntry {
	var out []kernel.LogEntry
	logind := resident(p, "systemd-logind")
	log := func(at time.Time, f kernel.Facility, tag string, pid int, format string, args ...any) {
		out = append(out, kernel.LogEntry{At: at, Facility: f, Tag: tag, PID: pid, Text: fmt.Sprintf(format, args...)})
	}
	at := func(d time.Duration) time.Time { return r.Started.Add(d) }
	if r.Failed {
		user, unix := r.User, "  user="+r.User
		if r.Invalid {
			user, unix = "invalid user "+r.User, ""
			log(at(-2*time.Second), kernel.Auth, "sshd", r.PID, "Invalid user %s from %s port %d", r.User, r.Host, port)
			log(at(-1900*time.Millisecond), kernel.Auth, "sshd", r.PID, "pam_unix(sshd:auth): check pass; user unknown")
		}
		log(at(-1800*time.Millisecond), kernel.Auth, "sshd", r.PID, "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s%s", r.Host, unix)
		log(at(0), kernel.Auth, "sshd", r.PID, "Failed password for %s from %s port %d ssh2", user, r.Host, port)
		return out
	}
	log(at(0), kernel.Auth, "sshd", r.PID, "Accepted password for %s from %s port %d ssh2", r.User, r.Host, port)
	log(at(2*time.Millisecond), kernel.Auth, "sshd", r.PID, "pam_unix(sshd:session): session opened for user %s(uid=%d) by (uid=0)", r.User, r.UID)
	log(at(8*time.Millisecond), kernel.Auth, "systemd-logind", logind, "New session %s of user %s.", r.ID, r.User)
	log(at(9*time.Millisecond), kernel.Daemon, "systemd", 1, "Started session-%s.scope - Session %[1]s of User %s.", r.ID, r.User)
	if p.Family == "debian" {
		log(at(31*time.Millisecond), kernel.Auth, "sshd", r.PID, "pam_env(sshd:session): deprecated reading of user environment enabled")
	}
	if r.Ended.IsZero() {
		return out
	}
	end := func(d time.Duration) time.Time { return r.Ended.Add(d) }
	worker := r.PID
	if r.UID != 0 {
		worker++
	}
	log(end(0), kernel.Auth, "sshd", worker, "Received disconnect from %s port %d:11: disconnected by user", r.Host, port)
	log(end(time.Millisecond), kernel.Auth, "sshd", worker, "Disconnected from user %s %s port %d", r.User, r.Host, port)
	log(end(2*time.Millisecond), kernel.Auth, "sshd", r.PID, "pam_unix(sshd:session): session closed for user %s", r.User)
	log(end(9*time.Millisecond), kernel.Daemon, "systemd", 1, "session-%s.scope: Deactivated successfully.", r.ID)
	log(end(11*time.Millisecond), kernel.Auth, "systemd-logind", logind, "Session %s logged out. Waiting for processes to exit.", r.ID)
	log(end(13*time.Millisecond), kernel.Auth, "systemd-logind", logind, "Removed session %s.", r.ID)
	return out
}
