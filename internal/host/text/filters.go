package text

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func sortLines(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "nrufk:t:o:bdihVgscmz", "numeric-sort/n reverse/r unique/u key/k field-separator/t human-numeric-sort/h")
	if o.bad != "" {
		usage(p, o.bad)
		return 2
	}
	var all []string
	held := int64(0)
	defer func() { p.S.Budget.Grow(-held) }() //nolint:errcheck // giving back
	status := each(p, o.args, func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			held += int64(len(l)) + 16
			if p.S.Budget.Grow(int64(len(l))+16) != nil {
				errorf(p, "memory exhausted")
				return false
			}
			all = append(all, l)
			return true
		})
	})
	key := func(l string) string {
		k := o.get("k")
		if k == "" {
			return l
		}
		n, _ := strconv.Atoi(strings.TrimRight(strings.SplitN(k, ",", 2)[0], "nrbf")) //nolint:errcheck // 0 is the whole line
		f := strings.Fields(l)
		if t := o.get("t"); t != "" {
			f = strings.Split(l, t)
		}
		if n < 1 || n > len(f) {
			return ""
		}
		return strings.Join(f[n-1:], " ")
	}
	numeric := o.has("n", "h", "g", "V") || strings.Contains(o.get("k"), "n")
	less := func(a, b string) bool {
		x, y := key(a), key(b)
		if numeric {
			m, n := leading(x), leading(y)
			if m != n {
				return m < n
			}
		}
		if o.has("f") {
			x, y = strings.ToLower(x), strings.ToLower(y)
		}
		if x != y {
			return x < y
		}
		return a < b
	}
	sort.SliceStable(all, func(i, j int) bool {
		if o.has("r") || strings.Contains(o.get("k"), "r") {
			return less(all[j], all[i])
		}
		return less(all[i], all[j])
	})
	var b strings.Builder
	for i, l := range all {
		if o.has("u") && i > 0 && l == all[i-1] {
			continue
		}
		b.WriteString(l + "\n")
	}
	if f := o.get("o"); f != "" {
		if err := p.M.FS.WriteFile(p.Caller, p.Abs(f), []byte(b.String()), 0o666&^p.Umask); err != nil {
			errorf(p, "open failed: %s: %s", f, strerror(err))
			return 2
		}
		return status
	}
	put(p, b.String())
	return status
}

// leading is the number that s begins with; human suffixes count.
func leading(s string) float64 {
	s = strings.TrimLeft(s, " \t")
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' || i == 0 && s[i] == '-') {
		i++
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0
	}
	if i < len(s) {
		if k := strings.IndexByte("KMGT", s[i]); k >= 0 {
			for range k + 1 {
				f *= 1024
			}
		}
	}
	return f
}

func uniq(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "cdui", "count/c repeated/d unique/u ignore-case/i")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	prev, n := "", 0
	flush := func() {
		if n == 0 || o.has("d") && n < 2 || o.has("u") && n > 1 {
			return
		}
		if o.has("c") {
			put(p, fmt.Sprintf("%7d %s\n", n, prev))
		} else {
			put(p, prev+"\n")
		}
	}
	st := each(p, o.args[:min(len(o.args), 1)], func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if n > 0 && (l == prev || o.has("i") && strings.EqualFold(l, prev)) {
				n++
				return true
			}
			flush()
			prev, n = l, 1
			return true
		})
	})
	flush()
	return st
}

// ranges reads a list such as 1,3-5,7-.
func ranges(s string) ([][2]int, bool) {
	var out [][2]int
	for part := range strings.SplitSeq(s, ",") {
		a, b, dash := strings.Cut(part, "-")
		lo, hi := 1, 1<<30
		var err error
		if a != "" {
			if lo, err = strconv.Atoi(a); err != nil || lo < 1 {
				return nil, false
			}
		}
		switch {
		case !dash:
			hi = lo
		case b != "":
			if hi, err = strconv.Atoi(b); err != nil {
				return nil, false
			}
		}
		out = append(out, [2]int{lo, hi})
	}
	return out, true
}

func inRanges(r [][2]int, n int) bool {
	for _, x := range r {
		if n >= x[0] && n <= x[1] {
			return true
		}
	}
	return false
}

func cut(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "d:f:c:b:sn", "delimiter/d fields/f characters/c bytes/b only-delimited/s output-delimiter/O complement/C")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	list := o.get("f", "c", "b")
	r, ok := ranges(list)
	if list == "" || !ok {
		if list == "" {
			errorf(p, "you must specify a list of bytes, characters, or fields")
		} else {
			errorf(p, "invalid field range")
		}
		fmt.Fprint(p.Stderr(), "Try 'cut --help' for more information.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	d := "\t"
	if o.has("d") {
		d = o.get("d")
	}
	out := d
	if o.has("O") {
		out = o.get("O")
	}
	return each(p, o.args, func(_ string, rd io.Reader) error {
		return lines(p, rd, func(l string) bool {
			if !o.has("f") {
				var b strings.Builder
				for i := range len(l) {
					if inRanges(r, i+1) != o.has("C") {
						b.WriteByte(l[i])
					}
				}
				return put(p, b.String()+"\n")
			}
			if !strings.Contains(l, d) {
				return o.has("s") || put(p, l+"\n")
			}
			var f []string
			for i, x := range strings.Split(l, d) {
				if inRanges(r, i+1) != o.has("C") {
					f = append(f, x)
				}
			}
			return put(p, strings.Join(f, out)+"\n")
		})
	})
}

// set expands a set of tr: ranges, classes, escapes.
func set(s string) []byte {
	classes := map[string]string{
		"[:lower:]": "abcdefghijklmnopqrstuvwxyz", "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "[:digit:]": "0123456789",
		"[:space:]": " \t\n\v\f\r", "[:blank:]": " \t", "[:punct:]": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	}
	classes["[:alpha:]"] = classes["[:upper:]"] + classes["[:lower:]"]
	classes["[:alnum:]"] = classes["[:digit:]"] + classes["[:alpha:]"]
	var out []byte
	for i := 0; i < len(s); {
		if s[i] == '[' {
			found := false
			for name, chars := range classes {
				if strings.HasPrefix(s[i:], name) {
					out = append(out, chars...)
					i += len(name)
					found = true
					break
				}
			}
			if found {
				continue
			}
		}
		c, n := escape(s[i:])
		i += n
		if i+1 < len(s) && s[i] == '-' {
			hi, n := escape(s[i+1:])
			i += 1 + n
			for x := int(c); x <= int(hi); x++ {
				out = append(out, byte(x))
			}
			continue
		}
		out = append(out, c)
	}
	return out
}

func escape(s string) (byte, int) {
	if s[0] != '\\' || len(s) < 2 {
		return s[0], 1
	}
	if k := strings.IndexByte("abfnrtv", s[1]); k >= 0 {
		return "\a\b\f\n\r\t\v"[k], 2
	}
	if s[1] >= '0' && s[1] <= '7' {
		n, k := 0, 1
		for k < len(s) && k < 4 && s[k] >= '0' && s[k] <= '7' {
			n = n*8 + int(s[k]-'0')
			k++
		}
		return byte(n), k
	}
	return s[1], 2
}

func tr(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "dscCt", "delete/d squeeze-repeats/s complement/c")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	if len(o.args) == 0 || len(o.args) == 1 && !o.has("d", "s") {
		if len(o.args) == 0 {
			errorf(p, "missing operand")
		} else {
			errorf(p, "missing operand after '%s'\nTwo strings must be given when translating.", o.args[0])
		}
		fmt.Fprint(p.Stderr(), "Try 'tr --help' for more information.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	var in [256]bool
	var to [256]byte
	s1 := set(o.args[0])
	for i := range to {
		to[i] = byte(i)
	}
	if o.has("c", "C") {
		for i := range in {
			in[i] = true
		}
		for _, c := range s1 {
			in[c] = false
		}
	} else {
		for _, c := range s1 {
			in[c] = true
		}
	}
	squeeze := in
	if len(o.args) > 1 {
		s2 := set(o.args[1])
		squeeze = [256]bool{}
		for _, c := range s2 {
			squeeze[c] = true
		}
		if len(s2) > 0 && !o.has("d") {
			if o.has("c", "C") {
				for i := range to {
					if in[i] {
						to[i] = s2[len(s2)-1]
					}
				}
			} else {
				for i, c := range s1 {
					to[c] = s2[min(i, len(s2)-1)]
				}
			}
		}
	}
	buf := make([]byte, 32<<10)
	last := -1
	for {
		n, err := p.Stdin().Read(buf)
		out := make([]byte, 0, n)
		for _, c := range buf[:n] {
			if o.has("d") && in[c] {
				continue
			}
			if !o.has("d") {
				c = to[c]
			}
			if o.has("s") && squeeze[c] && int(c) == last {
				continue
			}
			last = int(c)
			out = append(out, c)
		}
		if _, e := p.Stdout().Write(out); e != nil {
			return 141
		}
		if err != nil || n == 0 || p.Step(1+int64(n)/1024) != nil {
			return 0
		}
	}
}

const maxPattern = 4096 // bytes of a regular expression

// compile translates a POSIX expression (basic unless ext) to Go's engine,
// which is linear in time.
func compile(pat string, ext, fold, fixed, word bool) (*regexp.Regexp, error) {
	if len(pat) > maxPattern {
		return nil, fmt.Errorf("regular expression too big")
	}
	switch {
	case fixed:
		pat = regexp.QuoteMeta(pat)
	case !ext:
		pat = basic(pat)
	default:
		pat = brackets(pat)
	}
	if word {
		pat = `\b(?:` + pat + `)\b`
	}
	flags := "(?s"
	if fold {
		flags += "i"
	}
	re, err := regexp.Compile(flags + ")" + pat)
	if err != nil {
		return nil, err
	}
	return re, nil
}

// basic turns a basic expression into an extended one.
func basic(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '[':
			end := bracketEnd(s, i)
			b.WriteString(brackets(s[i:end]))
			i = end - 1
		case c == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case '(', ')', '{', '}', '|', '+', '?':
				b.WriteByte(s[i])
			case '<', '>':
				b.WriteString(`\b`)
			default:
				b.WriteString(`\` + string(s[i]))
			}
		case strings.IndexByte("(){}|+?", c) >= 0:
			b.WriteString(`\` + string(c))
		case c == '*' && (b.Len() == 0 || strings.HasSuffix(b.String(), "(") || b.String() == "^"):
			b.WriteString(`\*`)
		case c == '^' && i > 0 && s[i-1] != '(' && s[i-1] != '|' && s[i-1] != '\n':
			b.WriteString(`\^`)
		case c == '$' && i+1 < len(s) && !strings.HasPrefix(s[i+1:], `\)`) && !strings.HasPrefix(s[i+1:], `\|`):
			b.WriteString(`\$`)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func bracketEnd(s string, i int) int {
	j := i + 1
	if j < len(s) && s[j] == '^' {
		j++
	}
	if j < len(s) && s[j] == ']' {
		j++
	}
	for j < len(s) && s[j] != ']' {
		if strings.HasPrefix(s[j:], "[:") {
			if k := strings.Index(s[j:], ":]"); k > 0 {
				j += k + 1
			}
		}
		j++
	}
	return min(j+1, len(s))
}

// brackets escapes what Go reads differently inside [...].
func brackets(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if s[i+1] == '<' || s[i+1] == '>' {
				b.WriteString(`\b`)
			} else {
				b.WriteString(s[i : i+2])
			}
			i++
			continue
		}
		if s[i] != '[' {
			b.WriteByte(s[i])
			continue
		}
		end := bracketEnd(s, i)
		part := s[i:end]
		part = strings.ReplaceAll(part, `\`, `\\`)
		if len(part) > 2 && part[1] == ']' {
			part = `[\]` + part[2:]
		} else if strings.HasPrefix(part, "[^]") {
			part = `[^\]` + part[3:]
		}
		b.WriteString(part)
		i = end - 1
	}
	return b.String()
}

func grep(ctx context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "abce:Ef:FGhHiIlLm:noPqrRsvwxyzA:B:C:U", "ignore-case/i invert-match/v count/c color/Z colour/Z extended-regexp/E fixed-strings/F only-matching/o quiet/q silent/q no-messages/s line-number/n recursive/r files-with-matches/l word-regexp/w line-regexp/x max-count/m regexp/e text/a no-filename/h after-context/A before-context/B context/C include/I")
	if o.bad != "" {
		usage(p, o.bad)
		return 2
	}
	name := base(p.Args[0])
	pat := o.get("e")
	if !o.has("e") {
		if f := o.get("f"); f != "" {
			data, err := p.M.FS.ReadFile(p.Caller, p.Abs(f), 64<<10)
			if err != nil {
				errorf(p, "%s: %s", f, strerror(err))
				return 2
			}
			pat = strings.TrimSuffix(string(data), "\n")
		} else if len(o.args) == 0 {
			fmt.Fprintf(p.Stderr(), "Usage: %s [OPTION]... PATTERNS [FILE]...\nTry '%s --help' for more information.\n", name, name) //nolint:errcheck // the visitor's own stderr
			return 2
		} else {
			pat, o.args = o.args[0], o.args[1:]
		}
	}
	ext := o.has("E", "P") || name == "egrep"
	fixed := o.has("F") || name == "fgrep"
	if strings.Contains(pat, "\n") {
		alts := strings.Split(pat, "\n")
		for i := range alts {
			if fixed {
				alts[i] = regexp.QuoteMeta(alts[i])
			} else if !ext {
				alts[i] = basic(alts[i])
			}
		}
		pat, ext, fixed = strings.Join(alts, "|"), true, false
	}
	if o.has("x") {
		if !ext && !fixed {
			pat = basic(pat)
		} else if fixed {
			pat = regexp.QuoteMeta(pat)
		}
		pat, ext, fixed = "^(?:"+pat+")$", true, false
	}
	re, err := compile(pat, ext, o.has("i", "y"), fixed, o.has("w"))
	if err != nil {
		errorf(p, "Unmatched [, [^, [:, [., or [=")
		return 2
	}
	g := &grepper{p: p, o: o, re: re}
	files := o.args
	if o.has("r", "R") {
		if len(files) == 0 {
			files = []string{"."}
		}
		files = g.tree(ctx, files)
	}
	g.names = (len(files) > 1 || o.has("H", "r", "R")) && !o.has("h")
	status := g.run(files)
	switch {
	case o.has("q") && g.found:
		return 0
	case status != 0:
		return 2
	case g.found:
		return 0
	}
	return 1
}

type grepper struct {
	p     *kernel.Proc
	o     opts
	re    *regexp.Regexp
	names bool
	found bool
}

func (g *grepper) tree(ctx context.Context, roots []string) []string {
	var out []string
	var walk func(path string, depth int)
	walk = func(path string, depth int) {
		in, err := g.p.M.FS.Lstat(g.p.Caller, g.p.Abs(path))
		if err != nil || depth > 30 || len(out) > 20_000 || ctx.Err() != nil || g.p.Step(1) != nil {
			if err != nil && depth == 0 {
				out = append(out, path)
			}
			return
		}
		if in.Kind == vfs.File {
			out = append(out, path)
		}
		if in.Kind != vfs.Dir {
			return
		}
		list, _ := g.p.M.FS.ReadDir(g.p.Caller, g.p.Abs(path)) //nolint:errcheck // an unreadable folder has no entries
		for _, e := range list {
			walk(strings.TrimSuffix(path, "/")+"/"+e.Name, depth+1)
		}
	}
	for _, r := range roots {
		walk(r, 0)
	}
	return out
}

func (g *grepper) run(files []string) int {
	if len(files) == 0 {
		files = []string{"-"}
	}
	status := 0
	for _, n := range files {
		r, err := open(g.p, n)
		if err != nil {
			if !g.o.has("s") {
				errorf(g.p, "%s: %s", n, strerror(err))
			}
			status = 2
			continue
		}
		g.file(n, r)
		r.Close() //nolint:errcheck // only read
	}
	return status
}

func (g *grepper) file(name string, r io.Reader) {
	if name == "-" {
		name = "(standard input)"
	}
	limit, _ := strconv.Atoi(g.o.get("m"))       //nolint:errcheck // 0 = none
	after, _ := strconv.Atoi(g.o.get("A", "C"))  //nolint:errcheck // 0 = none
	before, _ := strconv.Atoi(g.o.get("B", "C")) //nolint:errcheck // 0 = none
	n, line, follow := 0, 0, 0
	var held []string
	prefix := func(sep string) string {
		s := ""
		if g.names {
			s += name + sep
		}
		if g.o.has("n") {
			s += strconv.Itoa(line) + sep
		}
		return s
	}
	binary := false
	lines(g.p, r, func(l string) bool { //nolint:errcheck // the budget ends it
		line++
		hit := g.re.MatchString(l) != g.o.has("v")
		if !hit {
			if follow > 0 && !g.o.has("c", "l", "q") {
				follow--
				return put(g.p, prefix("-")+l+"\n")
			}
			if before > 0 {
				held = append(held, l)
				if len(held) > before {
					held = held[1:]
				}
			}
			return true
		}
		n++
		g.found = true
		switch {
		case g.o.has("q"), g.o.has("l"), g.o.has("L"):
			return false
		case g.o.has("c"):
		case strings.Contains(l, "\x00") && !g.o.has("a"):
			binary = true
			return false
		case g.o.has("o"):
			for _, m := range g.re.FindAllString(l, 10_000) {
				if m != "" {
					put(g.p, prefix(":")+m+"\n")
				}
			}
		default:
			for _, h := range held {
				put(g.p, h+"\n")
			}
			held, follow = nil, after
			if !put(g.p, prefix(":")+l+"\n") {
				return false
			}
		}
		return limit == 0 || n < limit
	})
	switch {
	case binary:
		fmt.Fprintf(g.p.Stdout(), "grep: %s: binary file matches\n", name) //nolint:errcheck // the visitor's own output
	case g.o.has("l") && n > 0, g.o.has("L") && n == 0:
		put(g.p, name+"\n")
	case g.o.has("c"):
		s := ""
		if g.names {
			s = name + ":"
		}
		put(g.p, s+strconv.Itoa(n)+"\n")
	}
}

func rev(_ context.Context, p *kernel.Proc) int {
	return each(p, p.Args[1:], func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			rs := []rune(l)
			for i, j := 0, len(rs)-1; i < j; i, j = i+1, j-1 {
				rs[i], rs[j] = rs[j], rs[i]
			}
			return put(p, string(rs)+"\n")
		})
	})
}

func tac(_ context.Context, p *kernel.Proc) int {
	return each(p, p.Args[1:], func(_ string, r io.Reader) error {
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		l := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		for i := len(l) - 1; i >= 0; i-- {
			put(p, l[i]+"\n")
		}
		return nil
	})
}

func nl(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "b:w:s:v:n:", "")
	n := 0
	return each(p, o.args, func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if l == "" && o.get("b") != "a" {
				return put(p, "       \n")
			}
			n++
			return put(p, fmt.Sprintf("%6d\t%s\n", n, l))
		})
	})
}

func seq(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "s:wf:", "separator/s equal-width/w")
	from, step := 1.0, 1.0
	var nums []float64
	for _, a := range p.Args[1:] {
		if f, err := strconv.ParseFloat(a, 64); err == nil {
			nums = append(nums, f)
		}
	}
	if len(nums) == 0 {
		errorf(p, "missing operand")
		return 1
	}
	to := nums[len(nums)-1]
	if len(nums) > 1 {
		from = nums[0]
	}
	if len(nums) > 2 {
		step = nums[1]
	}
	sep := "\n"
	if o.has("s") {
		sep = o.get("s")
	}
	for i := 0; ; i++ {
		v := from + float64(i)*step
		if step >= 0 && v > to || step < 0 && v < to || p.Step(1) != nil {
			break
		}
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if i > 0 {
			s = sep + s
		}
		if !put(p, s) {
			return 141
		}
	}
	put(p, "\n")
	return 0
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
