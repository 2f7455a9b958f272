package netcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// ipRun is one call of iproute2's ip.
type ipRun struct {
	p                   *kernel.Proc
	brief, json, single bool
	stats               bool
	family              int // 4, 6, 0 = both
}

const (
	ipUsage = "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n       ip [ -force ] -batch filename\n" +
		"where  OBJECT := { address | addrlabel | amt | fou | help | ila | ioam | l2tp |\n                   link | macsec | maddress | monitor | mptcp | mroute | mrule |\n                   neighbor | neighbour | netconf | netns | nexthop | ntable |\n                   ntbl | route | rule | sr | tap | tcpmetrics |\n                   token | tunnel | tuntap | vrf | xfrm }\n" +
		"       OPTIONS := { -V[ersion] | -s[tatistics] | -d[etails] | -r[esolve] |\n                    -h[uman-readable] | -iec | -j[son] | -p[retty] |\n                    -f[amily] { inet | inet6 | mpls | bridge | link } |\n                    -4 | -6 | -M | -B | -0 |\n                    -l[oops] { maximum-addr-flush-attempts } | -br[ief] |\n                    -o[neline] | -t[imestamp] | -ts[hort] | -b[atch] [filename] |\n                    -rc[vbuf] [size] | -n[etns] name | -N[umeric] | -a[ll] |\n                    -c[olor]}\n"
	forever = "valid_lft forever preferred_lft forever"
)

func ip(_ context.Context, p *kernel.Proc) int {
	r := &ipRun{p: p}
	args := p.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if done, status := r.option(args); done {
			return status
		}
		if args[0] == "-f" || args[0] == "-family" {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		complain(p, "%s", ipUsage)
		return 255
	}
	for _, o := range []struct {
		name string
		run  func([]string) int
	}{{"address", r.address}, {"link", r.link}, {"route", r.route}, {"rule", r.rule}, {"neighbor", r.neighbour}, {"neighbour", r.neighbour}} {
		if strings.HasPrefix(o.name, args[0]) {
			return o.run(args[1:])
		}
	}
	if args[0] == "help" {
		complain(p, "%s", ipUsage)
		return 255
	}
	complain(p, "Object \"%s\" is unknown, try \"ip help\".\n", args[0])
	return 1
}

// option takes the first of args, which begins with '-'.
func (r *ipRun) option(args []string) (done bool, status int) {
	name := "-" + strings.TrimLeft(args[0], "-")
	is := func(full string, short int) bool { return len(name) >= short && strings.HasPrefix(full, name) }
	switch {
	case name == "-4" || is("-family", 2) && len(args) > 1 && args[1] == "inet":
		r.family = 4
	case name == "-6" || is("-family", 2) && len(args) > 1 && args[1] == "inet6":
		r.family = 6
	case is("-brief", 3):
		r.brief = true
	case is("-json", 2):
		r.json = true
	case is("-oneline", 2):
		r.single = true
	case is("-statistics", 2):
		r.stats = true
	case is("-Version", 2):
		put(r.p, "ip utility, iproute2-%s, libbpf %s\n", version(r.p, "iproute2", "6.1.0"), version(r.p, "libbpf1", "1.1.2"))
		return true, 0
	case is("-help", 2):
		complain(r.p, "%s", ipUsage)
		return true, 255
	case is("-pretty", 2), is("-details", 2), is("-resolve", 2), is("-Numeric", 2), is("-human-readable", 2), is("-all", 2), strings.HasPrefix(name, "-c"), name == "-0", name == "-iec", is("-timestamp", 2), is("-force", 3):
	default:
		complain(r.p, "Option \"%s\" is unknown, try \"ip -help\".\n", name)
		return true, 255
	}
	return false, 0
}

// version is a package's without epoch and revision.
func version(p *kernel.Proc, name, def string) string {
	k, ok := p.M.Persona.Package(name)
	if !ok {
		return def
	}
	v := k.Version[strings.IndexByte(k.Version, ':')+1:]
	v, _, _ = strings.Cut(v, "-")
	return v
}

// verb reads what is to be done; show is true for showing, with what is named.
func (r *ipRun) verb(object string, args []string) (rest []string, show bool, status int) {
	switch {
	case len(args) == 0:
		return nil, true, 0
	case strings.HasPrefix("show", args[0]), strings.HasPrefix("list", args[0]), strings.HasPrefix("lst", args[0]):
		return args[1:], true, 0
	case args[0] == "help":
		complain(r.p, "Usage: ip %s { show | add | del | change | replace | flush }\n", object)
		return nil, false, 255
	}
	for _, v := range []string{"add", "append", "change", "chg", "delete", "replace", "flush", "set", "save", "restore"} {
		if strings.HasPrefix(v, args[0]) {
			if r.p.Caller.UID != 0 {
				complain(r.p, "RTNETLINK answers: Operation not permitted\n")
				return nil, false, 2
			}
			return nil, false, 0
		}
	}
	complain(r.p, "Command \"%s\" is unknown, try \"ip %s help\".\n", args[0], object)
	return nil, false, 255
}

// iface is one interface as ip shows it.
type iface struct {
	Index     int      `json:"ifindex"`
	Name      string   `json:"ifname"`
	Flags     []string `json:"flags"`
	MTU       int      `json:"mtu"`
	Qdisc     string   `json:"qdisc"`
	State     string   `json:"operstate"`
	Mode      string   `json:"linkmode,omitempty"`
	Group     string   `json:"group"`
	Queue     int      `json:"txqlen"`
	Type      string   `json:"link_type,omitempty"`
	Address   string   `json:"address,omitempty"`
	Broadcast string   `json:"broadcast,omitempty"`
	Alt       []string `json:"altnames,omitempty"`
	Addrs     []ifaddr `json:"addr_info,omitempty"`
	rx, tx    int64
}

type ifaddr struct {
	Family    string `json:"family"`
	Local     string `json:"local"`
	Prefix    int    `json:"prefixlen"`
	Broadcast string `json:"broadcast,omitempty"`
	Scope     string `json:"scope"`
	NoRoute   bool   `json:"noprefixroute,omitempty"`
	Label     string `json:"label,omitempty"`
	Valid     int64  `json:"valid_life_time"`
	Preferred int64  `json:"preferred_life_time"`
}

// interfaces are those that args name: all, [dev] NAME, up.
func (r *ipRun) interfaces(args []string) ([]iface, bool) {
	const ever = 1<<32 - 1
	n := r.p.M.Persona.NICs[0]
	up := int64(r.p.M.Uptime(r.p.Now()).Seconds())
	all := []iface{{
		Index: 1, Name: "lo", Flags: []string{"LOOPBACK", "UP", "LOWER_UP"}, MTU: 65536, Qdisc: "noqueue", State: "UNKNOWN", Group: "default", Queue: 1000,
		Type: "loopback", Address: "00:00:00:00:00:00", Broadcast: "00:00:00:00:00:00", rx: up * 31, tx: up * 31,
		Addrs: []ifaddr{
			{Family: "inet", Local: "127.0.0.1", Prefix: 8, Scope: "host", Label: "lo", Valid: ever, Preferred: ever},
			{Family: "inet6", Local: "::1", Prefix: 128, Scope: "host", NoRoute: true, Valid: ever, Preferred: ever},
		},
	}, {
		Index: 2, Name: n.Name, Flags: []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}, MTU: n.MTU, Qdisc: "fq_codel", State: "UP", Group: "default", Queue: 1000,
		Type: "ether", Address: n.MAC, Broadcast: "ff:ff:ff:ff:ff:ff", Alt: []string{"enp0s18"}, rx: n.RxBytes + up*190, tx: n.TxBytes + up*120,
		Addrs: []ifaddr{
			{Family: "inet", Local: n.IPv4, Prefix: n.Prefix, Broadcast: n.Broadcast, Scope: "global", Label: n.Name, Valid: ever, Preferred: ever},
			{Family: "inet6", Local: n.IPv6LL, Prefix: 64, Scope: "link", Valid: ever, Preferred: ever},
		},
	}}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "up", "dynamic", "permanent":
		case "scope", "label", "to", "type", "master":
			i++
		case "dev":
		default:
			var one []iface
			for _, f := range all {
				if f.Name == args[i] || len(f.Alt) > 0 && f.Alt[0] == args[i] {
					one = append(one, f)
				}
			}
			if one == nil {
				complain(r.p, "Device \"%s\" does not exist.\n", args[i])
				return nil, false
			}
			all = one
		}
	}
	return all, true
}

func (r *ipRun) encode(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return 255
	}
	put(r.p, "%s\n", b)
	return 0
}

func (r *ipRun) address(args []string) int {
	rest, show, status := r.verb("address", args)
	if !show {
		return status
	}
	all, ok := r.interfaces(rest)
	if !ok {
		return 1
	}
	for i := range all {
		var keep []ifaddr
		for _, a := range all[i].Addrs {
			if r.family == 0 || r.family == 4 && a.Family == "inet" || r.family == 6 && a.Family == "inet6" {
				keep = append(keep, a)
			}
		}
		all[i].Addrs = keep
	}
	if r.json {
		for i := range all {
			if r.family != 0 {
				all[i].Type, all[i].Address, all[i].Broadcast = "", "", ""
			}
		}
		return r.encode(all)
	}
	for _, f := range all {
		switch {
		case r.brief:
			put(r.p, "%-16s %-14s ", f.Name, f.State)
			for _, a := range f.Addrs {
				put(r.p, "%s/%d ", a.Local, a.Prefix)
			}
			put(r.p, "\n")
		case r.single:
			r.addrs(f, fmt.Sprintf("%d: %s", f.Index, f.Name), "\\")
		default:
			r.head(f, "")
			r.addrs(f, "", "\n")
		}
	}
	return 0
}

// head shows an interface itself.
func (r *ipRun) head(f iface, mode string) {
	end := "\n"
	if r.single {
		end = "\\"
	}
	put(r.p, "%d: %s: <%s> mtu %d qdisc %s state %s %sgroup default qlen 1000%s", f.Index, f.Name, strings.Join(f.Flags, ","), f.MTU, f.Qdisc, f.State, mode, end)
	if r.family != 0 && mode == "" {
		if len(f.Alt) > 0 {
			put(r.p, "    altname %s\n", f.Alt[0])
		}
		return
	}
	put(r.p, "    link/%s %s brd %s", f.Type, f.Address, f.Broadcast)
	if r.stats {
		put(r.p, "%s    RX:  bytes packets errors dropped  missed   mcast           %[1]s    %9d %7d      0       0       0       0 %[1]s    TX:  bytes packets errors dropped carrier collsns           %[1]s    %9[4]d %7[5]d      0       0       0       0 ", end, f.rx, f.rx/640, f.tx, f.tx/480)
	}
	if len(f.Alt) > 0 {
		put(r.p, "%s    altname %s", end, f.Alt[0])
	}
	put(r.p, "\n")
}

// addrs shows the addresses of an interface, each line led by lead.
func (r *ipRun) addrs(f iface, lead, sep string) {
	for _, a := range f.Addrs {
		put(r.p, "%s    %s %s/%d ", lead, a.Family, a.Local, a.Prefix)
		if a.Broadcast != "" {
			put(r.p, "brd %s ", a.Broadcast)
		}
		put(r.p, "scope %s ", a.Scope)
		if a.NoRoute {
			put(r.p, "noprefixroute ")
		}
		put(r.p, "%s%s       %s\n", a.Label, sep, forever)
	}
}

func (r *ipRun) link(args []string) int {
	rest, show, status := r.verb("link", args)
	if !show {
		return status
	}
	all, ok := r.interfaces(rest)
	if !ok {
		return 1
	}
	for i := range all {
		all[i].Addrs, all[i].Mode = nil, "DEFAULT"
	}
	if r.json {
		return r.encode(all)
	}
	for _, f := range all {
		if r.brief {
			put(r.p, "%-16s %-14s %s <%s> \n", f.Name, f.State, f.Address, strings.Join(f.Flags, ","))
			continue
		}
		r.head(f, "mode DEFAULT ")
	}
	return 0
}

// network is the network of the first interface.
func network(p *kernel.Proc) netip.Prefix {
	n := p.M.Persona.NICs[0]
	a, err := netip.ParseAddr(n.IPv4)
	if err != nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, n.Prefix).Masked()
}

func (r *ipRun) route(args []string) int {
	n := r.p.M.Persona.NICs[0]
	if len(args) > 0 && args[0] != "" && strings.HasPrefix("get", args[0]) {
		return r.routeTo(args[1:])
	}
	rest, show, status := r.verb("route", args)
	switch {
	case !show:
		return status
	case r.family == 6:
		put(r.p, "fe80::/64 dev %s proto kernel metric 256 pref medium\n", n.Name)
		return 0
	case r.json:
		return r.encode([]map[string]any{
			{"dst": "default", "gateway": n.Gateway, "dev": n.Name, "flags": []string{"onlink"}},
			{"dst": network(r.p).String(), "dev": n.Name, "protocol": "kernel", "scope": "link", "prefsrc": n.IPv4, "flags": []string{}},
		})
	}
	put(r.p, "default via %s dev %s onlink \n", n.Gateway, n.Name)
	if len(rest) == 0 || rest[0] != "default" {
		put(r.p, "%s dev %s proto kernel scope link src %s \n", network(r.p), n.Name, n.IPv4)
	}
	return 0
}

func (r *ipRun) routeTo(args []string) int {
	if len(args) > 0 && args[0] == "to" {
		args = args[1:]
	}
	if len(args) == 0 {
		complain(r.p, "need at least a destination address\n")
		return 255
	}
	n := r.p.M.Persona.NICs[0]
	to, err := netip.ParseAddr(args[0])
	switch {
	case err != nil:
		complain(r.p, "Error: any valid prefix is expected rather than \"%s\".\n", args[0])
		return 1
	case to.Is6() && !to.IsLoopback():
		complain(r.p, "RTNETLINK answers: Network is unreachable\n")
		return 2
	case to.IsLoopback() || to.String() == n.IPv4:
		put(r.p, "local %s dev lo src %[1]s uid %d \n    cache <local> \n", to, r.p.Caller.UID)
	case network(r.p).Contains(to):
		put(r.p, "%s dev %s src %s uid %d \n    cache \n", to, n.Name, n.IPv4, r.p.Caller.UID)
	default:
		put(r.p, "%s via %s dev %s src %s uid %d \n    cache \n", to, n.Gateway, n.Name, n.IPv4, r.p.Caller.UID)
	}
	return 0
}

func (r *ipRun) rule(args []string) int {
	if _, show, status := r.verb("rule", args); !show {
		return status
	}
	put(r.p, "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n")
	if r.family != 6 {
		put(r.p, "32767:\tfrom all lookup default\n")
	}
	return 0
}

func (r *ipRun) neighbour(args []string) int {
	if _, show, status := r.verb("neigh", args); !show {
		return status
	}
	n := r.p.M.Persona.NICs[0]
	mac := r.p.M.Persona.GatewayMAC()
	switch {
	case r.family == 6:
	case r.json:
		return r.encode([]map[string]any{{"dst": n.Gateway, "dev": n.Name, "lladdr": mac, "state": []string{"REACHABLE"}}})
	case r.brief:
		put(r.p, "%-39s %-16s %s\n", n.Gateway, n.Name, mac)
	default:
		put(r.p, "%s dev %s lladdr %s REACHABLE \n", n.Gateway, n.Name, mac)
	}
	return 0
}
