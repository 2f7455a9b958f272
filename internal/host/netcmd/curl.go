package netcmd

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

const curlLong = "output/o remote-name/O silent/s show-error/S fail/f location/L head/I include/i request/X data/d data-raw/d data-binary/d data-urlencode/d header/H user-agent/A referer/e upload-file/T form/F max-time/m connect-timeout= user/u proxy/x cookie/b cookie-jar/c insecure/k verbose/v compressed retry= retry-delay= max-redirs= remote-header-name/J create-dirs socks5= interface= resolve= cacert= cert= key= tlsv1.2 http1.1 http2 ipv4/4 ipv6/6 limit-rate= progress-bar/# write-out/w get/G url= config/K range/r continue-at/C globoff/g parallel/Z no-buffer/N version/V manual/M help/h fail-with-body path-as-is"

// curlRun is a parsed curl.
type curlRun struct {
	p   *kernel.Proc
	ctx context.Context //nolint:containedctx // lives for one run
	o   getopt.Opts
}

func curl(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "#46aA:b:Bc:C:d:De:E:fF:gGH:h?iIjJkK:lLm:M?nNo:OpP:qQ:r:RsSt:T:u:U:vVw:x:X:y:Y:z:Z", curlLong)
	v := getopt.PackageVersion(p, "curl")
	_, ssl, _ := strings.Cut(p.M.Persona.SSH.ClientText, "OpenSSL ")
	ssl, _, _ = strings.Cut(ssl, " ")
	switch {
	case o.Has("V") || o.Bad == "--version":
		put(p, "curl %s (x86_64-pc-linux-gnu) libcurl/%[1]s OpenSSL/%s zlib/1.2.13 brotli/1.0.9 zstd/1.5.4 libidn2/2.3.3 libpsl/0.21.2 (+libidn2/2.3.3) libssh2/1.10.0 nghttp2/1.52.0 librtmp/2.3 OpenLDAP/2.5.13\nRelease-Date: 2023-02-20, security patched: %[3]s\nProtocols: dict file ftp ftps gopher gophers http https imap imaps ldap ldaps mqtt pop3 pop3s rtmp rtsp scp sftp smb smbs smtp smtps telnet tftp\nFeatures: alt-svc AsynchDNS brotli GSS-API HSTS HTTP2 HTTPS-proxy IDN IPv6 Kerberos Largefile libz NTLM NTLM_WB PSL SPNEGO SSL threadsafe TLS-SRP UnixSockets zstd\n", v, ssl, pkgVersion(p, "curl"))
		return 0
	case o.Bad == "--help" || o.Has("h"):
		put(p, "Usage: curl [options...] <url>\n -d, --data <data>          HTTP POST data\n -f, --fail                 Fail fast with no output on HTTP errors\n -h, --help <category>      Get help for commands\n -i, --include              Include protocol response headers in the output\n -o, --output <file>        Write to file instead of stdout\n -O, --remote-name          Write output to a file named as the remote file\n -s, --silent               Silent mode\n -T, --upload-file <file>   Transfer local FILE to destination\n -u, --user <user:password> Server user and password\n -A, --user-agent <name>    Send User-Agent <name> to server\n -v, --verbose              Make the operation more talkative\n -V, --version              Show version number and quit\n\nThis is not the full help, this menu is stripped into categories.\nUse \"--help category\" to get an overview of all categories.\nFor all options use the manual or \"--help all\".\n")
		return 0
	case o.Bad != "":
		opt := strings.Trim(o.Bad[strings.LastIndex(o.Bad, " ")+1:], "'")
		if !strings.HasPrefix(opt, "-") {
			opt = "-" + opt
		}
		if strings.Contains(o.Bad, "requires an argument") {
			complain(p, "curl: option %s: requires parameter\n", opt)
		} else {
			complain(p, "curl: option %s: is unknown\n", opt)
		}
		complain(p, "curl: try 'curl --help' or 'curl --manual' for more information\n")
		return 2
	}
	urls := append(o.All("url"), o.Args...)
	if len(urls) == 0 {
		complain(p, "curl: no URL specified!\ncurl: try 'curl --help' or 'curl --manual' for more information\n")
		return 2
	}
	c := &curlRun{p: p, ctx: ctx, o: o}
	status := 0
	for i, u := range urls {
		status = c.one(u, i)
	}
	return status
}

func pkgVersion(p *kernel.Proc, name string) string {
	k, _ := p.M.Persona.Package(name)
	return k.Version
}

// fail prints an error unless -s hides it.
func (c *curlRun) fail(code int, format string, args ...any) int {
	if !c.o.Has("s") || c.o.Has("S") {
		complain(c.p, "curl: (%d) %s\n", code, fmt.Sprintf(format, args...))
	}
	return code
}

func (c *curlRun) one(u string, i int) int {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		scheme, rest = "http", u
	}
	switch {
	case rest == "" || strings.HasPrefix(rest, "/") && scheme != "file":
		return c.fail(3, "URL using bad/illegal format or missing URL")
	case scheme == "file":
		return c.file(rest)
	case !strings.Contains(" http https ftp ftps tftp sftp scp telnet dict gopher ldap smb smtp imap pop3 ", " "+scheme+" "):
		return c.fail(1, "Protocol \"%s\" not supported or disabled in libcurl", scheme)
	}
	name := ""
	if outs := c.o.All("o"); i < len(outs) {
		name = outs[i]
	}
	if c.o.Has("O") {
		name = path.Base(strings.SplitN(rest, "?", 2)[0])
		if !strings.Contains(rest, "/") || strings.HasSuffix(rest, "/") {
			complain(c.p, "curl: Remote file name has no length!\n")
			return 23
		}
	}
	method := c.o.Get("X")
	if method == "" {
		switch {
		case c.o.Has("I"):
			method = "HEAD"
		case c.o.Has("d", "F"):
			method = "POST"
		case c.o.Has("T"):
			method = "PUT"
		}
	}
	h, port, _ := strings.Cut(hostPort(u, map[string]string{"https": "443", "ftp": "21", "tftp": "69", "telnet": "23"}[scheme]), ":")
	if port == "" {
		port = "80"
	}
	meter := !c.o.Has("s") && (name != "" && name != "-" || !c.p.IsTTY(1))
	r := fetch(c.ctx, c.p, kernel.Fetch{Tool: "curl", URL: u, Method: method, Path: name})
	if meter {
		c.meter(len(r.Body), r.Failure == "" && r.Status < 400)
	}
	switch r.Failure {
	case "resolve":
		return c.fail(6, "Could not resolve host: %s", h)
	case "refused":
		return c.fail(7, "Failed to connect to %s port %s after 3 ms: Couldn't connect to server", h, port)
	case "timeout", "unreachable":
		return c.fail(28, "Failed to connect to %s port %s after 130012 ms: Couldn't connect to server", h, port)
	}
	if r.Status >= 400 && c.o.Has("f") {
		return c.fail(22, "The requested URL returned error: %d", r.Status)
	}
	return c.write(name, r)
}

// meter is the progress table that curl draws where output is no terminal.
func (c *curlRun) meter(n int, ok bool) {
	if c.o.Has("#") {
		complain(c.p, "######################################################################## 100.0%%\n")
		return
	}
	complain(c.p, "  %% Total    %% Received %% Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0")
	if ok && n > 0 {
		complain(c.p, "\r100 %5d  100 %5d    0     0  %5d      0 --:--:-- --:--:-- --:--:-- %5d", n, n, n*9, n*9)
	}
	complain(c.p, "\n")
}

func (c *curlRun) file(name string) int {
	data, err := c.p.M.FS.ReadFile(c.p.Caller, "/"+strings.TrimLeft(name, "/"), 8<<20)
	if err != nil {
		return c.fail(37, "Couldn't open file /%s", strings.TrimLeft(name, "/"))
	}
	c.p.Stdout().Write(data) //nolint:errcheck // the visitor's own output
	return 0
}

func (c *curlRun) write(name string, r kernel.Reply) int {
	body := r.Body
	if c.o.Has("I", "i") {
		head := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nServer: nginx\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n", r.Status, map[bool]string{true: "OK", false: "Not Found"}[r.Status < 400], c.p.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), r.Type, len(r.Body))
		if c.o.Has("I") {
			body = head
		} else {
			body = append(head, body...)
		}
	}
	if name == "" || name == "-" {
		c.p.Stdout().Write(body) //nolint:errcheck // the visitor's own output
	} else if err := c.p.M.FS.WriteFile(c.p.Caller, c.p.Abs(name), body, 0o666&^c.p.Umask); err != nil {
		complain(c.p, "Warning: Failed to open the file %s: %s\n", name, err)
		return c.fail(23, "Failure writing output to destination")
	}
	if w := c.o.Get("w"); w != "" {
		put(c.p, "%s", strings.NewReplacer("%{http_code}", strconv.Itoa(r.Status), "%{response_code}", strconv.Itoa(r.Status), "%{size_download}", strconv.Itoa(len(r.Body)), `\n`, "\n", "%{content_type}", r.Type).Replace(w))
	}
	return 0
}
