// Package redis is a decoy that speaks as Redis 7.0.15 of Debian 12 does (RESP2,
// RESP3, inline commands), carelessly set up: reachable, and with protected
// configuration and modules allowed. Its keys are a small application's; what a
// visitor changes only he sees. It never connects to a master, never loads a
// module, never runs a script: these are recorded and answered.
package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// LogConnection is OpenCanary's number of a Redis command, the only one it has for Redis.
const LogConnection = 17001

// Config is what New takes.
type Config struct {
	Door     *access.Door
	Password bool   // a password is asked for
	Seed     uint64 // of the keys that are there
}

// Server is the decoy.
type Server struct {
	c     Config
	table map[string]*command

	views decoy.Views[*view]

	mu    sync.Mutex
	next  int64 // client id
	start time.Time
}

var _ decoy.Decoy = (*Server)(nil)

// New makes a Server.
func New(c Config) *Server {
	return &Server{c: c, table: commands(), views: decoy.Views[*view]{Max: maxSources}}
}

// visit is one connection.
type visit struct {
	*Server
	s    *decoy.Session
	last context.Context //nolint:containedctx // outlives the connection, for its last events
	host *host.Visit
	rec  *record.Session // once he did more than say hello
	out  writer
	view *view

	id          int64
	name        string
	user        string
	in          bool
	db          int
	multi       bool
	queued      [][][]byte
	queuedBytes int
	quit        bool
	told        map[string]bool
}

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, last: context.WithoutCancel(ctx), out: writer{proto: 2}, user: "default", in: !d.c.Password, told: map[string]bool{}}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	v.view, v.id = d.view(s), d.client(s)
	defer v.close()
	stop := context.AfterFunc(ctx, func() { s.Conn.Close() }) //nolint:errcheck // ends the read
	defer stop()
	in := newReader(s.Conn, func() bool { return !v.in })
	for !v.quit {
		args, err := in.next()
		if err != nil {
			return v.failed(err)
		}
		if len(args) > 0 {
			v.request(args)
		}
		v.quit = v.quit || v.out.over
		if in.b.Buffered() == 0 || len(v.out.b) > 64<<10 || v.quit {
			if err := v.flush(); err != nil {
				return quiet(err)
			}
		}
	}
	return nil
}

func (v *visit) flush() error {
	_, err := v.s.Conn.Write(v.out.b)
	v.out.b = v.out.b[:0]
	if cap(v.out.b) > 1<<20 {
		v.out.b = nil
	}
	return err
}

// failed answers a broken request and ends the visit.
func (v *visit) failed(err error) error {
	var p protocolError
	switch {
	case errors.As(err, &p):
		v.out.fail("ERR " + p.Error())
	case errors.Is(err, errTooMuch):
	default:
		return errors.Join(quiet(v.flush()), quiet(err))
	}
	record.Broken(v.last, v.s, err.Error())
	return quiet(v.flush())
}

func (v *visit) close() {
	if v.rec != nil {
		v.rec.Close(v.host, "")
	}
}

// quiet is nil for the ordinary ends of a connection.
func quiet(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// client gives the number of one more client; the first of all says since when the server runs.
func (d *Server) client(s *decoy.Session) int64 {
	now := s.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.start.IsZero() {
		d.start = now.Add(-time.Duration(d.c.Seed%(60*86400)+86400) * time.Second)
		if boot := s.Host.Persona().Boot; d.start.Before(boot) {
			d.start = boot.Add(17 * time.Second)
		}
		d.next = 3 + int64(now.Sub(d.start).Minutes())
	}
	d.next += 1 + now.UnixNano()>>20&1
	return d.next
}

// view gives the databases as a source left them.
func (d *Server) view(s *decoy.Session) *view {
	now := s.Clock.Now()
	return d.views.Get(host.Key(s.Source.Addr()), now, func() *view {
		x := &view{config: map[string]string{}, saved: now.Add(-17 * time.Minute)}
		x.seed(kernel.NewRand(d.c.Seed, 6379), now)
		return x
	})
}

// request answers one command and records it.
func (v *visit) request(args [][]byte) {
	name := strings.ToLower(string(args[0]))
	if name == "host:" || name == "post" { // a browser was made to speak to it: Redis leaves without a word
		v.out.b, v.quit = v.out.b[:0], true
		record.Broken(v.last, v.s, "HTTP spoken to Redis")
		return
	}
	c := v.table[name]
	begin := len(v.out.b)
	switch {
	case c == nil:
		v.unknown(args)
	case c.arity > 0 && len(args) != c.arity, c.arity < 0 && len(args) < -c.arity:
		v.out.fail("ERR wrong number of arguments for '" + c.name + "' command")
	case !v.in && !c.flag("no_auth"):
		v.out.fail("NOAUTH Authentication required.")
	case v.multi && name != "exec" && name != "discard" && name != "multi" && name != "quit" && name != "watch" && name != "reset":
		v.queue(args)
	default:
		v.view.mu.Lock()
		v.run(c, args)
		v.view.mu.Unlock()
	}
	v.note(name, args, begin)
}

// Of what waits for EXEC.
const (
	maxQueued      = 512
	maxQueuedBytes = 1 << 20
)

func (v *visit) queue(args [][]byte) {
	size := 0
	for _, a := range args {
		size += len(a) + 24
	}
	if len(v.queued) >= maxQueued || v.queuedBytes+size > maxQueuedBytes {
		v.out.fail(noMemory)
		return
	}
	v.queuedBytes += size
	v.queued = append(v.queued, args)
	v.out.status("QUEUED")
}

// run calls the command. One that is known and not played finds keys of the wrong type.
func (v *visit) run(c *command, args [][]byte) {
	if c.do == nil {
		v.out.fail(wrongType)
		return
	}
	c.do(v, args)
}

// unknown quotes the first arguments as Redis does: 128 bytes of them.
func (v *visit) unknown(args [][]byte) {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		b.WriteString("'" + string(a[:min(len(a), 128-b.Len())]) + "' ")
	}
	v.out.fail("ERR unknown command '" + string(args[0][:min(len(args[0]), 128)]) + "', with args beginning with: " + b.String())
}

// hello are commands with which tools and scanners look who is there: no more than a try.
func hello(name string) bool {
	switch name {
	case "ping", "hello", "info", "echo", "client", "command", "quit", "auth", "select", "time", "reset":
		return true
	}
	return false
}

// note records a request. What came before a password says little, but is kept.
func (v *visit) note(name string, args [][]byte, begin int) {
	if name == "auth" || name == "hello" && len(args) > 2 {
		return // told as a login
	}
	failure := ""
	if begin < len(v.out.b) && v.out.b[begin] == '-' {
		failure, _, _ = strings.Cut(string(v.out.b[begin+1:min(len(v.out.b), begin+300)]), "\r")
	}
	depth := event.DepthAct
	if hello(name) || !v.in {
		depth = event.DepthTry
	}
	if depth == event.DepthAct && v.rec == nil {
		v.rec = record.New(v.last, v.s, v.user, "redis")
	}
	fill := func(e *event.Event) {
		record.Query(e, shown(args), failure)
	}
	if v.rec != nil {
		v.rec.Emit(event.ActionQueryExecuted, depth, fill)
		return
	}
	if v.told[name] || len(v.told) > 64 { // a scanner that says PING a thousand times is told once
		return
	}
	v.told[name] = true
	e := v.s.Event(event.ActionQueryExecuted)
	e.Depth = depth
	fill(&e)
	v.s.Post(v.last, e)
}

const maxShown = 16 << 10

// shown writes a request as one would type it.
func shown(args [][]byte) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if b.Len() > maxShown {
			b.WriteString("...")
			break
		}
		s := string(a[:min(len(a), maxShown)])
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\'' || r >= 0x7f }) {
			s = strconv.QuoteToASCII(s)
		}
		b.WriteString(s)
	}
	return b.String()
}

// login checks a password and records the try.
func (v *visit) login(user, password string) bool {
	a := v.c.Door.Check(v.s.Source.Addr(), v.host, user, password)
	ok := a.OK && v.c.Password
	v.s.Post(v.last, record.Login(v.s, record.Try{User: user, Method: "password", Password: password, Token: a.Token, OK: ok, LogType: LogConnection}))
	if ok {
		v.in, v.user = true, user
	}
	return ok
}
