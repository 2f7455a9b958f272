package kernel

import (
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// The most that a Ledger holds; the oldest goes first.
const (
	maxLogins  = 200
	maxLogged  = 400
	maxLogged1 = 400 // bytes of one line
)

// Facility is where a log line belongs.
type Facility int

// The facilities that are told apart.
const (
	Daemon Facility = iota
	Auth
	Cron
	Kern
)

// LogEntry is one line of the host's log.
type LogEntry struct {
	At       time.Time
	Facility Facility
	Tag      string // "sshd"
	PID      int    // 0 = none
	Text     string
}

// Journal tells what the host has written to its log.
type Journal interface {
	// Entries are the lines from from up to and without to, in order of time.
	Entries(from, to time.Time) []LogEntry
	// Began is the time of the first line there is.
	Began() time.Time
}

// LoginRecord is one login as the host's books have it.
type LoginRecord struct {
	User    string
	UID     uint32
	From    netip.AddrPort
	Host    string // the address as text
	Service string
	Line    string // "pts/0", "" without a terminal
	PID     int    // of sshd's process
	ID      string // of systemd-logind's session
	Started time.Time
	Ended   time.Time // zero while it lasts
	Failed  bool      // a refused password; Invalid: for a user that does not exist
	Invalid bool

	uses int
}

// Ledger holds what the visitor himself left in the host's books: his logins
// and what his programs logged. It is safe for concurrent use.
type Ledger struct {
	mu     sync.Mutex
	logins []*LoginRecord
	lines  []LogEntry
	last   int // the last id that was given to a login
}

// NewLedger is an empty book; ids of logins begin after first.
func NewLedger(first int) *Ledger { return &Ledger{last: first} }

// LoggedIn enters a login, or one more session of a connection that has one
// already; end is to be called when the session ends.
func (l *Ledger) LoggedIn(r LoginRecord) (id string, end func(at time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rec *LoginRecord
	for _, o := range l.logins {
		if !o.Failed && o.Ended.IsZero() && o.From == r.From && o.User == r.User && o.Service == r.Service {
			rec = o
		}
	}
	if rec == nil {
		l.last++
		r.ID = strconv.Itoa(l.last)
		rec = &r
		l.enter(rec)
	}
	rec.uses++
	var once sync.Once
	return rec.ID, func(at time.Time) {
		once.Do(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if rec.uses--; rec.uses == 0 {
				rec.Ended = at
			}
		})
	}
}

func (l *Ledger) enter(r *LoginRecord) {
	if len(l.logins) >= maxLogins {
		l.logins = append(l.logins[:0], l.logins[1:]...)
	}
	l.logins = append(l.logins, r)
}

// Terminal says which line the login of a connection got.
func (l *Ledger) Terminal(from netip.AddrPort, user, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.logins {
		if o.Ended.IsZero() && !o.Failed && o.From == from && o.User == user && o.Line == "" {
			o.Line = line
		}
	}
}

// Refused enters a refused password.
func (l *Ledger) Refused(r LoginRecord) {
	r.Failed, r.Ended = true, r.Started
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter(&r)
}

// Log enters a line of a visitor's program.
func (l *Ledger) Log(e LogEntry) {
	e.Text = e.Text[:min(len(e.Text), maxLogged1)]
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= maxLogged {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, e)
}

// Logins are the logins in the order they were entered.
func (l *Ledger) Logins() []LoginRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]LoginRecord, len(l.logins))
	for i, r := range l.logins {
		out[i] = *r
	}
	return out
}

// Lines are the lines that were entered, in order.
func (l *Ledger) Lines() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]LogEntry(nil), l.lines...)
}

// Restore puts logins of earlier visits before those there are: they are over.
func (l *Ledger) Restore(logins []LoginRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var old []*LoginRecord
	l.last += len(logins)
	for _, r := range logins[max(0, len(logins)-maxLogins):] {
		if r.Ended.IsZero() {
			r.Ended = r.Started
		}
		old = append(old, &r)
	}
	l.logins = append(old, l.logins...)
}

// Log writes a line to the host's log.
func (p *Proc) Log(f Facility, tag, text string) {
	p.M.Ledger.Log(LogEntry{At: p.Now(), Facility: f, Tag: tag, PID: p.PID, Text: text})
}
