package system

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func top(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bcd:e:E:Hhiln:o:Op:sSu:U:w?1V", "")
	switch {
	case o.Bad != "":
		fmt.Fprintf(p.Stderr(), "top: %s\nUsage:\n  top -hv | -bcEeHiOSs1 -d secs -n max -u|U user -p pid(s) -o field -w [cols]\n", strings.Replace(o.Bad, "invalid option --", "unknown option", 1)) //nolint:errcheck // the visitor's own stderr
		return 1
	case o.Has("h", "V"):
		put(p, "top from procps-ng %s\nUsage:\n  top -hv | -bcEeHiOSs1 -d secs -n max -u|U user -p pid(s) -o field -w [cols]\n", getopt.PackageVersion(p, "procps"))
		return 0
	}
	batch := o.Has("b")
	if term := p.Getenv("TERM"); !batch && term == "" {
		fmt.Fprint(p.Stderr(), "TERM environment variable not set.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	if !batch && !p.IsTTY(0) {
		fmt.Fprint(p.Stderr(), "\ttop: failed tty get\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	every, ok := span(o.Get("d"))
	if !ok || every < 100*time.Millisecond {
		every = 3 * time.Second
	}
	keys := make(chan byte, 1)
	if !batch {
		old := p.SetRaw(true)
		defer p.SetRaw(old)
		ctx2, cancel := context.WithCancel(ctx)
		defer cancel()
		go topKeys(ctx2, p, keys)
	}
	for n := o.Int("n", -1); n != 0 && ctx.Err() == nil; n-- {
		topPage(p, batch)
		if n == 1 {
			break
		}
		wait, cancel := context.WithCancel(ctx)
		stop := p.M.Clock.AfterFunc(every, cancel)
		select {
		case <-wait.Done():
		case k := <-keys:
			if k == 'q' {
				n = 1
			} else { // it goes on after ^Z: the screen is drawn anew
				n++
			}
		}
		stop()
		cancel()
	}
	return 0
}

// topKeys waits for q, Ctrl-C and Ctrl-Z.
func topKeys(ctx context.Context, p *kernel.Proc, out chan<- byte) {
	var b [1]byte
	tell := func(k byte) {
		select {
		case out <- k:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		n, err := p.Stdin().Read(b[:])
		switch {
		case n == 0 || err != nil || b[0] == 'q' || b[0] == 3:
			tell('q')
			return
		case b[0] == 26 && p.Suspend():
			tell('r')
		}
	}
}

func topPage(p *kernel.Proc, batch bool) {
	now := p.Now()
	list := p.M.Table.List()
	sort.SliceStable(list, func(i, j int) bool { return list[i].Live && !list[j].Live })
	i := p.M.MemInfo(now)
	mib := func(kb int64) float64 { return float64(kb) / 1024 }
	buff := i.Buffers + i.Cached
	rows := len(list)
	if !batch {
		put(p, "\x1b[H\x1b[J")
		if p.S.TTY != nil {
			h, _ := p.S.TTY.Size()
			rows = min(rows, max(h-8, 5))
		}
	}
	us := 0.2 + float64(now.Unix()%7)/10
	put(p, "top -%s\nTasks: %3d total,   1 running, %3d sleeping,   0 stopped,   0 zombie\n%%Cpu(s): %4.1f us,  0.3 sy,  0.0 ni, %4.1f id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \n", upLine(p), len(list), len(list)-1, us, 99.7-us)
	put(p, "MiB Mem : %8.1f total, %8.1f free, %8.1f used, %8.1f buff/cache     \nMiB Swap: %8.1f total, %8.1f free, %8.1f used. %8.1f avail Mem \n\n", mib(i.Total), mib(i.Free), mib(i.Total-i.Free-buff), mib(buff), mib(i.SwapTotal), mib(i.SwapFree), 0.0, mib(i.Available))
	put(p, "    PID USER      PR  NI    VIRT    RES    SHR S  %%CPU  %%MEM     TIME+ COMMAND\n")
	for _, e := range list[:rows] {
		state, cpu := e.State[:1], 0.0
		if e.Live && e.PID == p.PID {
			state, cpu = "R", 0.3
		}
		put(p, "%7d %-8.8s %3d %3d %7d %6d %6d %s %5.1f %5.1f %6d:%02d.%02d %s\n", e.PID, uid(p, e), 20+e.Nice, e.Nice, e.VSZ, e.RSS, e.RSS*3/4, state, cpu, float64(e.RSS)*100/float64(i.Total), int(e.CPU.Minutes()), int(e.CPU.Seconds())%60, e.PID%100, e.Name)
	}
}
