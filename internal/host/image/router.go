package image

import (
	"fmt"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// buildRouter makes the root of a small router: a squashfs as the maker built
// it, an overlay for what was set up since, a tmpfs for what lives.
func buildRouter(p *persona.Persona, planted []vfs.Node) *vfs.Base {
	built := p.BusyBox.Built
	b := &builder{Builder: vfs.NewBuilder(built), p: p, installed: built, booted: p.Boot}
	b.routerDirs()
	b.routerPrograms()
	b.routerEtc()
	b.nvram()
	b.routerState()
	b.routerDevices()
	b.plant(planted)
	return b.Build()
}

func (b *builder) link(path, target string) {
	b.Add(vfs.Node{Path: path, Kind: vfs.Symlink, Mode: 0o777, Target: target, Mtime: b.installed})
}

func (b *builder) routerDirs() {
	for d := range strings.FieldsSeq("/bin /etc /etc/init.d /etc/crontabs /lib /lib/modules /mnt /overlay /overlay/upper /overlay/work /rom /sbin /usr /usr/bin /usr/sbin /usr/lib /usr/share /www /www/cgi-bin") {
		b.dir(d, 0o755, 0, 0, b.installed)
	}
	b.dir("/root", 0o700, 0, 0, b.installed)
	b.dir("/proc", 0o555, 0, 0, b.booted)
	b.dir("/sys", 0o555, 0, 0, b.booted)
	b.dir("/tmp", 0o1777, 0, 0, b.booted.Add(90*time.Second))
	for d := range strings.FieldsSeq("/tmp/etc /tmp/lock /tmp/log /tmp/run /tmp/run/dnsmasq /tmp/run/hostapd /tmp/spool /tmp/spool/cron /tmp/tmp") {
		b.dir(d, 0o755, 0, 0, b.booted.Add(12*time.Second))
	}
	b.link("/var", "tmp")
	b.link("/etc/mtab", "/proc/mounts")
	b.link("/etc/resolv.conf", "/tmp/resolv.conf")
	b.link("/linuxrc", "bin/busybox")
	b.link("/tmp/spool/cron/crontabs", "/etc/crontabs")
}

func (b *builder) routerPrograms() {
	for i, pr := range b.p.Programs {
		n := vfs.Node{Path: pr.Path, Kind: vfs.File, Mode: pr.Mode, Mtime: pr.MTime}
		if pr.Link != "" {
			n.Kind, n.Mode, n.Target = vfs.Symlink, 0o777, pr.Link
		} else {
			n.Content = vfs.Image(pr.Impl, pr.Size, b.elf(uint64(i+1)))
		}
		b.Add(n)
	}
	for name, size := range map[string]int64{
		"libuClibc-1.0.39.so": 472_064, "ld-uClibc-1.0.39.so": 28_968, "libgcc_s.so.1": 74_412, "libnl-tiny.so.1": 22_140, "libcrypto.so.1.1": 1_871_240, "libssl.so.1.1": 411_776,
	} {
		b.Add(vfs.Node{Path: "/lib/" + name, Kind: vfs.File, Mode: 0o755, Mtime: b.installed, Content: vfs.Image("", size, b.elf(uint64(size)))})
	}
	b.link("/lib/ld-uClibc.so.0", "ld-uClibc.so.1")
	b.link("/lib/ld-uClibc.so.1", "ld-uClibc-1.0.39.so")
	b.link("/lib/libc.so.0", "libuClibc-1.0.39.so")
	b.link("/lib/libgcc_s.so", "libgcc_s.so.1")
	for name, size := range map[string]int64{"nf_conntrack": 104_212, "nf_nat": 37_480, "xt_MASQUERADE": 4_068, "ath9k": 118_400, "ath9k_hw": 431_620, "mac80211": 552_304, "cfg80211": 341_900, "ppp_generic": 30_160} {
		b.Add(vfs.Node{Path: "/lib/modules/" + b.p.Kernel.Release + "/" + name + ".ko", Kind: vfs.File, Mode: 0o644, Mtime: b.installed, Content: vfs.Image("", size, b.elf(uint64(size)))})
	}
}

func (b *builder) routerEtc() {
	p, t := b.p, b.installed
	set := b.p.Boot.AddDate(0, 0, -2).Truncate(time.Minute) // the day it was last set up
	var passwd, shadow, group strings.Builder
	for _, u := range p.Users {
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, u.Gecos, u.Home, u.Shell)
		hash := "*"
		if u.UID == 0 {
			hash = "$1$" + salt(p.Seed+11, 8) + "$" + salt(p.Seed^23, 22)
		}
		fmt.Fprintf(&shadow, "%s:%s:%d:0:99999:7:::\n", u.Name, hash, set.Unix()/86400)
	}
	for _, g := range p.Groups {
		fmt.Fprintf(&group, "%s:x:%d:%s\n", g.Name, g.GID, strings.Join(g.Members, ","))
	}
	b.text("/etc/passwd", set, passwd.String())
	b.text("/etc/group", t, group.String())
	b.Text("/etc/shadow", 0o600, 0, 0, set, shadow.String())
	b.text("/etc/hostname", set, p.Hostname+"\n")
	b.text("/etc/hosts", set, "127.0.0.1\tlocalhost\n"+p.NICs[0].IPv4+"\t"+p.Hostname+"\n")
	b.text("/etc/version", t, p.BusyBox.Firmware+"\n")
	b.text("/etc/model", t, p.BusyBox.Model+"\n")
	b.text("/etc/os-release", t, fmt.Sprintf("NAME=%s\nVERSION=%s\nID=%s\nVERSION_ID=%s\nPRETTY_NAME=\"%s\"\n", p.OS.Name, p.OS.Version, p.OS.ID, p.OS.VersionID, p.OS.Pretty))
	b.text("/etc/TZ", t, "UTC0\n")
	b.text("/etc/shells", t, "/bin/sh\n/bin/ash\n")
	b.text("/etc/profile", t, "export PATH=/bin:/sbin:/usr/bin:/usr/sbin\numask 022\n")
	b.text("/etc/fstab", t, "proc\t\t/proc\tproc\tdefaults\t0 0\nsysfs\t\t/sys\tsysfs\tdefaults\t0 0\ntmpfs\t\t/tmp\ttmpfs\tnosuid,nodev\t0 0\n/dev/mtdblock5\t/overlay\tjffs2\tnoatime\t0 0\n")
	b.text("/etc/inittab", t, "::sysinit:/etc/init.d/rcS\n"+console(p)+"::respawn:/sbin/getty -L "+console(p)+" 115200 vt100\n::shutdown:/etc/init.d/rcK\n")
	b.text("/etc/services", t, "ftp\t\t21/tcp\nssh\t\t22/tcp\ntelnet\t\t23/tcp\ndomain\t\t53/tcp\ndomain\t\t53/udp\nbootps\t\t67/udp\ntftp\t\t69/udp\nhttp\t\t80/tcp\nntp\t\t123/udp\nhttps\t\t443/tcp\n")
	b.text("/etc/protocols", t, "ip\t0\tIP\nicmp\t1\tICMP\ntcp\t6\tTCP\nudp\t17\tUDP\n")
	b.Text("/etc/init.d/rcS", 0o755, 0, 0, t, "#!/bin/sh\nmount -a\nmkdir -p /tmp/etc /tmp/lock /tmp/log /tmp/run /tmp/spool/cron\nln -sf /etc/crontabs /tmp/spool/cron/crontabs\nfor i in /etc/init.d/S??*; do\n\t[ -x $i ] && $i start\ndone\n")
	b.Text("/etc/init.d/rcK", 0o755, 0, 0, t, "#!/bin/sh\nfor i in $(ls -r /etc/init.d/S??*); do\n\t$i stop\ndone\numount -a -r\n")
	for _, s := range []struct{ name, run string }{
		{"S01syslog", "syslogd -C64 -b 1; klogd"},
		{"S10network", "ifconfig lo up; brctl addbr br0; brctl addif br0 eth0; ifconfig br0 $(nvram get lan_ipaddr) up; udhcpc -i eth1 -s /etc/udhcpc.script"},
		{"S20firewall", "iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE"},
		{"S30wlan", "hostapd -B /var/run/hostapd-wlan0.conf; hostapd -B /var/run/hostapd-wlan1.conf"},
		{"S40dnsmasq", "dnsmasq -C /var/etc/dnsmasq.conf"},
		{"S50httpd", "httpd -p 80 -h /www"},
		{"S50telnet", "telnetd -l /bin/login"},
		{"S60cron", "crond -c /etc/crontabs -l 8"},
	} {
		b.Text("/etc/init.d/"+s.name, 0o755, 0, 0, t, "#!/bin/sh\ncase \"$1\" in\nstart)\n\t"+strings.ReplaceAll(s.run, "; ", "\n\t")+"\n\t;;\nstop)\n\t;;\nesac\n")
	}
	b.Text("/etc/udhcpc.script", 0o755, 0, 0, t, "#!/bin/sh\ncase \"$1\" in\nbound|renew)\n\tifconfig $interface $ip netmask $subnet\n\troute add default gw $router dev $interface\n\techo -n > /tmp/resolv.conf\n\tfor i in $dns; do echo nameserver $i >> /tmp/resolv.conf; done\n\t;;\nesac\n")
	b.Text("/etc/crontabs/root", 0o600, 0, 0, set, "17 4 * * * /usr/sbin/ntpd -q -n -p 0.pool.ntp.org\n")
	b.text("/www/index.html", t, "<!DOCTYPE html>\n<html><head><meta http-equiv=\"refresh\" content=\"0; url=/cgi-bin/login\"><title>"+p.BusyBox.Model+"</title></head></html>\n")
	b.Text("/www/cgi-bin/login", 0o755, 0, 0, t, "#!/bin/sh\necho Content-type: text/html\necho\ncat /www/login.tpl\n")
	b.text("/www/login.tpl", t, "<form method=post action=/cgi-bin/login>"+p.BusyBox.Model+" <input name=user> <input name=pass type=password></form>\n")
}

// console is the name of the serial line on the kernel's command line.
func console(p *persona.Persona) string {
	_, rest, _ := strings.Cut(p.Kernel.Cmdline, "console=")
	name, _, _ := strings.Cut(rest, ",")
	return name
}

// nvram is the configuration as the maker keeps it; `nvram show` prints it.
func (b *builder) nvram() {
	p := b.p
	lan, wan := p.NICs[0], p.NICs[2]
	pre := lan.IPv4[:strings.LastIndexByte(lan.IPv4, '.')+1]
	set := b.p.Boot.AddDate(0, 0, -2).Truncate(time.Minute)
	b.Text("/etc/nvram.conf", 0o600, 0, 0, set, strings.Join([]string{
		"model=" + p.BusyBox.Model, "serial=" + p.BusyBox.Serial, "fw_version=" + p.BusyBox.Firmware, "hostname=" + p.Hostname, "domain=" + p.Domain,
		"lan_ifname=br0", "lan_ifnames=eth0 wlan0 wlan1", "lan_hwaddr=" + lan.MAC, "lan_ipaddr=" + lan.IPv4, "lan_netmask=255.255.255.0",
		"dhcp_start=" + pre + "100", "dhcp_end=" + pre + "199", "dhcp_lease=86400",
		"wan_ifname=eth1", "wan_hwaddr=" + wan.MAC, "wan_proto=dhcp", "wan_dns=" + strings.Join(p.DNS, " "),
		"wl0_ssid=" + p.BusyBox.Model + "-" + strings.ToUpper(strings.ReplaceAll(lan.MAC, ":", "")[8:]), "wl0_crypto=psk2", "wl0_wpa_psk=" + word(p.Seed+3, 12), "wl0_channel=6",
		"wl1_ssid=" + p.BusyBox.Model + "-" + strings.ToUpper(strings.ReplaceAll(lan.MAC, ":", "")[8:]) + "-5G", "wl1_crypto=psk2", "wl1_wpa_psk=" + word(p.Seed+3, 12), "wl1_channel=36",
		"http_user=admin", "http_pass=" + word(p.Seed+77, 9), "telnet_enable=1", "upnp_enable=1", "remote_mgmt=0", "ntp_server=0.pool.ntp.org", "log_level=7",
	}, "\n")+"\n")
	b.text("/tmp/etc/dnsmasq.conf", b.booted.Add(18*time.Second), "interface=br0\nbind-interfaces\ndhcp-range="+pre+"100,"+pre+"199,86400\ndhcp-leasefile=/tmp/dnsmasq.leases\nresolv-file=/tmp/resolv.conf\nuser=dnsmasq\n")
	b.text("/tmp/etc/miniupnpd.conf", b.booted.Add(22*time.Second), "ext_ifname=eth1\nlistening_ip=br0\nport=5000\nserial="+p.BusyBox.Serial+"\n")
	for i, w := range []string{"wlan0", "wlan1"} {
		b.Text("/tmp/run/hostapd-"+w+".conf", 0o600, 0, 0, b.booted.Add(14*time.Second), fmt.Sprintf("interface=%s\nbridge=br0\ndriver=nl80211\nhw_mode=%c\nchannel=%d\nwpa=2\nwpa_key_mgmt=WPA-PSK\nwpa_pairwise=CCMP\nwpa_passphrase=%s\n", w, "ga"[i], []int{6, 36}[i], word(p.Seed+3, 12)))
	}
}

// word is a password-like word that no other installation has.
func word(seed uint64, n int) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '/' {
			return 'k'
		}
		return r
	}, strings.ToLower(salt(seed*2862933555777941757+3037000493, n)))
}

// routerState is what lies in the tmpfs of a router that has been up for days.
func (b *builder) routerState() {
	p := b.p
	boot := b.booted
	b.text("/tmp/resolv.conf", boot.Add(20*time.Second), "nameserver "+strings.Join(p.DNS, "\nnameserver ")+"\n")
	var leases strings.Builder
	for i, n := range p.BusyBox.Neighbours {
		if n.Dev == p.NICs[0].Name {
			fmt.Fprintf(&leases, "%d %s %s %s *\n", p.LastLogin.At.Unix()+86400+int64(i*7919%40000), n.MAC, n.IP, n.Name)
		}
	}
	b.text("/tmp/dnsmasq.leases", p.LastLogin.At, leases.String())
	for _, q := range p.Procs {
		if q.Exe != "" && q.Name != "init" && q.Name != "getty" {
			b.text("/tmp/run/"+q.Name+".pid", boot.Add(q.Start), fmt.Sprintf("%d\n", q.PID))
		}
	}
	at := func(s float64) string {
		return boot.Add(time.Duration(s * float64(time.Second))).Format("Jan _2 15:04:05")
	}
	b.text("/tmp/log/messages", p.LastLogin.At, fmt.Sprintf("%s %s syslog.info syslogd started: BusyBox v%s\n%s %s user.notice kernel: klogd started: BusyBox v%s (%s)\n%s %s daemon.info udhcpc: lease of %s obtained, lease time 86400\n%s %s daemon.info dnsmasq[%d]: started, version 2.86 cachesize 150\n%s %s auth.info login[%d]: root login on 'pts/0'\n",
		at(9), p.Hostname, p.BusyBox.Version, at(9.1), p.Hostname, p.BusyBox.Version, p.BusyBox.Built.Format("2006-01-02 15:04:05 MST"), at(17), p.Hostname, p.NICs[2].IPv4, at(18), p.Hostname, p.Procs[len(p.Procs)-7].PID,
		p.LastLogin.At.Format("Jan _2 15:04:05"), p.Hostname, 2000+p.Seed%9000))
	b.text("/tmp/run/utmp", p.LastLogin.At, "")
}

func (b *builder) routerDevices() {
	t := b.booted
	type dev struct {
		name         string
		kind         vfs.Kind
		mode         uint32
		major, minor uint32
	}
	list := []dev{
		{"null", vfs.CharDev, 0o666, 1, 3},
		{"zero", vfs.CharDev, 0o666, 1, 5},
		{"full", vfs.CharDev, 0o666, 1, 7},
		{"random", vfs.CharDev, 0o666, 1, 8},
		{"urandom", vfs.CharDev, 0o666, 1, 9},
		{"kmsg", vfs.CharDev, 0o644, 1, 11},
		{"mem", vfs.CharDev, 0o640, 1, 1},
		{"tty", vfs.CharDev, 0o666, 5, 0},
		{"console", vfs.CharDev, 0o600, 5, 1},
		{"ptmx", vfs.CharDev, 0o666, 5, 2},
		{console(b.p), vfs.CharDev, 0o600, 4, 64},
		{"watchdog", vfs.CharDev, 0o600, 10, 130},
		{"ppp", vfs.CharDev, 0o600, 108, 0},
		{"gpiochip0", vfs.CharDev, 0o600, 254, 0},
	}
	for i := range b.p.Disks[0].Parts {
		n := uint32(i)
		list = append(list,
			dev{fmt.Sprintf("mtd%d", i), vfs.CharDev, 0o600, 90, 2 * n}, dev{fmt.Sprintf("mtd%dro", i), vfs.CharDev, 0o600, 90, 2*n + 1}, dev{fmt.Sprintf("mtdblock%d", i), vfs.BlockDev, 0o600, 31, n})
	}
	for _, d := range list {
		b.Add(vfs.Node{Path: "/dev/" + d.name, Kind: d.kind, Mode: d.mode, Mtime: t, Major: d.major, Minor: d.minor})
	}
	b.dir("/dev/pts", 0o755, 0, 0, t)
	b.dir("/dev/shm", 0o1777, 0, 0, t)
	b.Add(vfs.Node{Path: "/dev/log", Kind: vfs.Socket, Mode: 0o666, Mtime: t.Add(9 * time.Second)})
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		b.Add(vfs.Node{Path: "/dev/" + name, Kind: vfs.Symlink, Mode: 0o777, Target: target, Mtime: t})
	}
}
