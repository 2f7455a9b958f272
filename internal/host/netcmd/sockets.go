package netcmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// services are names of /etc/services that hosts here listen on.
var services = map[string]string{
	"22": "ssh", "23": "telnet", "25": "smtp", "53": "domain", "68": "bootpc", "80": "http", "110": "pop3", "111": "sunrpc", "123": "ntp", "143": "imap2",
	"323": "323", "443": "https", "445": "microsoft-ds", "631": "ipp", "993": "imaps", "3306": "mysql", "5432": "postgresql", "6379": "redis", "8080": "http-alt",
}

// sockets are the host's, then the visitor's own connections.
func sockets(p *kernel.Proc) []persona.Socket { return p.M.Sockets() }

// chosen are the sockets that the usual letters select: -t -u -l -a -4 -6.
func chosen(p *kernel.Proc, o getopt.Opts) []persona.Socket {
	tcp, udp := o.Has("t"), o.Has("u")
	if !tcp && !udp && !o.Has("x", "w") {
		tcp, udp = true, true
	}
	var out []persona.Socket
	for _, s := range sockets(p) {
		isUDP, v6, quiet := strings.HasPrefix(s.Proto, "udp"), strings.HasSuffix(s.Proto, "6"), s.State != "ESTAB"
		if isUDP && !udp || !isUDP && !tcp || o.Has("4") && v6 || o.Has("6") && !v6 {
			continue
		}
		if o.Has("a") || quiet == o.Has("l") {
			out = append(out, s)
		}
	}
	return out
}

// halves are address and port of a socket's end.
func halves(end string, numeric bool) (addr, port string) {
	i := strings.LastIndexByte(end, ':')
	addr, port = end[:i], end[i+1:]
	if name := services[port]; name != "" && !numeric {
		port = name
	}
	return addr, port
}

const ssUsage = "Usage: ss [ OPTIONS ]\n       ss [ OPTIONS ] [ FILTER ]\n"

func ss(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "hVnraloempiKsEZNbSgMxtuwdf:46HOA:D:F:",
		"numeric/n resolve/r all/a listening/l options/o extended/e memory/m processes/p info/i summary/s tcp/t udp/u unix/x raw/w ipv4/4 ipv6/6 no-header/H oneline/O family= query=")
	switch {
	case o.Has("V") || o.Bad == "--version":
		put(p, "ss utility, iproute2-%s\n", version(p, "iproute2", "6.1.0"))
		return 0
	case o.Has("h") || o.Bad == "--help":
		put(p, "%s", ssUsage)
		return 0
	case o.Bad != "":
		complain(p, "ss: %s\n%s", o.Bad, ssUsage)
		return 255
	case o.Has("s"):
		summary(p)
		return 0
	}
	var list []persona.Socket
	for _, s := range chosen(p, o) {
		if passes(s, strings.Fields(strings.Join(o.Args, " "))) {
			list = append(list, s)
		}
	}
	ssTable(p, o, list)
	return 0
}

// passes applies the common filters: state NAME, sport = :22, dport = :22.
func passes(s persona.Socket, filter []string) bool {
	for i := 0; i+1 < len(filter); i++ {
		switch filter[i] {
		case "state":
			want := map[string]string{"established": "ESTAB", "listening": "LISTEN", "connected": "ESTAB", "all": s.State}[filter[i+1]]
			if s.State != want {
				return false
			}
		case "sport", "dport":
			want := filter[len(filter)-1]
			if i+2 < len(filter) && strings.Trim(filter[i+1], "=eq") == "" {
				want = filter[i+2]
			}
			end := map[string]string{"sport": s.Local, "dport": s.Peer}[filter[i]]
			if want = want[strings.LastIndexByte(want, ':')+1:]; want != end[strings.LastIndexByte(end, ':')+1:] && services[end[strings.LastIndexByte(end, ':')+1:]] != want {
				return false
			}
		}
	}
	return true
}

// summary counts sockets as ss -s does.
func summary(p *kernel.Proc) {
	var tcp, tcp6, udp, udp6, estab int
	for _, s := range sockets(p) {
		switch s.Proto {
		case "tcp":
			tcp++
		case "tcp6":
			tcp6++
		case "udp":
			udp++
		case "udp6":
			udp6++
		}
		if s.State == "ESTAB" {
			estab++
		}
	}
	put(p, "Total: %d\nTCP:   %d (estab %d, closed 0, orphaned 0, timewait 0)\n\nTransport Total     IP        IPv6\n", 96+tcp+tcp6+udp+udp6, tcp+tcp6, estab)
	for _, l := range []struct {
		name string
		a, b int
	}{{"RAW", 0, 0}, {"UDP", udp, udp6}, {"TCP", tcp, tcp6}, {"INET", tcp + udp, tcp6 + udp6}, {"FRAG", 0, 0}} {
		put(p, "%s\t  %-9d %-9d %-9d\n", l.name, l.a+l.b, l.a, l.b)
	}
	put(p, "\n")
}

// ssTable is ss's table: each column as wide as its widest cell, addresses
// right-aligned before their ports.
func ssTable(p *kernel.Proc, o getopt.Opts, list []persona.Socket) {
	const netid, state, local, lport, peer, pport, proc = 0, 1, 4, 5, 6, 7, 8
	rows := [][]string{{"Netid", "State", "Recv-Q", "Send-Q", "Local Address", "Port", "Peer Address", "Port", "Process"}}
	if o.Has("H") {
		rows[0] = []string{"", "", "      ", "      ", "", "", "", "", ""}
	}
	for _, s := range list {
		row := []string{strings.TrimSuffix(s.Proto, "6"), s.State, "0", "128", "", "", "", "", ""}
		switch s.State {
		case "UNCONN":
			row[3] = "0"
		case "ESTAB":
			row[3] = "36"
		}
		row[local], row[lport] = halves(s.Local, o.Has("n"))
		row[peer], row[pport] = halves(s.Peer, true)
		if o.Has("p") && p.Caller.UID == 0 && s.PID > 0 {
			row[proc] = fmt.Sprintf(" users:((\"%s\",pid=%d,fd=%d))", s.Name, s.PID, map[bool]int{true: 4, false: 3}[strings.HasSuffix(s.Proto, "6") || s.State == "ESTAB"])
		}
		rows = append(rows, row)
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	one := o.Has("t") != o.Has("u")
	for i, r := range rows {
		if i == 0 && o.Has("H") {
			continue
		}
		if !one {
			put(p, "%-*s ", width[netid], r[netid])
		}
		put(p, "%-*s %-*s %-*s %*s:%-*s %*s:%-*s%-*s\n", width[state], r[state], width[2], r[2], width[3], r[3],
			width[local], r[local], width[lport], r[lport], width[peer], r[peer], width[pport], r[pport], width[proc], r[proc])
	}
}

func netstat(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "rigsMvWnNetuUwxlapoCcF46", "route/r interfaces/i groups/g statistics/s numeric/n tcp/t udp/u raw/w unix/x listening/l all/a programs/p extend/e verbose/v wide/W inet/4 inet6/6")
	switch {
	case o.Bad != "":
		complain(p, "netstat: %s\nusage: netstat [-vWeenNcCF] [<Af>] -r         netstat {-V|--version|-h|--help}\n", o.Bad)
		return 4
	case o.Has("r"):
		routes(p, true)
		return 0
	case o.Has("i"):
		counters(p)
		return 0
	case o.Has("s"):
		traffic(p)
		return 0
	}
	return connections(p, o)
}

func connections(p *kernel.Proc, o getopt.Opts) int {
	kind := "w/o servers"
	switch {
	case o.Has("a"):
		kind = "servers and established"
	case o.Has("l"):
		kind = "only servers"
	}
	head := ""
	if o.Has("p") {
		head = " PID/Program name    "
		if p.Caller.UID != 0 {
			complain(p, "(Not all processes could be identified, non-owned process info\n will not be shown, you would have to be root to see it all.)\n")
		}
	}
	put(p, "Active Internet connections (%s)\nProto Recv-Q Send-Q Local Address           Foreign Address         State      %s\n", kind, head)
	for _, s := range chosen(p, o) {
		state, queue, who := map[string]string{"LISTEN": "LISTEN", "ESTAB": "ESTABLISHED"}[s.State], 0, ""
		if s.State == "ESTAB" {
			queue = 36
		}
		if o.Has("p") {
			who = "-"
			if p.Caller.UID == 0 && s.PID > 0 {
				who = fmt.Sprintf("%d/%s", s.PID, map[bool]string{true: "sshd: " + p.S.User.Name, false: s.Name}[s.State == "ESTAB"])
			}
			who = fmt.Sprintf(" %-20s", who)
		}
		put(p, "%-5s %6d %6d %-23s %-23s %-11s%s\n", s.Proto, 0, queue, plain(s.Local, o.Has("n")), plain(s.Peer, o.Has("n")), state, who)
	}
	return 0
}

// plain is an end of a socket as net-tools writes it.
func plain(end string, numeric bool) string {
	addr, port := halves(strings.NewReplacer("[::]", "::").Replace(end), numeric)
	return addr + ":" + port
}

// traffic is the head of netstat -s, from the interface's counters.
func traffic(p *kernel.Proc) {
	n := p.M.Persona.NICs[0]
	up := int64(p.M.Uptime(p.Now()).Seconds())
	rx, tx := (n.RxBytes+up*190)/640, (n.TxBytes+up*120)/480
	put(p, "Ip:\n    Forwarding: 2\n    %d total packets received\n    0 forwarded\n    0 incoming packets discarded\n    %d incoming packets delivered\n    %d requests sent out\n", rx, rx-rx/97, tx)
	put(p, "Tcp:\n    %d active connection openings\n    %d passive connection openings\n    %d failed connection attempts\n    %d connection resets received\n    1 connections established\n    %d segments received\n    %d segments sent out\n", up/4000, up/700, up/9000, up/5000, rx-rx/20, tx-tx/21)
}

// counters is netstat -i.
func counters(p *kernel.Proc) {
	n := p.M.Persona.NICs[0]
	up := int64(p.M.Uptime(p.Now()).Seconds())
	put(p, "Kernel Interface table\nIface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n")
	put(p, "%-15s %5d %8d      0      0 0      %8d      0      0      0 BMRU\n", n.Name, n.MTU, (n.RxBytes+up*190)/640, (n.TxBytes+up*120)/480)
	put(p, "%-15s %5d %8d      0      0 0      %8d      0      0      0 LRU\n", "lo", 65536, up/20, up/20)
}

func route(_ context.Context, p *kernel.Proc) int {
	for _, a := range p.Args[1:] {
		switch a {
		case "add", "del", "delete", "flush":
			if p.Caller.UID != 0 {
				complain(p, "SIOC%sRT: Operation not permitted\n", map[bool]string{true: "ADD", false: "DEL"}[a == "add"])
				return 7
			}
			return 0
		}
	}
	routes(p, false)
	return 0
}

func routes(p *kernel.Proc, windows bool) {
	n := p.M.Persona.NICs[0]
	net := network(p)
	mask := netmask(net.Bits())
	head, rest := "Metric Ref    Use Iface", "0      0        0"
	if windows {
		head, rest = "  MSS Window  irtt Iface", "  0 0          0"
	}
	put(p, "Kernel IP routing table\nDestination     Gateway         Genmask         Flags %s\n", head)
	gap := map[bool]string{true: "      ", false: "    "}[windows]
	put(p, "%-15s %-15s %-15s UG%s%s %s\n", "0.0.0.0", n.Gateway, "0.0.0.0", gap, rest, n.Name)
	put(p, "%-15s %-15s %-15s U %s%s %s\n", net.Addr(), "0.0.0.0", mask, gap, rest, n.Name)
}

func arp(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "vnDaei:s:d:fH:", "")
	n := p.M.Persona.NICs[0]
	mac := p.M.Persona.GatewayMAC()
	for _, a := range o.Args {
		if a != n.Gateway {
			put(p, "%s (%[1]s) -- no entry\n", a)
			return 1
		}
	}
	if o.Has("a") {
		put(p, "? (%s) at %s [ether] on %s\n", n.Gateway, mac, n.Name)
		return 0
	}
	put(p, "Address                  HWtype  HWaddress           Flags Mask            Iface\n%-24s ether   %s   C                     %s\n", n.Gateway, mac, n.Name)
	return 0
}
