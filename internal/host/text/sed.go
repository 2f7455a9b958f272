package text

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// sedRun is one run of a script over some input.
type sedRun struct {
	p       *kernel.Proc
	prog    []*sedCmd
	quiet   bool
	sep     byte
	in      []*bufio.Reader
	next    string // the line after the current one
	hasNext bool
	nextEnd string
	line    string
	end     string // the current line's end: "" at the end without a newline
	hold    string
	n       int
	w       io.Writer
	append  []string // texts of a, r
	last    *regexp.Regexp
	did     bool // a substitution since the last t
	files   map[string]*vfs.Handle
	quit    bool
	missing bool // the last output had no newline
	status  int
}

func sed(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "nrEi?e:f:l:suz", "quiet/n silent/n regexp-extended/E in-place?/i expression/e file/f separate/s null-data/z unbuffered/u posix debug sandbox follow-symlinks line-length/l")
	if o.Bad != "" {
		return sedUsage(p, o)
	}
	script := strings.Join(o.All("e"), "\n")
	for _, f := range o.All("f") {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(f), 256<<10)
		if err != nil {
			errorf(p, "couldn't open file %s: %s", f, strerror(err))
			return 1
		}
		script += strings.TrimSuffix(string(data), "\n") + "\n"
	}
	if !o.Has("e", "f") {
		if len(o.Args) == 0 {
			o.Bad = "missing"
			return sedUsage(p, o)
		}
		script, o.Args = o.Args[0], o.Args[1:]
	}
	quiet := o.Has("n") || strings.HasPrefix(script, "#n\n")
	prog, err := sedParse(script, o.Has("r", "E"))
	if err != nil {
		errorf(p, "%s", sedError(max(o.Count("e"), 1), err))
		return 1
	}
	r := &sedRun{p: p, prog: prog, quiet: quiet, sep: '\n', w: p.Stdout(), files: map[string]*vfs.Handle{}}
	if o.Has("z") {
		r.sep = 0
	}
	defer func() {
		for _, h := range r.files {
			h.Close() //nolint:errcheck // nothing is buffered
		}
	}()
	if o.Has("i", "s") && len(o.Args) > 0 {
		return r.each(o)
	}
	names := o.Args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, n := range names {
		f, err := open(p, n)
		if err != nil {
			r.cannot(n, err)
			continue
		}
		defer f.Close() //nolint:errcheck // only read
		r.in = append(r.in, bufio.NewReader(f))
	}
	r.run()
	return r.status
}

// cannot words why an operand is left out.
func (r *sedRun) cannot(name string, err error) {
	if err == vfs.EISDIR { //nolint:errorlint // it comes bare
		errorf(r.p, "couldn't edit %s: not a regular file", name)
		r.status = 4
		return
	}
	errorf(r.p, "can't read %s: %s", name, strerror(err))
	r.status = 2
}

// sedUsage is the help: on standard error for a wrong command line.
func sedUsage(p *kernel.Proc, o getopt.Opts) int {
	if o.Bad == "--version" {
		return getopt.Usage(p, o, 1)
	}
	const text = "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n\n"
	if o.Bad == "--help" {
		put(p, text)
		return 0
	}
	if o.Bad != "missing" {
		errorf(p, "%s", o.Bad)
	}
	fmt.Fprint(p.Stderr(), text) //nolint:errcheck // the visitor's own stderr
	return 1
}

// each runs the script over every operand on its own, in place with -i.
func (r *sedRun) each(o getopt.Opts) int {
	for _, n := range o.Args {
		f, err := open(r.p, n)
		if err != nil {
			r.cannot(n, err)
			continue
		}
		var b bytes.Buffer
		if o.Has("i") {
			r.w = &b
		}
		r.in, r.n, r.hold, r.hasNext = []*bufio.Reader{bufio.NewReader(f)}, 0, "", false
		r.run()
		in, _ := r.p.M.FS.Stat(r.p.Caller, r.p.Abs(n))
		f.Close() //nolint:errcheck // only read
		if !o.Has("i") {
			continue
		}
		if suf := o.Get("i"); suf != "" {
			r.p.M.FS.Rename(r.p.Caller, r.p.Abs(n), r.p.Abs(n+suf)) //nolint:errcheck // the write tells
		}
		if err := r.p.M.FS.WriteFile(r.p.Caller, r.p.Abs(n), b.Bytes(), in.Mode&0o777); err != nil {
			errorf(r.p, "couldn't open temporary file %s: %s", n, strerror(err))
			return 4
		}
		if r.quit {
			break
		}
	}
	return r.status
}

// read takes one line into next.
func (r *sedRun) read() bool {
	for len(r.in) > 0 {
		text, err := r.in[0].ReadString(r.sep)
		if len(text) > maxLine {
			text = text[:maxLine]
		}
		if err != nil && text == "" {
			r.in = r.in[1:]
			continue
		}
		r.next, r.nextEnd = text, ""
		if n := len(text) - 1; text[n] == r.sep {
			r.next, r.nextEnd = text[:n], string(rune(r.sep))
		}
		return true
	}
	return false
}

// advance makes the next line the current one.
func (r *sedRun) advance() bool {
	if !r.hasNext && !r.read() {
		return false
	}
	r.line, r.end = r.next, r.nextEnd
	r.n++
	r.hasNext = r.read()
	if r.end == "" && r.hasNext {
		r.end = "\n"
	}
	return r.p.Step(1+int64(len(r.line)/64)) == nil
}

func (r *sedRun) out(s string) {
	if r.missing && s != "" {
		s = "\n" + s
	}
	r.missing = s != "" && s[len(s)-1] != r.sep
	if _, err := io.WriteString(r.w, s); err != nil {
		r.quit = true
	}
}

func (r *sedRun) flush() {
	for _, a := range r.append {
		r.out(a)
		r.missing = false // sed adds nothing after a file
	}
	r.append = nil
}

func (r *sedRun) run() {
	for !r.quit && r.advance() {
		again := true
		for again && !r.quit {
			again = r.cycle()
		}
	}
}

// cycle runs the script once; true asks for another without a new line.
func (r *sedRun) cycle() bool {
	r.did = false
	for pc := 0; pc < len(r.prog); {
		c := r.prog[pc]
		if r.p.Step(1) != nil {
			r.quit = true
			return false
		}
		if r.matches(c) == c.neg {
			if c.verb == '{' {
				pc = c.jump
			} else {
				pc++
			}
			continue
		}
		next, done, again := r.exec(c, pc)
		if done {
			r.flush()
			return again
		}
		pc = next
	}
	if !r.quiet {
		r.out(r.line + r.end)
	}
	r.flush()
	return false
}

func (r *sedRun) hit(a *sedAddr) bool {
	switch {
	case a.last:
		return !r.hasNext
	case a.step > 0:
		return r.n >= a.line && (r.n-a.line)%a.step == 0
	case a.re != nil:
		r.last = a.re
		return a.re.MatchString(r.line)
	case a.empty:
		return r.last != nil && r.last.MatchString(r.line)
	}
	return a.line == r.n
}

func (r *sedRun) matches(c *sedCmd) bool {
	switch {
	case c.from == nil:
		return true
	case c.to == nil:
		return r.hit(c.from)
	case c.active:
		switch {
		case c.until > 0:
			c.active = r.n < c.until
		case c.to.line > 0 && c.to.step == 0:
			c.active = r.n < c.to.line
			if r.n > c.to.line {
				return r.hit(c.from)
			}
		default:
			c.active = !r.hit(c.to)
		}
		return true
	case c.from.line == 0 && c.from.re == nil && !c.from.last && !c.from.empty && c.from.step == 0 && r.n == 1: // 0,/re/
		c.active = !r.hit(c.to)
		return true
	case !r.hit(c.from):
		return false
	}
	c.until = 0
	switch {
	case c.to.plus > 0:
		c.until = r.n + c.to.plus
	case c.to.multi > 0:
		c.until = (r.n + c.to.multi - 1) / c.to.multi * c.to.multi
	}
	switch {
	case c.until > 0:
		c.active = r.n < c.until
	case c.to.re != nil || c.to.empty || c.to.step > 0:
		c.active = true
	case c.to.last:
		c.active = r.hasNext
	default:
		c.active = c.to.line > r.n
	}
	return true
}

// exec runs one command. next is the command that follows; done ends the
// cycle, again starts another without reading a line.
func (r *sedRun) exec(c *sedCmd, pc int) (next int, done, again bool) {
	next = pc + 1
	switch c.verb {
	case 's':
		r.subst(c)
	case 'y':
		r.line = strings.Map(func(x rune) rune {
			if to, ok := c.y[x]; ok {
				return to
			}
			return x
		}, r.line)
	case 'p':
		r.out(r.line + r.end)
	case 'P':
		first, _, _ := strings.Cut(r.line, "\n")
		r.out(first + "\n")
	case '=':
		r.out(strconv.Itoa(r.n) + "\n")
	case 'l':
		r.out(unambiguous(r.line) + "$\n")
	case 'z':
		r.line = ""
	case 'F':
		r.out("-\n")
	case 'd':
		return next, true, false
	case 'D':
		_, rest, ok := strings.Cut(r.line, "\n")
		if !ok {
			return next, true, false
		}
		r.line = rest
		return next, true, true
	case 'q', 'Q':
		if c.verb == 'q' && !r.quiet {
			r.out(r.line + r.end)
		}
		r.quit, r.status = true, c.nth
		return next, true, false
	case 'a':
		r.append = append(r.append, c.text)
	case 'i':
		r.out(c.text)
	case 'c':
		if c.to == nil || !c.active || c.neg {
			r.out(c.text)
		}
		return next, true, false
	case 'r':
		if data, err := r.p.M.FS.ReadFile(r.p.Caller, r.p.Abs(c.text), 1<<20); err == nil {
			r.append = append(r.append, string(data))
		}
	case 'w', 'W':
		r.toFile(c.text, r.line+"\n")
	case 'b', 't', 'T':
		if c.verb == 'b' || (c.verb == 't') == r.did {
			next = c.jump
		}
		if c.verb != 'b' {
			r.did = false
		}
	default:
		return r.spaces(c, next)
	}
	return next, false, false
}

// spaces are the commands that move between pattern and hold space.
func (r *sedRun) spaces(c *sedCmd, next int) (int, bool, bool) {
	switch c.verb {
	case 'h':
		r.hold = r.line
	case 'H':
		r.hold += "\n" + r.line
	case 'g':
		r.line = r.hold
	case 'G':
		r.line += "\n" + r.hold
	case 'x':
		r.line, r.hold = r.hold, r.line
	case 'n':
		if !r.hasNext {
			if !r.quiet {
				r.out(r.line + r.end)
			}
			r.quit = true
			return next, true, false
		}
		if !r.quiet {
			r.out(r.line + r.end)
		}
		r.flush()
		r.advance()
	case 'N':
		if !r.hasNext {
			if !r.quiet {
				r.out(r.line + r.end)
			}
			r.quit = true
			return next, true, false
		}
		old := r.line
		r.advance()
		r.line = old + "\n" + r.line
	}
	if len(r.line)+len(r.hold) > maxLine {
		errorf(r.p, "couldn't re-allocate memory")
		r.quit, r.status = true, 4
		return next, true, false
	}
	return next, false, false
}
