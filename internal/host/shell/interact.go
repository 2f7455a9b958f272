package shell

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// interact is the loop of a shell on a terminal. Most shells wait in it, many
// at once: it has little on its stack.
func (s *sh) interact(ctx context.Context) int {
	ed := s.begin()
	for ctx.Err() == nil && s.jump.kind != jumpExit {
		s.jump = jump{}
		text, ok := s.readCommand(ctx, ed)
		if !s.typed(ctx, text, ok) {
			break
		}
	}
	s.runExitTrap(ctx)
	return s.status
}

// begin makes s a shell on a terminal.
func (s *sh) begin() *editor {
	s.opts.interactive = true
	s.startAliases()
	if s.dialect == Ash {
		s.welcome()
	}
	return &editor{s: s, tty: s.p.S.TTY, in: s.p.Stdin(), out: s.p.Stdout()}
}

// typed runs what was typed, or the end of input where it is not ok, and
// reports whether the shell goes on.
func (s *sh) typed(ctx context.Context, text string, ok bool) bool {
	if !ok {
		return !s.leave(s.p.Stdout()) && ctx.Err() == nil
	}
	if strings.TrimSpace(text) == "" {
		return true
	}
	if !leaving(text) {
		s.warned = false
	}
	s.remember(strings.TrimSuffix(text, "\n"))
	dir := s.p.Dir
	s.runLine(ctx, s.p.S.TTY, text)
	s.p.S.Recorder.Line(ctx, kernel.Line{Text: strings.TrimSuffix(text, "\n"), Dir: dir, User: s.p.S.User.Name, PID: s.p.PID, Exit: s.status})
	return true
}

// leaving reports whether a line only asks to end the shell, or what holds it.
func leaving(text string) bool {
	switch word, _, _ := strings.Cut(strings.TrimSpace(text), " "); word {
	case "exit", "logout", "jobs":
		return true
	}
	return false
}

// runLine runs one line with the terminal's signals on its own context.
func (s *sh) runLine(ctx context.Context, tty *kernel.TTY, text string) {
	line, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.life = ctx
	restore := tty.Foreground(func(sig int) { cancel(kernel.Killed{Signal: sig}) })
	defer restore()
	stop := s.p.S.Budget.WatchLine(s.p.M.Clock, func() { cancel(kernel.Killed{Signal: kernel.SIGKILL}) })
	defer stop()
	s.calls, s.depth, s.loops, s.noExit = 0, 0, 0, 0
	s.line = 0
	s.windowSize(tty)
	s.eval(line, text)
	if line.Err() != nil && ctx.Err() == nil {
		sig, said := kernel.SIGINT, "\n"
		if k := (kernel.Killed{}); errors.As(context.Cause(line), &k) && k.Signal == kernel.SIGKILL {
			sig, said = k.Signal, "Killed\n"
		}
		s.status = 128 + sig
		io.WriteString(s.p.Stdout(), said) //nolint:errcheck // the visitor's terminal
		s.jump = jump{}
	}
}

// windowSize keeps LINES and COLUMNS as bash with checkwinsize does.
func (s *sh) windowSize(tty *kernel.TTY) {
	if s.dialect == Bash {
		rows, cols := tty.Size()
		s.put("LINES", strconv.Itoa(rows))
		s.put("COLUMNS", strconv.Itoa(cols))
	}
}

const maxHistory = 2000

func (s *sh) remember(line string) {
	if s.dialect == Bash && strings.HasPrefix(line, " ") {
		return
	}
	s.loadHistory()
	if n := len(s.hist); n > 0 && s.hist[n-1] == line {
		return
	}
	if len(s.hist) < maxHistory {
		s.hist = append(s.hist, line)
	}
}

// loadHistory reads the history file, once: many shells never need it.
func (s *sh) loadHistory() {
	if s.histRead {
		return
	}
	s.histRead = true
	name := ".bash_history"
	if s.dialect != Bash {
		name = ".ash_history"
	}
	data, err := s.p.M.FS.ReadFile(s.p.Caller, s.get("HOME")+"/"+name, 64<<10)
	if err != nil {
		return
	}
	for l := range strings.Lines(string(data)) {
		if l = strings.TrimRight(l, "\n"); l != "" && len(s.hist) < 500 {
			s.hist = append(s.hist, l)
		}
	}
}

// readCommand reads lines until they make a whole command.
func (s *sh) readCommand(ctx context.Context, ed *editor) (string, bool) {
	s.tellJobs()
	text := ""
	for ctx.Err() == nil {
		prompt := s.prompt()
		if text != "" {
			prompt = "> "
		}
		line, res := ed.read(ctx, prompt)
		switch res {
		case readEOF:
			return "", text != ""
		case readInterrupt:
			s.status = 130
			return "", true
		}
		text += line + "\n"
		if len(text) > maxSource || nesting(text) > maxNesting || !s.incomplete(text) {
			return text, true
		}
	}
	return "", false
}

func (s *sh) incomplete(text string) bool {
	text, _ = escapeBytes(text)
	_, err := s.parser().Parse(strings.NewReader(text), "")
	return err != nil && syntax.IsIncomplete(err)
}

type readResult uint8

const (
	readOn readResult = iota
	readWhole
	readEOF
	readInterrupt
)

// editor is a line editor with readline's usual keys.
type editor struct {
	s    *sh
	tty  *kernel.TTY
	in   io.Reader
	out  io.Writer
	buf  []rune
	pos  int
	kill string
	hist int    // how many lines back, 0: the line being typed
	held string // the line being typed while older ones are shown
	tabs int
}

const maxLine = 16 << 10 // characters of one line

// read lets a line be typed. The visitor's pauses are spent in here.
func (e *editor) read(ctx context.Context, prompt string) (string, readResult) {
	old := e.s.p.SetRaw(true)
	defer e.s.p.SetRaw(old)
	e.start(prompt)
	for ctx.Err() == nil {
		c, ok := e.key()
		if !ok || e.s.p.Step(1) != nil {
			break
		}
		if res := e.press(c, prompt); res != readOn {
			return string(e.buf), res
		}
	}
	return "", readEOF
}

func (e *editor) start(prompt string) {
	if e.s.dialect == Bash {
		e.put("\x1b[?2004h")
	}
	e.put(prompt)
	e.buf, e.pos, e.hist, e.tabs = nil, 0, 0, 0
}

// press handles one key.
func (e *editor) press(c rune, prompt string) readResult {
	if c != '\t' {
		e.tabs = 0
	}
	off := ""
	if e.s.dialect == Bash {
		off = "\x1b[?2004l\r"
	}
	switch c {
	case '\r', '\n':
		e.put("\n")
		e.put(off)
		return readWhole
	case 3:
		e.buf = nil
		e.put("^C\n")
		e.put(off)
		return readInterrupt
	case 4:
		if len(e.buf) == 0 {
			e.put(off)
			e.put("\n")
			return readEOF
		}
		e.remove(e.pos, e.pos+1)
	default:
		e.edit(c, prompt)
	}
	return readOn
}

func (e *editor) put(s string) { io.WriteString(e.out, s) } //nolint:errcheck // a broken connection ends the read

func (e *editor) byte() (byte, bool) {
	var b [1]byte
	n, err := e.in.Read(b[:])
	return b[0], n == 1 && err == nil
}

// key reads one character.
func (e *editor) key() (rune, bool) {
	c, ok := e.byte()
	if !ok || c < 0x80 {
		return rune(c), ok
	}
	return e.wide(c)
}

// wide reads the rest of a character that begins with c.
func (e *editor) wide(c byte) (rune, bool) {
	n := 1
	switch {
	case c >= 0xf0:
		n = 3
	case c >= 0xe0:
		n = 2
	}
	b := []byte{c}
	for range n {
		c, ok := e.byte()
		if !ok {
			return 0, false
		}
		b = append(b, c)
	}
	return []rune(string(b))[0], true
}

// edit handles every key but those that end the line.
func (e *editor) edit(c rune, prompt string) {
	switch c {
	case 127, 8:
		e.remove(e.pos-1, e.pos)
	case 1:
		e.move(0)
	case 5:
		e.move(len(e.buf))
	case 2:
		e.move(e.pos - 1)
	case 6:
		e.move(e.pos + 1)
	case 11:
		e.kill = string(e.buf[e.pos:])
		e.remove(e.pos, len(e.buf))
	case 21:
		e.kill = string(e.buf[:e.pos])
		e.remove(0, e.pos)
	case 23:
		i := e.pos
		for i > 0 && e.buf[i-1] == ' ' {
			i--
		}
		for i > 0 && e.buf[i-1] != ' ' {
			i--
		}
		e.kill = string(e.buf[i:e.pos])
		e.remove(i, e.pos)
	case 25:
		e.insert([]rune(e.kill))
	case 12:
		e.put("\x1b[H\x1b[J" + prompt + string(e.buf))
		e.back(len(e.buf) - e.pos)
	case 16:
		e.recall(-1)
	case 14:
		e.recall(1)
	case '\t':
		e.complete(prompt)
	case 27:
		e.escape()
	default:
		if c >= 32 {
			e.insert([]rune{c})
		} else {
			e.bell()
		}
	}
}

func (e *editor) escape() {
	c, ok := e.byte()
	if !ok || c != '[' && c != 'O' {
		return
	}
	seq := ""
	for len(seq) < 8 {
		if c, ok = e.byte(); !ok {
			return
		}
		seq += string(rune(c))
		if c >= 0x40 && c <= 0x7e {
			break
		}
	}
	switch seq {
	case "A":
		e.recall(-1)
	case "B":
		e.recall(1)
	case "C":
		e.move(e.pos + 1)
	case "D":
		e.move(e.pos - 1)
	case "H", "1~", "7~":
		e.move(0)
	case "F", "4~", "8~":
		e.move(len(e.buf))
	case "3~":
		e.remove(e.pos, e.pos+1)
	case "200~", "201~": // bracketed paste: its text is typed
	}
}

func (e *editor) back(n int) {
	if n > 0 {
		e.put(strings.Repeat("\b", n))
	}
}

func (e *editor) move(to int) {
	to = min(max(to, 0), len(e.buf))
	if to < e.pos {
		e.back(e.pos - to)
	} else {
		e.put(string(e.buf[e.pos:to]))
	}
	e.pos = to
}

func (e *editor) insert(r []rune) {
	if len(e.buf)+len(r) > e.s.lineLimit() {
		e.bell()
		return
	}
	tail := append([]rune(nil), e.buf[e.pos:]...)
	e.buf = append(append(e.buf[:e.pos], r...), tail...)
	e.pos += len(r)
	e.put(string(r) + string(tail))
	e.back(len(tail))
}

func (e *editor) remove(from, to int) {
	from, to = max(from, 0), min(to, len(e.buf))
	if from >= to {
		if from == to {
			e.bell()
		}
		return
	}
	e.move(from)
	tail := append([]rune(nil), e.buf[to:]...)
	gone := to - from
	e.buf = append(e.buf[:from], tail...)
	e.put(string(tail) + strings.Repeat(" ", gone))
	e.back(len(tail) + gone)
}

func (e *editor) recall(step int) {
	e.s.loadHistory()
	i := e.hist - step
	if i < 0 || i > len(e.s.hist) {
		e.bell()
		return
	}
	if e.hist == 0 {
		e.held = string(e.buf)
	}
	e.hist = i
	line := e.held
	if i > 0 {
		line = e.s.hist[len(e.s.hist)-i]
	}
	e.move(0)
	old := len(e.buf)
	e.buf = []rune(line)
	e.put(line)
	if d := old - len(e.buf); d > 0 {
		e.put(strings.Repeat(" ", d))
		e.back(d)
	}
	e.pos = len(e.buf)
}
