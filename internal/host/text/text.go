// Package text holds the programs of a fake host that read and write text.
package text

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"cat": cat, "head": head, "tail": tail, "wc": wc, "sort": sortLines, "uniq": uniq, "cut": cut, "tr": tr, "tee": tee,
		"grep": grep, "sed": sed, "awk": awk, "rev": rev, "tac": tac, "nl": nl, "seq": seq, "yes": yes, "base64": base64Cmd,
		"md5sum": sum, "sha1sum": sum, "sha224sum": sum, "sha256sum": sum, "sha384sum": sum, "sha512sum": sum, "od": od, "xxd": xxd, "hexdump": hexdump,
		"strings": stringsCmd, "less": cat, "more": cat, "gunzip": gunzip, "gzip": gzipCmd,
	}
}

// errorf prints "name: text" on standard error.
func errorf(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), base(p.Args[0])+": "+format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

func base(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// strerror is the text of an error of the fake system.
func strerror(err error) string {
	var e vfs.Errno
	if errors.As(err, &e) {
		return e.Error()
	}
	return "Input/output error"
}

// usage reports a wrong option as GNU programs do.
func usage(p *kernel.Proc, opt string) int {
	name := base(p.Args[0])
	if strings.HasPrefix(opt, "--") {
		errorf(p, "unrecognized option '%s'", opt)
	} else {
		errorf(p, "invalid option -- '%s'", strings.TrimPrefix(opt, "-"))
	}
	fmt.Fprintf(p.Stderr(), "Try '%s --help' for more information.\n", name) //nolint:errcheck // the visitor's own stderr
	return 1
}

// opts is a parsed command line.
type opts struct {
	flags map[string]string // "n" -> value, "" for a switch
	args  []string
	bad   string
}

func (o opts) has(names ...string) bool {
	for _, n := range names {
		if _, ok := o.flags[n]; ok {
			return true
		}
	}
	return false
}

func (o opts) get(names ...string) string {
	for _, n := range names {
		if v, ok := o.flags[n]; ok {
			return v
		}
	}
	return ""
}

// parse reads options: spec is the letters, each followed by ':' if it takes
// a value; long lists long names, with a trailing '=' if they take one, and
// "=x" to stand for the letter x.
func parse(args []string, spec, long string) opts {
	o := opts{flags: map[string]string{}}
	names := map[string]string{}
	for f := range strings.FieldsSeq(long) {
		name, letter, _ := strings.Cut(f, "/")
		names[name] = letter
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			o.args = append(o.args, args[i+1:]...)
			return o
		case strings.HasPrefix(a, "--"):
			name, val, has := strings.Cut(a[2:], "=")
			letter, ok := names[name]
			if !ok {
				if o.bad == "" {
					o.bad = a
				}
				continue
			}
			if letter == "" {
				letter = name
			}
			if k := strings.Index(spec, letter+":"); k >= 0 && len(letter) == 1 && !has && i+1 < len(args) {
				i++
				val = args[i]
			}
			o.flags[letter] = val
		case len(a) > 1 && a[0] == '-':
			for j := 1; j < len(a); j++ {
				k := strings.IndexByte(spec, a[j])
				if k < 0 || a[j] == ':' {
					if o.bad == "" {
						o.bad = "-" + a[j:j+1]
					}
					break
				}
				if k+1 >= len(spec) || spec[k+1] != ':' {
					o.flags[a[j:j+1]] = ""
					continue
				}
				val := a[j+1:]
				if val == "" && i+1 < len(args) {
					i++
					val = args[i]
				}
				o.flags[a[j:j+1]] = val
				break
			}
		default:
			o.args = append(o.args, a)
		}
	}
	return o
}

// open opens an operand; "-" is standard input.
func open(p *kernel.Proc, name string) (io.ReadCloser, error) {
	if name == "-" || name == "/dev/stdin" {
		return io.NopCloser(p.Stdin()), nil
	}
	if n, ok := strings.CutPrefix(name, "/dev/fd/"); ok {
		if i, err := strconv.Atoi(n); err == nil && p.FDs[i] != nil {
			return io.NopCloser(p.FDs[i]), nil
		}
	}
	h, err := p.M.FS.Open(p.Caller, p.Abs(name), vfs.ReadOnly, 0)
	if err != nil {
		return nil, err
	}
	if h.Stat().Kind == vfs.Dir {
		h.Close() //nolint:errcheck // only opened
		return nil, vfs.EISDIR
	}
	return h, nil
}

// each calls fn for every operand, standard input when there is none.
func each(p *kernel.Proc, names []string, fn func(name string, r io.Reader) error) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, n := range names {
		r, err := open(p, n)
		if err != nil {
			if busy(p) {
				errorf(p, "can't open '%s': %s", n, strings.ToLower(strerror(err)[:1])+strerror(err)[1:])
			} else {
				errorf(p, "%s: %s", n, strerror(err))
			}
			status = 1
			continue
		}
		if err := fn(n, r); err != nil {
			status = 1
			if errors.Is(err, vfs.EPIPE) {
				r.Close() //nolint:errcheck // only read
				return 141
			}
		}
		r.Close() //nolint:errcheck // only read
	}
	return status
}

func busy(p *kernel.Proc) bool { return p.M.Persona.Family == "busybox" }

const maxLine = 1 << 20 // bytes of one line

// lines calls fn for each line without its newline; fn returns false to stop.
func lines(p *kernel.Proc, r io.Reader, fn func(line string) bool) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxLine)
	for sc.Scan() {
		if err := p.Step(1 + int64(len(sc.Bytes())/64)); err != nil {
			return err
		}
		if !fn(sc.Text()) {
			return nil
		}
	}
	return nil
}

// slurp reads all of r within the session's memory.
func slurp(p *kernel.Proc, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if e := p.S.Budget.Grow(int64(n)); e != nil {
				return nil, e
			}
			b.Write(buf[:n])
		}
		if err != nil || n == 0 {
			p.S.Budget.Grow(-int64(b.Len())) //nolint:errcheck // giving back
			return b.Bytes(), nil
		}
	}
}

// pour copies r to standard output.
func pour(ctx context.Context, p *kernel.Proc, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if n > 0 {
			if e := p.Step(1 + int64(n)/4096); e != nil {
				return e
			}
			if _, e := p.Stdout().Write(buf[:n]); e != nil {
				return vfs.EPIPE
			}
		}
		if err != nil || n == 0 {
			if err != nil && err != io.EOF { //nolint:errorlint // io.EOF comes bare
				errorf(p, "-: %s", strerror(err))
				return err
			}
			return nil
		}
	}
	return ctx.Err()
}

func put(p *kernel.Proc, s string) bool {
	_, err := io.WriteString(p.Stdout(), s)
	return err == nil
}

func cat(ctx context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "nbsvetAETu", "number/n show-all/A show-nonprinting/v")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	n := 0
	return each(p, o.args, func(_ string, r io.Reader) error {
		if !o.has("n", "b", "s", "v", "e", "t", "A", "E", "T") {
			return pour(ctx, p, r)
		}
		return lines(p, r, func(l string) bool {
			if o.has("v", "e", "t", "A") {
				l = visible(l)
			}
			if o.has("e", "A", "E") {
				l += "$"
			}
			if o.has("n") || o.has("b") && l != "" {
				n++
				l = fmt.Sprintf("%6d\t%s", n, l)
			}
			return put(p, l+"\n")
		})
	})
}

func visible(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 128 {
			b.WriteString("M-")
			c -= 128
		}
		switch {
		case c == 127:
			b.WriteString("^?")
		case c < 32 && c != '\t':
			b.WriteByte('^')
			b.WriteByte(c + 64)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// count reads a number with the suffixes of head and tail.
func count(s string) (int64, bool) {
	mul := int64(1)
	for suf, m := range map[string]int64{"K": 1 << 10, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "b": 512} {
		if rest, ok := strings.CutSuffix(s, suf); ok {
			s, mul = rest, m
		}
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64)
	return n * mul, err == nil
}

// oldStyle turns -8 into -n 8.
func oldStyle(args []string) []string {
	for i, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' {
			return append(append(append([]string{}, args[:i]...), "-n", a[1:]), args[i+1:]...)
		}
	}
	return args
}

func head(_ context.Context, p *kernel.Proc) int {
	o := parse(oldStyle(p.Args[1:]), "n:c:qv", "lines/n bytes/c quiet/q verbose/v")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	n, bytesMode := int64(10), o.has("c")
	if v := o.get("c", "n"); v != "" {
		k, ok := count(v)
		if !ok {
			errorf(p, "invalid number of %s: '%s'", map[bool]string{true: "bytes", false: "lines"}[bytesMode], v)
			return 1
		}
		n = k
	}
	first := true
	return each(p, o.args, func(name string, r io.Reader) error {
		banner(p, o, name, &first)
		if bytesMode {
			buf := make([]byte, 32<<10)
			for left := n; left > 0; {
				k, err := r.Read(buf[:min(left, int64(len(buf)))])
				if k > 0 && !put(p, string(buf[:k])) {
					return vfs.EPIPE
				}
				left -= int64(k)
				if err != nil || k == 0 {
					return nil //nolint:nilerr // the end of the input
				}
			}
			return nil
		}
		if n < 0 {
			var all []string
			err := lines(p, r, func(l string) bool { all = append(all, l); return len(all) < 1<<20 })
			for _, l := range all[:max(0, len(all)+int(n))] {
				put(p, l+"\n")
			}
			return err
		}
		if n == 0 {
			return nil
		}
		left := n
		return lines(p, r, func(l string) bool { left--; return put(p, l+"\n") && left > 0 })
	})
}

func banner(p *kernel.Proc, o opts, name string, first *bool) {
	if len(o.args) > 1 && !o.has("q") || o.has("v") {
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
	o := parse(oldStyle(p.Args[1:]), "n:c:qvfFs:", "lines/n bytes/c quiet/q follow/f")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	v := o.get("c", "n")
	n, ok := int64(10), true
	if v != "" {
		if n, ok = count(strings.TrimPrefix(v, "-")); !ok {
			errorf(p, "invalid number of lines: '%s'", v)
			return 1
		}
	}
	from := strings.HasPrefix(v, "+")
	first := true
	status := each(p, o.args, func(name string, r io.Reader) error {
		banner(p, o, name, &first)
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		if o.has("c") {
			if from {
				data = data[min(max(n-1, 0), int64(len(data))):]
			} else {
				data = data[max(0, int64(len(data))-n):]
			}
			put(p, string(data))
			return nil
		}
		all := bytes.SplitAfter(data, []byte("\n"))
		if len(all) > 0 && len(all[len(all)-1]) == 0 {
			all = all[:len(all)-1]
		}
		if from {
			all = all[min(max(n-1, 0), int64(len(all))):]
		} else {
			all = all[max(0, int64(len(all))-n):]
		}
		put(p, string(bytes.Join(all, nil)))
		return nil
	})
	if o.has("f", "F") {
		<-ctx.Done()
	}
	return status
}

func wc(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "lwcmL", "lines/l words/w bytes/c chars/m")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	if len(o.flags) == 0 {
		o.flags = map[string]string{"l": "", "w": "", "c": ""}
	}
	var tl, tw, tc int64
	width := 7
	if len(o.args) == 0 && len(o.flags) == 1 {
		width = 1
	} else if len(o.args) > 0 {
		width = 1
	}
	show := func(l, w, c int64, name string) {
		var f []string
		for _, x := range []struct {
			k string
			v int64
		}{{"l", l}, {"w", w}, {"c", c}, {"m", c}} {
			if o.has(x.k) {
				f = append(f, fmt.Sprintf("%*d", width, x.v))
			}
		}
		if name != "-" {
			f = append(f, name)
		}
		put(p, strings.Join(f, " ")+"\n")
	}
	status := each(p, o.args, func(name string, r io.Reader) error {
		var l, w, c int64
		in := false
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			for _, b := range buf[:n] {
				if b == '\n' {
					l++
				}
				space := b == ' ' || b >= 9 && b <= 13
				if !space && !in {
					w++
				}
				in = !space
			}
			c += int64(n)
			if e := p.Step(1 + int64(n)/1024); e != nil {
				return e
			}
			if err != nil || n == 0 {
				break
			}
		}
		tl, tw, tc = tl+l, tw+w, tc+c
		if len(o.args) > 0 {
			width = max(width, len(strconv.FormatInt(c, 10)))
		}
		show(l, w, c, name)
		return nil
	})
	if len(o.args) > 1 {
		show(tl, tw, tc, "total")
	}
	return status
}

func tee(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "aip", "append/a")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	fl := vfs.WriteOnly | vfs.Create | vfs.Truncate
	if o.has("a") {
		fl = vfs.WriteOnly | vfs.Create | vfs.Append
	}
	out := []io.Writer{p.Stdout()}
	status := 0
	for _, n := range o.args {
		h, err := p.M.FS.Open(p.Caller, p.Abs(n), fl, 0o666&^p.Umask)
		if err != nil {
			errorf(p, "%s: %s", n, strerror(err))
			status = 1
			continue
		}
		defer h.Close() //nolint:errcheck // nothing is buffered
		out = append(out, h)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := p.Stdin().Read(buf)
		for _, w := range out {
			w.Write(buf[:n]) //nolint:errcheck // the others go on
		}
		if err != nil || n == 0 || p.Step(1+int64(n)/4096) != nil {
			return status
		}
	}
}
