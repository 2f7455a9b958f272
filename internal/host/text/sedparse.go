package text

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/regex"
)

// sedCmd is one command of a sed script.
type sedCmd struct {
	from, to *sedAddr
	neg      bool
	verb     byte
	re       *regexp.Regexp // nil: the last one used
	with     string
	global   bool
	print    bool
	nth      int
	text     string // of a, i, c; a label; a file name
	jump     int    // where b, t, T and { go
	active   bool
	until    int // last line of an addr,+N range
	y        map[rune]rune
}

type sedAddr struct {
	line  int
	step  int
	plus  int // addr,+N
	multi int // addr,~N
	last  bool
	re    *regexp.Regexp
	empty bool // //: the last expression used
}

// sedFault is an error at a character of the script.
type sedFault struct { //nolint:errname // a fault is the word of this package
	at   int
	text string
}

func (f *sedFault) Error() string { return f.text }

const maxSedCommands = 2000

type sedParser struct {
	src    string
	i      int
	ext    bool
	out    []*sedCmd
	open   []int // blocks that wait for "}"
	labels map[string]int
}

func (p *sedParser) fail(format string, args ...any) error {
	return &sedFault{p.i, fmt.Sprintf(format, args...)}
}

func sedParse(src string, ext bool) ([]*sedCmd, error) {
	p := &sedParser{src: src, ext: ext, labels: map[string]int{}}
	for {
		for p.i < len(src) && strings.IndexByte(" \t\n;", src[p.i]) >= 0 {
			p.i++
		}
		if p.i >= len(src) {
			break
		}
		if src[p.i] == '#' {
			p.rest()
			continue
		}
		if err := p.command(); err != nil {
			return nil, err
		}
		if len(p.out) > maxSedCommands {
			return nil, p.fail("too many commands")
		}
	}
	if len(p.open) > 0 {
		p.i = 0
		return nil, p.fail("unmatched `{'")
	}
	for _, c := range p.out {
		if strings.IndexByte("btT", c.verb) < 0 {
			continue
		}
		c.jump = len(p.out)
		if c.text != "" {
			at, ok := p.labels[c.text]
			if !ok {
				return nil, errors.New("can't find label for jump to `" + c.text + "'")
			}
			c.jump = at
		}
	}
	return p.out, nil
}

// rest takes the rest of the line.
func (p *sedParser) rest() string {
	start := p.i
	for p.i < len(p.src) && p.src[p.i] != '\n' {
		p.i++
	}
	return p.src[start:p.i]
}

func (p *sedParser) peek() byte {
	if p.i < len(p.src) {
		return p.src[p.i]
	}
	return 0
}

func (p *sedParser) blanks() {
	for p.peek() == ' ' || p.peek() == '\t' {
		p.i++
	}
}

func (p *sedParser) number() int {
	n := 0
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		n = min(n*10+int(c-'0'), 1<<30)
		p.i++
	}
	return n
}

func (p *sedParser) command() error {
	c := &sedCmd{}
	var err error
	if c.from, err = p.address(); err != nil {
		return err
	}
	p.blanks()
	if p.peek() == ',' {
		p.i++
		p.blanks()
		if c.from == nil {
			return p.fail("unexpected `,'")
		}
		if c.to, err = p.second(); err != nil {
			return err
		}
	}
	p.blanks()
	for p.peek() == '!' {
		c.neg = true
		p.i++
		p.blanks()
	}
	if p.i >= len(p.src) {
		return p.fail("missing command")
	}
	c.verb = p.src[p.i]
	p.i++
	return p.body(c)
}

func (p *sedParser) second() (*sedAddr, error) {
	switch p.peek() {
	case '+':
		p.i++
		return &sedAddr{plus: p.number()}, nil
	case '~':
		p.i++
		return &sedAddr{multi: p.number()}, nil
	}
	a, err := p.address()
	if err == nil && a == nil {
		err = p.fail("unexpected `,'")
	}
	return a, err
}

func (p *sedParser) address() (*sedAddr, error) {
	c := p.peek()
	switch {
	case c == '$':
		p.i++
		return &sedAddr{last: true}, nil
	case c >= '0' && c <= '9':
		a := &sedAddr{line: p.number()}
		if p.peek() == '~' {
			p.i++
			a.step = p.number()
		}
		return a, nil
	case c == '/' || c == '\\':
		if c == '\\' {
			p.i++
			c = p.peek()
		}
		p.i++
		pat, ok := p.delimited(c, true)
		if !ok {
			return nil, p.fail("unterminated address regex")
		}
		a := &sedAddr{empty: pat == ""}
		fold := p.peek() == 'I'
		if fold {
			p.i++
		}
		if pat == "" {
			return a, nil
		}
		re, err := p.regex(pat, fold)
		a.re = re
		return a, err
	}
	return nil, nil
}

func (p *sedParser) regex(pat string, fold bool) (*regexp.Regexp, error) {
	re, err := regex.Compile(pat, regex.Options{Extended: p.ext, Fold: fold})
	if err != nil {
		return nil, p.fail("%s", regexFault(pat, err))
	}
	return re, nil
}

// regexFault is the text of glibc for a bad expression.
func regexFault(pat string, err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "missing closing ]"):
		return "unterminated address regex"
	case strings.Contains(text, "missing closing )"):
		return "Unmatched ( or \\("
	case strings.Contains(text, "unexpected )"):
		return "Unmatched ) or \\)"
	case strings.Contains(text, "missing argument to repetition"):
		return "Invalid preceding regular expression"
	case strings.Contains(text, "character class range"):
		return "Invalid range end"
	}
	_ = pat
	return "Invalid regular expression"
}

// delimited reads up to an unescaped d, which it takes too. In a pattern \n is
// a newline, and brackets hide d.
func (p *sedParser) delimited(d byte, pattern bool) (string, bool) {
	var b strings.Builder
	class := false
	for ; p.i < len(p.src); p.i++ {
		c := p.src[p.i]
		switch {
		case c == '\\' && p.i+1 < len(p.src) && !class:
			p.i++
			n := p.src[p.i]
			if n == d && (!pattern || strings.IndexByte("|+?(){}", n) < 0) {
				b.WriteByte(n)
				continue
			}
			if n == 'n' && pattern {
				b.WriteByte('\n')
				continue
			}
			b.WriteByte('\\')
			b.WriteByte(n)
			continue
		case pattern && c == '[' && !class:
			class = true
			b.WriteByte(c)
			for p.i+1 < len(p.src) && (p.src[p.i+1] == '^' || p.src[p.i+1] == ']') && (p.src[p.i] == '[' || p.src[p.i] == '^') {
				p.i++
				b.WriteByte(p.src[p.i])
			}
			continue
		case class && c == ']':
			class = false
		case c == d && !class:
			p.i++
			return b.String(), true
		}
		b.WriteByte(c)
	}
	return "", false
}

func (p *sedParser) body(c *sedCmd) error {
	switch c.verb {
	case '{':
		p.open = append(p.open, len(p.out))
		p.out = append(p.out, c)
		return nil
	case '}':
		if len(p.open) == 0 {
			return p.fail("unexpected `}'")
		}
		p.out[p.open[len(p.open)-1]].jump = len(p.out)
		p.open = p.open[:len(p.open)-1]
		return p.end()
	case 's':
		return p.subst(c)
	case 'y':
		return p.translate(c)
	case 'a', 'i', 'c':
		return p.lines(c)
	case ':':
		p.blanks()
		name := strings.TrimSpace(p.word())
		if name == "" {
			return p.fail("\":\" lacks a label")
		}
		p.labels[name] = len(p.out)
		return nil
	case 'b', 't', 'T':
		p.blanks()
		c.text = strings.TrimSpace(p.word())
	case 'r', 'R', 'w', 'W':
		p.blanks()
		if c.text = p.rest(); c.text == "" {
			return p.fail("missing filename in r/R/w/W commands")
		}
	case 'q', 'Q', 'l', 'L':
		p.blanks()
		c.nth = p.number()
		p.out = append(p.out, c)
		return p.end()
	case 'p', 'P', 'd', 'D', 'n', 'N', 'h', 'H', 'g', 'G', 'x', '=', 'z', 'F':
		p.out = append(p.out, c)
		return p.end()
	default:
		return p.fail("unknown command: `%c'", c.verb)
	}
	p.out = append(p.out, c)
	return nil
}

// word takes a label: up to a newline or a semicolon.
func (p *sedParser) word() string {
	start := p.i
	for p.i < len(p.src) && p.src[p.i] != '\n' && p.src[p.i] != ';' {
		p.i++
	}
	return p.src[start:p.i]
}

func (p *sedParser) end() error {
	p.blanks()
	switch p.peek() {
	case 0, '\n', ';', '}', '#':
		return nil
	}
	p.i++
	return p.fail("extra characters after command")
}

// lines reads the text of a, i and c: on the same line or after a backslash.
func (p *sedParser) lines(c *sedCmd) error {
	p.blanks()
	if p.peek() == '\\' {
		p.i++
		p.blanks()
		if p.peek() == '\n' {
			p.i++
		}
	}
	if p.i >= len(p.src) {
		return p.fail("expected \\ after `a', `c' or `i'")
	}
	var b strings.Builder
	for p.i < len(p.src) && p.src[p.i] != '\n' {
		if p.src[p.i] == '\\' && p.i+1 < len(p.src) {
			p.i++
		}
		b.WriteByte(p.src[p.i])
		p.i++
	}
	c.text = b.String() + "\n"
	p.out = append(p.out, c)
	return nil
}

func (p *sedParser) subst(c *sedCmd) error {
	d := p.peek()
	p.i++
	pat, ok := p.delimited(d, true)
	if ok {
		c.with, ok = p.delimited(d, false)
	}
	if !ok {
		p.i = len(p.src)
		return p.fail("unterminated `s' command")
	}
	fold := false
	for done := false; !done; {
		switch f := p.peek(); {
		case f == 'g':
			c.global = true
		case f == 'p':
			c.print = true
		case f == 'i' || f == 'I':
			fold = true
		case f == 'm' || f == 'M' || f == 'e':
		case f >= '1' && f <= '9':
			c.nth = p.number()
			continue
		case f == 'w':
			p.i++
			p.blanks()
			c.text = p.rest()
			done = true
			continue
		case f == 0 || strings.IndexByte(" \t\n;}#", f) >= 0:
			done = true
			continue
		default:
			p.i++
			return p.fail("unknown option to `s'")
		}
		p.i++
	}
	if pat != "" {
		re, err := p.regex(pat, fold)
		if err != nil {
			return err
		}
		c.re = re
		if g := highestGroup(c.with); g > re.NumSubexp() {
			return p.fail("invalid reference \\%d on `s' command's RHS", g)
		}
	}
	p.out = append(p.out, c)
	return nil
}

func highestGroup(with string) int {
	top := 0
	for i := 0; i+1 < len(with); i++ {
		if with[i] == '\\' {
			i++
			if with[i] >= '0' && with[i] <= '9' {
				top = max(top, int(with[i]-'0'))
			}
		}
	}
	return top
}

func (p *sedParser) translate(c *sedCmd) error {
	d := p.peek()
	p.i++
	a, ok1 := p.delimited(d, false)
	b, ok2 := p.delimited(d, false)
	if !ok1 || !ok2 {
		return p.fail("unterminated `y' command")
	}
	un := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")
	x, y := []rune(un.Replace(a)), []rune(un.Replace(b))
	if len(x) != len(y) {
		return p.fail("strings for `y' command are different lengths")
	}
	c.y = map[rune]rune{}
	for i, r := range x {
		if _, taken := c.y[r]; !taken {
			c.y[r] = y[i]
		}
	}
	p.out = append(p.out, c)
	return p.end()
}

// sedError words a fault as sed does.
func sedError(n int, err error) string {
	if f, ok := errors.AsType[*sedFault](err); ok {
		return "-e expression #" + strconv.Itoa(n) + ", char " + strconv.Itoa(f.at) + ": " + f.text
	}
	return "-e expression #" + strconv.Itoa(n) + ", char 0: " + err.Error()
}
