package procfs

import (
	"fmt"
	"strconv"
	"strings"
)

// routerFiles are the files of /proc that a small router has besides, or has
// in its own form.
var routerFiles = map[string]func(*Proc) string{
	"mtd": (*Proc).mtd, "partitions": (*Proc).flashPartitions, "swaps": func(*Proc) string { return "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" },
	"filesystems": func(*Proc) string {
		return "nodev\tsysfs\nnodev\ttmpfs\nnodev\tbdev\nnodev\tproc\nnodev\tdebugfs\nnodev\tsockfs\nnodev\tpipefs\nnodev\tramfs\nnodev\tdevpts\n\tsquashfs\nnodev\tjffs2\nnodev\toverlay\n"
	},
	"modules": (*Proc).routerModules, "net/route": (*Proc).routerRoutes, "net/arp": (*Proc).routerARP,
	"net/udp": func(f *Proc) string { return f.netUDP() }, "net/wireless": (*Proc).wireless,
	"sys/net/ipv4/ip_forward": func(*Proc) string { return "1\n" }, "sys/kernel/pid_max": func(*Proc) string { return "32768\n" },
	"sys/fs/file-max":             func(f *Proc) string { return strconv.FormatInt(f.m.Persona.Memory.TotalKB/10, 10) + "\n" },
	"sys/kernel/modules_disabled": func(*Proc) string { return "0\n" },
}

// only are the files that this machine has in its own form.
func (f *Proc) only() []map[string]func(*Proc) string {
	if f.m.Persona.Family == "busybox" {
		return []map[string]func(*Proc) string{routerFiles}
	}
	return []map[string]func(*Proc) string{serverFiles, netFiles}
}

// source makes the file at rel, nil if there is none.
func (f *Proc) source(rel string) func(*Proc) string {
	for _, m := range f.only() {
		if fn := m[rel]; fn != nil {
			return fn
		}
	}
	return files[rel]
}

func (f *Proc) mtd() string {
	var b strings.Builder
	b.WriteString("dev:    size   erasesize  name\n")
	for _, p := range f.m.Persona.Disks[0].Parts {
		fmt.Fprintf(&b, "%s: %08x 00010000 %q\n", p.Name, p.Bytes, p.Label)
	}
	return b.String()
}

func (f *Proc) flashPartitions() string {
	var b strings.Builder
	b.WriteString("major minor  #blocks  name\n\n")
	for i, p := range f.m.Persona.Disks[0].Parts {
		fmt.Fprintf(&b, "%4d %8d %10d mtdblock%d\n", 31, i, p.Bytes/1024, i)
	}
	return b.String()
}

// Module is one loaded kernel module of a router.
type Module struct {
	Name string
	Size int
	Used string // count and users as /proc/modules writes them
}

// RouterModules are the loaded modules, newest first.
func RouterModules() []Module {
	return []Module{
		{"ath9k", 95200, "0 -"},
		{"ath9k_common", 14416, "1 ath9k,"},
		{"ath9k_hw", 358736, "2 ath9k,ath9k_common,"},
		{"ath", 21360, "3 ath9k,ath9k_common,ath9k_hw,"},
		{"mac80211", 431232, "1 ath9k,"},
		{"cfg80211", 262400, "4 ath9k,ath9k_common,ath,mac80211,"},
		{"xt_MASQUERADE", 1312, "1 -"},
		{"iptable_nat", 1456, "1 -"},
		{"nf_nat", 26352, "2 xt_MASQUERADE,iptable_nat,"},
		{"nf_conntrack", 78448, "2 xt_MASQUERADE,nf_nat,"},
		{"iptable_filter", 992, "1 -"},
		{"ip_tables", 11072, "2 iptable_nat,iptable_filter,"},
		{"x_tables", 12816, "3 xt_MASQUERADE,iptable_filter,ip_tables,"},
		{"ppp_generic", 22304, "0 -"},
	}
}

func (f *Proc) routerModules() string {
	var b strings.Builder
	at := 0x87000000
	for _, m := range RouterModules() {
		at -= m.Size &^ 0xfff
		fmt.Fprintf(&b, "%s %d %s Live 0x%08x\n", m.Name, m.Size, m.Used, at)
	}
	return b.String()
}

// hex4 is an IPv4 address as this machine's kernel prints it in /proc/net:
// in its own byte order.
func (f *Proc) hex4(a string) string {
	h := hexAddr(a + ":0")[:8]
	if f.m.Persona.CPU.Elf.Data == 2 {
		return h[6:8] + h[4:6] + h[2:4] + h[0:2]
	}
	return h
}

func (f *Proc) routerRoutes() string {
	lan, wan := f.m.Persona.NICs[0], f.m.Persona.NICs[2]
	net := func(a string) string { return f.hex4(a[:strings.LastIndexByte(a, '.')] + ".0") }
	var b strings.Builder
	b.WriteString("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
	row := func(dev, dst, gw, mask string, flags int) {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%04d\t0\t0\t0\t%s\t0\t0\t0\n", dev, dst, gw, flags, mask)
	}
	row(wan.Name, "00000000", f.hex4(wan.Gateway), "00000000", 3)
	row(wan.Name, net(wan.IPv4), "00000000", f.hex4("255.255.255.0"), 1)
	row(lan.Name, net(lan.IPv4), "00000000", f.hex4("255.255.255.0"), 1)
	return b.String()
}

func (f *Proc) routerARP() string {
	var b strings.Builder
	b.WriteString("IP address       HW type     Flags       HW address            Mask     Device\n")
	for _, n := range f.m.Persona.BusyBox.Neighbours {
		fmt.Fprintf(&b, "%-16s 0x1         0x2         %s     *        %s\n", n.IP, n.MAC, n.Dev)
	}
	return b.String()
}

func (f *Proc) netUDP() string {
	var b strings.Builder
	b.WriteString("   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n")
	for i, s := range f.m.Persona.Sockets {
		if s.Proto == "udp" {
			fmt.Fprintf(&b, "%5d: %s %s 07 00000000:00000000 00:00000000 00000000 %5d        0 %d 2 00000000 0           \n", i, f.hex4(s.Local[:strings.IndexByte(s.Local, ':')])+hexAddr(s.Local)[8:], "00000000:0000", s.UID, s.Inode)
		}
	}
	return b.String()
}

func (f *Proc) wireless() string {
	return "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n"
}

// router is /sys of a small router.
func (s *Sys) router() map[string]string {
	p := s.p.m.Persona
	cpus := "0"
	if p.CPU.Cores > 1 {
		cpus = fmt.Sprintf("0-%d", p.CPU.Cores-1)
	}
	f := map[string]string{
		"devices/system/cpu/online": cpus + "\n", "devices/system/cpu/possible": cpus + "\n", "class/net/lo/address": "00:00:00:00:00:00\n",
		"power/state": "\n", "firmware/.keep": "", "fs/.keep": "", "kernel/debug/.keep": "", "bus/.keep": "", "block/.keep": "", "module/.keep": "",
		"class/leds/power/brightness": "1\n", "class/leds/wlan/brightness": "1\n", "class/gpio/.keep": "", "dev/block/.keep": "",
		"firmware/devicetree/base/model": p.BusyBox.Model + "\x00",
	}
	for i, d := range p.Disks[0].Parts {
		f[fmt.Sprintf("class/mtd/mtd%d/name", i)] = d.Label + "\n"
		f[fmt.Sprintf("class/mtd/mtd%d/size", i)] = strconv.FormatInt(d.Bytes, 10) + "\n"
	}
	for _, n := range p.NICs {
		f["class/net/"+n.Name+"/address"] = n.MAC + "\n"
		f["class/net/"+n.Name+"/mtu"] = strconv.Itoa(n.MTU) + "\n"
		f["class/net/"+n.Name+"/operstate"] = "up\n"
	}
	return f
}
