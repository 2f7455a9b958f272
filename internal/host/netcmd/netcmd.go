// Package netcmd holds the network programs of a fake host. What they say of
// the world outside comes from a kernel.Net; nothing is ever sent.
package netcmd

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"ip": ip, "ifconfig": ifconfig, "ss": ss, "netstat": netstat, "route": route, "arp": arp, "wget": wget, "curl": curl, "tftp": tftp, "ftpget": tftp,
		"ping": ping, "ssh": ssh, "sftp": ssh,
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

// fetch asks the fake world and tells the recorder.
func fetch(ctx context.Context, p *kernel.Proc, f kernel.Fetch) kernel.Reply {
	p.S.Recorder.Fetch(ctx, f)
	if p.M.Net == nil {
		return kernel.Reply{Failure: "timeout"}
	}
	r := p.M.Net.Fetch(ctx, f)
	p.M.Clock.Sleep(ctx, min(r.Delay, 30*time.Second)) //nolint:errcheck // the caller sees ctx
	return r
}

func hostPort(url, port string) string {
	_, rest, found := strings.Cut(url, "://")
	if !found {
		rest = url
	}
	h, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(h, ':'); i > 0 {
		return h
	}
	return h + ":" + port
}

func wget(ctx context.Context, p *kernel.Proc) int {
	out, quiet, prefix := "", false, ""
	var urls []string
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		a := args[i]
		next := func() string {
			if i+1 < len(args) {
				i++
				return args[i]
			}
			return ""
		}
		switch {
		case a == "-O", a == "-qO", a == "--output-document":
			quiet = quiet || a == "-qO"
			out = next()
		case strings.HasPrefix(a, "-O"):
			out = a[2:]
		case strings.HasPrefix(a, "-qO"):
			quiet, out = true, a[3:]
		case a == "-P":
			prefix = next() + "/"
		case a == "-t", a == "-T", a == "-U", a == "-o":
			next()
		case a == "-q", a == "-nv", a == "--quiet":
			quiet = true
		case strings.HasPrefix(a, "-"):
		default:
			urls = append(urls, a)
		}
	}
	if len(urls) == 0 {
		complain(p, "wget: missing URL\nUsage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.\n")
		return 1
	}
	status := 0
	for _, u := range urls {
		if !strings.Contains(u, "://") {
			u = "http://" + u
		}
		name := out
		if name == "" {
			name = path.Base(strings.SplitN(u, "?", 2)[0])
			if strings.Count(u, "/") < 3 || strings.HasSuffix(u, "/") {
				name = "index.html"
			}
			name = prefix + name
		}
		if st := wgetOne(ctx, p, u, name, quiet); st != 0 {
			status = st
		}
	}
	return status
}

func wgetOne(ctx context.Context, p *kernel.Proc, u, name string, quiet bool) int {
	say := func(format string, a ...any) {
		if !quiet {
			complain(p, format, a...)
		}
	}
	hp := hostPort(u, map[bool]string{true: "443", false: "80"}[strings.HasPrefix(u, "https")])
	host, port, _ := strings.Cut(hp, ":")
	stamp := p.Now().UTC().Format("2006-01-02 15:04:05")
	say("--%s--  %s\n", stamp, u)
	r := fetch(ctx, p, kernel.Fetch{Tool: "wget", URL: u, Path: name})
	_, bare := netip.ParseAddr(host)
	if r.Failure == "resolve" {
		say("Resolving %s (%s)... failed: Name or service not known.\nwget: unable to resolve host address ‘%s’\n", host, host, host)
		return 4
	}
	if bare != nil {
		say("Resolving %s (%s)... %s\nConnecting to %s (%s)|%s|:%s... ", host, host, r.Addr, host, host, r.Addr, port)
	} else {
		say("Connecting to %s... ", hp)
	}
	switch r.Failure {
	case "refused":
		say("failed: Connection refused.\n")
		return 4
	case "timeout", "unreachable":
		say("failed: Connection timed out.\nRetrying.\n\n")
		return 4
	}
	say("connected.\nHTTP request sent, awaiting response... ")
	if r.Status >= 400 {
		say("%d Not Found\n%s ERROR %d: Not Found.\n\n", r.Status, stamp, r.Status)
		return 8
	}
	say("200 OK\nLength: %d [%s]\nSaving to: ‘%s’\n\n", len(r.Body), r.Type, map[bool]string{true: "STDOUT", false: name}[name == "-"])
	if name == "-" {
		p.Stdout().Write(r.Body) //nolint:errcheck // the visitor's own output
	} else if err := p.M.FS.WriteFile(p.Caller, p.Abs(name), r.Body, 0o666&^p.Umask); err != nil {
		complain(p, "%s: %s\n\nCannot write to ‘%s’ (%s).\n", name, err, name, err)
		return 3
	}
	say("     0K                                                       100%% %4.1fM=0s\n\n%s (%.2f MB/s) - ‘%s’ saved [%d/%d]\n\n", float64(len(r.Body)%90)/10+1, stamp, float64(len(r.Body)%90)/10+1, name, len(r.Body), len(r.Body))
	return 0
}

func curl(ctx context.Context, p *kernel.Proc) int {
	out, silent, failSilently, remote, head := "", false, false, false, false
	method := "GET"
	var urls []string
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--version" || a == "-V":
			put(p, "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.16\n")
			return 0
		case len(a) > 1 && a[0] == '-' && a[1] != '-':
			for j := 1; j < len(a); j++ {
				switch a[j] {
				case 's':
					silent = true
				case 'f':
					failSilently = true
				case 'O':
					remote = true
				case 'I':
					head = true
				case 'o', 'X', 'd', 'H', 'A', 'e', 'T', 'F', 'm', 'u', 'x', 'b', 'c':
					v := a[j+1:]
					if v == "" && i+1 < len(args) {
						i++
						v = args[i]
					}
					switch a[j] {
					case 'o':
						out = v
					case 'X':
						method = v
					case 'd', 'F', 'T':
						method = "POST"
					}
					j = len(a)
				}
			}
		case strings.HasPrefix(a, "--"):
			if strings.Contains(" --connect-timeout --max-time --output --user-agent --retry ", " "+a+" ") {
				i++
				if a == "--output" && i < len(args) {
					out = args[i]
				}
			}
			silent = silent || a == "--silent"
		default:
			urls = append(urls, a)
		}
	}
	if len(urls) == 0 {
		complain(p, "curl: try 'curl --help' or 'curl --manual' for more information\n")
		return 2
	}
	status := 0
	for _, u := range urls {
		name := out
		if remote {
			name = path.Base(u)
		}
		r := fetch(ctx, p, kernel.Fetch{Tool: "curl", URL: u, Method: method, Path: name})
		h, port, _ := strings.Cut(hostPort(u, map[bool]string{true: "443", false: "80"}[strings.HasPrefix(u, "https")]), ":")
		switch {
		case r.Failure == "resolve":
			complain(p, "curl: (6) Could not resolve host: %s\n", h)
			status = 6
			continue
		case r.Failure == "refused":
			complain(p, "curl: (7) Failed to connect to %s port %s after 3 ms: Couldn't connect to server\n", h, port)
			status = 7
			continue
		case r.Failure != "":
			complain(p, "curl: (28) Failed to connect to %s port %s after 130012 ms: Couldn't connect to server\n", h, port)
			status = 28
			continue
		case r.Status >= 400 && failSilently:
			complain(p, "curl: (22) The requested URL returned error: %d\n", r.Status)
			status = 22
			continue
		}
		if !silent && (name != "" && name != "-" || !p.IsTTY(1)) {
			complain(p, "  %% Total    %% Received %% Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n100 %5d  100 %5d    0     0  %5d      0 --:--:-- --:--:-- --:--:-- %5d\n", len(r.Body), len(r.Body), len(r.Body)*9, len(r.Body)*9)
		}
		body := r.Body
		if head {
			body = fmt.Appendf(nil, "HTTP/1.1 %d OK\r\nServer: nginx\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", r.Status, r.Type, len(r.Body))
		}
		if name == "" || name == "-" {
			p.Stdout().Write(body) //nolint:errcheck // the visitor's own output
		} else if err := p.M.FS.WriteFile(p.Caller, p.Abs(name), body, 0o666&^p.Umask); err != nil {
			complain(p, "curl: (23) Failure writing output to destination\n")
			status = 23
		}
	}
	return status
}

func tftp(ctx context.Context, p *kernel.Proc) int {
	fetch(ctx, p, kernel.Fetch{Tool: path.Base(p.Args[0]), URL: "tftp:" + strings.Join(p.Args[1:], " ")})
	complain(p, "tftp: timeout\n")
	return 1
}

func ping(ctx context.Context, p *kernel.Proc) int {
	count, host := 4, ""
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-c" && i+1 < len(args):
			i++
			fmt.Sscan(args[i], &count) //nolint:errcheck // nonsense pings four times
		case !strings.HasPrefix(args[i], "-"):
			host = args[i]
		}
	}
	if host == "" {
		complain(p, "ping: usage error: Destination address required\n")
		return 1
	}
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "ping", URL: "icmp:" + host})
	put(p, "PING %s (%s) 56(84) bytes of data.\n", host, host)
	for range min(count, 100) {
		if p.M.Clock.Sleep(ctx, time.Second) != nil {
			break
		}
	}
	put(p, "\n--- %s ping statistics ---\n%d packets transmitted, 0 received, 100%% packet loss, time %dms\n\n", host, count, count*1021)
	return 1
}

func ssh(ctx context.Context, p *kernel.Proc) int {
	if len(p.Args) > 1 && p.Args[1] == "-V" {
		complain(p, "%s\n", p.M.Persona.SSH.ClientText)
		return 0
	}
	if len(p.Args) < 2 {
		complain(p, "usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-B bind_interface]\n           destination [command [argument ...]]\n")
		return 255
	}
	host := p.Args[len(p.Args)-1]
	fetch(ctx, p, kernel.Fetch{Tool: "ssh", URL: "ssh:" + strings.Join(p.Args[1:], " ")})
	complain(p, "ssh: connect to host %s port 22: Connection timed out\n", host)
	return 255
}
