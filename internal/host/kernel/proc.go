// Package kernel is what a program on a fake host sees of its machine:
// processes, descriptors, terminals, budgets. Programs are Go functions; none
// of them can reach the real machine.
package kernel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Program is one executable of the fake host. It returns the exit status.
// It must end soon after ctx ends, read and write only by p, and call
// p.Step in every loop that input can make long.
type Program func(ctx context.Context, p *Proc) int

// Machine is a fake host as one visitor sees it: the persona's facts and the
// visitor's own changes. It is safe for concurrent use.
type Machine struct {
	Persona  *persona.Persona
	FS       *vfs.FS
	Clock    clock.Clock
	Rand     *Rand
	Table    *Table
	Programs map[string]Program // by persona.Program.Impl; shared, never written
	Net      Net
	Settings *Settings // what the visitor changed in the running machine; never nil
	Ledger   *Ledger   // what the visitor left in the host's books; never nil
	Journal  Journal   // nil on a host that keeps none
	// Runs answers for a foreign binary that a visitor brought; it is never
	// run. nil: "cannot execute binary file".
	Runs func(ctx context.Context, p *Proc, path string) int
	// SetPassword keeps a password that the visitor set for a user.
	SetPassword func(user, password string)

	names nameCache
}

// Account is one line of the view's /etc/passwd.
type Account struct {
	Name     string
	UID, GID uint32
	Gecos    string
	Home     string
	Shell    string
}

const maxPasswd = 256 << 10 // bytes of /etc/passwd that are read

// Accounts reads the view's /etc/passwd.
func (m *Machine) Accounts() []Account {
	data, err := m.FS.ReadFile(vfs.Root(), "/etc/passwd", maxPasswd)
	if err != nil {
		return nil
	}
	var out []Account
	for line := range strings.Lines(string(data)) {
		if a, ok := parseAccount(line); ok {
			out = append(out, a)
		}
	}
	return out
}

func parseAccount(line string) (Account, bool) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
	if len(f) < 7 {
		return Account{}, false
	}
	uid, err1 := strconv.ParseUint(f[2], 10, 32)
	gid, err2 := strconv.ParseUint(f[3], 10, 32)
	return Account{f[0], uint32(uid), uint32(gid), f[4], f[5], f[6]}, err1 == nil && err2 == nil
}

// Account finds a user by name.
func (m *Machine) Account(name string) (Account, bool) {
	data, err := m.FS.ReadFile(vfs.Root(), "/etc/passwd", maxPasswd)
	if err != nil {
		return Account{}, false
	}
	for line := range bytes.Lines(data) {
		if len(line) > len(name) && line[len(name)] == ':' && string(line[:len(name)]) == name {
			if a, ok := parseAccount(string(line)); ok {
				return a, true
			}
		}
	}
	return Account{}, false
}

// UserName is the name of a uid, or its number.
func (m *Machine) UserName(uid uint32) string {
	return m.names.of(m, uid, func() map[uint32]string {
		out := map[uint32]string{}
		for _, a := range m.Accounts() {
			if _, taken := out[a.UID]; !taken {
				out[a.UID] = a.Name
			}
		}
		return out
	}, 0)
}

// Groups reads the view's /etc/group.
func (m *Machine) Groups() []persona.Group {
	data, err := m.FS.ReadFile(vfs.Root(), "/etc/group", maxPasswd)
	if err != nil {
		return nil
	}
	var out []persona.Group
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		g := persona.Group{Name: f[0], GID: uint32(gid)}
		if f[3] != "" {
			g.Members = strings.Split(f[3], ",")
		}
		out = append(out, g)
	}
	return out
}

// GroupName is the name of a gid, or its number.
func (m *Machine) GroupName(gid uint32) string {
	return m.names.of(m, gid, func() map[uint32]string {
		out := map[uint32]string{}
		for _, g := range m.Groups() {
			if _, taken := out[g.GID]; !taken {
				out[g.GID] = g.Name
			}
		}
		return out
	}, 1)
}

// HomeOf is a user's home directory.
func (m *Machine) HomeOf(user string) (string, bool) {
	a, ok := m.Account(user)
	return a.Home, ok
}

// Session is one login on a Machine.
type Session struct {
	M        *Machine
	User     persona.User
	From, To netip.AddrPort // visitor and decoy
	Started  time.Time
	Service  string // "ssh", "telnet"
	TTY      *TTY   // nil without a terminal
	Line     string // "pts/0", "" without a terminal
	Term     string // $TERM as the client said
	Recorder Recorder
	Budget   *Budget

	Logind string // the id that systemd-logind gave the login, "" = none
	daemon int    // pid of sshd's process for the session, 0 = none; under Table.mu
}

// ID is the number that systemd-logind gave the session.
func (s *Session) ID() string { return s.Logind }

// Take gives the session a terminal line.
func (s *Session) Take(line string) {
	s.Line = line
	s.M.Ledger.Terminal(s.From, s.User.Name, line)
}

// Recorder is told what a visitor does. Its methods do not block for long and
// have no error: what cannot be recorded is the recorder's to report.
type Recorder interface {
	// Line is one line or script handed to a shell by the visitor.
	Line(ctx context.Context, l Line)
	// Fetch is a request for something outside; nothing is fetched.
	Fetch(ctx context.Context, f Fetch)
	// Password is a password set on the fake host.
	Password(ctx context.Context, user, password string)
	// Note is anything else worth an event: a crash, a planned job.
	Note(ctx context.Context, action, reason string)
	// Limit is a limit that was reached, by its name.
	Limit(name string)
}

// Line is a command line as typed, or the whole of an exec request.
type Line struct {
	Text string
	Dir  string
	User string
	PID  int
	Exit int // status after it ran
}

// Fetch is one request that a download tool or the like would have made.
type Fetch struct {
	Tool   string // wget, curl, tftp, ftpget, scp, nc, apt
	URL    string
	Method string // GET unless set
	Path   string // where the answer is written, "" = standard output
}

// Net answers for the world outside the fake host. Nothing is ever sent.
type Net interface {
	// Resolve gives addresses for a name; ok is false for a name that does not exist.
	Resolve(name string) (addrs []netip.Addr, ok bool)
	// Fetch answers a download.
	Fetch(ctx context.Context, f Fetch) Reply
}

// Reply is the outcome of a Fetch.
type Reply struct {
	Failure string // "", "resolve", "refused", "timeout", "unreachable"
	Status  int    // HTTP status when Failure is ""
	Type    string // media type
	Body    []byte
	Delay   time.Duration // how long it takes
	Addr    netip.Addr
}

// Proc is one running program.
type Proc struct {
	S      *Session
	M      *Machine
	PID    int
	PPID   int
	PGID   int
	Args   []string          // Args[0] is the name it was called by
	Path   string            // of the executable
	Env    map[string]string // exported variables; owned by this Proc
	Dir    string            // working directory, absolute and clean
	Umask  uint32
	Caller vfs.Caller
	FDs    map[int]*FD
	Nice   int
	Killed int  // the signal that ended it, 0 = none
	Root   int  // pid of the shell that this is a subshell of, 0 = none
	Job    *Job // that a terminal stops and continues, nil = none
}

// Stdin is descriptor 0; reading a closed one gives EBADF.
func (p *Proc) Stdin() io.Reader { return p.fd(0) }

// Stdout is descriptor 1.
func (p *Proc) Stdout() io.Writer { return p.fd(1) }

// Stderr is descriptor 2.
func (p *Proc) Stderr() io.Writer { return p.fd(2) }

func (p *Proc) fd(n int) *FD {
	if f := p.FDs[n]; f != nil {
		return f
	}
	return closedFD
}

// IsTTY reports whether descriptor n is a terminal.
func (p *Proc) IsTTY(n int) bool { return p.fd(n).TTY != nil }

// Abs makes name absolute against the working directory, and cleans it
// without resolving symlinks ("a/../b" is kept as the kernel would walk it
// only where ".." follows a plain name).
func (p *Proc) Abs(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(p.Dir, "/") + "/" + name
}

// Now is the time on the fake host.
func (p *Proc) Now() time.Time { return p.M.Clock.Now() }

// Step charges n units of work; an error means: stop at once.
func (p *Proc) Step(n int64) error {
	p.Job.pass()
	return p.S.Budget.Step(n)
}

// Getenv reads the environment.
func (p *Proc) Getenv(name string) string { return p.Env[name] }

// Child is a fork of p with other arguments: environment copied, descriptors
// shared. Give it to Start or Run; they close its descriptors at the end.
func (p *Proc) Child(args ...string) *Proc {
	c := *p
	c.PPID, c.PID, c.Path = p.PID, 0, ""
	c.Args = args
	c.Env = maps.Clone(p.Env)
	c.FDs = make(map[int]*FD, len(p.FDs))
	for n, f := range p.FDs {
		if !f.CloseOnExec {
			c.FDs[n] = f.Dup()
		}
	}
	return &c
}

// SetFD puts f at descriptor n of p, closing what was there. p owns f.
func (p *Proc) SetFD(n int, f *FD) {
	if old := p.FDs[n]; old != nil {
		old.Close() //nolint:errcheck // as dup2 does
	}
	f.job = p.Job
	p.FDs[n] = f
}

// CloseFDs closes every descriptor.
func (p *Proc) CloseFDs() {
	for n, f := range p.FDs {
		f.Close() //nolint:errcheck // the process ends
		delete(p.FDs, n)
	}
}

// LookPath finds name along $PATH as the shell does: ENOENT when there is
// none, EACCES when all there is cannot be executed.
func (p *Proc) LookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, p.executable(p.Abs(name))
	}
	err := error(vfs.ENOENT)
	for d := range strings.SplitSeq(p.Env["PATH"], ":") {
		if d == "" {
			d = "."
		}
		full := path.Join(d, name)
		switch e := p.executable(p.Abs(full)); {
		case e == nil:
			return full, nil
		case errors.Is(e, vfs.EACCES):
			err = e
		}
	}
	return "", err
}

func (p *Proc) executable(abs string) error {
	in, err := p.M.FS.Stat(p.Caller, abs)
	switch {
	case err != nil:
		return err
	case in.Kind != vfs.File:
		return vfs.EACCES
	}
	if in.Mode&0o111 == 0 {
		return vfs.EACCES
	}
	return p.M.FS.Access(p.Caller, abs, 1)
}
