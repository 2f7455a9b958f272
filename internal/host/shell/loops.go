package shell

import (
	"context"
	"fmt"

	"mvdan.cc/sh/v3/syntax"
)

func (s *sh) ifClause(ctx context.Context, c *syntax.IfClause) {
	for c != nil {
		if len(c.Cond) > 0 {
			s.noExit++
			s.stmts(ctx, c.Cond)
			s.noExit--
			if s.stop(ctx) {
				return
			}
			if s.status != 0 {
				s.status = 0
				c = c.Else
				continue
			}
		}
		s.stmts(ctx, c.Then)
		return
	}
	s.status = 0
}

// looped runs the body of a loop once; it reports whether to go on.
func (s *sh) looped(ctx context.Context, body []*syntax.Stmt) bool {
	s.stmts(ctx, body)
	switch s.jump.kind {
	case jumpBreak, jumpContinue:
		if s.jump.n > 1 && s.loops > 1 {
			s.jump.n--
			return false
		}
		again := s.jump.kind == jumpContinue
		s.jump = jump{}
		return again
	}
	return s.step(ctx)
}

func (s *sh) while(ctx context.Context, c *syntax.WhileClause) {
	s.loops++
	defer func() { s.loops-- }()
	last := 0
	for s.step(ctx) {
		s.noExit++
		s.stmts(ctx, c.Cond)
		s.noExit--
		if s.stop(ctx) {
			if s.jump.kind == jumpBreak || s.jump.kind == jumpContinue {
				s.jump = jump{}
			}
			break
		}
		if (s.status == 0) == c.Until {
			s.status = last
			return
		}
		if !s.looped(ctx, c.Do) {
			return
		}
		last = s.status
	}
}

func (s *sh) forClause(ctx context.Context, c *syntax.ForClause) {
	s.loops++
	defer func() { s.loops-- }()
	if loop, ok := c.Loop.(*syntax.CStyleLoop); ok {
		s.cStyle(ctx, loop, c.Do)
		return
	}
	it, ok := c.Loop.(*syntax.WordIter)
	if !ok {
		return
	}
	list := s.params
	if it.InPos.IsValid() {
		list = s.args(ctx, it.Items)
	}
	s.status = 0
	if c.Select {
		s.selectLoop(ctx, it.Name.Value, list, c.Do)
		return
	}
	for _, v := range list {
		if s.stop(ctx) || !s.set(ctx, it.Name.Value, v) || !s.looped(ctx, c.Do) {
			return
		}
	}
}

func (s *sh) cStyle(ctx context.Context, c *syntax.CStyleLoop, body []*syntax.Stmt) {
	if c.Init != nil {
		s.arith(ctx, c.Init)
	}
	s.status = 0
	for s.step(ctx) && (c.Cond == nil || s.arith(ctx, c.Cond) != 0) {
		if s.stop(ctx) || !s.looped(ctx, body) {
			return
		}
		if c.Post != nil {
			s.arith(ctx, c.Post)
		}
	}
}

func (s *sh) selectLoop(ctx context.Context, name string, list []string, body []*syntax.Stmt) {
	for s.step(ctx) {
		for i, v := range list {
			fmt.Fprintf(s.p.Stderr(), "%d) %s\n", i+1, v) //nolint:errcheck // the visitor's own stderr
		}
		fmt.Fprint(s.p.Stderr(), "#? ") //nolint:errcheck // as above
		line, ok := s.readLine(ctx, s.p.Stdin(), '\n', 0)
		if !ok {
			return
		}
		s.put("REPLY", line)
		v := ""
		if n, _ := number(line); n >= 1 && n <= int64(len(list)) {
			v = list[n-1]
		}
		if !s.set(ctx, name, v) || !s.looped(ctx, body) {
			return
		}
	}
}

func (s *sh) caseClause(ctx context.Context, c *syntax.CaseClause) {
	word := s.text(ctx, c.Word)
	s.status = 0
	through := false
	for _, item := range c.Items {
		hit := through
		for i := 0; i < len(item.Patterns) && !hit; i++ {
			hit = match(s.pattern(ctx, item.Patterns[i]), word, s.opts.nocase)
		}
		if !hit {
			continue
		}
		s.stmts(ctx, item.Stmts)
		switch item.Op {
		case syntax.Fallthrough:
			through = true
		case syntax.Resume:
			through = false
		default:
			return
		}
	}
}
