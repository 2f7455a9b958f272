package text

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func sortStrings(l []string) { slices.Sort(l) }

// split writes pieces of its input to files xaa, xab, ...
func split(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "l:b:n:a:d", "lines/l bytes/b number/n suffix-length/a numeric-suffixes/d additional-suffix= verbose")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	name, prefix := "-", "x"
	if len(o.Args) > 0 {
		name = o.Args[0]
	}
	if len(o.Args) > 1 {
		prefix = o.Args[1]
	}
	r, err := open(p, name)
	if err != nil {
		errorf(p, "cannot open '%s' for reading: %s", name, strerror(err))
		return 1
	}
	defer r.Close() //nolint:errcheck // only read
	data, err := slurp(p, r)
	if err != nil {
		return 1
	}
	for i, part := range pieces(o, data) {
		out := prefix + suffix(i, max(o.Int("a", 2), 1), o.Has("d")) + o.Get("additional-suffix")
		if err := p.M.FS.WriteFile(p.Caller, p.Abs(out), part, 0o666&^p.Umask); err != nil || p.Step(10) != nil {
			errorf(p, "%s: %s", out, strerror(err))
			return 1
		}
	}
	return 0
}

const maxPieces = 10_000

func pieces(o getopt.Opts, data []byte) [][]byte {
	var out [][]byte
	if o.Has("b") || o.Has("n") {
		n, ok := count(o.Get("b"))
		if k := o.Int("n", 0); k > 0 {
			n = int64(len(data)) / int64(k)
			for range k - 1 {
				out, data = append(out, data[:n]), data[n:]
			}
			return append(out, data)
		}
		for ok && n > 0 && len(data) > 0 && len(out) < maxPieces {
			k := min(n, int64(len(data)))
			out, data = append(out, data[:k]), data[k:]
		}
		return out
	}
	per := max(o.Int("l", 1000), 1)
	all := splitLines(append(data, 0))
	all[len(all)-1] = all[len(all)-1][:len(all[len(all)-1])-1]
	for i := 0; i < len(all) && len(out) < maxPieces; i += per {
		if part := slices.Concat(all[i:min(i+per, len(all))]...); len(part) > 0 {
			out = append(out, part)
		}
	}
	return out
}

func suffix(i, width int, numeric bool) string {
	if numeric {
		return fmt.Sprintf("%0*d", width, i)
	}
	b := make([]byte, width)
	for k := width - 1; k >= 0; k-- {
		b[k] = byte('a' + i%26)
		i /= 26
	}
	return string(b)
}

func numfmt(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "d:z", "from= to= suffix= padding= field= header? delimiter/d grouping format= round= from-unit= to-unit= invalid=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	status := 0
	one := func(w string) string {
		v, ok := unscale(w, o.Get("from"))
		if !ok {
			errorf(p, "invalid number: ‘%s’", w)
			status = 2
			return w
		}
		return scale(v, o.Get("to")) + o.Get("suffix")
	}
	if len(o.Args) > 0 {
		for _, a := range o.Args {
			if text := one(a); status == 0 {
				put(p, text+"\n")
			}
		}
		return status
	}
	k := max(o.Int("field", 1), 1)
	lines(p, p.Stdin(), func(l string) bool { //nolint:errcheck // the budget ends it
		f := strings.Fields(l)
		if k <= len(f) {
			l = strings.Replace(l, f[k-1], one(f[k-1]), 1)
		}
		return put(p, l+"\n")
	})
	return status
}

func unscale(s, from string) (float64, bool) {
	base := 1000.0
	if strings.HasPrefix(from, "iec") {
		base = 1024
	}
	mul := 1.0
	s = strings.TrimSuffix(s, "i")
	if n := len(s) - 1; from != "" && from != "none" && n > 0 {
		if k := strings.IndexByte("KMGTPEZY", s[n]); k >= 0 {
			s, mul = s[:n], math.Pow(base, float64(k+1))
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v * mul, err == nil
}

func scale(v float64, to string) string {
	base, unit := 1000.0, ""
	switch to {
	case "iec":
		base = 1024
	case "iec-i":
		base, unit = 1024, "i"
	case "si":
	default:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	k := 0
	for math.Abs(v) >= base && k < 8 {
		v /= base
		k++
	}
	switch {
	case k == 0:
		return strconv.FormatFloat(math.Ceil(v), 'f', -1, 64)
	case v < 10:
		return strconv.FormatFloat(math.Ceil(v*10-1e-9)/10, 'f', 1, 64) + "KMGTPEZY"[k-1:k] + unit
	}
	return strconv.FormatFloat(math.Ceil(v-1e-9), 'f', 0, 64) + "KMGTPEZY"[k-1:k] + unit
}
