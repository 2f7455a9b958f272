// Package record turns what a visitor does on a fake host into events,
// recordings and captures. Every decoy with a shell uses it.
package record

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const (
	maxText    = 16 << 10 // bytes of a command line in an event; the rest is told as a length
	maxCapture = 32 << 20
	maxFiles   = 64 // captures of one session
	flushEvery = 250 * time.Millisecond
	castMax    = 16 << 20 // bytes of one recording
	maxResizes = 50       // window changes of one session that are events
	maxEvents  = 5000     // events of one session
)

// Session records one login. It implements kernel.Recorder.
type Session struct {
	s    *decoy.Session
	ctx  context.Context //nolint:containedctx // outlives the requests of a session, on purpose
	ID   string
	User string

	events   atomic.Int64
	limits   sync.Mutex      // of told and over
	told     map[string]bool // names of limits that were reached
	over     bool            // Close was called: the visit may be waited for
	mu       sync.Mutex
	commands int
	resizes  int
	files    int
	seen     map[string]bool
	start    time.Time
	cast     []byte
	castSize int
	stopCast func() bool
	partial  []byte // an incomplete UTF-8 character of the output
}

var _ kernel.Recorder = (*Session)(nil)

// New begins a session and emits session-started with facts about it. ctx must
// outlive the visit.
func New(ctx context.Context, s *decoy.Session, user, kind string, facts ...event.Field) *Session {
	r := &Session{s: s, ctx: ctx, ID: s.IDs.New(), User: user, seen: map[string]bool{}, told: map[string]bool{}, start: s.Clock.Now()}
	e := r.event(event.ActionSessionStarted, event.DepthEnter)
	e.Add("lapwing.session.kind", kind)
	e.Extra = append(e.Extra, facts...)
	r.post(e)
	return r
}

func (r *Session) event(action string, d event.Depth) event.Event {
	e := r.s.Event(action)
	e.Session, e.User, e.Depth = r.ID, r.User, d
	return e
}

// post emits without making the visitor wait. Over the limit of a session one
// event says so, and the rest is only counted.
func (r *Session) post(e event.Event) {
	switch n := r.events.Add(1); {
	case n == maxEvents && e.Action != event.ActionSessionEnded:
		e = r.event(event.ActionLimitReached, event.DepthAct)
		e.Reason = "events of one session"
	case n > maxEvents && e.Action != event.ActionSessionEnded:
		return
	}
	r.s.Post(r.ctx, e)
}

// Line records a command.
func (r *Session) Line(_ context.Context, l kernel.Line) { r.post(r.line(l)) }

// patience is how long Done waits for a hub that is slow.
const patience = time.Second

// Done is Line for the last command of a session: it waits until everything
// so far is durable, so that who gets the answer has been recorded. Where the
// hub is slow it gives up waiting, and the event goes on its way.
func (r *Session) Done(l kernel.Line) {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	r.events.Add(1)
	r.s.Emit(ctx, r.line(l)) //nolint:errcheck // the recorder counts what it refuses
}

func (r *Session) line(l kernel.Line) event.Event {
	e := r.event(event.ActionCommandExecuted, event.DepthAct)
	e.CommandLine = l.Text
	if len(l.Text) > maxText {
		e.CommandLine = l.Text[:maxText]
		e.AddInt("lapwing.command.length", int64(len(l.Text)))
	}
	e.ExitCode, e.HasExit = l.Exit, true
	e.Add("process.working_directory", l.Dir)
	e.AddInt("process.pid", int64(l.PID))
	r.mu.Lock()
	r.commands++
	r.mu.Unlock()
	return e
}

// Fetch records a request for something outside.
func (r *Session) Fetch(_ context.Context, f kernel.Fetch) {
	e := r.event(event.ActionDownloadRequested, event.DepthAct)
	e.URL = f.URL[:min(len(f.URL), 4096)]
	e.Add("process.name", f.Tool)
	e.Add("http.request.method", f.Method)
	if f.Path != "" && f.Path != "-" {
		e.Path = f.Path
	}
	r.post(e)
}

// Password records a password that was set on the fake host.
func (r *Session) Password(_ context.Context, user, password string) {
	e := r.event(event.ActionPasswordChanged, event.DepthAct)
	e.Add("user.target.name", user)
	e.Add(PasswordField, password)
	r.post(e)
}

// PasswordField carries a typed password to the hub, which replaces it by a
// keyed hash before anything is written.
const PasswordField = "lapwing.password.text"

// TokenField names the planted credential that was tried in a login, or the
// planted file that was read.
const TokenField = "lapwing.token.id"

// Try is somebody's attempt to log in.
type Try struct {
	User, Method string
	Password     string // empty: none was said
	Token        string // of the planted credential that it was, empty for none
	OK           bool
	LogType      int // OpenCanary's number, 0 = none
}

// maxPassword and maxUser are how much of what is typed goes to the hub, in bytes.
const (
	maxUser     = 255
	maxPassword = 4096
)

// Login is t as an event of s, for the decoy to add to and to post.
func Login(s *decoy.Session, t Try) event.Event {
	e := s.Event(event.ActionLogin)
	e.User, e.Depth, e.LogType, e.Outcome = t.User[:min(len(t.User), maxUser)], event.DepthTry, t.LogType, "failure"
	if t.OK {
		e.Outcome, e.Depth = "success", event.DepthEnter
	}
	e.Add("lapwing.login.method", t.Method)
	e.Add(PasswordField, t.Password[:min(len(t.Password), maxPassword)])
	e.Add(TokenField, t.Token)
	return e
}

// Broken posts that a visitor broke the protocol.
func Broken(ctx context.Context, s *decoy.Session, why string) {
	e := s.Event(event.ActionProtocolError)
	e.Depth, e.Reason = event.DepthTry, why[:min(len(why), maxWhy)]
	s.Post(ctx, e)
}

const maxWhy = 300 // bytes

// QueryField is a statement or command as a decoy of a database was given it.
const QueryField = "lapwing.query.text"

// Query fills e with a statement that a database decoy was given, and with the
// error that it answered, "" for none.
func Query(e *event.Event, statement, failure string) {
	e.Add(QueryField, statement[:min(len(statement), maxText)])
	if len(statement) > maxText {
		e.AddInt("lapwing.query.length", int64(len(statement)))
	}
	e.Outcome = "success"
	if failure != "" {
		e.Outcome, e.Reason = "failure", failure[:min(len(failure), 300)]
	}
}

// Note records anything else, such as code that an interpreter was given.
func (r *Session) Note(_ context.Context, action, reason string) {
	e := r.event(event.ActionProgramNoted, event.DepthAct)
	e.Reason = action + ": " + reason[:min(len(reason), 1000)]
	r.post(e)
}

// Limit records once that the limit of a name was reached. What is reached
// after Close is not told.
func (r *Session) Limit(name string) {
	r.limits.Lock()
	defer r.limits.Unlock()
	if r.over || r.told[name] {
		return
	}
	r.told[name] = true
	e := r.event(event.ActionLimitReached, event.DepthAct)
	e.Reason = name
	r.post(e)
}

// Emit records an event of a decoy's own.
func (r *Session) Emit(action string, d event.Depth, fill func(*event.Event)) {
	e := r.event(action, d)
	fill(&e)
	r.post(e)
}

// Capture keeps what a visitor left at path.
func (r *Session) Capture(path string, content io.Reader, how string) {
	r.mu.Lock()
	r.files++
	over := r.files > maxFiles
	r.mu.Unlock()
	if over {
		r.Limit("captures of one session")
		return
	}
	sum, size, err := r.s.Rec.Capture(r.ctx, content, maxCapture)
	e := r.event(event.ActionFileCaptured, event.DepthAct)
	e.Path, e.SHA256, e.Size = path, sum, size
	e.Add("lapwing.capture.how", how)
	if err != nil {
		e.Reason = err.Error()
		r.Limit("capture: " + err.Error()[:min(len(err.Error()), 300)])
	}
	if size >= maxCapture {
		r.Limit("bytes of one capture")
	}
	r.mu.Lock()
	dup := r.seen[path+sum]
	r.seen[path+sum] = true
	r.mu.Unlock()
	if !dup && (size > 0 || err != nil) {
		r.post(e)
	}
}

// Watch makes sure that files about to vanish are captured.
func (r *Session) Watch(fs *vfs.FS) {
	fs.OnLoss(func(path string, c vfs.Content) { r.content(path, c) })
	fs.OnFull(r.Limit)
	fs.OnMark(r.marked)
}

// marked records that a planted file was opened. What is opened after Close is
// not told.
func (r *Session) marked(path, token string) {
	r.limits.Lock()
	defer r.limits.Unlock()
	if r.over {
		return
	}
	r.Emit(event.ActionFileRead, event.DepthAct, func(e *event.Event) {
		e.Path = path
		if token == host.MarkHostKey {
			e.Reason = "the host's private key was read; it is bait and opens nothing"
			return
		}
		e.Add(TokenField, token)
	})
}

func (r *Session) content(path string, c vfs.Content) {
	if _, program := c.(vfs.Program); program || c.Size() == 0 {
		return
	}
	r.Capture(path, io.NewSectionReader(c, 0, c.Size()), "file")
}

// Sweep captures what the visitor has written and not removed.
func (r *Session) Sweep(fs *vfs.FS) {
	for _, f := range fs.Dirty() {
		if ownFile(f.Path) {
			fs.ClearDirty(f.Path)
			continue
		}
		if c, err := fs.Content(vfs.Root(), f.Path); err == nil {
			r.content(f.Path, c)
		}
		fs.ClearDirty(f.Path)
	}
}

// ownFile tells of files that the host's programs write for a visitor: he did not
// leave them. What he changed by passwd, useradd and crontab has events of its own.
func ownFile(p string) bool {
	switch strings.TrimSuffix(p, "-") {
	case "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/subuid", "/etc/subgid":
		return true
	}
	return false
}

// Header begins the recording of a terminal.
func (r *Session) Header(rows, cols int, term string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := fmt.Appendf(nil, `{"version":2,"width":%d,"height":%d,"timestamp":%d,"env":{"SHELL":`, cols, rows, r.start.Unix())
	shell := "/bin/sh"
	if u, ok := r.s.Host.Persona().User(r.User); ok {
		shell = u.Shell
	}
	h = append(event.AppendString(h, shell), `,"TERM":`...)
	h = event.AppendString(h, term[:min(len(term), 64)])
	r.add(append(h, "}}\n"...))
}

// Output records terminal output.
func (r *Session) Output(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := string(append(r.partial, b...))
	r.partial = nil
	for k := 1; k < 4 && k <= len(text); k++ { // keep a cut-off character for the next chunk
		if c := text[len(text)-k]; c >= 0xc0 {
			if need := map[bool]int{true: 4, false: 3}[c >= 0xf0]; c >= 0xe0 && k < need || c < 0xe0 && k < 2 {
				r.partial = []byte(text[len(text)-k:])
				text = text[:len(text)-k]
			}
			break
		} else if c < 0x80 {
			break
		}
	}
	if text == "" {
		return
	}
	line := fmt.Appendf(nil, "[%.6f, \"o\", ", r.s.Clock.Now().Sub(r.start).Seconds())
	line = event.AppendString(line, strings.ToValidUTF8(text, "\ufffd"))
	r.add(append(line, "]\n"...))
}

// Input records the time of what the visitor types (asciicast code "i"), and
// what it is unless hidden: a password at a prompt leaves a star a byte.
func (r *Session) Input(b []byte, hidden bool) {
	if len(b) == 0 {
		return
	}
	text := strings.ToValidUTF8(string(b), "\ufffd")
	if hidden {
		text = strings.Repeat("*", len(b))
	}
	r.code('i', text)
}

// Resize records a change of the window's size (asciicast code "r").
func (r *Session) Resize(rows, cols int) {
	r.code('r', fmt.Sprintf("%dx%d", cols, rows))
	r.mu.Lock()
	r.resizes++
	over := r.resizes > maxResizes
	r.mu.Unlock()
	if over {
		return
	}
	e := r.event(event.ActionWindowChanged, event.DepthAct)
	e.AddInt("lapwing.terminal.rows", int64(rows))
	e.AddInt("lapwing.terminal.columns", int64(cols))
	r.post(e)
}

func (r *Session) code(code byte, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Appendf(nil, "[%.6f, \"%c\", ", r.s.Clock.Now().Sub(r.start).Seconds(), code)
	r.add(append(event.AppendString(line, text), "]\n"...))
}

// add queues recording lines; they leave at least every flushEvery.
func (r *Session) add(line []byte) {
	if r.castSize += len(line); r.castSize > castMax {
		r.Limit("bytes of one recording")
		return
	}
	r.cast = append(r.cast, line...)
	if len(r.cast) > 16<<10 {
		r.flush()
	} else if r.stopCast == nil {
		r.stopCast = r.s.Clock.AfterFunc(flushEvery, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.flush()
		})
	}
}

func (r *Session) flush() {
	if r.stopCast != nil {
		r.stopCast()
		r.stopCast = nil
	}
	if len(r.cast) > 0 {
		r.s.Rec.Cast(r.ctx, r.ID, r.cast) //nolint:errcheck // the recorder counts what it refuses
		r.cast = nil
	}
}

// Close ends the session: what was written is captured and the totals are
// emitted. Everything is durable when the visit ends (decoy.Session.Wait).
func (r *Session) Close(v *host.Visit, why string) {
	if v != nil {
		r.Sweep(v.M.FS)
	}
	r.mu.Lock()
	r.flush()
	commands, files := r.commands, r.files
	r.mu.Unlock()
	r.limits.Lock()
	r.over = true
	r.limits.Unlock()
	e := r.event(event.ActionSessionEnded, event.DepthEnter)
	e.AddInt("event.duration", int64(r.s.Clock.Now().Sub(r.start)))
	e.AddInt("lapwing.session.commands", int64(commands))
	e.AddInt("lapwing.session.captures", int64(files))
	if n := r.events.Load(); n > maxEvents {
		e.AddInt("lapwing.session.suppressed", n-maxEvents)
	}
	e.Reason = why
	r.post(e)
}
