package shell

import (
	"context"
	"errors"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// external runs a program of the file system.
func (s *sh) external(ctx context.Context, args []string) {
	c := s.p.Child(args...)
	c.Env = s.environ()
	c.PGID, c.Root = 0, 0
	status, err := s.start(ctx, c)
	if err == nil {
		s.status = status
		return
	}
	if errors.Is(err, vfs.ENOEXEC) {
		s.script(ctx, args)
		return
	}
	s.notRun(args[0], err)
}

// start runs c and waits, under the control of the terminal where s has one.
func (s *sh) start(ctx context.Context, c *kernel.Proc) (status int, err error) {
	if !s.controls() {
		return s.p.Run(ctx, c)
	}
	return s.inForeground(ctx, func(ctx context.Context, j *job) (*kernel.Task, error) {
		j.proc = c
		c.Join(j.group)
		return s.p.Start(ctx, c)
	})
}

// notRun words why a program did not start.
func (s *sh) notRun(name string, err error) {
	slash := strings.Contains(name, "/")
	shown := name
	if s.dialect == Bash {
		shown = printable(name)
	}
	if in, e := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(name)); slash && e == nil && in.Kind == vfs.Dir {
		err = vfs.EISDIR
	}
	switch {
	case errors.Is(err, vfs.ENOENT) && s.dialect == Bash && !slash && s.get("PATH") == "":
		s.fail(127, "%s: %s", shown, err)
	case errors.Is(err, vfs.ENOENT) && (!slash || s.dialect != Bash):
		text := "command not found"
		if s.dialect != Bash {
			text = "not found"
		}
		s.fail(127, "%s: %s", shown, text)
	case errors.Is(err, vfs.ENOENT), errors.Is(err, vfs.ENOTDIR):
		s.fail(map[bool]int{true: 127, false: 126}[errors.Is(err, vfs.ENOENT)], "%s: %s", shown, err)
	case errors.Is(err, vfs.EISDIR) && s.dialect != Bash:
		s.fail(126, "%s: %s", shown, vfs.EACCES)
	case errors.Is(err, vfs.EAGAIN):
		s.fail(254, "fork: retry: Resource temporarily unavailable")
	default:
		s.fail(126, "%s: %s", shown, err)
	}
}

// script runs a file without a #! line, or says that it is none.
func (s *sh) script(ctx context.Context, args []string) {
	path, err := s.p.LookPath(args[0])
	if err != nil {
		s.notRun(args[0], err)
		return
	}
	data, err := s.p.M.FS.ReadFile(s.p.Caller, s.p.Abs(path), maxSource)
	if err != nil {
		s.notRun(args[0], err)
		return
	}
	if binary(data) {
		if isELF(data) && s.p.M.Runs != nil {
			s.status = s.p.M.Runs(ctx, s.p, path)
			return
		}
		s.fail(126, "%s: cannot execute binary file: Exec format error", args[0])
		return
	}
	sub := s.subProc()
	defer sub.CloseFDs()
	c := s.fork(sub)
	c.funcs, c.opts = nil, options{}
	c.name, c.file, c.params = args[0], args[0], args[1:]
	s.status = c.source(ctx, string(data))
}

func isELF(data []byte) bool { return len(data) > 4 && string(data[:4]) == "\x7fELF" }

func binary(data []byte) bool {
	line := data[:min(len(data), 80)]
	for _, c := range line {
		if c == '\n' {
			return false
		}
		if c == 0 {
			return true
		}
	}
	return false
}
