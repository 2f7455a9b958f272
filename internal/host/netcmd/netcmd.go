// Package netcmd holds the network programs of a fake host. What they say of
// the world outside comes from a kernel.Net; nothing is ever sent.
package netcmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"ip": ip, "ifconfig": ifconfig, "ss": ss, "netstat": netstat, "route": route, "arp": arp, "wget": wget, "curl": curl, "tftp": tftp, "ftpget": tftp,
		"ping": ping, "nslookup": nslookup, "host": hostCmd, "dig": dig, "telnet": dialled, "nc": dialled, "ftp": dialled, "ssh": ssh, "sftp": ssh,
	}
}

func put(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stdout(), format, args...) //nolint:errcheck // the visitor's own output
}

func complain(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), format, args...) //nolint:errcheck // the visitor's own stderr
}

func ip(_ context.Context, p *kernel.Proc) int {
	n := p.M.Persona.NICs[0]
	verb := ""
	for _, a := range p.Args[1:] {
		if !strings.HasPrefix(a, "-") {
			verb = a
			break
		}
	}
	net := n.IPv4[:strings.LastIndexByte(n.IPv4, '.')] + ".0"
	switch {
	case verb == "":
		complain(p, "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n       ip [ -force ] -batch filename\n")
		return 255
	case strings.HasPrefix("route", verb):
		put(p, "default via %s dev %s onlink \n%s/%d dev %s proto kernel scope link src %s \n", n.Gateway, n.Name, net, n.Prefix, n.Name, n.IPv4)
	case strings.HasPrefix("neighbour", verb) || strings.HasPrefix("neighbor", verb):
		put(p, "%s dev %s lladdr 00:1b:17:00:01:0a REACHABLE\n", n.Gateway, n.Name)
	case strings.HasPrefix("address", verb) || strings.HasPrefix("link", verb):
		link := !strings.HasPrefix("address", verb)
		put(p, "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n")
		if !link {
			put(p, "    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n    inet6 ::1/128 scope host noprefixroute \n       valid_lft forever preferred_lft forever\n")
		}
		put(p, "2: %s: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu %d qdisc fq_codel state UP group default qlen 1000\n    link/ether %s brd ff:ff:ff:ff:ff:ff\n    altname enp0s18\n", n.Name, n.MTU, n.MAC)
		if !link {
			put(p, "    inet %s/%d brd %s scope global %s\n       valid_lft forever preferred_lft forever\n    inet6 %s/64 scope link \n       valid_lft forever preferred_lft forever\n", n.IPv4, n.Prefix, n.Broadcast, n.Name, n.IPv6LL)
		}
	default:
		complain(p, "Object \"%s\" is unknown, try \"ip help\".\n", verb)
		return 1
	}
	return 0
}

func ifconfig(_ context.Context, p *kernel.Proc) int {
	n := p.M.Persona.NICs[0]
	up := int64(p.M.Uptime(p.Now()).Seconds())
	rx, tx := n.RxBytes+up*190, n.TxBytes+up*120
	gib := func(v int64) string { return fmt.Sprintf("%.1f GiB", float64(v)/(1<<30)) }
	put(p, "%s: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu %d\n        inet %s  netmask 255.255.255.0  broadcast %s\n        inet6 %s  prefixlen 64  scopeid 0x20<link>\n        ether %s  txqueuelen 1000  (Ethernet)\n        RX packets %d  bytes %d (%s)\n        RX errors 0  dropped 0  overruns 0  frame 0\n        TX packets %d  bytes %d (%s)\n        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0\n\n",
		n.Name, n.MTU, n.IPv4, n.Broadcast, n.IPv6LL, n.MAC, rx/640, rx, gib(rx), tx/480, tx, gib(tx))
	put(p, "lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536\n        inet 127.0.0.1  netmask 255.0.0.0\n        inet6 ::1  prefixlen 128  scopeid 0x10<host>\n        loop  txqueuelen 1000  (Local Loopback)\n        RX packets %d  bytes %d (%.1f MiB)\n        RX errors 0  dropped 0  overruns 0  frame 0\n        TX packets %d  bytes %d (%.1f MiB)\n        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0\n\n", up/20, up*31, float64(up*31)/(1<<20), up/20, up*31, float64(up*31)/(1<<20))
	return 0
}

func flagsOf(p *kernel.Proc) string {
	f := ""
	for _, a := range p.Args[1:] {
		if strings.HasPrefix(a, "-") {
			f += strings.TrimLeft(a, "-")
		}
	}
	return f
}

// visitor is the visitor's own connection as the host would list it.
func visitor(p *kernel.Proc) (local, peer string) {
	return p.M.Persona.NICs[0].IPv4 + ":22", p.S.From.String()
}

func ss(_ context.Context, p *kernel.Proc) int {
	f := flagsOf(p)
	put(p, "State  Recv-Q Send-Q Local Address:Port   Peer Address:PortProcess%s\n", map[bool]string{true: "                               ", false: ""}[strings.Contains(f, "p")])
	if !strings.Contains(f, "l") || strings.Contains(f, "a") {
		l, r := visitor(p)
		put(p, "ESTAB  0      36     %18s %18s \n", l, r)
		if !strings.Contains(f, "a") {
			return 0
		}
	}
	for _, s := range p.M.Persona.Sockets {
		proc := ""
		if strings.Contains(f, "p") && p.Caller.UID == 0 {
			proc = fmt.Sprintf("users:((\"%s\",pid=%d,fd=3))", s.Name, s.PID)
		}
		put(p, "LISTEN 0      128    %18s %18s%s\n", s.Local, s.Peer, proc)
	}
	return 0
}

func netstat(ctx context.Context, p *kernel.Proc) int {
	f := flagsOf(p)
	if strings.Contains(f, "r") {
		return route(ctx, p)
	}
	who := ""
	if strings.Contains(f, "p") {
		who = " PID/Program name   "
	}
	put(p, "Active Internet connections (%s)\nProto Recv-Q Send-Q Local Address           Foreign Address         State      %s\n", map[bool]string{true: "only servers", false: "w/o servers"}[strings.Contains(f, "l")], who)
	if strings.ContainsAny(f, "la") {
		for _, s := range p.M.Persona.Sockets {
			local := strings.NewReplacer("[::]", "::").Replace(s.Local)
			if who != "" {
				who = fmt.Sprintf(" %d/%s", s.PID, s.Name)
			}
			put(p, "%-5s %6d %6d %-23s %-23s LISTEN     %s\n", s.Proto, 0, 0, local, strings.NewReplacer("[::]", "::").Replace(s.Peer), who)
		}
	}
	if !strings.Contains(f, "l") {
		l, r := visitor(p)
		put(p, "tcp        0     36 %-23s %-23s ESTABLISHED\n", l, r)
	}
	return 0
}

func route(_ context.Context, p *kernel.Proc) int {
	n := p.M.Persona.NICs[0]
	put(p, "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n%-15s %-15s 0.0.0.0         UG    0      0        0 %s\n%-15s 0.0.0.0         255.255.255.0   U     0      0        0 %s\n", "0.0.0.0", n.Gateway, n.Name, n.IPv4[:strings.LastIndexByte(n.IPv4, '.')]+".0", n.Name)
	return 0
}

func arp(_ context.Context, p *kernel.Proc) int {
	n := p.M.Persona.NICs[0]
	put(p, "Address                  HWtype  HWaddress           Flags Mask            Iface\n%-24s ether   00:1b:17:00:01:0a   C                     %s\n", n.Gateway, n.Name)
	return 0
}
