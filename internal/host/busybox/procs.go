package busybox

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// vsz is the size of a process in KiB: what a visitor runs is BusyBox itself.
func vsz(p *kernel.Proc, e kernel.Entry) int64 {
	if e.Live && p.M.Persona.Family == "busybox" {
		return 1512 + int64(len(e.Name)%3)*4
	}
	return e.VSZ
}

// stateOf is the STAT column: a process that looks at itself runs.
func stateOf(p *kernel.Proc, e kernel.Entry) string {
	switch {
	case e.PID == p.PID:
		return "R"
	case p.M.Persona.Family == "busybox":
		return e.State
	case strings.HasPrefix(e.Command, "["):
		return e.State[:1] + "W"
	}
	return e.State[:1]
}

func userOf(p *kernel.Proc, e kernel.Entry) string {
	if e.User != "" {
		return e.User
	}
	return p.M.UserName(e.UID)
}

// size is a column of KiB as ps and top write it.
func size(kb int64) string {
	if kb >= 100_000 {
		return fmt.Sprintf("%dm", kb/1024)
	}
	return strconv.FormatInt(kb, 10)
}

func ps(_ context.Context, p *kernel.Proc) int {
	_, values, _ := options(p, "o")
	if o := values['o']; o != "" {
		return psColumns(p, strings.Split(o, ","))
	}
	put(p, "  PID USER       VSZ STAT COMMAND\n")
	for _, e := range p.M.Table.List() {
		put(p, "%5d %-8.8s %5s %-4s %s\n", e.PID, userOf(p, e), size(vsz(p, e)), stateOf(p, e), e.Command)
	}
	return 0
}

func psColumns(p *kernel.Proc, cols []string) int {
	head := map[string]string{"pid": "PID  ", "ppid": "PPID ", "user": "USER    ", "comm": "COMMAND         ", "args": "COMMAND", "vsz": "VSZ ", "stat": "STAT", "time": "TIME  "}
	for i, c := range cols {
		if head[c] == "" {
			complain(p, "ps: bad -o argument '%s', supported arguments: user,group,comm,args,pid,ppid,pgid,etime,nice,rgroup,ruser,time,tty,vsz,sid,stat,rss\n", c)
			return 1
		}
		if i > 0 {
			put(p, " ")
		}
		put(p, "%s", head[c])
	}
	put(p, "\n")
	for _, e := range p.M.Table.List() {
		for i, c := range cols {
			if i > 0 {
				put(p, " ")
			}
			switch c {
			case "pid":
				put(p, "%5d", e.PID)
			case "ppid":
				put(p, "%5d", e.PPID)
			case "user":
				put(p, "%-8.8s", userOf(p, e))
			case "comm":
				put(p, "%-16.16s", e.Name)
			case "args":
				put(p, "%s", e.Command)
			case "vsz":
				put(p, "%4s", size(vsz(p, e)))
			case "stat":
				put(p, "%-4s", stateOf(p, e))
			case "time":
				put(p, "%2d:%02d ", int(e.CPU.Minutes()), int(e.CPU.Seconds())%60)
			}
		}
		put(p, "\n")
	}
	return 0
}

// memory is what /proc/meminfo says, once.
func memory(p *kernel.Proc) kernel.MemInfo { return p.M.MemInfo(p.Now()) }

func free(_ context.Context, p *kernel.Proc) int {
	flags, _, _ := options(p, "")
	m := memory(p)
	show := func(kb int64) string {
		switch {
		case strings.Contains(flags, "h"):
			return human(kb * 1024)
		case strings.Contains(flags, "b"):
			return strconv.FormatInt(kb*1024, 10)
		case strings.Contains(flags, "m"):
			return strconv.FormatInt(kb/1024, 10)
		case strings.Contains(flags, "g"):
			return strconv.FormatInt(kb>>20, 10)
		}
		return strconv.FormatInt(kb, 10)
	}
	cache := m.Cached + m.Buffers
	put(p, "              total        used        free      shared  buff/cache   available\nMem:   %12s%12s%12s%12s%12s%12s\nSwap:  %12s%12s%12s\n",
		show(m.Total), show(m.Total-m.Free-cache), show(m.Free), show(m.Shared), show(cache), show(m.Available), show(m.SwapTotal), show(m.SwapTotal-m.SwapFree), show(m.SwapFree))
	return 0
}

// human is a number of bytes as BusyBox's -h writes it: one decimal below 1024
// of a unit.
func human(n int64) string {
	if n == 0 {
		return "0"
	}
	v, unit := float64(n), 0
	for v >= 1024 && unit < 5 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%.1f%c", v, "KMGTP"[unit-1])
}

func top(ctx context.Context, p *kernel.Proc) int {
	flags, values, _ := options(p, "nd")
	rounds := -1
	if n, given := values['n']; given {
		v, err := strconv.Atoi(n)
		if err != nil || v < 0 {
			complain(p, "top: invalid number '%s'\n", n)
			return 1
		}
		rounds = v
	}
	delay := 5 * time.Second
	if d, err := strconv.Atoi(values['d']); err == nil && d > 0 {
		delay = time.Duration(d) * time.Second
	}
	batch := strings.Contains(flags, "b") || !p.IsTTY(1)
	if batch && rounds < 0 && !p.IsTTY(0) {
		rounds = 1
	}
	quit := make(chan struct{})
	if tty := p.S.TTY; !batch && rounds < 0 && tty != nil && p.IsTTY(0) {
		old := p.SetRaw(true)
		defer p.SetRaw(old)
		defer put(p, "\n")
		go keys(ctx, p, quit)
	}
	for n := 0; rounds < 0 || n < rounds; n++ {
		topScreen(p, batch)
		if n+1 == rounds {
			return 0
		}
		select {
		case <-quit:
			return 0
		case <-ctx.Done():
			return 0
		case <-after(ctx, p, delay):
		}
		if p.Step(50) != nil {
			return 1
		}
	}
	return 0
}

// after is a timer on the host's clock.
func after(ctx context.Context, p *kernel.Proc, d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	stop := p.M.Clock.AfterFunc(d, func() { close(c) })
	context.AfterFunc(ctx, func() { stop() })
	return c
}

// keys closes quit when the visitor presses q or ^C, or is gone. It ends with
// that key: top goes on until then.
func keys(ctx context.Context, p *kernel.Proc, quit chan<- struct{}) {
	defer close(quit)
	var b [1]byte
	for ctx.Err() == nil {
		n, err := p.Stdin().Read(b[:])
		switch {
		case n == 0 || err != nil || b[0] == 'q' || b[0] == 3:
			return
		case b[0] == 26:
			p.Suspend()
		}
	}
}

func topScreen(p *kernel.Proc, batch bool) {
	m, list := memory(p), p.M.Table.List()
	l := p.M.Load(p.Now())
	rows, cols := 1000, 1000
	var b strings.Builder
	if !batch {
		if p.S.TTY != nil {
			rows, cols = p.S.TTY.Size()
		}
		b.WriteString("\x1b[H\x1b[J")
	}
	line := func(format string, args ...any) {
		s := fmt.Sprintf(format, args...)
		b.WriteString(s[:min(len(s), cols)] + "\n")
	}
	line("Mem: %dK used, %dK free, %dK shrd, %dK buff, %dK cached", m.Total-m.Free, m.Free, m.Shared, m.Buffers, m.Cached)
	busy := p.M.Rand.IntN(4)
	line("CPU:  %2d%% usr  %2d%% sys   0%% nic %3d%% idle   0%% io   0%% irq   0%% sirq", busy/2, busy, 100-busy-busy/2)
	line("Load average: %.2f %.2f %.2f 1/%d %d", l[0], l[1], l[2], len(list), list[len(list)-1].PID)
	head := "  PID  PPID USER     STAT   VSZ %VSZ %CPU COMMAND"
	if batch {
		line("%s", head)
	} else {
		b.WriteString("\x1b[7m" + head[:min(len(head), cols)] + "\x1b[m\n")
	}
	sort.SliceStable(list, func(i, j int) bool { return vsz(p, list[i]) > vsz(p, list[j]) })
	for i, e := range list {
		if i >= rows-6 {
			break
		}
		kb := vsz(p, e)
		line("%5d %5d %-8.8s %-4s %6s %3d%% %3d%% %s", e.PID, e.PPID, userOf(p, e), stateOf(p, e), size(kb), kb*100/m.Total, 0, e.Command)
	}
	io.WriteString(p.Stdout(), b.String()) //nolint:errcheck // the visitor's own output
}

func kill(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	sig := kernel.SIGTERM
	if len(args) > 0 && args[0] == "-l" {
		for n := 1; n < 32; n++ {
			put(p, "%2d) %s\n", n, kernel.SignalName(n))
		}
		return 0
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
		name := args[0][1:]
		if name == "s" && len(args) > 1 {
			name, args = args[1], args[1:]
		}
		n, ok := kernel.SignalNumber(name)
		if !ok {
			complain(p, "%s: bad signal name '%s'\n", base(p.Args[0]), name)
			return 1
		}
		sig, args = n, args[1:]
	}
	if base(p.Args[0]) == "killall" {
		return killall(p, sig, args)
	}
	if len(args) == 0 {
		complain(p, "kill: you need to specify whom to kill\n")
		return 1
	}
	failed := 0
	for _, a := range args {
		pid, err := strconv.Atoi(a)
		if err != nil {
			complain(p, "kill: invalid number '%s'\n", a)
			failed++
		} else if !p.M.Table.Kill(pid, sig) {
			complain(p, "kill: can't kill pid %d: No such process\n", pid)
			failed++
		}
	}
	return failed
}

// pids are the processes called name, the newest first as BusyBox finds them.
func pids(p *kernel.Proc, name string) []int {
	var out []int
	for _, e := range p.M.Table.List() {
		arg0, _, _ := strings.Cut(e.Command, " ")
		if e.PID != p.PID && (e.Name == name || base(arg0) == name) {
			out = append(out, e.PID)
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(out)))
	return out
}

func killall(p *kernel.Proc, sig int, names []string) int {
	quiet := false
	if len(names) > 0 && names[0] == "-q" {
		quiet, names = true, names[1:]
	}
	if len(names) == 0 {
		complain(p, "killall: you need to specify whom to kill\n")
		return 1
	}
	failed := 0
	for _, n := range names {
		found := pids(p, n)
		if len(found) == 0 {
			failed++
			if !quiet {
				complain(p, "killall: %s: no process killed\n", n)
			}
		}
		for _, pid := range found {
			p.M.Table.Kill(pid, sig)
		}
	}
	return min(failed, 1)
}

func pidof(_ context.Context, p *kernel.Proc) int {
	_, _, names := options(p, "o")
	var out []string
	for _, n := range names {
		for _, pid := range pids(p, n) {
			out = append(out, strconv.Itoa(pid))
		}
	}
	if len(out) == 0 {
		return 1
	}
	put(p, "%s\n", strings.Join(out, " "))
	return 0
}
