package service

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Credential is a user with a password, of the scenario.
type Credential struct{ User, Password string }

// Token is a planted credential. Who uses it is let in only with Admit.
type Token struct {
	Credential
	ID    string
	Admit bool
}

// File is a file that lies on the host, for its shells and its file services.
type File struct {
	Path    string // absolute, with slashes
	Content string // at most MaxFile bytes
	Token   string // id of the honeytoken that it is; "" if it is none
}

// Limits of what a scenario may plant on one host.
const (
	MaxFile  = 1 << 20 // bytes of one file
	MaxFiles = 500
)

// HostConfig is what NewHost takes.
type HostConfig struct {
	Name    string // in the scenario
	Domain  string // "" where it has none
	Persona string // one of Personas
	Addr    netip.Prefix
	Gateway netip.Addr
	Decoy   bool // nobody has business here: services report as decoys do
	Seed    uint64
	Clock   clock.Clock
	Sink    event.Sink // safe for concurrent use
	Accept  []Credential
	Tokens  []Token
	Files   []File
	// Mail is what lies in mailboxes; mailboxes without an entry have a few
	// messages of the seed's.
	Mail map[string][]Message
	// People and Machines are the names that a directory on this host knows.
	People, Machines []string
	Programs         map[string]kernel.Program // of shells; shared between hosts, nil makes them
	// Override, where it is not nil, knows accounts that were changed since: the one
	// password that lets them in, "" for none.
	Override func(user string) (password string, known bool)
	Log      *slog.Logger // nil: silent
}

// Host is what the services of one host share. The fake host with its shell is
// made when a service first needs it.
type Host struct {
	c       HostConfig
	persona Persona
	ids     *event.IDs
	mail    mailboxes
	records *record.Host // of a Windows host: what its logs say
	made    time.Time

	mu   sync.Mutex // of rand
	rand *rand.Rand

	once sync.Once
	fake *host.Host
	tls  certificate
	err  error
}

// NewHost checks what a scenario says of a host.
func NewHost(c HostConfig) (*Host, error) {
	if c.Clock == nil || c.Sink == nil || c.Name == "" {
		return nil, errors.New("make a host: it needs a name, a clock and a sink")
	}
	p, err := FindPersona(c.Persona)
	if err != nil {
		return nil, fmt.Errorf("make the host %s: %w", c.Name, err)
	}
	if len(c.Files) > MaxFiles {
		return nil, fmt.Errorf("make the host %s: %d files, at most %d: plant fewer", c.Name, len(c.Files), MaxFiles)
	}
	for _, f := range c.Files {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("make the host %s: %w", c.Name, err)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{c: c, persona: p, made: c.Clock.Now(), rand: rand.New(rand.NewPCG(c.Seed, 1))}
	h.ids = event.NewIDs(&seeded{r: newNoise(c.Seed)}, c.Clock.Now)
	h.mail.host = h
	if p.Family == "windows" {
		h.records, err = record.New(record.Config{Name: c.Name, Domain: c.Domain, Family: p.Family, Addr: c.Addr.Addr(), Clock: c.Clock, Seed: c.Seed})
		if err != nil {
			return nil, fmt.Errorf("make the host %s: %w", c.Name, err)
		}
	}
	return h, nil
}

func (f File) check() error {
	switch {
	case !strings.HasPrefix(f.Path, "/") || strings.ContainsAny(f.Path, "\x00\\") || strings.Contains(f.Path, "/../") || strings.HasSuffix(f.Path, "/"):
		return fmt.Errorf("file %q: its path must be absolute, with slashes, and name a file", f.Path)
	case len(f.Content) > MaxFile:
		return fmt.Errorf("file %q: %d bytes, at most %d: shorten it", f.Path, len(f.Content), MaxFile)
	}
	return nil
}

// Name is the host's name in the scenario.
func (h *Host) Name() string { return h.c.Name }

// Persona is who the host claims to be.
func (h *Host) Persona() Persona { return h.persona }

// fqdn is the host's full name.
func (h *Host) fqdn() string {
	if h.c.Domain == "" {
		return h.c.Name
	}
	return h.c.Name + "." + h.c.Domain
}

// newNoise gives bytes that a seed decides.
func newNoise(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// seeded makes a reader safe for concurrent use.
type seeded struct {
	mu sync.Mutex
	r  io.Reader
}

func (s *seeded) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(b)
}

// draw is a number below n from the host's randomness.
func (h *Host) draw(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rand.IntN(n)
}

// judgement is what the host says to a user and password.
type judgement struct {
	ok, known bool   // let in; the user exists
	token     string // id of the planted credential that was tried
}

// check compares in constant time, as production does.
func (h *Host) check(more []Credential, user, password string) judgement {
	var j judgement
	sum := Credential{user, password}.sum()
	for _, t := range h.c.Tokens {
		s := t.sum()
		if subtle.ConstantTimeCompare(s[:], sum[:]) == 1 {
			j.token, j.ok, j.known = t.ID, t.Admit, true
		}
	}
	now, changed := h.changed(user)
	if changed {
		j.ok, j.known = now != "" && j.token == "" && subtle.ConstantTimeCompare([]byte(now), []byte(password)) == 1, true
		return j
	}
	if j.token != "" {
		return j
	}
	for _, list := range [][]Credential{h.c.Accept, more} {
		for _, c := range list {
			s := c.sum()
			j.known = j.known || c.User == user
			j.ok = j.ok || password != "" && subtle.ConstantTimeCompare(s[:], sum[:]) == 1
		}
	}
	return j
}

func (h *Host) changed(user string) (password string, known bool) {
	if h.c.Override == nil {
		return "", false
	}
	return h.c.Override(user)
}

// passwords are those that user may prove to know, for protocols that never
// send them.
func (h *Host) passwords(more []Credential, user string) []string {
	var out []string
	for _, list := range [][]Credential{h.c.Accept, more} {
		for _, c := range list {
			if strings.EqualFold(c.User, user) {
				out = append(out, c.Password)
			}
		}
	}
	for _, t := range h.c.Tokens {
		if strings.EqualFold(t.User, user) {
			out = append(out, t.Password)
		}
	}
	if now, changed := h.changed(user); changed && now != "" {
		out = append(out, now)
	}
	return out
}

func (c Credential) sum() [sha256.Size]byte {
	return sha256.Sum256([]byte(c.User + "\x00" + c.Password))
}

// file finds a planted file.
func (h *Host) file(path string) (File, bool) {
	for _, f := range h.c.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// shellHost is the fake host, made at its first use.
func (h *Host) shellHost() (*host.Host, error) {
	h.once.Do(func() { h.fake, h.err = h.makeFake() })
	return h.fake, h.err
}

func (h *Host) makeFake() (*host.Host, error) {
	p, err := persona.Generate(h.persona.Template, h.c.Seed, h.made)
	if err != nil {
		return nil, fmt.Errorf("draw the persona of %s: %w", h.c.Name, err)
	}
	h.settle(p)
	progs := h.c.Programs
	if progs == nil {
		progs = programs.All()
	}
	var files []host.Planted
	for _, f := range h.c.Files {
		files = append(files, host.Planted{Path: f.Path, Content: f.Content, Mark: f.Token})
	}
	return host.New(host.Config{
		Name: h.c.Name, Persona: p, Programs: progs, Clock: h.c.Clock, Seed: h.c.Seed, Net: netcmd.World{Downloads: "serve"}, Log: h.c.Log,
		Visitors: 64, Memory: 64 << 20, Planted: files,
	}), nil
}

// settle gives a persona the name and address of the scenario.
func (h *Host) settle(p *persona.Persona) {
	old := p.Hostname
	p.Hostname, p.Domain = h.c.Name, h.c.Domain
	for i := range p.Procs {
		p.Procs[i].Command = strings.ReplaceAll(p.Procs[i].Command, "hostname:"+old, "hostname:"+p.Hostname)
	}
	if !h.c.Addr.IsValid() || !h.c.Addr.Addr().Is4() || len(p.NICs) == 0 {
		return
	}
	n := &p.NICs[0]
	if p.Family == "busybox" {
		n = &p.NICs[len(p.NICs)-1]
	}
	n.IPv4, n.Prefix = h.c.Addr.Addr().String(), h.c.Addr.Bits()
	n.Broadcast = Last(h.c.Addr).String()
	if h.c.Gateway.IsValid() {
		n.Gateway = h.c.Gateway.String()
	}
}

// Last is the last address of a prefix: the broadcast's, where it is an IPv4 network.
func Last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b) // it has the length of one
	return a
}
