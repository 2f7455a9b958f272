package text

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// count reads a number with the suffixes of head and tail.
func count(s string) (int64, bool) {
	mul := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"kB", 1000}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"K", 1 << 10}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"b", 512}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, mul = rest, u.n
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64)
	if err == nil && mul > 1 && (n > 1<<62/mul || n < -(1<<62)/mul) {
		return 1 << 62, true
	}
	return n * mul, err == nil
}

// oldStyle turns -8 into -n 8 and -8c into -c 8.
func oldStyle(args []string) []string {
	for i, a := range args {
		if i > 0 && (args[i-1] == "-n" || args[i-1] == "-c" || args[i-1] == "--lines" || args[i-1] == "--bytes") {
			continue
		}
		if len(a) < 2 || a[0] != '-' || a[1] < '0' || a[1] > '9' {
			continue
		}
		digits := strings.TrimRight(a[1:], "cfqvbkm")
		flags := a[1+len(digits):]
		opt := "-n"
		if strings.Contains(flags, "c") {
			opt, flags = "-c", strings.ReplaceAll(flags, "c", "")
		}
		out := append(append([]string{}, args[:i]...), opt, digits)
		if flags != "" {
			out = append(out, "-"+flags)
		}
		return append(out, args[i+1:]...)
	}
	return args
}

// amount reads -c or -n of head and tail; ok is false after an error text.
func amount(p *kernel.Proc, o getopt.Opts) (n int64, inBytes bool, text string, ok bool) {
	unit := o.Last("c", "n")
	if unit == "" {
		return 10, false, "", true
	}
	v := o.Get(unit)
	n, ok = count(v)
	if !ok {
		errorf(p, "invalid number of %s: ‘%s’", map[string]string{"c": "bytes", "n": "lines"}[unit], v)
	}
	return n, unit == "c", v, ok
}

func head(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(oldStyle(p.Args[1:]), "n:c:qvz", "lines/n bytes/c quiet/q silent/q verbose/v zero-terminated/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	n, inBytes, text, ok := amount(p, o)
	if !ok {
		return 1
	}
	fromEnd := strings.HasPrefix(text, "-")
	first := true
	return ends(p, o, func(name string, r io.Reader) error {
		banner(p, o, name, &first)
		switch {
		case fromEnd:
			return allBut(p, r, -n, inBytes)
		case inBytes:
			return copyN(p, r, n)
		case n == 0:
			return nil
		}
		left := n
		return rawLines(p, r, func(l string) bool { left--; return put(p, l) && left > 0 })
	})
}

// ends is each with the error text of head and tail.
func ends(p *kernel.Proc, o getopt.Opts, fn func(name string, r io.Reader) error) int {
	names := o.Args
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, n := range names {
		r, err := open(p, n)
		if err != nil {
			if strerror(err) == "Is a directory" {
				errorf(p, "error reading '%s': %s", n, strerror(err))
			} else {
				errorf(p, "cannot open '%s' for reading: %s", n, strerror(err))
			}
			status = 1
			continue
		}
		if fn(n, r) != nil {
			status = 1
		}
		r.Close() //nolint:errcheck // only read
	}
	return status
}

func copyN(p *kernel.Proc, r io.Reader, n int64) error {
	buf := make([]byte, 32<<10)
	for left := n; left > 0; {
		k, err := r.Read(buf[:min(left, int64(len(buf)))])
		if k > 0 && !put(p, string(buf[:k])) || p.Step(1+int64(k)/4096) != nil {
			return vfs.EPIPE
		}
		left -= int64(k)
		if err != nil || k == 0 {
			return nil //nolint:nilerr // the end of the input
		}
	}
	return nil
}

func allBut(p *kernel.Proc, r io.Reader, n int64, inBytes bool) error {
	data, err := slurp(p, r)
	if err != nil {
		return err
	}
	if inBytes {
		put(p, string(data[:max(0, int64(len(data))-n)]))
		return nil
	}
	all := splitLines(data)
	put(p, string(bytes.Join(all[:max(0, int64(len(all))-n)], nil)))
	return nil
}

// splitLines keeps the newlines; a last line without one counts.
func splitLines(data []byte) [][]byte {
	all := bytes.SplitAfter(data, []byte("\n"))
	if len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return all
}

func banner(p *kernel.Proc, o getopt.Opts, name string, first *bool) {
	if len(o.Args) > 1 && !o.Has("q") || o.Has("v") {
		if !*first {
			put(p, "\n")
		}
		if name == "-" {
			name = "standard input"
		}
		put(p, "==> "+name+" <==\n")
	}
	*first = false
}

func tail(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(oldStyle(p.Args[1:]), "n:c:qvfFs:z", "lines/n bytes/c quiet/q silent/q verbose/v follow?/ retry pid= sleep-interval/s zero-terminated/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	n, inBytes, text, ok := amount(p, o)
	if !ok {
		return 1
	}
	if strings.HasPrefix(text, "-") {
		n = -n
	}
	from := strings.HasPrefix(text, "+")
	first := true
	status := ends(p, o, func(name string, r io.Reader) error {
		banner(p, o, name, &first)
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		if inBytes {
			put(p, string(data[edge(len(data), n, from):]))
			return nil
		}
		all := splitLines(data)
		put(p, string(bytes.Join(all[edge(len(all), n, from):], nil)))
		return nil
	})
	if o.Has("f", "F", "follow") && status == 0 {
		<-ctx.Done()
	}
	return status
}

// edge is where tail begins among size units.
func edge(size int, n int64, from bool) int64 {
	if from {
		return min(max(n-1, 0), int64(size))
	}
	return max(0, int64(size)-n)
}

func wc(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "lwcmL", "lines/l words/w bytes/c chars/m max-line-length/L total=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if !o.Has("l", "w", "c", "m", "L") {
		o.Set("l", "")
		o.Set("w", "")
		o.Set("c", "")
	}
	w := &counter{p: p, o: o, width: 1}
	if len(o.Args) == 0 && o.Len() > 1 {
		w.width = 7
		if h, ok := p.FDs[0]; ok && h.Handle != nil && h.Handle.Stat().Kind == vfs.File {
			w.width = len(strconv.FormatInt(h.Handle.Stat().Size, 10))
		}
	}
	if len(o.Args) > 0 {
		w.measure(o.Args)
	}
	var total tally
	status := each(p, o.Args, func(name string, r io.Reader) error {
		t, err := w.count(r)
		if err != nil {
			return err
		}
		total.add(t)
		if len(o.Args) == 0 {
			name = ""
		}
		w.show(t, name)
		return nil
	})
	if len(o.Args) > 1 {
		w.show(total, "total")
	}
	return status
}

type tally struct{ lines, words, bytes, chars, longest int64 }

func (t *tally) add(u tally) {
	t.lines, t.words, t.bytes, t.chars = t.lines+u.lines, t.words+u.words, t.bytes+u.bytes, t.chars+u.chars
	t.longest = max(t.longest, u.longest)
}

type counter struct {
	p     *kernel.Proc
	o     getopt.Opts
	width int
}

// measure sets the column's width by the sizes of the files, as wc does.
func (w *counter) measure(names []string) {
	if len(names) == 1 && w.o.Len() == 1 {
		return
	}
	total := int64(0)
	for _, n := range names {
		in, err := w.p.M.FS.Stat(w.p.Caller, w.p.Abs(n))
		if f := w.p.FDs[0]; n == "-" && f != nil && f.Handle != nil {
			in, err = f.Handle.Stat(), nil
		}
		switch {
		case n == "-" && err != nil || err == nil && in.Kind != vfs.File:
			w.width = 7
		case err == nil:
			total += in.Size
		}
	}
	w.width = max(w.width, len(strconv.FormatInt(total, 10)))
}

func (w *counter) show(t tally, name string) {
	var f []string
	for _, x := range []struct {
		k string
		v int64
	}{{"l", t.lines}, {"w", t.words}, {"m", t.chars}, {"c", t.bytes}, {"L", t.longest}} {
		if w.o.Has(x.k) {
			f = append(f, fmt.Sprintf("%*d", w.width, x.v))
		}
	}
	if name != "" {
		f = append(f, name)
	}
	put(w.p, strings.Join(f, " ")+"\n")
}

func (w *counter) count(r io.Reader) (tally, error) {
	var t tally
	in, col := false, int64(0)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			space := b == ' ' || b >= 9 && b <= 13
			switch {
			case b == '\n':
				t.lines++
				t.longest, col = max(t.longest, col), 0
			case b == '\t':
				col = (col + 8) &^ 7
			case b&0xc0 != 0x80 && b >= 32:
				col++
			}
			if b&0xc0 != 0x80 {
				t.chars++
			}
			if !space && !in {
				t.words++
			}
			in = !space
		}
		t.bytes += int64(n)
		if e := w.p.Step(1 + int64(n)/1024); e != nil {
			return t, e
		}
		if err != nil || n == 0 {
			t.longest = max(t.longest, col)
			return t, nil //nolint:nilerr // an end is an end
		}
	}
}
