package text

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// sedCmd is one command of a sed script.
type sedCmd struct {
	from, to *sedAddr
	neg      bool
	verb     byte
	re       *regexp.Regexp
	with     string
	global   bool
	print    bool
	nth      int
	text     string
	active   bool
}

type sedAddr struct {
	line int
	last bool
	re   *regexp.Regexp
}

func sed(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "nrEi:e:f:sz", "quiet/n silent/n regexp-extended/E in-place/i expression/e")
	// -i takes its suffix only when it is attached.
	args := make([]string, 0, len(p.Args))
	inPlace := false
	for _, a := range p.Args[1:] {
		if strings.HasPrefix(a, "-i") || strings.HasPrefix(a, "--in-place") {
			inPlace = true
			continue
		}
		args = append(args, a)
	}
	o = parse(args, "nrEe:f:sz", "quiet/n silent/n regexp-extended/E expression/e")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	script := o.get("e")
	if !o.has("e") {
		if len(o.args) == 0 {
			fmt.Fprint(p.Stderr(), "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n") //nolint:errcheck // the visitor's own stderr
			return 1
		}
		script, o.args = o.args[0], o.args[1:]
	}
	prog, err := sedParse(script, o.has("r", "E"))
	if err != nil {
		errorf(p, "-e expression #1, char %d: %s", len(script), err)
		return 1
	}
	run := func(r io.Reader, w io.Writer) error {
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		return sedRun(p, prog, data, o.has("n"), w)
	}
	return each(p, o.args, func(name string, r io.Reader) error {
		if !inPlace || name == "-" {
			return run(r, p.Stdout())
		}
		var b strings.Builder
		if err := run(r, &b); err != nil {
			return err
		}
		return p.M.FS.WriteFile(p.Caller, p.Abs(name), []byte(b.String()), 0o644)
	})
}

func sedParse(s string, ext bool) ([]*sedCmd, error) {
	var out []*sedCmd
	for s = strings.TrimLeft(s, " \t;\n"); s != ""; s = strings.TrimLeft(s, " \t;\n") {
		if len(out) > 200 {
			return nil, fmt.Errorf("too many commands")
		}
		c := &sedCmd{}
		var err error
		if c.from, s, err = sedAddress(s, ext); err != nil {
			return nil, err
		}
		if strings.HasPrefix(s, ",") && c.from != nil {
			if c.to, s, err = sedAddress(s[1:], ext); err != nil {
				return nil, err
			}
		}
		s = strings.TrimLeft(s, " ")
		if strings.HasPrefix(s, "!") {
			c.neg, s = true, strings.TrimLeft(s[1:], " ")
		}
		if s == "" {
			return nil, fmt.Errorf("missing command")
		}
		c.verb, s = s[0], s[1:]
		switch c.verb {
		case 's', 'y':
			if s, err = c.subst(s, ext); err != nil {
				return nil, err
			}
		case 'p', 'd', 'q', 'n', 'N', 'D', 'P', 'h', 'H', 'g', 'G', 'x', '=', '}', '{', 'Q':
		case 'a', 'i', 'c':
			c.text, s, _ = strings.Cut(strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(s, " "), "\\"), " \n"), "\n")
		default:
			return nil, fmt.Errorf("unknown command: `%c'", c.verb)
		}
		out = append(out, c)
	}
	return out, nil
}

func sedAddress(s string, ext bool) (*sedAddr, string, error) {
	switch {
	case strings.HasPrefix(s, "$"):
		return &sedAddr{last: true}, s[1:], nil
	case s != "" && s[0] >= '0' && s[0] <= '9':
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		n, _ := strconv.Atoi(s[:i]) //nolint:errcheck // digits
		return &sedAddr{line: n}, s[i:], nil
	case strings.HasPrefix(s, "/"):
		part, rest, ok := delimited(s[1:], '/')
		if !ok {
			return nil, s, fmt.Errorf("unterminated address regex")
		}
		re, err := compile(part, ext, false, false, false)
		return &sedAddr{re: re}, strings.TrimLeft(rest, " "), err
	}
	return nil, s, nil
}

// delimited reads up to an unescaped d.
func delimited(s string, d byte) (part, rest string, ok bool) {
	var b strings.Builder
	class := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			if s[i+1] != d {
				b.WriteByte('\\')
			}
			i++
			b.WriteByte(s[i])
			continue
		case s[i] == '[':
			class = true
		case s[i] == ']':
			class = false
		case s[i] == d && !class:
			return b.String(), s[i+1:], true
		}
		b.WriteByte(s[i])
	}
	return "", s, false
}

func (c *sedCmd) subst(s string, ext bool) (string, error) {
	if s == "" {
		return s, fmt.Errorf("unterminated `%c' command", c.verb)
	}
	d := s[0]
	pat, rest, ok := delimited(s[1:], d)
	if ok {
		c.with, rest, ok = delimited(rest, d)
	}
	if !ok {
		return s, fmt.Errorf("unterminated `%c' command", c.verb)
	}
	if c.verb == 'y' {
		c.text = pat
		return rest, nil
	}
	fold := false
	for rest != "" && strings.IndexByte("gpiIm0123456789", rest[0]) >= 0 {
		switch f := rest[0]; {
		case f == 'g':
			c.global = true
		case f == 'p':
			c.print = true
		case f == 'i' || f == 'I':
			fold = true
		case f != 'm':
			c.nth = c.nth*10 + int(f-'0')
		}
		rest = rest[1:]
	}
	re, err := compile(pat, ext, fold, false, false)
	c.re = re
	return rest, err
}

func sedRun(p *kernel.Proc, prog []*sedCmd, data []byte, quiet bool, w io.Writer) error {
	all := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(data) == 0 {
		return nil
	}
	hold := ""
	for i := 0; i < len(all); i++ {
		line, dead, quit := all[i], false, false
		after := ""
		for _, c := range prog {
			if err := p.Step(1 + int64(len(line)/64)); err != nil {
				return err
			}
			if c.matches(line, i+1, i == len(all)-1) == c.neg {
				continue
			}
			switch c.verb {
			case 's':
				if next, ok := c.apply(line); ok {
					line = next
					if c.print {
						io.WriteString(w, line+"\n") //nolint:errcheck // the next write tells
					}
				}
			case 'y':
				line = strings.Map(func(r rune) rune {
					if k := strings.IndexRune(c.text, r); k >= 0 && k < len(c.with) {
						return rune(c.with[k])
					}
					return r
				}, line)
			case 'p':
				io.WriteString(w, line+"\n") //nolint:errcheck // the next write tells
			case '=':
				io.WriteString(w, strconv.Itoa(i+1)+"\n") //nolint:errcheck // the next write tells
			case 'd':
				dead = true
			case 'q', 'Q':
				quit = true
				dead = dead || c.verb == 'Q'
			case 'a':
				after += c.text + "\n"
			case 'i':
				io.WriteString(w, c.text+"\n") //nolint:errcheck // the next write tells
			case 'c':
				line = c.text
			case 'h':
				hold = line
			case 'H':
				hold += "\n" + line
			case 'g':
				line = hold
			case 'G':
				line += "\n" + hold
			case 'x':
				line, hold = hold, line
			case 'N':
				if i+1 < len(all) {
					i++
					line += "\n" + all[i]
				}
			}
			if dead || quit {
				break
			}
		}
		out := after
		if !dead && !quiet {
			out = line + "\n" + after
		}
		if _, err := io.WriteString(w, out); err != nil {
			return err
		}
		if quit {
			return nil
		}
	}
	return nil
}

func (a *sedAddr) hit(line string, n int, last bool) bool {
	return a.last && last || a.line > 0 && a.line == n || a.re != nil && a.re.MatchString(line)
}

func (c *sedCmd) matches(line string, n int, last bool) bool {
	switch {
	case c.from == nil:
		return true
	case c.to == nil:
		return c.from.hit(line, n, last)
	case c.active:
		if c.to.hit(line, n, last) || c.to.line > 0 && n >= c.to.line {
			c.active = false
		}
		return true
	case c.from.hit(line, n, last):
		c.active = c.to.line == 0 || c.to.line > n
		return true
	}
	return false
}

// apply does the substitution; & and \1 to \9 in the replacement count.
func (c *sedCmd) apply(line string) (string, bool) {
	found := c.re.FindAllStringSubmatchIndex(line, 10_000)
	if len(found) == 0 {
		return line, false
	}
	var b strings.Builder
	pos, done := 0, false
	for i, m := range found {
		if c.nth > 0 && i+1 < c.nth || !c.global && done {
			continue
		}
		b.WriteString(line[pos:m[0]])
		for k := 0; k < len(c.with); k++ {
			switch ch := c.with[k]; {
			case ch == '&':
				b.WriteString(line[m[0]:m[1]])
			case ch == '\\' && k+1 < len(c.with):
				k++
				g := int(c.with[k] - '0')
				switch {
				case g >= 0 && g <= 9:
					if 2*g+1 < len(m) && m[2*g] >= 0 {
						b.WriteString(line[m[2*g]:m[2*g+1]])
					}
				case c.with[k] == 'n':
					b.WriteByte('\n')
				case c.with[k] == 't':
					b.WriteByte('\t')
				default:
					b.WriteByte(c.with[k])
				}
			default:
				b.WriteByte(ch)
			}
		}
		pos, done = m[1], true
	}
	b.WriteString(line[pos:])
	return b.String(), done
}
