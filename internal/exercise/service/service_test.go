package service

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
)

// memory is a sink that remembers.
type memory struct {
	mu   sync.Mutex
	list []event.Event
}

func (m *memory) Emit(_ context.Context, e event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, e)
	return nil
}

func (m *memory) all() []event.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list)
}

// wait returns once an event fits.
func (m *memory) wait(t *testing.T, what string, fits func(event.Event) bool) event.Event {
	t.Helper()
	for range 1000 {
		for _, e := range m.all() {
			if fits(e) {
				return e
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, e := range m.all() {
		t.Logf("%s", e.AppendJSON(nil))
	}
	t.Fatalf("no event: %s", what)
	return event.Event{}
}

func text(e event.Event, name string) string {
	v, _ := e.Get(name)
	return v.Text()
}

// bench is a service on a port of loopback.
type bench struct {
	*Server
	sink *memory
	addr string
}

var allPrograms = programs.All()

func start(t *testing.T, kind string, h HostConfig, c Config) *bench {
	t.Helper()
	sink := &memory{}
	if h.Clock == nil {
		h.Clock = clock.System()
	}
	if h.Name == "" {
		h.Name = "web01"
	}
	h.Sink, h.Seed, h.Programs, h.Domain = sink, 42, allPrograms, "plant.example"
	host, err := NewHost(h)
	if err != nil {
		t.Fatal(err)
	}
	c.Host = host
	if c.Listen == nil {
		c.Listen = func(ctx context.Context) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		}
	}
	s, err := New(kind, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 2)
	b := &bench{Server: s, sink: sink}
	if s.kind.packet != nil && s.kind.stream == nil {
		pc, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		b.addr = pc.LocalAddr().String()
		go func() { done <- s.ServePacket(ctx, pc) }()
	} else {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		b.addr = ln.Addr().String()
		go func() { done <- s.Serve(ctx, ln) }()
	}
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the service does not stop")
		}
	})
	return b
}

func (b *bench) dial(t *testing.T) net.Conn {
	t.Helper()
	network := "tcp"
	if b.kind.stream == nil && b.kind.packet != nil {
		network = "udp"
	}
	c, err := new(net.Dialer).DialContext(t.Context(), network, b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// talk sends lines and gives the answers up to the end of the connection.
func (b *bench) talk(t *testing.T, lines ...string) string {
	t.Helper()
	c := b.dial(t)
	go func() {
		for _, l := range lines {
			io.WriteString(c, l+"\r\n")
		}
	}()
	out, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	return string(out)
}

func basicAuth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func judge(t *testing.T, events []event.Event) []string {
	t.Helper()
	e, err := live.New(live.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range events {
		for _, v := range e.Judge(events[i].AppendJSON(nil)) {
			out = append(out, v.Rule.Title)
		}
	}
	for _, v := range e.Advance(time.Now().Add(24 * time.Hour)) {
		out = append(out, v.Rule.Title)
	}
	return out
}

func TestKinds(t *testing.T) {
	all := Kinds()
	if len(all) < 5 {
		t.Fatalf("%d kinds", len(all))
	}
	all[0].Name = "changed"
	if Kinds()[0].Name == "changed" {
		t.Fatal("the table can be written")
	}
	for _, k := range Kinds() {
		if k.Port == 0 || len(k.Transports) == 0 || k.Summary == "" {
			t.Errorf("%s: %+v", k.Name, k)
		}
		full, err := find(k.Name)
		if err != nil {
			t.Fatal(err)
		}
		shell := k.Name == "ssh" || k.Name == "telnet"
		if slices.Contains(k.Transports, "tcp") != (full.stream != nil || shell) || slices.Contains(k.Transports, "udp") != (full.packet != nil) {
			t.Errorf("%s does not answer on %v", k.Name, k.Transports)
		}
	}
}

func TestWrongKindHostOrSite(t *testing.T) {
	sink := &memory{}
	win, err := NewHost(HostConfig{Name: "ws01", Persona: "windows-10", Clock: clock.System(), Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, kind string
		c          Config
		want       string
	}{
		{"no such kind", "gopher", Config{Host: win}, `no service "gopher": use one of`},
		{"no host", "http", Config{}, "it needs a host"},
		{"ssh on windows", "ssh", Config{Host: win}, "a windows host (persona windows-10) has no ssh service"},
		{"no such site", "http", Config{Host: win, Site: "shop"}, `no site "shop": use one of camera, empty, exchange`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.kind, tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name string
		c    HostConfig
		want string
	}{
		{"persona", HostConfig{Persona: "amiga"}, `no persona "amiga": use one of`},
		{"relative path", HostConfig{Persona: "linux-5", Files: []File{{Path: "etc/x"}}}, "must be absolute"},
		{"path upwards", HostConfig{Persona: "linux-5", Files: []File{{Path: "/srv/../etc/x"}}}, "must be absolute"},
		{"large file", HostConfig{Persona: "linux-5", Files: []File{{Path: "/x", Content: strings.Repeat("x", MaxFile+1)}}}, "shorten it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Name, tt.c.Clock, tt.c.Sink = "h", clock.System(), sink
			if _, err := NewHost(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func sshRun(t *testing.T, b *bench, user, password string, commands ...string) (string, error) {
	t.Helper()
	conn := b.dial(t)
	c, chans, reqs, err := ssh.NewClientConn(conn, b.addr, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		return "", err
	}
	cl := ssh.NewClient(c, chans, reqs)
	defer cl.Close()
	var out strings.Builder
	for _, line := range commands {
		s, err := cl.NewSession()
		if err != nil {
			return "", err
		}
		o, _ := s.CombinedOutput(line)
		out.Write(o)
	}
	return out.String(), nil
}

// TestShutPersona: a system that has no shell of its own lets nobody in, whoever he
// is; a planted credential is known all the same.
func TestShutPersona(t *testing.T) {
	b := start(t, "ssh", HostConfig{
		Name: "bsd", Persona: "freebsd", Decoy: true, Accept: []Credential{{"root", "toor"}}, Tokens: []Token{{Credential{"backup", "s3cret"}, "backup-cred", true}},
	}, Config{Accept: []Credential{{"admin", "admin"}}})
	for user, password := range map[string]string{"root": "toor", "admin": "admin", "backup": "s3cret"} {
		if out, err := sshRun(t, b, user, password, "uname -a"); err == nil {
			t.Errorf("%s got in, to %q", user, out)
		}
	}
	b.sink.wait(t, "planted credential", func(e event.Event) bool {
		return e.Action == event.ActionLogin && e.Outcome == "failure" && text(e, record.TokenField) == "backup-cred"
	})
}

func TestSSHDecoy(t *testing.T) {
	b := start(t, "ssh", HostConfig{
		Name: "db01", Persona: "linux-5", Decoy: true, Addr: netip.MustParsePrefix("10.20.2.20/24"), Gateway: netip.MustParseAddr("10.20.2.1"),
		Tokens: []Token{{Credential{"backup", "s3cret"}, "backup-cred", true}},
		Files:  []File{{Path: "/srv/backup/README.txt", Content: "marker 7\n", Token: "doc-token"}},
	}, Config{Banner: "OpenSSH_9.6"})
	if _, err := sshRun(t, b, "backup", "wrong"); err == nil {
		t.Fatal("a wrong password got in")
	}
	out, err := sshRun(t, b, "backup", "s3cret", "hostname", "cd /srv; cat backup/README.txt", "hostname -I")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"db01\n", "marker 7\n", "10.20.2.20"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q misses %q", out, want)
		}
	}
	b.sink.wait(t, "planted file read", func(e event.Event) bool {
		return e.Action == event.ActionFileRead && e.Path == "/srv/backup/README.txt" && text(e, record.TokenField) == "doc-token"
	})
	b.sink.wait(t, "planted credential", func(e event.Event) bool {
		return e.Action == event.ActionLogin && e.Outcome == "success" && text(e, record.TokenField) == "backup-cred"
	})
	fired := judge(t, b.sink.all())
	for _, want := range []string{"Login on a Decoy", "Commands on a Decoy", "Planted Credential Used on a Decoy", "Planted File Read on a Decoy"} {
		if !slices.Contains(fired, want) {
			t.Errorf("%q did not fire: %q", want, fired)
		}
	}
	if b.Stats().Connections != 2 {
		t.Errorf("%+v", b.Stats())
	}
}

func TestOrdinarySSHLogsAsSshd(t *testing.T) {
	b := start(t, "ssh", HostConfig{Persona: "linux-6", Accept: []Credential{{"root", "pw"}}, Files: []File{{Path: "/srv/pass.txt", Content: "x", Token: "t1"}}}, Config{})
	sshRun(t, b, "nobody-there", "x")
	if _, err := sshRun(t, b, "root", "pw", "id; cat /srv/pass.txt"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Failed password for invalid user nobody-there from 127.0.0.1 port ", "Accepted password for root from 127.0.0.1 port ", "session closed for user root"} {
		b.sink.wait(t, want, func(e event.Event) bool {
			return strings.HasPrefix(text(e, "message"), want) || strings.Contains(text(e, "message"), want)
		})
	}
	e := b.sink.wait(t, "process", func(e event.Event) bool { return e.Category == "process" })
	if e.CommandLine != "id; cat /srv/pass.txt" || text(e, "process.executable") != "/usr/bin/id" {
		t.Errorf("%s", e.AppendJSON(nil))
	}
	b.sink.wait(t, "planted file", func(e event.Event) bool { return text(e, record.TokenField) == "t1" })
	for _, e := range b.sink.all() {
		if e.Decoy != "" || e.Depth != event.DepthNone || e.LogType != 0 {
			t.Errorf("an ordinary host reports as a decoy: %s", e.AppendJSON(nil))
		}
	}
	for _, title := range judge(t, b.sink.all()) {
		if strings.Contains(title, "Decoy") {
			t.Errorf("%q fired on an ordinary host", title)
		}
	}
}

func TestTelnetDecoy(t *testing.T) {
	b := start(t, "telnet", HostConfig{Persona: "camera", Decoy: true, Accept: []Credential{{"root", "admin"}}}, Config{})
	c := b.dial(t)
	r := bufio.NewReader(c)
	until := func(s string) {
		var got strings.Builder
		for !strings.HasSuffix(got.String(), s) {
			ch, err := r.ReadByte()
			if err != nil {
				t.Fatalf("%q: %v", got.String(), err)
			}
			got.WriteByte(ch)
		}
	}
	until("login: ")
	fmt.Fprintf(c, "root\r\n")
	until("Password: ")
	fmt.Fprintf(c, "admin\r\n")
	until("# ")
	fmt.Fprintf(c, "exit\r\n")
	b.sink.wait(t, "login", func(e event.Event) bool {
		return e.Action == event.ActionLogin && e.Outcome == "success" && e.Decoy == "telnet"
	})
}

func TestHTTPIntranetIsLogged(t *testing.T) {
	b := start(t, "http", HostConfig{Persona: "linux-5", Files: []File{{Path: "/var/www/html/pl.gz", Content: "marker"}}}, Config{})
	out := b.talk(t, "GET /news?x=1 HTTP/1.1", "Host: web01", "User-Agent: curl/8", "", "GET /missing HTTP/1.1", "Host: web01", "", "GET /pl.gz HTTP/1.1", "Host: web01", "Connection: close", "")
	for _, want := range []string{"HTTP/1.1 200 OK", "canteen", "HTTP/1.1 404 Not Found", "marker"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q misses %q", out, want)
		}
	}
	e := b.sink.wait(t, "access", func(e event.Event) bool { return e.URL == "/news?x=1" })
	if text(e, "http.response.status_code") != "200" || text(e, "user_agent.original") != "curl/8" || e.Category != "web" {
		t.Errorf("%s", e.AppendJSON(nil))
	}
	if got := judge(t, b.sink.all()); !slices.Contains(got, "Archive or Image Name From the Actor List Fetched") {
		t.Errorf("fired: %q", got)
	}
}

func TestExchangeSprayFires(t *testing.T) {
	b := start(t, "http", HostConfig{Persona: "windows-server", Accept: []Credential{{"anna", "right"}}}, Config{Site: "exchange"})
	var lines []string
	for i := range 12 {
		auth, end := basicAuth(fmt.Sprintf("user%d", i), "Winter2026"), "keep-alive"
		if i == 11 {
			auth, end = basicAuth("anna", "right"), "close"
		}
		lines = append(lines, "GET "+[]string{"/ews", "/ecp", "/oab", "/rpc", "/mapi", "/autodiscover"}[i%6]+" HTTP/1.1", "Host: mail", "Authorization: Basic "+auth, "Connection: "+end, "")
	}
	out := b.talk(t, lines...)
	if strings.Count(out, "HTTP/1.1 401 Unauthorized") != 11 || strings.Count(out, "HTTP/1.1 200 OK") != 1 {
		t.Errorf("%q", out)
	}
	got := judge(t, b.sink.all())
	for _, want := range []string{"Password Spraying Across Exchange Directories", "One Source Walks the Exchange Directories"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q did not fire: %q", want, got)
		}
	}
}

func TestHTTPForm(t *testing.T) {
	b := start(t, "http", HostConfig{Persona: "router", Decoy: true, Accept: []Credential{{"admin", "admin"}}}, Config{})
	post := func(pw string) string {
		body := "username=admin&password=" + pw
		return b.talk(t, "POST /login.cgi HTTP/1.1", "Host: r", "Connection: close", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(body)), "", body)
	}
	if out := post("x"); !strings.HasPrefix(out, "HTTP/1.1 401") {
		t.Errorf("%q", out)
	}
	if out := post("admin"); !strings.HasPrefix(out, "HTTP/1.1 302") {
		t.Errorf("%q", out)
	}
	b.talk(t, "POST /upload HTTP/1.1", "Host: r", "Connection: close", "Content-Length: 6", "", "marker")
	b.sink.wait(t, "upload", func(e event.Event) bool {
		return e.Action == event.ActionFileCaptured && e.Path == "/upload" && e.Size == 6
	})
	e := b.sink.wait(t, "login", func(e event.Event) bool { return e.Action == event.ActionLogin && e.Outcome == "success" })
	if e.LogType != 3001 || text(e, record.PasswordField) != "admin" {
		t.Errorf("%s", e.AppendJSON(nil))
	}
}

func TestBadHTTP(t *testing.T) {
	b := start(t, "http", HostConfig{Persona: "linux-5"}, Config{Limits: Limits{Bytes: 2 << 20}})
	for _, tt := range []struct {
		name  string
		lines []string
	}{
		{"no protocol", []string{"\x00\x01\x02", ""}},
		{"huge head", []string{"GET / HTTP/1.1", "X: " + strings.Repeat("a", 2*maxRequest), ""}},
		{"a body longer than a connection may be", []string{"POST / HTTP/1.1", "Host: x", "Content-Length: 99000000", "", strings.Repeat("x", 3<<20)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if out := b.talk(t, tt.lines...); !strings.HasPrefix(out, "HTTP/1.1 400") && out != "" {
				t.Errorf("%.200q", out)
			}
		})
	}
	if b.Stats().Failed == 0 {
		t.Error("nothing was counted")
	}
}

func TestFTP(t *testing.T) {
	b := start(t, "ftp", HostConfig{Persona: "linux-5", Accept: []Credential{{"anna", "pw"}}, Files: []File{{"/srv/plan.txt", "the plan", "t9"}}}, Config{})
	c := b.dial(t)
	r := bufio.NewReader(c)
	ask := func(line, want string) string {
		t.Helper()
		if line != "" {
			fmt.Fprintf(c, "%s\r\n", line)
		}
		l, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(l, want) {
			t.Fatalf("%s: %q %v, want %s", line, l, err, want)
		}
		return l
	}
	data := func(line string) string {
		t.Helper()
		var p [6]int
		l := ask("PASV", "227")
		if _, err := fmt.Sscanf(l[strings.Index(l, "("):], "(%d,%d,%d,%d,%d,%d)", &p[0], &p[1], &p[2], &p[3], &p[4], &p[5]); err != nil {
			t.Fatal(err)
		}
		d, err := new(net.Dialer).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", p[4]<<8+p[5]))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		ask(line, "150")
		if strings.HasPrefix(line, "STOR") {
			io.WriteString(d, "LAPWING-MARKER")
			d.Close()
		}
		out, _ := io.ReadAll(d)
		ask("", "226")
		return string(out)
	}
	ask("", "220")
	ask("LIST", "530")
	ask("USER anna", "331")
	ask("PASS no", "530")
	ask("USER anna", "331")
	ask("PASS pw", "230")
	ask("CWD /etc/nowhere", "550")
	ask("CWD /srv", "250")
	ask("RETR plan.txt", "425")
	if out := data("LIST"); !strings.HasSuffix(out, " plan.txt\r\n") {
		t.Errorf("%q", out)
	}
	if out := data("RETR plan.txt"); out != "the plan" {
		t.Errorf("%q", out)
	}
	data("STOR marker.bin")
	ask("QUIT", "221")
	b.sink.wait(t, "upload", func(e event.Event) bool { return e.Path == "/srv/marker.bin" && e.Size == 14 })
	b.sink.wait(t, "token", func(e event.Event) bool { return text(e, record.TokenField) == "t9" && e.User == "anna" })
	b.sink.wait(t, "failed login", func(e event.Event) bool {
		return strings.HasPrefix(text(e, "message"), "[anna] FAIL LOGIN") && e.Outcome == "failure"
	})
}

func TestSMTP(t *testing.T) {
	b := start(t, "smtp", HostConfig{Persona: "linux-5", Name: "mail"}, Config{})
	out := b.talk(t, "EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@elsewhere.example>", "DATA", "RCPT TO:<anna@plant.example>", "DATA", "Subject: hello", "", "..dot", ".", "QUIT")
	for _, want := range []string{"220 mail.plant.example", "454 4.7.1", "503 5.5.1", "250 2.0.0 Ok: queued"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q misses %q", out, want)
		}
	}
	box := b.c.Host.mail.open("Anna")
	if last := box[len(box)-1]; last.Subject != "hello" || last.Body != ".dot\r\n" || last.From != "a@b.example" {
		t.Errorf("%+v", last)
	}
}

func TestLimits(t *testing.T) {
	b := start(t, "smtp", HostConfig{Persona: "linux-5"}, Config{Limits: Limits{PerSource: 2, Bytes: 100}})
	held := []net.Conn{b.dial(t), b.dial(t)}
	for _, c := range held {
		c.Read(make([]byte, 10))
	}
	if n, err := b.dial(t).Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a third connection was served")
	}
	if b.Stats().Refused != 1 {
		t.Errorf("%+v", b.Stats())
	}
	io.WriteString(held[0], strings.Repeat("NOOP\r\n", 40))
	if out, _ := io.ReadAll(held[0]); strings.Count(string(out), "250 ") > 16 || !strings.Contains(string(out), "250 ") { // a reset may swallow the last
		t.Errorf("%q", out)
	}
	io.WriteString(held[1], strings.Repeat("x", 300))
	if out, _ := io.ReadAll(held[1]); strings.Contains(string(out), "250") {
		t.Errorf("%q", out)
	}
}

func TestIdleEnds(t *testing.T) {
	b := start(t, "smtp", HostConfig{Persona: "linux-5"}, Config{Limits: Limits{Idle: 50 * time.Millisecond}})
	c := b.dial(t)
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
}

func sysClock() clock.Clock { return clock.System() }
