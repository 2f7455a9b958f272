package image

import (
	"fmt"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// logs are the files that the host goes on writing, and those that were
// written when it was set up.
func (b *builder) logs() {
	live := func(path string, mode, gid uint32) {
		name := path[strings.LastIndexByte(path, '/')+1:]
		b.Add(vfs.Node{Path: path, Kind: vfs.File, Mode: mode, GID: gid, Mtime: b.booted, Live: name})
	}
	adm := uint32(4)
	for _, f := range []string{"auth.log", "cron.log", "syslog"} {
		for _, age := range []string{"", ".1", ".2.gz", ".3.gz", ".4.gz"} {
			live("/var/log/"+f+age, 0o640, adm)
		}
	}
	live("/var/log/kern.log", 0o640, adm)
	live("/var/log/wtmp", 0o664, 43)
	live("/var/log/btmp", 0o660, 43)
	live("/var/log/lastlog", 0o664, 43)
	live("/run/utmp", 0o664, 43)
	b.Text("/var/log/user.log", 0o640, 0, adm, b.installed, "")
	b.Text("/var/log/faillog", 0o644, 0, 0, b.installed, "")
	for _, d := range []string{"apt", "installer"} {
		b.dir("/var/log/"+d, 0o755, 0, 0, b.installed)
	}
	b.dir("/var/log/private", 0o700, 0, 0, b.installed)
	id := "/var/log/journal/" + b.p.MachineID
	b.dir(id, 0o2755, 0, 999, b.booted)
	for name, mb := range map[string]int64{"system.journal": 16, "user-1000.journal": 8} {
		b.Add(vfs.Node{Path: id + "/" + name, Kind: vfs.File, Mode: 0o640, GID: 999, Mtime: b.p.LastLogin.At, Content: vfs.Image("", mb<<20, b.elf(uint64(mb)))})
	}
	b.Lazy("/var/log", 2, func(add func(vfs.Node)) {
		add(vfs.Node{Path: "dpkg.log", Kind: vfs.File, Mode: 0o644, Mtime: b.unpacked(len(b.p.Packages)), Content: lines(b.dpkgLog)})
		add(vfs.Node{Path: "alternatives.log", Kind: vfs.File, Mode: 0o644, Mtime: b.installed.Add(2 * time.Minute), Content: lines(b.alternativesLog)})
	})
	b.Lazy("/var/log/apt", 2, func(add func(vfs.Node)) {
		end := b.unpacked(len(b.p.Packages))
		add(vfs.Node{Path: "history.log", Kind: vfs.File, Mode: 0o644, Mtime: end, Content: lines(func() string {
			return "\nStart-Date: " + b.installed.Format("2006-01-02  15:04:05") + "\nCommandline: apt-get --assume-yes --quiet install openssh-server\nInstall: openssh-server:amd64 (" + b.version("openssh-server") + "), openssh-sftp-server:amd64 (" + b.version("openssh-sftp-server") + ", automatic)\nEnd-Date: " + end.Format("2006-01-02  15:04:05") + "\n"
		})})
		add(vfs.Node{Path: "term.log", Kind: vfs.File, Mode: 0o640, GID: adm, Mtime: end, Content: lines(func() string {
			return "\nLog started: " + b.installed.Format("2006-01-02  15:04:05") + "\nSelecting previously unselected package openssh-server.\nLog ended: " + end.Format("2006-01-02  15:04:05") + "\n"
		})})
	})
}

func (b *builder) version(pkg string) string {
	k, _ := b.p.Package(pkg)
	return k.Version
}

func (b *builder) dpkgLog() string {
	var s strings.Builder
	for i, k := range b.p.Packages {
		t := b.unpacked(i).Format("2006-01-02 15:04:05")
		fmt.Fprintf(&s, "%[1]s install %[2]s:%[4]s <none> %[3]s\n%[1]s status half-installed %[2]s:%[4]s %[3]s\n%[1]s status unpacked %[2]s:%[4]s %[3]s\n%[1]s configure %[2]s:%[4]s %[3]s <none>\n%[1]s status half-configured %[2]s:%[4]s %[3]s\n%[1]s status installed %[2]s:%[4]s %[3]s\n", t, k.Name, k.Version, k.Arch)
	}
	return s.String()
}

func (b *builder) alternativesLog() string {
	var s strings.Builder
	at := b.installed.Add(time.Minute).Format("2006-01-02 15:04:05")
	for a := range persona.Alternatives {
		fmt.Fprintf(&s, "update-alternatives %s: run with --install %s %s %s 50\nupdate-alternatives %[1]s: link group %[3]s updated to point to %[4]s\n", at, a.Link, a.Name, a.Target)
	}
	return s.String()
}
