package netcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// fwMatch is one test of a rule: as -S shows it, as -L does, and as -L -n does.
type fwMatch struct {
	S, L, N string
}

// fwRule is one rule of a chain.
type fwRule struct {
	Src, Dst, Proto, In, Out string // "! x" is not x
	Matches                  []fwMatch
	Target                   string
	Opts                     fwMatch
	Added                    time.Time
}

// fwChain is a chain of a table.
type fwChain struct {
	Name, Policy string // Policy "-" for a chain of the visitor's
	Rules        []fwRule
	Since        time.Time
}

// builtin chains by table.
var fwTables = map[string]string{"filter": "INPUT FORWARD OUTPUT", "nat": "PREROUTING INPUT OUTPUT POSTROUTING", "mangle": "PREROUTING INPUT FORWARD OUTPUT POSTROUTING", "raw": "PREROUTING OUTPUT", "security": "INPUT FORWARD OUTPUT"}

const maxRules = 200 // of one table

// firewall is one call of iptables.
type firewall struct {
	p            *kernel.Proc
	name, family string // "iptables", "4"
	table        string
	chains       []fwChain
}

// newFirewall is a call of a tool, whose name says which family it is for.
func newFirewall(p *kernel.Proc, tool string) *firewall {
	f := &firewall{p: p, name: tool, family: "4", table: "filter"}
	if strings.HasPrefix(tool, "ip6") {
		f.family = "6"
	}
	return f
}

// tool is the name of a tool for the family that p is called for.
func tool(p *kernel.Proc, name string) string {
	if strings.Contains(getopt.Base(p.Args[0]), "ip6") {
		return strings.Replace(name, "ip", "ip6", 1)
	}
	return name
}

func (f *firewall) key() string { return "firewall/" + f.family + "/" + f.table }

func (f *firewall) read() {
	f.chains = nil
	if v, ok := f.p.M.Settings.Get(f.key()); ok && json.Unmarshal([]byte(v), &f.chains) == nil {
		return
	}
	for n := range strings.FieldsSeq(fwTables[f.table]) {
		f.chains = append(f.chains, fwChain{Name: n, Policy: "ACCEPT", Since: f.p.Now()})
	}
}

func (f *firewall) write() int {
	b, err := json.Marshal(f.chains)
	if err != nil || !f.p.M.Settings.Set(f.key(), string(b)) {
		return f.fail(4, " RULE_APPEND failed (No space left on device): rule in chain")
	}
	return 0
}

func (f *firewall) chain(name string) *fwChain {
	for i := range f.chains {
		if f.chains[i].Name == name {
			return &f.chains[i]
		}
	}
	return nil
}

func (f *firewall) fail(status int, format string, args ...any) int {
	complain(f.p, "%s v1.8.9 (nf_tables): %s\n", f.name, fmt.Sprintf(format, args...))
	return status
}

func (f *firewall) usage(format string, args ...any) int {
	return f.fail(2, "%s\nTry `%s -h' or '%s --help' for more information.", fmt.Sprintf(format, args...), f.name, f.name)
}

func iptables(ctx context.Context, p *kernel.Proc) int {
	switch name := strings.Replace(getopt.Base(p.Args[0]), "-nft", "", 1); { // one program under many names
	case strings.HasSuffix(name, "-save"):
		return iptablesSave(ctx, p)
	case strings.HasSuffix(name, "-restore"):
		return iptablesRestore(ctx, p)
	}
	f := newFirewall(p, strings.TrimSuffix(getopt.Base(p.Args[0]), "-nft"))
	c := &fwCall{f: f}
	if st := c.parse(p.Args[1:]); st != 0 {
		return st
	}
	switch {
	case c.version:
		put(p, "%s v1.8.9 (nf_tables)\n", f.name)
		return 0
	case c.verb == "":
		return f.usage("no command specified")
	case p.Caller.UID != 0:
		return f.fail(4, "Could not fetch rule set generation id: Permission denied (you must be root)\n")
	case fwTables[f.table] == "":
		return f.fail(3, "table '%s' does not exist\nPerhaps %s or your kernel needs to be upgraded.", f.table, f.name)
	}
	f.read()
	return c.run()
}

// fwCall is what a command line asks for.
type fwCall struct {
	f                          *firewall
	verb, chain                string
	num                        int
	word                       string // policy, or a chain's new name
	rule                       fwRule
	numeric, verbose, numbered bool
	exact, version             bool
	proto                      string
}

// fwVerbs are the commands: their letter by name.
var fwVerbs = map[string]string{
	"--append": "-A", "--delete": "-D", "--insert": "-I", "--replace": "-R", "--list": "-L", "--list-rules": "-S", "--flush": "-F", "--zero": "-Z", "--new-chain": "-N", "--delete-chain": "-X", "--policy": "-P", "--rename-chain": "-E", "--check": "-C",
	"--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d", "--protocol": "-p", "--proto": "-p", "--in-interface": "-i", "--out-interface": "-o", "--jump": "-j", "--goto": "-g", "--match": "-m", "--table": "-t", "--numeric": "-n", "--verbose": "-v", "--wait": "-w",
	"--destination-port": "--dport", "--source-port": "--sport", "--destination-ports": "--dports", "--source-ports": "--sports", "--version": "-V", "--exact": "-x", "--help": "-h",
}

func (c *fwCall) parse(args []string) int {
	c.rule.Added = c.f.p.Now()
	not := ""
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		if a == "!" {
			not = "! "
			continue
		}
		if v := fwVerbs[a]; v != "" {
			a = v
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' { // -nvL, -tnat
			switch a[1] {
			case 'n', 'v', 'x', 'w', 'L', 'S', 'F', 'Z', 'X':
				args = append([]string{"-" + a[2:]}, args...)
				a = a[:2]
			case 't', 'p', 'j', 's', 'd', 'i', 'o', 'm', 'A', 'I', 'D':
				args = append([]string{a[2:]}, args...)
				a = a[:2]
			}
		}
		rest, st := c.option(a, not, args)
		if st != 0 {
			return st
		}
		args, not = rest, ""
	}
	return 0
}

// option takes one option; rest is what follows its values.
func (c *fwCall) option(a, not string, args []string) (rest []string, status int) {
	next := func() (string, bool) {
		if len(args) == 0 || len(args[0]) > 1 && args[0][0] == '-' && !strings.ContainsAny(args[0], " ") {
			return "", false
		}
		v := args[0]
		args = args[1:]
		return v, true
	}
	r := &c.rule
	switch a {
	case "-V":
		c.version = true
	case "-n":
		c.numeric = true
	case "-v":
		c.verbose = true
	case "-x":
		c.exact = true
	case "-w":
		if len(args) > 0 && strings.Trim(args[0], "0123456789") == "" {
			args = args[1:]
		}
	case "--line-numbers":
		c.numbered = true
	case "-L", "-S", "-F", "-Z", "-X":
		c.verb = a
		c.chain, _ = next()
	case "-A", "-D", "-I", "-R", "-N", "-P", "-E", "-C":
		v, ok := next()
		if !ok {
			return nil, c.f.usage("option \"%s\" requires an argument", a)
		}
		c.verb, c.chain = a, v
		if len(args) > 0 && (a == "-P" || a == "-E") {
			c.word, _ = next()
		}
		if n, err := strconv.Atoi(first(args)); err == nil && (a == "-D" || a == "-I" || a == "-R") {
			c.num, args = n, args[1:]
		}
	case "-t", "-p", "-s", "-d", "-i", "-o", "-j", "-g", "-m":
		v, ok := next()
		if !ok {
			return nil, c.f.usage("option \"%s\" requires an argument", a)
		}
		return args, c.set(a, not, v)
	default:
		if !strings.HasPrefix(a, "-") {
			return nil, c.f.usage("Bad argument `%s'", a)
		}
		if strings.HasPrefix(a, "--reject-with") || strings.HasPrefix(a, "--to") || strings.HasPrefix(a, "--log-") || r.Target != "" {
			v, _ := next()
			return args, c.targetOption(a, v)
		}
		v, _ := next()
		return args, c.match(a, not, v)
	}
	return args, 0
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// set takes an option that is part of a rule itself.
func (c *fwCall) set(a, not, v string) int {
	r := &c.rule
	switch a {
	case "-t":
		c.f.table = v
	case "-p":
		r.Proto, c.proto = not+strings.ToLower(v), strings.ToLower(v)
		if v == "all" || v == "0" {
			r.Proto = ""
		}
	case "-s", "-d":
		net, err := prefixOf(v)
		if err != nil {
			return c.f.usage("host/network `%s' not found", v)
		}
		if net != "" {
			net = not + net
		}
		if a == "-s" {
			r.Src = net
		} else {
			r.Dst = net
		}
	case "-i":
		r.In = not + v
	case "-o":
		r.Out = not + v
	case "-j", "-g":
		r.Target = v
		if v == "REJECT" {
			r.Opts = fwMatch{" --reject-with icmp-port-unreachable", "reject-with icmp-port-unreachable", "reject-with icmp-port-unreachable"}
		}
		if v == "LOG" {
			r.Opts = fwMatch{"", "LOG level warn", "LOG flags 0 level 4"}
		}
	}
	return 0
}

// prefixOf is a network in the form that iptables keeps; "" is all of them.
func prefixOf(v string) (string, error) {
	if v == "0/0" || v == "0.0.0.0/0" || v == "::/0" || v == "any" {
		return "", nil
	}
	if a, err := netip.ParseAddr(v); err == nil {
		return netip.PrefixFrom(a, a.BitLen()).String(), nil
	}
	n, err := netip.ParsePrefix(v)
	if err != nil {
		return "", fmt.Errorf("read %q: %w", v, err)
	}
	return n.Masked().String(), nil
}

func (c *fwCall) targetOption(a, v string) int {
	o := &c.rule.Opts
	switch a {
	case "--reject-with":
		*o = fwMatch{" --reject-with " + v, "reject-with " + v, "reject-with " + v}
	case "--to-ports", "--to-port":
		*o = fwMatch{" --to-ports " + v, "redir ports " + v, "redir ports " + v}
	case "--to-destination", "--to-source", "--to":
		*o = fwMatch{" " + a + " " + v, "to:" + v, "to:" + v}
	case "--log-prefix":
		o.S, o.L, o.N = o.S+" --log-prefix "+strconv.Quote(v), o.L+" prefix "+strconv.Quote(v), o.N+" prefix "+strconv.Quote(v)
	case "--log-level":
	default:
		return c.f.usage("unknown option \"%s\"", a)
	}
	return 0
}

// match takes an option of a match extension.
func (c *fwCall) match(a, not, v string) int {
	add := func(s, l, n string) { c.rule.Matches = append(c.rule.Matches, fwMatch{" " + s, l, n}) }
	bang := strings.TrimSuffix(strings.ReplaceAll(not, " ", ""), " ")
	switch a {
	case "--dport", "--sport":
		if c.proto != "tcp" && c.proto != "udp" {
			return c.f.usage("unknown option \"%s\"", a)
		}
		name, num, ok := portName(v)
		if !ok {
			return c.f.usage("invalid port/service `%s' specified", v)
		}
		word := map[string]string{"--dport": "dpt", "--sport": "spt"}[a]
		if strings.Contains(num, ":") {
			word += "s"
		}
		add("-m "+c.proto+" "+not+a+" "+num, c.proto+" "+word+":"+bang+name, c.proto+" "+word+":"+bang+num)
	case "--dports", "--sports", "--ports":
		var names []string
		for p := range strings.SplitSeq(v, ",") {
			name, _, ok := portName(p)
			if !ok {
				return c.f.usage("invalid port/service `%s' specified", p)
			}
			names = append(names, name)
		}
		add("-m multiport "+not+a+" "+v, "multiport "+a[2:]+" "+bang+strings.Join(names, ","), "multiport "+a[2:]+" "+bang+v)
	case "--state", "--ctstate":
		m := map[string]string{"--state": "state", "--ctstate": "conntrack"}[a]
		list := strings.Split(v, ",")
		order := []string{"INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED"}
		slices.SortStableFunc(list, func(x, y string) int { return slices.Index(order, x) - slices.Index(order, y) })
		states := strings.Join(list, ",")
		add("-m "+m+" "+not+a+" "+states, strings.TrimPrefix(a, "--")+" "+states, strings.TrimPrefix(a, "--")+" "+states)
	case "--icmp-type":
		word := map[string]string{"8": "echo-request", "echo-request": "echo-request"}[v]
		add("-m icmp --icmp-type "+map[bool]string{true: "8", false: v}[word != ""], "icmp "+word, "icmptype 8")
	case "--comment":
		quoted := v
		if strings.ContainsAny(v, " ") {
			quoted = strconv.Quote(v)
		}
		add("-m comment --comment "+quoted, "/* "+v+" */", "/* "+v+" */")
	case "--limit":
		add("-m limit --limit "+v, "limit: avg "+v+" burst 5", "limit: avg "+v+" burst 5")
	case "--mac-source":
		add("-m mac --mac-source "+v, "MAC"+v, "MAC"+v)
	case "--syn":
		add("-m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "tcp flags:FIN,SYN,RST,ACK/SYN", "tcp flags:0x17/0x02")
	default:
		return c.f.usage("unknown option \"%s\"", a)
	}
	return 0
}

// portName is a port, or a range, as name and as number.
func portName(v string) (name, num string, ok bool) {
	var names, nums []string
	for p := range strings.SplitSeq(v, ":") {
		n := p
		for k, s := range services {
			if s == p {
				n = k
			}
		}
		if x, err := strconv.Atoi(n); err != nil || x < 0 || x > 65535 {
			return "", "", false
		}
		s := services[n]
		if s == "" {
			s = n
		}
		names, nums = append(names, s), append(nums, n)
	}
	return strings.Join(names, ":"), strings.Join(nums, ":"), true
}
