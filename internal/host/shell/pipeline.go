package shell

import (
	"context"
	"strconv"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// pipeline runs a | b | c, each in a subshell of its own, all at once.
func (s *sh) pipeline(ctx context.Context, c *syntax.BinaryCmd) {
	var status []int
	if s.controls() {
		var now *job
		s.status, _ = s.inForeground(ctx, func(ctx context.Context, j *job) (*kernel.Task, error) { // it always begins
			all := s.pipe(ctx, c, j.group)
			now = j
			j.task, j.proc = s.p.Go(ctx, j.group, func() int {
				status = all()
				return status[len(status)-1]
			})
			return j.task, nil
		})
		if !now.done() { // it was stopped
			return
		}
	} else {
		status = s.pipe(ctx, c, s.p.Job)()
		s.status = status[len(status)-1]
	}
	if s.opts.pipefail {
		for _, st := range status {
			if st != 0 {
				s.status = st
			}
		}
	}
	if s.dialect == Bash && status != nil {
		v := &variable{isArray: true}
		for _, st := range status {
			v.list = append(v.list, strconv.Itoa(st))
		}
		s.vars["PIPESTATUS"] = v
	}
}

// elements are the parts of a pipeline; of each all but the last, whether its
// errors go through the pipe too.
func elements(c *syntax.BinaryCmd) (elems []*syntax.Stmt, both []bool) {
	for {
		elems = append([]*syntax.Stmt{c.Y}, elems...)
		both = append([]bool{c.Op == syntax.PipeAll}, both...)
		next, ok := c.X.Cmd.(*syntax.BinaryCmd)
		if !ok || next.Op != syntax.Pipe && next.Op != syntax.PipeAll || len(c.X.Redirs) > 0 || c.X.Negated {
			return append([]*syntax.Stmt{c.X}, elems...), both
		}
		c = next
	}
}

// pipe prepares the processes of a pipeline; run runs them and gives their
// statuses.
func (s *sh) pipe(ctx context.Context, c *syntax.BinaryCmd, group *kernel.Job) (run func() []int) {
	elems, both := elements(c)
	status := make([]int, len(elems))
	runs := make([]func(), len(elems))
	var in *kernel.FD
	for i, st := range elems {
		sub := s.subProc()
		sub.Join(group)
		if in != nil {
			sub.SetFD(0, in)
		}
		if i < len(elems)-1 {
			r, w := kernel.Pipe(ctx, s.p.S.Budget)
			sub.SetFD(1, w)
			if both[i] {
				sub.SetFD(2, w.Dup())
			}
			in = r
		}
		if s.p.S.Budget.Spawn() != nil {
			sub.CloseFDs()
			s.fail(254, "fork: retry: Resource temporarily unavailable")
			status[i] = 254
			continue
		}
		c := s.fork(sub)
		c.noExit = 0
		runs[i] = func() {
			defer s.p.S.Budget.Exited()
			defer sub.CloseFDs()
			status[i] = c.finish(ctx, []*syntax.Stmt{st})
		}
	}
	return func() []int {
		var wg sync.WaitGroup
		last := len(runs) - 1
		for _, r := range runs[:last] {
			if r != nil {
				wg.Go(r)
			}
		}
		if runs[last] != nil {
			runs[last]()
		}
		wg.Wait()
		return status
	}
}
