package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func target() decoytest.Target {
	return decoytest.Target{Name: "postgres", Persona: "debian-server", LogType: LogConnection, New: func(_ testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy {
		return New(Config{Door: door, Domain: p.Domain, Seed: 11})
	}}
}

func TestSuite(t *testing.T) { decoytest.Run(t, target()) }

var admitted = decoytest.Options{Policy: access.Policy{Accept: []access.Credential{{User: "postgres", Password: "s3cret"}}}}

// TestPsql runs the real client. What it shows is what Debian 12's server showed it, where texts are literal.
func TestPsql(t *testing.T) {
	psql := sharedtest.Program(t, "psql")
	b := target().Start(t, admitted)
	host, port, _ := net.SplitHostPort(b.Addr)
	run := func(db, password, sql string) string {
		c := exec.CommandContext(t.Context(), psql, "-X", "-A", "-t", "-h", host, "-p", port, "-U", "postgres", "-d", db, "-v", "VERBOSITY=verbose", "-c", sql)
		c.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=60")
		out, _ := c.CombinedOutput()
		return string(out)
	}
	for _, tt := range []struct{ db, sql, want string }{
		{"postgres", "SELECT version()", banner + "\n"},
		{"shop", "SELECT count(*) FROM users", "5\n"},
		{"shop", `\dt`, "public|customers|table|postgres\npublic|orders|table|postgres\npublic|settings|table|postgres\npublic|users|table|postgres\n"},
		{"postgres", `\l`, "postgres|postgres|UTF8|en_US.UTF-8|en_US.UTF-8||libc|\nshop|postgres|"},
		{"postgres", `\du`, "postgres|Superuser, Create role, Create DB, Replication, Bypass RLS|{}\nshop||{}\n"},
		{"postgres", "SELEC 1", "ERROR:  42601: syntax error at or near \"SELEC\"\nLINE 1: SELEC 1\n        ^\nLOCATION:  scanner_yyerror, scan.l:1188\n"},
		{"postgres", "SELECT * FROM nosuch", "ERROR:  42P01: relation \"nosuch\" does not exist\nLINE 1: SELECT * FROM nosuch\n                      ^\nLOCATION:  parserOpenTable, parse_relation.c:1392\n"},
		{"postgres", "SELECT nosuch", "ERROR:  42703: column \"nosuch\" does not exist\nLINE 1: SELECT nosuch\n               ^\nLOCATION:  errorMissingColumn, parse_relation.c:3665\n"},
		{"postgres", "SHOW nosuch", "ERROR:  42704: unrecognized configuration parameter \"nosuch\"\nLOCATION:  find_option, guc.c:5766\n"},
		{"postgres", "SELECT pg_read_file('/nosuch')", "ERROR:  58P01: could not open file \"/nosuch\" for reading: No such file or directory\nLOCATION:  read_binary_file, genfile.c:121\n"},
		{"postgres", "SELECT 1 1", "syntax error at or near \"1\"\nLINE 1: SELECT 1 1\n                 ^\n"},
		{"postgres", "DROP DATABASE nosuch", "ERROR:  3D000: database \"nosuch\" does not exist\nLOCATION:  dropdb, dbcommands.c:1548\n"},
		{"postgres", "CREATE TABLE a(b text);COPY a FROM PROGRAM 'id';SELECT * FROM a;COPY a FROM PROGRAM 'exit 3'", "CREATE TABLE\nCOPY 1\nuid=106(postgres) gid=114(postgres) groups=114(postgres)\nERROR:  38000: program \"exit 3\" failed\nDETAIL:  child process exited with exit code 3\nLOCATION:  ClosePipeFromProgram, copyfrom.c:1622\n"},
		{"postgres", "CREATE TABLE a(b int)", "ERROR:  42P07: relation \"a\" already exists\n"}, // he comes back to what he left
		{"postgres", "CREATE FUNCTION f(int) RETURNS int AS '/tmp/x.so','f' LANGUAGE C STRICT", "ERROR:  58P01: could not access file \"/tmp/x.so\": No such file or directory\n"},
		{"postgres", "BEGIN; INSERT INTO a VALUES ('x'); DELETE FROM a; COMMIT", "BEGIN\nINSERT 0 1\nDELETE 2\nCOMMIT\n"},
		{"nosuch", "SELECT 1", "FATAL:  database \"nosuch\" does not exist\n"},
	} {
		if got := run(tt.db, "s3cret", tt.sql); !strings.Contains(got, tt.want) {
			t.Errorf("%s\n got %q\nwant %q", tt.sql, got, tt.want)
		}
	}
	if got := run("postgres", "wrong", "SELECT 1"); !strings.Contains(got, `FATAL:  password authentication failed for user "postgres"`) {
		t.Errorf("%q", got)
	}
	b.Stop()
	commands := b.Rec.Events(event.ActionCommandExecuted)
	if !slices.ContainsFunc(commands, func(e event.Event) bool { return e.CommandLine == "id" }) {
		t.Errorf("commands %+v", commands)
	}
	for _, e := range b.Rec.Events("") {
		for _, f := range e.Extra {
			if f.Name != record.PasswordField && strings.Contains(f.Value.Text(), "s3cret") {
				t.Errorf("%s holds a password", f.Name)
			}
		}
	}
	if n := len(b.Rec.Events(event.ActionQueryExecuted)); n < 20 {
		t.Errorf("%d statements were recorded", n)
	}
}

// TestFirstMessages holds what Debian 12's server answers to these bytes.
func TestFirstMessages(t *testing.T) {
	b := target().Start(t, admitted)
	for in, want := range map[string]string{
		"\x00\x00\x00\x09\x00\x02\x00\x00\x00": "EFATAL:  unsupported frontend protocol 2.0: server supports 3.0 to 3.0\n\x00",
		"\x00\x00\x00\x09\x00\x04\x00\x00\x00": "E\x00\x00\x00\x83SFATAL\x00VFATAL\x00C0A000\x00Munsupported frontend protocol 4.0: server supports 3.0 to 3.0\x00Fpostmaster.c\x00L2220\x00RProcessStartupPacket\x00\x00",
		"\x00\x00\x00\x09\x00\x03\x00\x05\x00": "v\x00\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x00E\x00\x00\x00ySFATAL\x00VFATAL\x00C28000\x00Mno PostgreSQL user name specified in startup packet\x00Fpostmaster.c\x00L2349\x00RProcessStartupPacket\x00\x00",
		"\x00\x00\x00\x08\x04\xd2\x16\x2f":     "N",
		"GET / HTTP/1.1\r\n\r\n":               "",
	} {
		c := b.Dial(t)
		io.WriteString(c, in)
		c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); err != nil && want != "" || string(got) != want {
			t.Errorf("%q\n got %q, %v\nwant %q", in, got, err, want)
		}
	}
}

// TestExtended: prepared statements, as drivers use them.
func TestExtended(t *testing.T) {
	b := target().Start(t, admitted)
	c := b.Dial(t)
	f := pgproto3.NewFrontend(c, c)
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: 196608, Parameters: map[string]string{"user": "postgres", "database": "shop"}})
	flush(t, f)
	if _, ok := receive(t, f).(*pgproto3.AuthenticationCleartextPassword); !ok {
		t.Fatal("no password is asked for")
	}
	f.Send(&pgproto3.PasswordMessage{Password: "s3cret"})
	flush(t, f)
	for {
		if _, ok := receive(t, f).(*pgproto3.ReadyForQuery); ok {
			break
		}
	}
	f.Send(&pgproto3.Parse{Query: "SELECT name FROM customers WHERE id = $1"})
	f.Send(&pgproto3.Describe{ObjectType: 'S'})
	f.Send(&pgproto3.Bind{Parameters: [][]byte{binary.BigEndian.AppendUint32(nil, 1)}, ParameterFormatCodes: []int16{1}})
	f.Send(&pgproto3.Execute{})
	f.Send(&pgproto3.Sync{})
	flush(t, f)
	var got []string
	for {
		m := receive(t, f)
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			break
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			got = append(got, "row of "+string(m.Values[0][:1]))
		case *pgproto3.CommandComplete:
			got = append(got, string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			t.Fatal(m.Message)
		case *pgproto3.RowDescription:
			got = append(got, string(m.Fields[0].Name))
		}
	}
	if len(got) != 3 || got[0] != "name" || got[2] != "SELECT 1" {
		t.Errorf("%q", got)
	}
}

func flush(t *testing.T, f *pgproto3.Frontend) {
	t.Helper()
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, f *pgproto3.Frontend) pgproto3.BackendMessage {
	t.Helper()
	m, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// FuzzSession: whatever comes before and after a login, the decoy ends with its visitor.
func FuzzSession(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x0dSELECT 1\x00"))
	f.Add([]byte("P\x00\x00\x00\x10\x00SELECT 1\x00\x00\x00B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04"))
	f.Add([]byte("Q\x00\x00\x00\x28CREATE TABLE a(b text);COPY a FROM STDIN\x00d\x00\x00\x00\x06x\nc\x00\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := target().Start(t, admitted)
		c := b.Dial(t)
		start := []byte("\x00\x03\x00\x00user\x00postgres\x00\x00")
		c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(start)+4)), start...))
		c.Write([]byte("p\x00\x00\x00\x0bs3cret\x00"))
		go io.Copy(io.Discard, c)
		c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		io.Copy(c, bytes.NewReader(data))
		c.Close()
		b.Stop()
		for _, e := range b.Rec.Events(event.ActionConnectionClosed) {
			if strings.Contains(e.Reason, "internal error") {
				t.Error(e.Reason)
			}
		}
	})
}
