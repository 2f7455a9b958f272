package service

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// logged tells whether a line of a server's log begins with text.
func logged(want string) func(event.Event) bool {
	return func(e event.Event) bool { return strings.Contains(text(e, "message"), want) }
}

func TestHTTPS(t *testing.T) {
	b := start(t, "https", HostConfig{Persona: "linux-5"}, Config{})
	c := tls.Client(b.dial(t), &tls.Config{InsecureSkipVerify: true})
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	out, err := io.ReadAll(c)
	if !strings.HasPrefix(string(out), "HTTP/1.1 200 OK") || err != nil {
		t.Errorf("%q %v", out, err)
	}
	if n := c.ConnectionState().PeerCertificates[0].Subject.CommonName; n != "web01.plant.example" {
		t.Errorf("certificate of %q", n)
	}
}

func TestPOP(t *testing.T) {
	b := start(t, "pop3", HostConfig{Persona: "linux-5", Accept: []Credential{{"anna", "pw"}}, Mail: map[string][]Message{"anna": {{From: "b@x", Subject: "s", Body: ".dot\r\n"}}}}, Config{})
	out := b.talk(t, "STAT", "USER anna", "PASS no", "USER anna", "PASS pw", "STAT", "LIST", "RETR 2", "RETR 1", "QUIT")
	for _, want := range []string{"-ERR Unknown", "-ERR [AUTH]", "+OK Logged in.", "+OK 1 ", "-ERR There is no such message.", "\r\n..dot\r\n.\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q misses %q", out, want)
		}
	}
	b.sink.wait(t, "failure", func(e event.Event) bool {
		return e.User == "anna" && e.Outcome == "failure" && e.Dataset == datasetAuth
	})
}

func TestIMAP(t *testing.T) {
	b := start(t, "imap", HostConfig{Persona: "linux-5", Accept: []Credential{{"anna b", `p"w`}}}, Config{})
	out := b.talk(t, "x", "a0 SELECT INBOX", `a1 LOGIN "anna b" wrong`, `a2 LOGIN "anna b" "p\"w"`, "a3 SELECT INBOX", "a4 SEARCH ALL", "a5 FETCH 1:* (RFC822)", "a6 LOGOUT")
	for _, want := range []string{"* BAD", "a0 BAD", "a1 NO [AUTH", "a2 OK", " EXISTS\r\n", "* SEARCH 1 2", "FETCH (RFC822 {", "a6 OK"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q misses %q", out, want)
		}
	}
}

func TestDNS(t *testing.T) {
	b := start(t, "dns", HostConfig{Persona: "linux-5", Name: "dns01"}, Config{Zone: func(n string) []string {
		return map[string][]string{"web01.plant.example": {"10.20.2.10", "2001:db8::10"}}[n]
	}})
	c := b.dial(t)
	for _, tt := range []struct {
		name string
		typ  uint16
		want string
		code int
	}{
		{"WEB01.plant.example", wire.DNSA, "10.20.2.10", 0},
		{"web01.plant.example", wire.DNSAAAA, "2001:db8::10", 0},
		{"x1.servers.softether.net", wire.DNSA, "", wire.DNSNone},
	} {
		q, err := wire.AppendQuestion(wire.Question{ID: 9, Name: tt.name, Type: tt.typ})
		if err != nil {
			t.Fatal(err)
		}
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		var n [2]byte
		io.ReadFull(c, n[:])
		buf := make([]byte, binary.BigEndian.Uint16(n[:]))
		io.ReadFull(c, buf)
		a, err := wire.ParseAnswer(buf)
		if err != nil || a.Code != tt.code || strings.Join(a.Values, ",") != tt.want {
			t.Errorf("%s: %+v %v", tt.name, a, err)
		}
	}
	b.sink.wait(t, "three queries", func(e event.Event) bool { return text(e, "dns.question.name") == "x1.servers.softether.net" })
	if got := judge(t, b.sink.all()); !slices.Contains(got, "DNS Query for a SoftEther Name at the Resolver") {
		t.Errorf("fired: %q", got)
	}
}

func TestDNSOverUDP(t *testing.T) {
	b := start(t, "dns", HostConfig{Persona: "linux-5"}, Config{Zone: func(string) []string { return []string{"10.0.0.1"} }})
	pc, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.ServePacket(t.Context(), pc) }()
	c, err := new(net.Dialer).DialContext(t.Context(), "udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	q, _ := wire.AppendQuestion(wire.Question{ID: 9, Name: "a.b", Type: wire.DNSA})
	c.Write([]byte("junk"))
	c.Write(q)
	buf := make([]byte, 600)
	n, err := c.Read(buf)
	if a, perr := wire.ParseAnswer(buf[:n]); err != nil || perr != nil || len(a.Values) != 1 {
		t.Errorf("%v %v", err, perr)
	}
}

func TestSMBLogon(t *testing.T) {
	b := start(t, "smb", HostConfig{Persona: "windows-server", Name: "fs01", Accept: []Credential{{"Anna", "pw"}}}, Config{})
	login := func(user, password, share string) (status uint32, tree uint32) {
		c := b.dial(t)
		ask := func(m wire.SMB) wire.SMB {
			c.Write(wire.AppendSMB(m))
			r, err := wire.ReadSMB(c)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := ask(wire.SMB{Command: wire.SMBTree, Body: wire.SMBShare(`\\fs01\C$`)}); r.Status != wire.SMBDenied {
			t.Errorf("a share without a logon: %#x", r.Status)
		}
		ask(wire.SMB{Command: wire.SMBNegotiate, Body: wire.SMBOffer([16]byte{})})
		r := ask(wire.SMB{Command: wire.SMBSession, Message: 1, Body: wire.SMBSetup(wire.NTLMNegotiate())})
		if r.Status != wire.SMBMore {
			t.Fatalf("%#x", r.Status)
		}
		token, err := wire.NTLMLogin{User: user, Domain: "PLANT", Station: "WS01", Password: password, Now: time.Now()}.Answer(wire.SMBToken(r))
		if err != nil {
			t.Fatal(err)
		}
		r = ask(wire.SMB{Command: wire.SMBSession, Message: 2, Session: r.Session, Body: wire.SMBSetup(token)})
		if r.Status != wire.SMBOK {
			return r.Status, 0
		}
		r = ask(wire.SMB{Command: wire.SMBTree, Message: 3, Session: r.Session, Body: wire.SMBShare(`\\fs01\` + share)})
		return r.Status, r.Tree
	}
	for _, tt := range []struct {
		user, password, share string
		want                  uint32
	}{{"anna", "pw", "C$", wire.SMBOK}, {"anna", "no", "C$", wire.SMBLogonFailed}, {"bob", "pw", "C$", wire.SMBLogonFailed}, {"anna", "pw", "nothing", wire.SMBNoShare}} {
		if got, _ := login(tt.user, tt.password, tt.share); got != tt.want {
			t.Errorf("%+v: %#x", tt, got)
		}
	}
	var ids []string
	for _, e := range b.sink.all() {
		ids = append(ids, text(e, "EventID")+" "+text(e, "SubStatus"))
	}
	for _, want := range []string{"4624 ", "4625 0xc000006a", "4625 0xc0000064", "5140 "} {
		if !slices.Contains(ids, want) {
			t.Errorf("no record %q: %q", want, ids)
		}
	}
}

func TestLDAPBind(t *testing.T) {
	b := start(t, "ldap", HostConfig{Persona: "linux-5", Accept: []Credential{{"anna", "pw"}}}, Config{})
	c := b.dial(t)
	for i, tt := range []struct {
		m    wire.LDAPMessage
		want int
	}{
		{wire.LDAPMessage{Op: wire.LDAPSearch, DN: "dc=plant"}, wire.LDAPDenied},
		{wire.LDAPMessage{Op: wire.LDAPBind, DN: "cn=anna,dc=plant", Password: "no"}, wire.LDAPInvalid},
		{wire.LDAPMessage{Op: wire.LDAPBind, DN: `PLANT\anna`, Password: "pw"}, wire.LDAPSuccess},
		{wire.LDAPMessage{Op: wire.LDAPBind, DN: "cn=anna,dc=plant", Password: "pw"}, wire.LDAPSuccess},
		{wire.LDAPMessage{Op: wire.LDAPSearch, DN: "dc=plant"}, wire.LDAPSuccess},
	} {
		tt.m.ID = i + 1
		c.Write(wire.AppendLDAP(tt.m))
		if got, err := wire.ReadLDAPResult(c); got != tt.want || err != nil {
			t.Errorf("%+v: %d %v", tt.m, got, err)
		}
	}
}

func TestSQLLogins(t *testing.T) {
	h := HostConfig{Persona: "linux-5", Accept: []Credential{{"app", "pw"}}}
	t.Run("mysql", func(t *testing.T) {
		b := start(t, "mysql", h, Config{})
		for password, want := range map[string]byte{"pw": 0, "no": 0xff} {
			c := b.dial(t)
			g, err := wire.ReadMySQL(c)
			if err != nil {
				t.Fatal(err)
			}
			_, salt, err := wire.ParseMySQLGreeting(g.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.Write(wire.AppendMySQL(wire.MySQL{Seq: 1, Body: wire.AppendMySQLLogin("app", password, salt)}))
			if r, err := wire.ReadMySQL(c); err != nil || r.Body[0] != want {
				t.Errorf("%s: %v %v", password, r, err)
			}
			if want == 0 {
				c.Write(wire.AppendMySQL(wire.MySQL{Body: []byte("\x03select 1")}))
				if r, err := wire.ReadMySQL(c); err != nil || r.Body[0] != 0xff {
					t.Errorf("a query was answered: %v %v", r, err)
				}
			}
		}
		b.sink.wait(t, "denied", logged("Access denied for user 'app'@'127.0.0.1' (using password: YES)"))
	})
	t.Run("postgres", func(t *testing.T) {
		b := start(t, "postgres", h, Config{})
		for password, want := range map[string]byte{"pw": 'R', "no": 'E'} {
			c := b.dial(t)
			c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47})
			var n [1]byte
			io.ReadFull(c, n[:])
			c.Write(wire.AppendPostgres(wire.PostgresHello("app", "plant")))
			m, err := wire.ReadPostgres(c, false)
			if err != nil || n[0] != 'N' || m.Kind != 'R' {
				t.Fatal(m, err)
			}
			c.Write(wire.AppendPostgres(wire.Postgres{Kind: 'p', Body: []byte(wire.PostgresHash("app", password, [4]byte(m.Body[4:8])) + "\x00")}))
			if m, err = wire.ReadPostgres(c, false); err != nil || m.Kind != want {
				t.Errorf("%s: %c %v", password, m.Kind, err)
			}
		}
		b.sink.wait(t, "denied", logged(`password authentication failed for user "app"`))
	})
	t.Run("mssql", func(t *testing.T) {
		h := h
		h.Persona = "windows-server"
		b := start(t, "mssql", h, Config{})
		for password, want := range map[string]bool{"pw": true, "no": false} {
			c := b.dial(t)
			c.Write(wire.AppendTDS(wire.TDSPrelogin, wire.TDSOptions([6]byte{11})))
			if _, p, err := wire.ReadTDS(c); err != nil || len(p) == 0 {
				t.Fatal(err)
			}
			c.Write(wire.AppendTDS(wire.TDSLogin, wire.AppendTDSLogin(wire.TDSCredentials{User: "app", Password: password})))
			_, p, err := wire.ReadTDS(c)
			if ok, _, perr := wire.TDSOutcome(p); ok != want || err != nil || perr != nil {
				t.Errorf("%s: %v %v %v", password, ok, err, perr)
			}
		}
		b.sink.wait(t, "18456", func(e event.Event) bool {
			return text(e, "EventID") == "18456" && strings.Contains(text(e, "Data"), "CLIENT: 127.0.0.1")
		})
	})
}

func TestRDPNegotiation(t *testing.T) {
	b := start(t, "rdp", HostConfig{Persona: "windows-server", Decoy: true}, Config{})
	c := b.dial(t)
	c.Write(wire.AppendRDP(wire.RDP{User: "anna", Asked: true, Protocols: 3}, false))
	if m, err := wire.ReadRDP(c); err != nil || !m.Asked || m.Protocols != 1 {
		t.Errorf("%+v %v", m, err)
	}
	b.sink.wait(t, "client", func(e event.Event) bool { return e.LogType == 14001 && e.User == "anna" })
}

func TestMQTT(t *testing.T) {
	b := start(t, "mqtt", HostConfig{Persona: "plc", Accept: []Credential{{"pump", "pw"}}}, Config{})
	for password, want := range map[string]byte{"pw": 0, "no": 5} {
		c := b.dial(t)
		c.Write(wire.AppendMQTT(wire.MQTTConnectPacket(wire.MQTTLogin{Client: "x", User: "pump", Password: password})))
		p, err := wire.ReadMQTT(c)
		if err != nil || p.Kind != wire.MQTTConnAck || p.Body[1] != want {
			t.Fatalf("%+v %v", p, err)
		}
		if want == 0 {
			c.Write(wire.AppendMQTT(wire.MQTTSubscribePacket("plant/#")))
			if p, err := wire.ReadMQTT(c); err != nil || p.Kind != wire.MQTTSubAck {
				t.Errorf("%+v %v", p, err)
			}
		}
	}
}

func TestModbus(t *testing.T) {
	b := start(t, "modbus", HostConfig{Persona: "plc"}, Config{Banner: "Acme/PLC9/V3"})
	c := b.dial(t)
	ask := func(m wire.Modbus) wire.Modbus {
		c.Write(wire.AppendModbus(m))
		r, err := wire.ReadModbus(c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, two := ask(wire.ModbusRead(wire.ModbusReadHolding, 40, 4)), ask(wire.ModbusRead(wire.ModbusReadHolding, 40, 4))
	if len(one.Data) != 9 || string(one.Data) != string(two.Data) {
		t.Errorf("%v then %v", one, two)
	}
	for _, tt := range []struct {
		name string
		m    wire.Modbus
		code byte
	}{
		{"write", wire.Modbus{Function: 6, Data: []byte{0, 1, 0, 1}}, wire.ModbusIllegal},
		{"past the end", wire.ModbusRead(wire.ModbusReadCoils, 990, 20), wire.ModbusBadAddress},
		{"too many", wire.ModbusRead(wire.ModbusReadHolding, 0, 126), wire.ModbusBadValue},
		{"none", wire.ModbusRead(wire.ModbusReadHolding, 0, 0), wire.ModbusBadValue},
	} {
		if r := ask(tt.m); r.Function != tt.m.Function|0x80 || r.Data[0] != tt.code {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
	if r := ask(wire.Modbus{Function: wire.ModbusIdentity, Data: []byte{14, 1, 0}}); !strings.Contains(string(r.Data), "PLC9") {
		t.Errorf("%q", r.Data)
	}
}

func TestSNMP(t *testing.T) {
	b := start(t, "snmp", HostConfig{Persona: "switch", Name: "sw01"}, Config{Banner: "Switch 24"})
	c := b.dial(t)
	get := func(community string, pdu byte, oid string) wire.SNMP {
		q, err := wire.AppendSNMP(wire.SNMP{Version: 1, Community: community, PDU: pdu, ID: 5, OID: oid})
		if err != nil {
			t.Fatal(err)
		}
		c.Write(q)
		buf := make([]byte, 2000)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.ParseSNMP(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	q, _ := wire.AppendSNMP(wire.SNMP{Community: "private", PDU: wire.SNMPGet, OID: "1.3.6.1.2.1.1.1.0"})
	c.Write(q) // a wrong community is not answered
	if m := get("public", wire.SNMPGet, "1.3.6.1.2.1.1.1.0"); m.Text != "Switch 24" || m.ID != 5 {
		t.Errorf("%+v", m)
	}
	if m := get("public", wire.SNMPNext, "1.3.6.1.2.1.1.1.0"); m.OID != "1.3.6.1.2.1.1.4.0" {
		t.Errorf("%+v", m)
	}
	if m := get("public", wire.SNMPSet, "1.3.6.1.2.1.1.5.0"); m.Status != 4 {
		t.Errorf("%+v", m)
	}
}

func TestSmallOnes(t *testing.T) {
	sip := start(t, "sip", HostConfig{Persona: "linux-5"}, Config{})
	c := sip.dial(t)
	fmt.Fprintf(c, "OPTIONS sip:100@x SIP/2.0\r\nVia: SIP/2.0/TCP a\r\nCall-ID: 7\r\nUser-Agent: marker\r\n\r\n")
	if l, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(l, "SIP/2.0 200 OK") {
		t.Errorf("%q %v", l, err)
	}
	socks := start(t, "socks", HostConfig{Persona: "linux-5"}, Config{})
	c = socks.dial(t)
	c.Write([]byte{5, 1, 0})
	if out, err := io.ReadAll(c); err != nil || string(out) != "\x05\xff" {
		t.Errorf("%q %v", out, err)
	}
	rpc := start(t, "msrpc", HostConfig{Persona: "windows-10"}, Config{})
	c = rpc.dial(t)
	c.Write([]byte{5, 0, 11, 3, 0x10, 0, 0, 0, 20, 0, 0, 0, 7, 0, 0, 0, 1, 2, 3, 4})
	var nak [24]byte
	if _, err := io.ReadFull(c, nak[:]); err != nil || nak[2] != 13 || nak[12] != 7 {
		t.Errorf("%v %v", nak, err)
	}
	banner := start(t, "banner", HostConfig{Persona: "linux-5"}, Config{Banner: "220 hello"})
	if l, err := bufio.NewReader(banner.dial(t)).ReadString('\n'); err != nil || l != "220 hello\r\n" {
		t.Errorf("%q %v", l, err)
	}
}

// TestJunk sends junk to every kind, on a decoy and on an ordinary host: the
// service ends the connection, and a decoy tells of it.
func TestJunk(t *testing.T) {
	junk := [][]byte{[]byte("\x00"), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), []byte("GET / HTTP/1.0\r\n\r\n"), []byte(strings.Repeat("A", 70_000)), {3, 0, 0xff, 0xff, 0, 0, 0, 0}}
	for _, k := range Kinds() {
		if !slices.Contains(k.Transports, "tcp") || k.Name == "ssh" || k.Name == "telnet" {
			continue // those two have the suite of decoys
		}
		for _, decoy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%v", k.Name, decoy), func(t *testing.T) {
				persona := "windows-server"
				b := start(t, k.Name, HostConfig{Persona: persona, Decoy: decoy, Accept: []Credential{{"a", "b"}}}, Config{Limits: Limits{Idle: 200 * time.Millisecond}})
				for _, j := range junk {
					c := b.dial(t)
					c.Write(j)
					if tc, ok := c.(*net.TCPConn); ok {
						tc.CloseWrite()
					}
					io.Copy(io.Discard, c)
				}
				if decoy {
					n := 0
					for range 500 {
						n = 0
						for _, e := range b.sink.all() {
							if e.Action == event.ActionConnectionClosed {
								n++
							}
						}
						if n == len(junk) {
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
					if n != len(junk) {
						t.Errorf("%d of %d connections ended", n, len(junk))
					}
				}
				for _, e := range b.sink.all() {
					if _, err := event.Decode(e.AppendJSON(nil)); err != nil {
						t.Errorf("%v: %.300s", err, e.AppendJSON(nil))
					}
				}
			})
		}
	}
}

// FuzzStream sends bytes to every stream service over a pipe: it must end, and
// say nothing that is no event.
func FuzzStream(f *testing.F) {
	f.Add([]byte("USER a\r\nPASS b\r\nQUIT\r\n"))
	f.Add([]byte("a LOGIN x y\r\na FETCH 1:* X\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n"))
	f.Add(wire.AppendSMB(wire.SMB{Command: wire.SMBSession, Body: wire.SMBSetup(wire.NTLMNegotiate())}))
	f.Add(wire.AppendMQTT(wire.MQTTConnectPacket(wire.MQTTLogin{Client: "c"})))
	f.Add(wire.AppendModbus(wire.ModbusRead(3, 0, 9)))
	f.Add(wire.AppendLDAP(wire.LDAPMessage{ID: 1, Op: wire.LDAPBind, DN: "cn=a", Password: "b"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, k := range kinds {
			if k.stream == nil {
				continue
			}
			sink := &memory{}
			h, err := NewHost(HostConfig{Name: "h", Persona: "windows-server", Clock: sysClock(), Sink: sink, Decoy: len(in)%2 == 0, Accept: []Credential{{"a", "b"}}})
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(k.Name, Config{Host: h})
			if err != nil {
				t.Fatal(err)
			}
			a, b := net.Pipe()
			go func() {
				a.SetDeadline(time.Now().Add(5 * time.Second))
				a.Write(in)
				time.Sleep(time.Millisecond)
				a.Close()
			}()
			go io.Copy(io.Discard, a)
			began := time.Now()
			s.visit(t.Context(), b)
			if d := time.Since(began); d > time.Second {
				t.Errorf("%s took %v for %.100q", k.Name, d, in)
			}
			for _, e := range sink.all() {
				if _, err := event.Decode(e.AppendJSON(nil)); err != nil {
					t.Fatalf("%s: %v: %.300s", k.Name, err, e.AppendJSON(nil))
				}
			}
		}
		for _, k := range kinds {
			if k.packet == nil {
				continue
			}
			h, err := NewHost(HostConfig{Name: "h", Persona: "windows-server", Clock: sysClock(), Sink: &memory{}})
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(k.Name, Config{Host: h})
			if err != nil {
				t.Fatal(err)
			}
			v := &visit{Server: s, ctx: t.Context()}
			if out := v.kind.packet(v, in); len(out) > 8192 {
				t.Errorf("%s answers %d bytes with %d", k.Name, len(in), len(out))
			}
		}
	})
}
