// Package netcmd holds the network programs of a fake host. What they say of
// the world outside comes from a kernel.Net; nothing is ever sent.
package netcmd

import (
	"context"
	"fmt"

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
