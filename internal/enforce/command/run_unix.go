//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// trusted says why a file could be changed by somebody whom root does not
// trust: it, and every directory above it, has to belong to owner or root, and
// only they may write there.
func trusted(path string, owner int) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("%q: an absolute path without . and .. is needed", path)
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	st, err := os.Stat(target)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is no ordinary file", path)
	}
	for p := target; ; p = filepath.Dir(p) {
		st, err := os.Lstat(p)
		if err != nil {
			return err
		}
		s, ok := st.Sys().(*syscall.Stat_t)
		if !ok || s.Uid != 0 && int(s.Uid) != owner {
			return fmt.Errorf("%s does not belong to root: chown root it", p)
		}
		sticky := st.IsDir() && st.Mode()&os.ModeSticky != 0 && p != filepath.Dir(target)
		if st.Mode().Perm()&0o022 != 0 && !sticky {
			return fmt.Errorf("others than root can write %s: chmod go-w it", p)
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

// execute runs one program with one line of input. Its children end with it.
func (b *Command) execute(ctx context.Context, argv []string, input string) error {
	err := b.one(ctx, argv, input)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = err
	return err
}

func (b *Command) one(ctx context.Context, argv []string, input string) error {
	if err := trusted(argv[0], b.c.Owner); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.cmds.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	if input != "" {
		cmd.Stdin = strings.NewReader(input + "\n")
	}
	var out said
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: it did not end within %s", argv[0], b.cmds.Timeout)
	}
	if err != nil && len(out.b) > 0 {
		return fmt.Errorf("%s: %w: %q", argv[0], err, strings.TrimSpace(string(out.b)))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

// said keeps the first bytes of what a program says.
type said struct{ b []byte }

// Write takes everything.
func (s *said) Write(p []byte) (int, error) {
	s.b = append(s.b, p[:min(len(p), maxOutput-len(s.b))]...)
	return len(p), nil
}
