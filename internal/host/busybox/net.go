package busybox

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// traffic is what an interface has moved until now.
func traffic(p *kernel.Proc, n persona.NIC) (rx, tx int64) {
	up := int64(p.M.Uptime(p.Now()).Seconds())
	return n.RxBytes + up*190, n.TxBytes + up*120
}

func mib(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB"} {
		if v < 1024 {
			break
		}
		v /= 1024
		unit = u
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func ifconfig(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "")
	nics := append([]persona.NIC(nil), p.M.Persona.NICs...)
	lo := persona.NIC{Name: "lo"}
	if len(rest) == 0 {
		for _, n := range nics {
			interfaceScreen(p, n)
		}
		interfaceScreen(p, lo)
		return 0
	}
	for _, n := range append(nics, lo) {
		if n.Name == rest[0] {
			if len(rest) == 1 {
				interfaceScreen(p, n)
			}
			return 0
		}
	}
	if len(rest) > 1 {
		complain(p, "ifconfig: SIOCGIFFLAGS: No such device\n")
	} else {
		complain(p, "ifconfig: %s: error fetching interface information: Device not found\n", rest[0])
	}
	return 1
}

func interfaceScreen(p *kernel.Proc, n persona.NIC) {
	rx, tx := traffic(p, n)
	if n.Name == "lo" {
		rx = int64(p.M.Uptime(p.Now()).Seconds()) * 3
		tx = rx
		put(p, "lo        Link encap:Local Loopback  \n          inet addr:127.0.0.1  Mask:255.0.0.0\n          inet6 addr: ::1/128 Scope:Host\n          UP LOOPBACK RUNNING  MTU:65536  Metric:1\n")
	} else {
		put(p, "%-9s Link encap:Ethernet  HWaddr %s  \n", n.Name, strings.ToUpper(n.MAC))
		if n.IPv4 != "" {
			put(p, "          inet addr:%s  Bcast:%s  Mask:%s\n", n.IPv4, n.Broadcast, netmask(n.Prefix))
			put(p, "          inet6 addr: %s/64 Scope:Link\n", n.IPv6LL)
		}
		put(p, "          UP BROADCAST RUNNING MULTICAST  MTU:%d  Metric:1\n", n.MTU)
	}
	put(p, "          RX packets:%d errors:0 dropped:0 overruns:0 frame:0\n          TX packets:%d errors:0 dropped:0 overruns:0 carrier:0\n          collisions:0 txqueuelen:1000 \n          RX bytes:%d (%s)  TX bytes:%d (%s)\n\n", rx/640, tx/480, rx, mib(rx), tx, mib(tx))
}

// uplink is the interface with the default route.
func uplink(p *kernel.Proc) persona.NIC {
	for _, n := range p.M.Persona.NICs {
		if n.Gateway != "" {
			return n
		}
	}
	return p.M.Persona.NICs[0]
}

// network is the address of a card's network.
func network(n persona.NIC) string {
	p, err := netip.ParsePrefix(fmt.Sprintf("%s/%d", n.IPv4, n.Prefix))
	if err != nil {
		return "0.0.0.0"
	}
	return p.Masked().Addr().String()
}

// netmask is the dotted mask of an IPv4 prefix of so many bits.
func netmask(bits int) string {
	m := ^uint32(0) << (32 - bits)
	return fmt.Sprintf("%d.%d.%d.%d", m>>24, m>>16&255, m>>8&255, m&255)
}

func route(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "A")
	if len(rest) > 0 {
		if last := rest[len(rest)-1]; (rest[0] == "add" || rest[0] == "del") && len(rest) > 1 {
			if _, err := netip.ParseAddr(last); err != nil && len(rest) == 2 && last != "default" {
				complain(p, "route: resolving %s\n", last)
				return 1
			}
			return 0
		}
		return wrongUse
	}
	routes(p, "Flags Metric Ref    Use Iface", "%-5s %-6d %-2d %7d %s\n")
	return 0
}

func routes(p *kernel.Proc, head, form string) {
	put(p, "Kernel IP routing table\nDestination     Gateway         Genmask         %s\n", head)
	row := func(dst, gw, mask, flags, dev string) {
		put(p, "%-15s %-15s %-16s", dst, gw, mask)
		put(p, form, flags, 0, 0, 0, dev)
	}
	up := uplink(p)
	row("0.0.0.0", up.Gateway, "0.0.0.0", "UG", up.Name)
	for _, v := range slices.Backward(p.M.Persona.NICs) {
		if n := v; n.IPv4 != "" {
			row(network(n), "0.0.0.0", netmask(n.Prefix), "U", n.Name)
		}
	}
}

func netstat(_ context.Context, p *kernel.Proc) int {
	flags, _, _ := options(p, "")
	if strings.Contains(flags, "r") {
		routes(p, "Flags   MSS Window  irtt Iface", "%-7s %3d %-7d %4d %s\n")
		return 0
	}
	listen, all := strings.Contains(flags, "l"), strings.Contains(flags, "a")
	what := map[bool]string{true: "only servers", false: "w/o servers"}[listen]
	if all {
		what = "servers and established"
	}
	owner := func(s persona.Socket) string {
		if !strings.Contains(flags, "p") {
			return ""
		}
		return fmt.Sprintf("%d/%s", s.PID, s.Name)
	}
	head := ""
	if strings.Contains(flags, "p") {
		head = "PID/Program name    "
	}
	put(p, "Active Internet connections (%s)\nProto Recv-Q Send-Q Local Address           Foreign Address         State       %s\n", what, head)
	tcp, udp := strings.Contains(flags, "t"), strings.Contains(flags, "u")
	both := !tcp && !udp
	for _, s := range p.M.Persona.Sockets {
		if (listen || all) && (both || tcp && strings.HasPrefix(s.Proto, "tcp") || udp && strings.HasPrefix(s.Proto, "udp")) {
			put(p, "%-3s   %6d %6d %-23s %-23s %-11s %s\n", s.Proto, 0, 0, s.Local, s.Peer, map[bool]string{true: "LISTEN"}[s.State == "LISTEN"], owner(s))
		}
	}
	if !listen && (both || tcp) {
		local := p.M.Persona.NICs[0].IPv4 + ":" + map[string]string{"telnet": "23"}[p.S.Service]
		if p.S.Service != "telnet" {
			local += "22"
		}
		put(p, "tcp        0      0 %-23s %-23s %-11s \n", local, p.S.From, "ESTABLISHED")
	}
	if both {
		put(p, "Active UNIX domain sockets (%s)\nProto RefCnt Flags       Type       State         I-Node Path\nunix  2      [ ]         DGRAM                       512 /dev/log\n", what)
	}
	return 0
}

func arp(_ context.Context, p *kernel.Proc) int {
	for _, n := range p.M.Persona.BusyBox.Neighbours {
		put(p, "? (%s) at %s [ether]  on %s\n", n.IP, n.MAC, n.Dev)
	}
	return 0
}

func ip(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "f")
	if len(rest) == 0 {
		return wrongUse
	}
	verb := rest[0]
	switch {
	case strings.HasPrefix("address", verb), strings.HasPrefix("link", verb):
		link := !strings.HasPrefix("address", verb)
		put(p, "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n")
		if !link {
			put(p, "    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n    inet6 ::1/128 scope host \n       valid_lft forever preferred_lft forever\n")
		}
		for i, n := range p.M.Persona.NICs {
			put(p, "%d: %s: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu %d qdisc noqueue qlen 1000\n    link/ether %s brd ff:ff:ff:ff:ff:ff\n", i+2, n.Name, n.MTU, n.MAC)
			if !link && n.IPv4 != "" {
				put(p, "    inet %s/%d brd %s scope global %s\n       valid_lft forever preferred_lft forever\n    inet6 %s/64 scope link \n       valid_lft forever preferred_lft forever\n", n.IPv4, n.Prefix, n.Broadcast, n.Name, n.IPv6LL)
			}
		}
	case strings.HasPrefix("route", verb):
		up := uplink(p)
		put(p, "default via %s dev %s \n", up.Gateway, up.Name)
		for _, v := range slices.Backward(p.M.Persona.NICs) {
			if n := v; n.IPv4 != "" {
				put(p, "%s/24 dev %s scope link  src %s \n", network(n), n.Name, n.IPv4)
			}
		}
	case strings.HasPrefix("neigh", verb):
		for _, n := range p.M.Persona.BusyBox.Neighbours {
			put(p, "%s dev %s lladdr %s ref 1 used 0/0/0 probes 1 REACHABLE\n", n.IP, n.Dev, n.MAC)
		}
	case strings.HasPrefix("rule", verb):
		put(p, "0:\tfrom all lookup local \n32766:\tfrom all lookup main \n32767:\tfrom all lookup default \n")
	default:
		return wrongUse
	}
	return 0
}

func brctl(_ context.Context, p *kernel.Proc) int {
	if p.Args[1] != "show" {
		return 0
	}
	br := p.M.Persona.NICs[0]
	put(p, "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n%s\t\t7fff.%s\tno\t\teth0\n\t\t\t\t\t\t\twlan0\n\t\t\t\t\t\t\twlan1\n", br.Name, strings.ReplaceAll(br.MAC, ":", ""))
	return 0
}

// resolve asks the fake world for a name.
func resolve(p *kernel.Proc, name string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(name); err == nil {
		return a, true
	}
	if p.M.Net == nil {
		return netip.Addr{}, false
	}
	addrs, ok := p.M.Net.Resolve(name)
	if !ok || len(addrs) == 0 {
		return netip.Addr{}, false
	}
	return addrs[0], true
}

func ping(ctx context.Context, p *kernel.Proc) int {
	_, values, rest := options(p, "csitIWwp")
	count := -1
	if c, given := values['c']; given {
		n, err := strconv.Atoi(c)
		if err != nil {
			complain(p, "ping: invalid number '%s'\n", c)
			return 1
		}
		count = n
	}
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "ping", URL: "icmp:" + rest[0]})
	a, ok := resolve(p, rest[0])
	if !ok {
		complain(p, "ping: bad address '%s'\n", rest[0])
		return 1
	}
	put(p, "PING %s (%s): 56 data bytes\n", rest[0], a)
	near := a.IsLoopback()
	for _, n := range p.M.Persona.NICs {
		near = near || n.IPv4 == a.String() || n.Gateway == a.String()
	}
	sent, got := 0, 0
	var low, high, sum float64
	for count < 0 || sent < count {
		sent++
		if near {
			ms := 0.2 + float64(p.M.Rand.IntN(400))/1000
			put(p, "64 bytes from %s: seq=%d ttl=64 time=%.3f ms\n", a, sent-1, ms)
			if got == 0 || ms < low {
				low = ms
			}
			got, high, sum = got+1, max(high, ms), sum+ms
		}
		if sent == count && near {
			break
		}
		if p.Step(10) != nil || p.M.Clock.Sleep(ctx, time.Second) != nil {
			break
		}
	}
	put(p, "\n--- %s ping statistics ---\n%d packets transmitted, %d packets received, %d%% packet loss\n", rest[0], sent, got, 100-got*100/sent)
	if got > 0 {
		put(p, "round-trip min/avg/max = %.3f/%.3f/%.3f ms\n", low, sum/float64(got), high)
		return 0
	}
	return 1
}

func nslookup(_ context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "")
	dns := p.M.Persona.DNS[0]
	if len(rest) > 1 {
		dns = rest[1]
	}
	put(p, "Server:\t\t%s\nAddress:\t%s:53\n\n", dns, dns)
	a, ok := resolve(p, rest[0])
	if !ok {
		put(p, "** server can't find %s: NXDOMAIN\n\n", rest[0])
		return 1
	}
	put(p, "Non-authoritative answer:\nName:\t%s\nAddress: %s\n\n", rest[0], a)
	return 0
}

func traceroute(ctx context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "fmqptwsiz")
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "traceroute", URL: "icmp:" + rest[0]})
	a, ok := resolve(p, rest[0])
	if !ok {
		complain(p, "traceroute: bad address '%s'\n", rest[0])
		return 1
	}
	put(p, "traceroute to %s (%s), 30 hops max, 46 byte packets\n", rest[0], a)
	gw := uplink(p).Gateway
	put(p, " 1  %s (%s)  %.3f ms  %.3f ms  %.3f ms\n", gw, gw, 0.9, 0.7, 0.8)
	for hop := 2; hop <= 30; hop++ {
		if p.M.Clock.Sleep(ctx, 5*time.Second) != nil {
			return 1
		}
		put(p, "%2d  *  *  *\n", hop)
	}
	return 0
}
