package kernel

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Table is the process table of a Machine: the persona's resident processes
// and what visitors run.
type Table struct {
	now      func() time.Time
	boot     time.Time
	mu       sync.Mutex
	next     int
	limit    int // pid_max
	resident []persona.Process
	gone     map[int]bool // resident processes that a visitor killed
	live     map[int]*liveProc
}

type liveProc struct {
	p      *Proc
	dir    string // the working directory it began in
	start  time.Time
	cancel context.CancelCauseFunc
	env    string // as it began: KEY=value and a NUL each
}

// Entry is one row of the process table.
type Entry struct {
	persona.Process
	UID     uint32
	Started time.Time
	Args    []string // of a visitor's program, else nil
	Live    bool     // run by a visitor
	PGID    int
	Dir     string // working directory it began in, "" = /
	Environ string // of a visitor's program, as it began
	Scope   string // id of the login session it belongs to, "" = none
}

// NewTable starts pids for visitors at first.
func NewTable(p *persona.Persona, first int, now func() time.Time) *Table {
	limit := maxPID
	if p.CPU.Elf.Class == 1 { // pid_max of a 32-bit kernel
		limit = 32_768
		first = 700 + first%(limit-1000)
	}
	return &Table{now: now, boot: p.Boot, limit: limit, next: first, resident: p.Procs, gone: map[int]bool{}, live: map[int]*liveProc{}}
}

const maxPID = 4_194_304

func (t *Table) add(p *Proc, cancel context.CancelCauseFunc) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance()
	t.live[t.next] = &liveProc{p, p.Dir, t.now(), cancel, environ(p.Env)}
	return t.next
}

// environ is an environment as the kernel keeps it.
func environ(vars map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		b.WriteString(k + "=" + vars[k] + "\x00")
	}
	return b.String()
}

func (t *Table) remove(pid int) {
	t.mu.Lock()
	delete(t.live, pid)
	t.mu.Unlock()
}

// Ended is how many resident processes visitors have ended.
func (t *Table) Ended() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.gone)
}

// Gone names the resident processes that visitors have ended, in order.
func (t *Table) Gone() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.gone))
}

// Next is the last process id that was given out.
func (t *Table) Next() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

// Restore ends resident processes, and gives out no process id up to next.
func (t *Table) Restore(gone []int, next int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.resident {
		if r.PID > 1 && slices.Contains(gone, r.PID) {
			t.gone[r.PID] = true
		}
	}
	if next < t.limit {
		t.next = max(t.next, next)
	}
}

// Login is the pid of the process that serves s: of sshd's session in the
// table, for as long as s runs a program; else one that nobody sees.
func (t *Table) Login(s *Session) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.daemon == 0 {
		t.advance()
		if s.Service == "ssh" && s.User.UID != 0 {
			t.advance() // of the privileged half
		}
		s.daemon = t.next
	}
	return s.daemon
}

// daemons are sshd's processes for the sessions that run a program: one for
// root, for others a privileged one above it.
func (t *Table) daemons() []Entry {
	listener := 1
	for _, r := range t.resident {
		if r.Name == "sshd" {
			listener = r.PID
		}
	}
	seen := map[*Session]bool{}
	var out []Entry
	for _, l := range t.live {
		s := l.p.S
		if s.daemon == 0 || s.Service != "ssh" || seen[s] {
			continue
		}
		seen[s] = true
		line := s.Line
		if line == "" {
			line = "notty"
		}
		e := Entry{Process: persona.Process{
			PID: s.daemon, PPID: listener, User: "root", Name: "sshd", Command: "sshd: " + s.User.Name + "@" + line, Exe: "/usr/sbin/sshd",
			State: "Ss", VSZ: 17_740, RSS: 10_912, TTY: "?", Threads: 1,
		}, Started: s.Started, Scope: s.ID(), PGID: s.daemon}
		if s.User.UID != 0 {
			parent := e
			parent.PID, parent.PGID, parent.Command = s.daemon-1, s.daemon-1, "sshd: "+s.User.Name+" [priv]"
			out = append(out, parent)
			e.PPID, e.User, e.UID, e.State, e.RSS, e.PGID = parent.PID, s.User.Name, s.User.UID, "S", 6_684, parent.PID
		}
		out = append(out, e)
	}
	return out
}

// Reserve takes a pid without a program: subshells.
func (t *Table) Reserve() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance()
	return t.next
}

// advance takes the next process id; they begin again low, as on Linux.
func (t *Table) advance() {
	if t.next++; t.next >= t.limit {
		t.next = 1000
	}
}

// List is every process in order of pid.
func (t *Table) List() []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Entry, 0, len(t.resident)+len(t.live))
	for _, r := range t.resident {
		if !t.gone[r.PID] {
			out = append(out, Entry{Process: r, Started: t.boot.Add(r.Start)})
		}
	}
	for pid, l := range t.live {
		out = append(out, l.entry(pid))
	}
	out = append(out, t.daemons()...)
	sort.Slice(out, func(i, j int) bool { return out[i].PID < out[j].PID })
	return out
}

func (l *liveProc) entry(pid int) Entry {
	name := l.p.Args[0]
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	tty := "?"
	if l.p.S.Line != "" {
		tty = l.p.S.Line
	}
	state := "S"
	if l.p.Job.Stopped() != 0 {
		state = "T"
	}
	return Entry{
		Process: persona.Process{
			PID: pid, PPID: l.p.PPID, User: l.p.S.User.Name, Command: strings.Join(l.p.Args, " "), Name: name,
			Exe: l.p.Path, State: state, VSZ: 7196, RSS: 3880, TTY: tty, Nice: l.p.Nice, Threads: 1,
		},
		UID: l.p.Caller.UID, Started: l.start, Args: l.p.Args, Live: true, PGID: l.p.PGID, Dir: l.dir, Environ: l.env, Scope: l.p.S.ID(),
	}
}

// Kill sends a signal. It reports whether the process exists; one of the
// persona's own disappears from the table, a visitor's program is ended.
func (t *Table) Kill(pid, signal int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.live[pid]; l != nil {
		l.send(signal)
		return true
	}
	for _, r := range t.resident {
		if r.PID == pid && !t.gone[pid] {
			if ends(signal) && pid > 1 && !strings.HasPrefix(r.Command, "[") {
				t.gone[pid] = true
			}
			return true
		}
	}
	return false
}

func (l *liveProc) send(signal int) {
	job := l.p.Job
	switch {
	case ends(signal):
		l.cancel(Killed{signal})
		if job != nil && signal == SIGKILL { // who is stopped, too
			job.Continue()
		}
	case job == nil:
	case stops(signal):
		job.Stop(signal)
	case signal == SIGCONT:
		job.Continue()
	}
}

// stops reports whether a signal's default action stops a process.
func stops(signal int) bool { return signal >= SIGSTOP && signal <= SIGTTOU }

// ends reports whether a signal's default action ends a process.
func ends(signal int) bool {
	switch signal {
	case 0, 17, SIGCONT, SIGSTOP, 20, 21, 22, 23, 28:
		return false
	}
	return true
}
