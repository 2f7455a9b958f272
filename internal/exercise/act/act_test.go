package act

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// world is a few hosts with services on a virtual network, on virtual time.
type world struct {
	net *vnet.Network
	clk *vnet.VirtualClock
	seg *vnet.Segment
	red *vnet.Host

	ends   []func()
	mu     sync.Mutex
	events []event.Event
}

func (w *world) Emit(_ context.Context, e event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}

func (w *world) count(fits func(event.Event) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if fits(e) {
			n++
		}
	}
	return n
}

var allPrograms = programs.All()

func (w *world) add(t *testing.T, n byte, h service.HostConfig, kinds ...string) {
	t.Helper()
	addr := netip.AddrFrom4([4]byte{10, 9, 0, n})
	h.Clock, h.Sink, h.Seed, h.Programs, h.Domain, h.Addr = w.clk, w, 5, allPrograms, "plant.example", netip.PrefixFrom(addr, 24)
	host, err := service.NewHost(h)
	if err != nil {
		t.Fatal(err)
	}
	machine, err := w.seg.AddHost(vnet.HostConfig{Name: h.Name, Addrs: []netip.Addr{addr}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	for _, k := range kinds {
		s, err := service.New(k, service.Config{
			Host: host, Site: map[string]string{"http": "exchange"}[k], Zone: func(n string) []string { return map[string][]string{"web01.plant.example": {"10.0.0.1"}}[n] },
			Listen: func(ctx context.Context) (net.Listener, error) { return machine.Listen(ctx, 0) },
		})
		if err != nil {
			t.Fatal(err)
		}
		port := s.Kind().Port
		if slices.Contains(s.Kind().Transports, "udp") {
			pc, err := machine.ListenPacket(ctx, port)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { s.ServePacket(ctx, pc) })
		}
		if slices.Contains(s.Kind().Transports, "tcp") {
			ln, err := machine.Listen(ctx, port)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { s.Serve(ctx, ln) })
		}
	}
	w.ends = append(w.ends, func() { cancel(); wg.Wait() })
}

// stop ends the services and waits for what they still have to tell.
func (w *world) stop() {
	for _, end := range w.ends {
		end()
	}
	w.ends = nil
}

var anna = Credential{"anna", "pw"}

// newWorld has a Linux host, a decoy, a router and a PLC.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clk: vnet.NewVirtualClock(time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC))}
	t.Cleanup(w.clk.Close)
	var err error
	if w.net, err = vnet.New(vnet.Config{Seed: 3, Clock: w.clk}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.net.Close() })
	if w.seg, err = w.net.AddSegment(vnet.SegmentConfig{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}}); err != nil {
		t.Fatal(err)
	}
	if w.red, err = w.seg.AddHost(vnet.HostConfig{Name: "red01", Addrs: []netip.Addr{netip.MustParseAddr("10.9.0.66")}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	accept := []service.Credential{{User: "anna", Password: "pw"}}
	w.add(t, 14, service.HostConfig{Name: "win", Persona: "windows-server", Accept: accept}, "smb")
	w.add(t, 10, service.HostConfig{
		Name: "lin", Domain: "plant.example", Persona: "linux-5", Accept: accept, Files: []service.File{{Path: "/srv/plan.txt", Content: "the plan\n"}},
		Mail: map[string][]service.Message{"anna": {{Subject: "One"}, {Subject: "Two", Body: ".\r\n..dots\r\n"}}}, People: []string{"anna", "bert"}, Machines: []string{"pc1"},
	},
		"ssh", "ftp", "smtp", "imap", "pop3", "dns", "smb", "ldap", "mysql", "postgres", "mssql", "rdp", "http", "https")
	w.add(t, 11, service.HostConfig{Name: "trap", Persona: "linux-6", Decoy: true, Tokens: []service.Token{{Credential: service.Credential{User: "backup", Password: "t0k"}, ID: "tok", Admit: true}}, Files: []service.File{{Path: "/srv/README.txt", Content: "marker", Token: "doc"}}}, "ssh")
	w.add(t, 12, service.HostConfig{Name: "rt", Persona: "router", Decoy: true, Accept: []service.Credential{{User: "root", Password: "admin"}}}, "telnet", "snmp")
	w.add(t, 13, service.HostConfig{Name: "plc", Persona: "plc", Accept: accept}, "modbus", "mqtt")
	return w
}

func testActor(w *world) *Actor {
	return New(w.red.Dialer().Labelled("s1"), Config{Clock: w.clk, Seed: 9, Host: "red01", Timeout: 5 * time.Second})
}

func good(t *testing.T, o Outcome) {
	t.Helper()
	if !o.OK() || o.Ended.Before(o.Started) || o.Action == "" {
		t.Errorf("%+v", o)
	}
	if len(o.Flows) == 0 {
		t.Errorf("%s used no flow", o.Action)
	}
	for _, f := range o.Flows {
		if !f.Src.IsValid() || !f.Dst.IsValid() || f.Transport != "tcp" && f.Transport != "udp" || f.Src.Addr().String() != "10.9.0.66" {
			t.Errorf("%s: flow %+v", o.Action, f)
		}
	}
}

func TestLogins(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	ctx := t.Context()
	wrong := Login{Credentials: []Credential{{"anna", "no"}}}
	right := Login{Credentials: []Credential{{"bob", "x"}, {"anna", "no"}, anna, {"carl", "y"}}}
	for _, tt := range []struct {
		name string
		do   func(Login) LoggedIn
	}{
		{"ssh", func(l Login) LoggedIn { return a.SSHLogin(ctx, Target{"lin", 22}, l) }},
		{"ftp", func(l Login) LoggedIn { return a.FTPLogin(ctx, Target{"lin", 21}, l) }},
		{"imap", func(l Login) LoggedIn { return a.IMAPLogin(ctx, Target{"lin", 143}, l, 0) }},
		{"pop3", func(l Login) LoggedIn { return a.POPLogin(ctx, Target{"lin", 110}, l, 0) }},
		{"smb", func(l Login) LoggedIn { l.Share = "IPC$"; return a.SMBLogin(ctx, Target{"lin", 445}, l) }},
		{"ldap", func(l Login) LoggedIn { return a.LDAPBind(ctx, Target{"lin", 389}, l) }},
		{"ldap search", func(l Login) LoggedIn { return a.LDAPSearch(ctx, Target{"lin", 389}, l, "", "user") }},
		{"mysql", func(l Login) LoggedIn { return a.SQLLogin(ctx, Target{"lin", 3306}, "mysql", l) }},
		{"postgres", func(l Login) LoggedIn { return a.SQLLogin(ctx, Target{"lin", 5432}, "postgres", l) }},
		{"mssql", func(l Login) LoggedIn { return a.SQLLogin(ctx, Target{"lin", 1433}, "mssql", l) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.do(right)
			good(t, got.Outcome)
			if !got.In || got.As != anna || got.Tries != 3 || len(got.Flows) < 3 {
				t.Errorf("%+v", got)
			}
			if got := tt.do(wrong); got.In || got.Result != Refused || got.Tries != 1 || !strings.Contains(got.Reason, "1 of 1 credentials tried") {
				t.Errorf("%+v", got)
			}
			if got := tt.do(Login{}); got.Result != Wrong || got.Tries != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestReading reads what ordinary servers hold: mails, people, rows.
func TestReading(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	ctx := t.Context()
	login := Login{Credentials: []Credential{anna}}
	for _, tt := range []struct {
		name string
		do   func() LoggedIn
		want []string // each is a part of one text, in order
	}{
		{"imap", func() LoggedIn { return a.IMAPLogin(ctx, Target{"lin", 143}, login, 1) }, []string{"Subject: Two"}},
		{"pop3", func() LoggedIn { return a.POPLogin(ctx, Target{"lin", 110}, login, 2) }, []string{"Subject: One", "Subject: Two"}},
		{"ldap users", func() LoggedIn { return a.LDAPSearch(ctx, Target{"lin", 389}, login, "", "user") }, []string{"CN=anna,CN=Users,DC=plant,DC=example", "CN=bert,CN=Users"}},
		{"ldap all", func() LoggedIn { return a.LDAPSearch(ctx, Target{"lin", 389}, login, "DC=plant", "") }, []string{"CN=anna", "CN=bert", "CN=pc1,CN=Computers"}},
		{"mysql", func() LoggedIn {
			return a.SQLQuery(ctx, Target{"lin", 3306}, "mysql", login, []string{"version", "tables"})
		}, []string{"8.0", "8.0", "customers", "invoices", "orders", "staff"}},
		{"postgres", func() LoggedIn {
			return a.SQLQuery(ctx, Target{"lin", 5432}, "postgres", login, []string{"version", "users"})
		}, []string{"PostgreSQL 15", "postgres", "anna"}},
		{"mssql", func() LoggedIn {
			return a.SQLQuery(ctx, Target{"lin", 1433}, "mssql", login, []string{"databases", "version"})
		}, []string{"15.0.2000", "master", "tempdb", "stock", "works", "SQL Server 2019"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.do()
			good(t, got.Outcome)
			if len(got.Output) != len(tt.want) {
				t.Fatalf("%d texts: %q", len(got.Output), got.Output)
			}
			for i, want := range tt.want {
				if !strings.Contains(got.Output[i], want) {
					t.Errorf("%q is not in %q", want, got.Output[i])
				}
			}
		})
	}
	if got := a.SQLQuery(ctx, Target{"lin", 3306}, "mysql", login, []string{"drop"}); got.Result != Wrong || len(got.Flows) > 0 {
		t.Errorf("a question that is not in the list: %+v", got)
	}
}

func TestSSHCommandsAndFiles(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	got := a.SSHLogin(t.Context(), Target{"trap", 22}, Login{Credentials: []Credential{{"backup", "t0k"}}, Commands: []string{"whoami", "false", "echo $((6*7))"}})
	good(t, got.Outcome)
	if !slices.Equal(got.Output, []string{"backup\n", "", "42\n"}) {
		t.Errorf("%q", got.Output)
	}
	for _, p := range []string{"scp", "sftp"} {
		m := Marker{Protocol: p, Path: "/tmp/" + p + ".txt", Credential: Credential{"backup", "t0k"}, Size: 300}
		good(t, a.Upload(t.Context(), Target{"trap", 22}, m).Outcome)
		got := a.Download(t.Context(), Target{"trap", 22}, m)
		good(t, got.Outcome)
		if len(got.Output) != 1 || len(got.Output[0]) != 300 || !strings.HasPrefix(got.Output[0], MarkerText) {
			t.Errorf("%s: %q", p, got.Output)
		}
		m.Path = "/nowhere/x"
		if got := a.Download(t.Context(), Target{"trap", 22}, m); got.Result != Refused {
			t.Errorf("%s: %+v", p, got)
		}
	}
	if b := a.SSHBanner(t.Context(), Target{"trap", 22}); !b.OK() || !strings.HasPrefix(b.Texts[0], "SSH-2.0-OpenSSH") {
		t.Errorf("%+v", b)
	}
	if n := w.count(func(e event.Event) bool { return e.Action == event.ActionCommandExecuted && e.Decoy == "ssh" }); n < 3 {
		t.Errorf("%d commands were recorded", n)
	}
	if n := w.count(func(e event.Event) bool { return e.Action == event.ActionFileCaptured }); n < 2 {
		t.Errorf("%d files were captured", n)
	}
}

func TestTelnetCommands(t *testing.T) {
	a := testActor(newWorld(t))
	got := a.TelnetLogin(t.Context(), Target{"rt", 23}, Login{Credentials: []Credential{{"admin", "admin"}, {"root", "admin"}}, Commands: []string{"echo marker", "cat /proc/version"}})
	good(t, got.Outcome)
	if !got.In || len(got.Output) != 2 || strings.TrimSpace(got.Output[0]) != "marker" || !strings.Contains(got.Output[1], "Linux version") {
		t.Errorf("%+v", got)
	}
}

func TestFTPFiles(t *testing.T) {
	a := testActor(newWorld(t))
	got := a.FTPLogin(t.Context(), Target{"lin", 21}, Login{Credentials: []Credential{anna}, Paths: []string{"/srv/plan.txt"}})
	good(t, got.Outcome)
	if !slices.Equal(got.Output, []string{"the plan\n"}) {
		t.Errorf("%q", got.Output)
	}
	good(t, a.Upload(t.Context(), Target{"lin", 21}, Marker{Protocol: "ftp", Path: "/srv/marker.bin", Credential: anna, TestFile: true}).Outcome)
	if got := a.Download(t.Context(), Target{"lin", 21}, Marker{Protocol: "ftp", Path: "/srv/none", Credential: anna}); got.Result != Refused {
		t.Errorf("%+v", got)
	}
}

func TestHTTP(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	got := a.HTTP(t.Context(), "http.get", Target{"lin", 80}, Request{Paths: []string{"/", "/missing", "/ews"}, Agent: "marker/1", Headers: map[string]string{"X-Marker": "1"}})
	good(t, got.Outcome)
	if len(got.Pages) != 3 || got.Pages[0].Status != 200 || got.Pages[1].Status != 404 || got.Pages[2].Status != 401 || len(got.Flows) != 3 {
		t.Errorf("%+v", got)
	}
	got = a.HTTP(t.Context(), "http.post_form", Target{"lin", 443}, Request{TLS: true, Post: true, Paths: []string{"/x"}, Form: map[string]string{"username": "anna", "password": "pw"}})
	good(t, got.Outcome)
	if got.Pages[0].Status != 404 {
		t.Errorf("%+v", got)
	}
	got = a.HTTP(t.Context(), "http.post_form", Target{"lin", 80}, Request{Post: true, Paths: []string{"/owa/auth.owa"}, Form: map[string]string{"username": "anna", "password": "pw"}})
	if got.Pages[0].Status != 302 {
		t.Errorf("%+v", got)
	}
	got = a.HTTP(t.Context(), "password.spray", Target{"lin", 80}, Request{Paths: []string{"/ews", "/ecp"}, Sprayed: []Credential{{"a", "x"}, {"b", "x"}, {"c", "x"}, anna}})
	if len(got.Pages) != 4 || got.Pages[0].Status != 401 || got.Pages[3].Status != 200 || got.Pages[1].Path != "/ecp" {
		t.Errorf("%+v", got)
	}
	good(t, a.Upload(t.Context(), Target{"lin", 80}, Marker{Protocol: "http", Path: "/upload", Size: 2000}).Outcome)
	if n := w.count(func(e event.Event) bool { return e.Category == "web" }); n < 9 {
		t.Errorf("%d requests were logged", n)
	}
}

func TestMailAndSmallProtocols(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	ctx := t.Context()
	good(t, a.SMTPMail(ctx, Target{"lin", 25}, Mail{From: "x@y.example", To: []string{"anna@plant.example"}, Subject: "hi", Body: "one\n.two"}))
	mail := a.IMAPLogin(ctx, Target{"lin", 143}, Login{Credentials: []Credential{anna}}, 1)
	good(t, mail.Outcome)
	if len(mail.Output) != 1 || !strings.Contains(mail.Output[0], "Subject: hi") {
		t.Errorf("%q", mail.Output)
	}
	if o := a.SMTPMail(ctx, Target{"lin", 25}, Mail{From: "x@y.example", To: []string{"z@elsewhere.example"}}); o.Result != Refused {
		t.Errorf("%+v", o)
	}
	dns := a.DNSQuery(ctx, Target{"lin", 53}, Ask{Names: []string{"web01.plant.example", "none.plant.example"}})
	good(t, dns.Outcome)
	if len(dns.Answers) != 2 || dns.Answers[0].Values[0] != "10.0.0.1" || dns.Answers[1].Code != 3 {
		t.Errorf("%+v", dns)
	}
	tunnel := a.DNSTunnelLike(ctx, Target{"lin", 53}, Tunnel{Domain: "t.example", Queries: 20, Label: 40})
	good(t, tunnel.Outcome)
	if tunnel.Asked != 20 || tunnel.Answers[0].Name == tunnel.Answers[1].Name || len(tunnel.Answers[0].Name) != 40+len(".t.example") {
		t.Errorf("%+v", tunnel)
	}
	good(t, a.DNSBeacon(ctx, Target{"lin", 53}, "b.example", Repeat{Times: 3, Every: time.Millisecond, Jitter: 0.5}).Outcome)
	if o := a.SMBNegotiate(ctx, Target{"lin", 445}); !o.OK() || o.Texts[0] != "0x0210" {
		t.Errorf("%+v", o)
	}
	if o := a.RDPProbe(ctx, Target{"lin", 3389}, "anna"); !o.OK() || o.Values[0] != 1 {
		t.Errorf("%+v", o)
	}
	if o := a.MQTTConnect(ctx, Target{"plc", 1883}, MQTT{Credential: anna, Client: "c", Topics: []string{"plant/#"}}); !o.OK() {
		t.Errorf("%+v", o)
	}
	if o := a.MQTTConnect(ctx, Target{"plc", 1883}, MQTT{Client: "c"}); o.Result != Refused {
		t.Errorf("%+v", o)
	}
	if o := a.ModbusRead(ctx, Target{"plc", 502}, Registers{Kind: "holding", Count: 10}); !o.OK() || len(o.Values) != 10 {
		t.Errorf("%+v", o)
	}
	if o := a.ModbusRead(ctx, Target{"plc", 502}, Registers{Kind: "holding", Address: 65000, Count: 10}); o.Result != Refused {
		t.Errorf("%+v", o)
	}
	if o := a.SNMPGet(ctx, Target{"rt", 161}, []string{"public"}, []string{"1.3.6.1.2.1.1.5.0"}); !o.OK() || o.Texts[0] != "rt" {
		t.Errorf("%+v", o)
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	got := a.TCPConnect(t.Context(), Sweep{Hosts: []string{"lin", "rt", "absent"}, Ports: []uint16{21, 22, 23, 80, 8080}, Rate: 1000}, true)
	var open []string
	for _, p := range got.Found {
		open = append(open, p.address())
	}
	if !got.OK() || got.Tried != 15 || !slices.Equal(open, []string{"lin:21", "lin:22", "lin:80", "rt:23"}) || !strings.HasPrefix(got.Found[1].Banner, "SSH-2.0") {
		t.Errorf("%+v", got)
	}
	if got := a.TCPConnect(t.Context(), Sweep{}, false); got.Result != Wrong {
		t.Errorf("%+v", got)
	}
}

func TestTransfer(t *testing.T) {
	w := newWorld(t)
	out, err := w.seg.AddHost(vnet.HostConfig{Name: "out", Addrs: []netip.Addr{netip.MustParseAddr("10.9.0.99")}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := out.Listen(t.Context(), 443)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var got int64
	var heads []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2 {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			head, _ := r.ReadString('\n')
			if heads = append(heads, head); strings.Contains(head, " up ") {
				got, _ = io.Copy(io.Discard, r)
			} else {
				c.Write(make([]byte, 5000))
			}
			c.Close()
		}
	}()
	a := testActor(w)
	up := a.Transfer(t.Context(), Target{"out", 443}, Bytes{Size: 300_000})
	good(t, up.Outcome)
	down := a.Transfer(t.Context(), Target{"out", 443}, Bytes{Size: 4000, Down: true})
	good(t, down.Outcome)
	<-done
	for _, b := range []Bytes{{Size: 3_000_000}, {Size: 3_000_000, HTTP: true}, {Size: 100, HTTP: true, Down: true}} {
		if got := a.Transfer(t.Context(), Target{"lin", 80}, b); !got.OK() || got.Bytes != b.Size {
			t.Errorf("%+v to a web server: %+v", b, got)
		}
	}
	if want := []string{"LAPWING-RANGE up 300000\r\n", "LAPWING-RANGE down 4000\r\n"}; !slices.Equal(heads, want) {
		t.Errorf("it said %q", heads)
	}
	if up.Bytes != 300_000 || got != 300_000 || down.Bytes != 4000 {
		t.Errorf("%d up, %d came, %d down", up.Bytes, got, down.Bytes)
	}
}

func TestProbesAndPings(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	got := a.TCPProbe(t.Context(), Sweep{Hosts: []string{"lin", "10.9.0.12", "10.9.0.200", "nobody"}, Ports: []uint16{21, 22, 23, 81}, Rate: 20})
	var open []string
	for _, p := range got.Found {
		open = append(open, p.address())
	}
	if !got.OK() || got.Tried != 16 || !slices.Equal(open, []string{"lin:21", "lin:22", "10.9.0.12:23"}) || got.Closed != 5 || len(got.Flows) != 12 {
		t.Errorf("%+v", got)
	}
	ping := a.Ping(t.Context(), []string{"lin", "10.9.0.200", "plc"}, Repeat{Times: 2, Every: time.Second})
	if !ping.OK() || ping.Sent != 6 || ping.Answered != 4 || !slices.Equal(ping.Alive, []string{"lin", "plc"}) {
		t.Errorf("%+v", ping)
	}
	var labelled int
	for f := range w.net.Flows() {
		if f.Label == "s1" {
			labelled++
		}
	}
	if labelled < 12 {
		t.Errorf("%d labelled flows", labelled)
	}
}

func TestADayOfBeacons(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	began := w.clk.Now()
	got := a.HTTP(t.Context(), "beacon.http", Target{"lin", 80}, Request{Paths: []string{"/b"}, Repeat: Repeat{Times: 289, Every: 5 * time.Minute, Jitter: 0.1}})
	good(t, got.Outcome)
	if d := got.Ended.Sub(began); d < 23*time.Hour || d > 25*time.Hour || len(got.Pages) != 289 {
		t.Errorf("%d beacons in %v", len(got.Pages), d)
	}
}

func TestEnds(t *testing.T) {
	w := newWorld(t)
	a := testActor(w)
	t.Run("unreachable", func(t *testing.T) {
		l := Login{Credentials: slices.Repeat([]Credential{anna}, 10)}
		if got := a.SSHLogin(t.Context(), Target{"absent", 22}, l); got.Result != Unreachable || got.Tries != maxUnreachable {
			t.Errorf("%+v", got)
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		quick := New(w.red.Dialer(), Config{Clock: w.clk, Timeout: 200 * time.Millisecond})
		if got := quick.SSHLogin(t.Context(), Target{"lin", 80}, Login{Credentials: []Credential{anna}}); got.Result != Broken {
			t.Errorf("%+v", got)
		}
		if got := quick.SQLLogin(t.Context(), Target{"lin", 21}, "mysql", Login{Credentials: []Credential{anna}}); got.Result != Broken {
			t.Errorf("%+v", got)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w.clk.AfterFunc(90*time.Minute, cancel)
		got := a.HTTP(ctx, "beacon.http", Target{"lin", 80}, Request{Repeat: Repeat{Times: 1000, Every: time.Hour}})
		if got.Result != Stopped || len(got.Pages) != 2 {
			t.Errorf("%+v", got)
		}
	})
}

func TestWrongArguments(t *testing.T) {
	d := &counting{}
	a := newActor(d, Config{Clock: clock.System()})
	ctx := t.Context()
	many := make([]string, maxCommands+1)
	for name, o := range map[string]Outcome{
		"a line end in a password": a.FTPLogin(ctx, Target{"lin", 21}, Login{Credentials: []Credential{{"a", "b\r\nDELE x"}}}).Outcome,
		"a line end in a command":  a.TelnetLogin(ctx, Target{"rt", 23}, Login{Credentials: []Credential{anna}, Commands: []string{"a\nb"}}).Outcome,
		"too many commands":        a.SSHLogin(ctx, Target{"lin", 22}, Login{Credentials: []Credential{anna}, Commands: many}).Outcome,
		"a space in a path":        a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Paths: []string{"/a b"}}).Outcome,
		"a relative path":          a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Paths: []string{"a"}}).Outcome,
		"a line end in a header":   a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Headers: map[string]string{"X": "a\r\nb"}}).Outcome,
		"a bad header":             a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Headers: map[string]string{"X:y": "a"}}).Outcome,
		"jitter of two":            a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Repeat: Repeat{Jitter: 2}}).Outcome,
		"a million times":          a.HTTP(ctx, "http.get", Target{"lin", 80}, Request{Repeat: Repeat{Times: 1_000_000}}).Outcome,
		"a mail to nobody":         a.SMTPMail(ctx, Target{"lin", 25}, Mail{From: "a@b"}),
		"a line end in a subject":  a.SMTPMail(ctx, Target{"lin", 25}, Mail{From: "a@b", To: []string{"c@d"}, Subject: "x\r\nBcc: e@f"}),
		"a record type":            a.DNSQuery(ctx, Target{"lin", 53}, Ask{Names: []string{"a"}, Type: "ANY"}).Outcome,
		"a long DNS name":          a.DNSQuery(ctx, Target{"lin", 53}, Ask{Names: []string{strings.Repeat("x", 64)}}).Outcome,
		"a kind of register":       a.ModbusRead(ctx, Target{"plc", 502}, Registers{Kind: "write", Count: 1}).Outcome,
		"a protocol of SQL":        a.SQLLogin(ctx, Target{"lin", 1}, "oracle", Login{Credentials: []Credential{anna}}).Outcome,
		"a protocol of markers":    a.Upload(ctx, Target{"lin", 1}, Marker{Protocol: "tftp", Path: "/x"}).Outcome,
		"a large marker":           a.Upload(ctx, Target{"lin", 1}, Marker{Protocol: "ftp", Path: "/x", Size: maxMarker + 1}).Outcome,
		"no bytes":                 a.Transfer(ctx, Target{"lin", 1}, Bytes{}).Outcome,
		"no objects":               a.SNMPGet(ctx, Target{"rt", 161}, []string{"public"}, nil).Outcome,
	} {
		if o.Result != Wrong || o.Reason == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if n := d.n.Load(); n != 0 {
		t.Errorf("%d connections were opened", n)
	}
}

// none is a dialer that reaches nothing.
type none struct{}

func (none) LookupHost(context.Context, string) ([]netip.Addr, error) { return nil, io.EOF }
func (none) Ping(context.Context, netip.Addr) (time.Duration, error)  { return 0, io.EOF }
func (none) Probe(context.Context, netip.Addr, uint16) (vnet.State, error) {
	return vnet.Unanswered, io.EOF
}

// counting counts connections.
type counting struct {
	none
	n atomic.Int64
}

func (c *counting) DialContext(context.Context, string, string) (net.Conn, error) {
	c.n.Add(1)
	return nil, io.EOF
}

// answering is a dialer whose other end says the same to everybody.
type answering struct {
	none
	said []byte
}

func (d answering) DialContext(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	go func() {
		b.SetDeadline(time.Now().Add(100 * time.Millisecond))
		go io.Copy(io.Discard, b)
		b.Write(d.said)
		b.Close()
	}()
	return a, nil
}

// FuzzServers lets every action meet a server that says anything: it ends, with
// a result, and does not panic.
func FuzzServers(f *testing.F) {
	for _, s := range []string{
		"SSH-2.0-x\r\n", "220 x\r\n331 x\r\n230 x\r\n227 (1,2,3,4,5,6)\r\n150 x\r\n226 x\r\n", "login: Password: # # ", "* OK\r\na1 OK\r\n* 3 EXISTS\r\na2 OK\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", "\x20\x02\x00\x00", "\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0login:",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		a := newActor(answering{said: said}, Config{Clock: clock.System(), Timeout: 50 * time.Millisecond})
		ctx, to := t.Context(), Target{"x", 1}
		l := Login{Credentials: []Credential{anna}, Commands: []string{"id"}, Paths: []string{"/x"}, Share: "x"}
		for _, o := range []Outcome{
			a.SSHLogin(ctx, to, l).Outcome, a.TelnetLogin(ctx, to, l).Outcome, a.FTPLogin(ctx, to, l).Outcome, a.IMAPLogin(ctx, to, l, 2).Outcome,
			a.SMBLogin(ctx, to, l).Outcome, a.LDAPBind(ctx, to, l).Outcome, a.SQLLogin(ctx, to, "mysql", l).Outcome, a.SQLLogin(ctx, to, "postgres", l).Outcome,
			a.SQLLogin(ctx, to, "mssql", l).Outcome, a.HTTP(ctx, "http.get", to, Request{}).Outcome, a.SMTPMail(ctx, to, Mail{From: "a@b", To: []string{"c@d"}}),
			a.RDPProbe(ctx, to, "u").Outcome, a.MQTTConnect(ctx, to, MQTT{Client: "c", Topics: []string{"t"}}).Outcome, a.ModbusRead(ctx, to, Registers{Kind: "coils", Count: 1}).Outcome,
			a.DNSQuery(ctx, to, Ask{Names: []string{"a.b"}}).Outcome, a.SNMPGet(ctx, to, []string{"public"}, []string{"1.3.6.1"}).Outcome,
		} {
			if o.Result == "" || o.Result == Wrong {
				t.Errorf("%+v", o)
			}
		}
	})
}
