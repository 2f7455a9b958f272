package persona

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// routerTemplate is the part of a template that only routers have.
type routerTemplate struct {
	Models    []string `yaml:"models"`
	Firmwares []struct {
		Version string    `yaml:"version"`
		BusyBox string    `yaml:"busybox"`
		Kernel  string    `yaml:"kernel"`
		GCC     string    `yaml:"gcc"`
		Built   time.Time `yaml:"built"`
	} `yaml:"firmwares"`
	Boards []board `yaml:"boards"`
}

// board is one system on a chip with what /proc/cpuinfo says of it.
type board struct {
	SoC      string  `yaml:"soc"`
	CPU      string  `yaml:"cpu"`
	Machine  string  `yaml:"machine"`
	Cores    int     `yaml:"cores"`
	MHz      float64 `yaml:"mhz"`
	Bogomips float64 `yaml:"bogomips"`
	MemoryKB int64   `yaml:"memory_kb"`
	FlashKB  int64   `yaml:"flash_kb"`
	Console  string  `yaml:"console"`
	Elf      Elf     `yaml:"elf"`
	Cmdline  string  `yaml:"cmdline"`
	Head     string  `yaml:"head"`
	Core     string  `yaml:"core"` // once for each core
	Tail     string  `yaml:"tail"`
}

// router draws a small router instead of a server.
func (d *drawer) router(now time.Time) {
	t, p := d.t.Router, d.p
	fw, b := pick(d, t.Firmwares), pick(d, t.Boards)
	p.BusyBox = BusyBox{
		Version: fw.BusyBox, Built: fw.Built, Model: pick(d, t.Models), Firmware: fw.Version,
		Serial: fmt.Sprintf("%d%02d%c%06d", fw.Built.Year()%100, 1+d.r.IntN(52), 'A'+rune(d.r.IntN(20)), d.r.IntN(1_000_000)),
	}
	o := d.t.OS
	p.OS = OS{ID: o.ID, Name: o.Name, Version: fw.Version, VersionID: fw.Version, Pretty: p.BusyBox.Model + " " + fw.Version}
	version := "#0 " + fw.Built.Format("Mon Jan _2 15:04:05 2006")
	if b.Cores > 1 {
		version = "#0 SMP " + fw.Built.Format("Mon Jan _2 15:04:05 2006")
	}
	p.Kernel = Kernel{
		Release: fw.Kernel, Version: version, Machine: b.Machine, OSName: "GNU/Linux", Cmdline: b.Cmdline,
		Proc: "Linux version " + fw.Kernel + " (fw@build" + strconv.Itoa(1+fw.Built.Day()%4) + ") (gcc version " + fw.GCC + ") " + version,
	}
	p.CPU = CPU{Cores: b.Cores, Vendor: b.SoC, Model: b.CPU, MHz: b.MHz, Bogomips: b.Bogomips, Elf: b.Elf, Info: b.cpuinfo(p.BusyBox.Model)}
	total := b.MemoryKB - int64(d.r.IntN(60))*4
	p.Memory = Memory{TotalKB: total, BaseKB: total/5 + int64(d.r.IntN(int(total/20))), CacheKB: total / 6}
	d.flash(b)
	d.routerNet()
	p.Users = []User{
		{Name: "root", Gecos: "root", Home: "/root", Shell: "/bin/sh"},
		{Name: "daemon", UID: 1, GID: 1, Gecos: "daemon", Home: "/var", Shell: "/bin/false"},
		{Name: "ftp", UID: 55, GID: 55, Gecos: "ftp", Home: "/home/ftp", Shell: "/bin/false"},
		{Name: "dnsmasq", UID: 453, GID: 453, Gecos: "dnsmasq", Home: "/var/run/dnsmasq", Shell: "/bin/false"},
		{Name: "nobody", UID: 65534, GID: 65534, Gecos: "nobody", Home: "/var", Shell: "/bin/false"},
	}
	for g := range strings.FieldsSeq("root:0 daemon:1 adm:4 mail:8 dialout:20 audio:29 www-data:33 ftp:55 users:100 dnsmasq:453 nogroup:65534") {
		name, id, _ := strings.Cut(g, ":")
		n, _ := strconv.ParseUint(id, 10, 32) // our own table
		p.Groups = append(p.Groups, Group{Name: name, GID: uint32(n)})
	}
	lan := p.NICs[0].IPv4
	p.LastLogin = LastLogin{User: "root", From: lan[:strings.LastIndexByte(lan, '.')+1] + strconv.Itoa(100+d.r.IntN(50)), At: p.Boot.Add(11 * time.Minute), TTY: "pts/0"}
	if at := now.Add(-time.Duration(20+d.r.IntN(200)) * time.Hour).UTC().Truncate(time.Second); at.After(p.LastLogin.At) {
		p.LastLogin.At = at
	}
	p.Shell = "ash"
	d.routerPrograms()
	d.routerProcs(b.Console)
}

// cpuinfo fills in the text of /proc/cpuinfo.
func (b *board) cpuinfo(model string) string {
	fill := func(text string, n int) string {
		return strings.NewReplacer("{soc}", b.SoC, "{model}", model, "{cpu}", b.CPU, "{n}", strconv.Itoa(n), "{bogomips}", fmt.Sprintf("%.2f", b.Bogomips)).Replace(text)
	}
	var out strings.Builder
	out.WriteString(fill(b.Head, 0))
	for n := range b.Cores {
		out.WriteString(fill(b.Core, n))
	}
	out.WriteString(fill(b.Tail, 0))
	return out.String()
}

// flash lays out the partitions of the flash and what is mounted.
func (d *drawer) flash(b board) {
	p := d.p
	const kb = 1024
	kernel, rom := int64(1600+64*d.r.IntN(6)), int64(7040+64*d.r.IntN(10))
	if b.Cores > 1 {
		kernel += 900
		kernel = kernel / 64 * 64
	}
	firmware := b.FlashKB - 256 - 64 - 64
	rootfs := firmware - kernel
	data := rootfs - rom
	disk := Disk{Name: "spi0.0", Bytes: b.FlashKB * kb, Model: "m25p80"}
	for i, x := range []struct {
		label string
		size  int64
		fs    string
		mount string
	}{{"u-boot", 256, "", ""}, {"u-boot-env", 64, "", ""}, {"firmware", firmware, "", ""}, {"kernel", kernel, "", ""}, {"rootfs", rootfs, "squashfs", "/rom"}, {"rootfs_data", data, "jffs2", "/overlay"}, {"art", 64, "", ""}} {
		disk.Parts = append(disk.Parts, Part{Name: "mtd" + strconv.Itoa(i), Bytes: x.size * kb, FS: x.fs, Mount: x.mount, Label: x.label})
	}
	p.Disks = []Disk{disk}
	used, ram := 300+int64(d.r.IntN(240)), p.Memory.TotalKB/2
	p.Mounts = []Mount{
		{"/dev/root", "/rom", "squashfs", "ro,relatime", rom, rom, 1400, 1400},
		{"proc", "/proc", "proc", "rw,nosuid,nodev,noexec,noatime", 0, 0, 0, 0},
		{"sysfs", "/sys", "sysfs", "rw,nosuid,nodev,noexec,noatime", 0, 0, 0, 0},
		{"tmpfs", "/tmp", "tmpfs", "rw,nosuid,nodev,noatime", ram, 64 + 4*int64(d.r.IntN(120)), ram / 4, 70},
		{"/dev/mtdblock5", "/overlay", "jffs2", "rw,noatime", data, used, 0, 0},
		{"overlayfs:/overlay", "/", "overlay", "rw,noatime,lowerdir=/,upperdir=/overlay/upper,workdir=/overlay/work", data, used, 0, 0},
		{"tmpfs", "/dev", "tmpfs", "rw,nosuid,relatime,size=512k,mode=755", 512, 0, ram / 4, 60},
		{"devpts", "/dev/pts", "devpts", "rw,nosuid,noexec,relatime,mode=600,ptmxmode=000", 0, 0, 0, 0},
		{"debugfs", "/sys/kernel/debug", "debugfs", "rw,noatime", 0, 0, 0, 0},
	}
}

// routerNet draws the bridge of the office and the uplink: br0 comes first.
func (d *drawer) routerNet() {
	p := d.p
	base := d.r.IntN(0xfffff0)
	oui := pick(d, d.t.OUIs)
	mac := func(n int) string {
		v := base + n
		return fmt.Sprintf("%s:%02x:%02x:%02x", oui, v>>16, v>>8&255, v&255)
	}
	ll := func(n int) string {
		var hi [3]int
		fmt.Sscanf(oui, "%x:%x:%x", &hi[0], &hi[1], &hi[2]) //nolint:errcheck // our own table
		v := base + n
		return fmt.Sprintf("fe80::%x:%xff:fe%02x:%x", (hi[0]^2)<<8|hi[1], hi[2], v>>16, v&0xffff)
	}
	c, u, up := 1+d.r.IntN(250), d.r.IntN(60), 2+d.r.IntN(250)
	rx, tx := 1<<28+d.r.Int64N(1<<33), 1<<27+d.r.Int64N(1<<32)
	wan := fmt.Sprintf("100.%d.%d.", 64+u, up)
	p.NICs = []NIC{
		{Name: "br0", MAC: mac(0), IPv4: fmt.Sprintf("192.168.%d.1", c), Prefix: 24, Broadcast: fmt.Sprintf("192.168.%d.255", c), IPv6LL: ll(0), MTU: 1500, RxBytes: tx, TxBytes: rx},
		{Name: "eth0", MAC: mac(0), IPv6LL: ll(0), MTU: 1500, RxBytes: tx / 3, TxBytes: rx / 3},
		{Name: "eth1", MAC: mac(1), IPv4: wan + strconv.Itoa(2+d.r.IntN(250)), Prefix: 24, Gateway: wan + "1", Broadcast: wan + "255", IPv6LL: ll(1), MTU: 1500, RxBytes: rx + rx/20, TxBytes: tx + tx/20},
		{Name: "wlan0", MAC: mac(2), IPv6LL: ll(2), MTU: 1500, RxBytes: tx / 5, TxBytes: rx / 5},
		{Name: "wlan1", MAC: mac(3), IPv6LL: ll(3), MTU: 1500, RxBytes: tx / 2, TxBytes: rx / 2},
	}
	p.DNS = []string{wan + "1", "9.9.9.9"}
	d.neighbours()
}

// neighbours draws who is on the wires of a small office.
func (d *drawer) neighbours() {
	p := d.p
	tail := func() string { return fmt.Sprintf("%02x:%02x:%02x", d.r.IntN(256), d.r.IntN(256), d.r.IntN(256)) }
	p.BusyBox.Neighbours = []Neighbour{{IP: p.NICs[2].Gateway, MAC: "00:1b:17:" + tail(), Dev: p.NICs[2].Name}}
	names := []string{"hmi-1", "printer", "laptop-3", "*", "cam-yard", "nas", "till-2", "scale", "plc-gw", "reception", "phone-12", "tablet"}
	d.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	lan := p.NICs[0].IPv4[:strings.LastIndexByte(p.NICs[0].IPv4, '.')+1]
	at := 100 + d.r.IntN(20)
	for _, n := range names[:3+d.r.IntN(4)] { // of Raspberry Pi, Hewlett Packard, Dell, Intel, Siemens
		p.BusyBox.Neighbours = append(p.BusyBox.Neighbours, Neighbour{Name: n, IP: lan + strconv.Itoa(at), MAC: pick(d, []string{"b8:27:eb:", "3c:d9:2b:", "d4:be:d9:", "a0:88:b4:", "00:1b:1b:"}) + tail(), Dev: p.NICs[0].Name})
		at += 1 + d.r.IntN(9)
	}
}

// The applets of the firmware's BusyBox by directory.
const (
	binApplets     = "ash base64 busybox cat chgrp chmod chown cp date dd df dmesg echo egrep false fgrep getopt grep gunzip gzip hostname kill ln login ls mkdir mknod mktemp more mount mv netstat nice pidof ping ping6 printenv ps pwd rm rmdir sed sh sleep stat stty su sync tar touch true umount uname usleep vi watch zcat"
	sbinApplets    = "arp getty halt ifconfig init insmod ip klogd lsmod modprobe poweroff reboot rmmod route start-stop-daemon sysctl syslogd udhcpc vconfig watchdog"
	usrBinApplets  = "[ [[ awk basename clear cmp crontab cut dirname du env expr find free ftpget ftpput head hexdump id killall less logger md5sum nc nohup nslookup od passwd printf readlink reset seq sha256sum sort strings tail tee telnet test tftp time timeout top tr traceroute tty uniq uptime wc wget which whoami xargs yes"
	usrSbinApplets = "brctl chpasswd chroot crond httpd ntpd telnetd udhcpd"
)

// routerPrograms are BusyBox, its links, and the few programs beside it.
func (d *drawer) routerPrograms() {
	p := d.p
	built := p.BusyBox.Built.Truncate(time.Minute)
	size := int64(612_000 + 4*d.r.IntN(12_000))
	p.Programs = append(p.Programs, Program{Path: "/bin/busybox", Impl: "busybox", Size: size, Mode: 0o755, MTime: built})
	for _, l := range []struct{ dir, to, names string }{
		{"/bin/", "busybox", binApplets},
		{"/sbin/", "../bin/busybox", sbinApplets},
		{"/usr/bin/", "../../bin/busybox", usrBinApplets},
		{"/usr/sbin/", "../../bin/busybox", usrSbinApplets},
	} {
		for name := range strings.FieldsSeq(l.names) {
			if name != "busybox" {
				p.Programs = append(p.Programs, Program{Path: l.dir + name, Impl: "busybox", Link: l.to, MTime: built})
			}
		}
	}
	for _, x := range []struct {
		path, impl string
		size       int64
	}{
		{"/usr/sbin/dnsmasq", "", 213_516},
		{"/usr/sbin/hostapd", "", 604_180},
		{"/usr/sbin/miniupnpd", "", 121_008},
		{"/usr/sbin/iw", "", 139_904},
		{"/usr/sbin/iptables", "bb-iptables", 98_476},
		{"/usr/sbin/nvram", "bb-nvram", 14_224},
		{"/usr/sbin/mtd", "", 18_940},
	} {
		p.Programs = append(p.Programs, Program{Path: x.path, Impl: x.impl, Size: x.size + 4*int64(d.r.IntN(400)), Mode: 0o755, MTime: built})
	}
}

// routerProcs are the processes at rest and the sockets they hold.
func (d *drawer) routerProcs(console string) {
	p := d.p
	pid := 0
	add := func(step int, user, cmd, state string, vsz int64, start float64) int {
		pid += step
		name, _, _ := strings.Cut(strings.TrimPrefix(cmd, "["), " ")
		name = strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], "]")
		exe := ""
		ppid := 2
		if cmd[0] != '[' {
			exe, ppid = "/bin/busybox", 1
		}
		if pid <= 2 {
			ppid = 0
		}
		p.Procs = append(p.Procs, Process{
			PID: pid, PPID: ppid, User: user, Name: name, Command: cmd, Exe: exe, State: state, VSZ: vsz, RSS: vsz / 3,
			Start: time.Duration(start * float64(time.Second)), CPU: time.Duration(d.r.IntN(30)) * time.Second, TTY: "?", Threads: 1,
		})
		return pid
	}
	add(1, "root", "init", "S", 1520, 0)
	for k := range strings.FieldsSeq("kthreadd rcu_gp rcu_par_gp kworker/0:0H mm_percpu_wq ksoftirqd/0 kdevtmpfs oom_reaper writeback kcompactd0 kblockd watchdogd kswapd0 spi0 jffs2_gcd_mtd5 cfg80211") {
		state := "SW"
		if strings.HasSuffix(k, "_gp") || strings.HasSuffix(k, "H") || strings.HasSuffix(k, "_wq") || k == "writeback" || k == "kblockd" || k == "cfg80211" {
			state = "IW<"
		}
		add(1+d.r.IntN(3), "root", "["+k+"]", state, 0, 0)
	}
	pid = 300 + d.r.IntN(150)
	gap := func() int { return 3 + d.r.IntN(40) }
	add(gap(), "root", "/sbin/syslogd -C64 -b 1", "S", 1520, 9)
	add(gap(), "root", "/sbin/klogd", "S", 1516, 9.1)
	add(gap(), "root", "/sbin/watchdog -t 5 /dev/watchdog", "S", 1512, 9.3)
	ap0 := add(gap(), "root", "/usr/sbin/hostapd -B -P /var/run/wlan0.pid /var/run/hostapd-wlan0.conf", "S", 2780, 14)
	add(gap(), "root", "/usr/sbin/hostapd -B -P /var/run/wlan1.pid /var/run/hostapd-wlan1.conf", "S", 2784, 15)
	add(gap(), "root", "udhcpc -i eth1 -p /var/run/udhcpc-eth1.pid -s /etc/udhcpc.script -x hostname:"+p.Hostname, "S", 1520, 17)
	dns := add(gap(), "dnsmasq", "/usr/sbin/dnsmasq -C /var/etc/dnsmasq.conf -x /var/run/dnsmasq/dnsmasq.pid", "S", 1788, 18)
	web := add(gap(), "root", "/usr/sbin/httpd -p 80 -h /www -r "+p.BusyBox.Model, "S", 1516, 19)
	tel := add(gap(), "root", "/usr/sbin/telnetd -l /bin/login", "S", 1512, 19.2)
	add(gap(), "root", "/usr/sbin/crond -c /etc/crontabs -l 8", "S", 1520, 19.4)
	ntp := add(gap(), "root", "/usr/sbin/ntpd -n -p 0.pool.ntp.org -p 1.pool.ntp.org", "S<", 1516, 20)
	upnp := add(gap(), "root", "/usr/sbin/miniupnpd -f /var/etc/miniupnpd.conf", "S", 1904, 22)
	add(gap(), "root", "/sbin/getty -L "+console+" 115200 vt100", "S", 1520, 22.5)
	for i := range p.Procs { // what is no applet has a file of its own
		q := &p.Procs[i]
		if q.PID == ap0 || q.PID == dns || q.PID == upnp || q.Name == "hostapd" {
			q.Exe = "/usr/sbin/" + q.Name
		}
	}
	inode := 600 + d.r.IntN(900)
	lan := p.NICs[0].IPv4
	for _, s := range []Socket{
		{Proto: "tcp", Local: "0.0.0.0:23", State: "LISTEN", PID: tel, Name: "telnetd"},
		{Proto: "tcp", Local: "0.0.0.0:80", State: "LISTEN", PID: web, Name: "httpd"},
		{Proto: "tcp", Local: "0.0.0.0:53", State: "LISTEN", PID: dns, Name: "dnsmasq", UID: 453},
		{Proto: "tcp", Local: lan + ":5000", State: "LISTEN", PID: upnp, Name: "miniupnpd"},
		{Proto: "udp", Local: "0.0.0.0:53", PID: dns, Name: "dnsmasq", UID: 453},
		{Proto: "udp", Local: "0.0.0.0:67", PID: dns, Name: "dnsmasq", UID: 453},
		{Proto: "udp", Local: "0.0.0.0:123", PID: ntp, Name: "ntpd"},
		{Proto: "udp", Local: "0.0.0.0:1900", PID: upnp, Name: "miniupnpd"},
	} {
		inode += 1 + d.r.IntN(9)
		s.Peer, s.Inode = "0.0.0.0:*", inode
		p.Sockets = append(p.Sockets, s)
	}
}
