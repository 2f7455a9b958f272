package device

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// read gives what a message says as one line: format, then fields in order.
func read(program, msg string) string {
	f := sigma.NewFields()
	d := New(f)
	rec := sigma.NewRecord(f)
	format, at, ok := d.Message([]byte(program), []byte(msg), rec)
	if !ok {
		return ""
	}
	out := []string{format}
	if at != 0 {
		out = append(out, time.Unix(0, at).UTC().Format("15:04:05"))
	}
	var fields []string
	for name, v := range rec.All() {
		if name != "observer.product" {
			fields = append(fields, fmt.Sprintf("%s=%s", name, v.Text))
		}
	}
	slices.Sort(fields)
	return strings.Join(append(out, fields...), "|")
}

const (
	logon  = "event.action=logon|event.category=authentication|"
	failed = "event.action=logon-failed|event.category=authentication|"
)

func TestMessage(t *testing.T) {
	forti := `date=2026-11-25 time=10:00:00 devname="gw" devid="FG60" eventtime=1764064800000000000 tz="+0000" `
	for _, tt := range []struct{ name, program, msg, want string }{
		{
			"fortigate: traffic", "", forti + `logid="0000000013" type="traffic" subtype="forward" srcip=10.0.0.5 srcport=50123 dstip=203.0.113.7 dstport=443 proto=6 action="close" duration=90 sentbyte=4000 rcvdbyte=6000 sentpkt=12`,
			"fortigate|10:00:00|destination.bytes=6000|destination.ip=203.0.113.7|destination.port=443|event.action=flow|event.category=network|event.code=0000000013|event.duration=90000000000|host.name=gw|network.transport=tcp|source.bytes=4000|source.ip=10.0.0.5|source.packets=12|source.port=50123",
		},
		{
			"fortigate: denied", "", forti + `type="traffic" srcip=203.0.113.9 dstip=10.0.0.5 dstport=23 proto=6 action="deny"`,
			"fortigate|10:00:00|destination.ip=10.0.0.5|destination.port=23|event.action=denied|event.category=network|event.outcome=failure|host.name=gw|network.transport=tcp|source.ip=203.0.113.9",
		},
		{
			"fortigate: administrator", "", forti + `type="event" subtype="system" user="admin" ui="https(198.51.100.1)" method="https" action="login" status="success"`,
			"fortigate|10:00:00|" + logon + "event.outcome=success|host.name=gw|service.name=https|source.ip=198.51.100.1|user.name=admin",
		},
		{
			"fortigate: administrator refused", "", forti + `type="event" subtype="system" user="admin" srcip=198.51.100.1 method="ssh" action="login" status="failed" reason="name_invalid"`,
			"fortigate|10:00:00|" + failed + "event.outcome=failure|host.name=gw|service.name=ssh|source.ip=198.51.100.1|user.name=admin",
		},
		{
			"fortigate: tunnel up", "", forti + `type="event" subtype="vpn" action="tunnel-up" tunneltype="ssl-tunnel" remip=198.51.100.7 user="ann" group="vpn"`,
			"fortigate|10:00:00|" + logon + "event.outcome=success|host.name=gw|service.name=ssl-tunnel|source.ip=198.51.100.7|user.name=ann",
		},
		{
			"fortigate: vpn refused", "", forti + `type="event" subtype="vpn" action="ssl-login-fail" remip=198.51.100.7 user="ann" reason="sslvpn_login_permission_denied"`,
			"fortigate|10:00:00|" + failed + "event.outcome=failure|event.reason=sslvpn_login_permission_denied|host.name=gw|source.ip=198.51.100.7|user.name=ann",
		},
		{
			"fortigate: a name with a field in it", "", forti + `type="event" subtype="vpn" action="ssl-login-fail" user="x remip=203.0.113.66 y" remip=198.51.100.7`,
			"fortigate|10:00:00|" + failed + "event.outcome=failure|host.name=gw|source.ip=198.51.100.7|user.name=x remip=203.0.113.66 y",
		},
		{
			"fortigate: a name that gets out of its quotes", "", forti + `type="event" subtype="vpn" action="ssl-login-fail" user="x" remip=203.0.113.66 y="" remip=198.51.100.7`,
			"fortigate|10:00:00|" + failed + "event.outcome=failure|host.name=gw|user.name=x",
		},
		{
			"sonicwall: administrator refused", "", `id=firewall sn=0017C5 time="2026-11-25 10:00:00 UTC" fw=203.0.113.1 pri=1 c=32 m=30 msg="Administrator login denied due to bad credentials" n=1 usr="admin" src=198.51.100.9:50000:X1 dst=203.0.113.1:443:X1`,
			"sonicwall|10:00:00|destination.ip=203.0.113.1|destination.port=443|" + failed + "event.code=30|event.outcome=failure|service.name=sonicwall|source.ip=198.51.100.9|source.port=50000|user.name=admin",
		},
		{
			"sonicwall: vpn", "", `id=firewall sn=0017C5 m=1080 msg="SSL VPN zone remote user login allowed" usr="ann" src=198.51.100.9 dst=203.0.113.1:4433:X1`,
			"sonicwall|destination.ip=203.0.113.1|destination.port=4433|" + logon + "event.code=1080|event.outcome=success|service.name=vpn|source.ip=198.51.100.9|user.name=ann",
		},
		{
			"sonicwall: connection", "", `id=firewall sn=0017C5 c=1024 m=537 msg="Connection Closed" src=10.0.0.5:50123:X0 dst=203.0.113.7:443:X1:far.example proto=tcp/https sent=4000 rcvd=6000`,
			"sonicwall|destination.bytes=6000|destination.ip=203.0.113.7|destination.port=443|event.action=flow|event.category=network|event.code=537|network.transport=tcp|source.bytes=4000|source.ip=10.0.0.5|source.port=50123",
		},
		{
			"sonicwall: IPv6", "", `id=firewall sn=0017C5 m=98 msg="Connection Opened" src=2001:db8::5:50123:X0 dst=2001:db8:7::9 proto=udp/dns`,
			"sonicwall|destination.ip=2001:db8:7::9|event.action=flow|event.category=network|event.code=98|network.transport=udp|source.ip=2001:db8::5|source.port=50123",
		},
		{
			"pan-os: traffic", "", `1,2026/11/25 10:00:00,0018,TRAFFIC,end,2561,2026/11/25 10:00:00,10.0.0.5,203.0.113.7,198.51.100.2,203.0.113.7,out,corp\ann,,ssl,vsys1,trust,untrust,e1,e2,log,2026/11/25 10:00:00,77,1,50123,443,50123,443,0x19,tcp,allow,10000,4000,6000,30,2026/11/25 09:58:00,90,any,,1,0x0,here,there,,12,18,tcp-fin`,
			`panos|destination.bytes=6000|destination.ip=203.0.113.7|destination.port=443|event.action=flow|event.category=network|event.code=end|event.duration=90000000000|network.protocol=ssl|network.transport=tcp|rule.name=out|source.bytes=4000|source.ip=10.0.0.5|source.packets=12|source.port=50123|user.name=corp\ann`,
		},
		{
			"pan-os: denied", "", `1,2026/11/25 10:00:00,0018,TRAFFIC,drop,2561,2026/11/25 10:00:00,203.0.113.9,10.0.0.5,0.0.0.0,0.0.0.0,deny all,,,not-applicable,vsys1,untrust,trust,e2,e1,log,x,0,1,50123,23,0,0,0x0,tcp,deny,60,60,0,1,x,0,any`,
			"panos|destination.bytes=0|destination.ip=10.0.0.5|destination.port=23|event.action=denied|event.category=network|event.code=drop|event.duration=0|event.outcome=failure|network.protocol=not-applicable|network.transport=tcp|rule.name=deny all|source.bytes=60|source.ip=203.0.113.9|source.port=50123",
		},
		{
			"pan-os: globalprotect", "", `1,2026/11/25 10:00:00,0018,GLOBALPROTECT,0,2561,2026/11/25 10:00:00,vsys1,gateway-auth,login,SAML,,"ann, of town",DE,pc7,198.51.100.7,::,0.0.0.0,::,id,sn,6.0,Windows,10,1,,,,success,,0,user-logon,0,gw`,
			"panos|" + logon + "event.code=gateway-auth|event.outcome=success|lapwing.auth.method=SAML|service.name=globalprotect|source.ip=198.51.100.7|user.name=ann, of town",
		},
		{
			"pan-os: globalprotect refused", "", `1,2026/11/25 10:00:00,0018,GLOBALPROTECT,0,2561,2026/11/25 10:00:00,vsys1,portal-auth,login,LDAP,,ann,DE,pc7,0.0.0.0,2001:db8::7,0.0.0.0,::,id,sn,6.0,Windows,10,1,Invalid username or password,,,failure,,0,user-logon,0,gw`,
			"panos|" + failed + "event.code=portal-auth|event.outcome=failure|event.reason=Invalid username or password|lapwing.auth.method=LDAP|service.name=globalprotect|source.ip=2001:db8::7|user.name=ann",
		},
		{
			"pan-os: administrator", "", `1,2026/11/25 10:00:00,0018,SYSTEM,auth,0,2026/11/25 10:00:00,,auth-fail,,0,0,general,medium,"failed authentication for user 'x'. From: 203.0.113.66.'.  Reason: Invalid username/password. auth profile 'p', From: 198.51.100.7."`,
			"panos|" + failed + "event.code=auth-fail|event.outcome=failure|service.name=pan-os|source.ip=198.51.100.7|user.name=x'. From: 203.0.113.66.",
		},
		{
			"pan-os: administrator logged in", "", `1,2026/11/25 10:00:00,0018,SYSTEM,general,0,2026/11/25 10:00:00,,general,,0,0,general,informational,"User admin logged in via Web from 10.0.0.5 using https"`,
			"panos|" + logon + "event.code=general|event.outcome=success|service.name=pan-os|source.ip=10.0.0.5|user.name=admin",
		},
		{
			"asa: built", "%ASA-6-302013", "Built outbound TCP connection 123 for outside:203.0.113.7/443 (203.0.113.7/443) to inside:10.0.0.5/50123 (198.51.100.2/50123)",
			"asa|destination.ip=203.0.113.7|destination.port=443|event.action=connection-started|event.category=network|event.code=302013|network.transport=tcp|source.ip=10.0.0.5|source.port=50123",
		},
		{
			"asa: torn down", "", ": %ASA-6-302014: Teardown TCP connection 123 for outside:203.0.113.7/443 to inside:10.0.0.5/50123 duration 6:00:30 bytes 10000 TCP FINs",
			"asa|destination.ip=203.0.113.7|destination.port=443|event.action=flow|event.category=network|event.code=302014|event.duration=21630000000000|network.transport=tcp|source.bytes=10000|source.ip=10.0.0.5|source.port=50123",
		},
		{
			"asa: denied", "%ASA-4-106023", `Deny tcp src outside:203.0.113.9/50000 dst inside:10.0.0.5/23 by access-group "outside_in" [0x0, 0x0]`,
			"asa|destination.ip=10.0.0.5|destination.port=23|event.action=denied|event.category=network|event.code=106023|event.outcome=failure|network.transport=tcp|source.ip=203.0.113.9|source.port=50000",
		},
		{
			"asa: access list", "%ASA-6-106100", "access-list out permitted udp inside/10.0.0.5(50123) -> outside/203.0.113.7(53) hit-cnt 1 first hit [0x1, 0x0]",
			"asa|destination.ip=203.0.113.7|destination.port=53|event.action=flow|event.category=network|event.code=106100|network.transport=udp|rule.name=out|source.ip=10.0.0.5|source.port=50123",
		},
		{
			"asa: vpn", "%ASA-6-113039", "Group <staff> User <x> IP <203.0.113.66> y> IP <198.51.100.7> AnyConnect parent session started.",
			"asa|" + logon + "event.code=113039|event.outcome=success|service.name=vpn|source.ip=198.51.100.7|user.name=x> IP <203.0.113.66> y",
		},
		{
			"asa: refused", "%ASA-6-113015", "AAA user authentication Rejected : reason = Invalid password : local database : user = x : user IP = 203.0.113.66 : user IP = 198.51.100.7",
			"asa|" + failed + "event.code=113015|event.outcome=failure|service.name=asa|source.ip=198.51.100.7|user.name=x : user IP = 203.0.113.66",
		},
		{
			"asa: administrator", "%ASA-6-605004", `Login denied from 198.51.100.7/50000 to outside:203.0.113.1/ssh for user "x" from 203.0.113.66/1 to a"`,
			"asa|" + failed + `event.code=605004|event.outcome=failure|service.name=ssh|source.ip=198.51.100.7|source.port=50000|user.name=x" from 203.0.113.66/1 to a`,
		},
		{
			"asa: session ended", "%ASA-4-113019", "Group = g, Username = ann, IP = 198.51.100.7, Session disconnected. Session Type: SSL, Duration: 0h:10m:05s, Bytes xmt: 1, Bytes rcv: 2, Reason: User Requested",
			"asa|event.action=logoff|event.category=session|event.code=113019|event.outcome=unknown|service.name=vpn|source.ip=198.51.100.7|user.name=ann",
		},
		{
			"filterlog: blocked", "filterlog", "5,,,1000000103,igb0,match,block,in,4,0x0,,64,4711,0,DF,6,tcp,60,203.0.113.9,10.0.0.5,50000,23,0,S,1,,64240,,mss",
			"filterlog|destination.ip=10.0.0.5|destination.port=23|event.action=denied|event.category=network|event.outcome=failure|network.transport=tcp|rule.name=1000000103|source.ip=203.0.113.9|source.port=50000",
		},
		{
			"filterlog: IPv6", "filterlog", "7,,,rule,igb1,match,pass,out,6,0x00,0x0,64,udp,17,80,2001:db8::5,2001:db8:7::9,50000,53,40",
			"filterlog|destination.ip=2001:db8:7::9|destination.port=53|event.action=connection-started|event.category=network|network.transport=udp|rule.name=rule|source.ip=2001:db8::5|source.port=50000",
		},
		{
			"routeros: refused", "", "system,error,critical login failure for user x from 203.0.113.66 via ssh from 198.51.100.7 via winbox",
			"routeros|" + failed + "event.code=system,error,critical|event.outcome=failure|service.name=winbox|source.ip=198.51.100.7|user.name=x from 203.0.113.66 via ssh",
		},
		{
			"routeros: administrator", "", "system,info,account user admin logged in from 10.0.0.5 via ssh",
			"routeros|" + logon + "event.code=system,info,account|event.outcome=success|service.name=ssh|source.ip=10.0.0.5|user.name=admin",
		},
		{
			"routeros: vpn", "", "l2tp,ppp,info,account ann logged in, 10.9.0.5 from 198.51.100.7",
			"routeros|" + logon + "event.code=l2tp,ppp,info,account|event.outcome=success|service.name=vpn|source.ip=198.51.100.7|user.name=ann",
		},
		{
			"routeros: firewall", "", "firewall,info drop input: in:ether1 out:(unknown 0), connection-state:new, proto TCP (SYN), 203.0.113.9:50000->10.0.0.1:22, len 60",
			"routeros|destination.ip=10.0.0.1|destination.port=22|event.action=denied|event.category=network|event.code=firewall,info|event.outcome=failure|network.transport=tcp|service.name=routeros|source.ip=203.0.113.9|source.port=50000",
		},
		{
			"openvpn: in", "openvpn", "198.51.100.7:51234 [ann] Peer Connection Initiated with [AF_INET]198.51.100.7:51234",
			"|" + logon + "event.outcome=success|service.name=openvpn|source.ip=198.51.100.7|source.port=51234|user.name=ann",
		},
		{
			"openvpn: IPv6", "openvpn-server", "2001:db8::7:51234 [ann] Peer Connection Initiated with [AF_INET6]2001:db8::7:51234 (via ::ffff:203.0.113.1%eth0)",
			"|" + logon + "event.outcome=success|service.name=openvpn|source.ip=2001:db8::7|source.port=51234|user.name=ann",
		},
		{
			"openvpn: refused", "ovpn-server", "198.51.100.7:51234 TLS Auth Error: Auth Username/Password verification failed for peer",
			"|" + failed + "event.outcome=failure|event.reason=user name or password|service.name=openvpn|source.ip=198.51.100.7|source.port=51234",
		},
		{
			"wireguard: handshake", "kernel", "[12345.678901] wireguard: wg0: Receiving handshake initiation from peer 3 (198.51.100.7:51820)",
			"|event.action=vpn-handshake|event.category=session|event.outcome=success|service.name=wireguard|source.ip=198.51.100.7|source.port=51820|user.name=wg0 peer 3",
		},
		{
			"wireguard: IPv6", "kernel", "wireguard: wg0: Receiving handshake initiation from peer 3 ([2001:db8::7]:51820)",
			"|event.action=vpn-handshake|event.category=session|event.outcome=success|service.name=wireguard|source.ip=2001:db8::7|source.port=51820|user.name=wg0 peer 3",
		},
		{
			"wireguard: invalid", "kernel", "wireguard: wg0: Invalid handshake initiation from 198.51.100.7:51820",
			"|event.action=vpn-handshake|event.category=session|event.outcome=failure|service.name=wireguard|source.ip=198.51.100.7|source.port=51820",
		},
		{"sshd", "sshd", "Failed password for root from 192.0.2.1 port 5 ssh2", ""},
		{"kernel", "kernel", "usb 1-1: new device", ""},
		{"openvpn: other", "openvpn", "Initialization Sequence Completed", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := read(tt.program, tt.msg)
			if diff := cmp.Diff(strings.Split(tt.want, "|"), strings.Split(got, "|")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBare(t *testing.T) {
	for s, want := range map[string]bool{
		`date=2026-11-25 time=10:00:00 devname="gw"`:             true,
		"id=firewall sn=0017C5 time=":                            true,
		"1,2026/11/25 10:00:00,0018,TRAFFIC,end,2561":            true,
		": %ASA-6-302014: Teardown":                              true,
		"system,info,account user admin logged in from 10.0.0.5": true,
		"Nov 25 10:00:00 host sshd[1]: x":                        false,
		"host sshd: x":                                           false,
		"":                                                       false,
		"hello, world of others":                                 false,
		"1,2026/11/25 10:00:00,0018,SOMETHING,end,2561 and some more": false,
	} {
		if got := Bare([]byte(s)); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// FuzzMessage: whatever comes, addresses are valid ones that stand in the message,
// numbers are digits, and a login that succeeded is not told of a refusal.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`|date=2026-11-25 time=10:00:00 devid="x" type="event" subtype="vpn" action="ssl-login-fail" user="a\" remip=1.2.3.4" remip=198.51.100.7`,
		`|id=firewall sn=1 m=30 msg="Administrator login denied" usr="admin" src=198.51.100.9:50000:X1`,
		`|1,2026/11/25 10:00:00,0018,GLOBALPROTECT,0,2561,x,vsys1,gateway-auth,login,SAML,,"a""b",DE,pc7,198.51.100.7,::,0,::,id,sn,6,W,10,1,,,,success`,
		`%ASA-6-113039|Group <staff> User <x> IP <1.2.3.4> y> IP <198.51.100.7> AnyConnect parent session started.`,
		`%ASA-6-302014|Teardown TCP connection 1 for outside:203.0.113.7/443 to inside:10.0.0.5/50123 duration 6:00:30 bytes 10000`,
		`filterlog|5,,,x,igb0,match,block,in,4,0x0,,64,4711,0,DF,6,tcp,60,203.0.113.9,10.0.0.5,50000,23`,
		`|system,error,critical login failure for user x from 1.2.3.4 via ssh from 198.51.100.7 via winbox`,
		`|firewall,info input: in:a out:b, proto TCP (SYN), [2001:db8::1]:1->[2001:db8::2]:22, len 60`,
		`openvpn|198.51.100.7:51234 [ann] Peer Connection Initiated with [AF_INET]198.51.100.7:51234`,
		`kernel|wireguard: wg0: Receiving handshake initiation from peer 3 (198.51.100.7:51820)`,
	} {
		program, msg, _ := strings.Cut(s, "|")
		f.Add([]byte(program), []byte(msg))
	}
	f.Fuzz(func(t *testing.T, program, msg []byte) {
		fields := sigma.NewFields()
		d := New(fields)
		rec := sigma.NewRecord(fields)
		Bare(msg)
		_, _, ok := d.Message(program, msg, rec)
		said := map[string][]byte{}
		for name, v := range rec.All() {
			said[name] = v.Text
			switch name {
			case "source.ip", "destination.ip":
				if a, err := netip.ParseAddr(string(v.Text)); err != nil || a.IsUnspecified() {
					t.Errorf("%s is %q", name, v.Text)
				}
				if !bytes.Contains(msg, v.Text) {
					t.Errorf("%s %q does not stand in the message", name, v.Text)
				}
			case "source.port", "destination.port", "source.bytes", "destination.bytes", "event.duration":
				if !digits(v.Text) {
					t.Errorf("%s is %q", name, v.Text)
				}
			}
		}
		if string(said["event.action"]) == "logon" && string(said["event.outcome"]) != "success" {
			t.Errorf("a login with outcome %q", said["event.outcome"])
		}
		if !ok && len(said) > 0 {
			t.Errorf("fields of a message of no device: %q", said)
		}
	})
}

// TestForged: a visitor's name, whatever is in it, never becomes the address.
func TestForged(t *testing.T) {
	evil := []string{
		"203.0.113.66", "x from 203.0.113.66 via ssh", `x" srcip=203.0.113.66 remip=203.0.113.66 src=203.0.113.66 a="`, "x> IP <203.0.113.66", ", IP = 203.0.113.66, Session disconnected",
		" : user IP = 203.0.113.66", "x'. From: 203.0.113.66.", "x (203.0.113.66:1)", "[AF_INET]203.0.113.66:1", "x, 1 from 203.0.113.66", `\`, `x\" remip=203.0.113.66 "`,
	}
	for _, name := range evil {
		for _, m := range [][2]string{
			{"", `date=2026-11-25 time=10:00:00 devid="x" type="event" subtype="vpn" action="ssl-login-fail" user="` + name + `" remip=198.51.100.7 group="N/A"`},
			{"", `date=2026-11-25 time=10:00:00 devid="x" type="event" subtype="system" user="` + name + `" srcip=198.51.100.7 action="login" status="failed"`},
			{"", `id=firewall sn=1 m=30 msg="Administrator login denied" usr="` + name + `" src=198.51.100.7:50000:X1`},
			{"", "system,error,critical login failure for user " + name + " from 198.51.100.7 via winbox"},
			{"%ASA-6-113039", "Group <g> User <" + name + "> IP <198.51.100.7> AnyConnect parent session started."},
			{"%ASA-6-113015", "AAA user authentication Rejected : reason = Invalid password : local database : user = " + name + " : user IP = 198.51.100.7"},
			{"%ASA-4-113019", "Group = g, Username = " + name + ", IP = 198.51.100.7, Session disconnected. Session Type: SSL"},
			{"%ASA-6-605004", `Login denied from 198.51.100.7/50000 to outside:203.0.113.1/ssh for user "` + name + `"`},
			{"%ASA-6-611102", "User authentication failed: IP address: 198.51.100.7, Uname: " + name},
			{"", `1,2026/11/25 10:00:00,0018,SYSTEM,auth,0,x,,auth-fail,,0,0,general,medium,"failed authentication for user '` + strings.ReplaceAll(name, `"`, `""`) + `'.  Reason: Invalid. auth profile 'p', From: 198.51.100.7."`},
			{"", `1,2026/11/25 10:00:00,0018,GLOBALPROTECT,0,2561,x,vsys1,portal-auth,login,LDAP,,"` + strings.ReplaceAll(name, `"`, `""`) + `",DE,pc7,198.51.100.7,::,0,::,id,sn,6,W,10,1,bad,,,failure`},
			{"openvpn", "198.51.100.7:51234 [" + name + "] Peer Connection Initiated with [AF_INET]198.51.100.7:51234"},
		} {
			if got := read(m[0], m[1]); strings.Contains(got, "source.ip=203") || !strings.Contains(got, "event.action=logon") && !strings.Contains(got, "logoff") {
				t.Errorf("%s %s\n gives %s", m[0], m[1], got)
			}
		}
	}
}
