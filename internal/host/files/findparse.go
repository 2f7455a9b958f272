package files

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// findNode is a test, an action or a join of two.
type findNode struct {
	op    string // "and", "or", "not", ",", or the word of the primary
	a, b  *findNode
	arg   string
	cmd   []string
	plus  bool // -exec ... +
	names []string
	re    *regexp.Regexp
	num   int64
	sign  byte
	uid   uint32
	info  vfs.Info
}

// findArgs is how many words follow a primary.
var findArgs = map[string]int{
	"-name": 1, "-iname": 1, "-path": 1, "-wholename": 1, "-ipath": 1, "-type": 1, "-perm": 1, "-size": 1, "-user": 1, "-group": 1, "-uid": 1, "-gid": 1, "-mtime": 1, "-mmin": 1,
	"-ctime": 1, "-cmin": 1, "-atime": 1, "-amin": 1, "-newer": 1, "-links": 1, "-inum": 1, "-regex": 1, "-iregex": 1, "-printf": 1, "-maxdepth": 1, "-mindepth": 1, "-fstype": 1,
	"-lname": 1, "-samefile": 1, "-fprint": 1, "-regextype": 1, "-newermt": 1,
	"-empty": 0, "-writable": 0, "-readable": 0, "-executable": 0, "-print": 0, "-print0": 0, "-delete": 0, "-ls": 0, "-prune": 0, "-quit": 0, "-true": 0, "-false": 0, "-nouser": 0,
	"-nogroup": 0, "-depth": 0, "-d": 0, "-xdev": 0, "-mount": 0, "-daystart": 0, "-follow": 0, "-noleaf": 0, "-ignore_readdir_race": 0,
}

type findParser struct {
	f     *findRun
	t     []string
	i     int
	fault string
	depth int
}

func (p *findParser) fail(format string, args ...any) *findNode {
	if p.fault == "" {
		p.fault = fmt.Sprintf(format, args...)
	}
	return &findNode{op: "-true"}
}

func (p *findParser) next(words ...string) bool {
	if p.i < len(p.t) && p.fault == "" {
		if slices.Contains(words, p.t[p.i]) {
			p.i++
			return true
		}
	}
	return false
}

func (p *findParser) list() *findNode {
	n := p.or()
	for p.next(",") {
		n = &findNode{op: ",", a: n, b: p.or()}
	}
	return n
}

func (p *findParser) or() *findNode {
	n := p.and()
	for p.next("-o", "-or") {
		n = &findNode{op: "or", a: n, b: p.and()}
	}
	return n
}

func (p *findParser) and() *findNode {
	n := p.not()
	for p.fault == "" && p.i < len(p.t) {
		if p.next("-a", "-and") {
			n = &findNode{op: "and", a: n, b: p.not()}
			continue
		}
		if w := p.t[p.i]; w == "-o" || w == "-or" || w == ")" || w == "," || w != "" && w[0] != '-' && w != "!" && w != "(" {
			break
		}
		n = &findNode{op: "and", a: n, b: p.not()}
	}
	return n
}

func (p *findParser) not() *findNode {
	if p.depth++; p.depth > 100 || p.i >= len(p.t) {
		return p.fail("expected an expression after `%s'", strings.Join(p.t[max(len(p.t)-1, 0):], ""))
	}
	defer func() { p.depth-- }()
	switch {
	case p.next("!", "-not"):
		return &findNode{op: "not", a: p.not()}
	case p.next("("):
		n := p.list()
		if !p.next(")") {
			return p.fail("invalid expression; I was expecting to find a ')' somewhere but did not see one.")
		}
		return n
	}
	return p.primary()
}

func (p *findParser) primary() *findNode {
	w := p.t[p.i]
	p.i++
	n := &findNode{op: w}
	if w == "-exec" || w == "-execdir" || w == "-ok" {
		return p.exec(n)
	}
	args, known := findArgs[w]
	if !known {
		if w == "" || w[0] != '-' {
			return p.fail("paths must precede expression: `%s'", w)
		}
		return p.fail("unknown predicate `%s'", w)
	}
	if args == 1 {
		if p.i >= len(p.t) {
			return p.fail("missing argument to `%s'", w)
		}
		n.arg = p.t[p.i]
		p.i++
	}
	return p.prepare(n)
}

func (p *findParser) exec(n *findNode) *findNode {
	p.f.acts = true
	for p.i < len(p.t) {
		w := p.t[p.i]
		p.i++
		if w == ";" && len(n.cmd) > 0 || w == "+" && len(n.cmd) > 1 && n.cmd[len(n.cmd)-1] == "{}" {
			n.plus = w == "+"
			if n.plus {
				n.cmd = n.cmd[:len(n.cmd)-1]
				p.f.batches = append(p.f.batches, n)
			}
			return n
		}
		n.cmd = append(n.cmd, w)
	}
	return p.fail("missing argument to `%s'", n.op)
}

// prepare checks an argument once.
func (p *findParser) prepare(n *findNode) *findNode {
	f := p.f
	switch n.op {
	case "-print", "-print0", "-delete", "-ls", "-printf", "-quit", "-fprint":
		f.acts = true
		f.depth = f.depth || n.op == "-delete"
	case "-depth", "-d":
		f.depth = true
		n.op = "-true"
	case "-maxdepth", "-mindepth":
		v, err := strconv.Atoi(n.arg)
		if err != nil || v < 0 {
			return p.fail("Expected a positive decimal integer argument to %s, but got ‘%s’", n.op, n.arg)
		}
		if n.op == "-maxdepth" {
			f.max = v
		} else {
			f.min = v
		}
		n.op = "-true"
	case "-name", "-iname", "-path", "-wholename", "-ipath", "-lname":
		n.re = globRegexp(n.arg, n.op[1] == 'i')
	case "-regex", "-iregex":
		re, err := regexp.Compile("(?s)^(?:" + n.arg + ")$")
		if err != nil {
			return p.fail("failed to compile regular expression '%s': Invalid regular expression", n.arg)
		}
		n.re = re
	case "-type":
		if strings.Trim(n.arg, "fdlcbps,") != "" || n.arg == "" {
			return p.fail("Unknown argument to -type: %s", n.arg)
		}
	case "-user", "-group", "-uid", "-gid":
		return p.owner(n)
	case "-newer", "-samefile":
		in, err := f.p.M.FS.Stat(f.p.Caller, f.p.Abs(n.arg))
		if err != nil {
			return p.fail("‘%s’: %s", n.arg, err)
		}
		n.info = in
	case "-newermt":
		at, ok := when(n.arg, f.p.Now())
		if !ok {
			return p.fail("I cannot figure out how to interpret ‘%s’ as a date or time", n.arg)
		}
		n.op, n.info.Mtime = "-newer", at
	case "-mtime", "-mmin", "-ctime", "-cmin", "-atime", "-amin", "-links", "-inum", "-size":
		return p.number(n)
	case "-perm":
		if _, err := strconv.ParseUint(strings.TrimLeft(n.arg, "-/"), 8, 32); err != nil {
			if _, ok := ChangeMode(strings.TrimLeft(n.arg, "-/"), vfs.Info{}, 0); !ok {
				return p.fail("invalid mode ‘%s’", n.arg)
			}
		}
	}
	return n
}

func (p *findParser) owner(n *findNode) *findNode {
	v, err := strconv.ParseUint(n.arg, 10, 32)
	n.uid = uint32(v)
	switch n.op {
	case "-user":
		if acc, ok := p.f.p.M.Account(n.arg); ok {
			n.uid, err = acc.UID, nil
		}
		if err != nil {
			return p.fail("‘%s’ is not the name of a known user", n.arg)
		}
		n.op = "-uid"
	case "-group":
		for _, g := range p.f.p.M.Groups() {
			if g.Name == n.arg {
				n.uid, err = g.GID, nil
			}
		}
		if err != nil {
			return p.fail("‘%s’ is not the name of an existing group", n.arg)
		}
		n.op = "-gid"
	}
	return n
}

func (p *findParser) number(n *findNode) *findNode {
	text := n.arg
	if text != "" && (text[0] == '+' || text[0] == '-') {
		n.sign, text = text[0], text[1:]
	}
	if n.op == "-size" {
		unit := int64(512)
		if u, ok := map[string]int64{"c": 1, "w": 2, "b": 512, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}[text[max(len(text)-1, 0):]]; ok {
			unit, text = u, text[:len(text)-1]
		}
		n.uid = uint32(unit)
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return p.fail("invalid argument `%s' to `%s'", n.arg, n.op)
	}
	n.num = v
	return n
}

// globRegexp is a pattern of find as an expression.
func globRegexp(pat string, fold bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?s")
	if fold {
		b.WriteString("i")
	}
	b.WriteString(")^")
	for i := 0; i < len(pat) && i < 1000; i++ {
		switch c := pat[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := strings.IndexByte(pat[i+1:], ']')
			if end < 1 {
				b.WriteString(`\[`)
				continue
			}
			class := strings.Replace(pat[i+1:i+1+end], "!", "^", 1)
			b.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
			i += end + 1
		case '\\':
			if i+1 < len(pat) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(pat[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(pat[i : i+1]))
		}
	}
	re, err := regexp.Compile(b.String() + "$")
	if err != nil {
		return regexp.MustCompile(`[^\x00-\x{10FFFF}]`)
	}
	return re
}
