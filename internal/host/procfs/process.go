package procfs

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

var processFiles = []string{"attr", "auxv", "cgroup", "cmdline", "comm", "cwd", "environ", "exe", "fd", "limits", "maps", "mounts", "root", "stat", "statm", "status"}

func (f *Proc) find(pid int) (kernel.Entry, bool) {
	for _, e := range f.m.Table.List() {
		if e.PID == pid {
			return e, true
		}
	}
	return kernel.Entry{}, false
}

func (f *Proc) process(c vfs.Caller, pid int, rel string) (vfs.Entry, bool) {
	e, ok := f.find(pid)
	if !ok {
		return vfs.Entry{}, false
	}
	link := func(target string) (vfs.Entry, bool) {
		if target == "" {
			return vfs.Entry{}, false
		}
		in := f.info(vfs.Symlink, 0o777, 5)
		in.UID, in.Target = e.UID, target
		return vfs.Entry{Info: in}, true
	}
	text := func(s string) (vfs.Entry, bool) {
		t := f.file(0o444, func() string { return s })
		t.Info.UID = e.UID
		return t, true
	}
	switch rel {
	case "", "fd", "attr":
		d := vfs.Entry{Info: f.info(vfs.Dir, 0o555, 6)}
		d.Info.UID, d.Info.Nlink = e.UID, 9
		return d, true
	case "exe":
		return link(f.exe(e))
	case "cwd":
		return link(cmp.Or(e.Dir, "/"))
	case "root":
		return link("/")
	case "fd/0", "fd/1", "fd/2":
		return link(descriptor(e))
	case "mounts":
		return text(f.mounts())
	case "comm":
		return text(e.Name[:min(len(e.Name), 15)] + "\n")
	case "cmdline":
		if strings.HasPrefix(e.Command, "[") {
			return text("")
		}
		return text(strings.ReplaceAll(e.Command, " ", "\x00") + "\x00")
	case "status":
		return text(status(e))
	case "stat":
		return text(fmt.Sprintf("%d (%s) %s %d %d %d 0 -1 4194560 %d 0 0 0 1 1 0 0 20 0 %d 0 %d %d %d 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
			e.PID, e.Name, e.State[:1], e.PPID, e.PGID, e.PID, 1200, max(e.Threads, 1), int64(e.Started.Sub(f.m.Persona.Boot)/(10*time.Millisecond)), e.VSZ*1024, e.RSS/4))
	case "statm":
		return text(fmt.Sprintf("%d %d %d 0 0 %d 0\n", e.VSZ/4, e.RSS/4, e.RSS/8, e.VSZ/16))
	case "cgroup":
		return text("0::/" + cgroup(e) + "\n")
	case "limits":
		return text("Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n")
	case "maps", "environ", "auxv":
		if c.UID != 0 && c.UID != e.UID {
			t := f.file(0o400, func() string { return "" })
			return t, true
		}
		return text("")
	}
	return vfs.Entry{}, false
}

// exe is what the link to a program shows: /bin is a link to /usr/bin.
func (f *Proc) exe(e kernel.Entry) string {
	if f.m.Persona.Family != "busybox" && (strings.HasPrefix(e.Exe, "/bin/") || strings.HasPrefix(e.Exe, "/sbin/")) {
		return "/usr" + e.Exe
	}
	return e.Exe
}

// descriptor is where the standard descriptors of a process lead: to the
// terminal, to sshd, or nowhere.
func descriptor(e kernel.Entry) string {
	switch {
	case !e.Live:
		return "/dev/null"
	case e.TTY != "?":
		return "/dev/" + e.TTY
	}
	return fmt.Sprintf("socket:[%d]", 20_000+e.Started.Unix()%900_000)
}

// cgroup is the control group of a process under systemd.
func cgroup(e kernel.Entry) string {
	units := map[string]string{"sshd": "ssh", "dbus-daemon": "dbus", "rsyslogd": "rsyslog", "(sd-pam)": "user@0"}
	switch {
	case e.Scope != "":
		return fmt.Sprintf("user.slice/user-%d.slice/session-%s.scope", e.UID, e.Scope)
	case e.PID == 1:
		return "init.scope"
	case strings.HasPrefix(e.Command, "["):
		return ""
	case e.Name == "agetty":
		return "system.slice/system-getty.slice/getty@tty1.service"
	}
	return "system.slice/" + cmp.Or(units[e.Name], e.Name) + ".service"
}

func status(e kernel.Entry) string {
	return fmt.Sprintf("Name:\t%s\nUmask:\t0022\nState:\t%s (sleeping)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\nUid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\nFDSize:\t64\nVmPeak:\t%8d kB\nVmSize:\t%8d kB\nVmRSS:\t%8d kB\nThreads:\t%d\n",
		e.Name, e.State[:1], e.PID, e.PID, e.PPID, e.UID, e.UID, e.UID, e.UID, e.UID, e.UID, e.UID, e.UID, e.VSZ, e.VSZ, e.RSS, max(e.Threads, 1))
}
