package system

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/procfs"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func lscpu(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abBcCe?hJp?s:xyV", "all/a online/b caches?/C json/J extended?/e parse?/p hex/x")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	c := p.M.Persona.CPU
	if o.Has("p") {
		put(p, "# The following is the parsable format, which can be fed to other\n# programs. Each different item in every column has an unique ID\n# starting usually from zero.\n# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n")
		for i := range c.Cores {
			put(p, "%d,%d,0,0,,%d,%d,%d,0\n", i, i, i, i, i)
		}
		return 0
	}
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
	row("Caches (sum of all)", "")
	row("  L1d", fmt.Sprintf("%d KiB (%d instances)", 32*c.Cores, c.Cores))
	row("  L1i", fmt.Sprintf("%d KiB (%d instances)", 32*c.Cores, c.Cores))
	row("  L3", fmt.Sprintf("%.1f MiB (1 instance)", float64(c.CacheKB)/1024))
	row("NUMA", "")
	row("  NUMA node(s)", "1")
	row("  NUMA node0 CPU(s)", fmt.Sprintf("0-%d", c.Cores-1))
	return 0
}

func lspci(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "vnknmtbDxs:d:i:q", "")
	if o.Bad != "" {
		complain(p, "lspci: %s\nUsage: lspci [<switches>]", o.Bad)
		return 1
	}
	for _, l := range p.M.Persona.PCI {
		if s := o.Get("s"); s != "" && !strings.HasPrefix(l, s) {
			continue
		}
		put(p, "%s\n", l)
		if o.Has("v", "k") && strings.Contains(l, "Virtio") {
			put(p, "\tSubsystem: Red Hat, Inc. Device 0001\n\tKernel driver in use: virtio-pci\n\n")
		}
	}
	return 0
}

func mount(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aBcfFhilL:MnNo:rRsSt:TU:vVw", "all/a bind/B move/M options/o read-only/r types/t verbose/v version/V rbind/R source= target= make-private fstab/T")
	switch {
	case o.Has("V"):
		put(p, "mount from util-linux %s (libmount %[1]s: selinux, smack, btrfs, verity, namespaces, idmapping, assert, debug)\n", getopt.PackageVersion(p, "mount"))
		return 0
	case o.Bad != "":
		return getopt.Usage(p, o, 1)
	case len(o.Args) == 0 && !o.Has("a", "source"):
		for l := range strings.Lines(procfs.Mounts(p.M)) {
			if f := strings.Fields(l); !o.Has("t") || f[2] == o.Get("t") {
				put(p, "%s on %s type %s (%s)\n", f[0], f[1], f[2], f[3])
			}
		}
		return 0
	case p.Caller.UID != 0:
		errorf(p, "%s: must be superuser to use mount.", strings.Join(o.Args[max(0, len(o.Args)-1):], ""))
		return 1
	case o.Has("a"), strings.Contains(o.Get("o"), "remount"):
		return 0
	case len(o.Args) == 1:
		errorf(p, "%s: can't find in /etc/fstab.", o.Args[0])
		return 1
	}
	src, dst := o.Args[0], o.Args[1]
	if _, err := p.M.FS.Stat(p.Caller, p.Abs(dst)); err != nil {
		errorf(p, "%s: mount point does not exist.\n       dmesg(1) may have more information after failed mount system call.", dst)
		return 32
	}
	switch o.Get("t") {
	case "tmpfs", "proc", "sysfs", "devpts":
		return 0
	}
	if _, err := p.M.FS.Stat(p.Caller, p.Abs(src)); err != nil && !strings.Contains(src, ":") {
		errorf(p, "%s: special device %s does not exist.\n       dmesg(1) may have more information after failed mount system call.", dst, src)
		return 32
	}
	for _, m := range p.M.Mounts() {
		if m.Source == src {
			errorf(p, "%s: %s already mounted on %s.\n       dmesg(1) may have more information after failed mount system call.", dst, src, m.Target)
			return 32
		}
	}
	if o.Has("B", "R") || strings.Contains(o.Get("o"), "bind") {
		return 0
	}
	errorf(p, "%s: wrong fs type, bad option, bad superblock on %s, missing codepage or helper program, or other error.\n       dmesg(1) may have more information after failed mount system call.", dst, src)
	return 32
}

func umount(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "adfhilnO:qrRt:vV", "all/a force/f lazy/l recursive/R verbose/v")
	if o.Bad != "" || len(o.Args) == 0 {
		errorf(p, "bad usage")
		return getopt.Hint(p, 1)
	}
	for _, a := range o.Args {
		for _, m := range p.M.Mounts() {
			if m.Target != a && m.Source != a {
				continue
			}
			if p.Caller.UID != 0 {
				errorf(p, "%s: must be superuser to unmount.", a)
				return 32
			}
			if o.Has("l") {
				return 0
			}
			errorf(p, "%s: target is busy.", a)
			return 32
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(a)); err != nil {
			errorf(p, "%s: no mount point specified.", a)
		} else {
			errorf(p, "%s: not mounted.", a)
		}
		return 32
	}
	return 0
}

// dmesgLines are the kernel's first words on this machine.
func dmesgLines(q *persona.Persona) []string {
	mem := q.Memory.TotalKB
	n := q.NICs[0]
	d := q.Disks[0]
	lines := []string{
		"0.000000] " + q.Kernel.Proc, "0.000000] Command line: " + q.Kernel.Cmdline, "0.000000] BIOS-provided physical RAM map:", "0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
		"0.000000] BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved", fmt.Sprintf("0.000000] BIOS-e820: [mem 0x0000000000100000-0x%016x] usable", min(mem<<10, 0xbffdffff)),
		"0.000000] NX (Execute Disable) protection: active", "0.000000] SMBIOS 2.8 present.", "0.000000] DMI: QEMU Standard PC (i440FX + PIIX, 1996), BIOS rel-1.16.2-0-gea1b7a073390-prebuilt.qemu.org 04/01/2014",
		"0.000000] Hypervisor detected: KVM", "0.000000] kvm-clock: Using msrs 4b564d01 and 4b564d00", fmt.Sprintf("0.004511] tsc: Detected %.3f MHz processor", q.CPU.MHz),
		fmt.Sprintf("0.061243] Memory: %dK/%dK available (14342K kernel code, 2331K rwdata, 9044K rodata, 2792K init, 17404K bss, %dK reserved, 0K cma-reserved)", mem-60_000, mem+90_000, 150_000),
		fmt.Sprintf("0.122511] smpboot: Allowing %d CPUs, 0 hotplug CPUs", q.CPU.Cores), fmt.Sprintf("0.232113] smpboot: CPU0: %s (family: 0x%x, model: 0x%x, stepping: 0x%x)", q.CPU.Model, q.CPU.Family, q.CPU.ModelNum, q.CPU.Stepping),
		"0.391002] PCI: Using configuration type 1 for base access", "0.612877] virtio-pci 0000:00:03.0: enabling device (0000 -> 0003)", "1.104417] scsi host2: Virtio SCSI HBA",
		fmt.Sprintf("1.149220] sd 2:0:0:0: [%s] %d 512-byte logical blocks: (%.1f GB/%.1f GiB)", d.Name, d.Bytes/512, float64(d.Bytes)/1e9, float64(d.Bytes)/(1<<30)),
		fmt.Sprintf("1.151877]  %s: %s", d.Name, partNames(d)), fmt.Sprintf("1.152441] sd 2:0:0:0: [%s] Attached SCSI disk", d.Name), "1.560241] EXT4-fs (" + rootPart(d) + "): mounted filesystem with ordered data mode. Quota mode: none.",
		"1.884512] systemd[1]: Detected virtualization kvm.", "1.884533] systemd[1]: Detected architecture x86-64.", "1.903311] systemd[1]: Hostname set to <" + q.Hostname + ">.",
		"3.211445] virtio_net virtio2 " + n.Name + ": renamed from eth0", "6.712004] IPv6: ADDRCONF(NETDEV_CHANGE): " + n.Name + ": link becomes ready",
	}
	for i, l := range lines {
		lines[i] = "[    " + l
	}
	return lines
}

func partNames(d persona.Disk) string {
	var n []string
	for _, part := range d.Parts {
		n = append(n, part.Name)
	}
	return strings.Join(n, " ")
}

func rootPart(d persona.Disk) string {
	for _, part := range d.Parts {
		if part.Mount == "/" {
			return part.Name
		}
	}
	return d.Name
}

func dmesg(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "cCdDeEF:f:hHIikKl:L?n:Ppqrs:STtuwWxV", "clear/C read-clear/c ctime/T human/H follow/w level/l facility/f kernel/k color?/L nopager/P notime/t raw/r reltime/e")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if p.Caller.UID != 0 {
		errorf(p, "read kernel buffer failed: Operation not permitted")
		return 1
	}
	for _, l := range dmesgLines(p.M.Persona) {
		stamp, text, _ := strings.Cut(l, "] ")
		switch {
		case o.Has("t"):
			l = text
		case o.Has("T"):
			l = p.M.Persona.Boot.Format("[Mon Jan _2 15:04:05 2006] ") + text
		}
		_ = stamp
		put(p, "%s\n", l)
	}
	return 0
}

func lsmod(_ context.Context, p *kernel.Proc) int {
	put(p, "Module                  Size  Used by\n")
	data, err := p.M.FS.ReadFile(p.Caller, "/proc/modules", 64<<10)
	if err != nil {
		return 1
	}
	for l := range strings.Lines(string(data)) {
		if f := strings.Fields(l); len(f) > 3 {
			by := strings.TrimSuffix(strings.Trim(f[3], "-"), ",")
			put(p, "%s\n", strings.TrimRight(fmt.Sprintf("%-19s %8s  %s %s", f[0], f[1], f[2], by), " "))
		}
	}
	return 0
}

func lsblk(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abdDe:fhI:iJlLmMno:OpPrsStTvV?zx:", "all/a bytes/b nodeps/d fs/f json/J list/l noheadings/n output/o paths/p scsi/S")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	size := func(n int64) string {
		if o.Has("b") {
			return strconv.FormatInt(n, 10)
		}
		f, u := float64(n), 0
		for f >= 1024 && u < 4 {
			f /= 1024
			u++
		}
		return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + "BKMGT"[u:u+1]
	}
	if o.Has("f") {
		put(p, "NAME   FSTYPE FSVER LABEL UUID                                 FSAVAIL FSUSE%% MOUNTPOINTS\n")
	} else if !o.Has("n") {
		put(p, "NAME   MAJ:MIN RM   SIZE RO TYPE MOUNTPOINTS\n")
	}
	for i, m := range p.M.Mounts() {
		if name, loop := strings.CutPrefix(m.Source, "/dev/loop"); loop && !o.Has("f") {
			put(p, "loop%-2s   7:%-3s  0 %5s  1 loop %s\n", name, name, size(m.SizeKB<<10), p.M.Mounts()[i].Target)
		}
	}
	for _, d := range p.M.Persona.Disks {
		if o.Has("f") {
			put(p, "%s\n", d.Name)
		} else {
			put(p, "%-6s   8:0    0 %5s  0 disk \n", d.Name, size(d.Bytes))
		}
		for i, part := range d.Parts {
			branch := "├─"
			if i == len(d.Parts)-1 {
				branch = "└─"
			}
			if o.Has("d") {
				continue
			}
			if o.Has("f") {
				ver, avail, use := map[string]string{"ext4": "1.0", "swap": "1"}[part.FS], "", ""
				for _, m := range p.M.Mounts() {
					if m.Source == "/dev/"+part.Name && m.SizeKB > 0 {
						avail, use = size((m.SizeKB*95/100-m.UsedKB)<<10), fmt.Sprintf("%d%%", (m.UsedKB*100+m.SizeKB-1)/m.SizeKB)
					}
				}
				put(p, "%s%-4s %-6s %-5s       %-36s %7s %6s %s\n", branch, part.Name, part.FS, ver, part.UUID, avail, use, part.Mount)
				continue
			}
			put(p, "%s%-4s   8:%-3d  0 %5s  0 part %s\n", branch, part.Name, partNumber(d, i), size(part.Bytes), part.Mount)
		}
	}
	if !o.Has("f") && p.M.Persona.Family == "debian" {
		put(p, "sr0     11:0    1  1024M  0 rom  \n")
	}
	return 0
}

// partNumber is the number of the i-th partition: of its name.
func partNumber(d persona.Disk, i int) int {
	n, err := strconv.Atoi(strings.TrimPrefix(d.Parts[i].Name, d.Name))
	if err != nil {
		return i + 1
	}
	return n
}

func blkid(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "c:dghiklL:n:o:O:ps:S:t:u:U:vV", "cache-file/c no-encoding/d garbage-collect/g output/o list-filesystems/k match-tag/s match-token/t list-one/l label/L uuid/U probe/p info/i size/S offset/O usages/u version/V")
	if o.Bad != "" {
		return getopt.Usage(p, o, 4)
	}
	status := 2
	for _, d := range p.M.Persona.Disks {
		for i, part := range d.Parts {
			dev := "/dev/" + part.Name
			if part.UUID == "" || len(o.Args) > 0 && !slices.Contains(o.Args, dev) || o.Has("U") && o.Get("U") != part.UUID {
				continue
			}
			tags := [][2]string{{"UUID", part.UUID}}
			if part.FS == "ext4" {
				tags = append(tags, [2]string{"BLOCK_SIZE", "4096"})
			}
			tags = append(tags, [2]string{"TYPE", part.FS}, [2]string{"PARTUUID", fmt.Sprintf("%.8s-%02d", p.M.Persona.MachineID, partNumber(d, i))})
			if k, v, ok := strings.Cut(o.Get("t"), "="); ok && !slices.Contains(tags, [2]string{k, strings.Trim(v, "\"")}) {
				continue
			}
			status = 0
			if o.Has("U") {
				put(p, "%s\n", dev)
				continue
			}
			showTags(p, o, dev, tags)
		}
	}
	return status
}

// showTags is a device's line of blkid, in the form that -o names.
func showTags(p *kernel.Proc, o getopt.Opts, dev string, tags [][2]string) {
	var line strings.Builder
	line.WriteString(dev + ":")
	for _, t := range tags {
		if o.Has("s") && !slices.Contains(o.All("s"), t[0]) {
			continue
		}
		switch o.Get("o") {
		case "value":
			put(p, "%s\n", t[1])
		case "export":
			put(p, "%s=%s\n", t[0], t[1])
		default:
			fmt.Fprintf(&line, " %s=%q", t[0], t[1])
		}
	}
	switch o.Get("o") {
	case "value", "export":
	case "device":
		put(p, "%s\n", dev)
	default:
		put(p, "%s\n", line.String())
	}
}

func fdisk(_ context.Context, p *kernel.Proc) int {
	if p.Caller.UID != 0 {
		errorf(p, "cannot open /dev/%s: Permission denied", p.M.Persona.Disks[0].Name)
		return 1
	}
	if !strings.Contains(strings.Join(p.Args[1:], " "), "-l") {
		if len(p.Args) < 2 {
			complain(p, "fdisk: bad usage\nTry 'fdisk --help' for more information.")
			return 1
		}
		put(p, "\nWelcome to fdisk (util-linux %s).\nChanges will remain in memory only, until you decide to write them.\nBe careful before using the write command.\n\n\nCommand (m for help): ", getopt.PackageVersion(p, "util-linux"))
		return 0
	}
	for _, d := range p.M.Persona.Disks {
		put(p, "Disk /dev/%s: %d GiB, %d bytes, %d sectors\nDisk model: %-16s\nUnits: sectors of 1 * 512 = 512 bytes\nSector size (logical/physical): 512 bytes / 512 bytes\nI/O size (minimum/optimal): 512 bytes / 512 bytes\nDisklabel type: dos\nDisk identifier: 0x%.8s\n\nDevice     Boot    Start       End   Sectors   Size Id Type\n", d.Name, d.Bytes>>30, d.Bytes, d.Bytes/512, d.Model, p.M.Persona.MachineID)
		start := int64(2048)
		for i, part := range d.Parts {
			boot, id, kind := " ", "83", "Linux"
			if i == 0 {
				boot = "*"
			}
			switch part.FS {
			case "swap":
				id, kind = "82", "Linux swap / Solaris"
			case "":
				id, kind = " 5", "Extended"
			}
			n := part.Bytes / 512
			put(p, "/dev/%s  %s    %9d %9d %9d %5.1fG %s %s\n", part.Name, boot, start, start+n-1, n, float64(part.Bytes)/(1<<30), id, kind)
			start += n + 2048
		}
		put(p, "\n")
	}
	return 0
}

func findmnt(_ context.Context, p *kernel.Proc) int {
	put(p, "%-30s %-12s %-10s %s\n", "TARGET", "SOURCE", "FSTYPE", "OPTIONS")
	for _, m := range p.M.Mounts() {
		t := "├─" + m.Target
		if m.Target == "/" {
			t = "/"
		}
		put(p, "%-30s %-12s %-10s %s\n", t, m.Source, m.FS, m.Options)
	}
	return 0
}

func swapon(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "ad?efo:p:sT:vVhL:U:", "all/a discard?/d ifexists/e fixpgsz/f options/o priority/p summary/s show? noheadings raw bytes verbose/v version/V")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	data, err := p.M.FS.ReadFile(p.Caller, "/proc/swaps", 4096)
	if err != nil {
		return 1
	}
	switch {
	case o.Has("s"):
		put(p, "%s", data)
	case len(o.Args) == 0 && !o.Has("a"):
		if !o.Has("noheadings") {
			put(p, "NAME      TYPE      SIZE USED PRIO\n")
		}
		for l := range strings.Lines(string(data)) {
			if f := strings.Fields(l); len(f) == 5 && f[0] != "Filename" {
				kb, _ := strconv.ParseInt(f[2], 10, 64)
				put(p, "%s %-9s %4dM   0B   -2\n", f[0], f[1], kb/1024)
			}
		}
	case p.Caller.UID != 0:
		errorf(p, "cannot open %s: Permission denied", p.Args[len(p.Args)-1])
		return 255
	default:
		if len(o.Args) == 0 {
			return 0
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(o.Args[0])); err != nil {
			errorf(p, "cannot open %s: No such file or directory", o.Args[0])
			return 255
		}
		errorf(p, "%s: read swap header failed", o.Args[0])
		return 255
	}
	return 0
}

func vmstat(ctx context.Context, p *kernel.Proc) int {
	i := p.M.MemInfo(p.Now())
	put(p, "procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----\n r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st\n")
	n := 1
	if len(p.Args) > 1 {
		n = 1000
		if len(p.Args) > 2 {
			n, _ = strconv.Atoi(p.Args[2])
		}
	}
	for k := range max(n, 1) {
		if k > 0 && p.M.Clock.Sleep(ctx, 1_000_000_000) != nil {
			break
		}
		put(p, "%2d %2d %6d %6d %6d %6d %4d %4d %5d %5d %4d %4d %2d %2d %2d %2d %2d\n", 0, 0, i.SwapTotal-i.SwapFree, i.Free, i.Buffers, i.Cached, 0, 0, 3, 9, 41, 77, 0, 0, 100, 0, 0)
	}
	return 0
}

// parameterFile are the settings of a file of sysctl's.
func parameterFile(p *kernel.Proc, name string) []string {
	if name == "" {
		name = "/etc/sysctl.conf"
	}
	data, err := p.M.FS.ReadFile(p.Caller, p.Abs(name), 64<<10)
	if err != nil {
		complain(p, "sysctl: cannot open \"%s\": %s", name, err)
		return nil
	}
	var out []string
	for l := range strings.Lines(string(data)) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' && l[0] != ';' && strings.Contains(l, "=") {
			out = append(out, l)
		}
	}
	return out
}

func sysctl(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aAbdeef?hNnp?qr:VwX", "all/a load?/p names/N values/n quiet/q write/w system pattern/r ignore/e")
	if o.Bad != "" || len(o.Args) == 0 && !o.Has("a", "A", "p", "system") {
		complain(p, "\nUsage:\n sysctl [options] [variable[=value] ...]\n\nFor more details see sysctl(8).")
		return 1
	}
	status := 0
	names := o.Args
	if o.Has("a", "A") {
		names = nil
		var walk func(dir string)
		walk = func(dir string) {
			list, err := p.M.FS.ReadDir(p.Caller, "/proc/sys/"+dir)
			if err != nil {
				return
			}
			for _, in := range list {
				if in.Kind == vfs.Dir {
					walk(dir + in.Name + "/")
				} else {
					names = append(names, strings.ReplaceAll(dir+in.Name, "/", "."))
				}
			}
		}
		walk("")
	}
	if o.Has("p", "system") {
		names = append(names, parameterFile(p, o.Get("p"))...)
	}
	for _, a := range names {
		k, v, set := strings.Cut(a, "=")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		data, err := p.M.FS.ReadFile(p.Caller, "/proc/sys/"+strings.ReplaceAll(k, ".", "/"), 4096)
		switch {
		case err != nil:
			complain(p, "sysctl: cannot stat /proc/sys/%s: No such file or directory", strings.ReplaceAll(k, ".", "/"))
			status = 255
		case set && p.Caller.UID != 0:
			complain(p, "sysctl: permission denied on key \"%s\"", k)
			status = 255
		case set:
			if err := p.M.FS.WriteFile(p.Caller, "/proc/sys/"+strings.ReplaceAll(k, ".", "/"), []byte(v+"\n"), 0o644); err != nil {
				complain(p, "sysctl: setting key \"%s\": %s", k, map[bool]string{true: "Invalid argument", false: err.Error()}[err == vfs.EINVAL]) //nolint:errorlint // FS gives bare numbers
				status = 255
				continue
			}
			if !o.Has("q") {
				put(p, "%s = %s\n", k, v)
			}
		case o.Has("N"):
			put(p, "%s\n", k)
		case o.Has("n"):
			put(p, "%s", data)
		default:
			put(p, "%s = %s", k, data)
		}
	}
	return status
}
