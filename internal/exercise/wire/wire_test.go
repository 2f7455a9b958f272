package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLDAP(t *testing.T) {
	for _, m := range []LDAPMessage{
		{ID: 1, Op: LDAPBind, DN: "cn=admin,dc=plant,dc=example", Password: "pw", Simple: true},
		{ID: 300, Op: LDAPBind, Simple: true},
		{ID: 70000, Op: LDAPSearch, DN: "dc=plant"},
		{ID: 2, Op: LDAPSearch, DN: "dc=plant", Class: "user"},
		{ID: 3, Op: LDAPUnbind},
	} {
		same(t, must[LDAPMessage](t)(ReadLDAP(bytes.NewReader(AppendLDAP(m)))), m)
	}
	same(t, must[int](t)(ReadLDAPResult(bytes.NewReader(LDAPReply(LDAPMessage{ID: 1, Op: LDAPBind}, LDAPInvalid, "no")))), LDAPInvalid)
}

func TestSNMP(t *testing.T) {
	m := SNMP{Version: 1, Community: "public", PDU: SNMPGet, ID: 12345678, OID: "1.3.6.1.4.1.9.9.300.1", Text: "x"}
	same(t, must[SNMP](t)(ParseSNMP(must[[]byte](t)(AppendSNMP(m)))), m)
	for _, oid := range []string{"", "1", "9.9", "1.3.x", "1.40", "1.3.-1"} {
		if _, err := AppendSNMP(SNMP{PDU: SNMPGet, OID: oid}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", oid, err)
		}
	}
}

func TestDNS(t *testing.T) {
	q := Question{ID: 7, Name: "www.plant.example", Type: DNSA, RD: true}
	same(t, must[Question](t)(ParseQuestion(must[[]byte](t)(AppendQuestion(q)))), q)
	for _, a := range []Answer{
		{Question: q, Values: []string{"10.0.0.1", "10.0.0.2"}},
		{Question: q, Code: DNSNone},
		{Question: Question{ID: 1, Name: "a.b", Type: DNSAAAA}, Values: []string{"2001:db8::1"}},
		{Question: Question{ID: 1, Name: "a.b", Type: DNSTXT}, Values: []string{"hello"}},
	} {
		same(t, must[Answer](t)(ParseAnswer(must[[]byte](t)(AppendAnswer(a)))), a)
	}
	for _, n := range []string{"", "..", strings.Repeat("x", 64), strings.Repeat("abc.", 70) + "x"} {
		if _, err := AppendQuestion(Question{Name: n}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", n, err)
		}
	}
}

func TestMQTT(t *testing.T) {
	for _, l := range []MQTTLogin{{Client: "pump"}, {Client: "c", User: "u", Password: "p"}} {
		p := must[Packet](t)(ReadMQTT(bytes.NewReader(AppendMQTT(MQTTConnectPacket(l)))))
		same(t, must[MQTTLogin](t)(ParseMQTTConnect(p.Body)), l)
	}
	p := must[Packet](t)(ReadMQTT(bytes.NewReader(AppendMQTT(MQTTSubscribePacket(strings.Repeat("plant/", 50))))))
	same(t, must[string](t)(MQTTTopic(p)), strings.Repeat("plant/", 50))
}

func TestModbus(t *testing.T) {
	m := must[Modbus](t)(ReadModbus(bytes.NewReader(AppendModbus(ModbusRead(ModbusReadHolding, 40, 10)))))
	addr, count, err := ModbusRange(m)
	if err != nil || addr != 40 || count != 10 || m.Function != ModbusReadHolding {
		t.Errorf("%+v %d %d %v", m, addr, count, err)
	}
}

func TestNTLM(t *testing.T) {
	challenge := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	msg := must[[]byte](t)(NTLMLogin{User: "anna", Domain: "PLANT", Station: "WS01", Password: "päss", Now: time.Unix(1e9, 0)}.Answer(NTLMChallenge(challenge, "PLANT", "DC01")))
	a := must[NTLMAuth](t)(ParseNTLMAuth(SPNEGOReply(1, msg)))
	if a.User != "anna" || a.Domain != "PLANT" || a.Station != "WS01" || !a.Knows(challenge, "päss") || a.Knows(challenge, "pass") || a.Knows([8]byte{}, "päss") {
		t.Errorf("%+v", a)
	}
}

// TestNTLMVector is the example of MS-NLMP 4.2.4.
func TestNTLMVector(t *testing.T) {
	blob := append([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0, 0, 0, 0}, 2, 0, 12, 0)
	blob = append(blob, utf16le("Domain")...)
	blob = append(blob, 1, 0, 12, 0)
	blob = append(append(blob, utf16le("Server")...), 0, 0, 0, 0, 0, 0, 0, 0)
	a := NTLMAuth{User: "User", Domain: "Domain", Response: []byte{0x68, 0xcd, 0x0a, 0xb8, 0x51, 0xe5, 0x1c, 0x96, 0xaa, 0xbc, 0x92, 0x7b, 0xeb, 0xef, 0x6a, 0x1c}}
	same(t, a.Key("Password"), []byte{0x8d, 0xe4, 0x0c, 0xca, 0xdb, 0xc1, 0x4a, 0x82, 0xf1, 0x5c, 0xb0, 0xad, 0x0d, 0xe9, 0x5c, 0xa3})
	got := ntlmProof([8]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, "User", "Domain", "Password", blob)
	same(t, got, []byte{0x68, 0xcd, 0x0a, 0xb8, 0x51, 0xe5, 0x1c, 0x96, 0xaa, 0xbc, 0x92, 0x7b, 0xeb, 0xef, 0x6a, 0x1c})
}

func TestSMB(t *testing.T) {
	m := SMB{Command: SMBSession, Message: 3, Session: 9, Tree: 2, Status: SMBMore, Reply: true, Body: SMBSetupReply([]byte("token"))}
	got := must[SMB](t)(ReadSMB(bytes.NewReader(AppendSMB(m))))
	same(t, got, m)
	same(t, string(SMBToken(got)), "token")
	same(t, string(SMBToken(SMB{Body: SMBSetup([]byte("token"))})), "token")
	same(t, SMBPath(SMB{Body: SMBShare(`\\fs01\C$`)}), `\\fs01\C$`)
	same(t, SMBDialect(SMB{Body: SMBOffer([16]byte{})}), 0x0210)
}

func TestMySQL(t *testing.T) {
	var salt [20]byte
	copy(salt[:], "abcdefghijklmnopqrst")
	version, got, err := ParseMySQLGreeting(MySQLGreeting("8.0.36", 7, salt))
	if err != nil || version != "8.0.36" || got != salt {
		t.Errorf("%q %q %v", version, got, err)
	}
	l := must[MySQLLogin](t)(ParseMySQLLogin(AppendMySQLLogin("root", "pw", salt)))
	if l.User != "root" || !l.Knows("pw", salt) || l.Knows("px", salt) || l.Knows("", salt) {
		t.Errorf("%+v", l)
	}
	same(t, must[MySQL](t)(ReadMySQL(bytes.NewReader(AppendMySQL(MySQL{2, []byte("abc")})))), MySQL{2, []byte("abc")})
}

func TestPostgres(t *testing.T) {
	m := must[Postgres](t)(ReadPostgres(bytes.NewReader(AppendPostgres(PostgresHello("anna", "plant"))), true))
	code, user, db, err := PostgresStart(m)
	if code != PostgresVersion || user != "anna" || db != "plant" || err != nil {
		t.Errorf("%d %q %q %v", code, user, db, err)
	}
	same(t, PostgresHash("u", "p", [4]byte{1, 2, 3, 4}) == PostgresHash("u", "q", [4]byte{1, 2, 3, 4}), false)
}

func TestTDS(t *testing.T) {
	kind, b, err := ReadTDS(bytes.NewReader(AppendTDS(TDSLogin, AppendTDSLogin(TDSCredentials{"WS01", "sa", "S3cret!", "app", "master"}))))
	if kind != TDSLogin || err != nil {
		t.Fatal(kind, err)
	}
	same(t, must[TDSCredentials](t)(ParseTDSLogin(b)), TDSCredentials{"WS01", "sa", "S3cret!", "app", "master"})
	same(t, must[string](t)(TDSVersion(TDSOptions([6]byte{15, 0, 7, 208}))), "15.0.2000")
	if ok, n, err := TDSOutcome(TDSRefusal(18456, "Login failed", "DB01")); ok || n != 18456 || err != nil {
		t.Error(ok, n, err)
	}
	if ok, _, err := TDSOutcome(TDSWelcome("Microsoft SQL Server", [4]byte{15})); !ok || err != nil {
		t.Error(ok, err)
	}
}

func TestSQLAnswers(t *testing.T) {
	rows := []string{"one", "", strings.Repeat("long ", 100)}
	for _, tt := range []struct {
		name string
		read func() ([]string, bool, error)
	}{
		{"mysql", func() ([]string, bool, error) {
			return ReadMySQLAnswer(bytes.NewReader(AppendMySQLAnswer(0, SQLRows{"name", rows})))
		}},
		{"postgres", func() ([]string, bool, error) {
			return ReadPostgresAnswer(bytes.NewReader(AppendPostgresAnswer(SQLRows{"name", rows})))
		}},
		{"mssql", func() ([]string, bool, error) { return ParseTDSAnswer(TDSAnswer(SQLRows{"name", rows})) }},
	} {
		got, ok, err := tt.read()
		if !cmp.Equal(got, rows) || !ok || err != nil {
			t.Errorf("%s: %q %v %v", tt.name, got, ok, err)
		}
	}
	refused := [][]byte{AppendMySQL(MySQL{1, MySQLError(1142, "42000", "no")}), append(AppendPostgres(PostgresError("42501", "no")), 'Z', 0, 0, 0, 5, 'I')}
	for i, read := range []func(io.Reader) ([]string, bool, error){ReadMySQLAnswer, ReadPostgresAnswer} {
		if rows, ok, err := read(bytes.NewReader(refused[i])); len(rows) > 0 || ok || err != nil {
			t.Errorf("refusal %d: %q %v %v", i, rows, ok, err)
		}
	}
	for _, q := range SQLQuestions() {
		for _, p := range []string{ProtocolMySQL, ProtocolPostgres, ProtocolMSSQL} {
			if got := SQLAsked(p, " "+strings.ToUpper(SQLText(p, q))+" ;"); got != q {
				t.Errorf("%s: %s is heard as %q", p, q, got)
			}
		}
	}
	same(t, TDSText(TDSAsk("select 1")), "select 1")
	same(t, SQLAsked(ProtocolMySQL, "drop table customers"), "")
}

func TestRDP(t *testing.T) {
	m := RDP{User: "anna", Protocols: 3, Asked: true}
	same(t, must[RDP](t)(ReadRDP(bytes.NewReader(AppendRDP(m, false)))), m)
	same(t, must[RDP](t)(ReadRDP(bytes.NewReader(AppendRDP(RDP{Asked: true, Protocols: 1}, true)))), RDP{Protocols: 1, Asked: true})
}

// readers are all that read foreign bytes, by number for the fuzz test.
func readers(b []byte) []func() error {
	r := func() io.Reader { return bytes.NewReader(b) }
	return []func() error{
		func() error { _, err := ReadLDAP(r()); return err },
		func() error { _, err := ReadLDAPResult(r()); return err },
		func() error { _, _, _, err := ReadLDAPFound(r()); return err },
		func() error { _, _, err := ReadMySQLAnswer(r()); return err },
		func() error { _, _, err := ReadPostgresAnswer(r()); return err },
		func() error { _, _, err := ParseTDSAnswer(b); return err },
		func() error { TDSText(b); return nil },
		func() error { _, err := ParseSNMP(b); return err },
		func() error { _, err := ParseQuestion(b); return err },
		func() error { _, err := ParseAnswer(b); return err },
		func() error { _, err := ReadMQTT(r()); return err },
		func() error { _, err := ParseMQTTConnect(b); return err },
		func() error { _, err := MQTTTopic(Packet{MQTTSubscribe, b}); return err },
		func() error { _, err := ReadModbus(r()); return err },
		func() error { _, err := ParseNTLMAuth(b); return err },
		func() error { _, err := NTLMLogin{User: "u"}.Answer(b); return err },
		func() error {
			m, err := ReadSMB(r())
			SMBToken(m)
			SMBPath(m)
			SMBDialect(m)
			return err
		},
		func() error { _, err := ReadMySQL(r()); return err },
		func() error { _, _, err := ParseMySQLGreeting(b); return err },
		func() error { _, err := ParseMySQLLogin(b); return err },
		func() error { _, err := ReadPostgres(r(), true); return err },
		func() error { _, err := ReadPostgres(r(), false); return err },
		func() error { _, _, _, err := PostgresStart(Postgres{0, b}); return err },
		func() error { _, _, err := ReadTDS(r()); return err },
		func() error { _, err := ParseTDSLogin(b); return err },
		func() error { _, err := TDSVersion(b); return err },
		func() error { _, _, err := TDSOutcome(b); return err },
		func() error { _, err := ReadRDP(r()); return err },
	}
}

// FuzzReaders holds every reader to: no panic, and an error that says that the
// message is malformed or cut short. What reads whole is written the same again
// where there is a writer.
func FuzzReaders(f *testing.F) {
	q, _ := AppendQuestion(Question{Name: "a.example", Type: DNSA})
	a, _ := AppendAnswer(Answer{Question: Question{Name: "a.example", Type: DNSTXT}, Values: []string{"x"}})
	s, _ := AppendSNMP(SNMP{Community: "public", PDU: SNMPGet, OID: "1.3.6.1.2.1.1.1.0"})
	n, _ := NTLMLogin{User: "u"}.Answer(NTLMChallenge([8]byte{}, "D", "C"))
	seeds := [][]byte{
		AppendLDAP(LDAPMessage{ID: 1, Op: LDAPBind, DN: "cn=x"}), LDAPReply(LDAPMessage{ID: 1, Op: LDAPBind}, 0, ""), q, a, s, n, NTLMChallenge([8]byte{}, "D", "C"),
		AppendMQTT(MQTTConnectPacket(MQTTLogin{"c", "u", "p"})), MQTTConnectPacket(MQTTLogin{"c", "u", "p"}).Body, AppendModbus(ModbusRead(3, 0, 4)),
		AppendSMB(SMB{Command: SMBNegotiate, Body: SMBOffer([16]byte{})}), AppendSMB(SMB{Command: SMBTree, Body: SMBShare("x")}), MySQLGreeting("8", 1, [20]byte{}),
		AppendMySQLAnswer(0, SQLRows{"a", []string{"b"}}), AppendPostgresAnswer(SQLRows{"a", []string{"b"}}), TDSAnswer(SQLRows{"a", []string{"b"}}), TDSAsk("x"),
		LDAPFound(LDAPMessage{ID: 1}, "CN=x", [2]string{"a", "b"}), AppendLDAP(LDAPMessage{ID: 1, Op: LDAPSearch, DN: "dc=x", Class: "user"}),
		AppendMySQLLogin("u", "p", [20]byte{}), AppendPostgres(PostgresHello("u", "d")), AppendTDSLogin(TDSCredentials{User: "sa"}), AppendTDS(TDSPrelogin, TDSOptions([6]byte{})), AppendRDP(RDP{User: "u", Asked: true}, false),
	}
	for _, b := range seeds {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, read := range readers(b) {
			if err := read(); err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("reader %d: %v", i, err)
			}
		}
		if q, err := ParseQuestion(b); err == nil {
			if w, err := AppendQuestion(q); err == nil {
				again, err := ParseQuestion(w)
				if err != nil || again != q {
					t.Errorf("%+v, then %+v: %v", q, again, err)
				}
			}
		}
		if m, err := ParseSNMP(b); err == nil {
			if w, err := AppendSNMP(m); err == nil {
				if again, err := ParseSNMP(w); err != nil || again != m {
					t.Errorf("%+v, then %+v: %v", m, again, err)
				}
			}
		}
		if m, err := ReadModbus(bytes.NewReader(b)); err == nil {
			again, err := ReadModbus(bytes.NewReader(AppendModbus(m)))
			if err != nil || !cmp.Equal(again, m) {
				t.Errorf("%+v, then %+v: %v", m, again, err)
			}
		}
	})
}
