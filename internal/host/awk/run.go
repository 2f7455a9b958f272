package awk

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/regex"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const (
	maxProgram = 64 << 10  // bytes of a program
	maxValue   = 1 << 20   // bytes of one value
	maxCells   = 1_000_000 // of all arrays
	maxRecord  = 1 << 20   // bytes of one record
	maxOpen    = 64        // files and pipes at once
	maxCalls   = 100       // nesting of functions
)

type flow uint8

const (
	goOn flow = iota
	doBreak
	doContinue
	doNext
	doExit
	doReturn
)

type array map[string]value

// frame is the variables of one call.
type frame struct {
	vars   map[string]value
	arrays map[string]array
}

type run struct {
	ctx    context.Context //nolint:containedctx // lives for one program
	p      *kernel.Proc
	name   string
	prog   *program
	vars   map[string]value
	arrays map[string]array
	frames []*frame
	record string
	fields []string
	stale  bool // record must be joined from fields
	split  bool // fields are current
	nf     int
	res    map[string]*regexp.Regexp
	in     *bufio.Reader
	args   []string
	opened bool
	outs   map[string]*stream
	ins    map[string]*bufio.Reader
	cells  int
	held   int64
	status int
	ret    value
	fault  string
	rand   uint64
	seed   float64
	out    *bufio.Writer
}

// Main is awk as a program.
func Main(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+F:v:f:W:", "")
	name := getopt.Base(p.Args[0])
	if o.Get("W") == "version" || o.Bad == "--version" {
		fmt.Fprintf(p.Stdout(), "mawk %s\n", strings.Replace(getopt.PackageVersion(p, "mawk"), "1.3.4.", "1.3.4 ", 1)) //nolint:errcheck // the visitor's own output
		return 0
	}
	if o.Bad != "" {
		fmt.Fprintf(p.Stderr(), "%s: %s\n", name, strings.Replace(o.Bad, "invalid option --", "not an option:", 1)) //nolint:errcheck // the visitor's own stderr
		return 2
	}
	src, args := "", o.Args
	for _, f := range o.All("f") {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(f), maxProgram)
		if err != nil {
			fmt.Fprintf(p.Stderr(), "%s: cannot open %s (%s)\n", name, f, err) //nolint:errcheck // as above
			return 2
		}
		src += string(data) + "\n"
	}
	if !o.Has("f") {
		if len(args) == 0 {
			fmt.Fprint(p.Stderr(), "Usage: mawk [Options] [Program] [file ...]\n\nProgram:\n    The -f option value is the name of a file containing program text.\n    If no -f option is given, a \"--\" ends option processing; the following\n    parameters are the program text.\n") //nolint:errcheck // as above
			return 2
		}
		src, args = args[0], args[1:]
	}
	if len(src) > maxProgram {
		fmt.Fprintf(p.Stderr(), "%s: program too large\n", name) //nolint:errcheck // as above
		return 2
	}
	prog, err := parse(src)
	if err != nil {
		fmt.Fprintf(p.Stderr(), "%s: %s\n", name, err) //nolint:errcheck // as above
		return 2
	}
	r := newRun(ctx, p, prog)
	r.name, r.args = name, args
	if o.Has("F") {
		fs := o.Get("F")
		if fs == "t" {
			fs = `\t`
		}
		r.vars["FS"] = str(unescape(fs))
	}
	for _, v := range o.All("v") {
		r.assignText(v)
	}
	return r.main()
}

func unescape(s string) string {
	l := &lexer{src: `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`}
	if l.quoted('"', tString) != nil || len(l.out) == 0 {
		return s
	}
	return l.out[0].text
}

func newRun(ctx context.Context, p *kernel.Proc, prog *program) *run {
	r := &run{
		ctx: ctx, p: p, prog: prog, arrays: map[string]array{}, res: map[string]*regexp.Regexp{}, outs: map[string]*stream{}, ins: map[string]*bufio.Reader{},
		rand: p.M.Rand.Uint64(), out: bufio.NewWriterSize(p.Stdout(), 4096),
		vars: map[string]value{
			"FS": str(" "), "OFS": str(" "), "ORS": str("\n"), "RS": str("\n"), "SUBSEP": str("\x1c"), "CONVFMT": str("%.6g"), "OFMT": str("%.6g"),
			"NR": num(0), "FNR": num(0), "FILENAME": str(""), "RSTART": num(0), "RLENGTH": num(-1),
		},
	}
	env := array{}
	for k, v := range p.Env {
		env[k] = input(v)
	}
	r.arrays["ENVIRON"] = env
	return r
}

// assignText is var=value on the command line.
func (r *run) assignText(a string) bool {
	name, v, ok := strings.Cut(a, "=")
	if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" || name[0] <= '9' {
		return false
	}
	r.setVar(name, input(unescape(v)))
	return true
}

func (r *run) main() int {
	defer func() { r.p.S.Budget.Grow(-r.held) }() //nolint:errcheck // giving back
	argv := array{"0": str(r.name)}
	for i, a := range r.args {
		argv[strconv.Itoa(i+1)] = input(a)
	}
	r.arrays["ARGV"], r.vars["ARGC"] = argv, num(float64(len(r.args)+1))
	f := goOn
	reads := false
	for _, ru := range r.prog.rules {
		if ru.begin && f != doExit {
			f = r.exec(ru.body)
		}
		reads = reads || !ru.begin
	}
	for reads && f != doExit && r.fault == "" {
		line, ok := r.nextRecord()
		if !ok {
			break
		}
		r.setRecord(line)
		f = r.rules()
	}
	for _, ru := range r.prog.rules {
		if ru.end && r.fault == "" && (f != doExit || r.status == 0 || !false) {
			if r.exec(ru.body) == doExit {
				break
			}
		}
	}
	r.closeAll()
	if r.fault != "" {
		fmt.Fprintf(r.p.Stderr(), "%s: %s\n\tFILENAME=%q FNR=%d NR=%d\n", r.name, r.fault, r.vars["FILENAME"].s, int(r.vars["FNR"].n), int(r.vars["NR"].n)) //nolint:errcheck // the visitor's own stderr
		return 2
	}
	return r.status
}

func (r *run) rules() flow {
	for _, ru := range r.prog.rules {
		if ru.begin || ru.end || !r.hit(ru) {
			continue
		}
		if ru.body == nil {
			r.write("", "", r.line()+r.get("ORS").s)
			continue
		}
		switch f := r.exec(ru.body); f {
		case doNext:
			return goOn
		case doExit:
			return f
		}
		if r.fault != "" {
			return doExit
		}
	}
	return goOn
}

func (r *run) hit(ru *rule) bool {
	switch {
	case ru.from == nil:
		return true
	case ru.to == nil:
		return r.eval(ru.from).truth()
	}
	if !ru.active && !r.eval(ru.from).truth() {
		return false
	}
	ru.active = !r.eval(ru.to).truth()
	return true
}

// nextRecord reads from the operands in turn, standard input without one.
func (r *run) nextRecord() (string, bool) {
	for r.p.Step(2) == nil && r.ctx.Err() == nil {
		if r.in == nil && !r.openNext() {
			return "", false
		}
		line, ok := r.readRecord(r.in)
		if ok {
			r.vars["NR"] = num(r.vars["NR"].number() + 1)
			r.vars["FNR"] = num(r.vars["FNR"].number() + 1)
			return line, true
		}
		r.in = nil
	}
	return "", false
}

func (r *run) openNext() bool {
	for len(r.args) > 0 {
		a := r.args[0]
		r.args = r.args[1:]
		if a == "" || r.assignText(a) {
			continue
		}
		in, err := r.openFile(a)
		if err != nil {
			r.out.Flush()                                                          //nolint:errcheck // order of the two streams
			fmt.Fprintf(r.p.Stderr(), "%s: cannot open %s (%s)\n", r.name, a, err) //nolint:errcheck // the visitor's own stderr
			r.status = 2
			r.opened = true
			continue
		}
		r.in, r.opened = in, true
		r.vars["FILENAME"], r.vars["FNR"] = str(a), num(0)
		return true
	}
	if r.opened {
		return false
	}
	r.opened = true
	r.in = bufio.NewReader(r.p.Stdin())
	return true
}

func (r *run) openFile(name string) (*bufio.Reader, error) {
	if name == "-" || name == "/dev/stdin" {
		return bufio.NewReader(r.p.Stdin()), nil
	}
	if n, ok := strings.CutPrefix(name, "/dev/fd/"); ok {
		if i, err := strconv.Atoi(n); err == nil && r.p.FDs[i] != nil {
			return bufio.NewReader(r.p.FDs[i]), nil
		}
	}
	h, err := r.p.M.FS.Open(r.p.Caller, r.p.Abs(name), vfs.ReadOnly, 0)
	if err != nil {
		return nil, err
	}
	return bufio.NewReader(h), nil
}

// readRecord reads up to RS; an empty RS means paragraphs.
func (r *run) readRecord(in *bufio.Reader) (string, bool) {
	rs := r.get("RS").s
	sep := byte('\n')
	if rs != "" {
		sep = rs[0]
	}
	var b strings.Builder
	for b.Len() < maxRecord {
		c, err := in.ReadByte()
		if err != nil {
			text := b.String()
			if rs == "" {
				text = strings.TrimSuffix(text, "\n")
			}
			return text, b.Len() > 0
		}
		switch {
		case rs == "" && c == '\n' && b.Len() == 0:
			continue
		case rs == "" && c == '\n' && strings.HasSuffix(b.String(), "\n"):
			return strings.TrimSuffix(b.String(), "\n"), true
		case rs != "" && c == sep:
			return b.String(), true
		}
		b.WriteByte(c)
		if b.Len()&1023 == 0 && r.p.Step(1) != nil {
			return "", false
		}
	}
	return b.String(), true
}

func (r *run) setRecord(line string) {
	r.record, r.stale, r.split = line, false, false
}

func (r *run) fieldsNow() []string {
	if !r.split {
		r.fields = r.cut(r.record, r.get("FS").s)
		r.nf = len(r.fields)
		r.split = true
	}
	return r.fields
}

// cut splits text by a separator as FS does.
func (r *run) cut(text, fs string) []string {
	switch {
	case text == "":
		return nil
	case fs == " ":
		return strings.Fields(text)
	case fs == "":
		return strings.Split(text, "")
	case utf8.RuneCountInString(fs) == 1 && fs != `\`:
		return strings.Split(text, fs)
	}
	re := r.compile(fs)
	if re == nil {
		return []string{text}
	}
	return re.Split(text, -1)
}

func (r *run) compile(pat string) *regexp.Regexp {
	if re, ok := r.res[pat]; ok {
		return re
	}
	re, err := regex.Compile(pat, regex.Options{Extended: true})
	if err != nil {
		r.fail("regular expression compile failed (%s)\n%s", "missing operand", pat)
		return nil
	}
	if len(r.res) > 500 {
		clear(r.res)
	}
	r.res[pat] = re
	return re
}

func (r *run) fail(format string, args ...any) {
	if r.fault == "" {
		r.fault = fmt.Sprintf("run time error: "+format, args...)
	}
}

func (r *run) line() string {
	if r.stale {
		r.record = strings.Join(r.fields, r.get("OFS").text("%.6g"))
		r.stale = false
	}
	return r.record
}

func (r *run) field(n int) value {
	if n == 0 {
		return input(r.line())
	}
	f := r.fieldsNow()
	if n < 0 || n > len(f) {
		if n < 0 {
			r.fail("negative field index $%d", n)
		}
		return value{}
	}
	return input(f[n-1])
}

func (r *run) setField(n int, text string) {
	if n == 0 {
		r.setRecord(text)
		return
	}
	if n < 0 || n > 32_767 {
		r.fail("invalid field index $%d", n)
		return
	}
	r.fieldsNow()
	for len(r.fields) < n {
		r.fields = append(r.fields, "")
	}
	r.fields[n-1] = text
	r.nf = len(r.fields)
	r.stale = true
}
