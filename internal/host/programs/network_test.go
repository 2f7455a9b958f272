package programs

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// TestNetworkPrograms: the forms that iproute2 6.1, net-tools 2.10 and iputils
// 20221126 write, filled with the persona's facts.
func TestNetworkPrograms(t *testing.T) {
	p, err := persona.Generate("debian-server", 7, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	h := host.New(host.Config{Name: "files", Persona: p, Programs: All(), Clock: quick{clock.System()}, Net: netcmd.World{Downloads: "serve"}})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	defer v.Close()
	n, mac := p.NICs[0], p.GatewayMAC()
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"ip -br a", fmt.Sprintf("lo               UNKNOWN        127.0.0.1/8 ::1/128 \n%-16s UP             %s/%d %s/64 \n", n.Name, n.IPv4, n.Prefix, n.IPv6LL), 0},
		{"ip -4 a s lo", "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n", 0},
		{"ip -o -4 addr show dev " + n.Name, fmt.Sprintf("2: %s    inet %s/%d brd %s scope global %[1]s\\       valid_lft forever preferred_lft forever\n", n.Name, n.IPv4, n.Prefix, n.Broadcast), 0},
		{"ip link show lo", "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n", 0},
		{"ip -br link show lo", "lo               UNKNOWN        00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP> \n", 0},
		{"ip a s nope", "Device \"nope\" does not exist.\n", 1},
		{"ip foo", "Object \"foo\" is unknown, try \"ip help\".\n", 1},
		{"ip link foo", "Command \"foo\" is unknown, try \"ip link help\".\n", 255},
		{"ip -Z a", "Option \"-Z\" is unknown, try \"ip -help\".\n", 255},
		{"ip r get 8.8.8.8", fmt.Sprintf("8.8.8.8 via %s dev %s src %s uid 0 \n    cache \n", n.Gateway, n.Name, n.IPv4), 0},
		{"ip n", fmt.Sprintf("%s dev %s lladdr %s REACHABLE \n", n.Gateway, n.Name, mac), 0},
		{"ip rule", "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n", 0},
		{"arp -an", fmt.Sprintf("? (%s) at %s [ether] on %s\n", n.Gateway, mac, n.Name), 0},
		{"netstat -rn | sed -n 2,3p", fmt.Sprintf("Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface\n0.0.0.0         %-15s 0.0.0.0         UG        0 0          0 %s\n", n.Gateway, n.Name), 0},
		{"route -n | sed -n 2,3p", fmt.Sprintf("Destination     Gateway         Genmask         Flags Metric Ref    Use Iface\n0.0.0.0         %-15s 0.0.0.0         UG    0      0        0 %s\n", n.Gateway, n.Name), 0},
		{"netstat -tln | head -3 | tail -1", "tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN     \n", 0},
		{"ss -Htln 'sport = :22' | head -1 | cut -c1-20", "LISTEN 0      128   \n", 0},
		{"ping", "ping: usage error: Destination address required\n", 1},
		{"ping -c1 nohost", "ping: nohost: Name or service not known\n", 2},
		{"ping -c x localhost", "ping: invalid argument: 'x'\n", 1},
		{"ping -c 0 localhost", "ping: invalid argument: '0': out of range: 1 <= value <= 2147483647\n", 1},
		{"ping -q -c 3 127.0.0.1 | sed -n 1,4p", "PING 127.0.0.1 (127.0.0.1) 56(84) bytes of data.\n\n--- 127.0.0.1 ping statistics ---\n3 packets transmitted, 3 received, 0% packet loss, time 2040ms\n", 0},
		{"ping -c 1 -W 1 192.0.2.77", "PING 192.0.2.77 (192.0.2.77) 56(84) bytes of data.\n\n--- 192.0.2.77 ping statistics ---\n1 packets transmitted, 0 received, 100% packet loss, time 0ms\n\n", 1},
		{"ifconfig nope", "nope: error fetching interface information: Device not found\n", 1},
		{"ifconfig nope up", "nope: ERROR while getting interface flags: No such device\n", 255},
		{"ifconfig lo | head -2", "lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536\n        inet 127.0.0.1  netmask 255.0.0.0\n", 0},
		{"ifconfig " + n.Name + " | grep -c flags=; ifconfig | grep -c flags=; ifconfig -a | grep -c flags=", "1\n2\n2\n", 0},
		{"ping -c1 host.invalid", "ping: host.invalid: Name or service not known\n", 2},
		{"curl -s -S http://c2.example/x", "curl: (6) Could not resolve host: c2.example\n", 6},
		{"wget -q http://c2.test/x", "", 4},
		{"getent hosts a.invalid", "", 2},
		{"traceroute 8.8.8.8", "bash: line 1: traceroute: command not found\n", 127},
		{"mtr 8.8.8.8", "bash: line 1: mtr: command not found\n", 127},
	} {
		if out, status := run(t, v, tt.line, ""); out != tt.want || status != tt.status {
			t.Errorf("%s\ngives [%d] %q\nwant  [%d] %q", tt.line, status, out, tt.status, tt.want)
		}
	}
	out, _ := run(t, v, "ip -j a; ip -j route; ip -j n", "")
	for line := range strings.Lines(out) {
		var all []map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil || len(all) == 0 {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestNetworkFactsAgree: whichever program or file is asked, the answer is one.
func TestNetworkFactsAgree(t *testing.T) {
	for _, template := range []string{"debian-server", "ubuntu-24.04-server"} {
		p, err := persona.Generate(template, 11, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		h := host.New(host.Config{Name: "x", Persona: p, Programs: All(), Clock: quick{clock.System()}, Net: netcmd.World{Downloads: "serve"}})
		v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
		for fact, lines := range map[string][]string{
			"address":                    {"hostname -I | tr -d ' '", "ip -4 -br a s " + p.NICs[0].Name + " | awk '{print $3}' | cut -d/ -f1", "ip r | grep -o 'src .*' | cut -d' ' -f2"},
			"gateway":                    {"ip r | awk '/default/ {print $3}'", "ip n | cut -d' ' -f1", "awk 'NR==2 {print $1}' /proc/net/arp"},
			"gateway's hardware address": {"ip n | awk '{print $5}'", "awk 'NR==2 {print $4}' /proc/net/arp"},
			"sockets that listen":        {"ss -Htln4 | wc -l", "awk 'NR>1 && $4 == \"0A\"' /proc/net/tcp | wc -l"},
		} {
			first, _ := run(t, v, lines[0], "")
			if strings.TrimSpace(first) == "" {
				t.Errorf("%s: %s: nothing", template, lines[0])
			}
			for _, l := range lines[1:] {
				if out, _ := run(t, v, l, ""); out != first {
					t.Errorf("%s, %s: %q by %s, %q by %s", template, fact, first, lines[0], out, l)
				}
			}
		}
		v.Close()
	}
}

// TestNoSuchName: programs of Ubuntu say it in their own words.
func TestNoSuchName(t *testing.T) {
	v := ubuntuHost(t, "ubuntu-24.04-server").Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	defer v.Close()
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"nslookup printer.local | tail -2", "** server can't find printer.local: NXDOMAIN\n\n", 0},
		{"host a.INVALID.", "Host a.INVALID. not found: 3(NXDOMAIN)\n", 1},
		{"dig x.test | grep -c 'status: NXDOMAIN'; dig +short x.test", "1\n", 0},
		{"telnet a.invalid", "telnet: could not resolve a.invalid/23: Name or service not known\n", 1},
	} {
		if out, status := run(t, v, tt.line, ""); out != tt.want || status != tt.status {
			t.Errorf("%s\ngives [%d] %q\nwant  [%d] %q", tt.line, status, out, tt.status, tt.want)
		}
	}
}

// TestNetmask: a network that is no /24 has its own mask everywhere.
func TestNetmask(t *testing.T) {
	p, err := persona.Generate("debian-server", 7, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	n := &p.NICs[0]
	n.IPv4, n.Prefix, n.Gateway, n.Broadcast = "10.20.30.40", 22, "10.20.28.1", "10.20.31.255"
	v := host.New(host.Config{Name: "files", Persona: p, Programs: All(), Clock: quick{clock.System()}}).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	defer v.Close()
	for line, want := range map[string]string{
		"ifconfig " + n.Name + " | grep -o 'inet .*'":       "inet 10.20.30.40  netmask 255.255.252.0  broadcast 10.20.31.255\n",
		"awk 'NR>1 {print $2, $3, $4, $8}' /proc/net/route": "00000000 011C140A 0003 00000000\n001C140A 00000000 0001 00FCFFFF\n",
		"route -n | awk 'NR==4 {print $1, $3}'":             "10.20.28.0 255.255.252.0\n",
	} {
		if out, status := run(t, v, line, ""); out != want || status != 0 {
			t.Errorf("%s\ngives [%d] %q\nwant      %q", line, status, out, want)
		}
	}
}
