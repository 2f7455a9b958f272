package record

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Benign gives the records of one everyday act of an ordinary user or of the
// system itself, drawn from the host's randomness. Detections that fire on them
// are false alarms.
func (h *Host) Benign() []event.Event {
	if h.c.Family == "linux" {
		return h.linuxDays()[h.draw(6)](h.pick(h.c.Users))
	}
	acts := h.windowsDays()
	return acts[h.draw(len(acts))](h.pick(h.c.Users))
}

// near is an address of the host's own network.
func (h *Host) near() netip.AddrPort {
	a := h.c.Addr
	if a.Is4() {
		b := a.As4()
		b[3] = byte(1 + h.draw(250))
		a = netip.AddrFrom4(b)
	}
	return netip.AddrPortFrom(a, uint16(49152+h.draw(16000)))
}

const (
	office = `C:\Program Files\Microsoft Office\root\Office16\`
	chrome = `C:\Program Files\Google\Chrome\Application\chrome.exe`
	edge   = `C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`
)

// web is an address on the Internet of documents and sites.
func (h *Host) web() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + h.draw(250))}), 443)
}

// windowsDays are what happens on a Windows host of an office.
func (h *Host) windowsDays() []func(user string) []event.Event {
	svchost := system32 + "svchost.exe"
	return []func(string) []event.Event{
		func(u string) []event.Event { return h.Logon(Logon{User: u, Type: 2}) },
		func(u string) []event.Event { return h.Logon(Logon{User: u, Type: 7}) },
		func(u string) []event.Event { // once in a while a wrong password
			return all(h.Logon(Logon{User: u, Type: 2, Failed: true}), h.Logon(Logon{User: u, Type: 2}))
		},
		func(u string) []event.Event { return h.Logon(Logon{User: u, Type: 3, From: h.near()}) },
		h.browses,
		h.browses,
		func(u string) []event.Event {
			site := h.pick([]string{"www.example.com", "mail." + cmp.Or(h.c.Domain, "example.internal"), "news.example.org", "maps.example.net"})
			return all(h.DNS(edge, site, h.web().Addr().String(), u), h.Network(Connection{Image: edge, User: u, To: h.web(), ToName: site}))
		},
		h.writes,
		h.writes,
		func(u string) []event.Event {
			return h.Process(Process{Image: office + "OUTLOOK.EXE", CommandLine: `"` + office + `OUTLOOK.EXE"`, User: u, Company: "Microsoft Corporation", Product: "Microsoft Office"})
		},
		func(u string) []event.Event {
			return h.Share(u, "projects", h.near(), fmt.Sprintf(`2026\plan%02d.xlsx`, h.draw(40)))
		},
		func(string) []event.Event {
			return all(h.ServiceState("Windows Update", "running"),
				h.Process(Process{Image: system32 + "usoclient.exe", CommandLine: system32 + "usoclient.exe StartScan", User: systemUser, Parent: svchost, ParentLine: svchost + " -k netsvcs -p -s Schedule", Integrity: "System"}))
		},
		func(string) []event.Event {
			return h.Process(Process{Image: system32 + "taskhostw.exe", CommandLine: "taskhostw.exe", User: systemUser, Parent: svchost, ParentLine: svchost + " -k netsvcs -p -s Schedule", Integrity: "System"})
		},
		func(string) []event.Event {
			return h.ServiceState(h.pick([]string{"Print Spooler", "Background Intelligent Transfer Service", "Windows Search"}), h.pick([]string{"running", "stopped"}))
		},
		func(u string) []event.Event {
			return h.Process(Process{Image: system32 + h.pick([]string{"notepad.exe", "calc.exe", "mspaint.exe", "SnippingTool.exe"}), User: u})
		},
		func(u string) []event.Event {
			_, n := h.split(u)
			return h.Registry(`C:\Windows\explorer.exe`, `HKU\S-1-5-21-1\Software\Microsoft\Windows\CurrentVersion\Explorer\RecentDocs\.docx\MRUListEx`, "Binary Data", n)
		},
	}
}

func (h *Host) browses(u string) []event.Event {
	return all(
		h.Process(Process{Image: chrome, CommandLine: `"` + chrome + `" --type=renderer --lang=en-GB`, User: u, Parent: chrome, Company: "Google LLC", Product: "Google Chrome", Integrity: "Low"}),
		h.DNS(chrome, "www.example.com", h.web().Addr().String(), u),
		h.Network(Connection{Image: chrome, User: u, To: h.web(), ToName: "www.example.com"}),
	)
}

func (h *Host) writes(u string) []event.Event {
	_, n := h.split(u)
	doc := fmt.Sprintf(`C:\Users\%s\Documents\report%02d.docx`, n, h.draw(60))
	return all(
		h.Process(Process{Image: office + "WINWORD.EXE", CommandLine: `"` + office + `WINWORD.EXE" /n "` + doc + `"`, User: u, Company: "Microsoft Corporation", Product: "Microsoft Office"}),
		h.File(office+"WINWORD.EXE", doc, u),
	)
}

// linuxDays are what happens on a Linux server.
func (h *Host) linuxDays() []func(user string) []event.Event {
	return []func(string) []event.Event{
		func(u string) []event.Event { return h.SSHLogin(u, h.near(), true, true) },
		func(u string) []event.Event {
			at := h.near()
			return all(h.SSHLogin(u, at, false, true), h.SSHLogin(u, at, true, true))
		},
		func(string) []event.Event {
			return h.Auth("CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", "root")
		},
		func(string) []event.Event { return h.Syslog("systemd", "Started Daily apt download activities.") },
		func(string) []event.Event {
			return h.Web(Request{From: h.near(), Port: 80, Path: h.pick([]string{"/", "/news", "/phonebook", "/style.css"}), Agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"})
		},
		func(u string) []event.Event {
			return h.Exec(u, h.pick([]string{"/usr/bin/ls", "/usr/bin/less", "/usr/bin/vim", "/usr/bin/df"}), "/var/log")
		},
	}
}
