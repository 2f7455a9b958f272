package ldap

import (
	"bufio"
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func target() decoytest.Target {
	return decoytest.Target{Name: "ldap", Persona: "debian-server", LogType: LogConnection, New: func(_ testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy {
		return New(Config{Door: door, Persona: p})
	}}
}

func TestSuite(t *testing.T) { decoytest.Run(t, target()) }

// TestLDAPSearch runs the real client.
func TestLDAPSearch(t *testing.T) {
	search := sharedtest.Program(t, "ldapsearch")
	b := target().Start(t, decoytest.Options{Policy: access.Policy{Accept: []access.Credential{{User: "svc-backup", Password: "pw"}}}})
	base := baseOf(b.Persona.Domain)
	run := func(args ...string) (string, int) {
		out, err := exec.CommandContext(t.Context(), search, append([]string{"-x", "-LLL", "-H", "ldap://" + b.Addr}, args...)...).CombinedOutput()
		code := 0
		if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // it is not wrapped
			code = e.ExitCode()
		}
		return string(out), code
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
		code int
	}{
		{"root", []string{"-s", "base", "-b", "", "namingContexts"}, "namingContexts: " + base, 0},
		{"root, operational", []string{"-s", "base", "-b", "", "+"}, "supportedLDAPVersion: 3", 0},
		{"people", []string{"-b", "ou=people," + base, "(&(objectClass=posixAccount)(uid=svc-*))", "uid"}, "uid: svc-scan", 0},
		{"not and or", []string{"-b", base, "(|(!(objectClass=*))(cn=staff))", "gidNumber"}, "gidNumber: 5000", 0},
		{"no such base", []string{"-b", "ou=none," + base}, "Matched DN: " + base, 32},
		{"admitted", []string{"-D", "uid=svc-backup,ou=people," + base, "-w", "pw", "-b", base, "-s", "base", "o"}, "o: ", 0},
		{"refused", []string{"-D", "cn=admin," + base, "-w", "s3cret", "-b", base}, "Invalid credentials (49)", 49},
		{"size limit", []string{"-z", "1", "-b", base}, "Size limit exceeded (4)", 4},
		{"StartTLS", []string{"-ZZ", "-b", base}, "unsupported extended operation", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, code := run(tt.args...)
			if !strings.Contains(got, tt.want) || code != tt.code {
				t.Errorf("exit %d, %q", code, got)
			}
		})
	}
	logins := b.Wait(t, event.ActionLogin, 2)
	if logins[0].Outcome != "success" || logins[1].User != "admin" {
		t.Errorf("%+v", logins)
	}
	b.Stop()
	var asked []string
	for _, e := range b.Rec.Events("") {
		for _, f := range e.Extra {
			if f.Name == record.QueryField {
				asked = append(asked, f.Value.Text())
			}
			if f.Name != record.PasswordField && strings.Contains(f.Value.Text(), "s3cret") {
				t.Errorf("%s holds a password", f.Name)
			}
		}
	}
	if want := "(&(objectClass=posixAccount)(uid=svc-*))"; !strings.Contains(strings.Join(asked, "\n"), want) {
		t.Errorf("%q is not in %q", want, asked)
	}
}

func FuzzMessages(f *testing.F) {
	whole, bind := envelope(1, opBind)
	bind.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(3), ""))
	bind.AppendChild(octets("cn=admin,dc=x"))
	bind.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "pw", ""))
	whole.AppendChild(bind)
	f.Add(whole.Bytes())
	f.Add([]byte("0%\x02\x01\x02c \x04\x00\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass0\x00"))
	p, err := persona.Generate("debian-server", 11, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	d := newDirectory(p)
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			m, err := readMessage(in)
			if err != nil {
				return
			}
			if m.op != opSearch || len(m.p.Children) < 8 {
				continue
			}
			filterText(m.p.Children[6], maxDepth)
			found, code, _ := d.find(m.text(0), m.number(1), m.p.Children[6])
			if code != success && len(found) > 0 {
				t.Errorf("code %d with %d entries", code, len(found))
			}
		}
	})
}
