package procfs

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// processText are the files of a process that hold text.
var processText = map[string]func(*Proc, kernel.Entry) string{
	"mounts": func(f *Proc, _ kernel.Entry) string { return f.mounts() }, "mountinfo": (*Proc).mountinfo,
	"comm": func(_ *Proc, e kernel.Entry) string { return e.Name[:min(len(e.Name), 15)] + "\n" }, "cmdline": (*Proc).arguments, "status": (*Proc).status, "stat": (*Proc).processStat,
	"statm": func(_ *Proc, e kernel.Entry) string {
		return fmt.Sprintf("%d %d %d %d 0 %d 0\n", e.VSZ/4, e.RSS/4, e.RSS/5, e.VSZ/64, e.VSZ/16)
	},
	"cgroup": func(_ *Proc, e kernel.Entry) string { return "0::/" + cgroup(e) + "\n" }, "limits": (*Proc).limits, "maps": (*Proc).maps, "smaps": (*Proc).maps, "numa_maps": (*Proc).maps, "environ": func(_ *Proc, e kernel.Entry) string { return e.Environ },
	"auxv": func(*Proc, kernel.Entry) string { return "" }, "io": (*Proc).io, "loginuid": (*Proc).loginUID, "sessionid": (*Proc).sessionID, "oom_score": func(_ *Proc, e kernel.Entry) string { return strconv.Itoa(oomScore(e)) + "\n" },
	"oom_score_adj": func(_ *Proc, e kernel.Entry) string { return strconv.Itoa(oomAdj(e)) + "\n" }, "oom_adj": func(_ *Proc, e kernel.Entry) string { return strconv.Itoa(oomAdj(e)*17/1000) + "\n" }, "personality": fixed("00000000\n"), "wchan": (*Proc).wchan,
	"uid_map": fixed("         0          0 4294967295\n"), "gid_map": fixed("         0          0 4294967295\n"), "projid_map": fixed("         0          0 4294967295\n"), "setgroups": fixed("allow\n"), "timerslack_ns": fixed("50000\n"),
	"autogroup": func(_ *Proc, e kernel.Entry) string { return fmt.Sprintf("/autogroup-%d nice 0\n", 20+e.PID%400) }, "coredump_filter": fixed("00000033\n"), "cpuset": fixed("/\n"), "cpu_resctrl_groups": fixed(""), "arch_status": fixed("AVX512_elapsed_ms:\t-1\n"),
	"sched": (*Proc).sched, "schedstat": func(f *Proc, e kernel.Entry) string {
		return fmt.Sprintf("%d %d %d\n", f.used(e).Nanoseconds(), f.used(e).Nanoseconds()/9, 3+e.PID%90)
	}, "stack": (*Proc).stack, "syscall": (*Proc).syscall,
	"mountstats": func(f *Proc, _ kernel.Entry) string { return f.mountstats() }, "timers": fixed(""), "patch_state": fixed("-1\n"), "clear_refs": fixed(""), "pagemap": fixed(""), "mem": fixed(""), "smaps_rollup": (*Proc).rollup,
}

// guarded are files that only the owner of a process and root may read.
const guarded = " environ maps smaps smaps_rollup numa_maps auxv io pagemap mem stack syscall personality "

func fixed(text string) func(*Proc, kernel.Entry) string {
	return func(*Proc, kernel.Entry) string { return text }
}

// routerHas are the files of a process on the small kernel of a router.
const routerHas = " auxv cgroup cmdline comm environ limits maps mem mountinfo mounts oom_adj oom_score oom_score_adj pagemap personality smaps stat statm status wchan io "

// namespaces and their numbers on a host without containers.
var namespaces = []struct {
	name string
	ino  int64
}{{"cgroup", 4026531835}, {"ipc", 4026531839}, {"mnt", 4026531841}, {"net", 4026531840}, {"pid", 4026531836}, {"pid_for_children", 4026531836}, {"time", 4026531834}, {"time_for_children", 4026531834}, {"user", 4026531837}, {"uts", 4026531838}}

func (f *Proc) find(pid int) (kernel.Entry, bool) {
	for _, e := range f.m.Table.List() {
		if e.PID == pid {
			return e, true
		}
	}
	return kernel.Entry{}, false
}

// text is what makes a text file of a process, nil for one that there is not.
func (f *Proc) textOf(rel string) func(*Proc, kernel.Entry) string {
	if f.m.Persona.Family == "busybox" && !strings.Contains(routerHas, " "+rel+" ") {
		return nil
	}
	return processText[rel]
}

func (f *Proc) process(c vfs.Caller, pid int, rel string) (vfs.Entry, bool) {
	e, ok := f.find(pid)
	if !ok {
		return vfs.Entry{}, false
	}
	owned := func(x vfs.Entry) (vfs.Entry, bool) {
		x.Info.UID, x.Info.GID = e.UID, f.gidOf(e)
		if e.Live || e.Started.After(x.Info.Mtime) {
			x.Info.Mtime, x.Info.Ctime, x.Info.Atime = e.Started, e.Started, e.Started
		}
		return x, true
	}
	link := func(target string) (vfs.Entry, bool) {
		in := f.info(vfs.Symlink, 0o777, 5)
		in.Target = target
		if target == "" || !f.mayLook(c, e) && rel != "" {
			in.Target = ""
		}
		return owned(vfs.Entry{Info: in})
	}
	switch rel {
	case "", "attr", "task", "net":
		d := vfs.Entry{Info: f.info(vfs.Dir, 0o555, 6)}
		d.Info.Nlink = 9
		return owned(d)
	case "fd", "fdinfo", "map_files", "ns":
		return owned(vfs.Entry{Info: f.info(vfs.Dir, map[bool]uint32{true: 0o511, false: 0o500}[rel == "ns"], 6)})
	case "exe":
		if exe := f.exe(e); exe != "" {
			return link(exe)
		}
		return link("")
	case "cwd":
		return link(cmp.Or(e.Dir, "/"))
	case "root":
		return link("/")
	case "attr/current":
		return owned(f.file(0o666, func() string { return "unconfined\n" }))
	}
	dir, rest, deeper := strings.Cut(rel, "/")
	if deeper {
		return f.below(c, e, dir, rest, owned, link)
	}
	fn := f.textOf(rel)
	if fn == nil {
		return vfs.Entry{}, false
	}
	mode := uint32(0o444)
	if strings.Contains(guarded, " "+rel+" ") && rel != "maps" && rel != "smaps" && rel != "numa_maps" {
		mode = 0o400
	}
	x := f.file(mode, func() string {
		if strings.Contains(guarded, " "+rel+" ") && !f.mayLook(c, e) {
			return ""
		}
		return fn(f, e)
	})
	return owned(x)
}

// below is an entry of a directory of a process.
func (f *Proc) below(c vfs.Caller, e kernel.Entry, dir, rest string, owned func(vfs.Entry) (vfs.Entry, bool), link func(string) (vfs.Entry, bool)) (vfs.Entry, bool) {
	switch dir {
	case "fd":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n > 2 || strings.HasPrefix(e.Command, "[") {
			return vfs.Entry{}, false
		}
		x, ok := link(descriptor(e))
		x.Info.Mode = 0o700
		return x, ok
	case "fdinfo":
		if n, err := strconv.Atoi(rest); err != nil || n < 0 || n > 2 {
			return vfs.Entry{}, false
		}
		return owned(f.file(0o400, func() string { return "pos:\t0\nflags:\t0100002\nmnt_id:\t25\nino:\t5\n" }))
	case "ns":
		for _, n := range namespaces {
			if n.name == rest {
				return link(fmt.Sprintf("%s:[%d]", strings.TrimSuffix(n.name, "_for_children"), n.ino))
			}
		}
	case "task":
		tid, more, _ := strings.Cut(rest, "/")
		if tid == strconv.Itoa(e.PID) && more != "task" && !strings.HasPrefix(more, "task/") { // a thread has no threads of its own
			return f.process(c, e.PID, more)
		}
	case "net":
		if fn := f.source("net/" + rest); fn != nil {
			return f.file(0o444, func() string { return fn(f) }), true
		}
	}
	return vfs.Entry{}, false
}

// processNames are the entries of a directory of a process.
func (f *Proc) processNames(pid int, rel string) []string {
	var out []string
	switch rel {
	case "":
		out = strings.Fields("attr cwd exe fd fdinfo map_files net ns root task")
		for name := range processText {
			if f.textOf(name) != nil {
				out = append(out, name)
			}
		}
	case "fd", "fdinfo":
		if e, ok := f.find(pid); !ok || strings.HasPrefix(e.Command, "[") {
			return nil
		}
		return []string{"0", "1", "2"}
	case "ns":
		for _, n := range namespaces {
			out = append(out, n.name)
		}
	case "attr":
		return []string{"current"}
	case "task":
		return []string{strconv.Itoa(pid)}
	case "net":
		return f.names("net")
	}
	if tid, more, ok := strings.Cut(strings.TrimPrefix(rel, "task/"), "/"); strings.HasPrefix(rel, "task/") && (ok || tid != "") {
		return slices.DeleteFunc(f.processNames(pid, more), func(n string) bool { return more == "" && n == "task" })
	}
	sort.Strings(out)
	return out
}

// mayLook reports whether c may look into a process.
func (f *Proc) mayLook(c vfs.Caller, e kernel.Entry) bool { return c.UID == 0 || c.UID == e.UID }

func (f *Proc) gidOf(e kernel.Entry) uint32 {
	if u, ok := f.m.Persona.User(e.User); ok {
		return u.GID
	}
	return e.UID
}

// exe is what the link to a program shows: /bin is a link to /usr/bin.
func (f *Proc) exe(e kernel.Entry) string {
	if f.m.Persona.Family != "busybox" && (strings.HasPrefix(e.Exe, "/bin/") || strings.HasPrefix(e.Exe, "/sbin/")) {
		return "/usr" + e.Exe
	}
	return e.Exe
}

// descriptor is where the standard descriptors of a process lead: to the
// terminal, to sshd, or nowhere.
func descriptor(e kernel.Entry) string {
	switch {
	case !e.Live:
		return "/dev/null"
	case e.TTY != "?":
		return "/dev/" + e.TTY
	}
	return fmt.Sprintf("socket:[%d]", 20_000+e.Started.Unix()%900_000)
}

// cgroup is the control group of a process under systemd.
func cgroup(e kernel.Entry) string {
	units := map[string]string{"sshd": "ssh", "dbus-daemon": "dbus", "rsyslogd": "rsyslog", "(sd-pam)": "user@0", "systemd-journal": "systemd-journald", "systemd-timesyn": "systemd-timesyncd"}
	switch {
	case e.Scope != "":
		return fmt.Sprintf("user.slice/user-%d.slice/session-%s.scope", e.UID, e.Scope)
	case e.PID == 1:
		return "init.scope"
	case strings.HasPrefix(e.Command, "["):
		return ""
	case e.Name == "agetty":
		return "system.slice/system-getty.slice/getty@tty1.service"
	}
	return "system.slice/" + cmp.Or(units[e.Name], e.Name) + ".service"
}

func (f *Proc) arguments(e kernel.Entry) string {
	switch {
	case strings.HasPrefix(e.Command, "["):
		return ""
	case len(e.Args) > 0:
		return strings.Join(e.Args, "\x00") + "\x00"
	case strings.HasPrefix(e.Command, "sshd: "):
		return e.Command + "\x00"
	}
	return strings.ReplaceAll(e.Command, " ", "\x00") + "\x00"
}

// used is the processor time of a process.
func (f *Proc) used(e kernel.Entry) time.Duration {
	if e.Live {
		return time.Millisecond * time.Duration(1+e.PID%5)
	}
	return e.CPU + time.Duration(float64(f.m.Clock.Now().Sub(e.Started))*0.000_002*float64(1+e.PID%9))
}

func state(e kernel.Entry) (letter, word string) {
	letter = e.State[:1]
	word = map[string]string{"S": "sleeping", "R": "running", "I": "idle", "T": "stopped", "Z": "zombie", "D": "disk sleep"}[letter]
	return letter, cmp.Or(word, "sleeping")
}

func (f *Proc) status(e kernel.Entry) string {
	letter, word := state(e)
	gid := f.gidOf(e)
	kernelThread := strings.HasPrefix(e.Command, "[")
	caps := "0000000000000000"
	if e.UID == 0 {
		caps = "000001ffffffffff"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Name:\t%s\nUmask:\t%s\nState:\t%s (%s)\nTgid:\t%d\nNgid:\t0\nPid:\t%[5]d\nPPid:\t%d\nTracerPid:\t0\nUid:\t%d\t%[7]d\t%[7]d\t%[7]d\nGid:\t%d\t%[8]d\t%[8]d\t%[8]d\nFDSize:\t%d\nGroups:\t%s \nNStgid:\t%[5]d\nNSpid:\t%[5]d\nNSpgid:\t%[11]d\nNSsid:\t%[12]d\n",
		e.Name[:min(len(e.Name), 15)], map[bool]string{true: "0000", false: "0022"}[kernelThread], letter, word, e.PID, e.PPID, e.UID, gid, map[bool]int{true: 64, false: 256}[kernelThread || e.PID < 100], map[bool]string{true: "0", false: ""}[e.Live && e.UID == 0], e.PGID, session(e))
	if !kernelThread {
		fmt.Fprintf(&b, "VmPeak:\t%8d kB\nVmSize:\t%8d kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t%8d kB\nVmRSS:\t%8d kB\nRssAnon:\t%8d kB\nRssFile:\t%8d kB\nRssShmem:\t       0 kB\nVmData:\t%8d kB\nVmStk:\t     132 kB\nVmExe:\t%8d kB\nVmLib:\t%8d kB\nVmPTE:\t%8d kB\nVmSwap:\t       0 kB\nHugetlbPages:\t       0 kB\nCoreDumping:\t0\nTHP_enabled:\t1\n",
			e.VSZ+40, e.VSZ, e.RSS+16, e.RSS, e.RSS/4, e.RSS-e.RSS/4, e.VSZ/18, 20+e.VSZ/60, min(e.VSZ/5, 9000), 44+e.VSZ/1500)
	}
	last := f.m.Persona.CPU.Cores - 1
	fmt.Fprintf(&b, "Threads:\t%d\nSigQ:\t0/%d\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\nSigIgn:\t%s\nSigCgt:\t%s\nCapInh:\t0000000000000000\nCapPrm:\t%s\nCapEff:\t%[5]s\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tthread vulnerable\nSpeculationIndirectBranch:\tconditional enabled\nCpus_allowed:\t%x\nCpus_allowed_list:\t0-%d\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t%d\n",
		max(e.Threads, 1), f.m.Persona.Memory.TotalKB/256, map[bool]string{true: "ffffffffffffffff", false: "0000000000000000"}[kernelThread], map[bool]string{true: "0000000000000000", false: "0000000000010002"}[kernelThread], caps, 1<<(last+1)-1, last, f.switches(e), f.switches(e)/40)
	return b.String()
}

func session(e kernel.Entry) int {
	if strings.HasPrefix(e.Command, "[") {
		return 0
	}
	return e.PGID
}

func (f *Proc) switches(e kernel.Entry) int64 {
	return 1 + int64(f.m.Clock.Now().Sub(e.Started).Seconds()*(0.001+float64(e.PID%13)/300))
}

func (f *Proc) processStat(e kernel.Entry) string {
	letter, _ := state(e)
	tty, group := 0, -1
	if n, ok := strings.CutPrefix(e.TTY, "pts/"); ok {
		k, _ := strconv.Atoi(n)
		tty, group = 136<<8|k, e.PGID
	}
	ticks := f.used(e).Milliseconds() / 10
	base := uint64(0x55d0c0000000) + uint64(e.PID)*0x7a1000
	flags := 4194560
	if strings.HasPrefix(e.Command, "[") {
		flags, base = 69238848, 0
	}
	return fmt.Sprintf("%d (%s) %s %d %d %d %d %d %d %d 0 %d 0 %d %d 0 0 %d %d %d 0 %d %d %d 18446744073709551615 %d %d 0 0 0 0 0 4096 65538 0 0 0 17 %d 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		e.PID, e.Name[:min(len(e.Name), 15)], letter, e.PPID, e.PGID, session(e), tty, group, flags, 1200+e.RSS/8, e.RSS/900, ticks*2/3, ticks/3, 20+e.Nice, e.Nice, max(e.Threads, 1),
		int64(e.Started.Sub(f.m.Persona.Boot)/(10*time.Millisecond)), e.VSZ*1024, e.RSS/4, base, base+uint64(e.VSZ)*64, e.PID%f.m.Persona.CPU.Cores)
}

func (f *Proc) limits(e kernel.Entry) string {
	procs := f.m.Persona.Memory.TotalKB / 256
	files := [2]string{"1024", "1048576"}
	if !e.Live {
		files = [2]string{"1024", "524288"}
	}
	var b strings.Builder
	row := func(name, soft, hard, unit string) {
		fmt.Fprintf(&b, "%-25s %-20s %-20s %-10s\n", name, soft, hard, unit)
	}
	const no = "unlimited"
	n, locked := strconv.FormatInt(procs, 10), strconv.FormatInt(f.m.Persona.Memory.TotalKB*1024/8/4096*4096, 10)
	row("Limit", "Soft Limit", "Hard Limit", "Units")
	row("Max cpu time", no, no, "seconds")
	row("Max file size", no, no, "bytes")
	row("Max data size", no, no, "bytes")
	row("Max stack size", "8388608", no, "bytes")
	row("Max core file size", "0", no, "bytes")
	row("Max resident set", no, no, "bytes")
	row("Max processes", n, n, "processes")
	row("Max open files", files[0], files[1], "files")
	row("Max locked memory", locked, locked, "bytes")
	row("Max address space", no, no, "bytes")
	row("Max file locks", no, no, "locks")
	row("Max pending signals", n, n, "signals")
	row("Max msgqueue size", "819200", "819200", "bytes")
	row("Max nice priority", "0", "0", "")
	row("Max realtime priority", "0", "0", "")
	row("Max realtime timeout", no, no, "us")
	return b.String()
}

// maps is the address space: the program, its heap, the C library, the stack.
func (f *Proc) maps(e kernel.Entry) string {
	exe := f.exe(e)
	if exe == "" {
		return ""
	}
	var b strings.Builder
	h := uint64(e.PID)*0x9e3779b97f4a7c15 ^ f.m.Persona.Seed
	at := 0x550000000000 + h>>20&0xffffff000
	row := func(size uint64, perm string, off uint64, dev string, ino int, name string) {
		line := fmt.Sprintf("%012x-%012x %s %08x %s %d", at, at+size, perm, off, dev, ino)
		if name != "" {
			line = fmt.Sprintf("%-72s %s", line, name)
		}
		b.WriteString(line + "\n")
		at += size
	}
	object := func(name string, ino int, unit uint64) {
		off := uint64(0)
		for i, perm := range []string{"r--p", "r-xp", "r--p", "r--p", "rw-p"} {
			size := unit * []uint64{2, 11, 4, 1, 1}[i]
			row(size, perm, off, "08:01", ino, name)
			off += size
		}
	}
	ino := 131_000 + int(h>>44)%90_000
	object(exe, ino, 0x4000)
	at += 0x1a3b000
	row(0x21000, "rw-p", 0, "00:00", 0, "[heap]")
	at = 0x7f0000000000 + h>>24&0xfffff000
	object("/usr/lib/x86_64-linux-gnu/libc.so.6", ino/2+9000, 0x1a000)
	row(0xd000, "rw-p", 0, "00:00", 0, "")
	object("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", ino/2+8991, 0x2000)
	at = 0x7ffc00000000 + h>>28&0xffff000
	row(0x21000, "rw-p", 0, "00:00", 0, "[stack]")
	at += 0x4d000
	row(0x4000, "r--p", 0, "00:00", 0, "[vvar]")
	row(0x2000, "r-xp", 0, "00:00", 0, "[vdso]")
	return b.String()
}

func (f *Proc) rollup(e kernel.Entry) string {
	return fmt.Sprintf("%012x-%012x ---p 00000000 00:00 0                          [rollup]\nRss:            %8d kB\nPss:            %8d kB\nShared_Clean:   %8d kB\nPrivate_Dirty:  %8d kB\n", 0x55d0c0000000+e.PID<<20, 0x7ffd00000000, e.RSS, e.RSS/3, e.RSS*3/4, e.RSS/4)
}

func (f *Proc) io(e kernel.Entry) string {
	n := f.switches(e)
	return fmt.Sprintf("rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d\nwrite_bytes: %d\ncancelled_write_bytes: 0\n", 3200+n*410, n*96, 9+n*2, n, e.RSS*300/4096*4096, n/4*4096)
}

func (f *Proc) loginUID(e kernel.Entry) string {
	if e.Live || e.Scope != "" {
		return strconv.FormatUint(uint64(e.UID), 10)
	}
	return "4294967295"
}

func (f *Proc) sessionID(e kernel.Entry) string {
	if e.Scope != "" {
		return e.Scope
	}
	return "4294967295"
}

func oomAdj(e kernel.Entry) int {
	switch {
	case e.Name == "sshd" && e.Scope == "", e.Name == "systemd-udevd":
		return -1000
	case e.Name == "dbus-daemon":
		return -900
	case e.Name == "systemd-journal":
		return -250
	}
	return 0
}

func oomScore(e kernel.Entry) int {
	if a := oomAdj(e); a <= -900 {
		return max(0, 666+a)
	}
	if e.VSZ == 0 {
		return 0
	}
	return 666
}

func (f *Proc) wchan(e kernel.Entry) string {
	switch {
	case strings.HasPrefix(e.Command, "["):
		return "kthread"
	case e.Live:
		return "0"
	}
	return "ep_poll"
}

func (f *Proc) stack(e kernel.Entry) string {
	if e.Live {
		return ""
	}
	return "[<0>] ep_poll+0x2f4/0x3a0\n[<0>] do_epoll_wait+0x70/0x90\n[<0>] __x64_sys_epoll_wait+0x6f/0x110\n[<0>] do_syscall_64+0x55/0xb0\n[<0>] entry_SYSCALL_64_after_hwframe+0x6e/0xd8\n"
}

func (f *Proc) syscall(e kernel.Entry) string {
	if e.Live {
		return "running\n"
	}
	return fmt.Sprintf("232 0x4 0x55d0c%07x 0x2b 0xffffffff 0x0 0x0 0x7ffd%08x 0x7f%010x\n", e.PID*4096, e.PID*1216, e.PID*77_000)
}

func (f *Proc) sched(e kernel.Entry) string {
	return fmt.Sprintf("%s (%d, #threads: %d)\n-------------------------------------------------------------------\nse.exec_start                                :  %16.6f\nse.vruntime                                  :  %16.6f\nse.sum_exec_runtime                          :  %16.6f\nnr_switches                                  :  %16d\npolicy                                       :  %16d\nprio                                         :  %16d\n",
		e.Name, e.PID, max(e.Threads, 1), f.up()*1000, float64(f.used(e).Milliseconds()), float64(f.used(e).Milliseconds()), f.switches(e), 0, 120+e.Nice)
}

// mountinfo is /proc/PID/mountinfo: the mounts with their numbers.
func (f *Proc) mountinfo(kernel.Entry) string {
	var b strings.Builder
	root := 25
	for i, m := range f.m.Mounts() {
		id, parent, dev := 20+i, root, "0:"+strconv.Itoa(19+i)
		if m.Target == "/" {
			id, parent, dev = root, 1, "8:1"
		}
		opts, super, _ := strings.Cut(m.Options, ",relatime")
		fmt.Fprintf(&b, "%d %d %s / %s %s,relatime shared:%d - %s %s rw%s\n", id, parent, dev, m.Target, opts, i+1, m.FS, m.Source, super)
	}
	return b.String()
}

func (f *Proc) mountstats() string {
	var b strings.Builder
	for _, m := range f.m.Mounts() {
		fmt.Fprintf(&b, "device %s mounted on %s with fstype %s\n", m.Source, m.Target, m.FS)
	}
	return b.String()
}
