package shell

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// param expands $x, ${x...}, "$@" and the rest.
func (e *expander) param(p *syntax.ParamExp, quoted bool) {
	s := e.s
	if p.Param == nil {
		return
	}
	name := p.Param.Value
	if list, star, ok := s.listOf(e.ctx, p, name); ok {
		e.list(list, star, quoted)
		return
	}
	if p.Excl && p.Names == 0 {
		name = s.get(name)
		if !validName(name) && name != "@" && name != "*" {
			if _, err := strconv.Atoi(name); err != nil {
				s.fail(1, "%s: invalid indirect expansion", p.Param.Value)
				s.abort()
				return
			}
		}
	}
	value, set := s.valueOf(e.ctx, name, p.Index)
	switch {
	case p.Length:
		e.add(strconv.Itoa(utf8.RuneCountInString(value)), quoted)
		return
	case p.Exp != nil:
		e.expansion(p, name, value, set, quoted)
		return
	}
	if !set && s.opts.nounset && p.Param.Value != "@" && p.Param.Value != "*" {
		if s.dialect == Bash {
			s.fail(127, "%s: unbound variable", name)
		} else {
			s.fail(2, "%s: parameter not set", name)
		}
		s.abort()
		return
	}
	if p.Slice != nil {
		value = s.slice(e.ctx, value, p.Slice)
	}
	if p.Repl != nil {
		value = s.replace(value, p.Repl, s.pattern(e.ctx, p.Repl.Orig), s.text(e.ctx, p.Repl.With))
	}
	e.result(value, quoted)
}

// abort ends a shell that meets a fatal expansion error; an interactive one
// only drops the line.
func (s *sh) abort() {
	if !s.opts.interactive {
		s.jump = jump{kind: jumpExit}
	}
}

// listOf gives the elements of "$@", "$*", ${a[@]}, ${!a[@]}, ${!prefix*}.
func (s *sh) listOf(ctx context.Context, p *syntax.ParamExp, name string) (list []string, star, ok bool) {
	switch {
	case p.Names != 0:
		for k := range s.vars {
			if strings.HasPrefix(k, name) {
				list = append(list, k)
			}
		}
		sort.Strings(list)
		return list, p.Names == syntax.NamesPrefix, true
	case name == "@" || name == "*":
		list, star = s.params, name == "*"
	default:
		w, isWord := p.Index.(*syntax.Word)
		if !isWord || w.Lit() != "@" && w.Lit() != "*" {
			return nil, false, false
		}
		star = w.Lit() == "*"
		if p.Excl {
			return s.keys(name), star, true
		}
		list = s.elements(name)
	}
	if p.Length {
		return []string{strconv.Itoa(len(list))}, false, true
	}
	if p.Exp != nil && len(list) == 0 {
		return nil, false, false
	}
	if p.Slice != nil {
		if name == "@" || name == "*" {
			list = append([]string{s.name}, list...)
		}
		list = s.sliceList(ctx, list, p.Slice)
	}
	if p.Repl != nil {
		pat, with := s.pattern(ctx, p.Repl.Orig), s.text(ctx, p.Repl.With)
		list = mapList(list, func(v string) string { return s.replace(v, p.Repl, pat, with) })
	}
	if p.Exp != nil {
		list = mapList(list, func(v string) string { return s.trim(ctx, p.Exp, v) })
	}
	return list, star, true
}

func mapList(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func (e *expander) list(list []string, star, quoted bool) {
	if star && quoted || e.nosplit {
		sep := " "
		if ifs, set := e.s.lookup("IFS"); set && star {
			sep = ""
			if ifs != "" {
				sep = ifs[:1]
			}
		}
		e.add(strings.Join(list, sep), quoted)
		return
	}
	for i, v := range list {
		if i > 0 {
			e.flush()
		}
		if quoted {
			e.open = true
			e.add(v, true)
		} else {
			e.split(v)
		}
	}
}

func (s *sh) keys(name string) []string {
	v := s.vars[name]
	var out []string
	switch {
	case v == nil:
	case v.dict != nil:
		for k := range v.dict {
			out = append(out, k)
		}
		sort.Strings(out)
	case v.isArray:
		for i := range v.list {
			if v.holes[i] {
				continue
			}
			out = append(out, strconv.Itoa(i))
		}
	default:
		out = []string{"0"}
	}
	return out
}

func (s *sh) elements(name string) []string {
	v := s.vars[name]
	switch {
	case v == nil:
		return nil
	case v.dict != nil:
		var out []string
		for _, k := range s.keys(name) {
			out = append(out, v.dict[k])
		}
		return out
	case v.isArray && len(v.holes) > 0:
		var out []string
		for i, e := range v.list {
			if !v.holes[i] {
				out = append(out, e)
			}
		}
		return out
	case v.isArray:
		return v.list
	}
	return []string{v.value}
}

func (s *sh) valueOf(ctx context.Context, name string, index syntax.ArithmExpr) (string, bool) {
	if index == nil {
		return s.lookup(name)
	}
	v := s.vars[name]
	if v == nil {
		return "", false
	}
	if v.dict != nil {
		key := ""
		if w, ok := index.(*syntax.Word); ok {
			key = s.text(ctx, w)
		}
		val, ok := v.dict[key]
		return val, ok
	}
	i := s.arith(ctx, index)
	if !v.isArray {
		return v.value, i == 0
	}
	if i < 0 {
		i += int64(len(v.list))
	}
	if i < 0 || i >= int64(len(v.list)) || v.holes[int(i)] {
		return "", false
	}
	return v.list[i], true
}

// expansion is ${x:-w}, ${x#p}, ${x^^} and their like.
func (e *expander) expansion(p *syntax.ParamExp, name, value string, set, quoted bool) {
	s := e.s
	x := p.Exp
	missing := !set
	switch x.Op {
	case syntax.AlternateUnsetOrNull, syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull, syntax.AssignUnsetOrNull:
		missing = value == ""
	}
	switch x.Op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if !missing && x.Word != nil {
			e.parts(x.Word.Parts, quoted, !quoted)
		}
		return
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		if missing {
			if x.Word != nil {
				e.parts(x.Word.Parts, quoted, !quoted)
			}
			return
		}
	case syntax.AssignUnset, syntax.AssignUnsetOrNull:
		if missing {
			value = s.text(e.ctx, x.Word)
			s.set(e.ctx, name, value)
		}
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		if missing {
			msg := s.text(e.ctx, x.Word)
			if msg == "" {
				msg = "parameter null or not set"
			}
			s.fail(127, "%s: %s", name, msg)
			s.abort()
			return
		}
	default:
		if !set && x.Op == syntax.OtherParamOps {
			return
		}
		value = s.trim(e.ctx, x, value)
	}
	e.result(value, quoted)
}

// trim is the part of expansion that changes one value.
func (s *sh) trim(ctx context.Context, x *syntax.Expansion, v string) string {
	switch x.Op {
	case syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		return s.cut(v, s.pattern(ctx, x.Word), x.Op)
	case syntax.UpperAll:
		return strings.ToUpper(v)
	case syntax.LowerAll:
		return strings.ToLower(v)
	case syntax.UpperFirst, syntax.LowerFirst:
		if v == "" {
			return v
		}
		_, n := utf8.DecodeRuneInString(v)
		if x.Op == syntax.UpperFirst {
			return strings.ToUpper(v[:n]) + v[n:]
		}
		return strings.ToLower(v[:n]) + v[n:]
	case syntax.OtherParamOps:
		switch s.text(ctx, x.Word) {
		case "Q":
			return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'"
		case "U":
			return strings.ToUpper(v)
		case "L":
			return strings.ToLower(v)
		case "E":
			return ansiC(v)
		}
	}
	return v
}

func (s *sh) pattern(ctx context.Context, w *syntax.Word) string {
	if w == nil {
		return ""
	}
	return s.one(ctx, w).pattern()
}

func (s *sh) cut(v, pat string, op syntax.ParExpOperator) string {
	if len(v) > 64<<10 {
		return v
	}
	fits := func(i int) (string, string, bool) {
		if op == syntax.RemSmallPrefix || op == syntax.RemLargePrefix {
			return v[:i], v[i:], true
		}
		return v[i:], v[:i], false
	}
	n := len(v)
	for k := 0; k <= n; k++ {
		i := k
		if op == syntax.RemLargePrefix || op == syntax.RemSmallSuffix {
			i = n - k
		}
		if part, rest, _ := fits(i); match(pat, part, false) {
			return rest
		}
		if k&255 == 255 && s.p.Step(1) != nil {
			break
		}
	}
	return v
}

func (s *sh) replace(v string, r *syntax.Replace, pat, with string) string {
	if pat == "" || len(v) > 64<<10 {
		return v
	}
	anchor := byte(0)
	if !r.All && (pat[0] == '#' || pat[0] == '%') {
		anchor, pat = pat[0], pat[1:]
	}
	var b strings.Builder
	for i := 0; i < len(v); {
		j := -1
		for k := len(v); k > i; k-- {
			if match(pat, v[i:k], false) && (anchor != '%' || k == len(v)) {
				j = k
				break
			}
		}
		if s.p.Step(1) != nil {
			break
		}
		if j < 0 {
			if anchor == '#' {
				b.WriteString(v[i:])
				return b.String()
			}
			b.WriteByte(v[i])
			i++
			continue
		}
		b.WriteString(with)
		i = j
		if !r.All {
			b.WriteString(v[i:])
			return b.String()
		}
	}
	return b.String()
}

func (s *sh) slice(ctx context.Context, v string, sl *syntax.Slice) string {
	r := []rune(v)
	from, to := s.bounds(ctx, len(r), sl)
	return string(r[from:to])
}

func (s *sh) sliceList(ctx context.Context, l []string, sl *syntax.Slice) []string {
	from, to := s.bounds(ctx, len(l), sl)
	return l[from:to]
}

func (s *sh) bounds(ctx context.Context, n int, sl *syntax.Slice) (from, to int) {
	off := s.arith(ctx, sl.Offset)
	if off < 0 {
		off += int64(n)
	}
	off = min(max(off, 0), int64(n))
	end := int64(n)
	if sl.Length != nil {
		l := s.arith(ctx, sl.Length)
		if l < 0 {
			end = max(end+l, off)
		} else if l < end-off {
			end = off + l
		}
	}
	return int(off), int(end)
}

// ansiC decodes the escapes of $'...' and of echo -e with C rules.
func ansiC(v string) string {
	out, _ := unescape(v, false)
	return out
}

// unescape decodes backslash escapes; octal0 asks for the \0nnn form of echo.
// stop reports a \c, after which nothing is printed.
func unescape(v string, octal0 bool) (out string, stop bool) {
	if !strings.Contains(v, `\`) {
		return v, false
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 >= len(v) {
			b.WriteByte(v[i])
			continue
		}
		i++
		switch c := v[i]; c {
		case 'a', 'b', 'f', 'n', 'r', 't', 'v':
			b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
		case 'e', 'E':
			b.WriteByte(27)
		case '\\', '\'', '"', '?':
			if octal0 && c != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		case 'c':
			if octal0 {
				return b.String(), true
			}
			if i+1 < len(v) {
				i++
				b.WriteByte(v[i] & 0x1f)
			}
		case 'x', 'u', 'U':
			n, used := digits(v[i+1:], 16, map[byte]int{'x': 2, 'u': 4, 'U': 8}[c])
			if used == 0 {
				b.WriteString(`\` + string(c))
				continue
			}
			i += used
			if c == 'x' {
				b.WriteByte(byte(n))
			} else {
				b.WriteRune(rune(n))
			}
		case '0', '1', '2', '3', '4', '5', '6', '7':
			if octal0 && c != '0' {
				b.WriteString(`\` + string(c))
				continue
			}
			from, width := i, 3
			if octal0 {
				from = i + 1
			}
			n, used := digits(v[from:], 8, width)
			i = from + used - 1
			b.WriteByte(byte(n))
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), false
}

func digits(s string, base, width int) (n, used int) {
	for used < width && used < len(s) {
		d := strings.IndexByte("0123456789abcdef", s[used]|0x20)
		if s[used] >= '0' && s[used] <= '9' {
			d = int(s[used] - '0')
		}
		if d < 0 || d >= base {
			break
		}
		n = n*base + d
		used++
	}
	return n, used
}
