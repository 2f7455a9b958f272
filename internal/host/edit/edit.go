// Package edit holds the programs of a fake host that take the whole screen:
// nano, vi, and the pagers.
package edit

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{"nano": nano, "vi": vi, "vim": vi, "less": pager, "more": pager}
}

func put(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stdout(), format, args...) //nolint:errcheck // the visitor's own terminal
}

func complain(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

// vi is Vim as far as it tells; its keys are those of BusyBox's small editor.
func vi(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+c:eEnNRstu:yZbhi:r?w?xXp?T:VCdfgHlmMOo?qSv", "version/version")
	if o.Bad == "--version" || o.Has("version") {
		put(p, "VIM - Vi IMproved %s\n", strings.Join(strings.SplitN(getopt.PackageVersion(p, "vim-tiny")+getopt.PackageVersion(p, "vim"), ".", 3)[:2], "."))
		return 0
	}
	if p.S.TTY == nil || !p.IsTTY(0) || !p.IsTTY(1) {
		if !p.IsTTY(1) {
			complain(p, "Vim: Warning: Output is not to a terminal")
		}
		complain(p, "Vim: Warning: Input is not from a terminal\nVim: Error reading input, exiting...\nVim: Finished.")
		return 1
	}
	small := p.M.Programs["bb-vi"]
	if small == nil {
		complain(p, "Vim: Error reading input, exiting...\nVim: Finished.")
		return 1
	}
	var names []string
	for _, a := range o.Args {
		if !strings.HasPrefix(a, "+") {
			names = append(names, a)
		}
	}
	p.Args = append([]string{"vi"}, names...)
	return small(ctx, p)
}

// page is what a pager shows of one file at a time.
func pager(ctx context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	o := getopt.Parse(p.Args[1:], "abcdefFgGiIJKLmMnNqQrRsSuUVwWxX", "version/V help chop-long-lines/S RAW-CONTROL-CHARS/R quit-if-one-screen/F no-init/X")
	if o.Has("V") || o.Bad == "--version" {
		put(p, "%s %s\n", name, getopt.PackageVersion(p, name))
		return 0
	}
	if len(o.Args) == 0 && p.IsTTY(0) {
		if name == "less" {
			complain(p, "Missing filename (\"less --help\" for help)")
		} else {
			complain(p, "more: bad usage\nTry 'more --help' for more information.")
		}
		return 1
	}
	if p.S.TTY == nil || !p.IsTTY(1) {
		return plain(p, name, o.Args)
	}
	var lines []string
	names := o.Args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, n := range names {
		text, err := load(p, n)
		if err != nil {
			complain(p, "%s: %s", n, err)
			return 1
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	}
	if name == "more" {
		return more(ctx, p, lines)
	}
	return show(ctx, p, names[0], lines)
}

const maxFile = 4 << 20 // bytes of a file that is shown or edited

func load(p *kernel.Proc, name string) (string, error) {
	if name != "-" {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(name), maxFile)
		return string(data), err
	}
	var b strings.Builder
	_, err := io.CopyN(&b, p.Stdin(), maxFile)
	if err == io.EOF { //nolint:errorlint // io.EOF comes bare
		err = nil
	}
	return b.String(), err
}

// plain copies, as pagers do whose output is no terminal.
func plain(p *kernel.Proc, name string, names []string) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, n := range names {
		text, err := load(p, n)
		if err != nil {
			if name == "more" {
				complain(p, "more: cannot open %s: %s", n, err)
			} else if err == vfs.EISDIR { //nolint:errorlint // it comes bare
				complain(p, "%s is a directory", n)
			} else {
				complain(p, "%s: %s", n, err)
			}
			status = 1
			continue
		}
		put(p, "%s", text)
	}
	return status
}

// more is util-linux's: it scrolls, and ends with the text.
func more(ctx context.Context, p *kernel.Proc, lines []string) int {
	rows, _ := p.S.TTY.Size()
	page := max(rows-1, 5)
	old := p.SetRaw(true)
	defer p.SetRaw(old)
	keys := p.Terminal()
	defer keys.Close() //nolint:errcheck // only read
	total := len(strings.Join(lines, "\n")) + 1
	seen, step := 0, page
	for ctx.Err() == nil && p.Step(20) == nil {
		n := min(step, len(lines))
		for _, l := range lines[:n] {
			seen += len(l) + 1
			put(p, "%s\n", l)
		}
		if lines = lines[n:]; len(lines) == 0 {
			return 0
		}
		put(p, "\x1b[7m--More--(%d%%)\x1b[27m", seen*100/total)
		var b [1]byte
		if n, err := keys.Read(b[:]); n == 0 || err != nil {
			return 0
		}
		put(p, "\r\x1b[K")
		switch b[0] {
		case 'q', 'Q', 3:
			return 0
		case 26:
			p.Suspend()
			step = 0
		case '\r', '\n':
			step = 1
		case ' ', 'f', 6:
			step = page
		default:
			step = 0
		}
	}
	return 0
}

// show pages through lines: space, b, j, k, g, G, q.
func show(ctx context.Context, p *kernel.Proc, name string, lines []string) int {
	rows, _ := p.S.TTY.Size()
	page := max(rows-1, 5)
	old := p.SetRaw(true)
	defer p.SetRaw(old)
	keys := p.Terminal()
	defer keys.Close() //nolint:errcheck // only read
	top := 0
	for ctx.Err() == nil && p.Step(20) == nil {
		put(p, "\x1b[H\x1b[J%s\n", strings.Join(lines[top:min(top+page, len(lines))], "\n"))
		switch {
		case top+page >= len(lines):
			put(p, "\x1b[7m(END)\x1b[27m")
		case top == 0:
			put(p, "\x1b[7m%s\x1b[27m", name)
		default:
			put(p, ":")
		}
		var b [1]byte
		if n, err := keys.Read(b[:]); n == 0 || err != nil {
			return 0
		}
		last := max(len(lines)-page, 0)
		switch b[0] {
		case 'q', 'Q', 3:
			put(p, "\r\x1b[K")
			return 0
		case 26:
			put(p, "\r\x1b[K")
			p.Suspend()
		case ' ', 'f', 6:
			top = min(top+page, last)
		case 'b', 2:
			top = max(top-page, 0)
		case 'j', '\r', '\n':
			top = min(top+1, last)
		case 'k':
			top = max(top-1, 0)
		case 'g':
			top = 0
		case 'G':
			top = last
		}
	}
	return 0
}
