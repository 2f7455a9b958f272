package awk

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/strftime"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// stream is an open output: a file or the input of a command.
type stream struct {
	w    io.WriteCloser
	task *kernel.Task
}

// dynamic is the expression of a regular expression operand.
func (r *run) dynamic(n *node) *regexp.Regexp {
	if n.op == "re" {
		return r.compile(n.text)
	}
	return r.compile(r.text(n))
}

func (r *run) builtin(n *node) value {
	arg := func(i int) value {
		if i < len(n.kids) {
			return r.eval(n.kids[i])
		}
		return value{}
	}
	text := func(i int) string { return arg(i).text(r.get("CONVFMT").s) }
	switch n.text {
	case "length":
		return r.length(n)
	case "substr":
		return r.substr(n, text(0))
	case "index":
		s, t := text(0), text(1)
		return num(float64(runesTo(s, strings.Index(s, t))))
	case "split":
		return r.splitInto(n)
	case "sub", "gsub":
		return r.replace(n)
	case "match":
		return r.match(n, text(0))
	case "sprintf":
		var rest []value
		for i := 1; i < len(n.kids); i++ {
			rest = append(rest, arg(i))
		}
		return str(sprintf(text(0), rest))
	case "tolower":
		return str(strings.ToLower(text(0)))
	case "toupper":
		return str(strings.ToUpper(text(0)))
	case "system":
		return r.system(text(0))
	case "close":
		return num(r.closeOne(text(0)))
	case "fflush":
		r.out.Flush() //nolint:errcheck // a broken pipe ends the next write
		return num(0)
	case "systime":
		return num(float64(r.p.Now().Unix()))
	case "strftime":
		form, at := "%c", r.p.Now()
		if len(n.kids) > 0 {
			form = text(0)
		}
		if len(n.kids) > 1 {
			at = time.Unix(int64(arg(1).number()), 0)
		}
		return str(strftime.Format(form, at.UTC()))
	}
	return r.mathCall(n.text, arg(0).number(), arg(1).number(), len(n.kids))
}

func (r *run) mathCall(name string, x, y float64, args int) value {
	switch name {
	case "int":
		return num(math.Trunc(x))
	case "sqrt":
		return num(math.Sqrt(x))
	case "exp":
		return num(math.Exp(x))
	case "log":
		return num(math.Log(x))
	case "sin":
		return num(math.Sin(x))
	case "cos":
		return num(math.Cos(x))
	case "atan2":
		return num(math.Atan2(x, y))
	case "rand":
		r.rand = r.rand*6364136223846793005 + 1442695040888963407
		return num(float64(r.rand>>11) / (1 << 53))
	case "srand":
		old := r.seed
		r.seed = float64(r.p.Now().Unix())
		if args > 0 {
			r.seed = x
		}
		r.rand = uint64(int64(r.seed))*2862933555777941757 + 3037000493
		return num(old)
	}
	return value{}
}

// runesTo is a byte index as awk counts: from 1, 0 for none.
func runesTo(s string, i int) int {
	if i < 0 {
		return 0
	}
	return utf8.RuneCountInString(s[:i]) + 1
}

func (r *run) length(n *node) value {
	if len(n.kids) == 0 {
		return num(float64(len(r.line())))
	}
	if k := n.kids[0]; k.op == "var" && r.isArray(k.text) {
		return num(float64(len(r.array(k.text))))
	}
	return num(float64(len(r.text(n.kids[0]))))
}

func (r *run) substr(n *node, s string) value {
	from := math.Max(math.Trunc(r.eval(n.kids[1]).number()), 1) // this mawk does not shorten what begins before 1
	end := math.Inf(1)
	if len(n.kids) > 2 {
		end = from + math.RoundToEven(r.eval(n.kids[2]).number())
	}
	end = math.Min(end, float64(len(s)+1))
	if !(end > from) {
		return str("")
	}
	return str(s[int(from)-1 : int(end)-1])
}

func (r *run) splitInto(n *node) value {
	if len(n.kids) < 2 || n.kids[1].op != "var" {
		r.fail("split: no array")
		return value{}
	}
	s := r.text(n.kids[0])
	fs := r.get("FS").s
	var parts []string
	switch {
	case len(n.kids) > 2 && n.kids[2].op == "re":
		if re := r.compile(n.kids[2].text); re != nil && s != "" {
			parts = re.Split(s, -1)
		}
	case len(n.kids) > 2:
		parts = r.cut(s, r.text(n.kids[2]))
	default:
		parts = r.cut(s, fs)
	}
	a := r.array(n.kids[1].text)
	clear(a)
	for i, part := range parts {
		r.charge(len(part))
		if r.fault != "" {
			break
		}
		a[strconv.Itoa(i+1)] = input(part)
	}
	return num(float64(len(parts)))
}

func (r *run) match(n *node, s string) value {
	re := r.dynamic(n.kids[1])
	if re == nil {
		return value{}
	}
	at := re.FindStringIndex(s)
	start, size := 0, -1
	if at != nil {
		start, size = at[0]+1, at[1]-at[0]
	}
	r.vars["RSTART"], r.vars["RLENGTH"] = num(float64(start)), num(float64(size))
	return num(float64(start))
}

// replace is sub and gsub.
func (r *run) replace(n *node) value {
	if len(n.kids) < 2 {
		r.fail("not enough arguments to %s", n.text)
		return value{}
	}
	re := r.dynamic(n.kids[0])
	with := r.text(n.kids[1])
	target := &node{op: "field", kids: []*node{{op: "num"}}}
	if len(n.kids) > 2 {
		target = n.kids[2]
	}
	s := r.text(target)
	if re == nil {
		return value{}
	}
	limit := -1
	if n.text == "sub" {
		limit = 1
	}
	var b strings.Builder
	pos, times := 0, 0
	for _, m := range re.FindAllStringIndex(s, limit) {
		if m[0] == m[1] && times > 0 && m[0] == pos && m[0] != 0 && pos > 0 && s[pos-1:pos] == "" {
			continue
		}
		b.WriteString(s[pos:m[0]])
		insert(&b, with, s[m[0]:m[1]])
		pos = m[1]
		if times++; b.Len() > maxValue || r.p.Step(1) != nil {
			r.fail("out of memory")
			return value{}
		}
	}
	b.WriteString(s[pos:])
	if times > 0 {
		r.assign(target, str(b.String()))
	}
	return num(float64(times))
}

// insert writes a replacement; & is what matched.
func insert(b *strings.Builder, with, found string) {
	for i := 0; i < len(with); i++ {
		switch {
		case with[i] == '\\' && i+1 < len(with) && (with[i+1] == '&' || with[i+1] == '\\'):
			i++
			b.WriteByte(with[i])
		case with[i] == '&':
			b.WriteString(found)
		default:
			b.WriteByte(with[i])
		}
	}
}

func conversion(b *strings.Builder, spec string, verb byte, next func() value) {
	switch verb {
	case '%':
		b.WriteByte('%')
	case 'd', 'i':
		f := next().number()
		switch {
		case math.IsNaN(f) || math.IsInf(f, 0):
			fmt.Fprintf(b, strings.SplitN(spec, ".", 2)[0]+"s", strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+")))
		default:
			fmt.Fprintf(b, spec+"d", int64(math.Max(math.Min(f, math.MaxInt64), math.MinInt64)))
		}
	case 'u', 'o', 'x', 'X':
		if verb == 'u' {
			verb = 'd'
		}
		fmt.Fprintf(b, spec+string(verb), uint64(int64(next().number())))
	case 'e', 'E', 'f', 'F', 'g', 'G':
		text := fmt.Sprintf(spec+string(verb), next().number())
		b.WriteString(strings.NewReplacer("+Inf", "inf", "Inf", "inf", "NaN", "nan").Replace(text))
	case 'c':
		v := next()
		s := v.text("%.6g")
		if v.isNum && !v.isStr {
			s = string([]byte{byte(int(v.n))})
		} else if s != "" {
			_, n := utf8.DecodeRuneInString(s)
			s = s[:n]
		}
		fmt.Fprintf(b, spec+"s", s)
	case 's':
		fmt.Fprintf(b, spec+"s", next().text("%.6g"))
	default:
		b.WriteString(spec + string(verb))
	}
}

// write sends text to a target: standard output, a file, a command.
func (r *run) write(op, target, text string) {
	if op == "" || target == "/dev/stdout" || target == "-" {
		if _, err := r.out.WriteString(text); err != nil {
			r.fail("write failure")
		}
		return
	}
	if target == "/dev/stderr" {
		r.out.Flush()                      //nolint:errcheck // order of the two streams
		io.WriteString(r.p.Stderr(), text) //nolint:errcheck // the visitor's own stderr
		return
	}
	s := r.outs[target]
	if s == nil {
		if s = r.openOut(op, target); s == nil {
			return
		}
		r.outs[target] = s
	}
	io.WriteString(s.w, text) //nolint:errcheck // a broken pipe loses it
}

func (r *run) openOut(op, target string) *stream {
	if len(r.outs) >= maxOpen {
		r.fail("too many open files")
		return nil
	}
	if op == "|" {
		r.out.Flush() //nolint:errcheck // order of the two
		pr, pw := kernel.Pipe(r.ctx, r.p.S.Budget)
		c := r.p.Child("sh", "-c", target)
		c.SetFD(0, pr)
		task, err := r.p.Start(r.ctx, c)
		if err != nil {
			pw.Close() //nolint:errcheck // nobody reads
			return nil
		}
		return &stream{pw, task}
	}
	fl := vfs.WriteOnly | vfs.Create | vfs.Truncate
	if op == ">>" {
		fl = vfs.WriteOnly | vfs.Create | vfs.Append
	}
	h, err := r.p.M.FS.Open(r.p.Caller, r.p.Abs(target), fl, 0o666&^r.p.Umask)
	if err != nil {
		r.fail("cannot open \"%s\" for output", target)
		return nil
	}
	return &stream{w: h}
}

func (r *run) closeOne(name string) float64 {
	if _, ok := r.ins[name]; ok {
		delete(r.ins, name)
		return 0
	}
	s := r.outs[name]
	if s == nil {
		return -1
	}
	delete(r.outs, name)
	s.w.Close() //nolint:errcheck // nothing is buffered
	if s.task != nil {
		return float64(s.task.Wait(r.ctx))
	}
	return 0
}

func (r *run) closeAll() {
	r.out.Flush() //nolint:errcheck // nobody is left to tell
	for name := range r.outs {
		r.closeOne(name)
	}
}

func (r *run) system(cmd string) value {
	r.out.Flush() //nolint:errcheck // order of the two
	st, err := r.p.Run(r.ctx, r.p.Child("sh", "-c", cmd))
	if err != nil {
		return num(127)
	}
	return num(float64(st))
}

// getline reads a record from a command, a file, or the input.
func (r *run) getline(n *node) value {
	kids := n.kids
	var line string
	var ok bool
	if n.text == "" { //nolint:nestif // the two sources of a record
		line, ok = r.nextRecord()
	} else {
		name := r.text(kids[0])
		kids = kids[1:]
		in := r.ins[name]
		if in == nil {
			if in = r.openIn(n.text, name); in == nil {
				return num(-1)
			}
			r.ins[name] = in
		}
		line, ok = r.readRecord(in)
		if ok && n.text == "|" {
			r.vars["NR"] = num(r.vars["NR"].number() + 1)
		}
	}
	if !ok {
		return num(0)
	}
	if len(kids) > 0 {
		r.assign(kids[0], input(line))
	} else {
		r.setRecord(line)
	}
	return num(1)
}

func (r *run) openIn(op, name string) *bufio.Reader {
	if len(r.ins) >= maxOpen {
		return nil
	}
	if op == "<" {
		in, err := r.openFile(name)
		if err != nil {
			return nil
		}
		return in
	}
	r.out.Flush() //nolint:errcheck // order of the two
	pr, pw := kernel.Pipe(r.ctx, r.p.S.Budget)
	c := r.p.Child("sh", "-c", name)
	c.SetFD(1, pw)
	if _, err := r.p.Start(r.ctx, c); err != nil {
		pr.Close() //nolint:errcheck // nobody writes
		return nil
	}
	context.AfterFunc(r.ctx, func() { pr.Close() }) //nolint:errcheck // the program has ended
	return bufio.NewReader(pr)
}
