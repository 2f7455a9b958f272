// Package host is the fake host itself: built once from a persona, seen by
// each visitor through his own copy-on-write view, kept for him for a while.
package host

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host/history"
	"github.com/lapwing-defence/lapwing/internal/host/image"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/procfs"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Config is what New takes.
type Config struct {
	Name     string // the host's name in the configuration
	Persona  *persona.Persona
	Programs map[string]kernel.Program // shared, read-only
	Clock    clock.Clock
	Seed     uint64 // of the host's randomness
	Net      kernel.Net
	Keep     time.Duration // how long a visitor's changes stay (24 h)
	Visitors int           // views kept at most (1,000); the longest unused goes first
	FS       vfs.Options   // per visitor
	Memory   int64         // bytes that all visitors together may add (512 MiB)
	Limits   kernel.Limits // per session
	Store    Store         // nil: changes live as long as this process
	Log      *slog.Logger  // nil: silent
	Planted  []Planted     // files that lie on the host beside those of its persona
}

// Planted is a file that somebody put on the host, for example a honeytoken.
type Planted struct {
	Path    string
	Content string
	Mark    string // told to who watches the file system when the file is opened for reading; "" is not told
	Mode    uint32 // 0644 where it is 0
	AsBuilt bool   // it is as old as the host, not some weeks old
}

// MarkHostKey is the Mark of the host's private keys: bait, but no token.
const MarkHostKey = "host-key"

// Host is one fake host. It is safe for concurrent use.
type Host struct {
	c    Config
	base *vfs.Base
	rand *kernel.Rand
	past *history.History

	mu     sync.Mutex
	visits map[string]*Visit
}

// New builds the host's file system.
func New(c Config) *Host {
	if c.Keep == 0 {
		c.Keep = 24 * time.Hour
	}
	if c.Visitors == 0 {
		c.Visitors = 1000
	}
	if c.Memory == 0 {
		c.Memory = 512 << 20
	}
	c.FS.Now, c.FS.Pool = c.Clock.Now, vfs.NewPool(c.Memory)
	return &Host{c: c, past: past(c.Persona), base: image.Build(c.Persona, planted(c.Persona, c.Planted)...), rand: kernel.NewRand(c.Seed, c.Persona.Seed), visits: map[string]*Visit{}}
}

// past is what the host has written about itself; a router keeps nothing.
func past(p *persona.Persona) *history.History {
	if p.Family == "busybox" {
		return nil
	}
	return history.New(p, image.Installed(p), func(at time.Time) int {
		if at.Before(p.Boot) {
			return firstPID(at.Sub(image.Installed(p)))
		}
		return firstPID(at.Sub(p.Boot))
	})
}

func planted(p *persona.Persona, files []Planted) []vfs.Node {
	out := make([]vfs.Node, 0, len(files))
	for _, f := range files {
		if f.Mode == 0 {
			f.Mode = 0o644
		}
		n := vfs.Node{Path: f.Path, Kind: vfs.File, Mode: f.Mode, Content: vfs.Bytes([]byte(f.Content)), Mark: f.Mark}
		if f.AsBuilt {
			n.Mtime = image.Installed(p).Add(4 * time.Minute)
		}
		out = append(out, n)
	}
	return out
}

// Name is the host's name in the configuration.
func (h *Host) Name() string { return h.c.Name }

// Persona is who the host claims to be.
func (h *Host) Persona() *persona.Persona { return h.c.Persona }

// Visit is one source's view of a host while he is connected.
type Visit struct {
	M    *kernel.Machine
	host *Host
	key  string

	mu        sync.Mutex
	uses      int
	used      time.Time
	ptys      map[int]bool
	passwords map[string]secret // set by this visitor
	admitted  map[string]secret // what he got in with
	lastAt    time.Time         // of his last login on a terminal
	lastFrom  string
	grown     vfs.Grown // what the host writes to its files, nil = nothing
	keeping
}

// Key names a source: an IPv4 address, or an IPv6 /64.
func Key(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// Visit opens the view of a source, as he left it; Close it when he leaves.
// It waits for the Store, at most three seconds.
func (h *Host) Visit(ctx context.Context, source netip.Addr) *Visit {
	key := Key(source)
	now := h.c.Clock.Now()
	h.mu.Lock()
	v := h.visits[key]
	if v != nil && v.idle(now) > h.c.Keep {
		h.remove(key)
		v = nil
	}
	fresh := v == nil
	doubt := !fresh && v.idle(now) > trustFor
	if fresh {
		h.evict()
		v = h.view(key, now)
		h.visits[key] = v
	}
	v.mu.Lock()
	v.uses++
	v.mu.Unlock()
	h.mu.Unlock()
	if !fresh {
		<-v.ready
		if doubt && v.forgotten(ctx) {
			v.Close()
			h.mu.Lock()
			if h.visits[key] == v {
				h.remove(key)
			}
			h.mu.Unlock()
			return h.Visit(ctx, source)
		}
		return v
	}
	v.load(ctx)
	v.M.FS.Mount("/proc", procfs.New(v.M))   //nolint:errcheck // the image has the directory
	v.M.FS.Mount("/sys", procfs.NewSys(v.M)) //nolint:errcheck // as above
	v.saved = v.version()
	close(v.ready)
	return v
}

// view is a fresh view.
func (h *Host) view(key string, now time.Time) *Visit {
	v := &Visit{host: h, key: key, ptys: map[int]bool{}, passwords: map[string]secret{}, admitted: map[string]secret{}}
	v.ready = make(chan struct{})
	v.M = &kernel.Machine{
		Persona: h.c.Persona, FS: vfs.New(h.base, h.c.FS), Clock: h.c.Clock, Rand: h.rand, Programs: h.c.Programs, Net: h.c.Net,
		Table: kernel.NewTable(h.c.Persona, firstPID(now.Sub(h.c.Persona.Boot)), h.c.Clock.Now),
	}
	v.M.SetPassword = v.SetPassword
	v.M.Ledger, v.M.Settings = kernel.NewLedger(0), &kernel.Settings{}
	if past := h.past; past != nil {
		v.M.Ledger = kernel.NewLedger(past.Logins())
		of := past.For(v.M.Ledger, h.c.Clock.Now)
		v.M.Journal, v.grown = of, of.Grown
		v.M.FS.OnLive(v.grown)
	}
	return v
}

// firstPID is where process ids are after uptime on a host that does little:
// every source sees them rise, and none sees them fall.
func firstPID(uptime time.Duration) int { return 1400 + int(uptime/(4*time.Second))%4_000_000 }

// evict makes room for one view: the longest unused one that nobody uses goes.
func (h *Host) evict() {
	if len(h.visits) < h.c.Visitors {
		return
	}
	oldest := ""
	var at time.Time
	for k, v := range h.visits {
		v.mu.Lock()
		if v.uses == 0 && (oldest == "" || v.used.Before(at)) {
			oldest, at = k, v.used
		}
		v.mu.Unlock()
	}
	h.remove(oldest)
}

// remove takes a view out of memory; the lock is held.
func (h *Host) remove(key string) {
	if v := h.visits[key]; v != nil {
		v.M.FS.Release()
		delete(h.visits, key)
	}
}

func (v *Visit) idle(now time.Time) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.uses > 0 {
		return 0
	}
	return now.Sub(v.used)
}

// Close ends one use of the view.
func (v *Visit) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.uses--
	v.used = v.host.c.Clock.Now()
}

// Password reports whether this visitor set password for user on this host.
func (v *Visit) Password(user, password string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.passwords[user]
	return ok && p.is(password)
}

// SetPassword keeps a password that this visitor set, salted and hashed.
func (v *Visit) SetPassword(user, password string) { v.keep(v.passwords, user, password) }

// Admitted reports whether this source got in as user before, and whether
// it was with password.
func (v *Visit) Admitted(user, password string) (before, same bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.admitted[user]
	return ok, ok && p.is(password)
}

// Admit remembers with which password this source got in as user.
func (v *Visit) Admit(user, password string) { v.keep(v.admitted, user, password) }

func (v *Visit) keep(in map[string]secret, user, password string) {
	s := newSecret(v.host.rand, password)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := in[user]; (known || len(in) < maxSecrets) && len(user) <= maxPassword && len(password) <= maxPassword {
		in[user] = s
		v.changes.Add(1)
	}
}

// Login is one login to open a session for.
type Login struct {
	User     string
	From, To netip.AddrPort
	Service  string // "ssh", "telnet"
	Term     string
	Recorder kernel.Recorder
}

// Open begins a session. It ends with cancel, with ctx, or when its budget is
// used up. NewTTY gives it a terminal.
func (v *Visit) Open(ctx context.Context, in Login) (*kernel.Session, context.Context, context.CancelCauseFunc) {
	acc, ok := v.M.Account(in.User)
	if !ok {
		acc = kernel.Account{Name: in.User, UID: 1000, GID: 1000, Home: "/", Shell: "/bin/sh"}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	u, _ := v.M.Persona.User(acc.Name)
	u.Name, u.UID, u.GID, u.Home, u.Shell = acc.Name, acc.UID, acc.GID, acc.Home, acc.Shell
	budget := kernel.NewBudget(v.host.c.Limits, cancel, func(limit string) {
		if in.Recorder != nil {
			in.Recorder.Limit("session budget: " + limit)
		}
	})
	budget.Watch(ctx, v.M.Clock)
	s := &kernel.Session{
		M: v.M, User: u, From: in.From, To: in.To, Started: v.M.Clock.Now(), Service: in.Service, Term: in.Term, Recorder: in.Recorder,
		Budget: budget,
	}
	pid := v.M.Table.Login(s)
	if u.UID != 0 {
		pid-- // of the privileged half, which writes to the log
	}
	id, end := v.M.Ledger.LoggedIn(kernel.LoginRecord{User: u.Name, UID: u.UID, From: in.From, Host: in.From.Addr().Unmap().String(), Service: in.Service, PID: pid, Started: s.Started})
	s.Logind = id
	context.AfterFunc(ctx, func() { end(v.M.Clock.Now()) })
	return s, ctx, cancel
}

// Refused enters a refused password in the host's books.
func (v *Visit) Refused(user string, from netip.AddrPort, service string) {
	_, known := v.M.Account(user)
	v.M.Ledger.Refused(kernel.LoginRecord{
		User: user[:min(len(user), 64)], From: from, Host: from.Addr().Unmap().String(), Service: service, PID: v.M.Table.Reserve(), Started: v.M.Clock.Now(), Invalid: !known,
	})
}

// Line takes the lowest free pseudo-terminal; done gives it back.
func (v *Visit) Line() (line string, done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for v.ptys[n] {
		n++
	}
	v.ptys[n] = true
	return fmt.Sprintf("pts/%d", n), func() {
		v.mu.Lock()
		delete(v.ptys, n)
		v.mu.Unlock()
	}
}

// Shell is the first process of a session: the environment that sshd or login
// give, the home directory, the descriptors fds.
func Shell(s *kernel.Session, fds map[int]*kernel.FD) *kernel.Proc {
	m := s.M
	dir := s.User.Home
	if in, err := m.FS.Stat(vfs.Root(), dir); err != nil || in.Kind != vfs.Dir {
		dir = "/"
	}
	path := "/usr/local/bin:/usr/bin:/bin:/usr/games"
	if s.User.UID == 0 {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	if m.Persona.Family == "ubuntu" {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:/usr/local/games:/snap/bin"
	}
	if m.Persona.Family == "busybox" {
		env := map[string]string{ // as BusyBox login and the firmware's /etc/profile leave it
			"USER": s.User.Name, "LOGNAME": s.User.Name, "HOME": s.User.Home, "SHELL": s.User.Shell, "PATH": "/bin:/sbin:/usr/bin:/usr/sbin", "TERM": "vt102", "PWD": dir,
		}
		p := first(s, fds, env, dir)
		for _, q := range m.Persona.Procs {
			if q.Name == s.Service+"d" {
				p.PPID = q.PID
			}
		}
		return p
	}
	env := map[string]string{
		"USER": s.User.Name, "LOGNAME": s.User.Name, "HOME": s.User.Home, "PATH": path, "SHELL": s.User.Shell, "PWD": dir,
		"LANG": "en_US.UTF-8", "XDG_SESSION_TYPE": "tty", "XDG_SESSION_CLASS": "user", "MOTD_SHOWN": "pam",
		"XDG_RUNTIME_DIR": fmt.Sprintf("/run/user/%d", s.User.UID), "DBUS_SESSION_BUS_ADDRESS": fmt.Sprintf("unix:path=/run/user/%d/bus", s.User.UID),
		"XDG_SESSION_ID": s.ID(),
	}
	if s.Service == "ssh" {
		f, t := s.From, s.To
		env["SSH_CLIENT"] = fmt.Sprintf("%s %d 22", f.Addr(), f.Port())
		env["SSH_CONNECTION"] = fmt.Sprintf("%s %d %s 22", f.Addr(), f.Port(), m.Persona.NICs[0].IPv4)
		_ = t
	}
	if s.Line != "" {
		env["TERM"] = s.Term
		env["SSH_TTY"] = "/dev/" + s.Line
	}
	return first(s, fds, env, dir)
}

// first is the first process of a session.
func first(s *kernel.Session, fds map[int]*kernel.FD, env map[string]string, dir string) *kernel.Proc {
	m := s.M
	var groups []uint32
	for _, g := range m.Persona.Groups {
		for _, u := range g.Members {
			if u == s.User.Name {
				groups = append(groups, g.GID)
			}
		}
	}
	ppid := m.Table.Login(s)
	return &kernel.Proc{
		S: s, M: m, PPID: ppid, Env: env, Dir: dir, Umask: 0o022, FDs: fds, Args: []string{s.User.Shell},
		Caller: vfs.Caller{UID: s.User.UID, GID: s.User.GID, Groups: groups},
	}
}

// Greeting is what a login on a terminal shows before the shell's prompt.
func (h *Host) Greeting(s *kernel.Session) string {
	l := h.c.Persona.LastLogin
	return h.greeting(s, l.At, l.From)
}

func (h *Host) greeting(s *kernel.Session, at time.Time, from string) string {
	p := h.c.Persona
	if p.Family == "busybox" {
		return p.MOTD
	}
	k := p.Kernel
	var b strings.Builder
	if p.Family == "ubuntu" {
		b.WriteString(ubuntuMOTD(s.M, s.M.Clock.Now()))
	} else {
		fmt.Fprintf(&b, "Linux %s %s %s %s\n%s", p.Hostname, k.Release, k.Version, k.Machine, p.MOTD)
	}
	fmt.Fprintf(&b, "Last login: %s from %s\n", at.Format("Mon Jan _2 15:04:05 2006"), from)
	return b.String()
}

// Greeting is the host's, with this visitor's own last login on a terminal
// where he had one. It counts as one.
func (v *Visit) Greeting(s *kernel.Session) string {
	l := v.host.c.Persona.LastLogin
	at, from := l.At, l.From
	v.mu.Lock()
	if !v.lastAt.IsZero() {
		at, from = v.lastAt, v.lastFrom
	}
	v.lastAt, v.lastFrom = s.Started, s.From.Addr().String()
	v.mu.Unlock()
	v.changes.Add(1)
	return v.host.greeting(s, at, from)
}
