package text

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func nl(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "b:w:s:v:n:i:", "body-numbering/b number-width/w number-separator/s starting-line-number/v number-format/n line-increment/i")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	n, step, width, sep := o.Int("v", 1), o.Int("i", 1), min(o.Int("w", 6), 1000), "\t"
	if o.Has("s") {
		sep = o.Get("s")
	}
	form := "%*d"
	switch o.Get("n") {
	case "ln":
		form = "%-*d"
	case "rz":
		form = "%0*d"
	}
	return each(p, o.Args, func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if l == "" && o.Get("b") != "a" || o.Get("b") == "n" {
				return put(p, strings.Repeat(" ", width+len(sep))+l+"\n")
			}
			l = fmt.Sprintf(form, width, n) + sep + l
			n += step
			return put(p, l+"\n")
		})
	})
}

func fold(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0][1] >= '0' && args[0][1] <= '9' {
		args = append([]string{"-w", args[0][1:]}, args[1:]...)
	}
	o := getopt.Parse(args, "w:sb", "width/w spaces/s bytes/b")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	width := 80
	if o.Has("w") {
		if width = o.Int("w", 0); width <= 0 {
			errorf(p, "invalid number of columns: ‘%s’: Numerical result out of range", o.Get("w"))
			return 1
		}
	}
	return each(p, o.Args, func(_ string, r io.Reader) error {
		return rawLines(p, r, func(l string) bool {
			body, nl := strings.CutSuffix(l, "\n")
			for len(body) > width {
				at := width
				if i := strings.LastIndexAny(body[:width], " \t"); o.Has("s") && i >= 0 {
					at = i + 1
				}
				if !put(p, body[:at]+"\n") {
					return false
				}
				body = body[at:]
			}
			if nl {
				body += "\n"
			}
			return put(p, body)
		})
	})
}

// fmtCmd fills paragraphs greedily up to the goal width.
func fmtCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "w:sutc", "width/w split-only/s uniform-spacing/u")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	width := o.Int("w", 75)
	var words []string
	flush := func() {
		line := ""
		for _, w := range words {
			if line != "" && len(line)+1+len(w) > width {
				put(p, line+"\n")
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += w
		}
		if line != "" {
			put(p, line+"\n")
		}
		words = nil
	}
	st := each(p, o.Args, func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			if strings.TrimSpace(l) == "" {
				flush()
				return put(p, "\n")
			}
			words = append(words, strings.Fields(l)...)
			return len(words) < 1<<18
		})
	})
	flush()
	return st
}

func expand(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "it:a", "initial/i tabs/t all/a first-only")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	stop := min(max(o.Int("t", 8), 1), 1000)
	back := getopt.Base(p.Args[0]) == "unexpand"
	return each(p, o.Args, func(_ string, r io.Reader) error {
		return rawLines(p, r, func(l string) bool {
			if back {
				body := strings.TrimLeft(l, " ")
				n := len(l) - len(body)
				return put(p, strings.Repeat("\t", n/stop)+strings.Repeat(" ", n%stop)+body)
			}
			var b strings.Builder
			col := 0
			for _, c := range l {
				if c == '\t' {
					n := stop - col%stop
					b.WriteString(strings.Repeat(" ", n))
					col += n
					continue
				}
				b.WriteRune(c)
				col++
			}
			return put(p, b.String())
		})
	})
}

func seq(_ context.Context, p *kernel.Proc) int {
	var args []string // negative numbers are no options
	letters := p.Args[1:]
	for i, a := range letters {
		if a[:min(len(a), 1)] != "-" && (i == 0 || letters[i-1] != "-f" && letters[i-1] != "-s") {
			break
		}
		if len(a) > 1 && a[0] == '-' && (a[1] >= '0' && a[1] <= '9' || a[1] == '.') {
			args = append(append(append([]string{}, letters[:i]...), "--"), letters[i:]...)
			break
		}
	}
	if args == nil {
		args = letters
	}
	o := getopt.Parse(args, "+s:wf:", "separator/s equal-width/w format/f")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		errorf(p, "missing operand")
		return getopt.Hint(p, 1)
	}
	if len(o.Args) > 3 {
		errorf(p, "extra operand ‘%s’", o.Args[3])
		return getopt.Hint(p, 1)
	}
	nums := make([]float64, len(o.Args))
	places := 0
	for i, a := range o.Args {
		f, err := strconv.ParseFloat(a, 64)
		if err != nil {
			errorf(p, "invalid floating point argument: ‘%s’", a)
			return getopt.Hint(p, 1)
		}
		nums[i] = f
		if _, frac, dot := strings.Cut(a, "."); dot && (i < len(o.Args)-1 || len(o.Args) == 1) {
			places = max(places, len(frac))
		}
	}
	from, step, to := 1.0, 1.0, nums[len(nums)-1]
	if len(nums) > 1 {
		from = nums[0]
	}
	if len(nums) > 2 {
		if step = nums[1]; step == 0 {
			errorf(p, "invalid Zero increment value: ‘%s’", o.Args[1])
			return getopt.Hint(p, 1)
		}
	}
	return countUp(p, o, [3]float64{from, step, to}, places)
}

func countUp(p *kernel.Proc, o getopt.Opts, n [3]float64, places int) int {
	sep := "\n"
	if o.Has("s") {
		sep = o.Get("s")
	}
	show := func(v float64) string { return strconv.FormatFloat(v, 'f', places, 64) }
	width := 0
	if o.Has("w") {
		width = max(len(show(n[0])), len(show(n[2])))
	}
	form := o.Get("f")
	var b strings.Builder
	some := false
	for i := 0; ; i++ {
		v := n[0] + float64(i)*n[1]
		if n[1] > 0 && v > n[2]+1e-10 || n[1] < 0 && v < n[2]-1e-10 || p.Step(1) != nil {
			break
		}
		if some {
			b.WriteString(sep)
		}
		some = true
		switch s := show(v); {
		case form != "" && strings.Count(form, "%") == 1 && strings.ContainsAny(form, "efgEFG") && len(form) < 100:
			fmt.Fprintf(&b, form, v)
		case len(s) < width:
			sign := ""
			if s[0] == '-' {
				sign, s = "-", s[1:]
			}
			b.WriteString(sign + strings.Repeat("0", width-len(sign)-len(s)) + s)
		default:
			b.WriteString(s)
		}
		if b.Len() > 4096 {
			if !put(p, b.String()) {
				return 141
			}
			b.Reset()
		}
	}
	if some {
		b.WriteString("\n")
	}
	put(p, b.String())
	return 0
}

func factor(_ context.Context, p *kernel.Proc) int {
	words := p.Args[1:]
	if len(words) == 0 {
		lines(p, p.Stdin(), func(l string) bool { words = append(words, strings.Fields(l)...); return len(words) < 10_000 }) //nolint:errcheck // the budget ends it
	}
	status := 0
	for _, w := range words {
		n, err := strconv.ParseUint(strings.TrimPrefix(w, "+"), 10, 64)
		if err != nil {
			errorf(p, "‘%s’ is not a valid positive integer", w)
			status = 1
			continue
		}
		var line strings.Builder
		line.WriteString(strconv.FormatUint(n, 10) + ":")
		for d := uint64(2); n > 1; d++ {
			if d*d > n || d > 1<<32-2 {
				d = n
			}
			for n%d == 0 {
				line.WriteString(" " + strconv.FormatUint(d, 10))
				n /= d
			}
			if d&0x3fff == 0 && p.Step(8) != nil {
				return 137
			}
		}
		put(p, line.String()+"\n")
	}
	return status
}

func shuf(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "ei:n:o:rz", "echo/e input-range/i head-count/n output/o repeat/r random-source=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	var all []string
	switch {
	case o.Has("e"):
		all = o.Args
	case o.Has("i"):
		lo, hi, ok := strings.Cut(o.Get("i"), "-")
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if !ok || err1 != nil || err2 != nil || b < a-1 {
			errorf(p, "invalid input range: ‘%s’", o.Get("i"))
			return 1
		}
		for i := a; i <= b && len(all) < 1<<18 && p.Step(1) == nil; i++ {
			all = append(all, strconv.Itoa(i))
		}
	default:
		if st := each(p, o.Args[:min(len(o.Args), 1)], func(_ string, r io.Reader) error {
			return lines(p, r, func(l string) bool { all = append(all, l); return len(all) < 1<<20 })
		}); st != 0 {
			return st
		}
	}
	for i := len(all) - 1; i > 0; i-- {
		j := p.M.Rand.IntN(i + 1)
		all[i], all[j] = all[j], all[i]
	}
	n := o.Int("n", len(all))
	for _, l := range all[:min(max(n, 0), len(all))] {
		put(p, l+"\n")
	}
	return 0
}
