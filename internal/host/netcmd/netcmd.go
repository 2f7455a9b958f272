// Package netcmd holds the network programs of a fake host. What they say of
// the world outside comes from a kernel.Net; nothing is ever sent.
package netcmd

import (
	"context"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"ip": ip, "ifconfig": ifconfig, "ss": ss, "netstat": netstat, "route": route, "arp": arp, "wget": wget, "curl": curl, "tftp": tftp, "ftpget": tftp,
		"lsof": lsof, "iptables": iptables, "ip6tables": iptables, "iptables-save": iptablesSave, "iptables-restore": iptablesRestore, "ping": ping, "nslookup": nslookup, "host": hostCmd, "dig": dig, "telnet": dialled, "nc": dialled, "ftp": dialled, "ssh": ssh, "sftp": ssh,
	}
}

func put(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stdout(), format, args...) //nolint:errcheck // the visitor's own output
}

func complain(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), format, args...) //nolint:errcheck // the visitor's own stderr
}

// ifconfig is that of net-tools 2.10: all interfaces, or the one named. What
// would change one needs root and changes nothing.
func ifconfig(_ context.Context, p *kernel.Proc) int {
	var args []string
	for _, a := range p.Args[1:] {
		if a != "-a" && a != "-v" {
			args = append(args, a)
		}
	}
	n := p.M.Persona.NICs[0]
	switch known := len(args) == 0 || args[0] == n.Name || args[0] == "lo"; {
	case !known && len(args) > 1:
		complain(p, "%s: ERROR while getting interface flags: No such device\n", args[0])
		return 255
	case !known:
		complain(p, "%s: error fetching interface information: Device not found\n", args[0])
		return 1
	case len(args) > 1 && p.Caller.UID != 0:
		complain(p, "SIOCSIFFLAGS: Operation not permitted\n")
		return 255
	case len(args) > 1:
		return 0
	}
	if len(args) == 0 || args[0] == n.Name {
		ethernet(p, n)
	}
	if len(args) == 0 || args[0] == "lo" {
		loopback(p)
	}
	return 0
}

func ethernet(p *kernel.Proc, n persona.NIC) {
	up := int64(p.M.Uptime(p.Now()).Seconds())
	rx, tx := n.RxBytes+up*190, n.TxBytes+up*120
	gib := func(v int64) string { return fmt.Sprintf("%.1f GiB", float64(v)/(1<<30)) }
	put(p, "%s: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu %d\n        inet %s  netmask %s  broadcast %s\n        inet6 %s  prefixlen 64  scopeid 0x20<link>\n        ether %s  txqueuelen 1000  (Ethernet)\n        RX packets %d  bytes %d (%s)\n        RX errors 0  dropped 0  overruns 0  frame 0\n        TX packets %d  bytes %d (%s)\n        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0\n\n",
		n.Name, n.MTU, n.IPv4, netmask(n.Prefix), n.Broadcast, n.IPv6LL, n.MAC, rx/640, rx, gib(rx), tx/480, tx, gib(tx))
}

func loopback(p *kernel.Proc) {
	up := int64(p.M.Uptime(p.Now()).Seconds())
	put(p, "lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536\n        inet 127.0.0.1  netmask 255.0.0.0\n        inet6 ::1  prefixlen 128  scopeid 0x10<host>\n        loop  txqueuelen 1000  (Local Loopback)\n        RX packets %d  bytes %d (%.1f MiB)\n        RX errors 0  dropped 0  overruns 0  frame 0\n        TX packets %d  bytes %d (%.1f MiB)\n        TX errors 0  dropped 0 overruns 0  carrier 0  collisions 0\n\n", up/20, up*31, float64(up*31)/(1<<20), up/20, up*31, float64(up*31)/(1<<20))
}

// netmask is the dotted mask of an IPv4 prefix of so many bits.
func netmask(bits int) string {
	m := ^uint32(0) << (32 - bits)
	return fmt.Sprintf("%d.%d.%d.%d", m>>24, m>>16&255, m>>8&255, m&255)
}
