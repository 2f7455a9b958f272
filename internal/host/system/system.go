// Package system holds the programs of a fake host that tell about the
// machine, its users, processes and network. Every fact is the persona's.
package system

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	all := map[string]kernel.Program{
		"uname": uname, "arch": uname, "whoami": whoami, "logname": whoami, "id": id, "groups": groups, "hostname": hostname, "nproc": nproc, "free": free, "getent": getent,
		"uptime": uptime, "w": w, "who": who, "users": who, "last": last, "lastlog": lastlog, "lastb": last, "utmpdump": utmpdump, "lscpu": lscpu, "lspci": lspci, "lsmod": lsmod, "lsblk": lsblk, "blkid": blkid, "fdisk": fdisk,
		"findmnt": findmnt, "swapon": swapon, "vmstat": vmstat, "ps": ps, "top": top, "pgrep": pgrep, "pkill": pgrep, "killall": pgrep, "pidof": pgrep, "kill": kill, "renice": renice,
		"getconf": getconf, "mount": mount, "umount": umount, "dmesg": dmesg, "modprobe": modprobe, "insmod": modprobe, "rmmod": modprobe, "modinfo": modprobe, "depmod": modprobe, "sysctl": sysctl,
		"crontab": crontab, "at": at, "chpasswd": chpasswd, "passwd": passwd, "useradd": useradd, "adduser": adduser, "userdel": userdel, "deluser": userdel, "usermod": usermod,
		"groupadd": groupadd, "addgroup": groupadd, "groupdel": groupadd, "delgroup": groupadd, "groupmod": groupadd, "gpasswd": groupadd, "chage": chage, "sudo": sudo, "su": su,
		"env": env, "printenv": env, "sleep": sleep, "timeout": timeout, "xargs": xargs, "watch": watch, "date": date, "timedatectl": timedatectl, "hostnamectl": hostnamectl, "locale": locale,
		"localectl": localectl, "cal": cal, "true": ok, "false": fail, "clear": clearScreen, "reset": clearScreen, "tty": tty, "stty": stty,
		"echo": viaShell("echo"), "printf": viaShell("printf"), "test": viaShell("test"), "[": viaShell("["), "pwd": viaShell("pwd"),
		"systemctl": systemctl, "service": service, "journalctl": journalctl, "logger": logger, "shutdown": shutdown, "apt": apt, "apt-cache": apt, "dpkg": dpkg, "dpkg-query": dpkg, "python3": python, "perl": perl,
		"openssl": openssl, "getopt": getoptCmd, "ssh-keygen": sshKeygen, "man": man, "lsb_release": lsbRelease, "uuidgen": uuidgen, "mcookie": mcookie, "hostid": hostid,
	}
	for name := range strings.FieldsSeq("nohup nice setsid stdbuf ionice chrt taskset unshare nsenter flock systemd-cat chroot") {
		all[name] = wrapped
	}
	for name, a := range answers {
		if all[name] == nil {
			all[name] = answered(a)
		}
	}
	all["stub"] = stub
	all["kmod"] = manyNames(all, "lsmod modprobe insmod rmmod modinfo depmod", kmod)
	all["systemctl"] = manyNames(all, "shutdown reboot=shutdown poweroff=shutdown halt=shutdown telinit runlevel", systemctl)
	return all
}

func ok(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) == 2 && (p.Args[1] == "--version" || p.Args[1] == "--help") {
		return getopt.Usage(p, getopt.Opts{Bad: p.Args[1]}, 0)
	}
	return 0
}

func fail(context.Context, *kernel.Proc) int { return 1 }

func errorf(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), path.Base(p.Args[0])+": "+format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

func put(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stdout(), format, args...) //nolint:errcheck // the visitor's own output
}

func letters(args []string) string {
	var s strings.Builder
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			s.WriteString(a[1:])
		}
	}
	return s.String()
}
