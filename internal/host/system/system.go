// Package system holds the programs of a fake host that tell about the
// machine, its users, processes and network. Every fact is the persona's.
package system

import (
	"context"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/procfs"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"uname": uname, "arch": uname, "whoami": whoami, "logname": whoami, "id": id, "groups": id, "hostname": hostname, "nproc": nproc, "free": free,
		"uptime": uptime, "w": who, "who": who, "users": who, "last": last, "lscpu": lscpu, "lspci": lspci, "ps": ps, "top": top, "pgrep": pgrep, "killall": pgrep, "pidof": pgrep,
		"getconf": getconf, "mount": mount, "dmesg": dmesg, "crontab": crontab, "chpasswd": chpasswd, "passwd": passwd, "useradd": useradd,
		"env": env, "printenv": env, "sleep": sleep, "nohup": nohup, "timeout": timeout, "xargs": xargs, "date": date, "sudo": sudo, "su": sudo, "true": ok, "false": fail,
		"clear": ok, "reset": ok, "kill": kill, "tty": tty, "echo": viaShell, "printf": viaShell, "test": viaShell, "[": viaShell, "pwd": viaShell,
		"nice": nohup, "setsid": nohup, "stdbuf": nohup, "ionice": nohup, "systemctl": systemctl, "service": systemctl, "apt": apt, "dpkg": dpkg, "python3": python, "perl": perl,
		"logger": ok, "ldconfig": ok, "sysctl": ok, "modprobe": ok, "iptables": ok, "nft": ok,
	}
}

func ok(context.Context, *kernel.Proc) int   { return 0 }
func fail(context.Context, *kernel.Proc) int { return 1 }

func errorf(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), path.Base(p.Args[0])+": "+format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

func put(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stdout(), format, args...) //nolint:errcheck // the visitor's own output
}

func letters(args []string) string {
	s := ""
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			s += a[1:]
		}
	}
	return s
}

func uname(_ context.Context, p *kernel.Proc) int {
	k := p.M.Persona.Kernel
	if path.Base(p.Args[0]) == "arch" {
		put(p, "%s\n", k.Machine)
		return 0
	}
	f := letters(p.Args[1:])
	for i := range len(f) {
		if strings.IndexByte("asnrvmpio", f[i]) < 0 {
			errorf(p, "invalid option -- '%c'\nTry 'uname --help' for more information.", f[i])
			return 1
		}
	}
	hardware := "unknown"
	if p.M.Persona.Family == "ubuntu" { // its coreutils say what the CPU is
		hardware = k.Machine
	}
	if strings.Contains(f, "a") {
		f = "snrvmo"
		if hardware != "unknown" {
			f += "pi"
		}
	}
	if f == "" {
		f = "s"
	}
	var out []string
	for _, x := range []struct{ c, v string }{{"s", "Linux"}, {"n", p.M.Persona.Hostname}, {"r", k.Release}, {"v", k.Version}, {"m", k.Machine}, {"p", hardware}, {"i", hardware}, {"o", k.OSName}} {
		if strings.Contains(f, x.c) {
			out = append(out, x.v)
		}
	}
	put(p, "%s\n", strings.Join(out, " "))
	return 0
}

func whoami(_ context.Context, p *kernel.Proc) int {
	put(p, "%s\n", p.M.UserName(p.Caller.UID))
	return 0
}

func id(_ context.Context, p *kernel.Proc) int {
	uid, gid, name := p.Caller.UID, p.Caller.GID, p.M.UserName(p.Caller.UID)
	for _, a := range p.Args[1:] {
		if !strings.HasPrefix(a, "-") {
			acc, ok := p.M.Account(a)
			if !ok {
				errorf(p, "'%s': no such user", a)
				return 1
			}
			uid, gid, name = acc.UID, acc.GID, acc.Name
		}
	}
	var names, pairs []string
	add := func(g uint32) {
		names = append(names, p.M.GroupName(g))
		pairs = append(pairs, fmt.Sprintf("%d(%s)", g, p.M.GroupName(g)))
	}
	add(gid)
	for _, g := range p.M.Persona.Groups {
		for _, m := range g.Members {
			if m == name {
				add(g.GID)
			}
		}
	}
	f := letters(p.Args[1:])
	switch {
	case path.Base(p.Args[0]) == "groups", strings.Contains(f, "G") && strings.Contains(f, "n"):
		put(p, "%s\n", strings.Join(names, " "))
	case strings.Contains(f, "u") && strings.Contains(f, "n"):
		put(p, "%s\n", name)
	case strings.Contains(f, "u"):
		put(p, "%d\n", uid)
	case strings.Contains(f, "g") && strings.Contains(f, "n"):
		put(p, "%s\n", names[0])
	case strings.Contains(f, "g"):
		put(p, "%d\n", gid)
	default:
		put(p, "uid=%d(%s) gid=%s groups=%s\n", uid, name, pairs[0], strings.Join(pairs, ","))
	}
	return 0
}

func hostname(_ context.Context, p *kernel.Proc) int {
	f := letters(p.Args[1:])
	switch {
	case strings.Contains(f, "f"):
		put(p, "%s\n", p.M.Persona.FQDN())
	case strings.ContainsAny(f, "iI"):
		put(p, "%s \n", p.M.Persona.NICs[0].IPv4)
	default:
		put(p, "%s\n", p.M.Persona.Hostname)
	}
	return 0
}

func nproc(_ context.Context, p *kernel.Proc) int {
	put(p, "%d\n", p.M.Persona.CPU.Cores)
	return 0
}

func free(_ context.Context, p *kernel.Proc) int {
	i := p.M.MemInfo(p.Now())
	f := letters(p.Args[1:])
	show := func(kb int64) string {
		switch {
		case strings.Contains(f, "h"):
			v, u := float64(kb), 0
			for v >= 1000 && u < 3 {
				v /= 1024
				u++
			}
			if v < 10 {
				return fmt.Sprintf("%.1f%s", v, []string{"Ki", "Mi", "Gi", "Ti"}[u])
			}
			return fmt.Sprintf("%.0f%s", v, []string{"Ki", "Mi", "Gi", "Ti"}[u])
		case strings.Contains(f, "m"):
			return strconv.FormatInt(kb/1024, 10)
		case strings.Contains(f, "g"):
			return strconv.FormatInt(kb/1024/1024, 10)
		case strings.Contains(f, "b"):
			return strconv.FormatInt(kb*1024, 10)
		}
		return strconv.FormatInt(kb, 10)
	}
	buff := i.Buffers + i.Cached
	put(p, "               total        used        free      shared  buff/cache   available\n")
	put(p, "Mem:    %12s%12s%12s%12s%12s%12s\n", show(i.Total), show(i.Total-i.Free-buff), show(i.Free), show(i.Shared), show(buff), show(i.Available))
	put(p, "Swap:   %12s%12s%12s\n", show(i.SwapTotal), show(i.SwapTotal-i.SwapFree), show(i.SwapFree))
	return 0
}

func upLine(p *kernel.Proc) string {
	now := p.Now()
	up := p.M.Uptime(now)
	days := int(up.Hours()) / 24
	h, m := int(up.Hours())%24, int(up.Minutes())%60
	s := fmt.Sprintf(" %s up ", now.UTC().Format("15:04:05"))
	if days > 0 {
		s += fmt.Sprintf("%d day%s, ", days, map[bool]string{true: "s"}[days > 1])
	}
	if h > 0 {
		s += fmt.Sprintf("%2d:%02d", h, m)
	} else {
		s += fmt.Sprintf("%d min", m)
	}
	l := p.M.Load(now)
	users := 0
	if p.S.Line != "" {
		users = 1
	}
	return fmt.Sprintf("%s,  %d user%s,  load average: %.2f, %.2f, %.2f", s, users, map[bool]string{true: "s", false: ""}[users != 1], l[0], l[1], l[2])
}

func uptime(_ context.Context, p *kernel.Proc) int {
	switch letters(p.Args[1:]) {
	case "p":
		up := p.M.Uptime(p.Now())
		put(p, "up %d days, %d hours, %d minutes\n", int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60)
	case "s":
		put(p, "%s\n", p.M.Persona.Boot.Format("2006-01-02 15:04:05"))
	default:
		put(p, "%s\n", upLine(p))
	}
	return 0
}

func who(_ context.Context, p *kernel.Proc) int {
	name := path.Base(p.Args[0])
	if name == "w" {
		put(p, "%s\nUSER     TTY      FROM             LOGIN@   IDLE   JCPU   PCPU WHAT\n", upLine(p))
		if p.S.Line != "" {
			put(p, "%-8s %-8s %-16s %s    0.00s  0.02s  0.00s w\n", p.S.User.Name, p.S.Line, p.S.From.Addr(), p.S.Started.UTC().Format("15:04"))
		}
		return 0
	}
	if p.S.Line == "" {
		return 0
	}
	if name == "users" {
		put(p, "%s\n", p.S.User.Name)
		return 0
	}
	put(p, "%-8s %-12s %s (%s)\n", p.S.User.Name, p.S.Line, p.S.Started.UTC().Format("2006-01-02 15:04"), p.S.From.Addr())
	return 0
}

func last(_ context.Context, p *kernel.Proc) int {
	l := p.M.Persona.LastLogin
	if p.S.Line != "" {
		put(p, "%-8s %-12s %-16s %s   still logged in\n", p.S.User.Name, p.S.Line, p.S.From.Addr(), p.S.Started.UTC().Format("Mon Jan _2 15:04"))
	}
	put(p, "%-8s %-12s %-16s %s - %s  (00:17)\n", l.User, l.TTY, l.From, l.At.Format("Mon Jan _2 15:04"), l.At.Add(17*time.Minute).Format("15:04"))
	put(p, "reboot   system boot  %-16s %s   still running\n\nwtmp begins %s\n", p.M.Persona.Kernel.Release, p.M.Persona.Boot.Format("Mon Jan _2 15:04"), p.M.Persona.Boot.Format("Mon Jan _2 15:04:05 2006"))
	return 0
}

func lscpu(_ context.Context, p *kernel.Proc) int {
	c := p.M.Persona.CPU
	row := func(k, v string) { put(p, "%-33s%s\n", k+":", v) }
	row("Architecture", p.M.Persona.Kernel.Machine)
	row("  CPU op-mode(s)", "32-bit, 64-bit")
	row("  Address sizes", "40 bits physical, 48 bits virtual")
	row("  Byte Order", "Little Endian")
	row("CPU(s)", strconv.Itoa(c.Cores))
	row("  On-line CPU(s) list", fmt.Sprintf("0-%d", c.Cores-1))
	row("Vendor ID", c.Vendor)
	row("  Model name", c.Model)
	row("    CPU family", strconv.Itoa(c.Family))
	row("    Model", strconv.Itoa(c.ModelNum))
	row("    Thread(s) per core", "1")
	row("    Core(s) per socket", strconv.Itoa(c.Cores))
	row("    Socket(s)", "1")
	row("    Stepping", strconv.Itoa(c.Stepping))
	row("    BogoMIPS", fmt.Sprintf("%.2f", c.Bogomips))
	row("    Flags", c.Flags)
	row("Virtualization features", "")
	row("  Hypervisor vendor", c.Virt)
	row("  Virtualization type", "full")
	return 0
}

func lspci(_ context.Context, p *kernel.Proc) int {
	put(p, "%s\n", strings.Join(p.M.Persona.PCI, "\n"))
	return 0
}

func uid(p *kernel.Proc, e kernel.Entry) string {
	if e.Live {
		return p.M.UserName(e.UID)
	}
	return e.User
}

func ps(_ context.Context, p *kernel.Proc) int {
	args := strings.Join(p.Args[1:], "")
	now := p.Now()
	start := func(t time.Time) string {
		if now.Sub(t) > 24*time.Hour {
			return t.Format("Jan02")
		}
		return t.Format("15:04")
	}
	cpu := func(d time.Duration) string { return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60) }
	long := func(d time.Duration) string {
		return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	}
	list := p.M.Table.List()
	total := float64(p.M.Persona.Memory.TotalKB)
	switch {
	case strings.Contains(args, "u") && !strings.HasPrefix(args, "-e"):
		put(p, "USER         PID %%CPU %%MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n")
		for _, e := range list {
			u := uid(p, e)
			if len(u) > 8 {
				u = u[:7] + "+"
			}
			put(p, "%-8s %7d  0.0 %4.1f %6d %5d %-8s %-4s %5s %6s %s\n", u, e.PID, float64(e.RSS)*100/total, e.VSZ, e.RSS, e.TTY, e.State, start(e.Started), cpu(e.CPU), e.Command)
		}
	case strings.Contains(args, "f") && strings.ContainsAny(args, "eA"):
		put(p, "UID          PID    PPID  C STIME TTY          TIME CMD\n")
		for _, e := range list {
			u := uid(p, e)
			if len(u) > 8 {
				u = u[:7] + "+"
			}
			put(p, "%-8s %7d %7d  0 %5s %-8s %8s %s\n", u, e.PID, e.PPID, start(e.Started), e.TTY, long(e.CPU), e.Command)
		}
	default:
		put(p, "    PID TTY          TIME CMD\n")
		for _, e := range list {
			if strings.ContainsAny(args, "eAax") || e.Live && e.UID == p.Caller.UID {
				put(p, "%7d %-8s %8s %s\n", e.PID, e.TTY, long(e.CPU), e.Name)
			}
		}
	}
	return 0
}

func top(ctx context.Context, p *kernel.Proc) int {
	f := letters(p.Args[1:])
	batch := strings.Contains(f, "b")
	if !batch && p.Getenv("TERM") == "" {
		fmt.Fprint(p.Stderr(), "TERM environment variable not set.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	now := p.Now()
	list := p.M.Table.List()
	i := p.M.MemInfo(now)
	mib := func(kb int64) float64 { return float64(kb) / 1024 }
	buff := i.Buffers + i.Cached
	if !batch {
		put(p, "\x1b[H\x1b[J")
	}
	put(p, "top -%s\nTasks: %3d total,   1 running, %3d sleeping,   0 stopped,   0 zombie\n%%Cpu(s):  0.3 us,  0.2 sy,  0.0 ni, 99.5 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \n", upLine(p), len(list), len(list)-1)
	put(p, "MiB Mem : %8.1f total, %8.1f free, %8.1f used, %8.1f buff/cache     \nMiB Swap: %8.1f total, %8.1f free, %8.1f used. %8.1f avail Mem \n\n", mib(i.Total), mib(i.Free), mib(i.Total-i.Free-buff), mib(buff), mib(i.SwapTotal), mib(i.SwapFree), 0.0, mib(i.Available))
	put(p, "    PID USER      PR  NI    VIRT    RES    SHR S  %%CPU  %%MEM     TIME+ COMMAND\n")
	for n, e := range list {
		if !batch && n > 16 {
			break
		}
		put(p, "%7d %-8.8s  20   0 %7d %6d %6d %s   0.0 %5.1f   0:%02d.%02d %s\n", e.PID, uid(p, e), e.VSZ, e.RSS, e.RSS*3/4, e.State[:1], float64(e.RSS)*100/float64(i.Total), int(e.CPU.Seconds())%60, e.PID%100, e.Name)
	}
	if !batch && p.S.TTY != nil {
		old := p.S.TTY.SetRaw(true)
		defer p.S.TTY.SetRaw(old)
		var b [1]byte
		for ctx.Err() == nil {
			if n, err := p.Stdin().Read(b[:]); n == 0 || err != nil || b[0] == 'q' || b[0] == 3 {
				break
			}
		}
	}
	return 0
}

func pgrep(_ context.Context, p *kernel.Proc) int {
	name := path.Base(p.Args[0])
	sig, full := kernel.SIGTERM, false
	var pats []string
	for _, a := range p.Args[1:] {
		if n, ok := kernel.SignalNumber(strings.TrimPrefix(a, "-")); ok && strings.HasPrefix(a, "-") {
			sig = n
			continue
		}
		if strings.HasPrefix(a, "-") {
			full = full || strings.Contains(a, "f")
			continue
		}
		pats = append(pats, a)
	}
	if len(pats) == 0 {
		fmt.Fprintf(p.Stderr(), "%s: no matching criteria specified\nTry `%s --help' for more information.\n", name, name) //nolint:errcheck // the visitor's own stderr
		return 2
	}
	found := false
	var pids []string
	for _, e := range p.M.Table.List() {
		for _, pat := range pats {
			hit := strings.Contains(e.Name, pat) || full && strings.Contains(e.Command, pat)
			if name == "killall" || name == "pidof" {
				hit = e.Name == pat
			}
			if !hit || e.PID == p.PID {
				continue
			}
			switch name {
			case "pgrep", "pidof":
				pids = append(pids, strconv.Itoa(e.PID))
				found = true
			default:
				if e.UID == p.Caller.UID || p.Caller.UID == 0 {
					found = p.M.Table.Kill(e.PID, sig) || found
				}
			}
		}
	}
	if len(pids) > 0 {
		put(p, "%s\n", strings.Join(pids, map[bool]string{true: " ", false: "\n"}[name == "pidof"]))
	}
	if !found {
		if name == "killall" {
			fmt.Fprintf(p.Stderr(), "%s: no process found\n", pats[0]) //nolint:errcheck // the visitor's own stderr
		}
		return 1
	}
	return 0
}

func kill(_ context.Context, p *kernel.Proc) int {
	status := 0
	for _, a := range p.Args[1:] {
		if pid, err := strconv.Atoi(a); err == nil && pid > 0 && !p.M.Table.Kill(pid, kernel.SIGTERM) {
			errorf(p, "(%d): No such process", pid)
			status = 1
		}
	}
	return status
}

func tty(_ context.Context, p *kernel.Proc) int {
	if p.IsTTY(0) {
		put(p, "/dev/%s\n", p.S.Line)
		return 0
	}
	put(p, "not a tty\n")
	return 1
}

func getconf(_ context.Context, p *kernel.Proc) int {
	bits := "64"
	if p.M.Persona.CPU.Elf.Class == 1 {
		bits = "32"
	}
	for _, a := range p.Args[1:] {
		switch a {
		case "LONG_BIT", "WORD_BIT":
			put(p, "%s\n", bits)
		case "_NPROCESSORS_ONLN", "_NPROCESSORS_CONF":
			put(p, "%d\n", p.M.Persona.CPU.Cores)
		case "PAGESIZE", "PAGE_SIZE":
			put(p, "4096\n")
		default:
			fmt.Fprintf(p.Stderr(), "getconf: Unrecognized variable `%s'\n", a) //nolint:errcheck // the visitor's own stderr
			return 2
		}
	}
	return 0
}

func mount(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) > 1 {
		errorf(p, "only root can do that")
		return 1
	}
	for l := range strings.Lines(procfs.Mounts(p.M.Persona)) {
		f := strings.Fields(l)
		put(p, "%s on %s type %s (%s)\n", f[0], f[1], f[2], f[3])
	}
	return 0
}

func dmesg(_ context.Context, p *kernel.Proc) int {
	if p.Caller.UID != 0 {
		errorf(p, "read kernel buffer failed: Operation not permitted")
		return 1
	}
	k := p.M.Persona
	put(p, "[    0.000000] %s\n[    0.000000] Command line: %s\n[    0.000000] BIOS-provided physical RAM map:\n[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n[    0.000000] NX (Execute Disable) protection: active\n[    0.000000] SMBIOS 2.8 present.\n[    0.000000] Hypervisor detected: KVM\n[    0.004511] tsc: Detected %.3f MHz processor\n", k.Kernel.Proc, k.Kernel.Cmdline, k.CPU.MHz)
	return 0
}

func cronFile(p *kernel.Proc, user string) string { return "/var/spool/cron/crontabs/" + user }

func crontab(ctx context.Context, p *kernel.Proc) int {
	user := p.M.UserName(p.Caller.UID)
	verb, file := "", ""
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-u" && i+1 < len(args):
			i++
			user = args[i]
		case a == "-l", a == "-r", a == "-e":
			verb = a
		default:
			file = a
		}
	}
	root := vfs.Root()
	switch verb {
	case "-l":
		data, err := p.M.FS.ReadFile(root, cronFile(p, user), 1<<20)
		if err != nil {
			fmt.Fprintf(p.Stderr(), "no crontab for %s\n", user) //nolint:errcheck // the visitor's own stderr
			return 1
		}
		put(p, "%s", data)
		return 0
	case "-r":
		if p.M.FS.Unlink(root, cronFile(p, user)) != nil {
			fmt.Fprintf(p.Stderr(), "no crontab for %s\n", user) //nolint:errcheck // the visitor's own stderr
			return 1
		}
		return 0
	case "-e":
		fmt.Fprintf(p.Stderr(), "no crontab for %s - using an empty one\n", user) //nolint:errcheck // the visitor's own stderr
		return 0
	}
	var data []byte
	if file == "-" || file == "" {
		buf := make([]byte, 4096)
		for len(data) < 1<<20 && ctx.Err() == nil {
			n, err := p.Stdin().Read(buf)
			data = append(data, buf[:n]...)
			if err != nil || n == 0 {
				break
			}
		}
	} else {
		var err error
		if data, err = p.M.FS.ReadFile(p.Caller, p.Abs(file), 1<<20); err != nil {
			fmt.Fprintf(p.Stderr(), "%s: %s\n", file, err) //nolint:errcheck // the visitor's own stderr
			return 1
		}
	}
	if err := p.M.FS.WriteFile(root, cronFile(p, user), data, 0o600); err != nil {
		return 1
	}
	return 0
}

func chpasswd(ctx context.Context, p *kernel.Proc) int {
	var data []byte
	buf := make([]byte, 4096)
	for len(data) < 64<<10 {
		n, err := p.Stdin().Read(buf)
		data = append(data, buf[:n]...)
		if err != nil || n == 0 {
			break
		}
	}
	status := 0
	n := 0
	for l := range strings.Lines(string(data)) {
		n++
		user, pw, found := strings.Cut(strings.TrimSuffix(l, "\n"), ":")
		if !found {
			errorf(p, "line %d: missing new password", n)
			status = 1
			continue
		}
		if _, known := p.M.Account(user); !known {
			errorf(p, "line %d: user '%s' does not exist", n, user)
			status = 1
			continue
		}
		setPassword(ctx, p, user, pw)
	}
	return status
}

func setPassword(ctx context.Context, p *kernel.Proc, user, pw string) {
	if p.M.SetPassword != nil {
		p.M.SetPassword(user, pw)
	}
	p.S.Recorder.Password(ctx, user, pw)
}

func passwd(ctx context.Context, p *kernel.Proc) int {
	user := p.M.UserName(p.Caller.UID)
	if n := len(p.Args); n > 1 && !strings.HasPrefix(p.Args[n-1], "-") {
		user = p.Args[n-1]
	}
	if p.S.TTY != nil {
		defer p.S.TTY.SetEcho(p.S.TTY.SetEcho(false))
	}
	read := func(prompt string) string {
		fmt.Fprint(p.Stderr(), prompt) //nolint:errcheck // the visitor's own stderr
		var line []byte
		var b [1]byte
		for len(line) < 256 {
			if n, err := p.Stdin().Read(b[:]); n == 0 || err != nil || b[0] == '\n' {
				break
			}
			line = append(line, b[0])
		}
		fmt.Fprint(p.Stderr(), "\n") //nolint:errcheck // as above
		return string(line)
	}
	a, b := read("New password: "), read("Retype new password: ")
	if a != b || a == "" {
		fmt.Fprint(p.Stderr(), "Sorry, passwords do not match.\npasswd: Authentication token manipulation error\npasswd: password unchanged\n") //nolint:errcheck // as above
		return 10
	}
	setPassword(ctx, p, user, a)
	fmt.Fprint(p.Stderr(), "passwd: password updated successfully\n") //nolint:errcheck // as above
	return 0
}

func useradd(_ context.Context, p *kernel.Proc) int {
	if p.Caller.UID != 0 {
		errorf(p, "Permission denied.\n%s: cannot lock /etc/passwd; try again later.", path.Base(p.Args[0]))
		return 1
	}
	name := p.Args[len(p.Args)-1]
	if strings.HasPrefix(name, "-") || len(p.Args) < 2 {
		return 2
	}
	if _, taken := p.M.Account(name); taken {
		errorf(p, "user '%s' already exists", name)
		return 9
	}
	next := uint32(1000)
	for _, a := range p.M.Accounts() {
		if a.UID >= next && a.UID < 60000 {
			next = a.UID + 1
		}
	}
	h, err := p.M.FS.Open(p.Caller, "/etc/passwd", vfs.WriteOnly|vfs.Append, 0)
	if err != nil {
		errorf(p, "cannot open /etc/passwd")
		return 1
	}
	defer h.Close()                                                          //nolint:errcheck // nothing is buffered
	fmt.Fprintf(h, "%s:x:%d:%d::/home/%s:/bin/sh\n", name, next, next, name) //nolint:errcheck // the quota decides
	return 0
}

func env(ctx context.Context, p *kernel.Proc) int {
	c := p.Child()
	args := p.Args[1:]
	for len(args) > 0 {
		k, v, set := strings.Cut(args[0], "=")
		switch {
		case args[0] == "-i" || args[0] == "-":
			clear(c.Env)
		case set:
			c.Env[k] = v
		default:
			if path.Base(p.Args[0]) == "printenv" {
				c.CloseFDs()
				put(p, "%s\n", p.Env[args[0]])
				return map[bool]int{true: 0, false: 1}[p.Env[args[0]] != ""]
			}
			c.Args = args
			return run(ctx, p, c)
		}
		args = args[1:]
	}
	var out []string
	for k, v := range c.Env {
		out = append(out, k+"="+v)
	}
	c.CloseFDs()
	sort.Strings(out)
	put(p, "%s\n", strings.Join(out, "\n"))
	return 0
}

// run starts c for a program that runs another.
func run(ctx context.Context, p, c *kernel.Proc) int {
	name := c.Args[0]
	st, err := p.Run(ctx, c)
	if err != nil {
		errorf(p, "failed to run command '%s': %s", name, err)
		return 127
	}
	return st
}

func sleep(ctx context.Context, p *kernel.Proc) int {
	total := time.Duration(0)
	for _, a := range p.Args[1:] {
		unit := time.Second
		for suf, u := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
			if rest, found := strings.CutSuffix(a, suf); found {
				a, unit = rest, u
			}
		}
		f, err := strconv.ParseFloat(a, 64)
		if err != nil || f < 0 {
			errorf(p, "invalid time interval '%s'\nTry 'sleep --help' for more information.", a)
			return 1
		}
		total += time.Duration(f * float64(unit))
	}
	if p.M.Clock.Sleep(ctx, total) != nil {
		return 130
	}
	return 0
}

func nohup(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-n" && len(args) > 1 {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		errorf(p, "missing operand\nTry '%s --help' for more information.", path.Base(p.Args[0]))
		return 125
	}
	if path.Base(p.Args[0]) == "nohup" && p.IsTTY(0) {
		fmt.Fprint(p.Stderr(), "nohup: ignoring input and appending output to 'nohup.out'\n") //nolint:errcheck // the visitor's own stderr
	}
	return run(ctx, p, p.Child(args...))
}

func timeout(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		args = args[1:]
	}
	if len(args) < 2 {
		errorf(p, "missing operand\nTry 'timeout --help' for more information.")
		return 125
	}
	f, _ := strconv.ParseFloat(strings.TrimRight(args[0], "smhd"), 64) //nolint:errcheck // 0 = no limit
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := false
	if f > 0 {
		stop := p.M.Clock.AfterFunc(time.Duration(f*float64(time.Second)), func() { late = true; cancel() })
		defer stop()
	}
	st := run(ctx, p, p.Child(args[1:]...))
	if ctx.Err() != nil && late {
		return 124
	}
	return st
}

func xargs(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	per, repl := 5000, ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "-n" && len(args) > 1:
			per, _ = strconv.Atoi(args[1]) //nolint:errcheck // nonsense runs one by one
			args = args[1:]
		case args[0] == "-I" && len(args) > 1:
			repl, per = args[1], 1
			args = args[1:]
		case strings.HasPrefix(args[0], "-I"):
			repl, per = args[0][2:], 1
		}
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{"echo"}
	}
	var data []byte
	buf := make([]byte, 32<<10)
	for len(data) < 4<<20 {
		n, err := p.Stdin().Read(buf)
		data = append(data, buf[:n]...)
		if err != nil || n == 0 {
			break
		}
	}
	items := strings.FieldsFunc(string(data), func(r rune) bool { return r == 0 || r == '\n' || (r == ' ' || r == '\t') && repl == "" })
	status := 0
	for len(items) > 0 && ctx.Err() == nil {
		n := min(max(per, 1), len(items))
		var cmd []string
		if repl != "" {
			for _, a := range args {
				cmd = append(cmd, strings.ReplaceAll(a, repl, items[0]))
			}
		} else {
			cmd = append(append(cmd, args...), items[:n]...)
		}
		items = items[n:]
		if st := run(ctx, p, p.Child(cmd...)); st != 0 {
			status = 123
			if st == 127 {
				return 127
			}
		}
	}
	return status
}

func date(_ context.Context, p *kernel.Proc) int {
	t := p.Now().UTC()
	for _, a := range p.Args[1:] {
		if f, found := strings.CutPrefix(a, "+"); found {
			r := strings.NewReplacer("%Y", t.Format("2006"), "%m", t.Format("01"), "%d", t.Format("02"), "%H", t.Format("15"), "%M", t.Format("04"), "%S", t.Format("05"), "%s", strconv.FormatInt(t.Unix(), 10),
				"%F", t.Format("2006-01-02"), "%T", t.Format("15:04:05"), "%y", t.Format("06"), "%b", t.Format("Jan"), "%a", t.Format("Mon"), "%N", t.Format("000000000"), "%Z", "UTC", "%j", fmt.Sprintf("%03d", t.YearDay()), "%%", "%")
			put(p, "%s\n", r.Replace(f))
			return 0
		}
	}
	put(p, "%s\n", t.Format("Mon Jan _2 03:04:05 PM MST 2006"))
	return 0
}

func sudo(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if p.Caller.UID != 0 {
		errorf(p, "a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper\nsudo: a password is required")
		return 1
	}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-l":
			put(p, "Matching Defaults entries for root on %s:\n    env_reset, mail_badpass, secure_path=/usr/local/sbin\\:/usr/local/bin\\:/usr/sbin\\:/usr/bin\\:/sbin\\:/bin\n\nUser root may run the following commands on %s:\n    (ALL : ALL) ALL\n", p.M.Persona.Hostname, p.M.Persona.Hostname)
			return 0
		case "-c":
			if len(args) > 1 {
				return run(ctx, p, p.Child("sh", "-c", args[1]))
			}
		case "-u", "-g":
			args = args[1:]
		case "-i", "-s", "-":
			if len(args) == 1 {
				return run(ctx, p, p.Child("bash"))
			}
		}
		if len(args) > 0 {
			args = args[1:]
		}
	}
	if len(args) == 0 || path.Base(p.Args[0]) == "su" {
		return run(ctx, p, p.Child("bash"))
	}
	return run(ctx, p, p.Child(args...))
}

// viaShell runs a builtin's twin in /usr/bin by the shell's own code.
func viaShell(ctx context.Context, p *kernel.Proc) int {
	c := p.Child(append([]string{"bash", "-c", `"$0" "$@"`, path.Base(p.Args[0])}, p.Args[1:]...)...)
	st, err := p.Run(ctx, c)
	if err != nil {
		return 127
	}
	return st
}

func systemctl(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if path.Base(p.Args[0]) == "service" && len(args) > 1 {
		args = []string{args[1], args[0]}
	}
	if len(args) < 2 {
		for _, u := range p.M.Persona.Units {
			put(p, "  %-32s loaded %s %s %s\n", u.Name, u.Active, u.Sub, u.Description)
		}
		return 0
	}
	verb, name := args[0], args[len(args)-1]
	if !strings.Contains(name, ".") {
		name += ".service"
	}
	for _, u := range p.M.Persona.Units {
		if u.Name != name {
			continue
		}
		switch verb {
		case "status":
			put(p, "● %s - %s\n     Loaded: loaded (/lib/systemd/system/%s; %s; preset: enabled)\n     Active: %s (%s) since %s\n   Main PID: %d (%s)\n", u.Name, u.Description, u.Name, u.Enabled, u.Active, u.Sub, p.M.Persona.Boot.Format("Mon 2006-01-02 15:04:05 MST"), u.PID, strings.TrimSuffix(u.Name, ".service"))
		case "is-active":
			put(p, "%s\n", u.Active)
		case "is-enabled":
			put(p, "%s\n", u.Enabled)
		}
		return 0
	}
	if verb == "status" {
		fmt.Fprintf(p.Stderr(), "Unit %s could not be found.\n", name) //nolint:errcheck // the visitor's own stderr
		return 4
	}
	fmt.Fprintf(p.Stderr(), "Failed to %s %s: Unit %s not loaded.\n", verb, name, name) //nolint:errcheck // as above
	return 5
}

func apt(ctx context.Context, p *kernel.Proc) int {
	var words []string
	for _, a := range p.Args[1:] {
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
		}
	}
	if len(words) == 0 {
		put(p, "apt 2.6.1 (amd64)\nUsage: apt [options] command\n")
		return 0
	}
	if p.Caller.UID != 0 && words[0] != "list" {
		fmt.Fprint(p.Stderr(), "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n") //nolint:errcheck // the visitor's own stderr
		return 100
	}
	switch words[0] {
	case "install":
		put(p, "Reading package lists... Done\nBuilding dependency tree... Done\nReading state information... Done\n")
		status := 0
		for _, w := range words[1:] {
			if k, found := p.M.Persona.Package(w); found {
				put(p, "%s is already the newest version (%s).\n", w, k.Version)
				continue
			}
			p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "apt", URL: "apt:" + w})
			fmt.Fprintf(p.Stderr(), "E: Unable to locate package %s\n", w) //nolint:errcheck // the visitor's own stderr
			status = 100
		}
		if status == 0 {
			put(p, "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
		}
		return status
	case "list":
		put(p, "Listing... Done\n")
		for _, k := range p.M.Persona.Packages {
			put(p, "%s/%s,now %s %s [installed]\n", k.Name, p.M.Persona.OS.Codename, k.Version, k.Arch)
		}
	default:
		put(p, "Reading package lists... Done\n")
	}
	return 0
}

func dpkg(_ context.Context, p *kernel.Proc) int {
	put(p, "Desired=Unknown/Install/Remove/Purge/Hold\n| Status=Not/Inst/Conf-files/Unpacked/halF-conf/Half-inst/trig-aWait/Trig-pend\n|/ Err?=(none)/Reinst-required (Status,Err: uppercase=bad)\n||/ Name                 Version                Architecture Description\n+++-====================-======================-============-=================================\n")
	for _, k := range p.M.Persona.Packages {
		put(p, "ii  %-20s %-22s %-12s %s\n", k.Name, k.Version, k.Arch, k.Summary)
	}
	return 0
}

func python(_ context.Context, p *kernel.Proc) int {
	if strings.Contains(strings.Join(p.Args[1:], " "), "-V") || strings.Contains(strings.Join(p.Args[1:], " "), "--version") {
		put(p, "Python 3.11.2\n")
	}
	return 0
}

func perl(_ context.Context, p *kernel.Proc) int {
	for _, a := range p.Args[1:] {
		if strings.HasPrefix(a, "-") {
			continue
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(a)); err != nil {
			fmt.Fprintf(p.Stderr(), "Can't open perl script \"%s\": %s\n", a, err) //nolint:errcheck // the visitor's own stderr
			return 2
		}
		break
	}
	return 0
}
