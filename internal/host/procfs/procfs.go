// Package procfs makes /proc and /sys of a fake host: every file is made from
// the persona and the process table when it is opened.
package procfs

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Proc is the Provider of /proc.
type Proc struct{ m *kernel.Machine }

var _ vfs.Provider = (*Proc)(nil)

// New is /proc of m.
func New(m *kernel.Machine) *Proc { return &Proc{m} }

// Create is the error of making a file in /proc.
func (*Proc) Create() error { return vfs.ENOENT }

// files are the plain files of /proc's root.
var files = map[string]func(*Proc) string{
	"cpuinfo": (*Proc).cpuinfo, "meminfo": (*Proc).meminfo, "uptime": (*Proc).uptime, "loadavg": (*Proc).loadavg,
	"version": func(f *Proc) string { return f.m.Persona.Kernel.Proc + "\n" },
	"cmdline": func(f *Proc) string { return f.m.Persona.Kernel.Cmdline + "\n" },
	"mounts":  (*Proc).mounts, "stat": (*Proc).stat, "partitions": (*Proc).partitions, "swaps": (*Proc).swaps,
	"net/dev": (*Proc).netDev, "net/tcp": func(f *Proc) string { return f.netTCP("tcp") }, "net/tcp6": func(f *Proc) string { return f.netTCP("tcp6") },
	"net/route": (*Proc).netRoute, "net/arp": (*Proc).netARP,
	"sys/kernel/hostname":     func(f *Proc) string { return f.m.Persona.Hostname + "\n" },
	"sys/kernel/osrelease":    func(f *Proc) string { return f.m.Persona.Kernel.Release + "\n" },
	"sys/kernel/ostype":       func(*Proc) string { return "Linux\n" },
	"sys/kernel/version":      func(f *Proc) string { return f.m.Persona.Kernel.Version + "\n" },
	"sys/kernel/pid_max":      func(*Proc) string { return "4194304\n" },
	"sys/vm/swappiness":       func(*Proc) string { return "60\n" },
	"sys/net/ipv4/ip_forward": func(*Proc) string { return "0\n" },
}

var dirs = []string{"bus", "driver", "fs", "irq", "scsi", "tty", "acpi", "sys", "net"}

func (f *Proc) info(kind vfs.Kind, mode uint32, size int64) vfs.Info {
	now := f.m.Clock.Now()
	links := 1
	if kind == vfs.Dir {
		links = 2
	}
	return vfs.Info{Ino: 4026531840 + uint64(size), Dev: 22, Kind: kind, Mode: mode, Nlink: links, Size: 0, Atime: now, Mtime: now, Ctime: now, Birth: now}
}

// Lookup finds an entry.
func (f *Proc) Lookup(c vfs.Caller, rel string) (vfs.Entry, bool) {
	first, rest, _ := strings.Cut(rel, "/")
	if pid, err := strconv.Atoi(first); err == nil {
		return f.process(c, pid, rest)
	}
	switch first {
	case "self", "thread-self":
		if rest == "" {
			in := f.info(vfs.Symlink, 0o777, 1)
			in.Target = strconv.Itoa(c.PID)
			return vfs.Entry{Info: in}, true
		}
	}
	if rel == "mounts" {
		in := f.info(vfs.Symlink, 0o777, 2)
		in.Target = "self/mounts"
		return vfs.Entry{Info: in}, true
	}
	if rel == "net" {
		in := f.info(vfs.Symlink, 0o777, 2)
		in.Target = "self/net"
		return vfs.Entry{Info: in}, true
	}
	if path, ok := strings.CutPrefix(rel, "sys/"); ok && f.m.Persona.Family != "busybox" {
		return f.parameterEntry(path)
	}
	if fn := f.source(rel); fn != nil {
		return f.file(mode(rel), func() string { return fn(f) }), true
	}
	if slices.Contains(f.names(""), rel) || len(f.names(rel)) > 0 {
		return vfs.Entry{Info: f.info(vfs.Dir, 0o555, 3)}, true
	}
	if rel == "kmsg" || rel == "kcore" {
		return f.file(0o400, func() string { return "" }), true
	}
	return vfs.Entry{}, false
}

func (f *Proc) file(mode uint32, text func() string) vfs.Entry {
	return vfs.Entry{Info: f.info(vfs.File, mode, 4), Read: func() []byte { return []byte(text()) }}
}

// List names the entries of a directory.
func (f *Proc) List(_ vfs.Caller, rel string) []string {
	if first, rest, _ := strings.Cut(rel, "/"); rel != "" {
		if pid, err := strconv.Atoi(first); err == nil {
			return f.processNames(pid, rest)
		}
	}
	out := f.names(rel)
	if rel != "" {
		return out
	}
	var pids []string
	for _, e := range f.m.Table.List() {
		pids = append(pids, strconv.Itoa(e.PID))
	}
	return append(append(pids, out...), "self", "thread-self")
}

// names are the entries of a directory of /proc without the processes.
func (f *Proc) names(rel string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(p string) {
		if rel != "" {
			var ok bool
			if p, ok = strings.CutPrefix(p, rel+"/"); !ok {
				return
			}
		}
		name, _, _ := strings.Cut(p, "/")
		if name != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for p := range files {
		if f.source(p) != nil {
			add(p)
		}
	}
	for _, m := range f.only() {
		for p := range m {
			add(p)
		}
	}
	if f.m.Persona.Family != "busybox" {
		add("kcore")
		add("kmsg")
		for _, p := range f.parameterNames() {
			add("sys/" + p)
		}
	}
	for _, p := range dirs {
		add(p)
	}
	sort.Strings(out)
	return out
}

func (f *Proc) cpuinfo() string {
	c := f.m.Persona.CPU
	if c.Info != "" {
		return c.Info
	}
	var b strings.Builder
	for i := range c.Cores {
		fmt.Fprintf(&b, "processor\t: %d\nvendor_id\t: %s\ncpu family\t: %d\nmodel\t\t: %d\nmodel name\t: %s\nstepping\t: %d\nmicrocode\t: 0x1\ncpu MHz\t\t: %.3f\ncache size\t: %d KB\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\napicid\t\t: %d\ninitial apicid\t: %d\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: %s\nbugs\t\t: spectre_v1 spectre_v2 spec_store_bypass\nbogomips\t: %.2f\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 40 bits physical, 48 bits virtual\npower management:\n\n",
			i, c.Vendor, c.Family, c.ModelNum, c.Model, c.Stepping, c.MHz, c.CacheKB, c.Cores, i, c.Cores, i, i, c.Flags, c.Bogomips)
	}
	return b.String()
}

func (f *Proc) meminfo() string {
	i := f.m.MemInfo(f.m.Clock.Now())
	var b strings.Builder
	for _, l := range []struct {
		name string
		kb   int64
	}{
		{"MemTotal", i.Total},
		{"MemFree", i.Free},
		{"MemAvailable", i.Available},
		{"Buffers", i.Buffers},
		{"Cached", i.Cached},
		{"SwapCached", 0},
		{"Active", i.Cached / 2},
		{"Inactive", i.Cached / 3},
		{"Unevictable", 0},
		{"Mlocked", 0},
		{"SwapTotal", i.SwapTotal},
		{"SwapFree", i.SwapFree},
		{"Dirty", 40},
		{"Writeback", 0},
		{"AnonPages", i.Total / 30},
		{"Mapped", i.Total / 40},
		{"Shmem", i.Shared},
		{"KReclaimable", i.Total / 80},
		{"Slab", i.Total / 50},
		{"SReclaimable", i.Total / 80},
		{"SUnreclaim", i.Total/50 - i.Total/80},
		{"KernelStack", 2400},
		{"PageTables", 1800},
		{"CommitLimit", i.Total/2 + i.SwapTotal},
		{"Committed_AS", i.Total / 8},
		{"VmallocTotal", 34359738367},
		{"VmallocUsed", 12000},
		{"AnonHugePages", 0},
		{"HugePages_Total", 0},
		{"Hugepagesize", 2048},
		{"DirectMap4k", 90000},
		{"DirectMap2M", i.Total},
	} {
		unit := " kB"
		if l.name == "HugePages_Total" {
			unit = ""
		}
		fmt.Fprintf(&b, "%-16s%8d%s\n", l.name+":", l.kb, unit)
	}
	return b.String()
}

func (f *Proc) uptime() string {
	up := f.m.Uptime(f.m.Clock.Now()).Seconds()
	return fmt.Sprintf("%.2f %.2f\n", up, float64(f.idle(1)*int64(f.m.Persona.CPU.Cores))/100)
}

func (f *Proc) loadavg() string {
	l := f.m.Load(f.m.Clock.Now())
	list := f.m.Table.List()
	return fmt.Sprintf("%.2f %.2f %.2f 1/%d %d\n", l[0], l[1], l[2], len(list)+30, list[len(list)-1].PID)
}

func (f *Proc) mounts() string { return Mounts(f.m) }

// Mounts is the text of /proc/mounts.
func Mounts(k *kernel.Machine) string {
	var b strings.Builder
	for _, m := range k.Mounts() {
		fmt.Fprintf(&b, "%s %s %s %s 0 0\n", m.Source, m.Target, m.FS, m.Options)
	}
	return b.String()
}

func (f *Proc) stat() string {
	up := int64(f.m.Uptime(f.m.Clock.Now()).Seconds() * 100)
	var b strings.Builder
	n := int64(f.m.Persona.CPU.Cores)
	line := func(name string, k int64) {
		fmt.Fprintf(&b, "%s %d 0 %d %d %d 0 %d 0 0 0\n", name, k*(up/90), k*(up/140), k*f.idle(1), k*(up/900), k*(up/4000))
	}
	line("cpu ", n)
	for i := range f.m.Persona.CPU.Cores {
		line("cpu"+strconv.Itoa(i), 1)
	}
	if f.m.Persona.Family != "busybox" {
		fmt.Fprintf(&b, "intr %d", f.interrupted())
		for _, q := range irqs {
			if q.rate > 0 {
				fmt.Fprintf(&b, " %d", f.count("irq"+q.num, q.rate))
			} else {
				b.WriteString(" 0")
			}
		}
		b.WriteString(strings.Repeat(" 0", 40) + "\n")
	}
	fmt.Fprintf(&b, "ctxt %d\nbtime %d\nprocesses %d\nprocs_running 1\nprocs_blocked 0\n", up*12/10, f.m.Persona.Boot.Unix(), f.m.Table.Next())
	if f.m.Persona.Family != "busybox" {
		total, each := int64(0), ""
		for _, s := range softirq {
			n := int64(0)
			if s.rate > 0 {
				n = f.count("soft"+s.name, s.rate*float64(n0(f)))
			}
			total += n
			each += " " + strconv.FormatInt(n, 10)
		}
		fmt.Fprintf(&b, "softirq %d%s\n", total, each)
	}
	return b.String()
}

func n0(f *Proc) int { return f.m.Persona.CPU.Cores }

// idle is the idle time of one processor in hundredths of a second.
func (f *Proc) idle(share int64) int64 { return int64(f.up()*98) / share }

func (f *Proc) partitions() string {
	var b strings.Builder
	b.WriteString("major minor  #blocks  name\n\n")
	for _, m := range f.m.Persona.Mounts {
		if name, loop := strings.CutPrefix(m.Source, "/dev/loop"); loop {
			fmt.Fprintf(&b, "%4d %8s %10d loop%s\n", 7, name, m.SizeKB, name)
		}
	}
	for _, d := range f.m.Persona.Disks {
		fmt.Fprintf(&b, "%4d %8d %10d %s\n", 8, 0, d.Bytes/1024, d.Name)
		for i, p := range d.Parts {
			fmt.Fprintf(&b, "%4d %8d %10d %s\n", 8, minorOf(d, i), p.Bytes/1024, p.Name)
		}
	}
	return b.String()
}

func (f *Proc) swaps() string {
	if f.m.Persona.Family == "ubuntu" {
		return fmt.Sprintf("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swap.img                               file\t\t%d\t\t0\t\t-2\n", f.m.Persona.Memory.SwapKB)
	}
	return fmt.Sprintf("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda5                               partition\t%d\t\t0\t\t-2\n", f.m.Persona.Memory.SwapKB)
}

func (f *Proc) netDev() string {
	var b strings.Builder
	b.WriteString("Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")
	up := int64(f.m.Uptime(f.m.Clock.Now()).Seconds())
	row := func(name string, rx, tx int64) {
		fmt.Fprintf(&b, "%6s: %8d %7d    0    0    0     0          0         0 %8d %7d    0    0    0     0       0          0\n", name, rx, rx/640, tx, tx/480)
	}
	row("lo", up*31, up*31)
	for _, n := range f.m.Persona.NICs {
		row(n.Name, n.RxBytes+up*190, n.TxBytes+up*120)
	}
	return b.String()
}

func hexAddr(s string) string {
	host, port, _ := strings.Cut(s, ":")
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
	}
	n, _ := strconv.Atoi(port)
	if strings.HasPrefix(host, "[") {
		return fmt.Sprintf("%032X:%04X", 0, n)
	}
	var v [4]int
	for i, p := range strings.SplitN(host, ".", 4) {
		v[i], _ = strconv.Atoi(p)
	}
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", v[3], v[2], v[1], v[0], n)
}

func (f *Proc) netTCP(proto string) string {
	var b strings.Builder
	b.WriteString("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n")
	i := 0
	for _, s := range f.m.Sockets() {
		if s.Proto != proto {
			continue
		}
		row := "%4d: %s %s 0A 00000000:00000000 00:00000000 00000000 %5d        0 %d 1 0000000000000000 100 0 0 10 0"
		if s.State == "ESTAB" {
			row = "%4d: %s %s 01 00000000:00000000 02:000A7DEC 00000000 %5d        0 %d 4 0000000000000000 20 4 31 10 -1"
		}
		fmt.Fprintf(&b, "%-149s\n", fmt.Sprintf(row, i, hexAddr(s.Local), hexAddr(s.Peer), s.UID, s.Inode))
		i++
	}
	return b.String()
}

func (f *Proc) netRoute() string {
	n := f.m.Persona.NICs[0]
	gw := hexAddr(n.Gateway + ":0")[:8]
	var to netip.Addr
	if a, err := netip.ParseAddr(n.IPv4); err == nil {
		to = netip.PrefixFrom(a, n.Prefix).Masked().Addr()
	}
	mask := bits.ReverseBytes32(^uint32(0) << (32 - n.Prefix))
	head := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
	return fmt.Sprintf("%-127s\n%-127s\n%-127s\n", head, fmt.Sprintf("%s\t00000000\t%s\t0003\t0\t0\t0\t00000000\t0\t0\t0", n.Name, gw), fmt.Sprintf("%s\t%s\t00000000\t0001\t0\t0\t0\t%08X\t0\t0\t0", n.Name, hexAddr(to.String() + ":0")[:8], mask))
}

func (f *Proc) netARP() string {
	n := f.m.Persona.NICs[0]
	return fmt.Sprintf("IP address       HW type     Flags       HW address            Mask     Device\n%-16s 0x1         0x2         %s     *        %s\n", n.Gateway, f.m.Persona.GatewayMAC(), n.Name)
}

// Sys is the Provider of /sys.
type Sys struct{ p *Proc }

var _ vfs.Provider = (*Sys)(nil)

// NewSys is /sys of m.
func NewSys(m *kernel.Machine) *Sys { return &Sys{New(m)} }

// Create is the error of making a file in /sys.
func (*Sys) Create() error { return vfs.EACCES }

func (s *Sys) files() map[string]string {
	p := s.p.m.Persona
	if p.Family == "busybox" {
		return s.router()
	}
	f := map[string]string{
		"devices/system/cpu/online":              fmt.Sprintf("0-%d\n", p.CPU.Cores-1),
		"devices/system/cpu/possible":            fmt.Sprintf("0-%d\n", p.CPU.Cores-1),
		"class/dmi/id/product_name":              "Standard PC (i440FX + PIIX, 1996)\n",
		"class/dmi/id/sys_vendor":                "QEMU\n",
		"class/dmi/id/bios_vendor":               "SeaBIOS\n",
		"kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
		"class/net/lo/address":                   "00:00:00:00:00:00\n",
		"block/sda/size":                         strconv.FormatInt(p.Disks[0].Bytes/512, 10) + "\n",
		"bus/pci/devices/.keep":                  "",
		"fs/cgroup/cgroup.controllers":           "cpuset cpu io memory hugetlb pids rdma misc\n",
		"kernel/security/lsm":                    "lockdown,capability,landlock,yama,apparmor,tomoyo,bpf,ipe,ima,evm",
		"module/kernel/parameters/panic":         "0\n", "power/state": "freeze mem disk\n", "firmware/acpi/hotplug/force_remove": "0\n", "dev/block/.keep": "", "hypervisor/.keep": "",
	}
	for _, n := range p.NICs {
		f["class/net/"+n.Name+"/address"] = n.MAC + "\n"
		f["class/net/"+n.Name+"/mtu"] = strconv.Itoa(n.MTU) + "\n"
		f["class/net/"+n.Name+"/operstate"] = "up\n"
	}
	return f
}

// Lookup finds an entry.
func (s *Sys) Lookup(_ vfs.Caller, rel string) (vfs.Entry, bool) {
	if rel == "" {
		return vfs.Entry{Info: s.p.info(vfs.Dir, 0o555, 7)}, true
	}
	for name, text := range s.files() {
		if name == rel {
			return s.p.file(0o444, func() string { return text }), true
		}
		if strings.HasPrefix(name, rel+"/") {
			return vfs.Entry{Info: s.p.info(vfs.Dir, 0o755, 8)}, true
		}
	}
	return vfs.Entry{}, false
}

// List names the entries of a directory.
func (s *Sys) List(_ vfs.Caller, rel string) []string {
	seen := map[string]bool{}
	for name := range s.files() {
		if rel != "" {
			rest, ok := strings.CutPrefix(name, rel+"/")
			if !ok {
				continue
			}
			name = rest
		}
		name, _, _ = strings.Cut(name, "/")
		if name != ".keep" {
			seen[name] = true
		}
	}
	var out []string
	for n := range seen {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
