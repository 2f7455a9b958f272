package record

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// sid is the security identifier of an account; it does not change.
func (h *Host) sid(user string) string {
	switch strings.ToUpper(user) {
	case systemUser:
		return "S-1-5-18"
	case `NT AUTHORITY\LOCAL SERVICE`:
		return "S-1-5-19"
	case `NT AUTHORITY\NETWORK SERVICE`:
		return "S-1-5-20"
	}
	f := fnv.New32a()
	f.Write([]byte(strings.ToLower(h.netbios())))
	d := f.Sum32()
	f.Write([]byte(strings.ToLower(user)))
	return fmt.Sprintf("S-1-5-21-%d-%d-%d-%d", d, d/3, d/7, 1100+f.Sum32()%9000)
}

func (h *Host) logonID(user string) string {
	switch strings.ToUpper(user) {
	case systemUser:
		return "0x3e7"
	case `NT AUTHORITY\NETWORK SERVICE`:
		return "0x3e4"
	}
	f := fnv.New32a()
	f.Write([]byte(h.c.Name + strings.ToLower(user)))
	return hexNumber(int(f.Sum32() & 0xffffff))
}

// Logon is a try to log on.
type Logon struct {
	User    string
	Type    int // 2 at the screen, 3 over the network, 5 service, 7 unlock, 10 RDP
	From    netip.AddrPort
	Station string // name of the client, may be empty
	Failed  bool
	Unknown bool // with Failed: there is no such user
	Admin   bool // special rights: 4672 too
	NTLM    bool
}

// Logon is Security's event 4624 or 4625, with 4672 for administrators; on Linux
// the line of sshd.
func (h *Host) Logon(l Logon) []event.Event {
	if h.c.Family == "linux" {
		return h.SSHLogin(l.User, l.From, !l.Failed, !l.Unknown)
	}
	domain, name := h.split(l.User)
	pkg, process := "Kerberos", "Kerberos"
	switch {
	case l.Type == 2 || l.Type == 7 || l.Type == 10:
		pkg, process = "Negotiate", "User32 "
	case l.NTLM:
		pkg, process = "NTLM", "NtLmSsp "
	}
	common := []string{
		"SubjectUserSid", "S-1-0-0", "SubjectUserName", "", "SubjectDomainName", "", "SubjectLogonId", "0x0",
		"TargetUserName", name, "TargetDomainName", domain, "LogonType", strconv.Itoa(l.Type), "LogonProcessName", process, "AuthenticationPackageName", pkg,
		"WorkstationName", l.Station, "ProcessId", "0x0", "ProcessName", "", "IpAddress", address(l.From), "IpPort", strconv.Itoa(int(l.From.Port())),
	}
	id := 4624
	if l.Failed {
		id = 4625
		sub := "0xc000006a"
		if l.Unknown {
			sub = "0xc0000064"
		}
		common = append(common, "TargetUserSid", "S-1-0-0", "Status", "0xc000006d", "FailureReason", "%%2313", "SubStatus", sub)
	} else {
		common = append(common, "TargetUserSid", h.sid(h.account(l.User)), "TargetLogonId", h.logonID(h.account(l.User)), "ElevatedToken", map[bool]string{true: "%%1842", false: "%%1843"}[l.Admin], "LogonGuid", h.guid())
	}
	e := h.win(securityLog, id, l.User, common...)
	e.Category, e.Type, e.Source, e.Outcome = "authentication", "start", l.From, "success"
	if l.Failed {
		e.Outcome = "failure"
	}
	out := []event.Event{e}
	if l.Admin && !l.Failed {
		out = append(out, h.win(securityLog, 4672, l.User, "SubjectUserSid", h.sid(h.account(l.User)), "SubjectUserName", name, "SubjectDomainName", domain,
			"SubjectLogonId", h.logonID(h.account(l.User)), "PrivilegeList", "SeSecurityPrivilege\n\t\t\tSeBackupPrivilege\n\t\t\tSeDebugPrivilege"))
	}
	return out
}

// ExplicitLogon is Security's event 4648: user used the credentials of another.
func (h *Host) ExplicitLogon(user, other, server, image string) []event.Event {
	d, n := h.split(user)
	od, on := h.split(other)
	return []event.Event{h.win(securityLog, 4648, user, "SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user)),
		"TargetUserName", on, "TargetDomainName", od, "TargetServerName", server, "TargetInfo", server, "ProcessName", image, "IpAddress", "", "IpPort", "0")}
}

// Service is System's event 7045 and Security's 4697.
func (h *Host) Service(name, path, account, user string) []event.Event {
	d, n := h.split(user)
	account = cmp.Or(account, "LocalSystem")
	return []event.Event{
		h.win(systemLog, 7045, user, "ServiceName", name, "ImagePath", path, "ServiceType", "user mode service", "StartType", "auto start", "AccountName", account),
		h.win(securityLog, 4697, user, "SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user)),
			"ServiceName", name, "ServiceFileName", path, "ServiceType", "0x10", "ServiceStartType", "2", "ServiceAccount", account),
	}
}

// ServiceState is System's event 7036: a service entered a state.
func (h *Host) ServiceState(name, state string) []event.Event {
	return []event.Event{h.win(systemLog, 7036, systemUser, "param1", name, "param2", state)}
}

// Task is Security's event 4698, a scheduled task that runs command.
func (h *Host) Task(name, command, user string) []event.Event {
	d, n := h.split(user)
	xml := `<?xml version="1.0" encoding="UTF-16"?><Task version="1.2"><Actions Context="Author"><Exec><Command>` + command + `</Command></Exec></Actions></Task>`
	return []event.Event{h.win(securityLog, 4698, user, "SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user)),
		"TaskName", `\`+name, "TaskContent", xml)}
}

// AccountCreated is Security's event 4720, and 4732 where the new account joins
// the group.
func (h *Host) AccountCreated(account, group, user string) []event.Event {
	d, n := h.split(user)
	sid := h.sid(h.account(account))
	subject := []string{"SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user))}
	out := []event.Event{h.win(securityLog, 4720, user, append(slices.Clip(subject), "TargetUserName", account, "TargetDomainName", h.netbios(), "TargetSid", sid,
		"SamAccountName", account, "UserAccountControl", "\n\t\t%%2080\n\t\t%%2082\n\t\t%%2084")...)}
	if group != "" {
		out = append(out, h.win(securityLog, 4732, user, append(slices.Clip(subject), "MemberName", "", "MemberSid", sid, "TargetUserName", group, "TargetDomainName", "Builtin", "TargetSid", "S-1-5-32-544")...))
	}
	return out
}

// PasswordReset is Security's event 4724.
func (h *Host) PasswordReset(account, user string) []event.Event {
	d, n := h.split(user)
	return []event.Event{h.win(securityLog, 4724, user, "TargetUserName", account, "TargetDomainName", h.netbios(), "TargetSid", h.sid(h.account(account)),
		"SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user)))}
}

// Share is Security's event 5140, and 5145 for each file below it.
func (h *Host) Share(user, share string, from netip.AddrPort, files ...string) []event.Event {
	d, n := h.split(user)
	subject := []string{
		"SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user)),
		"ObjectType", "File", "IpAddress", address(from), "IpPort", strconv.Itoa(int(from.Port())), "ShareName", `\\*\` + share, "ShareLocalPath", `\??\C:\` + share,
	}
	out := []event.Event{h.win(securityLog, 5140, user, append(slices.Clip(subject), "AccessMask", "0x1", "AccessList", "%%4416")...)}
	for _, f := range files {
		out = append(out, h.win(securityLog, 5145, user, append(slices.Clip(subject), "RelativeTargetName", f, "AccessMask", "0x120089", "AccessList", "%%1538\n\t\t\t\t%%4416", "AccessReason", "-")...))
	}
	for i := range out {
		out[i].Source = from
	}
	return out
}

// Replication is Security's event 4662 with the rights that copy a directory's
// secrets.
func (h *Host) Replication(user string) []event.Event {
	d, n := h.split(user)
	return []event.Event{h.win(securityLog, 4662, user, "SubjectUserSid", h.sid(h.account(user)), "SubjectUserName", n, "SubjectDomainName", d, "SubjectLogonId", h.logonID(h.account(user)),
		"ObjectServer", "DS", "ObjectType", "%{19195a5b-6da0-11d0-afd3-00c04fd930c9}", "ObjectName", "%{"+strings.Trim(h.guid(), "{}")+"}", "OperationType", "Object Access",
		"AccessList", "%%7688\n\t\t\t\t", "AccessMask", "0x100", "Properties", "%%7688\n\t\t{1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}\n\t{19195a5b-6da0-11d0-afd3-00c04fd930c9}")}
}

// Script is PowerShell's event 4104, and 4103 for the command it begins with.
func (h *Host) Script(text, user string) []event.Event {
	command, _, _ := strings.Cut(text, " ")
	return []event.Event{
		h.win(scriptLog, 4104, user, "MessageNumber", "1", "MessageTotal", "1", "ScriptBlockText", text, "ScriptBlockId", strings.Trim(h.guid(), "{}"), "Path", ""),
		h.win(scriptLog, 4103, user, "ContextInfo", "Severity = Informational\n Host Name = ConsoleHost\n Command Name = "+command+"\n User = "+h.account(user), "UserData", "", "Payload", "CommandInvocation("+command+`): "`+command+`"`),
	}
}

// DefenderOff is Defender's event 5001.
func (h *Host) DefenderOff() []event.Event {
	return []event.Event{h.win(defenderLog, 5001, systemUser, "Product Name", "Microsoft Defender Antivirus", "Product Version", "4.18.2009.7")}
}

// RemoteDesktop is the logon of a session by RDP: events 1149 and 21 of the
// terminal services, and Security's 4624 of type 10.
func (h *Host) RemoteDesktop(user string, from netip.AddrPort, admin bool) []event.Event {
	d, n := h.split(user)
	out := []event.Event{
		h.win(remoteLog, 1149, user, "Param1", n, "Param2", d, "Param3", address(from)),
		h.win(sessionLog, 21, user, "User", h.account(user), "SessionID", "2", "Address", address(from)),
	}
	out[0].Source, out[1].Source = from, from
	return append(out, h.Logon(Logon{User: user, Type: 10, From: from, Admin: admin})...)
}

// Transfer is event 59 of the BITS client.
func (h *Host) Transfer(job, url, user string) []event.Event {
	return []event.Event{h.win(bitsLog, 59, user, "transferId", h.guid(), "name", job, "Id", h.guid(), "url", url, "peer", "", "bytesTotal", "4096", "bytesTransferred", "0")}
}

// Application is a record of the Application log.
func (h *Host) Application(provider string, id int, user string, pairs ...string) []event.Event {
	return []event.Event{h.win(channel{"Application", provider, "system.application"}, id, user, pairs...)}
}

// RemoteConnection is event 261 of the terminal services: somebody connected by
// RDP and has not logged on yet.
func (h *Host) RemoteConnection(from netip.AddrPort) []event.Event {
	e := h.win(remoteLog, 261, systemUser, "listenerName", "RDP-Tcp")
	e.Source = from
	return []event.Event{e}
}
