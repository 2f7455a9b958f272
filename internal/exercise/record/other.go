package record

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Request is a request that a web server would have answered.
type Request struct {
	From          netip.AddrPort
	Port          uint16 // 443 where 0
	Method, Path  string
	Query, Agent  string
	User, Referer string
	Status        int // 200 where 0
	Bytes         int64
}

// Web is a line of IIS' or another server's access log.
func (h *Host) Web(r Request) []event.Event {
	e := h.begin("iis.access", r.User)
	if h.c.Family == "linux" {
		e.Dataset = "nginx.access"
	}
	if r.Port == 0 {
		r.Port = 443
	}
	if r.Status == 0 {
		r.Status = 200
	}
	e.Category, e.Type, e.Source, e.Destination = "web", "access", r.From, netip.AddrPortFrom(h.c.Addr, r.Port)
	e.URL, e.Outcome = r.Path, "success"
	if r.Query != "" {
		e.URL += "?" + r.Query
	}
	if r.Status >= 400 {
		e.Outcome = "failure"
	}
	e.Add("http.request.method", cmp.Or(r.Method, "GET"))
	e.Add("url.path", r.Path)
	e.Add("url.query", r.Query)
	e.Add("url.domain", strings.ToLower(h.Computer()))
	e.Add("user_agent.original", r.Agent)
	e.Add("http.request.referrer", r.Referer)
	e.AddInt("http.response.status_code", int64(r.Status))
	e.AddInt("http.response.body.bytes", r.Bytes)
	return []event.Event{e}
}

// MailAccess is a record of Microsoft 365's audit log: an application read a
// mailbox.
func (h *Host) MailAccess(app, mailbox, from string) []event.Event {
	e := h.begin("o365.audit", mailbox)
	at := h.c.Clock.Now().UTC()
	for _, p := range [][2]string{
		{"Workload", "Exchange"},
		{"Operation", "MailItemsAccessed"},
		{"CreationTime", at.Format("2006-01-02T15:04:05")},
		{"RecordType", "50"},
		{"ResultStatus", "Succeeded"},
		{"UserId", mailbox},
		{"MailboxOwnerUPN", mailbox},
		{"AppId", app},
		{"ClientIPAddress", from},
		{"ClientInfoString", "Client=REST;Client=RESTSystem;;"},
	} {
		e.Add(p[0], p[1])
	}
	return []event.Event{e}
}

// Firewall is a line of a firewall or flow log.
func (h *Host) Firewall(from, to netip.AddrPort, transport string) []event.Event {
	e := h.begin("firewall.log", "")
	e.Category, e.Type, e.Source, e.Destination, e.Transport = "network", "connection", from, to, cmp.Or(transport, "tcp")
	return []event.Event{e}
}

// Syslog is a line of a Linux system's log.
func (h *Host) Syslog(program, text string) []event.Event {
	return []event.Event{h.line("system.syslog", program, text, "")}
}

// Auth is a line of auth.log.
func (h *Host) Auth(program, text, user string) []event.Event {
	return []event.Event{h.line("system.auth", program, text, user)}
}

func (h *Host) line(dataset, program, text, user string) event.Event {
	e := h.begin(dataset, user)
	e.Add("process.name", program)
	e.AddInt("process.pid", int64(300+h.draw(30000)))
	e.Add("message", text)
	return e
}

// SSHLogin is what sshd writes of a try with a password.
func (h *Host) SSHLogin(user string, from netip.AddrPort, ok, known bool) []event.Event {
	text := fmt.Sprintf("Failed password for %s from %s port %d ssh2", user, address(from), from.Port())
	switch {
	case ok:
		text = fmt.Sprintf("Accepted password for %s from %s port %d ssh2", user, address(from), from.Port())
	case !known:
		text = fmt.Sprintf("Failed password for invalid user %s from %s port %d ssh2", user, address(from), from.Port())
	}
	e := h.line("system.auth", "sshd", text, user)
	e.Category, e.Type, e.Source, e.Outcome = "authentication", "start", from, map[bool]string{true: "success", false: "failure"}[ok]
	return []event.Event{e}
}

// Exec is a program that would have been started on Linux: the EXECVE and the
// SYSCALL of auditd as one record.
func (h *Host) Exec(user string, argv ...string) []event.Event {
	if len(argv) == 0 {
		return nil
	}
	h.mu.Lock()
	h.next++
	n := h.next
	h.mu.Unlock()
	exe := argv[0]
	if !strings.HasPrefix(exe, "/") {
		exe = "/usr/bin/" + exe
	}
	e := h.begin("auditd.log", user)
	e.CommandLine = strings.Join(argv, " ")
	e.Extra = append(e.Extra, event.Field{Name: "type", Value: event.List("SYSCALL", "EXECVE")})
	for _, p := range [][2]string{{"SYSCALL", "execve"}, {"success", "yes"}, {"exe", exe}, {"comm", base(exe)}, {"key", "exec"}, {"auid", user}} {
		e.Add(p[0], p[1])
	}
	e.AddInt("sequence", n)
	e.AddInt("argc", int64(len(argv)))
	for i, a := range argv {
		e.Add("a"+strconv.Itoa(i), a)
	}
	e.Add("Image", exe)
	e.Add("CommandLine", e.CommandLine)
	return []event.Event{e}
}

// argv is a command line in words, with the program's path first.
func argv(image, line string) []string {
	w := strings.Fields(line)
	if len(w) == 0 || image != "" && base(w[0]) != base(image) {
		return append([]string{image}, w...)
	}
	if image != "" {
		w[0] = image
	}
	return w
}

// agent is a record of an agent with ECS names.
func (h *Host) agent(dataset, image, user string) event.Event {
	e := h.begin(dataset, cmp.Or(user, h.c.Users[0]))
	e.Add("host.os.type", h.c.Family)
	e.Add("process.executable", image)
	e.Add("process.name", base(image))
	return e
}

func (h *Host) linuxFile(image, path, user string) []event.Event {
	e := h.agent("endpoint.events.file", image, user)
	e.Category, e.Type, e.Action, e.Path = "file", "creation", "creation", path
	return []event.Event{e}
}

func (h *Host) linuxNetwork(c Connection) []event.Event {
	e := h.agent("endpoint.events.network", c.Image, c.User)
	if !c.From.Addr().IsValid() {
		c.From = netip.AddrPortFrom(h.c.Addr, uint16(32768+h.draw(28000)))
	}
	e.Category, e.Type, e.Action, e.Source, e.Destination, e.Transport = "network", "start", "connection_attempted", c.From, c.To, cmp.Or(c.Transport, "tcp")
	e.Add("destination.domain", c.ToName)
	return []event.Event{e}
}
