package netcmd

import (
	"cmp"
	"context"
	"path"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

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

func tftp(ctx context.Context, p *kernel.Proc) int {
	fetch(ctx, p, kernel.Fetch{Tool: path.Base(p.Args[0]), URL: "tftp:" + strings.Join(p.Args[1:], " ")})
	complain(p, "tftp: timeout\n")
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
	o := getopt.Parse(p.Args[1:], "+46AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:p:Q:R:S:W:w:", "")
	if len(o.Args) == 0 {
		complain(p, "ssh: Could not resolve hostname : Name or service not known\r\n")
		return 255
	}
	host := o.Args[0][strings.LastIndexByte(o.Args[0], '@')+1:]
	port := cmp.Or(o.Get("p"), "22")
	r := fetch(ctx, p, kernel.Fetch{Tool: path.Base(p.Args[0]), URL: "ssh:" + strings.Join(p.Args[1:], " ")})
	if p.M.Net != nil {
		r = p.M.Net.Fetch(ctx, kernel.Fetch{URL: "ssh://" + host + ":" + port})
	}
	switch r.Failure {
	case "resolve":
		complain(p, "ssh: Could not resolve hostname %s: Name or service not known\r\n", host)
	case "refused":
		complain(p, "ssh: connect to host %s port %s: Connection refused\r\n", host, port)
	default:
		complain(p, "ssh: connect to host %s port %s: Connection timed out\r\n", host, port)
	}
	return 255
}
