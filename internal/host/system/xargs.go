package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// xargsRun is a parsed xargs.
type xargsRun struct {
	p          *kernel.Proc
	o          getopt.Opts
	cmd        []string
	per, lines int
	replace    string
}

func xargs(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+0a:d:E:e?I:i?L:l?n:P:prs:tx", "null/0 arg-file/a delimiter/d eof?/e replace?/i max-lines?/l max-args/n max-procs/P interactive/p no-run-if-empty/r max-chars/s verbose/t exit/x show-limits open-tty process-slot-var=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	x := &xargsRun{p: p, o: o, cmd: o.Args, per: o.Int("n", 5000), lines: o.Int("L", 0)}
	if o.Has("n") && x.per < 1 {
		errorf(p, "value %s for -n option should be >= 1", o.Get("n"))
		return getopt.Hint(p, 1)
	}
	if o.Has("I", "i") {
		x.replace = o.Get("I", "i")
		if x.replace == "" {
			x.replace = "{}"
		}
	}
	if len(x.cmd) == 0 {
		x.cmd = []string{"echo"}
	}
	in := p.Stdin()
	if o.Has("a") {
		h, err := p.M.FS.Open(p.Caller, p.Abs(o.Get("a")), vfs.ReadOnly, 0)
		if err != nil {
			errorf(p, "Cannot open input file ‘%s’: %s", o.Get("a"), err)
			return 1
		}
		defer h.Close() //nolint:errcheck // only read
		in = h
	}
	data := readAll(p, in, 4<<20)
	groups, fault := x.group(string(data))
	status := 0
	for _, g := range groups {
		if ctx.Err() != nil {
			break
		}
		st, stop := x.run(ctx, g)
		status = max(status, st)
		if stop {
			return status
		}
	}
	if fault != "" {
		errorf(p, "%s", fault)
		return 1
	}
	return status
}

// readAll reads at most limit bytes.
func readAll(p *kernel.Proc, r io.Reader, limit int) []byte {
	var data []byte
	buf := make([]byte, 8<<10)
	for len(data) < limit && p.Step(1) == nil {
		n, err := r.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil || n == 0 {
			break
		}
	}
	return data
}

// group cuts the input into the arguments of each run.
func (x *xargsRun) group(text string) (out [][]string, fault string) {
	sep := ""
	switch {
	case x.o.Has("0"):
		sep = "\x00"
	case x.o.Has("d"):
		sep = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(x.o.Get("d"))
	}
	if x.replace != "" && sep == "" {
		for l := range strings.Lines(text) {
			if l = strings.TrimLeft(strings.TrimSuffix(l, "\n"), " \t"); l != "" {
				out = append(out, []string{l})
			}
		}
		return out, ""
	}
	var items []string
	var ends []bool // the item is the last of its line
	if sep != "" {
		items = strings.Split(strings.TrimSuffix(text, sep), sep)
		if text == "" {
			items = nil
		}
		ends = make([]bool, len(items))
	} else {
		items, ends, fault = words(text)
	}
	if len(items) == 0 && !x.o.Has("r") && fault == "" && x.replace == "" {
		return [][]string{nil}, ""
	}
	var cur []string
	rows := 0
	for i, it := range items {
		cur = append(cur, it)
		if ends[i] {
			rows++
		}
		if len(cur) >= x.per || x.lines > 0 && rows >= x.lines || x.replace != "" {
			out, cur, rows = append(out, cur), nil, 0
		}
	}
	if len(cur) > 0 && fault == "" {
		out = append(out, cur)
	}
	return out, fault
}

// words splits by blanks; quotes and backslashes protect.
func words(text string) (items []string, ends []bool, fault string) {
	var b strings.Builder
	open, quote := false, byte(0)
	flush := func(end bool) {
		if open {
			items, ends = append(items, b.String()), append(ends, end)
		} else if end && len(ends) > 0 {
			ends[len(ends)-1] = true
		}
		b.Reset()
		open = false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0 && c == '\n':
			kind := map[byte]string{'\'': "single", '"': "double"}[quote]
			return items, ends, "unmatched " + kind + " quote; by default quotes are special to xargs unless you use the -0 option"
		case quote != 0:
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
			open = true
		case c == ' ' || c == '\t' || c == '\n':
			flush(c == '\n')
		default:
			b.WriteByte(c)
			open = true
		}
	}
	flush(true)
	return items, ends, ""
}

func (x *xargsRun) run(ctx context.Context, items []string) (status int, stop bool) {
	var cmd []string
	if x.replace != "" {
		for _, a := range x.cmd {
			cmd = append(cmd, strings.ReplaceAll(a, x.replace, items[0]))
		}
	} else {
		cmd = append(append(cmd, x.cmd...), items...)
	}
	if x.o.Has("t") {
		fmt.Fprintln(x.p.Stderr(), strings.Join(cmd, " ")) //nolint:errcheck // the visitor's own stderr
	}
	st, err := x.p.Run(ctx, x.p.Child(cmd...))
	switch {
	case err != nil:
		errorf(x.p, "%s: %s", cmd[0], err)
		return map[bool]int{true: 127, false: 126}[errors.Is(err, vfs.ENOENT)], true
	case st == 255:
		errorf(x.p, "%s: exited with status 255; aborting", cmd[0])
		return 124, true
	case st > 128 && st < 160:
		errorf(x.p, "%s: terminated by signal %d", cmd[0], st-128)
		return 125, true
	case st != 0:
		return 123, false
	}
	return 0, false
}
