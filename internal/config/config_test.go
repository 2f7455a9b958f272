package config

import (
	"fmt"
	"strings"
	"testing"
)

var templates = []string{"busybox-router", "debian-server"}

const minimal = `
hosts:
  - name: files
    persona: debian-server
    login: {accept: [{user: root, password: admin}]}
    decoys:
      - {type: ssh, listen: "127.0.0.1:2222"}
limits: {connections: {per_source: 2000, total: 20000}}
journal: {limit: 64MiB}
console: {listen: "127.0.0.1:9443"}
`

func TestParse(t *testing.T) {
	c, err := Parse("f", []byte(minimal), templates)
	if err != nil {
		t.Fatal(err)
	}
	if c.Limits.Connections.PerSource != 2000 || c.Journal.Limit != 64<<20 || c.Hosts[0].Downloads != "serve" || c.Implied {
		t.Errorf("got %+v", c)
	}
}

func TestEmptyFileImpliesHosts(t *testing.T) {
	c, err := Parse("f", nil, templates)
	if err != nil || !c.Implied || len(c.Hosts) != 2 {
		t.Fatalf("got %+v, %v", c, err)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct{ name, from, to, want string }{
		{"persona", "debian-server", "debian", `f:4: unknown persona "debian" (use one of: busybox-router, debian-server)`},
		{"type", "type: ssh", "type: shh", `f:7: unknown word "shh" (use one of: ssh, telnet, http, https, ldap, mysql, postgres, redis)`},
		{"listen", `"127.0.0.1:2222"`, `"2222"`, `f:7: "2222" is not an address with a port (write "127.0.0.1:2222" or "[::]:22")`},
		{"size", "64MiB", "64 apples", `f:9: "64 apples" is not a size; write 64KiB, 32MiB or 1GiB`},
		{"key", "login:", "logon:", `f:5: unknown key "logon" (remove it, or look for a typing error)`},
		{"telnet on a server", "type: ssh", "type: telnet", `f:7: a telnet decoy speaks as BusyBox does, which "debian-server" would not (put it on a host with the persona busybox-router)`},
		{"ssh on a router", "persona: debian-server", "persona: busybox-router", `f:7: an ssh decoy speaks as OpenSSH does`},
		{"startups", `"127.0.0.1:2222"}`, `"127.0.0.1:2222", max_startups: "10:300"}`, `f:7: max_startups "10:300": write begin:rate:full`},
		{"grace", `"127.0.0.1:2222"}`, `"127.0.0.1:2222", login_grace: 2h}`, `f:7: 2h0m0s is outside 1s to 1h0m0s`},
		{"a token without an id", "login: {", "login: {tokens: [{user: a, password: b}], ", `f:5: token id "" (use 1 to 40 lower-case`},
		{"a token without a password", "login: {", "login: {tokens: [{user: a, id: x}], ", `f:5: a token without user or password`},
		{"a token of any password", "login: {", "login: {tokens: [{user: a, password: '*', id: x}], ", `f:5: a token that any password would be`},
		{"a token twice", "login: {", "login: {tokens: [{user: a, password: b, id: x}, {user: a, password: b, id: y}], ", `f:5: this user and password are a token already`},
		{"a token that is accepted", "login: {", "login: {tokens: [{user: root, password: admin, id: x}], ", `f:5: this user and password stand under accept, too (write admit: true`},
		{"a token of a closed door", "login: {accept: [{user: root, password: admin}]}", "login: {none: true, tokens: [{user: root, password: admin, id: x, admit: true}]}", `f:5: none: true contradicts admit: true`},
		{"limit", "2000,", "0,", "f:8: connection limits must be at least 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(strings.Replace(minimal, tt.from, tt.to, 1)), templates)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := Parse("f", []byte("hosts:\n  - nam: x\n    persona: y\nretention: {raw: 1s}\n"), templates)
	for _, want := range []string{`"nam"`, "host name", `persona "y"`, "no decoys", "1s is outside"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, templates)
		if err == nil && len(c.Hosts) == 0 {
			t.Fatal("a configuration without hosts was taken")
		}
	})
}

func TestPasswordsAreNotShown(t *testing.T) {
	c, err := Parse("f", []byte(strings.Replace(minimal, "login: {", "login: {tokens: [{user: backup, password: planted, id: share, admit: true}], ", 1)), templates)
	if err != nil {
		t.Fatal(err)
	}
	l := c.Hosts[0].Login
	if got := l.Tokens[0]; got != (Token{"backup", "planted", "share", true}) {
		t.Errorf("read %q as %q", got.ID, string(got.Password))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(verb, l); strings.Contains(s, "planted") || strings.Contains(s, "admin") || strings.Count(s, "[secret]") != 2 {
			t.Errorf("%s shows %s", verb, s)
		}
	}
}

func TestSources(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"fine", "{name: auth, type: file, path: /var/log/auth.log}", ""},
		{"named by its type", "{type: file, paths: [/a, /b/*.log]}", ""},
		{"type", "{type: fille, path: /a}", `f:13: source type "fille" (use one of: file, journald, netflow, syslog, webhook)`},
		{"syslog", "{type: syslog, listen: '127.0.0.1:5514'}", ""},
		{"no address", "{type: syslog}", `f:13: a source that listens needs an address`},
		{"address", "{type: netflow, listen: '2055'}", `f:13: "2055" is not an address with a port`},
		{"port of a decoy", "{type: syslog, listen: '127.0.0.1:2222'}", `f:13: 127.0.0.1:2222 is taken by another part`},
		{"two of one port", "{name: a, type: syslog, listen: '127.0.0.1:5514'}\n  - {type: netflow, listen: '127.0.0.1:5514'}", `f:14: 127.0.0.1:5514 is taken`},
		{"tls without a key", "{type: syslog, listen: '127.0.0.1:6514', transport: [tls], cert: /c}", `f:13: TLS needs a certificate and its key`},
		{"a key without tls", "{type: syslog, listen: '127.0.0.1:6514', cert: /c, key: /k}", `f:13: a certificate without TLS`},
		{"no token", "{type: webhook, listen: '127.0.0.1:8088'}", `f:13: a webhook without a token`},
		{"no path", "{type: file}", `f:13: a source of files without a path (write path: /var/log/auth.log)`},
		{"key", "{type: file, path: /a, listen: '127.0.0.1:1'}", `f:13: "listen" means nothing for a source of type file (it knows: path, paths, from)`},
		{"from", "{type: file, path: /a, from: middle}", `f:13: unknown word "middle" (use one of: end, start)`},
		{"format", "{type: file, path: /a, format: klingon}", `f:13: unknown word "klingon" (use one of: syslog`},
		{"name", "{type: file, path: /a, name: 'A b'}", `f:13: source name "A b"`},
		{"twice", "{type: file, path: /a}\n  - {type: file, path: /b}", `f:14: source "file" stands twice`},
		{"silence", "{type: file, path: /a, silence: 1s}", `f:13: 1s is outside 1m0s to`},
		{"unknown key", "{type: file, pth: /a}", `f:13: unknown key "pth"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", []byte(minimal+"# a line\nsources:\n  - "+tt.yaml+"\n"), templates)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
