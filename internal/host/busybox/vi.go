package busybox

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

const maxEdit = 1 << 20 // bytes of a file that vi opens

// editor is a small vi: movement, insert, delete of lines and characters,
// :w :q :wq :q! ZZ.
type editor struct {
	p          *kernel.Proc
	name       string
	lines      []string
	row, col   int
	top        int
	rows, cols int
	insert     bool
	changed    bool
	status     string
}

func vi(ctx context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "c")
	if p.S.TTY == nil || !p.IsTTY(0) {
		complain(p, "vi: can't read user input\n")
		return 1
	}
	e := &editor{p: p, lines: []string{""}}
	e.rows, e.cols = p.S.TTY.Size()
	e.rows, e.cols = max(e.rows, 3), max(e.cols, 20)
	if len(rest) > 0 {
		e.name = rest[0]
		e.load()
	}
	old := p.SetRaw(true)
	defer p.SetRaw(old)
	defer put(p, "\x1b[%d;1H\x1b[K", e.rows)
	for ctx.Err() == nil {
		e.draw()
		c, ok := e.key()
		if !ok || p.Step(5) != nil {
			return 1
		}
		if e.insert {
			e.typed(c)
		} else if c == 26 {
			put(p, "\x1b[%d;1H\x1b[K", e.rows)
			p.Suspend()
		} else if e.command(c) {
			return 0
		}
	}
	return 1
}

func (e *editor) load() {
	data, err := e.p.M.FS.ReadFile(e.p.Caller, e.p.Abs(e.name), maxEdit)
	if err != nil {
		e.status = fmt.Sprintf("'%s': new file", e.name)
		return
	}
	text := strings.TrimSuffix(strings.ToValidUTF8(string(data), "?"), "\n")
	e.lines = strings.Split(text, "\n")
	e.status = fmt.Sprintf("'%s' %dL, %dC", e.name, len(e.lines), len(data))
}

func (e *editor) save() bool {
	if e.name == "" {
		e.status = "No current filename"
		return false
	}
	text := strings.Join(e.lines, "\n") + "\n"
	if err := e.p.M.FS.WriteFile(e.p.Caller, e.p.Abs(e.name), []byte(text), 0o666&^e.p.Umask); err != nil {
		e.status = fmt.Sprintf("'%s' %s", e.name, err)
		return false
	}
	e.changed = false
	e.status = fmt.Sprintf("'%s' %dL, %dC", e.name, len(e.lines), len(text))
	return true
}

func (e *editor) key() (byte, bool) {
	var b [1]byte
	n, err := e.p.Stdin().Read(b[:])
	return b[0], n == 1 && err == nil
}

func (e *editor) draw() {
	if e.row < e.top {
		e.top = e.row
	}
	if e.row >= e.top+e.rows-1 {
		e.top = e.row - e.rows + 2
	}
	var b strings.Builder
	b.WriteString("\x1b[H\x1b[J")
	for i := range e.rows - 1 {
		if n := e.top + i; n < len(e.lines) {
			l := e.lines[n]
			b.WriteString(l[:min(len(l), e.cols)])
		} else {
			b.WriteByte('~')
		}
		b.WriteString("\n")
	}
	mode := "-"
	if e.insert {
		mode = "I"
	}
	status := e.status
	if status == "" {
		name := e.name
		if name == "" {
			name = "No file"
		}
		status = fmt.Sprintf("%s %s%s %d/%d %d%%", mode, name, map[bool]string{true: " [Modified]"}[e.changed], e.row+1, len(e.lines), (e.row+1)*100/len(e.lines))
	}
	fmt.Fprintf(&b, "%s\x1b[%d;%dH", status[:min(len(status), e.cols-1)], e.row-e.top+1, e.col+1)
	io.WriteString(e.p.Stdout(), b.String()) //nolint:errcheck // the visitor's own output
	e.status = ""
}

func (e *editor) clamp() {
	e.row = min(max(e.row, 0), len(e.lines)-1)
	e.col = min(max(e.col, 0), len(e.lines[e.row]))
}

// typed is a key in insert mode.
func (e *editor) typed(c byte) {
	l := e.lines[e.row]
	switch {
	case c == 27 || c == 3:
		e.insert = false
		e.col--
	case c == '\r' || c == '\n':
		rest := l[e.col:]
		e.lines[e.row] = l[:e.col]
		e.lines = append(e.lines[:e.row+1], append([]string{rest}, e.lines[e.row+1:]...)...)
		e.row, e.col, e.changed = e.row+1, 0, true
	case c == 127 || c == 8:
		if e.col > 0 {
			e.lines[e.row] = l[:e.col-1] + l[e.col:]
			e.col--
			e.changed = true
		}
	case c >= ' ' || c == '\t':
		if len(l) < maxLine && len(e.lines) < maxLine {
			e.lines[e.row] = l[:e.col] + string(rune(c)) + l[e.col:]
			e.col += utf8.RuneLen(rune(c))
			e.changed = true
		}
	}
	e.clamp()
}

// command is a key in command mode; it reports whether vi ends.
func (e *editor) command(c byte) (done bool) {
	l := e.lines[e.row]
	switch c {
	case 'h', 8, 127:
		e.col--
	case 'l', ' ':
		e.col++
	case 'j', '\r', '\n':
		e.row++
	case 'k':
		e.row--
	case '0', '^':
		e.col = 0
	case '$':
		e.col = len(l)
	case 'G':
		e.row = len(e.lines) - 1
	case 'i':
		e.insert = true
	case 'a':
		e.insert, e.col = true, e.col+1
	case 'A':
		e.insert, e.col = true, len(l)
	case 'o', 'O':
		at := e.row + map[byte]int{'o': 1}[c]
		e.lines = append(e.lines[:at], append([]string{""}, e.lines[at:]...)...)
		e.row, e.col, e.insert, e.changed = at, 0, true, true
	case 'x':
		if e.col < len(l) {
			e.lines[e.row], e.changed = l[:e.col]+l[e.col+1:], true
		}
	case 'd':
		if k, ok := e.key(); ok && k == 'd' {
			e.lines, e.changed = append(e.lines[:e.row], e.lines[e.row+1:]...), true
			if len(e.lines) == 0 {
				e.lines = []string{""}
			}
		}
	case 'Z':
		k, ok := e.key()
		return ok && k == 'Z' && (!e.changed || e.save())
	case 27:
		e.arrow()
	case ':':
		return e.colon()
	}
	e.clamp()
	return false
}

// arrow reads the rest of a cursor key.
func (e *editor) arrow() {
	if c, ok := e.key(); !ok || c != '[' && c != 'O' {
		return
	}
	c, _ := e.key()
	switch c {
	case 'A':
		e.row--
	case 'B':
		e.row++
	case 'C':
		e.col++
	case 'D':
		e.col--
	}
}

func (e *editor) colon() (done bool) {
	put(e.p, "\x1b[%d;1H\x1b[K:", e.rows)
	cmd := ""
	for {
		c, ok := e.key()
		switch {
		case !ok:
			return true
		case c == 27 || c == 3:
			return false
		case c == 127 || c == 8:
			if cmd == "" {
				return false
			}
			cmd = cmd[:len(cmd)-1]
			put(e.p, "\b \b")
			continue
		case c != '\r' && c != '\n':
			if len(cmd) < 200 {
				cmd += string(rune(c))
				put(e.p, "%c", c)
			}
			continue
		}
		break
	}
	word, arg, _ := strings.Cut(strings.TrimSpace(cmd), " ")
	switch word {
	case "q!":
		return true
	case "q":
		if !e.changed {
			return true
		}
		e.status = "No write since last change (:q! overrides)"
	case "w", "wq", "x", "w!", "wq!":
		if arg != "" {
			e.name = arg
		}
		return e.save() && strings.ContainsAny(word, "qx")
	default:
		e.status = fmt.Sprintf("'%s' is not implemented", word)
	}
	return false
}
