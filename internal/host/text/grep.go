package text

import (
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/regex"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const grepLong = "ignore-case/i invert-match/v count/c color? colour? extended-regexp/E fixed-strings/F basic-regexp/G perl-regexp/P only-matching/o quiet/q silent/q no-messages/s line-number/n recursive/r dereference-recursive/R files-with-matches/l files-without-match/L word-regexp/w line-regexp/x max-count/m regexp/e file/f text/a no-filename/h with-filename/H after-context/A before-context/B context/C include= exclude= exclude-dir= byte-offset/b null/Z line-buffered binary-files= null-data/z"

type grepper struct {
	p       *kernel.Proc
	o       getopt.Opts
	re      *regexp.Regexp
	names   bool
	found   bool
	color   bool
	after   int
	before  int
	limit   int
	pathOf  string
	printed bool // some line, of any file
}

// grepHint is the end of grep's texts about a wrong command line.
func grepHint(p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	if name == "fgrep" || name == "egrep" {
		name = "grep"
	}
	fmt.Fprintf(p.Stderr(), "Usage: %s [OPTION]... PATTERNS [FILE]...\nTry '%s --help' for more information.\n", name, name) //nolint:errcheck // the visitor's own stderr
	return 2
}

func grep(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	for i, a := range args { // -5 is -C 5
		if len(a) > 1 && a[0] == '-' && strings.Trim(a[1:], "0123456789") == "" {
			args = append(append(append([]string{}, args[:i]...), "-C", a[1:]), args[i+1:]...)
			break
		}
	}
	o := getopt.Parse(args, "abce:Ef:FGhHiIlLm:noPqrRsvwxyzZA:B:C:UT", grepLong)
	switch o.Bad {
	case "":
	case "--help", "--version":
		return getopt.Usage(p, o, 2)
	default:
		errorf(p, "%s", o.Bad)
		return grepHint(p)
	}
	pats, ok := grepPatterns(p, &o)
	if !ok {
		return 2
	}
	g := &grepper{p: p, o: o, limit: -1, after: o.Int("A", o.Int("C", 0)), before: o.Int("B", o.Int("C", 0))}
	if o.Has("m") {
		g.limit = o.Int("m", 0)
	}
	c := o.Get("color", "colour")
	g.color = (o.Has("color") || o.Has("colour")) && (c == "always" || p.IsTTY(1) && (c == "" || c == "auto"))
	if !g.compile(pats) {
		return 2
	}
	files := o.Args
	g.names = len(files) > 1
	if o.Has("r", "R") {
		if len(files) == 0 {
			files = []string{"."}
		}
		in, err := p.M.FS.Stat(p.Caller, p.Abs(files[0]))
		g.names = g.names || err == nil && in.Kind == vfs.Dir
		files = g.tree(ctx, files)
	}
	g.names = (g.names || o.Has("H")) && !o.Has("h")
	status := g.run(files)
	switch {
	case o.Has("q") && g.found:
		return 0
	case status != 0:
		return 2
	case g.found:
		return 0
	}
	return 1
}

// grepPatterns takes the patterns from -e, -f or the first operand.
func grepPatterns(p *kernel.Proc, o *getopt.Opts) ([]string, bool) {
	var pats []string
	for _, e := range o.All("e") {
		pats = append(pats, strings.Split(e, "\n")...)
	}
	for _, f := range o.All("f") {
		r, err := open(p, f)
		if err != nil {
			errorf(p, "%s: %s", f, strerror(err))
			return nil, false
		}
		data, err := slurp(p, r)
		r.Close() //nolint:errcheck // only read
		if err != nil {
			return nil, false
		}
		if len(data) > 0 {
			pats = append(pats, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
		}
	}
	if o.Has("e", "f") {
		return pats, true
	}
	if len(o.Args) == 0 {
		return nil, grepHint(p) == 0
	}
	pats = strings.Split(o.Args[0], "\n")
	o.Args = o.Args[1:]
	return pats, true
}

const maxPatterns = 2000

func (g *grepper) compile(pats []string) bool {
	name := getopt.Base(g.p.Args[0])
	ext := g.o.Has("E", "P") || name == "egrep"
	fixed := g.o.Has("F") || name == "fgrep"
	if len(pats) > maxPatterns {
		pats = pats[:maxPatterns]
	}
	alts := make([]string, len(pats))
	for i, pat := range pats {
		if fault := grepFault(pat, ext, fixed); fault != "" {
			errorf(g.p, "%s", fault)
			return false
		}
		switch {
		case fixed:
			alts[i] = regexp.QuoteMeta(pat)
		case ext:
			alts[i] = pat
		default:
			alts[i] = regex.Basic(pat)
		}
		if len(pats) > 1 {
			alts[i] = "(" + alts[i] + ")"
		}
	}
	pat := strings.Join(alts, "|")
	if len(pats) == 0 {
		pat = `[^\x00-\x{10FFFF}]`
	}
	if g.o.Has("x") {
		pat = "^(" + pat + ")$"
	}
	re, err := regex.Compile(pat, regex.Options{Extended: true, Fold: g.o.Has("i", "y"), Word: g.o.Has("w")})
	if err != nil {
		errorf(g.p, "%s", regexFault(pat, err))
		return false
	}
	g.re = re
	return true
}

// grepFault is the text of grep for an expression it refuses.
func grepFault(pat string, ext, fixed bool) string {
	if fixed {
		return ""
	}
	if _, err := regex.Compile(pat, regex.Options{Extended: ext}); err != nil {
		if strings.Contains(err.Error(), "missing closing ]") {
			return "Invalid regular expression"
		}
		return regexFault(pat, err)
	}
	return ""
}

func (g *grepper) tree(ctx context.Context, roots []string) []string {
	var out []string
	var walk func(name string, depth int)
	walk = func(name string, depth int) {
		in, err := g.p.M.FS.Lstat(g.p.Caller, g.p.Abs(name))
		if err != nil || depth > 30 || len(out) > 20_000 || ctx.Err() != nil || g.p.Step(1) != nil {
			if err != nil && depth == 0 {
				out = append(out, name)
			}
			return
		}
		if in.Kind == vfs.File && g.wanted(name) {
			out = append(out, name)
		}
		if in.Kind != vfs.Dir || depth > 0 && matchAny(g.o.All("exclude-dir"), path.Base(name)) {
			return
		}
		list, _ := g.p.M.FS.ReadDir(g.p.Caller, g.p.Abs(name))
		for _, e := range list {
			child := strings.TrimSuffix(name, "/") + "/" + e.Name
			if name == "." && len(g.o.Args) == 0 {
				child = e.Name
			}
			walk(child, depth+1)
		}
	}
	for _, r := range roots {
		walk(r, 0)
	}
	return out
}

func (g *grepper) wanted(name string) bool {
	inc := g.o.All("include")
	return (len(inc) == 0 || matchAny(inc, path.Base(name))) && !matchAny(g.o.All("exclude"), path.Base(name))
}

func matchAny(pats []string, name string) bool {
	for _, p := range pats {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}

func (g *grepper) run(files []string) int {
	if len(files) == 0 {
		files = []string{"-"}
	}
	status := 0
	for _, n := range files {
		r, err := open(g.p, n)
		if err != nil {
			if !g.o.Has("s") {
				errorf(g.p, "%s: %s", n, strerror(err))
			}
			if err != vfs.EISDIR { //nolint:errorlint // it comes bare
				status = 2
			}
			continue
		}
		g.file(n, r)
		r.Close() //nolint:errcheck // only read
		if g.o.Has("q") && g.found {
			return 0
		}
	}
	return status
}

// grepFile is the state of one file.
type grepFile struct {
	g            *grepper
	hits, line   int
	offset       int64
	follow       int
	held         []string
	last         int // line printed last, for the "--" between groups
	binary, done bool
}

func (f *grepFile) prefix(sep string, line int, offset int64) string {
	g, s := f.g, ""
	paint := func(t, code string) string {
		if g.color {
			return "\x1b[" + code + "m\x1b[K" + t + "\x1b[m\x1b[K"
		}
		return t
	}
	if g.names {
		s += paint(g.pathOf, "35") + paint(sep, "36")
	}
	if g.o.Has("n") {
		s += paint(strconv.Itoa(line), "32") + paint(sep, "36")
	}
	if g.o.Has("b") {
		s += paint(strconv.FormatInt(offset, 10), "32") + paint(sep, "36")
	}
	return s
}

func (g *grepper) file(name string, r io.Reader) {
	if name == "-" {
		name = "(standard input)"
	}
	g.pathOf = name
	f := &grepFile{g: g}
	if g.limit != 0 {
		lines(g.p, r, f.each) //nolint:errcheck // the budget ends it
	}
	switch {
	case f.binary && !g.o.Has("q", "l", "L", "c"):
		errorf(g.p, "%s: binary file matches", name)
	case g.o.Has("l") && f.hits > 0, g.o.Has("L") && f.hits == 0:
		put(g.p, name+"\n")
	case g.o.Has("l", "L"):
	case g.o.Has("c"):
		s := ""
		if g.names {
			s = name + ":"
		}
		put(g.p, s+strconv.Itoa(f.hits)+"\n")
	}
}

func (f *grepFile) each(l string) bool {
	g := f.g
	f.line++
	at := f.offset
	f.offset += int64(len(l)) + 1
	if f.done {
		if f.follow--; f.follow < 0 {
			return false
		}
		return f.show("-", l, f.line, at)
	}
	if g.re.MatchString(l) == g.o.Has("v") {
		return f.miss(l, at)
	}
	f.hits++
	g.found = true
	switch {
	case g.o.Has("q", "l", "L"):
		return false
	case g.o.Has("c"):
	case strings.Contains(l, "\x00") && !g.o.Has("a"):
		f.binary = true
		return false
	case g.o.Has("o"):
		if !f.parts(l, at) {
			return false
		}
	default:
		f.context()
		if !f.show(":", l, f.line, at) {
			return false
		}
	}
	f.follow = g.after
	if g.limit > 0 && f.hits >= g.limit {
		f.done = true
		return f.follow > 0 && !g.o.Has("c", "o")
	}
	return true
}

func (f *grepFile) miss(l string, at int64) bool {
	g := f.g
	if g.o.Has("c", "l", "L", "q", "o") {
		return true
	}
	if f.follow > 0 {
		f.follow--
		return f.show("-", l, f.line, at)
	}
	if g.before > 0 {
		if f.held = append(f.held, l); len(f.held) > g.before {
			f.held = f.held[1:]
		}
	}
	return true
}

// context prints the lines held before a hit.
func (f *grepFile) context() {
	first := f.line - len(f.held)
	for i, h := range f.held {
		f.show("-", h, first+i, 0)
	}
	f.held = nil
}

func (f *grepFile) show(sep, l string, line int, at int64) bool {
	g := f.g
	if (g.after > 0 || g.before > 0) && g.printed && (line > f.last+1 || f.last == 0) {
		put(g.p, "--\n")
	}
	f.last, g.printed = line, true
	if g.color && sep == ":" && !g.o.Has("v") {
		l = g.re.ReplaceAllStringFunc(l, func(m string) string {
			if m == "" {
				return m
			}
			return "\x1b[01;31m\x1b[K" + m + "\x1b[m\x1b[K"
		})
	}
	return put(g.p, f.prefix(sep, line, at)+l+"\n")
}

func (f *grepFile) parts(l string, at int64) bool {
	for _, m := range f.g.re.FindAllStringIndex(l, 10_000) {
		if m[0] == m[1] {
			continue
		}
		text := l[m[0]:m[1]]
		if f.g.color {
			text = "\x1b[01;31m\x1b[K" + text + "\x1b[m\x1b[K"
		}
		if !put(f.g.p, f.prefix(":", f.line, at+int64(m[0]))+text+"\n") {
			return false
		}
	}
	return true
}
