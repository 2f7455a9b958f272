package textlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// fields renders a record: name=value, joined.
func fields(rec *sigma.Record) string {
	var out []string
	for n, v := range rec.All() {
		out = append(out, fmt.Sprintf("%s=%s", n, v.Text))
	}
	return strings.Join(out, " ")
}

func TestLine(t *testing.T) {
	for _, tt := range []struct{ name, format, line, as, want string }{
		{
			"rfc 3164", Syslog, "Feb 12 14:10:21 sd-126005 sshd[16378]: Invalid user pascal from 192.0.2.1 port 53502", Syslog,
			"hostname=sd-126005 program=sshd pid=16378 message=Invalid user pascal from 192.0.2.1 port 53502 user=pascal outcome=failure src_ip=192.0.2.1 src_port=53502 " +
				"event.category=authentication event.action=logon-rejected event.outcome=failure event.reason=no such user service.name=sshd user.name=pascal source.ip=192.0.2.1 source.port=53502 lapwing.net=192.0.2.1/32 host.name=sd-126005 process.pid=16378",
		},
		{
			"a user named like the text", Syslog, "<38>Feb  2 14:10:21 h sshd[1]: Failed password for invalid user a from b from 192.0.2.1 port 5 ssh2", Syslog,
			"facility=auth severity=info hostname=h program=sshd pid=1 message=Failed password for invalid user a from b from 192.0.2.1 port 5 ssh2 user=a from b outcome=failure src_ip=192.0.2.1 src_port=5 " +
				"event.category=authentication event.action=logon-failed event.outcome=failure event.reason=no such user service.name=sshd user.name=a from b source.ip=192.0.2.1 source.port=5 lapwing.auth.method=password lapwing.net=192.0.2.1/32 host.name=h process.pid=1",
		},
		{"iso time", Syslog, "2024-01-02T03:04:05.5+01:00 h prog: text", Syslog, "hostname=h program=prog message=text"},
		{
			"rfc 5424", Syslog, `<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [x@1 a="]\""] An event`, Syslog,
			"facility=local4 severity=notice hostname=mymachine.example.com program=evntslog msgid=ID47 message=An event",
		},
		{
			"sudo", Syslog, "Feb 12 14:10:21 h sudo:   bob : TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/bin/sh -c a ; b", Syslog,
			"hostname=h program=sudo message=  bob : TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/bin/sh -c a ; b user=bob outcome=success " +
				"event.category=iam event.action=privilege-used event.outcome=success service.name=sudo user.name=bob user.target.name=root host.name=h",
		},
		{
			"bind", Syslog, "Nov 13 10:59:46 k named[2]: client @0x7f 192.0.2.9#3076 (example.com): query: example.com IN ANY + (1.1.1.1)", Syslog,
			"hostname=k program=named pid=2 message=client @0x7f 192.0.2.9#3076 (example.com): query: example.com IN ANY + (1.1.1.1) query=example.com record_type=ANY src_ip=192.0.2.9",
		},
		{
			"dnsmasq", Syslog, "Nov 13 10:59:46 k dnsmasq[2]: query[A] www.example.org from 192.0.2.3", Syslog,
			"hostname=k program=dnsmasq pid=2 message=query[A] www.example.org from 192.0.2.3 query=www.example.org record_type=A src_ip=192.0.2.3",
		},
		{
			"bind's own file, ISO time", Syslog, "2024-01-05T10:11:12.123Z queries: info: client @0x7f 192.0.2.9#3076 (example.com): query: example.com IN ANY + (1.1.1.1)", Syslog,
			"program=queries message=info: client @0x7f 192.0.2.9#3076 (example.com): query: example.com IN ANY + (1.1.1.1) query=example.com record_type=ANY src_ip=192.0.2.9",
		},
		{
			"unbound's own file", DNS, "[1704449472] unbound[9:0] info: 192.0.2.9 example.com. TXT IN", DNS,
			"message=[1704449472] unbound[9:0] info: 192.0.2.9 example.com. TXT IN query=example.com record_type=TXT src_ip=192.0.2.9",
		},
		{
			"Windows DNS, a question", DNS, "1/5/2024 10:11:12 PM 0B8C PACKET  000001F5C6C0A0B0 UDP Rcv 192.0.2.9       0004   Q [0001   D   NOERROR] A      (3)w)w(7)example(0)", DNS,
			"message=1/5/2024 10:11:12 PM 0B8C PACKET  000001F5C6C0A0B0 UDP Rcv 192.0.2.9       0004   Q [0001   D   NOERROR] A      (3)w)w(7)example(0) query=w)w.example record_type=A src_ip=192.0.2.9",
		},
		{
			"Windows DNS, an answer", DNS, "05.01.2024 22:11:12 0B8C PACKET  000001F5C6C0A0B0 UDP Snd 192.0.2.9       0004 R Q [8081   DR  NOERROR] A      (3)www(7)example(0)", DNS,
			"message=05.01.2024 22:11:12 0B8C PACKET  000001F5C6C0A0B0 UDP Snd 192.0.2.9       0004 R Q [8081   DR  NOERROR] A      (3)www(7)example(0)",
		},
		{
			"combined", Access, `192.0.2.1 - bob [04/Jan/2020:07:25:02 +0000] "GET /a?b=\"c HTTP/1.1" 404 522 "-" "Go \"x\""`, Access,
			`c-ip=192.0.2.1 cs-username=bob cs-version=HTTP/1.1 cs-method=GET cs-uri-query=/a?b=\"c cs-uri-stem=/a sc-status=404 sc-bytes=522 cs-user-agent=Go \"x\"`,
		},
		{
			"a name with a space", Access, `192.0.2.1 - bob x [04/Jan/2020:07:25:02 +0000] "GET /a HTTP/1.1" 401 5`, Access,
			"c-ip=192.0.2.1 cs-username=bob x cs-version=HTTP/1.1 cs-method=GET cs-uri-query=/a cs-uri-stem=/a sc-status=401 sc-bytes=5 user.name=bob x event.category=authentication event.action=logon-failed event.outcome=failure service.name=http",
		},
		{
			"a name with a bracket", Access, `192.0.2.1 - a [b [04/Jan/2020:07:25:02 +0000] "GET /a HTTP/1.1" 401 5`, Access,
			"c-ip=192.0.2.1 cs-username=a [b cs-version=HTTP/1.1 cs-method=GET cs-uri-query=/a cs-uri-stem=/a sc-status=401 sc-bytes=5 user.name=a [b event.category=authentication event.action=logon-failed event.outcome=failure service.name=http",
		},
		{
			"a name like a line", Access, `192.0.2.1 - - [04/Jan/2020:07:25:02 +0000] \x22GET /ok HTTP/1.1\x22 [04/Jan/2020:07:25:02 +0000] "GET /a HTTP/1.1" 401 5`, Access,
			`c-ip=192.0.2.1 cs-username=- [04/Jan/2020:07:25:02 +0000] \x22GET /ok HTTP/1.1\x22 cs-version=HTTP/1.1 cs-method=GET cs-uri-query=/a cs-uri-stem=/a sc-status=401 sc-bytes=5 user.name=- [04/Jan/2020:07:25:02 +0000] \x22GET /ok HTTP/1.1\x22 event.category=authentication event.action=logon-failed event.outcome=failure service.name=http`,
		},
		{
			"virtual host", Access, `www.example.org:443 2001:db8::1 - - [04/Jan/2020:07:25:02 +0000] "GET /a HTTP/1.1" 200 5`, Access,
			"cs-host=www.example.org c-ip=2001:db8::1 cs-version=HTTP/1.1 cs-method=GET cs-uri-query=/a cs-uri-stem=/a sc-status=200 sc-bytes=5",
		},
		{
			"behind proxies", Access, `192.0.2.1, 10.0.0.1, 10.0.0.2 - bob [04/Jan/2020:07:25:02 +0000] "GET /a HTTP/1.1" 200 5`, Access,
			"c-ip=192.0.2.1 cs-username=bob cs-version=HTTP/1.1 cs-method=GET cs-uri-query=/a cs-uri-stem=/a sc-status=200 sc-bytes=5",
		},
		{
			"squid", Proxy, `1767323045.123    180 10.0.0.5 TCP_MISS_ABORTED/200 411 GET http://u@www.example.org:8080/a/b.exe?q=1 bob HIER_DIRECT/192.0.2.7 text/html`, Proxy,
			"c-ip=10.0.0.5 s-action=TCP_MISS_ABORTED sc-status=200 sc-bytes=411 cs-method=GET cs-uri-query=http://u@www.example.org:8080/a/b.exe?q=1 c-uri=http://u@www.example.org:8080/a/b.exe?q=1 " +
				"cs-uri=http://u@www.example.org:8080/a/b.exe?q=1 cs-host=www.example.org r-dns=www.example.org c-uri-query=q=1 cs-uri-stem=/a/b.exe c-uri-extension=exe cs-username=bob dst_ip=192.0.2.7",
		},
		{
			"squid tunnel", Access, `1767323045.123 180 10.0.0.5 TCP_TUNNEL/200 411 CONNECT [2001:db8::1]:443 - HIER_NONE/- -`, Proxy,
			"c-ip=10.0.0.5 s-action=TCP_TUNNEL sc-status=200 sc-bytes=411 cs-method=CONNECT cs-uri-query=[2001:db8::1]:443 c-uri=[2001:db8::1]:443 cs-uri=[2001:db8::1]:443 cs-host=[2001:db8::1] r-dns=[2001:db8::1]",
		},
		{
			"squid combined", Syslog, `10.0.0.5 - bob [04/Jan/2020:07:25:02 +0000] "CONNECT example.org:443 HTTP/1.1" 200 522 "-" "Go" TCP_TUNNEL:HIER_DIRECT`, Proxy,
			"c-ip=10.0.0.5 cs-username=bob cs-version=HTTP/1.1 cs-method=CONNECT cs-uri-query=example.org:443 cs-uri-stem=example.org:443 sc-status=200 sc-bytes=522 cs-user-agent=Go c-uri=example.org:443 cs-uri=example.org:443 cs-host=example.org r-dns=example.org c-useragent=Go",
		},
		{
			"virtual host", Access, `www.example.org:443 192.0.2.1 - - [04/Jan/2020:07:25:02 +0000] "POST / HTTP/2.0" 200 -`, Access,
			"cs-host=www.example.org c-ip=192.0.2.1 cs-version=HTTP/2.0 cs-method=POST cs-uri-query=/ cs-uri-stem=/ sc-status=200",
		},
		{"no request", Access, `192.0.2.1 - - [04/Jan/2020:07:25:02 +0000] "\x16\x03\x01" 400 0 "-" "-"`, Access, `c-ip=192.0.2.1 cs-uri-query=\x16\x03\x01 sc-status=400 sc-bytes=0`},
		{"another format than said", Access, "Feb 12 14:10:21 h cron[1]: x", Syslog, "hostname=h program=cron pid=1 message=x"},
		{
			"auditd", Auditd, `type=USER_AUTH msg=audit(1684329817.579:2995): pid=1 msg='op=PAM acct="root" exe="/usr/sbin/sshd" res=failed'`, Auditd,
			"type=USER_AUTH pid=1 op=PAM acct=root exe=/usr/sbin/sshd res=failed Image=/usr/sbin/sshd",
		},
		{
			"sysmon for linux", Syslog, `Feb 12 14:10:21 h sysmon: <Event><System><Provider Name="Linux-Sysmon" Guid="{x}"/><EventID>1</EventID><Channel>Linux-Sysmon/Operational</Channel></System><EventData><Data Name="Image">/bin/a&amp;b</Data><Data Name="User Name"></Data></EventData></Event>`, XML,
			"hostname=h program=sysmon Provider_Name=Linux-Sysmon Provider_Guid={x} EventID=1 Channel=Linux-Sysmon/Operational Image=/bin/a&b UserName=",
		},
		{
			"nginx error", WebError, `2025/11/05 20:47:03 [error] 24537#1: *914 open() failed, client: 192.0.2.7, server: x`, WebError,
			"message=[error] 24537#1: *914 open() failed, client: 192.0.2.7, server: x src_ip=192.0.2.7",
		},
		{"unknown", Syslog, "what is this", Text, "message=what is this"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sigma.NewFields()
			d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
			d.Line(tt.format, []byte(tt.line), rec, &head)
			if diff := cmp.Diff(tt.want, fields(rec)); diff != "" {
				t.Error(diff)
			}
			if head.Format != tt.as {
				t.Errorf("format %s, want %s", head.Format, tt.as)
			}
		})
	}
}

func TestTime(t *testing.T) {
	f := sigma.NewFields()
	d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
	d.Now = time.Date(2024, 1, 5, 0, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"Jan  4 03:04:05 h p: x": "2024-01-04T03:04:05Z", "Dec 31 03:04:05 h p: x": "2023-12-31T03:04:05Z",
		"2024-01-02T03:04:05+01:00 h p: x":                          "2024-01-02T02:04:05Z",
		`1.1.1.1 - - [04/Jan/2020:07:25:02 +0100] "GET / HTTP/1.1"`: "2020-01-04T06:25:02Z",
	} {
		d.Line(Syslog, []byte(line), rec, &head)
		if got := time.Unix(0, rec.Time).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestTables(t *testing.T) {
	f := sigma.NewFields()
	d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
	var h *Header
	for _, l := range []string{"#separator \\x09", "#set_separator\t,", "#path\tdns", "#fields\tts\tquery\tanswers\tx\ty", "#types\ttime\tstring\tvector[string]\tstring\tstring"} {
		h = HeaderLine([]byte(l), h)
	}
	d.SetHeader(h)
	d.Line(Zeek, []byte("1684329817.5\ta.b\t1.1.1.1,2.2.2.2\t-\t(empty)"), rec, &head)
	if diff := cmp.Diff("ts=1684329817.5 query=a.b answers=1.1.1.1 answers=2.2.2.2 y= _path=dns", fields(rec)); diff != "" {
		t.Error(diff)
	}
	d.SetHeader(HeaderLine([]byte("#Fields: date time cs-method cs-uri-stem cs-uri-query cs(User-Agent) sc-status"), nil))
	d.Line(W3C, []byte("2024-01-02 03:04:05 GET /a.aspx x=1 Mozilla/5.0+(X) 200"), rec, &head)
	want := "date=2024-01-02 time=03:04:05 cs-method=GET cs-uri-stem=/a.aspx cs-user-agent=Mozilla/5.0 (X) sc-status=200 cs-uri-query=/a.aspx?x=1"
	if diff := cmp.Diff(want, fields(rec)); diff != "" {
		t.Error(diff)
	}
}

// TestW3C: the logs of servers and of proxies, with the separators and quotes
// that their writers use.
func TestW3C(t *testing.T) {
	for _, tt := range []struct{ name, header, row, format, want string }{
		{
			"blue coat", "date time time-taken c-ip cs-username s-action sc-status cs(Referer) cs-method cs-uri-scheme cs-host cs-uri-port cs-uri-path cs-uri-query cs-uri-extension cs(User-Agent) r-ip",
			`2024-01-02 03:04:05 12 10.0.0.8 bob TCP_NC_MISS 200 - GET http example.com 80 /a/b.exe ?x=1 exe "Mozilla/5.0 (X; Y)" 192.0.2.9`, W3CProxy,
			"date=2024-01-02 time=03:04:05 time-taken=12 c-ip=10.0.0.8 cs-username=bob s-action=TCP_NC_MISS sc-status=200 cs-method=GET cs-uri-scheme=http cs-host=example.com cs-uri-port=80 " +
				"cs-uri-path=/a/b.exe cs-uri-query=?x=1 cs-uri-extension=exe cs-user-agent=Mozilla/5.0 (X; Y) r-ip=192.0.2.9 c-useragent=Mozilla/5.0 (X; Y) dst_ip=192.0.2.9 " +
				"c-uri=http://example.com/a/b.exe?x=1 cs-uri=http://example.com/a/b.exe?x=1 r-dns=example.com c-uri-query=x=1 cs-uri-stem=/a/b.exe c-uri-extension=exe",
		},
		{
			"a tunnel", "date time s-action cs-method cs-uri-scheme cs-host cs-uri-port cs-uri-path", "2024-01-02 03:04:05 TCP_TUNNELED CONNECT tcp example.com 8443 /", W3CProxy,
			"date=2024-01-02 time=03:04:05 s-action=TCP_TUNNELED cs-method=CONNECT cs-uri-scheme=tcp cs-host=example.com cs-uri-port=8443 cs-uri-path=/ " +
				"c-uri=tcp://example.com:8443/ cs-uri=tcp://example.com:8443/ r-dns=example.com cs-uri-stem=/",
		},
		{
			"forefront", "c-ip cs-username c-agent date time r-host r-ip cs-uri", "10.0.0.8\tbob\tMozilla/5.0 (X)\t2024-01-02\t03:04:05\texample.com\t192.0.2.9\thttp://example.com/x", W3CProxy,
			"c-ip=10.0.0.8 cs-username=bob c-agent=Mozilla/5.0 (X) date=2024-01-02 time=03:04:05 r-host=example.com r-ip=192.0.2.9 cs-uri=http://example.com/x " +
				"c-useragent=Mozilla/5.0 (X) dst_ip=192.0.2.9 cs-host=example.com c-uri=http://example.com/x r-dns=example.com cs-uri-stem=/x",
		},
		{
			"a server, tabs", "date time c-ip cs-method cs(Host) cs-uri-stem sc-status", "2024-01-02\t03:04:05\t10.0.0.8\tGET\td.example\t/a\t200", W3C,
			"date=2024-01-02 time=03:04:05 c-ip=10.0.0.8 cs-method=GET cs-host=d.example cs-uri-stem=/a sc-status=200 cs-uri-query=/a",
		},
		{"a quote that is not closed", "date x", `2024-01-02 "a b`, W3C, `date=2024-01-02 x="a`},
		{"an empty quote", "x y", `"" b`, W3C, `x= y=b`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sigma.NewFields()
			d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
			d.SetHeader(HeaderLine([]byte("#Fields: "+tt.header), nil))
			d.Line(W3C, []byte(tt.row), rec, &head)
			if diff := cmp.Diff(tt.want, fields(rec)); diff != "" || head.Format != tt.format {
				t.Errorf("%s\n%s", head.Format, diff)
			}
		})
	}
}

func TestAuditEvent(t *testing.T) {
	f := sigma.NewFields()
	d, rec := New(f), sigma.NewRecord(f)
	for _, tt := range []struct{ name, lines, want string }{
		{
			"a program", `type=SYSCALL msg=audit(1684329817.579:7): arch=c000003e syscall=59 a0=ABCD exe="/usr/bin/perl" key=(null)
type=EXECVE msg=audit(1684329817.579:7): argc=2 a0="perl" a1=2D652031`,
			"type=SYSCALL arch=c000003e SYSCALL=execve syscall=59 a0=ABCD exe=/usr/bin/perl key=(null) type=EXECVE argc=2 a0=perl a1=-e 1 Image=/usr/bin/perl CommandLine=perl -e 1",
		},
		{
			"what is in quotes is no hexadecimal", `type=EXECVE msg=audit(1684329817.579:7): argc=3 a0="chmod" a1="4755" a2=0A`,
			"type=EXECVE argc=3 a0=chmod a1=4755 a2=\n CommandLine=chmod 4755 \n",
		},
		{
			"pieces of an argument", `type=EXECVE msg=audit(1684329817.579:7): argc=3 a0="sh" a1_len=9 a1[0]="echo " a1[1]=612062
type=EXECVE msg=audit(1684329817.579:7):  a1[2]="c" a2="d"`,
			"type=EXECVE argc=3 a0=sh a1_len=9 type=EXECVE a1=echo a bc a2=d CommandLine=sh echo a bc d",
		},
		{
			"64-bit ARM", `type=SYSCALL msg=audit(1684329817.579:7): arch=c00000b7 syscall=221`,
			"type=SYSCALL arch=c00000b7 SYSCALL=execve syscall=221",
		},
		{
			"32-bit x86", `type=SYSCALL msg=audit(1684329817.579:7): arch=40000003 syscall=11`,
			"type=SYSCALL arch=40000003 SYSCALL=execve syscall=11",
		},
		{"rare call", `type=SYSCALL msg=audit(1684329817.579:7): arch=c000003e syscall=133`, "type=SYSCALL arch=c000003e SYSCALL=mknod syscall=133"},
		{"no such call", `type=SYSCALL msg=audit(1684329817.579:7): arch=c000003e syscall=9999`, "type=SYSCALL arch=c000003e syscall=9999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec.Reset()
			ok := d.Audit(bytes.Split([]byte(tt.lines), []byte("\n")), rec)
			if !ok || rec.Time != 1684329817579000000 {
				t.Fatal(ok, rec.Time)
			}
			if diff := cmp.Diff(tt.want, fields(rec)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTableHeaders(t *testing.T) {
	f := sigma.NewFields()
	f.Add("ts")
	d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
	for _, tt := range []struct{ name, format, head, row, want, at string }{
		{
			"Zeek, escapes", Zeek, "#separator \\x09\n#path\tdns\n#fields\tts\tquery\tanswers\n#types\ttime\tstring\tvector[string]", "1704449472.5\t\\\\\\\\h\\x2c\\x0\ta,b\\x2cc",
			"ts=1704449472.5 query=\\\\h,\\x0 answers=a answers=b,c _path=dns", "2024-01-05T10:11:12.5Z",
		},
		{"Zeek, another separator", Zeek, "#separator \\x2c\n#path,dns\n#fields,ts,query", "1704449472,a\\x2cb", "ts=1704449472 query=a,b _path=dns", "2024-01-05T10:11:12Z"},
		{"Zeek, no first line", Zeek, "#fields\tts\tquery", "1704449472\ta", "ts=1704449472 query=a", "2024-01-05T10:11:12Z"},
		{"IIS, the date in the header", W3C, "#Date: 2024-01-05 00:00:00\n#Fields: time cs-uri-stem", "10:11:12 /a", "time=10:11:12 cs-uri-stem=/a cs-uri-query=/a", "2024-01-05T10:11:12Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h *Header
			for line := range strings.Lines(tt.head) {
				h = HeaderLine([]byte(line), h)
			}
			d.SetHeader(h)
			d.Line(tt.format, []byte(tt.row), rec, &head)
			if diff := cmp.Diff(tt.want, fields(rec)); diff != "" {
				t.Error(diff)
			}
			if at := time.Unix(0, rec.Time).UTC().Format(time.RFC3339Nano); at != tt.at {
				t.Error(at)
			}
			if got := Sniff([]byte(tt.head)); got != tt.format {
				t.Error(got)
			}
		})
	}
}

func TestDNSTime(t *testing.T) {
	at := time.Date(2024, 1, 5, 22, 11, 12, 0, time.UTC).UnixNano()
	for _, in := range []string{
		"05-Jan-2024 22:11:12.000 queries: info: client", "[1704492672] unbound[9:0] info: x", "1/5/2024 10:11:12 PM 0B8C PACKET", "5/1/2024 22:11:12 0B8C PACKET",
		"05.01.2024 22:11:12 0B8C PACKET", "2024-01-05 22:11:12 0B8C PACKET", "05-01-2024 22:11:12 0B8C PACKET",
	} {
		if got := dnsTime([]byte(in)); got != at {
			t.Errorf("%s: %v", in, time.Unix(0, got).UTC())
		}
	}
	for _, in := range []string{"", "[", "13/13/2024 1:2:3 AM", "1/5/2024 10:11 PM", "1/5/24 1:2:3", "05-Foo-2024 22:11:12.000 x"} {
		if got := dnsTime([]byte(in)); got != 0 {
			t.Errorf("%q is a time", in)
		}
	}
}

func TestJournal(t *testing.T) {
	f := sigma.NewFields()
	d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
	in := []byte("__CURSOR=s\n__REALTIME_TIMESTAMP=1684329817000000\nSYSLOG_IDENTIFIER=x\nMESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n\n__CURSOR=t\nMESSAGE=c\n")
	rest, ok := d.Entry(in, rec, &head)
	if v, _ := rec.Get("message"); !ok || string(v.Text) != "a\nb" || rec.Time != 1684329817e9 {
		t.Errorf("%v %s", ok, fields(rec))
	}
	if rest, ok = d.Entry(rest, rec, &head); !ok || len(rest) != 0 {
		t.Errorf("the second entry: %v %q", ok, rest)
	}
	if _, ok := d.Entry([]byte("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"), rec, &head); ok {
		t.Error("a length beyond the input was taken")
	}
}

func TestSniff(t *testing.T) {
	for want, in := range map[string]string{
		Zeek: "#separator \\x09\n", W3C: "#Software: Microsoft\n", Journal: "__CURSOR=x\n", XML: "<?xml version=\"1.0\"?><Events>", Auditd: "type=SYSCALL msg=audit(1.2:3): a=b\n",
		Access: "1.1.1.1 - - [04/Jan/2020:07:25:02 +0000] \"GET / HTTP/1.1\" 200 1\n", Syslog: "Feb 12 14:10:21 h sshd[1]: x\n", Text: "hello\nworld\n",
	} {
		if got := Sniff([]byte(in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

var seeds = []string{
	"<38>Feb  2 14:10:21 h sshd[1]: Failed password for a from 192.0.2.1 port 5 ssh2", `<165>1 2003-10-11T22:14:15.003Z m e - - [x a="b"] y`,
	`192.0.2.1 - bob [04/Jan/2020:07:25:02 +0000] "GET /a HTTP/1.1" 404 522 "-" "x"`, `type=EXECVE msg=audit(1684329817.579:7): argc=2 a0="perl" a1=2D65 msg='x=y'`,
	`<Event><System><Provider Name="x"/><EventID>1</EventID></System><EventData><Data Name="a">b</Data></EventData></Event>`,
	"[Mon Jan 02 15:04:05 2006] [error] x", "query[A] a from b", "1/5/2024 10:11:12 AM 0B8C PACKET  00 UDP Rcv 10.0.0.5  0004   Q [0001   D   NOERROR] TXT    (4)evil(7)example(0)",
	"[1704449472] unbound[9:0] info: 10.0.0.5 a. TXT IN", "client 1.1.1.1#2: query: a IN A",
}

// check holds that a line always becomes a record with text in it.
func check(t *testing.T, line []byte) {
	t.Helper()
	f := sigma.NewFields()
	d, rec, head := New(f), sigma.NewRecord(f), logsource.Head{}
	for _, format := range []string{Syslog, Access, Auditd, XML, WebError, DNS, W3C, Zeek, Text, Sniff(line)} {
		d.Line(format, line, rec, &head)
		if len(strings.TrimSpace(string(line))) > 0 && len(line) > 40 && fields(rec) == "" {
			t.Fatalf("%s: nothing left of %q", format, line)
		}
	}
	d.Entry(line, rec, &head)
	d.SetHeader(HeaderLine(line, nil))
}

func TestMutations(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 4000 {
		b := []byte(seeds[rng.IntN(len(seeds))])
		for range 1 + rng.IntN(4) {
			b[rng.IntN(len(b))] = "<>[]\"' =:\\;\x1d\x00#\xff1a"[rng.IntN(17)]
		}
		check(t, b[:rng.IntN(len(b)+1)])
	}
}

// FuzzLine is the same for bytes that a fuzzer finds.
func FuzzLine(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(check)
}
