package edit

import (
	"context"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// nanoRun is a small nano: typing, arrows, ^O ^X ^K ^U ^G.
type nanoRun struct {
	p          *kernel.Proc
	name       string
	lines      []string
	row, col   int
	top        int
	rows, cols int
	cut        string
	changed    bool
	status     string
	keys       *kernel.FD
}

func nano(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "ABCDEFGHIJ:KLMNOPQ:RST:UVWX:Y:Zabcdef:ghijklmno:pqr:s:tuvwxyz", "version/V")
	if o.Has("V") || o.Bad == "--version" {
		put(p, " GNU nano, version %s\n (C) 2023 the Free Software Foundation and various contributors\n", getopt.PackageVersion(p, "nano"))
		return 0
	}
	if p.S.TTY == nil || !p.IsTTY(0) || !p.IsTTY(1) {
		if p.Getenv("TERM") == "" {
			complain(p, "Error opening terminal: unknown.")
		} else {
			complain(p, "Standard input is not a terminal")
		}
		return 1
	}
	n := &nanoRun{p: p, lines: []string{""}, keys: p.Terminal()}
	defer n.keys.Close() //nolint:errcheck // only read
	n.rows, n.cols = p.S.TTY.Size()
	n.rows, n.cols = max(n.rows, 8), max(n.cols, 40)
	for _, a := range o.Args {
		if !strings.HasPrefix(a, "+") {
			n.name = a
			break
		}
	}
	n.open()
	old := p.SetRaw(true)
	defer p.SetRaw(old)
	put(p, "\x1b[?1049h")
	defer put(p, "\x1b[?1049l")
	for ctx.Err() == nil && p.Step(20) == nil {
		n.draw()
		c, ok := n.key()
		if !ok || n.press(c) {
			break
		}
	}
	return 0
}

func (n *nanoRun) open() {
	if n.name == "" {
		return
	}
	data, err := n.p.M.FS.ReadFile(n.p.Caller, n.p.Abs(n.name), maxFile)
	if err != nil {
		n.status = "[ New File ]"
		return
	}
	n.lines = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	n.status = fmt.Sprintf("[ Read %d line%s ]", len(n.lines), map[bool]string{true: "s"}[len(n.lines) != 1])
}

func (n *nanoRun) key() (byte, bool) {
	var b [1]byte
	k, err := n.keys.Read(b[:])
	return b[0], k == 1 && err == nil
}

func (n *nanoRun) center(text string) string {
	pad := max((n.cols-len(text))/2, 0)
	return strings.Repeat(" ", pad) + text
}

func (n *nanoRun) draw() {
	body := n.rows - 5
	if n.row < n.top {
		n.top = n.row
	}
	if n.row >= n.top+body {
		n.top = n.row - body + 1
	}
	name := n.name
	if name == "" {
		name = "New Buffer"
	}
	title := n.center(name)
	mark := ""
	if n.changed {
		mark = "Modified"
	}
	head := "  GNU nano " + getopt.PackageVersion(n.p, "nano")
	if len(title) > len(head) {
		title = head + title[len(head):]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\x1b[H\x1b[2J\x1b[7m%-*s%8s \x1b[27m\n\n", n.cols-9, title, mark)
	for i := n.top; i < n.top+body; i++ {
		if i < len(n.lines) {
			l := strings.ReplaceAll(n.lines[i], "\t", "        ")
			b.WriteString(l[:min(len(l), n.cols-1)])
		}
		b.WriteByte('\n')
	}
	b.WriteString(n.center(n.status) + "\n\x1b[7m^G\x1b[27m Help      \x1b[7m^O\x1b[27m Write Out \x1b[7m^W\x1b[27m Where Is  \x1b[7m^K\x1b[27m Cut       \x1b[7m^T\x1b[27m Execute   \x1b[7m^C\x1b[27m Location\n\x1b[7m^X\x1b[27m Exit      \x1b[7m^R\x1b[27m Read File \x1b[7m^\\\x1b[27m Replace   \x1b[7m^U\x1b[27m Paste     \x1b[7m^J\x1b[27m Justify   \x1b[7m^/\x1b[27m Go To Line")
	fmt.Fprintf(&b, "\x1b[%d;%dH", n.row-n.top+3, n.col+1)
	put(n.p, "%s", b.String())
	n.status = ""
}

func (n *nanoRun) line() string { return n.lines[n.row] }

// press handles a key; true ends.
func (n *nanoRun) press(c byte) (done bool) {
	switch c {
	case 26:
		n.status = "[ To suspend, type ^T^Z ]"
	case 24: // ^X
		return n.leave()
	case 15: // ^O
		n.save()
	case 11: // ^K
		n.cut = n.line()
		n.lines = append(n.lines[:n.row], n.lines[n.row+1:]...)
		if len(n.lines) == 0 {
			n.lines = []string{""}
		}
		n.row, n.col, n.changed = min(n.row, len(n.lines)-1), 0, true
	case 21: // ^U
		n.lines = append(n.lines[:n.row], append([]string{n.cut}, n.lines[n.row:]...)...)
		n.row, n.changed = n.row+1, true
	case 1:
		n.col = 0
	case 5:
		n.col = len(n.line())
	case 27:
		n.arrow()
	case 127, 8:
		n.erase()
	case '\r', '\n':
		n.lines = append(n.lines[:n.row+1], append([]string{n.line()[n.col:]}, n.lines[n.row+1:]...)...)
		n.lines[n.row] = n.lines[n.row][:n.col]
		n.row, n.col, n.changed = n.row+1, 0, true
	default:
		if (c >= 32 || c == '\t') && len(n.line()) < 16<<10 {
			n.lines[n.row] = n.line()[:n.col] + string([]byte{c}) + n.line()[n.col:]
			n.col++
			n.changed = true
		}
	}
	n.col = min(n.col, len(n.line()))
	if len(n.lines) > 100_000 {
		n.lines = n.lines[:100_000]
	}
	return false
}

func (n *nanoRun) erase() {
	switch {
	case n.col > 0:
		n.lines[n.row] = n.line()[:n.col-1] + n.line()[n.col:]
		n.col--
	case n.row > 0:
		prev := n.lines[n.row-1]
		n.col = len(prev)
		n.lines[n.row-1] = prev + n.line()
		n.lines = append(n.lines[:n.row], n.lines[n.row+1:]...)
		n.row--
	default:
		return
	}
	n.changed = true
}

func (n *nanoRun) arrow() {
	c, ok := n.key()
	if !ok || c != '[' && c != 'O' {
		return
	}
	c, _ = n.key()
	switch c {
	case 'A':
		n.row = max(n.row-1, 0)
	case 'B':
		n.row = min(n.row+1, len(n.lines)-1)
	case 'C':
		n.col++
	case 'D':
		n.col = max(n.col-1, 0)
	case 'H':
		n.col = 0
	case 'F':
		n.col = len(n.line())
	}
}

// ask reads an answer on the status line.
func (n *nanoRun) ask(prompt, text string) (string, bool) {
	for n.p.Step(5) == nil {
		put(n.p, "\x1b[%d;1H\x1b[7m%-*s\x1b[27m", n.rows-2, n.cols-1, prompt+text)
		c, ok := n.key()
		switch {
		case !ok || c == 3:
			return "", false
		case c == '\r' || c == '\n':
			return text, true
		case c == 127 || c == 8:
			text = text[:max(len(text)-1, 0)]
		case c >= 32 && len(text) < 200:
			text += string([]byte{c})
		}
	}
	return "", false
}

func (n *nanoRun) save() bool {
	name, ok := n.ask("File Name to Write: ", n.name)
	if !ok || name == "" {
		n.status = "[ Cancelled ]"
		return false
	}
	text := strings.Join(n.lines, "\n") + "\n"
	if err := n.p.M.FS.WriteFile(n.p.Caller, n.p.Abs(name), []byte(text), 0o666&^n.p.Umask); err != nil {
		n.status = "[ Error writing " + name + ": " + err.Error() + " ]"
		return false
	}
	n.name, n.changed = name, false
	n.status = fmt.Sprintf("[ Wrote %d line%s ]", len(n.lines), map[bool]string{true: "s"}[len(n.lines) != 1])
	return true
}

func (n *nanoRun) leave() bool {
	if !n.changed {
		return true
	}
	put(n.p, "\x1b[%d;1H\x1b[7m%-*s\x1b[27m", n.rows-2, n.cols-1, "Save modified buffer? ")
	for {
		c, ok := n.key()
		switch {
		case !ok:
			return true
		case c == 'y' || c == 'Y':
			return n.save()
		case c == 'n' || c == 'N':
			return true
		case c == 3:
			n.status = "[ Cancelled ]"
			return false
		}
	}
}
