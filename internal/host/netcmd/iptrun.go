package netcmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// same reports whether two rules say the same.
func (r fwRule) same(o fwRule) bool {
	r.Added, o.Added = time.Time{}, time.Time{}
	return reflect.DeepEqual(r, o)
}

// run does what the call asks for.
func (c *fwCall) run() int {
	f := c.f
	ch := f.chain(c.chain)
	switch c.verb {
	case "-L", "-S", "-F", "-Z", "-X", "-N", "-E":
		return c.wide(ch)
	case "-P":
		switch {
		case ch == nil || ch.Policy == "-":
			return f.fail(1, "Bad built-in chain name.")
		case c.word != "ACCEPT" && c.word != "DROP":
			return f.usage("Bad policy name. Run `dmesg' for more information.")
		}
		ch.Policy = c.word
		return f.write()
	}
	if t := c.rule.Target; t != "" && !strings.Contains(" ACCEPT DROP REJECT RETURN LOG REDIRECT MASQUERADE DNAT SNAT MARK TCPMSS NFQUEUE NOTRACK CT TPROXY ", " "+t+" ") && f.chain(t) == nil {
		return f.usage("Chain '%s' does not exist", t)
	}
	if ch == nil {
		complain(f.p, "%s: No chain/target/match by that name.\n", f.name)
		return 1
	}
	at := slices.IndexFunc(ch.Rules, c.rule.same)
	switch c.verb {
	case "-A":
		ch.Rules = append(ch.Rules, c.rule)
	case "-I":
		n := max(c.num, 1) - 1
		if n > len(ch.Rules) {
			complain(f.p, "%s: Index of insertion too big.\n", f.name)
			return 1
		}
		ch.Rules = slices.Insert(ch.Rules, n, c.rule)
	case "-C":
		if at < 0 {
			complain(f.p, "%s: Bad rule (does a matching rule exist in that chain?).\n", f.name)
			return 1
		}
		return 0
	case "-R", "-D":
		if c.num > 0 {
			at = c.num - 1
			if at >= len(ch.Rules) {
				complain(f.p, "%s: Index of %s too big.\n", f.name, map[string]string{"-D": "deletion", "-R": "replacement"}[c.verb])
				return 1
			}
		}
		if at < 0 {
			complain(f.p, "%s: Bad rule (does a matching rule exist in that chain?).\n", f.name)
			return 1
		}
		if c.verb == "-R" {
			ch.Rules[at] = c.rule
		} else {
			ch.Rules = slices.Delete(ch.Rules, at, at+1)
		}
	}
	if len(ch.Rules) > maxRules {
		return f.fail(4, " RULE_APPEND failed (No space left on device): rule in chain %s", ch.Name)
	}
	return f.write()
}

// wide does what concerns whole chains.
func (c *fwCall) wide(ch *fwChain) int {
	f := c.f
	if c.chain != "" && ch == nil && c.verb != "-N" {
		if c.verb == "-L" || c.verb == "-S" {
			return f.fail(1, "chain `%s' in table `%s' is incompatible, use 'nft' tool.", c.chain, f.table)
		}
		complain(f.p, "%s: No chain/target/match by that name.\n", f.name)
		return 1
	}
	switch c.verb {
	case "-L":
		c.list()
		return 0
	case "-S":
		put(f.p, "%s", f.script(c.chain))
		return 0
	case "-N":
		if ch != nil {
			complain(f.p, "%s: Chain already exists.\n", f.name)
			return 1
		}
		f.chains = append(f.chains, fwChain{Name: c.chain, Policy: "-", Since: f.p.Now()})
	case "-X":
		for _, o := range f.chains {
			for _, r := range o.Rules {
				if ch != nil && r.Target == ch.Name {
					return f.fail(4, " CHAIN_DEL failed (Device or resource busy): chain %s", ch.Name)
				}
			}
		}
		f.chains = slices.DeleteFunc(f.chains, func(o fwChain) bool { return o.Policy == "-" && (c.chain == "" || o.Name == c.chain) })
	case "-F", "-Z":
		for i := range f.chains {
			o := &f.chains[i]
			if c.chain != "" && o.Name != c.chain {
				continue
			}
			if c.verb == "-F" {
				o.Rules = nil
				continue
			}
			o.Since = f.p.Now()
			for j := range o.Rules {
				o.Rules[j].Added = f.p.Now()
			}
		}
	case "-E":
		ch.Name = c.word
	}
	return f.write()
}

// seen is how many packets a rule or a policy has met, and their bytes.
func (f *firewall) seen(since time.Time, r *fwRule, chain string) (packets, bytes int64) {
	rate := map[string]float64{"INPUT": 1.9, "OUTPUT": 1.4}[chain]
	if r != nil {
		switch {
		case r.Src != "" || r.Dst != "" || r.In != "" && r.In != "lo" && r.In != f.p.M.Persona.NICs[0].Name:
			rate = 0
		case len(r.Matches) > 0 && !strings.Contains(r.Matches[0].S, " 22") && !strings.Contains(r.Matches[0].S, "ESTABLISHED"):
			rate *= 0.01
		}
	}
	packets = int64(f.p.Now().Sub(since).Seconds() * rate)
	return packets, packets * 71
}

// human is a counter as -v shows it.
func human(n int64, exact bool) string {
	for _, u := range []string{"K", "M", "G"} {
		lim := int64(100_000)
		if exact || n < lim {
			return strconv.FormatInt(n, 10)
		}
		n /= 1000
		if n < lim {
			return fmt.Sprintf("%d%s", n, u)
		}
	}
	return fmt.Sprintf("%dT", n)
}

func (c *fwCall) list() {
	f, p := c.f, c.f.p
	shown := 0
	for _, ch := range f.chains {
		if c.chain != "" && ch.Name != c.chain {
			continue
		}
		if shown++; shown > 1 {
			put(p, "\n")
		}
		n, b := f.seen(ch.Since, nil, ch.Name)
		if _, kept := p.M.Settings.Get(f.key()); !kept {
			n, b = 0, 0
		}
		switch {
		case ch.Policy == "-":
			put(p, "Chain %s (%d references)\n", ch.Name, f.references(ch.Name))
		case c.verbose:
			put(p, "Chain %s (policy %s %s packets, %s bytes)\n", ch.Name, ch.Policy, human(n, c.exact), human(b, c.exact))
		default:
			put(p, "Chain %s (policy %s)\n", ch.Name, ch.Policy)
		}
		if c.numbered {
			put(p, "num  ")
		}
		if c.verbose {
			put(p, " pkts bytes target     prot opt in     out     source               destination         \n")
		} else {
			put(p, "target     prot opt source               destination         \n")
		}
		for i := range ch.Rules {
			c.row(i, ch)
		}
	}
}

func (f *firewall) references(name string) int {
	n := 0
	for _, ch := range f.chains {
		for _, r := range ch.Rules {
			if r.Target == name {
				n++
			}
		}
	}
	return n
}

// row is one rule of -L.
func (c *fwCall) row(i int, ch fwChain) {
	p, r := c.f.p, ch.Rules[i]
	if c.numbered {
		put(p, "%-4d ", i+1)
	}
	proto, all, anywhere := r.Proto, "all", "anywhere"
	in, out := "any", "any"
	if c.numeric {
		all, anywhere, in, out = "0", "0.0.0.0/0", "*", "*"
		if c.f.family == "6" {
			anywhere = "::/0"
		}
		if n := map[string]string{"tcp": "6", "udp": "17", "icmp": "1", "sctp": "132"}[proto]; n != "" {
			proto = n
		}
	}
	or := func(v, def string) string {
		if v == "" {
			return def
		}
		return strings.ReplaceAll(v, "! ", "!")
	}
	host := func(v string) string { return strings.TrimSuffix(or(v, anywhere), "/32") }
	if c.verbose {
		n, b := c.f.seen(r.Added, &r, ch.Name)
		put(p, "%5s %5s ", human(n, c.exact), human(b, c.exact))
	}
	put(p, "%-9s  %-4s --  ", r.Target, or(proto, all))
	if c.verbose {
		put(p, "%-6s %-6s  ", or(r.In, in), or(r.Out, out))
	}
	put(p, "%-20s %-20s", host(r.Src), host(r.Dst))
	for _, m := range append(slices.Clone(r.Matches), r.Opts) {
		text := m.L
		if c.numeric {
			text = m.N
		}
		if text != "" {
			put(p, " %s", text)
		}
	}
	put(p, "\n")
}

// text is a rule as -S and iptables-save write it.
func (r fwRule) text(chain string) string {
	s := []string{"-A " + chain}
	for _, x := range [][2]string{{"-s", r.Src}, {"-d", r.Dst}, {"-i", r.In}, {"-o", r.Out}, {"-p", r.Proto}} {
		if x[1] == "" {
			continue
		}
		if v, not := strings.CutPrefix(x[1], "! "); not {
			s = append(s, " ! "+x[0]+" "+v)
		} else {
			s = append(s, " "+x[0]+" "+x[1])
		}
	}
	for _, m := range r.Matches {
		s = append(s, m.S)
	}
	if r.Target != "" {
		s = append(s, " -j "+r.Target+r.Opts.S)
	}
	return strings.Join(s, "")
}

// script is what -S shows of all chains, or of one.
func (f *firewall) script(only string) string {
	var s strings.Builder
	for _, ch := range f.chains {
		switch {
		case only != "" && ch.Name != only:
		case ch.Policy == "-":
			s.WriteString("-N " + ch.Name + "\n")
		default:
			s.WriteString("-P " + ch.Name + " " + ch.Policy + "\n")
		}
	}
	for _, ch := range f.chains {
		if only != "" && ch.Name != only {
			continue
		}
		for _, r := range ch.Rules {
			s.WriteString(r.text(ch.Name) + "\n")
		}
	}
	return s.String()
}

// iptablesSave writes the tables that there are.
func iptablesSave(_ context.Context, p *kernel.Proc) int {
	f := newFirewall(p, tool(p, "iptables-save"))
	if p.Caller.UID != 0 {
		return f.fail(4, "Could not fetch rule set generation id: Permission denied (you must be root)\n")
	}
	for _, table := range []string{"mangle", "raw", "filter", "nat"} {
		f.table = table
		if _, kept := p.M.Settings.Get(f.key()); !kept {
			continue
		}
		f.read()
		now := p.Now().UTC().Format("Mon Jan _2 15:04:05 2006")
		put(p, "# Generated by %s v1.8.9 (nf_tables) on %s\n*%s\n", f.name, now, table)
		for _, ch := range f.chains {
			n, b := f.seen(ch.Since, nil, ch.Name)
			if ch.Policy == "-" {
				n, b = 0, 0
			}
			put(p, ":%s %s [%d:%d]\n", ch.Name, ch.Policy, n, b)
		}
		for _, ch := range f.chains {
			for _, r := range ch.Rules {
				put(p, "%s\n", r.text(ch.Name))
			}
		}
		put(p, "COMMIT\n# Completed on %s\n", now)
	}
	return 0
}

// iptablesRestore reads tables as iptables-save writes them.
func iptablesRestore(_ context.Context, p *kernel.Proc) int {
	f := newFirewall(p, tool(p, "iptables-restore"))
	if p.Caller.UID != 0 {
		return f.fail(4, "Could not fetch rule set generation id: Permission denied (you must be root)\n")
	}
	in := bufio.NewScanner(io.LimitReader(p.Stdin(), 256<<10))
	if len(p.Args) > 1 && !strings.HasPrefix(p.Args[len(p.Args)-1], "-") {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(p.Args[len(p.Args)-1]), 256<<10)
		if err != nil {
			complain(p, "Can't open %s: %s\n", p.Args[len(p.Args)-1], err)
			return 1
		}
		in = bufio.NewScanner(strings.NewReader(string(data)))
	}
	for n := 1; in.Scan() && p.Step(10) == nil; n++ {
		line := strings.TrimSpace(in.Text())
		switch {
		case line == "" || line[0] == '#' || line == "COMMIT":
			continue
		case line[0] == '*':
			f.table = line[1:]
			if fwTables[f.table] == "" {
				return f.fail(1, "unable to initialize table '%s'\n\nError occurred at line: %d", f.table, n)
			}
			p.M.Settings.Unset(f.key())
			continue
		}
		f.read()
		c := &fwCall{f: f}
		if line[0] == ':' {
			w := strings.Fields(line[1:])
			if len(w) > 1 && w[1] == "-" {
				c.verb, c.chain = "-N", w[0]
			} else if len(w) > 1 {
				c.verb, c.chain, c.word = "-P", w[0], w[1]
			}
		} else if st := c.parse(strings.Fields(strings.ReplaceAll(line, `"`, ""))); st != 0 {
			complain(p, "Error occurred at line: %d\nTry `%s -h' or '%[2]s --help' for more information.\n", n, f.name)
			return 2
		}
		if c.verb == "" {
			complain(p, "iptables-restore: line %d failed\n", n)
			return 1
		}
		if st := c.run(); st != 0 {
			return st
		}
	}
	return 0
}
