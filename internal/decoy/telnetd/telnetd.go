// Package telnetd is a decoy that speaks Telnet as the telnetd and login of
// BusyBox 1.3x do (RFC 854, 855, 857, 858, 1073), byte for byte as far as a
// client can see. Behind the login is the fake host.
package telnetd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
)

// OpenCanary's numbers of Telnet events.
const (
	LogConnection = 6002
	logLogin      = 6001
)

const maxBefore = 256 << 10 // bytes that a visitor may send before he is logged in

// Config is what New takes.
type Config struct {
	Issue string // text before the prompt, as /etc/issue.net; may be empty
	Door  *access.Door
}

// Server is the decoy.
type Server struct{ c Config }

var _ decoy.Decoy = (*Server)(nil)

// New makes a Server.
func New(c Config) *Server { return &Server{c} }

// visit is one connection.
type visit struct {
	*Server
	s    *decoy.Session
	ctx  context.Context //nolint:containedctx // of the connection
	last context.Context //nolint:containedctx // outlives the connection, for its last events
	host *host.Visit
	tty  *kernel.TTY
	out  *outbox

	mu     sync.Mutex // of what the reading goroutine shares
	dec    decoder
	told   bool
	inside bool
	early  bool // text came before the prompt was sent
}

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, ctx: ctx, last: context.WithoutCancel(ctx), out: newOutbox(s.Conn)}
	if _, err := io.WriteString(s.Conn, greeting); err != nil {
		return quiet(err)
	}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	line, free := v.host.Line()
	defer free()
	v.tty = kernel.NewTTY("/dev/"+line, v.out, 24, 80)
	v.tty.ExpandTabs()
	v.dec.resize = v.tty.Resize
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(v.out.run)
	var readErr error
	there, gone := context.WithCancel(ctx)
	defer gone()
	wg.Go(func() {
		defer gone()
		err := v.pump()
		v.mu.Lock()
		readErr = err
		v.mu.Unlock()
	})
	defer v.tty.HangUp()
	defer v.leave()
	stop := context.AfterFunc(ctx, v.tty.HangUp)
	defer stop()
	if user, ok := v.login(there); ok {
		v.session(user, line)
	}
	v.identified()
	v.mu.Lock()
	defer v.mu.Unlock()
	return quiet(readErr)
}

// leave sends what is left, then ends the connection, which ends the pump.
func (v *visit) leave() {
	v.out.finish()
	stop := v.s.Clock.AfterFunc(time.Second, func() { v.s.Conn.Close() }) //nolint:errcheck // ends what still waits for a visitor who does not read
	defer stop()
	v.out.drained()
	v.s.Conn.Close() //nolint:errcheck // ends the pump
}

// quiet is nil for the ordinary ends of a connection.
func quiet(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (v *visit) post(e event.Event) { v.s.Post(v.last, e) }

// identified tells by what the client can be known, once.
func (v *visit) identified() {
	v.mu.Lock()
	options, newline, told, early := v.dec.seen.String(), v.dec.seen.newline, v.told, v.early
	v.told = true
	v.mu.Unlock()
	if told {
		return
	}
	e := v.s.Event(event.ActionClientIdentified)
	e.Depth = event.DepthTouch
	sum := sha256.Sum256([]byte(options + "; " + newline))
	e.Add("lapwing.telnet.options", options)
	e.Add("lapwing.telnet.newline", newline)
	e.Add("lapwing.telnet.fingerprint", hex.EncodeToString(sum[:8]))
	if early {
		e.Add("lapwing.telnet.typed_ahead", "true")
	}
	v.post(e)
}

var errFlood = errors.New("more than 256 KiB before a login")

// pump hands what the visitor sends to the terminal until he leaves.
func (v *visit) pump() error {
	defer v.tty.HangUp()
	buf, data := make([]byte, 2048), make([]byte, 0, 2048)
	before := 0
	for {
		n, err := v.s.Conn.Read(buf)
		v.mu.Lock()
		data = v.dec.decode(data[:0], buf[:n])
		inside := v.inside
		v.mu.Unlock()
		if before += n; !inside && before > maxBefore {
			e := v.s.Event(event.ActionProtocolError)
			e.Depth, e.Reason = event.DepthTry, errFlood.Error()
			v.post(e)
			return nil
		}
		if inside { // before, a terminal's own limit is enough
			v.tty.WaitRoom()
		}
		v.tty.Input(data)
		if err != nil {
			return err
		}
	}
}

// session is the shell of somebody who got in.
func (v *visit) session(user, line string) {
	v.mu.Lock()
	v.inside = true
	v.mu.Unlock()
	rec := record.New(v.last, v.s, user, "shell")
	sess, ctx, cancel := v.host.Open(v.ctx, host.Login{
		User: user, From: v.s.Source, To: v.s.Local, Service: "telnet", Term: "vt102", Recorder: rec,
	})
	defer cancel(nil)
	rec.Watch(v.host.M.FS)
	sess.TTY = v.tty
	sess.Take(line)
	rows, cols := v.tty.Size()
	rec.Header(rows, cols, sess.Term)
	v.out.follow(rec.Output, sess.Budget)
	restore := v.tty.Foreground(func(sig int) {
		if sig == kernel.SIGHUP {
			cancel(kernel.Killed{Signal: sig})
		}
	})
	defer restore()
	wake := kernel.OnKill(ctx, func(int) { v.tty.HangUp() })
	defer wake()
	if v.tty.Gone() {
		cancel(kernel.Killed{Signal: kernel.SIGHUP})
	}
	fd := v.tty.FD()
	p := host.Shell(sess, map[int]*kernel.FD{0: fd, 1: fd.Dup(), 2: fd.Dup()})
	io.WriteString(p.Stdout(), v.s.Host.Greeting(sess)) //nolint:errcheck // a gone client is seen elsewhere
	shell.Login(ctx, p)
	why := ""
	if err := context.Cause(ctx); err != nil {
		why = err.Error()
	}
	cancel(nil)
	v.out.flush()
	v.out.follow(nil, nil)
	rec.Close(v.host, why)
}
