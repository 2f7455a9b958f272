package shell

import (
	"context"
	"sort"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// piece is a part of a word after expansion; quoted pieces are neither split
// nor read as patterns.
type piece struct {
	text   string
	quoted bool
}

// field is one word on its way to an argument.
type field []piece

func (f field) String() string {
	if len(f) == 1 {
		return f[0].text
	}
	var b strings.Builder
	for _, p := range f {
		b.WriteString(p.text)
	}
	return b.String()
}

// pattern is f as a glob pattern, with quoted characters escaped.
func (f field) pattern() string {
	var b strings.Builder
	for _, p := range f {
		if p.quoted {
			b.WriteString(quoteMeta(p.text))
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

const maxFields = 100_000

// args expands words into arguments: braces, expansions, splitting, globs.
func (s *sh) args(ctx context.Context, words []*syntax.Word) []string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		if lit := w.Lit(); lit != "" && !strings.ContainsAny(lit, `*?[{~\`) {
			out = append(out, lit)
			continue
		}
		for _, bw := range s.braces(w) {
			for _, f := range s.fields(ctx, bw) {
				out = append(out, s.glob(f)...)
				if len(out) > maxFields {
					s.fail(1, "argument list too long")
					s.jump = jump{kind: jumpExit}
					return out
				}
			}
		}
	}
	return out
}

func (s *sh) braces(w *syntax.Word) []*syntax.Word {
	if s.dialect != Bash {
		return []*syntax.Word{w}
	}
	lit := false
	for _, p := range w.Parts {
		if l, ok := p.(*syntax.Lit); ok && strings.Contains(l.Value, "{") {
			lit = true
		}
	}
	if !lit {
		return []*syntax.Word{w}
	}
	c := &syntax.Word{Parts: append([]syntax.WordPart(nil), w.Parts...)}
	if !syntax.SplitBraces(c) {
		return []*syntax.Word{w}
	}
	return expandBraces(c, 0)
}

// text expands w to one string, without splitting or globs.
func (s *sh) text(ctx context.Context, w *syntax.Word) string {
	if w == nil {
		return ""
	}
	if lit := w.Lit(); lit != "" && !strings.ContainsAny(lit, `\~`) {
		return lit
	}
	return s.one(ctx, w).String()
}

// one expands w to one field.
func (s *sh) one(ctx context.Context, w *syntax.Word) field {
	e := expander{s: s, ctx: ctx, nosplit: true}
	e.parts(w.Parts, false, true)
	var all field
	for i, f := range e.done() {
		if i > 0 {
			all = append(all, piece{" ", true})
		}
		all = append(all, f...)
	}
	return all
}

// fields expands w and splits it by IFS.
func (s *sh) fields(ctx context.Context, w *syntax.Word) []field {
	e := expander{s: s, ctx: ctx}
	e.parts(w.Parts, false, true)
	return e.done()
}

// expander builds the fields of one word.
type expander struct {
	s       *sh
	ctx     context.Context //nolint:containedctx // lives for one word
	nosplit bool
	out     []field
	cur     field
	open    bool // cur is a field even if it is empty
}

func (e *expander) done() []field {
	e.flush()
	return e.out
}

func (e *expander) flush() {
	if len(e.cur) > 0 || e.open {
		e.out = append(e.out, e.cur)
	}
	e.cur, e.open = nil, false
}

func (e *expander) add(text string, quoted bool) {
	if quoted {
		e.open = true
	}
	if text != "" {
		e.cur = append(e.cur, piece{text, quoted})
	}
}

// split adds the result of an unquoted expansion.
func (e *expander) split(text string) {
	if e.nosplit {
		e.add(text, false)
		return
	}
	ifs, set := e.s.lookup("IFS")
	if !set {
		ifs = " \t\n"
	}
	if ifs == "" || !strings.ContainsAny(text, ifs) {
		e.add(text, false)
		return
	}
	white := func(r rune) bool { return strings.ContainsRune(" \t\n", r) && strings.ContainsRune(ifs, r) }
	start := 0
	for i, r := range text {
		if !strings.ContainsRune(ifs, r) {
			continue
		}
		e.add(text[start:i], false)
		start = i + len(string(r))
		if white(r) {
			if len(e.cur) > 0 || e.open {
				e.flush()
			}
			continue
		}
		e.open = true
		e.flush()
	}
	e.add(text[start:], false)
}

func (e *expander) parts(parts []syntax.WordPart, quoted, first bool) {
	for i, p := range parts {
		if e.s.p.Step(1) != nil {
			return
		}
		switch p := p.(type) {
		case *syntax.Lit:
			e.lit(p.Value, quoted, first && i == 0, len(parts) > 1)
		case *syntax.SglQuoted:
			v := p.Value
			if p.Dollar {
				v = ansiC(v)
			}
			e.add(v, true)
		case *syntax.DblQuoted:
			e.open = e.open || !onlyAt(p.Parts) || len(e.s.params) > 0
			e.parts(p.Parts, true, false)
		case *syntax.ParamExp:
			e.param(p, quoted)
		case *syntax.CmdSubst:
			e.result(e.s.capture(e.ctx, p.Stmts), quoted)
		case *syntax.ArithmExp:
			e.result(strconv.FormatInt(e.s.arith(e.ctx, p.X), 10), quoted)
		case *syntax.ProcSubst:
			e.add(e.s.procSubst(e.ctx, p), true)
		case *syntax.ExtGlob:
			e.add(p.Op.String()+p.Pattern.Value+")", quoted)
		}
	}
}

// onlyAt reports whether a quoted string is just "$@".
func onlyAt(parts []syntax.WordPart) bool {
	if len(parts) != 1 {
		return false
	}
	p, ok := parts[0].(*syntax.ParamExp)
	return ok && (p.Param != nil && p.Param.Value == "@" || p.Index != nil)
}

func (e *expander) result(v string, quoted bool) {
	if quoted {
		e.add(v, true)
		return
	}
	e.split(v)
}

// lit adds literal text: backslashes, a tilde at the beginning.
func (e *expander) lit(v string, quoted, first, more bool) {
	if quoted {
		if strings.Contains(v, `\`) {
			v = unescapeDouble(v)
		}
		e.add(v, true)
		return
	}
	if first && strings.HasPrefix(v, "~") {
		name, rest, slash := strings.Cut(v[1:], "/")
		if home, ok := e.s.home(name, more && !slash); ok {
			e.add(home, true)
			v = ""
			if slash {
				v = "/" + rest
			}
		}
	}
	for v != "" {
		i := strings.IndexByte(v, '\\')
		if i < 0 || i+1 >= len(v) {
			e.add(v, false)
			return
		}
		e.add(v[:i], false)
		if v[i+1] != '\n' {
			e.add(v[i+1:i+2], true)
		}
		v = v[i+2:]
	}
}

func (s *sh) home(user string, unknown bool) (string, bool) {
	switch {
	case unknown:
		return "", false
	case user == "":
		return s.get("HOME"), true
	case user == "+":
		return s.get("PWD"), true
	case user == "-":
		return s.get("OLDPWD"), true
	}
	return s.p.M.HomeOf(user)
}

func unescapeDouble(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			switch v[i+1] {
			case '"', '\\', '$', '`':
				i++
			case '\n':
				i++
				continue
			}
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

// expandBraces makes the words of {a,b} and {1..3}.
func expandBraces(w *syntax.Word, depth int) []*syntax.Word {
	if depth > 8 {
		return []*syntax.Word{w}
	}
	for i, p := range w.Parts {
		b, ok := p.(*syntax.BraceExp)
		if !ok {
			continue
		}
		var out []*syntax.Word
		for _, el := range braceElems(b) {
			parts := append([]syntax.WordPart(nil), w.Parts[:i]...)
			parts = append(parts, el.Parts...)
			parts = append(parts, w.Parts[i+1:]...)
			out = append(out, expandBraces(&syntax.Word{Parts: parts}, depth+1)...)
			if len(out) > maxFields {
				return out
			}
		}
		return out
	}
	return []*syntax.Word{w}
}

func braceElems(b *syntax.BraceExp) []*syntax.Word {
	if !b.Sequence {
		return b.Elems
	}
	from, to := b.Elems[0].Lit(), b.Elems[1].Lit()
	step := 1
	if len(b.Elems) > 2 {
		if n, err := strconv.Atoi(b.Elems[2].Lit()); err == nil && n != 0 {
			step = max(n, -n)
		}
	}
	lo, err1 := strconv.Atoi(from)
	hi, err2 := strconv.Atoi(to)
	char := err1 != nil || err2 != nil
	if char {
		lo, hi = int(from[0]), int(to[0])
	}
	width := 0
	if !char && (strings.HasPrefix(from, "0") || strings.HasPrefix(to, "0")) {
		width = max(len(from), len(to))
	}
	var out []*syntax.Word
	for n := lo; len(out) < maxFields; {
		v := string(rune(n))
		if !char {
			v = strconv.Itoa(n)
			for len(v) < width {
				v = "0" + v
			}
		}
		out = append(out, &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: v}}})
		if lo <= hi {
			n += step
		} else {
			n -= step
		}
		if lo <= hi && n > hi || lo > hi && n < hi {
			break
		}
	}
	return out
}

// glob expands a field against the file system; without a match it stays.
func (s *sh) glob(f field) []string {
	plain := true
	for _, p := range f {
		if !p.quoted && strings.ContainsAny(p.text, "*?[") {
			plain = false
		}
	}
	if plain || s.opts.noglob {
		return []string{f.String()}
	}
	pat := f.pattern()
	matches := s.globDir("", strings.Split(pat, "/"), strings.HasPrefix(pat, "/"), 0)
	if len(matches) == 0 {
		if s.opts.failglob {
			s.fail(1, "no match: %s", f.String())
			s.abort()
			return nil
		}
		if s.opts.nullglob {
			return nil
		}
		return []string{f.String()}
	}
	sort.Strings(matches)
	return matches
}

func (s *sh) globDir(dir string, parts []string, abs bool, depth int) []string {
	for len(parts) > 0 && parts[0] == "" && (depth > 0 || abs) {
		if dir == "" {
			dir = "/"
		}
		if parts = parts[1:]; len(parts) == 0 {
			return []string{dir}
		}
	}
	if len(parts) == 0 {
		return []string{strings.TrimSuffix(dir, "/")}
	}
	if depth > 64 || s.p.Step(10) != nil {
		return nil
	}
	pat, rest := parts[0], parts[1:]
	last := len(rest) == 0
	if !strings.ContainsAny(pat, "*?[") {
		p := dir + unquoteMeta(pat)
		if _, err := s.p.M.FS.Lstat(s.p.Caller, s.p.Abs(p)); err != nil {
			return nil
		}
		if last {
			return []string{p}
		}
		return s.globDir(p+"/", rest, false, depth+1)
	}
	where := dir
	if where == "" {
		where = "."
	}
	list, err := s.p.M.FS.ReadDir(s.p.Caller, s.p.Abs(where))
	if err != nil {
		return nil
	}
	var out []string
	for _, in := range list {
		if strings.HasPrefix(in.Name, ".") && !strings.HasPrefix(pat, ".") && !s.opts.dotglob {
			continue
		}
		if !match(pat, in.Name, s.opts.nocase) {
			continue
		}
		if last {
			out = append(out, dir+in.Name)
			continue
		}
		out = append(out, s.globDir(dir+in.Name+"/", rest, false, depth+1)...)
		if len(out) > maxFields {
			break
		}
	}
	return out
}
