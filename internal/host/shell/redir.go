package shell

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// redirect applies redirections to this shell's own descriptors. undo puts
// them back, unless keep is set (exec).
func (s *sh) redirect(ctx context.Context, list []*syntax.Redirect) (undo func(keep bool), ok bool) {
	saved := map[int]*kernel.FD{}
	undo = func(keep bool) {
		for n, old := range saved {
			if keep {
				if old != nil {
					old.Close() //nolint:errcheck // replaced for good
				}
				continue
			}
			if cur := s.p.FDs[n]; cur != nil {
				cur.Close() //nolint:errcheck // the redirection ends
			}
			if old == nil {
				delete(s.p.FDs, n)
			} else {
				s.p.FDs[n] = old
			}
		}
	}
	put := func(n int, f *kernel.FD) {
		if _, done := saved[n]; !done {
			saved[n] = s.p.FDs[n]
		} else if cur := s.p.FDs[n]; cur != nil {
			cur.Close() //nolint:errcheck // a later redirection of the same descriptor
		}
		if f == nil {
			delete(s.p.FDs, n)
		} else {
			s.p.FDs[n] = f
		}
	}
	for _, r := range list {
		if !s.redirectOne(ctx, r, put) {
			return undo, false
		}
	}
	return undo, true
}

const maxFD = 255

func (s *sh) redirectOne(ctx context.Context, r *syntax.Redirect, put func(int, *kernel.FD)) bool {
	n := -1
	if r.N != nil {
		v, err := strconv.Atoi(r.N.Value)
		if err != nil {
			v = 10
			for s.p.FDs[v] != nil {
				v++
			}
			s.set(ctx, strings.Trim(r.N.Value, "{}"), strconv.Itoa(v))
		}
		n = v
	}
	if n > maxFD {
		s.fail(1, "%d: Bad file descriptor", n)
		return false
	}
	def := func(d int) int {
		if n < 0 {
			return d
		}
		return n
	}
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		put(def(0), s.hereDoc(ctx, r))
		return true
	case syntax.WordHdoc:
		put(def(0), textFD(s.text(ctx, r.Word)+"\n"))
		return true
	case syntax.DplIn, syntax.DplOut:
		return s.duplicate(ctx, r, def(map[bool]int{true: 0, false: 1}[r.Op == syntax.DplIn]), n < 0, put)
	}
	name := s.text(ctx, r.Word)
	if s.stop(ctx) {
		return false
	}
	fl := vfs.WriteOnly | vfs.Create | vfs.Truncate
	fd := def(1)
	switch r.Op {
	case syntax.RdrIn:
		fl, fd = vfs.ReadOnly, def(0)
	case syntax.RdrInOut:
		fl, fd = vfs.ReadWrite|vfs.Create, def(0)
	case syntax.AppOut, syntax.AppAll:
		fl = vfs.WriteOnly | vfs.Create | vfs.Append
	}
	if in, err := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(name)); s.opts.noclobber && r.Op == syntax.RdrOut && err == nil && in.Kind == vfs.File {
		if s.dialect == Bash {
			s.fail(1, "%s: cannot overwrite existing file", name)
		} else {
			s.fail(2, "cannot create %s: File exists", name)
		}
		return false
	}
	f, err := s.open(ctx, name, fl)
	if err != nil {
		s.redirectFailed(name, fl, err)
		return false
	}
	if r.Op == syntax.RdrAll || r.Op == syntax.AppAll {
		put(2, f.Dup())
		fd = 1
	}
	put(fd, f)
	return true
}

func (s *sh) redirectFailed(name string, fl vfs.Flags, err error) {
	if s.dialect == Bash {
		s.fail(1, "%s: %s", name, err)
		return
	}
	verb, text := "create", err.Error()
	if fl == vfs.ReadOnly {
		verb = "open"
	}
	if errors.Is(err, vfs.ENOENT) {
		text = map[bool]string{true: "Directory nonexistent", false: "No such file"}[verb == "create" && s.dialect != Ash]
		if s.dialect == Ash && verb == "create" {
			text = "nonexistent directory"
		}
		if s.dialect == Ash && verb == "open" {
			text = "no such file"
		}
	}
	if s.dialect == Ash {
		s.fail(1, "can't %s %s: %s", verb, name, text)
	} else {
		s.fail(2, "cannot %s %s: %s", verb, name, text)
	}
}

// open opens a file for a redirection; bash's /dev/tcp is recorded and answered
// as a host that cannot be reached.
func (s *sh) open(ctx context.Context, name string, fl vfs.Flags) (*kernel.FD, error) {
	if name == "" {
		return nil, vfs.ENOENT
	}
	if s.dialect == Bash {
		if proto, host, port, ok := socketPath(name); ok {
			return s.connect(ctx, proto, host, port)
		}
	}
	switch name {
	case "/dev/stdin", "/dev/fd/0":
		return s.dupOf(0)
	case "/dev/stdout", "/dev/fd/1":
		return s.dupOf(1)
	case "/dev/stderr", "/dev/fd/2":
		return s.dupOf(2)
	case "/dev/tty":
		if s.p.S.TTY != nil {
			return s.p.Terminal(), nil
		}
		return nil, vfs.ENXIO
	}
	if n, ok := strings.CutPrefix(name, "/dev/fd/"); ok {
		if i, err := strconv.Atoi(n); err == nil {
			return s.dupOf(i)
		}
	}
	h, err := s.p.M.FS.Open(s.p.Caller, s.p.Abs(name), fl, 0o666&^s.p.Umask)
	if err != nil {
		return nil, err
	}
	return kernel.FileFD(h), nil
}

func (s *sh) dupOf(n int) (*kernel.FD, error) {
	if f := s.p.FDs[n]; f != nil {
		return f.Dup(), nil
	}
	return nil, vfs.EBADF
}

// duplicate is n>&m, n>&-, and >&file.
func (s *sh) duplicate(ctx context.Context, r *syntax.Redirect, n int, bare bool, put func(int, *kernel.FD)) bool {
	word := s.text(ctx, r.Word)
	if word == "-" {
		put(n, nil)
		return true
	}
	move := strings.HasSuffix(word, "-")
	m, err := strconv.Atoi(strings.TrimSuffix(word, "-"))
	if err != nil {
		if r.Op == syntax.DplOut && bare {
			f, err := s.open(ctx, word, vfs.WriteOnly|vfs.Create|vfs.Truncate)
			if err != nil {
				s.redirectFailed(word, vfs.WriteOnly, err)
				return false
			}
			put(2, f.Dup())
			put(1, f)
			return true
		}
		s.fail(1, "%s: ambiguous redirect", word)
		return false
	}
	f := s.p.FDs[m]
	if f == nil {
		s.fail(1, "%d: Bad file descriptor", m)
		return false
	}
	put(n, f.Dup())
	if move {
		put(m, nil)
	}
	return true
}

func textFD(t string) *kernel.FD {
	return kernel.NewFD("/tmp/sh-thd", struct {
		io.Reader
		io.Writer
	}{strings.NewReader(t), io.Discard}, nil)
}

func (s *sh) hereDoc(ctx context.Context, r *syntax.Redirect) *kernel.FD {
	if r.Hdoc == nil {
		return textFD("")
	}
	body := s.hdocText(ctx, r.Hdoc, !plainWord(r.Word))
	if r.Op == syntax.DashHdoc {
		lines := strings.SplitAfter(body, "\n")
		for i := range lines {
			lines[i] = strings.TrimLeft(lines[i], "\t")
		}
		body = strings.Join(lines, "")
	}
	return textFD(body)
}

// plainWord reports whether a here-document's word has no quotes.
func plainWord(w *syntax.Word) bool {
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.SglQuoted, *syntax.DblQuoted:
			return false
		case *syntax.Lit:
			if strings.Contains(p.Value, `\`) {
				return false
			}
		}
	}
	return true
}

func (s *sh) hdocText(ctx context.Context, w *syntax.Word, verbatim bool) string {
	var b strings.Builder
	for _, p := range w.Parts {
		l, ok := p.(*syntax.Lit)
		switch {
		case ok && verbatim:
			b.WriteString(l.Value)
		case ok:
			b.WriteString(unescapeDouble(strings.ReplaceAll(l.Value, `\"`, `\\"`)))
		default:
			e := expander{s: s, ctx: ctx, nosplit: true}
			e.parts([]syntax.WordPart{p}, true, false)
			for _, f := range e.done() {
				b.WriteString(f.String())
			}
		}
	}
	return b.String()
}

// buffer collects the output of a substitution; programs may write to it at once.
type buffer struct {
	mu  sync.Mutex
	b   bytes.Buffer
	max int
}

func (w *buffer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.b.Len()+len(p) > w.max {
		return 0, vfs.EPIPE
	}
	return w.b.Write(p)
}

func (w *buffer) Read([]byte) (int, error) { return 0, vfs.EBADF }

// capture runs $(...) and gives its output without the last newlines.
func (s *sh) capture(ctx context.Context, list []*syntax.Stmt) string {
	if s.p.S.Budget.TooDeep(s.calls) || s.p.S.Budget.TooDeep((s.depth+3)/4) {
		s.fail(254, "fork: retry: Resource temporarily unavailable")
		return ""
	}
	if len(list) == 1 { // $(<file)
		if st := list[0]; st.Cmd == nil && len(st.Redirs) == 1 && st.Redirs[0].Op == syntax.RdrIn {
			name := s.text(ctx, st.Redirs[0].Word)
			data, err := s.p.M.FS.ReadFile(s.p.Caller, s.p.Abs(name), maxValue)
			if err != nil {
				s.fail(1, "%s: %s", name, err)
			}
			return strings.TrimRight(string(data), "\n")
		}
	}
	out := &buffer{max: maxValue}
	sub := s.subProc()
	sub.SetFD(1, kernel.NewFD("pipe:[1]", out, nil))
	defer sub.CloseFDs()
	c := s.fork(sub)
	c.calls++
	s.status = c.finish(ctx, list)
	s.subst = true
	text := strings.ReplaceAll(out.b.String(), "\x00", "")
	return strings.TrimRight(text, "\n")
}

// procSubst runs <(...) at once and gives the path of a descriptor that holds
// its output; >(...) gives one whose content is run at the end of the line.
func (s *sh) procSubst(ctx context.Context, p *syntax.ProcSubst) string {
	n := 63
	for s.p.FDs[n] != nil && n > 10 {
		n--
	}
	if p.Op == syntax.CmdIn {
		text := s.capture(ctx, p.Stmts)
		if text != "" {
			text += "\n"
		}
		s.p.SetFD(n, textFD(text))
		s.subs = append(s.subs, closer{fd: n})
		return "/dev/fd/" + strconv.Itoa(n)
	}
	r, w := kernel.Pipe(ctx, s.p.S.Budget)
	sub := s.subProc()
	sub.SetFD(0, r)
	c := s.fork(sub)
	task, err := sub.Launch(ctx, func(ctx context.Context, _ *kernel.Proc) int { return c.finish(ctx, p.Stmts) })
	if err != nil {
		w.Close() //nolint:errcheck // nobody reads
		return "/dev/null"
	}
	s.p.SetFD(n, w)
	s.subs = append(s.subs, closer{n, task})
	return "/dev/fd/" + strconv.Itoa(n)
}

// endSubs closes the process substitutions of a command that has ended.
func (s *sh) endSubs(ctx context.Context) {
	for _, c := range s.subs {
		if f := s.p.FDs[c.fd]; f != nil {
			f.Close() //nolint:errcheck // the command that used it has ended
			delete(s.p.FDs, c.fd)
		}
		if c.task != nil {
			c.task.Wait(ctx)
		}
	}
	s.subs = nil
}

// assign does one name=value, name+=value, name[i]=value or name=(...).
func (s *sh) assign(ctx context.Context, a *syntax.Assign) bool {
	if a.Name == nil {
		return true
	}
	name := a.Name.Value
	switch {
	case a.Array != nil:
		return s.assignArray(ctx, name, a)
	case a.Index != nil:
		return s.setIndex(ctx, name, a.Index, s.text(ctx, a.Value), a.Append)
	}
	value := ""
	if a.Value != nil {
		value = s.assignText(ctx, a.Value)
	}
	if a.Append {
		if v := s.vars[name]; v != nil && v.integer {
			x, _ := s.arithText(ctx, v.value)
			y, _ := s.arithText(ctx, value)
			value = strconv.FormatInt(x+y, 10)
		} else {
			value = s.get(name) + value
		}
	}
	return s.set(ctx, name, value)
}

// assignText expands a value; a tilde also counts after ":".
func (s *sh) assignText(ctx context.Context, w *syntax.Word) string {
	t := s.text(ctx, w)
	if w.Lit() != "" && strings.Contains(t, ":~/") {
		t = strings.ReplaceAll(t, ":~/", ":"+s.get("HOME")+"/")
	}
	return t
}

func (s *sh) assignArray(ctx context.Context, name string, a *syntax.Assign) bool {
	v := s.vars[name]
	if v == nil {
		v = &variable{}
		s.vars[name] = v
	}
	if v.readonly {
		s.fail(1, "%s: readonly variable", name)
		return false
	}
	if !a.Append {
		v.list, v.holes = nil, nil
		if v.dict != nil {
			v.dict = map[string]string{}
		}
	}
	v.isArray = v.dict == nil
	for _, el := range a.Array.Elems {
		if el.Index != nil {
			s.setIndex(ctx, name, el.Index, s.text(ctx, el.Value), false)
			continue
		}
		vals := s.args(ctx, []*syntax.Word{el.Value})
		if len(v.list)+len(vals) > maxFields || s.p.Step(int64(len(vals))) != nil {
			return false
		}
		v.list = append(v.list, vals...)
	}
	return true
}

func (s *sh) setIndex(ctx context.Context, name string, index syntax.ArithmExpr, value string, add bool) bool {
	v := s.vars[name]
	if v == nil {
		v = &variable{isArray: true}
		s.vars[name] = v
	}
	if v.readonly {
		s.fail(1, "%s: readonly variable", name)
		return false
	}
	if s.p.S.Budget.Grow(int64(len(value)+16)) != nil {
		return false
	}
	if v.dict != nil {
		key := ""
		if w, ok := index.(*syntax.Word); ok {
			key = s.text(ctx, w)
		}
		if add {
			value = v.dict[key] + value
		}
		v.dict[key] = value
		return true
	}
	i := s.arith(ctx, index)
	if !v.isArray {
		v.isArray, v.list = true, []string{v.value}
	}
	if i < 0 {
		i += int64(len(v.list))
	}
	if i < 0 || i >= maxFields {
		s.fail(1, "%s[%d]: bad array subscript", name, i)
		return false
	}
	for int64(len(v.list)) <= i {
		if v.holes == nil {
			v.holes = map[int]bool{}
		}
		v.holes[len(v.list)] = true
		v.list = append(v.list, "")
	}
	delete(v.holes, int(i))
	if add {
		value = v.list[i] + value
	}
	v.list[i] = value
	return true
}
