package netcmd

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// resolve asks the fake world and tells the recorder.
func resolve(ctx context.Context, p *kernel.Proc, tool, name string) ([]netip.Addr, bool) {
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: tool, URL: "dns:" + name})
	if p.M.Net == nil {
		return nil, false
	}
	return p.M.Net.Resolve(name)
}

// server is the resolver that the programs say they asked.
func server(p *kernel.Proc) string {
	if p.M.Persona.Family == "ubuntu" {
		return "127.0.0.53"
	}
	return p.M.Persona.DNS[0]
}

func nslookup(ctx context.Context, p *kernel.Proc) int {
	name := ""
	for _, a := range p.Args[1:] {
		if !strings.HasPrefix(a, "-") && name == "" {
			name = a
		}
	}
	if name == "" {
		return 0
	}
	put(p, "Server:\t\t%s\nAddress:\t%[1]s#53\n\n", server(p))
	addrs, ok := resolve(ctx, p, "nslookup", name)
	if !ok {
		put(p, "** server can't find %s: NXDOMAIN\n\n", name)
		return 1
	}
	put(p, "Non-authoritative answer:\nName:\t%s\nAddress: %s\n\n", name, addrs[0])
	return 0
}

func hostCmd(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aCdilrTvVwc:D:m:N:R:t:W:46s", "")
	if len(o.Args) == 0 {
		complain(p, "Usage: host [-aCdilrTvVw] [-c class] [-N ndots] [-t type] [-W time]\n            [-R number] [-m flag] [-p port] hostname [server]\n")
		return 1
	}
	addrs, ok := resolve(ctx, p, "host", o.Args[0])
	if !ok {
		put(p, "Host %s not found: 3(NXDOMAIN)\n", o.Args[0])
		return 1
	}
	put(p, "%s has address %s\n", o.Args[0], addrs[0])
	return 0
}

// vendor is what the distribution adds to the version of BIND.
func vendor(p *kernel.Proc) string {
	if p.M.Persona.OS.ID == "ubuntu" {
		return "Ubuntu"
	}
	return "Debian"
}

func dig(ctx context.Context, p *kernel.Proc) int {
	name, short := "", false
	for _, a := range p.Args[1:] {
		switch {
		case a == "+short":
			short = true
		case strings.HasPrefix(a, "+"), strings.HasPrefix(a, "-"), strings.HasPrefix(a, "@"):
		case name == "" && !strings.Contains(" A AAAA MX NS TXT ANY SOA CNAME PTR ", " "+strings.ToUpper(a)+" "):
			name = a
		}
	}
	if name == "" {
		name = "."
	}
	addrs, ok := resolve(ctx, p, "dig", name)
	if short {
		if ok {
			put(p, "%s\n", addrs[0])
		}
		return 0
	}
	state, answers := "NXDOMAIN", 0
	if ok {
		state, answers = "NOERROR", 1
	}
	v := getopt.PackageVersion(p, "bind9-dnsutils")
	udp := 1232 // the buffer of a real resolver; systemd's stub says another
	if server(p) == "127.0.0.53" {
		udp = 65494
	}
	put(p, "\n; <<>> DiG %s-%s <<>> %s\n;; global options: +cmd\n;; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: %s, id: %d\n;; flags: qr rd ra; QUERY: 1, ANSWER: %d, AUTHORITY: 0, ADDITIONAL: 1\n\n;; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags:; udp: %d\n;; QUESTION SECTION:\n;%s.\t\t\tIN\tA\n\n", v, vendor(p), name, state, p.M.Rand.IntN(65536), answers, udp, name)
	if ok {
		put(p, ";; ANSWER SECTION:\n%s.\t\t%d\tIN\tA\t%s\n\n", name, 60+p.M.Rand.IntN(240), addrs[0])
	}
	put(p, ";; Query time: %d msec\n;; SERVER: %s#53(%[2]s) (UDP)\n;; WHEN: %s\n;; MSG SIZE  rcvd: %d\n\n", 4+p.M.Rand.IntN(40), server(p), p.Now().UTC().Format("Mon Jan _2 15:04:05 MST 2006"), 55+len(name))
	return 0
}

// dialled is telnet, nc and ftp: the target is recorded, and the connection
// fails or times out as the world is configured.
func dialled(ctx context.Context, p *kernel.Proc) int {
	tool := getopt.Base(p.Args[0])
	o := getopt.Parse(p.Args[1:], "46bCdDFhklNnrStuUvZzcEKLxfa8I:i:M:m:O:P:p:q:s:T:V:W:w:X:x:e:", "")
	if tool == "nc" && (o.Has("l") || len(o.Args) < 2) {
		if o.Has("l") {
			<-ctx.Done()
			return 130
		}
		complain(p, "usage: nc [-46CDdFhklNnrStUuvZz] [-I length] [-i interval] [-M ttl]\n\t  [-m minttl] [-O length] [-P proxy_username] [-p source_port]\n\t  [-q seconds] [-s sourceaddr] [-T keyword] [-V rtable] [-W recvlimit]\n\t  [-w timeout] [-X proxy_protocol] [-x proxy_address[:port]]\n\t  [destination] [port]\n")
		return 1
	}
	if len(o.Args) == 0 {
		put(p, "%s> ", tool)
		return 0
	}
	target, port := o.Args[0], map[string]string{"telnet": "23", "ftp": "21"}[tool]
	if len(o.Args) > 1 {
		port = o.Args[1]
	}
	r := fetch(ctx, p, kernel.Fetch{Tool: tool, URL: tool + "://" + target + ":" + port})
	if tool == "telnet" && r.Failure != "resolve" {
		put(p, "Trying %s...\n", r.Addr)
	}
	if r.Failure == "" {
		p.M.Clock.Sleep(ctx, 20*time.Second) //nolint:errcheck // the visitor has gone
	}
	switch {
	case r.Failure == "resolve" && tool == "nc":
		complain(p, "nc: getaddrinfo for host \"%s\" port %s: Name or service not known\n", target, port)
	case r.Failure == "resolve":
		complain(p, "%s: could not resolve %s/%s: Name or service not known\n", tool, target, port)
	case tool == "nc" && !o.Has("v", "z"):
	case tool == "nc":
		complain(p, "nc: connect to %s port %s (tcp) %s\n", target, port, map[bool]string{true: "failed: Connection refused", false: "timed out: Operation now in progress"}[r.Failure == "refused"])
	default:
		complain(p, "%s: Unable to connect to remote host: %s\n", tool, map[bool]string{true: "Connection refused", false: "Connection timed out"}[r.Failure == "refused"])
	}
	return 1
}
