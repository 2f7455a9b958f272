package sshd

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/sftpfs"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
)

// channel is one session channel (RFC 4254, section 6).
type channel struct {
	v    *visit
	ch   ssh.Channel
	user string

	pty        bool
	term       string
	rows, cols int
	tty        *kernel.TTY
	env        map[string]string
}

// serve answers requests until one starts a program, then runs it.
func (c *channel) serve(reqs <-chan *ssh.Request) {
	defer c.ch.Close() //nolint:errcheck // the visitor may be gone
	c.env = map[string]string{}
	for r := range reqs {
		switch r.Type {
		case "pty-req":
			c.ptyRequest(r)
		case "env":
			var m struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &m) == nil && len(c.env) < 32 && (m.Name == "LANG" || len(m.Name) > 3 && m.Name[:3] == "LC_") && len(m.Value) < 256 {
				c.env[m.Name] = m.Value
			}
			reply(r, true)
		case "shell":
			reply(r, true)
			c.run(reqs, "shell", "")
			return
		case "exec":
			var m struct{ Command string }
			if ssh.Unmarshal(r.Payload, &m) != nil {
				reply(r, false)
				continue
			}
			reply(r, true)
			c.run(reqs, "exec", m.Command)
			return
		case "subsystem":
			var m struct{ Name string }
			if ssh.Unmarshal(r.Payload, &m) != nil || m.Name != "sftp" {
				reply(r, false)
				continue
			}
			reply(r, true)
			c.run(reqs, "sftp", "")
			return
		default: // x11-req, auth-agent-req@openssh.com and what does not exist
			reply(r, false)
		}
	}
}

func reply(r *ssh.Request, ok bool) {
	if r.WantReply {
		r.Reply(ok, nil) //nolint:errcheck // a gone client is seen elsewhere
	}
}

func (c *channel) ptyRequest(r *ssh.Request) {
	var m struct {
		Term                      string
		Cols, Rows, Width, Height uint32
		Modes                     string
	}
	if ssh.Unmarshal(r.Payload, &m) != nil || c.pty {
		reply(r, false)
		return
	}
	c.pty, c.term = true, m.Term[:min(len(m.Term), 64)]
	c.rows, c.cols = size(m.Rows, 24), size(m.Cols, 80)
	reply(r, true)
}

// size is a window's size within reason.
func size(n uint32, def int) int {
	if n == 0 || n > 1000 {
		return def
	}
	return int(n)
}

// run is the session itself.
func (c *channel) run(reqs <-chan *ssh.Request, kind, command string) {
	v := c.v
	rec := record.New(v.last, v.s, c.user, kind)
	sess, ctx, cancel := v.host.Open(v.ctx, host.Login{
		User: c.user, From: v.s.Source, To: v.s.Local, Service: "ssh", Term: c.term, Recorder: rec,
	})
	defer cancel(nil)
	rec.Watch(v.host.M.FS)
	var pump sync.WaitGroup
	stdin := &bytes.Buffer{}
	fds := c.plain(stdin)
	if c.pty {
		line, done := v.host.Line()
		defer done()
		sess.Line = line
		fds = c.terminal(rec, sess, &pump)
	}
	pump.Go(func() { c.requests(reqs, cancel) })
	p := host.Shell(sess, fds)
	for k, val := range c.env {
		p.Env[k] = val
	}
	status := 0
	switch {
	case kind == "sftp":
		status = c.sftp(ctx, p, rec)
	case kind == "exec":
		status = shell.Exec(ctx, p, command)
		rec.Line(ctx, kernel.Line{Text: command, Dir: p.Dir, User: c.user, PID: p.PID, Exit: status})
	default:
		if c.pty {
			io.WriteString(p.Stdout(), v.s.Host.Greeting(sess)) //nolint:errcheck // a gone client is seen elsewhere
		}
		status = shell.Login(ctx, p)
	}
	why := ""
	if err := context.Cause(ctx); err != nil {
		why = err.Error()
	}
	cancel(nil)
	if kind == "exec" && stdin.Len() > 0 {
		rec.Capture("(standard input)", bytes.NewReader(stdin.Bytes()), "stdin")
	}
	c.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)})) //nolint:errcheck // a gone client is seen elsewhere
	c.ch.CloseWrite()                                                                            //nolint:errcheck // as above
	c.ch.Close()                                                                                 //nolint:errcheck // as above
	if c.tty != nil {
		c.tty.HangUp()
	}
	pump.Wait()
	rec.Close(v.host, why)
}

// sftp serves the subsystem on the channel.
func (c *channel) sftp(ctx context.Context, p *kernel.Proc, rec *record.Session) int {
	stop := context.AfterFunc(ctx, func() { c.ch.Close() }) //nolint:errcheck // ends Serve
	defer stop()
	p.Args = []string{"/usr/lib/openssh/sftp-server"}
	if err := sftpfs.Serve(p, c.ch, watcher{rec}); err != nil {
		return 255
	}
	return 0
}

// watcher turns what is done by SFTP into events.
type watcher struct{ rec *record.Session }

func (w watcher) Read(path string) {
	w.rec.Emit(event.ActionFileRead, event.DepthAct, func(e *event.Event) { e.Path = clip(path) })
}

func (w watcher) Changed(verb, path, target string) {
	w.rec.Emit(event.ActionFileChanged, event.DepthAct, func(e *event.Event) {
		e.Path = clip(path)
		e.Add("lapwing.file.verb", strings.ToLower(verb))
		e.Add("file.target_path", clip(target))
	})
}

func clip(s string) string { return s[:min(len(s), 4096)] }

const maxStdin = 32 << 20 // bytes of standard input that are kept

// output counts against the session's budget.
type output struct {
	w io.Writer
	b *kernel.Budget
}

func (o output) Write(p []byte) (int, error) {
	if o.b != nil {
		if err := o.b.Output(int64(len(p))); err != nil {
			return 0, err
		}
	}
	return o.w.Write(p)
}

// input keeps what a program reads from the visitor.
type input struct {
	r    io.Reader
	kept *bytes.Buffer
}

func (i input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if i.kept.Len()+n <= maxStdin {
		i.kept.Write(p[:n])
	}
	return n, err
}

type readOnly struct{ io.Reader }

func (readOnly) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

type writeOnly struct{ io.Writer }

func (writeOnly) Read([]byte) (int, error) { return 0, io.EOF }

// plain is a session without a terminal: three pipes.
func (c *channel) plain(kept *bytes.Buffer) map[int]*kernel.FD {
	return map[int]*kernel.FD{
		0: kernel.NewFD("pipe:[0]", readOnly{input{c.ch, kept}}, nil),
		1: kernel.NewFD("pipe:[1]", writeOnly{output{w: c.ch}}, nil),
		2: kernel.NewFD("pipe:[2]", writeOnly{output{w: c.ch.Stderr()}}, nil),
	}
}

// screen is the master side of a terminal: to the visitor and to the recording.
type screen struct {
	ch  io.Writer
	rec *record.Session
}

func (s screen) Write(p []byte) (int, error) {
	s.rec.Output(p)
	return s.ch.Write(p)
}

func (c *channel) terminal(rec *record.Session, sess *kernel.Session, pump *sync.WaitGroup) map[int]*kernel.FD {
	rec.Header(c.rows, c.cols, c.term)
	c.tty = kernel.NewTTY("/dev/"+sess.Line, output{screen{c.ch, rec}, sess.Budget}, c.rows, c.cols)
	sess.TTY = c.tty
	pump.Go(func() {
		buf := make([]byte, 1024)
		for {
			n, err := c.ch.Read(buf)
			c.tty.Input(buf[:n])
			if err != nil {
				c.tty.HangUp()
				return
			}
		}
	})
	fd := c.tty.FD()
	return map[int]*kernel.FD{0: fd, 1: fd.Dup(), 2: fd.Dup()}
}

// requests answers what comes while a program runs; the end of them is the
// end of the channel.
func (c *channel) requests(reqs <-chan *ssh.Request, cancel context.CancelCauseFunc) {
	for r := range reqs {
		switch r.Type {
		case "window-change":
			var m struct{ Cols, Rows, W, H uint32 }
			if ssh.Unmarshal(r.Payload, &m) == nil && c.tty != nil {
				c.tty.Resize(size(m.Rows, 24), size(m.Cols, 80))
			}
		case "signal":
			var m struct{ Name string }
			if ssh.Unmarshal(r.Payload, &m) == nil {
				if n, ok := kernel.SignalNumber(m.Name); ok {
					cancel(kernel.Killed{Signal: n})
				}
			}
		}
		reply(r, r.Type == "window-change" || r.Type == "signal")
	}
	cancel(kernel.Killed{Signal: kernel.SIGHUP})
}
