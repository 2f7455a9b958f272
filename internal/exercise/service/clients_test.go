package service

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// TestCurl lets a client of other people meet the services.
func TestCurl(t *testing.T) {
	curl := sharedtest.Program(t, "curl")
	accept := []Credential{{"anna", "pw"}}
	files := []File{{"/srv/plan.txt", "the plan\n", ""}}
	for _, tt := range []struct {
		kind string
		args []string // {} is the address
		want string
	}{
		{"http", []string{"http://{}/news"}, "canteen"},
		{"https", []string{"-k", "https://{}/news"}, "canteen"},
		{"ftp", []string{"-u", "anna:pw", "ftp://{}/srv/plan.txt"}, "the plan"},
		{"ftp", []string{"-u", "anna:pw", "ftp://{}/srv/"}, "plan.txt"},
		{"ftp", []string{"-u", "anna:no", "ftp://{}/srv/"}, "exit status 67"},
		{"imap", []string{"-u", "anna:pw", "imap://{}/INBOX;MAILINDEX=1"}, "Subject: "},
		{"pop3", []string{"-u", "anna:pw", "pop3://{}/1"}, "Subject: "},
		{"smtp", []string{"--mail-from", "a@b.example", "--mail-rcpt", "anna@plant.example", "-T", "/dev/null", "smtp://{}/x"}, "exit status 0"},
		{"ldap", []string{"-u", "cn=anna,dc=plant:pw", "ldap://{}/dc=plant?cn?sub"}, "exit status 0"},
		{"ldap", []string{"-u", "cn=anna,dc=plant:no", "ldap://{}/dc=plant?cn?sub"}, "exit status 67"},
		{"mqtt", []string{"-u", "anna:pw", "-d", "marker", "mqtt://{}/plant"}, "exit status 0"},
		{"mqtt", []string{"-u", "anna:no", "-d", "marker", "mqtt://{}/plant"}, "exit status 8"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			b := start(t, tt.kind, HostConfig{Persona: "linux-5", Accept: accept, Files: files}, Config{})
			args := []string{"-sS", "--max-time", "10"}
			for _, a := range tt.args {
				args = append(args, strings.ReplaceAll(a, "{}", b.addr))
			}
			out, err := exec.CommandContext(t.Context(), curl, args...).CombinedOutput()
			status := "exit status 0"
			if err != nil {
				status = err.Error()
			}
			if said := string(out) + status; !strings.Contains(said, tt.want) {
				t.Errorf("curl %q: %q misses %q", args, said, tt.want)
			}
		})
	}
}

func TestPsql(t *testing.T) {
	psql := sharedtest.Program(t, "psql")
	b := start(t, "postgres", HostConfig{Persona: "linux-5", Accept: []Credential{{"app", "pw"}}}, Config{})
	host, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]string{"pw": "permission denied", "no": `password authentication failed for user "app"`} {
		c := exec.CommandContext(t.Context(), psql, "-h", host, "-p", port, "-U", "app", "-d", "plant", "-c", "select 1")
		c.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=10")
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %q %v", password, out, err)
		}
	}
}

// TestClients lets the usual client of each protocol meet its service.
func TestClients(t *testing.T) {
	accept := []Credential{{"anna", "pw"}}
	zone := func(n string) []string { return map[string][]string{"web01.plant.example": {"10.0.0.1"}}[n] }
	for _, tt := range []struct {
		name, kind string
		cmd        []string // {h} and {p} are the address
		env        string
		want       string
	}{
		{"smbclient", "smb", []string{"smbclient", "-p", "{p}", "-U", "anna%pw", "-m", "SMB2", "--option=client ipc signing=off", "//{h}/srv", "-c", "exit"}, "", "exit status 0"},
		{"smbclient refused", "smb", []string{"smbclient", "-p", "{p}", "-U", "anna%no", "-m", "SMB2", "//{h}/srv", "-c", "exit"}, "", "NT_STATUS_LOGON_FAILURE"},
		{"smbclient no share", "smb", []string{"smbclient", "-p", "{p}", "-U", "anna%pw", "-m", "SMB2", "//{h}/none", "-c", "exit"}, "", "NT_STATUS_BAD_NETWORK_NAME"},
		{"snmpget", "snmp", []string{"snmpget", "-v2c", "-c", "public", "-On", "{h}:{p}", "1.3.6.1.2.1.1.5.0"}, "", `"web01"`},
		{"snmpwalk", "snmp", []string{"snmpwalk", "-v1", "-c", "public", "-On", "{h}:{p}", "1.3.6.1.2.1.1"}, "", "Building 1"},
		{"mysql", "mysql", []string{"mysql", "-h", "{h}", "-P", "{p}", "-u", "anna", "--skip-ssl", "-e", "select 1"}, "MYSQL_PWD=pw", "ERROR 1142"},
		{"mysql refused", "mysql", []string{"mysql", "-h", "{h}", "-P", "{p}", "-u", "anna", "--skip-ssl", "-e", "select 1"}, "MYSQL_PWD=no", "ERROR 1045 (28000)"},
		{"mysql rows", "mysql", []string{"mysql", "-h", "{h}", "-P", "{p}", "-u", "anna", "--skip-ssl", "-N", "-e", "show databases"}, "MYSQL_PWD=pw", "information_schema\nmysql\nstock\nworks\nexit status 0"},
		{"psql rows", "postgres", []string{"psql", "-h", "{h}", "-p", "{p}", "-U", "anna", "-d", "plant", "-Atc", "select usename from pg_user"}, "PGPASSWORD=pw", "postgres\nanna\nexit status 0"},
		{"curl pop3", "pop3", []string{"curl", "-s", "-u", "anna:pw", "pop3://{h}:{p}/1"}, "", "Subject: "},
		{"curl ldap", "ldap", []string{"curl", "-s", "-u", "cn=anna,dc=plant:pw", "ldap://{h}:{p}/dc=plant?cn?sub?(objectClass=user)"}, "", "CN=bert,CN=Users"},
		{"dig", "dns", []string{"dig", "+tcp", "+short", "-p", "{p}", "@{h}", "web01.plant.example"}, "", "10.0.0.1"},
		{"mosquitto_sub", "mqtt", []string{"mosquitto_sub", "-h", "{h}", "-p", "{p}", "-u", "anna", "-P", "pw", "-t", "plant/#", "-W", "1", "-d"}, "", "Subscribed (mid: 1): 0"}, //nolint:misspell // its name
		{"mosquitto_sub refused", "mqtt", []string{"mosquitto_sub", "-h", "{h}", "-p", "{p}", "-u", "anna", "-P", "no", "-t", "plant/#", "-W", "1"}, "", "not authorised"},       //nolint:misspell // its name
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			program := sharedtest.Program(t, tt.cmd[0])
			b := start(t, tt.kind, HostConfig{Persona: "linux-5", Accept: accept, Files: []File{{"/srv/plan.txt", "x", ""}}, People: []string{"bert"}}, Config{Zone: zone})
			host, port, err := net.SplitHostPort(b.addr)
			if err != nil {
				t.Fatal(err)
			}
			var args []string
			for _, a := range tt.cmd[1:] {
				args = append(args, strings.NewReplacer("{h}", host, "{p}", port).Replace(a))
			}
			c := exec.CommandContext(t.Context(), program, args...)
			c.Env = append(os.Environ(), tt.env, "HOME="+t.TempDir())
			out, err := c.CombinedOutput()
			status := "exit status 0"
			if err != nil {
				status = err.Error()
			}
			if said := string(out) + status; !strings.Contains(said, tt.want) {
				t.Errorf("%q: %q misses %q", tt.cmd, said, tt.want)
			}
		})
	}
}
