package service

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/sshd"
	"github.com/lapwing-defence/lapwing/internal/decoy/telnetd"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// shell is a service whose server is production's decoy. It is made when the
// first visitor comes, so that a thousand quiet hosts cost nothing.
type shell struct {
	once  sync.Once
	err   error
	decoy decoy.Decoy
	rec   decoy.Recorder
	log   int // OpenCanary's number of a connection
}

// build makes the decoy of an ssh or telnet service.
func (s *Server) build() error {
	s.shell.once.Do(func() { s.shell.err = s.make() })
	return s.shell.err
}

func (s *Server) make() error {
	h := s.c.Host
	fake, err := h.shellHost()
	if err != nil {
		return err
	}
	policy := access.Policy{Override: h.c.Override}
	for _, list := range [][]Credential{h.c.Accept, s.c.Accept} {
		for _, c := range list {
			if !h.persona.Shut {
				policy.Accept = append(policy.Accept, access.Credential(c))
			}
		}
	}
	for _, t := range h.c.Tokens {
		policy.Tokens = append(policy.Tokens, access.Token{Credential: access.Credential(t.Credential), ID: t.ID, Admit: t.Admit && !h.persona.Shut})
	}
	door := access.New(policy, kernel.NewRand(h.c.Seed, 3), h.c.Clock.Now)
	s.shell.rec = &decoyRecorder{sink: h.c.Sink, s: s}
	if !s.decoy {
		s.shell.rec = &ordinary{decoyRecorder: decoyRecorder{sink: h.c.Sink, s: s}, program: map[string]string{"ssh": "sshd", "telnet": "login"}[s.kind.Name]}
	}
	if s.kind.Name == "telnet" {
		s.shell.decoy, s.shell.log = telnetd.New(telnetd.Config{Issue: fake.Persona().Issue, Door: door}), telnetd.LogConnection
		return nil
	}
	key, err := hostKey(h.c.Seed)
	if err != nil {
		return err
	}
	banner := first(h.persona.SSH, fake.Persona().SSH.Banner)
	if s.c.Banner != "" {
		banner = "SSH-2.0-" + strings.TrimPrefix(s.c.Banner, "SSH-2.0-")
	}
	s.shell.decoy, err = sshd.New(sshd.Config{Banner: banner, HostKeys: [][]byte{key}, Door: door, Tunnels: "refuse"})
	s.shell.log = sshd.LogConnection
	return err
}

// hostKey is the ed25519 key of a seed, as PEM: quick to draw, so that a
// thousand hosts can have one.
func hostKey(seed uint64) ([]byte, error) {
	b := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(newNoise(seed^0x5353), b); err != nil {
		return nil, fmt.Errorf("draw a host key: %w", err)
	}
	k, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(b), "")
	if err != nil {
		return nil, fmt.Errorf("write a host key: %w", err)
	}
	return pem.EncodeToMemory(k), nil
}

// begun is a listener whose first visitor is here already.
type begun struct {
	net.Listener
	first chan net.Conn
}

// Accept gives the first visitor, then the others.
func (b *begun) Accept() (net.Conn, error) {
	select {
	case c := <-b.first:
		return c, nil
	default:
		return b.Listener.Accept()
	}
}

// first waits for the first visitor; nil when ctx ends before.
func (s *Server) first(ctx context.Context, ln net.Listener) (net.Conn, error) {
	for {
		conn, err := ln.Accept()
		if err == nil {
			return conn, nil
		}
		if errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
			return nil, fmt.Errorf("accept %s on %s: %w", s.kind.Name, ln.Addr(), err)
		}
		if s.c.Host.c.Clock.Sleep(ctx, time.Second) != nil { // out of buffers and the like passes
			return nil, nil //nolint:nilerr // the range ends
		}
	}
}

// serveShell serves the decoy exactly as production does, from the first visitor
// on.
func (s *Server) serveShell(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // ends Accept
	defer stop()
	h, l := s.c.Host, s.c.Limits
	conn, err := s.first(ctx, ln)
	if conn == nil || err != nil {
		return err
	}
	if err := s.build(); err != nil {
		conn.Close() //nolint:errcheck // nobody answers
		return fmt.Errorf("make the service %s of %s: %w", s.kind.Name, h.Name(), err)
	}
	b := &begun{ln, make(chan net.Conn, 1)}
	b.first <- conn
	return decoy.Serve(ctx, b, decoy.ServerConfig{
		Name: s.kind.Name, Proto: s.kind.Name, LogType: s.shell.log, Host: h.fake, Decoy: s.shell.decoy, Clock: h.c.Clock, IDs: h.ids, Rec: s.shell.rec, Log: h.c.Log,
		Gate: decoy.NewGate(decoy.Limits{PerSource: l.PerSource, Total: l.Total, Session: l.Session, Idle: l.Idle, Bytes: l.Bytes}),
	}, time.Second)
}

// decoyRecorder hands events to the range's sink. Files and recordings of a
// range are not kept: of a file the event has hash and size.
type decoyRecorder struct {
	sink event.Sink
	s    *Server
}

var _ decoy.Recorder = (*decoyRecorder)(nil)

// Emit hands e over.
func (r *decoyRecorder) Emit(ctx context.Context, e event.Event) error {
	if e.Action == event.ActionConnectionOpened {
		r.s.stats.connections.Add(1)
	}
	return r.sink.Emit(ctx, e)
}

// Post hands e over before it returns, so that the events of a visit keep
// their order.
func (r *decoyRecorder) Post(ctx context.Context, e event.Event, done func(error)) {
	done(r.Emit(ctx, e))
}

// Capture hashes at most limit bytes.
func (r *decoyRecorder) Capture(_ context.Context, in io.Reader, limit int64) (string, int64, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(in, limit))
	return hex.EncodeToString(sum.Sum(nil)), n, err
}

// Cast keeps nothing.
func (r *decoyRecorder) Cast(context.Context, string, []byte) error { return nil }

// ordinary turns what the decoy tells into what a server that is none writes:
// lines of sshd or login in the log, and processes as auditd reports them.
type ordinary struct {
	decoyRecorder
	program string

	mu    sync.Mutex
	users map[string]string // by connection, who is logged in
}

// maxLogins bounds what is remembered of open connections.
const maxLogins = 4096

// Emit writes the line, if there is one.
func (r *ordinary) Emit(ctx context.Context, e event.Event) error {
	switch e.Action {
	case event.ActionConnectionOpened:
		r.s.stats.connections.Add(1)
		return nil
	case event.ActionLogin:
		return r.login(ctx, e)
	case event.ActionConnectionClosed:
		return r.closed(ctx, e)
	case event.ActionCommandExecuted:
		return r.command(ctx, e)
	case event.ActionFileCaptured, event.ActionFileRead:
		return r.file(ctx, e)
	}
	return nil
}

// begin takes over what a log line has of a decoy's event.
func (r *ordinary) begin(e event.Event, dataset, text string) event.Event {
	out := event.Event{
		ID: e.ID, Time: e.Time, Kind: "event", Action: "logged", Category: e.Category, Type: e.Type, Outcome: e.Outcome, Dataset: dataset,
		Source: e.Source, Destination: e.Destination, Transport: e.Transport, Protocol: e.Protocol, User: e.User,
		Host: e.Host, Persona: r.s.c.Host.c.Persona, Connection: e.Connection, Session: e.Session,
	}
	out.Add("process.name", r.program)
	out.Add("host.name", e.Host)
	out.Add("message", text)
	return out
}

func from(a netip.AddrPort) string { return fmt.Sprintf("%s port %d", a.Addr(), a.Port()) }

// Post writes the line before it returns: a session is closed after it began.
func (r *ordinary) Post(ctx context.Context, e event.Event, done func(error)) {
	done(r.Emit(ctx, e))
}

func (r *ordinary) login(ctx context.Context, e event.Event) error {
	ssh := r.program == "sshd"
	var text string
	switch _, known := r.s.c.Host.fake.Persona().User(e.User); {
	case e.Outcome == "success" && ssh:
		text = fmt.Sprintf("Accepted password for %s from %s ssh2", e.User, from(e.Source))
	case e.Outcome == "success":
		text = fmt.Sprintf("LOGIN ON pts/0 BY %s FROM %s", e.User, e.Source.Addr())
	case ssh && !known:
		text = fmt.Sprintf("Failed password for invalid user %s from %s ssh2", e.User, from(e.Source))
	case ssh:
		text = fmt.Sprintf("Failed password for %s from %s ssh2", e.User, from(e.Source))
	default:
		text = fmt.Sprintf("FAILED LOGIN 1 FROM %s FOR %s, Authentication failure", e.Source.Addr(), e.User)
	}
	if e.Outcome == "success" {
		r.mu.Lock()
		if r.users == nil || len(r.users) >= maxLogins {
			r.users = map[string]string{}
		}
		r.users[e.Connection] = e.User
		r.mu.Unlock()
	}
	return r.sink.Emit(ctx, r.begin(e, datasetAuth, text))
}

func (r *ordinary) closed(ctx context.Context, e event.Event) error {
	r.mu.Lock()
	user, in := r.users[e.Connection]
	delete(r.users, e.Connection)
	r.mu.Unlock()
	switch {
	case in:
		e.User = user
		return r.sink.Emit(ctx, r.begin(e, datasetAuth, fmt.Sprintf("pam_unix(%s:session): session closed for user %s", r.program, user)))
	case r.program == "sshd":
		return r.sink.Emit(ctx, r.begin(e, datasetAuth, "Connection closed by "+from(e.Source)+" [preauth]"))
	}
	return nil
}

// command is a process as an agent with ECS names reports it. Only what was
// typed is known; the program is its first word.
func (r *ordinary) command(ctx context.Context, e event.Event) error {
	out := r.begin(e, "endpoint.events.process", "")
	out.Category, out.Type, out.Action, out.CommandLine = "process", "start", "exec", e.CommandLine
	if words := strings.FieldsFunc(e.CommandLine, func(r rune) bool { return strings.ContainsRune(" \t;|&<>()", r) }); len(words) > 0 {
		word := words[0]
		if !strings.Contains(word, "/") {
			word = "/usr/bin/" + word
		}
		out.Add("process.executable", word)
	}
	out.Add("host.os.type", "linux")
	return r.sink.Emit(ctx, out)
}

func (r *ordinary) file(ctx context.Context, e event.Event) error {
	out := r.begin(e, "endpoint.events.file", "")
	out.Category, out.Type, out.Action, out.Path, out.Size, out.SHA256 = "file", e.Type, e.Action, e.Path, e.Size, e.SHA256
	out.Add("host.os.type", "linux")
	for _, f := range e.Extra {
		if strings.HasPrefix(f.Name, "lapwing.token.") {
			out.Extra = append(out.Extra, f)
		}
	}
	return r.sink.Emit(ctx, out)
}
