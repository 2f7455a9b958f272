package system

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func complain(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

// unitOf finds a unit; one that a visitor wrote under /etc/systemd/system counts.
func unitOf(p *kernel.Proc, name string) (persona.Unit, bool) {
	if !strings.Contains(name, ".") {
		name += ".service"
	}
	if name == "sshd.service" {
		name = "ssh.service"
	}
	for _, u := range p.M.Persona.Units {
		if u.Name == name {
			return u, true
		}
	}
	if data, err := p.M.FS.ReadFile(p.Caller, "/etc/systemd/system/"+name, 64<<10); err == nil {
		u := persona.Unit{Name: name, Description: name, Active: "inactive", Sub: "dead", Enabled: "disabled"}
		for l := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(l), "Description="); ok {
				u.Description = v
			}
		}
		return u, true
	}
	return persona.Unit{Name: name}, false
}

func systemctl(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "t:aqHlfn:p:o:M:", "type/t all/a quiet/q full/l force/f no-pager no-legend plain now user system lines/n property/p output/o state= failed no-block version global runtime host/H root= value no-ask-password reverse show-types machine/M job-mode= kill-whom= signal/s")
	if o.Bad != "" && o.Bad != "--version" && o.Bad != "--help" {
		complain(p, "systemctl: %s", o.Bad)
		return 1
	}
	if o.Bad == "--version" || o.Has("version") {
		v := getopt.PackageVersion(p, "systemd")
		major, _, _ := strings.Cut(v, ".")
		k, _ := p.M.Persona.Package("systemd")
		put(p, "systemd %s (%s)\n+PAM +AUDIT +SELINUX +APPARMOR +IMA +SMACK +SECCOMP +GCRYPT -GNUTLS +OPENSSL +ACL +BLKID +CURL +ELFUTILS +FIDO2 +IDN2 -IDN +IPTC +KMOD +LIBCRYPTSETUP +LIBFDISK +PCRE2 -PWQUALITY +P11KIT +QRENCODE +TPM2 +BZIP2 +LZ4 +XZ +ZLIB +ZSTD -BPF_FRAMEWORK -XKBCOMMON +UTMP +SYSVINIT default-hierarchy=unified\n", major, k.Version)
		return 0
	}
	verb := "list-units"
	if len(o.Args) > 0 {
		verb, o.Args = o.Args[0], o.Args[1:]
	}
	switch verb {
	case "list-units", "list-unit-files":
		listUnits(p, o, verb)
		return 0
	case "daemon-reload", "daemon-reexec", "reset-failed", "preset-all":
		return mayManage(p, verb)
	case "is-system-running":
		put(p, "running\n")
		return 0
	case "get-default":
		put(p, "multi-user.target\n")
		return 0
	case "reboot", "poweroff", "halt", "suspend":
		return shutdown(ctx, p)
	case "status", "start", "stop", "restart", "reload", "enable", "disable", "is-active", "is-enabled", "is-failed", "mask", "unmask", "show", "cat", "kill", "try-restart", "reload-or-restart", "list-dependencies", "edit":
	default:
		complain(p, "Unknown command verb %s.", verb)
		return 1
	}
	if len(o.Args) == 0 {
		if verb == "status" {
			put(p, "● %s\n    State: running\n    Units: %d loaded (incl. loaded aliases)\n     Jobs: 0 queued\n   Failed: 0 units\n    Since: %s; %s ago\n  systemd: %s\n   CGroup: /\n", p.M.Persona.Hostname, 230+len(p.M.Persona.Units), p.M.Persona.Boot.Format("Mon 2006-01-02 15:04:05 MST"), ago(p.Now().Sub(p.M.Persona.Boot)), getopt.PackageVersion(p, "systemd"))
			return 0
		}
		complain(p, "Too few arguments.")
		return 1
	}
	status := 0
	for _, n := range o.Args {
		status = max(status, unitVerb(p, verb, n))
	}
	return status
}

// mayManage refuses everyone but root, as systemd does without polkit.
func mayManage(p *kernel.Proc, verb string) int {
	if p.Caller.UID == 0 {
		return 0
	}
	complain(p, "Failed to %s: Interactive authentication required.\nSee system logs and 'systemctl status' for details.", strings.ReplaceAll(verb, "daemon-reload", "reload daemon"))
	return 1
}

func ago(d time.Duration) string {
	days := int(d.Hours()) / 24
	switch {
	case days >= 60:
		return fmt.Sprintf("%d months %d days", days/30, days%30)
	case days > 0:
		return fmt.Sprintf("%d days", days)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dmin", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dmin %ds", int(d.Minutes()), int(d.Seconds())%60)
}

func listUnits(p *kernel.Proc, o getopt.Opts, verb string) {
	units := slices.Clone(p.M.Persona.Units)
	slices.SortFunc(units, func(a, b persona.Unit) int { return strings.Compare(a.Name, b.Name) })
	if verb == "list-unit-files" {
		put(p, "%-42s %-15s %s\n", "UNIT FILE", "STATE", "PRESET")
		for _, u := range units {
			put(p, "%-42s %-15s %s\n", u.Name, u.Enabled, "enabled")
		}
		put(p, "\n%d unit files listed.\n", len(units))
		return
	}
	if o.Has("failed") || o.Get("state") == "failed" {
		put(p, "  UNIT LOAD ACTIVE SUB DESCRIPTION\n0 loaded units listed.\n")
		return
	}
	width := 4
	for _, u := range units {
		width = max(width, len(u.Name))
	}
	if !o.Has("no-legend") {
		put(p, "  %-*s LOAD   ACTIVE SUB     DESCRIPTION\n", width, "UNIT")
	}
	for _, u := range units {
		put(p, "  %-*s loaded %-6s %-7s %s\n", width, u.Name, u.Active, u.Sub, u.Description)
	}
	if !o.Has("no-legend") {
		put(p, "\nLOAD   = Reflects whether the unit definition was properly loaded.\nACTIVE = The high-level unit activation state, i.e. generalization of SUB.\nSUB    = The low-level unit activation state, values depend on unit type.\n%d loaded units listed. Pass --all to see loaded but inactive units, too.\nTo show all installed unit files use 'systemctl list-unit-files'.\n", len(units))
	}
}

func unitVerb(p *kernel.Proc, verb, name string) int {
	u, ok := unitOf(p, name)
	switch verb {
	case "status":
		return unitStatus(p, u, ok)
	case "is-active":
		if !ok {
			put(p, "inactive\n")
			return 3
		}
		put(p, "%s\n", u.Active)
		return map[bool]int{true: 0, false: 3}[u.Active == "active"]
	case "is-enabled":
		if !ok {
			complain(p, "Failed to get unit file state for %s: No such file or directory", u.Name)
			return 1
		}
		put(p, "%s\n", u.Enabled)
		return map[bool]int{true: 0, false: 1}[u.Enabled == "enabled"]
	case "is-failed":
		put(p, "%s\n", map[bool]string{true: u.Active, false: "inactive"}[ok])
		return 1
	case "show":
		put(p, "Type=simple\nRestart=on-failure\nMainPID=%d\nId=%s\nDescription=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\n", u.PID, u.Name, u.Description, map[bool]string{true: "loaded", false: "not-found"}[ok], map[bool]string{true: u.Active, false: "inactive"}[ok], map[bool]string{true: u.Sub, false: "dead"}[ok])
		return 0
	case "cat":
		if !ok {
			complain(p, "No files found for %s.", u.Name)
			return 1
		}
		put(p, "# /lib/systemd/system/%s\n[Unit]\nDescription=%s\nAfter=network.target\n\n[Service]\nExecStart=%s\n\n[Install]\nWantedBy=multi-user.target\n", u.Name, u.Description, u.ExecStart)
		return 0
	}
	if p.Caller.UID != 0 {
		complain(p, "Failed to %s %s: Interactive authentication required.\nSee system logs and 'systemctl status %[2]s' for details.", verb, u.Name)
		return 1
	}
	if !ok {
		switch verb {
		case "enable", "disable", "mask", "unmask":
			complain(p, "Failed to %s unit: Unit file %s does not exist.", verb, u.Name)
			return 1
		case "stop", "restart", "reload", "try-restart", "kill":
			complain(p, "Failed to %s %s: Unit %[2]s not loaded.", verb, u.Name)
			return 5
		}
		complain(p, "Failed to %s %s: Unit %[2]s not found.", verb, u.Name)
		return 5
	}
	if _, err := p.M.FS.Stat(p.Caller, "/etc/systemd/system/"+u.Name); verb == "enable" && err == nil {
		link := "/etc/systemd/system/multi-user.target.wants/" + u.Name
		p.M.FS.Mkdir(p.Caller, "/etc/systemd/system/multi-user.target.wants", 0o755) //nolint:errcheck // may exist
		p.M.FS.Symlink(p.Caller, "/etc/systemd/system/"+u.Name, link)                //nolint:errcheck // may exist
		complain(p, "Created symlink %s → /etc/systemd/system/%s.", link, u.Name)
	}
	return 0
}

func unitStatus(p *kernel.Proc, u persona.Unit, ok bool) int {
	if !ok {
		complain(p, "Unit %s could not be found.", u.Name)
		return 4
	}
	dot, since := "●", ""
	if u.Active != "active" {
		dot = "○"
	} else {
		since = " since " + p.M.Persona.Boot.Format("Mon 2006-01-02 15:04:05 MST") + "; " + ago(p.Now().Sub(p.M.Persona.Boot)) + " ago"
	}
	put(p, "%s %s - %s\n     Loaded: loaded (/lib/systemd/system/%s; %s; preset: enabled)\n     Active: %s (%s)%s\n", dot, u.Name, u.Description, u.Name, u.Enabled, u.Active, u.Sub, since)
	for _, e := range p.M.Table.List() {
		if u.PID > 0 && e.PID == u.PID {
			put(p, "   Main PID: %d (%s)\n      Tasks: %d (limit: %d)\n     Memory: %.1fM\n        CPU: %.3fs\n     CGroup: /system.slice/%s\n             └─%d %s\n", e.PID, e.Name, max(e.Threads, 1), p.M.Persona.Memory.TotalKB/872, float64(e.RSS)/1024, e.CPU.Seconds(), u.Name, e.PID, e.Command)
			return 0
		}
	}
	if u.Active == "active" {
		return 0
	}
	return 3
}

// service is the front end of init scripts.
func service(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	switch {
	case len(args) == 0 || args[0] == "--help" || args[0] == "-h":
		complain(p, "Usage: service < option > | --status-all | [ service_name [ command | --full-restart ] ]")
		return 1
	case args[0] == "--status-all":
		for _, u := range p.M.Persona.Units {
			put(p, " [ + ]  %s\n", strings.TrimSuffix(u.Name, ".service"))
		}
		return 0
	case len(args) == 1:
		if _, ok := unitOf(p, args[0]); !ok {
			complain(p, "%s: unrecognized service", args[0])
			return 1
		}
		complain(p, "Usage: /etc/init.d/%s {start|stop|reload|force-reload|restart|try-restart|status}", args[0])
		return 1
	}
	if u, ok := unitOf(p, args[0]); !ok && args[1] == "status" {
		return unitStatus(p, u, false)
	}
	p.Args = []string{"systemctl", args[1], args[0]}
	return systemctl(ctx, p)
}

// shutdown is shutdown, reboot, poweroff and halt: the session ends, the host
// comes back for the next one.
func shutdown(ctx context.Context, p *kernel.Proc) int {
	if p.Caller.UID != 0 {
		complain(p, "Failed to set wall message, ignoring: Interactive authentication required.\nFailed to %s system via logind: Interactive authentication required.\nFailed to open initctl fifo: Permission denied\nFailed to talk to init daemon.", getopt.Base(p.Args[0]))
		return 1
	}
	p.S.Recorder.Note(ctx, "shutdown-asked", strings.Join(p.Args, " "))
	if getopt.Base(p.Args[0]) == "shutdown" && !slices.Contains(p.Args, "now") && !slices.Contains(p.Args, "-c") {
		complain(p, "Shutdown scheduled for %s, use 'shutdown -c' to cancel.", p.Now().UTC().Add(time.Minute).Format("Mon 2006-01-02 15:04:05 MST"))
		return 0
	}
	if slices.Contains(p.Args, "-c") {
		return 0
	}
	for _, e := range p.M.Table.List() {
		if e.Live && e.PID != p.PID {
			p.M.Table.Kill(e.PID, kernel.SIGHUP)
		}
	}
	return 0
}
