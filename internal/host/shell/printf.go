package shell

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/strftime"
)

const maxPrintf = 1 << 20 // bytes of output; widths are cut to it

// Printf is printf(1): the format is used again until the arguments are used
// up. now is the time for %(...)T. warn holds one text for each argument that is no number. more is asked
// before each round; false ends it.
func Printf(format string, args []string, now time.Time, more func() bool) (out string, warn []string) {
	p := printer{args: args, now: now}
	for {
		used := p.i
		p.round(format)
		if p.stop || p.i >= len(p.args) || p.i == used || p.b.Len() > maxPrintf || !more() {
			return p.b.String(), p.warn
		}
	}
}

type printer struct {
	b    strings.Builder
	args []string
	i    int
	stop bool
	now  time.Time
	warn []string
}

func (p *printer) next() string {
	if p.i < len(p.args) {
		p.i++
		return p.args[p.i-1]
	}
	return ""
}

func (p *printer) round(f string) {
	for i := 0; i < len(f) && !p.stop; i++ {
		switch f[i] {
		case '\\':
			j := i + 1
			for j < len(f) && f[j] != '\\' && f[j] != '%' && j-i < 10 {
				j++
			}
			if j == i+1 && j < len(f) {
				j++
			}
			text, stop := printfEscape(f[i:j])
			p.b.WriteString(text)
			p.stop = stop
			i = j - 1
		case '%':
			i = p.verb(f, i+1)
		default:
			p.b.WriteByte(f[i])
		}
	}
}

// printfEscape decodes escapes of a format: octal without the leading 0 too.
func printfEscape(s string) (string, bool) {
	if strings.Contains(s, `\c`) {
		return s[:strings.Index(s, `\c`)], true
	}
	out, _ := unescape(strings.ReplaceAll(s, `\"`, `"`), false)
	return out, false
}

// date is %(form)T, whose bracket stands at i.
func (p *printer) date(spec, f string, i int) int {
	end := strings.Index(f[i:], ")T")
	if end < 0 {
		p.warn = append(p.warn, "`(': invalid format character")
		p.stop = true
		return i
	}
	form := f[i+1 : i+end]
	at := p.now
	if a := p.next(); a != "" && a != "-1" && a != "-2" {
		n, _ := strconv.ParseInt(a, 10, 64)
		at = time.Unix(n, 0)
	}
	fmt.Fprintf(&p.b, spec+"s", strftime.Format(form, at.UTC()))
	return i + end + 1
}

func (p *printer) verb(f string, i int) int {
	start := i
	spec := "%"
	for i < len(f) && strings.IndexByte("-+ #0123456789.*'", f[i]) >= 0 {
		if f[i] == '*' {
			n, _ := strconv.Atoi(p.next())
			spec += strconv.Itoa(min(n, maxPrintf))
		} else {
			spec += string(f[i])
		}
		i++
	}
	for i < len(f) && (f[i] == 'l' || f[i] == 'h' || f[i] == 'L' || f[i] == 'z') {
		i++
	}
	if i >= len(f) {
		p.b.WriteString("%" + f[start:])
		return i
	}
	if len(spec) > 12 {
		spec = spec[:12]
	}
	width := strings.TrimLeft(strings.TrimLeft(spec[1:], "-+ #0"), "")
	if w, _, _ := strings.Cut(width, "."); len(w) > 6 {
		spec = "%"
	}
	switch f[i] {
	case '(':
		return p.date(spec, f, i)
	case '%':
		p.b.WriteByte('%')
	case 's':
		fmt.Fprintf(&p.b, spec+"s", p.next())
	case 'b':
		text, stop := unescape(p.next(), true)
		fmt.Fprintf(&p.b, spec+"s", text)
		p.stop = stop
	case 'q':
		fmt.Fprintf(&p.b, spec+"s", quoteArg(p.next()))
	case 'c':
		v := p.next()
		fmt.Fprintf(&p.b, spec+"s", v[:min(len(v), 1)])
	case 'd', 'i':
		fmt.Fprintf(&p.b, spec+"d", p.number())
	case 'u':
		fmt.Fprintf(&p.b, spec+"d", uint64(p.number()))
	case 'o', 'x', 'X':
		fmt.Fprintf(&p.b, spec+string(f[i]), uint64(p.number()))
	case 'e', 'E', 'f', 'F', 'g', 'G':
		v, err := strconv.ParseFloat(strings.TrimSpace(p.next()), 64)
		if err != nil {
			v = 0
		}
		fmt.Fprintf(&p.b, spec+string(f[i]), v)
	default:
		p.warn = append(p.warn, "`"+string(f[i])+"': invalid format character")
		p.stop = true
	}
	return i
}

func (p *printer) number() int64 {
	if p.i >= len(p.args) {
		return 0
	}
	v := strings.TrimSpace(p.next())
	if v == "" {
		return 0
	}
	if v[0] == '\'' || v[0] == '"' {
		for _, r := range v[1:] {
			return int64(r)
		}
		return 0
	}
	n, ok := number(v)
	if !ok {
		p.warn = append(p.warn, v+": invalid number")
		lead := strings.TrimRight(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._")
		n, _ = number(lead)
	}
	return n
}

// quoteArg is printf %q.
func quoteArg(s string) string {
	if s == "" {
		return "''"
	}
	if p := printable(s); p != s {
		return p
	}
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(" \t\n'\"\\$`&|;()<>*?[]{}~#!", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
