package sshd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	asked      []string // NAME=VALUE that the client wanted to set, what was refused in brackets
	told       map[string]bool
	agent      bool
	ended      sync.Once
}

// serve answers requests until one starts a program, then runs it. Its
// goroutine waits as long as the program does: what comes before and after is
// in functions of its own, whose frames do not wait with it.
func (c *channel) serve(reqs <-chan *ssh.Request) {
	defer c.ch.Close() //nolint:errcheck // the visitor may be gone
	r := c.start(reqs)
	if r == nil {
		return
	}
	defer r.release()
	r.finish(c.program(r))
}

// start answers requests until one starts a program; nil: none did.
func (c *channel) start(reqs <-chan *ssh.Request) *running {
	for r := range reqs {
		if kind, command, ok := program(r); ok {
			release := func() {}
			if kind == "exec" && !c.pty {
				release = c.v.together()
			}
			reply(r, true)
			return c.open(reqs, kind, command, release)
		}
		switch r.Type {
		case "pty-req":
			c.ptyRequest(r)
		case "env":
			reply(r, c.setenv(r))
		case "auth-agent-req@openssh.com": // Debian allows it; nothing is ever asked of the agent
			ok := !c.agent
			c.agent = true
			c.note("agent-forwarded", r.Type)
			reply(r, ok)
		case "window-change": // without a terminal it does nothing
			reply(r, true)
		default: // x11-req without xauth, what comes too early and what does not exist
			c.refused(r)
			reply(r, false)
		}
	}
	return nil
}

// startup is how long the answer to an exec request waits for the output of a
// program: as long as a real host takes to start one.
const startup = 3 * time.Millisecond

// together sends what is written from now on in one segment; what has been
// written leaves at release, or after startup.
func (v *visit) together() (release func()) {
	v.conn.out.hold()
	stop := v.s.Clock.AfterFunc(startup, func() { v.conn.out.release() }) //nolint:errcheck // the next write tells
	return func() {
		stop()
		v.conn.out.release() //nolint:errcheck // a gone client is seen elsewhere
	}
}

// program reads a request that starts one: shell, exec, sftp.
func program(r *ssh.Request) (kind, command string, ok bool) {
	var m struct{ Text string }
	switch r.Type {
	case "shell":
		return "shell", "", true
	case "exec":
		ok = ssh.Unmarshal(r.Payload, &m) == nil
		return "exec", m.Text, ok
	case "subsystem":
		ok = ssh.Unmarshal(r.Payload, &m) == nil && m.Text == "sftp"
		return "sftp", "", ok
	}
	return "", "", false
}

const maxEnv = 32

// setenv takes what Debian's AcceptEnv allows: LANG and LC_*.
func (c *channel) setenv(r *ssh.Request) bool {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(r.Payload, &m) != nil || len(c.asked) >= maxEnv {
		return false
	}
	pair := m.Name[:min(len(m.Name), 64)] + "=" + m.Value[:min(len(m.Value), 256)]
	if m.Name != "LANG" && !strings.HasPrefix(m.Name, "LC_") || len(m.Name) > 64 || len(m.Value) > 256 {
		c.asked = append(c.asked, "("+pair+")")
		return false
	}
	c.asked = append(c.asked, pair)
	if c.env == nil {
		c.env = map[string]string{}
	}
	c.env[m.Name] = m.Value
	return true
}

// refused records a request that a real host refuses, too.
func (c *channel) refused(r *ssh.Request) {
	what := r.Type
	switch r.Type {
	case "subsystem":
		var m struct{ Name string }
		if ssh.Unmarshal(r.Payload, &m) == nil {
			what += " " + m.Name
		}
	case "x11-req":
		var m struct {
			Single           bool
			Protocol, Cookie string
			Screen           uint32
		}
		if ssh.Unmarshal(r.Payload, &m) == nil {
			what += fmt.Sprintf(" %s screen %d", m.Protocol, m.Screen)
		}
	}
	c.note("request-refused", what)
}

const maxNotes = 16 // kinds of requests of one session that are told

// note records what a client asked for, each once.
func (c *channel) note(how, what string) {
	if c.told[what] || len(c.told) >= maxNotes {
		return
	}
	if c.told == nil {
		c.told = map[string]bool{}
	}
	c.told[what] = true
	e := c.v.s.Event(event.ActionProgramNoted)
	e.User, e.Depth, e.Reason = c.user, event.DepthAct, how+": "+what[:min(len(what), 300)]
	c.v.post(e)
}

// facts are what the client said of its side before it began a program.
func (c *channel) facts() (out []event.Field) {
	if c.pty {
		out = append(out, event.Field{Name: "lapwing.session.terminal", Value: event.String(c.term)})
	}
	if len(c.asked) > 0 {
		out = append(out, event.Field{Name: "lapwing.session.environment", Value: event.String(strings.Join(c.asked, " "))})
	}
	return out
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

// running is a session whose program runs.
type running struct {
	*channel
	kind, command string

	ctx     context.Context //nolint:containedctx // of the program
	cancel  context.CancelCauseFunc
	rec     *record.Session
	p       *kernel.Proc
	in      *input
	pump    sync.WaitGroup // who brings input and answers requests
	undo    []func()       // at the end, the last first
	release func()         // sends what was held back
}

// open makes the session of a program.
func (c *channel) open(reqs <-chan *ssh.Request, kind, command string, release func()) *running {
	v := c.v
	r := &running{channel: c, kind: kind, command: command, release: release}
	r.rec = record.New(v.last, v.s, c.user, kind, c.facts()...)
	sess, ctx, cancel := v.host.Open(v.ctx, host.Login{
		User: c.user, From: v.s.Source, To: v.s.Local, Service: "ssh", Term: c.term, Recorder: r.rec,
	})
	r.ctx, r.cancel = ctx, cancel
	r.undo = append(r.undo, func() { cancel(nil) })
	r.rec.Watch(v.host.M.FS)
	r.in = &input{r: c.ch, shared: &v.stdin, most: v.c.StdinMemory}
	var fds map[int]*kernel.FD
	if c.pty {
		line, done := v.host.Line()
		r.undo = append(r.undo, done)
		sess.Take(line)
		fds = c.terminal(r.rec, sess, &r.pump)
	} else {
		fds = c.plain(r.in, sess.Budget)
	}
	r.pump.Add(1)
	v.answer(requests{from: reqs, answer: r.request, end: func() {
		cancel(kernel.Killed{Signal: kernel.SIGHUP}) // the end of the requests is the end of the channel
		if c.tty != nil {                            // also where something else ended the context before
			c.tty.HangUp()
		}
		r.pump.Done()
	}})
	wake := kernel.OnKill(ctx, func(signal int) { // what waits for the visitor has to end too
		if c.end(0, signal); c.tty != nil {
			c.tty.HangUp()
		}
	})
	r.undo = append(r.undo, func() { wake() })
	r.p = host.Shell(sess, fds)
	r.undo = append(r.undo, c.environment(r.p))
	return r
}

// finish ends the session after its program.
func (r *running) finish(status int) {
	why := ""
	if err := context.Cause(r.ctx); err != nil {
		why = err.Error()
	}
	r.cancel(nil)
	if r.kind == "exec" && !transfer(r.command) { // what scp takes is captured as the files it makes
		r.in.capture(r.rec)
	}
	r.in.free()
	r.end(status, r.p.Killed)
	if r.tty != nil {
		r.tty.HangUp()
	}
	r.pump.Wait()
	r.rec.Close(r.v.host, why)
	for _, undo := range slices.Backward(r.undo) {
		undo()
	}
}

// environment adds what the client asked for. The socket of a forwarded agent
// lies where sshd puts it; nothing answers on it. undo removes it.
func (c *channel) environment(p *kernel.Proc) (undo func()) {
	maps.Copy(p.Env, c.env)
	if !c.agent {
		return func() {}
	}
	return host.ForwardAgent(p)
}

// program runs what was asked for and gives its status.
func (c *channel) program(r *running) int {
	switch {
	case r.kind == "sftp":
		return c.sftp(r.ctx, r.p, r.rec)
	case r.kind == "exec":
		return r.exec()
	case c.pty:
		r.greet()
	}
	return shell.Login(r.ctx, r.p)
}

func (r *running) exec() int {
	status := shell.Exec(r.ctx, r.p, r.command)
	r.rec.Done(kernel.Line{Text: r.command, Dir: r.p.Dir, User: r.user, PID: r.p.PID, Exit: status})
	return status
}

func (r *running) greet() {
	io.WriteString(r.p.Stdout(), r.v.host.Greeting(r.p.S)) //nolint:errcheck // a gone client is seen elsewhere
}

// signalName is a signal's name as SSH sends it; one that RFC 4254 does not
// name gets OpenSSH's.
func signalName(n int) string {
	name := kernel.SignalName(n)
	if strings.Contains(" ABRT ALRM FPE HUP ILL INT KILL PIPE QUIT SEGV TERM USR1 USR2 ", " "+name+" ") {
		return name
	}
	return "SIG@openssh.com"
}

// end tells the client how the program ended, then closes (RFC 4254, 6.10).
func (c *channel) end(status, signal int) { c.ended.Do(func() { c.tell(status, signal) }) }

func (c *channel) tell(status, signal int) {
	defer c.v.together()()
	if name := signalName(signal); signal != 0 {
		c.ch.SendRequest("exit-signal", false, ssh.Marshal(struct { //nolint:errcheck // a gone client is seen elsewhere
			Name      string
			Core      bool
			Text, Tag string
		}{Name: name}))
	} else {
		c.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)})) //nolint:errcheck // as above; as wait(2) gives it
	}
	c.ch.CloseWrite() //nolint:errcheck // as above
	c.ch.Close()      //nolint:errcheck // as above
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

// output counts against the session's budget.
type output struct {
	w io.Writer
	b *kernel.Budget
}

func (o output) Write(p []byte) (int, error) {
	if err := o.b.Output(int64(len(p))); err != nil {
		return 0, err
	}
	return o.w.Write(p)
}

const maxStdin = 32 << 20 // bytes of one standard input that are kept

// transfer tells of the far end of scp: its standard input is the protocol.
func transfer(command string) bool {
	f := strings.Fields(command)
	return len(f) > 2 && (f[0] == "scp" || f[0] == "/usr/bin/scp") &&
		slices.ContainsFunc(f[1:], func(a string) bool { return a == "-t" || a == "-f" })
}

// input keeps what a program reads from the visitor, within the memory that
// all sessions share.
type input struct {
	r      io.Reader
	shared *atomic.Int64
	most   int64

	mu   sync.Mutex
	kept bytes.Buffer
	cut  bool
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case n == 0 || i.cut:
	case i.kept.Len()+n > maxStdin || i.shared.Add(int64(n)) > i.most:
		if i.kept.Len()+n <= maxStdin {
			i.shared.Add(int64(-n))
		}
		i.cut = true
	default:
		i.kept.Write(p[:n])
	}
	return n, err
}

// capture hands over what was read.
func (i *input) capture(rec *record.Session) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kept.Len() == 0 {
		return
	}
	how := "stdin"
	if i.cut {
		rec.Limit("bytes kept of standard input")
		how = "stdin, cut off"
	}
	rec.Capture("(standard input)", bytes.NewReader(i.kept.Bytes()), how)
}

// free gives the memory back.
func (i *input) free() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.shared.Add(int64(-i.kept.Len()))
	i.kept, i.cut = bytes.Buffer{}, true
}

type readOnly struct{ io.Reader }

func (readOnly) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

type writeOnly struct{ io.Writer }

func (writeOnly) Read([]byte) (int, error) { return 0, io.EOF }

// plain is a session without a terminal: three pipes.
func (c *channel) plain(in *input, b *kernel.Budget) map[int]*kernel.FD {
	return map[int]*kernel.FD{
		0: kernel.NewFD("pipe:[0]", readOnly{in}, nil),
		1: kernel.NewFD("pipe:[1]", writeOnly{output{c.ch, b}}, nil),
		2: kernel.NewFD("pipe:[2]", writeOnly{output{c.ch.Stderr(), b}}, nil),
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
		buf := make([]byte, 512)
		for {
			n, err := c.ch.Read(buf)
			rec.Input(buf[:n], c.tty.Hidden())
			c.tty.Input(buf[:n])
			if err != nil { // sshd stops writing into the terminal, no more: it hangs up when the channel closes
				return
			}
		}
	})
	fd := c.tty.FD()
	return map[int]*kernel.FD{0: fd, 1: fd.Dup(), 2: fd.Dup()}
}

// request answers what comes while a program runs.
func (r *running) request(q *ssh.Request) {
	ok := false
	switch q.Type {
	case "window-change":
		var m struct{ Cols, Rows, W, H uint32 }
		if ok = true; ssh.Unmarshal(q.Payload, &m) == nil && r.tty != nil {
			rows, cols := size(m.Rows, 24), size(m.Cols, 80)
			r.tty.Resize(rows, cols)
			r.rec.Resize(rows, cols)
		}
	case "signal":
		var m struct{ Name string }
		if ssh.Unmarshal(q.Payload, &m) == nil && r.user != "root" { // sshd without privilege separation refuses
			var n int
			if n, ok = kernel.SignalNumber(m.Name); ok {
				r.cancel(kernel.Killed{Signal: n})
			}
		}
	}
	reply(q, ok)
}
