package busybox

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/procfs"
)

func dmesg(ctx context.Context, p *kernel.Proc) int {
	k := p.M.Persona
	if k.Family != "busybox" {
		return sister(ctx, p, "dmesg")
	}
	lines := []string{"Linux version" + strings.TrimPrefix(k.Kernel.Proc, "Linux version")}
	if k.Kernel.Machine == "mips" {
		lines = append(lines, "printk: bootconsole [early0] enabled", "CPU0 revision is: 00019750 ("+strings.TrimSuffix(k.CPU.Model, k.CPU.Model[strings.LastIndexByte(k.CPU.Model, ' '):])+")", "MIPS: machine is "+k.BusyBox.Model, "SoC: "+k.CPU.Vendor)
	} else {
		lines = append(lines, "CPU: ARMv7 Processor [410fc075] revision 5 (ARMv7), cr=10c5387d", "OF: fdt: Machine model: "+k.BusyBox.Model, "Memory policy: Data cache writealloc")
	}
	lines = append(lines, "Kernel command line: "+k.Kernel.Cmdline, fmt.Sprintf("Memory: %dK/%dK available", k.Memory.TotalKB-3000, k.Memory.TotalKB+6000),
		fmt.Sprintf("Calibrating delay loop... %.2f BogoMIPS", k.CPU.Bogomips), "squashfs: version 4.0 (2009/01/31) Phillip Lougher", "jffs2: version 2.2 (NAND) (SUMMARY) (LZMA) (RTIME) (CMODE_PRIORITY) (c) 2001-2006 Red Hat, Inc.",
		fmt.Sprintf("%d fixed-partitions partitions found on MTD device spi0.0", len(k.Disks[0].Parts)-3), "Creating MTD partitions on \"spi0.0\":")
	at := int64(0)
	for _, d := range k.Disks[0].Parts {
		if d.Label == "kernel" || d.Label == "rootfs" || d.Label == "rootfs_data" {
			continue
		}
		lines = append(lines, fmt.Sprintf("0x%012x-0x%012x : %q", at, at+d.Bytes, d.Label))
		at += d.Bytes
	}
	lines = append(lines, "VFS: Mounted root (squashfs filesystem) readonly on device 31:4.", "Freeing unused kernel memory: 1208K", "Run /sbin/init as init process")
	for _, n := range k.NICs[1:] {
		lines = append(lines, "br0: port "+strconv.Itoa(len(n.Name)%3+1)+"("+n.Name+") entered forwarding state")
	}
	t := 0.0
	for i, l := range lines {
		if i > 3 {
			t += 0.0371*float64(i) + 0.004
		}
		put(p, "[%12.6f] %s\n", t, l)
	}
	return 0
}

func lsmod(_ context.Context, p *kernel.Proc) int {
	put(p, "Module                  Size  Used by    Not tainted\n")
	if p.M.Persona.Family != "busybox" {
		return 0
	}
	for _, m := range procfs.RouterModules() {
		used, by, _ := strings.Cut(m.Used, " ")
		put(p, "%-19s %8d  %2s %s\n", m.Name, m.Size, used, strings.TrimSuffix(strings.TrimSuffix(by, ","), "-"))
	}
	return 0
}

func insmod(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) < 2 {
		return wrongUse
	}
	name := p.Args[1]
	text, err := readAll(p, name)
	why, errno := "", 0
	switch {
	case err != nil:
		why, errno = err.Error(), 2
	case p.Caller.UID != 0:
		why, errno = "Operation not permitted", 1
	case !strings.HasPrefix(text, "\x7fELF"):
		why, errno = "invalid module format", 8
	}
	if why == "" {
		return 0
	}
	complain(p, "insmod: can't insert '%s': %s\n", name, why)
	return 256 - errno
}

func modprobe(_ context.Context, p *kernel.Proc) int {
	rc := 0
	for _, m := range p.Args[1:] {
		if strings.HasPrefix(m, "-") || strings.Contains(m, "=") {
			continue
		}
		if _, err := p.M.FS.Stat(p.Caller, "/lib/modules/"+p.M.Persona.Kernel.Release+"/"+strings.ReplaceAll(m, "-", "_")+".ko"); err != nil {
			complain(p, "modprobe: module %s not found in modules.dep\n", m)
			rc = 1
		}
	}
	return rc
}

func rmmod(_ context.Context, p *kernel.Proc) int {
	rc := 0
	for _, m := range p.Args[1:] {
		if strings.HasPrefix(m, "-") {
			continue
		}
		complain(p, "rmmod: can't unload module '%s': %s\n", m, map[bool]string{true: "Resource temporarily unavailable", false: "No such file or directory"}[loaded(m)])
		rc = 1
	}
	return rc
}

func loaded(name string) bool {
	for _, m := range procfs.RouterModules() {
		if m.Name == name {
			return true
		}
	}
	return false
}
