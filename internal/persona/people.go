package persona

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// system accounts of a Debian server, in the order of /etc/passwd.
var accounts = []User{
	{Name: "root", UID: 0, GID: 0, Gecos: "root", Home: "/root", Shell: "/bin/bash"},
	{Name: "daemon", UID: 1, GID: 1, Gecos: "daemon", Home: "/usr/sbin", Shell: "/usr/sbin/nologin"},
	{Name: "bin", UID: 2, GID: 2, Gecos: "bin", Home: "/bin", Shell: "/usr/sbin/nologin"},
	{Name: "sys", UID: 3, GID: 3, Gecos: "sys", Home: "/dev", Shell: "/usr/sbin/nologin"},
	{Name: "sync", UID: 4, GID: 65534, Gecos: "sync", Home: "/bin", Shell: "/bin/sync"},
	{Name: "games", UID: 5, GID: 60, Gecos: "games", Home: "/usr/games", Shell: "/usr/sbin/nologin"},
	{Name: "man", UID: 6, GID: 12, Gecos: "man", Home: "/var/cache/man", Shell: "/usr/sbin/nologin"},
	{Name: "lp", UID: 7, GID: 7, Gecos: "lp", Home: "/var/spool/lpd", Shell: "/usr/sbin/nologin"},
	{Name: "mail", UID: 8, GID: 8, Gecos: "mail", Home: "/var/mail", Shell: "/usr/sbin/nologin"},
	{Name: "news", UID: 9, GID: 9, Gecos: "news", Home: "/var/spool/news", Shell: "/usr/sbin/nologin"},
	{Name: "uucp", UID: 10, GID: 10, Gecos: "uucp", Home: "/var/spool/uucp", Shell: "/usr/sbin/nologin"},
	{Name: "proxy", UID: 13, GID: 13, Gecos: "proxy", Home: "/bin", Shell: "/usr/sbin/nologin"},
	{Name: "www-data", UID: 33, GID: 33, Gecos: "www-data", Home: "/var/www", Shell: "/usr/sbin/nologin"},
	{Name: "backup", UID: 34, GID: 34, Gecos: "backup", Home: "/var/backups", Shell: "/usr/sbin/nologin"},
	{Name: "list", UID: 38, GID: 38, Gecos: "Mailing List Manager", Home: "/var/list", Shell: "/usr/sbin/nologin"},
	{Name: "irc", UID: 39, GID: 39, Gecos: "ircd", Home: "/run/ircd", Shell: "/usr/sbin/nologin"},
	{Name: "_apt", UID: 42, GID: 65534, Home: "/nonexistent", Shell: "/usr/sbin/nologin"},
	{Name: "nobody", UID: 65534, GID: 65534, Gecos: "nobody", Home: "/nonexistent", Shell: "/usr/sbin/nologin"},
	{Name: "systemd-network", UID: 998, GID: 998, Gecos: "systemd Network Management", Home: "/", Shell: "/usr/sbin/nologin"},
	{Name: "systemd-timesync", UID: 997, GID: 997, Gecos: "systemd Time Synchronization", Home: "/", Shell: "/usr/sbin/nologin"},
	{Name: "messagebus", UID: 100, GID: 107, Home: "/nonexistent", Shell: "/usr/sbin/nologin"},
	{Name: "sshd", UID: 101, GID: 65534, Home: "/run/sshd", Shell: "/usr/sbin/nologin"},
}

const systemGroups = "root:0 daemon:1 bin:2 sys:3 adm:4 tty:5 disk:6 lp:7 mail:8 news:9 uucp:10 man:12 proxy:13 kmem:15 dialout:20 fax:21 voice:22 cdrom:24 floppy:25 tape:26 sudo:27 audio:29 dip:30 www-data:33 backup:34 operator:37 list:38 irc:39 src:40 shadow:42 utmp:43 video:44 sasl:45 plugdev:46 staff:50 games:60 users:100 nogroup:65534 systemd-journal:999 systemd-network:998 systemd-timesync:997 input:101 sgx:102 kvm:103 render:104 crontab:105 netdev:106 messagebus:107 _ssh:108"

func (d *drawer) users(now time.Time) {
	p := d.p
	p.Users = d.accounts()
	var sudoers []string
	for i := range 1 + d.r.IntN(3) {
		first, last := pick(d, d.t.People), pick(d, d.t.Surnames)
		if _, taken := p.User(first); taken {
			continue
		}
		u := User{
			Name: first, UID: uint32(1000 + i), GID: uint32(1000 + i), Gecos: strings.ToUpper(first[:1]) + first[1:] + " " + last + ",,,",
			Home: "/home/" + first, Shell: "/bin/bash", Human: true, Sudo: i == 0,
		}
		u.History = d.history(u.Name)
		if u.Sudo {
			sudoers = append(sudoers, first)
			u.Groups = []string{"sudo", "adm"}
			if p.Family == "ubuntu" {
				u.Groups = strings.Fields("adm cdrom sudo dip plugdev lxd")
			}
		}
		p.Users = append(p.Users, u)
	}
	p.Users[0].History = d.history("root")
	for g := range strings.FieldsSeq(cmp.Or(d.t.Groups, systemGroups)) {
		name, id, _ := strings.Cut(g, ":")
		gid := uint32(0)
		fmt.Sscan(id, &gid) //nolint:errcheck // our own table
		grp := Group{Name: name, GID: gid}
		if name == "sudo" || name == "adm" || p.Family == "ubuntu" && strings.Contains(" cdrom dip plugdev lxd ", " "+name+" ") {
			grp.Members = sudoers
		}
		p.Groups = append(p.Groups, grp)
	}
	for _, u := range p.Users {
		if u.Human {
			p.Groups = append(p.Groups, Group{Name: u.Name, GID: u.GID})
		}
	}
	gw := p.NICs[0].Gateway
	p.LastLogin = LastLogin{
		User: "root", From: gw[:strings.LastIndexByte(gw, '.')+1] + strconv.Itoa(20+d.r.IntN(200)),
		At: now.Add(-time.Duration(20+d.r.IntN(200)) * time.Hour).UTC().Truncate(time.Second), TTY: "pts/0",
	}
	if p.LastLogin.At.Before(p.Boot) {
		p.LastLogin.At = p.Boot.Add(11 * time.Minute)
	}
}

func (d *drawer) history(user string) []string {
	common := []string{
		"ls", "ls -la", "df -h", "free -m", "uptime", "top", "cd /var/log", "tail -f syslog", "exit", "systemctl status ssh", "ip a",
		"nano /etc/hosts", "apt update", "apt upgrade", "last", "w", "journalctl -xe", "du -sh /var/*", "cd", "less /var/log/auth.log",
	}
	own := []string{
		"cd backup", "tar czf backup.tgz documents", "scp report.ods " + user + "@" + d.p.NICs[0].Gateway + ":", "nano notes.txt", "crontab -e",
		"rsync -a /srv/data/ /mnt/backup/", "passwd", "ssh-keygen -t ed25519", "ping " + d.p.NICs[0].Gateway, "wget -q https://www.debian.org/ -O /dev/null",
	}
	var out []string
	for range 12 + d.r.IntN(40) {
		if d.r.IntN(4) == 0 {
			out = append(out, pick(d, own))
		} else {
			out = append(out, pick(d, common))
		}
	}
	return out
}
