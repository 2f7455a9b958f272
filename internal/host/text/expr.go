package text

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/regex"
)

// exprRun evaluates the words of expr by precedence: | & comparison + * :.
type exprRun struct {
	p     *kernel.Proc
	args  []string
	i     int
	depth int
	fault string
}

func (e *exprRun) fail(format string, args ...any) {
	if e.fault == "" {
		e.fault = fmt.Sprintf(format, args...)
	}
}

func (e *exprRun) next(ops ...string) string {
	if e.i < len(e.args) && e.fault == "" {
		for _, o := range ops {
			if e.args[e.i] == o {
				e.i++
				return o
			}
		}
	}
	return ""
}

func exprTrue(v string) bool { return v != "" && v != "0" }

func (e *exprRun) or() string {
	v := e.and()
	for e.next("|") != "" {
		if w := e.and(); !exprTrue(v) {
			if v = w; !exprTrue(v) {
				v = "0"
			}
		}
	}
	return v
}

func (e *exprRun) and() string {
	v := e.compare()
	for e.next("&") != "" {
		if w := e.compare(); !exprTrue(v) || !exprTrue(w) {
			v = "0"
		}
	}
	return v
}

func (e *exprRun) compare() string {
	v := e.sum()
	for {
		op := e.next("<", "<=", "=", "==", "!=", ">=", ">")
		if op == "" {
			return v
		}
		w := e.sum()
		c := strings.Compare(v, w)
		if x, ok := bigInt(v); ok {
			if y, ok := bigInt(w); ok {
				c = x.Cmp(y)
			}
		}
		yes := map[string]bool{"<": c < 0, "<=": c <= 0, "=": c == 0, "==": c == 0, "!=": c != 0, ">=": c >= 0, ">": c > 0}[op]
		v = map[bool]string{true: "1", false: "0"}[yes]
	}
}

const maxDigits = 4096 // of a number of expr

func bigInt(s string) (*big.Int, bool) {
	if len(s) > maxDigits || s == "" || strings.HasPrefix(s, "+") {
		return nil, false
	}
	return new(big.Int).SetString(s, 10)
}

func (e *exprRun) numbers(v, w string) (x, y *big.Int, ok bool) {
	x, ok1 := bigInt(v)
	y, ok2 := bigInt(w)
	if !ok1 || !ok2 {
		e.fail("non-integer argument")
	}
	return x, y, ok1 && ok2
}

func (e *exprRun) sum() string {
	v := e.product()
	for {
		op := e.next("+", "-")
		if op == "" {
			return v
		}
		x, y, ok := e.numbers(v, e.product())
		if !ok {
			return ""
		}
		if op == "-" {
			y = y.Neg(y)
		}
		v = x.Add(x, y).String()
	}
}

func (e *exprRun) product() string {
	v := e.match()
	for {
		op := e.next("*", "/", "%")
		if op == "" {
			return v
		}
		x, y, ok := e.numbers(v, e.match())
		switch {
		case !ok:
			return ""
		case op != "*" && y.Sign() == 0:
			e.fail("division by zero")
			return ""
		case op == "*":
			x.Mul(x, y)
		case op == "/":
			x.Quo(x, y)
		default:
			x.Rem(x, y)
		}
		v = x.String()
	}
}

func (e *exprRun) match() string {
	v := e.primary()
	for e.next(":") != "" {
		v = e.regex(v, e.primary())
	}
	return v
}

func (e *exprRun) regex(v, pat string) string {
	re, err := regex.Compile("^"+strings.TrimPrefix(pat, "^"), regex.Options{})
	if err != nil {
		e.fail("Invalid regular expression")
		return ""
	}
	m := re.FindStringSubmatch(v)
	if re.NumSubexp() > 0 {
		if m == nil {
			return ""
		}
		return m[1]
	}
	if m == nil {
		return "0"
	}
	return strconv.Itoa(len([]rune(m[0])))
}

func (e *exprRun) word() string {
	if e.i >= len(e.args) {
		last := "expr"
		if len(e.args) > 0 {
			last = e.args[len(e.args)-1]
		}
		e.fail("syntax error: missing argument after ‘%s’", last)
		return ""
	}
	e.i++
	return e.args[e.i-1]
}

func (e *exprRun) primary() string {
	if e.depth++; e.depth > 200 || e.fault != "" {
		e.fail("syntax error")
		return ""
	}
	defer func() { e.depth-- }()
	w := e.word()
	more := e.i < len(e.args)
	switch {
	case w == "(" && more:
		v := e.or()
		if e.next(")") == "" && e.fault == "" {
			e.fail("syntax error: expecting ')' after ‘%s’", e.args[min(e.i, len(e.args))-1])
		}
		return v
	case w == ")":
		e.fail("syntax error: unexpected ')'")
	case w == "+" && more:
		return e.word()
	case w == "length" && more:
		return strconv.Itoa(len([]rune(e.primary())))
	case w == "match" && more:
		return e.regex(e.primary(), e.primary())
	case w == "index" && more:
		return strconv.Itoa(strings.IndexAny(e.primary(), e.primary()) + 1)
	case w == "substr" && more:
		s := []rune(e.primary())
		from, err1 := strconv.Atoi(e.primary())
		n, err2 := strconv.Atoi(e.primary())
		if err1 != nil || err2 != nil || from < 1 || n < 1 || from > len(s) {
			return ""
		}
		return string(s[from-1 : min(from-1+n, len(s))])
	}
	return w
}
