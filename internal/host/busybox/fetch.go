package busybox

import (
	"context"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// ask tells the recorder of a request and asks the fake world; nothing is sent.
func ask(ctx context.Context, p *kernel.Proc, f kernel.Fetch) kernel.Reply {
	p.S.Recorder.Fetch(ctx, f)
	if p.M.Net == nil {
		return kernel.Reply{Failure: "timeout"}
	}
	r := p.M.Net.Fetch(ctx, f)
	p.M.Clock.Sleep(ctx, min(r.Delay, 30*time.Second)) //nolint:errcheck // the caller sees ctx
	return r
}

// failure says why a connection did not come about; false if it did.
func failure(p *kernel.Proc, tool, host string, r kernel.Reply) bool {
	switch r.Failure {
	case "":
		return false
	case "resolve":
		complain(p, "%s: bad address '%s'\n", tool, host)
	case "refused":
		complain(p, "%s: can't connect to remote host (%s): Connection refused\n", tool, r.Addr)
	default:
		complain(p, "%s: can't connect to remote host (%s): Connection timed out\n", tool, r.Addr)
	}
	return true
}

// target takes an URL apart as BusyBox wget does.
func target(url string) (host, port, file string) {
	_, rest, _ := strings.Cut(url, "://")
	rest = strings.TrimPrefix(rest, "//")
	hp, tail, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(hp, '@'); i >= 0 {
		hp = hp[i+1:]
	}
	port = map[string]string{"https": "443", "ftp": "21"}[strings.SplitN(url, ":", 2)[0]]
	if port == "" {
		port = "80"
	}
	host = hp
	if i := strings.LastIndexByte(hp, ':'); i > 0 && !strings.HasSuffix(hp, "]") {
		host, port = hp[:i], hp[i+1:]
	}
	tail, _, _ = strings.Cut(tail, "?")
	if file = path.Base("/" + tail); strings.HasSuffix(tail, "/") || tail == "" {
		file = "index.html"
	}
	return host, port, file
}

func wget(ctx context.Context, p *kernel.Proc) int {
	flags, values, urls := options(p, "OoPUYTt")
	spider, method := false, "GET"
	for i, a := range p.Args {
		spider = spider || a == "--spider"
		if strings.HasPrefix(a, "--post") {
			method = "POST"
		}
		for _, long := range []string{"--header", "--post-data", "--post-file"} {
			if a == long && i+1 < len(p.Args) { // its value is no URL
				urls = without(urls, p.Args[i+1])
			}
		}
	}
	if len(urls) == 0 {
		return wrongUse
	}
	rc := 0
	for _, u := range urls {
		if !strings.Contains(u, "://") {
			u = "http://" + u
		}
		if !wgetOne(ctx, p, u, wgetOptions{quiet: strings.Contains(flags, "q"), spider: spider, out: values['O'], dir: values['P'], method: method}) {
			rc = 1
			break
		}
	}
	return rc
}

type wgetOptions struct {
	quiet, spider    bool
	out, dir, method string
}

func without(list []string, s string) []string {
	for i, v := range list {
		if v == s {
			return append(append([]string(nil), list[:i]...), list[i+1:]...)
		}
	}
	return list
}

func wgetOne(ctx context.Context, p *kernel.Proc, url string, o wgetOptions) bool {
	host, port, name := target(url)
	say := func(format string, args ...any) {
		if !o.quiet {
			complain(p, format, args...)
		}
	}
	scheme, _, _ := strings.Cut(url, ":")
	if scheme != "http" && scheme != "https" && scheme != "ftp" {
		complain(p, "wget: not an http or ftp url: %s\n", url)
		return false
	}
	if o.out != "" {
		name = o.out
	} else if o.dir != "" {
		name = o.dir + "/" + name
	}
	if name != "-" && o.out == "" && !o.spider {
		if _, err := p.M.FS.Lstat(p.Caller, p.Abs(name)); err == nil {
			p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "wget", URL: url, Path: name})
			complain(p, "wget: can't open '%s': File exists\n", name)
			return false
		}
	}
	r := ask(ctx, p, kernel.Fetch{Tool: "wget", URL: url, Path: name, Method: o.method})
	if r.Failure != "resolve" {
		say("Connecting to %s:%s (%s:%s)\n", strings.TrimSuffix(host, ":"), port, r.Addr, port)
	}
	if failure(p, "wget", host, r) {
		return false
	}
	if r.Status >= 400 {
		complain(p, "wget: server returned error: HTTP/1.1 %d %s\n", r.Status, map[int]string{404: "Not Found", 403: "Forbidden"}[r.Status])
		return false
	}
	if o.spider {
		say("remote file exists\n")
		return true
	}
	if name == "-" {
		say("writing to stdout\n")
		p.Stdout().Write(r.Body) //nolint:errcheck // the visitor's own output
		say("-                    100%% |********************************| %5d  0:00:00 ETA\nwritten to stdout\n", len(r.Body))
		return true
	}
	if err := p.M.FS.WriteFile(p.Caller, p.Abs(name), r.Body, 0o666&^p.Umask); err != nil {
		complain(p, "wget: can't open '%s': %s\n", name, err)
		return false
	}
	say("saving to '%s'\n%-20.20s 100%% |********************************| %5d  0:00:00 ETA\n'%s' saved\n", name, path.Base(name), len(r.Body), name)
	return true
}

// tftp reads "-g -r FILE -l FILE HOST" in any order.
func tftp(ctx context.Context, p *kernel.Proc) int {
	flags, values, rest := options(p, "lrb")
	get, putting := strings.Contains(flags, "g"), strings.Contains(flags, "p")
	remote, local := values['r'], values['l']
	if len(rest) == 0 || get == putting || remote == "" && local == "" {
		if len(rest) > 0 {
			p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "tftp", URL: "tftp:" + strings.Join(p.Args[1:], " ")})
		}
		return wrongUse
	}
	if remote == "" {
		remote = local
	}
	if local == "" {
		local = path.Base(remote)
	}
	host := rest[0]
	url := "tftp://" + host + "/" + strings.TrimPrefix(remote, "/")
	if putting {
		p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "tftp", URL: url, Method: "PUT", Path: local})
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(local)); err != nil {
			complain(p, "tftp: can't open '%s': %s\n", local, err)
			return 1
		}
		p.M.Clock.Sleep(ctx, 12*time.Second) //nolint:errcheck // the end is the same
		complain(p, "tftp: timeout\n")
		return 1
	}
	return transfer(ctx, p, "tftp", host, kernel.Fetch{Tool: "tftp", URL: url, Path: local})
}

// transfer is a download without words, as tftp and ftpget do it.
func transfer(ctx context.Context, p *kernel.Proc, tool, host string, f kernel.Fetch) int {
	r := ask(ctx, p, f)
	switch {
	case r.Failure == "resolve":
		complain(p, "%s: bad address '%s'\n", tool, host)
		return 1
	case r.Failure != "" && tool == "tftp":
		complain(p, "tftp: timeout\n")
		return 1
	case r.Failure != "":
		failure(p, tool, host, r)
		return 1
	case r.Status >= 400 && tool == "tftp":
		complain(p, "tftp: server error: (1) File not found\n")
		return 1
	case r.Status >= 400:
		complain(p, "%s: unexpected server response to RETR: 550 Failed to open file.\n", tool)
		return 1
	}
	if f.Path == "-" {
		p.Stdout().Write(r.Body) //nolint:errcheck // the visitor's own output
		return 0
	}
	if err := p.M.FS.WriteFile(p.Caller, p.Abs(f.Path), r.Body, 0o666&^p.Umask); err != nil {
		complain(p, "%s: can't open '%s': %s\n", tool, f.Path, err)
		return 1
	}
	return 0
}

func ftpget(ctx context.Context, p *kernel.Proc) int {
	_, values, rest := options(p, "upP")
	host, local, remote := rest[0], rest[1], rest[len(rest)-1]
	if values['P'] != "" && values['P'] != "21" {
		host += ":" + values['P']
	}
	if len(rest) == 2 {
		local = path.Base(remote)
	}
	url := "ftp://" + host + "/" + strings.TrimPrefix(remote, "/")
	if base(p.Args[0]) == "ftpput" {
		local, remote = rest[len(rest)-1], rest[1]
		p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: "ftpput", URL: "ftp://" + host + "/" + remote, Method: "PUT", Path: local})
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(local)); err != nil {
			complain(p, "ftpput: can't open '%s': %s\n", local, err)
			return 1
		}
		p.M.Clock.Sleep(ctx, 20*time.Second) //nolint:errcheck // the end is the same
		complain(p, "ftpput: can't connect to remote host (%s): Connection timed out\n", rest[0])
		return 1
	}
	return transfer(ctx, p, "ftpget", rest[0], kernel.Fetch{Tool: "ftpget", URL: url, Path: local})
}

// dial is nc and telnet: no host of the fake world lets anybody in.
func dial(ctx context.Context, p *kernel.Proc) int {
	tool := base(p.Args[0])
	flags, values, rest := options(p, "wpiefl"[:5])
	if strings.Contains(flags, "l") {
		p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: tool, URL: "listen:" + values['p'], Method: "LISTEN"})
		<-ctx.Done()
		return 0
	}
	if len(rest) == 0 || tool == "nc" && len(rest) < 2 {
		return wrongUse
	}
	port := "23"
	if len(rest) > 1 {
		port = rest[1]
	}
	p.S.Recorder.Fetch(ctx, kernel.Fetch{Tool: tool, URL: "tcp://" + rest[0] + ":" + port, Method: "CONNECT"})
	a, ok := resolve(p, rest[0])
	if !ok {
		complain(p, "%s: bad address '%s'\n", tool, rest[0])
		return 1
	}
	why := "Connection timed out"
	if near(p, a) {
		why = "Connection refused"
	} else if p.M.Clock.Sleep(ctx, 21*time.Second) != nil {
		return 1
	}
	complain(p, "%s: can't connect to remote host (%s): %s\n", tool, a, why)
	return 1
}

// near reports whether a is this host.
func near(p *kernel.Proc, a netip.Addr) bool {
	ok := a.IsLoopback()
	for _, n := range p.M.Persona.NICs {
		ok = ok || n.IPv4 == a.String()
	}
	return ok
}
