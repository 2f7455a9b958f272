package system

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// run starts c for a program that runs another; the errors are coreutils'.
func run(ctx context.Context, p, c *kernel.Proc) int {
	name := c.Args[0]
	if _, set := c.Env["PATH"]; !set && !strings.Contains(name, "/") { // execvp's own path
		for _, d := range []string{"/bin/", "/usr/bin/"} {
			if _, err := p.M.FS.Stat(p.Caller, d+name); err == nil {
				c.Path = d + name
				break
			}
		}
	}
	st, err := p.Run(ctx, c)
	if err == nil {
		return st
	}
	switch getopt.Base(p.Args[0]) {
	case "env", "nice":
		errorf(p, "‘%s’: %s", name, err)
	case "nohup", "chroot":
		errorf(p, "failed to run command '%s': %s", name, err)
	case "setsid", "ionice", "chrt", "taskset", "flock", "unshare", "nsenter":
		errorf(p, "failed to execute %s: %s", name, err)
	default:
		errorf(p, "failed to run command ‘%s’: %s", name, err)
	}
	return map[bool]int{true: 127, false: 126}[errors.Is(err, vfs.ENOENT)]
}

func env(ctx context.Context, p *kernel.Proc) int {
	printing := getopt.Base(p.Args[0]) == "printenv"
	o := getopt.Parse(p.Args[1:], "+i0u:C:S:v", "ignore-environment/i null/0 unset/u chdir/C split-string/S debug/v")
	if o.Bad != "" {
		return getopt.Usage(p, o, 125)
	}
	if printing {
		return printenv(p, o)
	}
	c := p.Child()
	args := o.Args
	if o.Has("i") || len(args) > 0 && args[0] == "-" {
		clear(c.Env)
	}
	for _, u := range o.All("u") {
		delete(c.Env, u)
	}
	if o.Has("S") {
		args = append(strings.Fields(o.Get("S")), args...)
	}
	if len(args) > 0 && args[0] == "-" {
		args = args[1:]
	}
	for len(args) > 0 {
		k, v, set := strings.Cut(args[0], "=")
		if !set {
			break
		}
		c.Env[k] = v
		args = args[1:]
	}
	if len(args) > 0 {
		if o.Has("C") {
			c.Dir = p.Abs(o.Get("C"))
		}
		c.Args = args
		return run(ctx, p, c)
	}
	c.CloseFDs()
	listEnv(p, c.Env, o)
	return 0
}

func listEnv(p *kernel.Proc, vars map[string]string, o getopt.Opts) {
	end := "\n"
	if o.Has("0") {
		end = "\x00"
	}
	var out []string
	for k, v := range vars {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	for _, l := range out {
		put(p, "%s%s", l, end)
	}
}

func printenv(p *kernel.Proc, o getopt.Opts) int {
	if len(o.Args) == 0 {
		listEnv(p, p.Env, o)
		return 0
	}
	status := 0
	for _, a := range o.Args {
		v, ok := p.Env[a]
		if !ok {
			status = 1
			continue
		}
		put(p, "%s\n", v)
	}
	return status
}

// span reads a time of sleep and timeout: 1.5, 10s, 2m, 1h, 1d, infinity.
func span(text string) (time.Duration, bool) {
	unit := time.Second
	if n := len(text) - 1; n > 0 {
		if u, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[text[n]]; ok {
			unit, text = u, text[:n]
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f != f {
		return 0, false
	}
	if f*float64(unit) > float64(1<<62) {
		return 1 << 62, true
	}
	return time.Duration(f * float64(unit)), true
}

func sleep(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+", "")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		errorf(p, "missing operand")
		return getopt.Hint(p, 1)
	}
	total, bad := time.Duration(0), false
	for _, a := range o.Args {
		d, ok := span(a)
		if !ok {
			errorf(p, "invalid time interval ‘%s’", a)
			bad = true
		}
		if total += d; total < 0 {
			total = 1 << 62
		}
	}
	if bad {
		return getopt.Hint(p, 1)
	}
	if p.M.Clock.Sleep(ctx, total) != nil {
		return 130
	}
	return 0
}

// wrapped is nohup, nice, setsid, stdbuf, ionice, chrt, taskset, chroot and
// their like: programs that change something unseen and run another.
func wrapped(ctx context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	letters := map[string]string{
		"nice": "+n:", "setsid": "+cfw", "stdbuf": "+i:o:e:", "ionice": "+c:n:p:tu", "chrt": "+abfimoprRT:P:D:v", "taskset": "+apc", "nohup": "+", "unshare": "+mnpiuUCTfrR:", "nsenter": "+at:m?u?i?n?p?F",
		"flock": "+sxunE:w:oc:Fv", "systemd-cat": "+t:p:", "prlimit": "+p:n:", "chroot": "+",
	}[name]
	o := getopt.Parse(p.Args[1:], letters, "adjustment/n ctty/c fork/f wait/w input/i output/o error/e class/c classdata/n cpu-list/c pid/p mount/m net/n ipc/i uts/u user/U target/t all/a nonblock/n map-root-user/r shared/s exclusive/x command/c")
	if o.Bad != "" {
		return getopt.Usage(p, o, 125)
	}
	args := o.Args
	switch name {
	case "nice":
		if len(args) == 0 {
			if o.Has("n") {
				errorf(p, "a command must be given with an adjustment")
				return getopt.Hint(p, 125)
			}
			put(p, "%d\n", p.Nice)
			return 0
		}
	case "taskset", "chrt", "flock":
		if len(args) > 0 && (name != "flock" || !o.Has("c")) {
			args = args[1:]
		}
		if o.Has("c") && name == "flock" {
			args = []string{"sh", "-c", o.Get("c")}
		}
		if o.Has("p") {
			put(p, "pid %s's current affinity mask: f\n", strings.Join(o.Args, ""))
			return 0
		}
	case "chroot":
		if len(args) == 0 {
			errorf(p, "missing operand")
			return getopt.Hint(p, 125)
		}
		if in, err := p.M.FS.Stat(p.Caller, p.Abs(args[0])); err != nil || in.Kind != vfs.Dir {
			errorf(p, "cannot change root directory to '%s': %s", args[0], vfs.ENOENT)
			return 125
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(args[0])+"/bin/bash"); err != nil {
			errorf(p, "failed to run command ‘/bin/bash’: %s", vfs.ENOENT)
			return 127
		}
		args = args[1:]
		if len(args) == 0 {
			args = []string{"/bin/bash", "-i"}
		}
	case "unshare", "nsenter":
		if len(args) == 0 {
			args = []string{p.S.User.Shell}
		}
	}
	if len(args) == 0 {
		return noCommand(p, name)
	}
	c := p.Child(args...)
	if name == "nohup" {
		return nohup(ctx, p, c)
	}
	if name == "setsid" {
		c.PGID = 0
	}
	if name == "nice" {
		c.Nice += o.Int("n", 10)
	}
	return run(ctx, p, c)
}

// noCommand is what a wrapping program says when nothing follows its options.
func noCommand(p *kernel.Proc, name string) int {
	switch name {
	case "setsid":
		errorf(p, "no command specified")
		return getopt.Hint(p, 1)
	case "flock":
		errorf(p, "not enough arguments\nTry 'flock --help' for more information.")
		return 64
	case "ionice":
		put(p, "none: prio 0\n")
		return 0
	}
	errorf(p, "missing operand")
	return getopt.Hint(p, 125)
}

// nohup redirects what is a terminal.
func nohup(ctx context.Context, p, c *kernel.Proc) int {
	switch {
	case p.IsTTY(1):
		name := "nohup.out"
		h, err := p.M.FS.Open(p.Caller, p.Abs(name), vfs.WriteOnly|vfs.Create|vfs.Append, 0o600)
		if err != nil {
			name = p.Getenv("HOME") + "/nohup.out"
			if h, err = p.M.FS.Open(p.Caller, name, vfs.WriteOnly|vfs.Create|vfs.Append, 0o600); err != nil {
				errorf(p, "failed to open 'nohup.out': %s", err)
				c.CloseFDs()
				return 125
			}
		}
		lead := ""
		if p.IsTTY(0) {
			lead = "ignoring input and "
		}
		errorf(p, "%sappending output to '%s'", lead, name)
		f := kernel.FileFD(h)
		if p.IsTTY(2) {
			c.SetFD(2, f.Dup())
		}
		c.SetFD(1, f)
	case p.IsTTY(0):
		errorf(p, "ignoring input")
	}
	return run(ctx, p, c)
}

func timeout(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+k:s:v", "kill-after/k signal/s verbose/v foreground preserve-status")
	if o.Bad != "" {
		return getopt.Usage(p, o, 125)
	}
	if len(o.Args) < 2 {
		return getopt.Hint(p, 125)
	}
	d, ok := span(o.Args[0])
	if !ok {
		errorf(p, "invalid time interval ‘%s’", o.Args[0])
		return getopt.Hint(p, 125)
	}
	sig := kernel.SIGTERM
	if o.Has("s") {
		if sig, ok = kernel.SignalNumber(o.Get("s")); !ok {
			errorf(p, "‘%s’: invalid signal", o.Get("s"))
			return getopt.Hint(p, 125)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var late atomic.Bool
	if d > 0 {
		stop := p.M.Clock.AfterFunc(d, func() { late.Store(true); cancel() })
		defer stop()
	}
	st := run(ctx, p, p.Child(o.Args[1:]...))
	switch {
	case !late.Load():
		return st
	case sig == kernel.SIGKILL:
		return 137
	case o.Has("preserve-status"):
		return 128 + sig
	}
	return 124
}

// viaShell runs a builtin's twin in /usr/bin by the shell's own code; a copy
// under another name does the same.
func viaShell(name string) kernel.Program {
	return func(ctx context.Context, p *kernel.Proc) int {
		if len(p.Args) == 2 && (p.Args[1] == "--version" || p.Args[1] == "--help") && name != "test" {
			return getopt.Usage(p, getopt.Opts{Bad: p.Args[1]}, 0)
		}
		st, err := p.Run(ctx, p.Child(append([]string{"bash", "-c", `"$0" "$@"`, name}, p.Args[1:]...)...))
		if err != nil {
			return 127
		}
		return st
	}
}

// watch shows a command's output again and again until a key or a signal.
func watch(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+bcd?eghn:ptx", "beep/b color/c differences?/d errexit/e chgexit/g interval/n precise/p no-title/t exec/x")
	if o.Bad != "" || len(o.Args) == 0 {
		fmt.Fprint(p.Stderr(), "\nUsage:\n watch [options] command\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	if p.Getenv("TERM") == "" || !p.IsTTY(1) {
		fmt.Fprint(p.Stderr(), "Error opening terminal: unknown.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	every, ok := span(o.Get("n"))
	if !ok {
		every = 2 * time.Second
	}
	line := strings.Join(o.Args, " ")
	for ctx.Err() == nil {
		head := fmt.Sprintf("Every %.1fs: %s", every.Seconds(), line)
		put(p, "\x1b[H\x1b[2J%s    %s: %s\n\n", head, p.M.Persona.Hostname, p.Now().UTC().Format("Mon Jan _2 15:04:05 2006"))
		if _, err := p.Run(ctx, p.Child("sh", "-c", line)); err != nil || p.M.Clock.Sleep(ctx, max(every, 100*time.Millisecond)) != nil {
			break
		}
	}
	return 0
}
