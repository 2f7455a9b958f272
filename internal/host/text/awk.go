package text

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
)

// awk runs the one-liners that visitors use: patterns, print, printf, fields,
// variables, arithmetic, comparisons, string functions. What it does not know
// is a syntax error, as a wrong program is.
func awk(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "F:v:f:", "version/W")
	if len(o.args) == 0 {
		fmt.Fprint(p.Stderr(), "usage: mawk [Options] [Program] [file ...]\n") //nolint:errcheck // the visitor's own stderr
		return 2
	}
	a := &awkRun{p: p, vars: map[string]string{"FS": " ", "OFS": " ", "ORS": "\n", "NR": "0", "NF": "0"}}
	if o.has("F") {
		a.vars["FS"] = strings.ReplaceAll(o.get("F"), `\t`, "\t")
	}
	if v := o.get("v"); v != "" {
		name, val, _ := strings.Cut(v, "=")
		a.vars[name] = val
	}
	rules, err := awkParse(o.args[0])
	if err != nil {
		fmt.Fprintf(p.Stderr(), "mawk: line 1: syntax error at or near %s\n", err) //nolint:errcheck // the visitor's own stderr
		return 2
	}
	for _, r := range rules {
		if r.when == "BEGIN" {
			a.exec(r.stmts)
		}
	}
	status := 0
	if needsInput(rules) {
		n := 0
		status = each(p, o.args[1:], func(_ string, r io.Reader) error {
			fnr := 0
			return lines(p, r, func(l string) bool {
				n++
				fnr++
				a.vars["NR"], a.vars["FNR"] = strconv.Itoa(n), strconv.Itoa(fnr)
				a.record(l)
				for i := range rules {
					if a.hit(&rules[i]) {
						a.exec(rules[i].stmts)
					}
					if a.next || a.exit {
						break
					}
				}
				a.next = false
				return !a.exit && !a.broken
			})
		})
	}
	for _, r := range rules {
		if r.when == "END" {
			a.exec(r.stmts)
		}
	}
	return status
}

type awkRule struct {
	when  string // pattern, BEGIN, END, "" for every record
	stmts []string
}

func needsInput(rules []awkRule) bool {
	for _, r := range rules {
		if r.when != "BEGIN" {
			return true
		}
	}
	return false
}

type awkRun struct {
	p                  *kernel.Proc
	vars               map[string]string
	line               string
	fields             []string
	next, exit, broken bool
	depth              int
}

func (a *awkRun) record(l string) {
	a.line = l
	fs := a.vars["FS"]
	switch {
	case fs == " ":
		a.fields = strings.Fields(l)
	case len(fs) == 1:
		a.fields = strings.Split(l, fs)
	default:
		if re, err := compile(fs, true, false, false, false); err == nil {
			a.fields = re.Split(l, -1)
		}
	}
	if l == "" {
		a.fields = nil
	}
	a.vars["NF"] = strconv.Itoa(len(a.fields))
}

// awkParse splits a program into rules and their statements.
func awkParse(s string) ([]awkRule, error) {
	var out []awkRule
	for s = strings.TrimLeft(s, " \t\n;"); s != ""; s = strings.TrimLeft(s, " \t\n;") {
		i := outside(s, "{")
		var r awkRule
		if i < 0 {
			r.when, r.stmts, s = strings.TrimSpace(s), []string{"print"}, ""
			out = append(out, r)
			continue
		}
		r.when = strings.TrimSpace(s[:i])
		j := blockEnd(s, i)
		if j < 0 {
			return nil, fmt.Errorf("end of line")
		}
		for st := range splitOutside(s[i+1:j], ";\n") {
			if st = strings.TrimSpace(st); st != "" {
				r.stmts = append(r.stmts, st)
			}
		}
		s = s[j+1:]
		out = append(out, r)
	}
	return out, nil
}

// outside is the index of the first byte of set outside quotes, regexes and parentheses.
func outside(s, set string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '/' && (i == 0 || strings.IndexByte("(,~!&|;{ ", s[i-1]) >= 0 && strings.IndexByte(s[i+1:], '/') >= 0):
			quote = c
		case depth == 0 && strings.IndexByte(set, c) >= 0:
			return i
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		}
	}
	return -1
}

func blockEnd(s string, i int) int {
	if j := outside(s[i+1:], "}"); j >= 0 {
		return i + 1 + j
	}
	return -1
}

func splitOutside(s, set string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := outside(s, set)
			if i < 0 {
				yield(s)
				return
			}
			if !yield(s[:i]) {
				return
			}
			s = s[i+1:]
		}
	}
}

func (a *awkRun) hit(r *awkRule) bool {
	switch r.when {
	case "BEGIN", "END":
		return false
	case "":
		return true
	}
	return awkTrue(a.eval(r.when))
}

func awkTrue(v string) bool {
	if f, err := strconv.ParseFloat(v, 64); err == nil {
		return f != 0
	}
	return v != ""
}

func (a *awkRun) exec(stmts []string) {
	for _, st := range stmts {
		if a.p.Step(4) != nil || a.exit || a.next || a.broken {
			return
		}
		a.stmt(st)
	}
}

func (a *awkRun) stmt(st string) {
	word := st
	if i := strings.IndexFunc(st, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }); i >= 0 {
		word = st[:i]
	}
	rest := strings.TrimSpace(st[len(word):])
	switch word {
	case "print":
		a.print(rest)
	case "printf":
		rest = unparen(rest)
		var args []string
		for x := range splitOutside(rest, ",") {
			args = append(args, a.eval(x))
		}
		if len(args) > 0 {
			out, _ := shell.Printf(args[0], args[1:], a.p.Now(), func() bool { return false })
			a.broken = !put(a.p, out)
		}
	case "next":
		a.next = true
	case "exit":
		a.exit = true
	case "if":
		i := closeParen(rest)
		if i < 0 {
			return
		}
		if awkTrue(a.eval(rest[1:i])) {
			a.block(rest[i+1:])
		}
	default:
		a.eval(st)
	}
}

func (a *awkRun) block(s string) {
	if a.depth++; a.depth > 32 {
		a.depth--
		return
	}
	defer func() { a.depth-- }()
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "{") {
		s = strings.TrimSuffix(s[1:], "}")
	}
	for st := range splitOutside(s, ";\n") {
		if st = strings.TrimSpace(st); st != "" {
			a.exec([]string{st})
		}
	}
}

func unparen(s string) string {
	if strings.HasPrefix(s, "(") && closeParen(s) == len(s)-1 {
		return s[1 : len(s)-1]
	}
	return s
}

func closeParen(s string) int {
	if !strings.HasPrefix(s, "(") {
		return -1
	}
	if j := outside(s[1:], ")"); j >= 0 {
		return j + 1
	}
	return -1
}

func (a *awkRun) print(rest string) {
	rest = unparen(rest)
	if rest == "" {
		a.broken = !put(a.p, a.line+a.vars["ORS"])
		return
	}
	var out []string
	for x := range splitOutside(rest, ",") {
		out = append(out, a.eval(x))
	}
	a.broken = !put(a.p, strings.Join(out, a.vars["OFS"])+a.vars["ORS"])
}

var (
	awkAssign = regexp.MustCompile(`^([A-Za-z_]\w*|\$\d+)\s*([-+*/%]?=)([^=~].*)$`)
	awkName   = regexp.MustCompile(`^[A-Za-z_]\w*$`)
	awkCall   = regexp.MustCompile(`^([a-z]+)\((.*)\)$`)
	awkIncr   = regexp.MustCompile(`^([A-Za-z_]\w*)(\+\+|--)$`)
)

// eval computes one expression.
func (a *awkRun) eval(s string) string {
	s = strings.TrimSpace(s)
	if a.depth++; a.depth > 64 || a.p.Step(1) != nil {
		a.depth--
		return ""
	}
	defer func() { a.depth-- }()
	if s == "" {
		return ""
	}
	if m := awkIncr.FindStringSubmatch(s); m != nil {
		old := a.vars[m[1]]
		d := map[string]float64{"++": 1, "--": -1}[m[2]]
		a.vars[m[1]] = number(leading(old) + d)
		return old
	}
	if m := awkAssign.FindStringSubmatch(s); m != nil {
		return a.assign(m[1], m[2], m[3])
	}
	for _, ops := range [][]string{{"||"}, {"&&"}, {"!~", "~"}, {"==", "!=", "<=", ">=", "<", ">"}} {
		if x, op, y, ok := splitOp(s, ops); ok {
			return a.logic(x, op, y)
		}
	}
	if parts := juxtaposed(s); len(parts) > 1 {
		out := ""
		for _, x := range parts {
			out += a.eval(x)
		}
		return out
	}
	for _, ops := range [][]string{{"+", "-"}, {"*", "/", "%"}} {
		if x, op, y, ok := splitLast(s, ops); ok {
			return arith(leading(a.eval(x)), op, leading(a.eval(y)))
		}
	}
	return a.primary(s)
}

func (a *awkRun) assign(name, op, expr string) string {
	v := a.eval(expr)
	if op != "=" {
		v = arith(leading(a.eval(name)), op[:1], leading(v))
	}
	if strings.HasPrefix(name, "$") {
		n, _ := strconv.Atoi(name[1:]) //nolint:errcheck // digits
		if n > 0 && n <= 10_000 {
			for len(a.fields) < n {
				a.fields = append(a.fields, "")
			}
			a.fields[n-1] = v
			a.line = strings.Join(a.fields, a.vars["OFS"])
		}
		return v
	}
	if len(a.vars) < 10_000 {
		a.vars[name] = v
	}
	return v
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

func arith(x float64, op string, y float64) string {
	var f float64
	switch op {
	case "+":
		f = x + y
	case "-":
		f = x - y
	case "*":
		f = x * y
	case "/":
		if y == 0 {
			return "inf"
		}
		f = x / y
	case "%":
		if int64(y) == 0 {
			return "nan"
		}
		f = float64(int64(x) % int64(y))
	}
	if f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return number(f)
}

func splitOp(s string, ops []string) (x, op, y string, ok bool) {
	for i := range s {
		for _, o := range ops {
			if strings.HasPrefix(s[i:], o) && i > 0 && outside(s[:i]+"\x01", "\x01") == i {
				return s[:i], o, s[i+len(o):], true
			}
		}
	}
	return "", "", "", false
}

func splitLast(s string, ops []string) (x, op, y string, ok bool) {
	for i := len(s) - 1; i > 0; i-- {
		for _, o := range ops {
			if s[i:i+1] == o && strings.IndexByte("+-*/%(,", s[i-1]) < 0 && outside(s[:i]+"\x01", "\x01") == i {
				return s[:i], o, s[i+1:], true
			}
		}
	}
	return "", "", "", false
}

// juxtaposed splits a concatenation: terms with only blanks between them.
func juxtaposed(s string) []string {
	var out []string
	for s != "" {
		n := term(s)
		if n == 0 {
			return nil
		}
		out = append(out, s[:n])
		s = strings.TrimLeft(s[n:], " \t")
		if s != "" && strings.IndexByte("+-*/%^?:", s[0]) >= 0 {
			return nil
		}
	}
	return out
}

// term is the length of the term that s begins with.
func term(s string) int {
	switch c := s[0]; {
	case c == '"':
		for i := 1; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '"' {
				return i + 1
			}
		}
		return 0
	case c == '(':
		return closeParen(s) + 1
	case c == '$':
		if len(s) == 1 {
			return 0
		}
		return 1 + term(s[1:])
	}
	i := 0
	for i < len(s) && (s[i] == '_' || s[i] == '.' || s[i] >= '0' && s[i] <= '9' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z') {
		i++
	}
	if i > 0 && i < len(s) && s[i] == '(' {
		if j := closeParen(s[i:]); j > 0 {
			return i + j + 1
		}
		return 0
	}
	return i
}

func (a *awkRun) logic(x, op, y string) string {
	b := func(v bool) string {
		if v {
			return "1"
		}
		return "0"
	}
	switch op {
	case "||":
		return b(awkTrue(a.eval(x)) || awkTrue(a.eval(y)))
	case "&&":
		return b(awkTrue(a.eval(x)) && awkTrue(a.eval(y)))
	case "~", "!~":
		y = strings.TrimSpace(y)
		pat := strings.Trim(y, "/")
		if !strings.HasPrefix(y, "/") {
			pat = a.eval(y)
		}
		re, err := compile(pat, true, false, false, false)
		return b(err == nil && re.MatchString(a.eval(x)) == (op == "~"))
	}
	u, v := a.eval(x), a.eval(y)
	f, e1 := strconv.ParseFloat(u, 64)
	g, e2 := strconv.ParseFloat(v, 64)
	c := strings.Compare(u, v)
	if e1 == nil && e2 == nil {
		c = 0
		if f < g {
			c = -1
		} else if f > g {
			c = 1
		}
	}
	switch op {
	case "==":
		return b(c == 0)
	case "!=":
		return b(c != 0)
	case "<":
		return b(c < 0)
	case "<=":
		return b(c <= 0)
	case ">":
		return b(c > 0)
	}
	return b(c >= 0)
}

func (a *awkRun) primary(s string) string {
	switch {
	case s[0] == '"' && len(s) > 1:
		out, _ := shell.Printf(strings.ReplaceAll(s[1:len(s)-1], "%", "%%"), nil, a.p.Now(), func() bool { return false })
		return out
	case s[0] == '/' && len(s) > 1 && strings.HasSuffix(s, "/"):
		re, err := compile(s[1:len(s)-1], true, false, false, false)
		if err == nil && re.MatchString(a.line) {
			return "1"
		}
		return "0"
	case s[0] == '(':
		return a.eval(unparen(s))
	case s[0] == '!':
		if awkTrue(a.eval(s[1:])) {
			return "0"
		}
		return "1"
	case s[0] == '-':
		return arith(0, "-", leading(a.eval(s[1:])))
	case s[0] == '$' && len(s) > 1:
		n := int(leading(a.eval(s[1:])))
		switch {
		case n == 0:
			return a.line
		case n > 0 && n <= len(a.fields):
			return a.fields[n-1]
		}
		return ""
	}
	if m := awkCall.FindStringSubmatch(s); m != nil {
		return a.call(m[1], m[2])
	}
	if awkName.MatchString(s) {
		return a.vars[s]
	}
	return s
}

func (a *awkRun) call(name, list string) string {
	var args []string
	for x := range splitOutside(list, ",") {
		args = append(args, x)
	}
	arg := func(i int) string {
		if i < len(args) {
			return a.eval(args[i])
		}
		return ""
	}
	switch name {
	case "length":
		if list == "" {
			return strconv.Itoa(len(a.line))
		}
		return strconv.Itoa(len(arg(0)))
	case "toupper":
		return strings.ToUpper(arg(0))
	case "tolower":
		return strings.ToLower(arg(0))
	case "int":
		return strconv.FormatInt(int64(leading(arg(0))), 10)
	case "index":
		return strconv.Itoa(strings.Index(arg(0), arg(1)) + 1)
	case "substr":
		v := arg(0)
		from := max(int(leading(arg(1))), 1)
		n := len(v)
		if len(args) > 2 {
			n = int(leading(arg(2)))
		}
		if from > len(v) || n <= 0 {
			return ""
		}
		return v[from-1 : min(from-1+n, len(v))]
	case "sprintf":
		var rest []string
		for i := 1; i < len(args); i++ {
			rest = append(rest, arg(i))
		}
		out, _ := shell.Printf(arg(0), rest, a.p.Now(), func() bool { return false })
		return out
	}
	return ""
}
