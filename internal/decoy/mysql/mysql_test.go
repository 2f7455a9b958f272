package mysql

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func target() decoytest.Target {
	return decoytest.Target{Name: "mysql", Persona: "debian-server", LogType: LogConnection, New: func(_ testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy {
		return New(Config{Door: door, Domain: p.Domain, Seed: 11})
	}}
}

func TestSuite(t *testing.T) { decoytest.Run(t, target()) }

var admitted = decoytest.Options{Policy: access.Policy{Accept: []access.Credential{{User: "root", Password: "s3cret"}}}}

// TestClient runs the real client.
func TestClient(t *testing.T) {
	client := sharedtest.Program(t, "mysql")
	b := target().Start(t, admitted)
	host, port, _ := net.SplitHostPort(b.Addr)
	run := func(password, db, sql string) string {
		args := []string{"--no-defaults", "-h", host, "-P", port, "-u", "root", "--password=" + password, "-N", "-B", "-e", sql}
		if db != "" {
			args = append(args, db)
		}
		out, _ := exec.CommandContext(t.Context(), client, args...).CombinedOutput()
		return string(out)
	}
	for _, tt := range []struct{ db, sql, want string }{
		{"", "SELECT @@version, VERSION()", version + "\t" + version + "\n"},
		{"", "SHOW DATABASES", "information_schema\nmysql\nperformance_schema\nshop\nsys\n"},
		{"shop", "SHOW TABLES", "customers\norders\nsettings\nusers\n"},
		{"shop", "SELECT COUNT(*) FROM users", "5\n"},
		{"", "SELECT username FROM shop.users WHERE role='admin'", "admin\n"},
		{"shop", "SELECT USER(), DATABASE()", "root@127.0.0.1\tshop\n"},
		{"", "SELECT * FROM users", "ERROR 1046 (3D000) at line 1: No database selected\n"},
		{"shop", "SELECT * FROM nosuch", "ERROR 1146 (42S02) at line 1: Table 'shop.nosuch' doesn't exist\n"},
		{"shop", "SELECT nosuch FROM users", "ERROR 1054 (42S22) at line 1: Unknown column 'nosuch' in 'field list'\n"},
		{"", "SELEC 1", "ERROR 1064 (42000) at line 1: You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'SELEC 1' at line 1\n"},
		{"", "SELECT LOAD_FILE('/etc/hostname')", b.Persona.Hostname + `\n` + "\n"},
		{"", "SELECT 'MARKER-shell' INTO OUTFILE '/var/www/html/x.php'", ""},
		{"shop", "CREATE TABLE t (a int); INSERT INTO t VALUES (1),(2); SELECT SUM(a) FROM t", "3\n"},
		{"shop", "SELECT a FROM t LIMIT 1", "1\n"}, // he comes back to what he left
		{"", "CREATE FUNCTION sys_exec RETURNS INTEGER SONAME 'udf.so'", "ERROR 1126 (HY000) at line 1: Can't open shared library 'udf.so'"},
		{"nosuch", "SELECT 1", "ERROR 1049 (42000): Unknown database 'nosuch'\n"},
		{"", "SHOW VARIABLES LIKE 'secure_file%'", "secure_file_priv\t\n"},
	} {
		if got := run("s3cret", tt.db, tt.sql); !strings.Contains(got, tt.want) {
			t.Errorf("%s\n got %q\nwant %q", tt.sql, got, tt.want)
		}
	}
	if got := run("wrong", "", "SELECT 1"); !strings.Contains(got, "ERROR 1045 (28000): Access denied for user 'root'@'127.0.0.1' (using password: YES)") {
		t.Errorf("%q", got)
	}
	file := b.Wait(t, event.ActionFileCaptured, 1)[0]
	if got := string(b.Rec.File(file.SHA256)); got != "MARKER-shell\n" || file.Path != "/var/www/html/x.php" {
		t.Errorf("captured %s: %q", file.Path, got)
	}
	b.Stop()
	for _, e := range b.Rec.Events("") {
		for _, f := range e.Extra {
			if f.Name != record.PasswordField && strings.Contains(f.Value.Text(), "s3cret") {
				t.Errorf("%s holds a password", f.Name)
			}
		}
	}
	if n := len(b.Rec.Events(event.ActionQueryExecuted)); n < 17 {
		t.Errorf("%d statements were recorded", n)
	}
}

func FuzzAnswer(f *testing.F) {
	b := binary.LittleEndian.AppendUint32(nil, ours)
	b = append(b, make([]byte, 28)...)
	b = append(b, "root\x00\x03abcshop\x00mysql_native_password\x00\x08\x03_os\x03lin"...)
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := readAnswer(data)
		if err == nil && len(a.user)+len(a.database)+len(a.plugin) > len(data) {
			t.Errorf("%+v out of %d bytes", a, len(data))
		}
		w := &wire{rw: struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(data), io.Discard}}
		for {
			p, err := w.read(maxHello)
			if err != nil {
				return
			}
			if len(p) > len(data) {
				t.Fatalf("%d bytes out of %d", len(p), len(data))
			}
		}
	})
}
