package shell

import (
	"context"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// stmts runs a list.
func (s *sh) stmts(ctx context.Context, list []*syntax.Stmt) {
	for _, st := range list {
		if !s.step(ctx) {
			return
		}
		s.stmt(ctx, st)
	}
}

// stmt runs one statement with its redirections, negation and "&".
func (s *sh) stmt(ctx context.Context, st *syntax.Stmt) {
	if line := int(st.Pos().Line()); line > 0 {
		s.line = line
	}
	if st.Background {
		s.background(ctx, st)
		return
	}
	if st.Negated {
		s.noExit++
	}
	s.redirected(ctx, st)
	if len(s.subs) > 0 {
		s.endSubs(ctx)
	}
	if st.Negated {
		s.noExit--
		if s.jump.kind == noJump {
			s.status = 1 - min(s.status, 1)
		}
	}
}

func (s *sh) redirected(ctx context.Context, st *syntax.Stmt) {
	s.stmtNow = st
	if len(st.Redirs) == 0 {
		s.command(ctx, st.Cmd)
		s.errexit(st)
		return
	}
	undo, ok := s.redirect(ctx, st.Redirs)
	keep := false
	if ok {
		if call, isCall := st.Cmd.(*syntax.CallExpr); isCall && len(call.Args) == 1 && call.Args[0].Lit() == "exec" {
			keep = true
			s.status = 0
		} else if st.Cmd == nil {
			s.status = 0
		} else {
			s.command(ctx, st.Cmd)
		}
	}
	undo(keep)
	s.errexit(st)
}

func (s *sh) errexit(st *syntax.Stmt) {
	if s.opts.errexit && s.status != 0 && s.noExit == 0 && !st.Negated && s.jump.kind == noJump {
		if b, ok := st.Cmd.(*syntax.BinaryCmd); ok && (b.Op == syntax.AndStmt || b.Op == syntax.OrStmt) {
			return
		}
		s.jump = jump{kind: jumpExit}
	}
}

func (s *sh) command(ctx context.Context, cmd syntax.Command) {
	s.depth++
	defer func() { s.depth-- }()
	if s.p.S.Budget.TooDeep((s.depth + 3) / 4) {
		s.fail(2, "maximum nesting level exceeded")
		s.jump = jump{kind: jumpExit}
		return
	}
	switch c := cmd.(type) {
	case *syntax.CallExpr:
		s.call(ctx, c)
	case *syntax.BinaryCmd:
		s.binaryCmd(ctx, c)
	case *syntax.Subshell:
		s.subshell(ctx, c.Stmts)
	case *syntax.Block:
		s.stmts(ctx, c.Stmts)
	case *syntax.IfClause:
		s.ifClause(ctx, c)
	case *syntax.WhileClause:
		s.while(ctx, c)
	case *syntax.ForClause:
		s.forClause(ctx, c)
	case *syntax.CaseClause:
		s.caseClause(ctx, c)
	case *syntax.FuncDecl:
		s.define(c)
	case *syntax.ArithmCmd:
		s.arithStatus(s.arith(ctx, c.X))
	case *syntax.LetClause:
		n := int64(0)
		for _, x := range c.Exprs {
			n = s.arith(ctx, x)
		}
		s.arithStatus(n)
	case *syntax.TestClause:
		s.status = 1
		if s.testExpr(ctx, c.X) {
			s.status = 0
		}
	case *syntax.DeclClause:
		s.declare(ctx, c)
	case *syntax.TimeClause:
		s.timeClause(ctx, c)
	case *syntax.CoprocClause:
		s.background(ctx, c.Stmt)
	case nil:
	default:
		s.fail(2, "syntax error")
	}
}

func (s *sh) arithStatus(n int64) {
	if s.jump.kind != noJump {
		return
	}
	s.status = int(truth(n == 0))
}

func (s *sh) define(c *syntax.FuncDecl) {
	if c.Name == nil { // "() body", which other shells allow
		s.fail(2, "syntax error near unexpected token `)'")
		return
	}
	if s.funcs == nil {
		s.funcs = map[string]*syntax.FuncDecl{}
	}
	if len(s.funcs) < 1000 {
		s.funcs[c.Name.Value] = c
	}
	s.status = 0
}

func (s *sh) timeClause(ctx context.Context, c *syntax.TimeClause) {
	began := s.p.Now()
	if c.Stmt != nil {
		s.stmt(ctx, c.Stmt)
	}
	d := s.p.Now().Sub(began).Seconds()
	form := "\nreal\t%dm%.3fs\nuser\t0m0.00%ds\nsys\t0m0.00%ds\n"
	if c.PosixFormat {
		fmt.Fprintf(s.p.Stderr(), "real %.2f\nuser 0.00\nsys 0.00\n", d) //nolint:errcheck // the visitor's own stderr
		return
	}
	fmt.Fprintf(s.p.Stderr(), form, int(d)/60, d-float64(int(d)/60*60), s.p.M.Rand.IntN(4), s.p.M.Rand.IntN(4)) //nolint:errcheck // the visitor's own stderr
}

func (s *sh) binaryCmd(ctx context.Context, c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.AndStmt, syntax.OrStmt:
		s.noExit++
		s.stmt(ctx, c.X)
		s.noExit--
		if !s.stop(ctx) && (s.status == 0) == (c.Op == syntax.AndStmt) {
			s.stmt(ctx, c.Y)
		}
	default:
		s.pipeline(ctx, c)
	}
}

// subProc is the process of a subshell.
func (s *sh) subProc() *kernel.Proc {
	c := s.p.Child(s.p.Args...)
	c.PPID = s.p.PPID
	c.PID = s.p.PID
	c.Root = s.p.M.ShellPID(s.p)
	c.Caller.PID = s.p.Caller.PID
	return c
}

// finish runs a subshell to its end, the exit trap included.
func (s *sh) finish(ctx context.Context, list []*syntax.Stmt) int {
	s.stmts(ctx, list)
	s.runExitTrap(ctx)
	return s.status
}

func (s *sh) runExitTrap(ctx context.Context) {
	t, ok := s.traps["EXIT"]
	if !ok || ctx.Err() != nil {
		return
	}
	delete(s.traps, "EXIT")
	status := s.status
	s.jump = jump{}
	s.eval(ctx, t)
	if s.jump.kind != jumpExit {
		s.status = status
	}
}

func (s *sh) subshell(ctx context.Context, list []*syntax.Stmt) {
	sub := s.subProc()
	c := s.fork(sub)
	if s.p.S.Budget.TooDeep(c.calls) {
		sub.CloseFDs()
		s.fail(254, "fork: retry: Resource temporarily unavailable")
		return
	}
	c.calls++
	if s.controls() {
		s.status, _ = s.inForeground(ctx, func(ctx context.Context, j *job) (*kernel.Task, error) { // it always begins
			sub.Join(j.group)
			j.task, j.proc = s.p.Go(ctx, j.group, func() int {
				defer sub.CloseFDs()
				return c.finish(ctx, list)
			})
			return j.task, nil
		})
		return
	}
	defer sub.CloseFDs()
	s.status = c.finish(ctx, list)
	if c.jump.kind == jumpExit && ctx.Err() != nil {
		s.jump = c.jump
	}
}

// background starts st as a job.
func (s *sh) background(ctx context.Context, st *syntax.Stmt) {
	fg := *st
	fg.Background = false
	sub := s.subProc()
	if !s.opts.interactive {
		if h, err := s.p.M.FS.Open(s.p.Caller, "/dev/null", vfs.ReadOnly, 0); err == nil {
			sub.SetFD(0, kernel.FileFD(h))
		}
	}
	sub.PGID = 0
	c := s.fork(sub)
	c.opts.interactive = false
	if s.life != nil {
		ctx = s.life
	}
	j := &job{}
	if s.controls() {
		ctx, j = s.newJob()
		sub.Join(j.group)
	} else {
		ctx, j.end = context.WithCancelCause(ctx)
	}
	task, err := sub.Launch(ctx, func(ctx context.Context, _ *kernel.Proc) int { return c.finish(ctx, []*syntax.Stmt{&fg}) })
	if err != nil {
		j.end(nil)
		s.fail(254, "fork: retry: Resource temporarily unavailable")
		return
	}
	j.pid, j.text, j.task, j.proc, j.async = task.PID, jobText(&fg), task, sub, true
	s.add(j)
	s.lastBG = task.PID
	s.status = 0
	if s.opts.interactive {
		fmt.Fprintf(s.p.Stderr(), "[%d] %d\n", j.id, task.PID) //nolint:errcheck // the visitor's own stderr
	}
}

func source(n syntax.Node) string {
	var b strings.Builder
	syntax.NewPrinter(syntax.SingleLine(true), syntax.SpaceRedirects(true)).Print(&b, n) //nolint:errcheck // to memory
	return strings.TrimSpace(b.String())
}

// call runs a simple command.
func (s *sh) call(ctx context.Context, c *syntax.CallExpr) {
	s.subst = false
	args := s.args(ctx, c.Args)
	if s.stop(ctx) {
		return
	}
	if len(args) == 0 {
		if !s.subst {
			s.status = 0
		}
		for _, a := range c.Assigns {
			if !s.assign(ctx, a) {
				s.abort()
				return
			}
		}
		s.trace(c, nil)
		return
	}
	s.trace(c, args)
	if len(c.Assigns) > 0 {
		defer s.temporary(ctx, c.Assigns)()
	}
	s.invoke(ctx, args)
	s.lastArg = args[len(args)-1]
}

func (s *sh) trace(c *syntax.CallExpr, args []string) {
	if !s.opts.xtrace {
		return
	}
	line := strings.Join(args, " ")
	if args == nil {
		line = source(c)
	}
	fmt.Fprintf(s.p.Stderr(), "%s%s\n", s.ps4(), line) //nolint:errcheck // the visitor's own stderr
}

func (s *sh) ps4() string {
	if v, ok := s.lookup("PS4"); ok {
		return v
	}
	return "+ "
}

// temporary exports assignments for one command and gives back the undo.
func (s *sh) temporary(ctx context.Context, assigns []*syntax.Assign) func() {
	type saved struct {
		name string
		old  *variable
	}
	var undo []saved
	for _, a := range assigns {
		name := a.Name.Value
		old := s.vars[name]
		if old != nil {
			n := *old
			s.vars[name] = &n
		}
		undo = append(undo, saved{name, old})
		if s.assign(ctx, a) {
			s.vars[name].exported = true
		}
	}
	return func() {
		for _, u := range undo {
			if u.old == nil {
				delete(s.vars, u.name)
			} else {
				s.vars[u.name] = u.old
			}
		}
	}
}

// invoke finds what a name stands for and runs it.
func (s *sh) invoke(ctx context.Context, args []string) {
	name := args[0]
	if f := s.funcs[name]; f != nil {
		s.function(ctx, f, args[1:])
		return
	}
	if b := builtin(s.dialect, name); b != nil {
		s.status = b(ctx, s, args)
		return
	}
	s.external(ctx, args)
}

func (s *sh) function(ctx context.Context, f *syntax.FuncDecl, args []string) {
	if s.calls++; s.p.S.Budget.TooDeep(s.calls) {
		s.fail(1, "%s: maximum function nesting level exceeded (%d)", f.Name.Value, s.p.S.Budget.Depth())
		s.jump = jump{kind: jumpExit}
		s.calls--
		return
	}
	params, loops := s.params, s.loops
	s.params, s.loops = args, 0
	s.scopes = append(s.scopes, nil)
	s.fnames = append(s.fnames, f.Name.Value)
	s.stmt(ctx, f.Body)
	for name, old := range s.scopes[len(s.scopes)-1] {
		if old == nil {
			delete(s.vars, name)
		} else {
			s.vars[name] = old
		}
	}
	s.scopes = s.scopes[:len(s.scopes)-1]
	s.fnames = s.fnames[:len(s.fnames)-1]
	s.params, s.loops = params, loops
	s.calls--
	if s.jump.kind == jumpReturn {
		s.jump = jump{}
	}
}
