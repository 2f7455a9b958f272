package kernel

import (
	"bytes"
	"io"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxInput = 4096 // bytes of one line that a terminal holds, as on Linux

// TTY is a pseudo-terminal: a line discipline between the visitor's
// connection (the master side) and the programs (the slave side).
type TTY struct {
	path string

	mu         sync.Mutex
	cond       sync.Cond
	out        io.Writer
	rows, cols int
	modes
	fg      *Job   // who may read, nil = whoever belongs to no job
	own     modes  // of who belongs to no job, while a job has the terminal
	line    []byte // being edited
	ready   []byte // lines that may be read
	eof     bool   // one end of file to give
	hungUp  bool
	breaks  int // signals sent from the keyboard
	signal  func(sig int)
	resized func(rows, cols int)
	expand  bool // tabs become blanks (XTABS)
	column  int  // of the cursor, for expand
}

// modes are settings of a terminal; each job finds its own again.
type modes struct {
	raw   bool
	quiet bool // no echo
}

// NewTTY is a terminal at path ("/dev/pts/0") whose output goes to out.
func NewTTY(path string, out io.Writer, rows, cols int) *TTY {
	t := &TTY{path: path, out: out, rows: rows, cols: cols}
	t.cond.L = &t.mu
	return t
}

// Size is the window's size in characters.
func (t *TTY) Size() (rows, cols int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rows, t.cols
}

// Resize changes the window's size.
func (t *TTY) Resize(rows, cols int) {
	t.mu.Lock()
	t.rows, t.cols = rows, cols
	fn := t.resized
	t.mu.Unlock()
	if fn != nil {
		fn(rows, cols)
	}
}

// SetRaw gives bytes to programs as they come, without echo and signals.
func (t *TTY) SetRaw(raw bool) (old bool) { return t.setRaw(nil, raw) }

// SetEcho switches echo.
func (t *TTY) SetEcho(echo bool) (old bool) { return t.setEcho(nil, echo) }

func (t *TTY) setRaw(j *Job, raw bool) (old bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.of(j); m != &t.modes {
		old, m.raw = m.raw, raw
		return old
	}
	old, t.raw = t.raw, raw
	if raw && len(t.line) > 0 {
		t.ready = append(t.ready, t.line...)
		t.line = nil
	}
	t.cond.Broadcast()
	return old
}

func (t *TTY) setEcho(j *Job, echo bool) (old bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.of(j)
	old, m.quiet = !m.quiet, !echo
	return old
}

// of are the modes that j sees.
func (t *TTY) of(j *Job) *modes {
	switch j {
	case t.fg:
		return &t.modes
	case nil:
		return &t.own
	}
	return &j.modes
}

// GiveTo hands the terminal to a job, nil to who belongs to none. What the one
// before has set is kept for it, and what j had set holds again; with keep the
// modes stay as they are, as after a program that ended in order.
func (t *TTY) GiveTo(j *Job, keep bool) {
	t.mu.Lock()
	if j != t.fg {
		now, then := t.modes, *t.of(j)
		had := t.fg
		t.fg = j
		*t.of(had) = now
		if !keep {
			t.modes = then
		}
	}
	t.mu.Unlock()
	t.cond.Broadcast()
}

// ExpandTabs makes blanks of the tabs that programs write, as a terminal with
// XTABS does.
func (t *TTY) ExpandTabs() {
	t.mu.Lock()
	t.expand = true
	t.mu.Unlock()
}

// WaitRoom waits until programs have read most of what was typed, or the
// terminal hung up: who calls it before Input loses nothing.
func (t *TTY) WaitRoom() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.ready) > 8*maxInput && !t.hungUp {
		t.cond.Wait()
	}
}

// Hidden reports whether what is typed is not shown: a password, most likely.
func (t *TTY) Hidden() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.raw && t.quiet
}

// Foreground sets who gets the signals of the keyboard, and gives back the undo.
func (t *TTY) Foreground(fn func(sig int)) (restore func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.signal
	t.signal = fn
	return func() {
		t.mu.Lock()
		t.signal = old
		t.mu.Unlock()
	}
}

// HangUp says that the connection is gone: reads give io.EOF from now on.
func (t *TTY) HangUp() {
	t.mu.Lock()
	t.hungUp = true
	fn := t.signal
	t.mu.Unlock()
	t.cond.Broadcast()
	if fn != nil {
		fn(SIGHUP)
	}
}

// Gone reports whether the terminal hung up.
func (t *TTY) Gone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hungUp
}

// Input takes bytes from the visitor. What does not fit is dropped, as a
// terminal's full input queue does.
func (t *TTY) Input(b []byte) {
	var signals []int
	t.mu.Lock()
	for _, c := range b {
		if sig := t.input(c); sig != 0 {
			signals = append(signals, sig)
		}
	}
	fn, fg := t.signal, t.fg
	t.mu.Unlock()
	t.cond.Broadcast()
	for _, sig := range signals {
		switch {
		case sig == SIGTSTP: // what belongs to no job has nobody to continue it
			if fg != nil {
				fg.Stop(sig)
			}
		case fn != nil:
			fn(sig)
		}
	}
}

func (t *TTY) input(c byte) (signal int) {
	if t.raw {
		if len(t.ready) < 16*maxInput {
			t.ready = append(t.ready, c)
		}
		return 0
	}
	switch c {
	case 3, 28, 26:
		t.line, t.ready = nil, nil // without NOFLSH
		t.show([]byte{'^', c + 64})
		if c == 26 {
			return SIGTSTP
		}
		t.breaks++ // who waits in a read is to end
		return map[byte]int{3: SIGINT, 28: SIGQUIT}[c]
	case '\r', '\n':
		t.show([]byte("\r\n"))
		t.ready = append(append(t.ready, t.line...), '\n')
		t.line = nil
	case 4:
		if len(t.line) == 0 {
			t.eof = true
		}
		t.ready = append(t.ready, t.line...)
		t.line = nil
	case 127, 8:
		if n := len(t.line); n > 0 {
			t.line = t.line[:n-1]
			t.show([]byte("\b \b"))
		}
	case 21, 23:
		for range t.line {
			t.show([]byte("\b \b"))
		}
		t.line = nil
	default:
		if len(t.line) >= maxInput || len(t.ready) > 16*maxInput {
			return 0
		}
		t.line = append(t.line, c)
		if c < 32 && c != '\t' {
			t.show([]byte{'^', c + 64})
		} else {
			t.show([]byte{c})
		}
	}
	return 0
}

// advance moves the cursor over one character of output.
func (t *TTY) advance(c byte) {
	switch {
	case c == '\n' || c == '\r':
		t.column = 0
	case c == '\b':
		t.column = max(0, t.column-1)
	case c >= ' ' && c < 0x7f || c >= 0xc0:
		t.column++
	}
}

func (t *TTY) show(b []byte) {
	if !t.quiet {
		for _, c := range b {
			t.advance(c)
		}
		t.out.Write(b) //nolint:errcheck // a broken connection hangs up
	}
}

// FD is the slave side.
func (t *TTY) FD() *FD {
	f := NewFD(t.path, slave{t}, nil)
	f.TTY = t
	return f
}

type slave struct{ t *TTY }

// Read waits for a line, or in raw mode for any byte.
func (s slave) Read(b []byte) (int, error) { return s.t.read(nil, b) }

// read is Read for a program of job j, while it has the terminal.
func (t *TTY) read(j *Job, b []byte) (int, error) {
	t.mu.Lock()
	breaks := t.breaks
	for len(t.ready) == 0 || t.away(j) {
		if t.away(j) {
			t.mu.Unlock()
			if !j.background() {
				return 0, vfs.EIO
			}
			t.mu.Lock()
			breaks = t.breaks
			continue
		}
		if t.breaks != breaks || t.hungUp || t.eof || j != nil && j.gone.Load() {
			t.eof = t.eof && t.breaks != breaks // else this is it
			t.mu.Unlock()
			return 0, io.EOF // or the program was sent a signal
		}
		t.cond.Wait()
	}
	n := t.take(b)
	t.mu.Unlock()
	t.cond.Broadcast()
	return n, nil
}

// away reports whether j may not read: it is stopped, or others have the terminal.
func (t *TTY) away(j *Job) bool { return j != nil && (j != t.fg || j.halted.Load()) }

// take moves one line into b, in raw mode all there is. t.mu is held.
func (t *TTY) take(b []byte) int {
	n := len(t.ready)
	if !t.raw {
		if i := bytes.IndexByte(t.ready, '\n'); i >= 0 {
			n = i + 1
		}
	}
	n = copy(b, t.ready[:n])
	t.ready = t.ready[n:]
	if len(t.ready) == 0 {
		t.ready = nil
	}
	return n
}

// Write sends to the visitor; a newline becomes CR LF.
func (s slave) Write(b []byte) (int, error) {
	t := s.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hungUp {
		return 0, vfs.EIO
	}
	out := make([]byte, 0, len(b)+16)
	for _, c := range b {
		if c == '\n' {
			out = append(out, '\r')
		}
		if t.expand && c == '\t' {
			n := 8 - t.column%8
			out = append(out, "        "[:n]...)
			t.column += n
			continue
		}
		out = append(out, c)
		t.advance(c)
	}
	if _, err := t.out.Write(out); err != nil {
		return 0, vfs.EIO
	}
	return len(b), nil
}
