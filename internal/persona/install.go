package persona

import (
	"slices"
	"strings"
	"time"
)

// alternatives are the links of /etc/alternatives on a small Debian server.
const alternatives = `awk /usr/bin/mawk
builtins.7.gz /usr/share/man/man7/bash-builtins.7.gz
editor /bin/nano
ex /usr/bin/vim.tiny
ip6tables /usr/sbin/ip6tables-nft
ip6tables-restore /usr/sbin/ip6tables-nft-restore
ip6tables-save /usr/sbin/ip6tables-nft-save
iptables /usr/sbin/iptables-nft
iptables-restore /usr/sbin/iptables-nft-restore
iptables-save /usr/sbin/iptables-nft-save
lzcat /usr/bin/xzcat
lzma /usr/bin/xz
nawk /usr/bin/mawk
pager /usr/bin/less
rmt /usr/sbin/rmt-tar
rview /usr/bin/vim.tiny
telnet /usr/bin/inetutils-telnet
unlzma /usr/bin/unxz
vi /usr/bin/vim.tiny
view /usr/bin/vim.tiny
which /usr/bin/which.debianutils`

// Alternative is a link of /etc/alternatives.
type Alternative struct {
	Name   string
	Target string
	Link   string // the link that leads to it
}

// Alternatives calls yield for each link of /etc/alternatives.
func Alternatives(yield func(Alternative) bool) {
	for line := range strings.Lines(alternatives) {
		name, target, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		link := "/usr/bin/" + name
		switch {
		case strings.Contains(name, "tables") || name == "rmt":
			link = "/usr/sbin/" + name
		case strings.HasSuffix(name, ".gz"):
			link = "/usr/share/man/man7/" + name
		}
		if !yield(Alternative{name, target, link}) {
			return
		}
	}
}

// programOf tells which program of the fake host a file of a package is.
var programOf = map[string]string{
	"iptables-nft": "iptables", "ip6tables-nft": "iptables", "iptables-nft-save": "iptables-save", "ip6tables-nft-save": "iptables-save", "iptables-nft-restore": "iptables-restore",
	"ip6tables-nft-restore": "iptables-restore", "xtables-nft-multi": "iptables", "vim.tiny": "vi", "which.debianutils": "which", "killall5": "pidof", "mke2fs": "mkfs", "inetutils-telnet": "telnet",
}

// install puts every package of the inventory on the host.
func (d *drawer) install() {
	p := d.p
	for i, k := range p.Packages {
		if f, ok := p.Facts(k.Name); ok {
			p.Packages[i].SizeKB, p.Packages[i].Section, p.Packages[i].Summary = f.SizeKB, f.Section, f.Summary
		}
	}
	for _, f := range p.inventory() {
		if _, there := p.Package(f.Name); !there {
			p.Packages = append(p.Packages, Package{f.Name, f.Version, f.Arch, f.Section, f.SizeKB, f.Summary})
		}
	}
}

// installed are the programs that the packages hold and the fake host knows.
func (d *drawer) installed(built time.Time) {
	p := d.p
	known := strings.Fields(usrBin + " b2sum kmod tset dig host nslookup lsb_release lsof zfgrep " + usrSbin + " " + d.t.Programs.Bin + " " + d.t.Programs.Sbin)
	impl := func(name string) string {
		switch {
		case programOf[name] != "":
			return programOf[name]
		case implOf[name] != "":
			return implOf[name]
		case strings.HasPrefix(name, "python3."):
			return "python3"
		}
		return name
	}
	for f := range p.Files {
		dir := f.Dir
		switch dir {
		case "/bin", "/sbin":
			dir = "/usr" + dir
		case "/usr/bin", "/usr/sbin":
		default:
			continue
		}
		if f.IsDir || programOf[f.Name] == "" && !slices.Contains(known, f.Name) {
			continue
		}
		pr := Program{Path: dir + "/" + f.Name, Impl: impl(f.Name), Size: f.Size, Mode: f.Mode, MTime: built.Add(-time.Duration(len(f.Name)*37) * time.Hour)}
		pr.Link = f.Target
		pr.Script = f.Size > 0 && f.Size < 9_000
		p.Programs = append(p.Programs, pr)
	}
	for a := range Alternatives {
		if !strings.HasSuffix(a.Name, ".gz") {
			p.Programs = append(p.Programs, Program{Path: a.Link, Link: "/etc/alternatives/" + a.Name, Mode: 0o777, MTime: built})
		}
	}
}
