package record

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Process is a program that would have been started.
type Process struct {
	Image, CommandLine   string
	User                 string // name, or DOMAIN\name; "": the first of the host
	Parent, ParentLine   string // "": explorer.exe
	Dir                  string
	Integrity            string // Medium where ""
	Original, Company    string // of the version resource; "": those of the image's name
	Product, Description string
}

const system32 = `C:\Windows\System32\`

// originals are names in version resources that differ from the file's.
var originals = map[string]string{
	"cmd.exe": "Cmd.Exe", "powershell.exe": "PowerShell.EXE", "certutil.exe": "CertUtil.exe", "wmic.exe": "wmic.exe", "reg.exe": "reg.exe",
	"net.exe": "net.exe", "net1.exe": "net1.exe", "taskmgr.exe": "Taskmgr.exe", "rundll32.exe": "RUNDLL32.EXE", "sc.exe": "sc.exe",
	"winword.exe": "WinWord.exe", "excel.exe": "Excel.exe", "outlook.exe": "Outlook.exe", "chrome.exe": "chrome.exe", "msedge.exe": "msedge.exe",
	"ipconfig.exe": "ipconfig.exe", "whoami.exe": "whoami.exe", "nltest.exe": "nltestrk.exe", "bitsadmin.exe": "bitsadmin.exe", "schtasks.exe": "schtasks.exe",
}

func base(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

func (p *Process) fill(h *Host) {
	p.User = h.account(cmp.Or(p.User, h.c.Users[0]))
	p.Parent = cmp.Or(p.Parent, `C:\Windows\explorer.exe`)
	p.ParentLine = cmp.Or(p.ParentLine, p.Parent)
	p.CommandLine = cmp.Or(p.CommandLine, `"`+p.Image+`"`)
	p.Integrity = cmp.Or(p.Integrity, "Medium")
	p.Dir = cmp.Or(p.Dir, system32)
	p.Original = cmp.Or(p.Original, originals[strings.ToLower(base(p.Image))])
	if p.Company == "" && strings.HasPrefix(strings.ToLower(p.Image), `c:\windows\`) {
		p.Company, p.Product = "Microsoft Corporation", cmp.Or(p.Product, "Microsoft® Windows® Operating System")
	}
}

// Process is Sysmon's event 1 and Security's 4688; on Linux auditd's EXECVE.
func (h *Host) Process(p Process) []event.Event {
	if h.c.Family == "linux" {
		return h.Exec(cmp.Or(p.User, h.c.Users[0]), argv(p.Image, p.CommandLine)...)
	}
	p.fill(h)
	parent := h.running(p.Parent, p.User)
	me := h.started(p.Image, p.CommandLine, p.User)
	logon := h.logonID(p.User)
	domain, name := h.split(p.User)
	return []event.Event{
		h.win(sysmonLog, 1, p.User, "UtcTime", h.utc(), "ProcessGuid", me.guid, "ProcessId", strconv.Itoa(me.pid), "Image", p.Image,
			"FileVersion", "10.0.17763.1", "Description", p.Description, "Product", p.Product, "Company", p.Company, "OriginalFileName", p.Original,
			"CommandLine", p.CommandLine, "CurrentDirectory", p.Dir, "User", p.User, "LogonId", logon, "TerminalSessionId", "1",
			"IntegrityLevel", p.Integrity, "Hashes", hashes(p.Image), "ParentProcessGuid", parent.guid, "ParentProcessId", strconv.Itoa(parent.pid),
			"ParentImage", p.Parent, "ParentCommandLine", p.ParentLine, "ParentUser", parent.user),
		h.win(securityLog, 4688, p.User, "SubjectUserSid", h.sid(p.User), "SubjectUserName", name, "SubjectDomainName", domain, "SubjectLogonId", logon,
			"NewProcessId", hexNumber(me.pid), "NewProcessName", p.Image, "TokenElevationType", "%%1938", "ProcessId", hexNumber(parent.pid), "CommandLine", p.CommandLine,
			"TargetUserSid", "S-1-0-0", "TargetUserName", "", "TargetDomainName", "", "TargetLogonId", "0x0", "ParentProcessName", p.Parent,
			"MandatoryLabel", map[string]string{"Medium": "S-1-16-8192", "High": "S-1-16-12288", "System": "S-1-16-16384"}[p.Integrity]),
	}
}

func hexNumber(n int) string { return "0x" + strconv.FormatInt(int64(n), 16) }

func (h *Host) utc() string { return h.c.Clock.Now().UTC().Format("2006-01-02 15:04:05.000") }

// Connection is a connection that a program would have made.
type Connection struct {
	Image, User  string
	From, To     netip.AddrPort // From without an address: the host's own
	ToName       string
	Transport    string // tcp where ""
	NotInitiated bool   // it came from outside
}

// Network is Sysmon's event 3; on Linux that of an agent.
func (h *Host) Network(c Connection) []event.Event {
	if h.c.Family == "linux" {
		return h.linuxNetwork(c)
	}
	c.User = h.account(cmp.Or(c.User, h.c.Users[0]))
	p := h.running(c.Image, c.User)
	if !c.From.Addr().IsValid() {
		c.From = netip.AddrPortFrom(h.c.Addr, uint16(49152+h.draw(16000)))
	}
	e := h.win(sysmonLog, 3, c.User, "UtcTime", h.utc(), "ProcessGuid", p.guid, "ProcessId", strconv.Itoa(p.pid), "Image", c.Image, "User", c.User,
		"Protocol", cmp.Or(c.Transport, "tcp"), "Initiated", strconv.FormatBool(!c.NotInitiated), "SourceIsIpv6", strconv.FormatBool(c.From.Addr().Is6()),
		"SourceIp", address(c.From), "SourceHostname", h.Computer(), "SourcePort", strconv.Itoa(int(c.From.Port())),
		"DestinationIsIpv6", strconv.FormatBool(c.To.Addr().Is6()), "DestinationIp", address(c.To), "DestinationHostname", c.ToName,
		"DestinationPort", strconv.Itoa(int(c.To.Port())))
	e.Source, e.Destination, e.Transport = c.From, c.To, cmp.Or(c.Transport, "tcp")
	return []event.Event{e}
}

func address(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr().String()
}

// ImageLoad is Sysmon's event 7.
func (h *Host) ImageLoad(image, loaded, user string, signed bool) []event.Event {
	user = h.account(cmp.Or(user, h.c.Users[0]))
	p := h.running(image, user)
	status := map[bool]string{true: "Valid", false: "Unavailable"}[signed]
	return []event.Event{h.win(sysmonLog, 7, user, "UtcTime", h.utc(), "ProcessGuid", p.guid, "ProcessId", strconv.Itoa(p.pid), "Image", image,
		"ImageLoaded", loaded, "OriginalFileName", base(loaded), "Hashes", hashes(loaded), "Signed", strconv.FormatBool(signed), "SignatureStatus", status, "User", user)}
}

// RemoteThread is Sysmon's event 8.
func (h *Host) RemoteThread(source, target string) []event.Event {
	s, t := h.running(source, systemUser), h.running(target, systemUser)
	return []event.Event{h.win(sysmonLog, 8, systemUser, "UtcTime", h.utc(), "SourceProcessGuid", s.guid, "SourceProcessId", strconv.Itoa(s.pid), "SourceImage", source,
		"TargetProcessGuid", t.guid, "TargetProcessId", strconv.Itoa(t.pid), "TargetImage", target, "NewThreadId", strconv.Itoa(1000+h.draw(9000)),
		"StartAddress", "0x00007FF8A1B20000", "StartModule", "", "StartFunction", "", "SourceUser", s.user, "TargetUser", t.user)}
}

const systemUser = `NT AUTHORITY\SYSTEM`

// Access is Sysmon's event 10: source opened target with rights such as 0x1410.
func (h *Host) Access(source, target, user, rights, trace string) []event.Event {
	user = h.account(cmp.Or(user, h.c.Users[0]))
	s, t := h.running(source, user), h.running(target, systemUser)
	return []event.Event{h.win(sysmonLog, 10, user, "UtcTime", h.utc(), "SourceProcessGUID", s.guid, "SourceProcessId", strconv.Itoa(s.pid), "SourceThreadId", strconv.Itoa(1000+h.draw(9000)),
		"SourceImage", source, "TargetProcessGUID", t.guid, "TargetProcessId", strconv.Itoa(t.pid), "TargetImage", target, "GrantedAccess", rights,
		"CallTrace", cmp.Or(trace, `C:\Windows\SYSTEM32\ntdll.dll+9d4b4|C:\Windows\System32\KERNELBASE.dll+2c13e`), "SourceUser", user, "TargetUser", t.user)}
}

// File is Sysmon's event 11; on Linux that of an agent.
func (h *Host) File(image, path, user string) []event.Event {
	if h.c.Family == "linux" {
		return h.linuxFile(image, path, user)
	}
	user = h.account(cmp.Or(user, h.c.Users[0]))
	p := h.running(image, user)
	e := h.win(sysmonLog, 11, user, "UtcTime", h.utc(), "ProcessGuid", p.guid, "ProcessId", strconv.Itoa(p.pid), "Image", image, "TargetFilename", path, "CreationUtcTime", h.utc(), "User", user)
	return []event.Event{e}
}

// Registry is Sysmon's event 13, a value that is set, and 12 where details are
// empty, a key that is made.
func (h *Host) Registry(image, object, details, user string) []event.Event {
	user = h.account(cmp.Or(user, h.c.Users[0]))
	p := h.running(image, user)
	id, typ := 13, "SetValue"
	if details == "" {
		id, typ = 12, "CreateKey"
	}
	pairs := []string{"EventType", typ, "UtcTime", h.utc(), "ProcessGuid", p.guid, "ProcessId", strconv.Itoa(p.pid), "Image", image, "TargetObject", object, "User", user}
	if details != "" {
		pairs = append(pairs, "Details", details)
	}
	return []event.Event{h.win(sysmonLog, id, user, pairs...)}
}

// DNS is Sysmon's event 22.
func (h *Host) DNS(image, name, result, user string) []event.Event {
	user = h.account(cmp.Or(user, h.c.Users[0]))
	p := h.running(image, user)
	return []event.Event{h.win(sysmonLog, 22, user, "UtcTime", h.utc(), "ProcessGuid", p.guid, "ProcessId", strconv.Itoa(p.pid), "QueryName", name, "QueryStatus", "0",
		"QueryResults", "::ffff:"+result+";", "Image", image, "User", user)}
}
