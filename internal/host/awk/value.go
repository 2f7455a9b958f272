package awk

import (
	"math"
	"strconv"
	"strings"
)

// value is a string, a number, or input that looks like a number.
type value struct {
	s     string
	n     float64
	isNum bool
	isStr bool // s is the value; input that looks like a number has both
}

func str(s string) value { return value{s: s, isStr: true} }

func num(f float64) value { return value{n: f, isNum: true} }

func boolean(b bool) value {
	if b {
		return num(1)
	}
	return num(0)
}

// input is a field or a line: a number too when it looks like one.
func input(s string) value {
	v := value{s: s, isStr: true}
	t := strings.Trim(s, " \t\n\r")
	if t != "" && (t[0] >= '0' && t[0] <= '9' || strings.IndexByte("+-.", t[0]) >= 0) && !strings.ContainsAny(t, "xX_pP") {
		if f, err := strconv.ParseFloat(t, 64); err == nil {
			v.n, v.isNum = f, true
		}
	}
	return v
}

func (v value) number() float64 {
	if v.isNum {
		return v.n
	}
	s := strings.TrimLeft(v.s, " \t\n\r")
	i, digits, dot, exp := 0, false, false, false
	for i < len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			digits = true
		case (c == '+' || c == '-') && (i == 0 || exp && s[i-1]|0x20 == 'e'):
		case c == '.' && !dot && !exp:
			dot = true
		case c|0x20 == 'e' && digits && !exp:
			exp = true
		default:
			c = 0
		}
		if c == 0 {
			break
		}
		i++
	}
	for ; i > 0; i-- {
		if f, err := strconv.ParseFloat(s[:i], 64); err == nil {
			return f
		}
	}
	return 0
}

func (v value) text(format string) string {
	if v.isStr || !v.isNum {
		return v.s
	}
	if v.n == math.Trunc(v.n) && math.Abs(v.n) <= 1<<31-1 {
		return strconv.FormatInt(int64(v.n), 10)
	}
	return sprintf(format, []value{v})
}

func (v value) truth() bool {
	if v.isNum {
		return v.n != 0
	}
	return v.s != ""
}

// compare is numeric when both sides are numbers or look like ones.
func compare(a, b value) int {
	aNum, bNum := a.isNum || !a.isStr, b.isNum || !b.isStr
	if aNum && bNum {
		switch {
		case a.n < b.n:
			return -1
		case a.n > b.n:
			return 1
		}
		return 0
	}
	return strings.Compare(a.text("%.6g"), b.text("%.6g"))
}

const maxFormat = 1 << 16 // width of one conversion

// sprintf is C's printf for awk's values.
func sprintf(format string, args []value) string {
	s, _ := format0(format, args)
	return s
}

// format0 is sprintf; short reports that arguments were missing.
func format0(format string, args []value) (text string, short bool) {
	var b strings.Builder
	next := func() value {
		if len(args) == 0 {
			short = true
			return value{}
		}
		v := args[0]
		args = args[1:]
		return v
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 >= len(format) {
			b.WriteByte(format[i])
			continue
		}
		start := i
		i++
		var spec strings.Builder
		spec.WriteString("%")
		for i < len(format) && strings.IndexByte("-+ #0123456789.*lh", format[i]) >= 0 {
			switch c := format[i]; c {
			case '*':
				spec.WriteString(strconv.Itoa(int(min(max(next().number(), -maxFormat), maxFormat))))
			case 'l', 'h':
			default:
				spec.WriteString(string(c))
			}
			i++
		}
		if i >= len(format) || len(spec.String()) > 14 || tooWide(spec.String()) {
			b.WriteString(format[start:min(i+1, len(format))])
			continue
		}
		at := b.Len()
		if conversion(&b, spec.String(), format[i], next); short {
			return b.String()[:at], true
		}
	}
	return b.String(), short
}

func tooWide(spec string) bool {
	for part := range strings.SplitSeq(strings.TrimLeft(spec, "%-+ #0"), ".") {
		if n, err := strconv.Atoi(part); err == nil && n > maxFormat {
			return true
		}
	}
	return false
}
