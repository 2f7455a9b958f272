// Package image builds the file system of a fake host from its persona.
package image

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// builder holds what the parts of an image share.
type builder struct {
	*vfs.Builder
	p         *persona.Persona
	installed time.Time
	booted    time.Time
}

// Build makes the immutable base of a fake host, with planted files in it.
func Build(p *persona.Persona, planted ...vfs.Node) *vfs.Base {
	installed := Installed(p)
	if p.Family == "busybox" {
		return buildRouter(p, planted)
	}
	b := &builder{Builder: vfs.NewBuilder(installed), p: p, installed: installed, booted: p.Boot}
	b.skeleton()
	b.programs()
	b.etc()
	b.homes()
	b.devices()
	b.variable()
	b.packages()
	b.modules()
	if p.Family == "ubuntu" {
		b.ubuntu()
	}
	b.plant(planted)
	return b.Build()
}

// Installed is when the host was set up.
func Installed(p *persona.Persona) time.Time { return p.Boot.AddDate(0, -7, -3).Truncate(time.Minute) }

// plant adds files that somebody put there some weeks ago.
func (b *builder) plant(files []vfs.Node) {
	for _, f := range files {
		if f.Mtime.IsZero() {
			f.Mtime = b.installed.AddDate(0, 6, 0)
		}
		b.Add(f)
	}
}

func (b *builder) dir(path string, mode, uid, gid uint32, t time.Time) {
	b.Add(vfs.Node{Path: path, Kind: vfs.Dir, Mode: mode, UID: uid, GID: gid, Mtime: t})
}

func (b *builder) text(path string, t time.Time, text string) { b.Text(path, 0o644, 0, 0, t, text) }

func (b *builder) skeleton() {
	for _, n := range []string{"bin", "lib", "sbin"} {
		b.Add(vfs.Node{Path: "/usr/" + n, Kind: vfs.Dir, Mode: 0o755, Mtime: b.installed})
		b.Add(vfs.Node{Path: "/" + n, Kind: vfs.Symlink, Mode: 0o777, Target: "usr/" + n, Mtime: b.installed})
	}
	b.dir("/usr/lib64", 0o755, 0, 0, b.installed)
	b.Add(vfs.Node{Path: "/lib64", Kind: vfs.Symlink, Mode: 0o777, Target: "usr/lib64", Mtime: b.installed})
	for d := range strings.FieldsSeq("/boot /etc /home /media /mnt /opt /srv /usr/games /usr/include /usr/libexec /usr/local /usr/local/bin /usr/local/sbin /usr/share /usr/share/doc /usr/share/man /usr/src /var/backups /var/cache /var/cache/apt /var/lib /var/lib/apt /var/lib/dpkg /var/opt /var/spool /usr/lib/x86_64-linux-gnu /usr/lib/systemd /var/lib/systemd") {
		b.dir(d, 0o755, 0, 0, b.installed)
	}
	b.dir("/proc", 0o555, 0, 0, b.booted)
	b.dir("/sys", 0o555, 0, 0, b.booted)
	b.dir("/root", 0o700, 0, 0, b.installed.AddDate(0, 1, 2))
	b.dir("/tmp", 0o1777, 0, 0, b.booted.Add(30*time.Hour))
	b.dir("/var/tmp", 0o1777, 0, 0, b.booted)
	b.dir("/run", 0o755, 0, 0, b.booted)
	b.dir("/run/sshd", 0o755, 0, 0, b.booted)
	b.dir("/run/lock", 0o1777, 0, 0, b.booted)
	b.dir("/run/shm", 0o1777, 0, 0, b.booted)
	b.dir("/lost+found", 0o700, 0, 0, b.installed)
	b.Add(vfs.Node{Path: "/var/run", Kind: vfs.Symlink, Mode: 0o777, Target: "/run", Mtime: b.installed})
	b.Add(vfs.Node{Path: "/var/lock", Kind: vfs.Symlink, Mode: 0o777, Target: "/run/lock", Mtime: b.installed})
	k := b.p.Kernel.Release
	for _, f := range []struct {
		name string
		size int64
	}{{"vmlinuz-", 8_201_152}, {"initrd.img-", 38_644_012}, {"System.map-", 83}, {"config-", 259_485}} {
		n := vfs.Node{Path: "/boot/" + f.name + k, Kind: vfs.File, Mode: 0o644, Mtime: b.installed, Content: vfs.Image("", f.size, b.elf(1))}
		if f.name == "System.map-" { // the real one is in the package with debugging symbols
			n.Content = vfs.Bytes([]byte("ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n"))
		}
		b.Add(n)
	}
	for _, n := range []string{"vmlinuz", "initrd.img"} {
		b.Add(vfs.Node{Path: "/" + n, Kind: vfs.Symlink, Mode: 0o777, Target: "boot/" + n + "-" + k, Mtime: b.installed})
	}
}

func (b *builder) elf(seed uint64) vfs.Elf {
	e := b.p.CPU.Elf
	return vfs.Elf{Class: e.Class, Data: e.Data, Machine: e.Machine, Interp: e.Interp, Seed: seed}
}

func (b *builder) programs() {
	for i, pr := range b.p.Programs {
		n := vfs.Node{Path: pr.Path, Kind: vfs.File, Mode: pr.Mode, Mtime: pr.MTime}
		switch {
		case pr.Link != "":
			n.Kind, n.Mode, n.Target = vfs.Symlink, 0o777, pr.Link
		default:
			n.Content = vfs.Image(pr.Impl, pr.Size, b.elf(uint64(i+1)))
		}
		b.Add(n)
	}
	for a := range persona.Alternatives {
		b.Add(vfs.Node{Path: "/etc/alternatives/" + a.Name, Kind: vfs.Symlink, Mode: 0o777, Target: a.Target, Mtime: b.installed})
	}
	b.Add(vfs.Node{Path: "/usr/lib64/ld-linux-x86-64.so.2", Kind: vfs.Symlink, Mode: 0o777, Target: "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", Mtime: b.installed})
	for name, size := range map[string]int64{"libc.so.6": 1922136, "ld-linux-x86-64.so.2": 210968, "libm.so.6": 907784, "libselinux.so.1": 174312, "libssl.so.3": 692256, "libcrypto.so.3": 4709496} {
		b.Add(vfs.Node{Path: "/usr/lib/x86_64-linux-gnu/" + name, Kind: vfs.File, Mode: 0o755, Mtime: b.installed, Content: vfs.Image("", size, b.elf(uint64(size)))})
	}
	b.Add(vfs.Node{Path: "/usr/lib/systemd/systemd", Kind: vfs.File, Mode: 0o755, Mtime: b.installed, Content: vfs.Image("", 100416, b.elf(99))})
	b.Add(vfs.Node{Path: "/usr/sbin/init", Kind: vfs.Symlink, Mode: 0o777, Target: "/lib/systemd/systemd", Mtime: b.installed})
}

func (b *builder) etc() {
	p, t := b.p, b.installed
	o := p.OS
	release := fmt.Sprintf("PRETTY_NAME=\"%s\"\nNAME=\"%s\"\nVERSION_ID=\"%s\"\nVERSION=\"%s\"\nVERSION_CODENAME=%s\nID=%s\nHOME_URL=\"%s\"\nSUPPORT_URL=\"%s\"\nBUG_REPORT_URL=\"%s\"\n",
		o.Pretty, o.Name, o.VersionID, o.Version, o.Codename, o.ID, o.URLs[0], o.URLs[1], o.URLs[2])
	b.text("/usr/lib/os-release", t, release)
	b.Add(vfs.Node{Path: "/etc/os-release", Kind: vfs.Symlink, Mode: 0o777, Target: "../usr/lib/os-release", Mtime: t})
	b.text("/etc/debian_version", t, o.DebVersion+"\n")
	b.Add(vfs.Node{Path: "/etc/mtab", Kind: vfs.Symlink, Mode: 0o777, Target: "../proc/self/mounts", Mtime: t})
	b.text("/etc/hostname", t, p.Hostname+"\n")
	hosts := "127.0.0.1\tlocalhost\n127.0.1.1\t"
	if p.Domain != "" {
		hosts += p.FQDN() + "\t"
	}
	b.text("/etc/hosts", t, hosts+p.Hostname+"\n\n# The following lines are desirable for IPv6 capable hosts\n::1     localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n")
	resolv := ""
	if p.Domain != "" {
		resolv = "domain " + p.Domain + "\nsearch " + p.Domain + "\n"
	}
	for _, d := range p.DNS {
		resolv += "nameserver " + d + "\n"
	}
	b.text("/etc/resolv.conf", b.booted, resolv)
	b.text("/etc/issue", t, p.Issue)
	b.text("/etc/issue.net", t, o.Name+" "+o.VersionID+"\n")
	b.text("/etc/motd", t, p.MOTD)
	b.text("/etc/machine-id", t, p.MachineID+"\n")
	b.text("/etc/timezone", t, p.Timezone+"\n")
	b.Add(vfs.Node{Path: "/etc/localtime", Kind: vfs.Symlink, Mode: 0o777, Target: "/usr/share/zoneinfo/" + p.Timezone, Mtime: t})
	b.text("/etc/shells", t, "# /etc/shells: valid login shells\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/rbash\n/usr/bin/rbash\n/bin/dash\n/usr/bin/dash\n")
	b.text("/etc/profile", t, "# /etc/profile: system-wide .profile file for the Bourne shell (sh(1))\n# and Bourne compatible shells (bash(1), ksh(1), ash(1), ...).\n\nif [ \"$(id -u)\" -eq 0 ]; then\n  PATH=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\nelse\n  PATH=\"/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games\"\nfi\nexport PATH\n")
	b.text("/etc/hosts.allow", t, "# /etc/hosts.allow: list of hosts that are allowed to access the system.\n")
	b.text("/etc/hosts.deny", t, "# /etc/hosts.deny: list of hosts that are _not_ allowed to access the system.\n")
	b.text("/etc/crontab", t, "# /etc/crontab: system-wide crontab\nSHELL=/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n\n17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly\n25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }\n52 6\t1 * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.monthly; }\n")
	if p.Family == "debian" {
		b.text("/etc/fstab", t, "# /etc/fstab: static file system information.\nUUID="+p.Disks[0].Parts[0].UUID+" /               ext4    errors=remount-ro 0       1\nUUID="+p.Disks[0].Parts[2].UUID+" none            swap    sw              0       0\n")
	}
	b.text("/etc/apt/sources.list", t, "deb http://deb.debian.org/debian "+o.Codename+" main non-free-firmware\ndeb http://security.debian.org/debian-security "+o.Codename+"-security main non-free-firmware\ndeb http://deb.debian.org/debian "+o.Codename+"-updates main non-free-firmware\n")
	b.text("/etc/network/interfaces", t, fmt.Sprintf("# This file describes the network interfaces available on your system\nsource /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nallow-hotplug %[1]s\niface %[1]s inet static\n\taddress %[2]s/%[3]d\n\tgateway %[4]s\n", p.NICs[0].Name, p.NICs[0].IPv4, p.NICs[0].Prefix, p.NICs[0].Gateway))
	b.text("/etc/ssh/sshd_config", t, "Include /etc/ssh/sshd_config.d/*.conf\n\nPermitRootLogin yes\nKbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n")
	b.text("/etc/nsswitch.conf", t, "passwd:         files systemd\ngroup:          files systemd\nshadow:         files\nhosts:          files dns\nnetworks:       files\n")
	for d := range strings.FieldsSeq("cron.d cron.daily cron.hourly cron.monthly cron.weekly default init.d rc.d profile.d skel ssl ssl/certs sudoers.d systemd systemd/system logrotate.d pam.d security") {
		b.dir("/etc/"+d, 0o755, 0, 0, t)
	}
	b.text("/etc/skel/.bashrc", t, bashrc)
	b.text("/etc/skel/.profile", t, profile)
	b.Text("/etc/sudoers", 0o440, 0, 0, t, "Defaults\tenv_reset\nDefaults\tmail_badpass\nDefaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\nroot\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n")
	b.accounts()
}

const (
	bashrc  = "# ~/.bashrc: executed by bash(1) for non-login shells.\n\n# If not running interactively, don't do anything\ncase $- in\n    *i*) ;;\n      *) return;;\nesac\n\nHISTCONTROL=ignoreboth\nshopt -s histappend\nHISTSIZE=1000\nHISTFILESIZE=2000\n"
	profile = "# ~/.profile: executed by the command interpreter for login shells.\n\nif [ -n \"$BASH_VERSION\" ]; then\n    if [ -f \"$HOME/.bashrc\" ]; then\n\t. \"$HOME/.bashrc\"\n    fi\nfi\n"
)

func (b *builder) accounts() {
	var passwd, shadow, group strings.Builder
	days := b.installed.Unix() / 86400
	for _, u := range b.p.Users {
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, u.Gecos, u.Home, u.Shell)
		hash := "*"
		if u.Human || u.UID == 0 {
			hash = "$y$j9T$" + salt(b.p.Seed+uint64(u.UID), 22) + "$" + salt(b.p.Seed^uint64(u.UID+7), 43)
		}
		fmt.Fprintf(&shadow, "%s:%s:%d:0:99999:7:::\n", u.Name, hash, days)
	}
	for _, g := range b.p.Groups {
		fmt.Fprintf(&group, "%s:x:%d:%s\n", g.Name, g.GID, strings.Join(g.Members, ","))
	}
	b.text("/etc/passwd", b.installed, passwd.String())
	b.text("/etc/passwd-", b.installed, passwd.String())
	b.text("/etc/group", b.installed, group.String())
	b.Text("/etc/shadow", 0o640, 0, 42, b.installed, shadow.String())
	b.Text("/etc/gshadow", 0o640, 0, 42, b.installed, "")
}

// salt is text that looks like a crypt hash and is the hash of nothing.
func salt(seed uint64, n int) string {
	const set = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, n)
	for i := range out {
		seed = seed*6364136223846793005 + 1442695040888963407
		out[i] = set[seed>>58]
	}
	return string(out)
}

func (b *builder) homes() {
	for _, u := range b.p.Users {
		if !u.Human && u.UID != 0 {
			continue
		}
		t := b.installed.AddDate(0, 0, int(u.UID%50))
		mode := uint32(0o700)
		b.dir(u.Home, mode, u.UID, u.GID, t)
		b.Text(u.Home+"/.bashrc", 0o644, u.UID, u.GID, t, bashrc)
		b.Text(u.Home+"/.profile", 0o644, u.UID, u.GID, t, profile)
		if u.UID != 0 {
			b.Text(u.Home+"/.bash_logout", 0o644, u.UID, u.GID, t, "# ~/.bash_logout: executed by bash(1) when login shell exits.\n")
		}
		b.Text(u.Home+"/.bash_history", 0o600, u.UID, u.GID, b.p.LastLogin.At, strings.Join(u.History, "\n")+"\n")
		b.dir(u.Home+"/.ssh", 0o700, u.UID, u.GID, t)
		b.Text(u.Home+"/.ssh/known_hosts", 0o600, u.UID, u.GID, t, "|1|"+salt(b.p.Seed, 27)+"=|"+salt(b.p.Seed+3, 27)+"= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"+salt(b.p.Seed+9, 43)+"\n")
		if u.Human {
			b.Text(u.Home+"/notes.txt", 0o644, u.UID, u.GID, t.AddDate(0, 2, 0), "- check backup on Monday\n- renew certificate in spring\n- ask "+b.p.Users[len(b.p.Users)-1].Name+" about the printer\n")
		}
	}
}

func (b *builder) devices() {
	t := b.booted
	for _, d := range []struct {
		name         string
		kind         vfs.Kind
		mode         uint32
		gid          uint32
		major, minor uint32
	}{
		{"null", vfs.CharDev, 0o666, 0, 1, 3},
		{"zero", vfs.CharDev, 0o666, 0, 1, 5},
		{"full", vfs.CharDev, 0o666, 0, 1, 7},
		{"random", vfs.CharDev, 0o666, 0, 1, 8},
		{"urandom", vfs.CharDev, 0o666, 0, 1, 9},
		{"tty", vfs.CharDev, 0o666, 5, 5, 0},
		{"console", vfs.CharDev, 0o600, 5, 5, 1},
		{"ptmx", vfs.CharDev, 0o666, 5, 5, 2},
		{"mem", vfs.CharDev, 0o640, 15, 1, 1},
		{"kmsg", vfs.CharDev, 0o644, 0, 1, 11},
		{"tty0", vfs.CharDev, 0o620, 5, 4, 0},
		{"autofs", vfs.CharDev, 0o600, 0, 10, 235},
		{"bsg/2:0:0:0", vfs.CharDev, 0o600, 0, 249, 0},
		{"cpu_dma_latency", vfs.CharDev, 0o600, 0, 10, 124},
		{"cuse", vfs.CharDev, 0o600, 0, 10, 203},
		{"dri/card0", vfs.CharDev, 0o660, 44, 226, 0},
		{"fb0", vfs.CharDev, 0o660, 44, 29, 0},
		{"hpet", vfs.CharDev, 0o600, 0, 10, 228},
		{"hwrng", vfs.CharDev, 0o600, 0, 10, 183},
		{"input/event0", vfs.CharDev, 0o660, 101, 13, 64},
		{"input/event1", vfs.CharDev, 0o660, 101, 13, 65},
		{"input/mice", vfs.CharDev, 0o660, 101, 13, 63},
		{"loop-control", vfs.CharDev, 0o660, 6, 10, 237},
		{"mapper/control", vfs.CharDev, 0o600, 0, 10, 236},
		{"nvram", vfs.CharDev, 0o660, 15, 10, 144},
		{"port", vfs.CharDev, 0o640, 15, 1, 4},
		{"ppp", vfs.CharDev, 0o600, 0, 108, 0},
		{"psaux", vfs.CharDev, 0o660, 0, 10, 1},
		{"ptp0", vfs.CharDev, 0o600, 0, 251, 0},
		{"rtc0", vfs.CharDev, 0o600, 0, 253, 0},
		{"sg0", vfs.CharDev, 0o660, 6, 21, 0},
		{"sg1", vfs.CharDev, 0o660, 24, 21, 1},
		{"snapshot", vfs.CharDev, 0o600, 0, 10, 231},
		{"snd/seq", vfs.CharDev, 0o660, 29, 116, 1},
		{"sr0", vfs.BlockDev, 0o660, 24, 11, 0},
		{"uhid", vfs.CharDev, 0o600, 0, 10, 239},
		{"uinput", vfs.CharDev, 0o600, 0, 10, 223},
		{"urandom", vfs.CharDev, 0o666, 0, 1, 9},
		{"userfaultfd", vfs.CharDev, 0o600, 0, 10, 126},
		{"vga_arbiter", vfs.CharDev, 0o600, 0, 10, 127},
		{"vhost-net", vfs.CharDev, 0o600, 0, 10, 238},
		{"vhost-vsock", vfs.CharDev, 0o600, 0, 10, 241},
		{"tty1", vfs.CharDev, 0o620, 5, 4, 1},
		{"fuse", vfs.CharDev, 0o666, 0, 10, 229},
		{"net/tun", vfs.CharDev, 0o666, 0, 10, 200},
	} {
		b.Add(vfs.Node{Path: "/dev/" + d.name, Kind: d.kind, Mode: d.mode, GID: d.gid, Mtime: t, Major: d.major, Minor: d.minor})
	}
	b.disks()
	b.consoles()
	b.dir("/dev/shm", 0o1777, 0, 0, t)
	b.dir("/dev/pts", 0o755, 0, 0, t)
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "core": "/proc/kcore", "log": "/run/systemd/journal/dev-log", "rtc": "rtc0", "cdrom": "sr0", "initctl": "/run/initctl"} {
		b.Add(vfs.Node{Path: "/dev/" + name, Kind: vfs.Symlink, Mode: 0o777, Target: target, Mtime: t})
	}
}

// consoles are the terminals and loop devices, which are many.
func (b *builder) consoles() {
	t := b.booted
	for i := range 64 {
		mode, gid := uint32(0o620), uint32(5)
		b.Add(vfs.Node{Path: "/dev/tty" + strconv.Itoa(i), Kind: vfs.CharDev, Mode: mode, GID: gid, Mtime: t, Major: 4, Minor: uint32(i)})
		if i < 4 {
			b.Add(vfs.Node{Path: "/dev/ttyS" + strconv.Itoa(i), Kind: vfs.CharDev, Mode: 0o660, GID: 20, Mtime: t, Major: 4, Minor: uint32(64 + i)})
		}
		if i < 8 {
			for _, v := range []string{"vcs", "vcsa", "vcsu"} {
				name, minor := v+strconv.Itoa(i), uint32(i)
				if i == 0 {
					name = v
				}
				b.Add(vfs.Node{Path: "/dev/" + name, Kind: vfs.CharDev, Mode: 0o660, GID: 5, Mtime: t, Major: 7, Minor: minor + map[string]uint32{"vcsa": 128, "vcsu": 64}[v]})
			}
			b.Add(vfs.Node{Path: "/dev/loop" + strconv.Itoa(i), Kind: vfs.BlockDev, Mode: 0o660, GID: 6, Mtime: t, Major: 7, Minor: uint32(i)})
		}
	}
}

func (b *builder) variable() {
	t := b.p.LastLogin.At
	b.dir("/var/log", 0o755, 0, 0, t)
	b.dir("/var/log/journal", 0o2755, 0, 999, b.installed)
	b.dir("/var/mail", 0o2775, 0, 8, b.installed)
	b.dir("/var/www/html", 0o755, 0, 0, b.installed)
	b.dir("/var/spool/cron/crontabs", 0o1730, 0, 105, b.installed)
	b.logs()
}
