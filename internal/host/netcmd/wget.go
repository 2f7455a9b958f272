package netcmd

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

const wgetLong = "output-document/O quiet/q no-verbose/v directory-prefix/P tries/t timeout/T user-agent/U no-check-certificate continue/c background/b output-file/o append-output/a input-file/i recursive/r no-clobber timestamping/N spider header= post-data= post-file= method= body-data= user= password= http-user= http-password= proxy= no-proxy limit-rate= wait/w level/l no-parent execute/e debug/d server-response/S connect-timeout= read-timeout= dns-timeout= show-progress progress= referer= max-redirect= no-cache no-dns-cache retry-connrefused inet4-only/4 inet6-only/6 content-disposition trust-server-names prefer-family= secure-protocol= cut-dirs= no-host-directories force-directories no-cookies load-cookies= save-cookies= mirror/m page-requisites/p"

// wgetRun is a parsed wget.
type wgetRun struct {
	p      *kernel.Proc
	ctx    context.Context //nolint:containedctx // lives for one run
	o      getopt.Opts
	quiet  bool
	brief  bool // -nv
	status int
}

func wget(ctx context.Context, p *kernel.Proc) int {
	args := make([]string, 0, len(p.Args))
	brief := false
	for _, a := range p.Args[1:] { // -nv, -nc, -nd, -nH, -np are pairs
		switch a {
		case "-nv", "--no-verbose":
			brief = true
		case "-nc", "-nd", "-nH", "-np":
		default:
			args = append(args, a)
		}
	}
	o := getopt.Parse(args, "46a:A:bB:cdD:e:FhHi:I:kKl:LmNo:O:pP:qQ:rR:ST:t:U:vVw:xX:E", wgetLong)
	switch {
	case o.Bad == "--version" || o.Has("V"):
		put(p, "GNU Wget %s built on linux-gnu.\n\n-cares +digest -gpgme +https +ipv6 +iri +large-file -metalink +nls\n+ntlm +opie +psl +ssl/gnutls\n", getopt.PackageVersion(p, "wget"))
		return 0
	case o.Bad == "--help" || o.Has("h"):
		put(p, "GNU Wget %s, a non-interactive network retriever.\nUsage: wget [OPTION]... [URL]...\n", getopt.PackageVersion(p, "wget"))
		return 0
	case o.Bad != "":
		complain(p, "wget: %s\nUsage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.\n", o.Bad)
		return 2
	case len(o.Args) == 0 && !o.Has("i"):
		complain(p, "wget: missing URL\nUsage: wget [OPTION]... [URL]...\n\nTry `wget --help' for more options.\n")
		return 1
	}
	w := &wgetRun{p: p, ctx: ctx, o: o, quiet: o.Has("q"), brief: brief}
	for _, u := range o.Args {
		if st := w.one(u); st != 0 {
			w.status = st
		}
	}
	return w.status
}

func (w *wgetRun) say(format string, args ...any) {
	if !w.quiet && !w.brief {
		complain(w.p, format, args...)
	}
}

// target is where an answer is kept; a name that is taken gets a number.
func (w *wgetRun) target(u string) string {
	if w.o.Has("O") {
		return w.o.Get("O")
	}
	name := path.Base(strings.SplitN(u, "?", 2)[0])
	if _, rest, _ := strings.Cut(u, "://"); !strings.Contains(rest, "/") || strings.HasSuffix(u, "/") {
		name = "index.html"
	}
	if _, query, ok := strings.Cut(u, "?"); ok {
		name += "?" + query
	}
	if prefix := w.o.Get("P"); prefix != "" {
		w.p.M.FS.Mkdir(w.p.Caller, w.p.Abs(prefix), 0o777&^w.p.Umask) //nolint:errcheck // may exist
		name = strings.TrimSuffix(prefix, "/") + "/" + name
	}
	base := name
	for n := 1; n < 100; n++ {
		if _, err := w.p.M.FS.Lstat(w.p.Caller, w.p.Abs(name)); err != nil {
			break
		}
		name = base + "." + strconv.Itoa(n)
	}
	return name
}

func (w *wgetRun) one(u string) int {
	p := w.p
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		u, scheme, rest = "http://"+u, "http", u
	}
	if rest == "" || strings.HasPrefix(rest, "/") {
		complain(p, "%s: Invalid host name.\n", u)
		return 1
	}
	if scheme != "http" && scheme != "https" && scheme != "ftp" {
		complain(p, "%s: Unsupported scheme ‘%s’.\n", u, scheme)
		return 1
	}
	if !strings.Contains(rest, "/") {
		u += "/"
	}
	hp := hostPort(u, map[string]string{"https": "443", "ftp": "21"}[scheme])
	if strings.HasSuffix(hp, ":") {
		hp += "80"
	}
	host, port, _ := strings.Cut(hp, ":")
	stamp := p.Now().UTC().Format("2006-01-02 15:04:05")
	name := w.target(u)
	w.say("--%s--  %s\n", stamp, u)
	if scheme == "ftp" {
		w.say("           => ‘%s’\n", name)
	}
	method := w.o.Get("method")
	if method == "" && w.o.Has("post-data", "post-file") {
		method = "POST"
	}
	r := fetch(w.ctx, p, kernel.Fetch{Tool: "wget", URL: u, Path: name, Method: method})
	if r.Failure == "resolve" {
		w.say("Resolving %s (%[1]s)... failed: Name or service not known.\n", host)
		if !w.quiet {
			complain(p, "wget: unable to resolve host address ‘%s’\n", host)
		}
		return 4
	}
	if _, bare := netip.ParseAddr(host); bare != nil {
		w.say("Resolving %s (%[1]s)... %s\nConnecting to %[1]s (%[1]s)|%[2]s|:%s... ", host, r.Addr, port)
	} else {
		w.say("Connecting to %s... ", hp)
	}
	switch r.Failure {
	case "refused":
		w.say("failed: Connection refused.\n")
		return 4
	case "timeout", "unreachable":
		w.say("failed: Connection timed out.\nRetrying.\n\n")
		return 4
	}
	w.say("connected.\n")
	return w.receive(u, name, stamp, r)
}

func (w *wgetRun) receive(u, name, stamp string, r kernel.Reply) int {
	p := w.p
	w.say("HTTP request sent, awaiting response... ")
	if r.Status >= 400 {
		text := map[int]string{400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}[r.Status]
		w.say("%d %s\n", r.Status, text)
		if !w.quiet {
			complain(p, "%s ERROR %d: %s.\n\n", stamp, r.Status, text)
		}
		if w.o.Has("O") && name != "-" {
			p.M.FS.WriteFile(p.Caller, p.Abs(name), nil, 0o666&^p.Umask) //nolint:errcheck // as wget leaves it
		}
		return 8
	}
	size := len(r.Body)
	human := ""
	if size >= 1024 {
		human = fmt.Sprintf(" (%.1fK)", float64(size)/1024)
	}
	w.say("200 OK\nLength: %d%s [%s]\n", size, human, r.Type)
	if w.o.Has("spider") {
		w.say("Remote file exists.\n\n")
		return 0
	}
	shown := name
	if name == "-" {
		shown = "STDOUT"
	}
	if name == "-" {
		w.say("Saving to: ‘%s’\n\n", shown)
		p.Stdout().Write(r.Body) //nolint:errcheck // the visitor's own output
	} else if err := p.M.FS.WriteFile(p.Caller, p.Abs(name), r.Body, 0o666&^p.Umask); err != nil {
		complain(p, "%s: %s\n", name, err)
		w.say("\nCannot write to ‘%s’ (%s).\n", name, err)
		return 3
	} else {
		w.say("Saving to: ‘%s’\n\n", shown)
	}
	speed := float64(size%90)/10 + 1
	if p.IsTTY(2) {
		label := fmt.Sprintf("%-20.20s", path.Base(name))
		w.say("\r%s100%%[===================>] %7d  --.-KB/s    in 0s      \n\n", label, size)
	} else {
		w.say("     0K                                                       100%% %4.1fM=0s\n\n", speed)
	}
	verb := "saved"
	if name == "-" {
		verb = "written to stdout"
		w.say("%s (%.1f MB/s) - %s [%d/%d]\n\n", stamp, speed, verb, size, size)
	} else {
		w.say("%s (%.1f MB/s) - ‘%s’ %s [%d/%d]\n\n", stamp, speed, shown, verb, size, size)
	}
	if w.brief && !w.quiet {
		complain(p, "%s URL:%s [%d/%d] -> \"%s\" [1]\n", stamp, u, size, size, name)
	}
	return 0
}
