package persona

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// usrBin and usrSbin name the programs of a Debian server. A name that has no
// implementation in the fake host is there and does nothing visible.
const (
	usrBin = `[ apt apt-cache apt-get apt-key apt-mark arch awk base32 base64 basename bash busybox bunzip2 bzcat bzip2 c_rehash cat chage chattr
chcon chgrp chmod chown chrt cksum clear cmp column comm cp crontab csplit curl cut dash date dd debconf deb-systemd-helper df diff diff3 dir
dircolors dirname dmesg dpkg dpkg-deb dpkg-query du echo egrep env expand expr factor faillog fallocate false fgrep file find findmnt flock fmt
fold free getconf getent getopt gpasswd gpgv grep groups gunzip gzip head hexdump hostid hostname hostnamectl id infocmp install ionice ipcs
join journalctl kill killall last lastb lastlog ldd less lesspipe link ln locale localectl logger login loginctl logname lsattr ls lsblk lscpu lspci lsipc lslocks
lslogins lsmem lsns man mawk mcookie md5sum mesg mkdir mkfifo mknod mktemp more mount mountpoint mv nano newgrp netstat nice nl nohup nproc nsenter numfmt od openssl
partx passwd paste pathchk perl pgrep pidof pidwait pinky ping pkill pmap pr printenv printf prlimit ps ptx pwd pwdx python3 python3.11 readlink realpath
renice reset rev rgrep rm rmdir run-parts scp script sed select-editor seq setsid sftp sg sh sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf slabtop sleep sort
split ss ssh ssh-add ssh-agent ssh-copy-id ssh-keygen ssh-keyscan stat stdbuf strings stty su sudo sum sync systemctl systemd-analyze systemd-cat tabs tac tail tar taskset tee
tempfile test timedatectl timeout tload toe top touch tput tr true truncate tset tsort tty umount uname uncompress unexpand uniq unlink unlzma unshare unxz update-alternatives uptime
users utmpdump uuidgen vdir vi view vmstat w wall watch wc wdctl wget whereis which who whoami write xargs xz xzcat xxd yes zcat zcmp zdiff zegrep zgrep zless zmore znew`
	usrSbin = `addgroup adduser agetty arp blkid blockdev chpasswd chroot cron ctrlaltdel delgroup deluser depmod dpkg-reconfigure dumpe2fs e2fsck fdisk fsck fsck.ext4
getcap groupadd groupdel groupmod halt hwclock ifconfig ifdown ifup init insmod invoke-rc.d ip ip6tables iptables ldconfig logrotate losetup lsmod mkfs mkfs.ext4 mkswap modinfo modprobe
nologin nft nstat pivot_root poweroff pwck pwconv reboot resize2fs rmmod route rsyslogd rtmon runlevel service setcap setpci sfdisk shutdown sshd start-stop-daemon sulogin swapoff swapon
swaplabel switch_root sysctl tc telinit tune2fs tzconfig update-grub update-initramfs update-passwd update-rc.d useradd userdel usermod vigr vipw visudo zic`
)

// aliases are programs that share an implementation, or have another name for it.
var implOf = map[string]string{
	"sh": "dash", "mawk": "awk", "egrep": "grep", "fgrep": "grep", "rgrep": "grep", "apt-get": "apt", "dir": "ls", "vdir": "ls",
	"view": "vi", "lastb": "last", "fsck.ext4": "e2fsck", "mkfs.ext4": "mkfs", "halt": "shutdown", "poweroff": "shutdown", "reboot": "shutdown",
}

// sizes of well-known programs of Debian 12, in bytes.
var sizes = map[string]int64{
	"ls": 151344, "bash": 1265648, "dash": 125640, "cat": 44016, "cp": 151152, "mv": 147056, "rm": 72752, "echo": 43856, "busybox": 741000, "sshd": 1094032,
	"grep": 203152, "sed": 126424, "tar": 531984, "ps": 146080, "top": 138288, "wget": 548272, "curl": 276376, "ssh": 1097040, "scp": 186288, "sudo": 277040,
	"perl": 3792104, "python3.11": 6831736, "systemctl": 1143800, "vi": 1700424, "find": 224848, "awk": 170792, "mawk": 170792, "dd": 80912, "chmod": 68528,
	"uname": 43880, "id": 48144, "ip": 730352, "ss": 166960, "su": 71912, "passwd": 68248, "mount": 59704, "umount": 35128, "df": 153576, "du": 154376, "sort": 118032,
	"head": 47952, "tail": 72528, "cut": 47984, "wc": 56272, "touch": 109456, "mkdir": 97552, "ping": 90568, "openssl": 1004256, "apt": 18752, "dpkg": 318176,
}

var setuid = []string{"su", "sudo", "passwd", "mount", "umount", "chsh", "newgrp", "gpasswd"}

func (d *drawer) programs() {
	p := d.p
	built := p.Boot.AddDate(0, -8, -d.r.IntN(60)).Truncate(time.Minute)
	add := func(dir, names string) {
		for name := range strings.FieldsSeq(names) {
			impl := implOf[name]
			switch {
			case strings.HasPrefix(name, "python3."):
				impl = "python3"
			case impl == "":
				impl = name
			}
			size := sizes[name]
			if size == 0 {
				h := uint64(7)
				for i := range len(name) {
					h = h*31 + uint64(name[i])
				}
				size = 14_400 + int64(h%120)*792/8*8
			}
			pr := Program{Path: dir + "/" + name, Impl: impl, Size: size, Mode: 0o755, MTime: built.Add(-time.Duration(len(name)*37) * time.Hour)}
			if slices.Contains(setuid, name) {
				pr.Mode = 0o4755
			}
			switch name {
			case "sh":
				pr.Link = "dash"
			case "python3":
				py, _ := p.Package("python3")
				pr.Link = strings.Join(strings.SplitN(py.Version+".", ".", 3)[:2], ".")
				pr.Link = "python" + pr.Link
			case "awk":
				pr.Link = "/etc/alternatives/awk"
			case "egrep", "fgrep", "zcat", "zgrep", "ldd", "which":
				pr.Script = true
			}
			p.Programs = append(p.Programs, pr)
		}
	}
	if d.t.Inventory != "" {
		d.installed(built)
		return
	}
	bin := usrBin
	if py, ok := p.Package("python3"); ok {
		if f := strings.SplitN(py.Version, ".", 3); len(f) == 3 {
			bin = strings.Replace(bin, "python3.11", "python3."+f[1], 1)
		}
	}
	add("/usr/bin", bin+" "+d.t.Programs.Bin)
	add("/usr/sbin", usrSbin+" "+d.t.Programs.Sbin)
}

func (d *drawer) processes() {
	p := d.p
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	add := func(pid, ppid int, user, name, cmd, exe, state string, vsz, rss int64, start float64) {
		p.Procs = append(p.Procs, Process{
			PID: pid, PPID: ppid, User: user, Name: name, Command: cmd, Exe: exe, State: state, VSZ: vsz, RSS: rss,
			Start: at(start), CPU: at(float64(d.r.IntN(40))), TTY: "?", Threads: 1,
		})
	}
	kernel := strings.Fields("kthreadd rcu_gp rcu_par_gp slub_flushwq netns mm_percpu_wq rcu_tasks_kthread rcu_tasks_rude_kthread rcu_tasks_trace_kthread ksoftirqd/0 rcu_preempt migration/0 cpuhp/0")
	for c := 1; c < p.CPU.Cores; c++ {
		kernel = append(kernel, fmt.Sprintf("cpuhp/%d", c), fmt.Sprintf("migration/%d", c), fmt.Sprintf("ksoftirqd/%d", c))
	}
	kernel = append(kernel, strings.Fields("kdevtmpfs inet_frag_wq kauditd khungtaskd oom_reaper writeback kcompactd0 ksmd khugepaged kintegrityd kblockd blkcg_punt_bio tpm_dev_wq edac-poller devfreq_wq kswapd0 kthrotld acpi_thermal_pm scsi_eh_0 scsi_tmf_0 jbd2/sda1-8 ext4-rsv-conver")...)
	add(1, 0, "root", "systemd", "/sbin/init", "/usr/lib/systemd/systemd", "Ss", 101_900+int64(d.r.IntN(900)), 12_300+int64(d.r.IntN(500)), 0)
	pid := 2
	for i, k := range kernel {
		ppid, state := 2, "S"
		if i == 0 {
			ppid = 0
		}
		if strings.HasSuffix(k, "_wq") || strings.HasSuffix(k, "_gp") || k == "writeback" || k == "kblockd" {
			state = "I<"
		}
		add(pid, ppid, "root", k, "["+k+"]", "", state, 0, 0, 0)
		pid += 1 + d.r.IntN(2)
	}
	pid = 210 + d.r.IntN(60)
	next := func() int { pid += 3 + d.r.IntN(30); return pid }
	unit := func(unit, desc, user, name, cmd, exe string, vsz, rss int64) int {
		n := next()
		add(n, 1, user, name, cmd, exe, "Ss", vsz+int64(d.r.IntN(200)), rss+int64(d.r.IntN(300)), 2+float64(pid%60)/10)
		p.Units = append(p.Units, Unit{Name: unit + ".service", Description: desc, Active: "active", Sub: "running", Enabled: "enabled", PID: n, ExecStart: cmd})
		return n
	}
	unit("systemd-journald", "Journal Service", "root", "systemd-journal", "/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald", 49_000, 21_000)
	unit("systemd-udevd", "Rule-based Manager for Device Events and Files", "root", "systemd-udevd", "/lib/systemd/systemd-udevd", "/usr/bin/udevadm", 26_300, 6_700)
	unit("systemd-timesyncd", "Network Time Synchronization", "systemd-timesync", "systemd-timesyn", "/lib/systemd/systemd-timesyncd", "/usr/lib/systemd/systemd-timesyncd", 90_000, 6_600)
	unit("cron", "Regular background program processing daemon", "root", "cron", "/usr/sbin/cron -f", "/usr/sbin/cron", 6_600, 2_700)
	unit("dbus", "D-Bus System Message Bus", "messagebus", "dbus-daemon", "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only", "/usr/bin/dbus-daemon", 9_100, 4_600)
	unit("rsyslog", "System Logging Service", "root", "rsyslogd", "/usr/sbin/rsyslogd -n -iNONE", "/usr/sbin/rsyslogd", 222_700, 5_400)
	unit("systemd-logind", "User Login Management", "root", "systemd-logind", "/lib/systemd/systemd-logind", "/usr/lib/systemd/systemd-logind", 17_200, 7_800)
	for _, s := range d.t.Services {
		unit(s.Unit, s.Desc, s.User, s.Name, s.Cmd, s.Exe, s.VSZ, s.RSS)
	}
	getty := next()
	add(getty, 1, "root", "agetty", "/sbin/agetty -o -p -- \\u --noclear - linux", "/usr/sbin/agetty", "Ss+", 5_900, 1_000, 6)
	p.Procs[len(p.Procs)-1].TTY = "tty1"
	ssh := unit("ssh", "OpenBSD Secure Shell server", "root", "sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", "/usr/sbin/sshd", 15_400, 9_200)
	p.Sockets = []Socket{
		{"tcp", "0.0.0.0:22", "0.0.0.0:*", "LISTEN", ssh, "sshd", 0, 14_000 + d.r.IntN(9_000)},
		{"tcp6", "[::]:22", "[::]:*", "LISTEN", ssh, "sshd", 0, 14_001 + d.r.IntN(9_000)},
	}
	for _, s := range d.t.Sockets {
		pid, uid, state := 0, uint32(0), "LISTEN"
		for _, pr := range p.Procs {
			if pr.Name == s.Name {
				pid = pr.PID
				if u, ok := p.User(pr.User); ok {
					uid = u.UID
				}
			}
		}
		if s.Proto == "udp" {
			state = "UNCONN"
		}
		p.Sockets = append(p.Sockets, Socket{s.Proto, s.Local, "0.0.0.0:*", state, pid, s.Name, uid, 14_002 + d.r.IntN(9_000)})
	}
}
