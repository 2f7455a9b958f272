package text

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func cat(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "nbsvetAETu", "number/n number-nonblank/b squeeze-blank/s show-all/A show-ends/E show-tabs/T show-nonprinting/v")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	c := catter{
		p: p, number: o.Has("n") && !o.Has("b"), nonblank: o.Has("b"), squeeze: o.Has("s"),
		visible: o.Has("v", "e", "t", "A"), ends: o.Has("e", "A", "E"), tabs: o.Has("t", "A", "T"),
	}
	return each(p, o.Args, func(_ string, r io.Reader) error {
		if o.Len() == 0 || o.Len() == 1 && o.Has("u") {
			return pour(ctx, p, r)
		}
		return rawLines(p, r, c.line)
	})
}

type catter struct {
	p                                              *kernel.Proc
	number, nonblank, squeeze, visible, ends, tabs bool
	n, blank                                       int
}

func (c *catter) line(l string) bool {
	body, nl := strings.CutSuffix(l, "\n")
	if body == "" && nl {
		if c.blank++; c.squeeze && c.blank > 1 {
			return true
		}
	} else {
		c.blank = 0
	}
	if c.visible {
		body = visible(body)
	}
	if c.tabs {
		body = strings.ReplaceAll(body, "\t", "^I")
	}
	if c.number || c.nonblank && body != "" {
		c.n++
		body = fmt.Sprintf("%6d\t%s", c.n, body)
	}
	if nl && c.ends {
		body += "$"
	}
	if nl {
		body += "\n"
	}
	return put(c.p, body)
}

func visible(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 128 {
			b.WriteString("M-")
			c -= 128
		}
		switch {
		case c == 127:
			b.WriteString("^?")
		case c < 32 && c != '\t':
			b.WriteByte('^')
			b.WriteByte(c + 64)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func tee(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aip", "append/a ignore-interrupts/i output-error?")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	fl := vfs.WriteOnly | vfs.Create | vfs.Truncate
	if o.Has("a") {
		fl = vfs.WriteOnly | vfs.Create | vfs.Append
	}
	out := []io.Writer{p.Stdout()}
	status := 0
	for _, n := range o.Args {
		h, err := p.M.FS.Open(p.Caller, p.Abs(n), fl, 0o666&^p.Umask)
		if err != nil {
			errorf(p, "%s: %s", n, strerror(err))
			status = 1
			continue
		}
		defer h.Close() //nolint:errcheck // nothing is buffered
		out = append(out, h)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := p.Stdin().Read(buf)
		for _, w := range out {
			w.Write(buf[:n]) //nolint:errcheck // the others go on
		}
		if err != nil || n == 0 || p.Step(1+int64(n)/4096) != nil {
			return status
		}
	}
}

func tac(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "brs:", "before/b regex/r separator/s")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	return named(p, o.Args, "failed to open '%s' for reading: %s", func(_ string, r io.Reader) error {
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		sep := "\n"
		if o.Get("s") != "" {
			sep = o.Get("s")
		}
		l := strings.SplitAfter(string(data), sep)
		if len(l) > 0 && l[len(l)-1] == "" {
			l = l[:len(l)-1]
		}
		for _, v := range slices.Backward(l) {
			put(p, v)
		}
		return nil
	})
}

func rev(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "", "")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	return each(p, o.Args, func(_ string, r io.Reader) error {
		return rawLines(p, r, func(l string) bool {
			body, nl := strings.CutSuffix(l, "\n")
			rs := []rune(body)
			for i, j := 0, len(rs)-1; i < j; i, j = i+1, j-1 {
				rs[i], rs[j] = rs[j], rs[i]
			}
			body = string(rs)
			if nl {
				body += "\n"
			}
			return put(p, body)
		})
	})
}

func yes(ctx context.Context, p *kernel.Proc) int {
	word := "y"
	if len(p.Args) > 1 {
		word = strings.Join(p.Args[1:], " ")
	}
	chunk := strings.Repeat(word+"\n", 1+4096/(len(word)+1))
	for ctx.Err() == nil && p.Step(64) == nil {
		if !put(p, chunk) {
			return 141
		}
	}
	return 137
}
