//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// child is one process of ours that is kept running.
type child struct {
	name    string
	args    []string
	files   []*os.File                     // descriptors 4 and up
	orders  any                            // sent down the control socket
	prepare func(cmd *exec.Cmd, level int) // may set SysProcAttr; nil: Pdeathsig only
	levels  int                            // levels that prepare knows, 0 = 1
	dial    string                         // socket that "dial" connects to
	line    func(line string)              // other lines than ready and dial
	stderr  io.Writer
	log     *slog.Logger
	grace   time.Duration // between SIGTERM and SIGKILL

	ready     chan struct{}
	readyOnce sync.Once
	pid       atomic.Int64
	restarts  atomic.Int64
}

// FatalError is a child's own word that starting it again is no use.
type FatalError struct{ Text string }

// Error is the child's text.
func (e FatalError) Error() string { return e.Text }

// The backoff between restarts of a child.
const (
	backoffFirst = 100 * time.Millisecond
	backoffLast  = 10 * time.Second
	steady       = time.Minute // a child that lived this long starts over at backoffFirst
)

// run keeps the child running until ctx ends, then stops it gently. The error
// is a FatalError or the reason why it cannot be started at all.
func (c *child) run(ctx context.Context) error {
	wait := backoffFirst
	for {
		began := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to stop
		}
		if _, ok := errors.AsType[FatalError](err); ok {
			return err
		}
		if c.restarts.Load() >= firstTries && !c.wasReady() {
			return FatalError{fmt.Sprintf("%s does not start: %v", c.name, err)}
		}
		if time.Since(began) > steady {
			wait = backoffFirst
		}
		c.restarts.Add(1)
		c.log.Warn("a process of ours ended and is started again", "process", c.name, "error", err, "in", wait.String())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, backoffLast)
	}
}

// firstTries is how often a child that was never ready is started again.
const firstTries = 5

func (c *child) wasReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// once runs the child one time. The operating system ties Pdeathsig to the
// thread that starts it, so this goroutine keeps its thread.
func (c *child) once(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	conn, cmd, err := c.start()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the child is gone
	c.pid.Store(int64(cmd.Process.Pid))
	var fatal string
	var wg sync.WaitGroup
	wg.Go(func() {
		lines(conn, func(l string) {
			switch rest, isFatal := strings.CutPrefix(l, "fatal "); {
			case isFatal:
				fatal = rest
			case l == "ready":
				c.readyOnce.Do(func() { close(c.ready) })
			case l == "dial":
				answerDial(conn, c.dial) //nolint:errcheck // a dead child is seen by Wait
			case c.line != nil:
				c.line(l)
			}
		})
	})
	ended := make(chan struct{})
	wg.Go(func() { c.stop(ctx, ended, cmd) })
	err = cmd.Wait()
	close(ended)
	conn.Close() //nolint:errcheck // ends lines
	wg.Wait()
	if fatal != "" {
		return FatalError{fatal}
	}
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return err
}

func (c *child) stop(ctx context.Context, ended <-chan struct{}, cmd *exec.Cmd) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // already gone is fine
	select {
	case <-ended:
	case <-time.After(c.grace):
		c.log.Warn("a process of ours does not stop and is killed", "process", c.name)
		cmd.Process.Kill() //nolint:errcheck // as above
	}
}

func (c *child) start() (*net.UnixConn, *exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, FatalError{"find our own program: " + err.Error()}
	}
	path := ownProgram(exe)
	for level := 0; ; level++ {
		conn, theirs, err := socketPair()
		if err != nil {
			return nil, nil, err
		}
		cmd := exec.Command(path, c.args...) //nolint:noctx // ended in order by its own stop, not killed with ctx
		cmd.Args[0] = exe
		cmd.ExtraFiles = append([]*os.File{theirs}, c.files...)
		cmd.Stderr = c.stderr
		cmd.Dir = "/"
		cmd.Env = childEnv()
		cmd.SysProcAttr = deathSignal()
		if c.prepare != nil {
			c.prepare(cmd, level)
		}
		cmd.SysProcAttr.Setpgid = true // Ctrl-C is the supervisor's alone
		err = cmd.Start()
		theirs.Close() //nolint:errcheck // the child has its own copy
		if err == nil {
			if err := sendOrders(conn, c.orders); err != nil {
				cmd.Process.Kill() //nolint:errcheck // it is of no use
				cmd.Wait()         //nolint:errcheck // reaped
				conn.Close()       //nolint:errcheck // the other error is told
				return nil, nil, err
			}
			return conn, cmd, nil
		}
		conn.Close() //nolint:errcheck // the other error is told
		if level+1 >= c.levels {
			return nil, nil, fmt.Errorf("start %s: %w", c.name, err)
		}
		c.log.Warn("a process of ours cannot be started as confined as it should be: less is tried", "process", c.name, "error", err)
	}
}

// childEnv is the little of the environment that a child of ours reads.
func childEnv() []string {
	var env []string
	for _, k := range []string{"GOCOVERDIR", "GODEBUG", "GOTRACEBACK", "LAPWING_PROFILE", "LAPWING_TESTSCRIPT", "PATH"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}
