// Package service is what answers on the hosts of a range: the decoys of
// production, served on a listener of the virtual network, and ordinary servers
// that speak as much of their protocol as a client, a scanner or an actor of an
// exercise meets, and write the log lines that a real one would write.
//
// A Server takes listeners, a clock, a seed and a sink for events; it opens no
// socket, runs nothing and keeps what strangers send in memory only as long as
// their connection lasts. Every read has a limit and a deadline by the clock.
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ErrTransport is given where a kind does not answer on TCP or UDP.
var ErrTransport = errors.New("this kind of service does not answer on this transport")

// Kind is a type of service that a scenario may name.
type Kind struct {
	Name       string
	Port       uint16   // where it usually listens
	Transports []string // tcp, udp
	Families   []string // of personas that have it: linux, windows, device; nil: every one
	Accepts    bool     // takes credentials
	Summary    string
}

// Fits tells why the kind cannot stand on a host of the named persona, or nil.
func (k Kind) Fits(persona string) error {
	p, err := FindPersona(persona)
	if err != nil {
		return err
	}
	if len(k.Families) > 0 && !slices.Contains(k.Families, p.Family) {
		return fmt.Errorf("a %s host (persona %s) has no %s service: use a persona of the family %s, or another service",
			p.Family, persona, k.Name, strings.Join(k.Families, " or "))
	}
	if k.Shell() && p.Template == "" {
		return fmt.Errorf("a %s has no shell for a %s service: use the persona of a host that has one, or another service", persona, k.Name)
	}
	return nil
}

// Shell tells whether who logs in gets a shell of the fake host.
func (k Kind) Shell() bool { return k.Name == "ssh" || k.Name == "telnet" }

// Kinds is every type of service, sorted by name. The table is the caller's own.
func Kinds() []Kind {
	out := make([]Kind, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, k.Kind)
	}
	slices.SortFunc(out, func(a, b Kind) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// FindKind is the kind of a name; the error lists those that there are.
func FindKind(name string) (Kind, error) {
	k, err := find(name)
	return k.Kind, err
}

func find(name string) (kind, error) {
	for _, k := range kinds {
		if k.Name == name {
			return k, nil
		}
	}
	all := make([]string, 0, len(kinds))
	for _, k := range Kinds() {
		all = append(all, k.Name)
	}
	return kind{}, fmt.Errorf("no service %q: use one of %s", name, strings.Join(all, ", "))
}

// Config is what New takes beside the kind.
type Config struct {
	Host   *Host
	Port   uint16 // as the scenario says; 0 takes the kind's
	Banner string // first words of the server, without a line end; "" takes the persona's
	Site   string // of http and https, one of Sites; "" goes by the persona
	Decoy  bool   // this service reports as decoys do, though its host is none
	// Accept is who gets in here beside those whom the whole host lets in.
	Accept []Credential
	Zone   func(name string) []string // of dns: addresses of a name; nil knows none
	// Listen opens a short-lived listener on the same host, for FTP's data
	// connections; nil: there are none.
	Listen func(ctx context.Context) (net.Listener, error)
	Limits Limits
}

// Limits bound what visitors use up. Zero takes the default in brackets.
type Limits struct {
	PerSource int           // connections at once of one address (64)
	Total     int           // connections at once (256)
	Session   time.Duration // longest connection (1 h)
	Idle      time.Duration // longest silence (2 min)
	Bytes     int64         // read from one connection (16 MiB)
	Datagrams int           // answered at once over UDP (64)
}

func (l Limits) filled() Limits {
	for _, d := range []struct {
		v   *int
		def int
	}{{&l.PerSource, 64}, {&l.Total, 256}, {&l.Datagrams, 64}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if l.Session == 0 {
		l.Session = time.Hour
	}
	if l.Idle == 0 {
		l.Idle = 2 * time.Minute
	}
	if l.Bytes == 0 {
		l.Bytes = 16 << 20
	}
	return l
}

// Service answers on listeners until ctx ends.
type Service interface {
	// Serve accepts on ln until ctx ends, then closes what is open and returns
	// nil. It closes ln.
	Serve(ctx context.Context, ln net.Listener) error
}

// Server is one service of one host. Serve and ServePacket may run at once.
type Server struct {
	kind  kind
	c     Config
	decoy bool
	shell shell
	stats stats
}

var _ Service = (*Server)(nil)

type stats struct{ connections, refused, failed, unsent atomic.Int64 }

// Stats counts what a Server has done.
type Stats struct {
	Connections int64 // served, datagrams too
	Refused     int64 // over a limit
	Failed      int64 // ended by malformed input or a fault of ours
	Unsent      int64 // events that the sink refused
}

// New makes the service of a kind. It listens nowhere.
func New(name string, c Config) (*Server, error) {
	k, err := find(name)
	if err != nil {
		return nil, err
	}
	if c.Host == nil {
		return nil, fmt.Errorf("make the service %s: it needs a host", name)
	}
	if err := k.Fits(c.Host.c.Persona); err != nil {
		return nil, err
	}
	if c.Port == 0 {
		c.Port = k.Port
	}
	c.Limits = c.Limits.filled()
	if k.check != nil {
		if err := k.check(c); err != nil {
			return nil, fmt.Errorf("make the service %s of %s: %w", name, c.Host.Name(), err)
		}
	}
	return &Server{kind: k, c: c, decoy: c.Decoy || c.Host.c.Decoy}, nil
}

// Kind is what the server is.
func (s *Server) Kind() Kind { return s.kind.Kind }

// Stats gives the counters.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: s.stats.connections.Load(), Refused: s.stats.refused.Load(), Failed: s.stats.failed.Load(), Unsent: s.stats.unsent.Load(),
	}
}

// Serve accepts on ln until ctx ends, then closes what is open and returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	switch {
	case s.kind.stream != nil:
		return s.accept(ctx, ln)
	case s.kind.packet == nil:
		return s.serveShell(ctx, ln)
	}
	return fmt.Errorf("serve %s on TCP: %w", s.kind.Name, ErrTransport)
}
