package login

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// told is a Message in words.
func (m *Message) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", m.Service, m.Action)
	for _, f := range []struct{ name, v string }{
		{"user", string(m.User)},
		{"as", string(m.Target)},
		{"ip", string(m.IP)},
		{"port", string(m.Port)},
		{"host", string(m.Host)},
		{"method", string(m.Method)},
		{"reason", m.Reason},
	} {
		if f.v != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.v)
		}
	}
	if m.Count != 1 {
		fmt.Fprintf(&b, " x%d", m.Count)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ program, msg, want string }{
		{"sshd", "Failed password for root from 192.0.2.1 port 5 ssh2", "sshd logon-failed user=root ip=192.0.2.1 port=5 method=password"},
		{"sshd", "Failed password for invalid user admin from 2001:db8::1 port 5 ssh2", "sshd logon-failed user=admin ip=2001:db8::1 port=5 method=password reason=no such user"},
		{"sshd-session", "Failed none for invalid user  from 192.0.2.1 port 5 ssh2", "sshd logon-failed ip=192.0.2.1 port=5 method=none reason=no such user"},
		{"sshd", "Failed keyboard-interactive/pam for bob from 192.0.2.1 port 5 ssh2", "sshd logon-failed user=bob ip=192.0.2.1 port=5 method=keyboard-interactive/pam"},
		{"sshd", "Failed publickey for bob from 192.0.2.1 port 5 ssh2: RSA SHA256:abcdefg", "sshd logon-failed user=bob ip=192.0.2.1 port=5 method=publickey"},
		{"sshd", "Accepted publickey for alice from fe80::1%eth0 port 123 ssh2: ED25519 SHA256:dc50ca64", "sshd logon user=alice ip=fe80::1%eth0 port=123 method=publickey"},
		{"sshd", "Accepted publickey for alice from 192.0.2.1 port 1 ssh2: ED25519-CERT SHA256:aa ID alice@x (serial 1) CA ED25519 SHA256:bb", "sshd logon user=alice ip=192.0.2.1 port=1 method=publickey"},
		{"sshd", "Accepted gssapi-with-mic for bob from 192.0.2.1 port 5 ssh2: bob@EXAMPLE.ORG", "sshd logon user=bob ip=192.0.2.1 port=5 method=gssapi-with-mic"},
		{"sshd", "Accepted password for bob from host.example.org port 5 ssh2", "sshd logon user=bob port=5 host=host.example.org method=password"},
		{"sshd", "message repeated 5 times: [ Failed password for root from 192.0.2.1 port 5 ssh2]", "sshd logon-failed user=root ip=192.0.2.1 port=5 method=password x5"},
		{"sshd", "message repeated 4000 times: [ Failed password for root from 192.0.2.1 port 5 ssh2]", "sshd logon-failed user=root ip=192.0.2.1 port=5 method=password x100"},
		{"sshd", "Invalid user pascal from 192.0.2.1 port 53502", "sshd logon-rejected user=pascal ip=192.0.2.1 port=53502 reason=no such user"},
		{"sshd", "Invalid user pascal from 192.0.2.1", "sshd logon-rejected user=pascal ip=192.0.2.1 reason=no such user"},
		{"sshd", "error: maximum authentication attempts exceeded for invalid user admin from 192.0.2.1 port 5 ssh2 [preauth]", "sshd logon-abandoned user=admin ip=192.0.2.1 port=5 reason=too many attempts"},
		{"sshd", "Connection closed by authenticating user root 192.0.2.1 port 5 [preauth]", "sshd logon-abandoned user=root ip=192.0.2.1 port=5"},
		{"sshd", "Connection reset by invalid user a b 192.0.2.1 port 5 [preauth]", "sshd logon-abandoned user=a b ip=192.0.2.1 port=5"},
		{"sshd", "Connection closed by 192.0.2.1 port 5 [preauth]", "sshd disconnected ip=192.0.2.1 port=5"},
		{"sshd", "Disconnected from user bob 192.0.2.1 port 5", "sshd logoff user=bob ip=192.0.2.1 port=5"},
		{"sshd", "Disconnecting authenticating user root 192.0.2.1 port 5: Too many authentication failures [preauth]", "sshd logon-abandoned user=root ip=192.0.2.1 port=5 reason=too many attempts"},
		{"sshd", "Disconnecting invalid user a 192.0.2.1 port 5: Change of username or service not allowed: (a,ssh-connection) -> (b,ssh-connection) [preauth]", "sshd logon-abandoned user=a ip=192.0.2.1 port=5"},
		{"sshd", "Received disconnect from 192.0.2.1 port 5:11: from 203.0.113.1 port 9: bye [preauth]", "sshd disconnected ip=192.0.2.1 port=5"},
		{"sshd", "User bob from 192.0.2.1 not allowed because not listed in AllowUsers", "sshd logon-rejected user=bob ip=192.0.2.1 reason=not allowed"},
		{"sshd", "User bob not allowed because account is locked", "sshd logon-rejected user=bob reason=account disabled"},
		{"sshd", "ROOT LOGIN REFUSED FROM 192.0.2.1 port 5", "sshd logon-rejected user=root ip=192.0.2.1 port=5 reason=not allowed"},
		{"sshd", "fatal: Access denied for user bob by PAM account configuration [preauth]", "sshd logon-rejected user=bob reason=account disabled"},
		{"sshd", "error: PAM: Authentication failure for illegal user x from 192.0.2.1", "sshd authentication-failed user=x ip=192.0.2.1"},
		{"sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root", "sshd authentication-failed user=root ip=192.0.2.1"},
		{"sshd", "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root", "sshd authentication-failed user=root ip=192.0.2.1 x2"},
		{"sshd", "pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1 user=bob", "sshd authentication-failed user=bob ip=192.0.2.1"},
		{"sshd", "pam_unix(sshd:session): session opened for user bob(uid=1000) by (uid=0)", "sshd session-opened user=bob"},
		{"CRON", "pam_unix(cron:session): session closed for user root", "cron session-closed user=root"},
		{"sshd", "pam_unix(sshd:account): account bob has expired (account expired)", "sshd logon-rejected user=bob reason=account disabled"},
		{"sshd", "pam_faillock(sshd:auth): Consecutive login failures for user bob account temporarily locked", "sshd account-locked user=bob reason=too many attempts"},
		{"passwd", "pam_unix(passwd:chauthtok): password changed for bob", "passwd password-changed user=bob"},
		{"vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=::ffff:192.0.2.1  user=bob", "vsftpd logon-failed user=bob ip=::ffff:192.0.2.1"},
		{"sudo", "  bob : TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/bin/sh -c a ; b", "sudo privilege-used user=bob as=root"},
		{"sudo", "bob : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh", "sudo privilege-failed user=bob as=root x3"},
		{"sudo", "bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh", "sudo privilege-failed user=bob as=root reason=not allowed"},
		{"sudo", "bob : TTY=pts/0 ; PWD=/tmp/x ; USER=nobody ; COMMAND=/bin/true ; USER=root ; COMMAND=/bin/sh", "sudo privilege-used user=bob"},
		{"sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by bob(uid=1000)", "sudo session-opened user=bob as=root"},
		{"su", "(to root) bob on pts/0", "su privilege-used user=bob as=root"},
		{"su", "FAILED SU (to root) bob on pts/0", "su privilege-failed user=bob as=root"},
		{"su", "Successful su for root by bob", "su privilege-used user=bob as=root"},
		{"su", "BAD SU bob to root on /dev/ttyp0", "su privilege-failed user=bob as=root"},
		{"login", "FAILED LOGIN 1 FROM 192.0.2.1 FOR bob, Authentication failure", "login logon-failed user=bob ip=192.0.2.1"},
		{"login", "FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure", "login logon-failed user=root"},
		{"login", "ROOT LOGIN ON tty1", "login logon user=root"},
		{"login", "LOGIN ON pts/0 BY bob FROM 192.0.2.1", "login logon user=bob ip=192.0.2.1"},
		{"systemd-logind", "New session 18 of user dave.", "systemd-logind session-opened user=dave"},
		{"systemd-logind", "New session '2' of user 'dave' with class 'user' and type 'tty'.", "systemd-logind session-opened user=dave"},
		{"dovecot", "imap-login: Login: user=<bob>, method=PLAIN, rip=192.0.2.1, lip=10.0.0.1, mpid=1, TLS, session=<x>", "dovecot logon user=bob ip=192.0.2.1 method=PLAIN"},
		{"dovecot", "imap-login: Disconnected: Connection closed (auth failed, 3 attempts in 9 secs): user=<bob>, method=PLAIN, rip=192.0.2.1, lip=10.0.0.1, TLS, session=<x>", "dovecot logon-failed user=bob ip=192.0.2.1 method=PLAIN x3"},
		{"dovecot", "pop3-login: Aborted login (no auth attempts in 0 secs): user=<>, rip=192.0.2.1, lip=10.0.0.1, session=<x>", "dovecot logon-abandoned ip=192.0.2.1"},
		{"postfix/smtpd", "warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6", "postfix logon-failed ip=192.0.2.1 method=LOGIN"},
		{"postfix/submission/smtpd", "warning: a.example[192.0.2.1]:4711: SASL PLAIN authentication failed: (reason unavailable), sasl_username=bob@x", "postfix logon-failed user=bob@x ip=192.0.2.1 port=4711 method=PLAIN"},
		{"postfix/smtpd", "4A1B2C: client=a.example[192.0.2.1], sasl_method=LOGIN, sasl_username=bob@x", "postfix logon user=bob@x ip=192.0.2.1 method=LOGIN"},
		{"postfix/smtpd", "lost connection after AUTH from unknown[192.0.2.1]", "postfix logon-abandoned ip=192.0.2.1"},
		{"exim", "plain_login authenticator failed for h.example (x) [192.0.2.1]:1234: 535 Incorrect authentication data (set_id=bob)", "exim logon-failed user=bob ip=192.0.2.1 port=1234"},
		{"vsftpd", `[bob] FAIL LOGIN: Client "::ffff:192.0.2.1"`, "vsftpd logon-failed user=bob ip=::ffff:192.0.2.1"},
		{"vsftpd", `[pid 2] [ftp] OK LOGIN: Client "192.0.2.1", anon password "x@y"`, "vsftpd logon user=ftp ip=192.0.2.1"},
		{"proftpd", "srv.example (h.example[192.0.2.1]) - USER bob (Login failed): Incorrect password.", "proftpd logon-failed user=bob ip=192.0.2.1"},
		{"proftpd", "srv.example (h.example[192.0.2.1]) - USER x: no such user found from h.example [192.0.2.1] to 10.0.0.1:21", "proftpd logon-failed user=x ip=192.0.2.1 reason=no such user"},
		{"proftpd", "srv.example (h.example[192.0.2.1]) - USER bob: Login successful.", "proftpd logon user=bob ip=192.0.2.1"},
		{"mysqld", "2024-01-02T03:04:05Z 12 [Note] [MY-010926] [Server] Access denied for user 'bob'@'192.0.2.1' (using password: YES)", "mysql logon-failed user=bob ip=192.0.2.1"},
		{"mariadbd", "2024-01-02  3:04:05 12 [Warning] Access denied for user 'root'@'localhost' (using password: NO)", "mysql logon-failed user=root host=localhost"},
		{"postgres", `[5-1] 2024-01-02 03:04:05 UTC [7] bob@db FATAL:  password authentication failed for user "bob"`, "postgresql logon-failed user=bob"},
		{"postgres", `2024-01-02 03:04:05 UTC [7]: user=bob,db=x,app=[unknown],client=192.0.2.1 FATAL:  password authentication failed for user "bob"`, "postgresql logon-failed user=bob ip=192.0.2.1"},
		{"postgres", `FATAL:  no pg_hba.conf entry for host "192.0.2.1", user "bob", database "x", SSL off`, "postgresql logon-rejected user=bob ip=192.0.2.1 reason=not allowed"},
		{"nginx", `2024/01/02 03:04:05 [error] 1#1: *1 user "bob": password mismatch, client: 192.0.2.1, server: x, request: "GET / HTTP/1.1", host: "x"`, "nginx logon-failed user=bob ip=192.0.2.1"},
		{"nginx", `*1 user "x" was not found in "/etc/nginx/.htpasswd", client: 192.0.2.1, server: x, request: "GET /, client: 203.0.113.1, HTTP/1.1"`, "nginx logon-failed user=x ip=192.0.2.1 reason=no such user"},
		{"apache2", `[auth_basic:error] [pid 1:tid 2] [client 192.0.2.1:5678] AH01617: user bob: authentication failure for "/secret": Password Mismatch`, "apache logon-failed user=bob ip=192.0.2.1 port=5678"},
		{"apache2", `[auth_basic:error] [pid 1:tid 2] [client 2001:db8::1:5678] AH01618: user bob not found: /secret`, "apache logon-failed user=bob ip=2001:db8::1 port=5678 reason=no such user"},
		{"apache2", `[error] [client 2001:db8::1] user bob not found: /secret`, "apache logon-failed user=bob ip=2001:db8::1 reason=no such user"},
		{"dropbear", "Bad password attempt for 'root' from 192.0.2.1:5555", "dropbear logon-failed user=root ip=192.0.2.1 port=5555"},
		{"dropbear", "Login attempt for nonexistent user from 192.0.2.1:5555", "dropbear logon-failed ip=192.0.2.1 port=5555 reason=no such user"},
		{"dropbear", "Pubkey auth succeeded for 'bob' with ssh-ed25519 key SHA256:x from 192.0.2.1:5555", "dropbear logon user=bob ip=192.0.2.1 port=5555 method=publickey"},
	} {
		t.Run(tt.msg[:min(len(tt.msg), 60)], func(t *testing.T) {
			var m Message
			if !Parse([]byte(tt.program), []byte(tt.msg), &m) {
				t.Fatal("not understood")
			}
			if diff := cmp.Diff(tt.want, m.words()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothing(t *testing.T) {
	for _, tt := range []struct{ program, msg string }{
		{"sshd", "Server listening on 0.0.0.0 port 22."},
		{"sshd", ""},
		{"CRON", "(root) CMD (Failed password for root from 192.0.2.1 port 5 ssh2)"},
		{"kernel", "Failed password for root from 192.0.2.1 port 5 ssh2"},
		{"sudo", "unable to resolve host x : y ; TTY=pts/0"},
		{"dovecot", "imap(bob): Logged out in=1 out=2"},
		{"postfix/smtpd", "connect from unknown[192.0.2.1]"},
		{"postfix/smtpd", "4A1B2C: client=a.example[192.0.2.1]"},
		{"nginx", `*1 open() "/x" failed (2: No such file or directory), client: 192.0.2.1, server: x`},
		{"mysqld", "ready for connections"},
	} {
		var m Message
		if Parse([]byte(tt.program), []byte(tt.msg), &m) {
			t.Errorf("%s: %q is understood as %s", tt.program, tt.msg, m.words())
		}
	}
}

// writers are the ways in which programs write a name that a stranger chose
// (%U), with the address that they write themselves.
var writers = []struct {
	program, text string
	less          string // what the name cannot hold with this program
	unsure        bool   // it may name no address at all
}{
	{"sshd", "Failed password for invalid user %U from 192.0.2.77 port 4242 ssh2", "", false},
	{"sshd", "Failed password for %U from 192.0.2.77 port 4242 ssh2", "", false},
	{"sshd", "Failed publickey for invalid user %U from 192.0.2.77 port 4242 ssh2: RSA SHA256:0123456789", "", false},
	{"sshd", "Failed publickey for invalid user %U from 192.0.2.77 port 4242 ssh2: RSA-CERT SHA256:01 ID %U (serial 1) CA RSA SHA256:02", "", true},
	{"sshd", "Invalid user %U from 192.0.2.77 port 4242", "", false},
	{"sshd", "Invalid user %U from 192.0.2.77", "", false},
	{"sshd", "error: maximum authentication attempts exceeded for invalid user %U from 192.0.2.77 port 4242 ssh2 [preauth]", "", false},
	{"sshd", "Connection closed by invalid user %U 192.0.2.77 port 4242 [preauth]", "", false},
	{"sshd", "Disconnected from authenticating user %U 192.0.2.77 port 4242 [preauth]", "", false},
	{"sshd", "Disconnecting invalid user %U 192.0.2.77 port 4242: Too many authentication failures [preauth]", "", false},
	{"sshd", "Disconnecting invalid user %U 192.0.2.77 port 4242: Change of username or service not allowed: (%U,ssh-connection) -> (%U,ssh-connection) [preauth]", "", true},
	{"sshd", "error: PAM: Authentication failure for illegal user %U from 192.0.2.77", "", false},
	{"sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.77  user=%U", "", false},
	{"vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=%U rhost=192.0.2.77  user=%U", "", true},
	{"dovecot", "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<%U>, method=PLAIN, rip=192.0.2.77, lip=10.0.0.1, session=<x>", "", false},
	{"postfix/smtpd", "warning: unknown[192.0.2.77]: SASL LOGIN authentication failed: x, sasl_username=%U", "", false},
	{"exim", "login authenticator failed for (x) [192.0.2.77]:4242: 535 Incorrect authentication data (set_id=%U)", "", false},
	{"vsftpd", `[%U] FAIL LOGIN: Client "192.0.2.77"`, "", true},
	{"proftpd", "srv (h[192.0.2.77]) - USER %U: no such user found from h [192.0.2.77] to 10.0.0.1:21", "", false},
	{"mysqld", "Access denied for user '%U'@'192.0.2.77' (using password: YES)", "", false},
	{"postgres", `user=%U,db=x,client=192.0.2.77 FATAL:  password authentication failed for user "%U"`, "", true},
	{"nginx", `*1 user "%U": password mismatch, client: 192.0.2.77, server: x, request: "GET /%U HTTP/1.1"`, ":", false},
	{"apache2", `[client 192.0.2.77:4242] AH01618: user %U not found: /x`, "", false},
	{"dropbear", "Bad password attempt for '%U' from 192.0.2.77:4242", "", false},
	{"login", "FAILED LOGIN 1 FROM 192.0.2.77 FOR %U, Authentication failure", "", false},
}

// forged are names that look like the end of a line, among them each writer's
// own.
func forged() []string {
	out := []string{
		"root from 203.0.113.1 port 22 ssh2", "x from 203.0.113.1 port 22 ssh2: RSA SHA256:aa", "x from 203.0.113.1", "x rhost=203.0.113.1  user=y", " rhost=203.0.113.1 ",
		"x>, method=PLAIN, rip=203.0.113.1, lip=1.1.1.1", `x] FAIL LOGIN: Client "203.0.113.1"`, "x'@'203.0.113.1' (using password: YES)", "a 203.0.113.1 port 5: b", "x\" was not found in \"y",
		"x [203.0.113.1]: 535 Incorrect", "x client=203.0.113.1 FATAL:  password authentication failed for user \"y", "message repeated 3 times: [ a]", "", " ", "]", "x\x00y", "\xff\xfe",
		", client: 203.0.113.1, server: z", "] [client 203.0.113.1] user", "CA RSA SHA256:zz", "x ssh2", "x ssh2: ", "port 5", "x [preauth]",
	}
	for _, w := range writers {
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(w.text, "%U", "y"), "192.0.2.77", "203.0.113.1"))
	}
	return out
}

// honest fails when a line names another address than the one that its program
// wrote.
func honest(t *testing.T, i int, name string) {
	t.Helper()
	w := writers[i]
	if strings.ContainsAny(name, w.less) {
		return
	}
	line := strings.ReplaceAll(w.text, "%U", name)
	var m Message
	if !Parse([]byte(w.program), []byte(line), &m) {
		return
	}
	if want := netip.MustParseAddr("192.0.2.77"); m.Addr != want && (m.Addr.IsValid() || !w.unsure) {
		t.Errorf("%s: %q\nsays %s", w.program, line, m.words())
	}
	if p := string(m.Port); p != "" && p != "4242" {
		t.Errorf("%s: %q\nhas port %s", w.program, line, p)
	}
	if m.Action == Logon || m.Action == PrivilegeUsed || m.Count != 1 {
		t.Errorf("%s: %q\nis %s", w.program, line, m.words())
	}
}

func TestForged(t *testing.T) {
	for i, w := range writers {
		for _, name := range append(forged(), "plain") {
			honest(t, i, name)
		}
		var m Message
		understood := Parse([]byte(w.program), []byte(strings.ReplaceAll(w.text, "%U", "plain")), &m)
		twice := w.unsure && strings.Count(w.text, "%U") > 1
		if !understood || m.Addr != netip.MustParseAddr("192.0.2.77") && !twice {
			t.Errorf("%s: a plain name: %v %s", w.text, understood, m.words())
		}
	}
}

// FuzzName: whatever the name is, the address is the one that the program wrote.
func FuzzName(f *testing.F) {
	for i := range writers {
		for _, name := range forged() {
			f.Add(uint8(i), name)
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, name string) {
		if strings.ContainsAny(name, "\n") {
			return
		}
		honest(t, int(i)%len(writers), name)
	})
}

// FuzzParse: any text is read to an end, and what is told is part of it.
func FuzzParse(f *testing.F) {
	for _, w := range writers {
		f.Add(w.program, w.text)
	}
	f.Fuzz(func(t *testing.T, program, text string) {
		var m Message
		if !Parse([]byte(program), []byte(text), &m) {
			return
		}
		if m.Count < 1 || m.Count > MaxCount {
			t.Errorf("stands for %d", m.Count)
		}
		for _, b := range [][]byte{m.User, m.Target, m.IP, m.Port, m.Host} {
			if !strings.Contains(text, string(b)) && string(b) != "root" {
				t.Errorf("%q is not in %q", b, text)
			}
		}
		if m.Addr.IsValid() != (m.IP != nil) {
			t.Errorf("an address without a text, or the other way: %v %q", m.Addr, m.IP)
		}
	})
}

func BenchmarkSshd(b *testing.B) {
	program, msg := []byte("sshd"), []byte("Failed password for invalid user admin from 198.18.20.138 port 51234 ssh2")
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		Parse(program, msg, &m)
	}
}
